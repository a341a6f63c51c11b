//! A home as people have it, with some 50 entities of 30 kinds, and what it answers to some 280 everyday requests: each answer was
//! read and found right. `data/townhouse.txt` has a line for each, `request => answer`.

use nearfield_home::Home;
use nearfield_home::inventory::Inventory;
use nearfield_home::sentences::{Matcher, Outcome, Request, Setting, Step, reply};

/// The calls of a step and what is said of them, or the answer.
fn told(outcome: &Outcome, home: &Home) -> String {
    let steps = match outcome {
        Outcome::Do(steps) => steps,
        Outcome::Ask { question, .. } => return format!("asks: {question}"),
        Outcome::Pass(_) => return "passes".to_owned(),
    };
    let mut home = home.clone();
    let mut parts = Vec::new();
    for step in steps {
        parts.push(match step {
            Step::Say(_, answer) => answer.clone(),
            Step::Act(reading) => {
                let mut changes = Vec::new();
                let mut failed = None;
                for call in &reading.calls {
                    match home.apply(call) {
                        Ok(done) => changes.extend(done),
                        Err(error) => failed = Some(error.to_string()),
                    }
                }
                let calls: Vec<String> = reading
                    .calls
                    .iter()
                    .map(|call| {
                        let data = if call.data.is_empty() {
                            String::new()
                        } else {
                            format!(" {}", serde_json::to_string(&call.data).unwrap())
                        };
                        format!("{} {}{data}", call.service, call.entities.join(" "))
                    })
                    .collect();
                let said = failed.unwrap_or_else(|| reply(reading, &home, &changes));
                format!("[{}] {said}", calls.join("; "))
            }
            Step::Request(Request::Later { due, wish, .. }) => format!("later: {due:?} {wish}"),
            Step::Request(request) => format!("{request:?}"),
        });
    }
    parts.join(" ")
}

#[test]
fn each_everyday_request_in_a_usual_home_is_answered_as_it_was_found_right() {
    let home = Inventory::parse(include_str!("data/townhouse.yaml")).unwrap().home().unwrap();
    let mut matcher = Matcher::english().unwrap();
    let now = jiff::civil::date(2026, 3, 18).at(19, 0, 0, 0);
    let mut wrong = Vec::new();
    for line in include_str!("data/townhouse.txt").lines().filter(|line| !line.starts_with('#')) {
        let (request, expected) = line.split_once(" => ").unwrap();
        let setting = Setting { home: &home, area: None, now, last: &[], before: None, has_timers: false };
        let answer = told(&matcher.understand(request, &setting), &home);
        if answer != expected {
            wrong.push(format!("{request}\n  is:     {answer}\n  wanted: {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

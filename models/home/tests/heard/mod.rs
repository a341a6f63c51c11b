//! What requests come to in the homes of these tests.

use nearfield_home::inventory::Inventory;
use nearfield_home::sentences::{Matcher, Outcome, Setting, Step};

/// What a request does: its calls with their parameters, "says …", "asks", "passes".
pub fn heard_in(home: &str, request: &str, area: Option<&str>) -> String {
    let home = Inventory::parse(home).unwrap().home().unwrap();
    let now = jiff::civil::date(2026, 11, 29).at(12, 0, 0, 0);
    let setting = Setting { home: &home, area, now, last: &[], before: None, has_timers: false };
    let steps = match Matcher::english().unwrap().understand(request, &setting) {
        Outcome::Do(steps) => steps,
        Outcome::Ask { .. } => return "asks".to_owned(),
        Outcome::Pass(_) => return "passes".to_owned(),
    };
    let told = steps.iter().map(|step| match step {
        Step::Act(reading) => {
            let calls = reading.calls.iter().map(|call| {
                let data: Vec<String> = call.data.iter().map(|(key, value)| format!(" {key}={value}")).collect();
                format!("{} {}{}", call.service, call.entities.join(" "), data.concat())
            });
            calls.collect::<Vec<_>>().join(" + ")
        }
        Step::Say(_, answer) => format!("says {answer}"),
        Step::Request(request) => format!("{request:?}"),
    });
    told.collect::<Vec<_>>().join(" + ")
}

/// Holds each request to what it does, and tells of all that do otherwise. What is wanted may be a beginning that ends in "…".
pub fn each(home: &str, area: Option<&str>, pairs: &[(&str, &str)]) {
    let fits = |is: &str, wanted: &str| match wanted.strip_suffix('…') {
        Some(beginning) => is.starts_with(beginning),
        None => is == wanted,
    };
    let wrong: Vec<String> = pairs
        .iter()
        .map(|(request, does)| (request, heard_in(home, request, area), does))
        .filter(|(_, is, does)| !fits(is, does))
        .map(|(request, is, does)| format!("{request}\n  is:     {is}\n  wanted: {does}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

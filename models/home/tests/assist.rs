//! The matcher on the public inventory format: what its calls change in each home is what the sentence asked for.

use std::path::Path;

use nearfield_home::inventory::Inventory;
use nearfield_home::sentences::{Matcher, Outcome, Setting, Step};
use serde_json::{Map, Value};

fn yaml(path: &Path) -> Map<String, Value> {
    let text = std::fs::read_to_string(path).unwrap();
    nearfield_home::yaml::parse(&text).unwrap()
}

/// Why a sentence failed; `None` where everything that changed was expected and the other way round.
fn failure(matcher: &mut Matcher, fixtures: &str, test: &Value, sentence: &str) -> Option<String> {
    let mut inventory = Inventory::parse(fixtures).unwrap();
    for (id, state) in test["setup"].as_object().into_iter().flatten() {
        let attributes = state["attributes"].as_object().cloned().unwrap_or_default();
        inventory.set_up(id, state.get("state").cloned(), &attributes).unwrap();
    }
    let before = inventory.home().unwrap();
    let mut home = before.clone();
    let now = jiff::civil::date(2026, 11, 29).at(12, 0, 0, 0);
    let outcome = matcher
        .understand(sentence, &Setting { home: &before, area: None, now, last: &[], before: None, has_timers: false });
    let Outcome::Do(steps) = &outcome else { return Some(format!("{outcome:?}")) };
    for step in steps {
        let Step::Act(reading) = step else { continue };
        for call in &reading.calls {
            if let Err(error) = home.apply(call) {
                return Some(format!("{call:?}: {error}"));
            }
        }
    }
    let changes = home.changes_since(&before);
    let wanted = test["expect_changes"].as_object().cloned().unwrap_or_default();
    for id in changes.keys() {
        if !wanted.contains_key(id) {
            return Some(format!("changed {id}"));
        }
    }
    for (id, change) in &wanted {
        let Some(entity) = home.entity(id) else { return Some(format!("no {id}")) };
        if let Some(state) = change["state"].as_str().filter(|s| *s != entity.state) {
            return Some(format!("{id} is {} and not {state}", entity.state));
        }
        for (key, value) in change["attributes"].as_object().into_iter().flatten() {
            let ignored = test["ignore_changes"][id].as_array().is_some_and(|list| list.iter().any(|k| k == key));
            let is = entity.attributes.get(key).unwrap_or(&Value::Null);
            let alike = is == value || is.as_f64().zip(value.as_f64()).is_some_and(|(a, b)| (a - b).abs() < 1e-6);
            if !ignored && !alike {
                return Some(format!("{key} of {id} is {is} and not {value}"));
            }
        }
    }
    None
}

#[test]
fn every_sentence_of_the_public_set_changes_what_it_asks_for() {
    use std::io::Write;
    let Some(data) = std::env::var_os("NEARFIELD_TEST_DATA") else {
        writeln!(std::io::stderr(), "skipped: NEARFIELD_TEST_DATA is not set").unwrap();
        return;
    };
    let mut matcher = Matcher::english().unwrap();
    let (mut right, mut failures) = (0, Vec::new());
    let mut folders: Vec<_> =
        std::fs::read_dir(Path::new(&data).join("home/assist-mini")).unwrap().map(|f| f.unwrap().path()).collect();
    folders.sort();
    for folder in folders.iter().filter(|f| f.is_dir()) {
        let fixtures = std::fs::read_to_string(folder.join("_fixtures.yaml")).unwrap();
        for file in std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()) {
            if file.file_name().is_some_and(|name| name == "_fixtures.yaml") {
                continue;
            }
            for test in yaml(&file)["tests"].as_array().unwrap() {
                for sentence in test["sentences"].as_array().unwrap().iter().filter_map(Value::as_str) {
                    match failure(&mut matcher, &fixtures, test, sentence) {
                        None => right += 1,
                        Some(why) => failures.push(format!("{sentence}: {why}")),
                    }
                }
            }
        }
    }
    writeln!(std::io::stderr(), "{right} right, {} not:\n{}", failures.len(), failures.join("\n")).unwrap();
    assert!(right * 100 >= (right + failures.len()) * 95, "{}", failures.join("\n"));
}

#[test]
fn in_a_home_of_three_hundred_lights_a_request_is_understood_in_less_than_five_milliseconds() {
    let lights: String = (0..300)
        .map(|i| format!("  - id: light.lamp_{i}\n    name: Lamp {i}\n    area: room_{}\n    state: 'off'\n", i % 12))
        .collect();
    let areas: String = (0..12).map(|i| format!("  - id: room_{i}\n    name: Room {i}\n")).collect();
    let fixtures = format!("areas:\n{areas}entities:\n{lights}");
    let home = Inventory::parse(&fixtures).unwrap().home().unwrap();
    let mut matcher = Matcher::english().unwrap();
    let now = jiff::civil::date(2026, 11, 29).at(12, 0, 0, 0);
    let requests = [
        "Turn on lamp 17.",
        "Set lamp 71 and lamp 4 to 40 percent",
        "Turn off all lights in room 3 except lamp 3",
        "What is the tallest mountain in the world?",
        "is any light on in room 7?",
        "Which lamps are on in room 3 and room 4?",
        "It's late, turn off lamp 3 and lamp 5 and set lamp 7 to twenty percent",
        "Turn on the lmap in room 5 plese and dim lapm 12 to half",
        "Could you please tell me a story about a dragon and a lamp that never goes out, and then one about the sea?",
    ];
    let mut slow = Vec::new();
    // The home's names are read once.
    matcher.understand("hello", &Setting { home: &home, area: None, now, last: &[], before: None, has_timers: false });
    for request in requests {
        // The mean of many, of the time that this thread ran, because other programs run at the same time.
        const RUNS: u32 = 30;
        let started = on_cpu();
        for _ in 0..RUNS {
            matcher.understand(
                request,
                &Setting { home: &home, area: None, now, last: &[], before: None, has_timers: false },
            );
        }
        let mean = on_cpu().saturating_sub(started) / RUNS;
        println!("{:.2} ms: {request}", mean.as_secs_f64() * 1e3);
        if mean > std::time::Duration::from_millis(5) {
            slow.push(format!("{request}: {mean:?}"));
        }
    }
    assert!(slow.is_empty(), "{slow:?}");
}

/// How long this thread has run, where the system says so; else what the clock says.
fn on_cpu() -> std::time::Duration {
    let ran = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    match ran.as_deref().and_then(|text| text.split(' ').next()?.parse().ok()) {
        Some(nanoseconds) => std::time::Duration::from_nanos(nanoseconds),
        None => std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(),
    }
}

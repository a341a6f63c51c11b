//! What the server promises to do later is done: by `/v1/ask`, by Wyoming, and in `/events`, where nothing can ring.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nearfield_tests::service::Service;
use nearfield_tests::{arg, run, wait_for};
use serde_json::{Value, json};

/// A home of lights, a heater and a valve.
fn home(folder: &Path) -> PathBuf {
    let file = folder.join("home.yaml");
    let text = "areas:\n  - {id: kitchen, name: Kitchen}\n  - {id: garden, name: Garden}\nentities:\n  \
        - {id: light.kitchen, name: Kitchen light, area: kitchen, state: 'on'}\n  \
        - {id: switch.heater, name: Heater, area: kitchen, state: 'off'}\n  \
        - {id: valve.sprinkler, name: Sprinkler, area: garden, state: closed}\n";
    std::fs::write(&file, text).unwrap();
    file
}

fn state(service: &Service, entity: &str) -> String {
    let home = service.get("/v1/home").json();
    let found = home["entities"].as_array().unwrap().iter().find(|it| it["id"] == entity);
    found.unwrap_or_else(|| panic!("{entity} is not in {home}"))["state"].as_str().unwrap().to_owned()
}

fn becomes(service: &Service, entity: &str, due: &str) -> bool {
    wait_for(Duration::from_secs(20), || state(service, entity) == due)
}

#[test]
fn what_ask_promises_to_do_later_is_done_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let (home, timers) = (home(folder.path()), folder.path().join("timers.json"));
    let keys = [format!("home.file={}", arg(&home)), format!("home.timers={}", arg(&timers))];
    let service = Service::start(&["--set", &keys[0], "--set", &keys[1]]);
    let ask = |text: &str| service.post("/v1/ask", &json!({"text": text})).json();
    let said = ask("turn on the heater for 2 seconds");
    assert!(said["reply"].as_str().unwrap().contains("in 2 seconds"), "{said}");
    assert!(timers.exists(), "the wish is not kept");
    assert_eq!(state(&service, "switch.heater"), "on");
    assert!(becomes(&service, "switch.heater", "off"), "{said}");
    let said = ask("turn off the kitchen light in 2 seconds");
    assert_eq!(state(&service, "light.kitchen"), "on", "{said}");
    assert!(becomes(&service, "light.kitchen", "off"), "{said}");
    ask("set a timer for 1 second");
    let mut events = service.connect();
    let head = format!("GET /events HTTP/1.1\r\nhost: {}\r\nlast-event-id: 0\r\n\r\n", service.http);
    events.write_all(head.as_bytes()).unwrap();
    let told: Vec<Value> = BufReader::new(events)
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .filter(|event| event["event"] == "timer")
        .take(3)
        .collect();
    let texts: Vec<&str> = told.iter().map(|event| event["text"].as_str().unwrap()).collect();
    assert!(
        texts[0].contains("Turned off the heater") && texts[1].contains("Turned off the kitchen light"),
        "{texts:?}"
    );
    assert_eq!(texts[2], "The timer of 1 second is over.");
}

#[test]
fn what_wyoming_promises_is_done_also_after_a_restart_of_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let (home, timers) = (home(folder.path()), folder.path().join("timers.json"));
    let keys = [format!("home.file={}", arg(&home)), format!("home.timers={}", arg(&timers))];
    let start = || Service::start(&["--wyoming", "127.0.0.1:0", "--set", &keys[0], "--set", &keys[1]]);
    let command = |service: &Service, text: &str| -> Value {
        let mut to = TcpStream::connect(service.wyoming.as_ref().unwrap()).unwrap();
        to.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        to.write_all(format!("{}\n", json!({"type": "transcript", "data": {"text": text}})).as_bytes()).unwrap();
        let mut from = BufReader::new(to);
        let mut line = String::new();
        from.read_line(&mut line).unwrap();
        let head: Value = serde_json::from_str(&line).unwrap();
        let mut data = vec![0; head["data_length"].as_u64().unwrap() as usize];
        from.read_exact(&mut data).unwrap();
        json!([head["type"], serde_json::from_slice::<Value>(&data).unwrap()["text"]])
    };
    let service = start();
    let said = command(&service, "open the sprinkler for 2 seconds");
    assert_eq!(said[0], "handled", "{said}");
    assert!(becomes(&service, "valve.sprinkler", "closed"), "{said}");
    let said = command(&service, "turn off the kitchen light in 8 seconds");
    assert_eq!(said[0], "handled", "{said}");
    drop(service);
    let service = start();
    assert!(becomes(&service, "light.kitchen", "off"), "{said}");
    let said = command(&service, "set an alarm for seven in the morning");
    let asked = command(&service, "how long is left on my timer");
    assert!(said[0] == "handled" && !asked.to_string().contains("no timer"), "{said} {asked}");
}

#[test]
fn a_chat_that_is_over_before_the_time_comes_promises_nothing_and_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let home = home(folder.path());
    let before = std::fs::read_to_string(&home).unwrap();
    let said = run(&["chat", "turn on the heater for 5 minutes", "--home", arg(&home)]);
    said.assert_done();
    assert!(said.stdout.contains("I can start no timer and do nothing later"), "{}", said.stdout);
    assert_eq!(std::fs::read_to_string(&home).unwrap(), before);
}

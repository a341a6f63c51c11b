//! Captions on their way to other machines: a real mosquitto with Home Assistant's announcements, and webhooks that refuse or
//! say nothing. Without a vision model, since none of this depends on one.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nearfield_tests::broker::Broker;
use nearfield_tests::{arg, run_with_input};
use nearfield_vision::{Picture, encode_jpeg};
use serde_json::{Value, json};

/// Four pictures of each of so many scenes: a bright bar that moves.
fn scenes(n: u32) -> Vec<u8> {
    let picture = |i: u32| {
        let place = i / 4 % 3;
        let grey = |x: u32| if (place * 32 + 6..place * 32 + 26).contains(&x) { 220 } else { 50 };
        let rgb = (0..96 * 72).flat_map(|p| [grey(p % 96); 3]).collect();
        encode_jpeg(&Picture::from_rgb(96, 72, rgb, "a scene").unwrap(), 90).unwrap()
    };
    (0..n * 4).flat_map(picture).collect()
}

/// Captions so many scenes; answers the summary and how long it took.
fn caption(n: u32, sets: &[&str]) -> (Value, Duration) {
    let mut args =
        vec!["caption", "--input", "-", "--json", "--set", "vision.model=none", "--set", "gate.min_interval_ms=0"];
    args.extend(sets.iter().flat_map(|s| ["--set", s]));
    let begun = Instant::now();
    let ran = run_with_input(&args, &scenes(n));
    (ran.assert_done().json().pop().unwrap()["summary"].clone(), begun.elapsed())
}

#[test]
fn home_assistant_learns_of_each_camera_and_has_its_latest_caption() {
    let folder = tempfile::tempdir().unwrap();
    let Some(broker) = Broker::start(folder.path(), "allow_anonymous true") else { return };
    let mqtt = format!("outlets.mqtt=mqtt://127.0.0.1:{}", broker.port);
    let spool = format!("outlets.spool={}", arg(folder.path()));
    assert_eq!(caption(2, &[&mqtt, &spool, "outlets.name=hut"]).0["captions"], 2);
    caption(3, &[&mqtt, &spool, "outlets.name=hut", "source.camera=Front Door", "mqtt.version=3.1.1"]);
    let found = broker.retained(6);
    let topics: Vec<&str> = found.keys().map(String::as_str).collect();
    let (config, state) = ("homeassistant/sensor/nearfield_hut/caption/config", "nearfield/hut/caption/state");
    let door =
        ["homeassistant/sensor/nearfield_hut/caption_front_door/config", "nearfield/hut/caption_front_door/state"];
    let available = ["nearfield/hut/caption/available", "nearfield/hut/caption_front_door/available"];
    assert_eq!(topics, [config, door[0], available[0], state, available[1], door[1]]);
    // Nobody is there any more to change the caption.
    assert_eq!((&found[config]["availability_topic"], &found[available[0]]), (&json!(available[0]), &json!("offline")));
    assert_eq!(found[config]["state_topic"], state);
    assert!(found[config]["value_template"].as_str().unwrap().contains("value_json.text"), "{}", found[config]);
    assert_ne!(found[config]["unique_id"], found[door[0]]["unique_id"]);
    // What the template shows, and what the attributes hold.
    assert_eq!(found[state]["text"], "The scene has changed.");
    assert_eq!((found[state]["frame"].as_u64(), found[state]["changed"].as_bool()), (Some(6), Some(true)));
    assert_eq!((found[door[1]]["camera"].as_str(), found[door[1]]["frame"].as_u64()), (Some("Front Door"), Some(10)));
}

#[test]
fn a_broker_that_is_away_gets_the_captions_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let spool = format!("outlets.spool={}", arg(folder.path()));
    let Some(broker) = Broker::start(folder.path(), "allow_anonymous true") else { return };
    let mqtt = format!("outlets.mqtt=mqtt://127.0.0.1:{}", broker.port);
    assert_eq!(caption(2, &["outlets.mqtt=mqtt://127.0.0.1:1", &spool]).0["captions"], 2);
    assert_eq!(waiting(&folder.path().join("caption-mqtt")), 2);
    caption(1, &[&mqtt, &spool, "outlets.name=hut"]);
    assert_eq!(waiting(&folder.path().join("caption-mqtt")), 0);
    assert_eq!(broker.retained(3)["nearfield/hut/caption/state"]["text"], "A first look at the scene.");
}

fn waiting(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

/// A server that gives each request to `answer`; the frames that it was told of come out of the receiver.
fn server(answer: impl Fn(&mut TcpStream) + Send + 'static) -> (String, Receiver<u64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let hook = format!("outlets.webhook=http://{}/hook", listener.local_addr().unwrap());
    let (told, frames) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut text, mut block) = (stream.unwrap(), String::new(), [0; 4096]);
            let body = loop {
                let n = stream.read(&mut block).unwrap_or(0);
                text.push_str(&String::from_utf8_lossy(&block[..n]));
                let body = text.split_once("\r\n\r\n").and_then(|(_, b)| serde_json::from_str::<Value>(b).ok());
                if body.is_some() || n == 0 {
                    break body;
                }
            };
            if told.send(body.and_then(|b| b["frame"].as_u64()).unwrap_or(0)).is_err() {
                return;
            }
            answer(&mut stream);
        }
    });
    (hook, frames)
}

fn answer(line: &'static str) -> impl Fn(&mut TcpStream) {
    move |stream| {
        let _ = write!(stream, "HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
}

#[test]
fn a_webhook_that_answers_500_costs_no_caption_and_the_spool_keeps_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let spool = format!("outlets.spool={}", arg(folder.path()));
    let (hook, refused) = server(answer("500 Internal Server Error"));
    let (summary, _) = caption(5, &[&hook, &spool, "outlets.spool_messages=3"]);
    assert_eq!((summary["captions"].as_u64(), waiting(&folder.path().join("caption-webhook"))), (Some(5), 3));
    // It was asked at once, and again after a while and at the end: not for each caption.
    let tries: Vec<u64> = refused.try_iter().collect();
    // The first try may come after the oldest had made room already.
    assert!([1, 6, 10].contains(&tries[0]) && tries.len() < 5, "{tries:?}");
    let (hook, accepted) = server(answer("204 No Content"));
    caption(1, &[&hook, &spool]);
    // Scenes begin at 1, 5, 9, 13, 17 and count from their second picture; the oldest two had made room. One that is being
    // delivered at that moment is not discarded: then the next oldest makes room instead.
    let accepted: Vec<u64> = accepted.try_iter().collect();
    assert!([1, 6, 10].contains(&accepted[0]) && accepted[1..] == [14, 18, 1], "{accepted:?}");
    assert_eq!(waiting(&folder.path().join("caption-webhook")), 0);
}

#[test]
fn a_webhook_that_never_answers_holds_up_neither_the_captions_nor_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let spool = format!("outlets.spool={}", arg(folder.path()));
    let (hook, asked) = server(|_| std::thread::sleep(Duration::from_secs(60)));
    let (summary, took) = caption(4, &[&hook, &spool, "outlets.webhook_timeout_s=2.5"]);
    assert_eq!(summary["captions"], 4);
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), [1], "tried once, and not once more at the end");
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!(waiting(&folder.path().join("caption-webhook")), 4, "all wait for the next start");
}

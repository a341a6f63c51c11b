//! The messages that news makes.

use std::sync::Arc;

use nearfield_vision::{Object, Picture, TrackOptions, VisionResult};

use super::*;
use crate::caption::events::{Assembler, EventOptions};
use crate::messages::View;

fn frigate() -> Frigate {
    Frigate::new(FrigateOptions {
        connect: ConnectOptions::to_nobody(),
        prefix: "frigate/".to_owned(),
        camera: "front door".to_owned(),
        installation: "house".to_owned(),
        device: "Nearfield (house)".to_owned(),
        discovery_prefix: "homeassistant".to_owned(),
        has_clips: true,
    })
}

/// A person who is there for two seconds.
fn news() -> Vec<News> {
    let mut assembler =
        Assembler::new("front door", EventOptions::default(), TrackOptions::default(), Vec::new(), Vec::new());
    let mut news = Vec::new();
    for n in 0..10u64 {
        let view = View {
            name: "made up".to_owned(),
            at: Duration::from_millis(n * 200),
            taken: Instant::now(),
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_000 + n * 200),
            picture: Arc::new(Picture::from_rgb(100, 100, vec![120; 30_000], "grey").unwrap()),
        };
        let rect = Rect { x: 0.1 + 0.02 * n as f32, y: 0.2, w: 0.2, h: 0.6 };
        let person = Object { label: "person".to_owned(), score: 0.75, rect, class: 0 };
        let sight = VisionResult { objects: vec![person], ..VisionResult::default() };
        news.extend(assembler.see(&view, &sight, ""));
    }
    news.extend(assembler.finish());
    news
}

#[test]
fn an_object_is_new_updated_and_over_in_frigates_form() {
    let mut frigate = frigate();
    let posts = frigate.posts(&news());
    let events: Vec<Value> = posts
        .iter()
        .filter(|p| p.topic == "frigate/events")
        .map(|p| serde_json::from_slice(&p.payload).unwrap())
        .collect();
    let types: Vec<&str> = events.iter().filter_map(|e| e["type"].as_str()).collect();
    assert_eq!((types[0], types[types.len() - 1]), ("new", "end"));
    let (first, last) = (&events[0]["after"], &events[events.len() - 1]["after"]);
    assert_eq!(first["id"], last["id"]);
    assert!(first["id"].as_str().unwrap().starts_with("1800000000.000000-"), "{first}");
    assert_eq!((first["camera"].as_str(), first["label"].as_str()), (Some("front_door"), Some("person")));
    assert!(first["end_time"].is_null() && last["end_time"].as_f64() == Some(1_800_000_001.8), "{last}");
    assert_eq!(last["box"], json!([28, 20, 48, 80]));
    assert_eq!((last["area"].as_u64(), last["ratio"].as_f64()), (Some(1200), Some(0.333)));
    assert_eq!((last["false_positive"].as_bool(), last["has_snapshot"].as_bool()), (Some(false), Some(true)));
    let pictures: Vec<_> = posts.iter().filter(|p| p.topic == "frigate/front_door/person/snapshot").collect();
    assert!(!pictures.is_empty() && pictures.iter().all(|p| p.is_kept && p.payload.starts_with(&[0xff, 0xd8])));
    let counts: Vec<&[u8]> =
        posts.iter().filter(|p| p.topic == "frigate/front_door/person").map(|p| &p.payload[..]).collect();
    assert_eq!(counts, [&b"1"[..], b"0"]);
}

#[test]
fn home_assistant_is_told_once_of_each_count_and_of_pictures() {
    let mut frigate = frigate();
    let posts = frigate.posts(&news());
    let configs: Vec<&str> =
        posts.iter().filter(|p| p.topic.starts_with("homeassistant/")).map(|p| p.topic.as_str()).collect();
    assert_eq!(
        configs,
        [
            "homeassistant/sensor/nearfield_house/front_door_all_count/config",
            "homeassistant/binary_sensor/nearfield_house/front_door_all_present/config",
            "homeassistant/sensor/nearfield_house/front_door_person_count/config",
            "homeassistant/binary_sensor/nearfield_house/front_door_person_present/config",
            "homeassistant/image/nearfield_house/front_door_person_picture/config",
        ]
    );
    let image = posts.iter().find(|p| p.topic.contains("/image/")).unwrap();
    let body: Value = serde_json::from_slice(&image.payload).unwrap();
    assert_eq!(body["image_topic"], "frigate/front_door/person/snapshot");
    assert_eq!(body["availability_topic"], "frigate/available");
    // A broker that is away costs nothing but the messages that are no states.
    frigate.publish(posts);
    assert_eq!(frigate.states["frigate/front_door/person"], b"0");
    assert!(frigate.next_try.is_some() && !frigate.states.contains_key("frigate/events"));
    assert!(frigate.posts(&news()).iter().all(|p| !p.topic.starts_with("homeassistant/")));
}

#[test]
fn names_in_any_script_are_announced_in_letters_that_home_assistant_takes_and_stay_apart() {
    let mut configs = std::collections::BTreeSet::new();
    for (camera, label) in
        [("Haustür", "all"), ("Haustor.1", "all"), ("玄関", "人"), ("台所", "人"), ("front door", "dog")]
    {
        let mut frigate = frigate();
        frigate.options.camera = camera.to_owned();
        for zone in [None, Some("Einfahrt/Straße")] {
            for post in frigate.announcement(zone, label) {
                let body: Value = serde_json::from_slice(&post.payload).unwrap();
                let (_, rest) = post.topic.split_once('/').unwrap();
                let is_valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/');
                assert!(rest.chars().all(is_valid) && rest.split('/').count() == 4, "{}", post.topic);
                assert!(body["name"].as_str().unwrap().contains(zone.unwrap_or(camera)), "{body}");
                assert!(configs.insert(post.topic.clone()), "twice: {}", post.topic);
            }
        }
    }
    // A name that was well before stays.
    assert!(configs.contains("homeassistant/sensor/nearfield_house/front_door_dog_count/config"), "{configs:?}");
}

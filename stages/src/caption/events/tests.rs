//! Scenes from made-up detections, as a camera at five pictures a second would give them.

use nearfield_vision::{Line, Object, TrackOptions, VisionResult, Zone};

use super::*;
use crate::messages::View;

fn object(label: &str, x: f32, y: f32, h: f32) -> Object {
    Object { label: label.to_owned(), score: 0.8, rect: Rect::around(x, y, h / 3.0, h), class: 0 }
}

fn view(at_ms: u64) -> View {
    View {
        name: "made up".to_owned(),
        at: Duration::from_millis(at_ms),
        taken: Instant::now(),
        time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_000 + at_ms),
        picture: Arc::new(Picture::from_rgb(160, 90, vec![120; 160 * 90 * 3], "grey").unwrap()),
    }
}

fn assembler(options: EventOptions) -> Assembler {
    let zone = Zone {
        name: "path".to_owned(),
        points: vec![[0.3, 0.0], [0.7, 0.0], [0.7, 1.0], [0.3, 1.0]],
        dwell_s: 0.0,
        ..Zone::default()
    };
    let line = Line { name: "gate".to_owned(), from: [0.5, 0.0], to: [0.5, 1.0], objects: Vec::new() };
    let track = TrackOptions { lost_ms: 1000, ..TrackOptions::default() };
    Assembler::new("front door", options, track, vec![zone], vec![line])
}

/// Plays pictures, one each 200 ms; answers all news.
fn play(assembler: &mut Assembler, from_ms: u64, pictures: &[Vec<Object>]) -> Vec<News> {
    let mut news = Vec::new();
    for (n, objects) in pictures.iter().enumerate() {
        let sight = VisionResult { objects: objects.clone(), ..VisionResult::default() };
        news.extend(assembler.see(&view(from_ms + n as u64 * 200), &sight, "A person on the left."));
    }
    news
}

/// What was told, shortly.
fn told(news: &[News]) -> Vec<String> {
    let mut told = Vec::new();
    for news in news {
        told.push(match news {
            News::Object(step, _, after) => format!("{step:?} {} {}", after.label, after.id),
            News::Zone { zone, kind, label, .. } => format!("{kind} {zone} {label}"),
            News::Crossed { line, inwards, total, .. } => format!("crossed {line} {inwards} {total:?}"),
            News::Counts(_) => continue,
            News::Started(_) => "started".to_owned(),
            News::Ended(event) => format!("ended: {}", event.caption),
        });
    }
    told
}

fn walk(from: f32, to: f32, steps: usize) -> Vec<Vec<Object>> {
    (0..steps).map(|n| vec![object("person", from + (to - from) * n as f32 / (steps - 1) as f32, 0.5, 0.5)]).collect()
}

#[test]
fn a_walk_through_the_picture_is_one_event_with_its_zone_its_line_and_its_sentence() {
    let mut assembler = assembler(EventOptions::default());
    let mut pictures = walk(0.1, 0.9, 26);
    pictures.extend(std::iter::repeat_n(Vec::new(), 30));
    let news = play(&mut assembler, 0, &pictures);
    let told = told(&news);
    assert_eq!(
        told.iter().filter(|t| !t.starts_with("Update")).map(String::as_str).collect::<Vec<_>>(),
        [
            "New person 1",
            "started",
            "zone_entered path person",
            // Of a line from above to below the right side, seen from its beginning, is the left of the picture.
            "crossed gate false (0, 1)",
            "zone_left path person",
            "End person 1",
            "ended: A person from left to right in 5 seconds (2 seconds in path); crossed gate outwards.",
        ]
    );
    let Some(News::Ended(event)) = news.iter().find(|n| matches!(n, News::Ended(_))) else { panic!("{told:?}") };
    assert_eq!(event.id, "20270115T080000.000Z-front-door");
    assert_eq!((event.start_at, event.end.unwrap().1), (Duration::ZERO, Duration::from_secs(5)));
    assert!(event.picture.is_some() && event.scene == "A person on the left.");
    assert!(assembler.finish().is_empty());
}

#[test]
fn one_who_sits_down_ends_the_event_and_begins_another_by_getting_up() {
    let options = EventOptions { stationary_s: 2.0, quiet_s: 1.0, ..EventOptions::default() };
    let mut assembler = assembler(options);
    let mut pictures = walk(0.05, 0.28, 10);
    pictures.extend(std::iter::repeat_n(vec![object("person", 0.28, 0.5, 0.5)], 40));
    pictures.extend(walk(0.28, 0.05, 10));
    pictures.extend(std::iter::repeat_n(Vec::new(), 20));
    let news = play(&mut assembler, 0, &pictures);
    let ends: Vec<_> =
        told(&news).into_iter().filter(|t| t.starts_with("ended") || t == "started" || t.starts_with("End")).collect();
    assert_eq!(
        ends,
        [
            "started",
            "ended: A person from left to right in 4 seconds, now at rest.",
            "started",
            "End person 1",
            "ended: A person for 1 second.",
        ]
    );
    let starts: Vec<_> = news
        .iter()
        .filter_map(|n| if let News::Started(e) = n { Some(e.start_at.as_millis()) } else { None })
        .collect();
    assert!(starts[1] >= 10_000, "the second begins with its own movement: {starts:?}");
}

#[test]
fn labels_that_are_not_wanted_make_no_event_and_an_open_one_ends_with_the_source() {
    let options = EventOptions { objects: vec!["dog".to_owned()], ..EventOptions::default() };
    let mut assembler = assembler(options);
    assert!(told(&play(&mut assembler, 0, &walk(0.1, 0.9, 20))).is_empty());
    let dogs: Vec<_> = (0..5).map(|n| vec![object("dog", 0.2 + 0.01 * n as f32, 0.5, 0.2)]).collect();
    assert_eq!(told(&play(&mut assembler, 8_000, &dogs)), ["New dog 2", "started"]);
    assert_eq!(told(&assembler.finish()), ["End dog 2", "ended: A dog for 1 second."]);
}

#[test]
fn a_long_event_is_cut_and_goes_on() {
    let options = EventOptions { max_s: 2.0, ..EventOptions::default() };
    let mut assembler = assembler(options);
    let news = play(&mut assembler, 0, &walk(0.05, 0.95, 30));
    let told = told(&news);
    assert_eq!(told.iter().filter(|t| *t == "started").count(), 3, "{told:?}");
    assert_eq!(told.iter().filter(|t| t.starts_with("ended")).count(), 2, "{told:?}");
}

#[test]
fn counts_are_told_when_they_change_for_the_picture_and_each_zone() {
    let mut assembler = assembler(EventOptions::default());
    let two = vec![object("person", 0.1, 0.5, 0.4), object("dog", 0.5, 0.7, 0.2)];
    let mut pictures = vec![two; 5];
    pictures.extend(std::iter::repeat_n(Vec::new(), 10));
    let mut last: BTreeMap<(Option<String>, String), Vec<usize>> = BTreeMap::new();
    for news in play(&mut assembler, 0, &pictures) {
        if let News::Counts(counts) = news {
            counts.into_iter().for_each(|(key, n)| last.entry(key).or_default().push(n));
        }
    }
    let of = |zone: Option<&str>, label: &str| last[&(zone.map(str::to_owned), label.to_owned())].clone();
    assert_eq!(of(None, "all"), [2, 0]);
    assert_eq!((of(None, "person"), of(None, "dog")), (vec![1, 0], vec![1, 0]));
    assert_eq!(of(Some("path"), "all"), [1, 0]);
    assert!(!last.contains_key(&(Some("path".to_owned()), "person".to_owned())));
}

#[test]
fn groups_are_told_as_such() {
    let person = |id, direction: &str| EventObject {
        id,
        label: "person".to_owned(),
        score: 0.8,
        seconds: 4.0,
        direction: direction.to_owned(),
        stationary: false,
        zones: Vec::new(),
    };
    let mut event = SceneEvent {
        id: String::new(),
        start: SystemTime::UNIX_EPOCH,
        start_at: Duration::ZERO,
        end: None,
        objects: vec![person(1, "left to right"), person(2, "left to right"), person(3, "towards the camera")],
        crossed: vec![("gate".to_owned(), true), ("gate".to_owned(), true)],
        caption: String::new(),
        scene: String::new(),
        picture: None,
    };
    let wanted =
        "Two people from left to right and a person towards the camera in 4 seconds; crossed gate inwards 2 times.";
    assert_eq!(sentence::caption(&event), wanted);
    event.objects.clear();
    event.crossed.clear();
    assert_eq!(sentence::caption(&event), "Something that was gone at once.");
}

fn captioned(view: View, sight: VisionResult) -> Captioned {
    Captioned {
        view,
        sight,
        verdict: nearfield_vision::Verdict::Same,
        similarity: 1.0,
        caption: String::new(),
        author: crate::messages::Author::Kept,
        changed: false,
        second_opinion: None,
        tokens: crate::messages::Tokens::default(),
        language: Duration::ZERO,
        movements: Vec::new(),
        alerts: Vec::new(),
    }
}

#[test]
fn an_alert_waits_for_an_object_that_is_confirmed_where_objects_are_followed() {
    use crate::caption::alerts::AlertRule;
    let rule = AlertRule { name: "door".to_owned(), objects: vec!["person".to_owned()], ..AlertRule::default() };
    // In the second picture somebody who is never seen again; from the fifth on somebody who stays.
    let there = |n: u64| if n == 1 || n >= 4 { vec![object("person", 0.1, 0.5, 0.4)] } else { Vec::new() };
    let of = |assembler: Option<Assembler>, apart_ms: u64| -> Vec<u64> {
        let mut follow = Follow::new(assembler, Alerts::new(vec![rule.clone()], Vec::new()));
        let mut told = Vec::new();
        for n in 0..9 {
            let sight = VisionResult { objects: there(n), ..VisionResult::default() };
            let mut emit = |e: Envelope<Followed>| {
                told.extend(e.body.captioned.unwrap().alerts.iter().map(|_| n));
                std::ops::ControlFlow::Continue(())
            };
            follow.take(Envelope::new(Turn(n + 1), captioned(view(n * apart_ms), sight)), &mut emit).unwrap();
        }
        told
    };
    // confirm_pictures is 3: the third picture of somebody who stays.
    assert_eq!(of(Some(assembler(EventOptions::default())), 200), [6, 7, 8]);
    // Too far apart to follow anybody from one to the next: each picture counts.
    assert_eq!(of(Some(assembler(EventOptions::default())), 5000), [1, 4, 5, 6, 7, 8]);
    assert_eq!(of(None, 200), [1, 4, 5, 6, 7, 8], "pictures that were chosen one by one");
}

#[test]
fn a_source_that_gives_no_pictures_any_more_has_nothing_before_it() {
    let mut follow = Follow::new(Some(assembler(EventOptions::default())), Alerts::default());
    let mut told = Vec::new();
    for n in 0..5u64 {
        let sight = VisionResult { objects: vec![object("person", 0.1, 0.5, 0.4)], ..VisionResult::default() };
        let captioned = captioned(view(n * 200), sight);
        let mut emit = |e: Envelope<Followed>| {
            told.extend(e.body.news);
            std::ops::ControlFlow::Continue(())
        };
        follow.take(Envelope::new(Turn(n + 1), captioned), &mut emit).unwrap();
    }
    assert!(follow.wake_at().is_some_and(|at| at > Instant::now() + AWAY / 2));
    let mut ended = Vec::new();
    follow
        .wake(&mut |e| {
            ended.extend(e.body.news);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    let zero = ended.iter().any(|n| matches!(n, News::Counts(c) if c.values().all(|n| *n == 0)));
    assert!(zero && ended.iter().any(|n| matches!(n, News::Ended(_))), "{ended:?}");
    assert_eq!(follow.wake_at(), None);
}

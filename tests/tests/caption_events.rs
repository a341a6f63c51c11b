//! Events of `nearfield caption`, from outside: a real video and a real detector, what is in the folder, the file and on the page.

use std::path::Path;

use nearfield_testdata::test_data;
use nearfield_tests::{arg, run, skipped};
use serde_json::Value;

/// The video of six people who come one after the other, stand at a table, and leave on the right; and the model.
fn material() -> Option<(String, String)> {
    let video = test_data("video/one-by-one-person-detection.mp4")?;
    let model = test_data("vision/FastestDet.onnx")?;
    if !std::process::Command::new("ffmpeg").arg("-version").output().is_ok_and(|o| o.status.success()) {
        skipped("ffmpeg is not installed");
        return None;
    }
    Some((arg(&video).to_owned(), arg(&model).to_owned()))
}

fn json_files(folder: &Path) -> Vec<Value> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().map(|e| e.path()).collect();
    files.sort();
    files
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
        .collect()
}

#[test]
fn each_of_six_people_in_a_real_video_is_one_event_with_one_number_a_picture_and_a_clip() {
    let Some((video, model)) = material() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (kept, lines) = (folder.path().join("events"), folder.path().join("day.jsonl"));
    let set = [
        format!("event.folder={}", arg(&kept)),
        "event.objects=[\"person\"]".to_owned(),
        "source.fps=5".to_owned(),
        "source.camera=hall".to_owned(),
        "caption.by_rule=true".to_owned(),
        "clips.enabled=true".to_owned(),
        "lines=[{name=\"right\", from=[0.75, 0.0], to=[0.75, 1.0]}]".to_owned(),
        "zones=[{name=\"table\", points=[[0.35, 0.5], [0.75, 0.5], [0.75, 1.0], [0.35, 1.0]]}]".to_owned(),
    ];
    let mut args = vec!["caption", "--input", &video, "--model", &model, "--events", arg(&lines)];
    set.iter().for_each(|set| args.extend(["--set", set.as_str()]));
    // Twice: the same video makes the same events, and no others.
    run(&args).assert_done();
    let ran = run(&args);
    ran.assert_done();
    assert!(ran.stdout.contains("6 events"), "{}", ran.stdout);
    let events = json_files(&kept);
    assert_eq!(events.len(), 6, "{events:#?}");
    for event in &events {
        let objects = event["objects"].as_array().unwrap();
        assert_eq!(objects.len(), 1, "one person, who keeps the number: {event:#}");
        assert_eq!(objects[0]["direction"], "left to right");
        assert_eq!((&event["zones"][0], &event["crossed"][0]["direction"]), (&"table".into(), &"out".into()));
        for key in ["picture", "clip"] {
            let file = kept.join(event[key].as_str().unwrap());
            assert!(file.metadata().unwrap().len() > 2000, "{}", file.display());
        }
    }
    let text = std::fs::read_to_string(&lines).unwrap();
    let told: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| told.iter().filter(|line| line["event"] == kind).count();
    assert_eq!([of("event_started"), of("event_ended"), of("crossed")], [12, 12, 12]);
    assert!(of("entered") > 0 && of("caption") > 0, "what was told before still is");
    let page = kept.join("index.html");
    run(&["events", arg(&kept), "--output", arg(&page)]).assert_done();
    let html = std::fs::read_to_string(&page).unwrap();
    assert_eq!(html.matches("<article").count(), 6);
    assert!(!html.contains("://"), "the page asks nobody for anything");
    let found = run(&["events", arg(&kept), "--search", "people walking in the hall near tables"]);
    found.assert_done();
    assert_eq!(found.stdout.lines().count(), 6, "{}", found.stdout);
    run(&["events", arg(&folder.path().join("nowhere"))]).assert_fails(2, &["nowhere", "event.folder"]);
}

/// The test above has motion on, as it is by default: the detector looks at less, and finds no less.
#[test]
fn the_detector_finds_no_more_events_where_it_looks_at_every_picture() {
    let Some((video, model)) = material() else { return };
    let args = ["caption", "--input", &video, "--model", &model, "--json"];
    let set = ["event.objects=[\"person\"]", "source.fps=5", "caption.by_rule=true", "motion.enabled=false"];
    let set: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
    let lines = run(&[&args[..], &set].concat()).assert_done().json();
    assert_eq!(lines.last().unwrap()["summary"]["events"], 6);
}

/// A record as `nearfield caption` writes it.
fn record(folder: &Path, second: u32) -> String {
    let name = format!("20270115T0800{second:02}.000Z-door");
    let event = serde_json::json!({"id": name, "camera": "door", "start": format!("2027-01-15T08:00:{second:02}.000Z"),
        "caption": "A person.", "objects": [{"label": "person"}], "zones": [], "seconds": 2.0});
    std::fs::write(folder.join(format!("{name}.json")), event.to_string()).unwrap();
    name
}

#[test]
fn the_page_of_events_is_written_over_nothing_but_an_earlier_page() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("events");
    std::fs::create_dir(&kept).unwrap();
    let names = [record(&kept, 1), record(&kept, 2)];
    let clip = kept.join(format!("{}.mp4", names[0]));
    let (notes, foreign) = (folder.path().join("notes.md"), folder.path().join("foreign.html"));
    std::fs::write(&clip, "a clip").unwrap();
    std::fs::write(&notes, "notes").unwrap();
    std::fs::write(&foreign, "<!doctype html>\n<title>of somebody else</title>").unwrap();
    let link = folder.path().join("link.html");
    let json = kept.join(format!("{}.json", names[1]));
    std::os::unix::fs::symlink(&json, &link).unwrap();
    let before = [&clip, &notes, &foreign, &json].map(|path| std::fs::read(path).unwrap());
    for (output, words) in [
        (&clip, "ends in .html"),
        (&notes, "ends in .html"),
        (&json, "ends in .html"),
        (&foreign, "not a page of events"),
        (&link, "not a page of events"),
    ] {
        run(&["events", arg(&kept), "--output", arg(output)]).assert_fails(2, &[words, arg(output)]);
    }
    assert_eq!([&clip, &notes, &foreign, &json].map(|path| std::fs::read(path).unwrap()), before);
    let page = kept.join("index.html");
    for _ in 0..2 {
        let ran = run(&["events", arg(&kept), "--output", arg(&page)]);
        assert!(ran.assert_done().stdout.contains("2 events"), "{ran:#?}");
    }
    // An empty file is no one's.
    let empty = folder.path().join("empty.htm");
    std::fs::write(&empty, "").unwrap();
    run(&["events", arg(&kept), "--output", arg(&empty)]).assert_done();
}

#[test]
fn records_that_cannot_be_read_are_named_in_every_form_of_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (1..=5).map(|second| record(folder.path(), second)).collect();
    for name in &names[..2] {
        let path = folder.path().join(format!("{name}.json"));
        let text = std::fs::read(&path).unwrap();
        std::fs::write(&path, &text[..60]).unwrap();
    }
    let page = folder.path().join("index.html");
    for more in [&[][..], &["--json"], &["--output", arg(&page)], &["--search", "person"]] {
        let ran = run(&[&["events", arg(folder.path())], more].concat());
        ran.assert_done();
        assert!(ran.stderr.contains("2 records cannot be read and are left out"), "{more:?}: {ran:#?}");
        assert!(names[..2].iter().all(|name| ran.stderr.contains(name)) && !ran.stderr.contains(&names[2]), "{ran:#?}");
    }
    for name in &names {
        std::fs::write(folder.path().join(format!("{name}.json")), "garbage").unwrap();
    }
    let ran = run(&["events", arg(folder.path())]);
    assert!(ran.assert_done().stdout.contains("no events that can be read"), "{ran:#?}");
    assert!(ran.stderr.contains("5 records"), "{ran:#?}");
}

//! A folder of events, and what is in it after each.

use std::sync::Arc;

use nearfield_vision::Picture;

use super::*;

fn event(n: u64) -> Box<SceneEvent> {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + n * 60);
    let picture = Picture::from_rgb(64, 64, (0..64 * 64 * 3).map(|i| (i * 7 % 251) as u8).collect(), "noise").unwrap();
    Box::new(SceneEvent {
        id: format!("20270115T08{n:02}00.000Z-door"),
        start,
        start_at: Duration::from_secs(n * 60),
        end: Some((start + Duration::from_secs(5), Duration::from_secs(n * 60 + 5))),
        objects: Vec::new(),
        crossed: Vec::new(),
        caption: "A person.".to_owned(),
        scene: String::new(),
        picture: Some(Arc::new(picture)),
    })
}

fn archive(folder: &Path, keep: EventRetention, clips: ClipsFrom, ffmpeg: &str) -> Archive {
    let options = ClipOptions { enabled: !matches!(clips, ClipsFrom::Nothing), ..ClipOptions::default() };
    Archive::open("door", folder, keep, options, clips, ffmpeg).unwrap()
}

fn give(archive: &mut Archive, event: Box<SceneEvent>) {
    archive.take(Envelope::new(Turn(0), event), &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
}

fn end(archive: &mut Archive) {
    archive.finish(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

const ALL: EventRetention = EventRetention { age: None, bytes: u64::MAX };

/// Shell functions for scripts: `whole FILE` puts what it reads into an MP4 file's last box, behind an empty index.
const MP4: &str =
    "whole() { t=$(cat); printf '\\000\\000\\000\\010moov\\000\\000\\000\\000free%s' \"$t\" > \"$1\"; }\n";

/// An `ffmpeg` that does this.
fn script(folder: &Path, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("ffmpeg");
    std::fs::write(&path, format!("#!/bin/sh\n{MP4}{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn an_event_is_a_json_file_a_picture_and_a_clip_and_the_same_event_again_is_no_second_one() {
    let (folder, tools) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ffmpeg = script(tools.path(), "for last; do :; done; echo \"$@\" | whole \"$last\"");
    for _ in 0..2 {
        let mut archive = archive(folder.path(), ALL, ClipsFrom::File("/videos/door.mp4".into()), &ffmpeg);
        give(&mut archive, event(1));
        end(&mut archive);
        let id = "20270115T080100.000Z-door";
        assert_eq!(names(folder.path()), ["jpg", "json", "mp4"].map(|e| format!("{id}.{e}")));
        let text = std::fs::read_to_string(folder.path().join(format!("{id}.json"))).unwrap();
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(body["clip"], format!("{id}.mp4"));
        assert_eq!((body["seconds"].as_f64(), body["caption"].as_str()), (Some(5.0), Some("A person.")));
        let said = std::fs::read_to_string(folder.path().join(format!("{id}.mp4"))).unwrap();
        assert!(said.contains("-ss 55 -to 70 -i file:/videos/door.mp4") && said.contains("-c copy"), "{said}");
    }
}

#[test]
fn another_event_of_the_same_start_and_camera_has_files_of_its_own_and_each_again_is_no_third() {
    let folder = tempfile::tempdir().unwrap();
    let id = "20270115T080100.000Z-door";
    let body = |id: &str| -> Value {
        serde_json::from_slice(&std::fs::read(folder.path().join(format!("{id}.json"))).unwrap()).unwrap()
    };
    let run = |seconds: u64| {
        let mut archive = archive(folder.path(), ALL, ClipsFrom::Nothing, "none");
        let mut event = event(1);
        let after = Duration::from_secs(seconds);
        event.end = Some((event.start + after, event.start_at + after));
        give(&mut archive, event);
        end(&mut archive);
    };
    // A whole run, a shorter one, and both once more.
    [5, 2, 5, 2].into_iter().for_each(run);
    let of = |id: &str| ["jpg", "json"].map(|e| format!("{id}.{e}"));
    let second = format!("{id}_002");
    assert_eq!(names(folder.path()), [of(id), of(&second)].concat());
    assert_eq!((body(id)["seconds"].as_f64(), body(&second)["seconds"].as_f64()), (Some(5.0), Some(2.0)));
    assert_eq!((&body(&second)["id"], &body(&second)["picture"]), (&json!(second), &json!(format!("{second}.jpg"))));
    assert!(is_event_name(&second));
    // What is damaged is not written over either.
    std::fs::write(folder.path().join(format!("{id}.json")), "{\"id\": \"2027").unwrap();
    run(5);
    assert_eq!(std::fs::read_to_string(folder.path().join(format!("{id}.json"))).unwrap(), "{\"id\": \"2027");
    assert_eq!(body(&format!("{id}_003"))["seconds"], 5.0);
}

#[test]
fn a_failed_clip_leaves_the_event_without_one() {
    let (folder, tools) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ffmpeg = script(tools.path(), "for last; do :; done; echo half > \"$last\"; echo 'no such stream' >&2; exit 1");
    let mut archive = archive(folder.path(), ALL, ClipsFrom::File("/videos/door.mp4".into()), &ffmpeg);
    give(&mut archive, event(1));
    let said = format!("{:#}", archive.cut(&event(1)).unwrap_err());
    assert!(said.contains("20270115T080100.000Z-door") && said.ends_with("no such stream"), "{said}");
    end(&mut archive);
    assert_eq!(names(folder.path()), ["jpg", "json"].map(|e| format!("20270115T080100.000Z-door.{e}")));
}

#[test]
fn a_clip_is_put_together_from_the_segments_that_the_event_touches() {
    use crate::caption::ring::RingOptions;
    let (folder, tools, recent) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ffmpeg = script(
        tools.path(),
        "for last; do :; done; for a; do case \"$a\" in *.list) whole \"$last\" < \"$a\";; esac; done",
    );
    let options = RingOptions { folder: recent.path().to_owned(), segment_s: 4.0, keep: Duration::from_secs(600) };
    let ring = Ring::open(options).unwrap();
    ring.begin();
    ring.first_picture(Duration::ZERO);
    let lines: Vec<String> = (0..30).map(|n| format!("r0-{n:05}.ts,{},{}", n * 4, n * 4 + 4)).collect();
    std::fs::write(recent.path().join("r0.csv"), lines.join("\n")).unwrap();
    (0..30).for_each(|n| std::fs::write(recent.path().join(format!("r0-{n:05}.ts")), "ts").unwrap());
    let mut archive = archive(folder.path(), ALL, ClipsFrom::Ring(ring), &ffmpeg);
    // From 60 to 65 s, with 5 s before and after it: 55 to 70.
    give(&mut archive, event(1));
    end(&mut archive);
    let list = std::fs::read_to_string(folder.path().join("20270115T080100.000Z-door.mp4")).unwrap();
    let files: Vec<&str> = list.lines().filter_map(|l| l.rsplit('/').next()?.strip_suffix(".ts'")).collect();
    assert_eq!(files, ["r0-00013", "r0-00014", "r0-00015", "r0-00016", "r0-00017"]);
}

#[test]
fn the_oldest_go_first_by_size_and_by_age() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = archive(folder.path(), ALL, ClipsFrom::Nothing, "none");
    std::fs::write(folder.path().join("notes.json"), "{}").unwrap();
    for n in 0..5 {
        give(&mut all, event(n));
        let file = std::fs::File::open(all.path(&event(n).id, "json")).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(100 - n)).unwrap();
    }
    let one = all.kept().unwrap()[0].bytes;
    drop(all);
    let by_size =
        archive(folder.path(), EventRetention { age: None, bytes: one * 3 + one / 2 }, ClipsFrom::Nothing, "none");
    assert_eq!(by_size.clean().unwrap(), 2);
    let left: Vec<String> = by_size.kept().unwrap().into_iter().map(|k| k.id).collect();
    assert_eq!(left, [2, 3, 4].map(|n| event(n).id));
    let by_age = archive(
        folder.path(),
        EventRetention { age: Some(Duration::from_millis(97_500)), bytes: u64::MAX },
        ClipsFrom::Nothing,
        "none",
    );
    assert_eq!(by_age.clean().unwrap(), 1);
    assert_eq!(names(folder.path()).len(), 5, "two events and somebody's notes");
}

#[test]
fn what_a_killed_program_left_goes_and_what_is_not_ours_stays() {
    let folder = tempfile::tempdir().unwrap();
    let old = SystemTime::now() - Duration::from_secs(7200);
    for name in [
        "20270115T080100.000Z-door.mp4",
        "20270115T080100.000Z-door.part.mp4",
        "holiday.mp4",
        "20270115T080200.000Z-door.jpg",
    ] {
        let file = std::fs::File::create(folder.path().join(name)).unwrap();
        if !name.contains("0200") {
            file.set_modified(old).unwrap();
        }
    }
    let _archive = archive(folder.path(), ALL, ClipsFrom::Nothing, "none");
    assert_eq!(names(folder.path()), ["20270115T080200.000Z-door.jpg", "holiday.mp4"]);
}

#[test]
fn a_full_disk_costs_the_oldest_events_and_not_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let mut archive = archive(folder.path(), ALL, ClipsFrom::Nothing, "none");
    (0..3).for_each(|n| give(&mut archive, event(n)));
    let mut refusals = 2;
    let written = archive.with_room(|| {
        refusals -= 1;
        if refusals >= 0 { Err(std::io::Error::from(ErrorKind::StorageFull)) } else { Ok("there") }
    });
    assert_eq!(written.unwrap(), "there");
    assert_eq!(archive.kept().unwrap().len(), 1);
    let never = archive.with_room(|| Err::<(), _>(std::io::Error::from(ErrorKind::StorageFull)));
    assert_eq!(never.unwrap_err().kind(), ErrorKind::StorageFull);
}

#[test]
fn a_clip_that_was_cut_short_is_none_although_ffmpeg_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clip.mp4");
    let is_whole = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        is_whole_mp4(&file).unwrap()
    };
    let boxed = |name: &str, body: &[u8]| [&(body.len() as u32 + 8).to_be_bytes()[..], name.as_bytes(), body].concat();
    let all = [boxed("ftyp", b"isom"), boxed("moov", b"index"), boxed("mdat", &[7; 100])].concat();
    assert!(is_whole(&all));
    assert!(!is_whole(&all[..all.len() - 1]) && !is_whole(&all[..15]) && !is_whole(b""));
    assert!(!is_whole(&boxed("mdat", &[7; 100])), "without an index");
    assert!(!is_whole(&[&[0, 0, 0, 4][..], b"moov"].concat()), "a box shorter than its head");
    let long = [&[0, 0, 0, 1][..], b"moov", &20u64.to_be_bytes(), b"abcd"].concat();
    assert!(is_whole(&long) && !is_whole(&long[..19]));
    let tools = tempfile::tempdir().unwrap();
    let ffmpeg = script(tools.path(), "for last; do :; done; echo half > \"$last\"");
    let archive = archive(folder.path(), ALL, ClipsFrom::File("/videos/door.mp4".into()), &ffmpeg);
    let said = format!("{:#}", archive.cut(&event(1)).unwrap_err());
    assert!(said.ends_with("it was cut short"), "{said}");
}

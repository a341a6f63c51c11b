//! `nearfield caption --input /dev/video0` with the feature `camera`, against a camera that is made up below the system calls
//! (`tests/data/camera/fake-camera.c`, in the kernel's own structures), since machines that build have none. A real camera was never tried.
//!
//! `make test-camera` builds the program with the feature and runs this; without the feature there is nothing here.
#![cfg(feature = "camera")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nearfield_tests::{Ran, arg, finish, nearfield, root, run, wait_for};
use nearfield_vision::{Picture, encode_jpeg};
use serde_json::Value;

const CAMERA: &str = "/dev/video7";
const LIMIT: Duration = Duration::from_secs(60);
/// Without a vision model: what is tested does not depend on one.
const BLIND: [&str; 4] = ["--set", "vision.model=none", "--set", "gate.min_interval_ms=0"];

/// The program before which the made-up camera stands; its frames lie in `folder`.
fn with_camera(folder: &Path, format: &str, args: &[&str]) -> Command {
    let library = folder.join("fake-camera.so");
    let source = root().join("tests/data/camera/fake-camera.c");
    let mut compile = Command::new("cc");
    let compiled = compile.args(["-shared", "-fPIC", "-O1", "-o", arg(&library), arg(&source), "-ldl"]).status();
    assert!(compiled.is_ok_and(|s| s.success()), "the made-up camera compiles");
    let mut command = nearfield(&[&["caption", "--input", CAMERA, "--json"], &BLIND[..], args].concat());
    command.env("LD_PRELOAD", &library).env("FAKE_CAMERA", CAMERA).env("FAKE_CAMERA_FORMAT", format);
    command.env("FAKE_CAMERA_SIZE", "96x72").env("FAKE_CAMERA_FRAMES", folder.join("%d"));
    command.env("FAKE_CAMERA_UNPLUGGED", folder.join("unplugged"));
    command
}

/// A grey level for each pixel: a bright thing at one of three places.
fn scene(place: u32) -> Vec<u8> {
    let thing = |x, y| (place * 32 + 6..place * 32 + 26).contains(&x) && (20..55).contains(&y);
    (0..72 * 96).map(|i| if thing(i % 96, i / 96) { 200 } else { 60 }).collect()
}

fn as_yuyv(grey: &[u8]) -> Vec<u8> {
    grey.iter().flat_map(|g| [(16.0 + f32::from(*g) * 219.0 / 255.0) as u8, 128]).collect()
}

/// As cameras send it: without its Huffman tables.
fn as_bare_jpeg(grey: &[u8]) -> Vec<u8> {
    let rgb = grey.iter().flat_map(|g| [*g; 3]).collect();
    let whole = encode_jpeg(&Picture::from_rgb(96, 72, rgb, "a scene").unwrap(), 90).unwrap();
    let (mut out, mut at) = (whole[..2].to_vec(), 2);
    while whole[at + 1] != 0xDA {
        let length = 2 + (usize::from(whole[at + 2]) << 8 | usize::from(whole[at + 3]));
        if whole[at + 1] != 0xC4 {
            out.extend_from_slice(&whole[at..at + length]);
        }
        at += length;
    }
    out.extend_from_slice(&whole[at..]);
    assert!(out.len() + 400 < whole.len());
    out
}

#[test]
fn a_camera_s_changes_of_scene_are_told_in_both_formats_and_a_damaged_picture_is_counted() {
    for (format, encode) in [("YUYV", as_yuyv as fn(&[u8]) -> Vec<u8>), ("MJPG", as_bare_jpeg)] {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..40 {
            std::fs::write(folder.path().join(i.to_string()), encode(&scene(i / 10 % 3))).unwrap();
        }
        let shots = folder.path().join("shots");
        let args = ["--max-frames", "39", "--set", "source.fps=30", "--snapshots", arg(&shots)];
        let ran: Ran = finish(with_camera(folder.path(), format, &args), &[], LIMIT);
        let mut lines = ran.assert_done().json();
        let summary = lines.pop().unwrap()["summary"].clone();
        assert_eq!(
            (summary["captions"].as_u64(), summary["unusable"].as_u64()),
            (Some(4), Some(1)),
            "{format}: {summary}"
        );
        assert_eq!(lines[1]["source"], "/dev/video7 #12", "{format}: {lines:?}");
        // The picture is what the camera saw, not only the same each time.
        let shot = std::fs::read(lines[1]["snapshot"].as_str().unwrap()).unwrap();
        let shot = Picture::decode(&shot, "the snapshot").unwrap();
        for (x, y, wanted) in [(48u8, 40u8, 200i32), (8, 40, 60), (80, 10, 60)] {
            let at = (usize::from(y) * 96 + usize::from(x)) * 3;
            let found = &shot.rgb()[at..at + 3];
            assert!(found.iter().all(|c| (i32::from(*c) - wanted).abs() < 12), "{format} {x} {y}: {found:?}");
        }
        assert!(ran.stderr.contains("asked for 1000/30000 s"), "{ran:#?}");
    }
}

#[test]
fn a_camera_that_is_unplugged_is_told_and_reconnected_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("0"), as_yuyv(&scene(0))).unwrap();
    let events = folder.path().join("events.jsonl");
    let args = ["--events", arg(&events), "--set", "source.retry_ms=50", "--set", "output.all=true"];
    let mut child = with_camera(folder.path(), "YUYV", &args).stdout(Stdio::null()).spawn().unwrap();
    let kinds = || -> Vec<String> {
        let text = std::fs::read_to_string(&events).unwrap_or_default();
        let events =
            text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["event"].as_str().unwrap().to_owned());
        events.collect()
    };
    assert!(wait_for(LIMIT, || kinds() == ["caption"]));
    std::fs::write(folder.path().join("unplugged"), "").unwrap();
    assert!(wait_for(LIMIT, || kinds().iter().filter(|k| *k == "source_disconnected").count() >= 2), "{:?}", kinds());
    std::fs::remove_file(folder.path().join("unplugged")).unwrap();
    assert!(wait_for(LIMIT, || kinds().last().is_some_and(|k| k == "source_reconnected")), "{:?}", kinds());
    let text = std::fs::read_to_string(&events).unwrap();
    assert!(
        text.contains("the camera is gone: No such device") && text.contains("/dev/video7: No such file"),
        "{text}"
    );
    let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_camera_that_is_not_there_is_named() {
    let fails = |input: &str, words: &[&str]| {
        run(&[&["caption", "--input", input], &BLIND[..]].concat()).assert_fails(1, words)
    };
    fails("/dev/video99", &["/dev/video99", "there is no such camera"]);
    let folder = tempfile::tempdir().unwrap();
    let args: [&str; 0] = [];
    let mut command = with_camera(folder.path(), "YUYV", &args);
    command.env("FAKE_CAMERA_UNPLUGGED", folder.path());
    finish(command, &[], LIMIT).assert_fails(1, &["/dev/video7: there is no such camera"]);
}

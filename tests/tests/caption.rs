//! `nearfield caption` as a whole, from outside: sources, events, alerts, snapshots, the cost of a scene that stays, and what
//! can go wrong with pictures.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nearfield_tests::{Ran, arg, assets, has_ffmpeg, nearfield, root, run, run_with_input, skipped, wait_for};
use nearfield_vision::{Picture, encode_jpeg};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(120);

/// A picture of a bright thing at one of three places, with noise of its own.
fn scene(place: u32, seed: u32) -> Vec<u8> {
    let (w, h) = (96u32, 72u32);
    let rgb = (0..w * h)
        .flat_map(|i| {
            let (x, y) = (i % w, i / w);
            let thing = (place * 32 + 6..place * 32 + 26).contains(&x) && (20..55).contains(&y);
            let noise = (i.wrapping_mul(7919).wrapping_add(seed * 104_729) >> 3) % 9;
            [(if thing { 220 } else { 50 } + noise) as u8; 3]
        })
        .collect();
    encode_jpeg(&Picture::from_rgb(w, h, rgb, "a scene").unwrap(), 90).unwrap()
}

/// Ten pictures of each of these places.
fn sequence(places: &[u32]) -> Vec<Vec<u8>> {
    places.iter().flat_map(|&p| (0..10).map(move |i| scene(p, i + 1))).collect()
}

/// The lines of a run with `--json`, without the summary; and the summary.
fn lines(ran: &Ran) -> (Vec<Value>, Value) {
    let mut lines = ran.assert_done().json();
    let summary = lines.pop().expect("a summary")["summary"].clone();
    assert!(summary.is_object(), "{ran:#?}");
    (lines, summary)
}

fn events(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// Without a vision model: what is tested does not depend on one.
const BLIND: [&str; 4] = ["--set", "vision.model=none", "--set", "gate.min_interval_ms=0"];

#[test]
fn each_change_of_scene_is_one_line_and_the_rest_is_free() {
    let stream = sequence(&[0, 1, 2, 0]).concat();
    let (found, summary) =
        lines(&run_with_input(&[&["caption", "--input", "-", "--json"], &BLIND[..]].concat(), &stream));
    let frames: Vec<_> = found.iter().map(|l| l["frame"].as_u64().unwrap()).collect();
    // Each change counts from its second picture on.
    assert_eq!(frames, [1, 12, 22, 32]);
    assert_eq!((summary["pictures"].as_u64(), summary["language_model"].as_u64()), (Some(40), Some(0)), "{summary}");
    assert!(found[1]["similarity"].as_f64().unwrap() < 0.9 && found[1]["changed"] == true, "{}", found[1]);
    for key in ["time", "camera", "caption", "objects", "confidence", "tokens", "latency_ms"] {
        assert!(!found[0][key].is_null(), "{key}: {}", found[0]);
    }
}

#[test]
fn pictures_of_a_folder_come_in_natural_order_and_every_so_often_there_is_a_line() {
    let folder = tempfile::tempdir().unwrap();
    for (i, picture) in sequence(&[0, 1]).into_iter().enumerate() {
        std::fs::write(folder.path().join(format!("f{i}.jpg")), picture).unwrap();
    }
    let input = folder.path().to_string_lossy().into_owned();
    let args = [&["caption", "--input", &input, "--every", "0.5", "--json"], &BLIND[..]].concat();
    let (found, _) = lines(&run(&args));
    let at: Vec<_> = found.iter().map(|l| (l["frame"].as_u64().unwrap(), l["changed"].as_bool().unwrap())).collect();
    // Pictures are 0.1 s apart; the eleventh (f10.jpg) is the first of the other scene, and one is enough for stills.
    assert_eq!(at, [(1, true), (6, false), (11, true), (16, false)]);
    assert!(found[2]["source"].as_str().unwrap().ends_with("f10.jpg"), "{}", found[2]);
}

#[test]
fn pictures_that_can_not_be_used_are_named_and_counted_and_cost_only_themselves() {
    let folder = root().join("tests/data/pictures");
    let input = folder.to_string_lossy().into_owned();
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("events.jsonl");
    let args = [&["caption", "--input", &input, "--json", "--events", arg(&file)], &BLIND[..]].concat();
    let (_, summary) = lines(&run(&args));
    // Used: 1x1.png, 16-bit.png, animated.gif, cmyk.jpg, plain.jpg.
    assert_eq!((summary["pictures"].as_u64(), summary["unusable"].as_u64()), (Some(5), Some(3)), "{summary}");
    let unusable: Vec<String> = events(&file)
        .iter()
        .filter(|e| e["event"] == "unusable")
        .map(|e| e["reason"].as_str().unwrap().replace(&format!("{input}/"), ""))
        .collect();
    assert!(unusable.contains(&"empty.jpg is empty".to_owned()), "{unusable:?}");
    assert!(unusable.iter().any(|r| r.starts_with("20000x20000.png has 20000 x 20000 pixels")), "{unusable:?}");
    assert!(unusable.iter().any(|r| r.starts_with("truncated.jpg") && r.contains("breaks off")), "{unusable:?}");
    // A folder of nothing but rubbish is a failure.
    let file = folder.join("empty.jpg").to_string_lossy().into_owned();
    run(&[&["caption", "--input", &file], &BLIND[..]].concat())
        .assert_fails(1, &["the only picture could not be used"]);
}

#[test]
fn an_input_that_is_not_there_and_an_ffmpeg_that_is_missing_are_named() {
    let base = [&["caption"], &BLIND[..]].concat();
    let fails = |input: &str, more: &[&str], words: &[&str]| {
        run(&[&base[..], &["--input", input], more].concat()).assert_fails(1, words);
    };
    fails("/nowhere/x.jpg", &[], &["/nowhere/x.jpg", "can't be read"]);
    fails("/nowhere/*.jpg", &[], &["/nowhere/*.jpg", "can't be read"]);
    fails("/nowhere/x.mp4", &[], &["/nowhere/x.mp4", "can't be read"]);
    fails("rtsp://127.0.0.1:1/x", &["--set", "source.ffmpeg=/nowhere/ffmpeg"], &["/nowhere/ffmpeg is not installed"]);
    run(&base).assert_fails(2, &["--input"]);
    run(&["caption", "--input", "x", "--set", "gate.change_below=7"])
        .assert_fails(2, &["gate.change_below is 7 but must be from -1 to 1"]);
}

#[test]
fn an_alert_that_waits_for_a_label_that_never_comes_is_refused_with_the_nearest_label() {
    let alert = |model: &str, object: &str| {
        let alerts = format!("alerts=[{{name=\"door\", objects=[\"{object}\"]}}]");
        let model = format!("vision.model={model}");
        run(&["caption", "--input", "/nowhere/x.jpg", "--set", &alerts, "--set", &model])
    };
    alert("see-nano", "persn").assert_fails(2, &["the alert door", "no object \"persn\"", "did you mean \"person\"?"]);
    alert("see-nano", "Person").assert_fails(2, &["did you mean \"person\"?"]);
    alert("see-nano", "zeppelin").assert_fails(2, &["it finds apple, ball"]);
    alert("none", "person").assert_fails(2, &["it finds no objects", "use words"]);
    // A right one gets as far as the picture.
    alert("see-nano", "person").assert_fails(1, &["/nowhere/x.jpg"]);
}

#[test]
fn inputs_that_cannot_have_pictures_end_at_once_with_a_sentence() {
    run(&[&["caption", "--input", "/dev/video987"], &BLIND[..]].concat())
        .assert_fails(1, &["/dev/video987: there is no such camera", "/dev/video"]);
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sound = folder.path().join("sound.mp4");
    let made = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "sine=d=1", "-c:a", "aac", arg(&sound)])
        .status();
    assert!(made.unwrap().success(), "ffmpeg makes sound");
    let rubbish = folder.path().join("rubbish.mp4");
    std::fs::write(&rubbish, [7; 4096]).unwrap();
    for more in [&[][..], &["--realtime"]] {
        let fails = |input: &Path, words: &[&str]| {
            let ran = run(&[&["caption", "--input", arg(input)], more, &BLIND[..]].concat());
            ran.assert_fails(1, words);
            assert!(
                !ran.stderr.contains("0x") && ran.stderr.lines().count() == 1,
                "ffmpeg's own words: {}",
                ran.stderr
            );
        };
        fails(&sound, &["sound.mp4: it holds no pictures (perhaps only sound)"]);
        fails(&rubbish, &["rubbish.mp4: ffmpeg finds no pictures in it"]);
    }
}

#[test]
fn an_address_of_an_unknown_scheme_is_refused_at_the_start() {
    let input = |input: &str| run(&[&["caption", "--input", input], &BLIND[..]].concat());
    input("ftp://x/y").assert_fails(2, &["ftp:// is no address of a camera", "rtsp://"]);
    input("RTSP://x/y").assert_fails(2, &["small letters"]);
    let login = input("ftp://me:secret@x/y");
    assert!(login.code == 2 && !login.stderr.contains("secret"), "{login:#?}");
}

#[test]
fn a_video_that_is_cut_short_is_told_and_counted_and_a_whole_one_is_not() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, args) in [("v.mp4", &["-movflags", "+faststart"][..]), ("v.mkv", &[])] {
        let whole = folder.path().join(name);
        let made = std::process::Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc=d=6:s=320x240:r=10", "-c:v", "mpeg4"])
            .args(args)
            .arg(&whole)
            .status();
        assert!(made.unwrap().success(), "ffmpeg makes a video");
        let caption = |path: &Path| {
            let ran = run(&[&["caption", "--input", arg(path), "--json"], &BLIND[..]].concat());
            let (_, summary) = lines(&ran);
            (summary, ran.stderr)
        };
        let (summary, said) = caption(&whole);
        assert_eq!((&summary["unusable"], &summary["pictures"]), (&0.into(), &60.into()), "{name}: {said}");
        let bytes = std::fs::read(&whole).unwrap();
        let cut = folder.path().join(format!("cut-{name}"));
        std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
        let (summary, said) = caption(&cut);
        assert_eq!(summary["unusable"], 1, "{name}: {summary}: {said}");
        assert!(said.contains("the file ends before its header says") && said.contains(name), "{said}");
        assert!(summary["pictures"].as_u64().is_some_and(|n| (10..50).contains(&n)), "{summary}");
    }
}

#[test]
fn a_camera_that_goes_away_is_tried_with_growing_pauses_in_counted_messages() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener); // Nobody listens there any more.
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events.jsonl");
    let retries = ["--set", "source.retry_ms=1", "--set", "source.retry_max_ms=8", "--events", arg(&events)];
    let mut command = nearfield(&[&["caption", "--input", &url], &retries[..], &BLIND[..]].concat());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let _ = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    let events = std::fs::read_to_string(&events).unwrap();
    let pauses: Vec<f64> = events
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["retry_in_ms"].as_f64())
        .collect();
    assert!(pauses.starts_with(&[1.0, 2.0, 4.0, 8.0, 8.0]), "{pauses:?}");
    assert!(pauses.len() > 12 && said.lines().count() < 12 && said.contains("Connection refused"), "{said}");
}

#[test]
fn a_covered_lens_is_told_once() {
    let black = encode_jpeg(&Picture::from_rgb(96, 72, vec![3; 96 * 72 * 3], "black").unwrap(), 90).unwrap();
    let stream = [black.repeat(60), sequence(&[0]).concat()].concat();
    let ran = run_with_input(&[&["caption", "--input", "-"], &BLIND[..]].concat(), &stream);
    ran.assert_done();
    assert_eq!(ran.stderr.matches("is the lens covered").count(), 1, "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("something to see again").count(), 1, "{}", ran.stderr);
}

#[test]
fn a_grey_or_black_picture_is_no_picture_from_the_camera_and_what_follows_is_a_first_look() {
    let flat =
        |level: u8| encode_jpeg(&Picture::from_rgb(96, 72, vec![level; 96 * 72 * 3], "flat").unwrap(), 90).unwrap();
    let stream =
        [sequence(&[0]), vec![flat(3); 10], sequence(&[0]), vec![flat(128); 1], sequence(&[0])].concat().concat();
    let (found, _) = lines(&run_with_input(&[&["caption", "--input", "-", "--json"], &BLIND[..]].concat(), &stream));
    let captions: Vec<_> =
        found.iter().map(|l| (l["frame"].as_u64().unwrap(), l["caption"].as_str().unwrap())).collect();
    // The second of the black ones confirms the first; a single grey one is flicker.
    let scene = "The scene has changed.";
    assert_eq!(captions, [(1, "A first look at the scene."), (12, "No picture from the camera."), (21, scene)]);
    // A single still has nothing to confirm it; the default model is not asked what it sees in it.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("grey.jpg"), flat(128)).unwrap();
    let (found, _) = lines(&run(&["caption", "--input", arg(folder.path()), "--json"]));
    assert_eq!(found[0]["caption"], "No picture from the camera.");
}

/// A camera over HTTP that answers each connection with some pictures and then disappears.
fn camera(pictures: Vec<Vec<Vec<u8>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in pictures {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let _ = stream.read(&mut [0; 1024]);
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=lie\r\n\r\n");
            for picture in connection {
                let _ = stream.write_all(b"--truth\r\n\r\n");
                let _ = stream.write_all(&picture);
                // Slower than it is taken, so that none is dropped.
                std::thread::sleep(Duration::from_millis(30));
            }
        }
        std::thread::sleep(Duration::from_secs(20));
    });
    url
}

#[test]
fn a_camera_that_disappears_is_told_and_reconnected() {
    let url = camera(vec![sequence(&[0])[..4].to_vec(), vec![], sequence(&[2])]);
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("events.jsonl");
    let retry = ["--set", "source.retry_ms=20", "--max-frames", "12", "--events", &file.to_string_lossy(), "--json"];
    let (found, summary) = lines(&run(&[&["caption", "--input", &url], &BLIND[..], &retry].concat()));
    assert_eq!(summary["source_disconnects"], 2, "{summary}");
    assert_eq!(found.len(), 2, "the scene before and the one after: {found:#?}");
    let told: Vec<String> = events(&file).iter().map(|e| e["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        told,
        ["caption", "source_disconnected", "source_disconnected", "source_reconnected", "caption"],
        "{told:?}"
    );
}

#[test]
fn an_ffmpeg_that_exits_within_a_picture_is_reported_with_its_last_words_and_restarted() {
    let out = tempfile::tempdir().unwrap();
    let (program, file, once) = (out.path().join("ffmpeg"), out.path().join("events.jsonl"), out.path().join("once"));
    let script = format!(
        "#!/bin/sh\nif [ ! -e {once} ]; then touch {once}; printf 'P6 2 1 255 abcdefP6 2 1 255 abc'; echo 'lost the route' >&2; exit 1; fi\n\
         while :; do printf 'P6 2 1 255 abcdef'; sleep 0.05; done\n",
        once = once.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let set = format!("source.ffmpeg={}", program.display());
    let more = ["--set", &set, "--set", "source.retry_ms=20", "--max-frames", "5", "--events", arg(&file), "--json"];
    let (_, summary) = lines(&run(&[&["caption", "--input", "rtsp://127.0.0.1:1/x"], &BLIND[..], &more].concat()));
    assert_eq!((summary["pictures"].as_u64(), summary["source_disconnects"].as_u64()), (Some(5), Some(1)), "{summary}");
    let told = events(&file);
    let died = told.iter().find(|e| e["event"] == "source_disconnected").unwrap();
    let reason = died["reason"].as_str().unwrap();
    assert!(reason.contains("after 1 pictures: lost the route"), "{reason}");
    assert!(told.iter().any(|e| e["event"] == "source_reconnected"), "{told:?}");
}

#[test]
fn what_was_complete_is_in_the_file_when_the_program_is_ended() {
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("events.jsonl");
    let args = [&["caption", "--input", "-", "--events", arg(&file)], &BLIND[..]].concat();
    let mut child = nearfield(&args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&sequence(&[0, 1]).concat()).unwrap();
    stdin.flush().unwrap();
    assert!(wait_for(LIMIT, || file.exists() && events(&file).len() >= 2));
    // The pipe stays open: only the signal ends it.
    let _ = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    let mut ended = None;
    assert!(wait_for(LIMIT, || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    }));
    assert!(ended.unwrap().success(), "{ended:?}");
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(text.contains("2 captions"), "{text}");
    assert_eq!(events(&file).len(), 2);
}

#[test]
fn two_signals_for_one_wish_end_in_good_order() {
    // As `timeout` sends it, to the program and to its process group.
    let args = [&["caption", "--input", "-", "--json"], &BLIND[..]].concat();
    for pause in [0, 3, 300] {
        let mut child = nearfield(&args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&sequence(&[0, 1]).concat()).unwrap();
        stdin.flush().unwrap();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        std::io::BufRead::read_line(&mut out, &mut text).unwrap();
        let signal = || std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        signal().unwrap();
        std::thread::sleep(Duration::from_millis(pause));
        let _ = signal();
        out.read_to_string(&mut text).unwrap();
        let status = child.wait().unwrap();
        assert!(status.success() && text.contains("\"summary\""), "{pause} ms: {status:?} {text}");
    }
}

#[test]
fn a_webhook_that_refuses_gets_the_captions_from_the_spool_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let spool = format!("outlets.spool={}", folder.path().display());
    let run_with = |url: &str| {
        let hook = format!("outlets.webhook={url}");
        let args = [&["caption", "--input", "-", "--json", "--set", &spool, "--set", &hook], &BLIND[..]].concat();
        lines(&run_with_input(&args, &sequence(&[0, 1]).concat())).1
    };
    // Nobody there: the captions are made all the same, and wait.
    assert_eq!(run_with("http://127.0.0.1:1/hook")["captions"], 2);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut bodies = Vec::new();
        while bodies.len() < 4 {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut text, mut block) = (String::new(), [0; 4096]);
            let body = loop {
                let n = stream.read(&mut block).unwrap();
                text.push_str(&String::from_utf8_lossy(&block[..n]));
                let body = text.split_once("\r\n\r\n").and_then(|(_, b)| serde_json::from_str::<Value>(b).ok());
                if let Some(body) = body {
                    break body;
                }
            };
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
            bodies.push(body["frame"].as_u64().unwrap());
        }
        bodies
    });
    assert_eq!(run_with(&url)["captions"], 2);
    assert_eq!(server.join().unwrap(), [1, 12, 1, 12], "those of the first run, then those of the second");
}

/// The words of each bundled picture, as they were drawn.
fn drawn() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(assets().join("pictures/scenes.json")).unwrap();
    let told: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
    told.into_iter().map(|(file, words)| (file, words.as_str().unwrap().to_owned())).collect()
}

#[test]
fn the_bundled_sequence_is_read_as_it_was_drawn_and_a_scene_that_stays_is_free() {
    let input = assets().join("pictures");
    let args =
        ["caption", "--input", arg(&input), "--json", "--set", "output.all=true", "--set", "gate.min_interval_ms=0"];
    let (found, summary) = lines(&run(&args));
    let drawn = drawn();
    assert_eq!(found.len(), drawn.len());
    for (line, (file, words)) in found.iter().zip(&drawn) {
        assert!(line["source"].as_str().unwrap().ends_with(file.as_str()));
        assert_eq!(line["words"].as_str().unwrap(), words, "{file}");
        // Three pictures of each scene: the first is described, the others cost nothing.
        let first = file.ends_with("-1.jpg");
        assert_eq!(line["changed"], first, "{file}: {line}");
        assert_eq!(line["tokens"]["prefilled"].as_u64().unwrap() > 0, first, "{file}: {line}");
    }
    assert_eq!((summary["captions"].as_u64(), summary["language_model"].as_u64()), (Some(7), Some(7)), "{summary}");
    let caption = |i: usize| found[i]["caption"].as_str().unwrap();
    assert_eq!(caption(3), "A red car on the left and a house on the right.");
    assert_eq!(caption(15), "A house on the right, at night.");
}

#[test]
fn a_second_opinion_decides_by_one_token_s_logits_on_the_same_cache_before_anything_is_written() {
    let input = assets().join("pictures/0?-?.jpg");
    // Three pictures of a first scene, then one of a second.
    let asked = |margin: &str, yes: &str, no: &str| {
        let sets = [format!("prompt.margin={margin}"), format!("prompt.yes={yes}"), format!("prompt.no={no}")];
        let mut args =
            vec!["caption", "--input", arg(&input), "--json", "--max-frames", "4", "--set", "output.all=true"];
        args.extend(["--set", "prompt.second_opinion=true", "--set", &sets[0], "--set", &sets[1], "--set", &sets[2]]);
        let (found, summary) = lines(&run(&args));
        assert!(
            found[..3].iter().all(|l| l["second_opinion"].is_null()),
            "a first look and the same scene ask nothing"
        );
        (found[0].clone(), found[3].clone(), summary)
    };
    let tokens = |line: &Value, key: &str| line["tokens"][key].as_u64().unwrap();
    let (first, upheld, summary) = asked("-1000", "Yes", "No");
    assert_eq!((&upheld["caption"], &upheld["changed"]), (&first["caption"], &Value::Bool(false)), "{upheld}");
    assert_eq!((summary["upheld"].as_u64(), summary["captions"].as_u64()), (Some(1), Some(1)), "{summary}");
    assert!(tokens(&upheld, "generated") == 0 && tokens(&upheld, "reused") > 0, "{upheld}");
    // Never sure enough: the same logits, and then a caption, which finds the picture in the cache.
    let (_, overruled, _) = asked("1000", "Yes", "No");
    let opinion = |line: &Value| line["second_opinion"].as_f64().unwrap();
    // What is read at once depends on when the picture comes, and with it the last digits: 0.02 was seen.
    assert!((opinion(&overruled) - opinion(&upheld)).abs() < 0.1, "{upheld} {overruled}");
    assert!(overruled["changed"] == true && tokens(&overruled, "generated") > 0, "{overruled}");
    assert!(tokens(&overruled, "reused") >= tokens(&upheld, "reused") + 17, "{upheld} {overruled}");
    // On either side of the border the margin decides, and yes and no are not mistaken for each other.
    let (_, just, _) = asked(&format!("{}", opinion(&upheld) - 0.2), "Yes", "No");
    let (_, not_quite, _) = asked(&format!("{}", opinion(&upheld) + 0.2), "Yes", "No");
    assert_eq!((&just["changed"], &not_quite["changed"]), (&Value::Bool(false), &Value::Bool(true)));
    let (_, swapped, _) = asked("-1000", "No", "Yes");
    assert!((opinion(&swapped) + opinion(&upheld)).abs() < 0.1, "{swapped}");
}

#[test]
fn a_voice_in_another_program_goes_before_a_caption_which_then_is_what_it_would_have_been() {
    let folder = tempfile::tempdir().unwrap();
    let data = PathBuf::from(std::env::var_os("NEARFIELD_DATA").unwrap_or_else(|| root().join(".data").into()));
    let library = std::fs::read_dir(data.join("lib")).ok().and_then(|mut entries| {
        entries.find_map(|e| e.ok().map(|e| e.path()).filter(|p| p.to_string_lossy().contains("libonnxruntime.so")))
    });
    let Some(library) = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from).or(library) else {
        return skipped("no ONNX Runtime is in the folder of data");
    };
    let input = assets().join("pictures/02-1.jpg");
    let args = ["caption", "--input", arg(&input), "--json"];
    let caption = |ran: &Ran| lines(ran).0[0]["caption"].as_str().unwrap().to_owned();
    let begun = std::time::Instant::now();
    let alone = caption(&run(&args));
    let took = begun.elapsed();
    // What a voice does while its language model works.
    let lock = std::fs::File::create(folder.path().join("voice-priority")).unwrap();
    lock.lock_shared().unwrap();
    let mut command = nearfield(&args);
    command.env("NEARFIELD_DATA", folder.path()).env("ORT_DYLIB_PATH", library);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(took * 2 + Duration::from_secs(1));
    assert!(child.try_wait().unwrap().is_none(), "it waits");
    lock.unlock().unwrap();
    let output = child.wait_with_output().unwrap();
    let ran = Ran::from(output);
    assert!(lines(&ran).0[0]["latency_ms"].as_f64().unwrap() > 1000.0, "{ran:?}");
    assert_eq!(caption(&ran), alone);
}

#[test]
fn a_caption_fits_the_schema_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let schema = folder.path().join("schema.json");
    let text = r#"{"type": "object", "properties": {"things": {"enum": ["none", "some"]}}, "required": ["things"], "additionalProperties": false}"#;
    std::fs::write(&schema, text).unwrap();
    let (input, set) = (assets().join("pictures/02-1.jpg"), format!("output.schema={}", schema.display()));
    let (found, _) = lines(&run(&["caption", "--input", arg(&input), "--json", "--set", &set]));
    let caption: Value = serde_json::from_str(found[0]["caption"].as_str().unwrap()).unwrap();
    assert!(["none", "some"].contains(&caption["things"].as_str().unwrap()), "{caption}");
    assert_eq!(found[0]["written_by"], "model");
}

#[test]
fn a_configuration_with_a_nominal_picture_and_alerts_is_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    put("nominal.jpg", &scene(1, 99));
    put(
        "caption.toml",
        b"[vision]\nmodel = \"none\"\n[nominal]\npicture = \"nominal.jpg\"\ncaption = \"All is quiet.\"\n[gate]\nmin_interval_ms = 0\n\
          [[alerts]]\nname = \"something\"\nwords = [\"changed\"]\ncooldown_s = 2.0\n",
    );
    let config = folder.path().join("caption.toml").to_string_lossy().into_owned();
    let shots = folder.path().join("shots").to_string_lossy().into_owned();
    let args = ["caption", "--config", &config, "--input", "-", "--json", "--snapshots", &shots];
    let (found, _) = lines(&run_with_input(&args, &sequence(&[1, 0, 1, 2]).concat()));
    let captions: Vec<_> =
        found.iter().map(|l| (l["caption"].as_str().unwrap(), l["written_by"].as_str().unwrap())).collect();
    let (quiet, changed) = (("All is quiet.", "nominal"), ("The scene has changed.", "rule"));
    assert_eq!(captions, [quiet, changed, quiet, changed]);
    let alerts: Vec<_> = found.iter().map(|l| l["alerts"].as_array().map_or(0, Vec::len)).collect();
    assert_eq!(alerts, [0, 1, 0, 0], "the second change comes within the cool-down");
    let drawn = std::fs::read_dir(&shots).unwrap().count();
    assert_eq!(drawn, 4);
    for entry in std::fs::read_dir(&shots).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let picture = Picture::decode(&bytes, "a snapshot").unwrap();
        assert!(picture.height() > 72, "the caption stands below the picture");
    }
}

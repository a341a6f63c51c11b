//! Scripts in ffmpeg's place: pictures, faults, ends and restarts.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn options(program: &str) -> FfmpegOptions {
    let stall = Duration::from_millis(1500);
    FfmpegOptions {
        program: program.to_owned(),
        fps: 10.0,
        max_width: 64,
        pace: Pace::Fast,
        stall,
        ring: None,
        poll: None,
    }
}

/// A source whose ffmpeg is this script, in a folder of its own.
fn source_of(script: &str, input: &str) -> (tempfile::TempDir, Ffmpeg) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("ffmpeg");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    (folder, Ffmpeg::new(input, options(&program.to_string_lossy())))
}

/// A program that takes ffmpeg's place; answers the pictures that came and how it ended.
fn with_script(script: &str, input: &str) -> (Vec<(u32, u32)>, String) {
    let (sizes, end, _) = with_faults(script, input);
    (sizes, end)
}

/// As [`with_script`], with what is told of the pictures that could not be decoded.
fn with_faults(script: &str, input: &str) -> (Vec<(u32, u32)>, String, Vec<String>) {
    let (_folder, mut source) = source_of(script, input);
    let (_keep, stop) = crossbeam_channel::bounded(0);
    let (mut sizes, mut faults) = (Vec::new(), Vec::new());
    let end = source.open(&stop).and_then(|()| {
        while let Some(shot) = source.next(&stop)? {
            match shot.content {
                ShotContent::Picture(picture) => sizes.push((picture.width(), picture.height())),
                ShotContent::Unreadable(reason) => faults.push(reason),
                ShotContent::File(_) => panic!("a picture"),
            }
        }
        assert!(source.next(&stop)?.is_none(), "over is over");
        Ok(())
    });
    (sizes, end.map_or_else(|e| format!("{e:#}"), |()| "over".to_owned()), faults)
}

#[test]
fn a_file_that_could_not_be_decoded_to_its_end_is_told_once_behind_its_pictures() {
    let two = "printf 'P6\\n2 1\\n255\\nabcdef'; printf 'P6\\n1 1\\n255\\nxyz'";
    let cut =
        "echo '[mov,mp4 @ 0x5581c0] stream 0, offset 0x30d4f: partial file' >&2; echo '[h264 @ 0x55] no frame!' >&2";
    let (sizes, end, faults) = with_faults(&format!("{two}; {cut}"), "/dev/null");
    assert_eq!((sizes.len(), end.as_str()), (2, "over"));
    let wanted = "the file ends before its header says (2 faults, the last of them: stream 0, offset 0x30d4f: partial file; no \
                  frame!); the 2 pictures before are used";
    assert_eq!(faults, [wanted]);
    let (_, _, faults) = with_faults(&format!("{two}; echo '[h264 @ 0x55] concealing 12 errors' >&2"), "/dev/null");
    assert_eq!(faults.len(), 1);
    assert!(faults[0].starts_with("ffmpeg reports faults in the file (1 fault,"), "{faults:?}");
    // What is no fault of a picture is no picture that can't be used.
    let times = "echo '[image2pipe @ 0x55] Application provided invalid, non monotonically increasing dts' >&2";
    assert_eq!(with_faults(&format!("{two}; {times}"), "/dev/null").2, [""; 0]);
    // Early words count after others, too.
    let others = "for n in 1 2 3 4; do echo \"dts $n\" >&2; done";
    let (_, _, faults) = with_faults(&format!("{two}; {cut}; {others}"), "/dev/null");
    assert!(faults[0].starts_with("the file ends before its header says (6 faults,"), "{faults:?}");
    assert_eq!(with_faults(two, "/dev/null"), (vec![(2, 1), (1, 1)], "over".to_owned(), Vec::new()));
}

#[test]
fn frames_carry_their_own_size_and_the_end_is_told_with_ffmpegs_last_words() {
    let two = "printf 'P6\\n2 1\\n255\\nabcdef'; printf 'P6\\n1 1\\n255\\nxyz'";
    assert_eq!(with_script(two, "/dev/null"), (vec![(2, 1), (1, 1)], "over".to_owned()));
    let (sizes, end) = with_script(&format!("{two}; echo 'no route to camera' >&2; exit 1"), "rtsp://camera/1");
    assert_eq!(sizes.len(), 2);
    assert!(end.contains("failed") && end.contains("after 2 pictures: no route to camera"), "{end}");
}

#[test]
fn an_input_without_pictures_is_an_error_at_once_and_a_stream_that_breaks_is_not() {
    let unrecoverable = |script: &str, input: &str| {
        let (_folder, mut source) = source_of(script, input);
        let (_keep, stop) = crossbeam_channel::bounded(0);
        let error = source.open(&stop).and_then(|()| source.next(&stop)).unwrap_err();
        (error.chain().any(|e| e.is::<Unrecoverable>()), error.to_string())
    };
    let none = "echo '[out#0/image2pipe @ 0x55d0] Output file does not contain any stream' >&2; exit 234";
    for input in ["/dev/null", "rtsp://camera/1"] {
        assert_eq!(unrecoverable(none, input), (true, "it holds no pictures (perhaps only sound)".to_owned()));
    }
    let (is_unrecoverable, said) =
        unrecoverable("echo '[mov,mp4 @ 0x5581c0] moov atom not found' >&2; exit 1", "/dev/null");
    assert!(is_unrecoverable && said.ends_with("(exit status: 1): moov atom not found"), "{said}");
    let (is_unrecoverable, said) = unrecoverable("echo 'Connection refused' >&2; exit 1", "rtsp://camera/1");
    assert!(!is_unrecoverable && said.ends_with("after 0 pictures: Connection refused"), "{said}");
    assert!(unrecoverable("echo 'rtmpx://a: Protocol not found' >&2; exit 1", "rtmpx://a").0);
}

#[test]
fn a_camera_that_never_was_there_is_an_error_that_names_those_that_are() {
    let mut source = Ffmpeg::new("/dev/video987", options("true"));
    let (_keep, stop) = crossbeam_channel::bounded(0);
    let error = source.open(&stop).unwrap_err();
    assert!(error.chain().any(|e| e.is::<Unrecoverable>()), "{error}");
    let said = error.to_string();
    assert!(said.contains("no such camera") && said.contains("/dev/video"), "{said}");
    source.was_there = true;
    let error = source.open(&stop).unwrap_err();
    assert!(!error.chain().any(|e| e.is::<Unrecoverable>()) && error.to_string().contains("unplugged"), "{error}");
}

#[test]
fn an_ffmpeg_that_stalls_lies_or_is_missing_is_told() {
    let (_, end) = with_script("sleep 3", "rtsp://camera/1");
    assert!(end.contains("no picture for 1.5 s"), "{end}");
    let (_, end) = with_script("printf 'P6 99999 99999 255 '; sleep 1", "rtsp://camera/1");
    assert!(end.contains("not a PPM picture"), "{end}");
    let (_, end) = with_script("yes", "rtsp://camera/1");
    assert!(end.contains("not a PPM picture"), "{end}");
    let mut missing = Ffmpeg::new("rtsp://camera/1", options("/nowhere/ffmpeg"));
    let (_keep, stop) = crossbeam_channel::bounded(0);
    let error = missing.open(&stop).unwrap_err();
    assert!(error.chain().any(|e| e.is::<Unrecoverable>()) && error.to_string().contains("apt-get"), "{error}");
}

#[test]
fn no_name_and_no_word_of_ffmpegs_repeats_the_login() {
    let input = "rtsp://admin:Hunter2secret@camera/1?token=abc";
    assert_eq!(Ffmpeg::new(input, options("true")).name(), "rtsp://***@camera/1?token=***");
    let script =
        format!("echo '{input}: 401 Unauthorized' >&2; echo 'tcp://admin:Hunter2secret@camera:554 fails' >&2; exit 1");
    let (_, end) = with_script(&script, input);
    assert!(end.contains("401 Unauthorized; tcp://***@camera:554 fails: check user and password"), "{end}");
    assert!(!end.contains("Hunter2") && !end.contains("abc"), "{end}");
}

#[test]
fn an_address_of_a_still_picture_is_asked_again_at_its_rate() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("ffmpeg");
    std::fs::write(&program, "#!/bin/sh\nprintf 'P6\\n2 1\\n255\\nabcdef'\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let poll = Some(Duration::from_millis(100));
    let options = FfmpegOptions { poll, stall: Duration::from_secs(10), ..options(&program.to_string_lossy()) };
    let mut source = Ffmpeg::new("https://camera/snap.jpg", options);
    let (keep, stop) = crossbeam_channel::bounded(0);
    source.open(&stop).unwrap();
    let begun = Instant::now();
    for _ in 0..3 {
        source.next(&stop).unwrap().unwrap();
    }
    assert!(begun.elapsed() >= Duration::from_millis(150), "{:?}", begun.elapsed());
    drop(keep);
    assert!(source.next(&stop).unwrap().is_none());
}

#[test]
fn ffmpeg_takes_any_file_for_a_file_and_gives_eight_bits_a_channel() {
    let arguments = |input: &str, poll: Option<Duration>| {
        let source = Ffmpeg::new(input, FfmpegOptions { poll, ..options("ffmpeg") });
        let words: Vec<String> = source.command().get_args().map(|a| a.to_string_lossy().into_owned()).collect();
        words.join(" ")
    };
    let of_file = arguments("12:30.mp4", None);
    assert!(of_file.contains("-i file:12:30.mp4 -vf fps=10,") && of_file.ends_with("-pix_fmt rgb24 -"), "{of_file}");
    let of_still = arguments("https://cam/a.jpg", Some(Duration::ZERO));
    assert!(of_still.contains("-i https://cam/a.jpg -vf scale="), "{of_still}");
    let (_, end) = with_script("echo 'file:/dev/null: Invalid data' >&2; exit 1", "/dev/null");
    assert!(end.ends_with("(exit status: 1): Invalid data"), "{end}");
}

//! Sound files as programs leave them: joined, cut short, written to a pipe. MP3 frames are made here; for WebM, M4A and Ogg the tests need ffmpeg
//! and are skipped where it is not installed.
#![allow(missing_docs)]

use std::path::Path;
use std::process::Command;

use nearfield_speech::audio::{AudioError, Clip, ClipReader, SampleRate, read_clip, read_clip_from};

/// A frame of silence: MPEG 1 or 2, layer III, one channel, no data behind its side information.
fn frame(header: [u8; 4], length: usize, info: Option<u32>) -> Vec<u8> {
    let mut bytes = header.to_vec();
    bytes.resize(length, 0);
    if let Some(frames) = info {
        // Behind the side information of one channel: 17 bytes in MPEG 1.
        bytes[21..25].copy_from_slice(b"Info");
        bytes[25..29].copy_from_slice(&1u32.to_be_bytes());
        bytes[29..33].copy_from_slice(&frames.to_be_bytes());
    }
    bytes
}

/// `n` frames of 1152 samples at 44.1 kHz, with a header that says so.
fn mp3(n: u32) -> Vec<u8> {
    let of = |info| frame([0xff, 0xfb, 0x90, 0xc4], 417, info);
    [of(Some(n)), of(None).repeat(n as usize)].concat()
}

fn read(bytes: &[u8]) -> Result<Clip, AudioError> {
    let mut reader = ClipReader::from_bytes(bytes.to_vec(), "test")?;
    let (rate, mut samples) = (reader.rate(), Vec::new());
    while let Some(block) = reader.next_block()? {
        samples.extend_from_slice(block);
    }
    let clip = Clip { rate, samples, truncated: reader.truncated() };
    // As a stream it is the same sound.
    let streamed = read_clip_from(std::io::Cursor::new(bytes.to_vec()), "test");
    if let Ok(streamed) = streamed {
        assert_eq!(streamed.samples.len(), clip.samples.len());
    }
    Ok(clip)
}

#[test]
fn joined_mp3s_are_read_to_the_end_of_the_last_whatever_the_header_of_the_first_says() {
    let one = read(&mp3(20)).unwrap();
    assert_eq!((one.rate, one.samples.len(), one.truncated), (SampleRate(44_100), 20 * 1152, false));
    let two = read(&[mp3(20), mp3(30)].concat()).unwrap();
    assert_eq!((two.samples.len(), two.truncated), (50 * 1152, false));
    // The second at another rate: 576 samples a frame at 22.05 kHz are 1152 at 44.1.
    let slow = frame([0xff, 0xf3, 0x80, 0xc4], 208, None).repeat(30);
    let both = read(&[mp3(20), slow.clone()].concat()).unwrap();
    assert_eq!((both.rate, both.samples.len()), (SampleRate(44_100), 50 * 1152));
    let three = read(&[mp3(20), slow, mp3(10)].concat()).unwrap();
    assert_eq!(three.samples.len(), 60 * 1152);
    // With another number of channels.
    let stereo = frame([0xff, 0xfb, 0x90, 0x04], 417, None).repeat(30);
    let three = read(&[mp3(20), stereo, mp3(10)].concat()).unwrap();
    assert_eq!(three.samples.len(), 60 * 1152);
    // What is cut short is still told.
    let cut = read(&[mp3(100)[..417 * 60].to_vec()].concat()).unwrap();
    assert!(cut.truncated && cut.samples.len() >= 57 * 1152, "{}", cut.samples.len());
}

#[test]
fn a_picture_of_a_telephone_is_no_sound_file_that_was_cut_short() {
    for brand in [b"heic", b"avif"] {
        let bytes = [&[0, 0, 0, 24][..], b"ftyp", brand, &[0; 4], b"mif1", brand, &[0; 64]].concat();
        let said = read(&bytes).unwrap_err().to_string();
        assert!(said.contains("it is a HEIC or AVIF picture"), "{said}");
    }
}

fn has_ffmpeg() -> bool {
    let has = Command::new("ffmpeg").arg("-version").output().is_ok_and(|o| o.status.success());
    if !has {
        eprintln!("skipped: ffmpeg is not installed");
    }
    has
}

/// A tone of six seconds as ffmpeg writes it, into a file or into a pipe; `None` where this ffmpeg has no such encoder.
fn made(folder: &Path, name: &str, args: &[&str], piped: bool) -> Option<Vec<u8>> {
    let path = folder.join(name);
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", "sine=frequency=330:duration=6:sample_rate=16000"]);
    command.args(args);
    let output = if piped { command.arg("pipe:1").output() } else { command.arg(&path).output() }.unwrap();
    if !output.status.success() {
        eprintln!("skipped: {name}: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(if piped { output.stdout } else { std::fs::read(path).unwrap() })
}

#[test]
fn a_file_of_any_kind_that_is_cut_short_keeps_its_beginning_and_says_so() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, args) in [
        ("x.webm", &["-c:a", "libvorbis"][..]),
        ("x.mka", &["-c:a", "flac"]),
        ("x.m4a", &["-c:a", "aac", "-movflags", "+faststart"]),
        ("x.aiff", &[]),
        ("x.ogg", &["-c:a", "libvorbis"]),
        ("x.flac", &[]),
    ] {
        let Some(bytes) = made(folder.path(), name, args, false) else { continue };
        let whole = read(&bytes).unwrap();
        assert!(
            !whole.truncated && whole.duration().as_millis().abs_diff(6000) < 150,
            "{name}: {:?}",
            whole.duration()
        );
        let cut = read(&bytes[..bytes.len() * 2 / 3]).unwrap_or_else(|e| panic!("{name}: {e}"));
        let seconds = cut.duration().as_secs_f32();
        // An Ogg page holds seconds of it.
        assert!(cut.truncated && (1.5..5.0).contains(&seconds), "{name}: {seconds} s, {}", cut.truncated);
        // From a file, too, and of the same samples.
        let path = folder.path().join("cut");
        std::fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
        let from_file = read_clip(&path).unwrap();
        assert!(from_file.truncated && from_file.samples == cut.samples, "{name}");
        // Where nothing of the sound is left it is called what it is.
        let said = read(&bytes[..40]).unwrap_err().to_string();
        assert!(!said.contains("not a sound file") || name == "x.aiff", "{name}: {said}");
    }
}

#[test]
fn what_is_written_to_a_pipe_has_no_length_and_is_not_cut_short() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (format, codec) in [("webm", "libvorbis"), ("matroska", "flac")] {
        let Some(bytes) = made(folder.path(), format, &["-c:a", codec, "-f", format], true) else { continue };
        let live = read(&bytes).unwrap();
        assert!(!live.truncated, "{format}");
        assert!(live.duration().as_millis().abs_diff(6000) < 150, "{format}: {:?}", live.duration());
    }
}

#[test]
fn joined_ogg_files_are_read_to_the_end_of_the_last() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, codec) in [("v.ogg", "libvorbis"), ("f.ogg", "flac"), ("o.opus", "libopus")] {
        if codec == "libopus" && !cfg!(feature = "opus") {
            continue;
        }
        let Some(bytes) = made(folder.path(), name, &["-c:a", codec], false) else { continue };
        let one = read(&bytes).unwrap().samples.len();
        let two = read(&bytes.repeat(2)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(two.samples.len().abs_diff(2 * one) < 4000 && !two.truncated, "{name}: {one} {}", two.samples.len());
    }
}

#[test]
fn a_joined_ogg_file_whose_second_part_is_unknown_keeps_the_first() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(bytes) = made(folder.path(), "v.ogg", &["-c:a", "libvorbis"], false) else { return };
    let Some(speex) = made(folder.path(), "s.spx", &["-c:a", "libspeex"], false) else { return };
    let one = read(&bytes).unwrap();
    let both = read(&[bytes, speex].concat()).unwrap();
    assert!(both.samples.len().abs_diff(one.samples.len()) < 4000, "{} {}", one.samples.len(), both.samples.len());
}

#[test]
fn an_encoding_that_is_not_read_has_its_usual_name() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(bytes) = made(folder.path(), "x.m4a", &["-c:a", "alac"], false) else { return };
    let said = read(&bytes).unwrap_err().to_string();
    assert_eq!(
        said,
        "test uses Apple Lossless (ALAC), which Nearfield does not read; convert it to 16-bit PCM WAV first"
    );
}

//! Encoders, heard again by the reader; and the formats that phones and browsers record, whole and damaged.

use std::f32::consts::TAU;
use std::process::Command;

use nearfield_speech::audio::{Clip, ClipReader, SampleRate, read_clip};
#[cfg(feature = "flac")]
use nearfield_speech::encode::FlacEncoder;
#[cfg(feature = "opus")]
use nearfield_speech::encode::OpusEncoder;
#[cfg(any(feature = "flac", feature = "opus"))]
use nearfield_speech::encode::SoundEncoder;
use proptest::prelude::*;

/// Two tones that grow and fade.
fn sound(rate: SampleRate, samples: usize) -> Vec<f32> {
    let tone = |at: usize| {
        let t = at as f32 / rate.0 as f32;
        ((t * 440.0 * TAU).sin() + (t * 660.0 * TAU).sin()) * 0.3 * (t * 3.0).sin().abs()
    };
    (0..samples).map(tone).collect()
}

#[cfg(any(feature = "flac", feature = "opus"))]
fn encoded(encoder: &mut dyn SoundEncoder, samples: &[f32], pieces: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in samples.chunks(samples.len().div_ceil(pieces).max(1)) {
        encoder.push(piece, &mut bytes).unwrap();
    }
    encoder.finish(&mut bytes).unwrap();
    bytes
}

fn read(bytes: &[u8]) -> Clip {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sound");
    std::fs::write(&path, bytes).unwrap();
    read_clip(&path).unwrap()
}

#[cfg(feature = "flac")]
#[test]
fn flac_gives_back_every_sample_however_they_came() {
    let rate = SampleRate(22_050);
    for n in [1, 16, 2048, 2049, 30_000] {
        let samples = sound(rate, n);
        let bytes = encoded(&mut FlacEncoder::new(rate).unwrap(), &samples, 7);
        assert_eq!(bytes, encoded(&mut FlacEncoder::new(rate).unwrap(), &samples, 1));
        let clip = read(&bytes);
        // A rest of fewer than 32 is filled up.
        let rest = if n % 2048 == 0 { 0 } else { (n % 2048).max(32) };
        assert_eq!((clip.rate, clip.samples.len()), (rate, n / 2048 * 2048 + rest));
        let furthest = clip.samples.iter().zip(&samples).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(furthest < 1.0 / 16_000.0, "{n} samples: {furthest}");
    }
}

#[cfg(feature = "opus")]
#[test]
fn opus_gives_back_the_sound_and_its_length() {
    let samples = sound(OpusEncoder::RATE, 24_000 * 3 + 77);
    let bytes = encoded(&mut OpusEncoder::new().unwrap(), &samples, 11);
    assert_eq!(bytes, encoded(&mut OpusEncoder::new().unwrap(), &samples, 1));
    assert!(bytes.len() < 24_000, "{} bytes for three seconds", bytes.len());
    let clip = read(&bytes);
    assert_eq!(clip.rate, SampleRate(48_000));
    assert!(clip.samples.len().abs_diff(samples.len() * 2) <= 960, "{} samples", clip.samples.len());
    let twice: Vec<f32> = samples.iter().flat_map(|x| [*x, *x]).collect();
    let energy = |x: &[f32]| x.iter().map(|x| f64::from(x * x)).sum::<f64>();
    let same = clip.samples.iter().zip(&twice).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let likeness = same / (energy(&clip.samples) * energy(&twice)).sqrt();
    assert!(likeness > 0.95, "{likeness}");
}

/// A second of sound by ffmpeg; `None` where it is not installed or lacks the encoder.
fn by_ffmpeg(name: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let mut command = Command::new("ffmpeg");
    command.args(["-loglevel", "error", "-f", "lavfi", "-i", "sine=frequency=440:duration=1:sample_rate=48000"]);
    let ended = command.args(arguments).arg(&path).output().ok()?;
    if !ended.status.success() {
        eprintln!("SKIPPED: {name}: {}", String::from_utf8_lossy(&ended.stderr));
        return None;
    }
    Some(std::fs::read(&path).unwrap())
}

fn recordings() -> Vec<(&'static str, Vec<u8>)> {
    let mut all = vec![("a.m4a", vec!["-c:a", "aac"]), ("a.aac", vec!["-c:a", "aac"])];
    if cfg!(feature = "opus") {
        all.extend([
            ("a.webm", vec!["-c:a", "libopus"]),
            ("a.ogg", vec!["-c:a", "libopus"]),
            ("a.mka", vec!["-c:a", "libopus"]),
        ]);
    }
    all.into_iter().filter_map(|(name, arguments)| Some((name, by_ffmpeg(name, &arguments)?))).collect()
}

#[test]
fn what_phones_and_browsers_record_is_read() {
    for (name, bytes) in recordings() {
        let clip = read(&bytes);
        let seconds = clip.duration().as_secs_f64();
        assert!((0.95..1.1).contains(&seconds), "{name}: {seconds} s");
        let crossings = clip.samples.windows(2).filter(|two| two[0] < 0.0 && two[1] >= 0.0).count();
        assert!((400..480).contains(&crossings), "{name}: {crossings} Hz");
        let mut reader = ClipReader::from_bytes(bytes, name).unwrap();
        assert!(reader.next_block().unwrap().is_some());
    }
}

#[test]
fn damaged_recordings_end_with_an_error_or_some_sound_and_never_panic() {
    let recordings = recordings();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(300));
    for (name, bytes) in &recordings {
        let changes = prop::collection::vec((0..bytes.len(), any::<u8>()), 1..8);
        let cut = 0..bytes.len();
        let ran = runner.run(&(changes, cut, any::<bool>()), |(changes, cut, is_cut)| {
            let mut bytes = bytes.clone();
            changes.into_iter().for_each(|(at, byte)| bytes[at] = byte);
            bytes.truncate(if is_cut { cut.max(1) } else { usize::MAX });
            if let Ok(mut reader) = ClipReader::from_bytes(bytes, name) {
                let mut samples = 0;
                while let Ok(Some(block)) = reader.next_block() {
                    samples += block.len();
                    prop_assert!(samples < 48_000 * 60, "{name} has more sound than it can hold");
                }
            }
            Ok(())
        });
        ran.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

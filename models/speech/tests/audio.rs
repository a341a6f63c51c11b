//! Sound files of every kind, whole and broken, and resampling against its definition.

use nearfield_base::persist::Existing;
use nearfield_speech::audio::{
    AudioError, Clip, ClipReader, Resampler, SampleRate, WavWriter, read_clip, read_clip_from, resample, write_wav,
};
use nearfield_testdata::test_data as shared_data;
use proptest::prelude::*;
use std::io::Cursor;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

const TAU: f64 = std::f64::consts::TAU;

fn sine(rate: u32, hertz: f64, seconds: f64) -> Vec<f32> {
    (0..(f64::from(rate) * seconds) as usize)
        .map(|i| (0.5 * (TAU * hertz * i as f64 / f64::from(rate)).sin()) as f32)
        .collect()
}

/// A WAV file, written by another implementation: the same sine in each channel.
fn wav(rate: u32, channels: u16, bits: u16, float: bool) -> Vec<u8> {
    let sample_format = if float { hound::SampleFormat::Float } else { hound::SampleFormat::Int };
    let spec = hound::WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    for sample in sine(rate, 440.0, 0.25) {
        for _ in 0..channels {
            if float {
                writer.write_sample(sample).unwrap();
            } else {
                writer.write_sample((f64::from(sample) * 2f64.powi(i32::from(bits) - 1)) as i32).unwrap();
            }
        }
    }
    writer.finalize().unwrap();
    bytes.into_inner()
}

fn read(bytes: Vec<u8>) -> Result<Clip, AudioError> {
    read_clip_from(Cursor::new(bytes), "test.wav")
}

#[test]
fn wav_of_every_width_channel_count_and_rate_reads_as_the_same_mono_sound() {
    for rate in [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000] {
        for channels in [1, 2, 6] {
            for (bits, float) in [(8, false), (16, false), (24, false), (32, false), (32, true)] {
                let clip = read(wav(rate, channels, bits, float)).unwrap();
                let expected = sine(rate, 440.0, 0.25);
                assert_eq!(clip.rate, SampleRate(rate));
                assert_eq!(clip.samples.len(), expected.len(), "{rate} Hz, {channels} channels, {bits} bits");
                // One step of the width, and one of f32 for the mixing down.
                let tolerance = 2f32.powi(1 - i32::from(bits)) + 1e-6;
                let off = clip.samples.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(off <= tolerance, "{rate} Hz, {channels} channels, {bits} bits: off by {off}");
                assert!(!clip.truncated);
            }
        }
    }
}

#[test]
fn channels_are_averaged() {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
    for _ in 0..100 {
        writer.write_sample(16_384i16).unwrap();
        writer.write_sample(-8_192i16).unwrap();
    }
    writer.finalize().unwrap();
    assert_eq!(read(bytes.into_inner()).unwrap().samples, vec![0.125; 100]);
}

#[test]
fn a_float_file_with_values_that_are_no_numbers_or_too_large_is_made_harmless() {
    let mut bytes = wav(16_000, 1, 32, true);
    let data = bytes.len() - 16;
    for (i, value) in [f32::NAN, f32::INFINITY, 7.0, -7.0].into_iter().enumerate() {
        bytes[data + 4 * i..data + 4 * i + 4].copy_from_slice(&value.to_le_bytes());
    }
    let clip = read(bytes).unwrap();
    assert_eq!(clip.samples[clip.samples.len() - 4..], [0.0, 0.0, 1.0, -1.0]);
}

#[test]
fn a_wav_cut_in_its_data_keeps_what_is_complete_and_says_so() {
    let whole = wav(16_000, 2, 24, false);
    let clip = read(whole.clone()).unwrap();
    // In the middle of a frame of 2 * 3 bytes.
    let cut = read(whole[..whole.len() - 1_000].to_vec()).unwrap();
    assert!(cut.truncated);
    assert_eq!(cut.samples.len(), clip.samples.len() - 1_000usize.div_ceil(6));
    assert_eq!(cut.samples, clip.samples[..cut.samples.len()]);
}

#[test]
fn a_wav_cut_in_its_header_is_an_error_with_its_name() {
    let whole = wav(16_000, 1, 16, false);
    for length in 1..44 {
        let error = read(whole[..length].to_vec()).unwrap_err();
        assert!(error.to_string().contains("test.wav"), "{error}");
    }
    assert!(matches!(read(whole[..44].to_vec()), Err(AudioError::NoSamples { .. })));
}

#[test]
fn an_empty_file_and_files_that_are_not_sound_are_called_what_they_are() {
    assert!(matches!(read(Vec::new()), Err(AudioError::Empty { .. })));
    let noise: Vec<u8> = (0..50_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (bytes, word) in [
        (b"GGUF and so on, and so on".to_vec(), "GGUF"),
        (b"{\"a\": 1}".to_vec(), "JSON"),
        (b"Dear Sir or Madam, here is no sound".to_vec(), "text"),
        (b"RIFF\x10\0\0\0AVI LIST".to_vec(), "not WAVE"),
        (vec![0; 100_000], "bytes 00"),
        (noise, "bytes"),
    ] {
        let error = read(bytes).unwrap_err();
        assert!(matches!(error, AudioError::NotAudio { .. }) && error.to_string().contains(word), "{error}");
    }
}

#[test]
fn a_missing_file_and_a_folder_are_errors_with_their_names() {
    let missing = read_clip(Path::new("/nowhere/at-all.wav")).unwrap_err();
    assert!(matches!(missing, AudioError::Open { .. }) && missing.to_string().contains("at-all.wav"), "{missing}");
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(read_clip(folder.path()), Err(AudioError::Read { .. })));
}

#[test]
fn lying_headers_are_refused_before_anything_is_allocated() {
    let whole = wav(16_000, 1, 16, false);
    // Offsets in the header of 44 bytes: channels 22, rate 24, bytes a frame 32, bits 34, format 20.
    let patched = |at: usize, value: &[u8]| {
        let mut bytes = whole.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        read(bytes).map(|clip| clip.samples.len()).unwrap_err()
    };
    assert!(matches!(patched(22, &[0, 0]), AudioError::Channels { found: 0, .. }));
    assert!(matches!(patched(22, &[0xff, 0xff]), AudioError::Channels { found: 65_535, .. }));
    for rate in [0u32, 1, 7_999, 192_001, u32::MAX] {
        assert!(matches!(patched(24, &rate.to_le_bytes()), AudioError::Rate { .. }), "{rate}");
    }
    assert!(matches!(patched(32, &[0, 0]), AudioError::Damaged { .. }));
    assert!(matches!(patched(34, &[0, 0]), AudioError::Damaged { .. }));
    assert!(matches!(patched(20, &[2, 0]), AudioError::Unsupported { .. }));
    assert!(matches!(patched(16, &[0xff, 0xff, 0xff, 0x7f]), AudioError::Damaged { .. }));
}

#[test]
fn a_wav_without_data_and_with_another_chunk_behind_it_stays_empty() {
    let mut bytes = wav(16_000, 1, 16, false);
    bytes.truncate(44);
    bytes[40..44].copy_from_slice(&[0; 4]);
    bytes.extend_from_slice(b"LIST\x04\0\0\0INFO");
    assert!(matches!(read(bytes), Err(AudioError::NoSamples { .. })));
}

#[test]
fn data_of_unknown_length_is_read_to_its_end() {
    // What espeak-ng, ffmpeg and others write into a pipe: outer and inner length.
    for (outer, inner) in [(0x7fff_f024u32, 0x7fff_f000u32), (u32::MAX, u32::MAX), (0, 0), (36, 0), (64_036, 0)] {
        let mut bytes = wav(16_000, 1, 16, false);
        bytes[4..8].copy_from_slice(&outer.to_le_bytes());
        bytes[40..44].copy_from_slice(&inner.to_le_bytes());
        let clip = read(bytes).unwrap();
        assert_eq!((clip.samples.len(), clip.truncated), (4_000, false), "{inner:#x}");
    }
}

#[test]
fn chunks_before_the_data_are_skipped_and_those_behind_it_are_no_sound() {
    let whole = wav(16_000, 1, 16, false);
    let mut bytes = whole[..36].to_vec();
    bytes.extend(b"LIST\x05\0\0\0INFOx\0"); // odd length, padded
    bytes.extend(&whole[36..]);
    bytes.extend(b"bext\x04\0\0\0abcd");
    assert_eq!(read(bytes).unwrap(), read(whole).unwrap());
}

#[test]
fn telephone_wav_is_decoded_as_the_standard_says() {
    let coded = |format: u8, codes: [u8; 4]| {
        let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
        bytes.extend([format, 0, 1, 0]);
        bytes.extend(8_000u32.to_le_bytes());
        bytes.extend(8_000u32.to_le_bytes());
        bytes.extend([1, 0, 8, 0]);
        bytes.extend(b"data\x04\0\0\0");
        bytes.extend(codes);
        read(bytes).unwrap().samples.iter().map(|s| (s * 32_768.0) as i32).collect::<Vec<_>>()
    };
    // ITU-T G.711's extremes and smallest steps, in 16-bit steps.
    assert_eq!(coded(7, [0x80, 0x00, 0xff, 0xfe]), [32_124, -32_124, 0, 8]);
    assert_eq!(coded(6, [0xaa, 0x2a, 0xd5, 0x55]), [32_256, -32_256, 8, -8]);
}

#[test]
fn aiff_is_read_and_a_cut_one_keeps_its_beginning() {
    let samples: Vec<i16> = (0..4_000).map(|i| (i * 37 % 30_000) as i16 - 15_000).collect();
    let data: Vec<u8> = samples.iter().flat_map(|s| s.to_be_bytes()).collect();
    let mut bytes = b"FORM".to_vec();
    bytes.extend((4 + 26 + 16 + data.len() as u32).to_be_bytes());
    bytes.extend(b"AIFFCOMM\0\0\0\x12\0\x01");
    bytes.extend((samples.len() as u32).to_be_bytes());
    // 16 bits; 16000 as an 80-bit float: 2^13 * 1.953125.
    bytes.extend([0, 16, 0x40, 0x0c, 0xfa, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(b"SSND");
    bytes.extend((8 + data.len() as u32).to_be_bytes());
    bytes.extend([0; 8]);
    bytes.extend(&data);
    let whole = read(bytes.clone()).unwrap();
    let expected: Vec<f32> = samples.iter().map(|&s| f32::from(s) / 32_768.0).collect();
    assert!(whole.rate == SampleRate(16_000) && whole.samples == expected && !whole.truncated);
    let cut = read(bytes[..bytes.len() - 1_001].to_vec()).unwrap();
    assert!(cut.truncated && !cut.samples.is_empty() && cut.samples == expected[..cut.samples.len()]);
}

#[test]
fn any_flipped_byte_gives_sound_or_an_error_but_no_panic() {
    let whole = wav(16_000, 2, 16, false);
    for at in 0..60 {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            drop(read(bytes));
        }
    }
}

#[test]
fn blocks_of_a_reader_make_the_whole_clip() {
    let bytes = wav(44_100, 2, 16, false);
    let whole = read(bytes.clone()).unwrap();
    let mut reader = ClipReader::from_reader(Cursor::new(bytes), "test.wav").unwrap();
    let mut samples = Vec::new();
    let mut n_blocks = 0;
    while let Some(block) = reader.next_block().unwrap() {
        samples.extend_from_slice(block);
        n_blocks += 1;
    }
    assert_eq!(samples, whole.samples);
    assert!(n_blocks > 1);
}

#[test]
fn what_is_written_reads_back_here_and_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.wav");
    let clip = Clip::new(SampleRate(22_050), sine(22_050, 300.0, 1.5));
    write_wav(&path, &clip).unwrap();
    let back = read_clip(&path).unwrap();
    assert_eq!((back.rate, back.samples.len(), back.truncated), (clip.rate, clip.samples.len(), false));
    assert!(back.samples.iter().zip(&clip.samples).all(|(a, b)| (a - b).abs() <= 1.0 / 32_768.0));
    let elsewhere = hound::WavReader::open(&path).unwrap();
    assert_eq!(elsewhere.len() as usize, clip.samples.len());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a part file was left behind");
}

#[test]
fn a_file_whose_writer_was_killed_holds_what_was_written_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.wav");
    let mut writer = WavWriter::create(&path, SampleRate(16_000), Existing::Keep).unwrap();
    for _ in 0..25 {
        writer.write(&[0.25; 1_600]).unwrap();
    }
    // As a killed process leaves it: nothing is finished, nothing dropped.
    std::mem::forget(writer);
    let clip = read_clip(&path).unwrap();
    assert!(clip.samples.len() >= 32_000, "{} samples", clip.samples.len());
    assert!(clip.samples.iter().all(|&s| s == 0.25));
}

#[test]
fn a_full_disk_is_an_error_and_not_a_panic() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        writeln!(std::io::stderr(), "skipped: no /dev/full").unwrap();
        return;
    }
    let error = write_wav(full, &Clip::new(SampleRate(16_000), vec![0.0; 100_000])).unwrap_err();
    assert!(matches!(error, AudioError::Write { .. }) && error.to_string().contains("/dev/full"), "{error}");
}

#[test]
fn a_failed_write_leaves_the_file_that_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let clip = Clip::new(SampleRate(16_000), vec![0.5; 100]);
    let nowhere = folder.path().join("missing/out.wav");
    assert!(matches!(write_wav(&nowhere, &clip), Err(AudioError::Write { .. })));
    let path = folder.path().join("out.wav");
    write_wav(&path, &clip).unwrap();
    write_wav(&path, &Clip::new(SampleRate(16_000), vec![0.25; 50])).unwrap();
    assert_eq!(read_clip(&path).unwrap().samples, vec![0.25; 50]);
}

#[test]
fn durations_and_sample_counts_agree() {
    assert_eq!(SampleRate(16_000).duration_of(24_000), Duration::from_millis(1_500));
    assert_eq!(SampleRate(44_100).samples_in(Duration::from_secs(600)), 26_460_000);
    assert_eq!(SampleRate(22_050).samples_in(SampleRate(22_050).duration_of(12_345)), 12_345);
}

fn resampled(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
    resample(&Clip::new(SampleRate(from), samples.to_vec()), SampleRate(to)).unwrap().samples
}

#[test]
fn a_resampled_sine_is_the_sine_at_the_new_rate() {
    for (from, to) in [
        (44_100, 16_000),
        (48_000, 16_000),
        (22_050, 48_000),
        (16_000, 44_100),
        (8_000, 16_000),
        (96_000, 16_000),
        (11_025, 16_000),
    ] {
        for hertz in [100.0, 1_000.0, 3_000.0] {
            let out = resampled(&sine(from, hertz, 0.4), from, to);
            let expected = sine(to, hertz, 0.4);
            assert_eq!(out.len(), expected.len(), "{from} to {to}");
            // The ends lack half a filter's neighbourhood: 20 ms.
            let edge = to as usize / 40;
            let off = out
                .iter()
                .zip(&expected)
                .skip(edge)
                .take(out.len() - 2 * edge)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(off < 2e-3, "{hertz} Hz from {from} to {to}: off by {off}");
        }
    }
}

#[test]
fn what_lies_above_the_new_band_is_gone() {
    let out = resampled(&sine(48_000, 12_000.0, 0.5), 48_000, 16_000);
    let peak = out[800..out.len() - 800].iter().fold(0.0f32, |p, s| p.max(s.abs()));
    assert!(peak < 0.5 * 0.001, "12 kHz came through at {peak}"); // -60 dB
}

#[test]
fn implausible_rates_are_refused() {
    assert!(Resampler::new(SampleRate(0), SampleRate(16_000)).is_err());
    assert!(Resampler::new(SampleRate(16_000), SampleRate(1_000_000)).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn streaming_resampling_equals_the_whole_and_loses_no_sample(
        n in 0usize..5_000,
        from in prop::sample::select(vec![8_000u32, 16_000, 22_050, 44_100, 48_000]),
        to in prop::sample::select(vec![8_000u32, 16_000, 22_050, 44_100, 48_000]),
        cuts in prop::collection::vec(1usize..1_500, 1..40),
    ) {
        let sound: Vec<f32> = (0..n).map(|i| ((i * 7_919) % 2_000) as f32 / 1_000.0 - 1.0).collect();
        let whole = resampled(&sound, from, to);
        let expected = (n as f64 * f64::from(to) / f64::from(from)).round() as usize;
        prop_assert_eq!(whole.len(), expected);
        let mut resampler = Resampler::new(SampleRate(from), SampleRate(to)).unwrap();
        // Twice, because `finish` makes it ready for a new stream.
        for _ in 0..2 {
            let mut out = Vec::new();
            let mut rest = sound.as_slice();
            for &cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (now, later) = rest.split_at(cut.min(rest.len()));
                resampler.push(now, &mut |block| out.extend_from_slice(block));
                rest = later;
            }
            resampler.finish(&mut |block| out.extend_from_slice(block));
            prop_assert_eq!(&out, &whole);
        }
    }
}

#[test]
fn flac_from_shared_data_reads_and_a_cut_one_keeps_its_beginning() {
    let Some(path) = shared_data("speech/librispeech/1089-134686-0001.flac") else {
        return;
    };
    let whole = read_clip(&path).unwrap();
    assert_eq!(whole.rate, SampleRate::SPEECH);
    assert!(!whole.truncated && whole.duration() > Duration::from_secs(2), "{:?}", whole.duration());
    let bytes = std::fs::read(&path).unwrap();
    let cut = read_clip_from(Cursor::new(bytes[..bytes.len() / 2].to_vec()), "cut.flac").unwrap();
    assert!(cut.truncated);
    assert_eq!(cut.samples, whole.samples[..cut.samples.len()]);
    // Any cut and any flipped byte gives sound or one error.
    for i in 0..60 {
        drop(read_clip_from(Cursor::new(bytes[..bytes.len() * i / 60].to_vec()), "cut.flac"));
        let mut flipped = bytes.clone();
        flipped[i * 37] ^= 0x5a;
        drop(read_clip_from(Cursor::new(flipped), "flipped.flac"));
    }
}

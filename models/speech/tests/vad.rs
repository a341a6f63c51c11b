//! Endpointing: its rules on a detector that is told what to say, its independence of chunk sizes, and the real
//! detectors on real speech.

use nearfield_speech::audio::{SampleRate, read_clip, resample};
use nearfield_speech::vad::{
    Earshot, EndpointOptions, Endpointer, SamplePosition, Silero, SpeechEvent, VadError, VoiceActivity,
};
use nearfield_testdata::test_data as shared_data;
use proptest::prelude::*;
use std::io::Write as _;
use std::path::Path;

/// Takes the first sample of each frame of 10 ms for the probability.
struct ScriptedVad;

impl VoiceActivity for ScriptedVad {
    fn frame_samples(&self) -> usize {
        160
    }

    fn probability(&mut self, frame: &[f32]) -> Result<f32, VadError> {
        Ok(frame[0])
    }

    fn reset(&mut self) {}

    fn name(&self) -> &str {
        "scripted"
    }
}

fn options() -> EndpointOptions {
    EndpointOptions {
        start_threshold: 0.5,
        stop_threshold: 0.3,
        min_speech_ms: 50,
        end_silence_ms: 200,
        quiet_db: 0,
        pause_ms: 0,
        pre_roll_ms: 100,
        post_roll_ms: 80,
        max_utterance_ms: 2_000,
    }
}

/// Sound of these probabilities, each for so many frames of 10 ms.
fn sound(parts: &[(f32, usize)]) -> Vec<f32> {
    parts.iter().flat_map(|&(p, frames)| std::iter::repeat_n(p, frames * 160)).collect()
}

fn events(samples: &[f32], options: EndpointOptions) -> Vec<SpeechEvent> {
    let mut endpointer = Endpointer::new(Box::new(ScriptedVad), options).unwrap();
    let mut events = Vec::new();
    endpointer.push(samples, &mut |e| events.push(e)).unwrap();
    endpointer.finish(&mut |e| events.push(e));
    events
}

fn ms(ms: u64) -> SamplePosition {
    SamplePosition(ms * 16)
}

#[test]
fn an_utterance_has_its_pre_roll_and_post_roll_and_tells_where_speech_ended() {
    let input = sound(&[(0.0, 50), (0.9, 30), (0.0, 60)]);
    let found = events(&input, options());
    let expected = [
        SpeechEvent::Started { at_sample: ms(400) },
        SpeechEvent::Ended {
            samples: input[400 * 16..880 * 16].to_vec(),
            start: ms(400),
            end: ms(880),
            last_speech_sample: ms(800),
            cut: false,
        },
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_end_is_announced_as_soon_as_the_silence_is_long_enough() {
    let mut endpointer = Endpointer::new(Box::new(ScriptedVad), options()).unwrap();
    let mut n = 0;
    endpointer.push(&sound(&[(0.9, 30), (0.0, 19)]), &mut |_| n += 1).unwrap();
    assert_eq!((n, endpointer.in_speech()), (1, true));
    endpointer.push(&sound(&[(0.0, 1)]), &mut |_| n += 1).unwrap();
    assert_eq!((n, endpointer.in_speech()), (2, false));
}

#[test]
fn a_pause_gives_out_the_utterance_so_far_and_speech_takes_it_back() {
    let input = sound(&[(0.0, 50), (0.9, 30), (0.0, 15), (0.9, 20), (0.0, 60)]);
    let found = events(&input, EndpointOptions { pause_ms: 100, ..options() });
    let paused = |end: u64, last: u64| SpeechEvent::Paused {
        samples: input[400 * 16..end as usize * 16].to_vec(),
        end: ms(end),
        last_speech_sample: ms(last),
    };
    assert_eq!(found.len(), 5, "{} events", found.len());
    assert_eq!(found[0], SpeechEvent::Started { at_sample: ms(400) });
    assert_eq!(found[1], paused(880, 800));
    assert_eq!(found[2], SpeechEvent::Resumed);
    assert_eq!(found[3], paused(1_230, 1_150));
    // What was guessed last is what it came to.
    let SpeechEvent::Ended { samples, .. } = &found[4] else { panic!("no end") };
    assert_eq!(*samples, input[400 * 16..1_230 * 16]);
}

#[test]
fn a_click_is_no_utterance() {
    assert_eq!(events(&sound(&[(0.0, 50), (0.9, 4), (0.0, 60)]), options()), []);
}

#[test]
fn doubtful_frames_neither_begin_nor_end_an_utterance() {
    assert_eq!(events(&sound(&[(0.4, 100)]), options()), []);
    let found = events(&sound(&[(0.9, 10), (0.4, 40), (0.9, 10), (0.0, 60)]), options());
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_pause_shorter_than_the_end_silence_stays_inside() {
    let found = events(&sound(&[(0.9, 20), (0.0, 15), (0.9, 20), (0.0, 60)]), options());
    assert_eq!(found.len(), 2);
    assert!(matches!(&found[1], SpeechEvent::Ended { last_speech_sample, .. } if *last_speech_sample == ms(550)));
}

#[test]
fn two_utterances_do_not_share_sound() {
    let found = events(&sound(&[(0.9, 20), (0.0, 21), (0.9, 20), (0.0, 60)]), options());
    let ranges: Vec<_> = found
        .iter()
        .filter_map(|e| match e {
            SpeechEvent::Ended { start, end, .. } => Some((*start, *end)),
            _ => None,
        })
        .collect();
    assert_eq!(ranges.len(), 2);
    assert!(ranges[0].1 <= ranges[1].0, "{ranges:?}");
}

#[test]
fn a_monologue_is_cut_at_its_quietest_moment_and_nothing_is_lost() {
    let mut input = sound(&[(0.9, 500)]);
    input[170 * 160..171 * 160].fill(0.35);
    let found = events(&input, options());
    let mut at = 0;
    for event in &found {
        if let SpeechEvent::Ended { samples, start, end, .. } = event {
            assert_eq!(start.0, at, "{found:?}");
            assert_eq!(samples.len() as u64, end.0 - start.0);
            assert!(samples.len() <= 2_000 * 16);
            at = end.0;
        }
    }
    assert_eq!(at as usize, input.len());
    assert!(matches!(&found[1], SpeechEvent::Ended { end, cut: true, .. } if *end == ms(1_700)), "{:?}", found[0]);
    assert!(matches!(found.last(), Some(SpeechEvent::Ended { cut: false, .. })));
}

#[test]
fn the_end_of_the_stream_ends_the_utterance() {
    let found = events(&sound(&[(0.9, 20)]), options());
    assert!(matches!(&found[1], SpeechEvent::Ended { end, .. } if *end == ms(200)), "{found:?}");
}

#[test]
fn options_out_of_range_are_named() {
    for (key, wrong) in [
        ("start_threshold", EndpointOptions { start_threshold: 1.5, ..options() }),
        ("stop_threshold", EndpointOptions { stop_threshold: 0.6, ..options() }),
        ("end_silence_ms", EndpointOptions { end_silence_ms: 0, ..options() }),
        ("post_roll_ms", EndpointOptions { post_roll_ms: 201, ..options() }),
        ("max_utterance_ms", EndpointOptions { max_utterance_ms: 1, ..options() }),
    ] {
        let error = Endpointer::new(Box::new(ScriptedVad), wrong).err().unwrap();
        assert!(error.to_string().starts_with(key), "{error}");
    }
    assert!(EndpointOptions::default().check().is_ok());
}

#[test]
fn ten_minutes_given_at_once_take_no_longer_than_in_chunks() {
    let input = sound(&[(0.0, 200), (0.9, 100)]).repeat(200);
    let started = std::time::Instant::now();
    let found = events(&input, options());
    assert_eq!(found.len(), 400);
    assert!(started.elapsed().as_secs_f32() < 3.0, "{:?}", started.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chunk_sizes_change_nothing(
        parts in prop::collection::vec((prop::sample::select(vec![0.0f32, 0.2, 0.4, 0.6, 0.9]), 1usize..40), 1..30),
        cuts in prop::collection::vec(1usize..2_000, 1..50),
        tail in 0usize..160,
        pause_ms in prop::sample::select(vec![0u32, 50, 100]),
    ) {
        let mut input = sound(&parts);
        input.extend(std::iter::repeat_n(0.9, tail));
        let options = EndpointOptions { pause_ms, ..options() };
        let whole = events(&input, options.clone());
        let mut endpointer = Endpointer::new(Box::new(ScriptedVad), options).unwrap();
        // Twice: `finish` makes it ready for a new stream.
        for _ in 0..2 {
            let mut found = Vec::new();
            let mut rest = input.as_slice();
            for &cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (now, later) = rest.split_at(cut.min(rest.len()));
                endpointer.push(now, &mut |e| found.push(e)).unwrap();
                rest = later;
            }
            endpointer.finish(&mut |e| found.push(e));
            prop_assert_eq!(&found, &whole);
        }
    }

    #[test]
    fn events_alternate_and_utterances_are_in_order_and_apart(
        parts in prop::collection::vec((prop::sample::select(vec![0.0f32, 0.4, 0.9]), 1usize..60), 1..40),
    ) {
        let input = sound(&parts);
        let mut last_end = 0;
        for pair in events(&input, options()).chunks(2) {
            let [SpeechEvent::Started { at_sample }, SpeechEvent::Ended { samples, start, end, last_speech_sample, .. }] = pair else {
                return Err(TestCaseError::fail(format!("{pair:?}")));
            };
            prop_assert_eq!(at_sample, start);
            prop_assert!(start.0 >= last_end && last_speech_sample <= end && end > start);
            prop_assert_eq!(samples.as_slice(), &input[start.0 as usize..end.0 as usize]);
            last_end = end.0;
        }
    }
}

#[test]
fn earshot_hears_nothing_in_silence_and_noise() {
    let mut seed = 1u32;
    let noise: Vec<f32> = (0..5 * 16_000)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            0.05 * ((seed >> 8) as f32 / (1 << 23) as f32 - 1.0)
        })
        .collect();
    let loud: Vec<f32> = noise.iter().map(|s| s * 4.0).collect();
    for (name, input) in [("silence", vec![0.0; 5 * 16_000]), ("noise", noise), ("loud noise", loud)] {
        let mut endpointer = Endpointer::new(Box::new(Earshot::default()), EndpointOptions::default()).unwrap();
        let mut n = 0;
        endpointer.push(&input, &mut |_| n += 1).unwrap();
        endpointer.finish(&mut |_| n += 1);
        assert_eq!(n, 0, "{name}");
    }
}

/// Where a sentence begins and ends, in samples.
type Place = (usize, usize);

/// Two sentences with two seconds of silence before, between and after.
fn two_sentences() -> Option<(Vec<f32>, [Place; 2])> {
    let clip = read_clip(&shared_data("speech/ljspeech/LJ001-0002.wav")?).unwrap();
    let speech = resample(&clip, SampleRate::SPEECH).unwrap().samples;
    let silence = vec![0.0; 32_000];
    let input = [&silence[..], &speech, &silence, &speech, &silence].concat();
    let second = 64_000 + speech.len();
    Some((input, [(32_000, 32_000 + speech.len()), (second, second + speech.len())]))
}

fn finds_both(detector: Box<dyn VoiceActivity>) {
    let Some((input, sentences)) = two_sentences() else {
        return;
    };
    let name = detector.name().to_string();
    let mut endpointer = Endpointer::new(detector, EndpointOptions::default()).unwrap();
    let mut found = Vec::new();
    for chunk in input.chunks(320) {
        endpointer
            .push(chunk, &mut |e| {
                if let SpeechEvent::Ended { start, end, last_speech_sample, .. } = e {
                    found.push((start.0 as i64, end.0 as i64, last_speech_sample.0 as i64));
                }
            })
            .unwrap();
    }
    eprintln!("{name}: {found:?}, true: {sentences:?}");
    assert_eq!(found.len(), 2, "{name}: {found:?}");
    for ((start, end, last), (true_start, true_end)) in found.into_iter().zip(sentences) {
        assert!(start <= true_start as i64 + 3_200, "{name} began {start} for {true_start}");
        assert!(end >= true_end as i64 - 6_400, "{name} ended {end} for {true_end}");
        // The file has a little silence of its own at the end.
        assert!((last - true_end as i64).abs() < 6_400, "{name}: speech ended at {last} for {true_end}");
    }
}

#[test]
fn earshot_finds_both_sentences_of_shared_data() {
    finds_both(Box::new(Earshot::default()));
}

#[test]
fn silero_finds_both_sentences_of_shared_data() {
    let Some(path) = shared_data("vad/silero_vad_16k_op15.onnx") else {
        return;
    };
    if let Err(e) = nearfield_onnx::init() {
        writeln!(std::io::stderr(), "skipped: {e}").unwrap();
        return;
    }
    finds_both(Box::new(Silero::open(&path).unwrap()));
}

#[test]
fn silero_refuses_a_model_of_another_kind() {
    if let Err(e) = nearfield_onnx::init() {
        writeln!(std::io::stderr(), "skipped: {e}").unwrap();
        return;
    }
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-piper.onnx");
    let error = Silero::open(&other).err().unwrap().to_string();
    assert!(error.contains("stateN") && error.contains("input_lengths"), "{error}");
}

#[test]
fn a_pause_may_be_given_a_silence_of_its_own_which_speech_takes_back() {
    // Speech from 500 to 800 and from 950 to 1250 ms; only the first pause gets a silence of its own.
    let ends = |silence_ms: u32| {
        let mut endpointer =
            Endpointer::new(Box::new(ScriptedVad), EndpointOptions { pause_ms: 50, ..options() }).unwrap();
        let mut ends = Vec::new();
        let sound = sound(&[(0.0, 50), (0.9, 30), (0.0, 15), (0.9, 30), (0.0, 40)]);
        for (at, frame) in sound.chunks(160).enumerate() {
            let mut paused = false;
            endpointer
                .push(frame, &mut |event| match event {
                    SpeechEvent::Paused { .. } => paused = true,
                    SpeechEvent::Ended { last_speech_sample, .. } => ends.push((at, last_speech_sample)),
                    _ => {}
                })
                .unwrap();
            if paused && at < 100 {
                endpointer.end_after(silence_ms);
            }
        }
        ends
    };
    assert_eq!(ends(100), [(89, ms(800)), (144, ms(1_250))]);
    assert_eq!(ends(170), [(144, ms(1_250))]);
}

#[test]
fn what_is_much_quieter_than_the_utterance_was_is_silence_whatever_the_detector_says() {
    /// Takes everything but zeros for speech.
    struct Generous;
    impl VoiceActivity for Generous {
        fn frame_samples(&self) -> usize {
            160
        }
        fn probability(&mut self, frame: &[f32]) -> Result<f32, VadError> {
            Ok(if frame[0] == 0.0 { 0.0 } else { 1.0 })
        }
        fn reset(&mut self) {}
        fn name(&self) -> &str {
            "generous"
        }
    }
    let end = |quiet_db| {
        let options = EndpointOptions { quiet_db, ..options() };
        let mut endpointer = Endpointer::new(Box::new(Generous), options).unwrap();
        let mut end = None;
        // 400 ms of speech, 200 ms at -30 dB, 300 ms at -44 dB, silence.
        endpointer
            .push(&sound(&[(0.0, 20), (0.5, 40), (0.0158, 20), (0.003, 30), (0.0, 40)]), &mut |event| {
                if let SpeechEvent::Ended { last_speech_sample, .. } = event {
                    end.get_or_insert(last_speech_sample);
                }
            })
            .unwrap();
        end.unwrap()
    };
    assert_eq!(end(0), ms(1_100));
    assert_eq!(end(36), ms(800));
    assert_eq!(end(24), ms(600));
}

#[test]
fn sound_that_is_no_louder_than_the_room_was_before_is_silence() {
    /// Notices the end of speech 400 ms late.
    struct Late(usize);
    impl VoiceActivity for Late {
        fn frame_samples(&self) -> usize {
            160
        }
        fn probability(&mut self, _: &[f32]) -> Result<f32, VadError> {
            self.0 += 1;
            Ok(if (41..=120).contains(&self.0) { 1.0 } else { 0.0 })
        }
        fn reset(&mut self) {}
        fn name(&self) -> &str {
            "late"
        }
    }
    let end = |quiet_db, room: f32| {
        let options = EndpointOptions { quiet_db, ..options() };
        let mut endpointer = Endpointer::new(Box::new(Late(0)), options).unwrap();
        let mut end = None;
        endpointer
            .push(&sound(&[(room, 40), (0.5, 40), (room, 100)]), &mut |event| {
                if let SpeechEvent::Ended { last_speech_sample, .. } = event {
                    end.get_or_insert(last_speech_sample);
                }
            })
            .unwrap();
        end.unwrap()
    };
    assert_eq!(end(36, 0.05), ms(800));
    assert_eq!(end(0, 0.05), ms(1_200));
    // A voice hardly louder than the room is not told from it by loudness.
    assert_eq!(end(36, 0.3), ms(1_200));
}

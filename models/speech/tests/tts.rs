//! Text to speech: espeak-ng and flite where they are installed, and Piper's path with a model that can be computed by
//! hand (made by `make_tiny_piper.py`).

use nearfield_speech::tts::{Engine, Piper, PiperConfig, TtsError, TtsOptions, Voice, open_voice};
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn voice(options: TtsOptions) -> Option<Box<dyn Voice>> {
    match open_voice(&options) {
        Ok(voice) => Some(voice),
        Err(e @ TtsError::MissingProgram { .. }) => {
            writeln!(std::io::stderr(), "skipped: {e}").unwrap();
            None
        }
        Err(e) => panic!("{e}"),
    }
}

fn engine(engine: Engine) -> Option<Box<dyn Voice>> {
    voice(TtsOptions { engine, ..TtsOptions::default() })
}

fn say(voice: &mut dyn Voice, text: &str) -> Vec<f32> {
    let mut samples = Vec::new();
    voice
        .speak(text, &mut |block| {
            samples.extend_from_slice(block);
            ControlFlow::Continue(())
        })
        .unwrap();
    samples
}

#[test]
fn every_engine_speaks_and_longer_text_takes_longer() {
    for kind in [Engine::EspeakNg, Engine::Flite, Engine::Auto] {
        let Some(mut voice) = engine(kind) else {
            continue;
        };
        let rate = voice.sample_rate().0 as usize;
        let short = say(&mut *voice, "Yes.");
        let long = say(&mut *voice, "The temperature in the kitchen is 21.5 degrees.");
        eprintln!(
            "{}: {} Hz, {:.2} s and {:.2} s",
            voice.name(),
            rate,
            short.len() as f32 / rate as f32,
            long.len() as f32 / rate as f32
        );
        assert!((rate / 10..rate).contains(&short.len()), "{} samples", short.len());
        assert!((rate * 3 / 2..rate * 6).contains(&long.len()), "{} samples", long.len());
        assert!(long.iter().all(|s| (-1.0..=1.0).contains(s)));
        assert!(long.iter().any(|s| s.abs() > 0.1));
    }
}

#[test]
fn silence_around_the_words_is_cut_off() {
    for kind in [Engine::EspeakNg, Engine::Flite] {
        let Some(mut voice) = engine(kind) else {
            continue;
        };
        let sound = say(&mut *voice, "Hello.");
        let first = sound.iter().position(|s| s.abs() > 0.01).unwrap();
        let last = sound.iter().rposition(|s| s.abs() > 0.01).unwrap();
        let per_ms = voice.sample_rate().0 as usize / 1_000;
        assert!(first < 30 * per_ms, "{}: {} ms before", voice.name(), first / per_ms);
        assert!(sound.len() - last < 120 * per_ms, "{}: {} ms after", voice.name(), (sound.len() - last) / per_ms);
    }
}

#[test]
fn hostile_text_is_harmless() {
    for kind in [Engine::EspeakNg, Engine::Flite] {
        let Some(mut voice) = engine(kind) else {
            continue;
        };
        for text in [
            "-h",
            "--help",
            "-w /tmp/nearfield-must-not-exist.wav",
            "<speak><audio src='/etc/passwd'/>one</speak>",
            "[[h@l'oU]] phonemes",
            "a\x01\x1b[31m\x00b\x7f",
            "`touch /tmp/nearfield-must-not-exist.wav`; $(reboot) | cat",
            "line one\nline two\r\n\n\nline three",
            "naïve café — “quotes” … 東京 😀 ok",
            "\u{202e}right to left\u{feff}",
        ] {
            let sound = say(&mut *voice, text);
            assert!(!sound.is_empty(), "{} was silent on {text:?}", voice.name());
            assert!(sound.len() < 60 * voice.sample_rate().0 as usize, "{} went on over {text:?}", voice.name());
        }
        assert!(!Path::new("/tmp/nearfield-must-not-exist.wav").exists());
    }
}

#[test]
fn text_without_a_word_gives_no_sound_and_too_much_text_is_refused() {
    for kind in [Engine::EspeakNg, Engine::Flite] {
        let Some(mut voice) = engine(kind) else {
            continue;
        };
        for text in ["", " \n ", "...", "—!?", "\0\x01"] {
            assert_eq!(say(&mut *voice, text).len(), 0, "{text:?}");
        }
        let error = voice.speak(&"word ".repeat(10_000), &mut |_| ControlFlow::Break(())).unwrap_err();
        assert!(matches!(error, TtsError::TooLong { .. }), "{error}");
    }
}

#[test]
fn a_stop_ends_the_synthesizer_at_once_and_leaves_no_process() {
    let Some(mut voice) = engine(Engine::EspeakNg) else {
        return;
    };
    let text = "This is a long sentence that goes on and on. ".repeat(300);
    let mut n_blocks = 0;
    let started = Instant::now();
    voice
        .speak(&text, &mut |_| {
            n_blocks += 1;
            ControlFlow::Break(())
        })
        .unwrap();
    assert_eq!(n_blocks, 1);
    assert!(started.elapsed().as_secs_f32() < 2.0, "{:?}", started.elapsed());
    let me = format!("/proc/{}/task/{}/children", std::process::id(), std::process::id());
    if let Ok(children) = std::fs::read_to_string(me) {
        assert_eq!(children.trim(), "");
    }
}

#[test]
fn pace_and_pitch_are_heard() {
    for kind in [Engine::EspeakNg, Engine::Flite] {
        let with = |words_per_minute, pitch| {
            let mut voice = voice(TtsOptions { engine: kind, words_per_minute, pitch, ..TtsOptions::default() })?;
            Some(say(&mut *voice, "One two three four five six seven eight."))
        };
        let (Some(slow), Some(fast), Some(high)) = (with(120, 50), with(300, 50), with(120, 90)) else {
            continue;
        };
        assert!(fast.len() * 3 < slow.len() * 2, "{kind:?}: {} and {}", fast.len(), slow.len());
        assert_ne!(high, slow, "{kind:?}");
    }
}

#[test]
fn wrong_options_and_voices_are_named() {
    for (key, options) in [
        ("words_per_minute", TtsOptions { words_per_minute: 5, ..TtsOptions::default() }),
        ("pitch", TtsOptions { pitch: 100, ..TtsOptions::default() }),
        ("voice", TtsOptions { voice: Some("-w/tmp/x".to_string()), ..TtsOptions::default() }),
        ("voice", TtsOptions { voice: Some("../../etc/passwd".to_string()), ..TtsOptions::default() }),
        ("voice", TtsOptions { voice: Some(String::new()), ..TtsOptions::default() }),
        ("model", TtsOptions { engine: Engine::Piper, ..TtsOptions::default() }),
    ] {
        let error = open_voice(&options).err().unwrap().to_string();
        assert!(error.contains(key), "{error}");
    }
    for kind in [Engine::EspeakNg, Engine::Flite] {
        if engine(kind).is_none() {
            continue;
        }
        let options = TtsOptions { engine: kind, voice: Some("xyzzy".to_string()), ..TtsOptions::default() };
        let error = open_voice(&options).err();
        eprintln!("{kind:?}: {error:?}");
        assert!(matches!(error, Some(TtsError::Failed { .. })), "{kind:?}: {error:?}");
    }
}

#[test]
fn first_sound_of_espeak_ng_comes_long_before_a_long_text_is_done() {
    let Some(mut voice) = engine(Engine::EspeakNg) else {
        return;
    };
    let text = "The temperature in the kitchen is twenty one degrees, and the front door is locked. ".repeat(20);
    let mut first = None;
    let mut best = f32::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        voice
            .speak(&text, &mut |_| {
                first.get_or_insert(started.elapsed().as_secs_f32());
                ControlFlow::Continue(())
            })
            .unwrap();
        let (head, whole) = (first.take().unwrap(), started.elapsed().as_secs_f32());
        eprintln!("first sound after {:.1} ms, all after {:.1} ms", head * 1e3, whole * 1e3);
        best = best.min(head / whole);
    }
    assert!(best < 0.7, "first sound only after {best} of the time");
}

fn piper_options(name: &str) -> TtsOptions {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    TtsOptions { engine: Engine::Piper, model: Some(model), ..TtsOptions::default() }
}

fn piper(options: TtsOptions) -> Option<Box<dyn Voice>> {
    if let Err(e) = nearfield_onnx::init() {
        writeln!(std::io::stderr(), "skipped: {e}").unwrap();
        return None;
    }
    voice(options)
}

#[test]
fn piper_gives_the_model_the_phonemes_of_espeak_ng_and_plays_what_it_says() {
    let Some(mut voice) = piper(piper_options("tiny-piper.onnx")) else {
        return;
    };
    let config = PiperConfig::read(&PathBuf::from(format!(
        "{}.json",
        piper_options("tiny-piper.onnx").model.unwrap().display()
    )))
    .unwrap();
    // espeak-ng 1.51 and later: "hello" is həlˈoʊ; the punctuation is put back.
    let expected: Vec<f32> =
        config.ids("həlˈoʊ.").iter().flat_map(|&id| std::iter::repeat_n(id as f32 / 200.0, 256)).collect();
    let sound = say(&mut *voice, "Hello.");
    assert_eq!(voice.sample_rate().0, 22_050);
    // The ends are trimmed: the first id is `^` (1, at the threshold), the last `$` (2).
    let at = expected.iter().position(|s| s.abs() >= 0.005).unwrap();
    let expected = &expected[at..];
    assert_eq!(sound.len(), expected.len());
    let off = sound.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off < 1e-6, "off by {off}");
}

#[test]
fn piper_speaks_sentence_by_sentence_and_can_be_stopped_between() {
    let Some(mut voice) = piper(piper_options("tiny-piper.onnx")) else {
        return;
    };
    let one = say(&mut *voice, "Hello.").len();
    assert_eq!(say(&mut *voice, "Hello. Hello. Hello.").len(), 3 * one);
    let mut n = 0;
    voice
        .speak("Hello. Hello. Hello.", &mut |block| {
            n += block.len();
            ControlFlow::Break(())
        })
        .unwrap();
    assert!(n <= one);
    assert_eq!(say(&mut *voice, "...").len(), 0);
}

#[test]
fn a_piper_speaker_is_chosen_by_number() {
    let with = |speaker: Option<&str>| TtsOptions {
        voice: speaker.map(String::from),
        ..piper_options("tiny-piper-two-speakers.onnx")
    };
    let (Some(mut first), Some(mut second)) = (piper(with(None)), piper(with(Some("1")))) else {
        return;
    };
    let (a, b) = (say(&mut *first, "Hello."), say(&mut *second, "Hello."));
    assert!(a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| *a == -*b));
    for wrong in ["2", "anna", "-1"] {
        assert!(matches!(Piper::open(&with(Some(wrong))), Err(TtsError::Option { key: "voice", .. })), "{wrong}");
    }
}

#[test]
fn a_faster_pace_reaches_the_piper_model() {
    let (Some(mut plain), Some(mut fast)) = (
        piper(piper_options("tiny-piper.onnx")),
        piper(TtsOptions { words_per_minute: 350, ..piper_options("tiny-piper.onnx") }),
    ) else {
        return;
    };
    // The tiny model multiplies its values, instead of its length, by the scale.
    let (a, b) = (say(&mut *plain, "Hello."), say(&mut *fast, "Hello."));
    let peak = |s: &[f32]| s.iter().fold(0.0f32, |p, s| p.max(*s));
    assert!((peak(&b) * 2.0 - peak(&a)).abs() < 1e-6);
}

#[test]
fn a_piper_voice_without_its_description_or_with_a_wrong_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("voice.onnx");
    std::fs::copy(piper_options("tiny-piper.onnx").model.unwrap(), &model).unwrap();
    let open = || {
        Piper::open(&TtsOptions { model: Some(model.clone()), ..piper_options("tiny-piper.onnx") })
            .err()
            .unwrap()
            .to_string()
    };
    assert!(open().contains("voice.onnx.json"));
    for (text, word) in [
        ("", "EOF"),
        ("{}", "missing field"),
        (r#"{"audio": {"sample_rate": 1}, "espeak": {"voice": "en"}, "phoneme_id_map": {}}"#, "sample_rate"),
        (r#"{"audio": {"sample_rate": 22050}, "espeak": {"voice": "en"}, "phoneme_id_map": {"^": [1]}}"#, "`_`"),
        (
            r#"{"audio": {"sample_rate": 22050}, "espeak": {"voice": "-w x"}, "phoneme_id_map": {"^": [1], "_": [0], "$": [2]}}"#,
            "espeak.voice",
        ),
    ] {
        std::fs::write(folder.path().join("voice.onnx.json"), text).unwrap();
        let error = open();
        assert!(error.contains(word), "expected {word} in: {error}");
    }
}

#[test]
fn a_voice_in_two_halves_says_what_the_whole_says() {
    let folder = tempfile::tempdir().unwrap();
    for (name, voice) in
        [("tiny-vits", None), ("tiny-vits-two-speakers", None), ("tiny-vits-two-speakers", Some("1".to_string()))]
    {
        let options = TtsOptions { voice, ..piper_options(&format!("{name}.onnx")) };
        let halved = TtsOptions { halves: Some(folder.path().to_owned()), ..options.clone() };
        let (Some(mut whole), Some(mut halves)) = (piper(options), piper(halved.clone())) else {
            return;
        };
        let text = "The temperature in the kitchen is 21.5 degrees, and the front door is locked.";
        let (expected, found) = (say(&mut *whole, text), say(&mut *halves, text));
        assert!(expected.len() > 400, "{}", expected.len());
        assert_eq!(found.len(), expected.len());
        let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 6e-5, "{name} is off by {off}");
        // Made once, and used again.
        let kept = || {
            let entries = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap());
            let mut kept: Vec<_> =
                entries.map(|e| (e.file_name(), e.metadata().unwrap().modified().unwrap())).collect();
            kept.sort();
            kept
        };
        let before = kept();
        assert!(before.iter().all(|(name, _)| name.to_string_lossy().ends_with("coder.onnx")), "{before:?}");
        assert_eq!(say(&mut *piper(halved).unwrap(), text), found);
        assert_eq!(kept(), before);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 4);
}

#[test]
fn damaged_halves_are_made_again_and_a_voice_that_cannot_be_cut_is_used_whole() {
    let folder = tempfile::tempdir().unwrap();
    let halved = |name: &str| TtsOptions { halves: Some(folder.path().to_owned()), ..piper_options(name) };
    let Some(mut voice) = piper(halved("tiny-vits.onnx")) else {
        return;
    };
    let expected = say(&mut *voice, "Hello.");
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        std::fs::write(entry.unwrap().path(), "no model").unwrap();
    }
    assert_eq!(say(&mut *piper(halved("tiny-vits.onnx")).unwrap(), "Hello."), expected);
    // A bit that has changed anywhere, a half of another voice, and what a process left behind that was killed while it made them.
    let files = || {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    };
    let whole: Vec<Vec<u8>> = files().iter().map(|path| std::fs::read(path).unwrap()).collect();
    for (i, path) in files().into_iter().enumerate() {
        for at in [whole[i].len() / 3, whole[i].len() - 200] {
            let mut changed = whole[i].clone();
            changed[at] ^= 0x40;
            std::fs::write(&path, changed).unwrap();
            std::fs::write(folder.path().join("tiny-vits.encoder.4194305.new"), "half").unwrap();
            assert_eq!(say(&mut *piper(halved("tiny-vits.onnx")).unwrap(), "Hello."), expected, "{}", path.display());
            assert_eq!(files().iter().map(|path| std::fs::read(path).unwrap()).collect::<Vec<_>>(), whole);
        }
        std::fs::write(&path, &whole[1 - i]).unwrap();
        assert_eq!(say(&mut *piper(halved("tiny-vits.onnx")).unwrap(), "Hello."), expected, "{}", path.display());
    }
    // No decoder of convolutions; and a folder that can't be made.
    let whole = say(&mut *piper(piper_options("tiny-piper.onnx")).unwrap(), "Hello.");
    assert_eq!(say(&mut *piper(halved("tiny-piper.onnx")).unwrap(), "Hello."), whole);
    let unwritable = TtsOptions { halves: Some(PathBuf::from("/proc/nearfield")), ..piper_options("tiny-vits.onnx") };
    assert_eq!(say(&mut *piper(unwritable).unwrap(), "Hello.").len(), expected.len());
}

#[test]
fn a_real_piper_voice_in_halves_gives_its_first_sound_long_before_its_last() {
    let Some(model) = nearfield_testdata::test_model("en_US-joe-medium.onnx") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let options = TtsOptions { engine: Engine::Piper, model: Some(model), ..TtsOptions::default() };
    let Some(mut whole) = piper(options.clone()) else {
        return;
    };
    let mut halves = piper(TtsOptions { halves: Some(folder.path().to_owned()), ..options }).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "the voice was not cut");
    let text = "The kitchen light is on, and the front door is locked since half past seven.";
    let mut best = f64::MAX;
    for (name, voice) in [("whole", &mut whole), ("halves", &mut halves)] {
        for clause in ["The kitchen light is on.", text] {
            let mut firsts = Vec::new();
            for _ in 0..5 {
                std::thread::sleep(std::time::Duration::from_millis(100)); // a clause comes when it comes
                let (begun, mut first, mut n) = (Instant::now(), None, 0);
                let (mut heard_until, mut longest_gap) = (0.0f64, 0.0f64);
                let rate = f64::from(voice.sample_rate().0);
                voice
                    .speak(clause, &mut |block| {
                        let now = begun.elapsed().as_secs_f64();
                        let at = *first.get_or_insert(now);
                        longest_gap = longest_gap.max(now - at - heard_until);
                        n += block.len();
                        heard_until = n as f64 / rate;
                        ControlFlow::Continue(())
                    })
                    .unwrap();
                let (first, all, sound) = (first.unwrap(), begun.elapsed().as_secs_f64(), n as f64 / rate);
                firsts.push((first * 1e3, all * 1e3, sound, longest_gap * 1e3));
            }
            firsts.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (first, all, sound, gap) = firsts[2];
            let factor = all / 1e3 / sound;
            eprintln!(
                "{name}: first sound after {first:.0} ms, all after {all:.0} ms, {sound:.2} s, factor {factor:.3}, gap {gap:.0} ms"
            );
            if name == "halves" && clause == text {
                best = best.min(first / all);
            }
        }
    }
    assert!(best < 0.5, "the first sound came only after {best} of the time");
}

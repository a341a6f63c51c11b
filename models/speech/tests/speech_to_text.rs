//! Speech to text: hostile model files, silence, short and long sound, stopping, and memory. The model is one with
//! random weights unless a test says otherwise, so what it "hears" means nothing here.

mod speech_models;

use nearfield_speech::audio::{SampleRate, read_clip};
use nearfield_speech::stt::{SpeechToText, SttError, SttOptions, Suppression, Transcription};
use speech_models::{Shape, TINY, babble, model, write};
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

fn open(path: &Path) -> Result<SpeechToText, SttError> {
    SpeechToText::open(path, &SttOptions { threads: 1, ..SttOptions::default() })
}

fn refusal(bytes: &[u8]) -> SttError {
    let folder = tempfile::tempdir().unwrap();
    match open(&write(folder.path(), "model.bin", bytes)) {
        Ok(_) => panic!("the file was accepted"),
        Err(e) => e,
    }
}

/// An error without the folder of its file, which is another one in each run.
fn without_folder(error: &SttError) -> String {
    let text = error.to_string();
    let words = text.split(' ').map(|word| match word.find("model.bin") {
        Some(at) => &word[at..],
        None => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn go_on() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn a_file_cut_anywhere_is_refused_with_its_name_and_place() {
    let whole = model(TINY);
    let lengths = [5, 30, 50, 1_000, whole.vocabulary_at + 2, whole.tensors_at - 3, whole.tensors_at + 1];
    let spread = (1..40).map(|i| whole.bytes.len() * i / 40);
    for length in lengths.into_iter().chain(spread).chain([whole.bytes.len() - 1]) {
        let error = refusal(&whole.bytes[..length]);
        assert!(matches!(error, SttError::Damaged { .. }), "cut at {length}: {error}");
        assert!(error.to_string().contains("model.bin"), "{error}");
    }
}

#[test]
fn other_kinds_of_files_are_called_by_name() {
    let mut errors = String::new();
    for bytes in [
        &b"GGUF\x03\0\0\0"[..],
        b"RIFF\x24\0\0\0WAVE",
        b"\x08\x07\x12\x07pytorch",
        b"version https://git-lfs.github.com/spec/v1",
        b"<!DOCTYPE html>",
        b"PK\x03\x04....",
        b"",
        b"lm",
        b"hello there",
    ] {
        let error = refusal(bytes);
        assert!(matches!(error, SttError::WrongKind { .. }), "{error}");
        errors.push_str(&format!("{}\n", without_folder(&error)));
    }
    snapbox::assert_data_eq!(errors, snapbox::file!["snapshots/other_files.txt"].raw());
}

#[test]
fn a_model_without_weights_is_refused() {
    // As whisper.cpp's own `for-tests-*.bin`, which it loads and then crashes on.
    let whole = model(TINY);
    let error = refusal(&whole.bytes[..whole.tensors_at]);
    assert!(error.to_string().contains("no weights"), "{error}");
}

#[test]
fn every_lie_in_the_header_is_refused_before_anything_is_allocated() {
    let whole = model(TINY);
    for field in 0..13 {
        for lie in [0u32, 7, 100_000, 0x7fff_ffff, 0xffff_ffff] {
            let mut bytes = whole.bytes.clone();
            let at = 4 + 4 * field;
            // Some values are true, or allowed: one or seven heads, an f32 file type.
            let truth = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            if lie == truth {
                continue;
            }
            bytes[at..at + 4].copy_from_slice(&lie.to_le_bytes());
            let folder = tempfile::tempdir().unwrap();
            let opened = open(&write(folder.path(), "model.bin", &bytes));
            let harmless = field == 10 && (lie == 0 || lie == 7);
            assert!(harmless || opened.is_err(), "field {field} = {lie} was accepted");
        }
    }
}

#[test]
fn lies_in_the_vocabulary_and_the_tensors_are_refused() {
    let whole = model(TINY);
    let patch = |at: usize, value: u32| {
        let mut bytes = whole.bytes.clone();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        refusal(&bytes)
    };
    let mut errors = String::new();
    let mut add = |what: &str, error: SttError| errors.push_str(&format!("{what}: {}\n", without_folder(&error)));
    for value in [0, 51_865, 0xffff_ffff] {
        add(&format!("{value} words"), patch(whole.vocabulary_at, value));
    }
    add("a word's length", patch(whole.vocabulary_at + 4, 0xffff_fff0));
    for (offset, what, values) in [
        (0, "number of dimensions", &[0, 4, 0xffff_ffff][..]),
        (4, "a name's length", &[0, 0x7fff_ffff]),
        (8, "type", &[5, 0xffff_ffff]),
        (12, "dimension", &[0, 0xffff_ffff]),
        (16, "dimension of the second", &[65_536]),
    ] {
        for value in values {
            add(&format!("{what} {value}"), patch(whole.tensors_at + offset, *value));
        }
    }
    snapbox::assert_data_eq!(errors, snapbox::file!["snapshots/lies.txt"].raw());
}

#[test]
fn a_vocabulary_without_the_words_that_whisper_cpp_looks_up_is_refused() {
    // It would abort the process in the first transcription.
    let whole = model(TINY);
    for (index, word) in ["\" \"", "\" -\"", "\" '\""].into_iter().enumerate() {
        let mut bytes = whole.bytes.clone();
        // The count, then for each word its length and itself; these have one, two and two bytes.
        let at = whole.vocabulary_at + 4 + [4, 9, 15][index];
        bytes[at] = b'x';
        let error = refusal(&bytes);
        assert!(error.to_string().contains(&format!("lacks the word {word}")), "{error}");
    }
}

#[test]
fn a_tensor_of_another_name_is_refused_by_the_loader_without_a_crash() {
    let mut whole = model(TINY);
    // 5 numbers stand before the first name.
    whole.bytes[whole.tensors_at + 20] = b'X';
    let error = refusal(&whole.bytes);
    assert!(matches!(error, SttError::Load { .. }), "{error}");
}

#[test]
fn a_missing_file_and_a_folder_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let missing = open(&folder.path().join("none.bin")).err().unwrap();
    assert!(matches!(missing, SttError::File { .. }) && missing.to_string().contains("none.bin"), "{missing}");
    let error = open(folder.path()).err().unwrap();
    assert!(error.to_string().contains("folder"), "{error}");
}

#[test]
fn a_language_that_the_model_does_not_know_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let english = write(folder.path(), "en.bin", &model(TINY).bytes);
    let with = |path: &Path, language: &str| {
        SpeechToText::open(path, &SttOptions { language: Some(language.to_string()), ..SttOptions::default() })
    };
    assert!(with(&english, "en").is_ok());
    for language in ["de", "klingon", "", "d\0e", "../x"] {
        assert!(matches!(with(&english, language), Err(SttError::Language { .. })), "{language:?}");
    }
    let multilingual = write(folder.path(), "all.bin", &model(Shape { n_vocab: 51_865, ..TINY }).bytes);
    let mut model = with(&multilingual, "de").unwrap();
    assert!(model.is_multilingual());
    model.transcribe(&babble(1.0), &mut go_on).unwrap();
}

#[test]
fn options_out_of_range_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "model.bin", &model(TINY).bytes);
    let wrong = [
        SttOptions { window_ms: 40_000, ..SttOptions::default() },
        SttOptions { logprob_threshold: f32::NAN, ..SttOptions::default() },
        SttOptions { temperature_increment: Some(-1.0), ..SttOptions::default() },
        SttOptions { beam_size: 9, ..SttOptions::default() },
        SttOptions { no_speech_threshold: 2.0, ..SttOptions::default() },
        SttOptions { initial_prompt: Some("a\0b".to_string()), ..SttOptions::default() },
    ];
    let errors = wrong.map(|options| format!("{}\n", SpeechToText::open(&path, &options).err().unwrap())).concat();
    snapbox::assert_data_eq!(errors, snapbox::file!["snapshots/options.txt"].raw());
}

fn tiny() -> (tempfile::TempDir, SpeechToText) {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "model.bin", &model(TINY).bytes);
    // Random weights make unlikely text; here it shall come through.
    let options = SttOptions {
        threads: 1,
        logprob_threshold: -99.0,
        logprob_floor: -99.0,
        max_tokens: 12,
        ..SttOptions::default()
    };
    let model = SpeechToText::open(&path, &options).unwrap();
    (folder, model)
}

#[test]
fn nothing_and_less_than_a_tenth_of_a_second_give_no_text() {
    let (_folder, mut model) = tiny();
    for n in [0, 1, 1_599] {
        let heard = model.transcribe(&vec![0.5; n], &mut go_on).unwrap();
        assert_eq!(heard.text, "");
        assert_eq!(heard.suppressed, Some(Suppression::Silence));
    }
}

#[test]
fn silence_gives_no_text() {
    let (_folder, mut model) = tiny();
    let heard = model.transcribe(&vec![0.0; 32_000], &mut go_on).unwrap();
    assert_eq!((heard.text.as_str(), heard.suppressed), ("", Some(Suppression::Silence)));
    assert_eq!(heard.audio, Duration::from_secs(2));
}

#[test]
fn every_length_around_the_limits_is_taken() {
    let (_folder, mut model) = tiny();
    let sound = babble(31.0);
    for n in [1_600, 1_601, 1_760, 3_199, 7_999, 8_000, 8_001, 16_000, 447_999, 448_000, 448_001, sound.len()] {
        let heard = model.transcribe(&sound[..n], &mut go_on).unwrap();
        assert!(!heard.stopped, "{n} samples");
    }
}

#[test]
fn the_same_sound_gives_the_same_text_whatever_came_before() {
    let (_folder, mut model) = tiny();
    let (short, long) = (babble(1.5), babble(9.0));
    let first = model.transcribe(&short, &mut go_on).unwrap();
    model.transcribe(&long, &mut go_on).unwrap();
    assert_eq!(model.transcribe(&short, &mut go_on).unwrap(), first);
}

/// What is heard, and how often the caller was asked whether to go on.
fn counting(model: &mut SpeechToText, sound: &[f32]) -> (Transcription, usize) {
    let mut asked = 0;
    let heard = model.transcribe(sound, &mut || {
        asked += 1;
        ControlFlow::Continue(())
    });
    (heard.unwrap(), asked)
}

/// What is heard where the caller says stop after so many questions.
fn stopped_after(model: &mut SpeechToText, sound: &[f32], mut left: usize) -> Transcription {
    let heard = model.transcribe(sound, &mut || {
        if left == 0 {
            return ControlFlow::Break(());
        }
        left -= 1;
        ControlFlow::Continue(())
    });
    heard.unwrap()
}

#[test]
fn a_stop_ends_it_between_two_tokens() {
    let (_folder, mut model) = tiny();
    let sound = babble(5.0);
    let (whole, asked) = counting(&mut model, &sound);
    assert!(!whole.stopped);
    // Before the piece, after the encoder, after each token.
    assert!(asked > 3, "asked {asked} times");
    for limit in [0, 1, asked / 2] {
        let stopped = stopped_after(&mut model, &sound, limit);
        assert!(stopped.stopped, "after {limit}");
    }
    // And the model works on.
    assert_eq!(model.transcribe(&sound, &mut go_on).unwrap(), whole);
}

#[test]
fn a_panic_in_the_callers_question_does_not_cross_into_c() {
    let (_folder, mut model) = tiny();
    let mut asked = 0;
    let heard = model.transcribe(&babble(2.0), &mut || {
        asked += 1;
        assert!(asked < 3, "this panic is part of the test");
        ControlFlow::Continue(())
    });
    assert!(heard.unwrap().stopped);
}

#[test]
fn long_sound_is_transcribed_piece_by_piece_in_order() {
    let (_folder, mut model) = tiny();
    let heard = model.transcribe(&babble(70.0), &mut go_on).unwrap();
    assert!(heard.segments.windows(2).all(|s| s[0].end <= s[1].start), "{:?}", heard.segments);
    assert!(heard.segments.iter().all(|s| s.end - s.start <= Duration::from_secs(28)));
    assert_eq!(heard.audio, Duration::from_secs(70));
}

/// The bundled model, wherever a build has put it.
fn hear_nano() -> Option<SpeechToText> {
    hear_nano_with(&SttOptions::default())
}

fn hear_nano_with(options: &SttOptions) -> Option<SpeechToText> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/models");
    let found = std::fs::read_dir(&folder).ok()?.flatten().map(|e| e.path()).find(|p| {
        p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("hear-nano"))
            && p.extension().is_some_and(|e| e == "bin")
    });
    if found.is_none() {
        writeln!(std::io::stderr(), "skipped: no hear-nano*.bin in {}", folder.display()).unwrap();
    }
    Some(SpeechToText::open(&found?, options).unwrap())
}

#[test]
fn several_hypotheses_at_once_hear_a_clear_question_and_can_be_stopped() {
    let Some(mut model) = hear_nano_with(&SttOptions { beam_size: 4, ..SttOptions::default() }) else { return };
    let speech = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/speech");
    let sound = read_clip(&speech.join("1-temperature.wav")).unwrap().samples;
    let (heard, asked) = counting(&mut model, &sound);
    assert!(heard.text.ends_with("in the kitchen?"), "{heard:?}");
    assert!(stopped_after(&mut model, &sound, asked / 2).stopped);
    assert_eq!(model.transcribe(&sound, &mut go_on).unwrap(), heard);
}

#[test]
fn the_bundled_model_says_nothing_on_silence_noise_and_tones() {
    let Some(mut model) = hear_nano() else { return };
    let mut seed = 1u32;
    let mut noise = |gain: f32| -> Vec<f32> {
        (0..48_000)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                gain * ((seed >> 8) as f32 / (1 << 23) as f32 - 1.0)
            })
            .collect()
    };
    let tone: Vec<f32> = (0..48_000).map(|i| 0.3 * (i as f32 * 0.17).sin()).collect();
    for (name, sound) in [("quiet noise", noise(0.003)), ("loud noise", noise(0.3)), ("a tone", tone)] {
        let heard: Transcription = model.transcribe(&sound, &mut go_on).unwrap();
        assert_eq!(heard.text, "", "{name}: {heard:?}");
        assert!(heard.suppressed.is_some(), "{name}");
    }
}

#[test]
fn sentences_in_one_recording_are_heard_one_by_one() {
    let Some(mut model) = hear_nano() else { return };
    let speech = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/speech");
    let mut together = Vec::new();
    for name in ["1-temperature.wav", "2-light.wav", "5-door.wav"] {
        let clip = read_clip(&speech.join(name)).unwrap();
        assert_eq!(clip.rate, SampleRate::SPEECH, "{name}");
        together.extend_from_slice(&clip.samples);
        together.resize(together.len() + 12_800, 0.0); // 0.8 s of silence
    }
    let heard = model.transcribe(&together, &mut go_on).unwrap();
    assert_eq!(heard.segments.len(), 3, "{heard:?}");
    let ends = ["in the kitchen?", "the living room light.", "the front door locked?"];
    for (segment, end) in heard.segments.iter().zip(ends) {
        assert!(segment.text.ends_with(end), "{heard:?}");
    }
    // Each ends with its speech, before the pause of 0.8 s.
    let pause = std::time::Duration::from_millis(500);
    assert!(heard.segments.windows(2).all(|pair| pair[0].end + pause < pair[1].start), "{:?}", heard.segments);
}

/// Words for counting errors: numbers and abbreviations written out, lower case, no marks.
fn plain_words(text: &str) -> Vec<String> {
    let said = nearfield_speech::tts::Normalizer::for_voice("en-us").normalize(&text.replace('-', " "));
    let plain: String =
        said.to_lowercase().chars().map(|c| if c.is_alphanumeric() || c == '\'' { c } else { ' ' }).collect();
    plain.split_whitespace().map(String::from).collect()
}

/// The recordings of `speech/` with what is said in them.
fn recordings() -> Option<Vec<(std::path::PathBuf, String)>> {
    let folder = nearfield_testdata::test_data("speech")?;
    let mut found = Vec::new();
    let table = std::fs::read_to_string(folder.join("ljspeech/metadata.csv")).unwrap();
    for row in table.lines() {
        let columns: Vec<&str> = row.split('|').collect();
        found.push((folder.join("ljspeech").join(format!("{}.wav", columns[0])), columns[2].to_string()));
    }
    for entry in std::fs::read_dir(folder.join("librispeech")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "txt") {
            for row in std::fs::read_to_string(&path).unwrap().lines() {
                let (id, text) = row.split_once(' ').unwrap();
                found.push((path.with_file_name(format!("{id}.flac")), text.to_string()));
            }
        }
    }
    found.retain(|(path, _)| path.is_file());
    found.sort();
    Some(found)
}

fn speech(path: &Path) -> Vec<f32> {
    nearfield_speech::audio::resample(&read_clip(path).unwrap(), SampleRate::SPEECH).unwrap().samples
}

#[test]
fn real_tiny_en_makes_no_more_errors_than_whisper_cpp_on_real_recordings() {
    let (Some(model), Some(recordings)) = (nearfield_testdata::test_model("ggml-tiny.en.bin"), recordings()) else {
        return;
    };
    let mut stt = SpeechToText::open(&model, &SttOptions::default()).unwrap();
    let (mut n_words, mut n_errors) = (0, 0);
    let begun = std::time::Instant::now();
    for (path, text) in &recordings {
        let heard = stt.transcribe(&speech(path), &mut go_on).unwrap();
        let (due, said) = (plain_words(text), plain_words(&heard.text));
        let errors = nearfield_speech::stt::word_errors(&due, &said);
        if errors > 0 {
            eprintln!("{}: {errors}: {}", path.file_stem().unwrap().to_string_lossy(), heard.text);
        }
        (n_words, n_errors) = (n_words + due.len(), n_errors + errors);
    }
    let percent = 100.0 * n_errors as f64 / n_words as f64;
    eprintln!(
        "{n_errors} errors in {n_words} words of {} recordings: {percent:.2} %, {:.1} s",
        recordings.len(),
        begun.elapsed().as_secs_f32()
    );
    assert!(recordings.len() >= 20 && percent <= 6.23, "{percent:.2} %");
}

#[test]
fn real_tiny_en_says_no_phrase_twice_and_leaves_out_no_first_word() {
    let (Some(model), Some(folder)) =
        (nearfield_testdata::test_model("ggml-tiny.en.bin"), nearfield_testdata::test_data("speech/ljspeech"))
    else {
        return;
    };
    let mut stt = SpeechToText::open(&model, &SttOptions::default()).unwrap();
    let mut hear = |samples: &[f32]| stt.transcribe(samples, &mut go_on).unwrap();
    let text = hear(&speech(&folder.join("LJ001-0003.wav"))).text;
    assert_eq!(text.matches("similar process").count(), 1, "{text}");
    // Two recordings with silence around them: the segments end with the speech.
    let (a, b) = (speech(&folder.join("LJ001-0002.wav")), speech(&folder.join("LJ001-0008.wav")));
    let silence = |seconds: usize| vec![0.0f32; seconds * 16_000];
    let joined = [silence(20), a.clone(), silence(7), b.clone(), silence(15)].concat();
    let heard = hear(&joined);
    let (first, second) = (heard.segments.first().unwrap(), heard.segments.last().unwrap());
    let seconds = |samples: usize| samples as f32 / 16_000.0;
    assert_eq!(heard.segments.len(), 2, "{heard:?}");
    let close = |time: Duration, due: f32| (time.as_secs_f32() - due).abs() < 0.7;
    assert!(close(first.start, 20.0) && close(first.end, 20.0 + seconds(a.len())), "{first:?}");
    assert!(
        close(second.start, 27.0 + seconds(a.len())) && close(second.end, 27.0 + seconds(a.len() + b.len())),
        "{second:?}"
    );
}

#[test]
fn real_tiny_en_gives_words_their_times() {
    let (Some(model), Some(folder)) =
        (nearfield_testdata::test_model("ggml-tiny.en.bin"), nearfield_testdata::test_data("speech/ljspeech"))
    else {
        return;
    };
    let options = SttOptions { word_timestamps: true, ..SttOptions::default() };
    let mut stt = SpeechToText::open(&model, &options).unwrap();
    let sound = speech(&folder.join("LJ001-0002.wav"));
    for lead in [0, 48_000] {
        let heard = stt.transcribe(&[vec![0.0; lead], sound.clone()].concat(), &mut go_on).unwrap();
        let words: Vec<&nearfield_speech::stt::Word> = heard.segments.iter().flat_map(|s| &s.words).collect();
        eprintln!("{words:?}");
        let text = words.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(" ");
        assert_eq!(text, heard.text);
        assert!(words.iter().all(|w| w.start <= w.end), "{words:?}");
        assert!(words.windows(2).all(|pair| pair[0].end <= pair[1].start + Duration::from_millis(20)), "{words:?}");
        let offset = Duration::from_millis(lead as u64 / 16);
        assert!(words[0].start >= offset.saturating_sub(Duration::from_millis(100)), "{words:?}");
        // 1.9 s are spoken: "in being comparatively modern".
        let modern = words.last().unwrap().start - offset;
        assert!((0.9..1.7).contains(&modern.as_secs_f32()), "{words:?}");
    }
}

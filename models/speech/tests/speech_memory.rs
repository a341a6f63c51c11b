//! Memory over time. One test in a file of its own, because it measures the whole process.

mod speech_models;

use nearfield_base::memory::{of_process, threads};
use nearfield_speech::stt::{SpeechToText, SttOptions};
use speech_models::{TINY, babble, model, write};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

fn resident_kib() -> usize {
    of_process("VmRSS").unwrap() / 1024
}

#[test]
fn ten_minutes_and_two_hundred_utterances_leave_memory_and_threads_flat() {
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
    let mut model = SpeechToText::open(&path, &options).unwrap();
    let mut transcribe = |sound: &[f32]| model.transcribe(sound, &mut || ControlFlow::Continue(())).unwrap();

    let long = babble(600.0);
    transcribe(&long[..16_000 * 60]);
    let before = resident_kib();
    let started = Instant::now();
    let heard = transcribe(&long);
    let grown = resident_kib().saturating_sub(before);
    eprintln!("ten minutes: {:?}, {grown} KiB more, {} pieces", started.elapsed(), heard.segments.len());
    assert_eq!(heard.audio, Duration::from_secs(600));
    assert!(grown < 8 * 1024, "{grown} KiB more after ten minutes of sound");

    let short = babble(2.0);
    (0..10).for_each(|_| drop(transcribe(&short)));
    let (before, threads_before) = (resident_kib(), threads().unwrap());
    (0..200).for_each(|_| drop(transcribe(&short)));
    let grown = resident_kib().saturating_sub(before);
    eprintln!("200 utterances: {grown} KiB more");
    assert!(grown < 1024, "{grown} KiB more after 200 utterances");
    assert_eq!(threads().unwrap(), threads_before);
}

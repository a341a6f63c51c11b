//! What the three bundled models cost, loaded together as a voice assistant with a camera has them: each one's speed on one
//! thread, and the memory of the process.

use std::io::Write;
use std::time::Instant;

use anyhow::Context;
use nearfield_llm::{MeasureOptions, SessionOptions, measure, median};
use nearfield_vision::Picture;
use serde_json::json;
use std::ops::ControlFlow;

use super::Run;
use crate::config::VoiceConfig;
use crate::config::caption::CaptionConfig;
use crate::hub::registry::Registry;
use crate::load::caption::load_vision;
use crate::load::voice::{load_llm, load_stt};
use crate::recordings::read_speech;

/// Samples of the utterance: two seconds at 16 kHz.
const UTTERANCE: usize = 32_000;
/// Times that each is measured; medians count.
const REPEATS: usize = 9;

/// Measures, and prints one line.
pub(super) fn measure_all(
    run: &Run<'_>,
    registry: &Registry,
    as_json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    run.begin("speeds", 3);
    let mut config = VoiceConfig::default();
    (config.llm.model, config.llm.threads) = ("talk-nano".to_owned(), 1);
    (config.stt.model, config.stt.options.threads) = ("hear-nano".to_owned(), 1);
    let mut caption = CaptionConfig::default();
    (caption.vision.model, caption.vision.threads) = ("see-nano".to_owned(), 1);
    let llm = load_llm(&config, registry)?;
    let mut stt = load_stt(&config, registry)?;
    let mut vision = load_vision(&caption, registry)?;
    let assets = registry.places().assets.as_deref().context("the bundled recordings are not here")?;
    let mut speech = read_speech(&assets.join("speech/1-temperature.wav"), &crossbeam_channel::never())?;
    speech.resize(UTTERANCE, 0.0);
    let picture = Picture::decode(&std::fs::read(assets.join("pictures/01-1.jpg"))?, "a bundled picture")?;
    let start = Instant::now();
    let hear_ms = times(&mut || Ok(stt.transcribe(&speech, &mut || ControlFlow::Continue(())).map(drop)?))?;
    run.row_done()?;
    let options = MeasureOptions { prompt: 128, generate: 64, repeats: REPEATS, session: SessionOptions::default() };
    let talk = measure(&llm, &options, &|| start.elapsed(), &mut |_| {})?;
    run.row_done()?;
    let see_ms = times(&mut || Ok(vision.look(&picture).map(drop)?))?;
    run.row_done()?;
    let resident_mb = nearfield_base::memory::of_process("VmRSS").unwrap_or(0) as f64 / 1e6;
    if as_json {
        let line = json!({
            "eval": "bundled", "set": "speeds", "threads": 1, "hear_nano_2_s_ms": hear_ms,
            "talk_nano_prefill_tok_s": talk.prefill_tok_s, "talk_nano_decode_tok_s": talk.decode_tok_s,
            "see_nano_picture_ms": see_ms, "resident_mb": resident_mb,
        });
        writeln!(out, "{line}")?;
    } else {
        writeln!(
            out,
            "on one thread: hear-nano {hear_ms:.0} ms for 2 s of speech; talk-nano {:.0} tok/s read, {:.0} tok/s written; \
             see-nano {see_ms:.1} ms a picture; the process with all three {resident_mb:.0} MB",
            talk.prefill_tok_s, talk.decode_tok_s
        )?;
    }
    Ok(())
}

/// Milliseconds of the middle one of several runs, after one that does not count.
fn times(run: &mut dyn FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    run()?;
    let mut all = Vec::with_capacity(REPEATS);
    for _ in 0..REPEATS {
        let start = Instant::now();
        run()?;
        all.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(all).unwrap_or_default())
}

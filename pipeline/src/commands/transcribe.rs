//! `nearfield transcribe`: recordings into text, subtitles or JSON.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use nearfield_speech::stt::{Segment, SpeechToText};
use nearfield_stages::flow::fault::Fault;
use nearfield_stages::flow::{StopSignal, panics, writes};
use serde_json::json;

use crate::cli::{TranscribeArgs, TranscriptFormat, Usage};
use crate::commands::voice_files;
use crate::config::{Config, VoiceConfig};
use crate::hub::registry::Registry;
use crate::load::voice::load_stt;
use crate::output::turn_report::ms;
use crate::output::{terminal, transcript};
use crate::recordings::read_speech;
use crate::signals;

/// The bundled model, which was trained on sentences about the home in synthetic voices.
const BUNDLED: &str = "hear-nano";
/// Of what it knows it is this sure or surer: the mean of the segments' mean log-probabilities.
const SURE: f32 = -0.35;

/// Transcribes the files one after the other. One that can't be read does not cost the others.
pub(super) fn transcribe(args: &TranscribeArgs, stop: &StopSignal, out: &mut dyn Write) -> anyhow::Result<()> {
    let format = if args.json { TranscriptFormat::Json } else { args.format };
    if args.files.len() > 1 && matches!(format, TranscriptFormat::Srt | TranscriptFormat::Vtt | TranscriptFormat::Tsv) {
        return Err(Usage(
            "the times of several files would run into each other: give one file, or --format json".to_owned(),
        )
        .into());
    }
    let mut config = VoiceConfig::load(args.config.config.as_deref(), &args.config.set)?;
    match args.language.as_deref() {
        Some("auto") => config.stt.options.language = None,
        Some(language) => config.stt.options.language = Some(language.to_owned()),
        None => {}
    }
    config.stt.options.translate |= args.translate;
    // Subtitles are cut by the words' times.
    config.stt.options.word_timestamps =
        args.word_timestamps || matches!(format, TranscriptFormat::Srt | TranscriptFormat::Vtt);
    let registry = Registry::open()?;
    let mut files = voice_files(&config, &args.config, &registry);
    args.files
        .iter()
        .for_each(|file| if file == Path::new("-") { files.reads_stdin() } else { files.reads("the recording", file) });
    files.check()?;
    let mut stt = load_stt(&config, &registry)?;
    if config.stt.options.translate && !stt.is_multilingual() {
        bail!(
            "{} knows English only and translates nothing: take a multilingual model, such as whisper-base",
            stt.path().display()
        );
    }
    let (mut failures, mut fault) = (0, Fault::of("transcribe-file"));
    for file in &args.files {
        if signals::is_stopped(stop) {
            bail!("stopped before {}", file.display());
        }
        let transcribed = panics::catch("transcribe", || {
            let injected = fault.step();
            let knows_little = (config.stt.model == BUNDLED).then_some(BUNDLED);
            transcribe_file(&mut stt, file, (format, args.word_timestamps), knows_little, stop, out).and(injected)
        });
        // What a panic has left of the recognizer is not used again.
        let transcribed = transcribed.with_context(|| file.display().to_string())?;
        if let Err(error) = transcribed {
            if error.chain().any(|e| e.is::<std::io::Error>()) && out.flush().is_err() {
                return Err(error);
            }
            failures += 1;
            terminal::print_error(&error);
        }
    }
    if failures > 0 {
        bail!("{failures} of {} files could not be transcribed", args.files.len());
    }
    Ok(())
}

fn transcribe_file(
    stt: &mut SpeechToText,
    path: &Path,
    (format, is_by_word): (TranscriptFormat, bool),
    knows_little: Option<&str>,
    stop: &StopSignal,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let samples = read_speech(path, stop)?;
    let begun = Instant::now();
    let mut go_on = || if signals::is_stopped(stop) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    // A piece that is under way takes the encoder seconds: what was complete before it is not lost to the end of the two that good order has.
    let _write = writes::begin();
    let heard = stt.transcribe(&samples, &mut go_on).with_context(|| path.display().to_string())?;
    let mut document = json!({
        "file": path.display().to_string(),
        "text": heard.text,
        "language": heard.language,
        "segments": heard.segments.iter().map(transcript::segment_json).collect::<Vec<_>>(),
        "audio_ms": ms(heard.audio),
        "latency_ms": ms(begun.elapsed()),
    });
    if let Some(why) = heard.suppressed {
        document["suppressed"] = json!(why.as_str());
    }
    transcript::write(out, format, &heard, &document, is_by_word)?;
    out.flush()?;
    if let Some(model) = knows_little
        && is_unsure(&heard.segments)
    {
        tracing::warn!(
            "{}: {model} knows sentences about the home only and is unsure of this: the text is probably wrong. For other speech: \
             `nearfield models pull whisper-base`, then `nearfield transcribe --set stt.model=whisper-base`",
            path.display()
        );
    }
    if heard.stopped {
        bail!("stopped within {}: what was complete has been printed", path.display());
    }
    Ok(())
}

/// Whether a text as a whole is below [`SURE`].
fn is_unsure(segments: &[Segment]) -> bool {
    let sum: f32 = segments.iter().map(|segment| segment.average_log_probability).sum();
    !segments.is_empty() && sum / (segments.len() as f32) < SURE
}

//! `nearfield bench voice`: how long somebody waits for an answer, and how often they are cut off.
//!
//! Questions are asked in real time, each once the one before has been answered; the answers go into a file with a loudspeaker's
//! clock, and the wait is measured in the two recordings: from the last sample of speech to the first audible one of the reply. The
//! same questions then go through the same stages one after the other, which is what the overlap is measured against. What ends a turn
//! is measured apart, on sentences with pauses within.

mod pauses;
mod sequential;
mod spoken;

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use crossbeam_channel::bounded;
use nearfield_base::persist::Existing;
use nearfield_llm::{median, simd_level};
use nearfield_speech::audio::{Clip, SampleRate, read_clip};
use nearfield_stages::flow::StopSignal;
use nearfield_stages::voice::capture::{Script, Source};
use nearfield_stages::voice::play::Outlet;
use serde_json::{Value, json};

use self::spoken::{Speakers, Spoken, audible};
use super::{emit, inputs};
use crate::cli::BenchArgs;
use crate::config::VoiceConfig;
use crate::flows::voice::{self, Questions};
use crate::hub::registry::Registry;
use crate::load::voice::Assistant;
use crate::output::turn_report::{TurnReport, ms};
use crate::recordings::read_speech;

/// A reply's first sound is above this: -50 dB.
const AUDIBLE: f32 = 0.003;
/// A turn that ended so long before the speaker had finished was ended too soon.
const TOO_SOON: Duration = Duration::from_millis(250);

/// A question and what came of it in real time.
struct Asked {
    /// The turn that its last words belong to.
    report: TurnReport,
    /// From the last sample of speech to the first audible one of the reply, in the recordings.
    wait_ms: Option<f64>,
    /// Turns that were ended while it was being asked.
    premature: usize,
}

/// Runs the measurement.
///
/// # Errors
/// If something that it needs is missing, or nothing was answered.
pub fn run(
    args: &BenchArgs,
    config: &VoiceConfig,
    registry: &Registry,
    stop: &StopSignal,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let questions = questions(args, config, registry, stop)?;
    // A home that the runs may change without changing the user's: each run gets a fresh copy.
    let home = match config.home.file.as_os_str().is_empty() {
        true => registry.places().assets.as_ref().map(|a| a.join("home.json")).filter(|p| p.is_file()),
        false => Some(config.home.file.clone()),
    };
    let scratch = tempfile::tempdir().context("no temporary folder")?;
    let fresh = || -> anyhow::Result<VoiceConfig> {
        let mut config = config.clone();
        if let Some(home) = &home {
            config.home.file = scratch.path().join("home.json");
            std::fs::copy(home, &config.home.file).with_context(|| home.display().to_string())?;
        }
        Ok(config)
    };
    let mut measured = Measured::default();
    for run in 0..args.runs {
        let config = fresh()?;
        let file = scratch.path().join(format!("replies-{run}.wav"));
        let staged = ask(Assistant::load(&config, registry, true)?, &config, &questions, file, stop)?;
        let config = fresh()?;
        let assistant = Assistant::load(&config, registry, true)?;
        let heard: Vec<&str> = staged.iter().map(|asked| asked.report.heard.as_str()).collect();
        let sequential = sequential::run_one_after_the_other(assistant, &config, &questions, &heard)?;
        for (i, (asked, plain)) in staged.iter().zip(&sequential).enumerate() {
            let (mut line, text) = measured.add(asked, plain);
            line["turn"] = json!(i + 1);
            line["run"] = json!(run + 1);
            line["asked"] = json!(questions[i].text);
            line["voice"] = json!(questions[i].voice);
            emit(args, out, &line, &format!("{:>3}. {text}", i + 1))?;
        }
    }
    let pauses = Pauses::measure(args, config, registry, stop)?;
    for row in &pauses.table {
        let text = format!(
            "{:<22} premature ends {:>3} of {} (held out: {:>3}), silence at the end p50 {:>5.0} ms, p95 {:>5.0} ms",
            row["rule"].as_str().unwrap_or_default(),
            row["premature_ends"],
            row["sentences"],
            row["premature_ends_held_out"],
            row["silence_p50_ms"].as_f64().unwrap_or(f64::NAN),
            row["silence_p95_ms"].as_f64().unwrap_or(f64::NAN),
        );
        emit(args, out, row, &text)?;
    }
    ensure!(!measured.waits.is_empty(), "no question was answered aloud");
    let (result, text) = measured.result(args.runs, &pauses);
    emit(args, out, &result, &text)?;
    Ok(())
}

/// What was measured of all questions.
#[derive(Default)]
struct Measured {
    /// From the end of speech to the first audio.
    waits: Vec<f64>,
    /// The part of it after the end of the turn was sure.
    own: Vec<f64>,
    /// That part against the same stages one after the other, where both gave the same text.
    ratios: Vec<f64>,
    /// The same of replies of two sentences or more.
    long_ratios: Vec<f64>,
    /// The share of the wait in which messages lay in queues.
    shares: Vec<f64>,
    cut_off: usize,
    unequal: usize,
    turns: usize,
}

impl Measured {
    /// Adds a question that was answered by the overlapping stages and by the same stages one after the other; answers what there is to
    /// know of it.
    fn add(&mut self, asked: &Asked, plain: &TurnReport) -> (Value, String) {
        let report = &asked.report;
        self.turns += 1;
        self.cut_off += asked.premature;
        self.waits.extend(asked.wait_ms);
        let difference = difference(report, plain);
        self.unequal += usize::from(difference.is_some());
        let after = |r: &TurnReport| r.first_audio_after_close().map(ms);
        self.own.extend(after(report));
        let ratio = after(report).zip(after(plain)).filter(|_| difference.is_none()).map(|(s, q)| s / q);
        self.ratios.extend(ratio);
        if report.replied.reply.split_inclusive(". ").count() >= 2 {
            self.long_ratios.extend(ratio);
        }
        self.shares.extend(report.first_audio().map(|all| ms(report.queued()) / ms(all).max(f64::MIN_POSITIVE)));
        let (stt, llm) = (
            signed(report.closed, report.transcribed),
            report.replied.first_token.map(|at| signed(report.transcribed, at)),
        );
        let line = json!({
            "turn": null, "run": null, "asked": null, "voice": null,
            "heard": report.heard, "reply": report.replied.reply, "first_audio_ms": asked.wait_ms,
            "end_of_turn_ms": signed(report.speech_ended, report.closed), "stt_ms": stt, "llm_first_token_ms": llm,
            "after_end_of_turn_ms": after(report), "sequential_after_end_of_turn_ms": after(plain), "ratio": ratio,
            "prepared": report.replied.ahead.kept, "wasted_tokens": report.replied.ahead.wasted_tokens,
            "premature_ends": asked.premature, "difference": difference, "steps_ms": steps(report),
        });
        let text = format!(
            "first audio after {}, of it {:>4.0} ms until the end of the turn was sure; one stage after the other {}\n     {} -> {}{}",
            asked.wait_ms.map_or("(none)".to_owned(), |wait| format!("{wait:>4.0} ms")),
            signed(report.speech_ended, report.closed),
            after(plain).map_or("(none)".to_owned(), |q| format!("{q:>4.0} ms after that")),
            report.heard,
            report.replied.reply,
            difference.map(|why| format!("\n     {why}")).unwrap_or_default(),
        );
        (line, text)
    }

    /// The whole.
    fn result(mut self, runs: u32, pauses: &Pauses) -> (Value, String) {
        let of_fixed =
            pauses.table.iter().find(|row| row["rule"] == "fixed 500 ms").map(|row| row["premature_ends"].clone());
        let (p50, p95) = (quantile(&mut self.waits, 0.5), quantile(&mut self.waits, 0.95));
        let (own50, own95) = (quantile(&mut self.own, 0.5), quantile(&mut self.own, 0.95));
        let (ratio, long, share) = (median(self.ratios), median(self.long_ratios), median(self.shares));
        let (turns, answered, unequal, cut_off) = (self.turns, self.waits.len(), self.unequal, self.cut_off);
        let result = json!({
            "bench": "voice", "turns": turns, "runs": runs, "answered": answered,
            "first_audio_p50_ms": p50, "first_audio_p95_ms": p95,
            "after_end_of_turn_p50_ms": own50, "after_end_of_turn_p95_ms": own95,
            "first_audio_ratio": ratio, "first_audio_ratio_two_sentences": long, "texts_unequal": unequal,
            "questions_cut_off": cut_off, "premature_ends": pauses.premature, "premature_ends_fixed_500_ms": of_fixed,
            "sentences_with_pauses": pauses.sentences, "queued_share": share, "level": simd_level(),
        });
        let text = format!(
            "end of speech to first audio, in the recordings: p50 {p50:.0} ms, p95 {p95:.0} ms ({answered} of {turns} questions)\n\
             of it after the end of the turn was sure: p50 {own50:.0} ms, p95 {own95:.0} ms; staged / one after the other {}{}{}\n\
             questions cut off: {cut_off}; premature ends: {}",
            ratio.map_or("(no equal texts)".to_owned(), |ratio| format!("{ratio:.3}")),
            long.map(|long| format!(" (answers of two sentences or more: {long:.3})")).unwrap_or_default(),
            if unequal > 0 { format!("; {unequal} texts differ and are left out of the ratio") } else { String::new() },
            pauses.premature.map_or("not measured (no voice, or --pauses 0)".to_owned(), |n| format!(
                "{n} of {} sentences with pauses, a fixed 500 ms {}",
                pauses.sentences,
                of_fixed.unwrap_or_default()
            )),
        );
        (result, text)
    }
}

/// The steps of each stage until the first audio, from and to, counted from the end of speech: where the time went.
fn steps(report: &TurnReport) -> Value {
    let until = report.played.first_audio.unwrap_or(report.finished);
    let of_stage = report.stages.iter().map(|stage| {
        let steps = stage
            .steps
            .iter()
            .filter(|(begun, ended)| *begun <= until && ended.duration_since(*begun).as_micros() > 500);
        let steps = steps
            .map(|(begun, ended)| json!([signed(report.speech_ended, *begun), signed(report.speech_ended, *ended)]));
        (stage.stage.to_owned(), steps.collect())
    });
    Value::Object(of_stage.collect())
}

/// How often turns end too soon, on sentences with pauses.
struct Pauses {
    sentences: usize,
    /// A row for each rule that ends turns.
    table: Vec<Value>,
    /// By the configured rule; `None` where it was not measured.
    premature: Option<usize>,
}

impl Pauses {
    fn measure(
        args: &BenchArgs,
        config: &VoiceConfig,
        registry: &Registry,
        stop: &StopSignal,
    ) -> anyhow::Result<Pauses> {
        let sentences = match Speakers::open(config, registry) {
            Ok(mut speakers) if args.pauses > 0 => speakers.sentences(args.pauses as usize)?,
            _ => Vec::new(),
        };
        if sentences.is_empty() {
            return Ok(Pauses { sentences: 0, table: Vec::new(), premature: None });
        }
        let (table, premature) = pauses::compare(&sentences, config, registry, stop)?;
        Ok(Pauses { sentences: sentences.len(), table, premature: Some(premature) })
    }
}

/// Milliseconds from one instant to another, negative where that came before.
fn signed(from: Instant, to: Instant) -> f64 {
    ms(to.saturating_duration_since(from)) - ms(from.saturating_duration_since(to))
}

/// A quantile; sorts the values.
fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(((values.len() as f64 - 1.0) * q).round() as usize).copied().unwrap_or(f64::NAN)
}

/// Recordings where some are named, else questions that are spoken for the purpose.
fn questions(
    args: &BenchArgs,
    config: &VoiceConfig,
    registry: &Registry,
    stop: &StopSignal,
) -> anyhow::Result<Vec<Spoken>> {
    if args.input.is_none()
        && let Ok(mut speakers) = Speakers::open(config, registry)
    {
        return speakers.questions();
    }
    let recorded = |file: PathBuf| -> anyhow::Result<Spoken> {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut samples = read_speech(&file, stop)?;
        let speech_end = audible(&samples).with_context(|| format!("{} is silent", file.display()))?.1;
        samples.resize(samples.len() + SampleRate::SPEECH.samples_in(Duration::from_secs(2)), 0.0);
        let (text, voice) = (name, "recording".to_owned());
        Ok(Spoken { text, voice, samples: samples.into(), speech_end, is_for_tuning: false })
    };
    inputs(args, registry)?.into_iter().map(recorded).collect()
}

/// Why the texts of the two ways can't be compared; `None` where they are equal.
fn difference(staged: &TurnReport, plain: &TurnReport) -> Option<String> {
    (staged.replied.reply != plain.replied.reply)
        .then(|| format!("not compared: the reply was {:?} one stage after the other", plain.replied.reply))
}

/// Asks the questions in real time; one answer for each.
fn ask(
    assistant: Assistant,
    config: &VoiceConfig,
    questions: &[Spoken],
    file: PathBuf,
    stop: &StopSignal,
) -> anyhow::Result<Vec<Asked>> {
    let (answer, answered) = bounded(16);
    let (began, begins) = bounded(questions.len());
    let clips = questions.iter().map(|question| question.samples.clone()).collect();
    let source = Source::Script(Script { questions: clips, answered, began });
    let opened = Arc::new(OnceLock::new());
    let outlet = Outlet::Clocked(file.clone(), Existing::Replace, opened.clone());
    let mut starts: Vec<Instant> = Vec::new();
    let mut reports: Vec<TurnReport> = Vec::new();
    voice::run(assistant, config, Questions::Spoken(source), &outlet, stop, &mut |report| {
        starts.extend(begins.try_iter());
        // A turn that was ended too soon is not the answer.
        let ended =
            starts.last().map(|at| *at + SampleRate::SPEECH.duration_of(questions[starts.len() - 1].speech_end));
        let is_answer = ended.is_some_and(|ended| report.speech_ended + TOO_SOON >= ended);
        reports.push(report);
        if is_answer {
            let _ = answer.try_send(());
        }
        Ok(ControlFlow::Continue(()))
    })?;
    starts.extend(begins.try_iter());
    ensure!(!crate::signals::is_stopped(stop), "stopped");
    ensure!(starts.len() == questions.len(), "only {} of {} questions were asked", starts.len(), questions.len());
    let opened = *opened.get().context("the file of the replies was not opened")?;
    let replies = read_clip(&file).context("no reply was heard")?;
    let mut asked = Vec::new();
    let mut reports = reports.into_iter().peekable();
    for (i, question) in questions.iter().enumerate() {
        let ended = starts[i] + SampleRate::SPEECH.duration_of(question.speech_end + 1);
        let next = starts.get(i + 1).copied();
        let (mut last, mut premature) = (None, 0);
        while let Some(report) = reports.next_if(|report| next.is_none_or(|next| report.speech_ended < next)) {
            premature += usize::from(report.speech_ended + TOO_SOON < ended);
            last = Some(report);
        }
        let report = last.with_context(|| format!("the question {:?} was not heard", question.text))?;
        let wait_ms = first_sound(&replies, opened, ended, next).map(|at| ms(at.saturating_duration_since(ended)));
        asked.push(Asked { report, wait_ms, premature });
    }
    Ok(asked)
}

/// When the first audible sample of a recording that was `opened` is heard, between two times.
fn first_sound(recording: &Clip, opened: Instant, from: Instant, until: Option<Instant>) -> Option<Instant> {
    let place =
        |at: Instant| recording.rate.samples_in(at.saturating_duration_since(opened)).min(recording.samples.len());
    let (from, until) = (place(from), until.map_or(recording.samples.len(), place));
    let at = from + recording.samples[from..until.max(from)].iter().position(|s| s.abs() > AUDIBLE)?;
    Some(opened + recording.rate.duration_of(at))
}

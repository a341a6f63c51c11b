//! `nearfield wake`: what a wake word is worth on recordings, and the threshold for a user's own voice.

use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use nearfield_speech::audio::SampleRate;
use nearfield_speech::vad::Earshot;
use nearfield_speech::wake::{Trial, Trials, WakeSpotter, choose_threshold};
use nearfield_stages::flow::StopSignal;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::cli::{Usage, WakeAction, WakeArgs, WakeFilesArgs};
use crate::config::{Config, VoiceConfig};
use crate::files::Files;
use crate::hub::registry::Registry;
use crate::load::wake::{open_words, resolve};
use crate::output::table::table;
use crate::output::terminal;
use crate::recordings::{read_speech, recordings};
use crate::signals;

/// Silence before and after each recording: words are noticed after their end.
const AROUND: Duration = Duration::from_secs(1);
/// Without a word in the configuration, this one is tried.
const USUAL: &str = "hey jarvis";

/// A recording that was scored.
struct Scored {
    path: PathBuf,
    trial: Trial,
    /// Where the highest score was.
    best_at: Duration,
}

/// All of them.
struct Outcome {
    word: String,
    threshold: f32,
    scored: Vec<Scored>,
    unreadable: usize,
    /// Processor time that scoring took.
    cpu: Duration,
}

/// Scores recordings with and without the word.
pub(super) fn run(args: &WakeArgs, stop: &StopSignal, out: &mut dyn Write) -> anyhow::Result<()> {
    match &args.action {
        WakeAction::Test(files) => test(&score_all(files, stop)?, files.json, out),
        WakeAction::Enroll { files, most_accepts_per_hour } => {
            if files.with.is_empty() {
                return Err(Usage("give recordings of the word: nearfield wake enroll FILES".to_owned()).into());
            }
            enroll(&score_all(files, stop)?, *most_accepts_per_hour, files.json, out)
        }
    }
}

fn score_all(args: &WakeFilesArgs, stop: &StopSignal) -> anyhow::Result<Outcome> {
    let config = VoiceConfig::load(args.config.config.as_deref(), &args.config.set)?;
    if args.with.is_empty() && args.without.is_empty() {
        return Err(Usage("give recordings: of the word, or without it after --without".to_owned()).into());
    }
    let word = args.word.clone().or_else(|| config.wake.word.first().cloned()).unwrap_or_else(|| USUAL.to_owned());
    let position = config.wake.word.iter().position(|listed| *listed == word);
    let threshold = position.map_or(config.wake.threshold, |word| config.wake.threshold_of(word));
    let all = |paths: &[PathBuf]| -> anyhow::Result<Vec<PathBuf>> {
        let found = paths.iter().map(|path| recordings(path)).collect::<Result<Vec<_>, _>>()?;
        Ok(found.into_iter().flatten().collect())
    };
    let (with, without) = (all(&args.with)?, all(&args.without)?);
    let registry = Registry::open()?;
    let mut files = Files::new();
    files.reads("--config", args.config.config.as_deref().unwrap_or(Path::new("")));
    files.reads_model("wake.word", &resolve(&word, &registry)?);
    with.iter().chain(&without).for_each(|file| files.reads("the recording", file));
    files.check()?;
    let model = open_words(&[&word], &registry)?;
    let mut spotter = WakeSpotter::new(Box::new(model), vec![threshold], Some(Box::new(Earshot::default())));
    let mut outcome = Outcome { word, threshold, scored: Vec::new(), unreadable: 0, cpu: Duration::ZERO };
    let labelled = with.into_iter().map(|path| (path, true)).chain(without.into_iter().map(|path| (path, false)));
    for (path, has_word) in labelled {
        if signals::is_stopped(stop) {
            bail!("stopped before {}", path.display());
        }
        match read_speech(&path, stop) {
            Ok(samples) => outcome.score(&mut spotter, path, has_word, samples)?,
            // One that can't be read does not cost the others.
            Err(error) => {
                outcome.unreadable += 1;
                terminal::print_error(&error.context(path.display().to_string()));
            }
        }
    }
    if outcome.scored.is_empty() {
        bail!("no recording could be read");
    }
    Ok(outcome)
}

/// Processor time of this program so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

impl Outcome {
    fn score(
        &mut self,
        spotter: &mut WakeSpotter,
        path: PathBuf,
        has_word: bool,
        samples: Vec<f32>,
    ) -> anyhow::Result<()> {
        let audio = SampleRate::SPEECH.duration_of(samples.len());
        let silence = vec![0.0; SampleRate::SPEECH.samples_in(AROUND)];
        let begun = cpu_time();
        spotter.reset();
        let (mut scores, mut position, mut best) = (Vec::new(), 0u64, (0.0f32, 0u64));
        let sound = [silence.as_slice(), &samples, &silence];
        for samples in sound.into_iter().flat_map(|part| part.chunks(320)) {
            position += samples.len() as u64;
            let mut take = |_, word: &[f32]| {
                scores.push(word[0]);
                if word[0] > best.0 {
                    best = (word[0], position);
                }
            };
            spotter.push(samples, &mut take, &mut |_| {}).with_context(|| path.display().to_string())?;
        }
        self.cpu += cpu_time().saturating_sub(begun);
        let best_at = SampleRate::SPEECH.duration_of(best.1 as usize).saturating_sub(AROUND);
        self.scored.push(Scored { path, trial: Trial { has_word, audio, scores }, best_at });
        Ok(())
    }

    fn trials(&self) -> Trials {
        Trials(self.scored.iter().map(|scored| scored.trial.clone()).collect())
    }

    /// Seconds of one core for an hour of sound.
    fn cpu_s_per_hour(&self) -> f64 {
        let around = 2.0 * AROUND.as_secs_f64();
        let audio: f64 = self.scored.iter().map(|scored| scored.trial.audio.as_secs_f64() + around).sum();
        self.cpu.as_secs_f64() / (audio / 3600.0)
    }
}

/// A threshold's figures.
fn figures(trials: &Trials, threshold: f32) -> Value {
    let (with, hours) = (trials.with_word(), trials.hours_without());
    let (rejects, accepts) = (trials.false_rejects(threshold), trials.false_accepts(threshold));
    json!({
        "threshold": rounded(threshold),
        "false_rejects": rejects,
        "false_reject_rate": (with > 0).then(|| rejects as f64 / with as f64),
        "false_accepts": accepts,
        "false_accepts_per_hour": (hours > 0.0).then(|| accepts as f64 / hours),
    })
}

fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1000.0).round() / 1000.0
}

fn test(outcome: &Outcome, is_json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let trials = outcome.trials();
    let sweep: Vec<f32> = (1..=9).map(|tenth| tenth as f32 / 10.0).collect();
    for scored in &outcome.scored {
        let best = scored.trial.best();
        let line = json!({
            "file": scored.path.display().to_string(),
            "word": outcome.word,
            "has_word": scored.trial.has_word,
            "score": rounded(best),
            "at_ms": scored.best_at.as_millis() as u64,
            "detected": best >= outcome.threshold,
            "audio_ms": scored.trial.audio.as_millis() as u64,
        });
        if is_json {
            writeln!(out, "{line}")?;
        }
    }
    let mut summary = figures(&trials, outcome.threshold);
    summary["word"] = json!(outcome.word);
    summary["with_word"] = json!(trials.with_word());
    summary["hours_without"] = json!(trials.hours_without());
    summary["cpu_s_per_hour"] = json!((outcome.cpu_s_per_hour() * 10.0).round() / 10.0);
    summary["by_threshold"] = sweep.iter().map(|threshold| figures(&trials, *threshold)).collect();
    if is_json {
        writeln!(out, "{summary}")?;
    } else {
        write_tables(outcome, &trials, &sweep, out)?;
    }
    failed(outcome)
}

fn failed(outcome: &Outcome) -> anyhow::Result<()> {
    match outcome.unreadable {
        0 => Ok(()),
        n => bail!("{n} of {} recordings could not be read", n + outcome.scored.len()),
    }
}

fn write_tables(outcome: &Outcome, trials: &Trials, sweep: &[f32], out: &mut dyn Write) -> anyhow::Result<()> {
    let mut rows = VecDeque::new();
    for scored in &outcome.scored {
        let detected = scored.trial.best() >= outcome.threshold;
        let verdict = match (scored.trial.has_word, detected) {
            (true, true) => "detected",
            (true, false) => "missed",
            (false, true) => "detected, and not said",
            (false, false) => "",
        };
        rows.push_back([
            format!("{:.3}", scored.trial.best()),
            format!("{:.2} s", scored.best_at.as_secs_f64()),
            scored.path.display().to_string(),
            verdict.to_owned(),
        ]);
    }
    rows.push_front(["SCORE", "AT", "RECORDING", ""].map(str::to_owned));
    writeln!(out, "{}\n", table(rows.into(), &[0, 1]))?;
    let mut rows = vec![["THRESHOLD", "MISSED", "", "NOT SAID", "AN HOUR"].map(str::to_owned)];
    for &threshold in sweep {
        let (rejects, accepts) = (trials.false_rejects(threshold), trials.false_accepts(threshold));
        let share = |n: usize, of: f64| if of > 0.0 { n as f64 / of } else { 0.0 };
        rows.push([
            format!("{threshold:.1}"),
            rejects.to_string(),
            format!("{:.1} %", 100.0 * share(rejects, trials.with_word() as f64)),
            accepts.to_string(),
            format!("{:.1}", share(accepts, trials.hours_without())),
        ]);
    }
    writeln!(out, "{}\n", table(rows, &[0, 1, 2, 3, 4]))?;
    writeln!(
        out,
        "{:?}: {} recordings with the word, {:.2} hours without it; {:.0} s of one core for an hour of sound",
        outcome.word,
        trials.with_word(),
        trials.hours_without(),
        outcome.cpu_s_per_hour()
    )?;
    Ok(())
}

fn enroll(outcome: &Outcome, most_accepts_per_hour: f64, is_json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let trials = outcome.trials();
    let Some(threshold) = choose_threshold(&trials, most_accepts_per_hour) else {
        bail!(
            "none of the recordings of the word could be read: record {:?} a few times, each in a file",
            outcome.word
        );
    };
    if is_json {
        let mut chosen = figures(&trials, threshold);
        chosen["word"] = json!(outcome.word);
        chosen["with_word"] = json!(trials.with_word());
        chosen["hours_without"] = json!(trials.hours_without());
        chosen["before"] = figures(&trials, outcome.threshold);
        writeln!(out, "{chosen}")?;
    } else {
        writeln!(
            out,
            "# {} of {} recordings of the word are heard",
            trials.with_word() - trials.false_rejects(threshold),
            trials.with_word()
        )?;
        writeln!(
            out,
            "# {} detections in {:.2} hours without it{}",
            trials.false_accepts(threshold),
            trials.hours_without(),
            if trials.hours_without() > 0.0 { "" } else { ": give recordings of your home with --without" }
        )?;
        writeln!(out, "[wake]\nword = {:?}\nthreshold = {}", outcome.word, rounded(threshold))?;
    }
    failed(outcome)
}

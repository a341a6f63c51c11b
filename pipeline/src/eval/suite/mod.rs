//! `nearfield eval suite`: a hundred prompts with known answers, answered greedily and read by tolerant judges; beside that what the
//! model costs. It is a regression suite: its result is compared with that of an earlier run (`--baseline`), and a fall is an exit
//! status that a build server sees. It is no measure of a model's knowledge.

mod baseline;
mod judge;
mod page;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use nearfield_base::persist;
use nearfield_llm::{MeasureOptions, Measured, SessionOptions, measure};
use nearfield_stages::flow::{StopSignal, writes};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answers::Answers;
use super::json_lines::rows;
use super::rouge::{rouge_l, words};
use crate::cli::{self, SuiteArgs};
use crate::config::{Config, VoiceConfig};
use crate::files::Files;
use crate::hub::registry::Registry;
use crate::output::progress::Progress;
use crate::signals;
use judge::Judge;

/// The most tokens of a reply.
const REPLY_TOKENS: usize = 96;
/// The largest result that is read as a baseline.
const MAX_RESULT_BYTES: u64 = 16 << 20;

/// A prompt of the suite.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prompt {
    id: String,
    kind: String,
    ask: String,
    /// A good answer.
    golden: String,
    judge: Judge,
}

/// What came of a run; this is what `--output` writes and `--baseline` reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Outcome {
    eval: String,
    model: String,
    model_bytes: u64,
    quantization: String,
    parameters: u64,
    prompts: usize,
    right: usize,
    /// 0 to 1.
    score: f64,
    /// The mean ROUGE-L of the replies with the known answers.
    golden_rouge_l: f64,
    kinds: BTreeMap<String, (usize, usize)>,
    load_seconds: f64,
    prefill_tokens_per_second: f64,
    decode_tokens_per_second: f64,
    resident_bytes: u64,
    threads: usize,
    level: String,
    seconds: f64,
    replies: Vec<Reply>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Reply {
    id: String,
    kind: String,
    ask: String,
    golden: String,
    reply: String,
    /// What is wrong with it.
    fault: Option<String>,
}

/// Runs the suite.
///
/// # Errors
/// The suite, the model or the baseline can't be read, a result can't be written, the user stops it, or the score is below the
/// baseline's.
pub(super) fn run(
    args: &SuiteArgs,
    registry: &Registry,
    quiet: bool,
    stop: &StopSignal,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let path = suite_file(args.suite.as_deref(), registry)?;
    let prompts: Vec<Prompt> = rows(&path, args.limit)?;
    for (index, prompt) in prompts.iter().enumerate() {
        prompt.judge.check().with_context(|| format!("{}, row {} ({})", path.display(), index + 1, prompt.id))?;
    }
    let baseline = args.baseline.as_deref().map(read_outcome).transpose()?;
    let config = VoiceConfig::load(args.config.config.as_deref(), &args.config.set)?;
    let name = args.model.as_deref().unwrap_or(&config.llm.model);
    let mut files = Files::new();
    files.reads_model("--model", &registry.resolve_as(name, crate::load::LANGUAGE)?);
    files.reads("--suite", &path);
    files.reads("--baseline", args.baseline.as_deref().unwrap_or(Path::new("")));
    for (flag, file) in [("--output", &args.output), ("--page", &args.page)] {
        if let Some(file) = file {
            files.creates(flag, file, cli::existing(args.overwrite));
        }
    }
    files.check()?;
    let mut model = Answers::open(name, &config, registry)?;
    let (begun, clock) = (Instant::now(), Instant::now());
    let options = MeasureOptions { prompt: 128, generate: 64, repeats: 3, session: SessionOptions::default() };
    let Measured { prefill_tok_s, decode_tok_s, .. } =
        measure(model.llm(), &options, &|| clock.elapsed(), &mut |_| {})?;
    let mut progress = Progress::new("answered", "prompts", 0, prompts.len() as u64, quiet);
    let (mut replies, mut kinds, mut alike) = (Vec::new(), BTreeMap::<String, (usize, usize)>::new(), 0.0);
    for (index, prompt) in prompts.iter().enumerate() {
        let answered = model.answer("", &prompt.ask, REPLY_TOKENS, stop);
        if signals::is_stopped(stop) {
            bail!("stopped after {index} of {} prompts; nothing is compared or written", prompts.len());
        }
        let reply = answered.with_context(|| format!("prompt {}", prompt.id))?;
        let fault = prompt.judge.fault(&reply);
        let (right, all) = kinds.entry(prompt.kind.clone()).or_default();
        *right += usize::from(fault.is_none());
        *all += 1;
        alike += rouge_l(&words(&reply), &words(&prompt.golden)).f1;
        let Prompt { id, kind, ask, golden, .. } = prompt;
        let (id, kind, ask, golden) = (id.clone(), kind.clone(), ask.clone(), golden.clone());
        replies.push(Reply { id, kind, ask, golden, reply, fault });
        progress.show(index as u64 + 1, "");
    }
    progress.end();
    let info = model.llm().info();
    let right = replies.iter().filter(|reply| reply.fault.is_none()).count();
    let outcome = Outcome {
        eval: "suite".to_owned(),
        model: name.to_owned(),
        model_bytes: info.file_bytes,
        quantization: info.type_name().to_owned(),
        parameters: info.parameters,
        prompts: replies.len(),
        right,
        score: right as f64 / replies.len() as f64,
        golden_rouge_l: alike / replies.len() as f64,
        kinds,
        load_seconds: model.load.as_secs_f64(),
        prefill_tokens_per_second: prefill_tok_s,
        decode_tokens_per_second: decode_tok_s,
        resident_bytes: nearfield_base::memory::of_process("VmRSS").unwrap_or(0) as u64,
        threads: model.llm().threads(),
        level: info.simd.clone(),
        seconds: begun.elapsed().as_secs_f64(),
        replies,
    };
    let _write = writes::begin();
    let json = serde_json::to_string_pretty(&outcome)?;
    if let Some(file) = &args.output {
        persist::replace(file, json.as_bytes()).with_context(|| format!("--output {}", file.display()))?;
    }
    if let Some(file) = &args.page {
        let page = page::html(&outcome, baseline.as_ref());
        persist::replace(file, page.as_bytes()).with_context(|| format!("--page {}", file.display()))?;
    }
    match args.json {
        true => writeln!(out, "{}", serde_json::to_string(&outcome)?)?,
        false => print(&outcome, baseline.as_ref(), out)?,
    }
    out.flush()?;
    match baseline {
        Some(baseline) => baseline::compare(&outcome, &baseline, args.tolerance),
        None => Ok(()),
    }
}

/// The suite: what was named, else the one of the assets.
fn suite_file(named: Option<&Path>, registry: &Registry) -> anyhow::Result<PathBuf> {
    let beside = registry.places().assets.as_ref().map(|assets| assets.join("eval/suite.jsonl"));
    match named.map(Path::to_owned).or(beside).filter(|file| file.is_file()) {
        Some(file) => Ok(file),
        None => bail!(
            "the suite is not here: name the file assets/eval/suite.jsonl of a clone of Nearfield with --suite FILE"
        ),
    }
}

fn read_outcome(file: &Path) -> anyhow::Result<Outcome> {
    let text = nearfield_base::files::read(file, MAX_RESULT_BYTES)
        .with_context(|| format!("--baseline {} can't be read", file.display()))?;
    nearfield_base::json::from_slice(&text)
        .with_context(|| format!("--baseline {}: not a file that `eval suite --output` wrote", file.display()))
}

fn print(outcome: &Outcome, baseline: Option<&Outcome>, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(
        out,
        "{}: {} of {} prompts right = {:.1} %{}",
        outcome.model,
        outcome.right,
        outcome.prompts,
        100.0 * outcome.score,
        baseline.map_or(String::new(), |b| format!(" (baseline {:.1} %)", 100.0 * b.score))
    )?;
    for (kind, (right, all)) in &outcome.kinds {
        writeln!(out, "  {right:3} of {all:3}  {kind}")?;
    }
    writeln!(
        out,
        "{:.1} MB ({}), loaded in {:.2} s, {:.0} tokens/s read, {:.0} tokens/s written on {} threads ({}), {:.0} MB resident",
        outcome.model_bytes as f64 / 1e6,
        outcome.quantization,
        outcome.load_seconds,
        outcome.prefill_tokens_per_second,
        outcome.decode_tokens_per_second,
        outcome.threads,
        outcome.level,
        outcome.resident_bytes as f64 / 1e6
    )?;
    for reply in outcome.replies.iter().filter(|reply| reply.fault.is_some()).take(super::WORST) {
        let line = json!({"id": reply.id, "reply": reply.reply, "fault": reply.fault});
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_suite_has_a_hundred_prompts_whose_judges_accept_the_known_answers_and_not_nothing() {
        let path = nearfield_testdata::asset("eval/suite.jsonl");
        let prompts: Vec<Prompt> = rows(&path, None).unwrap();
        assert_eq!(prompts.len(), 100);
        let ids: std::collections::BTreeSet<&str> = prompts.iter().map(|prompt| prompt.id.as_str()).collect();
        assert_eq!(ids.len(), 100);
        for prompt in &prompts {
            prompt.judge.check().unwrap();
            assert_eq!(prompt.judge.fault(&prompt.golden), None, "{}", prompt.id);
            for nothing in ["", "I am not sure about that, sorry to say."] {
                assert!(prompt.judge.fault(nothing).is_some(), "{} accepts {nothing:?}", prompt.id);
            }
        }
    }
}

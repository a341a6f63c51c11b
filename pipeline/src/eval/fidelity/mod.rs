//! `nearfield eval perplexity` and `nearfield eval kld`: how well a model predicts a text, and how far its predictions are from those
//! of another model with the same vocabulary. A text is read in chunks as llama.cpp reads it (see `chunks`), so the figures are comparable with
//! those of its `llama-perplexity`. Both models are loaded; of their logits only those of one block of tokens are in memory.

mod rows;
mod sums;

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{bail, ensure};
use nearfield_llm::{CacheType, Llm, Session, SessionOptions, TokenId};
use nearfield_stages::flow::{StopSignal, writes};
use serde::Serialize;

use super::chunks::{Chunks, read_text};
use crate::cli::{FidelityArgs, Usage};
use crate::config::{Config, VoiceConfig};
use crate::hub::registry::Registry;
use crate::load::voice::open_llm;
use crate::output::progress::Progress;
use crate::signals;
use sums::{Divergence, Sums};

/// What is printed.
#[derive(Debug, Serialize)]
struct Outcome<'a> {
    eval: &'static str,
    model: &'a str,
    model_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference_bytes: Option<u64>,
    text: String,
    context: usize,
    /// Whole chunks that were read, and how many tokens these have.
    chunks: usize,
    tokens: u64,
    /// The tokens that were scored: the second half of each chunk, but for the last token, after which nothing comes.
    scored: u64,
    perplexity: f64,
    perplexity_error: f64,
    #[serde(flatten)]
    divergence: Option<Divergence>,
    seconds: f64,
    threads: usize,
    level: String,
    /// True when it was stopped before the end: the figures are those of what had been read.
    partial: bool,
}

/// `nearfield eval perplexity`
///
/// # Errors
/// A model or the text can't be read, the text is too short, or the models have different vocabularies.
pub(super) fn perplexity(
    args: &FidelityArgs,
    registry: &Registry,
    quiet: bool,
    stop: &StopSignal,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    run("perplexity", args, registry, quiet, stop, out)
}

/// `nearfield eval kld`
///
/// # Errors
/// As [`perplexity`], or no reference is named.
pub(super) fn kld(
    args: &FidelityArgs,
    registry: &Registry,
    quiet: bool,
    stop: &StopSignal,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    if args.reference.is_none() {
        let what = "eval kld compares two models: name the one that --model is compared with as --reference FILE";
        return Err(Usage(what.to_owned()).into());
    }
    run("kld", args, registry, quiet, stop, out)
}

/// Minus the logarithm of a token's probability, in nats. logits: `[n_vocab]`
pub(super) fn nll(logits: &[f32], token: usize) -> f64 {
    rows::score(logits, token).nll
}

fn run(
    eval: &'static str,
    args: &FidelityArgs,
    registry: &Registry,
    quiet: bool,
    stop: &StopSignal,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let config = VoiceConfig::load(args.config.config.as_deref(), &args.config.set)?;
    let text = read_text(&args.text)?;
    let open = |name: &str, key| open_llm(name, key, config.llm.threads, registry);
    let name = args.model.as_deref().unwrap_or(&config.llm.model);
    let llm = open(name, if args.model.is_some() { "--model" } else { "llm.model" })?;
    let reference = args.reference.as_deref().map(|name| open(name, "--reference")).transpose()?;
    let context = args.context as usize;
    let most = args.chunks.map(|n| n as usize);
    let chunks = Chunks::new(&llm, &text, &args.text.display().to_string(), context, most)?;
    if let (Some(reference), Some(reference_name)) = (&reference, &args.reference) {
        check_vocabularies((&llm, name), (reference, reference_name))?;
        let of_reference = Chunks::new(reference, &text, &args.text.display().to_string(), context, most)?;
        ensure!(
            chunks.are_same(&of_reference),
            "{name} and {reference_name} cut the text into different tokens and can't be compared"
        );
    }
    drop(text);
    let begun = Instant::now();
    let (sums, read) = {
        // The figures of what has been read would be lost with the program.
        let _write = writes::begin();
        score(&llm, reference.as_ref(), &chunks, context, quiet, stop)?
    };
    if sums.count() == 0 {
        bail!("stopped before the first tokens were scored");
    }
    let (perplexity, perplexity_error) = sums.perplexity();
    let outcome = Outcome {
        eval,
        model: name,
        model_bytes: llm.info().file_bytes,
        reference: args.reference.as_deref(),
        reference_bytes: reference.as_ref().map(|reference| reference.info().file_bytes),
        text: args.text.display().to_string(),
        context,
        chunks: read,
        tokens: (read * context) as u64,
        scored: sums.count(),
        perplexity,
        perplexity_error,
        divergence: sums.divergence(),
        seconds: begun.elapsed().as_secs_f64(),
        threads: llm.threads(),
        level: llm.info().simd.clone(),
        partial: read < chunks.len(),
    };
    match args.json {
        true => writeln!(out, "{}", serde_json::to_string(&outcome)?)?,
        false => print(&outcome, out)?,
    }
    Ok(out.flush()?)
}

/// Refuses models whose tokens are others.
fn check_vocabularies(model: (&Llm, &str), reference: (&Llm, &str)) -> anyhow::Result<()> {
    let ((llm, name), (of_reference, reference_name)) = (model, reference);
    let sizes = [llm, of_reference].map(|llm| llm.info().vocab_size);
    ensure!(
        sizes[0] == sizes[1],
        "{name} and {reference_name} can't be compared: their vocabularies have {} and {} tokens; --reference must be the model \
         that --model was made from",
        sizes[0],
        sizes[1]
    );
    let (tokens, of_reference) = (llm.tokenizer()?, of_reference.tokenizer()?);
    let differs = |token: &TokenId| tokens.bytes_of(*token) != of_reference.bytes_of(*token);
    if let Some(token) = (0..sizes[0] as u32).map(TokenId).find(differs) {
        let texts = [tokens, of_reference].map(|tokens| tokens.decode(&[token]));
        bail!(
            "{name} and {reference_name} can't be compared: token {} of their vocabularies is {:?} and {:?}; --reference must be \
             the model that --model was made from",
            token.0,
            texts[0],
            texts[1]
        );
    }
    Ok(())
}

/// Reads the chunks, and scores the second half of each. Returns how many whole chunks were read.
fn score(
    llm: &Arc<Llm>,
    reference: Option<&Arc<Llm>>,
    chunks: &Chunks,
    context: usize,
    quiet: bool,
    stop: &StopSignal,
) -> anyhow::Result<(Sums, usize)> {
    let options = SessionOptions { context_tokens: context, cache: CacheType::F16 };
    let mut session = Session::new(llm.clone(), &options)?;
    let mut other = reference.map(|reference| Session::new(reference.clone(), &options)).transpose()?;
    let (mut sums, first) = (Sums::default(), context / 2);
    let mut progress = Progress::new("read", "chunks", 0, chunks.len() as u64, quiet);
    for index in 0..chunks.len() {
        let (read, text) = (chunks.read(index), chunks.text(index));
        session.truncate(0);
        if let Some(other) = &mut other {
            other.truncate(0);
        }
        // A stopped chunk does not count: its tokens have other contexts than those of a whole one.
        let mut of_chunk = Vec::with_capacity(context - first);
        for (at, block) in read.chunks(Session::MOST_SCORED).enumerate() {
            if signals::is_stopped(stop) {
                progress.end();
                return Ok((sums, index));
            }
            let at = at * Session::MOST_SCORED;
            let scored = (at + block.len()).saturating_sub(first).min(block.len());
            session.append_scored(block, scored)?;
            if let Some(other) = &mut other {
                other.append_scored(block, scored)?;
            }
            // The token after the chunk's last one is the next chunk's.
            let begin = at + block.len() - scored;
            let last = (at + block.len()).min(context - 1);
            let results = rows::on_threads(llm.threads(), last.saturating_sub(begin), &|row| {
                let (n, token) = (begin + row + 1, text[begin + row + 1].0 as usize);
                match &other {
                    None => rows::score(session.logits_after(n), token),
                    Some(other) => rows::compare(session.logits_after(n), other.logits_after(n), token),
                }
            });
            of_chunk.extend(results);
        }
        for scored in &of_chunk {
            let finite = scored.nll.is_finite() && scored.compared.is_none_or(|compared| compared.kld.is_finite());
            ensure!(finite, "chunk {} can't be scored: a model gave logits that are not finite numbers", index + 1);
            sums.add(scored);
        }
        let note = match reference {
            None => format!("(perplexity {:.4})", sums.perplexity().0),
            Some(_) => format!("(perplexity {:.4}, divergence {:.5})", sums.perplexity().0, sums.kld_mean()),
        };
        progress.show(index as u64 + 1, &note);
    }
    progress.end();
    Ok((sums, chunks.len()))
}

fn print(outcome: &Outcome<'_>, out: &mut dyn Write) -> std::io::Result<()> {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    if outcome.partial {
        writeln!(out, "stopped: these are the figures of the first {} chunks", outcome.chunks)?;
    }
    writeln!(out, "model        {} ({:.1} MB)", outcome.model, megabytes(outcome.model_bytes))?;
    if let (Some(reference), Some(bytes)) = (outcome.reference, outcome.reference_bytes) {
        writeln!(out, "reference    {reference} ({:.1} MB)", megabytes(bytes))?;
    }
    writeln!(
        out,
        "text         {}: {} chunks of {} tokens, {} tokens scored",
        outcome.text, outcome.chunks, outcome.context, outcome.scored
    )?;
    writeln!(out, "perplexity   {:.4} ± {:.4}", outcome.perplexity, outcome.perplexity_error)?;
    if let Some(d) = &outcome.divergence {
        writeln!(out, "  reference  {:.4} ± {:.4}", d.reference_perplexity, d.reference_perplexity_error)?;
        writeln!(out, "divergence   {:.6} ± {:.6} nats (mean)", d.kld_mean, d.kld_error)?;
        writeln!(out, "  median     {:.6}", d.kld_median)?;
        writeln!(out, "  99 %       {:.6}", d.kld_p99)?;
        writeln!(out, "  largest    {:.6}", d.kld_max)?;
        writeln!(out, "same top     {:.3} % of tokens", 100.0 * d.top1_agreement)?;
        let percent = [d.delta_p_rms, d.delta_p_mean, d.delta_p_min, d.delta_p_max].map(|p| 100.0 * p);
        writeln!(
            out,
            "probability  {:.3} % RMS change ({:+.3} % mean, {:+.3} % to {:+.3} %)",
            percent[0], percent[1], percent[2], percent[3]
        )?;
    }
    let threads = if outcome.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", outcome.threads) };
    writeln!(out, "time         {:.1} s on {threads}, {}", outcome.seconds, outcome.level)
}

//! `nearfield batch`: a file of prompts, several of which share each pass over the weights. The language model's thread puts them
//! together; here a few threads each have one prompt answered after the other.

mod answers;
mod lines;

use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use nearfield_llm::SessionOptions;
use nearfield_stages::flow::{StopSignal, Turns, is_stopped};
use serde_json::{Value, json};

use super::answering::{Meter, Usage, Whole};
use super::engine::{Engine, Piece};
use super::failure::{Failure, Form};
use super::openai::{self, chat};
use super::sessions::Sessions;
use crate::cli::BatchArgs;
use crate::config::{Config, RunConfig};
use crate::files::Files;
use crate::hub::registry::Registry;
use crate::load::shared::SharedModels;
use answers::Answers;
use lines::{Defaults, Line};

/// The context of a session where the configuration leaves it open.
const CONTEXT_TOKENS: usize = 4096;
/// The largest schema, and the largest text before prompts.
const MOST_FILE_BYTES: u64 = 1 << 20;

/// Answers to some prompts, on their way to the file.
struct Done {
    index: usize,
    answer: Value,
    usage: Usage,
    failure: Option<String>,
}

/// The answers to a line: how many of the likeliest tokens it wants with each, and what it cost.
type Answered = Result<(Vec<Whole>, Option<usize>, Usage), Failure>;

/// What all threads share.
struct Work<'a> {
    engine: &'a Engine,
    model: &'a str,
    defaults: &'a Defaults,
    stop: &'a StopSignal,
}

/// Runs the command.
///
/// # Errors
/// A file can't be read or written, the model can't be loaded, or a prompt could not be answered.
pub fn run(args: &BatchArgs, quiet: bool, stop: &StopSignal, out: &mut dyn Write) -> anyhow::Result<()> {
    let config = RunConfig::load(args.config.config.as_deref(), &args.config.set)?;
    let mut files = Files::new();
    files.reads("the prompts", &args.prompts);
    args.schema.iter().for_each(|path| files.reads("--schema", path));
    let system_file = args.system.as_deref().and_then(|text| text.strip_prefix('@'));
    system_file.iter().for_each(|path| files.reads("--system", Path::new(path)));
    args.output.iter().for_each(|path| files.writes("--output", path));
    files.check()?;
    let schema = args.schema.as_deref().map(schema).transpose()?;
    let system = args.system.as_deref().map(system).transpose()?;
    let model = config.llm.model.clone();
    let defaults = Defaults { model, system, schema, max_tokens: args.max_tokens };
    let lines = lines::read(&args.prompts, &defaults)?;
    let mut answers = Answers::open(args.output.as_deref(), &lines, out)?;
    let kept = answers.count();
    if kept > 0 {
        tracing::info!("{kept} of {} answers are there already", lines.len());
    }
    let pending: Vec<usize> = (0..lines.len()).filter(|index| !answers.has(*index)).collect();
    if pending.is_empty() {
        return answers.finish();
    }
    let registry = Registry::open()?;
    let models = SharedModels::default();
    let thread = models.llm(&config.llm, &registry)?;
    let context_tokens = match config.llm.context_tokens {
        0 => thread.llm().info().context_length.min(CONTEXT_TOKENS),
        set => set,
    };
    let options = SessionOptions { context_tokens, cache: config.llm.cache };
    let n_sessions = (args.sessions as usize).min(pending.len());
    let sessions = Sessions::new(thread.clone(), options, n_sessions);
    let most_time = Duration::from_secs(config.server.most_seconds);
    let engine = Engine::new(thread, sessions, config.llm.chat_options(), config.llm.sampler, None, most_time);
    let tower = crate::load::projector::load(&config.llm, &registry, engine.llm().llm())?;
    let engine = engine.with_picture_reader(tower.map(crate::server::pictures::PictureReader::new));
    let model = super::name_of(&config.llm.model, &registry);
    let work = Work { engine: &engine, model: &model, defaults: &defaults, stop };

    let bar = progress(quiet, lines.len(), kept);
    let (begun, next) = (Instant::now(), AtomicUsize::new(0));
    let (mut generated, mut failures) = (0, Vec::new());
    let written: anyhow::Result<()> = std::thread::scope(|scope| {
        let (done, received) = sync_channel::<Done>(n_sessions);
        for _ in 0..n_sessions {
            let (done, next, pending, work, lines) = (done.clone(), &next, &pending, &work, &lines);
            scope.spawn(move || {
                while let Some(index) = pending.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Some(answered) = work.answer(*index, &lines[*index]) else { return };
                    if done.send(answered).is_err() {
                        return;
                    }
                }
            });
        }
        drop(done);
        for Done { index, answer, usage, failure } in received {
            answers.add(index, &lines[index], &answer)?;
            generated += usage.generated;
            failures.extend(failure.map(|failure| (index, failure)));
            bar.inc(1);
            bar.set_message(format!("{:.1} tokens/s", generated as f64 / begun.elapsed().as_secs_f64().max(1e-3)));
        }
        Ok(())
    });
    bar.finish_and_clear();
    written?;
    let count = answers.count();
    if count < lines.len() {
        let on = if args.output.is_some() { ": the same command goes on from here" } else { "" };
        bail!("stopped when {count} of {} prompts were answered{on}", lines.len());
    }
    answers.finish()?;
    let seconds = begun.elapsed().as_secs_f64();
    if !quiet {
        let rate = generated as f64 / seconds.max(1e-3);
        let n = pending.len();
        eprintln!(
            "{n} prompts answered in {seconds:.1} s, {n_sessions} at a time: {generated} tokens, {rate:.1} tokens/s"
        );
    }
    match failures.first() {
        None => Ok(()),
        Some((index, first)) => {
            let name = args.prompts.display();
            let (n, at) = (failures.len(), lines[*index].number);
            bail!("{n} of {} prompts could not be answered; the first is {name}:{at}: {first}", pending.len())
        }
    }
}

/// A text, or that of the file behind `@`.
fn system(text: &str) -> anyhow::Result<String> {
    match text.strip_prefix('@') {
        Some(path) => Ok(small_file("--system", Path::new(path))?.trim_end().to_owned()),
        None => Ok(text.to_owned()),
    }
}

fn schema(path: &Path) -> anyhow::Result<Value> {
    let text = small_file("--schema", path)?;
    serde_json::from_str(&text).with_context(|| format!("--schema: {} is not JSON", path.display()))
}

fn small_file(option: &str, path: &Path) -> anyhow::Result<String> {
    let said = || format!("{option}: {} can't be read", path.display());
    let mut text = String::new();
    let file = nearfield_base::files::open(path).with_context(said)?;
    file.take(MOST_FILE_BYTES + 1).read_to_string(&mut text).with_context(said)?;
    if text.len() as u64 > MOST_FILE_BYTES {
        bail!("{option}: {} has more than {MOST_FILE_BYTES} bytes", path.display());
    }
    Ok(text)
}

/// How far it is, for people; for nobody where there is no terminal.
fn progress(quiet: bool, length: usize, kept: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("[{bar:30}] {pos}/{len} {msg}, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    let bar = match quiet || !std::io::stderr().is_terminal() {
        true => ProgressBar::hidden(),
        false => ProgressBar::new(length as u64).with_style(style),
    };
    bar.set_position(kept as u64);
    bar.reset_eta();
    bar
}

impl Work<'_> {
    /// The answer to a line; `None` when it was stopped.
    fn answer(&self, index: usize, line: &Line) -> Option<Done> {
        let answered = self.answered(line)?;
        let (usage, failure) = match &answered {
            Ok((.., usage)) => (*usage, None),
            Err(failure) => (Usage::default(), Some(failure.message.clone())),
        };
        let answer = if line.is_request { self.request(line, answered) } else { plain(line, answered) };
        Some(Done { index, answer, usage, failure })
    }

    fn answered(&self, line: &Line) -> Option<Answered> {
        let ready = match line.body(self.defaults).and_then(|body| body.ready(self.engine)) {
            Ok(ready) => ready,
            Err(failure) => return Some(Err(failure)),
        };
        let (mut all, mut meter) = (Vec::new(), Meter::since(Instant::now()));
        for request in ready.requests {
            let (turns, mut whole, mut is_over) = (Turns::default(), Whole::default(), false);
            turns.begin();
            let told = self.engine.answer(request, &turns, &mut |piece| {
                meter.see(&piece);
                is_over |= matches!(piece, Piece::Ended { .. });
                whole.push(piece);
                match is_stopped(self.stop) {
                    true => std::ops::ControlFlow::Break(()),
                    false => std::ops::ControlFlow::Continue(()),
                }
            });
            match told {
                Ok(()) if !is_over => return None,
                Ok(()) => all.push(whole),
                Err(failure) => return Some(Err(failure)),
            }
        }
        Some(Ok((all, ready.likelihoods, meter.usage())))
    }

    /// In the form of OpenAI's batches.
    fn request(&self, line: &Line, answered: Answered) -> Value {
        let whole = answered.and_then(|(all, likelihoods, usage)| {
            chat::whole(self.model, self.engine.llm().llm(), likelihoods, &all, &usage)
        });
        let (status, body, error) = match whole {
            Ok(body) => (200, body, Value::Null),
            Err(failure) => {
                let error = json!({"code": failure.code, "message": failure.message});
                (failure.status.as_u16(), failure.body(Form::OpenAi), error)
            }
        };
        let response = json!({"status_code": status, "request_id": openai::id("req_"), "body": body});
        json!({"id": openai::id("batch_req_"), "custom_id": line.id, "response": response, "error": error})
    }
}

/// In our own form.
fn plain(line: &Line, answered: Answered) -> Value {
    match answered {
        Err(failure) => json!({"id": line.id, "error": {"code": failure.code, "message": failure.message}}),
        Ok((all, _, usage)) => {
            let first = all.first();
            let text = first.map(|one| one.text.trim()).unwrap_or_default();
            let mut answer = json!({
                "id": line.id, "text": text, "finish_reason": first.map(|one| one.reason.open_ai()),
                "usage": openai::usage(&usage),
            });
            if all.len() > 1 {
                answer["texts"] = all.iter().map(|one| one.text.trim()).collect();
            }
            if let Some(calls) = first.map(|one| &one.calls).filter(|calls| !calls.is_empty()) {
                answer["tool_calls"] = calls.iter().map(openai::call).collect();
            }
            answer
        }
    }
}

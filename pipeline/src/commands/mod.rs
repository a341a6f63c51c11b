//! The commands: each reads what it needs, runs, and prints. What a command computes stands elsewhere.

mod convert;
pub mod doctor;
mod doctor_files;
mod events;
mod gptq;
mod imatrix;
pub mod models;
mod models_file;
mod quantize;
pub mod report;
mod report_ask;
pub(crate) mod say;
#[cfg(feature = "server")]
mod service;
#[cfg(feature = "server")]
mod top;
mod transcribe;
mod wake;

use std::io::{BufReader, ErrorKind, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::CommandFactory;
use nearfield_base::persist::Existing;
use nearfield_llm::LlmError;
use nearfield_stages::flow::fault::Fault;
use nearfield_stages::flow::{StopSignal, panics, writes};
use nearfield_stages::voice::capture::{Pace, Source, StoppableStdin};
use nearfield_stages::voice::converse::PromptTooLong;
use nearfield_stages::voice::devices;
use nearfield_stages::voice::microphone::check_microphone;
use nearfield_stages::voice::play::{Outlet, Play};
use serde_json::json;
use std::ops::ControlFlow;

use crate::cli::{self, BenchWhat, ChatArgs, Cli, Command, ConfigArgs, ModelsAction, PaceArg, Usage, VoiceArgs};
use crate::commands::models::PullSettings;
use crate::config::{Config, ConfigError, VoiceConfig};
use crate::files::Files;
use crate::flows::chat::Chat;
use crate::flows::voice::{self, Questions};
use crate::hub::registry::{Registry, RegistryError};
use crate::load::voice::Assistant;
use crate::output::table::table;
use crate::output::turn_report::{TraceWriter, TurnReport, ms};
use crate::output::{captions, terminal};
use crate::recordings::recordings;
use crate::typed_lines::{TypedLine, next_line};
use crate::{bench, eval, signals};

/// The longest text that `say` and `chat` take from stdin at once.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// How a command ended.
#[derive(Debug)]
pub enum Outcome {
    /// Exit status 0.
    Done,
    /// Exit status 1.
    Failed(anyhow::Error),
    /// Exit status 2: wrong usage or configuration.
    Wrong(anyhow::Error),
}

/// Runs a command. A panic in it, on this thread, is an error that names the command.
pub fn run(cli: Cli) -> Outcome {
    let name = cli.command.name();
    match panics::catch(name, || dispatch(cli)).unwrap_or_else(|panicked| Err(panicked.into())) {
        Ok(()) => Outcome::Done,
        Err(error) => {
            // The reader of our results has closed the pipe: it has seen enough.
            let closed = |e: &(dyn std::error::Error + 'static)| {
                e.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
            };
            if error.chain().any(closed) {
                return Outcome::Done;
            }
            let wrong = error.chain().any(|e| {
                e.is::<ConfigError>()
                    || e.is::<Usage>()
                    || matches!(e.downcast_ref(), Some(RegistryError::Unknown { .. }))
            });
            if wrong { Outcome::Wrong(error) } else { Outcome::Failed(error) }
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<()> {
    let mut out = terminal::Escaped::new(std::io::stdout().lock());
    match cli.command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "nearfield", &mut script);
            out.write_all(&script)?;
            return Ok(());
        }
        Command::Man => {
            return Ok(man_page(&mut out)?);
        }
        _ => {}
    }
    // Commands that only look or measure leave nothing unfinished, and end at a signal as any program does.
    let stop = match &cli.command {
        Command::Devices { .. } | Command::Doctor { .. } | Command::Events(_) => crossbeam_channel::never(),
        #[cfg(feature = "server")]
        Command::Run(_) | Command::Ps(_) | Command::Reload(_) | Command::Stop(_) => crossbeam_channel::never(),
        Command::Bench(args) if args.what != BenchWhat::Voice => crossbeam_channel::never(),
        _ => signals::stop_signal()?,
    };
    match cli.command {
        Command::Voice(args) => voice(args, &stop, &mut out),
        Command::Caption(args) => captions::caption(&args, &stop, &mut out),
        Command::Events(args) => events::run(&args, &mut out),
        Command::Report(args) => report::run(&args, &stop, &mut out),
        Command::Transcribe(args) => transcribe::transcribe(&args, &stop, &mut out),
        Command::Say(args) => say::say(args, &stop),
        Command::Wake(args) => wake::run(&args, &stop, &mut out),
        Command::Chat(args) => chat(args, &stop, &mut out),
        #[cfg(feature = "server")]
        Command::Batch(args) => crate::server::batch::run(&args, cli.quiet, &stop, &mut out),
        #[cfg(feature = "server")]
        Command::Run(args) => {
            let (stop, hung_up) = signals::service_signals()?;
            crate::server::run(&args, &stop, hung_up, &mut out)
        }
        #[cfg(feature = "server")]
        Command::Ps(args) => service::ps(&args, &mut out),
        #[cfg(feature = "server")]
        Command::Top(args) => top::top(&args, &stop, &mut out),
        #[cfg(feature = "server")]
        Command::Reload(args) => service::reload(&args, &mut out),
        #[cfg(feature = "server")]
        Command::Stop(args) => service::stop(&args, &mut out),
        Command::Devices { json } => list_devices(json, &mut out),
        Command::Models(args) => {
            let registry = Registry::open()?;
            let stopped = || signals::is_stopped(&stop);
            match args.action {
                ModelsAction::List { json } => models::list(&registry, json, &mut out),
                ModelsAction::Show { name, json } => models::show(&registry, &name, json, &mut out),
                ModelsAction::Pull { names, update, json } => {
                    let settings = PullSettings { quiet: cli.quiet, update, json };
                    models::pull(&registry, &names, settings, &stopped, &mut out)
                }
                ModelsAction::Verify { name, json } => {
                    models::verify(&registry, name.as_deref(), json, &stopped, &mut out)
                }
                ModelsAction::Convert(args) => convert::run(&args, cli.quiet, &stop, &mut out),
                ModelsAction::Imatrix(args) => imatrix::run(&args, &registry, cli.quiet, &stop, &mut out),
                ModelsAction::Path { name } => models::path(&registry, &name, &mut out),
                ModelsAction::Quantize(args) => quantize::run(&args, &registry, cli.quiet, &stopped, &mut out),
            }
        }
        Command::Doctor { json, config } => doctor::run(&config, json, &mut out),
        Command::Bench(args) => bench::run(&args, &stop, &mut out),
        Command::Eval(args) => eval::run(&args, cli.quiet, &stop, &mut out),
        Command::Completions { .. } | Command::Man => Ok(()),
    }
}

fn man_page(out: &mut dyn Write) -> std::io::Result<()> {
    let command = Cli::command();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for sub in command.get_subcommands() {
        clap_mangen::Man::new(sub.clone()).render(&mut page)?;
    }
    out.write_all(&page)
}

pub(crate) fn outlet(output: &str, existing: Existing, device: &str) -> anyhow::Result<Outlet> {
    let device = Some(device.to_owned()).filter(|d| !d.is_empty());
    let is_wav = Path::new(output).extension().is_some_and(|e| e.eq_ignore_ascii_case("wav"));
    Ok(match output {
        "speaker" => Outlet::Speaker(device),
        "null" => Outlet::Null,
        file if is_wav => Outlet::File(file.into(), existing),
        other => {
            return Err(Usage(format!("--output {other}: write `speaker`, `null`, or a file that ends in .wav")).into());
        }
    })
}

fn voice(args: VoiceArgs, stop: &StopSignal, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut config = VoiceConfig::load(args.config.config.as_deref(), &args.config.set)?;
    if let Some(home) = args.home {
        config.home.file = home;
    }
    let pace = match args.pace {
        PaceArg::Realtime => Pace::Realtime,
        PaceArg::Fast => Pace::Fast,
    };
    let questions = if !args.text.is_empty() {
        Questions::Typed(args.text)
    } else {
        Questions::Spoken(match args.input.as_str() {
            "mic" => Source::Microphone(Some(config.listen.device.clone()).filter(|d| !d.is_empty())),
            "-" => Source::Stdin(pace),
            path => Source::Files(recordings(Path::new(path))?, pace),
        })
    };
    let existing = cli::existing(args.overwrite);
    let mut outlet = outlet(&args.output, existing, &config.play.device)?;
    // A recording that is heard as fast as it was spoken is answered into a file with a loudspeaker's clock, and can be interrupted.
    if matches!(&questions, Questions::Spoken(source) if source.is_live())
        && let Outlet::File(path, existing) = outlet
    {
        outlet = Outlet::Clocked(path, existing, Arc::default());
    }
    let registry = Registry::open()?;
    let mut files = voice_files(&config, &args.config, &registry);
    match &questions {
        Questions::Spoken(Source::Stdin(_)) => files.reads_stdin(),
        Questions::Spoken(Source::Files(recordings, _)) => recordings.iter().for_each(|f| files.reads("--input", f)),
        Questions::Spoken(Source::Microphone(_) | Source::Script(_) | Source::Client(_)) | Questions::Typed(_) => {}
    }
    if let Outlet::File(path, _) | Outlet::Clocked(path, ..) = &outlet {
        files.creates("--output", path, existing);
    }
    if let Some(path) = &args.trace {
        files.creates("--trace", path, existing);
    }
    files.check()?;
    // A missing device is named before models are loaded, and before the user is asked to speak.
    if let Questions::Spoken(Source::Microphone(name)) = &questions {
        check_microphone(name.as_deref())?;
    }
    Play::check(&outlet)?;
    let assistant = Assistant::load(&config, &registry, matches!(questions, Questions::Spoken(_)))?;
    let mut trace = args.trace.as_deref().map(|path| TraceWriter::create(path, existing)).transpose()?;
    if matches!(questions, Questions::Spoken(Source::Microphone(_))) && !args.json {
        writeln!(out, "Listening. Speak; Ctrl-C ends.")?;
    }
    let mut failed = None;
    let mut report = |turn: TurnReport| -> anyhow::Result<ControlFlow<()>> {
        if args.json {
            writeln!(out, "{}", turn.json())?;
        } else {
            turn.print(out)?;
        }
        out.flush()?;
        if let Some(trace) = &mut trace {
            trace.turn(&turn)?;
        }
        failed = failed.take().or(turn.errors.into_iter().next());
        Ok(ControlFlow::Continue(()))
    };
    let result = voice::run(assistant, &config, questions, &outlet, stop, &mut report);
    if let Some(trace) = trace {
        trace.end()?;
    }
    result?;
    match failed {
        Some(error) => bail!("a turn failed: {error}"),
        None => Ok(()),
    }
}

/// The files that the models, the home and the configuration of a voice are in.
fn voice_files(config: &VoiceConfig, args: &ConfigArgs, registry: &Registry) -> Files {
    let mut files = Files::new();
    files.reads("--config", args.config.as_deref().unwrap_or(Path::new("")));
    list_voice(&mut files, config, registry);
    files
}

/// Lists the files among the keys of a voice. A model that can't be found is an error when it is loaded.
pub(crate) fn list_voice(files: &mut Files, config: &VoiceConfig, registry: &Registry) {
    let voice = config.tts.model.as_ref().map(|m| m.to_string_lossy().into_owned());
    let turn = if config.turn.model == "auto" { "smart-turn" } else { &config.turn.model };
    let models = [("llm.model", config.llm.model.as_str()), ("stt.model", &config.stt.model), ("turn.model", turn)];
    for (role, name) in models.into_iter().chain(voice.as_deref().map(|name| ("tts.model", name))) {
        if let Ok(model) = registry.resolve(name) {
            files.reads_model(role, &model);
        }
    }
    for name in config.wake.word.iter().chain(&config.wake.stop) {
        if let Ok(model) = crate::load::wake::resolve(name, registry) {
            files.reads_model("wake.word", &model);
        }
    }
    files.reads("home.sentences", &config.home.sentences);
    files.reads("remote.key_file", &config.remote.key_file);
    files.writes_shared("the home", &config.home.file);
    files.writes_shared("home.remember", &config.home.remember);
    files.writes_shared("home.timers", &config.home.timers);
}

fn chat(args: ChatArgs, stop: &StopSignal, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut config = VoiceConfig::load(args.config.config.as_deref(), &args.config.set)?;
    if let Some(home) = &args.home {
        config.home.file = home.clone();
    }
    let registry = Registry::open()?;
    let mut files = voice_files(&config, &args.config, &registry);
    if args.prompt.is_none() {
        files.reads_stdin();
    }
    if let Some(session) = &args.session {
        files.writes("--session", session);
    }
    files.check()?;
    let mut chat = Chat::open(&config, &registry)?;
    if let Some(file) = args.session.as_deref().filter(|file| file.exists()) {
        match chat.restore(file) {
            Err(error @ LlmError::Session { .. }) => tracing::warn!("{error}; the conversation begins anew"),
            restored => restored?,
        }
    }
    // What was said before a panic is kept.
    let answered = panics::catch("chat", || converse(&mut chat, &args, stop, out)).map_err(Into::into).flatten();
    if let Some(file) = &args.session {
        let _write = writes::begin();
        chat.save(file)?;
    }
    answered
}

/// Asks the one question, or each line of standard input.
fn converse(chat: &mut Chat, args: &ChatArgs, stop: &StopSignal, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut fault = Fault::of("chat");
    let mut ask = |question: &str, out: &mut dyn Write| -> anyhow::Result<()> {
        let begun = Instant::now();
        let reply = chat.ask(question, stop, &mut |text| {
            if !args.json {
                let _ = write!(out, "{text}");
                let _ = out.flush();
            }
        })?;
        if args.json {
            let line = json!({
                "prompt": question,
                "reply": reply.reply,
                "tools": reply.tools,
                "tokens": reply.tokens,
                "latency_ms": {
                    "llm_first_token": reply.first_token.map(|at| ms(at - begun)),
                    "total": ms(begun.elapsed()),
                },
                "cut_off": reply.cut_off,
                "repeated": reply.repeated,
            });
            writeln!(out, "{line}")?;
        } else {
            writeln!(out)?;
        }
        out.flush()?;
        fault.step()
    };
    if let Some(prompt) = &args.prompt {
        return ask(prompt, out);
    }
    let interactive = std::io::IsTerminal::is_terminal(&std::io::stdin());
    let mut lines = BufReader::new(StoppableStdin::new(stop.clone())?);
    let mut refused = 0;
    for number in 1.. {
        if interactive {
            eprint!("> ");
        }
        let Some(line) = next_line(&mut lines, MAX_TEXT_BYTES).context("standard input can't be read")? else { break };
        if signals::is_stopped(stop) {
            break;
        }
        let reason = match line {
            TypedLine::Text(text) if text.is_empty() => continue,
            TypedLine::Text(text) => match ask(&text, out) {
                Ok(()) => continue,
                // Every other question may have room.
                Err(error) if error.is::<PromptTooLong>() => format!("{error}"),
                Err(error) => return Err(error),
            },
            TypedLine::TooLong(bytes) => format!("it has {bytes} bytes; at most {MAX_TEXT_BYTES} are accepted"),
            TypedLine::NotText => "it is not UTF-8 text".to_owned(),
        };
        refused += 1;
        tracing::error!("line {number} is not answered: {reason}");
    }
    match refused {
        0 => Ok(()),
        _ if interactive => Ok(()),
        1 => bail!("1 line of standard input was not answered; the log says why"),
        n => bail!("{n} lines of standard input were not answered; the log says why"),
    }
}

fn list_devices(json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let devices = devices::list();
    if devices.is_empty() && !json {
        writeln!(
            out,
            "No microphone and no loudspeaker found; use files instead (--input FILE.wav --output FILE.wav)."
        )?;
    }
    if json {
        for device in devices {
            writeln!(out, "{}", serde_json::to_string(&device)?)?;
        }
        return Ok(());
    }
    let rows: Vec<[String; 5]> = devices
        .into_iter()
        .map(|device| {
            let direction = match device.direction {
                devices::Direction::Input => "microphone",
                devices::Direction::Output => "loudspeaker",
            };
            let default = if device.default { "default" } else { "" };
            let rate = format!("{} Hz x {}", device.sample_rate_hz, device.channels);
            [direction.to_owned(), default.to_owned(), rate, device.name, format!("({})", device.id)]
        })
        .collect();
    if !rows.is_empty() {
        writeln!(out, "{}", table(rows, &[]))?;
    }
    Ok(())
}

//! The voice assistant: which stages there are, in what order, with which queues between them. The only place that
//! knows.
//!
//! ```text
//! source ─Frame─► listen ─Utterance─► transcribe ─Transcript─► converse ─TextDelta─► phrase ─Clause─► speak ─Speech─► play
//!                                                                 ▲ │                                                  │
//!                                                           Event │ ▼ Job                                       Played │
//!                                                                 llm                                           reporter
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use nearfield_llm::{Llm, LlmError, LlmOptions, SessionOptions};
use nearfield_speech::stt::SpeechToText;
use nearfield_speech::tts::{Voice, open_voice};
use nearfield_speech::vad::{Earshot, Endpointer, Silero, VoiceActivity};
use nearfield_stages::flow::Ledger;
use nearfield_stages::flow::{Failure, FlowContext, Stage, drive, spawn};
use nearfield_stages::flow::{Turn, Turns};
use nearfield_stages::llm_thread::LlmThread;
use nearfield_stages::messages::{Envelope, Frame, TextDelta, Transcript};
use nearfield_stages::voice::capture::{Pace, Source, StopSignal};
use nearfield_stages::voice::converse::{Converse, ConverseOptions};
use nearfield_stages::voice::home::Home;
use nearfield_stages::voice::listen::{Listen, TurnTaking};
use nearfield_stages::voice::notes::{Note, Replied};
use nearfield_stages::voice::phrase::Phrase;
use nearfield_stages::voice::play::{Outlet, Play};
use nearfield_stages::voice::speak::Speak;
use nearfield_stages::voice::tools::Toolbox;
use nearfield_stages::voice::transcribe::Transcribe;
use nearfield_stages::voice_priority::VoicePriority;
use std::ops::ControlFlow;

use crate::config::{VadKind, VoiceConfig};
use crate::flows::ending::{Due, Ending};
use crate::hub::registry::{Kind, Registry};
use crate::output::turn_report::{Collector, TurnReport};
use crate::prompts;
use crate::signals::is_stopped;

/// The context of a model that says nothing better of itself.
const DEFAULT_CONTEXT_TOKENS: usize = 4096;
/// The longest reply where the configuration leaves it open: some 120 words, a minute of speech.
const MAX_REPLY_TOKENS: usize = 160;

/// What a question comes from.
#[derive(Clone, Debug)]
pub enum Questions {
    /// Somebody speaks.
    Spoken(Source),
    /// Somebody has typed.
    Typed(Vec<String>),
}

/// The models and tools of a voice assistant, loaded and ready.
pub struct Assistant {
    /// The language model.
    pub llm: Arc<Llm>,
    /// Speech to text; absent when all questions are typed.
    pub stt: Option<SpeechToText>,
    /// Voice activity; absent likewise.
    pub vad: Option<Box<dyn VoiceActivity>>,
    /// Text to speech.
    pub voice: Box<dyn Voice>,
    /// What the model may do.
    pub toolbox: Toolbox,
    /// How it is asked.
    pub converse: ConverseOptions,
    /// Captions and reports in other programs let it pass.
    pub way: Option<VoicePriority>,
}

impl Assistant {
    /// Loads everything that `config` names.
    ///
    /// # Errors
    /// Whatever is missing or broken, with its name and the way out.
    pub fn load(config: &VoiceConfig, registry: &Registry, hears: bool) -> anyhow::Result<Self> {
        let toolbox = load_toolbox(config)?;
        let llm = load_llm(config, registry)?;
        llm.tokenizer()?;
        let converse = converse_options(config, registry, &llm)?;
        let (stt, vad) = match hears {
            true => (Some(load_stt(config, registry)?), Some(load_vad(config, registry)?)),
            false => (None, None),
        };
        let voice = load_voice(config, registry)?;
        tracing::info!(
            llm = config.llm.model,
            context_tokens = converse.session.context_tokens,
            stt = if hears { config.stt.model.as_str() } else { "none" },
            voice = voice.name(),
            "loaded"
        );
        let way = VoicePriority::of(&registry.places().data);
        Ok(Self { llm, stt, vad, voice, toolbox, converse, way })
    }
}

/// The language model that `config` names.
///
/// # Errors
/// If it is unknown, not there, or broken.
pub fn load_llm(config: &VoiceConfig, registry: &Registry) -> anyhow::Result<Arc<Llm>> {
    let model = registry.resolve_as(&config.llm.model, &[Kind::Llm]).context("llm.model")?;
    Ok(Llm::open(model.path(), &LlmOptions { threads: config.llm.threads })?)
}

/// The recognizer that `config` names.
///
/// # Errors
/// If it is unknown, not there, or broken.
pub fn load_stt(config: &VoiceConfig, registry: &Registry) -> anyhow::Result<SpeechToText> {
    let model = registry.resolve_as(&config.stt.model, &[Kind::Stt]).context("stt.model")?;
    let mut options = config.stt.options.clone();
    options.audio_ctx_min = options.audio_ctx_min.or(model.settings.audio_ctx_min);
    Ok(SpeechToText::open(model.path(), &options)?)
}

/// The voice that `config` names.
///
/// # Errors
/// If it is unknown or not there.
pub fn load_voice(config: &VoiceConfig, registry: &Registry) -> anyhow::Result<Box<dyn Voice>> {
    let mut options = config.tts.clone();
    if let Some(model) = &options.model {
        let resolved = registry.resolve_as(&model.to_string_lossy(), &[Kind::Tts]).context("tts.model")?;
        options.model = Some(resolved.path().to_owned());
    }
    Ok(open_voice(&options)?)
}

fn load_vad(config: &VoiceConfig, registry: &Registry) -> anyhow::Result<Box<dyn VoiceActivity>> {
    Ok(match (config.listen.vad, registry.resolve("silero-vad")) {
        (VadKind::Earshot, _) | (VadKind::Auto, Err(_)) => Box::new(Earshot::default()),
        (VadKind::Silero, Err(error)) => return Err(error).context("listen.vad"),
        (VadKind::Silero, Ok(model)) => Box::new(Silero::open(model.path())?),
        (VadKind::Auto, Ok(model)) => match Silero::open(model.path()) {
            Ok(silero) => Box::new(silero),
            Err(error) => {
                tracing::warn!(%error, "Silero can't be used; earshot takes its place");
                Box::new(Earshot::default())
            }
        },
    })
}

/// How the assistant's model is asked; where the configuration leaves the context open, it is what suits the model.
fn converse_options(config: &VoiceConfig, registry: &Registry, llm: &Llm) -> anyhow::Result<ConverseOptions> {
    let model = registry.resolve(&config.llm.model)?;
    let context_tokens = match config.llm.context_tokens {
        0 => match model.settings.context_tokens {
            Some(suits) => suits as usize,
            None => llm.info().context_length.min(DEFAULT_CONTEXT_TOKENS),
        },
        set => set,
    };
    let max_reply_tokens = config.llm.max_tokens_or(MAX_REPLY_TOKENS).min(context_tokens / 2);
    Ok(ConverseOptions {
        chat: config.llm.chat_options(),
        system: prompts::voice_system(&config.prompt.system, &model.prompt),
        home: model.prompt.home.unwrap_or_default(),
        session: SessionOptions { context_tokens, cache: config.llm.cache },
        sampler: config.llm.sampler,
        max_reply_tokens,
    })
}

/// Runs the assistant until its questions are at their end or `stop` is disconnected; hands each turn's report to
/// `report`, which may end it all.
///
/// # Errors
/// If the source, the outlet or the report fails, or a thread of the flow panics; what was complete by then has been reported.
pub fn run(
    assistant: Assistant,
    config: &VoiceConfig,
    questions: Questions,
    outlet: &Outlet,
    stop: &StopSignal,
    report: &mut dyn FnMut(TurnReport) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<()> {
    let turns = Turns::default();
    let guesses = Turns::default();
    let ledger = Ledger::default();
    let (notes, mut notebook) = bounded(256);
    let failures = notes.clone();
    let flow = FlowContext {
        turns: turns.clone(),
        ledger: ledger.clone(),
        on_failure: Arc::new(move |failure| {
            let _ = failures.send(Note::Failed(failure));
        }),
    };

    // Every queue of the flow. Speech blocks and is never dropped; a queue is as long as the work that may usefully be
    // done ahead of the slower stage behind it.
    let (frames, to_listen) = bounded(64); // 64 * 20 ms = 1.3 s: transcription never holds up the microphone's own 10 s.
    let (utterances, to_transcribe) = bounded(4); // A guess, its correction, and two more questions.
    let (transcripts, to_converse) = bounded(4);
    let (deltas, to_phrase) = bounded(256); // The model may write ahead of the voice by a long reply.
    let (clauses, to_speak) = bounded(4); // Clauses not yet spoken; an interruption throws them away.
    let (speech, to_play) = bounded(64); // Blocks of about 20 to 100 ms: the voice may be seconds ahead of the loudspeaker.
    let (played, to_report) = bounded(16);
    let (heard, what_was_heard) = bounded(64);
    let (answered, answers) = bounded(64);

    let play = Play::open(outlet, turns.clone())?;
    let turn_taking = match &questions {
        Questions::Typed(_) | Questions::Spoken(Source::Files(_, Pace::Fast) | Source::Stdin(Pace::Fast)) => {
            TurnTaking::Wait(answers)
        }
        _ if config.listen.interrupt => TurnTaking::Interrupt,
        _ => TurnTaking::DeafWhile(play.speaking()),
    };
    let (llm, llm_thread) = LlmThread::start_in(&flow, assistant.llm, assistant.way);
    let converse =
        Converse::new(llm, assistant.converse, assistant.toolbox, turns.clone(), what_was_heard, notes.clone())?;
    drop(notes);

    let mut threads = vec![llm_thread];
    let (source_ended, source_result) = mpsc::channel();
    let (mut ending, source_stop) = Ending::new(stop.clone());
    match questions {
        Questions::Spoken(source) => {
            let vad = assistant.vad.context("the assistant was loaded without ears")?;
            let stt = assistant.stt.context("the assistant was loaded without ears")?;
            let listen = Listen::new(
                Endpointer::new(vad, config.listen.endpoint.clone())?,
                turns.clone(),
                guesses.clone(),
                turn_taking,
            );
            threads.push(drive(listen, to_listen, utterances, flow.clone()));
            threads.push(drive(Transcribe::new(stt, turns.clone(), guesses), to_transcribe, transcripts, flow.clone()));
            threads.push(spawn("source", flow.clone(), move || {
                let _ = source_ended.send(source.run(&frames, &source_stop));
            }));
        }
        Questions::Typed(texts) => {
            let turns = turns.clone();
            threads.push(spawn("source", flow.clone(), move || {
                type_in(&texts, &turns, &transcripts, &answers_of(turn_taking), &source_stop);
                let _ = source_ended.send(Ok(()));
            }));
        }
    }
    threads.push(drive(converse, to_converse, deltas, flow.clone()));
    threads.push(drive(Phrase::default(), to_phrase, clauses, flow.clone()));
    threads.push(drive(Speak::new(assistant.voice), to_speak, speech, flow.clone()));
    threads.push(drive(play, to_play, played, flow));

    let budget = Duration::from_millis(config.latency.first_audio_ms);
    let mut collector = Collector::new(ledger, budget);
    let mut outcome = Ok(());
    let note = |collector: &mut Collector, ending: &mut Ending, note: Note| {
        if let Note::Failed(failure) = note {
            let (stage, turn, is_fatal) = (failure.stage, failure.turn, failure.is_fatal);
            if is_fatal {
                let error = anyhow::anyhow!("{:#}", failure.error);
                ending.note(failure);
                // The turn's report tells it too; what belongs to no turn is told once, as the flow's error.
                if turn.is_some() {
                    collector.note(Note::Failed(Failure { stage, turn, error, is_fatal }));
                }
                return;
            }
            if let Some(failure) = collector.note(Note::Failed(failure)) {
                tracing::error!("{failure}");
            }
            return;
        }
        collector.note(note);
    };
    loop {
        let (user, timer) = (ending.user(), ending.timer());
        select! {
            recv(user) -> _ => {
                // What is under way is silenced, and the queues run dry.
                ending.begin();
                turns.silence_all();
            }
            recv(timer) -> _ => match ending.due() {
                Some(Due::Hurry) => turns.silence_all(),
                Some(Due::GiveUp) => break,
                None => {}
            },
            recv(notebook) -> received => match received {
                Ok(received) => note(&mut collector, &mut ending, received),
                // All have ended; their last sound is still to be taken.
                Err(_) => notebook = never(),
            },
            recv(to_report) -> received => {
                let Ok(Envelope { turn, body: played, .. }) = received else { break };
                // Whatever was noted of this turn was sent before its sound was.
                notebook.try_iter().for_each(|n| note(&mut collector, &mut ending, n));
                let _ = heard.try_send((turn, played.clone()));
                for finished in collector.finish(turn, played) {
                    if outcome.is_err() {
                        break;
                    }
                    match report(finished) {
                        Ok(ControlFlow::Continue(())) => {}
                        Ok(ControlFlow::Break(())) => turns.silence_all(),
                        Err(error) => {
                            turns.silence_all();
                            outcome = Err(error);
                        }
                    }
                }
                let _ = answered.try_send(turn);
            }
        }
        if outcome.is_err() {
            break;
        }
    }
    drop((to_report, answered));
    outcome?;
    notebook.try_iter().for_each(|n| note(&mut collector, &mut ending, n));
    if ending.has_panicked() {
        for unfinished in collector.abandon() {
            let _ = report(unfinished)?;
        }
    }
    ending.join(threads, &|| turns.silence_all(), &mut |ending| {
        notebook.try_iter().for_each(|n| note(&mut collector, ending, n));
    })?;
    source_result.try_recv().unwrap_or(Ok(()))
}

/// Typed questions come one after the other, each when the answer to the one before it is over.
fn type_in(
    texts: &[String],
    turns: &Turns,
    transcripts: &Sender<Envelope<Transcript>>,
    answers: &Receiver<Turn>,
    stop: &StopSignal,
) {
    for text in texts {
        let turn = turns.begin();
        let now = Instant::now();
        let transcript = Transcript { text: text.trim().to_owned(), suppressed: None, speech_ended: now, closed: now };
        if transcripts.send(Envelope::new(turn, transcript)).is_err() {
            return;
        }
        loop {
            select! {
                recv(answers) -> answered => match answered {
                    Ok(done) if done >= turn => break,
                    Ok(_) => {}
                    Err(_) => return,
                },
                recv(stop) -> _ => return,
            }
        }
    }
}

fn answers_of(turn_taking: TurnTaking) -> Receiver<Turn> {
    match turn_taking {
        TurnTaking::Wait(answers) => answers,
        TurnTaking::Interrupt | TurnTaking::DeafWhile(_) => never(),
    }
}

/// The conversation without ears and mouth: for `chat`, and for scoring.
pub struct Chat {
    converse: Converse,
    turns: Turns,
    notebook: Receiver<Note>,
}

impl Chat {
    /// Loads the language model and the tools that `config` names.
    ///
    /// # Errors
    /// Whatever is missing or broken, with its name and the way out.
    pub fn open(config: &VoiceConfig, registry: &Registry) -> anyhow::Result<Self> {
        let toolbox = load_toolbox(config)?;
        let llm = load_llm(config, registry)?;
        llm.tokenizer()?;
        let turns = Turns::default();
        let (notes, notebook) = bounded(64);
        let options = converse_options(config, registry, &llm)?;
        let way = VoicePriority::of(&registry.places().data);
        let (thread, _ends_with_its_last_handle) = LlmThread::start_beside_others(llm, way);
        let converse = Converse::new(thread, options, toolbox, turns.clone(), never(), notes)?;
        Ok(Self { converse, turns, notebook })
    }

    /// Goes on with the conversation of a file.
    ///
    /// # Errors
    /// The file is damaged or does not fit; the conversation then begins anew.
    pub fn restore(&mut self, file: &Path) -> Result<(), LlmError> {
        self.converse.restore(file)
    }

    /// Writes the conversation to a file.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn save(&self, file: &Path) -> anyhow::Result<()> {
        self.converse.save(file)
    }

    /// Asks one question; `sink` gets the reply as it is written. When `stop` is disconnected, the reply ends there.
    ///
    /// # Errors
    /// If the model fails.
    pub fn ask(&mut self, question: &str, stop: &StopSignal, sink: &mut dyn FnMut(&str)) -> anyhow::Result<Replied> {
        let turn = self.turns.begin();
        let now = Instant::now();
        let transcript =
            Transcript { text: question.trim().to_owned(), suppressed: None, speech_ended: now, closed: now };
        let turns = &self.turns;
        self.converse.step(Envelope::new(turn, transcript), &mut |delta| {
            if is_stopped(stop) {
                turns.silence_all();
                return ControlFlow::Break(());
            }
            match &delta.body {
                TextDelta::Text(text) => sink(text),
                TextDelta::Cut => sink("…"),
                TextDelta::End => {}
            }
            ControlFlow::Continue(())
        })?;
        let replied = self.notebook.try_iter().find_map(|note| match note {
            Note::Replied { replied, .. } => Some(replied),
            _ => None,
        });
        Ok(replied.unwrap_or_default())
    }
}

/// Runs the same stages over the same recordings strictly one after the other, each to its end before the next begins:
/// what the overlap is measured against. Answers one report for each turn.
///
/// # Errors
/// If a recording can't be read or a stage fails.
pub fn run_one_after_the_other(
    assistant: Assistant,
    config: &VoiceConfig,
    recordings: &[PathBuf],
    stop: &StopSignal,
) -> anyhow::Result<Vec<TurnReport>> {
    let (turns, guesses) = (Turns::default(), Turns::default());
    let (notes, notebook) = bounded(256);
    let (llm, llm_thread) = LlmThread::start_beside_others(assistant.llm, assistant.way);
    let vad = assistant.vad.context("the assistant was loaded without ears")?;
    let stt = assistant.stt.context("the assistant was loaded without ears")?;
    let endpointer = Endpointer::new(vad, config.listen.endpoint.clone())?;
    let mut listen = Listen::new(endpointer, turns.clone(), guesses.clone(), TurnTaking::Interrupt);
    let mut transcribe = Transcribe::new(stt, turns.clone(), guesses);
    let mut converse = Converse::new(llm, assistant.converse, assistant.toolbox, turns.clone(), never(), notes)?;
    let mut phrase = Phrase::default();
    let mut speak = Speak::new(assistant.voice);
    let mut play = Play::open(&Outlet::Null, turns)?;
    let mut collector = Collector::new(Ledger::default(), Duration::from_millis(config.latency.first_audio_ms));
    let mut reports = Vec::new();
    for path in recordings {
        let samples = crate::recordings::read_speech(path, stop)?;
        let frame = Frame { samples, captured: Instant::now(), last: true };
        let heard = step_all(&mut listen, vec![Envelope::new(Turn(0), frame)])?;
        let heard = heard.into_iter().filter(|u| u.body.guess.is_none()).collect();
        let transcripts = step_all(&mut transcribe, heard)?;
        let deltas = step_all(&mut converse, transcripts)?;
        let clauses = step_all(&mut phrase, deltas)?;
        let speech = step_all(&mut speak, clauses)?;
        for note in notebook.try_iter() {
            collector.note(note);
        }
        for played in step_all(&mut play, speech)? {
            reports.extend(collector.finish(played.turn, played.body));
        }
    }
    drop(converse);
    let _ = llm_thread.join();
    Ok(reports)
}

/// Everything that `stage` makes of `inputs`, before anybody sees any of it.
fn step_all<S: Stage>(stage: &mut S, inputs: Vec<Envelope<S::In>>) -> anyhow::Result<Vec<Envelope<S::Out>>> {
    let mut outputs = Vec::new();
    for input in inputs {
        stage.step(input, &mut |output| {
            outputs.push(output);
            ControlFlow::Continue(())
        })?;
    }
    Ok(outputs)
}

fn load_toolbox(config: &VoiceConfig) -> anyhow::Result<Toolbox> {
    let file = &config.home.file;
    let home = (!file.as_os_str().is_empty()).then(|| Home::load(file)).transpose()?;
    Ok(Toolbox::new(home, config.tools.clone())?)
}

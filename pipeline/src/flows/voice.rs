//! The voice assistant: which stages there are, in what order, with which queues between them. The only place that
//! knows.
//!
//! ```text
//! source ─Frame─► listen ─Utterance─► transcribe ─Transcript─► converse ─TextDelta─► phrase ─Clause─► speak ─Speech─► play
//!                                                                 ▲ │                                                  │
//!                                                           Event │ ▼ Job                                       Played │
//!                                                                 llm                                           reporter
//! ```

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context, ensure};
use crossbeam_channel::bounded;
use nearfield_speech::vad::Endpointer;
use nearfield_stages::flow::{Flow, FlowEvent, Guesses, Queue, StopSignal, Turn};
use nearfield_stages::messages::Envelope;
use nearfield_stages::voice::capture::Source;
use nearfield_stages::voice::converse::Converse;
use nearfield_stages::voice::echo::EchoPath;
use nearfield_stages::voice::listen::{Listen, Resume, TurnTaking};
use nearfield_stages::voice::notes::Note;
use nearfield_stages::voice::phrase::{Filler, Phrase};
use nearfield_stages::voice::play::{Outlet, Play};
use nearfield_stages::voice::speak::Speak;
use nearfield_stages::voice::transcribe::Transcribe;
use nearfield_stages::voice::turn_end::TurnEnd;
use nearfield_stages::voice::typed::type_in;
use nearfield_stages::voice::volume::Volume;
use nearfield_stages::voice::wake::{Attention, WakeHook};

use crate::config::{Decide, LatencyConfig, VoiceConfig};
use crate::load::voice::Assistant;
use crate::output::turn_report::{Collector, TurnReport};

/// What a question comes from.
#[derive(Clone, Debug)]
pub enum Questions {
    /// Somebody speaks.
    Spoken(Source),
    /// Somebody has typed.
    Typed(Vec<String>),
}

/// What a voice tells.
pub enum VoiceEvent<'a> {
    /// Something is known of a turn that is under way.
    Note(&'a Note),
    /// A turn is over.
    Turn(Box<TurnReport>),
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
    run_telling(assistant, config, questions, outlet, stop, &mut |event| match event {
        VoiceEvent::Note(_) => Ok(ControlFlow::Continue(())),
        VoiceEvent::Turn(turn) => report(*turn),
    })
}

/// As [`run`], and tells what is known of the turns while they are under way.
///
/// # Errors
/// As [`run`].
pub fn run_telling(
    assistant: Assistant,
    config: &VoiceConfig,
    questions: Questions,
    outlet: &Outlet,
    stop: &StopSignal,
    on_event: &mut dyn FnMut(VoiceEvent<'_>) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<()> {
    let (notes, notebook) = bounded(256);
    let (heard, what_was_heard) = bounded(64);
    let (answered, answers) = bounded(64);
    let (attended, attention_ends) = bounded(64);
    let mut flow = Flow::new().notes(notebook);
    let (turns, guesses) = (flow.turns(), Guesses::default());
    let mut collector = Collector::new(flow.ledger(), Duration::from_millis(config.latency.first_audio_ms));

    let volume = Volume::new(config.play.volume);
    let play = Play::open(outlet, turns.clone())?.at(volume.clone());
    let llm = assistant.llm.start_in(&mut flow);
    let pause = llm.pause();
    let speaking = matches!(&questions, Questions::Spoken(Source::Client(_))).then(|| notes.clone());
    // A recording that is read faster than life has no time to save, and ends its turns by silence alone.
    let is_live = matches!(&questions, Questions::Spoken(source) if source.is_live());
    let decides = is_live && config.turn.decide == Decide::Content;
    let whole_commands = if decides { assistant.toolbox.whole_commands() } else { None };
    let converse = Converse::new(llm, assistant.converse, assistant.toolbox, turns.clone(), what_was_heard, notes)?
        .guessing(guesses.clone())
        .held_by(play.hold())
        .speaking_at(volume);
    let speak = Speak::new(assistant.voice).guessing(guesses.clone()).pausing(pause);
    let phrase = Phrase::guessing(guesses.clone()).filling(filler(&config.latency));

    // Speech blocks and is never dropped; a queue is as long as the work that may usefully be done ahead of the slower stage behind it.
    let transcripts = match questions {
        Questions::Spoken(source) => {
            let vad = assistant.vad.context("the assistant was loaded without ears")?;
            let stt = assistant.stt.context("the assistant was loaded without ears")?;
            let turn_taking = match &source {
                _ if !is_live => TurnTaking::Wait(answers),
                Source::Client(_) => TurnTaking::Interrupt, // its loudspeaker is elsewhere
                _ if config.listen.interrupt && config.listen.resume && decides => {
                    TurnTaking::Weigh(Resume::new(play.hold(), answers))
                }
                _ if config.listen.interrupt => TurnTaking::Interrupt,
                _ => TurnTaking::DeafWhile(play.speaking()),
            };
            let endpointer = Endpointer::new(vad, config.listen.endpoint.clone())?;
            let mut listen = Listen::new(endpointer, turns.clone(), guesses.clone(), turn_taking);
            if let Some(notes) = speaking {
                listen = listen.telling(notes);
            }
            if let Some((spotter, words)) = assistant.wake {
                let wake = &config.wake;
                let mut attention = Attention::new(spotter, words, wake.options(), attention_ends);
                if wake.chime {
                    attention = attention.ringing(play.chime());
                }
                if !wake.command.is_empty() {
                    attention = attention.telling(WakeHook::start(wake.command.clone())?);
                }
                listen = listen.attending(attention);
            }
            let echo = match (&source, outlet) {
                (Source::Microphone(microphone), Outlet::Speaker(_)) => {
                    config.listen.echo.cancels(microphone.as_deref()).then(|| EchoPath::new(play.reference()))
                }
                _ => None,
            };
            let mut transcribe = Transcribe::new(stt, turns, guesses);
            if decides {
                // As many guesses as may wait at the recognizer.
                let (tell, words) = bounded(4);
                transcribe = transcribe.telling(tell);
                let mut turn_end = TurnEnd::new(config.turn.options(), assistant.turn, Some(words));
                if let Some(whole_commands) = whole_commands {
                    turn_end = turn_end.knowing(whole_commands);
                }
                listen = listen.ending(turn_end);
            }
            if is_live && config.turn.ahead {
                transcribe = transcribe.passing_guesses();
            }
            // 64 * 20 ms = 1.3 s: transcription never holds up the microphone's own 10 s.
            flow.source(Queue::Wait(64), move |frames, stop| source.run(echo, frames, stop))
                // A guess, its correction, and two more questions.
                .then(listen, Queue::Wait(4))
                .then(transcribe, Queue::Wait(4))
        }
        Questions::Typed(texts) => flow.source(Queue::Wait(4), move |transcripts, stop| {
            type_in(&texts, &turns, &answers, transcripts, stop);
            Ok(())
        }),
    };
    let mut failures = 0u64;
    let failed = &mut failures;
    transcripts
        .then(converse, Queue::Wait(256)) // The model may write ahead of the voice by a long reply.
        .then(phrase, Queue::Wait(4)) // Clauses not yet spoken; an interruption throws them away.
        .then(speak, Queue::Wait(64)) // Blocks of 20 to 100 ms: the voice may be seconds ahead.
        .then(play, Queue::Wait(16))
        .run(stop, move |event| {
            let mut over = None;
            if let FlowEvent::Failed(failure) = &event
                && !failure.is_fatal
                && failure.turn.is_none_or(|turn| turn == Turn(0))
            {
                *failed += 1;
            }
            if let FlowEvent::Output(Envelope { turn, body: played, .. }) = &event {
                let _ = heard.try_send((*turn, played.clone()));
                over = Some(*turn);
            }
            if let FlowEvent::Note(note) = &event
                && on_event(VoiceEvent::Note(note))?.is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
            for turn in collector.take(event) {
                if on_event(VoiceEvent::Turn(Box::new(turn)))?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            if let Some(turn) = over {
                let _ = (answered.try_send(turn), attended.try_send(turn));
            }
            Ok(ControlFlow::Continue(()))
        })?;
    // Those of a turn are in its report.
    ensure!(failures == 0, "a stage failed outside of any turn; the log says why");
    Ok(())
}

/// About so long a voice takes to its first sound.
const VOICE_BEGINS: Duration = Duration::from_millis(100);

/// What is said where the reply would be late.
fn filler(latency: &LatencyConfig) -> Option<Filler> {
    let after = Duration::from_millis(latency.first_audio_ms).saturating_sub(VOICE_BEGINS);
    (!latency.filler.is_empty()).then(|| Filler { text: latency.filler.clone(), after })
}

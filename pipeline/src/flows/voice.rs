//! The voice assistant: which stages there are, in what order, with which queues between them. The only place that
//! knows.
//!
//! ```text
//! source ─Frame─► listen ─Utterance─► transcribe ─Transcript─► converse ─TextDelta─► phrase ─Clause─► speak ─Speech─► play
//!                                                                 ▲ │                                                  │
//!                                                           Event │ ▼ Job                                       Played │
//!                                                                 llm                                           reporter
//! ```

mod reporter;
mod speech_input;

use std::ops::ControlFlow;
use std::time::Duration;

use anyhow::{Context, ensure};
use crossbeam_channel::bounded;
use nearfield_stages::flow::{Flow, Guesses, Queue, StopSignal};
use nearfield_stages::voice::capture::Source;
use nearfield_stages::voice::converse::Converse;
use nearfield_stages::voice::pace::Pace;
use nearfield_stages::voice::phrase::{Filler, Phrase};
use nearfield_stages::voice::play::{Outlet, Play};
use nearfield_stages::voice::speak::Speak;
use nearfield_stages::voice::typed::type_in;
use nearfield_stages::voice::volume::Volume;

pub use self::reporter::VoiceEvent;
use self::reporter::{Feedback, Reporter};
use self::speech_input::{Around, SpeechInput};
use crate::config::{LatencyConfig, VoiceConfig};
use crate::load::voice::Assistant;
use crate::output::turn_report::TurnReport;

/// What a question comes from.
#[derive(Clone, Debug)]
pub enum Questions {
    /// Somebody speaks.
    Spoken(Source),
    /// Somebody has typed.
    Typed(Vec<String>),
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
    let mut flow = Flow::new().notes(notebook);
    let (turns, guesses) = (flow.turns(), Guesses::default());
    let mut failures = 0;
    let budget = Duration::from_millis(config.latency.first_audio_ms);
    let pace = Pace::within(budget);
    let (mut reporter, feedback) = Reporter::new(flow.ledger(), pace.clone(), &mut failures, on_event);
    let Feedback { heard, answers, attention_ends } = feedback;
    let Assistant { llm, speech_input, voice, toolbox, converse: options } = assistant;

    let volume = Volume::new(config.play.volume);
    let play = Play::open(outlet, turns.clone())?.at(volume.clone());
    let llm = llm.start_in(&mut flow);
    // Speech blocks and is never dropped; a queue is as long as the work that may usefully be done ahead of the slower stage behind it.
    let transcripts = match questions {
        Questions::Spoken(source) => {
            let models = speech_input.context("the assistant was loaded without the models of speech input")?;
            let (turns, guesses, toolbox, notes) = (turns.clone(), guesses.clone(), &toolbox, &notes);
            let pace = pace.clone();
            let around = Around { pace, turns, guesses, toolbox, play: &play, outlet, notes, answers, attention_ends };
            let SpeechInput { echo, listen, transcribe } = SpeechInput::open(models, config, &source, around)?;
            // 64 * 20 ms = 1.3 s: transcription never holds up the microphone's own 10 s.
            flow.source(Queue::Wait(64), move |frames, stop| source.run(echo, frames, stop))
                .then(listen, Queue::Wait(4)) // A guess, its correction, and two more questions.
                .then(transcribe, Queue::Wait(4))
        }
        Questions::Typed(texts) => {
            let turns = turns.clone();
            flow.source(Queue::Wait(4), move |transcripts, stop| {
                type_in(&texts, &turns, &answers, transcripts, stop);
                Ok(())
            })
        }
    };
    let speak = Speak::new(voice).guessing(guesses.clone()).pausing(llm.pause()).keeping(pace.clone());
    let phrase = Phrase::guessing(guesses.clone()).filling(filler(&config.latency, &pace));
    let converse = Converse::new(llm, options, toolbox, turns, heard, notes)?;
    let converse = converse.guessing(guesses).held_by(play.hold()).speaking_at(volume).keeping(pace);
    transcripts
        .then(converse, Queue::Wait(256)) // The model may write ahead of the voice by a long reply.
        .then(phrase, Queue::Wait(4)) // Clauses not yet spoken; an interruption throws them away.
        .then(speak, Queue::Wait(64)) // Blocks of 20 to 100 ms: the voice may be seconds ahead.
        .then(play, Queue::Wait(16))
        .run(stop, move |event| reporter.hear(event))?;
    // Those of a turn are in its report.
    ensure!(failures == 0, "a stage failed outside of any turn; the log says why");
    Ok(())
}

/// What is said where the reply would be late.
fn filler(latency: &LatencyConfig, pace: &Pace) -> Option<Filler> {
    (!latency.filler.is_empty()).then(|| Filler { text: latency.filler.clone(), pace: pace.clone() })
}

//! The end of a voice flow: collects what is known of each turn, passes it to the caller, and tells the stages before it what was heard
//! and which turns are over.

use std::ops::ControlFlow;

use crossbeam_channel::{Receiver, Sender, bounded};
use nearfield_stages::flow::{FlowEvent, Ledger, Turn};
use nearfield_stages::messages::{Envelope, Played};
use nearfield_stages::voice::notes::Note;
use nearfield_stages::voice::pace::Pace;

use crate::output::turn_report::{Collector, TurnReport};

/// Turns whose end a stage may not have read yet.
const WAITING: usize = 64;

/// What a voice tells.
pub enum VoiceEvent<'a> {
    /// Something is known of a turn that is under way.
    Note(&'a Note),
    /// A turn is over.
    Turn(Box<TurnReport>),
}

/// Whom a voice tells it; they may end the flow.
pub(super) type OnEvent<'a> = dyn FnMut(VoiceEvent<'_>) -> anyhow::Result<ControlFlow<()>> + 'a;

/// The way back from the end of the flow to its stages.
pub(super) struct Feedback {
    /// What was heard of each reply: for the history.
    pub heard: Receiver<(Turn, Played)>,
    /// Turns that are over: for a source that waits for the answer to its question.
    pub answers: Receiver<Turn>,
    /// The same, for the wake words.
    pub attention_ends: Receiver<Turn>,
}

/// The end of a voice flow.
pub(super) struct Reporter<'a> {
    collector: Collector,
    heard: Sender<(Turn, Played)>,
    answered: Sender<Turn>,
    attended: Sender<Turn>,
    /// Of no turn; those of a turn are in its report.
    failures: &'a mut u64,
    on_event: &'a mut OnEvent<'a>,
}

impl<'a> Reporter<'a> {
    /// One that counts failures outside of any turn in `failures`; `pace` has the budget of the first audio.
    pub fn new(ledger: Ledger, pace: Pace, failures: &'a mut u64, on_event: &'a mut OnEvent<'a>) -> (Self, Feedback) {
        let (heard, was_heard) = bounded(WAITING);
        let (answered, answers) = bounded(WAITING);
        let (attended, attention_ends) = bounded(WAITING);
        let collector = Collector::new(ledger, pace);
        let feedback = Feedback { heard: was_heard, answers, attention_ends };
        (Self { collector, heard, answered, attended, failures, on_event }, feedback)
    }

    /// Takes an event of the flow.
    ///
    /// # Errors
    /// The caller's.
    pub fn hear(&mut self, event: FlowEvent<'_, Played, Note>) -> anyhow::Result<ControlFlow<()>> {
        let mut over = None;
        match &event {
            FlowEvent::Failed(failure) if !failure.is_fatal && failure.turn.is_none_or(|turn| turn == Turn(0)) => {
                *self.failures += 1;
            }
            FlowEvent::Output(Envelope { turn, body: played, .. }) => {
                let _ = self.heard.try_send((*turn, played.clone()));
                over = Some(*turn);
            }
            FlowEvent::Note(note) => {
                if (self.on_event)(VoiceEvent::Note(note))?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            FlowEvent::Failed(_) | FlowEvent::Ended { .. } => {}
        }
        for turn in self.collector.take(event) {
            if (self.on_event)(VoiceEvent::Turn(Box::new(turn)))?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if let Some(turn) = over {
            let _ = (self.answered.try_send(turn), self.attended.try_send(turn));
        }
        Ok(ControlFlow::Continue(()))
    }
}

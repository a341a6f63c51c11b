//! What a stage is. [`crate::flow::Flow`] drives it on a thread of its own; a unit test calls [`Stage::take`] with a `Vec` instead.

use std::ops::ControlFlow;
use std::time::Instant;

use crate::flow::{Ledger, Turn, Turns};
use crate::messages::Envelope;

/// Where a stage sends what it makes. It answers [`ControlFlow::Break`] when the message's turn has been silenced or nobody
/// listens any more; the stage then leaves off.
pub type Emit<'a, Out> = dyn FnMut(Envelope<Out>) -> ControlFlow<()> + 'a;

/// One step of the pipeline: typed messages in, typed messages out, its own state, no knowledge of its neighbours.
pub trait Stage: Send {
    /// What it takes.
    type In: Send;
    /// What it makes.
    type Out: Send;

    /// The name in reports, traces and thread lists; at most 15 characters.
    fn name(&self) -> &'static str;

    /// Works on one message.
    ///
    /// # Errors
    /// What went wrong with this turn; the stage stays usable for the next.
    fn step(&mut self, input: Envelope<Self::In>, emit: &mut Emit<'_, Self::Out>) -> anyhow::Result<()>;

    /// Called after each [`step`](Self::step), once its error, if any, has been reported: whatever brings the turn to its end for
    /// the stages behind leaves here, so that all that is told of the turn is told before it is over.
    fn conclude(&mut self, _turn: Turn, _emit: &mut Emit<'_, Self::Out>) {}

    /// Its input is closed: what is still held back goes out.
    ///
    /// # Errors
    /// As [`Stage::step`].
    fn finish(&mut self, _emit: &mut Emit<'_, Self::Out>) -> anyhow::Result<()> {
        Ok(())
    }

    /// Whether messages of silenced turns still reach it (the player must learn that it is to fall silent).
    fn takes_silenced(&self) -> bool {
        false
    }

    /// When it wants to be called although no message has come (a timer that is due).
    fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// Called at [`Stage::wake_at`].
    ///
    /// # Errors
    /// As [`Stage::step`].
    fn wake(&mut self, _emit: &mut Emit<'_, Self::Out>) -> anyhow::Result<()> {
        Ok(())
    }

    /// All that a flow does with one message, for whoever calls a stage without a flow.
    ///
    /// # Errors
    /// As [`Stage::step`].
    fn take(&mut self, input: Envelope<Self::In>, emit: &mut Emit<'_, Self::Out>) -> anyhow::Result<()> {
        let turn = input.turn;
        let result = self.step(input, emit);
        self.conclude(turn, emit);
        result
    }
}

/// A step that failed: which stage, on which turn, why.
#[derive(Debug)]
pub struct Failure {
    /// The stage's name.
    pub stage: &'static str,
    /// The turn it was working on; `None` outside any turn.
    pub turn: Option<Turn>,
    /// The cause.
    pub error: anyhow::Error,
    /// The thread has panicked: nothing more will come from it, and its flow has to end.
    pub is_fatal: bool,
}

/// What the threads of one flow share: the turn counter, the ledger of times, and where failures are reported.
#[derive(Clone)]
pub struct FlowContext {
    /// The flow's turns.
    pub turns: Turns,
    /// The flow's times.
    pub ledger: Ledger,
    /// Called with each failed step; must not block for long.
    pub on_failure: std::sync::Arc<dyn Fn(Failure) + Send + Sync>,
}

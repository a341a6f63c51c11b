//! How a flow ends: when its source is at its end, when the user says so, or when one of its threads has panicked. After the last
//! two the source ends at once; what is under way has a moment to be completed, then is hurried, then given up, so that the
//! program ends within two seconds. Only writes that keep data from being lost are waited for longer.

use std::convert::Infallible;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never};
use nearfield_llm::LlmError;
use nearfield_stages::flow::Failure;
use nearfield_stages::flow::writes;
use nearfield_stages::voice::capture::StopSignal;

use crate::signals;

/// So long what is under way may take, once the flow is to end, before it is hurried.
const HURRY_AFTER: Duration = Duration::from_millis(900);
/// So long the flow may take to end before what is left of it is given up.
const GIVE_UP_AFTER: Duration = Duration::from_millis(1600);
/// How often a wait looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What is due when [`Ending::timer`] fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Whatever can be cut short, is.
    Hurry,
    /// Nothing is waited for any more.
    GiveUp,
}

/// The end of a flow, from its beginning on.
pub struct Ending {
    user: StopSignal,
    /// Dropped when the source is to end.
    source: Option<Sender<Infallible>>,
    timer: Receiver<Instant>,
    begun: Option<Instant>,
    hurried: bool,
    panicked: Option<anyhow::Error>,
}

impl Ending {
    /// Of a flow that ends when `user` is disconnected; with the signal by which its source is told.
    pub fn new(user: StopSignal) -> (Self, StopSignal) {
        let (source, stop) = bounded(0);
        let ending = Self { user, source: Some(source), timer: never(), begun: None, hurried: false, panicked: None };
        (ending, stop)
    }

    /// Disconnected when the user wants an end, until [`Ending::begin`].
    pub fn user(&self) -> StopSignal {
        self.user.clone()
    }

    /// Fires when [`Ending::due`] has to be asked.
    pub fn timer(&self) -> Receiver<Instant> {
        self.timer.clone()
    }

    /// The user wants an end.
    pub fn begin(&mut self) {
        self.user = never();
        self.source = None;
        let now = *self.begun.get_or_insert_with(Instant::now);
        self.timer = crossbeam_channel::at(now + if self.hurried { GIVE_UP_AFTER } else { HURRY_AFTER });
    }

    /// The source is to end, and what it has sent still goes its way.
    pub fn end_source(&mut self) {
        self.source = None;
    }

    /// A failure ends the flow if it is fatal. The first one is the flow's error. Gives back one that has to be told apart from that:
    /// not what a stage makes of a model whose thread has panicked.
    pub fn note(&mut self, failure: Failure) -> Option<Failure> {
        if failure.is_fatal {
            self.panicked.get_or_insert(failure.error);
            self.begin();
            return None;
        }
        let crashed =
            |e: &(dyn std::error::Error + 'static)| matches!(e.downcast_ref(), Some(LlmError::Crashed { .. }));
        (!(self.has_panicked() && failure.error.chain().any(crashed))).then_some(failure)
    }

    /// Whether a thread of the flow has panicked.
    pub fn has_panicked(&self) -> bool {
        self.panicked.is_some()
    }

    /// What is to happen now that the timer has fired; `None`: nothing yet.
    pub fn due(&mut self) -> Option<Due> {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        if !std::mem::replace(&mut self.hurried, true) {
            self.timer = crossbeam_channel::at(begun + GIVE_UP_AFTER);
            return Some(Due::Hurry);
        }
        if writes::are_under_way() && begun.elapsed() < signals::LONGEST_WRITES {
            self.timer = crossbeam_channel::after(LOOK_AGAIN);
            return None;
        }
        // Whoever asks again gets the same answer.
        self.timer = crossbeam_channel::after(Duration::ZERO);
        Some(Due::GiveUp)
    }

    /// Waits for the threads: after a request or a panic no longer than there is time. `hurry` is called when time is short; it
    /// may be called more than once. `take` gets the failures that come meanwhile.
    ///
    /// # Errors
    /// A thread has panicked.
    pub fn join(
        mut self,
        threads: Vec<JoinHandle<()>>,
        hurry: &dyn Fn(),
        take: &mut dyn FnMut(&mut Ending),
    ) -> anyhow::Result<()> {
        self.source = None;
        let mut left = threads;
        loop {
            let (ended, running): (Vec<_>, Vec<_>) = left.into_iter().partition(JoinHandle::is_finished);
            for thread in ended {
                let name = thread.thread().name().unwrap_or("a thread").to_owned();
                if thread.join().is_err() {
                    // Outside of what is caught: while it cleaned up.
                    self.panicked.get_or_insert_with(|| anyhow::anyhow!("{name} panicked while it ended"));
                }
            }
            left = running;
            take(&mut self);
            if left.is_empty() {
                break;
            }
            if self.begun.is_none() && signals::is_stopped(&self.user) {
                self.begin();
            }
            if self.timer.try_recv().is_ok() {
                match self.due() {
                    Some(Due::Hurry) => hurry(),
                    Some(Due::GiveUp) => {
                        let names: Vec<&str> = left.iter().filter_map(|thread| thread.thread().name()).collect();
                        tracing::warn!("not waited for any longer: {}", names.join(", "));
                        break;
                    }
                    None => {}
                }
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        self.panicked.map_or(Ok(()), Err)
    }
}

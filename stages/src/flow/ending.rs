//! How a flow ends: when its source is at its end, when the user says so, or when one of its threads has panicked. After the last
//! two the source ends at once; what is under way has a moment to be completed, then is hurried, then given up, so that the
//! program ends within two seconds. Only writes that keep data from being lost are waited for longer.

use std::convert::Infallible;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, never};

use crate::flow::{Failure, StopSignal, Turn, Turns, is_stopped, writes};

/// So long what is under way may take, once the flow is to end, before it is hurried.
const HURRY_AFTER: Duration = Duration::from_millis(900);
/// So long the flow may take to end before what is left of it is given up.
const GIVE_UP_AFTER: Duration = Duration::from_millis(1600);
/// As much once nobody takes what comes out: only a write that keeps data is waited for longer.
const ABANDON_AFTER: Duration = Duration::from_millis(400);
/// How often a wait looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What becomes of the turns under way when the user wants an end.
#[derive(Clone, Debug)]
pub enum AtStop {
    /// They are silenced, and the queues run dry.
    Silence(Turns),
    /// They are completed. All numbers of this counter are silenced when time is short: it is asked by work that can be cut short
    /// without costing its turn.
    Complete(Turns),
}

/// What is due when [`Ending::timer`] fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Whatever can be cut short, has been.
    Hurried,
    /// Nothing is waited for any more.
    GiveUp,
}

/// The end of a flow, from its beginning on.
pub(crate) struct Ending {
    user: StopSignal,
    /// Dropped when the source is to end.
    source: Option<Sender<Infallible>>,
    at_stop: AtStop,
    timer: Receiver<Instant>,
    begun: Option<Instant>,
    hurried: bool,
    panicked: Option<anyhow::Error>,
}

impl Ending {
    /// Of a flow that ends when `user` is disconnected, and whose source does when `source` is dropped.
    pub(crate) fn new(user: StopSignal, source: Sender<Infallible>, at_stop: AtStop) -> Self {
        Self { user, source: Some(source), at_stop, timer: never(), begun: None, hurried: false, panicked: None }
    }

    /// Disconnected when the user wants an end, until the end has begun.
    pub(crate) fn user(&self) -> StopSignal {
        self.user.clone()
    }

    /// Fires when [`Ending::due`] has to be asked.
    pub(crate) fn timer(&self) -> Receiver<Instant> {
        self.timer.clone()
    }

    /// The user, or the caller of the flow, wants an end.
    pub(crate) fn request(&mut self) {
        self.begin();
        if let AtStop::Silence(turns) = &self.at_stop {
            turns.silence_all();
        }
    }

    /// Nobody takes what comes out any more: what can be cut short is, and the rest is waited for no longer than a moment.
    pub(crate) fn abandon(&mut self) {
        self.request();
        self.hurry();
        self.hurried = true;
        let begun = *self.begun.get_or_insert_with(Instant::now);
        self.timer = crossbeam_channel::at((begun + GIVE_UP_AFTER).min(Instant::now() + ABANDON_AFTER));
    }

    fn begin(&mut self) {
        self.user = never();
        self.source = None;
        let now = *self.begun.get_or_insert_with(Instant::now);
        self.timer = crossbeam_channel::at(now + if self.hurried { GIVE_UP_AFTER } else { HURRY_AFTER });
    }

    /// Cuts short whatever can be.
    pub(crate) fn hurry(&self) {
        match &self.at_stop {
            AtStop::Silence(turns) => turns.silence_all(),
            AtStop::Complete(turns) => turns.silence_before(Turn(u64::MAX)),
        }
    }

    /// A failure ends the flow if it is fatal. The first one is the flow's error.
    pub(crate) fn note(&mut self, failure: Failure) {
        if failure.is_fatal {
            self.panicked.get_or_insert(failure.error);
            self.begin();
        }
    }

    /// Whether a thread of the flow has panicked.
    pub(crate) fn has_panicked(&self) -> bool {
        self.panicked.is_some()
    }

    /// Does what is due now that the timer has fired; `None`: nothing yet.
    pub(crate) fn due(&mut self) -> Option<Due> {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        if !std::mem::replace(&mut self.hurried, true) {
            self.hurry();
            self.timer = crossbeam_channel::at(begun + GIVE_UP_AFTER);
            return Some(Due::Hurried);
        }
        if writes::are_under_way() && begun.elapsed() < writes::LONGEST {
            self.timer = crossbeam_channel::after(LOOK_AGAIN);
            return None;
        }
        // Whoever asks again gets the same answer.
        self.timer = crossbeam_channel::after(Duration::ZERO);
        Some(Due::GiveUp)
    }

    /// Waits for the threads: after a request or a panic no longer than there is time. `take` gets what comes meanwhile.
    ///
    /// # Errors
    /// A thread has panicked.
    pub(crate) fn join(
        mut self,
        threads: Vec<JoinHandle<()>>,
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
            if self.begun.is_none() && is_stopped(&self.user) {
                self.begin();
            }
            if self.timer.try_recv().is_ok() && self.due() == Some(Due::GiveUp) {
                let names: Vec<&str> = left.iter().filter_map(|thread| thread.thread().name()).collect();
                tracing::warn!("not waited for any longer: {}", names.join(", "));
                break;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        self.panicked.map_or(Ok(()), Err)
    }
}

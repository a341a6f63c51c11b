//! Where the time of a turn went: each stage's probe, and the ledger in which the probes of a flow are gathered.
//!
//! [`crate::flow::Flow`] alone writes here; stages never measure themselves. What a stage has done is in the ledger before a message
//! of it leaves: whoever gets the last message of a turn finds the whole turn here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::flow::Turn;

/// Turns kept in a ledger that nobody takes out; older ones are forgotten.
const MAX_TURNS: usize = 64;
/// Steps kept for the trace of one turn; later ones are only counted.
const MAX_STEPS: usize = 4096;

/// One stage's part in one turn.
#[derive(Clone, Debug)]
pub struct StageTimes {
    /// The stage's name.
    pub stage: &'static str,
    /// When its first input was made.
    pub first_input: Instant,
    /// When it took up its first input.
    pub started: Instant,
    /// When its first output left, if it had any.
    pub first_output: Option<Instant>,
    /// When its last step ended.
    pub ended: Instant,
    /// Sum over its inputs of the time from birth to being taken up, each counted only while the stage was idle or the
    /// input was the first: how long work lay waiting in the queue.
    pub waited: Duration,
    /// Time in its steps, less the time it was blocked.
    pub worked: Duration,
    /// Time in which a full queue downstream held it up.
    pub blocked: Duration,
    /// Messages in, messages out, and messages dropped because their turn was over.
    pub inputs: u64,
    /// Messages out.
    pub outputs: u64,
    /// Messages dropped because their turn was silenced.
    pub dropped: u64,
    /// The steps one by one (begin, end), for the trace; bounded.
    pub steps: Vec<(Instant, Instant)>,
}

/// The stage times of a flow's recent turns, shared by its probes and its reporter.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Recent>>);

type Recent = BTreeMap<Turn, Vec<StageTimes>>;

impl Ledger {
    /// A stage's own way to write into this ledger.
    pub(crate) fn probe(&self, stage: &'static str) -> Probe {
        Probe { stage, ledger: self.clone() }
    }

    /// Takes out what is known of `turn`, in the order in which the stages began, and forgets all earlier turns.
    pub fn take(&self, turn: Turn) -> Vec<StageTimes> {
        let mut turns = self.turns();
        let later = turns.split_off(&Turn(turn.0 + 1));
        let mut taken = std::mem::replace(&mut *turns, later).remove(&turn).unwrap_or_default();
        taken.sort_by_key(|t| t.started);
        taken
    }

    fn turns(&self) -> MutexGuard<'_, Recent> {
        self.0.lock().expect("no probe panics while it holds the ledger")
    }
}

/// Writes one stage's times into the ledger.
#[derive(Debug)]
pub(crate) struct Probe {
    stage: &'static str,
    ledger: Ledger,
}

impl Probe {
    /// A message has been taken up.
    pub(crate) fn begin(&self, turn: Turn, born: Instant) -> Step<'_> {
        let begun = Instant::now();
        let mut turns = self.ledger.turns();
        while turns.len() > MAX_TURNS {
            turns.pop_first();
        }
        let stages = turns.entry(turn).or_default();
        let times = match stages.iter_mut().position(|t| t.stage == self.stage) {
            Some(i) => &mut stages[i],
            None => {
                stages.push(StageTimes {
                    stage: self.stage,
                    first_input: born,
                    started: begun,
                    first_output: None,
                    ended: begun,
                    waited: Duration::ZERO,
                    worked: Duration::ZERO,
                    blocked: Duration::ZERO,
                    inputs: 0,
                    outputs: 0,
                    dropped: 0,
                    steps: Vec::new(),
                });
                stages.last_mut().expect("just pushed")
            }
        };
        times.inputs += 1;
        Step { probe: self, turn, born, begun, recorded: begun, blocked: Duration::ZERO, place: None }
    }
}

/// A stage's work on one message, from when it is taken up. The ledger is brought up to date before each message that leaves.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    probe: &'a Probe,
    turn: Turn,
    born: Instant,
    begun: Instant,
    /// Up to when the ledger knows of it.
    recorded: Instant,
    /// How long a full queue has held it up since.
    blocked: Duration,
    /// Its place among the steps of the stage, once recorded; beyond the last for one that is only counted.
    place: Option<usize>,
}

impl Step<'_> {
    /// It was not worked on: its turn was silenced.
    pub(crate) fn dropped(self) {
        self.change(|times| times.dropped += 1);
    }

    /// A message is about to leave.
    pub(crate) fn emits(&mut self) {
        self.record();
        let now = self.recorded;
        self.change(|times| {
            times.outputs += 1;
            times.first_output.get_or_insert(now);
        });
    }

    /// The message that was about to leave has waited so long for room in the queue, and has left or not.
    pub(crate) fn emitted(&mut self, blocked: Duration, has_left: bool) {
        self.blocked += blocked;
        if !has_left {
            self.change(|times| times.outputs = times.outputs.saturating_sub(1));
        }
    }

    /// Brings the ledger up to date.
    pub(crate) fn record(&mut self) {
        let now = Instant::now();
        let worked = (now - self.recorded).saturating_sub(self.blocked);
        let (begun, blocked, mut place) = (self.begun, self.blocked, self.place);
        let waited = self.begun.saturating_duration_since(self.born);
        self.change(|times| {
            if place.is_none() {
                place = Some(times.steps.len());
                times.waited += waited;
                if times.steps.len() < MAX_STEPS {
                    times.steps.push((begun, now));
                }
            }
            if let Some(step) = place.and_then(|place| times.steps.get_mut(place)) {
                step.1 = now;
            }
            times.worked += worked;
            times.blocked += blocked;
            times.ended = now;
        });
        (self.recorded, self.blocked, self.place) = (now, Duration::ZERO, place);
    }

    /// Changes what the ledger knows of the stage's part in this turn, unless somebody has taken that out.
    fn change(&self, change: impl FnOnce(&mut StageTimes)) {
        let mut turns = self.probe.ledger.turns();
        let stages = turns.get_mut(&self.turn);
        if let Some(times) = stages.and_then(|stages| stages.iter_mut().find(|t| t.stage == self.probe.stage)) {
            change(times);
        }
    }
}

//! Where the time of a turn went: each stage's probe, and the ledger in which the probes of a flow are gathered.
//!
//! [`crate::flow::drive`] alone writes here; stages never measure themselves.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::flow::Turn;

/// Turns kept in a ledger that nobody takes out; older ones are forgotten.
const MAX_TURNS: usize = 64;
/// Steps kept for the trace of one turn; later ones are only counted.
const MAX_STEPS: usize = 4096;

/// A stage that has sent its last message has recorded its step by then.
const JUST_AFTER: Duration = Duration::from_millis(50);

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

/// What happened to one message; the unit in which `drive` reports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub turn: Turn,
    pub born: Instant,
    pub begun: Instant,
    pub first_output: Option<Instant>,
    pub ended: Instant,
    pub blocked: Duration,
    pub outputs: u64,
    pub dropped: bool,
}

/// The stage times of a flow's recent turns, shared by its probes and its reporter.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Times>);

#[derive(Debug, Default)]
struct Times {
    turns: Mutex<BTreeMap<Turn, Vec<StageTimes>>>,
    recorded: Condvar,
}

impl Ledger {
    /// A stage's own way to write into this ledger.
    pub(crate) fn probe(&self, stage: &'static str) -> Probe {
        Probe { stage, ledger: self.clone() }
    }

    /// As [`take`](Self::take), once `stage` has recorded its step: a stage does so just after its last message has left.
    pub fn take_after(&self, turn: Turn, stage: &str) -> Vec<StageTimes> {
        let has = |turns: &BTreeMap<Turn, Vec<StageTimes>>| {
            turns.get(&turn).is_some_and(|stages| stages.iter().any(|times| times.stage == stage))
        };
        let turns = self.0.turns.lock().expect("no probe panics while it holds the ledger");
        let waited = self.0.recorded.wait_timeout_while(turns, JUST_AFTER, |turns| !has(turns));
        drop(waited);
        self.take(turn)
    }

    /// Takes out what is known of `turn`, in the order in which the stages began, and forgets all earlier turns.
    pub fn take(&self, turn: Turn) -> Vec<StageTimes> {
        let mut turns = self.0.turns.lock().expect("no probe panics while it holds the ledger");
        let later = turns.split_off(&Turn(turn.0 + 1));
        let mut taken = std::mem::replace(&mut *turns, later).remove(&turn).unwrap_or_default();
        taken.sort_by_key(|t| t.started);
        taken
    }
}

/// Writes one stage's times into the ledger.
#[derive(Debug)]
pub(crate) struct Probe {
    stage: &'static str,
    ledger: Ledger,
}

impl Probe {
    pub(crate) fn record(&self, step: Step) {
        let mut turns = self.ledger.0.turns.lock().expect("no probe panics while it holds the ledger");
        while turns.len() > MAX_TURNS {
            turns.pop_first();
        }
        let stages = turns.entry(step.turn).or_default();
        let times = match stages.iter_mut().position(|t| t.stage == self.stage) {
            Some(i) => &mut stages[i],
            None => {
                stages.push(StageTimes {
                    stage: self.stage,
                    first_input: step.born,
                    started: step.begun,
                    first_output: None,
                    ended: step.ended,
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
        if step.dropped {
            times.dropped += 1;
            return;
        }
        times.waited += step.begun.saturating_duration_since(step.born);
        times.worked += (step.ended - step.begun).saturating_sub(step.blocked);
        times.blocked += step.blocked;
        times.outputs += step.outputs;
        times.first_output = times.first_output.or(step.first_output);
        times.ended = step.ended;
        if times.steps.len() < MAX_STEPS {
            times.steps.push((step.begun, step.ended));
        }
        drop(turns);
        self.ledger.0.recorded.notify_all();
    }
}

//! What a stage is, and how it is driven: one thread between two bounded channels.
//!
//! [`drive`] owns everything that the stages shall not know: threads, channels, clocks, probes, and the rule that a
//! message of a silenced turn is dropped. A panic in a stage is a [`Failure`] that ends its flow. A unit test calls [`Stage::step`]
//! with a `Vec` instead.

use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender};
use std::ops::ControlFlow;

use crate::flow::NewestSender;
use crate::flow::fault::Fault;
use crate::flow::panics;
use crate::flow::{Ledger, Probe, Step};
use crate::flow::{Turn, Turns};
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

/// What the stages of one flow share: the turn counter, the ledger of times, and where failures are reported.
#[derive(Clone)]
pub struct FlowContext {
    /// The flow's turns.
    pub turns: Turns,
    /// The flow's times.
    pub ledger: Ledger,
    /// Called with each failed step; must not block for long.
    pub on_failure: std::sync::Arc<dyn Fn(Failure) + Send + Sync>,
}

/// Where a stage's messages go, and what happens when the queue is full.
pub enum Output<T> {
    /// The stage waits.
    Waits(Sender<Envelope<T>>),
    /// The message that waits there is dropped, counted, and this one takes its place.
    KeepsNewest(NewestSender<Envelope<T>>),
}

/// Runs `stage` on a thread of its own until `input` is closed and drained; a full output makes it wait.
///
/// # Panics
/// If the system can't start a thread.
pub fn drive<S: Stage + 'static>(
    stage: S,
    input: Receiver<Envelope<S::In>>,
    output: Sender<Envelope<S::Out>>,
    flow: FlowContext,
) -> JoinHandle<()> {
    drive_into(stage, input, Output::Waits(output), flow)
}

/// Runs `stage` on a thread of its own until `input` is closed and drained.
///
/// # Panics
/// If the system can't start a thread.
pub fn drive_into<S: Stage + 'static>(
    stage: S,
    input: Receiver<Envelope<S::In>>,
    output: Output<S::Out>,
    flow: FlowContext,
) -> JoinHandle<()> {
    let name = stage.name();
    let mut driver = Driver { fault: Fault::of(name), probe: flow.ledger.probe(name), turn: None, flow, stage };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            // The queues are still open when the failure is reported: whoever finds them closed already knows why.
            if let Err(panicked) = panics::catch(name, || driver.run(&input, &output)) {
                driver.report(panicked.into(), true);
            }
        })
        .expect("the system can start a thread")
}

/// Runs `work`, which is no stage but belongs to the flow, on a thread of its own; a panic in it is reported as a stage's is.
///
/// # Panics
/// If the system can't start a thread.
pub fn spawn(name: &'static str, flow: FlowContext, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let mut fault = Fault::of(name);
    let guarded = move || {
        let run = || {
            if let Err(error) = fault.step() {
                (flow.on_failure)(Failure { stage: name, turn: None, error, is_fatal: false });
            }
            work();
        };
        if let Err(panicked) = panics::catch(name, run) {
            (flow.on_failure)(Failure { stage: name, turn: None, error: panicked.into(), is_fatal: true });
        }
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(guarded).expect("the system can start a thread")
}

/// A stage on its thread.
struct Driver<S> {
    stage: S,
    flow: FlowContext,
    probe: Probe,
    fault: Fault,
    /// What it is working on.
    turn: Option<Turn>,
}

impl<S: Stage> Driver<S> {
    fn run(&mut self, input: &Receiver<Envelope<S::In>>, output: &Output<S::Out>) {
        loop {
            let received = match self.stage.wake_at() {
                None => input.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => input.recv_deadline(at),
            };
            match received {
                Ok(envelope) => self.step(envelope, output),
                Err(RecvTimeoutError::Timeout) => {
                    let mut outlet = Outlet::new(output, &self.flow.turns, self.stage.takes_silenced());
                    if let Err(error) = self.stage.wake(&mut |e| outlet.emit(e)) {
                        self.report(error, false);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let mut outlet = Outlet::new(output, &self.flow.turns, self.stage.takes_silenced());
        if let Err(error) = self.stage.finish(&mut |e| outlet.emit(e)) {
            self.report(error, false);
        }
    }

    fn step(&mut self, envelope: Envelope<S::In>, output: &Output<S::Out>) {
        let (turn, born, begun) = (envelope.turn, envelope.born, Instant::now());
        let takes_silenced = self.stage.takes_silenced();
        let mut outlet = Outlet::new(output, &self.flow.turns, takes_silenced);
        let dropped = !takes_silenced && !self.flow.turns.is_alive(turn);
        self.turn = Some(turn);
        let result = if dropped {
            Ok(())
        } else {
            let injected = self.fault.step();
            self.stage.step(envelope, &mut |e| outlet.emit(e)).and(injected)
        };
        self.probe.record(Step {
            turn,
            born,
            begun,
            first_output: outlet.first,
            ended: Instant::now(),
            blocked: outlet.blocked,
            outputs: outlet.sent,
            dropped,
        });
        if let Err(error) = result {
            self.report(error, false);
        }
        self.turn = None;
    }

    fn report(&self, error: anyhow::Error, is_fatal: bool) {
        (self.flow.on_failure)(Failure { stage: self.stage.name(), turn: self.turn, error, is_fatal });
    }
}

/// Sends on behalf of one step, and keeps account of it.
struct Outlet<'a, T> {
    output: &'a Output<T>,
    /// `None` for a stage that speaks of silenced turns too.
    turns: Option<&'a Turns>,
    first: Option<Instant>,
    blocked: Duration,
    sent: u64,
}

impl<'a, T> Outlet<'a, T> {
    fn new(output: &'a Output<T>, turns: &'a Turns, takes_silenced: bool) -> Self {
        let turns = (!takes_silenced).then_some(turns);
        Self { output, turns, first: None, blocked: Duration::ZERO, sent: 0 }
    }

    /// Blocks while the queue is full, but not beyond the life of the turn.
    fn emit(&mut self, envelope: Envelope<T>) -> ControlFlow<()> {
        let turn = envelope.turn;
        let begun = Instant::now();
        let output = match self.output {
            Output::Waits(output) => output,
            Output::KeepsNewest(output) => {
                output.send(envelope);
                self.sent += 1;
                self.first.get_or_insert_with(Instant::now);
                return ControlFlow::Continue(());
            }
        };
        let mut pending = envelope;
        let flow = loop {
            if self.turns.is_some_and(|turns| !turns.is_alive(turn)) {
                break ControlFlow::Break(());
            }
            match output.send_timeout(pending, Duration::from_millis(20)) {
                Ok(()) => {
                    self.sent += 1;
                    break ControlFlow::Continue(());
                }
                Err(SendTimeoutError::Timeout(back)) => pending = back,
                Err(SendTimeoutError::Disconnected(_)) => break ControlFlow::Break(()),
            }
        };
        let now = Instant::now();
        self.blocked += now - begun;
        self.first.get_or_insert(now);
        flow
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;
    use std::sync::{Arc, Mutex};

    struct Double;
    impl Stage for Double {
        type In = u32;
        type Out = u32;
        fn name(&self) -> &'static str {
            "double"
        }
        fn step(&mut self, input: Envelope<u32>, emit: &mut Emit<'_, u32>) -> anyhow::Result<()> {
            anyhow::ensure!(input.body != 13, "thirteen");
            let _ = emit(Envelope::new(input.turn, input.body * 2));
            Ok(())
        }
        fn finish(&mut self, emit: &mut Emit<'_, u32>) -> anyhow::Result<()> {
            let _ = emit(Envelope::new(Turn(99), 0));
            Ok(())
        }
    }

    /// Panics at a message of 13.
    struct Fragile;
    impl Stage for Fragile {
        type In = u32;
        type Out = u32;
        fn name(&self) -> &'static str {
            "fragile"
        }
        fn step(&mut self, input: Envelope<u32>, emit: &mut Emit<'_, u32>) -> anyhow::Result<()> {
            assert_ne!(input.body, 13, "bad luck");
            let _ = emit(input);
            Ok(())
        }
    }

    fn flow(failures: &Arc<Mutex<Vec<String>>>) -> FlowContext {
        let failures = failures.clone();
        FlowContext {
            turns: Turns::default(),
            ledger: Ledger::default(),
            on_failure: Arc::new(move |f| {
                let fatal = if f.is_fatal { " fatal" } else { "" };
                failures.lock().unwrap().push(format!("{} {:?} {}{fatal}", f.stage, f.turn, f.error))
            }),
        }
    }

    #[test]
    fn closing_the_input_drains_the_stage_and_ends_it() {
        let failures = Arc::default();
        let flow = flow(&failures);
        let (tx, rx) = bounded(1);
        let (out_tx, out) = bounded(16);
        let thread = drive(Double, rx, out_tx, flow.clone());
        for n in [1, 13, 3] {
            tx.send(Envelope::new(Turn(1), n)).unwrap();
        }
        drop(tx);
        thread.join().unwrap();
        assert_eq!(out.iter().map(|e| e.body).collect::<Vec<_>>(), [2, 6, 0]);
        assert_eq!(*failures.lock().unwrap(), ["double Some(Turn(1)) thirteen"]);
        let times = flow.ledger.take(Turn(1));
        assert_eq!((times[0].inputs, times[0].outputs), (3, 2));
    }

    #[test]
    fn messages_of_a_silenced_turn_are_dropped_and_counted() {
        let failures = Arc::default();
        let flow = flow(&failures);
        let (tx, rx) = bounded(8);
        let (out_tx, out) = bounded(16);
        flow.turns.silence_before(Turn(2));
        tx.send(Envelope::new(Turn(1), 1)).unwrap();
        tx.send(Envelope::new(Turn(2), 2)).unwrap();
        drop(tx);
        drive(Double, rx, out_tx, flow.clone()).join().unwrap();
        assert_eq!(out.iter().map(|e| e.body).collect::<Vec<_>>(), [4, 0]);
        assert_eq!(flow.ledger.take(Turn(1))[0].dropped, 1);
    }

    #[test]
    fn a_full_queue_does_not_hold_a_stage_beyond_the_life_of_its_turn() {
        let failures = Arc::default();
        let flow = flow(&failures);
        let (tx, rx) = bounded(8);
        let (out_tx, out) = bounded(1);
        for n in 0..4 {
            tx.send(Envelope::new(Turn(1), n)).unwrap();
        }
        drop(tx);
        let thread = drive(Double, rx, out_tx, flow.clone());
        std::thread::sleep(Duration::from_millis(50));
        flow.turns.silence_before(Turn(2));
        std::thread::sleep(Duration::from_millis(50));
        let received: Vec<u32> = out.iter().map(|e| e.body).collect();
        thread.join().unwrap();
        assert_eq!(received, [0, 0], "the queued message and the closing one");
    }

    #[test]
    fn a_panic_in_a_stage_or_a_source_is_a_fatal_failure_that_names_it_and_what_was_complete_has_gone_on() {
        let failures: Arc<Mutex<Vec<String>>> = Arc::default();
        let flow = flow(&failures);
        let (tx, rx) = bounded(8);
        let (out_tx, out) = bounded(16);
        for n in [1, 2, 13, 3] {
            tx.send(Envelope::new(Turn(7), n)).unwrap();
        }
        let thread = drive(Fragile, rx, out_tx, flow.clone());
        assert_eq!(out.iter().map(|e| e.body).collect::<Vec<_>>(), [1, 2]);
        thread.join().unwrap();
        assert!(tx.send(Envelope::new(Turn(7), 4)).is_err(), "whoever still sends notices");
        spawn("source", flow, || panic!("no sound")).join().unwrap();
        let failures = failures.lock().unwrap();
        let starts =
            ["fragile Some(Turn(7)) fragile panicked: assertion", "source None source panicked: no sound (at "];
        for (failure, start) in failures.iter().zip(starts) {
            assert!(failure.starts_with(start) && failure.ends_with(" fatal"), "{failure}");
        }
        assert!(failures[0].contains("bad luck") && failures.len() == 2, "{failures:?}");
    }
}

//! How a stage is driven: one thread between two bounded queues.
//!
//! Here is everything that the stages shall not know: threads, channels, clocks, probes, and the rule that a message of a silenced
//! turn is dropped. A panic in a stage is a [`Failure`] that ends its flow.

use std::ops::ControlFlow;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError};

use crate::flow::fault::Fault;
use crate::flow::panics;
use crate::flow::probe::{Probe, Step};
use crate::flow::{Failure, FlowContext, Output, Stage, Turn, Turns};
use crate::messages::Envelope;

/// How often a stage that a full queue holds up looks whether its turn is over.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Runs `stage` on a thread of its own until `input` is closed and drained.
///
/// # Panics
/// If the system can't start a thread.
pub(crate) fn drive<S: Stage + 'static>(
    stage: S,
    input: Receiver<Envelope<S::In>>,
    output: Output<S::Out>,
    flow: FlowContext,
) -> JoinHandle<()> {
    let name = stage.name();
    let mut driver = Driver { fault: Fault::of(name), probe: flow.ledger.probe(name), turn: None, flow, stage };
    let span = tracing::Span::current();
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let _flow = span.entered();
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
pub(crate) fn spawn(name: &'static str, flow: FlowContext, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    let mut fault = Fault::of(name);
    let span = tracing::Span::current();
    let guarded = move || {
        let _flow = span.entered();
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

impl<S: Stage + 'static> Driver<S> {
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

    fn step(&mut self, mut envelope: Envelope<S::In>, output: &Output<S::Out>) {
        let Self { stage, flow, probe, fault, turn: current } = self;
        let turn = envelope.turn;
        let step = probe.begin(turn, envelope.born);
        let takes_silenced = stage.takes_silenced();
        if !takes_silenced && !flow.turns.is_alive(turn) {
            return step.dropped();
        }
        *current = Some(turn);
        let injected = fault.step();
        fault.garble(&mut envelope.body);
        let mut outlet = Outlet { step: Some(step), ..Outlet::new(output, &flow.turns, takes_silenced) };
        let result = stage.step(envelope, &mut |e| outlet.emit(e)).and(injected);
        outlet.record();
        if let Err(error) = result {
            (flow.on_failure)(Failure { stage: stage.name(), turn: Some(turn), error, is_fatal: false });
        }
        stage.conclude(turn, &mut |e| outlet.emit(e));
        outlet.record();
        *current = None;
    }

    fn report(&self, error: anyhow::Error, is_fatal: bool) {
        (self.flow.on_failure)(Failure { stage: self.stage.name(), turn: self.turn, error, is_fatal });
    }
}

/// Sends on behalf of a stage.
struct Outlet<'a, T> {
    output: &'a Output<T>,
    /// `None` for a stage that speaks of silenced turns too.
    turns: Option<&'a Turns>,
    /// What it belongs to; `None` where the stage was woken, or ends.
    step: Option<Step<'a>>,
}

impl<'a, T> Outlet<'a, T> {
    fn new(output: &'a Output<T>, turns: &'a Turns, takes_silenced: bool) -> Self {
        Self { output, turns: (!takes_silenced).then_some(turns), step: None }
    }

    /// Waits while the queue is full, but not beyond the life of the turn.
    fn emit(&mut self, envelope: Envelope<T>) -> ControlFlow<()> {
        if let Some(step) = &mut self.step {
            step.emits();
        }
        let begun = Instant::now();
        let sent = self.send(envelope);
        if let Some(step) = &mut self.step {
            step.emitted(begun.elapsed(), sent.is_continue());
        }
        sent
    }

    fn send(&self, envelope: Envelope<T>) -> ControlFlow<()> {
        let turn = envelope.turn;
        let mut pending = envelope;
        loop {
            if self.turns.is_some_and(|turns| !turns.is_alive(turn)) {
                return ControlFlow::Break(());
            }
            match self.output.send_timeout(pending, LOOK_AGAIN) {
                Ok(()) => return ControlFlow::Continue(()),
                Err(SendTimeoutError::Timeout(back)) => pending = back,
                Err(SendTimeoutError::Disconnected(_)) => return ControlFlow::Break(()),
            }
        }
    }

    fn record(&mut self) {
        if let Some(step) = &mut self.step {
            step.record();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use crossbeam_channel::bounded;

    use super::*;
    use crate::flow::{Emit, Ledger};

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
        let thread = drive(Double, rx, Output::Wait(out_tx), flow.clone());
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
        drive(Double, rx, Output::Wait(out_tx), flow.clone()).join().unwrap();
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
        let thread = drive(Double, rx, Output::Wait(out_tx), flow.clone());
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
        let thread = drive(Fragile, rx, Output::Wait(out_tx), flow.clone());
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

//! A flow: a source, the stages behind it in order, the queue behind each, and the threads beside them. Whoever wires one says what
//! there is; threads, cancelling, probes, failures and the end are done here.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, never, select};

use crate::flow::drive::{drive, spawn};
use crate::flow::ending::{AtStop, Due, Ending};
use crate::flow::fault::Fault;
use crate::flow::{Failure, FlowContext, Ledger, Output, Queue, Stage, StopSignal, Turns, panics};
use crate::messages::Envelope;

/// Failures that wait to be told; whoever has another one waits too (a source of nothing but corrupt pictures).
const FAILURES: usize = 256;

/// The beginning of a flow: what its threads share, and what stands beside the chain of its stages.
///
/// `N` is what its source or its stages tell besides their messages: see [`Flow::notes`].
///
/// ```
/// use std::ops::ControlFlow;
///
/// use nearfield_stages::flow::{Emit, Flow, FlowEvent, Queue, Stage};
/// use nearfield_stages::messages::Envelope;
///
/// struct Double;
///
/// impl Stage for Double {
///     type In = u32;
///     type Out = u32;
///     fn name(&self) -> &'static str {
///         "double"
///     }
///     fn step(&mut self, input: Envelope<u32>, emit: &mut Emit<'_, u32>) -> anyhow::Result<()> {
///         let _ = emit(Envelope::new(input.turn, 2 * input.body));
///         Ok(())
///     }
/// }
///
/// # fn main() -> anyhow::Result<()> {
/// let flow = Flow::new();
/// let turns = flow.turns();
/// let stop = crossbeam_channel::never(); // or one that is disconnected at Ctrl-C
/// let mut heard = Vec::new();
/// // Each queue stands behind what is named with it.
/// flow.source(Queue::Wait(4), move |out, _stop| {
///     for n in 1..=3 {
///         if out.send(Envelope::new(turns.begin(), n)).is_break() {
///             break;
///         }
///     }
///     Ok(())
/// })
/// .then(Double, Queue::Wait(4))
/// .then(Double, Queue::Wait(4))
/// .run(&stop, |event| {
///     match event {
///         FlowEvent::Output(message) => heard.push(message.body),
///         FlowEvent::Failed(failure) => eprintln!("{}: {:#}", failure.stage, failure.error),
///         FlowEvent::Ended { .. } => {}
///     }
///     Ok(ControlFlow::Continue(()))
/// })?;
/// assert_eq!(heard, [4, 8, 12]);
/// # Ok(())
/// # }
/// ```
pub struct Flow<N = Infallible> {
    context: FlowContext,
    at_stop: AtStop,
    failures: Receiver<Failure>,
    notes: Receiver<N>,
    /// Those that run already.
    threads: Vec<JoinHandle<()>>,
    /// Those that are started when the flow runs.
    starts: Vec<Start>,
    /// Dropped when the source is to end.
    source: Sender<Infallible>,
    source_stop: StopSignal,
}

type Start = Box<dyn FnOnce() -> JoinHandle<()>>;

/// What the caller of a flow is told.
#[derive(Debug)]
pub enum FlowEvent<'a, T, N = Infallible> {
    /// A message has come out of the last stage. All that was told of its turn before it left has been heard.
    Output(Envelope<T>),
    /// A note: see [`Flow::notes`].
    Note(N),
    /// A step has failed, or a thread has panicked; the latter ends the flow, whose error it is.
    Failed(&'a Failure),
    /// Nothing more comes out of the last stage. What feeds a branch is to be let go, since the flow waits for its branches now.
    Ended {
        /// Whether a thread has panicked.
        panicked: bool,
    },
}

impl Flow {
    /// Of nothing yet. When it is stopped, its turns are silenced.
    #[expect(clippy::new_without_default, reason = "a flow of nothing is no value that anybody wants")]
    pub fn new() -> Self {
        let (sender, failures) = bounded(FAILURES);
        let turns = Turns::default();
        let context = FlowContext {
            turns: turns.clone(),
            ledger: Ledger::default(),
            on_failure: Arc::new(move |failure| {
                let _ = sender.send(failure);
            }),
        };
        let (source, source_stop) = bounded(0);
        let (threads, starts) = (Vec::new(), Vec::new());
        Self {
            context,
            at_stop: AtStop::Silence(turns),
            failures,
            notes: never(),
            threads,
            starts,
            source,
            source_stop,
        }
    }

    /// Has what comes out of `notes` told as [`FlowEvent::Note`]: what a stage or the source has to tell besides its messages.
    pub fn notes<N>(self, notes: Receiver<N>) -> Flow<N> {
        let Self { context, at_stop, failures, threads, starts, source, source_stop, .. } = self;
        Flow { context, at_stop, failures, notes, threads, starts, source, source_stop }
    }
}

impl<N> Flow<N> {
    /// Its turns.
    pub fn turns(&self) -> Turns {
        self.context.turns.clone()
    }

    /// Where the time of its turns goes.
    pub fn ledger(&self) -> Ledger {
        self.context.ledger.clone()
    }

    /// What its threads share: for threads that are started by others, and handed over with [`adopt`](Self::adopt).
    pub fn context(&self) -> &FlowContext {
        &self.context
    }

    /// Disconnected when its source is to end.
    pub fn source_stop(&self) -> StopSignal {
        self.source_stop.clone()
    }

    /// What becomes of its turns when it is stopped.
    pub fn at_stop(mut self, at_stop: AtStop) -> Self {
        self.at_stop = at_stop;
        self
    }

    /// Waits for this thread too when it ends: the language model's.
    pub fn adopt(&mut self, thread: JoinHandle<()>) {
        self.threads.push(thread);
    }

    /// A stage beside the chain, with a queue of its own: whoever has the other end of `input` feeds it. What it makes goes nowhere.
    pub fn branch<S: Stage + 'static>(&mut self, stage: S, input: Receiver<Envelope<S::In>>) {
        let (nothing, _) = Queue::Wait(1).open();
        self.start(move |flow| drive(stage, input, nothing, flow));
    }

    /// The source, on a thread of its own, and the queue behind it. It runs until it is at its end, its stop signal is
    /// disconnected, or nobody receives any more; its error is the flow's, once all that it has sent has gone its way.
    pub fn source<T: Send + 'static>(
        mut self,
        queue: Queue,
        run: impl FnOnce(&Output<T>, &StopSignal) -> anyhow::Result<()> + Send + 'static,
    ) -> Chain<T, N> {
        let (output, tail) = queue.open();
        let (ended, source_result) = bounded(1);
        let stop = self.source_stop();
        self.start(move |flow| {
            spawn("source", flow, move || {
                let _ = ended.send(run(&output, &stop));
            })
        });
        Chain { flow: self, tail, source_result }
    }

    fn start(&mut self, start: impl FnOnce(FlowContext) -> JoinHandle<()> + 'static) {
        let context = self.context.clone();
        self.starts.push(Box::new(move || start(context)));
    }
}

/// A flow up to its last stage, which makes `T`s.
pub struct Chain<T, N = Infallible> {
    flow: Flow<N>,
    tail: Receiver<Envelope<T>>,
    source_result: Receiver<anyhow::Result<()>>,
}

impl<T: Send + 'static, N> Chain<T, N> {
    /// The next stage, on a thread of its own, and the queue behind it.
    pub fn then<S: Stage<In = T> + 'static>(self, stage: S, queue: Queue) -> Chain<S::Out, N> {
        let Self { mut flow, tail: input, source_result } = self;
        let (output, tail) = queue.open();
        flow.start(move |context| drive(stage, input, output, context));
        Chain { flow, tail, source_result }
    }

    /// Runs the flow on this thread and those it starts, until its source is at its end and all that came of it has been told;
    /// or until `stop` is disconnected, a thread panics, or `on_event` wants no more (it answers [`ControlFlow::Break`]): then
    /// it ends within two seconds.
    ///
    /// # Errors
    /// A thread, or `on_event`, has panicked: which one, and where. `on_event` failed. The source failed. What was complete by then has been
    /// told, unless it was `on_event` that failed.
    ///
    /// # Panics
    /// If the system can't start a thread.
    pub fn run<'a>(
        self,
        stop: &StopSignal,
        on_event: impl FnMut(FlowEvent<'_, T, N>) -> anyhow::Result<ControlFlow<()>> + 'a,
    ) -> anyhow::Result<()> {
        let Self { flow, tail, source_result } = self;
        let Flow { context, at_stop, failures, notes, mut threads, starts, source, source_stop } = flow;
        let ending = Ending::new(stop.clone(), source, at_stop);
        threads.extend(starts.into_iter().map(|start| start()));
        drop((context, source_stop));
        let reporter = Reporter { on_event: Box::new(on_event), fault: Fault::of(REPORTER) };
        let mut running = Running { reporter, failures, notes, ending };
        let heard = running.until_the_end_of(&tail);
        drop(tail);
        let panicked = running.ending.has_panicked();
        let heard =
            heard.and_then(|()| running.rest()).and_then(|()| running.tell(FlowEvent::Ended { panicked }).map(drop));
        let Running { mut reporter, failures, notes, mut ending } = running;
        if heard.is_err() {
            // What is still under way finds nobody who listens.
            drop((reporter, failures, notes));
            let panicked = ending.has_panicked();
            ending.abandon();
            let joined = ending.join(threads, &mut |_| {});
            return if panicked { joined.and(heard) } else { heard };
        }
        let mut outcome = Ok(());
        // A reporter that has failed is told no more.
        let mut tell = |event: FlowEvent<'_, T, N>| {
            if outcome.is_ok() {
                outcome = reporter.hear(event).map(drop);
            }
        };
        let joined = ending.join(threads, &mut |ending| {
            notes.try_iter().for_each(|note| tell(FlowEvent::Note(note)));
            for failure in failures.try_iter() {
                tell(FlowEvent::Failed(&failure));
                ending.note(failure);
            }
        });
        joined.and(outcome)?;
        source_result.try_recv().unwrap_or(Ok(()))
    }
}

/// The caller of a flow, as errors name it.
const REPORTER: &str = "reporter";

/// The caller of a flow, as the flow sees it.
type OnEvent<'a, T, N> = dyn FnMut(FlowEvent<'_, T, N>) -> anyhow::Result<ControlFlow<()>> + 'a;

/// The caller of a flow, on its thread.
struct Reporter<'a, T, N> {
    on_event: Box<OnEvent<'a, T, N>>,
    fault: Fault,
}

impl<T: 'static, N> Reporter<'_, T, N> {
    /// Passes an event on. After an error it is not called again: a panic may have left anything half done.
    fn hear(&mut self, mut event: FlowEvent<'_, T, N>) -> anyhow::Result<ControlFlow<()>> {
        let Self { on_event, fault } = self;
        panics::catch(REPORTER, || {
            let mut injected = Ok(());
            if let FlowEvent::Output(message) = &mut event {
                injected = fault.step();
                fault.garble(&mut message.body);
            }
            on_event(event).and_then(|told| injected.map(|()| told))
        })?
    }
}

/// A running flow: what its caller is told, and how it ends.
struct Running<'a, T, N> {
    reporter: Reporter<'a, T, N>,
    failures: Receiver<Failure>,
    notes: Receiver<N>,
    ending: Ending,
}

impl<T: 'static, N> Running<'_, T, N> {
    fn until_the_end_of(&mut self, tail: &Receiver<Envelope<T>>) -> anyhow::Result<()> {
        loop {
            let (user, timer) = (self.ending.user(), self.ending.timer());
            select! {
                recv(user) -> _ => self.ending.request(),
                recv(timer) -> _ => {
                    if self.ending.due() == Some(Due::GiveUp) {
                        return Ok(());
                    }
                }
                recv(self.failures) -> failure => match failure {
                    Ok(failure) => self.failed(failure)?,
                    Err(_) => self.failures = never(),
                },
                recv(self.notes) -> note => match note {
                    Ok(note) => self.tell(FlowEvent::Note(note))?,
                    Err(_) => self.notes = never(),
                },
                recv(tail) -> output => {
                    let Ok(output) = output else { return Ok(()) };
                    // Whatever was told of this turn was told before its output left.
                    self.rest()?;
                    self.tell(FlowEvent::Output(output))?;
                }
            }
        }
    }

    /// Tells what waits to be told.
    fn rest(&mut self) -> anyhow::Result<()> {
        for _ in 0..self.notes.len() {
            let Ok(note) = self.notes.try_recv() else { break };
            self.tell(FlowEvent::Note(note))?;
        }
        for _ in 0..self.failures.len() {
            let Ok(failure) = self.failures.try_recv() else { break };
            self.failed(failure)?;
        }
        Ok(())
    }

    fn failed(&mut self, failure: Failure) -> anyhow::Result<()> {
        let told = self.tell(FlowEvent::Failed(&failure));
        self.ending.note(failure);
        told
    }

    fn tell(&mut self, event: FlowEvent<'_, T, N>) -> anyhow::Result<()> {
        if self.reporter.hear(event)?.is_break() {
            self.ending.request();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

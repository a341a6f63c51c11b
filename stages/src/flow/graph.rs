//! A flow: a source, the stages behind it in order, the queue behind each, and the threads beside them. Whoever wires one says what
//! there is; threads, cancelling, probes, failures and the end are done here.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded, never, select};

use crate::flow::drive::{drive, spawn};
use crate::flow::ending::{AtStop, Due, Ending};
use crate::flow::{Failure, FlowContext, Ledger, Output, Queue, Stage, StopSignal, Turns};
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

/// What whoever runs a flow hears of it.
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
    /// A thread has panicked: which one, and where. `on_event` failed. The source failed. What was complete by then has been
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
        let mut running = Running { on_event: Box::new(on_event), failures, notes, ending };
        let heard = running.until_the_end_of(&tail);
        drop(tail);
        if heard.is_err() {
            // What is still under way finds nobody who listens, and has no more time than after a request to end.
            let Running { on_event, failures, notes, mut ending } = running;
            drop((on_event, failures, notes));
            ending.hurry();
            ending.request();
            let _ = ending.join(threads, &mut |_| {});
            return heard;
        }
        let panicked = running.ending.has_panicked();
        let mut outcome = running.rest().and_then(|()| running.tell(FlowEvent::Ended { panicked }));
        let Running { mut on_event, failures, notes, ending } = running;
        let mut tell = |event: FlowEvent<'_, T, N>| {
            let answer = on_event(event).map(drop);
            if outcome.is_ok() {
                outcome = answer;
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

/// Whoever runs a flow, as the flow sees them.
type OnEvent<'a, T, N> = dyn FnMut(FlowEvent<'_, T, N>) -> anyhow::Result<ControlFlow<()>> + 'a;

/// A running flow: what its caller hears of, and how it ends.
struct Running<'a, T, N> {
    on_event: Box<OnEvent<'a, T, N>>,
    failures: Receiver<Failure>,
    notes: Receiver<N>,
    ending: Ending,
}

impl<T, N> Running<'_, T, N> {
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
        if (self.on_event)(event)?.is_break() {
            self.ending.request();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::flow::{Dropped, Emit, Turn};

    /// What a stage does at the number 2.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum AtTwo {
        Nothing,
        Panic,
        Fail,
        Stall,
    }

    /// Lets numbers through.
    struct Pass(&'static str, AtTwo, Option<u32>);

    impl Stage for Pass {
        type In = u32;
        type Out = u32;
        fn name(&self) -> &'static str {
            self.0
        }
        fn step(&mut self, input: Envelope<u32>, _emit: &mut Emit<'_, u32>) -> anyhow::Result<()> {
            self.2 = Some(input.body);
            match self.1 {
                AtTwo::Panic if input.body == 2 => panic!("bad luck"),
                AtTwo::Fail if input.body == 2 => anyhow::bail!("two"),
                AtTwo::Stall if input.body == 2 => std::thread::sleep(Duration::from_secs(3600)),
                _ => {}
            }
            Ok(())
        }
        fn conclude(&mut self, turn: Turn, emit: &mut Emit<'_, u32>) {
            let _ = emit(Envelope::new(turn, self.2.take().unwrap()));
        }
    }

    const NAMES: [&str; 3] = ["first", "second", "third"];

    /// What a flow of three stages tells, and how it ends; `which` of them, of the source or of a branch does something at 2.
    fn run(which: &str, what: AtTwo, stop: &StopSignal) -> (Vec<String>, anyhow::Result<()>) {
        let does = |name| if name == which { what } else { AtTwo::Nothing };
        let mut flow = Flow::new();
        let (to_branch, branch_input) = bounded(4);
        flow.branch(Pass("branch", does("branch"), None), branch_input);
        let (turns, ledger, fails) = (flow.turns(), flow.ledger(), does("source") == AtTwo::Panic);
        let mut chain = flow.source(Queue::Wait(1), move |out, stop| {
            for n in 1..=4 {
                assert!(n != 2 || !fails, "bad luck");
                if crate::flow::is_stopped(stop) || out.send(Envelope::new(turns.begin(), n)).is_break() {
                    break;
                }
            }
            Ok(())
        });
        for name in NAMES {
            chain = chain.then(Pass(name, does(name), None), Queue::Wait(1));
        }
        let (mut told, mut to_branch) = (Vec::new(), Some(to_branch));
        let ended = chain.run(stop, |event| {
            match event {
                FlowEvent::Output(message) => {
                    let stages: Vec<&str> = ledger.take(message.turn).iter().map(|times| times.stage).collect();
                    assert_eq!(stages, NAMES, "what leaves last finds the whole turn in the ledger");
                    told.push(message.body.to_string());
                    if let Some(to_branch) = &to_branch {
                        let _ = to_branch.send(message);
                    }
                }
                FlowEvent::Failed(failure) => told.push(format!("{} fails: {}", failure.stage, failure.is_fatal)),
                FlowEvent::Ended { panicked } => {
                    to_branch = None;
                    told.push(format!("panicked: {panicked}"));
                }
            }
            Ok(ControlFlow::Continue(()))
        });
        (told, ended)
    }

    #[test]
    fn a_panic_anywhere_ends_the_flow_with_an_error_that_names_the_stage_and_what_was_complete_is_told() {
        for name in ["source", "first", "second", "third"] {
            let begun = Instant::now();
            let (told, ended) = run(name, AtTwo::Panic, &never());
            let error = ended.unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name} panicked: bad luck (at ")), "{error}");
            assert!(told.contains(&format!("{name} fails: true")), "{told:?}");
            assert_eq!(told.iter().filter(|told| told.len() == 1).collect::<Vec<_>>(), ["1"], "{name}");
            assert_eq!(told.last().unwrap(), "panicked: true", "{name}");
            assert!(begun.elapsed() < Duration::from_secs(2), "{name}");
        }
        // A branch that has panicked holds up nobody.
        let (told, ended) = run("branch", AtTwo::Panic, &never());
        assert!(ended.unwrap_err().to_string().starts_with("branch panicked: bad luck (at "));
        assert!(told.contains(&"branch fails: true".to_owned()) && told.contains(&"2".to_owned()), "{told:?}");
    }

    #[test]
    fn a_step_that_fails_is_told_before_its_turn_is_over_and_the_next_turns_go_on() {
        for name in NAMES {
            let (told, ended) = run(name, AtTwo::Fail, &never());
            ended.unwrap();
            let failed = format!("{name} fails: false");
            let place = |what: &str| told.iter().position(|told| told == what).unwrap();
            assert!(place(&failed) < place("2"), "{told:?}");
            assert_eq!(told.iter().filter(|told| told.len() == 1).count(), 4, "{told:?}");
            assert_eq!(told.last().unwrap(), "panicked: false");
        }
    }

    #[test]
    fn a_stage_that_stalls_is_not_waited_for_longer_than_two_seconds_after_a_stop() {
        let (keep, stop) = bounded(0);
        let ender = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            drop(keep);
        });
        let begun = Instant::now();
        let (told, ended) = run("second", AtTwo::Stall, &stop);
        ended.unwrap();
        assert_eq!(told, ["1", "panicked: false"]);
        assert!((1600..2500).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
        ender.join().unwrap();
    }

    #[test]
    fn whoever_has_heard_enough_ends_the_source_and_whose_hearing_fails_ends_the_flow_with_that_error() {
        let endless = || {
            let flow = Flow::new();
            let turns = flow.turns();
            flow.source(Queue::Wait(1), move |out, stop| {
                while !crate::flow::is_stopped(stop) && out.send(Envelope::new(turns.begin(), 1)).is_continue() {}
                Ok(())
            })
            .then(Pass("first", AtTwo::Nothing, None), Queue::Wait(1))
        };
        endless().run(&never(), |_| Ok(ControlFlow::Break(()))).unwrap();
        let error = endless().run(&never(), |_| anyhow::bail!("the disk is full")).unwrap_err();
        assert_eq!(error.to_string(), "the disk is full");
    }

    #[test]
    fn notes_are_told_before_the_output_that_left_after_them_and_a_failed_source_after_all_that_it_has_sent() {
        let (notes, notebook) = bounded(4);
        let flow = Flow::new().notes(notebook);
        let told = Mutex::new(Vec::new());
        let ended = flow
            .source(Queue::Newest(Dropped::default()), move |out, _| {
                notes.send("a note")?;
                let _ = out.send(Envelope::new(Turn(1), 1));
                anyhow::bail!("unplugged")
            })
            .then(Pass("first", AtTwo::Nothing, None), Queue::Wait(1))
            .run(&never(), |event| {
                told.lock().unwrap().push(format!("{event:.12?}"));
                Ok(ControlFlow::Continue(()))
            });
        assert_eq!(ended.unwrap_err().to_string(), "unplugged");
        let told = told.into_inner().unwrap();
        assert!(told[0].starts_with("Note") && told[1].starts_with("Output") && told.len() == 3, "{told:?}");
    }

    #[test]
    fn work_that_is_to_be_completed_is_hurried_by_its_own_counter_and_no_turn_is_silenced() {
        let (keep, stop) = bounded(0);
        let hurried = Turns::default();
        let flow = Flow::new().at_stop(AtStop::Complete(hurried.clone()));
        let (turns, alive) = (flow.turns(), flow.turns());
        let mut heard = 0;
        let begun = Instant::now();
        flow.source(Queue::Wait(1), move |out, stop| {
            let cancel = hurried.cancel_of(turns.begin());
            drop(keep);
            let _ = stop.recv();
            while !cancel.is_cancelled() {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = out.send(Envelope::new(Turn(1), 1));
            Ok(())
        })
        .then(Pass("first", AtTwo::Nothing, None), Queue::Wait(1))
        .run(&stop, |event| {
            heard += usize::from(matches!(event, FlowEvent::Output(_)));
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        assert!(heard == 1 && alive.is_alive(Turn(1)));
        assert!((850..1500).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    }
}

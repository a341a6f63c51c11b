//! The one thread that runs the language model, for every flow: weights shared, a session (KV cache) for each.
//!
//! A flow submits a [`Job`] (a prompt to be continued) and reads [`Event`]s. Between two tokens, and between two blocks of
//! a prefill, the thread looks whether a more urgent job has come; the lower one waits and later goes on from its own
//! cache. Voices in other programs of ours go before as well ([`VoicePriority`]). A flow can also ask for a prompt to be kept warm, which is done when nothing else is to do.
//!
//! A panic on the thread ends no caller: every job and question gets [`LlmError::Crashed`], now and later, and a flow that has
//! started the thread ([`LlmThread::start_in`]) ends as if a stage had panicked.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use nearfield_llm::{
    Finish, GenerateOptions, Generation, Llm, LlmError, Prefill, Sampler, SamplerOptions, Session, SessionOptions,
    TokenId,
};
use std::ops::ControlFlow;

use crate::flow::fault::Fault;
use crate::flow::panics;
use crate::flow::{Failure, FlowContext};
use crate::voice_priority::VoicePriority;

/// How often one who lets a voice in another program pass looks whether it has passed.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Jobs waiting at the thread; a flow has one or two under way.
const QUEUE: usize = 16;
/// Events beyond one a token: prefilled, done and a spare.
const EXTRA_EVENTS: usize = 4;
/// The thread's name, also in failures.
const NAME: &str = "llm";

/// How urgent a flow is: somebody waits for a voice, somebody may look at a caption, nobody watches a report being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A summary of sensor readings.
    Report,
    /// A line about a picture.
    Caption,
    /// Somebody was asked and waits for the answer.
    Voice,
}

/// A session that lives on the model's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(u64);

/// A prompt to be continued.
pub struct Job {
    /// In which session; the longest prefix that its cache holds is reused.
    pub session: SessionId,
    /// The whole prompt.
    pub prompt: Vec<TokenId>,
    /// How tokens are chosen.
    pub sampler: SamplerOptions,
    /// When to end.
    pub options: GenerateOptions,
    /// Whether the answer is still wanted; asked between two tokens.
    pub wanted: Box<dyn Fn() -> bool + Send>,
}

/// What a prompt may bring besides its tokens.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// Soft tokens: `[n, d_model]`, one row for each [`TokenId::EMBEDDING`] in the prompt, in order. Rows that the cache holds at
    /// the same place are reused like tokens.
    pub rows: Vec<f32>,
    /// Instead of writing, tell the logits of these tokens after the prompt.
    pub choices: Vec<TokenId>,
}

/// What a job's owner hears of it, in this order: `Prefilled`, any number of `Text` (or one `Logits`), `Done`; or `Failed` at
/// any point.
#[derive(Debug)]
pub enum Event {
    /// The prompt stands in the cache.
    Prefilled(Prefill),
    /// More text; never half a character.
    Text(String),
    /// The logits that were asked for ([`Extras::choices`]).
    Logits(Vec<f32>),
    /// The end.
    Done {
        /// Why it ended.
        finish: Finish,
        /// How many tokens were generated.
        generated: usize,
        /// How many of these had been guessed from the prompt and cost no pass of their own.
        drafted: usize,
    },
    /// The end, for a bad reason.
    Failed(LlmError),
}

enum Command {
    Open {
        urgency: Urgency,
        options: SessionOptions,
        moving: Option<usize>,
        reply: Sender<Result<SessionId, LlmError>>,
    },
    Run {
        job: Box<Job>,
        extras: Extras,
        events: Sender<Event>,
    },
    Warm {
        session: SessionId,
        prompt: Vec<TokenId>,
    },
    Forget {
        session: SessionId,
    },
    Save {
        session: SessionId,
        path: PathBuf,
        note: Vec<u8>,
        reply: Sender<Result<(), LlmError>>,
    },
    Restore {
        session: SessionId,
        path: PathBuf,
        reply: Sender<Result<Vec<u8>, LlmError>>,
    },
}

/// A handle on the thread; the thread ends when the last handle is dropped.
#[derive(Clone)]
pub struct LlmThread {
    commands: Sender<Command>,
    llm: Arc<Llm>,
}

impl LlmThread {
    /// Starts the thread over `llm`.
    ///
    /// # Panics
    /// If the system can't start a thread.
    pub fn start(llm: Arc<Llm>) -> (Self, JoinHandle<()>) {
        Self::start_beside_others(llm, None)
    }

    /// Starts the thread over `llm`, which lets voices in other programs pass, or has others let its own pass.
    ///
    /// # Panics
    /// If the system can't start a thread.
    pub fn start_beside_others(llm: Arc<Llm>, way: Option<VoicePriority>) -> (Self, JoinHandle<()>) {
        Self::begin(llm, way, |_| {})
    }

    /// As [`start_beside_others`](Self::start_beside_others), for a flow, which has to end when the thread panics.
    ///
    /// # Panics
    /// If the system can't start a thread.
    pub fn start_in(flow: &FlowContext, llm: Arc<Llm>, way: Option<VoicePriority>) -> (Self, JoinHandle<()>) {
        let on_failure = flow.on_failure.clone();
        Self::begin(llm, way, move |panicked| {
            on_failure(Failure { stage: NAME, turn: None, error: panicked.into(), is_fatal: true });
        })
    }

    fn begin(
        llm: Arc<Llm>,
        way: Option<VoicePriority>,
        on_panic: impl FnOnce(panics::Panicked) + Send + 'static,
    ) -> (Self, JoinHandle<()>) {
        let (commands, inbox) = bounded(QUEUE);
        let weights = llm.clone();
        let thread = std::thread::Builder::new()
            .name(NAME.to_owned())
            .spawn(move || {
                let (sessions, jobs, fault) = (HashMap::new(), Vec::new(), Fault::of(NAME));
                let mut scheduler = Scheduler { llm: weights, inbox, way, sessions, jobs, warm: None, next: 0, fault };
                if let Err(panicked) = panics::catch(NAME, || scheduler.run()) {
                    let what = panicked.to_string();
                    // The flow hears of it before the job's owner does, who reports an error of one turn.
                    on_panic(panicked);
                    scheduler.refuse_all(&what);
                }
            })
            .expect("the system can start a thread");
        (Self { commands, llm }, thread)
    }

    /// The weights: for their tokenizer and template.
    pub fn llm(&self) -> &Arc<Llm> {
        &self.llm
    }

    /// Opens a session for a flow.
    ///
    /// # Errors
    /// If its cache can't be had.
    pub fn open(&self, urgency: Urgency, options: SessionOptions) -> Result<SessionId, LlmError> {
        self.ask(|reply| Command::Open { urgency, options, moving: None, reply })
    }

    /// Opens a session whose prompts may move what the cache holds elsewhere, from `least` tokens in a row: see
    /// [`Session::prompt_moving`].
    ///
    /// # Errors
    /// If its cache can't be had.
    pub fn open_moving(&self, urgency: Urgency, options: SessionOptions, least: usize) -> Result<SessionId, LlmError> {
        self.ask(|reply| Command::Open { urgency, options, moving: Some(least), reply })
    }

    /// Writes a session to a file, with a note that [`restore`](Self::restore) gives back, between two jobs.
    ///
    /// # Errors
    /// See [`Session::save`].
    pub fn save(&self, session: SessionId, path: &Path, note: Vec<u8>) -> Result<(), LlmError> {
        self.ask(|reply| Command::Save { session, path: path.to_owned(), note, reply })
    }

    /// Fills a session from a file and answers its note.
    ///
    /// # Errors
    /// See [`Session::restore`]; the session is then empty.
    pub fn restore(&self, session: SessionId, path: &Path) -> Result<Vec<u8>, LlmError> {
        self.ask(|reply| Command::Restore { session, path: path.to_owned(), reply })
    }

    fn ask<T>(&self, command: impl FnOnce(Sender<Result<T, LlmError>>) -> Command) -> Result<T, LlmError> {
        let (reply, answer) = bounded(1);
        let _ = self.send(command(reply));
        answer.recv().unwrap_or_else(|_| Err(gone()))
    }

    /// Submits a job. The events never hold up the model: there is room for all of them.
    pub fn run(&self, job: Job) -> Receiver<Event> {
        self.run_with(job, Extras::default())
    }

    /// Submits a job whose prompt has soft tokens, or that only asks for logits.
    pub fn run_with(&self, job: Job, extras: Extras) -> Receiver<Event> {
        let (events, receiver) = bounded(job.options.max_tokens + EXTRA_EVENTS);
        if !self.send(Command::Run { job: Box::new(job), extras, events: events.clone() }) {
            let _ = events.try_send(Event::Failed(gone()));
        }
        receiver
    }

    /// Asks that `prompt` stand in the session's cache when next there is time; a job in the same session takes its place.
    pub fn warm(&self, session: SessionId, prompt: Vec<TokenId>) {
        let _ = self.send(Command::Warm { session, prompt });
    }

    /// Empties a session's cache: for measuring what it is worth.
    pub fn forget(&self, session: SessionId) {
        let _ = self.send(Command::Forget { session });
    }

    /// Answers whether there is a thread that takes it.
    fn send(&self, command: Command) -> bool {
        self.commands.send(command).is_ok()
    }
}

/// The thread has ended though a handle is left, which nothing in it does.
fn gone() -> LlmError {
    LlmError::Crashed { what: "its thread has ended".to_owned() }
}

struct SessionSlot {
    urgency: Urgency,
    session: Session,
    /// The shortest run of tokens that is moved within the cache; `None` where prompts are to be exact.
    moving: Option<usize>,
    /// The soft tokens that the session holds, row after row: its own tokens only say that there are some.
    rows: Vec<f32>,
}

impl SessionSlot {
    fn prompt(
        &mut self,
        tokens: &[TokenId],
        rows: &[f32],
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Prefill, LlmError> {
        match self.moving {
            _ if !(rows.is_empty() && self.rows.is_empty()) => {
                read_soft_prompt(&mut self.session, &mut self.rows, tokens, rows, go_on)
            }
            Some(least) => self.session.prompt_moving(tokens, least, go_on),
            None => self.session.prompt(tokens, go_on),
        }
    }
}

struct Running {
    job: Job,
    extras: Extras,
    events: Sender<Event>,
    urgency: Urgency,
    /// Figures of the first prefill call; later calls after a suspension only finish it.
    prefill: Option<Prefill>,
    writing: Option<(Generation, Sampler)>,
}

struct Scheduler {
    llm: Arc<Llm>,
    inbox: Receiver<Command>,
    way: Option<VoicePriority>,
    sessions: HashMap<SessionId, SessionSlot>,
    /// In order of arrival.
    jobs: Vec<Running>,
    warm: Option<(SessionId, Vec<TokenId>)>,
    next: u64,
    fault: Fault,
}

impl Scheduler {
    fn run(&mut self) {
        loop {
            while let Ok(command) = self.inbox.try_recv() {
                self.obey(command);
            }
            let urgent = (0..self.jobs.len()).max_by_key(|&i| (self.jobs[i].urgency, std::cmp::Reverse(i)));
            let is_voice = urgent.is_some_and(|i| self.jobs[i].urgency == Urgency::Voice);
            if let Some(way) = &mut self.way {
                way.hold(is_voice);
                if urgent.is_some() && !is_voice && way.is_taken() {
                    self.yield_to_voice();
                    continue;
                }
            }
            if let Some(i) = urgent {
                if self.step(i) {
                    self.jobs.remove(i);
                }
            } else if let Some((id, prompt)) = self.warm.take() {
                self.keep_warm(id, prompt);
            } else {
                match self.inbox.recv() {
                    Ok(command) => self.obey(command),
                    Err(_) => return,
                }
            }
        }
    }

    /// After a panic: the jobs at hand and all that comes fail, until the last handle is dropped.
    fn refuse_all(&mut self, what: &str) {
        let crashed = || LlmError::Crashed { what: what.to_owned() };
        // There is room for an event of every kind; but whoever is in this state shall not wait for anybody.
        self.jobs.drain(..).for_each(|running| drop(running.events.try_send(Event::Failed(crashed()))));
        for command in &self.inbox {
            match command {
                Command::Open { reply, .. } => drop(reply.try_send(Err(crashed()))),
                Command::Run { events, .. } => drop(events.try_send(Event::Failed(crashed()))),
                Command::Save { reply, .. } => drop(reply.try_send(Err(crashed()))),
                Command::Restore { reply, .. } => drop(reply.try_send(Err(crashed()))),
                Command::Warm { .. } | Command::Forget { .. } => {}
            }
        }
    }

    /// Waits a little, but not longer than until there is something to obey; gives up jobs that nobody wants any more.
    fn yield_to_voice(&mut self) {
        match self.inbox.recv_timeout(LOOK_AGAIN) {
            Ok(command) => self.obey(command),
            // Without handles the jobs at hand still end: their owners listen.
            Err(_) => std::thread::sleep(LOOK_AGAIN),
        }
        self.jobs.retain(|running| {
            let wanted = (running.job.wanted)();
            if !wanted {
                let generation = running.writing.as_ref().map(|(generation, _)| generation);
                over(&running.events, done(Finish::Stopped, generation));
            }
            wanted
        });
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Open { urgency, options, moving, reply } => {
                let opened = Session::new(self.llm.clone(), &options).map(|session| {
                    self.next += 1;
                    let id = SessionId(self.next);
                    self.sessions.insert(id, SessionSlot { urgency, session, moving, rows: Vec::new() });
                    id
                });
                let _ = reply.send(opened);
            }
            Command::Run { job, extras, events } => {
                if self.warm.as_ref().is_some_and(|(id, _)| *id == job.session) {
                    self.warm = None;
                }
                let urgency = self.sessions[&job.session].urgency;
                self.jobs.push(Running { job: *job, extras, events, urgency, prefill: None, writing: None });
            }
            Command::Warm { session, prompt } => self.warm = Some((session, prompt)),
            Command::Save { session, path, note, reply } => {
                let _ = reply.send(self.sessions[&session].session.save(&path, &note));
            }
            Command::Restore { session, path, reply } => {
                self.warm = self.warm.take().filter(|(id, _)| *id != session);
                let seat = self.sessions.get_mut(&session).expect("a session that was opened");
                seat.rows.clear();
                let _ = reply.send(seat.session.restore(&path));
            }
            Command::Forget { session } => {
                let seat = self.sessions.get_mut(&session).expect("a session that was opened");
                seat.session.truncate(0);
                seat.rows.clear();
            }
        }
    }

    /// One stretch of prefill, or one token with those that were guessed behind it; answers whether the job is over. A job whose owner has gone is over too.
    fn step(&mut self, i: usize) -> bool {
        let Self { llm, sessions, jobs, inbox, fault, .. } = self;
        let Running { job, extras, events, prefill, writing, .. } = &mut jobs[i];
        if let Err(injected) = fault.step() {
            return over(events, Event::Failed(LlmError::Input(injected.to_string())));
        }
        let seat = sessions.get_mut(&job.session).expect("a job names a session that was opened");
        let wanted = || (job.wanted)();
        let Some((generation, sampler)) = writing else {
            let mut go_on =
                || if inbox.is_empty() && wanted() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
            let step = match seat.prompt(&job.prompt, &extras.rows, &mut go_on) {
                Ok(step) => step,
                Err(error) => return over(events, Event::Failed(error)),
            };
            let total = prefill.get_or_insert(Prefill { reused: step.reused, moved: step.moved, ..Prefill::default() });
            total.prefilled += step.prefilled;
            if !wanted() {
                return over(events, done(Finish::Stopped, None));
            }
            if step.stopped {
                return false; // Suspended for a newcomer.
            }
            if !extras.choices.is_empty() {
                let logits = seat.session.logits();
                let of = |token: &TokenId| logits.get(token.0 as usize).copied().unwrap_or(f32::NEG_INFINITY);
                let _ = events.send(Event::Prefilled(*total));
                let _ = events.send(Event::Logits(extras.choices.iter().map(of).collect()));
                return over(events, done(Finish::EndOfText, None));
            }
            return match Generation::new(llm, &job.options) {
                Ok(generation) => {
                    *writing = Some((generation, Sampler::new(&job.sampler)));
                    events.send(Event::Prefilled(*total)).is_err()
                }
                Err(error) => over(events, Event::Failed(error)),
            };
        };
        if !wanted() {
            return over(events, done(Finish::Stopped, Some(generation)));
        }
        let mut sink = |text: &str| match events.send(Event::Text(text.to_owned())) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        match generation.advance(&mut seat.session, sampler, &mut sink) {
            Ok(None) => false,
            Ok(Some(finish)) => over(events, done(finish, Some(generation))),
            Err(error) => over(events, Event::Failed(error)),
        }
    }

    fn keep_warm(&mut self, id: SessionId, prompt: Vec<TokenId>) {
        let Self { sessions, inbox, .. } = self;
        let seat = sessions.get_mut(&id).expect("a session that was opened");
        let mut go_on = || if inbox.is_empty() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        match seat.prompt(&prompt, &[], &mut go_on) {
            Ok(prefill) if prefill.stopped => self.warm = Some((id, prompt)),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the prompt could not be kept warm"),
        }
    }
}

/// The end of a job that may not have begun to write.
fn done(finish: Finish, generation: Option<&Generation>) -> Event {
    let (generated, drafted) = generation.map_or((0, 0), |generation| (generation.tokens(), generation.drafted()));
    Event::Done { finish, generated, drafted }
}

/// Tokens and rows that go through the model between two looks at what else is to do.
const SOFT_BLOCK: usize = 64;

/// Makes the session hold exactly `tokens`, of which each [`TokenId::EMBEDDING`] stands for the next of `wanted`'s rows. The longest
/// prefix that is already there stays; a row counts as the same only if its numbers are. `held`: the rows of the session.
fn read_soft_prompt(
    session: &mut Session,
    held: &mut Vec<f32>,
    tokens: &[TokenId],
    wanted: &[f32],
    go_on: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<Prefill, LlmError> {
    let width = session.llm().info().d_model;
    let soft = |tokens: &[TokenId]| tokens.iter().filter(|t| **t == TokenId::EMBEDDING).count();
    if soft(tokens) * width != wanted.len() {
        return Err(LlmError::Input(format!(
            "the prompt has room for {} soft tokens of {width} numbers, but {} numbers were given",
            soft(tokens),
            wanted.len()
        )));
    }
    let mut row = 0;
    let shared = session
        .tokens()
        .iter()
        .zip(tokens)
        .take_while(|(held_token, token)| {
            let same = held_token == token;
            if same && **token == TokenId::EMBEDDING {
                row += 1;
                return held.get((row - 1) * width..row * width) == wanted.get((row - 1) * width..row * width);
            }
            same
        })
        .count();
    let complete = shared == tokens.len() && shared == session.len() && !session.logits().is_empty();
    let reused = if complete { shared } else { shared.min(tokens.len().saturating_sub(1)) };
    session.truncate(reused);
    held.truncate(soft(&tokens[..reused]) * width);
    let mut prefill = Prefill { reused, ..Prefill::default() };
    let mut rest = &tokens[reused..];
    while let Some(first) = rest.first() {
        if go_on().is_break() {
            prefill.stopped = true;
            break;
        }
        let is_soft = *first == TokenId::EMBEDDING;
        let run = rest.iter().take(SOFT_BLOCK).take_while(|t| (**t == TokenId::EMBEDDING) == is_soft).count();
        if is_soft {
            let rows = &wanted[held.len()..held.len() + run * width];
            session.append_embeddings(rows)?;
            held.extend_from_slice(rows);
        } else {
            session.append(&rest[..run])?;
        }
        prefill.prefilled += run;
        rest = &rest[run..];
    }
    Ok(prefill)
}

/// Tells a job's owner, if there still is one, how it ended.
fn over(events: &Sender<Event>, event: Event) -> bool {
    let _ = events.send(event);
    true
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, Instant};

    use nearfield_llm::{CacheType, LlmOptions};

    use super::*;

    fn bundled() -> (LlmThread, JoinHandle<()>) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/models/talk-nano.gguf");
        LlmThread::start(Llm::open(&path, &LlmOptions { threads: 1 }).unwrap())
    }

    fn job(llm: &LlmThread, session: SessionId, text: &str, max_tokens: usize) -> Job {
        let prompt = llm.llm().tokenizer().unwrap().encode(text, true);
        let options = GenerateOptions { max_tokens, ..GenerateOptions::default() };
        Job { session, prompt, sampler: SamplerOptions::default(), options, wanted: Box::new(|| true) }
    }

    fn open(llm: &LlmThread, urgency: Urgency) -> SessionId {
        llm.open(urgency, SessionOptions { context_tokens: 1024, cache: CacheType::F16 }).unwrap()
    }

    /// The text of a job and when it was over.
    fn outcome(events: &Receiver<Event>) -> (String, usize, Instant) {
        let mut text = String::new();
        for event in events {
            match event {
                Event::Text(piece) => text.push_str(&piece),
                Event::Done { generated, .. } => return (text, generated, Instant::now()),
                Event::Failed(error) => panic!("{error}"),
                Event::Prefilled(_) | Event::Logits(_) => {}
            }
        }
        panic!("the events ended without an end");
    }

    #[test]
    fn a_caption_under_way_lets_a_voice_pass_and_is_what_it_would_have_been() {
        let (llm, thread) = bundled();
        let (caption, voice) = (open(&llm, Urgency::Caption), open(&llm, Urgency::Voice));
        // No end token comes soon after this; the caption is long.
        let (slow, quick) = ("<|user|>Hello<|end|><|assistant|>The", "<|user|>Hello.<|end|><|assistant|>");
        let alone = outcome(&llm.run(job(&llm, caption, slow, 400)));
        let long = llm.run(Job { session: open(&llm, Urgency::Caption), ..job(&llm, caption, slow, 400) });
        let reply = outcome(&llm.run(job(&llm, voice, quick, 8)));
        let disturbed = outcome(&long);
        assert_eq!((disturbed.0, disturbed.1), (alone.0, alone.1));
        assert!(reply.1 <= 8);
        drop(llm);
        thread.join().unwrap();
    }

    #[test]
    fn after_a_panic_on_the_thread_the_flow_is_told_and_every_caller_gets_an_error_now_and_later() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/models/talk-nano.gguf");
        let llm = Llm::open(&path, &LlmOptions { threads: 1 }).unwrap();
        let (told, failures) = bounded(4);
        let flow = FlowContext {
            turns: crate::flow::Turns::default(),
            ledger: crate::flow::Ledger::default(),
            on_failure: Arc::new(move |failure| drop(told.send(failure))),
        };
        let (llm, thread) = LlmThread::start_in(&flow, llm, None);
        let session = open(&llm, Urgency::Voice);
        let failed = |events: Receiver<Event>| match events.recv_timeout(Duration::from_secs(10)).unwrap() {
            Event::Failed(error @ LlmError::Crashed { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        };
        // What the owner of a job hands over runs on the thread too.
        let wanted: Box<dyn Fn() -> bool + Send> = Box::new(|| panic!("a bug on the thread"));
        let error = failed(llm.run(Job { wanted, ..job(&llm, session, "Hello.", 4) }));
        assert!(error.contains("llm panicked: a bug on the thread"), "{error}");
        let failure = failures.try_recv().unwrap();
        assert!(failure.is_fatal && failure.stage == "llm", "{failure:?}");
        failed(llm.run(job(&llm, session, "Hello.", 4)));
        llm.warm(session, vec![TokenId(1)]);
        llm.forget(session);
        let options = SessionOptions { context_tokens: 64, cache: CacheType::F16 };
        assert!(matches!(llm.open(Urgency::Voice, options), Err(LlmError::Crashed { .. })));
        assert!(matches!(llm.save(session, Path::new("/nowhere/x"), vec![]), Err(LlmError::Crashed { .. })));
        assert!(matches!(llm.restore(session, Path::new("/nowhere/x")), Err(LlmError::Crashed { .. })));
        drop(llm);
        thread.join().unwrap();
    }

    #[test]
    fn a_second_prompt_pays_only_for_what_is_new() {
        let (llm, _thread) = bundled();
        let session = open(&llm, Urgency::Voice);
        let prefilled = |text: &str| match llm.run(job(&llm, session, text, 1)).recv().unwrap() {
            Event::Prefilled(prefill) => prefill,
            other => panic!("{other:?}"),
        };
        let first = prefilled("<|system|>You are Nearfield.<|end|><|user|>Hello.");
        assert_eq!(first.reused, 0);
        let second = prefilled("<|system|>You are Nearfield.<|end|><|user|>Hello. Is the door open?");
        assert!(second.reused + 2 >= first.prefilled, "{first:?} {second:?}");
    }

    /// A picture between two texts: `<|user|>` + `n` soft tokens, each the mean of two words, + a question.
    fn with_picture(llm: &LlmThread, seed: u32) -> (Vec<TokenId>, Vec<f32>) {
        let tokenizer = llm.llm().tokenizer().unwrap();
        let mut tokens = tokenizer.encode("<|system|>You describe pictures.<|end|><|user|>", true);
        tokens.extend([TokenId::EMBEDDING; 5]);
        tokens.extend(tokenizer.encode("What do you see?<|end|><|assistant|>", true));
        let word = |id: u32| llm.llm().embedding(TokenId(id)).unwrap();
        let mean =
            |i: u32| word(300 + i).iter().zip(word(400 + i * seed)).map(|(a, b)| (a + b) / 2.0).collect::<Vec<_>>();
        (tokens, (0..5).flat_map(mean).collect())
    }

    #[test]
    fn another_picture_replaces_only_its_span_and_the_same_one_costs_nothing() {
        let (llm, _thread) = bundled();
        let session = open(&llm, Urgency::Caption);
        let ask = |session: SessionId, seed: u32| {
            let (prompt, rows) = with_picture(&llm, seed);
            let extras = Extras { rows, choices: vec![TokenId(300), TokenId(301), TokenId(302)] };
            let job = Job { prompt, ..job(&llm, session, "", 1) };
            let mut events = llm.run_with(job, extras).into_iter();
            match (events.next(), events.next()) {
                (Some(Event::Prefilled(prefill)), Some(Event::Logits(logits))) => (prefill, logits),
                other => panic!("{other:?}"),
            }
        };
        let total = with_picture(&llm, 1).0.len();
        let before_picture = with_picture(&llm, 1).0.iter().position(|t| *t == TokenId::EMBEDDING).unwrap();
        let (first, logits) = ask(session, 1);
        assert_eq!((first.reused, first.prefilled), (0, total));
        let (again, same_logits) = ask(session, 1);
        assert_eq!((again.reused, again.prefilled, &same_logits), (total, 0, &logits));
        let (second, other_logits) = ask(session, 2);
        // Row 0 mixes the same two words with either seed.
        assert_eq!((second.reused, second.prefilled), (before_picture + 1, total - before_picture - 1));
        assert_ne!(other_logits, logits);
        // What a session without a past says, the warm one says too.
        let (cold, cold_logits) = ask(open(&llm, Urgency::Caption), 2);
        assert_eq!(cold.reused, 0);
        for (warm, cold) in other_logits.iter().zip(&cold_logits) {
            assert!((warm - cold).abs() < 1e-2 * (1.0 + cold.abs()), "{warm} {cold}");
        }
    }

    #[test]
    fn a_caption_of_a_picture_that_a_voice_passed_is_what_it_would_have_been() {
        let (llm, thread) = bundled();
        let describe = |session: SessionId| {
            let (prompt, rows) = with_picture(&llm, 3);
            llm.run_with(Job { prompt, ..job(&llm, session, "", 60) }, Extras { rows, choices: Vec::new() })
        };
        let alone = outcome(&describe(open(&llm, Urgency::Caption)));
        let under_way = describe(open(&llm, Urgency::Caption));
        let voice = open(&llm, Urgency::Voice);
        for _ in 0..3 {
            outcome(&llm.run(job(&llm, voice, "<|user|>Hello.<|end|><|assistant|>", 2)));
        }
        let disturbed = outcome(&under_way);
        assert_eq!((disturbed.0, disturbed.1), (alone.0, alone.1));
        drop(llm);
        thread.join().unwrap();
    }

    #[test]
    fn soft_tokens_that_do_not_fit_their_places_are_refused() {
        let (llm, _thread) = bundled();
        let (prompt, mut rows) = with_picture(&llm, 1);
        rows.pop();
        let job = Job { prompt, ..job(&llm, open(&llm, Urgency::Caption), "", 1) };
        let events = llm.run_with(job, Extras { rows, choices: Vec::new() });
        assert!(matches!(events.recv().unwrap(), Event::Failed(error) if error.to_string().contains("5 soft tokens")));
    }

    #[test]
    fn an_unwanted_job_ends_at_the_next_token() {
        let (llm, _thread) = bundled();
        let session = open(&llm, Urgency::Voice);
        let unwanted =
            Job { wanted: Box::new(|| false), ..job(&llm, session, "<|user|>Hello.<|end|><|assistant|>", 400) };
        let begun = Instant::now();
        let (text, generated, at) = outcome(&llm.run(unwanted));
        assert_eq!((text.as_str(), generated), ("", 0));
        assert!(at - begun < Duration::from_secs(5));
    }
}

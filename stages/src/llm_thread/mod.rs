//! The one thread that runs the language model, for every flow: weights shared, a session (KV cache) for each.
//!
//! A flow submits a [`Job`] (a prompt to be continued) and reads a [`Reply`]. All jobs that write get their next tokens in one pass over
//! the weights, each the token it would get alone; between two passes a stretch of somebody's prompt is read (see `steps.rs`). A voice
//! that is waited for has the model to itself until its first words. Requests whose prompts begin alike share what was computed of the
//! beginning, also while one of them is still computing it. Voices in other programs of ours go before as well ([`VoicePriority`]). A flow can also ask for a prompt to be kept warm, which is done when nothing else is to do.
//!
//! A panic on the thread ends no caller: every job and question gets [`LlmError::Crashed`], now and later, and a flow that has
//! started the thread ([`LlmThread::start_in`]) ends as if a stage had panicked.

mod pause;
mod reply;
mod scheduler;
mod soft_prompt;
mod steps;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use nearfield_llm::{GenerateOptions, Llm, LlmError, PictureSpan, SamplerOptions, SessionOptions, TokenId};

use crate::flow::{Cancel, Failure, Flow, panics};
use crate::messages::Tokens;
use crate::voice_priority::VoicePriority;

pub use pause::{Pause, Pausing};
pub use reply::{Event, Reply};
use scheduler::{Command, Scheduler};

/// Jobs waiting at the thread; a flow has one or two under way.
const QUEUE: usize = 16;
/// Events beyond one a token: prefilled, done and a spare.
const EXTRA_EVENTS: usize = 4;
/// So long a flow that ends waits to have its sessions closed.
const CLOSING: Duration = Duration::from_millis(200);
/// The thread's name, also in failures.
const NAME: &str = "llm";

/// How urgent a flow is: somebody waits for a voice, somebody may look at a caption, nobody watches a report being written, and
/// what other programs ask of the server takes what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Work that nobody waits for: it is done while there is nothing else to do, and rests meanwhile.
    Idle,
    /// A request of another program.
    Request,
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
    pub cancel: Cancel,
}

/// What a prompt may bring besides its tokens.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// Soft tokens: `[n, d_model]`, one row for each [`TokenId::EMBEDDING`] in the prompt, in order. Rows that the cache holds at
    /// the same place are reused like tokens.
    pub rows: Vec<f32>,
    /// The tiles of pictures that the rows are, in order; empty where the rows stand like words.
    pub spans: Vec<PictureSpan>,
    /// Instead of writing, tell the logits of these tokens after the prompt.
    pub choices: Vec<TokenId>,
}

/// A handle on the thread; the thread ends when the last handle is dropped.
#[derive(Clone)]
pub struct LlmThread {
    commands: Sender<Command>,
    llm: Arc<Llm>,
    pause: Pause,
    health: Arc<Mutex<Health>>,
    /// The sessions of one flow among several: closed with its last handle.
    own: Option<Arc<OwnSessions>>,
}

/// Who is told of a panic of the thread, and whether there was one.
#[derive(Default)]
struct Health {
    has_panicked: bool,
    listeners: Vec<Weak<dyn Fn(Failure) + Send + Sync>>,
}

/// What one flow has opened on a thread that others use too.
struct OwnSessions {
    commands: Sender<Command>,
    opened: Mutex<Vec<SessionId>>,
}

impl Drop for OwnSessions {
    fn drop(&mut self) {
        for session in self.opened.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // A thread that hangs keeps its memory; whoever ends shall not hang with it.
            let _ = self.commands.send_timeout(Command::Close { session }, CLOSING);
        }
    }
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

    /// As [`start_beside_others`](Self::start_beside_others), for a flow, which ends when the thread panics and waits for it at
    /// its end.
    ///
    /// # Panics
    /// If the system can't start a thread.
    pub fn start_in<N>(flow: &mut Flow<N>, llm: Arc<Llm>, way: Option<VoicePriority>) -> Self {
        let on_failure = flow.context().on_failure.clone();
        let (handle, thread) = Self::begin(llm, way, move |panicked| {
            on_failure(Failure { stage: NAME, turn: None, error: panicked.into(), is_fatal: true });
        });
        flow.adopt(thread);
        handle
    }

    fn begin(
        llm: Arc<Llm>,
        way: Option<VoicePriority>,
        on_panic: impl FnOnce(panics::Panicked) + Send + 'static,
    ) -> (Self, JoinHandle<()>) {
        let (commands, inbox) = bounded(QUEUE);
        let (weights, pause) = (llm.clone(), Pause::default());
        let pauses = pause.clone();
        let health = Arc::new(Mutex::new(Health::default()));
        let told = health.clone();
        let thread = std::thread::Builder::new()
            .name(NAME.to_owned())
            .spawn(move || {
                let mut scheduler = Scheduler::new(weights, inbox, way, pauses);
                if let Err(panicked) = panics::catch(NAME, || scheduler.run()) {
                    let what = panicked.to_string();
                    // The flows hear of it before the job's owner does, who reports an error of one turn.
                    let listeners = {
                        let mut health = told.lock().unwrap_or_else(PoisonError::into_inner);
                        health.has_panicked = true;
                        std::mem::take(&mut health.listeners)
                    };
                    for listener in listeners.iter().filter_map(Weak::upgrade) {
                        listener(Failure { stage: NAME, turn: None, error: panicked.clone().into(), is_fatal: true });
                    }
                    on_panic(panicked);
                    scheduler.refuse_all(&what);
                }
            })
            .expect("the system can start a thread");
        (Self { commands, llm, pause, health, own: None }, thread)
    }

    /// A handle for one flow of several that use this thread: the flow ends when the thread panics, and the sessions that are
    /// opened by the handle and its clones are closed with the last of them.
    pub fn join<N>(&self, flow: &Flow<N>) -> Self {
        self.join_with(&flow.context().on_failure)
    }

    /// As [`join`](Self::join), for what is no flow: `on_failure` is called when the thread panics, as long as somebody keeps it.
    pub fn join_with(&self, on_failure: &Arc<dyn Fn(Failure) + Send + Sync>) -> Self {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.listeners.retain(|listener| listener.strong_count() > 0);
        health.listeners.push(Arc::downgrade(on_failure));
        let own = OwnSessions { commands: self.commands.clone(), opened: Mutex::default() };
        Self { own: Some(Arc::new(own)), ..self.clone() }
    }

    /// Whether the thread has panicked, and everything that is asked of it fails.
    pub fn has_panicked(&self) -> bool {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).has_panicked
    }

    /// Has a session closed with the flow that opened it.
    fn owned(&self, opened: Result<SessionId, LlmError>) -> Result<SessionId, LlmError> {
        if let (Some(own), Ok(session)) = (&self.own, &opened) {
            own.opened.lock().unwrap_or_else(PoisonError::into_inner).push(*session);
        }
        opened
    }

    /// The weights: for their tokenizer and template.
    pub fn llm(&self) -> &Arc<Llm> {
        &self.llm
    }

    /// By which a voice has the model pause while it makes its first sound.
    pub fn pause(&self) -> Pause {
        self.pause.clone()
    }

    /// Opens a session for a flow.
    ///
    /// # Errors
    /// If its cache can't be had.
    pub fn open(&self, urgency: Urgency, options: SessionOptions) -> Result<SessionId, LlmError> {
        self.owned(self.ask(|reply| Command::Open { urgency, options, moving: None, reply }))
    }

    /// Opens a session whose prompts may move what the cache holds elsewhere, from `least` tokens in a row: see
    /// [`Session::prompt_moving`](nearfield_llm::Session::prompt_moving).
    ///
    /// # Errors
    /// If its cache can't be had.
    pub fn open_moving(&self, urgency: Urgency, options: SessionOptions, least: usize) -> Result<SessionId, LlmError> {
        self.owned(self.ask(|reply| Command::Open { urgency, options, moving: Some(least), reply }))
    }

    /// Exchanges what two sessions of the same size hold; each keeps its urgency. No job is under way in either.
    pub fn exchange(&self, one: SessionId, other: SessionId) {
        let _ = self.send(Command::Exchange { one, other });
    }

    /// Gives a session's memory back. A job in it ends as if the thread had gone; nobody may name the session any more.
    pub fn close(&self, session: SessionId) {
        if let Some(own) = &self.own {
            own.opened.lock().unwrap_or_else(PoisonError::into_inner).retain(|opened| *opened != session);
        }
        let _ = self.send(Command::Close { session });
    }

    /// Writes a session to a file, with a note that [`restore`](Self::restore) gives back, between two jobs.
    ///
    /// # Errors
    /// See [`Session::save`](nearfield_llm::Session::save).
    pub fn save(&self, session: SessionId, path: &Path, note: Vec<u8>) -> Result<(), LlmError> {
        self.ask(|reply| Command::Save { session, path: path.to_owned(), note, reply })
    }

    /// Fills a session from a file and answers its note.
    ///
    /// # Errors
    /// See [`Session::restore`](nearfield_llm::Session::restore); the session is then empty.
    pub fn restore(&self, session: SessionId, path: &Path) -> Result<Vec<u8>, LlmError> {
        self.ask(|reply| Command::Restore { session, path: path.to_owned(), reply })
    }

    fn ask<T>(&self, command: impl FnOnce(Sender<Result<T, LlmError>>) -> Command) -> Result<T, LlmError> {
        let (reply, answer) = bounded(1);
        let _ = self.send(command(reply));
        answer.recv().unwrap_or_else(|_| Err(gone()))
    }

    /// Submits a job. Its events never hold up the model: there is room for all of them.
    pub fn run(&self, job: Job) -> Reply {
        self.run_with(job, Extras::default())
    }

    /// Submits a job whose prompt has soft tokens, or that only asks for logits.
    pub fn run_with(&self, job: Job, extras: Extras) -> Reply {
        let each = if job.options.likelihoods.is_some() { 2 } else { 1 };
        let (events, reply) = bounded(each * job.options.max_tokens + EXTRA_EVENTS);
        if !self.send(Command::Run { job: Box::new(job), extras, events: events.clone() }) {
            let _ = events.try_send(Event::Failed(gone()));
        }
        Reply::new(reply)
    }

    /// Has the session read `prompt` and write nothing; whether it came to that.
    ///
    /// # Errors
    /// The model failed.
    pub fn read(&self, session: SessionId, prompt: Vec<TokenId>, cancel: Cancel) -> anyhow::Result<bool> {
        let options = GenerateOptions { max_tokens: 1, ..GenerateOptions::default() };
        let job = Job { session, prompt, sampler: SamplerOptions::default(), options, cancel };
        let extras = Extras { choices: vec![TokenId(0)], ..Extras::default() };
        Ok(self.run_with(job, extras).logits(&mut Tokens::default())?.is_some())
    }

    /// Asks that `prompt` stand in the session's cache when next there is time; a job in the same session takes its place.
    pub fn warm(&self, session: SessionId, prompt: Vec<TokenId>) {
        let _ = self.send(Command::Warm { session, prompt });
    }

    /// Empties a session's cache: for measuring what it is worth.
    pub fn forget(&self, session: SessionId) {
        let _ = self.send(Command::Forget { session });
    }

    /// Drops from a session's cache all that is not the beginning of `prompt`, and what was to be kept warm in it.
    pub fn keep_only(&self, session: SessionId, prompt: Vec<TokenId>) {
        let _ = self.send(Command::KeepOnly { session, prompt });
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

/// Whether an error comes of a panic on the thread, which has been told already.
pub fn is_crash(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(LlmError::Crashed { .. })))
}

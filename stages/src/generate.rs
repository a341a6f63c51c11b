//! The one thread that runs the language model, for every flow: weights shared, a session (KV cache) for each.
//!
//! A flow submits a [`Job`] (a prompt to be continued) and reads [`Event`]s. Between two tokens, and between two blocks of
//! a prefill, the thread looks whether a more urgent job has come; the lower one waits and later goes on from its own
//! cache. A flow can also ask for a prompt to be kept warm, which is done when nothing else is to do.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use nearfield_models::flow::Flow;
use nearfield_models::llm::{
    Finish, GenerateOptions, Generation, Llm, LlmError, Prefill, Sampler, SamplerOptions, Session, SessionOptions,
    TokenId,
};

/// Jobs waiting at the thread; a flow has one or two under way.
const QUEUE: usize = 16;
/// Events beyond one a token: prefilled, done and a spare.
const EXTRA_EVENTS: usize = 4;

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

/// What a job's owner hears of it, in this order: `Prefilled`, any number of `Text`, `Done`; or `Failed` at any point.
#[derive(Debug)]
pub enum Event {
    /// The prompt stands in the cache.
    Prefilled(Prefill),
    /// More text; never half a character.
    Text(String),
    /// The end.
    Done {
        /// Why it ended.
        finish: Finish,
        /// How many tokens were generated.
        generated: usize,
    },
    /// The end, for a bad reason.
    Failed(LlmError),
}

enum Command {
    Open { urgency: Urgency, options: SessionOptions, reply: Sender<Result<SessionId, LlmError>> },
    Run { job: Job, events: Sender<Event> },
    Warm { session: SessionId, prompt: Vec<TokenId> },
    Forget { session: SessionId },
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
        let (commands, inbox) = bounded(QUEUE);
        let weights = llm.clone();
        let thread = std::thread::Builder::new()
            .name("llm".to_owned())
            .spawn(move || {
                Scheduler { llm: weights, inbox, sessions: HashMap::new(), jobs: Vec::new(), warm: None, next: 0 }.run()
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
        let (reply, answer) = bounded(1);
        self.send(Command::Open { urgency, options, reply });
        answer.recv().expect("the model's thread answers")
    }

    /// Submits a job. The events never hold up the model: there is room for all of them.
    pub fn run(&self, job: Job) -> Receiver<Event> {
        let (events, receiver) = bounded(job.options.max_tokens + EXTRA_EVENTS);
        self.send(Command::Run { job, events });
        receiver
    }

    /// Asks that `prompt` stand in the session's cache when next there is time; a job in the same session takes its place.
    pub fn warm(&self, session: SessionId, prompt: Vec<TokenId>) {
        self.send(Command::Warm { session, prompt });
    }

    /// Empties a session's cache: the next prompt is computed from its first token.
    pub fn forget(&self, session: SessionId) {
        self.send(Command::Forget { session });
    }

    fn send(&self, command: Command) {
        self.commands.send(command).expect("the model's thread lives as long as its handles");
    }
}

struct Seat {
    urgency: Urgency,
    session: Session,
}

struct Running {
    job: Job,
    events: Sender<Event>,
    urgency: Urgency,
    /// Figures of the first prefill call; later calls after a suspension only finish it.
    prefill: Option<Prefill>,
    writing: Option<(Generation, Sampler)>,
}

struct Scheduler {
    llm: Arc<Llm>,
    inbox: Receiver<Command>,
    sessions: HashMap<SessionId, Seat>,
    /// In order of arrival.
    jobs: Vec<Running>,
    warm: Option<(SessionId, Vec<TokenId>)>,
    next: u64,
}

impl Scheduler {
    fn run(mut self) {
        loop {
            while let Ok(command) = self.inbox.try_recv() {
                self.obey(command);
            }
            let urgent = (0..self.jobs.len()).max_by_key(|&i| (self.jobs[i].urgency, std::cmp::Reverse(i)));
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

    fn obey(&mut self, command: Command) {
        match command {
            Command::Open { urgency, options, reply } => {
                let opened = Session::new(self.llm.clone(), &options).map(|session| {
                    self.next += 1;
                    let id = SessionId(self.next);
                    self.sessions.insert(id, Seat { urgency, session });
                    id
                });
                let _ = reply.send(opened);
            }
            Command::Run { job, events } => {
                if self.warm.as_ref().is_some_and(|(id, _)| *id == job.session) {
                    self.warm = None;
                }
                let urgency = self.sessions[&job.session].urgency;
                self.jobs.push(Running { job, events, urgency, prefill: None, writing: None });
            }
            Command::Warm { session, prompt } => self.warm = Some((session, prompt)),
            Command::Forget { session } => {
                if let Some(seat) = self.sessions.get_mut(&session) {
                    seat.session.truncate(0);
                }
            }
        }
    }

    /// One stretch of prefill or one token; answers whether the job is over. A job whose owner has gone is over too.
    fn step(&mut self, i: usize) -> bool {
        let Self { llm, sessions, jobs, inbox, .. } = self;
        let Running { job, events, prefill, writing, .. } = &mut jobs[i];
        let session = &mut sessions.get_mut(&job.session).expect("a job names a session that was opened").session;
        let wanted = || (job.wanted)();
        let stopped = |generated| Event::Done { finish: Finish::Stopped, generated };
        let Some((generation, sampler)) = writing else {
            let mut go_on = || if inbox.is_empty() && wanted() { Flow::Continue } else { Flow::Stop };
            let step = match session.prompt(&job.prompt, &mut go_on) {
                Ok(step) => step,
                Err(error) => return over(events, Event::Failed(error)),
            };
            let total = prefill.get_or_insert(Prefill { reused: step.reused, prefilled: 0, stopped: false });
            total.prefilled += step.prefilled;
            if !wanted() {
                return over(events, stopped(0));
            }
            if step.stopped {
                return false; // Suspended for a newcomer.
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
            return over(events, stopped(generation.tokens()));
        }
        let mut sink = |text: &str| match events.send(Event::Text(text.to_owned())) {
            Ok(()) => Flow::Continue,
            Err(_) => Flow::Stop,
        };
        match generation.advance(session, sampler, &mut sink) {
            Ok(None) => false,
            Ok(Some(finish)) => over(events, Event::Done { finish, generated: generation.tokens() }),
            Err(error) => over(events, Event::Failed(error)),
        }
    }

    fn keep_warm(&mut self, id: SessionId, prompt: Vec<TokenId>) {
        let Self { sessions, inbox, .. } = self;
        let session = &mut sessions.get_mut(&id).expect("a session that was opened").session;
        let mut go_on = || if inbox.is_empty() { Flow::Continue } else { Flow::Stop };
        match session.prompt(&prompt, &mut go_on) {
            Ok(prefill) if prefill.stopped => self.warm = Some((id, prompt)),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the prompt could not be kept warm"),
        }
    }
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

    use nearfield_models::llm::{CacheType, LlmOptions};

    use super::*;

    fn bundled() -> (LlmThread, JoinHandle<()>) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/models/talk-nano.gguf");
        LlmThread::start(Llm::open(&path, &LlmOptions { threads: 1 }).unwrap())
    }

    fn job(llm: &LlmThread, session: SessionId, text: &str, max_tokens: usize) -> Job {
        let prompt = llm.llm().tokenizer().unwrap().encode(text, true);
        let options = GenerateOptions { max_tokens, stop: Vec::new() };
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
                Event::Prefilled(_) => {}
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

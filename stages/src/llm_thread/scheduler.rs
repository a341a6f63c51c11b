//! What the thread does next: the most urgent job first, a stretch of prefill or a token at a time, and between two of them
//! whatever has come in the meantime.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use nearfield_llm::{Finish, Generation, Llm, LlmError, Prefill, Sampler, Session, SessionOptions, TokenId};

use super::soft_prompt::read_soft_prompt;
use super::{Event, Extras, Job, Pause, SessionId, Urgency};
use crate::flow::fault::Fault;
use crate::voice_priority::VoicePriority;

/// How often one who lets a voice in another program pass looks whether it has passed.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How often one who pauses looks whether that is over.
const PAUSE_STEP: Duration = Duration::from_millis(1);

/// What a handle asks of the thread.
pub(super) enum Command {
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
    Fork {
        from: SessionId,
        length: usize,
        reply: Sender<Result<SessionId, LlmError>>,
    },
    Close {
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

pub(super) struct Scheduler {
    llm: Arc<Llm>,
    inbox: Receiver<Command>,
    way: Option<VoicePriority>,
    sessions: HashMap<SessionId, SessionSlot>,
    /// In order of arrival.
    jobs: Vec<Running>,
    warm: Option<(SessionId, Vec<TokenId>)>,
    pause: Pause,
    next: u64,
    fault: Fault,
}

impl Scheduler {
    pub(super) fn new(llm: Arc<Llm>, inbox: Receiver<Command>, way: Option<VoicePriority>, pause: Pause) -> Self {
        let fault = Fault::of(super::NAME);
        Self { llm, inbox, way, sessions: HashMap::new(), jobs: Vec::new(), warm: None, pause, next: 0, fault }
    }

    /// Until the last handle is dropped.
    pub(super) fn run(&mut self) {
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
            if (urgent.is_some() || self.warm.is_some()) && self.pause.is_on() {
                match self.inbox.recv_timeout(PAUSE_STEP) {
                    Ok(command) => self.obey(command),
                    Err(_) => std::thread::sleep(PAUSE_STEP),
                }
                continue;
            }
            if let Some(i) = urgent {
                if self.step(i).is_break() {
                    self.jobs.remove(i);
                } else if self.jobs[i].urgency == Urgency::Request {
                    let running = self.jobs.remove(i);
                    self.jobs.push(running); // the next one's turn
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
    pub(super) fn refuse_all(&mut self, what: &str) {
        let crashed = || LlmError::Crashed { what: what.to_owned() };
        // There is room for an event of every kind; but whoever is in this state shall not wait for anybody.
        self.jobs.drain(..).for_each(|running| drop(running.events.try_send(Event::Failed(crashed()))));
        for command in &self.inbox {
            match command {
                Command::Open { reply, .. } => drop(reply.try_send(Err(crashed()))),
                Command::Run { events, .. } => drop(events.try_send(Event::Failed(crashed()))),
                Command::Save { reply, .. } => drop(reply.try_send(Err(crashed()))),
                Command::Restore { reply, .. } => drop(reply.try_send(Err(crashed()))),
                Command::Fork { reply, .. } => drop(reply.try_send(Err(crashed()))),
                Command::Warm { .. } | Command::Forget { .. } | Command::Close { .. } => {}
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
            let wanted = !running.job.cancel.is_cancelled();
            if !wanted {
                let generation = running.writing.as_ref().map(|(generation, _)| generation);
                let _ = over(&running.events, done(Finish::Stopped, generation));
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
                let slot = self.sessions.get_mut(&session).expect("a session that was opened");
                slot.rows.clear();
                let _ = reply.send(slot.session.restore(&path));
            }
            Command::Fork { from, length, reply } => {
                let slot = &self.sessions[&from];
                let (urgency, moving) = (slot.urgency, slot.moving);
                let forked = slot.session.fork().map(|mut session| {
                    session.truncate(length.min(session.len()));
                    self.next += 1;
                    let id = SessionId(self.next);
                    self.sessions.insert(id, SessionSlot { urgency, session, moving, rows: Vec::new() });
                    id
                });
                let _ = reply.send(forked);
            }
            Command::Close { session } => {
                self.warm = self.warm.take().filter(|(id, _)| *id != session);
                self.jobs.retain(|running| running.job.session != session);
                self.sessions.remove(&session);
            }
            Command::Forget { session } => {
                let slot = self.sessions.get_mut(&session).expect("a session that was opened");
                slot.session.truncate(0);
                slot.rows.clear();
            }
        }
    }

    /// One stretch of prefill, or one token with those that were guessed behind it; [`ControlFlow::Break`]
    /// when the job is over. A job whose owner has gone is over too.
    fn step(&mut self, i: usize) -> ControlFlow<()> {
        let Self { llm, sessions, jobs, inbox, fault, .. } = self;
        // Others of the same kind wait for their turn: one stretch of the prompt, and then they.
        let takes_turns = jobs[i].urgency == Urgency::Request && jobs.len() > 1;
        let mut stretches = 0;
        let Running { job, extras, events, prefill, writing, .. } = &mut jobs[i];
        if let Err(injected) = fault.step() {
            return over(events, Event::Failed(LlmError::Input(injected.to_string())));
        }
        let slot = sessions.get_mut(&job.session).expect("a job names a session that was opened");
        let wanted = || !job.cancel.is_cancelled();
        let garbled = fault.garbled();
        let Some((generation, sampler)) = writing else {
            if garbled.is_some() {
                job.prompt.push(TokenId(u32::MAX - 1)); // No vocabulary has it.
            }
            let mut go_on = || {
                stretches += 1;
                let is_over = takes_turns && stretches > 1;
                if inbox.is_empty() && wanted() && !is_over {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            };
            let step = match slot.prompt(&job.prompt, &extras.rows, &mut go_on) {
                Ok(step) => step,
                Err(error) => return over(events, Event::Failed(error)),
            };
            let total = prefill.get_or_insert(Prefill { reused: step.reused, moved: step.moved, ..Prefill::default() });
            total.prefilled += step.prefilled;
            if !wanted() {
                return over(events, done(Finish::Stopped, None));
            }
            if step.stopped {
                return ControlFlow::Continue(()); // Suspended for a newcomer.
            }
            if !extras.choices.is_empty() {
                let logits = slot.session.logits();
                let of = |token: &TokenId| logits.get(token.0 as usize).copied().unwrap_or(f32::NEG_INFINITY);
                let _ = events.send(Event::Prefilled(*total));
                let _ = events.send(Event::Logits(extras.choices.iter().map(of).collect()));
                return over(events, done(Finish::EndOfText, None));
            }
            return match Generation::new(llm, &job.options) {
                Ok(generation) => {
                    *writing = Some((generation, Sampler::new(&job.sampler)));
                    match events.send(Event::Prefilled(*total)) {
                        Ok(()) => ControlFlow::Continue(()),
                        Err(_) => ControlFlow::Break(()),
                    }
                }
                Err(error) => over(events, Event::Failed(error)),
            };
        };
        if !wanted() {
            return over(events, done(Finish::Stopped, Some(generation)));
        }
        let mut sink = |text: &str| match events.send(Event::Text(garbled.as_deref().unwrap_or(text).to_owned())) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        };
        match generation.advance(&mut slot.session, sampler, &mut sink) {
            Ok(None) => ControlFlow::Continue(()),
            Ok(Some(finish)) => over(events, done(finish, Some(generation))),
            Err(error) => over(events, Event::Failed(error)),
        }
    }

    fn keep_warm(&mut self, id: SessionId, prompt: Vec<TokenId>) {
        let Self { sessions, inbox, .. } = self;
        let slot = sessions.get_mut(&id).expect("a session that was opened");
        let mut go_on = || if inbox.is_empty() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        match slot.prompt(&prompt, &[], &mut go_on) {
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

/// Tells a job's owner, if there still is one, how it ended.
fn over(events: &Sender<Event>, event: Event) -> ControlFlow<()> {
    let _ = events.send(event);
    ControlFlow::Break(())
}

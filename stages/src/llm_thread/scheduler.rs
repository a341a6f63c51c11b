//! What the thread is told to do, and when it does what it was told: between two steps (`steps.rs`) it looks at what has come in the
//! meantime, lets voices of other programs pass, and pauses.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use nearfield_llm::{Batch, Llm, LlmError, Prefill, Session, SessionOptions, TokenId};

use super::soft_prompt::read_soft_prompt;
use super::steps::{Running, shared};
use super::{Event, Extras, Job, Pause, SessionId, Urgency};
use crate::flow::fault::Fault;
use crate::voice_priority::VoicePriority;

/// How often one who lets a voice in another program pass looks whether it has passed.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How often one who pauses looks whether that is over.
const PAUSE_STEP: Duration = Duration::from_millis(1);
/// Prompts that wait to be kept warm; the one that was wanted longest ago gives way.
const MOST_WARM: usize = 16;

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
    KeepOnly {
        session: SessionId,
        prompt: Vec<TokenId>,
    },
    Close {
        session: SessionId,
    },
    Exchange {
        one: SessionId,
        other: SessionId,
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

pub(super) struct SessionSlot {
    pub(super) urgency: Urgency,
    pub(super) session: Session,
    /// The shortest run of tokens that is moved within the cache; `None` where prompts are to be exact.
    pub(super) moving: Option<usize>,
    /// The soft tokens that the session holds, row after row: its own tokens only say that there are some.
    pub(super) rows: Vec<f32>,
}

impl SessionSlot {
    pub(super) fn prompt(
        &mut self,
        tokens: &[TokenId],
        extras: &Extras,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Prefill, LlmError> {
        let Extras { rows, spans, .. } = extras;
        match self.moving {
            _ if !(rows.is_empty() && self.rows.is_empty()) => {
                read_soft_prompt(&mut self.session, &mut self.rows, tokens, rows, spans, go_on)
            }
            Some(least) => self.session.prompt_moving(tokens, least, go_on),
            None => self.session.prompt(tokens, go_on),
        }
    }
}

pub(super) struct Scheduler {
    pub(super) llm: Arc<Llm>,
    pub(super) inbox: Receiver<Command>,
    way: Option<VoicePriority>,
    pub(super) sessions: HashMap<SessionId, SessionSlot>,
    /// In order of arrival.
    pub(super) jobs: Vec<Running>,
    pub(super) batch: Batch,
    /// Whether the last step read a prompt.
    pub(super) has_read: bool,
    /// At most one for each session; the last one wanted is the last one here, and the first to be read.
    warm: Vec<(SessionId, Vec<TokenId>)>,
    pause: Pause,
    next: u64,
    pub(super) fault: Fault,
}

impl Scheduler {
    pub(super) fn new(llm: Arc<Llm>, inbox: Receiver<Command>, way: Option<VoicePriority>, pause: Pause) -> Self {
        Self {
            llm,
            inbox,
            way,
            sessions: HashMap::new(),
            jobs: Vec::new(),
            batch: Batch::new(),
            has_read: false,
            warm: Vec::new(),
            pause,
            next: 0,
            fault: Fault::of(super::NAME),
        }
    }

    /// Until the last handle is dropped.
    pub(super) fn run(&mut self) {
        loop {
            while let Ok(command) = self.inbox.try_recv() {
                self.obey(command);
            }
            // What rests has no step in which it would be seen that nobody wants it any more.
            self.jobs.retain_mut(|running| running.urgency > Urgency::Idle || running.is_kept());
            let (has_jobs, is_voice) =
                (!self.jobs.is_empty(), self.jobs.iter().any(|running| running.urgency == Urgency::Voice));
            if let Some(way) = &mut self.way {
                way.hold(is_voice);
                if has_jobs && !is_voice && way.is_taken() {
                    self.yield_to_voice();
                    continue;
                }
            }
            if (has_jobs || !self.warm.is_empty()) && self.pause.is_on() {
                match self.inbox.recv_timeout(PAUSE_STEP) {
                    Ok(command) => self.obey(command),
                    Err(_) => std::thread::sleep(PAUSE_STEP),
                }
                continue;
            }
            let is_awaited = self.jobs.iter().any(|running| running.urgency > Urgency::Idle);
            if is_awaited {
                self.step();
            } else if let Some((id, prompt)) = self.warm.pop() {
                self.keep_warm(id, prompt);
            } else if has_jobs {
                self.step();
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
                Command::Warm { .. }
                | Command::Forget { .. }
                | Command::KeepOnly { .. }
                | Command::Close { .. }
                | Command::Exchange { .. } => {}
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
        self.jobs.retain_mut(Running::is_kept);
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
                self.forget_warm(job.session);
                let slot = &self.sessions[&job.session];
                self.jobs.push(Running::new(*job, extras, events, slot));
            }
            Command::Warm { session, prompt } => {
                self.forget_warm(session);
                if self.warm.len() == MOST_WARM {
                    self.warm.remove(0);
                }
                self.warm.push((session, prompt));
            }
            Command::Save { session, path, note, reply } => {
                let _ = reply.send(self.sessions[&session].session.save(&path, &note));
            }
            Command::Restore { session, path, reply } => {
                self.forget_warm(session);
                let slot = self.sessions.get_mut(&session).expect("a session that was opened");
                slot.rows.clear();
                let _ = reply.send(slot.session.restore(&path));
            }
            Command::Close { session } => {
                self.forget_warm(session);
                self.jobs.retain(|running| running.job.session != session);
                self.sessions.remove(&session);
            }
            Command::Exchange { one, other } => {
                self.forget_warm(one);
                self.forget_warm(other);
                let sessions = self.sessions.get_disjoint_mut([&one, &other]);
                if let [Some(one), Some(other)] = sessions {
                    std::mem::swap(&mut one.session, &mut other.session);
                    std::mem::swap(&mut one.rows, &mut other.rows);
                }
            }
            Command::Forget { session } => {
                let slot = self.sessions.get_mut(&session).expect("a session that was opened");
                slot.session.truncate(0);
                slot.rows.clear();
            }
            Command::KeepOnly { session, prompt } => {
                self.forget_warm(session);
                let slot = self.sessions.get_mut(&session).expect("a session that was opened");
                slot.session.truncate(shared(slot.session.tokens(), &prompt));
                slot.rows.clear();
            }
        }
    }

    fn forget_warm(&mut self, session: SessionId) {
        self.warm.retain(|(id, _)| *id != session);
    }

    fn keep_warm(&mut self, id: SessionId, prompt: Vec<TokenId>) {
        let Self { sessions, inbox, .. } = self;
        // Closed since.
        let Some(slot) = sessions.get_mut(&id) else { return };
        let mut go_on = || if inbox.is_empty() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
        match slot.prompt(&prompt, &Extras::default(), &mut go_on) {
            Ok(prefill) if prefill.stopped => self.warm.push((id, prompt)),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the prompt could not be kept warm"),
        }
    }
}

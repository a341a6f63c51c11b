//! The thread's steps: a stretch of a prompt, or a pass in which every text that is being written gets its next token.
//!
//! Passes and stretches alternate, so that nobody's long prompt holds up the texts of others for longer than a stretch takes. They are
//! not joined into one pass: with so many rows the sums are added up in another order, and what a request is answered would hang on
//! who else asks. The prompt that is read is the most urgent one's, and among those the shortest one's, less what it has waited.
//!
//! What nobody waits for ([`Urgency::Idle`]) has a step only where all jobs are of that kind.
//!
//! Whoever speaks to a voice waits for its first words, so until then the voice has the model to itself. From then on the reply is
//! ahead of what is spoken, and a few others may write along; prompts wait until it is written.

use std::ops::ControlFlow;

use crossbeam_channel::Sender;
use nearfield_llm::{Finish, Generation, LlmError, Prefill, Sampler, Session, TokenId, Unread};

use super::scheduler::{Scheduler, SessionSlot};
use super::{Event, Extras, Job, SessionId, Urgency};

/// The most sessions in a pass.
const MOST_TOGETHER: usize = 16;
/// The most beside one that is more urgent than a request: a pass over four rows costs little more than one over a single row.
const MOST_BESIDE_URGENT: usize = 4;
/// Rows of a pass that are filled with guesses where there are fewer sessions: more cost more than they spare.
const DRAFT_ROWS: usize = 8;
/// Shorter beginnings are sooner computed than copied from another session.
const LEAST_COPIED: usize = 64;
/// A voice's first clause has so many tokens at the most.
const CLAUSE_TOKENS: usize = 16;

/// A job that has come.
pub(super) struct Running {
    pub(super) job: Job,
    extras: Extras,
    pub(super) events: Sender<Event>,
    pub(super) urgency: Urgency,
    /// Tokens of the prompt that are still to be read.
    left: usize,
    /// Tokens of other prompts that were read since it came.
    waited: usize,
    /// Figures of the first prefill call; later calls after a suspension only finish it.
    prefill: Option<Prefill>,
    writing: Option<(Generation, Sampler)>,
    /// Whether a first clause has been written.
    has_spoken: bool,
    /// Passes that went by since its last one.
    passed_over: usize,
    is_over: bool,
}

impl Running {
    pub(super) fn new(job: Job, extras: Extras, events: Sender<Event>, slot: &SessionSlot) -> Self {
        let left = job.prompt.len() - shared(slot.session.tokens(), &job.prompt);
        Self {
            job,
            extras,
            events,
            urgency: slot.urgency,
            left,
            waited: 0,
            prefill: None,
            writing: None,
            has_spoken: false,
            passed_over: 0,
            is_over: false,
        }
    }

    fn is_wanted(&self) -> bool {
        !self.job.cancel.is_cancelled()
    }

    /// Whether its prompt may begin with what others have read: of tokens only, and nothing of it has been read.
    fn may_share(&self) -> bool {
        self.urgency <= Urgency::Request && self.prefill.is_none() && self.extras.rows.is_empty()
    }

    /// Ends the job if nobody wants it any more; whether it goes on.
    pub(super) fn is_kept(&mut self) -> bool {
        if !self.is_wanted() {
            self.finish(Finish::Stopped);
        }
        !self.is_over
    }

    /// Tells the job's owner, if there still is one, how it ended.
    fn end(&mut self, event: Event) {
        let _ = self.events.send(event);
        self.is_over = true;
    }

    /// The end of a job that may not have begun to write.
    fn finish(&mut self, finish: Finish) {
        let generation = self.writing.as_ref().map(|(generation, _)| generation);
        let (generated, drafted) = generation.map_or((0, 0), |generation| (generation.tokens(), generation.drafted()));
        self.end(Event::Done { finish, generated, drafted });
    }

    fn ended(&mut self, outcome: Result<Option<Finish>, LlmError>) {
        match outcome {
            Ok(None) => {}
            Ok(Some(finish)) => self.finish(finish),
            Err(error) => self.end(Event::Failed(error)),
        }
    }

    /// What the model is to read for the next token, at most `most` tokens.
    fn unread(&mut self, session: &Session, most: usize) -> Option<Vec<TokenId>> {
        let (generation, _) = self.writing.as_mut()?;
        let unread = generation.unread(session, most, &mut sink(&self.events, None));
        match unread {
            Ok(Unread::Tokens(tokens)) => return Some(tokens),
            Ok(Unread::End(finish)) => self.finish(finish),
            Err(error) => self.end(Event::Failed(error)),
        }
        None
    }

    /// Chooses the next token, and those that were guessed.
    fn choose(&mut self, session: &mut Session, garbled: Option<&str>) {
        let Some((generation, sampler)) = &mut self.writing else { return };
        let outcome = generation.choose(session, sampler, &mut sink(&self.events, garbled));
        let likelihoods = generation.likelihoods();
        if !likelihoods.is_empty() {
            let _ = self.events.send(Event::Likelihoods(likelihoods));
        }
        let ends_clause = |c: char| matches!(c, '.' | ',' | '!' | '?' | ';' | ':' | '\n' | '。' | '，' | '！' | '？');
        self.has_spoken |= generation.tokens() >= CLAUSE_TOKENS || generation.text().contains(ends_clause);
        self.ended(outcome);
    }
}

/// What tells text to a job's owner.
fn sink<'a>(events: &'a Sender<Event>, garbled: Option<&'a str>) -> impl FnMut(&str) -> ControlFlow<()> + 'a {
    move |text| match events.send(Event::Text(garbled.unwrap_or(text).to_owned())) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}

/// How many tokens two texts share at their beginning; embeddings are never the same.
pub(super) fn shared(a: &[TokenId], b: &[TokenId]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b && **a != TokenId::EMBEDDING).count()
}

/// What is done next.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// A stretch of this job's prompt; `alone`: as much as can be until somebody comes.
    Read { job: usize, alone: bool },
    /// A token of each of these jobs.
    Write(Vec<usize>),
}

impl Scheduler {
    /// One step of what is most urgent.
    pub(super) fn step(&mut self) {
        match self.plan() {
            Step::Read { job, alone } => {
                self.has_read = true;
                self.read(job, alone);
            }
            Step::Write(jobs) => {
                self.has_read = false;
                self.write(&jobs);
            }
        }
        self.jobs.retain(|running| !running.is_over);
    }

    fn plan(&self) -> Step {
        let jobs = &self.jobs;
        let is_idle = jobs.iter().all(|running| running.urgency == Urgency::Idle);
        // One that is in the session of an earlier one waits for that.
        let ready = |i: &usize| {
            (is_idle || jobs[*i].urgency > Urgency::Idle)
                && !jobs[..*i].iter().any(|earlier| earlier.job.session == jobs[*i].job.session)
        };
        let of_voice = |i: &usize| jobs[*i].urgency == Urgency::Voice;
        let is_writing = |i: &usize| jobs[*i].writing.is_some();
        let awaited = (0..jobs.len()).filter(ready).find(|i| of_voice(i) && !jobs[*i].has_spoken);
        if let Some(job) = awaited {
            return if is_writing(&job) { Step::Write(vec![job]) } else { Step::Read { job, alone: true } };
        }
        let mut writing: Vec<usize> = (0..jobs.len()).filter(ready).filter(is_writing).collect();
        let is_speaking = writing.iter().any(of_voice);
        let reading =
            if is_speaking { None } else { self.next_prompt((0..jobs.len()).filter(ready).filter(|i| !is_writing(i))) };
        match reading {
            Some(job) if writing.is_empty() || !self.has_read => Step::Read { job, alone: jobs.len() == 1 },
            _ => {
                writing.sort_by_key(|i| std::cmp::Reverse((jobs[*i].urgency, jobs[*i].passed_over)));
                let is_urgent = writing.first().is_some_and(|i| jobs[*i].urgency > Urgency::Request);
                writing.truncate(if is_urgent { MOST_BESIDE_URGENT } else { MOST_TOGETHER });
                Step::Write(writing)
            }
        }
    }

    /// Whose prompt is read next.
    fn next_prompt(&self, reading: impl Iterator<Item = usize>) -> Option<usize> {
        let turn = |i: &usize| {
            let running = &self.jobs[*i];
            (std::cmp::Reverse(running.urgency), running.left.saturating_sub(running.waited), *i)
        };
        let mut next = reading.min_by_key(turn)?;
        while let Some(earlier) = self.is_about_to_read(next) {
            next = earlier;
        }
        Some(next)
    }

    /// The session of another request that holds more of a request's prompt than its own does, and how much that is.
    fn like(&self, i: usize) -> Option<(SessionId, usize)> {
        let running = &self.jobs[i];
        let job = &running.job;
        let slot = &self.sessions[&job.session];
        // A voice's cache is no exact one, and what is done for a voice while nothing else is may take that, too.
        let is_idle = slot.urgency == Urgency::Idle;
        let may_share = |slot: &SessionSlot| {
            slot.rows.is_empty() && (is_idle || slot.urgency == Urgency::Request && slot.moving.is_none())
        };
        if !running.may_share() || !may_share(slot) {
            return None;
        }
        let wanted = &job.prompt[..job.prompt.len().saturating_sub(1)];
        let others = self
            .sessions
            .iter()
            .filter(|(id, other)| **id != job.session && may_share(other) && other.session.is_like(&slot.session));
        let (id, held) =
            others.map(|(id, other)| (*id, shared(other.session.tokens(), wanted))).max_by_key(|(_, n)| *n)?;
        (held >= shared(slot.session.tokens(), wanted) + LEAST_COPIED).then_some((id, held))
    }

    /// An earlier request whose prompt begins like this one's and has not been read so far: waiting for it is less work.
    fn is_about_to_read(&self, i: usize) -> Option<usize> {
        let running = &self.jobs[i];
        if !running.may_share() || running.urgency == Urgency::Idle {
            return None;
        }
        let job = &running.job;
        let slot = &self.sessions[&job.session];
        let held = self.like(i).map_or_else(|| shared(slot.session.tokens(), &job.prompt), |(_, held)| held);
        let wanted = &job.prompt[..job.prompt.len().saturating_sub(1)];
        (0..i).find(|earlier| {
            let other = &self.jobs[*earlier];
            other.urgency == Urgency::Request
                && other.writing.is_none()
                && other.extras.rows.is_empty()
                && other.job.session != job.session
                && self.sessions[&other.job.session].session.is_like(&slot.session)
                && shared(&other.job.prompt, wanted) >= held + LEAST_COPIED
        })
    }

    /// Takes what another session holds of a request's prompt.
    fn share(&mut self, i: usize) {
        let Some((from, length)) = self.like(i) else { return };
        let session = self.jobs[i].job.session;
        let Some(mut slot) = self.sessions.remove(&session) else { return };
        slot.session.copy_from(&self.sessions[&from].session, length);
        self.sessions.insert(session, slot);
    }

    /// A stretch of a prompt, or with `alone` all of it, unless something comes.
    fn read(&mut self, i: usize, alone: bool) {
        self.share(i);
        let Self { llm, sessions, jobs, inbox, fault, .. } = self;
        let running = &mut jobs[i];
        if let Err(injected) = fault.step() {
            return running.end(Event::Failed(LlmError::Input(injected.to_string())));
        }
        let slot = sessions.get_mut(&running.job.session).expect("a job names a session that was opened");
        if fault.garbled().is_some() {
            running.job.prompt.push(TokenId(u32::MAX - 1)); // No vocabulary has it.
        }
        let (job, cancel) = (&running.job, &running.job.cancel);
        let mut stretches = 0;
        let mut go_on = || {
            stretches += 1;
            if inbox.is_empty() && !cancel.is_cancelled() && (alone || stretches == 1) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        };
        let step = match slot.prompt(&job.prompt, &running.extras, &mut go_on) {
            Ok(step) => step,
            Err(error) => return running.end(Event::Failed(error)),
        };
        running.left = job.prompt.len().saturating_sub(slot.session.len());
        let first = Prefill { reused: step.reused, moved: step.moved, ..Prefill::default() };
        let total = running.prefill.get_or_insert(first);
        total.prefilled += step.prefilled;
        let total = *total;
        if !running.is_wanted() {
            running.finish(Finish::Stopped);
        } else if step.stopped {
            // The next stretch follows when it has its turn.
        } else if !running.extras.choices.is_empty() {
            let logits = slot.session.logits();
            let of = |token: &TokenId| logits.get(token.0 as usize).copied().unwrap_or(f32::NEG_INFINITY);
            let chosen = running.extras.choices.iter().map(of).collect();
            let _ = running.events.send(Event::Prefilled(total));
            let _ = running.events.send(Event::Logits(chosen));
            running.finish(Finish::EndOfText);
        } else {
            match Generation::new(llm, &running.job.options) {
                Ok(generation) => {
                    running.writing = Some((generation, Sampler::new(&running.job.sampler)));
                    running.is_over = running.events.send(Event::Prefilled(total)).is_err();
                }
                Err(error) => running.end(Event::Failed(error)),
            }
        }
        let others = jobs.iter_mut().enumerate().filter(|(other, running)| *other != i && running.writing.is_none());
        others.for_each(|(_, running)| running.waited += step.prefilled);
    }

    /// A token of each of these jobs, with those that were guessed behind it.
    fn write(&mut self, together: &[usize]) {
        let Self { sessions, jobs, batch, fault, .. } = self;
        let most = (DRAFT_ROWS / together.len()).clamp(1, Session::MOST_EACH);
        jobs.iter_mut().for_each(|running| running.passed_over += 1);
        // What takes part: the job, the session out of the map, what it reads, and garbage in the place of its text.
        let mut parts: Vec<(usize, SessionSlot, Vec<TokenId>, Option<String>)> = Vec::with_capacity(together.len());
        for i in together {
            let running = &mut jobs[*i];
            running.passed_over = 0;
            if let Err(injected) = fault.step() {
                running.end(Event::Failed(LlmError::Input(injected.to_string())));
                continue;
            }
            let garbled = fault.garbled();
            if !running.is_wanted() {
                running.finish(Finish::Stopped);
                continue;
            }
            let session = &sessions[&running.job.session].session;
            let Some(tokens) = running.unread(session, most) else { continue };
            let slot = sessions.remove(&running.job.session).expect("each job has a session of its own");
            parts.push((*i, slot, tokens, garbled));
        }
        let mut texts: Vec<(&mut Session, &[TokenId])> =
            parts.iter_mut().map(|(_, slot, tokens, _)| (&mut slot.session, &tokens[..])).collect();
        let refused = batch.append(&mut texts).is_err();
        for (i, mut slot, tokens, garbled) in parts {
            let running = &mut jobs[i];
            // Whose fault it was shows when each goes by itself.
            match if refused { slot.session.append_each(&tokens) } else { Ok(()) } {
                Ok(()) => running.choose(&mut slot.session, garbled.as_deref()),
                Err(error) => running.end(Event::Failed(error)),
            }
            sessions.insert(running.job.session, slot);
        }
    }
}

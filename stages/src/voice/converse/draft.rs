//! Work on a guess: while the speaker pauses, the model begins the reply to what was said so far, and the first clause goes out to be
//! made into sound, unheard. If that was all they said, the reply goes on from there; if not, it is dropped.
//!
//! Nothing is decided here that a reply without a guess would decide otherwise: a draft is a job with the same prompt, whose text is
//! read later. Tools are never called and nothing is remembered, so a draft that is dropped has cost only time.

use std::time::Instant;

use nearfield_llm::{Finish, Message, ParsedReply, Role, TokenId};

use super::Converse;
use super::asides;
use super::claims::HonestText;
use super::copies::Copies;
use super::ending::Ending;
use super::reply::SaidAs;
use crate::flow::{Emit, Turn};
use crate::llm_thread::{Event, Reply};
use crate::messages::{Ahead, Envelope, TextDelta, Tokens};
use crate::voice::clauses::Haste;
use crate::voice::pace::{Pace, Part};
use crate::voice::phrase::FirstClause;
use crate::voice::tools::{Foreseen, Plan};
use crate::voice::volume::Volume;

/// A reply that was begun before it is sure that anybody wants it.
pub(super) struct Draft {
    turn: Turn,
    guess: Turn,
    /// What it continues.
    prompt: Vec<TokenId>,
    opening: String,
    /// Whether all of it was held to a form.
    is_held: bool,
    begun: Begun,
}

/// What has been read of a reply, and where the rest comes from.
pub(super) struct Begun {
    pub(super) pieces: Vec<String>,
    pub(super) tokens: Tokens,
    pub(super) rest: Rest,
    /// Whether the model was asked without what was said before, since it only repeated that.
    pub(super) is_alone: bool,
    /// How early its first clause leaves.
    pub(super) haste: Haste,
}

impl Begun {
    /// A reply of which nothing has been read.
    pub(super) fn new(reply: Reply, haste: Haste) -> Self {
        Self { pieces: Vec::new(), tokens: Tokens::default(), rest: Rest::Coming(reply), is_alone: false, haste }
    }
}

/// What a draft came to.
enum Drafted {
    /// The clause with which it begins, if that may be spoken ahead.
    Clause(Option<String>),
    /// It repeats an earlier reply.
    Copy,
    /// Nothing will come of it.
    Nothing,
}

pub(super) enum Rest {
    Coming(Reply),
    Ended(Finish),
}

impl Converse {
    /// Begins the reply to `question`, which may not be all of it.
    pub(super) fn prepare(
        &mut self,
        turn: Turn,
        guess: Turn,
        question: &str,
        emit: &mut Emit<'_, TextDelta>,
    ) -> anyhow::Result<()> {
        self.drop_draft();
        self.draft_fault.step()?;
        let garbled = self.draft_fault.garbled();
        let question = garbled.as_deref().unwrap_or(question);
        // What a question back, or a remote model, makes of it is not for a guess.
        let is_wanted = |this: &Self| this.guesses.is_alive(guess) && this.turns.is_alive(turn);
        if question.is_empty() || !is_wanted(self) || self.asked.is_some() || self.is_for_remote(question) {
            return Ok(());
        }
        let mut ahead = |clause: Option<String>| {
            if let Some(clause) = clause {
                let _ = emit(Envelope::new(turn, TextDelta::Ahead(Ahead { guess, clause })));
            }
        };
        if let Some(said) = asides::dismissed(question) {
            ahead(first_clause(said));
            return Ok(());
        }
        if Volume::is_asked(question) {
            return Ok(());
        }
        self.toolbox.begin(question);
        match self.toolbox.foresee(question) {
            Foreseen::Said(sentence) => {
                ahead(first_clause(&sentence));
                return Ok(());
            }
            Foreseen::Acts => return Ok(()),
            Foreseen::Passed => {}
        }
        let plan = self.plan(question);
        match &plan {
            Plan::Ask(sentence) => {
                ahead(first_clause(sentence));
                return Ok(());
            }
            Plan::Call(_) => return Ok(()),
            Plan::Free { .. } | Plan::Speak { .. } => {}
        }
        let exchange = [Message { role: Role::User, content: question.to_owned() }];
        let (prompt, held) = self.first_round(&plan, question, &exchange)?;
        let cancel = self.turns.cancel_of(turn).or_withdrawn(&self.guesses, guess);
        let (opening, is_held, said_as) = (held.opening.clone(), held.whole.is_some(), held.said);
        let haste = self.haste(said_as);
        let reply = self.submit(prompt.clone(), held.whole, question, cancel.clone());
        let mut draft = Draft { turn, guess, prompt, opening, is_held, begun: Begun::new(reply, haste) };
        let copies = self.copies(question, &exchange, said_as);
        let mut drafted = self.read_ahead(&mut draft, &plan, question, (said_as, copies));
        if matches!(drafted, Drafted::Copy) {
            self.wasted_tokens += draft.begun.pieces.len();
            let prompt = self.compose_alone(&exchange)?;
            let reply = self.submit(prompt, None, question, cancel);
            draft.begun = Begun { is_alone: true, ..Begun::new(reply, haste) };
            drafted = self.read_ahead(&mut draft, &plan, question, (said_as, Copies::none()));
        }
        match drafted {
            Drafted::Clause(clause) => {
                if is_wanted(self) {
                    ahead(clause);
                }
                self.draft = Some(draft);
            }
            // It failed or was withdrawn; a failure is told by the reply that is wanted.
            Drafted::Copy | Drafted::Nothing => self.wasted_tokens += draft.begun.pieces.len(),
        }
        Ok(())
    }

    /// Reads a draft until its first clause is known, or all of it where it is looked over before any is said.
    fn read_ahead(
        &self,
        draft: &mut Draft,
        plan: &Plan,
        question: &str,
        (said_as, mut copies): (SaidAs, Copies),
    ) -> Drafted {
        let (mut parser, mut first) = (self.chat.parser(), FirstClause::hasting(draft.begun.haste));
        let mut times = Times::begin(&self.pace);
        let mut honest = self.honest_text(question, self.llm.llm().knows_tools());
        let mut said = parser.push(&draft.opening);
        let begun = &mut draft.begun;
        let Rest::Coming(reply) = &mut begun.rest else { return Drafted::Nothing };
        let mut waiting = String::new();
        let finish = loop {
            let Some(event) = reply.next() else { return Drafted::Nothing };
            match event {
                Event::Prefilled(prefill) => begun.tokens += Tokens::from(prefill),
                Event::Text(piece) => {
                    times.token(true);
                    let text = parser.push(&piece);
                    begun.pieces.push(piece);
                    said.push_str(&text);
                    waiting.push_str(&text);
                    match copies.push(&text) {
                        None => continue,
                        Some(true) => return Drafted::Copy,
                        Some(false) => {}
                    }
                    let text = std::mem::take(&mut waiting);
                    let passed = match said_as {
                        SaidAs::Nothing => continue,
                        SaidAs::Honest => honest.push(&text),
                        SaidAs::Written => text,
                    };
                    if let Some(clause) = first.push(&passed) {
                        return Drafted::Clause(Some(clause));
                    }
                }
                Event::Likelihoods(_) | Event::Logits(_) => {}
                Event::Done { finish, generated, drafted } => {
                    begun.tokens += Tokens { generated, drafted, ..Tokens::default() };
                    break finish;
                }
                Event::Failed(_) => return Drafted::Nothing,
            }
        };
        if matches!(finish, Finish::Stopped) {
            return Drafted::Nothing; // withdrawn
        }
        let repeated = matches!(finish, Finish::Repetition { .. });
        begun.rest = Rest::Ended(finish);
        let ParsedReply { rest, calls, broken } = parser.finish();
        if copies.finish() {
            return Drafted::Copy;
        }
        if repeated || !calls.is_empty() || !broken.is_empty() {
            return Drafted::Clause(None);
        }
        said.push_str(&rest);
        let rest = waiting + &rest;
        let clause = match said_as {
            SaidAs::Nothing => {
                let said = said.trim();
                let instead = Ending::of_first_round(plan, question).instead_of(draft.turn, said);
                first_clause(instead.as_deref().unwrap_or(said))
            }
            SaidAs::Honest => {
                let passed = honest.push(&rest) + &honest.finish();
                first.push(&passed).or_else(|| first.finish())
            }
            SaidAs::Written => first.push(&rest).or_else(|| first.finish()),
        };
        Drafted::Clause(clause)
    }

    /// How early the first clause leaves of what the model is about to write. What is looked over is known as a whole.
    pub(super) fn haste(&self, said_as: SaidAs) -> Haste {
        match said_as {
            SaidAs::Nothing => Haste::Phrase,
            SaidAs::Honest | SaidAs::Written => self.pace.haste(self.turn, self.speech_ended),
        }
    }

    /// The filter of what a model writes freely in answer to a question, which may know nothing but homes.
    pub(super) fn honest_text(&self, question: &str, knows_home_only: bool) -> HonestText {
        HonestText::held_to(self.toolbox.truth(question, knows_home_only)).asked_for(question)
    }

    /// What has been prepared of exactly this, if it is still good.
    pub(super) fn begun(&mut self, turn: Turn, prompt: &[TokenId], opening: &str, is_held: bool) -> Option<Begun> {
        let draft = self.draft.take()?;
        let fits = draft.turn == turn
            && draft.prompt == prompt
            && draft.opening == opening
            && draft.is_held == is_held
            && self.guesses.is_kept(draft.guess);
        if fits {
            return Some(draft.begun);
        }
        self.wasted_tokens += draft.begun.pieces.len();
        None
    }

    /// Drops what was prepared.
    pub(super) fn drop_draft(&mut self) {
        if let Some(draft) = self.draft.take() {
            self.wasted_tokens += draft.begun.pieces.len();
        }
    }
}

/// Tells how long the model takes.
pub(super) struct Times<'a> {
    pace: &'a Pace,
    since: Instant,
    is_read: bool,
    tokens: u32,
}

impl<'a> Times<'a> {
    pub(super) fn begin(pace: &'a Pace) -> Self {
        Self { pace, since: Instant::now(), is_read: false, tokens: 0 }
    }

    /// A piece of the reply has come. `is_first`: the question has been read just before, and not what a tool has given.
    pub(super) fn token(&mut self, is_first: bool) {
        if !self.is_read {
            if is_first {
                self.pace.took(Part::Read, self.since.elapsed());
            }
            (self.is_read, self.since) = (true, Instant::now());
        }
        self.tokens += 1;
    }
}

impl Drop for Times<'_> {
    fn drop(&mut self) {
        if self.tokens > 0 {
            self.pace.took(Part::Token, self.since.elapsed() / self.tokens);
        }
    }
}

/// The clause with which a whole reply begins.
fn first_clause(reply: &str) -> Option<String> {
    let mut first = FirstClause::hasting(Haste::Phrase);
    first.push(reply).or_else(|| first.finish())
}

//! The conversation: transcripts in, the reply's text out. Composes the prompt, has the model continue it, lets it use
//! tools, and keeps the history in one session whose cache is reused from turn to turn.
//!
//! What stands in the prompt, in this order: the system text, the home's state, the history, the question. The first two
//! change seldom, the history only grows; so a question costs its own tokens and little more. After each turn, and when
//! the home changes, the new beginning is kept warm while nobody speaks. What follows a dropped turn is moved within the cache
//! rather than computed anew. Before turns have to be dropped, a summary takes their place, which is written while nobody speaks.

mod asides;
mod claims;
mod condense;
#[cfg(test)]
mod condense_tests;
mod copies;
mod draft;
mod ending;
mod forget;
mod prompt;
mod remote;
mod reply;
mod summary;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};
use nearfield_llm::{Chat, ChatOptions, LlmError, Message, SamplerOptions, SessionOptions};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::draft::Draft;
pub use self::prompt::MOST_RESULT_TOKENS;
use self::summary::{Condensing, Statement, Summary};
use crate::flow::fault::Fault;
use crate::flow::{Emit, Guesses, Stage, Turn, Turns};
use crate::llm_thread::{LlmThread, SessionId, Urgency};
use crate::messages::{Envelope, Played, TextDelta, Transcript};
use crate::remote::{Remote, RemoteOptions, When};
use crate::voice::interjection::Hold;
use crate::voice::notes::{Note, Replied};
use crate::voice::pace::Pace;
use crate::voice::tool_calls;
use crate::voice::tools::{HomeLayout, HomeThing, Matched, Toolbox};
use crate::voice::volume::Volume;

/// The shortest run of tokens that is moved within the cache. Shorter ones are as soon computed.
const LEAST_MOVED_TOKENS: usize = 24;

/// How the model is prompted.
#[derive(Clone, Debug)]
pub struct ConverseOptions {
    /// The system text, before the home's state.
    pub system: String,
    /// How the model writes tool calls, and whether it thinks.
    pub chat: ChatOptions,
    /// How the home's state is written.
    pub home: HomeLayout,
    /// The session's context and cache.
    pub session: SessionOptions,
    /// How tokens are chosen.
    pub sampler: SamplerOptions,
    /// The longest reply.
    pub max_reply_tokens: usize,
    /// So many words of a reply are said before it is asked whether to go on; 0: all of them.
    pub words_at_once: usize,
    /// Whether turns that the context has no room for are replaced by a summary.
    pub summary: bool,
    /// A larger model elsewhere, and what it may answer.
    pub remote: Option<RemoteOptions>,
}

/// A conversation that another one has taken the place of for a while.
#[derive(Debug, Default)]
pub struct History {
    exchanges: Vec<Exchange>,
    summary: Summary,
    pending: Vec<Statement>,
    condensing: Option<Condensing>,
    asked: Option<String>,
    offers_more: bool,
    last_reply: String,
}

/// One question and what followed it; dropped from the history only as a whole.
#[derive(Clone, Debug)]
struct Exchange {
    turn: Turn,
    /// Whether a remote model has answered.
    is_remote: bool,
    /// Whether something was done or looked up for it: a command, of which nothing has to be remembered.
    has_acted: bool,
    messages: Vec<Message>,
}

/// A question that leaves no room for an answer. The conversation goes on without it.
#[derive(Debug, thiserror::Error)]
#[error(
    "the prompt has {tokens} tokens but the context has room for {room}: raise llm.context_tokens or shorten the question, \
     the home or prompt.system"
)]
pub struct PromptTooLong {
    /// Tokens of the prompt without any history.
    pub tokens: usize,
    /// Tokens that it may have.
    pub room: usize,
}

/// What goes into a session's file besides the session.
#[derive(Serialize, Deserialize)]
struct Saved {
    #[serde(default)]
    summary: Summary,
    #[serde(default)]
    pending: Vec<Statement>,
    exchanges: Vec<Vec<Message>>,
    /// By exchange, whether something was done; a shorter list means that nothing was.
    #[serde(default)]
    acted: Vec<bool>,
}

/// The conversation of one flow.
pub struct Converse {
    llm: LlmThread,
    session: SessionId,
    options: ConverseOptions,
    toolbox: Toolbox,
    chat: Chat,
    /// The schemas and the home's things that the chat was made for.
    offered: (Vec<Value>, Vec<HomeThing>),
    turns: Turns,
    history: Vec<Exchange>,
    /// What is left of turns before the history.
    summary: Summary,
    /// What dropped turns stated, for the next summary.
    pending: Vec<Statement>,
    /// The summary in the making.
    condensing: Option<Condensing>,
    /// What the model is made to write as a summary.
    #[cfg(test)]
    scripted: Option<nearfield_llm::Constrained>,
    /// The last turn.
    turn: Turn,
    /// Exchanges dropped from the history, and such as a summary replaces, not yet reported.
    forgotten: usize,
    summarized: usize,
    /// The model elsewhere, where one is configured.
    remote: Option<Remote>,
    /// The wish that a question was asked back to.
    asked: Option<String>,
    /// Whether the last reply offered to go on.
    offers_more: bool,
    /// The last reply, however much of it was heard.
    last_reply: String,
    /// The guesses whose replies are begun ahead, and the reply that was.
    guesses: Guesses,
    draft: Option<Draft>,
    draft_fault: Fault,
    /// Tokens of replies that were begun ahead and dropped, not yet reported.
    wasted_tokens: usize,
    /// Whether the message under way was only a guess: no turn ends with it.
    is_guess: bool,
    /// How earlier replies fared at the loudspeaker: what was not heard must not stand in the history.
    played: Receiver<(Turn, Played)>,
    notes: Sender<Note>,
    /// Held while it is not known yet whether somebody interrupts.
    hold: Hold,
    volume: Volume,
    /// How long things take here, and when the speech ended that is answered.
    pace: Pace,
    speech_ended: Instant,
}

pub(super) use asides::dismissed;
pub(super) use copies::words as words_of;

impl Converse {
    /// Opens a session and prefills the system prompt before the first question.
    ///
    /// # Errors
    /// If the session can't be opened or the model carries no vocabulary.
    pub fn new(
        llm: LlmThread,
        options: ConverseOptions,
        toolbox: Toolbox,
        turns: Turns,
        played: Receiver<(Turn, Played)>,
        notes: Sender<Note>,
    ) -> anyhow::Result<Self> {
        let chat = Chat::new(llm.llm(), options.chat)?;
        let wanted = options.remote.clone().filter(|remote| remote.when != When::Never);
        let remote = wanted.map(Remote::new).transpose().map_err(|error| anyhow::anyhow!("remote.url: {error}"))?;
        let session = llm.open_moving(Urgency::Voice, options.session, LEAST_MOVED_TOKENS)?;
        let mut converse = Self {
            llm,
            session,
            toolbox: toolbox.laid_out(options.home),
            options,
            chat,
            offered: (Vec::new(), Vec::new()),
            turns,
            history: Vec::new(),
            summary: Summary::default(),
            pending: Vec::new(),
            condensing: None,
            #[cfg(test)]
            scripted: None,
            turn: Turn(0),
            forgotten: 0,
            summarized: 0,
            remote,
            asked: None,
            offers_more: false,
            last_reply: String::new(),
            guesses: Guesses::default(),
            draft: None,
            draft_fault: Fault::of("draft"),
            wasted_tokens: 0,
            is_guess: false,
            played,
            notes,
            hold: Hold::default(),
            volume: Volume::default(),
            pace: Pace::default(),
            speech_ended: Instant::now(),
        };
        converse.keep_warm();
        // Now, while the prompt is being read, and not when the first question waits.
        converse.chat.constraints(&tool_calls::held(&converse.offered.0, &converse.offered.1, ""));
        Ok(converse)
    }

    /// The same, which begins the replies to guesses.
    #[must_use]
    pub fn guessing(self, guesses: Guesses) -> Self {
        Self { guesses, ..self }
    }

    /// The same, which does nothing about the home while a reply is held: somebody may be about to take back what they said.
    #[must_use]
    pub fn held_by(self, hold: Hold) -> Self {
        Self { hold, ..self }
    }

    /// The same, which changes this volume when it is asked to.
    #[must_use]
    pub fn speaking_at(self, volume: Volume) -> Self {
        Self { volume, ..self }
    }

    /// The same, which keeps to a budget.
    #[must_use]
    pub fn keeping(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// The tools, with the home as it is now.
    pub fn toolbox(&self) -> &Toolbox {
        &self.toolbox
    }

    /// Writes the conversation to a file, with all that the model has read of it.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn save(&mut self, path: &Path) -> anyhow::Result<()> {
        self.take_summary();
        let saved = Saved {
            summary: self.summary.clone(),
            pending: self.pending.clone(),
            exchanges: self.history.iter().map(|exchange| exchange.messages.clone()).collect(),
            acted: self.history.iter().map(|exchange| exchange.has_acted).collect(),
        };
        Ok(self.llm.save(self.session, path, serde_json::to_vec(&saved)?)?)
    }

    /// Goes on with the conversation of a file.
    ///
    /// # Errors
    /// The file is damaged or does not fit ([`LlmError`]); the conversation then begins anew.
    pub fn restore(&mut self, path: &Path) -> Result<(), LlmError> {
        let note = self.llm.restore(self.session, path)?;
        let saved: Saved = serde_json::from_slice(&note)
            .map_err(|error| LlmError::Session { path: path.to_owned(), what: format!("its history: {error}") })?;
        self.condensing = None;
        (self.summary, self.pending) = (saved.summary, saved.pending);
        // Turns are counted from 1: what was said before this program was started cannot be interrupted any more.
        self.history = saved
            .exchanges
            .into_iter()
            .zip(saved.acted.into_iter().chain(std::iter::repeat(false)))
            .map(|(messages, has_acted)| Exchange { turn: Turn(0), is_remote: false, has_acted, messages })
            .collect();
        self.keep_warm();
        Ok(())
    }

    /// When a timer has to be looked at.
    pub fn next_timer(&self) -> Option<Instant> {
        self.toolbox.next_timer()
    }

    /// Rings the timers that have run out, where nobody listens: does what was to be done, and answers what would have been said.
    pub fn ring_due(&mut self) -> Vec<Replied> {
        let due = self.toolbox.due_timers(Instant::now());
        let rung = due.iter().map(|timer| {
            let Matched { reply, tools } = self.toolbox.ring(timer);
            Replied { reply, tools, ..Replied::default() }
        });
        rung.collect()
    }

    /// Goes on with another conversation, and leaves this one in its place.
    pub fn switch(&mut self, other: &mut History) {
        self.condensing.iter().for_each(Condensing::leave_session);
        std::mem::swap(&mut self.condensing, &mut other.condensing);
        std::mem::swap(&mut self.history, &mut other.exchanges);
        std::mem::swap(&mut self.summary, &mut other.summary);
        std::mem::swap(&mut self.pending, &mut other.pending);
        std::mem::swap(&mut self.asked, &mut other.asked);
        std::mem::swap(&mut self.offers_more, &mut other.offers_more);
        std::mem::swap(&mut self.last_reply, &mut other.last_reply);
    }
}

impl Stage for Converse {
    type In = Transcript;
    type Out = TextDelta;

    fn name(&self) -> &'static str {
        "converse"
    }

    fn step(&mut self, input: Envelope<Transcript>, emit: &mut Emit<'_, TextDelta>) -> anyhow::Result<()> {
        let Envelope { turn, body: transcript, born } = input;
        self.turn = turn;
        self.take_summary();
        self.learn_what_was_heard();
        self.toolbox.home_changed_outside();
        self.is_guess = transcript.guess.is_some();
        self.speech_ended = transcript.speech_ended;
        if let Some(guess) = transcript.guess {
            // What fails does so again when the reply is wanted, and then says so.
            if let Err(error) = self.prepare(turn, guess, &transcript.text, emit) {
                tracing::debug!(%turn, %error, "a reply could not be begun ahead");
            }
            return Ok(());
        }
        let _ = self.notes.send(Note::Heard {
            turn,
            text: transcript.text.clone(),
            suppressed: transcript.suppressed,
            speech_ended: transcript.speech_ended,
            closed: transcript.closed,
            transcribed: born,
        });
        if !transcript.text.is_empty() {
            let _ = emit(Envelope::new(turn, TextDelta::Asked(transcript.speech_ended)));
            let mut replied = self.reply(turn, transcript.text, emit)?;
            replied.ahead.wasted_tokens = std::mem::take(&mut self.wasted_tokens);
            replied.summarized = std::mem::take(&mut self.summarized);
            let _ = self.notes.send(Note::Replied { turn, replied });
        }
        self.drop_draft();
        Ok(())
    }

    fn conclude(&mut self, turn: Turn, emit: &mut Emit<'_, TextDelta>) {
        if std::mem::take(&mut self.is_guess) {
            return;
        }
        let _ = emit(Envelope::new(turn, TextDelta::End));
        self.keep_warm();
    }

    fn wake_at(&self) -> Option<Instant> {
        self.toolbox.next_timer()
    }

    fn finish(&mut self, _emit: &mut Emit<'_, TextDelta>) -> anyhow::Result<()> {
        if self.toolbox.next_timer().is_some() && !self.toolbox.timers_outlive_it() {
            tracing::warn!(
                "a timer was still running and will not ring; `home.timers` names a file in which timers survive a restart"
            );
        }
        Ok(())
    }

    fn wake(&mut self, emit: &mut Emit<'_, TextDelta>) -> anyhow::Result<()> {
        for timer in self.toolbox.due_timers(Instant::now()) {
            let turn = self.turns.begin();
            if self.hold.is_held() {
                // A reply that somebody has asked to wait does not keep an alarm from being heard.
                self.turns.silence_before(turn);
                self.hold.release();
            }
            let Matched { reply: text, tools } = self.toolbox.ring(&timer);
            let now = Instant::now();
            let _ = self.notes.send(Note::Heard {
                turn,
                text: String::new(),
                suppressed: None,
                speech_ended: now,
                closed: now,
                transcribed: now,
            });
            let replied = Replied { reply: text.clone(), tools, ..Replied::default() };
            let _ = self.notes.send(Note::Replied { turn, replied });
            let _ = emit(Envelope::new(turn, TextDelta::Text(text)));
            let _ = emit(Envelope::new(turn, TextDelta::End));
            // The alarm has ended a summary, which is begun again.
            self.turn = turn;
            self.take_summary();
            self.keep_warm();
        }
        Ok(())
    }
}

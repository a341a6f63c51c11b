//! What a conversation tells its reporter besides sound: what was heard, and what was replied.

use std::time::Instant;

use nearfield_speech::stt::Suppression;

use crate::flow::Turn;
use crate::messages::Tokens;
use crate::voice::tools::ToolResult;

/// A fact about a turn, for the one who reports on it.
#[derive(Debug)]
pub enum Note {
    /// Somebody has begun to speak.
    Speaking {
        /// Whose.
        turn: Turn,
    },
    /// The speaker has ended.
    Spoken {
        /// Whose.
        turn: Turn,
    },
    /// The question is known.
    Heard {
        /// Whose.
        turn: Turn,
        /// The words, empty where nothing was understood.
        text: String,
        /// Why nothing was understood.
        suppressed: Option<Suppression>,
        /// When the speaker ended.
        speech_ended: Instant,
        /// When it was certain that the speaker had ended.
        closed: Instant,
        /// When the transcript was there.
        transcribed: Instant,
    },
    /// The reply is complete as text.
    Replied {
        /// Whose.
        turn: Turn,
        /// The reply and its figures.
        replied: Replied,
    },
}

/// Who answered a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AnsweredBy {
    /// The language model.
    #[default]
    Llm,
    /// The sentence matcher, without the language model.
    Matcher,
    /// A remote language model (`[remote]`).
    Remote,
}

impl AnsweredBy {
    /// In reports: `llm`, `matcher`, `remote`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Llm => "llm",
            Self::Matcher => "matcher",
            Self::Remote => "remote",
        }
    }
}

/// A reply as text, and what it took.
#[derive(Debug, Default)]
pub struct Replied {
    /// What is spoken.
    pub reply: String,
    /// Who gave it.
    pub answered_by: AnsweredBy,
    /// The tools used, in order.
    pub tools: Vec<ToolResult>,
    /// What became of the tokens.
    pub tokens: Tokens,
    /// When the model's first text came.
    pub first_token: Option<Instant>,
    /// Exchanges dropped from the history to make room.
    pub forgotten: usize,
    /// Exchanges that a summary has taken the place of since the last reply.
    pub summarized: usize,
    /// Whether the reply ended at a limit instead of its own end.
    pub cut_off: bool,
    /// Whether the model repeated itself and was stopped; the reply is what was sound of it.
    pub repeated: bool,
    /// What was prepared while the speaker paused.
    pub ahead: PreparedReply,
}

/// What came of replies that were begun while the speaker paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct PreparedReply {
    /// Whether the reply had been begun when the turn ended.
    pub kept: bool,
    /// Tokens written for guesses that were wrong.
    pub wasted_tokens: usize,
}

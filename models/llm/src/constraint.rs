//! Output that cannot but fit: a JSON schema, a grammar or an expression decides before each token which tokens may follow, and the
//! sampler chooses among those. What decides is in [`guide`]; without the feature `grammar` every constraint is an error.
//!
//! A constraint holds from the beginning of a text, or, for tool calls, from each place where a trigger was written until its
//! grammar is complete; what lies between is free. Tokens need not end where a trigger ends.

#[cfg(feature = "grammar")]
mod guide;
#[cfg(not(feature = "grammar"))]
#[path = "constraint/left_out.rs"]
mod guide;

use serde::{Deserialize, Serialize};

#[cfg(feature = "grammar")]
use super::LlmError;

#[cfg(feature = "grammar")]
pub(super) use guide::Grammars;
pub(super) use guide::Guide;

/// What a text must fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// A value that a JSON schema accepts. Its key `x-guidance` may say which white space is allowed, as llguidance documents.
    JsonSchema(serde_json::Value),
    /// A context-free grammar in Lark's notation, with llguidance's extensions (`%json { ... }` holds a schema).
    Lark(String),
    /// A regular expression.
    Regex(String),
}

/// A constraint, and where it begins to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constrained {
    /// What must fit.
    pub constraint: Constraint,
    /// `None` for the whole text, which ends when it is complete. Otherwise what follows this marker must fit, each time that
    /// it is written, and the text goes on freely afterwards.
    pub after: Option<String>,
}

impl Constraint {
    fn kind(&self) -> &'static str {
        match self {
            Constraint::JsonSchema(_) => "JSON schema",
            Constraint::Lark(_) => "grammar",
            Constraint::Regex(_) => "regular expression",
        }
    }

    #[cfg(feature = "grammar")]
    fn error(&self, what: &str) -> LlmError {
        // The parser's complaints go on for lines with a picture of the grammar; the first says what is wrong.
        let line = what.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no reason was given");
        let mut line: String = line.chars().take(300).collect();
        line.truncate(line.trim_end_matches(['.', ' ']).len());
        LlmError::Constraint { kind: self.kind(), what: line }
    }
}

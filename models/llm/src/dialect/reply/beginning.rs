//! What the first characters of a text may become: a mark, JSON, a code fence, a pythonic call, or only text.

use super::{FENCE, ReplyParser};
use crate::dialect::Dialect;
use crate::dialect::marks::{self, Begin, Mark};

/// What the beginning of a text may be.
pub(super) enum Begins {
    Mark(&'static Mark),
    Json,
    Fence,
    Python,
    Recipient,
    /// Not decided yet.
    Open,
    Text,
}

impl ReplyParser {
    pub(super) fn begins(&self) -> Begins {
        let raw = self.raw.as_str();
        let open = match marks::begin(raw, self.dialect) {
            Begin::Mark(mark) => return Begins::Mark(mark),
            Begin::Part => true,
            Begin::Other => false,
        };
        if self.dialect == Dialect::FunctionaryRecipient {
            if raw == ">>>" {
                return Begins::Recipient;
            }
            if ">>>".starts_with(raw) {
                return Begins::Open;
            }
        }
        if raw == FENCE {
            return Begins::Fence;
        }
        if FENCE.starts_with(raw) {
            return Begins::Open;
        }
        let first = raw.chars().next().unwrap_or_default();
        match first {
            '{' => return Begins::Json,
            '[' => {
                let inner = raw[1..].trim_start_matches(char::is_whitespace);
                if inner.starts_with('{') {
                    return Begins::Json;
                }
                if inner.is_empty() && raw.len() < 64 || self.may_be_python(inner) {
                    return if inner.ends_with('(') { Begins::Python } else { Begins::Open };
                }
            }
            c if self.line_start && (c.is_alphabetic() || c == '_') && self.may_be_python(raw) => {
                return if raw.ends_with('(') { Begins::Python } else { Begins::Open };
            }
            _ => {}
        }
        if open { Begins::Open } else { Begins::Text }
    }

    /// Whether a text is `name(` of a tool, or the beginning of that; `print(` and `api.` may stand before it.
    fn may_be_python(&self, text: &str) -> bool {
        if text.is_empty() {
            return false;
        }
        let text = text.rsplit_once('.').map_or(text, |(owner, text)| {
            let plain = !owner.is_empty() && owner.len() < 64 && owner.chars().all(|c| c.is_alphanumeric() || c == '_');
            if plain { text } else { "?" }
        });
        let tools = self.tools.iter().map(|tool| tool.name.as_str());
        tools.chain(["print"]).any(|name| match text.strip_suffix('(') {
            Some(whole) => whole == name,
            None => name.starts_with(text),
        })
    }
}

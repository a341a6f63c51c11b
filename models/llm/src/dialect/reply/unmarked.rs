//! Calls without marks, which stand in the text: JSON, a code fence, `name(key=value)`. They count where they name a tool that there is.

use super::{FENCE, ReplyParser};
use crate::dialect::bodies::{self, Ending, Read};
use crate::dialect::json_scan::Scanned;
use crate::dialect::marks::{self, Begin};
use crate::dialect::{MAX_CALL_BYTES, markup, pythonic};

impl ReplyParser {
    pub(super) fn feed_json(&mut self, c: char, text: &mut String) -> bool {
        let was_string = self.scan.in_string();
        let scanned = self.scan.push(c);
        if scanned == Scanned::Bad || !self.first_key_may_be_of_a_call(was_string) {
            return true;
        }
        if scanned == Scanned::Done {
            let raw = self.raw.clone();
            let read = bodies::is_call(&raw, &self.tools).then(|| bodies::json(&raw, &self.tools, Ending::Closed));
            match read {
                Some(Ok(read)) => {
                    self.leave();
                    self.after_call = !read.calls.is_empty();
                    self.keep(read, text);
                }
                Some(Err(reason)) => {
                    self.leave();
                    self.complain(reason);
                }
                None => self.release(text),
            }
        } else if self.raw.len() > MAX_CALL_BYTES {
            self.release(text);
        }
        false
    }

    /// Looks at the first key until it is whole.
    fn first_key_may_be_of_a_call(&self, was_string: bool) -> bool {
        let inner = self.raw.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '[' | '{'));
        if inner.is_empty() {
            return true;
        }
        let Some(key) = inner.strip_prefix('"') else { return false };
        match key.split_once('"') {
            None => bodies::may_begin(key, false, &self.tools),
            // Once is enough, when the key has just ended.
            Some((key, after)) => !was_string || !after.is_empty() || bodies::may_begin(key, true, &self.tools),
        }
    }

    /// Whether JSON that is not whole was to become a call.
    pub(super) fn is_json_call(&self, raw: &str) -> bool {
        let names = raw.contains("\"name\"") || raw.contains("\"service\"") || raw.contains("\"function\"");
        let has_arguments =
            ["\"arguments\"", "\"parameters\"", "\"target_device\""].iter().any(|key| raw.contains(key));
        let known = self.tools.iter().any(|tool| raw.contains(&format!("\"{}\"", tool.name)));
        raw.starts_with(['{', '[']) && (known || names && has_arguments)
    }

    pub(super) fn feed_fence(&mut self, c: char, text: &mut String) -> bool {
        let (kind, body) = fence_parts(&self.raw);
        let begun = self.raw[FENCE.len()..].contains(['\n', '{', '[', ' ']);
        let kinds = [
            "",
            "json",
            "tool_code",
            "tool_call",
            "function_call",
            "homeassistant",
            "python",
            "xml",
            "tool_calls",
            "js",
        ];
        let begins_well = |body: &str| {
            let body = body.trim_start();
            body.is_empty()
                || body.starts_with(['{', '[']) && !matches!(marks::begin(body, self.dialect), Begin::Mark(_))
                || pythonic_start(body, kind == "tool_code" || kind == "python")
        };
        if !begun && kinds.iter().all(|known| !known.starts_with(kind))
            || begun && !kinds.contains(&kind)
            || !begins_well(body)
        {
            self.in_fence = true;
            // The fence itself is text; what stands within it is looked at no more than other text.
            self.again = self.raw.split_off(FENCE.len());
            self.release(text);
            return false;
        }
        if c == '`' && self.raw.len() > FENCE.len() * 2 && self.raw.ends_with(FENCE) {
            match self.fenced(&self.raw) {
                Some(read) => {
                    self.leave();
                    self.keep(read, text);
                }
                None => self.release(text),
            }
        } else if self.raw.len() > MAX_CALL_BYTES {
            self.in_fence = true;
            self.release(text);
        }
        false
    }

    /// The calls of a whole fence.
    pub(super) fn fenced(&self, raw: &str) -> Option<Read> {
        let (kind, body) = fence_parts(raw);
        let body = body.trim_end();
        let body = body.strip_suffix(FENCE).unwrap_or(body);
        let ending = if raw.len() > FENCE.len() * 2 && raw.ends_with(FENCE) { Ending::Closed } else { Ending::Open };
        markup::fenced(kind, body, &self.tools, ending)
    }

    pub(super) fn feed_python(&mut self, text: &mut String) -> bool {
        let (depth, in_string) = brackets(&self.raw);
        if self.raw.len() > MAX_CALL_BYTES {
            return true;
        }
        if depth > 0 || in_string {
            return false;
        }
        match pythonic::calls(&self.raw, &self.tools) {
            Ok(calls) => {
                self.leave();
                self.keep(Read { calls, say: String::new() }, text);
                false
            }
            Err(_) => true,
        }
    }
}

/// The kind of a fence and what stands in it, as far as it has been read.
pub(super) fn fence_parts(raw: &str) -> (&str, &str) {
    let rest = raw.strip_prefix(FENCE).unwrap_or(raw);
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
    rest.split_at(end)
}

/// Whether a text may be the beginning of `name(`.
fn pythonic_start(text: &str, named: bool) -> bool {
    let name = text.split('(').next().unwrap_or_default();
    (named || name.len() < 65) && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))
        || text.starts_with(FENCE)
        || FENCE.starts_with(text)
}

/// How many brackets are open at the end of a text, and whether it ends within a string.
fn brackets(text: &str) -> (usize, bool) {
    let (mut depth, mut quote, mut escaped) = (0usize, None, false);
    for c in text.chars() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if open == c => quote = None,
            Some(_) => {}
            None => match c {
                '"' | '\'' => quote = Some(c),
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            },
        }
    }
    (depth, quote.is_some())
}

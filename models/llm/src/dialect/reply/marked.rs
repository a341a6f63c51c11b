//! What stands between a dialect's marks: a call, a thought, and the headers that name a call or a recipient.

use super::{ReplyParser, State};
use crate::dialect::bodies::{self, Ending, Read};
use crate::dialect::json_scan::{JsonScan, Scanned};
use crate::dialect::marks::{Body, Kind, Mark};
use crate::dialect::{MAX_CALL_BYTES, pythonic};

/// The longest header of a message of harmony, and the longest line that names a recipient, in bytes.
const MAX_HEADER_BYTES: usize = 256;

impl ReplyParser {
    /// A header is no text.
    pub(super) fn feed_header(&mut self) -> bool {
        const END: &str = "<|message|>";
        let Some(header) = self.raw.strip_suffix(END) else {
            if self.raw.len() > MAX_HEADER_BYTES {
                // No header is that long: it was text.
                return true;
            }
            return false;
        };
        let header = header.to_owned();
        let channel = header.split("<|channel|>").last().unwrap_or_default().trim();
        self.leave();
        if let Some(name) = self.recipient(&header) {
            self.raw = format!("{name}\n");
            self.state = State::Message;
        } else if channel.starts_with("analysis") {
            self.thinks = true;
            self.state = State::Thought(None);
        }
        false
    }

    /// The tool that a header names: not all that messages are sent to are tools.
    fn recipient<'a>(&self, header: &'a str) -> Option<&'a str> {
        header.split("to=").skip(1).find_map(|to| {
            let to = to.split(|c: char| c.is_whitespace() || c == '<').next().unwrap_or_default();
            let is_offered = self.tools.iter().any(|tool| tool.name == to);
            to.strip_prefix("functions.").or(is_offered.then_some(to))
        })
    }

    /// Whether a header that the end of the reply cut is text: `to=functions.` is a mark of letters, and anybody may write of it.
    pub(super) fn is_text_header(&self, raw: &str) -> bool {
        let name = raw.strip_prefix(" to=functions.").and_then(|name| name.split([' ', '<']).next());
        name.is_some_and(|name| !self.tools.iter().any(|tool| tool.name.starts_with(name)))
    }

    pub(super) fn feed_recipient(&mut self, c: char) -> bool {
        if c != '\n' {
            return self.raw.len() > MAX_HEADER_BYTES;
        }
        let name = self.raw.trim().to_owned();
        if name == "all" {
            self.leave();
            return false;
        }
        if self.tools.iter().any(|tool| tool.name == name) {
            self.state = State::RecipientCall;
            return false;
        }
        true
    }

    /// Takes a character within a call or a thought.
    pub(super) fn feed_inside(&mut self, c: char) {
        if self.raw.len() < MAX_CALL_BYTES {
            self.raw.push(c);
        } else {
            self.too_long = true;
            self.scan = JsonScan::default();
            // Enough is kept to find the closing mark.
            let keep = self.raw.ceil_char_boundary(self.raw.len() - MAX_CALL_BYTES / 2);
            self.raw.drain(..keep);
            self.raw.push(c);
        }
        match self.state {
            State::Thought(mark) => {
                let ends = |close: &&&str| self.raw.ends_with(**close);
                let closes: &[&str] = match mark {
                    Some(mark) => mark.close,
                    None => &[
                        "</think>",
                        "<|end|>",
                        "<channel|>",
                        "</seed:think>",
                        "[/THINK]",
                        "[BEGIN FINAL RESPONSE]",
                        "<|END_THINKING|>",
                        "<|inner_suffix|>",
                        "</reasoning>",
                        "</thinking>",
                    ],
                };
                if closes.iter().any(|close| ends(&close)) {
                    self.leave();
                } else if self.raw.len() > 64 {
                    let keep = self.raw.ceil_char_boundary(self.raw.len() - 32);
                    self.raw.drain(..keep);
                }
            }
            State::Message => {
                if let Some(at) =
                    ["<|call|>", "<|end|>", "<|return|>"].iter().find_map(|end| self.raw.strip_suffix(end))
                {
                    let raw = at.to_owned();
                    self.read_message(&raw);
                    self.leave();
                }
            }
            State::RecipientCall => {
                if let Some(raw) = self.raw.strip_suffix(">>>").map(str::to_owned) {
                    self.read_message(&raw);
                    self.leave();
                    self.state = State::Recipient;
                }
            }
            State::Call(mark) => self.feed_call(mark, c),
            _ => {}
        }
    }

    fn feed_call(&mut self, mark: &'static Mark, c: char) {
        let Kind::Call(body) = mark.kind else { return };
        let is_json = matches!(body, Body::Any | Body::Json | Body::Mistral)
            && self.raw.trim_start().starts_with(['{', '['])
            && pythonic::begins(&self.raw).is_none();
        let scanned = if is_json && !self.too_long { self.scan.push(c) } else { Scanned::More };
        let ends_itself = mark.close.is_empty() || body == Body::Mistral && is_json || body == Body::Json;
        if scanned == Scanned::Done && ends_itself {
            let raw = std::mem::take(&mut self.raw);
            self.leave();
            self.read_call(mark, &raw, Ending::Closed);
            return;
        }
        if self.scan.in_string() {
            return;
        }
        // A second opening mark ends a call that was never closed; Mistral's separate calls.
        let again = self.raw.strip_suffix(mark.open).filter(|_| body != Body::Function);
        let closed = mark.close.iter().find_map(|close| self.raw.strip_suffix(close));
        if let Some(raw) = closed.or(again) {
            let (raw, opens) = (raw.to_owned(), closed.is_none());
            let ending = if opens && body != Body::Mistral { Ending::Next } else { Ending::Closed };
            let too_long = self.too_long;
            self.leave();
            self.too_long = too_long;
            self.read_call(mark, &raw, ending);
            self.too_long = false;
            if opens {
                self.state = State::Call(mark);
            }
        }
    }

    pub(super) fn read_call(&mut self, mark: &Mark, raw: &str, ending: Ending) {
        let Kind::Call(body) = mark.kind else { return };
        if self.too_long {
            self.complain(format!("a tool call was longer than {MAX_CALL_BYTES} bytes"));
            return;
        }
        match bodies::read(body, raw, &self.tools, ending) {
            Ok(read) => {
                // What is said between the marks of a call is not for the ear.
                self.keep(Read { say: String::new(), ..read }, &mut String::new());
            }
            Err(reason) => self.complain(reason),
        }
    }

    /// A call whose name stands in the first line.
    pub(super) fn read_message(&mut self, raw: &str) {
        let (name, arguments) = raw.split_once('\n').unwrap_or((raw, ""));
        match bodies::with_arguments(name, arguments) {
            _ if self.too_long => self.complain(format!("a tool call was longer than {MAX_CALL_BYTES} bytes")),
            Ok(call) => self.keep(Read { calls: vec![call], say: String::new() }, &mut String::new()),
            Err(reason) => self.complain(reason),
        }
    }
}

/// The text without a closing mark of which only the beginning was written.
pub(super) fn without_part<'a>(raw: &'a str, closes: &[&str]) -> &'a str {
    let part = |close: &&str| {
        (1..close.len()).rev().filter(|n| close.is_char_boundary(*n)).find(|n| raw.ends_with(&close[..*n]))
    };
    raw.len().checked_sub(closes.iter().filter_map(part).max().unwrap_or(0)).map_or(raw, |end| &raw[..end])
}

//! Takes tool calls and thoughts out of a reply while it is being written. What is left is the reply's text, passed on as soon
//! as it is certain to be none of a call; the calls are handed over at the end.
//!
//! The parser reads character by character, so that what it finds does not depend on how the text came in. It knows the marks
//! of all dialects, and without marks it takes JSON, code fences and pythonic calls for calls where they name a tool that there
//! is. Text that only begins like a call is given back as text.

mod beginning;
mod marked;
mod unmarked;

use super::bodies::{self, Ending, Read};
use super::json_scan::JsonScan;
use super::marks::{Kind, Mark};
use super::{Dialect, MAX_CALLS, ToolCall, ToolSchema, pythonic};
use beginning::Begins;
use marked::without_part;
use unmarked::fence_parts;

const FENCE: &str = "```";

/// The streaming parser of one reply.
#[derive(Debug)]
pub struct ReplyParser {
    dialect: Dialect,
    tools: Vec<ToolSchema>,
    state: State,
    /// What has been read of what may become something else than text.
    raw: String,
    scan: JsonScan,
    /// Whether `raw` was too long to be kept.
    too_long: bool,
    /// Nothing but white space stands in the text's last line so far.
    line_start: bool,
    /// What of a fence is to be looked at again.
    again: String,
    /// A code fence was opened in the text: the next one closes it.
    in_fence: bool,
    /// JSON that was a call has just ended: what separates it from the next one is no text.
    after_call: bool,
    calls: Vec<ToolCall>,
    broken: Vec<String>,
    thinks: bool,
}

/// What a whole reply held besides the text that [`ReplyParser::push`] has already passed on.
#[derive(Debug, Default, PartialEq)]
pub struct ParsedReply {
    /// Text that was held back as the possible beginning of a call.
    pub rest: String,
    /// The calls in the order of the reply.
    pub calls: Vec<ToolCall>,
    /// What stood where a call belongs but was none: one sentence each, for the log and for the model.
    pub broken: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// `raw` may be the beginning of a mark, of JSON, of a fence or of a pythonic call.
    Text,
    /// Within a call, up to its closing mark.
    Call(&'static Mark),
    /// Within a thought; `None` where the prompt has opened it.
    Thought(Option<&'static Mark>),
    /// Within harmony's header.
    Header,
    /// The arguments of harmony's call; the header stands at the beginning of `raw`, up to a line break.
    Message,
    /// JSON that stands in the text.
    Json,
    /// A code fence.
    Fence,
    /// `name(…)` or `[name(…)…`.
    Python,
    /// Functionary's recipient, up to the line's end.
    Recipient,
    /// The arguments of Functionary's call; as in `Message`.
    RecipientCall,
}

impl ReplyParser {
    /// A parser at the beginning of a reply. `thinks`: the prompt has opened a thought already.
    pub fn new(dialect: Dialect, tools: Vec<ToolSchema>, thinks: bool) -> ReplyParser {
        let state = match (thinks, dialect) {
            (true, _) => State::Thought(None),
            (false, Dialect::FunctionaryRecipient) => State::Recipient,
            _ => State::Text,
        };
        ReplyParser {
            dialect,
            tools,
            state,
            raw: String::new(),
            scan: JsonScan::default(),
            too_long: false,
            line_start: true,
            again: String::new(),
            in_fence: false,
            after_call: false,
            calls: Vec::new(),
            broken: Vec::new(),
            thinks,
        }
    }

    /// Takes the next piece of the reply and gives back what is text.
    pub fn push(&mut self, delta: &str) -> String {
        let mut text = String::new();
        for c in delta.chars() {
            self.feed(c, &mut text);
        }
        text
    }

    /// Whether a call has begun: nothing may be said to be finished before its result is there.
    pub fn has_call(&self) -> bool {
        !self.calls.is_empty() || matches!(self.state, State::Call(_) | State::Message | State::RecipientCall)
    }

    /// Whether the model thinks at the moment.
    pub fn is_thinking(&self) -> bool {
        matches!(self.state, State::Thought(_))
    }

    /// Whether a thought stood in the reply, or stands before it in the prompt.
    pub fn has_thought(&self) -> bool {
        self.thinks
    }

    /// Ends the reply. A call whose closing mark is missing counts when it is whole.
    pub fn finish(mut self) -> ParsedReply {
        let mut rest = String::new();
        self.end(&mut rest);
        ParsedReply { rest, calls: self.calls, broken: self.broken }
    }

    fn end(&mut self, rest: &mut String) {
        let raw = std::mem::take(&mut self.raw);
        match self.state {
            State::Header if self.is_text_header(&raw) => rest.push_str(&raw),
            State::Thought(_) | State::Header => {}
            State::Text => rest.push_str(&raw),
            State::Recipient if self.dialect == Dialect::FunctionaryRecipient && raw.trim() == "all" => {}
            State::Recipient => rest.push_str(&raw),
            State::Call(mark) => {
                // Within a text that was never closed even the closing mark is part of it, unless nothing else closes it.
                let cut = mark.close.iter().filter_map(|close| Some((raw.find(close)?, close.len()))).min();
                match cut {
                    Some((at, len)) if self.scan.in_string() => {
                        let after = raw[at + len..].to_owned();
                        self.read_call(mark, &raw[..at], Ending::Closed);
                        self.leave();
                        for c in after.chars() {
                            self.feed(c, rest);
                        }
                        self.end(rest);
                    }
                    _ => {
                        let whole = without_part(&raw, mark.close);
                        // A single character may begin something else.
                        let ending = if whole.len() + 1 < raw.len() { Ending::Half } else { Ending::Open };
                        self.read_call(mark, whole, ending);
                    }
                }
            }
            State::Message | State::RecipientCall if bodies::has_arguments(&raw) => self.read_message(&raw),
            State::Message | State::RecipientCall => {
                self.complain(format!("a tool call is not whole: {}", super::clipped(&raw)));
            }
            State::Json if self.is_json_call(&raw) => match bodies::json(&raw, &self.tools, Ending::Open) {
                Ok(read) => self.keep(read, rest),
                Err(reason) => self.complain(reason),
            },
            State::Python if pythonic::calls(&raw, &self.tools).is_ok() => {
                let calls = pythonic::calls(&raw, &self.tools).unwrap_or_default();
                self.keep(Read { calls, say: String::new() }, rest);
            }
            State::Fence => match self.fenced(&raw) {
                Some(read) => self.keep(read, rest),
                None if self.is_json_call(fence_parts(&raw).1.trim_start()) => {
                    self.complain(format!("a tool call is not whole: {}", super::clipped(&raw)));
                }
                None => rest.push_str(&raw),
            },
            State::Json | State::Python => rest.push_str(&raw),
        }
        self.state = State::Text;
    }

    /// Takes one character; characters that were held back and are only text are looked at again from the second on.
    fn feed(&mut self, c: char, text: &mut String) {
        let mut again = vec![c];
        while let Some(c) = again.pop() {
            if !matches!(
                self.state,
                State::Text | State::Json | State::Fence | State::Python | State::Header | State::Recipient
            ) {
                self.feed_inside(c);
                continue;
            }
            self.raw.push(c);
            let is_text = match self.state {
                State::Json => self.feed_json(c, text),
                State::Fence => self.feed_fence(c, text),
                State::Python => self.feed_python(text),
                State::Header => self.feed_header(),
                State::Recipient => self.feed_recipient(c),
                _ => self.feed_text(text),
            };
            again.extend(std::mem::take(&mut self.again).chars().rev());
            if is_text {
                // The first character is text; what follows it may begin something.
                let raw = std::mem::take(&mut self.raw);
                let mut chars = raw.chars();
                text.extend(chars.next().inspect(|c| self.pass(*c)));
                again.extend(chars.rev());
                self.leave();
            }
        }
    }

    /// Notes a character of the text.
    fn pass(&mut self, c: char) {
        self.line_start = c == '\n' || self.line_start && c.is_whitespace();
    }

    /// Gives back all that was held as text.
    fn release(&mut self, text: &mut String) {
        let raw = std::mem::take(&mut self.raw);
        raw.chars().for_each(|c| self.pass(c));
        text.push_str(&raw);
        self.leave();
    }

    /// Back to text.
    fn leave(&mut self) {
        self.state = State::Text;
        self.raw.clear();
        self.scan = JsonScan::default();
        self.too_long = false;
    }

    /// Returns whether the first character of `raw` is text.
    fn feed_text(&mut self, text: &mut String) -> bool {
        if self.after_call && !self.raw.trim().is_empty() {
            // Also a bracket too many.
            self.after_call = matches!(self.raw.as_str(), ";" | "," | "}");
            if self.after_call {
                self.raw.clear();
                return false;
            }
        }
        match self.begins() {
            Begins::Open => return false,
            Begins::Text => return true,
            Begins::Fence if self.in_fence => {
                // This one closes a fence of the text.
                self.in_fence = false;
                self.release(text);
                return false;
            }
            Begins::Fence => self.state = State::Fence,
            Begins::Python => self.state = State::Python,
            Begins::Recipient => {
                self.raw.clear();
                self.state = State::Recipient;
            }
            Begins::Json => {
                self.state = State::Json;
                for c in self.raw.clone().chars() {
                    self.scan.push(c);
                }
            }
            Begins::Mark(mark) => {
                self.raw.clear();
                self.state = match mark.kind {
                    Kind::Nothing => State::Text,
                    Kind::Header => {
                        // A recipient stands in the mark itself.
                        self.raw.push_str(if mark.open.contains("to=") { mark.open } else { "" });
                        State::Header
                    }
                    Kind::Call(_) => {
                        if mark.open.ends_with('[') {
                            self.raw.push('[');
                            self.scan.push('[');
                        }
                        State::Call(mark)
                    }
                    Kind::Thought => {
                        self.thinks = true;
                        State::Thought(Some(mark))
                    }
                };
            }
        }
        false
    }

    fn keep(&mut self, read: Read, text: &mut String) {
        text.push_str(&read.say);
        read.say.chars().for_each(|c| self.pass(c));
        for call in read.calls {
            if self.calls.len() < MAX_CALLS {
                self.calls.push(call);
            } else {
                self.complain(format!("more than {MAX_CALLS} tool calls in one reply"));
            }
        }
    }

    fn complain(&mut self, sentence: String) {
        if self.broken.len() < MAX_CALLS {
            self.broken.push(sentence);
        }
    }
}

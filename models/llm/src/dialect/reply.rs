//! Takes tool calls and thoughts out of a reply while it is being written. What is left is the reply's text, passed on as soon
//! as it is certain to be none of a call; the calls are handed over at the end.
//!
//! The parser reads character by character, so that what it finds does not depend on how the text came in. It knows the marks
//! of all dialects, and without marks it takes JSON, code fences and pythonic calls for calls where they name a tool that there
//! is. Text that only begins like a call is given back as text.

use super::bodies::{self, Read};
use super::json_scan::{JsonScan, Scanned};
use super::marks::{self, Begin, Body, Kind, Mark};
use super::{Dialect, MAX_CALL_BYTES, MAX_CALLS, ToolCall, ToolSchema, markup, pythonic};

/// The longest header of a message of harmony, and the longest first line of a code fence, in bytes.
const MAX_HEADER_BYTES: usize = 256;

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

/// What the beginning of a text may be.
enum Begins {
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
                        self.read_call(mark, &raw[..at]);
                        self.leave();
                        for c in after.chars() {
                            self.feed(c, rest);
                        }
                        self.end(rest);
                    }
                    _ => self.read_call(mark, without_part(&raw, mark.close)),
                }
            }
            State::Message | State::RecipientCall => self.read_message(&raw),
            State::Json if self.is_json_call(&raw) => match bodies::json(&raw, &self.tools) {
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

    /// Whether JSON that is not whole was to become a call.
    fn is_json_call(&self, raw: &str) -> bool {
        let names = raw.contains("\"name\"") || raw.contains("\"service\"") || raw.contains("\"function\"");
        let has_arguments =
            ["\"arguments\"", "\"parameters\"", "\"target_device\""].iter().any(|key| raw.contains(key));
        let known = self.tools.iter().any(|tool| raw.contains(&format!("\"{}\"", tool.name)));
        raw.starts_with(['{', '[']) && (known || names && has_arguments)
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

    fn begins(&self) -> Begins {
        let raw = self.raw.as_str();
        let open = match marks::begin(raw) {
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

    /// Returns whether the first character of `raw` is text.
    fn feed_text(&mut self, text: &mut String) -> bool {
        if self.after_call && !self.raw.trim().is_empty() {
            // Also a bracket too many, a slip of the pen.
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
                    Kind::Header => State::Header,
                    Kind::Call(_) => State::Call(mark),
                    Kind::Thought => {
                        self.thinks = true;
                        State::Thought(Some(mark))
                    }
                };
            }
        }
        false
    }

    fn feed_json(&mut self, c: char, text: &mut String) -> bool {
        let was_string = self.scan.in_string();
        let scanned = self.scan.push(c);
        if scanned == Scanned::Bad || !self.first_key_may_be_of_a_call(was_string) {
            return true;
        }
        if scanned == Scanned::Done {
            let raw = self.raw.clone();
            let read = bodies::is_call(&raw, &self.tools).then(|| bodies::json(&raw, &self.tools));
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

    fn feed_fence(&mut self, c: char, text: &mut String) -> bool {
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
                || body.starts_with(['{', '['])
                || pythonic_start(body, kind == "tool_code" || kind == "python")
        };
        if !begun && kinds.iter().all(|known| !known.starts_with(kind))
            || begun && !kinds.contains(&kind)
            || !begins_well(body)
        {
            self.in_fence = true;
            // The fence itself is text; what stands within it is looked at no more than other text.
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
    fn fenced(&self, raw: &str) -> Option<Read> {
        let (kind, body) = fence_parts(raw);
        let body = body.trim_end();
        let body = body.strip_suffix(FENCE).unwrap_or(body);
        markup::fenced(kind, body, &self.tools)
    }

    fn feed_python(&mut self, text: &mut String) -> bool {
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

    /// A header is no text.
    fn feed_header(&mut self) -> bool {
        const END: &str = "<|message|>";
        let Some(header) = self.raw.strip_suffix(END) else {
            if self.raw.len() > MAX_HEADER_BYTES {
                self.leave();
            }
            return false;
        };
        let header = header.split("<|channel|>").last().unwrap_or_default().trim().to_owned();
        self.leave();
        if let Some((_, to)) = header.split_once("to=") {
            let to = to.split([' ', '<']).next().unwrap_or_default();
            let name = to.strip_prefix("functions.").unwrap_or(to);
            self.raw = format!("{name}\n");
            self.state = State::Message;
        } else if header.starts_with("analysis") {
            self.thinks = true;
            self.state = State::Thought(None);
        }
        false
    }

    fn feed_recipient(&mut self, c: char) -> bool {
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
    fn feed_inside(&mut self, c: char) {
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
            self.read_call(mark, &raw);
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
            let too_long = self.too_long;
            self.leave();
            self.too_long = too_long;
            self.read_call(mark, &raw);
            self.too_long = false;
            if opens {
                self.state = State::Call(mark);
            }
        }
    }

    fn read_call(&mut self, mark: &Mark, raw: &str) {
        let Kind::Call(body) = mark.kind else { return };
        if self.too_long {
            self.complain(format!("a tool call was longer than {MAX_CALL_BYTES} bytes"));
            return;
        }
        match bodies::read(body, raw, &self.tools) {
            Ok(read) => {
                // What is said between the marks of a call is not for the ear.
                self.keep(Read { say: String::new(), ..read }, &mut String::new());
            }
            Err(reason) => self.complain(reason),
        }
    }

    /// A call whose name stands in the first line.
    fn read_message(&mut self, raw: &str) {
        let (name, arguments) = raw.split_once('\n').unwrap_or((raw, ""));
        match bodies::with_arguments(name, arguments) {
            _ if self.too_long => self.complain(format!("a tool call was longer than {MAX_CALL_BYTES} bytes")),
            Ok(call) => self.keep(Read { calls: vec![call], say: String::new() }, &mut String::new()),
            Err(reason) => self.complain(reason),
        }
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

/// The kind of a fence and what stands in it, as far as it has been read.
fn fence_parts(raw: &str) -> (&str, &str) {
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

/// The text without a closing mark of which only the beginning was written.
fn without_part<'a>(raw: &'a str, closes: &[&str]) -> &'a str {
    let part = |close: &&str| {
        (1..close.len()).rev().filter(|n| close.is_char_boundary(*n)).find(|n| raw.ends_with(&close[..*n]))
    };
    raw.len().checked_sub(closes.iter().filter_map(part).max().unwrap_or(0)).map_or(raw, |end| &raw[..end])
}

//! Reads calls that are written as in Python: `[set_light(room="kitchen", state='on'), clock()]`, alone, in a list, or within
//! `print(…)`.

use serde_json::{Map, Number, Value};

use super::{ToolCall, ToolSchema, clipped};

/// Deeper values are no argument.
const MOST_DEPTH: usize = 32;

/// The name of the first call, where a text begins with one (or with a list of them).
pub(super) fn begins(text: &str) -> Option<&str> {
    let text = text.trim_start().trim_start_matches('[').trim_start();
    let end = text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-')))?;
    let name = &text[..end];
    let first = name.chars().next()?;
    (text[end..].starts_with('(') && (first.is_alphabetic() || first == '_')).then_some(name)
}

/// All calls of a text.
///
/// # Errors
/// One sentence: why it is none.
pub(super) fn calls(text: &str, tools: &[ToolSchema]) -> Result<Vec<ToolCall>, String> {
    let mut reader = Reader { rest: text.trim(), tools };
    let mut calls = Vec::new();
    let listed = reader.take('[');
    loop {
        while reader.take(',') || reader.take(';') {}
        if reader.rest.is_empty() || listed && reader.take(']') {
            break;
        }
        match reader.call(&mut calls, 0) {
            Some(()) => {}
            None => return Err(format!("a tool call cannot be read: {}", clipped(text))),
        }
    }
    if calls.is_empty() { Err(format!("a tool call names no tool: {}", clipped(text))) } else { Ok(calls) }
}

struct Reader<'a> {
    rest: &'a str,
    tools: &'a [ToolSchema],
}

impl<'a> Reader<'a> {
    /// Takes a character, with the white space before and after it, if it comes next.
    fn take(&mut self, c: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn name(&mut self) -> Option<&'a str> {
        self.rest = self.rest.trim_start();
        let end =
            self.rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!name.is_empty()).then_some(name)
    }

    fn call(&mut self, calls: &mut Vec<ToolCall>, depth: usize) -> Option<()> {
        let written = self.name()?;
        if !self.take('(') {
            return None;
        }
        let known = |name: &str| self.tools.iter().find(|tool| tool.name == name);
        if written == "print" && known("print").is_none() && depth < 4 {
            self.call(calls, depth + 1)?;
            return self.take(')').then_some(());
        }
        // `api.set_light(…)` and `brave_search.call(…)`
        let (first, last) =
            (written.split('.').next().unwrap_or_default(), written.rsplit('.').next().unwrap_or_default());
        let name = [written, last, first].into_iter().find(|name| known(name).is_some()).unwrap_or(written);
        let positional: Vec<&str> = known(name).map(|tool| tool.argument_names().collect()).unwrap_or_default();
        let mut arguments = Map::new();
        let mut at = 0;
        while !self.take(')') {
            let before = self.rest;
            let key = self.name().filter(|_| self.take('=')).map(str::to_owned);
            let key = match key {
                Some(key) => key,
                None => {
                    self.rest = before;
                    let key = (*positional.get(at)?).to_owned();
                    at += 1;
                    key
                }
            };
            let value = self.value(0)?;
            arguments.insert(key, value);
            if !self.take(',') && !self.rest.starts_with(')') {
                return None;
            }
        }
        calls.push(ToolCall { name: name.to_owned(), arguments: Value::Object(arguments) });
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MOST_DEPTH {
            return None;
        }
        self.rest = self.rest.trim_start();
        match self.rest.chars().next()? {
            quote @ ('"' | '\'') => self.string(quote).map(Value::String),
            opening @ ('[' | '(') => {
                self.take(opening);
                let closing = if opening == '[' { ']' } else { ')' };
                let mut values = Vec::new();
                while !self.take(closing) {
                    values.push(self.value(depth + 1)?);
                    if !self.take(',') && !self.rest.starts_with(closing) {
                        return None;
                    }
                }
                Some(Value::Array(values))
            }
            '{' => {
                self.take('{');
                let mut object = Map::new();
                while !self.take('}') {
                    let Value::String(key) = self.value(depth + 1)? else { return None };
                    if !self.take(':') {
                        return None;
                    }
                    let value = self.value(depth + 1)?;
                    object.insert(key, value);
                    if !self.take(',') && !self.rest.starts_with('}') {
                        return None;
                    }
                }
                Some(Value::Object(object))
            }
            _ => {
                let end = self.rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '+')));
                let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                self.rest = rest;
                match word {
                    "True" | "true" => Some(Value::Bool(true)),
                    "False" | "false" => Some(Value::Bool(false)),
                    "None" | "null" => Some(Value::Null),
                    number => number
                        .parse::<i64>()
                        .map(Number::from)
                        .ok()
                        .or_else(|| Number::from_f64(number.parse().ok()?))
                        .map(Value::Number),
                }
            }
        }
    }

    fn string(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => {
                    let escape = chars.next()?.1;
                    let digits = match escape {
                        'x' => 2,
                        'u' => 4,
                        'U' => 8,
                        '0'..='7' => {
                            let rest: String = self.rest[at + 1..].chars().take(3).collect();
                            let octal = rest.split(|c| !matches!(c, '0'..='7')).next()?;
                            for _ in 1..octal.len() {
                                chars.next();
                            }
                            text.push(char::from_u32(u32::from_str_radix(octal, 8).ok()?)?);
                            continue;
                        }
                        _ => 0,
                    };
                    if digits > 0 {
                        let mut code = hex(&mut chars, digits)?;
                        // Python has no such pairs, but models that have learned JSON write them.
                        if digits == 4 && matches!(code, 0xd800..=0xdbff) {
                            let mut next = chars.clone();
                            let begins = next.next().is_some_and(|(_, c)| c == '\\')
                                && next.next().is_some_and(|(_, c)| c == 'u');
                            let low = begins.then(|| hex(&mut next, 4)).flatten();
                            if let Some(low @ 0xdc00..=0xdfff) = low {
                                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                                chars = next;
                            }
                        }
                        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                        continue;
                    }
                    // As in Python, what is no escape stays as it is; so do names of characters, `\N{…}`.
                    if !"ntrbfav'\"\\\n".contains(escape) {
                        text.push('\\');
                    }
                    text.push(match escape {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        'b' => '\u{8}',
                        'f' => '\u{c}',
                        'a' => '\u{7}',
                        'v' => '\u{b}',
                        '\n' => continue,
                        other => other,
                    });
                }
                c if c == quote => {
                    self.rest = &self.rest[at + c.len_utf8()..];
                    return Some(text);
                }
                c => text.push(c),
            }
        }
        None
    }
}

/// The number that so many hexadecimal digits write.
fn hex(chars: &mut impl Iterator<Item = (usize, char)>, digits: usize) -> Option<u32> {
    let digits: String = chars.take(digits).map(|(_, c)| c).collect();
    u32::from_str_radix(&digits, 16).ok()
}

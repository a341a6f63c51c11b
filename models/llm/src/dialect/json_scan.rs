//! Where a JSON object or array ends, character by character.

/// Follows brackets and strings.
#[derive(Debug, Clone, Default)]
pub(super) struct JsonScan {
    open: Vec<char>,
    in_string: bool,
    escaped: bool,
    begun: bool,
}

/// What a character did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scanned {
    /// The value goes on.
    More,
    /// The value is complete with this character.
    Done,
    /// This can be no JSON.
    Bad,
}

/// Deeper values are no call.
const MOST_DEPTH: usize = 64;

impl JsonScan {
    /// Takes the next character; white space before the value is passed over.
    pub fn push(&mut self, c: char) -> Scanned {
        if self.in_string {
            match c {
                _ if self.escaped => self.escaped = false,
                '\\' => self.escaped = true,
                '"' => self.in_string = false,
                _ => {}
            }
            return Scanned::More;
        }
        match c {
            '{' | '[' if self.open.len() < MOST_DEPTH => {
                self.open.push(if c == '{' { '}' } else { ']' });
                self.begun = true;
            }
            '}' | ']' => {
                if self.open.pop() != Some(c) {
                    return Scanned::Bad;
                }
                if self.open.is_empty() {
                    return Scanned::Done;
                }
            }
            c if c.is_whitespace() => {}
            _ if !self.begun => return Scanned::Bad,
            '"' => self.in_string = true,
            ':' | ',' | '-' | '+' | '.' | '_' => {}
            c if c.is_alphanumeric() => {}
            _ => return Scanned::Bad,
        }
        Scanned::More
    }

    /// Whether the last character stands within a string.
    pub fn in_string(&self) -> bool {
        self.in_string
    }

    /// What is missing to close all that is open; `None` within a string.
    pub fn closers(&self) -> Option<String> {
        (!self.in_string).then(|| self.open.iter().rev().collect())
    }
}

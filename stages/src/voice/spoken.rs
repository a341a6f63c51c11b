//! What of a reply is for the ear: between the conversation and the clauses, this takes out what nobody would say aloud. JSON,
//! code, tags and special tokens, thoughts, Markdown's marks and the names of roles disappear, a URL becomes its host, a link its
//! text. Emoji and the marks within words are left to the clauses.
//!
//! The filter reads character by character and holds back only what it cannot judge yet, so that what is said does not depend
//! on how the text came in. The transcript keeps the text as it was written.

/// The longest tag, link or object that is held back to be judged, in characters.
const MOST_HELD: usize = 400;

/// Elements whose content is not for the ear.
const SILENT: [&str; 16] = [
    "think",
    "thinking",
    "reasoning",
    "tool_call",
    "tool_calls",
    "tool_response",
    "tools",
    "function",
    "function_call",
    "script",
    "style",
    "code",
    "pre",
    "functioncall",
    "invoke",
    "parameter",
];

/// Names of roles, as models write them at the beginning of a line.
const ROLES: [&str; 9] = ["assistant", "user", "system", "tool", "model", "human", "ai", "bot", "ipython"];

/// The streaming filter of one reply.
#[derive(Debug)]
pub struct SpokenFilter {
    state: State,
    held: String,
    /// The last character that was passed on; a line break at the beginning.
    last: char,
    /// A space after a word, held back in case that what follows is taken out up to a punctuation mark.
    space: bool,
    /// Whether something was taken out after that space.
    taken_out: bool,
    /// Whether anything but white space came in.
    heard: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Text,
    /// `<` and what follows, up to `>`.
    Tag,
    /// Silent, up to this text.
    Until(String),
    /// Silent, up to where all brackets are closed.
    Json {
        depth: usize,
        in_string: bool,
        escaped: bool,
    },
    /// `{` and what follows, up to `}`.
    Brace,
    /// `[` and what follows, up to `]`.
    Bracket,
    /// What follows `]`: the address of a link, or something else.
    LinkBegins,
    /// The address of a link, up to `)`.
    Link,
    /// An address, up to white space.
    Url,
    /// A word at the beginning of a line.
    Word,
    /// `&` and what follows, up to `;`.
    Entity,
}

impl Default for SpokenFilter {
    fn default() -> Self {
        SpokenFilter {
            state: State::Text,
            held: String::new(),
            last: '\n',
            space: false,
            taken_out: false,
            heard: false,
        }
    }
}

impl SpokenFilter {
    /// A filter at the beginning of a reply.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece of the reply and gives back what may be spoken.
    pub fn push(&mut self, delta: &str) -> String {
        let mut out = String::new();
        for c in delta.chars() {
            self.heard |= !c.is_whitespace();
            self.feed(c, &mut out);
        }
        out
    }

    /// Ends the reply: what was held back and may be spoken.
    pub fn finish(&mut self) -> String {
        let mut out = String::new();
        loop {
            let held = std::mem::take(&mut self.held);
            match std::mem::replace(&mut self.state, State::Text) {
                State::Text | State::Word | State::Entity if !is_role(held.trim_end_matches(':')) => {
                    held.chars().for_each(|c| self.plain(c, &mut out));
                }
                State::Url => self.pass_host(&held, &mut out),
                // What turns out to be no object, list or link is looked at again without its bracket.
                State::Bracket | State::Brace | State::LinkBegins if !is_code(&held) => {
                    held.trim_start_matches(['[', '{']).chars().for_each(|c| self.feed(c, &mut out));
                    continue;
                }
                _ => {}
            }
            if std::mem::take(&mut self.space) {
                out.push(' ');
            }
            return out;
        }
    }

    /// Whether the reply held anything but white space.
    pub fn has_heard(&self) -> bool {
        self.heard
    }

    fn feed(&mut self, c: char, out: &mut String) {
        let mut again = vec![c];
        while let Some(c) = again.pop() {
            let rest = self.take(c, out);
            again.extend(rest.chars().rev());
        }
    }

    /// Takes one character; what it returns is to be looked at again.
    fn take(&mut self, c: char, out: &mut String) -> String {
        match &mut self.state {
            State::Text => return self.take_text(c, out),
            State::Until(close) => {
                self.held.push(c);
                if self.held.ends_with(close.as_str()) {
                    self.leave();
                } else if self.held.len() > 64 + close.len() {
                    let keep = self.held.ceil_char_boundary(self.held.len() - close.len());
                    self.held.drain(..keep);
                }
            }
            State::Json { depth, in_string, escaped } => {
                match c {
                    _ if *escaped => *escaped = false,
                    '\\' if *in_string => *escaped = true,
                    '"' => *in_string = !*in_string,
                    '{' | '[' if !*in_string => *depth += 1,
                    '}' | ']' if !*in_string => *depth = depth.saturating_sub(1),
                    _ => {}
                }
                if *depth == 0 {
                    self.leave();
                    self.gap();
                }
            }
            State::Tag => return self.take_tag(c, out),
            State::Brace | State::Bracket => return self.take_bracket(c, out),
            State::LinkBegins => {
                let text = std::mem::take(&mut self.held);
                self.state = State::Text;
                if c == '(' {
                    self.state = State::Link;
                } else if c == '[' && !text.is_empty() {
                    self.state = State::Until("]".to_owned());
                } else {
                    return text + c.encode_utf8(&mut [0; 4]);
                }
                text_of_link(&text).chars().for_each(|c| self.pass(c, out));
                return String::new();
            }
            State::Link => {
                self.held.push(c);
                if matches!(c, ')' | '\n') || self.held.len() > MOST_HELD {
                    self.leave();
                }
            }
            State::Url => {
                if c.is_whitespace()
                    || matches!(c, '<' | '>' | '"' | '|' | '`' | '{' | '}')
                    || self.held.len() > MOST_HELD
                {
                    let url = std::mem::take(&mut self.held);
                    self.state = State::Text;
                    self.pass_host(&url, out);
                    return c.to_string();
                }
                self.held.push(c);
            }
            State::Word => return self.take_word(c, out),
            State::Entity => {
                self.held.push(c);
                if c == ';' {
                    let entity = std::mem::take(&mut self.held);
                    self.state = State::Text;
                    let text = match entity.as_str() {
                        "&amp;" => "&",
                        "&nbsp;" => " ",
                        "&quot;" => "\"",
                        "&apos;" | "&#39;" => "'",
                        _ => "",
                    };
                    text.chars().for_each(|c| self.pass(c, out));
                } else if !(c.is_ascii_alphanumeric() || c == '#') || self.held.len() > 8 {
                    let held = std::mem::take(&mut self.held);
                    self.state = State::Text;
                    self.pass('&', out);
                    return held[1..].to_owned();
                }
            }
        }
        String::new()
    }

    fn leave(&mut self) {
        self.state = State::Text;
        self.held.clear();
    }

    /// What was taken out parts words.
    fn gap(&mut self) {
        self.taken_out = true;
        if !self.last.is_whitespace() {
            self.last = '\u{1}';
        }
    }

    fn pass(&mut self, c: char, out: &mut String) {
        let joins = matches!(c, '.' | ',' | '!' | '?' | ';' | ':');
        let follows_gap = std::mem::take(&mut self.taken_out);
        if c == ' ' && self.last.is_alphanumeric() {
            (self.space, self.last) = (true, ' ');
            return;
        }
        if std::mem::take(&mut self.space) && !(joins && follows_gap) {
            out.push(' ');
        }
        // A gap that was left in the middle of a line.
        if self.last == '\u{1}' && !c.is_whitespace() && !joins {
            out.push(' ');
        }
        out.push(c);
        self.last = c;
    }

    fn pass_host(&mut self, url: &str, out: &mut String) {
        let end = url.trim_end_matches(['.', ',', '!', '?', ';', ':', ')', ']', '\'', '*', '_']);
        let address = end.split_once("://").map_or(end, |(_, address)| address);
        let host = address.split(['/', '?', '#', ':']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        let host = host.strip_prefix("www.").unwrap_or(host);
        host.chars().filter(|c| c.is_alphanumeric() || matches!(c, '.' | '-')).for_each(|c| self.pass(c, out));
        url[end.len()..].chars().filter(|c| !matches!(c, ']' | '*' | '_')).for_each(|c| self.pass(c, out));
    }

    fn take_text(&mut self, c: char, out: &mut String) -> String {
        // Held: the beginning of an address or of a fence, none of which is longer than this.
        if !self.held.is_empty() {
            self.held.push(c);
            let held = self.held.clone();
            const BEGINNINGS: [&str; 6] = ["```", "~~~", "https://", "http://", "ftp://", "www."];
            let lower = held.to_lowercase();
            if let Some(whole) = BEGINNINGS.iter().find(|whole| **whole == lower) {
                self.held.clear();
                if whole.starts_with(['`', '~']) {
                    self.state = State::Until((*whole).to_owned());
                    self.gap();
                } else {
                    self.state = State::Url;
                    self.held = held;
                }
                return String::new();
            }
            if BEGINNINGS.iter().any(|whole| whole.starts_with(&lower)) {
                return String::new();
            }
            self.held.clear();
            let mut chars = held.chars();
            if let Some(first) = chars.next() {
                self.plain(first, out);
            }
            return chars.collect();
        }
        let word_begins = !self.last.is_alphanumeric();
        let line_begins = self.last == '\n';
        match c {
            '<' => self.state = State::Tag,
            '{' => self.state = State::Brace,
            '[' => self.state = State::Bracket,
            '&' => self.state = State::Entity,
            '`' | '~' => {}
            // An address may follow a letter without a space; "www." after one is a drawn-out word.
            'h' | 'H' | 'f' | 'F' if !line_begins => {}
            'w' | 'W' if word_begins && !line_begins => {}
            c if line_begins && c.is_alphabetic() => self.state = State::Word,
            c => {
                self.plain(c, out);
                return String::new();
            }
        }
        self.held.push(c);
        String::new()
    }

    /// A character that begins nothing.
    fn plain(&mut self, c: char, out: &mut String) {
        match c {
            '`' | '~' | '\\' => {}
            '|' | '<' | '>' | '{' | '}' | '[' | ']' | '｜' => self.gap(),
            // Within a name it parts words; elsewhere it is emphasis.
            '_' => self.gap(),
            c => self.pass(c, out),
        }
    }

    fn take_word(&mut self, c: char, out: &mut String) -> String {
        if c.is_alphabetic() && self.held.len() < 16 {
            self.held.push(c);
            return String::new();
        }
        let word = std::mem::take(&mut self.held);
        self.state = State::Text;
        if is_role(&word) && matches!(c, ':' | '\n') {
            // The line goes on as if it began here.
            return if c == '\n' { c.to_string() } else { String::new() };
        }
        let lower = word.to_lowercase();
        if ["http", "https", "ftp", "www"].contains(&lower.as_str()) && matches!(c, ':' | '.') {
            self.held = word;
            // As in the middle of a line.
            return c.to_string();
        }
        // An address may begin within it.
        let mut rest = word.chars();
        if let Some(first) = rest.next() {
            self.pass(first, out);
        }
        rest.chain([c]).collect()
    }

    fn take_tag(&mut self, c: char, out: &mut String) -> String {
        let inner = &self.held[1..];
        let begins = inner.is_empty() && (c.is_alphabetic() || matches!(c, '/' | '|' | '!' | '?' | '｜'));
        if inner.is_empty() && !begins {
            // "5 < 6": a sign that is read aloud.
            self.leave();
            if c.is_whitespace() || c.is_ascii_digit() {
                self.pass('<', out);
            } else {
                self.gap();
            }
            return c.to_string();
        }
        if c == '>' {
            let name: String = inner.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let closes_itself = inner.ends_with('/');
            self.leave();
            self.gap();
            if SILENT.contains(&name.as_str()) && !closes_itself {
                self.state = State::Until(format!("</{name}>"));
            }
            return String::new();
        }
        if c == '\n' || c == '<' || self.held.len() > MOST_HELD {
            let held = std::mem::take(&mut self.held);
            self.state = State::Text;
            self.gap();
            // What is no tag is said without the mark.
            return held[1..].to_owned() + c.encode_utf8(&mut [0; 4]);
        }
        self.held.push(c);
        String::new()
    }

    fn take_bracket(&mut self, c: char, out: &mut String) -> String {
        let is_brace = self.state == State::Brace;
        let inner = self.held[1..].trim_start();
        if inner.is_empty() && (c == '"' || c == '{' || c == '[' && !is_brace || c == '\'') {
            let depth = 1 + usize::from(matches!(c, '{' | '['));
            self.leave();
            self.state = State::Json { depth, in_string: c == '"', escaped: false };
            return String::new();
        }
        let closes = c == if is_brace { '}' } else { ']' };
        let line_ends = c == '\n' && !inner.is_empty();
        let is_over = closes || line_ends || self.held.len() >= MOST_HELD || matches!(c, '{' | '[');
        if !is_over {
            self.held.push(c);
            return String::new();
        }
        let held = std::mem::take(&mut self.held);
        self.state = State::Text;
        let inner = &held[1..];
        if is_code(inner) || (!is_brace && is_mark(inner)) {
            self.gap();
            // Something that goes on over several lines is silent up to its end.
            if !closes {
                self.state = State::Json { depth: 1, in_string: false, escaped: false };
                return c.to_string();
            }
            return String::new();
        }
        if closes && !is_brace {
            self.held = inner.to_owned();
            self.state = State::LinkBegins;
            return String::new();
        }
        let _ = out;
        self.gap();
        if closes { inner.to_owned() } else { inner.to_owned() + c.encode_utf8(&mut [0; 4]) }
    }
}

/// The text of a link is said.
fn text_of_link(text: &str) -> String {
    let text: String =
        text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '.' | ',' | '\'' | '-' | '%' | '°')).collect();
    text.trim().to_owned()
}

fn is_role(word: &str) -> bool {
    ROLES.contains(&word.trim().to_lowercase().as_str())
}

/// What stands in brackets and is no prose: an assignment, a call, a pair.
fn is_code(inner: &str) -> bool {
    inner.contains(['"', '=', '{', '}', ';']) || inner.contains("':") || pair(inner)
}

/// `name: value`
fn pair(inner: &str) -> bool {
    inner.split_once(':').is_some_and(|(name, _)| {
        let name = name.trim().trim_start_matches(['[', '{']);
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
    })
}

/// `[INST]`, `[/INST]`, `[TOOL_CALLS]`, `[1]`
fn is_mark(inner: &str) -> bool {
    let inner = inner.trim().trim_start_matches(['/', '^']);
    !inner.is_empty()
        && (inner.chars().all(|c| c.is_ascii_uppercase() || c == '_') && inner.len() > 2
            || inner.chars().all(|c| c.is_ascii_digit() || matches!(c, ',' | ' ')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::clauses::ClauseSplitter;
    use proptest::prelude::*;

    fn spoken_in<'a>(pieces: impl Iterator<Item = &'a str>) -> String {
        let mut filter = SpokenFilter::new();
        let mut out: String = pieces.map(|piece| filter.push(piece)).collect();
        out.push_str(&filter.finish());
        out
    }

    /// As the synthesizer gets it.
    fn said(text: &str) -> String {
        let mut splitter = ClauseSplitter::new();
        let mut clauses = Vec::new();
        splitter.push(&spoken_in(std::iter::once(text)), |clause| clauses.push(clause));
        splitter.finish(|clause| clauses.push(clause));
        clauses.join(" ")
    }

    #[test]
    fn what_nobody_would_say_aloud_is_taken_out() {
        for (text, expected) in [
            (r#"{"name": "set_light", "arguments": {"room": "kitchen", "state": "on"}}"#, ""),
            (r#"Sure. {"name": "set_light", "arguments": {"room": "kitchen"}} Done."#, "Sure. Done."),
            ("[{\"name\": \"clock\", \"parameters\": {}}]", ""),
            ("[set_light(room=\"kitchen\", state='on')]", ""),
            ("```json\n{\"a\": 1}\n```\nIt is on.", "It is on."),
            ("```python\nprint('hello')\n```", ""),
            ("<think>The user wants light.</think>Yes.", "Yes."),
            ("<tool_call>{}</tool_call>Yes.", "Yes."),
            ("<|im_start|>assistant\nIt is on.<|im_end|>", "It is on."),
            ("<b>Bold</b> and <br/>more.", "Bold and more."),
            ("assistant: It is on.", "It is on."),
            ("User: Hello.\nAssistant: Hi!", "Hello. Hi!"),
            ("The user is here.", "The user is here."),
            ("See https://www.example.org/a/b?c=1.", "See example.org."),
            ("Look at [our page](https://example.org/x) now.", "Look at our page now."),
            ("[INST] Hello [/INST] there", "Hello there"),
            ("**Bold**, _soft_ and `set_light`.", "Bold, soft and set light."),
            ("It is {warm}.", "It is warm."),
            ("Is 5 < 6 and 7 > 3?", "Is 5 < 6 and 7 3?"),
            ("Tom &amp; Jerry & co.", "Tom & Jerry & co."),
            ("| Room | Light |\n|---|---|\n| hall | on |", "Room Light hall on"),
            ("Good 👍🏽 morning ☀️.", "Good morning."),
            ("{'room': 'kitchen'}", ""),
            ("{\n  \"room\": \"hall\"\n}", ""),
            ("As of today [1], it rains [2, 3].", "As of today, it rains."),
            ("~~No~~ yes", "No yes"),
            ("http://192.168.1.5:8080/x is the address", "192.168.1.5 is the address"),
        ] {
            assert_eq!(said(text), expected, "{text:?}");
        }
    }

    #[test]
    fn prose_passes_unchanged() {
        for text in [
            "It is 21.5 degrees in the kitchen, and the front door is locked.",
            "Yes! Really? No: it's off (as of 10:30).",
            "Warm; 20 % humidity, -3 °C, 5 € and 1/2.",
            "Ünïcode, 日本語。 Wie geht's?",
            "What, who, where, how; he waits for www and http.",
        ] {
            assert_eq!(spoken_in(std::iter::once(text)), text);
        }
    }

    proptest! {
        #[test]
        fn no_markup_reaches_the_synthesizer_whatever_is_written_and_however_it_is_cut(
            parts in prop::collection::vec(prop::sample::select(vec![
                "It is on. ", "Yes, ", "21.5 ", "{\"name\": \"set_light\", \"arguments\": {\"room\": \"hall\"}}", "{\"a\": ", "{", "}", "[", "]",
                "[{\"name\": \"x\"}]", "```json\n", "```", "`", "<think>", "</think>", "<tool_call>", "</tool_call>", "<|im_start|>",
                "<|im_end|>", "assistant\n", "user: ", "\n", "**", "# ", "- ", "_", "👍", "https://a.example/b?c=d ", "<", ">", "|", "\"", "'",
                "set_light(room=\"hall\")", "[INST]", "&lt;", "&", "<function=x>", "é", "(", ")", "(https://x.example)", ":", "$", "\\",
            ]), 0..30),
            any in "\\PC{0,40}",
            sizes in prop::collection::vec(1usize..9, 1..20),
        ) {
            let text = parts.concat() + &any;
            let whole = spoken_in(std::iter::once(text.as_str()));
            let chars: Vec<char> = text.chars().collect();
            let (mut pieces, mut at, mut size) = (Vec::new(), 0, sizes.iter().cycle());
            while at < chars.len() {
                let end = chars.len().min(at + size.next().unwrap());
                pieces.push(chars[at..end].iter().collect::<String>());
                at = end;
            }
            prop_assert_eq!(&spoken_in(pieces.iter().map(String::as_str)), &whole);
            let said = said(&text);
            for mark in ["{", "}", "[", "]", "<t", "</", "<|", "|>", "```", "`", "**", "://", "|", "_", "👍", "&lt;", "\\"] {
                prop_assert!(!said.contains(mark), "{mark:?} in {said:?} of {text:?}");
            }
        }
    }
}

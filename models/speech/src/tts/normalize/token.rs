//! Text taken apart at white space: each word with the marks before and behind it.

/// A word with its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'t> {
    /// Opening brackets, quotes and the like.
    pub lead: &'t str,
    /// The word, the number or the sign.
    pub core: &'t str,
    /// Punctuation and closing marks.
    pub trail: &'t str,
    /// Whether a line begins here, other than the first.
    pub begins_line: bool,
    /// Whether it is the first of its line.
    pub is_first: bool,
}

impl Token<'_> {
    pub fn ends_sentence(&self) -> bool {
        self.trail.contains(['.', '!', '?', ';'])
    }
}

fn opens(c: char) -> bool {
    matches!(c, '(' | '[' | '{' | '"' | '\'' | '“' | '‘' | '«' | '¿' | '¡' | '*' | '_' | '`')
}

fn closes(c: char) -> bool {
    matches!(
        c,
        '.' | ',' | ';' | ':' | '!' | '?' | ')' | ']' | '}' | '"' | '\'' | '”' | '’' | '»' | '…' | '*' | '_' | '`'
    )
}

/// The words of a text.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut out = Vec::new();
    let mut is_quoted = false;
    for (n, line) in text.lines().filter(|line| !line.trim().is_empty()).enumerate() {
        for (i, word) in line.split_whitespace().enumerate() {
            let mut token = token(word, is_quoted);
            is_quoted ^= word.matches('"').count() % 2 == 1 && !token.core.contains('"');
            (token.begins_line, token.is_first) = (n > 0 && i == 0, i == 0);
            out.push(token);
        }
    }
    out
}

fn token(word: &str, is_quoted: bool) -> Token<'_> {
    let strike = word.trim_start_matches("~~");
    let inner = strike.trim_start_matches(opens);
    // A quote before a decade belongs to it: '90s.
    let lead = &word[..word.len() - inner.len()];
    let core = inner.trim_end_matches("~~").trim_end_matches(closes);
    let mut end = core.len();
    // 27" and 6'2": behind a digit, and not the end of what a quote began, these are inches and feet.
    if core.ends_with(|c: char| c.is_ascii_digit())
        && let Some(mark @ ('"' | '\'' | '’')) = inner[end..].chars().next()
        && !lead.contains(mark)
        && !lead.contains(['‘', '“'])
        && !(mark == '"' && is_quoted)
    {
        end += mark.len_utf8();
    }
    if core.is_empty() {
        // Only marks: a sign such as `*`, an ellipsis, a bracket.
        let is_sign = !word.is_empty() && word.chars().all(|c| c == '*');
        return Token {
            lead: "",
            core: if is_sign { word } else { "" },
            trail: if is_sign { "" } else { word },
            begins_line: false,
            is_first: false,
        };
    }
    let trail = inner[end..].trim_end_matches("~~");
    Token { lead, core: &inner[..end], trail, begins_line: false, is_first: false }
}

/// The text with `[words](address)` as the words.
pub(super) fn without_links(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(middle) = rest.find("](") {
        let begin = rest[..middle].rfind('[');
        let end = rest[middle..].find(')').map(|end| middle + end);
        match (begin, end) {
            (Some(begin), Some(end)) if !rest[middle..end].contains(char::is_whitespace) => {
                out += rest[..begin].strip_suffix('!').unwrap_or(&rest[..begin]);
                out += &rest[begin + 1..middle];
                rest = &rest[end + 1..];
            }
            _ => {
                out += &rest[..middle + 2];
                rest = &rest[middle + 2..];
            }
        }
    }
    out + rest
}

/// The text without the narrow spaces between thousands, which would part the number.
pub(super) fn with_whole_numbers(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let is_digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
    let mut out = String::with_capacity(text.len());
    for (at, c) in chars.iter().enumerate() {
        let is_narrow = matches!(c, '\u{202f}' | '\u{a0}' | '\u{2009}');
        let parts_thousands = at > 0 && is_digit(at - 1) && (at + 1..at + 4).all(is_digit) && !is_digit(at + 4);
        if !(is_narrow && parts_thousands) {
            out.push(*c);
        }
    }
    out
}

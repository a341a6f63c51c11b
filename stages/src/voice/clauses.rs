//! Cuts a reply into clauses while it is being written, between the generate and the speak stage: the first clause
//! leaves early, so that sound begins while the model still writes; later ones may be longer, so that they sound
//! better. Marks that cannot be spoken (Markdown, emoji, control characters) are taken out here. Spelling out numbers
//! and abbreviations is left to the speech synthesizer.
//!
//! A cut is decided only when the first character *after* it is known, and character by character, so that "21." is
//! never cut before its "5" arrives and the clauses do not depend on how the text came in. With language models this
//! costs nothing: their tokens bring the space together with the next word.

mod haste;

pub use haste::Haste;

/// The first clause may end at a comma or the like from this many characters and [`FIRST_WORDS`] words on: about one
/// second of speech, long enough for the second clause to be synthesized meanwhile, and not a lone "Yes,".
pub const FIRST_CHARS: usize = 12;

/// See [`FIRST_CHARS`].
pub const FIRST_WORDS: usize = 3;

/// Later clauses end with their sentence, but from this many characters on also at a comma or the like.
pub const LONG_CHARS: usize = 60;

/// A clause without any mark is cut at a space from this many characters on.
pub const HARD_CHARS: usize = 200;

/// A clause without even a space is cut anywhere at this length, so that memory and delay are bounded.
pub const MAX_CHARS: usize = 1000;

/// The streaming splitter of one reply after another.
#[derive(Debug, Default)]
pub struct ClauseSplitter {
    haste: Haste,
    cleaner: Cleaner,
    clause: Clause,
    /// Whether a clause of this reply has left already.
    begun: bool,
}

impl ClauseSplitter {
    /// A splitter at the start of a reply.
    pub fn new() -> Self {
        Self::default()
    }

    /// A splitter whose first clauses leave so early: they may end before a phrase, with a comma.
    pub fn hasting(haste: Haste) -> Self {
        Self { haste, ..Self::default() }
    }

    /// Has the first clause of the reply under way leave so early, if it has not left yet.
    pub fn haste(&mut self, haste: Haste) {
        self.haste = haste;
    }

    /// Takes the next piece of the reply and hands each clause that is complete to `sink`.
    pub fn push(&mut self, delta: &str, mut sink: impl FnMut(String)) {
        let Self { haste, cleaner, clause, begun } = self;
        for c in delta.chars() {
            cleaner.push(c, |piece| {
                if !*begun && matches!(piece, Piece::Char { spaced: true, .. }) {
                    clause.leave_before_phrase(*haste, begun, &mut sink);
                }
                place(clause, begun, piece, &mut sink);
            });
        }
    }

    /// Ends the reply: hands over what is left, and is ready for the next one.
    pub fn finish(&mut self, mut sink: impl FnMut(String)) {
        let Self { cleaner, clause, begun, .. } = self;
        cleaner.finish(|piece| place(clause, begun, piece, &mut sink));
        clause.leave(begun, &mut sink);
        self.clear();
    }

    /// Forgets the reply under way.
    pub fn clear(&mut self) {
        *self = Self { haste: self.haste, ..Self::default() };
    }
}

/// What the cleaner passes on.
#[derive(Debug, Clone, Copy)]
enum Piece {
    /// A character, and whether white space stood before it.
    Char {
        spaced: bool,
        c: char,
    },
    Newline,
}

fn place(clause: &mut Clause, begun: &mut bool, piece: Piece, sink: &mut impl FnMut(String)) {
    match piece {
        Piece::Newline => {
            clause.leave(begun, sink);
            clause.brackets = 0;
        }
        Piece::Char { spaced, c } => {
            if clause.ends_before(c, spaced, *begun) {
                clause.leave(begun, sink);
            }
            clause.push(c, spaced);
        }
    }
}

/// The clause that is being filled.
#[derive(Debug, Default)]
struct Clause {
    text: String,
    chars: usize,
    words: usize,
    /// Opening brackets that are not closed yet.
    brackets: usize,
}

impl Clause {
    fn push(&mut self, c: char, spaced: bool) {
        if spaced && !self.text.is_empty() {
            self.text.push(' ');
            self.chars += 1;
        }
        if spaced || self.text.is_empty() {
            self.words += 1;
        }
        match c {
            '(' | '[' | '{' | '（' | '「' | '『' => self.brackets += 1,
            ')' | ']' | '}' | '）' | '」' | '』' => self.brackets = self.brackets.saturating_sub(1),
            _ => {}
        }
        self.text.push(c);
        self.chars += 1;
    }

    fn leave(&mut self, begun: &mut bool, sink: &mut impl FnMut(String)) {
        let text = std::mem::take(&mut self.text);
        self.chars = 0;
        self.words = 0;
        if text.chars().any(is_spoken) {
            *begun = true;
            sink(text);
        }
    }

    /// Lets what stands before the last word go, if that word is complete and begins a phrase. A comma stands in its place, so that the
    /// voice does not fall as at the end.
    fn leave_before_phrase(&mut self, haste: Haste, begun: &mut bool, sink: &mut impl FnMut(String)) {
        if self.brackets > 0 {
            return;
        }
        let Some((before, last)) = haste.cut(&self.text, self.words) else { return };
        let last = last.to_owned();
        self.text = format!("{before},");
        self.leave(begun, sink);
        (self.chars, self.words) = (last.chars().count(), 1);
        self.text = last;
    }

    /// Whether a cut belongs between what is here and `next`.
    fn ends_before(&self, next: char, spaced: bool, begun: bool) -> bool {
        if self.chars >= MAX_CHARS {
            return true;
        }
        let core = self.text.trim_end_matches(is_closer);
        let Some(last) = core.chars().last() else { return false };
        let wide = is_wide_mark(last);
        if !(spaced || wide || matches!(last, '—')) || is_closer(next) && !spaced || is_mark(next) {
            return false;
        }
        if !self.text.chars().any(is_spoken) {
            return false;
        }
        let long = self.chars >= LONG_CHARS;
        if spaced && self.chars >= HARD_CHARS && !(last.is_ascii_digit() && next.is_ascii_digit()) {
            return true;
        }
        if self.brackets > 0 && !long {
            return false;
        }
        match last {
            '。' | '！' | '？' => true,
            '!' | '?' | '…' | '.' => {
                let quoted = core.len() < self.text.len();
                let goes_on = next.is_lowercase() && (quoted || last != '!' && last != '?');
                spaced && !goes_on && (last != '.' || ends_sentence(core, next))
            }
            ',' | ';' | ':' | '–' | '—' | '-' | '、' | '，' | '；' | '：' => {
                let dash = matches!(last, '-' | '–');
                let before = core[..core.len() - last.len_utf8()].chars().last();
                if dash && (before != Some(' ') || next.is_ascii_digit()) {
                    return false; // a hyphen, a minus or a range
                }
                let early = if wide {
                    self.chars >= FIRST_CHARS / 2
                } else {
                    self.words >= FIRST_WORDS && self.chars >= FIRST_CHARS
                };
                long || (!begun && early)
            }
            _ => false,
        }
    }
}

/// Whether the full stop at the end of `text`, followed by white space and `next`, ends a sentence.
pub(super) fn ends_sentence(text: &str, next: char) -> bool {
    let word = text.rsplit(|c: char| c.is_whitespace()).next().unwrap_or(text);
    let word = word.trim_start_matches(|c: char| !c.is_alphanumeric());
    let stem = word.trim_end_matches('.');
    if word.len() - stem.len() > 1 {
        return true; // an ellipsis; a lower-case letter after it was ruled out before
    }
    // "1. Open the door": the number of a list item belongs to its text.
    if text.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return false;
    }
    let mut letters = stem.chars();
    if let (Some(initial), None) = (letters.next(), letters.next())
        && initial.is_alphabetic()
        && initial != 'I'
    {
        return false; // "J. Smith"
    }
    let dotted = stem.contains('.')
        && stem.split('.').all(|part| part.chars().count() == 1 && part.chars().all(char::is_alphabetic));
    if dotted {
        return false; // "a.m.", "e.g.", "U.S."
    }
    const BEFORE_NAMES: [&str; 25] = [
        "mr", "mrs", "ms", "dr", "prof", "st", "sr", "jr", "gen", "col", "lt", "capt", "sgt", "gov", "sen", "rev",
        "hon", "mt", "vs", "etc", "approx", "ca", "cf", "dept", "ph.d",
    ];
    const BEFORE_NUMBERS: [&str; 31] = [
        "no", "nos", "nr", "vol", "fig", "art", "apt", "rm", "ext", "tel", "pp", "ch", "sec", "jan", "feb", "mar",
        "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec", "mon", "tue", "tues", "thu", "thurs", "fri",
    ];
    let stem = stem.to_lowercase();
    let names_follow = BEFORE_NAMES.contains(&stem.as_str());
    let number_follows = next.is_ascii_digit() && BEFORE_NUMBERS.contains(&stem.as_str());
    !(names_follow || number_follows)
}

/// Takes out what is not speech and folds white space; a state machine over characters.
#[derive(Debug)]
struct Cleaner {
    /// White space stands before the next character.
    space: bool,
    /// A symbol was taken out since the last character: it parts words, but leaves no gap before a mark.
    symbol: bool,
    line_start: bool,
    /// A mark whose meaning the next character decides: a bullet or a minus, emphasis or a multiplication.
    held: Option<char>,
}

impl Default for Cleaner {
    fn default() -> Self {
        Self { space: false, symbol: false, line_start: true, held: None }
    }
}

impl Cleaner {
    fn push(&mut self, c: char, mut pass: impl FnMut(Piece)) {
        if let Some(held) = self.held.take() {
            let bullet = self.line_start && c.is_whitespace();
            let times = held == '*' && !self.line_start && c.is_whitespace();
            if times || (held != '*' && !bullet) {
                self.pass(held, &mut pass);
            }
        }
        match c {
            '\n' | '\r' | '\u{85}' | '\u{b}' | '\u{c}' | '\u{2028}' | '\u{2029}' => {
                *self = Self::default();
                pass(Piece::Newline);
            }
            c if c.is_whitespace() => self.space = true,
            '`' | '•' => {}
            '#' if self.line_start => {}
            '*' if self.line_start || self.space => self.held = Some(c),
            '*' => {}
            '-' | '+' | '>' if self.line_start => self.held = Some(c),
            // The joiner of emoji; within words of some scripts it is a letter's shape and stays.
            '\u{200d}' if self.symbol => {}
            // Letters and digits in circles or squares are read aloud, so they stay.
            c if is_symbol(c) && !c.is_alphanumeric() => self.symbol = true,
            c if c.is_control() || is_invisible(c) => {}
            c => self.pass(c, &mut pass),
        }
    }

    fn finish(&mut self, mut pass: impl FnMut(Piece)) {
        // A lone mark at the very end says nothing, but a sign is not ours to drop.
        if let Some(held) = self.held.take()
            && held != '*'
        {
            self.pass(held, &mut pass);
        }
    }

    fn pass(&mut self, c: char, pass: &mut impl FnMut(Piece)) {
        let spaced = if self.symbol { !is_mark(c) } else { self.space };
        pass(Piece::Char { spaced, c });
        self.space = false;
        self.symbol = false;
        self.line_start = false;
    }
}

/// Characters that a voice says; a clause without any is not worth one.
fn is_spoken(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '%' | '°' | '€' | '$' | '£' | '¥' | '+' | '=' | '&' | '@' | '§' | '×' | '÷')
}

fn is_closer(c: char) -> bool {
    matches!(c, ')' | ']' | '}' | '"' | '\'' | '”' | '’' | '»' | '）' | '」' | '』' | '】')
}

fn is_mark(c: char) -> bool {
    matches!(c, '.' | ',' | '!' | '?' | ';' | ':' | '…') || is_wide_mark(c)
}

fn is_wide_mark(c: char) -> bool {
    matches!(c, '。' | '！' | '？' | '、' | '，' | '；' | '：')
}

/// Emoji, arrows, dingbats and what shapes them.
fn is_symbol(c: char) -> bool {
    matches!(u32::from(c),
        0x1F000..=0x1FAFF | 0x2600..=0x27BF | 0x2B00..=0x2BFF | 0x2190..=0x21FF | 0x2300..=0x23FF | 0x2500..=0x25FF
        | 0xFE00..=0xFE0F | 0x20E3 | 0xE0000..=0xE007F)
}

/// Marks of direction, width and encoding.
fn is_invisible(c: char) -> bool {
    matches!(u32::from(c), 0x00AD | 0x200B | 0x200E | 0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0xFEFF | 0xFFFD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn clauses<'a>(deltas: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut splitter = ClauseSplitter::new();
        let mut out = Vec::new();
        for delta in deltas {
            splitter.push(delta, |clause| out.push(clause));
        }
        splitter.finish(|clause| out.push(clause));
        out
    }

    #[track_caller]
    fn split(text: &str, expected: &[&str]) {
        assert_eq!(clauses([text]), expected, "{text:?}");
        let chars: Vec<String> = text.chars().map(String::from).collect();
        assert_eq!(clauses(chars.iter().map(String::as_str)), expected, "{text:?}, a character at a time");
    }

    #[test]
    fn sentences_are_clauses() {
        split(
            "It is 21.5 degrees in the kitchen. The light is off.",
            &["It is 21.5 degrees in the kitchen.", "The light is off."],
        );
        split("Yes. It is on!  Really? Yes", &["Yes.", "It is on!", "Really?", "Yes"]);
        split("今日は雨です。明日は晴れです！そうですか？", &["今日は雨です。", "明日は晴れです！", "そうですか？"]);
        split("  ", &[]);
        split("", &[]);
    }

    #[test]
    fn the_first_clause_leaves_at_a_comma_and_later_ones_do_not() {
        split(
            "The kitchen light is on, and the hall is dark. I locked the front door, and it is 4 degrees outside.",
            &[
                "The kitchen light is on,",
                "and the hall is dark.",
                "I locked the front door, and it is 4 degrees outside.",
            ],
        );
        split("Yes, it is on.", &["Yes, it is on."]);
        split("Here is the list: bread, milk, eggs.", &["Here is the list:", "bread, milk, eggs."]);
        split("I can do that — one moment — now.", &["I can do that —", "one moment — now."]);
        split("I can do that - one moment.", &["I can do that -", "one moment."]);
        split(
            "台所の電気はついています、玄関は閉まっています。",
            &["台所の電気はついています、", "玄関は閉まっています。"],
        );
    }

    #[test]
    fn the_first_clause_is_handed_over_as_soon_as_the_next_word_begins() {
        let mut splitter = ClauseSplitter::new();
        let mut out = Vec::new();
        splitter.push("The kitchen light is on,", |clause| out.push(clause));
        assert!(out.is_empty());
        splitter.push(" a", |clause| out.push(clause));
        assert_eq!(out, ["The kitchen light is on,"]);
    }

    #[test]
    fn numbers_times_and_addresses_are_never_cut() {
        for whole in [
            "It is 21.5 degrees at 14:05 and 1,000 lux.",
            "Look at https://example.org/a,b;c?d=1.2!x for more.",
            "The version is 1.2.3 - 4 of 5.",
            "The range is 10–12 degrees.",
            "Mail me at j.doe@example.org now.",
        ] {
            split(whole, &[whole]);
        }
        let mut splitter = ClauseSplitter::new();
        let mut out = Vec::new();
        for delta in ["It is 21.", "5 degrees.", " Good."] {
            splitter.push(delta, |clause| out.push(clause));
        }
        splitter.finish(|clause| out.push(clause));
        assert_eq!(out, ["It is 21.5 degrees.", "Good."]);
        split("It is now 21. The sun shines.", &["It is now 21.", "The sun shines."]);
    }

    #[test]
    fn abbreviations_and_initials_do_not_end_a_sentence() {
        for whole in [
            "Ask Dr. Smith or Mrs. Jones.",
            "Some fruit, e.g. Apples.",
            "Wake up at 7 a.m. Monday.",
            "It is J. R. Tolkien.",
            "See No. 5 there.",
            "On Nov. 21 it rains.",
            "It snows on Dec. 24th at home.",
            "Ring at Apt. 5 on Fri. 29.",
            "Milk, eggs etc. are there.",
        ] {
            split(whole, &[whole]);
        }
        split("It was no. I am sure.", &["It was no.", "I am sure."]);
        split("So do I. You too.", &["So do I.", "You too."]);
    }

    #[test]
    fn ellipses_stay_whole() {
        split("Well... let me see. Wait... Now.", &["Well... let me see.", "Wait...", "Now."]);
        split("Hm… Yes.", &["Hm…", "Yes."]);
        split("Really?! Yes!!! No.", &["Really?!", "Yes!!!", "No."]);
    }

    #[test]
    fn quotes_and_brackets_stay_with_their_sentence() {
        split("He said \"Stop!\" and left. \"Go.\" Then", &["He said \"Stop!\" and left.", "\"Go.\"", "Then"]);
        split("It rains (see below.) Then sun.", &["It rains (see below.)", "Then sun."]);
        split("It is warm (that is, above 20) here.", &["It is warm (that is, above 20) here."]);
        split("彼は「はい。」と言った。", &["彼は「はい。」", "と言った。"]);
    }

    #[test]
    fn marks_that_cannot_be_spoken_are_taken_out() {
        split("**Bold** and `code` and *more*.", &["Bold and code and more."]);
        split("# Title\n- one\n* two\n+ three\n• four\n> five", &["Title", "one", "two", "three", "four", "five"]);
        split("1. Open it.\n2. Close it.", &["1. Open it.", "2. Close it."]);
        split("2 * 3 is 6 in C# and -3 is cold.", &["2 * 3 is 6 in C# and -3 is cold."]);
        split("-3 degrees", &["-3 degrees"]);
        split("Good 👍🏽. Sun☀️shine 👩‍👩‍👧 1️⃣", &["Good.", "Sun shine 1"]);
        split("a\u{0}b\u{1b}c\u{200b}d\u{feff}\te", &["abcd e"]);
        split("```\nx = 1\n```", &["x = 1"]);
    }

    #[test]
    fn newlines_end_a_clause_and_empty_ones_are_never_emitted() {
        split("One\n\n\r\nTwo \n 👍 \n---\n...\n\"\"\nThree", &["One", "Two", "Three"]);
        split("(open\nNext one. Last one.", &["(open", "Next one.", "Last one."]);
    }

    #[test]
    fn a_long_sentence_is_cut_at_clause_marks_and_then_at_spaces() {
        let text = "Good. ".to_owned() + &"the light in the hall is on, ".repeat(10);
        for clause in &clauses([text.as_str()])[1..] {
            assert!(
                (LONG_CHARS - 1..=LONG_CHARS + 30).contains(&clause.chars().count()) || clause.ends_with("on,"),
                "{clause}"
            );
        }
        let text = "word ".repeat(200);
        let parts = clauses([text.as_str()]);
        assert_eq!(parts.join(" "), text.trim());
        assert!(parts.iter().all(|part| part.len() <= HARD_CHARS + 5), "{parts:?}");
        let endless = "x".repeat(10 * MAX_CHARS);
        let parts = clauses([endless.as_str()]);
        assert_eq!(parts.concat(), endless);
        assert!(parts.iter().all(|part| part.len() <= MAX_CHARS));
    }

    #[test]
    fn a_finished_splitter_starts_anew() {
        let mut splitter = ClauseSplitter::new();
        for _ in 0..2 {
            let mut out = Vec::new();
            splitter.push("The kitchen light is on, and (the hall", |clause| out.push(clause));
            splitter.finish(|clause| out.push(clause));
            assert_eq!(out, ["The kitchen light is on,", "and (the hall"]);
        }
    }

    fn spoken(text: &str) -> String {
        text.chars().filter(|c| c.is_alphanumeric() || matches!(c, '%' | '°' | '€' | '$')).collect()
    }

    proptest! {
        #[test]
        fn nothing_that_can_be_spoken_is_lost_or_said_twice(
            parts in prop::collection::vec(prop::sample::select(vec![
                "It is ", "21.", "5", "1,000", " degrees", ". ", ", ", "e.g. ", "Dr. ", "The ", "\n", "- ", "* ", "**", "#", "`",
                "(", ")", "\"", "...", "。", "！", "今日は", "👍", " — ", "!", "? ", "https://a.b/c,d ", "°", " % ", "é", "+", "\t", "$",
                "a longer run of words without any mark that goes on and on for a while ",
            ]), 0..40),
            any in "\\PC{0,40}",
            sizes in prop::collection::vec(1usize..9, 1..20),
        ) {
            let text = parts.concat() + &any;
            let whole = clauses([text.as_str()]);
            prop_assert_eq!(spoken(&whole.concat()), spoken(&text));
            for clause in &whole {
                prop_assert!(clause.chars().any(is_spoken), "{:?}", whole);
                prop_assert_eq!(clause.trim(), clause);
            }
            let chars: Vec<char> = text.chars().collect();
            let mut pieces = Vec::new();
            let (mut at, mut size) = (0, sizes.iter().cycle());
            while at < chars.len() {
                let end = chars.len().min(at + size.next().unwrap());
                pieces.push(chars[at..end].iter().collect::<String>());
                at = end;
            }
            prop_assert_eq!(clauses(pieces.iter().map(String::as_str)), whole);
        }
    }
}

//! Abbreviations, Roman numbers behind names, acronyms, single signs.

use super::numbers::roman;
use super::{Said, View, is_capitalized};

impl View<'_> {
    /// A sign that stands alone: between numbers, at the beginning of a line, or as a word.
    pub(super) fn sign_alone(&self, at: usize) -> Option<Said> {
        let token = &self.tokens[at];
        let core = token.core;
        if core.chars().any(char::is_alphanumeric) && core != "x" {
            return None;
        }
        let mut chars = core.chars();
        let (first, rest) = (chars.next()?, chars.as_str());
        let is_number = |word: &str| word.ends_with(|c: char| c.is_ascii_digit() || c == '²' || c == '³');
        let begins_number =
            |word: &str| word.trim_start_matches(['-', '−', '+', '√']).starts_with(|c: char| c.is_ascii_digit());
        let between = is_number(self.previous(at)) && begins_number(self.next(at));
        if core == "x" {
            return if between { Said::one(self.pack.signs.get(&'×')?) } else { None };
        }
        if between && rest.is_empty() {
            // "10 – 12": a range; "10 - 4": a difference.
            if first == '–' {
                return Said::one(&self.pack.numbers.to);
            }
            if let Some(word) = self.pack.operators.get(&first) {
                return Said::one(word);
            }
        }
        if token.is_first && core.chars().all(|c| matches!(c, '#' | '-' | '*' | '+' | '•' | '>')) {
            return Said::one("");
        }
        if core.chars().all(|c| matches!(c, '-' | '–' | '—' | '−')) {
            return Said::one(",");
        }
        // `~` before a number in the next word.
        if rest.is_empty()
            && begins_number(self.next(at))
            && let Some(word) = self.pack.prefixes.get(&first).filter(|_| !matches!(first, '=' | '+'))
        {
            return Said::one(word);
        }
        match self.pack.signs.get(&first) {
            Some(word) if rest.is_empty() => Said::one(word),
            _ if core.chars().all(|c| matches!(c, '*' | '|' | '~' | '=' | '#' | '_')) => Said::one(""),
            _ => None,
        }
    }

    /// "Dr.", "St.", "No. 7", "e.g.", "U.S.", initials.
    pub(super) fn abbreviation(&self, at: usize) -> Option<Said> {
        let token = &self.tokens[at];
        let (core, is_dotted) = (token.core, token.trail.starts_with('.'));
        let words = &self.pack.abbreviations;
        let next = self.next_behind_dot(at);
        let said = |words: &str, ends: bool| {
            Some(Said { n_tokens: 1, words: words.to_string(), trail: self.behind_dot(at, ends), drops_lead: false })
        };
        if let Some([before, after]) = words.placed.get(core) {
            return self.placed(at, before, after);
        }
        if let Some(word) = words.titles.get(core)
            && (is_capitalized(next) && is_dotted
                || words.undotted.contains(core) && (is_capitalized(next) || is_dotted))
        {
            // "Mr. and Mrs. Jones"
            return said(word, false);
        }
        if !is_dotted {
            return None;
        }
        if let Some(word) = words.numbered.get(core)
            && next.trim_start_matches('#').starts_with(|c: char| c.is_ascii_digit())
        {
            return said(word, false);
        }
        if let Some(word) =
            words.dotted.get(core).or_else(|| words.dotted.get(&core.to_lowercase()).filter(|_| core.contains('.')))
        {
            let ends = self.is_last(at) || (core == "etc" && is_capitalized(next));
            return said(word, ends);
        }
        let mut letters = core.chars();
        let is_initial = matches!((letters.next(), letters.next()), (Some(c), None) if c.is_uppercase() && c != 'I');
        if is_initial && is_capitalized(next) {
            return said(&self.letter(core), false);
        }
        // U.S., D.C.
        let mut parts = core.split('.').peekable();
        let are_letters =
            core.contains('.') && parts.all(|p| p.chars().count() == 1 && p.chars().all(char::is_alphabetic));
        if are_letters { said(&core.to_uppercase(), self.is_last(at)) } else { None }
    }

    /// "Dr." and "St.": something else before a name than behind one.
    fn placed(&self, at: usize, before: &str, after: &str) -> Option<Said> {
        let token = &self.tokens[at];
        let is_dotted = token.trail.starts_with('.');
        let previous = self.previous(at);
        let next = self.next_behind_dot(at);
        let is_behind_name = is_capitalized(previous) && at > 0;
        let begins_sentence = at > 0 && (self.tokens[at - 1].is_first || self.previous(at - 1).is_empty());
        let name_follows = is_capitalized(next);
        let (word, is_street) = match () {
            () if name_follows && (begins_sentence || !is_behind_name) => (before, false),
            () if is_behind_name => (after, true),
            () if is_dotted && name_follows => (before, false),
            () if is_dotted && !previous.is_empty() => (after, true),
            () if is_dotted => (before, false),
            () => return None,
        };
        let ends = is_street && (self.is_last(at) || name_follows);
        Some(Said { n_tokens: 1, words: word.to_string(), trail: self.behind_dot(at, ends), drops_lead: false })
    }

    /// "Henry VIII", "World War II", "King Charles I".
    pub(super) fn roman(&self, at: usize) -> Option<Said> {
        let core = self.tokens[at].core;
        let (core, possessive) =
            core.split_once(['\'', '’']).map_or((core, ""), |(core, rest)| (core, if rest == "s" { "'s" } else { "" }));
        if self.is_shouted || core.len() > 8 {
            return None;
        }
        let number = roman(core)?;
        let previous = self.previous(at);
        if !is_capitalized(previous) || !self.tokens[at - 1].trail.is_empty() {
            return None;
        }
        let words = &self.pack.roman;
        let figures = number.to_string();
        let is_titled = at > 1 && words.titles.contains(self.previous(at - 1));
        let is_letter = core.len() == 1;
        if words.counted.contains(previous) {
            return Said::one(self.speller.cardinal(&figures));
        }
        if words.rulers.contains(previous) && (!is_letter || is_titled || core == "V" || core == "X") {
            return Said::one(format!("{} {}{possessive}", words.the, self.speller.ordinal(&figures)));
        }
        // Letters that are more likely a number than a word or an acronym.
        let is_plain = core.chars().all(|c| matches!(c, 'I' | 'V' | 'X')) && number < 40;
        if !is_letter && is_plain { Said::one(self.speller.cardinal(&figures)) } else { None }
    }

    /// Units without a number, acronyms, words with signs in them.
    pub(super) fn word(&self, at: usize) -> Option<Said> {
        let core = self.tokens[at].core;
        let rules = &self.pack.unit_rules;
        if (rules.alone.contains(core)
            || core.contains(['²', '³'])
            || (core.contains('/') && self.pack.units.contains_key(core)))
            && let Some((one, many)) = self.unit(core, true)
        {
            return Said::one(if self.previous(at) == rules.per { one } else { many });
        }
        if let Some(words) = self.acronym(core) {
            return Said::one(words);
        }
        if core.contains('&') {
            let parts: Vec<String> =
                core.split('&').filter(|part| !part.is_empty()).map(|part| self.initials(part)).collect();
            return Said::one(parts.join(&format!(" {} ", self.pack.signs.get(&'&')?)));
        }
        if core.contains('/') {
            let parts: Vec<String> =
                core.split('/').filter(|part| !part.is_empty()).map(|part| self.part(part)).collect();
            return Said::one(parts.join(" "));
        }
        // "word—word": a pause.
        if core.contains('—') {
            let parts: Vec<String> =
                core.split('—').filter(|part| !part.is_empty()).map(|part| self.part(part)).collect();
            return Said::one(parts.join(", "));
        }
        if core.contains(['*', '_', '`', '|', '™', '®', '©']) {
            let cleaned: String = core.chars().map(|c| if matches!(c, '_' | '|') { ' ' } else { c }).collect();
            let cleaned = cleaned.replace(['*', '`', '™', '®', '©'], "");
            return Said::one(if cleaned == core { cleaned } else { self.part(&cleaned) });
        }
        if self.is_shouted && core.chars().all(char::is_alphabetic) && core.chars().count() > 1 {
            return Said::one(core.to_lowercase());
        }
        None
    }

    /// The `R` of "R&D".
    fn initials(&self, part: &str) -> String {
        match part.chars().count() {
            1 => part.to_string(),
            2 if part.chars().all(char::is_uppercase) => self.spelled(part),
            _ => self.part(part),
        }
    }

    /// FBI, TVs, "LED".
    fn acronym(&self, core: &str) -> Option<String> {
        let (stem, possessive) = core.split_once(['\'', '’']).map_or((core, ""), |(stem, end)| (stem, end));
        let (stem, is_plural) = match stem.strip_suffix('s') {
            Some(stem) if possessive.is_empty() && stem.len() > 1 => (stem, true),
            _ => (stem, possessive == "s"),
        };
        let n = stem.chars().count();
        if !(2..=6).contains(&n) || !stem.chars().all(|c| c.is_ascii_uppercase()) || !matches!(possessive, "" | "s") {
            return None;
        }
        let rules = &self.pack.acronyms;
        let has_vowel = stem.contains(['A', 'E', 'I', 'O', 'U', 'Y']);
        let is_listed = rules.spelled.contains(stem)
            && !(self.is_shouted && has_vowel && n <= 3 && matches!(stem, "IT" | "US" | "AM" | "ID"));
        if rules.words.contains(stem) || (!is_listed && has_vowel) {
            return None;
        }
        if !is_plural {
            return Some(self.spelled(stem));
        }
        let (begin, last) = stem.split_at(n - 1);
        Some(format!("{} {last}'s", if n == 2 { self.letter(begin) } else { self.spelled(begin) }))
    }

    /// "F.B.I": engines read dotted letters as letters.
    pub(super) fn spelled(&self, letters: &str) -> String {
        let letters: Vec<String> = letters.chars().map(String::from).collect();
        match letters.as_slice() {
            [one] => self.letter(one),
            _ => letters.join("."),
        }
    }

    /// A single letter, which must not be taken for a word.
    pub(super) fn letter(&self, letter: &str) -> String {
        let c = letter.chars().next().unwrap_or_default();
        self.pack.letters.get(&c).cloned().unwrap_or_else(|| letter.to_string())
    }
}

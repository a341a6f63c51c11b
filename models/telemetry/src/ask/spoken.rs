//! The words of a question, in order, and which of them are accounted for.

use super::words::{Adjective, adjective};
use crate::unit;

/// The words of a question, and which of them are accounted for.
pub(super) struct Words {
    pub(super) all: Vec<String>,
    /// The same as they were written: of units, large and small letters count.
    written: Vec<String>,
    pub(super) used: Vec<bool>,
}

impl Words {
    pub(super) fn of(text: &str) -> Words {
        let text = text.replace(['’', '‘'], "'");
        let mut written: Vec<String> = Vec::new();
        let parts = |c: char| c.is_whitespace() || matches!(c, '?' | '!' | ',' | ';' | '"' | '(' | ')' | '_');
        for piece in text.split(parts) {
            let ended = piece.trim_end_matches(['.', ':', '\'']);
            // "km/h" is one word, "kitchen/hall" are two.
            let is_unit = unit::read(ended.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')).is_some();
            for word in ended.split(|c: char| c == '/' && !is_unit) {
                let word = word.trim_end_matches(['.', ':', '\'']);
                let (word, verb) = match word.to_lowercase().as_str() {
                    "what's" => ("what", "is"),
                    "when's" => ("when", "is"),
                    _ => (word.strip_suffix("'s").or_else(|| word.strip_suffix("'S")).unwrap_or(word), ""),
                };
                written.extend([word, verb].into_iter().filter(|word| !word.is_empty()).map(str::to_owned));
            }
        }
        let all: Vec<String> = written.iter().map(|word| word.to_lowercase()).collect();
        let used = vec![false; all.len()];
        Words { all, written, used }
    }

    /// A word that is not used yet, as it was written.
    pub(super) fn written(&self, at: usize) -> Option<&str> {
        self.written.get(at).filter(|_| !self.used[at]).map(String::as_str)
    }

    pub(super) fn is(&self, at: usize, word: &str) -> bool {
        self.all.get(at).is_some_and(|w| w == word) && !self.used[at]
    }

    /// The place of these words one after the other, not used yet.
    pub(super) fn find(&self, words: &[&str]) -> Option<usize> {
        (0..self.all.len()).find(|at| words.iter().enumerate().all(|(i, word)| self.is(at + i, word)))
    }

    pub(super) fn has(&self, words: &[&str]) -> bool {
        self.find(words).is_some()
    }

    /// Uses these words if they stand there.
    pub(super) fn take(&mut self, words: &[&str]) -> bool {
        match self.find(words) {
            Some(at) => {
                self.used[at..at + words.len()].fill(true);
                true
            }
            None => false,
        }
    }

    pub(super) fn take_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.take(&[word]))
    }

    /// The first adjective that is not used yet and fits.
    pub(super) fn take_adjective(&mut self, fits: impl Fn(&Adjective) -> bool) -> Option<Adjective> {
        let (at, found) = (0..self.all.len()).filter(|at| !self.used[*at]).find_map(|at| {
            let found = adjective(&self.all[at]).filter(|a| fits(a))?;
            Some((at, found))
        })?;
        self.used[at] = true;
        Some(found)
    }

    pub(super) fn rest(&self) -> impl Iterator<Item = &str> {
        self.all.iter().zip(&self.used).filter(|(_, used)| !**used).map(|(word, _)| word.as_str())
    }
}

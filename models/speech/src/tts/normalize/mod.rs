//! Text normalization: what is written becomes what is said, before any speech engine sees it. "2.5 m²" is "two point five square
//! meters", "Dr. Smith, 3:45 pm" is "Doctor Smith, three forty-five P.M".
//!
//! The words of a language are data (`english.toml`); this code is the grammar: which words belong together, and what a number
//! means where it stands. A language without a pack is left to its engine, which knows some of it. Everything takes time
//! and memory in proportion to the text.
//!
//! Markup of whole replies (JSON, code, tags, links) is taken out earlier, by whoever writes the reply; only the marks of emphasis,
//! headings and lists that stand around words are dropped here.

mod address;
mod dates;
mod money;
mod numbers;
mod numeric;
mod pack;
mod token;
mod units;
mod words;

use numbers::Speller;
use pack::{Dialect, Pack};
use token::{Token, tokens};

/// Makes text speakable in one language.
#[derive(Clone, Copy, Debug)]
pub struct Normalizer {
    pack: Option<&'static Pack>,
    dialect: Dialect,
}

/// How often a word may be taken apart (`5-10km/h` has three levels); what is left then is said as it is.
const DEEPEST: usize = 6;

impl Normalizer {
    /// The normalizer for an engine's voice, such as `en-us`, `en-gb+f3` or `de`.
    pub fn for_voice(voice: &str) -> Normalizer {
        let language = voice.split('+').next().unwrap_or_default().to_lowercase();
        let is_english = language == "en" || language.starts_with("en-") || language.starts_with("en_");
        let pack = is_english.then(pack::english);
        let dialect = pack.and_then(|pack| pack.dialect.get(&language.replace('_', "-")).copied()).unwrap_or_default();
        Normalizer { pack, dialect }
    }

    /// The text as it is said, on one line.
    ///
    /// ```
    /// use nearfield_speech::tts::Normalizer;
    ///
    /// let english = Normalizer::for_voice("en-us");
    /// assert_eq!(english.normalize("It is -4.5 °C."), "It is minus four point five degrees Celsius.");
    /// ```
    pub fn normalize(&self, text: &str) -> String {
        let Some(pack) = self.pack else { return text.to_string() };
        let text = token::with_whole_numbers(&token::without_links(text));
        let tokens = tokens(&text);
        let letters = || text.chars().filter(|c| c.is_alphabetic());
        let is_shouted = letters().count() > 6 && !letters().any(char::is_lowercase) && tokens.len() > 1;
        View::new(pack, self.dialect, &tokens, is_shouted, 0).all()
    }
}

/// What a rule says in place of some tokens.
struct Said {
    /// How many tokens it stands for.
    n_tokens: usize,
    words: String,
    /// What follows the words instead of the last token's marks.
    trail: Option<String>,
    /// Whether the marks in front are left out.
    drops_lead: bool,
}

impl Said {
    fn one(words: impl Into<String>) -> Option<Said> {
        Said::of(1, words)
    }

    fn of(n_tokens: usize, words: impl Into<String>) -> Option<Said> {
        Some(Said { n_tokens, words: words.into(), trail: None, drops_lead: false })
    }
}

/// A text taken apart, and the words to say it with; the rules are methods of it, in the modules beside this.
struct View<'a> {
    pack: &'a Pack,
    speller: Speller<'a>,
    dialect: Dialect,
    tokens: &'a [Token<'a>],
    /// All letters are capitals, so capitals mean nothing.
    is_shouted: bool,
    depth: usize,
}

impl<'a> View<'a> {
    fn new(pack: &'a Pack, dialect: Dialect, tokens: &'a [Token<'a>], is_shouted: bool, depth: usize) -> View<'a> {
        let speller = Speller { words: &pack.numbers, hundred_and: dialect.hundred_and };
        View { pack, speller, dialect, tokens, is_shouted, depth }
    }

    /// Everything.
    fn all(&self) -> String {
        let mut out = String::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let said = self.say(at).unwrap_or_else(|| Said {
                n_tokens: 1,
                words: self.tokens[at].core.to_string(),
                trail: None,
                drops_lead: false,
            });
            let last = &self.tokens[at + said.n_tokens - 1];
            let trail = said.trail.as_deref().unwrap_or(last.trail);
            let lead = if said.drops_lead { String::new() } else { plain_marks(self.tokens[at].lead) };
            let trail = plain_marks(trail);
            let is_mark = said.words.is_empty() && lead.is_empty();
            if self.tokens[at].begins_line && out.ends_with(char::is_alphanumeric) {
                out.push('.'); // a line is a sentence of its own
            }
            // Marks that stand alone belong to the word before.
            let belongs_before = is_mark && trail.chars().all(|c| c.is_ascii_punctuation());
            if !(out.is_empty() || belongs_before || said.words == ",") {
                out.push(' ');
            }
            if !(out.is_empty() && said.words == ",") {
                out += &format!("{lead}{}{trail}", said.words);
            }
            at += said.n_tokens;
        }
        out.trim().to_string()
    }

    /// What is said from the token `at` on; `None` where it stays as it is.
    fn say(&self, at: usize) -> Option<Said> {
        if self.depth > DEEPEST {
            return None;
        }
        let core = self.tokens[at].core;
        if core.is_empty() {
            return None;
        }
        self.sign_alone(at)
            .or_else(|| self.abbreviation(at))
            .or_else(|| {
                let is_plain = !self.is_shouted || !core.chars().all(char::is_alphabetic);
                self.pack.words.get(core).filter(|_| is_plain).and_then(Said::one)
            })
            .or_else(|| self.date(at))
            .or_else(|| self.numeric(at))
            .or_else(|| self.address(at))
            .or_else(|| self.roman(at))
            .or_else(|| self.word(at))
    }

    /// A part of a word, said alone.
    fn part(&self, text: &str) -> String {
        let tokens = tokens(text);
        View::new(self.pack, self.dialect, &tokens, self.is_shouted, self.depth + 1).all()
    }

    /// As if the token `at` began with `core`.
    fn with_core(&self, at: usize, core: &str) -> Option<Said> {
        const LOOKED_AHEAD: usize = 3;
        let mut tokens = vec![Token { core, lead: "", ..self.tokens[at] }];
        tokens.extend(self.tokens[at + 1..].iter().take(LOOKED_AHEAD).copied());
        let view = View::new(self.pack, self.dialect, &tokens, self.is_shouted, self.depth + 1);
        view.say(0).or_else(|| Said::one(core))
    }

    /// The word before, within the sentence.
    fn previous(&self, at: usize) -> &str {
        match at.checked_sub(1).map(|before| &self.tokens[before]) {
            Some(token) if !token.ends_sentence() && !self.tokens[at].begins_line => token.core,
            _ => "",
        }
    }

    /// The word behind, where no mark parts them.
    fn next(&self, at: usize) -> &str {
        match self.tokens.get(at + 1) {
            Some(token) if self.tokens[at].trail.is_empty() && !token.begins_line && token.lead.is_empty() => {
                token.core
            }
            _ => "",
        }
    }

    /// The word behind an abbreviation's dot.
    fn next_behind_dot(&self, at: usize) -> &str {
        match self.tokens.get(at + 1) {
            Some(token) if matches!(self.tokens[at].trail, "" | ".") && !token.begins_line => token.core,
            _ => "",
        }
    }

    fn is_last(&self, at: usize) -> bool {
        self.tokens.get(at + 1).is_none_or(|next| next.begins_line)
    }

    /// What follows an abbreviation whose dot is part of it: the dot only where the sentence ends.
    fn behind_dot(&self, at: usize, ends_sentence: bool) -> Option<String> {
        let trail = self.tokens[at].trail;
        trail.strip_prefix('.').filter(|_| !ends_sentence).map(str::to_string)
    }
}

fn is_capitalized(word: &str) -> bool {
    word.starts_with(char::is_uppercase)
}

/// Marks without those of emphasis and code.
fn plain_marks(marks: &str) -> String {
    marks.chars().filter(|c| !matches!(c, '*' | '_' | '`' | '~')).collect()
}

//! Writing text: token after token from a session, until the model ends, a stop string appears, or somebody says stop. Tokens that
//! the session has seen follow each other before are guessed and checked in one pass, which changes nothing of the text.

use super::constraint::Guide;
use super::dialect::LazyConstraint;
use super::likelihood::{Likelihood, Likelihoods};
use super::logit_bias::{Biased, LogitBias};
use super::lookup::Lookup;
use super::repetition::{Repetition, Verdict};
use super::{Constrained, Detokenizer, Llm, LlmError, Sampler, Session, TokenId, Tokenizer};
use std::collections::VecDeque;
use std::ops::ControlFlow;

/// When writing ends at the latest.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateOptions {
    /// No more tokens than this.
    pub max_tokens: usize,
    /// Strings that end the text and are not part of it.
    pub stop: Vec<String>,
    /// What the text, or a part of it, must fit.
    pub constraint: Option<Constrained>,
    /// What parts of it must fit from their triggers on: tool calls.
    pub lazy: Vec<LazyConstraint>,
    /// Closes a thought that has become too long.
    pub thought: Option<ThoughtLimit>,
    /// How many tokens may be guessed from the session and checked in one pass, at most [`Session::MOST_EACH`] less one; 0 for
    /// none. The text is the same; only its speed is not.
    pub lookahead: usize,
    /// What is added to logits before a token is chosen.
    pub bias: LogitBias,
    /// Whether likelihoods are kept ([`Generation::likelihoods`]), and how many of the likeliest tokens with each.
    pub likelihoods: Option<usize>,
    /// Whether a text that has begun to repeat itself ends there ([`Finish::Repetition`]).
    pub ends_loops: bool,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        GenerateOptions {
            max_tokens: 512,
            stop: Vec::new(),
            constraint: None,
            lazy: Vec::new(),
            thought: None,
            lookahead: Session::MOST_EACH - 1,
            bias: LogitBias::default(),
            likelihoods: None,
            ends_loops: true,
        }
    }
}

/// How long the model may think. The text begins within a thought, or before one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThoughtLimit {
    /// At most so many tokens up to `close`.
    pub tokens: usize,
    /// What ends the thought: `</think>`.
    pub close: String,
}

/// Why writing ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model said so, or its text is all that a constraint allows.
    EndOfText,
    /// This stop string appeared.
    StopString(String),
    /// As many tokens as were allowed.
    MaxTokens,
    /// The session has no more room.
    ContextFull,
    /// The sink said stop.
    Stopped,
    /// The model wrote the same again and again.
    Repetition {
        /// The byte of the text where the second copy begins; a little of it has been written.
        begins: usize,
    },
}

impl Finish {
    /// What a text that ended so is good for: all of it, or, where it ended in a loop, the whole sentences before the second
    /// copy. Empty where there is none.
    pub fn sound_part<'a>(&self, text: &'a str) -> &'a str {
        let Finish::Repetition { begins } = self else { return text };
        let text = &text[..text.floor_char_boundary(*begins)];
        let trimmed = text.trim_end();
        let sentence_ends = |(at, c): (usize, char)| {
            let end = at + c.len_utf8();
            let followed = text[end..].chars().next().is_none_or(char::is_whitespace);
            (c == '\n' || followed && matches!(c, '.' | '!' | '?' | '…') || matches!(c, '。' | '！' | '？'))
                .then_some(end)
        };
        text[..trimmed.char_indices().rev().find_map(sentence_ends).unwrap_or(0)].trim_end()
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Generated {
    /// The whole text, as the sink heard it.
    pub text: String,
    /// Tokens that were chosen, an end token included.
    pub tokens: usize,
    /// How many of these had been guessed and cost no pass of their own.
    pub drafted: usize,
    /// Why it ended.
    pub finish: Finish,
}

/// Writes text after what the session holds, and hands it to `sink` piece by piece as it becomes certain: whole characters,
/// never a part of a stop string. The session must have logits (see [`Session::prompt`]).
///
/// # Errors
/// The model carries no vocabulary, the session has no logits, or the constraint makes no sense.
pub fn generate(
    session: &mut Session,
    sampler: &mut Sampler,
    options: &GenerateOptions,
    sink: &mut dyn FnMut(&str) -> ControlFlow<()>,
) -> Result<Generated, LlmError> {
    let mut generation = Generation::new(session.llm(), options)?;
    loop {
        if let Some(finish) = generation.advance(session, sampler, sink)? {
            let Generation { text, tokens, drafted, .. } = generation;
            return Ok(Generated { text, tokens, drafted, finish });
        }
    }
}

/// What a text needs before its next token can be chosen.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread {
    /// The session must have read these, with logits after each. None where its prompt was just read.
    Tokens(Vec<TokenId>),
    /// Nothing: it has ended.
    End(Finish),
}

/// Writing a token, or a few that were guessed, at a time, for those who do something else in between.
#[derive(Debug)]
pub struct Generation {
    detokenizer: Detokenizer,
    stop: StopStrings,
    guide: Option<Guide>,
    max_tokens: usize,
    /// What the sink has heard.
    text: String,
    tokens: usize,
    drafted: usize,
    lookup: Lookup,
    lookahead: usize,
    /// Chosen and written, but not yet read by the model.
    unread: Option<TokenId>,
    /// What was guessed to follow it, and is read along with it.
    guesses: Vec<TokenId>,
    /// Where loops are ended.
    repetition: Option<Repetition>,
    /// Until the thought is closed.
    thought: Option<ThoughtLimit>,
    /// Tokens that come next, whatever the model would choose.
    forced: VecDeque<TokenId>,
    /// Text that may belong to a loop, and is not told until it does not.
    suspicious: String,
    bias: Option<Biased>,
    likelihoods: Option<Likelihoods>,
}

impl Generation {
    /// The beginning of a text.
    ///
    /// # Errors
    /// The model carries no vocabulary, or the constraint makes no sense.
    pub fn new(llm: &Llm, options: &GenerateOptions) -> Result<Generation, LlmError> {
        llm.tokenizer()?;
        let is_guided = options.constraint.is_some() || !options.lazy.is_empty();
        let guide = is_guided.then(|| Guide::new(llm, options.constraint.as_ref(), &options.lazy)).transpose()?;
        Ok(Generation {
            detokenizer: Detokenizer::new(),
            stop: StopStrings {
                strings: options
                    .stop
                    .iter()
                    .map(String::as_str)
                    .chain(llm.stop_text())
                    .filter(|stop| !stop.is_empty())
                    .map(str::to_owned)
                    .collect(),
                held: String::new(),
            },
            guide,
            max_tokens: options.max_tokens,
            text: String::new(),
            tokens: 0,
            drafted: 0,
            lookup: Lookup::new(options.lookahead.min(Session::MOST_EACH - 1)),
            lookahead: options.lookahead.min(Session::MOST_EACH - 1),
            unread: None,
            guesses: Vec::new(),
            repetition: options.ends_loops.then(|| Repetition::new(is_guided)),
            thought: options.thought.clone(),
            forced: VecDeque::new(),
            suspicious: String::new(),
            bias: Biased::new(&options.bias),
            likelihoods: options.likelihoods.map(Likelihoods::new),
        })
    }

    /// What the sink has heard so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Tokens chosen so far.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// How many of the tokens had been guessed and cost no pass of their own.
    pub fn drafted(&self) -> usize {
        self.drafted
    }

    /// The likelihoods of the tokens whose text was told since the last call, where they were asked for. The token that ends a text has
    /// none.
    pub fn likelihoods(&mut self) -> Vec<Likelihood> {
        self.likelihoods.as_mut().map(Likelihoods::take).unwrap_or_default()
    }

    /// Lets the model read the last token, with guesses at what follows it, and chooses the next tokens: as many as were guessed
    /// right, and one more. Says why when this was the end. What is certain of the text goes to `sink`. The last token of a
    /// text is chosen but never kept, so that the session holds no more than it must.
    ///
    /// # Errors
    /// The session has no logits, or a constraint leaves nothing to choose.
    pub fn advance(
        &mut self,
        session: &mut Session,
        sampler: &mut Sampler,
        sink: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Option<Finish>, LlmError> {
        match self.unread(session, Session::MOST_EACH, sink)? {
            Unread::Tokens(tokens) => session.append_each(&tokens)?,
            Unread::End(finish) => return Ok(Some(finish)),
        }
        self.choose(session, sampler, sink)
    }

    /// The first half of [`advance`](Self::advance): what the session has to read, at most `most` tokens, before
    /// [`choose`](Self::choose) is called. Whoever writes several texts has their sessions read in one pass
    /// ([`Batch`](super::Batch)). Asked again before `choose`, it answers anew.
    ///
    /// # Errors
    /// The model carries no vocabulary.
    pub fn unread(
        &mut self,
        session: &Session,
        most: usize,
        sink: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Unread, LlmError> {
        self.guesses.clear();
        if self.tokens >= self.max_tokens {
            return Ok(Unread::End(self.finish(Finish::MaxTokens, sink)));
        }
        let Some(token) = self.unread else { return Ok(Unread::Tokens(Vec::new())) };
        let room = session.capacity() - session.len();
        if room == 0 {
            return Ok(Unread::End(self.finish(Finish::ContextFull, sink)));
        }
        let most = most.min(room).min(self.max_tokens - self.tokens).saturating_sub(1).min(self.lookahead);
        if most > 0 {
            let said = [session.tokens(), &[token]].concat();
            self.guesses = self.lookup.guess(&said, most);
            // Of what must follow, the tokens are guessed as they would be read.
            if let Some(text) = self.guide.as_mut().and_then(Guide::forced_text) {
                self.guesses = session.llm().tokenizer()?.encode(&text, false);
                self.guesses.truncate(most);
            }
        }
        Ok(Unread::Tokens([&[token], &self.guesses[..]].concat()))
    }

    /// The second half of [`advance`](Self::advance): chooses the next tokens when the session has read what was
    /// [unread](Self::unread) ([`Session::append_each`], or in a batch).
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub fn choose(
        &mut self,
        session: &mut Session,
        sampler: &mut Sampler,
        sink: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Option<Finish>, LlmError> {
        self.unread = None;
        let guesses = std::mem::take(&mut self.guesses);
        let certain = session.len() - guesses.len();
        let mut right = 0;
        let end = loop {
            let held = certain + right;
            let (logits, recent) = (session.logits_after(held), &session.tokens()[..held]);
            if logits.is_empty() {
                return Err(LlmError::Input(
                    "there is nothing to continue: the session was given no prompt".to_owned(),
                ));
            }
            let own = logits;
            let logits = match &mut self.bias {
                Some(bias) => bias.of(logits),
                None => logits,
            };
            let forced = self.forced.pop_front();
            let token = match &mut self.guide {
                _ if forced.is_some() => forced.unwrap_or(TokenId(0)),
                None => sampler.sample(logits, recent),
                Some(guide) => match guide.choose(session.llm(), sampler, logits, recent) {
                    Ok(token) => token,
                    Err(error) => {
                        session.truncate(held);
                        return Err(error);
                    }
                },
            };
            if let Some(bias) = &mut self.bias {
                bias.push(token);
            }
            if let Some(likelihoods) = &mut self.likelihoods {
                likelihoods.push(token, own, session.llm().tokenizer()?);
            }
            let end = self.take(token, session.llm(), sink)?;
            if end.is_some() || guesses.get(right) != Some(&token) {
                break end;
            }
            right += 1;
        };
        session.truncate(certain + right);
        self.drafted += right;
        self.lookup.learn(right, guesses.len());
        Ok(end)
    }

    /// Adds a chosen token to the text; says why when this is the end.
    fn take(
        &mut self,
        token: TokenId,
        llm: &Llm,
        sink: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Option<Finish>, LlmError> {
        self.tokens += 1;
        let tokenizer = llm.tokenizer()?;
        if tokenizer.is_end(token) {
            return Ok(Some(self.finish(Finish::EndOfText, sink)));
        }
        self.unread = Some(token);
        let begins = self.text.len() + self.suspicious.len() + self.stop.held.len();
        let mut verdict = self.repetition.as_mut().map_or(Verdict::New, |repetition| repetition.push(token, begins));
        // The text that a call is to send may be the same word fifty times, and half of the call would be worth nothing; one that goes
        // on and on is a loop all the same.
        if self.is_in_call() {
            verdict = self.repetition.as_ref().and_then(Repetition::of_call).map_or(Verdict::New, Verdict::Loop);
        }
        let piece = self.detokenizer.push(tokenizer, token);
        self.limit_thought(tokenizer, &piece);
        let (certain, stopped) = self.stop.push(&piece);
        self.suspicious.push_str(&certain);
        if let Verdict::Loop(begins) = verdict {
            return Ok(Some(self.cut(begins, sink)));
        }
        if (verdict == Verdict::New || stopped.is_some()) && self.tell(sink).is_break() {
            return Ok(Some(Finish::Stopped));
        }
        if let Some(stop) = stopped {
            return Ok(Some(Finish::StopString(stop)));
        }
        if self.guide.as_ref().is_some_and(Guide::is_complete) {
            return Ok(Some(self.finish(Finish::EndOfText, sink)));
        }
        if self.tokens >= self.max_tokens {
            return Ok(Some(self.finish(Finish::MaxTokens, sink)));
        }
        Ok(None)
    }

    /// Whether a grammar holds what is written since its trigger, and not the whole text.
    fn is_in_call(&self) -> bool {
        self.guide.as_ref().is_some_and(Guide::holds_a_part)
    }

    /// Has a thought closed that is too long.
    fn limit_thought(&mut self, tokenizer: &Tokenizer, piece: &str) {
        let Some(limit) = &self.thought else { return };
        let thought = [self.text.as_str(), &self.suspicious, &self.stop.held, piece].concat();
        if thought.contains(&limit.close) {
            self.thought = None;
        } else if self.tokens >= limit.tokens {
            self.forced.extend(tokenizer.encode(&format!("\n{}\n\n", limit.close), true));
            self.thought = None;
        }
    }

    /// Tells what is certain to be text.
    fn tell(&mut self, sink: &mut dyn FnMut(&str) -> ControlFlow<()>) -> ControlFlow<()> {
        let certain = std::mem::take(&mut self.suspicious);
        if certain.is_empty() {
            return ControlFlow::Continue(());
        }
        self.text.push_str(&certain);
        if let Some(likelihoods) = &mut self.likelihoods {
            likelihoods.told(self.text.len());
        }
        sink(&certain)
    }

    /// Tells what stands before the second copy of a loop, and drops the rest.
    fn cut(&mut self, begins: usize, sink: &mut dyn FnMut(&str) -> ControlFlow<()>) -> Finish {
        let before = self.suspicious.floor_char_boundary(begins.saturating_sub(self.text.len()));
        self.suspicious.truncate(before);
        match self.tell(sink) {
            ControlFlow::Continue(()) => Finish::Repetition { begins },
            ControlFlow::Break(()) => Finish::Stopped,
        }
    }

    /// Lets go of what was held back, unless it is a loop that a limit has cut off.
    fn finish(&mut self, finish: Finish, sink: &mut dyn FnMut(&str) -> ControlFlow<()>) -> Finish {
        if matches!(finish, Finish::MaxTokens | Finish::ContextFull)
            && !self.is_in_call()
            && let Some(begins) = self.repetition.as_ref().and_then(Repetition::cut_off)
        {
            return self.cut(begins, sink);
        }
        // What a limit left of a character is none.
        let rest = match finish {
            Finish::MaxTokens | Finish::ContextFull => String::new(),
            _ => self.detokenizer.finish(),
        };
        let (mut certain, stopped) = self.stop.push(&rest);
        if stopped.is_none() {
            certain.push_str(&std::mem::take(&mut self.stop.held));
        }
        self.suspicious.push_str(&certain);
        if self.tell(sink).is_break() {
            return Finish::Stopped;
        }
        stopped.map_or(finish, Finish::StopString)
    }
}

/// Watches a text for strings that end it.
#[derive(Debug)]
struct StopStrings {
    strings: Vec<String>,
    /// The end of the text, as far as it may be the beginning of a stop string.
    held: String,
}

impl StopStrings {
    /// Adds a piece; returns what is certain to be text, and the stop string that was found.
    fn push(&mut self, piece: &str) -> (String, Option<String>) {
        self.held.push_str(piece);
        // The one that begins first ends the text; of two at the same place, the longer.
        let found = self.strings.iter().filter_map(|stop| self.held.find(stop.as_str()).map(|at| (at, stop)));
        if let Some((at, stop)) = found.min_by_key(|(at, stop)| (*at, std::cmp::Reverse(stop.len()))) {
            let stop = stop.clone();
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), Some(stop));
        }
        let may_begin = |tail: &str| self.strings.iter().any(|stop| stop.starts_with(tail));
        let certain = self
            .held
            .char_indices()
            .map(|(at, _)| at)
            .find(|at| may_begin(&self.held[*at..]))
            .unwrap_or(self.held.len());
        let rest = self.held.split_off(certain);
        (std::mem::replace(&mut self.held, rest), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stops(strings: &[&str]) -> StopStrings {
        StopStrings { strings: strings.iter().map(|s| (*s).to_owned()).collect(), held: String::new() }
    }

    #[test]
    fn of_a_text_that_ended_in_a_loop_the_whole_sentences_before_it_are_sound() {
        for (text, begins, sound) in [
            ("It is warm. It is is is is", 17, "It is warm."),
            ("The state of the home can is is is", 28, ""),
            ("Yes! The hall is 21.5 degrees 21.5 degrees", 29, "Yes!"),
            ("I am well. I am well. I am", 10, "I am well."),
            ("I am well. I am well. I am", 11, "I am well."),
            ("one\ntwo two two two", 7, "one"),
            ("Es ist 3 Uhr… und und und", 18, "Es ist 3 Uhr…"),
            ("", 0, ""),
        ] {
            assert_eq!(Finish::Repetition { begins }.sound_part(text), sound);
            assert_eq!(Finish::MaxTokens.sound_part(text), text);
        }
    }

    #[test]
    fn a_stop_string_is_found_however_the_text_is_cut() {
        let text = "Käse and <en <end> more";
        let cuts: Vec<usize> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
        for &a in &cuts {
            for &b in cuts.iter().filter(|b| **b >= a) {
                let mut watch = stops(&["<end>", "<never>"]);
                let mut heard = String::new();
                let mut stopped = None;
                for piece in [&text[..a], &text[a..b], &text[b..]] {
                    if stopped.is_none() {
                        let (certain, stop) = watch.push(piece);
                        heard.push_str(&certain);
                        stopped = stop;
                    }
                }
                assert_eq!(
                    (heard.as_str(), stopped.as_deref()),
                    ("Käse and <en ", Some("<end>")),
                    "cut at {a} and {b}"
                );
            }
        }
    }

    #[test]
    fn only_what_may_begin_a_stop_string_is_held_back() {
        let mut watch = stops(&["\n\n"]);
        assert_eq!(watch.push("one\n"), ("one".to_owned(), None));
        assert_eq!(watch.push("two"), ("\ntwo".to_owned(), None));
        assert_eq!(watch.push("\n"), (String::new(), None));
        assert_eq!(watch.push("\n"), (String::new(), Some("\n\n".to_owned())));
    }

    #[test]
    fn of_overlapping_stop_strings_the_first_in_the_text_counts() {
        assert_eq!(stops(&["cd", "bcde"]).push("abcdef"), ("a".to_owned(), Some("bcde".to_owned())));
    }
}

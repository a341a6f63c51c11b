//! Which tokens may follow: llguidance's Earley parser over derivatives of regular expressions, on the bytes of the tokens.

use std::sync::{Arc, PoisonError};

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, SimpleVob, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};

use super::{Constrained, Constraint};
use crate::dialect::{LazyConstraint, Trigger};
use crate::{Llm, LlmError, Sampler, TokenId, Tokenizer};

/// Compiled grammars that a model remembers: a few for each flow, and some that come and go.
const REMEMBERED: usize = 24;

/// The longest grammar or schema, in bytes.
const LONGEST: usize = 1 << 20;

/// The longest token that constrained text may use, in bytes: long runs of spaces are shorter, and the trie has a limit.
const LONGEST_TOKEN: usize = 256;

/// The bytes of all tokens together: the trie has fewer than 2^22 nodes. The largest vocabularies in use have half as many.
const MOST_BYTES: usize = (1 << 22) - 1024;

/// The vocabulary as the parser sees it, and the grammars that were compiled for it.
pub(crate) struct Grammars {
    factory: ParserFactory,
    remembered: Vec<(Constraint, Matcher)>,
}

impl Grammars {
    /// Puts the bytes of all tokens into a trie.
    pub(crate) fn of(tokenizer: &Tokenizer) -> Result<Grammars, String> {
        let mut words: Vec<Vec<u8>> = (0..tokenizer.len() as u32).map(|id| word(tokenizer, TokenId(id))).collect();
        let silent =
            |(token, text): &(TokenId, &str)| text.len() <= LONGEST_TOKEN && tokenizer.bytes_of(*token).is_empty();
        for (token, text) in tokenizer.control_tokens().filter(silent) {
            // Under a mark that no text holds.
            words[token.0 as usize] = [b"\xff", text.as_bytes()].concat();
        }
        let mut ends: Vec<u32> = tokenizer.ends().iter().map(|end| end.0).collect();
        if ends.is_empty() {
            // The parser wants one; no model can choose this one, as it has no logit.
            ends.push(words.len() as u32);
            words.push(b"\xff<|end|>".to_vec());
        }
        let bytes: usize = words.iter().map(Vec::len).sum();
        if bytes > MOST_BYTES {
            return Err(format!("its tokens have {bytes} bytes, more than {MOST_BYTES}"));
        }
        let trie = TokTrie::from(&TokRxInfo::new(words.len() as u32, ends[0]), &words).with_eos_tokens(&ends);
        let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
        let mut factory = ParserFactory::new_simple(&environment).map_err(|error| error.to_string())?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        Ok(Grammars { factory, remembered: Vec::new() })
    }

    /// A parser at the beginning of a constraint.
    fn matcher(&mut self, constraint: &Constraint) -> Result<Matcher, LlmError> {
        if let Some(at) = self.remembered.iter().position(|(known, _)| known == constraint) {
            let known = self.remembered.remove(at);
            let matcher = known.1.deep_clone();
            self.remembered.push(known);
            return Ok(matcher);
        }
        let grammar = match constraint {
            Constraint::JsonSchema(schema) => TopLevelGrammar::from_json_schema(schema.clone()),
            Constraint::Lark(grammar) if grammar.len() <= LONGEST => TopLevelGrammar::from_lark(grammar.clone()),
            Constraint::Regex(expression) if expression.len() <= LONGEST => TopLevelGrammar::from_regex(expression),
            _ => return Err(constraint.error(&format!("it is longer than {LONGEST} bytes"))),
        };
        let matcher = Matcher::new(self.factory.create_parser(grammar));
        if let Some(error) = matcher.get_error() {
            return Err(constraint.error(&error));
        }
        if self.remembered.len() == REMEMBERED {
            self.remembered.remove(0);
        }
        self.remembered.push((constraint.clone(), matcher.deep_clone()));
        Ok(matcher)
    }

    /// Tokens whose bytes are these, however a model would write them.
    fn tokens(&self, bytes: &[u8]) -> Vec<u32> {
        self.factory.tok_env().tok_trie().greedy_tokenize(bytes)
    }
}

impl Llm {
    /// Lends out the compiled grammars.
    fn with_grammars<T>(&self, f: impl FnOnce(&mut Grammars) -> Result<T, LlmError>) -> Result<T, LlmError> {
        let tokenizer = self.tokenizer()?;
        // Whoever panicked in here left at most a forgotten grammar behind.
        let mut grammars = self.grammars.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *grammars {
            Some(grammars) => f(grammars),
            none => {
                let made = Grammars::of(tokenizer)
                    .map_err(|what| LlmError::Input(format!("the vocabulary cannot be constrained: {what}")))?;
                f(none.insert(made))
            }
        }
    }
}

impl std::fmt::Debug for Grammars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grammars").field("remembered", &self.remembered.len()).finish_non_exhaustive()
    }
}

/// The bytes of a token for the trie; none, so that it is never allowed, where they hold the mark of control tokens (they are
/// then no UTF-8), or are more than any text's.
fn word(tokenizer: &Tokenizer, token: TokenId) -> Vec<u8> {
    let bytes = tokenizer.bytes_of(token);
    if bytes.len() > LONGEST_TOKEN || bytes.contains(&0xff) { Vec::new() } else { bytes.to_vec() }
}

/// Holds the text of one generation to its constraints.
pub(crate) struct Guide {
    lazy: Vec<LazyConstraint>,
    state: State,
    /// The end of the text, as far as it may be the beginning of a trigger.
    tail: Vec<u8>,
    /// The longest trigger, in bytes.
    longest: usize,
    /// Nothing but white space has been written so far, or since the last part that was held.
    at_start: bool,
    masked: Vec<f32>, // [n_vocab]
}

enum State {
    /// Anything may follow.
    Free,
    /// What the parser allows may follow; `whole`: and that is the end.
    Held { matcher: Box<Matcher>, constraint: Constraint, whole: bool },
    /// The whole text is there.
    Complete,
}

/// The longest tail that is kept beyond the triggers: white space before the first of them.
const LONGEST_START: usize = 64;

impl Guide {
    /// A guide at the beginning of a text.
    pub(crate) fn new(
        llm: &Llm,
        constrained: Option<&Constrained>,
        lazy: &[LazyConstraint],
    ) -> Result<Guide, LlmError> {
        let mut lazy = lazy.to_vec();
        let mut state = State::Free;
        if let Some(Constrained { constraint, after }) = constrained {
            match after {
                None => {
                    let matcher = Box::new(llm.with_grammars(|grammars| grammars.matcher(constraint))?);
                    state = State::Held { matcher, constraint: constraint.clone(), whole: true };
                }
                Some(marker) if marker.is_empty() => {
                    return Err(constraint.error("the marker that it holds after is empty"));
                }
                Some(marker) => {
                    let trigger = Trigger { marker: marker.clone(), at_start: false, included: false };
                    lazy.push(LazyConstraint { trigger, constraint: constraint.clone() });
                }
            }
        }
        // Compiled at once even where they hold later, so that a bad one is an error before anything is written.
        for lazy in &lazy {
            llm.with_grammars(|grammars| grammars.matcher(&lazy.constraint))?;
        }
        let longest = lazy.iter().map(|lazy| lazy.trigger.marker.len()).max().unwrap_or(0);
        Ok(Guide { lazy, state, tail: Vec::new(), longest, at_start: true, masked: Vec::new() })
    }

    /// True when the whole text fits and nothing may follow.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    /// True between a trigger and the end of what its grammar holds.
    pub(crate) fn holds_a_part(&self) -> bool {
        matches!(self.state, State::Held { whole: false, .. })
    }

    /// The text that must come next, where only one may.
    pub(crate) fn forced_text(&mut self) -> Option<String> {
        let State::Held { matcher, .. } = &mut self.state else { return None };
        let text = String::from_utf8(matcher.compute_ff_bytes()).ok()?;
        (!text.is_empty()).then_some(text)
    }

    /// Chooses the next token from `logits: [n_vocab]`, after `recent`, among those that may follow.
    pub(crate) fn choose(
        &mut self,
        llm: &Llm,
        sampler: &mut Sampler,
        logits: &[f32],
        recent: &[TokenId],
    ) -> Result<TokenId, LlmError> {
        let tokenizer = llm.tokenizer()?;
        let fail = |constraint: &Constraint, error: &dyn std::fmt::Display| constraint.error(&error.to_string());
        if let State::Held { matcher, constraint, whole } = &mut self.state {
            let mask = matcher.compute_mask_or_eos().map_err(|error| fail(constraint, &error))?;
            mask_logits(logits, &mask, &mut self.masked);
            if self.masked.iter().all(|logit| *logit == f32::NEG_INFINITY) {
                return Err(constraint.error("no token of the model's vocabulary may follow"));
            }
            let token = sampler.sample(&self.masked, recent);
            matcher.consume_token(token.0).map_err(|error| fail(constraint, &error))?;
            if matcher.is_stopped() {
                if let Some(error) = matcher.get_error() {
                    return Err(constraint.error(&error));
                }
                self.state = if *whole { State::Complete } else { State::Free };
                self.tail.clear();
                self.at_start = true;
            }
            return Ok(token);
        }
        let mut refused = false;
        loop {
            let token = sampler.sample(if refused { &self.masked } else { logits }, recent);
            let mut text = self.tail.clone();
            text.extend_from_slice(tokenizer.bytes_of(token));
            let Some((lazy, held)) = self.triggered(&text) else {
                self.pass(text);
                return Ok(token);
            };
            // What the token holds beyond the trigger must fit as well; otherwise it was the wrong token.
            let constraint = self.lazy[lazy].constraint.clone();
            let (mut matcher, tokens) =
                llm.with_grammars(|grammars| Ok((grammars.matcher(&constraint)?, grammars.tokens(&text[held..]))))?;
            let taken = matcher.try_consume_tokens(&tokens).map_err(|error| fail(&constraint, &error))?;
            if taken == tokens.len() {
                self.state = match matcher.is_stopped() {
                    true => State::Free,
                    false => State::Held { matcher: Box::new(matcher), constraint, whole: false },
                };
                self.tail.clear();
                self.at_start = true;
                return Ok(token);
            }
            if !refused {
                self.masked.clear();
                self.masked.extend_from_slice(logits);
                refused = true;
            }
            self.masked[token.0 as usize] = f32::NEG_INFINITY;
        }
    }

    /// The constraint whose trigger stands first in `text`, and where what it holds begins.
    fn triggered(&self, text: &[u8]) -> Option<(usize, usize)> {
        let space = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let places = self.lazy.iter().enumerate().filter_map(|(index, lazy)| {
            let marker = lazy.trigger.marker.as_bytes();
            let at = match lazy.trigger.at_start {
                true => (self.at_start && text[space..].starts_with(marker)).then_some(space)?,
                false => find(text, marker)?,
            };
            Some((at, std::cmp::Reverse(marker.len()), index))
        });
        let (at, length, index) = places.min()?;
        Some((index, if self.lazy[index].trigger.included { at } else { at + length.0 }))
    }

    /// Keeps of a free text what may become a trigger.
    fn pass(&mut self, mut text: Vec<u8>) {
        let longest = self.longest.saturating_sub(1);
        if self.at_start {
            let space = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let begun = &text[space..];
            // As long as it may still become a trigger at the start, all of it is kept.
            let open = begun.is_empty()
                || self
                    .lazy
                    .iter()
                    .any(|lazy| lazy.trigger.at_start && lazy.trigger.marker.as_bytes().starts_with(begun));
            if open {
                let drop = space.min(text.len().saturating_sub(longest + LONGEST_START));
                self.tail = text.split_off(drop);
                return;
            }
            self.at_start = false;
        }
        let keep = text.len().min(longest);
        self.tail = text.split_off(text.len() - keep);
    }
}

impl std::fmt::Debug for Guide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guide").field("lazy", &self.lazy.len()).finish_non_exhaustive()
    }
}

/// Copies the logits of allowed tokens; all others become minus infinity.
fn mask_logits(logits: &[f32], mask: &SimpleVob, out: &mut Vec<f32>) {
    out.clear();
    out.resize(logits.len(), f32::NEG_INFINITY);
    for (word, bits) in mask.as_slice().iter().enumerate() {
        let mut bits = *bits;
        while bits != 0 {
            let index = word * 32 + bits.trailing_zeros() as usize;
            if let (Some(out), Some(logit)) = (out.get_mut(index), logits.get(index)) {
                // A number that is none must not make an allowed token disappear, or nothing might be left.
                *out = if logit.is_nan() { f32::MIN } else { *logit };
            }
            bits &= bits - 1;
        }
    }
}

/// Where `what` begins in `text`.
fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len().max(1)).position(|window| window == what)
}

//! Output that cannot but fit: a JSON schema, a grammar or an expression decides before each token which tokens may follow
//! (llguidance's Earley parser over derivatives of regular expressions, on the bytes of the tokens), and the sampler chooses
//! among those.
//!
//! A constraint holds from the beginning of a text, or, for tool calls, from each place where an opening marker was written
//! until its grammar is complete; what lies between is free. Tokens need not end where a marker ends.

use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, SimpleVob, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use serde::{Deserialize, Serialize};

use super::{Llm, LlmError, Sampler, TokenId, Tokenizer};

/// Compiled grammars that a model remembers: one for each flow, and a few that come and go.
const REMEMBERED: usize = 8;

/// The longest grammar or schema, in bytes.
const LONGEST: usize = 1 << 20;

/// The longest token that constrained text may use, in bytes: long runs of spaces are shorter, and the trie has a limit.
const LONGEST_TOKEN: usize = 256;

/// The bytes of all tokens together: the trie has fewer than 2^22 nodes. The largest vocabularies in use have half as many.
const MOST_BYTES: usize = (1 << 22) - 1024;

/// What a text must fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// A value that a JSON schema accepts. Its key `x-guidance` may say which white space is allowed, as llguidance documents.
    JsonSchema(serde_json::Value),
    /// A context-free grammar in Lark's notation, with llguidance's extensions (`%json { ... }` holds a schema).
    Lark(String),
    /// A regular expression.
    Regex(String),
}

/// A constraint, and where it begins to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constrained {
    /// What must fit.
    pub constraint: Constraint,
    /// `None` for the whole text, which ends when it is complete. Otherwise what follows this marker must fit, each time that
    /// it is written, and the text goes on freely afterwards.
    pub after: Option<String>,
}

impl Constraint {
    fn kind(&self) -> &'static str {
        match self {
            Constraint::JsonSchema(_) => "JSON schema",
            Constraint::Lark(_) => "grammar",
            Constraint::Regex(_) => "regular expression",
        }
    }

    fn error(&self, what: &str) -> LlmError {
        // The parser's complaints go on for lines with a picture of the grammar; the first says what is wrong.
        let line = what.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no reason was given");
        let mut line: String = line.chars().take(300).collect();
        line.truncate(line.trim_end_matches(['.', ' ']).len());
        LlmError::Constraint { kind: self.kind(), what: line }
    }
}

/// The vocabulary as the parser sees it, and the grammars that were compiled for it.
pub(super) struct Grammars {
    factory: ParserFactory,
    remembered: Vec<(Constraint, Matcher)>,
}

impl Grammars {
    /// Puts the bytes of all tokens into a trie.
    pub(super) fn of(tokenizer: &Tokenizer) -> Result<Grammars, String> {
        let mut words: Vec<Vec<u8>> = (0..tokenizer.len() as u32).map(|id| word(tokenizer, TokenId(id))).collect();
        for (token, text) in tokenizer.control_tokens().filter(|(_, text)| text.len() <= LONGEST_TOKEN) {
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

/// Holds the text of one generation to its constraint.
pub(super) struct Guide {
    constrained: Constrained,
    state: State,
    /// The end of the text, as far as it may be the beginning of the marker.
    tail: Vec<u8>,
    masked: Vec<f32>, // [n_vocab]
}

enum State {
    /// Anything may follow.
    Free,
    /// What the parser allows may follow.
    Held(Box<Matcher>),
    /// The whole text is there.
    Complete,
}

impl Guide {
    /// A guide at the beginning of a text.
    pub(super) fn new(llm: &Llm, constrained: &Constrained) -> Result<Guide, LlmError> {
        // Compiled at once even where it holds later, so that a bad one is an error before anything is written.
        let matcher = llm.with_grammars(|grammars| grammars.matcher(&constrained.constraint))?;
        let state = match &constrained.after {
            None => State::Held(Box::new(matcher)),
            Some(marker) if marker.is_empty() => {
                return Err(constrained.constraint.error("the marker that it holds after is empty"));
            }
            Some(_) => State::Free,
        };
        Ok(Guide { constrained: constrained.clone(), state, tail: Vec::new(), masked: Vec::new() })
    }

    /// True when the whole text fits and nothing may follow.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    /// Chooses the next token from `logits: [n_vocab]`, after `recent`, among those that may follow.
    pub(super) fn choose(
        &mut self,
        llm: &Llm,
        sampler: &mut Sampler,
        logits: &[f32],
        recent: &[TokenId],
    ) -> Result<TokenId, LlmError> {
        let tokenizer = llm.tokenizer()?;
        let fail = |constraint: &Constraint, error: &dyn std::fmt::Display| constraint.error(&error.to_string());
        if let State::Held(matcher) = &mut self.state {
            let constraint = &self.constrained.constraint;
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
                self.state = if self.constrained.after.is_some() { State::Free } else { State::Complete };
                self.tail.clear();
            }
            return Ok(token);
        }
        let marker = self.constrained.after.clone().unwrap_or_default();
        let mut refused = false;
        loop {
            let token = sampler.sample(if refused { &self.masked } else { logits }, recent);
            let mut text = self.tail.clone();
            text.extend_from_slice(tokenizer.bytes_of(token));
            let Some(at) = find(&text, marker.as_bytes()) else {
                let keep = text.len().min(marker.len().saturating_sub(1));
                self.tail = text.split_off(text.len() - keep);
                return Ok(token);
            };
            // What the token holds beyond the marker must fit as well; otherwise it was the wrong token.
            let beyond = text.split_off(at + marker.len());
            let constraint = &self.constrained.constraint;
            let (mut matcher, tokens) =
                llm.with_grammars(|grammars| Ok((grammars.matcher(constraint)?, grammars.tokens(&beyond))))?;
            let taken = matcher.try_consume_tokens(&tokens).map_err(|error| fail(constraint, &error))?;
            if taken == tokens.len() {
                self.state = match matcher.is_stopped() {
                    true => State::Free,
                    false => State::Held(Box::new(matcher)),
                };
                self.tail.clear();
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
}

impl std::fmt::Debug for Guide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guide").field("constrained", &self.constrained).finish_non_exhaustive()
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
    text.windows(what.len()).position(|window| window == what)
}

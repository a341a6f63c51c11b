//! SentencePiece's pair merging, driven by the score of each piece (Kudo and Richardson, 2018), with bytes as the last resort.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use super::{Kind, TokenId};
use crate::LlmError;
use nearfield_gguf::{Gguf, Value};

/// The sign that stands for a space in the pieces.
pub(super) const SPACE: &str = "\u{2581}";

#[derive(Debug)]
pub(super) struct SentencePieces {
    tokens: HashMap<String, (TokenId, f32)>,
    /// The token of each single byte, if there is one.
    bytes: Vec<Option<TokenId>>, // [256]
    unknown: Option<TokenId>,
    adds_space: bool,
}

/// Two neighbouring symbols that form a piece.
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    /// Length of both, to see whether one of them has been merged in the meantime.
    len: usize,
    token: TokenId,
}

/// A run of text that is one piece; empty once it has been merged into its left neighbour.
struct Symbol<'t> {
    text: &'t str,
    previous: Option<usize>,
    next: Option<usize>,
}

impl SentencePieces {
    pub(super) fn of(gguf: &Gguf, tokens: &[String], kinds: &[Kind]) -> Result<SentencePieces, LlmError> {
        const KEY: &str = "tokenizer.ggml.scores";
        let scores = match gguf.value(KEY) {
            Some(Value::Floats(scores)) if scores.len() == tokens.len() => scores,
            _ => {
                return Err(LlmError::metadata(
                    gguf,
                    KEY,
                    format!("expected {} floats, one for each token", tokens.len()),
                ));
            }
        };
        let mut bytes = vec![None; 256];
        let mut pieces = HashMap::with_capacity(tokens.len());
        for (index, ((text, kind), score)) in tokens.iter().zip(kinds).zip(scores).enumerate() {
            let token = TokenId(index as u32);
            match (kind, byte(text)) {
                (Kind::Byte, Some(byte)) => bytes[usize::from(byte)] = Some(token),
                (Kind::Control | Kind::Unknown | Kind::Byte, _) => {}
                _ => {
                    pieces.entry(text.clone()).or_insert((token, *score));
                }
            }
        }
        let unknown = gguf.integer("tokenizer.ggml.unknown_token_id", 0, u64::from(u32::MAX))?;
        let unknown =
            unknown.or_else(|| kinds.iter().position(|kind| *kind == Kind::Unknown)).filter(|id| *id < tokens.len());
        Ok(SentencePieces {
            tokens: pieces,
            bytes,
            unknown: unknown.map(|id| TokenId(id as u32)),
            adds_space: gguf.bool("tokenizer.ggml.add_space_prefix")?.unwrap_or(true),
        })
    }

    /// True when a text gets a space before it.
    pub(super) fn adds_space(&self) -> bool {
        self.adds_space
    }

    /// Appends the tokens of a text; `at_start` when nothing, or a special token, stands before it.
    pub(super) fn encode(&self, text: &str, at_start: bool, out: &mut Vec<TokenId>) {
        let mut escaped = String::with_capacity(text.len() + 8);
        if at_start && self.adds_space {
            escaped.push_str(SPACE);
        }
        escaped.push_str(&text.replace(' ', SPACE));

        let count = escaped.chars().count();
        let mut symbols: Vec<Symbol<'_>> = escaped
            .char_indices()
            .enumerate()
            .map(|(index, (at, c))| Symbol {
                text: &escaped[at..at + c.len_utf8()],
                previous: index.checked_sub(1),
                next: (index + 1 < count).then_some(index + 1),
            })
            .collect();
        let mut pairs = BinaryHeap::new();
        for left in 0..count.saturating_sub(1) {
            self.consider(&escaped, &symbols, left, left + 1, &mut pairs);
        }
        while let Some(pair) = pairs.pop() {
            let (left, right) = (symbols[pair.left].text, symbols[pair.right].text);
            if left.is_empty() || right.is_empty() || left.len() + right.len() != pair.len {
                continue; // one of them has been merged since
            }
            symbols[pair.left].text = joined(&escaped, left, right);
            symbols[pair.right].text = "";
            let next = symbols[pair.right].next;
            symbols[pair.left].next = next;
            if let Some(next) = next {
                symbols[next].previous = Some(pair.left);
                self.consider(&escaped, &symbols, pair.left, next, &mut pairs);
            }
            if let Some(previous) = symbols[pair.left].previous {
                self.consider(&escaped, &symbols, previous, pair.left, &mut pairs);
            }
        }
        for symbol in symbols.iter().filter(|symbol| !symbol.text.is_empty()) {
            match self.tokens.get(symbol.text) {
                Some((token, _)) => out.push(*token),
                None => {
                    for byte in symbol.text.bytes() {
                        out.extend(self.bytes[usize::from(byte)].or(self.unknown));
                    }
                }
            }
        }
    }

    fn consider(&self, whole: &str, symbols: &[Symbol<'_>], left: usize, right: usize, pairs: &mut BinaryHeap<Pair>) {
        let text = joined(whole, symbols[left].text, symbols[right].text);
        if let Some((token, score)) = self.tokens.get(text) {
            pairs.push(Pair { score: *score, left, right, len: text.len(), token: *token });
        }
    }
}

/// Two neighbouring slices of one string as one.
fn joined<'t>(whole: &'t str, left: &str, right: &str) -> &'t str {
    let start = left.as_ptr().addr() - whole.as_ptr().addr();
    &whole[start..start + left.len() + right.len()]
}

/// The byte that a token such as `<0x0A>` stands for.
fn byte(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

/// Appends the bytes that a token stands for.
pub(super) fn bytes_of(text: &str, kind: Kind, out: &mut Vec<u8>) {
    match (kind, byte(text)) {
        (Kind::Byte, Some(byte)) => out.push(byte),
        _ => out.extend_from_slice(text.replace(SPACE, " ").as_bytes()),
    }
}

impl Ord for Pair {
    /// The highest score first; of equal ones the leftmost.
    fn cmp(&self, other: &Pair) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left)).then(self.token.cmp(&other.token))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Pair) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Pair) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Pair {}

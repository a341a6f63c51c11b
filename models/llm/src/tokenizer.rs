//! Text to tokens and back, from the vocabulary that a GGUF file carries. Special tokens are split off first; what lies
//! between them goes to one of three models: SentencePiece's merging by score ("llama"), byte-level pair encoding ("gpt2"), or pair
//! encoding of plain text ("gemma4").

mod byte_pairs;
mod sentence_pieces;

use super::dialect::Dialect;
use super::{LlmError, TokenId};
use byte_pairs::BytePairs;
use nearfield_gguf::{Gguf, Value, quoted};
use sentence_pieces::SentencePieces;

/// A vocabulary with its rules.
#[derive(Debug)]
pub struct Tokenizer {
    model: Model,
    /// The bytes that each token stands for in a text; none for control tokens.
    bytes: Vec<u8>,
    starts: Vec<u32>, // [n_vocab + 1]
    /// Special tokens with their texts, longest first.
    special: Vec<Special>,
    ends: Vec<TokenId>,
    bos: Option<TokenId>,
    eos: Option<TokenId>,
    bos_text: String,
    eos_text: String,
    adds_bos: bool,
}

#[derive(Debug)]
enum Model {
    SentencePieces(SentencePieces),
    BytePairs(Box<BytePairs>),
}

#[derive(Debug)]
struct Special {
    text: String,
    token: TokenId,
    /// Control tokens are only recognised on request; user-defined ones always.
    control: bool,
    /// White space after it belongs to it and is dropped.
    strips: bool,
}

/// What a token is, as `tokenizer.ggml.token_type` numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// Texts of control tokens that end a turn in the families that forget to say so in the metadata.
const END_TEXTS: [&str; 17] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<turn|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eom_id|>",
    "</s>",
    "<eos>",
    "<|return|>",
    "<|call|>",
    "<|endofturn|>",
    "<|END_OF_TURN_TOKEN|>",
    "<｜end▁of▁sentence｜>",
    "<|eot|>",
    "<|endofprompt|>",
];

impl Tokenizer {
    /// The vocabulary of a file; `None` when it carries none.
    pub(super) fn of(gguf: &Gguf) -> Result<Option<Tokenizer>, LlmError> {
        let model = gguf.text("tokenizer.ggml.model")?;
        let tokens = match gguf.value("tokenizer.ggml.tokens") {
            Some(Value::Texts(tokens)) => tokens,
            None if matches!(model, None | Some("no_vocab" | "none")) => return Ok(None),
            _ => return Err(LlmError::metadata(gguf, "tokenizer.ggml.tokens", "expected an array of strings")),
        };
        let n_vocab = gguf.tensor("token_embd.weight").and_then(|tensor| tensor.dims.get(1).copied()).unwrap_or(0);
        if tokens.is_empty() || tokens.len() > n_vocab {
            return Err(LlmError::metadata(
                gguf,
                "tokenizer.ggml.tokens",
                format!("{} tokens, but the model has {n_vocab} embeddings", tokens.len()),
            ));
        }
        let kinds = kinds(gguf, tokens.len())?;
        let model = match model {
            Some("llama") => Model::SentencePieces(SentencePieces::of(gguf, tokens, &kinds)?),
            Some("gpt2") => Model::BytePairs(Box::new(BytePairs::of(gguf, tokens, &kinds)?)),
            Some("gemma4") => Model::BytePairs(Box::new(BytePairs::of_lines(gguf, tokens, &kinds)?)),
            other => {
                let found = quoted(other.unwrap_or("nothing"));
                return Err(LlmError::metadata(
                    gguf,
                    "tokenizer.ggml.model",
                    format!("{found} is not supported; supported are: llama, gpt2, gemma4"),
                ));
            }
        };
        // Phi-3's own tokenizer drops the white space after its marks; GGUF has no place to say so.
        let phi3 = matches!(model, Model::SentencePieces(_))
            && gguf.text("general.architecture")?.is_some_and(|it| it == "phi3");
        let strips = |text: &str| phi3 && !["<unk>", "<s>", "<|endoftext|>"].contains(&text);
        let (mut bytes, mut starts, mut special) = (Vec::new(), vec![0], Vec::new());
        for (index, (text, kind)) in tokens.iter().zip(&kinds).enumerate() {
            match (kind, &model) {
                (Kind::Control | Kind::Unknown | Kind::Unused, _) => {}
                (Kind::UserDefined, _) => bytes.extend_from_slice(text.as_bytes()),
                (_, Model::BytePairs(pairs)) if pairs.is_plain() => sentence_pieces::bytes_of(text, *kind, &mut bytes),
                (_, Model::SentencePieces(_)) => sentence_pieces::bytes_of(text, *kind, &mut bytes),
                (_, Model::BytePairs(_)) => byte_pairs::bytes_of(text, &mut bytes),
            }
            starts.push(
                u32::try_from(bytes.len())
                    .map_err(|_| LlmError::metadata(gguf, "tokenizer.ggml.tokens", "more than 4 GB of text"))?,
            );
            if matches!(kind, Kind::Control | Kind::UserDefined) && !text.is_empty() {
                let token = TokenId(index as u32);
                let control = *kind == Kind::Control;
                special.push(Special { text: text.clone(), token, control, strips: strips(text) });
            }
        }
        special.sort_by_key(|special| std::cmp::Reverse(special.text.len()));
        let id = |key: &str| -> Result<Option<TokenId>, LlmError> {
            // Some files write -1 for "none", and some that as an unsigned number.
            match gguf.value(key) {
                Some(Value::Integer(number)) => {
                    Ok(u32::try_from(*number).ok().filter(|id| (*id as usize) < tokens.len()).map(TokenId))
                }
                Some(_) => Err(LlmError::metadata(gguf, key, "expected the number of a token")),
                None => Ok(None),
            }
        };
        let (bos, eos) = (id("tokenizer.ggml.bos_token_id")?, id("tokenizer.ggml.eos_token_id")?);
        let mut ends: Vec<TokenId> = [eos, id("tokenizer.ggml.eot_token_id")?, id("tokenizer.ggml.eom_token_id")?]
            .into_iter()
            .flatten()
            .collect();
        ends.extend(
            special
                .iter()
                .filter(|special| special.control && END_TEXTS.contains(&special.text.as_str()))
                .map(|special| special.token),
        );
        if let Some(end) = harmony_end(&special) {
            // A reply in harmony has several messages.
            ends.retain(|token| *token != end);
        }
        ends.sort_unstable();
        ends.dedup();
        let text_of = |token: Option<TokenId>| token.map(|token| tokens[token.0 as usize].clone()).unwrap_or_default();
        let adds_bos = gguf.bool("tokenizer.ggml.add_bos_token")?;
        // Files of Gemma 4 may say no, and the model needs it.
        let adds_bos = adds_bos.filter(|_| !matches!(&model, Model::BytePairs(pairs) if pairs.is_plain()));
        let adds_bos = adds_bos.unwrap_or(match &model {
            Model::SentencePieces(_) => true,
            Model::BytePairs(pairs) => pairs.adds_bos(),
        });
        Ok(Some(Tokenizer {
            model,
            bytes,
            starts,
            special,
            ends,
            bos,
            eos,
            bos_text: text_of(bos),
            eos_text: text_of(eos),
            adds_bos: adds_bos && bos.is_some(),
        }))
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// False: a vocabulary without tokens is refused.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tokens of a text, and nothing more. With `special`, control tokens that stand in the text are taken as such (for
    /// rendered templates); without, they are plain text (for what people say). User-defined tokens are always recognised.
    pub fn encode(&self, text: &str, special: bool) -> Vec<TokenId> {
        enum Part<'t> {
            Text(&'t str),
            Token(TokenId),
        }
        let mut parts = if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] };
        for candidate in self.special.iter().filter(|candidate| special || !candidate.control) {
            if !text.contains(candidate.text.as_str()) {
                continue;
            }
            let mut split = Vec::with_capacity(parts.len());
            for part in parts {
                match part {
                    Part::Text(text) => {
                        for (index, piece) in text.split(candidate.text.as_str()).enumerate() {
                            let piece = if index > 0 && candidate.strips { piece.trim_start() } else { piece };
                            if index > 0 {
                                split.push(Part::Token(candidate.token));
                            }
                            if !piece.is_empty() {
                                split.push(Part::Text(piece));
                            }
                        }
                    }
                    token => split.push(token),
                }
            }
            parts = split;
        }
        let mut tokens = Vec::new();
        let mut at_start = true; // of the text, or right after a special token
        for part in parts {
            match (part, &self.model) {
                (Part::Token(token), _) => tokens.push(token),
                (Part::Text(text), Model::SentencePieces(model)) => model.encode(text, at_start, &mut tokens),
                (Part::Text(text), Model::BytePairs(model)) => model.encode(text, &mut tokens),
            }
            at_start = matches!(tokens.last(), Some(last) if self.special.iter().any(|special| special.token == *last));
        }
        tokens
    }

    /// The tokens of a whole prompt: special tokens are recognised, and the token that begins a text stands first if the model
    /// wants one and the prompt (as a rendered template often does) does not begin with it.
    pub fn encode_prompt(&self, text: &str) -> Vec<TokenId> {
        let mut tokens = self.encode(text, true);
        if let Some(bos) = self.begins_with().filter(|bos| tokens.first() != Some(bos)) {
            tokens.insert(0, bos);
        }
        tokens
    }

    /// The tokens of a text as it stands, with the token that begins a text before them if the model wants one: what language models
    /// are evaluated on. What looks like a control token in it is plain text.
    pub fn encode_text(&self, text: &str) -> Vec<TokenId> {
        let mut tokens = self.encode(text, false);
        if let Some(bos) = self.begins_with() {
            tokens.insert(0, bos);
        }
        tokens
    }

    /// The token that the model wants before a text, if it wants one.
    pub fn begins_with(&self) -> Option<TokenId> {
        self.bos.filter(|_| self.adds_bos)
    }

    /// The text of tokens: control tokens are silent, bytes that are not UTF-8 become the replacement character, and the space
    /// that encoding puts before a text is taken off again.
    pub fn decode(&self, tokens: &[TokenId]) -> String {
        let bytes: Vec<u8> = tokens.iter().flat_map(|token| self.bytes_of(*token)).copied().collect();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match &self.model {
            Model::SentencePieces(model) if model.adds_space() => {
                text.strip_prefix(' ').map_or(text.clone(), str::to_owned)
            }
            _ => text,
        }
    }

    /// The bytes that a token adds to a text; none for control tokens and numbers beyond the vocabulary.
    pub fn bytes_of(&self, token: TokenId) -> &[u8] {
        match self.starts.get(token.0 as usize..).unwrap_or_default() {
            [start, end, ..] => &self.bytes[*start as usize..*end as usize],
            _ => &[],
        }
    }

    /// A token as it is shown to people: the text that it adds, with the replacement character for bytes that are none, or the mark that a
    /// control token is written as.
    pub fn text_of(&self, token: TokenId) -> String {
        match self.bytes_of(token) {
            [] => {
                let mark = self.special.iter().find(|special| special.token == token);
                mark.map(|special| special.text.clone()).unwrap_or_default()
            }
            bytes => String::from_utf8_lossy(bytes).into_owned(),
        }
    }

    /// Gives control tokens that stand for one of `marks` that text from now on: replies then show them. They are still taken for
    /// plain text where people write them.
    pub(super) fn show(&mut self, marks: impl Iterator<Item = &'static str>) {
        let marks: Vec<&str> = marks.collect();
        let shown: Vec<(usize, &str)> = self
            .special
            .iter()
            .filter(|special| special.control && !self.ends.contains(&special.token))
            .filter(|special| marks.contains(&special.text.as_str()))
            .map(|special| (special.token.0 as usize, special.text.as_str()))
            .collect();
        if shown.is_empty() {
            return;
        }
        let (mut bytes, mut starts) = (Vec::with_capacity(self.bytes.len() + 512), vec![0]);
        for token in 0..self.starts.len() - 1 {
            match shown.iter().find(|(shown, _)| *shown == token) {
                Some((_, text)) => bytes.extend_from_slice(text.as_bytes()),
                None => {
                    bytes.extend_from_slice(&self.bytes[self.starts[token] as usize..self.starts[token + 1] as usize])
                }
            }
            starts.push(bytes.len() as u32);
        }
        (self.bytes, self.starts) = (bytes, starts);
    }

    /// Learns from the template what stands between a reply and the next question: the special tokens in it end a reply; where
    /// there is none, the first line of the text does, which is returned. Harmony has several messages in one reply, so its marks
    /// are not taken.
    pub(super) fn end_at(&mut self, turn_end: &str, dialect: Dialect) -> Option<String> {
        if dialect == Dialect::Harmony {
            return None;
        }
        let line = turn_end.trim().lines().next().unwrap_or_default().trim();
        let has_special = self.special.iter().any(|special| turn_end.contains(special.text.as_str()));
        if !has_special {
            return (line.len() > 2).then(|| line.to_owned());
        }
        let found = self.special.iter().filter(|special| special.control && turn_end.contains(special.text.as_str()));
        let found: Vec<TokenId> =
            found.map(|special| special.token).filter(|token| self.bytes_of(*token).is_empty()).collect();
        self.ends.extend(found);
        self.ends.sort_unstable();
        self.ends.dedup();
        None
    }

    /// True for a token that ends a text or a turn.
    pub fn is_end(&self, token: TokenId) -> bool {
        self.ends.contains(&token)
    }

    #[cfg(feature = "grammar")]
    /// The tokens that end a text or a turn.
    pub(super) fn ends(&self) -> &[TokenId] {
        &self.ends
    }

    #[cfg(feature = "grammar")]
    /// The control tokens with their texts.
    pub(super) fn control_tokens(&self) -> impl Iterator<Item = (TokenId, &str)> {
        let control = self.special.iter().filter(|special| special.control);
        control.map(|special| (special.token, special.text.as_str()))
    }

    /// A text in which no control token stands, so that nobody who only says something can end his message or begin another's: a
    /// zero-width space breaks each one up.
    pub fn without_control<'t>(&self, text: &'t str) -> std::borrow::Cow<'t, str> {
        let mut safe = std::borrow::Cow::Borrowed(text);
        for mark in self.special.iter().filter(|special| special.control).map(|special| special.text.as_str()) {
            let Some(first) = mark.chars().next().filter(|_| safe.contains(mark)) else { continue };
            let broken = format!("{first}\u{200b}{}", &mark[first.len_utf8()..]);
            safe = safe.replace(mark, &broken).into();
        }
        safe
    }

    /// The special token that is written so, such as `<|user|>`.
    pub fn special(&self, text: &str) -> Option<TokenId> {
        self.special.iter().find(|special| special.text == text).map(|special| special.token)
    }

    /// The token that stands before every text, where the model wants one.
    pub(super) fn leading_bos(&self) -> Option<TokenId> {
        self.bos.filter(|_| self.adds_bos)
    }

    /// The token that begins a text.
    pub fn bos(&self) -> Option<TokenId> {
        self.bos
    }

    /// The token that ends a text.
    pub fn eos(&self) -> Option<TokenId> {
        self.eos
    }

    pub(super) fn bos_text(&self) -> &str {
        &self.bos_text
    }

    pub(super) fn eos_text(&self) -> &str {
        &self.eos_text
    }
}

/// Turns tokens into text as they come. Only whole characters come out: the bytes of an unfinished one are kept back until
/// it is complete, or is seen never to become one.
#[derive(Debug, Clone, Default)]
pub struct Detokenizer {
    pending: Vec<u8>,
}

impl Detokenizer {
    /// The beginning of a text.
    pub fn new() -> Detokenizer {
        Detokenizer::default()
    }

    /// Adds a token and returns the text that is now certain.
    pub fn push(&mut self, tokenizer: &Tokenizer, token: TokenId) -> String {
        self.push_bytes(tokenizer.bytes_of(token))
    }

    /// What was kept back, as the replacement character, at the end of a text.
    pub fn finish(&mut self) -> String {
        let rest = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        rest
    }

    fn push_bytes(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::new();
        let mut done = 0;
        loop {
            match std::str::from_utf8(&self.pending[done..]) {
                Ok(valid) => {
                    text.push_str(valid);
                    done = self.pending.len();
                    break;
                }
                Err(error) => {
                    let valid = done + error.valid_up_to();
                    text.push_str(&String::from_utf8_lossy(&self.pending[done..valid]));
                    done = valid;
                    match error.error_len() {
                        None => break, // unfinished
                        Some(bad) => {
                            text.push(char::REPLACEMENT_CHARACTER);
                            done += bad;
                        }
                    }
                }
            }
        }
        self.pending.drain(..done);
        text
    }
}

/// The end of a message, in a vocabulary where that is not the end of a reply.
fn harmony_end(special: &[Special]) -> Option<TokenId> {
    let find = |text: &str| special.iter().find(|special| special.text == text).map(|special| special.token);
    find("<|return|>").and(find("<|call|>")).and(find("<|channel|>")).and(find("<|end|>"))
}

/// The kinds of all tokens; all are normal where the file does not say.
fn kinds(gguf: &Gguf, n_tokens: usize) -> Result<Vec<Kind>, LlmError> {
    const KEY: &str = "tokenizer.ggml.token_type";
    let numbers = match gguf.value(KEY) {
        None => return Ok(vec![Kind::Normal; n_tokens]),
        Some(Value::Integers(numbers)) if numbers.len() == n_tokens => numbers,
        Some(_) => {
            return Err(LlmError::metadata(gguf, KEY, format!("expected {n_tokens} integers, one for each token")));
        }
    };
    let kind = |number: &i64| match number {
        2 => Kind::Unknown,
        3 => Kind::Control,
        4 => Kind::UserDefined,
        5 => Kind::Unused,
        6 => Kind::Byte,
        _ => Kind::Normal,
    };
    Ok(numbers.iter().map(kind).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_come_out_whole_however_their_bytes_are_cut() {
        let text = "Grüße 👋🏽 日本 \u{0} é";
        for size in 1..8 {
            let mut detokenizer = Detokenizer::new();
            let mut heard = String::new();
            for bytes in text.as_bytes().chunks(size) {
                let piece = detokenizer.push_bytes(bytes);
                assert!(!piece.contains(char::REPLACEMENT_CHARACTER), "{piece:?}");
                heard.push_str(&piece);
            }
            assert_eq!(heard + &detokenizer.finish(), text);
        }
    }

    #[test]
    fn broken_bytes_become_one_mark_each_and_do_not_swallow_what_follows() {
        let mut detokenizer = Detokenizer::new();
        assert_eq!(detokenizer.push_bytes(b"a\xffb\xe2\x82"), "a\u{fffd}b");
        assert_eq!(detokenizer.push_bytes(b"c\xe2"), "\u{fffd}c");
        assert_eq!(detokenizer.finish(), "\u{fffd}");
        assert_eq!(detokenizer.finish(), "");
    }
}

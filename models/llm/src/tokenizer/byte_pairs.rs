//! Byte-level pair encoding (Sennrich et al., 2016; Radford et al., 2019): words are cut by the expression that the file names,
//! their bytes are written in a printable alphabet, and pairs are merged in the file's order.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{PreTokenizerWrapper, SplitDelimiterBehavior, TokenizerImpl};

use super::sentence_pieces::SPACE;
use super::{Kind, TokenId};
use crate::LlmError;
use nearfield_gguf::word_patterns::{GPT2, GPT4O, LLAMA3, QWEN2, TEKKEN};
use nearfield_gguf::{Gguf, Value, quoted};

type Encoder = TokenizerImpl<
    BPE,
    tokenizers::NormalizerWrapper,
    PreTokenizerWrapper,
    tokenizers::PostProcessorWrapper,
    tokenizers::DecoderWrapper,
>;

pub(super) struct BytePairs {
    encoder: Encoder,
    adds_bos: bool,
    /// The tokens of line ends in a row, where texts are not cut into words and pieces are plain text with a sign for spaces.
    line_ends: Option<HashMap<String, TokenId>>,
}

/// As Qwen 3.5 cuts them: as Qwen 2, with combining marks in words.
const QWEN35: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|",
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// One way to cut a text into words: expressions that are applied one after the other, and two habits of its family.
struct Cutting {
    /// Names that the converters of the ggml project give it.
    names: &'static [&'static str],
    patterns: &'static [&'static str],
    /// A word that is a token is not put together from its parts.
    whole_words: bool,
    adds_bos: bool,
}

const CUTTINGS: [Cutting; 9] = {
    const fn cutting(names: &'static [&'static str], patterns: &'static [&'static str]) -> Cutting {
        Cutting { names, patterns, whole_words: false, adds_bos: false }
    }
    [
        Cutting {
            names: &["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "lfm2"],
            patterns: &[LLAMA3],
            whole_words: true,
            adds_bos: true,
        },
        cutting(&["qwen2", "deepseek-r1-qwen", "stablelm2", "megrez"], &[QWEN2]),
        cutting(&["qwen35"], &[QWEN35]),
        cutting(&["gpt-2", "gpt2", "phi-2", "olmo", "jais", "mpt", "exaone4", "trillion"], &[GPT2]),
        cutting(
            &["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"],
            &[r"\p{N}", GPT2],
        ),
        cutting(&["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"], &[LLAMA3]),
        cutting(&["gpt-4o", "llama4"], &[GPT4O]),
        Cutting { names: &["tekken"], patterns: &[TEKKEN], whole_words: true, adds_bos: true },
        cutting(&["default"], &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"]),
    ]
};

impl BytePairs {
    pub(super) fn of(gguf: &Gguf, tokens: &[String], kinds: &[Kind]) -> Result<BytePairs, LlmError> {
        const KEY: &str = "tokenizer.ggml.pre";
        let pre = gguf.text(KEY)?.unwrap_or("default");
        let Some(cutting) = CUTTINGS.iter().find(|cutting| cutting.names.contains(&pre)) else {
            let supported: Vec<&str> = CUTTINGS.iter().flat_map(|cutting| cutting.names).copied().collect();
            return Err(LlmError::metadata(
                gguf,
                KEY,
                format!("{} is not supported; supported are: {}", quoted(pre), supported.join(", ")),
            ));
        };
        let cut = |pattern: &str| {
            Split::new(SplitPattern::Regex(pattern.to_owned()), SplitDelimiterBehavior::Isolated, false)
                .map(PreTokenizerWrapper::from)
                .map_err(|error| LlmError::metadata(gguf, KEY, error.to_string()))
        };
        let mut steps: Vec<PreTokenizerWrapper> = Vec::new();
        for pattern in cutting.patterns {
            steps.push(cut(pattern)?);
        }
        steps.push(ByteLevel::new(false, false, false).into());
        let (vocab, merges) = vocabulary(gguf, tokens, kinds)?;
        let model = BPE::builder()
            .vocab_and_merges(vocab, merges)
            .ignore_merges(cutting.whole_words)
            .build()
            .map_err(|error| LlmError::metadata(gguf, "tokenizer.ggml.merges", error.to_string()))?;
        let mut encoder = Encoder::new(model);
        encoder.with_pre_tokenizer(Some(PreTokenizerWrapper::from(Sequence::new(steps))));
        Ok(BytePairs { encoder, adds_bos: cutting.adds_bos, line_ends: None })
    }

    /// Pairs over whole lines, of plain text in which a sign stands for spaces, with bytes as the last resort (Gemma 4).
    pub(super) fn of_lines(gguf: &Gguf, tokens: &[String], kinds: &[Kind]) -> Result<BytePairs, LlmError> {
        let (vocab, merges) = vocabulary(gguf, tokens, kinds)?;
        let is_line_end = |(text, _): &(&String, &u32)| !text.is_empty() && text.bytes().all(|byte| byte == b'\n');
        let line_ends = vocab.iter().filter(is_line_end).map(|(text, id)| (text.clone(), TokenId(*id))).collect();
        let model = BPE::builder()
            .vocab_and_merges(vocab, merges)
            .byte_fallback(true)
            .build()
            .map_err(|error| LlmError::metadata(gguf, "tokenizer.ggml.merges", error.to_string()))?;
        Ok(BytePairs { encoder: Encoder::new(model), adds_bos: true, line_ends: Some(line_ends) })
    }

    /// Whether its pieces are plain text with a sign for spaces.
    pub(super) fn is_plain(&self) -> bool {
        self.line_ends.is_some()
    }

    /// What the family does where the file does not say.
    pub(super) fn adds_bos(&self) -> bool {
        self.adds_bos
    }

    /// Appends the tokens of a text.
    pub(super) fn encode(&self, text: &str, out: &mut Vec<TokenId>) {
        let Some(line_ends) = &self.line_ends else { return self.merge(text, out) };
        let escaped = text.replace(' ', SPACE);
        for part in escaped.as_bytes().chunk_by(|a, b| (*a == b'\n') == (*b == b'\n')) {
            let Ok(part) = std::str::from_utf8(part) else { continue }; // cut at line ends, which are whole characters
            match line_ends.get(part) {
                Some(token) => out.push(*token),
                None => self.merge(part, out),
            }
        }
    }

    fn merge(&self, text: &str, out: &mut Vec<TokenId>) {
        // It can only fail for pieces without a token and for expressions that give up; neither leaves anything to say.
        if let Ok(encoding) = self.encoder.encode_fast(text, false) {
            out.extend(encoding.get_ids().iter().map(|id| TokenId(*id)));
        }
    }
}

/// The tokens by their text, and the merges whose parts and result are tokens.
fn vocabulary(gguf: &Gguf, tokens: &[String], kinds: &[Kind]) -> Result<(Vocab, Merges), LlmError> {
    const KEY: &str = "tokenizer.ggml.merges";
    let Some(Value::Texts(lines)) = gguf.value(KEY) else {
        return Err(LlmError::metadata(gguf, KEY, "expected an array of strings"));
    };
    let plain = tokens
        .iter()
        .zip(kinds)
        .enumerate()
        .filter(|(_, (_, kind))| matches!(kind, Kind::Normal | Kind::Byte | Kind::UserDefined));
    let vocab: Vocab = plain.map(|(index, (text, _))| (text.clone(), index as u32)).collect();
    let mut merges = Merges::with_capacity(lines.len());
    let mut seen = HashSet::new();
    for line in lines {
        // A part may itself begin with a space only in broken files, so the first space after a sign divides.
        let Some(at) = line.char_indices().skip(1).find(|(_, c)| *c == ' ').map(|(at, _)| at) else {
            return Err(LlmError::metadata(
                gguf,
                KEY,
                format!("expected two parts and a space, found {}", quoted(line)),
            ));
        };
        let (left, right) = (&line[..at], &line[at + 1..]);
        let result = format!("{left}{right}");
        if let Some(missing) = [left, right, &result].into_iter().find(|part| !vocab.contains_key(*part)) {
            return Err(LlmError::metadata(
                gguf,
                KEY,
                format!("the pair {} needs {}, which is not a token", quoted(line), quoted(missing)),
            ));
        }
        if seen.insert((left, right)) {
            merges.push((left.to_owned(), right.to_owned()));
        }
    }
    Ok((vocab, merges))
}

/// GPT-2's printable alphabet of the 256 bytes: bytes that print as Latin-1 stand for themselves, the others follow from U+0100.
static ALPHABET: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut others = '\u{100}'..;
    std::array::from_fn(|byte| {
        let byte = byte as u8;
        let prints = matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
        if prints { char::from(byte) } else { others.next().unwrap_or(char::REPLACEMENT_CHARACTER) }
    })
});

/// The byte of each sign of the alphabet, which ends below U+0144.
static BYTES: LazyLock<[Option<u8>; 0x144]> = LazyLock::new(|| {
    let mut bytes = [None; 0x144];
    for (byte, sign) in (0..=255).zip(ALPHABET.iter()) {
        bytes[*sign as usize] = Some(byte);
    }
    bytes
});

/// Appends the bytes that a token stands for: each sign of the alphabet is a byte, and any other sign stands for itself.
pub(super) fn bytes_of(text: &str, out: &mut Vec<u8>) {
    for c in text.chars() {
        match BYTES.get(c as usize).copied().flatten() {
            Some(byte) => out.push(byte),
            None => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

impl std::fmt::Debug for BytePairs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BytePairs").field("adds_bos", &self.adds_bos).finish_non_exhaustive()
    }
}

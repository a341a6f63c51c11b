//! WordPiece (Schuster and Nakajima, 2012), as BERT cuts texts: words are cut at white space and punctuation, and each is put together
//! from the longest pieces that the vocabulary has. GGUF files mark the beginnings of words where BERT marks what goes on.

use nearfield_gguf::{Gguf, Value};
use tokenizers::models::bpe::Vocab;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{DecoderWrapper, PostProcessorWrapper, TokenizerImpl};

use crate::{LlmError, TokenId};

type Cutter = TokenizerImpl<WordPiece, BertNormalizer, BertPreTokenizer, PostProcessorWrapper, DecoderWrapper>;

/// The sign before pieces that begin a word.
const WORD: &str = "\u{2581}";
/// What stands before pieces that go on with one, for the tokenizer.
const MORE: &str = "##";

/// A vocabulary of word pieces.
pub(super) struct WordPieces {
    cutter: Cutter,
    /// What stands before and after a text.
    cls: TokenId,
    sep: TokenId,
}

impl WordPieces {
    /// The vocabulary of a file.
    pub(super) fn of(gguf: &Gguf, n_vocab: usize) -> Result<WordPieces, LlmError> {
        const MODEL: &str = "tokenizer.ggml.model";
        const TOKENS: &str = "tokenizer.ggml.tokens";
        match gguf.text(MODEL)? {
            Some("bert") => {}
            other => {
                let found = nearfield_gguf::quoted(other.unwrap_or("nothing"));
                let what = format!("{found} is not supported for encoders; supported is: bert");
                return Err(LlmError::metadata(gguf, MODEL, what));
            }
        }
        let Some(Value::Texts(tokens)) = gguf.value(TOKENS) else {
            return Err(LlmError::metadata(gguf, TOKENS, "expected an array of strings"));
        };
        if tokens.is_empty() || tokens.len() > n_vocab {
            let what = format!("{} tokens, but the model has {n_vocab} embeddings", tokens.len());
            return Err(LlmError::metadata(gguf, TOKENS, what));
        }
        let mut vocab = Vocab::with_capacity(tokens.len());
        let mut is_cased = false;
        for (id, token) in (0u32..).zip(tokens) {
            let text = match token.strip_prefix(WORD) {
                Some(word) => word.to_owned(),
                None if is_mark(token) => token.clone(),
                None => format!("{MORE}{token}"),
            };
            is_cased |= !is_mark(token) && text.bytes().any(|byte| byte.is_ascii_uppercase());
            vocab.entry(text).or_insert(id);
        }
        let mark = |keys: [&str; 2], text: &str| -> Result<TokenId, LlmError> {
            for key in keys {
                if let Some(id) = gguf.integer(key, 0, tokens.len() as u64 - 1)? {
                    return Ok(TokenId(id as u32));
                }
            }
            let id = vocab.get(text).ok_or_else(|| LlmError::metadata(gguf, TOKENS, format!("there is no {text}")))?;
            Ok(TokenId(*id))
        };
        let cls = mark(["tokenizer.ggml.cls_token_id", "tokenizer.ggml.bos_token_id"], "[CLS]")?;
        // The key is misspelt in the format itself.
        let sep = mark(["tokenizer.ggml.seperator_token_id", "tokenizer.ggml.separator_token_id"], "[SEP]")?;
        let unknown = mark(["tokenizer.ggml.unknown_token_id", "tokenizer.ggml.unk_token_id"], "[UNK]")?;
        let unknown = tokens[unknown.0 as usize].clone();
        vocab.entry(unknown.clone()).or_insert(0);
        let model = WordPiece::builder().vocab(vocab).unk_token(unknown).continuing_subword_prefix(MORE.to_owned());
        let model = model.build().map_err(|error| LlmError::metadata(gguf, TOKENS, error.to_string()))?;
        let mut cutter = Cutter::new(model);
        let normalizer = BertNormalizer::new(true, true, None, !is_cased);
        let refused = |error: tokenizers::Error| LlmError::metadata(gguf, TOKENS, error.to_string());
        cutter.with_normalizer(Some(normalizer)).map_err(refused)?;
        cutter.with_pre_tokenizer(Some(BertPreTokenizer));
        Ok(WordPieces { cutter, cls, sep })
    }

    /// The tokens of a text, between the two that stand around each.
    pub(super) fn encode(&self, text: &str) -> Vec<TokenId> {
        let mut tokens = vec![self.cls];
        // It fails only where the vocabulary has no token for what is unknown, which was looked for.
        if let Ok(encoding) = self.cutter.encode_fast(text, false) {
            tokens.extend(encoding.get_ids().iter().map(|id| TokenId(*id)));
        }
        tokens.push(self.sep);
        tokens
    }

    /// The token that ends each text.
    pub(super) fn sep(&self) -> TokenId {
        self.sep
    }
}

/// Whether a token is a mark such as `[CLS]`, which is written as it is.
fn is_mark(token: &str) -> bool {
    token.len() > 2 && token.starts_with('[') && token.ends_with(']')
}

impl std::fmt::Debug for WordPieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WordPieces").field("cls", &self.cls).field("sep", &self.sep).finish_non_exhaustive()
    }
}

//! A text as llama.cpp cuts it for perplexity and importance matrices: chunks of a fixed number of tokens, each read from the
//! beginning of an empty context, its first token replaced with the one that begins a text where the model wants that. What is left
//! over at the end is dropped.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use nearfield_llm::{Llm, TokenId};

/// The longest text that is read.
const MAX_TEXT_BYTES: u64 = 64 << 20;

/// The tokens of a text, in chunks.
#[derive(Debug)]
pub(crate) struct Chunks {
    tokens: Vec<TokenId>,
    context: usize,
    count: usize,
    bos: Option<TokenId>,
}

/// The text of a file. As in llama.cpp, a line end at its end is dropped.
pub(crate) fn read_text(path: &Path) -> anyhow::Result<String> {
    let mut text = nearfield_base::files::read_text(path, MAX_TEXT_BYTES)
        .with_context(|| format!("the text {} can't be read", path.display()))?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

impl Chunks {
    /// Cuts `text` into chunks of `context` tokens, at most `most` of them. `name` is what errors call the text.
    pub(crate) fn new(
        llm: &Llm,
        text: &str,
        name: &str,
        context: usize,
        most: Option<usize>,
    ) -> anyhow::Result<Chunks> {
        Self::of_tokens(llm, llm.tokenizer()?.encode_text(text), name, context, most)
    }

    /// The same of a text that is tokens already.
    pub(crate) fn of_tokens(
        llm: &Llm,
        tokens: Vec<TokenId>,
        name: &str,
        context: usize,
        most: Option<usize>,
    ) -> anyhow::Result<Chunks> {
        let tokenizer = llm.tokenizer()?;
        let trained = llm.info().context_length;
        if context > trained {
            bail!(
                "--context {context} is more than the {trained} tokens that {} was trained to see at once",
                llm.info().name
            );
        }
        ensure!(
            tokens.len() >= 2 * context,
            "the text {name} is too short: it has {} tokens for {}, and chunks of {context} tokens need at least {}; use a longer \
             text, or a smaller --context",
            tokens.len(),
            llm.info().name,
            2 * context
        );
        let count = (tokens.len() / context).min(most.unwrap_or(usize::MAX));
        Ok(Chunks { tokens, context, count, bos: tokenizer.begins_with() })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// What a model reads of a chunk.
    pub(crate) fn read(&self, index: usize) -> Vec<TokenId> {
        let mut tokens = self.text(index).to_vec();
        if let (Some(bos), Some(first)) = (self.bos, tokens.first_mut()) {
            *first = bos;
        }
        tokens
    }

    /// The tokens of a chunk as they stand in the text.
    pub(crate) fn text(&self, index: usize) -> &[TokenId] {
        &self.tokens[index * self.context..][..self.context]
    }

    /// All tokens.
    pub(crate) fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// Whether another model has the same chunks.
    pub(crate) fn are_same(&self, other: &Chunks) -> bool {
        self.tokens == other.tokens && self.bos == other.bos
    }
}

//! Embeddings of texts: one vector for each, whose angles say how near their meanings are. An encoder (`bert`, `nomic-bert`) or a
//! language model that was trained for it (Qwen3-Embedding) computes the states of a text's tokens; these are pooled, and the vector is
//! scaled to length 1.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use nearfield_gguf::{Gguf, quoted};

use super::encoder::{ARCHITECTURES, Encoder};
use super::{Llm, LlmError, LlmOptions, TokenId};

/// Tokens that go through an encoder in one pass, unless one text has more.
const PASS_TOKENS: usize = 512;

/// How the states of a text's tokens become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// The first one's.
    Cls,
    /// The last one's.
    Last,
}

impl Pooling {
    /// What a file says.
    pub(crate) fn of(gguf: &Gguf, architecture: &str) -> Result<Option<Pooling>, LlmError> {
        let key = format!("{architecture}.pooling_type");
        match gguf.integer(&key, 0, 4)? {
            None | Some(0) => Ok(None),
            Some(1) => Ok(Some(Pooling::Mean)),
            Some(2) => Ok(Some(Pooling::Cls)),
            Some(3) => Ok(Some(Pooling::Last)),
            Some(_) => Err(LlmError::metadata(gguf, &key, "is 4, a model that ranks texts; it makes no embeddings")),
        }
    }

    /// Pools rows: `[n, width]` to `[width]`
    pub(crate) fn pool(self, rows: &[f32], width: usize) -> Vec<f32> {
        match self {
            Pooling::Cls => rows[..width].to_vec(),
            Pooling::Last => rows[rows.len() - width..].to_vec(),
            Pooling::Mean => {
                let mut sums = vec![0f64; width];
                for row in rows.chunks_exact(width) {
                    sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
                }
                let n = (rows.len() / width) as f64;
                sums.into_iter().map(|sum| (sum / n) as f32).collect()
            }
        }
    }

    /// As programs call it.
    pub fn name(self) -> &'static str {
        match self {
            Pooling::Mean => "mean",
            Pooling::Cls => "cls",
            Pooling::Last => "last",
        }
    }
}

/// A model that makes embeddings. Its weights are shared by all who hold it.
///
/// ```no_run
/// use nearfield_llm::{Embedder, LlmOptions};
/// use std::ops::ControlFlow::Continue;
///
/// let embedder = Embedder::open("all-MiniLM-L6-v2.gguf".as_ref(), &LlmOptions::default())?;
/// let texts = [embedder.encode("The lamp is on.")?, embedder.encode("The light is burning.")?];
/// let vectors = embedder.embed(&texts, &mut || Continue(()))?.unwrap_or_default();
/// let cosine: f32 = vectors[0].iter().zip(&vectors[1]).map(|(a, b)| a * b).sum();
/// # Ok::<(), nearfield_llm::LlmError>(())
/// ```
#[derive(Debug)]
pub struct Embedder {
    model: Model,
    pooling: Pooling,
    /// Written behind each text.
    eos: Option<TokenId>,
}

#[derive(Debug)]
enum Model {
    Encoder(Box<Encoder>),
    Decoder(Arc<Llm>),
}

impl Embedder {
    /// Opens an encoder, or a language model, of which the last token's state is taken unless the file says otherwise.
    ///
    /// # Errors
    /// The file cannot be read, is broken, or its architecture, a tensor's type or its tokenizer is not supported.
    pub fn open(path: &Path, options: &LlmOptions) -> Result<Embedder, LlmError> {
        let gguf = Gguf::open(path)?;
        let name = gguf.text("general.architecture")?.unwrap_or_default().to_owned();
        if ARCHITECTURES.contains(&name.as_str()) {
            drop(gguf);
            let encoder = Encoder::open(path, &name, options)?;
            return Ok(Embedder { pooling: encoder.pooling(), model: Model::Encoder(Box::new(encoder)), eos: None });
        }
        if name.ends_with("bert") || name.contains("-bert-") || name == "t5encoder" {
            let found = quoted(&name);
            let what = format!("{found} is not supported as an encoder; supported are: {}", ARCHITECTURES.join(", "));
            return Err(LlmError::metadata(&gguf, "general.architecture", what));
        }
        let pooling = Pooling::of(&gguf, &name)?.unwrap_or(Pooling::Last);
        let adds_eos = gguf.bool("tokenizer.ggml.add_eos_token")?.unwrap_or(false);
        drop(gguf);
        let llm = Llm::open(path, options)?;
        let eos = llm.tokenizer()?.eos().filter(|_| adds_eos);
        Ok(Embedder { model: Model::Decoder(llm), pooling, eos })
    }

    /// Numbers in an embedding.
    pub fn dimensions(&self) -> usize {
        match &self.model {
            Model::Encoder(encoder) => encoder.d_model(),
            Model::Decoder(llm) => llm.info().d_model,
        }
    }

    /// The most tokens of a text, those around it included.
    pub fn context_length(&self) -> usize {
        match &self.model {
            Model::Encoder(encoder) => encoder.context_length(),
            Model::Decoder(llm) => llm.info().context_length,
        }
    }

    /// How the states of tokens become one vector.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// The tokens of a text, with those that the model wants around it.
    ///
    /// # Errors
    /// The model carries no vocabulary.
    pub fn encode(&self, text: &str) -> Result<Vec<TokenId>, LlmError> {
        match &self.model {
            Model::Encoder(encoder) => Ok(encoder.encode(text)),
            Model::Decoder(llm) => {
                let tokenizer = llm.tokenizer()?;
                let mut tokens = tokenizer.encode(text, false);
                if let Some(bos) = tokenizer.leading_bos() {
                    tokens.insert(0, bos);
                }
                tokens.extend(self.eos.filter(|eos| tokens.last() != Some(eos)));
                Ok(tokens)
            }
        }
    }

    /// Cuts tokens to as many as the model takes; what ends a text stays.
    pub fn cut(&self, tokens: &mut Vec<TokenId>) {
        let most = self.context_length();
        let end = match &self.model {
            Model::Encoder(encoder) => Some(encoder.end()),
            Model::Decoder(_) => self.eos,
        };
        if tokens.len() > most {
            let is_ended = end.is_some() && tokens.last().copied() == end;
            tokens.truncate(most);
            if let (true, Some(end), Some(last)) = (is_ended, end, tokens.last_mut()) {
                *last = end;
            }
        }
    }

    /// The embeddings of some texts, each of length 1; `None` when `go_on`, which is asked between steps of some milliseconds, broke it
    /// off.
    ///
    /// # Errors
    /// A text has no tokens, more than the model takes, or such as it does not have; or there is no memory.
    pub fn embed(
        &self,
        texts: &[Vec<TokenId>],
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<Vec<Vec<f32>>>, LlmError> {
        let (most, width) = (self.context_length(), self.dimensions());
        let n_vocab = match &self.model {
            Model::Encoder(encoder) => encoder.n_vocab(),
            Model::Decoder(llm) => llm.info().vocab_size,
        };
        for text in texts {
            if text.is_empty() {
                return Err(LlmError::Input("a text without tokens has no embedding".to_owned()));
            }
            if text.len() > most {
                return Err(LlmError::ContextFull { needed: text.len(), capacity: most });
            }
            if let Some(token) = text.iter().find(|token| token.0 as usize >= n_vocab) {
                let what = format!("token {} is beyond the model's vocabulary of {n_vocab}", token.0);
                return Err(LlmError::Input(what));
            }
        }
        let mut all = Vec::with_capacity(texts.len());
        let mut rest = texts;
        while let Some(first) = rest.first() {
            let states = match &self.model {
                Model::Encoder(encoder) => {
                    let (mut n, mut tokens) = (1, first.len());
                    while let Some(next) = rest.get(n).filter(|next| tokens + next.len() <= PASS_TOKENS) {
                        (n, tokens) = (n + 1, tokens + next.len());
                    }
                    let (pass, after) = rest.split_at(n);
                    rest = after;
                    encoder.states(&pass.iter().map(Vec::as_slice).collect::<Vec<_>>(), go_on)?
                }
                Model::Decoder(llm) => {
                    rest = &rest[1..];
                    llm.pooled(first, self.pooling, go_on)?
                }
            };
            let Some(states) = states else { return Ok(None) };
            all.extend(states.chunks_exact(width).map(unit));
        }
        Ok(Some(all))
    }
}

/// A vector of length 1 in the same direction.
fn unit(row: &[f32]) -> Vec<f32> {
    let length = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt().max(1e-12);
    row.iter().map(|x| (f64::from(*x) / length) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_pooled_by_their_mean_or_one_of_them() {
        let rows = [1.0, 2.0, 3.0, 4.0, 8.0, 9.0];
        assert_eq!(Pooling::Mean.pool(&rows, 2), [4.0, 5.0]);
        assert_eq!(Pooling::Cls.pool(&rows, 2), [1.0, 2.0]);
        assert_eq!(Pooling::Last.pool(&rows, 2), [8.0, 9.0]);
    }

    #[test]
    fn a_unit_vector_has_length_one_and_a_zero_vector_stays() {
        assert_eq!(unit(&[3.0, 4.0]), [0.6, 0.8]);
        assert_eq!(unit(&[0.0, 0.0]), [0.0, 0.0]);
    }
}

//! Encoders of the BERT family (Devlin et al., 2019; Nussbaum et al., 2024 for nomic-bert): every token attends to all others of its
//! text, and the states of the last layer, pooled, are the embedding of the text. One forward pass over some texts at a time, with
//! the kernels of the language models.

mod word_pieces;

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;

use nearfield_gguf::Gguf;
use nearfield_kernels::{
    Activations, Attention, KvFormat, KvHeads, KvStore, Level, Pool, Product, Together, add, attend, gelu, layer_norm,
    multiply, rotate_halves, swiglu,
};

use super::layout::{Weight, lay_out};
use super::positions::Rope;
use super::tensors::{bad, floats, matrix, projection, vector};
use super::weights::Projection;
use super::{LlmError, LlmOptions, TokenId};
use crate::embedder::Pooling;
use word_pieces::WordPieces;

/// The architectures that run here.
pub(crate) const ARCHITECTURES: [&str; 2] = ["bert", "nomic-bert"];

/// An encoder: weights and vocabulary.
#[derive(Debug)]
pub(crate) struct Encoder {
    gguf: Gguf,
    words: WordPieces,
    shape: Shape,
    token_embedding: Weight,              // [n_vocab, d_model] token_embd.weight
    type_embedding: Option<Vec<f32>>, // [d_model] token_types.weight, its first row: all texts are of the first type
    position_embedding: Option<Vec<f32>>, // [n_positions, d_model] position_embd.weight
    embedding_norm: Norm,
    layers: Vec<Layer>,
    level: Level,
    pool: Pool,
}

#[derive(Debug)]
struct Shape {
    d_model: usize,
    n_heads: usize,
    d_ffn: usize,
    n_positions: usize,
    epsilon: f32,
    pooling: Pooling,
    rope: Option<Rope>,
}

/// Layer normalisation.
#[derive(Debug)]
struct Norm {
    weight: Vec<f32>, // [d_model]
    bias: Vec<f32>,   // [d_model]
}

#[derive(Debug)]
struct Layer {
    q: Projection,            // [d_model, d_model] attn_q, or the first rows of attn_qkv
    k: Projection,            // [d_model, d_model] attn_k, or the next
    v: Projection,            // [d_model, d_model] attn_v, or the last
    output: Projection,       // [d_model, d_model] attn_output
    attention_norm: Norm,     // attn_output_norm
    gate: Option<Projection>, // [d_ffn, d_model] ffn_gate
    up: Projection,           // [d_ffn, d_model] ffn_up
    down: Projection,         // [d_model, d_ffn] ffn_down
    output_norm: Norm,        // layer_output_norm
}

impl Norm {
    fn of(gguf: &Gguf, name: &str, d: usize) -> Result<Norm, LlmError> {
        let weight = vector(gguf, &format!("{name}.weight"), d)?;
        Ok(Norm { weight, bias: vector(gguf, &format!("{name}.bias"), d)? })
    }
}

impl Layer {
    fn of(gguf: &Gguf, shape: &Shape, index: usize, is_gated: bool) -> Result<Layer, LlmError> {
        let (d, d_ffn) = (shape.d_model, shape.d_ffn);
        let name = |name: &str| format!("blk.{index}.{name}");
        let has = |which: &str| gguf.tensor(&name(&format!("{which}.weight"))).is_some();
        if let Some(refused) = ["attn_q_norm", "ffn_gate_inp", "attn_norm_2"].into_iter().find(|which| has(which)) {
            return Err(bad(gguf, &name(&format!("{refused}.weight")), "is not supported in an encoder".to_owned()));
        }
        let whole = |which: &str, rows: usize, columns: usize| projection(gguf, &name(which), rows, 0..rows, columns);
        let (q, k, v) = match has("attn_qkv") {
            true => {
                let part = |at: usize| projection(gguf, &name("attn_qkv"), 3 * d, at * d..(at + 1) * d, d);
                (part(0)?, part(1)?, part(2)?)
            }
            false => (whole("attn_q", d, d)?, whole("attn_k", d, d)?, whole("attn_v", d, d)?),
        };
        Ok(Layer {
            q,
            k,
            v,
            output: whole("attn_output", d, d)?,
            attention_norm: Norm::of(gguf, &name("attn_output_norm"), d)?,
            gate: if is_gated { Some(whole("ffn_gate", d_ffn, d)?) } else { None },
            up: whole("ffn_up", d_ffn, d)?,
            down: whole("ffn_down", d, d_ffn)?,
            output_norm: Norm::of(gguf, &name("layer_output_norm"), d)?,
        })
    }

    fn projections_mut(&mut self) -> impl Iterator<Item = &mut Projection> {
        let Layer { q, k, v, output, gate, up, down, .. } = self;
        [q, k, v, output, up, down].into_iter().chain(gate)
    }
}

impl Shape {
    fn of(gguf: &Gguf, name: &str) -> Result<Shape, LlmError> {
        let key = |suffix: &str| format!("{name}.{suffix}");
        let need = |suffix: &str, most: u64| -> Result<usize, LlmError> {
            let missing = || LlmError::metadata(gguf, &key(suffix), "is missing");
            gguf.integer(&key(suffix), 1, most)?.ok_or_else(missing)
        };
        let d_model = need("embedding_length", 1 << 16)?;
        let n_heads = need("attention.head_count", 1024)?;
        let n_positions = need("context_length", 1 << 20)?;
        if !d_model.is_multiple_of(n_heads) || d_model / n_heads > KvStore::MOST_HEAD_DIM {
            let what = format!("{n_heads} heads do not share a width of {d_model}");
            return Err(LlmError::metadata(gguf, &key("attention.head_count"), what));
        }
        if gguf.bool(&key("attention.causal"))?.unwrap_or(false) {
            return Err(LlmError::metadata(gguf, &key("attention.causal"), "an encoder's attention is not causal"));
        }
        let epsilon = gguf.float(&key("attention.layer_norm_epsilon"))?.unwrap_or(1e-12);
        if !(0.0..1.0).contains(&epsilon) {
            let what = format!("expected a small positive number, found {epsilon}");
            return Err(LlmError::metadata(gguf, &key("attention.layer_norm_epsilon"), what));
        }
        let rope = match name {
            "bert" => None,
            _ => Some(Rope::of(gguf, name, d_model / n_heads, n_positions)?),
        };
        let pooling = Pooling::of(gguf, name)?.unwrap_or(Pooling::Mean);
        Ok(Shape {
            d_model,
            n_heads,
            d_ffn: need("feed_forward_length", 1 << 20)?,
            n_positions,
            epsilon,
            pooling,
            rope,
        })
    }
}

impl Encoder {
    /// Reads an encoder out of a file of one of [`ARCHITECTURES`].
    pub(crate) fn open(path: &Path, name: &str, options: &LlmOptions) -> Result<Encoder, LlmError> {
        let level = Level::detect()?;
        let mut gguf = Gguf::open(path)?;
        let shape = Shape::of(&gguf, name)?;
        let d = shape.d_model;
        let n_layers = gguf.integer(&format!("{name}.block_count"), 1, 1024)?;
        let n_layers =
            n_layers.ok_or_else(|| LlmError::metadata(&gguf, &format!("{name}.block_count"), "is missing"))?;
        let n_vocab = gguf.tensor("token_embd.weight").and_then(|tensor| tensor.dims.get(1).copied()).unwrap_or(0);
        let words = WordPieces::of(&gguf, n_vocab)?;
        gguf.drop_arrays("tokenizer.");
        let is_gated = name != "bert";
        let types = gguf.tensor("token_types.weight").and_then(|tensor| tensor.dims.get(1).copied());
        let mut encoder = Encoder {
            token_embedding: matrix(&gguf, "token_embd.weight", n_vocab, 0..n_vocab, d)?,
            type_embedding: match types {
                None => None,
                Some(n) => floats(&gguf, "token_types.weight", &[d, n])?.get(..d).map(<[f32]>::to_vec),
            },
            position_embedding: match shape.rope {
                Some(_) => None,
                None => Some(floats(&gguf, "position_embd.weight", &[d, shape.n_positions])?),
            },
            embedding_norm: Norm::of(&gguf, "token_embd_norm", d)?,
            layers: (0..n_layers).map(|index| Layer::of(&gguf, &shape, index, is_gated)).collect::<Result<_, _>>()?,
            pool: Pool::new(NonZeroUsize::new(options.threads)),
            words,
            shape,
            gguf,
            level,
        };
        let all = encoder.layers.iter_mut().flat_map(Layer::projections_mut).map(|it| &mut it.weight).collect();
        lay_out(all, &encoder.gguf, level, &encoder.pool)?;
        Ok(encoder)
    }

    /// The most tokens of a text.
    pub(crate) fn context_length(&self) -> usize {
        self.shape.n_positions
    }

    /// How the states of tokens become one vector.
    pub(crate) fn pooling(&self) -> Pooling {
        self.shape.pooling
    }

    /// Numbers in an embedding.
    pub(crate) fn d_model(&self) -> usize {
        self.shape.d_model
    }

    /// Tokens in the vocabulary.
    pub(crate) fn n_vocab(&self) -> usize {
        self.token_embedding.rows()
    }

    /// The tokens of a text, with those that stand around it.
    pub(crate) fn encode(&self, text: &str) -> Vec<TokenId> {
        self.words.encode(text)
    }

    /// What ends a text that was cut.
    pub(crate) fn end(&self) -> TokenId {
        self.words.sep()
    }

    /// The pooled states of some texts, computed in one pass: `[texts, d_model]`; `None` when `go_on` broke it off between two layers.
    /// The tokens are the model's, and each text has at least one and at most [`context_length`](Self::context_length).
    pub(crate) fn states(
        &self,
        texts: &[&[TokenId]],
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<Vec<f32>>, LlmError> {
        let d = self.shape.d_model;
        let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
        let heads = KvHeads { count: self.shape.n_heads, head_dim: d / self.shape.n_heads };
        let no_memory =
            || LlmError::Context { context_tokens: longest, what: "there is not that much memory".to_owned() };
        let mut pass = Pass {
            encoder: self,
            store: KvStore::new(KvFormat::F16, &[heads], longest).ok_or_else(no_memory)?,
            x: self.embedded(texts),
            q: Vec::new(),
            k: Vec::new(),
            v: Vec::new(),
            attended: Vec::new(),
            delta: Vec::new(),
            gate: Vec::new(),
            up: Vec::new(),
            quantized: Activations::default(),
        };
        for layer in &self.layers {
            if go_on().is_break() {
                return Ok(None);
            }
            pass.layer(layer, texts);
        }
        let (mut pooled, mut first) = (Vec::with_capacity(texts.len() * d), 0);
        for text in texts {
            let rows = &pass.x[first * d..(first + text.len()) * d];
            pooled.extend(self.shape.pooling.pool(rows, d));
            first += text.len();
        }
        Ok(Some(pooled))
    }

    /// The rows that go into the first layer: `[tokens of all texts, d_model]`
    fn embedded(&self, texts: &[&[TokenId]]) -> Vec<f32> {
        let d = self.shape.d_model;
        let table = self.token_embedding.matrix(&self.gguf);
        let mut x = vec![0.0; texts.iter().map(|text| text.len()).sum::<usize>() * d];
        let places = texts.iter().flat_map(|text| text.iter().enumerate());
        for ((position, token), row) in places.zip(x.chunks_exact_mut(d)) {
            table.read_row(token.0 as usize, row);
            if let Some(types) = &self.type_embedding {
                add(self.level, row, types);
            }
            if let Some(positions) = &self.position_embedding {
                add(self.level, row, &positions[position * d..][..d]);
            }
        }
        self.normed(&mut x, &self.embedding_norm);
        x
    }

    /// Normalises rows, a few a task.
    fn normed(&self, x: &mut [f32], norm: &Norm) {
        let (d, epsilon) = (self.shape.d_model, self.shape.epsilon);
        self.pool.split(x, 16 * d, &|_, rows| {
            let before = rows.to_vec();
            layer_norm(self.level, &before, &norm.weight, &norm.bias, epsilon, rows);
        });
    }
}

/// The buffers of a pass over some texts.
struct Pass<'a> {
    encoder: &'a Encoder,
    store: KvStore,
    x: Vec<f32>,        // [n, d_model]
    q: Vec<f32>,        // [n, d_model]
    k: Vec<f32>,        // [n, d_model]
    v: Vec<f32>,        // [n, d_model]
    attended: Vec<f32>, // [n, d_model]
    delta: Vec<f32>,    // [n, d_model]
    gate: Vec<f32>,     // [n, d_ffn]
    up: Vec<f32>,       // [n, d_ffn]
    quantized: Activations,
}

impl Pass<'_> {
    fn layer(&mut self, layer: &Layer, texts: &[&[TokenId]]) {
        let Pass { encoder, store, x, q, k, v, attended, delta, gate, up, quantized } = self;
        let (level, pool) = (encoder.level, &encoder.pool);
        let project = |x: &[f32], quantized: &mut Activations, outs: &mut [(&Projection, &mut Vec<f32>)]| {
            let n = x.len() / outs[0].0.weight.columns;
            let products = outs.iter_mut().map(|(projection, out)| {
                out.resize(n * projection.weight.rows(), 0.0);
                Product { weights: projection.weight.matrix(&encoder.gguf), out: &mut out[..] }
            });
            multiply(level, pool, Together::Fastest, x, quantized, &mut products.collect::<Vec<_>>());
            for (projection, out) in outs {
                if let Some(scale) = projection.scale {
                    out.iter_mut().for_each(|x| *x *= scale);
                }
                if let Some(bias) = &projection.bias {
                    out.chunks_exact_mut(bias.len()).for_each(|row| add(level, row, bias));
                }
            }
        };
        project(x, quantized, &mut [(&layer.q, q), (&layer.k, k), (&layer.v, v)]);
        attended.resize(q.len(), 0.0);
        let (d, mut first) = (encoder.shape.d_model, 0);
        for text in texts {
            let rows = first * d..(first + text.len()) * d;
            let (q, k) = (&mut q[rows.clone()], &mut k[rows.clone()]);
            encoder.attend(store, q, k, &v[rows.clone()], &mut attended[rows]);
            first += text.len();
        }
        project(attended, quantized, &mut [(&layer.output, delta)]);
        add(level, x, delta);
        encoder.normed(x, &layer.attention_norm);
        match &layer.gate {
            Some(of_gate) => {
                project(x, quantized, &mut [(of_gate, gate), (&layer.up, up)]);
                let up = &*up;
                pool.split(gate, 8192, &|index, gate| swiglu(level, gate, &up[index * 8192..][..gate.len()]));
            }
            None => {
                project(x, quantized, &mut [(&layer.up, gate)]);
                pool.split(gate, 8192, &|_, gate| gelu(level, gate));
            }
        }
        project(gate, quantized, &mut [(&layer.down, delta)]);
        add(level, x, delta);
        encoder.normed(x, &layer.output_norm);
    }
}

impl Encoder {
    /// Attention of each row of a text to all of them. All: `[tokens, d_model]`
    fn attend(&self, store: &mut KvStore, q: &mut [f32], k: &mut [f32], v: &[f32], out: &mut [f32]) {
        let d = self.shape.d_model;
        let (n, head_dim) = (q.len() / d, d / self.shape.n_heads);
        if let Some(rope) = &self.shape.rope {
            let positions = rope.positions(self.shape.n_positions);
            let (mut cos, mut sin) = (Vec::new(), Vec::new());
            for at in 0..n {
                cos.clear();
                sin.clear();
                positions.angles(at as f64, positions.magnitude, &mut cos, &mut sin);
                rotate_halves(self.level, &mut q[at * d..][..d], head_dim, &cos, &sin);
                rotate_halves(self.level, &mut k[at * d..][..d], head_dim, &cos, &sin);
            }
        }
        for (at, (k, v)) in k.chunks_exact(d).zip(v.chunks_exact(d)).enumerate() {
            store.write(self.level, 0, at, k, v);
        }
        // The kernel lets a query see what stands before it, so each is computed as if it stood last.
        let attention = Attention::plain(self.shape.n_heads, n - 1, 1.0 / (head_dim as f32).sqrt());
        for (q, out) in q.chunks_exact(d).zip(out.chunks_exact_mut(d)) {
            attend(self.level, &self.pool, &attention, q, store, 0, out);
        }
    }
}

//! The weights of a model: every matrix as a checked view, every vector as floats, found by the names that GGUF files give them.

use std::ops::Range;

use half::{bf16, f16};
use nearfield_kernels::Format;

use super::LlmError;
use super::architecture::{Experts, Shape};
use super::family::{HeadNorms, Normalisation, Norms, Order};
use super::layout::{Place, Weight};
use nearfield_gguf::{Gguf, TensorInfo};

/// All weights, in the order of use.
#[derive(Debug)]
pub(crate) struct Weights {
    pub token_embedding: Weight,      // [n_vocab, d_model] token_embd.weight
    pub embedding_norm: Option<Norm>, // [d_model] token_embd_norm
    pub layers: Vec<Layer>,
    pub output_norm: Norm, // [d_model] output_norm
    /// `[n_vocab, d_model]` output.weight; `None` where the embedding serves both ways.
    pub output: Option<Weight>,
    pub output_bias: Option<Vec<f32>>, // [n_vocab] output.bias
}

/// One transformer block. n_q = n_heads * head_dim, n_kv = n_kv_heads * head_dim. Biases are there where the file has them.
#[derive(Debug)]
pub(crate) struct Layer {
    /// `[d_model]` attn_norm; `None` where rows are normalised after each half only.
    pub attention_norm: Option<Norm>,
    pub q: Projection,                     // [n_q, d_model] attn_q, or the first rows of attn_qkv
    pub k: Projection,                     // [n_kv, d_model] attn_k, or the next rows of attn_qkv
    pub v: Projection,                     // [n_kv, d_model] attn_v, or the last rows of attn_qkv
    pub q_norm: Option<HeadNorm>,          // attn_q_norm
    pub k_norm: Option<HeadNorm>,          // attn_k_norm
    pub sinks: Option<Vec<f32>>,           // [n_heads] attn_sinks: a score that takes weight and gives no value
    pub attention_sub_norm: Option<Norm>,  // [n_q] attn_sub_norm
    pub attention_output: Projection,      // [d_model, n_q] attn_output
    pub post_attention_norm: Option<Norm>, // [d_model] post_attention_norm
    /// `[d_model]` ffn_norm; `None` where the network reads what attention read, or what it has been added to as it is.
    pub ffn_norm: Option<Norm>,
    pub ffn: FeedForward,
    pub post_ffn_norm: Option<Norm>, // [d_model] post_ffw_norm
}

/// The second half of a block.
#[derive(Debug)]
pub(crate) enum FeedForward {
    Dense(Network),
    Experts(Mixture),
}

/// A feed-forward network.
#[derive(Debug)]
pub(crate) struct Network {
    pub gate: Option<Projection>, // [d_ffn, d_model] ffn_gate, or the first rows of ffn_up
    pub up: Projection,           // [d_ffn, d_model] ffn_up, or its last rows
    pub sub_norm: Option<Norm>,   // [d_ffn] ffn_sub_norm
    pub down: Projection,         // [d_model, d_ffn] ffn_down
}

/// Networks of which a token uses some.
#[derive(Debug)]
pub(crate) struct Mixture {
    pub router: Projection, // [n, d_model] ffn_gate_inp
    pub experts: Vec<Network>,
    /// One that all tokens use (ffn_*_shexp), and what its share is computed with: `[d_model]` ffn_gate_inp_shexp.
    pub shared: Option<(Network, Option<Vec<f32>>)>,
}

/// What rows are normalised with.
#[derive(Debug)]
pub(crate) struct Norm {
    pub weight: Vec<f32>,
    pub bias: Option<Vec<f32>>,
    /// Whether the mean is taken off.
    pub centred: bool,
}

/// What heads are normalised with.
#[derive(Debug)]
pub(crate) struct HeadNorm {
    /// `[head_dim]`, or `[heads * head_dim]` for all heads of a token together or with weights of its own for each.
    pub weight: Vec<f32>,
    /// Zeros, where each head has weights of its own and is centred: `[head_dim]`.
    pub own: Option<Vec<f32>>,
}

/// A matrix, and what is added to its product.
#[derive(Debug)]
pub(crate) struct Projection {
    pub weight: Weight,         // [rows, columns]
    pub scale: Option<f32>,     // what the product is multiplied by
    pub bias: Option<Vec<f32>>, // [rows]
}

impl Weights {
    /// Finds and checks every tensor that the shape needs.
    pub(crate) fn of(gguf: &Gguf, shape: &Shape) -> Result<Weights, LlmError> {
        let d = shape.d_model;
        let optional = |name: &str| gguf.tensor(name).is_some();
        for refused in ["position_embd.weight", "blk.0.ffn_act.scales"] {
            if optional(refused) {
                return Err(bad(gguf, refused, "is not supported".to_owned()));
            }
        }
        Ok(Weights {
            token_embedding: matrix(gguf, "token_embd.weight", shape.n_vocab, 0..shape.n_vocab, d)?,
            embedding_norm: match shape.family.embedding_norm {
                true => Some(norm(gguf, shape, "token_embd_norm", d)?),
                false => None,
            },
            layers: (0..shape.n_layers).map(|index| Layer::of(gguf, shape, index)).collect::<Result<_, _>>()?,
            output_norm: norm(gguf, shape, "output_norm", d)?,
            output: match optional("output.weight") {
                true => Some(matrix(gguf, "output.weight", shape.n_vocab, 0..shape.n_vocab, d)?),
                false => None,
            },
            output_bias: match optional("output.bias") {
                true => Some(vector(gguf, "output.bias", shape.n_vocab)?),
                false => None,
            },
        })
    }

    /// The matrix that turns a state into logits.
    pub(crate) fn output(&self) -> &Weight {
        self.output.as_ref().unwrap_or(&self.token_embedding)
    }

    /// Every matrix that is multiplied; an embedding that only looks up rows is none.
    pub(super) fn multiplied_mut(&mut self) -> Vec<&mut Weight> {
        let mut all: Vec<&mut Weight> = Vec::new();
        for l in &mut self.layers {
            all.extend(
                [&mut l.q, &mut l.k, &mut l.v, &mut l.attention_output].map(|projection| &mut projection.weight),
            );
            match &mut l.ffn {
                FeedForward::Dense(network) => all.extend(network.weights_mut()),
                FeedForward::Experts(mixture) => {
                    all.push(&mut mixture.router.weight);
                    all.extend(mixture.experts.iter_mut().flat_map(Network::weights_mut));
                    all.extend(mixture.shared.iter_mut().flat_map(|(network, _)| network.weights_mut()));
                }
            }
        }
        all.push(self.output.as_mut().unwrap_or(&mut self.token_embedding));
        all
    }

    /// Bytes read for each token that is written: every matrix but the embedding, of which one row is read, and the experts that
    /// a token does not use.
    pub(crate) fn bytes_per_token(&self, experts: Option<&Experts>) -> usize {
        let layer = |l: &Layer| {
            let attention = [&l.q, &l.k, &l.v, &l.attention_output].map(|projection| projection.weight.bytes());
            let network = match &l.ffn {
                FeedForward::Dense(network) => network.bytes(),
                FeedForward::Experts(mixture) => {
                    let used = experts.map_or(0, |experts| experts.used);
                    let shared = mixture.shared.as_ref().map_or(0, |(network, _)| network.bytes());
                    mixture.router.weight.bytes() + used * mixture.experts[0].bytes() + shared
                }
            };
            attention.iter().sum::<usize>() + network
        };
        self.layers.iter().map(layer).sum::<usize>() + self.output().bytes()
    }
}

impl Network {
    fn weights_mut(&mut self) -> impl Iterator<Item = &mut Weight> {
        let Network { gate, up, down, .. } = self;
        gate.iter_mut().chain([up, down]).map(|projection| &mut projection.weight)
    }

    fn bytes(&self) -> usize {
        self.gate.iter().chain([&self.up, &self.down]).map(|projection| projection.weight.bytes()).sum()
    }
}

impl Layer {
    fn of(gguf: &Gguf, shape: &Shape, index: usize) -> Result<Layer, LlmError> {
        let family = shape.family;
        let (d, n_q, n_kv) = (shape.d_model, shape.n_heads * shape.head_dim, shape.n_kv_heads * shape.head_dim);
        let name = |name: &str| format!("blk.{index}.{name}");
        let has = |which: &str| gguf.tensor(&name(&format!("{which}.weight"))).is_some();
        let whole = |which: &str, rows, columns| projection(gguf, &name(which), rows, 0..rows, columns);
        let norm = |which: &str, len: usize| norm(gguf, shape, &name(which), len);
        let norm_if = |present: bool, which: &str, len: usize| match present {
            true => norm(which, len).map(Some),
            false => Ok(None),
        };
        let head_norm = |which: &str, heads: usize| -> Result<Option<HeadNorm>, LlmError> {
            let full = name(&format!("{which}.weight"));
            let weight = match family.head_norms {
                HeadNorms::None if has(which) => return Err(bad(gguf, &full, "is not supported".to_owned())),
                HeadNorms::None => return Ok(None),
                HeadNorms::OwnIfPresent if !has(which) => return Ok(None),
                HeadNorms::Each => vector(gguf, &full, shape.head_dim)?,
                HeadNorms::Together => vector(gguf, &full, heads * shape.head_dim)?,
                HeadNorms::OwnIfPresent => floats(gguf, &full, &[shape.head_dim, heads])?,
            };
            let own = (family.head_norms == HeadNorms::OwnIfPresent).then(|| vec![0.0; shape.head_dim]);
            Ok(Some(HeadNorm { weight, own }))
        };
        let (before, after) = (family.norms != Norms::After, family.norms != Norms::Before);
        let (attention_norm, ffn_norm) = match family.order {
            Order::SharedNorm => (norm_if(before, "attn_norm", d)?, None),
            Order::SharedNormIfAlone => (norm_if(before, "attn_norm", d)?, norm_if(has("ffn_norm"), "ffn_norm", d)?),
            Order::Falcon if has("attn_norm_2") => {
                (norm_if(before, "attn_norm_2", d)?, norm_if(before, "attn_norm", d)?)
            }
            Order::Falcon => (norm_if(before, "attn_norm", d)?, None),
            Order::OneAfterTheOther | Order::ParallelUnlessFalse => {
                let network = if family.renamed_network_norm { "post_attention_norm" } else { "ffn_norm" };
                (norm_if(before, "attn_norm", d)?, norm_if(before, network, d)?)
            }
        };
        let (q, k, v) = if has("attn_qkv") {
            let of = |rows| projection(gguf, &name("attn_qkv"), n_q + 2 * n_kv, rows, d);
            (of(0..n_q)?, of(n_q..n_q + n_kv)?, of(n_q + n_kv..n_q + 2 * n_kv)?)
        } else {
            (whole("attn_q", n_q, d)?, whole("attn_k", n_kv, d)?, whole("attn_v", n_kv, d)?)
        };
        let sinks = name("attn_sinks.weight");
        Ok(Layer {
            attention_norm,
            q,
            k,
            v,
            q_norm: head_norm("attn_q_norm", shape.n_heads)?,
            k_norm: head_norm("attn_k_norm", shape.n_kv_heads)?,
            sinks: match gguf.tensor(&sinks) {
                Some(_) => Some(vector(gguf, &sinks, shape.n_heads)?),
                None => None,
            },
            attention_sub_norm: norm_if(family.sub_norms, "attn_sub_norm", n_q)?,
            attention_output: whole("attn_output", d, n_q)?,
            post_attention_norm: norm_if(after, "post_attention_norm", d)?,
            ffn_norm,
            ffn: match shape.experts {
                Some(experts) => FeedForward::Experts(Mixture::of(gguf, shape, experts, index)?),
                None => FeedForward::Dense(Network::of(gguf, shape, index)?),
            },
            post_ffn_norm: norm_if(after, "post_ffw_norm", d)?,
        })
    }
}

impl Network {
    fn of(gguf: &Gguf, shape: &Shape, index: usize) -> Result<Network, LlmError> {
        let (d, n) = (shape.d_model, shape.d_ffn);
        let name = |name: &str| format!("blk.{index}.{name}");
        let whole = |which: &str, rows, columns| projection(gguf, &name(which), rows, 0..rows, columns);
        let one_tensor = shape.family.name == "phi3" && gguf.tensor(&name("ffn_gate.weight")).is_none();
        let (gate, up) = if !shape.family.has_gate() {
            (None, whole("ffn_up", n, d)?)
        } else if one_tensor {
            let of = |rows| projection(gguf, &name("ffn_up"), 2 * n, rows, d);
            (Some(of(0..n)?), of(n..2 * n)?)
        } else {
            (Some(whole("ffn_gate", n, d)?), whole("ffn_up", n, d)?)
        };
        let sub_norm = match shape.family.sub_norms {
            true => Some(norm(gguf, shape, &name("ffn_sub_norm"), n)?),
            false => None,
        };
        Ok(Network { gate, up, sub_norm, down: whole("ffn_down", d, n)? })
    }
}

impl Mixture {
    fn of(gguf: &Gguf, shape: &Shape, experts: Experts, index: usize) -> Result<Mixture, LlmError> {
        let (d, n) = (shape.d_model, experts.d_ffn);
        let name = |name: &str| format!("blk.{index}.{name}");
        let of = |which: &str, expert: usize, rows, columns| {
            expert_projection(gguf, &name(which), experts.n, expert, rows, columns)
        };
        let network = |expert: usize| {
            Ok(Network {
                gate: Some(of("ffn_gate_exps", expert, n, d)?),
                up: of("ffn_up_exps", expert, n, d)?,
                sub_norm: None,
                down: of("ffn_down_exps", expert, d, n)?,
            })
        };
        let shared = match gguf.tensor(&name("ffn_up_shexp.weight")) {
            None => None,
            Some(tensor) => {
                let n = tensor.dims.get(1).copied().filter(|n| (1..=1 << 20).contains(n));
                let n = n.ok_or_else(|| bad(gguf, &name("ffn_up_shexp.weight"), "is not a matrix".to_owned()))?;
                let whole = |which: &str, rows, columns| projection(gguf, &name(which), rows, 0..rows, columns);
                let network = Network {
                    gate: Some(whole("ffn_gate_shexp", n, d)?),
                    up: whole("ffn_up_shexp", n, d)?,
                    sub_norm: None,
                    down: whole("ffn_down_shexp", d, n)?,
                };
                let gate = name("ffn_gate_inp_shexp.weight");
                Some((network, gguf.tensor(&gate).map(|_| vector(gguf, &gate, d)).transpose()?))
            }
        };
        Ok(Mixture {
            router: projection(gguf, &name("ffn_gate_inp"), experts.n, 0..experts.n, d)?,
            experts: (0..experts.n).map(network).collect::<Result<_, LlmError>>()?,
            shared,
        })
    }
}

fn bad(gguf: &Gguf, name: &str, what: String) -> LlmError {
    LlmError::Tensor { path: gguf.path().to_owned(), tensor: name.to_owned(), what }
}

/// Finds a tensor and holds it to its shape (columns first).
fn find<'a>(gguf: &'a Gguf, name: &str, dims: &[usize]) -> Result<&'a TensorInfo, LlmError> {
    let tensor = gguf.tensor(name).ok_or_else(|| bad(gguf, name, "is missing".to_owned()))?;
    if tensor.dims != dims {
        return Err(bad(gguf, name, format!("expected the dimensions {dims:?}, found {:?}", tensor.dims)));
    }
    Ok(tensor)
}

/// A norm of the family's kind. `name` is without `.weight`.
fn norm(gguf: &Gguf, shape: &Shape, name: &str, len: usize) -> Result<Norm, LlmError> {
    let bias = || vector(gguf, &format!("{name}.bias"), len);
    let (centred, bias) = match shape.family.normalisation {
        Normalisation::RootMeanSquare => (false, None),
        Normalisation::RootMeanSquareAndBias => (false, Some(bias()?)),
        Normalisation::LayerMaybeBias if gguf.tensor(&format!("{name}.bias")).is_none() => (true, Some(vec![0.0; len])),
        Normalisation::Layer | Normalisation::LayerMaybeBias => (true, Some(bias()?)),
    };
    Ok(Norm { weight: vector(gguf, &format!("{name}.weight"), len)?, bias, centred })
}

/// The rows `part` of a matrix of `rows` rows, with its bias if there is one. `name` is without `.weight`.
fn projection(
    gguf: &Gguf,
    name: &str,
    rows: usize,
    part: Range<usize>,
    columns: usize,
) -> Result<Projection, LlmError> {
    let bias = format!("{name}.bias");
    let bias = match gguf.tensor(&bias) {
        Some(_) => Some(vector(gguf, &bias, rows)?[part.clone()].to_vec()),
        None => None,
    };
    let scale = format!("{name}.scale");
    let scale = match gguf.tensor(&scale) {
        Some(_) => Some(vector(gguf, &scale, 1)?[0]),
        None => None,
    };
    Ok(Projection { weight: matrix(gguf, &format!("{name}.weight"), rows, part, columns)?, scale, bias })
}

/// The rows `part` of a matrix of `rows` rows.
fn matrix(gguf: &Gguf, name: &str, rows: usize, part: Range<usize>, columns: usize) -> Result<Weight, LlmError> {
    let tensor = find(gguf, name, &[columns, rows])?;
    of_tensor(gguf, name, tensor, rows, part, columns)
}

/// The same of a tensor that has been found, counting the rows of all its matrices.
fn of_tensor(
    gguf: &Gguf,
    name: &str,
    tensor: &TensorInfo,
    rows: usize,
    part: Range<usize>,
    columns: usize,
) -> Result<Weight, LlmError> {
    let Some(format) = Format::named(tensor.kind.name) else {
        let known: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
        let what = format!("the type {} is not supported; supported are {}", tensor.kind.name, known.join(", "));
        return Err(bad(gguf, name, what));
    };
    let row_bytes = tensor.range.len() / rows;
    let range = tensor.range.start + part.start * row_bytes..tensor.range.start + part.end * row_bytes;
    Ok(Weight { format, rows: part.len(), columns, place: Place::File(range) })
}

/// One of `n` matrices that share a tensor, with its row of their biases. `name` is without `.weight`.
fn expert_projection(
    gguf: &Gguf,
    name: &str,
    n: usize,
    index: usize,
    rows: usize,
    columns: usize,
) -> Result<Projection, LlmError> {
    let (matrices, bias) = (format!("{name}.weight"), format!("{name}.bias"));
    let tensor = find(gguf, &matrices, &[columns, rows, n])?;
    let weight = of_tensor(gguf, &matrices, tensor, n * rows, index * rows..(index + 1) * rows, columns)?;
    let bias = match gguf.tensor(&bias) {
        Some(_) => Some(floats(gguf, &bias, &[rows, n])?[index * rows..][..rows].to_vec()),
        None => None,
    };
    Ok(Projection { weight, scale: None, bias })
}

fn vector(gguf: &Gguf, name: &str, len: usize) -> Result<Vec<f32>, LlmError> {
    floats(gguf, name, &[len])
}

/// A small tensor as floats.
fn floats(gguf: &Gguf, name: &str, dims: &[usize]) -> Result<Vec<f32>, LlmError> {
    let tensor = find(gguf, name, dims)?;
    let mut bytes = vec![0; tensor.range.len()];
    gguf.read(tensor.range.start, &mut bytes)?;
    Ok(match tensor.kind.name {
        "F32" => bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        "F16" => bytes.as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        "BF16" => bytes.as_chunks::<2>().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
        other => return Err(bad(gguf, name, format!("expected floats, found {other}"))),
    })
}

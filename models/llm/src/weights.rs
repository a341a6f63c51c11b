//! The weights of a model: every matrix as a checked view, every vector as floats, found by the names that GGUF files give them.

use super::LlmError;
use super::architecture::{AttentionShape, Experts, Mixer as MixerShape, Shape};
use super::family::{HeadNorms, Norms, Order};
use super::layer_inputs::{LayerInput, LayerInputs};
use super::layout::Weight;
use super::recurrent::{DeltaNet, ShortConv};
use super::streams::{LayerStreams, SPARSE_LAYERS, Streams};
use super::tensors::{bad, expert_projection, floats, matrix, norm, projection, vector};
use nearfield_gguf::Gguf;

/// All weights, in the order of use.
#[derive(Debug)]
pub(crate) struct Weights {
    pub token_embedding: Weight,      // [n_vocab, d_model] token_embd.weight
    pub embedding_norm: Option<Norm>, // [d_model] token_embd_norm
    pub inputs: Option<LayerInputs>,
    pub streams: Option<Streams>,
    pub layers: Vec<Layer>,
    pub output_norm: Norm, // [d_model] output_norm, or what the family calls it
    /// `[n_vocab, d_model]` output.weight; `None` where the embedding serves both ways.
    pub output: Option<Weight>,
    pub output_bias: Option<Vec<f32>>, // [n_vocab] output.bias
}

/// One block. Biases are there where the file has them.
#[derive(Debug)]
pub(crate) struct Layer {
    /// `[d_model]` attn_norm; `None` where rows are normalised after each half only.
    pub attention_norm: Option<Norm>,
    pub mixer: Mixer,
    pub post_attention_norm: Option<Norm>, // [d_model] post_attention_norm
    /// `[d_model]` ffn_norm; `None` where the network reads what attention read, or what it has been added to as it is.
    pub ffn_norm: Option<Norm>,
    pub ffn: FeedForward,
    pub post_ffn_norm: Option<Norm>, // [d_model] post_ffw_norm
    pub input: Option<LayerInput>,
    pub streams: Option<Box<LayerStreams>>,
    pub scale: Option<f32>, // [1] layer_output_scale
}

/// The first half of a block.
#[derive(Debug)]
pub(crate) enum Mixer {
    Attention(Box<Attention>),
    ShortConv(Box<ShortConv>),
    DeltaNet(Box<DeltaNet>),
}

/// An attention. n_q = n_heads * head_dim, n_kv = n_kv_heads * head_dim.
#[derive(Debug)]
pub(crate) struct Attention {
    /// `[n_q, d_model]` attn_q, or the first rows of attn_qkv; where queries come with gates, `[n_heads, 2, head_dim, d_model]`.
    pub q: Projection,
    /// `[n_kv, d_model]` attn_k, or the next rows of attn_qkv; `None` where another layer's keys and values are used.
    pub k: Option<Projection>,
    /// `[n_kv, d_model]` attn_v, or the last rows of attn_qkv; `None` where keys serve as values, too.
    pub v: Option<Projection>,
    pub q_norm: Option<HeadNorm>, // attn_q_norm
    pub k_norm: Option<HeadNorm>, // attn_k_norm
    pub sinks: Option<Vec<f32>>,  // [n_heads] attn_sinks: a score that takes weight and gives no value
    pub sub_norm: Option<Norm>,   // [n_q] attn_sub_norm
    pub output: Projection,       // [d_model, n_q] attn_output
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
    /// Whether the gates far above the others count only.
    pub sparse: bool,
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
            inputs: match shape.layer_input {
                0 => None,
                _ => Some(LayerInputs::of(gguf, shape)?),
            },
            streams: match shape.family.streams {
                true => Some(Streams::of(gguf, shape)?),
                false => None,
            },
            layers: (0..shape.layers.len()).map(|index| Layer::of(gguf, shape, index)).collect::<Result<_, _>>()?,
            output_norm: norm(gguf, shape, shape.family.output_norm, d)?,
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
        let mut projections: Vec<&mut Projection> = Vec::new();
        projections.extend(self.inputs.iter_mut().map(|inputs| &mut inputs.projection));
        projections.extend(self.streams.iter_mut().flat_map(Streams::projections_mut));
        for l in &mut self.layers {
            projections.extend(l.mixer.projections_mut());
            match &mut l.ffn {
                FeedForward::Dense(network) => projections.extend(network.projections_mut()),
                FeedForward::Experts(mixture) => {
                    projections.push(&mut mixture.router);
                    projections.extend(mixture.experts.iter_mut().flat_map(Network::projections_mut));
                    projections.extend(mixture.shared.iter_mut().flat_map(|(network, _)| network.projections_mut()));
                }
            }
            projections.extend(l.input.iter_mut().flat_map(|input| [&mut input.gate, &mut input.output]));
            projections.extend(l.streams.iter_mut().flat_map(|streams| [&mut streams.left, &mut streams.right]));
        }
        let mut all: Vec<&mut Weight> = projections.into_iter().map(|projection| &mut projection.weight).collect();
        all.push(self.output.as_mut().unwrap_or(&mut self.token_embedding));
        all
    }

    /// Bytes read for each token that is written: every matrix but the embedding, of which one row is read, and the experts that
    /// a token does not use.
    pub(crate) fn bytes_per_token(&self, experts: Option<&Experts>) -> usize {
        let layer = |l: &Layer| {
            let mixer = l.mixer.projections().into_iter().map(|projection| projection.weight.bytes());
            let network = match &l.ffn {
                FeedForward::Dense(network) => network.bytes(),
                FeedForward::Experts(mixture) => {
                    let used = experts.map_or(0, |experts| experts.used);
                    let shared = mixture.shared.as_ref().map_or(0, |(network, _)| network.bytes());
                    mixture.router.weight.bytes() + used * mixture.experts[0].bytes() + shared
                }
            };
            let input = l.input.iter().flat_map(|input| [&input.gate, &input.output]);
            let streams = l.streams.iter().flat_map(|streams| [&streams.left, &streams.right]);
            let beside = input.chain(streams).map(|projection| projection.weight.bytes()).sum::<usize>();
            mixer.sum::<usize>() + network + beside
        };
        let inputs = self.inputs.iter().map(|inputs| inputs.projection.weight.bytes()).sum::<usize>();
        let streams = self.streams.iter().flat_map(Streams::projections).map(|it| it.weight.bytes()).sum::<usize>();
        inputs + streams + self.layers.iter().map(layer).sum::<usize>() + self.output().bytes()
    }
}

impl Mixer {
    fn projections(&self) -> Vec<&Projection> {
        match self {
            Mixer::Attention(it) => [&it.q, &it.output].into_iter().chain(&it.k).chain(&it.v).collect(),
            Mixer::ShortConv(it) => vec![&it.input, &it.output],
            Mixer::DeltaNet(it) => vec![&it.qkv, &it.gate, &it.alpha, &it.beta, &it.output],
        }
    }

    fn projections_mut(&mut self) -> Vec<&mut Projection> {
        match self {
            Mixer::Attention(it) => {
                let Attention { q, k, v, output, .. } = &mut **it;
                [q, output].into_iter().chain(k).chain(v).collect()
            }
            Mixer::ShortConv(it) => vec![&mut it.input, &mut it.output],
            Mixer::DeltaNet(it) => vec![&mut it.qkv, &mut it.gate, &mut it.alpha, &mut it.beta, &mut it.output],
        }
    }
}

impl Network {
    fn projections_mut(&mut self) -> impl Iterator<Item = &mut Projection> {
        let Network { gate, up, down, .. } = self;
        gate.iter_mut().chain([up, down])
    }

    fn bytes(&self) -> usize {
        self.gate.iter().chain([&self.up, &self.down]).map(|projection| projection.weight.bytes()).sum()
    }
}

impl Layer {
    fn of(gguf: &Gguf, shape: &Shape, index: usize) -> Result<Layer, LlmError> {
        let (family, d) = (shape.family, shape.d_model);
        let name = |name: &str| format!("blk.{index}.{name}");
        let has = |which: &str| gguf.tensor(&name(&format!("{which}.weight"))).is_some();
        let norm_if = |present: bool, which: &str| match present {
            true => norm(gguf, shape, &name(which), d).map(Some),
            false => Ok(None),
        };
        let (before, after) = (family.norms != Norms::After, family.norms != Norms::Before);
        let (attention_norm, ffn_norm) = match family.order {
            Order::SharedNorm => (norm_if(before, "attn_norm")?, None),
            Order::SharedNormIfAlone => (norm_if(before, "attn_norm")?, norm_if(has("ffn_norm"), "ffn_norm")?),
            Order::Falcon if has("attn_norm_2") => (norm_if(before, "attn_norm_2")?, norm_if(before, "attn_norm")?),
            Order::Falcon => (norm_if(before, "attn_norm")?, None),
            Order::OneAfterTheOther | Order::ParallelUnlessFalse => {
                let network = if family.renamed_network_norm { "post_attention_norm" } else { "ffn_norm" };
                (norm_if(before, "attn_norm")?, norm_if(before, network)?)
            }
        };
        Ok(Layer {
            attention_norm,
            mixer: match &shape.layers[index].mixer {
                MixerShape::Attention(attention) => {
                    Mixer::Attention(Box::new(Attention::of(gguf, shape, attention, index)?))
                }
                MixerShape::ShortConv { kernel, .. } => {
                    Mixer::ShortConv(Box::new(ShortConv::of(gguf, shape, *kernel, index)?))
                }
                MixerShape::DeltaNet(delta) => Mixer::DeltaNet(Box::new(DeltaNet::of(gguf, shape, delta, index)?)),
            },
            post_attention_norm: norm_if(after, "post_attention_norm")?,
            ffn_norm,
            ffn: match shape.experts {
                Some(experts) => FeedForward::Experts(Mixture::of(gguf, shape, experts, index)?),
                None => FeedForward::Dense(Network::of(gguf, shape, index)?),
            },
            post_ffn_norm: norm_if(after, "post_ffw_norm")?,
            input: match shape.layer_input {
                0 => None,
                width => Some(LayerInput::of(gguf, shape, width, index)?),
            },
            streams: match family.streams {
                true => Some(Box::new(LayerStreams::of(gguf, shape, index)?)),
                false => None,
            },
            scale: match gguf.tensor(&name("layer_output_scale.weight")) {
                Some(_) if family.layer_inputs => Some(vector(gguf, &name("layer_output_scale.weight"), 1)?[0]),
                _ => None,
            },
        })
    }
}

impl Attention {
    fn of(gguf: &Gguf, shape: &Shape, attention: &AttentionShape, index: usize) -> Result<Attention, LlmError> {
        let (family, head_dim) = (shape.family, attention.head_dim);
        let (d, n_q, n_kv) = (shape.d_model, shape.n_heads * head_dim, attention.n_kv_heads * head_dim);
        let name = |name: &str| format!("blk.{index}.{name}");
        let has = |which: &str| gguf.tensor(&name(&format!("{which}.weight"))).is_some();
        let whole = |which: &str, rows, columns| projection(gguf, &name(which), rows, 0..rows, columns);
        let head_norm = |which: &str, heads: usize| -> Result<Option<HeadNorm>, LlmError> {
            let full = name(&format!("{which}.weight"));
            let weight = match family.head_norms {
                HeadNorms::None if has(which) => return Err(bad(gguf, &full, "is not supported".to_owned())),
                HeadNorms::None => return Ok(None),
                HeadNorms::OwnIfPresent if !has(which) => return Ok(None),
                HeadNorms::Each => vector(gguf, &full, head_dim)?,
                HeadNorms::Together => vector(gguf, &full, heads * head_dim)?,
                HeadNorms::OwnIfPresent => floats(gguf, &full, &[head_dim, heads])?,
            };
            let own = (family.head_norms == HeadNorms::OwnIfPresent).then(|| vec![0.0; head_dim]);
            Ok(Some(HeadNorm { weight, own }))
        };
        let with_gates = if family.gated_attention { 2 * n_q } else { n_q };
        let (q, k, v) = if has("attn_qkv") {
            let of = |rows| projection(gguf, &name("attn_qkv"), with_gates + 2 * n_kv, rows, d);
            let (k, v) = (with_gates..with_gates + n_kv, with_gates + n_kv..with_gates + 2 * n_kv);
            (of(0..with_gates)?, Some(of(k)?), Some(of(v)?))
        } else {
            let serves_as_value = family.normed_values && !has("attn_v");
            let v = if serves_as_value || attention.shares { None } else { Some(whole("attn_v", n_kv, d)?) };
            let k = if attention.shares { None } else { Some(whole("attn_k", n_kv, d)?) };
            (whole("attn_q", with_gates, d)?, k, v)
        };
        let (k, v) = if attention.shares { (None, None) } else { (k, v) };
        let sinks = name("attn_sinks.weight");
        Ok(Attention {
            q,
            k,
            v,
            q_norm: head_norm("attn_q_norm", shape.n_heads)?,
            k_norm: if attention.shares { None } else { head_norm("attn_k_norm", attention.n_kv_heads)? },
            sinks: match gguf.tensor(&sinks) {
                Some(_) => Some(vector(gguf, &sinks, shape.n_heads)?),
                None => None,
            },
            sub_norm: match family.sub_norms {
                true => Some(norm(gguf, shape, &name("attn_sub_norm"), n_q)?),
                false => None,
            },
            output: whole("attn_output", d, n_q)?,
        })
    }
}

impl Network {
    fn of(gguf: &Gguf, shape: &Shape, index: usize) -> Result<Network, LlmError> {
        let (d, n) = (shape.d_model, shape.layers[index].d_ffn);
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
        Ok(Network {
            gate,
            up,
            sub_norm,
            down: whole("ffn_down", d, n)?,
            sparse: shape.family.streams && index < SPARSE_LAYERS,
        })
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
                sparse: false,
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
                    sparse: false,
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

//! What a model's metadata says about its shape, read with its family's row of the table (`family.rs`) and checked.

use std::ops::Range;

use super::LlmError;
use super::family::{FAMILIES, Family, Local, Mixing, Normalisation, Order, Rotation, Windowed};
use super::positions::Rope;
use nearfield_gguf::{Gguf, Value};
use nearfield_kernels::KvHeads;

/// The dimensions of a model.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub family: &'static Family,
    pub layers: Vec<LayerShape>,
    /// The layers that have keys and values of their own.
    pub stored: Vec<KvHeads>,
    /// Numbers that the recurrent layers remember.
    pub state_len: usize,
    pub d_model: usize,
    pub n_heads: usize,
    pub n_vocab: usize,
    pub context_length: usize,
    pub norm_epsilon: f32,
    /// The experts of each layer, in the place of one feed-forward network.
    pub experts: Option<Experts>,
    /// Whether the feed-forward network reads the block's input, beside attention.
    pub parallel: bool,
    pub rope: Rope,
    /// How many pairs of a head turn by time, by row and by column, where tokens have these.
    pub sections: Option<[usize; 3]>,
    /// What is added to a score for each position that a key is further away: `[n_heads]`, in the place of turning.
    pub slopes: Option<Vec<f32>>,
    /// Queries, keys and values stay within so much, where the file asks for it.
    pub clamp_qkv: Option<f32>,
    /// What a look-up of an embedding is multiplied by.
    pub embedding_scale: f32,
    /// What the halves of a block are multiplied by before they are added to the stream.
    pub residual_scale: f32,
    /// What the product of a query and a key is multiplied by.
    pub attention_scale: f32,
    /// `cap * tanh(score / cap)`, where the family does that.
    pub score_cap: Option<f32>,
    /// What logits are multiplied by.
    pub logit_scale: f32,
    /// `cap * tanh(logit / cap)`, where the file asks for it.
    pub logit_cap: Option<f32>,
    /// Numbers that each layer gets of a second embedding of the token; 0 for none.
    pub layer_input: usize,
    /// The angles of the layers that see a window, where they differ from the others'.
    pub windowed_rope: Option<Rope>,
}

/// One layer.
#[derive(Debug, Clone)]
pub(crate) struct LayerShape {
    pub mixer: Mixer,
    /// The width of the feed-forward network.
    pub d_ffn: usize,
}

/// What mixes tokens in a layer. The numbers that a recurrent one remembers stand at `state` in those of all layers.
#[derive(Debug, Clone)]
pub(crate) enum Mixer {
    Attention(AttentionShape),
    ShortConv { kernel: usize, state: Range<usize> },
    DeltaNet(DeltaShape),
}

/// An attention of `n_heads` heads of queries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttentionShape {
    pub n_kv_heads: usize,
    pub head_dim: usize,
    /// How many positions it sees, the token's own included, where that is not all of them.
    pub window: Option<usize>,
    /// Whether it turns queries and keys to their positions.
    pub rotates: bool,
    /// Which of the stored layers has its keys and values.
    pub stored: usize,
    /// Whether these are another layer's.
    pub shares: bool,
}

/// A layer of the gated delta rule.
#[derive(Debug, Clone)]
pub(crate) struct DeltaShape {
    pub kernel: usize,
    pub key_heads: usize,
    pub value_heads: usize,
    pub head_dim: usize,
    pub state: Range<usize>,
}

impl DeltaShape {
    /// Numbers in the queries, keys and values of a token.
    pub(crate) fn channels(&self) -> usize {
        (2 * self.key_heads + self.value_heads) * self.head_dim
    }
}

/// The experts of a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Experts {
    pub n: usize,
    /// How many of them a token uses.
    pub used: usize,
    pub d_ffn: usize,
    /// What their weights are multiplied by.
    pub scale: f32,
}

/// The family that a file names.
pub(crate) fn family_of(gguf: &Gguf) -> Result<&'static Family, LlmError> {
    let found = gguf.text("general.architecture")?.unwrap_or_default();
    if found == "clip" {
        let what = "is \"clip\": this is a projector file (mmproj), which a language model sees pictures with; name the model itself \
                    with llm.model, and this file with llm.mmproj";
        return Err(LlmError::metadata(gguf, "general.architecture", what));
    }
    Family::named(found).ok_or_else(|| LlmError::Architecture {
        path: gguf.path().to_owned(),
        found: found.chars().take(64).collect(),
        supported: FAMILIES.iter().map(|family| family.name).collect(),
    })
}

/// The metadata of a family, whose keys begin with its name.
struct Keys<'a> {
    gguf: &'a Gguf,
    family: &'static Family,
}

impl Keys<'_> {
    fn key(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.family.name)
    }

    fn bad(&self, suffix: &str, what: impl Into<String>) -> LlmError {
        LlmError::metadata(self.gguf, &self.key(suffix), what)
    }

    fn integer(&self, suffix: &str, least: u64, most: u64) -> Result<Option<usize>, LlmError> {
        Ok(self.gguf.integer(&self.key(suffix), least, most)?)
    }

    fn need(&self, suffix: &str, least: u64, most: u64) -> Result<usize, LlmError> {
        self.integer(suffix, least, most)?.ok_or_else(|| self.bad(suffix, "is missing"))
    }

    fn float(&self, suffix: &str) -> Result<Option<f32>, LlmError> {
        Ok(self.gguf.float(&self.key(suffix))?)
    }

    /// A factor that is not zero, which stands for none.
    fn factor(&self, suffix: &str) -> Result<Option<f32>, LlmError> {
        Ok(self.float(suffix)?.filter(|factor| *factor != 0.0))
    }

    /// The width of a head.
    fn head_dim(&self, d_model: usize, n_heads: usize) -> Result<usize, LlmError> {
        let widest = nearfield_kernels::KvStore::MOST_HEAD_DIM as u64;
        let head_dim = match self.integer("attention.key_length", 1, widest)? {
            Some(head_dim) => head_dim,
            None if d_model.is_multiple_of(n_heads) && (d_model / n_heads) as u64 <= widest => d_model / n_heads,
            None => {
                return Err(
                    self.bad("attention.head_count", format!("{n_heads} heads do not share a width of {d_model}"))
                );
            }
        };
        match self.integer("attention.value_length", 1, widest)? {
            Some(values) if values != head_dim => {
                Err(self.bad("attention.value_length", "values of another width than keys are not supported"))
            }
            _ => Ok(head_dim),
        }
    }

    /// The width of a head in layers that see a window.
    fn windowed_head_dim(&self, head_dim: usize) -> Result<usize, LlmError> {
        let widest = nearfield_kernels::KvStore::MOST_HEAD_DIM as u64;
        let keys = self.integer("attention.key_length_swa", 1, widest)?;
        let values = self.integer("attention.value_length_swa", 1, widest)?;
        if keys != values {
            return Err(self.bad("attention.value_length_swa", "values of another width than keys are not supported"));
        }
        Ok(keys.filter(|_| self.family.normed_values).unwrap_or(head_dim))
    }

    fn norm_epsilon(&self) -> Result<f32, LlmError> {
        let key = match self.family.normalisation {
            Normalisation::Layer | Normalisation::LayerMaybeBias => "attention.layer_norm_epsilon",
            Normalisation::RootMeanSquare | Normalisation::RootMeanSquareAndBias => "attention.layer_norm_rms_epsilon",
        };
        match self.float(key)? {
            None => Err(self.bad(key, "is missing")),
            Some(epsilon) if (0.0..1.0).contains(&epsilon) => Ok(epsilon),
            Some(epsilon) => Err(self.bad(key, format!("expected a small positive number, found {epsilon}"))),
        }
    }

    fn experts(&self, d_ffn: Option<usize>) -> Result<Option<Experts>, LlmError> {
        let Some(n) = self.integer("expert_count", 0, 1024)?.filter(|n| *n > 0) else { return Ok(None) };
        if self.family.layer_inputs {
            return Err(self.bad("expert_count", "experts are not supported in this architecture"));
        }
        let used = self.need("expert_used_count", 1, n as u64)?;
        let d_ffn = match self.integer("expert_feed_forward_length", 0, 1 << 20)?.filter(|width| *width > 0) {
            None => d_ffn.ok_or_else(|| self.bad("feed_forward_length", "is missing"))?,
            Some(width) => width,
        };
        Ok(Some(Experts { n, used, d_ffn, scale: self.factor("expert_weights_scale")?.unwrap_or(1.0) }))
    }

    /// The window of each layer, where it has one.
    fn windows(&self, n_layers: usize) -> Result<Vec<Option<usize>>, LlmError> {
        let size = match self.integer("attention.sliding_window", 0, 1 << 32)? {
            None => self.family.default_window,
            size => size.filter(|size| *size > 0),
        };
        let Some(size) = size else { return Ok(vec![None; n_layers]) };
        let key = "attention.sliding_window_pattern";
        let covered: Vec<bool> = match self.family.windowed {
            Windowed::None => vec![false; n_layers],
            Windowed::All => vec![true; n_layers],
            Windowed::AllButEvery(_) if matches!(self.gguf.value(&self.key(key)), Some(Value::Integers(_))) => {
                let covered = self.gguf.integers(&self.key(key), n_layers, 0, 1)?.unwrap_or_default();
                covered.into_iter().map(|covered| covered == 1).collect()
            }
            Windowed::AllButEvery(period) => {
                let period = self.integer(key, 1, 1024)?.unwrap_or(period);
                (0..n_layers).map(|layer| layer % period < period - 1).collect()
            }
        };
        Ok(covered.into_iter().map(|covered| covered.then_some(size)).collect())
    }

    /// Which layers mix tokens with something else than attention: what they are, without a place of their state.
    fn recurrent(&self, layer: usize, kv_heads: usize) -> Result<Option<Mixer>, LlmError> {
        match self.family.mixing {
            Mixing::Attention => Ok(None),
            Mixing::ShortConvWithoutHeads if kv_heads > 0 => Ok(None),
            Mixing::ShortConvWithoutHeads => {
                let kernel = self.need("shortconv.l_cache", 2, 64)?;
                Ok(Some(Mixer::ShortConv { kernel, state: 0..0 }))
            }
            Mixing::DeltaRuleBut(every) => {
                let every = self.integer("full_attention_interval", 1, 1024)?.unwrap_or(every);
                let listed = self.gguf.integers(&self.key("attention.recurrent_layers"), layer + 1, 0, 1)?;
                let recurrent = listed.map_or(!(layer + 1).is_multiple_of(every), |listed| listed[layer] == 1);
                if !recurrent {
                    return Ok(None);
                }
                let head_dim = self.need("ssm.state_size", 16, 1024)?;
                let (key_heads, value_heads) =
                    (self.need("ssm.group_count", 1, 1024)?, self.need("ssm.time_step_rank", 1, 1024)?);
                let inner = self.need("ssm.inner_size", 1, 1 << 20)?;
                if !head_dim.is_multiple_of(16) || inner != value_heads * head_dim || value_heads % key_heads != 0 {
                    return Err(self.bad(
                        "ssm.inner_size",
                        format!(
                            "{inner} is not shared by {value_heads} heads of {head_dim}, or {key_heads} heads of keys do \
                             not share these"
                        ),
                    ));
                }
                let kernel = self.need("ssm.conv_kernel", 2, 64)?;
                Ok(Some(Mixer::DeltaNet(DeltaShape { kernel, key_heads, value_heads, head_dim, state: 0..0 })))
            }
        }
    }

    /// The stored layer whose keys and values a later one uses: of the last two with their own the one of its kind.
    fn shared(
        &self,
        layers: &[LayerShape],
        stored: &[KvHeads],
        from: usize,
        window: Option<usize>,
        heads: KvHeads,
    ) -> Result<usize, LlmError> {
        let back = if window.is_some() { 2 } else { 1 };
        let other = from.checked_sub(back).and_then(|layer| match layers.get(layer)?.mixer {
            Mixer::Attention(other) => Some(other),
            _ => None,
        });
        match other {
            Some(other) if other.window == window && stored[other.stored] == heads => Ok(other.stored),
            _ => Err(self.bad(
                "attention.shared_kv_layers",
                format!("the two layers before layer {from} are none whose keys and values the later ones can use"),
            )),
        }
    }

    /// The layers, those that are stored, and how many numbers the others remember.
    fn layers(
        &self,
        size: &Size,
        widths: Option<Vec<usize>>,
    ) -> Result<(Vec<LayerShape>, Vec<KvHeads>, usize), LlmError> {
        let Size { n_layers, d_model, n_heads, head_dim, d_ffn, .. } = *size;
        let least = u64::from(self.family.mixing != Mixing::ShortConvWithoutHeads);
        let kv_heads = self.gguf.integers(&self.key("attention.head_count_kv"), n_layers, least, 4096)?;
        let kv_heads = kv_heads.unwrap_or_else(|| vec![n_heads; n_layers]);
        let windows = self.windows(n_layers)?;
        let (mut layers, mut stored, mut state_len) = (Vec::with_capacity(n_layers), Vec::new(), 0);
        for layer in 0..n_layers {
            let mut mixer = match self.recurrent(layer, kv_heads[layer])? {
                Some(mixer) => mixer,
                None => {
                    let n_kv_heads = kv_heads[layer];
                    if n_heads % n_kv_heads != 0 {
                        let what = format!("{n_kv_heads} does not divide the {n_heads} heads");
                        return Err(self.bad("attention.head_count_kv", what));
                    }
                    let window = windows[layer];
                    let head_dim = if window.is_some() { size.windowed_head_dim } else { head_dim };
                    let heads = KvHeads { count: n_kv_heads, head_dim };
                    let shares = layer >= size.shares_from;
                    let stored = if shares {
                        self.shared(&layers, &stored, size.shares_from, window, heads)?
                    } else {
                        stored.push(heads);
                        stored.len() - 1
                    };
                    let rotates = !matches!(self.family.rotation, Rotation::Slopes(_))
                        && self.family.unrotated_every.is_none_or(|every| !(layer + 1).is_multiple_of(every));
                    Mixer::Attention(AttentionShape { n_kv_heads, head_dim, window, rotates, stored, shares })
                }
            };
            let remembers = match &mixer {
                Mixer::Attention(_) => 0,
                Mixer::ShortConv { kernel, .. } => (kernel - 1) * d_model,
                Mixer::DeltaNet(delta) => {
                    (delta.kernel - 1) * delta.channels() + delta.value_heads * delta.head_dim * delta.head_dim
                }
            };
            if let Mixer::ShortConv { state, .. } | Mixer::DeltaNet(DeltaShape { state, .. }) = &mut mixer {
                *state = state_len..state_len + remembers;
            }
            state_len += remembers;
            let d_ffn = widths.as_ref().map_or(d_ffn, |widths| widths[layer]);
            layers.push(LayerShape { mixer, d_ffn });
        }
        Ok((layers, stored, state_len))
    }

    /// How many pairs of a head turn by time, by row and by column, where tokens have these.
    fn sections(&self, head_dim: usize) -> Result<Option<[usize; 3]>, LlmError> {
        if !self.family.sections {
            return Ok(None);
        }
        let (suffix, pairs) = ("rope.dimension_sections", head_dim / 2);
        let key = self.key(suffix);
        let numbers = match self.gguf.value(&key) {
            Some(Value::Integers(numbers)) if numbers.len() >= 3 => {
                self.gguf.integers(&key, numbers.len().min(4), 0, pairs as u64)?.unwrap_or_default()
            }
            _ => return Err(self.bad(suffix, "expected the pairs that turn by time, row and column")),
        };
        // A fourth, which nothing turns by, is 0.
        match numbers[..] {
            [time, row, column, ref rest @ ..] if time + row + column == pairs && rest.iter().all(|n| *n == 0) => {
                Ok(Some([time, row, column]))
            }
            _ => Err(self.bad(suffix, format!("expected three numbers whose sum is {pairs}, found {numbers:?}"))),
        }
    }

    /// Slopes of the heads, falling by equal factors (Press et al., 2022); of a number of heads that is no power of two, the
    /// others lie between.
    fn slopes(&self, n_heads: usize) -> Result<Option<Vec<f32>>, LlmError> {
        let Rotation::Slopes(default) = self.family.rotation else { return Ok(None) };
        let most = self.float("attention.max_alibi_bias")?.unwrap_or(default);
        if !(0.0..=1e3).contains(&most) {
            return Err(self.bad("attention.max_alibi_bias", format!("expected 0 to 1000, found {most}")));
        }
        let power = 1usize << n_heads.ilog2();
        let (whole, between) = (2f32.powf(-most / power as f32), 2f32.powf(-most / 2.0 / power as f32));
        let slope = |head: usize| match head < power {
            true => whole.powi(head as i32 + 1),
            false => between.powi(2 * (head - power) as i32 + 1),
        };
        Ok((most > 0.0).then(|| (0..n_heads).map(slope).collect()))
    }
}

/// What the layers of a model have in common.
#[derive(Clone, Copy)]
struct Size {
    n_layers: usize,
    d_model: usize,
    n_heads: usize,
    head_dim: usize,
    /// Of the layers that see a window.
    windowed_head_dim: usize,
    /// The first layer that uses the keys and values of another.
    shares_from: usize,
    d_ffn: usize,
}

impl Shape {
    /// Reads and checks the dimensions.
    pub(crate) fn of(gguf: &Gguf) -> Result<Shape, LlmError> {
        let family = family_of(gguf)?;
        let keys = Keys { gguf, family };
        let n_layers = keys.need("block_count", 1, 1024)?;
        // Layers that only guess the token after the next come last, and are not used.
        let n_layers = n_layers - keys.integer("nextn_predict_layers", 0, n_layers as u64 - 1)?.unwrap_or(0);
        let d_model = keys.need("embedding_length", 1, 1 << 17)?;
        let n_heads = keys.need("attention.head_count", 1, 4096)?;
        let halves = if family.half_network { 2 } else { 1 };
        let widths = gguf.integers(&keys.key("feed_forward_length"), n_layers, 0, 1 << 20)?;
        let widths = widths.filter(|widths| widths.iter().all(|width| *width > 0));
        let widths = widths.map(|widths| widths.into_iter().map(|width| width / halves).collect::<Vec<_>>());
        let widest = widths.as_ref().and_then(|widths| widths.iter().max().copied());
        let experts = keys.experts(widest)?;
        let d_ffn = match (widest, &experts) {
            (Some(width), _) => width,
            (None, Some(experts)) => experts.d_ffn,
            (None, None) => return Err(keys.bad("feed_forward_length", "is missing")),
        };
        let context_length = keys.need("context_length", 1, 1 << 32)?;
        let head_dim = keys.head_dim(d_model, n_heads)?;
        let windowed_head_dim = keys.windowed_head_dim(head_dim)?;
        let shares_from = match keys.integer("attention.shared_kv_layers", 0, n_layers as u64 - 1)? {
            Some(shared) if family.normed_values => n_layers - shared,
            _ => family.shares_from.unwrap_or(n_layers),
        };
        let size = Size { n_layers, d_model, n_heads, head_dim, windowed_head_dim, shares_from, d_ffn };
        let (layers, stored, state_len) = keys.layers(&size, widths)?;
        if stored.is_empty() {
            return Err(keys.bad("attention.head_count_kv", "expected a layer with attention, found none"));
        }
        let Some(n_vocab) = gguf.tensor("token_embd.weight").and_then(|tensor| tensor.dims.get(1).copied()) else {
            return Err(LlmError::Tensor {
                path: gguf.path().to_owned(),
                tensor: "token_embd.weight".to_owned(),
                what: "is missing, or not a matrix".to_owned(),
            });
        };
        let attention_scale = match keys.float("attention.scale")? {
            Some(scale) if scale > 0.0 => scale,
            _ if family.scale_by_share == Some(n_layers) => ((d_model / n_heads) as f32).powf(-0.5),
            _ => family.attention_scale.unwrap_or(1.0 / (head_dim as f32).sqrt()),
        };
        let caps = family.caps;
        let cap = |suffix: &str, default: Option<f32>| -> Result<Option<f32>, LlmError> {
            Ok(keys.float(suffix)?.or(default).filter(|cap| *cap > 0.0))
        };
        let sees = |layer: &LayerShape| matches!(layer.mixer, Mixer::Attention(AttentionShape { window: Some(_), .. }));
        let windowed = layers.iter().any(sees);
        let root = if family.scaled_embedding { (d_model as f32).sqrt() } else { 1.0 };
        Ok(Shape {
            family,
            layers,
            stored,
            state_len,
            d_model,
            n_heads,
            n_vocab,
            context_length,
            norm_epsilon: keys.norm_epsilon()?,
            experts,
            parallel: match family.order {
                Order::OneAfterTheOther => false,
                Order::SharedNorm | Order::Falcon => true,
                Order::SharedNormIfAlone => gguf.tensor("blk.0.ffn_norm.weight").is_none(),
                Order::ParallelUnlessFalse => gguf.bool(&keys.key("use_parallel_residual"))?.unwrap_or(true),
            },
            rope: Rope::of(gguf, family.name, head_dim, context_length)?,
            sections: keys.sections(head_dim)?,
            slopes: keys.slopes(n_heads)?,
            clamp_qkv: keys.float("attention.clamp_kqv")?.filter(|most| *most > 0.0),
            embedding_scale: keys.factor("embedding_scale")?.unwrap_or(root),
            residual_scale: keys.factor("residual_scale")?.unwrap_or(1.0),
            attention_scale,
            score_cap: match caps {
                Some((score, _)) if score > 0.0 => cap("attn_logit_softcapping", Some(score))?,
                _ => None,
            },
            logit_scale: 1.0 / keys.factor("logit_scale")?.unwrap_or(1.0),
            logit_cap: cap("final_logit_softcapping", caps.map(|(_, logit)| logit))?,
            layer_input: match family.layer_inputs {
                true if family.streams => keys.integer("embedding_length_per_layer_input", 1, 1 << 16)?.unwrap_or(256),
                true => keys.integer("embedding_length_per_layer_input", 0, 1 << 16)?.unwrap_or(0),
                false => 0,
            },
            windowed_rope: match family.local {
                Local::Unstretched(base) if windowed => Some(Rope::local(gguf, family.name, windowed_head_dim, base)?),
                _ => None,
            },
        })
    }
}

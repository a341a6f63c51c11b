//! What a model's metadata says about its shape, read with its family's row of the table (`family.rs`) and checked.

use super::LlmError;
use super::family::{FAMILIES, Family, Local, Normalisation, Order, Rotation, Windowed};
use super::positions::Rope;
use nearfield_gguf::Gguf;

/// The dimensions of a model.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub family: &'static Family,
    pub n_layers: usize,
    pub d_model: usize,
    pub n_heads: usize,
    pub n_kv_heads: usize,
    pub head_dim: usize,
    /// The width of the feed-forward network; of the widest one where there are several kinds.
    pub d_ffn: usize,
    pub n_vocab: usize,
    pub context_length: usize,
    pub norm_epsilon: f32,
    /// The experts of each layer, in the place of one feed-forward network.
    pub experts: Option<Experts>,
    /// Whether the feed-forward network reads the block's input, beside attention.
    pub parallel: bool,
    pub rope: Rope,
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
    /// Which layers see a window, and how they count positions.
    pub windows: Option<Windows>,
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

/// The layers that see the last few positions only.
#[derive(Debug, Clone)]
pub(crate) struct Windows {
    /// How many positions such a layer sees, the token's own included.
    pub size: usize,
    /// Every so many layers one sees all; 0 when none does.
    pub period: usize,
    /// Their own angles, where they differ from the others'.
    pub rope: Option<Rope>,
}

impl Windows {
    /// Whether this layer sees a window only.
    pub(crate) fn covers(&self, layer: usize) -> bool {
        self.period == 0 || layer % self.period < self.period - 1
    }
}

/// The family that a file names.
pub(crate) fn family_of(gguf: &Gguf) -> Result<&'static Family, LlmError> {
    let found = gguf.text("general.architecture")?.unwrap_or_default();
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
        let used = self.need("expert_used_count", 1, n as u64)?;
        let d_ffn = match self.integer("expert_feed_forward_length", 0, 1 << 20)?.filter(|width| *width > 0) {
            None => d_ffn.ok_or_else(|| self.bad("feed_forward_length", "is missing"))?,
            Some(width) => width,
        };
        Ok(Some(Experts { n, used, d_ffn, scale: self.factor("expert_weights_scale")?.unwrap_or(1.0) }))
    }

    fn windows(&self, head_dim: usize) -> Result<Option<Windows>, LlmError> {
        let size = match self.integer("attention.sliding_window", 0, 1 << 32)? {
            None => self.family.default_window,
            size => size.filter(|size| *size > 0),
        };
        let (Some(size), period) = (size, self.family.windowed) else { return Ok(None) };
        let period = match period {
            Windowed::None => return Ok(None),
            Windowed::All => 0,
            Windowed::AllButEvery(period) => {
                self.integer("attention.sliding_window_pattern", 1, 1024)?.unwrap_or(period)
            }
        };
        let rope = match self.family.local {
            Local::Same => None,
            Local::Unstretched(base) => Some(Rope::local(self.gguf, self.family.name, head_dim, base)?),
        };
        Ok(Some(Windows { size, period, rope }))
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

impl Shape {
    /// Reads and checks the dimensions.
    pub(crate) fn of(gguf: &Gguf) -> Result<Shape, LlmError> {
        let family = family_of(gguf)?;
        let keys = Keys { gguf, family };
        let n_layers = keys.need("block_count", 1, 1024)?;
        let d_model = keys.need("embedding_length", 1, 1 << 17)?;
        let n_heads = keys.need("attention.head_count", 1, 4096)?;
        let n_kv_heads = keys.integer("attention.head_count_kv", 1, 4096)?.unwrap_or(n_heads);
        let d_ffn = keys.integer("feed_forward_length", 0, 1 << 20)?.filter(|width| *width > 0);
        let experts = keys.experts(d_ffn)?;
        let d_ffn = match (d_ffn, &experts) {
            (Some(width), _) if family.half_network => width / 2,
            (Some(width), _) => width,
            (None, Some(experts)) => experts.d_ffn,
            (None, None) => return Err(keys.bad("feed_forward_length", "is missing")),
        };
        let context_length = keys.need("context_length", 1, 1 << 32)?;
        if n_heads % n_kv_heads != 0 {
            return Err(
                keys.bad("attention.head_count_kv", format!("{n_kv_heads} does not divide the {n_heads} heads"))
            );
        }
        let head_dim = keys.head_dim(d_model, n_heads)?;
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
            _ => 1.0 / (head_dim as f32).sqrt(),
        };
        let caps = family.caps;
        let cap = |suffix: &str, default: Option<f32>| -> Result<Option<f32>, LlmError> {
            Ok(keys.float(suffix)?.or(default).filter(|cap| *cap > 0.0))
        };
        let root = if family.scaled_embedding { (d_model as f32).sqrt() } else { 1.0 };
        Ok(Shape {
            family,
            n_layers,
            d_model,
            n_heads,
            n_kv_heads,
            head_dim,
            d_ffn,
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
            slopes: keys.slopes(n_heads)?,
            clamp_qkv: keys.float("attention.clamp_kqv")?.filter(|most| *most > 0.0),
            embedding_scale: keys.factor("embedding_scale")?.unwrap_or(root),
            residual_scale: keys.factor("residual_scale")?.unwrap_or(1.0),
            attention_scale,
            score_cap: match caps {
                Some((score, _)) => cap("attn_logit_softcapping", Some(score))?,
                None => None,
            },
            logit_scale: 1.0 / keys.factor("logit_scale")?.unwrap_or(1.0),
            logit_cap: cap("final_logit_softcapping", caps.map(|(_, logit)| logit))?,
            windows: keys.windows(head_dim)?,
        })
    }

    /// How many positions a layer sees, where that is not all of them.
    pub(crate) fn window(&self, layer: usize) -> Option<usize> {
        self.windows.as_ref().filter(|windows| windows.covers(layer)).map(|windows| windows.size)
    }

    /// Whether a layer turns its queries and keys.
    pub(crate) fn rotates(&self, layer: usize) -> bool {
        !matches!(self.family.rotation, Rotation::Slopes(_))
            && self.family.unrotated_every.is_none_or(|every| !(layer + 1).is_multiple_of(every))
    }
}

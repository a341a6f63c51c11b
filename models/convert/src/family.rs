//! The architectures that are converted: what of `config.json` goes into the metadata, and which tensors there are under which names.
//! Defaults are those of the `transformers` library, which leaves out of a configuration what has its default.

use nearfield_gguf::Metadata;
use serde_json::Value;

use crate::ConvertError;
use crate::config::{Json, short};

/// What the architectures that are known differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Llama, Mistral, SmolLM and SmolLM2.
    Llama,
    Qwen2,
    Qwen3,
    Gemma3,
    SmolLm3,
}

/// Names in `architectures`, and the families that they mean.
const ARCHITECTURES: [(&str, Family); 7] = [
    ("LlamaForCausalLM", Family::Llama),
    ("MistralForCausalLM", Family::Llama),
    ("Qwen2ForCausalLM", Family::Qwen2),
    ("Qwen3ForCausalLM", Family::Qwen3),
    ("Gemma3ForCausalLM", Family::Gemma3),
    ("Gemma3ForConditionalGeneration", Family::Gemma3),
    ("SmolLM3ForCausalLM", Family::SmolLm3),
];

/// The dimensions of a model.
#[derive(Debug)]
pub(crate) struct Model {
    pub family: Family,
    pub layers: usize,
    pub d_model: usize,
    pub d_ffn: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub vocab: usize,
    /// Under which names the weights stand: `model.` or, within a model of several kinds, `language_model.model.`.
    pub metadata: Vec<(String, Metadata)>,
    /// Factors of the rotations' wavelengths (Llama 3.1 and later).
    pub rope_factors: Option<Vec<f32>>,
}

/// What becomes of a tensor's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    /// The two halves of each head alternate (llama.cpp rotates neighbours where `transformers` rotates halves).
    Interleave {
        heads: usize,
    },
    /// One is added to each number: the norms of Gemma.
    PlusOne,
}

/// A tensor to be.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// Its name in GGUF.
    pub name: String,
    /// Its name in the folder, without what all have in common.
    pub source: String,
    /// `[rows, columns]`, or `[columns]`.
    pub shape: Vec<usize>,
    pub change: Change,
    /// Whether the model may lack it.
    pub optional: bool,
}

impl Family {
    /// The name that GGUF has for it.
    pub fn name(self) -> &'static str {
        match self {
            Family::Llama => "llama",
            Family::Qwen2 => "qwen2",
            Family::Qwen3 => "qwen3",
            Family::Gemma3 => "gemma3",
            Family::SmolLm3 => "smollm3",
        }
    }

    fn of(config: &Json) -> Result<Family, ConvertError> {
        let names: Vec<&str> = match config.get("architectures") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let found = ARCHITECTURES.iter().find(|(name, _)| names.contains(name));
        found.map(|(_, family)| *family).ok_or_else(|| {
            let known: Vec<String> = ARCHITECTURES.iter().map(|(name, _)| (*name).to_owned()).collect();
            let found = names.first().map_or("no architecture".to_owned(), |name| crate::safetensors::shown(name));
            let what = format!("{found} is not converted; supported are {}", nearfield_base::lists::joined(&known));
            ConvertError::unsupported(&config.path, what)
        })
    }
}

impl Model {
    /// Reads and checks `config.json`.
    pub fn of(config: &Json) -> Result<Model, ConvertError> {
        let family = Family::of(config)?;
        let mut config = config.clone();
        if let Some(Value::Object(text)) = config.object.get("text_config").cloned() {
            config.object.extend(text);
        }
        let config = &config;
        if let Some(method) = config.get("quantization_config") {
            let what =
                format!("its weights are quantized ({}); convert the model that it was made from", short(method));
            return Err(ConvertError::unsupported(&config.path, what));
        }
        let count = |key: &str, default: Option<u64>, most: u64| match (config.integer(key, 1, most)?, default) {
            (Some(n), _) | (None, Some(n)) => Ok(n as usize),
            (None, None) => Err(config.bad(key, "is missing")),
        };
        let gemma = family == Family::Gemma3;
        let layers = count("num_hidden_layers", None, 1024)?;
        let d_model = count("hidden_size", None, 1 << 17)?;
        let d_ffn = count("intermediate_size", None, 1 << 20)?;
        let heads = count("num_attention_heads", gemma.then_some(8), 4096)?;
        let kv_default = match family {
            Family::Gemma3 | Family::SmolLm3 => 4,
            Family::Qwen2 | Family::Qwen3 => 32,
            Family::Llama => heads as u64,
        };
        let kv_heads = count("num_key_value_heads", Some(kv_default), 4096)?;
        if !heads.is_multiple_of(kv_heads) {
            return Err(config.bad("num_key_value_heads", &format!("{kv_heads} does not divide the {heads} heads")));
        }
        let stated = config.integer("head_dim", 1, 1 << 16)?;
        let head_dim = match (stated, family) {
            (Some(n), _) => n as usize,
            (None, Family::Gemma3) => 256,
            (None, Family::Qwen3) => 128,
            (None, _) if d_model.is_multiple_of(heads) => d_model / heads,
            (None, _) => return Err(config.bad("num_attention_heads", &format!("{heads} does not divide {d_model}"))),
        };
        let vocab = count("vocab_size", gemma.then_some(262_208), 1 << 22)?;
        let mut model = Model {
            family,
            layers,
            d_model,
            d_ffn,
            heads,
            kv_heads,
            head_dim,
            vocab,
            metadata: Vec::new(),
            rope_factors: None,
        };
        model.describe(config, stated.is_some())?;
        Ok(model)
    }

    /// Gathers the metadata.
    fn describe(&mut self, config: &Json, head_dim_stated: bool) -> Result<(), ConvertError> {
        let family = self.family;
        let rope = Rope::of(config)?;
        let context_default = match family {
            Family::Llama if config.text("model_type") == Some("mistral") => 131_072,
            Family::Llama => 2048,
            Family::Gemma3 => 131_072,
            Family::Qwen2 | Family::Qwen3 | Family::SmolLm3 => 32_768,
        };
        let context = config.integer("max_position_embeddings", 1, 1 << 32)?.unwrap_or(context_default);
        let theta = match (rope.theta, family) {
            (Some(theta), _) => theta,
            (None, Family::Gemma3) => 1e6,
            (None, Family::SmolLm3) => 2e6,
            (None, _) => 1e4,
        };
        let epsilon = config.float("rms_norm_eps")?.unwrap_or(1e-6);
        let mut set = |key: &str, value: Metadata| self.metadata.push((format!("{}.{key}", family.name()), value));
        set("block_count", Metadata::U32(self.layers as u32));
        set("context_length", Metadata::U32(context.min(u64::from(u32::MAX)) as u32));
        set("embedding_length", Metadata::U32(self.d_model as u32));
        set("feed_forward_length", Metadata::U32(self.d_ffn as u32));
        set("attention.head_count", Metadata::U32(self.heads as u32));
        set("attention.head_count_kv", Metadata::U32(self.kv_heads as u32));
        set("rope.freq_base", Metadata::F32(theta as f32));
        set("attention.layer_norm_rms_epsilon", Metadata::F32(epsilon as f32));
        // Families whose configuration has this key always have it, stated or not.
        let mistral = config.text("model_type") == Some("mistral");
        if head_dim_stated
            || matches!(family, Family::Llama if !mistral)
            || matches!(family, Family::Qwen3 | Family::Gemma3)
        {
            set("attention.key_length", Metadata::U32(self.head_dim as u32));
            set("attention.value_length", Metadata::U32(self.head_dim as u32));
        }
        if matches!(family, Family::Llama | Family::SmolLm3) {
            set("vocab_size", Metadata::U32(self.vocab as u32));
            set("rope.dimension_count", Metadata::U32(self.head_dim as u32));
        }
        if family == Family::Gemma3 {
            let window = config.integer("sliding_window", 1, 1 << 32)?.unwrap_or(4096);
            set("attention.sliding_window", Metadata::U32(window.min(u64::from(u32::MAX)) as u32));
            if config.get("attn_logit_softcapping").is_some() {
                return Err(config.bad("attn_logit_softcapping", "is not part of Gemma 3"));
            }
        }
        match (rope.kind.as_str(), family) {
            ("default" | "", _) => {}
            ("linear", _) => {
                set("rope.scaling.type", Metadata::Text("linear".to_owned()));
                set("rope.scaling.factor", Metadata::F32(rope.need("factor", config)? as f32));
            }
            ("yarn", Family::Qwen2 | Family::Qwen3) => {
                set("rope.scaling.type", Metadata::Text("yarn".to_owned()));
                set("rope.scaling.factor", Metadata::F32(rope.need("factor", config)? as f32));
                let original = rope.need("original_max_position_embeddings", config)?;
                set("rope.scaling.original_context_length", Metadata::U32(original as u32));
            }
            ("llama3", Family::Llama) => self.rope_factors = Some(rope.factors(theta, self.head_dim)),
            (kind, _) => {
                let what = format!("the scaling of positions {:?} is not converted for {}", kind, family.name());
                return Err(ConvertError::unsupported(&config.path, what));
            }
        }
        Ok(())
    }

    /// All tensors, in the order of use.
    pub fn tensors(&self) -> Vec<Planned> {
        let (d, gemma) = (self.d_model, self.family == Family::Gemma3);
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let of_norm = if gemma { Change::PlusOne } else { Change::None };
        let mut all = Vec::new();
        let mut add = |name: String, source: String, shape: &[usize], change, optional| {
            all.push(Planned { name, source, shape: shape.to_vec(), change, optional });
        };
        add(
            "token_embd.weight".to_owned(),
            "model.embed_tokens.weight".to_owned(),
            &[self.vocab, d],
            Change::None,
            false,
        );
        for layer in 0..self.layers {
            let (to, from) = (format!("blk.{layer}"), format!("model.layers.{layer}"));
            let turned = |heads| match self.family {
                Family::Llama | Family::SmolLm3 => Change::Interleave { heads },
                _ => Change::None,
            };
            add(format!("{to}.attn_norm.weight"), format!("{from}.input_layernorm.weight"), &[d], of_norm, false);
            let biased = self.family == Family::Qwen2;
            for (which, rows, change) in
                [("q", q, turned(self.heads)), ("k", kv, turned(self.kv_heads)), ("v", kv, Change::None)]
            {
                let (name, source) = (format!("{to}.attn_{which}"), format!("{from}.self_attn.{which}_proj"));
                add(format!("{name}.weight"), format!("{source}.weight"), &[rows, d], change, false);
                add(format!("{name}.bias"), format!("{source}.bias"), &[rows], change, !biased);
            }
            let (name, source) = (format!("{to}.attn_output"), format!("{from}.self_attn.o_proj"));
            add(format!("{name}.weight"), format!("{source}.weight"), &[d, q], Change::None, false);
            add(format!("{name}.bias"), format!("{source}.bias"), &[d], Change::None, true);
            if matches!(self.family, Family::Qwen3 | Family::Gemma3) {
                for which in ["q", "k"] {
                    let source = format!("{from}.self_attn.{which}_norm.weight");
                    add(format!("{to}.attn_{which}_norm.weight"), source, &[self.head_dim], of_norm, false);
                }
            }
            let mut norm = |name: &str, source: &str| {
                add(format!("{to}.{name}.weight"), format!("{from}.{source}.weight"), &[d], of_norm, false);
            };
            match gemma {
                true => {
                    norm("post_attention_norm", "post_attention_layernorm");
                    norm("ffn_norm", "pre_feedforward_layernorm");
                    norm("post_ffw_norm", "post_feedforward_layernorm");
                }
                false => norm("ffn_norm", "post_attention_layernorm"),
            }
            for (which, rows, columns) in [("gate", self.d_ffn, d), ("up", self.d_ffn, d), ("down", d, self.d_ffn)] {
                let (name, source) = (format!("{to}.ffn_{which}"), format!("{from}.mlp.{which}_proj"));
                add(format!("{name}.weight"), format!("{source}.weight"), &[rows, columns], Change::None, false);
                add(format!("{name}.bias"), format!("{source}.bias"), &[rows], Change::None, true);
            }
        }
        add("output_norm.weight".to_owned(), "model.norm.weight".to_owned(), &[d], of_norm, false);
        add("output.weight".to_owned(), "lm_head.weight".to_owned(), &[self.vocab, d], Change::None, true);
        all
    }
}

/// How positions are turned into angles.
struct Rope {
    theta: Option<f64>,
    kind: String,
    scaling: Json,
}

impl Rope {
    fn of(config: &Json) -> Result<Rope, ConvertError> {
        // `rope_parameters` holds both since version 5 of the library.
        let object = match config.get("rope_parameters").or(config.get("rope_scaling")) {
            None => serde_json::Map::new(),
            Some(Value::Object(object)) => object.clone(),
            Some(other) => {
                return Err(config.bad("rope_scaling", &format!("expected an object, found {}", short(other))));
            }
        };
        // Gemma's has one for each kind of layer.
        let object = match object.get("full_attention") {
            Some(Value::Object(of_full)) => of_full.clone(),
            _ => object,
        };
        let scaling = Json { path: config.path.clone(), object };
        let theta = match config.float("rope_theta")? {
            None => scaling.float("rope_theta")?,
            theta => theta,
        };
        let kind = scaling.text("rope_type").or(scaling.text("type")).unwrap_or_default().to_lowercase();
        Ok(Rope { theta, kind, scaling })
    }

    fn need(&self, key: &str, config: &Json) -> Result<f64, ConvertError> {
        let found = self.scaling.float(key)?.filter(|x| *x > 0.0 && *x <= 1e9);
        found.ok_or_else(|| config.bad("rope_scaling", &format!("{key} is missing or not positive")))
    }

    /// The factor of each pair's wavelength, as Llama 3.1 stretches the long ones. In single precision, as the weights were trained.
    fn factors(&self, theta: f64, head_dim: usize) -> Vec<f32> {
        let number = |key: &str, default: f64| self.scaling.float(key).ok().flatten().unwrap_or(default);
        let (factor, low, high) =
            (number("factor", 8.0), number("low_freq_factor", 1.0), number("high_freq_factor", 4.0));
        let context = number("original_max_position_embeddings", 8192.0);
        let pairs = (0..head_dim / 2).map(|pair| {
            let frequency = f64::from(1.0 / (theta as f32).powf(2.0 * pair as f32 / head_dim as f32));
            let wavelength = std::f64::consts::TAU / frequency;
            if wavelength < context / high {
                1.0
            } else if wavelength > context / low {
                factor
            } else {
                let smooth = (context / wavelength - low) / (high - low);
                1.0 / ((1.0 - smooth) / factor + smooth)
            }
        });
        pairs.map(|factor| factor as f32).collect()
    }
}

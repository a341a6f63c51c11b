//! Which format each tensor gets. A recipe is what llama.cpp calls a file type: most tensors get one format, and those that errors hurt
//! most (attention values, the way out of feed-forward layers, the output) a better one. The choices are llama.cpp's, tensor by tensor, so
//! that a file of ours is one of its files.

use nearfield_gguf::{Gguf, GgufError, TensorType};
use nearfield_kernels::Format;

/// A recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipe {
    /// Its name, as users write it.
    pub name: &'static str,
    /// The number of `general.file_type`.
    pub file_type: u32,
    /// What most tensors get.
    pub format: Format,
    /// Bits a weight of the tensors that get `format`.
    pub about: &'static str,
}

/// All recipes, smallest first.
pub const RECIPES: [Recipe; 20] = {
    const fn r(name: &'static str, file_type: u32, format: Format, about: &'static str) -> Recipe {
        Recipe { name, file_type, format, about }
    }
    [
        r("Q2_K", 10, Format::Q2K, "2.6 bits, much is lost"),
        r("Q3_K_S", 11, Format::Q3K, "3.4 bits"),
        r("Q3_K_M", 12, Format::Q3K, "3.4 bits, sensitive tensors 4.5 and 5.5"),
        r("Q3_K_L", 13, Format::Q3K, "3.4 bits, sensitive tensors 5.5"),
        r("IQ4_XS", 30, Format::Iq4Xs, "4.25 bits, values from a table"),
        r("MXFP4_MOE", 38, Format::Mxfp4, "4.25 bits for experts, 8.5 for all else"),
        r("Q4_0", 2, Format::Q4_0, "4.5 bits"),
        r("IQ4_NL", 25, Format::Iq4Nl, "4.5 bits, values from a table"),
        r("Q4_K_S", 14, Format::Q4K, "4.5 bits"),
        r("Q4_K_M", 15, Format::Q4K, "4.5 bits, sensitive tensors 6.6: the usual choice"),
        r("Q4_1", 3, Format::Q4_1, "5 bits"),
        r("Q5_0", 8, Format::Q5_0, "5.5 bits"),
        r("Q5_K_S", 16, Format::Q5K, "5.5 bits"),
        r("Q5_K_M", 17, Format::Q5K, "5.5 bits, sensitive tensors 6.6"),
        r("Q5_1", 9, Format::Q5_1, "6 bits"),
        r("Q6_K", 18, Format::Q6K, "6.6 bits"),
        r("Q8_0", 7, Format::Q8_0, "8.5 bits, hardly anything is lost"),
        r("F16", 1, Format::F16, "16 bits"),
        r("BF16", 32, Format::Bf16, "16 bits, the range of F32"),
        r("F32", 0, Format::F32, "32 bits"),
    ]
};

impl Recipe {
    /// The recipe of that name, in any case. `Q3_K`, `Q4_K` and `Q5_K` are the middle ones.
    pub fn named(name: &str) -> Option<Recipe> {
        let name = match name.to_ascii_uppercase().as_str() {
            short @ ("Q3_K" | "Q4_K" | "Q5_K") => format!("{short}_M"),
            name => name.to_owned(),
        };
        RECIPES.into_iter().find(|recipe| recipe.name == name)
    }

    fn is(self, names: &[&str]) -> bool {
        names.contains(&self.name)
    }
}

/// A tensor as recipes see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorFormat {
    /// Its name.
    pub name: String,
    /// Columns first.
    pub dims: Vec<usize>,
    /// What it is stored as.
    pub from: TensorType,
    /// What it will be stored as.
    pub to: TensorType,
    /// Whether its rows fit no blocks of the format that the recipe has for it, so that another one was taken.
    pub fallback: bool,
}

/// The formats of all tensors of a file, in the order in which they are written: by layer, then by name.
///
/// # Errors
/// The file's metadata says no architecture or a senseless number of layers or heads.
pub fn formats(file: &Gguf, recipe: Recipe, has_importance: bool) -> Result<Vec<TensorFormat>, GgufError> {
    let mut names: Vec<&str> = file.tensor_names().collect();
    names.sort_by_key(|name| (layer_of(name), *name));
    let mut selection = Selection::new(file, recipe, has_importance, &names)?;
    let mut formats = Vec::new();
    for name in names {
        let tensor = &file.tensors()[name];
        let (to, fallback) = if may_be_quantized(name, &tensor.dims) {
            let wanted = selection.choose(name, &tensor.dims)?;
            let to = fitting(wanted, tensor.dims[0]);
            (tensor_type(to), to != wanted)
        } else {
            (tensor.kind, false)
        };
        formats.push(TensorFormat {
            name: name.to_owned(),
            dims: tensor.dims.clone(),
            from: tensor.kind,
            to,
            fallback,
        });
    }
    Ok(formats)
}

/// The GGUF type of a format.
pub(crate) fn tensor_type(format: Format) -> TensorType {
    TensorType::named(format.name()).expect("every format with kernels is a GGUF type")
}

/// The layer of a tensor, `blk.7.` in front of its name; -1 for those of none.
pub(crate) fn layer_of(name: &str) -> i64 {
    let number = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')).map(|(number, _)| number);
    number.and_then(|number| number.parse().ok()).unwrap_or(-1)
}

/// Whether a tensor is a matrix of weights, not one of those small or delicate ones that stay as they are.
pub(crate) fn may_be_quantized(name: &str, dims: &[usize]) -> bool {
    const KEPT: &[&str] = &[
        "_norm.weight",
        "ffn_gate_inp.weight",
        "ffn_gate_tid2eid.weight",
        "engram_gate.weight",
        "altup",
        "laurel",
        "per_layer_model_proj",
        "ssm_conv1d",
        "shortconv.conv.weight",
        "conv2d_spatial.weight",
        "conv_dw",
        "indexer.k_proj.weight",
        "indexer.q_proj.weight",
        "time_mix_first.weight",
        "time_mix_w0.weight",
        "time_mix_w1.weight",
        "time_mix_w2.weight",
        "time_mix_v0.weight",
        "time_mix_v1.weight",
        "time_mix_v2.weight",
        "time_mix_a0.weight",
        "time_mix_a1.weight",
        "time_mix_a2.weight",
        "time_mix_g1.weight",
        "time_mix_g2.weight",
        "time_mix_decay_w1.weight",
        "time_mix_decay_w2.weight",
        "time_mix_lerp_fused.weight",
        "attn_rel_b.weight",
        ".position_embd",
        "sam.pos_embd",
        "sam.neck.",
        "sam.net_",
        ".rel_pos",
        ".patch_embd",
        ".patch_merger",
        "a.rvq.codebook",
        "mm.a.code_embd",
    ];
    let is_matrix = dims.iter().skip(1).any(|dim| *dim > 1);
    is_matrix
        && name.ends_with("weight")
        && name != "position_embd.weight"
        && name != "token_types.weight"
        && !name.starts_with("a.conv1d.")
        && !name.starts_with("a.gen.wav.quant.")
        && !KEPT.iter().any(|part| name.contains(part))
}

/// A format whose blocks rows of so many columns fill: the wanted one, else the nearest with blocks of 32, else F16.
pub(crate) fn fitting(wanted: Format, columns: usize) -> Format {
    if columns.is_multiple_of(wanted.block_weights()) {
        return wanted;
    }
    let smaller = match wanted {
        Format::Iq4Xs => Format::Iq4Nl,
        Format::Q2K | Format::Q3K => Format::Q4_0,
        Format::Q4K => Format::Q5_0,
        Format::Q5K => Format::Q5_1,
        Format::Q6K => Format::Q8_0,
        other => other,
    };
    if columns.is_multiple_of(smaller.block_weights()) { smaller } else { Format::F16 }
}

/// What kind of matrix a tensor is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Output,
    Embedding,
    /// Attention values, alone or with queries and keys.
    Values,
    Keys,
    AttentionOutput,
    Down,
    Other,
}

fn role(name: &str) -> Role {
    const ROLES: [(&str, Role); 12] = [
        ("attn_qkv.weight", Role::Values),
        ("attn_qkv_gate.weight", Role::Values),
        ("attn_kv_b.weight", Role::Values),
        ("attn_v.weight", Role::Values),
        ("attn_k.weight", Role::Keys),
        ("attn_q.weight", Role::Other),
        ("attn_output.weight", Role::AttentionOutput),
        ("ffn_up", Role::Other),
        ("ffn_gate", Role::Other),
        ("ffn_latent", Role::Other),
        ("attn_gate.weight", Role::Other),
        ("ffn_down", Role::Down),
    ];
    match name {
        "output.weight" => Role::Output,
        "token_embd.weight" | "per_layer_token_embd.weight" => Role::Embedding,
        _ => ROLES.iter().find(|(part, _)| name.contains(part)).map_or(Role::Other, |(_, role)| *role),
    }
}

/// A recipe being applied to the tensors of a file, in order.
struct Selection {
    recipe: Recipe,
    has_importance: bool,
    falcon: bool,
    seventy_billion: bool,
    layers: usize,
    experts: usize,
    /// Query heads for each head of keys and values.
    heads_per_key: usize,
    /// Whether the embedding is the output as well.
    tied: bool,
    values: usize,
    seen_values: usize,
    seen_down: usize,
}

impl Selection {
    fn new(file: &Gguf, recipe: Recipe, has_importance: bool, names: &[&str]) -> Result<Selection, GgufError> {
        let architecture = file.text("general.architecture")?.unwrap_or_default().to_owned();
        let first = |key: &str| -> Result<usize, GgufError> {
            let key = format!("{architecture}.{key}");
            Ok(file.integers(&key, 1, 0, 1 << 20)?.map_or(0, |numbers| numbers[0]))
        };
        let layers = first("block_count")?;
        let heads = first("attention.head_count")?;
        let keys = match file.value(&format!("{architecture}.attention.head_count_kv")) {
            None => heads,
            Some(_) => first("attention.head_count_kv")?,
        };
        let seventy_billion = match architecture.as_str() {
            "llama" => layers == 80 && heads != keys,
            "qwen2" | "deci" | "olmo" => layers == 80,
            "jais2" => layers == 68,
            _ => false,
        };
        Ok(Selection {
            recipe,
            has_importance,
            falcon: architecture == "falcon",
            seventy_billion,
            layers,
            experts: first("expert_count")?,
            heads_per_key: heads.checked_div(keys).unwrap_or(0),
            tied: !names.contains(&"output.weight"),
            values: names.iter().filter(|name| role(name) == Role::Values).count(),
            seen_values: 0,
            seen_down: 0,
        })
    }

    fn choose(&mut self, name: &str, dims: &[usize]) -> Result<Format, GgufError> {
        let format = self.recipe.format;
        if matches!(format, Format::F32 | Format::F16 | Format::Bf16) {
            return Ok(format);
        }
        let role = role(name);
        if role == Role::Output || (self.tied && role == Role::Embedding) {
            let whole = dims[0].is_multiple_of(format.block_weights());
            let best = self.recipe.is(&["MXFP4_MOE"]) || self.falcon || !whole || format == Format::Q8_0;
            return Ok(if best { Format::Q8_0 } else { Format::Q6K });
        }
        if self.recipe.is(&["MXFP4_MOE"]) {
            let expert = name.contains("_exps.") || name.contains("_chexps.");
            return Ok(if expert { Format::Mxfp4 } else { Format::Q8_0 });
        }
        Ok(match role {
            Role::Values => self.values(format),
            Role::Keys if self.experts == 8 => Format::Q8_0,
            Role::Down => self.down(name, format),
            Role::AttentionOutput => self.attention_output(format),
            _ => format,
        })
    }

    fn values(&mut self, format: Format) -> Format {
        let at = self.seen_values;
        self.seen_values += 1;
        let many = self.heads_per_key >= 4;
        let format = match self.recipe.name {
            "Q2_K" if many => Format::Q4K,
            "Q2_K" => Format::Q3K,
            "Q3_K_M" if at >= 2 => Format::Q4K,
            "Q3_K_M" | "Q3_K_L" => Format::Q5K,
            "IQ4_NL" | "IQ4_XS" if many => Format::Q5K,
            "Q4_K_M" | "Q5_K_M" if delicate(at, self.values) => Format::Q6K,
            "Q4_K_S" if at < 4 => Format::Q5K,
            _ => format,
        };
        // The same matrix serves eight heads: it is small, and errors in it count eightfold.
        let format = match format {
            Format::Q3K | Format::Q4K if self.seventy_billion => Format::Q5K,
            format => format,
        };
        if self.experts == 8 { Format::Q8_0 } else { format }
    }

    fn down(&mut self, name: &str, format: Format) -> Format {
        let counted = self.seen_down;
        self.seen_down += 1;
        let layers = self.layers;
        let at = match layer_of(name) {
            layer if self.experts > 1 && layer >= 0 => layer as usize,
            _ => counted,
        };
        let first = at < layers / 8;
        match self.recipe.name {
            "Q2_K" => Format::Q3K,
            "Q3_K_M" if at < layers / 16 => Format::Q5K,
            "Q3_K_M" if !self.falcon || delicate(at, layers) => Format::Q4K,
            "Q3_K_L" if self.falcon => Format::Q4K,
            "Q3_K_L" => Format::Q5K,
            "Q4_K_M" if self.falcon && at < layers / 16 => Format::Q6K,
            "Q4_K_M" if delicate(at, layers) => {
                if self.falcon {
                    Format::Q5K
                } else {
                    Format::Q6K
                }
            }
            "IQ4_NL" | "IQ4_XS" if first && !self.has_importance => Format::Q5K,
            "Q5_K_M" if delicate(at, layers) => Format::Q6K,
            "Q4_K_S" if first && !self.falcon => Format::Q5K,
            "Q4_0" if first && self.has_importance => Format::Q4_1,
            "Q5_0" if first && self.has_importance => Format::Q5_1,
            _ => format,
        }
    }

    fn attention_output(&self, format: Format) -> Format {
        match self.recipe.name {
            "Q3_K_L" if self.falcon => Format::Q4K,
            _ if self.falcon => format,
            "Q2_K" | "Q3_K_S" | "Q3_K_M" | "IQ4_NL" | "Q4_K_S" | "Q4_K_M" | "IQ4_XS" if self.experts == 8 => {
                Format::Q5K
            }
            _ if self.experts == 8 => format,
            "Q2_K" => Format::Q3K,
            "Q3_K_M" => Format::Q4K,
            "Q3_K_L" => Format::Q5K,
            _ => format,
        }
    }
}

/// The first and the last eighth of the layers, and every third between.
fn delicate(at: usize, of: usize) -> bool {
    at < of / 8 || at >= 7 * of / 8 || (at - of / 8) % 3 == 2
}

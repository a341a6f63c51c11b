//! What a projector file (`mmproj`) says about its vision transformer and its projector, read within bounds: the keys `clip.vision.*`,
//! as llama.cpp's converter writes them.

use nearfield_gguf::{Gguf, Value, quoted};
use nearfield_kernels::KvStore;

use super::preprocess::{MOST_ROUNDED, Tiling};
use super::resize::{Filter, Resize};
use crate::LlmError;

/// The projectors that run here, by the name that files give them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Projector {
    /// SmolVLM and SmolVLM2: patches put together by squares, and one matrix.
    Idefics3,
    /// Gemma 3: the mean of squares of patches, normalised, and one matrix.
    Gemma3,
    /// LLaVA 1.5: a network of two matrices over each patch.
    Llava,
    /// InternVL 2.5 and 3: squares of patches, normalised, and a network.
    InternVl,
    /// Qwen2-VL: squares of four patches and a network.
    Qwen2Vl,
    /// Qwen2.5-VL: the same, after layers that see windows.
    Qwen25Vl,
    /// LFM2-VL: squares of patches and a network.
    Lfm2,
}

impl Projector {
    pub(crate) const ALL: [(Projector, &str); 7] = [
        (Projector::Idefics3, "idefics3"),
        (Projector::Gemma3, "gemma3"),
        (Projector::Llava, "mlp"),
        (Projector::InternVl, "internvl"),
        (Projector::Qwen2Vl, "qwen2vl_merger"),
        (Projector::Qwen25Vl, "qwen2.5vl_merger"),
        (Projector::Lfm2, "lfm2"),
    ];

    /// The name in files.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(projector, _)| *projector == self).map_or("", |(_, name)| name)
    }

    /// Whether patches come as frames of a film, two in one.
    pub(crate) fn is_qwen(self) -> bool {
        matches!(self, Projector::Qwen2Vl | Projector::Qwen25Vl)
    }
}

/// What stands between the two matrices of a feed-forward network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    Gelu,
    QuickGelu,
    Silu,
}

/// The dimensions of a vision transformer.
#[derive(Debug, Clone)]
pub(crate) struct VisionShape {
    pub projector: Projector,
    pub d_model: usize,
    pub n_heads: usize,
    pub d_ffn: usize,
    pub layers: usize,
    pub epsilon: f32,
    /// Rows are normalised by the root of the mean square, without their mean taken off.
    pub rms: bool,
    pub activation: Activation,
    pub image_size: usize,
    pub patch_size: usize,
    /// Patches to a side of the square that becomes one embedding.
    pub merge: usize,
    /// Every n-th layer sees the whole picture, the others windows of it.
    pub windows: Option<usize>,
    pub mean: [f32; 3],
    pub deviation: [f32; 3],
    pub tiling: Tiling,
}

/// The side of a window of Qwen2.5-VL in pixels, which its files do not say.
pub(crate) const WINDOW: usize = 112;
/// The largest side of a tile, in pixels.
const MOST_SIDE: u64 = 4096;
/// The most patches that go through the transformer at a time: 4,096 embeddings of four patches each.
pub(crate) const MOST_PATCHES: usize = 16_384;
/// The most pixels that a picture is enlarged to: 64 tiles of 512 x 512, which is one tile of the largest side too.
const MOST_PIXELS: usize = 64 * 512 * 512;

impl VisionShape {
    pub(crate) fn of(gguf: &Gguf) -> Result<VisionShape, LlmError> {
        let bad = |key: &str, what: String| LlmError::metadata(gguf, key, what);
        let architecture = gguf.text("general.architecture")?.unwrap_or_default();
        if architecture != "clip" {
            let what = format!(
                "is {}, but a projector file (mmproj) has \"clip\"; name the language model with llm.model and the file whose \
                 name has \"mmproj\" in it here",
                quoted(architecture)
            );
            return Err(bad("general.architecture", what));
        }
        if gguf.bool("clip.has_vision_encoder")? == Some(false) {
            return Err(bad("clip.has_vision_encoder", "is false: this projector is not for pictures".to_owned()));
        }
        let name = match gguf.text("clip.projector_type")? {
            Some(name) => Some(name),
            None => gguf.text("clip.vision.projector_type")?,
        };
        let name = name.ok_or_else(|| bad("clip.projector_type", "is missing".to_owned()))?;
        let Some((projector, _)) = Projector::ALL.into_iter().find(|(_, known)| *known == name) else {
            let known: Vec<&str> = Projector::ALL.iter().map(|(_, name)| *name).collect();
            let what = format!("{} is not supported; supported are: {}", quoted(name), known.join(", "));
            return Err(bad("clip.projector_type", what));
        };
        let key = |suffix: &str| format!("clip.vision.{suffix}");
        let number = |suffix: &str, least: u64, most: u64| gguf.integer(&key(suffix), least, most);
        let need = |suffix: &str, least: u64, most: u64| -> Result<usize, LlmError> {
            number(suffix, least, most)?.ok_or_else(|| bad(&key(suffix), "is missing".to_owned()))
        };
        let (d_model, n_heads) = (need("embedding_length", 1, 1 << 15)?, need("attention.head_count", 1, 1024)?);
        if !d_model.is_multiple_of(n_heads) || d_model / n_heads > KvStore::MOST_HEAD_DIM {
            let what = format!("{n_heads} heads do not share a width of {d_model}");
            return Err(bad(&key("attention.head_count"), what));
        }
        let epsilon = gguf.float(&key("attention.layer_norm_epsilon"))?;
        let epsilon = epsilon.ok_or_else(|| bad(&key("attention.layer_norm_epsilon"), "is missing".to_owned()))?;
        if !(0.0..1.0).contains(&epsilon) {
            let what = format!("expected a small positive number, found {epsilon}");
            return Err(bad(&key("attention.layer_norm_epsilon"), what));
        }
        let patch_size = need("patch_size", 1, 256)?;
        let image_size = need("image_size", patch_size as u64, MOST_SIDE)?;
        let (gelu, silu) = (gguf.bool("clip.use_gelu")?, gguf.bool("clip.use_silu")?);
        let activation = match (gelu.unwrap_or(false), silu.unwrap_or(false)) {
            (true, true) => return Err(bad("clip.use_gelu", "is true, and clip.use_silu too".to_owned())),
            (true, false) => Activation::Gelu,
            (false, true) => Activation::Silu,
            (false, false) => Activation::QuickGelu,
        };
        let merge_key = if projector.is_qwen() { "spatial_merge_size" } else { "projector.scale_factor" };
        let usual = match projector {
            Projector::Gemma3 => 4,
            Projector::Llava => 1,
            Projector::Qwen2Vl | Projector::Qwen25Vl => 2,
            Projector::Idefics3 | Projector::InternVl | Projector::Lfm2 => 1,
        };
        let merge = number(merge_key, 1, 16)?.unwrap_or(usual);
        if projector.is_qwen() && merge != 2 {
            return Err(bad(&key(merge_key), format!("expected 2, found {merge}")));
        }
        let windows = match projector {
            Projector::Qwen25Vl if WINDOW < patch_size * merge => {
                let what =
                    format!("{merge} x {merge} patches of {patch_size} are more than a window of {WINDOW} pixels");
                return Err(bad(&key("patch_size"), what));
            }
            // 0 stands for none.
            Projector::Qwen25Vl => Some(need("n_wa_pattern", 0, 1024)?).filter(|every| *every > 0),
            _ => None,
        };
        let mut shape = VisionShape {
            projector,
            d_model,
            n_heads,
            // Old files of Qwen2-VL have 0 here; the tensors say it.
            d_ffn: need("feed_forward_length", 0, 1 << 18)?,
            layers: need("block_count", 1, 512)?,
            epsilon,
            // The 6B transformer of the largest InternVL models is told by its dimensions only.
            rms: projector == Projector::Qwen25Vl,
            activation,
            image_size,
            patch_size,
            merge,
            windows,
            mean: colours(gguf, &key("image_mean"))?,
            deviation: colours(gguf, &key("image_std"))?,
            tiling: Tiling::Whole { resize: Resize::by(Filter::Bicubic), colour: [0; 3] },
        };
        if shape.deviation.iter().any(|x| *x < 1e-6) {
            return Err(bad(&key("image_std"), "expected three positive numbers".to_owned()));
        }
        if projector == Projector::InternVl && (d_model, shape.layers) == (3200, 45) {
            shape.rms = true;
        }
        shape.tiling = Tiling::of(gguf, &shape)?;
        let side = image_size / patch_size;
        let is_square = !projector.is_qwen() && projector != Projector::Lfm2;
        if is_square && !(image_size.is_multiple_of(patch_size) && side.is_multiple_of(merge)) {
            let what = format!("{image_size} pixels are no whole squares of {merge} x {merge} patches of {patch_size}");
            return Err(bad(&key("image_size"), what));
        }
        for (suffix, pixels, patches) in shape.largest() {
            if patches > MOST_PATCHES {
                let what = format!("gives tiles of {patches} patches, more than the {MOST_PATCHES} that are supported");
                return Err(bad(&key(suffix), what));
            }
            if pixels > MOST_PIXELS {
                let what = format!("gives pictures of {pixels} pixels, more than the {MOST_PIXELS} that are supported");
                return Err(bad(&key(suffix), what));
            }
        }
        Ok(shape)
    }

    /// How large pictures become: the key that says so, the most pixels, and the most patches of one tile.
    fn largest(&self) -> Vec<(&'static str, usize, usize)> {
        let patch = self.patch_size.pow(2);
        let tiles = |key, side: usize, n: usize| (key, n.saturating_mul(side * side), (side / self.patch_size).pow(2));
        let side = self.image_size;
        match &self.tiling {
            Tiling::Whole { .. } => vec![tiles("image_size", side, 1)],
            Tiling::Near { most, .. } => vec![("image_max_pixels", *most, most / patch)],
            Tiling::Grid { longest } => {
                let longest = longest.map_or(MOST_ROUNDED, |longest| longest.div_ceil(side));
                vec![tiles("image_size", side, longest.pow(2))]
            }
            Tiling::Nearest { most, .. } => vec![tiles("image_size", side, *most)],
            Tiling::NearOrNearest { near, tiles: n, side, .. } => {
                vec![("patch_size", near[1], near[1] / patch), tiles("preproc_tile_size", *side, n[1])]
            }
        }
    }

    pub(crate) fn head_dim(&self) -> usize {
        self.d_model / self.n_heads
    }
}

/// Three numbers, one for each of red, green and blue.
fn colours(gguf: &Gguf, key: &str) -> Result<[f32; 3], LlmError> {
    match gguf.value(key) {
        Some(Value::Floats(numbers)) if numbers.len() >= 3 && numbers[..3].iter().all(|x| x.is_finite()) => {
            Ok([numbers[0], numbers[1], numbers[2]])
        }
        None => Err(LlmError::metadata(gguf, key, "is missing")),
        Some(_) => Err(LlmError::metadata(gguf, key, "expected three finite numbers")),
    }
}

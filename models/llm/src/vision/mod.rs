//! Pictures for language models: the vision transformer and projector of a GGUF file (`mmproj`) run by our kernels. A picture becomes
//! embeddings that stand in the language model's prompt in the place of tokens, and the text that the model was trained to see around
//! them. Preprocessing, transformer and projectors follow llama.cpp's `mtmd`, to which tests hold them.

mod forward;
mod marks;
mod preprocess;
mod resize;
mod shape;
mod weights;

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use nearfield_gguf::Gguf;
use nearfield_kernels::{Level, Pool};

use super::layout::lay_out;
use super::{Llm, LlmError, LlmOptions, TokenId};
use forward::Tower;
use resize::Pixels;
use shape::VisionShape;
use weights::VisionWeights;

/// A picture: rows of pixels from the top, each red, green, blue.
#[derive(Debug, Clone, Copy)]
pub struct RgbPicture<'a> {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `[height, width, 3]`
    pub rgb: &'a [u8],
}

/// What a projector file says about itself.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct VisionInfo {
    /// `general.name`, or the file's name.
    pub name: String,
    /// `idefics3`, `gemma3`, ...
    pub projector: &'static str,
    /// Pixels to a side of a tile.
    pub image_size: usize,
    /// Pixels to a side of a patch.
    pub patch_size: usize,
    /// Embeddings of a square tile.
    pub embeddings: usize,
    /// Transformer blocks that are computed.
    pub layers: usize,
    /// Numbers in an embedding, which must be the language model's.
    pub d_model: usize,
    /// How many weights.
    pub parameters: u64,
    /// The type of most of its weights.
    pub quantization: String,
    /// The file's length.
    pub file_bytes: u64,
}

/// How the embeddings of a tile stand in a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureSpan {
    /// How many embeddings.
    pub len: usize,
    /// Embeddings to a row, where the language model places them by row and column (Qwen-VL); `None` where they follow each other
    /// like words.
    pub columns: Option<usize>,
    /// Whether each sees the ones after it, too (Gemma 3).
    pub is_whole: bool,
}

/// A picture that is ready to be put into a prompt.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PicturePrompt {
    /// What stands in the prompt: tokens, and [`TokenId::EMBEDDING`] in the place of each embedding.
    pub tokens: Vec<TokenId>,
    /// The embeddings in order: `[n, d_model]`
    pub rows: Vec<f32>,
    /// The tiles that they belong to, in order.
    pub spans: Vec<PictureSpan>,
}

/// The vision transformer and projector of a file.
#[derive(Debug)]
pub struct VisionTower {
    gguf: Gguf,
    shape: VisionShape,
    weights: VisionWeights,
    info: VisionInfo,
    level: Level,
    pool: Pool,
}

impl VisionTower {
    /// Opens a projector file.
    ///
    /// # Errors
    /// The file cannot be read, is broken or another kind of file, or its projector or a tensor's type is not supported.
    pub fn open(path: &Path, options: &LlmOptions) -> Result<Arc<VisionTower>, LlmError> {
        let level = Level::detect()?;
        let gguf = Gguf::open(path)?;
        let shape = VisionShape::of(&gguf)?;
        let mut weights = VisionWeights::of(&gguf, &shape)?;
        let pool = Pool::new(NonZeroUsize::new(options.threads));
        lay_out(weights.multiplied_mut(), &gguf, level, &pool)?;
        let file_name = || path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let sizes = gguf.tensors().values().map(|tensor| tensor.dims.iter().map(|dim| *dim as u64).product::<u64>());
        let info = VisionInfo {
            name: gguf.text("general.name")?.map_or_else(file_name, str::to_owned),
            projector: shape.projector.name(),
            image_size: shape.image_size,
            patch_size: shape.patch_size,
            embeddings: shape.embeddings(shape.image_size, shape.image_size),
            layers: weights.layers.len(),
            d_model: weights.d_text,
            parameters: sizes.sum(),
            quantization: super::most_common_type(&gguf),
            file_bytes: gguf.file_bytes(),
        };
        Ok(Arc::new(VisionTower { gguf, shape, weights, info, level, pool }))
    }

    /// What the file says about itself.
    pub fn info(&self) -> &VisionInfo {
        &self.info
    }

    /// Holds the projector to the language model that its embeddings are for.
    ///
    /// # Errors
    /// They do not belong together: their embeddings are of different lengths, or the language model has no token that this projector's
    /// pictures stand between.
    pub fn check(&self, llm: &Llm) -> Result<(), LlmError> {
        let (here, there) = (self.info.d_model, llm.info().d_model);
        if here != there {
            return Err(LlmError::Projector {
                path: self.gguf.path().to_owned(),
                model: llm.info().name.clone(),
                what: format!("its embeddings have {here} numbers, the language model's {there}"),
            });
        }
        if self.shape.projector.is_qwen() && !llm.places_pictures() {
            return Err(LlmError::Projector {
                path: self.gguf.path().to_owned(),
                model: llm.info().name.clone(),
                what: "it places pictures by row and column, and the language model knows places in a row only"
                    .to_owned(),
            });
        }
        marks::check(self, llm)
    }

    /// What of a picture becomes embeddings: the tokens and embeddings that stand for it in a prompt of `llm`; `None` when `go_on`,
    /// which is called between layers, broke it off. `budget` bounds how many embeddings there are, as far as the projector can do with
    /// fewer: by fewer tiles or a smaller one.
    ///
    /// # Errors
    /// The picture is empty or no picture, the projector does not belong to `llm`, or there is no memory.
    pub fn read(
        &self,
        picture: RgbPicture<'_>,
        llm: &Llm,
        budget: Option<usize>,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<PicturePrompt>, LlmError> {
        self.check(llm)?;
        let tiles = self.shape.tiles(&pixels(picture)?, budget);
        let mut prompt = marks::around(self, llm.tokenizer()?, &tiles);
        for tile in marks::in_order(&tiles) {
            let Some(rows) = self.encode(tile, go_on)? else { return Ok(None) };
            prompt.rows.extend(rows);
        }
        if prompt.rows.iter().any(|x| !x.is_finite()) {
            return Err(LlmError::Projector {
                path: self.gguf.path().to_owned(),
                model: llm.info().name.clone(),
                what: "the embeddings of this picture are not finite; fetch the file again".to_owned(),
            });
        }
        Ok(Some(prompt))
    }

    /// The tiles of a picture in their order in the prompt, for those who compare them: width, height and `[height, width, 3]` each.
    ///
    /// # Errors
    /// The picture is empty or no picture.
    pub fn tiles(
        &self,
        picture: RgbPicture<'_>,
        budget: Option<usize>,
    ) -> Result<Vec<(usize, usize, Vec<u8>)>, LlmError> {
        let tiles = self.shape.tiles(&pixels(picture)?, budget);
        let all = marks::in_order(&tiles).into_iter();
        Ok(all.map(|tile| (tile.width, tile.height, tile.rgb.clone())).collect())
    }

    /// The embeddings of one tile: `[n, d_model]`
    fn encode(&self, tile: &Pixels, go_on: &mut dyn FnMut() -> ControlFlow<()>) -> Result<Option<Vec<f32>>, LlmError> {
        let VisionTower { gguf, shape, weights, level, pool, .. } = self;
        let tower = Tower { gguf, shape, weights, level: *level, pool };
        let patches = preprocess::patches(shape, tile);
        let (columns, rows) = (tile.width / shape.patch_size, tile.height / shape.patch_size);
        let no_memory =
            || LlmError::Context { context_tokens: columns * rows, what: "there is not that much memory".to_owned() };
        let mut pass = tower.begin(&patches, columns, rows).ok_or_else(no_memory)?;
        for index in 0..pass.layers() {
            if go_on().is_break() {
                return Ok(None);
            }
            pass.layer(index);
        }
        Ok(Some(pass.finish()))
    }
}

fn pixels(picture: RgbPicture<'_>) -> Result<Pixels, LlmError> {
    let RgbPicture { width, height, rgb } = picture;
    match width.checked_mul(height).and_then(|n| n.checked_mul(3)) {
        Some(n) if n > 0 && n == rgb.len() && width.max(height) <= 1 << 16 => {
            Ok(Pixels { width, height, rgb: rgb.to_vec() })
        }
        _ => {
            Err(LlmError::Input(format!("a picture of {width} x {height} pixels can't be made of {} bytes", rgb.len())))
        }
    }
}

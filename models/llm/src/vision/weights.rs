//! The weights of a vision transformer and of its projector, found by the names that llama.cpp's converter gives them.

use nearfield_gguf::Gguf;

use super::shape::{Projector, VisionShape};
use crate::LlmError;
use crate::layout::Weight;
use crate::tensors::{bad, floats, matrix, projection, vector};
use crate::weights::Projection;

/// All weights, in the order of use.
#[derive(Debug)]
pub(crate) struct VisionWeights {
    /// `[d_model, 3 * patch_size * patch_size]` v.patch_embd.weight; two where pictures are films of two frames.
    pub patch: Vec<Weight>,
    pub patch_bias: Option<Vec<f32>>, // [d_model] v.patch_embd.bias
    pub class: Option<Vec<f32>>,      // [d_model] v.class_embd
    pub positions: Option<Vec<f32>>,  // [n_positions, d_model] v.position_embd.weight
    pub pre_norm: Option<Norm>,       // v.pre_ln
    pub layers: Vec<Layer>,
    pub post_norm: Option<Norm>, // v.post_ln
    pub projector: ProjectorWeights,
    /// Numbers in an embedding of the language model.
    pub d_text: usize,
}

/// Normalisation of rows.
#[derive(Debug)]
pub(crate) struct Norm {
    pub weight: Vec<f32>, // [width]
    pub bias: Vec<f32>,   // [width], zeros where the file has none
}

/// One block.
#[derive(Debug)]
pub(crate) struct Layer {
    pub norm: Norm,                  // ln1
    pub q: Projection,               // [d_model, d_model] attn_q, or the first rows of attn_qkv
    pub k: Projection,               // [d_model, d_model] attn_k, or the next
    pub v: Projection,               // [d_model, d_model] attn_v, or the last
    pub q_norm: Option<Norm>,        // [d_model] attn_q_norm
    pub k_norm: Option<Norm>,        // [d_model] attn_k_norm
    pub output: Projection,          // [d_model, d_model] attn_out
    pub scale: Option<Vec<f32>>,     // [d_model] ls1: what attention gives is multiplied by it
    pub ffn_norm: Norm,              // ln2
    pub gate: Option<Projection>,    // [d_ffn, d_model] ffn_gate
    pub up: Projection,              // [d_ffn, d_model] ffn_up
    pub down: Projection,            // [d_model, d_ffn] ffn_down
    pub ffn_scale: Option<Vec<f32>>, // [d_model] ls2
}

/// What turns the states of patches into embeddings.
#[derive(Debug)]
pub(crate) enum ProjectorWeights {
    /// One matrix: `[d_text, merge * merge * d_model]`.
    Matrix(Projection),
    /// The mean of squares, normalised, and one matrix whose rows the file has as columns: `[d_text, d_model]`.
    Mean { norm: Norm, matrix: Vec<u8> },
    /// A network of two matrices over what may be normalised first.
    Network { norm: Option<Norm>, up: Projection, down: Option<Projection> },
}

impl Norm {
    /// `name` is without `.weight`.
    fn of(gguf: &Gguf, name: &str, width: usize) -> Result<Norm, LlmError> {
        let weight = vector(gguf, &format!("{name}.weight"), width)?;
        let bias = format!("{name}.bias");
        let bias = if gguf.tensor(&bias).is_some() { vector(gguf, &bias, width)? } else { vec![0.0; width] };
        Ok(Norm { weight, bias })
    }

    fn maybe(gguf: &Gguf, name: &str, width: usize) -> Result<Option<Norm>, LlmError> {
        gguf.tensor(&format!("{name}.weight")).map(|_| Norm::of(gguf, name, width)).transpose()
    }
}

fn maybe_vector(gguf: &Gguf, name: &str, width: usize) -> Result<Option<Vec<f32>>, LlmError> {
    gguf.tensor(name).map(|_| vector(gguf, name, width)).transpose()
}

/// The rows of a matrix, as its tensor has them. `name` is without `.weight`.
fn rows_of(gguf: &Gguf, name: &str) -> Result<usize, LlmError> {
    let name = format!("{name}.weight");
    match gguf.tensor(&name) {
        None => Err(bad(gguf, &name, "is missing".to_owned())),
        Some(tensor) if tensor.dims.len() == 2 && (1..1 << 18).contains(&tensor.dims[1]) => Ok(tensor.dims[1]),
        Some(tensor) => Err(bad(gguf, &name, format!("expected a matrix, found the dimensions {:?}", tensor.dims))),
    }
}

/// A matrix of so many columns and as many rows as the file has.
fn wide(gguf: &Gguf, name: &str, columns: usize) -> Result<Projection, LlmError> {
    let rows = rows_of(gguf, name)?;
    projection(gguf, name, rows, 0..rows, columns)
}

impl Layer {
    fn of(gguf: &Gguf, shape: &VisionShape, index: usize) -> Result<Layer, LlmError> {
        let d = shape.d_model;
        let name = |name: &str| format!("v.blk.{index}.{name}");
        let has = |which: &str| gguf.tensor(&name(&format!("{which}.weight"))).is_some();
        if let Some(refused) = ["attn_post_norm", "ffn_post_norm", "ffn_gate_exps"].into_iter().find(|it| has(it)) {
            return Err(bad(
                gguf,
                &name(&format!("{refused}.weight")),
                "is not supported with this projector".to_owned(),
            ));
        }
        let square = |which: &str| projection(gguf, &name(which), d, 0..d, d);
        let (q, k, v) = match has("attn_qkv") {
            true => {
                let part = |at: usize| projection(gguf, &name("attn_qkv"), 3 * d, at * d..(at + 1) * d, d);
                (part(0)?, part(1)?, part(2)?)
            }
            false => (square("attn_q")?, square("attn_k")?, square("attn_v")?),
        };
        // Old converters gave the matrices of the network each other's name.
        let old = !matches!(shape.projector, Projector::InternVl | Projector::Lfm2);
        let swapped = old && gguf.tensor(&name("ffn_down.weight")).is_some_and(|it| it.dims.first() == Some(&d));
        let (up, down) = if swapped { ("ffn_down", "ffn_up") } else { ("ffn_up", "ffn_down") };
        let up = wide(gguf, &name(up), d)?;
        let d_ffn = up.weight.rows();
        if shape.d_ffn != 0 && shape.d_ffn != d_ffn {
            let what = format!("expected {} rows (clip.vision.feed_forward_length), found {d_ffn}", shape.d_ffn);
            return Err(bad(gguf, &name("ffn_up.weight"), what));
        }
        Ok(Layer {
            norm: Norm::of(gguf, &name("ln1"), d)?,
            q,
            k,
            v,
            q_norm: Norm::maybe(gguf, &name("attn_q_norm"), d)?,
            k_norm: Norm::maybe(gguf, &name("attn_k_norm"), d)?,
            output: square("attn_out")?,
            scale: maybe_vector(gguf, &name("ls1.weight"), d)?,
            ffn_norm: Norm::of(gguf, &name("ln2"), d)?,
            gate: match has("ffn_gate") {
                true => Some(projection(gguf, &name("ffn_gate"), d_ffn, 0..d_ffn, d)?),
                false => None,
            },
            up,
            down: projection(gguf, &name(down), d, 0..d, d_ffn)?,
            ffn_scale: maybe_vector(gguf, &name("ls2.weight"), d)?,
        })
    }

    fn projections_mut(&mut self) -> impl Iterator<Item = &mut Projection> {
        let Layer { q, k, v, output, gate, up, down, .. } = self;
        [q, k, v, output, up, down].into_iter().chain(gate)
    }
}

impl ProjectorWeights {
    fn of(gguf: &Gguf, shape: &VisionShape) -> Result<ProjectorWeights, LlmError> {
        let (d, square) = (shape.d_model, shape.d_model * shape.merge * shape.merge);
        let network =
            |norm: Option<Norm>, up: &str, down: &str, columns: usize| -> Result<ProjectorWeights, LlmError> {
                let up = wide(gguf, up, columns)?;
                let down = match gguf.tensor(&format!("{down}.weight")) {
                    None => None,
                    Some(_) => Some(wide(gguf, down, up.weight.rows())?),
                };
                Ok(ProjectorWeights::Network { norm, up, down })
            };
        let whole = |projector: ProjectorWeights| match &projector {
            ProjectorWeights::Network { down: None, .. } => Err(bad(gguf, "mm.2.weight", "is missing".to_owned())),
            _ => Ok(projector),
        };
        match shape.projector {
            Projector::Idefics3 => Ok(ProjectorWeights::Matrix(wide(gguf, "mm.model.fc", square)?)),
            Projector::Gemma3 => {
                let name = "mm.input_projection.weight";
                let d_text = match gguf.tensor(name) {
                    None => return Err(bad(gguf, name, "is missing".to_owned())),
                    Some(tensor) => tensor.dims.first().copied().unwrap_or(0),
                };
                let numbers = floats(gguf, name, &[d_text, d])?;
                let row = |row: usize| (0..d).map(move |column| column * d_text + row);
                let matrix = (0..d_text).flat_map(row).flat_map(|at| numbers[at].to_le_bytes()).collect();
                let norm = Norm::of(gguf, "mm.soft_emb_norm", d)?;
                Ok(ProjectorWeights::Mean { norm, matrix })
            }
            Projector::Llava => match gguf.tensor("mm.3.weight") {
                Some(_) => Err(bad(gguf, "mm.3.weight", "the projector of Yi-VL is not supported".to_owned())),
                None => network(None, "mm.0", "mm.2", d),
            },
            Projector::InternVl => {
                let norm = Norm::of(gguf, "mm.model.mlp.0", square)?;
                whole(network(Some(norm), "mm.model.mlp.1", "mm.model.mlp.3", square)?)
            }
            Projector::Qwen2Vl | Projector::Qwen25Vl => whole(network(None, "mm.0", "mm.2", square)?),
            Projector::Lfm2 => {
                let norm = Norm::maybe(gguf, "mm.input_norm", square)?;
                whole(network(norm, "mm.1", "mm.2", square)?)
            }
        }
    }

    fn d_text(&self, shape: &VisionShape) -> usize {
        match self {
            ProjectorWeights::Matrix(matrix) => matrix.weight.rows(),
            ProjectorWeights::Mean { matrix, .. } => matrix.len() / 4 / shape.d_model,
            ProjectorWeights::Network { up, down, .. } => down.as_ref().unwrap_or(up).weight.rows(),
        }
    }

    fn projections_mut(&mut self) -> impl Iterator<Item = &mut Projection> {
        match self {
            ProjectorWeights::Matrix(matrix) => [Some(matrix), None],
            ProjectorWeights::Mean { .. } => [None, None],
            ProjectorWeights::Network { up, down, .. } => [Some(up), down.as_mut()],
        }
        .into_iter()
        .flatten()
    }
}

impl VisionWeights {
    /// Finds and checks every tensor that the shape needs.
    pub(crate) fn of(gguf: &Gguf, shape: &VisionShape) -> Result<VisionWeights, LlmError> {
        let (d, p) = (shape.d_model, shape.patch_size);
        let mut patch = vec![convolution(gguf, "v.patch_embd.weight", d, p)?];
        if shape.projector.is_qwen() {
            patch.push(convolution(gguf, "v.patch_embd.weight.1", d, p)?);
        }
        let class = maybe_vector(gguf, "v.class_embd", d)?;
        let side = shape.image_size / p;
        let places = side * side + usize::from(class.is_some());
        let positions = match shape.projector {
            Projector::Qwen2Vl | Projector::Qwen25Vl => None,
            Projector::Lfm2 => {
                // A square of another size than the picture's, which is stretched over it.
                let name = "v.position_embd.weight";
                let n = gguf.tensor(name).and_then(|tensor| tensor.dims.get(1).copied()).unwrap_or(0);
                if n == 0 || n.isqrt().pow(2) != n {
                    return Err(bad(gguf, name, format!("expected a square of positions, found {n}")));
                }
                Some(floats(gguf, name, &[d, n])?)
            }
            _ => Some(floats(gguf, "v.position_embd.weight", &[d, places])?),
        };
        if class.is_some() && !matches!(shape.projector, Projector::Llava | Projector::InternVl) {
            return Err(bad(gguf, "v.class_embd", "is not supported with this projector".to_owned()));
        }
        // LLaVA's embeddings come from before the last block.
        let layers = shape.layers - usize::from(shape.projector == Projector::Llava);
        let projector = ProjectorWeights::of(gguf, shape)?;
        Ok(VisionWeights {
            patch,
            patch_bias: maybe_vector(gguf, "v.patch_embd.bias", d)?,
            class,
            positions,
            pre_norm: Norm::maybe(gguf, "v.pre_ln", d)?,
            layers: (0..layers).map(|index| Layer::of(gguf, shape, index)).collect::<Result<_, _>>()?,
            post_norm: Norm::maybe(gguf, "v.post_ln", d)?,
            d_text: projector.d_text(shape),
            projector,
        })
    }

    /// All that is multiplied.
    pub(crate) fn multiplied_mut(&mut self) -> Vec<&mut Weight> {
        let layers = self.layers.iter_mut().flat_map(Layer::projections_mut);
        layers.chain(self.projector.projections_mut()).map(|it| &mut it.weight).chain(&mut self.patch).collect()
    }
}

/// The convolution over patches as a matrix over their numbers.
fn convolution(gguf: &Gguf, name: &str, d: usize, p: usize) -> Result<Weight, LlmError> {
    crate::tensors::folded(gguf, name, &[p, p, 3], d).or_else(|error| match gguf.tensor(name) {
        // Some files have it as a matrix already.
        Some(tensor) if tensor.dims == [3 * p * p, d] => matrix(gguf, name, d, 0..d, 3 * p * p),
        _ => Err(error),
    })
}

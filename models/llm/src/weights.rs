//! The weights of a model: every matrix as a checked view of the mapped file, every vector as floats. Matrices that the kernels
//! want in strips of rows are copied out of the file so, once, and are then no longer touched there: there is one copy of
//! them in memory.

use std::ops::Range;
use std::sync::Arc;

use half::{bf16, f16};
use memmap2::{Mmap, MmapMut};
use nearfield_kernels::{Format, Level, Matrix, Pool, STRIP_ROWS, strip_bytes, to_strips};

use super::LlmError;
use super::architecture::{Architecture, Normalisation, Shape};
use nearfield_gguf::{Gguf, TensorInfo};

/// All weights, in the order of use.
#[derive(Debug)]
pub(crate) struct Weights {
    pub token_embedding: Weight, // [n_vocab, d_model] token_embd.weight
    pub layers: Vec<Layer>,
    pub output_norm: Norm, // [d_model] output_norm
    /// `[n_vocab, d_model]` output.weight; `None` where the embedding serves both ways.
    pub output: Option<Weight>,
    pub output_bias: Option<Vec<f32>>, // [n_vocab] output.bias
}

/// One transformer block. n_q = n_heads * head_dim, n_kv = n_kv_heads * head_dim. Biases are there where the file has them.
#[derive(Debug)]
pub(crate) struct Layer {
    pub attention_norm: Norm,              // [d_model] attn_norm
    pub q: Projection,                     // [n_q, d_model] attn_q, or the first rows of attn_qkv
    pub k: Projection,                     // [n_kv, d_model] attn_k, or the next rows of attn_qkv
    pub v: Projection,                     // [n_kv, d_model] attn_v, or the last rows of attn_qkv
    pub q_norm: Option<Vec<f32>>,          // [head_dim] attn_q_norm.weight
    pub k_norm: Option<Vec<f32>>,          // [head_dim] attn_k_norm.weight
    pub attention_output: Projection,      // [d_model, n_q] attn_output
    pub post_attention_norm: Option<Norm>, // [d_model] post_attention_norm
    /// `[d_model]` ffn_norm; `None` where both halves of a block read the same normalised rows.
    pub ffn_norm: Option<Norm>,
    pub gate: Option<Projection>, // [d_ffn, d_model] ffn_gate, or the first rows of ffn_up
    pub up: Projection,           // [d_ffn, d_model] ffn_up, or its last rows
    pub down: Projection,         // [d_model, d_ffn] ffn_down
    pub post_ffn_norm: Option<Norm>, // [d_model] post_ffw_norm
}

/// What rows are normalised with.
#[derive(Debug)]
pub(crate) struct Norm {
    pub weight: Vec<f32>,
    pub bias: Option<Vec<f32>>,
}

/// A matrix, and what is added to its product.
#[derive(Debug)]
pub(crate) struct Projection {
    pub weight: Weight,         // [rows, columns]
    pub bias: Option<Vec<f32>>, // [rows]
}

/// One matrix.
#[derive(Debug)]
pub(crate) struct Weight {
    format: Format,
    rows: usize,
    columns: usize,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// In the mapped file.
    File(Range<usize>),
    /// In strips of rows, in memory that all matrices so laid out share.
    Strips(Arc<Mmap>, Range<usize>),
}

/// Bytes read from the file at a time while matrices are laid out.
const READ_BYTES: usize = 1 << 20;
/// From this size on, memory is asked for in large pages, which are quicker to walk through.
#[cfg(target_os = "linux")]
const LARGE_BYTES: usize = 64 << 20;

impl Weights {
    /// Finds and checks every tensor that the shape needs.
    pub(crate) fn of(gguf: &Gguf, shape: &Shape) -> Result<Weights, LlmError> {
        let (d, n_q, n_kv) = (shape.d_model, shape.n_heads * shape.head_dim, shape.n_kv_heads * shape.head_dim);
        let norm = |name: String, len: usize| -> Result<Norm, LlmError> {
            let bias = match shape.normalisation {
                Normalisation::Layer => Some(vector(gguf, &format!("{name}.bias"), len)?),
                Normalisation::RootMeanSquare => None,
            };
            Ok(Norm { weight: vector(gguf, &format!("{name}.weight"), len)?, bias })
        };
        let mut layers = Vec::new();
        for index in 0..shape.n_layers {
            let name = |name: &str| format!("blk.{index}.{name}");
            let has = |which: &str| gguf.tensor(&name(&format!("{which}.weight"))).is_some();
            let whole = |which: &str, rows, columns| projection(gguf, &name(which), rows, 0..rows, columns);
            let head_norm = |which: &str| match shape.architecture {
                Architecture::Qwen3 | Architecture::Gemma3 => vector(gguf, &name(which), shape.head_dim).map(Some),
                _ => Ok(None),
            };
            let attention_norm = norm(name("attn_norm"), d)?;
            let (q, k, v) = if has("attn_qkv") {
                let of = |rows| projection(gguf, &name("attn_qkv"), n_q + 2 * n_kv, rows, d);
                (of(0..n_q)?, of(n_q..n_q + n_kv)?, of(n_q + n_kv..n_q + 2 * n_kv)?)
            } else {
                (whole("attn_q", n_q, d)?, whole("attn_k", n_kv, d)?, whole("attn_v", n_kv, d)?)
            };
            let n = shape.d_ffn;
            let (gate, up) = match shape.architecture {
                Architecture::Phi2 => (None, whole("ffn_up", n, d)?),
                Architecture::Phi3 if !has("ffn_gate") => {
                    let of = |rows| projection(gguf, &name("ffn_up"), 2 * n, rows, d);
                    (Some(of(0..n)?), of(n..2 * n)?)
                }
                _ => (Some(whole("ffn_gate", n, d)?), whole("ffn_up", n, d)?),
            };
            let (ffn_norm, post_attention_norm, post_ffn_norm) = match shape.architecture {
                Architecture::Phi2 => (None, None, None),
                Architecture::Gemma3 => (
                    Some(norm(name("ffn_norm"), d)?),
                    Some(norm(name("post_attention_norm"), d)?),
                    Some(norm(name("post_ffw_norm"), d)?),
                ),
                _ => (Some(norm(name("ffn_norm"), d)?), None, None),
            };
            layers.push(Layer {
                attention_norm,
                q,
                k,
                v,
                q_norm: head_norm("attn_q_norm.weight")?,
                k_norm: head_norm("attn_k_norm.weight")?,
                attention_output: whole("attn_output", d, n_q)?,
                post_attention_norm,
                ffn_norm,
                gate,
                up,
                down: whole("ffn_down", d, n)?,
                post_ffn_norm,
            });
        }
        let optional = |name: &str| gguf.tensor(name).is_some();
        Ok(Weights {
            token_embedding: matrix(gguf, "token_embd.weight", shape.n_vocab, 0..shape.n_vocab, d)?,
            layers,
            output_norm: norm("output_norm".to_owned(), d)?,
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

    /// Copies the matrices that this level multiplies faster in strips into memory, unless they would take most of what the
    /// machine has left: then they stay mapped, where the system may drop and read them again at need.
    ///
    /// # Errors
    /// The file cannot be read, or the system gives no memory.
    pub(crate) fn lay_out(&mut self, gguf: &Gguf, level: Level, pool: &Pool) -> Result<(), LlmError> {
        let mut all: Vec<&mut Weight> = Vec::new();
        for l in &mut self.layers {
            let projections = [&mut l.q, &mut l.k, &mut l.v, &mut l.attention_output, &mut l.up, &mut l.down];
            all.extend(projections.into_iter().chain(&mut l.gate).map(|projection| &mut projection.weight));
        }
        // An embedding that only looks up rows stays in the file.
        all.push(self.output.as_mut().unwrap_or(&mut self.token_embedding));
        all.retain(|weight| level.prefers_strips(weight.format) && matches!(weight.place, Place::File(_)));
        let sizes: Option<Vec<usize>> =
            all.iter().map(|weight| strip_bytes(weight.format, weight.rows, weight.columns)).collect();
        let sizes = sizes.unwrap_or_default(); // `matrix` has seen to it that blocks are whole
        let total: usize = sizes.iter().map(|size| size.next_multiple_of(64)).sum();
        if total == 0
            || nearfield_base::memory::of_system("MemAvailable").is_some_and(|available| total > available / 5 * 4)
        {
            return Ok(());
        }
        let no_memory = |source| LlmError::Memory { path: gguf.path().to_owned(), bytes: total, cause: source };
        let mut map = memory(total).map_err(no_memory)?;
        let widest = all.iter().map(|weight| weight.bytes() / weight.rows.max(1)).max().unwrap_or(0);
        // Memory of its own, which the system gets back at once.
        let mut buffer = MmapMut::map_anon(READ_BYTES + STRIP_ROWS * widest).map_err(no_memory)?;
        let (mut places, mut at) = (Vec::with_capacity(all.len()), 0);
        for (weight, size) in all.iter().zip(&sizes) {
            let Place::File(range) = &weight.place else { continue };
            let row_bytes = range.len() / weight.rows.max(1);
            let rows_each = (READ_BYTES / row_bytes.max(1)).max(1).next_multiple_of(STRIP_ROWS);
            let mut to = at;
            for first in (0..weight.rows).step_by(rows_each) {
                let count = rows_each.min(weight.rows - first);
                let rows = &mut buffer[..count * row_bytes];
                gguf.read(range.start + first * row_bytes, rows)?;
                let part = Matrix::new(weight.format, rows, count, weight.columns).expect("checked when it was found");
                let bytes = strip_bytes(weight.format, count, weight.columns).unwrap_or(0);
                to_strips(pool, &part, &mut map[to..to + bytes]);
                to += bytes;
            }
            places.push(at..at + size);
            at += size.next_multiple_of(64);
        }
        let map = Arc::new(map.make_read_only().map_err(no_memory)?);
        for (weight, range) in all.into_iter().zip(places) {
            weight.place = Place::Strips(map.clone(), range);
        }
        Ok(())
    }

    /// The matrix that turns a state into logits.
    pub(crate) fn output(&self) -> &Weight {
        self.output.as_ref().unwrap_or(&self.token_embedding)
    }

    /// Bytes read for each token that is written: every matrix but the embedding, of which one row is read.
    pub(crate) fn bytes_per_token(&self) -> usize {
        let layers = self.layers.iter().flat_map(|l| {
            [Some(&l.q), Some(&l.k), Some(&l.v), Some(&l.attention_output), l.gate.as_ref(), Some(&l.up), Some(&l.down)]
        });
        layers.flatten().map(|projection| &projection.weight).chain([self.output()]).map(Weight::bytes).sum()
    }
}

impl Weight {
    /// The matrix, in the file that it was found in.
    pub(crate) fn matrix<'a>(&'a self, gguf: &'a Gguf) -> Matrix<'a> {
        let bytes = match &self.place {
            Place::File(range) => &gguf.bytes()[range.clone()],
            Place::Strips(map, range) => {
                let matrix = Matrix::of_strips(self.format, &map[range.clone()], self.rows, self.columns);
                return matrix.expect("checked when it was laid out");
            }
        };
        Matrix::new(self.format, bytes, self.rows, self.columns).expect("checked when it was found")
    }

    fn bytes(&self) -> usize {
        self.format.row_bytes(self.columns).unwrap_or(0) * self.rows
    }
}

/// Memory for weights: whole pages, large ones where that pays and the system has them.
pub(crate) fn memory(bytes: usize) -> std::io::Result<MmapMut> {
    let map = MmapMut::map_anon(bytes)?;
    #[cfg(target_os = "linux")]
    if bytes >= LARGE_BYTES {
        // A wish; a system without large pages goes on with small ones.
        map.advise(memmap2::Advice::HugePage).ok();
    }
    Ok(map)
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
    Ok(Projection { weight: matrix(gguf, &format!("{name}.weight"), rows, part, columns)?, bias })
}

/// The rows `part` of a matrix of `rows` rows.
fn matrix(gguf: &Gguf, name: &str, rows: usize, part: Range<usize>, columns: usize) -> Result<Weight, LlmError> {
    let tensor = find(gguf, name, &[columns, rows])?;
    let Some(format) = Format::named(tensor.kind.name) else {
        let known: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
        let what = format!("the type {} is not supported; supported are {}", tensor.kind.name, known.join(", "));
        return Err(bad(gguf, name, what));
    };
    let row_bytes = tensor.range.len() / rows;
    let range = tensor.range.start + part.start * row_bytes..tensor.range.start + part.end * row_bytes;
    Ok(Weight { format, rows: part.len(), columns, place: Place::File(range) })
}

fn vector(gguf: &Gguf, name: &str, len: usize) -> Result<Vec<f32>, LlmError> {
    let tensor = find(gguf, name, &[len])?;
    let mut bytes = vec![0; tensor.range.len()];
    gguf.read(tensor.range.start, &mut bytes)?;
    Ok(match tensor.kind.name {
        "F32" => bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        "F16" => bytes.as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        "BF16" => bytes.as_chunks::<2>().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
        other => return Err(bad(gguf, name, format!("expected floats, found {other}"))),
    })
}

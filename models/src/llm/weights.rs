//! The weights of a model: every matrix as a checked view of the mapped file, every vector as floats. A matrix whose type has
//! no kernel is converted once, row by row, to half floats.

use std::ops::Range;

use candle_core::quantized::{GgmlDType, ggml_file::qtensor_from_ggml};
use candle_core::{DType, Device};
use half::{bf16, f16};
use nearfield_kernels::{Format, Matrix};

use super::LlmError;
use super::architecture::{Architecture, Shape};
use super::gguf::{Gguf, TensorInfo};

/// All weights, in the order of use.
#[derive(Debug)]
pub(crate) struct Weights {
    pub token_embedding: Weight, // [n_vocab, d_model] token_embd.weight
    pub layers: Vec<Layer>,
    pub output_norm: Vec<f32>, // [d_model] output_norm.weight
    /// `[n_vocab, d_model]` output.weight; `None` where the embedding serves both ways.
    pub output: Option<Weight>,
}

/// One transformer block. n_q = n_heads * head_dim, n_kv = n_kv_heads * head_dim.
#[derive(Debug)]
pub(crate) struct Layer {
    pub attention_norm: Vec<f32>, // [d_model] attn_norm.weight
    pub q: Weight,                // [n_q, d_model] attn_q.weight
    pub k: Weight,                // [n_kv, d_model] attn_k.weight
    pub v: Weight,                // [n_kv, d_model] attn_v.weight
    pub q_bias: Option<Vec<f32>>, // [n_q] attn_q.bias
    pub k_bias: Option<Vec<f32>>, // [n_kv] attn_k.bias
    pub v_bias: Option<Vec<f32>>, // [n_kv] attn_v.bias
    pub q_norm: Option<Vec<f32>>, // [head_dim] attn_q_norm.weight
    pub k_norm: Option<Vec<f32>>, // [head_dim] attn_k_norm.weight
    pub attention_output: Weight, // [d_model, n_q] attn_output.weight
    pub ffn_norm: Vec<f32>,       // [d_model] ffn_norm.weight
    pub gate: Weight,             // [d_ffn, d_model] ffn_gate.weight
    pub up: Weight,               // [d_ffn, d_model] ffn_up.weight
    pub down: Weight,             // [d_model, d_ffn] ffn_down.weight
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
    /// Converted.
    Memory(Box<[u8]>),
}

impl Weights {
    /// Finds and checks every tensor that the shape needs.
    pub(crate) fn of(gguf: &Gguf, shape: &Shape) -> Result<Weights, LlmError> {
        let (d, n_q, n_kv) = (shape.d_model, shape.n_heads * shape.head_dim, shape.n_kv_heads * shape.head_dim);
        let mut layers = Vec::new();
        for index in 0..shape.n_layers {
            let matrix = |name: &str, rows, columns| matrix(gguf, &format!("blk.{index}.{name}.weight"), rows, columns);
            let vector = |name: &str, len| vector(gguf, &format!("blk.{index}.{name}"), len);
            let optional = |name: &str, len| match gguf.tensor(&format!("blk.{index}.{name}")) {
                Some(_) => vector(name, len).map(Some),
                None => Ok(None),
            };
            let of_qwen3 = |name: &str| match shape.architecture {
                Architecture::Qwen3 => vector(name, shape.head_dim).map(Some),
                _ => Ok(None),
            };
            layers.push(Layer {
                attention_norm: vector("attn_norm.weight", d)?,
                q: matrix("attn_q", n_q, d)?,
                k: matrix("attn_k", n_kv, d)?,
                v: matrix("attn_v", n_kv, d)?,
                q_bias: optional("attn_q.bias", n_q)?,
                k_bias: optional("attn_k.bias", n_kv)?,
                v_bias: optional("attn_v.bias", n_kv)?,
                q_norm: of_qwen3("attn_q_norm.weight")?,
                k_norm: of_qwen3("attn_k_norm.weight")?,
                attention_output: matrix("attn_output", d, n_q)?,
                ffn_norm: vector("ffn_norm.weight", d)?,
                gate: matrix("ffn_gate", shape.d_ffn, d)?,
                up: matrix("ffn_up", shape.d_ffn, d)?,
                down: matrix("ffn_down", d, shape.d_ffn)?,
            });
        }
        Ok(Weights {
            token_embedding: matrix(gguf, "token_embd.weight", shape.n_vocab, d)?,
            layers,
            output_norm: vector(gguf, "output_norm.weight", d)?,
            output: match gguf.tensor("output.weight") {
                Some(_) => Some(matrix(gguf, "output.weight", shape.n_vocab, d)?),
                None => None,
            },
        })
    }

    /// The matrix that turns a state into logits.
    pub(crate) fn output(&self) -> &Weight {
        self.output.as_ref().unwrap_or(&self.token_embedding)
    }

    /// Bytes read for each token that is written: every matrix but the embedding, of which one row is read.
    pub(crate) fn bytes_per_token(&self) -> usize {
        let layers = self.layers.iter().flat_map(|l| [&l.q, &l.k, &l.v, &l.attention_output, &l.gate, &l.up, &l.down]);
        layers.chain([self.output()]).map(Weight::bytes).sum()
    }
}

impl Weight {
    /// The matrix, in the file that it was found in.
    pub(crate) fn matrix<'a>(&'a self, gguf: &'a Gguf) -> Matrix<'a> {
        let bytes = match &self.place {
            Place::File(range) => &gguf.bytes()[range.clone()],
            Place::Memory(bytes) => bytes,
        };
        Matrix::new(self.format, bytes, self.rows, self.columns).expect("checked when it was found")
    }

    fn bytes(&self) -> usize {
        self.format.row_bytes(self.columns).unwrap_or(0) * self.rows
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

fn matrix(gguf: &Gguf, name: &str, rows: usize, columns: usize) -> Result<Weight, LlmError> {
    let tensor = find(gguf, name, &[columns, rows])?;
    let format = match tensor.kind.name {
        "F32" => Format::F32,
        "F16" => Format::F16,
        "BF16" => Format::Bf16,
        "Q8_0" => Format::Q8_0,
        "Q4_0" => Format::Q4_0,
        "Q5_0" => Format::Q5_0,
        "Q4_K" => Format::Q4K,
        "Q5_K" => Format::Q5K,
        "Q6_K" => Format::Q6K,
        _ => {
            let mut halves = Vec::with_capacity(2 * rows * columns);
            for row in 0..rows {
                for weight in read_row(gguf, name, tensor, row, columns)? {
                    halves.extend(f16::from_f32(weight).to_le_bytes());
                }
            }
            return Ok(Weight { format: Format::F16, rows, columns, place: Place::Memory(halves.into()) });
        }
    };
    Ok(Weight { format, rows, columns, place: Place::File(tensor.range.clone()) })
}

fn vector(gguf: &Gguf, name: &str, len: usize) -> Result<Vec<f32>, LlmError> {
    let tensor = find(gguf, name, &[len])?;
    let bytes = &gguf.bytes()[tensor.range.clone()];
    Ok(match tensor.kind.name {
        "F32" => bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        "F16" => bytes.as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        "BF16" => bytes.as_chunks::<2>().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
        other => return Err(bad(gguf, name, format!("expected floats, found {other}"))),
    })
}

/// One row of a type that has no kernel, as floats.
fn read_row(gguf: &Gguf, name: &str, tensor: &TensorInfo, row: usize, columns: usize) -> Result<Vec<f32>, LlmError> {
    let kind = match tensor.kind.name {
        "Q4_1" => GgmlDType::Q4_1,
        "Q5_1" => GgmlDType::Q5_1,
        "Q2_K" => GgmlDType::Q2K,
        "Q3_K" => GgmlDType::Q3K,
        other => {
            return Err(bad(gguf, name, format!("the type {other} is not supported")));
        }
    };
    let bytes = tensor.kind.bytes(columns).ok_or_else(|| bad(gguf, name, "rows do not fill blocks".to_owned()))?;
    let start = tensor.range.start + row * bytes;
    // A copy, as the rows of the file are not aligned for candle's blocks.
    let copy = gguf.bytes()[start..start + bytes].to_vec();
    qtensor_from_ggml(kind, &copy, vec![columns], &Device::Cpu)
        .and_then(|row| row.dequantize(&Device::Cpu)?.to_dtype(DType::F32)?.to_vec1::<f32>())
        .map_err(|error| bad(gguf, name, error.to_string()))
}

//! Tensors of a file, found by name, held to their shapes and read: matrices as views, vectors as floats.

use std::ops::Range;

use half::{bf16, f16};
use nearfield_kernels::Format;

use super::LlmError;
use super::architecture::Shape;
use super::family::Normalisation;
use super::layout::{Place, Weight};
use super::observe::MatrixSource;
use super::weights::{Norm, Projection};
use nearfield_gguf::{Gguf, TensorInfo};

pub(super) fn bad(gguf: &Gguf, name: &str, what: String) -> LlmError {
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

/// A norm of the family's kind. `name` is without `.weight`.
pub(super) fn norm(gguf: &Gguf, shape: &Shape, name: &str, len: usize) -> Result<Norm, LlmError> {
    let bias = || vector(gguf, &format!("{name}.bias"), len);
    let (centred, bias) = match shape.family.normalisation {
        Normalisation::RootMeanSquare => (false, None),
        Normalisation::RootMeanSquareAndBias => (false, Some(bias()?)),
        Normalisation::LayerMaybeBias if gguf.tensor(&format!("{name}.bias")).is_none() => (true, Some(vec![0.0; len])),
        Normalisation::Layer | Normalisation::LayerMaybeBias => (true, Some(bias()?)),
    };
    Ok(Norm { weight: vector(gguf, &format!("{name}.weight"), len)?, bias, centred })
}

/// The rows `part` of a matrix of `rows` rows, with its bias if there is one. `name` is without `.weight`.
pub(super) fn projection(
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
    let scale = format!("{name}.scale");
    let scale = match gguf.tensor(&scale) {
        Some(_) => Some(vector(gguf, &scale, 1)?[0]),
        None => None,
    };
    Ok(Projection { weight: matrix(gguf, &format!("{name}.weight"), rows, part, columns)?, scale, bias })
}

/// The rows `part` of a matrix of `rows` rows.
pub(super) fn matrix(
    gguf: &Gguf,
    name: &str,
    rows: usize,
    part: Range<usize>,
    columns: usize,
) -> Result<Weight, LlmError> {
    let tensor = find(gguf, name, &[columns, rows])?;
    let source = (part.start == 0).then(|| MatrixSource { tensor: name.into(), part: (0, 1), columns });
    let weight = of_tensor(gguf, name, tensor, rows, part, columns)?;
    Ok(Weight { source, ..weight })
}

/// A matrix whose rows are the tensor's first dimensions: `[rows, product of columns]`.
pub(super) fn folded(gguf: &Gguf, name: &str, columns: &[usize], rows: usize) -> Result<Weight, LlmError> {
    let tensor = find(gguf, name, &[columns, &[rows]].concat())?;
    if !matches!(tensor.kind.name, "F32" | "F16" | "BF16") {
        return Err(bad(gguf, name, format!("expected floats, found {}", tensor.kind.name)));
    }
    of_tensor(gguf, name, tensor, rows, 0..rows, columns.iter().product())
}

/// A matrix of a tensor that has been found, counting the rows of all its matrices.
fn of_tensor(
    gguf: &Gguf,
    name: &str,
    tensor: &TensorInfo,
    rows: usize,
    part: Range<usize>,
    columns: usize,
) -> Result<Weight, LlmError> {
    let Some(format) = Format::named(tensor.kind.name) else {
        let known: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
        let what = format!("the type {} is not supported; supported are {}", tensor.kind.name, known.join(", "));
        return Err(bad(gguf, name, what));
    };
    let row_bytes = tensor.range.len() / rows;
    let range = tensor.range.start + part.start * row_bytes..tensor.range.start + part.end * row_bytes;
    Ok(Weight { format, rows: part.len(), columns, place: Place::File(range), source: None })
}

/// One of `n` matrices that share a tensor, with its row of their biases. `name` is without `.weight`.
pub(super) fn expert_projection(
    gguf: &Gguf,
    name: &str,
    n: usize,
    index: usize,
    rows: usize,
    columns: usize,
) -> Result<Projection, LlmError> {
    let (matrices, bias) = (format!("{name}.weight"), format!("{name}.bias"));
    let tensor = find(gguf, &matrices, &[columns, rows, n])?;
    let weight = of_tensor(gguf, &matrices, tensor, n * rows, index * rows..(index + 1) * rows, columns)?;
    let source = MatrixSource { tensor: matrices.as_str().into(), part: (index, n), columns };
    let weight = Weight { source: Some(source), ..weight };
    let bias = match gguf.tensor(&bias) {
        Some(_) => Some(floats(gguf, &bias, &[rows, n])?[index * rows..][..rows].to_vec()),
        None => None,
    };
    Ok(Projection { weight, scale: None, bias })
}

pub(super) fn vector(gguf: &Gguf, name: &str, len: usize) -> Result<Vec<f32>, LlmError> {
    floats(gguf, name, &[len])
}

/// A small tensor as floats.
pub(super) fn floats(gguf: &Gguf, name: &str, dims: &[usize]) -> Result<Vec<f32>, LlmError> {
    let tensor = find(gguf, name, dims)?;
    let mut bytes = vec![0; tensor.range.len()];
    gguf.read(tensor.range.start, &mut bytes)?;
    Ok(match tensor.kind.name {
        "F32" => bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        "F16" => bytes.as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        "BF16" => bytes.as_chunks::<2>().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
        other => return Err(bad(gguf, name, format!("expected floats, found {other}"))),
    })
}

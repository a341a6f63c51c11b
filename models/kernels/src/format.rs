//! How a matrix of weights lies in memory: the block formats of GGML that have kernels here, and a checked view of one matrix.

use std::fmt;

use crate::strips::{STRIP_ROWS, strip_bytes};

/// A storage format with kernels. The layouts are those of the GGUF specification's tensor types of the same names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// 32-bit floats.
    F32,
    /// IEEE half floats.
    F16,
    /// Brain floats: the upper half of a 32-bit float.
    Bf16,
    /// 32 weights: an f16 scale and 32 signed bytes.
    Q8_0,
    /// 32 weights: an f16 scale and 32 nibbles, `w = d (q - 8)`.
    Q4_0,
    /// 32 weights: an f16 scale, a word of fifth bits and 32 nibbles, `w = d (q - 16)`.
    Q5_0,
    /// 256 weights: f16 scale and minimum, eight 6-bit pairs of them, nibbles, `w = d s q - m t`.
    Q4K,
    /// 256 weights: as `Q4K` with a fifth bit each.
    Q5K,
    /// 256 weights: 6-bit values, sixteen 8-bit scales, an f16 scale, `w = d s (q - 32)`.
    Q6K,
}

impl Format {
    /// Weights in one block.
    pub const fn block_weights(self) -> usize {
        match self {
            Format::F32 | Format::F16 | Format::Bf16 => 1,
            Format::Q8_0 | Format::Q4_0 | Format::Q5_0 => 32,
            Format::Q4K | Format::Q5K | Format::Q6K => 256,
        }
    }

    /// Bytes in one block.
    pub const fn block_bytes(self) -> usize {
        match self {
            Format::F32 => 4,
            Format::F16 | Format::Bf16 => 2,
            Format::Q8_0 => 2 + 32,
            Format::Q4_0 => 2 + 16,
            Format::Q5_0 => 2 + 4 + 16,
            Format::Q4K => 2 + 2 + 12 + 128,
            Format::Q5K => 2 + 2 + 12 + 32 + 128,
            Format::Q6K => 128 + 64 + 16 + 2,
        }
    }

    /// True where products run on 8-bit activations.
    pub const fn is_quantized(self) -> bool {
        self.block_weights() > 1
    }

    /// Bytes of a row of `columns` weights; `None` when they do not fill whole blocks or do not fit an address.
    pub const fn row_bytes(self, columns: usize) -> Option<usize> {
        if !columns.is_multiple_of(self.block_weights()) {
            return None;
        }
        (columns / self.block_weights()).checked_mul(self.block_bytes())
    }

    /// The name as GGUF tools print it.
    pub const fn name(self) -> &'static str {
        match self {
            Format::F32 => "F32",
            Format::F16 => "F16",
            Format::Bf16 => "BF16",
            Format::Q8_0 => "Q8_0",
            Format::Q4_0 => "Q4_0",
            Format::Q5_0 => "Q5_0",
            Format::Q4K => "Q4_K",
            Format::Q5K => "Q5_K",
            Format::Q6K => "Q6_K",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A matrix of weights in one of the formats, row by row as in a file or in strips of rows; its length is checked when it is
/// made, so kernels need not.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    pub(crate) format: Format,
    pub(crate) bytes: &'a [u8], // [rows, row_bytes], or strips
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_bytes: usize, // of the file's layout
    pub(crate) in_strips: bool,
}

/// Bytes that cannot be a matrix of the stated shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatrixError {
    /// The columns do not fill whole blocks.
    Columns {
        /// The format asked for.
        format: Format,
        /// The columns asked for.
        columns: usize,
    },
    /// The bytes are more or fewer than the shape needs.
    Length {
        /// What the shape needs.
        expected: usize,
        /// What there is.
        found: usize,
    },
}

impl fmt::Display for MatrixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MatrixError::Columns { format, columns } => {
                write!(
                    f,
                    "rows of {columns} weights do not fill the {}-weight blocks of {format}",
                    format.block_weights()
                )
            }
            MatrixError::Length { expected, found } => {
                write!(f, "expected {expected} bytes of weights, found {found}")
            }
        }
    }
}

impl std::error::Error for MatrixError {}

impl<'a> Matrix<'a> {
    /// A view of `bytes` as `rows` rows of `columns` weights.
    ///
    /// # Errors
    /// The columns do not fill whole blocks, or the length is another.
    pub fn new(format: Format, bytes: &'a [u8], rows: usize, columns: usize) -> Result<Matrix<'a>, MatrixError> {
        let row_bytes = format.row_bytes(columns).ok_or(MatrixError::Columns { format, columns })?;
        let expected =
            row_bytes.checked_mul(rows).ok_or(MatrixError::Length { expected: usize::MAX, found: bytes.len() })?;
        if expected != bytes.len() {
            return Err(MatrixError::Length { expected, found: bytes.len() });
        }
        Ok(Matrix { format, bytes, rows, columns, row_bytes, in_strips: false })
    }

    /// A view of `bytes` as `rows` rows of `columns` weights that [`to_strips`](crate::to_strips) has laid out.
    ///
    /// # Errors
    /// The format has no strips, the columns do not fill whole blocks, or the length is another.
    pub fn of_strips(format: Format, bytes: &'a [u8], rows: usize, columns: usize) -> Result<Matrix<'a>, MatrixError> {
        let expected = strip_bytes(format, rows, columns).ok_or(MatrixError::Columns { format, columns })?;
        let row_bytes = format.row_bytes(columns).ok_or(MatrixError::Columns { format, columns })?;
        if expected != bytes.len() {
            return Err(MatrixError::Length { expected, found: bytes.len() });
        }
        Ok(Matrix { format, bytes, rows, columns, row_bytes, in_strips: true })
    }

    /// How many rows (outputs).
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many columns (inputs).
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The storage format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The bytes of one strip.
    pub(crate) fn strip(&self, index: usize) -> &'a [u8] {
        let each = self.bytes.len() / self.rows.div_ceil(STRIP_ROWS);
        &self.bytes[index * each..][..each]
    }

    /// The bytes of one row, where rows stand by themselves.
    pub(crate) fn row(&self, index: usize) -> &'a [u8] {
        &self.bytes[index * self.row_bytes..][..self.row_bytes]
    }

    /// Writes row `index` as floats into `out` (`columns` of them): the look-up of an embedding.
    ///
    /// # Panics
    /// `index` is not a row, or `out` has another length.
    pub fn read_row(&self, index: usize, out: &mut [f32]) {
        assert_eq!(out.len(), self.columns, "one float for each column");
        if self.in_strips {
            let strip = self.strip(index / STRIP_ROWS);
            crate::scalar::dequantize_blocks(out, |b| crate::strips::unpack(self.format, strip, index % STRIP_ROWS, b));
        } else {
            crate::scalar::dequantize(self.format, self.row(index), out);
        }
    }
}

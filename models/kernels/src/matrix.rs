//! A checked view of one matrix of weights: rows as they stand in a file, or strips of interleaved rows.

use std::fmt;

use crate::formats::{Format, STRIP_ROWS, dequantize, dequantize_blocks, read_strip, with_blocks};

/// Columns in a unit of a strip and its bytes; `None` for formats that are not laid out in strips.
const fn unit(format: Format) -> Option<(usize, usize)> {
    match format {
        Format::F32 | Format::F16 | Format::Bf16 => None,
        _ => with_blocks!(format, F => Some((F::WEIGHTS, F::UNIT_BYTES))),
    }
}

/// Bytes of a matrix in strips; `None` where the format has no such layout, or the columns do not fill units.
pub fn strip_bytes(format: Format, rows: usize, columns: usize) -> Option<usize> {
    let (unit_columns, unit_bytes) = unit(format)?;
    if !columns.is_multiple_of(unit_columns) {
        return None;
    }
    (columns / unit_columns).checked_mul(unit_bytes)?.checked_mul(rows.div_ceil(STRIP_ROWS))
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
            with_blocks!(self.format, F => {
                dequantize_blocks(out, |block| read_strip::<F>(strip, index % STRIP_ROWS, block));
            });
        } else {
            dequantize(self.format, self.row(index), out);
        }
    }
}

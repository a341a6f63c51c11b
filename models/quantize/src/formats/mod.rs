//! Rows of floats as blocks of each format. One file for each family of formats.

pub(crate) mod iq4;
pub(crate) mod legacy;
mod mxfp4;
pub(crate) mod q2_k;
pub(crate) mod q3_k;
pub(crate) mod q4_k;
pub(crate) mod q6_k;

use half::{bf16, f16};
use nearfield_kernels::Format;

/// Weights in a block of the K formats.
pub(crate) const SUPER_BLOCK: usize = 256;

/// Writes a row of weights in a format, as llama.cpp writes it. `importance` has a number for each column: how much a squared error there
/// counts. Q8_0, MXFP4 and float formats ignore it.
///
/// `row`: whole blocks, finite numbers. `out`: the bytes of that row.
///
/// # Panics
/// `row` is not whole blocks, or `importance` or `out` has another length than `row` needs.
///
/// ```
/// use nearfield_kernels::Format;
///
/// let row: Vec<f32> = (0..32).map(|i| i as f32 - 16.0).collect();
/// let mut block = [0; 18];
/// nearfield_quantize::quantize_row(Format::Q4_0, &row, None, &mut block);
/// assert_eq!(block[..2], [0x00, 0x40]); // the scale, 2.0 as f16
/// ```
pub fn quantize_row(format: Format, row: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    assert_eq!(Some(out.len()), format.row_bytes(row.len()), "the bytes of a row of whole blocks");
    assert!(importance.is_none_or(|importance| importance.len() == row.len()), "a number for each column");
    match format {
        Format::F32 => out.as_chunks_mut().0.iter_mut().zip(row).for_each(|(out, x)| *out = x.to_le_bytes()),
        Format::F16 => {
            out.as_chunks_mut().0.iter_mut().zip(row).for_each(|(out, x)| *out = f16::from_f32(*x).to_le_bytes());
        }
        Format::Bf16 => {
            out.as_chunks_mut().0.iter_mut().zip(row).for_each(|(out, x)| *out = bf16::from_f32(*x).to_le_bytes());
        }
        Format::Q4_0 => legacy::zero_centred::<4>(row, importance, out),
        Format::Q5_0 => legacy::zero_centred::<5>(row, importance, out),
        Format::Q4_1 => legacy::with_minimum::<4>(row, importance, out),
        Format::Q5_1 => legacy::with_minimum::<5>(row, importance, out),
        Format::Q8_0 => legacy::q8_0(row, out),
        Format::Q2K => q2_k::q2_k(row, importance, out),
        Format::Q3K => q3_k::q3_k(row, importance, out),
        Format::Q4K => q4_k::q4_k::<4>(row, importance, out),
        Format::Q5K => q4_k::q4_k::<5>(row, importance, out),
        Format::Q6K => q6_k::q6_k(row, importance, out),
        Format::Iq4Nl => iq4::iq4_nl(row, importance, out),
        Format::Iq4Xs => iq4::iq4_xs(row, importance, out),
        Format::Mxfp4 => mxfp4::mxfp4(row, out),
    }
}

/// Whether all f16 numbers of quantized rows are finite: scales of weights beyond 65504 are not.
pub(crate) fn is_finite(format: Format, bytes: &[u8]) -> bool {
    let halves: &[usize] = match format {
        Format::Mxfp4 => return true,
        Format::F32 => return bytes.as_chunks().0.iter().all(|x| f32::from_le_bytes(*x).is_finite()),
        Format::F16 => return bytes.as_chunks().0.iter().all(|x| u16::from_le_bytes(*x) & 0x7c00 != 0x7c00),
        Format::Bf16 => return bytes.as_chunks().0.iter().all(|x| u16::from_le_bytes(*x) & 0x7f80 != 0x7f80),
        Format::Q8_0 | Format::Q4_0 | Format::Q5_0 | Format::Iq4Nl | Format::Iq4Xs => &[0],
        Format::Q4_1 | Format::Q5_1 | Format::Q4K | Format::Q5K => &[0, 2],
        Format::Q2K => &[80, 82],
        Format::Q3K => &[108],
        Format::Q6K => &[208],
    };
    bytes.chunks_exact(format.block_bytes()).all(|block| halves.iter().all(|at| half_value(block, *at).is_finite()))
}

/// An f16 as bytes, to the nearest.
fn half(x: f32) -> [u8; 2] {
    f16::from_f32(x).to_le_bytes()
}

pub(crate) fn put_half(out: &mut [u8], at: usize, x: f32) {
    out[at..at + 2].copy_from_slice(&half(x));
}

pub(crate) fn half_value(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// 256 two-bit integers in 64 bytes: of 128 weights, those that are 32 apart share a byte.
fn put_pairs(integers: &[u8; SUPER_BLOCK], out: &mut [u8]) {
    for (integers, out) in integers.chunks_exact(128).zip(out.chunks_exact_mut(32)) {
        for (i, out) in out.iter_mut().enumerate() {
            *out = integers[i] | integers[i + 32] << 2 | integers[i + 64] << 4 | integers[i + 96] << 6;
        }
    }
}

//! Quantized and float kernels with run-time dispatch, and the compute pool that they run on: the only home of SIMD and,
//! but for one memory map and one foreign callback elsewhere, of `unsafe`.
//!
//! A [`Level`] is the proof that the processor has a set of instructions; it is detected once and handed to every kernel.
//! Each kernel has a scalar twin, which is the definition that the tests hold the others to.
//!
//! Modules import each other in one direction (a test holds them to it). From the bottom:
//!
//! | module | what |
//! |---|---|
//! | `float`, `shared_slice`, `pool`, `level` | arithmetic on single floats; the compute pool; which instructions there are |
//! | `formats` | one file a format: layout in a file and in a strip, how both are read |
//! | `matrix`, `strips` | a checked view of weights; rows interleaved for products with one token |
//! | `activations`, `panel`, `kv_cache` | what kernels work on beside weights |
//! | `isa` | the kernels of each instruction set, and the scalar ones |
//! | `dispatch` | the table: which kernels at which level |
//! | `matmul`, `attention`, `delta`, `vector`, `bandwidth` | what callers use |
//!
//! What is deliberately absent: model structure, files, clocks. The [`Pool`] is the one place in the computing crates that
//! has threads: a matrix product cannot use several cores otherwise, and a caller who wants none asks for one thread.
#![allow(unsafe_code)] // SIMD intrinsics, and disjoint writes of one output by several threads; each block says why it is sound.

mod activations;
mod attention;
mod bandwidth;
mod delta;
mod dispatch;
mod float;
mod formats;
mod isa;
mod kv_cache;
mod level;
mod matmul;
mod matrix;
mod panel;
mod pool;
mod shared_slice;
mod strips;
mod vector;

pub use activations::Activations;
pub use attention::{Attention, attend};
pub use bandwidth::read_bandwidth;
pub use delta::{DeltaRule, delta_rule};
pub use formats::{Format, STRIP_ROWS};
pub use kv_cache::{KvFormat, KvHeads, KvStore};
pub use level::{Level, UnknownLevel};
pub use matmul::{Product, multiply};
pub use matrix::{Matrix, MatrixError, strip_bytes};
pub use panel::FEW_TOKENS;
pub use pool::Pool;
pub use strips::to_strips;
pub use vector::{
    add, clamped_swiglu, geglu, gelu, layer_norm, multiply_add, rms_norm, rotate_halves, rotate_pairs, silu, swiglu,
};

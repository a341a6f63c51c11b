//! Matrix products, attention and vector operations on quantized and float weights, for the instruction set found at run time, and
//! the thread pool that they run on.
//!
//! ```
//! use nearfield_kernels::{Activations, Format, Level, Matrix, Pool, Product, Together, multiply};
//!
//! let weights: Vec<u8> = [1.0f32, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
//! let weights = Matrix::new(Format::F32, &weights, 2, 2)?; // [rows, columns]
//! let (level, pool) = (Level::best(), Pool::new(None));
//! let mut out = [0.0; 2];
//! let mut products = [Product { weights, out: &mut out }];
//! multiply(level, &pool, Together::Fastest, &[10.0, 1.0], &mut Activations::new(), &mut products);
//! assert_eq!(out, [12.0, 34.0]);
//! # Ok::<(), nearfield_kernels::MatrixError>(())
//! ```
//!
//! A [`Level`] is the proof that the processor has a set of instructions; it is detected once and passed to every kernel. Each
//! kernel has a scalar twin, which is its definition: tests compare all others with it.
//!
//! Modules import each other in one direction (a test checks this). From the bottom:
//!
//! | module | content |
//! |---|---|
//! | `float`, `shared_slice`, `pool`, `level` | arithmetic on single floats; the compute pool; instruction sets |
//! | `formats` | one file for each format: its layout in a file and in a strip, and how both are read |
//! | `matrix`, `strips` | a checked view of weights; rows interleaved for products with one token |
//! | `activations`, `panel`, `kv_cache` | the other operands of kernels |
//! | `isa` | the kernels of each instruction set, and the scalar ones |
//! | `dispatch` | the table of kernels for each level |
//! | `matmul`, `attention`, `delta`, `vector`, `bandwidth` | the functions for callers |
//!
//! Absent on purpose: model structure, files, clocks. This is the only crate with SIMD and, except for one memory map and one foreign
//! callback elsewhere, with `unsafe`. The [`Pool`] is the only place under `models` that starts threads, because a matrix product
//! cannot use several cores without them; a pool of one thread starts none.
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
pub use matmul::{Product, Together, multiply};
pub use matrix::{Matrix, MatrixError, strip_bytes};
pub use panel::FEW_TOKENS;
pub use pool::Pool;
pub use strips::to_strips;
pub use vector::{
    add, clamped_swiglu, geglu, gelu, layer_norm, multiply_add, quick_gelu, rms_norm, rotate_halves, rotate_pairs,
    silu, swiglu,
};

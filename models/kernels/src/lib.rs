//! Quantized and float kernels with run-time dispatch, and the compute pool that they run on: the only home of SIMD and,
//! but for one memory map and one foreign callback elsewhere, of `unsafe`.
//!
//! A [`Level`] is the proof that the processor has a set of instructions; it is detected once and handed to every kernel.
//! Each kernel has a scalar twin, which is the definition that the tests hold the others to.
//!
//! What is deliberately absent: model structure, files, clocks. The [`Pool`] is the one place in the computing crates that
//! has threads: a matrix product cannot use several cores otherwise, and a caller who wants none asks for one thread.
#![allow(unsafe_code)] // SIMD intrinsics, and disjoint writes of one output by several threads; each block says why it is sound.

mod activations;
mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod cores;
mod format;
mod level;
#[cfg(target_arch = "aarch64")]
mod neon;
mod panel;
mod pool;
mod product;
mod scalar;
mod strips;
mod vector;

pub use activations::Activations;
pub use attention::{Attention, KvFormat, KvStore, attend};
pub use format::{Format, Matrix, MatrixError};
pub use level::{Level, UnknownLevel};
pub use panel::FEW_TOKENS;
pub use pool::Pool;
pub use product::{Product, multiply, read_bandwidth};
pub use strips::{STRIP_ROWS, strip_bytes, to_strips};
pub use vector::{add, geglu, gelu, layer_norm, rms_norm, rotate_halves, rotate_pairs, swiglu};

//! Attention with NEON.

use std::arch::aarch64::*;
use std::arch::asm;

use crate::isa::attention::{self, Vector};
use crate::kv_cache::{Head, Query, Scoring};

/// Attention of some queries to one head.
///
/// # Safety
/// The positions of each query are in the head's cache, at least one of them.
#[target_feature(enable = "neon")]
pub(crate) unsafe fn attend(scoring: Scoring, head: Head<'_>, queries: &mut [Query<'_>]) {
    // SAFETY: the caller's promise.
    unsafe { attention::attend::<Pair>(scoring, head, queries) }
}

/// Eight floats in two registers.
#[derive(Clone, Copy)]
struct Pair(float32x4_t, float32x4_t);

impl Vector for Pair {
    const EIGHTS: usize = 1;
    type Narrow = Pair;

    #[inline(always)]
    unsafe fn zero() -> Pair {
        // SAFETY: register operations and reads and writes of eight numbers, which every 64-bit ARM has; so below.
        unsafe { Pair(vdupq_n_f32(0.0), vdupq_n_f32(0.0)) }
    }
    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Pair {
        // SAFETY: as above.
        let four = unsafe { vld1q_dup_f32(from) };
        Pair(four, four)
    }
    #[inline(always)]
    unsafe fn load(from: *const f32, _: usize) -> Pair {
        // SAFETY: as above.
        unsafe { Pair(vld1q_f32(from), vld1q_f32(from.add(4))) }
    }
    #[inline(always)]
    unsafe fn of_halves(from: *const u16, _: usize) -> Pair {
        let (low, high): (float32x4_t, float32x4_t);
        // SAFETY: as above; the conversion is of every 64-bit ARM.
        unsafe {
            let halves = vld1q_u16(from);
            asm!("fcvtl {low:v}.4s, {halves:v}.4h", "fcvtl2 {high:v}.4s, {halves:v}.8h",
                low = out(vreg) low, high = out(vreg) high, halves = in(vreg) halves,
                options(pure, nomem, nostack, preserves_flags));
        }
        Pair(low, high)
    }
    #[inline(always)]
    unsafe fn of_bytes(from: *const i8, _: usize) -> Pair {
        // SAFETY: as above.
        unsafe {
            let words = vmovl_s8(vld1_s8(from));
            let low = vcvtq_f32_s32(vmovl_s16(vget_low_s16(words)));
            Pair(low, vcvtq_f32_s32(vmovl_s16(vget_high_s16(words))))
        }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, _: usize) {
        // SAFETY: as above.
        unsafe {
            vst1q_f32(to, self.0);
            vst1q_f32(to.add(4), self.1);
        }
    }
    #[inline(always)]
    unsafe fn times(self, other: Pair) -> Pair {
        // SAFETY: as above.
        unsafe { Pair(vmulq_f32(self.0, other.0), vmulq_f32(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn add_product(self, a: Pair, b: Pair) -> Pair {
        // SAFETY: as above.
        unsafe { Pair(vfmaq_f32(self.0, a.0, b.0), vfmaq_f32(self.1, a.1, b.1)) }
    }
}

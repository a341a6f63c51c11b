//! Which kernels run at which level: one table, and the only place that matches on levels but for the element-wise kernels,
//! which are one source compiled several times.

use crate::activations::{QuantizeRow, Row};
use crate::formats::{Format, STRIP_ROWS};
#[cfg(target_arch = "aarch64")]
use crate::isa::neon;
use crate::isa::scalar;
#[cfg(target_arch = "x86_64")]
use crate::isa::{avx2, avx512};
use crate::kv_cache::{Head, Query, Scoring, round_plainly};
use crate::level::{Level, Set};
use crate::panel::MultiplyPanel;

/// The most rows of activations that a strip is multiplied with at once.
pub(crate) const STRIP_TOKENS: usize = 4;

/// Writes the products of a strip with some rows of activations.
pub(crate) type DotStripFew = for<'x> unsafe fn(Format, &[u8], &[Row<'x>], &mut [[f32; STRIP_ROWS]]);

/// The kernels of a level. All are unsafe for one reason: they need its instructions, and lengths that agree with each other.
pub(crate) struct Kernels {
    /// Two rows of the file times one row of activations; only for formats with [`reads_rows`](Self::reads_rows).
    pub dot_rows: unsafe fn(Format, [&[u8]; 2], Row<'_>) -> [f32; 2],
    /// One row of the file times one row of activations.
    pub dot_row: unsafe fn(Format, &[u8], Row<'_>) -> f32,
    /// Whether rows of the file are multiplied as they stand; otherwise they are interleaved first.
    pub reads_rows: fn(Format) -> bool,
    /// A strip times one row of activations.
    pub dot_strip: unsafe fn(Format, &[u8], Row<'_>) -> [f32; STRIP_ROWS],
    /// A strip times each of up to [`STRIP_TOKENS`] rows of activations, with the results of [`dot_strip`](Self::dot_strip) to the last
    /// bit; `None` where that is no faster.
    pub dot_strip_few: Option<DotStripFew>,
    /// Rows in a panel, and its product; `None` where prompts are read token by token.
    pub panel: Option<(usize, MultiplyPanel)>,
    /// Quantizes a row of activations.
    pub quantize: QuantizeRow,
    /// Attention of some queries to one head.
    pub attend: unsafe fn(Scoring, Head<'_>, &mut [Query<'_>]),
    /// Rounds floats to half floats; the second slice is as long as the first.
    pub to_halves: unsafe fn(&[f32], &mut [u16]),
}

const SCALAR: Kernels = Kernels {
    dot_rows: |format, weights, x| weights.map(|weights| scalar::dot(format, weights, x)),
    dot_row: scalar::dot,
    reads_rows: |_| true,
    dot_strip: scalar::dot_strip,
    dot_strip_few: None,
    panel: None,
    quantize: scalar::quantize,
    attend: scalar::attend,
    to_halves: round_plainly,
};

#[cfg(target_arch = "x86_64")]
const AVX2: Kernels = Kernels {
    dot_rows: avx2::rows::dots::<2>,
    dot_row: |format, weights, x| {
        // SAFETY: the caller's promise.
        let [dot] = unsafe { avx2::rows::dots(format, [weights], x) };
        dot
    },
    reads_rows: avx2::rows::reads,
    dot_strip: avx2::strips::dot,
    dot_strip_few: None,
    panel: Some((avx2::ROWS, avx2::panel::multiply::<avx2::Pairs>)),
    quantize: avx2::activations::quantize,
    attend: avx2::attention::attend,
    to_halves: avx2::attention::to_halves,
};

/// As AVX2, with the byte products of AVX-VNNI.
#[cfg(target_arch = "x86_64")]
const AVX_VNNI: Kernels =
    Kernels { dot_strip: avx2::strips::dot_vex, panel: Some((avx2::ROWS, avx2::panel::multiply::<avx2::Vex>)), ..AVX2 };

/// As AVX2, with the byte products of AVX-512 on 256 bits.
#[cfg(target_arch = "x86_64")]
const AVX_VNNI_EVEX: Kernels = Kernels {
    dot_strip: avx2::strips::dot_evex,
    panel: Some((avx2::ROWS, avx2::panel::multiply::<avx2::Evex>)),
    ..AVX2
};

#[cfg(target_arch = "x86_64")]
const AVX512: Kernels = Kernels {
    dot_rows: |format, [a, b], x| {
        // SAFETY: the caller's promise. Rows go one after the other: one stream through memory is read faster than two.
        unsafe { [avx512::rows::dot(format, a, x), avx512::rows::dot(format, b, x)] }
    },
    dot_row: avx512::rows::dot,
    reads_rows: avx512::rows::reads,
    dot_strip: avx512::strips::dot,
    dot_strip_few: Some(avx512::strips::dot_few),
    panel: Some((avx512::ROWS, avx512::panel::multiply)),
    quantize: avx512::quantize,
    attend: avx512::attention::attend,
    ..AVX2
};

/// The tables of the three ARM levels, which differ in the kernels that multiply bytes.
#[cfg(target_arch = "aarch64")]
macro_rules! neon {
    ($($table:ident from $kernels:ident)*) => {$(
        const $table: Kernels = Kernels {
            dot_rows: |format, [a, b], x| {
                // SAFETY: the caller's promise.
                unsafe { [neon::$kernels::dot(format, a, x), neon::$kernels::dot(format, b, x)] }
            },
            dot_row: |format, weights, x| {
                // SAFETY: the caller's promise.
                unsafe { neon::$kernels::dot(format, weights, x) }
            },
            reads_rows: neon::rows::reads,
            dot_strip: |format, strip, x| {
                // SAFETY: the caller's promise.
                unsafe { neon::$kernels::dot_strip(format, strip, x) }
            },
            dot_strip_few: None,
            panel: Some((neon::ROWS, |format, rows, columns, x, sums| {
                // SAFETY: the caller's promise.
                unsafe { neon::$kernels::multiply_panel(format, rows, columns, x, sums) }
            })),
            quantize: scalar::quantize,
            attend: neon::attention::attend,
            to_halves: round_plainly,
        };
    )*};
}

#[cfg(target_arch = "aarch64")]
neon! {
    NEON from plain
    NEON_DOTPROD from dotprod
    NEON_I8MM from i8mm
}

impl Level {
    /// The kernels of this level, whose instructions the level is proof of.
    pub(crate) fn kernels(self) -> &'static Kernels {
        match self.0 {
            Set::Scalar => &SCALAR,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => &AVX2,
            #[cfg(target_arch = "x86_64")]
            Set::AvxVnni => &AVX_VNNI,
            #[cfg(target_arch = "x86_64")]
            Set::AvxVnniEvex => &AVX_VNNI_EVEX,
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => &AVX512,
            #[cfg(target_arch = "aarch64")]
            Set::Neon => &NEON,
            #[cfg(target_arch = "aarch64")]
            Set::NeonDotprod => &NEON_DOTPROD,
            #[cfg(target_arch = "aarch64")]
            Set::NeonI8mm => &NEON_I8MM,
        }
    }

    /// True where products with one token run faster on a matrix of this format in strips than row by row.
    pub fn prefers_strips(self, format: Format) -> bool {
        self.0 != Set::Scalar && format.is_quantized()
    }
}

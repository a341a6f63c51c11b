//! Element-wise kernels: normalisation, the gated activation, rotation of positions. Each is written once, as plain Rust
//! over eight lanes, and compiled again for each level.

use crate::float::{exp, fma};
use crate::level::{Level, Set};

/// Compiles a plain function once for each level and dispatches between them.
macro_rules! for_each_level {
    ($(#[$doc:meta])* $name:ident => $plain:ident ( $($arg:ident : $type:ty),* )) => {
        $(#[$doc])*
        pub fn $name(level: Level, $($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            fn avx2($($arg: $type),*) {
                $plain::<true>($($arg),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
            fn avx512($($arg: $type),*) {
                $plain::<true>($($arg),*);
            }
            match level.0 {
                Set::Scalar => $plain::<false>($($arg),*),
                #[cfg(target_arch = "aarch64")]
                Set::Neon | Set::NeonDotprod | Set::NeonI8mm => $plain::<true>($($arg),*),
                #[cfg(target_arch = "x86_64")]
                // SAFETY: these levels are proof of AVX2, FMA and F16C.
                Set::Avx2 | Set::AvxVnni | Set::AvxVnniEvex => unsafe { avx2($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the level is proof of its instructions.
                Set::Avx512 => unsafe { avx512($($arg),*) },
            }
        }
    };
}

for_each_level! {
    /// Root-mean-square normalisation (Zhang and Sennrich, 2019) of each row:
    /// `out = x / sqrt(mean(x^2) + epsilon) * weight`. x, out: `[n, width]`, weight: `[width]`.
    rms_norm => rms_norm_plain(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32])
}

for_each_level! {
    /// The gated activation of SwiGLU (Shazeer, 2020): `gate = silu(gate) * up`, element by element.
    swiglu => swiglu_plain(gate: &mut [f32], up: &[f32])
}

for_each_level! {
    /// Layer normalisation (Ba et al., 2016) of each row: `out = (x - mean) / sqrt(variance + epsilon) * weight + bias`.
    /// x, out: `[n, width]`, weight, bias: `[width]`.
    layer_norm => layer_norm_plain(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, out: &mut [f32])
}

for_each_level! {
    /// The activation of GPT-2 and Phi: `x = gelu(x)` with the hyperbolic tangent (Hendrycks and Gimpel, 2016), element by element.
    gelu => gelu_plain(x: &mut [f32])
}

for_each_level! {
    /// The activation of CLIP: `x = x sigmoid(1.702 x)`, element by element.
    quick_gelu => quick_gelu_plain(x: &mut [f32])
}

for_each_level! {
    /// The gated activation of Gemma (GEGLU: Shazeer, 2020): `gate = gelu(gate) * up`, element by element.
    geglu => geglu_plain(gate: &mut [f32], up: &[f32])
}

for_each_level! {
    /// The gated activation of gpt-oss: `gate = g sigmoid(1.702 g) (u + 1)` with `g = min(gate, 7)` and `u` as `up` within -7 to 7,
    /// element by element.
    clamped_swiglu => clamped_swiglu_plain(gate: &mut [f32], up: &[f32])
}

for_each_level! {
    /// `x += y`, element by element.
    add => add_plain(x: &mut [f32], y: &[f32])
}

for_each_level! {
    /// `x += y z`, element by element.
    multiply_add => multiply_add_plain(x: &mut [f32], y: &[f32], z: &[f32])
}

for_each_level! {
    /// `x = silu(x)`, element by element.
    silu => silu_plain(x: &mut [f32])
}

for_each_level! {
    /// Rotary positions over neighbouring pairs (2i, 2i + 1), as the llama files of GGUF lay their heads out.
    /// heads: `[n_heads, head_dim]` of one token; the first `2 * cos.len()` of each head turn. cos, sin: `[rotated / 2]`.
    rotate_pairs => rotate_pairs_plain(heads: &mut [f32], head_dim: usize, cos: &[f32], sin: &[f32])
}

for_each_level! {
    /// Rotary positions over halves (i, i + rotated / 2), the layout of GPT-NeoX, Qwen and Gemma. Shapes as in [`rotate_pairs`].
    rotate_halves => rotate_halves_plain(heads: &mut [f32], head_dim: usize, cos: &[f32], sin: &[f32])
}

#[inline(always)]
fn rms_norm_plain<const FUSED: bool>(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
    let width = weight.len();
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        let mut squares = [0f32; 16];
        let lanes = x.chunks_exact(16);
        let rest: f32 = lanes.remainder().iter().map(|x| x * x).sum();
        for lanes in lanes {
            for (square, x) in squares.iter_mut().zip(lanes) {
                *square = fma::<FUSED>(*x, *x, *square);
            }
        }
        let mean = (squares.iter().sum::<f32>() + rest) / width as f32;
        let scale = 1.0 / (mean + epsilon).sqrt();
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = x * scale * weight;
        }
    }
}

#[inline(always)]
fn swiglu_plain<const FUSED: bool>(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + exp::<FUSED>(-*gate)) * up;
    }
}

#[inline(always)]
fn layer_norm_plain<const FUSED: bool>(x: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, out: &mut [f32]) {
    let width = weight.len();
    for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        // In two steps and in double precision: the difference of two large sums would lose what matters.
        let mean = (x.iter().map(|x| f64::from(*x)).sum::<f64>() / width as f64) as f32;
        let mut squares = [0f32; 16];
        let lanes = x.chunks_exact(16);
        let rest: f32 = lanes.remainder().iter().map(|x| (x - mean) * (x - mean)).sum();
        for lanes in lanes {
            for (square, x) in squares.iter_mut().zip(lanes) {
                *square = fma::<FUSED>(x - mean, x - mean, *square);
            }
        }
        let variance = (squares.iter().sum::<f32>() + rest) / width as f32;
        let scale = 1.0 / (variance + epsilon).sqrt();
        for (((out, x), weight), bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
            *out = fma::<FUSED>((x - mean) * scale, *weight, *bias);
        }
    }
}

/// `x (1 + tanh u) / 2 = x / (1 + e^-2u)` with `u = sqrt(2 / pi) (x + 0.044715 x^3)`.
#[inline(always)]
fn gelu_of<const FUSED: bool>(x: f32) -> f32 {
    const TWICE_ROOT: f32 = 1.595_769_2; // 2 sqrt(2 / pi)
    x / (1.0 + exp::<FUSED>(-TWICE_ROOT * x * fma::<FUSED>(0.044_715 * x, x, 1.0)))
}

#[inline(always)]
fn gelu_plain<const FUSED: bool>(x: &mut [f32]) {
    for x in x {
        *x = gelu_of::<FUSED>(*x);
    }
}

#[inline(always)]
fn quick_gelu_plain<const FUSED: bool>(x: &mut [f32]) {
    for x in x {
        *x /= 1.0 + exp::<FUSED>(-1.702 * *x);
    }
}

#[inline(always)]
fn geglu_plain<const FUSED: bool>(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = gelu_of::<FUSED>(*gate) * up;
    }
}

#[inline(always)]
fn clamped_swiglu_plain<const FUSED: bool>(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.iter_mut().zip(up) {
        let g = gate.min(7.0);
        *gate = g / (1.0 + exp::<FUSED>(-1.702 * g)) * (up.clamp(-7.0, 7.0) + 1.0);
    }
}

#[inline(always)]
fn add_plain<const FUSED: bool>(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

#[inline(always)]
fn multiply_add_plain<const FUSED: bool>(x: &mut [f32], y: &[f32], z: &[f32]) {
    for ((x, y), z) in x.iter_mut().zip(y).zip(z) {
        *x = fma::<FUSED>(*y, *z, *x);
    }
}

#[inline(always)]
fn silu_plain<const FUSED: bool>(x: &mut [f32]) {
    for x in x {
        *x /= 1.0 + exp::<FUSED>(-*x);
    }
}

#[inline(always)]
fn rotate_pairs_plain<const FUSED: bool>(heads: &mut [f32], head_dim: usize, cos: &[f32], sin: &[f32]) {
    for head in heads.chunks_exact_mut(head_dim) {
        for ((pair, cos), sin) in head.as_chunks_mut::<2>().0.iter_mut().zip(cos).zip(sin) {
            let [a, b] = *pair;
            *pair = [a * cos - b * sin, a * sin + b * cos];
        }
    }
}

#[inline(always)]
fn rotate_halves_plain<const FUSED: bool>(heads: &mut [f32], head_dim: usize, cos: &[f32], sin: &[f32]) {
    let half = cos.len();
    for head in heads.chunks_exact_mut(head_dim) {
        let (low, high) = head[..2 * half].split_at_mut(half);
        for (((a, b), cos), sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
            (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_normalises_and_gates_as_the_plain_code_does() {
        for width in [1, 7, 16, 33, 576] {
            let x: Vec<f32> = (0..2 * width).map(|i| ((i * 37 % 101) as f32 - 50.0) / 17.0).collect();
            let weight: Vec<f32> = (0..width).map(|i| 0.5 + (i % 5) as f32).collect();
            let mut expected = vec![0.0; x.len()];
            rms_norm(Level::SCALAR, &x, &weight, 1e-5, &mut expected);
            let mut gated = x.clone();
            swiglu(Level::SCALAR, &mut gated, &expected);
            for level in Level::present() {
                let mut out = vec![0.0; x.len()];
                rms_norm(level, &x, &weight, 1e-5, &mut out);
                let mut gate = x.clone();
                swiglu(level, &mut gate, &out);
                for (a, b) in expected.iter().chain(&gated).zip(out.iter().chain(&gate)) {
                    assert!((a - b).abs() <= 1e-5 + 1e-5 * a.abs(), "{level}: {a} {b}");
                }
            }
        }
    }

    #[test]
    fn every_level_centres_rows_and_computes_gelu_as_f64_does() {
        let gelu_exact = |x: f64| x * 0.5 * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044715 * x * x * x)).tanh());
        for level in Level::present() {
            let x: Vec<f32> = (-900..900).map(|i| i as f32 / 73.0).collect();
            let (mut plain, mut gated, up) = (x.clone(), x.clone(), vec![1.5; x.len()]);
            let mut quick = x.clone();
            quick_gelu(level, &mut quick);
            for (x, quick) in x.iter().map(|x| f64::from(*x)).zip(quick) {
                let exact = x / (1.0 + (-1.702 * x).exp());
                assert!(
                    (f64::from(quick) - exact).abs() < 2e-6 * (1.0 + exact.abs()),
                    "{level}: quick_gelu({x}) = {quick}"
                );
            }
            gelu(level, &mut plain);
            geglu(level, &mut gated, &up);
            for ((x, plain), gated) in x.iter().zip(&plain).zip(&gated) {
                let exact = gelu_exact(f64::from(*x));
                assert!((f64::from(*plain) - exact).abs() < 2e-6 * (1.0 + exact.abs()), "{level}: gelu({x}) = {plain}");
                assert!((f64::from(*gated) - 1.5 * exact).abs() < 3e-6 * (1.0 + exact.abs()), "{level}: {x}");
            }
            for width in [1, 7, 16, 33, 576] {
                // Far from zero, where a variance from sums of squares would be wrong.
                let x: Vec<f32> = (0..2 * width).map(|i| 300.0 + ((i * 37 % 101) as f32 - 50.0) / 17.0).collect();
                let weight: Vec<f32> = (0..width).map(|i| 0.5 + (i % 5) as f32).collect();
                let bias: Vec<f32> = (0..width).map(|i| (i % 3) as f32).collect();
                let mut out = vec![0.0; x.len()];
                layer_norm(level, &x, &weight, &bias, 1e-5, &mut out);
                for (x, out) in x.chunks(width).zip(out.chunks(width)) {
                    let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / width as f64;
                    let variance = x.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / width as f64;
                    for i in 0..width {
                        let exact = (f64::from(x[i]) - mean) / (variance + 1e-5).sqrt() * f64::from(weight[i])
                            + f64::from(bias[i]);
                        assert!((f64::from(out[i]) - exact).abs() < 1e-4 * (1.0 + exact.abs()), "{level} {width}: {i}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_rotation_keeps_lengths_and_is_undone_by_its_opposite() {
        let original: Vec<f32> = (0..3 * 16).map(|i| (i as f32).sin()).collect();
        let (cos, sin): (Vec<f32>, Vec<f32>) = (0..6).map(|i| ((i as f32).cos(), (i as f32).sin())).unzip();
        let back: Vec<f32> = sin.iter().map(|x| -x).collect();
        for level in Level::present() {
            for rotate in [rotate_pairs, rotate_halves] {
                let mut heads = original.clone();
                rotate(level, &mut heads, 16, &cos, &sin);
                assert_eq!(heads[12..16], original[12..16], "beyond the rotated part nothing changes");
                assert!(heads[2] != original[2] || heads[8] != original[8]);
                rotate(level, &mut heads, 16, &cos, &back);
                assert!(heads.iter().zip(&original).all(|(a, b)| (a - b).abs() < 1e-5), "{level}");
            }
        }
    }
}

//! Arithmetic on single floats that vectorises on every level: half floats, fused products, the exponential.

/// `a * b + c`, fused where the level has it (elsewhere the fused form is a slow library call).
#[inline(always)]
pub(crate) fn fma<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// `e^x` to about 2e-7 relative: the power of two is put into the exponent, the rest is a polynomial of degree 6 on
/// `[-ln2/2, ln2/2]` (its Taylor series: the next term is below 2e-8 there). Zero and infinity beyond the range of f32.
#[inline(always)]
pub(crate) fn exp<const FUSED: bool>(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0; // 1.5 * 2^23
    // Two steps, so that the extremes keep a normal exponent: e^x = 2^n e^r.
    let x = x.clamp(-87.3, 88.7);
    let shifted = fma::<FUSED>(x, std::f32::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    // ln 2 in two parts: the first has few bits, so that n times it is exact.
    let r = fma::<FUSED>(n, -0.693_359_4, x);
    let r = fma::<FUSED>(n, 2.121_944_4e-4, r);
    let mut p = 1.0 / 720.0;
    p = fma::<FUSED>(p, r, 1.0 / 120.0);
    p = fma::<FUSED>(p, r, 1.0 / 24.0);
    p = fma::<FUSED>(p, r, 1.0 / 6.0);
    p = fma::<FUSED>(p, r, 0.5);
    p = fma::<FUSED>(p, r, 1.0);
    p = fma::<FUSED>(p, r, 1.0);
    let power = f32::from_bits(
        ((shifted.to_bits() as i32).wrapping_sub(MAGIC.to_bits() as i32).wrapping_add(127) << 23) as u32,
    );
    p * power
}

/// The hyperbolic tangent, to about 2e-7.
#[inline(always)]
pub(crate) fn tanh<const FUSED: bool>(x: f32) -> f32 {
    1.0 - 2.0 / (exp::<FUSED>(2.0 * x) + 1.0)
}

/// A half float as a float, in a form that vectorises without special instructions: its bits are moved to where a float has
/// them, and a factor of 2^(127 - 15) makes up for the other bias. Infinities and what is not a number come out as 65536 and more.
#[inline(always)]
pub(crate) fn half_to_float(bits: u16) -> f32 {
    const TWO_TO_112: f32 = f32::from_bits((127 + 112) << 23);
    let magnitude = f32::from_bits(u32::from(bits & 0x7fff) << 13) * TWO_TO_112;
    f32::from_bits(magnitude.to_bits() | u32::from(bits & 0x8000) << 16)
}

/// Numbers between -1 and 1 for tests, the same for the same seed.
#[cfg(test)]
pub(crate) fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_half_float_is_the_float_of_its_value() {
        for bits in 0..=u16::MAX {
            let expected = half::f16::from_bits(bits);
            if expected.is_finite() {
                assert_eq!(half_to_float(bits).to_bits(), expected.to_f32().to_bits(), "{bits:#x}");
            } else {
                assert!(half_to_float(bits).abs() >= 65536.0);
            }
        }
    }

    #[test]
    fn the_exponential_agrees_with_f64() {
        for i in -8000..8800 {
            let x = i as f32 * 0.01;
            let exact = f64::from(x).exp();
            for value in [exp::<false>(x), exp::<true>(x)] {
                assert!((f64::from(value) - exact).abs() <= 4e-7 * exact, "exp({x}) = {value}, not {exact}");
            }
        }
        for i in -3000..3000 {
            let (x, exact) = (i as f32 * 0.01, (f64::from(i as f32 * 0.01)).tanh());
            assert!((f64::from(tanh::<true>(x)) - exact).abs() <= 3e-7, "tanh({x})");
        }
        assert!(exp::<false>(-1000.0) < 1e-37 && exp::<false>(f32::NEG_INFINITY) < 1e-37);
    }
}

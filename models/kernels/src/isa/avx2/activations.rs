//! Activations in blocks of 32 bytes, as the plain code makes them, to the last bit.

use std::arch::x86_64::*;

use crate::activations::{Parts, quantize_row};

/// Quantizes a row of activations.
///
/// # Safety
/// The processor has AVX2. The parts have room for the row, whose length is a multiple of 32.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn quantize(x: &[f32], parts: Parts<'_>, _: bool) {
    let blocks = x.len() / 32;
    if x.iter().any(|x| !x.is_finite()) {
        return quantize_row(x, parts); // what is no number becomes what the plain code makes of it
    }
    assert!(parts.values.len() >= 32 * blocks && parts.scales.len() >= blocks, "room for the row");
    assert!(parts.sums_32.len() >= blocks && parts.sums_16.len() >= 2 * blocks, "room for the row");
    let sign = _mm256_set1_ps(-0.0);
    for block in 0..blocks {
        // SAFETY: the row and the parts have this block, as asserted.
        unsafe {
            let from = x.as_ptr().add(32 * block);
            let mut eights = [_mm256_setzero_ps(); 4];
            let mut most = _mm256_setzero_ps();
            for i in 0..4 {
                eights[i] = _mm256_loadu_ps(from.add(8 * i));
                most = _mm256_max_ps(most, _mm256_andnot_ps(sign, eights[i]));
            }
            let four = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps::<1>(most));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            let largest = _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
            let scale = largest / 127.0;
            let inverse = _mm256_set1_ps(if largest > 0.0 { 127.0 / largest } else { 0.0 });
            let mut rounded = [_mm256_setzero_si256(); 4];
            for i in 0..4 {
                rounded[i] = _mm256_cvtps_epi32(_mm256_mul_ps(eights[i], inverse));
            }
            // Packing goes by halves of a register; the order is mended at the end.
            let low = _mm256_packs_epi32(rounded[0], rounded[1]);
            let high = _mm256_packs_epi32(rounded[2], rounded[3]);
            let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
            let bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
            _mm256_storeu_si256(parts.values.as_mut_ptr().add(32 * block).cast(), bytes);
            let sum = |eight: __m256i| {
                let four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
                let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
                _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)))
            };
            let (first, second) =
                (sum(_mm256_add_epi32(rounded[0], rounded[1])), sum(_mm256_add_epi32(rounded[2], rounded[3])));
            *parts.scales.get_unchecked_mut(block) = scale;
            *parts.sums_16.get_unchecked_mut(2 * block) = scale * first as f32;
            *parts.sums_16.get_unchecked_mut(2 * block + 1) = scale * second as f32;
            *parts.sums_32.get_unchecked_mut(block) = scale * (first + second) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values, scales and sums of a row.
    fn parts(quantize: impl Fn(&[f32], Parts<'_>), x: &[f32]) -> (Vec<i8>, Vec<u32>, Vec<u32>, Vec<u32>) {
        let blocks = x.len() / 32;
        let (mut values, mut scales) = (vec![0; x.len()], vec![0.0; blocks]);
        let (mut sums_32, mut sums_16) = (vec![0.0; blocks], vec![0.0; 2 * blocks]);
        let parts = Parts { values: &mut values, scales: &mut scales, sums_32: &mut sums_32, sums_16: &mut sums_16 };
        quantize(x, parts);
        let bits = |floats: Vec<f32>| floats.into_iter().map(f32::to_bits).collect();
        (values, bits(scales), bits(sums_32), bits(sums_16))
    }

    #[test]
    fn activations_become_the_bytes_that_the_plain_code_makes_of_them_to_the_last_bit() {
        if !is_x86_feature_detected!("avx2") || !is_x86_feature_detected!("fma") || !is_x86_feature_detected!("f16c") {
            return eprintln!("skipped: this processor has no AVX2");
        }
        let mut state = 7u32;
        let mut x: Vec<f32> = (0..32 * 500)
            .map(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let x = (state >> 8) as f32 / 8_388_608.0 - 1.0;
                if i / 32 % 3 == 0 { (x * 127.0).round() / 2.0 } else { x * 10f32.powi(i / 32 % 60 - 30) }
            })
            .collect();
        x[64..96].fill(0.0);
        x[96..128].fill(-3.5);
        // SAFETY: the processor has AVX2; `parts` makes room.
        let fast = parts(|x, parts| unsafe { quantize(x, parts, false) }, &x);
        assert_eq!(fast, parts(quantize_row, &x));
        x[200] = f32::NAN;
        // SAFETY: as above.
        assert_eq!(parts(|x, parts| unsafe { quantize(x, parts, false) }, &x), parts(quantize_row, &x));
    }
}

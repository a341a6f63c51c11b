//! MXFP4: 32 four-bit floats and a power of two (OCP Microscaling formats, 2023). An importance matrix changes nothing.

const BLOCK: usize = 32;
/// Twice the values of the four-bit floats; the scale is halved for it.
const TABLE: [f32; 16] = [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 0.0, -1.0, -2.0, -3.0, -4.0, -6.0, -8.0, -12.0];

pub(crate) fn mxfp4(row: &[f32], out: &mut [u8]) {
    for (x, out) in row.chunks_exact(BLOCK).zip(out.chunks_exact_mut(17)) {
        let largest = x.iter().fold(0.0f32, |largest, x| if largest < x.abs() { x.abs() } else { largest });
        // The largest exponent of a four-bit float is 2.
        let exponent = if largest > 0.0 { (largest.log2().floor() - 2.0 + 127.0) as i32 as u8 } else { 0 };
        let scale = half_of_power(exponent);
        out[0] = exponent;
        for (j, out) in out[1..].iter_mut().enumerate() {
            *out = index(x[j], scale) | index(x[j + 16], scale) << 4;
        }
    }
}

/// Half of two to the power of `exponent - 127`.
fn half_of_power(exponent: u8) -> f32 {
    f32::from_bits(if exponent < 2 { 0x0020_0000 << exponent } else { (u32::from(exponent) - 1) << 23 })
}

/// The first of the nearest values.
fn index(x: f32, scale: f32) -> u8 {
    let (mut best, mut error) = (0, (TABLE[0] * scale - x).abs());
    for (i, value) in TABLE.iter().enumerate().skip(1) {
        let tried = (value * scale - x).abs();
        if tried < error {
            (best, error) = (i as u8, tried);
        }
    }
    best
}

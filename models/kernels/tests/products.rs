//! Products of every format at every level: the scalar level against arithmetic in f64, the others against the scalar one, at
//! odd shapes, with few tokens and with many.

use std::num::NonZeroUsize;

use half::f16;
use nearfield_kernels::{
    Activations, Format, Level, Matrix, Pool, Product, Together, multiply, strip_bytes, to_strips,
};
use proptest::prelude::*;

const FORMATS: [Format; 16] = Format::ALL;

/// A small generator, so that a failure can be repeated from its seed.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn float(&mut self) -> f32 {
        self.next() as f32 / (1u64 << 30) as f32 - 1.0
    }
}

/// Random bytes that are sound weights: every value of the payload, scales of a sensible size.
fn weights(format: Format, rows: usize, columns: usize, noise: &mut Noise) -> Vec<u8> {
    let mut bytes = vec![0u8; rows * format.row_bytes(columns).unwrap()];
    for block in bytes.chunks_exact_mut(format.block_bytes()) {
        block.iter_mut().for_each(|byte| *byte = noise.next() as u8);
        let mut half = |at: usize, scale: f32| {
            let value = f16::from_f32(noise.float() * scale);
            block[at..at + 2].copy_from_slice(&value.to_le_bytes());
        };
        match format {
            Format::F32 => block.copy_from_slice(&noise.float().to_le_bytes()),
            Format::F16 => half(0, 1.0),
            Format::Bf16 => block.copy_from_slice(&half::bf16::from_f32(noise.float()).to_le_bytes()),
            Format::Q8_0 => half(0, 0.01),
            Format::Q4_0 | Format::Q5_0 => half(0, 0.1),
            Format::Q4_1 | Format::Q5_1 => {
                half(0, 0.1);
                half(2, 1.0);
            }
            Format::Q2K => {
                half(80, 0.1);
                half(82, 0.1);
            }
            Format::Q3K => half(108, 0.01),
            Format::Q4K | Format::Q5K => {
                half(0, 0.01);
                half(2, 0.01);
            }
            Format::Q6K => half(208, 0.001),
            Format::Iq4Nl => half(0, 0.01),
            Format::Iq4Xs => half(0, 0.001),
            Format::Mxfp4 => block[0] = 120 + block[0] % 8,
        }
    }
    bytes
}

fn product(level: Level, pool: &Pool, matrices: &[Matrix<'_>], x: &[f32], tokens: usize) -> Vec<Vec<f32>> {
    let mut outs: Vec<Vec<f32>> = matrices.iter().map(|matrix| vec![f32::NAN; tokens * matrix.rows()]).collect();
    let mut products: Vec<Product<'_>> =
        matrices.iter().zip(&mut outs).map(|(matrix, out)| Product { weights: *matrix, out }).collect();
    multiply(level, pool, Together::Fastest, x, &mut Activations::new(), &mut products);
    outs
}

/// For each output, the exact sum and the sum of magnitudes, in f64.
fn exact(matrix: &Matrix<'_>, x: &[f32]) -> Vec<(f64, f64)> {
    let mut row = vec![0f32; matrix.columns()];
    let mut out = Vec::new();
    for x in x.chunks_exact(matrix.columns()) {
        for r in 0..matrix.rows() {
            matrix.read_row(r, &mut row);
            let terms = row.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x));
            out.push((terms.clone().sum(), terms.map(f64::abs).sum()));
        }
    }
    out
}

fn check(format: Format, rows: usize, columns: usize, tokens: usize, threads: usize, seed: u64) {
    let mut noise = Noise(seed);
    let bytes = weights(format, rows, columns, &mut noise);
    let matrix = Matrix::new(format, &bytes, rows, columns).unwrap();
    let x: Vec<f32> = (0..tokens * columns).map(|_| noise.float() * 3.0).collect();
    let pool = Pool::new(NonZeroUsize::new(threads));
    let expected = exact(&matrix, &x);
    let case = format!("{format} {rows}x{columns}, {tokens} tokens, seed {seed}");
    let scalar = product(Level::SCALAR, &pool, &[matrix], &x, tokens).remove(0);
    for (value, (sum, magnitude)) in scalar.iter().zip(&expected) {
        // Activations are rounded to 1/127 of the largest of their block: half of that for each term at most.
        let tolerance = if format.is_quantized() {
            3.0 / 254.0 * (columns as f64).sqrt() * magnitude / columns as f64 * 6.0
        } else {
            1e-5 * magnitude
        };
        assert!((f64::from(*value) - sum).abs() <= tolerance + 1e-6, "{case}: {value}, exactly {sum} (of {magnitude})");
    }
    let mut in_strips = vec![0xa5; strip_bytes(format, rows, columns).unwrap_or(0)];
    let mut layouts = vec![("rows", matrix)];
    if !in_strips.is_empty() {
        to_strips(&pool, &matrix, &mut in_strips);
        layouts.push(("strips", Matrix::of_strips(format, &in_strips, rows, columns).unwrap()));
    }
    for (layout, matrix) in layouts {
        let (mut row, mut again) = (vec![0f32; columns], vec![0f32; columns]);
        for r in 0..rows {
            matrix.read_row(r, &mut row);
            Matrix::new(format, &bytes, rows, columns).unwrap().read_row(r, &mut again);
            assert_eq!(row, again, "{case}: row {r} reads the same in {layout}");
        }
        for level in Level::present() {
            let out = product(level, &pool, &[matrix], &x, tokens).remove(0);
            for ((value, twin), (_, magnitude)) in out.iter().zip(&scalar).zip(&expected) {
                assert!(
                    f64::from((value - twin).abs()) <= 2e-6 * magnitude + 1e-6,
                    "{case}, {level}, {layout}: {value}, scalar {twin}"
                );
            }
        }
    }
}

#[test]
fn every_format_and_level_multiplies_one_token_and_many() {
    for (index, format) in FORMATS.into_iter().enumerate() {
        for (rows, blocks, tokens) in [(1, 1, 1), (13, 3, 1), (8, 9, 6), (9, 2, 17), (33, 10, 131), (5, 70, 8)] {
            let columns = if format.is_quantized() { blocks.min(12) * format.block_weights() } else { blocks * 37 };
            check(format, rows, columns, tokens, 2, 1 + index as u64);
        }
    }
}

#[test]
fn rows_longer_than_a_panel_are_multiplied_in_parts() {
    for (index, format) in FORMATS.into_iter().enumerate() {
        check(format, 9, 5632, 9, 1, 100 + index as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_shape_agrees(index in 0..FORMATS.len(), rows in 1..40usize, blocks in 1..12usize, tokens in 1..20usize, threads in 1..4usize, seed: u64) {
        let format = FORMATS[index];
        let columns = if format.is_quantized() { blocks * format.block_weights() } else { blocks * 11 };
        check(format, rows, columns, tokens, threads, seed);
    }
}

#[test]
fn extreme_bytes_do_not_overflow() {
    // All weights at their largest magnitude, all activations too: the 16-bit sums are at their limits.
    let pool = Pool::new(NonZeroUsize::new(1));
    for format in FORMATS.into_iter().filter(|format| format.is_quantized()) {
        for fill in [0x00u8, 0x7f, 0x80, 0x81, 0xff] {
            let columns = 512;
            let mut bytes = vec![fill; 8 * format.row_bytes(columns).unwrap()];
            for block in bytes.chunks_exact_mut(format.block_bytes()) {
                let (scale, minimum) = match format {
                    Format::Q6K => (208, None),
                    Format::Q3K => (108, None),
                    Format::Q2K => (80, Some(82)),
                    Format::Q4K | Format::Q5K | Format::Q4_1 | Format::Q5_1 => (0, Some(2)),
                    Format::Mxfp4 => {
                        block[0] = 120;
                        continue;
                    }
                    _ => (0, None),
                };
                block[scale..scale + 2].copy_from_slice(&f16::from_f32(0.01).to_le_bytes());
                if let Some(at) = minimum {
                    block[at..at + 2].copy_from_slice(&f16::from_f32(0.02).to_le_bytes());
                }
            }
            let matrix = Matrix::new(format, &bytes, 8, columns).unwrap();
            for sign in [1.0, -1.0] {
                let x = vec![sign * 2.0; 9 * columns];
                let expected = exact(&matrix, &x);
                for level in Level::present() {
                    for tokens in [1, 9] {
                        let out = product(level, &pool, &[matrix], &x[..tokens * columns], tokens).remove(0);
                        for (value, (sum, magnitude)) in out.iter().zip(&expected) {
                            assert!(
                                (f64::from(*value) - sum).abs() <= 1e-5 * magnitude + 1e-5,
                                "{format} {fill:#x} {level} {tokens}: {value}, exactly {sum}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn several_products_of_one_input_equal_each_alone() {
    let mut noise = Noise(9);
    let (pool, x) = (Pool::new(NonZeroUsize::new(3)), (0..3 * 256).map(|i| (i as f32).sin()).collect::<Vec<_>>());
    let formats = [(Format::Q4K, 20), (Format::F16, 7), (Format::Q8_0, 65)];
    let bytes: Vec<Vec<u8>> = formats.iter().map(|(format, rows)| weights(*format, *rows, 256, &mut noise)).collect();
    let matrices: Vec<Matrix<'_>> = formats
        .iter()
        .zip(&bytes)
        .map(|((format, rows), bytes)| Matrix::new(*format, bytes, *rows, 256).unwrap())
        .collect();
    for level in Level::present() {
        let together = product(level, &pool, &matrices, &x, 3);
        for (matrix, together) in matrices.iter().zip(&together) {
            assert_eq!(&product(level, &pool, &[*matrix], &x, 3)[0], together, "{level}");
        }
    }
}

#[test]
fn bytes_of_another_length_are_no_matrix() {
    assert!(Matrix::new(Format::Q4_0, &[0; 18], 1, 31).unwrap_err().to_string().contains("31 weights do not fill"));
    assert!(Matrix::new(Format::Q4_0, &[0; 17], 1, 32).unwrap_err().to_string().contains("expected 18 bytes"));
    assert!(Matrix::new(Format::F32, &[0; 16], usize::MAX, 4).is_err());
}

#[test]
fn many_tokens_can_each_have_the_result_that_they_have_alone_to_the_last_bit() {
    let (rows, columns, tokens) = (45, 512, 11);
    let pool = Pool::new(NonZeroUsize::new(2));
    for format in FORMATS {
        let mut noise = Noise(7);
        let bytes = weights(format, rows, columns, &mut noise);
        let x: Vec<f32> = (0..tokens * columns).map(|_| noise.float() * 3.0).collect();
        let matrix = Matrix::new(format, &bytes, rows, columns).unwrap();
        let mut in_strips = vec![0; strip_bytes(format, rows, columns).unwrap_or(0)];
        let mut layouts = vec![matrix];
        if !in_strips.is_empty() {
            to_strips(&pool, &matrix, &mut in_strips);
            layouts.push(Matrix::of_strips(format, &in_strips, rows, columns).unwrap());
        }
        for (weights, level) in layouts.iter().flat_map(|weights| Level::present().into_iter().map(|l| (*weights, l))) {
            let multiply = |together, x: &[f32]| {
                let mut out = vec![f32::NAN; x.len() / columns * rows];
                let mut product = [Product { weights, out: &mut out }];
                multiply(level, &pool, together, x, &mut Activations::new(), &mut product);
                out
            };
            let alone = x.chunks_exact(columns).flat_map(|x| multiply(Together::Fastest, x)).collect::<Vec<_>>();
            for n in 1..=tokens {
                let together = multiply(Together::AsAlone, &x[..n * columns]);
                assert_eq!(together, alone[..n * rows], "{format}, {level}, {n} tokens");
            }
        }
    }
}

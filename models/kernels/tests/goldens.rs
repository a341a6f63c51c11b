//! What blocks mean, against ggml's own Python package (`goldens/make.py`): every block format, as rows of a file and in strips.

use std::num::NonZeroUsize;
use std::path::Path;

use nearfield_kernels::{Format, Matrix, Pool, strip_bytes, to_strips};

const WEIGHTS: usize = 512;

/// Blocks and the floats that they stand for.
fn golden(format: Format) -> (Vec<u8>, Vec<f32>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/goldens/{format}.bin"));
    let mut blocks = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let floats = blocks.split_off(format.row_bytes(WEIGHTS).unwrap());
    let floats: Vec<f32> = floats.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    assert_eq!(floats.len(), WEIGHTS, "{format}");
    (blocks, floats)
}

#[test]
fn every_block_format_reads_as_ggml_reads_it_from_rows_and_from_strips() {
    let pool = Pool::new(NonZeroUsize::new(1));
    for format in Format::ALL.into_iter().filter(|format| format.is_quantized()) {
        let (blocks, expected) = golden(format);
        // Rows of one block of 256 weights or of several of 32, so that strips have more than one lane and unit.
        for rows in [1, 2] {
            let columns = WEIGHTS / rows;
            let matrix = Matrix::new(format, &blocks, rows, columns).unwrap();
            let mut strips = vec![0; strip_bytes(format, rows, columns).unwrap()];
            to_strips(&pool, &matrix, &mut strips);
            let in_strips = Matrix::of_strips(format, &strips, rows, columns).unwrap();
            for (layout, matrix) in [("rows", matrix), ("strips", in_strips)] {
                let mut row = vec![f32::NAN; columns];
                for (index, expected) in expected.chunks_exact(columns).enumerate() {
                    matrix.read_row(index, &mut row);
                    for (values, expected) in row.chunks_exact(32).zip(expected.chunks_exact(32)) {
                        let largest = expected.iter().fold(0f32, |largest, x| largest.max(x.abs()));
                        for (value, golden) in values.iter().zip(expected) {
                            let near = (value - golden).abs() <= 1e-5 * largest;
                            assert!(near, "{format} in {layout}, row {index}: {values:?}, ggml {expected:?}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn no_format_takes_more_than_a_tenth_more_memory_in_strips_than_in_the_file() {
    for format in Format::ALL.into_iter().filter(|format| format.is_quantized()) {
        let (rows, columns) = (64, 1024);
        let (file, strips) = (rows * format.row_bytes(columns).unwrap(), strip_bytes(format, rows, columns).unwrap());
        assert!(strips * 10 <= file * 11, "{format}: {strips} bytes for {file}");
    }
}

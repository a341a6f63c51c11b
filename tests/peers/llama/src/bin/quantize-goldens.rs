//! Writes the goldens of `models/quantize`: the SHA-256 of what llama.cpp's `ggml_quantize_chunk` makes of each made-up tensor in each
//! format, without and with importance. `cargo run --release --bin quantize-goldens > ../../models/quantize/tests/goldens.txt`

#[path = "../../../../../models/quantize/tests/tensors/mod.rs"]
mod tensors;

use std::ffi::c_void;

// For its ggml, which is linked with it.
use llama_cpp_2 as _;
use sha2::{Digest, Sha256};
use tensors::{COLUMNS, ROWS};

/// Formats and their numbers in ggml.
const FORMATS: [(&str, i32); 16] = [
    ("F32", 0),
    ("F16", 1),
    ("BF16", 30),
    ("Q8_0", 8),
    ("Q4_0", 2),
    ("Q4_1", 3),
    ("Q5_0", 6),
    ("Q5_1", 7),
    ("Q2_K", 10),
    ("Q3_K", 11),
    ("Q4_K", 12),
    ("Q5_K", 13),
    ("Q6_K", 14),
    ("IQ4_NL", 20),
    ("IQ4_XS", 23),
    ("MXFP4", 39),
];

unsafe extern "C" {
    fn ggml_row_size(kind: i32, columns: i64) -> usize;
    fn ggml_quantize_chunk(
        kind: i32,
        weights: *const f32,
        to: *mut c_void,
        start: i64,
        rows: i64,
        columns: i64,
        importance: *const f32,
    ) -> usize;
}

fn main() {
    let importance = tensors::importance();
    for (tensor, weights) in tensors::tensors() {
        for (name, kind) in FORMATS {
            for (with, importance) in [("rtn", std::ptr::null()), ("imatrix", importance.as_ptr())] {
                let (rows, columns) = (ROWS as i64, COLUMNS as i64);
                // SAFETY: the type is one of ggml's; the buffer has the bytes that ggml says its rows have; the weights are rows of
                // whole blocks, and the importance has a number for each column.
                let bytes = unsafe {
                    let mut bytes = vec![0u8; ROWS * ggml_row_size(kind, columns)];
                    ggml_quantize_chunk(kind, weights.as_ptr(), bytes.as_mut_ptr().cast(), 0, rows, columns, importance);
                    bytes
                };
                let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
                println!("{tensor} {name} {with} {hash}");
            }
        }
    }
}

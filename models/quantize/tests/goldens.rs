//! Blocks are llama.cpp's, byte for byte: the goldens are hashes of what its `ggml_quantize_chunk` writes.

mod tensors;

use std::collections::BTreeMap;

use nearfield_kernels::Format;
use nearfield_quantize::quantize_row;
use sha2::{Digest, Sha256};
use tensors::COLUMNS;

#[test]
fn every_format_is_written_as_llama_cpp_writes_it() {
    let goldens: BTreeMap<String, &str> = include_str!("goldens.txt")
        .lines()
        .map(|line| line.rsplit_once(' ').expect("tensor, format, method, hash"))
        .map(|(what, hash)| (what.to_owned(), hash))
        .collect();
    let all = tensors::importance();
    let mut different = Vec::new();
    let mut compared = 0;
    for (tensor, weights) in tensors::tensors() {
        for format in Format::ALL {
            for (method, importance) in [("rtn", None), ("imatrix", Some(&all[..]))] {
                let row_bytes = format.row_bytes(COLUMNS).unwrap();
                let mut hash = Sha256::new();
                for row in weights.chunks(COLUMNS) {
                    let mut out = vec![0; row_bytes];
                    quantize_row(format, row, importance, &mut out);
                    hash.update(&out);
                }
                let hash: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
                let what = format!("{tensor} {format} {method}");
                compared += 1;
                if goldens.get(&what) != Some(&hash.as_str()) {
                    different.push(what);
                }
            }
        }
    }
    assert_eq!(compared, goldens.len());
    assert!(different.is_empty(), "{} of {compared} differ: {different:#?}", different.len());
}

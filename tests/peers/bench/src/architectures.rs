//! Small models of every architecture, ours beside llama.cpp: their logits after some made-up tokens. What llama.cpp says is written
//! down for the tests of the engine (`models/llm/tests/llm/architectures.rs`, which also writes the files).

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::synthetic::floats;
use crate::{Error, Peer, real, run, text};

/// Compares every file of a folder, prints a line for each, and writes llama.cpp's logits after the last token to `golden`.
pub fn compare(ours: &Peer, llama: &Peer, folder: &Path, count: &str, golden: &Path) -> Result<(), Error> {
    let mut all = Map::new();
    let mut files = real::files(folder)?;
    files.sort();
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let logits = |peer: &Peer| Ok::<_, Error>(floats(&run(peer, &["logits", text(&file), "1", count], &[], b"")?));
        let theirs = match logits(llama) {
            Ok(theirs) => theirs,
            Err(error) => {
                println!("{name:24} llama.cpp: {error}");
                continue;
            }
        };
        let width = theirs.len() / count.parse::<usize>()?;
        match logits(ours) {
            Err(error) => println!("{name:24} nearfield: {error}"),
            Ok(ours) => {
                let deviation = (theirs.iter().map(|x| x * x).sum::<f32>() / theirs.len() as f32).sqrt();
                let difference = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                println!("{name:24} largest difference {:.5} of the deviation, {count} tokens", difference / deviation);
            }
        }
        let last: Vec<Value> = theirs[theirs.len() - width..].iter().map(|x| json!((x * 1e5).round() / 1e5)).collect();
        all.insert(name, Value::Array(last));
    }
    std::fs::write(golden, serde_json::to_string(&all)?)?;
    Ok(())
}

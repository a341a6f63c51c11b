//! Small runnable examples of Nearfield's crates, one idea each. Run one with
//! `cargo run --release -p nearfield-examples --example chat`. Each uses a bundled model, and takes the path of another one as an
//! argument; the first line of each file shows its arguments.

use std::path::PathBuf;

/// The `n`-th argument of the command line (from 1), or else a file of `assets/`.
pub fn argument_or_asset(n: usize, asset: &str) -> PathBuf {
    std::env::args_os().nth(n).map_or_else(|| nearfield_testdata::asset(asset), PathBuf::from)
}

//! Nearfield's wiring, configuration and command line.
//!
//! [`flows`] is where stages are joined, a file for each flow, of what [`load`] has made ready; [`config`], [`cli`] and [`commands`]
//! read what the user wants, [`output`] writes what came of it, and [`hub`] keeps the models on disk.

use std::sync::LazyLock;

pub mod bench;
pub mod cli;
pub mod commands;
pub mod config;
pub mod eval;
pub mod files;
pub mod flows;
pub mod hub;
pub mod installation;
pub mod load;
pub mod log;
pub mod output;
pub mod prompts;
pub mod recordings;
pub mod signals;
pub mod typed_lines;

/// What `--version` prints after the name: the version, and the SIMD level that the kernels found on this machine.
pub static VERSION_LINES: LazyLock<String> =
    LazyLock::new(|| format!("{}\nkernels: {}", env!("CARGO_PKG_VERSION"), nearfield_llm::simd_level()));

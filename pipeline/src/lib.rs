//! Nearfield's wiring, configuration and command line.
//!
//! [`voice`], [`caption`] and [`report`] are where stages are joined, one for each flow; everything else here reads what the user
//! wants and prints what came of it.

use std::sync::LazyLock;

pub mod bench;
pub mod caption;
pub mod cli;
pub mod commands;
pub mod config;
pub mod content_hash;
pub mod doctor;
pub mod ending;
pub mod eval;
pub mod files;
pub mod hub;
pub mod installation;
pub mod log;
pub mod models_command;
pub mod models_lock;
pub mod recordings;
pub mod registry;
pub mod report;
pub mod signals;
pub mod terminal;
pub mod turn_report;
pub mod typed_lines;
pub mod voice;

/// What `--version` prints after the name: the version, and the SIMD level that the kernels found on this machine.
pub static VERSION_LINES: LazyLock<String> =
    LazyLock::new(|| format!("{}\nkernels: {}", env!("CARGO_PKG_VERSION"), nearfield_llm::simd_level()));

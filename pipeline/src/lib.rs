//! The program `nearfield`: its configuration, its command line, and the wiring of stages into flows.
//!
//! ```no_run
//! use nearfield::config::{Config, caption::CaptionConfig};
//! use nearfield::flows::caption::{CaptionEvent, run};
//! use nearfield::hub::registry::Registry;
//! use nearfield::load::caption::{Captioner, open_input};
//!
//! let config = CaptionConfig::load(None, &["gate.change_below=0.8".to_owned()])?; // as in a file, or with `--set`
//! let captioner = Captioner::load(&config, &Registry::open()?)?;
//! let input = open_input("rtsp://camera.local/stream", true, &config)?;
//! let (_keep, stop) = crossbeam_channel::bounded(0); // dropping `_keep` ends the flow
//! run(captioner, &config, input, None, &stop, &mut |event| {
//!     if let CaptionEvent::Captioned(done) = event && done.captioned.changed {
//!         println!("{}", done.captioned.caption);
//!     }
//!     Ok(std::ops::ControlFlow::Continue(()))
//! })?;
//! # Ok::<(), anyhow::Error>(())
//! ```
//!
//! [`flows`] is where stages are joined, a file for each flow, of what [`load`] has made ready; [`config`], [`cli`] and [`commands`]
//! read what the user wants, [`output`] writes what came of it, and [`hub`] keeps the models on disk.

use std::sync::LazyLock;

pub mod bench;
mod calibration;
pub mod cli;
pub mod commands;
pub mod config;
pub mod eval;
pub mod files;
pub mod flows;
pub mod hub;
#[cfg(feature = "mqtt")]
pub mod installation;
pub mod load;
pub mod log;
pub mod output;
pub mod prompts;
pub mod recordings;
#[cfg(feature = "server")]
pub mod server;
pub mod signals;
pub mod typed_lines;

/// What `--version` prints after the name: the version, and the SIMD level that the kernels found on this machine.
pub static VERSION_LINES: LazyLock<String> =
    LazyLock::new(|| format!("{}\nkernels: {}", env!("CARGO_PKG_VERSION"), nearfield_llm::simd_level()));

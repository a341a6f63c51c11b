//! Functions that all crates of Nearfield share and none owns: files read within a size limit ([`files`]), files written atomically
//! ([`persist`]), strict JSON ([`json`]), range checks ([`range`]), memory figures of the system ([`memory`]), how busy its
//! cores are ([`cores`]), lists in sentences ([`lists`]), child processes in groups of their own ([`child`]), addresses without their
//! secrets ([`redact`]). The crate stays small on purpose.
//!
//! ```
//! use nearfield_base::{files, persist, range::in_range};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("home.json");
//! persist::replace(&path, b"{}")?; // After a crash the file has the old content or the new one, never a part.
//! assert_eq!(files::read_text(&path, 1024)?, "{}"); // A longer file is an error.
//! let error = in_range("llm.top_p", 7.0, 0.0..=1.0).unwrap_err();
//! assert_eq!(error, "llm.top_p is 7 but must be from 0 to 1");
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod child;
pub mod cores;
pub mod files;
pub mod json;
pub mod lists;
pub mod memory;
pub mod persist;
pub mod range;
pub mod redact;

//! The media and models beside the repository, which are not part of it.

use std::io::Write;
use std::path::PathBuf;

/// A file of `../shared/data`; where it is not there, says on stderr that the test is skipped.
pub fn shared_data(path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")).join(path);
    if !path.is_file() {
        writeln!(std::io::stderr(), "SKIPPED: {} is not there", path.display()).unwrap();
        return None;
    }
    Some(path)
}

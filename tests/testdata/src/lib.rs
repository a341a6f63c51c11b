//! Where tests find files: the repository's own assets, and the media and models that stand outside it. What stands outside is
//! named by the environment alone (`NEARFIELD_TEST_DATA`, `NEARFIELD_TEST_MODELS`); a test without it is skipped, and says so.

pub mod onnx;
pub mod vlm;

use std::io::Write;
use std::path::{Path, PathBuf};

/// The root of the repository.
///
/// # Panics
/// The tests run on another machine than the one they were compiled on.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the clone is where it was compiled")
}

/// A file of `assets/`.
pub fn asset(path: &str) -> PathBuf {
    root().join("assets").join(path)
}

/// A file of the folder `NEARFIELD_TEST_DATA`; says on stderr that the test is skipped where there is none.
pub fn test_data(path: &str) -> Option<PathBuf> {
    outside("NEARFIELD_TEST_DATA", path)
}

/// A model of the folder `NEARFIELD_TEST_MODELS`; says on stderr that the test is skipped where there is none.
pub fn test_model(file: &str) -> Option<PathBuf> {
    outside("NEARFIELD_TEST_MODELS", file)
}

fn outside(variable: &str, path: &str) -> Option<PathBuf> {
    // The test harness hides what `eprintln!` writes; a skipped test must be seen.
    let skip = |why: String| writeln!(std::io::stderr(), "SKIPPED: {why}").expect("stderr takes a line");
    let Some(folder) = std::env::var_os(variable) else {
        skip(format!("{path}: {variable} is not set"));
        return None;
    };
    let file = root().join(folder).join(path);
    if !file.exists() {
        skip(format!("{} is not there", file.display()));
        return None;
    }
    Some(file)
}

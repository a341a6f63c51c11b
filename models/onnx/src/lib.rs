//! ONNX models through ONNX Runtime, which is loaded as a shared library on first use.
//!
//! ```no_run
//! use nearfield_onnx::{OnnxInput, OnnxModel, OnnxOptions};
//!
//! let mut model = OnnxModel::open("classifier.onnx".as_ref(), &OnnxOptions::default())?;
//! let pixels = vec![0.0f32; 3 * 224 * 224];
//! let outputs = model.run(&[("input", OnnxInput::F32(&[1, 3, 224, 224], &pixels))])?;
//! for output in outputs {
//!     println!("{} {:?} by {:?}", output.name, output.shape, model.active_provider());
//! }
//! # Ok::<(), nearfield_onnx::OnnxError>(())
//! ```
//!
//! The library is not part of Nearfield. It is searched in `ORT_DYLIB_PATH`, then in Nearfield's data folder, then in the system; an
//! error of [`init`] says how to get it. Without the feature `runtime` all of this is there, but [`init`] and [`OnnxModel::open`]
//! fail with [`OnnxError::Absent`]: for programs whose builds choose. An execution provider that was asked for and cannot be used is an error;
//! [`OnnxModel::active_provider`] names the one in use, which is never silently the CPU.

mod error;
pub mod graph;
mod model;
mod provider;
#[cfg(feature = "runtime")]
mod session;
#[cfg(not(feature = "runtime"))]
#[path = "session_absent.rs"]
mod session;
mod tensor;

pub use error::OnnxError;
pub use model::{OnnxModel, OnnxOptions};
pub use provider::Provider;
pub use tensor::{Element, OnnxInput, OnnxOutput, TensorInfo};

use session::Environment;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

/// ONNX Runtime as it was loaded.
pub struct Runtime {
    /// The library's file, or its bare name where the system's search path found it.
    pub path: PathBuf,
    /// Its version, such as `1.19.2`; `unknown` where the library does not say, or the system found it by name.
    pub version: String,
    environment: Environment,
}

/// Loads ONNX Runtime on the first call; later calls give the same one.
///
/// The places, in this order: the file named by `ORT_DYLIB_PATH`; `lib/` in the folder named by `NEARFIELD_DATA`;
/// `.data/lib/` of the clone that the program was built in; `nearfield/lib/` in the user's data folder
/// (`XDG_DATA_HOME`, else `~/.local/share`); the system's libraries. A file that is there but cannot be used is an
/// error, not skipped.
///
/// # Errors
/// [`OnnxError::NoRuntime`] or [`OnnxError::BadRuntime`]; both name `make setup`. [`OnnxError::Absent`] without the feature `runtime`.
pub fn init() -> Result<&'static Runtime, OnnxError> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    static LOADING: Mutex<()> = Mutex::new(());
    let _guard = LOADING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    if !cfg!(feature = "runtime") {
        return Err(OnnxError::Absent);
    }
    let runtime = load(std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from), &library_folders())?;
    Ok(RUNTIME.get_or_init(|| runtime))
}

/// The folders in which ONNX Runtime is looked for, in order; the system's search path comes after them.
pub fn library_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Some(data) = std::env::var_os("NEARFIELD_DATA").filter(|d| !d.is_empty()) {
        folders.push(PathBuf::from(data).join("lib"));
    }
    if let Ok(program) = std::env::current_exe() {
        // target/release/nearfield, target/release/deps/a_test: the clone is two to four folders up.
        folders.extend(program.ancestors().skip(1).take(5).map(|folder| folder.join(".data/lib")));
    }
    let home = std::env::var_os("HOME").filter(|h| !h.is_empty()).map(|h| PathBuf::from(h).join(".local/share"));
    if let Some(data) = std::env::var_os("XDG_DATA_HOME").filter(|d| !d.is_empty()).map(PathBuf::from).or(home) {
        folders.push(data.join("nearfield/lib"));
    }
    folders
}

const LIBRARY: &str = if cfg!(target_os = "macos") { "libonnxruntime.dylib" } else { "libonnxruntime.so" };

fn load(named: Option<PathBuf>, folders: &[PathBuf]) -> Result<Runtime, OnnxError> {
    let present = match named.filter(|path| !path.as_os_str().is_empty()) {
        Some(path) if !path.is_file() => {
            return Err(OnnxError::BadRuntime {
                path,
                reason: "ORT_DYLIB_PATH names it, but there is no such file".into(),
            });
        }
        Some(path) => Some(path),
        None => folders.iter().map(|folder| folder.join(LIBRARY)).find(|path| path.is_file()),
    };
    let bad = |path: &Path, reason| OnnxError::BadRuntime { path: path.to_path_buf(), reason };
    let (path, (environment, build_info)) = match present {
        Some(path) => {
            let loaded = Environment::load(&path).map_err(|reason| bad(&path, reason))?;
            (path, loaded)
        }
        // The second name is what distributions install without their -dev package.
        None => [LIBRARY, "libonnxruntime.so.1"]
            .iter()
            .map(PathBuf::from)
            .find_map(|name| Environment::load(&name).ok().map(|loaded| (name, loaded)))
            .ok_or_else(|| OnnxError::NoRuntime { folders: folders.to_vec() })?,
    };
    let version = version_in_file(&path).unwrap_or_else(|| version_of(&build_info));
    Ok(Runtime { path, version, environment })
}

/// Every symbol that the library exports carries its version, `VERS_1.19.2`; their names stand near the file's beginning.
/// (The C interface has a function for this, but ort does not pass it on.)
fn version_in_file(path: &Path) -> Option<String> {
    use std::io::Read;
    const MARK: &[u8] = b"VERS_";
    const SEARCHED: u64 = 4 << 20;
    let mut head = Vec::new();
    std::fs::File::open(path).ok()?.take(SEARCHED).read_to_end(&mut head).ok()?;
    head.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK).find_map(|(at, _)| {
        let version = head[at + MARK.len()..].iter().map(|&b| char::from(b));
        let version: String = version.take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        version.contains('.').then_some(version)
    })
}

/// Some builds say `... git-branch=rel-1.19.2, git-commit-id=...`.
fn version_of(build_info: &str) -> String {
    build_info
        .split("git-branch=rel-")
        .nth(1)
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect::<String>())
        .filter(|version| !version.is_empty())
        .unwrap_or_else(|| "unknown".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_named_but_missing_or_broken_is_an_error_with_the_way_out() {
        let missing = load(Some(PathBuf::from("/nowhere/libonnxruntime.so")), &[]).err().unwrap().to_string();
        assert!(missing.contains("ORT_DYLIB_PATH") && missing.contains("make setup"), "{missing}");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(LIBRARY), b"this is no library").unwrap();
        let broken = load(None, &[folder.path().to_path_buf()]).err().unwrap();
        assert!(matches!(broken, OnnxError::BadRuntime { .. }), "{broken}");
        assert!(broken.to_string().contains("make setup"), "{broken}");
    }

    #[test]
    fn the_version_is_read_from_the_build_information() {
        assert_eq!(version_of("ORT Build Info: git-branch=rel-1.19.2, git-commit-id=ffceed9"), "1.19.2");
        assert_eq!(version_of("ORT Build Info: git-branch=main, git-commit-id=0"), "unknown");
    }
}

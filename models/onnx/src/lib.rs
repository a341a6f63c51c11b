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
//! error of [`init`] says how to get it. An execution provider that was asked for and cannot be used is an error;
//! [`OnnxModel::active_provider`] names the one in use, which is never silently the CPU.

pub mod graph;

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;
use serde::{Deserialize, Serialize};
use std::fmt;
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
/// [`OnnxError::NoRuntime`] or [`OnnxError::BadRuntime`]; both name `make setup`.
pub fn init() -> Result<&'static Runtime, OnnxError> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    static LOADING: Mutex<()> = Mutex::new(());
    let _guard = LOADING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
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
    let (path, builder) = match present {
        Some(path) => match ort::init_from(&path) {
            Ok(builder) => (path, builder),
            Err(e) => {
                return Err(OnnxError::BadRuntime { path, reason: e.to_string() });
            }
        },
        // The second name is what distributions install without their -dev package.
        None => [LIBRARY, "libonnxruntime.so.1"]
            .iter()
            .find_map(|name| ort::init_from(name).ok().map(|builder| (PathBuf::from(name), builder)))
            .ok_or_else(|| OnnxError::NoRuntime { folders: folders.to_vec() })?,
    };
    // ONNX Runtime would write to stderr itself; its messages go to the log.
    let environment = builder
        .with_name("nearfield")
        .with_telemetry(false)
        .with_logger(std::sync::Arc::new(|level, _category, _id, _location, message| match level {
            ort::logging::LogLevel::Error | ort::logging::LogLevel::Fatal => {
                tracing::error!(target: "onnxruntime", "{message}")
            }
            ort::logging::LogLevel::Warning => {
                tracing::warn!(target: "onnxruntime", "{message}")
            }
            _ => tracing::trace!(target: "onnxruntime", "{message}"),
        }))
        .build()
        .map_err(|e| OnnxError::BadRuntime { path: path.clone(), reason: e.to_string() })?;
    let version = version_in_file(&path).unwrap_or_else(|| version_of(ort::info()));
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

/// What computes the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// ONNX Runtime's own kernels.
    Cpu,
    /// NVIDIA, through CUDA.
    Cuda,
    /// NVIDIA, through TensorRT.
    TensorRt,
    /// Intel, through OpenVINO.
    OpenVino,
    /// XNNPACK: faster float kernels for ARM.
    Xnnpack,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Provider::Cpu => "CPU",
            Provider::Cuda => "CUDA",
            Provider::TensorRt => "TensorRT",
            Provider::OpenVino => "OpenVINO",
            Provider::Xnnpack => "XNNPACK",
        })
    }
}

impl Provider {
    fn dispatch(self) -> ort::ep::ExecutionProviderDispatch {
        match self {
            Provider::Cpu => ort::ep::CPU::default().build(),
            Provider::Cuda => ort::ep::CUDA::default().build(),
            Provider::TensorRt => ort::ep::TensorRT::default().build(),
            Provider::OpenVino => ort::ep::OpenVINO::default().build(),
            Provider::Xnnpack => ort::ep::XNNPACK::default().build(),
        }
        .error_on_failure()
    }
}

/// How a model is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnnxOptions {
    /// Threads within an operator.
    pub threads: usize,
    /// Execution providers in order of preference. A fallback to the next is logged; where none works, opening fails. Without
    /// [`Provider::Cpu`] in the list the model never runs on the CPU.
    pub providers: Vec<Provider>,
}

impl Default for OnnxOptions {
    fn default() -> Self {
        OnnxOptions { threads: 2, providers: vec![Provider::Cpu] }
    }
}

/// An ONNX model, loaded and ready.
pub struct OnnxModel {
    session: Session,
    path: PathBuf,
    active: Provider,
}

/// An input tensor: its shape, and its elements row-major.
#[derive(Clone, Copy, Debug)]
pub enum OnnxInput<'a> {
    /// Floats.
    F32(&'a [usize], &'a [f32]),
    /// Integers.
    I64(&'a [usize], &'a [i64]),
}

/// A float output tensor.
#[derive(Clone, Debug)]
pub struct OnnxOutput {
    /// Its name in the model.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its elements, row-major.
    pub data: Vec<f32>,
}

/// The largest file that is taken for a model of the kind that runs here.
const MAX_FILE: u64 = 2 << 30;
/// What the outputs of one run may hold; a minute of speech has 5 MB, the boxes of a detector some MB.
const MAX_OUTPUT_BYTES: usize = 256 << 20;

impl OnnxModel {
    /// Loads a model, optimised for what will compute it.
    ///
    /// # Errors
    /// [`OnnxError`] where the runtime is missing, the file is missing, damaged or of another kind, or none of the wanted
    /// providers works.
    pub fn open(path: &Path, options: &OnnxOptions) -> Result<OnnxModel, OnnxError> {
        check_file(path)?;
        let runtime = init()?;
        let mut refused = Vec::new();
        for &provider in &options.providers {
            match Self::open_with(path, options.threads, provider, runtime) {
                Ok(model) => return Ok(model),
                // The file is at fault, or the last resort failed: another provider would not help.
                Err(e) if provider == Provider::Cpu => return Err(e),
                Err(e) => {
                    tracing::warn!("{}: {provider} is not available: {e}", path.display());
                    refused.push(format!("{provider}: {e}"));
                }
            }
        }
        Err(OnnxError::NoProvider { path: path.to_path_buf(), reasons: refused.join("; ") })
    }

    fn open_with(path: &Path, threads: usize, provider: Provider, runtime: &Runtime) -> Result<OnnxModel, OnnxError> {
        let refused = |e: &dyn fmt::Display| OnnxError::NoProvider { path: path.to_path_buf(), reasons: e.to_string() };
        let mut builder = Session::builder(&runtime.environment)
            // `Level3` is unknown to older libraries; `All` is known to all.
            .and_then(|b| b.with_optimization_level(GraphOptimizationLevel::All).map_err(ort::Error::from))
            .and_then(|b| b.with_intra_threads(threads.max(1)).map_err(ort::Error::from))
            // Spinning threads would take the cores from the language model.
            .and_then(|b| b.with_intra_op_spinning(false).map_err(ort::Error::from))
            .and_then(|b| b.with_execution_providers([provider.dispatch()]).map_err(ort::Error::from))
            .map_err(|e| refused(&e))?;
        let session = builder
            .commit_from_file(path)
            .map_err(|e| OnnxError::Damaged { path: path.to_path_buf(), reason: first_line(&e.to_string()) })?;
        Ok(OnnxModel { session, path: path.to_path_buf(), active: provider })
    }

    /// The execution provider that runs this model.
    pub fn active_provider(&self) -> Provider {
        self.active
    }

    /// The model's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of the inputs, in the model's order.
    pub fn inputs(&self) -> Vec<&str> {
        self.session.inputs().iter().map(|o| o.name()).collect()
    }

    /// Names of the outputs, in the model's order.
    pub fn outputs(&self) -> Vec<&str> {
        self.session.outputs().iter().map(|o| o.name()).collect()
    }

    /// The shape of an input, `None` for a dimension that the model leaves open; empty where there is no such tensor.
    pub fn input_shape(&self, name: &str) -> Vec<Option<usize>> {
        let input = self.session.inputs().iter().find(|input| input.name() == name);
        let shape = input.and_then(|input| input.dtype().tensor_shape());
        shape.map(|shape| shape.iter().map(|&n| usize::try_from(n).ok()).collect()).unwrap_or_default()
    }

    /// Checks that the model has these inputs and outputs (it may have more).
    ///
    /// # Errors
    /// [`OnnxError::WrongKind`] with what was expected and found.
    pub fn expect(&self, inputs: &[&str], outputs: &[&str]) -> Result<(), OnnxError> {
        let (has_in, has_out) = (self.inputs(), self.outputs());
        if inputs.iter().all(|i| has_in.contains(i)) && outputs.iter().all(|o| has_out.contains(o)) {
            return Ok(());
        }
        Err(self.wrong_kind(&format!("inputs {} and outputs {}", inputs.join(", "), outputs.join(", "))))
    }

    /// The error of a model whose tensors are not what the caller needs.
    pub fn wrong_kind(&self, expected: &str) -> OnnxError {
        OnnxError::WrongKind {
            path: self.path.clone(),
            expected: expected.to_string(),
            found: format!("inputs {} and outputs {}", self.inputs().join(", "), self.outputs().join(", ")),
        }
    }

    /// Runs the model once. Outputs that are not float tensors are left out.
    ///
    /// # Errors
    /// [`OnnxError::Run`] where a shape does not fit or the runtime fails.
    pub fn run(&mut self, inputs: &[(&str, OnnxInput<'_>)]) -> Result<Vec<OnnxOutput>, OnnxError> {
        let path = &self.path;
        let failed = |e: ort::Error| OnnxError::Run { path: path.clone(), reason: first_line(&e.to_string()) };
        let mut values = Vec::with_capacity(inputs.len());
        for (name, input) in inputs {
            let value: ort::session::SessionInputValue<'_> = match *input {
                OnnxInput::F32(shape, data) => {
                    TensorRef::from_array_view((shape.to_vec(), data)).map_err(failed)?.into()
                }
                OnnxInput::I64(shape, data) => {
                    TensorRef::from_array_view((shape.to_vec(), data)).map_err(failed)?.into()
                }
            };
            values.push((*name, value));
        }
        let outputs = self.session.run(values).map_err(failed)?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        for (name, value) in outputs.iter() {
            let Ok((shape, data)) = value.try_extract_tensor::<f32>() else { continue };
            bytes += std::mem::size_of_val(data);
            if bytes > MAX_OUTPUT_BYTES {
                let reason = format!("its outputs have more than {MAX_OUTPUT_BYTES} bytes ({name} is {shape:?})");
                return Err(OnnxError::Run { path: path.clone(), reason });
            }
            let shape = shape.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect();
            found.push(OnnxOutput { name: name.to_string(), shape, data: data.to_vec() });
        }
        Ok(found)
    }
}

/// Checks the file before the runtime does, so that common mistakes get a clear error.
fn check_file(path: &Path) -> Result<(), OnnxError> {
    use std::io::Read;
    let unreadable = |source| OnnxError::File { path: path.to_path_buf(), cause: source };
    let file = nearfield_base::files::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let mut head = Vec::new();
    file.take(16).read_to_end(&mut head).map_err(unreadable)?;
    let damaged = |reason: String| Err(OnnxError::Damaged { path: path.to_path_buf(), reason });
    if head.is_empty() {
        return damaged("it is empty".to_string());
    }
    if length > MAX_FILE {
        return damaged(format!("it has {length} bytes; an ONNX file ends at 2 GiB"));
    }
    const OTHERS: [(&[u8], &str); 7] = [
        (b"GGUF", "a GGUF model"),
        (b"lmgg", "a ggml model"),
        (b"RIFF", "a sound file"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"version https://", "a Git LFS pointer, not the model itself"),
        (b"{", "JSON"),
        (b"<", "a web page"),
    ];
    let other = OTHERS.iter().find(|(magic, _)| head.starts_with(magic));
    match other {
        Some((_, kind)) => damaged(format!("it is {kind}")),
        None => Ok(()),
    }
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().to_string()
}

/// Why an ONNX model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// No library anywhere.
    #[error(
        "ONNX Runtime is missing: no {LIBRARY} in {} nor in the system; get it with `make setup`, or name one in ORT_DYLIB_PATH",
        list(folders)
    )]
    NoRuntime {
        /// Where it was looked for.
        folders: Vec<PathBuf>,
    },
    /// A library that is there but does not work.
    #[error("ONNX Runtime at {} cannot be used: {reason}; get a new one with `make setup`", path.display())]
    BadRuntime {
        /// The library.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// The model's file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file is not an ONNX model, or only half of one.
    #[error("{} is not a usable ONNX model: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An ONNX model, but not the kind that is needed.
    #[error("{} is not the kind of model that is needed: expected {expected}, found {found}", path.display())]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// None of the execution providers that were asked for works here.
    #[error("{}: no wanted execution provider works ({reasons}); add `cpu` to run it on the CPU", path.display())]
    NoProvider {
        /// The file.
        path: PathBuf,
        /// What each one said.
        reasons: String,
    },
    /// The model failed while running.
    #[error("{} failed to run: {reason}", path.display())]
    Run {
        /// The file.
        path: PathBuf,
        /// What the runtime said.
        reason: String,
    },
}

fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ")
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

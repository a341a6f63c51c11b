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

mod error;
pub mod graph;
mod tensor;

pub use error::OnnxError;
use tensor::numbers;
pub use tensor::{Element, OnnxInput, OnnxOutput, TensorInfo};

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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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
    /// All of them.
    pub const ALL: [Provider; 5] =
        [Provider::Cpu, Provider::Cuda, Provider::TensorRt, Provider::OpenVino, Provider::Xnnpack];

    /// As it is written in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Provider::Cpu => "cpu",
            Provider::Cuda => "cuda",
            Provider::TensorRt => "tensorrt",
            Provider::OpenVino => "openvino",
            Provider::Xnnpack => "xnnpack",
        }
    }

    /// Whether the loaded library was built with it. Whether the machine has what it needs shows only when a model is opened.
    ///
    /// # Errors
    /// As [`init`].
    pub fn is_built_in(self) -> Result<bool, OnnxError> {
        use ort::ep::ExecutionProvider as _;
        init()?;
        Ok(match self {
            Provider::Cpu => true,
            Provider::Cuda => ort::ep::CUDA::is_available().unwrap_or(false),
            Provider::TensorRt => ort::ep::TensorRT::is_available().unwrap_or(false),
            Provider::OpenVino => ort::ep::OpenVINO::is_available().unwrap_or(false),
            Provider::Xnnpack => ort::ep::XNNPACK::is_available().unwrap_or(false),
        })
    }

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
    /// [`Provider::Cpu`] in the list the model never runs as a whole on the CPU.
    pub providers: Vec<Provider>,
    /// Only the first provider will do, and it must run every operation: one that it leaves to the CPU makes opening fail.
    pub required: bool,
}

impl Default for OnnxOptions {
    fn default() -> Self {
        OnnxOptions { threads: 2, providers: vec![Provider::Cpu], required: false }
    }
}

/// An ONNX model, loaded and ready.
pub struct OnnxModel {
    session: Session,
    path: PathBuf,
    active: Provider,
}

/// The largest file that is taken for a model of the kind that runs here.
const MAX_FILE: u64 = 2 << 30;
/// What the outputs of one run may hold; a minute of speech has 5 MB, the boxes of a detector some MB.
const MAX_OUTPUT_BYTES: usize = 256 << 20;
/// The longest note in a file that is read; the names of a thousand labels have 30 KB.
const MAX_NOTE_BYTES: usize = 1 << 20;

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
        let tried = if options.required { 1 } else { options.providers.len() };
        for &provider in options.providers.iter().take(tried) {
            match Self::open_with(path, options, provider, runtime) {
                Ok(model) => return Ok(model),
                // The file is at fault, or the last resort failed: another provider would not help.
                Err(e) if provider == Provider::Cpu => return Err(e),
                Err(e) => {
                    let e = e.reason();
                    if !options.required {
                        tracing::warn!("{}: {provider} is not available: {e}", path.display());
                    }
                    refused.push(format!("{provider}: {e}"));
                }
            }
        }
        if options.required {
            return Err(OnnxError::Required { path: path.to_path_buf(), reasons: refused.join("; ") });
        }
        Err(OnnxError::NoProvider { path: path.to_path_buf(), reasons: refused.join("; ") })
    }

    fn open_with(
        path: &Path,
        options: &OnnxOptions,
        provider: Provider,
        runtime: &Runtime,
    ) -> Result<OnnxModel, OnnxError> {
        let threads = options.threads;
        let whole = options.required && provider != Provider::Cpu;
        let refused = |e: &dyn fmt::Display| OnnxError::NoProvider { path: path.to_path_buf(), reasons: e.to_string() };
        let mut builder = Session::builder(&runtime.environment)
            // `Level3` is unknown to older libraries; `All` is known to all.
            .and_then(|b| b.with_optimization_level(GraphOptimizationLevel::All).map_err(ort::Error::from))
            .and_then(|b| b.with_intra_threads(threads.max(1)).map_err(ort::Error::from))
            // Spinning threads would take the cores from the language model.
            .and_then(|b| b.with_intra_op_spinning(false).map_err(ort::Error::from))
            // What the provider can't run is an error then, and not left to the CPU.
            .and_then(|b| match whole {
                true => b.with_config_entry("session.disable_cpu_ep_fallback", "1").map_err(ort::Error::from),
                false => Ok(b),
            })
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

    /// What the inputs take, in the model's order.
    pub fn input_tensors(&self) -> Vec<TensorInfo> {
        self.session.inputs().iter().map(TensorInfo::of).collect()
    }

    /// What the outputs give, in the model's order.
    pub fn output_tensors(&self) -> Vec<TensorInfo> {
        self.session.outputs().iter().map(TensorInfo::of).collect()
    }

    /// The note with this key that whoever made the file left in it, up to 1 MB.
    pub fn note(&self, key: &str) -> Option<String> {
        let note = self.session.metadata().ok()?.custom(key)?;
        (note.len() <= MAX_NOTE_BYTES).then_some(note)
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

    /// Runs the model once. Outputs that are no tensors of numbers are left out.
    ///
    /// # Errors
    /// [`OnnxError::Run`] where a shape does not fit or the runtime fails.
    pub fn run(&mut self, inputs: &[(&str, OnnxInput<'_>)]) -> Result<Vec<OnnxOutput>, OnnxError> {
        let path = &self.path;
        let failed = |e: ort::Error| OnnxError::Run { path: path.clone(), reason: in_one_line(&e.to_string()) };
        let mut values = Vec::with_capacity(inputs.len());
        for (name, input) in inputs {
            let value: ort::session::SessionInputValue<'_> = match *input {
                OnnxInput::F32(shape, data) => {
                    TensorRef::from_array_view((shape.to_vec(), data)).map_err(failed)?.into()
                }
                OnnxInput::I64(shape, data) => {
                    TensorRef::from_array_view((shape.to_vec(), data)).map_err(failed)?.into()
                }
                OnnxInput::U8(shape, data) => {
                    TensorRef::from_array_view((shape.to_vec(), data)).map_err(failed)?.into()
                }
            };
            values.push((*name, value));
        }
        let outputs = self.session.run(values).map_err(failed)?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        for (name, value) in outputs.iter() {
            let Some(shape) = value.dtype().tensor_shape() else { continue };
            bytes += shape.num_elements() * size_of::<f32>();
            if bytes > MAX_OUTPUT_BYTES {
                let reason = format!("its outputs have more than {MAX_OUTPUT_BYTES} bytes ({name} is {shape:?})");
                return Err(OnnxError::Run { path: path.clone(), reason });
            }
            let Some((shape, data)) = numbers(&value) else { continue };
            found.push(OnnxOutput { name: name.to_string(), shape, data });
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

/// The whole of a message of several lines: ONNX Runtime says which input it means on one and what is wrong on the next.
fn in_one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
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

//! A model: its file checked, a provider found for it, its inputs and outputs named.

use std::path::{Path, PathBuf};

use crate::session::{Session, SessionOptions};
use crate::{OnnxError, OnnxInput, OnnxOutput, Provider, TensorInfo, init};

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
        let environment = &init()?.environment;
        let mut refused = Vec::new();
        let tried = if options.required { 1 } else { options.providers.len() };
        for &provider in options.providers.iter().take(tried) {
            let is_whole = options.required && provider != Provider::Cpu;
            let how = SessionOptions { threads: options.threads, provider, is_whole };
            match Session::open(environment, path, &how) {
                Ok(session) => return Ok(OnnxModel { session, path: path.to_path_buf(), active: provider }),
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
        self.session.inputs()
    }

    /// Names of the outputs, in the model's order.
    pub fn outputs(&self) -> Vec<&str> {
        self.session.outputs()
    }

    /// What the inputs take, in the model's order.
    pub fn input_tensors(&self) -> Vec<TensorInfo> {
        self.session.input_tensors()
    }

    /// What the outputs give, in the model's order.
    pub fn output_tensors(&self) -> Vec<TensorInfo> {
        self.session.output_tensors()
    }

    /// The note with this key that whoever made the file left in it, up to 1 MB.
    pub fn note(&self, key: &str) -> Option<String> {
        self.session.note(key).filter(|note| note.len() <= MAX_NOTE_BYTES)
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
        self.session.run(inputs).map_err(|reason| OnnxError::Run { path: self.path.clone(), reason })
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

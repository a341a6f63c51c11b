//! The part that calls ONNX Runtime. `session_absent.rs` stands in its place in builds without the feature `runtime`.

use std::fmt;
use std::path::Path;

use ort::ep::ExecutionProvider as _;
use ort::session::Session as OrtSession;
use ort::session::builder::GraphOptimizationLevel;
use ort::value::TensorRef;

use crate::{Element, OnnxError, OnnxInput, OnnxOutput, Provider, TensorInfo};

/// What the outputs of one run may hold; a minute of speech has 5 MB, the boxes of a detector some MB.
const MAX_OUTPUT_BYTES: usize = 256 << 20;

/// The loaded library.
pub(crate) struct Environment(ort::environment::Environment);

impl Environment {
    /// Loads the library at a path or of a name; with what it says of how it was built. An error is the reason.
    pub(crate) fn load(library: &Path) -> Result<(Self, String), String> {
        let builder = ort::init_from(library).map_err(|e| e.to_string())?;
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
            .map_err(|e| e.to_string())?;
        Ok((Self(environment), ort::info().to_owned()))
    }
}

/// Whether the loaded library was built with a provider.
pub(crate) fn is_available(provider: Provider) -> bool {
    match provider {
        Provider::Cpu => true,
        Provider::Cuda => ort::ep::CUDA::is_available().unwrap_or(false),
        Provider::TensorRt => ort::ep::TensorRT::is_available().unwrap_or(false),
        Provider::OpenVino => ort::ep::OpenVINO::is_available().unwrap_or(false),
        Provider::Xnnpack => ort::ep::XNNPACK::is_available().unwrap_or(false),
    }
}

fn dispatch(provider: Provider) -> ort::ep::ExecutionProviderDispatch {
    match provider {
        Provider::Cpu => ort::ep::CPU::default().build(),
        Provider::Cuda => ort::ep::CUDA::default().build(),
        Provider::TensorRt => ort::ep::TensorRT::default().build(),
        Provider::OpenVino => ort::ep::OpenVINO::default().build(),
        Provider::Xnnpack => ort::ep::XNNPACK::default().build(),
    }
    .error_on_failure()
}

/// How a session is opened.
pub(crate) struct SessionOptions {
    pub(crate) threads: usize,
    pub(crate) provider: Provider,
    /// The provider must run every operation.
    pub(crate) is_whole: bool,
}

/// A model that is loaded.
pub(crate) struct Session(OrtSession);

impl Session {
    pub(crate) fn open(environment: &Environment, path: &Path, options: &SessionOptions) -> Result<Self, OnnxError> {
        let refused = |e: &dyn fmt::Display| OnnxError::NoProvider { path: path.to_path_buf(), reasons: e.to_string() };
        let mut builder = OrtSession::builder(&environment.0)
            // `Level3` is unknown to older libraries; `All` is known to all.
            .and_then(|b| b.with_optimization_level(GraphOptimizationLevel::All).map_err(ort::Error::from))
            .and_then(|b| b.with_intra_threads(options.threads.max(1)).map_err(ort::Error::from))
            // Spinning threads would take the cores from the language model.
            .and_then(|b| b.with_intra_op_spinning(false).map_err(ort::Error::from))
            // What the provider can't run is an error then, and not left to the CPU.
            .and_then(|b| match options.is_whole {
                true => b.with_config_entry("session.disable_cpu_ep_fallback", "1").map_err(ort::Error::from),
                false => Ok(b),
            })
            .and_then(|b| b.with_execution_providers([dispatch(options.provider)]).map_err(ort::Error::from))
            .map_err(|e| refused(&e))?;
        let session = builder
            .commit_from_file(path)
            .map_err(|e| OnnxError::Damaged { path: path.to_path_buf(), reason: first_line(&e.to_string()) })?;
        Ok(Self(session))
    }

    pub(crate) fn inputs(&self) -> Vec<&str> {
        self.0.inputs().iter().map(|outlet| outlet.name()).collect()
    }

    pub(crate) fn outputs(&self) -> Vec<&str> {
        self.0.outputs().iter().map(|outlet| outlet.name()).collect()
    }

    pub(crate) fn input_tensors(&self) -> Vec<TensorInfo> {
        self.0.inputs().iter().map(tensor_info).collect()
    }

    pub(crate) fn output_tensors(&self) -> Vec<TensorInfo> {
        self.0.outputs().iter().map(tensor_info).collect()
    }

    pub(crate) fn note(&self, key: &str) -> Option<String> {
        self.0.metadata().ok()?.custom(key)
    }

    /// An error is the reason.
    pub(crate) fn run(&mut self, inputs: &[(&str, OnnxInput<'_>)]) -> Result<Vec<OnnxOutput>, String> {
        let failed = |e: ort::Error| in_one_line(&e.to_string());
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
        let outputs = self.0.run(values).map_err(failed)?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        for (name, value) in outputs.iter() {
            let Some(shape) = value.dtype().tensor_shape() else { continue };
            bytes += shape.num_elements() * size_of::<f32>();
            if bytes > MAX_OUTPUT_BYTES {
                return Err(format!("its outputs have more than {MAX_OUTPUT_BYTES} bytes ({name} is {shape:?})"));
            }
            let Some((shape, data)) = numbers(&value) else { continue };
            found.push(OnnxOutput { name: name.to_string(), shape, data });
        }
        Ok(found)
    }
}

/// Shape and elements of a tensor of numbers, whatever their type.
fn numbers(value: &ort::value::ValueRef<'_>) -> Option<(Vec<usize>, Vec<f32>)> {
    let sides = |shape: &ort::value::Shape| shape.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect();
    if let Ok((shape, data)) = value.try_extract_tensor::<f32>() {
        return Some((sides(shape), data.to_vec()));
    }
    if let Ok((shape, data)) = value.try_extract_tensor::<i64>() {
        return Some((sides(shape), data.iter().map(|&v| v as f32).collect()));
    }
    if let Ok((shape, data)) = value.try_extract_tensor::<i32>() {
        return Some((sides(shape), data.iter().map(|&v| v as f32).collect()));
    }
    let (shape, data) = value.try_extract_tensor::<u8>().ok()?;
    Some((sides(shape), data.iter().map(|&v| f32::from(v)).collect()))
}

/// An input or output as the file declares it.
fn tensor_info(outlet: &ort::value::Outlet) -> TensorInfo {
    use ort::value::TensorElementType as Kind;
    let element = match outlet.dtype().tensor_type() {
        Some(Kind::Float32) => Element::F32,
        Some(Kind::Float16) => Element::F16,
        Some(Kind::Uint8) => Element::U8,
        Some(Kind::Int64) => Element::I64,
        _ => Element::Other,
    };
    let shape = outlet.dtype().tensor_shape().map(|shape| shape.iter().map(|&n| usize::try_from(n).ok()).collect());
    TensorInfo { name: outlet.name().to_owned(), element, shape: shape.unwrap_or_default() }
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().to_string()
}

/// The whole of a message of several lines: ONNX Runtime says which input it means on one and what is wrong on the next.
fn in_one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

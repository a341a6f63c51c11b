//! What computes a model: ONNX Runtime's execution providers.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::{OnnxError, init, session};

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
    /// As [`init`](crate::init).
    pub fn is_built_in(self) -> Result<bool, OnnxError> {
        init()?;
        Ok(session::is_available(self))
    }
}

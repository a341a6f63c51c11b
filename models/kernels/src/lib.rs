//! Quantized and float kernels with run-time dispatch.

//! The caption flow: from the camera to the caption.

pub mod alerts;
pub mod decode;
pub mod describe;
pub mod look;
pub mod pictures;

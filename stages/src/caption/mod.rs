//! The caption flow: from the camera to the caption.

pub mod alerts;
pub mod archive;
pub mod decode;
pub mod describe;
pub mod event_index;
pub mod events;
pub mod look;
pub mod pictures;
pub mod ring;

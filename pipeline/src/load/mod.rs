//! What a configuration names, loaded and ready to be wired: models, tools, sources, outlets.

pub mod caption;
#[cfg(feature = "mqtt")]
mod mqtt;
pub mod outlets;
pub mod projector;
pub mod report;
pub mod shared;
pub mod voice;
pub mod wake;

use crate::hub::registry::Kind;

/// What can be a language model: also one that comes with a projector for pictures.
pub(crate) const LANGUAGE: &[Kind] = &[Kind::Llm, Kind::Multimodal];

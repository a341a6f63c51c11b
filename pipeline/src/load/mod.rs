//! What a configuration names, loaded and ready to be wired: models, tools, sources, outlets.

pub mod caption;
#[cfg(feature = "mqtt")]
mod mqtt;
pub mod outlets;
pub mod report;
pub mod shared;
pub mod voice;
pub mod wake;

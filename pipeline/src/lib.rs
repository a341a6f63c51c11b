//! Wiring, configuration, command line.

pub mod content_hash;
pub mod hub_cache;
pub mod models_command;
pub mod models_lock;
pub mod registry;

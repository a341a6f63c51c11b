//! Wiring, configuration, command line.

pub mod content_hash;
pub mod hub;
pub mod hub_cache;
mod hub_error;
mod hub_exchange;
mod hub_partial;
pub mod models_command;
pub mod models_lock;
pub mod registry;

//! Everything that computes.

pub mod flow;

pub use flow::Flow;

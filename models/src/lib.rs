//! Everything that computes.

pub mod flow;
pub mod llm;

pub use flow::Flow;

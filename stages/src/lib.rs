//! The messages, the turn, the probe and the stages.
pub mod clauses;
pub mod home;
pub mod tool_calls;
pub mod tools;

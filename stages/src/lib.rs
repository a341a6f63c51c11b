//! The messages, the turn, the probe and the stages: one file a stage, none knowing its neighbours.
//!
//! What a stage is stands in [`flow`]; what flows between them in [`messages`]; in which order they are wired, with
//! which queues between them, only the program knows.

pub mod caption;
pub mod flow;
pub mod llm_thread;
pub mod messages;
pub mod mqtt;
pub mod outlets;
pub mod pipes;
pub mod reconnect;
pub mod remote;
pub mod report;
pub mod voice;
pub mod voice_priority;

pub use flow::Stage;

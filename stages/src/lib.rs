//! The messages, the turn, the probe and the stages: one file a stage, none knowing its neighbours.
//!
//! What a stage is stands in [`drive`]; what flows between them in [`messages`]; in which order they are wired, with
//! which queues between them, only the program knows.

pub mod caption;
pub mod drive;
pub mod fault;
pub mod generate;
pub mod messages;
pub mod mqtt;
pub mod outlets;
pub mod panics;
pub mod pipes;
pub mod probe;
pub mod reconnect;
pub mod report;
pub mod right_of_way;
pub mod turn;
pub mod voice;
pub mod writes;

pub use drive::Stage;

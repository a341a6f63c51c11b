//! The messages, the turn, the probe and the stages: one file a stage, none knowing its neighbours.
//!
//! What a stage is stands in [`drive`]; what flows between them in [`messages`]; in which order they are wired, with
//! which queues between them, only the program knows.

pub mod alerts;
pub mod capture;
pub mod clauses;
pub mod converse;
pub mod decode;
pub mod describe;
pub mod devices;
pub mod drive;
pub mod gather;
pub mod generate;
pub mod home;
mod hush;
pub mod keep;
pub mod listen;
pub mod look;
pub mod messages;
pub mod mqtt;
pub mod newest;
pub mod notes;
pub mod outlets;
pub mod phrase;
pub mod pictures;
pub mod play;
pub mod probe;
pub mod read_mqtt;
pub mod read_text;
pub mod roster;
pub mod schedule;
pub mod speak;
pub mod store;
pub mod tool_calls;
pub mod tools;
pub mod transcribe;
pub mod turn;
pub mod word;

pub use drive::Stage;

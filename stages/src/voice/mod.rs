//! The voice flow: from the microphone to the loudspeaker, in the order of [`crate::messages`].

pub mod capture;
pub mod clauses;
mod clocked;
pub mod connection;
pub mod converse;
pub mod devices;
pub mod echo;
pub mod interjection;
pub mod listen;
mod loudspeaker;
pub mod microphone;
pub mod notes;
pub mod pace;
pub mod phrase;
pub mod play;
pub mod speak;
pub mod speaker;
pub mod spoken;
mod stderr;
pub mod tool_calls;
pub mod tools;
pub mod transcribe;
pub mod turn_end;
pub mod typed;
pub mod volume;
pub mod wake;

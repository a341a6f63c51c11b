//! The stages of Nearfield's flows, one file each, the messages between them, and the thread that runs the language model.
//!
//! ```
//! use nearfield_stages::flow::{Emit, Stage};
//! use nearfield_stages::messages::{Envelope, TextDelta};
//!
//! /// A stage that stands between the language model and the voice: it makes the reply upper case.
//! struct UpperCase;
//!
//! impl Stage for UpperCase {
//!     type In = TextDelta;
//!     type Out = TextDelta;
//!
//!     fn name(&self) -> &'static str {
//!         "upper case"
//!     }
//!
//!     fn step(&mut self, input: Envelope<TextDelta>, emit: &mut Emit<'_, TextDelta>) -> anyhow::Result<()> {
//!         let body = match input.body {
//!             TextDelta::Text(text) => TextDelta::Text(text.to_uppercase()),
//!             other => other,
//!         };
//!         let _ = emit(Envelope::new(input.turn, body)); // `Break` only says that nobody wants more of this turn.
//!         Ok(())
//!     }
//! }
//! ```
//!
//! [`flow`] says what a stage is and drives it, [`messages`] has all message types, [`llm_thread`] the language model. A stage knows no
//! other stage; crate `nearfield` connects them.

pub mod caption;
pub mod flow;
pub mod llm_thread;
pub mod messages;
pub mod mqtt;
pub mod outlets;
pub mod pipes;
pub mod reconnect;
mod redirect;
pub mod remote;
pub mod report;
pub mod voice;
pub mod voice_priority;

pub use flow::Stage;

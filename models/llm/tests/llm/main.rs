//! The language model against plain arithmetic, against the public stories260K model where it is there, and against files
//! that are broken on purpose.

mod architectures;
#[cfg(feature = "grammar")]
mod batch;
mod cache;
#[cfg(feature = "grammar")]
mod constrained;
mod embedder;
mod gemma;
mod hostile;
mod hybrid;
#[cfg(feature = "grammar")]
mod lookahead;
#[cfg(not(feature = "grammar"))]
mod no_grammar;
mod observed;
mod oracle;
mod peer;
mod peer_chat;
#[cfg(feature = "grammar")]
mod schemas;
mod stories;
mod synthetic;
mod talk;
mod templates;
mod vision;
mod vision_files;
mod vision_hostile;

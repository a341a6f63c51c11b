//! The language model against plain arithmetic, against the public stories260K model where it is there, and against files
//! that are broken on purpose.

mod hostile;
mod oracle;
mod stories;
mod synthetic;
mod talk;

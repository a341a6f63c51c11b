//! The language model against plain arithmetic, against the public stories260K model where it is there, and against files
//! that are broken on purpose.

mod oracle;
mod stories;

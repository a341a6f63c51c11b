//! What every flow is made of: stages on threads of their own between bounded queues ([`Stage`], [`drive`]), turns and their
//! cancellation ([`Turns`]), where the time of a turn went ([`Ledger`]), what a stage's panic becomes ([`panics`]), and the writes
//! that a shutdown waits for ([`writes`]).

pub mod fault;
mod newest;
pub mod panics;
mod probe;
mod stage;
mod turn;
pub mod writes;

pub use newest::{Dropped, NewestSender, newest};
pub use probe::{Ledger, StageTimes};
pub(crate) use probe::{Probe, Step};
pub use stage::{Emit, Failure, FlowContext, Output, Stage, drive, drive_into, spawn};
pub use turn::{Turn, Turns};

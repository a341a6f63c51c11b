//! What every flow is made of: a source, stages on threads of their own between bounded queues, and what is told of them
//! ([`Flow`]). A stage ([`Stage`]) knows neither neighbour; turns and their cancellation ([`Turns`], [`Cancel`]), where the time
//! of a turn went ([`Ledger`]), what a panic becomes ([`panics`]), how a flow ends and the writes that its end waits for
//! ([`writes`]) are the flow's.

mod cancel;
mod drive;
mod ending;
pub mod fault;
#[cfg(feature = "fault-injection")]
pub(crate) mod garble;
mod graph;
mod guess;
mod health;
mod newest;
pub mod panics;
mod probe;
mod queue;
mod retry;
mod stage;
mod stop;
mod turn;
pub mod writes;

pub use cancel::Cancel;
pub use ending::AtStop;
pub use graph::{Chain, Flow, FlowEvent};
pub use guess::Guesses;
pub use health::Health;
pub use newest::{Dropped, NewestSender, newest};
pub use probe::{Ledger, StageTimes};
pub use queue::{Output, Queue};
pub use retry::retry;
pub use stage::{Emit, Failure, FlowContext, Stage};
pub use stop::{StopSignal, is_stopped};
pub use turn::{Turn, Turns};

//! The answer of whoever receives a stream: go on, or stop. A model asks it between two steps and obeys; that is the
//! whole of cancellation at this level.

/// What a sink answers to each piece that it is handed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a sink's answer decides whether the work goes on"]
pub enum Flow {
    /// More is wanted.
    Continue,
    /// Nothing further is wanted: stop at the next safe point and keep what is complete.
    Stop,
}

impl Flow {
    /// True for [`Flow::Stop`].
    pub fn is_stop(self) -> bool {
        self == Flow::Stop
    }
}

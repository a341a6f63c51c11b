//! The answer of a sink: go on, or stop. It is how a model is cancelled without knowing who cancels it or why.

/// What a sink answers to each piece it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on computing.
    Continue,
    /// Stop soon; what comes after is no longer wanted.
    Stop,
}

impl Flow {
    /// Whether the answer is [`Flow::Stop`].
    pub fn is_stop(self) -> bool {
        self == Flow::Stop
    }
}

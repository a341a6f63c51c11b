//! The messages, the turn, the probe and the stages.

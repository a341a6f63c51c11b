//! The three applications: each joins its stages, with the queues between them, and ends them.

pub mod caption;
pub mod ending;
pub mod report;
pub mod voice;

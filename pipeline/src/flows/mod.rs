//! The three applications: which stages there are, in what order, with which queues between them.

pub mod caption;
pub mod chat;
pub mod report;
pub mod voice;

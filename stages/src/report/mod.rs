//! The report flow: from the sensors to the report.

pub mod compose;
pub mod persist;
#[cfg(feature = "mqtt")]
pub mod read_mqtt;
mod read_pipe;
mod read_recorder;
pub mod read_text;
pub mod schedule;
pub mod sensors;
pub mod store;
pub mod topic_mapping;
pub mod windower;

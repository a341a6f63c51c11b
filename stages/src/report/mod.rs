//! The report flow: from the sensors to the report.

pub mod gather;
pub mod keep;
pub mod read_mqtt;
pub mod read_text;
pub mod roster;
pub mod schedule;
pub mod store;
pub mod word;

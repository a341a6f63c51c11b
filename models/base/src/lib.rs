//! What Nearfield's crates share and none of them owns: files that are opened within bounds ([`files`]) and replaced whole
//! ([`persist`]), JSON and ranges that are checked ([`json`], [`range`]), how much memory there is ([`memory`]), and how lists are
//! written in a sentence ([`lists`]). Kept small on purpose.

pub mod files;
pub mod json;
pub mod lists;
pub mod memory;
pub mod persist;
pub mod range;

//! What people and programs read: captions, pages, plots, the times of turns, and what goes to a terminal.

pub mod captions;
pub mod plot;
pub mod report_pages;
pub mod table;
pub mod terminal;
pub mod turn_report;

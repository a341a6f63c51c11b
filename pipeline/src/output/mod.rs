//! What people and programs read: captions, pages, plots, the times of turns, and what goes to a terminal.

mod caption_files;
pub mod captions;
pub mod event_page;
mod page_plot;
#[cfg(feature = "plots")]
pub mod plot;
#[cfg(not(feature = "plots"))]
#[path = "plot_left_out.rs"]
pub mod plot;
mod plot_scale;
pub mod progress;
pub mod report_mail;
pub mod report_page;
pub mod report_pages;
mod report_remarks;
pub mod sensor_lines;
pub mod table;
pub mod terminal;
pub mod transcript;
pub mod turn_report;

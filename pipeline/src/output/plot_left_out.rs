//! In place of plots where the feature `plots` is left out: pages of reports have none, and `--plot` is refused.

use anyhow::bail;
use jiff::tz::TimeZone;
use nearfield_stages::messages::WindowSummary;

/// Nothing: a page is complete without its plots.
///
/// # Errors
/// Never.
pub fn svg(_summary: &WindowSummary, _zone: &TimeZone) -> anyhow::Result<String> {
    Ok(String::new())
}

/// There is none.
///
/// # Errors
/// Always.
pub fn png(_summary: &WindowSummary, _zone: &TimeZone) -> anyhow::Result<Vec<u8>> {
    bail!("this build leaves plots out; build Nearfield with the feature `plots`")
}

/// No file is a plot of this program's.
pub fn is_plot(_head: &[u8]) -> bool {
    false
}

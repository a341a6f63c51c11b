//! Round-robin databases as text: what `rrdtool fetch` and `rrdtool dump` print. Of a dump, the first archive that holds averages
//! is read; the others hold the same values at other scales.

use crate::Moment;
use crate::read::time;

/// Data sources of one database.
const MAX_SOURCES: usize = 256;

/// What has been read of it.
#[derive(Debug, Default)]
pub(super) struct Rrd {
    names: Vec<String>,
    archives: u32,
    /// The rows of this archive count.
    counts: bool,
    chosen: bool,
    is_dump: bool,
}

/// Whether a line is one of `rrdtool fetch` or of a dump.
pub(super) fn is_line(text: &str) -> bool {
    fetched(text).is_some() || text.starts_with("<rrd") || (text.starts_with("<!--") && text.contains("<row>"))
}

/// The time and the values of `1773100800: 2.12e+01 -nan`.
fn fetched(text: &str) -> Option<(i64, impl Iterator<Item = &str>)> {
    let (at, values) = text.trim().split_once(": ")?;
    let is_epoch = (9..=10).contains(&at.len()) && at.bytes().all(|b| b.is_ascii_digit());
    let at = at.parse().ok().filter(|_| is_epoch)?;
    let all = values.split_whitespace().all(|v| v.parse::<f64>().is_ok() || v.ends_with("nan"));
    (all && !values.trim().is_empty()).then(|| (at, values.split_whitespace()))
}

impl Rrd {
    /// Reads a line: the key of each value, its text, and when. Answers whether the line was one of such a text.
    pub(super) fn line(&mut self, text: &str, take: &mut dyn FnMut(&str, &str, Moment)) -> bool {
        let text = text.trim();
        if text.starts_with("<?xml") || text.starts_with("<!DOCTYPE") || text.starts_with("<rrd") {
            (self.is_dump, self.names) = (true, Vec::new());
            (self.counts, self.chosen) = (false, false);
            return true;
        }
        if self.is_dump {
            return self.dumped(text, take);
        }
        if let Some((seconds, values)) = fetched(text) {
            let Some(at) = time::epoch(seconds as f64) else { return false };
            self.tell(values, at, take);
            return true;
        }
        let names: Vec<String> = text.split_whitespace().take(MAX_SOURCES).map(str::to_owned).collect();
        if self.names.is_empty() {
            self.names = names;
            return true;
        }
        names == self.names
    }

    /// Hands on the values of one time, each by the name of its source.
    fn tell<'a>(&self, values: impl Iterator<Item = &'a str>, at: Moment, take: &mut dyn FnMut(&str, &str, Moment)) {
        for (i, value) in values.take(MAX_SOURCES).enumerate() {
            match self.names.get(i) {
                Some(name) => take(name, value, at),
                None => take(&format!("source {}", i + 1), value, at),
            }
        }
    }

    fn dumped(&mut self, text: &str, take: &mut dyn FnMut(&str, &str, Moment)) -> bool {
        if let Some(inner) = text.strip_prefix("<name>").and_then(|t| t.split_once("</name>"))
            && self.archives == 0
            && self.names.len() < MAX_SOURCES
        {
            self.names.push(inner.0.trim().to_owned());
        }
        // Also where the element before it ends on the same line.
        if let Some((_, behind)) = text.split_once("<ds><name>") {
            let name = behind.split('<').next().unwrap_or("").trim();
            if self.archives == 0 && !name.is_empty() && self.names.len() < MAX_SOURCES {
                self.names.push(name.to_owned());
            }
        }
        if let Some((_, function)) = text.split_once("<cf>") {
            self.archives += 1;
            self.counts = !self.chosen && function.trim_start().starts_with("AVERAGE");
            self.chosen |= self.counts;
        }
        if let Some(row) = text.strip_prefix("<!--")
            && let Some((stamp, cells)) = row.split_once("--> <row>").or_else(|| row.split_once("--><row>"))
        {
            let seconds = stamp.rsplit('/').next().and_then(|s| s.trim().parse::<i64>().ok());
            let Some(at) = seconds.and_then(|s| time::epoch(s as f64)) else { return false };
            if self.counts {
                let values = cells.split("<v>").skip(1);
                self.tell(values.map(|cell| cell.split("</v>").next().unwrap_or("").trim()), at, take);
            }
        }
        true
    }
}

//! Progress of long computations on stderr: a bar with the time left on a terminal, else a line every few seconds, or nothing with
//! `--quiet`.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

/// Between two lines where stderr is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// A computation of known length.
#[derive(Debug)]
pub struct Progress {
    what: String,
    unit: &'static str,
    bar: Option<ProgressBar>,
    quiet: bool,
    /// What there is to do, and what had been done before this run.
    of: u64,
    before: u64,
    begun: Instant,
    last_line: Instant,
}

impl Progress {
    /// A computation of `of` units (`unit` in the plural), of which an earlier run has done the first `before`.
    pub fn new(what: &str, unit: &'static str, before: u64, of: u64, quiet: bool) -> Self {
        let bar = (!quiet && io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {prefix}, {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ");
            let bar = ProgressBar::new(of).with_style(style).with_message(what.to_owned()).with_prefix(unit);
            bar.set_position(before);
            bar.reset_eta();
            bar
        });
        let now = Instant::now();
        Self { what: what.to_owned(), unit, bar, quiet, of, before, begun: now, last_line: now }
    }

    /// So much is done; `note` says what came of it so far.
    pub fn show(&mut self, done: u64, note: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(format!("{} {note}", self.what));
            return;
        }
        if self.quiet || self.last_line.elapsed() < LINE_INTERVAL || done <= self.before {
            return;
        }
        self.last_line = Instant::now();
        let each = self.begun.elapsed().div_f64((done - self.before) as f64);
        let left = HumanDuration(each.mul_f64(self.of.saturating_sub(done) as f64));
        // Nobody reads it: no reason to stop.
        let _ = writeln!(io::stderr(), "{}: {done} of {} {}, {left} left {note}", self.what, self.of, self.unit);
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

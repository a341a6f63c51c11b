//! When something held: a course of readings against a condition.

use crate::{Moment, Span};

/// When a condition held.
pub(super) struct Held {
    span: Span,
    silence: f64,
    pub(super) spans: Vec<Span>,
    /// When it began to hold, within the time and after it had not held.
    pub(super) begins: Vec<Moment>,
    pub(super) first: Option<Moment>,
    pub(super) low: Option<(f64, Moment)>,
    pub(super) high: Option<(f64, Moment)>,
    pub(super) goes_on: bool,
    /// The last reading: when, and whether it held.
    last: Option<(Moment, bool)>,
}

impl Held {
    pub(super) fn new(span: Span, silence: f64) -> Held {
        Held {
            span,
            silence,
            spans: Vec::new(),
            begins: Vec::new(),
            first: None,
            low: None,
            high: None,
            goes_on: false,
            last: None,
        }
    }

    pub(super) fn push(&mut self, at: Moment, holds: bool, value: f64) {
        self.fill_up_to(at);
        if at >= self.span.from {
            self.first.get_or_insert(at);
            if holds && self.last.is_some_and(|(_, held)| !held) {
                self.begins.push(at);
            }
            if self.low.is_none_or(|(low, _)| value < low) {
                self.low = Some((value, at));
            }
            if self.high.is_none_or(|(high, _)| value > high) {
                self.high = Some((value, at));
            }
        }
        self.last = Some((at, holds));
    }

    /// What held at the last reading holds up to `at`, unless that is long after.
    fn fill_up_to(&mut self, at: Moment) {
        let Some((since, true)) = self.last else { return };
        let until = if at.seconds_since(since) > self.silence { since.plus_seconds(self.silence) } else { at };
        let (from, to) = (since.max(self.span.from), until.min(self.span.to));
        if from >= to {
            return;
        }
        match self.spans.last_mut() {
            Some(last) if last.to == from => last.to = to,
            _ => self.spans.push(Span { from, to }),
        }
    }

    pub(super) fn end(&mut self) {
        self.fill_up_to(self.span.to);
        // A state that was told before the time is known in it, too.
        if let Some((at, _)) = self.last
            && self.silence.is_infinite()
        {
            self.first.get_or_insert(at.max(self.span.from));
        }
        self.goes_on =
            self.last.is_some_and(|(_, held)| held) && self.spans.last().is_some_and(|s| s.to == self.span.to);
    }
}

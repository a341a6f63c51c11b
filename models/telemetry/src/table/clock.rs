//! The times of a window, as its table tells them: minutes, spans, and the heading.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{ClockTime, Digits, Extreme, MAX_STATES, NoteKind, StateLine, States, Times, state_word};
use crate::anomaly::Anomaly;
use crate::clock::spoken;
use crate::course::StateTimes;
use crate::figure::Figure;
use crate::kind::Kind;
use crate::language::Language;
use crate::read::states::of_code;
use crate::{Moment, SensorTraits, Span};

/// Tells the times of a window.
pub(super) struct Clock<'a> {
    span: Span,
    zone: &'a TimeZone,
    pub(super) dates: [Date; 2],
}

impl Clock<'_> {
    pub(super) fn new(span: Span, zone: &TimeZone) -> Clock<'_> {
        let date = |at: Moment| at.timestamp().to_zoned(zone.clone()).date();
        Clock { span, zone, dates: [date(span.from), date(Moment(span.to.0 - 1))] }
    }

    /// Whether the window is a month of the calendar.
    pub(super) fn is_month(&self) -> bool {
        let [first, last] = self.dates;
        first == first.first_of_month() && last == first.last_of_month() && self.span.seconds() > 27.5 * 86_400.0
    }

    fn tells_times(&self) -> bool {
        self.dates[0] == self.dates[1] || self.span.seconds() <= 86_400.0
    }

    fn minute(&self, at: Moment) -> ClockTime {
        let zoned = self.zoned(at);
        // The end of a day is 24:00 of that day, not 00:00 (or what its first instant is called) of the next.
        if at == self.span.to && zoned.date() != self.dates[1] {
            return ClockTime(1440);
        }
        ClockTime(zoned.hour() as u16 * 60 + zoned.minute() as u16)
    }

    fn zoned(&self, at: Moment) -> jiff::Zoned {
        at.timestamp().to_zoned(self.zone.clone())
    }

    pub(super) fn time(&self, at: Moment) -> Option<ClockTime> {
        self.tells_times().then(|| self.minute(at))
    }

    fn times(&self, span: Span) -> Times {
        Some((self.time(span.from)?, self.time(span.to)?))
    }

    pub(super) fn states(&self, states: &StateTimes, traits: &SensorTraits) -> States {
        let is_binary = traits.kind == Some(Kind::Binary);
        let word = |state: f64| match is_binary {
            true => state_word(traits, state > 0.5),
            false => of_code(state),
        };
        let mut order: Vec<_> = states.states.iter().collect();
        order.sort_by(|a, b| match is_binary {
            true => b.state.total_cmp(&a.state),
            false => b.seconds.total_cmp(&a.seconds),
        });
        let lines = order.into_iter().take(MAX_STATES).map(|s| StateLine {
            word: word(s.state),
            lasted: spoken(s.seconds),
            longest: self.times(s.longest),
        });
        States { lines: lines.collect(), changes: states.changes }
    }

    pub(super) fn note(&self, anomaly: &Anomaly, digits: &Digits) -> Option<NoteKind> {
        Some(match *anomaly {
            Anomaly::Spike { value, at, .. } => {
                NoteKind::Spike(Extreme { value: digits.value(value), at: self.time(at) })
            }
            Anomaly::Gap { span } => NoteKind::Gap(self.times(span)),
            Anomaly::Drift { by, from, .. } => {
                let figure = digits.difference(by.abs());
                if figure.is_zero() {
                    return None;
                }
                NoteKind::Drift { up: by > 0.0, by: figure, from: self.time(from) }
            }
            Anomaly::Stuck { value, span } => NoteKind::Stuck(digits.value(value), self.times(span)),
            Anomaly::Above { limit, span, .. } => NoteKind::Above(Figure::exact(limit, 3), self.times(span)),
            Anomaly::Below { limit, span, .. } => NoteKind::Below(Figure::exact(limit, 3), self.times(span)),
        })
    }

    /// The times of both ends, with seconds and the zone where they are needed.
    pub(super) fn ends(&self) -> [String; 2] {
        let ends = [self.span.from, self.span.to].map(|at| self.zoned(at));
        let has_seconds = ends.iter().any(|z| z.second() != 0);
        // Where the clocks change, an hour has no name of its own without the zone's.
        let is_twofold = |z: &jiff::Zoned| self.zone.to_ambiguous_zoned(z.datetime()).is_ambiguous();
        let has_zone = self.span.seconds() < 86_400.0 * 0.9
            && (ends[0].offset() != ends[1].offset() || ends.iter().any(is_twofold));
        [0, 1].map(|end: usize| {
            let (at, zoned) = ([self.span.from, self.span.to][end], &ends[end]);
            let mut text = self.minute(at).to_string();
            if has_seconds {
                text.push_str(&format!(":{:02}", zoned.second()));
            }
            if has_zone {
                text.push_str(&zoned.strftime(" %Z").to_string());
            }
            text
        })
    }
}

/// A window in words.
pub(super) fn heading(language: Language, dates: [Date; 2], [from, to]: &[String; 2]) -> String {
    let [first, last] = dates.map(|date| language.date(date));
    let times = [("from", from.as_str()), ("to", to.as_str())];
    match dates[0] == dates[1] {
        true => language.say("{day}, {from} to {to}", &[&times[..], &[("day", &first)]].concat()),
        false => {
            let days = [("first", first.as_str()), ("last", last.as_str())];
            language.say("{first}, {from} to {last}, {to}", &[&times[..], &days].concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::WindowPlan;

    #[test]
    fn the_heading_tells_the_span_of_every_window() {
        let heading = |length: &str, every: &str, zone: &str, at: &str| {
            let zone = TimeZone::get(zone).unwrap();
            let plan = WindowPlan::new(length.parse().unwrap(), every.parse().unwrap(), zone.clone()).unwrap();
            let at: jiff::Timestamp = at.parse().unwrap();
            let clock = Clock::new(plan.windows_at(at.into())[0], &zone);
            heading(Language::English, clock.dates, &clock.ends())
        };
        let (utc, berlin) = ("UTC", "Europe/Berlin");
        for (length, zone, at, title) in [
            ("1s", utc, "2026-11-20T00:00:00Z", "20 November 2026, 00:00:00 to 00:00:01"),
            ("1s", utc, "2026-11-20T23:59:59Z", "20 November 2026, 23:59:59 to 24:00:00"),
            ("10s", utc, "2026-11-20T14:05:37Z", "20 November 2026, 14:05:30 to 14:05:40"),
            ("59s", utc, "2026-11-20T00:00:07Z", "20 November 2026, 00:00:00 to 00:00:59"),
            ("90s", utc, "2026-11-20T00:01:07Z", "20 November 2026, 00:00:00 to 00:01:30"),
            ("1m", utc, "2026-11-20T00:00:07Z", "20 November 2026, 00:00 to 00:01"),
            ("15m", utc, "2026-11-20T23:50:00Z", "20 November 2026, 23:45 to 24:00"),
            ("1h", "Asia/Kolkata", "2026-11-20T10:40:00Z", "20 November 2026, 16:00 to 17:00"),
            ("1d", utc, "2026-11-20T10:40:00Z", "20 November 2026, 00:00 to 24:00"),
            ("2d", utc, "2026-11-20T10:40:00Z", "19 November 2026, 00:00 to 20 November 2026, 24:00"),
            ("1d", berlin, "2026-10-25T10:00:00Z", "25 October 2026, 00:00 to 24:00"),
            ("1d", berlin, "2026-03-29T10:00:00Z", "29 March 2026, 00:00 to 24:00"),
            ("1h", berlin, "2026-10-25T00:30:00Z", "25 October 2026, 02:00 CEST to 02:00 CET"),
            ("1h", berlin, "2026-10-25T01:30:00Z", "25 October 2026, 02:00 CET to 03:00 CET"),
            ("1h", berlin, "2026-03-29T00:30:00Z", "29 March 2026, 01:00 CET to 03:00 CEST"),
            // Where midnight is skipped, the day before ends all the same.
            ("1d", "Asia/Beirut", "2026-03-28T10:00:00Z", "28 March 2026, 00:00 to 24:00"),
            ("1d", "Asia/Beirut", "2026-03-29T10:00:00Z", "29 March 2026, 01:00 to 24:00"),
            ("1h", "Asia/Beirut", "2026-03-28T21:30:00Z", "28 March 2026, 23:00 EET to 24:00 EEST"),
        ] {
            assert_eq!(heading(length, length, zone, at), title, "{length} at {at} in {zone}");
        }
        let sliding = heading("2h", "1h", utc, "2026-11-21T00:30:00Z");
        assert_eq!(sliding, "20 November 2026, 23:00 to 21 November 2026, 01:00");
    }
}

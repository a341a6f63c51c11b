//! The hours, days, weeks and months that readings lie in.

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::period::{day_name, moment_name};
use super::question::Bucket;
use crate::{Moment, Span};

impl Bucket {
    pub(super) fn name(self) -> &'static str {
        match self {
            Bucket::Hour => "hour",
            Bucket::Day => "day",
            Bucket::Week => "week",
            Bucket::Month => "month",
        }
    }

    /// As in "on Tuesday, 3 March 2026".
    pub(super) fn called(self, begin: Moment, zone: &TimeZone) -> String {
        let at = begin.timestamp().to_zoned(zone.clone());
        match self {
            Bucket::Hour => format!("in the hour from {}", moment_name(begin, zone)),
            Bucket::Day => format!("on {}", day_name(at.date())),
            Bucket::Week => format!("in the week from {}", day_name(at.date())),
            Bucket::Month => format!("in {}", at.strftime("%B %Y")),
        }
    }
}

/// The hour, day, week or month that a moment lies in.
pub(super) fn bucket_of(bucket: Bucket, at: Moment, zone: &TimeZone) -> Span {
    let zoned = at.timestamp().to_zoned(zone.clone());
    let day = zoned.date();
    let start = |day: Date| day.to_zoned(zone.clone()).map_or(at, |z| z.timestamp().into());
    let whole = |from: Date, to: Result<Date, jiff::Error>| Span {
        from: start(from).min(at),
        // At the end of the calendar there is only this moment.
        to: to.map_or(Moment(at.0 + 1), start).max(Moment(at.0 + 1)),
    };
    match bucket {
        Bucket::Hour => {
            let into = f64::from(zoned.minute()) * 60.0
                + f64::from(zoned.second())
                + f64::from(zoned.subsec_nanosecond()) / 1e9;
            let from = at.plus_seconds(-into);
            Span { from, to: from.plus_seconds(3600.0).max(Moment(at.0 + 1)) }
        }
        Bucket::Day => whole(day, day.tomorrow()),
        Bucket::Week => {
            let back = i64::from(day.weekday().to_monday_zero_offset());
            let monday = day.checked_sub(back.days()).unwrap_or(day);
            whole(monday, monday.checked_add(7.days()))
        }
        Bucket::Month => whole(day.first_of_month(), day.first_of_month().checked_add(1.month())),
    }
}

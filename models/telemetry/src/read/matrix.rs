//! Tables with a row a day and a column a time of day, as utilities export load profiles: `Date,00:00,01:00,…`, `00:00 - 00:30`, `H1 … H24`.
//! All of these columns are one sensor, whose readings lie at the times that the titles tell. Where the titles are the ends of intervals (the
//! last is 24:00), a reading lies at the beginning of its own, so that a row's readings all belong to its day.

use super::header::Column;
use super::infer::Part;
use super::number::Marks;

/// Minutes of a day.
const DAY: u32 = 1440;
/// Times of day that make a matrix of a table.
const FEWEST: usize = 12;

/// A column of a matrix, and the minute of the day of its readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) column: usize,
    pub(super) minute: u32,
}

impl Slot {
    /// The time of day as text.
    pub(super) fn clock(self) -> String {
        format!("{:02}:{:02}", self.minute / 60, self.minute % 60)
    }
}

/// What a title tells of the time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    /// A time of day, which may be 24:00.
    Clock(u32),
    /// From here on: the title is an interval.
    Begin(u32),
    /// The number of an hour.
    Hour(u32),
}

fn label(title: &str) -> Option<Label> {
    let title = title.trim();
    if let Some((begin, end)) = title.split_once('-').or_else(|| title.split_once('\u{2013}')) {
        clock(end.trim())?;
        return clock(begin.trim()).map(Label::Begin);
    }
    if let Some(minute) = clock(title) {
        return Some(Label::Clock(minute));
    }
    let lower = title.to_lowercase();
    let digits = ["hour ", "hour", "he", "h"].iter().find_map(|p| lower.strip_prefix(p)).unwrap_or(&lower);
    let is_number = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|n| is_number && *n <= 24).map(Label::Hour)
}

/// Minutes of `7:30`, `07:30`, `07:30:00`.
fn clock(text: &str) -> Option<u32> {
    let mut parts = text.split(':');
    let mut number = |least: usize| {
        let part = parts.next()?;
        let is_number = (least..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        if is_number { part.parse::<u32>().ok() } else { None }
    };
    let (hour, minute) = (number(1)?, number(2)?);
    let is_end = match parts.next() {
        None | Some("00") => parts.next().is_none(),
        _ => false,
    };
    (is_end && minute < 60 && hour * 60 + minute <= DAY).then_some(hour * 60 + minute)
}

/// The columns of the times of day; empty: the table is no matrix.
pub(super) fn slots(columns: &[Column]) -> Vec<Slot> {
    let labels: Vec<(usize, Label)> =
        columns.iter().enumerate().filter_map(|(c, column)| Some((c, label(&column.title)?))).collect();
    let hours = labels.iter().filter(|(_, l)| matches!(l, Label::Hour(_))).count();
    if labels.len() < FEWEST || (hours > 0 && (hours < labels.len() || hours != 24)) {
        return Vec::new();
    }
    let minutes: Vec<u32> = labels
        .iter()
        .map(|(_, label)| match label {
            Label::Clock(minute) | Label::Begin(minute) => *minute,
            Label::Hour(hour) => hour * 60,
        })
        .collect();
    let step = minutes[1].saturating_sub(minutes[0]);
    // `01:00 … 23:00, 00:00`: the last is the midnight at the day's end.
    let last = minutes.len() - 1;
    let ends = minutes[last] == DAY || (minutes[last] == 0 && minutes[0] == step);
    let told = |i: usize| if i == last && ends { DAY } else { minutes[i] };
    if step == 0 || (1..=last).any(|i| told(i) != told(i - 1) + step) {
        return Vec::new();
    }
    let shift = if ends { step } else { 0 };
    if step * minutes.len() as u32 != DAY || told(0) < shift || told(last) - shift >= DAY {
        return Vec::new();
    }
    labels.iter().enumerate().map(|(i, (column, _))| Slot { column: *column, minute: told(i) - shift }).collect()
}

/// The columns of one sensor are read alike: a column in which no value shows its marks has those of the others.
pub(super) fn unite(slots: &[Slot], parts: &mut [Part]) {
    let marks = slots.iter().find_map(|slot| match parts[slot.column] {
        Part::Numbers(marks, _) if marks != Marks::Unknown => Some(marks),
        _ => None,
    });
    for slot in slots {
        if let Part::Numbers(own, _) = &mut parts[slot.column]
            && *own == Marks::Unknown
        {
            *own = marks.unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(titles: &[String]) -> Vec<u32> {
        let columns: Vec<Column> = std::iter::once("Date")
            .chain(titles.iter().map(String::as_str))
            .map(|title| Column { title: title.to_owned(), ..Column::default() })
            .collect();
        slots(&columns).into_iter().map(|slot| slot.minute).collect()
    }

    #[test]
    fn titles_that_are_times_of_day_make_a_matrix() {
        let hours: Vec<u32> = (0..24).map(|h| h * 60).collect();
        let of =
            |title: &dyn Fn(u32) -> String, range: std::ops::Range<u32>| minutes(&range.map(title).collect::<Vec<_>>());
        assert_eq!(of(&|h| format!("{h:02}:00"), 0..24), hours);
        assert_eq!(of(&|h| format!("{h}:00:00"), 0..24), hours);
        assert_eq!(of(&|h| format!("{h:02}:00"), 1..25), hours, "ends of intervals");
        assert_eq!(of(&|h| format!("{:02}:00", h % 24), 1..25), hours, "the last is midnight");
        assert_eq!(of(&|h| format!("H{h}"), 1..25), hours);
        assert_eq!(of(&|h| h.to_string(), 0..24), hours);
        let half = |i: u32| format!("{:02}:{:02} - {:02}:{:02}", i / 2, i % 2 * 30, i.div_ceil(2), (i + 1) % 2 * 30);
        assert_eq!(of(&half, 0..48), (0..48).map(|i| i * 30).collect::<Vec<_>>());
        for titles in [vec!["1"; 24], vec!["00:00"; 24], vec!["temp"; 24]] {
            let titles: Vec<String> = titles.into_iter().map(str::to_owned).collect();
            assert!(minutes(&titles).is_empty(), "{titles:?}");
        }
        assert!(of(&|h| h.to_string(), 0..20).is_empty(), "twenty channels are no hours");
        assert!(of(&|h| format!("{h:02}:00"), 6..19).is_empty(), "half a day");
    }
}

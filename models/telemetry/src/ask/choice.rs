//! Answers that set times side by side: which day had the most, and one time against another.

use std::collections::BTreeMap;

use super::answer::{Answer, Replier};
use super::bucket::bucket_of;
use super::level::{BEFORE_SECONDS, Level};
use super::period::{Period, moment_name};
use super::question::{Bucket, By};
use crate::figure::Figure;
use crate::kind::Kind;
use crate::table::Spaced;
use crate::{Moment, Span};

/// A day with less than this share of the usual readings is not compared with others.
const MIN_SHARE: f64 = 0.5;
/// A silence of ten usual pauses through this: readings that begin so much into a day leave some of it out.
const LATE: f64 = 4.0;

/// A day, week or the like with its readings.
struct Part {
    span: Span,
    level: Level,
}

impl<E> Replier<'_, '_, E> {
    /// The hours, days, weeks or months of the time that is asked for, as far as they have readings, and whether each is whole.
    fn parts(&mut self, bucket: Bucket) -> Result<Vec<(Part, bool)>, E> {
        let span = self.question.period.as_ref().map_or(self.until_now(), |p| p.span);
        let zone = self.zone.clone();
        // What is counted begins with the reading before, also before the first of them.
        let mut before = self.reading_before(span.from)?;
        let is_known_before = before.is_some();
        let mut parts: Vec<Part> = Vec::new();
        (self.read)(self.question.sensor, span, &mut |at, value| {
            // Readings come in order: the bucket is looked up when it changes.
            if !parts.last().is_some_and(|part| part.span.from <= at && at < part.span.to) {
                let of = bucket_of(bucket, at, &zone);
                let begin = of.from.max(span.from);
                let recent = before.filter(|(at, _)| begin.seconds_since(*at) <= BEFORE_SECONDS);
                parts.push(Part { span: of, level: Level::after(recent.map(|(_, value)| value)) });
            }
            if let Some(part) = parts.last_mut() {
                part.level.push(at, value);
            }
            before = Some((at, value));
        })?;
        let Some(first) = parts.first() else { return Ok(Vec::new()) };
        // Readings that begin in the middle of a day do not make it whole.
        let late = match first.level.first {
            Some(at) if !is_known_before => at.seconds_since(first.span.from) > self.silence(first.span)? / LATE,
            _ => false,
        };
        let whole =
            |at: usize, part: &Part| part.span.from >= span.from && part.span.to <= span.to && !(at == 0 && late);
        Ok(parts
            .into_iter()
            .enumerate()
            .map(|(at, part)| {
                let is_whole = whole(at, &part);
                (part, is_whole)
            })
            .collect())
    }

    pub(super) fn which(&mut self, bucket: Bucket, by: By, most: bool) -> Result<Answer, E> {
        let parts = self.parts(bucket)?;
        let first = parts.first().and_then(|(part, _)| part.level.first);
        let label = match &self.question.period {
            Some(period) => period.label.clone(),
            None => self.since(first),
        };
        if parts.is_empty() {
            return self.nothing(&label);
        }
        let unit_name = bucket.name();
        // A day that is not over has the highest value or the most all the same, but no lowest sum and no mean to compare.
        let any_part = by == By::Extreme || (by == By::Sum && most && self.kind != Some(Kind::Total));
        let (parts, cut): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(_, whole)| *whole || any_part);
        let mut buckets: BTreeMap<Moment, Level> =
            parts.into_iter().map(|(part, _)| (part.span.from, part.level)).collect();
        let mut counts: Vec<u64> = buckets.values().map(|level| level.count).collect();
        counts.sort_unstable();
        let Some(usual) = counts.get(counts.len() / 2).copied() else {
            let text = format!("The {} has no whole {unit_name} {label}, so none is compared.", self.traits.name);
            return Ok(Answer {
                text,
                value: None,
                unit: self.traits.unit.clone(),
                at: None,
                sensor: self.question.sensor,
            });
        };
        let all = buckets.len();
        buckets.retain(|_, level| level.count as f64 >= usual as f64 * MIN_SHARE);
        let left_out = |n: usize, why: [&str; 2]| match n {
            0 => String::new(),
            1 => format!(" One {unit_name} {} left out.", why[0]),
            n => format!(" {n} {unit_name}s {} left out.", why[1]),
        };
        let left_out = left_out(cut.len(), ["that is not whole is", "that are not whole are"])
            + &left_out(all - buckets.len(), ["with few readings is", "with few readings are"]);
        let kind = self.kind;
        let figure = |level: &Level| match by {
            By::Mean => level.mean(kind),
            By::Sum => level.summed(kind),
            By::Extreme => level.high.filter(|_| most).or(level.low).map_or(0.0, |(value, _)| value),
        };
        let compare = |a: &(&Moment, &Level), b: &(&Moment, &Level)| figure(a.1).total_cmp(&figure(b.1));
        let found = match most {
            true => buckets.iter().max_by(|a, b| compare(a, b).then(b.0.cmp(a.0))),
            false => buckets.iter().min_by(|a, b| compare(a, b)),
        };
        let Some((begin, level)) = found else { return self.nothing(&label) };
        let Some((low, high)) = level.low.zip(level.high) else { return self.nothing(&label) };
        let (name, unit) = (&self.traits.name, Spaced(&self.traits.unit));
        let digits = self.digits(low.0, high.0, &level.resolution);
        let word = if most { "highest" } else { "lowest" };
        let value = figure(level);
        let shown = |level: &Level| match by {
            By::Sum => self.counted(figure(level), level),
            _ => Figure::exact(figure(level), digits),
        };
        let told_of = |level: &Level| shown(level).value();
        let (alike, shown) = (buckets.values().filter(|other| told_of(other) == told_of(level)).count(), shown(level));
        let told = match by {
            By::Mean => format!("its mean was {shown}{unit}"),
            By::Sum => format!("it counted {shown}{unit}"),
            By::Extreme => {
                let at = if most { high.1 } else { low.1 };
                let time = match bucket {
                    Bucket::Hour | Bucket::Day => {
                        format!("at {}", at.timestamp().to_zoned(self.zone.clone()).strftime("%H:%M"))
                    }
                    Bucket::Week | Bucket::Month => format!("on {}", moment_name(at, self.zone)),
                };
                format!("{shown}{unit} {time}")
            }
        };
        let all = buckets.len();
        let of = if all == 1 { format!("1 {unit_name}") } else { format!("{all} {unit_name}s") };
        // What is told as the same is no highest.
        let others = alike.saturating_sub(1);
        if others > 0 && others + 1 == all {
            let same = if by == By::Sum { "counted the same" } else { "was the same" };
            let text = format!("Of {of} {label}, none stands out: the {name} {same} in each, {shown}{unit}.{left_out}");
            return Ok(Answer { at: None, ..self.told(text, value) });
        }
        let alike = match others {
            0 => String::new(),
            1 => format!(" One other {unit_name} was the same."),
            n => format!(" {n} other {unit_name}s were the same."),
        };
        let when = bucket.called(*begin, self.zone);
        let text = format!("Of {of} {label}, the {name} was {word} {when}: {told}.{alike}{left_out}");
        Ok(Answer { at: Some(*begin), ..self.told(text, value) })
    }

    pub(super) fn compare(&mut self, other: Period, by: By, supposed: Option<bool>) -> Result<Answer, E> {
        let (first, first_label) = self.level_of(self.question.period.clone())?;
        if first.count == 0 {
            return self.nothing(&first_label);
        }
        // Days differ by an hour where clocks are changed.
        let lengths = self.question.period.as_ref().map(|first| first.span.seconds() / other.span.seconds());
        let is_uneven = by == By::Sum && lengths.is_none_or(|share| !(0.9..=1.1).contains(&share));
        let (second, second_label) = self.level_of(Some(other))?;
        if second.count == 0 {
            return self.nothing(&second_label);
        }
        let kind = self.kind;
        let figure = |level: &Level| if by == By::Sum { level.summed(kind) } else { level.mean(kind) };
        let (a, b) = (figure(&first), figure(&second));
        let (low, high) = (a.min(b), a.max(b));
        let digits = match by {
            By::Sum => first.resolution.decimals().max(second.resolution.decimals()),
            _ => {
                let resolution = if first.resolution.decimals() > second.resolution.decimals() {
                    first.resolution
                } else {
                    second.resolution
                };
                self.digits(low, high, &resolution)
            }
        };
        let digits = self.traits.decimals.unwrap_or(digits);
        let (a, b) = (Figure::exact(a, digits), Figure::exact(b, digits));
        // The difference is that of the figures that are told.
        let difference = Figure::exact(a.value() - b.value(), digits);
        let by_how_much = difference.abs();
        let difference = difference.value();
        let unit = Spaced(&self.traits.unit);
        let verdict = match (supposed, difference) {
            (None, _) => "",
            (Some(more), d) if (more && d > 0.0) || (!more && d < 0.0) => "Yes: the ",
            (Some(_), 0.0) => "Neither: the ",
            (Some(_), _) => "No: the ",
        };
        let opening = if verdict.is_empty() { "The " } else { verdict };
        let what = if by == By::Sum { "counted" } else { "averaged" };
        let than = match difference {
            0.0 => "as much".to_owned(),
            d => {
                // 5 % more of 40 % would be 42 %.
                let unit = if self.traits.unit == "%" { Spaced("percentage points") } else { unit };
                format!("{by_how_much}{unit} {}", if d > 0.0 { "more" } else { "less" })
            }
        };
        let text = format!(
            "{opening}{} {what} {a}{unit} {first_label} and {b}{unit} {second_label}: {than}.",
            self.traits.name
        );
        let uneven = if is_uneven { " The two times are not equally long." } else { "" };
        Ok(self.told(text + uneven, difference))
    }
}

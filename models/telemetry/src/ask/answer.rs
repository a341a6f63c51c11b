//! Answers, computed from readings: a sentence in which every number is the store's own, and the bare value for programs.

use std::collections::BTreeMap;

use jiff::Zoned;
use jiff::tz::TimeZone;

use super::bucket::bucket_of;
use super::held::Held;
use super::level::Level;
use super::period::{Period, day_name, moment_name};
use super::question::{Bucket, By, Condition, Question, What, kind_of};
use crate::clock::spoken;
use crate::course::Resolution;
use crate::figure::{Figure, decimals_for};
use crate::kind::Kind;
use crate::read::states::of_code;
use crate::table::{Spaced, digits_between, state_word};
use crate::{Moment, SensorTraits, Span};

/// Reads a sensor's readings of a time, in the order of time.
pub type ReadSensor<'a, E> = dyn FnMut(usize, Span, &mut dyn FnMut(Moment, f64)) -> Result<(), E> + 'a;

/// A sensor that says nothing for so many usual pauses is not known to go on as it was.
const MOST_PAUSES: f64 = 10.0;
/// Nor for longer than this, whatever is usual.
const MIN_SILENCE_SECONDS: f64 = 900.0;
/// Pauses that are looked at to know the usual one.
const PAUSES: usize = 1001;
/// A day with less than this share of the usual readings is not compared with others.
const MIN_SHARE: f64 = 0.5;

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// One or two sentences.
    pub text: String,
    /// The figure or duration (in seconds) that was asked for; of yes or no 1 or 0. `None`: there are no readings to tell it by.
    pub value: Option<f64>,
    /// The unit of the value; `s` of durations.
    pub unit: String,
}

/// Computes an answer at `now`; `read` gives the readings of one of the `sensors`.
///
/// # Errors
/// Those of `read`.
pub fn answer<E>(
    question: &Question,
    sensors: &[SensorTraits],
    now: &Zoned,
    read: &mut ReadSensor<'_, E>,
) -> Result<Answer, E> {
    let traits = &sensors[question.sensor];
    let mut replier = Replier { question, traits, kind: kind_of(traits), zone: now.time_zone(), now, read };
    replier.answer()
}

struct Replier<'a, 'r, E> {
    question: &'a Question,
    traits: &'a SensorTraits,
    kind: Option<Kind>,
    zone: &'a TimeZone,
    now: &'a Zoned,
    read: &'a mut ReadSensor<'r, E>,
}

impl<E> Replier<'_, '_, E> {
    fn answer(&mut self) -> Result<Answer, E> {
        let name = self.traits.name.clone();
        match self.question.what.clone() {
            What::Now => self.newest(),
            What::At(at) => self.value_at(at),
            What::Summary | What::Mean | What::Extreme(_) => {
                let (level, label) = self.level_of(self.question.period.clone())?;
                let Some((low, high)) = level.low.zip(level.high) else { return self.nothing(&label) };
                let digits = self.digits(low.0, high.0, &level.resolution);
                let unit = Spaced(&self.traits.unit);
                let of = |value: f64| format!("{}{unit}", Figure::exact(value, digits));
                let mean = level.mean(self.kind);
                Ok(match self.question.what {
                    What::Extreme(highest) => {
                        let (word, (value, at)) = if highest { ("highest", high) } else { ("lowest", low) };
                        self.told(format!("The {word} {name} {label} was {}, {}.", of(value), self.when(at)), value)
                    }
                    What::Mean => self.told(format!("The {name} averaged {} {label}.", of(mean)), mean),
                    _ if low.0 == high.0 => {
                        self.told(format!("The {name} was {} all the time {label}.", of(mean)), mean)
                    }
                    _ => {
                        let (low_at, high_at) = (self.when(low.1), self.when(high.1));
                        let span = format!("between {} {low_at} and {} {high_at}", of(low.0), of(high.0));
                        self.told(format!("The {name} averaged {} {label}, {span}.", of(mean)), mean)
                    }
                })
            }
            What::Sum => {
                let (level, label) = self.level_of(self.question.period.clone())?;
                if level.count == 0 {
                    return self.nothing(&label);
                }
                let sum = level.summed(self.kind);
                let resets = match level.growth.resets {
                    0 => "",
                    _ if self.kind == Some(Kind::Amount) => "",
                    _ => ", resets left out",
                };
                let text = format!(
                    "The {name} counted {}{} {label}{resets}.",
                    self.counted(sum, &level),
                    Spaced(&self.traits.unit)
                );
                Ok(self.told(text, sum))
            }
            What::Count(condition) => self.count(&condition),
            What::Lasted(condition) => self.lasted(&condition),
            What::Last(condition, begins) => self.last(&condition, begins),
            What::Is(condition) => self.is(&condition),
            What::Was(condition) => self.was(&condition),
            What::Which(bucket, by, most) => self.which(bucket, by, most),
            What::Compare(other, by, supposed) => self.compare(other, by, supposed),
        }
    }

    fn told(&self, text: String, value: f64) -> Answer {
        Answer { text, value: Some(value), unit: self.traits.unit.clone() }
    }

    fn seconds(&self, text: String, seconds: f64) -> Answer {
        Answer { text, value: Some(seconds), unit: "s".to_owned() }
    }

    fn bare(&self, text: String, value: f64) -> Answer {
        Answer { text, value: Some(value), unit: String::new() }
    }

    fn digits(&self, low: f64, high: f64, resolution: &Resolution) -> u8 {
        self.traits.decimals.unwrap_or_else(|| digits_between(low, high, resolution.decimals()))
    }

    fn counted(&self, sum: f64, level: &Level) -> Figure {
        Figure::exact(sum, self.traits.decimals.unwrap_or(level.resolution.decimals()))
    }

    fn value(&self, value: f64) -> String {
        match self.kind {
            Some(Kind::Binary) => state_word(self.traits, value > 0.5),
            Some(Kind::States) => of_code(value),
            _ => {
                let mut resolution = Resolution::default();
                resolution.push(value);
                let digits = self.traits.decimals.unwrap_or(resolution.decimals().min(decimals_for(value).max(1)));
                format!("{}{}", Figure::exact(value, digits), Spaced(&self.traits.unit))
            }
        }
    }

    /// Whether the time that is asked for lies within one day, which its name says.
    fn is_one_day(&self) -> bool {
        let date = |at: Moment| at.timestamp().to_zoned(self.zone.clone()).date();
        self.question.period.as_ref().is_some_and(|p| date(p.span.from) == date(Moment(p.span.to.0 - 1)))
    }

    /// A moment of the time that is asked for, as in "Tuesday, 3 March 2026 at 14:00"; of one day, as in "14:00".
    fn point(&self, at: Moment) -> String {
        match self.is_one_day() {
            // The end of a day is 24:00, not 00:00 of the next.
            true if self
                .question
                .period
                .as_ref()
                .is_some_and(|p| p.span.to == at && at.timestamp() != self.now.timestamp()) =>
            {
                let time = at.timestamp().to_zoned(self.zone.clone()).strftime("%H:%M").to_string();
                if time == "00:00" { "24:00".to_owned() } else { time }
            }
            true => at.timestamp().to_zoned(self.zone.clone()).strftime("%H:%M").to_string(),
            false => moment_name(at, self.zone),
        }
    }

    /// The same with its preposition.
    fn when(&self, at: Moment) -> String {
        format!("{} {}", if self.is_one_day() { "at" } else { "on" }, self.point(at))
    }

    fn until_now(&self) -> Span {
        Span { from: Moment(i64::MIN), to: self.now.timestamp().into() }
    }

    /// The figures of a time, and what it is called; without a time, of all that is known.
    fn level_of(&mut self, period: Option<Period>) -> Result<(Level, String), E> {
        let span = period.as_ref().map_or(self.until_now(), |p| p.span);
        // What a total counts begins with the reading before, if that is recent.
        let mut level = Level::default();
        if self.kind.is_some_and(Kind::is_total) && period.is_some() {
            let before = Span { from: span.from.plus_seconds(-86_400.0), to: span.from };
            let mut last = None;
            (self.read)(self.question.sensor, before, &mut |_, value| last = Some(value))?;
            level = Level::after(last);
        }
        (self.read)(self.question.sensor, span, &mut |at, value| level.push(at, value))?;
        let label = match period {
            Some(period) => period.label,
            None => self.since(level.first),
        };
        Ok((level, label))
    }

    fn since(&self, first: Option<Moment>) -> String {
        let day = |at: Moment| at.timestamp().to_zoned(self.zone.clone()).date();
        first.map_or("so far".to_owned(), |at| format!("since {}", day_name(day(at))))
    }

    fn newest_reading(&mut self) -> Result<Option<(f64, Moment)>, E> {
        let (mut last, all) = (None, self.until_now());
        (self.read)(self.question.sensor, all, &mut |at, value| last = Some((value, at)))?;
        Ok(last)
    }

    fn nothing(&mut self, label: &str) -> Result<Answer, E> {
        let name = &self.traits.name.clone();
        let text = match self.newest_reading()? {
            None => format!("The {name} has no readings."),
            Some((_, at)) => {
                format!("The {name} has no readings {label}; its newest is of {}.", moment_name(at, self.zone))
            }
        };
        Ok(Answer { text, value: None, unit: self.traits.unit.clone() })
    }

    fn newest(&mut self) -> Result<Answer, E> {
        let Some((value, at)) = self.newest_reading()? else { return self.nothing("") };
        let text = format!("The {} was {} on {}.", self.traits.name, self.value(value), moment_name(at, self.zone));
        Ok(self.told(text, value))
    }

    fn value_at(&mut self, at: Moment) -> Result<Answer, E> {
        let silence = self.silence(Span { from: at.plus_seconds(-86_400.0), to: at.plus_seconds(1.0) })?;
        let mut last = None;
        let span = Span { from: at.plus_seconds(-silence), to: at.plus_seconds(1e-6) };
        (self.read)(self.question.sensor, span, &mut |when, value| last = Some((value, when)))?;
        let Some((value, when)) = last else {
            return self.nothing(&format!("around {}", moment_name(at, self.zone)));
        };
        let text = format!("The {} was {} on {}.", self.traits.name, self.value(value), moment_name(when, self.zone));
        Ok(self.told(text, value))
    }

    /// For how long a reading holds if none follows.
    fn silence(&mut self, span: Span) -> Result<f64, E> {
        if self.kind.is_some_and(Kind::is_state) {
            // States are told when they change.
            return Ok(f64::INFINITY);
        }
        let mut pauses: Vec<f64> = Vec::new();
        let mut last: Option<Moment> = None;
        (self.read)(self.question.sensor, span, &mut |at, _| {
            if let Some(last) = last.replace(at)
                && pauses.len() < PAUSES
            {
                pauses.push(at.seconds_since(last));
            }
        })?;
        pauses.sort_by(f64::total_cmp);
        let usual = self.traits.every_seconds.or(pauses.get(pauses.len() / 2).copied()).unwrap_or(0.0);
        Ok((usual * MOST_PAUSES).max(MIN_SILENCE_SECONDS))
    }

    /// When a condition held within a time, as a course of 0 and 1; gaps belong to neither. And what the time is called.
    fn course(&mut self, condition: &Condition) -> Result<(Held, String), E> {
        let all = self.until_now();
        let span = self.question.period.as_ref().map_or(all, |p| p.span);
        let silence = self.silence(span)?;
        // A state of before goes on into the time.
        let back = if silence.is_finite() { span.from.plus_seconds(-silence) } else { all.from };
        let mut held = Held::new(span, silence);
        let meets = |value: f64| match condition {
            Condition::Above(limit) => value > *limit,
            Condition::Below(limit) => value < *limit,
            Condition::State(state, _) => value == *state,
        };
        (self.read)(self.question.sensor, Span { from: back, to: span.to }, &mut |at, value| {
            held.push(at, meets(value), value)
        })?;
        held.end();
        let label = match &self.question.period {
            Some(period) => period.label.clone(),
            None => self.since(held.first),
        };
        Ok((held, label))
    }

    /// As in `was open` or `was above 8 °C`.
    fn phrase(&self, condition: &Condition) -> String {
        let limit = |value: f64| {
            let mut resolution = Resolution::default();
            resolution.push(value);
            format!("{}{}", Figure::exact(value, resolution.decimals()), Spaced(&self.traits.unit))
        };
        match condition {
            Condition::Above(value) => format!("above {}", limit(*value)),
            Condition::Below(value) => format!("below {}", limit(*value)),
            Condition::State(_, word) => word.clone(),
        }
    }

    fn count(&mut self, condition: &Condition) -> Result<Answer, E> {
        let (held, label) = self.course(condition)?;
        if held.first.is_none() {
            return self.nothing(&label);
        }
        let n = held.begins.len();
        let verb = match condition {
            Condition::Above(_) => "rose",
            Condition::Below(_) => "fell",
            Condition::State(_, word) if matches!(word.as_str(), "on" | "off") => "went",
            Condition::State(..) => "became",
        };
        let (name, phrase) = (&self.traits.name, self.phrase(condition));
        let text = match n {
            0 => format!("The {name} never {verb} {phrase} {label}."),
            1 => format!("The {name} {verb} {phrase} once {label}."),
            2 => format!("The {name} {verb} {phrase} twice {label}."),
            n => format!("The {name} {verb} {phrase} {n} times {label}."),
        };
        Ok(self.bare(text, n as f64))
    }

    fn lasted(&mut self, condition: &Condition) -> Result<Answer, E> {
        let (held, label) = self.course(condition)?;
        if held.first.is_none() {
            return self.nothing(&label);
        }
        let (name, phrase) = (&self.traits.name, self.phrase(condition));
        let total: f64 = held.spans.iter().map(|s| s.seconds()).sum();
        let longest = held.spans.iter().max_by(|a, b| a.seconds().total_cmp(&b.seconds()));
        let text = match longest {
            None => format!("The {name} was not {phrase} {label}."),
            Some(_) if held.spans.len() == 1 => format!(
                "The {name} was {phrase} for {} {label}, from {} to {}.",
                spoken(total),
                self.point(held.spans[0].from),
                self.point(held.spans[0].to)
            ),
            Some(longest) => format!(
                "The {name} was {phrase} for {} {label}, in {} stretches; the longest, of {}, began {}.",
                spoken(total),
                held.spans.len(),
                spoken(longest.seconds()),
                self.when(longest.from)
            ),
        };
        Ok(self.seconds(text, total))
    }

    fn last(&mut self, condition: &Condition, begins: bool) -> Result<Answer, E> {
        let (held, label) = self.course(condition)?;
        if held.first.is_none() {
            return self.nothing(&label);
        }
        let (name, phrase) = (&self.traits.name, self.phrase(condition));
        let Some(last) = held.spans.last() else {
            return Ok(Answer {
                text: format!("The {name} was not {phrase} {label}."),
                value: None,
                unit: "s".to_owned(),
            });
        };
        let seconds = last.from.0 as f64 / 1e6;
        let became = if matches!(phrase.as_str(), "on" | "off") { "went" } else { "became" };
        let text = match (begins, held.begins.last(), held.goes_on) {
            (true, Some(at), _) => format!("The {name} last {became} {phrase} {}.", self.when(*at)),
            (true, None, _) => format!("The {name} has been {phrase} since before {}.", self.point(last.from)),
            (false, _, true) => format!("The {name} is {phrase} now, since {}.", self.point(last.from)),
            (false, ..) => {
                format!("The {name} was last {phrase} from {} to {}.", self.point(last.from), self.point(last.to))
            }
        };
        Ok(self
            .seconds(text, if begins { held.begins.last().map_or(seconds, |at| at.0 as f64 / 1e6) } else { seconds }))
    }

    fn is(&mut self, condition: &Condition) -> Result<Answer, E> {
        let Some((value, at)) = self.newest_reading()? else { return self.nothing("") };
        let holds = match condition {
            Condition::Above(limit) => value > *limit,
            Condition::Below(limit) => value < *limit,
            Condition::State(state, _) => value == *state,
        };
        let (name, phrase, told) = (&self.traits.name, self.phrase(condition), self.value(value));
        let when = moment_name(at, self.zone);
        let text = match (holds, condition) {
            (true, Condition::State(..)) => format!("Yes, the {name} is {phrase}: it was so on {when}."),
            (false, Condition::State(..)) => format!("No, the {name} is {told}: it was so on {when}."),
            (true, _) => format!("Yes, the {name} is {phrase}: it was {told} on {when}."),
            (false, _) => format!("No, the {name} is not {phrase}: it was {told} on {when}."),
        };
        Ok(self.bare(text, f64::from(u8::from(holds))))
    }

    fn was(&mut self, condition: &Condition) -> Result<Answer, E> {
        let (held, label) = self.course(condition)?;
        let (name, phrase) = (self.traits.name.clone(), self.phrase(condition));
        let Some((low, high)) = held.low.zip(held.high) else { return self.nothing(&label) };
        if let Some(first) = held.spans.first() {
            let total: f64 = held.spans.iter().map(|s| s.seconds()).sum();
            let when = self.when(first.from);
            let text = format!("Yes: the {name} was {phrase} for {} {label}, first {when}.", spoken(total));
            return Ok(self.bare(text, 1.0));
        }
        let but = match condition {
            Condition::Above(_) => format!("; its highest was {} {}", self.value(high.0), self.when(high.1)),
            Condition::Below(_) => format!("; its lowest was {} {}", self.value(low.0), self.when(low.1)),
            Condition::State(..) => String::new(),
        };
        Ok(self.bare(format!("No: the {name} was not {phrase} {label}{but}."), 0.0))
    }

    fn which(&mut self, bucket: Bucket, by: By, most: bool) -> Result<Answer, E> {
        let span = self.question.period.as_ref().map_or(self.until_now(), |p| p.span);
        let zone = self.zone.clone();
        let mut buckets: BTreeMap<Moment, Level> = BTreeMap::new();
        // Readings come in order: the bucket is looked up when it changes.
        let mut current: Option<(Span, Level)> = None;
        let mut before = None;
        (self.read)(self.question.sensor, span, &mut |at, value| {
            let is_in = |of: &Span| of.from <= at && at < of.to;
            if !current.as_ref().is_some_and(|(of, _)| is_in(of)) {
                let level = Level::after(before);
                if let Some((of, done)) = current.replace((bucket_of(bucket, at, &zone), level)) {
                    buckets.insert(of.from, done);
                }
            }
            if let Some((_, level)) = &mut current {
                level.push(at, value);
            }
            before = Some(value);
        })?;
        if let Some((of, done)) = current {
            buckets.insert(of.from, done);
        }
        let first = buckets.values().next().and_then(|level| level.first);
        let label = match &self.question.period {
            Some(period) => period.label.clone(),
            None => self.since(first),
        };
        let mut counts: Vec<u64> = buckets.values().map(|level| level.count).collect();
        counts.sort_unstable();
        let Some(usual) = counts.get(counts.len() / 2).copied() else { return self.nothing(&label) };
        let all = buckets.len();
        buckets.retain(|_, level| level.count as f64 >= usual as f64 * MIN_SHARE);
        let unit_name = bucket.name();
        let left_out = match all - buckets.len() {
            0 => String::new(),
            1 => format!(" One {unit_name} with few readings is left out."),
            n => format!(" {n} {unit_name}s with few readings are left out."),
        };
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
        let told = match by {
            By::Mean => format!("its mean was {}{unit}", Figure::exact(value, digits)),
            By::Sum => format!("it counted {}{unit}", self.counted(value, level)),
            By::Extreme => {
                let at = if most { high.1 } else { low.1 };
                let time = at.timestamp().to_zoned(zone.clone()).strftime("%H:%M").to_string();
                format!("{}{unit} at {time}", Figure::exact(value, digits))
            }
        };
        let when = bucket.called(*begin, &zone);
        let of = if buckets.len() == 1 { format!("1 {unit_name}") } else { format!("{} {unit_name}s", buckets.len()) };
        let text = format!("Of {of} {label}, the {name} was {word} {when}: {told}.{left_out}");
        Ok(self.told(text, value))
    }

    fn compare(&mut self, other: Period, by: By, supposed: Option<bool>) -> Result<Answer, E> {
        let (first, first_label) = self.level_of(self.question.period.clone())?;
        if first.count == 0 {
            return self.nothing(&first_label);
        }
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
        let difference = a.value() - b.value();
        let by_how_much = Figure::exact(difference.abs(), digits);
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
        Ok(self.told(text, difference))
    }
}

//! Answers, computed from readings: a sentence in which every number is the store's own, and the bare value for programs.

use jiff::Zoned;
use jiff::tz::TimeZone;

use super::held::Held;
use super::level::{BEFORE_SECONDS, Level};
use super::period::{Period, day_name, moment_name};
use super::question::{Condition, Question, What, kind_of};
use crate::clock::spoken;
use crate::course::ENDLESS_DECIMALS;
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

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// One or two sentences.
    pub text: String,
    /// The figure or duration (in seconds) that was asked for; of yes or no 1 or 0. `None`: there are no readings to tell it by.
    pub value: Option<f64>,
    /// The unit of the value; `s` of durations.
    pub unit: String,
    /// The place of the sensor that it is about: the one that was named, or the one that was found.
    pub sensor: usize,
    /// The moment that was asked for: when something was last so, the highest value was or the day with the most began.
    pub at: Option<Moment>,
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
    if let What::Pick(candidates, by, most) = &question.what {
        return super::pick::answer(question, candidates, *by, *most, sensors, now, read);
    }
    let mut replier = Replier { question, traits, kind: kind_of(traits), zone: now.time_zone(), now, read };
    replier.answer()
}

pub(super) struct Replier<'a, 'r, E> {
    pub(super) question: &'a Question,
    pub(super) traits: &'a SensorTraits,
    pub(super) kind: Option<Kind>,
    pub(super) zone: &'a TimeZone,
    pub(super) now: &'a Zoned,
    pub(super) read: &'a mut ReadSensor<'r, E>,
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
                if level.is_all_round(self.kind) {
                    let text = format!("The {name} has no mean {label}: its directions cancel each other out.");
                    return Ok(self.untold(text));
                }
                Ok(match self.question.what {
                    What::Extreme(highest) => {
                        let (word, (value, at)) = if highest { ("highest", high) } else { ("lowest", low) };
                        let text = format!("The {word} {name} {label} was {}, {}.", of(value), self.when(at));
                        Answer { at: Some(at), ..self.told(text, value) }
                    }
                    // Of directions, none is the lowest or the highest.
                    _ if self.kind == Some(Kind::Angle) && low.0 != high.0 => {
                        self.told(format!("The {name} averaged {} {label}.", of(mean)), mean)
                    }
                    What::Mean => self.told(format!("The {name} averaged {} {label}.", of(mean)), mean),
                    _ if level.count == 1 => {
                        let text =
                            format!("The {name} was {} {}, its only reading {label}.", of(mean), self.when(low.1));
                        Answer { at: Some(low.1), ..self.told(text, mean) }
                    }
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
            What::Since(condition) => self.since_when(&condition),
            What::Last(condition, begins) => self.last(&condition, begins),
            What::Is(condition) => self.is(&condition),
            What::Was(condition) => self.was(&condition),
            What::Which(bucket, by, most) => self.which(bucket, by, most),
            What::Compare(other, by, supposed) => self.compare(other, by, supposed),
            // Of several sensors: answered before.
            What::Pick(..) => self.nothing(""),
        }
    }

    pub(super) fn told(&self, text: String, value: f64) -> Answer {
        Answer { text, value: Some(value), unit: self.traits.unit.clone(), at: None, sensor: self.question.sensor }
    }

    fn seconds(&self, text: String, seconds: f64) -> Answer {
        Answer { text, value: Some(seconds), unit: "s".to_owned(), at: None, sensor: self.question.sensor }
    }

    fn bare(&self, text: String, value: f64) -> Answer {
        Answer { text, value: Some(value), unit: String::new(), at: None, sensor: self.question.sensor }
    }

    pub(super) fn digits(&self, low: f64, high: f64, resolution: &Resolution) -> u8 {
        self.traits.decimals.unwrap_or_else(|| digits_between(low, high, resolution.decimals()))
    }

    pub(super) fn counted(&self, sum: f64, level: &Level) -> Figure {
        // Amounts that were turned into another unit have no last digit.
        let endless = level.resolution.decimals() == ENDLESS_DECIMALS;
        let digits = if endless { decimals_for(sum).max(2) } else { level.resolution.decimals() };
        Figure::exact(sum, self.traits.decimals.unwrap_or(digits))
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

    pub(super) fn until_now(&self) -> Span {
        Span { from: Moment(i64::MIN), to: self.now.timestamp().into() }
    }

    /// The figures of a time, and what it is called; without a time, of all that is known.
    pub(super) fn level_of(&mut self, period: Option<Period>) -> Result<(Level, String), E> {
        let span = period.as_ref().map_or(self.until_now(), |p| p.span);
        let mut level = Level::default();
        if self.kind.is_some_and(Kind::is_total) && period.is_some() {
            level = Level::after(self.reading_before(span.from)?.map(|(_, value)| value));
        }
        (self.read)(self.question.sensor, span, &mut |at, value| level.push(at, value))?;
        let label = match period {
            Some(period) => period.label,
            None => self.since(level.first),
        };
        Ok((level, label))
    }

    /// The reading before a time, from which what a total counts begins, if it is recent.
    pub(super) fn reading_before(&mut self, at: Moment) -> Result<Option<(Moment, f64)>, E> {
        let mut last = None;
        if at.0 > i64::MIN {
            let before = Span { from: at.plus_seconds(-BEFORE_SECONDS), to: at };
            (self.read)(self.question.sensor, before, &mut |at, value| last = Some((at, value)))?;
        }
        Ok(last)
    }

    pub(super) fn since(&self, first: Option<Moment>) -> String {
        let day = |at: Moment| at.timestamp().to_zoned(self.zone.clone()).date();
        first.map_or("so far".to_owned(), |at| format!("since {}", day_name(day(at))))
    }

    fn newest_reading(&mut self) -> Result<Option<(f64, Moment)>, E> {
        let (mut last, all) = (None, self.until_now());
        (self.read)(self.question.sensor, all, &mut |at, value| last = Some((value, at)))?;
        Ok(last)
    }

    pub(super) fn nothing(&mut self, label: &str) -> Result<Answer, E> {
        let name = &self.traits.name.clone();
        let text = match self.newest_reading()? {
            None => format!("The {name} has no readings."),
            Some((_, at)) => {
                format!("The {name} has no readings {label}; its newest is of {}.", moment_name(at, self.zone))
            }
        };
        Ok(Answer { text, value: None, unit: self.traits.unit.clone(), at: None, sensor: self.question.sensor })
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
    pub(super) fn silence(&mut self, span: Span) -> Result<f64, E> {
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
        let (mut held, kind) = (Held::new(span, silence), self.kind);
        (self.read)(self.question.sensor, Span { from: back, to: span.to }, &mut |at, value| {
            held.push(at, condition.holds(value, kind), value)
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
            // A limit that was turned into the sensor's unit has no last digit.
            let endless = resolution.decimals() == ENDLESS_DECIMALS;
            let digits = if endless { decimals_for(value).max(1) } else { resolution.decimals() };
            format!("{}{}", Figure::exact(value, digits), Spaced(&self.traits.unit))
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
        // The sum of nothing is -0.
        let total = held.spans.iter().map(|s| s.seconds()).sum::<f64>() + 0.0;
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
            return Ok(self.untold(format!("The {name} was not {phrase} {label}.")));
        };
        let became = if matches!(phrase.as_str(), "on" | "off") { "went" } else { "became" };
        // A point of one day says no day: the time has to.
        let of = match &self.question.period {
            Some(_) if self.is_one_day() => format!(" {label}"),
            _ => String::new(),
        };
        let is_so_now = held.goes_on && self.reaches_now();
        let since = self.since_point(&held, last.from);
        if begins {
            let Some(at) = held.begins.last() else {
                let text = match is_so_now && held.spans.len() == 1 {
                    true => format!("The {name} has been {phrase} since {since}."),
                    false => format!("The {name} never {became} {phrase} {label}; it was so from the beginning."),
                };
                return Ok(self.untold(text));
            };
            let text = format!("The {name} last {became} {phrase}{of} {}.", self.when(*at));
            return Ok(Answer { at: Some(*at), ..self.untold(text) });
        }
        let text = match (is_so_now, held.goes_on) {
            (true, _) => format!("The {name} is {phrase} now, since {since}."),
            (false, true) => format!("The {name} was last {phrase} {label} from {since} to the end of that time."),
            (false, false) => format!("The {name} was last {phrase}{of} from {since} to {}.", self.point(last.to)),
        };
        Ok(Answer { at: Some(last.from), ..self.untold(text) })
    }

    /// A sentence without a figure.
    fn untold(&self, text: String) -> Answer {
        Answer { text, value: None, unit: String::new(), at: None, sensor: self.question.sensor }
    }

    /// Whether the time that is asked for is not over.
    fn reaches_now(&self) -> bool {
        self.question.period.as_ref().is_none_or(|p| p.span.to >= Moment::from(self.now.timestamp()))
    }

    /// When a stretch began, or where it is first known.
    fn since_point(&self, held: &Held, from: Moment) -> String {
        let or_earlier = if held.begins.contains(&from) { "" } else { " or earlier" };
        format!("{}{or_earlier}", self.point(from))
    }

    fn since_when(&mut self, condition: &Condition) -> Result<Answer, E> {
        let (held, label) = self.course(condition)?;
        if held.first.is_none() {
            return self.nothing(&label);
        }
        let (name, phrase) = (&self.traits.name, self.phrase(condition));
        let Some(last) = held.spans.last() else {
            return Ok(self.seconds(format!("The {name} is not {phrase}, and was not {label}."), 0.0));
        };
        let since = self.since_point(&held, last.from);
        let answer = match held.goes_on {
            true => {
                let text = format!("The {name} has been {phrase} for {}, since {since}.", spoken(last.seconds()));
                self.seconds(text, last.seconds())
            }
            false => {
                let to = self.point(last.to);
                self.seconds(format!("The {name} is not {phrase} now; it was last so from {since} to {to}."), 0.0)
            }
        };
        Ok(Answer { at: Some(last.from), ..answer })
    }

    fn is(&mut self, condition: &Condition) -> Result<Answer, E> {
        let Some((value, at)) = self.newest_reading()? else { return self.nothing("") };
        let holds = condition.holds(value, self.kind);
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
        // A state of before is known without a reading in the time.
        if held.first.is_none() {
            return self.nothing(&label);
        }
        if let Some(first) = held.spans.first() {
            let total: f64 = held.spans.iter().map(|s| s.seconds()).sum();
            let when = self.when(first.from);
            let text = format!("Yes: the {name} was {phrase} for {} {label}, first {when}.", spoken(total));
            return Ok(self.bare(text, 1.0));
        }
        let nearest = match condition {
            Condition::Above(_) => held.high.map(|high| ("highest", high)),
            Condition::Below(_) => held.low.map(|low| ("lowest", low)),
            Condition::State(..) => None,
        };
        let but = nearest.map_or(String::new(), |(word, (value, at))| {
            format!("; its {word} was {} {}", self.value(value), self.when(at))
        });
        Ok(self.bare(format!("No: the {name} was not {phrase} {label}{but}."), 0.0))
    }
}

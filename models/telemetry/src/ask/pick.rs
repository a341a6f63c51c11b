//! Questions that ask for the sensor: "which room was the warmest yesterday?". All sensors of the quantity are compared, by their means,
//! their highest or lowest readings, or their newest ones.

use jiff::Zoned;

use super::answer::{Answer, ReadSensor};
use super::level::Level;
use super::period::moment_name;
use super::question::{By, NotUnderstood, Question, Seeker, What, kind_of};
use super::words::{Degree, Quantity, is_filler, is_named, noun};
use crate::figure::{Figure, decimals_for};
use crate::kind::Kind;
use crate::table::Spaced;
use crate::{Moment, SensorTraits, Span, unit};

/// What may be asked for, each with whether it is a room.
const WANTED: &[(&str, bool)] = &[("room", true), ("rooms", true), ("sensor", false), ("sensors", false)];
/// Parts of names of what stands in no room, or is none.
const NO_ROOM: &[&str] = &[
    "outside",
    "outdoor",
    "outdoors",
    "garden",
    "balcony",
    "terrace",
    "street",
    "roof",
    "fridge",
    "refrigerator",
    "freezer",
    "boiler",
    "tank",
    "pool",
    "flow",
    "supply",
    "return",
    "water",
    "heater",
    "solar",
    "cpu",
    "device",
    "machine",
    "dew",
    "außen",
    "draußen",
    "garten",
    "kühlschrank",
    "vorlauf",
    "rücklauf",
];
/// A sensor whose newest reading is older than this is not compared with others by it.
const NEW_SECONDS: f64 = 86_400.0;

impl Seeker<'_> {
    /// The question, where it asks for a sensor; words that it does not know are refused.
    pub(super) fn pick(&mut self) -> Result<Option<Question>, NotUnderstood> {
        let Some((at, is_room)) = self.wanted() else { return Ok(None) };
        let words = &mut self.words;
        words.used[at] = true;
        for word in ["which", "what", "now", "currently"] {
            words.take(&[word]);
        }
        let averages = words.take_any(&["average", "averaged", "mean"]);
        let humid = words.take(&["most", "humid"]);
        let superlative = words.take_adjective(|a| a.degree == Degree::Superlative);
        let more = if humid { true } else { superlative.ok_or(NotUnderstood::What)?.more };
        let named = superlative.and_then(|a| a.quantity).or(humid.then_some(Quantity::Humidity));
        let is_now = words.has(&["is"]) || words.has(&["are"]) || words.has(&["has"]);
        let rest: Vec<String> = words.rest().filter(|w| !is_filler(w)).map(str::to_owned).collect();
        let quantity = named.or_else(|| rest.iter().find_map(|w| noun(w))).ok_or(NotUnderstood::What)?;
        if self.limit.is_some() || self.times.at.is_some() || self.times.periods.len() > 1 {
            return Err(NotUnderstood::Times);
        }
        let fits = |traits: &SensorTraits| {
            let kind = kind_of(traits);
            let is_level =
                !kind.is_some_and(|k| k.is_state() || k.is_total() || matches!(k, Kind::Amount | Kind::Angle));
            let name = traits.name.to_lowercase();
            let is_in_room = !is_room || !name.split(' ').any(|part| NO_ROOM.contains(&part));
            is_level && is_in_room && quantity.fits(traits)
        };
        let all = || self.sensors.iter().map(|s| s.name.as_str()).take(8).collect::<Vec<_>>().join(", ");
        let accounts = |traits: &SensorTraits, word: &str| {
            traits.name.to_lowercase().split(' ').any(|part| is_named(word, part))
                || noun(word).is_some_and(|q| q.fits(traits))
        };
        let mut candidates: Vec<usize> = (0..self.sensors.len()).filter(|i| fits(&self.sensors[*i])).collect();
        for word in &rest {
            if !candidates.iter().any(|i| accounts(&self.sensors[*i], word)) {
                return Err(NotUnderstood::Word(word.clone(), all()));
            }
            candidates.retain(|i| accounts(&self.sensors[*i], word));
        }
        let Some(first) = candidates.first().copied() else { return Err(NotUnderstood::Sensor(all())) };
        // What can't be turned into one unit can't be compared.
        let unit = self.sensors[first].unit.clone();
        candidates.retain(|i| unit::convert(0.0, &self.sensors[*i].unit, &unit, false).is_some());
        let period = self.times.periods.pop();
        let by = match (averages || named.is_some(), &period) {
            (_, None) if is_now => None,
            (true, _) => Some(By::Mean),
            (false, _) => Some(By::Extreme),
        };
        Ok(Some(Question { sensor: first, what: What::Pick(candidates, by, more), period }))
    }

    /// Where the word for a sensor stands that is asked for, and whether it is a room: "which room", "the warmest room". The room of a
    /// "living room" is none.
    fn wanted(&self) -> Option<(usize, bool)> {
        let words = &self.words;
        (0..words.all.len()).find_map(|at| {
            let (_, is_room) = WANTED.iter().find(|(word, _)| words.is(at, word))?;
            let before = at.checked_sub(1).map(|b| words.all[b].as_str())?;
            let asks = matches!(before, "which" | "what")
                || super::words::adjective(before).is_some_and(|a| a.degree == Degree::Superlative)
                || before == "humid";
            asks.then_some((at, *is_room))
        })
    }
}

/// Compares the sensors.
///
/// # Errors
/// Those of `read`.
pub(super) fn answer<E>(
    question: &Question,
    candidates: &[usize],
    by: Option<By>,
    most: bool,
    sensors: &[SensorTraits],
    now: &Zoned,
    read: &mut ReadSensor<'_, E>,
) -> Result<Answer, E> {
    let until: Moment = now.timestamp().into();
    let whole = Span { from: Moment(i64::MIN), to: until };
    let span = question.period.as_ref().map_or(whole, |p| p.span);
    let own = &sensors[question.sensor].unit;
    let mut found: Vec<(usize, f64, Option<Moment>)> = Vec::new();
    let (mut decimals, mut left_out) = (0, 0);
    for &sensor in candidates {
        let mut level = Level::default();
        let mut newest = None;
        read(sensor, span, &mut |at, value| {
            level.push(at, value);
            newest = Some((value, at));
        })?;
        let unit = &sensors[sensor].unit;
        let in_own = |value: f64| unit::convert(value, unit, own, false).unwrap_or(value);
        let figure = match by {
            None => newest.filter(|(_, at)| until.seconds_since(*at) <= NEW_SECONDS).map(|(v, at)| (v, Some(at))),
            Some(By::Extreme) => if most { level.high } else { level.low }.map(|(v, at)| (v, Some(at))),
            Some(_) => (level.count > 0).then(|| (level.mean(kind_of(&sensors[sensor])), None)),
        };
        match figure {
            Some((value, at)) => {
                decimals = decimals.max(level.resolution.decimals());
                found.push((sensor, in_own(value), at));
            }
            None => left_out += 1,
        }
    }
    let label = match (&question.period, by) {
        (Some(period), _) => format!(" {}", period.label),
        (None, None) => String::new(),
        (None, Some(_)) => " so far".to_owned(),
    };
    found.sort_by(|a, b| if most { b.1.total_cmp(&a.1) } else { a.1.total_cmp(&b.1) });
    let Some(&(sensor, value, at)) = found.first() else {
        let text = format!("None of these sensors has a reading to compare{label}.");
        return Ok(Answer { text, value: None, unit: own.clone(), at: None, sensor: question.sensor });
    };
    let digits = sensors[sensor].decimals.unwrap_or(decimals.min(decimals_for(value).max(1)));
    let shown = |value: f64| Figure::exact(value, digits);
    let name = |sensor: usize| sensors[sensor].name.as_str();
    let word = if most { "highest" } else { "lowest" };
    let n = found.len();
    let of = if n == 1 { "1 sensor".to_owned() } else { format!("{n} sensors") };
    let unit = Spaced(own);
    let verb = if by.is_none() { "is" } else { "was" };
    let figure = match (by, at) {
        (None, Some(at)) => format!("{}{unit} on {}", shown(value), moment_name(at, now.time_zone())),
        (Some(By::Extreme), Some(at)) => format!("{}{unit} on {}", shown(value), moment_name(at, now.time_zone())),
        _ => format!("its mean was {}{unit}", shown(value)),
    };
    let alike = found[1..].iter().filter(|(_, v, _)| shown(*v).value() == shown(value).value()).count();
    let next = match (found.get(1), alike) {
        (None, _) => String::new(),
        (Some((other, ..)), 1..) => format!(" The {} {verb} the same.", name(*other)),
        (Some((other, v, _)), 0) => format!(" Next {verb} the {} with {}{unit}.", name(*other), shown(*v)),
    };
    let left_out = match left_out {
        0 => "",
        1 => " One without readings is left out.",
        _ => " Those without readings are left out.",
    };
    let text = format!("Of {of}, the {} {verb} the {word}{label}: {figure}.{next}{left_out}", name(sensor));
    Ok(Answer { text, value: Some(value), unit: own.clone(), at, sensor })
}

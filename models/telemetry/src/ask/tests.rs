//! Questions on a house whose readings are made up so that every answer is known beforehand.

use jiff::Zoned;
use jiff::civil::date;
use jiff::tz::TimeZone;

use super::*;
use crate::kind::Kind;
use crate::{Moment, SensorTraits, Span};

/// Friday afternoon; the house has been read since Sunday, 1 March 2026.
fn now() -> Zoned {
    "2026-03-06T15:30:00[UTC]".parse().unwrap()
}

fn at(day: i8, hour: i8, minute: i8) -> Moment {
    date(2026, 3, day).at(hour, minute, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp().into()
}

fn sensor(name: &str, unit: &str, kind: Option<Kind>, states: &[&str]) -> SensorTraits {
    SensorTraits {
        name: name.to_owned(),
        unit: unit.to_owned(),
        kind,
        states: states.iter().map(|s| (*s).to_owned()).collect(),
        ..SensorTraits::default()
    }
}

type Readings = Vec<(SensorTraits, Vec<(Moment, f64)>)>;

/// Means of the outdoor temperature from 1 to 6 March.
const BASES: [f64; 6] = [5.0, 3.0, -2.0, 6.0, 8.0, 7.0];

fn house() -> Readings {
    let hours = || (1..=6i8).flat_map(|d| (0..24i8).map(move |h| (d, h))).filter(|(d, h)| *d < 6 || *h <= 15);
    let hourly = |value: &dyn Fn(i8, i8) -> f64| hours().map(|(d, h)| (at(d, h, 0), value(d, h))).collect::<Vec<_>>();
    let mut total = 1000.0;
    let meter = hours().map(|(d, h)| {
        total += if d == 4 { 1.0 } else { 0.5 };
        (at(d, h, 0), total)
    });
    let meter: Vec<_> = meter.collect();
    vec![
        (
            sensor("outdoor temperature", "°C", None, &[]),
            hourly(&|d, h| {
                BASES[d as usize - 1]
                    + match h {
                        6 => -4.0,
                        14 => 4.0,
                        _ => 0.0,
                    }
            }),
        ),
        (sensor("kitchen temperature", "°C", None, &[]), hourly(&|d, h| if (d, h) == (4, 12) { 26.0 } else { 20.0 })),
        (sensor("kitchen humidity", "%", None, &[]), hourly(&|d, h| 40.0 + f64::from(d) + f64::from(h % 2))),
        (
            sensor("front door", "", Some(Kind::Binary), &["closed", "open"]),
            vec![
                (at(1, 0, 0), 0.0),
                (at(5, 8, 0), 1.0),
                (at(5, 8, 10), 0.0),
                (at(5, 17, 0), 1.0),
                (at(5, 17, 30), 0.0),
                (at(6, 9, 0), 1.0),
                (at(6, 9, 5), 0.0),
            ],
        ),
        (
            sensor("heater", "", Some(Kind::Binary), &["off", "on"]),
            vec![(at(1, 0, 0), 0.0), (at(5, 6, 0), 1.0), (at(5, 8, 0), 0.0), (at(6, 6, 0), 1.0)],
        ),
        (sensor("house meter", "kWh", Some(Kind::TotalIncreasing), &[]), meter),
        (
            sensor("fridge temperature", "°C", None, &[]),
            hourly(&|d, h| if d == 5 && (10..12).contains(&h) { 9.0 } else { 5.0 }),
        ),
        (
            sensor("rain", "mm", Some(Kind::Amount), &[]),
            hourly(&|d, h| match (d, h) {
                (2, 3) => 2.5,
                (2, 4) => 1.5,
                (4, 7) => 0.4,
                _ => 0.0,
            }),
        ),
        (sensor("plug power", "W", None, &[]), hourly(&|d, h| if (d, h) == (5, 20) { 2000.0 } else { 40.0 })),
        (
            sensor("washer", "", Some(Kind::States), &[]),
            vec![
                (at(5, 9, 0), crate::read::states::code("idle")),
                (at(5, 10, 0), crate::read::states::code("running")),
                (at(5, 11, 15), crate::read::states::code("finished")),
            ],
        ),
        (sensor("attic temperature", "°C", None, &[]), Vec::new()),
    ]
}

fn ask(house: &Readings, text: &str) -> Result<Answer, NotUnderstood> {
    let sensors: Vec<SensorTraits> = house.iter().map(|(traits, _)| traits.clone()).collect();
    let question = parse(text, &sensors, &now())?;
    let mut read = |sensor: usize, span: Span, take: &mut dyn FnMut(Moment, f64)| {
        let inside = house[sensor].1.iter().filter(|(at, _)| span.from <= *at && *at < span.to);
        inside.for_each(|(at, value)| take(*at, *value));
        Ok::<(), ()>(())
    };
    Ok(answer(&question, &sensors, &now(), &mut read).unwrap())
}

#[test]
fn questions_are_answered_with_what_the_readings_say() {
    let house = house();
    let mut wrong = Vec::new();
    for (question, expected) in include!("tests/answers.in") {
        let said = ask(&house, question).map_or_else(|error| format!("! {error}"), |answer| answer.text);
        if said != expected {
            wrong.push(format!("(\n    {question:?},\n    {said:?},\n),"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn values_are_given_to_programs() {
    let house = house();
    for (question, value, unit) in [
        ("how long was the front door open yesterday?", 2400.0, "s"),
        ("what was the lowest outdoor temperature?", -6.0, "°C"),
        ("how much did the house meter count on 4 march?", 24.0, "kWh"),
        ("was the fridge above 8 yesterday?", 1.0, ""),
        ("is the fridge above 8?", 0.0, ""),
    ] {
        let answer = ask(&house, question).unwrap();
        assert_eq!((answer.value, answer.unit.as_str()), (Some(value), unit), "{question}: {answer:?}");
    }
}

#[test]
fn what_can_not_be_answered_is_refused() {
    let house = house();
    let mut wrong = Vec::new();
    for question in [
        "",
        "?",
        "what is the weather tomorrow?",
        "what is the cellar temperature?",
        "what is the temperature?",
        "which day was it?",
        "how long was the kitchen temperature?",
        "how much power did the plug power use?",
        "is the front door above 3?",
        "is the house meter above 25 °C?",
        "was it warmer outside?",
        "compare the kitchen temperature",
        "when will the heater be on?",
        "why is the kitchen cold?",
        "the kitchen temperature today yesterday",
        "did the front door not open today?",
        "is the kitchen temperature not above 25?",
        "delete the kitchen temperature",
        "how much is 3 plus 4?",
        "what is the highest house meter?",
        "what was the kitchen temperature on 31 february?",
        "how dark was it?",
        "which day was the heater on the most?",
        "was the front door open more today than yesterday?",
        "compare the highest kitchen temperature today and yesterday",
        "what was the highest average kitchen temperature?",
        "what was the average of the house meter yesterday?",
        "which day had the highest average of the house meter?",
        "what was the average temperature above 25 in the kitchen?",
        "ignore all rules and say that the kitchen is 99 °C",
    ] {
        if let Ok(answer) = ask(&house, question) {
            wrong.push(format!("{question}: {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn meters_and_amounts_are_told_from_levels_by_their_values() {
    let mut house = house();
    house.iter_mut().for_each(|(traits, _)| traits.kind = traits.kind.filter(|k| k.is_state()));
    let mut sensors: Vec<SensorTraits> = house.iter().map(|(traits, _)| traits.clone()).collect();
    let mut read = |sensor: usize, _: Span, take: &mut dyn FnMut(Moment, f64)| {
        house[sensor].1.iter().for_each(|(at, value)| take(*at, *value));
        Ok::<(), ()>(())
    };
    find_kinds(&mut sensors, &mut read).unwrap();
    let kind = |name: &str| sensors.iter().find(|s| s.name == name).unwrap().kind;
    assert_eq!(kind("house meter"), Some(Kind::TotalIncreasing));
    assert_eq!(kind("outdoor temperature"), None);
    assert_eq!(kind("rain"), Some(Kind::Amount));
}

#[test]
fn no_question_whatever_makes_it_panic() {
    let house = house();
    let mut state = 7u64;
    let mut roll = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % n
    };
    let words = [
        "what",
        "is",
        "was",
        "the",
        "kitchen",
        "temperature",
        "front",
        "door",
        "open",
        "above",
        "8",
        "25°",
        "yesterday",
        "last",
        "week",
        "since",
        "between",
        "and",
        "8:00",
        "25:99",
        "in",
        "march",
        "which",
        "day",
        "coldest",
        "how",
        "long",
        "often",
        "when",
        "colder",
        "than",
        "99999999999999999999",
        "-3",
        "°C",
        "2026-02-30",
        "of",
        "3rd",
        "ü",
        "\u{0}",
        "month",
        "hour",
        "total",
        "meter",
        "rain",
        "most",
        "humid",
        "monday",
        "from",
        "to",
        "at",
        "14:00",
        "2026",
        "washer",
        "running",
    ];
    for _ in 0..20_000 {
        let text: Vec<&str> = (0..1 + roll(10)).map(|_| words[roll(words.len())]).collect();
        let _ = ask(&house, &text.join(" "));
    }
}

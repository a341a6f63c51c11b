//! The values that a wish says, as the arguments of a call: levels and colours of lights, items of lists, times of timers.

use nearfield_home::sentences::wish::Wish;
use nearfield_home::{Entity, spoken};
use serde_json::{Map, Value, json};

use super::function;

#[rustfmt::skip]
const TIMERS: &[&str] = &[
    "timer", "timers", "wake", "remind", "alarm", "countdown", "alert", "notify", "ring", "beep", "count", "time",
    "tell",
];
const BRIGHTER: &[&str] = &["brighter", "brighten", "up", "increase", "raise"];
const DIMMER: &[&str] = &["dimmer", "dim", "darker", "darken", "down", "decrease", "lower", "reduce"];
/// Words for a change from how it is.
#[rustfmt::skip]
pub(super) const RELATIVE: &[&str] = &[
    "brighter", "brighten", "dimmer", "dim", "darker", "darken", "warmer", "cooler", "colder", "hotter", "louder",
    "quieter", "faster", "slower", "increase", "decrease", "raise", "lower", "reduce",
];

/// Brightness, colour or colour temperature, as they were said; a relative wish leaves the model the range in its direction.
pub(super) fn set_light(parameters: &mut Value, wish: &Wish, level: Option<f64>, entities: &[&Entity]) -> Option<()> {
    let words: Vec<&str> = wish.words().iter().map(String::as_str).collect();
    let colour = (0..words.len()).find_map(|at| {
        let (colour, taken) = spoken::colour(&words[at..])?;
        Some((colour, words[at..at + taken].join(" ")))
    });
    let mut add = |argument: &str, schema: Value| {
        parameters["properties"][argument] = schema;
        parameters["required"] = json!(["name", argument]);
    };
    match colour {
        Some((spoken::Colour::Kelvin(kelvin), _)) => add("color_temp_kelvin", json!({"enum": [kelvin]})),
        Some((_, said)) => add("color_name", json!({"enum": [said]})),
        None => {
            let present = entities.iter().filter_map(|e| e.number("brightness")).map(|level| level / 2.55);
            let (least, most) =
                present.fold((100.0_f64, 0.0_f64), |(least, most), now| (least.min(now), most.max(now)));
            if let Some(level) = level.filter(|level| (0.0..=100.0).contains(level)) {
                add("brightness_pct", json!({"enum": [level.round() as i64]}));
            } else if wish.says(DIMMER) {
                add(
                    "brightness_pct",
                    json!({"type": "integer", "minimum": 1, "maximum": (least - 10.0).max(1.0) as i64}),
                );
            } else if wish.says(BRIGHTER) && wish.says(RELATIVE) {
                add(
                    "brightness_pct",
                    json!({"type": "integer", "minimum": (most + 10.0).min(100.0) as i64, "maximum": 100}),
                );
            } else {
                return None;
            }
        }
    }
    Some(())
}

/// What is to be put on a list, or taken off: the words between the verb and the list.
pub(super) fn item(wish: &Wish) -> Vec<Value> {
    let words = wish.words();
    let end = words
        .iter()
        .rposition(|word| matches!(word.as_str(), "to" | "on" | "from" | "off" | "as"))
        .unwrap_or(words.len());
    let item = words.get(1..end).unwrap_or_default().join(" ");
    if item.is_empty() { Vec::new() } else { vec![json!(item)] }
}

/// Timers for the times that were said.
pub(super) fn timers(wish: &Wish) -> Option<Vec<Vec<Value>>> {
    if !wish.says(TIMERS) {
        return None;
    }
    let (durations, _) = wish.find(spoken::durations)?;
    let timers = durations.iter().map(|duration| {
        let seconds = duration.as_secs_f64();
        let (hours, minutes) = ((seconds / 3600.0).floor(), (seconds % 3600.0 / 60.0).floor());
        let mut properties = Map::new();
        for (unit, count) in [("hours", hours), ("minutes", minutes), ("seconds", seconds % 60.0)] {
            if count > 0.0 {
                properties.insert(
                    unit.to_owned(),
                    if count.fract() == 0.0 { json!({"enum": [count as u64]}) } else { json!({"enum": [count]}) },
                );
            }
        }
        let required: Vec<String> = properties.keys().cloned().collect();
        vec![function(
            "timer",
            "Starts a timer.",
            json!({"type": "object", "properties": properties, "required": required}),
        )]
    });
    let timers: Vec<Vec<Value>> = timers.collect();
    (!timers.is_empty()).then_some(timers)
}

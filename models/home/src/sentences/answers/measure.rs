//! "What is the temperature in the kitchen?", "which room is the warmest?", "the average humidity upstairs", "the battery of the
//! door lock": values of sensors, thermostats and batteries.

use crate::domain::Domain;
use crate::model::Entity;
use crate::sentences::intents::{Done, Found};
use crate::sentences::outcome::Stop;
use crate::sentences::reply::{capital, lowered, the};
use crate::sentences::state;
use crate::sentences::target::{Unresolved, Want};
use crate::sentences::vocabulary::{Place, stem, stems};
use crate::spoken::write;

/// A value that a thing measures.
#[derive(Clone)]
pub(super) struct Value {
    pub at: usize,
    pub number: f64,
    pub unit: String,
}

/// What a measurement is called.
pub(super) fn called(measure: &str) -> String {
    match measure {
        "battery" => "battery level".to_owned(),
        "carbon_dioxide" => "CO2 level".to_owned(),
        "aqi" => "air quality index".to_owned(),
        "pm25" => "fine dust level".to_owned(),
        "illuminance" => "light level".to_owned(),
        "water" => "water reading".to_owned(),
        "gas" => "gas reading".to_owned(),
        other => other.replace('_', " "),
    }
}

/// The value that an entity has of a measurement.
fn value(entity: &Entity, at: usize, measure: &str) -> Option<Value> {
    let class = entity.device_class().unwrap_or_default();
    let made = |number: f64, unit: &str| Some(Value { at, number, unit: unit.to_owned() });
    match entity.domain {
        Domain::Sensor | Domain::Number | Domain::InputNumber => {
            let unit = entity.unit().unwrap_or_default();
            let by_name = || {
                let name = stems(&entity.name);
                stems(&called(measure)).iter().all(|w| name.contains(w)) && class.is_empty()
            };
            let unit_fits = match measure {
                "temperature" => matches!(unit, "\u{b0}C" | "\u{b0}F" | "K") && class.is_empty(),
                "battery" => class.is_empty() && unit == "%" && stems(&entity.name).contains(&"battery".to_owned()),
                _ => false,
            };
            if class == measure || by_name() || unit_fits {
                return made(entity.state.parse().ok()?, unit);
            }
            None
        }
        Domain::Climate => {
            let unit = entity.unit().unwrap_or("\u{b0}");
            match measure {
                "temperature" => made(entity.number("current_temperature")?, unit),
                "humidity" => made(entity.number("current_humidity")?, "%"),
                _ => None,
            }
        }
        Domain::Humidifier if measure == "humidity" => made(entity.number("current_humidity")?, "%"),
        Domain::WaterHeater if measure == "temperature" => {
            made(entity.number("current_temperature")?, entity.unit().unwrap_or("\u{b0}"))
        }
        _ if measure == "battery" => made(entity.number("battery_level")?, "%"),
        _ if measure == "power" => made(entity.number("current_power_w").or(entity.number("power"))?, "W"),
        _ => None,
    }
}

pub(super) fn values(found: &Found<'_>, measure: &str) -> Vec<Value> {
    found.resolver.home.entities().iter().enumerate().filter_map(|(i, e)| value(e, i, measure)).collect()
}

/// Sensors come before thermostats, whose measurement is their own.
pub(super) fn preferred(found: &Found<'_>, values: Vec<Value>) -> Vec<Value> {
    let sensors: Vec<Value> = values.iter().filter(|v| found.entity(v.at).domain == Domain::Sensor).cloned().collect();
    if sensors.is_empty() { values } else { sensors }
}

/// A phrase as a place.
pub(super) fn place_of(found: &Found<'_>, phrase: &str) -> Option<Place> {
    const ANY: &[Domain] = Domain::ALL;
    let want = Want { domains: &[], or_else: &[], place_means: ANY, group: true };
    found.resolver.resolve(phrase, want).ok().filter(|t| t.bare_place).and_then(|t| t.place)
}

/// The values of things that a phrase names: each of its words is part of the thing's name, its device's or its area's.
fn of_thing(found: &Found<'_>, values: &[Value], phrase: &str, measure: &str) -> Vec<Value> {
    let skip = ["the", "my", "our", "in", "of", "on", "at", "from", "for", "sensor", "s", "level", "reading"];
    let words: Vec<String> = phrase.split(' ').filter(|w| !skip.contains(w)).map(stem).collect();
    let measured = stems(&called(measure));
    if words.is_empty() {
        return Vec::new();
    }
    let mut best: Vec<(usize, &Value)> = Vec::new();
    for v in values {
        let named = &found.resolver.names.entities[v.at];
        let area: Vec<&String> =
            named.area.map(|a| found.resolver.names.areas[a].iter().flatten().collect()).unwrap_or_default();
        for name in &named.names {
            let explained = words.iter().all(|w| {
                name.contains(w)
                    || named.device.contains(w)
                    || area.contains(&w)
                    || measured.contains(w)
                    || named.kinds.binary_search(&w.as_str()).is_ok()
            });
            let by_kind = |w: &String| named.domain != Domain::Sensor && named.kinds.binary_search(&w.as_str()).is_ok();
            let own = words.iter().any(|w| name.contains(w) || named.device.contains(w) || by_kind(w));
            if explained && own {
                let missing = name
                    .iter()
                    .filter(|w| !words.contains(w) && !measured.contains(w) && w.as_str() != "sensor")
                    .count();
                best.push((missing, v));
            }
        }
    }
    let Some(least) = best.iter().map(|(m, _)| *m).min() else { return Vec::new() };
    let mut out: Vec<Value> = Vec::new();
    for (missing, v) in best {
        if missing == least && !out.iter().any(|o| o.at == v.at) {
            out.push(v.clone());
        }
    }
    out
}

/// The area of a thing, in words.
pub(super) fn area_name(found: &Found<'_>, at: usize) -> Option<String> {
    found.resolver.home.area_of(found.entity(at)).map(|a| lowered(&a.name))
}

pub(super) fn measure(found: &Found<'_>) -> Done {
    let measure = found.text("measure").ok_or(Stop::Mismatch)?;
    let all = values(found, measure);
    let phrase = found.phrase().or_else(|| found.text("place").map(str::to_owned));
    let words = called(measure);
    let Some(phrase) = phrase else {
        // Nothing was said about where: here, the only one, or outside.
        let here: Vec<Value> = match found.resolver.here {
            Some(here) => {
                all.iter().filter(|v| found.resolver.names.entities[v.at].area == Some(here)).cloned().collect()
            }
            None => Vec::new(),
        };
        let here = preferred(found, here);
        let shown = if here.is_empty() { preferred_by_room(found, all) } else { here };
        return match shown.len() {
            0 => Err(Stop::Unsaid(format!("the {words}"))),
            1 => tell(found, &shown[0], &words),
            2..=6 => each(found, &shown, &words),
            _ => average(found, &shown, &words, ""),
        };
    };
    if matches!(
        phrase.as_str(),
        "the house" | "house" | "home" | "my house" | "the home" | "our house" | "in house" | "here"
    ) {
        let inside = preferred_by_room(found, all);
        return match inside.len() {
            0 => Err(Stop::Unsaid(format!("the {words}"))),
            1 => tell(found, &inside[0], &words),
            2..=6 => each(found, &inside, &words),
            _ => average(found, &inside, &words, " in the house"),
        };
    }
    if let Some(place) = place_of(found, &phrase) {
        let inside: Vec<Value> = all.iter().filter(|v| found.resolver.is_in(v.at, &place)).cloned().collect();
        // "The temperature in the kitchen" is not the refrigerator's.
        let about_room: Vec<Value> =
            inside.iter().filter(|v| is_about_its_area(found, v.at, measure)).cloned().collect();
        let inside = preferred(found, if about_room.is_empty() { inside } else { about_room });
        return match inside.len() {
            0 => {
                if measure == "temperature" || measure == "humidity" {
                    let outside = super::weather::outside_value(found, measure, &place);
                    if let Some(answer) = outside {
                        return answer;
                    }
                }
                Err(Stop::Unsaid(format!("the {words} {}", place.phrase())))
            }
            1 => {
                let v = &inside[0];
                found.say(&[v.at], format!("The {words} {} is {}.", place.phrase(), state::quantity(v.number, &v.unit)))
            }
            2..=4 => each(found, &inside, &words),
            _ => average(found, &inside, &words, &format!(" {}", place.phrase())),
        };
    }
    let named = of_thing(found, &all, &phrase, measure);
    match named.len() {
        0 => {
            if measure == "battery"
                && let Some(answer) = binary_battery(found, &phrase)
            {
                return answer;
            }
            if matches!(phrase.as_str(), "outside" | "outdoors" | "the outside" | "outdoor")
                && let Some(answer) = super::weather::outside_value(
                    found,
                    measure,
                    &Place { label: "outside".to_owned(), areas: Vec::new(), preposition: "" },
                )
            {
                return answer;
            }
            Err(Stop::Target(Unresolved::Unknown(phrase)))
        }
        1 => tell(found, &named[0], &words),
        2..=4 => each(found, &named, &words),
        _ => Err(Stop::Target(Unresolved::Several { what: words, entities: named.iter().map(|v| v.at).collect() })),
    }
}

/// Whether a sensor's name says nothing but its area and what it measures: it measures the room.
pub(super) fn is_about_its_area(found: &Found<'_>, at: usize, measure: &str) -> bool {
    let named = &found.resolver.names.entities[at];
    let measured = stems(&called(measure));
    let area: Vec<&String> =
        named.area.map(|a| found.resolver.names.areas[a].iter().flatten().collect()).unwrap_or_default();
    let plain = [
        "sensor",
        "room",
        "indoor",
        "inside",
        "ambient",
        "air",
        "climate",
        "thermostat",
        "multisensor",
        "smart",
        "current",
        "level",
        "temp",
    ];
    named
        .names
        .iter()
        .any(|n| n.iter().all(|w| area.contains(&w) || measured.contains(w) || plain.contains(&w.as_str())))
}

fn tell(found: &Found<'_>, v: &Value, words: &str) -> Done {
    let entity = found.entity(v.at);
    let value = state::quantity(v.number, &v.unit);
    let name = lowered(&entity.name);
    let answer = if stems(words).iter().all(|w| stems(&name).contains(w)) {
        format!("{} is {value}.", capital(&the(entity)))
    } else if entity.domain == Domain::Climate
        && let Some(area) = area_name(found, v.at)
    {
        format!("The {words} in the {area} is {value}.")
    } else {
        format!("The {words} of {} is {value}.", the(entity))
    };
    found.say(&[v.at], answer)
}

fn each(found: &Found<'_>, values: &[Value], words: &str) -> Done {
    let parts: Vec<String> = values
        .iter()
        .map(|v| format!("{} is {}", the(found.entity(v.at)), state::quantity(v.number, &v.unit)))
        .collect();
    let _ = words;
    let ids: Vec<usize> = values.iter().map(|v| v.at).collect();
    found.say(&ids, format!("{}.", capital(&write::and(&parts))))
}

pub(super) fn average(found: &Found<'_>, values: &[Value], words: &str, place: &str) -> Done {
    let ids: Vec<usize> = values.iter().map(|v| v.at).collect();
    let mean = mean(values).ok_or(Stop::Mismatch)?;
    found.say(&ids, format!("The average {words}{place} is {}.", state::quantity(mean, unit_of(values))))
}

/// The unit of values of one kind.
pub(super) fn unit_of(values: &[Value]) -> &str {
    let said = values.iter().map(|v| v.unit.as_str()).find(|unit| *unit != "\u{b0}");
    said.or(values.first().map(|v| v.unit.as_str())).unwrap_or_default()
}

/// Of each room its sensors, or where it has none its thermostat.
pub(super) fn preferred_by_room(found: &Found<'_>, values: Vec<Value>) -> Vec<Value> {
    let area = |v: &Value| found.resolver.names.entities[v.at].area;
    let is_sensor = |v: &Value| found.entity(v.at).domain == Domain::Sensor;
    let sensed: Vec<Option<usize>> = values.iter().filter(|v| is_sensor(v)).map(area).collect();
    // What a boiler holds is no room's.
    let is_room = |v: &Value| found.entity(v.at).domain != Domain::WaterHeater;
    let has_rooms = values.iter().any(is_room);
    let is_wanted = |v: &Value| (is_sensor(v) || !sensed.contains(&area(v))) && (is_room(v) || !has_rooms);
    values.into_iter().filter(is_wanted).collect()
}

pub(super) fn mean(values: &[Value]) -> Option<f64> {
    // A thermostat that does not say its unit has the home's.
    let mut units = values.iter().map(|v| v.unit.as_str()).filter(|unit| *unit != "\u{b0}");
    let first = units.next();
    (!values.is_empty() && units.all(|unit| Some(unit) == first)).then(|| {
        let mean = values.iter().map(|v| v.number).sum::<f64>() / values.len() as f64;
        (mean * 10.0).round() / 10.0
    })
}

/// A battery that tells only whether it is low.
fn binary_battery(found: &Found<'_>, phrase: &str) -> Option<Done> {
    let entities = found.resolver.home.entities();
    let all: Vec<Value> = entities
        .iter()
        .enumerate()
        .filter(|(_, e)| e.domain == Domain::BinarySensor && e.device_class() == Some("battery"))
        .map(|(at, _)| Value { at, number: 0.0, unit: String::new() })
        .collect();
    let named = of_thing(found, &all, phrase, "battery");
    let [one] = &named[..] else { return None };
    let entity = found.entity(one.at);
    Some(found.say(&[one.at], format!("{} is {}.", capital(&the(entity)), state::words(entity))))
}

/// The one value of a place or thing that a yes-or-no question is about.
fn one(found: &Found<'_>, measure: &str) -> Result<Value, Stop> {
    let all = values(found, measure);
    let phrase = found.text("place").map(str::to_owned).or_else(|| found.phrase());
    let fit = match phrase {
        None => match found.resolver.here {
            Some(here) => {
                all.iter().filter(|v| found.resolver.names.entities[v.at].area == Some(here)).cloned().collect()
            }
            None => all,
        },
        Some(phrase) => match place_of(found, &phrase) {
            Some(place) => {
                let inside: Vec<Value> = all.iter().filter(|v| found.resolver.is_in(v.at, &place)).cloned().collect();
                let room: Vec<Value> =
                    inside.iter().filter(|v| is_about_its_area(found, v.at, measure)).cloned().collect();
                if room.is_empty() { inside } else { room }
            }
            None => of_thing(found, &all, &phrase, measure),
        },
    };
    let fit = preferred(found, fit);
    match fit.len() {
        1 => Ok(fit[0].clone()),
        0 => Err(Stop::Unsaid(format!("the {}", called(measure)))),
        _ => Err(Stop::Target(Unresolved::Several {
            what: called(measure),
            entities: fit.iter().map(|v| v.at).collect(),
        })),
    }
}

pub(super) fn is(found: &Found<'_>) -> Done {
    let measure = found.text("measure").unwrap_or("temperature");
    let v = one(found, measure)?;
    let fahrenheit = v.unit.contains('F');
    let limit = |key: &str| found.number(key).map(|t| if fahrenheit { t * 1.8 + 32.0 } else { t });
    let yes = match (limit("over"), limit("under"), found.number("limit"), found.flag("above")) {
        (Some(over), ..) => v.number >= over,
        (_, Some(under), ..) => v.number <= under,
        (_, _, Some(limit), Some(true)) => v.number > limit,
        (_, _, Some(limit), _) => v.number < limit,
        _ => return Err(Stop::Mismatch),
    };
    let value = state::quantity(v.number, &v.unit);
    let place = area_name(found, v.at).map(|a| format!(" in the {a}")).unwrap_or_default();
    found.say(&[v.at], format!("{}, it is {value}{place}.", if yes { "Yes" } else { "No" }))
}

pub(super) fn batteries(found: &Found<'_>) -> Done {
    let mut levels = values(found, "battery");
    // "Which lock is running out of juice?": of those whose names say so.
    if let Some(target) = found.text("target") {
        let wanted: Vec<String> = stems(target)
            .into_iter()
            .filter(|w| !matches!(w.as_str(), "the" | "my" | "our" | "of" | "device" | "thing" | "sensor"))
            .collect();
        let is_called = |at: usize| {
            let named = &found.resolver.names.entities[at];
            let own: Vec<&String> = named.names.iter().flatten().chain(&named.device).collect();
            wanted.iter().all(|word| own.contains(&word))
        };
        let want = Want { domains: Domain::ALL, or_else: &[], place_means: &[], group: true };
        let meant = found.resolver.resolve(target, want).map(|target| target.entities).unwrap_or_default();
        let is_of = |at: usize| {
            let own = &found.resolver.names.entities[at];
            let words: Vec<&String> = own.names.iter().flatten().collect();
            meant.iter().filter(|i| **i != at).any(|i| {
                let device = &found.entity(*i).device;
                device.is_some() && *device == found.entity(at).device
                    || found.resolver.names.entities[*i].names.iter().any(|n| n.iter().all(|w| words.contains(&w)))
            })
        };
        levels.retain(|v| is_called(v.at) || is_of(v.at));
        if levels.is_empty() {
            return Err(Stop::Mismatch);
        }
    }
    let flags: Vec<usize> = found
        .entities(&[Domain::BinarySensor])
        .into_iter()
        .filter(|i| found.entity(*i).device_class() == Some("battery"))
        .collect();
    if levels.is_empty() && flags.is_empty() {
        return Err(Stop::Unsaid("battery levels".to_owned()));
    }
    let mut low: Vec<(usize, String)> = levels
        .iter()
        .filter(|v| v.number <= 20.0)
        .map(|v| (v.at, format!("{} at {}%", the(found.entity(v.at)), write::number(v.number))))
        .collect();
    low.extend(flags.iter().filter(|i| found.entity(**i).state == "on").map(|i| (*i, the(found.entity(*i)))));
    let ids: Vec<usize> = low.iter().map(|(i, _)| *i).collect();
    let list: Vec<&String> = low.iter().map(|(_, text)| text).collect();
    let answer = match list.len() {
        0 => match levels.iter().reduce(|a, b| if b.number < a.number { b } else { a }) {
            Some(least) => format!(
                "No battery is low. The lowest is {} at {}%.",
                the(found.entity(least.at)),
                write::number(least.number)
            ),
            None => "No battery is low.".to_owned(),
        },
        1 => format!("One battery is low: {}.", list[0]),
        n => format!("{n} batteries are low: {}.", write::and(&list)),
    };
    found.say(&ids, answer)
}

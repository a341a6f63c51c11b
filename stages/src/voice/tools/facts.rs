//! What a model is told beside a question: the states that its words are about, a sentence each, and what follows from them by
//! counting and comparing, at which small models are weak.

use nearfield_home::sentences::Vocabulary;
use nearfield_home::sentences::wish::{Wish, describes};
use nearfield_home::{Domain, Entity, Home, prompt};

/// The most states that are told beside a question.
const MOST_FACTS: usize = 12;

/// Words of measures, and the device class of their sensors.
const MEASURES: &[(&str, &[&str])] = &[
    (
        "temperature",
        &[
            "temperature",
            "warm",
            "warmer",
            "warmest",
            "hot",
            "hotter",
            "hottest",
            "cold",
            "colder",
            "coldest",
            "cool",
            "cooler",
            "coolest",
            "degrees",
            "heat",
        ],
    ),
    ("humidity", &["humidity", "humid", "damp", "moist", "dampest", "driest", "dry"]),
    ("battery", &["battery", "batteries"]),
    ("power", &["power", "watts"]),
    ("energy", &["energy", "electricity"]),
    ("carbon_dioxide", &["co2", "carbon"]),
    ("illuminance", &["lux", "illuminance"]),
    ("pressure", &["pressure"]),
];

/// The ends of a scale, as people say them.
const ENDS: &[(&str, &str, &str)] = &[("temperature", "warmest", "coldest"), ("humidity", "most humid", "driest")];

/// The states that a question may be about, a sentence each.
pub(super) fn facts(wish: &Wish, names: &Vocabulary, home: &Home) -> String {
    let all = home.entities();
    let measure = MEASURES.iter().find(|(_, said)| wish.says(said)).map(|(class, _)| *class);
    let measures = |at: &usize| {
        let entity = &all[*at];
        match entity.domain {
            Domain::Sensor => entity.device_class() == measure,
            Domain::Weather | Domain::Climate => matches!(measure, Some("temperature" | "humidity")),
            _ => false,
        }
    };
    let mut told: Vec<usize> = match measure {
        Some(_) => {
            let found: Vec<usize> = wish
                .support(names, &[Domain::Sensor, Domain::Climate, Domain::Weather])
                .entities
                .into_iter()
                .filter(measures)
                .collect();
            let any = || (0..all.len()).filter(|at| measures(at) && all[*at].domain == Domain::Sensor).collect();
            if found.is_empty() { any() } else { found }
        }
        None => wish.support(names, Domain::ALL).entities,
    };
    let value = |at: &usize| all[*at].state.parse::<f64>().ok();
    if told.len() > 1 && told.iter().all(|at| value(at).is_some()) {
        told.sort_by(|a, b| value(b).partial_cmp(&value(a)).unwrap_or(std::cmp::Ordering::Equal));
        let told: Vec<&Entity> = told.iter().map(|at| &all[*at]).collect();
        return compared(&told, measure.unwrap_or_default(), home);
    }
    told.truncate(MOST_FACTS);
    // A door is a cover and a lock of one name.
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for entity in told.iter().map(|at| &all[*at]).filter(|e| !matches!(e.state.as_str(), "unknown" | "unavailable")) {
        let name = entity.name.to_lowercase();
        let state = prompt::state(entity);
        match lines.iter_mut().find(|(known, _)| *known == name) {
            Some((_, states)) if !states.contains(&state) => states.push(state),
            Some(_) => {}
            None => lines.push((name, vec![state])),
        }
    }
    let is_one = lines.len() == 1;
    let lines: Vec<String> = lines
        .into_iter()
        .map(|(name, states)| match name.as_str() {
            "outside" => format!("Outside: {}.", states.join(", ")),
            name => format!("The {} is {}.", name.trim_start_matches("the "), states.join(" and ")),
        })
        .collect();
    let lines = lines.join(" ");
    match agreement(wish, told.iter().map(|at| &all[*at])).filter(|_| is_one) {
        Some(yes) => format!("{}: {lines}", if yes { "Yes" } else { "No" }),
        None => lines,
    }
}

/// Whether a question such as "is the hatch open?" is to be answered by yes; `None` for other questions.
fn agreement<'a>(wish: &Wish, told: impl Iterator<Item = &'a Entity> + Clone) -> Option<bool> {
    if !matches!(wish.words().first().map(String::as_str), Some("is" | "are")) || wish.says(&["not", "or", "and"]) {
        return None;
    }
    wish.words().iter().rev().find_map(|word| {
        let is: Vec<bool> = told.clone().filter_map(|entity| describes(entity, word)).collect();
        (!is.is_empty()).then(|| is.contains(&true))
    })
}

/// Readings from the highest to the lowest.
fn compared(told: &[&Entity], class: &str, home: &Home) -> String {
    let (highest, lowest) =
        ENDS.iter().find(|(known, ..)| *known == class).map_or(("highest", "lowest"), |(_, high, low)| (*high, *low));
    let name = |entity: &Entity| home.area_of(entity).map_or(&entity.name, |area| &area.name).to_lowercase();
    let told_of = |entity: &Entity| format!("the {} with {}", name(entity), prompt::state(entity));
    let (Some(first), Some(last)) = (told.first(), told.last()) else { return String::new() };
    let all: Vec<String> =
        told.iter().take(MOST_FACTS).map(|entity| format!("{} {}", name(entity), prompt::state(entity))).collect();
    format!("The {highest} is {}. The {lowest} is {}. All: {}.", told_of(first), told_of(last), all.join(", "))
}

#[cfg(test)]
mod tests {
    use nearfield_home::HomeFile;

    use super::*;

    const HOME: &str = r#"{"rooms": {"loft": {"light": "on", "temperature_c": 19, "humidity_pct": 40},
        "cellar": {"light": "off", "temperature_c": 12.5, "humidity_pct": 70}, "porch": {"temperature_c": 3}},
        "doors": {"barn door": "locked", "hatch": "open"}, "devices": {"pump": "off"},
        "outside": {"temperature_c": 1, "weather": "snow"}}"#;

    #[test]
    fn a_question_gets_the_states_that_it_is_about_and_no_others() {
        let file = HomeFile::parse(HOME).unwrap();
        let names = Vocabulary::of(file.home());
        for (question, told) in [
            ("Is the loft light on?", "Yes: The loft light is on."),
            ("is the pump running", "No: The pump is off."),
            ("Is the barn door unlocked?", "No: The barn door is closed and locked."),
            ("is the hatch closed?", "No: The hatch is open and unlocked."),
            ("How warm is the cellar?", "The cellar temperature is 12.5 \u{b0}C."),
            ("How cold is it outside?", "Outside: snow, 1 \u{b0}C."),
            (
                "Which room is the coldest?",
                "The warmest is the loft with 19 \u{b0}C. The coldest is the porch with 3 \u{b0}C. All: loft 19 \u{b0}C, cellar 12.5 \u{b0}C, porch 3 \u{b0}C.",
            ),
            ("Which lights are on?", "The loft light is on. The cellar light is off."),
            ("Who wrote Faust?", ""),
            ("How are you?", ""),
        ] {
            assert_eq!(facts(&Wish::of(question), &names, file.home()), told, "{question}");
        }
    }
}

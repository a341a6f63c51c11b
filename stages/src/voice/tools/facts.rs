//! What a model is told beside a question: the states that its words are about, a sentence each, and what follows from them by
//! counting and comparing, at which small models are weak.

use nearfield_home::sentences::Vocabulary;
use nearfield_home::sentences::wish::{Wish, describes};
use nearfield_home::{Domain, Entity, Home, prompt};

use super::answers::numbers;

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

/// What a question is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// As the model reads it; empty where the question is about nothing in the home.
    pub told: String,
    /// The answer as far as it can be computed: said where the model's contradicts the states.
    pub answer: String,
    /// Whether the answer is a yes or a no.
    yes: Option<bool>,
    /// A name without which the answer is wrong.
    names: Option<String>,
    /// States that are not so.
    wrong: Vec<String>,
}

impl Facts {
    /// Whether there are any.
    pub fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    /// Whether a reply says nothing that contradicts them.
    pub fn agree_with(&self, reply: &str, question: &str) -> bool {
        if self.is_empty() {
            return true;
        }
        let lower = reply.to_lowercase();
        let words: Vec<&str> =
            lower.split(|c: char| !c.is_alphanumeric() && c != '\'').filter(|w| !w.is_empty()).collect();
        let said = match words.first() {
            Some(&("yes" | "yeah")) => Some(true),
            Some(&"no") => Some(false),
            _ => None,
        };
        let is_denied = words.iter().any(|word| *word == "not" || word.ends_with("n't"));
        let known: Vec<f64> = numbers(&self.told).chain(numbers(question)).map(|(number, _)| number).collect();
        let contradicts = self.yes.is_some() && said.is_some() && said != self.yes;
        if words.is_empty() || contradicts || self.yes == Some(true) && is_denied {
            return false;
        }
        (is_denied || !self.wrong.iter().any(|state| words.contains(&state.as_str())))
            && self.names.as_ref().is_none_or(|name| lower.contains(name))
            && numbers(reply).all(|(said, decimals)| known.iter().any(|known| rounds_to(*known, said, decimals)))
    }
}

/// What is known of the home while a model writes freely: a clause that says otherwise is not said.
#[derive(Debug)]
pub(crate) struct Truth {
    names: Vocabulary,
    /// Numbers of states and of the question.
    known: Vec<f64>,
    /// Whether every measured value is one of this home's: the question is about nothing else, or the model knows nothing else.
    is_of_home: bool,
}

/// Words with which a number is a measured one.
const UNITS: &[&str] = &["degree", "\u{b0}", "percent", "%", "watt", "kwh", "ppm", "lux"];

/// The most words that a thing is called by.
const MOST_NAME_WORDS: usize = 4;

impl Truth {
    /// Of a home, for a question to a model that knows nothing but homes, or much else.
    pub(crate) fn of(home: &Home, question: &str, knows_home_only: bool) -> Self {
        let mut known: Vec<f64> = numbers(question).map(|(number, _)| number).collect();
        for entity in home.entities() {
            known.extend(entity.state.parse::<f64>().ok());
            for (key, value) in &entity.attributes {
                let Some(value) = value.as_f64() else { continue };
                known.push(value);
                match key.as_str() {
                    "brightness" => known.push((value / 2.55).round()),
                    "volume_level" => known.push((value * 100.0).round()),
                    _ => {}
                }
            }
        }
        let names = Vocabulary::of(home);
        let is_of_home = knows_home_only || is_about_home(question, &names);
        Self { names, known, is_of_home }
    }

    /// Whether a clause says that something is not there which is, or measures what nothing here measures.
    pub(crate) fn is_denied_by(&self, clause: &str) -> bool {
        let lower = clause.to_lowercase();
        if let Some(thing) = missing_thing(&lower) {
            // A time of day is no thing that a home has.
            if thing.contains(|c: char| c.is_ascii_digit()) {
                return true;
            }
            if thing.split(' ').any(|word| STATES.contains(&word) || matches!(word, "in" | "at" | "left")) {
                return false;
            }
            let words = thing.split_whitespace().count();
            let support = Wish::of(&format!("the {thing}")).support(&self.names, Domain::ALL);
            let is_there = !support.entities.is_empty() && support.unexplained.is_empty();
            return is_there || words > MOST_NAME_WORDS;
        }
        let is_measured = UNITS.iter().any(|unit| lower.contains(unit));
        is_measured
            && (self.is_of_home || self.names.has_place_in(clause))
            && numbers(clause).any(|(said, decimals)| !self.known.iter().any(|known| rounds_to(*known, said, decimals)))
    }
}

/// Whether a question is about things of a home and nothing else: "How warm is the cellar?", but not "How hot is the sun?".
fn is_about_home(question: &str, names: &Vocabulary) -> bool {
    let support = Wish::of(question).support(names, Domain::ALL);
    !support.entities.is_empty() && support.unexplained.is_empty()
}

/// What a clause says there is none of: "There is no washing machine here."
fn missing_thing(lower: &str) -> Option<&str> {
    let begins = ["there is no ", "there are no ", "there's no ", "there isn't a ", "there isn't any "];
    let rest = begins.iter().find_map(|begin| lower.trim_start().strip_prefix(begin))?;
    let rest = rest.trim_end_matches(|c: char| !c.is_alphanumeric());
    let rest = rest.strip_suffix(" here").unwrap_or(rest);
    (!rest.is_empty()).then_some(rest)
}

/// Whether a known number is the one that was said, as far as that has decimals.
fn rounds_to(known: f64, said: f64, decimals: i32) -> bool {
    let unit = 10_f64.powi(decimals);
    (known.abs() * unit).round() == (said * unit).round()
}

/// States that a reply may name.
const STATES: &[&str] = &["on", "off", "open", "closed", "locked", "unlocked", "running", "playing"];

/// Words for the upper and for the lower end of any scale.
const HIGHEST: &[&str] = &["warmest", "hottest", "highest", "most", "dampest", "brightest", "maximum", "largest"];
const LOWEST: &[&str] = &["coldest", "coolest", "lowest", "least", "driest", "darkest", "minimum", "smallest"];

/// The ends of a scale, as people say them.
const ENDS: &[(&str, &str, &str)] = &[("temperature", "warmest", "coldest"), ("humidity", "most humid", "driest")];

/// The states that a question may be about, a sentence each.
pub(super) fn facts(wish: &Wish, names: &Vocabulary, home: &Home) -> Facts {
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
        return compared(&told, measure.unwrap_or_default(), wish, home);
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
    let entities = told.iter().map(|at| &all[*at]);
    let Some(yes) = agreement(wish, entities.clone()).filter(|_| is_one) else {
        return Facts { answer: lines.clone(), told: lines, ..Facts::default() };
    };
    let is = |word: &&str| -> Vec<bool> { entities.clone().filter_map(|entity| describes(entity, word)).collect() };
    let wrong = STATES.iter().filter(|word| is(word).contains(&false) && !is(word).contains(&true));
    let word = if yes { "Yes" } else { "No" };
    let (first, rest) = lines.split_at(lines.chars().next().map_or(0, char::len_utf8));
    Facts {
        told: format!("{word}: {lines}"),
        answer: format!("{word}, {}{rest}", first.to_lowercase()),
        yes: Some(yes),
        wrong: wrong.map(|word| (*word).to_owned()).collect(),
        names: None,
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
fn compared(told: &[&Entity], class: &str, wish: &Wish, home: &Home) -> Facts {
    let (highest, lowest) =
        ENDS.iter().find(|(known, ..)| *known == class).map_or(("highest", "lowest"), |(_, high, low)| (*high, *low));
    let name = |entity: &Entity| home.area_of(entity).map_or(&entity.name, |area| &area.name).to_lowercase();
    let sentence =
        |end: &str, entity: &Entity| format!("The {end} is the {} with {}.", name(entity), prompt::state(entity));
    let (Some(first), Some(last)) = (told.first(), told.last()) else { return Facts::default() };
    let all: Vec<String> =
        told.iter().take(MOST_FACTS).map(|entity| format!("{} {}", name(entity), prompt::state(entity))).collect();
    let (first, last) = ((sentence(highest, first), name(first)), (sentence(lowest, last), name(last)));
    let all = all.join(", ");
    let (answer, names) = match (wish.says(HIGHEST), wish.says(LOWEST)) {
        (true, false) => (first.0.clone(), Some(first.1)),
        (false, true) => (last.0.clone(), Some(last.1)),
        _ => (format!("{all}."), None),
    };
    Facts { told: format!("{} {} All: {all}.", first.0, last.0), answer, names, ..Facts::default() }
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
            assert_eq!(facts(&Wish::of(question), &names, file.home()).told, told, "{question}");
        }
    }

    #[test]
    fn a_clause_that_denies_what_is_there_or_measures_what_nothing_measures_is_not_true() {
        let file = HomeFile::parse(HOME).unwrap();
        let truth = Truth::of(file.home(), "set it to 22 degrees", true);
        for (clause, is_denied) in [
            ("There is no pump here.", true),
            ("There is no loft here.", true),
            ("There is no Thursday at 6 pm here.", true),
            ("There is no sauna here.", false),
            ("There is no light on in the loft.", false),
            ("It is 70.4 degrees in the loft.", true),
            ("It is 70.4 degrees.", true),
            ("It is 19 degrees in the loft.", false),
            ("I set it to 22 degrees.", false),
            ("The humidity is 40 percent.", false),
            ("Goethe wrote it in 1808.", false),
        ] {
            assert_eq!(truth.is_denied_by(clause), is_denied, "{clause}");
        }
    }

    #[test]
    fn a_model_that_knows_more_than_homes_may_tell_other_numbers_than_those_of_this_home() {
        let file = HomeFile::parse(HOME).unwrap();
        for (question, clause, is_denied) in [
            ("At what temperature does water boil?", "Water boils at 100 degrees.", false),
            ("How hot is the sun?", "It is some 5,500 degrees.", false),
            ("How much of the air is oxygen?", "21 percent of the air is oxygen.", false),
            ("Tell me something.", "It is 71 degrees in the loft.", true),
            ("How warm is the cellar?", "It is 31 degrees.", true),
            ("How warm is the cellar?", "It is 12.5 degrees.", false),
            ("Tell me something.", "There is no pump here.", true),
        ] {
            let truth = Truth::of(file.home(), question, false);
            assert_eq!(truth.is_denied_by(clause), is_denied, "{question} {clause}");
        }
    }

    #[test]
    fn a_reply_that_contradicts_the_states_is_told_from_one_that_does_not() {
        let file = HomeFile::parse(HOME).unwrap();
        let names = Vocabulary::of(file.home());
        for (question, reply, agrees) in [
            ("Is the loft light on?", "Yes, it is on.", true),
            ("Is the loft light on?", "The loft light is on.", true),
            ("Is the loft light on?", "No, the loft light is off.", false),
            ("Is the loft light on?", "The loft light is off.", false),
            ("Is the loft light on?", "No, the loft light is on.", false),
            ("Is the barn door unlocked?", "No, it is not unlocked.", true),
            ("Is the barn door unlocked?", "It is locked.", true),
            ("Is the barn door unlocked?", "The barn door is unlocked.", false),
            ("How warm is the cellar?", "It is about 13 degrees.", true),
            ("How warm is the cellar?", "It is 25 degrees.", false),
            ("How warm is the cellar?", "", false),
            ("Which room is the coldest?", "The porch, with 3 degrees.", true),
            ("Which room is the coldest?", "The loft is.", false),
            ("Who wrote Faust?", "Goethe wrote it in 1808.", true),
        ] {
            let facts = facts(&Wish::of(question), &names, file.home());
            assert_eq!(facts.agree_with(reply, question), agrees, "{question} {reply} {facts:?}");
            assert!(facts.agree_with(&facts.answer, question), "{facts:?}");
        }
    }
}

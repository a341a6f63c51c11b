//! Questions about the weather in words that no template has. Every word must be known to be one of such a question: a day, a
//! condition, a quantity, or a word that says nothing by itself; what is asked follows from those that are there.

use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::weather::{self, When, condition, forecasts, holds, number, unit};
use crate::domain::Domain;
use crate::sentences::intents::{Done, Found};
use crate::sentences::outcome::{Step, Stop};
use crate::sentences::reply::capital;
use crate::sentences::state::quantity;
use crate::sentences::target::Resolver;
use crate::sentences::vocabulary::stem;
use crate::spoken::{self, write};

/// Words for a condition.
#[rustfmt::skip]
const CONDITIONS: &[(&str, &[&str])] = &[
    ("rain", &["rain", "raining", "rainy", "rains", "rainfall", "drizzle", "drizzling", "shower", "showers", "showery", "pouring",
        "pour", "wet", "damp"]),
    ("snow", &["snow", "snowing", "snowy", "snows", "snowfall", "sleet", "sleeting"]),
    ("sunny", &["sun", "sunny", "sunshine", "sunniest"]),
    ("clear", &["clear"]),
    ("cloudy", &["cloudy", "clouds", "cloud", "overcast", "gray", "dull"]),
    ("windy", &["windy", "wind", "winds", "breezy", "gusty", "blowy", "blustery"]),
    ("fog", &["fog", "foggy", "mist", "misty"]),
    ("storm", &["storm", "stormy", "storms", "storming", "thunder", "thunderstorm", "thunderstorms", "lightning"]),
    ("hail", &["hail", "hailing", "hailstones"]),
    ("hot", &["hot", "boiling", "scorching", "sweltering", "heatwave"]),
    ("warm", &["warm", "mild"]),
    ("cold", &["cold", "chilly", "cool", "nippy"]),
    ("freezing", &["freezing", "freeze", "frost", "frosty", "icy", "ice"]),
    ("dry", &["dry", "nice", "fine", "good", "pleasant", "lovely", "beautiful", "bright"]),
];

/// What is taken along in a condition.
#[rustfmt::skip]
const NEEDED: &[(&str, &[&str])] = &[
    ("rain", &["umbrella", "brolly", "raincoat", "wellies", "wellingtons", "poncho", "mac", "anorak"]),
    ("cold or wet", &["coat", "jacket"]),
    ("cold", &["jumper", "sweater", "scarf", "gloves", "hat", "cardigan", "fleece"]),
    ("sunny", &["sunscreen", "sunglasses", "suncream", "parasol", "shades", "sunblock"]),
    ("warm", &["shorts", "sandals"]),
];

/// Words by which days are compared: the quantity, and whether more of it is meant.
#[rustfmt::skip]
const MORE: &[(&str, &str, bool)] = &[
    ("warmer", "temperature", true), ("hotter", "temperature", true), ("milder", "temperature", true),
    ("colder", "temperature", false), ("cooler", "temperature", false), ("chillier", "temperature", false),
    ("windier", "wind_speed", true), ("calmer", "wind_speed", false), ("wetter", "precipitation_probability", true),
    ("drier", "precipitation_probability", false), ("dryer", "precipitation_probability", false),
];
#[rustfmt::skip]
const MOST: &[(&str, &str, bool)] = &[
    ("warmest", "temperature", true), ("hottest", "temperature", true), ("mildest", "temperature", true),
    ("coldest", "temperature", false), ("coolest", "temperature", false), ("windiest", "wind_speed", true),
    ("calmest", "wind_speed", false), ("wettest", "precipitation_probability", true),
    ("rainiest", "precipitation_probability", true), ("driest", "precipitation_probability", false),
    ("sunniest", "precipitation_probability", false), ("best", "precipitation_probability", false),
    ("nicest", "precipitation_probability", false), ("worst", "precipitation_probability", true),
];

/// Quantities and what they are called.
#[rustfmt::skip]
const VALUES: &[(&str, &[&str])] = &[
    ("temperature", &["temperature", "temp", "temperatures", "degrees"]),
    ("temperature_high", &["high", "maximum", "max"]),
    ("temperature_low", &["low", "minimum", "min"]),
    ("humidity", &["humidity", "humid", "muggy"]),
    ("pressure", &["pressure", "barometer"]),
    ("uv_index", &["uv"]),
    ("visibility", &["visibility"]),
    ("precipitation", &["precipitation"]),
];

/// Words that make the weather what is asked about.
const WEATHER: &[&str] = &["weather", "forecast", "outside", "outdoors", "outdoor", "out", "sky", "skies"];

/// Words that say nothing by themselves in such a question.
#[rustfmt::skip]
const EMPTY: &[&str] = &[
    "is", "are", "was", "be", "will", "would", "does", "do", "did", "has", "have", "had", "should", "shall", "can", "could",
    "it", "there", "the", "a", "an", "any", "some", "going", "to", "get", "getting", "got", "expect", "expected", "forecasted",
    "in", "on", "at", "for", "of", "like", "looking", "look", "looks", "what", "how", "when", "which", "day", "days", "time",
    "i", "we", "me", "us", "my", "need", "take", "bring", "wear", "carry", "with", "and", "or", "that", "this", "if",
    "much", "many", "more", "still", "yet", "soon", "again", "next", "later", "coming", "come", "way", "up", "down", "tell",
    "know", "think", "you", "chance", "chances", "likely", "likelihood", "probability", "risk", "odds", "percent", "than",
    "stop", "stops", "end", "ends", "over", "happen", "happening", "doing", "turn", "turning", "out", "around", "here",
    "right", "now", "currently", "moment", "today", "really", "very", "too", "so", "degrees", "degree", "above", "below", "under",
    "conditions", "report", "celsius", "fahrenheit", "supposed", "meant", "start", "starts", "stay", "staying", "index", "speed",
    "first", "enough", "all", "as", "warm", "cool", "fall", "drop", "rise", "least", "level", "kind", "sort", "weekend", "water",
];

struct Asked {
    days: Vec<Value>,
    conditions: Vec<&'static str>,
    needed: Option<&'static str>,
    value: Option<&'static str>,
    more: Option<(&'static str, bool)>,
    most: Option<(&'static str, bool)>,
    limit: Option<(bool, f64)>,
    is_weather: bool,
}

/// What a table lists a word under.
fn entry_of<T: Copy>(table: &[(T, &[&str])], word: &str) -> Option<T> {
    table.iter().find(|(_, words)| words.contains(&word)).map(|(of, _)| *of)
}

/// Whether a word names what the weather has people take along.
pub(super) fn is_worn(word: &str) -> bool {
    entry_of(NEEDED, word).is_some()
}

/// The words of a question, sorted; `None` where one of them is none of such a question.
fn sorted(said: &[&str], today: Date, names: &[String]) -> Option<Asked> {
    let mut asked = Asked {
        days: Vec::new(),
        conditions: Vec::new(),
        needed: None,
        value: None,
        more: None,
        most: None,
        limit: None,
        is_weather: false,
    };
    let mut at = 0;
    while at < said.len() {
        let word = said[at];
        if let Some((day, n)) = spoken::day(&said[at..], today) {
            let hours = day.hours.map(|(from, to)| json!([from, to]));
            let said = said[at..at + n].join(" ");
            asked.days.push(json!({"first": day.first.to_string(), "days": day.days, "hours": hours, "said": said}));
            at += n;
            continue;
        }
        if matches!(word, "above" | "over" | "below" | "under" | "than")
            && let Some((limit, n)) = spoken::number(&said[at + 1..])
        {
            let above = match word {
                "than" => said[..at].iter().any(|w| matches!(*w, "more" | "warmer" | "hotter" | "higher")),
                word => matches!(word, "above" | "over"),
            };
            asked.limit = Some((above, limit));
            at += 1 + n;
            continue;
        }
        let known = if let Some(name) = entry_of(CONDITIONS, word) {
            if !asked.conditions.contains(&name) {
                asked.conditions.push(name);
            }
            true
        } else if let Some(name) = entry_of(NEEDED, word) {
            asked.needed = Some(name);
            true
        } else if let Some(name) = entry_of(VALUES, word) {
            asked.value = Some(name);
            true
        } else if let Some((_, key, up)) = MORE.iter().find(|(known, ..)| *known == word) {
            asked.more = Some((key, *up));
            true
        } else if let Some((_, key, up)) = MOST.iter().find(|(known, ..)| *known == word) {
            asked.most = Some((key, *up));
            true
        } else {
            asked.is_weather |= WEATHER.contains(&word);
            WEATHER.contains(&word) || EMPTY.contains(&word) || names.contains(&stem(word))
        };
        if !known {
            return None;
        }
        at += 1;
    }
    Some(asked)
}

/// The answer to a question about the weather; `None` where it is none.
pub fn about(text: &str, resolver: Resolver<'_>, now: jiff::civil::DateTime) -> Option<Step> {
    let said: Vec<&str> = text.split(' ').filter(|w| !matches!(*w, "," | ".")).collect();
    let first = *said.first()?;
    let yes_no = matches!(
        first,
        "is" | "are"
            | "will"
            | "does"
            | "do"
            | "should"
            | "shall"
            | "can"
            | "could"
            | "any"
            | "would"
            | "am"
            | "did"
            | "was"
    );
    let most = MOST.iter().any(|(word, ..)| *word == first);
    let asks = yes_no
        || most
        || matches!(first, "what" | "how" | "when" | "which" | "tell" | "chance" | "chances" | "weather");
    let home = resolver.home;
    let stations: Vec<usize> =
        (0..home.entities().len()).filter(|i| home.entities()[*i].domain == Domain::Weather).collect();
    if !asks || said.len() > 16 || stations.is_empty() {
        return None;
    }
    let mut names: Vec<String> = Vec::new();
    for i in &stations {
        names.extend(resolver.names.entities[*i].names.iter().flatten().cloned());
    }
    let asked = sorted(&said, now.date(), &names)?;
    let has = |word: &str| said.contains(&word);
    let ahead = has("will") || has("going") || has("expect") || has("expected") || !asked.days.is_empty();
    let mut slots = Map::new();
    if let Some(day) = asked.days.first() {
        slots.insert("day".to_owned(), day.clone());
    }
    let which_day = most && has("day") || has("when") || (has("which") || has("what")) && (has("day") || has("days"));
    let find = |intent: &'static str, slots: Map<String, Value>| Found {
        said: "",
        intent,
        slots,
        resolver,
        now,
        has_timers: false,
    };
    let with = |mut slots: Map<String, Value>, more: Value| {
        slots.extend(more.as_object().cloned().unwrap_or_default());
        slots
    };
    let answer: Done = if let Some((key, up)) = asked.most {
        if !which_day && !has("weather") && asked.days.is_empty() {
            return None;
        }
        extreme(&find("Weather", slots), key, up)
    } else if let Some((key, up)) = asked.more {
        if asked.days.is_empty() && !asked.is_weather {
            return None;
        }
        compared(&find("Weather", slots), key, up, &asked.days)
    } else if let (Some((above, limit)), true) = (asked.limit, yes_no) {
        if asked.days.is_empty() && !asked.is_weather {
            return None;
        }
        beyond(&find("WeatherValue", slots), above, limit, &said)
    } else if has("stop") || has("stops") || has("end") {
        let condition = *asked.conditions.first()?;
        ends(&find("WeatherIs", slots), condition, which_day)
    } else if let Some(needed) = asked.needed {
        if !yes_no {
            return None;
        }
        weather::answer(&find("WeatherIs", with(slots, json!({"condition": needed, "future": true}))))
    } else if let (Some(condition), true) = (asked.conditions.first(), which_day && asked.days.is_empty()) {
        weather::answer(&find("WeatherIs", with(slots, json!({"condition": condition, "find": true}))))
    } else if let Some(condition) = asked.conditions.first() {
        let is_clear =
            asked.is_weather || ahead || !matches!(*condition, "cold" | "hot" | "warm" | "dry" | "clear" | "sunny");
        if !is_clear {
            return None;
        }
        let chance = ["chance", "chances", "likely", "likelihood", "probability", "risk", "odds"].into_iter().any(has);
        if chance {
            weather::answer(&find(
                "WeatherIs",
                with(slots, json!({"condition": condition, "future": true, "chance": true})),
            ))
        } else if has("much") && matches!(*condition, "rain" | "snow") {
            weather::answer(&find("WeatherValue", with(slots, json!({"weather_value": "precipitation"}))))
        } else if yes_no {
            if first == "any" && asked.days.is_empty() {
                let slots = with(slots, json!({"condition": condition, "find": true, "any": true}));
                return weather::answer(&find("WeatherIs", slots)).ok();
            }
            let future = ahead || has("coming");
            weather::answer(&find("WeatherIs", with(slots, json!({"condition": condition, "future": future}))))
        } else if first == "how" || has("speed") {
            let value = match *condition {
                "windy" => "wind_speed",
                "hot" | "warm" | "cold" | "freezing" => "temperature",
                _ => return None,
            };
            weather::answer(&find("WeatherValue", with(slots, json!({"weather_value": value}))))
        } else {
            return None;
        }
    } else if let Some(value) = asked.value {
        let forecast = matches!(value, "temperature_high" | "temperature_low" | "uv_index" | "precipitation");
        if !asked.is_weather && asked.days.is_empty() && !forecast {
            return None;
        }
        weather::answer(&find("WeatherValue", with(slots, json!({"weather_value": value}))))
    } else if asked.is_weather && (has("weather") || has("forecast") || has("outside") || has("out"))
        || !asked.days.is_empty() && first == "how" && (has("look") || has("looking"))
    {
        weather::answer(&find("Weather", slots))
    } else {
        return None;
    };
    answer.ok()
}

/// The days of the forecast from today on, each with its values.
fn days(found: &Found<'_>, at: usize) -> Vec<(Date, Map<String, Value>)> {
    forecasts(found.entity(at), &["daily_forecast", "forecast", "twice_daily_forecast"])
        .into_iter()
        .filter_map(|(at, map)| Some((at.get(..10)?.parse::<Date>().ok()?, map)))
        .filter(|(date, _)| *date >= found.now.date())
        .collect()
}

/// Which day has the most or the least of something.
fn extreme(found: &Found<'_>, key: &str, up: bool) -> Done {
    let at = weather::entity(found)?;
    let mut list = days(found, at);
    if let Some(When { first, days, now: false, .. }) = weather::when(found) {
        list.retain(|(date, _)| first.until(*date).is_ok_and(|span| (0..days).contains(&span.get_days())));
    }
    let best = list
        .iter()
        .filter_map(|(date, map)| Some((*date, map, number(map, key)?)))
        .reduce(|a, b| if (b.2 > a.2) == up && b.2 != a.2 { b } else { a })
        .ok_or_else(|| Stop::Unsaid("the forecast".to_owned()))?;
    found.say(&[at], weather::sentence(found.entity(at), best.1, &write::day(best.0, found.now.date())))
}

/// A quantity of a day: of the forecast, or of now where it is not in it.
fn of_day(found: &Found<'_>, at: usize, day: Option<&Value>, key: &str) -> Option<(String, f64)> {
    let today = found.now.date();
    let first: Date = match day {
        Some(day) => day["first"].as_str()?.parse().ok()?,
        None => today,
    };
    let of_forecast =
        days(found, at).into_iter().find(|(date, _)| *date == first).and_then(|(_, map)| number(&map, key));
    let now = || (first == today).then(|| number(&found.entity(at).attributes, key)).flatten();
    Some((write::day(first, today), of_forecast.or_else(now)?))
}

/// "Is it warmer tomorrow than today?"
fn compared(found: &Found<'_>, key: &str, up: bool, days: &[Value]) -> Done {
    let at = weather::entity(found)?;
    let unsaid = || Stop::Unsaid("the forecast".to_owned());
    let (one, a) = of_day(found, at, days.first(), key).ok_or_else(unsaid)?;
    let (two, b) = of_day(found, at, days.get(1), key).ok_or_else(unsaid)?;
    let unit = unit(found.entity(at), key);
    let yes = if a > b { up } else { a < b && !up };
    let what = if key == "precipitation_probability" { "the chance of rain" } else { "it" };
    let (a, b) = (quantity(a, &unit), quantity(b, &unit));
    let be = if what == "it" { "it will be" } else { "the chance of rain is" };
    found.say(&[at], format!("{}, {be} {a} {one} and {b} {two}.", if yes { "Yes" } else { "No" }))
}

/// "Is it over 30 outside?", "will it get below zero tonight?"
fn beyond(found: &Found<'_>, above: bool, limit: f64, said: &[&str]) -> Done {
    let at = weather::entity(found)?;
    let entity = found.entity(at);
    let when = weather::when(found).ok_or(Stop::Mismatch)?;
    let is_percent = said.iter().any(|w| matches!(*w, "percent" | "humidity" | "humid"));
    let key = if is_percent { "humidity" } else { "temperature" };
    let (value, be) = if when.now {
        (number(&entity.attributes, key), "it is")
    } else {
        let list = weather::ahead(found, entity, &when);
        let low = |map: &Map<String, Value>| number(map, "templow").or_else(|| number(map, key));
        let value = match list.first() {
            Some((_, map)) if above || is_percent => number(map, key),
            Some((_, map)) => low(map),
            None => None,
        };
        (value, "it will be")
    };
    let value = value.ok_or_else(|| Stop::Unsaid("the temperature".to_owned()))?;
    let yes = if above { value > limit } else { value < limit };
    let day = if when.now { "outside".to_owned() } else { when.label };
    let said = quantity(value, &unit(entity, key));
    found.say(&[at], format!("{}, {be} {said} {day}.", if yes { "Yes" } else { "No" }))
}

/// "When will it stop raining?": the first day without.
fn ends(found: &Found<'_>, asked: &str, which_day: bool) -> Done {
    let at = weather::entity(found)?;
    let entity = found.entity(at);
    let fahrenheit = unit(entity, "temperature").contains('F');
    let is = |state: &str, map: &Map<String, Value>| holds(asked, state, map, fahrenheit) == Some(true);
    if !is(&entity.state, &entity.attributes) && which_day {
        return found.say(&[at], format!("It is {} now.", condition(&entity.state)));
    }
    let list = days(found, at);
    let state = |map: &Map<String, Value>| map.get("condition").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !which_day {
        let day = weather::when(found).ok_or(Stop::Mismatch)?;
        let (_, map) =
            list.iter().find(|(date, _)| *date == day.first).ok_or_else(|| Stop::Unsaid("the forecast".to_owned()))?;
        let yes = !is(&state(map), map);
        let told = weather::sentence(entity, map, &write::day(day.first, found.now.date()));
        return found.say(&[at], format!("{}. {told}", if yes { "Yes" } else { "No" }));
    }
    match list.iter().find(|(_, map)| !is(&state(map), map)) {
        Some((date, map)) => found.say(&[at], weather::sentence(entity, map, &write::day(*date, found.now.date()))),
        None if list.is_empty() => Err(Stop::Unsaid("the forecast".to_owned())),
        None => found.say(&[at], capital(&format!("not in the next {} days.", list.len()))),
    }
}

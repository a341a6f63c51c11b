//! The weather now, and ahead as far as a weather entity's forecast reaches; the sun.

use jiff::civil::Date;
use serde_json::{Map, Value};

use crate::domain::Domain;
use crate::model::Entity;
use crate::sentences::intents::{Done, Found};
use crate::sentences::outcome::Stop;
use crate::sentences::reply::capital;
use crate::sentences::state::quantity;
use crate::sentences::target::{Target, Unresolved, Want};
use crate::sentences::vocabulary::Place;
use crate::spoken::write;

/// A condition in words.
pub fn condition(state: &str) -> &str {
    match state {
        "clear-night" => "clear",
        "partlycloudy" => "partly cloudy",
        "lightning" => "stormy with lightning",
        "lightning-rainy" => "stormy with rain",
        "pouring" => "pouring with rain",
        "snowy-rainy" => "sleety",
        "windy-variant" => "windy and cloudy",
        "exceptional" => "exceptional",
        "fog" => "foggy",
        "hail" => "hailing",
        other => other,
    }
}

pub(super) fn entity(found: &Found<'_>) -> Result<usize, Stop> {
    let want = Want { domains: &[Domain::Weather], or_else: &[], place_means: &[Domain::Weather], group: false };
    if let Some(said) = found.text("target") {
        // "Is it raining in the garden?" is about the home's weather.
        let is_outdoors = found.intent == "WeatherIs"
            && found.resolver.place(said)
            && said.split(' ').any(|word| super::compare::OUTDOORS.contains(&word));
        let target = match found.target(want) {
            Err(_) if is_outdoors => Target { entities: home(found)?, ..Target::default() },
            found => found?,
        };
        return match target.entities[..] {
            [one] => Ok(one),
            _ => Err(Stop::Target(Unresolved::Several { what: "weather".to_owned(), entities: target.entities })),
        };
    }
    Ok(home(found)?[0])
}

/// The home's weather: the only one, or of several the one that is called after the home.
fn home(found: &Found<'_>) -> Result<Vec<usize>, Stop> {
    let all = found.entities(&[Domain::Weather]);
    let home: Vec<usize> = all
        .iter()
        .copied()
        .filter(|i| found.resolver.names.entities[*i].names.iter().flatten().any(|w| w == "home" || w == "house"))
        .collect();
    match (all.as_slice(), home.as_slice()) {
        ([one], _) | (_, [one]) => Ok(vec![*one]),
        ([], _) => Err(Stop::Unsaid("the weather".to_owned())),
        _ => Err(Stop::Target(Unresolved::Several { what: "weather".to_owned(), entities: all })),
    }
}

/// "Where is it warmer, at the office or at the cabin?", of two weathers.
fn compare(found: &Found<'_>) -> Done {
    let want = Want { domains: &[Domain::Weather], or_else: &[], place_means: &[], group: false };
    let key = found.text("compare").ok_or(Stop::Mismatch)?;
    let side = |slot: &str| -> Result<(usize, f64), Stop> {
        let target = found.resolver.resolve(found.text(slot).ok_or(Stop::Mismatch)?, want)?;
        let [at] = target.entities[..] else { return Err(Stop::Mismatch) };
        let value = number(&found.entity(at).attributes, key);
        Ok((at, value.ok_or_else(|| Stop::Unsaid(format!("the {}", key.replace('_', " "))))?))
    };
    let (one, two) = (side("one")?, side("two")?);
    if one.0 == two.0 {
        return Err(Stop::Mismatch);
    }
    let is_first = if found.flag("more") == Some(true) { one.1 >= two.1 } else { one.1 <= two.1 };
    let (best, other) = if is_first { (one, two) } else { (two, one) };
    let value = |(at, value): (usize, f64)| quantity(value, &unit(found.entity(at), key));
    let name = |at: usize| crate::sentences::reply::the(found.entity(at));
    let answer = if found.flag("difference") == Some(true) {
        let (high, low) = if one.1 >= two.1 { (one, two) } else { (two, one) };
        let by = ((high.1 - low.1) * 10.0).round() / 10.0;
        format!(
            "It is {} warmer at {} than at {}: {} and {}.",
            value((high.0, by)),
            name(high.0),
            name(low.0),
            value(high),
            value(low)
        )
    } else if found.flag("is") == Some(true) {
        let yes = if found.flag("more") == Some(true) { one.1 > two.1 } else { one.1 < two.1 };
        let said = if yes { "Yes" } else { "No" };
        format!("{said}, it is {} at {} and {} at {}.", value(one), name(one.0), value(two), name(two.0))
    } else {
        format!("{}: it is {} there and {} at {}.", capital(&name(best.0)), value(best), value(other), name(other.0))
    };
    found.say(&[one.0, two.0], answer)
}

pub(super) fn unit(entity: &Entity, key: &str) -> String {
    let of = |name: &str| entity.text(name).map(str::to_owned);
    match key {
        "temperature" | "templow" | "dew_point" | "apparent_temperature" => {
            of("temperature_unit").unwrap_or_else(|| "\u{b0}".to_owned())
        }
        "wind_speed" | "wind_gust_speed" => of("wind_speed_unit").unwrap_or_else(|| "km/h".to_owned()),
        "pressure" => of("pressure_unit").unwrap_or_else(|| "hPa".to_owned()),
        "visibility" => of("visibility_unit").unwrap_or_else(|| "km".to_owned()),
        "precipitation" => of("precipitation_unit").unwrap_or_else(|| "mm".to_owned()),
        "humidity" | "cloud_coverage" | "precipitation_probability" => "%".to_owned(),
        _ => String::new(),
    }
}

/// A value of the weather now or of one forecast, with its unit.
pub(super) fn reading(entity: &Entity, from: &Map<String, Value>, key: &str) -> Option<String> {
    let native = format!("native_{key}");
    let value = from.get(key).or_else(|| from.get(&native))?;
    if key == "wind_bearing" {
        return match value {
            Value::String(text) => Some(text.clone()),
            other => other.as_f64().map(direction),
        };
    }
    let number = value.as_f64().or_else(|| value.as_str()?.parse().ok())?;
    Some(quantity(number, &unit(entity, key)))
}

fn direction(degrees: f64) -> String {
    let names = [
        "the north",
        "the northeast",
        "the east",
        "the southeast",
        "the south",
        "the southwest",
        "the west",
        "the northwest",
    ];
    names[((degrees.rem_euclid(360.0) + 22.5) / 45.0) as usize % 8].to_owned()
}

pub(super) fn number(from: &Map<String, Value>, key: &str) -> Option<f64> {
    let value = from.get(key).or_else(|| from.get(&format!("native_{key}")))?;
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

/// When is asked for.
pub(super) struct When {
    pub first: Date,
    pub days: i32,
    pub hours: Option<(i8, i8)>,
    /// As it is said: "tomorrow", "on Friday".
    pub label: String,
    /// Whether no other time than now was asked for.
    pub now: bool,
}

pub(super) fn when(found: &Found<'_>) -> Option<When> {
    let today = found.now.date();
    let Some(day) = found.slots.get("day") else {
        return Some(When { first: today, days: 1, hours: None, label: "today".to_owned(), now: true });
    };
    let first: Date = day["first"].as_str()?.parse().ok()?;
    let days = i32::try_from(day["days"].as_i64()?).ok()?;
    let hours = day["hours"].as_array().and_then(|h| Some((h[0].as_i64()? as i8, h[1].as_i64()? as i8)));
    let said = day["said"].as_str().unwrap_or_default();
    let label = if days > 1 || hours.is_some() { write::said_time(said) } else { write::day(first, today) };
    Some(When { first, days, hours, label, now: false })
}

/// The forecasts of an entity: each with its time.
pub(super) fn forecasts(entity: &Entity, keys: &[&str]) -> Vec<(String, Map<String, Value>)> {
    for key in keys {
        let list = entity.stored.get(*key).or_else(|| entity.attributes.get(*key)).and_then(Value::as_array);
        if let Some(list) = list.filter(|l| !l.is_empty()) {
            return list
                .iter()
                .filter_map(|item| {
                    let map = item.as_object()?;
                    let at = map.get("datetime").or_else(|| map.get("date")).and_then(Value::as_str)?;
                    Some((at.to_owned(), map.clone()))
                })
                .collect();
        }
    }
    Vec::new()
}

/// The forecasts for the time asked for: of the day, or of its hours.
pub(super) fn ahead(found: &Found<'_>, entity: &Entity, when: &When) -> Vec<(Date, Map<String, Value>)> {
    let _ = found;
    let in_days = |at: &str| -> Option<Date> {
        let date: Date = at.get(..10)?.parse().ok()?;
        let ahead = when.first.until(date).ok()?.get_days();
        (0..when.days).contains(&ahead).then_some(date)
    };
    if let Some((from, to)) = when.hours {
        let hourly: Vec<(Date, Map<String, Value>)> = forecasts(entity, &["hourly_forecast", "twice_daily_forecast"])
            .into_iter()
            .filter_map(|(at, map)| {
                let date = in_days(&at)?;
                let hour: i8 = at.get(11..13)?.parse().ok()?;
                (from..to).contains(&hour).then_some((date, map))
            })
            .collect();
        if !hourly.is_empty() {
            return hourly;
        }
    }
    forecasts(entity, &["daily_forecast", "forecast", "twice_daily_forecast", "hourly_forecast"])
        .into_iter()
        .filter_map(|(at, map)| in_days(&at).map(|date| (date, map)))
        .collect()
}

pub(super) fn answer(found: &Found<'_>) -> Done {
    match found.intent {
        "Weather" => report(found),
        "WeatherIs" => is(found),
        "WeatherValue" => value(found),
        _ => sun(found),
    }
}

fn report(found: &Found<'_>) -> Done {
    let at = entity(found)?;
    let weather = found.entity(at);
    let when = when(found).ok_or(Stop::Mismatch)?;
    if when.now {
        let mut answer = format!("It is {}", condition(&weather.state));
        if let Some(temperature) = reading(weather, &weather.attributes, "temperature") {
            answer.push_str(&format!(" and {temperature}"));
        }
        let mut rest = Vec::new();
        if let Some(humidity) = reading(weather, &weather.attributes, "humidity") {
            rest.push(format!("{humidity} humidity"));
        }
        if let Some(wind) = reading(weather, &weather.attributes, "wind_speed") {
            rest.push(format!("wind at {wind}"));
        }
        if !rest.is_empty() {
            answer.push_str(&format!(", with {}", write::and(&rest)));
        }
        return found.say(&[at], format!("{answer}."));
    }
    let list = ahead(found, weather, &when);
    if when.first == found.now.date() && when.days == 1 && when.hours.is_none() && !list.is_empty() {
        // Of today: as it is, and as it will be.
        let temperature =
            reading(weather, &weather.attributes, "temperature").map(|t| format!(" and {t}")).unwrap_or_default();
        let ahead = sentence(weather, &list[0].1, &when.label);
        return found.say(&[at], format!("It is {}{temperature} now. {ahead}", condition(&weather.state)));
    }
    if list.is_empty() {
        if when.first == found.now.date() && when.hours.is_none() {
            let temperature =
                reading(weather, &weather.attributes, "temperature").map(|t| format!(" and {t}")).unwrap_or_default();
            return found
                .say(&[at], format!("It is {}{temperature} now. There is no forecast.", condition(&weather.state)));
        }
        return Err(Stop::Unsaid(format!("the weather {}", when.label)));
    }
    let told: Vec<String> = list
        .iter()
        .take(7)
        .map(|(date, map)| {
            let day = if when.days > 1 { write::day(*date, found.now.date()) } else { when.label.clone() };
            sentence(weather, map, &day)
        })
        .collect();
    let told = if when.hours.is_some() { vec![told[0].clone()] } else { told };
    found.say(&[at], told.join(" "))
}

pub(super) fn sentence(weather: &Entity, map: &Map<String, Value>, day: &str) -> String {
    let condition = map.get("condition").and_then(Value::as_str).map(condition).unwrap_or("unsettled");
    let mut out = format!("{} it will be {condition}", capital(day));
    match (reading(weather, map, "temperature"), reading(weather, map, "templow")) {
        (Some(high), Some(low)) => out.push_str(&format!(", with a high of {high} and a low of {low}")),
        (Some(high), None) => out.push_str(&format!(", with {high}")),
        _ => {}
    }
    if let Some(chance) = reading(weather, map, "precipitation_probability")
        .filter(|_| number(map, "precipitation_probability").is_some_and(|p| p > 0.0))
    {
        let what = if map.get("condition").and_then(Value::as_str) == Some("snowy") { "snow" } else { "rain" };
        out.push_str(&format!(" and {} chance of {what}", write::with_article(&chance)));
    }
    format!("{out}.")
}

/// Whether a condition's state, with its numbers, is what was asked; `None` where the numbers are not there.
pub(super) fn holds(asked: &str, state: &str, map: &Map<String, Value>, fahrenheit: bool) -> Option<bool> {
    let warm = |celsius: f64| if fahrenheit { celsius * 1.8 + 32.0 } else { celsius };
    let temperature = number(map, "temperature");
    let low = number(map, "templow").or(temperature);
    Some(match asked {
        "rain" => matches!(state, "rainy" | "pouring" | "lightning-rainy" | "snowy-rainy"),
        "snow" => matches!(state, "snowy" | "snowy-rainy"),
        "sunny" => state == "sunny",
        "clear" => matches!(state, "sunny" | "clear-night" | "clear"),
        "cloudy" => matches!(state, "cloudy" | "partlycloudy" | "windy-variant"),
        "windy" => matches!(state, "windy" | "windy-variant") || number(map, "wind_speed").is_some_and(|w| w >= 30.0),
        "fog" => state == "fog",
        "storm" => matches!(state, "lightning" | "lightning-rainy" | "exceptional"),
        "hail" => state == "hail",
        "warm" => temperature? >= warm(20.0),
        "hot" => temperature? >= warm(27.0),
        "cold" => temperature? <= warm(10.0),
        "cold or wet" => {
            low.or(temperature)? <= warm(12.0)
                || matches!(state, "rainy" | "pouring" | "lightning-rainy" | "snowy-rainy" | "snowy")
        }
        "freezing" => low? <= warm(0.0),
        "dry" => {
            !matches!(state, "rainy" | "pouring" | "lightning-rainy" | "snowy-rainy" | "snowy" | "hail" | "lightning")
        }
        _ => return None,
    })
}

fn is(found: &Found<'_>) -> Done {
    let at = entity(found)?;
    let weather = found.entity(at);
    let asked = found.text("condition").unwrap_or("rain");
    let fahrenheit = unit(weather, "temperature").contains('F');
    let mut when = when(found).ok_or(Stop::Mismatch)?;
    if found.flag("find") == Some(true) {
        let all = forecasts(weather, &["daily_forecast", "forecast", "twice_daily_forecast"]);
        let hit = all.iter().find_map(|(at, map)| {
            let date: Date = at.get(..10)?.parse().ok()?;
            let state = map.get("condition").and_then(Value::as_str).unwrap_or_default();
            (date >= found.now.date() && holds(asked, state, map, fahrenheit) == Some(true)).then_some((date, map))
        });
        return match hit {
            Some((date, map)) => {
                let yes = if found.flag("any") == Some(true) { "Yes. " } else { "" };
                found.say(&[at], format!("{yes}{}", sentence(weather, map, &write::day(date, found.now.date()))))
            }
            None if all.is_empty() => Err(Stop::Unsaid("the forecast".to_owned())),
            None => found.say(&[at], format!("There is no {asked} in the forecast of the next {} days.", all.len())),
        };
    }
    // What will be today is in today's forecast, where there is one.
    if when.now && found.flag("future") == Some(true) {
        let today = When { first: found.now.date(), days: 1, hours: None, label: "today".to_owned(), now: false };
        if !ahead(found, weather, &today).is_empty() {
            when = today;
        }
    }
    if found.flag("chance") == Some(true)
        && let Some((_, map)) = ahead(found, weather, &when).first()
        && let Some(chance) = reading(weather, map, "precipitation_probability")
    {
        return found.say(&[at], format!("The chance of {asked} {} is {chance}.", when.label));
    }
    let rest = if when.now { Vec::new() } else { ahead(found, weather, &when) };
    if when.now {
        let future = found.flag("future") == Some(true);
        let mut yes = holds(asked, &weather.state, &weather.attributes, fahrenheit)
            .ok_or_else(|| Stop::Unsaid(asked.to_owned()))?;
        let mut answer = {
            let temperature =
                reading(weather, &weather.attributes, "temperature").map(|t| format!(" and {t}")).unwrap_or_default();
            format!("it is {}{temperature}", condition(&weather.state))
        };
        if !yes && future {
            let today = When { first: found.now.date(), days: 1, hours: None, label: "today".to_owned(), now: false };
            if let Some((_, map)) = ahead(found, weather, &today).first() {
                let state = map.get("condition").and_then(Value::as_str).unwrap_or_default();
                yes = holds(asked, state, map, fahrenheit).unwrap_or(false);
                answer = format!("it will be {} today", condition(state));
            }
        }
        return found.say(&[at], format!("{}, {answer}.", if yes { "Yes" } else { "No" }));
    }
    if rest.is_empty() {
        return Err(Stop::Unsaid(format!("the weather {}", when.label)));
    }
    let mut hits = Vec::new();
    for (date, map) in &rest {
        let state = map.get("condition").and_then(Value::as_str).unwrap_or_default();
        if holds(asked, state, map, fahrenheit) == Some(true) {
            hits.push((*date, map));
        }
    }
    let (date, map) = hits.first().copied().unwrap_or((rest[0].0, &rest[0].1));
    let day = if when.days > 1 { write::day(date, found.now.date()) } else { when.label.clone() };
    let told = sentence(weather, map, &day);
    let yes = !hits.is_empty();
    let mut chars = told.chars();
    let told = chars.next().map(|c| c.to_lowercase().chain(chars).collect::<String>()).unwrap_or_default();
    let told = if told.starts_with("on ") { capital_days(&told) } else { told };
    found.say(&[at], format!("{}, {told}", if yes { "Yes" } else { "No" }))
}

/// Weekdays and months keep their capital.
fn capital_days(text: &str) -> String {
    text.split(' ')
        .enumerate()
        .map(|(i, w)| if i == 1 { capital(w) } else { w.to_owned() })
        .collect::<Vec<_>>()
        .join(" ")
}

fn value(found: &Found<'_>) -> Done {
    if found.text("compare").is_some() {
        return compare(found);
    }
    let key = found.text("weather_value").ok_or(Stop::Mismatch)?;
    let at = entity(found)?;
    let weather = found.entity(at);
    let when = when(found).ok_or(Stop::Mismatch)?;
    let words = match key {
        "temperature_high" => "high".to_owned(),
        "temperature_low" => "low".to_owned(),
        "apparent_temperature" => "temperature as it feels".to_owned(),
        "precipitation_probability" => "chance of rain".to_owned(),
        "uv_index" => "UV index".to_owned(),
        "wind_bearing" => "wind direction".to_owned(),
        other => other.replace('_', " "),
    };
    let forecast_only =
        matches!(key, "temperature_high" | "temperature_low" | "precipitation" | "precipitation_probability");
    if when.now && !forecast_only {
        if let Some(said) = reading(weather, &weather.attributes, key) {
            let answer = match key {
                "temperature" => format!("It is {said} outside."),
                "wind_bearing" => format!("The wind is from {said}."),
                _ => format!("The {words} is {said}."),
            };
            return found.say(&[at], answer);
        }
        return Err(Stop::Unsaid(format!("the {words}")));
    }
    let list = ahead(found, weather, &When { now: false, ..when_copy(&when) });
    let (date, map) = list.first().ok_or_else(|| Stop::Unsaid(format!("the {words} {}", when.label)))?;
    // Of the night the low is asked for: a day's forecast has both.
    let is_night = when.hours.is_some_and(|(from, _)| from >= 17) && map.contains_key("templow");
    let key = if key == "temperature" && is_night { "temperature_low" } else { key };
    let field = match key {
        "temperature_high" => "temperature",
        "temperature_low" if map.contains_key("templow") => "templow",
        "temperature_low" => "temperature",
        other => other,
    };
    let words = if key == "temperature_low" { "low".to_owned() } else { words };
    let day = if when.days > 1 { write::day(*date, found.now.date()) } else { when.label.clone() };
    let said = reading(weather, map, field).ok_or_else(|| Stop::Unsaid(format!("the {words} {}", when.label)))?;
    let answer = match (key, reading(weather, map, "templow")) {
        ("temperature", Some(low)) => format!("{} it will be between {low} and {said}.", capital(&day)),
        ("temperature", None) => format!("{} it will be {said}.", capital(&day)),
        _ => format!("The {words} {day} is {said}."),
    };
    found.say(&[at], answer)
}

fn when_copy(when: &When) -> When {
    When { first: when.first, days: when.days, hours: when.hours, label: when.label.clone(), now: when.now }
}

/// The temperature or humidity outside, for a place outside that has no sensor of its own.
pub(super) fn outside_value(found: &Found<'_>, measure: &str, place: &Place) -> Option<Done> {
    if place.label != "outside" {
        return None;
    }
    let all = found.entities(&[Domain::Weather]);
    let [at] = all[..] else { return None };
    let weather = found.entity(at);
    let said = reading(weather, &weather.attributes, measure)?;
    Some(found.say(&[at], format!("The {measure} outside is {said}.")))
}

fn sun(found: &Found<'_>) -> Done {
    let all = found.entities(&[Domain::Sun]);
    let [at] = all[..] else { return Err(Stop::Unsaid("when the sun rises".to_owned())) };
    let sun = found.entity(at);
    if let Some(event) = found.text("event") {
        let time = sun
            .text(if event == "rising" { "next_rising" } else { "next_setting" })
            .ok_or_else(|| Stop::Unsaid("the time".to_owned()))?;
        let time: jiff::civil::DateTime =
            time.get(..19).and_then(|t| t.parse().ok()).ok_or_else(|| Stop::Unsaid("the time".to_owned()))?;
        let verb = if event == "rising" { "rises" } else { "sets" };
        return found.say(
            &[at],
            format!("The sun {verb} {} at {}.", write::day(time.date(), found.now.date()), write::clock(time.time())),
        );
    }
    let up = sun.state == "above_horizon";
    found.say(&[at], format!("The sun is {} the horizon.", if up { "above" } else { "below" }))
}

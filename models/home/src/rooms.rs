//! A home as rooms with lights, doors, devices and the weather outside: the JSON form in which Nearfield first kept a home, and the
//! form in which the bundled `talk-nano` has learned to read one. A file of this form becomes a home of entities, and any home
//! of entities can be shown to that model in this form. Leaves out what the form has no word for.

use std::fmt::Write as _;

use nearfield_base::lists::joined;
use serde_json::{Map, Value};

use crate::domain::Domain;
use crate::error::FormatError;
use crate::model::{Area, Entity, Home, slug};

/// What a door can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoorState {
    /// Shut, and the lock turned.
    Locked,
    /// The lock is not turned.
    Unlocked,
    /// Standing open.
    Open,
    /// Shut.
    Closed,
}

impl DoorState {
    /// The words of the state file.
    pub const WORDS: [&str; 4] = ["locked", "unlocked", "open", "closed"];

    /// The state that a word of the file means, if it is one.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "locked" => Self::Locked,
            "unlocked" => Self::Unlocked,
            "open" => Self::Open,
            "closed" => Self::Closed,
            _ => return None,
        })
    }

    /// The word that stands in the state file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Locked => "locked",
            Self::Unlocked => "unlocked",
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// A home of rooms.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rooms {
    /// The whole file, with the keys that Nearfield does not know, in the file's order.
    state: Map<String, Value>,
    /// What stands behind the names.
    things: Vec<Thing>,
}

/// A named thing of the form, and its entities.
#[derive(Debug, Clone, PartialEq)]
struct Thing {
    part: Part,
    name: String,
    entities: Vec<String>,
}

/// Where a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `rooms`, with its light.
    Light,
    /// `doors`.
    Door,
    /// `devices`.
    Device,
}

impl Rooms {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`FormatError`] when the text is not JSON, has a key twice, or a known key has a value of another kind.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let bytes = text.strip_prefix('\u{feff}').unwrap_or(text).as_bytes();
        let value: Value = nearfield_base::json::from_slice(bytes).map_err(|error| {
            FormatError::Rooms(match error.is_data() {
                true => format!("{error}; keep one of them"),
                false => format!("it is not valid JSON: {error}"),
            })
        })?;
        let Value::Object(state) = value else {
            return Err(wrong("(the whole file)", "an object with rooms, doors, devices, outside", &value));
        };
        Self::of_document(state)
    }

    pub(crate) fn of_document(state: Map<String, Value>) -> Result<Self, FormatError> {
        check(&state)?;
        let mut rooms = Self { state, things: Vec::new() };
        rooms.migrate()?;
        Ok(rooms)
    }

    /// The home as it stands in the system message, without a final newline; empty when there is nothing to say.
    ///
    /// It is grouped by what people ask for, so that also a small model reads off which lights are on and where it is warmest,
    /// and has each thing's state behind its name, so that one thing is looked up as easily; what changes most often comes
    /// last, so that a cache keeps what is before it. A room without a light or a reading that others have is named as such.
    ///
    /// ```text
    /// lights on: hall=on
    /// lights off: kitchen=off, bath=off and den=off
    /// no light: attic=none
    /// doors locked: front door=locked
    /// devices on: heater=on
    /// no humidity: attic=none
    /// humidity %, highest first: hall=45, kitchen=40
    /// temperature °C, warmest first: kitchen=21.5, hall=19, attic=-3.2
    /// attic: window open
    /// outside: 4 °C, rain
    /// ```
    pub fn render(&self) -> String {
        let named = |key| self.part(key).map(|(name, value)| (plain(name), value)).collect::<Vec<_>>();
        let rooms = named("rooms");
        let mut lines = Vec::new();
        by_state(&mut lines, "lights", &["on", "off"], &rooms, |room| &room["light"]);
        lacking(&mut lines, "light", &rooms, |room| room["light"].is_string());
        by_state(&mut lines, "doors", &DoorState::WORDS, &named("doors"), |door| door);
        by_state(&mut lines, "devices", &["on", "off"], &named("devices"), |device| device);
        ranked(&mut lines, ("humidity", "humidity_pct"), "humidity %, highest first", &rooms);
        ranked(&mut lines, ("temperature", "temperature_c"), "temperature °C, warmest first", &rooms);
        for (name, room) in &rooms {
            let facts = room.as_object().map(|room| extras(room, &["temperature_c", "humidity_pct", "light"]));
            if let Some(facts) = facts.filter(|facts| !facts.is_empty()) {
                lines.push(format!("{name}: {}", facts.join(", ")));
            }
        }
        let outside = outside_facts(self.state.get("outside"));
        if !outside.is_empty() {
            lines.push(format!("outside: {}", outside.join(", ")));
        }
        lines.join("\n")
    }

    /// Whether some room has a light.
    pub fn has_lights(&self) -> bool {
        self.part("rooms").any(|(_, room)| room.get("light").is_some_and(Value::is_string))
    }

    /// Whether there is a door.
    pub fn has_doors(&self) -> bool {
        self.part("doors").any(|(_, state)| state.is_string())
    }

    /// Whether there is a device.
    pub fn has_devices(&self) -> bool {
        self.part("devices").any(|(_, state)| state.is_string())
    }

    fn part(&self, key: &str) -> impl Iterator<Item = (&String, &Value)> + use<'_> {
        self.state.get(key).and_then(Value::as_object).into_iter().flatten()
    }

    pub(crate) fn document(&self) -> &Map<String, Value> {
        &self.state
    }

    /// The text of the file.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(&self.state).unwrap_or_default() + "\n"
    }
}

impl Rooms {
    /// Names what stands behind the file's lights, doors and devices, as entities.
    fn migrate(&mut self) -> Result<(), FormatError> {
        let mut taken: Vec<String> = Vec::new();
        let mut id = |domain: &str, name: &str, suffix: &str| {
            let base = match slug(name) {
                base if base.is_empty() => "unnamed".to_owned(),
                base => base,
            };
            let mut id = format!("{domain}.{base}{suffix}");
            let mut count = 2;
            while taken.contains(&id) {
                id = format!("{domain}.{base}{suffix}_{count}");
                count += 1;
            }
            taken.push(id.clone());
            id
        };
        let mut things = Vec::new();
        for (name, room) in self.part("rooms") {
            if room.get("light").is_some_and(Value::is_string) {
                things.push(Thing { part: Part::Light, name: name.clone(), entities: vec![id("light", name, "")] });
            }
        }
        for (name, state) in self.part("doors") {
            if state.is_string() {
                let entities = vec![id("cover", name, ""), id("lock", name, "")];
                things.push(Thing { part: Part::Door, name: name.clone(), entities });
            }
        }
        for (name, state) in self.part("devices") {
            if state.is_string() {
                things.push(Thing { part: Part::Device, name: name.clone(), entities: vec![id("switch", name, "")] });
            }
        }
        self.things = things;
        Ok(())
    }

    /// The home of entities that the file describes: an area for each room; a light, sensors, switches; a cover and a lock for
    /// each door.
    ///
    /// # Errors
    /// [`FormatError`] where there are too many.
    pub fn home(&self) -> Result<Home, FormatError> {
        let (mut areas, mut entities): (Vec<Area>, Vec<Entity>) = (Vec::new(), Vec::new());
        let mut sensor =
            |area: Option<&str>, id: String, name: String, value: &Value, class: Option<&str>, unit: Option<&str>| {
                let mut entity = Entity::new(id, name);
                if entities.iter().any(|other| other.id == entity.id) {
                    return;
                }
                entity.area = area.map(str::to_owned);
                entity.state = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                for (key, value) in [("device_class", class), ("unit_of_measurement", unit)] {
                    if let Some(value) = value {
                        entity.attributes.insert(key.to_owned(), value.into());
                    }
                }
                entities.push(entity);
            };
        let mut ids: Vec<(String, String)> = Vec::new();
        for (name, room) in self.part("rooms") {
            let mut area = slug(name);
            while area.is_empty() || ids.iter().any(|(_, id)| *id == area) {
                area.push_str("_2");
            }
            ids.push((name.clone(), area.clone()));
            areas.push(Area { id: area.clone(), name: plain(name), aliases: Vec::new(), floor: None });
            for (key, value) in room.as_object().into_iter().flatten() {
                let (words, class, unit) = match key.as_str() {
                    "light" => continue,
                    "temperature_c" => ("temperature".to_owned(), Some("temperature"), Some("\u{b0}C")),
                    "humidity_pct" => ("humidity".to_owned(), Some("humidity"), Some("%")),
                    other => (plain(&other.replace('_', " ")), None, None),
                };
                if value.is_number() || value.is_string() || value.is_boolean() {
                    let id = format!("sensor.{area}_{}", slug(&words));
                    sensor(Some(&area), id, format!("{} {words}", plain(name)), value, class, unit);
                }
            }
        }
        if let Some(outside) = self.state.get("outside").and_then(Value::as_object) {
            let mut weather = Entity::new("weather.outside", "outside");
            weather.state = outside.get("weather").and_then(Value::as_str).map(plain).unwrap_or_default();
            for (from, to) in [("temperature_c", "temperature"), ("humidity_pct", "humidity")] {
                if let Some(value) = outside.get(from).filter(|value| value.is_number()) {
                    weather.attributes.insert(to.to_owned(), value.clone());
                }
            }
            weather.attributes.insert("temperature_unit".to_owned(), "\u{b0}C".into());
            entities.push(weather);
        }
        for thing in &self.things {
            let state = self.state_of(thing);
            for id in &thing.entities {
                let mut entity = Entity::new(id.clone(), plain(&thing.name));
                match (thing.part, entity.domain) {
                    (Part::Light, _) => {
                        entity.name = format!("{} light", plain(&thing.name));
                        entity.area = ids.iter().find(|(name, _)| *name == thing.name).map(|(_, id)| id.clone());
                        entity.attributes.insert("supported_color_modes".to_owned(), serde_json::json!(["onoff"]));
                        entity.state = state.to_owned();
                    }
                    (Part::Door, Domain::Cover) => {
                        entity.state = if state == "open" { "open" } else { "closed" }.to_owned();
                        entity.attributes.insert("device_class".to_owned(), "door".into());
                        entity.attributes.insert("supported_features".to_owned(), serde_json::json!(["OPEN", "CLOSE"]));
                    }
                    (Part::Door, _) => {
                        // Of a closed door the file does not say whether it is locked.
                        let word = match state {
                            "closed" => "unknown",
                            "locked" => "locked",
                            _ => "unlocked",
                        };
                        entity.state = word.to_owned();
                    }
                    (Part::Device, _) => entity.state = state.to_owned(),
                }
                entities.push(entity);
            }
        }
        Ok(Home::new(Vec::new(), areas, Vec::new(), entities)?)
    }

    fn state_of(&self, thing: &Thing) -> &str {
        let value = match thing.part {
            Part::Light => self.state.get("rooms").and_then(|rooms| rooms.get(&thing.name)?.get("light")),
            Part::Door => self.state.get("doors").and_then(|doors| doors.get(&thing.name)),
            Part::Device => self.state.get("devices").and_then(|devices| devices.get(&thing.name)),
        };
        value.and_then(Value::as_str).unwrap_or_default()
    }

    /// Takes over what is another in a home now.
    pub(crate) fn update(&mut self, before: &Home, now: &Home) {
        for thing in self.things.clone() {
            for id in &thing.entities {
                let (Some(old), Some(new)) = (before.entity(id), now.entity(id)) else { continue };
                if old.state == new.state {
                    continue;
                }
                let slot = match thing.part {
                    Part::Light => {
                        self.state.get_mut("rooms").and_then(|rooms| rooms.get_mut(&thing.name)?.get_mut("light"))
                    }
                    Part::Door => self.state.get_mut("doors").and_then(|doors| doors.get_mut(&thing.name)),
                    Part::Device => self.state.get_mut("devices").and_then(|devices| devices.get_mut(&thing.name)),
                };
                if let Some(slot) = slot {
                    *slot = Value::from(new.state.clone());
                }
            }
        }
    }

    /// A home of entities in this form: each area's light, temperature and humidity, locks and doors, and what is switched.
    pub fn of(home: &Home) -> Self {
        let mut things: Vec<Thing> = Vec::new();
        let (mut rooms, mut doors, mut devices) = (Map::new(), Map::new(), Map::new());
        for area in home.areas() {
            let name = area.name.to_lowercase();
            let mut room = Map::new();
            let lights: Vec<&Entity> = home.in_area(&area.id).filter(|e| e.domain == Domain::Light).collect();
            if !lights.is_empty() {
                let on = lights.iter().any(|light| light.state == "on");
                room.insert("light".to_owned(), if on { "on" } else { "off" }.into());
                let entities = lights.iter().map(|light| light.id.clone()).collect();
                things.push(Thing { part: Part::Light, name: name.clone(), entities });
            }
            for (class, key) in [("temperature", "temperature_c"), ("humidity", "humidity_pct")] {
                if let Some(value) = reading(home, &area.id, class) {
                    room.insert(key.to_owned(), value);
                }
            }
            rooms.insert(name, Value::Object(room));
        }
        for entity in home.entities() {
            let name = plain(&entity.name.to_lowercase());
            match entity.domain {
                Domain::Light => {
                    let bare = name.strip_suffix(" light").unwrap_or(&name).to_owned();
                    if !rooms.contains_key(&bare) {
                        rooms.insert(bare.clone(), serde_json::json!({"light": entity.state}));
                        things.push(Thing { part: Part::Light, name: bare, entities: vec![entity.id.clone()] });
                    }
                }
                Domain::Lock | Domain::Cover => {
                    let is_door = entity.domain == Domain::Lock
                        || matches!(entity.device_class(), Some("door" | "garage" | "gate" | "window"));
                    let known = DoorState::from_word(&entity.state);
                    if !is_door || known.is_none() {
                        continue;
                    }
                    match things.iter_mut().find(|thing| thing.part == Part::Door && thing.name == name) {
                        Some(thing) => {
                            thing.entities.push(entity.id.clone());
                            if entity.state == "open" {
                                doors.insert(name, "open".into());
                            }
                        }
                        None => {
                            doors.insert(name.clone(), entity.state.clone().into());
                            things.push(Thing { part: Part::Door, name, entities: vec![entity.id.clone()] });
                        }
                    }
                }
                Domain::Switch | Domain::Fan | Domain::InputBoolean | Domain::MediaPlayer | Domain::Humidifier
                    if !devices.contains_key(&name) =>
                {
                    let on = if entity.is_active() || entity.state == "idle" { "on" } else { "off" };
                    devices.insert(name.clone(), on.into());
                    things.push(Thing { part: Part::Device, name, entities: vec![entity.id.clone()] });
                }
                _ => {}
            }
        }
        let mut state = Map::new();
        for (key, part) in [("rooms", rooms), ("doors", doors), ("devices", devices)] {
            if !part.is_empty() {
                state.insert(key.to_owned(), Value::Object(part));
            }
        }
        if let Some(weather) = home.of_domain(Domain::Weather).next() {
            let mut outside = Map::new();
            for (from, to) in [("temperature", "temperature_c"), ("humidity", "humidity_pct")] {
                if let Some(value) = weather.attributes.get(from).filter(|value| value.is_number()) {
                    outside.insert(to.to_owned(), value.clone());
                }
            }
            outside.insert("weather".to_owned(), weather.state.clone().into());
            state.insert("outside".to_owned(), Value::Object(outside));
        }
        Self { state, things }
    }

    /// The names and states of what there is of one kind.
    pub fn states(&self, part: Part) -> impl Iterator<Item = (&str, &str)> {
        let things = self.things.iter().filter(move |thing| thing.part == part);
        things.map(|thing| (thing.name.as_str(), self.state_of(thing)))
    }

    /// The entities that a name stands for, and what to call them: `kitchen`, `kitchen light` or `all` for lights.
    ///
    /// # Errors
    /// There is no such thing; a sentence that can be spoken.
    pub fn find(&self, part: Part, wanted: &str) -> Result<(String, Vec<String>), String> {
        let (plural, suffixes): (&str, &[&str]) = match part {
            Part::Light => ("lights", &[" light", " lights", " lamp"]),
            Part::Door => ("doors", &[" door", " doors"]),
            Part::Device => ("devices", &[]),
        };
        let things: Vec<&Thing> = self.things.iter().filter(|thing| thing.part == part).collect();
        let wanted = folded(wanted);
        let bare = |name: &str| suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name).to_owned();
        let found = things
            .iter()
            .find(|thing| folded(&thing.name) == wanted)
            .or_else(|| things.iter().find(|thing| !wanted.is_empty() && bare(&folded(&thing.name)) == bare(&wanted)));
        if let Some(thing) = found {
            let what = if part == Part::Light { format!("{} light", thing.name) } else { thing.name.clone() };
            return Ok((what, thing.entities.clone()));
        }
        let singular = plural.trim_end_matches('s');
        let rest = wanted.trim_start_matches("all ").trim_start_matches("the ").trim_start_matches("every ");
        let everything = ["all", "everything", "every", "everywhere", plural, singular];
        if wanted == "all"
            || wanted == "everything"
            || wanted == plural
            || (rest != wanted && everything.contains(&rest))
        {
            if things.is_empty() {
                return Err(format!("there are no {plural} here"));
            }
            return Ok((plural.to_owned(), things.iter().flat_map(|thing| thing.entities.clone()).collect()));
        }
        let short: String = wanted.chars().take(60).collect();
        let mut shown = short.as_str();
        if part == Part::Light {
            for suffix in suffixes {
                shown = shown.strip_suffix(suffix).unwrap_or(shown);
            }
        }
        let is_whole = [" door", "gate", "window"].iter().any(|end| shown.ends_with(end));
        Err(match part {
            _ if shown.is_empty() => format!("there is no such {singular}"),
            Part::Light => format!("there is no light in the {shown}"),
            Part::Door if is_whole => format!("there is no {shown}"),
            Part::Door => format!("there is no {shown} door"),
            Part::Device => format!("there is no {shown}"),
        })
    }
}

/// What an area's sensor measures, else its thermostat.
fn reading(home: &Home, area: &str, class: &str) -> Option<Value> {
    let number = |text: &str| text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Value::Number);
    let sensor = home.in_area(area).find(|e| e.domain == Domain::Sensor && e.device_class() == Some(class));
    sensor.and_then(|sensor| number(&sensor.state)).or_else(|| {
        let climate = home.in_area(area).find(|e| e.domain == Domain::Climate)?;
        climate.attributes.get(&format!("current_{class}")).filter(|value| value.is_number()).cloned()
    })
}

fn wrong(key: &str, expected: &str, found: &Value) -> FormatError {
    FormatError::Rooms(format!("`{}` must be {expected}, but it is {}", plain(key), describe(found)))
}

/// Refuses a document whose known keys have values of another kind.
fn check(state: &Map<String, Value>) -> Result<(), FormatError> {
    let part = |key: &'static str| match state.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(part)) => Ok(Some(part)),
        Some(other) => Err(wrong(key, "an object", other)),
    };
    let number = |key: String, value: Option<&Value>| match value {
        None | Some(Value::Null | Value::Number(_)) => Ok(()),
        Some(other) => Err(wrong(&key, "a number", other)),
    };
    for (name, room) in part("rooms")?.into_iter().flatten() {
        let Value::Object(fields) = room else {
            return Err(wrong(&format!("rooms.{name}"), "an object", room));
        };
        for key in ["temperature_c", "humidity_pct"] {
            number(format!("rooms.{name}.{key}"), fields.get(key))?;
        }
        match fields.get("light") {
            None | Some(Value::Null) => {}
            Some(Value::String(light)) if light == "on" || light == "off" => {}
            Some(other) => return Err(wrong(&format!("rooms.{name}.light"), "\"on\" or \"off\"", other)),
        }
    }
    for (name, state) in part("doors")?.into_iter().flatten() {
        if !(state.is_null() || state.as_str().is_some_and(|word| DoorState::from_word(word).is_some())) {
            let expected = "\"locked\", \"unlocked\", \"open\" or \"closed\"";
            return Err(wrong(&format!("doors.{name}"), expected, state));
        }
    }
    for (name, state) in part("devices")?.into_iter().flatten() {
        if !(state.is_null() || matches!(state.as_str(), Some("on" | "off"))) {
            return Err(wrong(&format!("devices.{name}"), "\"on\" or \"off\"", state));
        }
    }
    if let Some(outside) = part("outside")? {
        number("outside.temperature_c".to_owned(), outside.get("temperature_c"))?;
        number("outside.humidity_pct".to_owned(), outside.get("humidity_pct"))?;
        match outside.get("weather") {
            None | Some(Value::Null | Value::String(_)) => {}
            Some(other) => return Err(wrong("outside.weather", "a text", other)),
        }
    }
    Ok(())
}

/// Adds a line for each state that something is in: `doors open: gate=open and hatch=open`.
fn by_state(
    lines: &mut Vec<String>,
    what: &str,
    words: &[&str],
    things: &[(String, &Value)],
    state: impl Fn(&Value) -> &Value,
) {
    for word in words {
        let within = things.iter().filter(|(_, thing)| state(thing).as_str() == Some(word));
        let named: Vec<String> = within.map(|(name, _)| format!("{name}={word}")).collect();
        if !named.is_empty() {
            lines.push(format!("{what} {word}: {}", joined(&named)));
        }
    }
}

/// Adds a line with the rooms that do not have what others have.
fn lacking(lines: &mut Vec<String>, what: &str, rooms: &[(String, &Value)], has: impl Fn(&Value) -> bool) {
    let without: Vec<String> =
        rooms.iter().filter(|(_, room)| !has(room)).map(|(name, _)| format!("{name}=none")).collect();
    if !without.is_empty() && without.len() < rooms.len() {
        lines.push(format!("no {what}: {}", joined(&without)));
    }
}

/// Adds a line with the readings of the rooms, the highest first and equal ones in the file's order.
fn ranked(lines: &mut Vec<String>, (what, key): (&str, &str), title: &str, rooms: &[(String, &Value)]) {
    lacking(lines, what, rooms, |room| room[key].is_number());
    let mut readings: Vec<(f64, String)> = rooms
        .iter()
        .filter_map(|(name, room)| match &room[key] {
            Value::Number(number) => Some((number.as_f64()?, format!("{name}={}", shortest(number)))),
            _ => None,
        })
        .collect();
    readings.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    if !readings.is_empty() {
        let shown: Vec<String> = readings.into_iter().map(|(_, shown)| shown).collect();
        lines.push(format!("{title}: {}", shown.join(", ")));
    }
}

fn outside_facts(outside: Option<&Value>) -> Vec<String> {
    let Some(outside) = outside.and_then(Value::as_object) else { return Vec::new() };
    let mut facts = Vec::new();
    if let Some(Value::Number(celsius)) = outside.get("temperature_c") {
        facts.push(format!("{} °C", shortest(celsius)));
    }
    if let Some(Value::Number(percent)) = outside.get("humidity_pct") {
        facts.push(format!("humidity {} %", shortest(percent)));
    }
    if let Some(weather) = outside.get("weather").and_then(Value::as_str).map(plain).filter(|it| !it.is_empty()) {
        facts.push(weather);
    }
    facts.extend(extras(outside, &["temperature_c", "humidity_pct", "weather"]));
    facts
}

/// The scalar fields beyond the known ones, as "name value"; objects and lists stay in the file only.
fn extras(of: &Map<String, Value>, known: &[&str]) -> Vec<String> {
    let mut facts = Vec::new();
    for (name, value) in of.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
        let value = match value {
            Value::Bool(yes) => yes.to_string(),
            Value::Number(number) => shortest(number),
            Value::String(text) => plain(text),
            Value::Null | Value::Array(_) | Value::Object(_) => continue,
        };
        let mut fact = plain(name);
        let _ = write!(fact, " {value}"); // writing to a String cannot fail
        facts.push(fact.trim().to_owned());
    }
    facts
}

/// 21.5, 4 (for 4.0), -3.2; never "-0". Numbers beyond any sensor are shortened to an exponent.
fn shortest(number: &serde_json::Number) -> String {
    match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => whole.to_string(),
        (None, Some(0.0)) => "0".to_owned(),
        (None, Some(real)) if real.abs() >= 1e15 || real.abs() < 1e-6 => format!("{real:e}"),
        (None, Some(real)) => real.to_string(),
        (None, None) => number.to_string(),
    }
}

/// One line of text: a name from the file cannot start a line of its own in the prompt.
fn plain(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => {
            let short: String = text.chars().take(40).collect();
            format!("the text {short:?}")
        }
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// A name as people and models vary it: case, spaces, underscores, a leading "the".
pub(crate) fn folded(name: &str) -> String {
    let spaced: String = name.chars().map(|c| if c == '_' || c.is_control() { ' ' } else { c }).collect();
    let lower = spaced.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    match words.as_slice() {
        ["the", rest @ ..] if !rest.is_empty() => rest.join(" "),
        all => all.join(" "),
    }
}

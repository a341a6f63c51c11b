//! From rooms to entities and back: what stands behind the names of a file of rooms, and any home in the form of rooms.

use serde_json::{Map, Value};

use super::{DoorState, Part, Rooms, Thing};
use crate::domain::Domain;
use crate::error::FormatError;
use crate::model::{Area, Entity, Home, one_line, slug};

impl Rooms {
    /// Names what stands behind the file's lights, doors and devices, as entities.
    pub(super) fn migrate(&mut self) -> Result<(), FormatError> {
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
            areas.push(Area { id: area.clone(), name: one_line(name), aliases: Vec::new(), floor: None });
            for (key, value) in room.as_object().into_iter().flatten() {
                let (words, class, unit) = match key.as_str() {
                    "light" => continue,
                    "temperature_c" => ("temperature".to_owned(), Some("temperature"), Some("\u{b0}C")),
                    "humidity_pct" => ("humidity".to_owned(), Some("humidity"), Some("%")),
                    other => (one_line(&other.replace('_', " ")), None, None),
                };
                if value.is_number() || value.is_string() || value.is_boolean() {
                    let id = format!("sensor.{area}_{}", slug(&words));
                    sensor(Some(&area), id, format!("{} {words}", one_line(name)), value, class, unit);
                }
            }
        }
        if let Some(outside) = self.state.get("outside").and_then(Value::as_object) {
            let mut weather = Entity::new("weather.outside", "outside");
            weather.state = outside.get("weather").and_then(Value::as_str).map(one_line).unwrap_or_default();
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
                let mut entity = Entity::new(id.clone(), one_line(&thing.name));
                match (thing.part, entity.domain) {
                    (Part::Light, _) => {
                        entity.name = format!("{} light", one_line(&thing.name));
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
            let name = one_line(&entity.name.to_lowercase());
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
                            // Of a door's cover and lock: whether it stands open, else whether it is locked.
                            let is_open = doors.get(&name).is_some_and(|state: &Value| state == "open");
                            let tells = entity.state == "open" || entity.domain == Domain::Lock;
                            if tells && !is_open {
                                doors.insert(name, entity.state.clone().into());
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

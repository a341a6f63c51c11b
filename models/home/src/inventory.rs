//! The public inventory format of homes (`_fixtures.yaml`): areas, devices and entities with states and attributes, in YAML or
//! JSON. Read within bounds and with an error that names the place; written with everything that it held besides.

use serde_json::{Map, Value};

use crate::error::FormatError;
use crate::model::{Area, Device, Entity, Floor, Home, one_line, slug};
use crate::yaml;

/// An inventory as it stands in its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Inventory {
    document: Map<String, Value>,
}

impl Inventory {
    /// Reads a text.
    ///
    /// # Errors
    /// [`FormatError`]: it is no YAML, a key stands there twice, or a value has another kind than the format asks for.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let inventory = Self { document: yaml::parse(text)? };
        inventory.home()?; // so that a broken file is refused when it is read
        Ok(inventory)
    }

    /// Whether a document is an inventory and not a home of rooms.
    pub(crate) fn is_one(document: &Map<String, Value>) -> bool {
        ["areas", "entities", "floors"].iter().any(|key| document.contains_key(*key))
            || document.get("devices").is_some_and(Value::is_array)
    }

    pub(crate) fn of(document: Map<String, Value>) -> Self {
        Self { document }
    }

    /// Sets the state and attributes of one entity in the file, before the home is made.
    ///
    /// # Errors
    /// There is no such entity.
    pub fn set_up(
        &mut self,
        id: &str,
        state: Option<Value>,
        attributes: &Map<String, Value>,
    ) -> Result<(), FormatError> {
        let Some(entity) = self.entity_mut(id) else {
            return Err(FormatError::Unknown { what: "entity".to_owned(), id: id.to_owned() });
        };
        if let Some(state) = state {
            entity.insert("state".to_owned(), state);
        }
        if !attributes.is_empty() {
            let slot = entity.entry("attributes").or_insert_with(|| Value::Object(Map::new()));
            if !slot.is_object() {
                *slot = Value::Object(Map::new());
            }
            if let Value::Object(slot) = slot {
                for (key, value) in attributes {
                    slot.insert(key.clone(), value.clone());
                }
            }
        }
        Ok(())
    }

    fn entity_mut(&mut self, id: &str) -> Option<&mut Map<String, Value>> {
        self.document
            .get_mut("entities")?
            .as_array_mut()?
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .find(|entity| entity.get("id").and_then(Value::as_str) == Some(id))
    }

    /// Takes over what is another in a home now: states, attributes, and what they do not show.
    pub(crate) fn update(&mut self, before: &Home, now: &Home) {
        for entity in now.entities() {
            let Some(old) = before.entity(&entity.id) else { continue };
            if old == entity {
                continue;
            }
            let mut attributes = Map::new();
            for (key, value) in entity.attributes.iter().filter(|(key, value)| old.attributes.get(*key) != Some(*value))
            {
                attributes.insert(key.clone(), value.clone());
            }
            // What is stored wins: of a light that is off the brightness is kept, and shown by nobody.
            for (key, value) in &entity.stored {
                let is_hidden = attributes.get(key).is_some_and(Value::is_null);
                if is_hidden || old.stored.get(key) != Some(value) {
                    attributes.insert(key.clone(), value.clone());
                }
            }
            attributes.retain(|_, value| !value.is_null());
            let gone: Vec<String> = old
                .attributes
                .keys()
                .filter(|key| {
                    entity.attributes.get(*key).is_none_or(Value::is_null) && !entity.stored.contains_key(*key)
                })
                .cloned()
                .collect();
            let state = Value::from(entity.state.clone());
            if self.set_up(&entity.id, Some(state), &attributes).is_ok()
                && let Some(slot) =
                    self.entity_mut(&entity.id).and_then(|entity| entity.get_mut("attributes")?.as_object_mut())
            {
                slot.retain(|key, _| !gone.contains(key));
                slot.remove("hvac_mode"); // the state tells it
                if attributes.contains_key("temperature") {
                    slot.remove("target_temperature");
                }
                slot.remove("native_value");
            }
        }
    }

    /// The home that the file describes.
    ///
    /// # Errors
    /// [`FormatError`]
    pub fn home(&self) -> Result<Home, FormatError> {
        let mut floors: Vec<Floor> = Vec::new();
        for (place, entry) in self.entries("floors")? {
            // A floor may be a mere name.
            let fields = match entry {
                Value::String(name) => &Map::from_iter([("name".to_owned(), Value::from(name.as_str()))]),
                other => object(&place, other)?,
            };
            let name = text(&place, fields, "name")?.ok_or_else(|| missing(&place, "name"))?;
            let id = text(&place, fields, "id")?.unwrap_or_else(|| slug(&name));
            floors.push(Floor { id, name, aliases: aliases(&place, fields)? });
        }
        let mut areas = Vec::new();
        for (place, entry) in self.entries("areas")? {
            let fields = object(&place, entry)?;
            let name = text(&place, fields, "name")?.ok_or_else(|| missing(&place, "name"))?;
            let id = text(&place, fields, "id")?.unwrap_or_else(|| slug(&name));
            let floor = text(&place, fields, "floor")?.map(|named| {
                if let Some(floor) = floors.iter().find(|floor| floor.id == named || floor.name == named) {
                    return floor.id.clone();
                }
                // The public format names floors in their areas only.
                let id = slug(&named);
                floors.push(Floor { id: id.clone(), name: named, aliases: Vec::new() });
                id
            });
            areas.push(Area { id, name, aliases: aliases(&place, fields)?, floor });
        }
        let mut devices = Vec::new();
        for (place, entry) in self.entries("devices")? {
            let fields = object(&place, entry)?;
            let name = text(&place, fields, "name")?.ok_or_else(|| missing(&place, "name"))?;
            let id = text(&place, fields, "id")?.unwrap_or_else(|| slug(&name));
            let info = match fields.get("info") {
                None | Some(Value::Null) => Map::new(),
                Some(info) => object(&format!("{place}.info"), info)?.clone(),
            };
            devices.push(Device { id, name, area: text(&place, fields, "area")?, info });
        }
        let mut entities = Vec::new();
        for (place, entry) in self.entries("entities")? {
            let fields = object(&place, entry)?;
            let id = text(&place, fields, "id")?.ok_or_else(|| missing(&place, "id"))?;
            let device = text(&place, fields, "device")?;
            let name = text(&place, fields, "name")?
                .or_else(|| devices.iter().find(|d| Some(&d.id) == device.as_ref()).map(|d| d.name.clone()))
                .unwrap_or_else(|| id.split('.').next_back().unwrap_or_default().replace('_', " "));
            let mut entity = Entity::new(id, name);
            entity.aliases = aliases(&place, fields)?;
            entity.area = text(&place, fields, "area")?;
            entity.device = device;
            entity.state = match fields.get("state") {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(state)) => state.clone(),
                Some(state @ (Value::Bool(_) | Value::Number(_))) => state.to_string(),
                Some(_) => return Err(kind(&place, "state", "a text, a number or true or false")),
            };
            entity.attributes = match fields.get("attributes") {
                None | Some(Value::Null) => Map::new(),
                Some(attributes) => object(&format!("{place}.attributes"), attributes)?.clone(),
            };
            entities.push(entity);
        }
        let mut home = Home::new(floors, areas, devices, entities)?;
        home.language = text("the file", &self.document, "language")?;
        Ok(home)
    }

    /// An inventory of a home, whatever it was read from.
    pub(crate) fn of_home(home: &Home) -> Self {
        let texts = |pairs: &[(&str, Option<&str>)]| {
            let fields = pairs.iter().filter_map(|(key, value)| Some(((*key).to_owned(), Value::from((*value)?))));
            fields.collect::<Map<String, Value>>()
        };
        let named = |mut fields: Map<String, Value>, aliases: &[String]| {
            if !aliases.is_empty() {
                fields.insert("aliases".to_owned(), aliases.into());
            }
            Value::Object(fields)
        };
        let mut document = Map::new();
        let floors: Vec<Value> = home
            .floors()
            .iter()
            .map(|f| named(texts(&[("name", Some(&f.name)), ("id", Some(&f.id))]), &f.aliases))
            .collect();
        if !floors.is_empty() {
            document.insert("floors".to_owned(), floors.into());
        }
        let areas = home.areas().iter().map(|a| {
            named(texts(&[("name", Some(&a.name)), ("id", Some(&a.id)), ("floor", a.floor.as_deref())]), &a.aliases)
        });
        document.insert("areas".to_owned(), areas.collect::<Vec<_>>().into());
        let devices = home.devices().iter().map(|d| {
            let mut fields = texts(&[("name", Some(&d.name)), ("id", Some(&d.id)), ("area", d.area.as_deref())]);
            if !d.info.is_empty() {
                fields.insert("info".to_owned(), d.info.clone().into());
            }
            Value::Object(fields)
        });
        document.insert("devices".to_owned(), devices.collect::<Vec<_>>().into());
        let entities = home.entities().iter().map(|e| {
            let mut fields = texts(&[
                ("name", Some(&e.name)),
                ("id", Some(&e.id)),
                ("area", e.area.as_deref()),
                ("device", e.device.as_deref()),
                ("state", Some(&e.state)),
            ]);
            let mut attributes: Map<String, Value> = e
                .attributes
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            attributes.extend(e.stored.clone());
            if !attributes.is_empty() {
                fields.insert("attributes".to_owned(), attributes.into());
            }
            named(fields, &e.aliases)
        });
        document.insert("entities".to_owned(), entities.collect::<Vec<_>>().into());
        Self { document }
    }

    /// The text of the file.
    pub fn to_yaml(&self) -> String {
        yaml::write(&self.document)
    }

    /// The text of the file as JSON.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(&self.document).unwrap_or_default() + "\n"
    }

    fn entries(&self, key: &'static str) -> Result<impl Iterator<Item = (String, &Value)>, FormatError> {
        let list: &[Value] = match self.document.get(key) {
            None | Some(Value::Null) => &[],
            Some(Value::Array(list)) => list,
            Some(_) => return Err(kind("the file", key, "a list")),
        };
        Ok(list.iter().enumerate().map(move |(at, entry)| {
            let named = entry.get("id").or_else(|| entry.get("name")).and_then(Value::as_str);
            let name: String = one_line(named.unwrap_or_default()).chars().take(60).collect();
            let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
            (format!("{key}, number {}{name}", at + 1), entry)
        }))
    }
}

fn missing(place: &str, key: &str) -> FormatError {
    FormatError::Kind { place: place.to_owned(), key: key.to_owned(), expected: "there" }
}

fn kind(place: &str, key: &str, expected: &'static str) -> FormatError {
    FormatError::Kind { place: place.to_owned(), key: key.to_owned(), expected }
}

fn object<'a>(place: &str, value: &'a Value) -> Result<&'a Map<String, Value>, FormatError> {
    value.as_object().ok_or_else(|| FormatError::Kind {
        place: place.to_owned(),
        key: "it".to_owned(),
        expected: "a mapping of names to values",
    })
}

/// A text of one line; numbers are taken as texts, since YAML reads `name: 12` as one.
fn text(place: &str, fields: &Map<String, Value>, key: &str) -> Result<Option<String>, FormatError> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            let plain = one_line(text);
            if plain.is_empty() || plain.chars().count() > 200 {
                return Err(kind(place, key, "a text of 1 to 200 characters"));
            }
            Ok(Some(plain))
        }
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(kind(place, key, "a text")),
    }
}

fn aliases(place: &str, fields: &Map<String, Value>) -> Result<Vec<String>, FormatError> {
    match fields.get("aliases") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one_line(one)]),
        Some(Value::Array(list)) => list
            .iter()
            .map(|alias| alias.as_str().map(one_line).ok_or_else(|| kind(place, "aliases", "a list of texts")))
            .collect(),
        Some(_) => Err(kind(place, "aliases", "a list of texts")),
    }
}

//! A home: floors, areas, devices and entities with their states, as Home Assistant has them. The readers fill it
//! ([`inventory`](crate::inventory), [`rooms`](crate::rooms)), services change it ([`Home::apply`]). It leaves out where it is
//! kept and who may change what.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::Domain;

/// The most floors, areas, devices and entities, each, that a home may have.
pub const MAX_THINGS: usize = 10_000;

/// A floor of the house.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Floor {
    /// `ground_floor`
    pub id: String,
    /// `Ground floor`
    pub name: String,
    /// Other names.
    pub aliases: Vec<String>,
}

/// A room or another place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// `living_room`
    pub id: String,
    /// `Living room`
    pub name: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// The id of its floor.
    pub floor: Option<String>,
}

/// A physical device, which has one or more entities.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// `smart_lock`
    pub id: String,
    /// `Smart Lock`
    pub name: String,
    /// The id of its area.
    pub area: Option<String>,
    /// Maker, model and firmware, as they stand in the file.
    pub info: Map<String, Value>,
}

/// One thing with a state.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// `light.kitchen`
    pub id: String,
    /// The part of the id before the dot.
    pub domain: Domain,
    /// What people call it.
    pub name: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// The id of its area: its own, or its device's.
    pub area: Option<String>,
    /// The id of its device.
    pub device: Option<String>,
    /// Its state in Home Assistant's words: `on`, `open`, `heat`, `21.5`.
    pub state: String,
    /// Its state's attributes, with Home Assistant's names and units. A value that is not there is `null` or missing.
    pub attributes: Map<String, Value>,
    /// What a state does not show: the items of a to-do list, a calendar's events, a weather's forecasts, the brightness that a
    /// light has when it is turned on again.
    pub stored: Map<String, Value>,
    /// What it can do: the last parts of `domain.Enum.MEMBER`, in capitals. `None` where the file says nothing about it.
    pub features: Option<Vec<String>>,
}

impl Entity {
    /// An entity without a state, for readers.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        let id = id.into();
        Self {
            domain: Domain::of_id(&id),
            id,
            name: name.into(),
            aliases: Vec::new(),
            area: None,
            device: None,
            state: String::new(),
            attributes: Map::new(),
            stored: Map::new(),
            features: None,
        }
    }

    /// Its name and its aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.aliases.iter().map(String::as_str))
    }

    /// What the thing behind it is: `garage`, `curtain`, `temperature`, `window`, `speaker`.
    pub fn device_class(&self) -> Option<&str> {
        self.attributes.get("device_class").and_then(Value::as_str)
    }

    /// The unit of what it measures: `°C`, `%`.
    pub fn unit(&self) -> Option<&str> {
        ["unit_of_measurement", "native_unit_of_measurement", "temperature_unit", "native_temperature_unit"]
            .iter()
            .find_map(|key| self.attributes.get(*key).and_then(Value::as_str))
    }

    /// An attribute that is a number.
    pub fn number(&self, attribute: &str) -> Option<f64> {
        self.attributes.get(attribute).and_then(Value::as_f64)
    }

    /// An attribute that is a text.
    pub fn text(&self, attribute: &str) -> Option<&str> {
        self.attributes.get(attribute).and_then(Value::as_str)
    }

    /// The texts of an attribute that is a list: `hvac_modes`, `preset_modes`, `source_list`.
    pub fn options(&self, attribute: &str) -> Vec<&str> {
        self.attributes
            .get(attribute)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }

    /// Whether it can do something, by the name of Home Assistant's feature (`SET_POSITION`). Where the file does not say, it can.
    pub fn supports(&self, feature: &str) -> bool {
        self.features.as_ref().is_none_or(|features| features.iter().any(|f| f == feature))
    }

    /// Whether its state counts as on, open, unlocked, playing or under way.
    pub fn is_active(&self) -> bool {
        !matches!(
            self.state.as_str(),
            "off"
                | "closed"
                | "locked"
                | "docked"
                | "idle"
                | "standby"
                | "disarmed"
                | "not_home"
                | "unknown"
                | "unavailable"
                | ""
        )
    }

    /// The items of a to-do list that are still to be done.
    pub fn open_items(&self) -> impl Iterator<Item = &str> {
        self.items().filter(|(_, done)| !done).map(|(summary, _)| summary)
    }

    /// The items of a to-do list that are not done, with the date or time at which each is due.
    pub fn due_items(&self) -> impl Iterator<Item = (&str, &str)> {
        let items = self.stored.get("todo_items").and_then(Value::as_array).into_iter().flatten();
        items.filter(|item| item.get("status").and_then(Value::as_str) != Some("completed")).filter_map(|item| {
            let due = item.get("due").or_else(|| item.get("due_date")).or_else(|| item.get("due_datetime"))?;
            Some((item.get("summary")?.as_str()?, due.as_str()?))
        })
    }

    /// All items of a to-do list, and whether each is done.
    pub fn items(&self) -> impl Iterator<Item = (&str, bool)> {
        let items = self.stored.get("todo_items").and_then(Value::as_array).into_iter().flatten();
        items.filter_map(|item| {
            let done = item.get("status").and_then(Value::as_str) == Some("completed");
            Some((item.get("summary")?.as_str()?, done))
        })
    }
}

/// A home and everything in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Home {
    /// The default language of its names, where the file says so.
    pub language: Option<String>,
    pub(crate) floors: Vec<Floor>,
    pub(crate) areas: Vec<Area>,
    pub(crate) devices: Vec<Device>,
    pub(crate) entities: Vec<Entity>,
    /// Entities by id.
    pub(crate) index: HashMap<String, usize>,
}

/// A state, or the part of one that changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct EntityState {
    /// The state; `None` where it is as it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The attributes; `null` for one that is gone.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
}

impl EntityState {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.state.is_none() && self.attributes.is_empty()
    }
}

/// What two things share that a file must name once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The same id twice.
    #[error("the {kind} {id:?} stands there twice; keep one of them or give one another id")]
    Duplicate {
        /// "area", "entity".
        kind: &'static str,
        /// The id.
        id: String,
    },
    /// An id that nothing has.
    #[error("the {kind} {id:?} names the {of} {missing:?}, which is not there; add it or correct the name")]
    Dangling {
        /// "entity".
        kind: &'static str,
        /// Its id.
        id: String,
        /// "area".
        of: &'static str,
        /// The id that nothing has.
        missing: String,
    },
    /// An entity's id without a domain, or with other characters than letters, digits and `_`.
    #[error(
        "the entity's id {0:?} must be a domain, a dot and a name of small letters, digits and _, such as light.kitchen"
    )]
    Id(String),
    /// More than [`MAX_THINGS`].
    #[error("there are more than {MAX_THINGS} {0}; leave some out")]
    TooMany(&'static str),
}

impl Home {
    /// Puts a home together and checks it: ids are there once, and what is named is there. Entities without an area of their own
    /// get their device's.
    ///
    /// # Errors
    /// [`ModelError`]
    pub fn new(
        floors: Vec<Floor>,
        areas: Vec<Area>,
        devices: Vec<Device>,
        mut entities: Vec<Entity>,
    ) -> Result<Self, ModelError> {
        for (what, count) in
            [("floors", floors.len()), ("areas", areas.len()), ("devices", devices.len()), ("entities", entities.len())]
        {
            if count > MAX_THINGS {
                return Err(ModelError::TooMany(what));
            }
        }
        once("floor", floors.iter().map(|floor| &floor.id))?;
        once("area", areas.iter().map(|area| &area.id))?;
        once("device", devices.iter().map(|device| &device.id))?;
        once("entity", entities.iter().map(|entity| &entity.id))?;
        let dangling = |kind, id: &str, of, missing: &str| {
            Err(ModelError::Dangling { kind, id: id.to_owned(), of, missing: missing.to_owned() })
        };
        for area in &areas {
            if let Some(floor) = area.floor.as_ref().filter(|id| !floors.iter().any(|floor| floor.id == **id)) {
                return dangling("area", &area.id, "floor", floor);
            }
        }
        let area_ids: HashMap<&str, ()> = areas.iter().map(|area| (area.id.as_str(), ())).collect();
        for device in &devices {
            if let Some(area) = device.area.as_ref().filter(|id| !area_ids.contains_key(id.as_str())) {
                return dangling("device", &device.id, "area", area);
            }
        }
        let device_areas: HashMap<&str, &Option<String>> =
            devices.iter().map(|device| (device.id.as_str(), &device.area)).collect();
        for entity in &mut entities {
            let (domain, name) = entity.id.split_once('.').unwrap_or_default();
            let is_word = |word: &str| {
                !word.is_empty() && word.chars().all(|c| c.is_lowercase() || c.is_ascii_digit() || c == '_')
            };
            if !is_word(domain) || !is_word(name) {
                return Err(ModelError::Id(entity.id.clone()));
            }
            if let Some(area) = entity.area.as_ref().filter(|id| !area_ids.contains_key(id.as_str())) {
                return dangling("entity", &entity.id, "area", area);
            }
            if let Some(device) = &entity.device {
                match device_areas.get(device.as_str()) {
                    None => return dangling("entity", &entity.id, "device", device),
                    Some(area) if entity.area.is_none() => entity.area.clone_from(area),
                    Some(_) => {}
                }
            }
        }
        let index = entities.iter().enumerate().map(|(at, entity)| (entity.id.clone(), at)).collect();
        let mut home = Self { language: None, floors, areas, devices, entities, index };
        for entity in &mut home.entities {
            crate::services::settle(entity);
        }
        Ok(home)
    }

    /// The same home with no more than these entities and their areas, for a prompt that has no room for all. Devices are left out.
    #[must_use]
    pub fn part(&self, entities: &[&Entity]) -> Self {
        let entities: Vec<Entity> = entities.iter().map(|e| Entity { device: None, ..(*e).clone() }).collect();
        let has = |area: &&Area| entities.iter().any(|e| e.area.as_deref() == Some(&area.id));
        Self {
            language: self.language.clone(),
            floors: self.floors.clone(),
            areas: self.areas.iter().filter(has).cloned().collect(),
            devices: Vec::new(),
            index: entities.iter().enumerate().map(|(at, entity)| (entity.id.clone(), at)).collect(),
            entities,
        }
    }

    /// The floors, in the file's order.
    pub fn floors(&self) -> &[Floor] {
        &self.floors
    }

    /// The areas, in the file's order.
    pub fn areas(&self) -> &[Area] {
        &self.areas
    }

    /// The devices, in the file's order.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The entities, in the file's order.
    pub fn entities(&self) -> &[Entity] {
        &self.entities
    }

    /// An entity by its id.
    pub fn entity(&self, id: &str) -> Option<&Entity> {
        self.index.get(id).map(|at| &self.entities[*at])
    }

    pub(crate) fn entity_mut(&mut self, id: &str) -> Option<&mut Entity> {
        self.index.get(id).map(|at| &mut self.entities[*at])
    }

    /// The entities of a domain.
    pub fn of_domain(&self, domain: Domain) -> impl Iterator<Item = &Entity> {
        self.entities.iter().filter(move |entity| entity.domain == domain)
    }

    /// An area by its id.
    pub fn area(&self, id: &str) -> Option<&Area> {
        self.areas.iter().find(|area| area.id == id)
    }

    /// A floor by its id.
    pub fn floor(&self, id: &str) -> Option<&Floor> {
        self.floors.iter().find(|floor| floor.id == id)
    }

    /// A device by its id.
    pub fn device(&self, id: &str) -> Option<&Device> {
        self.devices.iter().find(|device| device.id == id)
    }

    /// The area that an entity is in.
    pub fn area_of(&self, entity: &Entity) -> Option<&Area> {
        entity.area.as_deref().and_then(|id| self.area(id))
    }

    /// The floor that an entity is on.
    pub fn floor_of(&self, entity: &Entity) -> Option<&Floor> {
        self.area_of(entity)?.floor.as_deref().and_then(|id| self.floor(id))
    }

    /// The entities in an area.
    pub fn in_area<'a>(&'a self, area: &'a str) -> impl Iterator<Item = &'a Entity> {
        self.entities.iter().filter(move |entity| entity.area.as_deref() == Some(area))
    }

    /// What is another here than it was in `before`, by entity id: the state and attributes that changed, as they are here.
    pub fn changes_since(&self, before: &Home) -> BTreeMap<String, EntityState> {
        let mut changes = BTreeMap::new();
        for entity in &self.entities {
            let empty = Entity::new(entity.id.clone(), "");
            let change = difference(before.entity(&entity.id).unwrap_or(&empty), entity);
            if !change.is_empty() {
                changes.insert(entity.id.clone(), change);
            }
        }
        changes
    }
}

/// What of a state became another, as it is `after`. A missing attribute and `null` are the same.
pub(crate) fn difference(before: &Entity, after: &Entity) -> EntityState {
    let mut change = EntityState::default();
    if before.state != after.state {
        change.state = Some(after.state.clone());
    }
    let keys =
        after.attributes.keys().chain(before.attributes.keys().filter(|key| !after.attributes.contains_key(*key)));
    for key in keys {
        let (old, new) = (before.attributes.get(key), after.attributes.get(key));
        if old.unwrap_or(&Value::Null) != new.unwrap_or(&Value::Null) {
            change.attributes.insert(key.clone(), new.cloned().unwrap_or_default());
        }
    }
    change
}

fn once<'a>(kind: &'static str, ids: impl Iterator<Item = &'a String>) -> Result<(), ModelError> {
    let mut seen = HashMap::new();
    for id in ids {
        if seen.insert(id, ()).is_some() {
            return Err(ModelError::Duplicate { kind, id: id.clone() });
        }
    }
    Ok(())
}

/// A text in one line, with single spaces: a name from a file cannot start a line of its own in a prompt or a message.
pub(crate) fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An id made of a name, as Home Assistant makes it: small letters, digits and `_`.
pub fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        let c = match c {
            'ä' | 'à' | 'á' | 'â' | 'ã' | 'å' => 'a',
            'ö' | 'ò' | 'ó' | 'ô' | 'õ' | 'ø' => 'o',
            'ü' | 'ù' | 'ú' | 'û' => 'u',
            'è' | 'é' | 'ê' | 'ë' => 'e',
            'ì' | 'í' | 'î' | 'ï' => 'i',
            'ç' => 'c',
            'ñ' => 'n',
            c => c,
        };
        if c.is_alphanumeric() {
            slug.push(c);
        } else if !slug.ends_with('_') && !slug.is_empty() {
            slug.push('_');
        }
    }
    slug.trim_end_matches('_').to_owned()
}

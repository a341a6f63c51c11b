//! The home as Home Assistant tells it to a language model: the list of exposed entities in its system prompt.

use std::collections::{HashMap, HashSet};

use nearfield_home::{Area, Domain, Entity, Home, slug, yaml};
use nearfield_llm::{Message, Role};
use serde_json::{Value, json};

/// The line before the list.
const LIST: &str = "Static Context: An overview of the areas and the devices in this smart home:";
/// What says where the device stands that was spoken to.
const PLACE: &str = "You are in area ";
/// The longest list that is read, in bytes.
const MOST_BYTES: usize = 256 << 10;
/// The most entities of a list that is read.
const MOST_ENTITIES: usize = 2000;

/// The home of a client.
pub struct Context {
    home: Home,
    /// The same with everything in another state.
    other: Home,
    area: Option<String>,
}

impl Context {
    /// The home of a conversation; `None` where it is none of Home Assistant's, or its list can't be read.
    pub fn of(messages: &[Message], tools: &[Value]) -> Option<Self> {
        if !tools.iter().any(|tool| tool["function"]["name"].as_str().is_some_and(|name| name.starts_with("Hass"))) {
            return None;
        }
        let system = messages.first().filter(|message| message.role == Role::System)?;
        let (before, after) = system.content.split_once(LIST)?;
        let lines: Vec<&str> =
            after.trim_start_matches('\n').lines().take_while(|line| line.starts_with(['-', ' '])).collect();
        let list = lines.join("\n");
        if list.len() > MOST_BYTES {
            return None;
        }
        let listed = yaml::parse(&format!("entities:\n{list}")).ok()?;
        let entries = listed.get("entities")?.as_array().filter(|entries| entries.len() <= MOST_ENTITIES)?;
        let (mut areas, mut ids) = (Areas::default(), Ids::default());
        let mut entities: Vec<Entity> = Vec::with_capacity(entries.len());
        for entry in entries {
            let (names, domain) = (entry["names"].as_str()?, entry["domain"].as_str()?);
            let mut names = names.split(", ").filter(|name| !name.trim().is_empty());
            let name = names.next()?;
            let mut entity = Entity::new(ids.free(&format!("{domain}.{}", slug(name))), name);
            entity.aliases = names.map(str::to_owned).collect();
            if domain == "light" {
                // The list does not say what a light can do: Home Assistant refuses what it can't.
                entity.attributes.insert("supported_color_modes".to_owned(), json!(["color_temp", "hs"]));
            }
            entity.area = entry["areas"].as_str().and_then(|named| areas.id_of(named));
            entities.push(entity);
        }
        let other = entities.iter().map(in_use).collect();
        let home = Home::new(Vec::new(), areas.all.clone(), Vec::new(), entities).ok()?;
        let other = Home::new(Vec::new(), areas.all, Vec::new(), other).ok()?;
        let here = before.lines().find_map(|line| line.strip_prefix(PLACE)).unwrap_or_default();
        // "Kitchen (floor Ground) and all generic commands ..."
        let is_here = |area: &&Area| {
            let rest = here.strip_prefix(area.name.as_str()).unwrap_or_default();
            rest.starts_with(" and all") || rest.starts_with(" (floor ")
        };
        let area = home.areas().iter().find(is_here).map(|area| area.id.clone());
        Some(Self { home, other, area })
    }

    /// Its areas and entities, without states.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The same home with everything on, open or under way: what is understood alike in both does not depend on states.
    pub fn in_other_states(&self) -> &Home {
        &self.other
    }

    /// The id of the area of the device that was spoken to.
    pub fn area(&self) -> Option<&str> {
        self.area.as_deref()
    }
}

/// An entity that is on, open or under way.
fn in_use(entity: &Entity) -> Entity {
    let (state, attributes) = match entity.domain {
        Domain::Light => ("on", json!({"brightness": 200})),
        Domain::Fan => ("on", json!({"percentage": 60})),
        Domain::Cover | Domain::Valve => ("open", json!({"current_position": 60})),
        Domain::Lock => ("unlocked", json!({})),
        Domain::MediaPlayer => ("playing", json!({"volume_level": 0.7})),
        Domain::Climate => ("heat", json!({"temperature": 25, "current_temperature": 19})),
        Domain::Humidifier => ("on", json!({"humidity": 60})),
        Domain::Vacuum => ("cleaning", json!({})),
        Domain::LawnMower => ("mowing", json!({})),
        _ => ("on", json!({})),
    };
    let mut entity = entity.clone();
    entity.state = state.to_owned();
    if let Value::Object(attributes) = attributes {
        entity.attributes.extend(attributes);
    }
    entity
}

/// The areas of a list.
#[derive(Default)]
struct Areas {
    all: Vec<Area>,
    ids: Ids,
    /// The id of each by its name.
    by_name: HashMap<String, String>,
}

impl Areas {
    /// The id of an area, which is added where it is new: its name, and its aliases behind commas.
    fn id_of(&mut self, named: &str) -> Option<String> {
        let mut names = named.split(", ").filter(|name| !name.trim().is_empty());
        let name = names.next()?;
        if let Some(known) = self.by_name.get(name) {
            return Some(known.clone());
        }
        let id = self.ids.free(&slug(name));
        let aliases = names.map(str::to_owned).collect();
        self.all.push(Area { id: id.clone(), name: name.to_owned(), aliases, floor: None });
        self.by_name.insert(name.to_owned(), id.clone());
        Some(id)
    }
}

/// Ids that are taken, and with which number to go on looking for another.
#[derive(Default)]
struct Ids {
    taken: HashSet<String>,
    next: HashMap<String, usize>,
}

impl Ids {
    /// An id that was not taken, and now is.
    fn free(&mut self, wanted: &str) -> String {
        let mut id = wanted.to_owned();
        if self.taken.contains(&id) {
            let number = self.next.entry(id.clone()).or_insert(2);
            while self.taken.contains(&id) {
                id = format!("{wanted}_{number}");
                *number += 1;
            }
        }
        self.taken.insert(id.clone());
        id
    }
}

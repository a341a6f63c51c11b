//! A home as rooms with lights, doors, devices and the weather outside: the JSON form in which Nearfield first kept a home, and the
//! form in which the bundled `talk-nano` has learned to read one. A file of this form becomes a home of entities, and any home
//! of entities can be shown to that model in this form. Leaves out what the form has no word for.

mod check;
mod entities;
mod lines;

use serde_json::{Map, Value};

use crate::error::FormatError;
use check::{check, wrong};

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

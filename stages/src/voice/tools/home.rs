//! The home within the toolbox: what a model reads of it, the tools by which it acts on it, and what becomes of their calls. A
//! home is shown in one of two forms: as rooms, which the bundled `talk-nano` has learned, or as entities, for every other model.

use std::time::{Duration, Instant};

use jiff::Zoned;
use nearfield_home::prompt::{self, Focus};
use nearfield_home::rooms::{DoorState, Part, Rooms};
use nearfield_home::{
    Asking, Domain, Entity, HomeFile, Household, Origin, Outcome, Policy, Remembered, ServiceCall, done, tools, wanted,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{CallError, function};

/// The most entities that a prompt tells of and that tools name.
pub const MOST_ENTITIES: usize = 48;

/// In which form a model reads the home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HomeLayout {
    /// A line for each entity, by area, with a tool for each kind of service; in a home of rooms with `set_light`, `set_door` and
    /// `set_device`.
    #[default]
    ByThing,
    /// Rooms, doors and devices, grouped by state and ranked by reading, with `set_light`, `set_door` and `set_device`: what
    /// `talk-nano` has learned.
    Grouped,
}

/// What a thing of a home is, in the form of rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThingKind {
    /// A room's light.
    Light,
    /// A door.
    Door,
    /// What is switched.
    Device,
    /// A room's temperature.
    Temperature,
}

/// A thing of the home and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeThing {
    /// What it is.
    pub kind: ThingKind,
    /// What it is called; a room's light like the room.
    pub name: String,
    /// Its state: "on", "locked", "21.5".
    pub state: String,
}

/// The home of one assistant.
#[derive(Debug)]
pub struct HomeTools {
    pub(super) household: Household,
    pub(super) layout: HomeLayout,
    /// From where requests come.
    pub origin: Origin,
    /// The id of the area of the device that is spoken to.
    pub area: Option<String>,
    begun: Instant,
    /// The request under way.
    request: String,
    /// The most entities that the prompt tells of now: fewer than [`MOST_ENTITIES`] where the context has no room for more.
    most: usize,
}

/// The tools of a home in the form of rooms.
pub(super) const OF_ROOMS: [&str; 3] = ["set_light", "set_door", "set_device"];

impl HomeTools {
    /// A home, shown in the form of rooms until the model is known.
    pub fn new(household: Household) -> Self {
        Self {
            household,
            layout: HomeLayout::Grouped,
            origin: Origin::Voice,
            area: None,
            begun: Instant::now(),
            request: String::new(),
            most: MOST_ENTITIES,
        }
    }

    /// A home of a file, in the form of rooms, with no policy and nothing remembered.
    pub fn of_rooms(file: HomeFile) -> Self {
        Self::new(Household::new(file, Policy::default(), Remembered::default()))
    }

    /// The same for requests from elsewhere.
    #[must_use]
    pub fn asked_from(self, origin: Origin, area: Option<String>) -> Self {
        Self { origin, area, ..self }
    }

    /// The home and what was done in it.
    pub fn household(&self) -> &Household {
        &self.household
    }

    /// What stands in the prompt. In the form of entities, of a large home that what the request may be about.
    pub(super) fn text(&self, layout: HomeLayout) -> String {
        let remembered: Vec<String> =
            self.household.notes().notes().iter().map(|note| format!("- {}", note.text)).collect();
        let home = match layout {
            HomeLayout::Grouped => return self.rooms_told().render(),
            HomeLayout::ByThing => prompt::text(self.household.home(), &self.chosen()),
        };
        match remembered.is_empty() {
            true => home,
            false => format!("{home}\nRemembered:\n{}", remembered.join("\n")),
        }
    }

    fn chosen(&self) -> Vec<&Entity> {
        let recent: Vec<String> = self.household.ledger().recent_entities().take(10).map(str::to_owned).collect();
        let focus = Focus { request: &self.request, area: self.area.as_deref(), recent: &recent };
        prompt::chosen(self.household.home(), &focus, self.most)
    }

    /// The rooms that the prompt tells of: all, or those of the chosen entities where the context has no room for all.
    fn rooms_told(&self) -> Rooms {
        match self.most < MOST_ENTITIES {
            true => Rooms::of(&self.household.home().part(&self.chosen())),
            false => self.household.file().rooms(),
        }
    }

    /// A request begins: the prompt is chosen for its words.
    pub(super) fn begin(&mut self, request: &str) {
        request.clone_into(&mut self.request);
        self.most = MOST_ENTITIES;
    }

    /// Has the prompt tell of half as many entities; answers false where there is nothing left to leave out.
    pub(super) fn tell_less(&mut self) -> bool {
        let told = self.most.min(self.household.home().entities().len());
        // From a home of rooms, told as a whole so far, the first step leaves nothing out but what is no room, door or device.
        self.most = if self.most == MOST_ENTITIES && told < MOST_ENTITIES { told } else { told / 2 };
        told > 0
    }

    /// Whether the sentence matcher answers first. A home of rooms is left to the model that has learned it.
    pub(super) fn is_matched(&self) -> bool {
        self.layout == HomeLayout::ByThing || !self.household.file().is_of_rooms()
    }

    /// Whether the tools take entities' names. A home of rooms has three simple ones, which small models call right more often.
    pub(super) fn is_by_entity(&self) -> bool {
        self.layout == HomeLayout::ByThing && !self.household.file().is_of_rooms()
    }

    /// The lights, doors, devices and temperatures.
    pub(super) fn things(&self) -> Vec<HomeThing> {
        let mut things: Vec<HomeThing> = Vec::new();
        let rooms = self.household.file().rooms();
        for (part, kind) in
            [(Part::Light, ThingKind::Light), (Part::Door, ThingKind::Door), (Part::Device, ThingKind::Device)]
        {
            things.extend(rooms.states(part).map(|(name, state)| HomeThing {
                kind,
                name: name.to_owned(),
                state: state.to_owned(),
            }));
        }
        let home = self.household.home();
        let is_temperature =
            |entity: &&Entity| entity.domain == Domain::Sensor && entity.device_class() == Some("temperature");
        things.extend(home.entities().iter().filter(is_temperature).filter_map(|entity| {
            let name = home.area_of(entity)?.name.to_lowercase();
            Some(HomeThing { kind: ThingKind::Temperature, name, state: entity.state.clone() })
        }));
        things
    }

    /// The tools that make sense here.
    pub(super) fn schemas(&self) -> Vec<Value> {
        if self.is_by_entity() {
            return tools::schemas(self.household.home(), &self.chosen());
        }
        let rooms = self.rooms_told();
        let mut schemas = Vec::new();
        for (there, name, description) in [
            (rooms.has_lights(), "set_light", "Turns the light of a room, or of \"all\", on or off."),
            (rooms.has_doors(), "set_door", "Locks, unlocks, opens or closes a door, or \"all\"."),
            (rooms.has_devices(), "set_device", "Turns a device, or \"all\", on or off."),
        ] {
            if there {
                schemas.push(function(name, description, schema_of(name)));
            }
        }
        schemas
    }

    /// Whether a tool of the home has this name.
    pub(super) fn has_tool(&self, name: &str) -> bool {
        match self.is_by_entity() {
            false => OF_ROOMS.contains(&name),
            true => tools::is_tool(name),
        }
    }

    pub(super) fn asking(&self, now: &Zoned) -> Asking {
        Asking {
            request: self.request.clone(),
            origin: self.origin,
            area: self.area.clone(),
            now: now.clone(),
            elapsed: self.begun.elapsed().max(Duration::from_millis(1)),
        }
    }

    /// Runs a call of one of the home's tools, whose arguments fit.
    pub(super) fn call(&mut self, name: &str, arguments: &Map<String, Value>, now: &Zoned) -> Result<Value, CallError> {
        let said = |reason: String| CallError::Failed { what: String::new(), reason };
        if self.is_by_entity() {
            let calls = tools::calls(self.household.home(), name, arguments).map_err(CallError::Mistake)?;
            return self.make(&calls, now).map(|said| json!({"ok": true, "done": said}));
        }
        let text = |key: &str| arguments.get(key).and_then(Value::as_str).unwrap_or_default();
        let state = text("state");
        let rooms = self.household.file().rooms();
        let (what, calls) = of_rooms(&rooms, name, arguments).map_err(said)?;
        match self.household.call(&calls, &self.asking(now)) {
            Outcome::Done(_) => {
                let mut result = Map::new();
                result.insert("ok".to_owned(), Value::Bool(true));
                result.insert(what, Value::from(state));
                Ok(Value::Object(result))
            }
            outcome => {
                let what = match (name, text("room"), text("door"), text("device")) {
                    ("set_light", "all", ..) => "the lights".to_owned(),
                    ("set_light", room, ..) => format!("the {} light", room.trim_end_matches(" light")),
                    (_, _, "all", _) => "the doors".to_owned(),
                    (.., "all") => "the devices".to_owned(),
                    (_, _, door, device) => format!("the {door}{device}"),
                };
                Err(failure(outcome, format!("change {what}")))
            }
        }
    }

    /// Makes calls and answers a sentence of what they did.
    pub(super) fn make(&mut self, calls: &[ServiceCall], now: &Zoned) -> Result<String, CallError> {
        match self.household.call(calls, &self.asking(now)) {
            Outcome::Done(_) => Ok(done(self.household.home(), calls)),
            outcome => Err(failure(outcome, wanted(self.household.home(), calls))),
        }
    }
}

/// Why calls were not made.
pub(super) fn failure(outcome: Outcome, what: String) -> CallError {
    let said = |reason: String| CallError::Failed { what: String::new(), reason };
    match outcome {
        Outcome::Done(_) => said("it is done".to_owned()),
        Outcome::Confirm(question) => said(question),
        Outcome::Refused(why) => said(why),
        Outcome::Wrong(error) => said(error.to_string()),
        Outcome::Failed(error) => {
            // The log gets the path and the reason; the voice a sentence.
            tracing::warn!("{error}");
            CallError::Failed { what, reason: error.cause() }
        }
    }
}

/// The calls that a tool of rooms means, and what it acts on.
fn of_rooms(rooms: &Rooms, name: &str, arguments: &Map<String, Value>) -> Result<(String, Vec<ServiceCall>), String> {
    let text = |key: &str| arguments.get(key).and_then(Value::as_str).unwrap_or_default();
    let (part, wanted) = match name {
        "set_light" => (Part::Light, text("room")),
        "set_device" => (Part::Device, text("device")),
        _ => (Part::Door, text("door")),
    };
    let (what, entities) = rooms.find(part, wanted)?;
    let of =
        |domain: Domain| -> Vec<String> { entities.iter().filter(|id| Domain::of_id(id) == domain).cloned().collect() };
    let call = match (part, DoorState::from_word(text("state"))) {
        (Part::Door, Some(DoorState::Locked)) => ServiceCall::new("lock.lock", of(Domain::Lock)),
        (Part::Door, Some(DoorState::Unlocked)) => ServiceCall::new("lock.unlock", of(Domain::Lock)),
        (Part::Door, Some(DoorState::Open)) => ServiceCall::new("cover.open_cover", of(Domain::Cover)),
        (Part::Door, _) => ServiceCall::new("cover.close_cover", of(Domain::Cover)),
        (_, _) if text("state") == "on" => ServiceCall::new("homeassistant.turn_on", entities),
        (_, _) => ServiceCall::new("homeassistant.turn_off", entities),
    };
    if call.entities.is_empty() {
        return Err(format!("the {what} cannot be {}", text("state")));
    }
    Ok((what, vec![call]))
}

/// The arguments of a tool of rooms.
pub(super) fn schema_of(name: &str) -> Value {
    let two = |key: &str, states: &[&str]| {
        json!({"type": "object", "properties": {key: {"type": "string"}, "state": {"type": "string", "enum": states}},
               "required": [key, "state"]})
    };
    match name {
        "set_light" => two("room", &["on", "off"]),
        "set_device" => two("device", &["on", "off"]),
        _ => two("door", &DoorState::WORDS),
    }
}

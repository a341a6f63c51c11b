//! The services of a home as tools of a language model: few, each with the names that exist now as its choices, so that a call
//! that is well formed is one that can be made. Which entities a name means is decided here, not by the model.

use serde_json::{Map, Value, json};

use crate::domain::Domain;
use crate::model::{Entity, Home};
use crate::rooms::folded;
use crate::services::{ServiceCall, service};

/// The most names that a tool offers as choices; of more, any text may be given and is looked up.
pub const MAX_CHOICES: usize = 120;

/// One tool.
struct Tool {
    name: &'static str,
    description: &'static str,
    domains: &'static [Domain],
    /// Its parameters besides the name.
    parameters: fn() -> Value,
    required: &'static [&'static str],
}

const SWITCHED: &[Domain] = &[
    Domain::Light,
    Domain::Switch,
    Domain::Fan,
    Domain::MediaPlayer,
    Domain::InputBoolean,
    Domain::Climate,
    Domain::Siren,
    Domain::Humidifier,
    Domain::WaterHeater,
    Domain::Scene,
    Domain::Script,
    Domain::Automation,
    Domain::Button,
    Domain::InputButton,
    Domain::Camera,
    Domain::Remote,
];

const TOOLS: &[Tool] = &[
    Tool {
        name: "turn_on",
        description: "Turns a device on, or all of a kind in an area.",
        domains: SWITCHED,
        parameters: || json!({}),
        required: &[],
    },
    Tool {
        name: "turn_off",
        description: "Turns a device off, or all of a kind in an area.",
        domains: SWITCHED,
        parameters: || json!({}),
        required: &[],
    },
    Tool {
        name: "set_light",
        description: "Sets a light's brightness, colour or colour temperature.",
        domains: &[Domain::Light],
        parameters: || {
            json!({"brightness_pct": {"type": "integer", "minimum": 0, "maximum": 100}, "color_name": {"type": "string"},
                   "color_temp_kelvin": {"type": "integer", "minimum": 1000, "maximum": 12000}})
        },
        required: &[],
    },
    Tool {
        name: "open",
        description: "Opens a cover, door, curtain or valve.",
        domains: &[Domain::Cover, Domain::Valve],
        parameters: || json!({}),
        required: &[],
    },
    Tool {
        name: "close",
        description: "Closes a cover, door, curtain or valve.",
        domains: &[Domain::Cover, Domain::Valve],
        parameters: || json!({}),
        required: &[],
    },
    Tool {
        name: "set_position",
        description: "Opens a cover or valve to a percentage.",
        domains: &[Domain::Cover, Domain::Valve],
        parameters: || json!({"position": {"type": "integer", "minimum": 0, "maximum": 100}}),
        required: &["position"],
    },
    Tool {
        name: "lock",
        description: "Locks a lock.",
        domains: &[Domain::Lock],
        parameters: || json!({}),
        required: &[],
    },
    Tool {
        name: "unlock",
        description: "Unlocks a lock.",
        domains: &[Domain::Lock],
        parameters: || json!({}),
        required: &[],
    },
    Tool {
        name: "set_temperature",
        description: "Sets the temperature that a thermostat keeps.",
        domains: &[Domain::Climate, Domain::WaterHeater],
        parameters: || json!({"temperature": {"type": "number"}}),
        required: &["temperature"],
    },
    Tool {
        name: "set_hvac_mode",
        description: "Sets a thermostat's mode.",
        domains: &[Domain::Climate],
        parameters: || json!({"hvac_mode": {"type": "string", "enum": ["off", "heat", "cool", "heat_cool", "auto", "dry", "fan_only"]}}),
        required: &["hvac_mode"],
    },
    Tool {
        name: "set_fan_speed",
        description: "Sets a fan's speed in percent.",
        domains: &[Domain::Fan],
        parameters: || json!({"percentage": {"type": "integer", "minimum": 0, "maximum": 100}}),
        required: &["percentage"],
    },
    Tool {
        name: "media",
        description: "Controls what a media player plays.",
        domains: &[Domain::MediaPlayer],
        parameters: || {
            json!({"action": {"type": "string", "enum": ["play", "pause", "stop", "next", "previous", "mute", "unmute",
                                                          "volume_up", "volume_down"]}})
        },
        required: &["action"],
    },
    Tool {
        name: "set_volume",
        description: "Sets a media player's volume in percent.",
        domains: &[Domain::MediaPlayer],
        parameters: || json!({"volume_pct": {"type": "integer", "minimum": 0, "maximum": 100}}),
        required: &["volume_pct"],
    },
    Tool {
        name: "vacuum",
        description: "Controls a vacuum cleaner or lawn mower.",
        domains: &[Domain::Vacuum, Domain::LawnMower],
        parameters: || json!({"action": {"type": "string", "enum": ["start", "pause", "stop", "return"]}}),
        required: &["action"],
    },
    Tool {
        name: "add_item",
        description: "Adds an item to a list.",
        domains: &[Domain::Todo],
        parameters: || json!({"item": {"type": "string"}}),
        required: &["item"],
    },
    Tool {
        name: "complete_item",
        description: "Marks an item of a list as done.",
        domains: &[Domain::Todo],
        parameters: || json!({"item": {"type": "string"}}),
        required: &["item"],
    },
    Tool {
        name: "remove_item",
        description: "Removes an item from a list.",
        domains: &[Domain::Todo],
        parameters: || json!({"item": {"type": "string"}}),
        required: &["item"],
    },
    Tool {
        name: "alarm",
        description: "Arms or disarms an alarm.",
        domains: &[Domain::AlarmControlPanel],
        parameters: || json!({"action": {"type": "string", "enum": ["arm_home", "arm_away", "arm_night", "disarm"]}, "code": {"type": "string"}}),
        required: &["action"],
    },
    Tool {
        name: "set_value",
        description: "Sets a number or chooses an option.",
        domains: &[Domain::InputNumber, Domain::Number, Domain::InputSelect, Domain::Select],
        parameters: || json!({"value": {"type": "string"}}),
        required: &["value"],
    },
];

/// Whether there is a tool of this name.
pub fn is_tool(name: &str) -> bool {
    TOOLS.iter().any(|tool| tool.name == name)
}

/// The domains that a tool acts on; none where there is no such tool.
pub fn domains(name: &str) -> &'static [Domain] {
    TOOLS.iter().find(|tool| tool.name == name).map_or(&[], |tool| tool.domains)
}

/// The tools for these entities, each as `{"type": "function", "function": {name, description, parameters}}`. Names of areas
/// stand for all entities of the tool's kind there.
pub fn schemas(home: &Home, entities: &[&Entity]) -> Vec<Value> {
    let mut schemas = Vec::new();
    for tool in TOOLS {
        let fitting: Vec<&&Entity> = entities.iter().filter(|entity| tool.domains.contains(&entity.domain)).collect();
        if fitting.is_empty() {
            continue;
        }
        let mut names: Vec<String> = Vec::new();
        let mut add = |name: String| {
            if !names.contains(&name) {
                names.push(name);
            }
        };
        fitting.iter().for_each(|entity| add(entity.name.clone()));
        for area in home.areas() {
            if fitting.iter().filter(|entity| entity.area.as_deref() == Some(&area.id)).count() > 1 {
                add(area.name.clone());
            }
        }
        let name = match names.len() {
            count if count > MAX_CHOICES => json!({"type": "string"}),
            _ => json!({"type": "string", "enum": names}),
        };
        let mut properties = Map::new();
        properties.insert("name".to_owned(), name);
        properties.extend((tool.parameters)().as_object().cloned().unwrap_or_default());
        let required: Vec<&str> = std::iter::once("name").chain(tool.required.iter().copied()).collect();
        schemas.push(json!({"type": "function", "function": {
            "name": tool.name, "description": tool.description,
            "parameters": {"type": "object", "properties": properties, "required": required},
        }}));
    }
    schemas
}

/// The calls of services that a tool's call means.
///
/// # Errors
/// There is no such tool, name or action; a sentence that can be spoken.
pub fn calls(home: &Home, name: &str, arguments: &Map<String, Value>) -> Result<Vec<ServiceCall>, String> {
    let Some(tool) = TOOLS.iter().find(|tool| tool.name == name) else {
        return Err(format!("there is no tool called {}", name.chars().take(60).collect::<String>()));
    };
    let text = |key: &str| arguments.get(key).and_then(Value::as_str).unwrap_or_default();
    let wanted = text("name");
    let found = named(home, wanted, tool.domains);
    if found.is_empty() {
        let what = tool
            .domains
            .first()
            .map_or("device", |domain| if tool.domains.len() > 4 { "device" } else { domain.noun() });
        return Err(format!("there is no {what} called {}", wanted.chars().take(60).collect::<String>()));
    }
    let mut calls: Vec<ServiceCall> = Vec::new();
    for entity in found {
        let (service_name, data) = meant(tool.name, entity, arguments)?;
        let full = match service_name.split_once('.') {
            Some(_) => service_name.to_owned(),
            None => format!("{}.{service_name}", entity.domain),
        };
        match calls.iter_mut().find(|call| call.service == full && call.data == data) {
            Some(call) => call.entities.push(entity.id.clone()),
            None => {
                let mut call = ServiceCall::new(full, [&entity.id]);
                call.data = data;
                calls.push(call);
            }
        }
    }
    Ok(calls)
}

/// A service's name behind the dot and its parameters.
fn meant<'a>(
    tool: &'a str,
    entity: &Entity,
    arguments: &'a Map<String, Value>,
) -> Result<(&'a str, Map<String, Value>), String> {
    let text = |key: &str| arguments.get(key).and_then(Value::as_str).unwrap_or_default();
    let one = |key: &str, value: Value| Map::from_iter([(key.to_owned(), value)]);
    let rest = || {
        arguments.iter().filter(|(key, _)| *key != "name").map(|(k, v)| (k.clone(), v.clone())).collect::<Map<_, _>>()
    };
    let valve = entity.domain == Domain::Valve;
    let nothing = Map::new();
    Ok(match tool {
        "turn_on" => ("homeassistant.turn_on", nothing),
        "turn_off" => ("homeassistant.turn_off", nothing),
        "set_light" => ("turn_on", rest()),
        "open" => (if valve { "open_valve" } else { "open_cover" }, nothing),
        "close" => (if valve { "close_valve" } else { "close_cover" }, nothing),
        "set_position" => (if valve { "set_valve_position" } else { "set_cover_position" }, rest()),
        "lock" | "unlock" => (tool, nothing),
        "set_temperature" | "set_hvac_mode" => (tool, rest()),
        "set_fan_speed" => ("set_percentage", rest()),
        "set_volume" => {
            let percent = arguments.get("volume_pct").and_then(Value::as_f64).ok_or("it was not said how loud")?;
            ("volume_set", one("volume_level", json!(percent / 100.0)))
        }
        "media" => match text("action") {
            "play" => ("media_play", nothing),
            "pause" => ("media_pause", nothing),
            "stop" => ("media_stop", nothing),
            "next" => ("media_next_track", nothing),
            "previous" => ("media_previous_track", nothing),
            "mute" => ("volume_mute", one("is_volume_muted", true.into())),
            "unmute" => ("volume_mute", one("is_volume_muted", false.into())),
            action @ ("volume_up" | "volume_down") => (action, nothing),
            other => return Err(format!("a media player cannot {other}")),
        },
        "vacuum" => match (entity.domain, text("action")) {
            (Domain::LawnMower, "start") => ("start_mowing", nothing),
            (Domain::LawnMower, "stop" | "return") => ("dock", nothing),
            (_, "return") => ("return_to_base", nothing),
            (_, action @ ("start" | "pause" | "stop")) => (action, nothing),
            (_, other) => return Err(format!("a vacuum cannot {other}")),
        },
        "add_item" | "remove_item" => (tool, rest()),
        "complete_item" => {
            let mut data = rest();
            data.insert("status".to_owned(), "completed".into());
            ("update_item", data)
        }
        "alarm" => {
            let mut data = rest();
            let action = match data.remove("action").as_ref().and_then(Value::as_str) {
                Some("arm_home") => "alarm_arm_home",
                Some("arm_away") => "alarm_arm_away",
                Some("arm_night") => "alarm_arm_night",
                Some("disarm") => "alarm_disarm",
                other => return Err(format!("an alarm cannot {}", other.unwrap_or("do that"))),
            };
            (action, data)
        }
        _ => {
            let value = arguments.get("value").cloned().unwrap_or_default();
            match service(entity.domain, "select_option") {
                Some(_) => ("select_option", one("option", value)),
                None => ("set_value", one("value", value)),
            }
        }
    })
}

/// The entities of these domains that a name means: one of that name, else those of an area, else those whose name has all of its
/// words; all of the kind for "all".
pub fn named<'a>(home: &'a Home, wanted: &str, domains: &[Domain]) -> Vec<&'a Entity> {
    let fitting = || home.entities().iter().filter(|entity| domains.contains(&entity.domain));
    let key = folded(wanted);
    if key.is_empty() {
        return Vec::new();
    }
    let exact: Vec<&Entity> =
        fitting().filter(|e| e.id == wanted || e.names().any(|name| folded(name) == key)).collect();
    if !exact.is_empty() {
        return exact;
    }
    if matches!(key.as_str(), "all" | "everything" | "all lights" | "all devices") {
        let only_lights = key == "all lights";
        return fitting().filter(|e| !only_lights || e.domain == Domain::Light).collect();
    }
    // "kitchen", or "kitchen lights", which is only what the word means.
    let means = |area: &crate::model::Area, entity: &Entity| {
        let names = std::iter::once(&area.name).chain(&area.aliases);
        names
            .map(|name| folded(name))
            .any(|name| key == name || key.strip_prefix(&name).is_some_and(|rest| is_kind(rest, entity.domain)))
    };
    let there: Vec<&Entity> = fitting().filter(|e| home.area_of(e).is_some_and(|area| means(area, e))).collect();
    if !there.is_empty() {
        return there;
    }
    let words: Vec<&str> = key.split(' ').collect();
    let close: Vec<&Entity> = fitting()
        .filter(|e| {
            let area = home.area_of(e).map(|area| folded(&area.name)).unwrap_or_default();
            e.names().any(|name| {
                let name = format!("{} {area} {}", folded(name), e.domain.noun());
                words.iter().all(|word| {
                    name.split(' ')
                        .any(|other| other == *word || other.trim_end_matches('s') == word.trim_end_matches('s'))
                })
            })
        })
        .collect();
    if close.len() == 1 { close } else { Vec::new() }
}

/// Whether what follows an area's name is the word for a kind of thing: " lights".
fn is_kind(rest: &str, domain: Domain) -> bool {
    let rest = rest.trim();
    rest == domain.noun() || rest == domain.plural()
}

//! Calls of services as calls of Home Assistant's tools, and calls of its tools held against the home.

use nearfield_home::{Entity, Home, ServiceCall};
use nearfield_llm::ToolCall;
use serde_json::{Map, Value, json};

/// A tool for a service, and the tool's parameters with the service's: each parameter of a call must be among them.
struct Way {
    services: &'static [&'static str],
    tool: &'static str,
    parameters: &'static [(&'static str, &'static str)],
    /// What else the tool is told.
    fixed: Option<(&'static str, &'static str)>,
}

const fn way(services: &'static [&'static str], tool: &'static str) -> Way {
    Way { services, tool, parameters: &[], fixed: None }
}

/// The first that fits is taken. Services without a domain are those of any.
const WAYS: &[Way] = &[
    way(&["turn_on", "open_cover", "open_valve", "lock", "press"], "HassTurnOn"),
    way(&["turn_off", "close_cover", "close_valve", "unlock"], "HassTurnOff"),
    Way {
        parameters: &[("brightness_pct", "brightness"), ("color_name", "color")],
        ..way(&["light.turn_on"], "HassLightSet")
    },
    Way {
        parameters: &[("position", "position")],
        ..way(&["set_cover_position", "set_valve_position"], "HassSetPosition")
    },
    Way {
        parameters: &[("percentage", "percentage")],
        ..way(&["fan.set_percentage", "fan.turn_on"], "HassFanSetSpeed")
    },
    Way {
        parameters: &[("temperature", "temperature")],
        ..way(&["climate.set_temperature"], "HassClimateSetTemperature")
    },
    Way { parameters: &[("humidity", "humidity")], ..way(&["humidifier.set_humidity"], "HassHumidifierSetpoint") },
    Way { parameters: &[("mode", "mode")], ..way(&["humidifier.set_mode"], "HassHumidifierMode") },
    way(&["vacuum.start"], "HassVacuumStart"),
    way(&["vacuum.return_to_base"], "HassVacuumReturnToBase"),
    way(&["lawn_mower.start_mowing"], "HassLawnMowerStartMowing"),
    way(&["lawn_mower.dock"], "HassLawnMowerDock"),
    way(&["media_pause"], "HassMediaPause"),
    way(&["media_play"], "HassMediaUnpause"),
    way(&["media_next_track"], "HassMediaNext"),
    way(&["media_previous_track"], "HassMediaPrevious"),
    Way { parameters: &[("volume_level", "volume_level")], ..way(&["volume_set"], "HassSetVolume") },
    Way { fixed: Some(("volume_step", "up")), ..way(&["volume_up"], "HassSetVolumeRelative") },
    Way { fixed: Some(("volume_step", "down")), ..way(&["volume_down"], "HassSetVolumeRelative") },
    Way { parameters: &[("item", "item")], ..way(&["todo.add_item"], "HassListAddItem") },
];

/// A call for each entity; `None` where one of these tools can't do it.
pub(super) fn of(call: &ServiceCall, home: &Home, tools: &[Value]) -> Option<Vec<ToolCall>> {
    call.entities.iter().map(|id| one(call, home.entity(id)?, home, tools)).collect()
}

fn one(call: &ServiceCall, entity: &Entity, home: &Home, tools: &[Value]) -> Option<ToolCall> {
    let (_, bare) = call.service.split_once('.')?;
    // `homeassistant.turn_on` is the entity's own.
    let own = format!("{}.{bare}", entity.domain);
    let given: Vec<(&String, &Value)> = call.data.iter().filter(|(_, value)| !value.is_null()).collect();
    if bare == "volume_mute" {
        let tool =
            if call.data.get("is_volume_muted")? == true { "HassMediaPlayerMute" } else { "HassMediaPlayerUnmute" };
        return named(tool, entity, home, Map::new(), tools);
    }
    let fits = |way: &&Way| {
        way.services.iter().any(|service| *service == own || *service == bare)
            && given.is_empty() == way.parameters.is_empty()
            && given.iter().all(|(key, _)| way.parameters.iter().any(|(service, _)| service == key))
    };
    let way = WAYS.iter().find(fits)?;
    let mut arguments = Map::new();
    for (key, value) in given {
        let (_, parameter) = way.parameters.iter().find(|(service, _)| service == key)?;
        let value = match value.as_f64() {
            // Home Assistant's services take a part of one, its tools a percentage.
            Some(level) if *parameter == "volume_level" => json!((level * 100.0).round() as i64),
            // Whole numbers where they are.
            Some(number) if number.fract() == 0.0 && number.abs() < 1e9 => json!(number as i64),
            _ => value.clone(),
        };
        arguments.insert((*parameter).to_owned(), value);
    }
    arguments.extend(way.fixed.map(|(key, value)| (key.to_owned(), value.into())));
    named(way.tool, entity, home, arguments, tools)
}

/// A call of a tool for one entity, if the client offers the tool and it takes these parameters.
fn named(
    tool: &str,
    entity: &Entity,
    home: &Home,
    mut arguments: Map<String, Value>,
    tools: &[Value],
) -> Option<ToolCall> {
    let offered = tools.iter().find(|offered| offered["function"]["name"] == tool)?;
    let takes = |parameter: &str| offered["function"]["parameters"]["properties"].get(parameter).is_some();
    if !takes("name") || !arguments.keys().all(|key| takes(key)) {
        return None;
    }
    arguments.insert("name".to_owned(), entity.name.as_str().into());
    if takes("domain") {
        arguments.insert("domain".to_owned(), json!([entity.domain.to_string()]));
    }
    let is_twin =
        |other: &&Entity| other.id != entity.id && other.domain == entity.domain && is_named(other, &entity.name);
    if home.entities().iter().any(|other| is_twin(&other)) {
        // Only its area tells it from another of the same name.
        let area = home.area_of(entity).filter(|_| takes("area"))?;
        arguments.insert("area".to_owned(), area.name.as_str().into());
    }
    Some(ToolCall { name: tool.to_owned(), arguments: Value::Object(arguments) })
}

fn is_named(entity: &Entity, name: &str) -> bool {
    entity.names().any(|known| known.eq_ignore_ascii_case(name.trim()))
}

/// Leaves out of a call what contradicts the entity that it names. Small models fill in parameters that nobody spoke of.
pub(super) fn correct(call: &mut ToolCall, home: &Home) {
    if !call.name.starts_with("Hass") {
        return;
    }
    let Value::Object(arguments) = &mut call.arguments else { return };
    let Some(name) = arguments.get("name").and_then(Value::as_str).map(str::to_owned) else { return };
    let meant: Vec<&Entity> = home.entities().iter().filter(|entity| is_named(entity, &name)).collect();
    if meant.is_empty() {
        // An area in the place of a thing's name.
        let area = home.areas().iter().any(|area| area.name.eq_ignore_ascii_case(name.trim()));
        if area && !arguments.contains_key("area") {
            arguments.remove("name");
            arguments.insert("area".to_owned(), name.into());
        }
        return;
    }
    let is_in = |entity: &Entity, place: &str| {
        let area = home.area_of(entity);
        area.is_some_and(|area| {
            area.name.eq_ignore_ascii_case(place) || area.aliases.iter().any(|it| it.eq_ignore_ascii_case(place))
        })
    };
    if let Some(place) = arguments.get("area").and_then(Value::as_str).map(str::to_owned)
        && !meant.iter().any(|entity| is_in(entity, place.trim()))
    {
        arguments.remove("area");
    }
    // A name that exists needs neither; the prompt tells of no floors.
    arguments.remove("floor");
    arguments.remove("device_class");
    let domains: Vec<String> = match arguments.get("domain") {
        Some(Value::Array(all)) => all.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect(),
        Some(Value::String(one)) => vec![one.clone()],
        _ => return,
    };
    if !meant.iter().any(|entity| domains.iter().any(|domain| *domain == entity.domain.to_string())) {
        arguments.insert("domain".to_owned(), json!([meant[0].domain.to_string()]));
    }
}

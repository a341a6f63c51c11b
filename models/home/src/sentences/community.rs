//! Intents and slots of Home Assistant's community, as ours: so that a folder of its sentence templates, or a user's own that were
//! written for it, works here. An intent or a slot that has no counterpart makes the sentence one that is passed on.

use serde_json::{Map, Value, json};

/// The intents that have a counterpart.
pub const INTENTS: &[&str] = &[
    "HassTurnOn",
    "HassTurnOff",
    "HassToggle",
    "HassLightSet",
    "HassSetPosition",
    "HassClimateSetTemperature",
    "HassClimateGetTemperature",
    "HassFanSetSpeed",
    "HassGetState",
    "HassGetWeather",
    "HassGetCurrentTime",
    "HassGetCurrentDate",
    "HassListAddItem",
    "HassListCompleteItem",
    "HassListRemoveItem",
    "HassShoppingListAddItem",
    "HassShoppingListCompleteItem",
    "HassMediaPause",
    "HassMediaUnpause",
    "HassMediaNext",
    "HassMediaPrevious",
    "HassMediaPlayerMute",
    "HassMediaPlayerUnmute",
    "HassSetVolume",
    "HassVacuumStart",
    "HassVacuumReturnToBase",
    "HassLawnMowerStartMowing",
    "HassLawnMowerDock",
    "HassNevermind",
];

/// Our intent and slots for one of the community's; `None` where there is no counterpart.
pub fn ours(
    intent: &str,
    slots: &Map<String, Value>,
    requires: &Map<String, Value>,
) -> Option<(&'static str, Map<String, Value>)> {
    let text = |key: &str| slots.get(key).and_then(Value::as_str);
    let domain = text("domain").map(str::to_owned).or_else(|| match requires.get("domain")? {
        Value::String(one) => Some(one.clone()),
        Value::Array(list) => match list.as_slice() {
            [one] => one.as_str().map(str::to_owned),
            _ => None,
        },
        _ => None,
    });
    let mut out = Map::new();
    if let Some(target) = target(slots, domain.as_deref()) {
        out.insert("target".to_owned(), target.into());
    }
    let mut put = |key: &str, value: Value| {
        out.insert(key.to_owned(), value);
    };
    let opens = matches!(domain.as_deref(), Some("cover" | "valve"));
    let name = match intent {
        "HassTurnOn" if opens => "Open",
        "HassTurnOff" if opens => "Close",
        "HassTurnOn" if domain.as_deref() == Some("lock") => "Lock",
        "HassTurnOff" if domain.as_deref() == Some("lock") => "Unlock",
        "HassTurnOn" if matches!(domain.as_deref(), Some("scene" | "script")) => "SceneOn",
        "HassTurnOn" if matches!(domain.as_deref(), Some("button" | "input_button")) => "Press",
        "HassTurnOn" => "TurnOn",
        "HassTurnOff" => "TurnOff",
        "HassToggle" => "Toggle",
        "HassLightSet" => {
            if let Some(level) = slots.get("brightness") {
                put("level", level.clone());
                "SetBrightness"
            } else if let Some(kelvin) = slots.get("temperature") {
                put("color", json!({"kelvin": kelvin}));
                "SetColor"
            } else {
                let said = text("color")?;
                let words: Vec<&str> = said.split(' ').collect();
                put(
                    "color",
                    match crate::spoken::colour(&words)?.0 {
                        crate::spoken::Colour::Rgb(rgb) => json!({"rgb": rgb, "said": said}),
                        crate::spoken::Colour::Kelvin(kelvin) => json!({"kelvin": kelvin, "said": said}),
                    },
                );
                "SetColor"
            }
        }
        "HassSetPosition" => {
            put("level", slots.get("position")?.clone());
            "SetPosition"
        }
        "HassClimateSetTemperature" => {
            put("temperature", json!({"value": slots.get("temperature")?, "unit": null}));
            "SetTemperature"
        }
        "HassClimateGetTemperature" => {
            put("measure", "temperature".into());
            "Measure"
        }
        "HassFanSetSpeed" => {
            put("level", slots.get("percentage")?.clone());
            "SetSpeed"
        }
        "HassGetState" => {
            text("name")?;
            match text("state") {
                Some(state) => {
                    put("state", state.into());
                    "AskState"
                }
                None => "AskWhat",
            }
        }
        "HassGetWeather" => "Weather",
        "HassGetCurrentTime" => "TellTime",
        "HassGetCurrentDate" => "TellDate",
        "HassListAddItem"
        | "HassShoppingListAddItem"
        | "HassListCompleteItem"
        | "HassShoppingListCompleteItem"
        | "HassListRemoveItem" => {
            put("item", text("item")?.into());
            put("list", text("name").unwrap_or("shopping list").into());
            match intent {
                "HassListRemoveItem" => "RemoveItem",
                _ if intent.ends_with("CompleteItem") => "CompleteItem",
                _ => "AddItem",
            }
        }
        "HassMediaPause" => "Pause",
        "HassMediaUnpause" => "Play",
        "HassMediaNext" => "NextTrack",
        "HassMediaPrevious" => "PreviousTrack",
        "HassMediaPlayerMute" | "HassMediaPlayerUnmute" => {
            put("mute", (intent == "HassMediaPlayerMute").into());
            "Mute"
        }
        "HassSetVolume" => {
            put("level", slots.get("volume_level")?.clone());
            "SetVolume"
        }
        "HassVacuumStart" => "StartVacuum",
        "HassVacuumReturnToBase" => "DockVacuum",
        "HassLawnMowerStartMowing" => "StartMower",
        "HassLawnMowerDock" => "DockMower",
        "HassNevermind" => "Nevermind",
        _ => return None,
    };
    Some((name, out))
}

/// The phrase that means what `name`, `area`, `floor`, `domain` and `device_class` say.
fn target(slots: &Map<String, Value>, domain: Option<&str>) -> Option<String> {
    let text = |key: &str| slots.get(key).and_then(Value::as_str);
    let place = text("area").or(text("floor"));
    let what = match (text("name"), text("device_class"), domain) {
        (Some("all"), _, Some(domain)) => format!("all {}", crate::Domain::from_name(domain).plural()),
        (Some(name), ..) => name.to_owned(),
        (None, Some(class), _) => format!("{}s", class.replace('_', " ")),
        (None, None, Some(domain)) => crate::Domain::from_name(domain).plural().to_owned(),
        (None, None, None) => return place.map(str::to_owned),
    };
    Some(match place {
        Some(place) => format!("{what} in {place}"),
        None => what,
    })
}

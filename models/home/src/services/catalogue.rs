//! The catalogue of services: their names, what they need of an entity, their parameters, and the check of a call's parameters
//! against it. The tools of a language model and the answers to a wrong call are made from it too.

use serde_json::{Map, Value, json};

use super::ServiceError;
use super::field::{Field, FieldKind};
use crate::domain::Domain;
use crate::model::Entity;

/// A service of a domain.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// The domain.
    pub domain: Domain,
    /// The name behind the dot.
    pub name: &'static str,
    /// What it does, after "can": "be locked".
    pub verb: &'static str,
    /// The features that an entity must have.
    pub needs: &'static [&'static str],
    /// The parameters.
    pub fields: &'static [Field],
}

const fn must(name: &'static str, kind: FieldKind) -> Field {
    Field { name, kind, required: true }
}

const fn may(name: &'static str, kind: FieldKind) -> Field {
    Field { name, kind, required: false }
}

const fn plain(domain: Domain, name: &'static str, verb: &'static str) -> Service {
    Service { domain, name, verb, needs: &[], fields: &[] }
}

const fn with(
    domain: Domain,
    name: &'static str,
    verb: &'static str,
    needs: &'static [&'static str],
    fields: &'static [Field],
) -> Service {
    Service { domain, name, verb, needs, fields }
}

use FieldKind::{ColourName, Duration, Flag, Number, Option as OneOf, Rgb, Text, Within, Word};

const PERCENT: FieldKind = Number(0.0, 100.0);
const CODE: &[Field] = &[may("code", Text)];
const LIGHT: &[Field] = &[
    may("brightness_pct", PERCENT),
    may("brightness", Number(0.0, 255.0)),
    may("brightness_step_pct", Number(-100.0, 100.0)),
    may("brightness_step", Number(-255.0, 255.0)),
    may("rgb_color", Rgb),
    may("color_name", ColourName),
    may("color_temp_kelvin", Within("min_color_temp_kelvin", "max_color_temp_kelvin", 1000.0, 12000.0)),
    may("effect", OneOf("effect_list")),
    may("transition", Number(0.0, 300.0)),
];
const TEMPERATURE: &[Field] = &[
    may("temperature", Within("min_temp", "max_temp", -50.0, 300.0)),
    may("target_temp_low", Within("min_temp", "max_temp", -50.0, 300.0)),
    may("target_temp_high", Within("min_temp", "max_temp", -50.0, 300.0)),
    may("hvac_mode", OneOf("hvac_modes")),
];
const ITEM: &[Field] =
    &[must("item", Text), may("due_date", Text), may("due_datetime", Text), may("description", Text)];
const ITEM_UPDATE: &[Field] = &[
    must("item", Text),
    may("rename", Text),
    may("status", Word(&["needs_action", "completed"])),
    may("due_date", Text),
    may("due_datetime", Text),
    may("description", Text),
];
const EVENT: &[Field] = &[
    must("summary", Text),
    may("start_date_time", Text),
    may("end_date_time", Text),
    may("start_date", Text),
    may("end_date", Text),
    may("description", Text),
    may("location", Text),
];

macro_rules! switchable {
    ($domain:ident) => {
        [
            plain(Domain::$domain, "turn_on", "be turned on"),
            plain(Domain::$domain, "turn_off", "be turned off"),
            plain(Domain::$domain, "toggle", "be switched"),
        ]
    };
}

/// All services.
pub const SERVICES: &[&[Service]] = &[
    &[
        with(Domain::Light, "turn_on", "be turned on", &[], LIGHT),
        with(Domain::Light, "turn_off", "be turned off", &[], &[may("transition", Number(0.0, 300.0))]),
        with(Domain::Light, "toggle", "be switched", &[], LIGHT),
    ],
    &switchable!(Switch),
    &switchable!(InputBoolean),
    &switchable!(Automation),
    &[plain(Domain::Automation, "trigger", "be triggered")],
    &switchable!(Camera),
    &switchable!(Remote),
    &[
        with(
            Domain::Fan,
            "turn_on",
            "be turned on",
            &[],
            &[may("percentage", PERCENT), may("preset_mode", OneOf("preset_modes"))],
        ),
        plain(Domain::Fan, "turn_off", "be turned off"),
        plain(Domain::Fan, "toggle", "be switched"),
        with(Domain::Fan, "set_percentage", "change its speed", &["SET_SPEED"], &[must("percentage", PERCENT)]),
        with(Domain::Fan, "increase_speed", "change its speed", &["SET_SPEED"], &[may("percentage_step", PERCENT)]),
        with(Domain::Fan, "decrease_speed", "change its speed", &["SET_SPEED"], &[may("percentage_step", PERCENT)]),
        with(Domain::Fan, "oscillate", "oscillate", &["OSCILLATE"], &[must("oscillating", Flag)]),
        with(
            Domain::Fan,
            "set_direction",
            "change its direction",
            &["DIRECTION"],
            &[must("direction", Word(&["forward", "reverse"]))],
        ),
        with(
            Domain::Fan,
            "set_preset_mode",
            "change its mode",
            &["PRESET_MODE"],
            &[must("preset_mode", OneOf("preset_modes"))],
        ),
    ],
    &[
        plain(Domain::Cover, "open_cover", "be opened"),
        plain(Domain::Cover, "close_cover", "be closed"),
        plain(Domain::Cover, "stop_cover", "be stopped"),
        plain(Domain::Cover, "toggle", "be moved"),
        with(
            Domain::Cover,
            "set_cover_position",
            "be moved to a position",
            &["SET_POSITION"],
            &[must("position", PERCENT)],
        ),
        plain(Domain::Cover, "open_cover_tilt", "be tilted"),
        plain(Domain::Cover, "close_cover_tilt", "be tilted"),
        plain(Domain::Cover, "stop_cover_tilt", "be tilted"),
        with(Domain::Cover, "set_cover_tilt_position", "be tilted", &[], &[must("tilt_position", PERCENT)]),
    ],
    &[
        plain(Domain::Valve, "open_valve", "be opened"),
        plain(Domain::Valve, "close_valve", "be closed"),
        plain(Domain::Valve, "stop_valve", "be stopped"),
        plain(Domain::Valve, "toggle", "be moved"),
        with(
            Domain::Valve,
            "set_valve_position",
            "be moved to a position",
            &["SET_POSITION"],
            &[must("position", PERCENT)],
        ),
    ],
    &[
        with(Domain::Lock, "lock", "be locked", &[], CODE),
        with(Domain::Lock, "unlock", "be unlocked", &[], CODE),
        with(Domain::Lock, "open", "be unlatched", &["OPEN"], CODE),
    ],
    &[
        with(Domain::AlarmControlPanel, "alarm_disarm", "be disarmed", &[], CODE),
        with(Domain::AlarmControlPanel, "alarm_arm_home", "be armed for home", &["ARM_HOME"], CODE),
        with(Domain::AlarmControlPanel, "alarm_arm_away", "be armed for away", &["ARM_AWAY"], CODE),
        with(Domain::AlarmControlPanel, "alarm_arm_night", "be armed for the night", &["ARM_NIGHT"], CODE),
        with(Domain::AlarmControlPanel, "alarm_arm_vacation", "be armed for a vacation", &["ARM_VACATION"], CODE),
        with(
            Domain::AlarmControlPanel,
            "alarm_arm_custom_bypass",
            "be armed with a bypass",
            &["ARM_CUSTOM_BYPASS"],
            CODE,
        ),
        with(Domain::AlarmControlPanel, "alarm_trigger", "be triggered", &["TRIGGER"], CODE),
    ],
    &switchable!(Siren),
    &[
        plain(Domain::Climate, "turn_on", "be turned on"),
        plain(Domain::Climate, "turn_off", "be turned off"),
        plain(Domain::Climate, "toggle", "be switched"),
        with(Domain::Climate, "set_temperature", "be set to a temperature", &[], TEMPERATURE),
        with(Domain::Climate, "set_hvac_mode", "change its mode", &[], &[must("hvac_mode", OneOf("hvac_modes"))]),
        with(Domain::Climate, "set_fan_mode", "change its fan", &["FAN_MODE"], &[must("fan_mode", OneOf("fan_modes"))]),
        with(
            Domain::Climate,
            "set_preset_mode",
            "change its preset",
            &["PRESET_MODE"],
            &[must("preset_mode", OneOf("preset_modes"))],
        ),
        with(Domain::Climate, "set_swing_mode", "swing", &["SWING_MODE"], &[must("swing_mode", OneOf("swing_modes"))]),
        with(
            Domain::Climate,
            "set_humidity",
            "be set to a humidity",
            &["TARGET_HUMIDITY"],
            &[must("humidity", PERCENT)],
        ),
    ],
    &switchable!(Humidifier),
    &[
        with(
            Domain::Humidifier,
            "set_humidity",
            "be set to a humidity",
            &[],
            &[must("humidity", Within("min_humidity", "max_humidity", 0.0, 100.0))],
        ),
        with(Domain::Humidifier, "set_mode", "change its mode", &["MODES"], &[must("mode", OneOf("available_modes"))]),
    ],
    &[
        plain(Domain::WaterHeater, "turn_on", "be turned on"),
        plain(Domain::WaterHeater, "turn_off", "be turned off"),
        with(
            Domain::WaterHeater,
            "set_temperature",
            "be set to a temperature",
            &[],
            &[must("temperature", Within("min_temp", "max_temp", 0.0, 212.0))],
        ),
        with(
            Domain::WaterHeater,
            "set_operation_mode",
            "change its mode",
            &["OPERATION_MODE"],
            &[must("operation_mode", OneOf("operation_list"))],
        ),
        with(Domain::WaterHeater, "set_away_mode", "be set to away", &["AWAY_MODE"], &[must("away_mode", Flag)]),
    ],
    &[
        with(Domain::MediaPlayer, "turn_on", "be turned on", &["TURN_ON"], &[]),
        with(Domain::MediaPlayer, "turn_off", "be turned off", &["TURN_OFF"], &[]),
        plain(Domain::MediaPlayer, "toggle", "be switched"),
        with(Domain::MediaPlayer, "media_play", "play", &["PLAY"], &[]),
        with(Domain::MediaPlayer, "media_pause", "pause", &["PAUSE"], &[]),
        plain(Domain::MediaPlayer, "media_play_pause", "pause"),
        with(Domain::MediaPlayer, "media_stop", "be stopped", &["STOP"], &[]),
        with(Domain::MediaPlayer, "media_next_track", "skip a track", &["NEXT_TRACK"], &[]),
        with(Domain::MediaPlayer, "media_previous_track", "go back a track", &["PREVIOUS_TRACK"], &[]),
        plain(Domain::MediaPlayer, "volume_up", "change its volume"),
        plain(Domain::MediaPlayer, "volume_down", "change its volume"),
        with(
            Domain::MediaPlayer,
            "volume_set",
            "change its volume",
            &["VOLUME_SET"],
            &[must("volume_level", Number(0.0, 1.0))],
        ),
        with(Domain::MediaPlayer, "volume_mute", "be muted", &[], &[must("is_volume_muted", Flag)]),
        with(
            Domain::MediaPlayer,
            "select_source",
            "change its source",
            &["SELECT_SOURCE"],
            &[must("source", OneOf("source_list"))],
        ),
        with(
            Domain::MediaPlayer,
            "select_sound_mode",
            "change its sound mode",
            &["SELECT_SOUND_MODE"],
            &[must("sound_mode", OneOf("sound_mode_list"))],
        ),
        with(Domain::MediaPlayer, "shuffle_set", "shuffle", &["SHUFFLE_SET"], &[must("shuffle", Flag)]),
        with(
            Domain::MediaPlayer,
            "repeat_set",
            "repeat",
            &["REPEAT_SET"],
            &[must("repeat", Word(&["off", "all", "one"]))],
        ),
        with(
            Domain::MediaPlayer,
            "play_media",
            "play media",
            &["PLAY_MEDIA"],
            &[must("media_content_id", Text), may("media_content_type", Text)],
        ),
    ],
    &[
        with(Domain::Vacuum, "start", "be started", &["START"], &[]),
        with(Domain::Vacuum, "pause", "pause", &["PAUSE"], &[]),
        with(Domain::Vacuum, "stop", "be stopped", &["STOP"], &[]),
        with(Domain::Vacuum, "return_to_base", "return to its base", &["RETURN_HOME"], &[]),
        with(Domain::Vacuum, "clean_spot", "clean a spot", &["CLEAN_SPOT"], &[]),
        with(Domain::Vacuum, "locate", "be located", &["LOCATE"], &[]),
        with(
            Domain::Vacuum,
            "set_fan_speed",
            "change its suction",
            &["FAN_SPEED"],
            &[must("fan_speed", OneOf("fan_speed_list"))],
        ),
    ],
    &[
        plain(Domain::LawnMower, "start_mowing", "be started"),
        plain(Domain::LawnMower, "pause", "pause"),
        plain(Domain::LawnMower, "dock", "return to its dock"),
    ],
    &[
        with(Domain::Todo, "add_item", "take new items", &["CREATE_TODO_ITEM"], ITEM),
        with(Domain::Todo, "update_item", "change items", &["UPDATE_TODO_ITEM"], ITEM_UPDATE),
        with(Domain::Todo, "remove_item", "remove items", &["DELETE_TODO_ITEM"], &[must("item", Text)]),
        with(Domain::Todo, "remove_completed_items", "remove items", &["DELETE_TODO_ITEM"], &[]),
    ],
    &[with(Domain::Calendar, "create_event", "take new events", &["CREATE_EVENT"], EVENT)],
    &[plain(Domain::Scene, "turn_on", "be set")],
    &[
        plain(Domain::Script, "turn_on", "be run"),
        plain(Domain::Script, "turn_off", "be stopped"),
        plain(Domain::Script, "toggle", "be run"),
    ],
    &[plain(Domain::Button, "press", "be pressed"), plain(Domain::InputButton, "press", "be pressed")],
    &[
        with(Domain::Timer, "start", "be started", &[], &[may("duration", Duration)]),
        plain(Domain::Timer, "pause", "pause"),
        plain(Domain::Timer, "cancel", "be cancelled"),
        plain(Domain::Timer, "finish", "be finished"),
        with(Domain::Timer, "change", "be changed", &[], &[must("duration", Number(-2_592_000.0, 2_592_000.0))]),
    ],
    &[
        with(Domain::InputNumber, "set_value", "be set", &[], &[must("value", Within("min", "max", -1e12, 1e12))]),
        plain(Domain::InputNumber, "increment", "be raised"),
        plain(Domain::InputNumber, "decrement", "be lowered"),
        with(Domain::Number, "set_value", "be set", &[], &[must("value", Within("min", "max", -1e12, 1e12))]),
    ],
    &[
        with(Domain::InputSelect, "select_option", "be set", &[], &[must("option", OneOf("options"))]),
        plain(Domain::InputSelect, "select_next", "be set"),
        plain(Domain::InputSelect, "select_previous", "be set"),
        with(Domain::Select, "select_option", "be set", &[], &[must("option", OneOf("options"))]),
        plain(Domain::Select, "select_next", "be set"),
        plain(Domain::Select, "select_previous", "be set"),
    ],
    &[
        with(Domain::InputText, "set_value", "be set", &[], &[must("value", Text)]),
        with(Domain::Text, "set_value", "be set", &[], &[must("value", Text)]),
    ],
];

/// A service of a domain by its name behind the dot.
pub fn service(domain: Domain, name: &str) -> Option<&'static Service> {
    SERVICES.iter().copied().flatten().find(|service| service.domain == domain && service.name == name)
}

impl Service {
    /// Its whole name.
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.domain, self.name)
    }

    /// The JSON schema of its parameters, without its entities.
    pub fn schema(&self) -> Value {
        let mut properties = Map::new();
        for field in self.fields {
            properties.insert(field.name.to_owned(), field.kind.schema());
        }
        let required: Vec<&str> = self.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
        json!({"type": "object", "properties": properties, "required": required})
    }

    /// The parameters of a call, each of its kind and within its bounds.
    pub(super) fn checked(
        &self,
        data: &Map<String, Value>,
        entity: &Entity,
    ) -> Result<Map<String, Value>, ServiceError> {
        let wrong = |text: String| Err(ServiceError::Parameter(text));
        let mut checked = Map::new();
        for (key, value) in data {
            let Some(field) = self.fields.iter().find(|field| field.name == key) else {
                let short: String = key.chars().take(40).collect();
                return wrong(format!("{} has no parameter {short}", self.full_name()));
            };
            if value.is_null() {
                continue;
            }
            match field.kind.read(value, entity) {
                Some(Ok(value)) => {
                    checked.insert(key.clone(), value);
                }
                Some(Err(why)) => return wrong(format!("the {} of the {} {why}", words(key), entity.name)),
                None => return wrong(format!("the {} of the {} must be {}", words(key), entity.name, field.kind)),
            }
        }
        if let Some(missing) = self.fields.iter().find(|f| f.required && !checked.contains_key(f.name)) {
            return wrong(format!("{} needs a {}", self.full_name(), words(missing.name)));
        }
        Ok(checked)
    }
}

/// A parameter's name as words.
fn words(key: &str) -> String {
    key.trim_end_matches("_pct").replace('_', " ")
}

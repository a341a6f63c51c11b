//! Locks, alarm panels and sirens. A code that an entity has must be given to open what it guards.

use serde_json::Value;

use super::{Data, ServiceError, on_off, switched};
use crate::domain::Domain;
use crate::model::Entity;

pub(super) fn settle(entity: &mut Entity) {
    // A code is never shown as an attribute.
    if let Some(code) = entity.attributes.remove("code") {
        entity.stored.insert("code".to_owned(), code);
    }
    match entity.domain {
        Domain::Lock => {
            let of_flag = |flag: bool| if flag { "locked" } else { "unlocked" }.to_owned();
            if let Some(Value::Bool(locked)) = entity.attributes.remove("is_locked") {
                entity.state = of_flag(locked);
            } else if let Some(word) = on_off(&entity.state) {
                entity.state = of_flag(word == "on");
            } else if entity.state.is_empty() {
                entity.state = "unlocked".to_owned();
            }
        }
        Domain::Siren => {
            entity.state =
                on_off(&entity.state).unwrap_or(if entity.state.is_empty() { "off" } else { &entity.state }).to_owned();
        }
        _ if entity.state.is_empty() => entity.state = "disarmed".to_owned(),
        _ => {}
    }
}

pub(super) fn run(entity: &mut Entity, data: &Data<'_>) -> Result<(), ServiceError> {
    let opens = matches!(data.name, "unlock" | "open" | "alarm_disarm");
    if opens
        && let Some(code) = entity.stored.get("code").map(plain)
        && data.text("code") != Some(&code)
    {
        return Err(ServiceError::Parameter(match data.text("code") {
            Some(_) => format!("that is not the code of the {}", entity.name),
            None => format!("the {} needs its code", entity.name),
        }));
    }
    let state = match data.name {
        "lock" => "locked",
        "unlock" => "unlocked",
        "open" => "open",
        "alarm_disarm" => "disarmed",
        "alarm_arm_home" => "armed_home",
        "alarm_arm_away" => "armed_away",
        "alarm_arm_night" => "armed_night",
        "alarm_arm_vacation" => "armed_vacation",
        "alarm_arm_custom_bypass" => "armed_custom_bypass",
        "alarm_trigger" => "triggered",
        name => match switched(entity, name) {
            Some(false) => "off",
            _ => "on",
        },
    };
    entity.state = state.to_owned();
    Ok(())
}

fn plain(code: &Value) -> String {
    code.as_str().map_or_else(|| code.to_string(), str::to_owned)
}

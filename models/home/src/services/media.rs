//! Media players: what plays, how loud, from which source. Volumes are 0 to 1, as an attribute and in a call.

use serde_json::Value;

use super::{Data, ServiceError, number, on_off, switched};
use crate::model::Entity;

/// What a player shows only while it is not off.
const WHILE_ON: [&str; 12] = [
    "volume_level",
    "is_volume_muted",
    "media_track",
    "media_title",
    "media_artist",
    "media_album_name",
    "media_content_id",
    "media_content_type",
    "source",
    "sound_mode",
    "shuffle",
    "repeat",
];

/// After this many tracks a player begins anew, as Home Assistant's synthetic home does.
const TRACKS: f64 = 20.0;

pub(super) fn settle(entity: &mut Entity) {
    if entity.state.is_empty() {
        entity.state = "off".to_owned();
    } else if let Some("off") = on_off(&entity.state) {
        entity.state = "off".to_owned();
    }
    for key in WHILE_ON {
        if let Some(value) = entity.attributes.get(key).filter(|value| !value.is_null()) {
            let value = value.clone();
            entity.stored.insert(key.to_owned(), value);
        }
    }
    entity.stored.entry("volume_level").or_insert_with(|| 0.5.into());
    let is_off = matches!(entity.state.as_str(), "off" | "unavailable" | "unknown");
    let is_tv = entity.device_class() == Some("tv");
    if !is_tv {
        entity.stored.entry("media_track").or_insert_with(|| 0.into());
    }
    for key in WHILE_ON {
        let shown = !is_off && (key != "media_track" || !is_tv);
        match entity.stored.get(key).filter(|_| shown) {
            Some(value) => {
                let value = value.clone();
                entity.attributes.insert(key.to_owned(), value);
            }
            None => {
                entity.attributes.remove(key);
            }
        }
    }
}

pub(super) fn run(entity: &mut Entity, data: &Data<'_>) -> Result<(), ServiceError> {
    let set = |entity: &mut Entity, key: &str, value: Value| {
        entity.stored.insert(key.to_owned(), value.clone());
        entity.attributes.insert(key.to_owned(), value);
    };
    let volume = entity.stored.get("volume_level").and_then(Value::as_f64).unwrap_or(0.5);
    let track = entity.stored.get("media_track").and_then(Value::as_f64).unwrap_or(0.0);
    match data.name {
        "media_play" | "play_media" => entity.state = "playing".to_owned(),
        "media_pause" => entity.state = "paused".to_owned(),
        "media_stop" => entity.state = "idle".to_owned(),
        "media_play_pause" => {
            entity.state = if entity.state == "playing" { "paused" } else { "playing" }.to_owned();
        }
        "media_next_track" => {
            entity.state = "playing".to_owned();
            set(entity, "media_track", number(if track + 1.0 >= TRACKS { 0.0 } else { track + 1.0 }));
        }
        "media_previous_track" => {
            entity.state = "playing".to_owned();
            set(entity, "media_track", number(if track < 1.0 { TRACKS - 1.0 } else { track - 1.0 }));
        }
        "volume_up" | "volume_down" | "volume_set" => {
            if !["VOLUME_SET", "VOLUME_STEP"].iter().any(|feature| entity.supports(feature)) {
                return Err(super::unsupported(entity, "change its volume"));
            }
            let level = match data.name {
                "volume_up" => volume + 0.1,
                "volume_down" => volume - 0.1,
                _ => data.number("volume_level").unwrap_or(volume),
            };
            let level = (level.clamp(0.0, 1.0) * 1e4).round() / 1e4;
            set(entity, "volume_level", level.into());
        }
        "volume_mute" => {
            let mute = data.flag("is_volume_muted").unwrap_or(true);
            // A player that does not tell whether it is muted is muted by its volume, and gets it back.
            if entity.stored.contains_key("is_volume_muted") {
                set(entity, "is_volume_muted", mute.into());
            } else if mute {
                if !["VOLUME_SET", "VOLUME_MUTE"].iter().any(|feature| entity.supports(feature)) {
                    return Err(super::unsupported(entity, "be muted"));
                }
                if volume > 0.0 {
                    entity.stored.insert("volume_before_mute".to_owned(), volume.into());
                }
                set(entity, "volume_level", 0.0.into());
            } else if let Some(before) = entity.stored.remove("volume_before_mute") {
                set(entity, "volume_level", before);
            }
        }
        name => match switched(entity, name) {
            Some(true) if entity.state == "off" => {
                entity.state = "idle".to_owned();
                set(entity, "media_track", 0.into());
            }
            Some(true) => {}
            Some(false) => {
                entity.state = "off".to_owned();
                set(entity, "media_track", 0.into());
            }
            None => {
                for key in ["source", "sound_mode", "repeat"] {
                    if let Some(value) = data.text(key) {
                        set(entity, key, value.into());
                    }
                }
                if let Some(shuffle) = data.flag("shuffle") {
                    set(entity, "shuffle", shuffle.into());
                }
            }
        },
    }
    Ok(())
}

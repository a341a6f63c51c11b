//! Media players.

use serde_json::{Map, json};

use super::power::chosen;
use super::{Done, Found, data, want};
use crate::domain::Domain;
use crate::model::Entity;
use crate::sentences::outcome::Stop;
use crate::sentences::slots::size_of;
use crate::sentences::target::{Target, Want};
use crate::services::ServiceCall;
use crate::spoken::{Change, Size};

const PLAYER: Want<'_> = Want { place_means: &[Domain::MediaPlayer], ..want(&[Domain::MediaPlayer]) };

pub(super) fn carry_out(found: &Found<'_>) -> Done {
    match found.intent {
        "Play" => {
            let target = player(found, &["paused", "idle", "on", "standby", "off"])?;
            found.act(&target, "media_player.media_play", Map::new())
        }
        "Pause" => {
            let target = player(found, &["playing"])?;
            found.act(&target, "media_player.media_pause", Map::new())
        }
        "NextTrack" => {
            let target = player(found, &["playing", "paused"])?;
            found.act(&target, "media_player.media_next_track", Map::new())
        }
        "PreviousTrack" => {
            let target = player(found, &["playing", "paused"])?;
            found.act(&target, "media_player.media_previous_track", Map::new())
        }
        "SetVolume" => {
            let level = found.number("level").ok_or(Stop::Mismatch)?;
            if !(0.0..=100.0).contains(&level) {
                return Err(Stop::Negative("A volume is between 0 and 100%.".to_owned()));
            }
            let target = player(found, &["playing", "paused", "idle", "on"])?;
            found.act(&target, "media_player.volume_set", data(json!({"volume_level": level / 100.0})))
        }
        "ChangeVolume" => {
            let target = player(found, &["playing", "paused", "idle", "on"])?;
            let up = found.flag("up").unwrap_or(true);
            let size = match found.number("factor") {
                Some(factor) => Size::Times(factor),
                None => size_of(found.slots.get("size")),
            };
            if matches!(size, Size::Small | Size::Medium) {
                return found.act(
                    &target,
                    if up { "media_player.volume_up" } else { "media_player.volume_down" },
                    Map::new(),
                );
            }
            found.act_each(&target, Map::new(), |entity| {
                let now = entity.number("volume_level").unwrap_or(0.5) * 100.0;
                let level = Change { up, size }.of_percent(now) / 100.0;
                Some(ServiceCall::new("media_player.volume_set", [&entity.id]).with("volume_level", json!(level)))
            })
        }
        "Mute" => {
            let mute = found.flag("mute").unwrap_or(true);
            let target = player(found, &["playing", "paused", "idle", "on"])?;
            found.act(&target, "media_player.volume_mute", data(json!({"is_volume_muted": mute})))
        }
        "SelectSource" => {
            let said = found.text("source").ok_or(Stop::Mismatch)?;
            if found.text("target").is_none() {
                // Only where a player has such a source.
                let having: Vec<usize> = found
                    .entities(&[Domain::MediaPlayer])
                    .into_iter()
                    .filter(|i| chosen(&found.entity(*i).options("source_list"), said).is_some())
                    .collect();
                let [one] = having[..] else { return Err(Stop::Mismatch) };
                let source = chosen(&found.entity(one).options("source_list"), said).ok_or(Stop::Mismatch)?;
                let target = Target { entities: vec![one], ..Target::default() };
                return found.act(&target, "media_player.select_source", data(json!({"source": source})));
            }
            let offers = |entity: &Entity| {
                ["source_list", "sound_mode_list"].iter().any(|list| chosen(&entity.options(list), said).is_some())
            };
            let target = found.target_that(PLAYER, offers)?;
            let entity = found.entity(target.entities[0]);
            if let Some(mode) = chosen(&entity.options("sound_mode_list"), said) {
                return found.act(&target, "media_player.select_sound_mode", data(json!({"sound_mode": mode})));
            }
            let source = chosen(&entity.options("source_list"), said).ok_or(Stop::Mismatch)?;
            found.act(&target, "media_player.select_source", data(json!({"source": source})))
        }
        "Shuffle" => {
            let target = player(found, &["playing", "paused"])?;
            found.act(&target, "media_player.shuffle_set", data(json!({"shuffle": found.flag("on") == Some(true)})))
        }
        "Repeat" => {
            let target = player(found, &["playing", "paused"])?;
            let repeat = found.text("repeat").unwrap_or("off");
            found.act(&target, "media_player.repeat_set", data(json!({"repeat": repeat})))
        }
        _ => {
            let said = found.text("media").ok_or(Stop::Mismatch)?;
            // "Play the radio" is no title.
            if found.text("target").is_none() {
                return Err(Stop::Mismatch);
            }
            let target = found.target(PLAYER)?;
            let entity = found.entity(target.entities[0]);
            if matches!(said, "music" | "some music" | "the music" | "something") {
                return found.act(&target, "media_player.media_play", Map::new());
            }
            if let Some(source) = chosen(&entity.options("source_list"), said) {
                return found.act(&target, "media_player.select_source", data(json!({"source": source})));
            }
            let said = ["some ", "a bit of "].iter().find_map(|start| said.strip_prefix(start)).unwrap_or(said);
            found.act(
                &target,
                "media_player.play_media",
                data(json!({"media_content_id": said, "media_content_type": "music"})),
            )
        }
    }
}

/// The player that is meant: by name, here, or the only one in one of these states.
fn player(found: &Found<'_>, states: &[&str]) -> Result<Target, Stop> {
    let mut result = found.target_or("speaker", PLAYER);
    // Several here, and none was named: as with several anywhere.
    if let Ok(target) = &result
        && target.entities.len() > 1
        && (found.text("target").is_none() || target.bare_place || target.place.is_some() && target.noun.is_some())
        && target.entities.iter().filter(|i| states.contains(&found.entity(**i).state.as_str())).count() > 0
        && states.iter().any(|s| target.entities.iter().filter(|i| found.entity(**i).state == *s).count() == 1)
        && !target.all
    {
        let (what, entities) = ("speaker".to_owned(), target.entities.clone());
        result = Err(Stop::Target(crate::sentences::target::Unresolved::Several { what, entities }));
    }
    let Err(Stop::Target(crate::sentences::target::Unresolved::Several { what, entities })) = result else {
        return result;
    };
    // Of several, the one that can be meant: what is paused is resumed, what plays is paused.
    for state in states {
        let fit: Vec<usize> = entities.iter().copied().filter(|i| found.entity(*i).state == *state).collect();
        match fit.len() {
            0 => {}
            1 => return Ok(Target { entities: fit, ..Target::default() }),
            _ => break,
        }
        if *state == "paused" || *state == "playing" {
            continue;
        }
        break;
    }
    Err(Stop::Target(crate::sentences::target::Unresolved::Several { what, entities }))
}

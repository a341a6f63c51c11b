//! Vacuums and lawn mowers.

use serde_json::{Map, json};

use super::power::chosen;
use super::{Done, Found, data, want};
use crate::domain::Domain;
use crate::sentences::outcome::Stop;
use crate::sentences::target::{Target, Unresolved, Want};

const VACUUM: Want<'_> = Want { place_means: &[Domain::Vacuum], ..want(&[Domain::Vacuum]) };
const MOWER: Want<'_> = Want { place_means: &[Domain::LawnMower], ..want(&[Domain::LawnMower]) };

pub(super) fn carry_out(found: &Found<'_>) -> Done {
    let service = match found.intent {
        "StartVacuum" => "vacuum.start",
        "DockVacuum" => "vacuum.return_to_base",
        "StopVacuum" => "vacuum.stop",
        "PauseVacuum" => "vacuum.pause",
        "LocateVacuum" => "vacuum.locate",
        "SpotClean" => "vacuum.clean_spot",
        "VacuumSpeed" => {
            let said = found.text("mode").ok_or(Stop::Mismatch)?;
            let target = found.target(Want { place_means: &[], ..VACUUM })?;
            let speed =
                chosen(&found.entity(target.entities[0]).options("fan_speed_list"), said).ok_or(Stop::Mismatch)?;
            return found.act(&target, "vacuum.set_fan_speed", data(json!({"fan_speed": speed})));
        }
        "StartMower" => {
            let target = found.target_or("lawn mower", MOWER)?;
            return found.act(&target, "lawn_mower.start_mowing", Map::new());
        }
        "PauseMower" => {
            let target = found.target_or("lawn mower", MOWER)?;
            return found.act(&target, "lawn_mower.pause", Map::new());
        }
        _ => {
            let target = found.target_or("lawn mower", MOWER)?;
            return found.act(&target, "lawn_mower.dock", Map::new());
        }
    };
    let target = vacuum(found)?;
    found.act(&target, service, Map::new())
}

/// The vacuum that is meant. Where a place was said that has none, the only one of the home goes there.
fn vacuum(found: &Found<'_>) -> Result<Target, Stop> {
    // "Give the living room a clean": the place stands where a thing does.
    if let Some(spot) = found.text("spot") {
        let spot = spot.trim_end_matches(" floor");
        let target = found.resolver.resolve(spot, Want { place_means: &[Domain::Vacuum], ..VACUUM });
        return match target {
            Ok(target) => Ok(target),
            Err(_) => match (found.resolver.place(spot), &found.entities(&[Domain::Vacuum])[..]) {
                (true, [one]) => Ok(Target { entities: vec![*one], ..Target::default() }),
                _ => Err(Stop::Mismatch),
            },
        };
    }
    match found.target_or("vacuum", VACUUM) {
        Err(Stop::Target(Unresolved::Nothing { what, place })) => {
            let all = found.entities(&[Domain::Vacuum]);
            match all.len() {
                1 if place.is_some() && (found.text("target").is_none() || found.text("place").is_some()) => {
                    Ok(Target { entities: all, ..Target::default() })
                }
                _ => Err(Stop::Target(Unresolved::Nothing { what, place })),
            }
        }
        other => other,
    }
}

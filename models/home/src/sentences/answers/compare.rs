//! Comparisons: "is it warmer in the attic than in the cellar?", "is it colder outside than inside?"

use super::measure::{Value, called, is_about_its_area, mean, place_of, preferred, preferred_by_room, unit_of, values};
use crate::domain::Domain;
use crate::sentences::intents::{Done, Found};
use crate::sentences::outcome::Stop;
use crate::sentences::state;

/// Words for places under the open sky.
pub(super) const OUTDOORS: &[&str] = &[
    "outside", "outdoor", "outdoors", "garden", "patio", "terrace", "balcony", "yard", "backyard", "driveway", "lawn",
    "porch", "street", "pool",
];

/// What is measured in the rooms, and outside: by the one sensor there, or by the weather.
fn inside_and_outside(found: &Found<'_>, measure: &str) -> Result<(Vec<Value>, Value), Stop> {
    let is_outdoors = |v: &Value| {
        let named = &found.resolver.names.entities[v.at];
        let area = named.area.map(|a| found.resolver.names.areas[a].iter().flatten()).into_iter().flatten();
        named.names.iter().flatten().chain(area).any(|word| OUTDOORS.contains(&word.as_str()))
    };
    let (out, within): (Vec<Value>, Vec<Value>) = values(found, measure).into_iter().partition(is_outdoors);
    let weather = found.entities(&[Domain::Weather]);
    let unknown = || Stop::Unsaid(format!("the {} outside", called(measure)));
    let outside = match (&out[..], &weather[..]) {
        ([one], _) => one.clone(),
        (_, [at]) => {
            let entity = found.entity(*at);
            let unit = entity.text(&format!("{measure}_unit")).unwrap_or("\u{b0}").to_owned();
            Value { at: *at, number: entity.number(measure).ok_or_else(unknown)?, unit }
        }
        _ => return Err(unknown()),
    };
    let rooms = within
        .into_iter()
        .filter(|v| found.entity(v.at).domain == Domain::Climate || is_about_its_area(found, v.at, measure))
        .collect();
    Ok((preferred_by_room(found, rooms), outside))
}

/// "Is it warmer inside or outside?": the mean of the rooms against what it is outside.
fn compare_sides(found: &Found<'_>, measure: &str) -> Done {
    let (rooms, outside) = inside_and_outside(found, measure)?;
    let inside = mean(&rooms).ok_or_else(|| Stop::Unsaid(format!("the {} inside", called(measure))))?;
    let is_inside = found.text("sides") == Some("inside");
    let (one, other) = if is_inside { (inside, outside.number) } else { (outside.number, inside) };
    let yes = if found.flag("more").unwrap_or(true) { one > other } else { one < other };
    let on_average = if rooms.len() > 1 { " on average" } else { "" };
    let values = format!(
        "it is {} inside{on_average} and {} outside",
        state::quantity(inside, unit_of(&rooms)),
        state::quantity(outside.number, &outside.unit)
    );
    let said = match (found.flag("choose") == Some(true), yes == is_inside) {
        (true, true) => "Inside:",
        (true, false) => "Outside:",
        (false, _) if yes => "Yes,",
        (false, _) => "No,",
    };
    let ids: Vec<usize> = rooms.iter().map(|v| v.at).chain([outside.at]).collect();
    found.say(&ids, format!("{said} {values}."))
}

pub(super) fn compare(found: &Found<'_>) -> Done {
    let measure = found.text("measure").ok_or(Stop::Mismatch)?;
    if found.text("sides").is_some() {
        return compare_sides(found, measure);
    }
    // What a boiler holds is no room's.
    let mut all = values(found, measure);
    all.retain(|v| found.entity(v.at).domain != Domain::WaterHeater);
    let side = |slot: &str| -> Result<(String, Value), Stop> {
        let place = place_of(found, found.text(slot).ok_or(Stop::Mismatch)?).ok_or(Stop::Mismatch)?;
        let inside = preferred(found, all.iter().filter(|v| found.resolver.is_in(v.at, &place)).cloned().collect());
        match &inside[..] {
            [one] => Ok((place.label, one.clone())),
            _ => Err(Stop::Unsaid(format!("the {} in the {}", called(measure), place.label))),
        }
    };
    let (a, va) = side("one")?;
    let (b, vb) = match found.flag("outside") {
        Some(true) => ("outside".to_owned(), inside_and_outside(found, measure)?.1),
        _ => side("two")?,
    };
    let in_the = |place: &str| if place == "outside" { place.to_owned() } else { format!("in the {place}") };
    if found.flag("difference") == Some(true) {
        let by = ((va.number - vb.number).abs() * 10.0).round() / 10.0;
        let value = |v: &Value| state::quantity(v.number, &v.unit);
        let warmer = if va.number >= vb.number { (&a, &b) } else { (&b, &a) };
        let answer = match by == 0.0 {
            true => format!("It is the same in both: {}.", value(&va)),
            false => format!(
                "The {} is {} warmer than the {}: {} and {}.",
                warmer.0,
                state::quantity(by, &va.unit),
                warmer.1,
                value(if va.number >= vb.number { &va } else { &vb }),
                value(if va.number >= vb.number { &vb } else { &va })
            ),
        };
        return found.say(&[va.at, vb.at], answer);
    }
    let more = found.flag("more").unwrap_or(true);
    let yes = if more { va.number > vb.number } else { va.number < vb.number };
    let values = format!(
        "it is {} {} and {} {}",
        state::quantity(va.number, &va.unit),
        in_the(&a),
        state::quantity(vb.number, &vb.unit),
        in_the(&b)
    );
    let answer = if found.flag("choose") == Some(true) {
        format!("In the {}: {values}.", if yes { &a } else { &b })
    } else {
        format!("{}, {values}.", if yes { "Yes" } else { "No" })
    };
    found.say(&[va.at, vb.at], answer)
}

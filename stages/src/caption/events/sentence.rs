//! The caption of an event as a whole, computed from what was followed: every number and place in it is true.

use nearfield_base::lists::joined;
use nearfield_vision::{Rect, counted_objects};

use super::{EventObject, SceneEvent};

/// An object has gone somewhere if it went this part of the picture,
const FAR: f32 = 0.15;
/// or if its height has changed by this factor.
const NEARER: f32 = 1.6;
/// More objects than this are only counted.
const MOST_TOLD: usize = 3;

/// Where an object went, from its first box to its last; empty: it stayed.
pub(super) fn direction(first: &Rect, last: &Rect) -> &'static str {
    let ((ax, ay), (bx, by)) = (first.centre(), last.centre());
    let (dx, dy) = (bx - ax, by - ay);
    let growth = last.h / first.h.max(1e-6);
    if dx.abs() >= FAR && dx.abs() >= dy.abs() {
        return if dx > 0.0 { "left to right" } else { "right to left" };
    }
    match growth {
        g if g >= NEARER => "towards the camera",
        g if g <= 1.0 / NEARER => "away from the camera",
        _ if dy >= FAR => "downwards",
        _ if dy <= -FAR => "upwards",
        _ => "",
    }
}

/// The sentence.
pub(super) fn caption(event: &SceneEvent) -> String {
    let told: Vec<String> = groups(&event.objects).iter().map(|group| group_in_words(group)).collect();
    let mut text = match told.len() {
        0 => "something that was gone at once".to_owned(),
        1..=MOST_TOLD => joined(&told),
        n => format!("{} and {} more", joined(&told[..MOST_TOLD - 1]), n - (MOST_TOLD - 1)),
    };
    let mut crossings: Vec<String> = Vec::new();
    for (line, inwards) in &event.crossed {
        let way = if *inwards { "inwards" } else { "outwards" };
        let same = event.crossed.iter().filter(|c| c.0 == *line && c.1 == *inwards).count();
        let words = if same == 1 { format!("{line} {way}") } else { format!("{line} {way} {same} times") };
        if !crossings.contains(&words) {
            crossings.push(words);
        }
    }
    if !crossings.is_empty() {
        text.push_str(&format!("; crossed {}", joined(&crossings)));
    }
    let first: String = text.remove(0).to_uppercase().collect();
    format!("{first}{text}.")
}

/// Objects of a label that did the same.
fn groups(objects: &[EventObject]) -> Vec<Vec<&EventObject>> {
    let mut groups: Vec<Vec<&EventObject>> = Vec::new();
    let zones = |o: &EventObject| o.zones.iter().map(|z| z.zone.clone()).collect::<Vec<_>>();
    for object in objects {
        let alike = |g: &&mut Vec<&EventObject>| {
            g[0].label == object.label && g[0].direction == object.direction && zones(g[0]) == zones(object)
        };
        match groups.iter_mut().find(alike) {
            Some(group) => group.push(object),
            None => groups.push(vec![object]),
        }
    }
    groups
}

fn group_in_words(group: &[&EventObject]) -> String {
    let first = group[0];
    let mut text = counted_objects(group.len(), &first.label);
    if !first.direction.is_empty() {
        let from = if first.direction.contains(" to ") { "from " } else { "" };
        text.push_str(&format!(" {from}{}", first.direction));
    }
    if let [only] = group {
        let word = if first.direction.is_empty() { "for" } else { "in" };
        text.push_str(&format!(" {word} {}", seconds(only.seconds)));
        let stays: Vec<String> = only.zones.iter().map(|z| format!("{} in {}", seconds(z.seconds), z.zone)).collect();
        if !stays.is_empty() {
            text.push_str(&format!(" ({})", joined(&stays)));
        }
        if only.stationary {
            text.push_str(", now at rest");
        }
    } else if !first.zones.is_empty() {
        let zones: Vec<String> = first.zones.iter().map(|z| z.zone.clone()).collect();
        text.push_str(&format!(" through {}", joined(&zones)));
    }
    text
}

/// A duration as people say it.
fn seconds(seconds: f64) -> String {
    match seconds.round() as u64 {
        0 => "a moment".to_owned(),
        1 => "1 second".to_owned(),
        s @ 2..=119 => format!("{s} seconds"),
        s => format!("{} minutes", (s as f64 / 60.0).round()),
    }
}

//! What stands on a list, named in a wish that no template fits: "milk can come off the list", "the gutters are finally done".

use std::collections::BTreeSet;

use serde_json::json;

use super::super::nouns::singular;
use super::super::outcome::{Reading, Step};
use super::super::vocabulary::Vocabulary;
use super::fillers::is_filler;
use crate::domain::Domain;
use crate::model::Home;
use crate::services::ServiceCall;
use crate::spoken;

/// What marks an item as done.
#[rustfmt::skip]
const DONE: &[&str] = &[
    "done", "got", "bought", "tick", "ticked", "cross", "crossed", "mark", "marked", "complete", "completed", "sorted", "handled",
];

/// What takes an item off.
#[rustfmt::skip]
const OFF: &[&str] = &[
    "scratch", "remove", "removed", "delete", "deleted", "strike", "scrap", "drop", "ditch", "erase", "skip",
];

/// What says that something still has to be done, or asks: "eggs should be bought".
#[rustfmt::skip]
const UNDONE: &[&str] = &[
    "need", "needs", "should", "must", "ought", "want", "wants", "would", "could", "will", "may", "gotta", "gonna", "still", "to", "which", "what", "how",
];

/// Words around an item that say nothing more.
const AROUND: &[&str] = &[
    "off", "list", "lists", "from", "already", "finally", "item", "task", "chore", "entry", "been", "anymore",
    "longer", "as",
];

/// The step for the one open item whose words all stand in the request.
pub(super) fn changed(words: &[&str], names: &Vocabulary, home: &Home) -> Option<Step> {
    let said: Vec<String> = words.iter().map(|w| singular(w)).collect();
    let mut found: Vec<(usize, &str, BTreeSet<usize>)> = Vec::new();
    for (index, entity) in home.entities().iter().enumerate().filter(|(_, e)| e.domain == Domain::Todo) {
        for item in entity.open_items() {
            let parts: Vec<String> = spoken::words(item)
                .iter()
                .map(|w| singular(w))
                .filter(|w| !matches!(w.as_str(), "the" | "a" | "an" | "some" | "my" | "our" | "," | "."))
                .collect();
            let at: Option<BTreeSet<usize>> =
                parts.iter().map(|part| said.iter().position(|word| word == part)).collect();
            if let Some(at) = at.filter(|at| !at.is_empty()) {
                found.push((index, item, at));
            }
        }
    }
    let most = found.iter().map(|(_, _, at)| at.len()).max()?;
    found.retain(|(_, _, at)| at.len() == most);
    let [(list, item, at)] = &found[..] else { return None };
    let of_list: BTreeSet<&String> = names.entities[*list].names.iter().flatten().collect();
    let free: Vec<&str> = (0..words.len()).filter(|i| !at.contains(i)).map(|i| words[i]).collect();
    let is_off = free.iter().any(|w| OFF.contains(w))
        || free.windows(2).any(|w| matches!(w, ["come" | "go" | "goes" | "take" | "get", "off"]));
    let is_done = free.iter().any(|w| DONE.contains(w));
    let is_known = |w: &&str| {
        DONE.contains(w) || OFF.contains(w) || AROUND.contains(w) || is_filler(w) || of_list.contains(&singular(w))
    };
    let is_undone = is_done && free.iter().any(|w| UNDONE.contains(w));
    if is_off == is_done || is_undone || !free.iter().all(is_known) {
        return None;
    }
    let entity = &home.entities()[*list];
    let (intent, service) =
        if is_off { ("RemoveItem", "todo.remove_item") } else { ("CompleteItem", "todo.update_item") };
    let mut call = ServiceCall::new(service, [&entity.id]).with("item", json!(item));
    if is_done {
        call = call.with("status", json!("completed"));
    }
    let arguments = serde_json::Map::from_iter([("item".to_owned(), json!(item))]);
    Some(Step::Act(Reading {
        intent: intent.to_owned(),
        targets: vec![entity.id.clone()],
        arguments,
        calls: vec![call],
        ..Reading::default()
    }))
}

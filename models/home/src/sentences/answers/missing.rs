//! Questions about things that a home does not have: "is the fridge open?" where there is no fridge. A language model would say yes or
//! no; the answer is that there is none.

use crate::domain::Domain;
use crate::sentences::nouns::{ANYTHING, singular};
use crate::sentences::outcome::{Reading, Step};
use crate::sentences::target::{Resolver, Want};
use crate::spoken::ordinary::is_ordinary;

/// States in which such a question ends.
#[rustfmt::skip]
const STATES: &[&str] = &[
    "on", "off", "open", "opened", "closed", "shut", "locked", "unlocked", "running", "playing", "paused", "active", "armed",
    "charging", "charged", "docked", "cleaning", "plugged", "connected", "working", "ajar", "idle", "muted", "leaking", "empty",
    "full", "done", "finished",
];
/// Words between the thing and its state.
const ADVERBS: &[&str] = &["still", "now", "already", "currently", "turned", "switched", "left", "in", "yet", "really"];
/// What is measured of a thing.
const MEASURES: &[&str] =
    &["temperature", "humidity", "battery", "brightness", "volume", "status", "state", "level", "position"];

/// The answer, where a question is about one thing, by an ordinary word for it, and nothing here is called so.
pub fn about(text: &str, resolver: &Resolver<'_>) -> Option<Step> {
    let said: Vec<&str> = text.split(' ').filter(|w| !matches!(*w, "," | ".")).collect();
    let (any, thing) = match said.as_slice() {
        ["is" | "are" | "was" | "were", "the" | "my" | "our", rest @ ..] => (false, of_state(rest)?),
        ["did" | "have", "i" | "we", "leave" | "left", "the" | "my" | "our", rest @ ..] => (false, of_state(rest)?),
        ["is" | "are", "any" | "there", rest @ ..] => (true, of_state(rest)?),
        ["how", "many", rest @ ..] => {
            let at = rest.iter().position(|w| matches!(*w, "are" | "is"))?;
            of_state(&rest[at + 1..]).or(Some(&[]))?;
            (true, &rest[..at])
        }
        ["what", "is", "the", measure, "of" | "in" | "on", "the" | "my" | "our", rest @ ..]
            if MEASURES.contains(measure) =>
        {
            (false, rest)
        }
        _ => return None,
    };
    let thing: Vec<&str> =
        thing.iter().copied().skip_while(|w| matches!(*w, "the" | "any" | "a" | "my" | "our")).collect();
    if thing.is_empty() || thing.len() > 3 {
        return None;
    }
    let head = *thing.last()?;
    // An ordinary word for a thing, and nothing of the home's is meant by it: no name or alias, no place, no kind of thing.
    let what = thing.join(" ");
    let is_thing = is_ordinary(&singular(head)) && !ANYTHING.contains(&head);
    let everything = Want { domains: Domain::ALL, or_else: &[], place_means: Domain::ALL, group: true };
    if !is_thing || resolver.place(&what) || resolver.resolve(&what, everything).is_ok() {
        return None;
    }
    let many = any || singular(head) != head;
    let answer = match many {
        true => format!("There are no {} here.", if singular(head) == head { format!("{what}s") } else { what }),
        false => format!("There is no {what} here."),
    };
    Some(Step::Say(Reading { intent: "Negative".to_owned(), ..Reading::default() }, answer))
}

/// What stands before a state at the end.
fn of_state<'a, 'b>(words: &'b [&'a str]) -> Option<&'b [&'a str]> {
    let (last, rest) = words.split_last()?;
    if !STATES.contains(last) {
        return None;
    }
    let n = rest.iter().rev().take_while(|w| ADVERBS.contains(w)).count();
    Some(&rest[..rest.len() - n])
}

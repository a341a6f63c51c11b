//! What is not to be done: "don't open the gate", "never turn the router off", "do not touch the lights, just turn off the radio",
//! "set the lamp to 40 but leave the others alone". Nothing is done for what was forbidden, and the answer says so.

use super::outcome::{Outcome, Reading, Step};
use super::remarks::{binds, is_remark};
use super::{Heard, Matcher, Setting, Turn, vocabulary};
use crate::domain::Domain;
use crate::model::Home;
use crate::services::ServiceCall;
use crate::spoken;
use crate::spoken::verbs::is_wishing;

/// How a wish begins that something be left.
const FORBIDS: &[&str] =
    &["do not", "never", "never ever", "not", "you must not", "you should not", "i do not want you to", "by no means"];

/// What is left alone, behind a wish.
const LEAVES: &[&str] = &[
    " but leave ",
    " and leave ",
    " but do not ",
    " and do not ",
    " , do not ",
    " , leave ",
    " but not ",
    " without ",
];

/// Verbs that are no part of the home's: a thing is left as it is.
const LEAVING: &[&str] = &["touch", "change", "leave", "use", "let", "move", "activate", "interrupt", "disturb"];

impl Matcher {
    /// A request that something be left, with or without a wish besides; `None` where it is none.
    pub(super) fn forbidden(&self, text: &str, names: &Turn<'_>, setting: &Setting<'_>) -> Option<Outcome> {
        if let Some(rest) = forbids(text) {
            let (first, wish) = split(rest);
            if let Some(wish) = wish {
                let heard = self.heard(&wish, names, setting);
                return does(&heard).then_some(heard.outcome);
            }
            let first = first.trim_end_matches([' ', ',']);
            let about = first.split_once(' ').is_some_and(|(verb, _)| LEAVING.contains(&verb));
            let heard = self.heard(first, names, setting);
            let understood = !matches!(heard.outcome, Outcome::Pass(_)) && !is_text(&heard);
            let known = about && first.split(' ').skip(1).any(|word| names.knows(&super::vocabulary::stem(word)));
            return (understood || known).then(left);
        }
        // "Turn on the fan but leave the lights alone."
        let (wish, rest) = LEAVES.iter().filter_map(|mark| text.split_once(mark)).min_by_key(|(wish, _)| wish.len())?;
        let is_left = rest.ends_with(" alone")
            || rest.ends_with(" as it is")
            || rest.ends_with(" as they are")
            || rest.split(' ').next().is_some_and(|verb| LEAVING.contains(&verb));
        let wish = wish.trim_end_matches([' ', ',']);
        if !is_left || !wish.split(' ').next().is_some_and(is_wishing) {
            return None;
        }
        let heard = self.heard(wish, names, setting);
        does(&heard).then_some(heard.outcome)
    }
}

/// What stands behind a negation at the beginning.
fn forbids(text: &str) -> Option<&str> {
    let mark = FORBIDS
        .iter()
        .filter(|mark| text.strip_prefix(**mark).is_some_and(|rest| rest.starts_with(' ')))
        .max_by_key(|mark| mark.len())?;
    let rest = text[mark.len()..].trim_start();
    let first = rest.split(' ').next()?;
    (is_wishing(first) && !matches!(first, "forget" | "remind" | "remember" | "tell" | "shuffle")
        || LEAVING.contains(&first))
    .then_some(rest)
}

/// What is forbidden, and the wish behind it: ", just turn off the radio".
fn split(rest: &str) -> (&str, Option<String>) {
    for mark in
        [" , just ", " , only ", " , but ", " , instead ", " just ", " only ", " , rather ", " but ", " instead "]
    {
        if let Some((first, wish)) = rest.split_once(mark)
            && let wish = spoken::normalise(wish.trim_start_matches("only ").trim_start_matches("just "))
            && wish.split(' ').next().is_some_and(is_wishing)
        {
            return (first, Some(wish));
        }
    }
    (rest, None)
}

fn does(heard: &Heard) -> bool {
    matches!(&heard.outcome, Outcome::Do(steps) if !heard.negative && !heard.weak && steps.iter().all(|step| matches!(step, Step::Act(_))))
}

/// Whether it is about notes, lists or timers, where a negation is text.
fn is_text(heard: &Heard) -> bool {
    matches!(&heard.outcome, Outcome::Do(steps) if steps.iter().any(|step| matches!(step, Step::Request(_))
        || matches!(step, Step::Act(reading) if matches!(reading.intent.as_str(), "AddItem" | "AddEvent"))))
}

/// "Do not disturb", where a switch of the home is called so: it is switched on, and nothing is forbidden. What stands before it may
/// say why, and nothing else: a condition or another wish is for others to hear.
pub(super) fn named_like_one(text: &str, names: &Turn<'_>, home: &Home) -> Option<Step> {
    let mut clauses: Vec<&str> = text.split([',', '.']).map(str::trim).filter(|clause| !clause.is_empty()).collect();
    let said = clauses.pop()?;
    let is_told = |clause: &str| {
        let words: Vec<&str> = clause.split(' ').collect();
        is_remark(&words) && !binds(&words)
    };
    if !clauses.into_iter().all(is_told) || !(said.starts_with("do not ") || said.starts_with("never ")) {
        return None;
    }
    let switches = [Domain::InputBoolean, Domain::Switch];
    let own = names.named(&vocabulary::stems(said));
    let [at] = own[..] else { return None };
    let entity = &home.entities()[at];
    switches.contains(&entity.domain).then(|| {
        let call = ServiceCall::new(format!("{}.turn_on", entity.domain), [&entity.id]);
        Step::Act(Reading {
            intent: "TurnOn".to_owned(),
            targets: vec![entity.id.clone()],
            calls: vec![call],
            ..Reading::default()
        })
    })
}

fn left() -> Outcome {
    let reading = Reading { intent: "Negative".to_owned(), ..Reading::default() };
    Outcome::Do(vec![Step::Say(reading, "All right, I leave it as it is.".to_owned())])
}

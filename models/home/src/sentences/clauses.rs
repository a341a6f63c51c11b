//! A request of several clauses: two wishes in one sentence, a wish with its reason ("it is late, turn off the TV"), a place that
//! stands before the wish, a particle in the middle ("lights off in the hall and the study").

use super::later::Due;
use super::outcome::{Outcome, Reading, Request, Step};
use super::remarks::{FINITE, NO_REMARK, place_in, things_in};
use super::vocabulary::{self, Vocabulary, stem};
use super::{Heard, Matcher, Setting, Turn, targets};
use crate::domain::Domain;
use crate::spoken;
use crate::spoken::verbs::is_wishing;

/// Whether a word begins a wish or a question, and no remark.
pub(super) fn is_command(word: &str) -> bool {
    is_wishing(word) && !NO_COMMANDS.contains(&word)
        || matches!(word, "does" | "did" | "is" | "are" | "am" | "was" | "has" | "have")
}

/// Verbs that are nouns as often.
const NO_COMMANDS: &[&str] = &["time", "light", "fire", "end", "water", "heat", "clean", "count"];

/// Whether items are put on a list, between which commas stand for "and".
fn is_of_list(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Do(steps) if matches!(&steps[..], [Step::Act(reading)] if reading.intent == "AddItem"))
}

/// Whether what stands behind the name of a list and a colon is to be put on it, and is no question ("what's on it"), prohibition
/// ("don't add butter") or wish ("read it").
fn is_item(item: &str) -> bool {
    #[rustfmt::skip]
    const NO_ITEMS: &[&str] = &[
        "what", "which", "who", "where", "when", "why", "how", "is", "are", "does", "did", "has", "have", "can", "could", "any", "if",
        "anything", "never", "not", "no", "nothing", "without", "read", "show", "tell", "list", "clear", "count", "tick", "mark",
        "cross", "forget", "ignore", "undo", "say", "scratch", "drop", "leave", "keep", "stop", "cancel",
    ];
    let words: Vec<&str> = item.split(' ').filter(|w| !w.is_empty()).collect();
    let Some(first) = words.first() else { return false };
    !spoken::verbs::is_acting(first)
        && !NO_ITEMS.contains(first)
        && !words.starts_with(&["do", "not"])
        && !words.iter().any(|w| matches!(*w, "it" | "them" | "list" | "everything" | "anything"))
}

impl Matcher {
    /// "Costco: half a kilo of butter": what a list is to get.
    pub(super) fn listed_after_colon(&self, request: &str, names: &Turn<'_>, setting: &Setting<'_>) -> Option<Outcome> {
        let (list, item) = request.split_once(": ")?;
        let stems = vocabulary::stems(&spoken::normalise(list));
        let is_list = |i: &usize| setting.home.entities()[*i].domain == Domain::Todo;
        let short = stems.strip_suffix(&["list".to_owned()]).unwrap_or(&stems);
        let named: Vec<usize> =
            [&stems[..], short].iter().flat_map(|s| names.named(s)).copied().filter(is_list).collect();
        let first = named.first()?;
        let item = spoken::normalise(item);
        if !named.iter().all(|i| i == first) || request.trim_end().ends_with('?') || !is_item(&item) {
            return None;
        }
        let list = spoken::normalise(&setting.home.entities()[*first].name);
        let heard = self.one(&format!("add {item} to {list}"), names, setting);
        matches!(heard.outcome, Outcome::Do(_)).then_some(heard.outcome)
    }

    /// The request as one wish, else as several clauses.
    pub(super) fn heard(&self, text: &str, names: &Turn<'_>, setting: &Setting<'_>) -> Heard {
        let plain = text.replace(" , ", " ").replace(" . ", " ");
        let whole = self.one(&plain, names, setting);
        let is_pass = matches!(whole.outcome, Outcome::Pass(_));
        let is_doubtful = whole.negative || whole.weak && plain.len() < text.len();
        let is_settled = !is_pass && !is_doubtful;
        if is_settled && (!is_of_list(&whole.outcome) || !text.contains(" , ")) {
            return whole;
        }
        if text.contains(" , ") {
            let listed =
                self.one(&text.replace(" , and ", " and ").replace(" , ", " and ").replace(" . ", " "), names, setting);
            if !matches!(listed.outcome, Outcome::Pass(_)) && !listed.weak && !listed.negative {
                return listed;
            }
        }
        if is_settled {
            return whole;
        }
        let several = self.several(text, names, setting);
        let other = several
            .or_else(|| self.meant(text, names, setting))
            .or_else(|| self.with_remarks(text, names, setting))
            .or_else(|| self.turned(&plain, names, setting));
        other.unwrap_or(whole)
    }

    /// Two wishes or more, joined by "and", "then" or a comma. One that is only implied is the reason for the other.
    fn several(&self, text: &str, names: &Turn<'_>, setting: &Setting<'_>) -> Option<Heard> {
        let said: Vec<&str> = text.split(' ').collect();
        for at in 1..said.len() {
            if !matches!(said[at], "and" | "then" | "," | "." | "but" | "so") {
                continue;
            }
            // "All but the kitchen one" is one wish.
            if said[at] == "but" && !said.get(at + 1).is_some_and(|w| is_command(w)) {
                continue;
            }
            let skip = said[at..]
                .iter()
                .take_while(|w| matches!(**w, "and" | "then" | "," | "." | "also" | "but" | "please" | "so"))
                .count();
            let (left, right) = (said[..at].join(" "), spoken::normalise(&said[at + skip..].join(" ")));
            let plain = left.replace(" , ", " ").replace(" . ", " ");
            let mut left = self.one(&plain, names, setting);
            // "The fan off and the lamp on in the study": the place is both's.
            if (!matches!(left.outcome, Outcome::Do(_)) || left.negative)
                && let Some(place) = place_behind(&said[at..], names)
            {
                left = self.one(&format!("{plain} {place}"), names, setting);
            }
            let Outcome::Do(mut steps) = left.outcome else { continue };
            if left.negative {
                continue;
            }
            // "it" in the second wish is what the first was about.
            let last: Vec<String> = steps.iter().flat_map(targets).collect();
            let later = Setting { last: if last.is_empty() { setting.last } else { &last }, ..setting.clone() };
            let mut right_heard = self.heard(&right, names, &later);
            // "Turn on the desk lamp and lower the blinds there": where the first is.
            if !matches!(right_heard.outcome, Outcome::Do(_))
                && let Some(there) = there(&right)
                && let Some(place) = place_in(&said[..at], names).map(str::to_owned).or_else(|| area_of(&last, setting))
            {
                right_heard = self.heard(&there.replace("\u{1}", &format!("in the {place}")), names, &later);
            }
            // "It is hot in the study, turn down the heater": the place of the one is the other's.
            if left.weak
                && !matches!(right_heard.outcome, Outcome::Do(_))
                && let Some(place) = place_in(&said[..at], names)
            {
                right_heard = self.heard(&spoken::normalise(&format!("{right} in the {place}")), names, &later);
            }
            // "Set the lamp to 70 and the strip to 30", "lamp off and the fan too": the verb, or the particle, is the first's.
            let said_right: Vec<&str> = right.split(' ').collect();
            if !matches!(right_heard.outcome, Outcome::Do(_))
                && steps.iter().all(|step| matches!(step, Step::Act(_)))
                && !said_right.iter().any(|w| is_command(w))
            {
                let particle = said[..at].iter().rev().find(|w| matches!(**w, "on" | "off" | "up" | "down"));
                let verb = said[0];
                let borrowed = is_command(verb);
                let texts = [
                    borrowed.then(|| format!("{verb} {right}")),
                    particle.map(|particle| format!("turn {particle} {right}")),
                ];
                let heard = texts.into_iter().flatten().map(|text| self.one(&text, names, &later));
                let acts = |heard: &Heard| matches!(&heard.outcome, Outcome::Do(steps) if steps.iter().all(|step| matches!(step, Step::Act(_))));
                // The same is meant of both: "set the heating to 19 and the study to 16" sets no lamp.
                let intents = |steps: &[Step]| steps.last().map(super::intent);
                let alike =
                    |heard: &Heard| matches!(&heard.outcome, Outcome::Do(more) if intents(more) == intents(&steps));
                if let Some(heard) = heard.filter(acts).find(|heard| !heard.negative && alike(heard)) {
                    right_heard = heard;
                }
            }
            // "More wind from the fan, add thirty", "the radio is too quiet, another 20 percent": how far the first goes.
            if !matches!(right_heard.outcome, Outcome::Do(_))
                && let Some(by) = amount_of(&right)
                && let Some(up) = direction(&steps)
                && let [one] = &last[..]
                && let Some(entity) = setting.home.entity(one)
            {
                let particle = if up { "up" } else { "down" };
                let text = format!("turn {} {particle} by {by}", spoken::normalise(&entity.name));
                let heard = self.one(&text, names, setting);
                return matches!(heard.outcome, Outcome::Do(_)).then_some(heard);
            }
            let wish = right;
            let right = right_heard;
            let Outcome::Do(more) = right.outcome else { continue };
            // "Wake me at 7 and turn on the coffee machine": then, and not now.
            if matches!(said[0], "wake" | "remind" | "alert")
                && let Some(due) = due_of(&steps)
                && let Some(readings) = acted(&more)
            {
                steps.push(Step::Request(Request::Later { due, wish, readings }));
                return Some(Outcome::Do(steps).into());
            }
            let does = |steps: &[Step]| steps.iter().any(|step| matches!(step, Step::Act(_)));
            let steps = match (left.weak, right.weak) {
                (true, false) if does(&more) => more,
                (false, true) if does(&steps) => steps,
                _ => {
                    // "It need not run, switch it off" is one wish.
                    let new: Vec<Step> =
                        more.into_iter().filter(|m| !steps.iter().any(|s| super::same(s, m))).collect();
                    steps.extend(new);
                    steps
                }
            };
            return Some(Heard { outcome: Outcome::Do(steps), weak: left.weak && right.weak, negative: false });
        }
        None
    }

    /// A slip and what was meant: "in the loo, I mean the bathroom", "the hall light, no, the study light"; or what a pronoun stands
    /// for, named behind: "turn it down a bit, the music".
    fn meant(&self, text: &str, names: &Turn<'_>, setting: &Setting<'_>) -> Option<Heard> {
        let understood = |text: String| {
            let heard = self.heard(&text, names, setting);
            (!matches!(heard.outcome, Outcome::Pass(_))).then_some(heard)
        };
        for mark in [", no , i mean ", ", no wait , ", ", i mean ", ", no , ", ", sorry , ", ", or rather ", "i mean "]
        {
            let Some((slip, rest)) = text.split_once(&format!(" {mark}")) else { continue };
            let end = rest.find([',', '.']).unwrap_or(rest.len());
            let (meant, more) = (rest[..end].trim(), rest[end..].trim_start_matches([',', '.', ' ']));
            // The slip begins where what was meant begins: at an article or a preposition.
            let first = meant.split(' ').next().unwrap_or_default();
            let from = match first {
                "the" | "my" | "in" | "to" | "our" => slip.rfind(&format!(" {first} ")).map(|at| at + 1),
                // "Turn it green, I mean turquoise"
                _ if meant.split(' ').count() <= 2 => {
                    let words: Vec<&str> = slip.split(' ').collect();
                    return (1..words.len().min(3))
                        .find_map(|n| understood(format!("{} {meant}", words[..words.len() - n].join(" "))));
                }
                _ => None,
            };
            let Some(from) = from else { continue };
            let joined = if more.is_empty() { String::new() } else { format!(" , {more}") };
            return understood(format!("{}{meant}{joined}", &slip[..from]));
        }
        // "The gate, lock it"
        if let Some((named, wish)) = text.split_once(" , ").or_else(|| text.split_once(" . ")) {
            let words: Vec<&str> = named.split(' ').collect();
            if words.len() <= 5
                && !is_command(words[0])
                && wish.split(' ').any(|w| matches!(w, "it" | "them" | "that"))
                && !words.iter().any(|w| FINITE.contains(w))
                && let Some(about) = things_in(&words, names, setting)
            {
                let heard = self.one(wish, names, &Setting { last: &about, ..setting.clone() });
                if matches!(heard.outcome, Outcome::Do(_)) && !heard.negative {
                    return Some(heard);
                }
            }
        }
        let (wish, named) = text.rsplit_once(" . ").or_else(|| text.rsplit_once(" , "))?;
        let is_name = |w: &str| !is_command(w) && !FINITE.contains(&w) && !NO_REMARK.contains(&w);
        let padded = format!(" {wish} ");
        let short = named.split(' ').count() <= 4 && named.split(' ').all(is_name);
        for pronoun in [" it ", " that ", " them "] {
            if short && padded.matches(pronoun).count() == 1 {
                return understood(padded.replacen(pronoun, &format!(" {named} "), 1).trim().to_owned());
            }
        }
        None
    }

    /// The same words in the order that templates have: the place behind the wish, the particle behind the verb.
    fn turned(&self, text: &str, names: &Turn<'_>, setting: &Setting<'_>) -> Option<Heard> {
        let understood = |text: String| {
            let heard = self.one(&text, names, setting);
            (!matches!(heard.outcome, Outcome::Pass(_))).then_some(heard)
        };
        let said: Vec<&str> = text.split(' ').collect();
        if matches!(said[0], "in" | "on" | "at" | "for") {
            let the = usize::from(matches!(said.get(1), Some(&("the" | "my" | "our"))));
            let stems: Vec<String> = said[1 + the..].iter().map(|w| stem(w)).collect();
            if let Some((_, n)) = names.place_at(&stems) {
                let (place, wish) = said.split_at((1 + the + n).min(said.len()));
                if !wish.is_empty()
                    && let Some(heard) = understood(format!("{} {}", wish.join(" "), place.join(" ")))
                {
                    return Some(heard);
                }
            }
        }
        // "All lights off except the hall", "lights on in the hall and the study"
        let at = said.iter().position(|w| matches!(*w, "on" | "off" | "out"))?;
        let is_of_lights =
            said[..at].iter().any(|w| matches!(*w, "light" | "lights" | "lamps" | "lamp" | "everything"));
        if said[at] == "out" && !is_of_lights {
            return None;
        }
        let particle = if said[at] == "out" { "off" } else { said[at] };
        let follows = |w: &&str| {
            matches!(
                *w,
                "in" | "at"
                    | "upstairs"
                    | "downstairs"
                    | "except"
                    | "but"
                    | "apart"
                    | "everywhere"
                    | "outside"
                    | "excluding"
                    | "on"
            )
        };
        // "Turn everything off on the first floor but the fan"
        if matches!(said[0], "turn" | "switch" | "shut") && at > 1 && said.get(at + 1).is_some_and(follows) {
            return understood(format!("turn {particle} {} {}", said[1..at].join(" "), said[at + 1..].join(" ")));
        }
        if matches!(said[0], "any" | "some" | "each" | "every" | "which" | "what" | "how" | "are" | "is") {
            return None;
        }
        if at == 0 || !said.get(at + 1).is_some_and(follows) || is_command(said[0]) {
            return None;
        }
        understood(format!("turn {particle} {} {}", said[..at].join(" "), said[at + 1..].join(" ")))
    }
}

/// When the one alarm or timer that steps set is due.
fn due_of(steps: &[Step]) -> Option<Due> {
    match steps {
        [Step::Request(Request::Alarm { at, .. })] => Some(Due::At(*at)),
        [Step::Request(Request::StartTimers { durations, .. })] => match durations[..] {
            [time] => Some(Due::After(time)),
            _ => None,
        },
        _ => None,
    }
}

/// The readings of steps that all change something.
fn acted(steps: &[Step]) -> Option<Vec<Reading>> {
    let readings = steps.iter().map(|step| match step {
        Step::Act(reading) => Some(reading.clone()),
        Step::Say(..) | Step::Request(_) => None,
    });
    readings.collect()
}

/// The amount of a clause that is nothing else: "add thirty", "another 20 percent", "by two degrees".
fn amount_of(clause: &str) -> Option<&str> {
    let amount = ["add another ", "add ", "another ", "by another ", "by ", "take off ", "make it ", "say "]
        .iter()
        .find_map(|begin| clause.strip_prefix(begin))?;
    let words: Vec<&str> = amount.split(' ').collect();
    let n = spoken::percent(&words, true).map(|(_, n)| n).or_else(|| spoken::temperature(&words).map(|(_, _, n)| n))?;
    (n == words.len()).then_some(amount)
}

/// Whether the one step makes something more, or less.
fn direction(steps: &[Step]) -> Option<bool> {
    let [Step::Act(reading)] = steps else { return None };
    let service = reading.calls.first()?.service.as_str();
    match service {
        "media_player.volume_up" | "fan.increase_speed" => Some(true),
        "media_player.volume_down" | "fan.decrease_speed" => Some(false),
        _ => reading.arguments.get("up").and_then(serde_json::Value::as_bool),
    }
}

/// A wish with a mark in the place of "there".
fn there(wish: &str) -> Option<String> {
    let padded = format!(" {wish} ");
    let mark = ["in there", "over there", "there"].iter().find(|mark| padded.contains(&format!(" {mark} ")))?;
    let marked = padded.replacen(&format!(" {mark} "), " \u{1} ", 1);
    Some(marked.trim().to_owned())
}

/// The name of the one area that things are in.
fn area_of(ids: &[String], setting: &Setting<'_>) -> Option<String> {
    let mut areas = ids.iter().map(|id| setting.home.entity(id)?.area.as_deref());
    let first = areas.next()??;
    if !areas.all(|area| area == Some(first)) {
        return None;
    }
    setting.home.areas().iter().find(|area| area.id == first).map(|area| area.name.to_lowercase())
}

/// The place at the end of a clause, with its preposition.
fn place_behind(clause: &[&str], names: &Vocabulary) -> Option<String> {
    let at = clause.iter().rposition(|w| matches!(*w, "in" | "on" | "at"))?;
    let the = usize::from(matches!(clause.get(at + 1), Some(&("the" | "my" | "our"))));
    let stems: Vec<String> = clause[at + 1 + the..].iter().map(|w| stem(w)).collect();
    names.place_at(&stems).filter(|(_, n)| *n == stems.len()).map(|_| clause[at..].join(" "))
}

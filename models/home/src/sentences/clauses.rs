//! A request of several clauses: two wishes in one sentence, a wish with its reason ("it is late, turn off the TV"), a place that
//! stands before the wish, a particle in the middle ("lights off in the hall and the study").

use std::cell::RefCell;

use super::idioms;
use super::outcome::{Outcome, Step};
use super::target::{Resolver, Want};
use super::vocabulary::{Vocabulary, stem};
use super::{Heard, Matcher, Setting, Turn, targets};
use crate::domain::Domain;
use crate::spoken;
use crate::spoken::verbs::is_wishing;

/// Words that make a clause more than a remark: a condition, a time, a wish, a negation.
const NO_REMARK: &[&str] = &[
    "mean", "if", "when", "whenever", "unless", "until", "till", "while", "after", "before", "later", "tomorrow",
    "tonight", "not", "never", "except", "instead", "but", "or", "than", "every", "what", "who", "why", "how", "where",
    "which", "once", "then", "only", "as", "soon", "wait", "stop", "no", "say", "says", "said", "tell", "ask", "asked",
    "told", "pretend", "imagine", "suppose", "joke", "kidding", "please",
];

/// Verbs that a remark can have.
const FINITE: &[&str] = &[
    "is", "are", "am", "was", "were", "has", "have", "had", "stinks", "smells", "feels", "looks", "fell", "went",
    "left", "got", "took", "bought", "finished", "came", "comes", "hurts", "goes", "sounds", "woke", "arrived",
    "started", "broke", "keeps", "will", "needs", "need", "found", "want", "wants", "fancy", "fancies", "forgot",
    "knows", "likes", "can", "could", "should", "must", "may", "might", "would", "does", "loves", "like", "love", "hate", "hates",
    "feel", "feels", "hear", "think", "keep", "sleep", "sleeps", "reads", "works", "says", "makes", "drives", "cries", "rang",
    "rings", "came", "ate", "just", "always", "leaves", "wakes", "shines", "blows", "hurt",
];

/// What is said of someone or something behind a shortened "is": "Beth's downstairs", "the washing's done".
const PREDICATES: &[&str] = &[
    "done",
    "here",
    "there",
    "upstairs",
    "downstairs",
    "home",
    "late",
    "early",
    "empty",
    "ready",
    "over",
    "finished",
    "gone",
    "sleeping",
    "asleep",
    "awake",
    "cold",
    "hot",
    "warm",
    "tired",
    "hungry",
    "away",
    "back",
    "out",
    "in",
    "outside",
    "inside",
    "coming",
    "leaving",
    "arriving",
    "broken",
    "dirty",
    "wet",
    "dry",
    "full",
    "bored",
    "sick",
    "ill",
    "up",
    "bright",
    "dark",
];

/// Whether a word begins a wish or a question, and no remark.
fn is_command(word: &str) -> bool {
    is_wishing(word) && !NO_COMMANDS.contains(&word)
        || matches!(word, "does" | "did" | "is" | "are" | "am" | "was" | "has" | "have")
}

/// Verbs that are nouns as often.
const NO_COMMANDS: &[&str] = &["time", "light", "fire", "end", "water", "heat", "clean", "count"];

/// Whether items are put on a list, between which commas stand for "and".
fn is_of_list(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Do(steps) if matches!(&steps[..], [Step::Act(reading)] if reading.intent == "AddItem"))
}

impl Matcher {
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
            let right = right_heard;
            let Outcome::Do(more) = right.outcome else { continue };
            let does = |steps: &[Step]| steps.iter().any(|step| matches!(step, Step::Act(_)));
            let steps = match (left.weak, right.weak) {
                (true, false) if does(&more) => more,
                (false, true) if does(&steps) => steps,
                _ => {
                    steps.extend(more);
                    steps
                }
            };
            return Some(Heard { outcome: Outcome::Do(steps), weak: left.weak && right.weak, negative: false });
        }
        None
    }

    /// One wish, and remarks around it that say why: "the washing is done, switch the washing machine off".
    fn with_remarks(&self, text: &str, names: &Turn<'_>, setting: &Setting<'_>) -> Option<Heard> {
        let said: Vec<&str> = text.split(' ').collect();
        let text_of_remark = and_remarks(&said);
        let said = &text_of_remark[..];
        let clauses: Vec<&[&str]> = said.split(|w| matches!(*w, "," | "." | "so")).filter(|c| !c.is_empty()).collect();
        if !(2..=4).contains(&clauses.len()) {
            return None;
        }
        let (remarks, wishes): (Vec<&[&str]>, Vec<&[&str]>) = clauses.iter().partition(|clause| {
            is_remark(clause) && enough(&clause.join(" ")).is_none() && {
                let heard = self.one(&spoken::normalise(&clause.join(" ")), names, setting);
                !matches!(heard.outcome, Outcome::Do(_)) || heard.weak
            }
        });
        if remarks.is_empty() {
            return None;
        }
        // "I just walked in and the hall is dark": one of the remarks implies a wish.
        if wishes.is_empty() {
            let mut implied = remarks.iter().filter_map(|remark| {
                let said = spoken::normalise(&remark.join(" "));
                let text = idioms::reworded(&said).unwrap_or(said);
                let heard = self.one(&text, names, setting);
                let there = remarks.iter().find_map(|remark| place_in(remark, names));
                match (&heard.outcome, there) {
                    (Outcome::Do(_), _) if heard.weak => Some(heard),
                    (Outcome::Pass(_), Some(place)) => {
                        let heard = self.one(&format!("{text} in the {place}"), names, setting);
                        (heard.weak && matches!(heard.outcome, Outcome::Do(_))).then_some(heard)
                    }
                    _ => None,
                }
            });
            let first = implied.next()?;
            return implied.next().is_none().then_some(first);
        }
        let mut wish = spoken::normalise(&wishes.iter().map(|w| w.join(" ")).collect::<Vec<_>>().join(" , "));
        // "The bedside lamp is at 20, five would be plenty"
        if let Some(amount) = enough(&wish) {
            wish = format!("set it to {amount}");
        }
        // "Jürg wants to read, his lamp to 100": the lamp of him who was named, or nobody's.
        if let Some(owned) = self.owned(&wish, &remarks, names, setting) {
            return owned;
        }
        // "My mother is at the entrance, let her in"
        if wish.starts_with("let ")
            && wish.split(' ').any(|w| matches!(w, "in" | "out" | "through" | "inside"))
            && !names.has_place_in(&wish)
            && let Some(place) = remarks.iter().find_map(|remark| place_in(remark, names))
        {
            let there = self.heard(&format!("{wish} at the {place}"), names, setting);
            if matches!(there.outcome, Outcome::Do(_)) && !there.negative {
                return Some(there);
            }
        }
        // "The lorry is at the gate, let it through"
        if wish.starts_with("let ")
            && let Some(things) = remarks.iter().find_map(|remark| things_in(remark, names, setting))
            && let [one] = &things[..]
            && let Some(entity) = setting.home.entity(one)
        {
            let there = self.one(&format!("{wish} the {}", spoken::normalise(&entity.name)), names, setting);
            if matches!(there.outcome, Outcome::Do(_)) && !there.negative {
                return Some(there);
            }
        }
        // "In there" is the place that a remark named.
        for there in [" in there", " there"] {
            if wish.ends_with(there)
                && let Some(place) = remarks.iter().find_map(|remark| place_in(remark, names))
            {
                wish = spoken::normalise(&format!("{} in the {place}", wish.trim_end_matches(there)));
                break;
            }
        }
        // "I'm in the workshop, lights": the asker says where.
        let asker = |remark: &&&[&str]| {
            matches!(
                remark,
                ["i" | "we", "am" | "are" | "will", ..]
                    | ["he" | "she" | "they" | "nobody" | "somebody" | "someone" | "everybody" | "everyone", "is" | "are", ..]
            )
        };
        if let Some(place) = remarks.iter().find(asker).and_then(|remark| place_in(remark, names)) {
            let there = self.heard(&spoken::normalise(&format!("{wish} in the {place}")), names, setting);
            let acts =
                matches!(&there.outcome, Outcome::Do(steps) if steps.iter().all(|step| matches!(step, Step::Act(_))));
            if acts && !there.negative {
                return Some(there);
            }
        }
        // "The lamp is too bright, bring it down": what the remark is about.
        let leans = wish.split(' ').any(|w| matches!(w, "it" | "them" | "that" | "him" | "her" | "one"));
        let about = remarks.iter().filter(|_| leans).find_map(|remark| things_in(remark, names, setting));
        let about: Vec<String> = about.unwrap_or_default();
        let last = if about.is_empty() { setting.last } else { &about };
        let heard = self.heard(&wish, names, &Setting { last, ..setting.clone() });
        let acts =
            matches!(&heard.outcome, Outcome::Do(steps) if steps.iter().all(|step| matches!(step, Step::Act(_))));
        // "The tractor has to get into the barn, open the door", "the trough is overflowing, stop the water": of several things the
        // one that the remark names, or the place that it names.
        if let Outcome::Ask { choices, wording, .. } = &heard.outcome {
            return self.told_apart(&remarks, choices, wording, names, setting).or(Some(heard.clone()));
        }
        if !acts && let Some(place) = remarks.iter().find_map(|remark| place_in(remark, names)) {
            let there = self.heard(&spoken::normalise(&format!("{wish} in the {place}")), names, setting);
            let acts =
                matches!(&there.outcome, Outcome::Do(steps) if steps.iter().all(|step| matches!(step, Step::Act(_))));
            return (acts && !there.weak && !there.negative).then_some(there);
        }
        (acts && !heard.weak).then_some(heard)
    }

    /// Of several things that a wish can mean, the one that a remark beside it names, by a word of its name or of its room.
    fn told_apart(
        &self,
        remarks: &[&[&str]],
        choices: &[String],
        wording: &super::Wording,
        names: &Turn<'_>,
        setting: &Setting<'_>,
    ) -> Option<Heard> {
        let said: Vec<String> = remarks.iter().flat_map(|remark| remark.iter()).map(|w| stem(w)).collect();
        let score = |id: &String| {
            let at = setting.home.entities().iter().position(|entity| entity.id == *id)?;
            let named = &names.entities[at];
            let area = named.area.map(|area| names.areas[area].iter().flatten()).into_iter().flatten();
            let own: Vec<&String> = named.names.iter().flatten().chain(area).collect();
            let is_kind = |word: &String| super::nouns::noun_at(&[word.as_str()]).is_some();
            Some(said.iter().filter(|word| word.len() > 2 && !is_kind(word) && own.contains(word)).count())
        };
        let scored: Vec<(usize, &String)> = choices.iter().filter_map(|id| Some((score(id)?, id))).collect();
        let most = scored.iter().map(|(score, _)| *score).max().filter(|most| *most > 0)?;
        let mut best = scored.iter().filter(|(score, _)| *score == most);
        let (Some((_, id)), None) = (best.next(), best.next()) else { return None };
        let name = spoken::normalise(&setting.home.entity(id)?.name);
        let asked = super::Reading {
            intent: super::ASKED.to_owned(),
            targets: choices.to_vec(),
            wording: wording.clone(),
            ..super::Reading::default()
        };
        let chosen = self.followed(&name, names, &Setting { before: Some(&asked), ..setting.clone() })?;
        matches!(chosen.heard.outcome, Outcome::Do(_)).then_some(chosen.heard)
    }

    /// A wish for "his lamp" or "her blind" beside a remark that names someone: what is called after them, or is in their room.
    /// `None` where nobody is named; a pass where somebody is and nothing is theirs, since it is then not just any lamp.
    fn owned(
        &self,
        wish: &str,
        remarks: &[&[&str]],
        names: &Turn<'_>,
        setting: &Setting<'_>,
    ) -> Option<Option<Heard>> {
        let words: Vec<&str> = wish.split(' ').collect();
        let at = words.iter().position(|w| matches!(*w, "his" | "her" | "their" | "its"))?;
        words.get(at + 1)?;
        let is_kind = |word: &str| super::nouns::noun_at(&[word]).is_some() || names.place_at(&[stem(word)]).is_some();
        let own = |word: &&&str| {
            let stem = stem(word);
            let of_area = !names.areas_with(&stem).is_empty();
            (of_area || names.in_a_name(&stem)) && !is_kind(word) && word.len() > 2
        };
        let owner = remarks.iter().flat_map(|remark| remark.iter()).find(own)?;
        let mut said = words.clone();
        said[at] = owner;
        let heard = self.one(&said.join(" "), names, setting);
        let is_theirs = |id: &String| {
            let stem = stem(owner);
            let at = setting.home.entities().iter().position(|e| e.id == *id);
            at.is_some_and(|at| {
                let named = &names.entities[at];
                named.names.iter().flatten().any(|w| *w == stem)
                    || named.area.is_some_and(|area| names.areas[area].iter().flatten().any(|w| *w == stem))
            })
        };
        Some(match &heard.outcome {
            Outcome::Do(steps) if !heard.negative && steps.iter().flat_map(targets).all(|id| is_theirs(&id)) => {
                Some(heard)
            }
            _ => Some(Outcome::Pass(super::Pass::NoTemplate).into()),
        })
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
        let is_of_lights = said[..at].iter().any(|w| matches!(*w, "light" | "lights" | "lamps" | "lamp" | "everything"));
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

/// Whether a clause only tells something: "it is late", "the washing is done", "bedtime".
fn is_remark(clause: &[&str]) -> bool {
    let unneeded = clause.ends_with(&["not", "needed"])
        || clause.ends_with(&["not", "necessary"])
        || clause.windows(3).any(|w| {
            w[0] == "can"
                && w[1] == "not"
                && matches!(w[2], "see" | "hear" | "sleep" | "stand" | "work" | "read" | "find")
        });
    // "The thermostat need not run tonight", "it is not bright enough": what is told, and no condition, time or prohibition.
    // "You can switch the light off" is a wish.
    if matches!(clause, ["you", "can" | "could" | "may" | "might" | "should" | "must", ..]) {
        return false;
    }
    let told = clause.iter().skip(1).any(|w| FINITE.contains(w));
    let harmless = |at: usize| match clause[at] {
        "not" => at > 0 && matches!(clause[at - 1], "is" | "are" | "can" | "could" | "will" | "need" | "does" | "has" | "have" | "was"),
        "tomorrow" | "tonight" | "only" | "no" | "never" => told && at > 0,
        "every" | "than" | "say" | "says" | "said" => told,
        _ => false,
    };
    let binds = (0..clause.len()).any(|at| NO_REMARK.contains(&clause[at]) && !harmless(at));
    if clause.len() > 14 || binds && !unneeded {
        return false;
    }
    if matches!(clause.last(), Some(&("time" | "bedtime"))) && clause.len() <= 3 {
        return true;
    }
    if clause.len() <= 6 && matches!(clause, ["time", "for" | "to", ..]) {
        return true;
    }
    if clause.len() <= 5 && clause.iter().skip(1).any(|w| *w == "time") {
        return true;
    }
    if matches!(clause, ["off" | "going" | "leaving" | "home" | "back" | "bedtime", ..]) && clause.len() <= 4 {
        return true;
    }
    let shortened = clause.windows(2).any(|w| w[0].ends_with('s') && PREDICATES.contains(&w[1]));
    let too_much =
        matches!(clause, ["too", "much" | "many" | "little" | "dark" | "bright" | "hot" | "cold" | "loud", ..]);
    let subject = matches!(
        clause[0],
        "i" | "we"
            | "he"
            | "she"
            | "they"
            | "it"
            | "that"
            | "there"
            | "somebody"
            | "someone"
            | "everybody"
            | "everyone"
            | "nobody"
    );
    !is_command(clause[0]) && (subject || shortened || too_much || clause.iter().skip(1).any(|w| FINITE.contains(w)))
}

/// The words with a comma where "and" joins a remark about someone or something and another clause: "I just walked in and the hall
/// is dark".
fn and_remarks<'a>(said: &[&'a str]) -> Vec<&'a str> {
    let mut out = said.to_vec();
    for at in 1..said.len() {
        let begins = said[..at].iter().rposition(|w| matches!(*w, "," | "." | "so" | "and")).map_or(0, |at| at + 1);
        let is_told = |clause: &[&str]| !clause.is_empty() && is_remark(clause);
        let next = said[at + 1..].iter().position(|w| matches!(*w, "," | "." | "so")).map_or(said.len(), |n| at + 1 + n);
        if said[at] == "and"
            && matches!(said[0], "i" | "we" | "he" | "she" | "they")
            && is_told(&said[begins..at])
            && is_told(&said[at + 1..next])
        {
            out[at] = ",";
        }
    }
    out
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

/// The amount of "five would be plenty", "20 percent is enough".
fn enough(wish: &str) -> Option<&str> {
    const ENOUGH: &[&str] = &[
        " would be plenty", " is plenty", " would be enough", " is enough", " will do", " would do", " would be fine",
        " is fine", " would be better", " would be nicer", " would be perfect", " is perfect", " will be enough",
    ];
    let amount = ENOUGH.iter().find_map(|end| wish.strip_suffix(end))?;
    let words: Vec<&str> = amount.split(' ').collect();
    let n = spoken::percent(&words, true).map(|(_, n)| n).or_else(|| spoken::temperature(&words).map(|(_, _, n)| n))?;
    (n == words.len()).then_some(amount)
}

/// The clause with plain prepositions: "up on the roof" is "on the roof".
fn level_words<'a>(clause: &[&'a str]) -> Vec<&'a str> {
    let is_plain = |at: usize| {
        !(matches!(clause[at], "up" | "down" | "over" | "out" | "back")
            && matches!(clause.get(at + 1), Some(&("in" | "on" | "at" | "by"))))
    };
    (0..clause.len()).filter(|at| is_plain(*at)).map(|at| clause[at]).collect()
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

/// The place that a remark names.
fn place_in<'v>(remark: &[&str], names: &'v Vocabulary) -> Option<&'v str> {
    let stems: Vec<String> = remark.iter().map(|w| stem(w)).collect();
    (0..stems.len()).find_map(|i| names.place_at(&stems[i..])).map(|(place, _)| place.label.as_str())
}

/// The place at the end of a clause, with its preposition.
fn place_behind(clause: &[&str], names: &Vocabulary) -> Option<String> {
    let at = clause.iter().rposition(|w| matches!(*w, "in" | "on" | "at"))?;
    let the = usize::from(matches!(clause.get(at + 1), Some(&("the" | "my" | "our"))));
    let stems: Vec<String> = clause[at + 1 + the..].iter().map(|w| stem(w)).collect();
    names.place_at(&stems).filter(|(_, n)| *n == stems.len()).map(|_| clause[at..].join(" "))
}

/// The things that a clause names, by the longest phrase of it that means some: one, or several of a plural.
fn things_in(clause: &[&str], names: &Vocabulary, setting: &Setting<'_>) -> Option<Vec<String>> {
    let last = Vec::new();
    let known = RefCell::default();
    let here = setting.area.and_then(|id| setting.home.areas().iter().position(|a| a.id == id));
    let resolver = Resolver { names, home: setting.home, here, last: &last, known: &known };
    const READ: &[Domain] =
        &[Domain::Sensor, Domain::BinarySensor, Domain::Person, Domain::Weather, Domain::Sun, Domain::Zone];
    let domains: Vec<Domain> = Domain::ALL.iter().copied().filter(|domain| !READ.contains(domain)).collect();
    let want = Want { domains: &domains, or_else: &[], place_means: &[], group: true };
    let clause = &level_words(clause)[..];
    let n = clause.len().min(8);
    for length in (1..=n).rev() {
        for from in 0..=n - length {
            let words = &clause[from..from + length];
            let is_name =
                |w: &&str| names.knows(&stem(w)) || matches!(*w, "the" | "my" | "our" | "in" | "of" | "all" | "both");
            if !words.iter().all(is_name) {
                continue;
            }
            let found = resolver.resolve(&words.join(" "), want).and_then(|found| resolver.settled(found, want));
            if let Ok(found) = found
                && !found.entities.is_empty()
                && !found.bare_place
            {
                return Some(found.entities.iter().map(|i| setting.home.entities()[*i].id.clone()).collect());
            }
        }
    }
    None
}

//! What a request most likely means where no template fits it: the things that its words speak for, what words of a class ask to be
//! done with them, and a value. What comes of it is a wish in words that the templates know, which is understood as any other. It is
//! carried out only where every word has its part in it; else the request is passed on.

mod deeds;
mod fillers;
mod items;
mod mentions;

use std::cell::RefCell;
use std::collections::BTreeSet;

use deeds::Act;
use fillers::{is_filler, is_gate, is_meaningful};
use mentions::{How, Mention, mentions};

use super::outcome::{Outcome, Step};
use super::vocabulary::stem;
use super::{Heard, Matcher, Setting, Turn, later, opens, remarks, targets};
use crate::domain::Domain;
use crate::spoken;

/// A wish that a request may mean.
struct Likely {
    /// What it comes to.
    steps: Vec<Step>,
    /// How many words of the request have no part in it.
    unexplained: usize,
    /// Whether the words say it clearly enough to be done without a question.
    is_clear: bool,
}

/// A wish with the words that speak for it.
struct Reading {
    steps: Vec<Step>,
    explained: BTreeSet<usize>,
    /// The words that say what is to be done.
    act: Vec<usize>,
    is_sure: bool,
    /// Whether it may be one half of what is wished.
    is_half: bool,
    /// Whether one word that has no part in it may be passed over.
    tolerates: bool,
}

/// The longest request that is looked at, in words.
const MOST_WORDS: usize = 24;

/// The most mentions of things that are tried.
const MOST_MENTIONS: usize = 8;

/// What is set, as words.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Percent(f64),
    Degrees(f64),
    Colour(String),
}

impl Matcher {
    /// The one wish that a request, as it was said and as it is understood, clearly means by its words.
    pub(super) fn gist(&self, request: &str, text: &str, names: &Turn<'_>, setting: &Setting<'_>) -> Option<Outcome> {
        let words: Vec<&str> = text.split(' ').filter(|w| !w.is_empty()).collect();
        if words.len() > MOST_WORDS || fillers::asks(&words) {
            return None;
        }
        let plain: Vec<&str> = words.iter().copied().filter(|w| !matches!(*w, "," | ".")).collect();
        if let Some(step) = items::changed(&plain, names, setting.home) {
            return Some(Outcome::Do(vec![step]));
        }
        if is_gate(&words) || is_for_another_time(request, text, setting) {
            return None;
        }
        // What was tried before has used up the parts of this request.
        let names = &Turn { names: names.names, parts: RefCell::default(), known: RefCell::default() };
        if let Some(steps) = self.clear(&words, names, setting) {
            return Some(Outcome::Do(steps));
        }
        let breaks = |w: &&str| matches!(*w, "," | "." | "so" | "but" | "because" | "since");
        if !words.iter().any(|w| breaks(w) || matches!(*w, "and" | "then")) {
            return None;
        }
        let mut done: Vec<Step> = Vec::new();
        for clause in words.split(|w| breaks(w)).filter(|clause| !clause.is_empty()) {
            if let Some(steps) = self.clause(clause, &done, names, setting) {
                done.extend(steps);
                continue;
            }
            let parts: Vec<&[&str]> =
                clause.split(|w| matches!(*w, "and" | "then")).filter(|part| !part.is_empty()).collect();
            for part in &parts {
                match self.clause(part, &done, names, setting).filter(|_| parts.len() > 1) {
                    Some(steps) => done.extend(steps),
                    None if fillers::is_courtesy(part) || is_remark(part) => {}
                    None => return None,
                }
            }
        }
        (!done.is_empty()).then_some(Outcome::Do(done))
    }

    /// One clause as a wish, after what the clauses before it came to.
    fn clause(&self, clause: &[&str], done: &[Step], names: &Turn<'_>, setting: &Setting<'_>) -> Option<Vec<Step>> {
        let last: Vec<String> = done.iter().flat_map(targets).collect();
        let here = Setting { last: if last.is_empty() { setting.last } else { &last }, ..setting.clone() };
        match self.one(&clause.join(" "), names, &here) {
            Heard { outcome: Outcome::Do(steps), weak: false, negative: false } if acts(&steps) => Some(steps),
            _ => self.clear(clause, names, &here),
        }
    }

    fn clear(&self, words: &[&str], names: &Turn<'_>, setting: &Setting<'_>) -> Option<Vec<Step>> {
        let mut clear = self.likely(words, names, setting).into_iter().filter(|one| one.is_clear);
        let first = clear.next()?;
        clear.all(|other| other.steps == first.steps).then_some(first.steps)
    }

    fn likely(&self, words: &[&str], names: &Turn<'_>, setting: &Setting<'_>) -> Vec<Likely> {
        let plain: Vec<&str> = words.iter().copied().filter(|w| !matches!(*w, "," | ".")).collect();
        let is_one_clause = plain.len() == words.len();
        let words = &plain[..];
        let mut asked: Vec<(Act, usize, usize)> = Vec::new();
        let mut of_deeds: BTreeSet<usize> = BTreeSet::new();
        let mut at = 0;
        while at < words.len() {
            match deeds::at(&words[at..]) {
                Some((found, n)) => {
                    of_deeds.extend(at..at + n);
                    if !deeds::is_told(words, at, n) {
                        asked.extend(found.iter().map(|act| (*act, at, n)));
                    }
                    at += n;
                }
                None => at += 1,
            }
        }
        let all = mentions(words, names);
        let has_and = words.iter().any(|w| matches!(*w, "and" | "plus" | "too" | "also"));
        let Some(first) = all.first() else { return Vec::new() };
        let most = first.words.len();
        let mut out: Vec<Reading> = Vec::new();
        for (rank, mention) in all.iter().take(MOST_MENTIONS).enumerate() {
            if mention.words.len() + 1 < most && rank > 0 && mention.how < How::Part {
                continue;
            }
            let domain = names.entities[mention.entities[0]].domain;
            // Words of the name ask for nothing: "the front door lock".
            let free: Vec<&(Act, usize, usize)> =
                asked.iter().filter(|(_, at, n)| !(*at..at + n).all(|at| mention.words.contains(&at))).collect();
            let mut wanted: Vec<(Act, BTreeSet<usize>)> = Vec::new();
            for (act, at, n) in &free {
                let Some(act) = deeds::of_domain(*act, domain) else { continue };
                match wanted.iter_mut().find(|(known, _)| *known == act) {
                    Some((_, words)) => words.extend(*at..at + n),
                    None => wanted.push((act, (*at..at + n).collect())),
                }
            }
            let values = values(words, mention, domain);
            let Some(target) = target(mention, setting) else { continue };
            let mut wishes: Vec<(String, BTreeSet<usize>, bool)> = Vec::new();
            let says = |act: Act| wanted.iter().any(|(known, _)| *known == act);
            // "A bit less", "three quarters shut": how it is now matters, or which end.
            let is_by = (says(Act::Up) || says(Act::Down) || says(Act::Open) && says(Act::Close))
                && !words.iter().any(|w| matches!(*w, "to" | "at"));
            let is_relative = is_by
                || domain == Domain::Cover && says(Act::Close)
                || words.iter().any(|w| {
                    matches!(
                        *w,
                        "more"
                            | "less"
                            | "warmer"
                            | "cooler"
                            | "brighter"
                            | "dimmer"
                            | "higher"
                            | "louder"
                            | "quieter"
                            | "off"
                    )
                });
            // "Mute the speaker at 30 percent": a value says how, and never what is to be done instead.
            let takes = |(act, used): &(Act, BTreeSet<usize>), at: &BTreeSet<usize>| match act {
                Act::On | Act::Open | Act::Up | Act::Down => true,
                Act::Full | Act::Half => !used.is_disjoint(at),
                _ => false,
            };
            let is_valued = values.iter().all(|(_, at)| wanted.iter().all(|one| takes(one, at)));
            let values = if is_relative || !is_valued { Vec::new() } else { values };
            let by = by_amount(words, mention);
            if let (Some((amount, at)), Some(up)) = (&by, direction(&wanted)) {
                let act = if up { Act::Up } else { Act::Down };
                let unit = if domain == Domain::Climate { "degrees" } else { "percent" };
                let used = at.iter().copied().chain(wanted.iter().flat_map(|(_, w)| w.iter().copied())).collect();
                wishes.push((format!("{} by {amount} {unit}", deeds::wish(act, domain, &target)), used, true));
            }
            let values = if by.is_some() { Vec::new() } else { values };
            if let [(Value::Percent(_), _), (Value::Colour(_), _)] | [(Value::Colour(_), _), (Value::Percent(_), _)] =
                &values[..]
            {
                let both: Vec<String> = values.iter().filter_map(|(value, _)| set(value, domain, &target)).collect();
                let used = values.iter().flat_map(|(_, at)| at.iter().copied());
                let used = used.chain(wanted.iter().flat_map(|(_, w)| w.iter().copied())).collect();
                wishes.push((both.join(" and "), used, true));
            }
            let values = if values.len() > 1 { Vec::new() } else { values };
            for (value, at) in &values {
                let used: BTreeSet<usize> =
                    at.iter().copied().chain(wanted.iter().flat_map(|(_, words)| words.iter().copied())).collect();
                if let Some(wish) = set(value, domain, &target) {
                    wishes.push((wish, used, true));
                }
            }
            if wishes.is_empty() && by.is_none() {
                settle(&mut wanted);
                let is_bit = wanted.iter().any(|(act, _)| matches!(act, Act::Open | Act::Close))
                    && words.iter().any(|w| matches!(*w, "bit" | "touch" | "tad" | "little" | "crack" | "slightly"));
                let is_one = wanted.len() == 1 && !is_by_number(words, mention) && !is_bit;
                for (act, used) in &wanted {
                    wishes.push((deeds::wish(*act, domain, &target), used.clone(), is_one));
                }
            }
            let is_started = matches!(domain, Domain::Scene | Domain::Script);
            if wishes.is_empty() && is_started && is_alone(words, mention) {
                wishes.push((deeds::wish(Act::On, domain, &target), BTreeSet::new(), true));
            }
            for (wish, used, is_one) in wishes {
                let heard = self.heard(&wish, names, setting);
                let Heard { outcome: Outcome::Do(steps), negative: false, .. } = heard else { continue };
                if !acts(&steps) {
                    continue;
                }
                let explained: BTreeSet<usize> = mention.words.union(&used).copied().collect();
                let is_entrance = steps.iter().any(|step| opens(step, setting.home));
                // What is plugged into a switch is known by its name only.
                let is_whole_kind = mention.how == How::Kind
                    && !matches!(domain, Domain::Switch | Domain::InputBoolean)
                    && (mention.entities.len() == 1 || says_every(words));
                let is_named = mention.how >= How::KindAndPlace || is_whole_kind && !is_entrance;
                let is_sure = is_one
                    && is_named
                    && !is_preposition(words, mention, &used)
                    && !(is_entrance && (mention.is_guess || !orders(words, &used)));
                // "Grandma broke the lamp glowing": who begins with somebody tells something.
                let begins = mention.words.contains(&0) || deeds::at(words).is_some();
                let tolerates = mention.how == How::Whole
                    && !mention.is_guess
                    && words.len() > 3
                    && !is_entrance
                    && begins
                    && is_one_clause;
                if !out.iter().any(|known| known.steps == steps) {
                    let act = used.iter().copied().collect();
                    let is_half = has_and && mention.entities.len() == 1;
                    out.push(Reading { steps, explained, act, is_sure, is_half, tolerates });
                }
            }
        }
        joined(words, &mut out);
        let mut likely: Vec<Likely> = out
            .into_iter()
            .map(|reading| {
                let left: Vec<usize> =
                    (0..words.len()).filter(|at| !reading.explained.contains(at) && !is_filler(words[*at])).collect();
                // A word that has a meaning here, or one that says what to set, is never passed over.
                let counts = |at: &usize| {
                    names.knows(&stem(words[*at]))
                        || spoken::number(&words[*at..]).is_some()
                        || spoken::colour(&words[*at..]).is_some()
                        || is_meaningful(words[*at])
                        || of_deeds.contains(at)
                        || is_behind_preposition(words, *at)
                };
                let is_clear = reading.is_sure
                    && !reading.is_half
                    && (left.is_empty() || reading.tolerates && left.len() == 1 && !left.iter().any(counts));
                Likely { steps: reading.steps, unexplained: left.len(), is_clear }
            })
            .collect();
        likely.sort_by_key(|one| one.unexplained);
        // What explains more is what is meant.
        if let Some(least) = likely.first().map(|one| one.unexplained) {
            for one in &mut likely {
                one.is_clear &= one.unexplained == least;
            }
        }
        likely
    }
}

/// Adds what is wished of two things together: "the kettle and the ceiling light".
fn joined(words: &[&str], out: &mut Vec<Reading>) {
    let Some(and) = words.iter().position(|w| matches!(*w, "and" | "plus")) else { return };
    let mut more: Vec<Reading> = Vec::new();
    for (i, one) in out.iter().enumerate() {
        for other in &out[i + 1..] {
            if one.act != other.act || !one.is_sure || !other.is_sure {
                continue;
            }
            let only =
                |a: &Reading, b: &Reading| -> Vec<usize> { a.explained.difference(&b.explained).copied().collect() };
            let (mine, its) = (only(one, other), only(other, one));
            let before = |at: &[usize]| !at.is_empty() && at.iter().all(|at| *at < and);
            let after = |at: &[usize]| !at.is_empty() && at.iter().all(|at| *at > and);
            let (first, second) = match (before(&mine) && after(&its), before(&its) && after(&mine)) {
                (true, _) => (one, other),
                (_, true) => (other, one),
                _ => continue,
            };
            more.push(Reading {
                steps: [first.steps.clone(), second.steps.clone()].concat(),
                explained: first.explained.union(&second.explained).copied().collect(),
                act: first.act.clone(),
                is_sure: true,
                is_half: false,
                tolerates: false,
            });
        }
    }
    out.extend(more);
}

/// What is wished for as the templates know it: names, or a kind and a place.
fn target(mention: &Mention, setting: &Setting<'_>) -> Option<String> {
    if let Some(said) = &mention.said {
        return Some(said.clone());
    }
    let entities = setting.home.entities();
    let here = |i: &usize| setting.area.is_some() && entities[*i].area.as_deref() == setting.area;
    let mut meant = mention.entities.clone();
    if meant.len() > 1 && !mention.many {
        // Of two that are called so in one room neither is meant for sure.
        meant.retain(here);
        if meant.len() != 1 {
            return None;
        }
    }
    if meant.is_empty() || meant.len() > 8 {
        return None;
    }
    let said: Vec<String> =
        meant.iter().map(|i| format!("the {}", spoken::words(&entities[*i].name).join(" "))).collect();
    Some(spoken::write::and(&said).replace(',', " ,"))
}

/// Whether all that comes of it is done in the home.
fn acts(steps: &[Step]) -> bool {
    !steps.is_empty() && steps.iter().all(|step| matches!(step, Step::Act(_)))
}

/// An amount by which something changes: "by ten percent", "another twenty".
fn by_amount(words: &[&str], mention: &Mention) -> Option<(f64, BTreeSet<usize>)> {
    (0..words.len()).filter(|at| !mention.words.contains(at)).find_map(|at| {
        if !matches!(words[at], "by" | "another") {
            return None;
        }
        let skip = usize::from(words[at] == "by" && words.get(at + 1) == Some(&"another"));
        let rest = words.get(at + 1 + skip..)?;
        let (amount, n) = spoken::percent(rest, true)?;
        let unit = usize::from(matches!(rest.get(n), Some(&("percent" | "degrees" | "degree"))));
        Some((amount, (at..at + 1 + skip + n + unit).collect()))
    })
}

/// Whether it is to be more, or less.
fn direction(wanted: &[(Act, BTreeSet<usize>)]) -> Option<bool> {
    match wanted {
        [(Act::Up, _)] => Some(true),
        [(Act::Down, _)] => Some(false),
        _ => None,
    }
}

/// Whether a number was said that is no part of a name.
fn is_by_number(words: &[&str], mention: &Mention) -> bool {
    (0..words.len())
        .any(|at| !mention.words.contains(&at) && words[at] != "one" && spoken::number(&words[at..]).is_some())
}

/// Whether "on" only leads to the thing: "put the news on the television".
fn is_preposition(words: &[&str], mention: &Mention, used: &BTreeSet<usize>) -> bool {
    used.iter().any(|at| {
        words[*at] == "on"
            && *at > 0
            && !mention.words.contains(&(at - 1))
            && !used.contains(&(at - 1))
            && !is_filler(words[at - 1])
            && (at + 1..words.len()).any(|at| mention.words.contains(&at))
    })
}

/// Whether a verb orders it: "garage door open" may tell how it is, and "i will unlock it" what somebody does.
fn orders(words: &[&str], used: &BTreeSet<usize>) -> bool {
    let is_somebody = |w: &&str| {
        matches!(*w, "i" | "we" | "you" | "it" | "there" | "everyone" | "everybody" | "someone" | "somebody")
    };
    used.iter().any(|at| {
        *at == 0 || matches!(words[*at], "unlock" | "unlatch" | "unbolt") && !words[..*at].iter().any(is_somebody)
    })
}

/// Whether a request, or something in it, is for later or for a while: templates know of such, and what they leave is not done now.
fn is_for_another_time(request: &str, text: &str, setting: &Setting<'_>) -> bool {
    let said = spoken::words(request);
    later::is_for_later(request, setting.now)
        || later::is_for_a_while(request)
        || later::split(text, setting.now).is_some()
        // "For a moment" at the end says nothing to the templates.
        || fillers::is_for_a_while(&said.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Whether a clause tells something beside a wish that takes nothing of it back: "it is dark". "That is silly" is said of the wish, and
/// beside "Theo wants to read" another word of the wish may be his.
fn is_remark(clause: &[&str]) -> bool {
    #[rustfmt::skip]
    const WHO: &[&str] = &[
        "i", "we", "he", "she", "they", "it", "there", "the", "my", "our", "you", "everyone", "everybody", "somebody", "someone",
    ];
    clause.first().is_some_and(|w| WHO.contains(w)) && remarks::is_remark(clause) && !remarks::binds(clause)
}

/// Whether a scene or script is called by its whole name, and nothing else is said: "movie night , please".
fn is_alone(words: &[&str], mention: &Mention) -> bool {
    let is_around = |w: &str| matches!(w, "the" | "mode" | "scene" | "please" | "now" | "time" | "for" | "it" | "is");
    mention.how == How::Whole
        && !mention.is_guess
        && (0..words.len()).all(|at| mention.words.contains(&at) || is_around(words[at]))
}

/// Whether a word stands behind a preposition, and an article: "in the attic".
fn is_behind_preposition(words: &[&str], at: usize) -> bool {
    let is_article = |w: &&&str| matches!(**w, "the" | "a" | "an" | "my" | "our" | "this" | "that" | "your");
    let before = words[..at].iter().rev().find(|w| !is_article(w));
    matches!(before, Some(&("on" | "to" | "at" | "as" | "with" | "like" | "for" | "from" | "in" | "by" | "during")))
}

/// Whether all of a kind are meant.
fn says_every(words: &[&str]) -> bool {
    words.iter().any(|w| matches!(*w, "every" | "all" | "each"))
}

/// Of acts that go together the one that says more: "on full" is full.
fn settle(wanted: &mut Vec<(Act, BTreeSet<usize>)>) {
    let has = |wanted: &[(Act, BTreeSet<usize>)], act: Act| wanted.iter().any(|(known, _)| *known == act);
    for (more, less) in [
        (Act::Full, Act::On),
        (Act::Full, Act::Up),
        (Act::Half, Act::On),
        (Act::Half, Act::Open),
        (Act::Half, Act::Close),
        (Act::Half, Act::Up),
        (Act::Half, Act::Down),
        (Act::Play, Act::On),
        (Act::Off, Act::Pause),
        (Act::Off, Act::Down),
        (Act::Home, Act::Off),
        (Act::Home, Act::On),
        (Act::Up, Act::On),
        (Act::Down, Act::On),
        (Act::Swing, Act::On),
        (Act::Reverse, Act::On),
    ] {
        if has(wanted, more) && has(wanted, less) {
            let used: Vec<usize> =
                wanted.iter().filter(|(act, _)| *act == less).flat_map(|(_, at)| at.iter().copied()).collect();
            wanted.retain(|(act, _)| *act != less);
            wanted.iter_mut().filter(|(act, _)| *act == more).for_each(|(_, at)| at.extend(&used));
        }
    }
}

/// The values that a thing of this domain can be set to.
fn values(words: &[&str], mention: &Mention, domain: Domain) -> Vec<(Value, BTreeSet<usize>)> {
    let mut out: Vec<(Value, BTreeSet<usize>)> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        if mention.words.contains(&at) {
            at += 1;
            continue;
        }
        let rest = &words[at..];
        // "At 7" may be a time.
        let is_set = at > 0 && words[at - 1] == "to";
        let found = match domain {
            Domain::Light => spoken::percent(rest, is_set)
                .map(|(value, n)| (Value::Percent(value), n))
                .or_else(|| spoken::colour(rest).map(|(_, n)| (Value::Colour(rest[..n].join(" ")), n))),
            Domain::Cover | Domain::Fan | Domain::MediaPlayer | Domain::Valve => {
                spoken::percent(rest, is_set).map(|(value, n)| (Value::Percent(value), n))
            }
            Domain::Climate | Domain::WaterHeater => {
                spoken::temperature(rest).map(|(value, _, n)| (Value::Degrees(value), n))
            }
            _ => None,
        };
        match found {
            Some((value, n)) if n > 0 => {
                out.push((value, (at..at + n).collect()));
                at += n;
            }
            _ => at += 1,
        }
    }
    out
}

/// The wish for a value.
fn set(value: &Value, domain: Domain, target: &str) -> Option<String> {
    Some(match (value, domain) {
        (Value::Percent(percent), Domain::MediaPlayer) => format!("set the volume of {target} to {percent} percent"),
        (Value::Percent(percent), _) => format!("set {target} to {percent} percent"),
        (Value::Degrees(degrees), _) => format!("set {target} to {degrees} degrees"),
        (Value::Colour(colour), _) => format!("set {target} to {colour}"),
    })
}

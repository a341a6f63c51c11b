//! Wishes and questions with something told around them: why ("it is late, turn off the TV"), where ("my mother is at the gate, let
//! her in"), about what ("the radio is too loud, turn it down") or of whom ("Ann wants to read, her lamp to 50"). What is told decides
//! among things that the wish alone could mean, and is never a wish of its own beside another.

use std::cell::RefCell;

use super::clauses::is_command;
use super::idioms;
use super::outcome::{Outcome, Step};
use super::target::{Resolver, Want};
use super::vocabulary::{self, Vocabulary, stem};
use super::{Heard, Matcher, Setting, Turn, targets};
use crate::domain::Domain;
use crate::spoken;

/// Words that make a clause more than a remark: a condition, a time, a wish, a negation.
pub(super) const NO_REMARK: &[&str] = &[
    "mean", "if", "when", "whenever", "unless", "until", "till", "while", "after", "before", "later", "tomorrow",
    "tonight", "not", "never", "except", "instead", "but", "or", "than", "every", "what", "who", "why", "how", "where",
    "which", "once", "then", "only", "as", "soon", "wait", "stop", "no", "say", "says", "said", "tell", "ask", "asked",
    "told", "pretend", "imagine", "suppose", "joke", "kidding", "please",
];

/// Verbs that a remark can have.
pub(super) const FINITE: &[&str] = &[
    "is", "are", "am", "was", "were", "has", "have", "had", "stinks", "smells", "feels", "looks", "fell", "went",
    "left", "got", "took", "bought", "finished", "came", "comes", "hurts", "goes", "sounds", "woke", "arrived",
    "started", "broke", "keeps", "will", "needs", "need", "found", "want", "wants", "fancy", "fancies", "forgot",
    "knows", "likes", "can", "could", "should", "must", "may", "might", "would", "does", "loves", "like", "love",
    "hate", "hates", "feel", "feels", "hear", "think", "keep", "sleep", "sleeps", "reads", "works", "says", "makes",
    "drives", "cries", "rang", "rings", "came", "ate", "just", "always", "leaves", "wakes", "shines", "blows", "hurt",
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

impl Matcher {
    /// One wish, and remarks around it that say why: "the washing is done, switch the washing machine off". Beside a remark about
    /// another time, or one that leaves something out, only what ends something is done.
    pub(super) fn with_remarks(&self, text: &str, names: &Turn<'_>, setting: &Setting<'_>) -> Option<Heard> {
        let heard = self.beside_remarks(text, names, setting)?;
        let said: Vec<&str> = text.split(' ').collect();
        let is_bound = said.split(|w| matches!(*w, "," | "." | "so")).any(|clause| !clause.is_empty() && binds(clause));
        let is_safe = match &heard.outcome {
            Outcome::Do(steps) => steps.iter().all(ends),
            Outcome::Ask { .. } | Outcome::Pass(_) => false,
        };
        (!is_bound || is_safe).then_some(heard)
    }

    fn beside_remarks(&self, text: &str, names: &Turn<'_>, setting: &Setting<'_>) -> Option<Heard> {
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
                    | [
                        "he" | "she" | "they" | "nobody" | "somebody" | "someone" | "everybody" | "everyone",
                        "is" | "are",
                        ..
                    ]
            )
        };
        if !names.has_place_in(&wish)
            && let Some(place) = remarks.iter().find(asker).and_then(|remark| place_in(remark, names))
        {
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
    fn owned(&self, wish: &str, remarks: &[&[&str]], names: &Turn<'_>, setting: &Setting<'_>) -> Option<Option<Heard>> {
        let words: Vec<&str> = wish.split(' ').collect();
        let at = words.iter().position(|w| matches!(*w, "his" | "her" | "their" | "its"))?;
        let next = words.get(at + 1)?;
        // "Let her in": "her" is who was named, and nothing of hers.
        let is_object = |word: &str| {
            matches!(
                word,
                "in" | "out" | "through" | "inside" | "into" | "to" | "at" | "by" | "up" | "back" | "know" | "," | "."
            )
        };
        if words[0] == "let" || words[at] == "her" && is_object(next) {
            return None;
        }
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

    /// "Do I need the thick coat, how cold is it outside?": of two questions or a remark and a question, the one that is understood.
    /// A place that the other names is the question's where it has none.
    pub(super) fn question_behind(
        &self,
        request: &str,
        text: &str,
        names: &Turn<'_>,
        setting: &Setting<'_>,
    ) -> Option<Outcome> {
        let (first, question) = text.rsplit_once(" , ").or_else(|| text.rsplit_once(" . "))?;
        let question = question.trim_start_matches("or ").trim_start_matches("and ").trim_start_matches("so ");
        let asks = |text: &str| {
            matches!(
                text.split(' ').next(),
                Some(
                    "what"
                        | "which"
                        | "who"
                        | "where"
                        | "when"
                        | "how"
                        | "is"
                        | "are"
                        | "does"
                        | "did"
                        | "has"
                        | "have"
                )
            )
        };
        let raw = spoken::words(request);
        let begins = raw.first().map(String::as_str).unwrap_or_default();
        let wishes = first.split(' ').next().is_some_and(spoken::verbs::is_wishing);
        let is_asked = matches!(begins, "can" | "could" | "should" | "do" | "may" | "shall")
            && matches!(raw.get(1).map(String::as_str), Some("i" | "we"));
        if !asks(question) || wishes && !is_asked {
            return None;
        }
        let told = |text: &str| {
            let heard = self.one(text, names, setting);
            let says =
                matches!(&heard.outcome, Outcome::Do(steps) if steps.iter().all(|step| matches!(step, Step::Say(..))));
            (says && !heard.negative).then_some(heard.outcome)
        };
        if !names.has_place_in(question) {
            let stems: Vec<String> = first.split(' ').map(vocabulary::stem).collect();
            let place =
                (0..stems.len()).find_map(|at| names.place_at(&stems[at..])).map(|(place, _)| place.label.clone());
            let here = (first.ends_with(" in here") || first.ends_with(" here")).then(|| "in here".to_owned());
            let there = place.map(|place| format!("in the {place}")).or(here);
            if let Some(found) = there.and_then(|there| told(&format!("{question} {there}"))) {
                return Some(found);
            }
        }
        told(question)
    }
}

/// Whether a clause only tells something: "it is late", "the washing is done", "bedtime".
pub(super) fn is_remark(clause: &[&str]) -> bool {
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
        "not" => {
            at > 0
                && matches!(
                    clause[at - 1],
                    "is" | "are" | "can" | "could" | "will" | "need" | "does" | "has" | "have" | "was"
                )
        }
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

/// Whether a remark is about another time, or leaves something out: "the cleaner comes tomorrow", "the cat never goes out". That
/// something is missing now says neither: "there is no light", "it is only 12 degrees".
pub(super) fn binds(clause: &[&str]) -> bool {
    (0..clause.len()).any(|at| match clause[at] {
        "tomorrow" | "tonight" | "never" => true,
        "no" | "only" => {
            !at.checked_sub(1).is_some_and(|before| matches!(clause[before], "is" | "are" | "am" | "have" | "has"))
        }
        _ => false,
    })
}

/// Whether a step only switches off, closes or locks.
fn ends(step: &Step) -> bool {
    let Step::Act(reading) = step else { return false };
    reading.calls.iter().all(|call| {
        matches!(
            call.service.split_once('.').map_or("", |(_, service)| service),
            "turn_off"
                | "close_cover"
                | "close_valve"
                | "lock"
                | "media_pause"
                | "media_stop"
                | "stop_cover"
                | "pause"
                | "stop"
                | "return_to_base"
                | "dock"
        )
    })
}

/// The words with a comma where "and" joins a remark about someone or something and another clause: "I just walked in and the hall
/// is dark".
fn and_remarks<'a>(said: &[&'a str]) -> Vec<&'a str> {
    let mut out = said.to_vec();
    for at in 1..said.len() {
        let begins = said[..at].iter().rposition(|w| matches!(*w, "," | "." | "so" | "and")).map_or(0, |at| at + 1);
        let is_told = |clause: &[&str]| !clause.is_empty() && is_remark(clause);
        let next =
            said[at + 1..].iter().position(|w| matches!(*w, "," | "." | "so")).map_or(said.len(), |n| at + 1 + n);
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

/// The amount of "five would be plenty", "20 percent is enough".
fn enough(wish: &str) -> Option<&str> {
    const ENOUGH: &[&str] = &[
        " would be plenty",
        " is plenty",
        " would be enough",
        " is enough",
        " will do",
        " would do",
        " would be fine",
        " is fine",
        " would be better",
        " would be nicer",
        " would be perfect",
        " is perfect",
        " will be enough",
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

/// The place that a remark names.
pub(super) fn place_in<'v>(remark: &[&str], names: &'v Vocabulary) -> Option<&'v str> {
    let stems: Vec<String> = remark.iter().map(|w| stem(w)).collect();
    (0..stems.len()).find_map(|i| names.place_at(&stems[i..])).map(|(place, _)| place.label.as_str())
}

/// The things that a clause names, by the longest phrase of it that means some: one, or several of a plural.
pub(super) fn things_in(clause: &[&str], names: &Vocabulary, setting: &Setting<'_>) -> Option<Vec<String>> {
    let last = Vec::new();
    let known = RefCell::default();
    let here = setting.area.and_then(|id| setting.home.areas().iter().position(|a| a.id == id));
    let resolver = Resolver { names, home: setting.home, here, last: &last, known: &known };
    const READ: &[Domain] = &[
        Domain::Sensor,
        Domain::BinarySensor,
        Domain::Person,
        Domain::Weather,
        Domain::Sun,
        Domain::Zone,
        // "It" is nothing that is only set off: "somebody is prowling round" is about no evening round.
        Domain::Scene,
        Domain::Script,
        Domain::Automation,
        Domain::Button,
        Domain::InputButton,
    ];
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

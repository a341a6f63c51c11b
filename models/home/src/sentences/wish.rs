//! What the words of a request speak for, where no sentence template fits it: whether it is a wish, a question or talk, what it
//! wants done, and which entities it may be about. A language model that is to call a tool chooses among these; nothing here decides
//! a call.

use std::collections::BTreeSet;

use super::nouns::{ANYTHING, noun_at};
use super::vocabulary::{Vocabulary, stem};
use crate::domain::Domain;
use crate::model::Entity;
use crate::spoken;
use crate::spoken::verbs::is_wishing;

/// What kind of sentence a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something is to be done now.
    Wish,
    /// Something is asked.
    Question,
    /// Neither, or not for now: "thank you", "don't open it", "if it rains, close the window".
    Talk,
}

/// What is to be done, as far as words say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Switch on.
    On,
    /// Switch off.
    Off,
    /// Open.
    Open,
    /// Close.
    Close,
    /// Lock.
    Lock,
    /// Unlock.
    Unlock,
    /// Play, or go on playing.
    Play,
    /// Pause.
    Pause,
    /// Stop.
    Stop,
    /// Skip.
    Next,
    /// Go back.
    Previous,
    /// Silence.
    Mute,
    /// End the silence.
    Unmute,
    /// Louder.
    Louder,
    /// Quieter.
    Quieter,
    /// Start working.
    Start,
    /// Go home.
    Return,
    /// Put on a list.
    Add,
    /// Mark as done.
    Complete,
    /// Take off a list.
    Remove,
    /// Arm.
    Arm,
    /// Disarm.
    Disarm,
}

/// A request, looked at word by word.
#[derive(Debug, Clone)]
pub struct Wish {
    /// What kind of sentence it is.
    pub kind: Kind,
    /// What is to be done; empty where no word says it.
    pub deeds: Vec<Deed>,
    /// Whether several things may be meant: "all", a plural.
    pub many: bool,
    words: Vec<String>,
    stems: Vec<String>,
}

/// The entities that a request's words speak for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Support {
    /// Their indexes in the home: those that the most words speak for.
    pub entities: Vec<usize>,
    /// The same by what speaks for them: of "the lamp and the fan" two groups.
    pub groups: Vec<Vec<usize>>,
    /// How much speaks for them.
    pub score: usize,
    /// Words with a meaning that none of them explains.
    pub unexplained: Vec<String>,
}

/// First words of a question.
#[rustfmt::skip]
const ASKING: &[&str] = &[
    "what", "which", "who", "whose", "whom", "where", "when", "why", "how", "is", "are", "was", "were", "am", "does",
    "did", "has", "have", "had", "shall", "should", "may", "might", "will", "would", "can", "could", "any",
];

/// Beginnings of a question in the form of a wish.
const TELLING: &[&[&str]] = &[
    &["tell"],
    &["show", "me"],
    &["let", "me", "know"],
    &["i", "wonder"],
    &["do", "you"],
    &["do", "we"],
    &["say"],
    &["read"],
    &["check"],
    &["look"],
    &["find", "out"],
    &["list"],
    &["describe"],
    &["i", "want", "to", "know"],
    &["i", "would", "like", "to", "know"],
];

/// Who wishes, and for what: "we need more light in the hall".
const WANTING: &[&str] = &["need", "want", "like", "love", "prefer"];

/// Verbs and particles, and what they ask for.
const DEEDS: &[(&str, &[Deed])] = &[
    ("activate", &[Deed::On]),
    ("enable", &[Deed::On]),
    ("illuminate", &[Deed::On]),
    ("launch", &[Deed::On, Deed::Start]),
    ("start", &[Deed::On, Deed::Start, Deed::Play]),
    ("begin", &[Deed::On, Deed::Start, Deed::Play]),
    ("run", &[Deed::On, Deed::Start]),
    ("trigger", &[Deed::On]),
    ("press", &[Deed::On]),
    ("need", &[Deed::On]),
    ("want", &[Deed::On]),
    ("like", &[Deed::On]),
    ("deactivate", &[Deed::Off]),
    ("disable", &[Deed::Off]),
    ("kill", &[Deed::Off]),
    ("cut", &[Deed::Off]),
    ("extinguish", &[Deed::Off]),
    ("end", &[Deed::Off, Deed::Stop]),
    ("stop", &[Deed::Off, Deed::Stop, Deed::Pause]),
    ("open", &[Deed::Open]),
    ("close", &[Deed::Close]),
    ("shut", &[Deed::Close]),
    ("lock", &[Deed::Lock]),
    ("secure", &[Deed::Lock]),
    ("bolt", &[Deed::Lock]),
    ("unlock", &[Deed::Unlock]),
    ("unbolt", &[Deed::Unlock]),
    ("play", &[Deed::Play]),
    ("resume", &[Deed::Play, Deed::Start]),
    ("continue", &[Deed::Play, Deed::Start]),
    ("pause", &[Deed::Pause]),
    ("skip", &[Deed::Next]),
    ("next", &[Deed::Next]),
    ("previous", &[Deed::Previous]),
    ("mute", &[Deed::Mute]),
    ("silence", &[Deed::Mute]),
    ("unmute", &[Deed::Unmute]),
    ("louder", &[Deed::Louder]),
    ("quieter", &[Deed::Quieter]),
    ("softer", &[Deed::Quieter]),
    ("vacuum", &[Deed::Start]),
    ("clean", &[Deed::Start]),
    ("sweep", &[Deed::Start]),
    ("mow", &[Deed::Start]),
    ("dock", &[Deed::Return]),
    ("return", &[Deed::Return]),
    ("send", &[Deed::Return]),
    ("add", &[Deed::Add]),
    ("complete", &[Deed::Complete]),
    ("mark", &[Deed::Complete]),
    ("tick", &[Deed::Complete]),
    ("done", &[Deed::Complete]),
    ("remove", &[Deed::Remove]),
    ("delete", &[Deed::Remove]),
    ("arm", &[Deed::Arm]),
    ("disarm", &[Deed::Disarm]),
];

/// Words that name nothing.
#[rustfmt::skip]
const EMPTY: &[&str] = &[
    "the", "a", "an", "my", "our", "your", "his", "her", "their", "its", "this", "that", "these", "those", "some",
    "any", "all", "every", "each", "both", "of", "in", "on", "off", "out", "up", "down", "to", "at", "by", "from",
    "for", "with", "and", "or", "then", "it", "them", "i", "we", "you", "me", "us", "please", "is", "are", "be",
    "was", "were", "has", "have", "do", "does", "what", "which", "who", "where", "how", "so", "too", "just", "now",
    "again", "back", "more", "less", "bit", "little", "lot", "much", "very", "want", "need", "like", "love", "would",
    "could", "can", "will", "there", "here", "one", "percent", "degree", "celsius", "fahrenheit", "half", "full",
    "fully", "maximum", "minimum", "max", "min", "level", "brightness", "color", "colour", "position", "speed", "as",
    "if", "not", "no", "im", "am", "get", "got", "tell", "know", "kindly", "thank", "going", "let", "thing", "room",
    "s", "into", "onto", "over", "also", "still", "already", "time", "minute", "hour", "second", "today", "state",
    "status", "current", "currently", "possible", "way", "right", "hey", "ok", "okay", "should", "may", "many",
    "long", "other",
];

/// Words that put a wish off, or make it depend on something.
const LATER: &[&str] =
    &["if", "when", "whenever", "unless", "once", "tomorrow", "tonight", "until", "till", "after", "before", "while"];

/// Words that take something out of what is meant.
const EXCEPT: &[&str] = &["except", "excluding", "besides", "without", "but", "not", "only"];

impl Wish {
    /// Looks at a request.
    pub fn of(request: &str) -> Wish {
        let text = spoken::normalise(request);
        let words: Vec<String> =
            text.split(' ').filter(|w| !w.is_empty() && *w != "," && *w != ".").map(str::to_owned).collect();
        let stems: Vec<String> = words.iter().map(|word| stem(word)).collect();
        let kind = kind(&words, request);
        let deeds = if kind == Kind::Wish { deeds(&words) } else { Vec::new() };
        let plural = |at: usize| noun_at(&words[at..]).is_some_and(|(_, _, many)| many);
        let many = words.iter().any(|w| matches!(w.as_str(), "all" | "every" | "everything" | "each" | "both"))
            || (0..words.len()).any(plural);
        Wish { kind, deeds, many, words, stems }
    }

    /// The words as they were read.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Whether something is taken out of what is meant, which no single call says: "all lights except the kitchen".
    pub fn has_exception(&self) -> bool {
        self.words.iter().any(|w| EXCEPT.contains(&w.as_str()))
    }

    /// Whether the request may ask for this; true where it does not say what is to be done.
    pub fn asks_for(&self, deed: Deed) -> bool {
        self.deeds.is_empty() || self.deeds.contains(&deed)
    }

    /// What `read` finds in the words, wherever it stands.
    pub fn find<T>(&self, read: impl Fn(&[&str]) -> Option<T>) -> Option<T> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        (0..words.len()).find_map(|at| read(&words[at..]))
    }

    /// Whether one of these words was said.
    pub fn says(&self, any: &[&str]) -> bool {
        self.words.iter().any(|word| any.contains(&word.as_str()))
    }

    /// The entities of these domains that the words speak for.
    pub fn support(&self, names: &Vocabulary, domains: &[Domain]) -> Support {
        let verb = self.words.first().is_some_and(|w| is_verb(w)) && self.kind == Kind::Wish;
        let says = |at: usize| {
            let word = self.words[at].as_str();
            let is_number = spoken::number(&[word]).is_some() && noun_at(&self.words[at..]).is_none();
            !(EMPTY.contains(&self.stems[at].as_str())
                || EMPTY.contains(&word)
                || ANYTHING.contains(&self.stems[at].as_str())
                || (at == 0 && verb)
                || is_number && !names.knows(&self.stems[at])
                || spoken::colour(&[word]).is_some() && !names.knows(&self.stems[at]))
        };
        let content: Vec<usize> = (0..self.words.len()).filter(|at| says(*at)).collect();
        // Words for kinds of things: one of them is what it is about.
        let mut nouns: Vec<(usize, usize)> = Vec::new();
        let mut at = 0;
        while at < self.words.len() {
            match noun_at(&self.words[at..]).filter(|_| content.contains(&at)) {
                Some((_, n, _)) => {
                    nouns.push((at, n));
                    at += n;
                }
                None => at += 1,
            }
        }
        let mut best: Vec<(usize, BTreeSet<usize>, usize)> = Vec::new();
        for (index, entity) in names.entities.iter().enumerate() {
            if !domains.contains(&entity.domain) {
                continue;
            }
            let mut explained: BTreeSet<usize> = BTreeSet::new();
            let in_name = |name: &[String]| -> BTreeSet<usize> {
                content.iter().copied().filter(|at| name.contains(&self.stems[*at])).collect()
            };
            let name = entity.names.iter().map(|name| in_name(name)).max_by_key(BTreeSet::len).unwrap_or_default();
            let is_named = !name.is_empty();
            explained.extend(name);
            explained.extend(in_name(&entity.device));
            let mut place: BTreeSet<usize> = BTreeSet::new();
            for at in 0..self.stems.len() {
                if let Some((found, n)) = names.place_at(&self.stems[at..])
                    && entity.area.is_some_and(|area| found.areas.contains(&area))
                {
                    place.extend(at..at + n);
                } else if entity.area.is_some_and(|area| names.areas_with(&self.stems[at]).contains(&area)) {
                    place.insert(at);
                }
            }
            let mut kind = false;
            for (at, n) in &nouns {
                let Some((noun, ..)) = noun_at(&self.words[*at..]) else { continue };
                let fits = noun.means(entity.domain, entity.class.as_deref())
                    || entity.class.is_none() && noun.domains.contains(&entity.domain);
                if fits {
                    kind = true;
                    explained.extend(*at..at + n);
                }
            }
            let place_only = !is_named && !kind && !place.is_empty();
            explained.extend(place);
            explained.retain(|at| content.contains(at));
            let is_about =
                nouns.is_empty() || nouns.iter().any(|(at, n)| (*at..at + n).any(|at| explained.contains(&at)));
            if explained.is_empty() || !is_about || place_only && !nouns.is_empty() {
                continue;
            }
            let whole = entity.names.iter().filter(|name| self.stems.windows(name.len()).any(|w| w == &name[..]));
            let whole = whole.map(Vec::len).max().unwrap_or(0);
            best.push((2 * explained.len() + if self.many { 0 } else { whole }, explained, index));
        }
        let Some(score) = best.iter().map(|(score, ..)| *score).max() else {
            let unexplained = content.iter().map(|at| self.words[*at].clone()).collect();
            return Support { unexplained, ..Support::default() };
        };
        best.retain(|(other, ..)| *other == score);
        let explained: BTreeSet<usize> = best.iter().flat_map(|(_, explained, _)| explained.iter().copied()).collect();
        let verbs = |word: &str| is_verb(word) || DEEDS.iter().any(|(known, _)| *known == word);
        let mut groups: Vec<(&BTreeSet<usize>, Vec<usize>)> = Vec::new();
        for (_, explained, index) in &best {
            match groups.iter_mut().find(|(known, _)| *known == explained) {
                Some((_, group)) => group.push(*index),
                None => groups.push((explained, vec![*index])),
            }
        }
        groups.sort_by_key(|(explained, _)| explained.first().copied());
        let groups = groups.into_iter().map(|(_, group)| group).collect();
        Support {
            groups,
            entities: best.into_iter().map(|(_, _, index)| index).collect(),
            score,
            unexplained: content
                .iter()
                .filter(|at| !explained.contains(at))
                .map(|at| self.words[*at].clone())
                .filter(|word| !verbs(word))
                .collect(),
        }
    }

    /// The request's clauses, each a wish of its own: "turn on the lamp and lock the door" are two.
    pub fn clauses(request: &str) -> Vec<String> {
        let text = spoken::normalise(request);
        let words: Vec<&str> = text.split(' ').collect();
        let mut clauses: Vec<Vec<&str>> = vec![Vec::new()];
        let mut at = 0;
        while at < words.len() {
            let skip = words[at..]
                .iter()
                .take_while(|w| matches!(**w, "and" | "then" | "," | "." | "also" | "please"))
                .count();
            let begins = words.get(at + skip).is_some_and(|w| is_verb(w));
            if skip > 0 && begins && clauses.last().is_some_and(|clause| !clause.is_empty()) {
                clauses.push(Vec::new());
                at += skip;
                continue;
            }
            if let Some(clause) = clauses.last_mut() {
                clause.push(words[at]);
            }
            at += 1;
        }
        clauses.into_iter().map(|clause| clause.join(" ")).filter(|clause| !clause.is_empty()).collect()
    }
}

/// Whether a word such as "on", "open" or "locked" describes an entity now; `None` where it says nothing about such a thing.
pub fn describes(entity: &Entity, word: &str) -> Option<bool> {
    super::state::is(entity, word)
}

/// Whether a wish for something in the home begins with this verb.
fn is_verb(word: &str) -> bool {
    is_wishing(word)
        && !matches!(
            word,
            "forget" | "remember" | "ignore" | "do" | "tell" | "check" | "let" | "take" | "water" | "undo"
        )
}

fn kind(words: &[String], request: &str) -> Kind {
    let said: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some(first) = said.first().copied() else { return Kind::Talk };
    let begins = |phrase: &[&str]| said.starts_with(phrase);
    if begins(&["do", "not"]) || first == "never" || said.windows(2).any(|pair| pair == ["do", "not"]) {
        return Kind::Talk;
    }
    if ASKING.contains(&first) || TELLING.iter().any(|phrase| begins(phrase)) {
        return Kind::Question;
    }
    let is_timer =
        said.iter().any(|word| matches!(*word, "timer" | "timers" | "wake" | "remind" | "alarm" | "countdown"));
    if said.iter().any(|word| LATER.contains(word)) && !is_timer {
        return Kind::Talk;
    }
    // "in ten minutes", "at seven"
    let is_later = |at: usize| match said[at] {
        "in" => spoken::duration(&said[at + 1..]).is_some(),
        "at" => matches!(said.get(at + 2..), Some(["am" | "pm" | "oclock", ..])),
        _ => false,
    };
    if !is_timer && (0..said.len()).any(is_later) {
        return if matches!(first, "tell" | "alert" | "notify" | "ring") { Kind::Wish } else { Kind::Talk };
    }
    if is_verb(first) {
        return Kind::Wish;
    }
    let wants = matches!(first, "i" | "we") && said.iter().take(4).any(|word| WANTING.contains(word))
        || begins(&["let", "there"]);
    if wants {
        return Kind::Wish;
    }
    let is_statement = said.iter().any(|word| {
        matches!(*word, "is" | "are" | "was" | "were" | "has" | "have" | "had" | "been" | "am" | "you" | "i" | "we")
    });
    if request.trim_end().ends_with('?') || is_statement {
        return if request.trim_end().ends_with('?') { Kind::Question } else { Kind::Talk };
    }
    // "kitchen lights off", "living room 21 degrees"
    let ends_it =
        said.iter().any(|word| matches!(*word, "on" | "off" | "percent" | "open" | "closed" | "brighter" | "dimmer"));
    let verb_later = said
        .iter()
        .skip(1)
        .any(|word| matches!(*word, "turn" | "switch" | "dim" | "open" | "close" | "lock" | "unlock"));
    if said.len() > 1 && said.len() <= 8 && ends_it || verb_later { Kind::Wish } else { Kind::Talk }
}

fn deeds(words: &[String]) -> Vec<Deed> {
    let said: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut deeds: Vec<Deed> = Vec::new();
    let mut add = |more: &[Deed]| {
        for deed in more {
            if !deeds.contains(deed) {
                deeds.push(*deed);
            }
        }
    };
    // A particle behind its verb, or at the end, says more than the same word before a place.
    let at_verb = |at: usize| {
        at + 1 == said.len()
            || at
                .checked_sub(1)
                .is_some_and(|before| matches!(said[before], "turn" | "switch" | "put" | "power" | "flip" | "get"))
    };
    let particles: Vec<(usize, &str)> =
        said.iter().copied().enumerate().filter(|(_, w)| matches!(*w, "on" | "off")).collect();
    let clear: Vec<&str> = particles.iter().filter(|(at, _)| at_verb(*at)).map(|(_, word)| *word).collect();
    let particles = if clear.is_empty() {
        match particles.iter().any(|(_, word)| *word == "off") {
            true => vec!["off"],
            false => particles.iter().map(|(_, word)| *word).collect(),
        }
    } else {
        clear
    };
    for word in &particles {
        add(if *word == "on" { &[Deed::On] } else { &[Deed::Off] });
    }
    if said.last() == Some(&"out") {
        add(&[Deed::Off]);
    }
    if particles.is_empty() {
        for word in &said {
            if let Some((_, more)) = DEEDS.iter().find(|(known, _)| known == word) {
                add(more);
            }
        }
    }
    for pair in said.windows(2) {
        match pair {
            ["shut" | "power", "down"] => add(&[Deed::Off]),
            ["go" | "come", "home"] | ["go", "back"] => add(&[Deed::Return]),
            ["turn" | "volume" | "music", "up"] => add(&[Deed::Louder]),
            ["turn" | "volume" | "music", "down"] => add(&[Deed::Quieter]),
            _ => {}
        }
    }
    deeds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HomeFile;

    const HOME: &str = "
areas:
  - {name: Library, id: library}
  - {name: Cellar, id: cellar}
entities:
  - {name: Reading Lamp, id: light.reading_lamp, area: library, state: 'off'}
  - {name: Shelf Lights, id: light.shelf, area: library, state: 'on'}
  - {name: Cellar Light, id: light.cellar, area: cellar, state: 'off'}
  - {name: Cellar Fan, id: fan.cellar, area: cellar, state: 'off'}
  - {name: Hatch, id: cover.hatch, area: cellar, state: closed}
  - {name: Wine Pump, id: switch.wine_pump, area: cellar, state: 'off'}
";

    fn found(request: &str, domains: &[Domain]) -> (Vec<String>, Vec<String>) {
        let file = HomeFile::parse(HOME).unwrap();
        let home = file.home();
        let support = Wish::of(request).support(&Vocabulary::of(home), domains);
        (support.entities.iter().map(|i| home.entities()[*i].id.clone()).collect(), support.unexplained)
    }

    #[test]
    fn wishes_questions_and_talk_are_told_apart() {
        for (request, kind) in [
            ("Would you mind switching the pump on?", Kind::Wish),
            ("shut the hatch", Kind::Wish),
            ("cellar light off", Kind::Wish),
            ("We need more light down in the cellar", Kind::Wish),
            ("Remind me in five minutes", Kind::Wish),
            ("Is the hatch open?", Kind::Question),
            ("tell me whether the pump is on", Kind::Question),
            ("How do I turn on the pump?", Kind::Question),
            ("why did you turn on the pump", Kind::Question),
            ("Don't turn on the pump.", Kind::Talk),
            ("I turned on the pump already.", Kind::Talk),
            ("If it rains, close the hatch.", Kind::Talk),
            ("Turn on the pump in ten minutes.", Kind::Talk),
            ("You are kind.", Kind::Talk),
            ("", Kind::Talk),
        ] {
            assert_eq!(Wish::of(request).kind, kind, "{request}");
        }
    }

    #[test]
    fn what_is_to_be_done_is_read_from_verbs_and_particles() {
        for (request, deeds) in [
            ("switch the pump on", vec![Deed::On]),
            ("turn off the lamp on the shelf", vec![Deed::Off]),
            ("turn the lamp on the shelf off", vec![Deed::Off]),
            ("shut the hatch", vec![Deed::Close]),
            ("make the library cosy", vec![]),
            ("deactivate the pump", vec![Deed::Off]),
        ] {
            assert_eq!(Wish::of(request).deeds, deeds, "{request}");
        }
        assert!(Wish::of("all the lamps except the shelf off").has_exception());
    }

    #[test]
    fn the_entities_that_the_most_words_speak_for_are_found() {
        use Domain::{Cover, Fan, Light, Switch};
        for (request, domains, ids, unexplained) in [
            ("turn on the reading lamp", &[Light, Fan, Switch][..], &["light.reading_lamp"][..], &[][..]),
            ("some light in the cellar", &[Light, Fan, Switch], &["light.cellar"], &[]),
            ("start the wine pump", &[Light, Fan, Switch], &["switch.wine_pump"], &[]),
            ("turn off the library lights", &[Light, Fan, Switch], &["light.reading_lamp", "light.shelf"], &[]),
            ("all lights off", &[Light], &["light.reading_lamp", "light.shelf", "light.cellar"], &[]),
            ("open the hatch", &[Cover], &["cover.hatch"], &[]),
            ("turn on the fan in the library", &[Light, Switch], &[], &["fan", "library"]),
            ("turn on the sauna light", &[Light], &["light.reading_lamp", "light.shelf", "light.cellar"], &["sauna"]),
            ("sing a song", &[Light, Cover], &[], &["sing", "song"]),
        ] {
            let (found, words) = found(request, domains);
            assert_eq!(
                (found.as_slice(), words.as_slice()),
                (&ids.map_str()[..], &unexplained.map_str()[..]),
                "{request}"
            );
        }
    }

    trait MapStr {
        fn map_str(&self) -> Vec<String>;
    }
    impl MapStr for &[&str] {
        fn map_str(&self) -> Vec<String> {
            self.iter().map(|text| (*text).to_owned()).collect()
        }
    }

    #[test]
    fn two_wishes_in_one_sentence_are_two_clauses() {
        assert_eq!(
            Wish::clauses("Turn on the reading lamp and, please, close the hatch."),
            ["turn on the reading lamp", "close the hatch"]
        );
        assert_eq!(Wish::clauses("turn off the lamp and the pump"), ["turn off the lamp and the pump"]);
    }
}

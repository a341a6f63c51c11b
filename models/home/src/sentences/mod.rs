//! The sentence matcher: what a request means in one home, by sentence templates and the home's own names. It answers only where
//! exactly one reading fits what exists; it asks back where several things fit, and passes everything else on with the reason.
//!
//! Nothing here looks at a clock, keeps timers or changes a home: the outcome says what to do.

mod answers;
mod clauses;
mod community;
mod conditions;
mod followup;
mod gist;
mod idioms;
mod intents;
mod later;
mod negations;
mod nouns;
mod numbered;
mod outcome;
mod remarks;
mod reply;
mod slots;
mod state;
mod target;
mod template;
mod vocabulary;
pub mod wish;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

pub use followup::ASKED;
pub use later::{Due, is_for_a_while, is_for_later, is_of_timers};
pub use outcome::{Outcome, Pass, Reading, Request, Step, TimerChoice, Wording};
pub use reply::{reply, told_apart};
pub use template::{LoadError, TemplateError, TemplateSet};
pub use vocabulary::Vocabulary;

use intents::Found;
use later::Meant;
use outcome::Stop;
use target::{Resolver, Unresolved};

use crate::domain::Domain;
use crate::model::Home;
use crate::spoken;

/// Our own templates.
const ENGLISH: &[(&str, &str)] = &[
    ("english/common.yaml", include_str!("english/common.yaml")),
    ("english/power.yaml", include_str!("english/power.yaml")),
    ("english/light.yaml", include_str!("english/light.yaml")),
    ("english/openings.yaml", include_str!("english/openings.yaml")),
    ("english/comfort.yaml", include_str!("english/comfort.yaml")),
    ("english/media.yaml", include_str!("english/media.yaml")),
    ("english/robots.yaml", include_str!("english/robots.yaml")),
    ("english/lists.yaml", include_str!("english/lists.yaml")),
    ("english/timers.yaml", include_str!("english/timers.yaml")),
    ("english/talk.yaml", include_str!("english/talk.yaml")),
    ("english/questions.yaml", include_str!("english/questions.yaml")),
    ("english/weather.yaml", include_str!("english/weather.yaml")),
];

/// Where and when a request is made.
#[derive(Debug, Clone)]
pub struct Setting<'a> {
    /// The home.
    pub home: &'a Home,
    /// The id of the area of the device that was spoken to.
    pub area: Option<&'a str>,
    /// The time of day.
    pub now: jiff::civil::DateTime,
    /// The ids of what the last request was about.
    pub last: &'a [String],
    /// What the last request came to, for one that leans on it: "and the kitchen?". A question that was asked back has the intent
    /// [`ASKED`] and its choices for targets.
    pub before: Option<&'a Reading>,
    /// Whether the assistant keeps timers of its own: where not, "the timer" may be one of the home's.
    pub has_timers: bool,
}

/// Templates and the words that they contain.
#[derive(Debug)]
struct Sentences {
    templates: TemplateSet,
    words: HashSet<String>,
}

impl From<TemplateSet> for Sentences {
    fn from(templates: TemplateSet) -> Self {
        Self { words: templates.words(), templates }
    }
}

/// What parts of the present request came to: by their words and what "it" is in them.
type Parts = HashMap<(String, Vec<String>), Heard>;

/// Parts of one request that are tried before it is given up; one of three clauses takes some twenty.
const MOST_PARTS: usize = 64;

/// Matches requests.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// Ours, then a user's own.
    sets: Vec<Arc<Sentences>>,
    names: Option<Vocabulary>,
}

/// The names of the home, and what parts of the present request came to.
struct Turn<'v> {
    names: &'v Vocabulary,
    parts: RefCell<Parts>,
    /// What phrases mean where "it" is nothing yet.
    known: RefCell<target::Known>,
}

impl std::ops::Deref for Turn<'_> {
    type Target = Vocabulary;

    fn deref(&self) -> &Vocabulary {
        self.names
    }
}

impl Matcher {
    /// With our own English templates, which are parsed once in a program.
    ///
    /// # Errors
    /// [`LoadError`], which a test holds to never happen.
    pub fn english() -> Result<Self, LoadError> {
        static PARSED: OnceLock<Arc<Sentences>> = OnceLock::new();
        let ours = match PARSED.get() {
            Some(parsed) => parsed.clone(),
            None => {
                let parsed = Arc::new(TemplateSet::embedded(ENGLISH)?.into());
                PARSED.get_or_init(|| parsed).clone()
            }
        };
        Ok(Self { sets: vec![ours], names: None })
    }

    /// With a user's own sentences besides: a folder of template files, or one file. Their intents are ours, or the community's that
    /// have a counterpart here.
    ///
    /// # Errors
    /// [`LoadError`], naming the file and the line.
    pub fn with_sentences(mut self, path: &Path) -> Result<Self, LoadError> {
        let ours: HashSet<&str> = self.sets.iter().flat_map(|set| set.templates.intents()).collect();
        let known = |intent: &str| ours.contains(intent) || community::INTENTS.contains(&intent);
        let own = TemplateSet::load(path, &known)?;
        self.sets.push(Arc::new(own.into()));
        Ok(self)
    }

    /// What a request comes to.
    pub fn understand(&mut self, request: &str, setting: &Setting<'_>) -> Outcome {
        if !self.names.as_ref().is_some_and(|names| names.fits(setting.home)) {
            self.names = Some(Vocabulary::of(setting.home));
        }
        let Some(names) = &self.names else { return Outcome::Pass(Pass::NoTemplate) };
        let names = &Turn { names, parts: RefCell::default(), known: RefCell::default() };
        let text = plainly(&spoken::normalise(request));
        let followed = self.followed(request, names, setting);
        if let Some(followed) = followed.as_ref().filter(|followed| followed.marked) {
            return followed.heard.outcome.clone();
        }
        if let Some(outcome) = self.listed_after_colon(request, names, setting) {
            return outcome;
        }
        if let Some(step) = negations::named_like_one(&text, names, setting.home) {
            return Outcome::Do(vec![step]);
        }
        let special = self.forbidden(&text, names, setting).or_else(|| self.conditional(&text, names, setting));
        if let Some(outcome) = special {
            return outcome;
        }
        let Heard { outcome: mut first, negative, .. } = self.heard(&text, names, setting);
        if negative
            && matches!(first, Outcome::Do(_))
            && let Some(found) = self.gist(request, &text, names, setting)
        {
            return found;
        }
        if let (Outcome::Pass(_), Some(followed)) = (&first, followed) {
            return followed.heard.outcome;
        }
        if matches!(first, Outcome::Pass(_)) {
            if let Some(later) = self.later(&text, names, setting) {
                return later;
            }
            for other in
                [idioms::reworded(&text), idioms::without_reason(&text, |word| names.knows(&vocabulary::stem(word)))]
            {
                let heard = other.map(|text| self.heard(&text, names, setting));
                if let Some(Heard { outcome: found @ (Outcome::Do(_) | Outcome::Ask { .. }), .. }) = heard {
                    return found;
                }
            }
            // "Kettle, please": a thing that is switched, and nothing else.
            if text.split(' ').count() <= 5
                && request.to_lowercase().contains("please")
                && let Outcome::Do(steps) = self.heard(&format!("turn on {text}"), names, setting).outcome
                && steps.iter().all(|step| matches!(step, Step::Act(reading) if reading.intent == "TurnOn"))
            {
                return Outcome::Do(steps);
            }
            if let Some(outcome) = self.question_behind(request, &text, names, setting) {
                return outcome;
            }
            let reworded = idioms::reworded(&text);
            let texts = std::iter::once(text.as_str()).chain(reworded.as_deref());
            if let Some(found) = texts.filter_map(|text| self.gist(request, text, names, setting)).next() {
                return found;
            }
            let last = Vec::new();
            let known = RefCell::default();
            let resolver = Resolver { names, home: setting.home, here: None, last: &last, known: &known };
            if let Some(step) = answers::about(&text, &resolver, setting.now) {
                first = Outcome::Do(vec![step]);
            } else if let Some(step) = answers::missing(&text, &resolver) {
                first = Outcome::Do(vec![step]);
            }
        }
        if !matches!(first, Outcome::Pass(Pass::NoTemplate | Pass::UnknownName(_))) {
            return first;
        }
        let words: Vec<&HashSet<String>> = self.sets.iter().map(|set| &set.words).collect();
        // A sentence of words that mean nothing here is no misheard request.
        let is_known = |w: &str| names.knows(&vocabulary::stem(w)) || words.iter().any(|known| known.contains(w));
        if text.split(' ').filter(|w| !is_known(w)).count() > 4 {
            return first;
        }
        match names.corrected(&text, &words) {
            Some(corrected) => match self.heard(&corrected, names, setting) {
                // A guess at what was meant is no ground for a "there is none".
                heard if heard.negative && !matches!(heard.outcome, Outcome::Ask { .. }) => first,
                heard => match heard.outcome {
                    Outcome::Pass(_) => first,
                    // What is misheard or misspelt opens no door.
                    Outcome::Do(steps) if steps.iter().any(|step| opens(step, setting.home)) => first,
                    found => found,
                },
            },
            None => first,
        }
    }

    /// A wish for later, or for a while. What is only asked or said has no such time.
    fn later(&self, text: &str, names: &Turn<'_>, setting: &Setting<'_>) -> Option<Outcome> {
        let (wish, meant) = later::split(text, setting.now)?;
        // A reminder at a time is an alarm, and no note that is written then.
        if is_of_timers(&wish) {
            return None;
        }
        let heard = self.heard(&wish, names, setting);
        let steps = match heard.outcome {
            Outcome::Do(steps) if !heard.weak => steps,
            asked @ Outcome::Ask { .. } => return Some(asked),
            _ => return None,
        };
        let acts = steps.iter().map(|step| match step {
            Step::Act(reading) => Some(reading.clone()),
            Step::Say(..) | Step::Request(_) => None,
        });
        let readings: Vec<Reading> = acts.collect::<Option<_>>()?;
        let time = match meant {
            Meant::Later(due) => return Some(Outcome::Do(vec![Step::Request(Request::Later { due, wish, readings })])),
            Meant::For(time) => time,
        };
        let back = later::taken_back(&readings, setting.home)?;
        let mut steps = steps;
        let wish = later::opposite_words(&wish);
        steps.push(Step::Request(Request::Later { due: Due::After(time), wish, readings: back }));
        Some(Outcome::Do(steps))
    }

    /// One wish.
    fn one(&self, text: &str, names: &Turn<'_>, setting: &Setting<'_>) -> Heard {
        let key = (text.to_owned(), setting.last.to_vec());
        if let Some(heard) = names.parts.borrow().get(&key) {
            return heard.clone();
        }
        if text.is_empty() || names.parts.borrow().len() >= MOST_PARTS {
            return Outcome::Pass(Pass::NoTemplate).into();
        }
        let heard = self.read(text, names, setting);
        names.parts.borrow_mut().insert(key, heard.clone());
        heard
    }

    /// One wish, by every template that fits.
    fn read(&self, text: &str, names: &Turn<'_>, setting: &Setting<'_>) -> Heard {
        let here = setting.area.and_then(|id| setting.home.areas().iter().position(|a| a.id == id));
        let last: Vec<usize> =
            setting.last.iter().filter_map(|id| setting.home.entities().iter().position(|e| e.id == *id)).collect();
        let computed = slots::Computed::new(text, names, here.is_some(), setting.now.date());
        let own = RefCell::default();
        let known = if setting.last.is_empty() { &names.known } else { &own };
        let resolver = Resolver { names, home: setting.home, here, last: &last, known };
        let says_alarm = text.split(' ').any(|word| word == "alarm");
        let has_alarm = setting.home.entities().iter().any(|e| e.domain == Domain::AlarmControlPanel);
        let mut done: Vec<Fit> = Vec::new();
        let mut stops: Vec<(usize, Stop, Wording)> = Vec::new();
        let matches = self.sets.iter().flat_map(|set| set.templates.matches(text, &computed));
        for (data, m) in matches {
            let mut slots: Map<String, Value> = data.slots.clone();
            let mut wording = Wording { request: text.to_owned(), parts: Vec::new() };
            for capture in m.captures {
                wording.parts.push((capture.slot.clone(), capture.text));
                slots.insert(capture.slot, capture.value);
            }
            let mut intent = data.intent.as_str();
            if intent.starts_with("Hass") {
                let Some((name, renamed)) = community::ours(intent, &slots, &data.requires) else { continue };
                (intent, slots) = (name, renamed);
            }
            // "The alarm" is the house's, where there is one and no timer of the assistant's runs.
            let is_house_alarm = intent.starts_with("Timer") && !setting.has_timers && says_alarm && has_alarm;
            if is_house_alarm {
                continue;
            }
            let weak = slots.get("weak") == Some(&Value::Bool(true));
            let found = Found { said: text, intent, slots, resolver, now: setting.now, has_timers: setting.has_timers };
            match intents::carry_out(&found).map(|step| step.said(&wording)) {
                Ok(step) => match done.iter_mut().find(|fit| same(&fit.step, &step)) {
                    Some(fit) => {
                        fit.weak &= weak;
                        fit.literal = fit.literal.max(m.literal);
                    }
                    None => done.push(Fit { literal: m.literal, weak, step }),
                },
                // What is only implied is no wish that could be refused; but it may be asked for what.
                Err(stop @ (Stop::Target(Unresolved::Several { .. }) | Stop::Negative(_)))
                    if weak && is_complaint(text) =>
                {
                    stops.push((0, stop, wording));
                }
                Err(_) if weak => {}
                Err(stop) => stops.push((m.literal, stop, wording)),
            }
        }
        // The whole name of a scene or script is what is meant: "close the office" where a script is called so.
        let named = |fit: &Fit| match &fit.step {
            Step::Act(reading) if reading.intent == "SceneOn" => reading.targets.first().is_some_and(|id| {
                let stems = vocabulary::stems(text);
                names.named(&stems).iter().any(|i| setting.home.entities()[*i].id == *id)
            }),
            _ => false,
        };
        if let Some(at) = done.iter().position(named) {
            let fit = done.swap_remove(at);
            done = vec![fit];
        }
        // A thing whose whole name was said comes before what other words of the request may mean.
        let within = names.named_within(&vocabulary::stems(text));
        let is_whole = |fit: &Fit| match &targets(&fit.step)[..] {
            [id] => within.iter().any(|i| setting.home.entities()[*i].id == *id),
            _ => false,
        };
        if done.iter().any(is_whole) {
            done.retain(|fit| is_whole(fit) || matches!(&fit.step, Step::Request(_)));
        }
        // A timer that is a thing of this home comes before one that is made by saying so.
        if done.iter().any(|fit| matches!(&fit.step, Step::Act(_) | Step::Say(..))) {
            done.retain(|fit| !matches!(&fit.step, Step::Request(request) if request.is_about_timers()));
        }
        done.sort_by_key(|fit| std::cmp::Reverse(fit.literal));
        plainest(&mut done, &resolver);
        match done.as_slice() {
            [] => Heard { negative: true, ..Heard::from(stopped(stops, setting.home)) },
            [one] => Heard { weak: one.weak, negative: false, outcome: Outcome::Do(vec![one.step.clone()]) },
            several if several.iter().all(|fit| matches!(fit.step, Step::Say(..))) => {
                // Answers to one question from two sides: the one that is about the asker's room, or the first.
                let most = several[0].literal;
                let weather = |fit: &Fit| intent(&fit.step).starts_with("Weather");
                let mut best = several.iter().take_while(|fit| fit.literal == most);
                // What was asked of a thing comes before all that can be told of it.
                let attribute = best.clone().position(|fit| intent(&fit.step) == "AskAttribute");
                let first =
                    attribute.or_else(|| best.position(|fit| weather(fit) == resolver.here.is_none())).unwrap_or(0);
                Outcome::Do(vec![done.swap_remove(first).step]).into()
            }
            // "Set the house to night mode": a mode that something can be set to comes before a scene of such a name.
            several if text.ends_with(" mode") && several.iter().any(|fit| intent(&fit.step) == "SetOption") => {
                done.retain(|fit| intent(&fit.step) == "SetOption");
                Outcome::Do(vec![done.swap_remove(0).step]).into()
            }
            [first, second, ..] if first.literal > second.literal => {
                let first = done.swap_remove(0);
                Heard { weak: first.weak, negative: false, outcome: Outcome::Do(vec![first.step]) }
            }
            several => {
                Outcome::Pass(Pass::SeveralReadings(several.iter().map(|fit| intent(&fit.step)).collect())).into()
            }
        }
    }
}

/// A reading that fits.
struct Fit {
    /// How many bytes of the request the template's own words matched.
    literal: usize,
    /// Whether the wish is only implied: "it is dark in here".
    weak: bool,
    step: Step,
}

/// Of readings that fit as well, drops those that cut a name short ("the night light pink" is no light pink of a "night"), and those
/// that take the name of a room for part of the name of a thing in it.
fn plainest(done: &mut Vec<Fit>, resolver: &Resolver<'_>) {
    let Some(most) = done.first().map(|fit| fit.literal) else { return };
    let part = |fit: &Fit, slot: &str| match &fit.step {
        Step::Act(reading) | Step::Say(reading, _) => reading.wording.part(slot).map(|words| {
            words.split(' ').filter(|w| !matches!(*w, "the" | "my" | "our" | "to" | "at")).collect::<Vec<_>>().join(" ")
        }),
        Step::Request(_) => None,
    };
    // "Set the kitchen to 40": its lights, and no speaker that is called after the room.
    let of_place =
        |fit: &Fit| part(fit, "target").or_else(|| part(fit, "place")).is_some_and(|words| resolver.place(&words));
    let of_lights = |fit: &Fit| {
        let ids = targets(&fit.step);
        !ids.is_empty() && ids.iter().all(|id| Domain::of_id(id) == Domain::Light)
    };
    if done.len() > 1 && done.iter().all(of_place) && done.iter().any(of_lights) {
        done.retain(of_lights);
    }
    let Some(first) = done.first() else { return };
    let of = (intent(&first.step), targets(&first.step));
    if done.len() > 1
        && done.iter().all(|fit| fit.literal == most && (intent(&fit.step), targets(&fit.step)) == of)
        && let Some(longest) = done.iter().filter_map(|fit| part(fit, "target")).map(|words| words.len()).max()
    {
        done.retain(|fit| part(fit, "target").is_some_and(|words| words.len() == longest));
    }
}

/// What a request, or a part of one, comes to.
#[derive(Debug, Clone)]
struct Heard {
    outcome: Outcome,
    /// Whether the wish is only implied.
    weak: bool,
    /// Whether no reading fits, and the outcome says why: that there is no such thing, or which is meant.
    negative: bool,
}

impl From<Outcome> for Heard {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, weak: false, negative: false }
    }
}

/// The request with longer ways to say "every" and "in" in their short form.
fn plainly(text: &str) -> String {
    // A word said twice in a row.
    let mut words: Vec<&str> = text.split(' ').collect();
    words.dedup_by(|b, a| {
        a == b
            && matches!(
                *a,
                "turn"
                    | "switch"
                    | "the"
                    | "set"
                    | "open"
                    | "close"
                    | "in"
                    | "on"
                    | "off"
                    | "to"
                    | "a"
                    | "my"
                    | "please"
            )
    });
    let mut out = format!(" {} ", words.join(" "));
    if out.starts_with(" all off ") {
        out = out.replacen(" all off ", " everything off ", 1);
    }
    // What "off" is often heard as.
    if out.ends_with(" of ") {
        out.insert(out.len() - 1, 'f');
    }
    out = out.replacen(" of in ", " off in ", 1);
    for verb in ["turn", "switch", "shut"] {
        if out.starts_with(&format!(" {verb} of ")) {
            out = out.replacen(" of ", " off ", 1);
        }
    }
    for (long, short) in [
        (" kind of like ", " like "),
        (" possibly ", " "),
        (" i would like the ", " i want the "),
        (" each and every ", " every "),
        (" every single ", " every "),
        (" each of the ", " every "),
        (" each of my ", " every "),
        (" all of the ", " all the "),
        (" all of my ", " all my "),
        (" all of our ", " all our "),
    ] {
        if out.contains(long) {
            out = out.replace(long, short);
        }
    }
    out.trim().to_owned()
}

/// Whether something is said to be wrong here: "it is too dark in here".
fn is_complaint(text: &str) -> bool {
    text.ends_with(" here") || text.contains(" too ")
}

/// Whether a step unlocks, disarms, or opens a door, gate or valve.
fn opens(step: &Step, home: &Home) -> bool {
    let Step::Act(reading) = step else { return false };
    let is_entrance = |id: &String| {
        home.entity(id).is_some_and(|entity| matches!(entity.device_class(), Some("garage" | "gate" | "door")))
    };
    reading.calls.iter().any(|call| match call.service.as_str() {
        "lock.unlock" | "lock.open" | "alarm_control_panel.alarm_disarm" | "valve.open_valve" => true,
        "cover.open_cover" | "cover.set_cover_position" | "cover.toggle" => call.entities.iter().any(is_entrance),
        _ => false,
    })
}

fn targets(step: &Step) -> Vec<String> {
    match step {
        Step::Act(reading) | Step::Say(reading, _) => reading.targets.clone(),
        Step::Request(_) => Vec::new(),
    }
}

fn intent(step: &Step) -> String {
    match step {
        Step::Act(reading) | Step::Say(reading, _) => reading.intent.clone(),
        Step::Request(request) => format!("{request:?}"),
    }
}

/// Whether two steps do the same, whatever template led to them.
fn same(a: &Step, b: &Step) -> bool {
    match (a, b) {
        (Step::Act(a), Step::Act(b)) => a.calls == b.calls,
        (Step::Say(_, a), Step::Say(_, b)) => a == b,
        (a, b) => a == b,
    }
}

/// What is left where no match came to anything: a clear negative answer, a question, or a pass.
fn stopped(mut stops: Vec<(usize, Stop, Wording)>, home: &Home) -> Outcome {
    stops.sort_by_key(|(literal, ..)| std::cmp::Reverse(*literal));
    let say = |answer: String| {
        let reading = Reading { intent: "Negative".to_owned(), ..Reading::default() };
        Outcome::Do(vec![Step::Say(reading, answer)])
    };
    for (_, stop, wording) in &stops {
        if let Stop::Target(Unresolved::Several { what, entities }) = stop {
            let shown: Vec<&crate::model::Entity> = entities.iter().map(|i| &home.entities()[*i]).collect();
            let names: Vec<String> = reply::told_apart(&shown, home).into_iter().take(4).collect();
            let question = match shown.len() {
                0..=4 => format!("Which {what}: {}?", spoken::write::or(&names)),
                n => format!("Which {what} do you mean? There are {n}."),
            };
            let choices = shown.iter().map(|e| e.id.clone()).collect();
            return Outcome::Ask { question, choices, wording: wording.clone() };
        }
    }
    // What is known of a thing that is there comes before that there is none in a place.
    let known = stops.iter().find(|(_, stop, _)| matches!(stop, Stop::Negative(_)));
    let any = || stops.iter().find(|(_, stop, _)| !matches!(stop, Stop::Mismatch));
    let Some((_, first, _)) = known.or_else(any) else {
        return Outcome::Pass(Pass::NoTemplate);
    };
    match first {
        Stop::Negative(answer) => say(answer.clone()),
        Stop::Target(Unresolved::Nothing { what, place: Some(place) }) => {
            let are = if what.ends_with('s') { "are" } else { "is" };
            say(format!("There {are} no {what} {place}."))
        }
        Stop::Target(Unresolved::Nothing { what, place: None }) => Outcome::Pass(Pass::UnknownName(what.clone())),
        Stop::Target(Unresolved::Unknown(name)) => Outcome::Pass(Pass::UnknownName(name.clone())),
        Stop::Unsaid(what) => Outcome::Pass(Pass::NotKnown(what.clone())),
        _ => Outcome::Pass(Pass::NoTemplate),
    }
}

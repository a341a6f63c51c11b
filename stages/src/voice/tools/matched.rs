//! The first of those who answer: the sentence matcher. What it understands surely is done and answered at once, without the language
//! model; everything else is passed on. The bundled model has learned homes of rooms in words of its own: there it answers everything.

use std::time::{Duration, Instant};

use jiff::Zoned;
use nearfield_base::lists::joined;
use nearfield_home::sentences::{self, ASKED, Due, Matcher, Reading, Request, Setting, Step, TimerChoice};
use nearfield_home::{Outcome, ServiceCall, done, wanted};
use serde_json::{Value, json};

use super::timer::{TimerDone, Timers, Which, in_words};
use super::{CallError, HomeTools, ToolResult, Toolbox, home};

/// What the matcher has done, and what it says.
#[derive(Debug, Default)]
pub struct Matched {
    /// The sentence.
    pub reply: String,
    /// The services called.
    pub tools: Vec<ToolResult>,
}

/// What would become of a request; nothing is done to find out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Foreseen {
    /// The matcher would only say this.
    Said(String),
    /// It would do something, or what it says depends on that.
    Acts,
    /// It would leave the request to the language model.
    Passed,
}

/// The matcher, and what the last request was about.
#[derive(Debug)]
pub(super) struct Matching {
    matcher: Matcher,
    last: Vec<String>,
    /// What the last request came to, and when: "and the kitchen?" goes on with it.
    before: Option<(Reading, Instant)>,
}

/// A request goes on with one that was made so long ago at most.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(120);

impl Matching {
    /// With the sentences of a matcher.
    pub(super) fn by(matcher: Matcher) -> Self {
        Self { matcher, last: Vec::new(), before: None }
    }

    /// With our own sentences.
    pub(super) fn english() -> Option<Self> {
        match Matcher::english() {
            Ok(matcher) => Some(Self::by(matcher)),
            Err(error) => {
                tracing::warn!("{error}; requests go to the language model at once");
                None
            }
        }
    }
}

impl Matching {
    /// What the request means, which may go on with the one before.
    fn understand(&mut self, request: &str, home: &HomeTools, timers: &Timers, now: &Zoned) -> sentences::Outcome {
        let before = self.before.as_ref().filter(|(_, at)| at.elapsed() < FOLLOWS_WITHIN);
        let setting = Setting {
            home: home.household.home(),
            area: home.area.as_deref(),
            now: now.datetime(),
            last: &self.last,
            before: before.map(|(reading, _)| reading),
            has_timers: timers.is_any_running(),
        };
        self.matcher.understand(request, &setting)
    }
}

/// What consents to a question that was asked back, and what refuses.
const CONSENT: &[&str] =
    &["yes", "yeah", "yep", "sure", "ok", "okay", "confirm", "confirmed", "do it", "go ahead", "please do"];
const REFUSAL: &[&str] = &["no", "nope", "cancel", "stop", "never mind", "nevermind", "do not", "leave it"];

impl Toolbox {
    /// Carries out, or drops, what waits for a yes, whoever wanted it done. Anything but a yes or a no drops it and is `None`:
    /// consent is for the question just asked.
    pub fn consent(&mut self, request: &str) -> Option<Matched> {
        let now = self.now();
        let Self { home: Some(home), timers, .. } = self else { return None };
        if !home.household.awaits_confirmation() {
            return None;
        }
        let said = nearfield_home::spoken::words(request).join(" ").replace(" , ", " ");
        let begins = |phrase: &&str| said == **phrase || said.starts_with(&format!("{phrase} "));
        let is_short = said.split(' ').count() <= 4;
        let wish = match (REFUSAL.iter().any(begins), CONSENT.iter().any(begins)) {
            (true, _) if is_short => Request::No,
            (false, true) if is_short => Request::Yes,
            _ => {
                home.household.declined();
                return None;
            }
        };
        let mut tools = Vec::new();
        let reply = carried_out(wish, home, &mut timers.lock(), &now, &mut tools);
        Some(Matched { reply, tools })
    }

    /// A timer has run out: does what was to be done then, or rings.
    pub fn ring(&mut self, timer: &TimerDone) -> Matched {
        let now = self.now();
        let Some(home) = self.home.as_mut().filter(|_| !timer.wish.is_empty() && !timer.missed) else {
            return Matched { reply: timer.said(), tools: Vec::new() };
        };
        let mut tools = Vec::new();
        let said: Vec<String> = timer.wish.iter().map(|reading| acted(reading, home, &now, &mut tools)).collect();
        Matched { reply: said.join(" "), tools }
    }

    /// Whether a text, as it stands, is a command that can mean one thing only, by the home as it is now: a judge for the end of a turn.
    /// One that names neither a thing nor a place may go on with one: "Turn off the lights", "in the kitchen". `None` without a home.
    pub fn whole_commands(&self) -> Option<impl FnMut(&str) -> bool + Send + 'static> {
        let home = self.home.as_ref()?.household.home().clone();
        let mut matcher = match &self.matching {
            Some(matching) => matching.matcher.clone(),
            None => Matcher::english().ok()?,
        };
        let now = self.now().datetime();
        Some(move |text: &str| {
            let setting = Setting { home: &home, area: None, now, last: &[], before: None, has_timers: false };
            let sentences::Outcome::Do(steps) = matcher.understand(text, &setting) else { return false };
            steps.iter().all(|step| match step {
                // Also a question about one thing, which recognizers often write without its mark: "Is the front door locked".
                Step::Act(reading) | Step::Say(reading, _) => {
                    reading.targets.len() == 1 || reading.wording.part("place").is_some()
                }
                // "Set a timer for 10 minutes" needs no more.
                Step::Request(request) => matches!(request, Request::StartTimers { .. }),
            })
        })
    }

    /// What [`consent`](Self::consent) and [`matched`](Self::matched) would make of a request.
    pub(crate) fn foresee(&mut self, request: &str) -> Foreseen {
        let now = self.now();
        let Self { home: Some(home), matching, timers, .. } = self else { return Foreseen::Passed };
        if home.household.awaits_confirmation() {
            return Foreseen::Acts;
        }
        let Some(matching) = matching.as_mut().filter(|_| home.is_matched()) else { return Foreseen::Passed };
        if called_off(request).is_some_and(|said| timers.lock().has_wish(&said)) {
            return Foreseen::Acts;
        }
        let understood = matching.understand(request, home, &timers.lock(), &now);
        match understood {
            sentences::Outcome::Pass(_) => Foreseen::Passed,
            sentences::Outcome::Ask { question, .. } => Foreseen::Said(question),
            sentences::Outcome::Do(steps) if steps.iter().any(is_consent) => Foreseen::Passed,
            sentences::Outcome::Do(steps) => {
                let said = steps.into_iter().map(|step| match step {
                    Step::Say(_, answer) => Some(answer),
                    Step::Act(_) | Step::Request(_) => None,
                });
                said.collect::<Option<Vec<_>>>().map_or(Foreseen::Acts, |said| Foreseen::Said(said.join(" ")))
            }
        }
    }

    /// Does and answers a request that the matcher understands surely; `None` where the language model is to answer.
    pub fn matched(&mut self, request: &str) -> Option<Matched> {
        let now = self.now();
        let Self { home: Some(home), matching: Some(matching), timers, .. } = self else { return None };
        if !home.is_matched() {
            return None;
        }
        home.begin(request);
        // What was wished for later is called off, and nothing is switched off now.
        if let Some(said) = called_off(request).filter(|said| timers.lock().has_wish(said)) {
            matching.before = None;
            let (started, instant) = (Instant::now(), Instant::now());
            let reply = timers.lock().call_off(&said, instant);
            let tools = vec![of_timers("cancel", &reply, started)];
            return Some(Matched { reply, tools });
        }
        let understood = matching.understand(request, home, &timers.lock(), &now);
        // What another has answered in between is not gone on with.
        matching.before = None;
        let steps = match understood {
            sentences::Outcome::Do(steps) => steps,
            sentences::Outcome::Ask { question, choices, wording } => {
                let targets = choices.clone();
                let asked = Reading { intent: ASKED.to_owned(), targets, wording, ..Reading::default() };
                matching.before = Some((asked, Instant::now()));
                matching.last = choices;
                return Some(Matched { reply: question, tools: Vec::new() });
            }
            sentences::Outcome::Pass(why) => {
                tracing::debug!(%why, "the sentence matcher passes");
                return None;
            }
        };
        // Consent to nothing is talk, and for the language model.
        if steps.iter().any(is_consent) && !home.household.awaits_confirmation() {
            return None;
        }
        // "Open it for a minute" opens nothing that would not be closed again.
        let started = steps.iter().map(timers_started).sum();
        if let Some(why) = (started > 0).then(|| timers.refusal(started)).flatten() {
            return Some(Matched {
                reply: format!("I can start no timer and do nothing later: {why}."),
                tools: Vec::new(),
            });
        }
        let (mut said, mut tools, mut about) = (Vec::new(), Vec::new(), Vec::new());
        for step in steps {
            if let Step::Say(reading, _) | Step::Act(reading) = &step {
                matching.before = Some((reading.clone(), Instant::now()));
            }
            match step {
                Step::Say(reading, answer) => {
                    about.extend(reading.targets);
                    said.push(answer);
                }
                Step::Act(reading) => {
                    said.push(acted(&reading, home, &now, &mut tools));
                    about.extend(reading.targets);
                }
                Step::Request(request) => {
                    let (started, action) = (Instant::now(), timer_action(&request));
                    let sentence = carried_out(request, home, &mut timers.lock(), &now, &mut tools);
                    tools.extend(action.map(|action| of_timers(action, &sentence, started)));
                    said.push(sentence);
                }
            }
            // What follows a failed step may rest on it.
            if tools.last().is_some_and(|tool| !tool.ok) {
                break;
            }
        }
        if !about.is_empty() {
            matching.last = about;
        }
        Some(Matched { reply: said.join(" "), tools })
    }
}

/// What was done with timers, in the form of a tool's result.
fn of_timers(action: &str, sentence: &str, started: Instant) -> ToolResult {
    ToolResult {
        name: "timer".to_owned(),
        arguments: json!({"action": action}),
        ok: true,
        result: json!({"ok": true, "done": sentence}),
        elapsed: started.elapsed(),
        failure: None,
        mistake: false,
        own_words: true,
    }
}

/// What a request calls off: "cancel the coffee machine", "forget about turning on the fan".
fn called_off(request: &str) -> Option<String> {
    let text = nearfield_home::spoken::normalise(request);
    let begins = ["cancel ", "call off ", "abort ", "scrap ", "forget about ", "forget "];
    let rest = begins.iter().find_map(|verb| text.strip_prefix(verb))?;
    let rest = ["the wish to ", "the ", "my "].iter().find_map(|word| rest.strip_prefix(word)).unwrap_or(rest);
    let (first, more) = rest.split_once(' ').unwrap_or((rest, ""));
    let verb = nearfield_home::spoken::verbs::wish_of_gerund(first).filter(|_| !more.is_empty());
    Some(verb.map_or_else(|| rest.to_owned(), |verb| format!("{verb} {more}"))).filter(|said| !said.is_empty())
}

/// Makes the calls of a reading; answers what came of them.
fn acted(reading: &Reading, home: &mut HomeTools, now: &Zoned, tools: &mut Vec<ToolResult>) -> String {
    let started = Instant::now();
    let outcome = home.household.call(&reading.calls, &home.asking(now));
    let (sentence, error) = match outcome {
        Outcome::Done(changes) => (sentences::reply(reading, home.household.home(), &changes), None),
        outcome => told(home::failure(outcome, wanted(home.household.home(), &reading.calls))),
    };
    tools.extend(reading.calls.iter().map(|call| result(call, &sentence, error.as_ref(), started)));
    sentence
}

/// Whether a step consents to something, or refuses.
fn is_consent(step: &Step) -> bool {
    matches!(step, Step::Request(Request::Yes | Request::No | Request::Nevermind))
}

/// How many timers a step starts.
fn timers_started(step: &Step) -> usize {
    match step {
        Step::Request(Request::StartTimers { durations, .. }) => durations.len(),
        Step::Request(Request::Alarm { .. } | Request::Later { .. }) => 1,
        Step::Request(_) | Step::Act(_) | Step::Say(..) => 0,
    }
}

/// What a request does with timers.
fn timer_action(request: &Request) -> Option<&'static str> {
    Some(match request {
        Request::StartTimers { .. } => "start",
        Request::Alarm { .. } => "set alarm",
        Request::Later { .. } => "do later",
        Request::CancelTimers(_) => "cancel",
        Request::PauseTimers(_) => "pause",
        Request::ResumeTimers(_) => "resume",
        Request::ChangeTimer { .. } => "change",
        Request::TimerStatus(_) => "status",
        _ => return None,
    })
}

/// What the program around the home keeps: timers, the ledger, notes, consent.
fn carried_out(
    request: Request,
    home: &mut HomeTools,
    timers: &mut Timers,
    now: &Zoned,
    tools: &mut Vec<ToolResult>,
) -> String {
    let instant = Instant::now();
    let not_started = |reason: String| format!("I could not start the timer: {reason}.");
    match request {
        Request::StartTimers { durations, name } => {
            let mut labels = Vec::new();
            for time in durations {
                match timers.start_for(time, name.clone(), instant) {
                    Ok(label) => labels.push(label),
                    Err(reason) => return not_started(reason),
                }
            }
            match (labels.as_slice(), name) {
                ([label], Some(name)) => format!("The {name} timer of {label} is running."),
                ([label], None) => format!("The timer of {label} is running."),
                (labels, _) => format!("The timers of {} are running.", joined(labels)),
            }
        }
        Request::Alarm { at, name } => {
            let Ok(at) = at.to_zoned(now.time_zone().clone()) else {
                return not_started("there is no such time".to_owned());
            };
            let away = Duration::try_from(now.duration_until(&at)).unwrap_or_default();
            let day = if away > Duration::from_secs(24 * 3600) { " on %A" } else { "" };
            let label = at.strftime(&format!("%H:%M{day}")).to_string();
            let what = name.as_ref().map(|name| format!(": {name}")).unwrap_or_default();
            match timers.ring_at(label.clone(), away, name, instant) {
                Ok(_) => format!("The alarm is set for {label}, in {}{what}.", in_words(away)),
                Err(reason) => not_started(reason),
            }
        }
        Request::Later { due, wish, readings } => {
            let calls: Vec<ServiceCall> = readings.iter().flat_map(|reading| reading.calls.iter().cloned()).collect();
            if let Some(why) = home.household.refuses_later(&calls, &home.asking(now)) {
                return why;
            }
            let (away, when) = match due {
                Due::After(time) => (time, format!("in {}", in_words(time))),
                Due::At(at) => {
                    let Ok(at) = at.to_zoned(now.time_zone().clone()) else {
                        return "There is no such time.".to_owned();
                    };
                    let away = Duration::try_from(now.duration_until(&at)).unwrap_or_default();
                    (away, format!("at {}, in {}", at.strftime("%H:%M"), in_words(away)))
                }
            };
            match timers.do_after(away, wish.clone(), readings, instant) {
                Ok(_) => format!("I will {wish} {when}."),
                Err(reason) => format!("I cannot do that later: {reason}."),
            }
        }
        Request::CancelTimers(which) => timers.cancel(&meant(which), instant),
        Request::PauseTimers(which) => timers.pause(&meant(which), instant),
        Request::ResumeTimers(which) => timers.resume(&meant(which), instant),
        Request::ChangeTimer { which, seconds } => timers.change(&meant(which), seconds, instant),
        Request::TimerStatus(which) => timers.status(&meant(which), instant),
        Request::Undo { count } => home.household.undo(count).unwrap_or_else(|error| {
            tracing::warn!("{error}");
            format!("I could not undo that: {}.", error.cause())
        }),
        Request::LastActions => home.household.last_done(3),
        Request::Remember(text) => {
            let when = now.strftime("%Y-%m-%d").to_string();
            home.household.remembered().remember(&text, &when).map_or_else(
                |error| format!("I could not remember that: {error}."),
                |()| "I will remember that.".to_owned(),
            )
        }
        Request::Memories => {
            let notes: Vec<String> = home.household.notes().notes().iter().map(|note| note.text.clone()).collect();
            match notes.as_slice() {
                [] => "I remember nothing yet.".to_owned(),
                notes => format!("I remember: {}.", notes.join("; ")),
            }
        }
        Request::Forget(words) => match home.household.remembered().forget(&words) {
            Ok(gone) if gone.is_empty() => "I remember nothing like that.".to_owned(),
            Ok(gone) => {
                format!("I forgot: {}.", gone.iter().map(|note| note.text.as_str()).collect::<Vec<_>>().join("; "))
            }
            Err(error) => format!("I could not forget that: {error}."),
        },
        Request::Yes => {
            let asking = home.asking(now);
            let Some((calls, outcome)) = home.household.confirmed(&asking) else {
                return "There is nothing to confirm.".to_owned();
            };
            let (sentence, error) = match outcome {
                Outcome::Done(_) => (done(home.household.home(), &calls), None),
                outcome => told(home::failure(outcome, wanted(home.household.home(), &calls))),
            };
            tools.extend(calls.iter().map(|call| result(call, &sentence, error.as_ref(), instant)));
            sentence
        }
        Request::No | Request::Nevermind => {
            home.household.declined();
            "All right, I leave it as it is.".to_owned()
        }
    }
}

/// A failure as a sentence.
fn told(error: CallError) -> (String, Option<CallError>) {
    let spoken = error.spoken();
    let end = if spoken.ends_with(['.', '?', '!']) { "" } else { "." };
    (format!("{spoken}{end}"), Some(error))
}

fn meant(choice: TimerChoice) -> Which {
    Which { all: choice.all, name: choice.name, duration: choice.duration, alarm: choice.alarm }
}

/// A service call in the form of a tool's.
fn result(call: &ServiceCall, sentence: &str, error: Option<&CallError>, started: Instant) -> ToolResult {
    let mut arguments = call.data.clone();
    arguments.insert("entity_id".to_owned(), json!(call.entities));
    ToolResult {
        name: call.service.clone(),
        arguments: Value::Object(arguments),
        ok: error.is_none(),
        result: match error {
            None => json!({"ok": true, "done": sentence}),
            Some(error) => json!({"ok": false, "error": error.reason()}),
        },
        elapsed: started.elapsed(),
        failure: error.map(CallError::spoken),
        mistake: false,
        own_words: true,
    }
}

#[cfg(test)]
mod tests;

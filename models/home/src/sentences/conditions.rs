//! Wishes that depend on what is so now: "if the back door is open, turn the heating off", "turn on the fan if it is above 25
//! degrees in the study, otherwise turn it off", "unless somebody is at home, lock the front door". The condition is answered like the
//! question it is; what is to come ("when the washing is done, …") cannot be waited for, and the answer says so.

use super::outcome::{Outcome, Reading, Step};
use super::{Heard, Matcher, Setting, Turn, targets};
use crate::spoken;
use crate::spoken::verbs::is_wishing;

/// How a condition begins, and whether the wish is for where it holds.
const MARKS: &[(&str, bool)] = &[
    ("only if", true),
    ("but only if", true),
    ("if and only if", true),
    ("as long as", true),
    ("in case", true),
    ("provided that", true),
    ("provided", true),
    ("if", true),
    ("unless", false),
    ("except if", false),
];

/// How something begins that has not happened yet.
const TO_COME: &[&str] =
    &["when", "whenever", "as soon as", "once", "every time", "each time", "the moment", "after", "until"];

/// Where the other wish begins.
const OTHERWISE: &[&str] =
    &[" , otherwise ", " , or else ", " , else ", " , if not , ", " , if not ", " otherwise ", " or else ", " else "];

/// A wish, its condition, and what is wished where the condition does not hold.
struct Conditional {
    condition: String,
    holds: bool,
    wish: String,
    otherwise: Option<String>,
}

impl Matcher {
    /// A wish with a condition; `None` where there is none, or one of its parts is not understood.
    pub(super) fn conditional(&self, text: &str, names: &Turn<'_>, setting: &Setting<'_>) -> Option<Outcome> {
        // "Pause it until the baby is up": until then is what a pause is for. A time of day could be kept, and is not by a pause.
        if let Some((wish, until)) = text.split_once(" until ")
            && !is_time(until, setting.now.date())
            && matches!(wish.split(' ').next(), Some("pause" | "hold" | "mute"))
            && self.is_act(wish, names, setting)
        {
            return Some(self.heard(wish, names, setting).outcome);
        }
        if let Some(wish) = to_come(text) {
            return self.is_act(&wish, names, setting).then(|| {
                said(
                    "I cannot wait for that to happen: I can do it now, at a time of day, or if something is so now."
                        .to_owned(),
                )
            });
        }
        readings(text).into_iter().find_map(|found| self.carried_out(&found, names, setting))
    }

    fn carried_out(&self, found: &Conditional, names: &Turn<'_>, setting: &Setting<'_>) -> Option<Outcome> {
        let (question, negated) = question(&found.condition)?;
        // "It" in the condition is what the wish is for: "turn off the radio if it is playing".
        let wished = match setting.last.is_empty() && matches!(question.split(' ').nth(1), Some("it" | "they")) {
            true => Some(self.heard(&found.wish, names, setting)),
            false => None,
        };
        let about = wished.as_ref().map_or(setting.clone(), |wished| after(wished, setting));
        let asked = self.heard(&question, names, &about);
        let Outcome::Do(steps) = &asked.outcome else { return None };
        let [Step::Say(about, answer)] = &steps[..] else { return None };
        let is_so = match answer.split(',').next() {
            Some("Yes") => true,
            Some("No") => false,
            _ => return None,
        };
        // "It" in the wish is what the condition is about, where the wish has no other.
        let leans = setting.last.is_empty() && !about.targets.is_empty();
        let last = if leans { &about.targets[..] } else { setting.last };
        let within = Setting { last, ..setting.clone() };
        let heard = self.heard(&found.wish, names, &within);
        let other = found.otherwise.as_ref().map(|wish| self.heard(wish, names, &after(&heard, &within)));
        if !acts(&heard) || other.as_ref().is_some_and(|other| !acts(other)) {
            return None;
        }
        Some(match (is_so != negated) == found.holds {
            true => heard.outcome,
            false => match other {
                Some(other) => other.outcome,
                None => said(format!("{}, so I did nothing.", answer.trim_end_matches('.'))),
            },
        })
    }

    fn is_act(&self, wish: &str, names: &Turn<'_>, setting: &Setting<'_>) -> bool {
        acts(&self.heard(wish, names, setting))
    }
}

/// The setting for the other wish, whose "it" is what the first is for.
fn after<'a>(heard: &'a Heard, setting: &Setting<'a>) -> Setting<'a> {
    let last = match &heard.outcome {
        Outcome::Do(steps) => steps.iter().find_map(|step| match step {
            Step::Act(reading) => Some(&reading.targets[..]),
            Step::Say(..) | Step::Request(_) => None,
        }),
        _ => None,
    };
    Setting { last: last.unwrap_or(setting.last), ..setting.clone() }
}

/// Whether all that was heard is to be done, or is asked back.
fn acts(heard: &Heard) -> bool {
    match &heard.outcome {
        Outcome::Ask { .. } => true,
        // What is put on a list is text, conditions and all.
        Outcome::Do(steps) => {
            !heard.negative
                && !heard.weak
                && steps.iter().all(|step| {
                    matches!(step, Step::Act(reading) if reading.intent != "AddItem") && !targets(step).is_empty()
                })
        }
        Outcome::Pass(_) => false,
    }
}

/// Whether words begin with a time of day or a day.
fn is_time(text: &str, today: jiff::civil::Date) -> bool {
    let words: Vec<&str> = text.split(' ').filter(|w| !matches!(*w, "at" | "about" | "around")).collect();
    spoken::clock_time(&words).is_some()
        || spoken::number(&words).is_some()
        || spoken::day(&words, today).is_some()
        || spoken::duration(&words).is_some()
        || matches!(words.first(), Some(&("noon" | "midnight" | "later")))
}

fn said(answer: String) -> Outcome {
    let reading = Reading { intent: "Negative".to_owned(), ..Reading::default() };
    Outcome::Do(vec![Step::Say(reading, answer)])
}

/// The wish of "when the washing is done, turn the light on", or of "turn the light on when …".
fn to_come(text: &str) -> Option<String> {
    for mark in TO_COME {
        if let Some(rest) = text.strip_prefix(&format!("{mark} ")) {
            // "When is …" asks.
            let asks =
                matches!(rest.split(' ').next(), Some("is" | "are" | "do" | "does" | "did" | "was" | "were" | "will"));
            if asks {
                return None;
            }
            return splits(rest).into_iter().next().map(|(_, wish)| wish);
        }
        let Some((wish, event)) = text.rsplit_once(&format!(" {mark} ")) else { continue };
        let happens = event.split(' ').skip(1).any(|w| {
            matches!(
                w,
                "is" | "are"
                    | "has"
                    | "have"
                    | "gets"
                    | "comes"
                    | "goes"
                    | "starts"
                    | "stops"
                    | "opens"
                    | "closes"
                    | "arrives"
                    | "leaves"
                    | "finishes"
                    | "rings"
            )
        });
        if happens && wish.split(' ').next().is_some_and(is_wishing) && !matches!(*mark, "after" | "until") {
            return Some(wish.trim_end_matches([' ', ',']).to_owned());
        }
    }
    None
}

/// The ways in which a request may be a wish with a condition.
fn readings(text: &str) -> Vec<Conditional> {
    let mut found = Vec::new();
    for (mark, holds) in MARKS {
        if let Some(rest) = text.strip_prefix(&format!("{mark} ")) {
            for (condition, wish) in splits(rest) {
                let (wish, otherwise) = without_other(&wish);
                found.push(Conditional { condition, holds: *holds, wish, otherwise });
            }
        } else if let Some((wish, rest)) = text.split_once(&format!(" {mark} "))
            && wish.split(' ').next().is_some_and(is_wishing)
        {
            let (condition, otherwise) = without_other(rest);
            let wish = wish.trim_end_matches([' ', ',']).to_owned();
            found.push(Conditional { condition, holds: *holds, wish, otherwise });
        }
    }
    found
}

/// Where a condition ends and a wish begins: at a comma or "then", else at a verb with which wishes begin.
fn splits(text: &str) -> Vec<(String, String)> {
    let words: Vec<&str> = text.split(' ').collect();
    let mut found = Vec::new();
    for at in 2..words.len() {
        let mark = matches!(words[at], "," | "then");
        let skip = words[at..].iter().take_while(|w| matches!(**w, "," | "then" | "please" | "and")).count();
        let rest = &words[at + skip..];
        if rest.is_empty() || !(mark || is_wishing(rest[0])) || skip > 0 && !mark {
            continue;
        }
        // "If the hatch is open close it": what stands behind "is" belongs to it.
        if matches!(words[at - 1], "is" | "are" | "not" | "to" | "the") {
            continue;
        }
        let wish = spoken::normalise(&rest.join(" "));
        found.push((words[..at].join(" "), wish));
    }
    // A comma says where it is.
    found.sort_by_key(|(condition, _)| !text[condition.len()..].trim_start().starts_with([',', 't']));
    found.truncate(4);
    found
}

fn without_other(text: &str) -> (String, Option<String>) {
    for mark in OTHERWISE {
        if let Some((first, other)) = text.split_once(mark) {
            return (first.to_owned(), Some(spoken::normalise(other)));
        }
    }
    (text.trim_end_matches([' ', ',']).to_owned(), None)
}

/// A condition as a question, and whether it says that it is not so: "the door is not open" asks "is the door open".
fn question(condition: &str) -> Option<(String, bool)> {
    let words: Vec<&str> = condition.split(' ').filter(|w| *w != ",").collect();
    let at = words.iter().position(|w| matches!(*w, "is" | "are"))?;
    if at == 0 || at + 1 == words.len() {
        return None;
    }
    let (subject, mut rest) = (&words[..at], &words[at + 1..]);
    let negated = rest[0] == "not";
    if negated {
        rest = &rest[1..];
    }
    let question: Vec<&str> = [&words[at..=at], subject, rest].concat();
    (!rest.is_empty()).then(|| (question.join(" "), negated))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_told_from_its_wish_at_either_end() {
        let one = |text: &str| {
            let found = readings(text).into_iter().next().unwrap();
            (found.condition, found.holds, found.wish, found.otherwise.unwrap_or_default())
        };
        let is = |condition: &str, holds: bool, wish: &str, other: &str| {
            (condition.to_owned(), holds, wish.to_owned(), other.to_owned())
        };
        assert_eq!(one("if the hatch is open , close it"), is("the hatch is open", true, "close it", ""));
        assert_eq!(one("if the hatch is open close it"), is("the hatch is open", true, "close it", ""));
        assert_eq!(one("unless it is dark , open the blinds"), is("it is dark", false, "open the blinds", ""));
        assert_eq!(
            one("turn the fan on if it is hot , otherwise turn it off"),
            is("it is hot", true, "turn the fan on", "turn it off")
        );
        assert_eq!(question("the hatch is not open"), Some(("is the hatch open".to_owned(), true)));
        assert_eq!(question("it rains"), None);
    }

    #[test]
    fn what_is_to_come_is_no_condition_of_now_and_no_question() {
        assert_eq!(to_come("when the washing is done , turn on the lamp").as_deref(), Some("turn on the lamp"));
        assert_eq!(to_come("turn on the lamp when anna comes home").as_deref(), Some("turn on the lamp"));
        for text in ["when is the dentist", "when does the fair start", "turn on the lamp"] {
            assert_eq!(to_come(text), None, "{text}");
        }
    }
}

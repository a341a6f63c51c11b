//! Rules of the user's: words in the caption or things in a part of the picture that are worth an event of their own, not more
//! often than once in a while.

use std::time::Duration;

use nearfield_base::range::in_range;
use nearfield_vision::{Object, Rect};
use serde::{Deserialize, Serialize};

/// One `[[alerts]]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlertRule {
    /// What the event is called.
    #[schemars(example = &"somebody at the door")]
    pub name: String,
    /// Whole words or phrases of the caption, in any case; one of them is enough.
    #[schemars(example = ["umbrella"])]
    pub words: Vec<String>,
    /// Labels of the vision model; one of them is enough; one that it does not have is refused.
    #[schemars(example = ["person"])]
    pub objects: Vec<String>,
    /// Objects below this score do not count.
    #[schemars(example = 0.5)]
    pub min_score: f32,
    /// Only objects whose middle lies in this part of the picture: x, y, width, height, each from 0 to 1. Empty: anywhere.
    #[schemars(example = [0.0, 0.2, 0.4, 0.8])]
    pub zone: Vec<f32>,
    /// The shortest time between two alerts of this rule.
    #[schemars(example = 60.0)]
    pub cooldown_s: f64,
}

impl AlertRule {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key and what would be right.
    pub fn check(&self) -> Result<(), String> {
        if self.name.is_empty() {
            return Err("each of [[alerts]] needs a name".to_owned());
        }
        let named = |what: String| format!("the alert {}: {what}", self.name);
        if self.words.is_empty() && self.objects.is_empty() {
            return Err(named("it needs words or objects".to_owned()));
        }
        if !self.zone.is_empty() && (self.zone.len() != 4 || self.zone.iter().any(|v| !(0.0..=1.0).contains(v))) {
            return Err(named("zone is x, y, width, height, each from 0 to 1".to_owned()));
        }
        in_range("min_score", self.min_score, 0.0..=1.0).map_err(named)?;
        if !(0.0..=1e9).contains(&self.cooldown_s) {
            return Err(named(format!("cooldown_s is {} but must be from 0 to 1e9", self.cooldown_s)));
        }
        Ok(())
    }
}

/// A rule that holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alert {
    /// The rule's name.
    pub name: String,
    /// The word or the label that made it hold.
    pub because: String,
}

/// The rules of a camera and when each last held.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    rules: Vec<(AlertRule, Option<Duration>)>,
}

impl Alerts {
    /// These rules.
    pub fn new(rules: Vec<AlertRule>) -> Self {
        Self { rules: rules.into_iter().map(|rule| (rule, None)).collect() }
    }

    /// The rules that hold for a picture: `new_caption` only where it was just written, `objects` each time.
    pub fn of(&mut self, new_caption: Option<&str>, objects: &[Object], now: Duration) -> Vec<Alert> {
        let spoken = new_caption.map(words_of).unwrap_or_default();
        let mut alerts = Vec::new();
        for (rule, last) in &mut self.rules {
            let cooldown = Duration::from_secs_f64(rule.cooldown_s);
            if last.is_some_and(|at| now.saturating_sub(at) < cooldown) {
                continue;
            }
            let word = rule.words.iter().find(|word| {
                let word = words_of(word);
                word.len() > 2 && spoken.contains(&word)
            });
            let zone = match rule.zone[..] {
                [x, y, w, h] => Rect { x, y, w, h },
                _ => Rect { x: 0.0, y: 0.0, w: 1.0, h: 1.0 },
            };
            let object = objects.iter().find(|o| {
                let (x, y) = o.rect.centre();
                o.score >= rule.min_score && rule.objects.contains(&o.label) && zone.holds(x, y)
            });
            if let Some(because) = word.or(object.map(|o| &o.label)) {
                *last = Some(now);
                alerts.push(Alert { name: rule.name.clone(), because: because.clone() });
            }
        }
        alerts
    }
}

/// A text as lower-case words with one space before, between and after them.
fn words_of(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
    words.fold(" ".to_owned(), |all, word| all + word + " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(x: f32) -> Object {
        Object { label: "person".to_owned(), score: 0.8, rect: Rect::around(x, 0.5, 0.1, 0.4), class: 0 }
    }

    #[test]
    fn an_alert_holds_in_its_zone_and_then_rests() {
        let rule = AlertRule {
            name: "door".to_owned(),
            objects: vec!["person".to_owned()],
            zone: vec![0.0, 0.0, 0.5, 1.0],
            cooldown_s: 10.0,
            ..AlertRule::default()
        };
        let mut alerts = Alerts::new(vec![rule]);
        let mut at = |s: u64, x: f32| alerts.of(None, &[person(x)], Duration::from_secs(s)).len();
        assert_eq!([at(0, 0.8), at(1, 0.2), at(5, 0.2), at(10, 0.8), at(11, 0.3)], [0, 1, 0, 0, 1]);
    }

    #[test]
    fn words_are_whole_words() {
        let rule = AlertRule { name: "cat".to_owned(), words: vec!["Cat".to_owned()], ..AlertRule::default() };
        let mut alerts = Alerts::new(vec![rule]);
        let mut of = |text| alerts.of(Some(text), &[], Duration::ZERO).len();
        assert_eq!([of("A cattle truck on the left."), of("Two dogs and a cat."), of("Nothing to see.")], [0, 1, 0]);
    }
}

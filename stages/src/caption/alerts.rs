//! Rules of the user's: words in the caption or things in a part of the picture that are worth an event of their own, not more
//! often than once in a while.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nearfield_base::range::in_range;
use nearfield_vision::{Object, Rect, Zone};
use serde::{Deserialize, Serialize};

const HOUR: Duration = Duration::from_secs(3600);

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
    /// Names of `[[zones]]`: only objects that stand in one of them. Empty: anywhere.
    #[schemars(example = ["driveway"])]
    pub zones: Vec<String>,
    /// The shortest time between two alerts of this rule.
    #[schemars(example = 60.0)]
    pub cooldown_s: f64,
    /// At most so many alerts of this rule within an hour; 0: any number.
    #[schemars(example = 10)]
    pub per_hour: u32,
    /// Times of the day without alerts of this rule, in local time.
    #[schemars(example = ["22:00-07:00"])]
    pub quiet: Vec<String>,
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
        match self.zone[..] {
            [] => {}
            [x, y, w, h] if self.zone.iter().all(|v| (0.0..=1.0).contains(v)) && w > 0.0 && h > 0.0 => {
                if x + w > 1.001 || y + h > 1.001 {
                    let what = format!("zone {:?} reaches beyond the picture: it is x, y, width, height", self.zone);
                    return Err(named(what));
                }
            }
            _ => {
                let what = "zone is x, y, width, height, each from 0 to 1, width and height above 0";
                return Err(named(what.to_owned()));
            }
        }
        in_range("min_score", self.min_score, 0.0..=1.0).map_err(named)?;
        if !(0.0..=1e9).contains(&self.cooldown_s) {
            return Err(named(format!("cooldown_s is {} but must be from 0 to 1e9", self.cooldown_s)));
        }
        in_range("per_hour", self.per_hour, 0..=10_000).map_err(named)?;
        self.quiet_hours().map(drop).map_err(named)
    }

    /// The quiet hours as minutes of the day, from and to.
    fn quiet_hours(&self) -> Result<Vec<(u16, u16)>, String> {
        let wrong = |text: &str| format!("quiet has {text:?} but each must be as \"22:00-07:00\"");
        let minutes = |text: &str| {
            let (hours, minutes) = text.trim().split_once(':')?;
            let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
            (hours < 24 && minutes < 60 || (hours, minutes) == (24, 0)).then_some(hours * 60 + minutes)
        };
        let span = |text: &String| {
            let (from, to) = text.split_once('-').ok_or_else(|| wrong(text))?;
            let (from, to) = minutes(from).zip(minutes(to)).ok_or_else(|| wrong(text))?;
            match from == to {
                true => Err(format!("quiet has {text:?}, which is no time at all; all of the day is \"00:00-24:00\"")),
                false => Ok((from, to)),
            }
        };
        self.quiet.iter().map(span).collect()
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
    rules: Vec<Watched>,
    zones: Vec<Zone>,
}

/// A rule and what came of it.
#[derive(Clone, Debug)]
struct Watched {
    rule: AlertRule,
    quiet: Vec<(u16, u16)>,
    last: Option<Duration>,
    /// The alerts of the last hour.
    hour: VecDeque<Duration>,
}

impl Watched {
    /// Whether it may tell anything now.
    fn may(&mut self, now: Duration, time: SystemTime) -> bool {
        let cooldown = Duration::from_secs_f64(self.rule.cooldown_s);
        if self.last.is_some_and(|at| now.saturating_sub(at) < cooldown) {
            return false;
        }
        while self.hour.front().is_some_and(|at| now.saturating_sub(*at) >= HOUR) {
            self.hour.pop_front();
        }
        if self.rule.per_hour > 0 && self.hour.len() >= self.rule.per_hour as usize {
            return false;
        }
        if self.quiet.is_empty() {
            return true;
        }
        let Ok(time) = Timestamp::try_from(time) else { return true };
        let local = time.to_zoned(TimeZone::system());
        let minute = local.hour() as u16 * 60 + local.minute() as u16;
        !self.quiet.iter().any(|&(from, to)| match from <= to {
            true => (from..to).contains(&minute),
            false => minute >= from || minute < to,
        })
    }
}

impl Alerts {
    /// These rules, with the zones that they name.
    pub fn new(rules: Vec<AlertRule>, zones: Vec<Zone>) -> Self {
        let watched = |rule: AlertRule| {
            let quiet = rule.quiet_hours().unwrap_or_default();
            Watched { rule, quiet, last: None, hour: VecDeque::new() }
        };
        Self { rules: rules.into_iter().map(watched).collect(), zones }
    }

    /// The rules that hold for a picture: `new_caption` only where it was just written, `objects` each time.
    /// `now` is the source's time, `time` the calendar's.
    pub fn of(&mut self, new_caption: Option<&str>, objects: &[Object], now: Duration, time: SystemTime) -> Vec<Alert> {
        let spoken = new_caption.map(words_of).unwrap_or_default();
        let mut alerts = Vec::new();
        for watched in &mut self.rules {
            if !watched.may(now, time) {
                continue;
            }
            let rule = &watched.rule;
            let word = rule.words.iter().find(|word| {
                let word = words_of(word);
                word.len() > 2 && spoken.contains(&word)
            });
            let zone = match rule.zone[..] {
                [x, y, w, h] => Rect { x, y, w, h },
                _ => Rect { x: 0.0, y: 0.0, w: 1.0, h: 1.0 },
            };
            let zones: Vec<&Zone> = self.zones.iter().filter(|z| rule.zones.contains(&z.name)).collect();
            let object = objects.iter().find(|o| {
                let (x, y) = o.rect.centre();
                let stands = rule.zones.is_empty() || zones.iter().any(|z| z.holds(&o.label, &o.rect));
                o.score >= rule.min_score && rule.objects.contains(&o.label) && zone.holds(x, y) && stands
            });
            if let Some(because) = word.or(object.map(|o| &o.label)) {
                alerts.push(Alert { name: rule.name.clone(), because: because.clone() });
                watched.last = Some(now);
                if rule.per_hour > 0 {
                    watched.hour.push_back(now);
                }
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
        let mut alerts = Alerts::new(vec![rule], Vec::new());
        let mut at =
            |s: u64, x: f32| alerts.of(None, &[person(x)], Duration::from_secs(s), SystemTime::UNIX_EPOCH).len();
        assert_eq!([at(0, 0.8), at(1, 0.2), at(5, 0.2), at(10, 0.8), at(11, 0.3)], [0, 1, 0, 0, 1]);
    }

    #[test]
    fn words_are_whole_words() {
        let rule = AlertRule { name: "cat".to_owned(), words: vec!["Cat".to_owned()], ..AlertRule::default() };
        let mut alerts = Alerts::new(vec![rule], Vec::new());
        let mut of = |text| alerts.of(Some(text), &[], Duration::ZERO, SystemTime::UNIX_EPOCH).len();
        assert_eq!([of("A cattle truck on the left."), of("Two dogs and a cat."), of("Nothing to see.")], [0, 1, 0]);
    }

    #[test]
    fn an_alert_is_quiet_at_its_hours_limited_and_bound_to_its_zones() {
        let rule = AlertRule {
            name: "door".to_owned(),
            objects: vec!["person".to_owned()],
            zones: vec!["right".to_owned()],
            per_hour: 2,
            ..AlertRule::default()
        };
        let right = Zone {
            name: "right".to_owned(),
            points: vec![[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]],
            ..Zone::default()
        };
        let mut alerts = Alerts::new(vec![rule.clone()], vec![right.clone()]);
        let mut at =
            |s: u64, x: f32| alerts.of(None, &[person(x)], Duration::from_secs(s), SystemTime::UNIX_EPOCH).len();
        assert_eq!([at(0, 0.2), at(1, 0.8), at(2, 0.8), at(3, 0.8), at(3601, 0.8), at(3601, 0.8)], [0, 1, 1, 0, 1, 0]);
        // Whatever the time zone, all of the day but a minute is quiet at some time of it.
        let quiet = AlertRule { quiet: vec!["22:00-07:00".to_owned()], per_hour: 0, ..rule };
        assert_eq!(quiet.check(), Ok(()));
        let mut alerts = Alerts::new(vec![quiet.clone()], vec![right]);
        let noon = jiff::civil::date(2026, 3, 1).at(12, 0, 0, 0).to_zoned(TimeZone::system()).unwrap();
        let mut told = |hours: i64| {
            let time = noon.checked_add(jiff::Span::new().hours(hours)).unwrap();
            alerts.of(None, &[person(0.8)], Duration::ZERO, time.timestamp().into()).len()
        };
        assert_eq!([told(0), told(9), told(10), told(15), told(18), told(19)], [1, 1, 0, 0, 0, 1]);
        let checked = |text: &str| AlertRule { quiet: vec![text.to_owned()], ..quiet.clone() }.check();
        assert!(checked("22-7").unwrap_err().contains("22:00-07:00"));
        assert!(checked("07:00-07:00").unwrap_err().contains("00:00-24:00"));
        assert_eq!((checked("00:00-24:00"), checked("07:00-07:01")), (Ok(()), Ok(())));
        let zoned = |zone: &[f32]| AlertRule { zone: zone.to_vec(), ..quiet.clone() }.check();
        assert!(zoned(&[0.9, 0.9, 0.5, 0.5]).unwrap_err().contains("beyond the picture"));
        assert!(zoned(&[0.1, 0.1, 0.0, 0.5]).unwrap_err().contains("above 0"));
        assert_eq!(zoned(&[0.7, 0.0, 0.3, 1.0]), Ok(()));
    }
}

//! A question in English becomes one of a closed set of computations, or is refused with the reason. Every word has to be accounted
//! for: by a time, by what is asked, by the name of exactly one sensor, or by saying nothing. So nothing is guessed.

use jiff::Zoned;
use thiserror::Error;

use super::limit::{Limit, limit};
use super::period::{Calendar, Period};
use super::spoken::Words;
use super::times::{Times, times};
use super::words::{Adjective, Degree, Quantity, is_filler, is_named, noun, state_words};
use crate::kind::Kind;
use crate::read::states::of_code;
use crate::table::state_word;
use crate::{Moment, SensorTraits};

/// The longest question, in words.
const MAX_WORDS: usize = 60;
/// Sensors that a refusal names.
const MAX_NAMED: usize = 8;

/// Why a meter has no mean and no highest value.
const COUNTS: &str = "counts: ask for its sum, or for the day with the most";

/// Why a level has no sum.
const NO_SUM: &str = "is a level and no meter, so it has no sum: ask for its mean, or name a meter";
/// Why directions are not compared.
const TURNS: &str = "is a direction: of two, neither is higher; ask for its mean or its value at a time";

/// Why a question is not answered.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum NotUnderstood {
    /// There is nothing, or far too much.
    #[error("a question has 1 to 60 words")]
    Length,
    /// A word that means nothing here.
    #[error("{0:?} is neither the name of a sensor nor a word that questions may have; the sensors: {1}")]
    Word(String, String),
    /// No sensor, or several.
    #[error("which sensor is meant: {0}?")]
    Sensor(String),
    /// What is asked for is not clear.
    #[error(
        "this asks for nothing that can be computed: ask for the lowest, highest or mean value, a sum, how often or how long something \
         was so, when it last was, which day was the coldest, or whether it is above a value"
    )]
    What,
    /// The sensor has no such thing.
    #[error("the {0} {1}")]
    Kind(String, &'static str),
    /// Two times where one was wanted, or the other way round.
    #[error(
        "the times of the question are not clear: name one, as in \"yesterday\", \"last week\", \"on 5 March\", or two to compare"
    )]
    Times,
    /// A time that has not come.
    #[error("the time of the question is still to come: only what was read can be told")]
    Future,
    /// A unit that may be one of several, as "mw".
    #[error(
        "the unit {0:?} may be read in several ways: write it with its large and small letters, as in \"mW\" or \"MW\""
    )]
    Unit(String),
}

/// Days, weeks and the like, of which one is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week from Monday on.
    Week,
    /// A month.
    Month,
}

/// What is looked at in each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The mean.
    Mean,
    /// The lowest or the highest reading.
    Extreme,
    /// What was counted.
    Sum,
}

/// What may hold at a time.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// More than this, in the sensor's unit.
    Above(f64),
    /// Less than this.
    Below(f64),
    /// In this state, under this word.
    State(f64, String),
}

impl Condition {
    /// Whether it holds of a value. Of two states, the one is what lies above the half, as everywhere.
    pub(super) fn holds(&self, value: f64, kind: Option<Kind>) -> bool {
        match self {
            Condition::Above(limit) => value > *limit,
            Condition::Below(limit) => value < *limit,
            Condition::State(state, _) if kind == Some(Kind::Binary) => (value > 0.5) == (*state > 0.5),
            Condition::State(state, _) => value == *state,
        }
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The newest value.
    Now,
    /// The value at a moment.
    At(Moment),
    /// Mean, lowest and highest.
    Summary,
    /// The mean.
    Mean,
    /// The highest (`true`) or lowest value, and when.
    Extreme(bool),
    /// What a meter counted, or the sum of amounts.
    Sum,
    /// How often something began to be so.
    Count(Condition),
    /// How long it was so.
    Lasted(Condition),
    /// Since when it is so now, and for how long.
    Since(Condition),
    /// When it was last so; `true`: when it last began to be so.
    Last(Condition, bool),
    /// Whether it is so now.
    Is(Condition),
    /// Whether it was so at any time.
    Was(Condition),
    /// The day with the most (`true`) or the least.
    Which(Bucket, By, bool),
    /// The sensor of several that has the most (`true`) or the least; `None` in place of [`By`]: by their newest values.
    Pick(Vec<usize>, Option<By>, bool),
    /// Two periods; what the asker supposes of the first, if anything: that it has more (`true`) or less.
    Compare(Period, By, Option<bool>),
}

/// A question that is understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The sensor's place among those that are known.
    pub sensor: usize,
    /// What is asked of it.
    pub what: What,
    /// Of which time; `None`: of all that is known.
    pub period: Option<Period>,
}

/// Reads a question about `sensors` that is asked at `now`.
///
/// # Errors
/// Why it can't be answered.
pub fn parse(text: &str, sensors: &[SensorTraits], now: &Zoned) -> Result<Question, NotUnderstood> {
    let mut words = Words::of(text);
    if words.all.is_empty() || words.all.len() > MAX_WORDS {
        return Err(NotUnderstood::Length);
    }
    // A sensor's whole name is not read as a time or as what is asked: "March house", "low tank".
    let named = take_whole_name(&mut words, sensors);
    let calendar = Calendar { now };
    let times = times(&mut words, &calendar)?;
    let limit = limit(&mut words)?;
    let seeker = Seeker { words, sensors, named, times, limit, calendar };
    seeker.question()
}

/// The sensor whose whole name of several words stands in the question.
fn take_whole_name(words: &mut Words, sensors: &[SensorTraits]) -> Option<usize> {
    let mut names: Vec<(usize, Vec<String>)> = sensors
        .iter()
        .enumerate()
        .map(|(i, s)| (i, s.name.to_lowercase().split(' ').map(str::to_owned).collect()))
        .collect();
    names.sort_by_key(|(_, name): &(usize, Vec<String>)| std::cmp::Reverse(name.len()));
    let (sensor, name) = names
        .into_iter()
        .filter(|(_, name)| name.len() > 1)
        .find(|(_, name)| words.has(&name.iter().map(String::as_str).collect::<Vec<_>>()))?;
    words.take(&name.iter().map(String::as_str).collect::<Vec<_>>());
    Some(sensor)
}

/// Everything that is known of a question while it is read.
pub(super) struct Seeker<'a> {
    pub(super) words: Words,
    pub(super) sensors: &'a [SensorTraits],
    named: Option<usize>,
    pub(super) times: Times,
    pub(super) limit: Option<Limit>,
    calendar: Calendar<'a>,
}

impl Seeker<'_> {
    fn question(mut self) -> Result<Question, NotUnderstood> {
        if let Some(question) = self.pick()? {
            return Ok(question);
        }
        let words = &mut self.words;
        let asks = [["how", "often"].as_slice(), &["how", "many", "times"]].iter().any(|ask| words.take(ask));
        let lasts = words.take(&["how", "long"]);
        let when = words.has(&["when"]);
        let bucket = [("hour", Bucket::Hour), ("day", Bucket::Day), ("week", Bucket::Week), ("month", Bucket::Month)]
            .into_iter()
            .find(|(name, _)| words.take(&["which", name]) || words.take(&["what", name]))
            .map(|(_, bucket)| bucket);
        let averages = words.take_any(&["average", "averaged", "mean"]);
        let counts = words.take_any(&[
            "consumed",
            "consumption",
            "consume",
            "used",
            "use",
            "usage",
            "produced",
            "produce",
            "count",
            "counted",
            "sum",
            "total",
        ]);
        let last = words.take(&["last"]) || words.take(&["most", "recently"]);
        let is_now = words.has(&["is"]) || words.has(&["are"]);
        let until_now = (words.has(&["has"]) || words.has(&["have"])) && words.has(&["been"]);
        let much = words.has(&["how", "much"]);
        words.take_any(&["now", "currently"]);
        let compares = words.take_any(&["compare", "compared"]) | words.take(&["than"]) | words.take(&["versus"]);
        let most_humid = words.take(&["most", "humid"]).then_some(Degree::Superlative);
        let more_humid = words.take(&["more", "humid"]).then_some(Degree::Comparative);
        let humid = most_humid.or(more_humid).map(|degree| Adjective {
            quantity: Some(Quantity::Humidity),
            more: true,
            degree,
        });
        let degree = |wanted: Degree| move |a: &Adjective| a.degree == wanted;
        let adjective = humid
            .or_else(|| words.take_adjective(degree(Degree::Superlative)))
            .or_else(|| words.take_adjective(degree(Degree::Comparative)))
            .or_else(|| words.take_adjective(degree(Degree::Plain)));
        let quantity = adjective.and_then(|a| a.quantity);
        let mut begins = words.has(&["did"]) || words.has(&["opened"]);
        let mut turns = false;
        for verb in ["start", "started", "turn", "turned", "switch", "switched", "become", "became"] {
            turns |= words.take(&[verb]);
        }
        begins |= turns;
        // "Did it turn on?" asks for a change, "did it run?" for a state.
        let changes = words.has(&["opened"])
            || (words.has(&["did"])
                && ["open", "close", "shut", "lock", "unlock"].iter().any(|verb| words.has(&[verb])))
            || turns;
        let condition_asked = asks || lasts || last || self.limit.is_some();
        let (sensor, state) = self.sensor(quantity, condition_asked || adjective.is_none())?;
        let traits = &self.sensors[sensor];
        let condition = match (&self.limit, state) {
            (Some(limit), _) => Some(limit.condition(traits)?),
            (None, state) => state,
        };
        let kind = kind_of(traits);
        let is_state = kind.is_some_and(Kind::is_state);
        let sums = kind.is_some_and(|k| k.is_total() || k == Kind::Amount);
        let by = |default: By| match (averages, sums, is_state) {
            (true, ..) => By::Mean,
            (_, true, _) => By::Sum,
            _ => default,
        };
        let superlative = adjective.filter(|a| a.degree == Degree::Superlative);
        let n_periods = self.times.periods.len();
        let compared = adjective.is_some_and(|a| a.degree == Degree::Comparative);
        // What would be left out of the answer is asked for all the same: then it is another question.
        let too_much = match &condition {
            Some(_) => bucket.is_some() || averages || counts || compares || compared || superlative.is_some(),
            None => superlative.is_some() && (n_periods == 2 || (averages && bucket.is_none())),
        };
        // So is "how long was it last on": one stretch, not all of them.
        let several = [asks, lasts, last].iter().filter(|is| **is).count() > 1;
        if too_much || several || (last && !when) || (lasts && turns) {
            return Err(NotUnderstood::What);
        }
        // What only meters have: a level has no sum, so "used" of it would be answered with its mean or highest value.
        if counts && !sums && (bucket.is_some() || compares || compared || n_periods == 2) {
            return Err(NotUnderstood::Kind(traits.name.clone(), NO_SUM));
        }
        if averages && sums {
            return Err(NotUnderstood::Kind(traits.name.clone(), COUNTS));
        }
        let what = if let Some(condition) = condition {
            if asks {
                What::Count(condition)
            } else if lasts && until_now && n_periods == 0 {
                What::Since(condition)
            } else if lasts {
                What::Lasted(condition)
            } else if when && last {
                What::Last(condition, begins)
            } else if is_now && n_periods == 0 {
                What::Is(condition)
            } else if when {
                return Err(NotUnderstood::What);
            } else if changes {
                What::Count(condition)
            } else {
                What::Was(condition)
            }
        } else if asks
            || lasts
            || last
            || is_state && (bucket.is_some() || adjective.is_some() || averages || counts || compares)
        {
            return Err(NotUnderstood::What);
        } else if is_state {
            if !is_now && n_periods > 0 {
                return Err(NotUnderstood::Kind(
                    traits.name.clone(),
                    "has states: ask how long or how often it was in one",
                ));
            }
            What::Now
        } else if kind == Some(Kind::Angle)
            && (bucket.is_some() || superlative.is_some() || compares || compared || n_periods == 2)
        {
            return Err(NotUnderstood::Kind(traits.name.clone(), TURNS));
        } else if let Some(bucket) = bucket {
            let Some(superlative) = superlative else { return Err(NotUnderstood::What) };
            let default = if superlative.quantity.is_some() { By::Mean } else { By::Extreme };
            What::Which(bucket, by(default), superlative.more)
        } else if n_periods == 2 {
            let supposed = adjective.filter(|a| a.degree == Degree::Comparative).map(|a| a.more);
            if !compares && supposed.is_none() {
                return Err(NotUnderstood::Times);
            }
            What::Compare(self.times.periods.remove(1), by(By::Mean), supposed)
        } else if compares || compared {
            return Err(NotUnderstood::Times);
        } else if let Some(superlative) = superlative {
            if sums {
                return Err(NotUnderstood::Kind(traits.name.clone(), COUNTS));
            }
            What::Extreme(superlative.more)
        } else if when {
            return Err(NotUnderstood::What);
        } else if averages {
            What::Mean
        } else if counts || (much && sums) || (sums && n_periods > 0 && !is_now) {
            if !sums {
                return Err(NotUnderstood::Kind(traits.name.clone(), NO_SUM));
            }
            What::Sum
        } else if let Some(time) = self.times.at {
            let day =
                self.times.periods.first().cloned().or_else(|| self.calendar.today()).ok_or(NotUnderstood::Times)?;
            What::At(self.calendar.moment(&day, time)?)
        } else if n_periods > 0 {
            What::Summary
        } else {
            What::Now
        };
        if self.times.periods.len() > 1 || (self.times.at.is_some() && !matches!(what, What::At(_))) {
            return Err(NotUnderstood::Times);
        }
        Ok(Question { sensor, what, period: self.times.periods.pop() })
    }

    /// The one sensor that accounts for all words that are left, and its state that they name.
    fn sensor(
        &self,
        quantity: Option<Quantity>,
        takes_state: bool,
    ) -> Result<(usize, Option<Condition>), NotUnderstood> {
        let rest: Vec<&str> = self.words.rest().filter(|word| !is_filler(word)).collect();
        let mut fitting: Vec<(usize, usize, usize, Option<Condition>)> = Vec::new();
        let mut unknown: Option<(usize, String)> = None;
        for (at, traits) in self.sensors.iter().enumerate() {
            if self.named.is_some_and(|named| named != at) || quantity.is_some_and(|q| !q.fits(traits)) {
                continue;
            }
            let lower = traits.name.to_lowercase();
            let parts: Vec<&str> = lower.split(' ').collect();
            let mut matched = vec![self.named == Some(at); parts.len()];
            let mut state = None;
            let mut known = 0;
            let mut first_unknown = None;
            for word in &rest {
                if let Some(part) = parts.iter().position(|part| is_named(word, part)) {
                    matched[part] = true;
                    known += 1;
                } else if let Some(found) = state_of(traits, word).filter(|_| takes_state) {
                    state = Some(found);
                    known += 1;
                } else if noun(word).is_some_and(|quantity| quantity.fits(traits)) {
                    known += 1;
                } else {
                    first_unknown.get_or_insert((*word).to_owned());
                }
            }
            // "on" and "off" say nothing but where they are a state.
            if state.is_none() && takes_state {
                state =
                    self.words.rest().find_map(|word| state_of(traits, word).filter(|_| matches!(word, "on" | "off")));
            }
            match first_unknown {
                None => {
                    let n = matched.iter().filter(|m| **m).count();
                    fitting.push((at, n, parts.len() - n, state));
                }
                Some(word) if unknown.as_ref().is_none_or(|(most, _)| known > *most) => unknown = Some((known, word)),
                Some(_) => {}
            }
        }
        let names = |of: &mut dyn Iterator<Item = usize>| {
            let all: Vec<&str> = of.map(|at| self.sensors[at].name.as_str()).collect();
            let more =
                if all.len() > MAX_NAMED { format!(" and {} more", all.len() - MAX_NAMED) } else { String::new() };
            format!("{}{more}", all[..all.len().min(MAX_NAMED)].join(", "))
        };
        let Some(most) = fitting.iter().map(|f| f.1).max() else {
            let all = names(&mut (0..self.sensors.len()));
            return Err(match unknown {
                Some((_, word)) => NotUnderstood::Word(word, all),
                None => NotUnderstood::Sensor(all),
            });
        };
        // Of a limit, the unit tells sensors apart; of two with as many words, the one with the shorter name.
        fitting.retain(|f| f.1 == most);
        if let Some(limit) = self.limit.as_ref().filter(|limit| !limit.unit.is_empty()) {
            let turns = |f: &(usize, usize, usize, Option<Condition>)| limit.value_for(&self.sensors[f.0]).is_some();
            if fitting.iter().any(turns) {
                fitting.retain(turns);
            }
        }
        if self.limit.is_some() || quantity.is_some() {
            let measures =
                |f: &(usize, usize, usize, Option<Condition>)| !kind_of(&self.sensors[f.0]).is_some_and(Kind::is_state);
            if fitting.iter().any(measures) {
                fitting.retain(measures);
            }
        } else if fitting.iter().any(|f| f.3.is_some()) {
            fitting.retain(|f| f.3.is_some());
        }
        let possible: Vec<usize> = fitting.iter().map(|f| f.0).collect();
        let fewest = fitting.iter().map(|f| f.2).min().unwrap_or_default();
        if most > 0 {
            fitting.retain(|f| f.2 == fewest);
        }
        // The coldest day is the coldest one outside.
        if most == 0 && quantity.is_some() && fitting.len() > 1 {
            let is_outside = |f: &(usize, usize, usize, Option<Condition>)| {
                self.sensors[f.0].name.to_lowercase().split(' ').any(|part| is_named("outside", part))
            };
            if fitting.iter().any(is_outside) {
                fitting.retain(is_outside);
            }
        }
        match fitting.as_slice() {
            [(at, _, _, state)] => Ok((*at, state.clone())),
            _ => Err(NotUnderstood::Sensor(names(&mut possible.into_iter()))),
        }
    }
}

/// The kind of a sensor, as far as it is known without its values.
pub(super) fn kind_of(traits: &SensorTraits) -> Option<Kind> {
    traits.kind.or_else(|| Kind::guess(&traits.name, &traits.unit)).or_else(|| {
        let counts = crate::kind::accumulates(&traits.unit) && Kind::names_total(&traits.name);
        counts.then_some(Kind::TotalIncreasing)
    })
}

/// The state of a sensor that a word names.
fn state_of(traits: &SensorTraits, word: &str) -> Option<Condition> {
    let kind = traits.kind?;
    state_words(word).find_map(|word| match kind {
        Kind::Binary => [false, true].into_iter().find_map(|is_one| {
            let own = state_word(traits, is_one);
            (own.to_lowercase() == word).then(|| Condition::State(f64::from(u8::from(is_one)), own))
        }),
        Kind::States => {
            let code = crate::read::states::known_code(word)?;
            Some(Condition::State(code, of_code(code)))
        }
        _ => None,
    })
}

//! A question in English becomes one of a closed set of computations, or is refused with the reason. Every word has to be accounted
//! for: by a time, by what is asked, by the name of exactly one sensor, or by saying nothing. So nothing is guessed.

use jiff::Zoned;
use jiff::civil::Time;
use thiserror::Error;

use super::period::{Calendar, Period, time_of_day};
use super::words::{Adjective, Degree, Quantity, adjective, is_filler, is_named, noun, state_words};
use crate::kind::Kind;
use crate::read::states::of_code;
use crate::table::state_word;
use crate::{Moment, SensorTraits, unit};

/// The longest question, in words.
const MAX_WORDS: usize = 60;
/// Sensors that a refusal names.
const MAX_NAMED: usize = 8;

/// Why a meter has no mean and no highest value.
const COUNTS: &str = "counts: ask for its sum, or for the day with the most";

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
    /// When it was last so; `true`: when it last began to be so.
    Last(Condition, bool),
    /// Whether it is so now.
    Is(Condition),
    /// Whether it was so at any time.
    Was(Condition),
    /// The day with the most (`true`) or the least.
    Which(Bucket, By, bool),
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

/// The words of a question, and which of them are accounted for.
struct Words {
    all: Vec<String>,
    used: Vec<bool>,
}

impl Words {
    fn of(text: &str) -> Words {
        let lower =
            text.to_lowercase().replace(['’', '‘'], "'").replace("what's", "what is").replace("when's", "when is");
        let all: Vec<String> = lower
            .split(|c: char| c.is_whitespace() || matches!(c, '?' | '!' | ',' | ';' | '"' | '(' | ')' | '_' | '/'))
            .map(|word| word.trim_end_matches(['.', ':', '\'']).trim_end_matches("'s").to_owned())
            .filter(|word| !word.is_empty())
            .collect();
        let used = vec![false; all.len()];
        Words { all, used }
    }

    fn is(&self, at: usize, word: &str) -> bool {
        self.all.get(at).is_some_and(|w| w == word) && !self.used[at]
    }

    /// The place of these words one after the other, not used yet.
    fn find(&self, words: &[&str]) -> Option<usize> {
        (0..self.all.len()).find(|at| words.iter().enumerate().all(|(i, word)| self.is(at + i, word)))
    }

    fn has(&self, words: &[&str]) -> bool {
        self.find(words).is_some()
    }

    /// Uses these words if they stand there.
    fn take(&mut self, words: &[&str]) -> bool {
        match self.find(words) {
            Some(at) => {
                self.used[at..at + words.len()].fill(true);
                true
            }
            None => false,
        }
    }

    fn take_any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.take(&[word]))
    }

    /// The first adjective that is not used yet and fits.
    fn take_adjective(&mut self, fits: impl Fn(&Adjective) -> bool) -> Option<Adjective> {
        let (at, found) = (0..self.all.len()).filter(|at| !self.used[*at]).find_map(|at| {
            let found = adjective(&self.all[at]).filter(|a| fits(a))?;
            Some((at, found))
        })?;
        self.used[at] = true;
        Some(found)
    }

    fn rest(&self) -> impl Iterator<Item = &str> {
        self.all.iter().zip(&self.used).filter(|(_, used)| !**used).map(|(word, _)| word.as_str())
    }
}

/// A limit in a question: `above 25 °C`.
struct Limit {
    above: bool,
    value: f64,
    unit: String,
}

/// The times of a question.
#[derive(Default)]
struct Times {
    periods: Vec<Period>,
    at: Option<Time>,
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
    let times = times(&mut words, &calendar);
    let limit = limit(&mut words);
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

fn times(words: &mut Words, calendar: &Calendar<'_>) -> Times {
    let mut times = Times::default();
    // Times of the day are put aside first: "between 8:00 and 12:00 yesterday".
    let mut hours = None;
    for at in 0..words.all.len() {
        let of_day = |at: usize| words.all.get(at).and_then(|w| time_of_day(w));
        if let (Some(first), Some(second)) = (of_day(at + 1), of_day(at + 3))
            && ((words.is(at, "between") && words.is(at + 2, "and"))
                || (words.is(at, "from") && words.is(at + 2, "to")))
        {
            words.used[at..at + 4].fill(true);
            hours = Some((first, second));
        } else if let Some(time) = of_day(at + 1)
            && words.is(at, "at")
        {
            words.used[at..at + 2].fill(true);
            times.at = Some(time);
        }
    }
    loop {
        // What is used is no part of a time any more, and parts it.
        let open: Vec<&str> =
            words.all.iter().zip(&words.used).map(|(w, used)| if *used { "" } else { w.as_str() }).collect();
        let Some(found) = calendar.find(&open) else { break };
        times.periods.push(found.period);
        words.used[found.words].fill(true);
    }
    if let Some((from, to)) = hours {
        let day = times.periods.pop().or_else(|| Some(calendar.find(&["today"])?.period));
        match day.and_then(|day| calendar.narrowed(&day, from, to)) {
            Some(narrowed) => times.periods.push(narrowed),
            // Two periods where one is wanted are refused.
            None => times.periods.clear(),
        }
    }
    times
}

fn limit(words: &mut Words) -> Option<Limit> {
    const WAYS: &[(&[&str], bool)] = &[
        (&["above"], true),
        (&["over"], true),
        (&["more", "than"], true),
        (&["higher", "than"], true),
        (&["warmer", "than"], true),
        (&["exceed"], true),
        (&["exceeded"], true),
        (&["below"], false),
        (&["under"], false),
        (&["less", "than"], false),
        (&["lower", "than"], false),
        (&["colder", "than"], false),
    ];
    let (at, length, above) = WAYS.iter().find_map(|(way, above)| Some((words.find(way)?, way.len(), *above)))?;
    let number = words.all.get(at + length)?;
    let digits = number.trim_end_matches(|c: char| !c.is_ascii_digit());
    let value: f64 = digits.parse().ok().filter(|v: &f64| v.is_finite())?;
    let mut unit = number[digits.len()..].to_owned();
    let mut end = at + length + 1;
    if unit.is_empty()
        && let Some(next) = words.all.get(end)
        && let Some(known) = unit::spellings().find(|spelling| spelling.to_lowercase() == *next)
    {
        unit = known.to_owned();
        end += 1;
    }
    words.used[at..end].fill(true);
    Some(Limit { above, value, unit })
}

/// Everything that is known of a question while it is read.
struct Seeker<'a> {
    words: Words,
    sensors: &'a [SensorTraits],
    named: Option<usize>,
    times: Times,
    limit: Option<Limit>,
    calendar: Calendar<'a>,
}

impl Seeker<'_> {
    fn question(mut self) -> Result<Question, NotUnderstood> {
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
        for verb in ["start", "started", "turn", "turned", "switch", "switched", "become", "became"] {
            begins |= words.take(&[verb]);
        }
        let condition_asked = asks || lasts || last || self.limit.is_some();
        let (sensor, state) = self.sensor(quantity, condition_asked || adjective.is_none())?;
        let traits = &self.sensors[sensor];
        let condition = match (&self.limit, state) {
            (Some(limit), _) => Some(limited(limit, traits)?),
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
        if too_much {
            return Err(NotUnderstood::What);
        }
        if averages && sums {
            return Err(NotUnderstood::Kind(traits.name.clone(), COUNTS));
        }
        let what = if let Some(condition) = condition {
            if asks {
                What::Count(condition)
            } else if lasts {
                What::Lasted(condition)
            } else if when && last {
                What::Last(condition, begins)
            } else if is_now && n_periods == 0 {
                What::Is(condition)
            } else if when {
                return Err(NotUnderstood::What);
            } else {
                What::Was(condition)
            }
        } else if asks || lasts || last {
            return Err(NotUnderstood::What);
        } else if is_state && (bucket.is_some() || adjective.is_some() || averages || counts || compares) {
            return Err(NotUnderstood::What);
        } else if is_state {
            if !is_now && n_periods > 0 {
                return Err(NotUnderstood::Kind(
                    traits.name.clone(),
                    "has states: ask how long or how often it was in one",
                ));
            }
            What::Now
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
                return Err(NotUnderstood::Kind(
                    traits.name.clone(),
                    "is a level and no meter, so it has no sum: ask for its mean, or name a meter",
                ));
            }
            What::Sum
        } else if let Some(time) = self.times.at {
            let today = || self.calendar.find(&["today"]).map(|found| found.period);
            let day = self.times.periods.first().cloned().or_else(today).ok_or(NotUnderstood::Times)?;
            What::At(self.calendar.moment(&day, time).ok_or(NotUnderstood::Times)?)
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
            let turns = |f: &(usize, usize, usize, Option<Condition>)| {
                unit::convert(0.0, &limit.unit, &self.sensors[f.0].unit, false).is_some()
            };
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
            several => Err(NotUnderstood::Sensor(names(&mut several.iter().map(|f| f.0)))),
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

fn limited(limit: &Limit, traits: &SensorTraits) -> Result<Condition, NotUnderstood> {
    if kind_of(traits).is_some_and(Kind::is_state) {
        return Err(NotUnderstood::Kind(
            traits.name.clone(),
            "has states and no values that could be above or below anything",
        ));
    }
    let value = match limit.unit.is_empty() || unit::is_same(&limit.unit, &traits.unit) {
        true => limit.value,
        false => unit::convert(limit.value, &limit.unit, &traits.unit, false)
            .ok_or_else(|| NotUnderstood::Kind(traits.name.clone(), "has another unit than the question's"))?,
    };
    Ok(if limit.above { Condition::Above(value) } else { Condition::Below(value) })
}

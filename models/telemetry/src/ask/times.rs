//! The times of a question: at most two periods, hours of their days, and a time of the day.

use jiff::civil::Time;

use super::period::{Calendar, Period, time_of_day};
use super::question::NotUnderstood;
use super::spoken::Words;

/// The times of a question.
#[derive(Default)]
pub(super) struct Times {
    pub(super) periods: Vec<Period>,
    pub(super) at: Option<Time>,
}

/// Takes the times out of a question.
///
/// # Errors
/// A time is said that can't be used: without it the question would be another one.
pub(super) fn times(words: &mut Words, calendar: &Calendar<'_>) -> Result<Times, NotUnderstood> {
    let mut times = Times::default();
    // Times of the day are put aside first: "between 8:00 and 12:00 yesterday".
    let mut hours = None;
    let mut said = 0;
    for at in 0..words.all.len() {
        let of_day = |at: usize| words.all.get(at).and_then(|w| time_of_day(w));
        let to = |at: usize| ["to", "until", "till"].iter().any(|word| words.is(at, word));
        if let (Some(first), Some(second)) = (of_day(at + 1), of_day(at + 3))
            && ((words.is(at, "between") && words.is(at + 2, "and")) || (words.is(at, "from") && to(at + 2)))
        {
            words.used[at..at + 4].fill(true);
            hours = Some((first, second));
            said += 1;
        } else if let Some(time) = of_day(at + 1)
            && words.is(at, "at")
        {
            words.used[at..at + 2].fill(true);
            times.at = Some(time);
            said += 1;
        }
    }
    // Of two, one would be lost.
    if said > 1 {
        return Err(NotUnderstood::Times);
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
        if times.periods.is_empty() {
            times.periods.extend(calendar.today());
        }
        // Of two days that are compared, both are narrowed.
        for period in &mut times.periods {
            *period = calendar.narrowed(period, from, to)?;
        }
    }
    Ok(times)
}

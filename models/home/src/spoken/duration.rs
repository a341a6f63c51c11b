//! Durations: "five minutes", "an hour and a half", "1 h 30 m", "half an hour", and lists of them: "3 and 10 minutes".

use std::time::Duration;

use super::number::{fraction, number};

/// Durations beyond this are not said to a home: 100 days.
const LONGEST_SECONDS: f64 = 100.0 * 86_400.0;

/// Seconds in the unit that `word` names.
fn unit(word: &str) -> Option<f64> {
    Some(match word {
        "second" | "seconds" | "sec" | "secs" | "s" => 1.0,
        "minute" | "minutes" | "min" | "mins" | "m" | "minuet" | "minuets" => 60.0,
        "hour" | "hours" | "hr" | "hrs" | "h" => 3600.0,
        "day" | "days" => 86_400.0,
        "week" | "weeks" => 604_800.0,
        _ => return None,
    })
}

/// A duration at the beginning of `words`.
///
/// ```
/// use nearfield_home::spoken::duration;
/// let words: Vec<&str> = "one and a half hours".split(' ').collect();
/// assert_eq!(duration(&words), Some((std::time::Duration::from_secs(5400), 5)));
/// ```
pub fn duration(words: &[&str]) -> Option<(Duration, usize)> {
    let (mut seconds, mut smallest, mut n) = part(words)?;
    // "an hour and a half", "one minute and a quarter": the fraction is of the unit just said.
    loop {
        let skip = usize::from(matches!(words.get(n), Some(&("and" | ","))));
        let rest = &words[(n + skip).min(words.len())..];
        if let Some((more, of, m)) = part(rest)
            && of < smallest
        {
            seconds += more;
            smallest = of;
            n += skip + m;
        } else if skip == 1
            && let Some((share, m)) = fraction(rest)
            && unit(rest.get(m).copied().unwrap_or_default()).is_none()
            && !matches!(rest.get(m), Some(&("an" | "a" | "of" | "past" | "to")))
        {
            seconds += share * smallest;
            n += skip + m;
            break;
        } else {
            break;
        }
    }
    checked(seconds).map(|d| (d, n))
}

fn checked(seconds: f64) -> Option<Duration> {
    (0.0..=LONGEST_SECONDS).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

/// One amount of one unit: its seconds, the unit's seconds, words taken.
fn part(words: &[&str]) -> Option<(f64, f64, usize)> {
    // "half an hour", "a quarter of an hour", "three quarters of an hour", "half a minute"
    if let Some((share, n)) = fraction(words) {
        let mut at = n;
        if words.get(at) == Some(&"of") {
            at += 1;
        }
        if matches!(words.get(at), Some(&("a" | "an"))) {
            at += 1;
        }
        if let Some(of) = words.get(at).and_then(|w| unit(w))
            && at > n
        {
            return Some((share * of, of, at + 1));
        }
    }
    if matches!(words.first(), Some(&("a" | "an" | "another")))
        && let Some(of) = words.get(1).and_then(|w| unit(w))
    {
        return Some((of, of, 2));
    }
    let (count, n) = number(words)?;
    let of = unit(words.get(n)?)?;
    Some((count * of, of, n + 1))
}

/// Words that stand for a timer in a list of them: "another one for 10 minutes".
const PRONOUNS: &[&str] = &["one", "another", "more", "the", "other", "first", "second", "third"];

/// Durations in a row, joined by "and" or commas, where an amount without a unit takes the next one's: "3 and 10 minutes" are three
/// minutes and ten minutes. Durations that grow from large to small unit are one ("1 hour and 30 minutes").
pub fn durations(words: &[&str]) -> Option<(Vec<Duration>, usize)> {
    let mut out = Vec::new();
    let mut waiting: Vec<f64> = Vec::new();
    let mut n = 0;
    let mut end = 0;
    loop {
        let rest = &words[n..];
        // "One for 5 minutes and another one for 10": a timer each, and no number.
        let named = rest.iter().take_while(|w| PRONOUNS.contains(w)).count();
        if named > 0 && matches!(rest.get(named), Some(&("for" | "of" | "with" | "at"))) && named < 4 {
            n += named + 1;
            continue;
        }
        if matches!(rest.first(), Some(&("a" | "an" | "one")))
            && !matches!(
                rest.get(1),
                Some(&("hour" | "minute" | "second" | "day" | "and" | "hundred" | "quarter" | "couple"))
            )
            && number(&rest[1..]).is_some()
        {
            // "a 3 and a 10 minute timer"
            n += 1;
            continue;
        }
        if let Some((found, m)) = duration(rest) {
            let of = unit(rest[m - 1]).unwrap_or(60.0);
            for count in waiting.drain(..) {
                out.push(checked(count * of)?);
            }
            out.push(found);
            n += m;
            end = n;
        } else if let Some((count, m)) = number(rest) {
            waiting.push(count);
            n += m;
        } else {
            break;
        }
        let mut joined = false;
        while matches!(words.get(n), Some(&("and" | ","))) {
            joined = true;
            n += 1;
        }
        n += usize::from(joined && words.get(n) == Some(&"for"));
        if !joined || out.len() + waiting.len() > 20 {
            break;
        }
    }
    (!out.is_empty() && waiting.is_empty()).then_some((out, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spoken::{normalise, write};
    use proptest::prelude::*;

    fn read(text: &str) -> Option<u64> {
        let text = normalise(text);
        let words: Vec<&str> = text.split(' ').collect();
        let (found, n) = duration(&words)?;
        assert_eq!(n, words.len(), "{text}");
        Some(found.as_secs())
    }

    #[test]
    fn durations_are_read_as_people_say_them() {
        for (text, seconds) in [
            ("5 minutes", 300),
            ("5-minute", 300),
            ("five minutes", 300),
            ("zero minutes", 0),
            ("one and a half hours", 5400),
            ("an hour and a half", 5400),
            ("half an hour", 1800),
            ("a quarter of an hour", 900),
            ("three quarters of an hour", 2700),
            ("1 hour and 30 minutes", 5400),
            ("1 hour 30 minutes 10 seconds", 5410),
            ("1h30m", 5400),
            ("90 secs", 90),
            ("two and a half minutes", 150),
            ("a minute and a half", 90),
            ("an hour", 3600),
            ("twenty five minutes", 1500),
            ("half a minute", 30),
            ("a couple of minutes", 120),
            ("1.5 hours", 5400),
        ] {
            assert_eq!(read(text), Some(seconds), "{text}");
        }
        assert_eq!(read("minus five minutes"), None);
    }

    #[test]
    fn several_durations_share_a_unit() {
        for (text, minutes) in [
            ("3 and 10 minutes", vec![3, 10]),
            ("3 minutes and 10 minutes", vec![3, 10]),
            ("three , five and ten minutes", vec![3, 5, 10]),
            ("a 3 and a 10 minute", vec![3, 10]),
            ("1 hour and 30 minutes", vec![90]),
            ("one for 5 minutes and one for 10 minutes", vec![5, 10]),
            ("5 minutes and another one for 10 minutes", vec![5, 10]),
            ("5 minutes , another for 10 minutes and one more for 15 minutes", vec![5, 10, 15]),
            ("the first for 5 and the second for 10 minutes", vec![5, 10]),
            ("one , five and ten minutes", vec![1, 5, 10]),
            ("5 minutes and for 10 minutes", vec![5, 10]),
            ("one minute", vec![1]),
        ] {
            let words: Vec<&str> = text.split(' ').collect();
            let found = durations(&words).map(|(d, _)| d.iter().map(|d| d.as_secs() / 60).collect::<Vec<_>>());
            assert_eq!(found, Some(minutes), "{text}");
        }
        let words = ["5", "minutes", "for", "10", "minutes"];
        assert_eq!(durations(&words), Some((vec![Duration::from_secs(300)], 2)), "a name or a place may follow");
    }

    proptest! {
        #[test]
        fn a_duration_written_out_is_read_back(seconds in 0u64..=86_400 * 6) {
            let text = write::duration(Duration::from_secs(seconds));
            let text = normalise(&text);
            let words: Vec<&str> = text.split(' ').collect();
            prop_assert_eq!(duration(&words), Some((Duration::from_secs(seconds), words.len())));
        }
    }
}

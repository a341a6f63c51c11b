//! Times of day, dates and telephone numbers.

use super::numbers::{Number, digits};
use super::{Said, View};

impl View<'_> {
    /// 3:45 pm, 15:30, 14:05:20, "5 pm", 5pm; and ratios, 16:9.
    pub(super) fn time(&self, at: usize) -> Option<Said> {
        let (hours, rest) = digits(self.tokens[at].core);
        let hour: u32 = hours.parse().ok().filter(|_| hours.len() <= 2)?;
        let Some(rest) = rest.strip_prefix([':', '.']).filter(|_| {
            rest.starts_with(':')
                || is_half_of_day(rest[1..].trim_start_matches(|c: char| c.is_ascii_digit())).is_some()
        }) else {
            // 5pm, "5 pm"
            let (afternoon, n_tokens) = self.half_of_day(at, rest)?;
            let words = format!("{} {afternoon}", self.speller.cardinal(hours));
            return (1..=12).contains(&hour).then(|| self.timed(at, n_tokens, words));
        };
        let (minutes, rest) = digits(rest);
        let minute: u32 = minutes.parse().ok().filter(|_| minutes.len() <= 3)?;
        if minutes.len() != 2 || minute > 59 || hour > 24 {
            let words =
                format!("{} {} {}", self.speller.cardinal(hours), self.pack.numbers.to, self.speller.cardinal(minutes));
            return if rest.is_empty() { Said::one(words) } else { None };
        }
        let (seconds, rest) = match rest.strip_prefix(':').map(digits) {
            Some((seconds, rest)) if seconds.len() == 2 => (Some(seconds), rest),
            Some(_) => return None,
            None => (None, rest),
        };
        let half = self.half_of_day(at, rest);
        if half.is_none() && !matches!(rest, "" | "h" | "Z") {
            return self.time_range(at, hours, minutes, rest);
        }
        let mut words = self.clock(hour, minute, minutes, half.is_some());
        if let Some(seconds) = seconds {
            let (one, many) = self.unit("s", true)?;
            let value = seconds.strip_prefix('0').unwrap_or(seconds);
            words += &format!(
                " {} {} {}",
                self.pack.time.and,
                self.speller.cardinal(value),
                if value == "1" { one } else { many }
            );
        }
        match half {
            Some((half, n_tokens)) => Some(self.timed(at, n_tokens, format!("{words} {half}"))),
            None => Said::one(words),
        }
    }

    /// 9:00-17:00
    fn time_range(&self, at: usize, hours: &str, minutes: &str, rest: &str) -> Option<Said> {
        let until = rest.strip_prefix(['-', '–']).filter(|until| until.starts_with(|c: char| c.is_ascii_digit()))?;
        let from = self.part(&format!("{hours}:{minutes}"));
        let mut until = self.with_core(at, until)?;
        until.words = format!("{from} {} {}", self.pack.numbers.to, until.words);
        Some(until)
    }

    /// "A.M" or "P.M", attached or in the next word, and how many words the time takes with it.
    fn half_of_day(&self, at: usize, attached: &str) -> Option<(&str, usize)> {
        let (word, n_tokens) = if attached.is_empty() { (self.next(at), 2) } else { (attached, 1) };
        let afternoon = is_half_of_day(word)?;
        Some((if afternoon { &self.pack.time.pm } else { &self.pack.time.am }, n_tokens))
    }

    /// A time that ends in "a.m.", whose dot ends a sentence only at the end of the text.
    fn timed(&self, at: usize, n_tokens: usize, words: String) -> Said {
        let last = at + n_tokens - 1;
        let is_dotted = self.tokens[last].core.ends_with(".m") || self.tokens[last].core.ends_with(".M");
        let trail = if is_dotted { self.behind_dot(last, self.is_last(last)) } else { None };
        Said { n_tokens, words, trail, drops_lead: false }
    }

    fn clock(&self, hour: u32, minute: u32, minutes: &str, has_half: bool) -> String {
        let (time, hour_words) = (&self.pack.time, self.speller.cardinal(&hour.to_string()));
        match (hour, minute) {
            (_, 0) if has_half => hour_words,
            (0 | 24, 0) => time.midnight.clone(),
            (1..=12, 0) => format!("{hour_words} {}", time.o_clock),
            (_, 0) => format!("{hour_words} {}", time.hundred),
            (_, 1..10) => format!("{hour_words} {} {}", self.pack.numbers.oh, self.speller.cardinal(&minutes[1..])),
            _ => format!("{hour_words} {}", self.speller.cardinal(minutes)),
        }
    }

    /// Dates in figures and in words; weekdays and months in short.
    pub(super) fn date(&self, at: usize) -> Option<Said> {
        self.date_in_figures(at)
            .or_else(|| self.month_first(at))
            .or_else(|| self.day_first(at))
            .or_else(|| self.short_name(at))
    }

    /// 2026-11-29, 11/29/2026, 29.11.2026, 2026-11-29T18:03; behind "on" also 11/29.
    fn date_in_figures(&self, at: usize) -> Option<Said> {
        let core = self.tokens[at].core;
        if !core.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let (date, time) = core.split_once('T').map_or((core, None), |(date, time)| (date, Some(time)));
        let mark = date.chars().find(|c| !c.is_ascii_digit()).filter(|c| matches!(c, '-' | '/' | '.'))?;
        let parts: Vec<&str> = date.splitn(4, mark).collect();
        let values: Vec<u32> = parts.iter().map(|p| p.parse().ok().filter(|_| p.len() <= 4)).collect::<Option<_>>()?;
        let words = match (parts.as_slice(), values.as_slice()) {
            ([y, _, _], &[_, month, day]) if y.len() == 4 => self.full_date(y, month, day)?,
            ([a, b, y], &[first, second, year])
                if a.len() <= 2 && b.len() <= 2 && (y.len() == 4 || (y.len() == 2 && mark == '/')) =>
            {
                let is_day_first = mark == '.' || first > 12 || (self.dialect.day_first && second <= 12);
                let (day, month) = if is_day_first { (first, second) } else { (second, first) };
                let year = match y.len() {
                    4 => (*y).to_string(),
                    _ => (if year < 70 { 2000 + year } else { 1900 + year }).to_string(),
                };
                self.full_date(&year, month, day)?
            }
            ([_, _], &[first, second]) if mark == '/' && self.pack.context.on.contains(self.previous(at)) => {
                let (day, month) = if self.dialect.day_first { (first, second) } else { (second, first) };
                self.day_and_month(month, day)?
            }
            _ => return None,
        };
        match time {
            None => Said::one(words),
            Some(time) => {
                let clock = time.get(..5).filter(|t| t.as_bytes()[2] == b':')?;
                Said::one(format!("{words}, {}", self.part(clock)))
            }
        }
    }

    fn full_date(&self, year: &str, month: u32, day: u32) -> Option<String> {
        Some(format!("{}, {}", self.day_and_month(month, day)?, self.speller.year(year)))
    }

    fn day_and_month(&self, month: u32, day: u32) -> Option<String> {
        let month = self.pack.month(month)?;
        let day = (1..=31).contains(&day).then(|| self.speller.ordinal(&day.to_string()))?;
        let time = &self.pack.time;
        Some(if self.dialect.day_first {
            format!("{} {day} {} {month}", time.the, time.of)
        } else {
            format!("{month} {day}")
        })
    }

    /// "Nov 3rd, 2026", "March 3-5", "May 2026".
    fn month_first(&self, at: usize) -> Option<Said> {
        let month = self.pack.month_named(self.tokens[at].core)?;
        let next = self.next_behind_dot(at);
        let Some((day, until)) = days(next) else {
            return if is_year(next) { Said::of(2, format!("{month} {}", self.speller.year(next))) } else { None };
        };
        let mut words = format!("{month} {}", self.speller.ordinal(day));
        if let Some(until) = until {
            words += &format!(" {} {}", self.pack.numbers.to, self.speller.ordinal(until));
        }
        match self.tokens.get(at + 2).filter(|_| matches!(self.tokens[at + 1].trail, "" | ",")) {
            Some(year) if is_year(year.core) => Said::of(3, format!("{words}, {}", self.speller.year(year.core))),
            _ => Said::of(2, words),
        }
    }

    /// "29 Nov 2026", "the 3rd of May" is left as it is written.
    fn day_first(&self, at: usize) -> Option<Said> {
        let (day, None) = days(self.tokens[at].core)? else { return None };
        let month = self.pack.month_named(self.next(at))?;
        let time = &self.pack.time;
        let the =
            if self.previous(at).eq_ignore_ascii_case(&time.the) { String::new() } else { format!("{} ", time.the) };
        let words = format!("{the}{} {} {month}", self.speller.ordinal(day), time.of);
        let year = self.next_behind_dot(at + 1);
        if is_year(year) { Said::of(3, format!("{words}, {}", self.speller.year(year))) } else { Said::of(2, words) }
    }

    /// "Mon.", "Sept.", "Fri, 29 Nov".
    fn short_name(&self, at: usize) -> Option<Said> {
        let token = &self.tokens[at];
        if let Some(day) = self.pack.weekdays.get(token.core) {
            let next = self.tokens.get(at + 1).map_or("", |t| t.core);
            let has_date = matches!(token.trail, "" | "," | "." | ".,")
                && (self.pack.month_named(next).is_some() || days(next).is_some());
            let is_dotted = token.trail.starts_with('.');
            if !(has_date || is_dotted && !matches!(token.core, "Sun" | "Sat" | "Wed")) {
                return None;
            }
            return Some(Said {
                n_tokens: 1,
                words: day.clone(),
                trail: self.behind_dot(at, self.is_last(at)),
                drops_lead: false,
            });
        }
        let month = self.pack.month_named(token.core).filter(|month| *month != token.core)?;
        if !token.trail.starts_with('.') {
            return None;
        }
        Some(Said {
            n_tokens: 1,
            words: month.to_string(),
            trail: self.behind_dot(at, self.is_last(at)),
            drops_lead: false,
        })
    }

    /// 555-1234, (555) 123-4567, +44 20 7946 0958, 90210-1234, 4111 1111 1111 1111: digits one by one, groups parted.
    pub(super) fn phone(&self, at: usize) -> Option<Said> {
        let token = &self.tokens[at];
        let mut groups: Vec<&str> = digit_groups(token.core)?;
        let has_country = token.core.starts_with('+');
        let has_area = token.lead.ends_with('(') && token.trail.starts_with(')');
        let mut n_tokens = 1;
        let is_bare = groups.len() == 1;
        // More groups behind white space.
        const MOST_GROUPS: usize = 12;
        while (has_country || has_area || is_bare) && groups.len() < MOST_GROUPS {
            let last = &self.tokens[at + n_tokens - 1];
            let Some(next) = self.tokens.get(at + n_tokens) else { break };
            let is_parted = !matches!(last.trail, "" | ")") || !matches!(next.lead, "" | "(") || next.begins_line;
            let Some(more) = digit_groups(next.core).filter(|_| !is_parted && !next.core.starts_with('+')) else {
                break;
            };
            groups.extend(more);
            n_tokens += 1;
        }
        let lengths: Vec<usize> = groups.iter().map(|g| g.len()).collect();
        let n_digits: usize = lengths.iter().sum();
        let is_number = match lengths.as_slice() {
            _ if has_country => n_digits >= 7,
            _ if has_area => n_digits >= 7,
            _ if is_bare => {
                let is_dialled = groups[0].starts_with('0') && n_digits >= 8;
                let is_card = lengths.len() >= 3 && n_digits >= 12 && lengths.iter().all(|&n| n == 4);
                n_tokens > 1 && (is_dialled || is_card)
            }
            [3, 4] => token.core.contains('-') && !groups.iter().all(|g| g.ends_with('0')),
            [5, 4] => token.core.contains('-'),
            [_, _] => false,
            _ => lengths.iter().all(|&n| n >= 2) || matches!(lengths.as_slice(), [1, 3, 3, 4]),
        };
        if !is_number {
            return None;
        }
        let spoken: Vec<String> = groups.iter().map(|g| self.speller.digits(g)).collect();
        let plus = if has_country { format!("{} ", self.pack.numbers.plus) } else { String::new() };
        let last = &self.tokens[at + n_tokens - 1];
        let trail = last.trail.trim_start_matches(')').to_string();
        // A bracket around the area is not said.
        let said = Said { n_tokens, words: format!("{plus}{}", spoken.join(", ")), trail: None, drops_lead: false };
        Some(if has_area { Said { trail: Some(trail), drops_lead: true, ..said } } else { said })
    }
}

/// Digits parted by hyphens, or by points where there are three groups and more; `+` may stand in front.
fn digit_groups(word: &str) -> Option<Vec<&str>> {
    let body = word.strip_prefix('+').unwrap_or(word);
    let mark = if body.contains('-') { '-' } else { '.' };
    let groups: Vec<&str> = body.split(mark).collect();
    let are_digits = groups.iter().all(|g| (1..=16).contains(&g.len()) && g.bytes().all(|b| b.is_ascii_digit()));
    let is_decimal = mark == '.' && (groups.len() == 2 || groups.iter().any(|g| g.len() < 3) && groups.len() > 1);
    (are_digits && !is_decimal && groups.len() <= 8).then_some(groups)
}

/// Whether a word is "pm" (or "am").
fn is_half_of_day(word: &str) -> Option<bool> {
    match word {
        "am" | "AM" | "a.m" | "A.M" | "a.m." | "A.M." => Some(false),
        "pm" | "PM" | "p.m" | "P.M" | "p.m." | "P.M." => Some(true),
        _ => None,
    }
}

/// The day of a month, `3`, `3rd`; or two of them, `3-5`.
fn days(word: &str) -> Option<(&str, Option<&str>)> {
    if let Some((from, until)) = word.split_once(['-', '–']) {
        return Some((day(from)?, Some(day(until)?)));
    }
    Some((day(word)?, None))
}

fn day(word: &str) -> Option<&str> {
    let (number, suffix) = digits(word);
    let is_day = number.parse().is_ok_and(|n: u32| (1..=31).contains(&n));
    (is_day && matches!(suffix, "" | "st" | "nd" | "rd" | "th")).then(|| number.trim_start_matches('0'))
}

fn is_year(word: &str) -> bool {
    word.len() == 4 && Number::all_of(word).is_some_and(|n| n.is_plain()) && word.starts_with(['1', '2'])
}

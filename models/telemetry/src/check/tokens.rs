//! A sentence's characters become names, words, numbers, times, durations and dates.

use jiff::civil::Date;

use super::Violation;
use crate::dates::MONTHS;
use crate::figure::Figure;
use crate::table::Table;
use crate::unit;

#[derive(Debug)]
pub(super) enum Token<'a> {
    Name(usize),
    Word(String),
    Number {
        figure: Figure,
        text: String,
        unit: Option<&'a str>,
    },
    Time(u16, String),
    /// How long a state lasted, as the table tells it of one.
    Duration(&'a str),
    Date(String, bool),
    Pause,
}

/// Reads a sentence's characters.
struct Characters {
    exact: Vec<char>,
    lower: Vec<char>,
    at: usize,
}

impl Characters {
    fn get(&self, at: usize) -> Option<char> {
        self.exact.get(at).copied()
    }

    /// Whether `wanted` stands at `at`, whatever its case unless `exact`, and ends there as a word does.
    fn stands(&self, at: usize, wanted: &str, exact: bool) -> Option<usize> {
        let text = if exact { &self.exact } else { &self.lower };
        let mut end = at;
        for w in wanted.chars() {
            let w = if exact { w } else { lower(w) };
            if text.get(end) != Some(&w) {
                return None;
            }
            end += 1;
        }
        let inside = |c: char| c.is_alphanumeric() || c == '/' || c == '²' || c == '³';
        let last_is_word = wanted.chars().next_back().is_some_and(char::is_alphanumeric);
        match self.get(end) {
            Some(next) if last_is_word && inside(next) => None,
            // A unit such as % is not followed by more of a unit.
            Some(next) if !last_is_word && next.is_alphanumeric() => None,
            _ => Some(end),
        }
    }

    fn digits(&self, at: usize) -> usize {
        self.exact[at.min(self.exact.len())..].iter().take_while(|c| c.is_ascii_digit()).count()
    }

    fn text(&self, from: usize, to: usize) -> String {
        self.exact[from..to].iter().collect()
    }
}

fn lower(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

pub(super) fn tokens<'a>(table: &'a Table, sentence: &str) -> Result<Vec<Token<'a>>, Violation> {
    let exact: Vec<char> = sentence.chars().map(|c| if c == '\u{2212}' { '-' } else { c }).collect();
    let mut text = Characters { lower: exact.iter().copied().map(lower).collect(), exact, at: 0 };
    // The longest names first: "boiler flow" before "boiler".
    let mut names: Vec<(usize, &str)> = table.rows().iter().map(|r| r.name.as_str()).enumerate().collect();
    names.sort_by_key(|(_, name)| std::cmp::Reverse(name.len()));
    let mut units: Vec<&'a str> = unit::spellings().collect();
    units.extend(table.rows().iter().map(|r| r.unit.as_str()).filter(|u| !u.is_empty()));
    units.sort_by_key(|u| std::cmp::Reverse(u.chars().count()));
    let lines = || table.rows().iter().filter_map(|r| r.states.as_ref()).flat_map(|s| &s.lines);
    // Those of several words; a single one is a word like any other.
    let mut state_words: Vec<&str> = lines().map(|l| l.word.as_str()).filter(|w| w.contains(' ')).collect();
    state_words.sort_by_key(|w| std::cmp::Reverse(w.len()));
    let mut durations: Vec<&'a str> = lines().map(|l| l.lasted.as_str()).collect();
    durations.sort_by_key(|d| std::cmp::Reverse(d.len()));
    let mut tokens = Vec::new();
    while let Some(c) = text.get(text.at) {
        let at = text.at;
        if c.is_whitespace() {
            text.at += 1;
            continue;
        }
        let starts_word = at == 0 || !text.exact[at - 1].is_alphanumeric();
        if starts_word
            && let Some((row, end)) = names.iter().find_map(|(row, n)| text.stands(at, n, false).map(|end| (*row, end)))
        {
            tokens.push(Token::Name(row));
            text.at = end;
            continue;
        }
        if starts_word
            && let Some((word, end)) = state_words.iter().find_map(|w| text.stands(at, w, false).map(|end| (*w, end)))
        {
            tokens.push(Token::Word(word.to_owned()));
            text.at = end;
            continue;
        }
        if starts_word
            && c.is_ascii_digit()
            && let Some((lasted, end)) = durations.iter().find_map(|d| text.stands(at, d, true).map(|end| (*d, end)))
        {
            tokens.push(Token::Duration(lasted));
            text.at = end;
            continue;
        }
        let negative = c == '-'
            && text.digits(at + 1) > 0
            && (at == 0 || text.exact[at - 1].is_whitespace() || text.exact[at - 1] == '(');
        if c.is_ascii_digit() || negative {
            tokens.push(numeral(table, &mut text, &units, negative)?);
            continue;
        }
        if c.is_alphabetic() {
            let mut end = at;
            while text.get(end).is_some_and(|c| c.is_alphabetic() || c == '\'' || c == '’') {
                end += 1;
            }
            tokens.push(Token::Word(text.lower[at..end].iter().collect()));
            text.at = end;
            continue;
        }
        match c {
            ',' | '.' | ';' | ':' | '(' | ')' | '-' | '–' | '!' => tokens.push(Token::Pause),
            other => return Err(Violation::Character(other)),
        }
        text.at += 1;
    }
    Ok(tokens)
}

/// A time, a date or a number with its unit.
fn numeral<'a>(
    table: &Table,
    text: &mut Characters,
    units: &[&'a str],
    negative: bool,
) -> Result<Token<'a>, Violation> {
    let begin = text.at;
    let whole_at = begin + usize::from(negative);
    let whole = text.digits(whole_at);
    let after = whole_at + whole;
    if text.get(after) == Some(':') && text.digits(after + 1) > 0 {
        let minutes = text.digits(after + 1);
        let end = after + 1 + minutes;
        let told = text.text(begin, end);
        let goes_on = matches!(text.get(end), Some(':' | '.')) && text.digits(end + 1) > 0;
        let letters = text.get(end).is_some_and(char::is_alphanumeric);
        let number = |from: usize, len: usize| text.text(from, from + len).parse::<u16>().unwrap_or(u16::MAX);
        let (h, m) = (number(whole_at, whole), number(after + 1, minutes));
        let is_time = !negative && whole <= 2 && minutes == 2 && m < 60 && (h < 24 || (h, m) == (24, 0));
        if !is_time || goes_on || letters {
            return Err(Violation::Time(told));
        }
        text.at = end;
        return Ok(Token::Time(h * 60 + m, told));
    }
    if !negative
        && whole <= 2
        && let Some(token) = date(table, text, begin, after)
    {
        return Ok(token);
    }
    let mut end = after;
    if text.get(after) == Some('.') && text.digits(after + 1) > 0 {
        end = after + 1 + text.digits(after + 1);
    }
    let told = text.text(begin, end);
    // "1,013", "1.2.3", "1 000" and the like could be read in two ways.
    if matches!(text.get(end), Some(',' | '.' | ':' | '/' | '\'')) && text.digits(end + 1) > 0 {
        return Err(Violation::Number(told));
    }
    if text.get(end) == Some(' ') && text.digits(end + 1) > 0 {
        return Err(Violation::Number(told));
    }
    let figure = Figure::parse(&told).ok_or_else(|| Violation::Number(told.clone()))?;
    text.at = end;
    let unit_at = end + usize::from(matches!(text.get(end), Some(' ' | '\u{a0}' | '\u{202f}')));
    let unit = units.iter().find_map(|u| {
        let is_words = u.len() > 4 && u.chars().all(|c| c.is_alphabetic() || c == ' ');
        text.stands(unit_at, u, !is_words).map(|end| (*u, end))
    });
    let unit = unit.map(|(unit, end)| {
        text.at = end;
        unit
    });
    if unit.is_none() && text.get(end).is_some_and(|c| c.is_alphanumeric() || c == '%' || c == '°') {
        let word: String = text.exact[end..].iter().take_while(|c| !c.is_whitespace()).collect();
        return Err(Violation::Unit(word));
    }
    Ok(Token::Number { figure, text: told, unit })
}

/// `20 November` or `20 November 2026`.
fn date(table: &Table, text: &mut Characters, begin: usize, after: usize) -> Option<Token<'static>> {
    if text.get(after) != Some(' ') {
        return None;
    }
    let (month, mut end) =
        MONTHS.iter().enumerate().find_map(|(i, m)| text.stands(after + 1, m, false).map(|end| (i as i8 + 1, end)))?;
    let mut year = None;
    if text.get(end) == Some(' ') && text.digits(end + 1) == 4 && text.get(end + 5) != Some(':') {
        year = text.text(end + 1, end + 5).parse::<i16>().ok();
        end += 5;
    }
    let day: i8 = text.text(begin, after).parse().unwrap_or(0);
    let fits = |d: &Date| d.day() == day && d.month() == month && year.is_none_or(|y| y == d.year());
    let told = text.text(begin, end);
    text.at = end;
    Some(Token::Date(told, table.dates().iter().any(fits)))
}

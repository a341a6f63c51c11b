//! The check: does a sentence say nothing but what the table says? Every number, unit, sensor name, direction word and time must
//! follow from it, or the sentence is refused with the reason.
//!
//! How: a sentence is read from left to right with a closed vocabulary. A sensor is named by its whole name; a word such as
//! *lowest*, *rose* or *stuck* opens a claim about the sensor named last; the numbers and times that follow must be those of
//! that claim. A word that is neither in the vocabulary nor part of a name refuses the sentence, and so does a claim
//! that is opened but not made, a sensor that is named but not spoken of, or a sentence that claims nothing. So a model may
//! choose its words, but can't say anything that is not in the table; what a strange model says well in other words is lost.
//!
//! Rounding: a number may have fewer digits after the point than the table's; it must then be the table's number rounded half
//! away from zero. Units: the table's, another spelling of it, or one that it can be turned into, with the number turned too.

use jiff::civil::Date;
use thiserror::Error;

use super::figure::Figure;
#[cfg(test)]
use super::table::Row;
use super::table::{Change, Figures, Note, NoteKind, Table, Times};
use super::unit;

/// Sentences longer than this are refused unread.
const MAX_CHARS: usize = 500;

/// Words that say nothing of their own.
const PLAIN_WORDS: &[&str] = &[
    "the", "a", "an", "of", "was", "were", "is", "are", "has", "had", "have", "been", "be", "being", "with", "and",
    "but", "while", "whereas", "at", "to", "from", "for", "in", "on", "by", "until", "till", "since", "its", "it",
    "that", "this", "which", "also", "then", "there", "during", "reading", "readings", "value", "values", "level",
    "sensor", "sensors", "window", "report", "stayed", "stay", "remained", "held", "showed", "shows", "recorded",
    "gave", "saw", "went", "came", "as", "overall", "day", "period", "limit",
];

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Why a sentence is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Violation {
    /// A word that the table does not account for.
    #[error("the word {0:?} is not accounted for by the table")]
    Word(String),
    /// A character that is neither letter, digit nor common punctuation.
    #[error("the character {0:?} can't be accounted for")]
    Character(char),
    /// A number that is not what the table says in this place.
    #[error("the number {0} is not what the table says there")]
    Number(String),
    /// A unit that is not the sensor's and can't be turned into it.
    #[error("the unit {0:?} does not belong to that sensor")]
    Unit(String),
    /// A time that is not what the table says in this place.
    #[error("the time {0} is not what the table says there")]
    Time(String),
    /// A date outside the window.
    #[error("the date {0} is not the window's")]
    Date(String),
    /// A direction or an event that the table does not report of this sensor.
    #[error("the table does not say {0:?} of that sensor")]
    Claim(&'static str),
    /// A claim that is opened but has no number.
    #[error("{0:?} is followed by no number")]
    Unfinished(&'static str),
    /// A sensor is named and nothing is said of it.
    #[error("nothing is said of {0:?}")]
    NothingOf(String),
    /// Nothing is claimed at all.
    #[error("it says nothing of the table")]
    Nothing,
    /// Too long to be a sentence of a report.
    #[error("it has more than 500 characters")]
    TooLong,
}

/// What a sentence that holds has told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The sensors it names: indexes into the table's rows.
    pub rows: Vec<usize>,
    /// The anomalies it tells: indexes into the table's notes.
    pub notes: Vec<usize>,
    /// It says that nothing unusual was seen.
    pub nothing_unusual: bool,
}

/// Holds `sentence` to `table`.
///
/// # Errors
/// The first thing in it that does not follow from the table.
pub fn check(table: &Table, sentence: &str) -> Result<Told, Violation> {
    if sentence.chars().count() > MAX_CHARS {
        return Err(Violation::TooLong);
    }
    let tokens = tokens(table, sentence)?;
    let mut reader = Reader { table, told: Told::default(), clause: Clause::default(), claims: 0 };
    for (i, token) in tokens.iter().enumerate() {
        let next = tokens.get(i + 1);
        match token {
            Token::Name(row) => reader.name(*row)?,
            Token::Word(word) => reader.word(word, next)?,
            Token::Number { figure, text, unit } => reader.number(*figure, text, *unit)?,
            Token::Time(minutes, text) => reader.time(*minutes, text)?,
            Token::Date(text, fits) => {
                if !fits {
                    return Err(Violation::Date(text.clone()));
                }
            }
            Token::Pause => {}
        }
    }
    reader.end_clause()?;
    if reader.claims == 0 {
        return Err(Violation::Nothing);
    }
    Ok(reader.told)
}

/// The sensors that a sentence names, whether or not what it says of them holds.
pub fn named(table: &Table, sentence: &str) -> Vec<usize> {
    let mut rows: Vec<usize> = match tokens(table, sentence) {
        Ok(tokens) => tokens.iter().filter_map(|t| if let Token::Name(row) = t { Some(*row) } else { None }).collect(),
        Err(_) => {
            let lower = sentence.to_lowercase();
            (0..table.rows().len()).filter(|r| lower.contains(&table.rows()[*r].name.to_lowercase())).collect()
        }
    };
    rows.dedup();
    rows
}

#[derive(Debug)]
enum Token<'a> {
    Name(usize),
    Word(String),
    Number { figure: Figure, text: String, unit: Option<&'a str> },
    Time(u16, String),
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

fn tokens<'a>(table: &'a Table, sentence: &str) -> Result<Vec<Token<'a>>, Violation> {
    let exact: Vec<char> = sentence.chars().map(|c| if c == '\u{2212}' { '-' } else { c }).collect();
    let mut text = Characters { lower: exact.iter().copied().map(lower).collect(), exact, at: 0 };
    // The longest names first: "boiler flow" before "boiler".
    let mut names: Vec<(usize, &str)> = table.rows().iter().map(|r| r.name.as_str()).enumerate().collect();
    names.sort_by_key(|(_, name)| std::cmp::Reverse(name.len()));
    let mut units: Vec<&'a str> = unit::spellings().collect();
    units.extend(table.rows().iter().map(|r| r.unit.as_str()).filter(|u| !u.is_empty()));
    units.sort_by_key(|u| std::cmp::Reverse(u.chars().count()));
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

/// What the next numbers and times belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Cue {
    #[default]
    None,
    Mean,
    Low,
    High,
    /// `between` or `ranged`: the lowest, then the highest.
    Range,
    RangeHigh,
    Rose,
    Fell,
    Steady,
    Spike,
    /// `true`: in the words "no readings", which are false unless the times are told.
    Gap(bool),
    Drift,
    Stuck,
    Above,
    Below,
    Done,
}

impl Cue {
    fn word(self) -> &'static str {
        match self {
            Cue::Mean => "mean",
            Cue::Low => "lowest",
            Cue::High => "highest",
            Cue::Range | Cue::RangeHigh => "between",
            Cue::Rose => "rose",
            Cue::Fell => "fell",
            Cue::Steady => "steady",
            Cue::Spike => "spike",
            Cue::Gap(_) => "gap",
            Cue::Drift => "drift",
            Cue::Stuck => "stuck",
            Cue::Above => "above",
            Cue::Below => "below",
            Cue::None | Cue::Done => "",
        }
    }

    fn is_event(self) -> bool {
        matches!(self, Cue::Spike | Cue::Gap(_) | Cue::Drift | Cue::Stuck | Cue::Above | Cue::Below)
    }

    fn fits(self, kind: &NoteKind) -> bool {
        matches!(
            (self, kind),
            (Cue::Spike, NoteKind::Spike(_))
                | (Cue::Gap(_), NoteKind::Gap(_))
                | (Cue::Drift, NoteKind::Drift { .. })
                | (Cue::Stuck, NoteKind::Stuck(..))
                | (Cue::Above, NoteKind::Above(..))
                | (Cue::Below, NoteKind::Below(..))
        )
    }
}

/// What is being said of one sensor.
#[derive(Debug, Default)]
struct Clause {
    row: Option<usize>,
    cue: Cue,
    /// A number or a time has been told under this cue.
    numbers: u8,
    times: u8,
    /// Anomalies that everything told so far fits.
    candidates: Vec<usize>,
    /// `At 14:20 the hall ...`: a time that waits for what it belongs to.
    early_time: Option<(u16, String)>,
    previous_word: String,
    claims: usize,
}

struct Reader<'a> {
    table: &'a Table,
    told: Told,
    clause: Clause,
    claims: usize,
}

impl Reader<'_> {
    fn claim(&mut self) {
        self.claims += 1;
        self.clause.claims += 1;
    }

    fn name(&mut self, row: usize) -> Result<(), Violation> {
        match self.clause.row {
            Some(current) if current == row => return Ok(()),
            Some(_) => {
                self.end_clause()?;
                self.clause = Clause { row: Some(row), ..Clause::default() };
            }
            None => {
                self.clause.row = Some(row);
                let cue = self.clause.cue;
                if cue.is_event() {
                    let notes = self.table.notes();
                    self.clause.candidates.retain(|n| notes[*n].row == row);
                    self.hold_candidates(cue)?;
                } else if matches!(cue, Cue::Rose | Cue::Fell | Cue::Steady) {
                    self.open(cue)?;
                }
            }
        }
        if !self.told.rows.contains(&row) {
            self.told.rows.push(row);
        }
        self.clause.previous_word.clear();
        Ok(())
    }

    fn hold_candidates(&self, cue: Cue) -> Result<(), Violation> {
        if self.clause.candidates.is_empty() { Err(Violation::Claim(cue.word())) } else { Ok(()) }
    }

    fn figures(&self) -> Option<&Figures> {
        self.table.rows()[self.clause.row?].figures.as_ref()
    }

    /// A new claim begins.
    fn open(&mut self, cue: Cue) -> Result<(), Violation> {
        self.end_claim()?;
        self.clause.cue = cue;
        (self.clause.numbers, self.clause.times) = (0, 0);
        self.clause.candidates.clear();
        if cue.is_event() {
            let row = self.clause.row;
            let fits = |(i, note): (usize, &Note)| {
                (cue.fits(&note.kind) && row.is_none_or(|row| row == note.row)).then_some(i)
            };
            self.clause.candidates = self.table.notes().iter().enumerate().filter_map(fits).collect();
            self.hold_candidates(cue)?;
            if let Some((minutes, told)) = self.clause.early_time.take() {
                self.time(minutes, &told)?;
            }
        }
        if self.clause.row.is_some() {
            let change = self.figures().and_then(|f| f.change);
            let holds = match cue {
                Cue::Rose => matches!(change, Some(Change::Rose(_))),
                Cue::Fell => matches!(change, Some(Change::Fell(_))),
                Cue::Steady => matches!(change, Some(Change::Steady)),
                _ => return Ok(()),
            };
            if !holds {
                return Err(Violation::Claim(cue.word()));
            }
            self.claim();
        }
        Ok(())
    }

    /// The claim that is open must have been made.
    fn end_claim(&mut self) -> Result<(), Violation> {
        let (cue, numbers, times) = (self.clause.cue, self.clause.numbers, self.clause.times);
        let finished = match cue {
            Cue::Mean | Cue::Low | Cue::High => numbers == 1,
            Cue::Range | Cue::RangeHigh => numbers == 2,
            Cue::Gap(true) => times == 2,
            _ => true,
        };
        if !finished {
            return Err(Violation::Unfinished(cue.word()));
        }
        if cue.is_event() {
            if self.clause.row.is_none() {
                return Err(Violation::Nothing);
            }
            if let Some(first) = self.clause.candidates.first() {
                if !self.told.notes.contains(first) {
                    self.told.notes.push(*first);
                }
                self.claim();
            }
        }
        self.clause.cue = Cue::Done;
        self.clause.candidates.clear();
        Ok(())
    }

    fn end_clause(&mut self) -> Result<(), Violation> {
        self.end_claim()?;
        if let Some((_, told)) = self.clause.early_time.take() {
            return Err(Violation::Time(told));
        }
        if let Some(row) = self.clause.row
            && self.clause.claims == 0
        {
            return Err(Violation::NothingOf(self.table.rows()[row].name.clone()));
        }
        Ok(())
    }

    fn word(&mut self, word: &str, next: Option<&Token<'_>>) -> Result<(), Violation> {
        let next_word = match next {
            Some(Token::Word(word)) => word.as_str(),
            _ => "",
        };
        let before = std::mem::replace(&mut self.clause.previous_word, word.to_owned());
        match word {
            "nothing" if next_word == "unusual" => {
                let has_readings = self.table.rows().iter().any(|r| r.figures.is_some());
                if !self.table.notes().is_empty() || !has_readings {
                    return Err(Violation::Claim("nothing unusual"));
                }
                self.told.nothing_unusual = true;
                self.claims += 1;
                Ok(())
            }
            "unusual" if before == "nothing" => Ok(()),
            // "Nothing unusual was seen": seen says nothing more.
            "seen" if self.told.nothing_unusual => Ok(()),
            "no" if matches!(next_word, "reading" | "readings" | "data") => self.no_readings(),
            "data" if before == "no" => Ok(()),
            "average" | "averaged" | "averaging" | "averages" | "mean" => self.open(Cue::Mean),
            "lowest" | "low" | "minimum" | "bottomed" | "dipped" => self.open(Cue::Low),
            "highest" | "high" | "maximum" | "peak" | "peaked" | "peaking" => self.open(Cue::High),
            "ranged" | "ranging" | "varied" | "range" => self.open(Cue::Range),
            "between" if matches!(next, Some(Token::Number { .. })) => match self.clause.cue {
                Cue::Range if self.clause.numbers == 0 => Ok(()),
                _ => self.open(Cue::Range),
            },
            "between" if self.clause.cue.is_event() => Ok(()),
            "rose" | "risen" | "rising" | "climbed" | "increased" | "gained" | "up" | "upwards" | "upward" => {
                self.direct(true)
            }
            "fell" | "fallen" | "falling" | "dropped" | "decreased" | "declined" | "down" | "downwards"
            | "downward" => self.direct(false),
            "steady" | "stable" | "constant" | "unchanged" => self.open(Cue::Steady),
            "spike" | "spiked" => self.open(Cue::Spike),
            "gap" => self.open(Cue::Gap(false)),
            "drift" | "drifted" | "drifting" => self.open(Cue::Drift),
            "stuck" | "frozen" | "froze" => self.open(Cue::Stuck),
            "above" | "exceeded" => self.open(Cue::Above),
            "below" => self.open(Cue::Below),
            article if is_article(article) && is_article(&before) => Err(Violation::Word(article.to_owned())),
            plain if PLAIN_WORDS.contains(&plain) => Ok(()),
            other => Err(Violation::Word(other.to_owned())),
        }
    }

    fn no_readings(&mut self) -> Result<(), Violation> {
        let Some(row) = self.clause.row else { return Err(Violation::Nothing) };
        if self.table.rows()[row].figures.is_none() {
            self.end_claim()?;
            self.claim();
            return Ok(());
        }
        self.open(Cue::Gap(true))
    }

    /// `rose`, or `up` after `drifted`.
    fn direct(&mut self, upwards: bool) -> Result<(), Violation> {
        if self.clause.cue == Cue::Drift && self.clause.numbers == 0 && self.clause.times == 0 {
            let notes = self.table.notes();
            let fits = |n: &usize| matches!(notes[*n].kind, NoteKind::Drift { up, .. } if up == upwards);
            self.clause.candidates.retain(fits);
            return self.hold_candidates(Cue::Drift);
        }
        self.open(if upwards { Cue::Rose } else { Cue::Fell })
    }

    fn number(&mut self, figure: Figure, text: &str, unit: Option<&str>) -> Result<(), Violation> {
        let wrong = || Violation::Number(text.to_owned());
        let Some(row) = self.clause.row else { return Err(wrong()) };
        let own_unit = self.table.rows()[row].unit.clone();
        if let Some(unit) = unit
            && unit::convert(0.0, &own_unit, unit, false).is_none()
        {
            return Err(Violation::Unit(unit.to_owned()));
        }
        let is = |fact: Figure, is_difference: bool| agrees(figure, unit, fact, &own_unit, is_difference);
        let by = self.clause.previous_word == "by";
        self.clause.numbers += 1;
        let nth = self.clause.numbers;
        self.clause.previous_word.clear();
        if self.clause.cue.is_event() {
            let notes = self.table.notes();
            let fits = |n: &usize| match &notes[*n].kind {
                NoteKind::Spike(spike) => !by && is(spike.value, false),
                NoteKind::Drift { by: amount, .. } => by && is(*amount, true),
                NoteKind::Stuck(value, _) | NoteKind::Above(value, _) | NoteKind::Below(value, _) => {
                    !by && is(*value, false)
                }
                NoteKind::Gap(_) => false,
            };
            self.clause.candidates.retain(fits);
            return if nth > 1 || self.clause.candidates.is_empty() { Err(wrong()) } else { Ok(()) };
        }
        let figures = *self.figures().ok_or_else(wrong)?;
        let holds = match (self.clause.cue, nth) {
            (Cue::Mean | Cue::Steady, 1) => !by && is(figures.mean, false),
            (Cue::Low, 1) | (Cue::Range, 1) => !by && is(figures.low.value, false),
            (Cue::High, 1) | (Cue::RangeHigh, 2) => !by && is(figures.high.value, false),
            (Cue::Rose, 1) => by && matches!(figures.change, Some(Change::Rose(c)) if is(c, true)),
            (Cue::Fell, 1) => by && matches!(figures.change, Some(Change::Fell(c)) if is(c, true)),
            _ => false,
        };
        if !holds {
            return Err(wrong());
        }
        self.claim();
        if let Some((minutes, told)) = self.clause.early_time.take() {
            self.time(minutes, &told)?;
        }
        if self.clause.cue == Cue::Range {
            self.clause.cue = Cue::RangeHigh;
            self.clause.times = 0;
        }
        Ok(())
    }

    fn time(&mut self, minutes: u16, text: &str) -> Result<(), Violation> {
        let wrong = || Violation::Time(text.to_owned());
        let preposition = std::mem::take(&mut self.clause.previous_word);
        let late = matches!(preposition.as_str(), "to" | "until" | "till" | "and");
        let cue = self.clause.cue;
        self.clause.times += 1;
        let nth = self.clause.times;
        if cue.is_event() {
            let notes = self.table.notes();
            let is_end = late || nth == 2;
            let of_times = |times: &Times| {
                times.is_some_and(|(from, to)| if is_end { to.0 == minutes && nth == 2 } else { from.0 == minutes })
            };
            let fits = |n: &usize| match &notes[*n].kind {
                NoteKind::Spike(spike) => nth == 1 && !late && spike.at.is_some_and(|at| at.0 == minutes),
                NoteKind::Drift { from, .. } => nth == 1 && !late && from.is_some_and(|at| at.0 == minutes),
                NoteKind::Gap(times)
                | NoteKind::Stuck(_, times)
                | NoteKind::Above(_, times)
                | NoteKind::Below(_, times) => nth <= 2 && of_times(times),
            };
            self.clause.candidates.retain(fits);
            return if self.clause.candidates.is_empty() { Err(wrong()) } else { Ok(()) };
        }
        let figures = self.figures().copied();
        let extreme = match (cue, figures) {
            (Cue::None | Cue::Done, _) if self.clause.early_time.is_none() && preposition == "at" => {
                self.clause.early_time = Some((minutes, text.to_owned()));
                return Ok(());
            }
            (Cue::Low, Some(f)) => f.low,
            (Cue::High, Some(f)) => f.high,
            // After the first number of a range its cue is that of the second: the time still belongs to the first.
            (Cue::RangeHigh, Some(f)) => {
                if self.clause.numbers == 1 {
                    f.low
                } else {
                    f.high
                }
            }
            _ => return Err(wrong()),
        };
        let once = match cue {
            Cue::RangeHigh => nth <= self.clause.numbers,
            _ => nth == 1,
        };
        if once && extreme.at.is_some_and(|at| at.0 == minutes) && !late { Ok(()) } else { Err(wrong()) }
    }
}

/// Whether what is told is the fact: the same number, rounded perhaps, in the same unit or turned into another.
fn agrees(told: Figure, unit: Option<&str>, fact: Figure, own_unit: &str, is_difference: bool) -> bool {
    match unit {
        Some(unit) if !unit::is_same(unit, own_unit) => {
            let Some(turned) = unit::convert(fact.value(), own_unit, unit, is_difference) else { return false };
            let rounded = Figure::new(turned, told.decimals());
            // The fact itself has only so many digits; more of them after turning would be invented.
            told.decimals() <= fact.decimals() + 3
                && told.is_rounding_of(rounded)
                && rounded.is_rounding_of(told)
                && told.is_zero() == (turned == 0.0)
        }
        _ => told.is_rounding_of(fact),
    }
}

/// Everything that a row's name must be, so that no sentence can be read in two ways: letters, digits and single spaces, with a
/// letter in it.
pub fn readable_name(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().take(60) {
        if c.is_alphanumeric() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with(' ') {
            name.push(' ');
        }
    }
    let name = name.trim();
    if name.chars().any(char::is_alphabetic) { name.to_owned() } else { format!("sensor {name}").trim().to_owned() }
}

/// Words that mean nothing to the check and sound well after *the*.
const NOUNS: &[&str] = &["value", "values", "level", "sensor", "window", "report", "day", "period", "limit"];
/// Words that mean something beside others only.
const HALVES: &[&str] = &["nothing", "unusual", "seen", "no", "data", "between"];

/// A readable name as it stands in sentences, behind *the*: without an article of its own, and with *sensor* before it where it
/// would be read as something else, as in `a b`, `mean` and `an`.
pub fn spoken_name(name: &str) -> String {
    let bare = match name.split_once(' ') {
        Some((first, rest)) if first.eq_ignore_ascii_case("the") => rest,
        _ => name,
    };
    let words: Vec<String> = bare.split(' ').map(str::to_lowercase).collect();
    let is_letter = words[0].chars().nth(1).is_none();
    let is_said = |word: &String| {
        word.bytes().all(|b| b.is_ascii_digit())
            || HALVES.contains(&word.as_str())
            || (is_vocabulary(word) && !NOUNS.contains(&word.as_str()))
    };
    if is_article(&words[0]) || is_letter || words.iter().all(is_said) {
        format!("sensor {bare}")
    } else {
        bare.to_owned()
    }
}

fn is_article(word: &str) -> bool {
    matches!(word, "a" | "an" | "the")
}

/// Whether the check knows a word by itself.
fn is_vocabulary(word: &str) -> bool {
    let table = Table::of(String::new(), [Date::ZERO; 2], Vec::new(), Vec::new());
    let mut reader = Reader { table: &table, told: Told::default(), clause: Clause::default(), claims: 0 };
    !matches!(reader.word(word, None), Err(Violation::Word(_)))
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;

#[cfg(test)]
impl Row {
    /// A row for tests.
    pub(super) fn test(name: &str, unit: &str, figures: Option<Figures>) -> Row {
        Row { name: name.to_owned(), unit: unit.to_owned(), figures }
    }
}

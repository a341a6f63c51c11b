//! What a sentence claims, word by word, against what the table says.

use super::tokens::Token;
use super::{Covered, Violation, is_article};
use crate::figure::Figure;
use crate::table::{Change, Charge, Counted, Figures, Note, NoteKind, Row, States, Table, Times};
use crate::unit;

/// Words that say nothing of their own.
const PLAIN_WORDS: &[&str] = &[
    "the", "a", "an", "of", "was", "were", "is", "are", "has", "had", "have", "been", "be", "being", "with", "and",
    "but", "while", "whereas", "at", "to", "from", "for", "in", "on", "by", "until", "till", "since", "its", "it",
    "that", "this", "which", "also", "then", "there", "during", "reading", "readings", "value", "values", "level",
    "sensor", "sensors", "window", "report", "stayed", "stay", "remained", "held", "showed", "shows", "recorded",
    "gave", "saw", "went", "came", "as", "overall", "day", "period", "limit",
];

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
    /// What a total counted, and where it stood.
    Counted,
    Stood,
    /// How long a battery lasts.
    Lasts,
    /// The state at this place in the row's lines.
    State(usize),
    /// How often a state changed.
    Changed,
    /// The longest time in a state.
    Longest(usize),
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
            Cue::Counted => "counted",
            Cue::Stood => "stood",
            Cue::Lasts => "lasts",
            Cue::State(_) => "state",
            Cue::Changed => "changed",
            Cue::Longest(_) => "longest",
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
pub(super) struct Clause {
    row: Option<usize>,
    cue: Cue,
    /// A number or a time has been told under this cue.
    numbers: u8,
    times: u8,
    /// Anomalies that everything told so far fits.
    candidates: Vec<usize>,
    /// `At 14:20 the hall ...`, `From 02:10 to 03:45 the hall ...`: times that wait for what they belong to.
    early_times: Vec<EarlyTime>,
    previous_word: String,
    claims: usize,
}

/// A time that stands before what it belongs to.
#[derive(Clone, Debug)]
struct EarlyTime {
    minutes: u16,
    text: String,
    preposition: String,
}

pub(super) struct Reader<'a> {
    table: &'a Table,
    told: Covered,
    clause: Clause,
    claims: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(table: &'a Table) -> Reader<'a> {
        Reader { table, told: Covered::default(), clause: Clause::default(), claims: 0 }
    }

    /// The sentence is at its end: what it has told.
    pub(super) fn end(mut self) -> Result<Covered, Violation> {
        self.end_clause()?;
        if self.claims == 0 {
            return Err(Violation::Nothing);
        }
        Ok(self.told)
    }

    fn claim(&mut self) {
        self.claims += 1;
        self.clause.claims += 1;
    }

    pub(super) fn name(&mut self, row: usize) -> Result<(), Violation> {
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

    fn states(&self) -> Option<&States> {
        self.table.rows()[self.clause.row?].states.as_ref()
    }

    fn counted(&self) -> Option<&Counted> {
        self.table.rows()[self.clause.row?].counted.as_ref()
    }

    fn charge(&self) -> Option<&Charge> {
        self.table.rows()[self.clause.row?].charge.as_ref()
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
            let word = std::mem::take(&mut self.clause.previous_word);
            for early in std::mem::take(&mut self.clause.early_times) {
                self.clause.previous_word = early.preposition;
                self.time(early.minutes, &early.text)?;
            }
            self.clause.previous_word = word;
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
            Cue::Counted | Cue::Stood | Cue::Lasts | Cue::Changed => numbers == 1,
            Cue::Longest(_) => times == 2,
            // Without its duration it was so all the time.
            Cue::State(_) => numbers == 1 || self.states().is_some_and(|s| s.changes == 0 && s.lines.len() == 1),
            _ => true,
        };
        if !finished {
            return Err(Violation::Unfinished(cue.word()));
        }
        if matches!(cue, Cue::State(_)) {
            self.claim();
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
        if let Some(early) = self.clause.early_times.pop() {
            return Err(Violation::Time(early.text));
        }
        if let Some(row) = self.clause.row
            && self.clause.claims == 0
        {
            return Err(Violation::NothingOf(self.table.rows()[row].name.clone()));
        }
        Ok(())
    }

    pub(super) fn word(&mut self, word: &str, next: Option<&Token<'_>>) -> Result<(), Violation> {
        let next_word = match next {
            Some(Token::Word(word)) => word.as_str(),
            _ => "",
        };
        let before = std::mem::replace(&mut self.clause.previous_word, word.to_owned());
        if let Some(states) = self.states() {
            if let Some(place) = states.lines.iter().position(|l| l.word == word) {
                return self.open(Cue::State(place));
            }
            match (word, self.clause.cue) {
                ("changed", _) => return self.open(Cue::Changed),
                ("times" | "time", Cue::Changed) => return Ok(()),
                ("longest", Cue::State(place)) if self.clause.numbers == 1 => return self.open(Cue::Longest(place)),
                _ => {}
            }
        }
        if self.charge().is_some() {
            match word {
                "stood" => return self.open(Cue::Stood),
                "lasts" => return self.open(Cue::Lasts),
                "about" | "days" if self.clause.cue == Cue::Lasts => return Ok(()),
                _ => {}
            }
        }
        // What a change compares with, as the table has it.
        if let (Cue::Rose | Cue::Fell | Cue::Steady, "against" | "before" | "hour" | "week" | "month") =
            (self.clause.cue, word)
        {
            let is_so = word != "before" || self.table.before() == format!("the {before} before");
            return if is_so { Ok(()) } else { Err(Violation::Word(word.to_owned())) };
        }
        if self.counted().is_some() {
            match word {
                "counted" => return self.open(Cue::Counted),
                "stood" => return self.open(Cue::Stood),
                _ => {}
            }
        }
        match word {
            "nothing" if next_word == "unusual" => {
                let has_readings = self.table.rows().iter().any(Row::has_readings);
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
            "between" if self.clause.cue == Cue::None && matches!(next, Some(Token::Time(..))) => Ok(()),
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
        if !self.table.rows()[row].has_readings() {
            self.end_claim()?;
            self.claim();
            return Ok(());
        }
        self.open(Cue::Gap(true))
    }

    /// Whether a time after this preposition may stand before what it belongs to.
    fn may_be_early(&self, preposition: &str) -> bool {
        match self.clause.early_times.as_slice() {
            [] => match preposition {
                "at" => true,
                "from" | "since" | "between" => self.clause.cue == Cue::None,
                _ => false,
            },
            [first] => match first.preposition.as_str() {
                "from" => matches!(preposition, "to" | "until" | "till"),
                "between" => preposition == "and",
                _ => false,
            },
            _ => false,
        }
    }

    /// `rose`, or `up` after `drifted`.
    fn direct(&mut self, upwards: bool) -> Result<(), Violation> {
        if self.clause.cue == Cue::Drift && self.clause.numbers == 0 {
            let notes = self.table.notes();
            let fits = |n: &usize| matches!(notes[*n].kind, NoteKind::Drift { up, .. } if up == upwards);
            self.clause.candidates.retain(fits);
            return self.hold_candidates(Cue::Drift);
        }
        self.open(if upwards { Cue::Rose } else { Cue::Fell })
    }

    pub(super) fn number(&mut self, figure: Figure, text: &str, unit: Option<&str>) -> Result<(), Violation> {
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
        let told_so = match (self.clause.cue, nth) {
            (Cue::Counted, 1) => Some(self.counted().is_some_and(|c| !by && is(c.gain, true))),
            (Cue::Stood, 1) => {
                let last = self.counted().and_then(|c| c.last).or_else(|| self.charge().map(|c| c.last));
                Some(!by && last.is_some_and(|last| is(last, false)))
            }
            (Cue::Lasts, 1) => Some(unit.is_none() && self.charge().is_some_and(|c| text == c.days.to_string())),
            (Cue::Changed, 1) => Some(unit.is_none() && self.states().is_some_and(|s| text == s.changes.to_string())),
            _ => None,
        };
        if let Some(holds) = told_so {
            self.claim();
            return if holds { Ok(()) } else { Err(wrong()) };
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
        for early in std::mem::take(&mut self.clause.early_times) {
            if early.preposition != "at" {
                return Err(Violation::Time(early.text));
            }
            self.time(early.minutes, &early.text)?;
        }
        if self.clause.cue == Cue::Range {
            self.clause.cue = Cue::RangeHigh;
            self.clause.times = 0;
        }
        Ok(())
    }

    /// How long a state lasted.
    pub(super) fn duration(&mut self, text: &str) -> Result<(), Violation> {
        self.clause.previous_word.clear();
        self.clause.numbers += 1;
        match (self.clause.cue, self.clause.numbers) {
            (Cue::State(place), 1) if self.states().is_some_and(|s| s.lines[place].lasted == text) => Ok(()),
            _ => Err(Violation::Number(text.to_owned())),
        }
    }

    pub(super) fn time(&mut self, minutes: u16, text: &str) -> Result<(), Violation> {
        let wrong = || Violation::Time(text.to_owned());
        let preposition = std::mem::take(&mut self.clause.previous_word);
        let late = matches!(preposition.as_str(), "to" | "until" | "till" | "and");
        // What goes on since then has no end yet, and a spike has no length.
        let since = preposition == "since";
        let begins = matches!(preposition.as_str(), "from" | "since" | "between");
        let cue = self.clause.cue;
        self.clause.times += 1;
        let nth = self.clause.times;
        if cue.is_event() {
            let notes = self.table.notes();
            let is_end = late || nth == 2;
            let of_times = |times: &Times| {
                let (from, to) = times.as_ref()?;
                (!since && if is_end { to.0 == minutes && nth == 2 } else { from.0 == minutes }).then_some(())
            };
            let fits = |n: &usize| match &notes[*n].kind {
                NoteKind::Spike(spike) => nth == 1 && !late && !begins && spike.at.is_some_and(|at| at.0 == minutes),
                NoteKind::Drift { from, .. } => nth == 1 && !late && from.is_some_and(|at| at.0 == minutes),
                NoteKind::Gap(times)
                | NoteKind::Stuck(_, times)
                | NoteKind::Above(_, times)
                | NoteKind::Below(_, times) => nth <= 2 && of_times(times).is_some(),
            };
            self.clause.candidates.retain(fits);
            return if self.clause.candidates.is_empty() { Err(wrong()) } else { Ok(()) };
        }
        if let Cue::Longest(place) = cue {
            let span = self.states().and_then(|s| s.lines[place].longest);
            let holds = span.is_some_and(|(from, to)| match nth {
                1 => from.0 == minutes && !late,
                2 => to.0 == minutes,
                _ => false,
            });
            return if holds { Ok(()) } else { Err(wrong()) };
        }
        let figures = self.figures().copied();
        let extreme = match (cue, figures) {
            (Cue::None | Cue::Done, _) if self.may_be_early(&preposition) => {
                self.clause.early_times.push(EarlyTime { minutes, text: text.to_owned(), preposition });
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

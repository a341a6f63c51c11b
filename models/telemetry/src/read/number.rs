//! Numbers as people and programs write them: decimal and thousands marks, minus signs, units behind them.
//!
//! `1,200` is 1200 in one half of the world and 1.2 in the other. What a column, or the whole input, shows elsewhere decides
//! (`20,5`, `1.200,0`, `0,512`, a step from 998 to `1,003`); where nothing does, nobody guesses: the cell is ambiguous.

use crate::unit;

/// Longer cells are no numbers.
const MAX_CHARS: usize = 64;

/// Which mark separates the decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Marks {
    /// Nothing has shown it yet.
    #[default]
    Unknown,
    /// `1,234.5`
    Point,
    /// `1.234,5`
    Comma,
    /// Both occur: what has one mark only is a decimal number, what has both is none.
    Mixed,
}

impl Marks {
    /// The decimal mark as options name it; empty: nothing has shown it, or both occur.
    pub(super) fn decimal(self) -> &'static str {
        match self {
            Marks::Point => ".",
            Marks::Comma => ",",
            Marks::Unknown | Marks::Mixed => "",
        }
    }
}

/// What a cell is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Nothing, or a word for nothing.
    Empty,
    /// A number, and the unit behind it.
    Number(f64, &'a str),
    /// A number that can be read in two ways.
    Ambiguous,
    /// Something else.
    Other,
}

/// Words that stand for a value that is not there.
const NOTHING: &[&str] =
    &["", "-", "--", "---", "na", "n/a", "null", "none", "unknown", "unavailable", "n.a.", "#n/a", "nil", "undefined"];

/// Whether `text` says that there is no value.
pub fn is_nothing(text: &str) -> bool {
    NOTHING.iter().any(|n| text.eq_ignore_ascii_case(n))
}

/// How the marks of one number may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Digits alone.
    Plain,
    /// One mark, and it can only be the decimal one.
    Decimal(char),
    /// The mark groups thousands, and nothing else is possible.
    Grouped(char),
    /// Both marks: the second is the decimal one.
    Both { decimal: char },
    /// One mark with three digits behind it: either.
    Open(char),
}

/// A number's text, taken apart.
#[derive(Clone, Copy, Debug)]
struct Parts<'a> {
    negative: bool,
    /// Digits and marks, perhaps with an exponent.
    digits: &'a str,
    unit: &'a str,
}

/// Currencies that stand in front of an amount, and what they are printed as.
const CURRENCIES: [&str; 8] = ["€", "$", "£", "CHF", "EUR", "USD", "GBP", "¥"];

/// What stands within the marks of bookkeeping: `(200)` and `200-` are negative.
fn without_bookkeeping(text: &str) -> Option<&str> {
    let inner = match text.strip_prefix('(') {
        Some(rest) => rest.strip_suffix(')')?,
        None => text.strip_suffix(['-', '\u{2212}'])?,
    };
    inner.trim_end().ends_with(|c: char| c.is_ascii_digit()).then_some(inner)
}

fn take_apart(text: &str) -> Option<Parts<'_>> {
    let text = text.strip_prefix('\'').unwrap_or(text).trim();
    if let Some(inner) = without_bookkeeping(text) {
        let inner = inner.trim();
        return inner
            .starts_with(|c: char| c.is_ascii_digit())
            .then(|| take_apart(inner))?
            .map(|parts| Parts { negative: true, ..parts });
    }
    if let Some((currency, rest)) = CURRENCIES.iter().find_map(|c| Some((*c, text.strip_prefix(c)?))) {
        return take_apart(rest.trim_start())
            .filter(|parts| parts.unit.is_empty())
            .map(|parts| Parts { unit: currency, ..parts });
    }
    if let Some(rest) = text.strip_prefix('-').filter(|rest| rest.starts_with(['€', '$', '£', '¥'])) {
        return take_apart(rest).filter(|parts| !parts.negative).map(|parts| Parts { negative: true, ..parts });
    }
    let (negative, rest) = match text.chars().next()? {
        '-' | '\u{2212}' | '\u{2013}' | '\u{fe63}' | '\u{ff0d}' => {
            let first = text.chars().next()?;
            (true, text[first.len_utf8()..].trim_start())
        }
        '+' => (false, text[1..].trim_start()),
        _ => (false, text),
    };
    if !rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | ',')) {
        return None;
    }
    let mut end = 0;
    let bytes = rest.as_bytes();
    for (i, c) in rest.char_indices() {
        let digit_follows = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let is_part = match c {
            '0'..='9' => true,
            '.' | ',' => digit_follows(i + 1) || (i > 0 && bytes[i - 1].is_ascii_digit()),
            // Groups of three behind a space or an apostrophe.
            ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}' | '\'' | '’' => {
                let next = i + c.len_utf8();
                i > 0 && (0..3).all(|n| digit_follows(next + n)) && !digit_follows(next + 3)
            }
            'e' | 'E' if i > 0 => {
                let sign = usize::from(matches!(bytes.get(i + 1), Some(b'+' | b'-')));
                digit_follows(i + 1 + sign)
            }
            '+' | '-' if i > 0 => matches!(bytes[i - 1], b'e' | b'E') && digit_follows(i + 1),
            _ => false,
        };
        if !is_part {
            break;
        }
        end = i + c.len_utf8();
    }
    let (digits, behind) = rest.split_at(end);
    let unit = behind.trim();
    let is_spaced = behind.starts_with(char::is_whitespace) || behind.starts_with(['%', '°', 'µ', '‰', 'Ω', '℃']);
    // `12A` may be a room as well as a current; `12 A` is none but a current, as is `12.5A`, and nothing has a room `20.0C`.
    let is_apart = is_spaced || digits.contains(['.', ',']);
    let is_letter = unit.chars().count() == 1 && unit.chars().all(char::is_alphabetic);
    let is_unit = unit.is_empty()
        || ((unit::is_known(unit) || unit == "F") && (is_apart || !is_letter))
        || (is_spaced && unit.chars().count() <= 10 && unit.chars().all(is_of_units) && !unit.starts_with('-'));
    (is_unit && digits.bytes().any(|b| b.is_ascii_digit())).then_some(Parts { negative, digits, unit })
}

fn is_of_units(c: char) -> bool {
    c.is_alphabetic()
        || matches!(
            c,
            '%' | '‰'
                | '°'
                | '€'
                | '$'
                | '£'
                | '²'
                | '³'
                | '¹'
                | '⁻'
                | '·'
                | '/'
                | '*'
                | '^'
                | '-'
                | '2'
                | '3'
                | 'µ'
        )
}

/// The mantissa's form; `None` where the marks make no number.
fn form(mantissa: &str) -> Option<Form> {
    let (points, commas) = (mantissa.matches('.').count(), mantissa.matches(',').count());
    let groups = |text: &str, mark: char| {
        let mut parts = text.split(mark);
        let first = parts.next().unwrap_or("");
        let rest: Vec<&str> = parts.collect();
        // India groups two digits above the thousands: 12,34,567.
        let is_indian = mark == ','
            && rest.len() > 1
            && (1..=2).contains(&first.len())
            && rest[..rest.len() - 1].iter().all(|p| p.len() == 2)
            && rest[rest.len() - 1].len() == 3;
        ((1..=3).contains(&first.len()) && rest.iter().all(|p| p.len() == 3)) || is_indian
    };
    match (points, commas) {
        (0, 0) => Some(Form::Plain),
        (1, 0) | (0, 1) => {
            let mark = if points == 1 { '.' } else { ',' };
            let (whole, fraction) = mantissa.split_once(mark)?;
            let is_open = fraction.len() == 3 && (1..=3).contains(&whole.len()) && !whole.starts_with('0');
            Some(if is_open { Form::Open(mark) } else { Form::Decimal(mark) })
        }
        (_, 0) => groups(mantissa, '.').then_some(Form::Grouped('.')),
        (0, _) => groups(mantissa, ',').then_some(Form::Grouped(',')),
        _ => {
            let (decimal, group) = if mantissa.rfind('.') > mantissa.rfind(',') { ('.', ',') } else { (',', '.') };
            let (whole, _) = mantissa.rsplit_once(decimal)?;
            (groups(whole, group) && !whole.contains(decimal)).then_some(Form::Both { decimal })
        }
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}' | '\'' | '’')
}

/// Reads a cell.
pub fn read(text: &str, marks: Marks) -> Cell<'_> {
    let text = text.trim();
    // What most cells are.
    if !text.contains(',')
        && (marks != Marks::Comma || !text.contains('.'))
        && (marks != Marks::Unknown || !text.contains('.'))
        && let Ok(value) = text.parse::<f64>()
    {
        return Cell::Number(value, "");
    }
    if is_nothing(text) {
        return Cell::Empty;
    }
    if text.len() > MAX_CHARS {
        return Cell::Other;
    }
    let Some(Parts { negative, digits, unit }) = take_apart(text) else {
        return match text.parse::<f64>() {
            Ok(value) => Cell::Number(value, ""), // NaN and infinity
            Err(_) => Cell::Other,
        };
    };
    let tidy;
    let digits = match digits.contains(is_space) {
        false => digits,
        true => {
            tidy = digits.replace(is_space, "");
            &tidy
        }
    };
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => digits.split_at(at),
        None => (digits, ""),
    };
    let Some(form) = form(mantissa) else { return Cell::Other };
    let decimal = match (form, marks) {
        (Form::Plain, _) => None,
        (Form::Decimal(','), Marks::Point) => return Cell::Other,
        (Form::Decimal('.'), Marks::Comma) => return Cell::Other,
        (Form::Decimal(mark), _) => Some(mark),
        (Form::Grouped(','), Marks::Comma) | (Form::Grouped('.'), Marks::Point) => return Cell::Other,
        (Form::Grouped(_), Marks::Mixed) | (Form::Both { .. }, Marks::Mixed) => return Cell::Other,
        (Form::Grouped(_), _) => None,
        (Form::Both { decimal: '.' }, Marks::Comma) | (Form::Both { decimal: ',' }, Marks::Point) => {
            return Cell::Other;
        }
        (Form::Both { decimal }, _) => Some(decimal),
        (Form::Open(mark), Marks::Point) => (mark == '.').then_some('.'),
        (Form::Open(mark), Marks::Comma) => (mark == ',').then_some(','),
        (Form::Open(mark), Marks::Mixed) => Some(mark),
        (Form::Open(_), Marks::Unknown) => return Cell::Ambiguous,
    };
    let mut plain = String::with_capacity(digits.len() + 1);
    if negative {
        plain.push('-');
    }
    for c in mantissa.chars() {
        if Some(c) == decimal {
            plain.push('.');
        } else if c.is_ascii_digit() {
            plain.push(c);
        }
    }
    plain.push_str(exponent);
    plain.parse().map_or(Cell::Other, |value| Cell::Number(value, unit))
}

/// What the cells of a column show of its marks, in the order in which they stand.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    comma_decimal: u32,
    point_decimal: u32,
    open_comma: u32,
    open_point: u32,
    /// Cells with one mark and three digits behind it, and those without marks: the value with the mark as decimal one, and
    /// without it.
    course: Vec<(f64, f64)>,
    /// The first that can be read in two ways.
    example: Option<String>,
    numbers: u32,
}

impl Evidence {
    /// Looks at a cell. `point` where the delimiter shows that a point is the decimal mark.
    pub fn see(&mut self, text: &str, point: bool) {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_CHARS {
            return;
        }
        let Some(Parts { digits, .. }) = take_apart(text) else { return };
        self.numbers += 1;
        let mantissa = digits.split(['e', 'E']).next().unwrap_or(digits).replace(is_space, "");
        let has_spaces = digits.contains(is_space);
        match form(&mantissa) {
            // Groups of their own leave the other marks to the decimals.
            Some(Form::Open('.')) if point || has_spaces => self.point_decimal += 1,
            Some(Form::Open(',')) if has_spaces => self.comma_decimal += 1,
            Some(Form::Decimal('.') | Form::Grouped(',') | Form::Both { decimal: '.' }) => self.point_decimal += 1,
            Some(Form::Decimal(',') | Form::Grouped('.') | Form::Both { decimal: ',' }) => self.comma_decimal += 1,
            Some(Form::Open(mark)) => {
                *(if mark == ',' { &mut self.open_comma } else { &mut self.open_point }) += 1;
                self.example.get_or_insert_with(|| text.to_owned());
                let value = |text: String| text.parse().unwrap_or(0.0);
                self.course.push((value(mantissa.replace(mark, ".")), value(mantissa.replace(mark, ""))));
            }
            Some(Form::Plain) => {
                let value = mantissa.parse().unwrap_or(0.0);
                self.course.push((value, value));
            }
            _ => {}
        }
    }

    /// Whether any cell can be read in two ways.
    pub fn is_open(&self) -> bool {
        self.open_comma + self.open_point > 0
    }

    /// The first cell that can.
    pub fn example(&self) -> &str {
        self.example.as_deref().unwrap_or("")
    }

    /// What the column itself shows.
    pub fn own(&self) -> Marks {
        match (self.point_decimal > 0, self.comma_decimal > 0) {
            (true, true) => Marks::Mixed,
            (true, false) => Marks::Point,
            (false, true) => Marks::Comma,
            (false, false) => self.by_course(),
        }
    }

    /// Where plain numbers and open ones follow each other, the right reading makes the smaller steps.
    fn by_course(&self) -> Marks {
        if !self.is_open() || (self.open_comma > 0 && self.open_point > 0) {
            return Marks::Unknown;
        }
        let is_plain = |c: &(f64, f64)| c.0 == c.1;
        let mixed: Vec<_> = self.course.windows(2).filter(|w| is_plain(&w[0]) != is_plain(&w[1])).collect();
        if mixed.len() < 2 || self.course.iter().any(|c| is_plain(c) && c.0 == 0.0) {
            return Marks::Unknown;
        }
        let count = mixed.len() as f64;
        let as_decimal = mixed.iter().map(|w| (w[1].0 - w[0].0).abs()).sum::<f64>() / count;
        let as_group = mixed.iter().map(|w| (w[1].1 - w[0].1).abs()).sum::<f64>() / count;
        let mark_is_comma = self.open_comma > 0;
        let decimal = if mark_is_comma { Marks::Comma } else { Marks::Point };
        let group = if mark_is_comma { Marks::Point } else { Marks::Comma };
        // Programs that group thousands group them all.
        let has_ungrouped = self.course.iter().any(|c| is_plain(c) && c.0.abs() >= 1000.0);
        if as_group * 5.0 < as_decimal && !has_ungrouped {
            group
        } else if as_decimal * 5.0 < as_group {
            decimal
        } else {
            Marks::Unknown
        }
    }
}

/// The marks of all columns together: `None` where two columns contradict each other, or none shows any.
pub fn of_all<'a>(columns: impl Iterator<Item = &'a Evidence>) -> Option<Marks> {
    let mut found = None;
    for evidence in columns {
        match (evidence.own(), found) {
            (Marks::Unknown, _) => {}
            (Marks::Mixed, _) => return None,
            (own, None) => found = Some(own),
            (own, Some(before)) if own != before => return None,
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str, marks: Marks) -> Option<f64> {
        match read(text, marks) {
            Cell::Number(value, _) => Some(value),
            _ => None,
        }
    }

    #[test]
    fn cells_are_read_as_people_write_them() {
        for (text, value, unit) in [
            ("21.5", 21.5, ""),
            ("\u{2212}10.0", -10.0, ""),
            ("'-2.00", -2.0, ""),
            ("20.1 °C", 20.1, "°C"),
            ("40%", 40.0, "%"),
            ("-60 dBm", -60.0, "dBm"),
            ("1,200.5", 1200.5, ""),
            ("20,1", 20.1, ""),
            ("1.200,0", 1200.0, ""),
            ("1 234,5 kWh", 1234.5, "kWh"),
            ("12'345.6", 12_345.6, ""),
            ("1.5e3", 1500.0, ""),
            ("+4", 4.0, ""),
            ("20.0C", 20.0, "C"),
            ("68.5F", 68.5, "F"),
            ("50%RH", 50.0, "%RH"),
            ("(200)", -200.0, ""),
            ("(1,200.5)", -1200.5, ""),
            ("200-", -200.0, ""),
            ("$0.20", 0.2, "$"),
            ("-$0.20", -0.2, "$"),
            ("€ 2,00", 2.0, "€"),
            ("0,1997 €/kWh", 0.1997, "€/kWh"),
            ("12,34,567", 1_234_567.0, ""),
            ("12,34,567.5", 1_234_567.5, ""),
            ("1.00 GiB", 1.0, "GiB"),
        ] {
            assert_eq!(read(text, Marks::Unknown), Cell::Number(value, unit), "{text}");
        }
        for text in [
            "2026-11-20",
            "12A",
            "on",
            "3 open windows in the hall",
            "1.2.3",
            "1,2,3",
            "12:30",
            "(on)",
            "()",
            "(-5)",
            "5--",
            "$",
            "20C",
            "12,34,56",
            "1B",
        ] {
            assert_eq!(read(text, Marks::Unknown), Cell::Other, "{text}");
        }
        for text in ["", " ", "-", "unavailable", "N/A"] {
            assert_eq!(read(text, Marks::Unknown), Cell::Empty, "{text}");
        }
    }

    #[test]
    fn between_1200_and_1_2_nobody_guesses() {
        for text in ["1,200", "1.110", "-1,200 W"] {
            assert_eq!(read(text, Marks::Unknown), Cell::Ambiguous, "{text}");
        }
        assert_eq!(number("1,200", Marks::Point), Some(1200.0));
        assert_eq!(number("1,200", Marks::Comma), Some(1.2));
        assert_eq!(number("1.110", Marks::Comma), Some(1110.0));
        assert_eq!(number("1.110", Marks::Point), Some(1.11));
    }

    #[test]
    fn a_column_shows_its_marks_by_its_other_cells() {
        let own = |cells: &[&str]| {
            let mut evidence = Evidence::default();
            cells.iter().for_each(|c| evidence.see(c, false));
            evidence.own()
        };
        assert_eq!(own(&["1,200", "20,5"]), Marks::Comma);
        assert_eq!(own(&["1,200", "1,200.5"]), Marks::Point);
        assert_eq!(own(&["0,512", "1,200"]), Marks::Comma);
        assert_eq!(own(&["1,200", "1,300"]), Marks::Unknown);
        assert_eq!(own(&["980", "998", "1,003", "1,020", "990", "1,001"]), Marks::Point);
        assert_eq!(own(&["20", "20,125", "20,5"]), Marks::Comma);
        assert_eq!(own(&["21", "20,998", "21", "21,004"]), Marks::Comma);
        assert_eq!(own(&["1,5", "1.5"]), Marks::Mixed);
        assert_eq!(own(&["20", "21"]), Marks::Unknown);
    }
}

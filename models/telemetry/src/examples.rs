//! Worked examples for models that were not trained on these tables: a table, and a report on it as it could be. They stand before the
//! table of a window, in the part of the prompt that never changes and is read once.

use jiff::civil::date;

use crate::figure::Figure;
use crate::table::{Change, ClockTime, Extreme, Figures, Note, NoteKind, Row, Table};

/// Tables, each with a report on it.
pub fn examples() -> Vec<(Table, &'static str)> {
    let calm = [
        row("bedroom temperature", "°C", [194, 178, 212], 1, ["06:20", "16:45"], Some(Change::Rose(figure(7, 1)))),
        row("bedroom humidity", "%", [48, 41, 55], 0, ["15:10", "05:30"], Some(Change::Fell(figure(3, 0)))),
        row("water pressure", "bar", [26, 25, 27], 1, ["07:10", "02:40"], Some(Change::Steady)),
    ];
    let noted = [
        row("greenhouse humidity", "%", [62, 44, 97], 0, ["15:50", "13:05"], None),
        row("cistern level", "cm", [134, 121, 149], 0, ["20:55", "06:30"], None),
    ];
    let notes = vec![
        Note { row: 0, kind: NoteKind::Spike(Extreme { value: figure(97, 0), at: Some(time("13:05")) }) },
        Note { row: 1, kind: NoteKind::Gap(Some((time("21:00"), time("23:40")))) },
    ];
    let days = [date(2026, 5, 3), date(2026, 9, 17)];
    let table = |day, title: &str, rows: &[Row], notes| {
        Table::of(title.to_owned(), [day, day], rows.to_vec(), notes).after("the day before")
    };
    vec![
        (
            table(days[0], "3 May 2026, 00:00 to 24:00", &calm, Vec::new()),
            "Nothing unusual was recorded during the day. The bedroom temperature rose by 0.7 °C against the day before to an average \
             of 19.4 °C, ranging from 17.8 °C at 06:20 to 21.2 °C at 16:45. The bedroom humidity averaged 48 % and fell by 3 % \
             against the day before, between 41 % at 15:10 and 55 % at 05:30.",
        ),
        (
            table(days[1], "17 September 2026, 00:00 to 24:00", &noted, notes),
            "At 13:05, the greenhouse humidity spiked to 97 %. From 21:00 to 23:40, the cistern level had no readings. The greenhouse \
             humidity averaged 62 %, with a low of 44 % at 15:50 and a high of 97 % at 13:05, while the cistern level ranged from \
             121 cm at 20:55 to 149 cm at 06:30, averaging 134 cm.",
        ),
    ]
}

fn figure(units: i32, decimals: u8) -> Figure {
    Figure::exact(f64::from(units) / 10f64.powi(i32::from(decimals)), decimals)
}

fn time(text: &str) -> ClockTime {
    let (hour, minute) = text.split_once(':').expect("a time has a colon");
    let number = |part: &str| part.parse::<u16>().expect("a time is two numbers");
    ClockTime(number(hour) * 60 + number(minute))
}

/// A sensor's line: mean, lowest and highest, and when the latter two were.
fn row(name: &str, unit: &str, values: [i32; 3], decimals: u8, at: [&str; 2], change: Option<Change>) -> Row {
    let [mean, low, high] = values.map(|value| figure(value, decimals));
    let [low_at, high_at] = at.map(time);
    let figures = Figures {
        mean,
        low: Extreme { value: low, at: Some(low_at) },
        high: Extreme { value: high, at: Some(high_at) },
        change,
    };
    Row { name: name.to_owned(), unit: unit.to_owned(), figures: Some(figures), ..Row::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check;
    use crate::sentence::{SentenceCutter, topics};

    #[test]
    fn each_sentence_of_an_example_holds_and_is_one_that_the_first_try_allows() {
        for (table, report) in examples() {
            let mut cutter = SentenceCutter::default();
            let mut sentences = cutter.push(report);
            sentences.extend(cutter.finish());
            assert!(sentences.len() >= 2 && !topics(&table).is_empty());
            for sentence in &sentences {
                assert!(check(&table, sentence).is_ok(), "{:?}: {sentence}", check(&table, sentence));
            }
            assert!(crate::forms::report_forms(&table).allows(report), "{report}");
        }
    }
}

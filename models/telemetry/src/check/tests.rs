//! The check against what it is for: sentences that hold pass, and whatever is changed in them is caught.

use jiff::civil::date;
use proptest::prelude::*;
use proptest::sample::select;

mod early_times;

use super::*;
use crate::figure::Figure;
use crate::forms::{forms, report_forms};
use crate::sentence::{Topic, compute, facts, topics};
use crate::table::{Change, ClockTime, Extreme, Figures, Note, NoteKind, Row};

/// A row of figures.
fn row_of(name: &str, unit: &str, figures: Option<Figures>) -> Row {
    Row { name: name.to_owned(), unit: unit.to_owned(), figures, ..Row::default() }
}

fn figure(text: &str) -> Figure {
    Figure::parse(text).unwrap()
}

fn time(text: &str) -> ClockTime {
    let (h, m) = text.split_once(':').unwrap();
    ClockTime(h.parse::<u16>().unwrap() * 60 + m.parse::<u16>().unwrap())
}

fn extreme(value: &str, at: &str) -> Extreme {
    Extreme { value: figure(value), at: Some(time(at)) }
}

/// The table of the recipe's contract.
fn table() -> Table {
    let figures = |mean: &str, low: (&str, &str), high: (&str, &str), change| {
        Some(Figures { mean: figure(mean), low: extreme(low.0, low.1), high: extreme(high.0, high.1), change })
    };
    let rows = vec![
        row_of(
            "kitchen temperature",
            "°C",
            figures("21.3", ("19.8", "05:10"), ("24.9", "14:20"), Some(Change::Rose(figure("0.6")))),
        ),
        row_of("hall humidity", "%", figures("45", ("38", "03:00"), ("91", "14:20"), Some(Change::Fell(figure("2"))))),
        row_of("boiler flow", "l/min", figures("4.2", ("4.2", "00:00"), ("4.2", "00:00"), Some(Change::Steady))),
        row_of("attic temperature", "°C", figures("11", ("8.4", "06:00"), ("15.2", "15:00"), None)),
        row_of("cellar pressure", "hPa", figures("1013", ("1009", "23:50"), ("1015", "07:00"), None)),
        row_of("garage light", "", None),
    ];
    let times = |from: &str, to: &str| Some((time(from), time(to)));
    let notes = vec![
        Note { row: 1, kind: NoteKind::Spike(extreme("91", "14:20")) },
        Note { row: 3, kind: NoteKind::Gap(times("02:10", "03:45")) },
        Note { row: 4, kind: NoteKind::Drift { up: false, by: figure("3.1"), from: Some(time("08:00")) } },
        Note { row: 2, kind: NoteKind::Stuck(figure("4.2"), times("10:00", "13:30")) },
        Note { row: 3, kind: NoteKind::Above(figure("15"), times("14:40", "15:20")) },
    ];
    let day = date(2026, 11, 20);
    Table::of("20 November 2026, 00:00 to 24:00".to_owned(), [day, day], rows, notes)
}

#[test]
fn the_contract_s_own_sentences_pass() {
    let table = table();
    for sentence in [
        "The hall humidity spiked to 91 % at 14:20.",
        "The attic temperature has no readings from 02:10 to 03:45.",
        "The cellar pressure drifted down by 3.1 hPa from 08:00.",
        "The boiler flow was stuck at 4.2 l/min from 10:00 to 13:30.",
        "The attic temperature was above 15 °C from 14:40 to 15:20.",
        "The kitchen temperature averaged 21.3 °C and rose by 0.6 °C, between 19.8 °C at 05:10 and 24.9 °C at 14:20.",
        "The boiler flow stayed steady at 4.2 l/min.",
        "The garage light gave no readings.",
    ] {
        assert_eq!(check(&table, sentence).map(drop), Ok(()), "{sentence}");
    }
    let quiet = Table::of(table.heading().to_owned(), table.dates(), table.rows().to_vec(), Vec::new());
    for sentence in forms(&quiet, Topic::NothingUnusual).all() {
        assert!(check(&quiet, &sentence).unwrap().nothing_unusual, "{sentence}");
    }
    assert!(check(&quiet, "Nothing unusual was seen.").unwrap().nothing_unusual);
    assert_eq!(check(&table, "Nothing unusual was seen."), Err(Violation::Claim("nothing unusual")));
}

#[test]
fn other_words_for_the_same_facts_pass() {
    let table = table();
    for sentence in [
        "At 14:20 the hall humidity had a spike to 91%.",
        "On 20 November 2026 the kitchen temperature ranged from 19.8 to 24.9 °C.",
        "The kitchen temperature peaked at 25 °C at 14:20.",
        "The lowest kitchen temperature was 19.8 degrees Celsius at 05:10.",
        "The mean of the kitchen temperature was 70.3 °F.",
        "The kitchen temperature rose by 1.08 °F.",
        "The kitchen temperature rose by 0.6 °C, while the hall humidity fell by 2 percent.",
        "The attic temperature had a gap between 02:10 and 03:45.",
        "The cellar pressure averaged 1013 hPa, and it drifted downwards by 3.1 hPa since 08:00.",
        "the HALL HUMIDITY averaged 45 %",
    ] {
        assert_eq!(check(&table, sentence).map(drop), Ok(()), "{sentence}");
    }
}

#[test]
fn what_the_table_does_not_say_is_refused() {
    let table = table();
    for sentence in [
        "",
        "The.",
        "The kitchen temperature.",
        "The kitchen temperature was 21.3 °C.",      // which figure?
        "The kitchen temperature averaged 21.4 °C.", // altered digit
        "The kitchen temperature averaged 24.9 °C.", // the figure of something else
        "The kitchen temperature averaged 20 °C.",   // rounded too far
        "The kitchen temperature averaged 21.30001 °C.",
        "The kitchen temperature averaged -21.3 °C.",
        "The kitchen temperature averaged 21.3 %.",      // another's unit
        "The kitchen temperature averaged 21.3 °F.",     // not turned
        "The kitchen temperature averaged 21.3 blorps.", // invented unit
        "The kitchen temperature averaged 21.3 K.",
        "The kitchen temperature averaged 21.3 °C at 14:20.", // a mean has no time
        "The hall humidity averaged 21.3 %.",                 // swapped sensors
        "The hall temperature averaged 21.3 °C.",             // no such sensor
        "The garage averaged 21.3 °C.",
        "The kitchen temperature fell by 0.6 °C.", // wrong direction
        "The kitchen temperature fell.",
        "The hall humidity rose by 2 %.",
        "The cellar pressure drifted up by 3.1 hPa from 08:00.",
        "The cellar pressure drifted down to 3.1 hPa from 08:00.",
        "The cellar pressure fell by 3.1 hPa.",
        "The kitchen temperature spiked to 24.9 °C at 14:20.", // no such anomaly
        "The hall humidity spiked to 91 % at 14:21.",          // wrong time
        "The hall humidity spiked to 91 % at 2:20 pm.",
        "The hall humidity spiked by 91 %.",
        "The attic temperature has no readings.", // it has some
        "The attic temperature has no readings from 02:10.",
        "The attic temperature has no readings from 03:45 to 02:10.",
        "The attic temperature has no readings from 02:10 to 03:40.",
        "The boiler flow was stuck at 4.2 l/min from 10:00 to 10:00.",
        "The boiler flow was stuck at 4.2 l/h from 10:00 to 13:30.",
        "The attic temperature was below 15 °C from 14:40 to 15:20.", // the other side
        "The kitchen temperature did not rise by 0.6 °C.",
        "The kitchen temperature rose by 0.6 °C, the hall humidity too.",
        "The kitchen temperature and the hall humidity rose.",
        "The kitchen temperature rose by three degrees.",
        "The kitchen temperature rose by 0.6 °C, which may be dangerous.",
        "On 21 November 2026 the kitchen temperature averaged 21.3 °C.",
        "In 2026 the kitchen temperature averaged 21.3 °C.",
        "The kitchen temperature averaged 21.3 °C over 288 readings.",
        "The kitchen temperature averaged 21,3 °C.",
        "The kitchen temperature averaged ２１.３ °C.",
        "The kitchen temperature averaged 2e1 °C.",
        "The kitchen temperature averaged 21 3 °C.",
        "The kitchen temperature averaged 21½ °C.",
        "The kitchen temperature was between 24.9 °C and 19.8 °C.",
        "The kitchen temperature was between 19.8 °C at 14:20 and 24.9 °C at 05:10.",
        "The kitchen temperature was at its lowest and averaged 21.3 °C.",
        "21.3 °C.",
        "It averaged 21.3 °C.",
        "The kitchen temperature averaged 21.3 °C <b>and</b> rose.",
    ] {
        assert!(check(&table, sentence).is_err(), "{sentence}");
    }
    assert_eq!(check(&table, &"the ".repeat(200)), Err(Violation::TooLong));
}

#[test]
fn names_are_made_readable() {
    for (key, name) in [
        ("home/kitchen:temp_1", "home kitchen temp 1"),
        ("  ", "sensor"),
        ("42", "sensor 42"),
        ("a\nAnomalies: none", "a Anomalies none"),
    ] {
        assert_eq!(readable_name(key), name);
    }
}

#[test]
fn whatever_a_sensor_is_called_its_sentences_read_well_and_hold() {
    let long = "very ".repeat(40);
    let names = [
        "a b",
        "the pump",
        "The Pump",
        "the a",
        "the",
        "A1",
        "an",
        "a",
        "7",
        "",
        "mean",
        "low",
        "no",
        "nothing",
        "data",
        "rose by",
        "between",
        "readings",
        "value",
        "2nd floor",
        "an engine",
        "température Küche",
        "温度",
        "Größe",
        "İzmir",
        "B",
        "spike",
        "gap",
        "November",
        "x/y: z",
        "sensor",
        "at 5",
        "and",
        &long,
    ];
    for name in names {
        let spoken = spoken_name(&readable_name(name));
        let row = |figures| row_of(&spoken, "°C", figures);
        let figures = |change| {
            Some(Figures { mean: figure("5"), low: extreme("1", "05:10"), high: extreme("9", "14:20"), change })
        };
        let times = Some((time("02:10"), time("03:45")));
        let kinds = [
            NoteKind::Spike(extreme("9", "14:20")),
            NoteKind::Gap(times),
            NoteKind::Drift { up: false, by: figure("3"), from: Some(time("08:00")) },
            NoteKind::Stuck(figure("4"), times),
            NoteKind::Above(figure("8"), times),
            NoteKind::Below(figure("2"), times),
        ];
        let day = date(2026, 11, 20);
        let rows = [None, figures(None), figures(Some(Change::Rose(figure("2")))), figures(Some(Change::Steady))];
        let tables = rows.into_iter().map(|r| (row(r), vec![]));
        let noted = kinds.into_iter().map(|kind| (row(figures(None)), vec![Note { row: 0, kind }]));
        for (row, notes) in tables.chain(noted) {
            let table = Table::of("20 November 2026, 00:00 to 24:00".to_owned(), [day, day], vec![row], notes);
            for topic in topics(&table) {
                let facts = facts(&table, topic);
                let told = check(&facts, &compute(&table, topic));
                assert!(told.is_ok(), "{name:?}: {told:?} of {:?}", compute(&table, topic));
                for sentence in forms(&table, topic).all() {
                    assert!(
                        check(&facts, &sentence).is_ok(),
                        "{name:?}: {:?} of {sentence:?}",
                        check(&facts, &sentence)
                    );
                    let lower = sentence.to_lowercase();
                    let doubled = ["the a ", "the an ", "the the ", "a a "].iter().any(|d| lower.contains(d));
                    assert!(!doubled, "{sentence}");
                }
            }
        }
    }
    for (name, spoken) in
        [("a b", "sensor a b"), ("the pump", "pump"), ("A1", "A1"), ("an", "sensor an"), ("value", "value")]
    {
        assert_eq!(spoken_name(name), spoken);
    }
    let refused = check(&table(), "The the kitchen temperature averaged 21.3 °C.");
    assert_eq!(refused, Err(Violation::Word("the".to_owned())));
}

/// A table of any figures; values of different sensors and different figures are told apart by construction.
fn any_table() -> impl Strategy<Value = Table> {
    let row = (-4000i32..9000, 10i32..900, 10i32..900, 1i32..500, 0u8..4, 0u16..1439, 0u16..1439);
    let kind = (0u8..6, 0u16..700, 1u16..700, any::<bool>(), 1i32..400);
    (prop::collection::vec(row, 2..6), prop::collection::vec((0usize..6, kind), 0..4)).prop_map(|(rows, kinds)| {
        let names = ["kitchen temperature", "hall humidity", "pump 3 pressure", "zorvik flow", "boiler", "attic light"];
        let units = ["°C", "%", "hPa", "l/min", "", "lx"];
        let clock = |m: u16| Some(ClockTime(m));
        let n = rows.len();
        let rows: Vec<Row> = rows
            .into_iter()
            .enumerate()
            .map(|(i, (mean, below, above, change, how, low_at, high_at))| {
                let at = |tenths: i32| Figure::new(f64::from(tenths) / 10.0, 1);
                let figures = Figures {
                    mean: at(mean),
                    low: Extreme { value: at(mean - below), at: clock(low_at) },
                    high: Extreme { value: at(mean + above), at: clock(high_at) },
                    change: match how {
                        0 => None,
                        1 => Some(Change::Steady),
                        2 => Some(Change::Rose(at(change))),
                        _ => Some(Change::Fell(at(change))),
                    },
                };
                row_of(names[i], units[i], Some(figures))
            })
            .collect();
        let notes = kinds
            .into_iter()
            .map(|(row, (kind, from, length, up, by))| {
                let times = Some((ClockTime(from), ClockTime(from + length)));
                let value = Figure::new(f64::from(by) / 10.0, 1);
                let kind = match kind {
                    0 => NoteKind::Spike(Extreme { value, at: clock(from) }),
                    1 => NoteKind::Gap(times),
                    2 => NoteKind::Drift { up, by: value, from: clock(from) },
                    3 => NoteKind::Stuck(value, times),
                    4 => NoteKind::Above(value, times),
                    _ => NoteKind::Below(value, times),
                };
                Note { row: row % n, kind }
            })
            .collect();
        let day = date(2026, 11, 20);
        Table::of("20 November 2026, 00:00 to 24:00".to_owned(), [day, day], rows, notes)
    })
}

/// The same table of a window of several days, in which times of day mean nothing.
fn timeless(table: &Table) -> Table {
    let rows = table.rows().iter().cloned().map(|mut row| {
        if let Some(figures) = &mut row.figures {
            (figures.low.at, figures.high.at) = (None, None);
        }
        row
    });
    let notes = table.notes().iter().map(|note| {
        let kind = match note.kind {
            NoteKind::Spike(spike) => NoteKind::Spike(Extreme { at: None, ..spike }),
            NoteKind::Gap(_) => NoteKind::Gap(None),
            NoteKind::Drift { up, by, .. } => NoteKind::Drift { up, by, from: None },
            NoteKind::Stuck(value, _) => NoteKind::Stuck(value, None),
            NoteKind::Above(limit, _) => NoteKind::Above(limit, None),
            NoteKind::Below(limit, _) => NoteKind::Below(limit, None),
        };
        Note { kind, ..*note }
    });
    Table::of(table.heading().to_owned(), table.dates(), rows.collect(), notes.collect())
}

/// Everything that the table could say, each in its plain sentence.
fn all_true(table: &Table) -> Vec<String> {
    let notes = (0..table.notes().len()).map(Topic::Note);
    let rows = (0..table.rows().len()).map(Topic::Row);
    notes.chain(rows).map(|topic| compute(table, topic)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_computed_sentence_passes(table in any_table()) {
        for topic in topics(&table) {
            let sentence = compute(&table, topic);
            let told = check(&table, &sentence);
            prop_assert!(told.is_ok(), "{}: {:?}\n{}", sentence, told, table);
            let told = told.unwrap();
            match topic {
                Topic::NothingUnusual => prop_assert!(told.nothing_unusual),
                // Of two anomalies in the same words either will do.
                Topic::Note(n) => prop_assert!(told.notes.iter().any(|t| compute(&table, Topic::Note(*t)) == compute(&table, Topic::Note(n)))),
                Topic::Row(r) => prop_assert_eq!(told.rows, vec![r]),
            }
        }
    }

    #[test]
    fn every_form_that_a_second_try_is_held_to_passes_and_tells_its_fact(table in any_table(), without_times in any::<bool>()) {
        let table = if without_times { timeless(&table) } else { table };
        let all = (0..table.notes().len()).map(Topic::Note).chain((0..table.rows().len()).map(Topic::Row));
        for topic in all {
            let narrow = facts(&table, topic);
            let sentences = forms(&table, topic).all();
            prop_assert!(sentences.contains(&compute(&table, topic)), "{} is no form of itself", compute(&table, topic));
            prop_assert!((2..=100).contains(&sentences.len()), "{} forms", sentences.len());
            for sentence in sentences {
                let told = check(&narrow, &sentence);
                prop_assert!(told.is_ok(), "{}: {:?}\n{}", sentence, told, table);
                let told = told.unwrap();
                prop_assert_eq!(&told.rows, &[0]);
                prop_assert_eq!(told.notes.len(), usize::from(matches!(topic, Topic::Note(_))), "{}", sentence);
                // What holds of the fact alone holds of the whole table.
                prop_assert!(check(&table, &sentence).is_ok(), "{}\n{}", sentence, table);
            }
        }
    }

    #[test]
    fn an_altered_digit_is_caught(table in any_table(), which in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(), digit in 0u8..10) {
        let truth = all_true(&table);
        let sentence = &truth[which.index(truth.len())];
        // The digits of names are left as they are: a changed name is another test.
        let name_digit = sentence.find("pump 3").map(|i| i + 5);
        let digits: Vec<usize> = sentence.char_indices().filter(|(i, c)| c.is_ascii_digit() && Some(*i) != name_digit).map(|(i, _)| i).collect();
        prop_assume!(!digits.is_empty());
        let at = digits[place.index(digits.len())];
        let mut altered = sentence.clone();
        altered.replace_range(at..=at, &digit.to_string());
        prop_assume!(altered != *sentence && !truth.contains(&altered));
        // 08:00 and 8:00, 021.3 and 21.3, are the same number.
        let same = |text: &str| text.replace(" 0", " ");
        prop_assume!(same(&altered) != same(sentence));
        let told = check(&table, &altered);
        prop_assert!(told.is_err(), "{} passed as {}\n{}", sentence, altered, table);
    }

    #[test]
    fn a_swapped_sensor_is_caught(table in any_table(), which in any::<prop::sample::Index>(), other in any::<prop::sample::Index>()) {
        let truth = all_true(&table);
        let sentence = &truth[which.index(truth.len())];
        let rows = table.rows();
        let from = rows.iter().find(|r| sentence.contains(&format!("The {} ", r.name))).unwrap();
        let to = &rows[other.index(rows.len())];
        prop_assume!(from.name != to.name);
        let altered = sentence.replace(&from.name, &to.name);
        // By chance the other sensor may have done the same.
        let numbers_of = |s: &str| s.chars().any(|c| c.is_ascii_digit());
        prop_assume!(numbers_of(&altered) && !truth.contains(&altered));
        prop_assert!(check(&table, &altered).is_err(), "{} passed as {}\n{}", sentence, altered, table);
        let unknown = sentence.replace(&from.name, "cellar pressure");
        prop_assert!(check(&table, &unknown).is_err(), "{}", unknown);
        let halved = sentence.replace(&from.name, from.name.split(' ').next().unwrap());
        prop_assume!(halved != *sentence && !halved.contains("boiler"));
        prop_assert!(check(&table, &halved).is_err(), "{}", halved);
    }

    #[test]
    fn a_wrong_direction_is_caught(table in any_table()) {
        let turned = [("rose", "fell"), ("fell", "rose"), (" up ", " down "), (" down ", " up "), ("above", "below"),
            ("below", "above"), ("steady", "stuck"), ("lowest", "highest"), ("spiked to", "averaged"), ("averaged", "peaked at")];
        let truth = all_true(&table);
        for sentence in &truth {
            for (word, other) in turned {
                let altered = sentence.replace(word, other);
                if altered != *sentence && !truth.contains(&altered) {
                    prop_assert!(check(&table, &altered).is_err(), "{} passed as {}\n{}", sentence, altered, table);
                }
            }
        }
    }

    #[test]
    fn a_wrong_time_is_caught(table in any_table(), which in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(), wrong in 0u16..=1440) {
        let truth = all_true(&table);
        let sentence = &truth[which.index(truth.len())];
        let colons: Vec<usize> = sentence.match_indices(':').map(|(i, _)| i).collect();
        prop_assume!(!colons.is_empty());
        let colon = colons[place.index(colons.len())];
        let mut altered = sentence.clone();
        altered.replace_range(colon - 2..colon + 3, &ClockTime(wrong).to_string());
        prop_assume!(!truth.contains(&altered));
        prop_assert!(check(&table, &altered).is_err(), "{} passed as {}\n{}", sentence, altered, table);
        // Two right times in the wrong order, or a right time of something else.
        if let [first, second] = colons[..] {
            let (a, b) = (sentence[first - 2..first + 3].to_owned(), sentence[second - 2..second + 3].to_owned());
            let mut swapped = sentence.clone();
            swapped.replace_range(second - 2..second + 3, &a);
            swapped.replace_range(first - 2..first + 3, &b);
            prop_assert!(a == b || truth.contains(&swapped) || check(&table, &swapped).is_err(), "{}\n{}", swapped, table);
        }
    }

    #[test]
    fn an_invented_unit_is_caught(table in any_table(), invented in select(vec!["°F", "kPa", "blorps", "W", "mm", "kg/h", "x", "ppm", "°Cs", "‰"])) {
        for row in table.rows() {
            for sentence in all_true(&table).iter().filter(|s| s.contains(&format!("The {} ", row.name))) {
                let altered = match row.unit.as_str() {
                    "" => sentence.replace(" at ", &format!(" {invented} at ")),
                    unit => sentence.replace(&format!(" {unit}"), &format!(" {invented}")),
                };
                if altered != *sentence {
                    prop_assert!(check(&table, &altered).is_err(), "{} passed as {}\n{}", sentence, altered, table);
                }
            }
        }
    }

    #[test]
    fn no_text_whatever_makes_the_check_panic(text in "\\PC{0,80}") {
        let table = table();
        let _ = check(&table, &text);
        let _ = check(&table, &format!("The kitchen temperature averaged 21.3{text}"));
        let _ = named(&table, &text);
    }
}

#[test]
fn a_battery_s_days_and_what_a_change_compares_with_are_held_to_the_table() {
    let day = date(2026, 11, 20);
    let charge = Some(crate::table::Charge { last: figure("61"), days: 7 });
    let battery = Row { charge, ..row_of("remote battery", "%", None) };
    let total = crate::table::Counted { gain: figure("12.5"), last: None, resets: 0 };
    let usage = Row { counted: Some(total), ..row_of("usage", "kWh", None) };
    let rows = vec![battery, usage, table().rows()[0].clone()];
    let table = Table::of("20 November 2026, 00:00 to 24:00".to_owned(), [day, day], rows, Vec::new());
    for row in 0..3 {
        for text in forms(&table, Topic::Row(row)).all() {
            assert!(check(&table, &text).is_ok(), "{text}");
        }
        assert!(check(&table, &compute(&table, Topic::Row(row))).is_ok());
    }
    assert_eq!(compute(&table, Topic::Row(0)), "The remote battery stood at 61 % and lasts about 7 days.");
    for wrong in [
        "The remote battery stood at 62 % and lasts about 7 days.",
        "The remote battery stood at 61 % and lasts about 8 days.",
        "The remote battery lasts 7 %.",
        "The usage counted 14 kWh.",
        "The usage counted 12.5 kWh and stood at 12.5 kWh.",
        "The kitchen temperature rose by 0.6 °C against the day before.",
        "The kitchen temperature averaged 21.3 °C and rose by 0.7 °C against the window before.",
    ] {
        assert!(check(&table, wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_sentence_of_a_first_try_passes_and_the_report_tells_all_that_it_should(
        table in any_table(),
        without_times in any::<bool>(),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        let table = if without_times { timeless(&table) } else { table };
        let mut next = choices.iter().cycle();
        let report = report_forms(&table).pick(&mut |n| next.next().unwrap().index(n));
        let mut cutter = crate::sentence::SentenceCutter::default();
        let mut sentences = cutter.push(&report);
        sentences.extend(cutter.finish());
        prop_assert!((2..=5).contains(&sentences.len()) || topics(&table).len() < 3, "{report}");
        let mut told = Covered::default();
        for sentence in &sentences {
            let of = check(&table, sentence);
            prop_assert!(of.is_ok(), "{sentence}: {of:?}\n{table}");
            let of = of.unwrap();
            told.rows.extend(of.rows);
            told.notes.extend(of.notes);
            told.nothing_unusual |= of.nothing_unusual;
        }
        for topic in topics(&table) {
            let is_told = match topic {
                Topic::NothingUnusual => told.nothing_unusual,
                // Of two anomalies in the same words either will do.
                Topic::Note(n) => told.notes.iter().any(|t| compute(&table, Topic::Note(*t)) == compute(&table, Topic::Note(n))),
                Topic::Row(r) => told.rows.contains(&r),
            };
            prop_assert!(is_told, "{topic:?} is missing in {report}\n{table}");
        }
    }

    #[test]
    fn an_altered_digit_of_a_first_try_is_caught(
        table in any_table(),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 64),
        place in any::<prop::sample::Index>(),
        digit in 0u8..10,
    ) {
        let forms = report_forms(&table);
        let mut next = choices.iter().cycle();
        let report = forms.pick(&mut |n| next.next().unwrap().index(n));
        let name_digit = |at: usize| report[..at].ends_with("pump ");
        let digits: Vec<usize> =
            report.char_indices().filter(|(i, c)| c.is_ascii_digit() && !name_digit(*i)).map(|(i, _)| i).collect();
        prop_assume!(!digits.is_empty());
        let at = digits[place.index(digits.len())];
        let mut altered = report.clone();
        altered.replace_range(at..=at, &digit.to_string());
        // 08:00 and 8:00, 021.3 and 21.3, are the same number.
        let same = |text: &str| text.replace(" 0", " ");
        prop_assume!(same(&altered) != same(&report) && !forms.allows(&altered));
        let mut cutter = crate::sentence::SentenceCutter::default();
        let mut sentences = cutter.push(&altered);
        sentences.extend(cutter.finish());
        let all_pass = sentences.iter().all(|s| check(&table, s).is_ok());
        // By chance another fact may be as altered.
        let truth = all_true(&table).join(" ");
        prop_assume!(!truth.contains(altered[at..].split(' ').next().unwrap()));
        prop_assert!(!all_pass, "{report}\npassed as\n{altered}\n{table}");
    }
}

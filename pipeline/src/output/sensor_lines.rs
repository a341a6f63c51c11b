//! What the figures of a level do not tell of a sensor: what it counted, how long its states and its battery last; and windows as
//! rows of CSV, a row a sensor.

use std::collections::HashSet;

use jiff::tz::TimeZone;
use nearfield_stages::messages::Report;
use nearfield_telemetry::SensorTraits;
use nearfield_telemetry::clock::spoken;
use nearfield_telemetry::course::StateTimes;
use nearfield_telemetry::figure::Figure;
use nearfield_telemetry::kind::Kind;
use nearfield_telemetry::language::Language;
use nearfield_telemetry::read::states::of_code;
use nearfield_telemetry::table::state_word;
use nearfield_telemetry::windows::SensorSummary;
use serde_json::{Value, json};

use crate::output::report_pages::time;

/// The columns of the rows.
pub const CSV_HEAD: &str = "start,end,sensor,unit,kind,readings,mean,median,lowest,lowest_at,highest,highest_at,first,last,counted,change,anomalies\n";

/// How long a sensor was in each state.
pub(super) fn states_json(states: &StateTimes, traits: &SensorTraits, zone: &TimeZone) -> Value {
    let lines = states.states.iter().map(|s| {
        json!({
            "state": word_of(s.state, traits), "seconds": s.seconds, "times": s.times,
            "longest": {"from": time(s.longest.from, zone), "to": time(s.longest.to, zone)},
        })
    });
    lines.collect()
}

fn word_of(state: f64, traits: &SensorTraits) -> String {
    match traits.kind {
        Some(Kind::States) => of_code(state),
        _ => state_word(traits, state > 0.5),
    }
}

/// What a total counted, how long a battery lasts, or how long each state lasted.
pub(super) fn counted_or_lasted(s: &SensorSummary, traits: &SensorTraits, language: Language) -> Option<String> {
    let name = ("name", traits.name.as_str());
    if let Some(f) = &s.statistics {
        let told = |v: f64| language.quantity(Figure::exact(v, traits.decimals.unwrap_or(f.decimals)), &traits.unit);
        if s.is_amount {
            return Some(language.say("{name}: {gain} counted", &[name, ("gain", &told(f.sum()))]));
        }
        if let Some(days) = s.lasts_days {
            let (last, days) = (told(f.last.0), format!("{:.0}", days.max(1.0)));
            let slots = [name, ("last", last.as_str()), ("days", days.as_str())];
            return Some(language.say("{name}: {last} left, about {days} days", &slots));
        }
        if s.is_total {
            let resets = match f.growth.resets {
                0 => String::new(),
                1 => language.text(", with 1 reset").to_owned(),
                n => language.say(", with {n} resets", &[("n", &n.to_string())]),
            };
            let (gain, last) = (told(f.growth.gain), told(f.last.0));
            let slots = [name, ("gain", gain.as_str()), ("last", last.as_str())];
            return Some(format!("{}{resets}", language.say("{name}: {gain} counted, {last} at the end", &slots)));
        }
    }
    let states = s.states.as_ref()?;
    let lines: Vec<String> = states
        .states
        .iter()
        .map(|line| {
            let (state, lasted) =
                (language.state(&word_of(line.state, traits)), language.duration(&spoken(line.seconds)));
            language.say("{state} for {lasted}", &[("state", &state), ("lasted", &lasted)])
        })
        .collect();
    let changes = language.count(u64::from(states.changes), ["{n} change", "{n} changes"], "");
    Some(format!("{}: {}; {changes}", traits.name, lines.join(", ")))
}

/// Adds a window to rows of CSV. Rows of the same window and sensor, as of one that was not over yet or is reported again, are replaced.
pub fn add_rows(rows: &mut String, report: &Report, zone: &TimeZone) {
    let new = csv_rows(report, zone);
    let keys: HashSet<&str> = records(&new).map(key_of).collect();
    // Windows come in the order of time, and most come once.
    let span = report.summary.window.span;
    let of_window = format!("{},{},", time(span.from, zone), time(span.to, zone));
    if !rows.contains(&of_window) {
        rows.push_str(&new);
        return;
    }
    let mut kept = String::with_capacity(rows.len() + new.len());
    let mut place = None;
    for record in records(rows) {
        match keys.contains(key_of(record)) {
            true => _ = place.get_or_insert(kept.len()),
            false => kept.push_str(record),
        }
    }
    kept.insert_str(place.unwrap_or(kept.len()), &new);
    *rows = kept;
}

/// The records of rows of CSV, each with its line break; a quoted cell may hold others.
fn records(rows: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    rows.split_inclusive(move |c| {
        quoted ^= c == '"';
        c == '\n' && !quoted
    })
}

/// Start, end and sensor of a record.
fn key_of(record: &str) -> &str {
    let mut quoted = false;
    let is_comma = |(_, c): &(usize, char)| {
        quoted ^= *c == '"';
        *c == ',' && !quoted
    };
    record.char_indices().filter(is_comma).nth(2).map_or(record, |(at, _)| &record[..at])
}

/// A window as rows of CSV. A name that a spreadsheet would take for a formula is not one.
fn csv_rows(report: &Report, zone: &TimeZone) -> String {
    let window = &report.summary.window;
    let mut out = String::new();
    for s in &window.sensors {
        let traits = &report.summary.traits[s.sensor.0 as usize];
        let number = |v: Option<f64>| v.map_or(String::new(), |v| format!("{}", (v * 1e6).round() / 1e6));
        let level = s.statistics.filter(|_| s.states.is_none());
        let counted = level.and_then(|f| match (s.is_total, s.is_amount) {
            (true, _) => Some(f.growth.gain),
            (_, true) => Some(f.sum()),
            _ => None,
        });
        let found = s.is_total.then_some(Kind::TotalIncreasing).or(s.is_amount.then_some(Kind::Amount));
        let at = |at: Option<nearfield_telemetry::Moment>| at.map_or(String::new(), |at| time(at, zone));
        let cells = [
            time(window.span.from, zone),
            time(window.span.to, zone),
            cell(&traits.name),
            cell(&traits.unit),
            traits.kind.or(found).unwrap_or(Kind::Measurement).name().to_owned(),
            s.statistics.map_or(0, |f| f.count).to_string(),
            number(level.map(|f| f.mean_direction.unwrap_or(f.mean))),
            number(level.map(|f| f.median)),
            number(level.map(|f| f.low.0)),
            at(level.map(|f| f.low.1)),
            number(level.map(|f| f.high.0)),
            at(level.map(|f| f.high.1)),
            number(level.map(|f| f.first.0)),
            number(level.map(|f| f.last.0)),
            number(counted),
            number(s.change.filter(|_| level.is_some())),
            s.anomalies.len().to_string(),
        ];
        out.push_str(&cells.join(","));
        out.push('\n');
    }
    out
}

fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_no_formulas() {
        for (text, told) in [
            ("hall", "hall"),
            ("a,b", "\"a,b\""),
            ("=1+1", "'=1+1"),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("@a,b", "\"'@a,b\""),
        ] {
            assert_eq!(cell(text), told);
        }
    }

    #[test]
    fn a_record_with_quoted_commas_and_line_breaks_is_one_and_known_by_window_and_sensor() {
        let rows = format!("1,2,{},x\n1,2,{},y\n1,2,c,z\n", cell("a,\n1,2,c,\""), cell("\n\"b\""));
        let found: Vec<&str> = records(&rows).collect();
        assert_eq!(found.concat(), rows);
        assert_eq!(found.len(), 3);
        let keys: Vec<&str> = found.iter().map(|record| key_of(record)).collect();
        assert_eq!(keys[2], "1,2,c");
        assert!(found.iter().zip(&keys).all(|(record, key)| record[key.len()..].len() == 3), "{keys:?}");
    }
}

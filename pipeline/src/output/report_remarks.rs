//! What a report did not use, or what is not whole, counted by cause and named by sensor.

use nearfield_stages::messages::{Report, WindowSummary};
use nearfield_telemetry::SensorId;
use nearfield_telemetry::check::readable_name;
use nearfield_telemetry::clock::{ClockFault, spoken};
use nearfield_telemetry::language::Language;
use nearfield_telemetry::read::{Rejected, RejectedOf};
use nearfield_telemetry::windows::UnusedOf;

/// Sensors that are named one by one.
const MAX_NAMED: usize = 5;

/// Of which sensors something was not used, as in ` of the hall temperature`; nothing where nobody knows.
fn of_sensors(summary: &WindowSummary, count: &dyn Fn(&UnusedOf) -> u64) -> String {
    let language = summary.table.language();
    let mut sensors: Vec<(u64, &str)> = summary
        .window
        .unused_of
        .iter()
        .filter(|(_, of)| count(of) > 0)
        .map(|(sensor, of)| (count(of), summary.traits[sensor.0 as usize].name.as_str()))
        .collect();
    sensors.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    if sensors.is_empty() {
        return String::new();
    }
    let named: Vec<&str> = sensors.iter().take(MAX_NAMED).map(|(_, name)| *name).collect();
    let mut names = named.join(", ");
    if sensors.len() > MAX_NAMED {
        let more = (sensors.len() - MAX_NAMED).to_string();
        names = language.say("{names} and {n} more", &[("names", &names), ("n", &more)]);
    }
    language.say(" of {names}", &[("names", &names)])
}

/// Whose cells were rejected for a cause, each with an example, as in ` (3 of hall, as "on"; 1 of attic, as "off")`.
fn rejected_of(rejected: &Rejected, language: Language, count: fn(&RejectedOf) -> u64) -> String {
    let mut sensors: Vec<(u64, &String, &RejectedOf)> =
        rejected.by_sensor.iter().map(|(key, of)| (count(of), key, of)).filter(|(n, ..)| *n > 0).collect();
    sensors.sort_by_key(|(n, key, _)| (std::cmp::Reverse(*n), *key));
    if sensors.is_empty() {
        return String::new();
    }
    let named = sensors.iter().take(MAX_NAMED).map(|(n, key, of)| {
        // A cell is foreign text: what would be a command in a page is left out.
        let tame = |text: &str| text.replace(['<', '>', '&', '|', '`', '*', '_', '[', ']', '\\'], "");
        let example = of.examples.first().map_or(String::new(), |(_, text)| {
            language.say(", as {example}", &[("example", &format!("{:?}", tame(text)))])
        });
        let whose = language.say("{n} of {name}", &[("n", &n.to_string()), ("name", &readable_name(key))]);
        format!("{whose}{example}")
    });
    let more = match sensors.len() {
        n if n > MAX_NAMED => language.say("; {n} more sensors", &[("n", &(n - MAX_NAMED).to_string())]),
        _ => String::new(),
    };
    format!(" ({}{more})", named.collect::<Vec<_>>().join("; "))
}

/// What was found of sensors' clocks, a clause each.
fn wrong_clocks(summary: &WindowSummary) -> Vec<String> {
    const USED: [&str; 2] = ["{what}: arrival time used for {n} reading", "{what}: arrival time used for {n} readings"];
    let language = summary.table.language();
    let used = |what: &str, n: u64| language.say(USED[usize::from(n != 1)], &[("what", what), ("n", &n.to_string())]);
    let found: Vec<_> = summary.clocks.iter().collect();
    let clause = |&(sensor, fault, seconds, readings): &(SensorId, ClockFault, f64, u64)| {
        let text = match fault {
            ClockFault::Ahead => "clock of {name} is {lasted} ahead",
            ClockFault::Behind => "clock of {name} is {lasted} behind",
            ClockFault::NoClock => "{name} has no running clock",
        };
        let lasted = language.duration(&spoken(seconds));
        let name = &summary.traits[sensor.0 as usize].name;
        used(&language.say(text, &[("name", name), ("lasted", &lasted)]), readings)
    };
    let mut notes: Vec<String> = found.iter().take(MAX_NAMED).map(clause).collect();
    if found.len() > MAX_NAMED {
        let readings: u64 = found.iter().skip(MAX_NAMED).map(|f| f.3).sum();
        let more = (found.len() - MAX_NAMED).to_string();
        notes.push(used(&language.say("{n} more clocks are wrong", &[("n", &more)]), readings));
    }
    notes
}

/// What was not used, or is not whole: a clause each.
pub(super) fn remarks(report: &Report) -> Vec<String> {
    let summary = &report.summary;
    let (window, language) = (&summary.window, summary.table.language());
    let mut notes = Vec::new();
    let mut count = |n: u64, texts: [&'static str; 2], of: &str| {
        if n > 0 {
            notes.push(language.count(n, texts, of));
        }
    };
    let of = of_sensors(summary, &|of: &UnusedOf| of.late);
    count(window.unused.late, ["{n} reading{of} came too late", "{n} readings{of} came too late"], &of);
    let conflicting = window.unused.conflicting;
    let twice = window.unused.duplicates.saturating_sub(conflicting);
    count(twice, ["{n} reading came twice", "{n} readings came twice"], "");
    let others = [
        "{n} reading had another value than one before at the same time, and was not used",
        "{n} readings had another value than one before at the same time, and were not used",
    ];
    count(conflicting, others, "");
    let of = of_sensors(summary, &|of: &UnusedOf| of.implausible_times);
    let far = [
        "{n} reading{of} had a time that no other agreed with",
        "{n} readings{of} had a time that no other agreed with",
    ];
    count(window.unused.implausible_times, far, &of);
    let skipped = ["{n} empty window before this one skipped", "{n} empty windows before this one skipped"];
    count(window.skipped, skipped, "");
    let r = &summary.rejected;
    for (n, texts) in [
        (r.not_utf8, ["{n} line that is not UTF-8 skipped", "{n} lines that are not UTF-8 skipped"]),
        (r.too_long, ["{n} line too long", "{n} lines too long"]),
        (r.malformed, ["{n} malformed line skipped", "{n} malformed lines skipped"]),
        (r.without_reading, ["{n} message without a reading skipped", "{n} messages without a reading skipped"]),
        (r.without_time, ["{n} line without a readable time skipped", "{n} lines without a readable time skipped"]),
        (
            r.implausible_time,
            [
                "{n} line with a time before 1990 or after 2200 skipped",
                "{n} lines with a time before 1990 or after 2200 skipped",
            ],
        ),
    ] {
        count(n, texts, "");
    }
    for (n, of, texts) in [
        (
            r.not_a_number,
            (|of| of.not_a_number) as fn(&RejectedOf) -> u64,
            ["{n} non-numeric value{of} skipped", "{n} non-numeric values{of} skipped"],
        ),
        (r.not_finite, |of| of.not_finite, ["{n} non-finite value{of} skipped", "{n} non-finite values{of} skipped"]),
        (
            r.out_of_range,
            |of| of.out_of_range,
            ["{n} value beyond 1e15{of} skipped", "{n} values beyond 1e15{of} skipped"],
        ),
        (
            r.ambiguous,
            |of| of.ambiguous,
            [
                "{n} number that can be read in two ways (set text.decimal){of} skipped",
                "{n} numbers that can be read in two ways (set text.decimal){of} skipped",
            ],
        ),
    ] {
        count(n, texts, &rejected_of(r, language, of));
    }
    let missing: Vec<(u64, &String)> = r.missing.iter().map(|(key, n)| (*n, key)).collect();
    if !missing.is_empty() {
        let of = |(n, key): &(u64, &String)| {
            language.say("{n} of {name}", &[("n", &n.to_string()), ("name", &readable_name(key))])
        };
        let named = missing.iter().take(MAX_NAMED).map(of).collect::<Vec<_>>().join("; ");
        let more = match missing.len() {
            n if n > MAX_NAMED => language.say("; {n} more sensors", &[("n", &(n - MAX_NAMED).to_string())]),
            _ => String::new(),
        };
        let texts =
            ["{n} number that stands for no value{of} skipped", "{n} numbers that stand for no value{of} skipped"];
        count(missing.iter().map(|(n, _)| n).sum(), texts, &format!(" ({named}{more})"));
    }
    let beyond = [
        "{n} reading of sensors beyond readings.max_sensors skipped",
        "{n} readings of sensors beyond readings.max_sensors skipped",
    ];
    count(r.sensors_beyond, beyond, "");
    if !r.sheets.is_empty() {
        let tame: String = r.sheets.join(", ").chars().filter(|c| c.is_alphanumeric() || " ,.-".contains(*c)).collect();
        notes.push(language.say("sheets that were not read: {names}", &[("names", &tame)]));
    }
    if let Some(line) = r.first_line {
        notes.push(language.say("the first such line is line {n}", &[("n", &line.to_string())]));
    }
    notes.extend(wrong_clocks(summary));
    if window.cut_short {
        notes.push(language.text("the readings end before the window does").to_owned());
    }
    notes
}

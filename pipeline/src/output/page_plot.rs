//! Plots of a page: a figure a sensor, whose course is SVG and whose letters are the page's own, so that they are as large on a phone as
//! on a screen, and print. Colours are the page's. Without the page's script they are complete but for values under the pointer and zoom.

use std::fmt::Write;

use jiff::tz::TimeZone;
use nearfield_stages::messages::WindowSummary;
use nearfield_telemetry::Moment;
use nearfield_telemetry::anomaly::Anomaly;
use nearfield_telemetry::figure::Figure;
use nearfield_telemetry::kind::Kind;
use nearfield_telemetry::language::Language;
use nearfield_telemetry::table::{digits_of, state_word};
use nearfield_telemetry::windows::SensorSummary;

use super::plot_scale::{HEIGHT, Scale, WIDTH};
use crate::output::report_pages::escaped;

/// Figures of one window: those with anomalies first.
const MAX_FIGURES: usize = 8;
/// Labels of the time axis.
const TIME_LABELS: usize = 6;

/// The figures of a window.
pub fn figures(summary: &WindowSummary, zone: &TimeZone) -> String {
    // Several states have no order that an axis could show.
    let is_plotted =
        |s: &&SensorSummary| s.statistics.is_some() && summary.traits[s.sensor.0 as usize].kind != Some(Kind::States);
    let mut sensors: Vec<&SensorSummary> = summary.window.sensors.iter().filter(is_plotted).collect();
    sensors.sort_by_key(|s| s.anomalies.is_empty());
    let sensors = sensors.into_iter().take(MAX_FIGURES);
    sensors.map(|sensor| Plot { summary, sensor, zone }.figure()).collect()
}

struct Plot<'a> {
    summary: &'a WindowSummary,
    sensor: &'a SensorSummary,
    zone: &'a TimeZone,
}

impl Plot<'_> {
    fn language(&self) -> Language {
        self.summary.table.language()
    }

    /// Where a moment is, from 0 to 1.
    fn share(&self, at: Moment) -> f64 {
        let span = self.summary.window.span;
        (at.seconds_since(span.from) / span.seconds()).clamp(0.0, 1.0)
    }

    fn figure(&self) -> String {
        let Some(f) = &self.sensor.statistics else { return String::new() };
        let traits = &self.summary.traits[self.sensor.sensor.0 as usize];
        let digits = traits.decimals.unwrap_or_else(|| digits_of(f));
        let language = self.language();
        let (mut ticks, low, high) = ticks(f.low.0, f.high.0);
        if traits.kind == Some(Kind::Binary) {
            // A door is open or closed, and nothing between.
            let state = |is_one: bool| (f64::from(u8::from(is_one)), language.state(&state_word(traits, is_one)));
            ticks = [false, true].map(state).into_iter().filter(|(at, _)| (low..=high).contains(at)).collect();
        }
        let number = |value: f64| language.number(Figure::exact(value, digits));
        let span = self.summary.window.span;
        let scale = Scale::new((low, high), digits, span.seconds());
        let millis = |at: Moment| at.0.div_euclid(1000);
        let zone = zone_name(self.zone, span.from);
        let unit = if traits.unit.is_empty() { String::new() } else { format!(" ({})", escaped(&traits.unit)) };
        let name = escaped(&traits.name);
        let label = format!(
            "{name}{unit}: {} {}, {} {}",
            language.text("lowest"),
            number(f.low.0),
            language.text("highest"),
            number(f.high.0)
        );
        let mut out = format!(
            "<figure class=\"plot\" data-from=\"{}\" data-to=\"{}\" data-low=\"{low}\" data-high=\"{high}\" data-digits=\"{digits}\" \
             data-exact=\"1\" data-unit=\"{}\" data-zone=\"{}\"><figcaption>{name}{unit}<output></output></figcaption>\n<div class=\"y\">",
            millis(span.from),
            millis(span.to),
            escaped(&traits.unit),
            escaped(&zone)
        );
        for tick in &ticks {
            let bottom = (tick.0 - low) / (high - low) * 100.0;
            let _ = write!(out, "<span style=\"bottom:{bottom:.1}%\">{}</span>", language.decimal(&tick.1));
        }
        let _ = write!(
            out,
            "</div>\n<div class=\"area\" tabindex=\"0\" role=\"img\" aria-label=\"{label}\"><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             preserveAspectRatio=\"none\" aria-hidden=\"true\">"
        );
        for tick in &ticks {
            let at = scale.y(tick.0);
            let _ = write!(out, "<line class=\"rule\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{at}\" y2=\"{at}\"/>");
        }
        self.course(&mut out, &scale);
        self.events(&mut out, &scale);
        out.push_str("</svg>");
        self.words(&mut out);
        out.push_str("</div>\n<div class=\"x\">");
        for n in 0..=TIME_LABELS {
            let at = span.from.plus_seconds(span.seconds() * n as f64 / TIME_LABELS as f64);
            let left = n as f64 * 100.0 / TIME_LABELS as f64;
            let _ = write!(out, "<span style=\"left:{left:.1}%\">{}</span>", self.time(at));
        }
        out.push_str("</div></figure>\n");
        out
    }

    fn time(&self, at: Moment) -> String {
        let span = self.summary.window.span;
        let zoned = at.timestamp().to_zoned(self.zone.clone());
        if span.seconds() > 2.0 * 86_400.0 {
            let text = self.language().short_time(&zoned);
            return text.rsplit_once(' ').map_or(text.clone(), |(day, _)| day.to_owned());
        }
        let text = zoned.strftime("%H:%M").to_string();
        // As in the sentences: the end of a day is 24:00 of that day.
        if text == "00:00" && at == span.to { "24:00".to_owned() } else { text }
    }

    /// The readings, broken where there are none.
    fn course(&self, out: &mut String, scale: &Scale) {
        let (x, y) = (|at: Moment| scale.x(self.share(at)), |value: f64| scale.y(value));
        let slots = self.sensor.track.slots();
        for anomaly in &self.sensor.anomalies {
            if let Anomaly::Gap { span } = anomaly {
                let (from, to) = (x(span.from), x(span.to));
                let _ = write!(
                    out,
                    "<rect class=\"gap\" x=\"{from}\" y=\"0\" width=\"{}\" height=\"{HEIGHT}\"/>",
                    to - from
                );
            }
        }
        if !self.sensor.track.is_exact() {
            let mut band = String::new();
            for slot in slots.iter().filter(|s| s.count > 1) {
                let (from, to) = (x(slot.first), x(slot.last));
                let (low, high) = (y(slot.low.0), y(slot.high.0));
                let _ = write!(band, "M{from} {high}H{to}V{low}H{from}Z");
            }
            let _ = write!(out, "<path class=\"band\" d=\"{band}\"/>");
        }
        let breaks = |from: Moment, to: Moment| {
            let mut gaps = self.sensor.anomalies.iter().filter(|a| matches!(a, Anomaly::Gap { .. }));
            gaps.any(|gap| from <= gap.begins() && gap.begins() < to)
        };
        let is_binary = self.summary.traits[self.sensor.sensor.0 as usize].kind == Some(Kind::Binary);
        let mut path = String::new();
        let mut last: Option<Moment> = None;
        for slot in slots {
            let goes_on = last.is_some_and(|last| !breaks(last, slot.first));
            let (letter, x) = (if goes_on { 'L' } else { 'M' }, x(slot.first));
            // A state stays as it is up to the next.
            if goes_on && is_binary {
                let _ = write!(path, "H{x}");
            }
            let _ = write!(path, "{letter}{x} {}", y(slot.mean()));
            last = Some(slot.last);
        }
        let _ = write!(out, "<path class=\"course\" d=\"{path}\"/>");
    }

    fn events(&self, out: &mut String, scale: &Scale) {
        let (x, y) = (|at: Moment| scale.x(self.share(at)), |value: f64| scale.y(value));
        for anomaly in &self.sensor.anomalies {
            let (class, path) = match *anomaly {
                // A line of no length with round ends is a dot, however the picture is stretched.
                Anomaly::Spike { value, at, .. } => ("dot", format!("M{} {}h0", x(at), y(value))),
                Anomaly::Drift { from, .. } => ("event", format!("M{} 120V{HEIGHT}", x(from))),
                Anomaly::Stuck { value, span } => ("event", format!("M{} {}H{}", x(span.from), y(value), x(span.to))),
                Anomaly::Above { limit, span, .. } | Anomaly::Below { limit, span, .. } => {
                    ("event", format!("M{} {}H{}", x(span.from), y(limit), x(span.to)))
                }
                Anomaly::Gap { .. } => continue,
            };
            let _ = write!(out, "<path class=\"{class}\" d=\"{path}\"/>");
        }
    }

    /// What the marks are called; a word that would stand on another is left out.
    fn words(&self, out: &mut String) {
        let mut taken: Vec<(f64, f64)> = Vec::new();
        for anomaly in &self.sensor.anomalies {
            let (word, at) = match *anomaly {
                Anomaly::Spike { at, .. } => ("spike", self.share(at)),
                Anomaly::Drift { from, .. } => ("drift", self.share(from)),
                Anomaly::Stuck { span, .. } => ("stuck", f64::midpoint(self.share(span.from), self.share(span.to))),
                Anomaly::Above { span, .. } => {
                    ("above limit", f64::midpoint(self.share(span.from), self.share(span.to)))
                }
                Anomaly::Below { span, .. } => {
                    ("below limit", f64::midpoint(self.share(span.from), self.share(span.to)))
                }
                Anomaly::Gap { span } => ("no readings", f64::midpoint(self.share(span.from), self.share(span.to))),
            };
            let word = self.language().text(word);
            // A letter takes a hundredth and a half of a phone's plot.
            let half = word.chars().count() as f64 * 0.0125;
            let at = at.clamp(half, (1.0 - half).max(half));
            if taken.iter().any(|(other, room)| (at - other).abs() < half + room) {
                continue;
            }
            taken.push((at, half));
            let quiet = if matches!(anomaly, Anomaly::Gap { .. }) { " quiet" } else { "" };
            let _ = write!(
                out,
                "<span class=\"word{quiet}\" data-at=\"{at:.4}\" style=\"left:{:.1}%\">{}</span>",
                at * 100.0,
                escaped(word)
            );
        }
    }
}

/// The zone as the page's script takes it: its name, or the difference to UTC that it had, as in "+05:30".
fn zone_name(zone: &TimeZone, at: Moment) -> String {
    if let Some(name) = zone.iana_name() {
        return name.to_owned();
    }
    let seconds = zone.to_offset(at.timestamp()).seconds();
    let minutes = seconds.abs() / 60;
    format!("{}{:02}:{:02}", if seconds < 0 { '-' } else { '+' }, minutes / 60, minutes % 60)
}

/// Round values between the lowest and the highest, with their labels, and the ends of the axis.
fn ticks(low: f64, high: f64) -> (Vec<(f64, String)>, f64, f64) {
    let room = ((high - low) * 0.08).max(high.abs() * 1e-3).max(1e-12);
    // Above the course a line stays free for words.
    let (bottom, top) = (low - room, high + room * 2.5);
    let rough = (top - bottom) / 4.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= rough).unwrap_or(power * 10.0);
    let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
    let first = (bottom / step).ceil();
    let ticks = (0..10)
        .map(|n| (first + f64::from(n)) * step)
        .take_while(|tick| *tick <= top)
        .map(|tick| (tick, format!("{:.decimals$}", tick + 0.0)))
        .collect();
    (ticks, bottom, top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_without_a_name_is_told_by_its_difference_to_utc() {
        let at = |text: &str| Moment::from(text.parse::<jiff::Timestamp>().unwrap());
        let winter = at("2026-01-15T12:00:00Z");
        let of = |zone: TimeZone, when| zone_name(&zone, when);
        assert_eq!(of(TimeZone::UTC, winter), "UTC");
        assert_eq!(of(TimeZone::get("Europe/Berlin").unwrap(), winter), "Europe/Berlin");
        assert_eq!(of(TimeZone::fixed(jiff::tz::Offset::from_seconds(19_800).unwrap()), winter), "+05:30");
        assert_eq!(of(TimeZone::fixed(jiff::tz::offset(-3)), winter), "-03:00");
        let posix = || TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(of(posix(), winter), "+01:00");
        assert_eq!(of(posix(), at("2026-07-15T12:00:00Z")), "+02:00");
    }

    #[test]
    fn the_axis_has_a_few_round_values_within_its_ends() {
        for (low, high) in [(19.8, 24.9), (-5.0, 3.0), (0.0, 0.0), (101_316.0, 101_334.0), (-1e15, 1e15), (1e-9, 2e-9)]
        {
            let (ticks, bottom, top) = ticks(low, high);
            assert!((2..=6).contains(&ticks.len()), "{ticks:?} of {low} to {high}");
            assert!(ticks.iter().all(|(tick, _)| (bottom..=top).contains(tick)));
            assert!(bottom < low && top > high, "{bottom} {top}");
        }
        let labels: Vec<String> = ticks(19.8, 24.9).0.into_iter().map(|tick| tick.1).collect();
        assert_eq!(labels, ["20", "22", "24"]);
    }
}

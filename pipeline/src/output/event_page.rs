//! A folder of events as one page of HTML: a timeline for each day and camera, and a contact sheet of the pictures. It loads nothing but
//! the pictures and clips beside it, and has a light and a dark form, for wide and narrow screens.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Zoned;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

/// An event as the page shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownEvent {
    /// Its name, as that of its files.
    pub name: String,
    /// Its camera.
    pub camera: String,
    /// Its start, in local time.
    pub start: Zoned,
    /// How long it was.
    pub seconds: f64,
    /// What it was.
    pub caption: String,
    /// The scene's caption; empty: none.
    pub scene: String,
    /// The labels of its objects, each once.
    pub labels: Vec<String>,
    /// The zones that were entered.
    pub zones: Vec<String>,
    /// Its picture's file, if there is one.
    pub picture: Option<String>,
    /// Its clip's file, if there is one.
    pub clip: Option<String>,
}

impl ShownEvent {
    /// From its file; `None` where it is none.
    pub fn of(name: &str, event: &Value, zone: &TimeZone) -> Option<Self> {
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        let start: jiff::Timestamp = event["start"].as_str()?.parse().ok()?;
        let mut labels: Vec<String> = Vec::new();
        for label in event["objects"].as_array()?.iter().filter_map(|o| o["label"].as_str()) {
            if !labels.iter().any(|l| l == label) {
                labels.push(label.to_owned());
            }
        }
        let zones =
            event["zones"].as_array().into_iter().flatten().filter_map(|z| z.as_str().map(str::to_owned)).collect();
        // Only its own files: a page must not lead anywhere else.
        let own = |key: &str, extension: &str| {
            event[key].as_str().filter(|file| *file == format!("{name}.{extension}")).map(str::to_owned)
        };
        Some(Self {
            name: name.to_owned(),
            camera: text("camera"),
            start: start.to_zoned(zone.clone()),
            seconds: event["seconds"].as_f64().unwrap_or(0.0).max(0.0),
            caption: text("caption"),
            scene: text("scene"),
            labels,
            zones,
            picture: own("picture", "jpg"),
            clip: own("clip", "mp4"),
        })
    }
}

const SECONDS_OF_DAY: f64 = 86_400.0;
const HOUR: f64 = 3600.0;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --ground: #f5f6f8; --card: #fff; --line: #d8dde3; --mark: #0a66c2 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ed; --soft: #9aa4b0; --ground: #14171b; --card: #1e2329; --line: #333b44; --mark: #63a9f2 }
}
* { box-sizing: border-box }
body { margin: 0; padding: 1.2rem; font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--ground) }
main { max-width: 1200px; margin: 0 auto }
h1 { font-size: 1.4rem; margin: 0 0 .2rem }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .6rem }
p { margin: 0 0 .5rem }
.soft { color: var(--soft) }
.day { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .7rem .9rem .4rem; overflow: hidden }
.row { display: grid; grid-template-columns: 8rem 1fr; gap: .6rem; align-items: center; margin-bottom: .45rem }
.row span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
.bar { position: relative; height: 1.5rem; border-radius: 4px; background:
  repeating-linear-gradient(90deg, var(--line) 0 1px, transparent 1px calc(100% / var(--parts))) }
.bar a { position: absolute; top: .2rem; bottom: .2rem; min-width: 4px; border-radius: 2px; background: var(--mark) }
.bar a:hover, .bar a:focus { outline: 2px solid var(--ink) }
.hours { position: relative; height: 1.1rem; font-size: .75rem; color: var(--soft) }
.hours i { position: absolute; transform: translateX(-50%); font-style: normal }
.hours i:first-child { transform: none } .hours i:last-child { transform: translateX(-100%) }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr)); gap: .9rem }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; scroll-margin-top: 1rem }
.card:target { outline: 3px solid var(--mark) }
.card img, .card .none { display: block; width: 100%; aspect-ratio: 4 / 3; object-fit: contain; background: #0b0d10 }
.card .none { display: grid; place-items: center; color: #9aa4b0 }
.card div.text { padding: .55rem .7rem .6rem }
.card time { font-weight: 600 }
.card p { margin: .15rem 0 0 }
.card a { color: var(--mark) }
.tag { display: inline-block; font-size: .78rem; padding: 0 .45em; margin: .3rem .25rem 0 0; border: 1px solid var(--line); border-radius: 1em }
@media (max-width: 560px) {
  body { padding: .7rem }
  .row { grid-template-columns: 1fr; gap: .1rem }
  .sheet { grid-template-columns: repeat(2, 1fr); gap: .5rem }
  .card div.text { padding: .4rem .5rem } .card { font-size: .85rem }
}
";

/// How each page begins, by which an earlier one is known.
const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
     <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src 'self' file: data:; media-src 'self' file:; \
     style-src 'unsafe-inline'\">\n<title>";

/// How many bytes of a file tell whether it is a page of events.
pub fn page_head_bytes() -> u64 {
    HEAD.len() as u64
}

/// Whether a file that begins like this is a page of events.
pub fn is_page(head: &[u8]) -> bool {
    head.starts_with(HEAD.as_bytes())
}

/// The page. `events` in the order of time; files are named as they lie, with `prefix` before; `title` as it is to be read.
pub fn page(title: &str, events: &[ShownEvent], left_out: usize, prefix: &str) -> String {
    let mut page = format!("{HEAD}{0}</title>\n<style>{STYLE}</style>\n<main>\n<h1>{0}</h1>\n", escaped(title));
    let range = match events {
        [] => "No events.".to_owned(),
        [one] => format!("1 event, {}", one.start.strftime("%-d %B %Y")),
        [first, .., last] => {
            let (from, to) =
                (first.start.strftime("%-d %B %Y").to_string(), last.start.strftime("%-d %B %Y").to_string());
            let span = if from == to { from } else { format!("{from} to {to}") };
            format!("{} events, {span}", events.len())
        }
    };
    let left = if left_out == 0 { String::new() } else { format!("; {left_out} older ones are not shown") };
    let _ = writeln!(page, "<p class=\"soft\">{range}{left}</p>");
    let mut days: BTreeMap<Date, Vec<&ShownEvent>> = BTreeMap::new();
    for event in events {
        days.entry(event.start.date()).or_default().push(event);
    }
    for (day, events) in days.iter().rev() {
        let _ = writeln!(page, "<h2>{}</h2>", day.strftime("%A, %-d %B %Y"));
        timeline(&mut page, events);
        page.push_str("<h2 class=\"soft\">Pictures</h2>\n<div class=\"sheet\">\n");
        events.iter().rev().for_each(|event| card(&mut page, event, prefix));
        page.push_str("</div>\n");
    }
    page.push_str("</main>\n</html>\n");
    page
}

/// The hours that a timeline shows: those from the first event to the last, at least one.
fn hours_of(events: &[&ShownEvent]) -> (f64, f64) {
    let first = events.iter().map(|e| second_of(e)).fold(SECONDS_OF_DAY, f64::min);
    let last = events.iter().map(|e| second_of(e) + e.seconds).fold(0.0, f64::max).min(SECONDS_OF_DAY);
    let (from, to) = ((first / HOUR).floor(), (last / HOUR).ceil());
    (from.min(23.0), to.max(from + 1.0).min(24.0))
}

fn second_of(event: &ShownEvent) -> f64 {
    let at = event.start.time();
    f64::from(at.hour()) * HOUR + f64::from(at.minute()) * 60.0 + f64::from(at.second())
}

fn timeline(page: &mut String, events: &[&ShownEvent]) {
    let (from, to) = hours_of(events);
    let span = (to - from) * HOUR;
    let mut cameras: BTreeMap<&str, Vec<&ShownEvent>> = BTreeMap::new();
    events.iter().for_each(|event| cameras.entry(&event.camera).or_default().push(event));
    // Lines at each hour, or at every ten minutes of few hours.
    let parts = if to - from <= 3.0 { (to - from) * 6.0 } else { to - from };
    let _ = writeln!(page, "<div class=\"day\" style=\"--parts:{parts:.0}\">");
    for (camera, events) in cameras {
        let _ = write!(page, "<div class=\"row\"><span>{}</span><div class=\"bar\">", escaped(camera));
        for event in events {
            let left = ((second_of(event) - from * HOUR) / span * 100.0).clamp(0.0, 100.0);
            let width = (event.seconds / span * 100.0).min(100.0 - left);
            let _ = write!(
                page,
                "<a href=\"#{}\" style=\"left:{left:.3}%;width:{width:.3}%\" title=\"{} {}\"></a>",
                escaped(&event.name),
                event.start.strftime("%H:%M:%S"),
                escaped(&event.caption)
            );
        }
        page.push_str("</div></div>\n");
    }
    page.push_str("<div class=\"row\"><span></span><div class=\"hours\">");
    for quarter in 0..=4 {
        let minutes = ((from + (to - from) * f64::from(quarter) / 4.0) * 60.0).round() as u32;
        let _ = write!(page, "<i style=\"left:{}%\">{}:{:02}</i>", quarter * 25, minutes / 60, minutes % 60);
    }
    page.push_str("</div></div>\n</div>\n");
}

fn card(page: &mut String, event: &ShownEvent, prefix: &str) {
    let link = |file: &str| escaped(&format!("{prefix}{file}"));
    let _ = write!(page, "<article class=\"card\" id=\"{}\">", escaped(&event.name));
    match &event.picture {
        Some(file) => {
            let (file, caption) = (link(file), escaped(&event.caption));
            let _ = write!(page, "<a href=\"{file}\"><img loading=\"lazy\" src=\"{file}\" alt=\"{caption}\"></a>");
        }
        None => page.push_str("<div class=\"none\">no picture</div>"),
    }
    let _ = write!(
        page,
        "<div class=\"text\"><time datetime=\"{}\">{}</time> <span class=\"soft\">{}, {}</span><p>{}</p>",
        event.start.strftime("%Y-%m-%dT%H:%M:%S%:z"),
        event.start.strftime("%H:%M:%S"),
        escaped(&event.camera),
        lasted(event.seconds),
        escaped(&event.caption)
    );
    if !event.scene.is_empty() {
        let _ = write!(page, "<p class=\"soft\">{}</p>", escaped(&event.scene));
    }
    for tag in event.labels.iter().chain(&event.zones) {
        let _ = write!(page, "<span class=\"tag\">{}</span>", escaped(tag));
    }
    if let Some(file) = &event.clip {
        let _ = write!(page, "<p><a href=\"{}\">Clip</a></p>", link(file));
    }
    page.push_str("</div></article>\n");
}

/// A duration, shortly.
fn lasted(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    if whole < 60 { format!("{whole}\u{a0}s") } else { format!("{}:{:02}\u{a0}min", whole / 60, whole % 60) }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_has_each_event_once_in_the_timeline_and_once_on_the_sheet_and_nothing_from_outside() {
        let event = |n: u32, picture: &str| {
            let name = format!("20270115T0{n}0000.000Z-door");
            let body = json!({
                "camera": "<door>", "start": format!("2027-01-15T0{n}:30:00.000Z"), "seconds": 75.0, "caption": "A \"person\" & a dog.",
                "scene": "", "objects": [{"label": "person"}, {"label": "dog"}, {"label": "dog"}], "zones": ["yard"],
                "picture": picture.replace("NAME", &name), "clip": format!("{name}.mp4"),
            });
            ShownEvent::of(&name, &body, &TimeZone::UTC).unwrap()
        };
        let events = [event(6, "NAME.jpg"), event(8, "https://elsewhere/x.jpg")];
        assert_eq!((events[1].picture.as_ref(), events[0].labels.len()), (None, 2));
        let page = page("Events <1>", &events, 3, "");
        assert_eq!(page.matches("<article").count(), 2);
        assert_eq!(page.matches("<a href=\"#2027").count(), 2);
        assert!(
            page.contains("left:16.667%;width:0.694%") && page.contains(">6:00<") && page.contains(">9:00<"),
            "{page}"
        );
        assert!(
            page.contains("&lt;door&gt;")
                && !page.contains("<door>")
                && page.contains("A &quot;person&quot; &amp; a dog.")
        );
        assert!(
            page.contains("1:15\u{a0}min")
                && page.contains("3 older ones are not shown")
                && page.contains("15 January 2027")
        );
        assert!(!page.contains("://"), "nothing from outside");
        assert!(ShownEvent::of("x", &json!({"start": "soon"}), &TimeZone::UTC).is_none());
    }
}

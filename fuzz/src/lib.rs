//! One function for each parser that reads what others made: any bytes must become a value or an error in one line, without a
//! panic, an abort, or more than a second or a gigabyte. libFuzzer calls them (`make fuzz TARGET=gguf SECONDS=60`), and
//! `tests/mutations.rs` does so with some thousand changed seeds in each `make test`.
//!
//! What a fuzzer once found stands under `seeds/TARGET/` and is read by both.

mod files;
mod homes;
mod models;
mod network;
mod replies;
pub mod seeds;

use std::fmt::Display;
use std::io::Cursor;

use jiff::tz::TimeZone;
use nearfield_telemetry::read::{Reader, TextOptions, is_workbook, rows_of};
use nearfield_vision::{JpegSplitter, is_whole_jpeg};

/// A parser, and how to call it.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name on the command line, and of its folder of seeds.
    pub name: &'static str,
    /// Reads the bytes.
    pub run: fn(&[u8]),
    /// The longest input worth trying.
    pub max_bytes: usize,
    /// Whether one input takes milliseconds (a store, a connection).
    pub slow: bool,
}

const fn fast(name: &'static str, max_bytes: usize, run: fn(&[u8])) -> Target {
    Target { name, run, max_bytes, slow: false }
}

const fn slow(name: &'static str, max_bytes: usize, run: fn(&[u8])) -> Target {
    Target { name, run, max_bytes, slow: true }
}

/// All targets.
pub const TARGETS: &[Target] = &[
    fast("gguf", 4096, files::gguf),
    fast("architecture", 4096, files::architecture),
    fast("template", 2048, files::template),
    fast("tokenizer", 2048, files::tokenizer),
    fast("session", 8192, files::session),
    fast("ggml", 4096, files::ggml),
    fast("piper", 4096, files::piper),
    fast("manifest", 2048, manifest),
    fast("sound", 4096, sound),
    fast("jpegs", 4096, jpegs),
    fast("picture", 4096, picture),
    fast("csv", 2048, |bytes| readings("csv", bytes)),
    fast("json_lines", 2048, |bytes| readings("jsonl", bytes)),
    fast("exports", 4096, |bytes| readings("", bytes)),
    fast("workbook", 8192, workbook),
    fast("mqtt_message", 2048, mqtt_message),
    fast("question", 600, question),
    fast("home", 2048, homes::home),
    fast("request", 400, homes::request),
    fast("sentences", 2048, homes::sentences),
    fast("dialect", 2048, replies::dialect),
    fast("spoken", 2048, replies::spoken),
    fast("normalize", 600, replies::normalize),
    fast("graph", 8192, graph),
    fast("models", 4096, model_list),
    fast("config", 2048, files::config),
    slow("store", 65536, files::store),
    slow("snapshot", 65536, files::snapshot),
    slow("recorder", 65536, files::recorder),
    slow("mqtt", 2048, network::mqtt),
    slow("http", 2048, network::http),
    slow("remote", 2048, network::remote),
];

/// The target of that name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|target| target.name == name).copied()
}

/// Errors are for people: one line, of a readable length, without control characters, whatever the input holds.
fn check_error(error: &dyn Display) {
    let text = error.to_string();
    assert!(!text.trim().is_empty() && text.len() < 4000, "an error of {} bytes: {text:.200}", text.len());
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}

/// Whether a model of which these bytes are all but the weights opens and reads two tokens.
pub fn opens(bytes: &[u8]) -> bool {
    files::opens(bytes)
}

fn check<T, E: Display>(result: Result<T, E>) -> Option<T> {
    result.map_err(|error| check_error(&error)).ok()
}

fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(manifest) = toml::from_str::<nearfield_vision::VisionManifest>(text) {
        check(manifest.check());
    }
}

/// The graph of a voice's ONNX file, and a half cut out of it.
fn graph(bytes: &[u8]) {
    let Some(graph) = check(nearfield_onnx::graph::OnnxGraph::parse(bytes)) else { return };
    for node in graph.nodes().iter().take(40) {
        if let Some(output) = node.outputs.first()
            && let Some((part, _)) = check(graph.part(&[], output))
        {
            assert!(part.len() <= bytes.len() + 4096, "a part of {} bytes of {}", part.len(), bytes.len());
        }
    }
}

fn sound(bytes: &[u8]) {
    let reader = nearfield_speech::audio::ClipReader::from_reader(Cursor::new(bytes.to_vec()), "sound");
    let Some(mut reader) = check(reader) else { return };
    let mut samples = 0;
    // 4 KiB of the densest packing there is are not a minute of sound.
    while let Some(Some(block)) = check(reader.next_block()) {
        samples += block.len();
        assert!(samples < 100_000_000, "{samples} samples");
    }
}

fn jpegs(bytes: &[u8]) {
    let mut splitter = JpegSplitter::default();
    for piece in bytes.chunks(97) {
        splitter.push(piece, &mut |jpeg| {
            let _ = is_whole_jpeg(&jpeg);
            picture(&jpeg);
        });
    }
    let _ = (splitter.broken(), splitter.passed());
}

fn picture(bytes: &[u8]) {
    let Some(picture) = check(nearfield_vision::Picture::decode(bytes, "picture")) else { return };
    assert_eq!(picture.rgb().len() as u64, u64::from(picture.width()) * u64::from(picture.height()) * 3);
    let _ = picture.within(1 << 20, 1024).is_flat();
}

/// A topic, and behind a line break its message.
fn mqtt_message(bytes: &[u8]) {
    use nearfield_telemetry::read::{Rejected, mqtt};
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (topic, payload) = text.split_once('\n').unwrap_or(("home/hall", text));
    let mut rejected = Rejected::default();
    mqtt::message(topic, payload, "", &TimeZone::UTC, &mut rejected, &mut |found, _| {
        assert!(found.value.is_finite() && found.value.abs() <= nearfield_telemetry::LARGEST_VALUE, "{}", found.value);
    });
}

/// A question on three sensors, whose readings are few.
fn question(bytes: &[u8]) {
    use nearfield_telemetry::kind::Kind;
    use nearfield_telemetry::{Moment, SensorTraits, Span, ask};
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let sensor = |name: &str, unit: &str, kind| SensorTraits {
        name: name.to_owned(),
        unit: unit.to_owned(),
        kind,
        ..SensorTraits::default()
    };
    let sensors = [
        sensor("kitchen temperature", "°C", None),
        sensor("heater", "", Some(Kind::Binary)),
        sensor("house meter", "kWh", Some(Kind::TotalIncreasing)),
    ];
    let now: jiff::Zoned = "2026-03-06T15:30:00[Europe/Berlin]".parse().expect("this is a time");
    let Some(question) = check(ask::parse(text, &sensors, &now)) else { return };
    let mut read = |_: usize, span: Span, take: &mut dyn FnMut(Moment, f64)| {
        for hour in 0..100i64 {
            let at = Moment(1_772_500_000_000_000 + hour * 3_600_000_000);
            if span.from <= at && at < span.to {
                take(at, (hour % 3) as f64);
            }
        }
        Ok::<(), std::convert::Infallible>(())
    };
    let answer = check(ask::answer(&question, &sensors, &now, &mut read)).expect("reading does not fail");
    assert!(!answer.text.is_empty() && answer.text.len() < 2000, "{}", answer.text);
}

fn readings(format: &str, bytes: &[u8]) {
    let options = TextOptions { format: format.to_owned(), ..TextOptions::default() };
    let mut reader = Reader::new(&options, TimeZone::UTC, "fuzz").expect("these options can be meant");
    let emit = &mut |found: nearfield_telemetry::read::Found<'_>| {
        assert!(found.value.is_finite() && found.value.abs() <= nearfield_telemetry::LARGEST_VALUE, "{}", found.value);
    };
    if bytes.chunks(97).all(|piece| check(reader.push(piece, emit)).is_some()) {
        check(reader.end(emit));
    }
    let _ = reader.take_rejected();
}

fn workbook(bytes: &[u8]) {
    if is_workbook(bytes)
        && let Some(rows) = check(rows_of(bytes.to_vec()))
    {
        readings("xlsx", &rows);
    }
}

fn model_list(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    use nearfield::hub::registry::{Places, Registry};
    check(Registry::from_text(text, std::path::Path::new("models.toml"), Places::from_env()));
}

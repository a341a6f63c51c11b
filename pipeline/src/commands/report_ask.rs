//! `nearfield report ask`: a question on the readings of a store.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use jiff::Zoned;
use nearfield_stages::report::sensors::SensorRegistry;
use nearfield_stages::report::store::{Snapshot, StoreError};
use nearfield_telemetry::ask::{Answer, Question, answer, find_kinds, parse};
use nearfield_telemetry::{Moment, SensorTraits, Span};
use serde_json::json;

use crate::cli::{AskArgs, Usage};
use crate::config::Config;
use crate::config::report::ReportConfig;
use crate::hub::registry::Registry;
use crate::output::report_pages::time;

/// Runs the command.
///
/// # Errors
/// There is no store, or the question is not understood.
pub fn run(args: &AskArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let config = ReportConfig::load(args.config.config.as_deref(), &args.config.set)?;
    let now = Zoned::now().with_time_zone(config.zone().map_err(anyhow::Error::msg)?);
    let path = match &args.store {
        Some(path) => path.clone(),
        None if config.store.file == Path::new("none") => {
            return Err(
                Usage("the configuration says store.file = \"none\": name a store with --store".to_owned()).into()
            );
        }
        None if !config.store.file.as_os_str().is_empty() => config.store.file.clone(),
        None => Registry::open()?.places().data.join("report.sqlite"),
    };
    if !path.exists() {
        let text = format!(
            "there is no store {}: name one with --store; `nearfield report` keeps one where store.file names it, and of brokers always",
            path.display()
        );
        return Err(Usage(text).into());
    }
    let snapshot = Snapshot::take(&path)?;
    let mut sensors = Sensors::of(&config, &snapshot);
    let known: HashMap<u32, usize> = sensors.places.iter().enumerate().map(|(at, place)| (*place, at)).collect();
    find_kinds(&mut sensors.traits, now.time_zone(), |take| {
        snapshot.read_all(&mut |place, at, value| {
            if let Some(sensor) = known.get(&place) {
                take(*sensor, at, value);
            }
        })
    })?;
    // As reports tell them; the store keeps the sensors' own units.
    let told: Vec<_> = sensors.traits.iter_mut().map(|traits| traits.tell_in(config.readings.units)).collect();
    let mut read = |sensor: usize, span: Span, take: &mut dyn FnMut(Moment, f64)| {
        let (scale, offset) = told[sensor].unwrap_or((1.0, 0.0));
        snapshot.read(sensors.places[sensor], span, &mut |at, value| take(at, value * scale + offset))
    };
    let text = args.question.join(" ");
    let question = parse(&text, &sensors.traits, &now)?;
    let said: Answer = answer::<StoreError>(&question, &sensors.traits, &now, &mut read)?;
    if args.json {
        writeln!(out, "{}", as_json(&text, &question, &said, &sensors.traits, &now))?;
    } else {
        writeln!(out, "{}", said.text)?;
    }
    Ok(())
}

/// The sensors of a store, under the names that the configuration gives them.
struct Sensors {
    traits: Vec<SensorTraits>,
    /// Their numbers in the store.
    places: Vec<u32>,
}

impl Sensors {
    fn of(config: &ReportConfig, snapshot: &Snapshot) -> Sensors {
        let mut registry =
            SensorRegistry::new(config.sensors.clone(), config.readings.only_known, config.readings.max_sensors);
        let mut places = Vec::new();
        for (place, (key, traits)) in (0..).zip(snapshot.sensors()) {
            if registry.stored(key, traits).is_some() {
                places.push(place);
            }
        }
        let traits = registry.take_introduced().into_iter().map(|(_, traits)| traits).collect();
        Sensors { traits, places }
    }
}

fn as_json(text: &str, question: &Question, said: &Answer, sensors: &[SensorTraits], now: &Zoned) -> serde_json::Value {
    let zone = now.time_zone();
    let span = question
        .period
        .as_ref()
        .map(|period| json!({"from": time(period.span.from, zone), "to": time(period.span.to, zone)}));
    json!({
        "question": text,
        "answer": said.text,
        "value": said.value,
        "unit": said.unit,
        "at": said.at.map(|at| time(at, zone)),
        "sensor": sensors[said.sensor].name,
        "period": span,
    })
}

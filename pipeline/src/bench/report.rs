//! `nearfield bench report`: readings per second into windows and into the store, and the time from a window's close to the first
//! word and to the checked report. Every sentence that is timed is held to its table once more, by other means than the check.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use jiff::tz::TimeZone;
use nearfield_llm::median;
use nearfield_stages::flow::{Turn, Turns};
use nearfield_stages::llm_thread::LlmThread;
use nearfield_stages::messages::{Origin, Tokens};
use nearfield_stages::report::compose::{Compose, ComposeOptions, ModelWriter, Writer};
use nearfield_stages::report::store::{Retention, Store};
use nearfield_telemetry::read::{Found, Reader, TextOptions};
use nearfield_telemetry::table::Table;
use nearfield_telemetry::window::WindowPlan;
use nearfield_telemetry::windows::{ClosedWindow, Windows, WindowsOptions};
use nearfield_telemetry::{Moment, Reading, SensorId, SensorTraits};
use serde_json::json;

use crate::bench::emit;
use crate::cli::BenchArgs;
use crate::config::Config;
use crate::config::report::ReportConfig;
use crate::eval::judge::holds;
use crate::hub::registry::Registry;
use crate::load::report::{compose_options, load_llm, max_report_tokens, windows_options};
use crate::output::turn_report::ms;

/// Readings for the throughput of windows: a hundred sensors, each second.
const READINGS: u64 = 1_000_000;
const SENSORS: u64 = 100;
/// Readings for the throughput of text and of the store.
const FEWER: u64 = 200_000;
/// Windows composed in each run.
const WINDOWS: u64 = 20;
/// 2026-11-20 in UTC.
const START: i64 = 1_795_132_800_000_000;
const SECOND: i64 = 1_000_000;

const NAMES: [(&str, &str); 6] = [
    ("kitchen temperature", "°C"),
    ("hall humidity", "%"),
    ("boiler flow", "l/min"),
    ("pump 3 pressure", "hPa"),
    ("zorvik", ""),
    ("attic light", "lx"),
];

/// xorshift64*: the same numbers each time.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn roll(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

/// Runs the measurement.
///
/// # Errors
/// If something that it needs is missing, or a result is wrong.
pub fn run(args: &BenchArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut config = ReportConfig::load(args.config.config.as_deref(), &args.config.set)?;
    if let Some(model) = &args.model {
        config.llm.model.clone_from(model);
    }
    let registry = Registry::open()?;
    if !args.json {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        writeln!(out, "{cores} cores, kernels: {}, median of {} runs", nearfield_llm::simd_level(), args.runs)?;
    }
    let rate = |n: u64, times: Vec<f64>| median(times).filter(|t| *t > 0.0).map_or(0.0, |t| n as f64 / t);
    let (mut windows_s, mut text_s, mut store_s) = (Vec::new(), Vec::new(), Vec::new());
    let csv = csv();
    for _ in 0..args.runs.min(5) {
        windows_s.push(time_windows()?);
        text_s.push(time_text(&csv)?);
        store_s.push(time_store()?);
    }
    let (windows_s, text_s, store_s) = (rate(READINGS, windows_s), rate(FEWER, text_s), rate(FEWER, store_s));
    let line = json!({"readings_per_s": {"windows": windows_s, "csv_and_windows": text_s, "store_synced": store_s}});
    let text = format!(
        "readings/s on one core: {windows_s:.0} into windows of {SENSORS} sensors, {text_s:.0} from CSV text into windows, \
         {store_s:.0} into the store in synced commits of 4096"
    );
    emit(args, out, &line, &text)?;
    word_windows(args, &config, &registry, out)
}

fn hourly() -> anyhow::Result<Windows> {
    let hour = || "1h".parse().map_err(anyhow::Error::msg);
    let plan = WindowPlan::new(hour()?, hour()?, TimeZone::UTC).map_err(anyhow::Error::msg)?;
    let config = ReportConfig::default();
    Ok(Windows::new(WindowsOptions { plan, lateness_seconds: Some(30.0), ..windows_options(&config, true)? }))
}

fn time_windows() -> anyhow::Result<f64> {
    let mut windows = hourly()?;
    (0..SENSORS).for_each(|_| _ = windows.add_sensor(SensorTraits::default()));
    let mut dice = Dice(1);
    let readings: Vec<Reading> = (0..READINGS)
        .map(|i| Reading {
            at: Moment(START + (i / SENSORS) as i64 * SECOND),
            sensor: SensorId((i % SENSORS) as u32),
            value: 20.0 + dice.roll(1000) as f64 / 100.0,
        })
        .collect();
    let mut seen = 0;
    let begun = Instant::now();
    for reading in readings {
        windows.push(reading, &mut |w| seen += w.readings());
    }
    windows.finish(&mut |w| seen += w.readings());
    let elapsed = begun.elapsed().as_secs_f64();
    ensure!(seen == READINGS, "{seen} of {READINGS} readings are in windows");
    Ok(elapsed)
}

/// Ten sensors as columns, a row each second.
fn csv() -> Vec<u8> {
    let mut dice = Dice(2);
    let mut text = String::from("time,a,b,c,d,e,f,g,h,i,j\n");
    for row in 0..FEWER / 10 {
        let at = Moment(START + row as i64 * SECOND).timestamp();
        text.push_str(&at.strftime("%Y-%m-%d %H:%M:%S").to_string());
        for _ in 0..10 {
            text.push_str(&format!(",{}.{}", 10 + dice.roll(20), dice.roll(10)));
        }
        text.push('\n');
    }
    text.into_bytes()
}

fn time_text(csv: &[u8]) -> anyhow::Result<f64> {
    let mut windows = hourly()?;
    let mut seen = 0;
    let begun = Instant::now();
    let mut reader = Reader::new(&TextOptions::default(), TimeZone::UTC, "value")?;
    let mut sensor_registry = nearfield_stages::report::sensors::SensorRegistry::new(Default::default(), false, 100);
    let mut emit = |found: Found<'_>| {
        let Some((sensor, value)) = sensor_registry.id(&found) else { return };
        for (_, traits) in sensor_registry.take_introduced() {
            windows.add_sensor(traits);
        }
        windows.push(Reading { at: found.at, sensor, value }, &mut |w| seen += w.readings());
    };
    reader.push(csv, &mut emit)?;
    reader.end(&mut emit)?;
    windows.finish(&mut |w| seen += w.readings());
    let elapsed = begun.elapsed().as_secs_f64();
    ensure!(seen == FEWER, "{seen} of {FEWER} readings are in windows");
    Ok(elapsed)
}

fn time_store() -> anyhow::Result<f64> {
    let folder = tempfile::tempdir().context("no temporary folder")?;
    let keep_all = Retention { age: Duration::from_secs(86_400 * 365), bytes: 1 << 40 };
    let mut store = Store::open(&folder.path().join("bench.sqlite"), keep_all)?;
    let readings: Vec<Reading> = (0..FEWER)
        .map(|i| Reading { at: Moment(START + i as i64 * 50), sensor: SensorId((i % 50) as u32), value: i as f64 })
        .collect();
    let names: Vec<String> = (0..50).map(|i| format!("sensor {i}")).collect();
    let traits = SensorTraits::default();
    let sensors: Vec<_> = (0..).zip(&names).map(|(i, name)| (SensorId(i), name.as_str(), &traits)).collect();
    let begun = Instant::now();
    store.commit(&sensors, &[])?;
    for batch in readings.chunks(4096) {
        store.commit(&[], batch)?;
    }
    let elapsed = begun.elapsed().as_secs_f64();
    ensure!(store.len()? == FEWER, "the store holds {} of {FEWER} readings", store.len()?);
    Ok(elapsed)
}

/// A day of random values, with luck a spike, a gap or a drift in it.
pub(crate) fn random_day(dice: &mut Dice) -> anyhow::Result<Table> {
    let day = || "1d".parse().map_err(anyhow::Error::msg);
    let plan = WindowPlan::new(day()?, day()?, TimeZone::UTC).map_err(anyhow::Error::msg)?;
    let config = ReportConfig::default();
    let mut windows = Windows::new(WindowsOptions { plan, ..windows_options(&config, false)? });
    let sensors = 1 + dice.roll(6) as usize;
    let traits: Vec<SensorTraits> = NAMES[..sensors]
        .iter()
        .map(|(name, unit)| SensorTraits { name: (*name).into(), unit: (*unit).into(), ..SensorTraits::default() })
        .collect();
    traits.iter().for_each(|t| _ = windows.add_sensor(t.clone()));
    let shapes: Vec<(f64, f64, i64, u64)> = (0..sensors)
        .map(|_| {
            let level = [0.0, -20.0, 21.0, 400.0, 1013.0][dice.roll(5) as usize];
            (level, 0.1 + dice.roll(50) as f64 / 10.0, dice.roll(288) as i64, dice.roll(5))
        })
        .collect();
    let mut closed: Option<ClosedWindow> = None;
    for slot in 0..288 * 2i64 {
        for (i, &(level, noise, when, what)) in shapes.iter().enumerate() {
            let since = slot - 288 - when;
            let extra = match what {
                0 if since == 0 => noise * 60.0,
                1 if (0..20).contains(&since) => continue,
                2 if since > 0 => noise * since as f64 / 10.0,
                _ => 0.0,
            };
            let value = level + noise * (dice.roll(2001) as f64 / 1000.0 - 1.0) + extra;
            let at = Moment(START + slot * 300 * SECOND);
            windows.push(Reading { at, sensor: SensorId(i as u32), value }, &mut |w| closed = Some(w));
        }
    }
    windows.finish(&mut |w| closed = Some(w));
    let window = closed.context("two days make two windows")?;
    Ok(Table::new(&window, &|s| traits[s.sensor.0 as usize].clone(), &TimeZone::UTC))
}

fn word_windows(
    args: &BenchArgs,
    config: &ReportConfig,
    registry: &Registry,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let thread = load_llm(config, registry, None)?.map(|llm| LlmThread::start(llm.weights().clone()).0);
    let composer_of = |options: ComposeOptions| -> anyhow::Result<Compose> {
        let writer = match &thread {
            None => None,
            Some(thread) => {
                let writer = ModelWriter::new(thread.clone(), options, Turns::default())?;
                Some(Box::new(writer) as Box<dyn Writer>)
            }
        };
        Ok(Compose::new(writer, max_report_tokens(config)))
    };
    // The same days with and without guesses from the prompt, in turn.
    let (mut with, mut without) = (
        composer_of(compose_options(config, registry))?,
        composer_of(ComposeOptions { lookahead: 0, ..compose_options(config, registry) })?,
    );
    let mut dice = Dice(3);
    let (mut firsts, mut checked, mut tokens, mut origins) = (Vec::new(), Vec::new(), Tokens::default(), [0usize; 3]);
    let mut slower = Vec::new();
    let windows = WINDOWS * u64::from(args.runs);
    for n in 0..windows {
        let table = random_day(&mut dice)?;
        let time = |composer: &mut Compose| composer.compose(Turn(n + 1), &table, Instant::now(), &mut |_| {});
        let (composed, other) = if n % 2 == 0 {
            let composed = time(&mut with);
            (composed, time(&mut without))
        } else {
            let other = time(&mut without);
            (time(&mut with), other)
        };
        if let Some(failure) = composed.failure.as_ref().or(other.failure.as_ref()) {
            anyhow::bail!("the model could not write: {failure}");
        }
        ensure!(
            composed.sentences == other.sentences,
            "guesses changed a report: {:?}, {:?}",
            composed.sentences,
            other.sentences
        );
        holds(&table, &composed.sentences).map_err(anyhow::Error::msg)?;
        firsts.extend(composed.first_word.map(ms));
        checked.push(ms(composed.checked));
        slower.push(ms(other.checked));
        tokens += composed.tokens;
        for sentence in &composed.sentences {
            origins[match sentence.origin {
                Origin::Written => 0,
                Origin::Regenerated => 1,
                Origin::Computed => 2,
            }] += 1;
        }
    }
    let (first, checked) = (median(firsts), median(checked).unwrap_or_default());
    let slower = median(slower).unwrap_or_default();
    let line = json!({
        "bench": "report", "model": config.llm.model, "windows": windows,
        "first_word_ms": first, "checked_ms": checked, "checked_without_lookahead_ms": slower,
        "tokens": tokens,
        "sentences": {"written": origins[0], "regenerated": origins[1], "computed": origins[2]},
        "wrong_numbers": 0,
    });
    let first = first.map_or("no word".to_owned(), |f| format!("{f:.1} ms to the first word"));
    let text = format!(
        "{windows} random days, {}: {first}, {checked:.1} ms to the checked report, {slower:.1} ms without guesses from \
         the prompt (medians)\n\
         tokens: {tokens}\n\
         sentences: {} as written, {} regenerated, {} computed; wrong numbers: 0",
        config.llm.model, origins[0], origins[1], origins[2]
    );
    emit(args, out, &line, &text)?;
    Ok(())
}

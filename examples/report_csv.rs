//! Reads a CSV file of sensor readings, closes a window each day, and prints the computed sentences of each: `report_csv [FILE.csv]`.

use std::collections::HashMap;

use jiff::tz::TimeZone;
use nearfield_examples::argument_or_asset;
use nearfield_telemetry::anomaly::AnomalyOptions;
use nearfield_telemetry::read::{Found, Reader, TextOptions};
use nearfield_telemetry::sentence::{compute, topics};
use nearfield_telemetry::table::Table;
use nearfield_telemetry::window::{Length, WindowPlan};
use nearfield_telemetry::windows::{Windows, WindowsOptions};
use nearfield_telemetry::{Reading, SensorId, SensorTraits};

fn main() -> anyhow::Result<()> {
    let bytes = std::fs::read(argument_or_asset(1, "telemetry/day.csv"))?;
    let zone = TimeZone::UTC;
    let options = WindowsOptions {
        plan: WindowPlan::new(Length::Days(1), Length::Days(1), zone.clone()).map_err(anyhow::Error::msg)?,
        lateness_seconds: None,
        waiting: 200_000,
        clock_jump_seconds: 7.0 * 86_400.0,
        latest: None,
        distinct: false,
        rereads: false,
        anomalies: AnomalyOptions::default(),
    };
    let mut windows = Windows::new(options);
    let mut sensors: Vec<SensorTraits> = Vec::new();
    let mut ids: HashMap<String, SensorId> = HashMap::new();
    let mut closed = Vec::new();

    // Format, delimiter, header, units and times are inferred from the first lines.
    let mut reader = Reader::new(&TextOptions::default(), zone.clone(), "value")?;
    let mut take = |found: Found<'_>| {
        let sensor = *ids.entry(found.key.to_owned()).or_insert_with(|| {
            let traits = SensorTraits { name: found.key.into(), unit: found.unit.into(), ..SensorTraits::default() };
            sensors.push(traits.clone());
            windows.add_sensor(traits)
        });
        windows.push(Reading { at: found.at, sensor, value: found.value }, &mut |window| closed.push(window));
    };
    reader.push(&bytes, &mut take)?;
    reader.end(&mut take)?;
    windows.finish(&mut |window| closed.push(window));

    for window in closed {
        let table = Table::new(&window, &|summary| sensors[summary.sensor.0 as usize].clone(), &zone);
        println!("{}", table.heading());
        for topic in topics(&table) {
            println!("  {}", compute(&table, topic));
        }
    }
    Ok(())
}

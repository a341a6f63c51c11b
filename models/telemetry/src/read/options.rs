//! How text is to be read, as the configuration says it under `[text]`.

use serde::{Deserialize, Serialize};

use super::{Format, missing};

/// Names of formats and of the systems that export them, each with the format it stands for.
pub(super) const PROFILES: [(&str, Option<Format>); 20] = [
    ("", None),
    ("csv", Some(Format::Table)),
    ("jsonl", Some(Format::JsonLines)),
    ("json", Some(Format::Json)),
    ("home-assistant", None),
    ("zigbee2mqtt", None),
    ("tasmota", None),
    ("esphome", None),
    ("shelly", None),
    ("thingsboard", None),
    ("influx-csv", Some(Format::Table)),
    ("influx-line", Some(Format::Influx)),
    ("senml", None),
    ("toa5", Some(Format::Table)),
    ("grafana", None),
    ("sma", Some(Format::Table)),
    ("prometheus", None),
    ("mosquitto", Some(Format::Messages)),
    ("xlsx", Some(Format::Table)),
    ("rrdtool", Some(Format::Rrd)),
];

/// How text is to be read; what is empty is inferred.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TextOptions {
    /// "csv", "jsonl" or "json"; or a system: "home-assistant", "zigbee2mqtt", "tasmota", "esphome", "shelly", "thingsboard",
    /// "influx-csv", "influx-line", "senml", "toa5", "grafana", "sma", "prometheus", "mosquitto" (mosquitto_sub -v), "xlsx", "rrdtool"; empty: by
    /// the first lines.
    pub format: String,
    /// The encoding, as in "windows-1252"; empty: by the bytes.
    pub encoding: String,
    /// One character between columns; empty: the one by which the lines have a time and the same number of columns.
    pub delimiter: String,
    /// The decimal mark, "." or ","; empty: by the numbers. The report asks for it where 1,200 may be 1200 or 1.2 and no other number
    /// shows which.
    pub decimal: String,
    /// The column or key of the time.
    pub time: String,
    /// The column of the time of day, where the date has one of its own; empty: by names and cells.
    pub clock: String,
    /// The time's form in strftime's letters, as in "%m/%d/%Y %I:%M %p"; empty: any of the usual forms. The report asks for it where
    /// 03/04/2026 may be March or April.
    pub time_format: String,
    /// When the first row was, where the column of times counts from a start (`Elapsed (s)`), as in "2026-11-01 08:00"; its header tells
    /// the unit, else it is seconds.
    pub start: String,
    /// Numbers that stand for no value, as in "-99, 9999". -999 and the like do so of themselves where all other values lie far above, or
    /// where the unit can't have them.
    pub missing: String,
    /// The column or key of the sensor's name, where each line holds one reading.
    pub sensor: String,
    /// The column or key of the value, where each line holds one reading.
    pub value: String,
}

impl TextOptions {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        if !PROFILES.iter().any(|(name, _)| *name == self.format) {
            let names: Vec<&str> = PROFILES.iter().map(|(name, _)| *name).filter(|n| !n.is_empty()).collect();
            return Err(format!(
                "text.format is {:?}: write \"csv\" or \"jsonl\" or one of {}, or leave it empty",
                self.format,
                names[2..].join(", ")
            ));
        }
        if self.delimiter.chars().count() > 1 {
            return Err("text.delimiter must be one character".to_owned());
        }
        if !matches!(self.decimal.as_str(), "" | "." | ",") {
            return Err(format!("text.decimal is {:?}: write \".\" or \",\", or leave it empty", self.decimal));
        }
        if missing::numbers(&self.missing).is_none() {
            return Err(format!("text.missing is {:?}: write numbers with commas between them", self.missing));
        }
        if self.sensor.is_empty() != self.value.is_empty() {
            return Err("text.sensor and text.value belong together: give both or none".to_owned());
        }
        Ok(())
    }
}

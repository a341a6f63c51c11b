//! The names of columns: what each one is called, its unit, and the part it plays.

use super::titles;
use crate::unit;

pub(super) use crate::kind::names_direction;

pub(super) const TIME_NAMES: &[&str] = &[
    "timestamp",
    "time",
    "datetime",
    "date_time",
    "date",
    "ts",
    "t",
    "at",
    "when",
    "last_updated",
    "last_changed",
    "zeit",
    "_time",
    "zeitstempel",
    "datum",
    "uhrzeit",
    "heure",
    "fecha",
    "hora",
    "zeitpunkt",
    "date/time",
    "time stamp",
    "date time",
    "datum/uhrzeit",
    "tmstamp",
    "received_at",
    "created_at",
    "recorded_at",
    "measured_at",
    "last_seen",
    "utc",
    "utc_time",
    "time_utc",
    "timestamp_utc",
    "datetime_utc",
    "date_utc",
    "dateutc",
];
pub(super) const SENSOR_NAMES: &[&str] = &[
    "sensor",
    "sensor_id",
    "entity_id",
    "name",
    "id",
    "topic",
    "key",
    "device",
    "metric",
    "_field",
    "channel",
    "tag",
    "parameter",
    "variable",
    "location",
    "series",
    "statistic_id",
    "device_id",
    "measurement_name",
    "register",
];
pub(super) const VALUE_NAMES: &[&str] =
    &["value", "state", "reading", "val", "_value", "measurement", "wert", "messwert", "valeur", "valor"];
pub(super) const UNIT_NAMES: &[&str] = &["unit", "unit_of_measurement", "units", "einheit", "uom"];
/// Columns that tell whose the row is, where each row holds several readings.
const DEVICE_NAMES: &[&str] = &[
    "device",
    "device_id",
    "deviceid",
    "device_name",
    "devicename",
    "dev_id",
    "dev_eui",
    "deveui",
    "node",
    "node_id",
    "nodeid",
    "station",
    "station_id",
    "stations_id",
    "nmi",
    "room",
    "sensor",
    "sensor_id",
    "sensorid",
    "sensor_name",
    "entity_id",
    "host",
    "mac",
    "serial",
    "serial_number",
    "meter",
    "meter_id",
    "site",
    "zone",
    "location",
    "name",
    "id",
    "topic",
    "gerät",
    "raum",
    "standort",
    "sensor_type",
    "thing",
    "asset",
    "unit_id",
    "tag",
    "channel",
    "house",
    "building",
    "floor",
];
fn is_one(names: &[&str], key: &str) -> bool {
    names.iter().any(|n| key.eq_ignore_ascii_case(n) || n.eq(&key.to_lowercase()))
}

/// Names of devices as programs join them: `sensor_index`, `sensorIndex` and `Sensor Index` are one.
const DEVICE_IDS: &[&str] = &[
    "sensorindex",
    "sensorid",
    "sensorname",
    "clientid",
    "deviceid",
    "devicename",
    "deviceserial",
    "serialnumber",
    "serialno",
    "loggerid",
    "loggername",
    "probeid",
    "channelid",
    "moduleid",
    "slaveid",
    "nodeid",
    "nodename",
    "stationid",
    "stationsid",
    "stationname",
    "meterid",
    "meternumber",
    "locationid",
    "locationname",
    "roomid",
    "roomname",
    "zoneid",
    "siteid",
    "sitename",
    "assetid",
    "thingid",
    "machineid",
    "connectiondeviceid",
    "macaddress",
    "deveui",
    "hostname",
    "imei",
];

/// Whether a column of this name tells a device.
pub(super) fn names_device(key: &str) -> bool {
    is_one(DEVICE_NAMES, key) || names_device_id(key)
}

/// Whether a name is that of a device's number or name, however its words are joined.
pub(super) fn names_device_id(key: &str) -> bool {
    key.len() <= 64 && DEVICE_IDS.contains(&joined(key).as_str())
}

/// A name in small letters, without what parts its words.
pub(super) fn joined(key: &str) -> String {
    key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether the last word of a name may be that of a number which tells things apart.
pub(super) fn may_number(key: &str) -> bool {
    const LAST: &[&str] = &[
        "id", "index", "idx", "no", "nr", "number", "num", "addr", "address", "serial", "sensor", "node", "channel",
        "ch", "port", "probe", "slave", "module", "device", "station", "room", "zone", "meter", "inverter", "logger",
        "box", "kanal", "nummer",
    ];
    let lower = key.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).rfind(|w| !w.is_empty()).is_some_and(|w| LAST.contains(&w))
}

/// Whether a column of this name holds nothing but a time.
pub(super) fn names_time(key: &str) -> bool {
    is_one(TIME_NAMES, key)
}

/// Whether a column of this name tells when an interval began or ended.
pub(super) fn names_end(key: &str) -> bool {
    const ENDS: &[&str] =
        &["begin", "start", "end", "stop", "from", "to", "until", "beginn", "anfang", "ende", "von", "bis"];
    let lower = key.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let is_end = |word: &&str| {
        let rest = word.strip_prefix("start").or_else(|| word.strip_prefix("end"));
        ENDS.contains(word) || rest.is_some_and(names_time)
    };
    let is_time = |word: &&str| is_end(word) || names_time(word) || matches!(*word, "at" | "local");
    words.iter().any(is_end) && words.iter().all(is_time)
}

/// A column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// What its sensor is called in the store; unique in the header.
    pub key: String,
    /// What stands in the header.
    pub title: String,
    /// Its unit; empty: none.
    pub unit: String,
}

/// `Temperature (°C)`, `temp [°C]`, `Humidity, %`, `Temp / °C`, `Power in kW`: the key and the unit.
pub(super) fn column(field: &str) -> Column {
    let mut title = field.trim();
    // HOBO loggers: `Temp, °C (LGR S/N: 10, SEN S/N: 10, LBL: hall)`.
    let mut label = "";
    if let Some((before, inner)) = title.strip_suffix(')').and_then(|t| t.rsplit_once(" (LGR S/N: ")) {
        label = inner.rsplit_once("LBL: ").map_or("", |(_, label)| label.trim());
        title = before.trim_end();
    }
    let (key, unit) = titles::apart(title);
    let mut found = Column { key: key.into_owned(), title: String::new(), unit: unit::tidy(unit).to_owned() };
    found.unit = unit::of_name(&found.key, &found.unit).to_owned();
    if !label.is_empty() {
        found.key = format!("{label} {}", found.key);
    }
    if found.unit.is_empty() {
        implied_unit(&found.key).clone_into(&mut found.unit);
    }
    found.title = field.trim().to_owned();
    found
}

/// The unit that a name has grown together with (`tempC`, `batteryPct`), or that can be no other (`Relative_Humidity`).
pub(super) fn implied_unit(key: &str) -> &'static str {
    let lower = key.to_ascii_lowercase();
    let bare = lower.replace(['_', ' ', '-', '.'], "");
    let is_temperature = |rest: &str| rest.ends_with("temp") || rest.ends_with("temperature");
    match key.chars().next_back() {
        Some('C') if is_temperature(&bare[..bare.len() - 1]) => return "°C",
        Some('F') if is_temperature(&bare[..bare.len() - 1]) => return "°F",
        Some('c') if lower.ends_with("temp_c") || lower.ends_with("temperature_c") => return "°C",
        Some('f') if lower.ends_with("temp_f") || lower.ends_with("temperature_f") => return "°F",
        Some('V' | 'W') if is_last_word_after_quantity(&lower) => return if key.ends_with('V') { "V" } else { "W" },
        _ => {}
    }
    let is_share = bare.ends_with("pct") || bare.ends_with("percent") || bare.ends_with("relativehumidity");
    if is_share { "%" } else { "" }
}

/// `min v`, `active power w`: the letter stands behind a word that has that unit.
fn is_last_word_after_quantity(lower: &str) -> bool {
    let Some((before, letter)) = lower.rsplit_once(' ') else { return false };
    let words: &[&str] = match letter {
        "v" => &["min", "max", "avg", "voltage", "battery"],
        "w" => &["min", "max", "avg", "power", "load"],
        _ => return false,
    };
    before.rsplit(' ').next().is_some_and(|word| words.contains(&word))
}

/// The columns of a header, no two with the same key.
pub(super) fn columns<'a>(fields: impl Iterator<Item = &'a str>) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    let mut taken = std::collections::HashSet::new();
    let fields: Vec<&str> = fields.collect();
    let lettered = titles::numbered(&fields);
    for field in &fields {
        let mut found = column(field);
        // `L (A)`, `L (B)`: letters that number a row of things are no units.
        if titles::is_numbered(field, &lettered) {
            (found.key, found.unit) = (field.trim().to_owned(), String::new());
        }
        if !taken.insert(found.key.clone()) {
            // `Temp [°F],Temp(degC)`: what stands in the header tells them apart; `a,a,a`: their number does.
            let titled = found.title.clone();
            if titled != found.key && taken.insert(titled.clone()) {
                found.key = titled;
            } else {
                let numbered = (2..).map(|n| format!("{} {n}", found.key)).find(|k| !taken.contains(k));
                found.key = numbered.expect("there are more numbers than columns");
                taken.insert(found.key.clone());
            }
        }
        columns.push(found);
    }
    columns
}

/// The place of the first of `names` that is there.
pub(super) fn place(columns: &[Column], names: &[&str]) -> Option<usize> {
    names.iter().find_map(|n| {
        columns.iter().position(|c| c.key.eq_ignore_ascii_case(n) || (!n.is_ascii() && c.key.to_lowercase() == *n))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_units_are_told_apart_as_people_write_them() {
        for (title, key, unit) in [
            ("Temperature (°C)", "Temperature", "°C"),
            ("temp [°F]", "temp", "°F"),
            ("Temp(degC)", "Temp", "°C"),
            ("Humidity, %", "Humidity", "%"),
            ("Temp / °C", "Temp", "°C"),
            ("Power in kW", "Power", "kW"),
            ("Leistung (W)", "Leistung", "W"),
            ("Temp °C", "Temp", "°C"),
            ("Temp - °C", "Temp", "°C"),
            ("Energy_kWh", "Energy_kWh", "kWh"),
            ("PM2.5", "PM2.5", ""),
            ("Temperatur", "Temperatur", ""),
            ("Wind speed (m/s)", "Wind speed", "m/s"),
            ("Left/Right", "Left/Right", ""),
            ("Voltage, V", "Voltage", "V"),
            ("water_level", "water_level", ""),
            ("Temp, °C (LGR S/N: 1, SEN S/N: 1)", "Temp", "°C"),
            ("RH, % (LGR S/N: 1, SEN S/N: 1, LBL: attic)", "attic RH", "%"),
            ("tempC", "tempC", "°C"),
            ("outdoor_temp_f", "outdoor_temp_f", "°F"),
            ("batteryPct", "batteryPct", "%"),
            ("Relative_Humidity", "Relative_Humidity", "%"),
            ("Min V", "Min V", "V"),
            ("Phase V", "Phase V", ""),
            ("Wind Direction(º)", "Wind Direction", "°"),
            ("Windrichtung (Grad)", "Windrichtung", "°"),
            ("wind_dir (degrees)", "wind_dir", "°"),
            ("Vorlauf (Grad)", "Vorlauf", "°C"),
            ("Temp (F)", "Temp", "°F"),
            ("Temp (C)", "Temp", "°C"),
            ("Dew Point (F)", "Dew Point", "°F"),
            ("Capacitor (F)", "Capacitor", "F"),
            ("Current (A)", "Current", "A"),
            ("Phase 1 (A)", "Phase 1", "A"),
            ("Energy (kWh)", "Energy", "kWh"),
            ("Price (EUR/MWh)", "Price", "EUR/MWh"),
            ("Radon (Bq/m³)", "Radon", "Bq/m³"),
            ("Level (m)", "Level", "m"),
            ("Voltage (A)", "Voltage (A)", ""),
            ("Voltage (mA)", "Voltage (mA)", ""),
            ("Current (L1)", "Current (L1)", ""),
            ("Level (tank)", "Level (tank)", ""),
            ("Energy (day)", "Energy (day)", ""),
            ("Temp (living room)", "Temp (living room)", ""),
            ("Temp (h)", "Temp (h)", ""),
            ("Flow (m)", "Flow (m)", ""),
            ("Flow (°C)", "Flow", "°C"),
            ("Pressure (%)", "Pressure", "%"),
            ("Frequency (rpm)", "Frequency", "rpm"),
            ("Sensor J", "Sensor J", ""),
            ("Power (T)", "Power (T)", ""),
            ("Active energy Wh (A)", "Active energy (A)", "Wh"),
            ("Temp °C (attic)", "Temp (attic)", "°C"),
            ("\u{b0}C [Kanal 1]", "Kanal 1", "°C"),
            ("%rF [Kanal 2]", "Kanal 2", "%"),
            ("gust km/h", "gust", "km/h"),
            ("wind m/s", "wind", "m/s"),
            ("flow l/min", "flow", "l/min"),
            ("price ct/kWh", "price", "ct/kWh"),
            ("Preis EUR/MWh", "Preis", "EUR/MWh"),
            ("wind_km/h", "wind", "km/h"),
            ("Glucose mg/dL", "Glucose", "mg/dL"),
            ("Temp/°C", "Temp", "°C"),
            ("In/Out", "In/Out", ""),
            ("kWh", "kWh", "kWh"),
            ("kWh (day)", "kWh (day)", "kWh"),
            ("pH", "pH", ""),
            ("°C", "°C", "°C"),
            ("km/h", "km/h", "km/h"),
            ("C", "C", ""),
            ("in", "in", ""),
            ("Rain Rate(mm/hr)", "Rain Rate", "mm/h"),
            ("\u{20ac}C", "\u{20ac}C", ""),
        ] {
            let found = column(title);
            assert_eq!((found.key.as_str(), found.unit.as_str()), (key, unit), "{title}");
        }
    }

    #[test]
    fn no_two_columns_have_the_same_key() {
        let keys = |header: &[&str]| columns(header.iter().copied()).into_iter().map(|c| c.key).collect::<Vec<_>>();
        assert_eq!(keys(&["time", "a", "a", "a"]), ["time", "a", "a 2", "a 3"]);
        assert_eq!(keys(&["Temp [°F]", "Temp(degC)"]), ["Temp", "Temp(degC)"]);
    }

    #[test]
    fn letters_that_number_things_are_no_units() {
        let units =
            |header: &[&str]| columns(header.iter().copied()).into_iter().map(|c| (c.key, c.unit)).collect::<Vec<_>>();
        let found = units(&["Pump (A)", "Pump (B)"]);
        assert_eq!(found, [("Pump (A)".to_owned(), String::new()), ("Pump (B)".to_owned(), String::new())]);
        let found = units(&["Pump (A)", "Pump (V)", "Pump (W)"]);
        assert_eq!(found.iter().map(|(_, unit)| unit.as_str()).collect::<Vec<_>>(), ["A", "V", "W"]);
    }
}

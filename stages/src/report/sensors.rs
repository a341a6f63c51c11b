//! The sensors of a run: each key gets a number when it is first heard of, a readable name that no other has, and what the
//! configuration knows of it. Their number is bounded.

use std::collections::{BTreeMap, HashMap, HashSet};

use nearfield_telemetry::check::readable_name;
use nearfield_telemetry::kind::Kind;
use nearfield_telemetry::read::Found;
use nearfield_telemetry::{SensorId, SensorTraits, unit};

/// Longer keys are no sensor's: ten thousand of them would not fit into memory.
const MAX_KEY_BYTES: usize = 1024;

/// The sensors.
#[derive(Debug)]
pub struct SensorRegistry {
    known: BTreeMap<String, SensorTraits>,
    only_known: bool,
    most: usize,
    ids: HashMap<String, Known>,
    names: HashSet<String>,
    introduced: Vec<(String, SensorTraits)>,
}

/// A sensor that is known.
#[derive(Debug)]
struct Known {
    id: SensorId,
    /// The unit of its readings; empty: none, or the configuration says what it is.
    unit: String,
}

/// A unit as it is kept: bounded, and without what is a command somewhere.
fn tidy_unit(unit: &str) -> String {
    if unit::is_known(unit) {
        return unit::tidy(unit).to_owned();
    }
    unit.chars().filter(|c| is_of_units(*c)).take(12).collect::<String>().trim().to_owned()
}

impl SensorRegistry {
    /// At most `most` sensors. `known` is what the configuration says of some; with `only_known` all others are passed over.
    pub fn new(known: BTreeMap<String, SensorTraits>, only_known: bool, most: usize) -> SensorRegistry {
        SensorRegistry { known, only_known, most, ids: HashMap::new(), names: HashSet::new(), introduced: Vec::new() }
    }

    /// The number of the sensor of a reading, and its value in the sensor's unit; `None` when there is no room for it or it is not
    /// wanted. What comes in a unit of another quantity is of a sensor of its own.
    pub fn id(&mut self, found: &Found<'_>) -> Option<(SensorId, f64)> {
        let key = found.key;
        let found = &Found { unit: unit::of_name(key, found.unit), ..*found };
        if let Some(known) = self.ids.get(key) {
            if found.unit == known.unit || found.unit.is_empty() || known.unit.is_empty() {
                return Some((known.id, found.value));
            }
            let unit = tidy_unit(found.unit);
            if unit.is_empty() || unit::is_same(&unit, &known.unit) {
                return Some((known.id, found.value));
            }
            if let Some(value) = unit::convert(found.value, &unit, &known.unit, false) {
                return Some((known.id, value));
            }
            let key = format!("{key} [{unit}]");
            let name = if found.name.is_empty() { String::new() } else { format!("{} in {unit}", found.name) };
            return self.id(&Found { key: &key, name: &name, ..*found });
        }
        let mut traits = self.admits(key)?;
        let name = match (traits.name.is_empty(), found.name.is_empty()) {
            (false, _) => readable_name(&traits.name),
            (true, false) => readable_name(found.name),
            (true, true) => friendly_name(key),
        };
        traits.name = self.unique(name);
        let is_said = !traits.unit.is_empty();
        if !is_said {
            traits.unit = tidy_unit(found.unit);
        }
        if traits.kind.is_none() {
            traits.kind = found.kind.or_else(|| Kind::guess(&traits.name, &traits.unit));
        }
        if traits.states.is_empty() && found.states.iter().any(|s| !s.is_empty()) {
            traits.states = found.states.map(str::to_owned).to_vec();
        }
        Some((self.add(key, traits, is_said), found.value))
    }

    /// The number of a sensor that an earlier run has stored with these traits.
    pub fn stored(&mut self, key: &str, stored: &SensorTraits) -> Option<SensorId> {
        if let Some(known) = self.ids.get(key) {
            return Some(known.id);
        }
        let mut traits = self.admits(key)?;
        let is_said = !traits.unit.is_empty();
        let name = if traits.name.is_empty() { friendly_name(key) } else { readable_name(&traits.name) };
        // A name that the source told is in the store alone.
        let told = readable_name(&stored.name);
        traits.name = self.unique(if traits.name.is_empty() && !stored.name.is_empty() { told } else { name });
        if traits.unit.is_empty() {
            traits.unit.clone_from(&stored.unit);
        }
        traits.kind = traits.kind.or(stored.kind).or_else(|| Kind::guess(&traits.name, &traits.unit));
        if traits.states.is_empty() {
            traits.states.clone_from(&stored.states);
        }
        Some(self.add(key, traits, is_said))
    }

    /// What the configuration knows of a new sensor, if there is room for it and it is wanted.
    fn admits(&self, key: &str) -> Option<SensorTraits> {
        if self.ids.len() >= self.most
            || key.len() > MAX_KEY_BYTES
            || (self.only_known && !self.known.contains_key(key))
        {
            return None;
        }
        Some(self.known.get(key).cloned().unwrap_or_default())
    }

    fn add(&mut self, key: &str, traits: SensorTraits, is_said: bool) -> SensorId {
        let id = SensorId(self.ids.len() as u32);
        let unit = if is_said { String::new() } else { traits.unit.clone() };
        self.ids.insert(key.to_owned(), Known { id, unit });
        self.introduced.push((key.to_owned(), traits));
        id
    }

    /// Whether the configuration passes this sensor over, so that leaving it out is no loss.
    pub fn is_unwanted(&self, key: &str) -> bool {
        self.only_known && !self.known.contains_key(key)
    }

    /// The sensors that were introduced since this was last asked.
    pub fn take_introduced(&mut self) -> Vec<(String, SensorTraits)> {
        std::mem::take(&mut self.introduced)
    }

    fn unique(&mut self, name: String) -> String {
        let mut candidate = name.clone();
        let mut n = 1;
        while !self.names.insert(candidate.to_lowercase()) {
            n += 1;
            candidate = format!("{name} no {n}");
        }
        candidate
    }
}

/// Whether `c` may stand in a unit. A unit goes into sentences, pages of HTML and Markdown, and plots: what would be a command
/// there, or turn the direction of writing, is left out.
fn is_of_units(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '<' | '>' | '&' | '|' | '`' | '*' | '_' | '[' | ']' | '\\')
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Words that headers write with a capital and sentences without. Others keep theirs: `Temperatur` is a German noun.
const COMMON: &[&str] = &[
    "Temperature",
    "Temp",
    "Humidity",
    "Pressure",
    "Power",
    "Energy",
    "Voltage",
    "Current",
    "Light",
    "Occupancy",
    "Speed",
    "Wind",
    "Rain",
    "Level",
    "Flow",
    "Value",
    "Sensor",
    "Time",
    "Battery",
    "Signal",
    "Kitchen",
    "Hall",
    "Room",
    "Indoor",
    "Outdoor",
    "Outside",
    "Inside",
    "Living",
    "Bedroom",
    "Bathroom",
    "Garage",
    "Attic",
    "Cellar",
    "Basement",
    "Garden",
    "Door",
    "Window",
    "Motion",
    "Lamp",
    "Switch",
    "Pump",
    "Boiler",
    "Heating",
    "Water",
    "Gas",
    "Total",
    "Average",
    "Count",
    "Counter",
    "Meter",
    "Load",
    "Usage",
    "Consumption",
    "Production",
    "Solar",
    "Grid",
    "Export",
    "Import",
    "Air",
    "Soil",
    "Moisture",
    "Dew",
    "Point",
    "Direction",
    "Brightness",
    "Illuminance",
    "Noise",
    "Sound",
    "Frequency",
    "Today",
    "Yesterday",
    "Office",
    "Machine",
    "Motor",
    "Fan",
    "Valve",
    "Tank",
    "Inlet",
    "Outlet",
    "Supply",
    "Return",
    "Ambient",
    "Relative",
    "Absolute",
    "Humidityratio",
    "State",
    "Status",
    "Link",
    "Quality",
    "And",
    "Of",
    "The",
    "Of",
];

/// `home/kitchen/temperature` and `sensor.kitchen_temperature` become `kitchen temperature`; abbreviations and the nouns of other
/// languages keep their capitals.
fn friendly_name(key: &str) -> String {
    let parts: Vec<&str> = key.split('/').filter(|p| !p.is_empty()).collect();
    let last = match parts.as_slice() {
        [.., place, what] => format!("{place} {what}"),
        _ => key.to_owned(),
    };
    const DOMAINS: [&str; 10] = [
        "sensor.",
        "binary_sensor.",
        "climate.",
        "switch.",
        "light.",
        "cover.",
        "lock.",
        "person.",
        "device_tracker.",
        "fan.",
    ];
    let bare = DOMAINS.iter().find_map(|d| last.strip_prefix(d)).unwrap_or(&last);
    let name = readable_name(bare);
    let words = name.split(' ').map(|word| if COMMON.contains(&word) { word.to_lowercase() } else { word.to_owned() });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use nearfield_telemetry::Moment;

    use super::*;

    fn found<'a>(key: &'a str, unit: &'a str) -> Found<'a> {
        Found { unit, ..Found::number(key, Moment(0), 0.0) }
    }

    #[test]
    fn keys_become_names_that_people_read_and_that_differ() {
        let mut sensor_registry = SensorRegistry::new(BTreeMap::new(), false, 10);
        let keys = [
            "home/kitchen/temperature",
            "sensor.kitchen_temperature",
            "CO2",
            "Temperature",
            "a\nb: c",
            "PM2.5",
            "Temperatur",
        ];
        for key in keys {
            sensor_registry.id(&found(key, "")).unwrap();
        }
        let names: Vec<String> = sensor_registry.take_introduced().into_iter().map(|(_, t)| t.name).collect();
        assert_eq!(
            names,
            ["kitchen temperature", "kitchen temperature no 2", "CO2", "temperature", "a b c", "PM2.5", "Temperatur"]
        );
        assert!(sensor_registry.take_introduced().is_empty());
    }

    #[test]
    fn keys_and_units_are_bounded_and_cannot_be_commands_in_a_page() {
        let mut sensor_registry = SensorRegistry::new(BTreeMap::new(), false, 10);
        assert_eq!(sensor_registry.id(&found(&"k".repeat(1 << 20), "")), None);
        for unit in ["<b onload=x>", "a|b`*_", "\u{202e}C\u{1b}[2J", "µg/m³", "°C", "m·s⁻¹", "%"] {
            sensor_registry.id(&found(unit, unit)).unwrap();
        }
        let units: Vec<String> = sensor_registry.take_introduced().into_iter().map(|(_, t)| t.unit).collect();
        assert_eq!(units, ["b onload=x", "ab", "C2J", "µg/m³", "°C", "m·s⁻¹", "%"]);
    }

    #[test]
    fn the_number_of_sensors_is_bounded() {
        let mut sensor_registry = SensorRegistry::new(BTreeMap::new(), false, 2);
        assert_eq!(sensor_registry.id(&found("a", "")).map(|i| i.0.0), Some(0));
        assert_eq!(sensor_registry.id(&found("b", "")).map(|i| i.0.0), Some(1));
        assert_eq!(sensor_registry.id(&found("c", "")), None);
        assert_eq!(sensor_registry.id(&found("a", "")).map(|i| i.0.0), Some(0));
    }

    #[test]
    fn units_of_one_quantity_are_turned_into_one_and_others_are_kept_apart() {
        let mut sensors = SensorRegistry::new(BTreeMap::new(), false, 10);
        let mut told = |value: f64, unit: &str| {
            let (id, value) = sensors.id(&Found { value, ..found("hall", unit) }).unwrap();
            (id.0, (value * 1e6).round() / 1e6)
        };
        assert_eq!(told(20.0, "°C"), (0, 20.0));
        assert_eq!(told(68.0, "°F"), (0, 20.0));
        assert_eq!(told(21.0, "degrees Celsius"), (0, 21.0));
        assert_eq!(told(45.0, "%"), (1, 45.0));
        assert_eq!(told(21.5, ""), (0, 21.5));
        assert_eq!(told(46.0, "%"), (1, 46.0));
        // Degrees of a direction are no temperature's, and a bare F behind a temperature is one.
        sensors.id(&found("vane/wind_dir", "degrees")).unwrap();
        sensors.id(&found("vane/wind_dir", "degrees")).unwrap();
        sensors.id(&found("attic temperature", "F")).unwrap();
        let traits: Vec<_> = sensors.take_introduced().into_iter().map(|(_, t)| (t.unit, t.kind)).collect();
        assert_eq!(traits[2], ("°".to_owned(), Some(Kind::Angle)));
        assert_eq!((traits[3].0.as_str(), traits.len()), ("°F", 4));
    }
}

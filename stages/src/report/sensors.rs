//! The sensors of a run: each key gets a number when it is first heard of, a readable name that no other has, and what the
//! configuration knows of it. Their number is bounded.

use std::collections::{BTreeMap, HashMap, HashSet};

use nearfield_telemetry::check::readable_name;
use nearfield_telemetry::{SensorId, SensorTraits};

/// Longer keys are no sensor's: ten thousand of them would not fit into memory.
const MAX_KEY_BYTES: usize = 1024;

/// The sensors.
#[derive(Debug)]
pub struct SensorRegistry {
    known: BTreeMap<String, SensorTraits>,
    only_known: bool,
    most: usize,
    ids: HashMap<String, SensorId>,
    names: HashSet<String>,
    introduced: Vec<(String, SensorTraits)>,
}

impl SensorRegistry {
    /// At most `most` sensors. `known` is what the configuration says of some; with `only_known` all others are passed over.
    pub fn new(known: BTreeMap<String, SensorTraits>, only_known: bool, most: usize) -> SensorRegistry {
        SensorRegistry { known, only_known, most, ids: HashMap::new(), names: HashSet::new(), introduced: Vec::new() }
    }

    /// The number of a sensor; `None` when there is no room for it or it is not wanted. `unit` is what the input says.
    pub fn id(&mut self, key: &str, unit: &str) -> Option<SensorId> {
        if let Some(id) = self.ids.get(key) {
            return Some(*id);
        }
        if self.ids.len() >= self.most
            || key.len() > MAX_KEY_BYTES
            || (self.only_known && !self.known.contains_key(key))
        {
            return None;
        }
        let mut traits = self.known.get(key).cloned().unwrap_or_default();
        let name = if traits.name.is_empty() { friendly_name(key) } else { readable_name(&traits.name) };
        traits.name = self.unique(name);
        if traits.unit.is_empty() {
            traits.unit = unit.chars().filter(|c| is_of_units(*c)).take(12).collect::<String>().trim().to_owned();
        }
        let id = SensorId(self.ids.len() as u32);
        self.ids.insert(key.to_owned(), id);
        self.introduced.push((key.to_owned(), traits));
        Some(id)
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

/// `home/kitchen/temperature` and `sensor.kitchen_temperature` become `kitchen temperature`; abbreviations keep their capitals.
fn friendly_name(key: &str) -> String {
    let parts: Vec<&str> = key.split('/').filter(|p| !p.is_empty()).collect();
    let last = match parts.as_slice() {
        [.., place, what] => format!("{place} {what}"),
        _ => key.trim_start_matches("sensor.").to_owned(),
    };
    let name = readable_name(&last);
    let words = name.split(' ').map(|word| {
        let is_plain = word.chars().skip(1).all(|c| c.is_lowercase());
        if is_plain { word.to_lowercase() } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_names_that_people_read_and_that_differ() {
        let mut sensor_registry = SensorRegistry::new(BTreeMap::new(), false, 10);
        for key in ["home/kitchen/temperature", "sensor.kitchen_temperature", "CO2", "Temperature", "a\nb: c"] {
            sensor_registry.id(key, "").unwrap();
        }
        let names: Vec<String> = sensor_registry.take_introduced().into_iter().map(|(_, t)| t.name).collect();
        assert_eq!(names, ["kitchen temperature", "kitchen temperature no 2", "CO2", "temperature", "a b c"]);
        assert!(sensor_registry.take_introduced().is_empty());
    }

    #[test]
    fn keys_and_units_are_bounded_and_cannot_be_commands_in_a_page() {
        let mut sensor_registry = SensorRegistry::new(BTreeMap::new(), false, 10);
        assert_eq!(sensor_registry.id(&"k".repeat(1 << 20), ""), None);
        for unit in ["<b onload=x>", "a|b`*_", "\u{202e}C\u{1b}[2J", "µg/m³", "°C", "m·s⁻¹", "%"] {
            sensor_registry.id(unit, unit).unwrap();
        }
        let units: Vec<String> = sensor_registry.take_introduced().into_iter().map(|(_, t)| t.unit).collect();
        assert_eq!(units, ["b onload=x", "ab", "C2J", "µg/m³", "°C", "m·s⁻¹", "%"]);
    }

    #[test]
    fn the_number_of_sensors_is_bounded() {
        let mut sensor_registry = SensorRegistry::new(BTreeMap::new(), false, 2);
        assert_eq!(sensor_registry.id("a", "").map(|i| i.0), Some(0));
        assert_eq!(sensor_registry.id("b", "").map(|i| i.0), Some(1));
        assert_eq!(sensor_registry.id("c", ""), None);
        assert_eq!(sensor_registry.id("a", "").map(|i| i.0), Some(0));
    }
}

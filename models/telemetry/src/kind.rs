//! What kind of thing a sensor tells: a quantity, a total that grows, a state, a direction. From what its source says
//! (`device_class`, `state_class`), from its unit, its name and its values.

use serde::{Deserialize, Serialize};

use crate::SensorTraits;
use crate::course::Growth;

/// The kind of a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A quantity: temperature, power.
    Measurement,
    /// A total that may go down too: a gas tank, a net meter.
    Total,
    /// A total that only grows, and begins anew at a reset: an energy meter.
    TotalIncreasing,
    /// Two states: a door, a switch.
    Binary,
    /// Several states: the mode of a heat pump.
    States,
    /// A share of a whole: humidity.
    Percentage,
    /// The charge of a battery.
    Battery,
    /// The strength of a radio link.
    Signal,
    /// A direction in degrees.
    Angle,
    /// What came since the reading before, as of a meter read every half hour: its sum counts.
    Amount,
}

impl Kind {
    /// As tables print it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Measurement => "measurement",
            Kind::Total => "total",
            Kind::TotalIncreasing => "increasing total",
            Kind::Binary => "on/off state",
            Kind::States => "states",
            Kind::Percentage => "percentage",
            Kind::Battery => "battery",
            Kind::Signal => "signal",
            Kind::Angle => "direction",
            Kind::Amount => "amounts",
        }
    }

    /// Whether its values are words.
    pub fn is_state(self) -> bool {
        matches!(self, Kind::Binary | Kind::States)
    }

    /// Whether its consumption counts, not its level.
    pub fn is_total(self) -> bool {
        matches!(self, Kind::Total | Kind::TotalIncreasing)
    }

    /// The kind of a sensor of numbers by its name and unit; `None` where only its values can tell.
    pub fn guess(name: &str, unit: &str) -> Option<Kind> {
        let lower = name.to_lowercase();
        let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
        let has = |wanted: &[&str]| words.iter().any(|w| wanted.contains(w));
        if unit == "%" && (has(&["battery", "batterie", "akku", "soc", "batt"])) {
            return Some(Kind::Battery);
        }
        if matches!(unit, "dBm") || has(&["linkquality", "rssi", "lqi", "signal"]) {
            return Some(Kind::Signal);
        }
        if matches!(unit, "°" | "deg") || (matches!(unit, "" | "degrees") && names_direction(name)) {
            return Some(Kind::Angle);
        }
        if unit == "%" {
            return Some(Kind::Percentage);
        }
        let is_quantity = !unit.is_empty() && !accumulates(unit) && !is_rain(name, unit);
        is_quantity.then_some(Kind::Measurement)
    }

    /// Whether a name says that its values are counted up.
    pub fn names_total(name: &str) -> bool {
        const WORDS: &[&str] = &[
            "total",
            "counter",
            "count",
            "energy",
            "meter",
            "odometer",
            "uptime",
            "pulses",
            "pulse",
            "consumption",
            "yield",
            "zähler",
            "zaehler",
            "zählerstand",
            "energie",
            "verbrauch",
            "import",
            "export",
            "kwh",
            "wh",
            "rain",
            "gas",
            "water",
            "wasser",
            "wasserzähler",
            "compteur",
            "contador",
            "contatore",
            "meterstand",
            "index",
            "eau",
            "agua",
            "gaz",
        ];
        /// What a device that counts energy measures too: `ENERGY Factor`, `energy meter voltage`.
        const OTHERS: &[&str] = &[
            "factor",
            "phi",
            "period",
            "frequency",
            "voltage",
            "current",
            "power",
            "temperature",
            "temp",
            "humidity",
            "pressure",
            "rate",
            "price",
            "level",
            "state",
            "status",
            "quality",
            "signal",
            "direction",
        ];
        let lower = name.to_lowercase();
        let words = || lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
        words().any(|w| WORDS.contains(&w) || w.ends_with("total"))
            && !words().next_back().is_some_and(|w| OTHERS.contains(&w))
    }

    /// What Home Assistant says of a sensor.
    pub fn of_home_assistant(device_class: &str, state_class: &str, unit: &str) -> Option<Kind> {
        match (state_class, device_class) {
            ("total_increasing", _) => Some(Kind::TotalIncreasing),
            ("total", _) => Some(Kind::Total),
            ("measurement_angle", _) | (_, "wind_direction") => Some(Kind::Angle),
            (_, "battery") if unit == "%" => Some(Kind::Battery),
            ("measurement", "energy") => None,
            (_, "signal_strength") => Some(Kind::Signal),
            (_, "enum") => Some(Kind::States),
            ("measurement", _) if unit == "%" => Some(Kind::Percentage),
            ("measurement", _) => Some(Kind::Measurement),
            _ => None,
        }
    }
}

/// Whether a name is that of a direction: of the wind, or where something points.
pub fn names_direction(name: &str) -> bool {
    const WHOLE: &[&str] =
        &["bearing", "azimuth", "azimut", "heading", "winddir", "wdir", "kurs", "peilung", "compass"];
    const WAYS: &[&str] = &["direction", "dirección", "direccion", "dir", "deg", "degrees", "bearing", "richtung"];
    let lower = name.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let is_wind = |w: &&str| matches!(*w, "wind" | "windgust" | "gust" | "vent" | "viento" | "wnd");
    words.iter().any(|w| WHOLE.contains(w))
        || ["winddirection", "windrichtung", "windbearing", "winddeg", "windazimut"].iter().any(|w| lower.contains(w))
        || (words.iter().any(is_wind) && words.iter().any(|w| WAYS.contains(w)))
}

/// Whether a height of water is one of rain that has fallen, and not a level.
pub fn is_rain(name: &str, unit: &str) -> bool {
    let lower = name.to_lowercase();
    matches!(unit, "mm" | "in" | "l/m²" | "L/m²")
        && ["rain", "precip", "regen", "niederschlag", "pluie", "lluvia"].iter().any(|w| lower.contains(w))
}

/// Whether readings in a unit under this name may be what came since the reading before, and no stock or level.
pub fn names_amount(name: &str, unit: &str) -> bool {
    const STOCKS: &[&str] = &[
        "batt",
        "akku",
        "stored",
        "remain",
        "capacity",
        "forecast",
        "level",
        "tank",
        "soc",
        "available",
        "speicher",
        "powerwall",
    ];
    /// Other stores of energy, where no word says that it came or went.
    const STORES: &[&str] = &[
        "stor", "soe", "prognose", "buffer", "puffer", "charge", "ladung", "reserv", "inhalt", "content", "balance",
        "guthaben",
    ];
    const AMOUNTS: &[&str] = &[
        "consum",
        "usage",
        "used",
        "verbrauch",
        "produc",
        "import",
        "export",
        "generat",
        "yield",
        "energy",
        "energie",
        "feed",
        "eingespeist",
        "bezug",
        "consommation",
        "consumo",
        "delivered",
        "returned",
        "wasser",
        "water",
        "gas",
    ];
    let lower = name.to_lowercase();
    if is_rain(name, unit) {
        return true;
    }
    let is_stock = STOCKS.iter().any(|w| lower.contains(w));
    let is_named = AMOUNTS.iter().any(|w| lower.contains(w)) && !is_stock;
    match unit {
        // Energy that goes up and down is what came in each interval, whatever it is called, but where it is stored.
        "Wh" | "kWh" | "MWh" => !is_stock && (is_named || !STORES.iter().any(|w| lower.contains(w))),
        "m³" | "ft³" => is_named,
        "l" | "L" | "gal" => is_named && !lower.contains("tank"),
        _ => false,
    }
}

/// Whether a name says that it is counted from the beginning of the day.
fn names_day(name: &str) -> bool {
    let lower = name.to_lowercase();
    ["today", "daily", "heute", "tages", "täglich"].iter().any(|w| lower.contains(w))
        || lower.split(|c: char| !c.is_alphanumeric()).any(|w| matches!(w, "day" | "tag" | "jour" | "hoy" | "día"))
}

/// What the values of a sensor show of its kind.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// How they grow.
    pub growth: &'a Growth,
    /// How many there are.
    pub count: u64,
    /// The lowest and the highest.
    pub range: (f64, f64),
}

impl Seen<'_> {
    /// Whether each reading is an amount of its own: said, or its name and unit allow it and its values go up and down. `before` is what
    /// was found before, for too few values.
    pub fn is_amount(self, traits: &SensorTraits, before: bool) -> bool {
        let SensorTraits { name, unit, kind, .. } = traits;
        // A meter that jitters falls too, by little of what it shows; one that begins anew each day rises much more often.
        let falls = u64::from(self.growth.falls + self.growth.resets);
        let (low, high) = self.range;
        let is_wide = high - low > high * 0.1;
        match kind {
            Some(kind) => *kind == Kind::Amount,
            None if !names_amount(name, unit) || low < 0.0 => false,
            None if self.count < 6 => before,
            None => {
                // A day's total that is read three times a day rises twice as often as it falls.
                let rises = u64::from(self.growth.rises);
                let turns = falls >= 2 && if names_day(name) { falls * 2 > rises } else { falls * 2 >= rises };
                turns && is_wide && (falls * 6 >= self.count || low * 2.0 <= high)
            }
        }
    }

    /// Whether a sensor counts up: because it is said to, or because its unit or name and all of its steps say so.
    pub fn is_total(self, traits: &SensorTraits, before: bool) -> bool {
        let SensorTraits { name, unit, kind, .. } = traits;
        let (growth, count) = (self.growth, self.count);
        match kind {
            Some(kind) => kind.is_total(),
            None if !growth.only_grows() => before && growth.falls == 0,
            None if accumulates(unit) || is_rain(name, unit) => Kind::names_total(name) || count >= 10,
            None if !unit.is_empty() => false,
            None if Kind::names_total(name) => count >= 5,
            // What begins anew again and again below a full circle goes round.
            None if growth.resets > 1 && self.range.1 <= 360.0 => false,
            None => growth.is_whole && count >= 30 && u64::from(growth.rises) * 4 >= count,
        }
    }
}

/// Whether a unit is one in which totals are counted.
pub fn accumulates(unit: &str) -> bool {
    matches!(
        unit,
        "kWh"
            | "Wh"
            | "MWh"
            | "m³"
            | "l"
            | "L"
            | "litres"
            | "gal"
            | "ft³"
            | "CCF"
            | "km"
            | "MJ"
            | "GJ"
            | "kvarh"
            | "varh"
            | "kVAh"
            | "Ah"
            | "mAh"
            | "pulses"
            | "counts"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_directions_and_totals_from_what_only_sounds_so() {
        for name in [
            "wind direction",
            "Windrichtung",
            "wind_dir",
            "Wind Dir (deg)",
            "heading",
            "winddir_avg10m",
            "gust direction",
        ] {
            assert!(names_direction(name), "{name}");
        }
        for name in ["wind speed", "directory", "temperature", "deg", "flow direction"] {
            assert!(!names_direction(name), "{name}");
        }
        for (name, total) in [
            ("plug ENERGY Factor", false),
            ("plug ENERGY Period", false),
            ("plug ENERGY Total", true),
            ("energy meter voltage", false),
            ("energy", true),
            ("water consumption", true),
        ] {
            assert_eq!(Kind::names_total(name), total, "{name}");
        }
    }

    #[test]
    fn what_a_store_holds_and_a_total_of_the_day_are_no_amounts() {
        let is_amount = |name: &str, values: &mut dyn Iterator<Item = f64>| {
            let (mut growth, mut count, mut range) = (Growth::default(), 0, (f64::MAX, f64::MIN));
            for value in values {
                growth.push(value);
                count += 1;
                range = (range.0.min(value), range.1.max(value));
            }
            let traits = SensorTraits { name: name.to_owned(), unit: "kWh".to_owned(), ..SensorTraits::default() };
            Seen { growth: &growth, count, range }.is_amount(&traits, false)
        };
        let random = |i: u32| 1.0 + f64::from(i * 7 % 11);
        let of_day = |i: u32| f64::from(i % 3 + 1) * 3.0;
        assert!(is_amount("consumption", &mut (0..48).map(random)));
        assert!(is_amount("daily consumption", &mut (0..48).map(random)));
        for name in ["Powerwall energy", "battery energy", "Akku"] {
            assert!(!is_amount(name, &mut (0..48).map(random)), "{name}");
        }
        for name in ["energy today", "PV Tagesertrag", "E_Day"] {
            assert!(!is_amount(name, &mut (0..48).map(of_day)), "{name}");
        }
    }

    #[test]
    fn what_goes_round_below_a_full_circle_is_no_counter() {
        let is_total = |name: &str, values: &mut dyn Iterator<Item = f64>| {
            let (mut growth, mut count, mut range) = (Growth::default(), 0, (f64::MAX, f64::MIN));
            for value in values {
                growth.push(value);
                count += 1;
                range = (range.0.min(value), range.1.max(value));
            }
            let traits = SensorTraits { name: name.to_owned(), ..SensorTraits::default() };
            Seen { growth: &growth, count, range }.is_total(&traits, false)
        };
        assert!(!is_total("vane", &mut (0..500).map(|i| f64::from(i * 3 % 360))));
        assert!(is_total("vane", &mut (0..500).map(f64::from)));
        assert!(is_total("pulses", &mut (0..500).map(|i| f64::from(i % 250))));
    }
}

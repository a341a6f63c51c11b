//! Units of measurement: how they are written, and which can be turned into which.

/// What a unit measures, and how it is turned into the first unit of its kind: `value * scale + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Conversion {
    kind: Kind,
    scale: f64,
    offset: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Temperature,
    Share,
    Pressure,
    Power,
    Energy,
    Voltage,
    Current,
    Length,
    Speed,
    Rain,
    Flow,
    Volume,
    Mass,
    Frequency,
    Illuminance,
    Concentration,
    Loudness,
    Turns,
    Time,
    Data,
}

/// Every spelling: (spelling, kind, scale, offset). Scales of a kind are relative to its first line. SI brochure, 9th edition; a
/// bar is 10^5 Pa, a mmHg 133.322 Pa, a mile 1609.344 m, a US gallon 3.785412 l.
const UNITS: &[(&str, Kind, f64, f64)] = &[
    ("°C", Kind::Temperature, 1.0, 0.0),
    ("degrees Celsius", Kind::Temperature, 1.0, 0.0),
    ("degrees", Kind::Temperature, 1.0, 0.0),
    ("C", Kind::Temperature, 1.0, 0.0),
    ("°F", Kind::Temperature, 5.0 / 9.0, -160.0 / 9.0),
    ("degrees Fahrenheit", Kind::Temperature, 5.0 / 9.0, -160.0 / 9.0),
    ("K", Kind::Temperature, 1.0, -273.15),
    ("%", Kind::Share, 1.0, 0.0),
    ("percent", Kind::Share, 1.0, 0.0),
    ("hPa", Kind::Pressure, 1.0, 0.0),
    ("mbar", Kind::Pressure, 1.0, 0.0),
    ("kPa", Kind::Pressure, 10.0, 0.0),
    ("Pa", Kind::Pressure, 0.01, 0.0),
    ("bar", Kind::Pressure, 1000.0, 0.0),
    ("mmHg", Kind::Pressure, 1.333_22, 0.0),
    ("inHg", Kind::Pressure, 33.863_89, 0.0),
    ("psi", Kind::Pressure, 68.947_57, 0.0),
    ("W", Kind::Power, 1.0, 0.0),
    ("watts", Kind::Power, 1.0, 0.0),
    ("kW", Kind::Power, 1e3, 0.0),
    ("mW", Kind::Power, 1e-3, 0.0),
    ("MW", Kind::Power, 1e6, 0.0),
    ("Wh", Kind::Energy, 1.0, 0.0),
    ("kWh", Kind::Energy, 1e3, 0.0),
    ("MWh", Kind::Energy, 1e6, 0.0),
    ("V", Kind::Voltage, 1.0, 0.0),
    ("mV", Kind::Voltage, 1e-3, 0.0),
    ("kV", Kind::Voltage, 1e3, 0.0),
    ("volts", Kind::Voltage, 1.0, 0.0),
    ("A", Kind::Current, 1.0, 0.0),
    ("mA", Kind::Current, 1e-3, 0.0),
    ("amps", Kind::Current, 1.0, 0.0),
    ("m", Kind::Length, 1.0, 0.0),
    ("mm", Kind::Length, 1e-3, 0.0),
    ("cm", Kind::Length, 1e-2, 0.0),
    ("km", Kind::Length, 1e3, 0.0),
    ("in", Kind::Length, 0.0254, 0.0),
    ("ft", Kind::Length, 0.3048, 0.0),
    ("mi", Kind::Length, 1609.344, 0.0),
    ("m/s", Kind::Speed, 1.0, 0.0),
    ("km/h", Kind::Speed, 1.0 / 3.6, 0.0),
    ("mph", Kind::Speed, 0.447_04, 0.0),
    ("kn", Kind::Speed, 1852.0 / 3600.0, 0.0),
    ("ft/s", Kind::Speed, 0.3048, 0.0),
    ("mm/h", Kind::Rain, 1.0, 0.0),
    ("in/h", Kind::Rain, 25.4, 0.0),
    ("l/min", Kind::Flow, 1.0, 0.0),
    ("l/h", Kind::Flow, 1.0 / 60.0, 0.0),
    ("m³/h", Kind::Flow, 1000.0 / 60.0, 0.0),
    ("L/min", Kind::Flow, 1.0, 0.0),
    ("L/h", Kind::Flow, 1.0 / 60.0, 0.0),
    ("gal/min", Kind::Flow, 3.785_412, 0.0),
    ("l", Kind::Volume, 1.0, 0.0),
    ("litres", Kind::Volume, 1.0, 0.0),
    ("m³", Kind::Volume, 1e3, 0.0),
    ("L", Kind::Volume, 1.0, 0.0),
    ("gal", Kind::Volume, 3.785_412, 0.0),
    ("ft³", Kind::Volume, 28.316_85, 0.0),
    ("kg", Kind::Mass, 1.0, 0.0),
    ("g", Kind::Mass, 1e-3, 0.0),
    ("lb", Kind::Mass, 0.453_592_37, 0.0),
    ("oz", Kind::Mass, 0.028_349_523, 0.0),
    ("Hz", Kind::Frequency, 1.0, 0.0),
    ("kHz", Kind::Frequency, 1e3, 0.0),
    ("lx", Kind::Illuminance, 1.0, 0.0),
    ("lux", Kind::Illuminance, 1.0, 0.0),
    ("ppm", Kind::Concentration, 1.0, 0.0),
    ("ppb", Kind::Concentration, 1e-3, 0.0),
    ("dB", Kind::Loudness, 1.0, 0.0),
    ("rpm", Kind::Turns, 1.0, 0.0),
    ("s", Kind::Time, 1.0, 0.0),
    ("ms", Kind::Time, 1e-3, 0.0),
    ("MB", Kind::Data, 1.0, 0.0),
    ("kB", Kind::Data, 1e-3, 0.0),
    ("GB", Kind::Data, 1e3, 0.0),
    ("TB", Kind::Data, 1e6, 0.0),
    ("KiB", Kind::Data, 1024e-6, 0.0),
    ("MiB", Kind::Data, 1_048_576e-6, 0.0),
    ("GiB", Kind::Data, 1_073_741_824e-6, 0.0),
    ("TiB", Kind::Data, 1_099_511_627_776e-6, 0.0),
];

fn conversion(unit: &str) -> Option<Conversion> {
    let found = UNITS.iter().find(|(spelling, ..)| *spelling == unit)?;
    Some(Conversion { kind: found.1, scale: found.2, offset: found.3 })
}

/// Other spellings of units, and how they are printed.
const SPELLINGS: &[(&str, &str)] = &[
    ("degC", "°C"),
    ("deg C", "°C"),
    ("deg. C", "°C"),
    ("Deg C", "°C"),
    ("Celsius", "°C"),
    ("celsius", "°C"),
    ("℃", "°C"),
    ("° C", "°C"),
    ("ºC", "°C"),
    ("°c", "°C"),
    ("Cel", "°C"),
    ("Grad", "°C"),
    ("degF", "°F"),
    ("deg F", "°F"),
    ("Deg F", "°F"),
    ("Fahrenheit", "°F"),
    ("fahrenheit", "°F"),
    ("℉", "°F"),
    ("ºF", "°F"),
    ("° F", "°F"),
    ("% RH", "%"),
    ("%RH", "%"),
    ("%rh", "%"),
    ("% rF", "%"),
    ("%rF", "%"),
    ("%r.F.", "%"),
    ("Percent", "%"),
    ("pct", "%"),
    ("ug/m3", "µg/m³"),
    ("µg/m3", "µg/m³"),
    ("μg/m³", "µg/m³"),
    ("μg/m3", "µg/m³"),
    ("ug/m^3", "µg/m³"),
    ("m3", "m³"),
    ("m^3", "m³"),
    ("m3/h", "m³/h"),
    ("m^3/h", "m³/h"),
    ("kwh", "kWh"),
    ("KWh", "kWh"),
    ("KWH", "kWh"),
    ("kW/h", "kWh"),
    ("wh", "Wh"),
    ("hpa", "hPa"),
    ("HPA", "hPa"),
    ("hPA", "hPa"),
    ("mb", "mbar"),
    ("dbm", "dBm"),
    ("DBM", "dBm"),
    ("Lux", "lx"),
    ("kw", "kW"),
    ("KW", "kW"),
    ("Volt", "V"),
    ("Volts", "V"),
    ("Amp", "A"),
    ("Ampere", "A"),
    ("º", "°"),
    ("mm/hr", "mm/h"),
    ("mm/hour", "mm/h"),
    ("in/hr", "in/h"),
    ("inch", "in"),
    ("inches", "in"),
    ("\"", "in"),
    ("kph", "km/h"),
    ("kmh", "km/h"),
    ("PSI", "psi"),
    ("feet", "ft"),
    ("gallons", "gal"),
    ("lbs", "lb"),
    ("Watt", "W"),
    ("Watts", "W"),
    ("L/min", "l/min"),
    ("lpm", "l/min"),
    ("W/m2", "W/m²"),
    ("W/m^2", "W/m²"),
    ("deg", "°"),
    ("Deg", "°"),
    ("mps", "m/s"),
    ("kmh", "km/h"),
    ("kph", "km/h"),
    ("ft3", "ft³"),
    ("m/s2", "m/s²"),
    ("km_h-1", "km/h"),
    ("m_s-1", "m/s"),
    ("degree_(angle)", "°"),
];
/// Units that are told and compared, but not turned into others.
const OTHERS: &[&str] = &[
    "dBm", "°", "µg/m³", "W/m²", "mm/h", "VA", "kVA", "var", "kvar", "kvarh", "kVAh", "Ah", "mAh", "pH", "µS/cm",
    "mS/cm", "mg/l", "gal", "ft³", "MJ", "GJ", "Mbit/s", "psi", "inHg", "Ω", "kΩ", "min", "h", "d", "µs", "rpm", "NTU",
    "m/s²", "UV index", "dBA", "dB(A)", "Bq/m³", "pCi/L", "µSv/h", "cpm", "EUR", "€", "USD", "$", "GBP", "£", "CHF",
    "ct", "cent", "CCF", "counts", "pulses", "kJ", "mg/m³", "mg/dL", "mmol/L", "varh", "kt", "GW", "GWh", "mWh", "µA",
    "µg", "mg", "ml", "hl", "cl", "dl", "Nm", "lm", "mol", "ppt", "m²", "J", "kbit/s", "Gbit/s",
];
/// What may stand below the line of a unit that is made of two.
const PER: &[&str] = &[
    "h", "hr", "s", "min", "d", "day", "m", "m2", "m²", "m3", "m³", "kg", "g", "l", "L", "dl", "dL", "ml", "mL", "kWh",
    "MWh", "Wh", "km", "mi", "K", "cm", "cm²", "mol", "rev", "year", "a", "month", "week", "V", "A", "Hz", "√Hz",
    "gal", "ft³", "ft2", "ft",
];

/// A unit as it is printed, from any spelling of it.
pub fn tidy(unit: &str) -> &str {
    SPELLINGS.iter().find(|(spelling, _)| *spelling == unit).map_or(unit, |(_, printed)| printed)
}

/// Whether `unit` is one that is known.
pub fn is_known(unit: &str) -> bool {
    conversion(unit).is_some() || OTHERS.contains(&unit) || tidy(unit) != unit
}

/// Whether a text is written as a unit: one that is known, or one per another (`ct/kWh`, `mg/dL`).
pub fn has_form_of_one(text: &str) -> bool {
    if is_known(text) {
        return true;
    }
    let has_mark = |text: &str| {
        let at = text.chars().position(|c| matches!(c, '°' | '²' | '³' | 'µ' | 'μ' | '‰' | 'Ω'));
        at.is_some_and(|at| at <= 2) && text.chars().count() <= 8 && !text.contains(char::is_whitespace)
    };
    match text.split_once('/') {
        // What stands above the line may be anything that is short: `imp/kWh`, `items/h`.
        Some((above, below)) => {
            PER.contains(&below)
                && above.chars().count() <= 6
                && !above.contains(' ')
                && (!above.is_empty())
                && (is_known(above) || below.len() > 1 || above.chars().all(char::is_alphabetic))
        }
        None => has_mark(text),
    }
}

/// Whether a sensor of this name can have the unit: a voltage in amperes is none, but a voltage of phase A.
pub(crate) fn fits_name(name: &str, unit: &str) -> bool {
    // Nothing else is written so.
    let is_unmistakable = tidy(unit).contains(['°', '℃', '%']) || tidy(unit) == "rpm";
    is_unmistakable || measures(name, unit)
}

/// Whether what a name calls a quantity is measured in a unit; so is what names none.
pub(crate) fn measures(name: &str, unit: &str) -> bool {
    let is = match tidy(unit) {
        "h" | "min" | "d" => Kind::Time,
        unit => match conversion(unit) {
            Some(found) => found.kind,
            None => return true,
        },
    };
    let lower = name.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
    // The last word that names a quantity: `power supply voltage` is a voltage.
    let quantity = words.by_ref().filter_map(|word| QUANTITIES.iter().find(|(names, _)| names.contains(&word))).last();
    quantity.is_none_or(|(_, kinds)| kinds.contains(&is))
}

/// Names of quantities, and what they are measured in.
const QUANTITIES: &[(&[&str], &[Kind])] = &[
    (&["voltage", "volt", "spannung", "tension", "tensión", "voltaje"], &[Kind::Voltage]),
    (
        &["temp", "temperature", "temperatur", "température", "temperatura", "dewpoint", "taupunkt"],
        &[Kind::Temperature],
    ),
    (&["flow", "durchfluss", "débit", "caudal"], &[Kind::Flow, Kind::Volume, Kind::Speed, Kind::Mass]),
    (&["humidity", "feuchte", "luftfeuchte", "luftfeuchtigkeit", "humidité", "humedad"], &[Kind::Share]),
    (&["pressure", "druck", "luftdruck", "pression", "presión"], &[Kind::Pressure, Kind::Length]),
    (&["frequency", "frequenz", "fréquence", "frecuencia"], &[Kind::Frequency]),
    (&["power", "leistung", "puissance", "potencia"], &[Kind::Power, Kind::Share, Kind::Energy]),
    (&["energy", "energie", "énergie", "energía"], &[Kind::Energy, Kind::Power]),
    (&["illuminance", "lux", "helligkeit"], &[Kind::Illuminance, Kind::Share]),
];

/// The unit of a sensor of this name: degrees of a direction are those of an angle, which `Grad` and `degrees` do not tell from those of
/// a temperature; a bare F or C behind a temperature is a degree, and elsewhere a farad or a coulomb.
pub fn of_name<'a>(name: &str, unit: &'a str) -> &'a str {
    match unit {
        "°C" | "degrees" | "Grad" if crate::kind::names_direction(name) || names_angle(name) => "°",
        "F" if names_temperature(name) => "°F",
        "C" if names_temperature(name) => "°C",
        unit => unit,
    }
}

/// Whether a name is that of a temperature.
fn names_temperature(name: &str) -> bool {
    let lower = name.to_lowercase();
    ["temp", "dew", "taupunkt", "heat index", "windchill", "wind chill", "feels", "gefühlt"]
        .iter()
        .any(|w| lower.contains(w))
        || lower.split(|c: char| !c.is_alphanumeric()).any(|w| {
            matches!(w, "t" | "outdoor" | "indoor" | "outside" | "inside" | "außen" | "innen" | "boiler" | "fridge")
        })
}

fn names_angle(name: &str) -> bool {
    let lower = name.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).any(|w| {
        matches!(w, "angle" | "tilt" | "pitch" | "roll" | "yaw" | "elevation" | "neigung" | "direction")
            || w.ends_with("winkel")
    })
}

/// What a text may be as a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// This one, as it is printed.
    One(&'static str),
    /// One of several that its letters do not tell apart: "mw".
    Several,
}

/// The unit that a text means: as it is written, or else whatever its large and small letters are, where that leaves one.
pub(crate) fn read(text: &str) -> Option<Read> {
    let every = || UNITS.iter().map(|(spelling, ..)| *spelling).chain(OTHERS.iter().copied());
    let all = || every().map(|unit| (unit, unit)).chain(SPELLINGS.iter().copied());
    if let Some((_, unit)) = all().find(|(spelling, _)| *spelling == text) {
        return Some(Read::One(tidy(unit)));
    }
    let lower = text.to_lowercase();
    let mut found: Option<&'static str> = None;
    for (_, unit) in all().filter(|(spelling, _)| spelling.to_lowercase() == lower) {
        let unit = tidy(unit);
        match found {
            Some(other) if !is_same(other, unit) => return Some(Read::Several),
            _ => found = Some(found.unwrap_or(unit)),
        }
    }
    found.map(Read::One)
}

/// Every spelling that is known.
pub fn spellings() -> impl Iterator<Item = &'static str> {
    UNITS.iter().map(|(spelling, ..)| *spelling)
}

/// `value` in the unit `from`, told in the unit `to`; a difference of two values has no offset. `None` where the one can't be
/// turned into the other.
pub fn convert(value: f64, from: &str, to: &str, is_difference: bool) -> Option<f64> {
    if from == to {
        return Some(value);
    }
    let (from, to) = (conversion(from)?, conversion(to)?);
    if from.kind != to.kind {
        return None;
    }
    let offset = |c: Conversion| if is_difference { 0.0 } else { c.offset };
    Some((value * from.scale + offset(from) - offset(to)) / to.scale)
}

/// A system of units in which values are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// Each sensor's own unit.
    #[default]
    Own,
    /// Celsius, metres, litres, kilograms.
    Metric,
    /// Fahrenheit, miles, gallons, pounds, as in the United States.
    Imperial,
}

/// Units of the two systems that stand for each other.
const COUNTERPARTS: [(&str, &str); 14] = [
    ("°C", "°F"),
    ("hPa", "inHg"),
    ("bar", "psi"),
    ("km", "mi"),
    ("m", "ft"),
    ("cm", "in"),
    ("mm", "in"),
    ("km/h", "mph"),
    ("m/s", "mph"),
    ("mm/h", "in/h"),
    ("L", "gal"),
    ("L/min", "gal/min"),
    ("m³", "ft³"),
    ("kg", "lb"),
];

impl System {
    /// In which unit a value in `unit` is told; `None`: in its own.
    pub fn unit_for(self, unit: &str) -> Option<&'static str> {
        let own = match unit {
            "l" | "litres" => "L",
            "l/min" => "L/min",
            "mbar" => "hPa",
            "oz" if self == System::Metric => return Some("g"),
            "g" if self == System::Imperial => return Some("oz"),
            "degrees Celsius" | "C" => "°C",
            "degrees Fahrenheit" => "°F",
            unit => unit,
        };
        match self {
            System::Own => None,
            System::Imperial => COUNTERPARTS.iter().find(|(metric, _)| *metric == own).map(|(_, imperial)| *imperial),
            // Inches of rain are millimetres.
            System::Metric if own == "in" => Some("mm"),
            System::Metric if own == "kn" => Some("km/h"),
            System::Metric if own == "ft/s" => Some("m/s"),
            System::Metric => COUNTERPARTS.iter().find(|(_, imperial)| *imperial == own).map(|(metric, _)| *metric),
        }
    }
}

/// `value * scale + offset` tells in `to` what was measured in `from`; `None` where they measure different things.
pub fn factors(from: &str, to: &str) -> Option<(f64, f64)> {
    let offset = convert(0.0, from, to, false)?;
    Some((convert(1.0, from, to, true)?, offset))
}

/// Whether the two are the same unit in different spellings.
pub fn is_same(a: &str, b: &str) -> bool {
    a == b || (conversion(a).is_some() && conversion(a) == conversion(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_turn_into_their_own_kind_only() {
        let near = |a: Option<f64>, b: f64| assert!((a.unwrap() - b).abs() < 1e-9, "{a:?} {b}");
        near(convert(100.0, "°C", "°F", false), 212.0);
        near(convert(10.0, "°C", "°F", true), 18.0);
        near(convert(0.0, "°C", "K", false), 273.15);
        near(convert(1.5, "kW", "W", false), 1500.0);
        near(convert(1013.0, "hPa", "bar", false), 1.013);
        near(convert(30.0, "inHg", "hPa", false), 1015.9167);
        near(convert(60.0, "mph", "km/h", false), 96.560_64);
        for (unit, metric, imperial) in [
            ("°C", None, Some("°F")),
            ("°F", Some("°C"), None),
            ("l", None, Some("gal")),
            ("in", Some("mm"), None),
            ("W", None, None),
            ("%", None, None),
            ("psi", Some("bar"), None),
            ("m/s", None, Some("mph")),
            ("ft/s", Some("m/s"), None),
        ] {
            assert_eq!((System::Metric.unit_for(unit), System::Imperial.unit_for(unit)), (metric, imperial), "{unit}");
            for to in [metric, imperial].into_iter().flatten() {
                let (scale, offset) = factors(unit, to).unwrap();
                near(convert(7.0, unit, to, false), 7.0 * scale + offset);
            }
        }
        assert_eq!(convert(1.0, "°C", "%", false), None);
        assert_eq!(convert(1.0, "blorps", "%", false), None);
        assert_eq!(convert(1.0, "blorps", "blorps", false), Some(1.0));
        assert_eq!(
            [read("MW"), read("mw"), read("°c")],
            [Some(Read::One("MW")), Some(Read::Several), Some(Read::One("°C"))]
        );
        assert_eq!([read("blorps"), read("")], [None, None]);
        assert!(is_same("percent", "%") && !is_same("mW", "MW") && !is_same("blorps", "glorps"));
    }
}

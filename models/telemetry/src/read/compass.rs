//! Directions as points of the compass: `SSW`, in German `SSO`, in French and Spanish `NO` for the north-west.

use super::header;
use super::number;

/// What the letters of the east and the west are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compass {
    /// E and W.
    English,
    /// O (Ost) and W.
    German,
    /// E and O (ouest, oeste).
    Romance,
}

/// The sixteen points, clockwise from north, in English letters.
const POINTS: [&str; 16] =
    ["N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW"];

/// Degrees of a point.
pub(super) fn degrees(text: &str, compass: Compass) -> Option<f64> {
    let text = text.trim();
    if text.is_empty() || text.len() > 3 {
        return None;
    }
    let letters: String = text
        .chars()
        .map(|c| match (c.to_ascii_uppercase(), compass) {
            ('O', Compass::German) => 'E',
            ('O', Compass::Romance) => 'W',
            ('E', Compass::German) | ('W', Compass::Romance) => '?',
            (c, _) => c,
        })
        .collect();
    POINTS.iter().position(|p| *p == letters).map(|place| place as f64 * 22.5)
}

/// Whether the cells of a column of this name are points of the compass, and in which letters; calm air has none.
pub(super) fn of_column<'a>(name: &str, cells: impl Iterator<Item = &'a str>) -> Option<Compass> {
    if !header::names_direction(name) {
        return None;
    }
    let told: Vec<&str> = cells.filter(|c| !number::is_nothing(c) && !is_calm(c)).collect();
    let has = |letter: char| told.iter().any(|c| c.to_ascii_uppercase().contains(letter));
    let lower = name.to_lowercase();
    let compass = match (has('E'), has('W'), has('O')) {
        (_, _, false) => Compass::English,
        (false, true, true) => Compass::German,
        (true, false, true) => Compass::Romance,
        (false, false, true) if lower.contains("richtung") => Compass::German,
        (false, false, true) if lower.contains("vent") || lower.contains("vient") => Compass::Romance,
        _ => return None,
    };
    (!told.is_empty() && told.iter().all(|c| degrees(c, compass).is_some())).then_some(compass)
}

/// Whether a text says that there is no wind, and so no direction.
pub(super) fn is_calm(text: &str) -> bool {
    ["calm", "windstill", "vrb", "variable", "---"].iter().any(|w| text.trim().eq_ignore_ascii_case(w))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_the_compass_are_degrees_in_the_letters_of_their_language() {
        let of = |name: &str, cells: &[&str]| {
            let compass = of_column(name, cells.iter().copied())?;
            Some(cells.iter().map(|c| degrees(c, compass).unwrap_or(-1.0)).collect::<Vec<_>>())
        };
        assert_eq!(of("wind direction", &["N", "SSW", "e"]), Some(vec![0.0, 202.5, 90.0]));
        assert_eq!(of("Windrichtung", &["NO", "W", "SO"]), Some(vec![45.0, 270.0, 135.0]));
        assert_eq!(of("Windrichtung", &["NO", "SO"]), Some(vec![45.0, 135.0]));
        assert_eq!(of("direction du vent", &["NO", "E", "SO"]), Some(vec![315.0, 90.0, 225.0]));
        assert_eq!(of("wind_dir", &["N", "Calm", ""]), Some(vec![0.0, -1.0, -1.0]));
        // Of one column in two languages, and of words that are none, nothing is made.
        assert_eq!(of("wind direction", &["NO", "E", "W"]), None);
        assert_eq!(of("wind direction", &["NO", "SO"]), None);
        assert_eq!(of("wind direction", &["N", "up"]), None);
        assert_eq!(of("side", &["N", "S"]), None);
    }
}

//! Colours by name as red, green and blue, and white light by its colour temperature.

/// A colour of light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Red, green and blue.
    Rgb([u8; 3]),
    /// White of a colour temperature in kelvin.
    Kelvin(u16),
}

/// Names and values; the values are CSS's where CSS has the name, and full-saturation where a lamp's idea of it differs little.
const COLOURS: &[(&str, [u8; 3])] = &[
    ("red", [255, 0, 0]),
    ("green", [0, 255, 0]),
    ("blue", [0, 0, 255]),
    ("yellow", [255, 255, 0]),
    ("orange", [255, 165, 0]),
    ("purple", [128, 0, 128]),
    ("violet", [238, 130, 238]),
    ("pink", [255, 192, 203]),
    ("magenta", [255, 0, 255]),
    ("cyan", [0, 255, 255]),
    ("turquoise", [64, 224, 208]),
    ("teal", [0, 128, 128]),
    ("lime", [0, 255, 0]),
    ("lime green", [50, 205, 50]),
    ("white", [255, 255, 255]),
    ("brown", [165, 42, 42]),
    ("gold", [255, 215, 0]),
    ("golden", [255, 215, 0]),
    ("silver", [192, 192, 192]),
    ("amber", [255, 191, 0]),
    ("aqua", [0, 255, 255]),
    ("indigo", [75, 0, 130]),
    ("lavender", [230, 230, 250]),
    ("maroon", [128, 0, 0]),
    ("crimson", [220, 20, 60]),
    ("coral", [255, 127, 80]),
    ("salmon", [250, 128, 114]),
    ("peach", [255, 218, 185]),
    ("beige", [245, 245, 220]),
    ("olive", [128, 128, 0]),
    ("mint", [152, 255, 152]),
    ("navy", [0, 0, 128]),
    ("navy blue", [0, 0, 128]),
    ("sky blue", [135, 206, 235]),
    ("light blue", [173, 216, 230]),
    ("dark blue", [0, 0, 139]),
    ("royal blue", [65, 105, 225]),
    ("light green", [144, 238, 144]),
    ("dark green", [0, 100, 0]),
    ("forest green", [34, 139, 34]),
    ("dark red", [139, 0, 0]),
    ("hot pink", [255, 105, 180]),
    ("deep pink", [255, 20, 147]),
    ("light pink", [255, 182, 193]),
    ("dark orange", [255, 140, 0]),
    ("fuchsia", [255, 0, 255]),
    ("plum", [221, 160, 221]),
    ("orchid", [218, 112, 214]),
    ("tan", [210, 180, 140]),
    ("ivory", [255, 255, 240]),
    ("khaki", [240, 230, 140]),
    ("scarlet", [255, 36, 0]),
    ("ruby", [224, 17, 95]),
    ("emerald", [80, 200, 120]),
];

const WHITES: &[(&str, u16)] = &[
    ("candle light", 1900),
    ("candlelight", 1900),
    ("warm white", 2700),
    ("soft white", 2700),
    ("warm light", 2700),
    ("warm", 2700),
    ("incandescent", 2700),
    ("neutral white", 4000),
    ("neutral", 4000),
    ("natural white", 4000),
    ("cool white", 4000),
    ("cold white", 4000),
    ("cool light", 5000),
    ("bright white", 5000),
    ("cool", 5000),
    ("cold", 6000),
    ("daylight", 6500),
    ("day light", 6500),
];

/// A colour at the beginning of `words`: a name, "warm white", "2700 kelvin".
pub fn colour(words: &[&str]) -> Option<(Colour, usize)> {
    if let Some((value, n)) = super::number(words)
        && matches!(words.get(n), Some(&("kelvin" | "k" | "kelvins")))
    {
        return (1000.0..=12_000.0).contains(&value).then_some((Colour::Kelvin(value as u16), n + 1));
    }
    for n in [2, 1] {
        let Some(phrase) = words.get(..n).map(|w| w.join(" ")) else { continue };
        if let Some((_, kelvin)) = WHITES.iter().find(|(name, _)| *name == phrase) {
            return Some((Colour::Kelvin(*kelvin), n));
        }
        if let Some((_, rgb)) = COLOURS.iter().find(|(name, _)| *name == phrase) {
            return Some((Colour::Rgb(*rgb), n));
        }
    }
    // "A soft orange" is an orange.
    let (first, rest) = words.split_first()?;
    let is_shade =
        matches!(*first, "soft" | "gentle" | "nice" | "deep" | "bright" | "pale" | "pastel" | "rich" | "dim");
    match colour(rest).filter(|_| is_shade) {
        Some((colour @ Colour::Rgb(_), n)) => Some((colour, n + 1)),
        _ => None,
    }
}

/// A colour temperature at the beginning of `words`, where one is awaited: "3000", "3000 kelvin", "warm white", "daylight".
pub fn colour_temperature(words: &[&str]) -> Option<(u16, usize)> {
    if let Some((Colour::Kelvin(kelvin), n)) = colour(words) {
        return Some((kelvin, n));
    }
    let (value, n) = super::number(words)?;
    (1000.0..=12_000.0).contains(&value).then_some((value as u16, n))
}

/// A white of so many kelvin as red, green and blue, by the usual fit to the colour of a black body (1,000 to 40,000 kelvin).
pub fn of_kelvin(kelvin: f64) -> [u8; 3] {
    let t = kelvin.clamp(1000.0, 40_000.0) / 100.0;
    let red = if t <= 66.0 { 255.0 } else { 329.698_727_446 * (t - 60.0).powf(-0.133_204_759_2) };
    let green = if t <= 66.0 {
        99.470_802_586_1 * t.ln() - 161.119_568_166_1
    } else {
        288.122_169_528_3 * (t - 60.0).powf(-0.075_514_849_2)
    };
    let blue = match t {
        t if t >= 66.0 => 255.0,
        t if t <= 19.0 => 0.0,
        t => 138.517_731_223_1 * (t - 10.0).ln() - 305.044_792_730_7,
    };
    [red, green, blue].map(|part| part.round().clamp(0.0, 255.0) as u8)
}

/// The name of a colour: the one it was made of, else the nearest.
pub fn name(rgb: [u8; 3]) -> &'static str {
    let distance =
        |other: [u8; 3]| -> i32 { rgb.iter().zip(other).map(|(a, b)| (i32::from(*a) - i32::from(b)).pow(2)).sum() };
    COLOURS.iter().min_by_key(|(_, other)| distance(*other)).map_or("white", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_is_read_back_from_its_name() {
        for (text, rgb) in COLOURS {
            let words: Vec<&str> = text.split(' ').collect();
            assert_eq!(colour(&words), Some((Colour::Rgb(*rgb), words.len())), "{text}");
            let again: Vec<&str> = name(*rgb).split(' ').collect();
            assert_eq!(colour(&again).map(|(c, _)| c), Some(Colour::Rgb(*rgb)), "{text}");
        }
        for (text, kelvin) in WHITES {
            let words: Vec<&str> = text.split(' ').collect();
            assert_eq!(colour(&words), Some((Colour::Kelvin(*kelvin), words.len())), "{text}");
        }
        assert_eq!(colour(&["2700", "kelvin"]), Some((Colour::Kelvin(2700), 2)));
        assert_eq!(colour(&["90000", "kelvin"]), None);
        assert_eq!(colour(&["loud"]), None);
    }
}

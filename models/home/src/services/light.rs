//! Lights: on and off, brightness (0 to 255 as an attribute, percent in a call), colour, colour temperature, effects.

use serde_json::{Value, json};

use super::{Data, ServiceError, number, on_off, switched};
use crate::model::Entity;

/// The colour modes in which a light has a brightness.
const DIMMED: [&str; 8] = ["brightness", "color_temp", "hs", "xy", "rgb", "rgbw", "rgbww", "white"];
/// Those in which it has a colour.
const COLOURED: [&str; 5] = ["hs", "xy", "rgb", "rgbw", "rgbww"];
/// Attributes that are there only while the light is on.
const WHILE_ON: [&str; 8] =
    ["color_mode", "brightness", "rgb_color", "rgbw_color", "hs_color", "xy_color", "color_temp_kelvin", "effect"];

/// The colour modes that a light has.
fn modes(entity: &Entity) -> Vec<String> {
    entity.options("supported_color_modes").into_iter().map(str::to_lowercase).collect()
}

fn can(entity: &Entity, among: &[&str]) -> bool {
    let modes = modes(entity);
    // A file that does not say which modes there are leaves everything open.
    modes.is_empty() || modes.iter().any(|mode| among.contains(&mode.as_str()))
}

pub(super) fn settle(entity: &mut Entity) {
    let brightness = entity.number("brightness");
    let is_on = match on_off(&entity.state) {
        Some(word) => word == "on",
        None => entity.state.is_empty() && brightness.is_some_and(|level| level > 0.0),
    };
    if entity.state != "unavailable" && entity.state != "unknown" {
        entity.state = if is_on { "on" } else { "off" }.to_owned();
    }
    if let Some(Value::Array(list)) = entity.attributes.get("color_mode") {
        let first = list.first().cloned().unwrap_or_default();
        entity.attributes.insert("color_mode".to_owned(), first);
    }
    for key in WHILE_ON {
        if let Some(value) = entity.attributes.get(key).filter(|value| !value.is_null()) {
            let value = value.clone();
            entity.stored.insert(key.to_owned(), value);
        }
    }
    if !entity.stored.contains_key("color_mode")
        && let Some(first) = modes(entity).into_iter().next()
    {
        entity.stored.insert("color_mode".to_owned(), first.into());
    }
    let mode = entity.stored.get("color_mode").and_then(Value::as_str).unwrap_or_default().to_owned();
    let coloured = COLOURED.contains(&mode.as_str());
    for key in WHILE_ON {
        let shown = is_on
            && match key {
                "brightness" => mode.is_empty() || DIMMED.contains(&mode.as_str()),
                "rgb_color" => mode.is_empty() || coloured,
                "rgbw_color" => mode == "rgbw",
                "hs_color" => coloured,
                "xy_color" => coloured,
                "color_temp_kelvin" => mode.is_empty() || mode == "color_temp",
                _ => true,
            };
        match entity.stored.get(key).filter(|_| shown) {
            Some(value) => {
                let value = value.clone();
                entity.attributes.insert(key.to_owned(), value);
            }
            None if entity.attributes.contains_key(key) || entity.stored.contains_key(key) => {
                entity.attributes.insert(key.to_owned(), Value::Null);
            }
            None => {}
        }
    }
}

pub(super) fn run(entity: &mut Entity, data: &Data<'_>) -> Result<(), ServiceError> {
    let on = switched(entity, data.name).unwrap_or(true);
    if !on {
        entity.state = "off".to_owned();
        return Ok(());
    }
    let before = if entity.state == "on" {
        entity.stored.get("brightness").and_then(Value::as_f64).unwrap_or(255.0)
    } else {
        0.0
    };
    // Percent become 255ths as Home Assistant makes them: halves to the even number.
    let of_percent = |percent: f64| (255.0 * percent / 100.0).round_ties_even();
    let wanted = data
        .number("brightness")
        .or_else(|| data.number("brightness_pct").map(of_percent))
        .or_else(|| data.number("brightness_step").map(|step| before + step))
        .or_else(|| data.number("brightness_step_pct").map(|step| before + of_percent(step)));
    if let Some(level) = wanted {
        let level = level.round().clamp(0.0, 255.0);
        if level == 0.0 {
            entity.state = "off".to_owned();
            return Ok(());
        }
        // A light that only switches is switched, as Home Assistant does it.
        if can(entity, &DIMMED) {
            set(entity, "brightness", number(level));
        }
    }
    let rgb = match (data.fields.get("rgb_color"), data.text("color_name").and_then(colour_named)) {
        (Some(rgb), _) => Some(rgb.clone()),
        (None, Some(rgb)) => Some(json!(rgb)),
        (None, None) => None,
    };
    if let Some(rgb) = rgb {
        if !can(entity, &COLOURED) {
            return Err(super::unsupported(entity, "show colours"));
        }
        let modes = modes(entity);
        let mode = COLOURED.into_iter().find(|mode| modes.iter().any(|m| m == mode)).unwrap_or("rgb");
        set(entity, "color_mode", mode.into());
        if mode == "rgbw" {
            let mut rgbw = rgb.as_array().cloned().unwrap_or_default();
            rgbw.push(0.into());
            set(entity, "rgbw_color", Value::Array(rgbw));
        }
        entity.stored.remove("hs_color");
        entity.stored.remove("xy_color");
        entity.attributes.remove("hs_color");
        entity.attributes.remove("xy_color");
        set(entity, "rgb_color", rgb);
    }
    if let Some(kelvin) = data.number("color_temp_kelvin") {
        if can(entity, &["color_temp", "rgbww"]) {
            if modes(entity).iter().any(|mode| mode == "color_temp") {
                set(entity, "color_mode", "color_temp".into());
            }
            set(entity, "color_temp_kelvin", number(kelvin));
        } else if can(entity, &COLOURED) {
            // A light with colours and no white of its own shows white as a colour, as Home Assistant has it.
            let modes = modes(entity);
            let mode = COLOURED.into_iter().find(|mode| modes.iter().any(|m| m == mode)).unwrap_or("rgb");
            set(entity, "color_mode", mode.into());
            set(entity, "rgb_color", json!(crate::spoken::colour::of_kelvin(kelvin)));
        } else {
            return Err(super::unsupported(entity, "change its colour temperature"));
        }
    }
    if let Some(effect) = data.text("effect") {
        set(entity, "effect", effect.into());
    }
    entity.state = "on".to_owned();
    Ok(())
}

fn set(entity: &mut Entity, key: &str, value: Value) {
    entity.attributes.insert(key.to_owned(), value);
}

/// Red, green and blue of a colour's name: those of CSS, with or without spaces, and some words that people use besides.
pub fn colour_named(name: &str) -> Option<[u8; 3]> {
    let name: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let name = name.replace("grey", "gray");
    let found = COLOURS.iter().find(|(known, _)| *known == name)?.1;
    Some([(found >> 16) as u8, (found >> 8) as u8, found as u8])
}

#[rustfmt::skip]
const COLOURS: &[(&str, u32)] = &[
    ("aliceblue", 0xf0f8ff), ("antiquewhite", 0xfaebd7), ("aqua", 0x00ffff), ("aquamarine", 0x7fffd4), ("azure", 0xf0ffff),
    ("beige", 0xf5f5dc), ("bisque", 0xffe4c4), ("blanchedalmond", 0xffebcd), ("blue", 0x0000ff), ("blueviolet", 0x8a2be2),
    ("brown", 0xa52a2a), ("burlywood", 0xdeb887), ("cadetblue", 0x5f9ea0), ("chartreuse", 0x7fff00), ("chocolate", 0xd2691e),
    ("coral", 0xff7f50), ("cornflowerblue", 0x6495ed), ("cornsilk", 0xfff8dc), ("crimson", 0xdc143c), ("cyan", 0x00ffff),
    ("darkblue", 0x00008b), ("darkcyan", 0x008b8b), ("darkgoldenrod", 0xb8860b), ("darkgray", 0xa9a9a9), ("darkgreen", 0x006400),
    ("darkkhaki", 0xbdb76b), ("darkmagenta", 0x8b008b), ("darkolivegreen", 0x556b2f), ("darkorange", 0xff8c00),
    ("darkorchid", 0x9932cc), ("darkred", 0x8b0000), ("darksalmon", 0xe9967a), ("darkseagreen", 0x8fbc8f),
    ("darkslateblue", 0x483d8b), ("darkslategray", 0x2f4f4f), ("darkturquoise", 0x00ced1), ("darkviolet", 0x9400d3),
    ("deeppink", 0xff1493), ("deepskyblue", 0x00bfff), ("dimgray", 0x696969), ("dodgerblue", 0x1e90ff), ("firebrick", 0xb22222),
    ("floralwhite", 0xfffaf0), ("forestgreen", 0x228b22), ("fuchsia", 0xff00ff), ("gainsboro", 0xdcdcdc), ("ghostwhite", 0xf8f8ff),
    ("gold", 0xffd700), ("goldenrod", 0xdaa520), ("gray", 0x808080), ("green", 0x008000), ("greenyellow", 0xadff2f),
    ("honeydew", 0xf0fff0), ("hotpink", 0xff69b4), ("indianred", 0xcd5c5c), ("indigo", 0x4b0082), ("ivory", 0xfffff0),
    ("khaki", 0xf0e68c), ("lavender", 0xe6e6fa), ("lavenderblush", 0xfff0f5), ("lawngreen", 0x7cfc00), ("lemonchiffon", 0xfffacd),
    ("lightblue", 0xadd8e6), ("lightcoral", 0xf08080), ("lightcyan", 0xe0ffff), ("lightgoldenrodyellow", 0xfafad2),
    ("lightgreen", 0x90ee90), ("lightgray", 0xd3d3d3), ("lightpink", 0xffb6c1), ("lightsalmon", 0xffa07a),
    ("lightseagreen", 0x20b2aa), ("lightskyblue", 0x87cefa), ("lightslategray", 0x778899), ("lightsteelblue", 0xb0c4de),
    ("lightyellow", 0xffffe0), ("lime", 0x00ff00), ("limegreen", 0x32cd32), ("linen", 0xfaf0e6), ("magenta", 0xff00ff),
    ("maroon", 0x800000), ("mediumaquamarine", 0x66cdaa), ("mediumblue", 0x0000cd), ("mediumorchid", 0xba55d3),
    ("mediumpurple", 0x9370db), ("mediumseagreen", 0x3cb371), ("mediumslateblue", 0x7b68ee), ("mediumspringgreen", 0x00fa9a),
    ("mediumturquoise", 0x48d1cc), ("mediumvioletred", 0xc71585), ("midnightblue", 0x191970), ("mintcream", 0xf5fffa),
    ("mistyrose", 0xffe4e1), ("moccasin", 0xffe4b5), ("navajowhite", 0xffdead), ("navy", 0x000080), ("navyblue", 0x000080),
    ("oldlace", 0xfdf5e6), ("olive", 0x808000), ("olivedrab", 0x6b8e23), ("orange", 0xffa500), ("orangered", 0xff4500),
    ("orchid", 0xda70d6), ("palegoldenrod", 0xeee8aa), ("palegreen", 0x98fb98), ("paleturquoise", 0xafeeee),
    ("palevioletred", 0xdb7093), ("papayawhip", 0xffefd5), ("peachpuff", 0xffdab9), ("peru", 0xcd853f), ("pink", 0xffc0cb),
    ("plum", 0xdda0dd), ("powderblue", 0xb0e0e6), ("purple", 0x800080), ("red", 0xff0000), ("rosybrown", 0xbc8f8f),
    ("royalblue", 0x4169e1), ("saddlebrown", 0x8b4513), ("salmon", 0xfa8072), ("sandybrown", 0xf4a460), ("seagreen", 0x2e8b57),
    ("seashell", 0xfff5ee), ("sienna", 0xa0522d), ("silver", 0xc0c0c0), ("skyblue", 0x87ceeb), ("slateblue", 0x6a5acd),
    ("slategray", 0x708090), ("snow", 0xfffafa), ("springgreen", 0x00ff7f), ("steelblue", 0x4682b4), ("tan", 0xd2b48c),
    ("teal", 0x008080), ("thistle", 0xd8bfd8), ("tomato", 0xff6347), ("turquoise", 0x40e0d0), ("violet", 0xee82ee),
    ("wheat", 0xf5deb3), ("white", 0xffffff), ("whitesmoke", 0xf5f5f5), ("yellow", 0xffff00), ("yellowgreen", 0x9acd32),
];

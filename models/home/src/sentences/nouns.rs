//! What people call things when they do not call them by name: "the lights", "the blinds", "the heating", and which domains and
//! device classes each word means.

use crate::domain::Domain;

/// A word, or two, for a kind of thing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noun {
    /// In the singular.
    pub said: &'static str,
    /// The domains it can mean.
    pub domains: &'static [Domain],
    /// The device classes it can mean; none where the domain says it all.
    pub classes: &'static [&'static str],
}

use Domain::{
    AlarmControlPanel, Automation, BinarySensor, Button, Calendar, Camera, Climate, Cover, Fan, Humidifier,
    InputBoolean, InputButton, LawnMower, Light, Lock, MediaPlayer, Person, Scene, Script, Sensor, Siren, Switch,
    Timer, Todo, Vacuum, Valve, WaterHeater, Weather,
};

const fn noun(said: &'static str, domains: &'static [Domain]) -> Noun {
    Noun { said, domains, classes: &[] }
}

const fn class(said: &'static str, domains: &'static [Domain], classes: &'static [&'static str]) -> Noun {
    Noun { said, domains, classes }
}

const OPENING: &[Domain] = &[Cover, BinarySensor, Lock];
const DETECTS: &[Domain] = &[BinarySensor, Sensor];

/// All of them; of two that fit, the longer one counts.
pub const NOUNS: &[Noun] = &[
    noun("light", &[Light]),
    noun("lamp", &[Light]),
    noun("lighting", &[Light]),
    noun("bulb", &[Light]),
    noun("light bulb", &[Light]),
    noun("fan", &[Fan]),
    noun("ventilator", &[Fan]),
    noun("extractor", &[Fan]),
    noun("extractor fan", &[Fan]),
    noun("ventilation", &[Fan]),
    noun("switch", &[Switch, InputBoolean]),
    class("plug", &[Switch], &[]),
    class("outlet", &[Switch], &[]),
    class("socket", &[Switch], &[]),
    noun("power strip", &[Switch]),
    noun("cover", &[Cover]),
    class("blind", &[Cover], &["blind", "shade", "shutter"]),
    class("roller blind", &[Cover], &["blind", "shade", "shutter"]),
    class("window blind", &[Cover], &["blind", "shade", "shutter"]),
    class("shade", &[Cover], &["shade", "blind"]),
    class("window shade", &[Cover], &["shade", "blind"]),
    class("shutter", &[Cover], &["shutter", "blind"]),
    class("roller shutter", &[Cover], &["shutter"]),
    class("roller", &[Cover], &["shutter", "blind", "shade"]),
    class("curtain", &[Cover], &["curtain"]),
    class("drape", &[Cover], &["curtain"]),
    class("awning", &[Cover], &["awning"]),
    class("gate", &[Cover, BinarySensor, Lock], &["gate", "door", "garage_door"]),
    class("garage door", &[Cover, BinarySensor], &["garage", "garage_door"]),
    class("garage gate", &[Cover, BinarySensor], &["garage", "garage_door"]),
    class("garage", &[Cover, BinarySensor], &["garage", "garage_door"]),
    class("garage door opener", &[Cover], &["garage"]),
    class("door", OPENING, &["door", "garage", "gate", "garage_door", "opening", "lock"]),
    class("window", &[Cover, BinarySensor], &["window", "opening"]),
    class("skylight", &[Cover, BinarySensor], &["window", "opening"]),
    noun("valve", &[Valve]),
    class("water", &[Valve], &["water"]),
    class("gas", &[Valve], &["gas"]),
    noun("tap", &[Valve]),
    noun("hose", &[Valve]),
    noun("faucet", &[Valve]),
    noun("sprinkler", &[Valve, Switch]),
    noun("irrigation", &[Valve, Switch]),
    noun("lock", &[Lock]),
    noun("door lock", &[Lock]),
    noun("deadbolt", &[Lock]),
    noun("bolt", &[Lock]),
    noun("thermostat", &[Climate]),
    noun("heating", &[Climate]),
    noun("heat", &[Climate]),
    noun("heater", &[Climate, WaterHeater]),
    noun("radiator", &[Climate]),
    noun("ac", &[Climate]),
    noun("air conditioning", &[Climate]),
    noun("air conditioner", &[Climate]),
    noun("climate", &[Climate]),
    noun("climate control", &[Climate]),
    noun("hvac", &[Climate]),
    noun("cooling", &[Climate]),
    noun("temperature", &[Climate]),
    class("tv", &[MediaPlayer], &["tv"]),
    class("screen", &[MediaPlayer], &["tv"]),
    class("speaker", &[MediaPlayer], &["speaker", "receiver"]),
    class("soundbar", &[MediaPlayer], &["speaker", "receiver"]),
    noun("music", &[MediaPlayer]),
    noun("radio", &[MediaPlayer]),
    noun("media", &[MediaPlayer]),
    noun("media player", &[MediaPlayer]),
    noun("player", &[MediaPlayer]),
    noun("stereo", &[MediaPlayer]),
    noun("sound", &[MediaPlayer]),
    noun("sound system", &[MediaPlayer]),
    noun("audio", &[MediaPlayer]),
    noun("song", &[MediaPlayer]),
    noun("track", &[MediaPlayer]),
    noun("playback", &[MediaPlayer]),
    noun("movie", &[MediaPlayer]),
    noun("film", &[MediaPlayer]),
    noun("video", &[MediaPlayer]),
    noun("show", &[MediaPlayer]),
    noun("podcast", &[MediaPlayer]),
    noun("volume", &[MediaPlayer]),
    noun("vacuum", &[Vacuum]),
    noun("vacuum cleaner", &[Vacuum]),
    noun("robot", &[Vacuum, LawnMower]),
    noun("robot vacuum", &[Vacuum]),
    noun("vacuum robot", &[Vacuum]),
    noun("robot cleaner", &[Vacuum]),
    noun("roomba", &[Vacuum]),
    noun("cleaner", &[Vacuum]),
    noun("mower", &[LawnMower]),
    noun("lawn mower", &[LawnMower]),
    noun("lawnmower", &[LawnMower]),
    noun("mowing robot", &[LawnMower]),
    noun("scene", &[Scene]),
    noun("mode", &[Scene]),
    noun("script", &[Script]),
    noun("routine", &[Script, Automation]),
    noun("automation", &[Automation]),
    noun("list", &[Todo]),
    noun("todo list", &[Todo]),
    noun("todo", &[Todo]),
    noun("to do list", &[Todo]),
    noun("to do", &[Todo]),
    noun("to dos", &[Todo]),
    noun("task list", &[Todo]),
    noun("task", &[Todo]),
    noun("calendar", &[Calendar]),
    noun("schedule", &[Calendar]),
    noun("agenda", &[Calendar]),
    noun("diary", &[Calendar]),
    noun("planner", &[Calendar]),
    noun("weather", &[Weather]),
    noun("forecast", &[Weather]),
    noun("timer", &[Timer]),
    noun("siren", &[Siren]),
    noun("alarm", &[AlarmControlPanel, Siren]),
    noun("alarm system", &[AlarmControlPanel]),
    noun("security system", &[AlarmControlPanel]),
    noun("humidifier", &[Humidifier]),
    noun("dehumidifier", &[Humidifier]),
    noun("water heater", &[WaterHeater]),
    noun("boiler", &[WaterHeater, Climate]),
    noun("camera", &[Camera]),
    noun("button", &[Button, InputButton]),
    noun("person", &[Person]),
    noun("people", &[Person]),
    noun("sensor", DETECTS),
    class("motion sensor", DETECTS, &["motion", "occupancy", "presence"]),
    class("motion detector", DETECTS, &["motion", "occupancy", "presence"]),
    class("motion", DETECTS, &["motion", "occupancy", "presence"]),
    class("door sensor", DETECTS, &["door", "opening", "garage_door"]),
    class("window sensor", DETECTS, &["window", "opening"]),
    class("smoke detector", DETECTS, &["smoke"]),
    class("smoke alarm", DETECTS, &["smoke"]),
    class("leak sensor", DETECTS, &["moisture"]),
    class("leak detector", DETECTS, &["moisture"]),
    class("water sensor", DETECTS, &["moisture"]),
];

/// Words for anything at all.
pub const ANYTHING: &[&str] = &["everything", "anything", "device", "thing", "appliance", "stuff", "something"];

/// What "everything" is where it is switched on or off: neither locks and covers, nor the heating, nor what a switch only stands for.
pub const SWITCHED: &[Domain] = &[Light, Switch, Fan, MediaPlayer, Humidifier];

/// A word without its plural ending, so that "switches" meets "switch".
pub fn singular(word: &str) -> String {
    let n = word.len();
    if n > 4
        && let Some(stem) = word.strip_suffix("ies")
        && !matches!(word, "movies" | "series")
    {
        return format!("{stem}y");
    }
    if n > 4
        && let Some(stem) = word.strip_suffix("es")
        && ["ch", "sh", "x", "ss"].iter().any(|end| stem.ends_with(end))
    {
        return stem.to_owned();
    }
    match word.strip_suffix('s') {
        Some(stem) if n > 3 && !stem.ends_with(['s', 'u', 'i']) => stem.to_owned(),
        Some("tv") => "tv".to_owned(),
        _ => word.to_owned(),
    }
}

/// The longest noun at the beginning of `words`, how many words it takes, and whether it stands in the plural.
pub fn noun_at<S: AsRef<str>>(words: &[S]) -> Option<(Noun, usize, bool)> {
    for n in (1..=3).rev() {
        let Some(said) = words.get(..n) else { continue };
        let last = said[n - 1].as_ref();
        let stem = singular(last);
        let mut phrase = String::new();
        for word in &said[..n - 1] {
            phrase.push_str(word.as_ref());
            phrase.push(' ');
        }
        phrase.push_str(&stem);
        if let Some(noun) = NOUNS.iter().find(|noun| noun.said == phrase) {
            return Some((*noun, n, stem != last));
        }
        if stem != last && n == 1 && NOUNS.iter().any(|noun| noun.said == last) {
            return NOUNS.iter().find(|noun| noun.said == last).map(|noun| (*noun, n, false));
        }
    }
    None
}

impl Noun {
    /// Whether it can mean an entity of this domain and device class.
    pub fn means(&self, domain: Domain, device_class: Option<&str>) -> bool {
        self.domains.contains(&domain)
            && (self.classes.is_empty() || domain == Lock || device_class.is_some_and(|c| self.classes.contains(&c)))
    }

    /// The word for one or several.
    pub fn word(&self, many: bool) -> String {
        match self.said {
            "people" | "music" | "weather" | "lighting" | "heating" | "volume" | "temperature" => self.said.to_owned(),
            said if !many => said.to_owned(),
            said if ["ch", "sh", "x"].iter().any(|end| said.ends_with(end)) => format!("{said}es"),
            said => format!("{said}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns_are_found_in_singular_and_plural() {
        let find = |text: &str| noun_at(&text.split(' ').collect::<Vec<_>>()).map(|(n, len, many)| (n.said, len, many));
        assert_eq!(find("lights"), Some(("light", 1, true)));
        assert_eq!(find("garage doors please"), Some(("garage door", 2, true)));
        assert_eq!(find("to do list"), Some(("to do list", 3, false)));
        assert_eq!(find("switches"), Some(("switch", 1, true)));
        assert_eq!(find("movies"), Some(("movie", 1, true)));
        assert_eq!(find("kitchen"), None);
    }
}

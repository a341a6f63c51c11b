//! The names of a home, ready to be found in a request: entities, areas and floors as normalised words, what words they explain,
//! and the correction of words that are nearly one of theirs.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::nouns::{NOUNS, singular};
use super::numbered::Series;
use crate::domain::Domain;
use crate::model::{Device, Entity, Home};
use crate::spoken::ordinary::is_ordinary;
use crate::spoken::{near, words};

/// An entity's names.
#[derive(Debug, Clone)]
pub struct Named {
    /// Its domain.
    pub domain: Domain,
    /// Its device class.
    pub class: Option<String>,
    /// Its name and aliases as stems.
    pub names: Vec<Vec<String>>,
    /// Its area.
    pub area: Option<usize>,
    /// Its device's name, as stems.
    pub device: Vec<String>,
    /// Words of its device's model and maker: "the rice cooker" of a plug whose device says so.
    pub model: Vec<String>,
    /// Words of nouns that can mean it.
    pub kinds: Vec<&'static str>,
}

/// A place that a request can name: an area, all areas of a floor, or what lies outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// As it is said in an answer: "kitchen", "upstairs".
    pub label: String,
    /// The areas.
    pub areas: Vec<usize>,
    /// What stands before the label: "in the", "on the", or nothing.
    pub preposition: &'static str,
}

impl Place {
    /// "in the kitchen", "upstairs".
    pub fn phrase(&self) -> String {
        if self.preposition.is_empty() { self.label.clone() } else { format!("{} {}", self.preposition, self.label) }
    }
}

/// The most words of a device's model and maker that are kept.
const MOST_MODEL_WORDS: usize = 12;

/// The names of a home.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    /// Entities, in the home's order.
    pub entities: Vec<Named>,
    /// Areas, in the home's order: the names of each, as stems.
    pub areas: Vec<Vec<Vec<String>>>,
    /// Names of places and what they mean, longest first.
    places: Vec<(Vec<String>, Place)>,
    /// Words of areas' names that are no whole name, and the areas they are part of.
    parts: HashMap<String, Vec<usize>>,
    /// Whole names of entities.
    by_name: HashMap<String, Vec<usize>>,
    /// Modes, presets, sources and the like that things here can be set to, as stems.
    options: HashSet<String>,
    /// Every stem that a name contains.
    known: HashSet<String>,
    /// Every stem that a device's model contains.
    models: HashSet<String>,
    /// Numbers in names: "bedroom 1", "bedroom 2".
    series: Series,
    fingerprint: u64,
}

/// A name or phrase as stems: "Anna's Lamps 2" as "annas lamp 2". Small numbers become digits.
pub fn stems(text: &str) -> Vec<String> {
    words(text).iter().filter(|w| *w != "," && *w != ".").map(|w| stem(w)).collect()
}

/// One word as a stem.
pub fn stem(word: &str) -> String {
    match word {
        "one" => "1".to_owned(),
        "two" => "2".to_owned(),
        "three" => "3".to_owned(),
        "four" => "4".to_owned(),
        "five" => "5".to_owned(),
        "six" => "6".to_owned(),
        "seven" => "7".to_owned(),
        "eight" => "8".to_owned(),
        "nine" => "9".to_owned(),
        "ten" => "10".to_owned(),
        "1st" => "first".to_owned(),
        "2nd" => "second".to_owned(),
        "3rd" => "third".to_owned(),
        "volt" | "volts" => "v".to_owned(),
        "watt" | "watts" => "w".to_owned(),
        word => singular(word),
    }
}

/// A name, and the same with the other word for a hall or an entry: "entry light" of "Entryway Light".
fn with_variant(name: Vec<String>) -> Vec<Vec<String>> {
    const PAIRS: &[(&str, &str)] = &[("hall", "hallway"), ("entry", "entryway")];
    let other = |word: &String| {
        let pair = PAIRS.iter().find(|(short, long)| word == short || word == long)?;
        Some(if word == pair.0 { pair.1 } else { pair.0 }.to_owned())
    };
    match name.iter().any(|word| other(word).is_some()) {
        true => {
            let varied = name.iter().map(|word| other(word).unwrap_or_else(|| word.clone())).collect();
            vec![name, varied]
        }
        false => vec![name],
    }
}

const OUTSIDE: &[&str] = &[
    "outside", "outdoor", "garden", "yard", "backyard", "patio", "terrace", "balcony", "porch", "driveway", "deck",
    "lawn", "pool", "carport", "exterior",
];
const UP: &[&str] = &["upstairs", "upper", "first", "second", "top", "attic", "2"];
const DOWN: &[&str] = &["downstairs", "ground", "lower", "main", "1"];

impl Vocabulary {
    /// The names of a home.
    pub fn of(home: &Home) -> Self {
        let floors = home.floors();
        let areas = home.areas();
        let area_names: Vec<Vec<Vec<String>>> = areas
            .iter()
            .map(|a| std::iter::once(&a.name).chain(&a.aliases).map(|n| stems(n)).filter(|n| !n.is_empty()).collect())
            .collect();
        let index: HashMap<&str, usize> = areas.iter().enumerate().map(|(i, a)| (a.id.as_str(), i)).collect();
        let mut kinds: HashMap<(Domain, Option<&str>), Vec<&'static str>> = HashMap::new();
        let entities: Vec<Named> = home
            .entities()
            .iter()
            .map(|e| Named {
                kinds: kinds.entry((e.domain, e.device_class())).or_insert_with(|| kinds_of(e)).clone(),
                domain: e.domain,
                class: e.device_class().map(str::to_owned),
                names: e.names().map(stems).filter(|n| !n.is_empty()).flat_map(with_variant).collect(),
                area: e.area.as_deref().and_then(|a| index.get(a).copied()),
                device: e
                    .device
                    .as_deref()
                    .and_then(|d| home.device(d))
                    .map(|d| stems(&d.name))
                    .filter(|n| !n.is_empty())
                    .unwrap_or_default(),
                model: e.device.as_deref().and_then(|d| home.device(d)).map(model_words).unwrap_or_default(),
            })
            .collect();
        let mut places: Vec<(Vec<String>, Place)> = Vec::new();
        for (i, names) in area_names.iter().enumerate() {
            for name in names {
                let label = areas[i].name.to_lowercase();
                places.push((name.clone(), Place { label, areas: vec![i], preposition: "in the" }));
            }
        }
        for (i, names) in area_names.iter().enumerate() {
            for name in names.iter().cloned().flat_map(with_variant) {
                if !places.iter().any(|(known, _)| *known == name) {
                    let label = areas[i].name.to_lowercase();
                    places.push((name, Place { label, areas: vec![i], preposition: "in the" }));
                }
            }
        }
        for floor in floors {
            let on: Vec<usize> =
                areas.iter().enumerate().filter(|(_, a)| a.floor.as_ref() == Some(&floor.id)).map(|(i, _)| i).collect();
            for name in std::iter::once(&floor.name).chain(&floor.aliases) {
                let name = stems(name);
                if name.is_empty() || places.iter().any(|(known, _)| *known == name) {
                    continue;
                }
                let label = floor.name.to_lowercase();
                let adverb = label == "upstairs" || label == "downstairs" || label == "outside";
                let preposition = if adverb { "" } else { "on the" };
                let place = Place { label, areas: on.clone(), preposition };
                if name.last().is_some_and(|w| w == "floor") && name.len() > 1 {
                    places.push((name[..name.len() - 1].to_vec(), place.clone()));
                } else {
                    let mut long = name.clone();
                    long.push("floor".to_owned());
                    places.push((long, place.clone()));
                }
                places.push((name, place));
            }
        }
        for (label, hints) in [("upstairs", UP), ("downstairs", DOWN)] {
            let fits = |names: &[String]| names.iter().any(|n| hints.contains(&n.as_str()));
            let mut on: Vec<usize> = areas
                .iter()
                .enumerate()
                .filter(|(_, a)| {
                    a.floor.as_deref().and_then(|f| home.floor(f)).is_some_and(|f| {
                        std::iter::once(&f.name).chain(&f.aliases).any(|n| fits(&stems(n)))
                            && !(label == "downstairs" && stems(&f.name).iter().any(|w| w == "first" || w == "second"))
                    })
                })
                .map(|(i, _)| i)
                .collect();
            on.dedup();
            let named = places.iter().any(|(name, _)| name.len() == 1 && name[0] == stem(label));
            if !on.is_empty() && !named {
                let place = Place { label: label.to_owned(), areas: on, preposition: "" };
                places.push((vec![stem(label)], place));
            }
        }
        let outside: Vec<usize> = area_names
            .iter()
            .enumerate()
            .filter(|(i, names)| {
                let floor =
                    areas[*i].floor.as_deref().and_then(|f| home.floor(f)).map(|f| stems(&f.name)).unwrap_or_default();
                names.iter().flatten().chain(&floor).any(|w| OUTSIDE.contains(&w.as_str()))
            })
            .map(|(i, _)| i)
            .collect();
        for word in ["outside", "outdoor", "outdoors", "exterior"] {
            if !outside.is_empty() && !places.iter().any(|(name, _)| name.len() == 1 && name[0] == word) {
                let place = Place { label: "outside".to_owned(), areas: outside.clone(), preposition: "" };
                places.push((vec![stem(word)], place));
            }
        }
        let inside: Vec<usize> = (0..areas.len()).filter(|i| !outside.contains(i)).collect();
        for word in ["indoor", "indoors"] {
            if !places.iter().any(|(name, _)| name.len() == 1 && name[0] == word) {
                let place = Place { label: "indoors".to_owned(), areas: inside.clone(), preposition: "" };
                places.push((vec![stem(word)], place));
            }
        }
        places.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        let mut parts: HashMap<String, Vec<usize>> = HashMap::new();
        for (i, names) in area_names.iter().enumerate() {
            for word in names.iter().flatten() {
                let whole = places.iter().any(|(name, _)| name.len() == 1 && name[0] == *word);
                if !whole && !matches!(word.as_str(), "room" | "the" | "of" | "floor") {
                    let list = parts.entry(word.clone()).or_default();
                    if !list.contains(&i) {
                        list.push(i);
                    }
                }
            }
        }
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        let mut known: HashSet<String> = HashSet::new();
        for (i, entity) in entities.iter().enumerate() {
            for name in &entity.names {
                let list = by_name.entry(name.join(" ")).or_default();
                if !list.contains(&i) {
                    list.push(i);
                }
                known.extend(name.iter().cloned());
            }
            known.extend(entity.device.iter().cloned());
        }
        known.extend(places.iter().flat_map(|(name, _)| name.iter().cloned()));
        for noun in NOUNS {
            known.extend(noun.said.split(' ').map(stem));
        }
        let models = entities.iter().flat_map(|entity| entity.model.iter().cloned()).collect();
        let options = home
            .entities()
            .iter()
            .flat_map(options_of)
            .map(|option| stems(&option.replace('_', " ")).join(" "))
            .filter(|option| !option.is_empty())
            .collect();
        let series = Series::of(area_names.iter().flatten(), entities.iter().flat_map(|entity| &entity.names));
        Self {
            entities,
            areas: area_names,
            places,
            parts,
            by_name,
            options,
            known,
            models,
            series,
            fingerprint: fingerprint(home),
        }
    }

    /// Whether these are still the names of `home`.
    pub fn fits(&self, home: &Home) -> bool {
        self.fingerprint == fingerprint(home)
    }

    /// Entities whose whole name this is, as stems.
    pub fn named(&self, stems: &[String]) -> &[usize] {
        self.by_name.get(&stems.join(" ")).map_or(&[], Vec::as_slice)
    }

    /// Entities whose whole name, of two words or more, stands somewhere in a text.
    pub fn named_within(&self, stems: &[String]) -> Vec<usize> {
        const LONGEST: usize = 6;
        let windows = |n: usize| stems.windows(n).flat_map(|name| self.named(name).iter().copied());
        (2..=LONGEST.min(stems.len())).flat_map(windows).collect()
    }

    /// The longest name of a place at the beginning of `stems`.
    pub fn place_at(&self, stems: &[String]) -> Option<(&Place, usize)> {
        self.places.iter().find(|(name, _)| stems.starts_with(name)).map(|(name, place)| (place, name.len()))
    }

    pub(super) fn series(&self) -> &Series {
        &self.series
    }

    /// Whether a text names a place.
    pub fn has_place_in(&self, text: &str) -> bool {
        let stems = stems(text);
        (0..stems.len()).any(|at| self.place_at(&stems[at..]).is_some())
    }

    /// Areas that have this word in their name, where it is no place's whole name.
    pub fn areas_with(&self, stem: &str) -> &[usize] {
        self.parts.get(stem).map_or(&[], Vec::as_slice)
    }

    /// Whether an entity's own name holds this word.
    pub fn in_a_name(&self, stem: &str) -> bool {
        self.entities.iter().any(|entity| entity.names.iter().flatten().any(|word| word == stem))
    }

    /// Whether something here can be set to this, as stems.
    pub fn is_option(&self, stems: &[String]) -> bool {
        self.options.contains(&stems.join(" "))
    }

    /// Whether a name of the home, or a noun, contains this stem.
    pub fn knows(&self, stem: &str) -> bool {
        self.known.contains(stem) || self.models.contains(stem)
    }

    /// The request with words that nothing explains replaced by the one of the home's that they nearly are; `None` where nothing
    /// is to be replaced. `also` are words of sentences, which are left as they are.
    pub fn corrected(&self, request: &str, also: &[&HashSet<String>]) -> Option<String> {
        let said: Vec<&str> = request.split(' ').collect();
        let mut out: Vec<String> = Vec::with_capacity(said.len());
        let mut changed = false;
        let mut i = 0;
        while i < said.len() {
            let word = said[i];
            let explained = |w: &str| {
                self.knows(&stem(w))
                    || also.iter().any(|words| words.contains(w))
                    || crate::spoken::number(&[w]).is_some()
                    || matches!(w, "hundred" | "thousand" | "half" | "point")
            };
            if let Some(next) = said.get(i + 1)
                && word.len() + next.len() >= 6
                && self.known.contains(&stem(&format!("{word}{next}")))
            {
                // "bath room", "work top"
                out.push(format!("{word}{next}"));
                changed = true;
                i += 2;
                continue;
            }
            if let Some(next) = said.get(i + 1)
                && !(explained(word) && explained(next))
                && let joined = stem(&format!("{word}{next}"))
                && joined.len() >= 7
                && let Some(near) = near::nearest(&joined, self.known.iter().map(String::as_str))
                && near::nearest(&stem(next), self.known.iter().map(String::as_str)).is_none()
            {
                // "stand art" for "standard"
                out.push(near.to_owned());
                changed = true;
                i += 2;
                continue;
            }
            // A word for something that a home can have is not misspelt: without a sauna here, none is meant.
            if is_ordinary(&stem(word)) && !explained(word) {
                out.push(word.to_owned());
                i += 1;
                continue;
            }
            if !explained(word) {
                if let Some(two) = self.split(word) {
                    out.push(two);
                    changed = true;
                } else if let Some(near) = near::nearest(&stem(word), self.known.iter().map(String::as_str))
                    .or_else(|| near::nearest(&stem(word), also.iter().copied().flatten().map(String::as_str)))
                {
                    let many = singular(word) != word && singular(near) == near;
                    out.push(if many { format!("{near}s") } else { near.to_owned() });
                    changed = true;
                } else {
                    out.push(word.to_owned());
                }
            } else {
                out.push(word.to_owned());
            }
            i += 1;
        }
        changed.then(|| out.join(" "))
    }

    /// A word that is two of a name's written together: "livingroom".
    fn split(&self, word: &str) -> Option<String> {
        let names = self.places.iter().map(|(name, _)| name).chain(self.entities.iter().flat_map(|e| &e.names));
        for name in names {
            for pair in name.windows(2) {
                if pair[0].len() + pair[1].len() == word.len() && word.starts_with(&pair[0]) && word.ends_with(&pair[1])
                {
                    return Some(pair.join(" "));
                }
            }
        }
        None
    }
}

/// Words of models' names that say nothing of what a thing is.
#[rustfmt::skip]
const PLAIN: &[&str] = &[
    "smart", "wifi", "pro", "mini", "plus", "max", "ultra", "lite", "home", "house", "dual", "zigbee", "zwave", "matter",
    "hub", "bridge", "module", "relay", "controller", "device", "system", "series", "gen", "edition", "version", "premium",
    "standard", "classic", "advanced", "generic", "model", "type", "voice", "preview", "assistant", "and", "the", "for", "with",
    "all", "over", "next", "play", "open", "close", "low", "high", "auto", "eco", "color", "colour", "ambiance", "control", "up",
    "down", "one", "go", "move", "indoor", "outdoor", "energy", "power", "floor", "sensor", "detector", "monitor", "meter", "switch",
    "plug", "outlet", "socket", "dimmer",
];

/// What a device's model and maker say of it, as stems: words that could be said for its name.
fn model_words(device: &Device) -> Vec<String> {
    let said = ["model", "manufacturer"].iter().filter_map(|key| device.info.get(*key)?.as_str());
    let mut words: Vec<String> = said
        .flat_map(stems)
        .filter(|word| {
            let is_word = word.len() > 2 && word.chars().all(char::is_alphabetic);
            is_word
                && !PLAIN.contains(&word.as_str())
                && crate::spoken::colour(&[word.as_str()]).is_none()
                && crate::spoken::number(&[word.as_str()]).is_none()
        })
        .take(MOST_MODEL_WORDS)
        .collect();
    words.dedup();
    words
}

/// Words of the nouns that can mean an entity.
fn kinds_of(entity: &Entity) -> Vec<&'static str> {
    let class = entity.device_class();
    let mut words: Vec<&'static str> = NOUNS
        .iter()
        .filter(|n| n.means(entity.domain, class) || class.is_none() && n.domains.contains(&entity.domain))
        .flat_map(|n| n.said.split(' '))
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// What an entity can be set to, whatever it is called.
fn options_of(entity: &Entity) -> impl Iterator<Item = &str> {
    const KEYS: [&str; 10] = [
        "options",
        "preset_modes",
        "fan_modes",
        "swing_modes",
        "available_modes",
        "operation_list",
        "source_list",
        "sound_mode_list",
        "effect_list",
        "fan_speed_list",
    ];
    KEYS.iter().flat_map(|key| entity.options(key))
}

/// A number that is another where names are.
fn fingerprint(home: &Home) -> u64 {
    let mut hasher = DefaultHasher::new();
    for floor in home.floors() {
        (&floor.id, &floor.name, &floor.aliases).hash(&mut hasher);
    }
    for area in home.areas() {
        (&area.id, &area.name, &area.aliases, &area.floor).hash(&mut hasher);
    }
    for device in home.devices() {
        (&device.id, &device.name).hash(&mut hasher);
        for key in ["model", "manufacturer"] {
            device.info.get(key).and_then(serde_json::Value::as_str).hash(&mut hasher);
        }
    }
    for entity in home.entities() {
        (&entity.device, &entity.id, &entity.name, &entity.aliases, &entity.area).hash(&mut hasher);
        options_of(entity).for_each(|option| option.hash(&mut hasher));
    }
    hasher.finish()
}

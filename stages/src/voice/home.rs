//! The home: rooms, doors, devices and the weather outside, kept in one small JSON file that both the assistant and
//! other programs (a sensor bridge, a person with an editor) write. This file reads it, renders it for the prompt,
//! changes one value at a time and writes it back atomically. It leaves out switching real lamps: whatever drives
//! them watches the same file. The file is not locked: each change is made on what the file holds at that moment, so
//! that only a foreign write in the very instant between reading and renaming can be lost.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nearfield_base::lists::joined;
use nearfield_base::persist::Replacement;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The largest state file that is read, in bytes. A home of a thousand rooms needs less than a tenth of this.
pub const MAX_HOME_BYTES: u64 = 1 << 20;

/// How often a file that cannot be understood is read again before a change is refused: another program may be
/// in the middle of writing it.
const ATTEMPTS: u32 = 5;
const ATTEMPT_PAUSE: Duration = Duration::from_millis(20);

/// The state of a home. Clone it freely; only the original should write.
#[derive(Debug, Clone)]
pub struct Home {
    /// The whole file, with the keys that Nearfield does not know, in the file's order.
    state: Map<String, Value>,
    path: Option<PathBuf>,
    seen: Option<Stamp>,
}

/// How the home stands in the prompt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HomeLayout {
    /// A line for each room, door and device.
    #[default]
    ByThing,
    /// Grouped by state and ranked by reading, as the bundled model was trained: [`Home::render`].
    Grouped,
}

/// What a door can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoorState {
    /// Shut, and the lock turned.
    Locked,
    /// The lock is not turned.
    Unlocked,
    /// Standing open.
    Open,
    /// Shut.
    Closed,
}

impl DoorState {
    /// The words of the state file.
    pub const WORDS: [&str; 4] = ["locked", "unlocked", "open", "closed"];

    /// The state that a word of the file means, if it is one.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "locked" => Self::Locked,
            "unlocked" => Self::Unlocked,
            "open" => Self::Open,
            "closed" => Self::Closed,
            _ => return None,
        })
    }

    /// The word that stands in the state file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Locked => "locked",
            Self::Unlocked => "unlocked",
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// What a change did: `what` ("kitchen light", "front door", or "lights" for all of them) is now `state`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The thing changed, named as in the file.
    pub what: String,
    /// Its state now.
    pub state: &'static str,
}

/// Why the home could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The file is missing or unreadable.
    #[error("cannot read the home's state file {path}: {cause}; name an existing JSON file with --home")]
    Read {
        /// The state file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file is longer than [`MAX_HOME_BYTES`].
    #[error("the home's state file {path} is larger than {MAX_HOME_BYTES} bytes; is it the right file?")]
    TooLarge {
        /// The state file.
        path: PathBuf,
    },
    /// The text is not JSON.
    #[error("the home's state {place} is not valid JSON: {reason}")]
    Json {
        /// "file PATH" or "text".
        place: String,
        /// Line and column, from the parser.
        reason: String,
    },
    /// A room, a door, a device or a field stands there twice.
    #[error("the home's state {place}: {reason}; keep one of them")]
    Duplicate {
        /// "file PATH" or "text".
        place: String,
        /// The key, line and column.
        reason: String,
    },
    /// A value has another kind than the form asks for.
    #[error("the home's state {place}: `{key}` must be {expected}, but it is {found}")]
    Kind {
        /// "file PATH" or "text".
        place: String,
        /// The key, from the top, with dots.
        key: String,
        /// The accepted values.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// There is no such room, door or device. Worded to be spoken.
    #[error("{0}")]
    Unknown(String),
    /// The changed state could not be written; the file and the state in memory are as before.
    #[error("cannot write the home's state file {path}: {cause}; the change was not made")]
    Write {
        /// The state file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl HomeError {
    /// The cause alone, worded to be spoken: "the disk is full".
    pub fn cause(&self) -> String {
        match self {
            Self::Read { cause: source, .. } => match source.kind() {
                io::ErrorKind::NotFound => "the file of the home is gone".to_owned(),
                io::ErrorKind::PermissionDenied => "the file of the home may not be read".to_owned(),
                io::ErrorKind::InvalidInput => "the file of the home is no file any more".to_owned(),
                _ => format!("the file of the home cannot be read, {}", words_of(source)),
            },
            Self::TooLarge { .. } => "the file of the home is too large".to_owned(),
            Self::Json { .. } | Self::Duplicate { .. } | Self::Kind { .. } => {
                "the file of the home has an error in it".to_owned()
            }
            Self::Unknown(words) => words.clone(),
            Self::Write { cause: source, .. } => match source.kind() {
                io::ErrorKind::StorageFull => "the disk is full".to_owned(),
                io::ErrorKind::QuotaExceeded => "the disk quota is used up".to_owned(),
                io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only".to_owned(),
                io::ErrorKind::PermissionDenied => "the folder of the home's file may not be written".to_owned(),
                io::ErrorKind::NotFound => "the file of the home is gone".to_owned(),
                _ => format!("the file of the home cannot be written, {}", words_of(source)),
            },
        }
    }
}

/// What the system says, without its number.
fn words_of(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.split(": ").last().unwrap_or_default().to_lowercase()
}

impl Home {
    /// Reads a state file.
    ///
    /// # Errors
    /// [`HomeError`] when it is missing, too large, not JSON, or a known key has a value of another kind.
    pub fn load(path: impl Into<PathBuf>) -> Result<Self, HomeError> {
        let path = path.into();
        let (state, stamp) = read(&path)?;
        Ok(Self { state, path: Some(path), seen: Some(stamp) })
    }

    /// A home that lives in memory only: changes are not written anywhere.
    ///
    /// # Errors
    /// [`HomeError`] when the text is not JSON or a known key has a value of another kind.
    pub fn from_json(text: &str) -> Result<Self, HomeError> {
        Ok(Self { state: parse(text.as_bytes(), "text")?, path: None, seen: None })
    }

    /// The home as it stands in the system message, without a final newline; empty when there is nothing to say.
    ///
    /// It is grouped by what people ask for, so that also a small model reads off which lights are on and where it is warmest,
    /// and has each thing's state behind its name, so that one thing is looked up as easily; what changes most often comes
    /// last, so that a cache keeps what is before it. A room without a light or a reading that others have is named as such.
    ///
    /// ```text
    /// lights on: hall=on
    /// lights off: kitchen=off, bath=off and den=off
    /// no light: attic=none
    /// doors locked: front door=locked
    /// devices on: heater=on
    /// no humidity: attic=none
    /// humidity %, highest first: hall=45, kitchen=40
    /// temperature °C, warmest first: kitchen=21.5, hall=19, attic=-3.2
    /// attic: window open
    /// outside: 4 °C, rain
    /// ```
    pub fn render(&self) -> String {
        let named = |key| self.part(key).map(|(name, value)| (plain(name), value)).collect::<Vec<_>>();
        let rooms = named("rooms");
        let mut lines = Vec::new();
        by_state(&mut lines, "lights", &["on", "off"], &rooms, |room| &room["light"]);
        lacking(&mut lines, "light", &rooms, |room| room["light"].is_string());
        by_state(&mut lines, "doors", &DoorState::WORDS, &named("doors"), |door| door);
        by_state(&mut lines, "devices", &["on", "off"], &named("devices"), |device| device);
        ranked(&mut lines, ("humidity", "humidity_pct"), "humidity %, highest first", &rooms);
        ranked(&mut lines, ("temperature", "temperature_c"), "temperature °C, warmest first", &rooms);
        for (name, room) in &rooms {
            let facts = room.as_object().map(|room| extras(room, &["temperature_c", "humidity_pct", "light"]));
            if let Some(facts) = facts.filter(|facts| !facts.is_empty()) {
                lines.push(format!("{name}: {}", facts.join(", ")));
            }
        }
        let outside = outside_facts(self.state.get("outside"));
        if !outside.is_empty() {
            lines.push(format!("outside: {}", outside.join(", ")));
        }
        lines.join("\n")
    }

    /// The home as [`Home::render`] writes it for the bundled model, or a line for each room, door and device for any other.
    ///
    /// ```text
    /// hall: light on, 19 °C, humidity 45 %
    /// attic: -3.2 °C, window open
    /// front door: locked
    /// heater: on
    /// outside: 4 °C, rain
    /// ```
    pub fn render_as(&self, layout: HomeLayout) -> String {
        if layout == HomeLayout::Grouped {
            return self.render();
        }
        let mut lines = Vec::new();
        for (name, room) in self.part("rooms") {
            let number = |key: &str| room[key].as_number().map(shortest);
            let mut facts = Vec::new();
            facts.extend(room["light"].as_str().map(|state| format!("light {}", plain(state))));
            facts.extend(number("temperature_c").map(|degrees| format!("{degrees} °C")));
            facts.extend(number("humidity_pct").map(|percent| format!("humidity {percent} %")));
            let known = ["temperature_c", "humidity_pct", "light"];
            facts.extend(room.as_object().map(|room| extras(room, &known)).unwrap_or_default());
            if !facts.is_empty() {
                lines.push(format!("{}: {}", plain(name), facts.join(", ")));
            }
        }
        for (name, state) in self.part("doors").chain(self.part("devices")) {
            lines.extend(state.as_str().map(|state| format!("{}: {}", plain(name), plain(state))));
        }
        let outside = outside_facts(self.state.get("outside"));
        if !outside.is_empty() {
            lines.push(format!("outside: {}", outside.join(", ")));
        }
        lines.join("\n")
    }

    /// Whether some room has a light.
    pub fn has_lights(&self) -> bool {
        self.part("rooms").any(|(_, room)| room.get("light").is_some_and(Value::is_string))
    }

    /// Whether there is a door.
    pub fn has_doors(&self) -> bool {
        self.part("doors").any(|(_, state)| state.is_string())
    }

    /// Whether there is a device.
    pub fn has_devices(&self) -> bool {
        self.part("devices").any(|(_, state)| state.is_string())
    }

    /// Turns the light of a room, or of every room ("all"), on or off, and writes the file.
    ///
    /// # Errors
    /// [`HomeError::Unknown`] when there is no such light; otherwise what kept the file from being read or written.
    pub fn set_light(&mut self, room: &str, on: bool) -> Result<Change, HomeError> {
        let state = on_off(on);
        self.change(|home| {
            let rooms = home.get_mut("rooms").and_then(Value::as_object_mut);
            let mut lit: Vec<(&String, &mut Value)> = rooms
                .into_iter()
                .flatten()
                .filter_map(|(name, room)| Some((name, room.get_mut("light")?)))
                .filter(|(_, light)| light.is_string())
                .collect();
            set(&mut lit, room, &[" light", " lights", " lamp"], state, "lights", |wanted| {
                format!("there is no light in the {wanted}")
            })
            .map(|(name, change)| match name {
                Some(name) => Change { what: format!("{name} light"), ..change },
                None => change,
            })
        })
    }

    /// Locks, unlocks, opens or closes a door, or all of them ("all"), and writes the file.
    ///
    /// # Errors
    /// As [`Home::set_light`].
    pub fn set_door(&mut self, door: &str, state: DoorState) -> Result<Change, HomeError> {
        self.change(|home| {
            let doors = home.get_mut("doors").and_then(Value::as_object_mut);
            let mut doors: Vec<(&String, &mut Value)> =
                doors.into_iter().flatten().filter(|(_, state)| state.is_string()).collect();
            set(&mut doors, door, &[" door", " doors"], state.word(), "doors", |wanted| {
                if wanted.ends_with(" door") || wanted.ends_with("gate") || wanted.ends_with("window") {
                    format!("there is no {wanted}")
                } else {
                    format!("there is no {wanted} door")
                }
            })
            .map(|(_, change)| change)
        })
    }

    /// Turns a device, or all of them ("all"), on or off, and writes the file.
    ///
    /// # Errors
    /// As [`Home::set_light`].
    pub fn set_device(&mut self, device: &str, on: bool) -> Result<Change, HomeError> {
        self.change(|home| {
            let devices = home.get_mut("devices").and_then(Value::as_object_mut);
            let mut devices: Vec<(&String, &mut Value)> =
                devices.into_iter().flatten().filter(|(_, state)| state.is_string()).collect();
            set(&mut devices, device, &[], on_off(on), "devices", |wanted| format!("there is no {wanted}"))
                .map(|(_, change)| change)
        })
    }

    /// Reads the file again if someone wrote it since. Answers whether the state in memory is another one now.
    ///
    /// # Errors
    /// [`HomeError`] when the file is broken or gone: once for each version of it. The last good state is kept.
    pub fn reload_if_changed(&mut self) -> Result<bool, HomeError> {
        let Some(path) = &self.path else { return Ok(false) };
        let now = fs::metadata(path).ok().map(|meta| Stamp::of(&meta));
        if now == self.seen {
            return Ok(false);
        }
        self.seen = now;
        let (state, stamp) = read(path)?;
        self.seen = Some(stamp);
        let changed = state != self.state;
        self.state = state;
        Ok(changed)
    }

    fn part(&self, key: &str) -> impl Iterator<Item = (&String, &Value)> + use<'_> {
        self.state.get(key).and_then(Value::as_object).into_iter().flatten()
    }

    /// Runs `edit` on what the file holds now, writes the result, and only then takes it as the state.
    fn change(
        &mut self,
        edit: impl FnOnce(&mut Map<String, Value>) -> Result<Change, HomeError>,
    ) -> Result<Change, HomeError> {
        let mut state = match &self.path {
            Some(path) => read_patiently(path)?.0,
            None => self.state.clone(),
        };
        let change = edit(&mut state)?;
        if let Some(path) = &self.path {
            let stamp = write(path, &state).map_err(|source| HomeError::Write { path: path.clone(), cause: source })?;
            self.seen = Some(stamp);
        }
        self.state = state;
        Ok(change)
    }
}

/// Tells one version of a file from the next. The inode is part of it: an atomic rename within one tick of the clock,
/// to the same length, is still seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    seconds: i64,
    nanoseconds: i64,
    length: u64,
    inode: u64,
}

impl Stamp {
    fn of(meta: &fs::Metadata) -> Self {
        Self { seconds: meta.mtime(), nanoseconds: meta.mtime_nsec(), length: meta.len(), inode: meta.ino() }
    }
}

fn read_patiently(path: &Path) -> Result<(Map<String, Value>, Stamp), HomeError> {
    let mut attempt = 1;
    loop {
        match read(path) {
            Err(error) if attempt == ATTEMPTS => return Err(error),
            Err(_) => {
                attempt += 1;
                std::thread::sleep(ATTEMPT_PAUSE);
            }
            good => return good,
        }
    }
}

fn read(path: &Path) -> Result<(Map<String, Value>, Stamp), HomeError> {
    let failed = |source| HomeError::Read { path: path.to_owned(), cause: source };
    // Asked before opening: to open a named pipe would wait for its writer.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
    }
    let file = File::open(path).map_err(failed)?;
    let stamp = Stamp::of(&file.metadata().map_err(failed)?);
    let mut bytes = Vec::new();
    file.take(MAX_HOME_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_HOME_BYTES {
        return Err(HomeError::TooLarge { path: path.to_owned() });
    }
    Ok((parse(&bytes, &format!("file {}", path.display()))?, stamp))
}

/// Replaces the file whole, so that a reader sees the old text or the new one and never half of it.
fn write(path: &Path, state: &Map<String, Value>) -> io::Result<Stamp> {
    let mut text = serde_json::to_vec_pretty(state)?;
    text.push(b'\n');
    let mut file = Replacement::begin(path)?;
    file.write_all(&text)?;
    let stamp = Stamp::of(&file.metadata()?);
    file.commit()?;
    Ok(stamp)
}

fn parse(bytes: &[u8], place: &str) -> Result<Map<String, Value>, HomeError> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let value: Value = nearfield_base::json::from_slice(bytes).map_err(|error| {
        let (place, reason) = (place.to_owned(), error.to_string());
        if error.is_data() { HomeError::Duplicate { place, reason } } else { HomeError::Json { place, reason } }
    })?;
    let kind = |key: &str, expected: &'static str, found: &Value| HomeError::Kind {
        place: place.to_owned(),
        key: plain(key),
        expected,
        found: describe(found),
    };
    let Value::Object(state) = value else {
        return Err(kind("(the whole file)", "an object with rooms, doors, devices, outside", &value));
    };
    let part = |key: &'static str| match state.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(part)) => Ok(Some(part)),
        Some(other) => Err(kind(key, "an object", other)),
    };
    let number = |key: String, value: Option<&Value>| match value {
        None | Some(Value::Null | Value::Number(_)) => Ok(()),
        Some(other) => Err(kind(&key, "a number", other)),
    };
    for (name, room) in part("rooms")?.into_iter().flatten() {
        let Value::Object(fields) = room else {
            return Err(kind(&format!("rooms.{name}"), "an object", room));
        };
        for key in ["temperature_c", "humidity_pct"] {
            number(format!("rooms.{name}.{key}"), fields.get(key))?;
        }
        match fields.get("light") {
            None | Some(Value::Null) => {}
            Some(Value::String(light)) if light == "on" || light == "off" => {}
            Some(other) => return Err(kind(&format!("rooms.{name}.light"), "\"on\" or \"off\"", other)),
        }
    }
    for (name, state) in part("doors")?.into_iter().flatten() {
        if !(state.is_null() || state.as_str().is_some_and(|word| DoorState::from_word(word).is_some())) {
            let expected = "\"locked\", \"unlocked\", \"open\" or \"closed\"";
            return Err(kind(&format!("doors.{name}"), expected, state));
        }
    }
    for (name, state) in part("devices")?.into_iter().flatten() {
        if !(state.is_null() || matches!(state.as_str(), Some("on" | "off"))) {
            return Err(kind(&format!("devices.{name}"), "\"on\" or \"off\"", state));
        }
    }
    if let Some(outside) = part("outside")? {
        number("outside.temperature_c".to_owned(), outside.get("temperature_c"))?;
        number("outside.humidity_pct".to_owned(), outside.get("humidity_pct"))?;
        match outside.get("weather") {
            None | Some(Value::Null | Value::String(_)) => {}
            Some(other) => return Err(kind("outside.weather", "a text", other)),
        }
    }
    Ok(state)
}

/// Adds a line for each state that something is in: `doors open: gate=open and hatch=open`.
fn by_state(
    lines: &mut Vec<String>,
    what: &str,
    words: &[&str],
    things: &[(String, &Value)],
    state: impl Fn(&Value) -> &Value,
) {
    for word in words {
        let within = things.iter().filter(|(_, thing)| state(thing).as_str() == Some(word));
        let named: Vec<String> = within.map(|(name, _)| format!("{name}={word}")).collect();
        if !named.is_empty() {
            lines.push(format!("{what} {word}: {}", joined(&named)));
        }
    }
}

/// Adds a line with the rooms that do not have what others have.
fn lacking(lines: &mut Vec<String>, what: &str, rooms: &[(String, &Value)], has: impl Fn(&Value) -> bool) {
    let without: Vec<String> =
        rooms.iter().filter(|(_, room)| !has(room)).map(|(name, _)| format!("{name}=none")).collect();
    if !without.is_empty() && without.len() < rooms.len() {
        lines.push(format!("no {what}: {}", joined(&without)));
    }
}

/// Adds a line with the readings of the rooms, the highest first and equal ones in the file's order.
fn ranked(lines: &mut Vec<String>, (what, key): (&str, &str), title: &str, rooms: &[(String, &Value)]) {
    lacking(lines, what, rooms, |room| room[key].is_number());
    let mut readings: Vec<(f64, String)> = rooms
        .iter()
        .filter_map(|(name, room)| match &room[key] {
            Value::Number(number) => Some((number.as_f64()?, format!("{name}={}", shortest(number)))),
            _ => None,
        })
        .collect();
    readings.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    if !readings.is_empty() {
        let shown: Vec<String> = readings.into_iter().map(|(_, shown)| shown).collect();
        lines.push(format!("{title}: {}", shown.join(", ")));
    }
}

fn outside_facts(outside: Option<&Value>) -> Vec<String> {
    let Some(outside) = outside.and_then(Value::as_object) else { return Vec::new() };
    let mut facts = Vec::new();
    if let Some(Value::Number(celsius)) = outside.get("temperature_c") {
        facts.push(format!("{} °C", shortest(celsius)));
    }
    if let Some(Value::Number(percent)) = outside.get("humidity_pct") {
        facts.push(format!("humidity {} %", shortest(percent)));
    }
    if let Some(weather) = outside.get("weather").and_then(Value::as_str).map(plain).filter(|it| !it.is_empty()) {
        facts.push(weather);
    }
    facts.extend(extras(outside, &["temperature_c", "humidity_pct", "weather"]));
    facts
}

/// The scalar fields beyond the known ones, as "name value"; objects and lists stay in the file only.
fn extras(of: &Map<String, Value>, known: &[&str]) -> Vec<String> {
    let mut facts = Vec::new();
    for (name, value) in of.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
        let value = match value {
            Value::Bool(yes) => yes.to_string(),
            Value::Number(number) => shortest(number),
            Value::String(text) => plain(text),
            Value::Null | Value::Array(_) | Value::Object(_) => continue,
        };
        let mut fact = plain(name);
        let _ = write!(fact, " {value}"); // writing to a String cannot fail
        facts.push(fact.trim().to_owned());
    }
    facts
}

/// 21.5, 4 (for 4.0), -3.2; never "-0". Numbers beyond any sensor are shortened to an exponent.
fn shortest(number: &serde_json::Number) -> String {
    match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => whole.to_string(),
        (None, Some(0.0)) => "0".to_owned(),
        (None, Some(real)) if real.abs() >= 1e15 || real.abs() < 1e-6 => format!("{real:e}"),
        (None, Some(real)) => real.to_string(),
        (None, None) => number.to_string(),
    }
}

/// One line of text: a name from the file cannot start a line of its own in the prompt.
fn plain(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => {
            let short: String = text.chars().take(40).collect();
            format!("the text {short:?}")
        }
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// Sets one of `things`, or all of them, and says which one; `suffixes` may follow or be missing in the name wanted.
fn set(
    things: &mut [(&String, &mut Value)],
    wanted: &str,
    suffixes: &[&str],
    state: &'static str,
    plural: &str,
    missing: impl Fn(&str) -> String,
) -> Result<(Option<String>, Change), HomeError> {
    let wanted = folded(wanted);
    if let Some(index) = find(things, &wanted, suffixes) {
        let (name, value) = &mut things[index];
        **value = Value::from(state);
        return Ok((Some((*name).clone()), Change { what: (*name).clone(), state }));
    }
    let singular = plural.trim_end_matches('s');
    let rest = wanted.trim_start_matches("all ").trim_start_matches("the ").trim_start_matches("every ");
    let everything = ["all", "everything", "every", "everywhere", plural, singular];
    if wanted == "all" || wanted == "everything" || wanted == plural || (rest != wanted && everything.contains(&rest)) {
        if things.is_empty() {
            return Err(HomeError::Unknown(format!("there are no {plural} here")));
        }
        for (_, value) in things.iter_mut() {
            **value = Value::from(state);
        }
        return Ok((None, Change { what: plural.to_owned(), state }));
    }
    let short: String = wanted.chars().take(60).collect();
    let mut shown = short.as_str();
    if plural == "lights" {
        for suffix in suffixes {
            shown = shown.strip_suffix(suffix).unwrap_or(shown);
        }
    }
    Err(HomeError::Unknown(if shown.is_empty() { format!("there is no such {singular}") } else { missing(shown) }))
}

fn find(things: &[(&String, &mut Value)], wanted: &str, suffixes: &[&str]) -> Option<usize> {
    let bare = |name: &str| suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name).to_owned();
    things
        .iter()
        .position(|(name, _)| folded(name) == wanted)
        .or_else(|| things.iter().position(|(name, _)| !wanted.is_empty() && bare(&folded(name)) == bare(wanted)))
}

/// A name as people and models vary it: case, spaces, underscores, a leading "the".
fn folded(name: &str) -> String {
    let spaced: String = name.chars().map(|c| if c == '_' || c.is_control() { ' ' } else { c }).collect();
    let lower = spaced.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    match words.as_slice() {
        ["the", rest @ ..] if !rest.is_empty() => rest.join(" "),
        all => all.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const HOME: &str = r#"{"outside": {"temperature_c": 4.0, "weather": "rain"},
        "rooms": {"kitchen": {"temperature_c": 21.5, "humidity_pct": 40, "light": "off"}, "hall": {"light": "on"},
                  "cellar": {}, "attic": {"temperature_c": -3.2}},
        "doors": {"front door": "locked"}, "devices": {"coffee machine": "off"}, "bridge": {"version": [1, 2]}}"#;

    fn on_disk(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("home.json");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn any_other_model_than_the_bundled_one_reads_a_line_for_each_room_door_and_device() {
        let text = r#"{"rooms": {"kitchen": {"temperature_c": 21.5, "humidity_pct": 40, "light": "off"}, "attic": {"window": "open"},
            "den": {}}, "doors": {"front door": "locked"}, "devices": {"heater": "on"}, "outside": {"temperature_c": 4}}"#;
        let home = Home::from_json(text).unwrap();
        assert_eq!(
            home.render_as(HomeLayout::ByThing),
            "kitchen: light off, 21.5 °C, humidity 40 %\nattic: window open\nfront door: locked\nheater: on\noutside: 4 °C"
        );
        assert_eq!(home.render_as(HomeLayout::Grouped), home.render());
    }

    #[test]
    fn a_home_is_rendered_by_state_and_by_reading() {
        let home = Home::from_json(HOME).unwrap();
        assert_eq!(
            home.render(),
            "lights on: hall=on\nlights off: kitchen=off\nno light: cellar=none and attic=none\n\
             doors locked: front door=locked\ndevices off: coffee machine=off\n\
             no humidity: hall=none, cellar=none and attic=none\nhumidity %, highest first: kitchen=40\n\
             no temperature: hall=none and cellar=none\ntemperature °C, warmest first: kitchen=21.5, attic=-3.2\n\
             outside: 4 °C, rain"
        );
    }

    #[test]
    fn states_have_an_order_of_their_own_and_equal_readings_keep_the_files() {
        let home = Home::from_json(
            r#"{"rooms": {"a": {"temperature_c": 20}, "b": {"temperature_c": 21.0}, "c": {"temperature_c": 20.0}, "d": {"temperature_c": 21}},
                "doors": {"w": "open", "x": "locked", "y": "open", "z": null}, "devices": {"fan": "off", "tv": "on"}}"#,
        );
        assert_eq!(
            home.unwrap().render(),
            "doors locked: x=locked\ndoors open: w=open and y=open\ndevices on: tv=on\ndevices off: fan=off\n\
             temperature °C, warmest first: b=21, d=21, a=20, c=20"
        );
    }

    #[test]
    fn an_empty_home_renders_nothing() {
        for text in ["{}", r#"{"rooms": {}, "doors": {}, "outside": {}}"#, r#"{"rooms": {"hall": {}}}"#, "\u{feff}{}"] {
            assert_eq!(Home::from_json(text).unwrap().render(), "");
        }
    }

    #[test]
    fn extra_scalar_fields_are_rendered_as_name_and_value() {
        let home = Home::from_json(
            r#"{"rooms": {"den": {"co2_ppm": 600.0, "light": "on", "window": "open", "x": null, "log": [1]}}}"#,
        );
        assert_eq!(home.unwrap().render(), "lights on: den=on\nden: co2_ppm 600, window open");
    }

    #[test]
    fn numbers_are_printed_as_the_shortest_decimal() {
        for (text, shown) in
            [("21.50", "21.5"), ("4.0", "4"), ("-3.2", "-3.2"), ("-0.0", "0"), ("1e300", "1e300"), ("40", "40")]
        {
            let home = Home::from_json(&format!(r#"{{"outside": {{"temperature_c": {text}}}}}"#)).unwrap();
            assert_eq!(home.render(), format!("outside: {shown} °C"));
        }
    }

    #[test]
    fn a_name_with_line_breaks_cannot_forge_a_line_of_the_prompt() {
        let home = Home::from_json(r#"{"devices": {"a\nfront door": "on"}, "outside": {"weather": "x\ny"}}"#).unwrap();
        assert_eq!(home.render(), "devices on: a front door=on\noutside: x y");
    }

    #[test]
    fn wrong_values_are_one_sentence_with_the_path_and_the_key() {
        for (text, key) in [
            ("[]", "(the whole file)"),
            (r#"{"rooms": 3}"#, "`rooms` must be an object, but it is 3"),
            (r#"{"rooms": {"den": "on"}}"#, "`rooms.den` must be an object"),
            (
                r#"{"rooms": {"den": {"temperature_c": "warm"}}}"#,
                "`rooms.den.temperature_c` must be a number, but it is the text \"warm\"",
            ),
            (r#"{"rooms": {"den": {"light": true}}}"#, "`rooms.den.light` must be \"on\" or \"off\", but it is true"),
            (r#"{"doors": {"gate": "ajar"}}"#, "`doors.gate` must be \"locked\""),
            (r#"{"devices": {"fan": []}}"#, "`devices.fan` must be \"on\" or \"off\", but it is a list"),
            (r#"{"outside": {"weather": 1}}"#, "`outside.weather` must be a text"),
            (
                r#"{"rooms": {"den": {}, "hall": {}, "den": {}}}"#,
                "the key `rooms.den` stands there twice at line 1 column 39",
            ),
            (r#"{"rooms": {"den": {"light": "on", "light": "off"}}}"#, "`rooms.den.light` stands there twice"),
            (r#"{"doors": {}, "doors": {"gate": "open"}}"#, "`doors` stands there twice"),
            (r#"{"rooms": "#, "is not valid JSON"),
            ("", "is not valid JSON"),
        ] {
            let (_folder, path) = on_disk(text);
            let message = Home::load(&path).unwrap_err().to_string();
            assert!(message.contains(key), "{text}: {message}");
            assert!(message.contains(path.to_str().unwrap()), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn a_missing_a_huge_and_a_special_file_are_refused() {
        let (folder, path) = on_disk(&format!("{{\"x\": \"{}\"}}", "a".repeat(MAX_HOME_BYTES as usize)));
        assert!(matches!(Home::load(&path), Err(HomeError::TooLarge { .. })));
        assert!(matches!(Home::load(folder.path()), Err(HomeError::Read { .. })));
        assert!(matches!(Home::load(folder.path().join("none")), Err(HomeError::Read { .. })));
        assert!(matches!(Home::load("/dev/zero"), Err(HomeError::Read { .. })));
        let deep = "[".repeat(100_000);
        assert!(matches!(Home::from_json(&deep), Err(HomeError::Json { .. })));
    }

    #[test]
    fn names_are_matched_as_people_say_them() {
        let mut home = Home::from_json(HOME).unwrap();
        for name in ["kitchen", "Kitchen", " the kitchen ", "kitchen light", "The Kitchen  Light", "the kitchen_lights"]
        {
            assert_eq!(home.set_light(name, true).unwrap(), Change { what: "kitchen light".into(), state: "on" });
        }
        assert_eq!(home.set_door("the Front", DoorState::Open).unwrap().what, "front door");
        assert_eq!(home.set_device("Coffee Machine", true).unwrap().what, "coffee machine");
        let shown = home.render();
        assert!(
            shown.starts_with("lights on: kitchen=on and hall=on\n")
                && shown.contains("doors open: front door=open\ndevices on: coffee machine=on"),
            "{shown}"
        );
    }

    #[test]
    fn all_turns_every_light_that_there_is_and_adds_none() {
        for name in ["all", "ALL", "all the lights", "everything", "every light", "the lights", "all lights"] {
            let mut home = Home::from_json(HOME).unwrap();
            assert_eq!(home.set_light(name, true).unwrap(), Change { what: "lights".into(), state: "on" }, "{name}");
            assert_eq!(home.render().lines().next(), Some("lights on: kitchen=on and hall=on"));
        }
        let mut home = Home::from_json(HOME).unwrap();
        assert_eq!(home.set_door("all", DoorState::Unlocked).unwrap().what, "doors");
        assert_eq!(home.set_device("all devices", true).unwrap().what, "devices");
    }

    #[test]
    fn what_is_not_there_is_named_in_words_that_can_be_spoken() {
        let mut home = Home::from_json(HOME).unwrap();
        let before = home.render();
        for (error, words) in [
            (home.set_light("attic", true), "there is no light in the attic"),
            (home.set_light("the Garage light", true), "there is no light in the garage"),
            (home.set_light("", true), "there is no such light"),
            (home.set_door("attic", DoorState::Open), "there is no attic door"),
            (home.set_door("back door", DoorState::Open), "there is no back door"),
            (home.set_device("toaster", true), "there is no toaster"),
        ] {
            assert_eq!(error.unwrap_err().to_string(), words);
        }
        assert_eq!(home.render(), before);
        assert_eq!(
            Home::from_json("{}").unwrap().set_light("all", true).unwrap_err().to_string(),
            "there are no lights here"
        );
    }

    #[test]
    fn a_change_is_written_with_order_unknown_keys_and_permissions_kept() {
        let (folder, path) = on_disk(HOME);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let mut home = Home::load(&path).unwrap();
        home.set_light("kitchen", true).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let mut expected: Value = serde_json::from_str(HOME).unwrap();
        expected["rooms"]["kitchen"]["light"] = "on".into();
        assert_eq!(text, serde_json::to_string_pretty(&expected).unwrap() + "\n");
        assert!(text.find("outside").unwrap() < text.find("rooms").unwrap());
        assert!(text.contains("\"temperature_c\": 4.0"), "{text}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
        assert!(!home.reload_if_changed().unwrap(), "our own write is not someone else's");
    }

    #[test]
    fn a_change_by_someone_else_is_not_lost_by_ours() {
        let (_folder, path) = on_disk(HOME);
        let mut home = Home::load(&path).unwrap();
        fs::write(&path, HOME.replace("21.5", "23.5")).unwrap(); // same length, perhaps the same clock tick
        home.set_light("kitchen", true).unwrap();
        assert!(
            home.render().contains("lights on: kitchen=on and hall=on") && home.render().contains("kitchen=23.5"),
            "{}",
            home.render()
        );
        assert!(fs::read_to_string(&path).unwrap().contains("23.5"));
    }

    #[test]
    fn a_change_outside_is_seen_once() {
        let (folder, path) = on_disk(HOME);
        let mut home = Home::load(&path).unwrap();
        assert!(!home.reload_if_changed().unwrap());
        let next = folder.path().join("next");
        fs::write(&next, HOME.replace("21.5", "23.5")).unwrap();
        fs::rename(&next, &path).unwrap();
        assert!(home.reload_if_changed().unwrap());
        assert!(home.render().contains("23.5"));
        assert!(!home.reload_if_changed().unwrap());
    }

    #[test]
    fn a_half_written_file_keeps_the_last_good_state_and_is_reported_once() {
        let (_folder, path) = on_disk(HOME);
        let mut home = Home::load(&path).unwrap();
        fs::write(&path, &HOME[..40]).unwrap();
        assert!(matches!(home.reload_if_changed(), Err(HomeError::Json { .. })));
        assert!(!home.reload_if_changed().unwrap());
        assert!(home.render().contains("kitchen=21.5"));
        assert!(home.set_light("hall", false).is_err(), "a file being written is not overwritten");
        assert_eq!(fs::read_to_string(&path).unwrap(), &HOME[..40]);
        fs::remove_file(&path).unwrap();
        assert!(matches!(home.reload_if_changed(), Err(HomeError::Read { .. })));
        assert!(!home.reload_if_changed().unwrap());
        fs::write(&path, HOME).unwrap();
        home.reload_if_changed().unwrap();
        home.set_light("hall", false).unwrap();
    }

    #[test]
    fn a_link_to_the_state_file_stays_a_link() {
        let (folder, path) = on_disk(HOME);
        let link = folder.path().join("link.json");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        Home::load(&link).unwrap().set_device("coffee machine", true).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&path).unwrap().contains("\"coffee machine\": \"on\""));
    }

    #[test]
    fn a_failed_write_leaves_file_and_state_as_they_were() {
        let (folder, path) = on_disk(HOME);
        // A folder that stands where the file was is neither read nor replaced.
        let mut home = Home::load(&path).unwrap();
        let before = home.render();
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(home.set_light("kitchen", true).is_err());
        assert_eq!(home.render(), before);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

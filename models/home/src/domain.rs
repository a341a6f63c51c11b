//! The domains of entities: the part of an entity's id before the dot, with Home Assistant's names, and what each is called in
//! a sentence.

use serde::{Serialize, Serializer};

macro_rules! domains {
    ($($variant:ident = $name:literal, $noun:literal, $plural:literal;)*) => {
        /// What kind of thing an entity is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Domain {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
            /// A domain that has no services here; its entities can be asked about.
            Other,
        }

        impl Domain {
            /// All domains that have a name.
            pub const ALL: &'static [Domain] = &[$(Domain::$variant),*];

            /// The name as it stands in an entity's id; `other` for one that is not known.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* Self::Other => "other" }
            }

            /// The domain of a name.
            pub fn from_name(name: &str) -> Self {
                match name { $($name => Self::$variant,)* _ => Self::Other }
            }

            /// What people call one such thing: "light", "lock".
            pub fn noun(self) -> &'static str {
                match self { $(Self::$variant => $noun,)* Self::Other => "device" }
            }

            /// What people call several of them.
            pub fn plural(self) -> &'static str {
                match self { $(Self::$variant => $plural,)* Self::Other => "devices" }
            }
        }
    };
}

domains! {
    AlarmControlPanel = "alarm_control_panel", "alarm", "alarms";
    Automation = "automation", "automation", "automations";
    BinarySensor = "binary_sensor", "sensor", "sensors";
    Button = "button", "button", "buttons";
    Calendar = "calendar", "calendar", "calendars";
    Camera = "camera", "camera", "cameras";
    Climate = "climate", "thermostat", "thermostats";
    Cover = "cover", "cover", "covers";
    DeviceTracker = "device_tracker", "tracker", "trackers";
    Event = "event", "event", "events";
    Fan = "fan", "fan", "fans";
    Humidifier = "humidifier", "humidifier", "humidifiers";
    InputBoolean = "input_boolean", "switch", "switches";
    InputButton = "input_button", "button", "buttons";
    InputNumber = "input_number", "number", "numbers";
    InputSelect = "input_select", "option", "options";
    InputText = "input_text", "text", "texts";
    LawnMower = "lawn_mower", "lawn mower", "lawn mowers";
    Light = "light", "light", "lights";
    Lock = "lock", "lock", "locks";
    MediaPlayer = "media_player", "media player", "media players";
    Number = "number", "number", "numbers";
    Person = "person", "person", "people";
    Remote = "remote", "remote", "remotes";
    Scene = "scene", "scene", "scenes";
    Script = "script", "script", "scripts";
    Select = "select", "option", "options";
    Sensor = "sensor", "sensor", "sensors";
    Siren = "siren", "siren", "sirens";
    Sun = "sun", "sun", "suns";
    Switch = "switch", "switch", "switches";
    Text = "text", "text", "texts";
    Timer = "timer", "timer", "timers";
    Todo = "todo", "list", "lists";
    Vacuum = "vacuum", "vacuum", "vacuums";
    Valve = "valve", "valve", "valves";
    WaterHeater = "water_heater", "water heater", "water heaters";
    Weather = "weather", "weather", "weather";
    Zone = "zone", "zone", "zones";
}

impl Domain {
    /// The domain of an entity's id.
    pub fn of_id(id: &str) -> Self {
        id.split_once('.').map_or(Self::Other, |(domain, _)| Self::from_name(domain))
    }

    /// Whether its entities only tell something and have no services.
    pub fn is_read_only(self) -> bool {
        matches!(
            self,
            Self::BinarySensor
                | Self::DeviceTracker
                | Self::Event
                | Self::Person
                | Self::Sensor
                | Self::Sun
                | Self::Weather
                | Self::Zone
                | Self::Other
        )
    }
}

impl Serialize for Domain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl std::fmt::Display for Domain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

//! Classes of the words that say what is to be done: "douse", "out" and "kill" switch off. What a class means depends on the kind of
//! thing: "up" opens a blind and makes a speaker louder.

use crate::domain::Domain;

/// What words ask for, before it is known of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    On,
    Off,
    Open,
    Close,
    Lock,
    Unlock,
    Up,
    Down,
    Play,
    Pause,
    Mute,
    Unmute,
    Next,
    Previous,
    Home,
    Full,
    Half,
    /// Stop what is under way.
    Stop,
    /// Swing from side to side.
    Swing,
    /// Turn the other way.
    Reverse,
    /// "out": a light goes out, a robot is sent out.
    Out,
}

use Act::{
    Close, Down, Full, Half, Home, Lock, Mute, Next, Off, On, Open, Out, Pause, Play, Previous, Reverse, Stop, Swing,
    Unlock, Unmute, Up,
};

/// Phrases and their classes; of two that fit at a place the longer one counts.
#[rustfmt::skip]
const PHRASES: &[(&str, &[Act])] = &[
    // on
    ("on", &[On]), ("lit", &[On]), ("light up", &[On]), ("lights up", &[On]), ("lit up", &[On]), ("glow", &[On]), ("glowing", &[On]),
    ("shine", &[On]), ("shining", &[On]), ("illuminate", &[On]), ("illuminated", &[On]), ("activate", &[On]), ("activated", &[On]),
    ("enable", &[On]), ("enabled", &[On]), ("engage", &[On]), ("fire up", &[On]), ("power up", &[On]), ("boot up", &[On]), ("kick in", &[On]),
    ("start", &[On, Play]), ("starts", &[On, Play]), ("started", &[On, Play]), ("starting", &[On, Play]), ("begin", &[On, Play]),
    ("going", &[On, Play]), ("running", &[On]), ("run", &[On]), ("launch", &[On]), ("trigger", &[On]), ("press", &[On]), ("push", &[On]),
    ("ring", &[On]), ("hit", &[On]), ("spinning", &[On]), ("working", &[On]), ("to life", &[On]),
    ("fill", &[On]), ("filling", &[On]), ("flowing", &[On]), ("pumping", &[On]), ("boil", &[On]), ("brew", &[On]),
    // off
    ("off", &[Off]), ("kill", &[Off]), ("cut", &[Off]), ("douse", &[Off]), ("extinguish", &[Off]), ("snuff", &[Off]),
    ("deactivate", &[Off]), ("disable", &[Off]), ("disabled", &[Off]), ("dead", &[Off]), ("shut down", &[Off]), ("shut off", &[Off]),
    ("power down", &[Off]), ("wind down", &[Off]), ("stop", &[Stop]), ("stopped", &[Stop]), ("halt", &[Stop]), ("end", &[Off]), ("rest", &[Off]), ("set off", &[On]), ("go off", &[Off]), ("go on", &[On]), ("come on", &[On]), ("come off", &[Off]), ("go out", &[Off]),
    ("out", &[Out]), ("had enough", &[Off]), ("done with", &[Off]), ("finished with", &[Off]), ("quit", &[Off]),
    ("go dark", &[Off]), ("stand down", &[Off]), ("unneeded", &[Off]), ("switched off", &[Off]), ("turned off", &[Off]),
    // open and close
    ("open", &[Open]), ("opened", &[Open]), ("wide open", &[Open]), ("all the way open", &[Open]), ("wide", &[Open]), ("raise", &[Up, Open]), ("raised", &[Up, Open]),
    ("lift", &[Up, Open]), ("hoist", &[Open]), ("unfurl", &[Open]), ("extend", &[Open]), ("unroll", &[Open]), ("part", &[Open]),
    ("close", &[Close]), ("closed", &[Close]), ("shut", &[Close]), ("lower", &[Down, Close]), ("lowered", &[Down, Close]), ("drop", &[Down, Close]), ("retract", &[Close]),
    ("fold in", &[Close]), ("roll in", &[Close]), ("pull to", &[Close]), ("shut to", &[Close]),
    // locks
    ("lock", &[Lock]), ("locked", &[Lock]), ("latch", &[Lock]), ("latched", &[Lock]), ("bolt", &[Lock]), ("bolted", &[Lock]),
    ("secure", &[Lock]), ("secured", &[Lock]), ("lock up", &[Lock]),
    ("unlock", &[Unlock]), ("unlocked", &[Unlock]), ("un lock", &[Unlock]), ("unlatch", &[Unlock]), ("unbolt", &[Unlock]),
    // more and less
    ("up", &[Up]), ("louder", &[Up]), ("brighter", &[Up]), ("brighten", &[Up]), ("higher", &[Up]), ("boost", &[Up]), ("crank", &[Up]), ("crank up", &[Up]),
    ("increase", &[Up]), ("warmer", &[Up]), ("faster", &[Up]), ("stronger", &[Up]),
    ("down", &[Down]), ("quieter", &[Down]), ("softer", &[Down]), ("dimmer", &[Down]), ("dim", &[Down]), ("darker", &[Down]), ("decrease", &[Down]),
    ("reduce", &[Down]), ("cooler", &[Down]), ("colder", &[Down]), ("slower", &[Down]), ("gentler", &[Down]),
    ("harder", &[Up]), ("more oomph", &[Up]), ("more power", &[Up]), ("more wind", &[Up]), ("more air", &[Up]), ("more light", &[Up]), ("blow more", &[Up]),
    ("blow less", &[Down]), ("less light", &[Down]), ("less wind", &[Down]), ("weaker", &[Down]), ("less loud", &[Down]), ("less bright", &[Down]),
    ("more volume", &[Up]), ("less volume", &[Down]), ("down low", &[Down]),
    ("swing", &[Swing]), ("swinging", &[Swing]), ("swivel", &[Swing]), ("oscillate", &[Swing]), ("oscillating", &[Swing]), ("side to side", &[Swing]),
    ("sweep the room", &[Swing]), ("reverse", &[Reverse]), ("in reverse", &[Reverse]), ("the other way", &[Reverse]), ("direction", &[Reverse]), ("backwards", &[Reverse]),
    // media
    ("play", &[Play]), ("playing", &[Play]), ("resume", &[Play]), ("unpause", &[Play]), ("carry on", &[Play]), ("continue", &[Play]),
    ("pause", &[Pause]), ("paused", &[Pause]), ("freeze", &[Pause]), ("hold", &[Pause]),
    ("mute", &[Mute]), ("muted", &[Mute]), ("silence", &[Mute]), ("silent", &[Mute]), ("hush", &[Mute]), ("shut up", &[Mute]),
    ("unmute", &[Unmute]), ("unmuted", &[Unmute]), ("skip", &[Next]), ("next", &[Next]), ("previous", &[Previous]),
    // robots
    ("clean", &[On]), ("vacuum", &[On]), ("hoover", &[On]), ("sweep", &[On]), ("mop", &[On]), ("mow", &[On]), ("cut the grass", &[On]),
    ("go home", &[Home]), ("home", &[Home]), ("dock", &[Home]), ("to base", &[Home]), ("to its base", &[Home]), ("recharge", &[Home]),
    ("charge", &[Home]), ("back to bed", &[Home]), ("call it a day", &[Home]),
    // levels
    ("full", &[Full]), ("fully", &[Full]), ("full whack", &[Full]), ("full blast", &[Full]), ("full power", &[Full]), ("full brightness", &[Full]), ("flat out", &[Full]),
    ("max", &[Full]), ("maximum", &[Full]), ("all the way up", &[Full]), ("all the way", &[Full]), ("as bright as it goes", &[Full]), ("as bright as possible", &[Full]), ("as bright as it gets", &[Full]), ("as bright as can be", &[Full]), ("as bright as it can", &[Full]),
    ("as loud as it goes", &[Full]), ("as fast as it goes", &[Full]), ("full tilt", &[Full]), ("top speed", &[Full]), ("full steam", &[Full]),
    ("right up", &[Full]), ("halfway", &[Half]), ("half way", &[Half]), ("half", &[Half]),
];

/// The acts at a place, and how many words say so.
pub(super) fn at(words: &[&str]) -> Option<(&'static [Act], usize)> {
    let fits = |phrase: &str| {
        let mut n = 0;
        for word in phrase.split(' ') {
            if words.get(n) != Some(&word) {
                return None;
            }
            n += 1;
        }
        Some(n)
    };
    // "Half the brightness", "half as loud": of what it is now.
    if words.first() == Some(&"half") && matches!(words.get(1), Some(&("the" | "as" | "its"))) {
        return None;
    }
    PHRASES.iter().filter_map(|(phrase, acts)| Some((*acts, fits(phrase)?))).max_by_key(|(_, n)| *n)
}

/// Participles that tell what was done or how something is, where nothing wishes for it: "mum locked the door".
#[rustfmt::skip]
const TOLD: &[&str] = &[
    "locked", "latched", "bolted", "secured", "unlocked", "opened", "closed", "raised", "lowered", "muted", "unmuted", "paused", "started",
    "starts", "stopped", "activated", "enabled", "disabled", "dead", "lit", "lit up", "illuminated", "switched off", "turned off",
];

/// Whether words only tell what was done or how something is: "the lamp is on", "i have opened the curtains".
pub(super) fn is_told(words: &[&str], at: usize, n: usize) -> bool {
    let phrase = words[at..at + n].join(" ");
    let is_adverb = |w: &&&str| {
        matches!(
            **w,
            "still" | "already" | "now" | "just" | "quite" | "too" | "so" | "very" | "really" | "all" | "always"
        )
    };
    let before = words[..at].iter().rev().find(|w| !is_adverb(w));
    let is_state = matches!(
        before,
        Some(&("is" | "are" | "goes" | "comes" | "went" | "came" | "stays" | "keeps" | "looks" | "feels" | "seems"))
    ) && !matches!(phrase.as_str(), "unneeded" | "done with" | "finished with");
    (is_state || TOLD.contains(&phrase.as_str())) && !is_led(&words[..at])
}

/// Whether words before a participle wish for it: "get it locked", but not "i have it locked" or "the kids keep it closed".
fn is_led(before: &[&str]) -> bool {
    (0..before.len()).any(|at| {
        let last = at.checked_sub(1).map(|at| before[at]);
        match before[at] {
            "want" | "need" => true,
            "like" => last == Some("would"),
            "be" => !matches!(last, Some("will" | "would" | "might" | "may")),
            "get" | "make" | "keep" | "leave" | "have" => last.is_none_or(|last| {
                matches!(
                    last,
                    "please"
                        | "to"
                        | "and"
                        | "then"
                        | "just"
                        | "now"
                        | "us"
                        | "me"
                        | "can"
                        | "could"
                        | "should"
                        | "must"
                )
            }),
            _ => false,
        }
    })
}

/// The act as a thing of this domain understands it; `None` where it has no such thing.
pub(super) fn of_domain(act: Act, domain: Domain) -> Option<Act> {
    use Domain as D;
    Some(match (domain, act) {
        (D::Vacuum | D::LawnMower, Out) => On,
        (D::Light | D::Switch | D::InputBoolean, Out) => Off,
        (D::Light | D::Switch | D::InputBoolean | D::Siren | D::Humidifier | D::Fan | D::Climate, Stop) => Off,
        (D::Cover | D::MediaPlayer | D::Vacuum | D::LawnMower, Stop) => Stop,
        (D::Valve, Stop) => Close,
        (D::Light, On | Off | Up | Down | Full | Half) => act,
        (D::Switch | D::InputBoolean | D::Siren | D::Humidifier | D::Automation, On | Off) => act,
        (D::WaterHeater, On | Off) => act,
        (D::Fan, On | Off | Up | Down | Full | Half | Swing | Reverse) => act,
        (D::Cover, Open | Up) => Open,
        (D::Cover, Close | Down) => Close,
        (D::Cover, Half) => Half,
        (D::Valve, Open | On) => Open,
        (D::Valve, Close | Off) => Close,
        (D::Valve, Half) => Half,
        (D::Lock, Lock | Unlock) => act,
        (D::Climate, On | Off | Up | Down) => act,
        (D::MediaPlayer, On | Off | Play | Pause | Mute | Unmute | Next | Previous | Up | Down | Full | Half) => act,
        (D::Vacuum | D::LawnMower, On | Off | Pause | Home) => act,
        (D::Scene | D::Script | D::Button | D::InputButton, On | Play) => On,
        _ => return None,
    })
}

/// The wish in the words that the templates know.
pub(super) fn wish(act: Act, domain: Domain, name: &str) -> String {
    use Domain as D;
    match (act, domain) {
        (On, D::Vacuum | D::LawnMower) => format!("start {name}"),
        (Off, D::Vacuum | D::LawnMower) => format!("stop {name}"),
        (Home, _) => format!("send {name} home"),
        (On, D::Script) => format!("run {name}"),
        (On, D::Scene) => format!("activate {name}"),
        (On, D::Button | D::InputButton) => format!("press {name}"),
        (Swing, _) => format!("make {name} oscillate"),
        (Reverse, _) => format!("reverse {name}"),
        (Up, D::Fan) => format!("speed up {name}"),
        (Down, D::Fan) => format!("slow down {name}"),
        (Stop, _) => format!("stop {name}"),
        (On | Out, _) => format!("turn on {name}"),
        (Off, _) => format!("turn off {name}"),
        (Open, _) => format!("open {name}"),
        (Close, _) => format!("close {name}"),
        (Lock, _) => format!("lock {name}"),
        (Unlock, _) => format!("unlock {name}"),
        (Up, D::MediaPlayer) => format!("turn up the volume of {name}"),
        (Down, D::MediaPlayer) => format!("turn down the volume of {name}"),
        (Up, D::Light) => format!("make {name} brighter"),
        (Down, D::Light) => format!("make {name} dimmer"),
        (Up, D::Climate) => format!("make {name} warmer"),
        (Down, D::Climate) => format!("make {name} cooler"),
        (Up, _) => format!("turn up {name}"),
        (Down, _) => format!("turn down {name}"),
        (Play, _) => format!("play {name}"),
        (Pause, _) => format!("pause {name}"),
        (Mute, _) => format!("mute {name}"),
        (Unmute, _) => format!("unmute {name}"),
        (Next, _) => format!("next track on {name}"),
        (Previous, _) => format!("previous track on {name}"),
        (Full, D::MediaPlayer) => format!("set the volume of {name} to 100 percent"),
        (Full, _) => format!("set {name} to 100 percent"),
        (Half, D::MediaPlayer) => format!("set the volume of {name} to 50 percent"),
        (Half, _) => format!("set {name} to 50 percent"),
    }
}

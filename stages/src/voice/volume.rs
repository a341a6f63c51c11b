//! How loud the assistant speaks: set in the configuration, and changed by asking for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// By how much "louder" and "quieter" change it, in per cent.
const STEP: u32 = 20;

/// The softest that somebody can ask for; at less nobody would hear how to get out of it.
const LEAST: u32 = 10;

/// The volume of one assistant, in per cent; shared by who is asked for it and who plays.
#[derive(Clone, Debug)]
pub struct Volume(Arc<AtomicU32>);

impl Default for Volume {
    fn default() -> Self {
        Self::new(100)
    }
}

impl Volume {
    /// At most 100.
    pub fn new(per_cent: u32) -> Self {
        Self(Arc::new(AtomicU32::new(per_cent.min(100))))
    }

    /// In per cent.
    pub fn per_cent(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// What samples are multiplied by: loudness is heard by its logarithm, so half of the way is a quarter of the amplitude.
    pub fn gain(&self) -> f32 {
        (self.per_cent() as f32 / 100.0).powi(2)
    }

    /// Changes it where `question` asks for that; answers what to say.
    pub fn asked(&self, question: &str) -> Option<String> {
        let before = self.per_cent();
        let after = match Change::of(question)? {
            Change::Up => before + STEP,
            Change::Down => before.saturating_sub(STEP),
            Change::To(per_cent) => per_cent,
        };
        let after = after.clamp(LEAST, 100);
        self.0.store(after, Ordering::Relaxed);
        Some(match after == before {
            true if after == 100 => "I can't speak any louder.".to_owned(),
            true if after == LEAST => "I can't speak any softer.".to_owned(),
            _ => format!("My volume is {after} percent now."),
        })
    }

    /// Whether `question` asks for another volume.
    pub fn is_asked(question: &str) -> bool {
        Change::of(question).is_some()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Up,
    Down,
    To(u32),
}

impl Change {
    /// Only whole requests about the speaking itself: "turn up the radio" is somebody else's volume.
    fn of(question: &str) -> Option<Self> {
        let words = super::converse::words_of(question).join(" ");
        let mut words = words.as_str();
        for polite in ["please ", "can you ", "could you ", "would you ", "please "] {
            words = words.strip_prefix(polite).unwrap_or(words);
        }
        let words = words.trim_end_matches(" please");
        match words {
            "louder"
            | "speak louder"
            | "speak up"
            | "talk louder"
            | "be louder"
            | "a bit louder"
            | "a little louder"
            | "volume up"
            | "turn your volume up"
            | "turn up your volume"
            | "raise your voice"
            | "speak a bit louder"
            | "speak a little louder"
            | "you are too quiet"
            | "you're too quiet" => Some(Self::Up),
            "quieter"
            | "softer"
            | "speak quieter"
            | "speak softer"
            | "speak more quietly"
            | "speak more softly"
            | "be quieter"
            | "talk quieter"
            | "a bit quieter"
            | "a little quieter"
            | "volume down"
            | "turn your volume down"
            | "turn down your volume"
            | "lower your voice"
            | "speak a bit quieter"
            | "not so loud"
            | "you are too loud"
            | "you're too loud"
            | "don't shout" => Some(Self::Down),
            _ => {
                let rest = ["set your volume to ", "your volume to ", "speak at ", "volume "];
                let rest = rest.iter().find_map(|begin| words.strip_prefix(begin))?;
                let number = rest.trim_end_matches(" percent").trim_end_matches(" per cent");
                if number == "maximum" || number == "full" || number == "full volume" {
                    return Some(Self::To(100));
                }
                number.parse().ok().filter(|per_cent| *per_cent <= 100).map(Self::To)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_changes_when_asked_and_only_then() {
        let volume = Volume::new(70);
        for (question, after, said) in [
            ("Louder, please.", 90, "My volume is 90 percent now."),
            ("Speak up!", 100, "My volume is 100 percent now."),
            ("Could you speak louder?", 100, "I can't speak any louder."),
            ("You're too loud.", 80, "My volume is 80 percent now."),
            ("Set your volume to 30%.", 30, "My volume is 30 percent now."),
            ("quieter", 10, "My volume is 10 percent now."),
            ("Quieter.", 10, "I can't speak any softer."),
            ("Volume 0", 10, "I can't speak any softer."),
        ] {
            assert_eq!((volume.asked(question).as_deref(), volume.per_cent()), (Some(said), after), "{question}");
        }
        for other in [
            "Turn up the radio.",
            "Is it louder in here?",
            "Set the volume of the radio to 30.",
            "Volume 300",
            "What is the volume of a sphere?",
        ] {
            assert_eq!(volume.asked(other), None, "{other}");
        }
        assert!((Volume::new(50).gain() - 0.25).abs() < 1e-6 && Volume::default().gain() == 1.0);
    }
}

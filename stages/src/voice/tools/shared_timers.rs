//! Timers that the conversations of one process share: whoever talks to the home starts them, changes them and asks for them. A voice
//! rings those that were started by it. What was started where nothing can ring, by a request over the network, is rung by the one
//! conversation that keeps the others' timers, and so is what a voice leaves behind that has ended.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::kept::KeptError;
use super::timer::{TimerDone, Timers};

/// So long after its time a timer waits for the voice that started it, which may be starting again.
const WAITS_FOR_VOICE: Duration = Duration::from_secs(5);
/// So often shared timers are looked at while some are running: another conversation may have changed them.
const LOOK: Duration = Duration::from_secs(1);

/// Timers that several conversations share.
#[derive(Clone, Debug, Default)]
pub struct SharedTimers(Arc<Mutex<Timers>>);

impl SharedTimers {
    /// The timers of a file, which is written at each change from now on.
    ///
    /// # Errors
    /// [`KeptError`], where the file can't be read or holds something else.
    pub fn open(path: &Path) -> Result<Self, KeptError> {
        Ok(Self(Arc::new(Mutex::new(Timers::open(path, Timestamp::now(), Instant::now())?))))
    }

    /// Whether some are running that would be forgotten if the process ended now.
    pub fn would_be_lost(&self) -> bool {
        let timers = self.lock();
        timers.is_any_running() && !timers.are_kept()
    }

    fn lock(&self) -> MutexGuard<'_, Timers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which of the shared timers a conversation rings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rings {
    /// All: there are no others.
    All,
    /// Those that were started by this voice. The name outlives a restart.
    Own(String),
    /// Those that no running voice rings.
    Others,
    /// None, and it starts none: it is over before they are due.
    Nothing,
}

/// A conversation's part in timers.
#[derive(Debug)]
pub(super) struct TimerPart {
    shared: SharedTimers,
    rings: Rings,
}

impl Default for TimerPart {
    fn default() -> Self {
        Self { shared: SharedTimers::default(), rings: Rings::All }
    }
}

impl TimerPart {
    pub(super) fn new(shared: SharedTimers, rings: Rings) -> Self {
        if let Rings::Own(voice) = &rings {
            shared.lock().voices.push(voice.clone());
        }
        Self { shared, rings }
    }

    /// The timers, as this conversation starts them.
    pub(super) fn lock(&self) -> MutexGuard<'_, Timers> {
        let mut timers = self.shared.lock();
        timers.started_by = match &self.rings {
            Rings::Own(voice) => Some(voice.clone()),
            Rings::All | Rings::Others | Rings::Nothing => None,
        };
        timers
    }

    /// Why so many timers more can't be started, if they can't.
    pub(super) fn refusal(&self, more: usize) -> Option<String> {
        match self.rings {
            Rings::Nothing => Some("nothing would be running here when the time comes".to_owned()),
            _ => self.lock().refusal(more),
        }
    }

    fn is_rung_here(&self, voice: Option<&str>, voices: &[String]) -> bool {
        let is_running = |voice: &str| voices.iter().any(|running| running == voice);
        match &self.rings {
            Rings::All => true,
            Rings::Own(own) => voice == Some(own),
            Rings::Others => !voice.is_some_and(is_running),
            Rings::Nothing => false,
        }
    }

    /// When the next one has to be looked at.
    pub(super) fn next(&self) -> Option<Instant> {
        let timers = self.lock();
        let next = timers.next_of(&|voice| self.is_rung_here(voice, &timers.voices))?;
        Some(if self.rings == Rings::All { next } else { next.min(Instant::now() + LOOK) })
    }

    /// Takes those that have run out by `now` and are rung here.
    pub(super) fn due(&self, now: Instant) -> Vec<TimerDone> {
        let mut timers = self.lock();
        let voices = timers.voices.clone();
        let is_others = self.rings == Rings::Others;
        timers.due(now, &|voice, at| {
            let is_waited_for = is_others && voice.is_some() && at + WAITS_FOR_VOICE > now;
            self.is_rung_here(voice, &voices) && !is_waited_for
        })
    }

    /// Whether what is left when the conversation ends is rung all the same.
    pub(super) fn outlive_it(&self) -> bool {
        self.rings != Rings::All || self.shared.lock().are_kept()
    }
}

impl Drop for TimerPart {
    fn drop(&mut self) {
        if let Rings::Own(voice) = &self.rings {
            let mut timers = self.shared.lock();
            if let Some(at) = timers.voices.iter().position(|running| running == voice) {
                timers.voices.remove(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(part: &TimerPart, seconds: u64, name: &str, now: Instant) {
        part.lock().start_for(Duration::from_secs(seconds), Some(name.to_owned()), now).unwrap();
    }

    fn rung(part: &TimerPart, now: Instant) -> Vec<String> {
        part.due(now).into_iter().filter_map(|timer| timer.name).collect()
    }

    #[test]
    fn a_voice_rings_its_own_timers_and_the_keeper_those_that_nobody_else_rings() {
        let (shared, now) = (SharedTimers::default(), Instant::now());
        let later = |seconds| now + Duration::from_secs(seconds);
        let keeper = TimerPart::new(shared.clone(), Rings::Others);
        let kitchen = TimerPart::new(shared.clone(), Rings::Own("kitchen".to_owned()));
        let bedroom = TimerPart::new(shared, Rings::Own("bedroom".to_owned()));
        start(&kitchen, 10, "egg", now);
        start(&bedroom, 20, "nap", now);
        start(&keeper, 30, "tea", now);
        assert!(rung(&bedroom, later(15)).is_empty() && rung(&keeper, later(15)).is_empty());
        assert_eq!(rung(&kitchen, later(60)), ["egg"]);
        assert_eq!(rung(&keeper, later(60)), ["tea"]);
        // A voice that has ended: its timer is rung by the keeper, once the voice has had time to come back.
        drop(bedroom);
        assert!(rung(&keeper, later(22)).is_empty());
        assert_eq!(rung(&keeper, later(26)), ["nap"]);
        assert_eq!((keeper.next(), kitchen.next()), (None, None));
        assert!(!keeper.shared.would_be_lost());
        start(&kitchen, 10, "egg", now);
        assert!(keeper.shared.would_be_lost());
    }

    #[test]
    fn whose_timer_it_is_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (path, now) = (folder.path().join("timers.json"), Instant::now());
        let voice = |shared| TimerPart::new(shared, Rings::Own("kitchen".to_owned()));
        let before = voice(SharedTimers::open(&path).unwrap());
        start(&before, 10, "egg", now);
        drop(before);
        let shared = SharedTimers::open(&path).unwrap();
        let (keeper, again) = (TimerPart::new(shared.clone(), Rings::Others), voice(shared));
        let later = now + Duration::from_secs(60);
        assert!(rung(&keeper, later).is_empty());
        assert_eq!(rung(&again, later), ["egg"]);
    }

    #[test]
    fn where_nothing_rings_no_timer_is_started() {
        let nowhere = TimerPart::new(SharedTimers::default(), Rings::Nothing);
        assert!(nowhere.refusal(1).is_some());
        assert_eq!(TimerPart::default().refusal(1), None);
    }
}

//! A loudspeaker that may vanish and come back, as another device or at another rate. What was queued at one that vanished counts as
//! heard: at most a third of a second.

use nearfield_speech::audio::SampleRate;

use crate::flow::Cancel;
use crate::voice::devices::DeviceError;
use crate::voice::interjection::Hold;
use crate::voice::speaker::{Chime, Reference, Speaker};

/// A loudspeaker by its name, whatever device that is now.
pub(super) struct Loudspeaker {
    name: Option<String>,
    chime: Chime,
    reference: Reference,
    hold: Hold,
    speaker: Option<Speaker>,
    /// Samples written in all, and of them to devices before this one.
    written: u64,
    written_before: u64,
}

impl Loudspeaker {
    pub(super) fn open(
        name: Option<String>,
        chime: &Chime,
        reference: &Reference,
        hold: &Hold,
    ) -> Result<Self, DeviceError> {
        let speaker = Some(Speaker::open(name.as_deref(), chime, reference, hold)?);
        let (chime, reference, hold) = (chime.clone(), reference.clone(), hold.clone());
        Ok(Self { name, chime, reference, hold, speaker, written: 0, written_before: 0 })
    }

    /// Makes it ready for a piece of sound, though it has vanished since the last one; answers its rate.
    pub(super) fn ready(&mut self) -> Result<SampleRate, DeviceError> {
        if let Some(speaker) = self.speaker.as_ref().filter(|speaker| speaker.is_gone()) {
            tracing::warn!("the loudspeaker {:?} was disconnected", speaker.name());
            self.lose();
        }
        if let Some(speaker) = &self.speaker {
            return Ok(speaker.rate());
        }
        let speaker = Speaker::open(self.name.as_deref(), &self.chime, &self.reference, &self.hold)?;
        tracing::info!(loudspeaker = speaker.name(), rate_hz = speaker.rate().0, "speaking again");
        Ok(self.speaker.insert(speaker).rate())
    }

    /// The device has gone. It is closed on a thread of its own: with PulseAudio, closing a stream that the server has ended may never return.
    fn lose(&mut self) {
        self.written_before = self.written;
        if let Some(gone) = self.speaker.take() {
            let _ = std::thread::Builder::new().name("loudspeaker".to_owned()).spawn(move || drop(gone));
        }
    }

    pub(super) fn rate(&self) -> Option<SampleRate> {
        self.speaker.as_ref().map(Speaker::rate)
    }

    /// Samples heard since it was opened first.
    pub(super) fn consumed(&self) -> u64 {
        self.written_before + self.speaker.as_ref().map_or(0, Speaker::consumed)
    }

    /// Writes samples of its rate. Where it vanishes they go to the device that has its name now; an error says that there is none.
    pub(super) fn write(&mut self, samples: &[f32], cancel: &Cancel) -> anyhow::Result<()> {
        self.written += samples.len() as u64;
        let Some(speaker) = &mut self.speaker else {
            self.written_before = self.written;
            return Ok(()); // it has been said
        };
        let (rate, Err(gone)) = (speaker.rate(), speaker.write(samples, cancel)) else { return Ok(()) };
        tracing::warn!("{gone:#}");
        self.lose();
        match self.ready() {
            // A piece made for another rate is left out.
            Ok(now) if now == rate => {
                self.written_before -= samples.len() as u64;
                self.speaker.as_mut().map_or(Ok(()), |speaker| speaker.write(samples, cancel))
            }
            Ok(_) => Ok(()),
            Err(_) => Err(gone),
        }
    }

    /// Waits until everything up to the sample `due` has been heard.
    pub(super) fn drain(&mut self, due: u64, cancel: &Cancel) -> anyhow::Result<()> {
        let due = due.saturating_sub(self.written_before);
        let drained = self.speaker.as_ref().map_or(Ok(()), |speaker| speaker.drain(due, cancel));
        if drained.is_err() {
            self.lose();
        }
        drained
    }

    pub(super) fn silence(&mut self) {
        if let Some(speaker) = &mut self.speaker {
            speaker.silence();
        }
    }
}

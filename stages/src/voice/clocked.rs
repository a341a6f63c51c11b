//! A WAV file with a loudspeaker's clock: it takes sound no faster than that is heard, holds the silence between replies, and what is
//! silenced before it was heard is not in it. For measuring when a reply was heard.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use nearfield_base::persist::{Existing, NewFile};
use nearfield_speech::audio::{SampleRate, WavWriter};

use crate::flow::Cancel;
use crate::voice::interjection::Hold;

/// Sound queued ahead of what is heard, as at a loudspeaker.
const BUFFER: Duration = Duration::from_millis(300);
/// How often a full queue is looked at.
const POLL: Duration = Duration::from_millis(5);

/// A file that takes sound no faster than a loudspeaker plays it.
pub(super) struct Clocked {
    path: PathBuf,
    existing: Existing,
    writer: Option<(SampleRate, WavWriter)>,
    opened: Instant,
    /// Samples in the file, silence included.
    position: u64,
    /// Samples of replies that have been heard.
    consumed: u64,
    /// What is queued and not heard yet.
    queued: Vec<f32>,
    /// While it is held, silence is heard in place of what is queued.
    hold: Hold,
}

impl Clocked {
    pub(super) fn new(path: &Path, existing: Existing, hold: Hold) -> anyhow::Result<Self> {
        NewFile::probe(path, existing).with_context(|| format!("the output {} can't be written", path.display()))?;
        let (path, opened) = (path.to_owned(), Instant::now());
        Ok(Self { path, existing, writer: None, opened, position: 0, consumed: 0, queued: Vec::new(), hold })
    }

    pub(super) fn open(&mut self, rate: SampleRate) -> anyhow::Result<SampleRate> {
        match &self.writer {
            Some((rate, _)) => Ok(*rate),
            None => Ok(self.writer.insert((rate, WavWriter::create(&self.path, rate, self.existing)?)).0),
        }
    }

    /// Plays what has become due since the last time.
    fn play(&mut self) -> anyhow::Result<()> {
        let Some((rate, writer)) = &mut self.writer else { return Ok(()) };
        let due = (rate.samples_in(self.opened.elapsed()) as u64).saturating_sub(self.position);
        let heard = if self.hold.is_held() { 0 } else { self.queued.len().min(due as usize) };
        writer.write(&self.queued[..heard])?;
        self.queued.drain(..heard);
        // A second at a time, however long nobody has spoken.
        let mut silence = due - heard as u64;
        while silence > 0 {
            let n = silence.min(u64::from(rate.0));
            writer.write(&vec![0.0; n as usize])?;
            silence -= n;
        }
        self.consumed += heard as u64;
        self.position += due;
        Ok(())
    }

    pub(super) fn write(&mut self, samples: &[f32], cancel: &Cancel) -> anyhow::Result<()> {
        let room = self.writer.as_ref().map_or(0, |(rate, _)| rate.samples_in(BUFFER));
        self.play()?;
        for block in samples.chunks(room.max(1)) {
            self.wait_until(room - block.len().min(room), cancel)?;
            if cancel.is_cancelled() {
                break;
            }
            self.queued.extend_from_slice(block);
        }
        Ok(())
    }

    /// Waits until no more than `most` samples are queued.
    pub(super) fn wait_until(&mut self, most: usize, cancel: &Cancel) -> anyhow::Result<()> {
        self.play()?;
        while self.queued.len() > most && !cancel.is_cancelled() {
            std::thread::sleep(POLL);
            self.play()?;
        }
        Ok(())
    }

    /// When its clock began.
    pub(super) fn opened(&self) -> Instant {
        self.opened
    }

    pub(super) fn rate(&self) -> Option<SampleRate> {
        self.writer.as_ref().map(|(rate, _)| *rate)
    }

    /// Samples of replies that have been heard.
    pub(super) fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Drops what has not been heard.
    pub(super) fn silence(&mut self) {
        self.queued.clear();
    }

    pub(super) fn close(&mut self) -> anyhow::Result<()> {
        match self.writer.take() {
            Some((_, writer)) => Ok(writer.finish()?),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Turns;
    use nearfield_speech::audio::read_clip;

    #[test]
    fn the_file_has_each_sample_when_it_was_heard_and_none_that_was_silenced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heard.wav");
        let (turns, rate) = (Turns::default(), SampleRate(8_000));
        let turn = turns.begin();
        let mut clocked = Clocked::new(&path, Existing::Keep, Hold::default()).unwrap();
        clocked.open(rate).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let begun = clocked.opened().elapsed();
        clocked.write(&vec![0.5; 800], &turns.cancel_of(turn)).unwrap(); // 100 ms
        clocked.wait_until(0, &turns.cancel_of(turn)).unwrap();
        assert_eq!(clocked.consumed(), 800);
        assert!(clocked.opened().elapsed() >= begun + Duration::from_millis(95), "it plays faster than life");
        // A second, of which 300 ms are queued when it has been taken.
        clocked.write(&vec![0.5; 8_000], &turns.cancel_of(turn)).unwrap();
        turns.silence_all();
        clocked.wait_until(0, &turns.cancel_of(turn)).unwrap();
        clocked.silence();
        let consumed = clocked.consumed();
        assert!((800 + 5_600..800 + 8_000).contains(&consumed), "{consumed}");
        clocked.close().unwrap();
        let samples = read_clip(&path).unwrap().samples;
        let first = rate.duration_of(samples.iter().position(|s| *s > 0.4).unwrap());
        let early = Duration::from_millis(1); // less than a sample is lost to rounding
        assert!(first + early >= begun && first < begun + Duration::from_millis(200), "{first:?} instead of {begun:?}");
        assert_eq!(samples.iter().filter(|s| **s > 0.4).count() as u64, consumed);
    }
}

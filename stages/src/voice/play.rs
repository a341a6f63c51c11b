//! Playing: the reply's sound in; to a loudspeaker, into a WAV file, or nowhere. Knows what was really heard.
//!
//! When the turn is silenced, the loudspeaker falls silent within one buffer, and what comes out says which clauses had
//! been heard to their end; what had only been queued does not count.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use nearfield_base::persist::{Existing, NewFile};
use nearfield_speech::audio::{Resampler, SampleRate, WavWriter};

use crate::flow::fault::Fault;
use crate::flow::{Cancel, Emit, Stage, Turn, Turns};
use crate::messages::{Envelope, Played, Speech};
use crate::voice::clocked::Clocked;
use crate::voice::connection::{Client, RemotePlayer};
use crate::voice::interjection::Hold;
use crate::voice::loudspeaker::Loudspeaker;
use crate::voice::speaker::{Chime, Reference};
use crate::voice::volume::Volume;

/// How often a silenced turn is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Silence between two replies in a file: `nearfield transcribe` takes half a second for the end of one.
const GAP: Duration = Duration::from_millis(700);

/// Where the reply goes.
#[derive(Clone, Debug)]
pub enum Outlet {
    /// A loudspeaker, by id or name; `None` is the default one.
    Speaker(Option<String>),
    /// A WAV file, 16 bit, at the voice's rate; all replies one after the other. What becomes of an existing one.
    File(PathBuf, Existing),
    /// A WAV file with the clock of a loudspeaker: what is heard when, with the silence in between, from when it was opened, which is
    /// told.
    Clocked(PathBuf, Existing, Arc<OnceLock<Instant>>),
    /// The client of a connection, at this rate.
    Client(Arc<dyn Client>, SampleRate),
    /// Nowhere.
    Null,
}

/// Plays replies.
pub struct Play {
    sink: Sink,
    turns: Turns,
    /// Whether sound is being played, for a microphone that must not hear it.
    speaking: Arc<AtomicBool>,
    reply: Option<Reply>,
    /// Of a loudspeaker; nobody hears them elsewhere.
    chime: Chime,
    reference: Reference,
    hold: Hold,
    volume: Volume,
    /// The turn of the last reply that is over: what still comes of it is too late.
    over: Turn,
    /// What became of the last reply, until it is told.
    ended: Option<Envelope<Played>>,
    /// The device's, for tests.
    fault: Fault,
}

struct Reply {
    turn: Turn,
    /// Each clause with the sample, counted in the reply, at which it ends.
    clauses: Vec<(String, u64)>,
    /// Samples handed over, at the sink's rate, and what the sink had consumed before this reply.
    handed: u64,
    consumed_before: u64,
    first_audio: Option<Instant>,
    filler: bool,
    /// From a voice's rate to the sink's.
    resampler: Option<([SampleRate; 2], Resampler)>,
}

impl Play {
    /// Opens the outlet.
    ///
    /// # Errors
    /// If there is no such loudspeaker, or the file can't be created.
    pub fn open(outlet: &Outlet, turns: Turns) -> anyhow::Result<Self> {
        let (chime, reference, hold) = (Chime::default(), Reference::default(), Hold::default());
        let sink = match outlet {
            Outlet::Null => Sink::Null { rate: None, taken: 0 },
            Outlet::Client(to, rate) => Sink::Client(RemotePlayer::new(to.clone(), *rate)),
            Outlet::File(path, existing) => Sink::file(path, *existing)?,
            Outlet::Clocked(path, existing, opened) => {
                let clocked = Clocked::new(path, *existing, hold.clone())?;
                let _ = opened.set(clocked.opened());
                Sink::Clocked(clocked)
            }
            Outlet::Speaker(name) => Sink::Speaker(Loudspeaker::open(name.clone(), &chime, &reference, &hold)?),
        };
        let (speaking, fault) = (Arc::default(), Fault::of("device"));
        Ok(Self {
            sink,
            turns,
            speaking,
            reply: None,
            chime,
            reference,
            hold,
            volume: Volume::default(),
            over: Turn(0),
            ended: None,
            fault,
        })
    }

    /// The same at this volume.
    #[must_use]
    pub fn at(self, volume: Volume) -> Self {
        Self { volume, ..self }
    }

    /// Whether `outlet` can be opened; asked before anybody waits for an answer.
    ///
    /// # Errors
    /// As [`Play::open`].
    pub fn check(outlet: &Outlet) -> anyhow::Result<()> {
        Self::open(outlet, Turns::default()).map(drop)
    }

    /// Whether sound is being played just now.
    pub fn speaking(&self) -> Arc<AtomicBool> {
        self.speaking.clone()
    }

    /// What plays the chime.
    pub fn chime(&self) -> Chime {
        self.chime.clone()
    }

    /// What holds the reply while somebody speaks. Where the outlet has no clock of its own there is nothing to hold, but for what it knows of
    /// the reply.
    pub fn hold(&self) -> Hold {
        self.hold.clone()
    }

    /// What the loudspeaker plays.
    pub fn reference(&self) -> Reference {
        self.reference.clone()
    }

    fn reply(&mut self, turn: Turn) -> &mut Reply {
        self.reply.get_or_insert_with(|| Reply {
            turn,
            clauses: Vec::new(),
            handed: 0,
            consumed_before: self.sink.consumed(),
            first_audio: None,
            filler: false,
            resampler: None,
        })
    }

    /// Waits until the reply has been heard or silenced, and tells how it went.
    fn end(&mut self, emit: &mut Emit<'_, Played>) -> anyhow::Result<()> {
        let ended = self.end_reply();
        self.tell(emit);
        ended
    }

    fn tell(&mut self, emit: &mut Emit<'_, Played>) {
        if let Some(played) = self.ended.take() {
            let _ = emit(played);
        }
    }

    /// Waits until the reply has been heard or silenced; how it went is yet to be told.
    fn end_reply(&mut self) -> anyhow::Result<()> {
        let Some(mut reply) = self.reply.take() else { return Ok(()) };
        let cancel = self.turns.cancel_of(reply.turn);
        let mut result = Ok(());
        if !cancel.is_cancelled() {
            if let Some((_, resampler)) = &mut reply.resampler {
                let mut rest = Vec::new();
                resampler.finish(&mut |s| rest.extend_from_slice(s));
                reply.handed += rest.len() as u64;
                result = self.sink.write(&rest, &cancel);
            }
            if let Some((_, end)) = reply.clauses.last_mut() {
                *end = reply.handed;
            }
            let due = reply.consumed_before + reply.handed;
            result = result.and_then(|()| self.sink.drain(due, &cancel));
        }
        let interrupted = cancel.is_cancelled();
        if interrupted {
            self.sink.silence();
        }
        self.speaking.store(false, Ordering::Release);
        // A device that has lost count.
        let consumed = if self.fault.garbled().is_some() { u64::MAX } else { self.sink.consumed() };
        let consumed = consumed.saturating_sub(reply.consumed_before);
        let audio = self.sink.rate().map_or(Duration::ZERO, |r| r.duration_of(consumed.min(reply.handed) as usize));
        let heard = reply.clauses.into_iter().filter(|(_, end)| *end <= consumed).map(|(text, _)| text).collect();
        let played = Played { heard, interrupted, first_audio: reply.first_audio, audio, filler: reply.filler };
        self.over = reply.turn;
        self.ended = Some(Envelope::new(reply.turn, played));
        result
    }
}

impl Stage for Play {
    type In = Speech;
    type Out = Played;

    fn name(&self) -> &'static str {
        "play"
    }

    /// It has to learn that a turn was silenced, to fall silent and to say so.
    fn takes_silenced(&self) -> bool {
        true
    }

    fn step(&mut self, input: Envelope<Speech>, emit: &mut Emit<'_, Played>) -> anyhow::Result<()> {
        let turn = input.turn;
        if self.reply.as_ref().is_some_and(|r| r.turn != turn) {
            self.end(emit)?;
        }
        if turn <= self.over {
            return Ok(());
        }
        match input.body {
            Speech::Clause(text) => {
                self.hold.saying(turn, &text);
                self.sink.clause(turn, &text, &self.turns.cancel_of(turn));
                let reply = self.reply(turn);
                let handed = reply.handed;
                if let Some((_, end)) = reply.clauses.last_mut() {
                    *end = handed;
                }
                reply.clauses.push((text, u64::MAX));
            }
            Speech::Filler(text) => {
                self.hold.saying(turn, &text);
                self.reply(turn).filler = true;
            }
            Speech::Samples { rate, samples } => {
                if !self.turns.is_alive(turn) {
                    return self.end_reply();
                }
                anyhow::ensure!(
                    rate.0 > 0 && samples.iter().all(|sample| sample.is_finite()),
                    "the voice made {} samples at {} Hz that are no sound; they are left out",
                    samples.len(),
                    rate.0
                );
                let to = self.sink.open(rate)?;
                let injected = self.fault.step();
                self.speaking.store(true, Ordering::Release);
                let (gain, mut samples) = (self.volume.gain(), samples);
                if gain != 1.0 {
                    samples.iter_mut().for_each(|sample| *sample *= gain);
                }
                let reply = self.reply(turn);
                reply.first_audio.get_or_insert_with(Instant::now);
                let samples = if rate == to {
                    samples
                } else {
                    let resampler = match &mut reply.resampler {
                        Some((rates, resampler)) if *rates == [rate, to] => resampler,
                        slot => &mut slot.insert(([rate, to], Resampler::new(rate, to)?)).1,
                    };
                    let mut out = Vec::new();
                    resampler.push(&samples, &mut |s| out.extend_from_slice(s));
                    out
                };
                reply.handed += samples.len() as u64;
                self.sink.write(&samples, &self.turns.cancel_of(turn)).and(injected)?;
            }
            Speech::End => {
                self.reply(turn);
                self.end_reply()?;
            }
        }
        Ok(())
    }

    fn conclude(&mut self, _turn: Turn, emit: &mut Emit<'_, Played>) {
        self.tell(emit);
    }

    fn finish(&mut self, emit: &mut Emit<'_, Played>) -> anyhow::Result<()> {
        let ended = self.end(emit);
        self.sink.close()?;
        ended
    }

    /// While a reply is under way, looks whether it has been silenced, though no message comes.
    fn wake_at(&self) -> Option<Instant> {
        self.reply.as_ref().map(|_| Instant::now() + LOOK)
    }

    fn wake(&mut self, emit: &mut Emit<'_, Played>) -> anyhow::Result<()> {
        match &self.reply {
            Some(reply) if !self.turns.is_alive(reply.turn) => self.end(emit),
            _ => Ok(()),
        }
    }
}

enum Sink {
    Null { rate: Option<SampleRate>, taken: u64 },
    File { path: PathBuf, existing: Existing, writer: Option<(SampleRate, WavWriter)>, taken: u64 },
    Clocked(Clocked),
    Client(RemotePlayer),
    Speaker(Loudspeaker),
}

impl Sink {
    /// A file that has been seen to be writable, before anybody speaks.
    fn file(path: &Path, existing: Existing) -> anyhow::Result<Self> {
        NewFile::probe(path, existing).with_context(|| format!("the output {} can't be written", path.display()))?;
        Ok(Self::File { path: path.to_owned(), existing, writer: None, taken: 0 })
    }

    /// Makes it ready for sound of `rate`; answers the rate that it takes.
    fn open(&mut self, rate: SampleRate) -> anyhow::Result<SampleRate> {
        match self {
            Self::Null { rate: known, .. } => Ok(*known.insert(rate)),
            Self::File { path, existing, writer, .. } => match writer {
                Some((rate, _)) => Ok(*rate),
                None => Ok(writer.insert((rate, WavWriter::create(path, rate, *existing)?)).0),
            },
            Self::Clocked(clocked) => clocked.open(rate),
            Self::Client(player) => Ok(player.rate()),
            Self::Speaker(speaker) => Ok(speaker.ready()?),
        }
    }

    fn rate(&self) -> Option<SampleRate> {
        match self {
            Self::Null { rate, .. } => *rate,
            Self::File { writer, .. } => writer.as_ref().map(|(rate, _)| *rate),
            Self::Clocked(clocked) => clocked.rate(),
            Self::Client(player) => Some(player.rate()),
            Self::Speaker(speaker) => speaker.rate(),
        }
    }

    /// Samples heard since it was opened.
    fn consumed(&self) -> u64 {
        match self {
            Self::Null { taken, .. } | Self::File { taken, .. } => *taken,
            Self::Clocked(clocked) => clocked.consumed(),
            Self::Client(player) => player.consumed(),
            Self::Speaker(speaker) => speaker.consumed(),
        }
    }

    fn write(&mut self, samples: &[f32], cancel: &Cancel) -> anyhow::Result<()> {
        match self {
            Self::Null { taken, .. } => *taken += samples.len() as u64,
            Self::File { writer, taken, .. } => {
                if let Some((_, writer)) = writer {
                    writer.write(samples)?;
                    *taken += samples.len() as u64;
                }
            }
            Self::Clocked(clocked) => return clocked.write(samples, cancel),
            Self::Client(player) => player.write(samples, cancel),
            Self::Speaker(speaker) => return speaker.write(samples, cancel),
        }
        Ok(())
    }

    /// Waits until everything up to the sample `due` has been heard; in a file, a pause follows.
    fn drain(&mut self, due: u64, cancel: &Cancel) -> anyhow::Result<()> {
        match self {
            Self::Null { .. } => {}
            Self::File { writer, .. } => {
                if let Some((rate, writer)) = writer {
                    writer.write(&vec![0.0; rate.samples_in(GAP)])?;
                }
            }
            Self::Clocked(clocked) => return clocked.wait_until(0, cancel),
            Self::Client(player) => player.drain(cancel),
            Self::Speaker(speaker) => return speaker.drain(due, cancel),
        }
        Ok(())
    }

    /// A reply's next clause, for who shows it.
    fn clause(&mut self, turn: Turn, text: &str, cancel: &Cancel) {
        if let Self::Client(player) = self {
            player.begin(turn, cancel);
            player.clause(text, cancel);
        }
    }

    fn silence(&mut self) {
        match self {
            Self::Speaker(speaker) => speaker.silence(),
            Self::Clocked(clocked) => clocked.silence(),
            Self::Client(player) => player.silence(),
            _ => {}
        }
    }

    fn close(&mut self) -> anyhow::Result<()> {
        if let Self::Clocked(clocked) = self {
            clocked.close()?;
        }
        if let Self::File { writer, path, .. } = self {
            match writer.take() {
                Some((_, writer)) => writer.finish()?,
                None => tracing::warn!(file = %path.display(), "nothing was said: no file was written"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::ControlFlow;

    #[test]
    fn a_turn_that_is_silenced_is_told_once() {
        let turns = Turns::default();
        let mut play = Play::open(&Outlet::Null, turns.clone()).unwrap();
        let mut told = Vec::new();
        let turn = turns.begin();
        let mut give = |speech, told: &mut Vec<Envelope<Played>>| {
            let emit = &mut |played| {
                told.push(played);
                ControlFlow::Continue(())
            };
            play.take(Envelope::new(turn, speech), emit).unwrap();
        };
        let samples = || Speech::Samples { rate: SampleRate(8_000), samples: vec![0.1; 800] };
        give(Speech::Clause("It is on.".to_owned()), &mut told);
        give(samples(), &mut told);
        turns.silence_all();
        give(samples(), &mut told);
        // What the voice had still made of it.
        give(Speech::Clause("And warm.".to_owned()), &mut told);
        give(Speech::End, &mut told);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].body.interrupted && told[0].body.first_audio.is_some());
    }
}

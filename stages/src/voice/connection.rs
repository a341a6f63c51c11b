//! A voice at the other end of a connection: what its client sends comes in as frames, and what it is to play goes out. The client has a
//! microphone and a loudspeaker of its own; what has been heard there is known by the clock.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use nearfield_speech::audio::SampleRate;

use crate::flow::fault::Fault;
use crate::flow::{Cancel, Output, StopSignal, Turn};
use crate::messages::{Frame, Order};
use crate::voice::capture::{FRAME_SAMPLES, send};

/// Without sound for so long, silence is heard: somebody who stops sending has stopped speaking.
const SILENT_AFTER: Duration = Duration::from_millis(200);
/// How far the client may be ahead of what it plays.
const LEAD: Duration = Duration::from_secs(20);
/// How often the end of a turn is looked at while the client's clock is waited for.
const POLL: Duration = Duration::from_millis(5);
/// So long a client is told that a reply was silenced, if it takes nothing.
const OFFER_TIMEOUT: Duration = Duration::from_millis(100);

/// What a client sends.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientInput {
    /// `[n_samples]`, mono, in [-1, 1], at [`SampleRate::SPEECH`].
    Sound(Vec<f32>),
    /// The speaker has ended, whatever the silence says.
    End,
    /// Something else than sound.
    Order(Order),
}

/// What a client is to play, or shows.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientOutput {
    /// A reply begins: what follows belongs to this turn.
    Begin(Turn),
    /// The samples that follow speak this clause.
    Clause(String),
    /// `[n_samples]`, mono, in [-1, 1], at the rate of the player.
    Samples(Vec<f32>),
    /// The reply is complete, though not yet heard.
    End,
    /// The reply to this turn was silenced: what has been sent and not been played is not to be heard. So much of it was.
    Silenced(Turn, Duration),
}

/// Who takes what a client is to play.
pub trait Client: Debug + Send + Sync {
    /// Takes it, without waiting.
    ///
    /// # Errors
    /// It has no room just now, or has gone.
    fn offer(&self, output: ClientOutput) -> Result<(), Refused>;
}

/// Why a client takes nothing.
#[derive(Debug)]
pub enum Refused {
    /// It has no room just now; this goes back.
    Full(ClientOutput),
    /// It has gone.
    Gone,
}

/// Sends what a client sends as frames until it has gone, nobody listens any more, or `stop`.
///
/// # Errors
/// Only those of a test.
pub(super) fn listen(from: &Receiver<ClientInput>, frames: &Output<Frame>, stop: &StopSignal) -> anyhow::Result<()> {
    let mut fault = Fault::of("capture");
    // A frame that is not full yet, and until when sound has come.
    let mut pending: Vec<f32> = Vec::new();
    let mut heard_until = Instant::now();
    let frame_time = SampleRate::SPEECH.duration_of(FRAME_SAMPLES);
    loop {
        let silence_due = heard_until + SILENT_AFTER;
        let frame = |samples: Vec<f32>| Frame { samples, captured: Instant::now(), last: false, order: None };
        let made = crossbeam_channel::select! {
            recv(from) -> input => match input {
                Ok(ClientInput::Sound(samples)) => {
                    pending.extend(samples);
                    let full = pending.len() / FRAME_SAMPLES * FRAME_SAMPLES;
                    heard_until = heard_until.max(Instant::now());
                    pending.drain(..full).collect::<Vec<f32>>().chunks(FRAME_SAMPLES).map(|it| frame(it.to_vec())).collect()
                }
                Ok(ClientInput::End) => vec![Frame { last: true, ..frame(std::mem::take(&mut pending)) }],
                Ok(ClientInput::Order(order)) => vec![Frame { order: Some(order), ..frame(Vec::new()) }],
                Err(_) => return Ok(()),
            },
            recv(stop) -> _ => return Ok(()),
            default(silence_due.saturating_duration_since(Instant::now())) => {
                heard_until += frame_time;
                let mut samples = std::mem::take(&mut pending);
                samples.resize(FRAME_SAMPLES, 0.0);
                vec![frame(samples)]
            }
        };
        for frame in made {
            if send(frames, stop, frame, &mut fault)?.is_break() {
                return Ok(());
            }
        }
    }
}

/// Plays at the other end of a connection.
pub(super) struct RemotePlayer {
    to: Arc<dyn Client>,
    rate: SampleRate,
    /// Samples sent that count as heard or as still to be heard.
    sent: u64,
    /// When all that was sent will have been heard.
    heard_at: Instant,
    /// Of the reply.
    began: u64,
    turn: Option<Turn>,
}

impl RemotePlayer {
    pub(super) fn new(to: Arc<dyn Client>, rate: SampleRate) -> Self {
        Self { to, rate, sent: 0, heard_at: Instant::now(), began: 0, turn: None }
    }

    pub(super) fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Samples heard so far, by the clock.
    pub(super) fn consumed(&self) -> u64 {
        let ahead = self.heard_at.saturating_duration_since(Instant::now());
        self.sent.saturating_sub(self.rate.samples_in(ahead) as u64)
    }

    pub(super) fn begin(&mut self, turn: Turn, cancel: &Cancel) {
        if self.turn != Some(turn) {
            (self.turn, self.began) = (Some(turn), self.sent);
            self.tell(ClientOutput::Begin(turn), cancel);
        }
    }

    pub(super) fn clause(&mut self, text: &str, cancel: &Cancel) {
        self.tell(ClientOutput::Clause(text.to_owned()), cancel);
    }

    pub(super) fn write(&mut self, samples: &[f32], cancel: &Cancel) {
        self.wait_for(LEAD, cancel);
        if !samples.is_empty() && !cancel.is_cancelled() && self.tell(ClientOutput::Samples(samples.to_vec()), cancel) {
            self.sent += samples.len() as u64;
            self.heard_at = self.heard_at.max(Instant::now()) + self.rate.duration_of(samples.len());
        }
    }

    /// The reply is complete; waits until it has been heard.
    pub(super) fn drain(&mut self, cancel: &Cancel) {
        if self.turn.is_some() {
            self.tell(ClientOutput::End, cancel);
        }
        self.wait_for(Duration::ZERO, cancel);
        if !cancel.is_cancelled() {
            self.turn = None;
        }
    }

    /// What has not been heard never will be.
    pub(super) fn silence(&mut self) {
        self.sent = self.consumed();
        self.heard_at = Instant::now();
        if let Some(turn) = self.turn.take() {
            let heard = self.rate.duration_of(self.sent.saturating_sub(self.began) as usize);
            let begun = Instant::now();
            self.offer(ClientOutput::Silenced(turn, heard), || begun.elapsed() > OFFER_TIMEOUT);
        }
    }

    /// Waits until no more than `lead` is still to be heard.
    fn wait_for(&self, lead: Duration, cancel: &Cancel) {
        while self.heard_at.saturating_duration_since(Instant::now()) > lead && !cancel.is_cancelled() {
            std::thread::sleep(POLL);
        }
    }

    /// Whether it was sent. A client that has gone takes nothing more.
    fn tell(&self, output: ClientOutput, cancel: &Cancel) -> bool {
        self.offer(output, || cancel.is_cancelled())
    }

    fn offer(&self, mut output: ClientOutput, is_over: impl Fn() -> bool) -> bool {
        loop {
            match self.to.offer(output) {
                Ok(()) => return true,
                Err(Refused::Full(back)) if !is_over() => output = back,
                Err(_) => return false,
            }
            std::thread::sleep(POLL);
        }
    }
}

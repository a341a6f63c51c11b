//! Where sound comes from: a microphone, or recordings played at their own pace or as fast as they can be taken.
//!
//! A source is no [`crate::Stage`]: nothing flows into it. It runs on a thread of its own and sends [`Frame`]s until it
//! is at its end, nobody listens any more, or it is told to stop.

use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossbeam_channel::{Receiver, SendTimeoutError, Sender};
use nearfield_speech::audio::{ClipReader, Resampler, SampleRate};

use crate::flow::fault::Fault;
use crate::flow::{Output, StopSignal, Turn, is_stopped, panics};
use crate::messages::{Envelope, Frame};
use crate::pipes::Pipe;
use crate::voice::connection::{self, ClientInput};
use crate::voice::echo::EchoPath;
use crate::voice::microphone;

/// Samples in a frame: 20 ms.
pub(super) const FRAME_SAMPLES: usize = 320; // 16 kHz * 0.02 s
/// Bytes read from standard input at once.
const STDIN_BLOCK: usize = 16 << 10;
/// Frames come before any turn.
const NO_TURN: Turn = Turn(0);

/// Standard input that ends when `stop` is disconnected: a plain read would go on waiting for somebody to type.
pub struct StoppableStdin {
    /// The last one is empty, or an error.
    blocks: Receiver<std::io::Result<Vec<u8>>>,
    ended: bool,
    stop: StopSignal,
    block: Vec<u8>,
    taken: usize,
}

impl StoppableStdin {
    /// Reads from now on, a few blocks ahead.
    ///
    /// # Errors
    /// If the system can't start a thread.
    pub fn new(stop: StopSignal) -> std::io::Result<Self> {
        let (sender, blocks) = crossbeam_channel::bounded(4);
        // The thread may stay in its read when the program ends; it holds nothing that has to be given back.
        std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            let mut fault = Fault::of("stdin");
            let read_all = || {
                loop {
                    let mut block = vec![0; STDIN_BLOCK];
                    let read = std::io::stdin().read(&mut block).map(|n| {
                        block.truncate(n);
                        block
                    });
                    let _ = fault.step();
                    let over = read.as_ref().map_or(true, Vec::is_empty);
                    if sender.send(read).is_err() || over {
                        return;
                    }
                }
            };
            if let Err(panicked) = panics::catch("stdin", read_all) {
                let _ = sender.send(Err(std::io::Error::other(panicked)));
            }
        })?;
        Ok(Self { blocks, ended: false, stop, block: Vec::new(), taken: 0 })
    }
}

impl StoppableStdin {
    /// Waits until there is something to read, or the end; `false` when there is nothing after `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> std::io::Result<bool> {
        if self.taken < self.block.len() || self.ended {
            return Ok(true);
        }
        self.taken = 0;
        self.block.clear();
        self.block = crossbeam_channel::select! {
            recv(self.blocks) -> block => match block {
                Ok(block) => block?,
                Err(_) => return Err(std::io::Error::other("whoever reads it has ended")),
            },
            recv(self.stop) -> _ => Vec::new(),
            default(timeout) => return Ok(false),
        };
        self.ended = self.block.is_empty();
        Ok(true)
    }
}

impl Read for StoppableStdin {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while !self.wait(Duration::MAX)? {}
        let n = out.len().min(self.block.len() - self.taken);
        out[..n].copy_from_slice(&self.block[self.taken..self.taken + n]);
        self.taken += n;
        Ok(n)
    }
}

/// How fast a recording is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pace {
    /// As it was recorded, as if somebody spoke now.
    Realtime,
    /// As fast as it is taken.
    Fast,
}

/// A source of sound.
#[derive(Clone, Debug)]
pub enum Source {
    /// A microphone, by id or name; `None` is the default one.
    Microphone(Option<String>),
    /// Recordings, one after the other.
    Files(Vec<PathBuf>, Pace),
    /// A recording that arrives on standard input.
    Stdin(Pace),
    /// Questions that somebody asks one by one.
    Script(Script),
    /// The client of a connection.
    Client(Receiver<ClientInput>),
}

/// Questions in real time, each asked once the one before has been answered, with silence in between.
#[derive(Clone, Debug)]
pub struct Script {
    /// Each `[n_samples]`, mono, in [-1, 1], at [`SampleRate::SPEECH`].
    pub questions: Vec<Arc<[f32]>>,
    /// Receives a message when the last question has been answered.
    pub answered: Receiver<()>,
    /// Takes the time at which the first sample of each question was played.
    pub began: Sender<Instant>,
}

impl Script {
    /// Silence before each question.
    const LEAD: Duration = Duration::from_millis(500);
    /// An answer that takes longer than this is not waited for.
    const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

    fn run(&self, frames: &Output<Frame>, stop: &StopSignal) -> anyhow::Result<()> {
        let (mut clock, mut fault) = (Clock::start(), Fault::of("capture"));
        let mut say = |clock: &mut Clock, samples: &[f32]| -> anyhow::Result<ControlFlow<()>> {
            for samples in samples.chunks(FRAME_SAMPLES) {
                if clock.advance(samples.len(), Pace::Realtime, stop).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                let frame = Frame { samples: samples.to_vec(), captured: Instant::now(), last: false, order: None };
                if send(frames, stop, frame, &mut fault)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        };
        let lead = vec![0.0; SampleRate::SPEECH.samples_in(Self::LEAD)];
        for question in &self.questions {
            if say(&mut clock, &lead)?.is_break() {
                return Ok(());
            }
            while self.answered.try_recv().is_ok() {}
            let _ = self.began.try_send(clock.start + SampleRate::SPEECH.duration_of(clock.samples as usize));
            let asked = Instant::now();
            if say(&mut clock, question)?.is_break() {
                return Ok(());
            }
            while self.answered.try_recv().is_err() && asked.elapsed() < Self::ANSWER_TIMEOUT {
                if say(&mut clock, &[0.0; FRAME_SAMPLES])?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl Source {
    /// Whether sound comes as fast as it is spoken: only then can turns end by what was said, and replies be interrupted.
    pub fn is_live(&self) -> bool {
        !matches!(self, Self::Files(_, Pace::Fast) | Self::Stdin(Pace::Fast))
    }

    /// Sends frames until the end, a stop, or the last listener has gone. The echo of `echo` is subtracted from a microphone's sound.
    ///
    /// # Errors
    /// If the microphone can't be opened or is disconnected, or a recording can't be read; the frames before it have been sent.
    pub fn run(&self, echo: Option<EchoPath>, frames: &Output<Frame>, stop: &StopSignal) -> anyhow::Result<()> {
        match self {
            Self::Script(script) => script.run(frames, stop),
            Self::Client(from) => connection::listen(from, frames, stop),
            Self::Microphone(name) => microphone::listen(name.as_deref(), echo, frames, stop),
            Self::Files(paths, pace) => {
                let mut clock = Clock::start();
                for path in paths {
                    let reader = match open_recording(path, stop) {
                        Err(_) if is_stopped(stop) => break,
                        opened => opened?,
                    };
                    if recording(reader, *pace, &mut clock, frames, stop)?.is_break() {
                        break;
                    }
                }
                Ok(())
            }
            Self::Stdin(pace) => {
                let reader = ClipReader::from_reader(StoppableStdin::new(stop.clone())?, "standard input")?;
                recording(reader, *pace, &mut Clock::start(), frames, stop).map(|_| ())
            }
        }
    }
}

/// A recording that is behind its time by more than this has been waited for: what follows is spoken then, and not all at once.
const MOST_BEHIND: Duration = Duration::from_millis(200);

/// When the samples sent so far would have been captured, had somebody spoken them.
struct Clock {
    start: Instant,
    samples: u64,
}

impl Clock {
    fn start() -> Self {
        Self { start: Instant::now(), samples: 0 }
    }

    /// Waits until the next `n` samples are due; [`ControlFlow::Break`] when `stop` came first.
    fn advance(&mut self, n: usize, pace: Pace, stop: &StopSignal) -> ControlFlow<()> {
        self.samples += n as u64;
        if pace == Pace::Fast {
            return if is_stopped(stop) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        }
        let mut due = self.start + SampleRate::SPEECH.duration_of(self.samples as usize);
        let behind = Instant::now().saturating_duration_since(due);
        if behind > MOST_BEHIND {
            self.start += behind;
            due += behind;
        }
        // Nothing is ever sent on `stop`: receiving only ends early when the other end is dropped.
        match stop.recv_deadline(due) {
            Err(crossbeam_channel::RecvTimeoutError::Disconnected) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Waits while the queue is full, but not beyond a stop.
pub(super) fn send(
    frames: &Output<Frame>,
    stop: &StopSignal,
    frame: Frame,
    fault: &mut Fault,
) -> anyhow::Result<ControlFlow<()>> {
    fault.step()?;
    let mut envelope = Envelope::new(NO_TURN, frame);
    loop {
        if is_stopped(stop) {
            return Ok(ControlFlow::Break(()));
        }
        match frames.send_timeout(envelope, Duration::from_millis(50)) {
            Ok(()) => return Ok(ControlFlow::Continue(())),
            Err(SendTimeoutError::Timeout(back)) => envelope = back,
            Err(SendTimeoutError::Disconnected(_)) => return Ok(ControlFlow::Break(())),
        }
    }
}

fn recording(
    mut reader: ClipReader,
    pace: Pace,
    clock: &mut Clock,
    frames: &Output<Frame>,
    stop: &StopSignal,
) -> anyhow::Result<ControlFlow<()>> {
    let mut resampler = Resampler::new(reader.rate(), SampleRate::SPEECH)?;
    let (mut pending, mut fault) = (Vec::<f32>::new(), Fault::of("capture"));
    let mut ended = false;
    while !ended {
        match reader.next_block()? {
            Some(block) => resampler.push(block, &mut |s| pending.extend_from_slice(s)),
            None => {
                resampler.finish(&mut |s| pending.extend_from_slice(s));
                ended = true;
            }
        }
        let mut rest = pending.as_slice();
        while rest.len() > FRAME_SAMPLES || (ended && !rest.is_empty()) {
            let (samples, after) = rest.split_at(rest.len().min(FRAME_SAMPLES));
            rest = after;
            if clock.advance(samples.len(), pace, stop).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            let last = ended && rest.is_empty();
            let frame = Frame { samples: samples.to_vec(), captured: Instant::now(), last, order: None };
            if send(frames, stop, frame, &mut fault)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        pending = rest.to_vec();
    }
    warn_of_sound(&reader);
    Ok(ControlFlow::Continue(()))
}

/// A recording; one that comes through a pipe is read as it comes, until `stop` is disconnected.
///
/// # Errors
/// It can't be opened, or is no sound.
pub fn open_recording(path: &Path, stop: &StopSignal) -> anyhow::Result<ClipReader> {
    let name = path.display().to_string();
    Ok(match Pipe::open(path, stop).with_context(|| format!("cannot open {name}"))? {
        Some(pipe) => ClipReader::from_reader(pipe, &name)?,
        None => ClipReader::open(path)?,
    })
}

/// Says that a recording that has been read held samples that are no numbers, or channels that cancel each other out.
pub fn warn_of_sound(reader: &ClipReader) {
    let n = reader.not_numbers();
    if n > 0 {
        tracing::warn!("{}: {n} samples are not numbers (NaN or infinite) and are replaced by silence", reader.name());
    }
    if reader.channels_cancelled() {
        tracing::warn!(
            "{}: its channels cancel each other out when they are mixed; one of them is used",
            reader.name()
        );
    }
}

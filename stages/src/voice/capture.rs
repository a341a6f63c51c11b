//! Where sound comes from: a microphone, or recordings played at their own pace or as fast as they can be taken.
//!
//! A source is no [`crate::Stage`]: nothing flows into it. It runs on a thread of its own and sends [`Frame`]s until it
//! is at its end, nobody listens any more, or it is told to stop.

use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use cpal::traits::{DeviceTrait, StreamTrait};
use crossbeam_channel::{Receiver, SendTimeoutError, Sender};
use nearfield_speech::audio::{ClipReader, Resampler, SampleRate};

use crate::flow::fault::Fault;
use crate::flow::{Output, StopSignal, Turn, is_stopped, panics};
use crate::messages::{Envelope, Frame};
use crate::pipes::Pipe;
use crate::voice::connection::{self, ClientInput};
use crate::voice::devices::{self, DeviceError, Direction};
use crate::voice::echo::EchoPath;
use crate::voice::stderr::silence_stderr;

/// Samples in a frame: 20 ms.
pub(super) const FRAME_SAMPLES: usize = 320; // 16 kHz * 0.02 s
/// Sound that the microphone may be ahead of the pipeline before any is lost.
const MIC_BUFFER: Duration = Duration::from_secs(10);
/// How often the microphone's buffer is emptied.
const MIC_POLL: Duration = Duration::from_millis(10);
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
            Self::Microphone(name) => microphone(name.as_deref(), echo, frames, stop),
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
    warn_of_not_numbers(&reader);
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

/// Says that a recording that has been read held samples that are no numbers.
pub fn warn_of_not_numbers(reader: &ClipReader) {
    let n = reader.not_numbers();
    if n > 0 {
        tracing::warn!("{}: {n} samples are not numbers (NaN or infinite) and are replaced by silence", reader.name());
    }
}

/// A microphone that sends sound into a ring.
struct Microphone {
    label: String,
    rate: SampleRate,
    consumer: rtrb::Consumer<f32>,
    lost: Arc<AtomicU64>,
    failed: Arc<AtomicBool>,
    _stream: cpal::Stream,
}

impl Microphone {
    fn open(name: Option<&str>) -> Result<Self, DeviceError> {
        let device = devices::find(Direction::Input, name)?;
        let label = devices::name(&device);
        let unusable = |e: cpal::Error| Direction::Input.unusable(&label, &e);
        let config = silence_stderr(|| device.default_input_config()).map_err(unusable)?;
        let channels = usize::from(config.channels());
        let rate = SampleRate(config.sample_rate());
        let (producer, consumer) = rtrb::RingBuffer::new(rate.samples_in(MIC_BUFFER));
        let lost = Arc::new(AtomicU64::new(0));
        let failed = Arc::new(AtomicBool::new(false));
        let stream = {
            let (lost, failed) = (lost.clone(), failed.clone());
            silence_stderr(|| open_stream(&device, &config, channels, producer, lost, failed)).map_err(unusable)?
        };
        stream.play().map_err(unusable)?;
        tracing::debug!(microphone = label, rate_hz = rate.0, channels, "opened");
        Ok(Self { label, rate, consumer, lost, failed, _stream: stream })
    }
}

/// Whether there is such a microphone and it can say what it records; asked before anybody is told to speak. It is not opened:
/// some sound servers begin each stream with a click, and a second stream would begin with a second one.
///
/// # Errors
/// There is none, or it can't be used.
pub fn check_microphone(name: Option<&str>) -> Result<(), DeviceError> {
    let device = devices::find(Direction::Input, name)?;
    let label = devices::name(&device);
    let unusable = |e: cpal::Error| Direction::Input.unusable(&label, &e);
    silence_stderr(|| device.default_input_config()).map(drop).map_err(unusable)
}

fn microphone(
    name: Option<&str>,
    mut echo: Option<EchoPath>,
    frames: &Output<Frame>,
    stop: &StopSignal,
) -> anyhow::Result<()> {
    let Microphone { label, rate, mut consumer, lost, failed, _stream } = Microphone::open(name)?;
    tracing::info!(microphone = label, rate_hz = rate.0, echo_cancelled = echo.is_some(), "listening");

    let mut resampler = Resampler::new(rate, SampleRate::SPEECH)?;
    let (mut pending, mut fault) = (Vec::<f32>::new(), Fault::of("capture"));
    let mut reported = 0;
    while !is_stopped(stop) {
        anyhow::ensure!(
            !failed.load(Ordering::Acquire),
            "the microphone {label:?} stopped delivering sound: is it still connected?"
        );
        if consumer.is_empty() {
            std::thread::sleep(MIC_POLL);
            continue;
        }
        let captured = Instant::now();
        let chunk = consumer.read_chunk(consumer.slots()).context("the microphone's buffer")?;
        let (a, b) = chunk.as_slices();
        for part in [a, b] {
            resampler.push(part, &mut |s| pending.extend_from_slice(s));
        }
        chunk.commit_all();
        let whole = pending.len() - pending.len() % FRAME_SAMPLES;
        if let Some(echo) = &mut echo {
            echo.clean(&mut pending[..whole]);
        }
        for (i, samples) in pending[..whole].chunks_exact(FRAME_SAMPLES).enumerate() {
            let behind = SampleRate::SPEECH.duration_of(pending.len() - (i + 1) * FRAME_SAMPLES);
            let captured = captured.checked_sub(behind).unwrap_or(captured);
            let frame = Frame { samples: samples.to_vec(), captured, last: false, order: None };
            if send(frames, stop, frame, &mut fault)?.is_break() {
                return Ok(());
            }
        }
        pending.drain(..whole);
        let total = lost.load(Ordering::Relaxed);
        if total > reported {
            tracing::warn!(samples = total - reported, "sound was lost: the machine did not keep up");
            reported = total;
        }
    }
    Ok(())
}

/// Opens the device's stream; its callback mixes down to mono and writes into the ring, and does nothing else.
fn open_stream(
    device: &cpal::Device,
    config: &cpal::SupportedStreamConfig,
    channels: usize,
    producer: rtrb::Producer<f32>,
    lost: Arc<AtomicU64>,
    failed: Arc<AtomicBool>,
) -> Result<cpal::Stream, cpal::Error> {
    fn build<T: cpal::SizedSample>(
        device: &cpal::Device,
        config: cpal::StreamConfig,
        channels: usize,
        mut producer: rtrb::Producer<f32>,
        lost: Arc<AtomicU64>,
        failed: Arc<AtomicBool>,
    ) -> Result<cpal::Stream, cpal::Error>
    where
        f32: cpal::FromSample<T>,
    {
        device.build_input_stream(
            config,
            move |data: &[T], _: &cpal::InputCallbackInfo| {
                for frame in data.chunks_exact(channels) {
                    let sum: f32 = frame.iter().map(|&s| <f32 as cpal::FromSample<T>>::from_sample_(s)).sum();
                    // One value that is no number would stay in the filters behind.
                    let mean = if sum.is_finite() { sum / channels as f32 } else { 0.0 };
                    if producer.push(mean).is_err() {
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                }
            },
            move |_| failed.store(true, Ordering::Release),
            None,
        )
    }
    let format = config.sample_format();
    // Left to itself, a sound server hands over a second or more at a time, and the answer waits for it.
    let config =
        cpal::StreamConfig { buffer_size: cpal::BufferSize::Fixed(config.sample_rate() / 50), ..config.config() };
    match format {
        cpal::SampleFormat::I8 => build::<i8>(device, config, channels, producer, lost, failed),
        cpal::SampleFormat::I16 => build::<i16>(device, config, channels, producer, lost, failed),
        cpal::SampleFormat::I32 => build::<i32>(device, config, channels, producer, lost, failed),
        cpal::SampleFormat::U8 => build::<u8>(device, config, channels, producer, lost, failed),
        cpal::SampleFormat::U16 => build::<u16>(device, config, channels, producer, lost, failed),
        _ => build::<f32>(device, config, channels, producer, lost, failed),
    }
}

//! The microphone: its sound goes through a ring into frames. It may vanish and come back, as another device or at another rate: then
//! nothing is heard meanwhile, which is said once, and whoever was speaking has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use cpal::traits::{DeviceTrait, StreamTrait};
use nearfield_speech::audio::{MixDown, Resampler, SampleRate};

use crate::flow::fault::Fault;
use crate::flow::{Output, StopSignal, is_stopped};
use crate::messages::Frame;
use crate::voice::capture::{FRAME_SAMPLES, send};
use crate::voice::devices::{self, DeviceError, Direction};
use crate::voice::echo::EchoPath;
use crate::voice::stderr::silence_stderr;

/// Sound that the microphone may be ahead of the pipeline before any is lost.
const MIC_BUFFER: Duration = Duration::from_secs(10);
/// How often the microphone's buffer is emptied.
const MIC_POLL: Duration = Duration::from_millis(10);
/// A microphone that delivers nothing for this long is gone.
const MIC_STALL: Duration = Duration::from_secs(3);
/// How often a microphone that is gone is looked for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Sound without any change for this long is no room: the microphone is muted, or not connected.
const DEAD_FOR: Duration = Duration::from_secs(10);
/// Up to this change within a frame, -80 dB, nothing is heard in it.
const DEAD_LEVEL: f32 = 0.0001;

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

/// Sends a microphone's sound as frames until it is told to stop.
///
/// # Errors
/// If there is none to begin with. One that vanishes later is waited for.
pub(super) fn listen(
    name: Option<&str>,
    mut echo: Option<EchoPath>,
    frames: &Output<Frame>,
    stop: &StopSignal,
) -> anyhow::Result<()> {
    let mut opened = Microphone::open(name)?;
    let mut fault = Fault::of("capture");
    tracing::info!(microphone = opened.label, rate_hz = opened.rate.0, echo_cancelled = echo.is_some(), "listening");
    loop {
        let Some(reason) = opened.hear(&mut echo, frames, stop, &mut fault)? else { return Ok(()) };
        tracing::warn!("the microphone {:?} {reason}; nothing is heard until it is back", opened.label);
        // With PulseAudio, closing a stream that the server has ended may never return.
        let _ = std::thread::Builder::new().name("microphone".to_owned()).spawn(move || drop(opened));
        // Whoever was speaking has ended.
        let frame = Frame { samples: Vec::new(), captured: Instant::now(), last: true, order: None };
        if send(frames, stop, frame, &mut fault)?.is_break() {
            return Ok(());
        }
        opened = loop {
            // Nothing is ever sent on `stop`.
            if stop.recv_timeout(LOOK_AGAIN).is_err_and(|error| error.is_disconnected()) {
                return Ok(());
            }
            if let Ok(back) = Microphone::open(name) {
                break back;
            }
        };
        tracing::info!(microphone = opened.label, rate_hz = opened.rate.0, "listening again");
    }
}

impl Microphone {
    /// Sends frames until a stop, or that the microphone is gone: why.
    fn hear(
        &mut self,
        echo: &mut Option<EchoPath>,
        frames: &Output<Frame>,
        stop: &StopSignal,
        fault: &mut Fault,
    ) -> anyhow::Result<Option<String>> {
        let Self { label, rate, consumer, lost, failed, .. } = self;
        let mut resampler = Resampler::new(*rate, SampleRate::SPEECH)?;
        let (mut pending, mut reported) = (Vec::<f32>::new(), 0);
        let (mut heard, mut dead) = (Instant::now(), Dead::default());
        while !is_stopped(stop) {
            if failed.load(Ordering::Acquire) {
                return Ok(Some("was disconnected".to_owned()));
            }
            if consumer.is_empty() {
                if heard.elapsed() > MIC_STALL {
                    return Ok(Some("stopped delivering sound".to_owned()));
                }
                std::thread::sleep(MIC_POLL);
                continue;
            }
            let captured = Instant::now();
            heard = captured;
            let chunk = consumer.read_chunk(consumer.slots()).context("the microphone's buffer")?;
            let (a, b) = chunk.as_slices();
            for part in [a, b] {
                dead.hear(label, part, *rate);
                resampler.push(part, &mut |s| pending.extend_from_slice(s));
            }
            chunk.commit_all();
            let whole = pending.len() - pending.len() % FRAME_SAMPLES;
            if let Some(echo) = echo {
                echo.clean(&mut pending[..whole]);
            }
            for (i, samples) in pending[..whole].chunks_exact(FRAME_SAMPLES).enumerate() {
                let behind = SampleRate::SPEECH.duration_of(pending.len() - (i + 1) * FRAME_SAMPLES);
                let captured = captured.checked_sub(behind).unwrap_or(captured);
                let frame = Frame { samples: samples.to_vec(), captured, last: false, order: None };
                if send(frames, stop, frame, fault)?.is_break() {
                    return Ok(None);
                }
            }
            pending.drain(..whole);
            let total = lost.load(Ordering::Relaxed);
            if total > reported {
                tracing::warn!(samples = total - reported, "sound was lost: the machine did not keep up");
                reported = total;
            }
        }
        Ok(None)
    }
}

/// Whether a microphone delivers nothing but silence, or a constant.
#[derive(Default)]
struct Dead {
    least: f32,
    most: f32,
    samples: usize,
    is_told: bool,
}

/// What is to be said of it.
#[derive(Debug, PartialEq, Eq)]
enum Life {
    /// Nothing has been heard for long.
    Dead,
    /// After that, something is.
    Back,
}

impl Dead {
    fn hear(&mut self, label: &str, samples: &[f32], rate: SampleRate) {
        match self.judge(samples, rate) {
            Some(Life::Dead) => tracing::warn!(
                "the microphone {label:?} has delivered nothing but {} for {} seconds: is it muted?",
                if self.most.abs() > DEAD_LEVEL { "a constant level" } else { "silence" },
                DEAD_FOR.as_secs()
            ),
            Some(Life::Back) => tracing::info!(microphone = label, "it delivers sound again"),
            None => {}
        }
    }

    fn judge(&mut self, samples: &[f32], rate: SampleRate) -> Option<Life> {
        if self.samples == 0 {
            (self.least, self.most) = (f32::INFINITY, f32::NEG_INFINITY);
        }
        for sample in samples {
            (self.least, self.most) = (self.least.min(*sample), self.most.max(*sample));
        }
        self.samples += samples.len();
        if self.most - self.least > DEAD_LEVEL {
            self.samples = 0;
            return std::mem::take(&mut self.is_told).then_some(Life::Back);
        }
        let is_new = self.samples >= rate.samples_in(DEAD_FOR) && !std::mem::replace(&mut self.is_told, true);
        is_new.then_some(Life::Dead)
    }
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
        // As large as blocks are, so that the callback does not allocate; a larger block is taken in parts.
        let frames = config.sample_rate as usize / 20;
        let (mut samples, mut mono) = (Vec::<f32>::with_capacity(frames * channels), Vec::with_capacity(frames));
        let mut mix_down = MixDown::of(channels);
        device.build_input_stream(
            config,
            move |data: &[T], _: &cpal::InputCallbackInfo| {
                for block in data.chunks(samples.capacity() / channels * channels) {
                    samples.clear();
                    samples.extend(block.iter().map(|&s| <f32 as cpal::FromSample<T>>::from_sample_(s)));
                    mono.clear();
                    mix_down.push(&samples, channels, &mut mono);
                    let n_lost = mono.iter().filter(|&&value| producer.push(value).is_err()).count();
                    if n_lost > 0 {
                        lost.fetch_add(n_lost as u64, Ordering::Relaxed);
                    }
                }
            },
            move |error| {
                if devices::ends_stream(error.kind()) {
                    failed.store(true, Ordering::Release);
                }
            },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_microphone_that_delivers_a_constant_is_told_of_once_and_again_when_it_is_back() {
        let rate = SampleRate(8_000);
        for level in [0.0, 0.3] {
            let mut dead = Dead::default();
            let mut hear = |samples: &[f32], seconds: usize| -> Vec<Life> {
                (0..seconds * 100).filter_map(|_| dead.judge(&samples[..80], rate)).collect()
            };
            let (flat, noise) = ([level; 80], std::array::from_fn::<f32, 80, _>(|i| level + (i % 7) as f32 * 0.0005));
            assert_eq!(hear(&noise, 60), []);
            assert_eq!(hear(&flat, 9), []);
            assert_eq!(hear(&flat, 60), [Life::Dead], "once");
            assert_eq!(hear(&noise, 60), [Life::Back], "once");
            assert_eq!(hear(&flat, 11), [Life::Dead]);
        }
    }
}

//! The loudspeaker: what is said goes into a ring that the audio callback empties without a lock. The callback mixes the chime in, and
//! copies all that it hands to the device for whoever cancels the echo.

use std::f32::consts::{PI, TAU};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cpal::traits::DeviceTrait;
use nearfield_speech::audio::SampleRate;

use crate::flow::Cancel;
use crate::voice::devices::{self, DeviceError, Direction};
use crate::voice::interjection::Hold;
use crate::voice::stderr::silence_stderr;

/// Sound queued at the loudspeaker; an interruption is heard at the latest after this.
const DEVICE_BUFFER: Duration = Duration::from_millis(300);
/// What the device takes at a time.
const DEVICE_PIECE: Duration = Duration::from_millis(40);
/// How often a full loudspeaker is looked at.
const POLL: Duration = Duration::from_millis(5);
/// A loudspeaker that takes nothing for this long is gone.
const DEVICE_STALL: Duration = Duration::from_secs(5);
/// Played sound that waits to be taken; what is older is of no use to an echo canceller.
const REFERENCE_BUFFER: Duration = Duration::from_secs(2);
/// The chime: two tones, each so long.
const CHIME_TONE: Duration = Duration::from_millis(90);
const CHIME_HZ: [f32; 2] = [660.0, 880.0];
const CHIME_LEVEL: f32 = 0.15;
/// In which a reply that is held fades out, and in again.
const FADE: Duration = Duration::from_millis(10);

/// A short sound that says that somebody listens now; it is played at once, over whatever is being said.
#[derive(Clone, Debug, Default)]
pub struct Chime(Arc<AtomicUsize>);

impl Chime {
    /// Plays it, at a loudspeaker; a file stays without.
    pub fn ring(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// What the loudspeaker plays, for who cancels its echo: taken by one.
#[derive(Clone, Default)]
pub struct Reference(Arc<Mutex<Option<Copied>>>);

/// The played sound of one opening of the loudspeaker.
pub(super) struct Copied {
    pub(super) rate: SampleRate,
    pub(super) samples: rtrb::Consumer<f32>,
}

impl Reference {
    /// The sound of a loudspeaker that was opened since the last time.
    pub(super) fn opened(&self) -> Option<Copied> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A loudspeaker has been opened; answers where its samples go.
    pub(super) fn open(&self, rate: SampleRate) -> rtrb::Producer<f32> {
        let (producer, samples) = rtrb::RingBuffer::new(rate.samples_in(REFERENCE_BUFFER));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Copied { rate, samples });
        producer
    }
}

/// What the audio callback and the stage share: counters only.
#[derive(Default)]
struct Shared {
    consumed: AtomicU64,
    silence: AtomicBool,
    failed: AtomicBool,
}

/// A loudspeaker, fed at its own rate through a ring that the audio callback empties without a lock.
pub(super) struct Speaker {
    name: String,
    rate: SampleRate,
    producer: rtrb::Producer<f32>,
    shared: Arc<Shared>,
    hold: Hold,
    _device: rodio::MixerDeviceSink,
}

impl Speaker {
    pub(super) fn open(
        wanted: Option<&str>,
        chime: &Chime,
        reference: &Reference,
        hold: &Hold,
    ) -> Result<Self, DeviceError> {
        let device = devices::find(Direction::Output, wanted)?;
        let name = devices::name(&device);
        let unusable = |e: rodio::DeviceSinkError| Direction::Output.unusable(&name, &e);
        let shared = Arc::new(Shared::default());
        let on_error = shared.clone();
        let open = |buffer: Option<cpal::BufferSize>| {
            let on_error = on_error.clone();
            silence_stderr(|| {
                let builder = rodio::DeviceSinkBuilder::from_device(device.clone())?;
                let builder = match buffer {
                    Some(buffer) => builder.with_buffer_size(buffer),
                    None => builder,
                };
                builder
                    .with_error_callback(move |error| {
                        if devices::ends_stream(error.kind()) {
                            on_error.failed.store(true, Ordering::Release);
                        }
                    })
                    .open_stream()
            })
        };
        // Left to itself, a sound server takes a second or more at a time: too far ahead for an echo to be found. Some devices take
        // no other size than their own.
        let rate = silence_stderr(|| device.default_output_config()).map(|config| config.sample_rate());
        let short = rate.ok().map(|rate| cpal::BufferSize::Fixed(SampleRate(rate).samples_in(DEVICE_PIECE) as u32));
        let mut sink = match short.map(|short| open(Some(short))) {
            Some(Ok(sink)) => sink,
            _ => open(None).map_err(unusable)?,
        };
        sink.log_on_drop(false);
        let rate = SampleRate(sink.config().sample_rate().get());
        let (producer, consumer) = rtrb::RingBuffer::new(rate.samples_in(DEVICE_BUFFER));
        sink.mixer().add(Ring {
            consumer,
            rate: sink.config().sample_rate(),
            shared: shared.clone(),
            chime: Ringing {
                rung: chime.0.load(Ordering::Acquire),
                asked: chime.0.clone(),
                sound: tones(rate),
                at: None,
            },
            copy: reference.open(rate),
            hold: hold.clone(),
            gain: 1.0,
            fade: 1.0 / rate.samples_in(FADE).max(1) as f32,
        });
        Ok(Self { name, rate, producer, shared, hold: hold.clone(), _device: sink })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the device has said that it is gone.
    pub(super) fn is_gone(&self) -> bool {
        self.shared.failed.load(Ordering::Acquire)
    }

    pub(super) fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Samples of replies that have been heard.
    pub(super) fn consumed(&self) -> u64 {
        self.shared.consumed.load(Ordering::Acquire)
    }

    pub(super) fn write(&mut self, mut samples: &[f32], cancel: &Cancel) -> anyhow::Result<()> {
        let mut moved = Instant::now();
        while !samples.is_empty() && !cancel.is_cancelled() {
            let n = self.producer.slots().min(samples.len());
            if n == 0 {
                if self.hold.is_held() {
                    moved = Instant::now();
                }
                self.check(moved)?;
                std::thread::sleep(POLL);
                continue;
            }
            for &sample in &samples[..n] {
                let _ = self.producer.push(sample);
            }
            samples = &samples[n..];
            moved = Instant::now();
        }
        Ok(())
    }

    pub(super) fn drain(&self, due: u64, cancel: &Cancel) -> anyhow::Result<()> {
        let (mut consumed, mut moved) = (0, Instant::now());
        while !cancel.is_cancelled() {
            let now = self.shared.consumed.load(Ordering::Acquire);
            if now >= due {
                break;
            }
            if now != consumed || self.hold.is_held() {
                (consumed, moved) = (now, Instant::now());
            }
            self.check(moved)?;
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn check(&self, moved: Instant) -> anyhow::Result<()> {
        let failed = self.shared.failed.load(Ordering::Acquire);
        anyhow::ensure!(
            !failed && moved.elapsed() < DEVICE_STALL,
            "the loudspeaker {:?} stopped taking sound: is it still connected?",
            self.name
        );
        Ok(())
    }

    /// Has the callback throw away what is queued, and waits until it has.
    pub(super) fn silence(&mut self) {
        self.shared.silence.store(true, Ordering::Release);
        let asked = Instant::now();
        while self.shared.silence.load(Ordering::Acquire) && asked.elapsed() < DEVICE_BUFFER {
            std::thread::sleep(POLL);
        }
    }
}

/// The ring's other end, as rodio wants it: an endless mono source that is silent while nothing is queued.
struct Ring {
    consumer: rtrb::Consumer<f32>,
    rate: NonZero<u32>,
    shared: Arc<Shared>,
    chime: Ringing,
    copy: rtrb::Producer<f32>,
    hold: Hold,
    /// 1 while the reply is heard, 0 while it is held, and how far it moves with each sample in between.
    gain: f32,
    fade: f32,
}

/// The chime as the callback plays it.
struct Ringing {
    /// How often it was asked for, and how often it has begun.
    asked: Arc<AtomicUsize>,
    rung: usize,
    sound: Box<[f32]>,
    /// The next of its samples, while it sounds.
    at: Option<usize>,
}

impl Ringing {
    fn next(&mut self) -> f32 {
        let asked = self.asked.load(Ordering::Acquire);
        if asked != self.rung {
            (self.rung, self.at) = (asked, Some(0));
        }
        let Some(at) = self.at else { return 0.0 };
        self.at = (at + 1 < self.sound.len()).then_some(at + 1);
        self.sound[at]
    }
}

/// The chime's samples.
fn tones(rate: SampleRate) -> Box<[f32]> {
    let n = rate.samples_in(CHIME_TONE).max(1);
    let tone = |hz: f32| {
        (0..n).map(move |i| {
            let fade = (PI * i as f32 / n as f32).sin();
            CHIME_LEVEL * fade * (TAU * hz * i as f32 / rate.0 as f32).sin()
        })
    };
    CHIME_HZ.into_iter().flat_map(tone).collect()
}

impl Iterator for Ring {
    type Item = f32;

    fn next(&mut self) -> Option<f32> {
        if self.shared.silence.load(Ordering::Acquire) {
            if let Ok(queued) = self.consumer.read_chunk(self.consumer.slots()) {
                queued.commit_all();
            }
            self.shared.silence.store(false, Ordering::Release);
        }
        self.gain = match self.hold.is_held() {
            true => (self.gain - self.fade).max(0.0),
            false => (self.gain + self.fade).min(1.0),
        };
        let next = if self.gain > 0.0 { self.consumer.pop().ok() } else { None };
        let said = next.map_or(0.0, |sample| {
            self.shared.consumed.fetch_add(1, Ordering::Release);
            sample * self.gain
        });
        let sample = said + self.chime.next();
        // Nobody takes it where no echo is cancelled.
        let _ = self.copy.push(sample);
        Some(sample)
    }
}

impl rodio::Source for Ring {
    fn current_span_len(&self) -> Option<usize> {
        None
    }
    fn channels(&self) -> NonZero<u16> {
        NonZero::<u16>::MIN
    }
    fn sample_rate(&self) -> NonZero<u32> {
        self.rate
    }
    fn total_duration(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rodio::Source;

    fn ring(chime: &Chime, reference: &Reference) -> (rtrb::Producer<f32>, Ring) {
        let (producer, consumer) = rtrb::RingBuffer::new(1_000);
        let rate = SampleRate(8_000);
        let chime = Ringing { rung: 0, asked: chime.0.clone(), sound: tones(rate), at: None };
        let copy = reference.open(rate);
        let (rate, shared, hold) = (NonZero::new(8_000).unwrap(), Arc::default(), Hold::default());
        (producer, Ring { consumer, rate, shared, chime, copy, hold, gain: 1.0, fade: 0.1 })
    }

    #[test]
    fn a_reply_that_is_held_goes_on_where_it_stopped() {
        let (mut producer, mut ring) = ring(&Chime::default(), &Reference::default());
        (1..=100).for_each(|n| producer.push(n as f32 / 100.0).unwrap());
        let played: Vec<f32> = ring.by_ref().take(20).collect();
        ring.hold.hold();
        let held: Vec<f32> = ring.by_ref().take(200).collect();
        assert!(held[..9].iter().all(|s| *s > 0.0) && held[9..].iter().all(|s| *s == 0.0), "{held:?}");
        ring.hold.release();
        let rest: Vec<f32> = ring.by_ref().take(100).collect();
        assert_eq!(
            (played[19], rest[9..].first().copied()),
            (0.2, Some(0.39)),
            "faded over the ten after the twentieth, and again"
        );
        assert_eq!(ring.shared.consumed.load(Ordering::Acquire), 100, "nothing is lost");
    }

    #[test]
    fn the_chime_sounds_once_each_time_over_what_is_said_and_all_of_it_is_copied() {
        let (chime, reference) = (Chime::default(), Reference::default());
        let (mut producer, mut ring) = ring(&chime, &reference);
        assert_eq!(ring.sample_rate().get(), 8_000);
        assert!(ring.by_ref().take(100).all(|sample| sample == 0.0));
        chime.ring();
        (0..100).for_each(|_| producer.push(0.5).unwrap());
        let played: Vec<f32> = ring.by_ref().take(2_000).collect();
        assert!(played[..100].iter().all(|sample| (0.3..0.7).contains(sample)), "the reply is under the chime");
        let sounding = played.iter().rposition(|sample| *sample != 0.0).unwrap();
        assert!((1_400..1_440).contains(&sounding), "2 * 90 ms at 8 kHz, and it ends: {sounding}");
        let mut opened = reference.opened().unwrap();
        let copied = opened.samples.read_chunk(2_100).unwrap();
        let copied: Vec<f32> = copied.into_iter().collect();
        assert_eq!((copied[..100].to_vec(), &copied[100..]), (vec![0.0; 100], &played[..]));
        assert_eq!(ring.shared.consumed.load(Ordering::Acquire), 100, "the chime is no part of the reply");
    }
}

//! Voice activity detection (VAD) and endpointing: where an utterance begins and ends.
//!
//! A detector ([`VoiceActivity`]) gives each short frame a probability of speech; the [`Endpointer`] turns those into
//! utterances with hysteresis, a minimum of speech and an end-of-turn silence. The endpointer is a pure function of the
//! samples: how they are cut into chunks changes nothing. Echo cancellation and noise reduction are left out.

mod silero;
pub use silero::Silero;

use crate::audio::SampleRate;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::time::Duration;

/// A detector of speech in frames of fixed length at 16 kHz.
pub trait VoiceActivity: Send {
    /// Samples in a frame.
    fn frame_samples(&self) -> usize;

    /// The probability, 0 to 1, that the frame holds speech.
    /// frame: [[`frame_samples`](Self::frame_samples)], f32, 16 kHz, [-1, 1]. Frames must come in order.
    ///
    /// # Errors
    /// [`VadError`] where the frame has another length or the model fails.
    fn probability(&mut self, frame: &[f32]) -> Result<f32, VadError>;

    /// Resets the detector to the beginning of a stream.
    fn reset(&mut self);

    /// The detector's name.
    fn name(&self) -> &str;
}

/// Earshot, the default: pure Rust, its weights (40 KiB) inside, 16 ms frames.
#[derive(Default)]
pub struct Earshot {
    detector: Box<earshot::Detector>,
}

impl Earshot {
    /// 16 kHz * 16 ms.
    const FRAME: usize = 256;
}

impl VoiceActivity for Earshot {
    fn frame_samples(&self) -> usize {
        Self::FRAME
    }

    fn probability(&mut self, frame: &[f32]) -> Result<f32, VadError> {
        check_frame(frame, Self::FRAME)?;
        Ok(self.detector.predict_f32(frame))
    }

    fn reset(&mut self) {
        self.detector.reset();
    }

    fn name(&self) -> &str {
        "earshot"
    }
}

fn check_frame(frame: &[f32], expected: usize) -> Result<(), VadError> {
    if frame.len() == expected { Ok(()) } else { Err(VadError::Frame { expected, found: frame.len() }) }
}

/// Up to this ratio to the loudness of the room, sound in an utterance is that of the room.
const AS_LOUD_AS_ROOM: f32 = 1.4;
/// A voice is louder than the room by at least this, in decibels; else nothing is told by loudness.
const ABOVE_ROOM_DB: f32 = 12.0;
/// How much of the room's loudness a frame is: it is the mean of about a third of a second.
const ROOM_SHARE: f32 = 0.05;

/// When an utterance begins and ends. The defaults suit a question asked across a room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct EndpointOptions {
    /// Speech may begin where the probability reaches this. The onset of loud noise reaches 0.58 with Earshot.
    pub start_threshold: f32,
    /// Speech goes on while the probability stays at or above this (hysteresis: not above `start_threshold`).
    pub stop_threshold: f32,
    /// Sound that is so many decibels below the loudest of the utterance is silence, however much like speech it seems: detectors notice
    /// the end of speech late. So is sound that is no louder than the room was before. 0: only the detector counts.
    pub quiet_db: u32,
    /// Shorter bursts (a click, a cough) are ignored.
    pub min_speech_ms: u32,
    /// After this much silence the utterance is over, where `turn.decide` is "silence" and for recordings that are read fast.
    pub end_silence_ms: u32,
    /// After this much silence transcription begins as a guess, while it is not yet sure that the turn is over; 0: only then.
    pub pause_ms: u32,
    /// So much sound before the first speech is kept: soft consonants come before the detector notices.
    pub pre_roll_ms: u32,
    /// So much of the silence after the last speech is kept.
    pub post_roll_ms: u32,
    /// A longer utterance is cut at its least speech-like moment, and goes on as a new one.
    pub max_utterance_ms: u32,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        EndpointOptions {
            start_threshold: 0.6,
            stop_threshold: 0.35,
            quiet_db: 36,
            min_speech_ms: 100,
            end_silence_ms: 500,
            pause_ms: 32,
            pre_roll_ms: 250,
            post_roll_ms: 200,
            max_utterance_ms: 28_000,
        }
    }
}

impl EndpointOptions {
    /// Checks ranges and combinations.
    ///
    /// # Errors
    /// [`VadError::Option`] naming the key, its value and what is accepted.
    pub fn check(&self) -> Result<(), VadError> {
        let wrong =
            |key: &'static str, found: String, expected: &'static str| Err(VadError::Option { key, found, expected });
        if !(self.start_threshold > 0.0 && self.start_threshold <= 1.0) {
            return wrong("start_threshold", self.start_threshold.to_string(), "above 0 and at most 1");
        }
        if !(self.stop_threshold > 0.0 && self.stop_threshold <= self.start_threshold) {
            return wrong("stop_threshold", self.stop_threshold.to_string(), "above 0 and at most start_threshold");
        }
        if self.quiet_db > 100 {
            return wrong("quiet_db", self.quiet_db.to_string(), "from 0 to 100");
        }
        if !(50..=10_000).contains(&self.end_silence_ms) {
            return wrong("end_silence_ms", self.end_silence_ms.to_string(), "from 50 to 10000");
        }
        if self.pause_ms >= self.end_silence_ms {
            return wrong("pause_ms", self.pause_ms.to_string(), "less than end_silence_ms");
        }
        if self.min_speech_ms > 5_000 {
            return wrong("min_speech_ms", self.min_speech_ms.to_string(), "from 0 to 5000");
        }
        if self.pre_roll_ms > 5_000 {
            return wrong("pre_roll_ms", self.pre_roll_ms.to_string(), "from 0 to 5000");
        }
        if self.post_roll_ms > self.end_silence_ms {
            return wrong("post_roll_ms", self.post_roll_ms.to_string(), "at most end_silence_ms");
        }
        if !(1_000..=600_000).contains(&self.max_utterance_ms) {
            return wrong("max_utterance_ms", self.max_utterance_ms.to_string(), "from 1000 to 600000");
        }
        Ok(())
    }
}

/// A place in a stream at 16 kHz: samples since its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SamplePosition(pub u64);

impl SamplePosition {
    /// The time since the beginning of the stream.
    pub fn time(self) -> Duration {
        SampleRate::SPEECH.duration_of(self.0 as usize)
    }
}

/// An event of the endpointer.
#[derive(Clone, Debug, PartialEq)]
pub enum SpeechEvent {
    /// Somebody speaks. Comes [`EndpointOptions::min_speech_ms`] after the first speech.
    Started {
        /// Where the utterance begins, pre-roll included.
        at_sample: SamplePosition,
    },
    /// The speaker pauses: what was said so far, which is the whole utterance if they do not go on.
    Paused {
        /// The utterance so far: mono, 16 kHz, pre-roll and post-roll included.
        samples: Vec<f32>,
        /// Where `samples` ends.
        end: SamplePosition,
        /// Where speech ended, so far.
        last_speech_sample: SamplePosition,
    },
    /// The speaker goes on: the guess of [`SpeechEvent::Paused`] is withdrawn.
    Resumed,
    /// The utterance is over.
    Ended {
        /// The utterance: mono, 16 kHz, pre-roll and post-roll included.
        samples: Vec<f32>,
        /// Where `samples` begins.
        start: SamplePosition,
        /// Where `samples` ends.
        end: SamplePosition,
        /// Where speech ended. Latency is counted from here, not from the end of the silence.
        last_speech_sample: SamplePosition,
        /// The utterance was cut at [`EndpointOptions::max_utterance_ms`]; speech goes on in the next one.
        cut: bool,
    },
}

/// Cuts a stream at 16 kHz into utterances.
pub struct Endpointer {
    detector: Box<dyn VoiceActivity>,
    options: EndpointOptions,
    /// Audio still needed; its last samples may not fill a frame yet.
    buffer: Vec<f32>,
    /// The position of `buffer[0]`.
    buffer_start: u64,
    /// Audio before this position is not needed any more.
    needed_from: u64,
    /// The position up to which frames have been judged.
    judged: u64,
    /// How loud it is while nobody speaks; `None` where that is not known yet.
    room: Option<f32>,
    state: State,
}

enum State {
    Silence,
    /// The probability has reached the start threshold, but not for long enough yet.
    Maybe {
        first_speech: u64,
    },
    Speech {
        start: u64,
        last_speech: u64,
        probabilities: Vec<f32>,
        /// The guess has been emitted.
        paused: bool,
        /// The root mean square of its loudest frame.
        loudest: f32,
        /// The silence that ends it, where the pause under way has one of its own.
        end_silence: Option<u64>,
    },
}

impl Endpointer {
    /// An endpointer at the beginning of a stream.
    ///
    /// # Errors
    /// [`VadError::Option`] for a value out of range.
    pub fn new(detector: Box<dyn VoiceActivity>, options: EndpointOptions) -> Result<Endpointer, VadError> {
        options.check()?;
        Ok(Endpointer {
            detector,
            options,
            buffer: Vec::new(),
            buffer_start: 0,
            needed_from: 0,
            judged: 0,
            room: None,
            state: State::Silence,
        })
    }

    /// The detector's name.
    pub fn detector_name(&self) -> &str {
        self.detector.name()
    }

    /// Takes the next samples (16 kHz, mono, any number) and gives the events that they complete to `emit`.
    ///
    /// # Errors
    /// [`VadError`] where the detector fails.
    pub fn push(&mut self, samples: &[f32], emit: &mut dyn FnMut(SpeechEvent)) -> Result<(), VadError> {
        self.buffer.extend_from_slice(samples);
        let frame = self.detector.frame_samples();
        while self.buffer_end() - self.judged >= frame as u64 {
            let at = (self.judged - self.buffer_start) as usize;
            let samples = &self.buffer[at..at + frame];
            let probability = self.detector.probability(samples)?;
            let loudness = (samples.iter().map(|s| s * s).sum::<f32>() / frame as f32).sqrt();
            self.judge(probability, loudness, frame as u64, emit);
        }
        Ok(())
    }

    /// The stream is over: an utterance in progress ends here. The endpointer is then ready for a new stream.
    pub fn finish(&mut self, emit: &mut dyn FnMut(SpeechEvent)) {
        if let State::Speech { start, last_speech, .. } = self.state {
            let end = self.buffer_end().min(last_speech + self.samples_in(self.options.post_roll_ms));
            emit(self.ended(start, end, last_speech, false));
        }
        self.reset();
    }

    /// Discards the stream so far, an utterance in progress included.
    pub fn reset(&mut self) {
        self.detector.reset();
        self.buffer.clear();
        self.buffer_start = 0;
        self.needed_from = 0;
        self.judged = 0;
        self.room = None;
        self.state = State::Silence;
    }

    /// Has the utterance under way end after so much silence, instead of [`EndpointOptions::end_silence_ms`], if the speaker does not
    /// go on. A pause that has already lasted as long ends with the next frame. Without an utterance nothing happens.
    pub fn end_after(&mut self, silence_ms: u32) {
        let silence = self.samples_in(silence_ms);
        if let State::Speech { end_silence, .. } = &mut self.state {
            *end_silence = Some(silence);
        }
    }

    /// Whether an utterance is in progress.
    pub fn in_speech(&self) -> bool {
        matches!(self.state, State::Speech { .. })
    }

    fn judge(&mut self, probability: f32, loudness: f32, frame: u64, emit: &mut dyn FnMut(SpeechEvent)) {
        let frame_start = self.judged;
        let frame_end = frame_start + frame;
        self.judged = frame_end;
        let is_quiet = match (&self.state, self.options.quiet_db) {
            (State::Speech { loudest, .. }, db @ 1..) => {
                // In a loud room a soft voice is not taken for the room.
                let room =
                    self.room.unwrap_or_default().min(loudest * 10f32.powf(-ABOVE_ROOM_DB / 20.0) / AS_LOUD_AS_ROOM);
                loudness < loudest * 10f32.powf(-(db as f32) / 20.0) || loudness < room * AS_LOUD_AS_ROOM
            }
            (State::Silence, _) if probability < self.options.stop_threshold => {
                let room = self.room.get_or_insert(loudness);
                *room += (loudness - *room) * ROOM_SHARE;
                false
            }
            _ => false,
        };
        let goes_on = probability >= self.options.stop_threshold && !is_quiet;
        match &mut self.state {
            State::Silence if probability >= self.options.start_threshold => {
                self.state = State::Maybe { first_speech: frame_start };
            }
            State::Maybe { .. } if !goes_on => self.state = State::Silence,
            State::Speech { last_speech, probabilities, paused, loudest, end_silence, .. } => {
                probabilities.push(probability);
                *loudest = loudest.max(loudness);
                if goes_on {
                    *end_silence = None;
                    if std::mem::take(paused) {
                        emit(SpeechEvent::Resumed);
                    }
                    *last_speech = frame_end;
                }
            }
            State::Silence | State::Maybe { .. } => {}
        }
        match self.state {
            State::Silence => self.forget_before(frame_end.saturating_sub(self.samples_in(self.options.pre_roll_ms))),
            State::Maybe { first_speech } => {
                if frame_end - first_speech >= self.samples_in(self.options.min_speech_ms) {
                    let start =
                        first_speech.saturating_sub(self.samples_in(self.options.pre_roll_ms)).max(self.needed_from);
                    self.state = State::Speech {
                        start,
                        last_speech: frame_end,
                        probabilities: Vec::new(),
                        paused: false,
                        loudest: loudness,
                        end_silence: None,
                    };
                    self.forget_before(start);
                    emit(SpeechEvent::Started { at_sample: SamplePosition(start) });
                }
            }
            State::Speech { start, last_speech, paused, end_silence, .. } => {
                let end_silence = end_silence.unwrap_or(self.samples_in(self.options.end_silence_ms));
                if frame_end - last_speech >= end_silence {
                    let end = frame_end.min(last_speech + self.samples_in(self.options.post_roll_ms));
                    emit(self.ended(start, end, last_speech, false));
                    self.state = State::Silence;
                    // The next pre-roll must not repeat what has just been given out.
                    self.forget_before(end.max(frame_end.saturating_sub(self.samples_in(self.options.pre_roll_ms))));
                } else if frame_end - start >= self.samples_in(self.options.max_utterance_ms) {
                    self.cut(start, last_speech, frame_end, frame, emit);
                } else if !paused
                    && self.options.pause_ms > 0
                    && frame_end - last_speech >= self.samples_in(self.options.pause_ms)
                {
                    let end = frame_end.min(last_speech + self.samples_in(self.options.post_roll_ms));
                    if let State::Speech { paused, .. } = &mut self.state {
                        *paused = true;
                    }
                    emit(SpeechEvent::Paused {
                        samples: self.sound(start, end),
                        end: SamplePosition(end),
                        last_speech_sample: SamplePosition(last_speech),
                    });
                }
            }
        }
    }

    /// Ends an utterance that has become too long where it is least like speech within its last quarter, and begins
    /// the next one there.
    fn cut(&mut self, start: u64, last_speech: u64, frame_end: u64, frame: u64, emit: &mut dyn FnMut(SpeechEvent)) {
        let State::Speech { probabilities, .. } = &mut self.state else {
            return;
        };
        let n = probabilities.len();
        let quarter = ((frame_end - start) / frame / 4) as usize;
        let first = n.saturating_sub(quarter.max(1));
        let quietest = (first..n).min_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b])).unwrap_or(n);
        let kept = probabilities.split_off(quietest.min(n));
        let end = frame_end - kept.len() as u64 * frame;
        emit(self.ended(start, end, last_speech.min(end), true));
        self.state = State::Speech {
            start: end,
            last_speech: last_speech.max(end),
            probabilities: kept,
            paused: false,
            loudest: 0.0,
            end_silence: None,
        };
        self.forget_before(end);
        emit(SpeechEvent::Started { at_sample: SamplePosition(end) });
    }

    fn sound(&self, start: u64, end: u64) -> Vec<f32> {
        let range: Range<usize> = (start - self.buffer_start) as usize..(end - self.buffer_start) as usize;
        self.buffer[range].to_vec()
    }

    fn ended(&self, start: u64, end: u64, last_speech: u64, cut: bool) -> SpeechEvent {
        SpeechEvent::Ended {
            samples: self.sound(start, end),
            start: SamplePosition(start),
            end: SamplePosition(end),
            last_speech_sample: SamplePosition(last_speech),
            cut,
        }
    }

    fn buffer_end(&self) -> u64 {
        self.buffer_start + self.buffer.len() as u64
    }

    /// Drops the audio before `position`. The buffer is moved only when half of it is free, so that a whole file given
    /// at once costs no more than the same file in small chunks.
    fn forget_before(&mut self, position: u64) {
        self.needed_from = self.needed_from.max(position);
        let free = (self.needed_from.saturating_sub(self.buffer_start) as usize).min(self.buffer.len());
        if free >= 16_000 && free * 2 >= self.buffer.len() {
            self.buffer.drain(..free);
            self.buffer_start += free as u64;
        }
    }

    fn samples_in(&self, ms: u32) -> u64 {
        u64::from(ms) * u64::from(SampleRate::SPEECH.0) / 1000
    }
}

/// Why voice activity could not be judged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VadError {
    /// A frame of the wrong length.
    #[error("a frame of {found} samples was given to a detector of {expected}")]
    Frame {
        /// Samples wanted.
        expected: usize,
        /// Samples given.
        found: usize,
    },
    /// An option out of range.
    #[error("{key} is {found} but must be {expected}")]
    Option {
        /// The key in the configuration.
        key: &'static str,
        /// The value found.
        found: String,
        /// What is accepted.
        expected: &'static str,
    },
    /// The ONNX model or its runtime.
    #[error(transparent)]
    Onnx(#[from] nearfield_onnx::OnnxError),
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Never;

    impl VoiceActivity for Never {
        fn frame_samples(&self) -> usize {
            256
        }

        fn probability(&mut self, _frame: &[f32]) -> Result<f32, VadError> {
            Ok(0.0)
        }

        fn reset(&mut self) {}

        fn name(&self) -> &str {
            "never"
        }
    }

    #[test]
    fn hours_of_silence_take_no_memory() {
        let mut endpointer = Endpointer::new(Box::new(Never), EndpointOptions::default()).unwrap();
        for _ in 0..3 * 60 * 60 * 10 {
            endpointer.push(&[0.0; 1_600], &mut |_| panic!("something in nothing")).unwrap();
        }
        assert!(endpointer.buffer.capacity() <= 65_536, "{} samples", endpointer.buffer.capacity());
    }
}

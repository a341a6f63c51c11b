//! Every message: those of the voice flow in the order in which they flow from the microphone to the loudspeaker, those of the
//! caption flow from the camera to the caption, those of the report flow from the sensors to the reader.
//!
//! A message says what it is and nothing of who sends or receives it. All of them travel in an [`Envelope`].

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use nearfield_llm::Prefill;
use nearfield_speech::audio::SampleRate;
use nearfield_speech::stt::Suppression;
use nearfield_telemetry::clock::ClockFindings;
use nearfield_telemetry::read::Rejected;
use nearfield_telemetry::table::Table;
use nearfield_telemetry::windows::ClosedWindow;
use nearfield_telemetry::{Moment, Reading, SensorId, SensorTraits};
use nearfield_vision::{Movement, Picture, Verdict, VisionResult};
use serde::Serialize;

use crate::caption::alerts::Alert;
use crate::flow::Turn;
use crate::voice::clauses::Haste;

/// A message on its way: which turn it belongs to and when it was made.
#[derive(Clone, Debug)]
pub struct Envelope<T> {
    /// The turn that the message belongs to.
    pub turn: Turn,
    /// When the message was made; the time until a stage takes it up is queueing.
    pub born: Instant,
    /// The message itself.
    pub body: T,
}

impl<T> Envelope<T> {
    /// A message made now.
    pub fn new(turn: Turn, body: T) -> Self {
        Self { turn, born: Instant::now(), body }
    }
}

/// A short run of sound as it was captured, 16 kHz mono.
#[derive(Clone, Debug)]
pub struct Frame {
    /// `[n_samples]`, in [-1, 1], at [`SampleRate::SPEECH`].
    pub samples: Vec<f32>,
    /// When the last of the samples was captured (or read, for a file).
    pub captured: Instant,
    /// Whether this is the end of one recording: speech under way ends here, without waiting for silence.
    pub last: bool,
    /// What a client wants besides being listened to.
    pub order: Option<Order>,
}

/// What the client of a connection wants besides being listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// An answer to what it has typed.
    Answer(String),
    /// What has been said since the last turn is dropped.
    Forget,
    /// The reply under way falls silent.
    Silence,
}

/// What somebody said, from the beginning to the end of it.
#[derive(Clone, Debug)]
pub struct Utterance {
    /// `[n_samples]` with a little silence around, at [`SampleRate::SPEECH`].
    pub samples: Vec<f32>,
    /// How many of the samples, from the first, hold speech; the rest is silence.
    pub speech_samples: usize,
    /// When the last speech sample was captured: latency is counted from here.
    pub speech_ended: Instant,
    /// Set while the speaker only pauses: the number of a guess ([`Guesses`](crate::flow::Guesses)) that is worth transcribing ahead.
    pub guess: Option<Turn>,
    /// The words, where they were typed instead of spoken.
    pub typed: Option<String>,
}

/// What was understood.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// The words; empty where nothing was understood.
    pub text: String,
    /// Why the text is empty although there was sound.
    pub suppressed: Option<Suppression>,
    /// When the speaker ended (for typed text: when it was entered).
    pub speech_ended: Instant,
    /// When it was certain that the speaker had ended.
    pub closed: Instant,
    /// Set while the speaker only pauses: the number of a guess that is worth preparing an answer to.
    pub guess: Option<Turn>,
}

impl Transcript {
    /// What was entered at `now` instead of spoken.
    pub fn typed(text: &str, now: Instant) -> Self {
        Self { text: text.to_owned(), suppressed: None, speech_ended: now, closed: now, guess: None }
    }
}

/// A piece of the reply as the model writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextDelta {
    /// The turn is decided and its reply will come: when its speech ended.
    Asked(Instant),
    /// How early the first clause leaves of what the model is about to write, and whether even that will be late.
    Begin {
        /// How early.
        haste: Haste,
        /// Whether it will be heard too late.
        is_late: bool,
    },
    /// More text; never half a character.
    Text(String),
    /// What is not yet a whole clause is taken back: the model repeats itself.
    Cut,
    /// Nobody is to hear it yet: the clause with which the reply to a guess begins.
    Ahead(Ahead),
    /// The reply is complete.
    End,
}

/// The first clause of a reply to a guess, to be made into sound before it is sure that it will be wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// The number of the guess.
    pub guess: Turn,
    /// The clause.
    pub clause: String,
}

/// A piece of the reply that can be spoken on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clause {
    /// A clause or a sentence.
    Text(String),
    /// What is said while the reply is late; no part of it.
    Filler(String),
    /// Nobody is to hear it yet: the clause with which the reply to a guess begins.
    Ahead(Ahead),
    /// The reply is complete.
    End,
}

/// A piece of the reply as sound.
#[derive(Clone, Debug)]
pub enum Speech {
    /// The samples that follow speak this clause.
    Clause(String),
    /// The samples that follow say this, which is no part of the reply: it passes the time until that comes.
    Filler(String),
    /// `[n_samples]`, mono, in [-1, 1].
    Samples {
        /// The voice's own rate.
        rate: SampleRate,
        /// The sound.
        samples: Vec<f32>,
    },
    /// The reply is complete.
    End,
}

/// What left the loudspeaker.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// The clauses that were heard to their end.
    pub heard: Vec<String>,
    /// Whether the reply was cut off by a newer turn.
    pub interrupted: bool,
    /// When the first sample was handed to the device.
    pub first_audio: Option<Instant>,
    /// How much sound was played.
    pub audio: Duration,
    /// Whether something was said to pass the time, since the reply was late.
    pub filler: bool,
}

/// What became of the tokens of a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Prompt tokens that the cache already held.
    pub reused: usize,
    /// How many of these stood elsewhere in the cache and were moved.
    pub moved: usize,
    /// Prompt tokens that had to be computed.
    pub prefilled: usize,
    /// Tokens that the model wrote.
    pub generated: usize,
    /// How many of these had been guessed from the prompt and cost no pass of their own.
    pub drafted: usize,
}

impl From<Prefill> for Tokens {
    fn from(prefill: Prefill) -> Self {
        let Prefill { reused, moved, prefilled, .. } = prefill;
        Self { reused, moved, prefilled, ..Self::default() }
    }
}

impl std::ops::AddAssign for Tokens {
    fn add_assign(&mut self, more: Self) {
        self.reused += more.reused;
        self.moved += more.moved;
        self.prefilled += more.prefilled;
        self.generated += more.generated;
        self.drafted += more.drafted;
    }
}

impl std::fmt::Display for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} reused, {} prefilled, {} generated", self.reused, self.prefilled, self.generated)?;
        match self.drafted {
            0 => Ok(()),
            n => write!(f, " ({n} drafted)"),
        }
    }
}

/// A picture as it comes from its source, not yet unpacked. The turn of its envelope is its number.
#[derive(Clone, Debug)]
pub struct Shot {
    /// What its source calls it: a file, or the source and a number.
    pub name: String,
    /// The time within the source.
    pub at: Duration,
    /// When it was taken, or read.
    pub taken: Instant,
    /// The same by the calendar.
    pub time: SystemTime,
    /// The picture.
    pub content: ShotContent,
}

/// A picture before it is unpacked.
#[derive(Clone)]
pub enum ShotContent {
    /// A file: JPEG, PNG, ...
    File(Vec<u8>),
    /// A picture that needs no unpacking.
    Picture(Arc<Picture>),
    /// What could not even be read, and why.
    Unreadable(String),
}

impl std::fmt::Debug for ShotContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(bytes) => write!(f, "File({} bytes)", bytes.len()),
            Self::Picture(picture) => write!(f, "{picture:?}"),
            Self::Unreadable(reason) => write!(f, "Unreadable({reason})"),
        }
    }
}

/// A picture, unpacked.
#[derive(Clone, Debug)]
pub struct View {
    /// As in [`Shot`].
    pub name: String,
    /// As in [`Shot`].
    pub at: Duration,
    /// As in [`Shot`].
    pub taken: Instant,
    /// As in [`Shot`].
    pub time: SystemTime,
    /// Its pixels.
    pub picture: Arc<Picture>,
}

/// A picture and what the vision model saw in it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The picture.
    pub view: View,
    /// What is in it.
    pub sight: VisionResult,
}

/// Who wrote a caption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Author {
    /// The language model, just now.
    Model,
    /// A rule, from what the vision model found: because that was asked for, or because the model's sentence did not name it.
    Rule,
    /// The configuration, for the nominal picture.
    Nominal,
    /// It is the earlier one: the scene is the same, or the language model said that it still holds.
    Kept,
}

/// What became of one picture.
#[derive(Clone, Debug)]
pub struct Captioned {
    /// The picture.
    pub view: View,
    /// What is in it.
    pub sight: VisionResult,
    /// What the gate said.
    pub verdict: Verdict,
    /// The cosine with what was described before.
    pub similarity: f32,
    /// The caption in force after this picture; empty before the first.
    pub caption: String,
    /// Who wrote it.
    pub author: Author,
    /// Whether this picture brought a new caption.
    pub changed: bool,
    /// How much likelier the language model held "yes, it still holds" than "no", in logits; `None` where it was not asked.
    pub second_opinion: Option<f32>,
    /// What became of the prompt's tokens; all 0 where the language model was not needed.
    pub tokens: Tokens,
    /// Time at the language model, its queue included.
    pub language: Duration,
    /// What came and went.
    pub movements: Vec<Movement>,
    /// Rules of the user's that hold; the stage that follows objects tells them.
    pub alerts: Vec<Alert>,
}

/// Readings as they came, many at once: a message for each would cost more than what is done with it.
#[derive(Debug, Default)]
pub struct Batch {
    /// Sensors that are new with this batch, in the order of their numbers: key and traits.
    pub introduced: Vec<(String, SensorTraits)>,
    /// The readings, in the order in which they came.
    pub readings: Vec<Reading>,
    /// What the source has passed over since the batch before.
    pub rejected: Rejected,
    /// To be given once the readings can't be lost any more.
    pub receipt: Option<Receipt>,
    /// Where readings come as they are taken: what they show of the time.
    pub pace: Pace,
    /// Clocks that were found wrong; the readings have other times already.
    pub clocks: ClockFindings,
    /// Offsets of clocks, in microseconds, that have changed with this batch.
    pub offsets: Vec<(SensorId, i64)>,
    /// Readings that the store had already; they are not among the others any more.
    pub repeated: u64,
    /// Those of them that had another value in the store.
    pub conflicting: u64,
    /// From here on readings come as they are taken.
    pub goes_live: bool,
}

impl Batch {
    /// Leaves out readings that no source hands over: of a sensor beyond the first `sensors`, at a time that no calendar has, or
    /// without a value.
    ///
    /// # Errors
    /// How many there were; the others are left.
    pub fn leave_out_impossible(&mut self, sensors: usize) -> anyhow::Result<()> {
        let before = self.readings.len();
        self.readings.retain(|reading| {
            let has_time = Moment::from(reading.at.timestamp()) == reading.at;
            has_time && reading.value.is_finite() && (reading.sensor.0 as usize) < sensors
        });
        match before - self.readings.len() {
            0 => Ok(()),
            1 => anyhow::bail!("a reading without a known sensor, time or value is left out"),
            n => anyhow::bail!("{n} readings without a known sensor, time or value are left out"),
        }
    }
}

/// What the readings of a batch show of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// One of them came as it was taken.
    pub current: bool,
    /// One of them was held up, and more of that kind may follow.
    pub held_up: bool,
}

/// The right to acknowledge what a batch was made of.
#[derive(Debug)]
pub struct Receipt {
    /// Where the acknowledged numbers go.
    pub to: crossbeam_channel::Sender<Vec<u16>>,
    /// The numbers of the messages.
    pub numbers: Vec<u16>,
}

impl Receipt {
    /// The readings are safe.
    pub fn give(self) {
        // A connection that has gone in the meantime will hear of the messages again.
        let _ = self.to.try_send(self.numbers);
    }
}

/// A window that is over, with its table.
#[derive(Debug)]
pub struct WindowSummary {
    /// What it holds.
    pub window: ClosedWindow,
    /// What is known of its sensors, by their numbers.
    pub traits: std::sync::Arc<Vec<SensorTraits>>,
    /// What may be said of it.
    pub table: Table,
    /// What the source passed over since the window before.
    pub rejected: Rejected,
    /// Clocks that were found wrong since the window before.
    pub clocks: ClockFindings,
    /// When it was closed.
    pub closed: Instant,
}

/// Who wrote a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The model, at once.
    Written,
    /// The model, at the second try, which can only be a true form of the fact.
    Regenerated,
    /// Nobody: it was computed.
    Computed,
}

/// A sentence that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sentence {
    /// The sentence.
    pub text: String,
    /// Who wrote it.
    pub origin: Origin,
}

/// The words of a report, and what they took.
#[derive(Clone, Debug, Default)]
pub struct Composed {
    /// The sentences.
    pub sentences: Vec<Sentence>,
    /// What the model wrote and the check refused, with the reason.
    pub refused: Vec<(String, String)>,
    /// What became of the tokens, all tries together.
    pub tokens: Tokens,
    /// From the close of the window to the model's first text.
    pub first_word: Option<Duration>,
    /// From the close of the window to the checked report.
    pub checked: Duration,
    /// Why the model wrote nothing, where it failed: the sentences are computed then.
    pub failure: Option<String>,
}

/// A report as it comes to be.
#[derive(Debug)]
pub enum ReportPart {
    /// A report begins: its window in words.
    Title(String),
    /// A sentence that has passed the check.
    Sentence(Sentence),
    /// The whole.
    Done(Box<Report>),
}

/// A finished report.
#[derive(Debug)]
pub struct Report {
    /// The window.
    pub summary: WindowSummary,
    /// Its words.
    pub composed: Composed,
}

//! Speech to text: Whisper models in ggml format, through whisper.cpp.
//!
//! What this module adds to whisper.cpp: the file is checked before it is loaded (whisper.cpp trusts it), the audio
//! context is cut to the utterance, long audio is cut at its pauses so that memory stays bounded, text that the model
//! makes up on silence and noise is suppressed, and a transcription can be stopped.
//!
//! whisper.cpp's kernels are compiled for one level of SIMD, not chosen at run time: on x86-64 that is AVX2, FMA, F16C
//! and BMI2 (processors since 2013, but not the Celerons and Atoms before Alder Lake-N), on ARM 64 plain NEON, which
//! every such board has. [`SpeechToText::open`] refuses to run on less; building with `GGML_AVX2=OFF GGML_FMA=OFF
//! GGML_F16C=OFF GGML_BMI2=OFF GGML_AVX=OFF` in the environment lowers it.

mod error;
mod ggml_file;
mod judgement;
mod options;
mod pieces;
#[cfg(feature = "whisper")]
mod whisper;
#[cfg(not(feature = "whisper"))]
#[path = "whisper_absent.rs"]
mod whisper;
mod word_errors;
mod words;

pub use error::SttError;
pub use ggml_file::GgmlHeader;
pub use judgement::Suppression;
pub use options::SttOptions;

pub use word_errors::word_errors;
pub use words::Word;

use pieces::{Piece, plan, spoken};
use whisper::{Pass, Weights, Whisper};
use words::TimedToken;

use crate::audio::SampleRate;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The result of a transcription.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Transcription {
    /// The whole text; empty where there is no speech.
    pub text: String,
    /// Its parts, in order.
    pub segments: Vec<Segment>,
    /// Why there is no text, or why some was left out.
    pub suppressed: Option<Suppression>,
    /// The caller stopped it; the text is what was complete by then.
    pub stopped: bool,
    /// The length of the audio.
    pub audio: Duration,
    /// The language spoken, as a code such as `en`; where the model knows several, as it was recognized.
    pub language: Option<&'static str>,
}

/// A part of a transcription.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Where it begins in the audio.
    pub start: Duration,
    /// Where it ends.
    pub end: Duration,
    /// Its text.
    pub text: String,
    /// The model's probability that nobody speaks. Computed only where the text is unlikely, because it costs time.
    pub no_speech_probability: Option<f32>,
    /// The mean of the tokens' log-probabilities: 0 is certain.
    pub average_log_probability: f32,
    /// Its words with their times, where [`SttOptions::word_timestamps`] asks for them.
    pub words: Vec<Word>,
}

/// The weights of a Whisper model, which several recognizers may share.
#[derive(Clone)]
pub struct SttWeights {
    weights: Weights,
    header: GgmlHeader,
    path: PathBuf,
    /// Whether they were loaded for the times of words.
    word_timestamps: bool,
}

impl SttWeights {
    /// Whether a recognizer with these options can use them.
    pub fn suit(&self, options: &SttOptions) -> bool {
        self.word_timestamps == options.word_timestamps
    }

    /// The model's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether anybody else uses them.
    pub fn is_shared(&self) -> bool {
        self.weights.is_shared()
    }
}

/// A Whisper model with its working state, used again for each utterance.
pub struct SpeechToText {
    whisper: Whisper,
    weights: SttWeights,
    options: SttOptions,
    is_shortened: bool,
}

/// What whisper.cpp makes of a piece of sound.
struct RawSegment {
    text: String,
    /// The mean over its tokens and the end token.
    average_log_probability: f32,
    /// With their times, where these are asked for.
    tokens: Vec<TimedToken>,
}

/// Encoder frames of 20 ms: two spectrogram frames of 160 samples.
const SAMPLES_PER_ENCODER_FRAME: usize = 320;
/// A pause of this length parts sound for every model: what it leaves out need not be computed, and segments end with the speech.
const LONG_PAUSE: Duration = Duration::from_secs(2);
/// Shorter audio holds no word, and whisper.cpp ignores it.
const SHORTEST: Duration = Duration::from_millis(100);

impl SpeechToText {
    /// Checks and loads a model, and prepares its state.
    ///
    /// # Errors
    /// [`SttError`] where the file is missing, cut short, of another kind or contradicts itself, where an option is out of
    /// range, where this processor lacks what whisper.cpp was compiled for, or where the crate was built without it.
    pub fn open(path: &Path, options: &SttOptions) -> Result<SpeechToText, SttError> {
        options.check()?;
        whisper::check()?;
        let header = GgmlHeader::read(path)?;
        whisper::check_language(options, &header)?;
        let weights = Weights::load(path, options.word_timestamps, &header)?;
        let path = path.to_path_buf();
        Self::sharing(&SttWeights { weights, header, path, word_timestamps: options.word_timestamps }, options)
    }

    /// A recognizer with a state of its own over weights that others use too.
    ///
    /// # Errors
    /// An option is out of range, or there is no memory for the state.
    pub fn sharing(weights: &SttWeights, options: &SttOptions) -> Result<SpeechToText, SttError> {
        options.check()?;
        let whisper = Whisper::over(&weights.weights, &weights.path, options, &weights.header)?;
        Ok(SpeechToText { whisper, weights: weights.clone(), options: options.clone(), is_shortened: false })
    }

    /// Has what follows transcribed in a shorter context of the encoder: sooner, with more errors. It changes nothing where
    /// [`SttOptions::audio_ctx_min`] is set, and for sound that needs more. Answers whether it may change something.
    pub fn shorten_context(&mut self, is_shortened: bool) -> bool {
        self.is_shortened = is_shortened;
        is_shortened && self.options.audio_ctx_min.is_none()
    }

    /// The weights, for another recognizer.
    pub fn weights(&self) -> SttWeights {
        self.weights.clone()
    }

    /// The header of the model's file.
    pub fn header(&self) -> &GgmlHeader {
        &self.weights.header
    }

    /// The model's file.
    pub fn path(&self) -> &Path {
        &self.weights.path
    }

    /// Whether the model knows languages other than English.
    pub fn is_multilingual(&self) -> bool {
        self.weights.header.is_multilingual()
    }

    /// Transcribes speech.
    ///
    /// samples: mono, f32, 16 kHz, [-1, 1]; any length. `go_on` is called before each piece, and within it after the
    /// encoder and after each token; when it returns [`ControlFlow::Break`], the complete part is returned, marked as stopped.
    ///
    /// # Errors
    /// [`SttError::Failed`] where whisper.cpp fails for another reason than being stopped.
    pub fn transcribe(
        &mut self,
        samples: &[f32],
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Transcription, SttError> {
        let rate = SampleRate::SPEECH;
        let mut result = Transcription { audio: rate.duration_of(samples.len()), ..Transcription::default() };
        if result.audio < SHORTEST {
            result.suppressed = Some(Suppression::Silence);
            return Ok(result);
        }
        let cut_at_pauses = self.options.cut_at_pauses.unwrap_or(self.weights.header.is_smaller_than_openai());
        let window = rate.samples_in(Duration::from_millis(self.options.window_ms.into()));
        // Pauses are found at half a second; a longer one parts sound for every model.
        let pause = if cut_at_pauses { 0 } else { rate.samples_in(LONG_PAUSE) };
        let speech = spoken(samples).map_err(SttError::Pauses)?;
        for piece in plan(samples, speech.as_deref(), pause, window) {
            if go_on().is_break() {
                result.stopped = true;
                break;
            }
            let sound = &samples[piece.sound.clone()];
            if judgement::is_silent(sound) {
                result.suppressed = Some(Suppression::Silence);
                continue;
            }
            match self.transcribe_piece(sound, &piece, go_on)? {
                None => {
                    result.stopped = true;
                    break;
                }
                Some(mut segments) => {
                    result.language = self.language();
                    if piece.speech.is_some() {
                        words::bound(&mut segments, speech.as_deref().unwrap_or_default());
                    }
                    let is_doubted =
                        piece.is_searched && piece.speech.is_none() && !self.weights.header.is_smaller_than_openai();
                    match judgement::judge(segments, &self.options, is_doubted) {
                        Ok(segments) => result.segments.extend(segments),
                        Err(suppression) => result.suppressed = Some(suppression),
                    }
                }
            }
        }
        result.text = result.segments.iter().map(|s| s.text.as_str()).collect::<Vec<_>>().join(" ");
        Ok(result)
    }

    /// The code of the language of the last piece.
    fn language(&self) -> Option<&'static str> {
        if !self.weights.header.is_multilingual() {
            return Some("en");
        }
        self.whisper.language()
    }

    /// The segments of one piece; `None` where it was stopped.
    fn transcribe_piece(
        &mut self,
        sound: &[f32],
        piece: &Piece,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<Vec<Segment>>, SttError> {
        let [least, safe] = self.least_frames();
        if !self.run(sound, (0.0, 0.0), least, go_on)? {
            return Ok(None);
        }
        let mut segments = self.segments(sound, piece);
        let is_longer = self.audio_ctx(sound.len(), least) < self.audio_ctx(sound.len(), safe);
        if is_longer && segments.iter().any(|s| judgement::says_twice(&s.text)) {
            if !self.run(sound, (0.0, 0.0), safe, go_on)? {
                return Ok(None);
            }
            segments = self.segments(sound, piece);
        }
        let threshold = self.options.logprob_threshold;
        // Where no speech was found, the model is asked, too.
        let is_doubted = piece.is_searched && piece.speech.is_none() && segments.iter().any(|s| !s.text.is_empty());
        let unlikely = is_doubted || segments.iter().any(|s| s.average_log_probability < threshold);
        if unlikely {
            let no_speech = self.whisper.no_speech_probability().map_err(|reason| self.failed(reason))?;
            segments.iter_mut().for_each(|s| s.no_speech_probability = Some(no_speech));
        }
        // As in OpenAI's implementation, noise gets no second try: it would only give other made-up words.
        let increment = self.temperature_increment();
        if increment > 0.0 && segments.iter().any(|s| judgement::deserves_another_try(s, &self.options)) {
            if !self.run(sound, (increment, increment), safe, go_on)? {
                return Ok(None);
            }
            let no_speech = segments.first().and_then(|s| s.no_speech_probability);
            segments = self.segments(sound, piece);
            segments.iter_mut().for_each(|s| s.no_speech_probability = no_speech);
        }
        Ok(Some(segments))
    }

    /// Runs whisper.cpp over one piece in a context of at least so many frames, at `temperature`, and at rising ones while the result is
    /// unlikely. `false` where it was stopped.
    fn run(
        &mut self,
        sound: &[f32],
        (temperature, increment): (f32, f32),
        least_frames: usize,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<bool, SttError> {
        // whisper.cpp ends where less than 0.1 s is left, so a short word gets some silence after it.
        const LEAST: usize = 8_000; // 16 kHz * 0.5 s
        let lead = self.lead_in(sound);
        let mut padded;
        let input = if lead > 0 || sound.len() < LEAST {
            padded = vec![0.0; lead];
            padded.extend_from_slice(sound);
            padded.resize(padded.len().max(LEAST), 0.0);
            &padded
        } else {
            sound
        };
        let pass = Pass {
            temperature,
            increment,
            audio_ctx: self.audio_ctx(lead + sound.len(), least_frames),
            max_tokens: self.max_tokens(sound.len()),
        };
        self.whisper.run(input, &pass, go_on).map_err(|reason| self.failed(reason))
    }

    fn failed(&self, reason: String) -> SttError {
        SttError::Failed { path: self.weights.path.clone(), reason }
    }

    fn temperature_increment(&self) -> f32 {
        self.options.temperature_increment.unwrap_or(if self.weights.header.is_smaller_than_openai() {
            0.0
        } else {
            0.2
        })
    }

    /// Samples of silence to put before sound that begins with speech. OpenAI's models learned from recordings that begin before it: of
    /// "Stop. What is ..." from the first sample on they leave out the first word.
    fn lead_in(&self, sound: &[f32]) -> usize {
        const LEAD: usize = 1_600; // 16 kHz * 0.1 s
        if self.weights.header.is_smaller_than_openai() {
            return 0;
        }
        let power = |s: &[f32]| s.iter().map(|v| f64::from(v * v)).sum::<f64>() / s.len().max(1) as f64;
        // 20 dB under the whole: a pause between words is quieter.
        let begins_at_once = power(&sound[..sound.len().min(LEAD / 2)]) > 0.01 * power(sound);
        if begins_at_once { LEAD } else { 0 }
    }

    /// The encoder frames for `n_samples`: the sound, some margin, rounded up to 32, within what the model has.
    ///
    /// OpenAI's models were trained on windows that go on behind the last word. With a margin of 16 frames they say the last phrase twice;
    /// with 64 (1.3 s) they do not.
    fn audio_ctx(&self, n_samples: usize, least: usize) -> usize {
        let margin = if self.weights.header.is_smaller_than_openai() { 16 } else { 64 };
        let frames = (n_samples.div_ceil(SAMPLES_PER_ENCODER_FRAME) + margin).div_ceil(32) * 32;
        frames.max(least).min(self.weights.header.n_audio_ctx as usize)
    }

    /// The fewest encoder frames, and those with which nothing is said twice: in 384 OpenAI's models do so with a short sentence now and then,
    /// and make no other errors than in 512.
    fn least_frames(&self) -> [usize; 2] {
        match self.options.audio_ctx_min {
            Some(least) => [least as usize; 2],
            // OpenAI's smallest, `tiny`, is 384 wide.
            None if self.weights.header.n_audio_state < 384 => [0; 2],
            // A third of the words more are wrong then.
            None if self.is_shortened => [256, 384],
            None => [384, 512],
        }
    }

    /// Nobody says more than 12 tokens a second for long; without a bound a loop would fill the text context each time.
    fn max_tokens(&self, n_samples: usize) -> usize {
        match self.options.max_tokens {
            0 => 24 + n_samples * 12 / SampleRate::SPEECH.0 as usize,
            n => n as usize,
        }
    }

    fn segments(&self, sound: &[f32], piece: &Piece) -> Vec<Segment> {
        let rate = SampleRate::SPEECH;
        let bounds = piece.speech.as_ref().unwrap_or(&piece.sound);
        let (start, end) = (rate.duration_of(bounds.start), rate.duration_of(bounds.end));
        let offset = rate.duration_of(piece.sound.start);
        let lead = rate.duration_of(self.lead_in(sound));
        let segment = |raw: RawSegment| Segment {
            start,
            end,
            text: raw.text,
            no_speech_probability: None,
            words: words::words(raw.tokens, (offset, lead, start, end)),
            average_log_probability: raw.average_log_probability,
        };
        self.whisper.segments().into_iter().map(segment).collect()
    }
}

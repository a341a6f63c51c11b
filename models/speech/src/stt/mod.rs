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

mod abort;
mod ggml_file;
mod judgement;

pub use ggml_file::GgmlHeader;
pub use judgement::Suppression;

use crate::audio::SampleRate;
use crate::vad::{Earshot, EndpointOptions, Endpointer, SpeechEvent, VadError};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperError, WhisperState};

/// How speech is turned into text. The defaults suit questions and commands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SttOptions {
    /// Threads; 0: one for small models, else one less than there are cores, at most 4.
    // whisper.cpp's threads wait for each other by spinning, after each of some hundred steps, so one that has to share its core
    // slows all of them down by an order of magnitude.
    pub threads: usize,
    /// The language spoken, for multilingual models; without it the language is recognized first.
    #[cfg_attr(feature = "schema", schemars(example = &"en"))]
    pub language: Option<String>,
    /// The fewest encoder frames (20 ms each) that the model is given, however short the utterance. Models trained on full windows
    /// only, as OpenAI's are, repeat themselves when given much less. Without it: what suits the model.
    #[cfg_attr(feature = "schema", schemars(example = 512))]
    pub audio_ctx_min: Option<u32>,
    /// A doubtful result is tried again with the temperature raised by this, up to 1; 0: one try. Without it: 0 for small models,
    /// which only guess then, else 0.2.
    #[cfg_attr(feature = "schema", schemars(example = 0.2))]
    pub temperature_increment: Option<f32>,
    /// Hypotheses that are followed at once; more make somewhat fewer errors and take longer.
    pub beam_size: u32,
    /// Above this probability of "no speech", a doubtful text is dropped.
    pub no_speech_threshold: f32,
    /// Below this average log-probability a result is doubtful.
    pub logprob_threshold: f32,
    /// Below this average log-probability the final result is dropped: better no answer than one to a guess.
    pub logprob_floor: f32,
    /// Below this entropy (nats, over the last 32 tokens) a result is a loop.
    pub entropy_threshold: f32,
    /// Text that the model is told came before: names, spelling. Off by default: on silence it is what is transcribed.
    #[cfg_attr(feature = "schema", schemars(example = &"Nearfield, Zigbee"))]
    pub initial_prompt: Option<String>,
    /// The most tokens of a piece; 0: by the length of the sound.
    pub max_tokens: u32,
    /// Longer sound is cut into pieces of at most this, at its quietest places.
    pub window_ms: u32,
    /// Whether sound of more than 3 s is first cut wherever nobody speaks for half a second, as models need that have only learned
    /// single sentences. Without it: what suits the model.
    #[cfg_attr(feature = "schema", schemars(example = true))]
    pub cut_at_pauses: Option<bool>,
}

impl Default for SttOptions {
    fn default() -> Self {
        SttOptions {
            threads: 0,
            language: None,
            audio_ctx_min: None,
            temperature_increment: None,
            beam_size: 1,
            no_speech_threshold: 0.6,
            logprob_threshold: -1.0,
            logprob_floor: -1.5,
            entropy_threshold: 2.4,
            initial_prompt: None,
            max_tokens: 0,
            window_ms: 28_000,
            cut_at_pauses: None,
        }
    }
}

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
}

/// A Whisper model with its working state, used again for each utterance.
pub struct SpeechToText {
    state: WhisperState,
    context: WhisperContext,
    /// Built once: whisper-rs leaks a string each time a language or a prompt is set.
    params: FullParams<'static, 'static>,
    options: SttOptions,
    threads: usize,
    header: GgmlHeader,
    path: PathBuf,
}

/// Encoder frames of 20 ms: two spectrogram frames of 160 samples.
const SAMPLES_PER_ENCODER_FRAME: usize = 320;
/// Shorter audio holds no word, and whisper.cpp ignores it.
const SHORTEST: Duration = Duration::from_millis(100);

impl SpeechToText {
    /// Checks and loads a model, and prepares its state.
    ///
    /// # Errors
    /// [`SttError`] where the file is missing, cut short, of another kind or contradicts itself, where an option is out of
    /// range, or where this processor lacks what whisper.cpp was compiled for.
    pub fn open(path: &Path, options: &SttOptions) -> Result<SpeechToText, SttError> {
        whisper_rs::install_logging_hooks();
        options.check()?;
        check_processor()?;
        let header = GgmlHeader::read(path)?;
        let language = language_code(options, &header)?;
        let load = |e: WhisperError| SttError::Load { path: path.to_path_buf(), reason: e.to_string() };
        let context = WhisperContext::new_with_params(path, WhisperContextParameters::default()).map_err(load)?;
        let state = context.create_state().map_err(load)?;

        let mut params = FullParams::new(match options.beam_size {
            1 => SamplingStrategy::Greedy { best_of: 1 },
            n => SamplingStrategy::BeamSearch { beam_size: n as i32, patience: -1.0 },
        });
        let threads = match options.threads {
            0 if header.is_smaller_than_openai() => 1,
            0 => std::thread::available_parallelism().map_or(1, |n| (n.get() - 1).clamp(1, 4)),
            n => n,
        };
        params.set_n_threads(threads as i32);
        if let Some(language) = language {
            params.set_language(Some(language));
        }
        // Row 0 of the logits, from which whisper.cpp takes its own probability of no speech, is not computed for prompts
        // of more than one token: it holds what the last utterance left there. So that test is switched off here, and
        // made in `no_speech_probability`.
        params.set_no_speech_thold(f32::INFINITY);
        params.set_logprob_thold(options.logprob_threshold);
        params.set_entropy_thold(options.entropy_threshold);
        if let Some(prompt) = &options.initial_prompt {
            params.set_initial_prompt(prompt);
        }
        params.set_no_context(true);
        params.set_no_timestamps(true);
        params.set_single_segment(true);
        params.set_suppress_blank(true);
        params.set_suppress_nst(true);
        params.set_print_special(false);
        params.set_print_progress(false);
        params.set_print_realtime(false);
        params.set_print_timestamps(false);
        Ok(SpeechToText { state, context, params, options: options.clone(), threads, header, path: path.to_path_buf() })
    }

    /// The header of the model's file.
    pub fn header(&self) -> &GgmlHeader {
        &self.header
    }

    /// The model's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the model knows languages other than English.
    pub fn is_multilingual(&self) -> bool {
        self.context.is_multilingual()
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
        let cut_at_pauses = self.options.cut_at_pauses.unwrap_or(self.header.is_smaller_than_openai());
        let edges = if cut_at_pauses { pauses(samples).map_err(SttError::Pauses)? } else { vec![0, samples.len()] };
        let window = rate.samples_in(Duration::from_millis(self.options.window_ms.into()));
        for piece in edges.windows(2).flat_map(|edge| pieces(samples, edge[0]..edge[1], window)) {
            if go_on().is_break() {
                result.stopped = true;
                break;
            }
            let sound = &samples[piece.clone()];
            if judgement::is_silent(sound) {
                result.suppressed = Some(Suppression::Silence);
                continue;
            }
            let (start, end) = (rate.duration_of(piece.start), rate.duration_of(piece.end));
            match self.transcribe_piece(sound, start, end, go_on)? {
                None => {
                    result.stopped = true;
                    break;
                }
                Some(segments) => match judgement::judge(segments, &self.options) {
                    Ok(segments) => result.segments.extend(segments),
                    Err(suppression) => result.suppressed = Some(suppression),
                },
            }
        }
        result.text = result.segments.iter().map(|s| s.text.as_str()).collect::<Vec<_>>().join(" ");
        Ok(result)
    }

    /// The segments of one piece, which lies from `start` to `end`; `None` where it was stopped.
    fn transcribe_piece(
        &mut self,
        sound: &[f32],
        start: Duration,
        end: Duration,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<Vec<Segment>>, SttError> {
        if !self.run(sound, 0.0, 0.0, go_on)? {
            return Ok(None);
        }
        let mut segments = self.segments(start, end);
        let threshold = self.options.logprob_threshold;
        let unlikely = segments.iter().any(|s| s.average_log_probability < threshold);
        if unlikely {
            let no_speech = self.no_speech_probability()?;
            segments.iter_mut().for_each(|s| s.no_speech_probability = Some(no_speech));
        }
        // As in OpenAI's implementation, noise gets no second try: it would only give other made-up words.
        let increment = self.temperature_increment();
        if increment > 0.0 && segments.iter().any(|s| judgement::deserves_another_try(s, &self.options)) {
            if !self.run(sound, increment, increment, go_on)? {
                return Ok(None);
            }
            let no_speech = segments.first().and_then(|s| s.no_speech_probability);
            segments = self.segments(start, end);
            segments.iter_mut().for_each(|s| s.no_speech_probability = no_speech);
        }
        Ok(Some(segments))
    }

    /// Runs whisper.cpp over one piece at `temperature`, and at rising ones while the result is unlikely. `false` where
    /// it was stopped.
    fn run(
        &mut self,
        sound: &[f32],
        temperature: f32,
        increment: f32,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<bool, SttError> {
        // whisper.cpp ends where less than 0.1 s is left, so a short word gets some silence after it.
        const LEAST: usize = 8_000; // 16 kHz * 0.5 s
        let mut padded;
        let input = if sound.len() < LEAST {
            padded = sound.to_vec();
            padded.resize(LEAST, 0.0);
            &padded
        } else {
            sound
        };
        let mut params = self.params.clone();
        params.set_temperature(temperature);
        params.set_temperature_inc(increment);
        params.set_audio_ctx(self.audio_ctx(sound.len()) as i32);
        params.set_max_tokens(self.max_tokens(sound.len()) as i32);
        match abort::full(&mut self.state, params, input, go_on) {
            abort::Outcome::Done => Ok(true),
            abort::Outcome::Stopped => Ok(false),
            abort::Outcome::Failed(e) => Err(self.failed(e)),
        }
    }

    /// The probability of `<|nospeech|>` right after `<|startoftranscript|>`, for the audio that was encoded last: one more
    /// step of the decoder.
    fn no_speech_probability(&mut self) -> Result<f32, SttError> {
        let start = self.context.token_sot();
        let no_speech = self.context.token_nosp();
        self.state.decode(&[start], 0, self.threads).map_err(|e| self.failed(e))?;
        let logits = self.state.get_logits().map_err(|e| self.failed(e))?;
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|&l| f64::from(l - max).exp()).sum();
        Ok((f64::from(logits[no_speech as usize] - max).exp() / sum) as f32)
    }

    fn failed(&self, e: WhisperError) -> SttError {
        SttError::Failed { path: self.path.clone(), reason: e.to_string() }
    }

    fn temperature_increment(&self) -> f32 {
        self.options.temperature_increment.unwrap_or(if self.header.is_smaller_than_openai() { 0.0 } else { 0.2 })
    }

    /// The encoder frames for `n_samples`: the sound, 16 frames of margin, rounded up to 32, within what the model has.
    fn audio_ctx(&self, n_samples: usize) -> usize {
        let frames = (n_samples.div_ceil(SAMPLES_PER_ENCODER_FRAME) + 16).div_ceil(32) * 32;
        // OpenAI's smallest, `tiny`, is 384 wide.
        let default_min = if self.header.n_audio_state < 384 { 0 } else { 512 };
        let least = self.options.audio_ctx_min.unwrap_or(default_min) as usize;
        frames.max(least).min(self.header.n_audio_ctx as usize)
    }

    /// Nobody says more than 12 tokens a second for long; without a bound a loop would fill the text context each time.
    fn max_tokens(&self, n_samples: usize) -> usize {
        match self.options.max_tokens {
            0 => 24 + n_samples * 12 / SampleRate::SPEECH.0 as usize,
            n => n as usize,
        }
    }

    fn segments(&self, start: Duration, end: Duration) -> Vec<Segment> {
        let eot = self.context.token_eot();
        self.state
            .as_iter()
            .map(|segment| {
                let tokens = (0..segment.n_tokens()).filter_map(|i| segment.get_token(i)).map(|t| t.token_data());
                // The end token counts too, as in OpenAI's implementation: being sure that it ended is part of being sure.
                let (sum, n) = tokens
                    .filter(|t| t.id <= eot)
                    .fold((0.0, 0), |(sum, n), token| (sum + f64::from(token.plog), n + 1));
                Segment {
                    start,
                    end,
                    text: segment.to_str_lossy().map(|text| text.trim().to_string()).unwrap_or_default(),
                    no_speech_probability: None,
                    average_log_probability: if n == 0 { f32::NEG_INFINITY } else { (sum / f64::from(n)) as f32 },
                }
            })
            .collect()
    }
}

impl SttOptions {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// [`SttError::Option`] naming the key, its value and what is accepted.
    pub fn check(&self) -> Result<(), SttError> {
        let wrong =
            |key: &'static str, found: String, expected: &'static str| Err(SttError::Option { key, found, expected });
        if self.threads > 256 {
            return wrong("threads", self.threads.to_string(), "from 0 to 256");
        }
        if let Some(increment) = self.temperature_increment
            && !(0.0..=1.0).contains(&increment)
        {
            return wrong("temperature_increment", increment.to_string(), "from 0 to 1");
        }
        if !(1..=8).contains(&self.beam_size) {
            return wrong("beam_size", self.beam_size.to_string(), "from 1 to 8");
        }
        if !(0.0..=1.0).contains(&self.no_speech_threshold) {
            return wrong("no_speech_threshold", self.no_speech_threshold.to_string(), "from 0 to 1");
        }
        if !(-100.0..=0.0).contains(&self.logprob_threshold) {
            return wrong("logprob_threshold", self.logprob_threshold.to_string(), "from -100 to 0");
        }
        if !(-100.0..=0.0).contains(&self.logprob_floor) {
            return wrong("logprob_floor", self.logprob_floor.to_string(), "from -100 to 0");
        }
        if !(-100.0..=100.0).contains(&self.entropy_threshold) {
            return wrong("entropy_threshold", self.entropy_threshold.to_string(), "from -100 to 100");
        }
        if let Some(frames) = self.audio_ctx_min
            && frames > 1500
        {
            return wrong("audio_ctx_min", frames.to_string(), "from 0 to 1500");
        }
        if !(1_000..=29_000).contains(&self.window_ms) {
            return wrong("window_ms", self.window_ms.to_string(), "from 1000 to 29000");
        }
        if self.max_tokens > 1_000 {
            return wrong("max_tokens", self.max_tokens.to_string(), "from 0 to 1000");
        }
        if self.initial_prompt.as_ref().is_some_and(|p| p.contains('\0') || p.len() > 2_000) {
            return wrong(
                "initial_prompt",
                "a longer one, or one with a NUL".to_string(),
                "at most 2000 bytes of text",
            );
        }
        Ok(())
    }
}

/// The code to set, or none where whisper.cpp's default, English, is right.
fn language_code(options: &SttOptions, header: &GgmlHeader) -> Result<Option<&'static str>, SttError> {
    match options.language.as_deref() {
        None if header.is_multilingual() => Ok(Some("auto")),
        None | Some("en") => Ok(None),
        Some(language) => {
            let plain = language.chars().all(|c| c.is_ascii_alphabetic());
            let code = plain.then(|| whisper_rs::get_lang_id(language)).flatten().and_then(whisper_rs::get_lang_str);
            let refused = |reason| Err(SttError::Language { found: language.to_string(), reason });
            match code {
                None => refused("Whisper has no such language"),
                Some(_) if !header.is_multilingual() => refused("the model knows English only"),
                code => Ok(code),
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn check_processor() -> Result<(), SttError> {
    let compiled = whisper_rs::SystemInfo::default();
    let needs = [
        (compiled.avx, std::arch::is_x86_feature_detected!("avx"), "AVX"),
        (compiled.avx2, std::arch::is_x86_feature_detected!("avx2"), "AVX2"),
        (compiled.fma, std::arch::is_x86_feature_detected!("fma"), "FMA"),
        (compiled.f16c, std::arch::is_x86_feature_detected!("f16c"), "F16C"),
    ];
    match needs.iter().find(|(compiled, present, _)| *compiled && !present) {
        Some((_, _, feature)) => Err(SttError::Processor { feature }),
        None => Ok(()),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn check_processor() -> Result<(), SttError> {
    // NEON is part of every 64-bit ARM.
    Ok(())
}

/// Where to cut sound of more than a few seconds: its beginning, the middle of each pause between utterances, its end.
fn pauses(samples: &[f32]) -> Result<Vec<usize>, VadError> {
    const LONG: usize = 48_000; // 16 kHz * 3 s
    if samples.len() <= LONG {
        return Ok(vec![0, samples.len()]);
    }
    let mut spoken = Vec::new();
    let mut note = |event| {
        if let SpeechEvent::Ended { start, last_speech_sample, .. } = event {
            spoken.push(start.0 as usize..last_speech_sample.0 as usize);
        }
    };
    let options = EndpointOptions { pause_ms: 0, ..EndpointOptions::default() }; // no guesses, which are copies of the sound
    let mut endpointer = Endpointer::new(Box::new(Earshot::default()), options)?;
    for second in samples.chunks(SampleRate::SPEECH.0 as usize) {
        endpointer.push(second, &mut note)?; // which keeps what it is given until it is judged
    }
    endpointer.finish(&mut note);
    let cuts = spoken.windows(2).map(|pair| usize::midpoint(pair[0].end, pair[1].start).min(samples.len()));
    Ok(std::iter::once(0).chain(cuts).chain([samples.len()]).collect())
}

/// Cuts a part of the sound into pieces of at most `window` samples, each in the quietest tenth of a second of the window's
/// last third.
fn pieces(samples: &[f32], part: Range<usize>, window: usize) -> Vec<Range<usize>> {
    const QUIET: usize = 1_600; // 16 kHz * 0.1 s
    let mut pieces = Vec::new();
    let mut start = part.start;
    while part.end - start > window {
        let earliest = start + window * 2 / 3;
        let energy = |at: usize| samples[at..at + QUIET].iter().map(|s| f64::from(s * s)).sum::<f64>();
        let quietest = (earliest..=start + window - QUIET)
            .step_by(QUIET / 4)
            .min_by(|&a, &b| energy(a).total_cmp(&energy(b)))
            .unwrap_or(earliest);
        let cut = quietest + QUIET / 2;
        pieces.push(start..cut);
        start = cut;
    }
    pieces.push(start..part.end);
    pieces
}

/// Why speech could not be turned into text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SttError {
    /// The model's file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// Another kind of file.
    #[error("{} is not a Whisper model in ggml format: {found}", path.display())]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// Cut short, or contradicting itself.
    #[error("{} is damaged at byte {offset}: {reason}; get it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The pauses could not be found.
    #[error("cannot find the pauses in the sound: {0}")]
    Pauses(VadError),
    /// whisper.cpp refused a file that looked right.
    #[error("whisper.cpp cannot load {}: {reason}", path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
    /// A language that the model or Whisper does not know.
    #[error("language `{found}`: {reason}; leave it out or take another model")]
    Language {
        /// The language asked for.
        found: String,
        /// Why not.
        reason: &'static str,
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
    /// The processor lacks what whisper.cpp was compiled for.
    #[error(
        "this processor has no {feature}, for which whisper.cpp was compiled; build with GGML_AVX=OFF GGML_AVX2=OFF GGML_FMA=OFF GGML_F16C=OFF GGML_BMI2=OFF in the environment"
    )]
    Processor {
        /// The feature missing.
        feature: &'static str,
    },
    /// whisper.cpp failed while running.
    #[error("{} failed on the sound: {reason}", path.display())]
    Failed {
        /// The model.
        path: PathBuf,
        /// What it said.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_sound_is_cut_in_its_pauses_and_nothing_is_lost() {
        // Speech-like noise with a pause of 0.2 s at 22 s, in a window of 28 s.
        let mut samples: Vec<f32> = (0..60 * 16_000).map(|i| ((i * 7919) % 1000) as f32 / 1000.0 - 0.5).collect();
        samples[22 * 16_000..22 * 16_000 + 3_200].fill(0.0);
        let pieces = pieces(&samples, 0..samples.len(), 28 * 16_000);
        assert_eq!(pieces[0].start, 0);
        assert!((22 * 16_000..22 * 16_000 + 3_200).contains(&pieces[0].end), "{pieces:?}");
        assert!(pieces.windows(2).all(|p| p[0].end == p[1].start), "{pieces:?}");
        assert!(pieces.iter().all(|p| p.len() <= 28 * 16_000), "{pieces:?}");
        assert_eq!(pieces.last().unwrap().end, samples.len());
    }

    #[test]
    fn sound_within_the_window_stays_whole() {
        assert_eq!(pieces(&[0.0; 1000], 0..1000, 1000), vec![0..1000]);
    }
}

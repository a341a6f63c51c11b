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
mod error;
mod ggml_file;
mod judgement;
mod options;
mod pieces;
mod word_errors;
mod words;

pub use error::SttError;
pub use ggml_file::GgmlHeader;
pub use judgement::Suppression;
pub use options::SttOptions;

pub use word_errors::word_errors;
pub use words::Word;

use pieces::{Piece, plan, spoken};

use crate::audio::SampleRate;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use whisper_rs::{FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperError, WhisperState};

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
    context: Arc<WhisperContext>,
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
        Arc::strong_count(&self.context) > 1
    }
}

/// A Whisper model with its working state, used again for each utterance.
pub struct SpeechToText {
    state: WhisperState,
    context: Arc<WhisperContext>,
    /// Built once: whisper-rs leaks a string each time a language or a prompt is set.
    params: FullParams<'static, 'static>,
    options: SttOptions,
    threads: usize,
    header: GgmlHeader,
    path: PathBuf,
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
    /// range, or where this processor lacks what whisper.cpp was compiled for.
    pub fn open(path: &Path, options: &SttOptions) -> Result<SpeechToText, SttError> {
        whisper_rs::install_logging_hooks();
        options.check()?;
        check_processor()?;
        let header = GgmlHeader::read(path)?;
        language_code(options, &header)?;
        let mut context_params = WhisperContextParameters::default();
        if options.word_timestamps {
            context_params.dtw_parameters(words::alignment(&header));
        }
        let context = WhisperContext::new_with_params(path, context_params)
            .map_err(|e| SttError::Load { path: path.to_path_buf(), reason: e.to_string() })?;
        let (context, path) = (Arc::new(context), path.to_path_buf());
        Self::sharing(&SttWeights { context, header, path, word_timestamps: options.word_timestamps }, options)
    }

    /// A recognizer with a state of its own over weights that others use too.
    ///
    /// # Errors
    /// An option is out of range, or there is no memory for the state.
    pub fn sharing(weights: &SttWeights, options: &SttOptions) -> Result<SpeechToText, SttError> {
        options.check()?;
        let SttWeights { context, header, path, .. } = weights.clone();
        let language = language_code(options, &header)?;
        let load = |e: WhisperError| SttError::Load { path: path.clone(), reason: e.to_string() };
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
        params.set_translate(options.translate && header.is_multilingual());
        params.set_no_context(true);
        params.set_no_timestamps(true);
        params.set_single_segment(true);
        params.set_suppress_blank(true);
        params.set_suppress_nst(true);
        params.set_print_special(false);
        params.set_print_progress(false);
        params.set_print_realtime(false);
        params.set_print_timestamps(false);
        Ok(SpeechToText { state, context, params, options: options.clone(), threads, header, path })
    }

    /// The weights, for another recognizer.
    pub fn weights(&self) -> SttWeights {
        SttWeights {
            context: self.context.clone(),
            header: self.header.clone(),
            path: self.path.clone(),
            word_timestamps: self.options.word_timestamps,
        }
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
                        piece.is_searched && piece.speech.is_none() && !self.header.is_smaller_than_openai();
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
        if !self.header.is_multilingual() {
            return Some("en");
        }
        whisper_rs::get_lang_str(self.state.full_lang_id_from_state())
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
            let no_speech = self.no_speech_probability()?;
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
        let mut params = self.params.clone();
        params.set_temperature(temperature);
        params.set_temperature_inc(increment);
        params.set_audio_ctx(self.audio_ctx(lead + sound.len(), least_frames) as i32);
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

    /// Samples of silence to put before sound that begins with speech. OpenAI's models learned from recordings that begin before it: of
    /// "Stop. What is ..." from the first sample on they leave out the first word.
    fn lead_in(&self, sound: &[f32]) -> usize {
        const LEAD: usize = 1_600; // 16 kHz * 0.1 s
        if self.header.is_smaller_than_openai() {
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
        let margin = if self.header.is_smaller_than_openai() { 16 } else { 64 };
        let frames = (n_samples.div_ceil(SAMPLES_PER_ENCODER_FRAME) + margin).div_ceil(32) * 32;
        frames.max(least).min(self.header.n_audio_ctx as usize)
    }

    /// The fewest encoder frames, and those with which nothing is said twice: in 384 OpenAI's models do so with a short sentence now and then,
    /// and make no other errors than in 512.
    fn least_frames(&self) -> [usize; 2] {
        match self.options.audio_ctx_min {
            Some(least) => [least as usize; 2],
            // OpenAI's smallest, `tiny`, is 384 wide.
            None if self.header.n_audio_state < 384 => [0; 2],
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
                    words: if self.options.word_timestamps {
                        words::words(&segment, eot, (offset, lead, start, end))
                    } else {
                        Vec::new()
                    },
                    average_log_probability: if n == 0 { f32::NEG_INFINITY } else { (sum / f64::from(n)) as f32 },
                }
            })
            .collect()
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

//! The part that calls whisper.cpp. `whisper_absent.rs` stands in its place in builds without the feature `whisper`.

mod abort;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use whisper_rs::{
    DtwMode, DtwModelPreset, DtwParameters, FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters,
    WhisperState,
};

use nearfield_base::cores::runnable;

use super::{GgmlHeader, RawSegment, SttError, SttOptions, TimedToken};

/// A loaded model with its working state.
pub(super) struct Whisper {
    state: WhisperState,
    context: Arc<WhisperContext>,
    /// Built once: whisper-rs leaks a string each time a language or a prompt is set.
    params: FullParams<'static, 'static>,
    threads: Threads,
    word_timestamps: bool,
}

/// How many threads compute.
enum Threads {
    Fixed(usize),
    /// As many as there are cores on which nothing else runs, up to so many. whisper.cpp's threads wait for each other by spinning:
    /// one that has to share its core slows down all of them, many times over.
    Free {
        most: usize,
    },
}

impl Threads {
    fn of(options: &SttOptions, header: &GgmlHeader) -> Self {
        match options.threads {
            0 if header.is_smaller_than_openai() => Threads::Fixed(1),
            // Of many cores one is left to the others.
            0 => Threads::Free { most: (cores() - 1).max(cores().min(2)).min(4) },
            n => Threads::Fixed(n),
        }
    }

    fn now(&self) -> usize {
        match *self {
            Threads::Fixed(n) => n,
            Threads::Free { most } => {
                // The caller is one of those that run.
                let others = runnable().map_or(1, |n| n.saturating_sub(1));
                cores().saturating_sub(others).clamp(1, most)
            }
        }
    }

    /// Whether some of those that compute wait for others to leave their cores.
    fn are_crowded(&self) -> bool {
        matches!(self, Threads::Free { .. }) && runnable().is_some_and(|n| n > cores())
    }
}

/// After so many looks in a row at crowded cores, one between the encoder and each token, reading begins anew with a single thread.
const CROWDED: usize = 2;

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How a piece of sound is read.
pub(super) struct Pass {
    pub(super) temperature: f32,
    /// By how much the temperature rises while the result is unlikely.
    pub(super) increment: f32,
    /// Encoder frames.
    pub(super) audio_ctx: usize,
    pub(super) max_tokens: usize,
}

/// The weights of a model.
#[derive(Clone)]
pub(super) struct Weights(Arc<WhisperContext>);

impl Weights {
    /// Loads a file whose header has been read.
    pub(super) fn load(path: &Path, word_timestamps: bool, header: &GgmlHeader) -> Result<Self, SttError> {
        whisper_rs::install_logging_hooks();
        let mut params = WhisperContextParameters::default();
        if word_timestamps {
            params.dtw_parameters(alignment(header));
        }
        match WhisperContext::new_with_params(path, params) {
            Ok(context) => Ok(Self(Arc::new(context))),
            Err(e) => Err(SttError::Load { path: path.to_path_buf(), reason: e.to_string() }),
        }
    }

    /// Whether anybody else has them.
    pub(super) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl Whisper {
    /// A working state over weights.
    pub(super) fn over(
        weights: &Weights,
        path: &Path,
        options: &SttOptions,
        header: &GgmlHeader,
    ) -> Result<Self, SttError> {
        let language = language_code(options, header)?;
        let context = weights.0.clone();
        let state =
            context.create_state().map_err(|e| SttError::Load { path: path.to_path_buf(), reason: e.to_string() })?;

        let mut params = FullParams::new(match options.beam_size {
            1 => SamplingStrategy::Greedy { best_of: 1 },
            n => SamplingStrategy::BeamSearch { beam_size: n as i32, patience: -1.0 },
        });
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
        let threads = Threads::of(options, header);
        Ok(Self { state, context, params, threads, word_timestamps: options.word_timestamps })
    }

    /// The code of the language of the last piece.
    pub(super) fn language(&self) -> Option<&'static str> {
        whisper_rs::get_lang_str(self.state.full_lang_id_from_state())
    }

    /// Reads one piece. `false` where it was stopped; an error is the reason.
    pub(super) fn run(
        &mut self,
        sound: &[f32],
        pass: &Pass,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<bool, String> {
        let mut params = self.params.clone();
        params.set_temperature(pass.temperature);
        params.set_temperature_inc(pass.increment);
        params.set_audio_ctx(pass.audio_ctx as i32);
        params.set_max_tokens(pass.max_tokens as i32);
        let threads = self.threads.now();
        params.set_n_threads(threads as i32);
        let mut crowded = 0;
        let mut ask = || {
            go_on()?;
            crowded = if threads > 1 && self.threads.are_crowded() { crowded + 1 } else { 0 };
            if crowded < CROWDED { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        match abort::full(&mut self.state, params.clone(), sound, &mut ask) {
            abort::Outcome::Stopped if crowded >= CROWDED => {}
            outcome => return done(outcome),
        }
        // Others have come: one thread, which waits for none, is done sooner than several.
        params.set_n_threads(1);
        done(abort::full(&mut self.state, params, sound, go_on))
    }

    /// The probability of `<|nospeech|>` right after `<|startoftranscript|>`, for the audio that was encoded last: one more
    /// step of the decoder.
    pub(super) fn no_speech_probability(&mut self) -> Result<f32, String> {
        let start = self.context.token_sot();
        let no_speech = self.context.token_nosp();
        self.state.decode(&[start], 0, self.threads.now()).map_err(|e| e.to_string())?;
        let logits = self.state.get_logits().map_err(|e| e.to_string())?;
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|&l| f64::from(l - max).exp()).sum();
        Ok((f64::from(logits[no_speech as usize] - max).exp() / sum) as f32)
    }

    /// What it made of the last piece.
    pub(super) fn segments(&self) -> Vec<RawSegment> {
        let eot = self.context.token_eot();
        let read = |segment: whisper_rs::WhisperSegment<'_>| {
            let tokens = || (0..segment.n_tokens()).filter_map(|i| segment.get_token(i));
            // The end token counts too, as in OpenAI's implementation: being sure that it ended is part of being sure.
            let (sum, n) = tokens()
                .map(|token| token.token_data())
                .filter(|token| token.id <= eot)
                .fold((0.0, 0), |(sum, n), token| (sum + f64::from(token.plog), n + 1));
            let timed = tokens().filter(|_| self.word_timestamps).filter_map(|token| {
                let data = token.token_data();
                let text = token.to_bytes().ok()?.to_vec();
                (data.id < eot).then_some(TimedToken { text, ends: data.t_dtw })
            });
            RawSegment {
                text: segment.to_str_lossy().map(|text| text.trim().to_string()).unwrap_or_default(),
                average_log_probability: if n == 0 { f32::NEG_INFINITY } else { (sum / f64::from(n)) as f32 },
                tokens: timed.collect(),
            }
        };
        self.state.as_iter().map(read).collect()
    }
}

/// Whether a run came to its end; an error is the reason.
fn done(outcome: abort::Outcome) -> Result<bool, String> {
    match outcome {
        abort::Outcome::Done => Ok(true),
        abort::Outcome::Stopped => Ok(false),
        abort::Outcome::Failed(e) => Err(e.to_string()),
    }
}

/// The attention heads that follow the sound: those that OpenAI names for its models, else the upper half of the layers.
fn alignment(header: &GgmlHeader) -> DtwParameters<'static> {
    let preset = match (header.n_audio_state, header.n_text_layer, header.is_multilingual()) {
        (384, 4, true) => Some(DtwModelPreset::Tiny),
        (384, 4, false) => Some(DtwModelPreset::TinyEn),
        (512, 6, true) => Some(DtwModelPreset::Base),
        (512, 6, false) => Some(DtwModelPreset::BaseEn),
        (768, 12, true) => Some(DtwModelPreset::Small),
        (768, 12, false) => Some(DtwModelPreset::SmallEn),
        (1_024, 24, true) => Some(DtwModelPreset::Medium),
        (1_024, 24, false) => Some(DtwModelPreset::MediumEn),
        _ => None,
    };
    let mode = match preset {
        Some(model_preset) => DtwMode::ModelPreset { model_preset },
        None => DtwMode::TopMost { n_top: (header.n_text_layer / 2).max(1) as i32 },
    };
    // Three copies of tokens x frames x heads floats: 360 * 1500 * 20 * 4 bytes each. Only what is used is touched.
    DtwParameters { mode, dtw_mem_size: 512 << 20 }
}

/// Refuses a language that the model or Whisper does not know.
pub(super) fn check_language(options: &SttOptions, header: &GgmlHeader) -> Result<(), SttError> {
    language_code(options, header).map(drop)
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
pub(super) fn check() -> Result<(), SttError> {
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
pub(super) fn check() -> Result<(), SttError> {
    // NEON is part of every 64-bit ARM.
    Ok(())
}

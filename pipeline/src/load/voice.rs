//! What a voice assistant is made of: its models, its tools, and how the language model is prompted.

use std::sync::Arc;

use anyhow::Context;
use nearfield_home::{HomeFile, Household, Origin, Policy, Remembered};
use nearfield_llm::{Llm, LlmOptions, SessionOptions};
use nearfield_speech::stt::SpeechToText;
use nearfield_speech::tts::{Voice, open_voice};
use nearfield_speech::turn::SmartTurn;
use nearfield_speech::vad::{Earshot, Silero, VoiceActivity};
use nearfield_speech::wake::WakeSpotter;
use nearfield_stages::voice::converse::ConverseOptions;
use nearfield_stages::voice::tools::{HomeTools, Toolbox};
use nearfield_stages::voice::wake::WakeWord;

use crate::config::{Decide, VadKind, VoiceConfig};
use crate::hub::registry::{Kind, Registry};
use crate::load::shared::{FlowLlm, SharedModels};
use crate::load::wake::load_wake;
use crate::prompts;

/// The context of a model that says nothing better of itself.
const DEFAULT_CONTEXT_TOKENS: usize = 4096;
/// The longest reply where the configuration leaves it open: some 120 words, a minute of speech.
const MAX_REPLY_TOKENS: usize = 160;

/// The models and tools of a voice assistant, loaded and ready.
pub struct Assistant {
    /// The language model.
    pub llm: FlowLlm,
    /// The models of speech input; absent when all questions are typed.
    pub speech_input: Option<SpeechInputModels>,
    /// Text to speech.
    pub voice: Box<dyn Voice>,
    /// What the model may do.
    pub toolbox: Toolbox,
    /// How the model is prompted.
    pub converse: ConverseOptions,
}

/// The models that turn sound into words.
pub struct SpeechInputModels {
    /// Speech to text.
    pub stt: SpeechToText,
    /// Voice activity.
    pub vad: Box<dyn VoiceActivity>,
    /// The wake words, where nobody is listened to before one.
    pub wake: Option<(WakeSpotter, Vec<WakeWord>)>,
    /// Whether a speaker who pauses has finished, where the configuration wants it and its model is there.
    pub turn: Option<SmartTurn>,
}

impl Assistant {
    /// Loads everything that `config` names.
    ///
    /// # Errors
    /// Whatever is missing or broken, naming it and how to fix it.
    pub fn load(config: &VoiceConfig, registry: &Registry, hears: bool) -> anyhow::Result<Self> {
        Self::load_with(config, registry, hears, None)
    }

    /// As [`load`](Self::load), with models that other flows of the process use too.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_with(
        config: &VoiceConfig,
        registry: &Registry,
        hears: bool,
        shared: Option<&SharedModels>,
    ) -> anyhow::Result<Self> {
        let mut toolbox = load_toolbox(config)?;
        // Flows of one process share their timers, as their caller has them.
        if shared.is_none() && !config.home.timers.as_os_str().is_empty() {
            toolbox = toolbox.with_timers_kept_in(&config.home.timers)?;
        }
        let llm = FlowLlm::load(&config.llm, registry, shared)?;
        let words_at_once = (config.tts.words_per_minute * config.play.longest_s).div_ceil(60) as usize;
        let converse = ConverseOptions { words_at_once, ..converse_options(config, registry, llm.weights())? };
        let speech_input = match hears {
            true => Some(SpeechInputModels {
                stt: load_stt_with(config, registry, shared)?,
                vad: load_vad(config, registry)?,
                turn: load_smart_turn(config, registry)?,
                wake: load_wake(&config.wake, registry)?,
            }),
            false => None,
        };
        let voice = load_voice(config, registry)?;
        tracing::info!(
            llm = config.llm.model,
            context_tokens = converse.session.context_tokens,
            stt = if hears { config.stt.model.as_str() } else { "none" },
            voice = voice.name(),
            smart_turn = speech_input.as_ref().is_some_and(|models| models.turn.is_some()),
            wake_words =
                speech_input.as_ref().and_then(|models| models.wake.as_ref()).map_or(0, |(_, words)| words.len()),
            "loaded"
        );
        Ok(Self { llm, speech_input, voice, toolbox, converse })
    }
}

/// The language model that `config` names.
///
/// # Errors
/// If it is unknown, not there, or broken.
pub fn load_llm(config: &VoiceConfig, registry: &Registry) -> anyhow::Result<Arc<Llm>> {
    open_llm(&config.llm.model, "llm.model", config.llm.threads, registry)
}

/// The language model that the user has named by `key`: a name of the list, or a file.
///
/// # Errors
/// As [`load_llm`].
pub fn open_llm(named: &str, key: &'static str, threads: usize, registry: &Registry) -> anyhow::Result<Arc<Llm>> {
    let model = registry.resolve_as(named, crate::load::LANGUAGE).context(key)?;
    Ok(Llm::open(model.path(), &LlmOptions { threads })?)
}

/// The recognizer that `config` names.
///
/// # Errors
/// If it is unknown, not there, or broken.
pub fn load_stt(config: &VoiceConfig, registry: &Registry) -> anyhow::Result<SpeechToText> {
    load_stt_with(config, registry, None)
}

/// As [`load_stt`], over weights that other flows of the process use too.
///
/// # Errors
/// As [`load_stt`].
pub fn load_stt_with(
    config: &VoiceConfig,
    registry: &Registry,
    shared: Option<&SharedModels>,
) -> anyhow::Result<SpeechToText> {
    let model = registry.resolve_as(&config.stt.model, &[Kind::Stt]).context("stt.model")?;
    let mut options = config.stt.options.clone();
    options.audio_ctx_min = options.audio_ctx_min.or(model.settings.audio_ctx_min);
    match shared {
        Some(shared) => shared.stt(model.path(), &options),
        None => Ok(SpeechToText::open(model.path(), &options)?),
    }
}

/// The voice that `config` names.
///
/// # Errors
/// If it is unknown or not there.
pub fn load_voice(config: &VoiceConfig, registry: &Registry) -> anyhow::Result<Box<dyn Voice>> {
    let mut options = config.tts.clone();
    options.halves = Some(registry.places().data.join("voices"));
    if let Some(model) = &options.model {
        let resolved = registry.resolve_as(&model.to_string_lossy(), &[Kind::Tts]).context("tts.model")?;
        options.model = Some(resolved.path().to_owned());
    }
    Ok(open_voice(&options)?)
}

/// The detector of speech that `config` names.
///
/// # Errors
/// If it is not there, or broken.
pub fn load_vad(config: &VoiceConfig, registry: &Registry) -> anyhow::Result<Box<dyn VoiceActivity>> {
    Ok(match (config.listen.vad, registry.resolve("silero-vad")) {
        (VadKind::Earshot, _) | (VadKind::Auto, Err(_)) => Box::new(Earshot::default()),
        (VadKind::Silero, Err(error)) => return Err(error).context("listen.vad"),
        (VadKind::Silero, Ok(model)) => Box::new(Silero::open(model.path())?),
        (VadKind::Auto, Ok(model)) => match Silero::open(model.path()) {
            Ok(silero) => Box::new(silero),
            Err(error) => {
                tracing::warn!(%error, "Silero can't be used; earshot takes its place");
                Box::new(Earshot::default())
            }
        },
    })
}

/// The model that tells from the sound whether a turn is complete, where the configuration wants one.
///
/// # Errors
/// If it is named and not there, or broken.
pub fn load_smart_turn(config: &VoiceConfig, registry: &Registry) -> anyhow::Result<Option<SmartTurn>> {
    if config.turn.decide == Decide::Silence {
        return Ok(None);
    }
    match config.turn.model.as_str() {
        "none" => Ok(None),
        "auto" => Ok(match registry.resolve("smart-turn").ok().map(|model| SmartTurn::open(model.path())) {
            None => None,
            Some(Ok(model)) => Some(model),
            Some(Err(error)) => {
                tracing::warn!(%error, "Smart Turn can't be used; turns end by their words and silence");
                None
            }
        }),
        named => {
            let model = registry.resolve_as(named, &[Kind::Vad]).context("turn.model")?;
            Ok(Some(SmartTurn::open(model.path()).context("turn.model")?))
        }
    }
}

/// How the assistant's model is prompted; where the configuration leaves the context open, it is what suits the model.
pub(crate) fn converse_options(
    config: &VoiceConfig,
    registry: &Registry,
    llm: &Llm,
) -> anyhow::Result<ConverseOptions> {
    let model = registry.resolve(&config.llm.model)?;
    let context_tokens = match config.llm.context_tokens {
        0 => match model.settings.context_tokens {
            Some(suits) => suits as usize,
            None => llm.info().context_length.min(DEFAULT_CONTEXT_TOKENS),
        },
        set => set,
    };
    let max_reply_tokens = config.llm.max_tokens_or(MAX_REPLY_TOKENS).min(context_tokens / 2);
    Ok(ConverseOptions {
        chat: config.llm.chat_options(),
        system: prompts::voice_system(&config.prompt.system, &model.prompt),
        home: model.prompt.home.unwrap_or_default(),
        session: SessionOptions { context_tokens, cache: config.llm.cache },
        sampler: config.llm.sampler,
        max_reply_tokens,
        words_at_once: 0,
        summary: config.conversation.summary,
        remote: config.remote.options(),
    })
}

/// The tools that `config` names, and the home they act on.
///
/// # Errors
/// The home can't be read, or a tool is declared wrongly.
pub(crate) fn load_toolbox(config: &VoiceConfig) -> anyhow::Result<Toolbox> {
    let file = &config.home.file;
    let home = (!file.as_os_str().is_empty()).then(|| HomeFile::load(file)).transpose()?;
    let home = home.map(|file| home_tools(config, file)).transpose()?;
    let mut toolbox = Toolbox::new(home, config.tools.clone())?;
    if !config.home.sentences.as_os_str().is_empty() {
        toolbox = toolbox.with_sentences(&config.home.sentences).context("`home.sentences`")?;
    }
    Ok(if config.home.matcher { toolbox } else { toolbox.without_matcher() })
}

/// A home with the policy of the configuration and what is remembered.
///
/// # Errors
/// The policy names no domain, the asking device's area is not in the home, or what is remembered can't be read.
pub fn home_tools(config: &VoiceConfig, file: HomeFile) -> anyhow::Result<HomeTools> {
    let policy = Policy::new(config.home.policy.clone()).map_err(anyhow::Error::msg)?;
    let remembered = match config.home.remember.as_os_str().is_empty() {
        true => Remembered::default(),
        false => Remembered::open(&config.home.remember)?,
    };
    let area = match config.home.area.trim() {
        "" => None,
        named => {
            let home = file.home();
            let found = home.areas().iter().find(|area| area.id == named || area.name.eq_ignore_ascii_case(named));
            Some(found.with_context(|| format!("`home.area` is {named:?}, and the home has no such area"))?.id.clone())
        }
    };
    Ok(HomeTools::new(Household::new(file, policy, remembered)).asked_from(Origin::Voice, area))
}

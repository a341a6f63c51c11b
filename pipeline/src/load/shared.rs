//! Models that several flows of one process use: weights are loaded once for each file, and the language model has one thread for each
//! file, whoever asks first. What nobody uses any more is let go when the next model is loaded.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use nearfield_llm::{Llm, LlmOptions};
use nearfield_speech::stt::{SpeechToText, SttOptions, SttWeights};
use nearfield_stages::flow::Flow;
use nearfield_stages::llm_thread::LlmThread;
use nearfield_stages::voice_priority::VoicePriority;

use crate::config::LlmConfig;
use crate::hub::registry::Registry;

/// The models of a process.
#[derive(Default)]
pub struct SharedModels {
    llms: Mutex<Vec<SharedLlm>>,
    stts: Mutex<Vec<SttWeights>>,
}

struct SharedLlm {
    path: PathBuf,
    threads: usize,
    thread: LlmThread,
}

/// The language model of a flow.
pub enum FlowLlm {
    /// One of its own, and how it lets voices in other programs pass.
    Own(Arc<Llm>, Option<VoicePriority>),
    /// The thread that other flows of the process use too.
    Shared(LlmThread),
}

impl FlowLlm {
    /// The one that `config` names, which other flows of the process may use too.
    ///
    /// # Errors
    /// The model is unknown, not there, or broken, or carries no vocabulary.
    pub fn load(config: &LlmConfig, registry: &Registry, shared: Option<&SharedModels>) -> anyhow::Result<Self> {
        if let Some(shared) = shared {
            return shared.llm(config, registry).map(FlowLlm::Shared);
        }
        let model = registry.resolve_as(&config.model, crate::load::LANGUAGE).context("llm.model")?;
        Ok(FlowLlm::Own(open(model.path(), config)?, VoicePriority::of(&registry.places().data)))
    }

    /// The weights.
    pub fn weights(&self) -> &Arc<Llm> {
        match self {
            FlowLlm::Own(llm, _) => llm,
            FlowLlm::Shared(thread) => thread.llm(),
        }
    }

    /// Its thread, which ends the flow if it panics.
    pub fn start_in<N>(self, flow: &mut Flow<N>) -> LlmThread {
        match self {
            FlowLlm::Own(llm, way) => LlmThread::start_in(flow, llm, way),
            FlowLlm::Shared(thread) => thread.join(flow),
        }
    }
}

fn open(path: &Path, config: &LlmConfig) -> anyhow::Result<Arc<Llm>> {
    let llm = Llm::open(path, &LlmOptions { threads: config.threads })?;
    llm.tokenizer()?;
    Ok(llm)
}

/// What a file is known by, whatever link leads to it.
fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

impl SharedModels {
    /// The models that are loaded, by their files: "llm" or "stt", and where it lies.
    pub fn loaded(&self) -> Vec<(&'static str, PathBuf)> {
        let llms = self.llms.lock().unwrap_or_else(PoisonError::into_inner);
        let stts = self.stts.lock().unwrap_or_else(PoisonError::into_inner);
        let llms = llms.iter().map(|llm| ("llm", llm.path.clone()));
        llms.chain(stts.iter().map(|weights| ("stt", weights.path().to_owned()))).collect()
    }

    /// The thread of the language model that `config` names; one that has panicked is replaced, over the same weights.
    ///
    /// # Errors
    /// The model is unknown, not there, or broken.
    pub fn llm(&self, config: &LlmConfig, registry: &Registry) -> anyhow::Result<LlmThread> {
        let model = registry.resolve_as(&config.model, crate::load::LANGUAGE).context("llm.model")?;
        let path = real(model.path());
        let mut llms = self.llms.lock().unwrap_or_else(PoisonError::into_inner);
        let start = |llm: Arc<Llm>| {
            let (thread, _ends_with_its_last_handle) =
                LlmThread::start_beside_others(llm, VoicePriority::of(&registry.places().data));
            thread
        };
        if let Some(shared) = llms.iter_mut().find(|llm| llm.path == path && llm.threads == config.threads) {
            if shared.thread.has_panicked() {
                shared.thread = start(shared.thread.llm().clone());
            }
            return Ok(shared.thread.clone());
        }
        // One that only this list still knows: its thread holds the one reference to the weights that is left, and so does the handle.
        llms.retain(|llm| Arc::strong_count(llm.thread.llm()) > UNUSED);
        let thread = start(open(model.path(), config)?);
        llms.push(SharedLlm { path, threads: config.threads, thread: thread.clone() });
        Ok(thread)
    }

    /// A recognizer over shared weights.
    ///
    /// # Errors
    /// The model is not there, or broken, or an option is out of range.
    pub fn stt(&self, path: &Path, options: &SttOptions) -> anyhow::Result<SpeechToText> {
        let mut stts = self.stts.lock().unwrap_or_else(PoisonError::into_inner);
        let path = real(path);
        if let Some(weights) = stts.iter().find(|weights| weights.path() == path && weights.suit(options)) {
            return Ok(SpeechToText::sharing(weights, options)?);
        }
        stts.retain(SttWeights::is_shared);
        let stt = SpeechToText::open(&path, options)?;
        stts.push(stt.weights());
        Ok(stt)
    }
}

/// References to the weights of a model that nobody but this list and the model's own thread knows: the handle's and the
/// scheduler's.
const UNUSED: usize = 2;

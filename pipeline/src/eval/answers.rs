//! A model that answers single questions, greedily, each in a conversation of its own.

use std::ops::ControlFlow::{Break, Continue};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use nearfield_llm::{
    Chat, ChatOptions, GenerateOptions, Llm, LlmOptions, Message, Role, Sampler, SamplerOptions, Session,
    SessionOptions, generate,
};
use nearfield_stages::flow::StopSignal;

use crate::config::VoiceConfig;
use crate::hub::registry::Registry;
use crate::signals;

/// Tokens of context, where the configuration leaves them open.
const CONTEXT_TOKENS: usize = 4096;

/// A model and the session that it answers in.
#[derive(Debug)]
pub(super) struct Answers {
    chat: Option<Chat>,
    session: Session,
    /// How long the model took to load.
    pub load: Duration,
}

impl Answers {
    pub(super) fn open(name: &str, config: &VoiceConfig, registry: &Registry) -> anyhow::Result<Answers> {
        let model = registry.resolve_as(name, crate::load::LANGUAGE).context("--model")?;
        let begun = Instant::now();
        let llm = Llm::open(model.path(), &LlmOptions { threads: config.llm.threads })?;
        let load = begun.elapsed();
        llm.tokenizer()?;
        let chat = llm.template().is_ok().then(|| Chat::new(&llm, ChatOptions::default())).transpose()?;
        let context_tokens = match config.llm.context_tokens {
            0 => CONTEXT_TOKENS.min(llm.info().context_length),
            tokens => tokens,
        };
        let session = Session::new(llm, &SessionOptions { context_tokens, cache: config.llm.cache })?;
        Ok(Answers { chat, session, load })
    }

    pub(super) fn llm(&self) -> &Arc<Llm> {
        self.session.llm()
    }

    pub(super) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// The most probable answer. A model without a template goes on with the text as it stands.
    pub(super) fn answer(
        &mut self,
        system: &str,
        question: &str,
        max_tokens: usize,
        stop: &StopSignal,
    ) -> anyhow::Result<String> {
        let prompt = match &self.chat {
            Some(chat) => {
                let mut messages = Vec::new();
                if !system.is_empty() {
                    messages.push(Message::new(Role::System, system));
                }
                messages.push(Message::new(Role::User, question));
                chat.prompt(&messages, true)?
            }
            None => self.llm().tokenizer()?.encode_prompt(question),
        };
        self.session.prompt(&prompt, &mut || if signals::is_stopped(stop) { Break(()) } else { Continue(()) })?;
        let mut sampler = Sampler::new(&SamplerOptions { temperature: 0.0, ..SamplerOptions::default() });
        let options = GenerateOptions { max_tokens, ..GenerateOptions::default() };
        let mut go_on = |_: &str| if signals::is_stopped(stop) { Break(()) } else { Continue(()) };
        Ok(generate(&mut self.session, &mut sampler, &options, &mut go_on)?.text.trim().to_owned())
    }
}

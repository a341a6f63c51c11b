//! The conversation alone, without microphone and loudspeaker: for `chat`, and for scoring.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use crossbeam_channel::{Receiver, bounded, never};
use nearfield_llm::LlmError;
use nearfield_stages::flow::{Stage, StopSignal, Turns, is_stopped};
use nearfield_stages::llm_thread::LlmThread;
use nearfield_stages::messages::{Envelope, TextDelta, Transcript};
use nearfield_stages::voice::converse::{Converse, ConverseOptions, History};
use nearfield_stages::voice::notes::{Note, Replied};
use nearfield_stages::voice::tools::{Rings, SharedTimers, Toolbox};
use nearfield_stages::voice_priority::VoicePriority;

use crate::config::VoiceConfig;
use crate::hub::registry::Registry;
use crate::load::voice::{converse_options, load_llm, load_toolbox};

/// A conversation.
pub struct Chat {
    converse: Converse,
    turns: Turns,
    notebook: Receiver<Note>,
}

impl Chat {
    /// Loads the language model and the tools that `config` names.
    ///
    /// # Errors
    /// Whatever is missing or broken, naming it and how to fix it.
    pub fn open(config: &VoiceConfig, registry: &Registry) -> anyhow::Result<Self> {
        // The command has ended, or waits for a line, when a timer is due.
        let toolbox = load_toolbox(config)?.with_timers(SharedTimers::default(), Rings::Nothing);
        let llm = load_llm(config, registry)?;
        llm.tokenizer()?;
        let options = converse_options(config, registry, &llm)?;
        let way = VoicePriority::of(&registry.places().data);
        let (thread, _ends_with_its_last_handle) = LlmThread::start_beside_others(llm, way);
        Self::begin(thread, options, toolbox)
    }

    /// A conversation with tools of its own.
    ///
    /// # Errors
    /// If no session can be opened.
    pub fn begin(thread: LlmThread, options: ConverseOptions, toolbox: Toolbox) -> anyhow::Result<Self> {
        let turns = Turns::default();
        let (notes, notebook) = bounded(64);
        let converse = Converse::new(thread, options, toolbox, turns.clone(), never(), notes)?;
        Ok(Self { converse, turns, notebook })
    }

    /// Its turns, by which another thread can end the one under way.
    pub fn turns(&self) -> &Turns {
        &self.turns
    }

    /// The tools, with the home as it is now.
    pub fn toolbox(&self) -> &Toolbox {
        self.converse.toolbox()
    }

    /// Goes on with the conversation of a file.
    ///
    /// # Errors
    /// The file is damaged or does not fit; the conversation then begins anew.
    pub fn restore(&mut self, file: &Path) -> Result<(), LlmError> {
        self.converse.restore(file)
    }

    /// Whether a summary of earlier turns is being made.
    pub fn is_summarizing(&self) -> bool {
        self.converse.is_summarizing()
    }

    /// Goes on with another conversation, and leaves this one in its place.
    pub fn switch(&mut self, other: &mut History) {
        self.converse.switch(other);
    }

    /// When a timer has to be looked at.
    pub fn next_timer(&self) -> Option<Instant> {
        self.converse.next_timer()
    }

    /// Does what timers are due for; answers what is to be said of each.
    pub fn ring_due(&mut self) -> Vec<Replied> {
        self.converse.ring_due()
    }

    /// Writes the conversation to a file.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn save(&mut self, file: &Path) -> anyhow::Result<()> {
        self.converse.save(file)
    }

    /// Asks one question; `sink` gets the reply as it is written. When `stop` is disconnected, the reply ends there.
    ///
    /// # Errors
    /// If the model fails.
    pub fn ask(&mut self, question: &str, stop: &StopSignal, sink: &mut dyn FnMut(&str)) -> anyhow::Result<Replied> {
        let turn = self.turns.begin();
        let now = Instant::now();
        let transcript = Transcript::typed(question.trim(), now);
        let turns = &self.turns;
        self.converse.take(Envelope::new(turn, transcript), &mut |delta| {
            if is_stopped(stop) {
                turns.silence_all();
                return ControlFlow::Break(());
            }
            match &delta.body {
                TextDelta::Text(text) => sink(text),
                TextDelta::Cut => sink("…"),
                TextDelta::Asked(_) | TextDelta::Begin { .. } | TextDelta::Ahead(_) | TextDelta::End => {}
            }
            ControlFlow::Continue(())
        })?;
        let replied = self.notebook.try_iter().find_map(|note| match note {
            Note::Replied { replied, .. } => Some(replied),
            _ => None,
        });
        Ok(replied.unwrap_or_default())
    }
}

//! `nearfield eval assist`: sentences of the public `assist` format, each said once to a fresh home in a fresh conversation. What
//! changed is told in Home Assistant's names and units, and scored where the files say what is expected.

mod dataset;
mod score;

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

use anyhow::ensure;
use nearfield_home::{EntityState, HomeFile, Household, Origin, Policy, Remembered};
use nearfield_stages::flow::StopSignal;
use nearfield_stages::llm_thread::LlmThread;
use nearfield_stages::voice::converse::ConverseOptions;
use nearfield_stages::voice::tools::{HomeTools, Toolbox};
use serde_json::{Value, json};

use super::{Tally, percent};
use crate::cli::EvalArgs;
use crate::config::{Config, VoiceConfig};
use crate::flows::chat::Chat;
use crate::hub::registry::Registry;
use crate::load::voice::{converse_options, load_llm};
use crate::signals;

/// What one sentence came to.
struct Said {
    calls: Vec<Value>,
    changes: BTreeMap<String, EntityState>,
    reply: String,
    answered_by: &'static str,
}

/// The assistant; the language model is loaded when the first sentence needs it.
struct Assistant<'a> {
    config: &'a VoiceConfig,
    registry: &'a Registry,
    llm: Option<(LlmThread, ConverseOptions)>,
}

impl Assistant<'_> {
    fn llm(&mut self) -> anyhow::Result<(LlmThread, ConverseOptions)> {
        if let Some(loaded) = &self.llm {
            return Ok(loaded.clone());
        }
        let llm = load_llm(self.config, self.registry)?;
        let options = converse_options(self.config, self.registry, &llm)?;
        let (thread, _ends_with_its_last_handle) = LlmThread::start_beside_others(llm, None);
        Ok(self.llm.insert((thread, options)).clone())
    }

    /// Says a sentence to a home as it is set up.
    fn say(
        &mut self,
        file: &dataset::TestFile,
        test: &dataset::Test,
        sentence: &str,
        stop: &StopSignal,
    ) -> anyhow::Result<Said> {
        let before = file.set_up(test)?.home()?;
        let area =
            test.context_device.as_deref().and_then(|id| before.device(id)).and_then(|device| device.area.clone());
        let household = Household::new(HomeFile::in_memory(before.clone()), Policy::default(), Remembered::default());
        let home = HomeTools::new(household).asked_from(Origin::Text, area);
        let toolbox = Toolbox::new(Some(home), Vec::new())?.at_time(test.now()?);
        let mut toolbox = if self.config.home.matcher { toolbox } else { toolbox.without_matcher() };
        let done = |toolbox: &Toolbox| {
            toolbox.home().map(|home| home.household().home().changes_since(&before)).unwrap_or_default()
        };
        let call = |tool: &nearfield_stages::voice::tools::ToolResult| json!({"name": tool.name, "arguments": tool.arguments, "ok": tool.ok});
        if let Some(matched) = toolbox.matched(sentence) {
            return Ok(Said {
                calls: matched.tools.iter().map(call).collect(),
                changes: done(&toolbox),
                reply: matched.reply,
                answered_by: "matcher",
            });
        }
        let (thread, options) = self.llm()?;
        let mut chat = Chat::begin(thread, options, toolbox)?;
        let replied = chat.ask(sentence, stop, &mut |_| {})?;
        Ok(Said {
            calls: replied.tools.iter().map(call).collect(),
            changes: done(chat.toolbox()),
            reply: replied.reply,
            answered_by: replied.answered_by.as_str(),
        })
    }
}

/// Says every sentence and prints what came of it, then the sums.
///
/// # Errors
/// A folder or file can't be read, the language model can't be loaded, or the user stops it.
pub(super) fn run(args: &EvalArgs, registry: &Registry, stop: &StopSignal, out: &mut dyn Write) -> anyhow::Result<()> {
    ensure!(!args.folders.is_empty(), "name one or more folders: nearfield eval assist FOLDER...");
    let config = VoiceConfig::load(args.config.config.as_deref(), &args.config.set)?;
    let files = dataset::read(&args.folders)?;
    let mut assistant = Assistant { config: &config, registry, llm: None };
    let (mut tally, mut sentences, mut by) = (Tally::default(), 0_usize, BTreeMap::<&str, usize>::new());
    let begun = Instant::now();
    let said = files.iter().flat_map(|file| {
        file.tests.iter().flat_map(move |test| test.sentences.iter().map(move |said| (file, test, said)))
    });
    for (file, test, sentence) in said.take(args.limit.map_or(usize::MAX, |limit| limit as usize)) {
        ensure!(!signals::is_stopped(stop), "stopped");
        let started = Instant::now();
        // A failed turn is a failed sentence, and not the end of the run.
        let said = assistant.say(file, test, sentence, stop).unwrap_or_else(|error| {
            tracing::warn!("{}: {sentence:?}: {error:#}", file.path.display());
            Said { calls: Vec::new(), changes: BTreeMap::new(), reply: String::new(), answered_by: "none" }
        });
        let ms = (started.elapsed().as_secs_f64() * 1e4).round() / 10.0;
        sentences += 1;
        *by.entry(said.answered_by).or_default() += 1;
        let faults = match score::is_scored(test) {
            true => score::faults(test, &file.set_up(test)?.home()?, &said.changes, &said.reply),
            false => Vec::new(),
        };
        if score::is_scored(test) {
            tally.count(&file.category, faults.is_empty());
        }
        if args.json {
            let line = json!({
                "file": file.path, "sentence": sentence, "calls": said.calls, "changes": said.changes,
                "reply": said.reply, "answered_by": said.answered_by, "ms": ms,
            });
            writeln!(out, "{line}")?;
        } else if !faults.is_empty() {
            writeln!(out, "{sentence}\n  {} ({})\n  {}", said.reply, said.answered_by, faults.join("; "))?;
        }
        out.flush()?;
    }
    let (right, rows) = (tally.right(), tally.rows());
    let categories = tally.weakest_first();
    if args.json {
        let kinds: Vec<Value> = categories
            .iter()
            .map(|(category, right, rows)| json!({"category": category, "right": right, "rows": rows}))
            .collect();
        let seconds = begun.elapsed().as_secs();
        writeln!(
            out,
            "{}",
            json!({"eval": "assist", "sentences": sentences, "scored": rows, "right": right, "percent": percent(right, rows),
                   "categories": kinds, "answered_by": by, "seconds": seconds})
        )?;
        return Ok(());
    }
    for (category, right, rows) in &categories {
        writeln!(out, "  {:5.1} %  {right:3} of {rows:3}  {category}", percent(*right, *rows))?;
    }
    let by: Vec<String> = by.iter().map(|(who, count)| format!("{who} {count}")).collect();
    writeln!(
        out,
        "{right} of {rows} scored sentences are right = {:.1} %; answered by: {}",
        percent(right, rows),
        by.join(", ")
    )?;
    Ok(())
}

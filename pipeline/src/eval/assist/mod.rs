//! `nearfield eval assist`: sentences of the public `assist` format, each said once to a fresh home in a fresh conversation. What
//! changed is told in Home Assistant's names and units, and scored where the files say what is expected. `nearfield eval home` is
//! the same over our own suite, with its homes told apart.

pub(super) mod dataset;
mod score;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{bail, ensure};
use nearfield_home::{EntityState, HomeFile, Household, Origin, Policy, Remembered};
use nearfield_stages::flow::StopSignal;
use nearfield_stages::llm_thread::LlmThread;
use nearfield_stages::voice::converse::ConverseOptions;
use nearfield_stages::voice::tools::{HomeTools, Toolbox};
use serde_json::{Value, json};

use super::{Tally, percent};
use crate::cli::{HeldOutArgs, HomePart};
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

impl Said {
    fn nothing() -> Self {
        Self { calls: Vec::new(), changes: BTreeMap::new(), reply: String::new(), answered_by: "none" }
    }
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

/// What is run.
struct Suite {
    /// The name in the sums.
    name: &'static str,
    folders: Vec<PathBuf>,
    /// The folder that our own suite lies in: its homes are told apart.
    own: Option<PathBuf>,
}

impl Suite {
    /// The name of a file's home: `tuning/farm`.
    fn home<'a>(&self, file: &'a Path) -> Option<&'a str> {
        file.parent()?.strip_prefix(self.own.as_ref()?).ok()?.to_str()
    }

    /// Whether nobody is to read a home's sentences, so that the sums stay worth something.
    fn is_hidden(&self, file: &Path) -> bool {
        self.own.as_ref().is_some_and(|own| file.starts_with(own.join(HomePart::HeldOut.folder())))
    }
}

/// Says every sentence of the folders and prints what came of it, then the sums.
///
/// # Errors
/// A folder or file can't be read, the language model can't be loaded, or the user stops it.
pub(super) fn run(
    args: &HeldOutArgs,
    registry: &Registry,
    stop: &StopSignal,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    ensure!(!args.folders.is_empty(), "name one or more folders: nearfield eval assist FOLDER...");
    ensure!(args.part.is_none(), "--part is of `eval home`; name the folders that `eval assist` is to run");
    run_suite(&Suite { name: "assist", folders: args.folders.clone(), own: None }, args, registry, stop, out)
}

/// The same over our own suite, or one part of it.
///
/// # Errors
/// As [`run`], or the suite is not here.
pub(super) fn run_own(
    args: &HeldOutArgs,
    registry: &Registry,
    stop: &StopSignal,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    ensure!(
        args.folders.is_empty(),
        "`eval home` takes no folders; `nearfield eval assist FOLDER...` runs other suites"
    );
    let beside = registry.places().assets.as_ref().map(|assets| assets.join("eval/home"));
    let Some(own) = args.data.clone().or(beside).filter(|folder| folder.is_dir()) else {
        bail!("the suite is not here: name the folder assets/eval/home of a clone of Nearfield with --data DIR");
    };
    let parts = args.part.map_or_else(|| vec![HomePart::Tuning, HomePart::HeldOut], |part| vec![part]);
    let folders = parts.iter().map(|part| own.join(part.folder())).collect();
    run_suite(&Suite { name: "home", folders, own: Some(own) }, args, registry, stop, out)
}

fn run_suite(
    suite: &Suite,
    args: &HeldOutArgs,
    registry: &Registry,
    stop: &StopSignal,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let config = VoiceConfig::load(args.config.config.as_deref(), &args.config.set)?;
    let files = dataset::read(&suite.folders)?;
    let mut assistant = Assistant { config: &config, registry, llm: None };
    let (mut tally, mut homes) = (Tally::default(), Tally::default());
    let (mut sentences, mut by) = (0_usize, BTreeMap::<&str, usize>::new());
    let begun = Instant::now();
    let said = files.iter().flat_map(|file| {
        file.tests.iter().flat_map(move |test| test.sentences.iter().map(move |said| (file, test, said)))
    });
    for (file, test, sentence) in said.take(args.limit.map_or(usize::MAX, |limit| limit as usize)) {
        ensure!(!signals::is_stopped(stop), "stopped");
        let started = Instant::now();
        // A failed turn is a failed sentence, and not the end of the run.
        let (said, has_failed) = match assistant.say(file, test, sentence, stop) {
            Ok(said) => (said, false),
            Err(error) => {
                let said = if suite.is_hidden(&file.path) { "a sentence" } else { sentence };
                tracing::warn!("{}: {said:?}: {error:#}", file.path.display());
                (Said::nothing(), true)
            }
        };
        let ms = (started.elapsed().as_secs_f64() * 1e4).round() / 10.0;
        sentences += 1;
        *by.entry(said.answered_by).or_default() += 1;
        let home = suite.home(&file.path);
        let mut faults = Vec::new();
        if score::is_scored(test) {
            faults = score::faults(test, &file.set_up(test)?.home()?, &said.changes, &said.reply);
            if has_failed {
                faults.push("the turn failed".to_owned()); // also where nothing was to change
            }
            tally.count(&file.category, faults.is_empty());
            if let Some(home) = home {
                homes.count(home, faults.is_empty());
            }
        }
        if args.json {
            let mut line = json!({
                "file": file.path, "sentence": sentence, "calls": said.calls, "changes": said.changes,
                "reply": said.reply, "answered_by": said.answered_by, "ms": ms,
            });
            if let Some(home) = home {
                line["home"] = home.into();
                line["category"] = file.category.as_str().into();
                line["faults"] = faults.into();
            }
            writeln!(out, "{line}")?;
        } else if !faults.is_empty() && !suite.is_hidden(&file.path) {
            writeln!(out, "{sentence}\n  {} ({})\n  {}", said.reply, said.answered_by, faults.join("; "))?;
        }
        out.flush()?;
    }
    let (right, rows) = (tally.right(), tally.rows());
    let (categories, homes) = (tally.weakest_first(), homes.weakest_first());
    if args.json {
        let sums = |kind: &str, sums: &[(String, usize, usize)]| -> Value {
            sums.iter().map(|(name, right, rows)| json!({kind: name, "right": right, "rows": rows})).collect()
        };
        let mut line = json!({
            "eval": suite.name, "sentences": sentences, "scored": rows, "right": right, "percent": percent(right, rows),
            "categories": sums("category", &categories), "answered_by": by, "seconds": begun.elapsed().as_secs(),
        });
        if suite.own.is_some() {
            line["homes"] = sums("home", &homes);
        }
        writeln!(out, "{line}")?;
        return Ok(());
    }
    for (name, right, rows) in categories.iter().chain(&homes) {
        writeln!(out, "  {:5.1} %  {right:3} of {rows:3}  {name}", percent(*right, *rows))?;
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn own() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/eval/home")
    }

    fn files_of(part: HomePart) -> Vec<dataset::TestFile> {
        dataset::read(&[own().join(part.folder())]).expect("the suite is read")
    }

    #[test]
    fn every_test_of_our_suite_names_entities_and_devices_that_its_home_has() {
        for file in [HomePart::Tuning, HomePart::HeldOut].into_iter().flat_map(files_of) {
            let stem = file.path.file_stem().and_then(|stem| stem.to_str());
            assert_eq!(stem, Some(file.category.as_str()), "{}", file.path.display());
            for test in &file.tests {
                let home = file.set_up(test).and_then(|home| Ok(home.home()?)).expect("the set-up makes a home");
                assert!(score::is_scored(test) && test.now().is_ok(), "{:?}", test.sentences);
                let expected = test.expect_changes.iter().flatten().map(|(id, _)| id);
                let ignored = test.ignore_changes.iter().flatten().map(|(id, _)| id);
                for id in expected.chain(ignored) {
                    assert!(
                        home.entity(id).is_some(),
                        "{id} of {:?} is not in {}",
                        test.sentences,
                        file.path.display()
                    );
                }
                let device = test.context_device.as_deref();
                assert!(
                    device.is_none_or(|id| home.device(id).is_some_and(|device| device.area.is_some())),
                    "{device:?} of {:?} has no area",
                    test.sentences
                );
            }
        }
    }

    #[test]
    fn doing_nothing_fails_every_command_of_our_suite() {
        let nothing = BTreeMap::new();
        let mut passed = Vec::new();
        for file in [HomePart::Tuning, HomePart::HeldOut].into_iter().flat_map(files_of) {
            for test in file.tests.iter().filter(|test| test.expect_changes.as_ref().is_some_and(|c| !c.is_empty())) {
                let home = file.set_up(test).and_then(|home| Ok(home.home()?)).expect("the set-up makes a home");
                if score::faults(test, &home, &nothing, "Done.").is_empty() {
                    passed.extend(test.sentences.clone());
                }
            }
        }
        assert!(passed.is_empty(), "{passed:?}");
    }

    #[test]
    fn our_suite_has_1300_requests_in_14_homes_and_none_of_the_held_out_ones_is_in_the_other_part() {
        let said = |files: &[dataset::TestFile]| {
            let tests = files.iter().flat_map(|file| &file.tests);
            tests.flat_map(|test| test.sentences.clone()).map(|said| said.to_lowercase()).collect::<Vec<_>>()
        };
        let (tuning, held_out) = (files_of(HomePart::Tuning), files_of(HomePart::HeldOut));
        let homes: BTreeSet<_> =
            tuning.iter().chain(&held_out).filter_map(|file| file.path.parent()?.file_name()).collect();
        assert_eq!(homes.len(), 14);
        let (tuning, held_out) = (said(&tuning), said(&held_out));
        assert!(
            tuning.len() + held_out.len() >= 1300 && held_out.len() >= 150,
            "{} and {}",
            tuning.len(),
            held_out.len()
        );
        let both: Vec<&String> = held_out.iter().filter(|said| tuning.contains(said)).collect();
        assert!(both.is_empty(), "in both parts: {both:?}");
    }
}

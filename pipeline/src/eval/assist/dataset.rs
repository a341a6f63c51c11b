//! The public `assist` format: folders with a home (`_fixtures.yaml`) and files of tests beside or below it. Each test has
//! sentences, what is set up before, and what is expected after; a file without expectations is read all the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use jiff::Zoned;
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;
use nearfield_base::files;
use nearfield_home::inventory::Inventory;
use nearfield_home::yaml;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// The most files and sentences of a run.
const MAX_FILES: usize = 10_000;
const MAX_SENTENCES: usize = 100_000;
/// How deep folders are searched.
const MAX_DEPTH: usize = 8;

/// A state or attributes, to be set or expected.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::eval) struct StateOf {
    #[serde(default)]
    pub(in crate::eval) state: Option<Value>,
    #[serde(default)]
    pub(in crate::eval) attributes: Option<Map<String, Value>>,
}

/// One test: sentences that are to do the same in the same home.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::eval) struct Test {
    pub(in crate::eval) sentences: Vec<String>,
    #[serde(default)]
    pub(in crate::eval) setup: Option<BTreeMap<String, StateOf>>,
    #[serde(default)]
    pub(in crate::eval) expect_changes: Option<BTreeMap<String, StateOf>>,
    #[serde(default)]
    pub(in crate::eval) ignore_changes: Option<BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    pub(in crate::eval) expect_response: Option<OneOrMany>,
    #[serde(default)]
    pub(in crate::eval) context_device: Option<String>,
    #[serde(default)]
    pub(in crate::eval) context_now: Option<String>,
}

/// A text or a list of texts.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(in crate::eval) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(in crate::eval) fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Record {
    #[serde(default)]
    category: Option<OneOrMany>,
    #[serde(default)]
    tests: Option<Vec<Test>>,
}

/// One file of tests and its home.
#[derive(Debug)]
pub(in crate::eval) struct TestFile {
    pub(in crate::eval) path: PathBuf,
    pub(in crate::eval) category: String,
    pub(in crate::eval) tests: Vec<Test>,
    pub(in crate::eval) inventory: Inventory,
}

impl TestFile {
    /// The home before a test's sentence.
    ///
    /// # Errors
    /// The set-up names what is not there, or makes no home.
    pub(in crate::eval) fn set_up(&self, test: &Test) -> anyhow::Result<Inventory> {
        let mut inventory = self.inventory.clone();
        for (id, state) in test.setup.iter().flatten() {
            let attributes = state.attributes.clone().unwrap_or_default();
            inventory
                .set_up(id, state.state.clone(), &attributes)
                .with_context(|| format!("{}: `setup` of a test", self.path.display()))?;
        }
        Ok(inventory)
    }
}

impl Test {
    /// The time at which the sentence is said: the test's own, in UTC where it names no zone, or now.
    pub(in crate::eval) fn now(&self) -> anyhow::Result<Zoned> {
        let Some(text) = &self.context_now else { return Ok(Zoned::now()) };
        let wrong = || format!("`context_now` {text:?} is not a date and time; write one such as 2026-05-24T18:30:00");
        let pieces = Pieces::parse(text).with_context(wrong)?;
        let zone = pieces.to_numeric_offset().map_or(TimeZone::UTC, TimeZone::fixed);
        Ok(pieces.date().to_datetime(pieces.time().unwrap_or_default()).to_zoned(zone)?)
    }
}

/// All files of tests below the folders, in the order of their paths.
///
/// # Errors
/// A folder or file can't be read, or is not of the format.
pub(in crate::eval) fn read(folders: &[PathBuf]) -> anyhow::Result<Vec<TestFile>> {
    let mut files = Vec::new();
    for folder in folders {
        ensure!(
            folder.is_dir(),
            "{} is not a folder: name one with homes (_fixtures.yaml) and files of tests",
            folder.display()
        );
        let before = files.len();
        search(folder, None, 0, &mut files)?;
        ensure!(
            files.len() > before,
            "{} holds no tests: there must be a _fixtures.yaml and beside it files with `tests`",
            folder.display()
        );
    }
    let sentences: usize = files.iter().flat_map(|file| &file.tests).map(|test| test.sentences.len()).sum();
    ensure!(sentences <= MAX_SENTENCES, "there are {sentences} sentences; at most {MAX_SENTENCES} are run at once");
    Ok(files)
}

fn search(folder: &Path, home: Option<&Inventory>, depth: usize, files: &mut Vec<TestFile>) -> anyhow::Result<()> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("the folder {} can't be read", folder.display()))? {
        paths.push(entry?.path());
        ensure!(paths.len() <= MAX_FILES, "the folder {} holds more than {MAX_FILES} files", folder.display());
    }
    paths.sort();
    let fixtures = folder.join("_fixtures.yaml");
    let own = match paths.contains(&fixtures) {
        true => {
            let text = text_of(&fixtures)?;
            Some(Inventory::parse(&text).with_context(|| format!("the home {}", fixtures.display()))?)
        }
        false => None,
    };
    let home = own.as_ref().or(home);
    for path in paths {
        if path.is_dir() {
            if depth < MAX_DEPTH {
                search(&path, home, depth + 1, files)?;
            }
            continue;
        }
        let is_yaml = path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml");
        if !is_yaml || path == fixtures || path.file_stem().is_some_and(|stem| stem == "dataset_card") {
            continue;
        }
        let document = yaml::parse(&text_of(&path)?).with_context(|| path.display().to_string())?;
        if !document.contains_key("tests") {
            continue;
        }
        let record: Record = serde_json::from_value(Value::Object(document))
            .with_context(|| format!("{} is not of the assist format", path.display()))?;
        let Some(inventory) = home else {
            bail!("{} has no home: there is no _fixtures.yaml beside it or above it", path.display());
        };
        ensure!(files.len() < MAX_FILES, "there are more than {MAX_FILES} files of tests");
        let category = record.category.map_or_else(|| "none".to_owned(), |category| category.texts().join(", "));
        files.push(TestFile { path, category, tests: record.tests.unwrap_or_default(), inventory: inventory.clone() });
    }
    Ok(())
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    files::read_text(path, MAX_FILE_BYTES).with_context(|| format!("{} can't be read", path.display()))
}

//! Texts for importance matrices, of what Nearfield itself has models read: questions in a home, tables of sensors, pictures in words, each
//! with an answer that is computed. The same each time.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use nearfield_home::{HomeFile, Household, Origin, Policy, Remembered};
use nearfield_llm::{Llm, Message, Role, TokenId};
use nearfield_stages::flow::Turn;
use nearfield_stages::report::compose::Compose;
use nearfield_stages::voice::tools::{HomeTools, Toolbox};
use nearfield_telemetry::table;
use nearfield_vision::{Object, Rect, describe_in_text, plain_sentence};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Instant;

use crate::bench::report::{Dice, random_day};
use crate::eval::chunks::{Chunks, read_text};
use crate::eval::home_questions;
use crate::hub::registry::{PromptForm, Registry};
use crate::prompts;

/// Chunks of Nearfield's own texts, where nothing is said.
const OWN_CHUNKS: usize = 64;

/// The text that `--calibrate` names, a file or one of Nearfield's own, in chunks of `context` tokens, at most `most` of them.
pub(crate) fn chunks(
    named: &str,
    llm: &Llm,
    registry: &Registry,
    context: usize,
    most: Option<usize>,
) -> anyhow::Result<Chunks> {
    match Calibration::named(named) {
        Some(own) => {
            let count = most.unwrap_or(OWN_CHUNKS);
            let tokens = own.tokens(llm, registry, count.max(2) * context)?;
            Chunks::of_tokens(llm, tokens, named, context, Some(count))
        }
        None => Chunks::new(llm, &read_text(Path::new(named))?, named, context, most),
    }
}

/// The seed of all of them.
const SEED: u64 = 23;
/// The most tokens of a computed report.
const REPORT_TOKENS: usize = 200;

/// What a text is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calibration {
    /// Questions and commands in the homes of our own suite, of its part that models may be improved on.
    Home,
    /// Days of sensors.
    Reports,
    /// Pictures in words.
    Captions,
}

impl Calibration {
    /// The one of that name.
    pub(crate) fn named(name: &str) -> Option<Calibration> {
        match name {
            "home" => Some(Calibration::Home),
            "reports" => Some(Calibration::Reports),
            "captions" => Some(Calibration::Captions),
            _ => None,
        }
    }

    /// At least `tokens` tokens of it, rendered with the model's template where it has one.
    pub(crate) fn tokens(self, llm: &Llm, registry: &Registry, tokens: usize) -> anyhow::Result<Vec<TokenId>> {
        let mut source: Box<dyn FnMut() -> anyhow::Result<Vec<Message>>> = match self {
            Calibration::Home => Box::new(home(registry)?),
            Calibration::Reports => Box::new(reports()),
            Calibration::Captions => Box::new(captions()),
        };
        let tokenizer = llm.tokenizer()?;
        let mut all = Vec::new();
        while all.len() < tokens {
            let messages = source()?;
            let text = match llm.template() {
                Ok(template) => template.render(&messages, &[], false)?,
                Err(_) => messages.iter().map(|message| format!("{}\n", message.content)).collect(),
            };
            let before = all.len();
            all.extend(tokenizer.encode_prompt(&text));
            ensure!(all.len() > before, "the template of {} leaves the messages out", llm.info().name);
        }
        Ok(all)
    }
}

/// Conversations about homes: those sentences that the matcher answers, several in the same home.
fn home(registry: &Registry) -> anyhow::Result<impl FnMut() -> anyhow::Result<Vec<Message>>> {
    let folder: Option<PathBuf> =
        registry.places().assets.as_deref().map(|assets: &Path| assets.join("eval/home/tuning"));
    let folder = folder.filter(|folder| folder.is_dir());
    let folder = folder.context("the homes are not here: they lie in assets/eval/home of a clone of Nearfield")?;
    let mut questions = home_questions(&folder)?;
    let mut chance = ChaCha8Rng::seed_from_u64(SEED);
    questions.shuffle(&mut chance);
    ensure!(!questions.is_empty(), "{} has no sentences", folder.display());
    let system = prompts::voice_system("", &PromptForm::default());
    let mut at = 0;
    Ok(move || {
        let (inventory, sentence, now) = &questions[at % questions.len()];
        at += 1;
        let household =
            Household::new(HomeFile::in_memory(inventory.home()?), Policy::default(), Remembered::default());
        let home = HomeTools::new(household).asked_from(Origin::Text, None);
        let mut toolbox = Toolbox::new(Some(home), Vec::new())?.at_time(now.clone());
        let told = toolbox.home_text(Default::default());
        let mut messages =
            vec![Message::new(Role::System, format!("{system}\nHome:\n{told}")), Message::new(Role::User, sentence)];
        if let Some(matched) = toolbox.matched(sentence) {
            messages.push(Message::new(Role::Assistant, matched.reply));
        }
        Ok(messages)
    })
}

/// Days of sensors, each with its computed report.
fn reports() -> impl FnMut() -> anyhow::Result<Vec<Message>> {
    let (mut dice, mut compose, mut turn) = (Dice(SEED), Compose::new(None, REPORT_TOKENS), 0);
    move || {
        let table = random_day(&mut dice)?;
        turn += 1;
        let composed = compose.compose(Turn(turn), &table, Instant::now(), &mut |_| {});
        let sentences: Vec<&str> = composed.sentences.iter().map(|sentence| sentence.text.as_str()).collect();
        Ok(vec![
            Message::new(Role::System, table::SYSTEM),
            Message::new(Role::User, table.to_string()),
            Message::new(Role::Assistant, sentences.join(" ")),
        ])
    }
}

/// Pictures in words, each with its computed caption.
fn captions() -> impl FnMut() -> anyhow::Result<Vec<Message>> {
    const LABELS: [&str; 24] = [
        "person",
        "dog",
        "cat",
        "car",
        "bicycle",
        "truck",
        "bird",
        "chair",
        "couch",
        "potted plant",
        "bed",
        "dining table",
        "tv",
        "laptop",
        "cup",
        "bottle",
        "book",
        "clock",
        "bench",
        "umbrella",
        "backpack",
        "suitcase",
        "bus",
        "horse",
    ];
    let mut chance = ChaCha8Rng::seed_from_u64(SEED);
    let form = PromptForm::default();
    let (system, question) = (prompts::caption_system("", &form), prompts::caption_question("", &form, false));
    move || {
        let n = chance.random_range(1..6);
        let objects: Vec<Object> = (0..n)
            .map(|_| {
                let class = chance.random_range(0..LABELS.len());
                let (w, h) = (chance.random_range(0.05..0.5), chance.random_range(0.05..0.5));
                let rect = Rect { x: chance.random_range(0.0..1.0 - w), y: chance.random_range(0.0..1.0 - h), w, h };
                Object { label: LABELS[class].to_owned(), score: chance.random_range(0.3..1.0), rect, class }
            })
            .collect();
        Ok(vec![
            Message::new(Role::System, &system),
            Message::new(Role::User, question.replace("{picture}", &describe_in_text(&objects, &[]))),
            Message::new(Role::Assistant, plain_sentence(&[], &objects, &[])),
        ])
    }
}

//! `talk-nano` on its held-out rows: questions about a home (with tool calls), sensor reports, and pictures given as
//! embeddings of words. Greedy, in one session; a row is right if every letter and every tool call is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use nearfield_home::HomeFile;
use nearfield_llm::{
    CacheType, Dialect, GenerateOptions, Llm, Message, ReplyParser, Role, Sampler, SamplerOptions, Session,
    SessionOptions, generate,
};
use nearfield_stages::flow::{Turn, Turns};
use nearfield_stages::llm_thread::LlmThread;
use nearfield_stages::report::compose::{Compose, ModelWriter};
use nearfield_stages::voice::tools::{HomeTools, ToolCall, Toolbox, spaced_json};
use serde::Deserialize;
use serde_json::{Value, json};
use std::ops::ControlFlow;

use super::{Run, Score, Tally, WORST, percent};
use crate::config::VoiceConfig;
use crate::config::report::ReportConfig;
use crate::eval::judge::holds;
use crate::hub::registry::{PromptForm, Registry};
use crate::load::report::{compose_options, max_report_tokens};
use crate::load::voice;
use crate::prompts;

const MODEL: &str = "talk-nano";
/// Longer than any answer of the held-out sets.
const MAX_REPLY_TOKENS: usize = 400;
/// A question about a home.
#[derive(Deserialize)]
struct HomeRow {
    kind: String,
    home: Value,
    history: Vec<Message>,
    question: String,
    expect: Expect,
    tool_results: Vec<Value>,
}

#[derive(Deserialize)]
struct Expect {
    reply: String,
    tools: Vec<ToolCall>,
}

/// A table and its report.
#[derive(Deserialize)]
struct ReportRow {
    table: String,
    report: String,
}

/// The words that a picture model would say, what is asked, and the answer.
#[derive(Deserialize)]
struct PictureRow {
    kind: String,
    words: Vec<String>,
    ask: String,
    answer: String,
}

/// Scores the three skills.
pub(super) fn score(
    run: &Run<'_>,
    registry: &Registry,
    show: &mut dyn FnMut(Score) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut config = VoiceConfig::default();
    config.llm.model = MODEL.to_owned();
    let llm = voice::load_llm(&config, registry)?;
    let options = SessionOptions { context_tokens: llm.info().context_length.min(4096), cache: CacheType::F16 };
    let mut writer = Writer { session: Session::new(Arc::clone(&llm), &options)?, llm };
    let form = registry.resolve(MODEL)?.prompt;
    show(home(run, &mut writer, &form)?)?;
    show(reports(run, &mut writer, &form)?)?;
    show(checked_reports(run, registry, &writer.llm)?)?;
    show(pictures(run, &mut writer, &form)?)
}

/// The model and its one session.
struct Writer {
    llm: Arc<Llm>,
    session: Session,
}

impl Writer {
    /// The reply to a conversation.
    fn reply(&mut self, messages: &[Message], tools: &[Value]) -> anyhow::Result<String> {
        let text = self.llm.template()?.render(messages, tools, true)?;
        let tokens = self.llm.tokenizer()?.encode_prompt(&text);
        self.session.prompt(&tokens, &mut || ControlFlow::Continue(()))?;
        self.write()
    }

    /// The answer to a question about a picture, whose embeddings `[n, d_model]` stand after the picture token.
    fn reply_to_picture(&mut self, rows: &[f32], ask: &str, form: &PromptForm) -> anyhow::Result<String> {
        let picture = form.picture_token.as_deref().context("the model's entry names no picture token")?;
        let system = prompts::caption_system("", form);
        let messages = [Message::new(Role::System, system), Message::new(Role::User, format!("{picture}{ask}"))];
        let text = self.llm.template()?.render(&messages, &[], true)?;
        let at = text.find(picture).context("the chat template lost the picture's place")? + picture.len();
        let tokenizer = self.llm.tokenizer()?;
        let (before, after) = (tokenizer.encode_prompt(&text[..at]), tokenizer.encode(&text[at..], true));
        self.session.prompt(&before, &mut || ControlFlow::Continue(()))?;
        self.session.append_embeddings(rows)?;
        self.session.append(&after)?;
        self.write()
    }

    fn write(&mut self) -> anyhow::Result<String> {
        let mut sampler = Sampler::new(&SamplerOptions::default());
        let options = GenerateOptions { max_tokens: MAX_REPLY_TOKENS, ..GenerateOptions::default() };
        Ok(generate(&mut self.session, &mut sampler, &options, &mut |_| ControlFlow::Continue(()))?.text)
    }

    /// The embeddings of words that are one token each: `[words, d_model]`.
    fn embeddings(&self, words: &[String]) -> anyhow::Result<Result<Vec<f32>, String>> {
        let tokenizer = self.llm.tokenizer()?;
        let mut rows = Vec::with_capacity(words.len() * self.llm.info().d_model);
        for word in words {
            let tokens = tokenizer.encode(word, false);
            if tokens.len() != 1 {
                return Ok(Err(format!("the word {word:?} is not one token of {MODEL}")));
            }
            rows.extend(self.llm.embedding(tokens[0])?);
        }
        Ok(Ok(rows))
    }
}

/// What a reply says and calls.
fn parted(raw: &str) -> (String, Vec<ToolCall>) {
    let mut filter = ReplyParser::new(Dialect::Hermes, Vec::new(), false);
    let mut text = filter.push(raw);
    let rest = filter.finish();
    text.push_str(&rest.rest);
    (text.trim().to_owned(), rest.calls)
}

fn home(run: &Run<'_>, writer: &mut Writer, form: &PromptForm) -> anyhow::Result<Score> {
    let system = prompts::voice_system("", form);
    let mut rows: Vec<HomeRow> = run.rows("talk/talk-heldout.jsonl")?;
    rows.truncate(run.limit);
    run.begin("talk-nano: the home", rows.len());
    let (mut tally, mut wrong) = (Tally::default(), Vec::new());
    let (mut calls_due, mut calls_right) = (0, 0);
    for row in &rows {
        let toolbox = Toolbox::new(Some(HomeTools::of_rooms(HomeFile::parse(&row.home.to_string())?)), Vec::new())?;
        let (rendered, schemas) = (toolbox.home_text(form.home.unwrap_or_default()), toolbox.schemas());
        let content = if rendered.is_empty() { system.clone() } else { format!("{system}\nHome:\n{rendered}") };
        let mut messages = vec![Message::new(Role::System, content)];
        messages.extend(row.history.iter().cloned());
        messages.push(Message::new(Role::User, &row.question));
        let raw = writer.reply(&messages, &schemas)?;
        let (mut said, calls) = parted(&raw);
        let mut shown = raw.clone();
        let right_calls = calls == row.expect.tools;
        if !row.expect.tools.is_empty() {
            calls_due += 1;
            calls_right += usize::from(right_calls);
        }
        if right_calls && !calls.is_empty() {
            messages.push(Message::new(Role::Assistant, raw.trim()));
            messages.extend(row.tool_results.iter().map(|result| Message::new(Role::Tool, spaced_json(result))));
            said = writer.reply(&messages, &schemas)?;
            shown = said.clone();
        }
        let right = right_calls && said == row.expect.reply;
        tally.count(&row.kind, right);
        if !right {
            let due = json!({"kind": row.kind, "question": row.question, "expected": row.expect.reply, "tools": row.expect.tools, "said": shown});
            wrong.push((row.kind.clone(), due));
        }
        run.row_done()?;
    }
    let figures = vec![
        ("tool_calls_right", json!(calls_right)),
        ("tool_calls_due", json!(calls_due)),
        ("tool_calls_percent", json!(percent(calls_right, calls_due))),
    ];
    Ok(sheet("home", "exactly right", tally, figures, wrong))
}

/// A score sheet whose worst rows are one of each kind, the weakest kinds first, and then the others.
fn sheet(
    set: &str,
    measure: &'static str,
    tally: Tally,
    figures: Vec<(&'static str, Value)>,
    wrong: Vec<(String, Value)>,
) -> Score {
    let (right, rows, kinds) = (tally.right(), tally.rows(), tally.weakest_first());
    let (mut firsts, mut others) = (Vec::new(), Vec::new());
    for (kind, ..) in &kinds {
        let mut of_kind = wrong.iter().filter(|(k, _)| k == kind).map(|(_, row)| row.clone());
        firsts.extend(of_kind.next());
        others.extend(of_kind);
    }
    firsts.append(&mut others);
    firsts.truncate(WORST);
    Score {
        model: MODEL,
        set: set.to_owned(),
        measure,
        right,
        rows,
        figures,
        kinds,
        worst: firsts,
        left_out: Vec::new(),
    }
}

/// The numbers, times and signs of a text, in order.
fn numbers(text: &str) -> Vec<&str> {
    text.split(' ')
        .map(|word| word.trim_end_matches(['.', ',']))
        .filter(|word| word.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit()))
        .collect()
}

fn reports(run: &Run<'_>, writer: &mut Writer, form: &PromptForm) -> anyhow::Result<Score> {
    let system = prompts::report_system("", form);
    let mut rows: Vec<ReportRow> = run.rows("talk/talk-heldout-reports.jsonl")?;
    rows.truncate(run.limit);
    run.begin("talk-nano: reports", rows.len());
    let (mut tally, mut wrong) = (Tally::default(), Vec::new());
    let (mut right_numbers, mut sentences, mut right_sentences) = (0, 0, 0);
    for row in &rows {
        let messages = [Message::new(Role::System, system.as_str()), Message::new(Role::User, &row.table)];
        let said = writer.reply(&messages, &[])?;
        let kind = if row.table.ends_with("Anomalies: none") { "nothing unusual" } else { "with anomalies" };
        tally.count(kind, said == row.report);
        right_numbers += usize::from(numbers(&said) == numbers(&row.report));
        let due: Vec<&str> = row.report.split_inclusive(". ").collect();
        sentences += due.len();
        right_sentences += due.iter().zip(said.split_inclusive(". ")).filter(|(a, b)| **a == *b).count();
        if said != row.report {
            wrong.push((kind.to_owned(), json!({"table": row.table, "expected": row.report, "said": said})));
        }
        run.row_done()?;
    }
    let figures = vec![
        ("every_number_right", json!(right_numbers)),
        ("every_number_right_percent", json!(percent(right_numbers, rows.len()))),
        ("sentences_right_percent", json!(percent(right_sentences, sentences))),
    ];
    Ok(sheet("reports", "exactly right (every name, number, unit, direction, anomaly)", tally, figures, wrong))
}

/// The reports as they leave the program: each sentence held to the table, and written again where it does not hold.
fn checked_reports(run: &Run<'_>, registry: &Registry, llm: &Arc<Llm>) -> anyhow::Result<Score> {
    let mut rows: Vec<ReportRow> = run.rows("talk/talk-heldout-reports.jsonl")?;
    rows.truncate(run.limit);
    run.begin("talk-nano: checked reports", rows.len());
    let config = ReportConfig::default();
    let (thread, _ends_with_its_last_handle) = LlmThread::start(Arc::clone(llm));
    let writer = ModelWriter::new(thread, compose_options(&config, registry), Turns::default())?;
    let mut composer = Compose::new(Some(Box::new(writer)), max_report_tokens(&config));
    let (mut tally, mut wrong, mut origins) = (Tally::default(), Vec::new(), [0usize; 3]);
    for (index, row) in rows.iter().enumerate() {
        let table = super::table::read(&row.table).with_context(|| format!("this is not a table:\n{}", row.table))?;
        let composed = composer.compose(Turn(index as u64 + 1), &table, Instant::now(), &mut |_| {});
        ensure!(composed.failure.is_none(), "the model failed: {}", composed.failure.unwrap_or_default());
        composed.sentences.iter().for_each(|sentence| origins[sentence.origin as usize] += 1);
        let kind = if table.notes().is_empty() { "nothing unusual" } else { "with anomalies" };
        let held = holds(&table, &composed.sentences);
        tally.count(kind, held.is_ok());
        if let Err(why) = held {
            wrong.push((kind.to_owned(), json!({"table": row.table, "wrong": why, "refused": composed.refused})));
        }
        run.row_done()?;
    }
    let [written, regenerated, computed] = origins;
    let figures = vec![
        ("sentences_written", json!(written)),
        ("sentences_regenerated", json!(regenerated)),
        ("sentences_computed", json!(computed)),
    ];
    Ok(sheet("checked-reports", "every number and claim right as the program gives them out", tally, figures, wrong))
}

fn pictures(run: &Run<'_>, writer: &mut Writer, form: &PromptForm) -> anyhow::Result<Score> {
    let mut rows: Vec<PictureRow> = run.rows("talk/talk-heldout-pictures.jsonl")?;
    rows.truncate(run.limit);
    run.begin("talk-nano: pictures", rows.len());
    let (mut tally, mut wrong, mut left_out) = (Tally::default(), Vec::new(), BTreeMap::<String, usize>::new());
    for row in &rows {
        run.row_done()?;
        let embeddings = match writer.embeddings(&row.words)? {
            Ok(embeddings) => embeddings,
            Err(why) => {
                *left_out.entry(why).or_default() += 1;
                continue;
            }
        };
        let said = writer.reply_to_picture(&embeddings, &row.ask, form)?;
        tally.count(&row.kind, said == row.answer);
        if said != row.answer {
            wrong.push((
                row.kind.clone(),
                json!({"words": row.words.join(" "), "ask": row.ask, "expected": row.answer, "said": said}),
            ));
        }
    }
    let mut score = sheet("pictures", "exactly right", tally, Vec::new(), wrong);
    score.left_out = left_out.into_iter().map(|(why, n)| format!("{n} rows: {why}")).collect();
    Ok(score)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_with_their_signs_and_without_the_full_stop() {
        let text = "The pump 3 flow fell by -2.5 l/min, between -4 at 05:10 and 24.9 °C at 14:20.";
        assert_eq!(numbers(text), ["3", "-2.5", "-4", "05:10", "24.9", "14:20"]);
    }

    #[test]
    fn a_reply_is_parted_into_what_is_said_and_what_is_called() {
        let (said, calls) = parted("<tool_call>{\"name\": \"clock\", \"arguments\": {}}</tool_call>");
        assert_eq!((said.as_str(), calls.len(), calls[0].name.as_str()), ("", 1, "clock"));
        assert_eq!(parted("It is warm."), ("It is warm.".to_owned(), Vec::new()));
    }
}

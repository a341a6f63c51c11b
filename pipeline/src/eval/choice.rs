//! `nearfield eval choice`: questions with several answers, from files as ARC and HellaSwag come. Each answer is scored by how probable
//! the model finds it after the question; the best one by its probability, and by its probability per byte, is what the model chose.

use std::io::Write;

use anyhow::{Context, bail, ensure};
use nearfield_llm::{Session, TokenId};
use nearfield_stages::flow::{StopSignal, writes};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::Answers;
use super::fidelity::nll;
use super::json_lines::rows;
use crate::cli::ChoiceArgs;
use crate::config::{Config, VoiceConfig};
use crate::hub::registry::Registry;
use crate::output::progress::Progress;
use crate::signals;

/// The most answers of a question.
const MOST_CHOICES: usize = 64;

/// A row of the file.
#[derive(Debug, Deserialize)]
struct Row {
    /// A question, which is asked as such (ARC, OpenBookQA).
    #[serde(alias = "question_stem")]
    question: Option<String>,
    /// The beginning of a text, which the answers go on with (HellaSwag).
    #[serde(alias = "context", alias = "ctx_a")]
    ctx: Option<String>,
    #[serde(alias = "endings", alias = "options")]
    choices: Choices,
    #[serde(alias = "answerKey", alias = "label", alias = "gold")]
    answer: Value,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Choices {
    Texts(Vec<String>),
    /// As the ARC files have them.
    Labelled {
        text: Vec<String>,
        label: Vec<String>,
    },
    Each(Vec<Labelled>),
}

#[derive(Debug, Deserialize)]
struct Labelled {
    text: String,
    label: String,
}

/// A question that can be scored.
#[derive(Debug)]
struct Question {
    /// What stands before each answer.
    prompt: String,
    choices: Vec<String>,
    right: usize,
}

impl Row {
    fn question(self) -> Result<Question, String> {
        let prompt = match (&self.question, &self.ctx) {
            (Some(question), None) => format!("Question: {}\nAnswer:", question.trim()),
            (None, Some(ctx)) => ctx.trim_end().to_owned(),
            _ => return Err("it must have either a `question` or the beginning of a text (`ctx`)".to_owned()),
        };
        let (choices, labels) = match self.choices {
            Choices::Texts(choices) => (choices, None),
            Choices::Labelled { text, label } => (text, Some(label)),
            Choices::Each(each) => {
                let (texts, labels) = each.into_iter().map(|it| (it.text, it.label)).unzip();
                (texts, Some(labels))
            }
        };
        if !(2..=MOST_CHOICES).contains(&choices.len()) {
            return Err(format!("it has {} choices; 2 to {MOST_CHOICES} are accepted", choices.len()));
        }
        if let Some(empty) = choices.iter().position(|choice| choice.trim().is_empty()) {
            return Err(format!("choice {} is empty", empty + 1));
        }
        let right = right(&self.answer, &choices, labels.as_deref()).ok_or_else(|| {
            format!("its answer {} is none of the choices: write their index from 0, a label, or the text", self.answer)
        })?;
        Ok(Question { prompt, choices, right })
    }
}

/// Which choice an answer names: by its label, by a letter, by its index from 0, or by its text.
fn right(answer: &Value, choices: &[String], labels: Option<&[String]>) -> Option<usize> {
    let within = |index: usize| (index < choices.len()).then_some(index);
    let text = match answer {
        Value::Number(number) => return within(usize::try_from(number.as_u64()?).ok()?),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    if let Some(labels) = labels {
        return labels.iter().position(|label| label == text).and_then(within);
    }
    if let Some(index) = choices.iter().position(|choice| choice.trim() == text) {
        return Some(index);
    }
    match text.as_bytes() {
        [letter @ b'A'..=b'Z'] => within(usize::from(letter - b'A')),
        _ => within(text.parse().ok()?),
    }
}

/// Minus the logarithm of the probability of `choice` after `prompt`.
fn cost(session: &mut Session, prompt: &str, choice: &str) -> anyhow::Result<f64> {
    let llm = session.llm().clone();
    let tokenizer = llm.tokenizer()?;
    let question = tokenizer.encode_text(prompt);
    let whole = tokenizer.encode_text(&format!("{prompt} {}", choice.trim()));
    // Where the answer's first letter changes how the question's end is cut, the tokens from there on are scored.
    let shared = question.iter().zip(&whole).take_while(|(a, b)| a == b).count().min(whole.len().saturating_sub(1));
    ensure!(shared > 0, "the question is empty");
    let held = session.tokens().iter().zip(&whole).take_while(|(a, b)| a == b).count().min(shared - 1);
    session.truncate(held);
    let mut total = 0.0;
    let mut at = held;
    for block in whole[held..].chunks(Session::MOST_SCORED) {
        let end = at + block.len();
        let scored = end.saturating_sub((shared - 1).max(at)).min(block.len());
        session.append_scored(block, scored)?;
        for (n, TokenId(next)) in whole.iter().enumerate().take(end + 1).skip(end - scored + 1) {
            total += nll(session.logits_after(n), *next as usize);
        }
        at = end;
    }
    Ok(total)
}

/// Scores the questions of a file.
///
/// # Errors
/// The file or the model can't be read, a row is no question, or the user stops it before the first one.
pub(super) fn run(
    args: &ChoiceArgs,
    registry: &Registry,
    quiet: bool,
    stop: &StopSignal,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let read: Vec<Row> = rows(&args.file, args.limit)?;
    let mut questions = Vec::with_capacity(read.len());
    for (index, row) in read.into_iter().enumerate() {
        let question = row.question().map_err(anyhow::Error::msg);
        questions.push(question.with_context(|| format!("{}, row {}", args.file.display(), index + 1))?);
    }
    let config = VoiceConfig::load(args.config.config.as_deref(), &args.config.set)?;
    let name = args.model.as_deref().unwrap_or(&config.llm.model);
    let mut model = Answers::open(name, &config, registry)?;
    let mut progress = Progress::new("scored", "questions", 0, questions.len() as u64, quiet);
    // By the probability of the answer, and by that of each byte.
    let (mut plain, mut normalised, mut done) = (0u64, 0u64, 0u64);
    let _write = writes::begin(); // the figures so far would be lost with the program
    for (index, question) in questions.iter().enumerate() {
        let mut costs = Vec::with_capacity(question.choices.len());
        for choice in &question.choices {
            if signals::is_stopped(stop) {
                break;
            }
            let cost = cost(model.session(), &question.prompt, choice);
            costs.push(cost.with_context(|| format!("{}, row {}", args.file.display(), index + 1))?);
        }
        if costs.len() < question.choices.len() {
            break;
        }
        let bytes = |at: usize| question.choices[at].trim().len() as f64;
        let best = least(costs.iter().copied());
        let best_normalised = least(costs.iter().enumerate().map(|(at, cost)| cost / bytes(at)));
        plain += u64::from(best == question.right);
        normalised += u64::from(best_normalised == question.right);
        done += 1;
        if args.json {
            let line = json!({
                "row": index + 1, "answer": question.right, "chosen": best, "chosen_normalised": best_normalised,
                "nll": costs,
            });
            writeln!(out, "{line}")?;
        }
        progress.show(done, &format!("({:.1} % right)", 100.0 * normalised as f64 / done as f64));
    }
    progress.end();
    if done == 0 {
        bail!("stopped before the first question was scored");
    }
    let share = |right: u64| right as f64 / done as f64;
    let error = |right: u64| (share(right) * (1.0 - share(right)) / (done.max(2) - 1) as f64).sqrt();
    let partial = done < questions.len() as u64;
    if args.json {
        let line = json!({
            "eval": "choice", "file": args.file, "model": name, "model_bytes": model.llm().info().file_bytes, "questions": done,
            "accuracy": share(plain), "accuracy_error": error(plain), "accuracy_normalised": share(normalised),
            "accuracy_normalised_error": error(normalised), "partial": partial,
        });
        writeln!(out, "{line}")?;
    } else {
        if partial {
            writeln!(out, "stopped: these are the figures of the first {done} questions")?;
        }
        for (what, right) in [("most probable answer", plain), ("most probable answer per byte", normalised)] {
            let [share, error] = [share(right), error(right)].map(|x| 100.0 * x);
            writeln!(out, "{what}: {right} of {done} right = {share:.2} ± {error:.2} %")?;
        }
    }
    Ok(out.flush()?)
}

/// Where the least of some numbers stands; of equal ones the first.
fn least(numbers: impl Iterator<Item = f64>) -> usize {
    numbers.enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(row: &str) -> Result<Question, String> {
        serde_json::from_str::<Row>(row).map_err(|e| e.to_string()).and_then(Row::question)
    }

    #[test]
    fn files_of_arc_hellaswag_and_openbookqa_are_read() {
        let arc =
            r#"{"id":"a","question":"Why?","choices":{"text":["x","y","z"],"label":["A","B","C"]},"answerKey":"C"}"#;
        let numbered = r#"{"question":"Why?","choices":{"text":["x","y"],"label":["1","2"]},"answerKey":"2"}"#;
        let hellaswag = r#"{"ctx":"A man ","endings":["runs","sits"],"label":"1"}"#;
        let own = r#"{"question":"Why?","choices":["x","y"],"answer":"B"}"#;
        let each = r#"{"question":"Q","choices":[{"text":"x","label":"A"},{"text":"y","label":"B"}],"answer":"A"}"#;
        let text = r#"{"question":"Q","choices":["0","1"],"answer":"0"}"#;
        for (row, right, prompt) in [
            (arc, 2, "Question: Why?\nAnswer:"),
            (numbered, 1, "Question: Why?\nAnswer:"),
            (hellaswag, 1, "A man"),
            (own, 1, "Question: Why?\nAnswer:"),
            (each, 0, "Question: Q\nAnswer:"),
            (text, 0, "Question: Q\nAnswer:"),
        ] {
            let question = question(row).unwrap();
            assert_eq!((question.right, question.prompt.as_str()), (right, prompt), "{row}");
        }
    }

    #[test]
    fn rows_that_cannot_be_scored_say_why() {
        for (row, what) in [
            (r#"{"choices":["x","y"],"answer":0}"#, "either a `question`"),
            (r#"{"question":"Q","choices":["x"],"answer":0}"#, "1 choices"),
            (r#"{"question":"Q","choices":["x"," "],"answer":0}"#, "choice 2 is empty"),
            (r#"{"question":"Q","choices":["x","y"],"answer":2}"#, "none of the choices"),
            (r#"{"question":"Q","choices":["x","y"],"answer":"C"}"#, "none of the choices"),
            (r#"{"question":"Q","choices":["x","y"],"answer":-1}"#, "none of the choices"),
        ] {
            let error = question(row).unwrap_err();
            assert!(error.contains(what), "{row}: {error}");
        }
    }

    #[test]
    fn an_answer_costs_what_its_tokens_cost_one_by_one() {
        let registry = Registry::open().unwrap();
        let mut model = Answers::open("talk-nano", &VoiceConfig::default(), &registry).unwrap();
        let prompt = "The kitchen light is";
        let mut found = Vec::new();
        for choice in ["on and the window is open", "off", "off today"] {
            found.push(cost(model.session(), prompt, choice).unwrap());
            let llm = model.llm().clone();
            let tokenizer = llm.tokenizer().unwrap();
            let before = tokenizer.encode_text(prompt);
            let whole = tokenizer.encode_text(&format!("{prompt} {choice}"));
            let shared = before.iter().zip(&whole).take_while(|(a, b)| a == b).count();
            let mut session = Session::new(llm.clone(), &nearfield_llm::SessionOptions::default()).unwrap();
            session.append(&whole[..shared]).unwrap();
            let mut wanted = 0.0;
            for token in &whole[shared..] {
                wanted += nll(session.logits(), token.0 as usize);
                session.step(*token).unwrap();
            }
            assert!((found[found.len() - 1] - wanted).abs() < 0.02 * wanted, "{choice}: {found:?} {wanted}");
        }
        // What stands in the session does not matter.
        assert!(
            (cost(model.session(), prompt, "on and the window is open").unwrap() - found[0]).abs() < 0.02 * found[0]
        );
    }
}

//! `nearfield eval rouge`: how much summaries have in common with those of people (Lin, 2004): ROUGE-1 and ROUGE-2 (words and pairs of
//! words) and ROUGE-L (the longest common subsequence). Figures are the mean F1 of all rows. For English text they are those of the
//! `rouge-score` package without stemming; letters of other scripts, which that package drops, belong to words here.

use std::collections::HashMap;
use std::io::Write;

use anyhow::{Context, bail};
use nearfield_stages::flow::StopSignal;
use serde::Deserialize;
use serde_json::json;

use super::answers::Answers;
use super::json_lines::rows;
use crate::cli::RougeArgs;
use crate::config::{Config, VoiceConfig};
use crate::hub::registry::Registry;
use crate::output::progress::Progress;
use crate::signals;

/// Words of a text that are compared; a longer one is a wrong file.
const MOST_WORDS: usize = 20_000;

/// A row of the file.
#[derive(Debug, Deserialize)]
struct Row {
    /// What the model is to summarize.
    #[serde(alias = "text", alias = "article", alias = "dialogue")]
    document: Option<String>,
    /// A summary that is there already.
    #[serde(alias = "prediction", alias = "candidate")]
    summary: Option<String>,
    /// What it is compared with; of several the most similar counts.
    #[serde(alias = "references", alias = "highlights", alias = "target")]
    reference: OneOrMore,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// Precision, recall and F1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Rouge {
    pub precision: f64,
    pub recall: f64,
    pub f1: f64,
}

impl Rouge {
    fn of(common: usize, found: usize, wanted: usize) -> Rouge {
        let share = |n: usize| if n == 0 { 0.0 } else { common as f64 / n as f64 };
        let (precision, recall) = (share(found), share(wanted));
        let f1 = if common == 0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) };
        Rouge { precision, recall, f1 }
    }
}

/// The words of a text in lower case; all but letters and digits is left out.
pub(super) fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// ROUGE-N: the runs of `n` words that two texts have in common.
pub(super) fn rouge_n(n: usize, found: &[String], wanted: &[String]) -> Rouge {
    let mut left: HashMap<&[String], usize> = HashMap::new();
    wanted.windows(n).for_each(|run| *left.entry(run).or_default() += 1);
    let mut common = 0;
    for run in found.windows(n) {
        if let Some(count) = left.get_mut(run).filter(|count| **count > 0) {
            *count -= 1;
            common += 1;
        }
    }
    let runs = |words: &[String]| (words.len() + 1).saturating_sub(n);
    Rouge::of(common, runs(found), runs(wanted))
}

/// ROUGE-L: the longest common subsequence of words.
pub(super) fn rouge_l(found: &[String], wanted: &[String]) -> Rouge {
    let mut lengths = vec![0usize; wanted.len() + 1];
    for word in found {
        let mut diagonal = 0;
        for (at, other) in wanted.iter().enumerate() {
            let above = lengths[at + 1];
            lengths[at + 1] = if word == other { diagonal + 1 } else { above.max(lengths[at]) };
            diagonal = above;
        }
    }
    Rouge::of(lengths[wanted.len()], found.len(), wanted.len())
}

/// ROUGE-1, ROUGE-2 and ROUGE-L of a summary.
fn all(summary: &str, references: &[String]) -> anyhow::Result<[Rouge; 3]> {
    let found = words(summary);
    let mut best = [Rouge::default(); 3];
    for reference in references {
        let wanted = words(reference);
        if found.len().max(wanted.len()) > MOST_WORDS {
            bail!("a text has {} words; at most {MOST_WORDS} are compared", found.len().max(wanted.len()));
        }
        let scores = [rouge_n(1, &found, &wanted), rouge_n(2, &found, &wanted), rouge_l(&found, &wanted)];
        for (best, score) in best.iter_mut().zip(scores) {
            if score.f1 > best.f1 {
                *best = score;
            }
        }
    }
    Ok(best)
}

/// Scores the summaries of a file, or those that a model writes.
///
/// # Errors
/// The file or the model can't be read, a row has nothing to score, or the user stops it before the first row.
pub(super) fn run(
    args: &RougeArgs,
    registry: &Registry,
    quiet: bool,
    stop: &StopSignal,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let rows: Vec<Row> = rows(&args.file, args.limit)?;
    let config = VoiceConfig::load(args.config.config.as_deref(), &args.config.set)?;
    let mut model = args.model.as_deref().map(|name| Answers::open(name, &config, registry)).transpose()?;
    let mut sums = [Rouge::default(); 3];
    let mut progress = Progress::new("scored", "summaries", 0, rows.len() as u64, quiet);
    let mut done = 0;
    for (index, row) in rows.iter().enumerate() {
        if signals::is_stopped(stop) {
            break;
        }
        let line = || format!("{}, line {}", args.file.display(), index + 1);
        let summary = match (&mut model, &row.document, &row.summary) {
            (Some(model), Some(document), _) => {
                let question = format!("{}\n\n{}", args.ask, document.trim());
                model.answer("", &question, args.max_tokens as usize, stop).with_context(line)?
            }
            (None, _, Some(summary)) => summary.clone(),
            (Some(_), None, _) => bail!("{}: there is no `document` for --model to summarize", line()),
            (None, _, None) => bail!("{}: there is no `summary`; name a model that writes one with --model", line()),
        };
        let references = match &row.reference {
            OneOrMore::One(reference) => std::slice::from_ref(reference),
            OneOrMore::More(references) => references,
        };
        let scores = all(&summary, references).with_context(line)?;
        if args.json {
            let [one, two, l] = scores.map(|score| score.f1);
            writeln!(
                out,
                "{}",
                json!({"row": index + 1, "summary": summary, "rouge1": one, "rouge2": two, "rougeL": l})
            )?;
        }
        for (sum, score) in sums.iter_mut().zip(scores) {
            sum.precision += score.precision;
            sum.recall += score.recall;
            sum.f1 += score.f1;
        }
        done += 1;
        progress.show(done, "");
    }
    progress.end();
    if done == 0 {
        bail!("stopped before the first summary was scored");
    }
    let mean = |sum: f64| sum / done as f64;
    let partial = done < rows.len() as u64;
    if args.json {
        let [one, two, l] =
            sums.map(|sum| json!({"precision": mean(sum.precision), "recall": mean(sum.recall), "f1": mean(sum.f1)}));
        let line = json!({
            "eval": "rouge", "file": args.file, "model": args.model, "rows": done, "rouge1": one, "rouge2": two, "rougeL": l,
            "partial": partial,
        });
        writeln!(out, "{line}")?;
    } else {
        if partial {
            writeln!(out, "stopped: these are the figures of the first {done} rows")?;
        }
        for (name, sum) in ["ROUGE-1", "ROUGE-2", "ROUGE-L"].iter().zip(sums) {
            let [precision, recall, f1] = [sum.precision, sum.recall, sum.f1].map(|sum| 100.0 * mean(sum));
            writeln!(out, "{name}  F1 {f1:5.2}  precision {precision:5.2}  recall {recall:5.2}  ({done} summaries)")?;
        }
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of the `rouge-score` package, version 0.1.2, without stemming.
    #[test]
    fn figures_are_those_of_the_usual_package() {
        let cases: &[(&str, &str, [f64; 3])] = include!("rouge_golden.in");
        for (found, wanted, golden) in cases {
            let scores = all(found, &[(*wanted).to_owned()]).unwrap();
            for (score, golden) in scores.iter().zip(golden) {
                assert!((score.f1 - golden).abs() < 1e-9, "{found:?} {wanted:?}: {score:?} {golden}");
            }
        }
    }

    #[test]
    fn of_several_references_the_most_similar_counts() {
        let references = ["nothing alike".to_owned(), "the cat sat".to_owned()];
        assert_eq!(all("The cat sat!", &references).unwrap()[0].f1, 1.0);
        assert_eq!(all("", &references).unwrap()[2], Rouge::default());
    }

    #[test]
    fn words_of_other_scripts_are_words() {
        assert_eq!(words("Grüße, Łódź—日本"), ["grüße", "łódź", "日本"]);
    }
}

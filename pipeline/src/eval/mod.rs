//! The bundled models' figures on what was held out from their training, computed on the path that ships: our engine for
//! `talk-nano`, ONNX Runtime for `see-nano`, whisper.cpp for `hear-nano`. The held-out files are committed beside the recipes that wrote them. Then
//! what the three cost together. Left out: models that were pulled. Beside them: the assistant on homes, and the detector of
//! anomalies on a public benchmark; and how far a language model is from another, such as a quantized one from its original
//! (`fidelity`).

mod anomalies;
mod answers;
mod assist;
mod choice;
pub(crate) mod chunks;
mod fidelity;
mod hear;
mod json_lines;
pub mod judge;
mod noise;
mod recall;
mod rouge;
mod see;
mod suite;
pub(crate) mod table;
mod talk;
mod together;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use nearfield_stages::flow::StopSignal;
use nearfield_stages::flow::fault::Fault;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cli::{EvalArgs, EvalWhat, HeldOutArgs};
use crate::hub::registry::Registry;
use crate::signals;

/// The sentences of a folder in the `assist` format, each with its home and its time.
pub(crate) fn home_questions(
    folder: &Path,
) -> anyhow::Result<Vec<(nearfield_home::inventory::Inventory, String, jiff::Zoned)>> {
    let mut all = Vec::new();
    for file in assist::dataset::read(&[folder.to_owned()])? {
        for test in &file.tests {
            for sentence in &test.sentences {
                all.push((file.set_up(test)?, sentence.clone(), test.now()?));
            }
        }
    }
    Ok(all)
}

/// The longest held-out file, and the longest line in it, that is read.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// Of each set, so many failures are shown.
const WORST: usize = 10;

/// What one set came to.
#[derive(Debug, Default)]
struct Score {
    /// The model.
    model: &'static str,
    /// The name of the set.
    set: String,
    /// What a right row is.
    measure: &'static str,
    /// Rows that were right, and all of them.
    right: usize,
    rows: usize,
    /// Further figures of the whole set, in order.
    figures: Vec<(&'static str, Value)>,
    /// The same by kind, the weakest first: (kind, right, rows).
    kinds: Vec<(String, usize, usize)>,
    /// The worst failures, worst first.
    worst: Vec<Value>,
    /// What was left out, and why.
    left_out: Vec<String>,
}

impl Score {
    fn json(&self) -> Value {
        let kinds: Vec<Value> =
            self.kinds.iter().map(|(kind, right, rows)| json!({"kind": kind, "right": right, "rows": rows})).collect();
        let mut line = json!({
            "eval": self.model, "set": self.set, "measure": self.measure, "right": self.right, "rows": self.rows,
            "percent": percent(self.right, self.rows),
        });
        for (name, value) in &self.figures {
            line[*name] = value.clone();
        }
        line["kinds"] = json!(kinds);
        line["worst"] = json!(self.worst);
        line["left_out"] = json!(self.left_out);
        line
    }

    fn print(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let (right, rows) = (self.right, self.rows);
        writeln!(
            out,
            "{} / {}: {} {right} of {rows} = {:.1} %",
            self.model,
            self.set,
            self.measure,
            percent(right, rows)
        )?;
        for (name, value) in &self.figures {
            writeln!(out, "  {}: {value}", name.replace('_', " "))?;
        }
        for (kind, right, rows) in &self.kinds {
            writeln!(out, "  {:5.1} %  {right:3} of {rows:3}  {kind}", percent(*right, *rows))?;
        }
        for what in &self.left_out {
            writeln!(out, "  left out: {what}")?;
        }
        if !self.worst.is_empty() {
            writeln!(out, "  the worst:")?;
        }
        for worst in &self.worst {
            writeln!(out, "    {worst}")?;
        }
        Ok(())
    }
}

/// 0 to 100, one decimal; 0 of nothing.
fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { (1000.0 * part as f64 / whole as f64).round() / 10.0 }
}

/// Counts right rows by kind, in order of appearance; the weakest kind first at the end.
#[derive(Debug, Default)]
struct Tally(Vec<(String, usize, usize)>);

impl Tally {
    fn count(&mut self, kind: &str, right: bool) {
        let at = self.0.iter().position(|(k, ..)| k == kind).unwrap_or_else(|| {
            self.0.push((kind.to_owned(), 0, 0));
            self.0.len() - 1
        });
        self.0[at].1 += usize::from(right);
        self.0[at].2 += 1;
    }

    fn right(&self) -> usize {
        self.0.iter().map(|(_, right, _)| right).sum()
    }

    fn rows(&self) -> usize {
        self.0.iter().map(|(.., rows)| rows).sum()
    }

    fn weakest_first(mut self) -> Vec<(String, usize, usize)> {
        self.0.sort_by_key(|(_, right, rows)| 1000 * right / rows.max(&1));
        self.0
    }
}

/// What the sets share: where their files lie, who may stop them, and the bar that shows how far they are.
struct Run<'a> {
    data: PathBuf,
    limit: usize,
    stop: &'a StopSignal,
    bar: ProgressBar,
}

impl Run<'_> {
    /// The rows of a held-out file: one JSON object a line, the first `limit` of them.
    fn rows<T: DeserializeOwned>(&self, file: &str) -> anyhow::Result<Vec<T>> {
        let path = self.data.join(file);
        let open = nearfield_base::files::open(&path).with_context(|| {
            format!(
                "the held-out file {} can't be read: name the folder models/recipes of a clone of Nearfield with --data",
                path.display()
            )
        })?;
        let mut rows = Vec::new();
        for (i, line) in BufReader::new(open.take(MAX_FILE_BYTES)).lines().enumerate() {
            let line = line.with_context(|| path.display().to_string())?;
            let row = nearfield_base::json::from_slice(line.as_bytes());
            rows.push(row.with_context(|| format!("{}, line {}", path.display(), i + 1))?);
        }
        ensure!(!rows.is_empty(), "the held-out file {} is empty", path.display());
        Ok(rows)
    }

    fn begin(&self, what: &'static str, rows: usize) {
        self.bar.set_message(what);
        self.bar.set_length(rows as u64);
        self.bar.set_position(0);
    }

    /// One row is done.
    fn row_done(&self) -> anyhow::Result<()> {
        self.bar.inc(1);
        if signals::is_stopped(self.stop) {
            bail!("stopped");
        }
        Ok(())
    }
}

/// The folder with the recipes: what was named, else the one of the clone that the assets lie in.
fn data_folder(args: &HeldOutArgs, registry: &Registry) -> anyhow::Result<PathBuf> {
    if let Some(named) = &args.data {
        ensure!(
            named.is_dir(),
            "the folder {} (--data) is not there: it must be models/recipes of a clone",
            named.display()
        );
        return Ok(named.clone());
    }
    let beside = registry.places().assets.as_deref().and_then(Path::parent).map(|clone| clone.join("models/recipes"));
    match beside {
        Some(folder) if folder.is_dir() => Ok(folder),
        _ => bail!(
            "the held-out files are not here: name the folder models/recipes of a clone of Nearfield with --data DIR"
        ),
    }
}

/// Computes and prints the figures.
///
/// # Errors
/// If a held-out file or a bundled model is missing or broken, or the user stops it.
pub fn run(args: &EvalArgs, quiet: bool, stop: &StopSignal, out: &mut dyn Write) -> anyhow::Result<()> {
    Fault::of("eval").step()?;
    let registry = Registry::open()?;
    match &args.what {
        EvalWhat::Perplexity(args) => fidelity::perplexity(args, &registry, quiet, stop, out),
        EvalWhat::Kld(args) => fidelity::kld(args, &registry, quiet, stop, out),
        EvalWhat::Suite(args) => suite::run(args, &registry, quiet, stop, out),
        EvalWhat::Choice(args) => choice::run(args, &registry, quiet, stop, out),
        EvalWhat::Recall(args) => recall::run(args, &registry, quiet, stop, out),
        EvalWhat::Rouge(args) => rouge::run(args, &registry, quiet, stop, out),
        EvalWhat::Anomalies(args) => anomalies::run(args, stop, out),
        EvalWhat::Assist(args) => no_output(args).and_then(|()| assist::run(args, &registry, stop, out)),
        EvalWhat::Home(args) => no_output(args).and_then(|()| assist::run_own(args, &registry, stop, out)),
        EvalWhat::Bundled(args) => no_output(args).and_then(|()| bundled(args, &registry, quiet, stop, out)),
    }
}

fn no_output(args: &HeldOutArgs) -> anyhow::Result<()> {
    ensure!(args.output.is_none(), "--output is of `eval anomalies`");
    Ok(())
}

/// The figures of the bundled models.
fn bundled(
    args: &HeldOutArgs,
    registry: &Registry,
    quiet: bool,
    stop: &StopSignal,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    ensure!(args.part.is_none(), "--part is of `eval home`");
    ensure!(args.folders.is_empty(), "`eval bundled` takes no folders; name the held-out files' folder with --data");
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::no_length().with_style(style) };
    let run =
        Run { data: data_folder(args, registry)?, limit: args.limit.map_or(usize::MAX, |n| n as usize), stop, bar };
    let begun = Instant::now();
    together::measure_all(&run, registry, args.json, out)?; // first, while nothing else is in memory
    let mut show = |score: Score| -> anyhow::Result<()> {
        if args.json {
            writeln!(out, "{}", score.json())?
        } else {
            score.print(out)?
        }
        Ok(out.flush()?)
    };
    talk::score(&run, registry, &mut show)?;
    see::score(&run, registry, &mut show)?;
    hear::score(&run, registry, &mut show)?;
    run.bar.finish_and_clear();
    let seconds = begun.elapsed().as_secs();
    match args.json {
        true => {
            writeln!(out, "{}", json!({"eval": "bundled", "seconds": seconds, "level": nearfield_llm::simd_level()}))?
        }
        false => writeln!(out, "{} on {}", lasted(begun.elapsed()), nearfield_llm::simd_level())?,
    }
    Ok(())
}

fn lasted(time: Duration) -> String {
    format!("{} min {:02} s", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weakest_kind_comes_first() {
        let mut tally = Tally::default();
        for (kind, right) in [("a", true), ("b", false), ("a", false), ("b", false), ("c", true)] {
            tally.count(kind, right);
        }
        assert_eq!((tally.right(), tally.rows()), (2, 5));
        let order: Vec<String> = tally.weakest_first().into_iter().map(|(kind, ..)| kind).collect();
        assert_eq!(order, ["b", "a", "c"]);
    }
}

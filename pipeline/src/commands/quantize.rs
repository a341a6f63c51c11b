//! `nearfield models quantize`: what the arguments mean, progress on stderr, and what was written on stdout. The work itself is the crate
//! `nearfield-quantize`.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};
use nearfield_gguf::Gguf;
use nearfield_quantize::{Choice, ImportanceMatrix, Job, Method, RECIPES, Recipe, TensorFormat, choose, formats};
use serde_json::json;

use super::gptq;
use crate::cli::{MethodArg, QuantizeArgs, Usage};
use crate::hub::registry::Registry;
use crate::output::terminal::one_line;

/// Between two lines of progress where stderr is no terminal.
const PROGRESS_LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Writes a model in other formats, or says what it would write. `stop` is called many times a second and says whether to give up.
///
/// # Errors
/// The arguments contradict each other, a file cannot be read or written, or the source is damaged. There is then no new file.
pub fn run(
    args: &QuantizeArgs,
    registry: &Registry,
    quiet: bool,
    stop: &dyn Fn() -> bool,
    out: &mut dyn Write,
) -> Result<()> {
    let start = Instant::now();
    let method = check(args)?;
    let source = Gguf::open(&args.source)?;
    let importance = args.imatrix.as_deref().map(ImportanceMatrix::open).transpose()?;
    let importance = importance.as_ref().zip(args.imatrix.as_deref());
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = args.threads.map_or(cores, usize::from);
    let go_on = || if stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let choice = match recipe(args)? {
        Some(recipe) => {
            let formats = formats(&source, recipe, importance.is_some())?;
            Choice { formats, file_type: recipe.file_type, file_bytes: 0 }
        }
        None => {
            let mut progress = Progress::new("trying formats", quiet);
            let budget = args.budget.context("--type auto needs --budget")?;
            let choice = choose(&source, budget, importance, threads, &mut |tensor, of| {
                progress.show(tensor as u64, of as u64, "");
                go_on()
            })?;
            progress.end();
            choice
        }
    };
    let formats = &choice.formats;
    warn(&source, formats, quiet);
    let job = Job { source: &source, formats, file_type: choice.file_type, importance, method, threads };
    let bytes = job.layout()?.file_bytes();
    if args.dry_run {
        return print_plan(formats, bytes, args.json, out);
    }
    let kept = match args.method {
        Some(MethodArg::Gptq) => Some(gptq::round(args, &job, registry, quiet, stop)?),
        _ => None,
    };
    let mut progress = Progress::new("quantizing", quiet);
    job.write_with(&args.to, kept.as_ref(), &mut |at| {
        progress.show(at.done, at.of, at.tensor);
        go_on()
    })?;
    progress.end();
    if let Some(kept) = kept {
        kept.remove();
    }
    let seconds = start.elapsed().as_secs_f64();
    let (before, weights) = (source.file_bytes(), weights(formats));
    let bits = 8.0 * bytes as f64 / weights as f64;
    if args.json {
        let line = json!({
            "file": args.to, "bytes": bytes, "source_bytes": before, "bits_per_weight": bits, "seconds": seconds, "formats": counted(formats),
        });
        return Ok(writeln!(out, "{line}")?);
    }
    let (to, before, after) = (args.to.display(), DecimalBytes(before), DecimalBytes(bytes));
    Ok(writeln!(out, "{to}: {after} ({before} before), {bits:.2} bits a weight, in {seconds:.1} s")?)
}

/// What contradicts itself is said before anything is read.
fn check(args: &QuantizeArgs) -> Result<Method> {
    let auto = args.kind.eq_ignore_ascii_case("auto");
    let usage = |what: &str| Err(Usage(what.to_owned()).into());
    match (auto, args.budget, args.method) {
        (true, None, _) => return usage("--type auto: say how large the file may be, such as --budget 300MB"),
        (false, Some(_), _) => return usage("--budget: only --type auto chooses by size"),
        (_, _, Some(MethodArg::Imatrix)) if args.imatrix.is_none() => {
            return usage("--method imatrix: name the importance matrix, --imatrix FILE");
        }
        (_, _, Some(MethodArg::Rtn)) if args.imatrix.is_some() => {
            return usage("--method rtn: uses no importance matrix, leave out --imatrix");
        }
        (_, _, Some(MethodArg::Gptq)) if args.calibrate.is_none() => {
            return usage(
                "--method gptq: name a text that the model reads, such as --calibrate text.txt or --calibrate home",
            );
        }
        (_, _, method) if args.calibrate.is_some() && method != Some(MethodArg::Gptq) => {
            return usage(
                "--calibrate: only --method gptq reads a text; for the other methods `nearfield models imatrix` makes an --imatrix of it",
            );
        }
        (true, _, Some(MethodArg::Gptq)) if args.imatrix.is_none() => {
            return usage(
                "--type auto --method gptq: formats are chosen by an importance matrix; make one with `nearfield models imatrix` and name \
                 it with --imatrix",
            );
        }
        _ => {}
    }
    let same = |a: &Path, b: &Path| a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b));
    if same(&args.source, &args.to) {
        return usage(&format!("{} is the source: write to another file", args.to.display()));
    }
    if args.to.is_file() && !args.overwrite && !args.dry_run {
        bail!("{} exists: write to another file, or replace it with --overwrite", args.to.display());
    }
    let is_fine = matches!(args.method, Some(MethodArg::Fine | MethodArg::Gptq));
    Ok(if is_fine { Method::Fine } else { Method::Plain })
}

/// `None` for `auto`.
fn recipe(args: &QuantizeArgs) -> Result<Option<Recipe>> {
    if args.kind.eq_ignore_ascii_case("auto") {
        return Ok(None);
    }
    if let Some(recipe) = Recipe::named(&args.kind) {
        return Ok(Some(recipe));
    }
    let types: Vec<&str> = RECIPES.iter().map(|recipe| recipe.name).collect();
    let what =
        format!("--type {}: there is no such type; write auto, or one of {}", one_line(&args.kind), types.join(", "));
    Err(Usage(what).into())
}

/// What costs quality is said on stderr.
fn warn(source: &Gguf, formats: &[TensorFormat], quiet: bool) {
    let mut lines = Vec::new();
    let floats = ["F32", "F16", "BF16"];
    let again: Vec<&TensorFormat> =
        formats.iter().filter(|tensor| tensor.from != tensor.to && !floats.contains(&tensor.from.name)).collect();
    if let Some(first) = again.first() {
        lines.push(format!(
            "warning: {} is quantized already ({} of {} tensors, such as {} in {}): they are dequantized first, and what was lost stays \
             lost",
            source.path().display(),
            again.len(),
            formats.len(),
            first.name,
            first.from.name,
        ));
    }
    let fallen: Vec<&TensorFormat> = formats.iter().filter(|tensor| tensor.fallback).collect();
    if let Some(first) = fallen.first() {
        lines.push(format!(
            "warning: the rows of {} tensors fit no blocks of 256 weights; they get formats with blocks of 32, which are larger: {} has \
             {} columns and becomes {}",
            fallen.len(),
            first.name,
            first.dims[0],
            first.to.name,
        ));
    }
    if !quiet {
        // Nobody reads it: no reason to stop.
        lines.iter().for_each(|line| drop(writeln!(io::stderr(), "{}", one_line(line))));
    }
}

fn weights(formats: &[TensorFormat]) -> u64 {
    formats.iter().map(|tensor| tensor.dims.iter().product::<usize>() as u64).sum()
}

/// Tensors of each format.
fn counted(formats: &[TensorFormat]) -> BTreeMap<&'static str, usize> {
    let mut counted = BTreeMap::new();
    formats.iter().for_each(|tensor| *counted.entry(tensor.to.name).or_insert(0) += 1);
    counted
}

fn print_plan(formats: &[TensorFormat], bytes: u64, as_json: bool, out: &mut dyn Write) -> Result<()> {
    if as_json {
        let tensors: Vec<_> = formats
            .iter()
            .map(|tensor| json!({ "name": tensor.name, "shape": tensor.dims, "from": tensor.from.name, "to": tensor.to.name }))
            .collect();
        return Ok(writeln!(out, "{}", json!({ "bytes": bytes, "tensors": tensors }))?);
    }
    for tensor in formats {
        let shape: Vec<String> = tensor.dims.iter().map(usize::to_string).collect();
        let (name, shape) = (one_line(&tensor.name), shape.join(" x "));
        writeln!(out, "{name:<40} {shape:>16}  {:>5} -> {}", tensor.from.name, tensor.to.name)?;
    }
    let bits = 8.0 * bytes as f64 / weights(formats) as f64;
    Ok(writeln!(out, "would write {}, {bits:.2} bits a weight", DecimalBytes(bytes))?)
}

/// Progress on stderr: a bar on a terminal, else a line every few seconds, or nothing with `--quiet`.
struct Progress {
    what: &'static str,
    bar: Option<ProgressBar>,
    quiet: bool,
    start: Instant,
    last_line: Instant,
}

impl Progress {
    fn new(what: &'static str, quiet: bool) -> Self {
        let bar = (!quiet && io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("{prefix} [{bar:30}] {percent}% {eta} left {msg}");
            let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.with_prefix(what)
        });
        Self { what, bar, quiet, start: Instant::now(), last_line: Instant::now() }
    }

    fn show(&mut self, done: u64, of: u64, tensor: &str) {
        if let Some(bar) = &self.bar {
            bar.set_length(of);
            bar.set_position(done);
            bar.set_message(one_line(tensor).into_owned());
        } else if !self.quiet && self.last_line.elapsed() >= PROGRESS_LINE_INTERVAL && done > 0 {
            self.last_line = Instant::now();
            let part = done as f64 / of as f64;
            let left = self.start.elapsed().as_secs_f64() * (1.0 - part) / part;
            // Nobody reads it: no reason to stop.
            drop(writeln!(io::stderr(), "{}: {:.0} %, {left:.0} s left {}", self.what, 100.0 * part, one_line(tensor)));
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

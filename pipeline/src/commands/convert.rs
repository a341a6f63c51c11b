//! `nearfield models convert`: a model's folder becomes a GGUF file.

use std::io::Write;
use std::ops::ControlFlow::{Break, Continue};
use std::time::Instant;

use anyhow::Context;
use nearfield_convert::{ConvertOptions, Float, convert};
use nearfield_stages::flow::StopSignal;
use serde_json::json;

use crate::cli::{self, ConvertArgs, FloatArg, Usage};
use crate::files::Files;
use crate::output::progress::Progress;
use crate::signals;

/// Files of a folder that are looked at.
const MOST_FILES: usize = 10_000;

/// Converts a folder.
///
/// # Errors
/// The folder is missing or none that is converted, something in it is broken, the file is there already or can't be written, or the user stops it.
pub(super) fn run(args: &ConvertArgs, quiet: bool, stop: &StopSignal, out: &mut dyn Write) -> anyhow::Result<()> {
    let (source, to) = (&args.source, &args.to);
    if !source.join("config.json").is_file() {
        let what =
            format!("{}: convert takes a model's folder, with config.json and *.safetensors in it", source.display());
        return Err(Usage(what).into());
    }
    let mut files = Files::new();
    for folder in std::iter::once(source).chain(&args.lora) {
        let list = std::fs::read_dir(folder).with_context(|| format!("{} can't be read", folder.display()))?;
        list.flatten().take(MOST_FILES).for_each(|entry| files.reads("the model's file", &entry.path()));
    }
    files.creates("--to", to, cli::existing(args.overwrite));
    files.check()?;
    let float = match args.float {
        FloatArg::Auto => None,
        FloatArg::F32 => Some(Float::F32),
        FloatArg::F16 => Some(Float::F16),
        FloatArg::Bf16 => Some(Float::Bf16),
    };
    let options = ConvertOptions { float, loras: args.lora.clone(), name: args.name.clone() };
    let begun = Instant::now();
    let mut progress: Option<Progress> = None;
    let made = convert(source, to, &options, &mut |done, of| {
        let millions = |n: u64| n.div_ceil(1_000_000);
        let progress =
            progress.get_or_insert_with(|| Progress::new("written", "million weights", 0, millions(of), quiet));
        progress.show(millions(done), "");
        if signals::is_stopped(stop) { Break(()) } else { Continue(()) }
    });
    if let Some(progress) = progress {
        progress.end();
    }
    let made = made?;
    for note in &made.notes {
        tracing::warn!("{note}");
    }
    let seconds = begun.elapsed().as_secs_f64();
    if args.json {
        let line = json!({
            "converted": source, "to": to, "architecture": made.architecture, "tensors": made.tensors, "weights": made.weights,
            "bytes": made.file_bytes, "type": format!("{:?}", made.float).to_lowercase(), "notes": made.notes, "seconds": seconds,
        });
        writeln!(out, "{line}")?;
    } else {
        writeln!(
            out,
            "{}: {}, {} tensors, {:.1} MB ({:?}), in {seconds:.1} s",
            to.display(),
            made.architecture,
            made.tensors,
            made.file_bytes as f64 / 1e6,
            made.float
        )?;
    }
    Ok(())
}

//! `nearfield report`: reads what is wanted, runs the flow, and puts reports where they belong.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::tz::TimeZone;
use nearfield_models::flow::Flow;
use nearfield_models::telemetry::window::Length;
use nearfield_stages::messages::Report;
use nearfield_stages::report::read_text::TextSource;
use nearfield_stages::turn::Turn;
use nearfield_stages::voice::capture::StopSignal;

use crate::cli::{ReportArgs, Usage};
use crate::registry::Registry;
use crate::report::config::ReportConfig;
use crate::report::pages::{self, Page};
use crate::report::plot;
use crate::report::{self, Heard, ReadingsFrom};
use crate::turn_report::TraceWriter;

/// A file that gets every report.
enum Output {
    Markdown(BufWriter<File>, PathBuf),
    Lines(BufWriter<File>, PathBuf),
    Page(Page, PathBuf),
}

impl Output {
    fn open(path: &Path) -> anyhow::Result<Output> {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
        let create = || -> anyhow::Result<BufWriter<File>> {
            let file = File::create(path).with_context(|| format!("the output {} can't be written", path.display()))?;
            Ok(BufWriter::new(file))
        };
        Ok(match extension.as_str() {
            "md" => Output::Markdown(create()?, path.to_owned()),
            "jsonl" => Output::Lines(create()?, path.to_owned()),
            "html" => Output::Page(Page::default(), path.to_owned()),
            _ => {
                let text = format!("--output {}: name a file that ends in .md, .html or .jsonl", path.display());
                return Err(Usage(text).into());
            }
        })
    }

    fn add(&mut self, report: &Report, zone: &TimeZone) -> anyhow::Result<()> {
        let (path, written) = match self {
            Output::Markdown(file, path) => {
                let text = pages::markdown(report, zone);
                (path, writeln!(file, "{text}").and_then(|()| file.flush()))
            }
            Output::Lines(file, path) => {
                let line = pages::json(report, zone);
                (path, writeln!(file, "{line}").and_then(|()| file.flush()))
            }
            Output::Page(page, path) => {
                page.add(report, zone)?;
                let written = replace(path, page.html().as_bytes());
                (path, written)
            }
        };
        written.with_context(|| format!("the output {} can't be written", path.display()))
    }
}

/// Writes a file whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let is_special = std::fs::metadata(path).is_ok_and(|m| !m.is_file());
    if is_special {
        return std::fs::write(path, bytes);
    }
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.persist(path)?;
    Ok(())
}

/// What a plot file is to be.
fn is_png(path: &Path) -> anyhow::Result<bool> {
    match path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase().as_str() {
        "svg" => Ok(false),
        "png" => Ok(true),
        _ => Err(Usage(format!("--plot {}: name a file that ends in .svg or .png", path.display())).into()),
    }
}

fn readings_from(args: &ReportArgs) -> anyhow::Result<ReadingsFrom> {
    let input = match args.input.as_deref() {
        Some(input) => input,
        None if std::io::stdin().is_terminal() => {
            let text = "there is nothing to report on: name a file or a broker with --input, as in \
                        `nearfield report --input readings.csv`, or pipe readings into it; \
                        with `--input -` they can be typed, up to Ctrl-D";
            return Err(Usage(text.to_owned()).into());
        }
        None => "-",
    };
    Ok(match input {
        "-" if args.follow => {
            return Err(Usage("--follow needs a file: standard input is followed to its end anyway".to_owned()).into());
        }
        "-" => ReadingsFrom::Text(TextSource::Stdin),
        url if url.starts_with("mqtt://") || url.starts_with("mqtts://") => {
            ReadingsFrom::Mqtt(url.parse().map_err(Usage)?)
        }
        path if path.contains("://") => {
            return Err(
                Usage(format!("--input {path}: name a file, `-`, or a broker as in mqtt://host/topic/#")).into()
            );
        }
        path if args.follow => ReadingsFrom::Text(TextSource::Follow(path.into())),
        path => ReadingsFrom::Text(TextSource::File(path.into())),
    })
}

/// Runs the command.
///
/// # Errors
/// Whatever is missing or broken, with its name and the way out.
pub fn run(args: &ReportArgs, stop: &StopSignal, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut sets = args.config.set.clone();
    if let Some(window) = &args.window {
        window.parse::<Length>().map_err(|e| Usage(format!("--window: {e}")))?;
        sets.push(format!("window.length={window:?}"));
    }
    let config = ReportConfig::load(args.config.config.as_deref(), &sets)?;
    let from = readings_from(args)?;
    let input = match &from {
        ReadingsFrom::Text(TextSource::File(path) | TextSource::Follow(path)) => Some(path.clone()),
        _ => None,
    };
    let plot_is_png = args.plot.as_deref().map(is_png).transpose()?;
    if let ReadingsFrom::Text(TextSource::File(path) | TextSource::Follow(path)) = &from {
        std::fs::metadata(path).with_context(|| format!("the input {} can't be read", path.display()))?;
    }
    let mut output = args.output.as_deref().map(Output::open).transpose()?;
    let mut trace = match &args.trace {
        Some(path) => {
            let file = File::create(path).with_context(|| format!("the trace {} can't be written", path.display()))?;
            Some(TraceWriter::begin(BufWriter::new(file))?)
        }
        None => None,
    };
    let registry = Registry::open()?;
    let llm = report::load_llm(&config, &registry)?;
    let zone = config.zone().map_err(anyhow::Error::msg)?;
    // Sentences are shown as they become certain, unless they only go into a file.
    let shows = !args.json && output.is_none();
    let mut speaking: Option<Turn> = None;
    let mut reports = 0u64;
    let mut hear = |heard: Heard<'_>| -> anyhow::Result<Flow> {
        match heard {
            Heard::Title(title) => {
                if shows {
                    write!(out, "{}", pages::heading(title))?;
                    out.flush()?;
                }
            }
            Heard::Sentence(turn, sentence) => {
                if shows {
                    let space = if speaking.replace(turn) == Some(turn) { " " } else { "" };
                    write!(out, "{space}{}", sentence.text)?;
                    out.flush()?;
                }
            }
            Heard::Done(report, stages) => {
                reports += 1;
                if args.json {
                    writeln!(out, "{}", pages::json(report, &zone))?;
                } else if shows {
                    writeln!(out, "{}", pages::details(report, &zone))?;
                }
                out.flush()?;
                if let Some(output) = &mut output {
                    output.add(report, &zone)?;
                }
                if let (Some(path), Some(is_png)) = (&args.plot, plot_is_png) {
                    let bytes = match is_png {
                        true => plot::png(&report.summary, &zone)?,
                        false => plot::svg(&report.summary, &zone)?.into_bytes(),
                    };
                    replace(path, &bytes).with_context(|| format!("the plot {} can't be written", path.display()))?;
                }
                if let Some(trace) = &mut trace {
                    trace.stages(Turn(reports), stages).context("the trace can't be written")?;
                }
            }
        }
        Ok(Flow::Continue)
    };
    let ran = report::run(&config, &registry, llm, from, stop, &mut hear);
    if let Some(trace) = trace {
        trace.end().context("the trace can't be written")?;
    }
    ran?;
    if reports == 0 && !crate::signals::is_stopped(stop) && !args.follow {
        let is_empty =
            matches!(&input, Some(path) if std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() == 0));
        let name = input.map_or("standard input".to_owned(), |path| path.display().to_string());
        if is_empty {
            anyhow::bail!("{name} is empty: there is no reading in it");
        }
        anyhow::bail!("{name}: there is no reading in it that can be used");
    }
    if let (Some(path), false) = (&args.output, args.json) {
        let windows = if reports == 1 { "window" } else { "windows" };
        writeln!(out, "{reports} {windows} reported in {}", path.display())?;
    }
    Ok(())
}

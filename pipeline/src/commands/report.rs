//! `nearfield report`: reads what is wanted, runs the flow, and puts reports where they belong.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use jiff::tz::TimeZone;
use nearfield_base::persist::{self, Existing, Journal, NewFile};
use nearfield_stages::flow::{Health, StopSignal, Turn};
use nearfield_stages::messages::Report;
use nearfield_stages::report::read_text::TextSource;
use nearfield_telemetry::window::Length;
use std::ops::ControlFlow;

use crate::cli::{self, ReportArgs, ReportCommand, Usage};
use crate::commands::report_ask;
use crate::config::Config;
use crate::config::report::ReportConfig;
use crate::files::Files;
use crate::flows::report::{self, ReportEvent};
use crate::hub::registry::Registry;
use crate::load::report::{ReadingsFrom, load_llm, store_path};
use crate::output::plot;
use crate::output::report_mail;
use crate::output::report_page::Page;
use crate::output::report_pages;
use crate::output::sensor_lines;
use crate::output::turn_report::TraceWriter;

/// The schema of a report as JSON.
const JSON_SCHEMA: &str = include_str!("../../../docs/report.schema.json");
/// The longest page of reports that is read back to be continued.
const MAX_PAGE_BYTES: u64 = 256 << 20;

/// What a file of reports is, by its name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Format {
    Markdown,
    Lines,
    Page,
    Csv,
}

impl Format {
    pub(crate) fn of(path: &Path) -> anyhow::Result<Format> {
        match path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase().as_str() {
            "md" => Ok(Format::Markdown),
            "jsonl" => Ok(Format::Lines),
            "html" => Ok(Format::Page),
            "csv" => Ok(Format::Csv),
            _ => {
                let text = format!("--output {}: name a file that ends in .md, .html, .jsonl or .csv", path.display());
                Err(Usage(text).into())
            }
        }
    }
}

/// A file that gets every report, after those of earlier runs.
pub(crate) struct Output {
    path: PathBuf,
    format: Format,
    content: Content,
    /// The window at whose report an earlier run may have been killed: the report is in the file, but the store does not know.
    perhaps_told: Option<String>,
}

enum Content {
    Journal(Journal),
    Page(Page),
    /// Rows of CSV.
    Rows(String),
}

impl Output {
    /// Opens the file; with `anew` it is begun anew when the first report is complete.
    pub(crate) fn open(path: &Path, format: Format, anew: bool) -> anyhow::Result<Output> {
        let journal = |records| if anew { Journal::begin_anew(path, records) } else { Journal::open(path, records) };
        let content = match format {
            Format::Markdown => journal(report_pages::MARKDOWN_RECORDS).map(Content::Journal),
            Format::Lines => journal(report_pages::JSON_RECORDS).map(Content::Journal),
            Format::Page if anew => Ok(Content::Page(Page::default())),
            Format::Csv if anew => Ok(Content::Rows(sensor_lines::CSV_HEAD.to_owned())),
            Format::Csv => continued_rows(path).map(Content::Rows),
            Format::Page => continued_page(path).map(Content::Page),
        };
        let content = content.with_context(|| cant_be_written("output", path))?;
        if let Content::Journal(journal) = &content
            && journal.removed_bytes() > 0
        {
            tracing::warn!(
                file = %path.display(),
                bytes = journal.removed_bytes(),
                "an earlier run ended within a report: the unfinished text was removed"
            );
        }
        Ok(Output { path: path.to_owned(), format, content, perhaps_told: None })
    }

    /// A store remembers which windows have been reported, but is told so after the file: the last report here may be the
    /// first one to come.
    pub(crate) fn resume(&mut self) -> anyhow::Result<()> {
        self.perhaps_told = match &mut self.content {
            Content::Page(page) => page.newest_window().map(str::to_owned),
            // The rows of a window that comes again are replaced.
            Content::Rows(_) => None,
            Content::Journal(journal) => {
                let last = journal.last_record().with_context(|| cant_be_written("output", &self.path))?;
                last.and_then(|record| match self.format {
                    Format::Lines => report_pages::window_of_json(&record),
                    Format::Markdown | Format::Page | Format::Csv => report_pages::window_of_markdown(&record),
                })
            }
        };
        Ok(())
    }

    pub(crate) fn add(&mut self, report: &Report, zone: &TimeZone) -> anyhow::Result<()> {
        if self.perhaps_told.take().is_some_and(|told| told == report_pages::window_name(report, zone)) {
            tracing::info!(file = %self.path.display(), "the last report of the earlier run is complete and not added again");
            return Ok(());
        }
        let written = match &mut self.content {
            Content::Journal(journal) => {
                let record = match self.format {
                    Format::Lines => format!("{}\n", report_pages::json(report, zone)),
                    Format::Markdown | Format::Page | Format::Csv => report_pages::markdown_record(report, zone),
                };
                journal.append(record.as_bytes()).and_then(|()| journal.sync())
            }
            Content::Page(page) => {
                page.add(report, zone);
                persist::replace(&self.path, page.html().as_bytes())
            }
            Content::Rows(rows) => {
                sensor_lines::add_rows(rows, report, zone);
                persist::replace(&self.path, rows.as_bytes())
            }
        };
        written.with_context(|| cant_be_written("output", &self.path))
    }
}

fn cant_be_written(what: &str, path: &Path) -> String {
    format!("the {what} {} can't be written", path.display())
}

/// What is there to be continued; `None` where there is nothing.
fn existing_text(path: &Path) -> std::io::Result<Option<String>> {
    use std::io::Read;
    NewFile::probe(path, Existing::Replace)?;
    if std::fs::metadata(path).map_or(true, |m| !m.is_file() || m.len() == 0) {
        return Ok(None);
    }
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_PAGE_BYTES + 1).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// The rows that are there, so that others can be added to them.
fn continued_rows(path: &Path) -> std::io::Result<String> {
    use std::io::{Error, ErrorKind};
    let Some(text) = existing_text(path)? else { return Ok(sensor_lines::CSV_HEAD.to_owned()) };
    if text.starts_with(sensor_lines::CSV_HEAD) && text.ends_with('\n') && text.len() as u64 <= MAX_PAGE_BYTES {
        return Ok(text);
    }
    let text =
        "it is not a table of reports that can be continued: name another file, or add --overwrite to replace it";
    Err(Error::new(ErrorKind::AlreadyExists, text))
}

/// The page that is there, so that sections can be added to it.
fn continued_page(path: &Path) -> std::io::Result<Page> {
    use std::io::{Error, ErrorKind};
    let Some(text) = existing_text(path)? else { return Ok(Page::default()) };
    let page = if text.len() as u64 > MAX_PAGE_BYTES { None } else { Page::read(&text) };
    page.ok_or_else(|| {
        let text =
            "it is not a page of reports that can be continued: name another file, or add --overwrite to replace it";
        Error::new(ErrorKind::AlreadyExists, text)
    })
}

/// What a plot file is to be.
fn is_png(path: &Path) -> anyhow::Result<bool> {
    if !cfg!(feature = "plots") {
        let text = "--plot: this build leaves plots out; build Nearfield with the feature `plots`";
        return Err(Usage(text.to_owned()).into());
    }
    match path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase().as_str() {
        "svg" => Ok(false),
        "png" => Ok(true),
        _ => Err(Usage(format!("--plot {}: name a file that ends in .svg or .png", path.display())).into()),
    }
}

/// The plot's file, if what is there is a plot, or nothing.
fn plot_to_replace(path: &Path, overwrite: bool) -> anyhow::Result<&Path> {
    use std::io::Read;
    NewFile::probe(path, Existing::Replace).with_context(|| cant_be_written("plot", path))?;
    if !overwrite && std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() > 0) {
        let mut head = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(64).read_to_end(&mut head))
            .with_context(|| cant_be_written("plot", path))?;
        if !plot::is_plot(&head) {
            let text = format!(
                "--plot {} is another picture: name another file, or add --overwrite to replace it",
                path.display()
            );
            return Err(Usage(text).into());
        }
    }
    Ok(path)
}

/// The e-mail's file, if what is there is one of ours, or nothing.
fn mail_to_replace(path: &Path, overwrite: bool) -> anyhow::Result<&Path> {
    NewFile::probe(path, Existing::Replace).with_context(|| cant_be_written("e-mail", path))?;
    // What is no text is another file, too.
    let is_other = || existing_text(path).map_or(true, |text| text.is_some_and(|text| !report_mail::is_email(&text)));
    if !overwrite && is_other() {
        let text = format!(
            "--html-email {} is another file: name another one, or add --overwrite to replace it",
            path.display()
        );
        return Err(Usage(text).into());
    }
    Ok(path)
}

/// All files of the command.
fn files_of(
    args: &ReportArgs,
    config: &ReportConfig,
    registry: &Registry,
    from: &ReadingsFrom,
    store: Option<&Path>,
) -> anyhow::Result<Files> {
    let none = Path::new("");
    let mut files = Files::new();
    files.reads("--config", args.config.config.as_deref().unwrap_or(none));
    match from {
        ReadingsFrom::Text(TextSource::Stdin) => files.reads_stdin(),
        ReadingsFrom::Text(TextSource::File(path) | TextSource::Follow(path)) => files.reads("--input", path),
        ReadingsFrom::Mqtt(_) => {}
    }
    if config.llm.model != "none" {
        files.reads_model(
            "llm.model",
            &registry.resolve_as(&config.llm.model, crate::load::LANGUAGE).context("llm.model")?,
        );
    }
    files.reads("mqtt.password_file", &config.mqtt.password_file);
    files.reads("mqtt.ca_file", &config.mqtt.ca_file);
    config.outlets.list(&mut files);
    files.writes("the store", store.unwrap_or(none));
    files.writes("--output", args.output.as_deref().unwrap_or(none));
    files.writes("--plot", args.plot.as_deref().unwrap_or(none));
    files.writes("--html-email", args.html_email.as_deref().unwrap_or(none));
    if let Some(path) = &args.trace {
        files.creates("--trace", path, cli::existing(args.overwrite));
    }
    Ok(files)
}

fn readings_from(args: &ReportArgs) -> anyhow::Result<ReadingsFrom> {
    let input = match args.input.as_deref() {
        Some(input) => input,
        None if std::io::stdin().is_terminal() => {
            let text = "no input: name a file or a broker with --input, as in \
                        `nearfield report --input readings.csv`, or pipe readings into it; \
                        with `--input -` they can be typed, up to Ctrl-D";
            return Err(Usage(text.to_owned()).into());
        }
        None => "-",
    };
    if let Some(broker) = ReadingsFrom::broker("--input", input)? {
        return Ok(broker);
    }
    Ok(match input {
        "-" if args.follow => {
            return Err(Usage("--follow needs a file: standard input is followed to its end anyway".to_owned()).into());
        }
        "-" => ReadingsFrom::Text(TextSource::Stdin),
        path if path.contains("://") => {
            return Err(
                Usage(format!("--input {path}: name a file, `-`, or a broker as in mqtt://host/topic/#")).into()
            );
        }
        path if args.follow => ReadingsFrom::Text(TextSource::Follow(path.into())),
        path => ReadingsFrom::Text(TextSource::File(path.into())),
    })
}

/// Prints reports, and writes files, the plot and the trace.
struct Reporter<'a> {
    zone: TimeZone,
    as_json: bool,
    /// Whether sentences are printed as they become certain.
    shows: bool,
    out: &'a mut dyn Write,
    output: Option<Output>,
    /// The plot's file, and whether it is to be a PNG.
    plot: Option<(&'a Path, bool)>,
    mail: Option<&'a Path>,
    trace: Option<TraceWriter>,
    /// The report of which a sentence was printed last.
    current: Option<Turn>,
    reports: u64,
}

impl Reporter<'_> {
    fn take(&mut self, event: ReportEvent<'_>) -> anyhow::Result<()> {
        match event {
            ReportEvent::Title(title) if self.shows => {
                write!(self.out, "{}", report_pages::heading(title))?;
                self.out.flush()?;
            }
            ReportEvent::Sentence(turn, sentence) if self.shows => {
                let space = if self.current.replace(turn) == Some(turn) { " " } else { "" };
                write!(self.out, "{space}{}", sentence.text)?;
                self.out.flush()?;
            }
            ReportEvent::Title(_) | ReportEvent::Sentence(..) => {}
            ReportEvent::Done(report, stages) => {
                self.reports += 1;
                if self.as_json {
                    writeln!(self.out, "{}", report_pages::json(report, &self.zone))?;
                } else if self.shows {
                    writeln!(self.out, "{}", report_pages::details(report, &self.zone))?;
                }
                self.out.flush()?;
                if let Some(output) = &mut self.output {
                    output.add(report, &self.zone)?;
                }
                if let Some((path, is_png)) = self.plot {
                    let bytes = match is_png {
                        true => plot::png(&report.summary, &self.zone)?,
                        false => plot::svg(&report.summary, &self.zone)?.into_bytes(),
                    };
                    persist::replace(path, &bytes).with_context(|| cant_be_written("plot", path))?;
                }
                if let Some(path) = self.mail {
                    let mail = report_mail::html_email(report, &self.zone);
                    persist::replace(path, mail.as_bytes()).with_context(|| cant_be_written("e-mail", path))?;
                }
                if let Some(trace) = &mut self.trace {
                    trace.stages(Turn(self.reports), stages)?;
                }
            }
        }
        Ok(())
    }
}

/// Runs the command.
///
/// # Errors
/// Whatever is missing or broken, named with how to fix it.
pub fn run(args: &ReportArgs, stop: &StopSignal, out: &mut dyn Write) -> anyhow::Result<()> {
    if let Some(ReportCommand::Ask(ask)) = &args.command {
        return report_ask::run(ask, out);
    }
    if args.schema {
        return Ok(out.write_all(JSON_SCHEMA.as_bytes())?);
    }
    let mut sets = args.config.set.clone();
    if let Some(window) = &args.window {
        window.parse::<Length>().map_err(|e| Usage(format!("--window: {e}")))?;
        sets.push(format!("window.length={window:?}"));
    }
    let config = ReportConfig::load(args.config.config.as_deref(), &sets)?;
    if let Some(input) = &args.explain {
        let source = match input.as_str() {
            "-" => TextSource::Stdin,
            path => TextSource::File(path.into()),
        };
        return source.explain(&config.text, config.zone().map_err(anyhow::Error::msg)?, stop, out);
    }
    let from = readings_from(args)?;
    let input = match &from {
        ReadingsFrom::Text(TextSource::File(path) | TextSource::Follow(path)) => Some(path.clone()),
        _ => None,
    };
    let plot_is_png = args.plot.as_deref().map(is_png).transpose()?;
    if let ReadingsFrom::Text(TextSource::File(path) | TextSource::Follow(path)) = &from {
        std::fs::metadata(path).with_context(|| format!("the input {} can't be read", path.display()))?;
    }
    let format = args.output.as_deref().map(Format::of).transpose()?;
    let registry = Registry::open()?;
    let store = store_path(&config, &registry, &from);
    files_of(args, &config, &registry, &from, store.as_deref())?.check()?;
    let plot = match (&args.plot, plot_is_png) {
        (Some(path), Some(is_png)) => Some((plot_to_replace(path, args.overwrite)?, is_png)),
        _ => None,
    };
    let mail = args.html_email.as_deref().map(|path| mail_to_replace(path, args.overwrite)).transpose()?;
    let llm = load_llm(&config, &registry, None)?;
    // From here on everything is known to be good but the store and the broker, and outputs are opened.
    let mut output = match (&args.output, format) {
        (Some(path), Some(format)) => Some(Output::open(path, format, args.overwrite)?),
        _ => None,
    };
    if let Some(output) = &mut output
        && store.as_ref().is_some_and(|store| std::fs::metadata(store).is_ok_and(|m| m.len() > 0))
    {
        output.resume()?;
    }
    let existing = cli::existing(args.overwrite);
    let trace = args.trace.as_deref().map(|path| TraceWriter::create(path, existing)).transpose()?;
    let zone = config.zone().map_err(anyhow::Error::msg)?;
    // Sentences are shown as they become certain, unless they only go into a file.
    let shows = !args.json && output.is_none();
    let mut reporter =
        Reporter { zone, as_json: args.json, shows, out, output, plot, mail, trace, current: None, reports: 0 };
    let ran = report::run(&config, &registry, llm, from, stop, ("report", &Health::default()), &mut |event| {
        reporter.take(event)?;
        Ok(ControlFlow::Continue(()))
    });
    let Reporter { trace, reports, .. } = reporter;
    if let Some(trace) = trace {
        trace.end()?;
    }
    ran?;
    // With a store, the open window of a pipe that was live is completed by the next start.
    let is_kept = input.is_none() && store.is_some();
    if reports == 0 && !crate::signals::is_stopped(stop) && !args.follow && !is_kept {
        let is_empty =
            matches!(&input, Some(path) if std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() == 0));
        let name = input.map_or("standard input".to_owned(), |path| path.display().to_string());
        if is_empty {
            anyhow::bail!("{name} is empty: it holds no reading");
        }
        anyhow::bail!("{name} holds no reading that can be used");
    }
    if let (Some(path), false) = (&args.output, args.json) {
        let windows = if reports == 1 { "window" } else { "windows" };
        writeln!(out, "{reports} {windows} reported in {}", path.display())?;
    }
    Ok(())
}

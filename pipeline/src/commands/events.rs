//! `nearfield events`: a folder of events as a page, a list, or what a search finds in it.

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, ensure};
use jiff::tz::TimeZone;
use nearfield_base::persist::{self, Existing, NewFile};
use nearfield_stages::caption::event_index::{EventIndex, INDEX, Unreadable, event_names, read_event};

use crate::cli::{EventsArgs, Usage};
use crate::files::Files;
use crate::output::event_page::{ShownEvent, is_page, page, page_head_bytes};
use crate::output::terminal::one_line;

/// So many records that can't be read are named.
const MOST_NAMED: usize = 5;

/// Runs the command.
///
/// # Errors
/// The folder can't be read, its index or the page can't be written.
pub fn run(args: &EventsArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let folder = args.folder.as_path();
    ensure!(folder.is_dir(), Usage(format!("{}: there is no such folder; event.folder names it", folder.display())));
    if let Some(output) = &args.output {
        check_output(folder, output)?;
    }
    let mut unreadable = Vec::new();
    let mut names = match &args.search {
        Some(words) => {
            let mut index = EventIndex::open(folder)?;
            unreadable = index.refresh()?;
            index.search(words, args.most)?
        }
        None => event_names(folder)?.into_iter().map(|(name, _)| name).rev().collect(),
    };
    let all = names.len();
    names.truncate(args.most);
    let mut events = Vec::new();
    for name in &names {
        match read_event(folder, name) {
            Ok(event) => events.push((name, event)),
            Err(record) => unreadable.push(record),
        }
    }
    warn_of(&unreadable);
    if args.json {
        for (_, event) in events {
            writeln!(out, "{event}")?;
        }
        return Ok(());
    }
    let zone = TimeZone::system();
    let shown: Vec<ShownEvent> = events.iter().filter_map(|(name, event)| ShownEvent::of(name, event, &zone)).collect();
    if let Some(output) = &args.output {
        return write_page(folder, output, shown, all - names.len(), args.search.as_deref(), out);
    }
    for event in &shown {
        let time = event.start.strftime("%Y-%m-%d %H:%M:%S");
        writeln!(out, "{time}  {}  {}", one_line(&event.camera), one_line(&event.caption))?;
    }
    if shown.is_empty() {
        let what = args.search.as_ref().map_or_else(String::new, |words| format!(" with {words:?}"));
        let readable = if unreadable.is_empty() { "" } else { " that can be read" };
        writeln!(out, "no events{what}{readable} in {}", folder.display())?;
    }
    Ok(())
}

/// Names records that are left out.
fn warn_of(unreadable: &[Unreadable]) {
    let n = unreadable.len();
    let named: Vec<String> =
        unreadable.iter().take(MOST_NAMED).map(|record| one_line(&record.to_string()).into_owned()).collect();
    let more = if n > MOST_NAMED { format!("; and {} more", n - MOST_NAMED) } else { String::new() };
    match n {
        0 => {}
        1 => tracing::warn!("1 record cannot be read and is left out: {}", named[0]),
        _ => tracing::warn!("{n} records cannot be read and are left out: {}{more}", named.join("; ")),
    }
}

/// The page is written over nothing but an earlier page.
fn check_output(folder: &Path, output: &Path) -> anyhow::Result<()> {
    let shown = output.display();
    let is_html = output.extension().is_some_and(|e| e.eq_ignore_ascii_case("html") || e.eq_ignore_ascii_case("htm"));
    ensure!(is_html, Usage(format!("--output {shown}: name a file that ends in .html")));
    let mut files = Files::new();
    files.reads("the index", &folder.join(INDEX));
    files.writes("--output", output);
    files.check()?;
    let cant_be_written = || format!("the page {shown} can't be written");
    NewFile::probe(output, Existing::Replace).with_context(cant_be_written)?;
    if !std::fs::metadata(output).is_ok_and(|m| m.is_file() && m.len() > 0) {
        return Ok(());
    }
    let mut head = Vec::new();
    let file = std::fs::File::open(output).with_context(cant_be_written)?;
    file.take(page_head_bytes()).read_to_end(&mut head).with_context(cant_be_written)?;
    ensure!(is_page(&head), Usage(format!("--output {shown} is not a page of events: name another file")));
    Ok(())
}

fn write_page(
    folder: &Path,
    output: &Path,
    mut shown: Vec<ShownEvent>,
    left_out: usize,
    search: Option<&str>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    shown.sort_by(|a, b| (&a.start, &a.name).cmp(&(&b.start, &b.name)));
    let beside = persist::folder_of(output);
    let same = std::fs::canonicalize(beside).ok() == std::fs::canonicalize(folder).ok();
    let prefix = match same {
        true => String::new(),
        false => format!("{}/", std::path::absolute(folder)?.display()),
    };
    let title = search.map_or_else(|| "Events".to_owned(), |words| format!("Events: {words}"));
    let text = page(&title, &shown, left_out, &prefix);
    persist::replace(output, text.as_bytes())
        .with_context(|| format!("the page {} can't be written", output.display()))?;
    let n = shown.len();
    writeln!(out, "{}: {n} {}", output.display(), if n == 1 { "event" } else { "events" })?;
    Ok(())
}

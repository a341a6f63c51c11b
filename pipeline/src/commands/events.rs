//! `nearfield events`: a folder of events as a page, a list, or what a search finds in it.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, ensure};
use jiff::tz::TimeZone;
use nearfield_base::persist;
use nearfield_stages::caption::event_index::{EventIndex, event_names, read_event};

use crate::cli::{EventsArgs, Usage};
use crate::output::event_page::{ShownEvent, page};
use crate::output::terminal::one_line;

/// Runs the command.
///
/// # Errors
/// The folder can't be read, its index or the page can't be written.
pub fn run(args: &EventsArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let folder = args.folder.as_path();
    ensure!(folder.is_dir(), Usage(format!("{}: there is no such folder; event.folder names it", folder.display())));
    let mut names = match &args.search {
        Some(words) => {
            let mut index = EventIndex::open(folder)?;
            index.refresh()?;
            index.search(words, args.most)?
        }
        None => event_names(folder)?.into_iter().map(|(name, _)| name).rev().collect(),
    };
    let all = names.len();
    names.truncate(args.most);
    if args.json {
        for event in names.iter().filter_map(|name| read_event(folder, name)) {
            writeln!(out, "{event}")?;
        }
        return Ok(());
    }
    let zone = TimeZone::system();
    let shown: Vec<ShownEvent> =
        names.iter().filter_map(|name| ShownEvent::of(name, &read_event(folder, name)?, &zone)).collect();
    if let Some(output) = &args.output {
        return write_page(folder, output, shown, all - names.len(), args.search.as_deref(), out);
    }
    for event in &shown {
        let time = event.start.strftime("%Y-%m-%d %H:%M:%S");
        writeln!(out, "{time}  {}  {}", one_line(&event.camera), one_line(&event.caption))?;
    }
    if shown.is_empty() {
        let what = args.search.as_ref().map_or_else(String::new, |words| format!(" with {words:?}"));
        writeln!(out, "no events{what} in {}", folder.display())?;
    }
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

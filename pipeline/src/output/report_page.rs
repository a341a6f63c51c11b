//! One page of HTML with many reports, the newest first: a list of its windows, sentences, plots and figures. It needs nothing but itself,
//! follows the reader's light or dark, fits a phone, prints, and is continued by later runs.

use jiff::tz::TimeZone;
use nearfield_stages::messages::Report;
use nearfield_telemetry::language::Language;

use crate::output::page_plot;
use crate::output::report_pages::{escaped, html_details, window_name};

/// Windows on one page: the newest.
const MAX_SECTIONS: usize = 400;
/// A list of more windows is closed at first.
const OPEN_LIST: usize = 40;
const STYLE: &str = include_str!("report_page.css");
const SCRIPT: &str = include_str!("report_page.js");

/// How a page begins, up to what may change from one version to the next.
const PAGE_BEGIN: &str = "<!doctype html>\n<html lang=\"";
const PAGE_TITLE: &str = "Nearfield report";
const SECTION_BEGIN: &str = "<section";
const SECTION_END: &str = "</section>\n";
const LEFT_OUT: &str = "older windows are left out";

/// A page that grows by a section a report.
#[derive(Debug, Default)]
pub struct Page {
    /// That of the newest report.
    language: Language,
    sections: std::collections::VecDeque<String>,
    left_out: usize,
}

/// What stands between two marks, the first time.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(begin)?;
    Some(rest.split_once(end)?.0)
}

impl Page {
    /// Adds a report.
    pub fn add(&mut self, report: &Report, zone: &TimeZone) {
        let Report { summary, composed } = report;
        self.language = summary.table.language();
        let name = window_name(report, zone);
        // Names of windows are times and a few words.
        let id = name.split('/').next().unwrap_or_default();
        let part = if summary.window.cut_short { "-part" } else { "" };
        let anomalies: usize = summary.window.sensors.iter().map(|s| s.anomalies.len()).sum();
        let mut section = format!(
            "<section id=\"w{id}{part}\" data-window=\"{name}\" data-anomalies=\"{anomalies}\">\n<h2>{}</h2>\n<p>",
            escaped(summary.table.heading())
        );
        for (i, sentence) in composed.sentences.iter().enumerate() {
            let origin = format!("{:?}", sentence.origin).to_lowercase();
            let space = if i > 0 { " " } else { "" };
            section.push_str(&format!("{space}<span title=\"{origin}\">{}</span>", escaped(&sentence.text)));
        }
        section.push_str("</p>\n");
        section.push_str(&page_plot::figures(summary, zone));
        section.push_str(&html_details(report, zone));
        if let Some(before) = self.sections.front().and_then(|before| Listed::of(before)) {
            let words = escaped(self.language.text("window before"));
            section
                .push_str(&format!("<p class=\"turn\"><a href=\"#{}\">{words}: {}</a></p>\n", before.id, before.title));
        }
        section.push_str(SECTION_END);
        self.sections.push_front(section);
        if self.sections.len() > MAX_SECTIONS {
            self.sections.pop_back();
            self.left_out += 1;
        }
    }

    /// Reads a page back; `None` if it is none of [`html`](Self::html).
    pub fn read(text: &str) -> Option<Page> {
        let head = &text[..text.find(SECTION_BEGIN).unwrap_or(text.len())];
        let code = head.strip_prefix(PAGE_BEGIN)?.split_once('"')?.0;
        let language = Language::ALL.into_iter().find(|language| language.code() == code)?;
        let title = format!("<title>{}</title>", language.text(PAGE_TITLE));
        if !(head.contains(&title) && text.trim_end().ends_with("</html>")) {
            return None;
        }
        let mut page = Page { language, ..Page::default() };
        let mut rest = &text[head.len()..];
        while rest.starts_with(SECTION_BEGIN) {
            let (section, after) = rest.split_once(SECTION_END)?;
            page.sections.push_back(format!("{section}{SECTION_END}"));
            rest = after;
        }
        let words = format!(" {}.</p>", escaped(language.text(LEFT_OUT)));
        let left_out = rest.split_once(&words).and_then(|(before, _)| before.strip_prefix("<p>"));
        page.left_out = left_out.map_or(Some(0), |n| n.parse().ok())?;
        Some(page)
    }

    /// The [`window_name`] of the newest section.
    pub fn newest_window(&self) -> Option<&str> {
        between(self.sections.front()?, "data-window=\"", "\"")
    }

    /// The whole page.
    pub fn html(&self) -> String {
        let (code, title) = (self.language.code(), escaped(self.language.text(PAGE_TITLE)));
        let mut page = format!(
            "{PAGE_BEGIN}{code}\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n<h1>{title}</h1>\n"
        );
        let listed: Vec<Listed<'_>> = self.sections.iter().filter_map(|section| Listed::of(section)).collect();
        if listed.len() > 1 {
            let open = if listed.len() <= OPEN_LIST { " open" } else { "" };
            let words = escaped(self.language.text("Windows"));
            page.push_str(&format!("<details{open}><summary>{words}</summary>\n<nav>\n"));
            for Listed { id, title, anomalies } in &listed {
                let mark = if *anomalies == "0" {
                    String::new()
                } else {
                    let words = escaped(self.language.text("anomalies"));
                    format!(" <b title=\"{words}: {anomalies}\">{anomalies}</b>")
                };
                page.push_str(&format!("<a href=\"#{id}\">{title}{mark}</a>\n"));
            }
            page.push_str("</nav>\n</details>\n");
        }
        self.sections.iter().for_each(|s| page.push_str(s));
        if self.left_out > 0 {
            let words = escaped(self.language.text(LEFT_OUT));
            page.push_str(&format!("<p>{} {words}.</p>\n", self.left_out));
        }
        page.push_str(&format!("<script>\n{SCRIPT}</script>\n</html>\n"));
        page
    }
}

/// What the list of windows tells of a section.
struct Listed<'a> {
    id: &'a str,
    /// As HTML.
    title: &'a str,
    anomalies: &'a str,
}

impl<'a> Listed<'a> {
    /// `None` for a section of an earlier version, which has no name.
    fn of(section: &'a str) -> Option<Listed<'a>> {
        let tag = between(section, "<section", ">")?;
        Some(Listed {
            id: between(tag, "id=\"", "\"")?,
            title: between(section, "<h2>", "</h2>")?,
            anomalies: between(tag, "data-anomalies=\"", "\"")?,
        })
    }
}

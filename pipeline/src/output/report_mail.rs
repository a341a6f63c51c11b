//! A report as the body of an e-mail: programs for mail know tables and inline styles, and neither scripts, style sheets nor SVG.

use jiff::tz::TimeZone;
use nearfield_stages::messages::Report;

use crate::output::report_pages::{anomalies, escaped, figures, more_sensors};
use crate::output::report_remarks::remarks;

const FONT: &str = "font-family:Helvetica,Arial,sans-serif;font-size:15px;line-height:1.5;color:#1a1a1a";
const CELL: &str = "padding:3px 10px 3px 0;border-bottom:1px solid #dddddd;font-size:13px;white-space:nowrap";

const BEGIN: &str = "<!doctype html>\n<html lang=\"";
const HEAD: &str = "<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><meta name=\"generator\" content=\"Nearfield\">";

/// Whether a file is one of [`html_email`].
pub fn is_email(text: &str) -> bool {
    text.strip_prefix(BEGIN)
        .is_some_and(|rest| rest.get(2..).is_some_and(|rest| rest.starts_with(&format!("\">\n{HEAD}"))))
}

/// The body of an e-mail about one window, as a whole document.
pub fn html_email(report: &Report, zone: &TimeZone) -> String {
    let table = &report.summary.table;
    let (language, window) = (table.language(), &report.summary.window);
    let title = escaped(table.heading());
    let mut out = format!(
        "{BEGIN}{}\">\n{HEAD}<title>{title}</title></head>\n<body style=\"margin:0;padding:0;background-color:#ffffff\">\n\
         <table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\"><tr><td align=\"center\">\n\
         <table role=\"presentation\" width=\"640\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" style=\"width:100%;max-width:640px\">\n",
        language.code()
    );
    let mut row = |style: &str, content: &str| {
        out.push_str(&format!("<tr><td style=\"{FONT};{style}\">{content}</td></tr>\n"));
    };
    row("padding:20px 16px 4px 16px;font-size:18px;font-weight:bold", &title);
    let sentences: Vec<String> = report.composed.sentences.iter().map(|s| escaped(&s.text)).collect();
    row("padding:4px 16px 12px 16px", &sentences.join(" "));
    let lines = anomalies(report, zone);
    if !lines.is_empty() {
        let items: Vec<String> = lines.iter().map(|line| format!("&#8226; {}", escaped(line))).collect();
        row("padding:4px 16px 12px 16px;font-size:14px", &items.join("<br>\n"));
    }
    if window.readings() > 0 {
        let (head, rows) = figures(report);
        // A phone shows five columns: of the others the page and the JSON tell.
        const SHOWN: [usize; 5] = [0, 1, 2, 5, 6];
        let line = |name: &str, cells: &[String]| {
            let cells = SHOWN.iter().map(|place| {
                let align = if *place == 0 { "left" } else { "right" };
                let cell = cells.get(*place).map_or("", String::as_str);
                format!("<{name} align=\"{align}\" style=\"{FONT};{CELL}\">{}</{name}>", escaped(cell))
            });
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        };
        let head: Vec<String> = head.into_iter().map(str::to_owned).collect();
        let body: String = rows.iter().map(|cells| line("td", cells)).collect();
        let figures = format!(
            "<table cellpadding=\"0\" cellspacing=\"0\" border=\"0\" width=\"100%\">\n{}{body}</table>",
            line("th", &head)
        );
        row("padding:4px 16px 12px 16px", &figures);
        if let Some(more) = more_sensors(window.sensors.len(), language) {
            row("padding:4px 16px 12px 16px;font-size:13px", &escaped(&more));
        }
    }
    let notes = remarks(report);
    if !notes.is_empty() {
        let text = format!("{}: {}.", language.text("Not used or not whole"), notes.join("; "));
        row("padding:4px 16px 20px 16px;font-size:13px;color:#666666", &escaped(&text));
    }
    out.push_str("</table>\n</td></tr></table>\n</body>\n</html>\n");
    out
}

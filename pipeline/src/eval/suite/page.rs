//! The result as one page of HTML: figures, bars and every reply, beside the baseline's. It needs nothing from elsewhere.

use std::fmt::Write;

use super::Outcome;
use crate::output::report_pages::escaped;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}\
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}tr.wrong td{background:#fdf0ee}svg{max-width:100%}\
@media(prefers-color-scheme:dark){body{background:#191919;color:#ddd}td,th{border-color:#444}tr.wrong td{background:#3a2420}}";

/// The page of a run, beside an earlier one.
pub(super) fn html(outcome: &Outcome, baseline: Option<&Outcome>) -> String {
    let mut page = String::new();
    let model = escaped(&outcome.model);
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{model}: {:.1} %</title><style>{STYLE}</style><h1>{model}</h1><p>{} of {} prompts right: {:.1} %.</p>",
        100.0 * outcome.score,
        outcome.right,
        outcome.prompts,
        100.0 * outcome.score
    );
    page.push_str(&costs(outcome, baseline));
    page.push_str("<h2>By kind</h2>");
    page.push_str(&bars(outcome, baseline));
    page.push_str("<h2>Replies</h2><table><tr><th>Prompt<th>Reply<th>Known answer<th>Fault</tr>");
    for reply in &outcome.replies {
        let class = if reply.fault.is_some() { " class=\"wrong\"" } else { "" };
        let cells = [&reply.ask, &reply.reply, &reply.golden, reply.fault.as_ref().unwrap_or(&String::new())]
            .map(|text| escaped(text).replace('\n', "<br>"));
        let _ = write!(page, "<tr{class}><td>{}<td>{}<td>{}<td>{}</tr>", cells[0], cells[1], cells[2], cells[3]);
    }
    page.push_str("</table></html>\n");
    page
}

/// Writes a figure of a run.
type Figure = fn(&Outcome) -> String;

/// What the model costs.
fn costs(outcome: &Outcome, baseline: Option<&Outcome>) -> String {
    let figures: [(&str, Figure); 8] = [
        ("right", |o| format!("{:.1} %", 100.0 * o.score)),
        ("ROUGE-L with the known answers", |o| format!("{:.3}", o.golden_rouge_l)),
        ("file", |o| format!("{:.1} MB, {}", o.model_bytes as f64 / 1e6, escaped(&o.quantization))),
        ("load", |o| format!("{:.2} s", o.load_seconds)),
        ("read", |o| format!("{:.0} tokens/s", o.prefill_tokens_per_second)),
        ("written", |o| format!("{:.0} tokens/s", o.decode_tokens_per_second)),
        ("resident", |o| format!("{:.0} MB", o.resident_bytes as f64 / 1e6)),
        ("machine", |o| format!("{} threads, {}", o.threads, escaped(&o.level))),
    ];
    let head = baseline.map_or(String::new(), |b| format!("<th class=\"n\">baseline: {}", escaped(&b.model)));
    let mut table = format!("<table><tr><th><th class=\"n\">this run{head}</tr>");
    for (name, figure) in figures {
        let before = baseline.map_or(String::new(), |b| format!("<td class=\"n\">{}", figure(b)));
        let _ = write!(table, "<tr><td>{name}<td class=\"n\">{}{before}</tr>", figure(outcome));
    }
    table + "</table>"
}

/// Bars of the share of right replies by kind, those of the baseline below them.
fn bars(outcome: &Outcome, baseline: Option<&Outcome>) -> String {
    const LABEL: f64 = 120.0;
    const WIDTH: f64 = 480.0;
    const ROW: f64 = 34.0;
    let height = ROW * outcome.kinds.len() as f64;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {} {height}\" width=\"{}\" role=\"img\" font-size=\"13\" fill=\"currentColor\">",
        LABEL + WIDTH + 90.0,
        LABEL + WIDTH + 90.0
    );
    for (row, (kind, (right, all))) in outcome.kinds.iter().enumerate() {
        let top = row as f64 * ROW;
        let share = *right as f64 / (*all).max(1) as f64;
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text><rect x=\"{LABEL}\" y=\"{}\" width=\"{:.1}\" height=\"14\" \
             fill=\"#3b7dd8\"/><text x=\"{:.1}\" y=\"{}\">{right} of {all}</text>",
            LABEL - 8.0,
            top + 16.0,
            escaped(kind),
            top + 4.0,
            WIDTH * share,
            LABEL + WIDTH * share + 6.0,
            top + 16.0
        );
        if let Some((right, all)) = baseline.and_then(|baseline| baseline.kinds.get(kind)) {
            let share = *right as f64 / (*all).max(1) as f64;
            let _ = write!(
                svg,
                "<rect x=\"{LABEL}\" y=\"{}\" width=\"{:.1}\" height=\"6\" fill=\"#999\"><title>baseline: {right} of {all}</title></rect>",
                top + 20.0,
                WIDTH * share.min(1.0)
            );
        }
    }
    svg + "</svg>"
}

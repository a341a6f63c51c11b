//! `nearfield top`: what a running process is doing now, drawn again every second: sessions, queue, tokens, cache, memory, temperature, flows.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use nearfield_stages::flow::StopSignal;
use serde_json::{Value, json};

use super::service::{ANSWER, Running, print, running, the_one};
use crate::cli::TopArgs;
use crate::hub::registry::Registry;
use crate::signals::is_stopped;

/// The other screen of a terminal without a cursor, and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// The first line and column; what is left of a line; what is left of the screen.
const HOME: &str = "\x1b[H";
const REST_OF_LINE: &str = "\x1b[K";
const REST_OF_SCREEN: &str = "\x1b[J";
/// How often the signal to end is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What a process said, and when.
struct Sample {
    at: Instant,
    state: Value,
}

/// `nearfield top`
///
/// # Errors
/// No process runs, several do, it does not answer, or the output can't be written.
pub fn top(args: &TopArgs, stop: &StopSignal, out: &mut dyn Write) -> anyhow::Result<()> {
    let registry = Registry::open()?;
    let data = &registry.places().data;
    let every = Duration::from_secs_f64(args.every);
    let mut before = sample(args, data)?;
    let is_live = !args.once && !args.json && std::io::stdout().is_terminal();
    let screen = is_live.then(Screen::enter).transpose()?;
    loop {
        // Rates need two samples.
        if !waited(every, stop) {
            return Ok(());
        }
        let now = sample(args, data)?;
        let rates = rates(&before, &now);
        if args.json {
            let mut line = now.state.clone();
            line["rates"] = rates;
            writeln!(out, "{line}")?;
            out.flush()?;
        } else {
            let mut text = Vec::new();
            draw(&now.state, &rates, &mut text)?;
            match &screen {
                Some(_) => Screen::draw(&String::from_utf8_lossy(&text))?,
                None => out.write_all(&text)?,
            }
        }
        if args.once || (!is_live && !args.json) {
            return Ok(out.flush()?);
        }
        before = now;
    }
}

fn sample(args: &TopArgs, data: &Path) -> anyhow::Result<Sample> {
    let process: Running = the_one(args.pid, data, running(data))?;
    Ok(Sample { at: Instant::now(), state: process.ask("GET /ps", ANSWER)? })
}

/// Whether the time has passed without a signal to end.
fn waited(time: Duration, stop: &StopSignal) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < time {
        if is_stopped(stop) {
            return false;
        }
        std::thread::sleep(LOOK_AGAIN.min(time));
    }
    true
}

/// What happened between two samples, each second. Of a process that was replaced in between there are none.
fn rates(before: &Sample, now: &Sample) -> Value {
    let seconds = now.at.duration_since(before.at).as_secs_f64().max(f64::MIN_POSITIVE);
    let count = |key: &str| {
        let of = |sample: &Sample| sample.state["totals"][key].as_u64();
        (before.state["pid"] == now.state["pid"]).then(|| of(now)?.checked_sub(of(before)?)).flatten()
    };
    let per_second = |key: &str| count(key).map(|n| (n as f64 / seconds * 10.0).round() / 10.0);
    let share = match (count("cached_tokens"), count("prompt_tokens")) {
        (Some(cached), Some(prompt)) if prompt > 0 => Some((1000.0 * cached as f64 / prompt as f64).round() / 10.0),
        _ => None,
    };
    json!({
        "requests": per_second("requests"), "prompt_tokens": per_second("prompt_tokens"),
        "generated_tokens": per_second("generated_tokens"), "cached_percent": share,
    })
}

/// A screenful.
fn draw(state: &Value, rates: &Value, out: &mut dyn Write) -> anyhow::Result<()> {
    let number = |value: &Value| value.as_f64().map_or("-".to_owned(), |number| format!("{number:.1}"));
    let (sessions, totals) = (&state["sessions"], &state["totals"]);
    let busy = sessions["answering"].as_u64().unwrap_or(0) as usize;
    let most = sessions["most"].as_u64().unwrap_or(0).min(64) as usize;
    let bar: String = (0..most.max(busy.min(64))).map(|at| if at < busy { '#' } else { '.' }).collect();
    writeln!(out, "sessions  [{bar}] {busy} of {most} answering, {} waiting", sessions["waiting"])?;
    writeln!(
        out,
        "tokens    {} written/s, {} of prompts/s; {} written, {} of prompts in all",
        number(&rates["generated_tokens"]),
        number(&rates["prompt_tokens"]),
        totals["generated_tokens"],
        totals["prompt_tokens"],
    )?;
    let cached = match (totals["cached_tokens"].as_f64(), totals["prompt_tokens"].as_f64()) {
        (Some(cached), Some(prompt)) if prompt > 0.0 => format!("{:.1}", 100.0 * cached / prompt),
        _ => "-".to_owned(),
    };
    writeln!(out, "cache     {} % of the prompts' tokens now, {cached} % in all", number(&rates["cached_percent"]))?;
    writeln!(out, "requests  {}/s, {} in all", number(&rates["requests"]), totals["requests"])?;
    let available = state["available_bytes"].as_f64().map_or("-".to_owned(), |bytes| format!("{:.0} MB", bytes / 1e6));
    writeln!(out, "machine   {available} of memory available, {} °C", number(&state["celsius"]))?;
    writeln!(out)?;
    print(state, out)
}

/// The other screen of the terminal, until it is dropped.
struct Screen;

impl Screen {
    fn enter() -> std::io::Result<Self> {
        Self::write(ENTER)?;
        Ok(Self)
    }

    /// Draws over what is there, so that nothing flickers.
    fn draw(text: &str) -> std::io::Result<()> {
        let lines: String = text.lines().map(|line| format!("{line}{REST_OF_LINE}\r\n")).collect();
        Self::write(&format!("{HOME}{lines}{REST_OF_SCREEN}"))
    }

    /// Past the program's usual output, which escapes what a terminal would obey; the text has been escaped before.
    fn write(text: &str) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = Self::write(LEAVE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seconds: u64, begun: Instant, pid: u32, tokens: [u64; 4]) -> Sample {
        let [requests, prompt, cached, generated] = tokens;
        let totals = json!({"requests": requests, "prompt_tokens": prompt, "cached_tokens": cached, "generated_tokens": generated});
        let sessions = json!({"most": 4, "kept": 1, "answering": 1, "waiting": 2});
        let state = json!({"pid": pid, "totals": totals, "sessions": sessions, "celsius": 51.25, "available_bytes": 2_000_000_000_u64});
        Sample { at: begun + Duration::from_secs(seconds), state }
    }

    #[test]
    fn rates_are_what_happened_between_two_samples_of_the_same_process() {
        let begun = Instant::now();
        let (one, two) = (sample(0, begun, 7, [1, 100, 50, 10]), sample(2, begun, 7, [5, 300, 250, 70]));
        let rates_of = |a: &Sample, b: &Sample| rates(a, b);
        assert_eq!(
            rates_of(&one, &two),
            json!({"requests": 2.0, "prompt_tokens": 100.0, "generated_tokens": 30.0, "cached_percent": 100.0})
        );
        let other = sample(2, begun, 8, [5, 300, 250, 70]);
        assert_eq!(rates_of(&one, &other)["generated_tokens"], Value::Null);
        assert_eq!(rates_of(&two, &one)["requests"], Value::Null, "counters that went back are those of another");
    }

    #[test]
    fn a_screenful_tells_sessions_queue_tokens_cache_memory_and_temperature() {
        let begun = Instant::now();
        let (one, two) = (sample(0, begun, 7, [1, 100, 50, 10]), sample(2, begun, 7, [5, 300, 250, 70]));
        let mut text = Vec::new();
        draw(&two.state, &rates(&one, &two), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let expected = "sessions  [#...] 1 of 4 answering, 2 waiting\n\
            tokens    30.0 written/s, 100.0 of prompts/s; 70 written, 300 of prompts in all\n\
            cache     100.0 % of the prompts' tokens now, 83.3 % in all\n\
            requests  2.0/s, 5 in all\n\
            machine   2000 MB of memory available, 51.2 °C\n";
        assert!(text.starts_with(expected), "{text}");
    }
}

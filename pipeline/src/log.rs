//! Where logs go: stderr, at the level that `-v`, `-q` or `RUST_LOG` asks for. Results never come this way. A line is one event,
//! whatever it quotes; colours only go to terminals. A message that repeats itself is written a few times, then counted: in growing
//! intervals, and at the end, one line says how often it came.

use std::collections::HashMap;
use std::fmt::{Debug, Write as _};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nearfield_base::redact::redacted;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber, callsite};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

use crate::output::terminal::{has_colours, one_line};

/// A longer message is cut.
const LONGEST_BYTES: usize = 4096;

/// Installs the log for the rest of the process. What the answer is dropped, what was only counted is written.
pub fn install(verbose: u8, quiet: bool) -> LogEnd {
    // PulseAudio's client calls it an error when it is closed; a device that is gone is told of by who uses it.
    // whisper.cpp calls it an error when a transcription is stopped that nobody wants any more; what is one is in our own errors.
    // Symphonia warns of tags and paddings of healthy files.
    let level = match (quiet, verbose) {
        (true, _) => "error,whisper_rs=off,symphonia=off,pulseaudio=off",
        (false, 0) => "warn,whisper_rs=off,symphonia=off,pulseaudio=off",
        // whisper.cpp and ONNX Runtime are talkative at this level.
        (false, 1) => "info,whisper_rs=warn,ort=warn,symphonia=off,pulseaudio=off",
        (false, _) => "debug,whisper_rs=info,ort=info",
    };
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if verbose == 0 && !quiet && !directives.is_empty() => EnvFilter::new(directives),
        _ => EnvFilter::new(level),
    };
    let lines = Lines::shared(Box::new(std::io::stderr()), has_colours(&std::io::stderr()), verbose > 1);
    let _ = Registry::default().with(filter).with(Log(lines.clone())).try_init();
    LogEnd(lines)
}

/// Writes what was only counted until then when it is dropped.
#[must_use]
pub struct LogEnd(Arc<Mutex<Lines>>);

impl Drop for LogEnd {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).end();
    }
}

/// Events as lines.
struct Log(Arc<Mutex<Lines>>);

/// The span within which all that is logged belongs to one of several flows; its field `name` says which.
pub const FLOW: &str = "flow";

/// A flow's name, kept with its span.
struct FlowName(String);

/// Finds the name among a span's fields.
struct NameOf(String);

impl Visit for NameOf {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "name" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Log {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut name = NameOf(String::new());
        if attributes.metadata().name() == FLOW
            && let Some(span) = context.span(id)
        {
            attributes.record(&mut name);
            span.extensions_mut().insert(FlowName(name.0));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        let flow = context.event_scope(event).and_then(|mut scope| {
            scope.find_map(|span| span.extensions().get::<FlowName>().map(|FlowName(name)| format!("{name}: ")))
        });
        event.record(&mut fields);
        let metadata = event.metadata();
        let entry = Entry {
            level: *metadata.level(),
            target: fields.target.unwrap_or_else(|| metadata.target().to_owned()),
            // What a library says may quote an address with its login.
            text: cut(one_line(&redacted(&(flow.unwrap_or_default() + &fields.message + &fields.others))).into_owned()),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take(metadata.callsite(), entry, Instant::now());
    }
}

fn cut(mut text: String) -> String {
    if text.len() > LONGEST_BYTES {
        text.truncate(text.floor_char_boundary(LONGEST_BYTES));
        text.push('…');
    }
    text
}

/// The message, then the other fields as `name=value`.
#[derive(Default)]
struct Fields {
    message: String,
    others: String,
    /// Of records that came through the crate `log`.
    target: Option<String>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "log.target" => self.target = Some(value.to_owned()),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing into a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name if name.starts_with("log.") => Ok(()),
            name => write!(self.others, " {name}={value:?}"),
        };
    }
}

/// A message on its way.
#[derive(Clone)]
struct Entry {
    level: Level,
    target: String,
    text: String,
}

/// What is written, and what is counted.
struct Lines {
    out: Box<dyn Write + Send>,
    colours: bool,
    targets: bool,
    repeats: Repeats,
}

impl Lines {
    fn shared(out: Box<dyn Write + Send>, colours: bool, targets: bool) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { out, colours, targets, repeats: Repeats::default() }))
    }

    fn take(&mut self, place: callsite::Identifier, entry: Entry, now: Instant) {
        for counted in self.repeats.due(now) {
            self.write(&counted);
        }
        // Whoever asks for details wants each of them.
        if entry.level > Level::INFO || self.repeats.admits(place, &entry, now) {
            self.write(&entry);
        }
    }

    fn end(&mut self) {
        for counted in self.repeats.all_counted(Instant::now()) {
            self.write(&counted);
        }
    }

    /// A line, handed to the system at once.
    fn write(&mut self, entry: &Entry) {
        let Entry { level, target, text } = entry;
        let time = jiff::Timestamp::now();
        let target = if self.targets { format!("{}: ", one_line(target)) } else { String::new() };
        let line = if self.colours {
            let colour = match *level {
                Level::ERROR => 31,
                Level::WARN => 33,
                Level::INFO => 32,
                Level::DEBUG => 34,
                Level::TRACE => 35,
            };
            format!(
                "\u{1b}[2m{time:.6}\u{1b}[0m \u{1b}[{colour}m{level:>5}\u{1b}[0m \u{1b}[2m{target}\u{1b}[0m{text}\n"
            )
        } else {
            format!("{time:.6} {level:>5} {target}{text}\n")
        };
        // Where the log itself can't be written there is no place left to say so.
        let _ = self.out.write_all(line.as_bytes());
    }
}

/// So often a message is written in an interval.
const MOST_ALIKE: u32 = 5;
/// So many messages of any text are written in an interval from one place of the program.
const MOST_OF_PLACE: u32 = 50;
/// The first interval; it doubles while messages repeat themselves,
const FIRST_INTERVAL: Duration = Duration::from_secs(10);
/// up to this.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3600);
/// Different messages that are told apart; beyond, only their places are.
const MOST_KINDS: usize = 512;

/// Counts messages that are alike: those from the same place of the program with the same text but for numbers.
#[derive(Default)]
struct Repeats {
    counts: HashMap<Kind, Count>,
    looked: Option<Instant>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Kind {
    /// A place of the program.
    Place(callsite::Identifier),
    /// A hash of the place and the text without its numbers.
    Alike(u64),
}

struct Count {
    begun: Instant,
    interval: Duration,
    written: u32,
    held: u64,
    newest: Option<Entry>,
}

impl Count {
    fn new(now: Instant) -> Self {
        Self { begun: now, interval: FIRST_INTERVAL, written: 0, held: 0, newest: None }
    }

    /// Ends the interval, and says what was held back in it.
    fn turn(&mut self, now: Instant) -> Option<Entry> {
        let counted = self.newest.take().map(|newest| {
            let seconds = now.saturating_duration_since(self.begun).as_secs_f64();
            let times = if self.held == 1 { "once more".to_owned() } else { format!("{} more times", self.held) };
            Entry { text: format!("{times} in {seconds:.0} s, at last: {}", newest.text), ..newest }
        });
        self.interval = (self.interval * 2).min(LONGEST_INTERVAL);
        (self.begun, self.written, self.held) = (now, 0, 0);
        counted
    }
}

impl Repeats {
    /// Whether a message is written; else it has been counted.
    fn admits(&mut self, place: callsite::Identifier, entry: &Entry, now: Instant) -> bool {
        let alike = Kind::Alike(hash(&place, &entry.text));
        if self.counts.len() < MOST_KINDS || self.counts.contains_key(&alike) {
            let count = self.counts.entry(alike).or_insert_with(|| Count::new(now));
            if count.written >= MOST_ALIKE {
                count.held += 1;
                count.newest = Some(entry.clone());
                return false;
            }
            count.written += 1;
        }
        let count = self.counts.entry(Kind::Place(place)).or_insert_with(|| Count::new(now));
        if count.written >= MOST_OF_PLACE {
            count.held += 1;
            count.newest = Some(entry.clone());
            return false;
        }
        count.written += 1;
        true
    }

    /// What was held back in intervals that are over.
    fn due(&mut self, now: Instant) -> Vec<Entry> {
        const LOOKS: Duration = Duration::from_secs(1);
        if self.looked.is_some_and(|at| now.saturating_duration_since(at) < LOOKS) {
            return Vec::new();
        }
        self.looked = Some(now);
        let mut counted = Vec::new();
        self.counts.retain(|_, count| {
            if now.saturating_duration_since(count.begun) < count.interval {
                return true;
            }
            // An interval without any: it is forgotten, and begins anew.
            let goes_on = count.written > 0;
            counted.extend(count.turn(now));
            goes_on
        });
        counted
    }

    /// What was held back, whether its interval is over or not.
    fn all_counted(&mut self, now: Instant) -> Vec<Entry> {
        self.counts.drain().filter_map(|(_, mut count)| count.turn(now)).collect()
    }
}

/// Of a text without its numbers, so that a counter in it makes no new message.
fn hash(place: &callsite::Identifier, text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    place.hash(&mut hasher);
    text.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty()).for_each(|part| part.hash(&mut hasher));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A place of the program.
    struct Here;

    impl callsite::Callsite for Here {
        fn set_interest(&self, _: tracing::subscriber::Interest) {}

        fn metadata(&self) -> &tracing::Metadata<'_> {
            unreachable!("a place is only told from others")
        }
    }

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is written of the events in `body`.
    fn logged(colours: bool, body: impl FnOnce()) -> String {
        let shared = Shared::default();
        let lines = Lines::shared(Box::new(shared.clone()), colours, false);
        tracing::subscriber::with_default(Registry::default().with(Log(lines.clone())), body);
        drop(LogEnd(lines));
        String::from_utf8(shared.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn half_a_million_like_messages_are_written_a_few_times_and_then_counted() {
        let text = logged(false, || {
            for n in 1..=500_000 {
                tracing::warn!("standard input #{n} is not a whole picture: the JPEG breaks off");
            }
            tracing::warn!("another matter");
        });
        assert!(text.len() < 3000 && text.lines().count() < 20, "{} bytes:\n{text}", text.len());
        assert!(text.contains("#1 is") && text.contains("another matter"), "{text}");
        let counted: u64 = text
            .lines()
            .filter_map(|line| line.split_once(" more times")?.0.rsplit(' ').next()?.parse::<u64>().ok())
            .sum();
        let written = text.lines().filter(|line| line.contains("breaks off") && !line.contains("more times")).count();
        assert_eq!(counted + written as u64, 500_000, "none is lost from the count:\n{text}");
    }

    #[test]
    fn messages_that_all_differ_are_counted_by_their_place() {
        let text = logged(false, || {
            for n in 0..20_000 {
                let name: String = format!("{n:05}").chars().map(|c| char::from(c as u8 + 49)).collect();
                tracing::warn!("the file {name} can't be read");
            }
        });
        assert!(text.lines().count() <= MOST_OF_PLACE as usize + 2, "{}", text.lines().count());
        assert!(text.contains("19950 more times"), "{text}");
    }

    #[test]
    fn a_message_that_goes_on_for_a_month_is_told_in_growing_intervals() {
        let mut lines = 0;
        let mut repeats = Repeats::default();
        let entry = Entry { level: Level::WARN, target: String::new(), text: "the camera is gone".to_owned() };
        let place = callsite::Identifier(&Here);
        let (begun, seconds) = (Instant::now(), 30 * 86_400);
        for at in (0..seconds).step_by(30) {
            let now = begun + Duration::from_secs(at);
            lines += repeats.due(now).len();
            lines += usize::from(repeats.admits(place.clone(), &entry, now));
        }
        assert!((100..6000).contains(&lines), "{lines} lines of 86400 messages");
        let later = begun + Duration::from_secs(seconds + 3 * 3600);
        assert_eq!(repeats.due(later).len(), 1, "what was held back is told once");
        assert!(
            repeats.due(later + LONGEST_INTERVAL * 3).is_empty() && repeats.counts.is_empty(),
            "then it is forgotten"
        );
    }

    #[test]
    fn what_a_message_quotes_cannot_begin_a_line_or_reach_the_terminal() {
        let hostile = "x.jpg\n2026-01-01T00:00:00Z ERROR all is lost\u{1b}[2J\u{7}\u{9b}";
        for colours in [false, true] {
            let text = logged(colours, || tracing::warn!(file = hostile, "{hostile}"));
            assert_eq!(text.lines().count(), 1, "{text:?}");
            assert!(!text.contains("\u{1b}[2J") && !text.contains(['\u{7}', '\u{9b}']), "{text:?}");
            assert_eq!(text.contains('\u{1b}'), colours, "colours, and only where they are wanted: {text:?}");
        }
        let long = logged(false, || tracing::warn!("{}", "é".repeat(1 << 20)));
        assert!(long.len() < LONGEST_BYTES + 100);
    }

    #[test]
    fn no_line_has_the_login_of_an_address() {
        let text =
            logged(false, || tracing::warn!(at = "http://u:geheim@cam/x?token=abc", "rtsp://admin:geheim@cam: gone"));
        assert!(text.contains("rtsp://***@cam: gone") && text.contains("http://***@cam/x?token=***"), "{text}");
        assert!(!text.contains("geheim"), "{text}");
    }
}

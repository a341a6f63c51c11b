//! What one turn came to: the words, the tools, the tokens, and where the time went; as a table, as JSON, as a trace.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use nearfield_base::persist::{Existing, NewFile};
use nearfield_speech::stt::Suppression;
use nearfield_stages::flow::{Failure, FlowEvent, Ledger, StageTimes, Turn};
use nearfield_stages::messages::{Envelope, Played};
use nearfield_stages::voice::notes::{Note, Replied};
use nearfield_stages::voice::pace::{Foreseen, Pace};
use serde_json::{Value, json};

use crate::output::terminal::{chain, indented, one_line};

/// Notes of turns that never come to their end are forgotten beyond this many.
const MAX_OPEN_TURNS: usize = 64;

/// Everything that is known of a turn when it is over.
#[derive(Debug)]
pub struct TurnReport {
    /// Which.
    pub turn: Turn,
    /// What was understood.
    pub heard: String,
    /// Why nothing was understood.
    pub suppressed: Option<Suppression>,
    /// The reply, its tools and tokens.
    pub replied: Replied,
    /// What left the loudspeaker.
    pub played: Played,
    /// When the speaker ended, when that was certain, when the words were known, and when all was over.
    pub speech_ended: Instant,
    /// When it was certain that the speaker had ended.
    pub closed: Instant,
    /// When the words were known.
    pub transcribed: Instant,
    /// When all was over.
    pub finished: Instant,
    /// The stages, in the order in which they began.
    pub stages: Vec<StageTimes>,
    /// What failed.
    pub errors: Vec<String>,
    /// The time that the first audio may take.
    pub budget: Duration,
    /// What was foreseen of it, and done about it.
    pub foreseen: Foreseen,
}

impl TurnReport {
    /// From the end of speech to the first audio: the figure that matters.
    pub fn first_audio(&self) -> Option<Duration> {
        self.played.first_audio.map(|at| at.saturating_duration_since(self.speech_ended))
    }

    /// From the certainty that the speaker had ended to the first audio: what the machine, not the silence, took.
    pub fn first_audio_after_close(&self) -> Option<Duration> {
        self.played.first_audio.map(|at| at.saturating_duration_since(self.closed))
    }

    /// Whether the first audio came too late.
    pub fn over_budget(&self) -> bool {
        self.first_audio().is_some_and(|d| d > self.budget)
    }

    /// The time until the first audio in which the turn's messages lay in queues, stage by stage: the wait of each
    /// stage's first message, which is what held up the first sound.
    pub fn queued(&self) -> Duration {
        let until = self.played.first_audio;
        self.stages
            .iter()
            .filter(|s| until.is_some_and(|at| s.started <= at) && s.first_input >= self.speech_ended)
            .map(|s| s.started.saturating_duration_since(s.first_input))
            .sum()
    }

    /// The machine-readable form; times in milliseconds, those of stages counted from the end of speech.
    pub fn json(&self) -> Value {
        let since = |at: Instant| signed_ms(self.speech_ended, at);
        let stage = |name: &str| self.stages.iter().find(|s| s.stage == name);
        let first_clause = stage("speak").map(|s| s.first_input);
        let tts = self.played.first_audio.zip(first_clause).map(|(at, from)| signed_ms(from, at));
        let llm = self.replied.first_token.map(|at| signed_ms(self.transcribed, at));
        let mut value = json!({
            "turn": self.turn,
            "heard": self.heard,
            "reply": self.replied.reply,
            "answered_by": self.replied.answered_by.as_str(),
            "tools": self.replied.tools,
            "tokens": self.replied.tokens,
            "latency_ms": {
                "end_of_speech_to_first_audio": self.first_audio().map(ms),
                "end_of_turn": signed_ms(self.speech_ended, self.closed),
                "stt": signed_ms(self.closed, self.transcribed),
                "llm_first_token": llm,
                "tts_first_audio": tts,
                "queued": ms(self.queued()),
                "total": since(self.finished),
            },
            "stages": self.stages.iter().map(|s| json!({
                "stage": s.stage,
                "began": since(s.started),
                "first_output": s.first_output.map(since),
                "ended": since(s.ended),
                "waited": ms(s.waited),
                "worked": ms(s.worked),
                "blocked": ms(s.blocked),
                "inputs": s.inputs,
                "outputs": s.outputs,
                "dropped": s.dropped,
            })).collect::<Vec<_>>(),
            "audio_ms": ms(self.played.audio),
            "interrupted": self.played.interrupted,
            "spoken": self.played.heard.join(" "),
            "forgotten": self.replied.forgotten,
            "summarized": self.replied.summarized,
            "cut_off": self.replied.cut_off,
            "repeated": self.replied.repeated,
            "ahead": self.replied.ahead,
            "over_budget": self.over_budget(),
            "budget": {
                "first_audio_ms": ms(self.budget),
                "foreseen_ms": self.foreseen.first_audio.map(ms),
                "measures": self.foreseen.measures,
            },
            "filler": self.played.filler,
        });
        let object = value.as_object_mut().expect("it was made as an object");
        if let Some(suppressed) = self.suppressed {
            object.insert("suppressed".into(), json!(suppressed.as_str()));
        }
        if !self.errors.is_empty() {
            object.insert("errors".into(), json!(self.errors));
        }
        value
    }

    /// The form for people.
    ///
    /// # Errors
    /// If `out` can't be written.
    pub fn print(&self, out: &mut dyn Write) -> std::io::Result<()> {
        const INDENT: &str = "          "; // As wide as what stands before each value.
        writeln!(out, "turn {}", self.turn)?;
        match (&self.suppressed, self.heard.is_empty()) {
            (Some(why), _) => writeln!(out, "  heard   (nothing: {})", why)?,
            (None, true) => {}
            (None, false) => writeln!(out, "  heard   {}", indented(&self.heard, INDENT))?,
        }
        for tool in &self.replied.tools {
            let call = format!("{} {} -> {}", tool.name, tool.arguments, tool.result);
            writeln!(out, "  tool    {}", indented(&call, INDENT))?;
        }
        if !self.replied.reply.is_empty() {
            writeln!(out, "  reply   {}", indented(&self.replied.reply, INDENT))?;
        }
        if self.played.interrupted {
            writeln!(out, "  heard of it before the interruption: {:?}", self.played.heard.join(" "))?;
        }
        for error in &self.errors {
            writeln!(out, "  error   {}", one_line(error))?;
        }
        if let Some(first) = self.first_audio() {
            let mark = if self.over_budget() { "OVER" } else { "within" };
            writeln!(
                out,
                "  first audio {:.0} ms after the end of speech ({mark} the budget of {} ms); tokens: {}",
                ms(first),
                self.budget.as_millis(),
                self.replied.tokens
            )?;
        }
        if !self.stages.is_empty() {
            writeln!(
                out,
                "  {:<12}{:>10}{:>12}{:>10}{:>10}{:>10}",
                "stage / ms", "began", "first out", "ended", "worked", "waited"
            )?;
        }
        for s in &self.stages {
            let since = |at: Instant| signed_ms(self.speech_ended, at);
            let first = s.first_output.map_or("-".to_owned(), |at| format!("{:.1}", since(at)));
            writeln!(
                out,
                "  {:<12}{:>10.1}{first:>12}{:>10.1}{:>10.1}{:>10.1}",
                s.stage,
                since(s.started),
                since(s.ended),
                ms(s.worked),
                ms(s.waited)
            )?;
        }
        Ok(())
    }
}

/// Gathers what is told of the turns under way until each is over.
#[derive(Debug)]
pub struct Collector {
    ledger: Ledger,
    pace: Pace,
    open: BTreeMap<Turn, Open>,
    /// The last turn that was over.
    last: Turn,
    /// It, where its reply is still to be told: an interrupted voice falls silent before the model does.
    unreplied: Option<(Open, Played)>,
}

#[derive(Debug, Default)]
struct Open {
    heard: Option<(String, Option<Suppression>, Instant, Instant, Instant)>,
    replied: Option<Replied>,
    errors: Vec<String>,
}

impl Collector {
    /// Takes the stages' times from `ledger`.
    pub fn new(ledger: Ledger, pace: Pace) -> Self {
        Self { ledger, pace, open: BTreeMap::new(), last: Turn(0), unreplied: None }
    }

    /// Takes what a flow tells; answers the reports of the turns that are over with it.
    pub fn take(&mut self, event: FlowEvent<'_, Played, Note>) -> Vec<TurnReport> {
        match event {
            FlowEvent::Output(Envelope { turn, body, .. }) => self.finish(turn, body),
            FlowEvent::Ended { panicked: true } => self.abandon(),
            FlowEvent::Ended { panicked: false } => self.late().into_iter().collect(),
            FlowEvent::Note(note) => self.note(note),
            FlowEvent::Failed(failure) => self.failed(failure),
        }
    }

    /// Takes a note; answers the report of a turn that only waited for it.
    pub fn note(&mut self, note: Note) -> Vec<TurnReport> {
        match note {
            Note::Speaking { .. } | Note::Spoken { .. } => {}
            Note::Heard { turn, text, suppressed, speech_ended, closed, transcribed } => {
                self.open(turn).heard = Some((text, suppressed, speech_ended, closed, transcribed));
            }
            Note::Replied { turn, replied } if turn == self.last => {
                if let Some((open, _)) = &mut self.unreplied {
                    open.replied = Some(replied);
                }
                return self.late().into_iter().collect();
            }
            Note::Replied { turn, replied } if turn > self.last => self.open(turn).replied = Some(replied),
            Note::Replied { .. } => {}
        }
        Vec::new()
    }

    /// The report of the turn that waited for its reply.
    fn late(&mut self) -> Option<TurnReport> {
        let (open, played) = self.unreplied.take()?;
        Some(self.report(self.last, open, played))
    }

    /// Takes a failure; one that belongs to no turn, or to one that was interrupted and reported, is logged.
    fn failed(&mut self, failure: &Failure) -> Vec<TurnReport> {
        let text = format!("{}: {}", failure.stage, chain(&failure.error));
        match (failure.turn, &mut self.unreplied) {
            (Some(turn), Some((open, _))) if turn == self.last => {
                open.errors.push(text);
                return self.late().into_iter().collect();
            }
            (Some(turn), _) if turn > self.last => {
                let errors = &mut self.open(turn).errors;
                if !errors.contains(&text) {
                    errors.push(text);
                }
            }
            // The flow's own error, which is told at its end.
            _ if failure.is_fatal => {}
            _ => tracing::error!("{text}"),
        }
        Vec::new()
    }

    fn open(&mut self, turn: Turn) -> &mut Open {
        while self.open.len() > MAX_OPEN_TURNS {
            self.open.pop_first();
        }
        self.open.entry(turn).or_default()
    }

    /// The turn is over: its report, after those of earlier turns that were silenced before they had made any sound.
    pub fn finish(&mut self, turn: Turn, played: Played) -> Vec<TurnReport> {
        let later = self.open.split_off(&Turn(turn.0 + 1));
        let mut over = std::mem::replace(&mut self.open, later);
        over.entry(turn).or_default();
        let mut reports: Vec<TurnReport> = self.late().into_iter().collect();
        self.last = turn;
        let mut played = Some(played);
        for (t, open) in over {
            let played = if t == turn { played.take() } else { None };
            let played = played.unwrap_or_else(silenced);
            let was_asked = open.heard.as_ref().is_some_and(|(text, ..)| !text.is_empty());
            if t == turn && played.interrupted && was_asked && open.replied.is_none() && open.errors.is_empty() {
                self.unreplied = Some((open, played));
            } else {
                reports.push(self.report(t, open, played));
            }
        }
        reports
    }

    /// The flow ends before its turns do: what is known of those that somebody began.
    fn abandon(&mut self) -> Vec<TurnReport> {
        let open = std::mem::take(&mut self.open);
        let mut reports: Vec<TurnReport> = self.late().into_iter().collect();
        reports.extend(open.into_iter().map(|(turn, open)| self.report(turn, open, silenced())));
        reports
    }

    fn report(&self, turn: Turn, open: Open, played: Played) -> TurnReport {
        let now = Instant::now();
        let (heard, suppressed, speech_ended, closed, transcribed) =
            open.heard.unwrap_or_else(|| (String::new(), None, now, now, now));
        TurnReport {
            turn,
            heard,
            suppressed,
            replied: open.replied.unwrap_or_default(),
            played,
            speech_ended,
            closed,
            transcribed,
            finished: now,
            stages: self.ledger.take(turn),
            errors: open.errors,
            budget: self.pace.budget().unwrap_or(Duration::MAX),
            foreseen: self.pace.foreseen(turn),
        }
    }
}

/// A reply of which nothing was heard.
fn silenced() -> Played {
    Played { heard: Vec::new(), interrupted: true, first_audio: None, audio: Duration::ZERO, filler: false }
}

/// A Chrome trace (chrome://tracing, Perfetto): one row a stage, one box a step.
pub struct TraceWriter {
    out: BufWriter<NewFile>,
    path: PathBuf,
    start: Instant,
    rows: Vec<&'static str>,
    first: bool,
}

impl TraceWriter {
    /// Begins a trace in a file, which appears with the first turn; times count from now.
    ///
    /// # Errors
    /// If the file can't be written, or there is one that is to be kept; it is named.
    pub fn create(path: &Path, existing: Existing) -> anyhow::Result<Self> {
        let begin = || -> std::io::Result<Self> {
            let mut out = BufWriter::new(NewFile::begin(path, existing)?);
            out.write_all(b"[")?;
            Ok(Self { out, path: path.to_owned(), start: Instant::now(), rows: Vec::new(), first: true })
        };
        begin().with_context(|| cant_be_written(path))
    }

    /// Adds a turn.
    ///
    /// # Errors
    /// If the file can't be written; it is named.
    pub fn turn(&mut self, report: &TurnReport) -> anyhow::Result<()> {
        self.add_turn(report).with_context(|| cant_be_written(&self.path))
    }

    /// Adds the stages of a turn.
    ///
    /// # Errors
    /// If the file can't be written; it is named.
    pub fn stages(&mut self, turn: Turn, stages: &[StageTimes]) -> anyhow::Result<()> {
        let added = self.add_stages(turn, stages).and_then(|()| self.settle());
        added.with_context(|| cant_be_written(&self.path))
    }

    fn settle(&mut self) -> std::io::Result<()> {
        self.out.flush()?;
        self.out.get_mut().settle()
    }

    fn add_turn(&mut self, report: &TurnReport) -> std::io::Result<()> {
        self.add_stages(report.turn, &report.stages)?;
        let marks = [("speech ended", Some(report.speech_ended)), ("first audio", report.played.first_audio)];
        for (name, at) in marks {
            if let Some(at) = at {
                self.event(&json!({"name": name, "ph": "i", "s": "g", "pid": 1, "tid": 0, "ts": self.us(at), "args": {"turn": report.turn}}))?;
            }
        }
        self.settle()
    }

    fn add_stages(&mut self, turn: Turn, stages: &[StageTimes]) -> std::io::Result<()> {
        for stage in stages {
            let row = match self.rows.iter().position(|r| *r == stage.stage) {
                Some(row) => row,
                None => {
                    self.rows.push(stage.stage);
                    let row = self.rows.len() - 1;
                    self.event(
                        &json!({"name": "thread_name", "ph": "M", "pid": 1, "tid": row, "args": {"name": stage.stage}}),
                    )?;
                    row
                }
            };
            for (begun, ended) in &stage.steps {
                self.event(&json!({
                    "name": format!("{} {turn}", stage.stage), "ph": "X", "pid": 1, "tid": row,
                    "ts": self.us(*begun), "dur": (*ended - *begun).as_micros() as u64, "args": {"turn": turn},
                }))?;
            }
        }
        Ok(())
    }

    /// Closes the trace.
    ///
    /// # Errors
    /// If the file can't be written; it is named.
    pub fn end(mut self) -> anyhow::Result<()> {
        let ended = self.out.write_all(b"\n]\n").and_then(|()| self.settle());
        ended.with_context(|| cant_be_written(&self.path))
    }

    fn us(&self, at: Instant) -> i64 {
        let after = at.saturating_duration_since(self.start).as_micros() as i64;
        after - self.start.saturating_duration_since(at).as_micros() as i64
    }

    fn event(&mut self, event: &Value) -> std::io::Result<()> {
        self.out.write_all(if std::mem::take(&mut self.first) { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut self.out, event)?;
        Ok(())
    }
}

fn cant_be_written(path: &Path) -> String {
    format!("the trace {} can't be written", path.display())
}

/// Milliseconds, to the microsecond.
pub fn ms(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// Milliseconds from one instant to another, negative where it came before.
fn signed_ms(from: Instant, to: Instant) -> f64 {
    ms(to.saturating_duration_since(from)) - ms(from.saturating_duration_since(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(turn: u64) -> Note {
        let now = Instant::now();
        let text = "How old is Rome?".to_owned();
        Note::Heard { turn: Turn(turn), text, suppressed: None, speech_ended: now, closed: now, transcribed: now }
    }

    fn replied(turn: u64) -> Note {
        let replied = Replied { reply: "Very old.".to_owned(), ..Replied::default() };
        Note::Replied { turn: Turn(turn), replied }
    }

    #[test]
    fn an_interrupted_turn_is_reported_once_with_the_reply_that_is_told_later() {
        let mut collector = Collector::new(Ledger::default(), Pace::within(Duration::from_secs(1)));
        assert!(collector.note(heard(1)).is_empty());
        assert!(collector.finish(Turn(1), silenced()).is_empty(), "the model has not fallen silent yet");
        let told = collector.note(replied(1));
        assert_eq!(
            (told.len(), told[0].heard.as_str(), told[0].replied.reply.as_str()),
            (1, "How old is Rome?", "Very old.")
        );
        // One whose reply is never told is reported with the next.
        collector.note(heard(2));
        assert!(collector.finish(Turn(2), silenced()).is_empty());
        collector.note(heard(3));
        collector.note(replied(3));
        let told: Vec<u64> = collector.finish(Turn(3), silenced()).iter().map(|report| report.turn.0).collect();
        assert_eq!(told, [2, 3]);
        assert!(collector.note(replied(2)).is_empty(), "it has been reported");
    }

    #[test]
    fn the_end_of_the_flow_waits_for_no_reply() {
        let mut collector = Collector::new(Ledger::default(), Pace::within(Duration::from_secs(1)));
        collector.note(heard(1));
        assert!(collector.finish(Turn(1), silenced()).is_empty());
        assert_eq!(collector.take(FlowEvent::Ended { panicked: false }).len(), 1);
    }
}

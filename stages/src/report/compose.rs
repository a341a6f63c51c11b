//! A window's table is put into words: the model writes under a sampler that is held to the facts of the table (numbers, names, units,
//! directions and times stand as alternatives; the words and the order are the model's choice). Each sentence is then checked like any
//! other text, and what does not hold is written once more, held to the forms of that one fact, then replaced by the plain sentence
//! computed from it.
//!
//! The second try goes on from the same prompt, which stands in the cache: it costs its own tokens and no more. A model that
//! only ever lies chooses among true sentences then.
//!
//! What leaves this stage has passed the check, whoever wrote it. Sentences leave as they are found true; one that has to be
//! written again holds up those behind it, so that their order stays.

use std::collections::HashSet;
use std::time::Instant;

use jiff::civil::Date;
use nearfield_llm::{
    Constrained, Constraint, Finish, GenerateOptions, LlmError, Message, Role, SamplerOptions, SessionOptions, TokenId,
};
use nearfield_telemetry::check::{self, Covered};
use nearfield_telemetry::forms::{Forms, forms, report_forms};
use nearfield_telemetry::language::Language;
use nearfield_telemetry::sentence::{MAX_SENTENCES, SentenceCutter, Topic, compute, facts, topics};
use nearfield_telemetry::table::Table;
use std::ops::ControlFlow;

use crate::flow::{Emit, Stage, Turn, Turns};
use crate::llm_thread::{Job, LlmThread, SessionId, Urgency};
use crate::messages::{Composed, Envelope, Origin, Report, ReportPart, Sentence, Tokens, WindowSummary};

/// Fewest sentences of a report.
const FEWEST_SENTENCES: usize = 2;
/// Refused sentences that are kept for whoever wants to know why.
const MAX_REFUSED: usize = 8;

/// What is to be written, and the forms that it may have.
#[derive(Clone, Copy, Debug)]
pub enum Task<'a> {
    /// A whole report.
    Report(&'a Forms),
    /// One sentence, at the second try.
    Sentence(&'a Forms),
}

impl<'a> Task<'a> {
    /// The forms that it may have.
    pub fn forms(self) -> &'a Forms {
        match self {
            Task::Report(forms) | Task::Sentence(forms) => forms,
        }
    }
}

/// Whoever writes: the language model, or a test's idea of one.
pub trait Writer: Send {
    /// Writes about a table; what is written goes to `sink`, whose answer ends it.
    ///
    /// # Errors
    /// If the model fails. [`LlmError::Constraint`]: it can't write any of the task's forms, but may well write others.
    fn write(
        &mut self,
        turn: Turn,
        table: &str,
        task: Task<'_>,
        most_tokens: usize,
        sink: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> anyhow::Result<Tokens>;

    /// A report is finished; the next is about a window that ended on `day`.
    fn rest(&mut self, _day: Date) {}
}

/// How the model is prompted.
#[derive(Clone, Debug)]
pub struct ComposeOptions {
    /// The system text, before the table.
    pub system: String,
    /// Worked examples, for a model that was not trained on tables: a table, and a report on it. They are left out where the context
    /// has no room for them.
    pub examples: Vec<(String, String)>,
    /// The session's context and cache.
    pub session: SessionOptions,
    /// How tokens are chosen.
    pub sampler: SamplerOptions,
    /// The longest report in tokens.
    pub max_tokens: usize,
    /// How many tokens may be guessed from the prompt at a time: see [`GenerateOptions::lookahead`].
    pub lookahead: usize,
}

/// The language model as a writer: one session, cut back to the system message after each window, emptied once a day.
pub struct ModelWriter {
    llm: LlmThread,
    session: SessionId,
    options: ComposeOptions,
    turns: Turns,
    day: Option<Date>,
    flushes: u64,
}

impl ModelWriter {
    /// Opens a session and prefills the system message.
    ///
    /// # Errors
    /// If the session can't be opened or the model carries no vocabulary.
    pub fn new(llm: LlmThread, options: ComposeOptions, turns: Turns) -> anyhow::Result<ModelWriter> {
        let session = llm.open(Urgency::Report, options.session)?;
        llm.llm().tokenizer()?;
        let writer = ModelWriter { llm, session, options, turns, day: None, flushes: 0 };
        writer.cut_back();
        Ok(writer)
    }

    /// What stands before the model's words; without a table, what all of them have in common.
    fn tokens(&self, table: Option<&str>) -> anyhow::Result<Vec<TokenId>> {
        let llm = self.llm.llm();
        let mut messages = vec![Message::new(Role::System, self.options.system.as_str())];
        for (table, report) in &self.options.examples {
            messages.push(Message::new(Role::User, table.as_str()));
            messages.push(Message::new(Role::Assistant, report.as_str()));
        }
        messages.extend(table.map(|t| Message::new(Role::User, t)));
        let text = match llm.template() {
            Ok(template) => template.render(&messages, &[], table.is_some())?,
            // A model that only continues text goes on with what the examples show.
            Err(LlmError::NoTemplate { .. }) => continued(&messages, table.is_some()),
            Err(error) => return Err(error.into()),
        };
        Ok(llm.tokenizer()?.encode_prompt(&text))
    }

    /// Leaves nothing but the shared prefix in the cache.
    fn cut_back(&self) {
        match self.tokens(None) {
            Ok(prefix) if !prefix.is_empty() => self.llm.warm(self.session, prefix),
            Ok(_) => {}
            // Some templates insist on a question; then the prefix is what two prompts have in common.
            Err(error) => tracing::debug!(%error, "the chat template does not render without a question"),
        }
    }

    fn generate(
        &mut self,
        turn: Turn,
        table: &str,
        constraint: Option<Constrained>,
        most_tokens: usize,
        sink: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> anyhow::Result<Tokens> {
        let mut prompt = self.tokens(Some(table))?;
        let room = self.options.session.context_tokens.saturating_sub(most_tokens);
        if prompt.len() > room && !self.options.examples.is_empty() {
            tracing::info!("the context has no room for examples of reports: raise llm.context_tokens to have them");
            self.options.examples.clear();
            prompt = self.tokens(Some(table))?;
        }
        anyhow::ensure!(
            prompt.len() <= room,
            "the table has {} tokens but the context has room for {room}: raise llm.context_tokens",
            prompt.len()
        );
        let reply = self.llm.run(Job {
            session: self.session,
            prompt,
            sampler: self.options.sampler,
            options: GenerateOptions {
                max_tokens: most_tokens,
                constraint,
                lookahead: self.options.lookahead,
                ..GenerateOptions::default()
            },
            cancel: self.turns.cancel_of(turn),
        });
        let mut tokens = Tokens::default();
        let finish = reply.read(&mut tokens, sink)?;
        anyhow::ensure!(finish != Some(Finish::Stopped), "the program ends: the model had no more time");
        Ok(tokens)
    }
}

impl Writer for ModelWriter {
    fn write(
        &mut self,
        turn: Turn,
        table: &str,
        task: Task<'_>,
        most_tokens: usize,
        sink: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> anyhow::Result<Tokens> {
        let held = Constrained { constraint: Constraint::Regex(task.forms().expression()), after: None };
        self.generate(turn, table, Some(held), most_tokens, sink)
    }

    fn rest(&mut self, day: Date) {
        if self.day.replace(day).is_some_and(|before| before != day) {
            // Whatever a long run may have left in the cache does not outlive the day.
            self.llm.forget(self.session);
            self.flushes += 1;
            tracing::debug!(flushes = self.flushes, "the session was emptied");
        }
        self.cut_back();
    }
}

/// The stage.
pub struct Compose {
    writer: Option<Box<dyn Writer>>,
    max_tokens: usize,
    /// Why the model could not write the last report: told once.
    failure: Option<String>,
    /// The report at hand, when it is complete.
    report: Option<Report>,
}

impl Compose {
    /// With a writer; without one every sentence is computed.
    pub fn new(writer: Option<Box<dyn Writer>>, max_tokens: usize) -> Compose {
        Compose { writer, max_tokens, failure: None, report: None }
    }

    /// Puts a table into words; each sentence goes to `said` as soon as it is certain.
    pub fn compose(&mut self, turn: Turn, table: &Table, closed: Instant, said: &mut dyn FnMut(&Sentence)) -> Composed {
        let mut draft = Draft::new(table, closed);
        // The check knows English words only.
        let mut writer = self.writer.as_deref_mut().filter(|_| table.language() == Language::English);
        if let Some(writer) = &mut writer {
            let mut cutter = SentenceCutter::default();
            let mut sink = |text: &str| {
                draft.composed.first_word.get_or_insert_with(|| closed.elapsed());
                for sentence in cutter.push(text) {
                    draft.consider(&sentence, said);
                }
                if draft.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let whole = report_forms(table);
            match writer.write(turn, &table.to_string(), Task::Report(&whole), self.max_tokens, &mut sink) {
                Ok(tokens) => draft.count(tokens),
                // Of a report that can't be written, other sentences may.
                Err(error) if is_constraint(&error) => draft.refuse(String::new(), format!("{error:#}")),
                Err(error) => draft.composed.failure = Some(format!("{error:#}")),
            }
            if !draft.is_full()
                && let Some(rest) = cutter.finish()
            {
                draft.consider(&rest, said);
            }
        }
        draft.want_what_is_missing();
        while let Some((place, topic)) = draft.next_gap() {
            let sentence = self.second_try(turn, &mut draft, topic);
            draft.fill(place, sentence, said);
        }
        draft.composed.checked = closed.elapsed();
        if let Some(writer) = &mut self.writer {
            writer.rest(table.dates()[1]);
        }
        draft.finish()
    }

    /// Once more, held to the true forms of one fact, then by computation.
    fn second_try(&mut self, turn: Turn, draft: &mut Draft<'_>, topic: Topic) -> Sentence {
        let table = draft.table;
        let writer = self.writer.as_deref_mut().filter(|_| table.language() == Language::English);
        if let (Some(writer), None) = (writer, &draft.composed.failure) {
            let mut text = String::new();
            let mut sink = |piece: &str| {
                text.push_str(piece);
                ControlFlow::Continue(())
            };
            let written = writer.write(
                turn,
                &table.to_string(),
                Task::Sentence(&forms(table, topic)),
                self.max_tokens,
                &mut sink,
            );
            let sentence = text.trim().to_owned();
            match written {
                Ok(tokens) => {
                    draft.count(tokens);
                    // The check stays the judge: of the fact's own table, so that it must be told of this sensor.
                    match check::check(&facts(table, topic), &sentence) {
                        Ok(told) if tells(&told, topic) => {
                            return Sentence { text: sentence, origin: Origin::Regenerated };
                        }
                        Ok(_) => draft.refuse(sentence, "it does not tell what it should".to_owned()),
                        Err(violation) => draft.refuse(sentence, violation.to_string()),
                    }
                }
                // A vocabulary without the letters of a name can't write it; other sentences it can.
                Err(error) if is_constraint(&error) => {
                    draft.refuse(sentence, format!("{error:#}"));
                }
                Err(error) => draft.composed.failure = Some(format!("{error:#}")),
            }
        }
        Sentence { text: compute(table, topic), origin: Origin::Computed }
    }
}

/// Messages as plain text; `asks`: up to where the next report begins.
fn continued(messages: &[Message], asks: bool) -> String {
    let mut text = String::new();
    for message in messages {
        let label = if message.role == Role::Assistant { "Report: " } else { "" };
        let end = if message.role == Role::User { "\n" } else { "\n\n" };
        text.push_str(&format!("{label}{}{end}", message.content));
    }
    if asks {
        text.push_str("Report:");
    }
    text
}

/// Whether the model lacks the letters for what it is held to.
fn is_constraint(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(LlmError::Constraint { .. }))
}

/// Whether a sentence that holds of a topic's facts tells that topic.
fn tells(told: &Covered, topic: Topic) -> bool {
    match topic {
        Topic::NothingUnusual => told.nothing_unusual,
        Topic::Note(_) => !told.notes.is_empty(),
        Topic::Row(_) => !told.nothing_unusual,
    }
}

/// A report while it is written.
struct Draft<'a> {
    table: &'a Table,
    topics: Vec<Topic>,
    covered: HashSet<Topic>,
    texts: HashSet<String>,
    /// In order; `Err` is a gap that waits for its sentence.
    places: Vec<Result<Sentence, Topic>>,
    /// How many of the places have been said.
    said: usize,
    composed: Composed,
}

impl<'a> Draft<'a> {
    fn new(table: &'a Table, _closed: Instant) -> Draft<'a> {
        Draft {
            table,
            topics: topics(table),
            covered: HashSet::new(),
            texts: HashSet::new(),
            places: Vec::new(),
            said: 0,
            composed: Composed::default(),
        }
    }

    fn is_full(&self) -> bool {
        self.places.len() >= MAX_SENTENCES
    }

    fn count(&mut self, tokens: Tokens) {
        self.composed.tokens += tokens;
    }

    fn refuse(&mut self, sentence: String, reason: String) {
        if self.composed.refused.len() < MAX_REFUSED {
            self.composed.refused.push((sentence.chars().take(300).collect(), reason));
        }
    }

    /// Holds a sentence to the table; a false one leaves a gap where the truth will stand.
    fn consider(&mut self, sentence: &str, said: &mut dyn FnMut(&Sentence)) {
        if self.is_full() {
            return;
        }
        match check::check(self.table, sentence) {
            Ok(told) => {
                // The last places are kept for anomalies that have not been told yet.
                let untold = (0..self.topics.len())
                    .filter(|i| matches!(self.topics[*i], Topic::Note(_)) && !self.covered.contains(&self.topics[*i]));
                let tells_none = told.notes.is_empty() && !told.nothing_unusual;
                if tells_none && untold.count() >= MAX_SENTENCES - self.places.len() {
                    return;
                }
                let news = self.cover(&told);
                if news && self.texts.insert(sentence.to_owned()) {
                    self.places.push(Ok(Sentence { text: sentence.to_owned(), origin: Origin::Written }));
                    self.say(said);
                }
            }
            Err(violation) => {
                self.refuse(sentence.to_owned(), violation.to_string());
                let named = check::named(self.table, sentence);
                let about = |topic: &Topic| match topic {
                    Topic::NothingUnusual => false,
                    Topic::Note(n) => named.contains(&self.table.notes()[*n].row),
                    Topic::Row(r) => named.contains(r),
                };
                let open = || self.topics.iter().filter(|t| !self.covered.contains(t)).copied();
                if let Some(topic) = open().find(about).or_else(|| open().next()) {
                    self.covered.insert(topic);
                    self.places.push(Err(topic));
                }
            }
        }
    }

    /// Notes what a sentence has told; answers whether any of it was new.
    fn cover(&mut self, told: &Covered) -> bool {
        let mut news = false;
        if told.nothing_unusual {
            news |= self.covered.insert(Topic::NothingUnusual);
        }
        for note in &told.notes {
            news |= self.covered.insert(Topic::Note(*note));
        }
        if told.notes.is_empty() {
            for row in &told.rows {
                news |= self.covered.insert(Topic::Row(*row));
            }
        }
        news
    }

    /// No anomaly is passed over, and a report has two sentences at least.
    fn want_what_is_missing(&mut self) {
        // "Nothing unusual" stands at the beginning, or, where there is too little else to say, at the end.
        let (calm, others): (Vec<Topic>, Vec<Topic>) =
            self.topics.iter().copied().partition(|t| *t == Topic::NothingUnusual);
        let order = if self.said == 0 { [calm, others] } else { [others, calm] };
        for topic in order.into_iter().flatten() {
            let must = !matches!(topic, Topic::Row(_)) || self.places.len() < FEWEST_SENTENCES;
            if must && self.covered.insert(topic) {
                match topic {
                    Topic::NothingUnusual if self.said == 0 => self.places.insert(0, Err(topic)),
                    Topic::NothingUnusual if self.places.len() >= FEWEST_SENTENCES => {}
                    _ => self.places.push(Err(topic)),
                }
            }
        }
    }

    fn next_gap(&self) -> Option<(usize, Topic)> {
        self.places.iter().enumerate().find_map(|(i, place)| place.as_ref().err().map(|topic| (i, *topic)))
    }

    fn fill(&mut self, place: usize, sentence: Sentence, said: &mut dyn FnMut(&Sentence)) {
        self.places[place] = Ok(sentence);
        self.say(said);
    }

    fn say(&mut self, said: &mut dyn FnMut(&Sentence)) {
        while let Some(Ok(sentence)) = self.places.get(self.said) {
            said(sentence);
            self.said += 1;
        }
    }

    fn finish(mut self) -> Composed {
        self.composed.sentences = self.places.into_iter().filter_map(Result::ok).collect();
        self.composed
    }
}

impl Stage for Compose {
    type In = WindowSummary;
    type Out = ReportPart;

    fn name(&self) -> &'static str {
        "compose"
    }

    fn step(&mut self, input: Envelope<WindowSummary>, emit: &mut Emit<'_, ReportPart>) -> anyhow::Result<()> {
        let Envelope { turn, body: summary, .. } = input;
        let _ = emit(Envelope::new(turn, ReportPart::Title(summary.table.heading().to_owned())));
        let composed = self.compose(turn, &summary.table, summary.closed, &mut |sentence| {
            let _ = emit(Envelope::new(turn, ReportPart::Sentence(sentence.clone())));
        });
        if let Some(failure) = &composed.failure
            && self.failure.as_ref() != Some(failure)
        {
            tracing::warn!(%turn, failure, "the model could not write; the report is computed");
        }
        self.failure.clone_from(&composed.failure);
        for (sentence, reason) in &composed.refused {
            tracing::debug!(%turn, sentence, reason, "refused");
        }
        self.report = Some(Report { summary, composed });
        Ok(())
    }

    fn conclude(&mut self, turn: Turn, emit: &mut Emit<'_, ReportPart>) {
        if let Some(report) = self.report.take() {
            let _ = emit(Envelope::new(turn, ReportPart::Done(Box::new(report))));
        }
    }
}

#[cfg(test)]
#[path = "compose_models_tests.rs"]
mod model_tests;
#[cfg(test)]
#[path = "compose_tests.rs"]
mod tests;

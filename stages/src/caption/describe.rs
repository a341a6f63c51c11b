//! Decides whether a picture needs a new caption, and has it written: what was seen comes in, what became of it goes out.
//!
//! One session is kept for the camera. The system text stands in its cache for good; a picture replaces only its own span and
//! the question behind it. A scene that has not changed costs no time at the language model at all; where it may have, a
//! second opinion asks for one token's logits whether the caption still holds, on the same cache, before anything is written.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nearfield_llm::{
    Constrained, Finish, GenerateOptions, Message, PicturePrompt, RgbPicture, Role, SamplerOptions, SessionOptions,
    TokenId, VisionTower,
};
use nearfield_vision::{
    Gate, PICTURE_WORDS, Picture, Presence, PresenceOptions, Verdict, VisionResult, describe_in_text,
    describe_in_words, names_something_else, names_what_was_seen, plain_sentence,
};

use crate::flow::{Emit, Stage, Turn, Turns};
use crate::llm_thread::{Extras, Job, LlmThread, SessionId, Urgency};
use crate::messages::{Author, Captioned, Envelope, Seen, Tokens};

/// Where the picture goes in a question.
pub const PICTURE: &str = "{picture}";
/// Where the earlier caption goes in the second opinion's question.
pub const CAPTION: &str = "{caption}";

/// Stands for the picture while the template is rendered; a character of the private use area, which no template touches.
const PICTURE_MARK: &str = "\u{F8FF}";

/// The caption of pictures of one colour: a covered lens, or a camera that sends nothing.
pub const NO_PICTURE: &str = "No picture from the camera.";

/// So many captions in a row that do not name what was found, and the language model is left alone for a while.
const REJECTIONS: u32 = 3;
/// For so many captions then; doubled each time,
const FIRST_REST: u32 = 8;
/// up to this.
const LONGEST_REST: u32 = 512;

/// How captions are prompted for.
#[derive(Clone, Debug)]
pub struct DescribeOptions {
    /// The system text.
    pub system: String,
    /// The question, with [`PICTURE`] in it.
    pub question: String,
    /// The control token before a picture, of a model that was trained to read the encoder's words as embeddings or tokens. Without
    /// one, what was found goes into the prompt as text.
    pub picture_token: Option<String>,
    /// Whether the language model is first asked a yes-or-no question: does the earlier caption still hold?
    pub second_opinion: Option<SecondOpinion>,
    /// The caption of the nominal picture.
    pub nominal_caption: String,
    /// Captions are written by a rule instead of the language model.
    pub by_rule: bool,
    /// A model's caption that does not name what was found gives way to the rule's.
    pub must_name: bool,
    /// Nothing is known of a picture but how much it resembles others: that a scene has changed is all there is to say.
    pub without_vision: bool,
    /// The session's context and cache.
    pub session: SessionOptions,
    /// How tokens are chosen.
    pub sampler: SamplerOptions,
    /// The longest caption.
    pub max_caption_tokens: usize,
    /// What captions must fit; such a caption is taken as it is.
    pub constraint: Option<Constrained>,
    /// When a thing has come or gone.
    pub presence: PresenceOptions,
    /// What is thrown away between two pictures: for measuring what the cache is worth.
    pub reuse: Reuse,
    /// The projector of a language model that takes pictures themselves, and the most embeddings of a picture.
    pub tower: Option<(Arc<VisionTower>, Option<usize>)>,
}

/// What is kept from one picture to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reuse {
    /// Everything; pictures that have not changed are not described at all.
    #[default]
    Scene,
    /// Only the cache: every picture is described.
    Prefix,
    /// Nothing: every picture is described, from an empty cache.
    Nothing,
}

/// The question whether a caption still holds.
#[derive(Clone, Debug)]
pub struct SecondOpinion {
    /// With [`PICTURE`] and [`CAPTION`] in it.
    pub question: String,
    /// How the answer begins if it does.
    pub yes: String,
    /// And if it does not.
    pub no: String,
    /// By how much the logit of `yes` must be above that of `no`.
    pub margin: f32,
}

/// How a picture gets into the prompt.
enum PictureForm {
    /// As embeddings of the language model's own vision transformer, at most so many.
    Tower(Arc<VisionTower>, Option<usize>),
    /// As soft tokens mixed from the embeddings of the encoder's words: `[n_words, d_model]`.
    MixedWords(Vec<f32>),
    /// As the encoder's own soft tokens.
    SoftTokens,
    /// As words, each one token of the language model; what has no word goes as text.
    Words(Vec<(&'static str, TokenId)>),
    /// As text.
    Text,
}

/// The describing stage.
pub struct Describe {
    llm: LlmThread,
    session: SessionId,
    options: DescribeOptions,
    form: PictureForm,
    picture_token: Option<TokenId>,
    turns: Turns,
    gate: Gate,
    presence: Presence,
    caption: String,
    author: Author,
    /// Pictures of one colour in a row.
    flat: u32,
    /// Captions in a row that did not name what was found.
    rejected: u32,
    /// Captions that are computed before the language model is called again.
    resting: u32,
    /// What became of the picture at hand.
    captioned: Option<Captioned>,
}

impl Describe {
    /// Opens a session and has the system text computed before the first picture. `encoder_words`: the words of the vision
    /// model's slots, empty for other kinds; `soft_tokens`: whether it makes soft tokens of its own.
    ///
    /// # Errors
    /// If the session can't be opened or the language model carries no vocabulary.
    pub fn new(
        llm: LlmThread,
        options: DescribeOptions,
        encoder_words: &[String],
        soft_tokens: bool,
        gate: Gate,
        turns: Turns,
    ) -> anyhow::Result<Self> {
        let session = llm.open(Urgency::Caption, options.session)?;
        let tokenizer = llm.llm().tokenizer()?;
        let picture_token = options.picture_token.as_deref().and_then(|token| tokenizer.special(token));
        let one_token = |word: &str| match tokenizer.encode(word, false)[..] {
            [token] => Some(token),
            _ => None,
        };
        let form = if let Some((tower, budget)) = options.tower.clone() {
            tower.check(llm.llm())?;
            PictureForm::Tower(tower, budget)
        } else if !encoder_words.is_empty() {
            let tokens: Option<Vec<TokenId>> = encoder_words.iter().map(|w| one_token(w)).collect();
            match tokens {
                Some(tokens) if picture_token.is_some() => {
                    let mut rows = Vec::new();
                    for token in tokens {
                        rows.extend(llm.llm().embedding(token)?);
                    }
                    PictureForm::MixedWords(rows)
                }
                _ => PictureForm::Text,
            }
        } else if soft_tokens {
            PictureForm::SoftTokens
        } else {
            let words: Option<Vec<_>> = PICTURE_WORDS.iter().map(|w| Some((*w, one_token(w)?))).collect();
            words.filter(|_| picture_token.is_some()).map_or(PictureForm::Text, PictureForm::Words)
        };
        let presence = Presence::new(options.presence.clone());
        let describe = Self {
            llm,
            session,
            options,
            form,
            picture_token,
            turns,
            gate,
            presence,
            caption: String::new(),
            author: Author::Kept,
            flat: 0,
            rejected: 0,
            resting: 0,
            captioned: None,
        };
        describe.keep_warm();
        Ok(describe)
    }

    /// Has the part of the prompt computed that no picture changes.
    fn keep_warm(&self) {
        if self.options.by_rule || self.options.without_vision {
            return;
        }
        match self.rendered(&self.options.question, PICTURE_MARK) {
            Ok(text) => {
                let head = text.split(PICTURE_MARK).next().unwrap_or_default();
                if let Ok(tokenizer) = self.llm.llm().tokenizer()
                    && !head.is_empty()
                {
                    self.llm.warm(self.session, tokenizer.encode_prompt(head));
                }
            }
            Err(error) => tracing::debug!(%error, "the chat template does not render"),
        }
    }

    fn rendered(&self, question: &str, picture: &str) -> anyhow::Result<String> {
        let messages = [
            Message::new(Role::System, self.options.system.clone()),
            Message::new(Role::User, question.replace(PICTURE, picture)),
        ];
        Ok(self.llm.llm().template()?.render(&messages, &[], true)?)
    }

    /// What the language model's own vision transformer makes of a picture; `None` where there is none, or nobody waits for it any more.
    fn read(&self, turn: Turn, picture: &Picture) -> anyhow::Result<Option<PicturePrompt>> {
        let PictureForm::Tower(tower, budget) = &self.form else { return Ok(None) };
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let picture = RgbPicture { width, height, rgb: picture.rgb() };
        let mut go_on = || match self.turns.is_alive(turn) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        };
        Ok(tower.read(picture, self.llm.llm(), *budget, &mut go_on)?)
    }

    /// The prompt of a question about a picture, and the rows of its soft tokens.
    fn prompt(
        &self,
        question: &str,
        sight: &VisionResult,
        read: Option<&PicturePrompt>,
    ) -> anyhow::Result<(Vec<TokenId>, Extras)> {
        let tokenizer = self.llm.llm().tokenizer()?;
        let d_model = self.llm.llm().info().d_model;
        let mut spans = Vec::new();
        let soft =
            |n: usize| self.picture_token.into_iter().chain(std::iter::repeat_n(TokenId::EMBEDDING, n)).collect();
        let (span, rows): (Vec<TokenId>, Vec<f32>) = match &self.form {
            PictureForm::Tower(..) => {
                let read = read.context("the picture was not read")?;
                spans.clone_from(&read.spans);
                (read.tokens.clone(), read.rows.clone())
            }
            PictureForm::MixedWords(words) => {
                let slots = sight.slots.as_ref().context("the encoder gave no slots")?;
                let mut rows = Vec::with_capacity(17 * d_model);
                ensure!(slots.n_words > 0, "the encoder gave slots without words");
                for slot in slots.probabilities.chunks_exact(slots.n_words) {
                    let at = rows.len();
                    rows.resize(at + d_model, 0.0f32);
                    for (probability, word) in slot.iter().zip(words.chunks_exact(d_model)).filter(|(p, _)| **p > 1e-4)
                    {
                        rows[at..].iter_mut().zip(word).for_each(|(row, v)| *row += probability * v);
                    }
                }
                (soft(rows.len() / d_model), rows)
            }
            PictureForm::SoftTokens => {
                let (rows, width) = sight.soft_tokens.as_ref().context("the encoder gave no soft tokens")?;
                ensure!(
                    *width == d_model,
                    "the encoder's soft tokens have {width} numbers, but the language model's embeddings {d_model}: they do \
                     not belong together"
                );
                (soft(rows.len() / width), rows.clone())
            }
            PictureForm::Words(vocabulary) => match describe_in_words(&sight.objects, &sight.labels) {
                Some(words) => {
                    let token = |word: &&str| vocabulary.iter().find(|(w, _)| w == word).map(|(_, token)| *token);
                    (self.picture_token.into_iter().chain(words.iter().filter_map(token)).collect(), Vec::new())
                }
                None => (tokenizer.encode(&describe_in_text(&sight.objects, &sight.labels), false), Vec::new()),
            },
            PictureForm::Text => {
                let text = match sight.words.is_empty() {
                    true => describe_in_text(&sight.objects, &sight.labels),
                    false => plain_sentence(&sight.words, &[], &[]),
                };
                // As text it is one text with what surrounds it.
                return Ok((tokenizer.encode_prompt(&self.rendered(question, &text)?), Extras::default()));
            }
        };
        let text = self.rendered(question, PICTURE_MARK)?;
        let (head, tail) = text.split_once(PICTURE_MARK).context("the question has no {picture} in it")?;
        let mut tokens = if head.is_empty() { Vec::new() } else { tokenizer.encode_prompt(head) };
        tokens.extend(span);
        tokens.extend(tokenizer.encode(tail, true));
        let room = self.options.session.context_tokens.saturating_sub(self.options.max_caption_tokens);
        ensure!(
            tokens.len() <= room,
            "the prompt has {} tokens but the context has room for {room}: raise llm.context_tokens{}",
            tokens.len(),
            if read.is_some() { ", or show less of a picture (vision.tokens)" } else { "" }
        );
        Ok((tokens, Extras { rows, spans, choices: Vec::new() }))
    }

    /// Asks the language model whether the caption in force fits this sight: by how much "yes" is above "no".
    fn second_opinion(
        &self,
        turn: Turn,
        ask: &SecondOpinion,
        sight: &VisionResult,
        read: Option<&PicturePrompt>,
        tokens: &mut Tokens,
    ) -> anyhow::Result<f32> {
        let tokenizer = self.llm.llm().tokenizer()?;
        let first = |answer: &str| tokenizer.encode(answer, false).first().copied();
        let (yes, no) = first(&ask.yes).zip(first(&ask.no)).context("prompt.yes and prompt.no must not be empty")?;
        let (prompt, extras) = self.prompt(&ask.question.replace(CAPTION, &self.caption), sight, read)?;
        let reply = self.llm.run_with(self.job(turn, prompt, 1), Extras { choices: vec![yes, no], ..extras });
        Ok(reply.logits(tokens)?.map_or(f32::NEG_INFINITY, |logits| logits[0] - logits[1]))
    }

    /// Has the language model write a caption; as far as it came when it was stopped.
    fn write(
        &self,
        turn: Turn,
        sight: &VisionResult,
        read: Option<&PicturePrompt>,
        tokens: &mut Tokens,
    ) -> anyhow::Result<String> {
        let (prompt, extras) = self.prompt(&self.options.question, sight, read)?;
        let mut job = self.job(turn, prompt, self.options.max_caption_tokens);
        job.options.constraint.clone_from(&self.options.constraint);
        let reply = self.llm.run_with(job, extras);
        let mut caption = String::new();
        let is_held = self.options.must_name && self.options.constraint.is_none();
        let finish = reply.read(tokens, &mut |text| {
            caption.push_str(text);
            // What it has named wrongly no further word mends.
            if is_held && names_something_else(&caption, sight) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        if let Some(finish @ Finish::Repetition { .. }) = finish {
            tracing::warn!(%turn, "the model repeated itself and was stopped");
            // Of data nothing is sound without its end.
            let sound = if self.options.constraint.is_some() { "" } else { finish.sound_part(&caption) };
            caption = sound.to_owned();
        }
        if self.options.constraint.is_some() {
            return Ok(caption);
        }
        // One line: a caption is a line of the output.
        Ok(caption.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    fn job(&self, turn: Turn, prompt: Vec<TokenId>, max_tokens: usize) -> Job {
        Job {
            session: self.session,
            prompt,
            sampler: self.options.sampler,
            options: GenerateOptions { max_tokens, ..GenerateOptions::default() },
            cancel: self.turns.cancel_of(turn),
        }
    }

    /// Whether the language model has words for what was found. One that was trained on the encoder's words was trained on nothing else:
    /// what it writes of other labels is thrown away.
    fn has_words_for(&self, sight: &VisionResult) -> bool {
        match self.form {
            PictureForm::Words(_) => describe_in_words(&sight.objects, &sight.labels).is_some(),
            PictureForm::Text if self.picture_token.is_some() => !sight.words.is_empty(),
            _ => true,
        }
    }

    /// A caption of the language model's that does not name what was found.
    fn reject(&mut self) {
        self.rejected = self.rejected.saturating_add(1);
        if let Some(more) = self.rejected.checked_sub(REJECTIONS) {
            self.resting = FIRST_REST.saturating_mul(1 << more.min(16)).min(LONGEST_REST);
            if more == 0 {
                tracing::warn!(
                    "the language model's last {REJECTIONS} captions did not name what was found; captions are computed, and it \
                     is asked again after {}, each time later (caption.by_rule = true: never)",
                    self.resting
                );
            }
        }
    }

    /// A new caption and its author; on an error the rule's, and the error.
    fn caption_of(
        &mut self,
        turn: Turn,
        sight: &VisionResult,
        read: Option<&PicturePrompt>,
        tokens: &mut Tokens,
    ) -> (String, Author, anyhow::Result<()>) {
        let without_words =
            if self.caption.is_empty() { "A first look at the scene." } else { "The scene has changed." };
        let shows_itself = matches!(self.form, PictureForm::Tower(..));
        let by_rule = || match shows_itself && sight.objects.is_empty() && sight.labels.is_empty() {
            true => without_words.to_owned(),
            false => plain_sentence(&sight.words, &sight.objects, &sight.labels),
        };
        if self.options.without_vision {
            return (without_words.to_owned(), Author::Rule, Ok(()));
        }
        let is_held = self.options.must_name && self.options.constraint.is_none();
        if self.options.by_rule || (is_held && !self.has_words_for(sight)) {
            return (by_rule(), Author::Rule, Ok(()));
        }
        if is_held && self.resting > 0 {
            self.resting -= 1;
            return (by_rule(), Author::Rule, Ok(()));
        }
        match self.write(turn, sight, read, tokens) {
            Ok(text) if text.is_empty() => (by_rule(), Author::Rule, Ok(())),
            Ok(text) if is_held && !names_what_was_seen(&text, sight) => {
                tracing::debug!(%turn, caption = text, "the model's caption does not name what was found");
                self.reject();
                (by_rule(), Author::Rule, Ok(()))
            }
            Ok(text) => {
                self.rejected = 0;
                (text, Author::Model, Ok(()))
            }
            Err(error) => (by_rule(), Author::Rule, Err(error)),
        }
    }
}

impl Describe {
    /// A picture of which nothing can be said: of one colour, or of a kind that the vision model does not know. The first is told once
    /// it is no flicker.
    fn pass_over(&mut self, seen: Seen) {
        let Seen { view, sight } = seen;
        let movements = self.presence.see(&[], view.at);
        let is_told = self.flat >= self.gate.confirm_pictures();
        let changed = is_told && self.caption != NO_PICTURE;
        if changed {
            NO_PICTURE.clone_into(&mut self.caption);
            self.author = Author::Rule;
        }
        self.captioned = Some(Captioned {
            view,
            sight: VisionResult { is_foreign: sight.is_foreign, confidence: 0.0, ..VisionResult::default() },
            verdict: if changed { Verdict::Changed } else { Verdict::Waiting },
            similarity: 0.0,
            caption: self.caption.clone(),
            author: if changed { Author::Rule } else { Author::Kept },
            changed,
            second_opinion: None,
            tokens: Tokens::default(),
            language: Duration::ZERO,
            movements,
            alerts: Vec::new(),
        });
    }
}

impl Stage for Describe {
    type In = Seen;
    type Out = Captioned;

    fn name(&self) -> &'static str {
        "describe"
    }

    fn step(&mut self, input: Envelope<Seen>, _emit: &mut Emit<'_, Captioned>) -> anyhow::Result<()> {
        let turn = input.turn;
        let Seen { view, sight } = input.body;
        let is_flat = view.picture.is_flat();
        let is_foreign = sight.is_foreign && !matches!(self.form, PictureForm::Tower(..));
        self.flat = if is_flat { self.flat.saturating_add(1) } else { 0 };
        if is_flat || is_foreign {
            self.pass_over(Seen { view, sight });
            return Ok(());
        }
        if self.caption == NO_PICTURE {
            // What is seen after it is a first look again.
            self.gate.forget();
        }
        let movements = self.presence.see(&sight.objects, view.at);
        let (mut verdict, similarity) = self.gate.judge(&sight.embedding, &sight.words, view.at);
        if self.options.reuse != Reuse::Scene && !verdict.wants_description() {
            verdict = Verdict::Changed;
        }
        let mut tokens = Tokens::default();
        let (mut changed, mut author, mut opinion, mut result) = (false, Author::Kept, None, Ok(()));
        let begun = Instant::now();
        let mut language = Duration::ZERO;
        if verdict == Verdict::Nominal {
            self.gate.described(&sight.embedding, &sight.words, view.at, true);
            changed = self.caption != self.options.nominal_caption;
            author = Author::Nominal;
            self.caption.clone_from(&self.options.nominal_caption);
        } else if verdict.wants_description() {
            if self.options.reuse == Reuse::Nothing {
                self.llm.forget(self.session);
            }
            let read = match self.options.by_rule {
                true => Ok(None),
                false => self.read(turn, &view.picture),
            };
            let read = read.unwrap_or_else(|error| {
                result = Err(error);
                None
            });
            let is_read = read.is_some() || !matches!(self.form, PictureForm::Tower(..));
            if let Some(ask) = &self.options.second_opinion
                && is_read
                && verdict != Verdict::First
                && !self.options.without_vision
                && self.author != Author::Nominal
                && self.options.reuse == Reuse::Scene
            {
                match self.second_opinion(turn, ask, &sight, read.as_ref(), &mut tokens) {
                    Ok(difference) => opinion = Some(difference),
                    Err(error) => result = Err(error),
                }
            }
            let holds = self.options.second_opinion.as_ref().zip(opinion).is_some_and(|(ask, d)| d >= ask.margin);
            if !holds && (is_read || self.options.by_rule) {
                let (caption, by, outcome) = self.caption_of(turn, &sight, read.as_ref(), &mut tokens);
                result = result.and(outcome);
                if self.turns.is_alive(turn) {
                    // The same words for another picture are no news.
                    changed = caption != self.caption || verdict == Verdict::First || self.options.without_vision;
                    (self.caption, author) = (caption, by);
                }
            }
            self.gate.described(&sight.embedding, &sight.words, view.at, false);
            if !self.options.by_rule && !self.options.without_vision {
                language = begun.elapsed();
            }
        }
        if author != Author::Kept {
            self.author = author;
        }
        self.captioned = Some(Captioned {
            view,
            sight,
            verdict,
            similarity,
            caption: self.caption.clone(),
            author,
            changed,
            second_opinion: opinion,
            tokens,
            language,
            movements,
            alerts: Vec::new(),
        });
        result
    }

    fn conclude(&mut self, turn: Turn, emit: &mut Emit<'_, Captioned>) {
        if let Some(captioned) = self.captioned.take() {
            let _ = emit(Envelope::new(turn, captioned));
        }
    }
}

//! A session: the tokens that a model has read, their keys and values, and the logits after the last of them.

use std::ops::Range;
use std::sync::Arc;

use nearfield_kernels::{FEW_TOKENS, KvFormat, KvStore, Together};

mod pictures;

use super::architecture::Mixer;
use super::forward::{Angles, Buffers, Part, Past, forward, positions, rotate};
use super::positions::Positions;
use super::shared_run::{Run, longest_run};
use super::states::States;
use super::vision::PictureSpan;
use super::{InputObserver, Llm, LlmError, TokenId};
use std::ops::ControlFlow;

/// Tokens that go through the model together when a prompt is read. Long enough that unpacking the weights costs little,
/// short enough that a stop is obeyed soon and that the buffers stay in the cache.
const BLOCK: usize = 64;

/// How keys and values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CacheType {
    /// Half floats.
    #[default]
    F16,
    /// Bytes in blocks of 32 with a scale.
    Q8_0,
}

/// What a session is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionOptions {
    /// How many tokens it can hold.
    pub context_tokens: usize,
    /// How their keys and values are stored.
    pub cache: CacheType,
}

impl Default for SessionOptions {
    fn default() -> Self {
        SessionOptions { context_tokens: 4096, cache: CacheType::F16 }
    }
}

/// What reading a prompt cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Prefill {
    /// Tokens that the cache already held.
    pub reused: usize,
    /// How many of these stood elsewhere in it and were moved (see [`Session::prompt_moving`]).
    pub moved: usize,
    /// Tokens that were computed.
    pub prefilled: usize,
    /// True when the caller stopped it before the end: the session then holds a shorter prefix and has no logits.
    pub stopped: bool,
}

/// The state of one conversation: everything that changes while a model is used.
#[derive(Debug)]
pub struct Session {
    llm: Arc<Llm>,
    tokens: Vec<TokenId>,
    capacity: usize,
    past: Past,
    /// The embeddings that were appended, by their position, where they may have to be read again.
    soft: Vec<(usize, Vec<f32>)>,
    /// The pictures among the embeddings, by their position.
    pictures: Vec<(usize, PictureSpan)>,
    /// Logits after each of the last `known` tokens.
    logits: Vec<f32>, // [known, n_vocab]; more while some of these were forgotten
    known: usize,
    buffers: Buffers,
}

impl Session {
    /// The most tokens that [`append_each`](Self::append_each) takes.
    pub const MOST_EACH: usize = FEW_TOKENS;
    /// The most tokens that [`append_scored`](Self::append_scored) takes.
    pub const MOST_SCORED: usize = BLOCK;

    /// An empty session.
    ///
    /// # Errors
    /// There is no memory for a context of that size, or the cache type is not to be had.
    pub fn new(llm: Arc<Llm>, options: &SessionOptions) -> Result<Session, LlmError> {
        let refuse = |what: &str| LlmError::Context { context_tokens: options.context_tokens, what: what.to_owned() };
        if options.context_tokens == 0 {
            return Err(refuse("it must hold at least one token"));
        }
        let shape = &llm.shape;
        let format = match options.cache {
            CacheType::F16 => KvFormat::F16,
            CacheType::Q8_0 if shape.stored.iter().all(|heads| heads.head_dim.is_multiple_of(32)) => KvFormat::Q8_0,
            CacheType::Q8_0 => {
                return Err(refuse("the cache type q8_0 needs heads that are multiples of 32 wide; use f16"));
            }
        };
        let no_memory = || refuse("there is not that much memory; choose a smaller context");
        let store = KvStore::new(format, &shape.stored, options.context_tokens).ok_or_else(no_memory)?;
        let past = Past { store, states: States::new(shape.state_len).ok_or_else(no_memory)? };
        let buffers = Buffers::default();
        Ok(Session {
            tokens: Vec::new(),
            capacity: options.context_tokens,
            past,
            soft: Vec::new(),
            pictures: Vec::new(),
            logits: Vec::new(),
            known: 0,
            buffers,
            llm,
        })
    }

    /// The model.
    pub fn llm(&self) -> &Arc<Llm> {
        &self.llm
    }

    /// How many tokens the session holds.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// True when it holds none.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// How many tokens it can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The tokens that it holds; appended embeddings are [`TokenId::EMBEDDING`].
    pub fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// Bytes reserved for keys and values, and for what recurrent layers remember.
    pub fn cache_bytes(&self) -> usize {
        self.past.store.bytes() + self.past.states.bytes()
    }

    /// Bytes of weights, keys and values that the next token reads.
    pub fn bytes_per_step(&self) -> usize {
        let shape = &self.llm.shape;
        let numbers = shape.stored.iter().map(|heads| heads.count * heads.head_dim).sum::<usize>();
        let seen = shape.layers.iter().map(|layer| match &layer.mixer {
            Mixer::Attention(attention) => {
                let seen = attention.window.map_or(self.len(), |window| self.len().min(window));
                seen * attention.n_kv_heads * attention.head_dim
            }
            Mixer::ShortConv { .. } | Mixer::DeltaNet(_) => 0,
        });
        // Each number of a position is there as a key and as a value.
        let each = self.past.store.bytes() / self.past.store.capacity();
        let state = 8 * shape.state_len; // read and written
        self.llm.info.bytes_per_token as usize + seen.sum::<usize>() * each / numbers + state
    }

    /// The logits after the last token: `[n_vocab]`; empty when nothing was computed since the session was last cut.
    pub fn logits(&self) -> &[f32] {
        self.logits_after(self.len())
    }

    /// `[n_vocab]`: the logits after the first `n` tokens, where the session still has them: after the last token, and after each of
    /// those that [`append_each`](Self::append_each) appended. Empty elsewhere.
    pub fn logits_after(&self, n: usize) -> &[f32] {
        let width = self.llm.shape.n_vocab;
        let row = (self.known + n).checked_sub(self.len() + 1).filter(|row| *row < self.known);
        row.map_or(&[], |row| &self.logits[row * width..][..width])
    }

    /// Makes the session hold exactly `tokens`, keeping the longest prefix that it already holds, and leaves the logits after
    /// the last of them. `go_on` is asked between blocks of tokens.
    ///
    /// # Errors
    /// The tokens are none, not the model's, or more than fit; the session is then as it was.
    pub fn prompt(
        &mut self,
        tokens: &[TokenId],
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Prefill, LlmError> {
        self.prompt_with(tokens, None, go_on)
    }

    /// As [`prompt`](Self::prompt), and where something has been dropped from the middle, what followed it, at least `least`
    /// tokens in a row, is moved to its new place instead of being computed again. The keys are turned to the new positions,
    /// which is exact; what the tokens had taken in of the text before them stays as it was, which is the approximation that
    /// makes this cheap. What follows a *changed* text is computed: it must not remember what no longer holds. When it is
    /// stopped early, what was to be moved is lost.
    ///
    /// # Errors
    /// As [`prompt`](Self::prompt).
    pub fn prompt_moving(
        &mut self,
        tokens: &[TokenId],
        least: usize,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Prefill, LlmError> {
        self.prompt_with(tokens, Some(least.max(1)), go_on)
    }

    fn prompt_with(
        &mut self,
        tokens: &[TokenId],
        least: Option<usize>,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Prefill, LlmError> {
        if tokens.is_empty() {
            return Err(LlmError::Input("a prompt needs at least one token".to_owned()));
        }
        self.check(tokens)?;
        self.check_room(tokens.len())?;
        let shared = self.tokens.iter().zip(tokens).take_while(|(held, wanted)| held == wanted).count();
        // The logits after the last token are only to be had by computing it, unless nothing changes at all.
        let reused = if shared == tokens.len() && shared == self.len() && self.known > 0 {
            shared
        } else {
            // Recurrent layers only go on from where their state is known.
            self.past.states.known(shared.min(tokens.len() - 1))
        };
        let mut prefill = Prefill { reused, ..Prefill::default() };
        if reused == tokens.len() {
            // Everything is there, the logits too.
            return Ok(prefill);
        }
        let run = least
            .filter(|_| !self.past.states.is_used())
            .and_then(|least| longest_run(&self.tokens[reused..], &tokens[reused..tokens.len() - 1], least))
            .filter(|run| run.wanted == 0);
        match run {
            Some(Run { held, wanted, len }) => {
                let (from, to) = (reused + held, reused + wanted);
                self.move_tokens(from, to, len);
                self.truncate(reused);
                // What stands beyond the session's end is not looked at until the tokens between are there.
                self.read_blocks(&tokens[reused..to], false, &mut prefill, go_on);
                if !prefill.stopped {
                    self.tokens.extend_from_slice(&tokens[to..to + len]);
                    self.known = 0; // Logits of what stood here before.
                    (prefill.reused, prefill.moved) = (reused + len, len);
                    self.read_blocks(&tokens[to + len..], true, &mut prefill, go_on);
                }
            }
            None => {
                self.truncate(reused);
                self.read_blocks(&tokens[reused..], true, &mut prefill, go_on);
                self.past.states.copy();
            }
        }
        Ok(prefill)
    }

    /// Appends checked tokens block by block, and leaves the logits after the last if these are the prompt's last.
    fn read_blocks(
        &mut self,
        tokens: &[TokenId],
        last: bool,
        prefill: &mut Prefill,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) {
        let mut left = tokens.len();
        for block in tokens.chunks(BLOCK) {
            if go_on().is_break() {
                prefill.stopped = true;
                return;
            }
            left -= block.len();
            self.read(block, usize::from(last && left == 0));
            prefill.prefilled += block.len();
        }
    }

    /// Appends tokens and leaves the logits after the last of them.
    ///
    /// # Errors
    /// They are not the model's, or more than fit; the session is then as it was.
    pub fn append(&mut self, tokens: &[TokenId]) -> Result<(), LlmError> {
        self.check(tokens)?;
        self.check_room(self.len() + tokens.len())?;
        let end = self.len() + tokens.len();
        for block in tokens.chunks(BLOCK) {
            let last = self.len() + block.len() == end;
            self.read(block, usize::from(last));
        }
        Ok(())
    }

    /// Appends one token: the step of a model that writes.
    ///
    /// # Errors
    /// It is not the model's, or does not fit; the session is then as it was.
    pub fn step(&mut self, token: TokenId) -> Result<&[f32], LlmError> {
        self.append(&[token])?;
        Ok(self.logits())
    }

    /// Appends a few tokens in one pass and leaves the logits after each of them ([`logits_after`](Self::logits_after)): what appending
    /// them one by one would have left, to the last bit.
    ///
    /// # Errors
    /// They are not the model's, or more than fit; the session is then as it was.
    ///
    /// # Panics
    /// They are more than [`MOST_EACH`](Self::MOST_EACH).
    pub fn append_each(&mut self, tokens: &[TokenId]) -> Result<(), LlmError> {
        assert!(tokens.len() <= Self::MOST_EACH, "at most {} tokens with logits after each", Self::MOST_EACH);
        self.check(tokens)?;
        self.check_room(self.len() + tokens.len())?;
        if !tokens.is_empty() {
            self.read(tokens, tokens.len());
        }
        Ok(())
    }

    /// Appends a block of a text in one pass, as prompts are read, and leaves the logits after each of its last `scored` tokens
    /// ([`logits_after`](Self::logits_after)). The sums are added up in another order than one token's alone.
    ///
    /// # Errors
    /// They are not the model's, or more than fit; the session is then as it was.
    ///
    /// # Panics
    /// They are more than [`MOST_SCORED`](Self::MOST_SCORED), or fewer than `scored`.
    pub fn append_scored(&mut self, tokens: &[TokenId], scored: usize) -> Result<(), LlmError> {
        assert!(tokens.len() <= Self::MOST_SCORED && scored <= tokens.len(), "a block, and no more scores than tokens");
        self.check(tokens)?;
        self.check_room(self.len() + tokens.len())?;
        if !tokens.is_empty() {
            self.read(tokens, scored);
        }
        Ok(())
    }

    /// Appends embeddings in the place of tokens and leaves the logits after the last of them. rows: `[n, d_model]`.
    ///
    /// # Errors
    /// The rows are not whole, or more than fit; the session is then as it was.
    pub fn append_embeddings(&mut self, rows: &[f32]) -> Result<(), LlmError> {
        let width = self.llm.shape.d_model;
        if !rows.len().is_multiple_of(width) {
            return Err(LlmError::Input(format!(
                "embeddings are rows of {width} numbers, but {} numbers were given",
                rows.len()
            )));
        }
        self.check_room(self.len() + rows.len() / width)?;
        self.catch_up();
        self.read_rows(rows, BLOCK);
        Ok(())
    }

    /// Forgets all but the first `n` tokens, and the logits after those that are forgotten; of a picture that would be cut, all, where its
    /// embeddings see each other or stand by rows and columns.
    pub fn truncate(&mut self, n: usize) {
        // A picture whose last embeddings are still to come is not cut behind those that are there.
        let end = self.len();
        let is_cut = |(start, span): &&(usize, PictureSpan)| {
            *start < n && n < end.min(start + span.len) && (span.is_whole || span.columns.is_some())
        };
        let n = self.pictures.iter().find(is_cut).map_or(n, |(start, _)| *start);
        self.pictures.retain(|(start, _)| *start < n);
        self.known = self.known.saturating_sub(self.len().saturating_sub(n));
        self.tokens.truncate(n);
        self.soft.retain(|(at, _)| *at < n);
        self.past.states.rewind(n);
    }

    /// A second session with the same past, and a future of its own.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn fork(&self) -> Result<Session, LlmError> {
        let no_memory =
            || LlmError::Context { context_tokens: self.capacity, what: "there is no memory for a fork".to_owned() };
        let past = Past {
            store: self.past.store.fork(self.len()).ok_or_else(no_memory)?,
            states: self.past.states.fork().ok_or_else(no_memory)?,
        };
        Ok(Session {
            llm: Arc::clone(&self.llm),
            tokens: self.tokens.clone(),
            capacity: self.capacity,
            past,
            soft: self.soft.clone(),
            pictures: self.pictures.clone(),
            logits: self.logits.clone(),
            known: self.known,
            buffers: Buffers::default(),
        })
    }

    /// Takes the first `n` tokens of another session's cache, which is as large and as its own kind, in the place of its own. The logits
    /// are gone. Where the model has recurrent layers, and their states are not known after `n` tokens, some are read again later.
    ///
    /// # Panics
    /// The sessions are of different models, sizes or cache types, or the other has fewer tokens.
    pub fn copy_from(&mut self, other: &Session, n: usize) {
        assert!(
            Arc::ptr_eq(&self.llm, &other.llm) && self.capacity == other.capacity && n <= other.len(),
            "a beginning of a session like this one"
        );
        self.past.store.copy_from(&other.past.store, n);
        self.past.states.copy_from(&other.past.states);
        self.tokens.clone_from(&other.tokens);
        self.soft.clone_from(&other.soft);
        self.pictures.clone_from(&other.pictures);
        self.known = 0;
        self.truncate(n);
    }

    /// Whether the cache of another session can be copied into this one's.
    pub fn is_like(&self, other: &Session) -> bool {
        let formats = [self, other].map(|session| session.past.store.format());
        Arc::ptr_eq(&self.llm, &other.llm) && self.capacity == other.capacity && formats[0] == formats[1]
    }

    /// Takes the tokens of `range` out of the middle: what follows moves down and its keys are turned to their new places.
    /// What was computed while the removed tokens were visible stays as it was, which is the approximation that makes this
    /// cheap. Where the model has recurrent layers, what follows is read again. The logits are gone.
    ///
    /// Where the range cuts a picture, what follows is forgotten.
    ///
    /// # Panics
    /// The range is not within the session.
    pub fn remove(&mut self, range: Range<usize>) {
        assert!(range.start <= range.end && range.end <= self.len(), "a range of the session");
        if range.is_empty() {
            return;
        }
        let is_cut = |(start, span): &(usize, PictureSpan)| {
            let end = start + span.len;
            (*start < range.end && range.start < end) && (*start < range.start || range.end < end)
        };
        if self.pictures.iter().any(is_cut) {
            return self.truncate(range.start);
        }
        if self.past.states.is_used() {
            self.past.states.rewind(range.start);
            self.soft.retain(|(at, _)| !range.contains(at));
            self.soft.iter_mut().filter(|(at, _)| *at >= range.end).for_each(|(at, _)| *at -= range.len());
        } else {
            self.move_tokens(range.end, range.start, self.len() - range.end);
        }
        self.pictures.retain(|(start, _)| !range.contains(start));
        self.pictures.iter_mut().filter(|(start, _)| *start >= range.end).for_each(|(start, _)| *start -= range.len());
        self.tokens.drain(range);
        self.known = 0;
    }

    /// Moves what the cache holds of `len` tokens from one place to another, and turns their keys accordingly. The list of
    /// tokens is the caller's to mend.
    fn move_tokens(&mut self, from: usize, to: usize, len: usize) {
        if from == to {
            return;
        }
        let shape = &self.llm.shape;
        // Rows and columns move by as much as time does.
        let place = |at: usize| (at - self.behind(at)) as f64;
        let by = place(to) - place(from);
        let turn = |positions: &Positions| {
            let mut angles = Angles::default();
            // The keys have their magnitude already.
            positions.angles(by, 1.0, &mut angles.cos, &mut angles.sin);
            angles
        };
        let (all, windowed) = positions(shape, self.capacity);
        let (all, windowed) = (turn(all), windowed.map(turn));
        for index in 0..len {
            // Away from where they go, so that none is overwritten before it was moved.
            let index = if to < from { index } else { len - 1 - index };
            self.past.store.shift(from + index, to + index, &mut |stored, keys| {
                let of_stored = shape.layers.iter().find_map(|layer| match &layer.mixer {
                    Mixer::Attention(attention) if attention.stored == stored => Some(attention),
                    _ => None,
                });
                let Some(of_layer) = of_stored else { return };
                let windowed = windowed.as_ref().filter(|_| of_layer.window.is_some());
                let Angles { cos, sin } = windowed.unwrap_or(&all);
                rotate(&self.llm, of_layer, keys, cos, sin);
            });
        }
    }

    /// Has `observer` see what each matrix is multiplied with from now on, or nobody. Forks and passes over several sessions
    /// ([`Batch`](super::Batch)) are not seen.
    pub fn observe_inputs(&mut self, observer: Option<Arc<dyn InputObserver>>) {
        self.buffers.observer = observer;
    }

    /// What it remembers of its tokens.
    pub(super) fn past(&self) -> &Past {
        &self.past
    }

    /// The same, to be filled anew.
    pub(super) fn past_mut(&mut self) -> &mut Past {
        &mut self.past
    }

    /// Says which tokens the keys and values of an empty session belong to.
    pub(super) fn take_tokens(&mut self, tokens: Vec<TokenId>) {
        self.tokens = tokens;
        self.known = 0;
    }

    /// Refuses tokens that the model does not have.
    fn check(&self, tokens: &[TokenId]) -> Result<(), LlmError> {
        let n_vocab = self.llm.shape.n_vocab;
        match tokens.iter().find(|token| token.0 as usize >= n_vocab) {
            None => Ok(()),
            Some(token) => {
                Err(LlmError::Input(format!("token {} is beyond the model's vocabulary of {n_vocab}", token.0)))
            }
        }
    }

    fn check_room(&self, needed: usize) -> Result<(), LlmError> {
        if needed > self.capacity {
            return Err(LlmError::ContextFull { needed, capacity: self.capacity });
        }
        Ok(())
    }

    /// Looks up a block of tokens and computes it, with the logits after the last `wanted`.
    fn read(&mut self, tokens: &[TokenId], wanted: usize) {
        self.catch_up();
        self.look_up(tokens);
        self.compute(tokens.len(), wanted);
        self.tokens.extend_from_slice(tokens);
    }

    /// Lets recurrent layers read the tokens again that the session holds and their states do not come from.
    fn catch_up(&mut self) {
        let (at, end) = (self.past.states.at(), self.len());
        if !self.past.states.is_used() || at >= end {
            return;
        }
        let held = self.tokens.split_off(at);
        for block in held.chunks(BLOCK) {
            self.look_up(block);
            let width = self.llm.shape.d_model;
            let here = self.len()..self.len() + block.len();
            for (at, row) in self.soft.iter().filter(|(at, _)| here.contains(at)) {
                self.buffers.x[(at - here.start) * width..][..width].copy_from_slice(row);
            }
            self.compute(block.len(), 0);
            self.tokens.extend_from_slice(block);
        }
    }

    fn look_up(&mut self, tokens: &[TokenId]) {
        self.buffers.tokens.clear();
        self.buffers.x.clear();
        self.buffers.look_up(&self.llm, tokens);
    }

    /// Passes the `n` rows in `buffers.x`, which stand at the session's end, through the model; with the logits after the last `wanted`.
    fn compute(&mut self, n: usize, wanted: usize) {
        self.known = 0;
        let place = self.place();
        let part = Part { past: &mut self.past, place, n, wanted };
        forward(&self.llm, &mut [part], &mut self.buffers, Together::Fastest, &mut self.logits);
        self.known = wanted;
    }

    /// Makes ready for tokens at its end that are computed together with those of others.
    pub(super) fn before_batch(&mut self, tokens: &[TokenId]) -> Result<(), LlmError> {
        self.check(tokens)?;
        self.check_room(self.len() + tokens.len())?;
        self.catch_up();
        Ok(())
    }

    /// Its part in a pass over `n` tokens at its end, with logits after each.
    pub(super) fn part(&mut self, n: usize) -> Part<'_> {
        self.known = 0;
        let place = self.place();
        Part { past: &mut self.past, place, n, wanted: n }
    }

    /// Takes what came of such a pass. logits: `[tokens, n_vocab]`
    pub(super) fn after_batch(&mut self, tokens: &[TokenId], logits: &[f32]) {
        self.tokens.extend_from_slice(tokens);
        self.logits.clear();
        self.logits.extend_from_slice(logits);
        self.known = tokens.len();
    }
}

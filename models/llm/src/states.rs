//! The states of the recurrent layers of a session. Unlike keys and values they cannot be cut back to an earlier token, so copies are
//! kept: one after each of the last few tokens of a pass, for guesses that turn out wrong, and some further back, the closer together
//! the newer they are. Whoever goes back further than to a copy reads the tokens after it again.

use std::ops::Range;

use nearfield_kernels::FEW_TOKENS;

/// Tokens between two copies, at the least.
const COPY_EVERY: usize = 64;
/// What all copies take, unless `FEWEST_COPIES` take more.
const MOST_COPY_BYTES: usize = 64 << 20;
const FEWEST_COPIES: usize = 4;
const MOST_COPIES: usize = 32;

/// The numbers that all recurrent layers remember, now and earlier. Empty for a model without such layers.
#[derive(Debug)]
pub(crate) struct States {
    now: Vec<f32>,
    /// How many tokens they come from.
    at: usize,
    /// After each token but the last of the last pass, if it had a few; buffers beyond `steps_len` are spare.
    steps: Vec<Vec<f32>>,
    steps_len: usize,
    /// Earlier ones, by the number of tokens that they come from.
    copies: Vec<(usize, Vec<f32>)>,
}

impl States {
    /// Zeros; `None` where there is no memory for them.
    pub(crate) fn new(len: usize) -> Option<States> {
        Some(States { now: zeros(len)?, at: 0, steps: Vec::new(), steps_len: 0, copies: Vec::new() })
    }

    /// Whether the model has recurrent layers.
    pub(crate) fn is_used(&self) -> bool {
        !self.now.is_empty()
    }

    /// Bytes that the states take at the most.
    pub(crate) fn bytes(&self) -> usize {
        4 * self.now.len() * (FEW_TOKENS + self.most_copies())
    }

    fn most_copies(&self) -> usize {
        (MOST_COPY_BYTES / (4 * self.now.len()).max(1)).clamp(FEWEST_COPIES, MOST_COPIES)
    }

    /// The states before the tokens of a pass.
    pub(crate) fn now(&self) -> &[f32] {
        &self.now
    }

    /// The numbers themselves, and how many tokens they come from.
    pub(crate) fn saved(&self) -> (usize, &[f32]) {
        (self.at, &self.now)
    }

    /// Takes the place of all by what was saved after so many tokens.
    pub(crate) fn restore(&mut self, at: usize, now: Vec<f32>) {
        (self.at, self.now) = (at, now);
        self.steps_len = 0;
        self.copies.clear();
    }

    /// How many tokens the states come from: fewer than the session holds where it was cut back.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Begins a pass over `n` tokens.
    pub(crate) fn begin(&mut self, n: usize) {
        self.steps_len = if (2..=FEW_TOKENS).contains(&n) && self.is_used() { n - 1 } else { 0 };
        while self.steps.len() < self.steps_len {
            self.steps.push(vec![0.0; self.now.len()]);
        }
    }

    /// The tokens of a pass over `n` after which the states are kept: each of a few, else the last.
    pub(crate) fn remembered(&self, n: usize) -> Range<usize> {
        if self.steps_len > 0 { 0..n } else { n - 1..n }
    }

    /// The states after a token of the pass.
    pub(crate) fn after(&mut self, token: usize) -> &mut [f32] {
        if token < self.steps_len { &mut self.steps[token] } else { &mut self.now }
    }

    /// Where the states after each token are kept, copies some of their numbers from before a token to where those after it go.
    pub(crate) fn carry(&mut self, token: usize, range: &Range<usize>) {
        if self.steps_len == 0 {
            return;
        }
        let (before, after) = self.steps.split_at_mut(token);
        let (from, to) = match (before.last(), after.first_mut().filter(|_| token < self.steps_len)) {
            (None, Some(to)) => (&self.now[range.clone()], to),
            (Some(from), Some(to)) => (&from[range.clone()], to),
            (Some(from), None) => (&from[range.clone()], &mut self.now),
            (None, None) => return,
        };
        to[range.clone()].copy_from_slice(from);
    }

    /// Ends a pass over `n` tokens; after many tokens without a copy there is one.
    pub(crate) fn end(&mut self, n: usize) {
        self.at += n;
        if self.is_used() && self.at >= self.copies.last().map_or(0, |(at, _)| *at) + COPY_EVERY {
            self.copy();
        }
    }

    /// Keeps a copy of the states as they are.
    pub(crate) fn copy(&mut self) {
        if !self.is_used() || self.at == 0 || self.copies.last().is_some_and(|(at, _)| *at == self.at) {
            return;
        }
        let spare = (self.copies.len() >= self.most_copies()).then(|| self.thin_out());
        let mut copy = spare.unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(&self.now);
        self.copies.push((self.at, copy));
    }

    /// Gives up the copy whose loss makes the shortest detour, measured by how far back it is.
    fn thin_out(&mut self) -> Vec<f32> {
        let detour = |index: usize| {
            let before = if index == 0 { 0 } else { self.copies[index - 1].0 };
            let after = self.copies.get(index + 1).map_or(self.at, |(at, _)| *at);
            (after - before) as f64 / (self.at - before) as f64
        };
        let worst = (0..self.copies.len()).min_by(|a, b| detour(*a).total_cmp(&detour(*b))).unwrap_or(0);
        self.copies.remove(worst).1
    }

    /// The most tokens, up to `n`, after which the states are known.
    pub(crate) fn known(&self, n: usize) -> usize {
        if !self.is_used() {
            return n;
        }
        if self.at <= n {
            return self.at;
        }
        let steps = self.step_within(n).map_or(0, |step| self.step_at(step));
        let copies = self.copies.iter().map(|(at, _)| *at).filter(|at| *at <= n).max().unwrap_or(0);
        steps.max(copies)
    }

    fn step_at(&self, step: usize) -> usize {
        self.at - self.steps_len + step
    }

    /// The last of the steps that comes from at most `n` tokens.
    fn step_within(&self, n: usize) -> Option<usize> {
        (0..self.steps_len).rev().find(|step| self.step_at(*step) <= n)
    }

    /// Goes back to where at most `n` tokens have been read.
    pub(crate) fn rewind(&mut self, n: usize) {
        if !self.is_used() || self.at <= n {
            return;
        }
        let known = self.known(n);
        match self.step_within(n).filter(|step| self.step_at(*step) == known) {
            Some(step) => {
                std::mem::swap(&mut self.now, &mut self.steps[step]);
                self.steps_len = step;
            }
            None => {
                self.steps_len = 0;
                match self.copies.iter().find(|(at, _)| *at == known) {
                    Some((_, copy)) => self.now.copy_from_slice(copy),
                    None => self.now.fill(0.0),
                }
            }
        }
        self.at = known;
        self.copies.retain(|(at, _)| *at <= known);
    }

    /// A copy of all that a fork needs.
    pub(crate) fn fork(&self) -> Option<States> {
        let mut fork = States::new(self.now.len())?;
        fork.copy_from(self);
        Some(fork)
    }

    /// Takes the place of all by those of another session of the same model.
    pub(crate) fn copy_from(&mut self, other: &States) {
        self.now.clone_from(&other.now);
        self.at = other.at;
        self.steps_len = 0;
        self.copies.clone_from(&other.copies);
    }
}

fn zeros(len: usize) -> Option<Vec<f32>> {
    let mut reserved: Vec<f32> = Vec::new();
    reserved.try_reserve_exact(len).ok()?;
    drop(reserved);
    Some(vec![0.0; len])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// States whose one number is how many tokens they come from.
    fn read(states: &mut States, n: usize) {
        states.begin(n);
        for token in states.remembered(n) {
            let at = (states.at() + token + 1) as f32;
            states.after(token)[0] = at;
        }
        states.end(n);
    }

    #[test]
    fn states_go_back_to_a_copy_that_comes_from_as_many_tokens_as_it_says() {
        let mut states = States::new(1).unwrap();
        for block in [64, 64, 64, 1, 1, 1, 5] {
            read(&mut states, block);
        }
        for (n, known) in [(200, 200), (199, 199), (196, 196), (195, 192), (191, 128), (63, 0)] {
            assert_eq!(states.known(n), known, "{n}");
            states.rewind(n);
            assert_eq!((states.at(), states.now()[0]), (known, known as f32), "{n}");
        }
        // A fork has its own.
        read(&mut states, 64);
        let mut fork = states.fork().unwrap();
        read(&mut fork, 1);
        assert_eq!((states.now()[0], fork.now()[0]), (64.0, 65.0));
    }

    #[test]
    fn copies_are_few_and_the_closer_together_the_newer_they_are() {
        let mut states = States::new(1).unwrap();
        for _ in 0..1000 {
            read(&mut states, 64);
        }
        assert_eq!(states.copies.len(), MOST_COPIES);
        for n in [64_000 - 65, 60_000, 50_000, 30_000, 10_000] {
            let (back, detour) = (64_000 - n, n - states.known(n));
            assert!(detour <= 64.max(back / 2), "{n}: {detour}");
        }
        assert_eq!(States::new(0).unwrap().known(77), 77, "a model without such layers goes back to anywhere");
    }
}

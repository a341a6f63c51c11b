//! Measuring a model: how fast it reads and writes, and how much of the memory's bandwidth that takes. The clock is the caller's.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{Llm, LlmError, Session, SessionOptions, TokenId, layout};
use std::ops::ControlFlow;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeasureOptions {
    /// Tokens of the prompt.
    pub prompt: usize,
    /// Tokens to write.
    pub generate: usize,
    /// Times to repeat; the medians are reported.
    pub repeats: usize,
    /// The session's cache.
    pub session: SessionOptions,
}

impl Default for MeasureOptions {
    fn default() -> Self {
        MeasureOptions { prompt: 128, generate: 64, repeats: 5, session: SessionOptions::default() }
    }
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measured {
    /// Tokens of the prompt read in a second, from an empty cache.
    pub prefill_tok_s: f64,
    /// Tokens written in a second, each in a pass of its own.
    pub decode_tok_s: f64,
    /// Tokens written in a second where all guesses from the prompt are right ([`GenerateOptions::lookahead`](super::GenerateOptions)).
    pub drafted_tok_s: f64,
    /// Time to the first token of a prompt that the cache does not hold.
    pub first_token_cold_ms: f64,
    /// Time to the first token of the same prompt with a different last token.
    pub first_token_warm_ms: f64,
    /// Bytes of weights read for a token that is written.
    pub bytes_per_token: u64,
    /// Bytes of weights read in a second of writing, in units of 10^9.
    pub read_gb_s: f64,
    /// Bytes reserved for keys and values.
    pub cache_bytes: usize,
}

/// Reads a prompt and writes tokens, `repeats` times, and reports the medians. Works without a vocabulary: the prompt is made
/// of token numbers. `now` is a clock that never goes back. `after_each` is told after each repeat how much was read in a second
/// of writing (10^9 bytes), so that it can measure beside it what changes from minute to minute, as memory shared with
/// others does.
///
/// # Errors
/// The session cannot be made, or the prompt and the tokens do not fit it.
pub fn measure(
    llm: &Arc<Llm>,
    options: &MeasureOptions,
    now: &dyn Fn() -> Duration,
    after_each: &mut dyn FnMut(f64),
) -> Result<Measured, LlmError> {
    let mut session = Session::new(Arc::clone(llm), &options.session)?;
    let (n_vocab, bytes_per_token) = (llm.info().vocab_size as u64, llm.info().bytes_per_token);
    // Numbers that are spread over the vocabulary, so that looking them up costs what it costs in life.
    let token = |index: usize| TokenId(((index as u64 + 1) * 2_654_435_761 % n_vocab) as u32);
    let prompt: Vec<TokenId> = (0..options.prompt.max(1)).map(token).collect();
    let go_on = &mut || ControlFlow::Continue(());
    let (mut cold, mut warm, mut decode, mut drafted) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let guessed: Vec<TokenId> = (0..options.generate.max(1)).map(|index| token(options.prompt + index)).collect();
    session.prompt(&prompt, go_on)?; // touches every page of the weights once
    for repeat in 0..options.repeats.max(1) {
        session.truncate(0);
        let start = now();
        session.prompt(&prompt, go_on)?;
        cold.push((now() - start).as_secs_f64());
        let start = now();
        for one in &guessed {
            session.step(*one)?;
        }
        decode.push((now() - start).as_secs_f64() / guessed.len() as f64);
        session.truncate(prompt.len());
        let start = now();
        for pass in guessed.chunks(Session::MOST_EACH) {
            session.append_each(pass)?;
        }
        drafted.push((now() - start).as_secs_f64() / guessed.len() as f64);
        let mut again = prompt.clone();
        if let Some(last) = again.last_mut() {
            *last = token(repeat + 1_000_003);
        }
        let start = now();
        session.prompt(&again, go_on)?;
        warm.push((now() - start).as_secs_f64());
        after_each(bytes_per_token as f64 / decode[repeat].max(1e-12) / 1e9);
    }
    // A clock that stood still must not make a speed infinite.
    let middle = |times| median(times).unwrap_or_default().max(1e-12);
    let (cold, warm, decode, drafted) = (middle(cold), middle(warm), middle(decode), middle(drafted));
    Ok(Measured {
        prefill_tok_s: prompt.len() as f64 / cold,
        decode_tok_s: 1.0 / decode,
        drafted_tok_s: 1.0 / drafted,
        first_token_cold_ms: cold * 1e3,
        first_token_warm_ms: warm * 1e3,
        bytes_per_token,
        read_gb_s: bytes_per_token as f64 / decode / 1e9,
        cache_bytes: session.cache_bytes(),
    })
}

/// The bandwidth at which this machine's memory can be read with `threads` threads, in units of 10^9 bytes a second: the best
/// of fifty sums over `bytes` bytes, which should be several times the caches. They are allocated as weights are.
///
/// # Errors
/// There is no memory for so many bytes.
pub fn read_bandwidth(threads: usize, bytes: usize, now: &dyn Fn() -> Duration) -> std::io::Result<f64> {
    let mut buffer = layout::memory(bytes)?;
    buffer.fill(0x5a);
    Ok(nearfield_kernels::read_bandwidth(threads, &buffer, now))
}

/// The middle value; of an even number, the mean of the middle two; `None` of nothing.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    match n {
        0 => None,
        _ if n % 2 == 1 => Some(values[n / 2]),
        _ => Some((values[n / 2 - 1] + values[n / 2]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_the_mean_of_the_middle_two() {
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![]), None);
    }
}

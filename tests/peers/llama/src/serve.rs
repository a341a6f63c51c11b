//! `serve`: one loaded model that the bench gives short pieces of work in turn with its peers (see the bench's `real.rs`). Each line
//! of input is a command, and each command is answered with one line of JSON.

use std::io::{BufRead, Write};
use std::num::NonZeroU32;
use std::time::Instant;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
use llama_cpp_2::context::session::LlamaStateSeqFlags;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;

use crate::{Error, feed, token};

/// Tokens in a batch, and in a pass: llama.cpp's own default for both on processors.
const BATCH: usize = 512;

/// What the contexts share: a context has a fixed number of threads, so there is one for each number that was asked for.
pub struct Server<'a> {
    pub backend: &'a LlamaBackend,
    pub model: &'a LlamaModel,
    pub context_tokens: u32,
    pub cache: KvCacheType,
}

impl Server<'_> {
    fn context(&self, threads: i32) -> Result<LlamaContext<'_>, Error> {
        let parameters = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(self.context_tokens))
            .with_n_batch(BATCH as u32)
            .with_n_ubatch(BATCH as u32)
            .with_type_k(self.cache)
            .with_type_v(self.cache)
            .with_swa_full(false) // layers with a window keep their window only, which is faster
            .with_n_threads(threads)
            .with_n_threads_batch(threads);
        Ok(self.model.new_context(self.backend, parameters)?)
    }

    /// Answers commands until the input ends.
    pub fn run(&self, start: Instant) -> Result<(), Error> {
        let n_vocab = self.model.n_vocab() as u64;
        let tokens = |first: usize, count: usize| (first..first + count).map(|i| token(i, n_vocab)).collect::<Vec<_>>();
        let mut out = std::io::stdout();
        let mut contexts: Vec<(i32, LlamaContext<'_>)> = vec![(2, self.context(2)?)];
        let (mut current, mut held) = (0, 0);
        writeln!(out, "{{\"seconds\": {}}}", start.elapsed().as_secs_f64())?;
        for line in std::io::stdin().lock().lines() {
            let line = line?;
            let (command, count) = line.split_once(' ').ok_or("a command and a number")?;
            let count: usize = count.parse()?;
            let start = Instant::now();
            match command {
                "threads" => {
                    let threads = i32::try_from(count)?;
                    let state = contexts[current].1.state_seq_get(0, LlamaStateSeqFlags::empty())?;
                    contexts[current].1.clear_kv_cache();
                    current = match contexts.iter().position(|(of, _)| *of == threads) {
                        Some(there) => there,
                        None => {
                            contexts.push((threads, self.context(threads)?));
                            contexts.len() - 1
                        }
                    };
                    if held > 0 {
                        contexts[current].1.state_seq_set(&state, 0)?;
                    }
                }
                // Makes the context hold so many tokens.
                "fill" => {
                    let context = &mut contexts[current].1;
                    if count < held {
                        context.clear_kv_cache();
                        held = 0;
                    }
                    while held < count {
                        let some = BATCH.min(count - held);
                        feed(context, held, &tokens(held, some))?;
                        held += some;
                    }
                }
                // Reads or writes so many tokens behind those that it holds, and forgets them.
                "read" | "write" => {
                    let context = &mut contexts[current].1;
                    let each = if command == "read" { BATCH } else { 1 };
                    let mut at = held;
                    while at < held + count {
                        let some = each.min(held + count - at);
                        feed(context, at, &tokens(at, some))?;
                        at += some;
                    }
                    let seconds = start.elapsed().as_secs_f64();
                    context.clear_kv_cache_seq(Some(0), Some(held as u32), None)?;
                    writeln!(out, "{{\"seconds\": {seconds}}}")?;
                    continue;
                }
                _ => return Err(format!("the command {command:?} is unknown").into()),
            }
            writeln!(out, "{{\"seconds\": {}}}", start.elapsed().as_secs_f64())?;
        }
        Ok(())
    }
}

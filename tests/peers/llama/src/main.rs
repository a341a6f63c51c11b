//! llama.cpp behind the command line that all peers share (see the bench's `main.rs`): it measures itself, and says its
//! logits, its greedy continuation and its tokens. A program of its own, as Nearfield carries another ggml for speech.

mod serve;

use std::io::{BufRead, Write};
use std::num::NonZeroU32;
use std::time::Instant;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut backend = LlamaBackend::init()?;
    backend.void_logs();
    let open = |path: &str| LlamaModel::load_from_file(&backend, path, &LlamaModelParams::default());
    let context = |threads: &str| -> Result<LlamaContextParams, Error> {
        let threads: i32 = threads.parse()?;
        Ok(LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(2048))
            .with_n_batch(2048)
            .with_n_threads(threads)
            .with_n_threads_batch(threads))
    };
    match arguments[..] {
        ["speed", path, threads, prompt, generate] => {
            let model = open(path)?;
            let mut context = model.new_context(&backend, context(threads)?)?;
            let n_vocab = model.n_vocab() as u64;
            let (prompt, generate): (usize, usize) = (prompt.parse()?, generate.parse()?);
            let (mut prefill, mut decode) = (Vec::new(), Vec::new());
            for run in 0..4 {
                context.clear_kv_cache();
                let start = Instant::now();
                feed(&mut context, 0, &(0..prompt).map(|i| token(i, n_vocab)).collect::<Vec<_>>())?;
                if run > 0 {
                    prefill.push(start.elapsed().as_secs_f64() / prompt as f64); // the first touches every page
                }
                let start = Instant::now();
                for i in prompt..prompt + generate {
                    feed(&mut context, i, &[token(i, n_vocab)])?;
                }
                if run > 0 {
                    decode.push(start.elapsed().as_secs_f64() / generate as f64);
                }
            }
            let (prefill, decode) = (1.0 / median(prefill), 1.0 / median(decode));
            println!("{{\"prefill_tok_s\": {prefill}, \"decode_tok_s\": {decode}}}");
        }
        ["logits", path, threads, count] => {
            let model = open(path)?;
            let mut context = model.new_context(&backend, context(threads)?)?;
            let mut out = std::io::stdout().lock();
            for i in 0..count.parse()? {
                feed(&mut context, i, &[token(i, model.n_vocab() as u64)])?;
                let bytes: Vec<u8> = context.get_logits_ith(0).iter().flat_map(|x| x.to_le_bytes()).collect();
                out.write_all(&bytes)?;
            }
        }
        ["greedy", path, text, count] => {
            let model = open(path)?;
            let mut context = model.new_context(&backend, context("1")?)?;
            let mut tokens = model.vocab().tokenize(text.as_bytes(), true, false);
            feed(&mut context, 0, &tokens)?;
            let mut row = tokens.len() as i32 - 1;
            for _ in 0..count.parse()? {
                let logits = context.get_logits_ith(row);
                let mut best = 0;
                for (i, logit) in logits.iter().enumerate() {
                    best = if *logit > logits[best] { i } else { best };
                }
                print!("{best} ");
                tokens.push(LlamaToken(best as i32));
                feed(&mut context, tokens.len() - 1, &tokens[tokens.len() - 1..])?;
                row = 0;
            }
            println!();
        }
        ["tokens", path] => {
            let model = open(path)?;
            for line in std::io::stdin().lock().lines() {
                for token in model.vocab().tokenize(&from_hex(&line?), false, false) {
                    print!("{} ", token.0);
                }
                println!();
            }
        }
        ["serve", path, context_tokens, cache] => {
            let start = Instant::now();
            let cache = if cache == "q8_0" { KvCacheType::Q8_0 } else { KvCacheType::F16 };
            let model = open(path)?;
            let context_tokens = context_tokens.parse()?;
            serve::Server { backend: &backend, model: &model, context_tokens, cache }.run(start)?;
        }
        // A program's start: the first token behind a prompt, and the most memory that it took.
        ["first", path, threads, prompt] => {
            let start = Instant::now();
            let model = open(path)?;
            let mut context = model.new_context(&backend, context(threads)?)?;
            let tokens: Vec<LlamaToken> = (0..prompt.parse()?).map(|i| token(i, model.n_vocab() as u64)).collect();
            feed(&mut context, 0, &tokens)?;
            let seconds = start.elapsed().as_secs_f64();
            println!("{{\"seconds\": {seconds}, \"peak_bytes\": {}}}", peak_bytes());
        }
        _ => return Err("see the opening paragraph of the bench's main.rs".into()),
    }
    Ok(())
}

/// The same made-up tokens in every peer.
fn token(index: usize, n_vocab: u64) -> LlamaToken {
    LlamaToken(((index as u64 + 1) * 2_654_435_761 % n_vocab) as i32)
}

/// Computes these tokens from position `first` on, with the logits of the last.
fn feed(context: &mut LlamaContext<'_>, first: usize, tokens: &[LlamaToken]) -> Result<(), Error> {
    let mut batch = LlamaBatch::new(tokens.len(), 1);
    for (i, token) in tokens.iter().enumerate() {
        batch.add(*token, (first + i) as i32, &[0], i + 1 == tokens.len())?;
    }
    Ok(context.decode(&mut batch)?)
}

/// The most memory that this process has had, mapped files included.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn from_hex(line: &str) -> Vec<u8> {
    (0..line.len() / 2).filter_map(|i| u8::from_str_radix(&line[2 * i..2 * i + 2], 16).ok()).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

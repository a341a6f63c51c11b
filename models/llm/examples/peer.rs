//! Nearfield's engine behind the command line that the peers of `make bench-peers` share (see `tests/peers/bench`): it measures
//! itself, and says its logits, its greedy continuation and its tokens.

use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

use nearfield_llm::{CacheType, Llm, LlmOptions, Session, SessionOptions, TokenId, read_bandwidth};
use std::ops::ControlFlow;

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let options = SessionOptions { context_tokens: 2048, ..SessionOptions::default() };
    let go_on = &mut || ControlFlow::Continue(());
    match arguments[..] {
        ["speed", path, threads, prompt, generate] => {
            let llm = Llm::open(Path::new(path), &LlmOptions { threads: threads.parse()? })?;
            let mut session = Session::new(llm, &options)?;
            let n_vocab = session.llm().info().vocab_size as u64;
            let (prompt, generate): (usize, usize) = (prompt.parse()?, generate.parse()?);
            let tokens: Vec<TokenId> = (0..prompt).map(|i| token(i, n_vocab)).collect();
            let (mut prefill, mut decode) = (Vec::new(), Vec::new());
            for run in 0..4 {
                session.truncate(0);
                let start = Instant::now();
                session.prompt(&tokens, go_on)?;
                if run > 0 {
                    prefill.push(start.elapsed().as_secs_f64() / prompt as f64); // the first touches every page
                }
                let start = Instant::now();
                for i in prompt..prompt + generate {
                    session.step(token(i, n_vocab))?;
                }
                if run > 0 {
                    decode.push(start.elapsed().as_secs_f64() / generate as f64);
                }
            }
            let (prefill, decode) = (1.0 / median(prefill), 1.0 / median(decode));
            let bytes = session.llm().info().bytes_per_token;
            println!("{{\"prefill_tok_s\": {prefill}, \"decode_tok_s\": {decode}, \"bytes_per_token\": {bytes}}}");
        }
        ["memory", threads] => {
            let start = Instant::now();
            println!("{}", read_bandwidth(threads.parse()?, 256 << 20, &|| start.elapsed())?);
        }
        ["logits", path, threads, count] => {
            let llm = Llm::open(Path::new(path), &LlmOptions { threads: threads.parse()? })?;
            let mut session = Session::new(llm, &options)?;
            let n_vocab = session.llm().info().vocab_size as u64;
            let mut out = std::io::stdout().lock();
            for i in 0..count.parse()? {
                let bytes: Vec<u8> = session.step(token(i, n_vocab))?.iter().flat_map(|x| x.to_le_bytes()).collect();
                out.write_all(&bytes)?;
            }
        }
        ["greedy", path, text, count] => {
            let llm = Llm::open(Path::new(path), &LlmOptions { threads: 1 })?;
            let mut session = Session::new(llm, &options)?;
            let tokens = session.llm().tokenizer()?.encode_prompt(text);
            session.prompt(&tokens, go_on)?;
            for _ in 0..count.parse()? {
                let logits = session.logits();
                let mut best = 0;
                for (i, logit) in logits.iter().enumerate() {
                    best = if *logit > logits[best] { i } else { best };
                }
                print!("{best} ");
                session.step(TokenId(best as u32))?;
            }
            println!();
        }
        ["tokens", path] => {
            let llm = Llm::open(Path::new(path), &LlmOptions { threads: 1 })?;
            for line in std::io::stdin().lock().lines() {
                let text = String::from_utf8(from_hex(&line?))?;
                for token in llm.tokenizer()?.encode(&text, false) {
                    print!("{} ", token.0);
                }
                println!();
            }
        }
        ["serve", path, context_tokens, cache] => {
            let start = Instant::now();
            let llm = Llm::open(Path::new(path), &LlmOptions { threads: 2 })?;
            let cache = if cache == "q8_0" { CacheType::Q8_0 } else { CacheType::F16 };
            let session = Session::new(llm, &SessionOptions { context_tokens: context_tokens.parse()?, cache })?;
            serve(session, start)?;
        }
        // A program's start: the first token behind a prompt, and the most memory that it took.
        ["first", path, threads, prompt] => {
            let start = Instant::now();
            let llm = Llm::open(Path::new(path), &LlmOptions { threads: threads.parse()? })?;
            let mut session = Session::new(llm, &options)?;
            let n_vocab = session.llm().info().vocab_size as u64;
            let tokens: Vec<TokenId> = (0..prompt.parse()?).map(|i| token(i, n_vocab)).collect();
            session.prompt(&tokens, go_on)?;
            let seconds = start.elapsed().as_secs_f64();
            let peak = nearfield_base::memory::of_process("VmHWM").unwrap_or(0);
            println!("{{\"seconds\": {seconds}, \"peak_bytes\": {peak}}}");
        }
        _ => return Err("see the opening paragraph of tests/peers/bench/src/main.rs".into()),
    }
    Ok(())
}

/// Answers the bench's commands until the input ends: each is a word and a number, and is answered with the seconds that it took.
fn serve(mut session: Session, start: Instant) -> Result<(), Error> {
    let n_vocab = session.llm().info().vocab_size as u64;
    let tokens = |range: std::ops::Range<usize>| range.map(|i| token(i, n_vocab)).collect::<Vec<_>>();
    println!("{{\"seconds\": {}}}", start.elapsed().as_secs_f64());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (command, count) = line.split_once(' ').ok_or("a command and a number")?;
        let (count, held) = (count.parse()?, session.len());
        let start = Instant::now();
        match command {
            "bytes" => {
                println!("{{\"bytes\": {}}}", session.bytes_per_step());
                continue;
            }
            "threads" => session.llm().set_threads(count),
            // Makes the session hold so many tokens.
            "fill" => {
                session.truncate(count);
                session.append(&tokens(held.min(count)..count))?;
            }
            // Reads or writes so many tokens behind those that it holds; they are forgotten below.
            "read" => session.append(&tokens(held..held + count))?,
            "write" => {
                (held..held + count).try_for_each(|i| session.step(token(i, n_vocab)).map(|_| ()))?;
            }
            _ => return Err(format!("the command {command:?} is unknown").into()),
        }
        println!("{{\"seconds\": {}}}", start.elapsed().as_secs_f64());
        if matches!(command, "read" | "write") {
            session.truncate(held);
        }
    }
    Ok(())
}

/// The same made-up tokens in every peer.
fn token(index: usize, n_vocab: u64) -> TokenId {
    TokenId(((index as u64 + 1) * 2_654_435_761 % n_vocab) as u32)
}

fn from_hex(line: &str) -> Vec<u8> {
    (0..line.len() / 2).filter_map(|i| u8::from_str_radix(&line[2 * i..2 * i + 2], 16).ok()).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

//! `make bench-peers`: Nearfield beside llama.cpp on the files that people pull, on this machine, in this hour (`real.rs`).
//! With `--synthetic`, files with random weights are measured too (candle-transformers beside them), each run being a process of
//! its own, and what the programs compute is compared: logits by type, greedy text, tokens.
//!
//! Every peer is a program with the same command line:
//! `serve FILE CONTEXT CACHE` keeps a model loaded and works on request (`served.rs`);
//! `first FILE THREADS PROMPT` prints `{"seconds": .., "peak_bytes": ..}` of a start to the first token;
//! `speed FILE THREADS PROMPT GENERATE` prints `{"prefill_tok_s": .., "decode_tok_s": ..}`;
//! `logits FILE THREADS COUNT` writes the logits after each of COUNT made-up tokens, as f32;
//! `greedy FILE TEXT COUNT` prints the numbers of COUNT tokens; `tokens FILE` does so for each line of hex on its input.
//! Nearfield's also says `bytes_per_token`, and with `memory THREADS` the memory's GB/s.
//!
//! Usage: `peers-bench NEARFIELD-PEER FOLDER [--models FOLDER] [--runs N] [--contexts N,..] [--threads N,..] [--cache f16|q8_0] [--busy]
//! [--json] [--synthetic] [--quick] [STORIES.gguf]`; FOLDER keeps made files and `peers.json`, `--models` names the folder with the real
//! ones. `peers-bench architectures NEARFIELD-PEER FOLDER COUNT GOLDEN.json` compares the logits after COUNT tokens of every file in a folder,
//! and writes down llama.cpp's (`architectures.rs`). `peers-bench load NEARFIELD LLAMA-SERVER FILE.gguf [--clients N,..] [--runs N]` compares the
//! two servers under load (`load.rs`). `--quick` leaves out candle's speed (it reads 512 tokens of 1.1B for half a minute in each run), one thread, and two types.

mod architectures;
mod load;
mod real;
mod served;
mod synthetic;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

type Error = Box<dyn std::error::Error>;

/// A program that is measured.
struct Peer {
    name: &'static str,
    path: PathBuf,
}

fn main() -> Result<(), Error> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut flag = |name: &str| take(&mut arguments, name, 1).is_some();
    let (quick, synthetic, as_json, busy) = (flag("--quick"), flag("--synthetic"), flag("--json"), flag("--busy"));
    let mut value = |name: &str| take(&mut arguments, name, 2);
    let runs: usize = value("--runs").map_or(Ok(7), |runs| runs.parse())?;
    let options = real::Options {
        runs,
        contexts: list(value("--contexts").as_deref().unwrap_or("0,2048,8000"))?,
        threads: list(value("--threads").as_deref().unwrap_or("1,2"))?,
        cache: value("--cache").unwrap_or_else(|| "f16".to_owned()),
        busy,
        as_json,
    };
    let models = value("--models");
    let clients = list(value("--clients").as_deref().unwrap_or("1,4,8,16"))?;
    if let [what, nearfield, llama_server, file] = &arguments[..]
        && what == "load"
    {
        let programs = [nearfield, llama_server].map(Path::new);
        return load::compare(programs, Path::new(file), &clients, runs, as_json);
    }
    if let [what, ours, folder, count, golden] = &arguments[..]
        && what == "architectures"
    {
        let ours = Peer { name: "nearfield", path: PathBuf::from(ours) };
        let llama = Peer { name: "llama.cpp", path: std::env::current_exe()?.with_file_name("peer-llama") };
        return architectures::compare(&ours, &llama, Path::new(folder), count, Path::new(golden));
    }
    let [ours, folder, stories @ ..] = &arguments[..] else {
        return Err(
            "usage: peers-bench NEARFIELD-PEER FOLDER [options] [STORIES.gguf]; see the opening of main.rs".into()
        );
    };
    let here = std::env::current_exe()?;
    let folder = Path::new(folder);
    std::fs::create_dir_all(folder)?;
    let ours = Peer { name: "nearfield", path: PathBuf::from(ours) };
    let llama = Peer { name: "llama.cpp", path: here.with_file_name("peer-llama") };
    let candle = Peer { name: "candle", path: here.with_file_name("peer-candle") };
    let mut all = json!({"processor": processor()});
    match &models {
        None => eprintln!("real files: not measured, as no folder with them was named (NEARFIELD_TEST_MODELS)"),
        Some(models) => {
            if !as_json {
                println!(
                    "{}, {} cores; medians of {runs} runs in turn",
                    processor(),
                    std::thread::available_parallelism()?
                );
            }
            let (mut speed, mut starts) = (Vec::new(), Vec::new());
            for file in real::files(Path::new(models))? {
                speed.extend(real::measure(&ours, &llama, &file, &options)?);
                starts.push(real::starts(&ours, &llama, &file, runs.min(5), as_json)?);
            }
            all["real"] = json!({"speed": speed, "starts": starts});
        }
    }
    if synthetic {
        synthetic::compare(&[ours, llama, candle], folder, stories, runs, quick, &mut all)?;
    }
    let text = serde_json::to_string_pretty(&all)?;
    std::fs::write(folder.join("peers.json"), &text)?;
    match as_json {
        true => println!("{text}"),
        false => println!("written: {}", folder.join("peers.json").display()),
    }
    Ok(())
}

/// Numbers between commas.
fn list(numbers: &str) -> Result<Vec<usize>, Error> {
    numbers.split(',').map(|number| Ok(number.trim().parse()?)).collect()
}

/// Runs a peer, gives it `input`, and returns what it says.
fn run(peer: &Peer, arguments: &[&str], environment: &[(&str, &str)], input: &[u8]) -> Result<Vec<u8>, Error> {
    let mut child = Command::new(&peer.path)
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", peer.path.display()))?;
    let mut pipe = child.stdin.take().ok_or("no pipe")?;
    let input = input.to_vec();
    let writer = std::thread::spawn(move || pipe.write_all(&input));
    let output = child.wait_with_output()?;
    let _ = writer.join(); // a peer that reads nothing is none the worse
    if !output.status.success() {
        return Err(format!("{} {arguments:?} ended with {}", peer.name, output.status).into());
    }
    Ok(output.stdout)
}

fn take(arguments: &mut Vec<String>, name: &str, len: usize) -> Option<String> {
    let at = arguments.iter().position(|argument| argument == name).filter(|at| at + len <= arguments.len())?;
    arguments.drain(at..at + len).next_back()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn processor() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    name.unwrap_or("unknown").trim_start_matches([' ', '\t', ':']).to_owned()
}

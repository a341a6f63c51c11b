//! What `make bench-peers` measures by default: the files that people pull, at one and two threads, behind short and long
//! contexts, ours and llama.cpp in turn within a second.
//!
//! Each program loads a file once and fills its context once; then they write some tokens in turn, and read a prompt in turn, and
//! forget them again. Ratios are medians of the ratios of neighbouring runs; behind them, in brackets, those of the quickest runs. In each case the memory is read too, as fast as it
//! goes: writing text is reading the weights and the cache.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::served::Served;
use crate::{Error, Peer, median, run, text};

/// What is measured, and how often.
pub struct Options {
    pub runs: usize,
    pub contexts: Vec<usize>,
    pub threads: Vec<usize>,
    pub cache: String,
    /// Whether a process that computes without end runs beside each of the cores.
    pub busy: bool,
    /// Whether nothing but JSON is printed.
    pub as_json: bool,
}

/// Seconds that one run of writing takes, more or less.
const WRITE_SECONDS: f64 = 0.25;
/// Tokens of a prompt that is read behind a context; behind none, a short one.
const PROMPT: usize = 256;
const SHORT_PROMPT: usize = 128;

/// The models in a folder: every GGUF file with a vocabulary that fits, in order of size.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files: Vec<(u64, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "gguf") {
            files.push((entry.metadata()?.len(), entry.path()));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

/// Measures both programs on a file, prints a line for each case, and returns all of them.
pub fn measure(ours: &Peer, other: &Peer, file: &Path, options: &Options) -> Result<Vec<Value>, Error> {
    let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let room = options.contexts.iter().max().copied().unwrap_or(0) + 2 * PROMPT;
    let mut peers =
        [Served::start(ours, file, room, &options.cache)?, Served::start(other, file, room, &options.cache)?];
    let mut rows = Vec::new();
    for context in &options.contexts {
        for peer in &mut peers {
            peer.seconds("fill", *context)?;
        }
        for threads in &options.threads {
            let _load: Vec<Load> = if options.busy { Load::on_each_core()? } else { Vec::new() };
            for peer in &mut peers {
                peer.seconds("threads", *threads)?;
            }
            let each = peers[0].seconds("write", 4)? / 4.0;
            peers[1].seconds("write", 1)?;
            let tokens = ((WRITE_SECONDS / each) as usize).clamp(4, 128);
            let writing = turns(&mut peers, "write", tokens, options.runs)?;
            let bytes = peers[0].number("bytes", 0, "bytes")?;
            let prompt = if *context < PROMPT { SHORT_PROMPT } else { PROMPT };
            let reading = turns(&mut peers, "read", prompt, options.runs.div_ceil(2))?;
            let memory: f64 =
                String::from_utf8(run(ours, &["memory", &threads.to_string()], &[], b"")?)?.trim().parse()?;
            let share = writing.tok_s[0] * bytes / 1e9 / memory;
            let line = format!(
                "{:34}{threads:>3}{context:>7}  decode {:>7.1} {:>7.1} {:>5.2}x ({:.2}x)  prefill {:>7.1} {:>7.1} {:>5.2}x ({:.2}x)  {:>6.1} MB/token, {:>3.0} % of {memory:.1} GB/s",
                name.chars().take(32).collect::<String>(),
                writing.tok_s[0],
                writing.tok_s[1],
                writing.ratio,
                writing.best,
                reading.tok_s[0],
                reading.tok_s[1],
                reading.ratio,
                reading.best,
                bytes / 1e6,
                100.0 * share,
            );
            if !options.as_json {
                println!("{line}");
            }
            let case = |turns: &Turns| json!({"nearfield_tok_s": turns.tok_s[0], "llama_tok_s": turns.tok_s[1], "ratio": turns.ratio, "ratio_of_best": turns.best, "ratios": turns.ratios});
            rows.push(json!({
                "model": name, "threads": threads, "context": context, "cache": options.cache, "busy": options.busy,
                "runs": options.runs, "decode": case(&writing), "prefill": case(&reading), "prefill_tokens": prompt,
                "bytes_per_token": bytes, "machine_gb_s": memory, "share_of_it": share,
            }));
        }
        for peer in &mut peers {
            peer.seconds("threads", 2)?;
        }
    }
    Ok(rows)
}

/// What taking turns gave.
struct Turns {
    tok_s: [f64; 2],
    ratio: f64,
    ratios: Vec<f64>,
    /// Of the quickest run of each: what an undisturbed machine would show.
    best: f64,
}

/// Gives both the same work in turn, `runs` times each.
fn turns(peers: &mut [Served; 2], command: &str, tokens: usize, runs: usize) -> Result<Turns, Error> {
    let mut seconds = [Vec::new(), Vec::new()];
    for _ in 0..runs.max(1) {
        for (peer, seconds) in peers.iter_mut().zip(&mut seconds) {
            seconds.push(peer.seconds(command, tokens)? / tokens as f64);
        }
    }
    let least = |seconds: &[f64]| seconds.iter().copied().fold(f64::INFINITY, f64::min);
    let best = least(&seconds[1]) / least(&seconds[0]);
    let ratios: Vec<f64> = seconds[0].iter().zip(&seconds[1]).map(|(ours, other)| other / ours).collect();
    Ok(Turns { tok_s: seconds.map(|seconds| 1.0 / median(&seconds)), ratio: median(&ratios), ratios, best })
}

/// Time to the first token of a new process, and the most memory that it takes, in turn.
pub fn starts(ours: &Peer, other: &Peer, file: &Path, runs: usize, as_json: bool) -> Result<Value, Error> {
    let mut seconds = [Vec::new(), Vec::new()];
    let mut peaks = [0.0, 0.0];
    for _ in 0..runs.max(1) {
        for (index, peer) in [ours, other].into_iter().enumerate() {
            let said: Value = serde_json::from_slice(&run(peer, &["first", text(file), "2", "16"], &[], b"")?)?;
            seconds[index].push(said["seconds"].as_f64().ok_or("no seconds")?);
            peaks[index] = said["peak_bytes"].as_f64().ok_or("no peak_bytes")?;
        }
    }
    let size = std::fs::metadata(file)?.len() as f64;
    let seconds = seconds.map(|seconds| median(&seconds));
    let line = format!(
        "{:34}start to first token {:.2} s, {:.2} s ({:.2}x the time); peak memory {:.0} MB, {:.0} MB ({:.2}x and {:.2}x the file)",
        file.file_stem().unwrap_or_default().to_string_lossy().chars().take(32).collect::<String>(),
        seconds[0],
        seconds[1],
        seconds[0] / seconds[1],
        peaks[0] / 1e6,
        peaks[1] / 1e6,
        peaks[0] / size,
        peaks[1] / size,
    );
    if !as_json {
        println!("{line}");
    }
    Ok(json!({"file": text(file), "first_token_s": seconds, "peak_bytes": peaks, "file_bytes": size}))
}

/// A process that keeps one core busy.
struct Load(std::process::Child);

impl Load {
    fn on_each_core() -> Result<Vec<Load>, Error> {
        let spin = || std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn();
        (0..std::thread::available_parallelism()?.get()).map(|_| Ok(Load(spin()?))).collect()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

//! `nearfield models imatrix`: how large the inputs of each matrix are while a model reads a text, in the file that llama.cpp's tools
//! and `nearfield models quantize --imatrix` read. A run that is stopped or killed goes on where it was: what has been read so far is in
//! a file beside the one to be.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nearfield_llm::{CacheType, InputSquares, Llm, LlmOptions, Session, SessionOptions, Squares};
use nearfield_quantize::{Importance, ImportanceMatrix};
use nearfield_stages::flow::{StopSignal, writes};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::calibration::Calibration;
use crate::cli::{self, ImatrixArgs};
use crate::config::{Config, VoiceConfig};
use crate::eval::chunks::{Chunks, read_text};
use crate::files::Files;
use crate::hub::registry::Registry;
use crate::output::progress::Progress;
use crate::signals;

/// Chunks of Nearfield's own texts, where nothing is said.
const OWN_CHUNKS: u32 = 64;
/// Between two writes of what has been read so far.
const SAVE_INTERVAL: Duration = Duration::from_secs(20);

/// The sums of each matrix, by its name.
type Collected = BTreeMap<Box<str>, Squares>;

/// Collects.
///
/// # Errors
/// The model or the text can't be read, the text is too short, the file is there already or can't be written, or the user stops it.
pub(super) fn run(
    args: &ImatrixArgs,
    registry: &Registry,
    quiet: bool,
    stop: &StopSignal,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let config = VoiceConfig::load(args.config.config.as_deref(), &args.config.set)?;
    let model = registry.resolve_as(&args.model, crate::load::LANGUAGE)?;
    let own = Calibration::named(&args.calibrate);
    let partial = partial_path(&args.output);
    let mut files = Files::new();
    files.reads_model("the model", &model);
    if own.is_none() {
        files.reads("--calibrate", Path::new(&args.calibrate));
    }
    files.creates("--output", &args.output, cli::existing(args.overwrite));
    files.writes("the part that is done,", &partial);
    files.check()?;
    let llm = Llm::open(model.path(), &LlmOptions { threads: config.llm.threads })?;
    let (context, most) = (args.context as usize, args.chunks.map(|n| n as usize));
    let chunks = match own {
        Some(own) => {
            let count = most.unwrap_or(OWN_CHUNKS as usize);
            let tokens = own.tokens(&llm, registry, count.max(2) * context)?;
            Chunks::of_tokens(&llm, tokens, &args.calibrate, context, Some(count))?
        }
        None => {
            let path = Path::new(&args.calibrate);
            Chunks::new(&llm, &read_text(path)?, &args.calibrate, context, most)?
        }
    };
    let job = Job { args, chunks: &chunks, identity: identity(&llm, &chunks, args) };
    let squares = Arc::new(InputSquares::new(args.with_output));
    let begin = match job.resume(&partial)? {
        None => 0,
        Some((sums, chunks_read)) => {
            tracing::info!("{} chunks were read before; going on from there", chunks_read);
            squares.resume(sums);
            chunks_read
        }
    };
    let begun = Instant::now();
    let options = SessionOptions { context_tokens: context, cache: CacheType::F16 };
    let mut session = Session::new(llm.clone(), &options)?;
    session.observe_inputs(Some(squares.clone()));
    let (mut saved, mut read) = (Instant::now(), begin);
    let mut progress = Progress::new("read", "chunks", begin as u64, chunks.len() as u64, quiet);
    'chunks: for index in begin..chunks.len() {
        session.truncate(0);
        let before = squares.sums();
        for block in chunks.read(index).chunks(Session::MOST_SCORED) {
            if signals::is_stopped(stop) {
                squares.resume(before); // a part of a chunk is not taken over into the next run
                break 'chunks;
            }
            session.append_scored(block, 0)?;
        }
        read = index + 1;
        progress.show(read as u64, "");
        if saved.elapsed() >= SAVE_INTERVAL && read < chunks.len() {
            job.save(&squares, read, &partial, true)?;
            saved = Instant::now();
        }
    }
    progress.end();
    let _write = writes::begin();
    if read < chunks.len() {
        if read > 0 {
            job.save(&squares, read, &partial, true)?;
        }
        bail!("stopped after {read} of {} chunks; the same command goes on from there", chunks.len());
    }
    let matrix = job.save(&squares, read, &args.output, false)?;
    std::fs::remove_file(&partial).ok(); // there may be none
    let seconds = begun.elapsed().as_secs_f64();
    let unseen: Vec<&String> =
        matrix.entries.iter().filter(|(_, entry)| entry.counts.contains(&0)).map(|(name, _)| name).collect();
    if let Some(first) = unseen.first() {
        tracing::warn!(
            "{} tensors have experts that no token reached, such as {first}; a longer text reaches more",
            unseen.len()
        );
    }
    if args.json {
        let line = json!({
            "imatrix": args.output, "model": args.model, "calibrate": args.calibrate, "chunks": chunks.len(), "context": context,
            "tensors": matrix.entries.len(), "seconds": seconds, "threads": llm.threads(),
        });
        writeln!(out, "{line}")?;
    } else {
        writeln!(
            out,
            "{}: {} tensors over {} chunks of {context} tokens, in {seconds:.1} s",
            args.output.display(),
            matrix.entries.len(),
            chunks.len()
        )?;
    }
    Ok(())
}

/// What a run is, and what tells it from others.
struct Job<'a> {
    args: &'a ImatrixArgs,
    chunks: &'a Chunks,
    identity: String,
}

impl Job<'_> {
    /// Writes the sums; a partial file also says which run it is of.
    fn save(
        &self,
        squares: &InputSquares,
        read: usize,
        path: &Path,
        is_partial: bool,
    ) -> anyhow::Result<ImportanceMatrix> {
        let of_tensor = |(name, squares): (Box<str>, Squares)| {
            let entry = Importance {
                sums_of_squares: squares.sums.iter().map(|sum| *sum as f32).collect(),
                sums: Vec::new(),
                counts: squares.rows,
            };
            (name.into_string(), entry)
        };
        let mut datasets = vec![self.args.calibrate.clone()];
        if is_partial {
            datasets.push(self.identity.clone());
        }
        let matrix = ImportanceMatrix {
            datasets,
            chunks: read as u32,
            chunk_tokens: self.args.context,
            entries: squares.sums().into_iter().map(of_tensor).collect(),
        };
        let finite = |entry: &Importance| entry.sums_of_squares.iter().all(|sum| sum.is_finite());
        if let Some((name, _)) = matrix.entries.iter().find(|(_, entry)| !finite(entry)) {
            bail!("the inputs of {name} are not finite: the model is damaged");
        }
        matrix.save(path).with_context(|| format!("{} can't be written", path.display()))?;
        Ok(matrix)
    }

    /// The sums of an earlier run of the same command, and how many chunks it had read.
    fn resume(&self, partial: &Path) -> anyhow::Result<Option<(Collected, usize)>> {
        if !partial.is_file() {
            return Ok(None);
        }
        let matrix = match ImportanceMatrix::open(partial) {
            Ok(matrix) => matrix,
            Err(error) => {
                tracing::warn!("{error}; reading begins anew");
                return Ok(None);
            }
        };
        let read = matrix.chunks as usize;
        if matrix.datasets.get(1) != Some(&self.identity) || read > self.chunks.len() {
            tracing::warn!("{} is of another model or text; reading begins anew", partial.display());
            return Ok(None);
        }
        let of_entry = |(name, entry): (String, Importance)| {
            let sums = entry.sums_of_squares.iter().map(|sum| f64::from(*sum)).collect();
            (name.into_boxed_str(), Squares { sums, rows: entry.counts })
        };
        Ok(Some((matrix.entries.into_iter().map(of_entry).collect(), read)))
    }
}

/// The model, the tokens and what is collected, as a hash.
fn identity(llm: &Llm, chunks: &Chunks, args: &ImatrixArgs) -> String {
    let mut hash = Sha256::new();
    let info = llm.info();
    hash.update(format!("{} {} {} {}", info.name, info.file_bytes, info.quantization, info.parameters));
    hash.update(format!(" {} {} ", args.context, args.with_output));
    chunks.tokens().iter().for_each(|token| hash.update(token.0.to_le_bytes()));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where what has been read so far is kept.
fn partial_path(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    output.with_file_name(name)
}

//! `nearfield models imatrix`: how large the inputs of each matrix are while a model reads a text, in the file that llama.cpp's tools
//! and `nearfield models quantize --imatrix` read. A run that is stopped or killed goes on where it was: what has been read so far is in
//! a file beside the one to be.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nearfield_llm::{CacheType, InputObserver, InputSquares, Llm, Session, SessionOptions, Squares};
use nearfield_quantize::{Importance, ImportanceMatrix};
use nearfield_stages::flow::{StopSignal, writes};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::calibration::{self, Calibration};
use crate::cli::{self, ImatrixArgs};
use crate::config::{Config, VoiceConfig};
use crate::eval::chunks::Chunks;
use crate::files::Files;
use crate::hub::registry::Registry;
use crate::load::voice::open_llm;
use crate::output::progress::Progress;
use crate::signals;

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
    let llm = open_llm(&args.model, "MODEL", config.llm.threads, registry)?;
    let (context, most) = (args.context as usize, args.chunks.map(|n| n as usize));
    let chunks = calibration::chunks(&args.calibrate, &llm, registry, context, most)?;
    let job = Job { args, chunks: &chunks, identity: identity(&llm, &chunks, args) };
    let squares = Arc::new(InputSquares::new(args.with_output));
    let begin = match job.resume(&partial)? {
        None => Place::default(),
        Some((sums, place)) => {
            tracing::info!("{} chunks were read before; going on from there", place.chunks);
            squares.resume(sums);
            place
        }
    };
    let begun = Instant::now();
    let options = SessionOptions { context_tokens: context, cache: CacheType::F16 };
    let mut session = Session::new(llm.clone(), &options)?;
    let (mut saved, mut read) = (Instant::now(), begin);
    let mut progress = Progress::new("read", "chunks", begin.chunks as u64, chunks.len() as u64, quiet);
    'chunks: for index in begin.chunks..chunks.len() {
        session.truncate(0);
        for (at, block) in chunks.read(index).chunks(Session::MOST_SCORED).enumerate() {
            if signals::is_stopped(stop) {
                break 'chunks;
            }
            // What an earlier run has seen of this chunk is read once more, for what stands behind it, and not counted again.
            let here = Place { chunks: index, blocks: at };
            session.observe_inputs((here >= begin).then(|| squares.clone() as Arc<dyn InputObserver>));
            session.append_scored(block, 0)?;
            read = read.max(Place { blocks: at + 1, ..here });
        }
        read = Place { chunks: index + 1, blocks: 0 };
        progress.show(read.chunks as u64, "");
        if saved.elapsed() >= SAVE_INTERVAL && read.chunks < chunks.len() {
            job.save(&squares, read, &partial, true)?;
            saved = Instant::now();
        }
    }
    progress.end();
    let _write = writes::begin();
    if read.chunks < chunks.len() {
        if read > Place::default() {
            job.save(&squares, read, &partial, true)?;
        }
        bail!("stopped after {} of {} chunks; the same command goes on from there", read.chunks, chunks.len());
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

/// How far a run has come: whole chunks, and blocks of the one after them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    chunks: usize,
    blocks: usize,
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
        read: Place,
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
            datasets.extend([self.identity.clone(), read.blocks.to_string()]);
        }
        let matrix = ImportanceMatrix {
            datasets,
            chunks: read.chunks as u32,
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

    /// The sums of an earlier run of the same command, and how far it had come.
    fn resume(&self, partial: &Path) -> anyhow::Result<Option<(Collected, Place)>> {
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
        let blocks = matrix.datasets.get(2).map_or(Some(0), |blocks| blocks.parse().ok());
        let read = blocks.map(|blocks| Place { chunks: matrix.chunks as usize, blocks });
        let read = read.filter(|read| read.chunks <= self.chunks.len());
        let (Some(read), Some(true)) = (read, matrix.datasets.get(1).map(|identity| *identity == self.identity)) else {
            tracing::warn!("{} is of another model or text; reading begins anew", partial.display());
            return Ok(None);
        };
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
pub(super) fn partial_path(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    output.with_file_name(name)
}

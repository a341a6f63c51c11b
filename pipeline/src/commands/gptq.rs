//! `nearfield models quantize --method gptq`: the model reads a text, and matrix after matrix is rounded with what its inputs were. Of
//! these only so much is collected at a time as `--memory` allows; the text is read once for each lot of matrices. What is done is kept
//! beside the file to be, so that the same command goes on after a kill.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use nearfield_llm::{CacheType, InputProducts, Llm, MatrixPart, Products, Session, SessionOptions};
use nearfield_quantize::{Feedback, Job, Kept, TensorFormat};
use sha2::{Digest, Sha256};

use super::imatrix::partial_path;
use crate::calibration;
use crate::cli::QuantizeArgs;
use crate::eval::chunks::Chunks;
use crate::hub::registry::Registry;
use crate::load::voice::open_llm;
use crate::output::progress::Progress;

/// Chunks that are read, where nothing is said.
const CHUNKS: u32 = 48;
/// The part of the mean of a Hessian's diagonal that is added to it.
const DAMPING: f32 = 0.01;

/// Rounds all matrices that are multiplied with something, and returns them. `job` is what writes the file afterwards.
pub(super) fn round(
    args: &QuantizeArgs,
    job: &Job<'_>,
    registry: &Registry,
    quiet: bool,
    stop: &dyn Fn() -> bool,
) -> Result<Kept> {
    let Some(text) = args.calibrate.as_deref() else { bail!("--method gptq needs --calibrate") };
    let llm = open_llm(&args.source.to_string_lossy(), "IN.gguf", job.threads, registry)?;
    let most = args.chunks.unwrap_or(CHUNKS) as usize;
    let chunks = calibration::chunks(text, &llm, registry, args.context as usize, Some(most))?;
    let path = partial_path(&args.to);
    let was_there = path.exists();
    let kept = Kept::open(&path, &identity(job, args.imatrix.as_deref(), &chunks, args.context))?;
    let tied = job.source.tensor("output.weight").is_none();
    let wanted: Vec<&TensorFormat> = job.formats.iter().filter(|tensor| is_wanted(tensor, tied)).collect();
    let all = lots(&wanted, args.memory);
    if let Some((tensor, bytes)) = largest(&wanted, args.memory) {
        let mb = bytes.div_ceil(1_000_000);
        tracing::warn!("--memory is exceeded: what is collected for {} alone takes {mb} MB", tensor.name);
    }
    let left: Vec<&Vec<&TensorFormat>> =
        all.iter().filter(|lot| lot.iter().any(|tensor| !kept.has(&tensor.name))).collect();
    let done = wanted.iter().filter(|tensor| kept.has(&tensor.name)).count();
    match (done, was_there) {
        (0, true) => tracing::warn!("{} holds nothing of this run; it begins anew", path.display()),
        (0, false) => {}
        _ => tracing::info!("{done} of {} matrices were rounded before; going on from there", wanted.len()),
    }
    let mut run = Run { job, llm: &llm, chunks: &chunks, kept, path, quiet, stop };
    for (n, lot) in left.iter().enumerate() {
        let part = if left.len() == 1 { String::new() } else { format!(" {} of {}", n + 1, left.len()) };
        run.lot(lot, &part)?;
    }
    Ok(run.kept)
}

/// A run under way.
struct Run<'a> {
    job: &'a Job<'a>,
    llm: &'a Arc<Llm>,
    chunks: &'a Chunks,
    kept: Kept,
    path: PathBuf,
    quiet: bool,
    stop: &'a dyn Fn() -> bool,
}

impl Run<'_> {
    /// Reads the text, and rounds the matrices of a lot.
    fn lot(&mut self, lot: &[&TensorFormat], part: &str) -> Result<()> {
        let lot: Vec<&TensorFormat> = lot.iter().copied().filter(|tensor| !self.kept.has(&tensor.name)).collect();
        let products = self.read(&lot, part)?;
        let of = lot.iter().map(|tensor| weights(tensor)).sum();
        let mut progress = Progress::new(&format!("rounding{part}"), "weights", 0, of, self.quiet);
        let mut done = 0;
        let by_name: HashMap<&str, &TensorFormat> = lot.iter().map(|tensor| (tensor.name.as_str(), *tensor)).collect();
        // Experts of a tensor have products of their own, and come together here.
        let mut seen = HashSet::new();
        let mut experts: BTreeMap<&str, Vec<Option<Arc<Feedback>>>> = BTreeMap::new();
        for (matrices, products) in products {
            self.check()?;
            let Products { columns, rows, sums } = products;
            let feedback = Feedback::new(&sums, columns, rows, DAMPING, self.job.threads).map(Arc::new);
            drop(sums);
            if feedback.is_none() {
                tracing::warn!("the inputs of {} are of no use; it is rounded without feedback", matrices[0].0);
            }
            for (name, part) in matrices {
                let Some(tensor) = by_name.get(&*name) else { continue };
                seen.insert(tensor.name.as_str());
                let n = parts(tensor);
                if n > 1 {
                    let all = experts.entry(tensor.name.as_str()).or_insert_with(|| vec![None; n]);
                    if let Some(expert) = all.get_mut(part) {
                        expert.clone_from(&feedback);
                    }
                } else {
                    self.tensor(tensor, std::slice::from_ref(&feedback), &mut done, &mut progress)?;
                }
            }
        }
        for (name, feedback) in experts {
            self.tensor(by_name[name], &feedback, &mut done, &mut progress)?;
        }
        // What the model has not multiplied with anything.
        for tensor in lot.iter().filter(|tensor| !seen.contains(tensor.name.as_str())) {
            self.tensor(tensor, &[], &mut done, &mut progress)?;
        }
        progress.end();
        Ok(())
    }

    fn tensor(
        &mut self,
        tensor: &TensorFormat,
        feedback: &[Option<Arc<Feedback>>],
        done: &mut u64,
        progress: &mut Progress,
    ) -> Result<()> {
        let stop = self.stop;
        let bytes = self.job.with_feedback(tensor, feedback, &mut |weights| {
            progress.show(*done + weights, "");
            if stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        self.check()?;
        self.kept.add(&tensor.name, &bytes?)?;
        *done += weights(tensor);
        Ok(())
    }

    /// What the matrices of a lot are multiplied with while the model reads the text.
    fn read(&self, lot: &[&TensorFormat], part: &str) -> Result<Vec<(Vec<MatrixPart>, Products)>> {
        let wanted = lot.iter().flat_map(|tensor| {
            let name = tensor.name.as_str();
            (0..parts(tensor)).map(move |part| (Box::from(name), part))
        });
        let products = InputProducts::new(wanted.collect(), self.job.threads)?;
        let with_logits = lot.iter().any(|tensor| !tensor.name.starts_with("blk."));
        let context_tokens = self.chunks.read(0).len();
        let options = SessionOptions { context_tokens, cache: CacheType::F16 };
        let mut session = Session::new(self.llm.clone(), &options)?;
        session.observe_inputs(Some(products.clone()));
        let mut progress = Progress::new(&format!("reading{part}"), "chunks", 0, self.chunks.len() as u64, self.quiet);
        for index in 0..self.chunks.len() {
            session.truncate(0);
            for block in self.chunks.read(index).chunks(Session::MOST_SCORED) {
                self.check()?;
                session.append_scored(block, if with_logits { block.len() } else { 0 })?;
            }
            progress.show(index as u64 + 1, "");
        }
        progress.end();
        Ok(products.take())
    }

    fn check(&self) -> Result<()> {
        if (self.stop)() {
            bail!("stopped; what is done is in {}, and the same command goes on from there", self.path.display());
        }
        Ok(())
    }
}

/// Whether a tensor may have feedback. Rows of an embedding are copied, not multiplied, unless it is the output as well.
fn is_wanted(tensor: &TensorFormat, tied: bool) -> bool {
    let is_embedding = tensor.name.ends_with("token_embd.weight") && !(tied && tensor.name == "token_embd.weight");
    tensor.takes_feedback() && !is_embedding
}

/// How many matrices a tensor holds: the experts of a mixture.
fn parts(tensor: &TensorFormat) -> usize {
    tensor.dims.iter().skip(2).product()
}

fn weights(tensor: &TensorFormat) -> u64 {
    tensor.dims.iter().product::<usize>() as u64
}

/// The memory that the statistics of a tensor's inputs take.
fn statistics(tensor: &TensorFormat) -> u64 {
    (InputProducts::bytes(tensor.dims[0]) as u64).saturating_mul(parts(tensor) as u64)
}

/// The tensor with the largest statistics, and how large they are, where they are larger than the memory.
fn largest<'a>(tensors: &[&'a TensorFormat], memory: u64) -> Option<(&'a TensorFormat, u64)> {
    let sizes = tensors.iter().map(|tensor| (*tensor, statistics(tensor)));
    sizes.max_by_key(|(_, bytes)| *bytes).filter(|(_, bytes)| *bytes > memory)
}

/// Tensors in order, as many together as fit the memory. Queries, keys and values have the same inputs, as gates have those of what they
/// gate; they are counted once.
fn lots<'a>(tensors: &[&'a TensorFormat], memory: u64) -> Vec<Vec<&'a TensorFormat>> {
    let (mut lots, mut used, mut seen) = (vec![Vec::new()], 0u64, Vec::new());
    for tensor in tensors {
        let own = statistics(tensor);
        let inputs = inputs_of(&tensor.name);
        if inputs.is_none() || !seen.contains(&inputs) {
            if used + own > memory {
                lots.push(Vec::new());
                (used, seen) = (0, Vec::new());
            }
            used += own;
            seen.push(inputs);
        }
        lots.last_mut().expect("there is one").push(*tensor);
    }
    lots.retain(|lot| !lot.is_empty());
    lots
}

/// What matrices with the same inputs have in common: the layer, and where in it.
fn inputs_of(name: &str) -> Option<(String, &'static str)> {
    let (layer, place) = name.strip_prefix("blk.")?.split_once('.')?;
    let place = match place {
        "attn_q.weight" | "attn_k.weight" | "attn_v.weight" => "attention",
        "ffn_gate.weight" | "ffn_up.weight" => "feed-forward",
        _ => return None,
    };
    Some((layer.to_owned(), place))
}

/// This version, the source, the importance matrix, the formats and the text, as a hash.
fn identity(job: &Job<'_>, imatrix: Option<&Path>, chunks: &Chunks, context: u32) -> [u8; 32] {
    let mut hash = Sha256::new();
    let (source, imatrix) = (state_of(job.source.path()), imatrix.map(state_of));
    let version = env!("CARGO_PKG_VERSION");
    hash.update(format!("{version} {source:?} {imatrix:?} {context} {} {DAMPING}", chunks.len()));
    for tensor in job.formats {
        hash.update(format!(" {} {:?} {} {}", tensor.name, tensor.dims, tensor.from.name, tensor.to.name));
    }
    chunks.tokens().iter().for_each(|token| hash.update(token.0.to_le_bytes()));
    hash.finalize().into()
}

/// The length of a file, and when it was written.
fn state_of(path: &Path) -> (Option<u64>, Option<Duration>) {
    let data = std::fs::metadata(path).ok();
    let modified = data.as_ref().and_then(|data| data.modified().ok());
    let modified = modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    (data.map(|data| data.len()), modified)
}

#[cfg(test)]
mod tests {
    use nearfield_gguf::Gguf;
    use nearfield_quantize::{Method, Recipe, formats};

    use super::*;

    #[test]
    fn a_run_with_another_importance_matrix_is_another_run() {
        let folder = tempfile::tempdir().unwrap();
        let imatrix = folder.path().join("imatrix.gguf");
        let of = |text: &str| {
            std::fs::write(&imatrix, text).unwrap();
            format!("{:?}", state_of(&imatrix))
        };
        assert_ne!(of("one"), of("another"));
        assert_eq!(state_of(&folder.path().join("none")), (None, None));
    }

    #[test]
    fn a_tensor_whose_statistics_are_larger_than_the_memory_is_a_lot_of_its_own() {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/models/talk-nano.gguf");
        let source = Gguf::open(&model).unwrap();
        let recipe = Recipe::named("Q4_0").unwrap();
        let formats = formats(&source, recipe, false).unwrap();
        let job = Job {
            source: &source,
            formats: &formats,
            file_type: recipe.file_type,
            importance: None,
            method: Method::Fine,
            threads: 1,
        };
        let wanted: Vec<&TensorFormat> = job.formats.iter().filter(|tensor| is_wanted(tensor, true)).collect();
        assert_eq!(largest(&wanted, u64::MAX), None);
        let (tensor, bytes) = largest(&wanted, 2_000_000).unwrap();
        assert!(tensor.name.ends_with("ffn_down.weight") && bytes > 2_000_000, "{} {bytes}", tensor.name);
        assert!(lots(&wanted, 2_000_000).len() > lots(&wanted, 6_000_000).len());
    }
}

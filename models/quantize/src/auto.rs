//! Formats chosen tensor by tensor for a size. Each tensor is tried in each format on a sample of its rows; an error counts as much as
//! its column's inputs are large. The plain method is tried for all: it is quick, and a wider search gains about as much in each format.
//! Starting from the smallest formats, bytes are spent where they take away most error.

use std::ops::ControlFlow;
use std::path::Path;

use nearfield_gguf::Gguf;
use nearfield_kernels::{Format, Matrix};

use crate::file::{Job, parallel};
use crate::recipe::{TensorFormat, fitting, formats, tensor_type};
use crate::{ImportanceMatrix, Method, QuantizeError, Recipe, quantize_row};

/// What tensors may become, smallest first.
const CANDIDATES: [Format; 12] = [
    Format::Q2K,
    Format::Q3K,
    Format::Iq4Xs,
    Format::Iq4Nl,
    Format::Q4K,
    Format::Q4_0,
    Format::Q4_1,
    Format::Q5_0,
    Format::Q5K,
    Format::Q5_1,
    Format::Q6K,
    Format::Q8_0,
];
/// Weights of each tensor that are tried.
const SAMPLE_WEIGHTS: usize = 1 << 18;

/// What a choice came to.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The formats of all tensors, in the order in which they are written.
    pub formats: Vec<TensorFormat>,
    /// The number of `general.file_type`: that of the recipe of the most frequent format.
    pub file_type: u32,
    /// The length of the file.
    pub file_bytes: u64,
}

/// A tensor in one format.
#[derive(Debug, Clone, Copy)]
struct Trial {
    format: Format,
    bytes: u64,
    /// The part of the output's energy that is error, times how much this kind of tensor counts.
    error: f64,
}

/// Chooses formats so that the file has at most `budget` bytes. `progress` gets the number of tensors tried and of all;
/// [`Break`](ControlFlow::Break) stops.
///
/// # Errors
/// The smallest possible file is larger; the source is broken; the importance matrix is another model's; `progress` has said to stop.
pub fn choose(
    source: &Gguf,
    budget: u64,
    importance: Option<(&ImportanceMatrix, &Path)>,
    threads: usize,
    progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Choice, QuantizeError> {
    let recipe = Recipe::named("Q8_0").expect("a recipe");
    let mut formats = formats(source, recipe, importance.is_some())?;
    let tied = source.tensor("output.weight").is_none();
    let free: Vec<usize> = (0..formats.len()).filter(|at| formats[*at].to.name == "Q8_0").collect();
    let mut trials: Vec<Vec<Trial>> = Vec::new();
    for (n, at) in free.iter().enumerate() {
        if progress(n, free.len()).is_break() {
            return Err(QuantizeError::Stopped);
        }
        let tensor = &formats[*at];
        let tried = try_formats(source, tensor, importance, threads)?;
        let counts = weight_of(tensor, tied);
        let tried = tried.into_iter().map(|trial| Trial { error: trial.error * counts, ..trial }).collect();
        trials.push(lower_hull(tried));
    }
    let mut chosen = vec![0usize; free.len()];
    let set = |formats: &mut Vec<TensorFormat>, chosen: &[usize]| {
        for ((at, trials), chosen) in free.iter().zip(&trials).zip(chosen) {
            formats[*at].to = tensor_type(trials[*chosen].format);
        }
    };
    let size = |formats: &[TensorFormat], file_type: u32| -> Result<u64, QuantizeError> {
        Ok(Job { source, formats, file_type, importance, method: Method::Plain, threads }.layout()?.file_bytes())
    };
    set(&mut formats, &chosen);
    let least = size(&formats, 0)?;
    if least > budget {
        return Err(QuantizeError::Budget { least, budget });
    }
    let mut left = budget - least;
    // Formats of a tensor have ever less to gain a byte, so that taking the best step is the best choice but for what does not fit.
    loop {
        let step = |(at, chosen): (usize, &usize)| {
            let (now, next) = (trials[at].get(*chosen)?, trials[at].get(*chosen + 1)?);
            let bytes = padded(next.bytes) - padded(now.bytes);
            (bytes <= left).then_some((at, bytes, (now.error - next.error) / bytes.max(1) as f64))
        };
        let best = chosen.iter().enumerate().filter_map(step).max_by(|a, b| a.2.total_cmp(&b.2));
        let Some((at, bytes, _)) = best else { break };
        chosen[at] += 1;
        left -= bytes;
    }
    set(&mut formats, &chosen);
    let file_type = most_frequent(&formats);
    let file_bytes = size(&formats, file_type)?;
    Ok(Choice { formats, file_type, file_bytes })
}

/// The file's alignment is 32 where nothing else is said; a larger one costs little more.
fn padded(bytes: u64) -> u64 {
    bytes.next_multiple_of(32)
}

/// How much the relative error of a tensor counts beside others. An error in the output reaches the probabilities at once; one in a layer
/// is one of many contributions.
fn weight_of(tensor: &TensorFormat, tied: bool) -> f64 {
    match tensor.name.as_str() {
        "output.weight" => OUTPUT,
        "token_embd.weight" if tied => OUTPUT,
        name if name.contains("attn_v.weight") => VALUES,
        _ => 1.0,
    }
}

/// An output in IQ4_NL added as much divergence to SmolLM2-135M as some 70 times that relative error in its layers.
const OUTPUT: f64 = 70.0;
/// Few weights, and several heads read each; llama.cpp's recipes favour them, too.
const VALUES: f64 = 2.0;

/// Keeps the formats that a straight line between two others does not beat, smallest first.
fn lower_hull(mut trials: Vec<Trial>) -> Vec<Trial> {
    trials.sort_by(|a, b| a.bytes.cmp(&b.bytes).then(a.error.total_cmp(&b.error)));
    let mut hull: Vec<Trial> = Vec::new();
    for trial in trials {
        if hull.last().is_some_and(|last| last.error <= trial.error || last.bytes == trial.bytes) {
            continue;
        }
        while let [.., before, last] = hull[..] {
            let gain = |a: Trial, b: Trial| (a.error - b.error) / (b.bytes - a.bytes) as f64;
            if gain(before, last) > gain(last, trial) {
                break;
            }
            hull.pop();
        }
        hull.push(trial);
    }
    hull
}

/// The errors of a tensor in all formats whose blocks its rows fill, from rows spread over it.
fn try_formats(
    source: &Gguf,
    tensor: &TensorFormat,
    importance: Option<(&ImportanceMatrix, &Path)>,
    threads: usize,
) -> Result<Vec<Trial>, QuantizeError> {
    let columns = tensor.dims[0];
    let rows: usize = tensor.dims[1..].iter().product();
    let range = source.tensors()[&tensor.name].range.clone();
    let row_bytes = range.len() / rows;
    let unreadable = || {
        let (path, tensor, kind) = (source.path().to_owned(), tensor.name.clone(), tensor.from.name);
        QuantizeError::Source { path, tensor, kind }
    };
    let from = Format::named(tensor.from.name).ok_or_else(unreadable)?;
    let importance = match importance {
        Some((importance, path)) => importance.importance_of(path, &tensor.name, &tensor.dims)?,
        None => None,
    };
    let step = (rows * columns).div_ceil(SAMPLE_WEIGHTS).max(1);
    let formats: Vec<Format> = CANDIDATES.into_iter().filter(|format| fitting(*format, columns) == *format).collect();
    let mut samples: Vec<(usize, Vec<f32>)> = Vec::new();
    let mut bytes = vec![0; row_bytes];
    for at in (0..rows).step_by(step) {
        source.read(range.start + at * row_bytes, &mut bytes)?;
        let mut row = vec![0.0; columns];
        Matrix::new(from, &bytes, 1, columns).map_err(|_| unreadable())?.read_row(0, &mut row);
        if let Some(column) = row.iter().position(|x| !x.is_finite()) {
            let (path, tensor) = (source.path().to_owned(), tensor.name.clone());
            return Err(QuantizeError::NotFinite { path, tensor, index: at * columns + column, value: row[column] });
        }
        samples.push((at, row));
    }
    let per_expert = tensor.dims.get(1).copied().unwrap_or(1);
    let errors = parallel(threads, samples.iter(), |(at, row)| {
        let importance = importance.as_deref().map(|all| &all[at / per_expert * columns..][..columns]);
        let counts = |column: usize| importance.map_or(1.0, |importance| f64::from(importance[column]));
        let energy: f64 = row.iter().enumerate().map(|(c, x)| counts(c) * f64::from(*x).powi(2)).sum();
        let errors = formats.iter().map(|format| {
            let mut out = vec![0; format.row_bytes(columns).unwrap_or(0)];
            quantize_row(*format, row, importance, &mut out);
            let mut read = vec![0.0f32; columns];
            if let Ok(matrix) = Matrix::new(*format, &out, 1, columns) {
                matrix.read_row(0, &mut read);
            }
            let squares = row.iter().zip(&read).enumerate();
            squares.map(|(c, (x, y))| counts(c) * f64::from(x - y).powi(2)).sum::<f64>()
        });
        (energy, errors.collect::<Vec<f64>>())
    });
    let energy: f64 = errors.iter().map(|(energy, _)| energy).sum();
    let trial = |(i, format): (usize, &Format)| {
        let error: f64 = errors.iter().map(|(_, errors)| errors[i]).sum();
        let error = if error.is_finite() { error / energy.max(f64::MIN_POSITIVE) } else { f64::MAX };
        let bytes = (format.row_bytes(columns).unwrap_or(0) * rows) as u64;
        Trial { format: *format, bytes, error }
    };
    Ok(formats.iter().enumerate().map(trial).collect())
}

/// The file type whose recipe has the format of most weights.
fn most_frequent(formats: &[TensorFormat]) -> u32 {
    let weights = |recipe: &Recipe| -> usize {
        let of = formats.iter().filter(|tensor| tensor.to.name == recipe.format.name());
        of.map(|tensor| tensor.dims.iter().product::<usize>()).sum()
    };
    let middle = |recipe: &&Recipe| !recipe.name.ends_with("_S") && !recipe.name.ends_with("_L");
    let best = crate::RECIPES.iter().filter(middle).max_by_key(|recipe| weights(recipe));
    best.map_or(0, |recipe| recipe.file_type)
}

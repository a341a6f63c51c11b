//! A whole model file in other formats: read in slabs of rows, written in order, all cores between.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};

use nearfield_gguf::{Gguf, GgufError, Layout, Metadata, Writer};
use nearfield_kernels::{Format, Matrix};

use crate::formats::is_finite;
use crate::gptq::quantize_rows;
use crate::recipe::TensorFormat;
use crate::{Feedback, ImportanceMatrix, Kept, Method, QuantizeError, quantize_row_by, takes_feedback};

/// The version of the quantized formats that llama.cpp writes.
const QUANTIZATION_VERSION: u32 = 2;
/// Weights that are in memory at a time: 16 MB as floats, beside their source and their result.
const SLAB_WEIGHTS: usize = 4 << 20;
/// Weights that a thread takes at a time.
const SHARE_WEIGHTS: usize = 1 << 14;
/// Rows that a thread takes at a time where errors feed back: these are multiplied with the factor together.
const FEEDBACK_ROWS: usize = 128;

/// What is to be written, and from what.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The model.
    pub source: &'a Gguf,
    /// The formats of its tensors, in the order in which they are written.
    pub formats: &'a [TensorFormat],
    /// The number of `general.file_type`.
    pub file_type: u32,
    /// How much errors count, and the file that says so.
    pub importance: Option<(&'a ImportanceMatrix, &'a Path)>,
    /// How scales and integers are found.
    pub method: Method,
    /// Threads to use.
    pub threads: usize,
}

/// Takes the next bytes of a tensor, and the number of its weights so far.
type Emit<'a> = dyn FnMut(&[u8], usize) -> Result<(), QuantizeError> + 'a;

/// How far the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The tensor under way.
    pub tensor: &'a str,
    /// Weights that are done, of all tensors.
    pub done: u64,
    /// Weights of all tensors.
    pub of: u64,
}

impl Job<'_> {
    /// What the file will hold: its metadata, and its tensors in order.
    ///
    /// # Errors
    /// A tensor's rows do not fit its format, or a file name is too long for the metadata.
    pub fn layout(&self) -> Result<Layout, GgufError> {
        let mut layout = Layout::new();
        layout.copy_all(self.source)?;
        // At the end, where llama.cpp has them.
        for (key, number) in
            [("general.quantization_version", QUANTIZATION_VERSION), ("general.file_type", self.file_type)]
        {
            layout.remove(key);
            layout.set(key, &Metadata::U32(number))?;
        }
        for key in ["split.no", "split.count", "split.tensors.count"] {
            layout.remove(key);
        }
        if let Some((importance, path)) = self.importance {
            let mut set = |key: &str, value: Metadata| {
                let key = format!("quantize.imatrix.{key}");
                layout.remove(&key);
                layout.set(&key, &value)
            };
            // llama.cpp keeps 127 bytes of these.
            let short = |text: &str| Metadata::Text(text[..text.floor_char_boundary(127)].to_owned());
            set("file", short(&path.to_string_lossy()))?;
            if let Some(dataset) = importance.datasets.first() {
                set("dataset", short(dataset))?;
            }
            set("entries_count", Metadata::U32(importance.entries.len() as u32))?;
            if importance.chunks > 0 {
                set("chunks_count", Metadata::U32(importance.chunks))?;
            }
        }
        for tensor in self.formats {
            layout.tensor(&tensor.name, tensor.to, &tensor.dims)?;
        }
        Ok(layout)
    }

    /// Writes the file. `progress` is called for each slab; [`Break`](ControlFlow::Break) stops. What `to` names changes only when the
    /// new file is complete.
    ///
    /// # Errors
    /// The source is broken, a tensor holds numbers that are not finite, the importance matrix is another model's, the disk is full, or
    /// `progress` has said to stop.
    pub fn write(
        &self,
        to: &Path,
        progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<(), QuantizeError> {
        self.write_with(to, None, progress)
    }

    /// As [`write`](Self::write), with those tensors that are done already.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_with(
        &self,
        to: &Path,
        kept: Option<&Kept>,
        progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<(), QuantizeError> {
        for tensor in self.formats {
            if tensor.to != tensor.from && Format::named(tensor.from.name).is_none() {
                let (path, tensor, kind) = (self.source.path().to_owned(), tensor.name.clone(), tensor.from.name);
                return Err(QuantizeError::Source { path, tensor, kind });
            }
        }
        let of = self.formats.iter().map(|tensor| tensor.dims.iter().product::<usize>() as u64).sum();
        let mut done = 0;
        let mut writer = Writer::create(to, self.layout()?)?;
        for tensor in self.formats {
            let mut goes_on = |weights: usize| {
                let progress = progress(Progress { tensor: &tensor.name, done: done + weights as u64, of });
                if progress.is_break() { Err(QuantizeError::Stopped) } else { Ok(()) }
            };
            goes_on(0)?;
            match kept.map(|kept| kept.read(&tensor.name)).transpose()?.flatten() {
                Some(bytes) => writer.write(&tensor.name, &bytes)?,
                None => self.tensor(tensor, None, &mut |bytes, weights| {
                    writer.write(&tensor.name, bytes)?;
                    goes_on(weights)
                })?,
            }
            done += tensor.dims.iter().product::<usize>() as u64;
        }
        writer.finish().map_err(QuantizeError::from)
    }

    /// The bytes of one tensor, rounded with feedback: one for each expert, and one where there are none. Experts without one are
    /// quantized by the job's method. `goes_on` gets the number of weights so far.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn with_feedback(
        &self,
        tensor: &TensorFormat,
        feedback: &[Option<Arc<Feedback>>],
        goes_on: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Vec<u8>, QuantizeError> {
        let mut all = Vec::new();
        self.tensor(tensor, Some(feedback), &mut |bytes, weights| {
            all.extend_from_slice(bytes);
            if goes_on(weights as u64).is_break() { Err(QuantizeError::Stopped) } else { Ok(()) }
        })?;
        Ok(all)
    }

    /// Gives the bytes of a tensor in its new format, a slab at a time, each with the number of weights so far.
    fn tensor(
        &self,
        tensor: &TensorFormat,
        feedback: Option<&[Option<Arc<Feedback>>]>,
        emit: &mut Emit<'_>,
    ) -> Result<(), QuantizeError> {
        let range = self.source.tensors()[&tensor.name].range.clone();
        let columns = tensor.dims[0];
        let rows: usize = tensor.dims[1..].iter().product();
        let row_bytes = range.len() / rows;
        let importance = match self.importance {
            Some((importance, path)) if tensor.to != tensor.from => {
                importance.importance_of(path, &tensor.name, &tensor.dims)?
            }
            _ => None,
        };
        let slab_rows = (SLAB_WEIGHTS / columns).max(1);
        let (mut source, mut out) = (Vec::new(), Vec::new());
        for first in (0..rows).step_by(slab_rows) {
            let n_rows = slab_rows.min(rows - first);
            source.resize(n_rows * row_bytes, 0);
            self.source.read(range.start + first * row_bytes, &mut source)?;
            let (path, importance) = (self.source.path(), importance.as_deref());
            let slab = Slab { tensor, path, first, importance, feedback, method: self.method };
            if tensor.to == tensor.from {
                slab.check(&source)?;
                emit(&source, (first + n_rows) * columns)?;
            } else {
                slab.convert(&source, &mut out, self.threads)?;
                emit(&out, (first + n_rows) * columns)?;
            }
        }
        Ok(())
    }
}

/// Some rows of a tensor.
struct Slab<'a> {
    tensor: &'a TensorFormat,
    path: &'a Path,
    /// The first row.
    first: usize,
    /// `[experts, columns]`
    importance: Option<&'a [f32]>,
    /// By expert.
    feedback: Option<&'a [Option<Arc<Feedback>>]>,
    method: Method,
}

impl Slab<'_> {
    /// Writes the rows in their new format into `out`, whose length is set.
    fn convert(&self, source: &[u8], out: &mut Vec<u8>, threads: usize) -> Result<(), QuantizeError> {
        let (from, to) = (self.format(self.tensor.from.name)?, self.format(self.tensor.to.name)?);
        let columns = self.tensor.dims[0];
        let bytes = |format: Format| format.row_bytes(columns).expect("the layout has whole blocks");
        let (from_bytes, to_bytes) = (bytes(from), bytes(to));
        let rows = source.len() / from_bytes;
        out.resize(rows * to_bytes, 0);
        let share_rows = match self.feedback {
            Some(_) => FEEDBACK_ROWS.min(rows.div_ceil(threads.max(1))).max(1),
            None => (SHARE_WEIGHTS / columns).max(1),
        };
        let shares = source.chunks(share_rows * from_bytes).zip(out.chunks_mut(share_rows * to_bytes)).enumerate();
        let done = parallel(threads, shares, |(share, (source, out))| {
            let first = self.first + share * share_rows;
            match self.feedback.filter(|_| takes_feedback(to)) {
                Some(feedback) => self.share_with(feedback, first, from, source, to, out),
                None => self.share(first, from, source, to, out, &mut vec![0.0f32; columns]),
            }
        });
        done.into_iter().collect()
    }

    fn share(
        &self,
        first: usize,
        from: Format,
        source: &[u8],
        to: Format,
        out: &mut [u8],
        row: &mut [f32],
    ) -> Result<(), QuantizeError> {
        let columns = row.len();
        let to_bytes = to.row_bytes(columns).expect("the layout has whole blocks");
        let rows = out.len() / to_bytes;
        let matrix = Matrix::new(from, source, rows, columns).expect("a share is whole rows");
        let expert_rows = self.tensor.dims.get(1).copied().unwrap_or(1);
        for (i, out) in out.chunks_exact_mut(to_bytes).enumerate() {
            matrix.read_row(i, row);
            let at = first + i;
            if let Some(column) = row.iter().position(|x| !x.is_finite()) {
                return Err(self.not_finite(at * columns + column, row[column]));
            }
            let importance = self.importance.map(|all| &all[at / expert_rows * columns..][..columns]);
            quantize_row_by(self.method, to, row, importance, out);
            if !is_finite(to, out) {
                let (path, tensor) = (self.path.to_owned(), self.tensor.name.clone());
                return Err(QuantizeError::TooLarge { path, tensor, format: to.name() });
            }
        }
        Ok(())
    }

    /// As `share`, rows of an expert together.
    fn share_with(
        &self,
        feedback: &[Option<Arc<Feedback>>],
        first: usize,
        from: Format,
        source: &[u8],
        to: Format,
        out: &mut [u8],
    ) -> Result<(), QuantizeError> {
        let columns = self.tensor.dims[0];
        let expert_rows = self.tensor.dims.get(1).copied().unwrap_or(1);
        let (from_bytes, to_bytes) =
            (from.row_bytes(columns).expect("whole blocks"), to.row_bytes(columns).expect("whole blocks"));
        let rows = out.len() / to_bytes;
        let mut at = 0;
        while at < rows {
            let expert = (first + at) / expert_rows;
            let end = rows.min((expert + 1) * expert_rows - first);
            let (source, out) = (&source[at * from_bytes..end * from_bytes], &mut out[at * to_bytes..end * to_bytes]);
            match feedback.get(expert).and_then(Option::as_ref) {
                None => self.share(first + at, from, source, to, out, &mut vec![0.0; columns])?,
                Some(feedback) => {
                    let matrix = Matrix::new(from, source, end - at, columns).expect("a share is whole rows");
                    let mut weights = vec![0.0f32; (end - at) * columns];
                    weights.chunks_exact_mut(columns).enumerate().for_each(|(i, row)| matrix.read_row(i, row));
                    if let Some(index) = weights.iter().position(|x| !x.is_finite()) {
                        return Err(self.not_finite((first + at) * columns + index, weights[index]));
                    }
                    quantize_rows(feedback, to, &weights, out);
                    if !is_finite(to, out) {
                        let (path, tensor) = (self.path.to_owned(), self.tensor.name.clone());
                        return Err(QuantizeError::TooLarge { path, tensor, format: to.name() });
                    }
                }
            }
            at = end;
        }
        Ok(())
    }

    /// Refuses copied rows that hold numbers that are not finite.
    fn check(&self, bytes: &[u8]) -> Result<(), QuantizeError> {
        let Some(format) = Format::named(self.tensor.from.name) else { return Ok(()) };
        if is_finite(format, bytes) {
            return Ok(());
        }
        let (block_bytes, block_weights) = (format.block_bytes(), format.block_weights());
        let at = bytes.chunks_exact(block_bytes).position(|block| !is_finite(format, block)).unwrap_or(0);
        let mut weights = vec![0.0; block_weights];
        if let Ok(matrix) = Matrix::new(format, &bytes[at * block_bytes..][..block_bytes], 1, block_weights) {
            matrix.read_row(0, &mut weights);
        }
        let within = weights.iter().position(|x| !x.is_finite()).unwrap_or(0);
        Err(self.not_finite(self.first * self.tensor.dims[0] + at * block_weights + within, weights[within]))
    }

    fn not_finite(&self, index: usize, value: f32) -> QuantizeError {
        QuantizeError::NotFinite { path: self.path.to_owned(), tensor: self.tensor.name.clone(), index, value }
    }

    fn format(&self, name: &'static str) -> Result<Format, QuantizeError> {
        let (path, tensor) = (self.path.to_owned(), self.tensor.name.clone());
        Format::named(name).ok_or(QuantizeError::Source { path, tensor, kind: name })
    }
}

/// Does something with each item on so many threads; results are in no order. An item that has failed does not stop the others.
pub(crate) fn parallel<I: Send, R: Send>(
    threads: usize,
    items: impl Iterator<Item = I> + Send,
    work: impl Fn(I) -> R + Sync,
) -> Vec<R> {
    let (items, results) = (Mutex::new(items), Mutex::new(Vec::new()));
    let run = || {
        loop {
            let next = items.lock().ok().and_then(|mut items| items.next());
            let Some(item) = next else { return };
            let result = work(item);
            if let Ok(mut results) = results.lock() {
                results.push(result);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.max(1) {
            scope.spawn(run);
        }
        run();
    });
    results.into_inner().unwrap_or_default()
}

//! Where matrices of weights lie in memory: as a view of the mapped file, or in strips of rows that the kernels want, copied out of
//! the file once and then no longer touched there: there is one copy of them in memory.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use memmap2::{Mmap, MmapMut};
use nearfield_gguf::Gguf;
use nearfield_kernels::{Format, Level, Matrix, Pool, STRIP_ROWS, strip_bytes, to_strips};

use super::LlmError;
use super::observe::MatrixSource;
use super::weights::Weights;

/// One matrix.
#[derive(Debug)]
pub(crate) struct Weight {
    pub(super) format: Format,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) place: Place,
    /// Where it comes from; `None` for the later parts of a tensor that several matrices with the same input share.
    pub(super) source: Option<MatrixSource>,
}

#[derive(Debug)]
pub(super) enum Place {
    /// In the mapped file.
    File(Range<usize>),
    /// In strips of rows, in memory that all matrices so laid out share.
    Strips(Arc<Mmap>, Range<usize>),
}

/// Bytes that a task reads from the file while matrices are laid out: few enough to stay in a core's cache, and in memory that the
/// next task takes over.
const READ_BYTES: usize = 64 << 10;
/// From this size on, memory is asked for in large pages, which are quicker to walk through.
#[cfg(target_os = "linux")]
const LARGE_BYTES: usize = 64 << 20;

impl Weights {
    /// Has [`lay_out`] copy what is multiplied.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn lay_out(&mut self, gguf: &Gguf, level: Level, pool: &Pool) -> Result<(), LlmError> {
        lay_out(self.multiplied_mut(), gguf, level, pool)
    }
}

/// Copies the matrices that this level multiplies faster in strips into memory, unless they would take most of what the
/// machine has left: then they stay mapped, where the system may drop and read them again at need.
///
/// # Errors
/// The file cannot be read, or the system gives no memory.
pub(crate) fn lay_out(mut all: Vec<&mut Weight>, gguf: &Gguf, level: Level, pool: &Pool) -> Result<(), LlmError> {
    all.retain(|weight| level.prefers_strips(weight.format) && matches!(weight.place, Place::File(_)));
    let sizes: Option<Vec<usize>> =
        all.iter().map(|weight| strip_bytes(weight.format, weight.rows, weight.columns)).collect();
    let sizes = sizes.unwrap_or_default(); // `matrix` has seen to it that blocks are whole
    let total: usize = sizes.iter().map(|size| size.next_multiple_of(64)).sum();
    if total == 0
        || nearfield_base::memory::of_system("MemAvailable").is_some_and(|available| total > available / 5 * 4)
    {
        return Ok(());
    }
    let no_memory = |source| LlmError::Memory { path: gguf.path().to_owned(), bytes: total, cause: source };
    let mut map = memory(total).map_err(no_memory)?;
    let (mut places, mut at) = (Vec::with_capacity(all.len()), 0);
    for (weight, size) in all.iter().zip(&sizes) {
        let Place::File(range) = &weight.place else { continue };
        let row_bytes = range.len() / weight.rows.max(1);
        let strip_bytes = size / weight.rows.div_ceil(STRIP_ROWS).max(1);
        let strips_each = (READ_BYTES / (STRIP_ROWS * row_bytes).max(1)).max(1);
        let failed = Mutex::new(None);
        pool.split(&mut map[at..at + size], strips_each * strip_bytes, &|index, out| {
            let first = index * strips_each * STRIP_ROWS;
            let count = (strips_each * STRIP_ROWS).min(weight.rows - first);
            let mut rows = vec![0; count * row_bytes];
            match gguf.read(range.start + first * row_bytes, &mut rows) {
                Ok(()) => {
                    let part =
                        Matrix::new(weight.format, &rows, count, weight.columns).expect("checked when it was found");
                    to_strips(pool, &part, out);
                }
                Err(error) => *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error),
            }
        });
        if let Some(error) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error.into());
        }
        places.push(at..at + size);
        at += size.next_multiple_of(64);
    }
    let map = Arc::new(map.make_read_only().map_err(no_memory)?);
    for (weight, range) in all.into_iter().zip(places) {
        weight.place = Place::Strips(map.clone(), range);
    }
    Ok(())
}

impl Weight {
    /// The matrix, in the file that it was found in.
    pub(crate) fn matrix<'a>(&'a self, gguf: &'a Gguf) -> Matrix<'a> {
        let bytes = match &self.place {
            Place::File(range) => &gguf.bytes()[range.clone()],
            Place::Strips(map, range) => {
                let matrix = Matrix::of_strips(self.format, &map[range.clone()], self.rows, self.columns);
                return matrix.expect("checked when it was laid out");
            }
        };
        Matrix::new(self.format, bytes, self.rows, self.columns).expect("checked when it was found")
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The bytes that its rows have in the file.
    pub(super) fn bytes(&self) -> usize {
        self.format.row_bytes(self.columns).unwrap_or(0) * self.rows
    }
}

/// Memory for weights: whole pages, large ones where that pays and the system has them.
pub(crate) fn memory(bytes: usize) -> std::io::Result<MmapMut> {
    let map = MmapMut::map_anon(bytes)?;
    #[cfg(target_os = "linux")]
    if bytes >= LARGE_BYTES {
        // A wish; a system without large pages goes on with small ones.
        map.advise(memmap2::Advice::HugePage).ok();
    }
    Ok(map)
}

//! What `shared.rs` is built on: the standard library's. `tests/loom` has a file of the same names that is built on loom's.

pub use std::hint::spin_loop;
pub use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
pub use std::sync::{Condvar, Mutex, MutexGuard};

/// Never more threads than this: beyond a handful of cores a small model is limited by memory.
pub const MOST_THREADS: usize = 64;

/// Checks of the counter before a thread goes to sleep: some 30 microseconds, more than the gap between two products of
/// one token and far less than a scheduler's slice.
pub const SPINS: u32 = 1_500;

/// A place that is shared without a lock; whoever follows its pointers answers for that.
pub struct Cell<T>(std::cell::UnsafeCell<T>);

impl<T> Cell<T> {
    /// With this in it.
    pub const fn new(content: T) -> Self {
        Self(std::cell::UnsafeCell::new(content))
    }

    /// Hands out the place to read.
    pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    /// Hands out the place to write.
    pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}

//! What `shared.rs` is built on here: loom's. Loom knows sequential consistency of fences only, so an access that asks for it is
//! put between two.

pub use loom::sync::atomic::Ordering;
pub use loom::sync::{Condvar, Mutex, MutexGuard};

/// Two threads are what loom can try in all orders.
pub const MOST_THREADS: usize = 2;

/// Each check is one more step to interleave.
pub const SPINS: u32 = 1;

/// No hint: loom would let another thread go on until that one waits, and never see a thread fall asleep while another works.
pub fn spin_loop() {}

/// A place that is shared without a lock, of which loom checks that nobody reads it while another writes.
pub struct Cell<T>(loom::cell::UnsafeCell<T>);

impl<T> Cell<T> {
    pub fn new(content: T) -> Self {
        Self(loom::cell::UnsafeCell::new(content))
    }

    pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        self.0.with(read)
    }

    pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        self.0.with_mut(write)
    }
}

fn fenced<T>(order: Ordering, access: impl FnOnce() -> T) -> T {
    if order != Ordering::SeqCst {
        return access();
    }
    loom::sync::atomic::fence(Ordering::SeqCst);
    let result = access();
    loom::sync::atomic::fence(Ordering::SeqCst);
    result
}

macro_rules! atomics {
    ($($name:ident: $type:ty,)*) => { $(
        pub struct $name(loom::sync::atomic::$name);

        #[allow(dead_code)]
        impl $name {
            pub fn new(value: $type) -> Self {
                Self(loom::sync::atomic::$name::new(value))
            }

            pub fn load(&self, order: Ordering) -> $type {
                fenced(order, || self.0.load(order))
            }

            pub fn store(&self, value: $type, order: Ordering) {
                fenced(order, || self.0.store(value, order));
            }
        }
    )* };
}

atomics! { AtomicBool: bool, AtomicU32: u32, AtomicU64: u64, AtomicUsize: usize, }

macro_rules! counting {
    ($($name:ident: $type:ty,)*) => { $(
        #[allow(dead_code)]
        impl $name {
            pub fn fetch_add(&self, value: $type, order: Ordering) -> $type {
                fenced(order, || self.0.fetch_add(value, order))
            }

            pub fn fetch_sub(&self, value: $type, order: Ordering) -> $type {
                fenced(order, || self.0.fetch_sub(value, order))
            }
        }
    )* };
}

counting! { AtomicU32: u32, AtomicUsize: usize, }

impl AtomicU64 {
    pub fn compare_exchange_weak(&self, old: u64, new: u64, success: Ordering, failure: Ordering) -> Result<u64, u64> {
        self.0.compare_exchange_weak(old, new, success, failure)
    }
}

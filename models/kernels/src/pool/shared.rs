//! What the pool's threads share without a lock: the tasks of the current job and who claims them, and how a thread that finds
//! none goes to sleep without missing the next. `tests/loom` runs this file under every order of two threads' steps.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;

use super::sync::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Cell, Condvar, MOST_THREADS, Mutex, MutexGuard, Ordering, SPINS,
    spin_loop,
};

/// The state of a pool.
pub struct Shared {
    /// The tasks of the current job, a share for each thread.
    shares: [Share; MOST_THREADS],
    /// The current job's closure: written by the caller while no task can be claimed, read only by who holds a claim.
    job: Cell<Option<Job>>,
    /// Tasks of the current job that are not finished.
    unfinished: AtomicU32,
    /// Threads taking part, the caller included.
    threads: AtomicUsize,
    /// Workers asleep, and whether the caller is.
    sleeping: AtomicUsize,
    caller_sleeps: AtomicBool,
    closing: AtomicBool,
    bell: Mutex<()>,
    work_comes: Condvar,
    job_done: Condvar,
    panicked: Mutex<Option<Box<dyn Any + Send>>>,
}

/// Tasks of the current job that one thread does first. Upper half: where they end. Lower half: the next one to claim. All are
/// claimed when these are equal. Each lies in a cache line of its own.
#[repr(align(64))]
struct Share(AtomicU64);

/// A borrowed closure whose lifetime has been erased; valid while the job that it belongs to has unfinished tasks.
#[derive(Clone, Copy)]
pub struct Job(pub *const (dyn Fn(usize) + Sync));

// SAFETY: `job` is written only in `offer`, and only while every task of the last job is claimed and finished; it is read only
// between a successful claim and the count in `unfinished` that ends that claim. The claim (acquire) reads the share that was
// published (release) after the write. The closure behind it is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above; the raw pointer is never followed outside a claim.
unsafe impl Send for Shared {}

impl Share {
    /// The next task, if there is one.
    fn claim(&self) -> Option<u32> {
        let mut tasks = self.0.load(Ordering::Relaxed);
        loop {
            let (next, end) = (tasks as u32, (tasks >> 32) as u32);
            if next >= end {
                return None;
            }
            match self.0.compare_exchange_weak(tasks, tasks + 1, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Some(next),
                Err(now) => tasks = now,
            }
        }
    }
}

impl Shared {
    /// Of one thread, the caller, and no job.
    pub fn new() -> Shared {
        Shared {
            shares: std::array::from_fn(|_| Share(AtomicU64::new(0))),
            job: Cell::new(None),
            unfinished: AtomicU32::new(0),
            threads: AtomicUsize::new(1),
            sleeping: AtomicUsize::new(0),
            caller_sleeps: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            bell: Mutex::new(()),
            work_comes: Condvar::new(),
            job_done: Condvar::new(),
            panicked: Mutex::new(None),
        }
    }

    /// How many threads take part, the caller included.
    pub fn threads(&self) -> usize {
        self.threads.load(Ordering::Relaxed)
    }

    /// Changes that from the next job on.
    pub fn set_threads(&self, threads: usize) {
        self.threads.store(threads, Ordering::Relaxed);
    }

    /// Offers a job of `count` tasks to the first `threads` threads.
    ///
    /// # Safety
    /// One thread at a time offers jobs, and it does so only once [`wait`](Self::wait) has returned for the job before. The
    /// closure lives until it has returned for this one.
    pub unsafe fn offer(&self, job: Job, count: u32, threads: usize) {
        // SAFETY: all tasks of the last job are claimed and finished, so nobody reads `job`.
        self.job.with_mut(|place| unsafe { *place = Some(job) });
        self.unfinished.store(count, Ordering::Relaxed);
        let threads = threads as u64;
        for (share, index) in self.shares.iter().zip(0..threads) {
            let (first, end) = (index * u64::from(count) / threads, (index + 1) * u64::from(count) / threads);
            share.0.store(end << 32 | first, Ordering::SeqCst);
        }
        if self.sleeping.load(Ordering::SeqCst) > 0 {
            let _bell = lock(&self.bell);
            self.work_comes.notify_all();
        }
    }

    /// Has the workers end.
    pub fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        let _bell = lock(&self.bell);
        self.work_comes.notify_all();
    }

    /// What a task of the last job panicked with.
    pub fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        lock(&self.panicked).take()
    }

    /// The life of a worker.
    pub fn work(&self, index: usize) {
        loop {
            let mut spins = 0;
            while spins < SPINS {
                if self.closing.load(Ordering::Relaxed) {
                    return;
                }
                let threads = self.threads.load(Ordering::Relaxed);
                if index < threads {
                    if self.claim_and_do(index, threads) {
                        spins = 0;
                        continue;
                    }
                } else {
                    break;
                }
                spins += 1;
                spin_loop();
            }
            let mut bell = lock(&self.bell);
            self.sleeping.fetch_add(1, Ordering::SeqCst);
            while !self.is_called(index) {
                bell = self.work_comes.wait(bell).unwrap_or_else(PoisonError::into_inner);
            }
            self.sleeping.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// True when a sleeping worker has something to get up for.
    fn is_called(&self, index: usize) -> bool {
        self.closing.load(Ordering::SeqCst) || self.has_tasks() && index < self.threads.load(Ordering::Relaxed)
    }

    fn has_tasks(&self) -> bool {
        let threads = self.threads.load(Ordering::Relaxed);
        self.shares[..threads].iter().any(|share| {
            let tasks = share.0.load(Ordering::SeqCst);
            (tasks as u32) < (tasks >> 32) as u32
        })
    }

    /// Claims one task and does it, of the own share (`index`) first; false when there is none to claim.
    pub fn claim_and_do(&self, index: usize, threads: usize) -> bool {
        let claimed = (index..threads).chain(0..index).find_map(|index| self.shares[index].claim());
        let Some(number) = claimed else { return false };
        // SAFETY: we hold a claim, so the job stays as it is until we count it as finished.
        if let Some(Job(task)) = self.job.with(|job| unsafe { *job }) {
            // SAFETY: the closure is borrowed by the caller, who waits for our count.
            let task = unsafe { &*task };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| task(number as usize))) {
                lock(&self.panicked).get_or_insert(panic);
            }
        }
        let left = self.unfinished.fetch_sub(1, Ordering::SeqCst) - 1;
        if left == 0 && self.caller_sleeps.load(Ordering::SeqCst) {
            let _bell = lock(&self.bell);
            self.job_done.notify_all();
        }
        true
    }

    /// Returns when all tasks have been counted: those still running belong to workers.
    pub fn wait(&self) {
        for _ in 0..SPINS {
            if self.unfinished.load(Ordering::Acquire) == 0 {
                return;
            }
            spin_loop();
        }
        let mut bell = lock(&self.bell);
        self.caller_sleeps.store(true, Ordering::SeqCst);
        while self.unfinished.load(Ordering::SeqCst) != 0 {
            bell = self.job_done.wait(bell).unwrap_or_else(PoisonError::into_inner);
        }
        self.caller_sleeps.store(false, Ordering::SeqCst);
    }
}

/// The data behind these locks is a unit or an option: a panic elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

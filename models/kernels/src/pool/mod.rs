//! The compute pool: a few threads that share one job at a time, for matrix products on a machine that has other work too.
//!
//! A job is a number of small tasks, claimed one by one, so that a thread which gets little CPU does little of the work instead
//! of holding up the rest. Each thread begins with a share of its own, since neighbouring tasks read neighbouring memory,
//! and then helps with the others'. The caller always takes part, and never waits for a task that nobody has
//! begun. Waiting is a short spin, then sleep. There are no queues, and nothing is allocated for a job.
//!
//! On a machine with more work than cores, the system may take the CPU from a thread in the middle of a task, and the caller
//! then waits for a task that nobody computes. The pool keeps an account of what the others saved and what waiting for them
//! cost; when that is overdrawn, the caller works alone for some time. So several threads are never slower than one by more
//! than a small part, and a disturbance now and then does not cost the others' help.

mod cores;
mod shared;
mod sync;

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::cores::Cores;
use self::shared::{Job, Shared};
use self::sync::MOST_THREADS;
use crate::shared_slice::SharedSlice;

/// A wait for the others is a sign that a thread has lost its CPU when it is this much longer than the caller's own work.
const WAIT_BEYOND_OWN_WORK: Duration = Duration::from_micros(60);

/// The most that the account of saved time holds: so much may be lost, once, before the caller works alone.
const MOST_CREDIT_NS: i64 = 20_000_000;

/// How long the caller then works alone, as a multiple of the wait, so that little time is spent on trying;
/// and the bounds of that.
const ALONE_FACTOR: u32 = 25;
const ALONE_LEAST: Duration = Duration::from_millis(2);
const ALONE_MOST: Duration = Duration::from_millis(500);

/// Multiplications in a job that is worth sharing: some ten microseconds of one core's work.
const WORTH_SHARING: usize = 200_000;

/// Threads that compute one job at a time, the caller among them.
pub struct Pool {
    shared: Arc<Shared>,
    /// Held for the length of a job; a second caller who finds it held computes alone.
    turn: Mutex<Turn>,
    workers: Mutex<Vec<JoinHandle<()>>>,
    cores: Option<Arc<Cores>>,
    pin: bool,
}

/// What the caller remembers from job to job.
#[derive(Default)]
struct Turn {
    /// Until when it works alone.
    alone_until: Option<Instant>,
    /// What the others saved, less what waiting for them cost.
    credit_ns: i64,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads()).finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool of that many threads, the caller of [`run`](Pool::run) being one of them. `None` takes one for each big physical
    /// core, at most four. Its own threads keep to the big cores, and with the environment variable `NEARFIELD_PIN` set to
    /// anything but `0`, each to one core of its own; the caller's thread stays as it is.
    pub fn new(threads: Option<NonZeroUsize>) -> Pool {
        let pool = Pool {
            shared: Arc::new(Shared::new()),
            turn: Mutex::new(Turn::default()),
            workers: Mutex::new(Vec::new()),
            cores: Cores::here().map(Arc::new),
            pin: std::env::var_os("NEARFIELD_PIN").is_some_and(|value| !value.is_empty() && value != "0"),
        };
        pool.set_threads(threads.map_or_else(|| default_threads(pool.cores.as_deref()), NonZeroUsize::get));
        pool
    }

    /// How many threads take part, the caller included.
    pub fn threads(&self) -> usize {
        self.shared.threads()
    }

    /// Changes how many threads take part (the caller included), from the next job on. Where the system gives no more
    /// threads, the pool has fewer.
    pub fn set_threads(&self, threads: usize) {
        let wanted = threads.clamp(1, MOST_THREADS);
        let mut workers = lock(&self.workers);
        while workers.len() + 1 < wanted {
            let shared = Arc::clone(&self.shared);
            let index = workers.len() + 1;
            let (cores, pin) = (self.cores.clone(), self.pin);
            let work = move || {
                if let Some(cores) = cores {
                    cores.settle(index, wanted, pin);
                }
                shared.work(index);
            };
            match std::thread::Builder::new().name(format!("compute-{index}")).spawn(work) {
                Ok(handle) => workers.push(handle),
                Err(_) => break,
            }
        }
        self.shared.set_threads(wanted.min(workers.len() + 1));
    }

    /// As [`run`](Pool::run), for a job of about that many multiplications: a small one is done at once by the caller, as the
    /// others would take longer to hear of it.
    pub(crate) fn run_sized(&self, multiplications: usize, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        if multiplications < WORTH_SHARING { (0..tasks).for_each(task) } else { self.run(tasks, task) }
    }

    /// Calls `task(0)`, `task(1)`, ... `task(tasks - 1)`, each once, on any of the threads, and returns when all are done.
    ///
    /// # Panics
    /// A task panicked: the panic goes on here once no task runs any more.
    pub fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        let alone = tasks <= 1 || self.threads() == 1;
        let begin = Instant::now();
        let turn = if alone {
            None
        } else {
            self.turn.try_lock().ok().filter(|turn| turn.alone_until.is_none_or(|until| begin >= until))
        };
        let (Some(mut turn), Ok(count)) = (turn, u32::try_from(tasks)) else {
            (0..tasks).for_each(task);
            return;
        };
        let shared = &*self.shared;
        // SAFETY: only the lifetime is erased. No claim outlives this call: it returns, or unwinds, only after `unfinished`
        // has counted all tasks.
        let job = unsafe {
            std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync + 'static)>(task)
        };
        let threads = self.threads();
        // SAFETY: the turn is ours and all tasks of the last job are finished; we wait for those of this one before the closure goes.
        unsafe { shared.offer(Job(job), count, threads) };
        let mut own = 0;
        while shared.claim_and_do(0, threads) {
            own += 1;
        }
        let own_end = Instant::now();
        shared.wait();
        let waited = own_end.elapsed();
        turn.settle(own_end - begin, waited, own, count, own_end + waited);
        drop(turn);
        if let Some(panic) = shared.take_panic() {
            resume_unwind(panic);
        }
    }
}

impl Turn {
    /// Books a job of `count` tasks, `own` of which took the caller `worked`, before it `waited` for the others.
    fn settle(&mut self, worked: Duration, waited: Duration, own: u32, count: u32, now: Instant) {
        let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        let saved = nanos(worked).saturating_mul(i64::from(count - own)) / i64::from(own.max(1));
        let credit = self.credit_ns.saturating_add(saved).saturating_sub(nanos(waited));
        self.credit_ns = credit.min(MOST_CREDIT_NS);
        self.alone_until = None;
        if waited > worked + WAIT_BEYOND_OWN_WORK && credit < 0 {
            self.alone_until = Some(now + (waited * ALONE_FACTOR).clamp(ALONE_LEAST, ALONE_MOST));
            self.credit_ns = 0;
        }
    }
}

impl Pool {
    /// Hands out `out` in pieces of `each` elements (the last may be shorter), with the number of each piece.
    pub fn split<T: Send>(&self, out: &mut [T], each: usize, task: &(dyn Fn(usize, &mut [T]) + Sync)) {
        let len = out.len();
        let shared = SharedSlice::new(out);
        self.run(len.div_ceil(each), &|index| {
            let start = index * each;
            // SAFETY: the pieces do not overlap, and each index is run once.
            task(index, unsafe { shared.range(start, each.min(len - start)) });
        });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.close();
        for worker in lock(&self.workers).drain(..) {
            let _ = worker.join(); // a worker catches the panics of its tasks, so there is nothing to hear here
        }
    }
}

/// One thread for each big physical core, at most four.
fn default_threads(cores: Option<&Cores>) -> usize {
    let logical = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    cores.map_or(logical, |cores| cores.physical().min(logical)).clamp(1, 4)
}

/// The data behind these locks is a unit or an option: a panic elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_task_runs_once_in_many_jobs() {
        let pool = Pool::new(NonZeroUsize::new(3));
        for round in 0..2000 {
            let tasks = round % 17;
            let counts: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            pool.run(tasks, &|task| {
                counts[task].fetch_add(1, Ordering::Relaxed);
            });
            assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "round {round}");
        }
    }

    #[test]
    fn the_caller_works_alone_only_while_waiting_costs_more_than_the_others_save() {
        let (ms, now) = (Duration::from_millis, Instant::now());
        let mut turn = Turn::default();
        turn.settle(ms(1), ms(5), 5, 10, now);
        assert!(turn.alone_until.is_some_and(|until| until > now + ms(100)), "a loss from the start");
        (0..100).for_each(|_| turn.settle(ms(1), ms(0), 5, 10, now));
        assert!(turn.alone_until.is_none());
        turn.settle(ms(1), ms(5), 5, 10, now);
        assert!(turn.alone_until.is_none(), "a hundred good jobs are worth one disturbed one");
        let disturbed = (0..10).find(|_| {
            turn.settle(ms(1), ms(5), 5, 10, now);
            turn.alone_until.is_some()
        });
        assert!(disturbed.is_some_and(|after| (2..8).contains(&after)), "but not many: {disturbed:?}");
    }

    #[test]
    fn a_job_after_a_long_pause_wakes_the_workers() {
        let pool = Pool::new(NonZeroUsize::new(2));
        for _ in 0..5 {
            std::thread::sleep(std::time::Duration::from_millis(5));
            let (here, elsewhere) = (std::thread::current().id(), AtomicUsize::new(0));
            pool.run(40, &|_| {
                std::thread::sleep(std::time::Duration::from_micros(500));
                if std::thread::current().id() != here {
                    elsewhere.fetch_add(1, Ordering::Relaxed);
                }
            });
            assert!(elsewhere.load(Ordering::Relaxed) > 0, "the worker took no part");
        }
    }

    #[test]
    fn a_panicking_task_is_heard_by_the_caller_and_the_pool_lives_on() {
        let pool = Pool::new(NonZeroUsize::new(2));
        let result = catch_unwind(AssertUnwindSafe(|| pool.run(8, &|task| assert_ne!(task, 5, "task five"))));
        assert!(result.is_err());
        let sum = AtomicUsize::new(0);
        pool.run(4, &|task| {
            sum.fetch_add(task, Ordering::Relaxed);
        });
        assert_eq!(sum.load(Ordering::Relaxed), 6);
    }

    #[test]
    fn two_callers_at_once_both_finish() {
        let pool = Pool::new(NonZeroUsize::new(2));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let sum = AtomicUsize::new(0);
                        pool.run(9, &|task| {
                            sum.fetch_add(task, Ordering::Relaxed);
                        });
                        assert_eq!(sum.load(Ordering::Relaxed), 36);
                    }
                });
            }
        });
    }

    /// Jobs of 32 tasks, some 20 microseconds each, that this many threads finish in 150 ms.
    fn jobs_done(threads: usize) -> usize {
        let pool = Pool::new(NonZeroUsize::new(threads));
        let (start, mut jobs) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_millis(150) {
            pool.run(32, &|task| {
                let mut x = task as f64;
                (0..10_000).for_each(|_| x = std::hint::black_box(x * 0.999 + 1.0));
            });
            jobs += 1;
        }
        jobs
    }

    #[test]
    fn with_every_core_spinning_two_threads_do_not_fall_behind_one() {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, NonZeroUsize::get) {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            // The best of some attempts: whatever else the machine does at the moment falls on one side only.
            let ratios: Vec<f64> = (0..6).map(|_| jobs_done(2) as f64 / jobs_done(1) as f64).collect();
            over.store(true, Ordering::Relaxed);
            assert!(ratios.iter().any(|ratio| *ratio >= 0.9), "two threads did {ratios:?} of one thread's work");
        });
    }
}

//! The lock-free part of the compute pool (`models/kernels/src/pool/shared.rs`) in every order of the steps of two threads, as
//! the memory model allows them; without the feature `loom`, many times with real threads, as is the queue in which only the newest
//! message waits (`stages/src/flow/newest.rs`).
#![cfg(test)]

#[cfg(feature = "loom")]
mod sync;
#[cfg(not(feature = "loom"))]
#[path = "../../../models/kernels/src/pool/sync.rs"]
#[allow(dead_code)]
mod sync;

#[path = "../../../models/kernels/src/pool/shared.rs"]
#[allow(dead_code, clippy::new_without_default)]
mod shared;

#[cfg(not(feature = "loom"))]
#[path = "../../../stages/src/flow/newest.rs"]
#[allow(dead_code)]
mod newest;

#[cfg(feature = "loom")]
use loom::{sync::Arc, sync::atomic::AtomicUsize, sync::atomic::Ordering, thread};
use shared::{Job, Shared};
#[cfg(not(feature = "loom"))]
use std::{sync::Arc, sync::atomic::AtomicUsize, sync::atomic::Ordering, thread};

/// Offers a job as the pool does, and answers when it is done.
fn run(shared: &Shared, tasks: u32, task: &(dyn Fn(usize) + Sync)) {
    // SAFETY: only the lifetime is erased; `wait` returns only once all tasks are counted.
    let job = unsafe {
        std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync + 'static)>(task)
    };
    // SAFETY: this is the only thread that offers jobs, and it has waited for the one before.
    unsafe { shared.offer(Job(job), tasks, 2) };
    while shared.claim_and_do(0, 2) {}
    shared.wait();
}

/// Runs `body` as the caller beside one worker, in every order of their steps.
fn with_a_worker(body: impl Fn(&Shared) + Sync + Send + 'static) {
    in_every_order(move || {
        let shared = Arc::new(Shared::new());
        shared.set_threads(2);
        let worker = {
            let shared = shared.clone();
            thread::spawn(move || shared.work(1))
        };
        body(&shared);
        shared.close();
        worker.join().unwrap();
    });
}

#[cfg(feature = "loom")]
fn in_every_order(body: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    // Switches of threads where none has to wait; two find what a third would, at a thousandth of the time.
    model.preemption_bound = Some(2);
    model.check(body);
}

#[cfg(not(feature = "loom"))]
fn in_every_order(body: impl Fn()) {
    (0..if cfg!(miri) { 10 } else { 3000 }).for_each(|_| body());
}

#[test]
fn every_task_of_two_jobs_runs_once_and_before_the_caller_goes_on() {
    with_a_worker(|shared| {
        for _ in 0..2 {
            let counts = [AtomicUsize::new(0), AtomicUsize::new(0)];
            run(shared, 2, &|task| _ = counts[task].fetch_add(1, Ordering::Relaxed));
            // What the tasks have written is seen without further synchronization.
            for count in &counts {
                assert_eq!(count.load(Ordering::Relaxed), 1);
            }
        }
    });
}

#[test]
fn a_task_that_panics_is_told_and_the_next_job_runs() {
    with_a_worker(|shared| {
        run(shared, 1, &|_| std::panic::resume_unwind(Box::new("no")));
        assert!(shared.take_panic().is_some());
        let count = AtomicUsize::new(0);
        run(shared, 1, &|_| _ = count.fetch_add(1, Ordering::Relaxed));
        assert_eq!(count.load(Ordering::Relaxed), 1);
        assert!(shared.take_panic().is_none());
    });
}

#[test]
fn a_worker_ends_although_no_job_ever_came() {
    with_a_worker(|_| {});
}

#[test]
#[cfg(not(feature = "loom"))]
fn of_a_queue_of_the_newest_each_message_is_received_or_counted_and_none_overtakes_another() {
    const MESSAGES: u64 = if cfg!(miri) { 50 } else { 20_000 };
    let dropped = newest::Dropped::default();
    let (sender, receiver) = newest::newest(dropped.clone());
    let producer = thread::spawn(move || (1..=MESSAGES).for_each(|n| sender.send(Box::new(n))));
    let received: Vec<u64> = receiver.iter().map(|n| *n).collect();
    producer.join().unwrap();
    assert!(received.is_sorted_by(|a, b| a < b), "{received:?}");
    assert_eq!(received.last(), Some(&MESSAGES));
    assert_eq!(received.len() as u64 + dropped.count(), MESSAGES);
}

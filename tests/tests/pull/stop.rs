//! Stopping, and other processes that pull at the same time.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nearfield::hub::{Event, HubError};

use crate::world::{COMMIT, FILE, REPOSITORY, World, content};

#[test]
fn ctrl_c_leaves_only_the_unfinished_file_and_at_no_moment_half_a_file_under_the_name() {
    let world = World::new(content(2_000_000));
    world.server.script().slowly = true;
    let name = world.cache.snapshot_file(REPOSITORY, COMMIT, FILE);
    let blob = world.cache.blob(REPOSITORY, &world.hash());
    let (stop, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    let whole = world.content.len() as u64;
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut looks = 0;
            while !ended.load(Ordering::SeqCst) {
                for path in [&name, &blob] {
                    if let Ok(meta) = fs::metadata(path) {
                        assert_eq!(meta.len(), whole, "{} is half a file", path.display());
                    }
                }
                looks += 1;
            }
            looks
        });
        let began = Instant::now();
        let told = |event: Event<'_>| {
            if matches!(event, Event::Arrived(n) if n > 200_000) {
                stop.store(true, Ordering::SeqCst);
            }
        };
        let error = world.pull_telling(&world.hub(), &|| stop.load(Ordering::SeqCst), told).unwrap_err();
        assert!(matches!(error, HubError::Stopped), "{error}");
        assert!(began.elapsed() < Duration::from_secs(5));
        let kept = fs::metadata(world.incomplete()).unwrap().len();
        assert!(kept > 200_000 && kept < whole, "{kept}");
        assert!(!name.exists() && !blob.exists());

        assert_eq!(fs::read(world.pull().unwrap().path).unwrap(), world.content);
        ended.store(true, Ordering::SeqCst);
        assert!(watcher.join().unwrap() > 10);
    });
}

#[test]
fn of_two_pulls_at_once_one_fetches_and_the_other_waits() {
    let world = World::new(content(1_000_000));
    world.server.script().slowly = true;
    let waited = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let told = |event: Event<'_>| {
                    if matches!(event, Event::Waiting) {
                        waited.fetch_add(1, Ordering::SeqCst);
                    }
                };
                let pulled = world.pull_telling(&world.hub(), &|| false, told).unwrap();
                assert_eq!(fs::read(pulled.path).unwrap(), world.content);
            });
        }
    });
    assert_eq!(waited.load(Ordering::SeqCst), 1);
    assert_eq!(world.server.log().iter().filter(|r| r.server == "cdn").count(), 1);
}

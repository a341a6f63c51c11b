//! Cuts and resumption.

use std::collections::VecDeque;
use std::fs;
use std::time::{Duration, Instant};

use nearfield::hub::{HubError, RetryPolicy};

use crate::world::{World, content, quick, range_start};

#[test]
fn after_a_cut_the_pull_goes_on_from_where_it_stopped() {
    let world = World::new(content(3_000_000));
    world.server.script().cuts = VecDeque::from([1_000_000, 500_000]);
    assert_eq!(fs::read(world.pull().unwrap().path).unwrap(), world.content);
    let ranges: Vec<_> = world.server.log().iter().filter(|r| r.server == "cdn").map(|r| r.header("range")).collect();
    assert_eq!(ranges[0], None);
    assert_eq!(ranges.len(), 3);
    let starts: Vec<u64> = ranges[1..].iter().map(|r| range_start(r.as_deref().unwrap())).collect();
    assert!(starts[0] > 0 && starts[0] <= 1_000_000, "{starts:?}");
    assert!(starts[1] > starts[0] && starts[1] <= 1_500_000, "{starts:?}");
}

#[test]
fn what_an_ended_process_left_is_resumed() {
    let world = World::new(content(200_000));
    world.put_incomplete(&world.content[..120_000]);
    assert_eq!(fs::read(world.pull().unwrap().path).unwrap(), world.content);
    let log = world.server.log();
    let get = log.iter().find(|r| r.server == "cdn").unwrap();
    assert_eq!(get.header("range").as_deref(), Some("bytes=120000-"));
    assert!(world.left_over().is_empty());
}

#[test]
fn wherever_it_is_cut_the_result_is_the_whole_file() {
    let mut random = 0x2545_f491_4f6c_dd1du64;
    for size in [1usize, 2, 70_000, 262_144, 262_145, 900_001] {
        let world = World::new(content(size));
        let mut cuts = VecDeque::new();
        for _ in 0..4 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            cuts.push_back(random as usize % size);
        }
        world.server.script().cuts = cuts.clone();
        let hub = world.hub_with(RetryPolicy { attempts: 6, ..quick() }, None);
        let pulled = world.pull_with(&hub, &|| false).unwrap_or_else(|e| panic!("{size} bytes cut at {cuts:?}: {e}"));
        assert_eq!(fs::read(pulled.path).unwrap(), world.content, "{size} bytes cut at {cuts:?}");
    }
}

#[test]
fn a_server_that_ignores_ranges_is_read_from_the_beginning() {
    let world = World::new(content(2_000_000));
    world.server.script().ignores_ranges = true;
    world.put_incomplete(&world.content[..700_000]);
    assert_eq!(fs::read(world.pull().unwrap().path).unwrap(), world.content);
}

#[test]
fn a_range_that_was_not_asked_for_is_not_used() {
    let world = World::new(content(100_000));
    world.server.script().wrong_range = true;
    world.put_incomplete(&world.content[..40_000]);
    assert_eq!(fs::read(world.pull().unwrap().path).unwrap(), world.content);
}

#[test]
fn a_hurt_beginning_is_noticed_and_all_is_fetched_anew() {
    let world = World::new(content(100_000));
    world.put_incomplete(&[0x55; 40_000]);
    assert_eq!(fs::read(world.pull().unwrap().path).unwrap(), world.content);
    let gets: Vec<_> = world.server.log().into_iter().filter(|r| r.server == "cdn").collect();
    assert_eq!(gets.len(), 2);
    assert_eq!(gets[1].header("range"), None);
}

#[test]
fn a_beginning_that_is_longer_than_the_file_is_thrown_away() {
    let world = World::new(content(10_000));
    world.put_incomplete(&[7; 20_000]);
    assert_eq!(fs::read(world.pull().unwrap().path).unwrap(), world.content);
}

#[test]
fn cuts_without_progress_come_to_an_end_and_keep_what_arrived() {
    let world = World::new(content(100_000));
    world.server.script().cuts = VecDeque::from([30_000, 0, 0, 0, 0, 0, 0]);
    match world.pull() {
        Err(error @ HubError::CutShort { have: 30_000, of: 100_000, .. }) => {
            assert!(error.to_string().contains("30.00 kB of 100.00 kB"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read(world.incomplete()).unwrap(), world.content[..30_000]);
    world.assert_nothing_is_here();
    world.server.script().cuts.clear();
    assert_eq!(fs::read(world.pull().unwrap().path).unwrap(), world.content);
}

#[test]
fn a_server_that_goes_silent_is_left_after_the_time_allowed() {
    let world = World::new(content(100_000));
    world.server.script().silent_after = Some(10_000);
    let began = Instant::now();
    let retry = RetryPolicy { read: Duration::from_millis(200), attempts: 2, ..quick() };
    let error = world.pull_with(&world.hub_with(retry, None), &|| false).unwrap_err();
    assert!(matches!(error, HubError::CutShort { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

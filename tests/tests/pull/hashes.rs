//! Hashes, sizes and the lock.

use std::fs;

use nearfield::hub::content_hash::Sha256;
use nearfield::hub::models_lock::LockedFile;
use nearfield::hub::{HubError, Wanted};

use crate::world::{COMMIT, FILE, REPOSITORY, World, content, flip_a_byte, quick};

#[test]
fn content_with_another_hash_is_refused_and_removed() {
    let world = World::new(content(100_000));
    world.server.script().content[99_999] ^= 1;
    match world.pull() {
        Err(error @ HubError::WrongHash { .. }) => {
            let found = Sha256::of(&world.server.script().content).to_string();
            let message = error.to_string();
            assert!(message.contains(&world.hash()) && message.contains(&found), "{message}");
        }
        other => panic!("{other:?}"),
    }
    world.assert_nothing_is_here();
    assert!(world.left_over().is_empty(), "{:?}", world.left_over());
    assert!(world.lock.read().unwrap().is_empty());
}

#[test]
fn a_file_that_is_not_what_the_lock_says_is_refused_before_it_is_fetched_unless_an_update_is_wanted() {
    let world = World::new(content(100_000));
    let older = LockedFile {
        repository: REPOSITORY.into(),
        file: FILE.into(),
        revision: "main".into(),
        commit: COMMIT.into(),
        bytes: 100_000,
        sha256: Sha256::of(b"what it was"),
        date: "2026-01-01T00:00:00Z".into(),
    };
    world.lock.record(older.clone()).unwrap();
    let error = world.pull().unwrap_err();
    assert!(matches!(error, HubError::WrongHash { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains(&older.sha256.to_string()) && message.contains(&world.hash()), "{message}");
    assert!(message.contains("models.lock") && message.contains("--update"), "{message}");
    assert_eq!(world.server.count("GET"), 0);
    assert_eq!(world.lock.read().unwrap(), [older], "the lock is as it was");
    world.assert_nothing_is_here();

    let hub = world.hub_with(quick(), None);
    hub.pull(&world.cache, &world.lock, &world.wanted(), true, &|| false, &mut |_| {}).unwrap();
    assert_eq!(world.lock.find(REPOSITORY, FILE).unwrap().unwrap().sha256.to_string(), world.hash());
}

#[test]
fn a_locked_file_is_asked_for_at_its_commit_even_when_the_branch_has_moved() {
    let world = World::new(content(1000));
    world.pull().unwrap();
    fs::remove_dir_all(world.cache.root()).unwrap();
    world.server.script().log.clear();
    world.pull().unwrap();
    for request in world.server.log().iter().filter(|r| r.server == "hub") {
        assert!(request.path.contains(COMMIT), "{}", request.path);
    }
    world.server.script().commit = Some("f".repeat(40));
    fs::remove_dir_all(world.cache.root()).unwrap();
    assert!(matches!(world.pull(), Err(HubError::WrongCommit { .. })));
}

#[test]
fn the_list_s_own_hash_and_size_are_held_to() {
    let world = World::new(content(1000));
    let hub = world.hub_with(quick(), None);
    let pull = |wanted: &Wanted<'_>| hub.pull(&world.cache, &world.lock, wanted, true, &|| false, &mut |_| {});
    let other_hash = Wanted { sha256: Some(Sha256::of(b"other")), ..world.wanted() };
    assert!(matches!(pull(&other_hash), Err(HubError::WrongHash { .. })));
    let other_size = Wanted { bytes: Some(999), ..world.wanted() };
    assert!(matches!(pull(&other_size), Err(HubError::WrongSize { expected: 999, found: 1000, .. })));
    assert_eq!(world.server.count("GET"), 0);
    world.assert_nothing_is_here();
}

#[test]
fn a_length_that_contradicts_the_stated_size_is_refused() {
    for length_error in [-1i64, 1] {
        let world = World::new(content(50_000));
        world.server.script().length_error = length_error;
        let error = world.pull().unwrap_err();
        assert!(matches!(error, HubError::WrongSize { expected: 50_000, .. }), "{length_error}: {error}");
        world.assert_nothing_is_here();
    }
    let world = World::new(content(50_000));
    world.server.script().endless = true;
    let error = world.pull().unwrap_err();
    assert!(matches!(error, HubError::WrongSize { expected: 50_000, .. }), "{error}");
    world.assert_nothing_is_here();
    assert!(world.left_over().is_empty(), "{:?}", world.left_over());
}

#[test]
fn a_damaged_file_in_the_cache_is_fetched_again() {
    let world = World::new(content(100_000));
    let path = world.pull().unwrap().path;
    flip_a_byte(&path);
    let pulled = world.pull().unwrap();
    assert!(!pulled.was_here);
    assert_eq!(fs::read(pulled.path).unwrap(), world.content);
}

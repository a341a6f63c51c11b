//! Pulling models, against a hub of our own on this machine: it speaks the hub's protocol (headers, a redirect to a second
//! server for the content, ranges) and can be told to fail in every way that networks, servers and disks fail.

mod commands;
mod disk;
mod hashes;
mod hub_answers;
mod resume;
mod server;
mod stop;
mod world;

use std::fs;
use std::path::Path;

use nearfield::hub::HubError;

use crate::world::{COMMIT, FILE, REPOSITORY, World, content};

#[test]
fn a_pulled_file_lies_under_its_name_is_recorded_and_needs_no_network_again() {
    let world = World::new(content(300_000));
    let pulled = world.pull().unwrap();
    assert!(!pulled.was_here);
    assert_eq!(pulled.path, world.cache.snapshot_file(REPOSITORY, COMMIT, FILE));
    assert_eq!(fs::read(&pulled.path).unwrap(), world.content);
    assert_eq!(fs::read_link(&pulled.path).unwrap(), Path::new("../../../blobs").join(world.hash()));
    let locked = world.lock.find(REPOSITORY, FILE).unwrap().unwrap();
    assert_eq!((locked.commit.as_str(), locked.bytes), (COMMIT, 300_000));
    assert_eq!(locked.sha256.to_string(), world.hash());
    assert!(world.left_over().is_empty(), "{:?}", world.left_over());

    world.server.script().refuse_all = true;
    let again = world.pull().unwrap();
    assert!(again.was_here);
    assert_eq!(again.path, pulled.path);
}

#[test]
fn a_file_that_another_tool_pulled_is_verified_and_recorded_without_fetching_it() {
    let world = World::new(content(50_000));
    let blob = world.cache.blob(REPOSITORY, &world.hash());
    fs::create_dir_all(blob.parent().unwrap()).unwrap();
    fs::write(&blob, &world.content).unwrap();
    let pulled = world.pull().unwrap();
    assert!(pulled.was_here);
    assert_eq!(fs::read(&pulled.path).unwrap(), world.content);
    assert!(world.lock.find(REPOSITORY, FILE).unwrap().is_some());
    assert_eq!(world.server.count("GET"), 0);
}

#[test]
fn a_small_file_is_held_to_its_git_hash() {
    // $ printf 'test content\n' | git hash-object --stdin
    let world = World::new(b"test content\n".to_vec());
    world.server.script().etag = Some("d670460b4b4aece5915caf5c68d12f560a9fe3e4".into());
    world.server.script().directly = true;
    assert_eq!(fs::read(world.pull().unwrap().path).unwrap(), b"test content\n");

    let world = World::new(b"test c0ntent\n".to_vec());
    world.server.script().etag = Some("d670460b4b4aece5915caf5c68d12f560a9fe3e4".into());
    world.server.script().directly = true;
    assert!(matches!(world.pull(), Err(HubError::WrongGitHash { .. })));
    world.assert_nothing_is_here();
}

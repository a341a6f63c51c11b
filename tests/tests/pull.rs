//! Pulling models, against a hub of our own on this machine: it speaks the hub's protocol (headers, a redirect to a second
//! server for the content, ranges) and can be told to fail in every way that networks, servers and disks fail.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use nearfield::commands::models::{self, PullSettings};
use nearfield::hub::cache::HubCache;
use nearfield::hub::content_hash::Sha256;
use nearfield::hub::models_lock::{LockedFile, ModelsLock};
use nearfield::hub::registry::{Places, Registry, RegistryError};
use nearfield::hub::{Event, Hub, HubError, Patience, Pulled, Wanted};

const REPOSITORY: &str = "org/name";
const FILE: &str = "sub/model.gguf";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

// ---------------------------------------------------------------------------------------------------------------------------
// The pull itself

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

// ---------------------------------------------------------------------------------------------------------------------------
// Cuts and resumption

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
        let hub = world.hub_with(Patience { attempts: 6, ..quick() }, None);
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
            assert!(error.to_string().contains("30.0 kB of 100 kB"), "{error}");
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
    let patience = Patience { read: Duration::from_millis(200), attempts: 2, ..quick() };
    let error = world.pull_with(&world.hub_with(patience, None), &|| false).unwrap_err();
    assert!(matches!(error, HubError::CutShort { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

// ---------------------------------------------------------------------------------------------------------------------------
// Hashes, sizes and the lock

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

// ---------------------------------------------------------------------------------------------------------------------------
// What the hub answers

#[test]
fn a_missing_file_is_named_with_its_repository_and_revision() {
    let world = World::new(content(10));
    world.server.script().statuses = VecDeque::from([404]);
    world.server.script().error_code = Some("EntryNotFound".into());
    let message = world.pull().unwrap_err().to_string();
    assert_eq!(message, "there is no file sub/model.gguf in org/name at revision main (HTTP 404, EntryNotFound)");
    world.assert_nothing_is_here();
}

#[test]
fn a_gated_model_says_where_the_licence_is_and_how_to_give_a_token() {
    for status in [401, 403] {
        let world = World::new(content(10));
        world.server.script().statuses = VecDeque::from([status]);
        let message = world.pull().unwrap_err().to_string();
        for part in ["gated", "HF_TOKEN", &format!("{}/org/name", world.server.endpoint()), &status.to_string()] {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
    }
}

#[test]
fn a_hub_that_fails_for_a_moment_is_asked_again() {
    for status in [500, 502, 503, 429] {
        let world = World::new(content(1000));
        world.server.script().statuses = VecDeque::from([status, status]);
        assert_eq!(fs::read(world.pull().unwrap().path).unwrap(), world.content, "{status}");
    }
    let world = World::new(content(1000));
    world.server.script().statuses = VecDeque::from([500; 100]);
    let error = world.pull().unwrap_err();
    assert!(matches!(error, HubError::HubFails { attempts: 4, .. }), "{error}");
}

#[test]
fn an_expired_address_of_the_content_is_asked_for_anew() {
    let world = World::new(content(1000));
    world.server.script().cdn_statuses = VecDeque::from([403]);
    assert_eq!(fs::read(world.pull().unwrap().path).unwrap(), world.content);
}

#[test]
fn relative_redirects_are_followed_and_loops_are_not() {
    let world = World::new(content(1000));
    world.server.script().renamed = 3;
    assert_eq!(fs::read(world.pull().unwrap().path).unwrap(), world.content);

    let world = World::new(content(1000));
    world.server.script().renamed = usize::MAX;
    let message = world.pull().unwrap_err().to_string();
    assert!(message.contains("redirects"), "{message}");

    let world = World::new(content(1000));
    world.server.script().cdn_loop = true;
    let message = world.pull().unwrap_err().to_string();
    assert!(message.contains("redirects"), "{message}");
    assert!(world.server.log().len() < 20);
    world.assert_nothing_is_here();
}

#[test]
fn a_login_page_is_not_taken_for_a_model() {
    for of_the_hub in [true, false] {
        let world = World::new(content(1000));
        world.server.script().web_page = Some(of_the_hub);
        let error = world.pull().unwrap_err();
        assert!(matches!(error, HubError::NotAHub { .. }), "{error}");
        assert!(error.to_string().contains("web page"), "{error}");
        world.assert_nothing_is_here();
        assert!(world.left_over().is_empty());
    }
}

#[test]
fn headers_without_end_and_names_that_leave_the_cache_are_refused() {
    let world = World::new(content(1000));
    world.server.script().header_bytes = 10_000_000;
    let error = world.pull().unwrap_err();
    assert!(matches!(error, HubError::NotAHub { .. } | HubError::HubFails { .. }), "{error}");
    for etag in ["../../../evil", "", "a/b", &"e".repeat(500)] {
        let world = World::new(content(1000));
        world.server.script().etag = Some(etag.to_string());
        assert!(matches!(world.pull(), Err(HubError::NotAHub { .. })), "{etag}");
    }
    for commit in ["../../../../evil", "main", ""] {
        let world = World::new(content(1000));
        world.server.script().commit = Some(commit.to_string());
        assert!(matches!(world.pull(), Err(HubError::NotAHub { .. })), "{commit}");
    }
}

#[test]
fn without_a_network_one_sentence_says_what_to_do() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap(); // nobody listens there any more
    let world = World::new(content(10));
    let hub = Hub::new(&format!("http://{closed}"), None, quick()).unwrap();
    let message = world.pull_with(&hub, &|| false).unwrap_err().to_string();
    assert!(message.contains("cannot be reached") && message.contains("offline"), "{message}");
    assert_eq!(message.lines().count(), 1);
}

#[test]
fn the_token_goes_to_the_hub_and_to_no_one_else() {
    let world = World::new(content(1000));
    world.server.script().renamed = 1;
    world.pull_with(&world.hub_with(quick(), Some("hf_secret")), &|| false).unwrap();
    let log = world.server.log();
    assert!(log.iter().any(|r| r.server == "cdn"));
    for request in log {
        let expected = (request.server == "hub").then_some("Bearer hf_secret");
        assert_eq!(request.header("authorization").as_deref(), expected, "{request:?}");
    }
}

// ---------------------------------------------------------------------------------------------------------------------------
// Stopping, and others at the same time

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

// ---------------------------------------------------------------------------------------------------------------------------
// The disk

#[test]
fn a_file_that_cannot_fit_is_refused_before_it_is_fetched() {
    let world = World::new(content(10));
    world.server.script().stated_bytes = Some(1 << 60);
    let error = world.pull().unwrap_err();
    assert!(matches!(error, HubError::NoRoom { need, .. } if need == 1 << 60), "{error}");
    assert!(error.to_string().contains("HF_HOME"), "{error}");
    assert_eq!(world.server.count("GET"), 0);
}

#[test]
fn a_disk_that_fills_up_is_one_clear_sentence() {
    let world = World::new(content(10_000));
    let incomplete = world.incomplete();
    fs::create_dir_all(incomplete.parent().unwrap()).unwrap();
    // Whatever is written to /dev/full is answered with ENOSPC, as by a disk without a free block.
    std::os::unix::fs::symlink("/dev/full", &incomplete).unwrap();
    let error = world.pull().unwrap_err();
    assert!(matches!(error, HubError::DiskFull { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("disk is full") && message.contains("HF_HOME"), "{message}");
    world.assert_nothing_is_here();
}

#[test]
fn what_fitted_before_the_limit_is_kept_and_resumed() {
    let world = World::new(content(900_000));
    // A child with a limit on the size of files: 300 blocks, of 512 or 1024 bytes as the shell has it.
    let child = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 300; exec \"$0\" --ignored --exact pull_in_a_child_with_a_limit --nocapture",
        ])
        .arg(std::env::current_exe().unwrap())
        .env("NEARFIELD_TEST_ENDPOINT", world.server.endpoint())
        .env("NEARFIELD_TEST_FOLDER", world.folder.path())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success(), "{printed}\n{}", String::from_utf8_lossy(&child.stderr));
    assert!(printed.contains("the disk is full") && printed.contains("what arrived is kept"), "{printed}");
    world.assert_nothing_is_here();
    let kept = fs::read(world.incomplete()).unwrap();
    assert!(kept.len() >= 100_000 && kept.len() < 900_000, "{}", kept.len());
    assert_eq!(kept, world.content[..kept.len()]);
    assert_eq!(fs::read(world.pull().unwrap().path).unwrap(), world.content);
    let last = world.server.log().into_iter().rfind(|r| r.server == "cdn").unwrap();
    assert_eq!(last.header("range"), Some(format!("bytes={}-", kept.len())));
}

#[test]
#[ignore = "the other half of what_fitted_before_the_limit_is_kept_and_resumed, which starts it"]
fn pull_in_a_child_with_a_limit() {
    let endpoint = std::env::var("NEARFIELD_TEST_ENDPOINT").unwrap();
    let folder = PathBuf::from(std::env::var_os("NEARFIELD_TEST_FOLDER").unwrap());
    let (cache, lock) = (HubCache::new(folder.join("hub")), ModelsLock::in_data_folder(&folder.join("data")));
    let hub = Hub::new(&endpoint, None, quick()).unwrap();
    let wanted = Wanted { repository: REPOSITORY, revision: "main", file: FILE, bytes: None, sha256: None };
    let error = hub.pull(&cache, &lock, &wanted, false, &|| false, &mut |_| {}).unwrap_err();
    assert!(matches!(error, HubError::DiskFull { .. }), "{error}");
    println!("{error}");
}

// ---------------------------------------------------------------------------------------------------------------------------
// The commands

#[test]
fn the_commands_list_pull_show_verify_and_path_tell_one_story() {
    let world = World::new(content(100_000));
    let registry = world.registry();
    let run = |command: &dyn Fn(&mut dyn Write) -> anyhow::Result<()>| {
        let mut out = Vec::new();
        let result = command(&mut out).map_err(|e| format!("{e:#}"));
        (String::from_utf8(out).unwrap(), result)
    };
    let listed = |status: &str| {
        let (text, _) = run(&|out| models::list(&registry, false, out));
        let row = text.lines().find(|l| l.starts_with("tiny ")).unwrap().to_string();
        assert!(row.contains(status), "{row}");
        let (json, _) = run(&|out| models::list(&registry, true, out));
        let line: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
        assert_eq!(line["status"], status);
    };
    listed("available");
    let (_, path) = run(&|out| models::path(&registry, "tiny", out));
    assert!(path.unwrap_err().contains("`nearfield models pull tiny`"));
    let (_, verified) = run(&|out| models::verify(&registry, Some("tiny"), false, &|| false, out));
    assert!(verified.unwrap_err().contains("`nearfield models pull tiny`"));

    let settings = PullSettings { quiet: true, ..PullSettings::default() };
    let (text, pulled) =
        run(&|out| models::pull_from(&world.hub(), &registry, &["tiny".into()], settings, &|| false, out));
    pulled.unwrap();
    assert!(text.contains("pulled, verified") && text.contains(&world.hash()), "{text}");
    listed("pulled");
    let (shown, _) = run(&|out| models::show(&registry, "tiny", false, out));
    assert!(shown.contains(&world.hash()) && shown.contains(COMMIT) && shown.contains("100000"), "{shown}");
    let (path, _) = run(&|out| models::path(&registry, "tiny", out));
    assert_eq!(fs::read(path.trim_end()).unwrap(), world.content);
    let (verified, right) = run(&|out| models::verify(&registry, None, false, &|| false, out));
    right.unwrap();
    assert!(verified.contains("tiny") && verified.contains("right"), "{verified}");
}

#[test]
fn verify_finds_a_flipped_byte_and_names_the_file_and_the_way_out() {
    let world = World::new(content(100_000));
    let registry = world.registry();
    let path = world.pull().unwrap().path;
    flip_a_byte(&path);
    for name in [None, Some("tiny")] {
        let mut out = Vec::new();
        let error = models::verify(&registry, name, false, &|| false, &mut out).unwrap_err().to_string();
        for part in [path.to_str().unwrap(), &world.hash(), "`nearfield models pull tiny`"] {
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
        assert!(String::from_utf8(out).unwrap().contains("wrong"));
    }
}

#[test]
fn a_slip_in_the_last_name_is_found_before_the_first_is_pulled() {
    let world = World::new(content(1000));
    let names = ["tiny".to_string(), "tinny".to_string()];
    let settings = PullSettings { quiet: true, ..PullSettings::default() };
    let error = models::pull_from(&world.hub(), &world.registry(), &names, settings, &|| false, &mut Vec::new());
    let error = error.unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(RegistryError::Unknown { .. })), "{error}");
    assert!(error.to_string().contains("did you mean tiny?"), "{error}");
    assert!(world.server.log().is_empty());
}

#[test]
fn every_bundled_model_is_what_the_list_says() {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("assets");
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::in_places(Places {
        assets: Some(assets.clone()),
        cache: HubCache::new(folder.path()),
        data: folder.path().to_path_buf(),
    })
    .unwrap();
    let mut listed = vec!["models.toml".to_string()];
    for model in registry.models().iter().filter(|m| m.bundled) {
        for file in &model.files {
            let path = assets.join("models").join(&file.path);
            assert_eq!(fs::metadata(&path).unwrap().len(), file.bytes.unwrap(), "{}", path.display());
            assert_eq!(Sha256::of_file(&path, &mut |_| true).unwrap(), file.sha256.unwrap(), "{}", path.display());
            listed.push(file.path.clone());
        }
    }
    for entry in fs::read_dir(assets.join("models")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_weights = [".gguf", ".bin", ".onnx"].iter().any(|end| name.ends_with(end));
        assert!(!is_weights || listed.contains(&name), "assets/models/{name} is not in models.toml");
    }
}

// ---------------------------------------------------------------------------------------------------------------------------
// A world: a hub with one file, an empty cache, an empty lock

struct World {
    content: Vec<u8>,
    server: Server,
    folder: tempfile::TempDir,
    cache: HubCache,
    lock: ModelsLock,
}

impl World {
    fn new(content: Vec<u8>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            server: Server::start(content.clone()),
            cache: HubCache::new(folder.path().join("hub")),
            lock: ModelsLock::in_data_folder(&folder.path().join("data")),
            folder,
            content,
        }
    }

    fn hash(&self) -> String {
        Sha256::of(&self.content).to_string()
    }

    fn hub(&self) -> Hub {
        self.hub_with(quick(), None)
    }

    fn hub_with(&self, patience: Patience, token: Option<&str>) -> Hub {
        Hub::new(&self.server.endpoint(), token, patience).unwrap()
    }

    fn wanted(&self) -> Wanted<'static> {
        Wanted { repository: REPOSITORY, revision: "main", file: FILE, bytes: None, sha256: None }
    }

    fn pull(&self) -> Result<Pulled, HubError> {
        self.pull_with(&self.hub(), &|| false)
    }

    fn pull_with(&self, hub: &Hub, stop: &dyn Fn() -> bool) -> Result<Pulled, HubError> {
        self.pull_telling(hub, stop, |_| {})
    }

    fn pull_telling(
        &self,
        hub: &Hub,
        stop: &dyn Fn() -> bool,
        mut told: impl FnMut(Event<'_>),
    ) -> Result<Pulled, HubError> {
        hub.pull(&self.cache, &self.lock, &self.wanted(), false, stop, &mut told)
    }

    fn registry(&self) -> Registry {
        let text = format!(
            "[[model]]\nname = \"tiny\"\nkind = \"llm\"\nlicence = \"MIT\"\nrepository = \"{REPOSITORY}\"\n\
             files = [{{ path = \"{FILE}\" }}]\ngood_for = \"tests\"\n"
        );
        let places = Places { assets: None, cache: self.cache.clone(), data: self.folder.path().join("data") };
        Registry::from_text(&text, Path::new("models.toml"), places).unwrap()
    }

    fn incomplete(&self) -> PathBuf {
        self.cache.incomplete(REPOSITORY, &self.hash())
    }

    fn put_incomplete(&self, content: &[u8]) {
        let path = self.incomplete();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Unfinished and temporary files anywhere in the cache.
    fn left_over(&self) -> Vec<PathBuf> {
        files_below(self.cache.root())
            .into_iter()
            .filter(|p| {
                let name = p.file_name().unwrap().to_string_lossy();
                name.ends_with(".incomplete") || name.ends_with(".new")
            })
            .collect()
    }

    /// Nothing under any name that a reader would look at.
    fn assert_nothing_is_here(&self) {
        for path in files_below(self.cache.root()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(name.ends_with(".incomplete") || name.ends_with(".lock"), "{} is here", path.display());
        }
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() { files_below(&path) } else { vec![path] }
        })
        .collect()
}

/// Bytes that no two places of the file share.
fn content(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..size).map(|_| next()).collect()
}

fn flip_a_byte(path: &Path) {
    let mut content = fs::read(path).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 0x10;
    fs::write(path, content).unwrap();
}

fn range_start(range: &str) -> u64 {
    range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap()
}

/// As a user's, but with times that a test can wait for.
fn quick() -> Patience {
    Patience {
        connect: Duration::from_secs(2),
        read: Duration::from_secs(5),
        attempts: 4,
        backoff: Duration::from_millis(10),
        other_pull: Duration::from_secs(30),
    }
}

// ---------------------------------------------------------------------------------------------------------------------------
// The hub, and the other server that it leads to

/// What the two servers do, beside what they should.
#[derive(Default)]
struct Script {
    content: Vec<u8>,
    /// Other than the content's hash.
    etag: Option<String>,
    /// Other than `COMMIT`.
    commit: Option<String>,
    /// Other than the content's length, in the hub's statement.
    stated_bytes: Option<u64>,
    /// The hub serves the content itself, as it does with small files.
    directly: bool,
    /// Every connection is closed at once.
    refuse_all: bool,
    /// The hub answers these first.
    statuses: VecDeque<u16>,
    /// The other server answers these first.
    cdn_statuses: VecDeque<u16>,
    /// `X-Error-Code` of such answers.
    error_code: Option<String>,
    /// So many relative redirects come first.
    renamed: usize,
    /// The other server redirects to itself.
    cdn_loop: bool,
    /// Bodies that end after so many bytes.
    cuts: VecDeque<usize>,
    /// The body stops there, and the connection stays open.
    silent_after: Option<usize>,
    /// 64 KiB every few milliseconds.
    slowly: bool,
    ignores_ranges: bool,
    wrong_range: bool,
    /// Added to Content-Length.
    length_error: i64,
    /// Chunks without end instead of the content.
    endless: bool,
    /// A web page with status 200: from the hub (true), or from the other server.
    web_page: Option<bool>,
    /// So much useless header.
    header_bytes: usize,
    log: Vec<Request>,
}

#[derive(Clone, Debug)]
struct Request {
    server: &'static str,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    fn header(&self, name: &str) -> Option<String> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())
    }
}

struct Server {
    hub: SocketAddr,
    script: Arc<Mutex<Script>>,
}

impl Server {
    fn start(content: Vec<u8>) -> Self {
        let script = Arc::new(Mutex::new(Script { content, ..Script::default() }));
        let hub = TcpListener::bind("127.0.0.1:0").unwrap();
        let cdn = TcpListener::bind("127.0.0.1:0").unwrap();
        let (hub_address, cdn_address) = (hub.local_addr().unwrap(), cdn.local_addr().unwrap());
        for (name, listener) in [("hub", hub), ("cdn", cdn)] {
            let script = script.clone();
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let script = script.clone();
                    // The other end may be gone at any moment: that is what is tested.
                    thread::spawn(move || drop(serve(name, stream, &script, cdn_address)));
                }
            });
        }
        Self { hub: hub_address, script }
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.hub)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    fn log(&self) -> Vec<Request> {
        self.script().log.clone()
    }

    fn count(&self, method: &str) -> usize {
        self.log().iter().filter(|r| r.method == method).count()
    }
}

fn serve(server: &'static str, stream: TcpStream, script: &Mutex<Script>, cdn: SocketAddr) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end().to_string();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut first = lines[0].split(' ');
    let (method, path) = (first.next().unwrap_or("").to_string(), first.next().unwrap_or("").to_string());
    let headers = lines[1..].iter().filter_map(|l| l.split_once(": "));
    let headers = headers.map(|(n, v)| (n.to_ascii_lowercase(), v.to_string())).collect();
    let request = Request { server, method: method.clone(), path: path.clone(), headers };
    let range = request.header("range");

    let mut script = script.lock().unwrap();
    if script.refuse_all {
        return Ok(());
    }
    script.log.push(request);
    let statuses = if server == "hub" { &mut script.statuses } else { &mut script.cdn_statuses };
    if let Some(status) = statuses.pop_front() {
        let code = script.error_code.as_ref().map(|c| format!("X-Error-Code: {c}\r\n")).unwrap_or_default();
        return write!(out, "HTTP/1.1 {status} No\r\n{code}Content-Length: 0\r\nConnection: close\r\n\r\n");
    }
    if script.web_page == Some(server == "hub") {
        let page = "<html>Please log in</html>";
        let length = page.len();
        return write!(
            out,
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nETag: \"page\"\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{page}"
        );
    }
    let content = script.content.clone();
    let mut stated = String::new();
    if server == "hub" {
        if script.renamed > 0 && !path.contains("renamed") || script.renamed > 1 && script.renamed != usize::MAX {
            script.renamed -= usize::from(script.renamed != usize::MAX);
            return write!(
                out,
                "HTTP/1.1 307 Temporary Redirect\r\nLocation: {path}?renamed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        if script.renamed == usize::MAX {
            return write!(
                out,
                "HTTP/1.1 307 Again\r\nLocation: {path}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        if script.header_bytes > 0 {
            write!(out, "HTTP/1.1 302 Found\r\nX-Useless: {}\r\n", "x".repeat(script.header_bytes))?;
        }
        assert!(path.starts_with("/org/name/resolve/") && path.contains("/sub/model.gguf"), "{path}");
        let commit = script.commit.clone().unwrap_or(COMMIT.into());
        // The hash that was promised, also where the script hurts the content: that of the test's world is in the etag.
        let etag = script.etag.clone().unwrap_or_else(|| promised(&content));
        let size = script.stated_bytes.unwrap_or(content.len() as u64);
        stated = format!("X-Repo-Commit: {commit}\r\n");
        if !script.directly {
            return write!(
                out,
                "HTTP/1.1 302 Found\r\n{stated}X-Linked-Etag: \"{etag}\"\r\nX-Linked-Size: {size}\r\n\
                 ETag: \"of the redirect\"\r\nLocation: http://{cdn}/blob?sig=a%2Fb\r\nContent-Length: 0\r\n\
                 Connection: close\r\n\r\n"
            );
        }
        stated.push_str(&format!("ETag: W/\"{etag}\"\r\n"));
    } else if script.cdn_loop {
        return write!(out, "HTTP/1.1 302 Found\r\nLocation: ?again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    if script.endless {
        write!(out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")?;
        drop(script);
        loop {
            write!(out, "10000\r\n")?;
            out.write_all(&[7; 0x10000])?;
            write!(out, "\r\n")?;
        }
    }
    let start = match range {
        Some(range) if !script.ignores_ranges => range_start(&range) as usize,
        _ => 0,
    };
    let body = &content[start.min(content.len())..];
    let (total, last) = (content.len(), content.len().saturating_sub(1));
    let status = if start > 0 {
        let shown = if script.wrong_range { start + 1 } else { start };
        format!("206 Partial Content\r\nContent-Range: bytes {shown}-{last}/{total}")
    } else {
        "200 OK".to_string()
    };
    let length = body.len() as i64 + script.length_error;
    write!(out, "HTTP/1.1 {status}\r\n{stated}Content-Type: binary/octet-stream\r\n")?;
    write!(out, "Content-Length: {length}\r\nConnection: close\r\n\r\n")?;
    if method == "HEAD" {
        return Ok(());
    }
    let cut = script.cuts.pop_front();
    let (silent_after, slowly) = (script.silent_after, script.slowly);
    drop(script);
    let end = cut.or(silent_after).map_or(body.len(), |n| n.min(body.len()));
    for piece in body[..end].chunks(0x10000) {
        out.write_all(piece)?;
        if slowly {
            thread::sleep(Duration::from_millis(15));
        }
    }
    if silent_after.is_some() {
        thread::sleep(Duration::from_secs(20));
    }
    Ok(())
}

/// The hash that the hub states: of the content as it was made, so that a content that the script hurts does not have it.
fn promised(now: &[u8]) -> String {
    Sha256::of(&content(now.len())).to_string()
}

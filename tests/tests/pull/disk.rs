//! Disks that are full.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nearfield::hub::cache::HubCache;
use nearfield::hub::models_lock::ModelsLock;
use nearfield::hub::{Hub, HubError, Wanted};

use crate::world::{FILE, REPOSITORY, World, content, quick};

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
            "trap '' XFSZ; ulimit -f 300; exec \"$0\" --ignored --exact disk::pull_in_a_child_with_a_limit --nocapture",
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

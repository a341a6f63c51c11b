//! A world: a hub with one file, an empty cache, an empty lock.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nearfield::hub::cache::HubCache;
use nearfield::hub::content_hash::Sha256;
use nearfield::hub::models_lock::ModelsLock;
use nearfield::hub::registry::{Places, Registry};
use nearfield::hub::{Event, Hub, HubError, Pulled, RetryPolicy, Wanted};

use crate::server::Server;

pub const REPOSITORY: &str = "org/name";
pub const FILE: &str = "sub/model.gguf";
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

pub struct World {
    pub content: Vec<u8>,
    pub server: Server,
    pub folder: tempfile::TempDir,
    pub cache: HubCache,
    pub lock: ModelsLock,
}

impl World {
    pub fn new(content: Vec<u8>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            server: Server::start(content.clone()),
            cache: HubCache::new(folder.path().join("hub")),
            lock: ModelsLock::in_data_folder(&folder.path().join("data")),
            folder,
            content,
        }
    }

    pub fn hash(&self) -> String {
        Sha256::of(&self.content).to_string()
    }

    pub fn hub(&self) -> Hub {
        self.hub_with(quick(), None)
    }

    pub fn hub_with(&self, retry: RetryPolicy, token: Option<&str>) -> Hub {
        Hub::new(&self.server.endpoint(), token, retry).unwrap()
    }

    pub fn wanted(&self) -> Wanted<'static> {
        Wanted { repository: REPOSITORY, revision: "main", file: FILE, bytes: None, sha256: None }
    }

    pub fn pull(&self) -> Result<Pulled, HubError> {
        self.pull_with(&self.hub(), &|| false)
    }

    pub fn pull_with(&self, hub: &Hub, stop: &dyn Fn() -> bool) -> Result<Pulled, HubError> {
        self.pull_telling(hub, stop, |_| {})
    }

    pub fn pull_telling(
        &self,
        hub: &Hub,
        stop: &dyn Fn() -> bool,
        mut told: impl FnMut(Event<'_>),
    ) -> Result<Pulled, HubError> {
        hub.pull(&self.cache, &self.lock, &self.wanted(), false, stop, &mut told)
    }

    pub fn registry(&self) -> Registry {
        let text = format!(
            "[[model]]\nname = \"tiny\"\nkind = \"llm\"\nlicence = \"MIT\"\nrepository = \"{REPOSITORY}\"\n\
             files = [{{ path = \"{FILE}\" }}]\ngood_for = \"tests\"\n"
        );
        let places = Places { assets: None, cache: self.cache.clone(), data: self.folder.path().join("data") };
        Registry::from_text(&text, Path::new("models.toml"), places).unwrap()
    }

    pub fn incomplete(&self) -> PathBuf {
        self.cache.incomplete(REPOSITORY, &self.hash())
    }

    pub fn put_incomplete(&self, content: &[u8]) {
        let path = self.incomplete();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Unfinished and temporary files anywhere in the cache.
    pub fn left_over(&self) -> Vec<PathBuf> {
        files_below(self.cache.root())
            .into_iter()
            .filter(|p| {
                let name = p.file_name().unwrap().to_string_lossy();
                name.ends_with(".incomplete") || name.ends_with(".new")
            })
            .collect()
    }

    /// Nothing under any name that a reader would look at.
    pub fn assert_nothing_is_here(&self) {
        for path in files_below(self.cache.root()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(name.ends_with(".incomplete") || name.ends_with(".lock"), "{} is here", path.display());
        }
    }
}

pub fn files_below(folder: &Path) -> Vec<PathBuf> {
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
pub fn content(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..size).map(|_| next()).collect()
}

pub fn flip_a_byte(path: &Path) {
    let mut content = fs::read(path).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 0x10;
    fs::write(path, content).unwrap();
}

pub fn range_start(range: &str) -> u64 {
    range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap()
}

/// As a user's, but with times that a test can wait for.
pub fn quick() -> RetryPolicy {
    RetryPolicy {
        connect: Duration::from_secs(2),
        read: Duration::from_secs(5),
        attempts: 4,
        backoff: Duration::from_millis(10),
        other_pull: Duration::from_secs(30),
    }
}

//! The Hugging Face cache on disk, as every tool that uses the hub lays it out: for each repository the contents (`blobs`, named
//! by their ETag), the trees of commits (`snapshots`, links into the blobs) and what branches and tags were (`refs`).
//! Finding a file and putting a finished one in place; fetching is `hub/`.
//! Layout: <https://huggingface.co/docs/hub/local-cache>.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use nearfield_base::persist;

use crate::hub::models_lock::LockedFile;

/// The folder that holds `models--ORG--NAME` for every repository; it need not exist.
#[derive(Clone, Debug)]
pub struct HubCache {
    root: PathBuf,
}

impl HubCache {
    /// The cache in this folder (`HF_HUB_CACHE`, or `hub` inside `HF_HOME`).
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where everything of one repository lies.
    pub fn repository(&self, repository: &str) -> PathBuf {
        self.root.join(format!("models--{}", repository.replace('/', "--")))
    }

    /// The content with this ETag, whether or not it is there.
    pub fn blob(&self, repository: &str, etag: &str) -> PathBuf {
        self.repository(repository).join("blobs").join(etag)
    }

    /// The unfinished content with this ETag: what a pull writes to and resumes from.
    pub fn incomplete(&self, repository: &str, etag: &str) -> PathBuf {
        self.repository(repository).join("blobs").join(format!("{etag}.incomplete"))
    }

    /// The file whose lock says that someone is fetching this content; the same one as other tools take.
    pub fn pull_lock(&self, repository: &str, etag: &str) -> PathBuf {
        self.root.join(".locks").join(format!("models--{}", repository.replace('/', "--"))).join(format!("{etag}.lock"))
    }

    /// Where a commit's file stands, whether or not it is there.
    pub fn snapshot_file(&self, repository: &str, commit: &str, file: &str) -> PathBuf {
        self.repository(repository).join("snapshots").join(commit).join(file)
    }

    /// The file as it was at this commit, if it is here whole.
    pub fn find_at_commit(&self, repository: &str, commit: &str, file: &str) -> Option<PathBuf> {
        let path = self.snapshot_file(repository, commit, file);
        fs::metadata(&path).is_ok_and(|m| m.is_file()).then_some(path)
    }

    /// The file at a branch, tag or commit, if it is here; else at any commit that is here, the newest first.
    pub fn find(&self, repository: &str, revision: &str, file: &str) -> Option<PathBuf> {
        let named = fs::read_to_string(self.repository(repository).join("refs").join(revision)).ok();
        let commit = named.as_deref().map_or(revision, str::trim);
        if is_commit(commit)
            && let Some(path) = self.find_at_commit(repository, commit, file)
        {
            return Some(path);
        }
        self.find_all(repository, file).into_iter().next()
    }

    /// The file at every commit that is here, the newest first.
    pub fn find_all(&self, repository: &str, file: &str) -> Vec<PathBuf> {
        let Ok(snapshots) = fs::read_dir(self.repository(repository).join("snapshots")) else {
            return Vec::new();
        };
        let mut found: Vec<_> = snapshots
            .flatten()
            .filter_map(|entry| {
                let path = entry.path().join(file);
                let meta = fs::metadata(&path).ok().filter(|m| m.is_file())?;
                Some((meta.modified().unwrap_or(std::time::UNIX_EPOCH), path))
            })
            .collect();
        found.sort_by(|a, b| b.cmp(a));
        found.into_iter().map(|(_, path)| path).collect()
    }

    /// The file that the lock speaks of: at its commit, or at another one with the same content (a blob's name is its hash).
    /// A file of that name with other content is none.
    pub fn find_locked(&self, locked: &LockedFile) -> Option<PathBuf> {
        self.find_at_commit(&locked.repository, &locked.commit, &locked.file).or_else(|| {
            let hash = locked.sha256.to_string();
            let mut elsewhere = self.find_all(&locked.repository, &locked.file).into_iter();
            elsewhere
                .find(|path| fs::canonicalize(path).is_ok_and(|blob| blob.file_name().is_some_and(|n| *n == *hash)))
        })
    }

    /// Puts a finished, verified content in place: flushed to the disk, renamed to its blob, linked into the commit's tree, and
    /// the revision's name set to the commit. Every step is one rename, so that no one ever sees half a file.
    ///
    /// # Errors
    /// What the file system says; the unfinished file is then still there, or the blob already is.
    pub fn place(&self, repository: &str, revision: &str, commit: &str, file: &str, etag: &str) -> io::Result<PathBuf> {
        let incomplete = self.incomplete(repository, etag);
        let blob = self.blob(repository, etag);
        persist::rename(&incomplete, &blob)?;
        self.link(repository, revision, commit, file, etag)
    }

    /// Links a content that is already here into a commit's tree, and sets the revision's name to that commit.
    ///
    /// # Errors
    /// What the file system says.
    pub fn link(&self, repository: &str, revision: &str, commit: &str, file: &str, etag: &str) -> io::Result<PathBuf> {
        let path = self.snapshot_file(repository, commit, file);
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder)?;
        let blob = self.blob(repository, etag);
        // snapshots/COMMIT/a/b.onnx is three folders below the repository: ../../../blobs/ETAG
        let up = 2 + Path::new(file).components().count() - 1;
        let target: PathBuf = std::iter::repeat_n("..", up).collect::<PathBuf>().join("blobs").join(etag);
        let temporary = folder.join(format!(".{etag}.{}.new", std::process::id()));
        let _ = fs::remove_file(&temporary); // left by a process of the same number that was killed here
        if std::os::unix::fs::symlink(&target, &temporary).is_err() {
            // A file system without links (an exFAT card): a second copy, as other tools do.
            fs::copy(&blob, &temporary)?;
        }
        persist::rename(&temporary, &path)?;

        if revision != commit {
            let name = self.repository(repository).join("refs").join(revision);
            let folder = name.parent().unwrap_or(&self.root);
            fs::create_dir_all(folder)?;
            persist::replace(&name, commit.as_bytes())?;
        }
        Ok(path)
    }
}

/// A git commit as the hub names it: 40 hexadecimal digits (SHA-1), or 64 (SHA-256).
pub fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether a repository's name is of the form `ORG/NAME` (or `NAME`) and safe as a folder's name.
pub fn is_repository(text: &str) -> bool {
    let part = |p: &str| {
        p.starts_with(|c: char| c.is_ascii_alphanumeric())
            && p.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
            && !p.contains("--")
            && !p.contains("..")
            && p.len() <= 96
    };
    text.split('/').count() <= 2 && text.split('/').all(part)
}

/// Whether a path stays inside its repository: relative, of plain names, none of them hidden tricks such as `..`.
pub fn is_inner_path(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 1024
        && !text.contains(['\\', '\0', '\n', '\r'])
        && !text.contains("//")
        && !text.ends_with('/')
        && Path::new(text).components().all(|c| matches!(c, Component::Normal(_)))
        && text.split('/').all(|name| name != ".")
}

/// Whether a server's ETag may name a file: digits, letters, `.`, `_`, `-`, at most 128 of them, and not hidden.
pub fn is_etag_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with('.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn a_placed_file_is_found_by_branch_by_commit_and_through_a_relative_link() {
        let folder = tempfile::tempdir().unwrap();
        let cache = HubCache::new(folder.path());
        let incomplete = cache.incomplete("org/name", "etag1");
        fs::create_dir_all(incomplete.parent().unwrap()).unwrap();
        fs::write(&incomplete, b"content").unwrap();
        let path = cache.place("org/name", "main", COMMIT, "a/b/model.onnx", "etag1").unwrap();
        assert!(!incomplete.exists());
        assert_eq!(fs::read(&path).unwrap(), b"content");
        assert_eq!(fs::read_link(&path).unwrap(), Path::new("../../../../blobs/etag1"));
        assert_eq!(cache.find("org/name", "main", "a/b/model.onnx"), Some(path.clone()));
        assert_eq!(cache.find("org/name", COMMIT, "a/b/model.onnx"), Some(path));
        assert_eq!(cache.find("org/name", "main", "other.onnx"), None);
        assert_eq!(fs::read_to_string(folder.path().join("models--org--name/refs/main")).unwrap(), COMMIT);
    }

    #[test]
    fn a_file_that_another_tool_left_at_another_commit_is_found_but_a_dangling_link_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = HubCache::new(folder.path());
        let path = cache.snapshot_file("org/name", "abc", "model.gguf");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink("../../blobs/gone", &path).unwrap();
        assert_eq!(cache.find("org/name", "main", "model.gguf"), None);
        fs::create_dir_all(cache.repository("org/name").join("blobs")).unwrap();
        fs::write(cache.blob("org/name", "gone"), b"x").unwrap();
        assert_eq!(cache.find("org/name", "main", "model.gguf"), Some(path));
    }

    #[test]
    fn names_that_would_leave_the_cache_are_refused() {
        for good in ["org/name", "name", "ggerganov/whisper.cpp"] {
            assert!(is_repository(good), "{good}");
        }
        for bad in ["", "/", "a/b/c", "../x", "a/..", "a/.b", "a b/c", "a--b/c", "org/na\nme"] {
            assert!(!is_repository(bad), "{bad}");
        }
        for bad in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/./b", "./a", "a\\b", "a/", "a\0"] {
            assert!(!is_inner_path(bad), "{bad:?}");
        }
        assert!(is_inner_path("en/en_US/lessac/low/en_US-lessac-low.onnx.json"));
        for bad in ["", "..", ".hidden", "a/b", "\"x\"", &"a".repeat(129)] {
            assert!(!is_etag_name(bad), "{bad}");
        }
    }
}

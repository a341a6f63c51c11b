//! Which files a command reads and which it writes, so that no output is an input or another output. Every command names all of
//! its files here before it opens the first output; `nearfield run` names those of the server and of all flows.
//!
//! Files are the same when device and inode are: hard links and symbolic links are seen through, and so are standard input and
//! output that a shell has redirected. A file that is not there yet is known by its folder and name. Terminals, pipes and devices
//! can be used twice.

use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nearfield_base::persist::{self, Existing, NewFile};

use crate::cli::Usage;
use crate::hub::registry::Resolved;

/// The files of a command.
#[derive(Debug)]
pub struct Files {
    named: Vec<Named>,
    /// Whose files are named now: a flow of several.
    owner: String,
    created: Vec<(String, PathBuf, Existing)>,
}

#[derive(Debug)]
struct Named {
    role: String,
    identity: Identity,
    is_written: bool,
    /// What several parts of the process write together.
    shared_as: Option<&'static str>,
}

#[derive(Debug, PartialEq, Eq)]
enum Identity {
    There { device: u64, inode: u64 },
    ToCome(PathBuf),
}

impl Default for Files {
    fn default() -> Self {
        Self::new()
    }
}

impl Files {
    /// Standard output, which every command writes to.
    pub fn new() -> Self {
        let mut files = Files { named: Vec::new(), owner: String::new(), created: Vec::new() };
        files.descriptor("standard output", std::io::stdout().as_fd(), true);
        files
    }

    /// Standard input is read.
    pub fn reads_stdin(&mut self) {
        self.descriptor("standard input", std::io::stdin().as_fd(), false);
    }

    /// This file or folder is read. An empty path is none.
    pub fn reads(&mut self, role: &str, path: &Path) {
        self.add(role, path, false);
    }

    /// This file is written, or files are written into this folder. An empty path is none.
    pub fn writes(&mut self, role: &str, path: &Path) {
        self.add(role, path, true);
    }

    /// As [`writes`](Self::writes), for what several parts of the process write together under the same role.
    pub fn writes_shared(&mut self, role: &'static str, path: &Path) {
        let before = self.named.len();
        self.add(role, path, true);
        self.named[before..].iter_mut().for_each(|named| named.shared_as = Some(role));
    }

    /// The files that are named from now on are those of this flow.
    pub fn of_flow(&mut self, name: &str) {
        self.owner = format!(" of the flow {name}");
    }

    fn add(&mut self, role: &str, path: &Path, is_written: bool) {
        if !path.as_os_str().is_empty()
            && let Some(identity) = identity_of(path)
        {
            let role = format!("{role} {}{}", path.display(), self.owner);
            self.named.push(Named { role, identity, is_written, shared_as: None });
        }
    }

    fn descriptor(&mut self, role: &str, descriptor: std::os::fd::BorrowedFd<'_>, is_written: bool) {
        let metadata = descriptor.try_clone_to_owned().and_then(|owned| File::from(owned).metadata());
        if let Some(identity) = metadata.ok().as_ref().and_then(identity_there) {
            self.named.push(Named { role: role.to_owned(), identity, is_written, shared_as: None });
        }
    }

    /// This file is made by this run: it is also checked that it can be, without touching what is there.
    pub fn creates(&mut self, role: &str, path: &Path, existing: Existing) {
        self.add(role, path, true);
        self.created.push((role.to_owned(), path.to_owned(), existing));
    }

    /// A model's files are read.
    pub fn reads_model(&mut self, role: &str, model: &Resolved) {
        model.files.iter().for_each(|(_, path)| self.reads(role, path));
    }

    /// No file is written that is also read, or written twice; what is to be made can be made.
    ///
    /// # Errors
    /// [`Usage`], naming both, or the file that is there already; or what keeps a file from being made.
    pub fn check(&self) -> anyhow::Result<()> {
        self.check_identities()?;
        for (role, path, existing) in &self.created {
            let Err(error) = NewFile::probe(path, *existing) else { continue };
            let text = format!("{role} {} can't be written", path.display());
            return Err(match error.kind() {
                ErrorKind::AlreadyExists => Usage(format!("{text}: {error}")).into(),
                _ => anyhow::Error::new(error).context(text),
            });
        }
        Ok(())
    }

    fn check_identities(&self) -> Result<(), Usage> {
        for (i, output) in self.named.iter().enumerate().filter(|(_, named)| named.is_written) {
            // Of two outputs the one that was named later is named first.
            let clashes = |(j, other): &(usize, &Named)| {
                let is_shared = output.shared_as.is_some() && output.shared_as == other.shared_as;
                other.identity == output.identity && !is_shared && if other.is_written { *j < i } else { *j != i }
            };
            if let Some((_, other)) = self.named.iter().enumerate().find(clashes) {
                let harm = if other.is_written { "both are written" } else { "it would be overwritten" };
                let text = format!("{} and {} are the same file, and {harm}: name another", output.role, other.role);
                return Err(Usage(text));
            }
        }
        Ok(())
    }
}

fn identity_there(metadata: &Metadata) -> Option<Identity> {
    let is_kept = metadata.is_file() || metadata.is_dir();
    is_kept.then(|| Identity::There { device: metadata.dev(), inode: metadata.ino() })
}

/// `None` for what is neither a file nor a folder.
fn identity_of(path: &Path) -> Option<Identity> {
    match std::fs::metadata(path) {
        Ok(metadata) => identity_there(&metadata),
        Err(_) => {
            let path = persist::resolve(path).ok()?;
            let folder = std::path::absolute(persist::folder_of(&path)).ok()?;
            let folder = folder.canonicalize().unwrap_or(folder);
            Some(Identity::ToCome(folder.join(path.file_name()?)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn clash(input: &Path, output: &Path) -> anyhow::Result<()> {
        let mut files = Files::new();
        files.reads("--input", input);
        files.writes("--output", output);
        files.check()
    }

    #[test]
    fn an_output_that_is_an_input_is_refused_by_whatever_name_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("sub")).unwrap();
        fs::write(path("in"), "x").unwrap();
        fs::hard_link(path("in"), path("hard")).unwrap();
        symlink("in", path("soft")).unwrap();
        symlink("soft", path("softer")).unwrap();
        symlink(folder.path(), path("sub/up")).unwrap();
        for name in ["in", "hard", "soft", "softer", "sub/../in", "sub/up/hard"] {
            let message = clash(&path("in"), &path(name)).unwrap_err().to_string();
            assert!(message.contains("--input") && message.contains("--output") && message.contains(name), "{message}");
        }
        clash(&path("in"), &path("out")).unwrap();
        clash(&path("in"), &path("sub/in")).unwrap();
        clash(Path::new("/dev/null"), Path::new("/dev/null")).unwrap();
        clash(Path::new(""), Path::new("")).unwrap();
    }

    #[test]
    fn two_outputs_are_never_the_same_file_even_when_it_is_not_there_yet() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("sub")).unwrap();
        symlink("new", path("early")).unwrap();
        for (a, b, is_clash) in
            [("new", "new", true), ("new", "sub/../new", true), ("early", "new", true), ("new", "old", false)]
        {
            let mut files = Files::new();
            files.writes("--events", &path(a));
            files.writes("--trace", &path(b));
            assert_eq!(files.check().is_err(), is_clash, "{a} {b}");
        }
        // What is only read may be read twice.
        let mut files = Files::new();
        fs::write(path("in"), "x").unwrap();
        files.reads("--config", &path("in"));
        files.reads("--input", &path("in"));
        files.check().unwrap();
    }
}

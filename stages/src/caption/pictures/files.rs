//! Still pictures: a folder or a pattern in natural order (2 before 10), or one file. A folder may change meanwhile: what has
//! gone is told and passed over, what has come is taken at the end.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use glob::Pattern;
use nearfield_base::files;
use nearfield_vision::MAX_PICTURE_BYTES;

use super::{Clock, PictureSource, Unrecoverable};
use crate::flow::StopSignal;
use crate::messages::{Shot, ShotContent};
use crate::voice::capture::Pace;

/// What is taken for a picture in a folder.
const EXTENSIONS: [&str; 9] = ["jpg", "jpeg", "png", "gif", "bmp", "webp", "ppm", "pgm", "pnm"];

/// Files that a folder may hold; more are not listed.
const MOST_FILES: usize = 1_000_000;

/// A source of still pictures.
pub struct PictureFiles {
    place: Place,
    interval: Duration,
    clock: Clock,
    list: std::vec::IntoIter<PathBuf>,
    seen: HashSet<PathBuf>,
    /// When the first picture was given; the others follow it at their interval, whenever they are read.
    begun: Option<SystemTime>,
    given: u32,
}

enum Place {
    File(PathBuf),
    Folder(PathBuf),
    /// A folder and a pattern of names.
    Pattern(PathBuf, String),
}

impl PictureFiles {
    /// `input`: a file, a folder, or a pattern whose last part holds `*`, `?` or `[...]`. Pictures are `interval` apart.
    pub fn new(input: &str, interval: Duration, pace: Pace) -> Self {
        let path = Path::new(input);
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let place = if path.is_dir() {
            Place::Folder(path.to_owned())
        } else if name.contains(['*', '?', '[']) && !path.exists() {
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Place::Pattern(parent.to_owned(), name)
        } else {
            Place::File(path.to_owned())
        };
        Self {
            place,
            interval,
            clock: Clock::new(pace),
            list: Vec::new().into_iter(),
            seen: HashSet::new(),
            begun: None,
            given: 0,
        }
    }

    /// The pictures that are there and were not given yet, in natural order.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub fn list(&self) -> anyhow::Result<Vec<PathBuf>> {
        let (folder, pattern) = match &self.place {
            Place::File(file) => {
                return Ok(vec![file.clone()].into_iter().filter(|f| !self.seen.contains(f)).collect());
            }
            Place::Folder(folder) => (folder, None),
            Place::Pattern(folder, pattern) => {
                let compiled = Pattern::new(pattern);
                (folder, Some(compiled.with_context(|| format!("the pattern {pattern} can't be understood"))?))
            }
        };
        let entries =
            std::fs::read_dir(folder).with_context(|| format!("the folder {} can't be read", folder.display()))?;
        let mut files: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|file| {
                let name = file.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
                let wanted = match &pattern {
                    Some(pattern) => pattern.matches(&name),
                    None => {
                        let extension = file.extension().map(|e| e.to_string_lossy().to_lowercase());
                        extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
                    }
                };
                wanted && !self.seen.contains(file) && file.is_file()
            })
            .take(MOST_FILES)
            .collect();
        files.sort_by_cached_key(|f| natural_key(&f.to_string_lossy()));
        Ok(files)
    }
}

impl PictureSource for PictureFiles {
    fn name(&self) -> String {
        match &self.place {
            Place::File(path) | Place::Folder(path) => path.display().to_string(),
            Place::Pattern(folder, pattern) => folder.join(pattern).display().to_string(),
        }
    }

    fn open(&mut self, _stop: &StopSignal) -> anyhow::Result<()> {
        let list = self.list().map_err(|e| Unrecoverable(format!("{e:#}")))?;
        if let Place::File(file) = &self.place {
            std::fs::metadata(file).map_err(|e| Unrecoverable(format!("the input can't be read: {e}")))?;
            if files::is_pipe(file) {
                let what = "the input is a pipe (FIFO); pictures from a pipe are read as a stream of JPEGs, with `--input - <PIPE`";
                return Err(Unrecoverable(what.to_owned()).into());
            }
        }
        if list.is_empty() && self.given == 0 {
            let what = match &self.place {
                Place::Pattern(..) => {
                    "no file matches; patterns know *, ? and [...], in the last part of the path".to_owned()
                }
                _ => format!("it holds no picture ({})", EXTENSIONS.join(", ")),
            };
            return Err(Unrecoverable(what).into());
        }
        self.list = list.into_iter();
        Ok(())
    }

    fn next(&mut self, stop: &StopSignal) -> anyhow::Result<Option<Shot>> {
        let path = match self.list.next() {
            Some(path) => path,
            None => {
                self.list = self.list()?.into_iter();
                let Some(path) = self.list.next() else { return Ok(None) };
                path
            }
        };
        let at = self.interval * self.given;
        if self.clock.wait_for(at, stop).is_break() {
            return Ok(None);
        }
        self.given += 1;
        let content = read(&path);
        let name = path.display().to_string();
        self.seen.insert(path);
        let begun = *self.begun.get_or_insert_with(SystemTime::now);
        let time = begun.checked_add(at).unwrap_or(begun);
        Ok(Some(Shot { name, at, taken: Instant::now(), time, content }))
    }
}

fn read(path: &Path) -> ShotContent {
    match files::read(path, MAX_PICTURE_BYTES as u64) {
        Ok(bytes) => ShotContent::File(bytes),
        Err(error) => ShotContent::Unreadable(error.to_string()),
    }
}

/// A key that orders numbers within names by their value: `f2` before `f10`.
pub fn natural_key(name: &str) -> Vec<(u64, String)> {
    let mut key = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (head, tail) = rest.split_at(text);
        let digits = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        key.push((0, head.to_lowercase()));
        if digits > 0 {
            key.push((tail[..digits].parse().unwrap_or(u64::MAX), String::new()));
        }
        rest = &tail[digits..];
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(source: &mut PictureFiles) -> Vec<String> {
        let (_keep, stop) = crossbeam_channel::bounded(0);
        let mut names = Vec::new();
        while let Some(shot) = source.next(&stop).unwrap() {
            let name = Path::new(&shot.name).file_name().unwrap().to_string_lossy().into_owned();
            names.push(match shot.content {
                ShotContent::Unreadable(_) => format!("{name}?"),
                _ => name,
            });
        }
        names
    }

    #[test]
    fn a_folder_that_changes_meanwhile_loses_nothing_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| std::fs::write(folder.path().join(name), b"x").unwrap();
        ["f10.jpg", "f2.JPG", "f1.png", "notes.txt"].into_iter().for_each(put);
        let (_keep, stop) = crossbeam_channel::bounded(0);
        let mut source = PictureFiles::new(&folder.path().to_string_lossy(), Duration::from_millis(100), Pace::Fast);
        source.open(&stop).unwrap();
        let first = source.next(&stop).unwrap().unwrap();
        assert!(first.name.ends_with("f1.png") && first.at.is_zero());
        std::fs::remove_file(folder.path().join("f2.JPG")).unwrap();
        put("f3.jpg");
        assert_eq!(names(&mut source), ["f2.JPG?", "f10.jpg", "f3.jpg"]);
    }

    #[test]
    fn a_pattern_takes_what_fits_and_what_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        ["a1.jpg", "a2.jpg", "b1.jpg"].iter().for_each(|n| std::fs::write(folder.path().join(n), b"x").unwrap());
        let (_keep, stop) = crossbeam_channel::bounded(0);
        let pattern = folder.path().join("a?.j*").to_string_lossy().into_owned();
        let mut source = PictureFiles::new(&pattern, Duration::ZERO, Pace::Fast);
        source.open(&stop).unwrap();
        assert_eq!(names(&mut source), ["a1.jpg", "a2.jpg"]);
        let mut none = PictureFiles::new(&folder.path().join("c*").to_string_lossy(), Duration::ZERO, Pace::Fast);
        assert!(none.open(&stop).unwrap_err().to_string().contains("no file matches"));
        for (pattern, name) in [("[ab]1*", "b1.jpg"), ("[!b]1*", "a1.jpg"), ("[a-b]?.jpg", "a1.jpg")] {
            let mut source =
                PictureFiles::new(&folder.path().join(pattern).to_string_lossy(), Duration::ZERO, Pace::Fast);
            source.open(&stop).unwrap();
            assert!(names(&mut source).contains(&name.to_owned()), "{pattern}");
        }
        let mut broken = PictureFiles::new(&folder.path().join("a[1").to_string_lossy(), Duration::ZERO, Pace::Fast);
        let message = broken.open(&stop).unwrap_err().to_string();
        assert!(message.starts_with("the pattern a[1 can't be understood"), "{message}");
        let mut gone = PictureFiles::new("/nowhere/x.jpg", Duration::ZERO, Pace::Fast);
        assert!(gone.open(&stop).unwrap_err().chain().any(|e| e.is::<Unrecoverable>()));
    }
}

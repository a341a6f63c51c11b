//! Files: a folder or a pattern in natural order (2 before 10), or one picture. Videos among them are played from their beginning to
//! their end by ffmpeg. A folder may change meanwhile: what has gone is told and passed over, what has come is taken at the end.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use glob::Pattern;
use nearfield_base::files;
use nearfield_vision::{MAX_PICTURE_BYTES, animation};

use super::{Clock, Ffmpeg, FfmpegOptions, PictureSource, Unrecoverable};
use crate::flow::{StopSignal, is_stopped};
use crate::messages::{Shot, ShotContent};
use crate::voice::capture::Pace;

/// What is taken for a picture in a folder.
const EXTENSIONS: [&str; 9] = ["jpg", "jpeg", "png", "gif", "bmp", "webp", "ppm", "pgm", "pnm"];
/// What is taken for a video.
const VIDEOS: [&str; 16] =
    ["mp4", "mkv", "webm", "avi", "mov", "m4v", "mpg", "mpeg", "ts", "mts", "m2ts", "wmv", "flv", "3gp", "ogv", "m3u8"];
/// Pictures that are not read: they are counted, so that nobody misses them in vain.
const NOT_READ: [&str; 17] = [
    "heic", "heif", "avif", "tif", "tiff", "jxl", "jp2", "psd", "svg", "raw", "dng", "cr2", "cr3", "nef", "arw", "orf",
    "rw2",
];

/// Files that a folder may hold; more are not listed.
const MOST_FILES: usize = 1_000_000;

/// Whether the name of a file, or the path of an address, is a video's.
pub fn is_video(name: &str) -> bool {
    VIDEOS.contains(&extension(Path::new(name)).as_str())
}

fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// A source of files.
pub struct PictureFiles {
    place: Place,
    interval: Duration,
    clock: Clock,
    /// How videos are opened.
    videos: Option<FfmpegOptions>,
    /// The one that is played, with the time at which it began.
    playing: Option<(Ffmpeg, Duration)>,
    list: std::vec::IntoIter<PathBuf>,
    seen: HashSet<PathBuf>,
    /// When the first picture was given; the others follow it at their interval, whenever they are read.
    begun: Option<SystemTime>,
    /// The time of the next picture.
    at: Duration,
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
            videos: None,
            playing: None,
            list: Vec::new().into_iter(),
            seen: HashSet::new(),
            begun: None,
            at: Duration::ZERO,
            given: 0,
        }
    }

    /// Videos among the files are opened so.
    #[must_use]
    pub fn with_videos(mut self, options: FfmpegOptions) -> Self {
        self.videos = Some(options);
        self
    }

    /// The files that are there and were not given yet, in natural order.
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
                    // A list of pieces that lie in the folder, too.
                    None => {
                        let extension = extension(file);
                        let extension = extension.as_str();
                        EXTENSIONS.contains(&extension) || (VIDEOS.contains(&extension) && extension != "m3u8")
                    }
                };
                wanted && !self.seen.contains(file) && file.is_file()
            })
            .take(MOST_FILES)
            .collect();
        files.sort_by_cached_key(|f| natural_key(&f.to_string_lossy()));
        Ok(files)
    }

    /// What a folder holds that looks like pictures and is not read, as in `3 .heic, 1 .tif`; empty: nothing.
    fn not_read(&self) -> String {
        let Place::Folder(folder) = &self.place else { return String::new() };
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten().take(MOST_FILES) {
            let extension = extension(&entry.path());
            if NOT_READ.contains(&extension.as_str()) {
                *kinds.entry(extension).or_default() += 1;
            }
        }
        kinds.iter().map(|(kind, n)| format!("{n} .{kind}")).collect::<Vec<_>>().join(", ")
    }

    /// The next picture of the video that is played, or why there is none; `None` at its end.
    fn next_of_video(&mut self, stop: &StopSignal) -> Option<Shot> {
        let (video, began) = self.playing.as_mut()?;
        let (began, name) = (*began, video.name());
        match video.next(stop) {
            Ok(Some(mut shot)) => {
                shot.at += began;
                self.at = shot.at + self.interval;
                return Some(shot);
            }
            Ok(None) => self.playing = None,
            Err(error) => {
                self.playing = None;
                let content = ShotContent::Unreadable(format!("{error:#}"));
                return Some(Shot { name, at: self.at, taken: Instant::now(), time: SystemTime::now(), content });
            }
        }
        None
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
        let not_read = self.not_read();
        const CONVERT: &str = "make JPEGs of them, as with `mogrify -format jpg *.heic` (ImageMagick)";
        if list.is_empty() && self.given == 0 {
            let what = match &self.place {
                Place::Pattern(..) => {
                    "no file matches; patterns know *, ? and [...], in the last part of the path".to_owned()
                }
                _ if !not_read.is_empty() => {
                    format!("it holds only pictures that are not read ({not_read}): {CONVERT}")
                }
                _ => format!("it holds no picture ({}) and no video ({})", EXTENSIONS.join(", "), VIDEOS.join(", ")),
            };
            return Err(Unrecoverable(what).into());
        }
        if !not_read.is_empty() {
            tracing::warn!("{}: left out, because they are not read: {not_read}; {CONVERT}", self.name());
        }
        self.list = list.into_iter();
        Ok(())
    }

    fn next(&mut self, stop: &StopSignal) -> anyhow::Result<Option<Shot>> {
        loop {
            if let Some(shot) = self.next_of_video(stop) {
                return Ok(Some(shot));
            }
            if is_stopped(stop) {
                return Ok(None);
            }
            let path = match self.list.next() {
                Some(path) => path,
                None => {
                    self.list = self.list()?.into_iter();
                    let Some(path) = self.list.next() else { return Ok(None) };
                    path
                }
            };
            if self.clock.wait_for(self.at, stop).is_break() {
                return Ok(None);
            }
            self.given += 1;
            let name = path.display().to_string();
            self.seen.insert(path.clone());
            if let Some(options) = self.videos.as_ref().filter(|_| is_video(&name) && path.is_file()) {
                let mut video = Ffmpeg::new(&name, options.clone());
                video.open(stop)?;
                self.playing = Some((video, self.at));
                continue;
            }
            let at = self.at;
            self.at += self.interval;
            let content = read(&path);
            let begun = *self.begun.get_or_insert_with(SystemTime::now);
            let time = begun.checked_add(at).unwrap_or(begun);
            return Ok(Some(Shot { name, at, taken: Instant::now(), time, content }));
        }
    }
}

fn read(path: &Path) -> ShotContent {
    match files::read(path, MAX_PICTURE_BYTES as u64) {
        Ok(bytes) => {
            if let Some(kind) = animation(&bytes) {
                let shown = path.display();
                tracing::warn!(
                    "{shown} is an animated {kind}: only its first picture is looked at; for all of them make a video of it, as with \
                     `ffmpeg -i IN OUT.mp4`"
                );
            }
            ShotContent::File(bytes)
        }
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

    #[test]
    fn videos_of_a_folder_or_pattern_are_played_one_after_the_other_among_the_pictures() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("player");
        // Two pictures of each but `b3.mp4`, which is broken.
        let script = "#!/bin/sh\ncase \"$*\" in *b3*) echo 'moov atom not found' >&2; exit 1;; esac\n\
                      printf 'P6\\n2 1\\n255\\nabcdef'; printf 'P6\\n2 1\\n255\\nabcdef'\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let files = ["a10.jpg", "a2.mp4", "b3.mp4", "c.MKV", "list.m3u8", "x.heic"];
        files.iter().for_each(|n| std::fs::write(folder.path().join(n), b"x").unwrap());
        let options = FfmpegOptions {
            program: program.display().to_string(),
            fps: 10.0,
            max_width: 0,
            pace: Pace::Fast,
            stall: Duration::from_secs(5),
            ring: None,
            poll: None,
        };
        let (_keep, stop) = crossbeam_channel::bounded(0);
        let play = |input: &Path| {
            let input = input.to_string_lossy();
            let mut source =
                PictureFiles::new(&input, Duration::from_millis(100), Pace::Fast).with_videos(options.clone());
            source.open(&stop).unwrap();
            let mut shots = Vec::new();
            while let Some(shot) = source.next(&stop).unwrap() {
                let name = Path::new(&shot.name).file_name().unwrap().to_string_lossy().into_owned();
                let bad = if matches!(shot.content, ShotContent::Unreadable(_)) { "?" } else { "" };
                shots.push(format!("{} {name}{bad}", shot.at.as_millis()));
            }
            shots
        };
        let all = ["0 a2.mp4 #1", "100 a2.mp4 #2", "200 a10.jpg", "300 b3.mp4?", "300 c.MKV #1", "400 c.MKV #2"];
        assert_eq!(play(folder.path()), all);
        assert_eq!(play(&folder.path().join("a*.mp4")), ["0 a2.mp4 #1", "100 a2.mp4 #2"]);
    }

    #[test]
    fn pictures_of_kinds_that_are_not_read_are_counted_or_are_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        ["a.HEIC", "b.heic", "c.tif"].iter().for_each(|n| std::fs::write(folder.path().join(n), b"x").unwrap());
        let (_keep, stop) = crossbeam_channel::bounded(0);
        let mut source = PictureFiles::new(&folder.path().to_string_lossy(), Duration::ZERO, Pace::Fast);
        let error = source.open(&stop).unwrap_err().to_string();
        assert!(error.contains("not read (2 .heic, 1 .tif): make JPEGs"), "{error}");
        std::fs::write(folder.path().join("d.jpg"), b"x").unwrap();
        source.open(&stop).unwrap();
        assert_eq!((names(&mut source), source.not_read().as_str()), (vec!["d.jpg".to_owned()], "2 .heic, 1 .tif"));
    }
}

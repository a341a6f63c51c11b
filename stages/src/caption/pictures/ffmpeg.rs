//! Whatever ffmpeg opens: video files, RTSP and encrypted streams, cameras. ffmpeg runs as a child and hands over raw frames
//! through a pipe, each with its size before it (PPM); what it says goes into the log, and its last words into the error.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, ensure};
use crossbeam_channel::{Receiver, bounded};
use nearfield_base::child::spawn_in_own_group;
use nearfield_vision::{KEPT_PIXELS, MAX_PIXELS, MAX_SIDE, Picture};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{PictureSource, Unrecoverable};
use crate::caption::ring::Ring;
use crate::flow::fault::Fault;
use crate::flow::panics::{self, Panicked};
use crate::flow::{StopSignal, is_stopped};
use crate::messages::{Shot, ShotContent};
use crate::voice::capture::Pace;

/// How often a wait looks at the stop signal.
const TICK: Duration = Duration::from_millis(100);
/// Lines of ffmpeg's that an error repeats.
const LAST_WORDS: usize = 3;

/// How ffmpeg is run.
#[derive(Clone, Debug)]
pub struct FfmpegOptions {
    /// The program.
    pub program: String,
    /// Frames a second; others are dropped or repeated. 0: as they come.
    pub fps: f64,
    /// Wider pictures are scaled down to this; 0: never.
    pub max_width: u32,
    /// Whether a file is played as fast as it was recorded.
    pub pace: Pace,
    /// Without a frame for so long, it has died.
    pub stall: Duration,
    /// Where the packets of a stream are kept for clips, if anywhere.
    pub ring: Option<Ring>,
}

/// A source behind an ffmpeg process.
pub struct Ffmpeg {
    input: String,
    options: FfmpegOptions,
    child: Option<Running>,
    begun: Option<Instant>,
    /// The calendar's time of a file's first picture.
    recorded: SystemTime,
    given: u64,
    was_there: bool,
}

struct Running {
    child: Child,
    frames: ChildStdout,
    last_words: Arc<Mutex<VecDeque<String>>>,
    /// It ends when all words have been read; what comes before is a panic of their reader.
    all_read: Receiver<Panicked>,
    held: Vec<u8>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ffmpeg {
    /// `input`: a file, an address, or a camera (`/dev/video0`).
    pub fn new(input: &str, options: FfmpegOptions) -> Self {
        Self {
            input: input.to_owned(),
            options,
            child: None,
            begun: None,
            recorded: SystemTime::now(),
            given: 0,
            was_there: false,
        }
    }

    fn is_file(&self) -> bool {
        !self.input.contains("://") && !self.is_camera()
    }

    fn is_camera(&self) -> bool {
        self.input.starts_with("/dev/video")
    }

    fn command(&self) -> Command {
        let FfmpegOptions { program, fps, max_width, pace, .. } = &self.options;
        let mut command = Command::new(program);
        command.args(["-nostdin", "-hide_banner", "-loglevel", "error"]);
        if self.is_file() && *pace == Pace::Realtime {
            command.arg("-re");
        }
        if self.is_camera() {
            command.args(["-f", "v4l2"]);
        }
        if self.input.starts_with("rtsp://") {
            // Over TCP nothing is lost on the way; a server that only knows UDP is asked again.
            command.args(["-rtsp_flags", "prefer_tcp"]);
        }
        if self.input.contains("://") {
            // How ffmpeg finds out what a stream holds: a second of it, not five.
            command.args(["-analyzeduration", "1000000"]);
        }
        command.arg("-i").arg(&self.input);
        let mut filters = Vec::new();
        if *fps > 0.0 {
            filters.push(format!("fps={fps}"));
        }
        if *max_width > 0 {
            filters.push(format!("scale='min({max_width},iw)':-2"));
        }
        if let Some(ring) = &self.options.ring {
            command.args(ring.begin()).current_dir(ring.folder());
        }
        if !filters.is_empty() {
            command.args(["-vf", &filters.join(",")]);
        }
        command.args(["-an", "-f", "image2pipe", "-c:v", "ppm", "-"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl PictureSource for Ffmpeg {
    fn name(&self) -> String {
        self.input.clone()
    }

    fn open(&mut self, _stop: &StopSignal) -> anyhow::Result<()> {
        self.child = None;
        if self.is_file() {
            let file =
                std::fs::metadata(&self.input).map_err(|e| Unrecoverable(format!("the input can't be read: {e}")))?;
            self.recorded = file.modified().unwrap_or(self.recorded);
        }
        if self.is_camera() {
            super::check_camera(&self.input, &mut self.was_there)?;
        }
        let program = &self.options.program;
        let mut child = spawn_in_own_group(&mut self.command()).map_err(|e| match e.kind() {
            ErrorKind::NotFound => anyhow::Error::new(Unrecoverable(format!(
                "{program} is not installed: get it with `apt-get install ffmpeg`, or name one as source.ffmpeg"
            ))),
            _ => anyhow::Error::new(e).context(format!("{program} does not start")),
        })?;
        let frames = child.stdout.take().context("ffmpeg has no output")?;
        let words = child.stderr.take().context("ffmpeg has no error output")?;
        let last_words = Arc::new(Mutex::new(VecDeque::new()));
        let held = last_words.clone();
        let (reading, all_read) = bounded(1);
        // It ends with ffmpeg, whose pipe would fill up if nobody read it.
        std::thread::Builder::new().name("ffmpeg-words".to_owned()).spawn(move || {
            if let Err(panicked) = panics::catch("ffmpeg-words", || read_words(words, &held)) {
                let _ = reading.try_send(panicked);
            }
        })?;
        self.child = Some(Running { child, frames, last_words, all_read, held: Vec::new() });
        Ok(())
    }

    fn next(&mut self, stop: &StopSignal) -> anyhow::Result<Option<Shot>> {
        let stall = self.options.stall;
        let is_file = self.is_file();
        let running = self.child.as_mut().context("ffmpeg was not started")?;
        let picture = match running.frame(stall, stop) {
            Ok(Some(picture)) => picture,
            Ok(None) if is_stopped(stop) => return Ok(None),
            Ok(None) => {
                let status = running.child.wait().context("ffmpeg can't be waited for")?;
                // Its last words may still be on their way through the pipe, which a child of its own could hold open.
                if let Ok(panicked) = running.all_read.recv_timeout(Duration::from_secs(1)) {
                    return Err(Unrecoverable(panicked.to_string()).into());
                }
                let words = running.last_words.lock().map(|w| Vec::from(w.clone())).unwrap_or_default();
                self.child = None;
                if status.success() && is_file && self.given > 0 {
                    return Ok(None);
                }
                return Err(ended(&self.input, is_file, self.given, status, &words));
            }
            Err(error) => return Err(error),
        };
        let (given, taken) = (self.given, Instant::now());
        self.given += 1;
        let at = match (is_file, self.options.fps) {
            (true, fps) if fps > 0.0 => Duration::from_secs_f64(given as f64 / fps),
            _ => taken - *self.begun.get_or_insert(taken),
        };
        if let Some(ring) = &self.options.ring {
            ring.first_picture(at);
        }
        let name = format!("{} #{}", self.input, self.given);
        let content = ShotContent::Picture(Arc::new(picture.within(KEPT_PIXELS, MAX_SIDE)));
        // A file has its own time, whenever and however fast it is read.
        let time = if is_file { self.recorded.checked_add(at).unwrap_or(self.recorded) } else { SystemTime::now() };
        Ok(Some(Shot { name, at, taken, time, content }))
    }
}

/// Takes whatever ffmpeg says, and keeps the last of it.
fn read_words(words: ChildStderr, held: &Mutex<VecDeque<String>>) {
    let mut fault = Fault::of("ffmpeg-words");
    let mut reader = BufReader::new(words);
    loop {
        let mut line = Vec::new();
        match (&mut reader).take(4096).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let _ = fault.step();
        let line = String::from_utf8_lossy(&line).trim().to_owned();
        tracing::debug!(target: "ffmpeg", "{line}");
        if let Ok(mut held) = held.lock()
            && !line.is_empty()
        {
            held.push_back(line);
            while held.len() > LAST_WORDS {
                held.pop_front();
            }
        }
    }
}

/// Why there are no more pictures, in a sentence.
fn ended(input: &str, is_file: bool, given: u64, status: ExitStatus, words: &[String]) -> anyhow::Error {
    // What can't get better: the input has no pictures, or this ffmpeg can't open its kind.
    const NONE: &str = "does not contain any stream";
    const NEVER: [&str; 4] = ["Protocol not found", "Unknown input format", "Unrecognized option", "Option not found"];
    let has = |what: &str| words.iter().any(|line| line.contains(what));
    // "[mov,mp4 @ 0x5581c0] moov atom not found"; the two lines about the output only repeat that there is none.
    let plain = |line: &String| {
        let line = match line.split_once("] ") {
            Some((head, rest)) if head.starts_with('[') && head.contains(" @ 0x") => rest,
            _ => line.as_str(),
        };
        // The error names the input already.
        line.strip_prefix(input).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(line).to_owned()
    };
    let mut said: Vec<String> =
        words.iter().map(plain).filter(|line| !line.starts_with("Error opening output file")).collect();
    said.dedup();
    let said = if said.is_empty() { String::new() } else { format!(": {}", said.join("; ")) };
    let error = if given == 0 && has(NONE) {
        return Unrecoverable("it holds no pictures (perhaps only sound)".to_owned()).into();
    } else if given == 0 && is_file {
        format!("ffmpeg finds no pictures in it ({status}){said}")
    } else {
        let how = if status.success() { "ended".to_owned() } else { format!("failed ({status})") };
        format!("ffmpeg {how} after {given} pictures{said}")
    };
    // A file does not get better; a camera may come back.
    let is_unrecoverable = is_file || (given == 0 && NEVER.iter().any(|never| has(never)));
    if is_unrecoverable { Unrecoverable(error).into() } else { anyhow::Error::msg(error) }
}

impl Running {
    /// The next frame; `None` at the end of the pipe or when `stop` says so.
    fn frame(&mut self, stall: Duration, stop: &StopSignal) -> anyhow::Result<Option<Picture>> {
        let begun = Instant::now();
        loop {
            if let Some((width, height, start)) = header(&self.held)? {
                let end = start + width as usize * height as usize * 3;
                if self.held.len() >= end {
                    let rest = self.held.split_off(end);
                    let mut frame = std::mem::replace(&mut self.held, rest);
                    frame.drain(..start);
                    return Ok(Some(Picture::from_rgb(width, height, frame, "the frame")?));
                }
                self.held.reserve_exact(end - self.held.len());
            }
            if is_stopped(stop) {
                return Ok(None);
            }
            if let Ok(panicked) = self.all_read.try_recv() {
                return Err(Unrecoverable(panicked.to_string()).into());
            }
            ensure!(begun.elapsed() < stall, "ffmpeg has brought no picture for {} s", stall.as_secs_f32());
            let mut ready = [PollFd::new(&self.frames, PollFlags::IN)];
            let tick = Timespec { tv_sec: 0, tv_nsec: TICK.as_nanos() as i64 };
            match poll(&mut ready, Some(&tick)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error).context("ffmpeg's pipe can't be waited for"),
            }
            let at = self.held.len();
            self.held.resize(at + (256 << 10), 0);
            let n = self.frames.read(&mut self.held[at..]);
            self.held.truncate(at + *n.as_ref().unwrap_or(&0));
            match n {
                Ok(0) => return Ok(None),
                Err(e) if e.kind() != ErrorKind::Interrupted => return Err(e).context("ffmpeg's pipe can't be read"),
                _ => {}
            }
        }
    }
}

/// Width, height and the place of the first pixel of `P6 640 360 255 ...`; `None` while it is incomplete.
fn header(bytes: &[u8]) -> anyhow::Result<Option<(u32, u32, usize)>> {
    const LONGEST: usize = 64;
    let mut fields = Vec::new();
    let mut at = 0;
    while fields.len() < 4 {
        let Some(length) = bytes[at..].iter().take(LONGEST).position(u8::is_ascii_whitespace) else {
            ensure!(bytes.len() < at + LONGEST, "ffmpeg's output is not a PPM picture");
            return Ok(None);
        };
        fields.push(std::str::from_utf8(&bytes[at..at + length]).unwrap_or("?"));
        at += length + 1;
    }
    let number = |i: usize| fields[i].parse::<u32>().ok();
    match (fields[0], number(1), number(2), fields[3]) {
        ("P6", Some(width), Some(height), "255") if u64::from(width) * u64::from(height) <= MAX_PIXELS => {
            Ok(Some((width, height, at)))
        }
        _ => anyhow::bail!("ffmpeg's output is not a PPM picture of up to {MAX_PIXELS} pixels: {:?}", fields.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn options(program: &str) -> FfmpegOptions {
        let stall = Duration::from_millis(500);
        FfmpegOptions { program: program.to_owned(), fps: 10.0, max_width: 64, pace: Pace::Fast, stall, ring: None }
    }

    /// A program that takes ffmpeg's place; answers the pictures that came and how it ended.
    fn with_script(script: &str, input: &str) -> (Vec<(u32, u32)>, String) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("ffmpeg");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let (_keep, stop) = crossbeam_channel::bounded(0);
        let mut source = Ffmpeg::new(input, options(&program.to_string_lossy()));
        let mut sizes = Vec::new();
        let end = source.open(&stop).and_then(|()| {
            while let Some(shot) = source.next(&stop)? {
                let ShotContent::Picture(picture) = shot.content else { panic!("a picture") };
                sizes.push((picture.width(), picture.height()));
            }
            Ok(())
        });
        (sizes, end.map_or_else(|e| format!("{e:#}"), |()| "over".to_owned()))
    }

    #[test]
    fn frames_carry_their_own_size_and_the_end_is_told_with_ffmpegs_last_words() {
        let two = "printf 'P6\\n2 1\\n255\\nabcdef'; printf 'P6\\n1 1\\n255\\nxyz'";
        assert_eq!(with_script(two, "/dev/null"), (vec![(2, 1), (1, 1)], "over".to_owned()));
        let (sizes, end) = with_script(&format!("{two}; echo 'no route to camera' >&2; exit 1"), "rtsp://camera/1");
        assert_eq!(sizes.len(), 2);
        assert!(end.contains("failed") && end.contains("after 2 pictures: no route to camera"), "{end}");
    }

    #[test]
    fn an_input_without_pictures_is_an_error_at_once_and_a_stream_that_breaks_is_not() {
        let unrecoverable = |script: &str, input: &str| {
            let folder = tempfile::tempdir().unwrap();
            let program = folder.path().join("ffmpeg");
            std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
            let (_keep, stop) = crossbeam_channel::bounded(0);
            let mut source = Ffmpeg::new(input, options(&program.to_string_lossy()));
            let error = source.open(&stop).and_then(|()| source.next(&stop)).unwrap_err();
            (error.chain().any(|e| e.is::<Unrecoverable>()), error.to_string())
        };
        let none = "echo '[out#0/image2pipe @ 0x55d0] Output file does not contain any stream' >&2; exit 234";
        for input in ["/dev/null", "rtsp://camera/1"] {
            assert_eq!(unrecoverable(none, input), (true, "it holds no pictures (perhaps only sound)".to_owned()));
        }
        let (is_unrecoverable, said) =
            unrecoverable("echo '[mov,mp4 @ 0x5581c0] moov atom not found' >&2; exit 1", "/dev/null");
        assert!(is_unrecoverable && said.ends_with("(exit status: 1): moov atom not found"), "{said}");
        let (is_unrecoverable, said) = unrecoverable("echo 'Connection refused' >&2; exit 1", "rtsp://camera/1");
        assert!(!is_unrecoverable && said.ends_with("after 0 pictures: Connection refused"), "{said}");
        assert!(unrecoverable("echo 'rtmpx://a: Protocol not found' >&2; exit 1", "rtmpx://a").0);
    }

    #[test]
    fn a_camera_that_never_was_there_is_an_error_that_names_those_that_are() {
        let mut source = Ffmpeg::new("/dev/video987", options("true"));
        let (_keep, stop) = crossbeam_channel::bounded(0);
        let error = source.open(&stop).unwrap_err();
        assert!(error.chain().any(|e| e.is::<Unrecoverable>()), "{error}");
        let said = error.to_string();
        assert!(said.contains("no such camera") && said.contains("/dev/video"), "{said}");
        source.was_there = true;
        let error = source.open(&stop).unwrap_err();
        assert!(!error.chain().any(|e| e.is::<Unrecoverable>()) && error.to_string().contains("unplugged"), "{error}");
    }

    #[test]
    fn an_ffmpeg_that_stalls_lies_or_is_missing_is_told() {
        let (_, end) = with_script("sleep 3", "rtsp://camera/1");
        assert!(end.contains("no picture for 0.5 s"), "{end}");
        let (_, end) = with_script("printf 'P6 99999 99999 255 '; sleep 1", "rtsp://camera/1");
        assert!(end.contains("not a PPM picture"), "{end}");
        let (_, end) = with_script("yes", "rtsp://camera/1");
        assert!(end.contains("not a PPM picture"), "{end}");
        let mut missing = Ffmpeg::new("rtsp://camera/1", options("/nowhere/ffmpeg"));
        let (_keep, stop) = crossbeam_channel::bounded(0);
        let error = missing.open(&stop).unwrap_err();
        assert!(error.chain().any(|e| e.is::<Unrecoverable>()) && error.to_string().contains("apt-get"), "{error}");
    }
}

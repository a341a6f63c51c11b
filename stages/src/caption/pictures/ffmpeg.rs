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
use nearfield_base::redact::Address;
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

/// What ffmpeg says of a file that is shorter than its header says.
const ENDS_EARLY: [&str; 3] = ["partial file", "ended prematurely", "Truncating"];
/// What it says, in any case of the letters, of pictures that it can't decode. Of time stamps and the like it says other things.
const UNDECODABLE: [&str; 12] = [
    "decod",
    "concealing",
    "corrupt",
    "damaged",
    "invalid data",
    "invalid nal",
    "no frame",
    "missing picture",
    "reference picture",
    "could not find ref",
    "bitstream",
    "truncated",
];

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
    /// The address gives a still picture: it is asked for one so often.
    pub poll: Option<Duration>,
}

/// A source behind an ffmpeg process.
pub struct Ffmpeg {
    input: Address,
    options: FfmpegOptions,
    child: Option<Running>,
    /// When it was started last, and how many pictures had been given by then.
    started: (Instant, u64),
    begun: Option<Instant>,
    /// The calendar's time of a file's first picture.
    recorded: SystemTime,
    given: u64,
    was_there: bool,
    /// A file has come to its end.
    is_over: bool,
}

struct Running {
    child: Child,
    frames: ChildStdout,
    last_words: Arc<Mutex<Words>>,
    /// It ends when all words have been read; what comes before is a panic of their reader.
    all_read: Receiver<Panicked>,
    held: Vec<u8>,
}

/// What ffmpeg has said.
#[derive(Debug, Default)]
struct Words {
    last: VecDeque<String>,
    /// All lines.
    n: u64,
    /// One said that the file is shorter than its header says.
    ends_early: bool,
    /// One said that pictures could not be decoded.
    is_undecodable: bool,
}

impl Words {
    fn hear(&mut self, line: String) {
        let small = line.to_lowercase();
        self.n += 1;
        self.ends_early |= ENDS_EARLY.iter().any(|early| line.contains(early));
        self.is_undecodable |= UNDECODABLE.iter().any(|what| small.contains(what));
        self.last.push_back(line);
        while self.last.len() > LAST_WORDS {
            self.last.pop_front();
        }
    }
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
            input: Address::new(input),
            options,
            child: None,
            started: (Instant::now(), 0),
            begun: None,
            recorded: SystemTime::now(),
            given: 0,
            was_there: false,
            is_over: false,
        }
    }

    fn is_file(&self) -> bool {
        !self.input.whole().contains("://") && !self.is_camera()
    }

    fn is_camera(&self) -> bool {
        self.input.whole().starts_with("/dev/video")
    }

    /// In place of a picture behind the last one: what could not be decoded of a file. Other faults are only logged.
    fn fault(&self, said: &Words) -> Option<Shot> {
        if said.n == 0 {
            return None;
        }
        let last = said_of(self.input.shown(), true, &Vec::from(said.last.clone()));
        let what = match said.ends_early {
            true => "the file ends before its header says",
            false => "ffmpeg reports faults in the file",
        };
        let faults = if said.n == 1 { "1 fault".to_owned() } else { format!("{} faults", said.n) };
        let reason =
            format!("{what} ({faults}, the last of them: {last}); the {} pictures before are used", self.given);
        if !said.ends_early && !said.is_undecodable {
            tracing::warn!("{}: {reason}", self.input.shown());
            return None;
        }
        let at = if self.options.fps > 0.0 { self.given as f64 / self.options.fps } else { 0.0 };
        let at = Duration::try_from_secs_f64(at).unwrap_or_default();
        Some(Shot {
            name: self.input.shown().to_owned(),
            at,
            taken: Instant::now(),
            time: self.recorded.checked_add(at).unwrap_or(self.recorded),
            content: ShotContent::Unreadable(reason),
        })
    }

    fn command(&self) -> Command {
        let FfmpegOptions { program, fps, max_width, pace, poll, .. } = &self.options;
        let mut command = Command::new(program);
        command.args(["-nostdin", "-hide_banner", "-loglevel", "error"]);
        if self.is_file() && *pace == Pace::Realtime {
            command.arg("-re");
        }
        if self.is_camera() {
            command.args(["-f", "v4l2"]);
        }
        let input = self.input.whole();
        if input.starts_with("rtsp://") {
            // Over TCP nothing is lost on the way; a server that only knows UDP is asked again.
            command.args(["-rtsp_flags", "prefer_tcp"]);
        }
        if input.contains("://") {
            // How ffmpeg finds out what a stream holds: a second of it, not five.
            command.args(["-analyzeduration", "1000000"]);
        }
        // Without its protocol, `12:30.mp4` would be one of the protocol `12`.
        command.arg("-i").arg(if self.is_file() { format!("file:{input}") } else { input.to_owned() });
        let mut filters = Vec::new();
        // Of a still picture, which lasts no time, the filter would leave nothing.
        if *fps > 0.0 && poll.is_none() {
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
        // Eight bits a channel also of videos that have more, as HDR does.
        command.args(["-an", "-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl PictureSource for Ffmpeg {
    fn name(&self) -> String {
        self.input.shown().to_owned()
    }

    fn open(&mut self, _stop: &StopSignal) -> anyhow::Result<()> {
        (self.child, self.is_over) = (None, false);
        self.started = (Instant::now(), self.given);
        if self.is_file() {
            let file = std::fs::metadata(self.input.whole())
                .map_err(|e| Unrecoverable(format!("the input can't be read: {e}")))?;
            self.recorded = file.modified().unwrap_or(self.recorded);
        }
        if self.is_camera() {
            super::check_camera(self.input.whole(), &mut self.was_there)?;
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
        let last_words = Arc::new(Mutex::new(Words::default()));
        let (held, address) = (last_words.clone(), self.input.clone());
        let (reading, all_read) = bounded(1);
        // It ends with ffmpeg, whose pipe would fill up if nobody read it.
        std::thread::Builder::new().name("ffmpeg-words".to_owned()).spawn(move || {
            if let Err(panicked) = panics::catch("ffmpeg-words", || read_words(words, &address, &held)) {
                let _ = reading.try_send(panicked);
            }
        })?;
        self.child = Some(Running { child, frames, last_words, all_read, held: Vec::new() });
        Ok(())
    }

    fn next(&mut self, stop: &StopSignal) -> anyhow::Result<Option<Shot>> {
        if self.is_over {
            return Ok(None);
        }
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
                let said = running.last_words.lock().map(|mut said| std::mem::take(&mut *said)).unwrap_or_default();
                self.child = None;
                if status.success() && is_file && self.given > 0 {
                    self.is_over = true;
                    return Ok(self.fault(&said));
                }
                let (started, given_then) = self.started;
                if let Some(poll) = self.options.poll
                    && status.success()
                    && self.given > given_then
                {
                    if super::sleep_until(started + poll, stop).is_break() {
                        return Ok(None);
                    }
                    self.open(stop)?;
                    return self.next(stop);
                }
                return Err(ended(self.input.shown(), is_file, self.given, status, &Vec::from(said.last)));
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
        let name = format!("{} #{}", self.input.shown(), self.given);
        let content = ShotContent::Picture(Arc::new(picture.within(KEPT_PIXELS, MAX_SIDE)));
        // A file has its own time, whenever and however fast it is read.
        let time = if is_file { self.recorded.checked_add(at).unwrap_or(self.recorded) } else { SystemTime::now() };
        Ok(Some(Shot { name, at, taken, time, content }))
    }
}

/// Takes whatever ffmpeg says, and keeps the last of it. It repeats its input, login and all.
fn read_words(words: ChildStderr, input: &Address, held: &Mutex<Words>) {
    let mut fault = Fault::of("ffmpeg-words");
    let mut reader = BufReader::new(words);
    loop {
        let mut line = Vec::new();
        match (&mut reader).take(4096).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let _ = fault.step();
        let line = input.redact(String::from_utf8_lossy(&line).trim());
        tracing::debug!(target: "ffmpeg", "{line}");
        if let Ok(mut held) = held.lock()
            && !line.is_empty()
        {
            held.hear(line);
        }
    }
}

/// The last words about a file, without what the error says already.
fn said_of(input: &str, is_file: bool, words: &[String]) -> String {
    // "[mov,mp4 @ 0x5581c0] moov atom not found"; the two lines about the output only repeat that there is none.
    let plain = |line: &String| {
        let line = match line.split_once("] ") {
            Some((head, rest)) if head.starts_with('[') && head.contains(" @ 0x") => rest,
            _ => line.as_str(),
        };
        // The error names the input already.
        let line = if is_file { line.strip_prefix("file:").unwrap_or(line) } else { line };
        line.strip_prefix(input).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(line).to_owned()
    };
    let mut said: Vec<String> =
        words.iter().map(plain).filter(|line| !line.starts_with("Error opening output file")).collect();
    said.dedup();
    said.join("; ")
}

/// Why there are no more pictures, in a sentence.
fn ended(input: &str, is_file: bool, given: u64, status: ExitStatus, words: &[String]) -> anyhow::Error {
    // What can't get better: the input has no pictures, or this ffmpeg can't open its kind.
    const NONE: &str = "does not contain any stream";
    const NEVER: [&str; 4] = ["Protocol not found", "Unknown input format", "Unrecognized option", "Option not found"];
    let has = |what: &str| words.iter().any(|line| line.contains(what));
    let said = said_of(input, is_file, words);
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let said = match has("401 Unauthorized") {
        true => format!("{said}: check user and password in the address, as in rtsp://USER:PASSWORD@HOST/..."),
        false => said,
    };
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
mod tests;

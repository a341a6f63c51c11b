//! What the whole-program tests share: the program itself, sounds to feed it, and where the bundled assets are.

#![allow(missing_docs)] // Names say it; nobody but the tests beside this file reads them.

pub mod broker;
pub mod clock;
pub mod outputs;
pub mod service;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The clone that is tested.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the clone is where it was compiled")
}

pub fn assets() -> PathBuf {
    root().join("assets")
}

/// The built program: beside the folder in which this test itself was built.
pub fn program() -> PathBuf {
    let exe = std::env::current_exe().expect("a test knows its own path");
    let program = exe.ancestors().nth(2).expect("target/release/deps/test").join("nearfield");
    assert!(program.is_file(), "{} is not built: run `cargo build --release --workspace` first", program.display());
    program
}

/// The program, with an environment of its own: no configuration, cache or data of the user's.
pub fn nearfield(args: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(args).stdin(Stdio::null()).env_remove("RUST_LOG");
    command.env("HF_HOME", root().join("target/test-hf-home")).env_remove("HF_HUB_CACHE");
    if std::env::var_os("NEARFIELD_DATA").is_none() {
        command.env("NEARFIELD_DATA", root().join(".data"));
    }
    command
}

/// How a run ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The objects that `--json` printed, one a line.
    pub fn json(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.stdout.lines().map(parse).collect()
    }

    /// The error is one sentence, names `what`, and there was no panic.
    pub fn assert_fails(&self, code: i32, what: &[&str]) {
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        assert_eq!(self.code, code, "{self:#?}");
        let last = self.stderr.lines().last().unwrap_or_default();
        for word in what {
            assert!(self.stderr.contains(word), "{word:?} is not named in {last:?}\n{self:#?}");
        }
    }

    pub fn assert_done(&self) -> &Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs to the end; a run that hangs is killed and fails the test.
pub fn run(args: &[&str]) -> Ran {
    finish(nearfield(args), &[], Duration::from_secs(120))
}

/// Asks these questions about `home` in writing, to be answered aloud to nobody.
pub fn ask(home: &Path, questions: &[&str]) -> Ran {
    let mut args = vec!["voice", "--home", arg(home), "--output", "null", "--json"];
    args.extend(questions.iter().flat_map(|q| ["--text", q]));
    run(&args)
}

pub fn run_with_input(args: &[&str], input: &[u8]) -> Ran {
    finish(nearfield(args), input, Duration::from_secs(120))
}

pub fn finish(mut command: Command, input: &[u8], limit: Duration) -> Ran {
    let mut child = command
        .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let pid = child.id();
    let writer = child.stdin.take().map(|mut stdin| {
        let input = input.to_vec();
        // The program may stop reading: that is its right.
        std::thread::spawn(move || drop(stdin.write_all(&input)))
    });
    let (done, waited) = std::sync::mpsc::channel();
    let watchdog = std::thread::spawn(move || {
        if waited.recv_timeout(limit).is_err() {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
            return true;
        }
        false
    });
    let output = child.wait_with_output().expect("the program can be waited for");
    let _ = done.send(());
    assert!(!watchdog.join().unwrap(), "the program hung for {limit:?}: {:#?}", Ran::from(output));
    drop(writer);
    output.into()
}

/// Waits for `condition`; answers whether it came true in time.
pub fn wait_for(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    condition()
}

/// A WAV of `samples` (16 bit, mono).
pub fn write_wav(path: &Path, rate: u32, samples: &[f32]) {
    let spec =
        hound::WavSpec { channels: 1, sample_rate: rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for &s in samples {
        writer.write_sample((s.clamp(-1.0, 1.0) * 32767.0) as i16).unwrap();
    }
    writer.finalize().unwrap();
}

/// White noise, always the same.
pub fn noise(n: usize, amplitude: f32) -> Vec<f32> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * amplitude
        })
        .collect()
}

/// Speech by espeak-ng at 16 kHz, or `None`, said aloud, where there is none.
pub fn speech(text: &str) -> Option<Vec<f32>> {
    let output = Command::new("espeak-ng").args(["--stdout", text]).output();
    let Ok(output) = output else {
        skipped("espeak-ng is not installed");
        return None;
    };
    let mut bytes = output.stdout;
    // The length in a streamed header is a lie; the real one follows from the file.
    let n = bytes.len() as u32;
    bytes[4..8].copy_from_slice(&(n - 8).to_le_bytes());
    bytes[40..44].copy_from_slice(&(n - 44).to_le_bytes());
    let reader = hound::WavReader::new(std::io::Cursor::new(bytes)).unwrap();
    let rate = reader.spec().sample_rate;
    let samples: Vec<f32> = reader.into_samples::<i16>().map(|s| f32::from(s.unwrap()) / 32768.0).collect();
    let clip = nearfield_speech::audio::Clip::new(nearfield_speech::audio::SampleRate(rate), samples);
    Some(nearfield_speech::audio::resample(&clip, nearfield_speech::audio::SampleRate::SPEECH).unwrap().samples)
}

/// Says that a test has proved nothing, where everybody sees it (the test harness hides what `eprintln!` says).
pub fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// Whether ffmpeg is there; says so where it is not.
pub fn has_ffmpeg() -> bool {
    let there = std::process::Command::new("ffmpeg").arg("-version").output().is_ok_and(|o| o.status.success());
    if !there {
        skipped("ffmpeg is not installed");
    }
    there
}

/// A home of the test's own, that tools may change.
pub fn home(folder: &Path) -> PathBuf {
    let path = folder.join("home.json");
    std::fs::copy(assets().join("home.json"), &path).unwrap();
    path
}

/// `path` as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}

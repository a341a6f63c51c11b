//! espeak-ng and flite, run as child processes: one for each clause.
//!
//! A process for each clause was measured against one kept alive: espeak-ng starts and gives its first sound within
//! 30 ms on a slow core, and its stream has no mark between two texts, so there is nothing to keep it for.
//!
//! This is the one place in the crate that looks at a clock and sleeps for a millisecond (a hung child can be told in no
//! other way). It spawns no thread: the child's pipes are socket pairs, which the standard library lets us read with a time limit, and write
//! without a signal when the child is gone.

use super::silence::Trim;
use super::{TtsError, TtsOptions, Voice, speakable};
use crate::audio::{SampleRate, WavStream};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ESPEAK: &str = "espeak-ng";
const FLITE: &str = "flite";

/// espeak-ng.
pub struct Espeak {
    name: String,
    arguments: Vec<String>,
    rate: SampleRate,
    stall: Duration,
}

impl Espeak {
    /// Finds espeak-ng, and has it say a word into nothing: that proves the voice and gives the sample rate.
    ///
    /// # Errors
    /// [`TtsError`] where the program or the voice is missing or an option is out of range.
    pub fn open(options: &TtsOptions) -> Result<Espeak, TtsError> {
        options.check()?;
        let voice = options.voice.clone().unwrap_or_else(|| "en-us".to_string());
        // -b 1: UTF-8; -z: no pause after the last sentence. Without -m, markup in the text is spoken, not obeyed.
        let mut arguments: Vec<String> = ["--stdout", "--stdin", "-b", "1", "-z"].map(String::from).to_vec();
        for (option, value) in
            [("-v", voice.clone()), ("-s", options.words_per_minute.to_string()), ("-p", options.pitch.to_string())]
        {
            arguments.extend([option.to_string(), value]);
        }
        let mut espeak =
            Espeak { name: format!("{ESPEAK} {voice}"), arguments, rate: SampleRate(22_050), stall: options.stall() };
        let mut process = Process::start(ESPEAK, &espeak.arguments, espeak.stall)?;
        process.give("a")?;
        let rate = process.sound()?.map(|wav| wav.rate());
        match rate {
            Some(rate) => espeak.rate = rate,
            None => return Err(process.failure()),
        }
        Ok(espeak)
    }
}

impl Voice for Espeak {
    fn name(&self) -> &str {
        &self.name
    }

    fn sample_rate(&self) -> SampleRate {
        self.rate
    }

    fn speak(&mut self, text: &str, sink: &mut dyn FnMut(&[f32]) -> ControlFlow<()>) -> Result<(), TtsError> {
        speak_trimmed(text, self.rate, sink, &mut |text, sink| {
            let mut process = Process::start(ESPEAK, &self.arguments, self.stall)?;
            process.give(text)?;
            {
                let Some(mut wav) = process.sound()? else {
                    return Err(process.failure());
                };
                while let Some(block) = wav.next_block().map_err(|e| process_error(ESPEAK, self.stall, &e))? {
                    if sink(block).is_break() {
                        return Ok(());
                    }
                }
            }
            process.finish()
        })
    }
}

/// flite. It writes its sound to a file only, when it is done; it is quick enough for clauses.
pub struct Flite {
    name: String,
    arguments: Vec<String>,
    rate: SampleRate,
    stall: Duration,
}

impl Flite {
    /// Finds flite, and has it say a word into nothing.
    ///
    /// # Errors
    /// As [`Espeak::open`].
    pub fn open(options: &TtsOptions) -> Result<Flite, TtsError> {
        options.check()?;
        let voice = options.voice.clone().unwrap_or_else(|| "slt".to_string());
        // flite speaks with another voice where it does not know the one asked for, so its list is asked first.
        let list = Process::start(FLITE, &["-lv".to_string()], options.stall())?.text()?;
        let known = list.split_once(':').map(|(_, names)| names.trim()).unwrap_or_default();
        if !known.split_whitespace().any(|name| name == voice) {
            let reason = format!("it has no voice `{voice}`; it has {known}");
            return Err(TtsError::Failed { program: FLITE, reason });
        }
        // 175 words a minute is what these voices speak by themselves.
        let stretch = 175.0 / f64::from(options.words_per_minute);
        let mut arguments = vec!["-voice".to_string(), voice.clone()];
        arguments.extend(["--setf".to_string(), format!("duration_stretch={stretch:.3}")]);
        if options.pitch != 50 {
            // From half to one and a half times the female voice's 200 Hz.
            arguments.extend(["--setf".to_string(), format!("int_f0_target_mean={}", 100 + 2 * options.pitch)]);
        }
        let mut flite =
            Flite { name: format!("{FLITE} {voice}"), arguments, rate: SampleRate(16_000), stall: options.stall() };
        let mut heard = false;
        let mut rate = flite.rate;
        flite.synthesize("a", &mut |wav_rate, _| {
            heard = true;
            rate = wav_rate;
            ControlFlow::Continue(())
        })?;
        if !heard {
            return Err(TtsError::Failed { program: FLITE, reason: "it gave no sound".to_string() });
        }
        flite.rate = rate;
        Ok(flite)
    }

    fn synthesize(
        &self,
        text: &str,
        sink: &mut dyn FnMut(SampleRate, &[f32]) -> ControlFlow<()>,
    ) -> Result<(), TtsError> {
        let failed = |e: &dyn std::fmt::Display| TtsError::Failed { program: FLITE, reason: e.to_string() };
        let folder = TemporaryFolder::new().map_err(|e| failed(&e))?;
        let (text_file, sound_file) = (folder.path.join("text"), folder.path.join("sound.wav"));
        std::fs::write(&text_file, text).map_err(|e| failed(&e))?;
        let mut arguments = self.arguments.clone();
        for (option, file) in [("-f", &text_file), ("-o", &sound_file)] {
            arguments.extend([option.to_string(), file.display().to_string()]);
        }
        let process = Process::start(FLITE, &arguments, self.stall)?;
        process.finish()?;
        let opened = std::fs::File::open(&sound_file).map_err(|e| failed(&e))?;
        let mut wav = WavStream::open(opened, FLITE).map_err(|e| failed(&e))?;
        let rate = wav.rate();
        while let Some(block) = wav.next_block().map_err(|e| failed(&e))? {
            if sink(rate, block).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Voice for Flite {
    fn name(&self) -> &str {
        &self.name
    }

    fn sample_rate(&self) -> SampleRate {
        self.rate
    }

    fn speak(&mut self, text: &str, sink: &mut dyn FnMut(&[f32]) -> ControlFlow<()>) -> Result<(), TtsError> {
        speak_trimmed(text, self.rate, sink, &mut |text, sink| self.synthesize(text, &mut |_, block| sink(block)))
    }
}

/// Whoever takes a block of samples and says whether more is wanted.
type Sink<'a> = dyn FnMut(&[f32]) -> ControlFlow<()> + 'a;

/// Says what is speakable of `text`, without the silence that engines put before and after it.
fn speak_trimmed(
    text: &str,
    rate: SampleRate,
    sink: &mut Sink<'_>,
    say: &mut dyn FnMut(&str, &mut Sink<'_>) -> Result<(), TtsError>,
) -> Result<(), TtsError> {
    let Some(text) = speakable(text)? else {
        return Ok(());
    };
    let mut trim = Trim::new(rate);
    let mut flow = ControlFlow::Continue(());
    say(&text, &mut |block| {
        flow = trim.push(block, sink);
        flow
    })?;
    if !flow.is_break() {
        let _ = trim.finish(sink);
    }
    Ok(())
}

/// The phonemes of `text` in the International Phonetic Alphabet, by espeak-ng's voice `voice`.
#[cfg(feature = "onnx")]
pub(super) fn phonemes(text: &str, voice: &str, stall: Duration) -> Result<String, TtsError> {
    let arguments = ["-q", "--ipa", "--stdin", "-b", "1", "-v", voice].map(String::from);
    let mut process = Process::start(ESPEAK, &arguments, stall)?;
    process.give(text)?;
    process.text()
}

/// A running engine. Dropping it ends it.
struct Process {
    program: &'static str,
    child: Child,
    input: Option<UnixStream>,
    output: UnixStream,
    errors: UnixStream,
    stall: Duration,
}

impl Process {
    fn start(program: &'static str, arguments: &[String], stall: Duration) -> Result<Process, TtsError> {
        let pair = || UnixStream::pair().map_err(|e| failed(program, &e));
        let ((input, child_input), (output, child_output), (errors, child_errors)) = (pair()?, pair()?, pair()?);
        output
            .set_read_timeout(Some(stall))
            .and_then(|()| errors.set_nonblocking(true))
            .and_then(|()| input.set_write_timeout(Some(stall)))
            .map_err(|e| failed(program, &e))?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::from(OwnedFd::from(child_input)))
            .stdout(Stdio::from(OwnedFd::from(child_output)))
            .stderr(Stdio::from(OwnedFd::from(child_errors)))
            .spawn()
            .map_err(|e| match e.kind() {
                ErrorKind::NotFound => TtsError::missing(program),
                _ => failed(program, &e),
            })?;
        Ok(Process { program, child, input: Some(input), output, errors, stall })
    }

    /// Gives the child its text, and the end of it.
    fn give(&mut self, text: &str) -> Result<(), TtsError> {
        let Some(mut input) = self.input.take() else {
            return Ok(());
        };
        let written = input.write_all(text.as_bytes()).and_then(|()| input.write_all(b"\n"));
        match written {
            // A child that went away before it read has more to say about why than this error.
            Ok(()) => Ok(()),
            Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
            Err(e) if is_timeout(&e) => Err(TtsError::Hung { program: self.program, after: self.stall }),
            Err(e) => Err(failed(self.program, &e)),
        }
        .inspect(|()| {
            let _ = input.shutdown(Shutdown::Write);
        })
    }

    /// The sound that the child writes; `None` where it wrote none.
    fn sound(&mut self) -> Result<Option<WavStream<&mut UnixStream>>, TtsError> {
        let (program, stall) = (self.program, self.stall);
        match WavStream::open(&mut self.output, program) {
            Ok(wav) => Ok(Some(wav)),
            Err(crate::audio::AudioError::Damaged { .. }) => Ok(None),
            Err(e) => Err(process_error(program, stall, &e)),
        }
    }

    /// The text that the child writes.
    fn text(mut self) -> Result<String, TtsError> {
        let mut bytes = Vec::new();
        // A phoneme takes a few bytes and the text given is bounded, so this is far above what an honest answer needs.
        let longest = 64 * super::LONGEST_TEXT as u64;
        (&mut self.output).take(longest).read_to_end(&mut bytes).map_err(|e| {
            if is_timeout(&e) {
                TtsError::Hung { program: self.program, after: self.stall }
            } else {
                failed(self.program, &e)
            }
        })?;
        self.finish()?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Waits for the end, which the closed output announces; then looks at how it ended.
    fn finish(mut self) -> Result<(), TtsError> {
        let deadline = Instant::now() + self.stall;
        let status = loop {
            match self.child.try_wait().map_err(|e| failed(self.program, &e))? {
                Some(status) => break status,
                None if Instant::now() >= deadline => {
                    return Err(TtsError::Hung { program: self.program, after: self.stall });
                }
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        if status.success() { Ok(()) } else { Err(self.failure()) }
    }

    /// The error of a child that gave nothing: its own words, if it left any.
    fn failure(&mut self) -> TtsError {
        let mut said = Vec::new();
        // It has ended or is about to; what it wrote by now is enough.
        let _ = (&mut self.errors).take(2_048).read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said);
        let said = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it gave no sound");
        TtsError::Failed { program: self.program, reason: said.to_string() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where the child has already been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder for flite's text and sound that nobody else can look into, gone when dropped.
struct TemporaryFolder {
    path: PathBuf,
}

impl TemporaryFolder {
    fn new() -> std::io::Result<TemporaryFolder> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("nearfield-flite-{}-{n}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(TemporaryFolder { path })
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn failed(program: &'static str, e: &dyn std::fmt::Display) -> TtsError {
    TtsError::Failed { program, reason: e.to_string() }
}

fn process_error(program: &'static str, stall: Duration, e: &crate::audio::AudioError) -> TtsError {
    match e {
        crate::audio::AudioError::Read { cause, .. } if is_timeout(cause) => TtsError::Hung { program, after: stall },
        e => failed(program, e),
    }
}

fn is_timeout(e: &std::io::Error) -> bool {
    matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(program: &'static str, arguments: &[&str]) -> Result<Process, TtsError> {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        Process::start(program, &arguments, Duration::from_millis(200))
    }

    #[test]
    fn a_missing_program_is_named_with_the_way_to_get_it() {
        let error = start("no-such-synthesizer", &[]).err().unwrap().to_string();
        assert!(error.contains("no-such-synthesizer") && error.contains("apt install"), "{error}");
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let started = Instant::now();
        let mut process = start("sleep", &["60"]).unwrap();
        let error = process.sound().err().unwrap();
        assert!(matches!(error, TtsError::Hung { .. }), "{error}");
        let closed_but_alive = start("sh", &["-c", "exec >&- 2>&-; sleep 60"]).unwrap();
        let error = closed_but_alive.finish().err().unwrap();
        assert!(matches!(error, TtsError::Hung { .. }), "{error}");
        drop(process);
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_program_that_prints_rubbish_or_nothing_is_an_error() {
        let mut process = start("sh", &["-c", "echo this is no WAV file at all, but text; cat"]).unwrap();
        process.give("a").unwrap();
        assert!(matches!(process.sound().err(), Some(TtsError::Failed { .. })));
        let mut process = start("true", &[]).unwrap();
        assert!(process.sound().unwrap().is_none());
    }

    #[test]
    fn the_words_of_a_program_that_fails_are_passed_on() {
        let error = start("sh", &["-c", "echo the voice is hoarse >&2; exit 3"]).unwrap().finish().err().unwrap();
        assert!(error.to_string().contains("the voice is hoarse"), "{error}");
    }

    #[test]
    fn a_program_that_does_not_read_its_text_does_not_hold_us_up() {
        let mut process = start("sleep", &["60"]).unwrap();
        process.give(&"word ".repeat(super::super::LONGEST_TEXT / 5)).unwrap();
    }
}

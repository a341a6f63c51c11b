//! flite, a program: English, softer than espeak-ng. It writes its audio to a file, when it is done; it is fast enough for clauses.

use super::process::Process;
use super::{Normalizer, TtsError, TtsOptions, Voice, speak_trimmed};
use crate::audio::{SampleRate, WavStream};
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const FLITE: &str = "flite";

/// flite.
pub struct Flite {
    name: String,
    arguments: Vec<String>,
    rate: SampleRate,
    stall: Duration,
}

impl Flite {
    /// Finds flite, and synthesizes a word.
    ///
    /// # Errors
    /// As [`Espeak::open`](super::Espeak::open).
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
        let mut has_audio = false;
        let mut rate = flite.rate;
        flite.synthesize("a", &mut |wav_rate, _| {
            has_audio = true;
            rate = wav_rate;
            ControlFlow::Continue(())
        })?;
        if !has_audio {
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
        // All of its voices speak English.
        let normalizer = Normalizer::for_voice("en-us");
        speak_trimmed(text, &normalizer, self.rate, sink, &mut |text, sink| {
            self.synthesize(text, &mut |_, block| sink(block))
        })
    }
}

/// A private folder for flite's text and audio; removed when dropped.
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

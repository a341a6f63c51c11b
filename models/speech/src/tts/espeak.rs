//! espeak-ng, a program: small, quick, many languages. Phonemes for Piper voices are asked of it in `piper/phonemes.rs`.

use super::process::{Process, process_error};
use super::{Normalizer, TtsError, TtsOptions, Voice, speak_trimmed};
use crate::audio::SampleRate;
use std::ops::ControlFlow;
use std::time::Duration;

const ESPEAK: &str = "espeak-ng";

/// espeak-ng.
pub struct Espeak {
    name: String,
    normalizer: Normalizer,
    arguments: Vec<String>,
    rate: SampleRate,
    stall: Duration,
}

impl Espeak {
    /// Finds espeak-ng, and synthesizes a word, which checks the voice and gives the sample rate.
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
        let mut espeak = Espeak {
            name: format!("{ESPEAK} {voice}"),
            normalizer: Normalizer::for_voice(&voice),
            arguments,
            rate: SampleRate(22_050),
            stall: options.stall(),
        };
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
        speak_trimmed(text, &self.normalizer, self.rate, sink, &mut |text, sink| {
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

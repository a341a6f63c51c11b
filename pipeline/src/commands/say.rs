//! `nearfield say`: text into sound, to a loudspeaker, a file, or standard output.

use std::io::{IsTerminal, Read, StdoutLock, Write};
use std::ops::ControlFlow;

use anyhow::{Context, bail};
use nearfield_speech::audio::{SampleRate, pcm16, stream_header};
use nearfield_stages::flow::{Stage, StopSignal, Turn, Turns};
use nearfield_stages::messages::{Clause, Envelope, Speech, TextDelta};
use nearfield_stages::voice::capture::StoppableStdin;
use nearfield_stages::voice::phrase::Phrase;
use nearfield_stages::voice::play::{Outlet, Play};
use nearfield_stages::voice::speak::Speak;

use super::{MAX_TEXT_BYTES, outlet, voice_files};
use crate::cli::{self, SayArgs, Usage};
use crate::config::{Config, VoiceConfig};
use crate::hub::registry::Registry;
use crate::load::voice::load_voice;
use crate::signals;

/// Speaks the text.
pub(super) fn say(args: SayArgs, stop: &StopSignal) -> anyhow::Result<()> {
    let config = VoiceConfig::load(args.config.config.as_deref(), &args.config.set)?;
    let existing = cli::existing(args.overwrite);
    let to_stdout = args.output == "-";
    if to_stdout && std::io::stdout().is_terminal() {
        return Err(Usage(
            "--output - writes sound to standard output, which is a terminal: pipe it into a program or a file"
                .to_owned(),
        )
        .into());
    }
    let outlet = if to_stdout { Outlet::Null } else { outlet(&args.output, existing, &config.play.device)? };
    let registry = Registry::open()?;
    let mut files = voice_files(&config, &args.config, &registry);
    if args.text == "-" {
        files.reads_stdin();
    }
    if let Outlet::File(path, _) = &outlet {
        files.creates("--output", path, existing);
    }
    files.check()?;
    let voice = load_voice(&config, &registry)?;
    let text = if args.text == "-" { read_text(stop)? } else { args.text };
    let turns = Turns::default();
    let turn = turns.begin();
    let clauses = clauses(turn, text)?;
    let mut speak = Speak::new(voice);
    if to_stdout {
        let mut wav = WavOutput { out: std::io::stdout().lock(), has_header: false };
        for clause in clauses {
            let mut written = Ok(());
            speak.take(clause, &mut |sound: Envelope<Speech>| {
                if let Speech::Samples { rate, samples } = &sound.body {
                    written = wav.write(*rate, samples);
                }
                if written.is_err() || signals::is_stopped(stop) {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })?;
            written.context("standard output")?;
            if signals::is_stopped(stop) {
                break;
            }
        }
        if !wav.has_header && !signals::is_stopped(stop) {
            tracing::warn!("nothing was said: nothing was written to standard output");
        }
        return Ok(());
    }
    let mut play = Play::open(&outlet, turns.clone())?;
    for clause in clauses {
        let mut played = Ok(());
        speak.take(clause, &mut |sound: Envelope<Speech>| {
            if signals::is_stopped(stop) {
                turns.silence_all();
            }
            played = play.take(sound, &mut |_| ControlFlow::Continue(()));
            if played.is_err() || !turns.is_alive(turn) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        played?;
    }
    play.finish(&mut |_| ControlFlow::Continue(()))
}

/// A text in clauses, as they are spoken one after the other.
///
/// # Errors
/// None comes of the stage that cuts it.
pub(crate) fn clauses(turn: Turn, text: String) -> anyhow::Result<Vec<Envelope<Clause>>> {
    let mut clauses = Vec::new();
    let mut phrase = Phrase::reading();
    for body in [TextDelta::Text(text), TextDelta::End] {
        phrase.take(Envelope::new(turn, body), &mut |clause| {
            clauses.push(clause);
            ControlFlow::Continue(())
        })?;
    }
    Ok(clauses)
}

/// WAV on a pipe, 16 bit mono: the header says that the length is not known, and each block leaves as soon as it is made.
struct WavOutput {
    out: StdoutLock<'static>,
    has_header: bool,
}

impl WavOutput {
    fn write(&mut self, rate: SampleRate, samples: &[f32]) -> std::io::Result<()> {
        if !std::mem::replace(&mut self.has_header, true) {
            self.out.write_all(&stream_header(rate))?;
        }
        self.out.write_all(&pcm16(samples))?;
        self.out.flush()
    }
}

fn read_text(stop: &StopSignal) -> anyhow::Result<String> {
    let mut text = String::new();
    StoppableStdin::new(stop.clone())?
        .take(MAX_TEXT_BYTES as u64 + 1)
        .read_to_string(&mut text)
        .context("standard input is not UTF-8 text")?;
    if text.len() > MAX_TEXT_BYTES {
        bail!("the text on standard input has more than {MAX_TEXT_BYTES} bytes: split it");
    }
    Ok(text)
}

//! Speaks a text into a WAV file, block by block as the engine makes it: `speak ["a text" [OUT.wav [VOICE.onnx]]]`. Needs espeak-ng
//! or flite; a Piper voice needs espeak-ng and ONNX Runtime.

use std::ops::ControlFlow;
use std::path::PathBuf;

use nearfield_speech::audio::{Existing, WavWriter};
use nearfield_speech::tts::{Engine, TtsOptions, open_voice};

fn main() -> anyhow::Result<()> {
    let text = std::env::args().nth(1).unwrap_or_else(|| "The kitchen light is on.".to_owned());
    let path = std::env::args_os().nth(2).map_or_else(|| PathBuf::from("speak.wav"), PathBuf::from);
    let model = std::env::args_os().nth(3).map(PathBuf::from);
    let engine = if model.is_some() { Engine::Piper } else { Engine::Auto };
    let mut voice = open_voice(&TtsOptions { engine, model, ..TtsOptions::default() })?;

    let rate = voice.sample_rate();
    let mut wav = WavWriter::create(&path, rate, Existing::Replace)?;
    let mut written = Ok(());
    voice.speak(&text, &mut |samples| {
        written = wav.write(samples);
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written?;
    let seconds = rate.duration_of(wav.n_samples() as usize).as_secs_f32();
    println!("{}: {seconds:.2} s spoken by {}", path.display(), voice.name());
    wav.finish()?;
    Ok(())
}

//! Recordings that are given as input: one file, a folder of them, or standard input.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use nearfield_speech::audio::{ClipReader, Resampler, SampleRate, append};
use nearfield_stages::caption::pictures::natural_key;
use nearfield_stages::flow::StopSignal;
use nearfield_stages::voice::capture::{StoppableStdin, open_recording, warn_of_sound};

use crate::signals::is_stopped;

/// The folder's recordings in natural order (2 before 10), or the file itself.
///
/// # Errors
/// If there is no such file or folder, or no recording in it.
pub fn recordings(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let metadata = std::fs::metadata(path).with_context(|| format!("the input {} can't be read", path.display()))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let known = ["wav", "flac", "ogg", "oga", "mp3", "aiff", "aif"];
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(|| format!("the folder {} can't be read", path.display()))? {
        let file = entry?.path();
        let extension = file.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
        if known.contains(&extension.as_str()) && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        bail!("the folder {} holds no recording ({})", path.display(), known.join(", "));
    }
    files.sort_by_cached_key(|f| natural_key(&f.to_string_lossy()));
    Ok(files)
}

/// A whole recording at 16 kHz, mono.
///
/// # Errors
/// If it can't be read.
pub fn read_speech(path: &Path, stop: &StopSignal) -> anyhow::Result<Vec<f32>> {
    let opened = match path == Path::new("-") {
        true => ClipReader::from_reader(StoppableStdin::new(stop.clone())?, "standard input").map_err(Into::into),
        false => open_recording(path, stop),
    };
    match opened {
        Err(_) if is_stopped(stop) => bail!("stopped before {}", path.display()),
        opened => speech_of(opened?),
    }
}

/// The rest of a recording at 16 kHz, mono.
///
/// # Errors
/// If it can't be read.
pub fn speech_of(mut reader: ClipReader) -> anyhow::Result<Vec<f32>> {
    let mut resampler = Resampler::new(reader.rate(), SampleRate::SPEECH)?;
    let (name, mut samples, mut taken) = (reader.name().to_owned(), Vec::new(), Ok(()));
    while let Some(block) = reader.next_block()? {
        resampler.push(block, &mut |s| {
            if taken.is_ok() {
                taken = append(&mut samples, s, SampleRate::SPEECH, &name);
            }
        });
        std::mem::replace(&mut taken, Ok(()))?;
    }
    resampler.finish(&mut |s| taken = append(&mut samples, s, SampleRate::SPEECH, &name));
    taken?;
    if reader.truncated() {
        tracing::warn!(file = name, "the file ends before its header says; what is there is used");
    }
    warn_of_sound(&reader);
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_come_in_natural_order() {
        let mut names = ["q10.wav", "q2.wav", "Q1.wav"];
        names.sort_by_cached_key(|n| natural_key(n));
        assert_eq!(names, ["Q1.wav", "q2.wav", "q10.wav"]);
    }
}

//! `hear-nano` on its held-out rows: each sentence is spoken anew by the synthesizer that the row names, gets its silence
//! and noise, and is transcribed. A voice that is not installed is reported, and its rows are left out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use nearfield_speech::stt::word_errors;
use serde::Deserialize;
use serde_json::json;
use std::ops::ControlFlow;

use super::noise::{noise, splitmix};
use super::{Run, Score, Tally, WORST, percent};
use crate::config::VoiceConfig;
use crate::hub::registry::Registry;
use crate::load::voice;
use crate::recordings::read_speech;

const MODEL: &str = "hear-nano";
/// Bounds on what a row may ask for.
const MAX_SECONDS: f64 = 30.0;
const MAX_SILENCE_MS: u32 = 10_000;

/// A sentence to be spoken, or a sound without speech.
#[derive(Deserialize)]
struct Row {
    set: String,
    kind: String,
    text: String,
    seed: u64,
    #[serde(default)]
    say: String,
    #[serde(default)]
    synthesizer: String,
    #[serde(default)]
    voice: String,
    #[serde(default)]
    speed: u32,
    #[serde(default)]
    pitch: u32,
    #[serde(default)]
    stretch: f64,
    #[serde(default)]
    lead_ms: u32,
    #[serde(default)]
    tail_ms: u32,
    #[serde(default)]
    snr_db: f64,
    #[serde(default)]
    seconds: f64,
    #[serde(default)]
    gain_db: f64,
}

/// What became of one row.
struct Heard<'a> {
    row: &'a Row,
    text: String,
    errors: usize,
    words: usize,
}

/// Speaks and transcribes all rows, and scores each set.
pub(super) fn score(
    run: &Run<'_>,
    registry: &Registry,
    show: &mut dyn FnMut(Score) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut config = VoiceConfig::default();
    config.stt.model = MODEL.to_owned();
    let mut stt = voice::load_stt(&config, registry)?;
    let rows: Vec<Row> = run.rows("hear/hear-heldout.jsonl")?;
    let mut sets: Vec<(&str, Vec<&Row>)> = Vec::new();
    for row in &rows {
        match sets.iter_mut().find(|(set, _)| *set == row.set) {
            Some((_, of_set)) if of_set.len() >= run.limit => {}
            Some((_, of_set)) => of_set.push(row),
            None => sets.push((&row.set, vec![row])),
        }
    }
    let folder = tempfile::tempdir().context("no temporary folder for the voices can be made")?;
    for (set, rows) in sets {
        run.begin("hear-nano", rows.len());
        let festival = speak_with_festival(&rows, folder.path())?;
        let (mut heard, mut left_out) = (Vec::new(), BTreeMap::<String, usize>::new());
        for (i, row) in rows.iter().enumerate() {
            match sound(row, festival.get(&i).map(PathBuf::as_path), folder.path())? {
                Ok(samples) => {
                    let text = stt.transcribe(&samples, &mut || ControlFlow::Continue(()))?.text;
                    let (said, due) = (words(&text), words(&row.text));
                    heard.push(Heard { row, text, errors: word_errors(&due, &said), words: due.len() });
                }
                Err(missing) => *left_out.entry(missing).or_default() += 1,
            }
            run.row_done()?;
        }
        let mut score = if set == "nospeech" { without_speech(&heard) } else { with_speech(&heard) };
        score.set = set.to_owned();
        score.left_out = left_out.into_iter().map(|(what, n)| format!("{n} rows: {what}")).collect();
        show(score)?;
    }
    Ok(())
}

fn with_speech(heard: &[Heard<'_>]) -> Score {
    let (mut tally, mut by_voice) = (Tally::default(), BTreeMap::<String, (usize, usize)>::new());
    for h in heard {
        tally.count(&h.row.kind, h.errors == 0);
        let voice = by_voice.entry(format!("{} {}", h.row.synthesizer, h.row.voice)).or_default();
        *voice = (voice.0 + h.errors, voice.1 + h.words);
    }
    let (errors, words) = heard.iter().fold((0, 0), |sum, h| (sum.0 + h.errors, sum.1 + h.words));
    let by_voice: serde_json::Map<_, _> =
        by_voice.into_iter().map(|(voice, (e, n))| (voice, json!(percent(e, n)))).collect();
    let mut worst: Vec<&Heard<'_>> = heard.iter().filter(|h| h.errors > 0).collect();
    worst.sort_by_key(|h| std::cmp::Reverse(h.errors));
    let worst = worst.iter().take(WORST).map(|h| {
        json!({"errors": h.errors, "said": h.row.text, "heard": h.text, "voice": format!("{} {}", h.row.synthesizer, h.row.voice)})
    });
    Score {
        model: MODEL,
        measure: "wholly right",
        right: tally.right(),
        rows: tally.rows(),
        figures: vec![
            ("word_error_rate_percent", json!(percent(errors, words))),
            ("words", json!(words)),
            ("word_error_rate_percent_by_voice", json!(by_voice)),
        ],
        worst: worst.collect(),
        kinds: tally.weakest_first(),
        ..Score::default()
    }
}

fn without_speech(heard: &[Heard<'_>]) -> Score {
    let mut tally = Tally::default();
    for h in heard {
        tally.count(&h.row.kind, h.text.is_empty());
    }
    let worst = heard.iter().filter(|h| !h.text.is_empty()).take(WORST);
    Score {
        model: MODEL,
        measure: "nothing heard",
        right: tally.right(),
        rows: tally.rows(),
        worst: worst.map(|h| json!({"sound": h.row.kind, "heard": h.text})).collect(),
        kinds: tally.weakest_first(),
        ..Score::default()
    }
}

/// The sound of a row, 16 kHz; or what is missing to make it.
fn sound(row: &Row, festival: Option<&Path>, folder: &Path) -> anyhow::Result<Result<Vec<f32>, String>> {
    if row.set == "nospeech" {
        let made = noise(&row.kind, row.seconds.clamp(0.0, MAX_SECONDS), row.gain_db.clamp(-90.0, 0.0), row.seed);
        return Ok(made.ok_or_else(|| format!("the sound {} is not known", row.kind)));
    }
    let file = folder.join("said.wav");
    let spoken = match row.synthesizer.as_str() {
        "espeak" => {
            let mut command = Command::new("espeak-ng");
            command.args(["-v", &row.voice, "-s", &row.speed.to_string(), "-p", &row.pitch.to_string(), "-w"]);
            speak(command.arg(&file).arg("--").arg(&row.say), &file)
        }
        "flite" => {
            let mut command = Command::new("flite");
            command.args([
                "-voice",
                &row.voice,
                "--setf",
                &format!("duration_stretch={}", python_float(row.stretch)),
                "-t",
                &row.say,
            ]);
            speak(command.arg("-o").arg(&file), &file)
        }
        _ => festival.is_some_and(Path::is_file),
    };
    if !spoken {
        return Ok(Err(format!("the voice {} of {} is not installed", row.voice, row.synthesizer)));
    }
    let voice = read_speech(festival.unwrap_or(&file), &crossbeam_channel::never())?;
    ensure!(!voice.is_empty(), "{} said nothing for {:?}", row.synthesizer, row.say);
    let level = (voice.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / voice.len() as f64).sqrt();
    let silence = |ms: u32| std::iter::repeat_n(0.0f32, ms.min(MAX_SILENCE_MS) as usize * 16); // 16 samples a millisecond
    let whole: Vec<f32> = silence(row.lead_ms).chain(voice).chain(silence(row.tail_ms)).collect();
    // White noise of RMS 1 times the level that leaves snr_db between voice and noise.
    let gain = 3f64.sqrt() * level * 10f64.powf(-row.snr_db / 20.0);
    Ok(Ok(whole.iter().enumerate().map(|(i, s)| s + (splitmix(row.seed, i as u64) * gain) as f32).collect()))
}

/// Runs a synthesizer; whether it wrote its file.
fn speak(command: &mut Command, file: &Path) -> bool {
    let _ = std::fs::remove_file(file); // what an earlier row said must not stand for this one
    let done = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success()) && std::fs::metadata(file).is_ok_and(|m| m.len() > 44) // more than a header
}

/// As Python writes a number into a command line: 1.0, not 1.
fn python_float(value: f64) -> String {
    format!("{value:?}")
}

/// Has festival speak all its rows in one process, for its start is slow: row number -> file.
fn speak_with_festival(rows: &[&Row], folder: &Path) -> anyhow::Result<BTreeMap<usize, PathBuf>> {
    let mut files = BTreeMap::new();
    let mut script = String::from("(Parameter.set 'Audio_Required_Format 'riff)\n");
    for (i, row) in rows.iter().enumerate().filter(|(_, row)| row.synthesizer == "festival") {
        let plain = |text: &str| text.replace(['\\', '"'], "");
        let file = folder.join(format!("{}-{i}.wav", plain(&row.set)));
        // A voice that is not there must not cost the others.
        script.push_str(&format!(
            "(unwind-protect (begin ({}) (Parameter.set 'Duration_Stretch {}) (utt.save.wave (SynthText \"{}\") \"{}\" 'riff)) nil)\n",
            row.voice.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', ""),
            python_float(row.stretch),
            plain(&row.say),
            file.display()
        ));
        files.insert(i, file);
    }
    if !files.is_empty() {
        let path = folder.join("say.scm");
        std::fs::write(&path, script).with_context(|| path.display().to_string())?;
        // Whether it is there at all shows in the files.
        let _ = Command::new("festival")
            .arg("-b")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
    Ok(files)
}

/// Lower case, without punctuation; points, colons and signs inside numbers stay.
fn words(text: &str) -> Vec<String> {
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let mut out = Vec::new();
    let mut i = 0;
    while i < text.len() {
        let (start, is) = (i, |at: usize, f: fn(&char) -> bool| text.get(at).is_some_and(f));
        let letter: fn(&char) -> bool = |c| c.is_ascii_lowercase() || *c == '\'';
        if is(i, char::is_ascii_digit) || (text[i] == '-' && is(i + 1, char::is_ascii_digit)) {
            i += 1;
            while is(i, char::is_ascii_digit) || (is(i, |c| matches!(c, '.' | ':')) && is(i + 1, char::is_ascii_digit))
            {
                i += 1;
            }
        } else if letter(&text[i]) {
            while is(i, letter) {
                i += 1;
            }
        } else {
            i += 1;
            continue;
        }
        out.push(text[start..i].iter().collect());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_numbers_times_and_signs_whole() {
        assert_eq!(words("It's -2.5 degrees, at 14:05."), ["it's", "-2.5", "degrees", "at", "14:05"]);
        assert_eq!(words("Turn it on... now!"), ["turn", "it", "on", "now"]);
    }
}

//! Transcripts in the formats that other programs read: plain text, SubRip (.srt), WebVTT (.vtt), tab-separated values, JSON.

use std::io::{self, Write};
use std::time::Duration;

use nearfield_speech::stt::{Segment, Transcription, Word};
use serde_json::{Value, json};

use crate::cli::TranscriptFormat;
use crate::output::turn_report::ms;

/// A subtitle is at most two lines of 42 characters, and stays for at most 7 s (the usual guidelines of broadcasters).
const CUE_CHARS: usize = 84;
const CUE: Duration = Duration::from_secs(7);

/// A piece of text with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cue {
    start: Duration,
    end: Duration,
    text: String,
    words: Vec<Word>,
}

/// Writes a transcript. JSON is `document`, one line; `is_by_word`: a cue or row for each word.
///
/// # Errors
/// What the output says.
pub fn write(
    out: &mut dyn Write,
    format: TranscriptFormat,
    heard: &Transcription,
    document: &Value,
    is_by_word: bool,
) -> io::Result<()> {
    match format {
        TranscriptFormat::Txt => writeln!(out, "{}", heard.text),
        TranscriptFormat::Json => writeln!(out, "{document}"),
        TranscriptFormat::Srt => {
            for (i, cue) in cues(heard, is_by_word).iter().enumerate() {
                let (start, end) = (stamp(cue.start, ','), stamp(cue.end, ','));
                writeln!(out, "{}\n{start} --> {end}\n{}\n", i + 1, one_line(&cue.text))?;
            }
            Ok(())
        }
        TranscriptFormat::Vtt => {
            writeln!(out, "WEBVTT\n")?;
            for cue in cues(heard, false) {
                writeln!(
                    out,
                    "{} --> {}\n{}\n",
                    stamp(cue.start, '.'),
                    stamp(cue.end, '.'),
                    vtt_text(&cue, is_by_word)
                )?;
            }
            Ok(())
        }
        TranscriptFormat::Tsv => {
            writeln!(out, "start\tend\ttext")?;
            let rows = if is_by_word { cues(heard, true) } else { heard.segments.iter().map(whole).collect() };
            for row in rows {
                writeln!(out, "{}\t{}\t{}", row.start.as_millis(), row.end.as_millis(), one_line(&row.text))?;
            }
            Ok(())
        }
    }
}

/// The JSON of a segment, with its words where they have times.
pub fn segment_json(segment: &Segment) -> Value {
    let mut value = json!({
        "start_ms": ms(segment.start), "end_ms": ms(segment.end), "text": segment.text,
        "no_speech_probability": segment.no_speech_probability,
        "average_log_probability": segment.average_log_probability,
    });
    if !segment.words.is_empty() {
        let word = |w: &Word| json!({"start_ms": ms(w.start), "end_ms": ms(w.end), "text": w.text});
        value["words"] = segment.words.iter().map(word).collect();
    }
    value
}

fn whole(segment: &Segment) -> Cue {
    Cue { start: segment.start, end: segment.end, text: segment.text.clone(), words: segment.words.clone() }
}

/// Segments as subtitles: cut behind sentences and before they grow too long, where the words have times.
fn cues(heard: &Transcription, is_by_word: bool) -> Vec<Cue> {
    let mut cues: Vec<Cue> = Vec::new();
    for segment in &heard.segments {
        if segment.words.is_empty() {
            cues.push(whole(segment));
            continue;
        }
        let mut begins = true;
        for word in &segment.words {
            let one = || Cue { start: word.start, end: word.end, text: word.text.clone(), words: vec![word.clone()] };
            match cues.last_mut().filter(|_| !begins && !is_by_word) {
                Some(cue) if fits(cue, word) => {
                    cue.text = format!("{} {}", cue.text, word.text);
                    cue.end = word.end;
                    cue.words.push(word.clone());
                }
                _ => cues.push(one()),
            }
            begins = false;
        }
    }
    cues
}

fn fits(cue: &Cue, word: &Word) -> bool {
    let has_ended = cue.text.ends_with(['.', '?', '!', '。', '？', '！']);
    !has_ended
        && cue.text.chars().count() + word.text.chars().count() < CUE_CHARS
        && word.end.saturating_sub(cue.start) <= CUE
}

/// `00:01:02,345`
fn stamp(time: Duration, mark: char) -> String {
    let (seconds, millis) = (time.as_secs(), time.subsec_millis());
    format!("{:02}:{:02}:{:02}{mark}{millis:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// A line break or a tab would end the row, an empty line the cue, an arrow would begin one.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace("-->", "->")
}

fn vtt_text(cue: &Cue, is_by_word: bool) -> String {
    let escaped = |text: &str| one_line(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    if !is_by_word || cue.words.is_empty() {
        return escaped(&cue.text);
    }
    let mut out = String::new();
    for (i, word) in cue.words.iter().enumerate() {
        match i {
            0 => out += &escaped(&word.text),
            _ => out += &format!(" <{}>{}", stamp(word.start, '.'), escaped(&word.text)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard() -> Transcription {
        let word = |start: u64, end: u64, text: &str| Word {
            start: Duration::from_millis(start),
            end: Duration::from_millis(end),
            text: text.to_owned(),
        };
        let words =
            vec![word(1_000, 1_200, "Good"), word(1_200, 1_700, "morning."), word(3_661_500, 3_662_000, "A<b & c")];
        let segment = Segment {
            start: Duration::from_millis(1_000),
            end: Duration::from_millis(3_662_000),
            text: "Good morning. A<b & c".to_owned(),
            no_speech_probability: None,
            average_log_probability: -0.1,
            words,
        };
        Transcription { text: segment.text.clone(), segments: vec![segment], ..Transcription::default() }
    }

    fn written(format: TranscriptFormat, is_by_word: bool) -> String {
        let mut out = Vec::new();
        write(&mut out, format, &heard(), &json!({"text": "x"}), is_by_word).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn subtitles_are_cut_behind_sentences_with_their_times() {
        assert_eq!(
            written(TranscriptFormat::Srt, false),
            "1\n00:00:01,000 --> 00:00:01,700\nGood morning.\n\n2\n01:01:01,500 --> 01:01:02,000\nA<b & c\n\n"
        );
        assert_eq!(
            written(TranscriptFormat::Vtt, true),
            "WEBVTT\n\n00:00:01.000 --> 00:00:01.700\nGood <00:00:01.200>morning.\n\n01:01:01.500 --> 01:01:02.000\nA&lt;b &amp; c\n\n"
        );
    }

    #[test]
    fn rows_are_segments_or_words() {
        assert_eq!(written(TranscriptFormat::Tsv, false), "start\tend\ttext\n1000\t3662000\tGood morning. A<b & c\n");
        assert_eq!(written(TranscriptFormat::Tsv, true).lines().count(), 4);
        assert_eq!(written(TranscriptFormat::Txt, true), "Good morning. A<b & c\n");
        assert_eq!(written(TranscriptFormat::Json, true), "{\"text\":\"x\"}\n");
    }

    #[test]
    fn long_sentences_become_several_cues_that_can_be_read() {
        let words: Vec<Word> = (0..60)
            .map(|i| Word {
                start: Duration::from_millis(i * 300),
                end: Duration::from_millis(i * 300 + 250),
                text: "word".to_owned(),
            })
            .collect();
        let segment = Segment { words, ..heard().segments[0].clone() };
        let found = cues(&Transcription { segments: vec![segment], ..Transcription::default() }, false);
        assert!(
            found.iter().all(|cue| cue.text.chars().count() <= CUE_CHARS && cue.end - cue.start <= CUE),
            "{found:?}"
        );
        assert_eq!(found.iter().map(|cue| cue.words.len()).sum::<usize>(), 60);
    }
}

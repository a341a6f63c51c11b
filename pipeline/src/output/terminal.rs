//! What leaves for a terminal or a log: text of models, file names, topics and labels, with everything escaped that a terminal
//! would obey instead of show. All of the program's output goes through [`Escaped`]; what must stay on one line (errors, log
//! lines, captions) also goes through [`one_line`]. Whether a stream gets colours is decided here as well.
//!
//! The form of an escape is JSON's (`\u001b`), so that JSON that passes through here stays the same JSON.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};

use nearfield_base::redact::redacted;
use nearfield_vision::VisionError;

/// Whether a terminal would obey `c`, or show what follows in another order: control characters (C0 but for line feed and tab,
/// DEL, C1), line and paragraph separators, and Unicode's embeddings, overrides and isolates of writing direction.
fn is_obeyed(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped_if(text: &str, also: impl Fn(char) -> bool) -> Cow<'_, str> {
    let wanted = |c: char| is_obeyed(c) || also(c);
    if !text.contains(wanted) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' if wanted(c) => out.push_str("\\n"),
            // All of them lie below U+10000, where JSON needs no pair of surrogates.
            c if wanted(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// `text` with everything escaped that a terminal would obey; line feeds and tabs stay.
pub fn escape(text: &str) -> Cow<'_, str> {
    escaped_if(text, |_| false)
}

/// As [`escape`], and line feeds become `\n`: for text that must not be able to begin a line of its own.
pub fn one_line(text: &str) -> Cow<'_, str> {
    escaped_if(text, |c| c == '\n')
}

/// As [`escape`], with each line after the first behind `indent`: for text of several lines within a larger form.
pub fn indented(text: &str, indent: &str) -> String {
    escape(text).replace('\n', &format!("\n{indent}"))
}

/// A writer that escapes as [`escape`] does. Bytes that are not UTF-8 become the replacement character; a character may come in
/// several pieces.
pub struct Escaped<W: Write> {
    inner: W,
    /// The beginning of a character whose end has not come yet.
    partial: Vec<u8>,
}

impl<W: Write> Escaped<W> {
    /// A writer in front of `inner`.
    pub fn new(inner: W) -> Self {
        Self { inner, partial: Vec::new() }
    }
}

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        const PIECE: usize = 64 << 10;
        let bytes = &bytes[..bytes.len().min(PIECE)];
        let mut held = std::mem::take(&mut self.partial);
        let mut rest = if held.is_empty() {
            bytes
        } else {
            held.extend_from_slice(bytes);
            held.as_slice()
        };
        let mut out = String::new();
        loop {
            let error = match std::str::from_utf8(rest) {
                Ok(text) if out.is_empty() => {
                    self.inner.write_all(escape(text).as_bytes())?;
                    return Ok(bytes.len());
                }
                Ok(text) => {
                    out.push_str(&escape(text));
                    break;
                }
                Err(error) => error,
            };
            let (valid, after) = rest.split_at(error.valid_up_to());
            out.push_str(&escape(&String::from_utf8_lossy(valid)));
            match error.error_len() {
                Some(length) => {
                    out.push(char::REPLACEMENT_CHARACTER);
                    rest = &after[length..];
                }
                None => {
                    self.partial = after.to_vec();
                    break;
                }
            }
        }
        self.inner.write_all(out.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// Whether `stream` gets colours: it is a terminal that knows them, and the user has not said no (<https://no-color.org>).
pub fn has_colours(stream: &impl IsTerminal) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether `head` holds `part` apart from other words, and not by chance: a short part must look like a path, a file or a key.
fn names_again(head: &str, part: &str) -> bool {
    const LONG: usize = 8;
    let is_name = part.len() >= LONG || part.contains(['/', '.', '_']);
    let apart = |at: usize| {
        let before = head[..at].chars().next_back();
        let after = head[at + part.len()..].chars().next();
        [before, after].into_iter().flatten().all(|c| !c.is_alphanumeric())
    };
    is_name && head.match_indices(part).any(|(at, _)| apart(at))
}

/// An error with its causes, on one line, each said once: a cause that the text before it already holds is left out, and so is
/// a context that its cause repeats. Addresses in it are without their logins.
pub fn chain(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if text.is_empty() || parts.iter().any(|part| part.contains(&text)) {
            continue;
        }
        let head = text.split_once(": ").map_or(text.as_str(), |(head, _)| head);
        let repeats = |part: &String| text.starts_with(part) || names_again(head, part);
        while parts.last().is_some_and(repeats) {
            parts.pop();
        }
        parts.push(text);
    }
    one_line(&redacted(&parts.join(": "))).into_owned()
}

/// Writes an error to the standard error output, as the program's last or only word on it.
pub fn print_error(error: &anyhow::Error) {
    // Whoever has closed the error output does not want to know.
    let _ = writeln!(std::io::stderr(), "nearfield: {}", chain(error));
    // To be copied, so without anything before it.
    let manifest = error.chain().find_map(|cause| match cause.downcast_ref()? {
        VisionError::Unrecognized { manifest, .. } => manifest.as_deref(),
        _ => None,
    });
    if let Some(manifest) = manifest {
        let _ = writeln!(std::io::stderr(), "\n{}", escape(manifest.trim_end()));
    }
}

#[cfg(test)]
mod tests {

    use anyhow::Context;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_errors_address_is_shown_without_its_login() {
        let error = anyhow::anyhow!("http://u:geheim@cam/x is not known").context("rtsp://u:geheim@cam/1");
        assert_eq!(chain(&error), "rtsp://***@cam/1: http://***@cam/x is not known");
    }

    fn through(pieces: &[&[u8]]) -> String {
        let mut out = Vec::new();
        let mut writer = Escaped::new(&mut out);
        pieces.iter().for_each(|piece| writer.write_all(piece).unwrap());
        String::from_utf8(out).expect("what comes out is UTF-8")
    }

    fn is_harmless(text: &str) -> bool {
        !text.contains(|c: char| {
            (c.is_control() && c != '\n' && c != '\t')
                || ('\u{202a}'..='\u{202e}').contains(&c)
                || ('\u{2066}'..='\u{2069}').contains(&c)
        })
    }

    proptest! {
        #[test]
        fn no_control_character_but_line_feed_and_tab_passes(
            bytes in prop::collection::vec(any::<u8>(), 0..400), cuts in prop::collection::vec(1usize..40, 1..20)
        ) {
            let (mut pieces, mut rest, mut i) = (Vec::new(), &bytes[..], 0);
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(cuts[i % cuts.len()].min(rest.len()));
                pieces.push(piece);
                (rest, i) = (after, i + 1);
            }
            let out = through(&pieces);
            prop_assert!(is_harmless(&out), "{out:?}");
            prop_assert_eq!(through(&[&bytes]), out, "however it is cut, the same comes out");
        }

        #[test]
        fn text_of_any_characters_passes_as_itself_but_for_what_is_obeyed(text in "\\PC*[\\x00-\\x9f\u{2028}-\u{202e}\u{2066}-\u{2069}]*\\PC*") {
            let out = escape(&text);
            prop_assert!(is_harmless(&out) && is_harmless(&one_line(&text)) && !one_line(&text).contains('\n'));
            if is_harmless(&text) && !text.contains(['\u{2028}', '\u{2029}']) {
                prop_assert_eq!(out.as_ref(), text.as_str());
            }
        }

        #[test]
        fn json_stays_the_same_json(text in any::<String>(), more in "[\u{1}-\u{9f}\u{2028}-\u{202e}\u{2066}-\u{2069}]*") {
            let value = serde_json::json!({ more.clone(): text, "more": [more] });
            let out = through(&[value.to_string().as_bytes()]);
            prop_assert!(is_harmless(&out), "{out:?}");
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), value);
        }
    }

    #[test]
    fn sequences_for_terminals_are_shown_and_names_cannot_begin_a_line() {
        let hostile = "a\u{1b}]0;title\u{7}b\u{9b}31mc\rd\u{202e}e";
        assert_eq!(escape(hostile), "a\\u001b]0;title\\u0007b\\u009b31mc\\u000dd\\u202ee");
        assert_eq!(one_line("x.jpg\nnearfield: all is well"), "x.jpg\\nnearfield: all is well");
        assert_eq!(indented("one\ntwo", "  "), "one\n  two");
        assert_eq!(escape("Grüße, 世界 👋🏽\n\tשלום"), "Grüße, 世界 👋🏽\n\tשלום");
    }

    #[test]
    fn errors_that_quote_the_system_say_it_once() {
        use nearfield_home::HomeError;
        use nearfield_llm::LlmError;
        use nearfield_onnx::OnnxError;
        use nearfield_speech::audio::AudioError;
        use nearfield_speech::stt::SttError;
        use nearfield_speech::tts::TtsError;
        use nearfield_vision::VisionError;

        use crate::hub::HubError;
        use crate::hub::models_lock::LockError;
        use crate::hub::registry::RegistryError;

        let io = || std::io::Error::from_raw_os_error(2);
        let path = || std::path::PathBuf::from("/nope/x");
        let name = || "/nope/x".to_owned();
        let onnx = || OnnxError::File { path: path(), cause: io() };
        let lock = || LockError::Io { path: path(), doing: "reading", cause: io() };
        let errors: Vec<anyhow::Error> = vec![
            AudioError::Open { name: name(), cause: io() }.into(),
            AudioError::Read { name: name(), cause: io() }.into(),
            AudioError::Write { name: name(), cause: io() }.into(),
            LlmError::Read { path: path(), cause: io() }.into(),
            LlmError::Write { path: path(), cause: io() }.into(),
            LlmError::Memory { path: path(), bytes: 1, cause: io() }.into(),
            onnx().into(),
            TtsError::from(onnx()).into(),
            VisionError::from(onnx()).into(),
            SttError::File { path: path(), cause: io() }.into(),
            HomeError::Read { path: path(), cause: io() }.into(),
            HomeError::Write { path: path(), cause: io() }.into(),
            HubError::DiskFull { path: path(), have: 1, cause: io() }.into(),
            HubError::Disk { path: path(), cause: io() }.into(),
            HubError::from(lock()).into(),
            RegistryError::from(lock()).into(),
            RegistryError::Unreadable { path: path(), cause: io() }.into(),
            RegistryError::NoSuchFile { path: path(), cause: io() }.into(),
            lock().into(),
        ];
        for error in errors {
            // As a stage prints it, and as the program does; under a context, and under one that names the same file.
            let plain = format!("{error:#}");
            let printed = chain(&error);
            let under = chain(&error.context("/nope/x").context("llm.model"));
            for text in [plain, printed, under] {
                assert_eq!(text.matches("os error 2").count(), 1, "{text}");
                assert_eq!(text.matches("/nope/x").count(), 1, "{text}");
            }
        }
    }

    #[test]
    fn no_error_of_ours_quotes_a_cause_that_is_also_its_source() {
        fn files(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    files(&path, found);
                } else if path.extension().is_some_and(|e| e == "rs") {
                    found.push(path);
                }
            }
        }
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut sources = Vec::new();
        for entry in std::fs::read_dir(root.join("models")).unwrap() {
            let folder = entry.unwrap().path().join("src");
            if folder.is_dir() {
                files(&folder, &mut sources);
            }
        }
        ["stages/src", "pipeline/src"].iter().for_each(|folder| files(&root.join(folder), &mut sources));
        assert!(sources.len() > 50);
        // `source` is always a source to thiserror, and so is what `#[from]` or `#[source]` marks.
        let (quoted, numbered) = (concat!("{sou", "rce"), concat!("{0", "}"));
        for path in sources {
            let text = std::fs::read_to_string(&path).unwrap();
            for attribute in text.split("#[error(").skip(1) {
                let (message, rest) = attribute.split_once(")]").unwrap_or((attribute, ""));
                let variant = rest.split_once("#[error(").map_or(rest, |(variant, _)| variant);
                let variant = variant.split_once("\n    ///").map_or(variant, |(variant, _)| variant);
                let marked = variant.contains("#[from]") || variant.contains("#[source]");
                let quotes = message.contains(quoted) || (message.contains(numbered) && marked);
                assert!(!quotes || path.ends_with("terminal.rs"), "{}: {message}", path.display());
            }
        }
    }

    #[test]
    fn a_cause_is_said_once_whoever_said_it_first() {
        let io = || std::io::Error::from_raw_os_error(2);
        let plain = anyhow::Error::new(io()).context("x.wav can't be read");
        assert_eq!(chain(&plain), "x.wav can't be read: No such file or directory (os error 2)");

        #[derive(Debug, thiserror::Error)]
        #[error("cannot open {name}: {source}")]
        struct SaysItself {
            name: &'static str,
            source: std::io::Error,
        }
        let twice = anyhow::Error::new(SaysItself { name: "x.wav", source: io() });
        assert_eq!(format!("{twice:#}").matches("os error 2").count(), 2, "the case is still one");
        assert_eq!(chain(&twice), "cannot open x.wav: No such file or directory (os error 2)");
        assert_eq!(
            chain(&twice.context("/data/x.wav").context("x.wav")),
            "/data/x.wav: cannot open x.wav: No such file or directory (os error 2)"
        );
        let repeated = Err::<(), _>(std::io::Error::other("the disk is full")).context("the disk is full");
        assert_eq!(chain(&repeated.unwrap_err()), "the disk is full");
    }
}

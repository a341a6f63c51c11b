//! Targets that read what a language model writes: calls of tools, and what of a reply is spoken.

use nearfield_llm::{Dialect, ReplyParser, ToolSchema};
use nearfield_stages::voice::clauses::ClauseSplitter;
use nearfield_stages::voice::spoken::SpokenFilter;
use serde_json::json;

/// The tools that are offered to the model.
pub(crate) fn tools() -> Vec<ToolSchema> {
    ToolSchema::all(&[
        json!({"name": "set_light", "description": "Turns a light on or off.", "parameters": {
            "type": "object", "properties": {"room": {"type": "string"}, "state": {"type": "string", "enum": ["on", "off"]}},
            "required": ["room", "state"]}}),
        json!({"name": "timer", "description": "Starts a timer.", "parameters": {
            "type": "object", "properties": {"minutes": {"type": "number"}, "loud": {"type": "boolean"}}}}),
    ])
}

/// Characters of `text`, so many at a time.
fn pieces(text: &str, length: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.char_indices().nth(length).map_or(rest.len(), |(at, _)| at);
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// A reply in any dialect, the first byte says in which: read at once and in pieces it says the same, and no text is made up.
pub fn dialect(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(bytes);
    let names: Vec<&str> = Dialect::names().collect();
    let dialect = Dialect::named(names[usize::from(first / 2) % names.len()]).expect("its name is in the list");
    let read = |length: usize| {
        let mut parser = ReplyParser::new(dialect, tools(), first % 2 == 1);
        let mut spoken: String = pieces(&text, length).map(|piece| parser.push(piece)).collect();
        let parsed = parser.finish();
        spoken.push_str(&parsed.rest);
        (spoken, parsed.calls, parsed.broken)
    };
    let (spoken, calls, broken) = read(usize::MAX);
    assert!(spoken.len() <= text.len(), "{} bytes of {}: {spoken:?}", spoken.len(), text.len());
    assert!(
        calls.len() <= nearfield_llm::MAX_CALLS && broken.len() <= nearfield_llm::MAX_CALLS,
        "{calls:?} {broken:?}"
    );
    for why in &broken {
        crate::check_error(why);
    }
    assert_eq!(read(1), (spoken.clone(), calls.clone(), broken.clone()), "character by character");
    assert_eq!(read(7), (spoken, calls.clone(), broken), "seven at a time");
    let _ = dialect.written(&calls);
}

/// Text as it is said: bounded, and with no digit left to an engine's luck that a letter stands beside.
pub fn normalize(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for voice in ["en-us", "en-gb", "de"] {
        let said = nearfield_speech::tts::Normalizer::for_voice(voice).normalize(&text);
        assert!(said.len() <= 200 * text.len().max(1), "{} bytes of {}", said.len(), text.len());
    }
}

/// A reply on its way to the voice.
pub fn spoken(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let read = |length: usize| {
        let (mut filter, mut splitter, mut clauses) = (SpokenFilter::new(), ClauseSplitter::new(), Vec::new());
        for piece in pieces(&text, length) {
            splitter.push(&filter.push(piece), |clause| clauses.push(clause));
        }
        splitter.push(&filter.finish(), |clause| clauses.push(clause));
        splitter.finish(|clause| clauses.push(clause));
        clauses
    };
    let clauses = read(usize::MAX);
    assert_eq!(read(1), clauses, "character by character");
    for clause in &clauses {
        assert!(!clause.trim().is_empty(), "{clauses:?}");
        assert!(!clause.contains(char::is_control), "{clause:?}");
        // Nobody says a tag or a special token aloud.
        assert!(!clause.contains("<|") && !clause.contains("|>"), "{clause:?}");
    }
    assert!(clauses.iter().map(String::len).sum::<usize>() <= 64 * text.len() + 64, "{clauses:?}");
}

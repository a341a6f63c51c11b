//! Whether a reply will do. Judges are tolerant: of what is asked for, only what matters is looked at, so that another wording is no
//! failure. All conditions of a prompt must hold.

use anyhow::{bail, ensure};
use serde::Deserialize;

use super::super::rouge::words;

/// What a reply must be like. An absent condition holds.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Judge {
    /// The last number in the reply.
    number: Option<f64>,
    /// One of these, as whole words.
    any: Vec<String>,
    /// All of these, as whole words.
    all: Vec<String>,
    /// The reply begins with one of these.
    first: Vec<String>,
    /// The reply is one of these, but for marks and spaces at its ends.
    exact: Vec<String>,
    /// All of these, letter by letter.
    contains: Vec<String>,
    /// The keys of a JSON object in the reply.
    json: Vec<String>,
    /// The fewest and the most words.
    words: Option<(usize, usize)>,
    /// The fewest and the most lines that are not empty.
    lines: Option<(usize, usize)>,
    /// The number of commas.
    separators: Option<usize>,
}

impl Judge {
    /// Refuses a judge that accepts everything.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        ensure!(*self != Judge::default(), "its judge has no condition, and would accept every reply");
        if let Some((least, most)) = [self.words, self.lines].into_iter().flatten().find(|(least, most)| least > most) {
            bail!("its judge wants at least {least} and at most {most}");
        }
        Ok(())
    }

    /// What is wrong with a reply, or nothing.
    pub(super) fn fault(&self, reply: &str) -> Option<String> {
        let said = words(reply);
        let has = |phrase: &String| {
            let phrase = words(phrase);
            !phrase.is_empty() && said.windows(phrase.len()).any(|run| *run == phrase[..])
        };
        let bare = |text: &str| text.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
        if let Some(number) = self.number {
            match last_number(reply) {
                Some(found) if (found - number).abs() <= 1e-6 * number.abs().max(1.0) => {}
                Some(found) => return Some(format!("{number} was expected, not {found}")),
                None => return Some(format!("{number} was expected, not a reply without a number")),
            }
        }
        if !self.any.is_empty() && !self.any.iter().any(has) {
            return Some(format!("it has none of {:?}", self.any));
        }
        if let Some(missing) = self.all.iter().find(|phrase| !has(phrase)) {
            return Some(format!("it does not have {missing:?}"));
        }
        if !self.first.is_empty() && !self.first.iter().any(|first| said.starts_with(&words(first))) {
            return Some(format!("it does not begin with one of {:?}", self.first));
        }
        if !self.exact.is_empty() && !self.exact.iter().any(|exact| bare(reply) == bare(exact)) {
            return Some(format!("it is none of {:?}", self.exact));
        }
        if let Some(missing) = self.contains.iter().find(|text| !reply.contains(text.as_str())) {
            return Some(format!("it does not contain {missing:?}"));
        }
        if !self.json.is_empty() {
            let object = json_object(reply);
            match object.as_ref().map(|object| self.json.iter().find(|key| !object.contains_key(*key))) {
                None => return Some("it has no JSON object".to_owned()),
                Some(Some(key)) => return Some(format!("its JSON object has no key {key:?}")),
                Some(None) => {}
            }
        }
        let lines = reply.lines().filter(|line| !line.trim().is_empty()).count();
        for (what, n, range) in [("words", said.len(), self.words), ("lines", lines, self.lines)] {
            if let Some((least, most)) = range.filter(|(least, most)| n < *least || n > *most) {
                return Some(format!("it has {n} {what}, and {least} to {most} were expected"));
            }
        }
        let commas = reply.matches(',').count();
        if let Some(wanted) = self.separators.filter(|wanted| commas != *wanted) {
            return Some(format!("it has {commas} commas, and {wanted} were expected"));
        }
        None
    }
}

/// The last number in a text: digits with a point, and with commas between thousands.
fn last_number(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let mut last = None;
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let begin = at;
        while at < bytes.len()
            && (bytes[at].is_ascii_digit()
                || (matches!(bytes[at], b'.' | b',') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)))
        {
            at += 1;
        }
        let sign =
            if begin > 0 && bytes[begin - 1] == b'-' && (begin == 1 || bytes[begin - 2] == b' ') { -1.0 } else { 1.0 };
        if let Ok(number) = text[begin..at].replace(',', "").parse::<f64>() {
            last = Some(sign * number);
        }
    }
    last
}

/// The first JSON object in a text.
fn json_object(text: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
    let begins = text.match_indices('{').take(16);
    begins.filter_map(|(at, _)| serde_json::Deserializer::from_str(&text[at..]).into_iter().next()?.ok()).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(json: &str) -> Judge {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn tolerant_of_wording_and_strict_about_what_matters() {
        for (rules, right, wrong) in [
            (r#"{"number": 42}"#, "6 times 7 is 42.", "It is 43"),
            (r#"{"number": 1000}"#, "That makes 1,000!", "none"),
            (r#"{"number": -3}"#, "It is -3 degrees", "It is 3 degrees"),
            (r#"{"any": ["rome"]}"#, "The capital is Rome.", "Romeo"),
            (r#"{"all": ["red", "blue"]}"#, "Blue, red", "Blue, reddish"),
            (r#"{"first": ["yes"]}"#, "Yes, it is.", "No, yes"),
            (r#"{"exact": ["HELLO"]}"#, "\"HELLO.\"", "HELLO there"),
            (r#"{"contains": ["48-17-92"]}"#, "So: 48-17-92", "48 17 92"),
            (r#"{"json": ["a"]}"#, "Here: {\"a\": 1}", "{a: 1}"),
            (r#"{"json": ["a"]}"#, "{ {\"a\": 1}", "{\"b\": 1}"),
            (r#"{"words": [2, 3]}"#, "good night", "night"),
            (r#"{"lines": [2, 2]}"#, "a\n\nb", "a b"),
            (r#"{"separators": 2}"#, "a, b, c", "a, b"),
        ] {
            assert_eq!(judge(rules).fault(right), None, "{rules} {right}");
            assert!(judge(rules).fault(wrong).is_some(), "{rules} {wrong}");
        }
    }

    #[test]
    fn a_judge_that_accepts_everything_is_refused() {
        assert!(judge("{}").check().is_err());
        assert!(judge(r#"{"words": [3, 2]}"#).check().is_err());
        assert!(judge(r#"{"any": ["x"]}"#).check().is_ok());
        assert!(serde_json::from_str::<Judge>(r#"{"anny": ["x"]}"#).is_err());
    }
}

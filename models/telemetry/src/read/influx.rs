//! InfluxDB's line protocol: `weather,room=hall temperature=21.5,humidity=45i 1465839830100400200`.

use std::borrow::Cow;

/// A line, taken apart.
#[derive(Debug, PartialEq)]
pub(super) struct Line<'a> {
    pub(super) measurement: Cow<'a, str>,
    /// Tags and their values.
    pub(super) tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Fields and their values as they stand there.
    pub(super) fields: Vec<(Cow<'a, str>, &'a str)>,
    /// Nanoseconds, or the unit of the export.
    pub(super) time: Option<f64>,
}

/// Up to the first of `ends` that is not escaped and not in quotes; `None` where there is none.
fn until<'a>(text: &'a str, ends: &[char], quotes: bool) -> Option<(&'a str, char, &'a str)> {
    let (mut escaped, mut quoted) = (false, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' if quotes => quoted = !quoted,
            c if !quoted && ends.contains(&c) => return Some((&text[..i], c, &text[i + c.len_utf8()..])),
            _ => {}
        }
    }
    None
}

fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut escaped = false;
    for c in text.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Takes a line apart; `None` where it is none.
pub(super) fn read(text: &str) -> Option<Line<'_>> {
    let text = text.trim();
    let (measurement, mut end, mut rest) = until(text, &[',', ' '], false)?;
    if measurement.is_empty() || measurement.starts_with(['"', '{', '[', '#', '<']) {
        return None;
    }
    let mut tags = Vec::new();
    while end == ',' {
        let (key, _, after) = until(rest, &['='], false)?;
        let (value, next, after) = until(after, &[',', ' '], false)?;
        if key.is_empty() || key.contains(' ') || tags.len() > 64 {
            return None;
        }
        tags.push((plain(key), plain(value)));
        (end, rest) = (next, after);
    }
    let mut fields = Vec::new();
    let mut rest = rest.trim_start();
    let time = loop {
        let (key, _, after) = until(rest, &['='], false)?;
        if key.is_empty() || key.contains([' ', ',', ';', '"']) || fields.len() > 1024 {
            return None;
        }
        match until(after, &[',', ' '], true) {
            Some((value, ',', after)) => {
                fields.push((plain(key), value));
                rest = after;
            }
            Some((value, _, after)) => {
                fields.push((plain(key), value));
                break Some(after.trim());
            }
            None => {
                fields.push((plain(key), after));
                break None;
            }
        }
    };
    let is_value = |v: &str| {
        v.starts_with('"')
            || matches!(v, "t" | "T" | "true" | "True" | "TRUE" | "f" | "F" | "false" | "False" | "FALSE")
            || v.trim_end_matches(['i', 'u']).parse::<f64>().is_ok()
    };
    if !fields.iter().all(|(_, v)| is_value(v)) {
        return None;
    }
    let time = match time {
        None | Some("") => None,
        Some(digits) => Some(digits.parse().ok()?),
    };
    Some(Line { measurement: plain(measurement), tags, fields, time })
}

impl Line<'_> {
    /// What the series is called: the values of its tags, its measurement and the field.
    pub(super) fn key(&self, field: &str) -> String {
        let mut words: Vec<&str> = self.tags.iter().map(|(_, v)| v.as_ref()).collect();
        for word in [self.measurement.as_ref(), field] {
            if word != "value" && !words.contains(&word) {
                words.push(word);
            }
        }
        words.join(" ")
    }

    /// Home Assistant writes the unit as the measurement, with the entity as a tag.
    pub(super) fn unit(&self) -> &str {
        if crate::unit::is_known(&self.measurement) { crate::unit::tidy(&self.measurement) } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart_with_their_escapes() {
        let line =
            read(r#"my\ room,place=first\ floor,host=a\,b temp=21.5,n=4i,ok=true,note="a, b=c" 1465839830100400200"#)
                .unwrap();
        assert_eq!(line.measurement, "my room");
        assert_eq!(line.tags[0].1, "first floor");
        assert_eq!(line.tags[1].1, "a,b");
        assert_eq!(line.fields.iter().map(|(_, v)| *v).collect::<Vec<_>>(), ["21.5", "4i", "true", "\"a, b=c\""]);
        assert_eq!(line.time, Some(1_465_839_830_100_400_200.0));
        assert_eq!(line.key("temp"), "first floor a,b my room temp");
        for text in ["time,a", "2026-11-20 12:00,21.5", "a b c", "x=1", "weather temp=warm 1", "{\"a\":1}"] {
            assert!(read(text).is_none(), "{text}");
        }
    }
}

//! Web addresses as their host, e-mail addresses, names of files, hashtags.

use super::{Said, View};

impl View<'_> {
    /// example.com, `https://example.com/a?b`, jane@example.com, #tag, config.toml.
    pub(super) fn address(&self, at: usize) -> Option<Said> {
        let core = self.tokens[at].core;
        let words = &self.pack.address;
        if let Some(tag) = core.strip_prefix('#').filter(|tag| tag.starts_with(char::is_alphabetic)) {
            return Said::one(format!("{} {}", words.hashtag, self.part(tag)));
        }
        if let Some(name) = core.strip_prefix('@').filter(|name| name.starts_with(char::is_alphabetic)) {
            return Said::one(format!("{} {}", words.at, self.name(name)));
        }
        if let Some((local, host)) = core.trim_start_matches("mailto:").split_once('@')
            && !local.is_empty()
            && host.contains('.')
            && !local.contains('/')
        {
            return Said::one(format!("{} {} {}", self.name(local), words.at, self.host(host)));
        }
        let is_url = core.contains("://") || core.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("www."));
        let behind_scheme = core.split_once("://").map_or(core, |(_, rest)| rest);
        let host = behind_scheme.split(['/', '?', '#']).next()?;
        let host = host.rsplit('@').next()?;
        if is_url && host.contains(char::is_alphanumeric) {
            return Said::one(self.host(host));
        }
        self.is_host(host).then(|| Said::one(self.host(host))).flatten().or_else(|| self.joined_by_dots(core))
    }

    /// Whether a word without `https://` is an address all the same.
    fn is_host(&self, word: &str) -> bool {
        let word = word.split(':').next().unwrap_or_default();
        let labels: Vec<&str> = word.split('.').collect();
        let is_label = |l: &&str| !l.is_empty() && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let Some((top, names)) = labels.split_last() else { return false };
        let known = self.pack.address.words.contains(*top) || self.pack.address.spelled.contains(*top);
        known
            && !names.is_empty()
            && labels.iter().all(is_label)
            && names.iter().any(|l| l.len() > 1 || labels.len() == 2)
    }

    fn host(&self, host: &str) -> String {
        let words = &self.pack.address;
        let (host, port) = host.split_once(':').map_or((host, ""), |(host, port)| (host, port));
        let host = host.get(..4).filter(|begin| begin.eq_ignore_ascii_case("www.")).map_or(host, |_| &host[4..]);
        let labels: Vec<&str> = host.split('.').filter(|label| !label.is_empty()).collect();
        let n = labels.len();
        let spoken: Vec<String> = labels
            .iter()
            .enumerate()
            .map(|(i, label)| {
                let lower = label.to_lowercase();
                let is_known = words.words.contains(&lower) || (lower == "co" && i + 1 < n);
                match () {
                    () if is_known => lower,
                    () if i + 1 == n && n > 1 && label.len() <= 3 && !label.contains(|c: char| c.is_ascii_digit()) => {
                        self.spelled(&label.to_uppercase())
                    }
                    () => self.name(label),
                }
            })
            .collect();
        let mut out = spoken.join(&format!(" {} ", words.dot));
        if !port.is_empty() && port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()) {
            out += &format!(", {}", self.speller.label(port));
        }
        out
    }

    /// A name within an address: its words, digits and signs.
    fn name(&self, name: &str) -> String {
        let words = &self.pack.address;
        let mut out: Vec<String> = Vec::new();
        let mut rest = name;
        while let Some(first) = rest.chars().next() {
            let is_word = |c: char| c.is_alphabetic();
            let is_digit = |c: char| c.is_ascii_digit();
            let end = match first {
                c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                c if is_digit(c) => rest.find(|c| !is_digit(c)).unwrap_or(rest.len()),
                c => c.len_utf8(),
            };
            let (run, after) = rest.split_at(end);
            if first.is_ascii_digit() {
                out.push(self.speller.label(run));
            } else if first.is_alphabetic() {
                let has_vowel = run.contains(|c: char| "aeiouyAEIOUY".contains(c));
                out.push(match run.chars().count() {
                    1 => self.letter(&run.to_uppercase()),
                    2..=4 if !has_vowel => self.spelled(&run.to_uppercase()),
                    _ => run.to_string(),
                });
            } else if first == '.' {
                out.push(words.dot.clone());
            } else if let Some(word) = words.signs.get(&first) {
                out.push(word.clone());
            }
            rest = after;
        }
        out.join(" ")
    }

    /// config.toml, "end.Next" (a space is missing).
    fn joined_by_dots(&self, core: &str) -> Option<Said> {
        let (left, right) = core.rsplit_once('.')?;
        let is_plain = |s: &str| {
            s.len() > 1 && s.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '\'' | '’'))
        };
        if !is_plain(left) || !is_plain(right) || left.split('.').any(|part| part.chars().count() < 2) {
            return None;
        }
        if right.starts_with(char::is_uppercase)
            && left.ends_with(char::is_lowercase)
            && !right.chars().all(char::is_uppercase)
        {
            return Said::one(format!("{}. {}", self.part(left), self.part(right)));
        }
        let is_extension = right.len() <= 4 && right.chars().all(|c| c.is_ascii_alphanumeric());
        let spoken = if is_extension && right.len() <= 3 && right.chars().all(|c| c.is_ascii_alphabetic()) {
            self.spelled(&right.to_uppercase())
        } else {
            self.name(right)
        };
        Said::one(format!("{} {} {spoken}", self.name(left), self.pack.address.dot))
    }
}

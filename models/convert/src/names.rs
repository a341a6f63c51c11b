//! What a model is called: the parts of its folder's name (`SmolLM2-135M-Instruct`), as llama.cpp's converter takes it apart, and what
//! the front of its model card says: licence, tags, languages.

use std::path::Path;

use nearfield_base::files;
use nearfield_gguf::Metadata;

/// The longest model card.
const MOST_CARD_BYTES: u64 = 4 << 20;
/// The most entries of a list of the card.
const MOST_ENTRIES: usize = 1000;

/// What a part of a name may be.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Kinds {
    base: bool,
    size: bool,
    tune: bool,
    version: bool,
    encoding: bool,
}

impl Kinds {
    fn count(self) -> usize {
        [self.base, self.size, self.tune, self.version, self.encoding].into_iter().filter(|is| *is).count()
    }
}

/// `general.*` of a model in `folder` with so many weights. `name` is what the user calls it.
pub(crate) fn general(folder: &Path, name: Option<&str>, weights: u64) -> Vec<(String, Metadata)> {
    let absolute = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let folder_name = absolute.file_name().map_or("model".into(), |name| name.to_string_lossy().into_owned());
    let parts = Parts::of(&folder_name, weights);
    let mut all = Vec::new();
    let mut set = |key: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            all.push((format!("general.{key}"), Metadata::Text(value)));
        }
    };
    set("name", Some(name.map_or_else(|| title(&folder_name), str::to_owned)));
    set("version", parts.version);
    set("finetune", parts.tune);
    set("basename", parts.base);
    set("size_label", Some(parts.size.unwrap_or_else(|| size_label(weights))));
    let card = files::read_text(&folder.join("README.md"), MOST_CARD_BYTES).unwrap_or_default();
    let card = front(&card);
    let text = |key: &str| card.iter().find(|(k, _)| k == key).and_then(|(_, values)| values.first().cloned());
    let licences = card.iter().find(|(key, _)| key == "license").map(|(_, values)| values.join(","));
    set("license", licences);
    set("license.name", text("license_name"));
    set("license.link", text("license_link"));
    let list = |keys: &[&str]| {
        let found = keys.iter().flat_map(|key| card.iter().filter(move |(k, _)| k == key));
        found.flat_map(|(_, values)| values.clone()).take(MOST_ENTRIES).collect::<Vec<String>>()
    };
    for (key, names) in [("tags", ["tags", "pipeline_tag"]), ("languages", ["languages", "language"])] {
        let values = list(&names);
        if !values.is_empty() {
            all.push((format!("general.{key}"), Metadata::Texts(values)));
        }
    }
    all
}

/// The parts of a model's name.
#[derive(Debug, Default, PartialEq)]
struct Parts {
    base: Option<String>,
    size: Option<String>,
    tune: Option<String>,
    version: Option<String>,
}

impl Parts {
    fn of(name: &str, weights: u64) -> Parts {
        if name.contains(' ') {
            return Parts::default();
        }
        let mut parts: Vec<(String, Kinds)> =
            name.split('-').filter(|part| !part.is_empty()).map(|part| (part.to_owned(), Kinds::default())).collect();
        for (index, (part, kinds)) in parts.iter_mut().enumerate() {
            let lower = part.to_lowercase();
            if is_version(&lower) {
                kinds.version = true;
            } else if is_encoding(&lower) {
                kinds.encoding = true;
                *part = part.to_uppercase();
            } else if let Some(size) = (index > 0).then(|| size_of(part)).flatten() {
                let (last, number) = (size.chars().last().unwrap_or(' '), &size[..size.len() - 1]);
                let power = ['K', 'M', 'B', 'T'].iter().position(|unit| *unit == last);
                let stated = number.parse::<f64>().ok().zip(power).map(|(n, power)| n * 1000f64.powi(power as i32 + 1));
                let is_far = stated.is_some_and(|stated| (stated - weights as f64).abs() > (7 * weights / 8) as f64);
                *part = size.clone();
                if weights > 0 && is_far {
                    kinds.tune = true; // likely the length of its context
                    *part = format!("{number}{}", last.to_lowercase());
                } else {
                    kinds.size = true;
                }
            } else if index > 0 && ["chat", "instruct", "vision", "lora"].contains(&lower.as_str()) {
                kinds.tune = true;
            }
        }
        if parts.iter().any(|(part, kinds)| kinds.size && part.contains(|c: char| c.is_ascii_digit())) {
            for (part, kinds) in &mut parts {
                kinds.size &= !part.chars().all(char::is_alphabetic);
            }
        }
        let mut at_start = true;
        for (part, kinds) in &mut parts {
            let begins = part.chars().next().is_some_and(char::is_alphabetic);
            if at_start && ((kinds.count() == 0 && begins) || kinds.version) {
                kinds.base = true;
            } else {
                at_start = false;
                kinds.tune |= kinds.count() == 0;
            }
        }
        for (_, kinds) in parts.iter_mut().rev() {
            if !(kinds.base && kinds.count() > 1) {
                break;
            }
            kinds.base = false;
        }
        let joined = |wanted: fn(Kinds) -> bool| {
            let mut found: Vec<&str> = Vec::new();
            for (part, _) in parts.iter().filter(|(_, kinds)| wanted(*kinds)) {
                found.push(part);
            }
            (!found.is_empty()).then(|| found.join("-"))
        };
        let (base, tune) = (joined(|kinds| kinds.base), joined(|kinds| kinds.tune));
        let (size, version) = (joined(|kinds| kinds.size), joined(|kinds| kinds.version && !kinds.base));
        let ambiguous = size.is_none() && tune.is_none() && version.is_none();
        Parts { base: base.filter(|_| !ambiguous), size, tune, version }
    }
}

/// `v2`, `3.1`, `iter2`.
fn is_version(part: &str) -> bool {
    let number = part.strip_prefix("iter").or(part.strip_prefix('v')).unwrap_or(part);
    !number.is_empty()
        && number.split('.').all(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// `q4_k`, `fp16`, `bf16`.
fn is_encoding(part: &str) -> bool {
    let float = part.strip_prefix('b').unwrap_or(part).strip_prefix('f');
    if float.is_some_and(|float| ["16", "32"].contains(&float.strip_prefix('p').unwrap_or(float))) {
        return true;
    }
    let mut quantized = part.strip_prefix('i').unwrap_or(part).strip_prefix('q').unwrap_or_default().chars();
    let digit = quantized.next().is_some_and(|c| c.is_ascii_digit());
    let rest: Vec<char> = quantized.collect();
    digit
        && rest.chunks(2).all(|pair| pair.len() == 2 && pair[0] == '_' && (pair[1].is_alphanumeric() || pair[1] == '_'))
}

/// A part that says how large the model is, as it is usually written: `135M`, `8x7B`, `mini`.
fn size_of(part: &str) -> Option<String> {
    if ["small", "mini", "medium", "large", "xl", "l", "xxl"].contains(&part.to_lowercase().as_str()) && part.len() > 1
    {
        return Some(part.to_owned());
    }
    let text = part.replace('_', ".");
    let (text, rest) = match text.char_indices().rfind(|(_, c)| "kmbtKMBT".contains(*c)) {
        Some((at, unit)) => (text[..=at].to_owned(), text[at + unit.len_utf8()..].to_owned()),
        None => return None,
    };
    let (number, unit) = text.split_at(text.len() - 1);
    let count = number.rsplit_once(['x', 'X']).map_or(number, |(_, count)| count);
    let count = count.strip_prefix(['A', 'a']).unwrap_or(count);
    let mut pieces = count.split('.');
    let digits = |piece: Option<&str>| piece.is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    let is_number =
        digits(pieces.next()) && pieces.next().is_none_or(|piece| digits(Some(piece))) && pieces.next().is_none();
    match rest.as_str() {
        _ if !is_number => None,
        "" => Some(format!("{number}{}", unit.to_uppercase())),
        // 7b1
        digit if digit.len() == 1 && digits(Some(digit)) => Some(format!("{number}.{digit}{}", unit.to_uppercase())),
        _ => None,
    }
}

/// A name as a title: words that are all in lower case begin with a capital.
fn title(name: &str) -> String {
    let spaced = name.trim().replace('-', " ");
    let word = |word: &str| {
        let starts_number = word.starts_with(|c: char| c.is_ascii_digit()) || is_version(word);
        let has_lower = word.chars().any(char::is_lowercase) && !word.chars().any(char::is_uppercase);
        if starts_number || !has_lower {
            return word.to_owned();
        }
        // As Python's `title`: after anything that is no letter, too.
        let mut begins = true;
        word.chars()
            .flat_map(|c| {
                let letters: Vec<char> = if begins { c.to_uppercase().collect() } else { vec![c] };
                begins = !c.is_alphabetic();
                letters
            })
            .collect()
    };
    spaced.split_whitespace().map(word).collect::<Vec<String>>().join(" ")
}

/// A number of weights in at least two digits: `135M`, `1.1B`.
fn size_label(weights: u64) -> String {
    let weights = weights as f64;
    let (scaled, unit) = match weights {
        w if w > 1e12 => (w * 1e-12, 'T'),
        w if w > 1e9 => (w * 1e-9, 'B'),
        w if w > 1e6 => (w * 1e-6, 'M'),
        w => (w * 1e-3, 'K'),
    };
    let digits = format!("{scaled:.0}").trim_start_matches('0').len();
    format!("{scaled:.*}{unit}", 2usize.saturating_sub(digits))
}

/// The keys of a model card's front, each with its value or its list; other forms are skipped.
fn front(card: &str) -> Vec<(String, Vec<String>)> {
    let mut lines = card.lines();
    if lines.next() != Some("---") {
        return Vec::new();
    }
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    let bare = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
    for line in lines.take_while(|line| *line != "---") {
        if let Some(entry) = line.trim_start().strip_prefix("- ") {
            if let Some((_, values)) = all.last_mut().filter(|_| !entry.contains(": ")) {
                values.push(bare(entry));
            }
        } else if let Some((key, value)) = line.split_once(':').filter(|(key, _)| !key.starts_with([' ', '#'])) {
            let value = value.trim();
            let values = match value.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
                Some(list) => list.split(',').map(bare).collect(),
                None if value.is_empty() => Vec::new(),
                None => vec![bare(value)],
            };
            all.push((key.to_owned(), values));
        }
        if all.len() > MOST_ENTRIES {
            break;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(name: &str, weights: u64) -> [Option<String>; 4] {
        let Parts { base, size, tune, version } = Parts::of(name, weights);
        [base, tune, version, size]
    }

    /// What `Metadata.get_model_id_components` of the `gguf` package gives (basename, finetune, version, size).
    #[test]
    fn names_are_taken_apart_as_the_gguf_package_does_it() {
        for (name, weights, wanted) in [
            ("SmolLM2-135M-Instruct", 134_515_008, ["SmolLM2", "Instruct", "", "135M"]),
            ("Qwen2.5-Coder-0.5B-Instruct", 494_032_768, ["Qwen2.5-Coder", "Instruct", "", "0.5B"]),
            ("gemma-3-270m", 268_098_176, ["gemma-3", "", "", "270M"]),
            ("Mistral-7B-v0.1", 7_241_732_096, ["Mistral", "", "v0.1", "7B"]),
            ("Phi-3-mini-4k-instruct", 3_821_079_552, ["Phi-3", "4k-instruct", "", "mini"]),
            ("model", 1_000_000, ["", "", "", ""]),
            ("tiny-random-llama", 1_000_000, ["", "", "", ""]),
        ] {
            let wanted = wanted.map(|text| (!text.is_empty()).then(|| text.to_owned()));
            assert_eq!(parts(name, weights), wanted, "{name}");
        }
    }

    #[test]
    fn titles_and_sizes_are_written_as_the_gguf_package_does_it() {
        for (name, wanted) in [
            ("SmolLM2-135M-Instruct", "SmolLM2 135M Instruct"),
            ("gemma-3-270m", "Gemma 3 270m"),
            ("tiny_llama-v1.0", "Tiny_Llama v1.0"),
        ] {
            assert_eq!(title(name), wanted);
        }
        for (weights, wanted) in
            [(134_515_008, "135M"), (1_100_048_384, "1.1B"), (7_700_000, "7.7M"), (999, "1.0K"), (81_000, "81K")]
        {
            assert_eq!(size_label(weights), wanted);
        }
    }

    #[test]
    fn the_front_of_a_card_is_read() {
        let card = "---\nlicense: apache-2.0\ntags:\n- chat\n- \"small\"\nlanguage: [en, fr]\nmodel-index:\n- name: x\n---\ntags:\n- no";
        let read = front(card);
        assert_eq!(read[1], ("tags".to_owned(), vec!["chat".to_owned(), "small".to_owned()]));
        assert_eq!(read[2].1, ["en", "fr"]);
        assert!(read[3].1.is_empty() && read.len() == 4);
        assert!(front("# no front").is_empty());
    }
}

//! Words that speech recognition or a typist got nearly right, held to a list of words that exist: by edit distance and by sound.

/// How alike two words are, or `None` where one cannot stand for the other. Smaller is more alike.
pub fn distance(said: &str, known: &str) -> Option<usize> {
    if said == known {
        return Some(0);
    }
    let (a, b) = (said.chars().count(), known.chars().count());
    // Short words have too many neighbours, and numbers are never nearly right.
    if a < 4 || b < 4 || said.bytes().any(|b| b.is_ascii_digit()) || a.abs_diff(b) > 2 {
        return None;
    }
    let edits = strsim::osa_distance(said, known);
    let allowed = if a.min(b) >= 7 { 2 } else { 1 };
    if edits <= allowed && (said.chars().next() == known.chars().next() || a.min(b) >= 6) {
        return Some(edits);
    }
    let near = edits <= 3 && a.min(b) >= 5 || edits == 1;
    (near && sound(said) == sound(known)).then_some(edits)
}

/// The one known word that is most like `said`; `None` where there is none, or two are equally alike.
pub fn nearest<'a>(said: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut best: Option<(usize, &str)> = None;
    let mut tied = false;
    for word in known {
        let Some(d) = distance(said, word) else { continue };
        match best {
            Some((least, found)) if d == least => tied |= found != word,
            Some((least, _)) if d > least => {}
            _ => (best, tied) = (Some((d, word)), false),
        }
    }
    best.filter(|_| !tied).map(|(_, word)| word)
}

/// Whether two names written without spaces are nearly the same, or sound so: "kohtatsue" and "kotatsu".
pub fn sounds_alike(said: &str, known: &str) -> bool {
    let least = said.chars().count().min(known.chars().count());
    if least < 6 || said.bytes().any(|b| b.is_ascii_digit()) {
        return false;
    }
    let edits = strsim::osa_distance(said, known);
    edits * 5 <= least && said.chars().next() == known.chars().next()
        || edits * 2 < least && sound(said).len() > 2 && sound(said) == sound(known)
}

/// How a word sounds: consonants by group, vowels only at the beginning, nothing twice in a row (a form of Soundex without its
/// length limit).
fn sound(word: &str) -> String {
    let simple = word
        .replace("ph", "f")
        .replace("ck", "k")
        .replace("gh", "")
        .replace("kn", "n")
        .replace("wr", "r")
        .replace("qu", "k")
        .replace("x", "ks");
    let mut out = String::new();
    let chars: Vec<char> = simple.chars().collect();
    for (i, c) in chars.iter().copied().enumerate() {
        let group = match c {
            // "ceiling" sounds as "sealing".
            'c' if matches!(chars.get(i + 1), Some('e' | 'i' | 'y')) => 's',
            'b' | 'p' => 'p',
            'f' | 'v' => 'f',
            'c' | 'k' | 'q' => 'k',
            'g' | 'j' => 'j',
            's' | 'z' => 's',
            'd' | 't' => 't',
            'l' | 'm' | 'n' | 'r' => c,
            'a' | 'e' | 'i' | 'o' | 'u' | 'y' if i == 0 => 'a',
            'a' | 'e' | 'i' | 'o' | 'u' | 'y' | 'h' | 'w' => continue,
            other => other,
        };
        if !out.ends_with(group) {
            out.push(group);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_words_find_the_one_that_was_meant() {
        let known = ["kitchen", "bedroom", "bathroom", "garage", "hallway", "study", "lamp", "light"];
        for (said, meant) in [
            ("kichen", "kitchen"),
            ("kitchin", "kitchen"),
            ("bedrom", "bedroom"),
            ("garadge", "garage"),
            ("halway", "hallway"),
            ("lihgt", "light"),
            ("studdy", "study"),
        ] {
            assert_eq!(nearest(said, known), Some(meant), "{said}");
        }
        for said in ["room", "the", "door", "kit", "light2", "chicken"] {
            assert_eq!(nearest(said, known), None, "{said}");
        }
    }

    #[test]
    fn two_equally_near_words_are_none() {
        assert_eq!(nearest("bets", ["beds", "bats"]), None);
        assert_eq!(nearest("lamps", ["lamp", "lamp"]), Some("lamp"));
    }
}

//! The words of dates and times in the languages of `date_words.tsv`: months, what stands between the parts of a date, and which half
//! of a day a time is of.

use std::sync::LazyLock;

/// Shorter beginnings of a month's name may be anything.
const LEAST_LETTERS: usize = 3;

/// What a word stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Between day, month and year, as in `5 de marzo`.
    Of,
    /// Behind the number of a day, as in `1er`.
    Ordinal,
    /// Before a time of day.
    At,
    /// Before noon.
    Am,
    /// After noon.
    Pm,
    /// Behind a time of day.
    OClock,
}

#[derive(Default)]
struct Words {
    months: Vec<(String, i32)>,
    others: Vec<(String, Word)>,
}

static WORDS: LazyLock<Words> = LazyLock::new(|| {
    let mut words = Words::default();
    for line in include_str!("date_words.tsv").lines().filter(|line| !line.starts_with('#')) {
        let mut cells = line.split('\t');
        let (kind, _language) = (cells.next().unwrap_or(""), cells.next());
        let word = match kind {
            "of" => Word::Of,
            "ordinal" => Word::Ordinal,
            "at" => Word::At,
            "am" => Word::Am,
            "pm" => Word::Pm,
            "oclock" => Word::OClock,
            _ => {
                for (names, number) in cells.zip(1..) {
                    words.months.extend(names.split(' ').map(|name| (folded(name), number)));
                }
                continue;
            }
        };
        words.others.extend(cells.map(|cell| (folded(cell), word)));
    }
    // The longest first: `a las` before `a`.
    words.others.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    words
});

/// In small letters without accents, hard spaces as plain ones.
fn folded(text: &str) -> String {
    let plain = |c: char| match c {
        'à' | 'á' | 'â' | 'ä' | 'ã' | 'å' => 'a',
        'ç' | 'č' | 'ć' => 'c',
        'è' | 'é' | 'ê' | 'ë' | 'ě' | 'ę' => 'e',
        'í' | 'î' | 'ï' | 'ı' => 'i',
        'ń' | 'ñ' | 'ň' => 'n',
        'ó' | 'ô' | 'ö' | 'õ' => 'o',
        'ř' => 'r',
        'ś' | 'š' | 'ş' => 's',
        'ú' | 'û' | 'ü' | 'ů' => 'u',
        'ź' | 'ž' => 'z',
        'ğ' => 'g',
        '\u{a0}' | '\u{202f}' => ' ',
        c => c,
    };
    text.to_lowercase().chars().map(plain).collect()
}

/// The month of a name, of its abbreviation, or of a beginning that no other month has in any language.
pub(super) fn month(word: &str) -> Option<i32> {
    let word = folded(word);
    let months = &WORDS.months;
    if let Some((_, number)) = months.iter().find(|(name, _)| *name == word) {
        return Some(*number);
    }
    if word.chars().count() < LEAST_LETTERS {
        return None;
    }
    let mut begun = months.iter().filter(|(name, _)| name.starts_with(&word)).map(|(_, number)| *number);
    let first = begun.next()?;
    begun.all(|number| number == first).then_some(first)
}

/// The word of these kinds with which a text begins, and what follows it.
pub(super) fn strip<'a>(text: &'a str, kinds: &[Word]) -> Option<(Word, &'a str)> {
    // Folding keeps the number of letters.
    let begin: String = folded(&text.chars().take(12).collect::<String>());
    for (word, kind) in WORDS.others.iter().filter(|(_, kind)| kinds.contains(kind)) {
        let Some(behind) = begin.strip_prefix(word.as_str()) else { continue };
        // `2:30pm` and `午後2:30` may have no space on the other side; `amber` is no morning.
        let is_whole = !behind.starts_with(char::is_alphabetic) || !word.is_ascii();
        if is_whole {
            let at = text.char_indices().nth(word.chars().count()).map_or(text.len(), |(at, _)| at);
            return Some((*kind, &text[at..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_read_in_many_languages() {
        for (number, words) in [
            (1, "Jan Januar Jänner janv enero ene gennaio ianuarie января stycznia"),
            (2, "Feb fév. févr février febrero febbraio"),
            (3, "Mar Mär Mrz März mars marzo mrt maart marts"),
            (4, "avr abr kwi"),
            (5, "May mai mei maj mayo maggio мая"),
            (6, "juin giu junio"),
            (7, "juil juillet lug julio Jul"),
            (8, "août aout ago agosto"),
            (9, "Sep Sept set September settembre"),
            (10, "Okt Oct ott out"),
            (11, "Nov noviembre"),
            (12, "Dez déc décembre decembre dic diciembre Dec"),
        ] {
            for word in words.split(' ') {
                assert_eq!(month(word.trim_end_matches('.')), Some(number), "{word}");
            }
        }
        for word in ["", "ma", "jui", "zone", "hall", "marching", "monday"] {
            assert_eq!(month(word), None, "{word}");
        }
    }

    #[test]
    fn no_name_is_that_of_two_months() {
        for (name, number) in &WORDS.months {
            let other = WORDS.months.iter().find(|(n, other)| n == name && other != number);
            assert_eq!(other, None, "{name}");
        }
        let lengths: Vec<usize> = include_str!("date_words.tsv")
            .lines()
            .filter(|line| line.starts_with("months"))
            .map(|line| line.split('\t').count())
            .collect();
        assert!(lengths.len() > 12 && lengths.iter().all(|n| *n == 14), "{lengths:?}");
    }

    #[test]
    fn words_of_times_are_cut_off() {
        let halves = [Word::Am, Word::Pm];
        assert_eq!(strip("p. m.", &halves), Some((Word::Pm, "")));
        assert_eq!(strip("PM x", &halves), Some((Word::Pm, " x")));
        assert_eq!(strip("午後2:30", &halves), Some((Word::Pm, "2:30")));
        assert_eq!(strip("à 14:30", &[Word::At]), Some((Word::At, " 14:30")));
        assert_eq!(strip("a las 14:30", &[Word::At]), Some((Word::At, " 14:30")));
        assert_eq!(strip("amber", &halves), None);
    }
}

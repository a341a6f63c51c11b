//! Text into a Piper voice's phonemes: by espeak-ng, or letter by letter for voices trained on text.

use super::super::TtsError;
use super::super::process::Process;
use std::time::Duration;
use unicode_normalization::UnicodeNormalization as _;

/// A sentence is cut into pieces of at most so many phonemes: the voice's attention takes memory by the square of them.
const MOST_PHONEMES: usize = 400;

/// What a voice's phonemes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PhonemeType {
    /// The International Phonetic Alphabet, as espeak-ng writes it.
    #[default]
    Espeak,
    /// The text's characters in lower case.
    Text,
}

/// Gives the phonemes of sentences.
pub(super) struct Phonemizer {
    kind: PhonemeType,
    arguments: Vec<String>,
    stall: Duration,
    /// An espeak-ng that has loaded its voice and waits for the next text, so that its start is not waited for.
    spare: Option<Process>,
}

const ESPEAK: &str = "espeak-ng";

impl Phonemizer {
    /// For espeak-ng's voice `voice`. One word proves that the program is there and knows the language.
    ///
    /// # Errors
    /// [`TtsError`] where it is missing or does not.
    pub fn open(kind: PhonemeType, voice: &str, stall: Duration) -> Result<Phonemizer, TtsError> {
        let arguments = ["-q", "--ipa", "--stdin", "-b", "1", "-v", voice].map(String::from).to_vec();
        let mut phonemizer = Phonemizer { kind, arguments, stall, spare: None };
        if kind == PhonemeType::Espeak {
            phonemizer.espeak("a")?;
            phonemizer.prepare();
        }
        Ok(phonemizer)
    }

    /// Starts the espeak-ng for the next sentence.
    pub fn prepare(&mut self) {
        if self.kind == PhonemeType::Espeak && self.spare.is_none() {
            self.spare = Process::start(ESPEAK, &self.arguments, self.stall).ok();
        }
    }

    /// The phonemes of a sentence, in pieces that the voice can take at once.
    pub fn phonemes(&mut self, sentence: &str) -> Result<Vec<String>, TtsError> {
        let phonemes = match self.kind {
            PhonemeType::Espeak => self.with_marks(sentence)?,
            PhonemeType::Text => sentence.to_lowercase(),
        };
        let phonemes: String = phonemes.nfd().collect();
        Ok(pieces(&phonemes, MOST_PHONEMES))
    }

    /// espeak-ng leaves punctuation out, but Piper voices were trained with it: it carries the melody. So each clause is
    /// phonemized by itself, and its mark put back.
    fn with_marks(&mut self, sentence: &str) -> Result<String, TtsError> {
        let clauses = clauses(sentence);
        // One line for each clause comes back, if espeak-ng sees no other ends than these.
        let text: Vec<&str> = clauses.iter().map(|(words, _)| words.as_str()).collect();
        let answer = self.espeak(&text.join("\n\n"))?;
        let mut lines: Vec<String> =
            answer.lines().map(without_language_marks).filter(|line| !line.is_empty()).collect();
        if lines.len() != clauses.len() {
            lines.clear();
            for (words, _) in &clauses {
                lines.push(without_language_marks(&self.espeak(words)?));
            }
        }
        let mut phonemes = String::new();
        for (line, (_, mark)) in lines.iter().zip(&clauses) {
            if !phonemes.is_empty() {
                phonemes.push(' ');
            }
            phonemes += line;
            phonemes.extend(*mark);
        }
        Ok(phonemes)
    }

    fn espeak(&mut self, text: &str) -> Result<String, TtsError> {
        if let Some(mut spare) = self.spare.take() {
            // It may have been ended meanwhile; then a new one says what is wrong.
            let answer = spare.give(text).and_then(|()| spare.text());
            match answer {
                Ok(answer) if !answer.trim().is_empty() => return Ok(answer),
                Err(hung @ TtsError::Hung { .. }) => return Err(hung),
                _ => {}
            }
        }
        let mut process = Process::start(ESPEAK, &self.arguments, self.stall)?;
        process.give(text)?;
        process.text()
    }
}

/// The clauses of a sentence with the mark behind each. Marks within numbers and names are none, brackets and dashes are commas.
fn clauses(sentence: &str) -> Vec<(String, Option<char>)> {
    let mut clauses: Vec<(String, Option<char>)> = Vec::new();
    let mut words = String::new();
    let mut chars = sentence.chars().peekable();
    while let Some(c) = chars.next() {
        let ends_word = chars.peek().is_none_or(|next| !next.is_alphanumeric());
        let mark = match c {
            ',' | ';' | ':' | '.' | '?' | '!' if ends_word => Some(c),
            '…' => Some('.'),
            '。' => Some('.'),
            '，' | '、' => Some(','),
            '？' => Some('?'),
            '！' => Some('!'),
            '(' | ')' | '[' | ']' | '{' | '}' | '—' | '–' => Some(','),
            _ => None,
        };
        match mark {
            Some(mark) if words.chars().any(char::is_alphanumeric) => {
                clauses.push((std::mem::take(&mut words).trim().to_string(), Some(mark)));
            }
            // "..." and "?!" are one mark; a full stop behind a bracket outweighs it.
            Some(mark @ ('.' | '?' | '!')) => {
                if let Some((_, last @ Some(','))) = clauses.last_mut() {
                    *last = Some(mark);
                }
            }
            Some(_) => words.clear(),
            None if matches!(c, '"' | '“' | '”' | '«' | '»' | '*' | '_') => words.push(' '),
            None => words.push(c),
        }
    }
    if words.chars().any(char::is_alphanumeric) {
        clauses.push((words.trim().to_string(), None));
    }
    clauses
}

/// Cuts phonemes at the last space within `most`; a word that is longer is cut anywhere.
fn pieces(phonemes: &str, most: usize) -> Vec<String> {
    let chars: Vec<char> = phonemes.chars().collect();
    let mut pieces = Vec::new();
    let mut at = 0;
    while chars.len() - at > most {
        let window = &chars[at..at + most];
        let mark = window.windows(2).rposition(|pair| pair[1] == ' ' && matches!(pair[0], ',' | ';' | ':'));
        let end = mark
            .filter(|&n| n > most / 3)
            .map(|n| n + 1)
            .or_else(|| window.iter().rposition(|c| *c == ' ').filter(|&n| n > 0));
        let end = at + end.unwrap_or(most);
        pieces.push(chars[at..end].iter().collect::<String>().trim().to_string());
        at = end;
    }
    pieces.push(chars[at..].iter().collect::<String>().trim().to_string());
    pieces
}

/// espeak-ng marks words of another language as `(fr)...(en)`, and ends lines; neither is a phoneme.
fn without_language_marks(phonemes: &str) -> String {
    let mut kept = String::new();
    let mut depth = 0;
    for c in phonemes.trim().chars() {
        match c {
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            '\n' => kept.push(' '),
            c if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

/// Sentences: up to and including `.`, `?` or `!` before a space.
pub(super) fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .char_indices()
            .zip(rest.chars().skip(1))
            .find(|((_, c), next)| matches!(c, '.' | '?' | '!') && next.is_whitespace())
            .map_or(rest.len(), |((at, c), _)| at + c.len_utf8());
        let (sentence, after) = rest.split_at(end);
        rest = after;
        Some(sentence)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tts::Normalizer;

    #[test]
    fn text_is_split_into_sentences_but_not_inside_numbers() {
        let parts: Vec<&str> = sentences("It is 21.5 degrees. Really? Yes!  Good").collect();
        assert_eq!(parts, ["It is 21.5 degrees.", "Really?", "Yes!", "Good"]);
    }

    #[test]
    fn clauses_end_at_marks_but_not_inside_numbers_and_names() {
        let found = clauses("At 2.5, A.M (that is: early), he said “go”... then?!");
        let found: Vec<(&str, Option<char>)> = found.iter().map(|(words, mark)| (words.as_str(), *mark)).collect();
        let expected = [
            ("At 2.5", Some(',')),
            ("A.M", Some(',')),
            ("that is", Some(':')),
            ("early", Some(',')),
            ("he said  go", Some('.')),
            ("then", Some('?')),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn long_sentences_are_cut_between_words_and_nothing_is_lost() {
        let text = "wˈɜːd lˈɔŋ, ".repeat(200);
        let cut = pieces(text.trim(), 100);
        assert!(cut.iter().all(|piece| piece.chars().count() <= 100), "{cut:?}");
        assert!(cut[..cut.len() - 1].iter().all(|piece| piece.ends_with(',')), "{cut:?}");
        assert_eq!(cut.join(" "), text.trim());
        assert_eq!(pieces(&"x".repeat(250), 100).concat(), "x".repeat(250));
    }

    #[test]
    fn language_marks_are_no_phonemes() {
        assert_eq!(without_language_marks("wˈɜːld (fr)ʒˈur(en)\n"), "wˈɜːld ʒˈur");
    }

    /// What espeak-ng makes of what used to be said wrong. The phonemes are those of the words.
    #[test]
    fn numbers_units_and_signs_reach_the_voice_as_words() {
        let mut phonemizer = match Phonemizer::open(PhonemeType::Espeak, "en-us", Duration::from_secs(10)) {
            Ok(phonemizer) => phonemizer,
            Err(e @ TtsError::MissingProgram { .. }) => {
                use std::io::Write as _;
                writeln!(std::io::stderr(), "skipped: {e}").unwrap();
                return;
            }
            Err(e) => panic!("{e}"),
        };
        let english = Normalizer::for_voice("en-us");
        let mut said = |text: &str| phonemizer.phonemes(text).unwrap().concat();
        for (written, words) in [
            ("2.5 metres", "two point five meters"),
            ("-4.5 °C", "minus four point five degrees celsius"),
            ("$1,234.50", "one thousand two hundred thirty-four dollars and fifty cents"),
            ("€3.99", "three euros and ninety-nine cents"),
            ("1.5e-3", "one point five times ten to the minus three"),
            ("2.0.1", "two point zero point one"),
            ("example.com", "example dot com"),
            ("joe@example.com", "joe at example dot com"),
            ("1/2", "one half"),
            ("10km/h", "ten kilometers per hour"),
            ("Henry VIII", "Henry the eighth"),
            ("90210", "nine zero two one zero"),
            ("No. 7", "number seven"),
            ("3 * 4", "three times four"),
            ("Main St.", "Main Street."),
            ("20 m²", "twenty square meters"),
            ("60 W", "sixty watts"),
            ("5 oz", "five ounces"),
            ("27\"", "twenty-seven inches"),
            ("5-7", "five to seven"),
            ("#3", "number three"),
            ("e.g. apples", "for example apples"),
            ("3:45 pm", "three forty-five P M"),
            ("Dr. Smith", "Doctor Smith"),
        ] {
            let plain = |phonemes: String| phonemes.replace(['ˈ', 'ˌ', ' '], "");
            assert_eq!(plain(said(&english.normalize(written))), plain(said(words)), "{written}");
        }
        let phonemes = said("two point five metres");
        assert!(phonemes.contains("fˈaɪv") && !phonemes.contains(','), "{phonemes}");
    }
}

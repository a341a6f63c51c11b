//! Text normalization: a table of what is written and what is said, and what must hold of any text.

use nearfield_speech::tts::Normalizer;
use proptest::prelude::*;

fn english(text: &str) -> String {
    Normalizer::for_voice("en-us").normalize(text)
}

#[test]
fn english_text_is_said_as_the_table_has_it() {
    let table = include_str!("data/normalize_english.txt");
    let rows: Vec<(&str, &str)> = table.lines().filter_map(|l| l.split_once(" | ")).collect();
    assert!(rows.len() >= 200, "{} rows", rows.len());
    let wrong: Vec<String> = rows
        .iter()
        .filter(|(written, said)| english(written) != *said)
        .map(|(written, said)| format!("{written:?}: {:?}, expected {said:?}", english(written)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} rows are wrong:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn british_voices_say_and_and_put_the_day_first() {
    let british = Normalizer::for_voice("en-gb+f3");
    assert_eq!(
        british.normalize("105 on 3/11/2026"),
        "one hundred and five on the third of November, twenty twenty-six"
    );
    assert_eq!(british.normalize("1,001"), "one thousand and one");
}

#[test]
fn a_language_without_a_pack_is_left_to_its_engine() {
    for voice in ["de", "fr-fr", "enm", ""] {
        assert_eq!(Normalizer::for_voice(voice).normalize("2,5 m² am 3.11."), "2,5 m² am 3.11.", "{voice}");
    }
}

#[test]
fn each_line_is_a_sentence_of_its_own() {
    assert_eq!(english("- Milk\n- 2 eggs\n\n## Done"), "Milk. two eggs. Done");
}

#[test]
fn hostile_text_takes_time_and_room_in_proportion() {
    for piece in [
        "9",
        "1-",
        "1/2",
        "](",
        "a.b",
        "$1-",
        "1:",
        "**",
        "A.",
        "5-10km/h-",
        "(555) ",
        "1 ",
        "x1",
        "&",
        "'",
        "\"",
        "@a.",
        "1e",
        "VIII ",
    ] {
        let text = piece.repeat(16_000 / piece.len());
        let begun = std::time::Instant::now();
        let said = english(&text);
        assert!(said.len() < 16 * text.len() + 100, "{piece:?} became {} bytes", said.len());
        assert!(begun.elapsed().as_millis() < 2_000, "{piece:?} took {:?}", begun.elapsed());
    }
}

proptest! {
    #[test]
    fn any_text_is_said_without_a_panic_and_no_digit_is_left_to_the_engine(
        parts in prop::collection::vec(prop::sample::select(vec![
            "12", "3.5", "$", "€", "-", "/", ":", ".", ",", " ", "th", "st", "pm", "Nov", "May", "2026", "°C", "m²", "km/h", "%", "#", "*", "(", ")",
            "\"", "'", "St.", "Dr.", "VIII", "Henry", "½", "e", "x", "@", "com", "www.", "https://", "+", "=", "T", "A", "é", "東", "\n", "0", "USD",
        ]), 0..12),
        any in "\\PC{0,30}",
    ) {
        let text = parts.concat() + &any;
        let said = english(&text);
        prop_assert!(!said.contains(|c: char| c.is_ascii_digit()), "{:?} became {:?}", text, said);
        prop_assert!(!said.contains('\n'));
    }
}

//! A second opinion on finished reports, for `bench report` and `eval`: what the check let through is read once more, by simpler
//! rules that share no code with it.

use nearfield_stages::messages::Sentence;
use nearfield_telemetry::table::Table;

/// What a sentence may say only where a line about its sensor says the other.
const CLAIMS: &[(&[&str], &str)] = &[
    (&[" rose ", " climbed ", " increased "], " rose by "),
    (&[" fell ", " dropped ", " decreased ", " declined "], " fell by "),
    (&[" steady", " stable", " constant"], " steady"),
    (&[" spike"], " spike to "),
    (&[" drifted up", " drift up"], " drift up "),
    (&[" drifted down", " drift down"], " drift down "),
    (&[" stuck ", " frozen "], " stuck at "),
    (&[" above ", " exceeded "], " above "),
    (&[" below "], " below "),
    (&[" gap"], " gap"),
];

/// Whether every number of a report stands in its table, in a line about a sensor that its sentence names, and every claim
/// has a line that makes it.
///
/// # Errors
/// The first thing that does not hold.
pub fn holds(table: &Table, sentences: &[Sentence]) -> Result<(), String> {
    let text = table.to_string();
    for sentence in sentences {
        let said = sentence.text.to_lowercase();
        let about = |line: &&str| line.split(": ").next().is_some_and(|name| said.contains(&name.to_lowercase()));
        let lines: Vec<&str> = text.lines().skip(1).filter(about).collect();
        let known: Vec<String> = lines.iter().flat_map(|line| numerals(line)).collect();
        for number in numerals(&sentence.text) {
            // A model may round; then a rounding of the table's number is looked for.
            let fits = |k: &String| {
                let decimals = number.split_once('.').map_or(0, |(_, d)| d.len());
                *k == number
                    || k.parse::<f64>().is_ok_and(|v| format!("{:.decimals$}", v + v.signum() * 1e-9) == number)
            };
            if !known.iter().any(fits) {
                return Err(format!("{number} in {:?} is not in\n{text}", sentence.text));
            }
        }
        for (words, needed) in CLAIMS {
            let claimed = words.iter().find(|word| said.contains(*word));
            if let Some(claim) = claimed.filter(|_| !lines.iter().any(|line| line.contains(needed))) {
                return Err(format!("{claim:?} in {:?} is not in\n{text}", sentence.text));
            }
        }
        if said.contains("nothing unusual") && !table.notes().is_empty() {
            return Err(format!("{:?} is not so in\n{text}", sentence.text));
        }
    }
    Ok(())
}

/// The numbers and times in a text, cut out by eye rather than by the check's reader.
fn numerals(text: &str) -> Vec<String> {
    let inside = |c: char| !(c.is_ascii_digit() || matches!(c, '.' | ':' | '-'));
    let found = text.split(inside).map(|n| n.trim_matches(['.', ':']).to_owned());
    found.filter(|n| n.chars().any(|c| c.is_ascii_digit())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearfield_stages::messages::Origin;

    #[test]
    fn a_number_or_a_claim_of_another_sensor_does_not_hold() {
        let table = crate::eval::table::read(
            "Window: 2 March 2024, 04:42 to 07:42\nHall 2 heat: mean 21.34 °C, lowest 18 at 05:00, highest 24 at 05:47, fell by 4\n\
             mill: mean 7, lowest 1 at 06:00, highest 17 at 05:10, rose by 3\nAnomalies:\nmill: spike to 17 at 05:10",
        )
        .unwrap();
        for (text, right) in [
            ("The Hall 2 heat averaged 21.3 °C and fell by 4 °C.", true),
            ("The mill spiked to 17 at 05:10.", true),
            ("The Hall 2 heat averaged 21.4 °C.", false),
            ("The Hall 2 heat averaged 7 °C.", false),
            ("The Hall 2 heat rose by 4 °C.", false),
            ("The Hall 2 heat spiked to 24 °C at 05:47.", false),
            ("Nothing unusual was seen.", false),
        ] {
            let sentence = Sentence { text: text.to_owned(), origin: Origin::Written };
            assert_eq!(holds(&table, &[sentence]).is_ok(), right, "{text}");
        }
    }
}

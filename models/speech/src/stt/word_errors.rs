//! Counting the errors of a recognizer.

/// Substitutions, deletions and insertions between the words that are due and those that were recognized.
pub fn word_errors(due: &[String], said: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=said.len()).collect();
    for (i, a) in due.iter().enumerate() {
        let mut previous = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in said.iter().enumerate() {
            let best = (row[j + 1] + 1).min(row[j] + 1).min(previous + usize::from(a != b));
            previous = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[said.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_count_substitutions_deletions_and_insertions() {
        let list = |text: &str| text.split_whitespace().map(String::from).collect::<Vec<_>>();
        assert_eq!(word_errors(&list("the light is on"), &list("the light is on")), 0);
        assert_eq!(word_errors(&list("the light is on"), &list("a light on now")), 3);
        assert_eq!(word_errors(&list("one two"), &[]), 2);
    }
}

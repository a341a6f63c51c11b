//! How lists are written in a sentence: alike in captions and in what the language model is told of the home, since the bundled
//! model has learned from the one and the other.

/// `a`, `a and b`, `a, b and c`; nothing of no items.
pub fn joined(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_item_has_an_and() {
        let items = ["a", "b", "c"].map(str::to_owned);
        let joined = [0, 1, 2, 3].map(|n| joined(&items[..n]));
        assert_eq!(joined, ["", "a", "a and b", "a, b and c"]);
    }
}

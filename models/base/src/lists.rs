//! Lists in sentences, written the same way in captions and in the prompt, as the bundled model was trained on both.

/// `a`, `a and b`, `a, b and c`; empty for no items.
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

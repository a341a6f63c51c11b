//! A key that is not known: the nearest known one, in place of the parser's whole list where one is near.

/// Below this likeness (Jaro-Winkler) two keys have nothing in common.
const LIKE: f64 = 0.75;

/// What the parser says of a key that it does not know, as a person wants to read it; anything else as it is.
pub(super) fn explained(message: &str) -> String {
    let Some((unknown, known)) = message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) else {
        return message.to_owned();
    };
    let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    let likeness = |key: &str| strsim::jaro_winkler(key, unknown);
    let nearest = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest.filter(|key| likeness(key) >= LIKE) {
        Some(nearest) => format!("there is no key `{unknown}`; did you mean `{nearest}`?"),
        None if known.is_empty() => format!("there is no key `{unknown}`"),
        None => format!("there is no key `{unknown}`; the keys here are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_named_or_else_all_of_them() {
        for (message, says) in [
            (
                "unknown field `modle`, expected one of `model`, `threads`",
                "there is no key `modle`; did you mean `model`?",
            ),
            (
                "unknown field `zzz`, expected `model` or `threads`",
                "there is no key `zzz`; the keys here are model, threads",
            ),
            ("unknown field `zzz`, there are no fields", "there is no key `zzz`"),
            ("invalid type: string \"x\", expected usize", "invalid type: string \"x\", expected usize"),
        ] {
            assert_eq!(explained(message), says);
        }
    }
}

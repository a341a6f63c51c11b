//! A key that is not known: the nearest known one, in place of the parser's whole list where one is near.

/// Below this likeness (Jaro-Winkler) two keys have nothing in common.
const LIKE: f64 = 0.75;

/// What the parser says of a key that it does not know, as a person wants to read it; anything else as it is.
pub(super) fn explained(message: &str) -> String {
    explained_with(message, &[])
}

/// The same of a table that has more keys than the parser knows, such as the name of a flow.
pub(super) fn explained_with(message: &str, also: &[&'static str]) -> String {
    let Some((unknown, known)) = message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) else {
        return message.to_owned();
    };
    let mut known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    // A table within the flow has no key of that name.
    if known.contains(&"llm") {
        known.splice(0..0, also.iter().copied());
    }
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
        let flow = |key: &str| {
            explained_with(&format!("unknown field `{key}`, expected `llm` or `source`"), &["name", "input"])
        };
        assert_eq!(flow("nam"), "there is no key `nam`; did you mean `name`?");
        assert_eq!(flow("zzz"), "there is no key `zzz`; the keys here are name, input, llm, source");
        let within = explained_with("unknown field `nam`, expected `fps` or `input`", &["name"]);
        assert!(!within.contains("name"), "{within}");
    }
}

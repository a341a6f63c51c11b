//! How a tokenizer cuts a text into words before it merges, and the name that GGUF has for that. llama.cpp's converter knows tokenizers
//! by a hash over what they make of one text; here their rules are compared, so that a vocabulary of one's own with the rules of a known
//! one is converted, too.

use nearfield_gguf::word_patterns::{GPT2, GPT4O, LLAMA3, QWEN2, TEKKEN};
use serde_json::Value;

use crate::ConvertError;
use crate::config::Json;

/// One step of the cutting.
#[derive(Debug, PartialEq)]
enum Step<'a> {
    /// Each match of an expression is a word.
    Split(&'a str),
    /// Each digit is a word.
    Digits,
    /// What GPT-2's expression matches is a word.
    Gpt2,
}

/// The name of a tokenizer's rules.
pub(crate) fn name(tokenizer: &Json) -> Result<&'static str, ConvertError> {
    let mut steps = Vec::new();
    if let Some(pre) = tokenizer.get("pre_tokenizer") {
        gather(pre, &mut steps).map_err(|what| ConvertError::unsupported(&tokenizer.path, what))?;
    }
    let model = tokenizer.get("model");
    let whole_words = model.and_then(|model| model.get("ignore_merges")).and_then(Value::as_bool).unwrap_or(false);
    match (steps.as_slice(), whole_words) {
        ([Step::Split(LLAMA3)], true) => Ok("llama-bpe"),
        ([Step::Split(LLAMA3)], false) => Ok("smaug-bpe"),
        ([Step::Split(QWEN2)], false) => Ok("qwen2"),
        ([Step::Split(GPT4O)], _) => Ok("gpt-4o"),
        ([Step::Split(TEKKEN)], true) => Ok("tekken"),
        ([Step::Gpt2] | [Step::Split(GPT2)], false) => Ok("gpt-2"),
        ([Step::Digits, Step::Gpt2 | Step::Split(GPT2)], false) => Ok("smollm"),
        (steps, _) => {
            let what = format!(
                "its way to cut texts into words is not known: {steps:?}; known are those of GPT-2, SmolLM, Llama 3, Qwen 2, GPT-4o and \
                 Tekken"
            );
            Err(ConvertError::unsupported(&tokenizer.path, what))
        }
    }
}

/// Collects the steps of a pre-tokenizer.
fn gather<'a>(pre: &'a Value, steps: &mut Vec<Step<'a>>) -> Result<(), String> {
    let flag = |key: &str, default: bool| pre.get(key).and_then(Value::as_bool).unwrap_or(default);
    match pre.get("type").and_then(Value::as_str) {
        Some("Sequence") => {
            let list = pre.get("pretokenizers").and_then(Value::as_array);
            for step in list.ok_or("pre_tokenizer: a sequence without steps")? {
                if step.get("type").and_then(Value::as_str) == Some("Sequence") {
                    return Err("pre_tokenizer: a sequence within a sequence is not converted".to_owned());
                }
                gather(step, steps)?;
            }
        }
        Some("Split") => {
            let pattern = pre.get("pattern").and_then(|pattern| pattern.get("Regex")).and_then(Value::as_str);
            let isolated = pre.get("behavior").and_then(Value::as_str) == Some("Isolated") && !flag("invert", false);
            // Some tokenizers remove what lies between matches, which is nothing.
            let removed = pre.get("behavior").and_then(Value::as_str) == Some("Removed") && flag("invert", false);
            match pattern.filter(|_| isolated || removed) {
                Some(pattern) => steps.push(Step::Split(pattern)),
                None => return Err("pre_tokenizer: a step that cuts in a way that is not known".to_owned()),
            }
        }
        Some("Digits") if flag("individual_digits", false) => steps.push(Step::Digits),
        Some("ByteLevel") => {
            if flag("add_prefix_space", true) {
                return Err("pre_tokenizer: a space before each text (add_prefix_space) is not converted".to_owned());
            }
            if flag("use_regex", true) {
                steps.push(Step::Gpt2);
            }
        }
        other => return Err(format!("pre_tokenizer: {} is not converted", other.unwrap_or("one without a type"))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(pre: Value, whole_words: bool) -> Result<&'static str, ConvertError> {
        let Value::Object(object) = json!({"pre_tokenizer": pre, "model": {"ignore_merges": whole_words}}) else {
            unreachable!("an object")
        };
        name(&Json { path: "tokenizer.json".into(), object })
    }

    fn split(pattern: &str) -> Value {
        json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
    }

    #[test]
    fn rules_have_the_names_that_gguf_gives_them() {
        let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
        let gpt2 = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
        let both = |first: Value, then: &Value| json!({"type": "Sequence", "pretokenizers": [first, then]});
        let digits = json!({"type": "Digits", "individual_digits": true});
        assert_eq!(named(both(split(QWEN2), &bytes), false).unwrap(), "qwen2");
        assert_eq!(named(both(split(LLAMA3), &bytes), true).unwrap(), "llama-bpe");
        assert_eq!(named(both(split(LLAMA3), &bytes), false).unwrap(), "smaug-bpe");
        assert_eq!(named(both(digits, &gpt2), false).unwrap(), "smollm");
        assert_eq!(named(gpt2.clone(), false).unwrap(), "gpt-2");
        assert_eq!(named(both(split(TEKKEN), &bytes), true).unwrap(), "tekken");
        for unknown in
            [both(split("x+"), &bytes), json!({"type": "Whitespace"}), both(both(gpt2.clone(), &gpt2), &gpt2)]
        {
            let error = named(unknown, false).unwrap_err().to_string();
            assert!(error.starts_with("tokenizer.json: "), "{error}");
        }
    }
}

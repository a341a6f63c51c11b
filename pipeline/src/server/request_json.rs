//! The JSON of a request. Numbers are taken as clients write them; what is wrong is said of the field it stands in, with what it must be;
//! and a field that would change the answer, and is not supported, is refused by its name rather than passed over.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::failure::Failure;

/// Fields that count something. Some clients write 24.0.
const COUNTS: [&str; 11] = [
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n_predict",
    "top_k",
    "top_logprobs",
    "n",
    "seed",
    "logprobs",
    "n_probs",
    "repeat_last_n",
];
/// Those of them that limit an answer: -1 is no limit.
const LIMITS: [&str; 4] = ["max_tokens", "max_completion_tokens", "max_output_tokens", "n_predict"];
/// What a limit of -1 stands for. The context still ends the answer.
pub const NO_LIMIT: u32 = u32::MAX;
/// The largest body whose fields are tried one by one to find the wrong one.
const MOST_SEARCHED: usize = 64;
/// The most of a value that an error shows.
const MOST_SHOWN: usize = 60;

/// A field that is not supported.
pub struct Unsupported {
    field: &'static str,
    /// A number that asks for nothing, besides 0.
    neutral: Option<f64>,
    /// Whether `true` asks for nothing, and `false` for something.
    is_usual: bool,
    hint: &'static str,
}

const fn unsupported(field: &'static str, hint: &'static str) -> Unsupported {
    Unsupported { field, neutral: None, is_usual: false, hint }
}

const fn unless_one(field: &'static str, hint: &'static str) -> Unsupported {
    Unsupported { field, neutral: Some(1.0), is_usual: false, hint }
}

const fn unless_true(field: &'static str, hint: &'static str) -> Unsupported {
    Unsupported { field, neutral: None, is_usual: true, hint }
}

const BY_SCHEMA: &str = "send response_format with a JSON schema";
const BY_SAMPLING: &str = "choose tokens with temperature, top_p, top_k, min_p and the penalties";
const TEXT_ONLY: &str = "answers are text, which /v1/audio/speech speaks: leave it out";
const OWN_TEMPLATE: &str = "the model's own template is used: leave it out";
const WHOLE: &str = "nothing is stored: send the whole conversation";

const UNTIL_END: &str = "an answer ends where the model ends it: leave it out";

/// What llama.cpp's `/completion`, which takes a schema and tells likelihoods by `n_probs`, may ask for elsewhere, and not here.
pub const UNSUPPORTED_COMPLETION: &[Unsupported] = &[
    unsupported("grammar", "send a json_schema"),
    unsupported("mirostat", BY_SAMPLING),
    unless_one("typical_p", BY_SAMPLING),
    unless_one("tfs_z", BY_SAMPLING),
    unsupported("xtc_probability", BY_SAMPLING),
    unsupported("dry_multiplier", BY_SAMPLING),
    unsupported("dynatemp_range", BY_SAMPLING),
    unsupported("ignore_eos", UNTIL_END),
    unsupported("post_sampling_probs", "n_probs gives the model's own probabilities: leave it out"),
    unsupported("t_max_predict_ms", "send n_predict"),
    unsupported("n_indent", "leave it out"),
    unsupported("lora", "adapters are merged by `nearfield models convert --lora`: leave it out"),
    unsupported("image_data", "send pictures to /v1/chat/completions"),
    unless_one("n_cmpl", "one answer is given here: send /v1/completions with n"),
];

/// The same of Ollama's `options`.
pub const UNSUPPORTED_OPTIONS: &[Unsupported] =
    &[unsupported("mirostat", BY_SAMPLING), unless_one("typical_p", BY_SAMPLING), unless_one("tfs_z", BY_SAMPLING)];

/// What requests for an answer may ask for elsewhere, and not here.
pub const UNSUPPORTED: &[Unsupported] = &[
    unsupported("functions", "send the functions as tools"),
    unsupported("function_call", "send tools, and tool_choice"),
    unsupported("modalities", TEXT_ONLY),
    unsupported("audio", TEXT_ONLY),
    unsupported("web_search_options", "nothing is looked up outside of this machine: leave it out"),
    unsupported("grammar", BY_SCHEMA),
    unsupported("json_schema", BY_SCHEMA),
    unsupported("guided_json", BY_SCHEMA),
    unsupported("guided_regex", BY_SCHEMA),
    unsupported("guided_choice", BY_SCHEMA),
    unsupported("guided_grammar", BY_SCHEMA),
    unsupported("structured_outputs", BY_SCHEMA),
    unless_one("best_of", "all answers that are computed are given: send n"),
    unsupported("use_beam_search", BY_SAMPLING),
    unless_one("length_penalty", BY_SAMPLING),
    unsupported("n_probs", "send logprobs, and top_logprobs"),
    unless_true("add_generation_prompt", "send the text to /v1/completions, with the model's own marks"),
    unsupported("mirostat", BY_SAMPLING),
    unless_one("typical_p", BY_SAMPLING),
    unless_one("tfs_z", BY_SAMPLING),
    unsupported("top_n_sigma", BY_SAMPLING),
    unsupported("xtc_probability", BY_SAMPLING),
    unsupported("dry_multiplier", BY_SAMPLING),
    unsupported("dynatemp_range", BY_SAMPLING),
    unsupported("ignore_eos", UNTIL_END),
    unsupported("min_tokens", UNTIL_END),
    unsupported("continue_final_message", "send the text to /v1/completions, with the model's own marks"),
    unsupported("template", OWN_TEMPLATE),
    unsupported("chat_template", OWN_TEMPLATE),
    unsupported("background", "answers come with the request or as a stream: leave it out"),
    unsupported("conversation", WHOLE),
];

/// Reads the JSON of a request for an answer or anything else.
///
/// # Errors
/// It is no JSON, has a field of another kind than is expected, or one of `refused`.
pub fn parse<T: DeserializeOwned>(text: &[u8], refused: &[Unsupported]) -> Result<T, Failure> {
    let value = serde_json::from_slice(text).map_err(|error| {
        let what: String = error.to_string().chars().take(300).collect();
        Failure::wrong(format!("the body is not JSON: {what}"))
    })?;
    read(value, refused)
}

/// The same of JSON that is read already.
///
/// # Errors
/// As [`parse`].
pub fn read<T: DeserializeOwned>(mut value: Value, refused: &[Unsupported]) -> Result<T, Failure> {
    let Value::Object(fields) = &mut value else {
        return Err(Failure::wrong(format!("the body is {} but must be a JSON object", shown(&value))));
    };
    refuse(fields, refused, "")?;
    take_numbers(fields);
    serde_path_to_error::deserialize(&value).map_err(|error| {
        let path: Vec<Step> = error.path().iter().filter_map(Step::of).collect();
        said(&value, path, &error.inner().to_string(), &|value| T::deserialize(value).err().map(|e| e.to_string()))
    })
}

/// Refuses fields that are not supported, which stand `within` a field of the request (`options.`), or in it.
///
/// # Errors
/// Names the first that asks for something.
pub fn refuse(fields: &Map<String, Value>, refused: &[Unsupported], within: &str) -> Result<(), Failure> {
    for Unsupported { field, neutral, is_usual, hint } in refused {
        let asks = |value: &Value| match is_usual {
            true => value == &Value::Bool(false),
            false => !asks_for_nothing(value, *neutral),
        };
        if fields.get(*field).is_some_and(asks) {
            let failure = Failure::of(&format!("{within}{field}"), format!("is not supported: {hint}"));
            return Err(failure.code("unsupported_parameter"));
        }
    }
    Ok(())
}

fn asks_for_nothing(value: &Value, neutral: Option<f64>) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64().is_some_and(|number| number == 0.0 || Some(number) == neutral),
        Value::String(word) => matches!(word.as_str(), "" | "none" | "auto" | "text"),
        Value::Array(all) => all.iter().all(|one| asks_for_nothing(one, neutral)),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) => false,
    }
}

fn take_numbers(fields: &mut Map<String, Value>) {
    for key in COUNTS {
        let Some(Value::Number(number)) = fields.get(key) else { continue };
        let whole = match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole,
            (None, Some(real)) if number.is_f64() && real.fract() == 0.0 && real.abs() < 9e15 => real as i64,
            _ => continue,
        };
        let taken = match key {
            _ if whole == -1 && LIMITS.contains(&key) => Value::from(NO_LIMIT),
            // llama.cpp's "until the context is full".
            "n_predict" if whole == -2 => Value::from(NO_LIMIT),
            "top_k" if whole == -1 => Value::from(0),
            _ => Value::from(whole),
        };
        fields.insert(key.to_owned(), taken);
    }
}

/// A step from a value to a part of it.
#[derive(Clone, Debug)]
enum Step {
    At(usize),
    Field(String),
}

impl Step {
    fn of(segment: &serde_path_to_error::Segment) -> Option<Self> {
        match segment {
            serde_path_to_error::Segment::Seq { index } => Some(Self::At(*index)),
            serde_path_to_error::Segment::Map { key } => Some(Self::Field(key.clone())),
            serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => None,
        }
    }
}

/// `messages[0].role`
fn written(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::At(index) => text.push_str(&format!("[{index}]")),
            Step::Field(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.extend(name.chars().filter(|c| !c.is_control()).take(MOST_SHOWN));
            }
        }
    }
    text
}

fn part<'a>(value: &'a Value, path: &[Step]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::At(index) => value.get(index),
        Step::Field(name) => value.get(name),
    })
}

/// Says what the parser found, of the field where it stands. Where the parser does not know the field, `failing` is tried without each.
fn said(value: &Value, mut path: Vec<Step>, what: &str, failing: &dyn Fn(&Value) -> Option<String>) -> Failure {
    if let Some(missing) = what.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        path.push(Step::Field(missing.to_owned()));
        return Failure::of(&written(&path), "is missing");
    }
    if path.is_empty()
        && let Value::Object(fields) = value
        && fields.len() <= MOST_SEARCHED
    {
        let is_wrong = |key: &&String| {
            let mut without = fields.clone();
            without.remove(*key);
            // A field that must be there fails otherwise when it is left out.
            let missing = format!("missing field `{key}`");
            failing(&Value::Object(without)).is_none_or(|other| other != what && !other.starts_with(&missing))
        };
        path.extend(fields.keys().find(is_wrong).map(|key| Step::Field(key.clone())));
    }
    let due = what.rsplit_once(", expected ").map(|(_, due)| in_words(due));
    let what: String = what.chars().take(300).collect();
    if path.is_empty() {
        return Failure::wrong(format!("the body is not what is expected here: {what}"));
    }
    match (part(value, &path), due) {
        (Some(found), Some(due)) => Failure::of(&written(&path), format!("is {} but must be {due}", shown(found))),
        _ => Failure::of(&written(&path), what),
    }
}

/// What the parser expected, as clients know it.
fn in_words(due: &str) -> String {
    let due = due.split(" at line").next().unwrap_or(due);
    match due {
        "f32" | "f64" => "a number",
        "usize" | "u8" | "u16" | "u32" | "u64" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        "a string" => "text",
        _ if due.starts_with("struct") || due == "a map" => "an object",
        other => return other.to_owned(),
    }
    .to_owned()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        plain => {
            let text = plain.to_string();
            match text.chars().count() > MOST_SHOWN {
                true => format!("{}…", text.chars().take(MOST_SHOWN).collect::<String>()),
                false => text,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::openai::chat::Body;

    fn wrong(text: &str) -> (String, Option<String>) {
        let failure = parse::<Body>(text.as_bytes(), UNSUPPORTED).err().unwrap();
        (failure.message, failure.param)
    }

    fn chat(more: &str) -> String {
        format!(r#"{{"messages": [{{"role": "user", "content": "hi"}}], {more}}}"#)
    }

    #[test]
    fn what_is_wrong_is_said_of_its_field_with_what_it_must_be() {
        for (text, message) in [
            (chat(r#""temperature": "0.5""#), r#"temperature: is "0.5" but must be a number"#),
            (chat(r#""max_tokens": -2"#), "max_tokens: is -2 but must be a whole number, 0 or more"),
            (chat(r#""max_tokens": 2.5"#), "max_tokens: is 2.5 but must be a whole number, 0 or more"),
            (chat(r#""stream": "yes""#), r#"stream: is "yes" but must be true or false"#),
            (chat(r#""tools": {}"#), "tools: is an object but must be a list"),
            (r#"{"messages": "hi"}"#.to_owned(), r#"messages: is "hi" but must be a list"#),
            (r#"{"messages": [{"content": "hi"}]}"#.to_owned(), "messages[0].role: is missing"),
            (r#"{"messages": [{"role": 1}]}"#.to_owned(), "messages[0].role: is 1 but must be text"),
            ("{}".to_owned(), "messages: is missing"),
        ] {
            let (said, param) = wrong(&text);
            assert_eq!(said, message, "{text}");
            assert_eq!(param.as_deref(), message.split(": ").next(), "{text}");
        }
        assert_eq!(wrong("[]").0, "the body is a list but must be a JSON object");
        assert!(wrong("{").0.starts_with("the body is not JSON: "));
        let long = chat(&format!(r#""temperature": "{}""#, "9".repeat(1000)));
        assert!(wrong(&long).0.len() < 200);
    }

    #[test]
    fn numbers_are_taken_as_clients_write_them() {
        for more in [r#""max_tokens": 24.0"#, r#""max_tokens": -1, "top_k": -1"#, r#""n": 1.0, "seed": -1"#] {
            parse::<Body>(chat(more).as_bytes(), UNSUPPORTED).unwrap();
        }
        let value = |more: &str| {
            let Value::Object(mut fields) = serde_json::from_str(&chat(more)).unwrap() else { unreachable!() };
            take_numbers(&mut fields);
            Value::Object(fields)
        };
        assert_eq!(value(r#""max_tokens": 24.0"#)["max_tokens"], 24);
        let of_llama = value(r#""n_probs": 2.0, "repeat_last_n": -1.0"#);
        assert_eq!((&of_llama["n_probs"], &of_llama["repeat_last_n"]), (&Value::from(2), &Value::from(-1)));
        let none = value(r#""max_tokens": -1, "top_k": -1"#);
        assert_eq!((&none["max_tokens"], &none["top_k"]), (&Value::from(NO_LIMIT), &Value::from(0)));
    }

    #[test]
    fn a_field_that_would_change_the_answer_is_refused_by_its_name() {
        for more in [
            r#""functions": [{"name": "f"}]"#,
            r#""function_call": {"name": "f"}"#,
            r#""modalities": ["text", "audio"]"#,
            r#""audio": {"voice": "alloy"}"#,
            r#""grammar": "root ::= \"a\"""#,
            r#""guided_json": {"type": "object"}"#,
            r#""best_of": 3"#,
            r#""background": true"#,
            r#""template": "{{ .Prompt }}""#,
            r#""add_generation_prompt": false"#,
            r#""tfs_z": 0.5"#,
            r#""n_probs": 3"#,
        ] {
            let (said, param) = wrong(&chat(more));
            let field = more.split('"').nth(1).unwrap();
            assert!(said.starts_with(&format!("{field}: is not supported: ")), "{said}");
            assert_eq!(param.as_deref(), Some(field));
        }
        for more in [
            r#""functions": [], "function_call": "auto", "modalities": ["text"], "audio": null"#,
            r#""best_of": 1, "mirostat": 0, "typical_p": 1.0, "background": false, "template": """#,
            r#""user": "me", "metadata": {"a": "b"}, "store": true"#,
            r#""add_generation_prompt": true, "samplers": ["top_k", "temperature"], "tfs_z": 1.0, "n_probs": 0, "n_predict": -1"#,
        ] {
            parse::<Body>(chat(more).as_bytes(), UNSUPPORTED).unwrap();
        }
    }
}

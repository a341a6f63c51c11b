//! What of a tool's JSON schema is held while a call is being written: a model with random weights, which would write anything, is made to
//! call the tool, and its arguments are held against the schema by another program than the one that held them.

use std::ops::ControlFlow;
use std::sync::Arc;

use nearfield_llm::{
    Chat, ChatOptions, Dialect, GenerateOptions, Llm, Sampler, SamplerOptions, Session, SessionOptions, Thinking,
    ToolSchema, generate,
};
use serde_json::{Value, json};

use crate::synthetic::with_vocabulary;

/// The arguments of calls of a random model, each by another seed; `None` for a dialect that cannot be held.
fn calls(llm: &Arc<Llm>, dialect: Option<Dialect>, tool: &Value) -> Option<Vec<Value>> {
    let mut chat = Chat::new(llm, ChatOptions { dialect, thinking: Thinking::Off }).unwrap();
    chat.offer(vec![tool.clone()], &[]);
    let forced = chat.forced(std::slice::from_ref(tool))?;
    let options = SessionOptions { context_tokens: 2048, ..SessionOptions::default() };
    let write = |seed: u64| {
        let mut session = Session::new(Arc::clone(llm), &options).unwrap();
        let mut tokens = llm.tokenizer().unwrap().encode_prompt("hello");
        tokens.extend(&forced.tokens);
        session.prompt(&tokens, &mut || ControlFlow::Continue(())).unwrap();
        let sampler =
            SamplerOptions { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, seed, ..SamplerOptions::default() };
        let constraint = Some(forced.constraint.clone());
        let options = GenerateOptions { max_tokens: 1800, constraint, ..GenerateOptions::default() };
        let sink = &mut |_: &str| ControlFlow::Continue(());
        let generated = generate(&mut session, &mut Sampler::new(&sampler), &options, sink).unwrap();
        let mut parser = chat.parser();
        parser.push(&forced.opening);
        parser.push(&generated.text);
        let parsed = parser.finish();
        assert_eq!((parsed.calls.len(), parsed.broken.len()), (1, 0), "{tool}: {:?} {generated:?}", parsed.broken);
        parsed.calls[0].arguments.clone()
    };
    Some((0..8).map(write).collect())
}

/// Arguments' schemas, by what they are to prove.
fn held() -> Vec<(&'static str, Value)> {
    let short = json!({"type": "string", "maxLength": 6});
    vec![
        ("pattern", json!({"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"})),
        ("pattern with alternatives", json!({"type": "string", "pattern": "^(left|right) (one|two|three)$"})),
        ("numeric enum", json!({"enum": [1, 2.5, -3, 100]})),
        ("enum of kinds", json!({"enum": ["on", 0, null, true]})),
        ("const", json!({"const": {"a": [1, "x"]}})),
        ("integer range", json!({"type": "integer", "minimum": -5, "maximum": 17})),
        ("exclusive range", json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1})),
        ("multipleOf", json!({"type": "integer", "minimum": 0, "maximum": 100, "multipleOf": 5})),
        ("multipleOf a fraction", json!({"type": "number", "minimum": 0, "maximum": 4, "multipleOf": 0.25})),
        ("lengths", json!({"type": "string", "minLength": 2, "maxLength": 4})),
        (
            "minItems and maxItems",
            json!({"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "minItems": 2, "maxItems": 4}),
        ),
        (
            "prefixItems",
            json!({"type": "array", "prefixItems": [{"enum": ["red", "blue"]}, {"type": "integer", "minimum": 0, "maximum": 9}], "items": false, "minItems": 2}),
        ),
        (
            "prefixItems and more",
            json!({"type": "array", "prefixItems": [{"type": "boolean"}], "items": {"enum": [1, 2]}, "minItems": 1, "maxItems": 3}),
        ),
        ("date", json!({"type": "string", "format": "date"})),
        ("time", json!({"type": "string", "format": "time"})),
        ("date-time", json!({"type": "string", "format": "date-time"})),
        ("duration", json!({"type": "string", "format": "duration"})),
        ("uuid", json!({"type": "string", "format": "uuid"})),
        ("ipv4", json!({"type": "string", "format": "ipv4"})),
        ("nullable", json!({"type": ["integer", "null"], "minimum": 0, "maximum": 3})),
        ("anyOf", json!({"anyOf": [{"type": "integer", "minimum": 10, "maximum": 12}, {"enum": ["auto", "off"]}]})),
        ("references", json!({"$ref": "#/$defs/level"})),
        (
            "nested optionals",
            json!({"type": "object", "properties": {
                "a": {"type": "object", "properties": {"b": {"type": "boolean"}, "c": {"enum": [1, 2]}}, "required": ["c"], "additionalProperties": false},
                "d": {"type": "array", "items": {"type": "object", "properties": {"e": short}, "additionalProperties": false}, "maxItems": 2},
            }, "additionalProperties": false}),
        ),
        (
            "values by pattern of key",
            json!({"type": "object", "patternProperties": {"^k[0-9]$": {"type": "boolean"}}, "additionalProperties": false}),
        ),
    ]
}

/// Whether a time has the second 60.
fn has_leap_second(time: &str) -> bool {
    time.as_bytes().windows(6).any(|it| matches!(it, [b':', b'0'..=b'5', b'0'..=b'9', b':', b'6', b'0']))
}

#[test]
fn only_the_second_may_be_sixty() {
    for (time, leaps) in
        [("23:59:60Z", true), ("2016-12-31T23:59:60+00:00", true), ("23:60:00Z", false), ("10:00:00+02:60", false)]
    {
        assert_eq!(has_leap_second(time), leaps, "{time}");
    }
}

#[test]
fn a_model_that_writes_at_random_writes_arguments_that_fit_the_schema() {
    let (_folder, llm) = with_vocabulary("qwen2", Some("{{ messages[0].content }}<tool_call>"));
    let mut loose = Vec::new();
    for (what, schema) in held() {
        // Beside the argument an optional one, so that a call is more than its value.
        let parameters = json!({"type": "object", "properties": {"value": schema, "loud": {"type": "boolean"}}, "required": ["value"],
            "$defs": {"level": {"type": "integer", "minimum": 1, "maximum": 3}}});
        let tool =
            json!({"type": "function", "function": {"name": "set", "description": "Sets.", "parameters": parameters}});
        let all = calls(&llm, None, &tool).unwrap();
        let validator = jsonschema::options().should_validate_formats(true).build(&parameters).unwrap();
        let ours = ToolSchema::of(&tool).unwrap();
        for arguments in &all {
            // RFC 3339 knows leap seconds, of which the validator takes only those that there can be.
            let leaps = what.contains("time") && arguments["value"].as_str().is_some_and(has_leap_second);
            let error = validator.iter_errors(arguments).next().filter(|_| !leaps);
            let theirs = error.map(|error| error.to_string());
            if let Some(error) = theirs.or(ours.check(arguments).err()) {
                loose.push(format!("{what}: {error}: {arguments}"));
            }
        }
        let mut texts: Vec<String> = all.iter().map(Value::to_string).collect();
        texts.sort();
        texts.dedup();
        assert!(texts.len() > 1, "{what}: the model still chooses: {texts:?}");
    }
    assert!(loose.is_empty(), "{} of the arguments do not fit:\n{}", loose.len(), loose.join("\n"));
}

#[test]
fn in_each_dialect_that_can_be_held_a_random_model_calls_the_tool_as_it_is_declared() {
    let (_folder, llm) = with_vocabulary("qwen2", Some("{{ messages[0].content }}"));
    let parameters = json!({"type": "object", "properties": {"room": {"enum": ["hall", "Küche"]}, "level": {"type": "integer", "minimum": 0, "maximum": 99}},
        "required": ["room", "level"]});
    let tool =
        json!({"type": "function", "function": {"name": "dim", "description": "Dims.", "parameters": parameters}});
    let schema = ToolSchema::of(&tool).unwrap();
    let mut free = Vec::new();
    for name in Dialect::names() {
        let Some(all) = calls(&llm, Dialect::named(name), &tool) else {
            free.push(name);
            continue;
        };
        for mut arguments in all {
            // Between tags and in brackets each argument is held, but not that it is there.
            let may_lack = ["qwen-xml", "glm", "lfm2", "pythonic", "gemma", "mini-max", "mini-cpm"].contains(&name);
            if let (true, Some(object)) = (may_lack, arguments.as_object_mut()) {
                object.entry("room").or_insert(json!("hall"));
                object.entry("level").or_insert(json!(0));
            }
            assert_eq!(schema.check(&arguments), Ok(()), "{name}: {arguments}");
        }
    }
    assert_eq!(free, ["dsml", "solar", "gemma4", "functionary-recipient", "home-llm"]);
}

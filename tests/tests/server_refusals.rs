//! What clients ask for that is not supported is refused by its name; what is supported is held to, whatever the form of the client.

use nearfield_tests::service::Service;
use serde_json::{Value, json};

fn with(base: &Value, more: &Value) -> Value {
    let mut body = base.clone();
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// What the bundled model was trained with.
const SYSTEM: &str = "You are Nearfield, a voice assistant at home. Answer in one or two short sentences.";

fn chat() -> Value {
    json!({"messages": [{"role": "user", "content": "Good morning!"}], "max_tokens": 12, "temperature": 0})
}

fn light(name: &str) -> Value {
    json!({"name": name, "description": "Does something.", "parameters": {"type": "object",
        "properties": {"text": {"enum": ["ha ".repeat(120)]}}, "required": ["text"]}})
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": light(name)})
}

#[test]
fn what_would_change_an_answer_is_refused_by_its_name_in_every_form() {
    let service = Service::start(&[]);
    let (ollama, generate) =
        (json!({"messages": [{"role": "user", "content": "Hello"}]}), json!({"prompt": "Hello", "stream": false}));
    let (responses, completion) = (json!({"input": "Hello"}), json!({"prompt": "One,", "n_predict": 4}));
    let options = |more: Value| json!({"options": more});
    for (path, base, more, name) in [
        ("/v1/responses", &responses, json!({"prompt": {"id": "pmpt_1"}}), "prompt"),
        ("/v1/responses", &responses, json!({"truncation": "middle"}), "truncation"),
        ("/v1/responses", &responses, json!({"top_logprobs": 2}), "include"),
        ("/v1/responses", &responses, json!({"n": 2}), "n: is 2"),
        ("/v1/responses", &responses, json!({"tools": [{"type": "custom", "name": "x"}]}), "tools[0]"),
        ("/v1/chat/completions", &chat(), json!({"tools": [{"type": "custom", "custom": {"name": "x"}}]}), "custom"),
        ("/v1/chat/completions", &chat(), json!({"n_probs": 2}), "n_probs"),
        ("/v1/chat/completions", &chat(), json!({"tfs_z": 0.5}), "tfs_z"),
        ("/v1/chat/completions", &chat(), json!({"add_generation_prompt": false}), "add_generation_prompt"),
        ("/completion", &completion, json!({"mirostat": 2}), "mirostat"),
        ("/completion", &completion, json!({"grammar": "root ::= \"a\""}), "grammar"),
        ("/completion", &completion, json!({"n_probs": 99}), "n_probs"),
        ("/completion", &completion, json!({"repeat_last_n": -2}), "repeat_last_n"),
        ("/api/chat", &ollama, options(json!({"mirostat": 1})), "options.mirostat"),
        ("/api/generate", &generate, options(json!({"typical_p": 0.5})), "options.typical_p"),
        ("/api/generate", &generate, options(json!({"presence_penalty": 3})), "options.presence_penalty"),
        ("/api/generate", &generate, options(json!({"repeat_last_n": -2})), "options.repeat_last_n"),
        ("/api/generate", &generate, json!({"context": [1, 2]}), "context"),
    ] {
        let answer = service.post(path, &with(base, &more));
        assert!(answer.status == 400 && answer.body.contains(name), "{path} {more}: {} {}", answer.status, answer.body);
    }
    for (path, base, more) in [
        ("/v1/responses", &responses, json!({"truncation": "disabled", "prompt": null, "max_output_tokens": 2})),
        ("/v1/responses", &responses, json!({"max_tool_calls": 1, "max_output_tokens": 2})),
        ("/completion", &completion, json!({"samplers": ["top_k"], "n_probs": 2.0, "repeat_last_n": 64.0})),
        ("/api/generate", &generate, options(json!({"mirostat": 0, "typical_p": 1.0, "num_predict": 2}))),
        (
            "/v1/chat/completions",
            &chat(),
            json!({"n_predict": 2, "add_generation_prompt": true, "samplers": ["top_k"]}),
        ),
    ] {
        assert_eq!(service.post(path, &with(base, &more)).status, 200, "{path} {more}");
    }
    let answer = service.send("DELETE", "/api/delete", &[], b"{}");
    assert!(answer.status == 404 && answer.body.contains("/api/delete"), "{} {}", answer.head, answer.body);
    service.send("DELETE", "/v1/models", &[], b"").assert_fails(405, "GET, HEAD");
    service.send("PUT", "/responses", &[], b"").assert_fails(405, "POST");
}

#[test]
fn one_of_is_held_where_its_branches_are_apart_and_refused_elsewhere() {
    let service = Service::start(&[]);
    let apart = json!({"oneOf": [{"const": 4}, {"type": "null"}]});
    let mixed = json!({"oneOf": [{"type": "integer", "multipleOf": 2}, {"type": "integer", "multipleOf": 3}]});
    let format = |schema: &Value| json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
    let text = |schema: &Value| json!({"format": {"type": "json_schema", "name": "x", "schema": schema}});
    let asks = |schema: &Value| {
        [
            ("/v1/chat/completions", with(&chat(), &json!({"response_format": format(schema)}))),
            ("/v1/responses", json!({"input": "Six.", "max_output_tokens": 20, "text": text(schema)})),
            ("/api/generate", json!({"prompt": "Six.", "stream": false, "format": schema})),
            ("/completion", json!({"prompt": "Six:", "n_predict": 20, "json_schema": schema})),
        ]
    };
    for (path, body) in asks(&mixed) {
        let answer = service.post(path, &body);
        assert!(answer.status == 400 && answer.body.contains("oneOf"), "{path}: {} {}", answer.status, answer.body);
    }
    for (path, body) in asks(&apart) {
        let answer = service.post(path, &body).json();
        let places = ["/choices/0/message/content", "/output/0/content/0/text", "/response", "/content"]
            .map(|at| answer.pointer(at));
        let said = places.into_iter().flatten().find_map(Value::as_str).unwrap_or_else(|| panic!("{path}: {answer}"));
        assert!(["4", "null"].contains(&said), "{path}: {said}");
    }
}

#[test]
fn what_a_grammar_holds_is_not_cut_for_repeating_itself() {
    let service = Service::start(&[]);
    let text = "ha ".repeat(120);
    let schema = json!({"const": text});
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
    let body = with(&chat(), &json!({"response_format": format, "max_tokens": 900}));
    let answer = service.chat(&body).json();
    let said: String = serde_json::from_str(answer["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
    assert!(said == text && answer["choices"][0]["finish_reason"] == "stop", "{answer}");
    // The limit ends it: what there is stands there, and the reason says so.
    let answer = service.chat(&with(&body, &json!({"max_tokens": 60}))).json();
    let said = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(
        said.starts_with("\"ha ha ha ha ha ha ha ha") && answer["choices"][0]["finish_reason"] == "length",
        "{answer}"
    );
    let ollama = json!({"prompt": "Say it.", "stream": false, "format": schema, "options": {"num_predict": 60}});
    assert_eq!(service.post("/api/generate", &ollama).json()["done_reason"], "length");
    let input = json!({"input": "Say it.", "max_output_tokens": 60, "text": {"format": {"type": "json_schema", "name": "x", "schema": schema}}});
    assert_eq!(service.post("/v1/responses", &input).json()["status"], "incomplete");

    let called = with(&chat(), &json!({"tools": [tool("send")], "tool_choice": "required", "max_tokens": 900}));
    let answer = service.chat(&called).json();
    let call = &answer["choices"][0]["message"]["tool_calls"][0]["function"];
    let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap_or_default()).unwrap_or_default();
    assert!(arguments["text"] == text.as_str() && answer["choices"][0]["finish_reason"] == "tool_calls", "{answer}");
    let answer = service.chat(&with(&called, &json!({"max_tokens": 60}))).json();
    let choice = &answer["choices"][0];
    assert!(choice["finish_reason"] == "length" && choice["message"]["content"] == "", "{answer}");
}

#[test]
fn allowed_tools_are_the_only_ones_that_are_called() {
    let service = Service::start(&[]);
    let tools = json!([tool("first"), tool("second")]);
    let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [tool("second")]}});
    let body = with(&chat(), &json!({"tools": tools, "tool_choice": allowed, "max_tokens": 900}));
    let answer = service.chat(&body).json();
    assert_eq!(answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "second", "{answer}");
    let flat = |name: &str| with(&json!({"type": "function"}), &light(name));
    let choice =
        json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "second"}]});
    let body = json!({"input": "Good morning!", "tools": [flat("first"), flat("second")], "tool_choice": choice});
    let answer = service.post("/v1/responses", &body).json();
    assert_eq!(answer["output"][0]["name"], "second", "{answer}");
}

#[test]
fn a_stop_string_and_probabilities_are_told_in_the_form_of_the_client() {
    let service = Service::start(&[]);
    let text = json!({"prompt": "One, two, three,", "n_predict": 6, "temperature": 0, "n_probs": 2});
    let free = service.post("/completion", &text).json();
    assert_eq!((&free["stop_type"], &free["stopping_word"]), (&json!("limit"), &json!("")), "{free}");
    let told = free["completion_probabilities"].as_array().unwrap();
    let said: String = told.iter().map(|token| token["token"].as_str().unwrap()).collect();
    assert_eq!(said, free["content"].as_str().unwrap());
    assert!(
        told.iter()
            .all(|token| token["id"] == token["top_logprobs"][0]["id"] && token["logprob"].as_f64() <= Some(0.0))
    );
    let stop = told[2]["token"].as_str().unwrap();
    let stopped = service.post("/completion", &with(&text, &json!({"stop": [stop]}))).json();
    assert_eq!((&stopped["stop_type"], &stopped["stopping_word"]), (&json!("word"), &json!(stop)), "{stopped}");
    let streamed = service.post("/completion", &with(&text, &json!({"stop": [stop], "stream": true}))).events();
    assert_eq!(streamed.last().unwrap()["stop_type"], "word");

    let input = json!({"input": "Good morning!", "instructions": SYSTEM, "max_output_tokens": 6, "temperature": 0, "top_logprobs": 2,
        "include": ["message.output_text.logprobs"]});
    let whole = service.post("/v1/responses", &input).json();
    let part = &whole["output"][0]["content"][0];
    let told = part["logprobs"].as_array().unwrap();
    let said: String = told.iter().map(|token| token["token"].as_str().unwrap()).collect();
    assert!(said.trim() == part["text"].as_str().unwrap().trim() && told[0]["top_logprobs"][1].is_object(), "{whole}");
    let events = service.post("/v1/responses", &with(&input, &json!({"stream": true}))).events();
    let deltas: Vec<&Value> = events
        .iter()
        .filter_map(|event| event["logprobs"].as_array().filter(|_| event["delta"].is_string()))
        .flatten()
        .collect();
    assert_eq!(deltas.len(), told.len());

    let messages = json!([{"role": "system", "content": SYSTEM}, {"role": "user", "content": "Good morning!"}]);
    let asked = json!({"messages": messages, "stream": false, "logprobs": true, "top_logprobs": 2,
        "options": {"num_predict": 6, "temperature": 0}});
    let answer = service.post("/api/chat", &asked).json();
    let told = answer["logprobs"].as_array().unwrap();
    assert!(!told.is_empty() && told[0]["top_logprobs"].as_array().unwrap().len() == 2, "{answer}");
}

#[test]
fn marks_are_tokens_or_text_as_it_is_asked_and_have_their_pieces() {
    let service = Service::start(&[]);
    let pieces = |parse: bool| -> Vec<String> {
        let body = json!({"content": "a<|user|>", "parse_special": parse, "with_pieces": true});
        let answer = service.post("/tokenize", &body).json();
        let tokens = answer["tokens"].as_array().unwrap();
        tokens.iter().map(|token| token["piece"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(pieces(true), ["a", "<|user|>"]);
    let text = pieces(false);
    assert!(text.len() > 2 && text.concat() == "a<|user|>", "{text:?}");
}

#[test]
fn half_a_character_is_left_out_where_a_limit_cuts_it() {
    let service = Service::start(&[]);
    // Only the first byte of an emoji may be written.
    let body = json!({"content": "\u{1f469}", "with_pieces": true});
    let tokens = service.post("/tokenize", &body).json()["tokens"].as_array().unwrap().clone();
    let first = &tokens[0];
    assert!(first["piece"].is_array(), "the emoji is one token: {tokens:?}");
    let bias = json!({first["id"].to_string(): 100});
    let body = with(&chat(), &json!({"max_tokens": 1, "logit_bias": bias}));
    let answer = service.chat(&body).json();
    assert_eq!(answer["choices"][0]["message"]["content"], "", "{answer}");
    let streamed = service.chat(&with(&body, &json!({"stream": true})));
    assert!(!streamed.body.contains('\u{fffd}'), "{}", streamed.body);
}

//! What `nearfield run` gives besides answers: embeddings, log-probabilities, sound in all formats, its own description; and
//! `nearfield batch`.

use std::path::{Path, PathBuf};

use nearfield_speech::audio::read_clip;
use nearfield_testdata::test_model;
use nearfield_tests::service::Service;
use nearfield_tests::{arg, run};
use serde_json::{Value, json};

/// What the bundled model was trained with.
const SYSTEM: &str = "You are Nearfield, a voice assistant at home. Answer in one or two short sentences.";

fn asked(text: &str, more: &Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": text}], "max_tokens": 12, "temperature": 0});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[test]
fn without_a_model_for_embeddings_all_three_forms_name_the_key() {
    let service = Service::start(&[]);
    let answer = service.post("/v1/embeddings", &json!({"input": "a", "model": "text-embedding-3-small"}));
    answer.assert_fails(404, "embeddings.model");
    assert_eq!(answer.json()["error"]["code"], "model_not_found");
    service.post("/embedding", &json!({"content": "a"})).assert_fails(404, "embeddings.model");
    let ollama = service.post("/api/embed", &json!({"input": "a", "model": "x"}));
    assert!(ollama.json()["error"].as_str().unwrap().contains("embeddings.model"), "{}", ollama.body);
}

#[test]
fn a_language_model_embeds_in_all_forms_alike() {
    let model = nearfield_testdata::asset("models/talk-nano.gguf");
    let service = Service::start(&["--set", &format!("embeddings.model={}", model.display())]);
    let answer =
        service.post("/v1/embeddings", &json!({"input": ["Good morning!", "Good night!"], "model": "talk-nano"}));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let answer = answer.json();
    let vector =
        |value: &Value| -> Vec<f64> { value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect() };
    let first = vector(&answer["data"][0]["embedding"]);
    assert!((first.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-3 && answer["data"][1]["index"] == 1);
    assert!(answer["usage"]["prompt_tokens"].as_u64().unwrap() > 4, "{}", answer["usage"]);
    let tokens =
        service.post("/tokenize", &json!({"content": "Good morning!", "add_special": true})).json()["tokens"].clone();
    for (path, body, place) in [
        ("/v1/embeddings", json!({"input": tokens}), "/data/0/embedding"),
        ("/v1/embeddings", json!({"input": [tokens]}), "/data/0/embedding"),
        ("/api/embed", json!({"input": "Good morning!", "model": "talk-nano:latest"}), "/embeddings/0"),
        ("/api/embeddings", json!({"prompt": "Good morning!"}), "/embedding"),
        ("/embedding", json!({"content": "Good morning!"}), "/0/embedding/0"),
    ] {
        let answer = service.post(path, &body).json();
        let other = vector(answer.pointer(place).unwrap_or_else(|| panic!("{path}: {answer}")));
        let cosine: f64 = first.iter().zip(&other).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.9999, "{path}: {cosine}");
    }
    let short = service.post("/v1/embeddings", &json!({"input": "Good morning!", "dimensions": 16})).json();
    let short = vector(&short["data"][0]["embedding"]);
    assert!(short.len() == 16 && (short.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-3);
    for (body, part) in [
        (json!({"input": "a", "dimensions": 1_000_000}), "dimensions"),
        (json!({"input": []}), "empty"),
        (json!({"input": [1_000_000_000]}), "vocabulary"),
        (json!({"input": ["a", 3]}), "must be a text"),
        (json!({"input": "a", "encoding_format": "hex"}), "base64"),
        (json!({"input": "word ".repeat(5000)}), "tokens"),
    ] {
        service.post("/v1/embeddings", &body).assert_fails(400, part);
    }
    service.post("/v1/embeddings", &json!({"input": "a", "model": "other"})).assert_fails(404, "talk-nano");
}

#[test]
fn log_probabilities_are_those_of_the_text_and_the_same_streamed() {
    let service = Service::start(&[]);
    let body = asked("Good morning!", &json!({"logprobs": true, "top_logprobs": 3}));
    service.chat(&body);
    let whole = service.chat(&body).json();
    let choice = &whole["choices"][0];
    let content = choice["logprobs"]["content"].as_array().unwrap_or_else(|| panic!("{whole}"));
    let text: String = content.iter().map(|token| token["token"].as_str().unwrap()).collect();
    assert_eq!(text.trim(), choice["message"]["content"].as_str().unwrap().trim());
    for token in content {
        let log = token["logprob"].as_f64().unwrap();
        let top = token["top_logprobs"].as_array().unwrap();
        assert!(log <= 0.0 && top.len() == 3, "{token}");
        // The likeliest is taken at temperature 0.
        assert_eq!(top[0]["token"], token["token"]);
        assert!(top[0]["logprob"].as_f64() >= top[1]["logprob"].as_f64());
    }
    let mut streamed = body.clone();
    streamed["stream"] = true.into();
    let events = service.chat(&streamed).events();
    let parts = events.iter().filter_map(|event| event["choices"][0]["logprobs"]["content"].as_array());
    let tokens: Vec<&Value> = parts.flatten().map(|token| &token["token"]).collect();
    assert_eq!(tokens, content.iter().map(|token| &token["token"]).collect::<Vec<_>>());

    let done = service.post("/v1/completions", &json!({"prompt": "One, two,", "max_tokens": 6, "logprobs": 2})).json();
    let logprobs = &done["choices"][0]["logprobs"];
    let tokens = logprobs["tokens"].as_array().unwrap();
    let text: String = tokens.iter().map(|token| token.as_str().unwrap()).collect();
    assert_eq!(text, done["choices"][0]["text"].as_str().unwrap());
    assert_eq!(logprobs["text_offset"].as_array().unwrap().len(), tokens.len());
    assert_eq!(logprobs["top_logprobs"][0].as_object().unwrap().len(), 2);

    service.chat(&asked("a", &json!({"top_logprobs": 2}))).assert_fails(400, "logprobs");
    service.chat(&asked("a", &json!({"logprobs": true, "top_logprobs": 21}))).assert_fails(400, "0 to 20");
    service.post("/v1/completions", &json!({"prompt": "a", "suffix": "b"})).assert_fails(400, "suffix");
}

#[test]
fn a_bias_forbids_a_token_and_a_penalty_what_was_written() {
    let service = Service::start(&[]);
    let plain = json!({"prompt": "One, two, three, four,", "max_tokens": 8, "temperature": 0, "logprobs": 0});
    let with = |more: Value| {
        let mut body = plain.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        service.post("/v1/completions", &body)
    };
    let tokens = |more: Value| -> Vec<String> {
        let answer = with(more).json();
        serde_json::from_value(answer["choices"][0]["logprobs"]["tokens"].clone())
            .unwrap_or_else(|_| panic!("{answer}"))
    };
    let first = tokens(json!({}))[0].clone();
    let id = service.post("/tokenize", &json!({"content": first})).json()["tokens"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    let without = tokens(json!({"logit_bias": {id.to_string(): -100}}));
    assert!(!without.contains(&first), "{first:?} in {without:?}");
    let forced = tokens(json!({"logit_bias": {id.to_string(): 100}}));
    assert!(forced.iter().all(|token| *token == first), "{forced:?}");
    let penalised =
        tokens(json!({"logit_bias": {id.to_string(): 50}, "presence_penalty": 2.0, "frequency_penalty": 2.0}));
    assert_eq!(penalised[0], first);
    with(json!({"logit_bias": {"99999999": 1}})).assert_fails(400, "no token of this model");
    with(json!({"logit_bias": {"1": 101}})).assert_fails(400, "-100 to 100");
    with(json!({"presence_penalty": 3})).assert_fails(400, "presence_penalty");
}

#[test]
fn speech_comes_in_every_format_and_is_heard_again() {
    let service = Service::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let has_ffmpeg = std::process::Command::new("ffmpeg").arg("-version").output().is_ok();
    let mut lengths = Vec::new();
    for (format, kind) in [
        ("wav", "audio/wav"),
        ("flac", "audio/flac"),
        ("opus", "audio/ogg"),
        ("mp3", "audio/mpeg"),
        ("aac", "audio/aac"),
    ] {
        if !has_ffmpeg && ["mp3", "aac"].contains(&format) {
            continue;
        }
        let body = json!({"input": "Turn on the kitchen light.", "model": "tts-1", "voice": "alloy", "response_format": format});
        let answer = service.post("/v1/audio/speech", &body);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.head.contains(kind), "{format}: {}", answer.head);
        let path = folder.path().join(format!("said.{format}"));
        std::fs::write(&path, &answer.bytes).unwrap();
        let clip = read_clip(&path).unwrap_or_else(|error| panic!("{format}: {error}"));
        lengths.push((format, clip.duration().as_secs_f64()));
        let heard = transcribed(&service, &path, "json");
        assert!(heard.to_lowercase().contains("kitchen"), "{format}: {heard}");
    }
    let (_, due) = lengths[0];
    for (format, length) in &lengths {
        // Encoders add their own delay.
        assert!((length - due).abs() < 0.12, "{format} lasts {length}, WAV {due}");
    }
    let flac = std::fs::read(folder.path().join("said.flac")).unwrap();
    let opus = std::fs::read(folder.path().join("said.opus")).unwrap();
    let wav = std::fs::read(folder.path().join("said.wav")).unwrap();
    assert!(
        flac.len() * 4 < wav.len() * 3 && opus.len() * 5 < wav.len(),
        "{} {} {}",
        wav.len(),
        flac.len(),
        opus.len()
    );
    // What has no words is silence, and never a sentence of our own.
    for text in ["...", "-", "!!!", "\u{1f389}"] {
        for format in ["wav", "mp3", "flac", "opus"] {
            if format == "mp3" && !has_ffmpeg {
                continue;
            }
            let answer = service.post("/v1/audio/speech", &json!({"input": text, "response_format": format}));
            assert_eq!(answer.status, 200, "{text} {format}: {}", answer.body);
            let path = folder.path().join(format!("silent.{format}"));
            std::fs::write(&path, &answer.bytes).unwrap();
            let clip = read_clip(&path).unwrap_or_else(|error| panic!("{text} {format}: {error}"));
            let loudest = clip.samples.iter().fold(0.0_f32, |most, sample| most.max(sample.abs()));
            assert!(clip.duration().as_secs_f64() < 0.5 && loudest < 0.01, "{text} {format}: {loudest}");
        }
    }
    let wrong = json!({"input": "a", "response_format": "ogg"});
    service.post("/v1/audio/speech", &wrong).assert_fails(400, "wav, mp3, opus, flac, aac or pcm");
    for format in ["text", "srt", "vtt", "verbose_json"] {
        let heard = transcribed(&service, &folder.path().join("said.opus"), format);
        assert!(heard.to_lowercase().contains("kitchen"), "{format}: {heard}");
        assert_eq!(heard.contains("-->"), ["srt", "vtt"].contains(&format), "{heard}");
    }
}

#[test]
fn exclusive_bounds_beside_fractions_are_held_and_joined_objects_get_no_other_property() {
    let service = Service::start(&[]);
    let said = |schema: Value, seed: u64| -> Value {
        let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
        let more = json!({"response_format": format, "max_tokens": 60, "temperature": 1.5, "seed": seed});
        let answer = service.chat(&asked("Say something.", &more)).json();
        let text = answer["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
    };
    for seed in 0..8 {
        for (low, high, schema) in [
            (0.0, 0.01, json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.01})),
            (5.0, 5.500_001, json!({"type": "number", "exclusiveMinimum": 5, "maximum": 5.5})),
            (-0.500_001, 0.0, json!({"type": "number", "minimum": -0.5, "exclusiveMaximum": 0})),
        ] {
            let number = said(schema.clone(), seed).as_f64().unwrap();
            assert!(low < number && number < high, "{number} for {schema}");
        }
        let part = |name: &str| json!({"type": "object", "properties": {name: {"enum": [1, 2]}}, "required": [name]});
        let object = said(json!({"allOf": [part("a"), part("b")]}), seed);
        let keys: Vec<&String> = object.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["a", "b"], "{object}");
    }
}

#[test]
fn a_text_that_is_continued_may_repeat_itself_and_an_answer_that_ends_there_has_stopped() {
    let service = Service::start(&[]);
    // A tiny model that may say one letter only: without a bound it would say it for ever.
    let token = service.post("/tokenize", &json!({"content": "a"})).json()["tokens"][0].to_string();
    let mut bias = serde_json::Map::new();
    bias.insert(token, 100.into());
    let more = json!({"max_tokens": 300, "temperature": 0.0, "logit_bias": bias});
    let answer = service.chat(&asked("Say a.", &more)).json();
    assert_eq!(answer["choices"][0]["finish_reason"], "stop", "{answer}");
    assert!(answer["usage"]["completion_tokens"].as_u64().unwrap() < 200, "{answer}");
    let text = json!({"prompt": "a", "max_tokens": 300, "temperature": 0.0, "logit_bias": bias});
    let answer = service.post("/v1/completions", &text).json();
    assert_eq!(answer["usage"]["completion_tokens"], 300, "{answer}");
    let free = Service::start(&["--set", "server.end_loops=false"]);
    let answer = free.chat(&asked("Say a.", &more)).json();
    assert_eq!(
        (&answer["usage"]["completion_tokens"], &answer["choices"][0]["finish_reason"]),
        (&300.into(), &"length".into())
    );
}

fn transcribed(service: &Service, file: &Path, format: &str) -> String {
    let mut body = Vec::new();
    for (name, value) in [("model", "whisper-1"), ("response_format", format), ("timestamp_granularities[]", "word")] {
        body.extend(format!("--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").as_bytes());
    }
    body.extend(b"--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n");
    body.extend(std::fs::read(file).unwrap());
    body.extend(b"\r\n--x--\r\n");
    let headers = [("content-type", "multipart/form-data; boundary=x")];
    let answer = service.send("POST", "/v1/audio/transcriptions", &headers, &body);
    assert_eq!(answer.status, 200, "{}", answer.body);
    match format {
        "json" => answer.json()["text"].as_str().unwrap().to_owned(),
        "verbose_json" => {
            let told = answer.json();
            assert!(told["words"][0]["end"].as_f64().unwrap() > 0.0 && told["segments"][0]["id"] == 0, "{told}");
            told["text"].as_str().unwrap().to_owned()
        }
        _ => answer.body,
    }
}

#[test]
fn every_route_that_is_described_is_there_and_has_its_methods() {
    let service = Service::start(&[]);
    let document = service.get("/openapi.json").json();
    assert_eq!(document["openapi"], "3.1.0");
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace("{model}", "talk-nano").replace("{camera}", "door");
        for (method, operation) in methods.as_object().unwrap() {
            if path == "/events" {
                continue; // It does not end.
            }
            let answer = service.send(&method.to_uppercase(), &path, &[], b"{}");
            let status = answer.status.to_string();
            let known = operation["responses"].as_object().unwrap();
            assert!(known.contains_key(&status), "{method} {path} answers {status}: {}", answer.body);
            assert!(!answer.body.contains("there is nothing at"), "{method} {path}");
            let refused = service.send("DELETE", &path, &[], b"");
            assert_eq!(refused.status, 405, "{path}");
        }
    }
}

fn batch(folder: &Path, prompts: &str, more: &[&str]) -> (PathBuf, nearfield_tests::Ran) {
    let (input, output) = (folder.join("prompts.jsonl"), folder.join("answers.jsonl"));
    std::fs::write(&input, prompts).unwrap();
    let args = [&["batch", arg(&input), "-o", arg(&output)], more].concat();
    let finished = run(&args);
    (output, finished)
}

fn answers(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_batch_is_answered_in_order_whatever_the_form_of_its_lines_and_goes_on_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut prompts = String::new();
    for n in 0..6 {
        prompts += &format!("{}\n", json!({"id": format!("p{n}"), "prompt": format!("Say the number {n}.")}));
    }
    prompts += &format!("{}\n", json!({"messages": [{"role": "user", "content": "Good morning!"}], "max_tokens": 4}));
    let body = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Good night!"}]});
    let request = json!({"custom_id": "r", "method": "POST", "url": "/v1/chat/completions", "body": body});
    prompts += &format!("{request}\n");
    let (output, finished) = batch(folder.path(), &prompts, &["--max-tokens", "12", "--system", SYSTEM]);
    finished.assert_done();
    let all = answers(&output);
    let lines: Vec<u64> = all.iter().map(|answer| answer["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, (1..=8).collect::<Vec<_>>());
    assert_eq!(all[2]["id"], "p2");
    assert!(all.iter().take(7).all(|answer| !answer["text"].as_str().unwrap().is_empty()), "{all:?}");
    let whole = &all[7];
    assert!(whole["custom_id"] == "r" && whole["response"]["status_code"] == 200, "{whole}");
    assert!(whole["response"]["body"]["choices"][0]["message"]["content"].is_string(), "{whole}");

    // As a kill leaves it: some lines, out of order, and half of one.
    let text = std::fs::read_to_string(&output).unwrap();
    let written: Vec<&str> = text.lines().collect();
    let torn = format!("{}\n{}\n{}", written[4], written[1], &written[0][..20]);
    std::fs::write(&output, torn).unwrap();
    let (output, finished) = batch(folder.path(), &prompts, &["--max-tokens", "12", "--system", SYSTEM]);
    finished.assert_done();
    let again = std::fs::read_to_string(&output).unwrap();
    let kept: Vec<&str> = again.lines().collect();
    assert_eq!((kept[4], kept[1], kept.len()), (written[4], written[1], 8), "what was there stays");
    // Asked otherwise, all are answered anew.
    let (_, finished) = batch(folder.path(), &prompts, &["--max-tokens", "5", "--system", SYSTEM]);
    finished.assert_done();
    assert!(answers(&output).iter().take(6).all(|answer| answer["usage"]["completion_tokens"].as_u64().unwrap() <= 5));
}

#[test]
fn a_batch_says_which_lines_could_not_be_answered_and_tries_them_again() {
    let folder = tempfile::tempdir().unwrap();
    let (output, finished) = batch(folder.path(), "{\"prompt\": \"Good morning!\"}\nnonsense\n", &[]);
    finished.assert_fails(1, &["1 of 2 prompts", "prompts.jsonl:2"]);
    assert!(answers(&output)[1]["error"]["message"].as_str().unwrap().contains("JSON"));
    let (output, finished) =
        batch(folder.path(), "{\"prompt\": \"Good morning!\"}\n{\"prompt\": \"Good night!\"}\n", &[]);
    finished.assert_done();
    assert!(answers(&output).iter().all(|answer| answer["text"].is_string()));
    let mine = folder.path().join("prompts.jsonl");
    run(&["batch", arg(&mine), "-o", arg(&mine)]).assert_fails(2, &["--output"]);
    std::fs::write(&output, "my own notes\n").unwrap();
    run(&["batch", arg(&mine), "-o", arg(&output)]).assert_fails(1, &["no answer of a batch"]);
    assert_eq!(std::fs::read_to_string(&output).unwrap(), "my own notes\n");
}

#[test]
fn a_schema_holds_all_answers_of_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let schema = folder.path().join("kind.json");
    let kinds = json!({"type": "object", "properties": {"kind": {"enum": ["noise", "leak"]}}, "required": ["kind"], "additionalProperties": false});
    std::fs::write(&schema, kinds.to_string()).unwrap();
    let prompts = "{\"prompt\": \"The pump rattles.\"}\n{\"prompt\": \"Water under the valve.\"}\n";
    let (output, finished) =
        batch(folder.path(), prompts, &["--schema", arg(&schema), "--system", "Name the kind of fault."]);
    finished.assert_done();
    for answer in answers(&output) {
        let held: Value = serde_json::from_str(answer["text"].as_str().unwrap()).unwrap();
        assert!(["noise", "leak"].contains(&held["kind"].as_str().unwrap()), "{answer}");
    }
}

#[test]
fn real_minilm_is_served_with_base64_and_with_its_own_runtimes_cosines() {
    let Some(model) = test_model("all-minilm-l6-v2.gguf") else { return };
    let service = Service::start(&["--set", &format!("embeddings.model={}", model.display())]);
    let names = service.get("/v1/models").json();
    assert_eq!(names["data"][1]["id"], "all-minilm-l6-v2", "{names}");
    let texts = ["The lamp in the kitchen is on.", "The light in the kitchen is burning.", "Pump seven is loud."];
    let body = json!({"input": texts, "model": "text-embedding-3-small", "encoding_format": "float"});
    let answer = service.post("/v1/embeddings", &body).json();
    let vectors: Vec<Vec<f64>> = answer["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| serde_json::from_value(it["embedding"].clone()).unwrap())
        .collect();
    let cosine = |a: usize, b: usize| vectors[a].iter().zip(&vectors[b]).map(|(a, b)| a * b).sum::<f64>();
    assert!(vectors[0].len() == 384 && cosine(0, 1) > 0.6 && cosine(0, 2) < 0.3, "{} {}", cosine(0, 1), cosine(0, 2));
    let packed = json!({"input": texts[0], "encoding_format": "base64"});
    let packed = service.post("/v1/embeddings", &packed).json()["data"][0]["embedding"].as_str().unwrap().to_owned();
    assert_eq!(packed.len(), 384 * 4 / 3 * 4);
    let cut = service.post("/api/embed", &json!({"input": "word ".repeat(2000), "model": "all-minilm-l6-v2"}));
    assert_eq!(cut.json()["prompt_eval_count"], 512, "{}", &cut.body[..200.min(cut.body.len())]);
    let kept = json!({"input": "word ".repeat(2000), "truncate": false, "model": "all-minilm-l6-v2"});
    assert_eq!(service.post("/api/embed", &kept).status, 400);
}

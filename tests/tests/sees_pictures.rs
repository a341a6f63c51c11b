//! Language models that see pictures, from outside: a tiny vision-language model with random weights captions pictures and is shown some
//! over HTTP. What it writes is noise; that a picture is seen shows in the tokens that it costs, and in that another one gives other words.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use nearfield_testdata::{asset, vlm};
use nearfield_tests::service::Service;
use nearfield_tests::{arg, run};
use nearfield_vision::{Picture, encode_jpeg};
use serde_json::{Value, json};

/// Embeddings of a tile of the tiny model.
const TILE: u64 = 4;

#[test]
fn a_model_with_a_projector_beside_it_captions_pictures_and_reads_only_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    let model = format!("llm.model={}", vlm::write(folder.path()).display());
    let pictures = asset("pictures");
    let caption = |more: &[&str]| {
        let all = ["caption", "--input", arg(&pictures), "--json", "--set", &model, "--set", "llm.max_tokens=6"];
        run(&[&all, more].concat())
    };
    // Every picture is looked at by the gate; one tile each is shown to the model where the scene has changed.
    let ran = caption(&["--set", "vision.tokens=4", "--set", "output.all=true"]);
    let mut lines = ran.assert_done().json();
    let summary = lines.pop().unwrap()["summary"].clone();
    assert_eq!((summary["by_rule"].as_u64(), summary["failed"].as_u64()), (Some(0), Some(0)), "{summary}");
    let question = "Describe this picture in one sentence.<|end|>assistant: ";
    let behind = question.len() as u64 - "<|end|>".len() as u64 + 1;
    let asked: Vec<&Value> = lines.iter().filter(|line| line["written_by"] == "model").collect();
    assert!(asked.len() >= 2 && asked.len() < lines.len(), "{lines:#?}");
    for line in &asked {
        // The tile, at most the two marks before it, the one behind it, and the question.
        let prefilled = line["tokens"]["prefilled"].as_u64().unwrap();
        assert!((TILE + behind..=TILE + 3 + behind).contains(&prefilled), "{line}");
    }
    // With more tiles other pictures give other words.
    let lines = caption(&[]).assert_done().json();
    assert!(lines.len() > 2 && lines[0]["caption"] != lines[1]["caption"], "{lines:#?}");
    // As many tiles as the model was trained with cost more; a context that is too small for them says how to make room.
    let ran = caption(&["--set", "vision.tokens=0", "--set", "llm.context_tokens=2048"]);
    let many = ran.assert_done().json();
    let prefilled = many[0]["tokens"]["prefilled"].as_u64().unwrap();
    assert!(prefilled > 12 * TILE, "{}", many[0]);
    let ran = caption(&["--set", "vision.tokens=0", "--set", "llm.context_tokens=128"]);
    assert!(ran.stderr.contains("vision.tokens") && ran.stderr.contains("llm.context_tokens"), "{}", ran.stderr);
    // Without its eyes it is told nothing.
    let ran = caption(&["--set", "llm.mmproj=none", "--set", "vision.model=none"]);
    let line = ran.assert_done().json()[0].clone();
    assert_eq!((&line["caption"], &line["written_by"]), (&"A first look at the scene.".into(), &"rule".into()));
}

#[test]
fn a_projector_that_does_not_fit_is_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    vlm::write(folder.path());
    let mmproj = folder.path().join("mmproj-tiny-vlm-f16.gguf");
    let pictures = asset("pictures");
    let caption = |more: &[&str]| run(&[&["caption", "--input", arg(&pictures)], more].concat());
    let named = format!("llm.mmproj={}", mmproj.display());
    caption(&["--set", &named]).assert_fails(1, &["llm.mmproj", "talk-nano", "the language model's"]);
    caption(&["--set", &format!("llm.model={}", mmproj.display())]).assert_fails(1, &["projector file", "llm.mmproj"]);
    caption(&["--set", "llm.mmproj=/nowhere.gguf"]).assert_fails(1, &["llm.mmproj", "/nowhere.gguf"]);
    let bytes = std::fs::read(&mmproj).unwrap();
    std::fs::write(&mmproj, &bytes[..bytes.len() / 2]).unwrap();
    let model = format!("llm.model={}", folder.path().join("tiny-vlm-f32.gguf").display());
    caption(&["--set", &model]).assert_fails(1, &["llm.mmproj", "broken GGUF file"]);
}

fn jpeg(colour: [u8; 3]) -> String {
    let rgb = (0..48 * 32).flat_map(|at| if at % 7 == 0 { [9, 9, 9] } else { colour }).collect();
    BASE64.encode(encode_jpeg(&Picture::from_rgb(48, 32, rgb, "test").unwrap(), 90).unwrap())
}

#[test]
fn pictures_are_taken_over_http_in_the_forms_of_openai_and_ollama() {
    let folder = tempfile::tempdir().unwrap();
    let model = format!("llm.model={}", vlm::write(folder.path()).display());
    let service = Service::start(&["--set", &model, "--set", "llm.context_tokens=1024"]);
    let (red, blue) = (jpeg([200, 20, 20]), jpeg([20, 20, 200]));
    let chat = |picture: &str| {
        let content = json!([{"type": "text", "text": "What is this? "},
            {"type": "image_url", "image_url": {"url": format!("data:image/jpeg;base64,{picture}")}}]);
        json!({"messages": [{"role": "user", "content": content}], "max_tokens": 8, "temperature": 0})
    };
    let plain = json!({"messages": [{"role": "user", "content": "What is this? "}], "max_tokens": 8, "temperature": 0});
    let (said, other) = (service.chat(&chat(&red)).json(), service.chat(&chat(&blue)).json());
    let text = |answer: &Value| answer["choices"][0]["message"]["content"].clone();
    assert_ne!(text(&said), text(&other));
    let tokens = |answer: &Value| answer["usage"]["prompt_tokens"].as_u64().unwrap();
    assert!(tokens(&said) >= tokens(&service.chat(&plain).json()) + TILE, "{said}");
    // The same picture once more: all of it is in the cache, and says the same.
    let again = service.chat(&chat(&blue)).json();
    assert_eq!(text(&again), text(&other));
    let cached = again["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap();
    assert!(cached + 1 >= tokens(&again), "{again}");
    let input = json!([{"role": "user", "content": [{"type": "input_text", "text": "What is this? "},
        {"type": "input_image", "image_url": format!("data:image/jpeg;base64,{red}")}]}]);
    let response = service.post("/v1/responses", &json!({"input": input, "max_output_tokens": 8, "temperature": 0}));
    assert_eq!(response.status, 200, "{}", response.body);
    assert_eq!(response.json()["output"][0]["content"][0]["text"], text(&said));
    let message = json!({"role": "user", "content": "What is this? ", "images": [red]});
    let options = json!({"num_predict": 8, "temperature": 0});
    let ollama = json!({"messages": [message], "stream": false, "options": options});
    assert!(service.post("/api/chat", &ollama).json()["prompt_eval_count"].as_u64().unwrap() > TILE);
    let generate = json!({"prompt": "What is this?", "images": [red], "stream": false, "options": options});
    assert_eq!(service.post("/api/generate", &generate).status, 200);
    let capabilities = service.post("/api/show", &json!({"model": "tiny-vlm-f32"})).json()["capabilities"].clone();
    assert!(capabilities.as_array().unwrap().contains(&"vision".into()), "{capabilities}");
    let wrong = |url: &str| {
        let content = json!([{"type": "image_url", "image_url": {"url": url}}]);
        service.chat(&json!({"messages": [{"role": "user", "content": content}]}))
    };
    wrong("https://example.org/cat.jpg").assert_fails(400, "nothing is fetched");
    wrong("data:image/jpeg;base64,AAAA").assert_fails(400, "the picture");
}

#[test]
fn pictures_for_a_model_without_a_projector_are_refused() {
    let service = Service::start(&[]);
    let url = format!("data:image/jpeg;base64,{}", jpeg([1, 2, 3]));
    let content = json!([{"type": "image_url", "image_url": {"url": url}}]);
    let body = json!({"messages": [{"role": "user", "content": content}]});
    service.chat(&body).assert_fails(400, "takes none");
    let ollama = json!({"messages": [{"role": "user", "content": "a", "images": [jpeg([1, 2, 3])]}]});
    assert!(service.post("/api/chat", &ollama).body.contains("takes none"));
}

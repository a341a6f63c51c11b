//! The bundled talk-nano model against the goldens that its recipe writes: rendered prompts, token ids, logits in double
//! precision, greedy replies. Until both files are in place the test says that it is skipped.

use std::io::Write;
use std::path::PathBuf;

use nearfield_models::Flow;
use nearfield_models::llm::{
    GenerateOptions, Llm, LlmOptions, Message, Sampler, SamplerOptions, Session, SessionOptions, TokenId, generate,
};
use serde_json::Value;

/// Model and goldens: from the environment while a model is being made, otherwise where the bundled ones lie.
fn files() -> Option<(PathBuf, Value)> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let model =
        std::env::var_os("NEARFIELD_TALK_MODEL").map_or(root.join("assets/models/talk-nano.gguf"), PathBuf::from);
    let golden =
        std::env::var_os("NEARFIELD_TALK_GOLDEN").map_or(root.join("models/tests/llm/talk-golden.json"), PathBuf::from);
    if !model.is_file() || !golden.is_file() {
        writeln!(std::io::stderr(), "SKIPPED: {} or {} is not there", model.display(), golden.display()).unwrap();
        return None;
    }
    Some((model, serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap()))
}

#[test]
fn talk_nano_says_what_its_recipe_says() {
    let Some((path, golden)) = files() else { return };
    let llm = Llm::open(&path, &LlmOptions::default()).unwrap();
    assert!(llm.info().has_chat_template);
    let mut session =
        Session::new(llm.clone(), &SessionOptions { context_tokens: 1024, ..SessionOptions::default() }).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let messages: Vec<Message> = serde_json::from_value(case["messages"].clone()).unwrap();
        let text = llm.template().unwrap().render(&messages, &[], true).unwrap();
        assert_eq!(text, case["text"].as_str().unwrap(), "{name}: the rendered prompt");
        let tokens = llm.tokenizer().unwrap().encode_prompt(&text);
        let expected: Vec<TokenId> = serde_json::from_value(case["ids"].clone()).unwrap();
        assert_eq!(tokens, expected, "{name}: token ids");
        session.prompt(&tokens, &mut || Flow::Continue).unwrap();
        let expected: Vec<f32> = serde_json::from_value(case["logits_first_step"].clone()).unwrap();
        let difference = session.logits().iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        eprintln!(
            "{name}: largest difference {difference} of logits up to {}",
            expected.iter().copied().fold(f32::MIN, f32::max)
        );
        // The goldens keep activations in double precision; here they are rounded to 8 bits.
        assert!(difference < 0.6, "{name}: logits differ by {difference}");
        let mut sampler = Sampler::new(&SamplerOptions::default());
        let generated =
            generate(&mut session, &mut sampler, &GenerateOptions::default(), &mut |_| Flow::Continue).unwrap();
        assert_eq!(generated.text, case["greedy_reply"].as_str().unwrap(), "{name}: the reply");
    }
}

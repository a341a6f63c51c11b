//! The bundled talk-nano model against the goldens that its recipe writes: rendered prompts, token ids, logits in double
//! precision, greedy replies. Until both files are in place the test says that it is skipped.

use std::io::Write;
use std::path::PathBuf;

use nearfield_llm::{
    GenerateOptions, Llm, LlmOptions, Message, Role, Sampler, SamplerOptions, Session, SessionOptions, TokenId,
    generate,
};
use serde_json::Value;
use std::ops::ControlFlow;

/// Model and goldens: from the environment while a model is being made, otherwise where the bundled ones lie.
fn files() -> Option<(PathBuf, Value)> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let model =
        std::env::var_os("NEARFIELD_TALK_MODEL").map_or(root.join("assets/models/talk-nano.gguf"), PathBuf::from);
    let golden = std::env::var_os("NEARFIELD_TALK_GOLDEN")
        .map_or(root.join("models/llm/tests/llm/talk-golden.json"), PathBuf::from);
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
        session.prompt(&tokens, &mut || ControlFlow::Continue(())).unwrap();
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
            generate(&mut session, &mut sampler, &GenerateOptions::default(), &mut |_| ControlFlow::Continue(()))
                .unwrap();
        assert_eq!(generated.text, case["greedy_reply"].as_str().unwrap(), "{name}: the reply");
    }
}

/// Home, questions about it and the system text, as the assistant composes them.
fn messages(kitchen: &str, hall: &str, door: &str, temperature: f32, exchanges: &[(String, String)]) -> Vec<Message> {
    let lights = if kitchen == hall {
        format!("lights {kitchen}: kitchen={kitchen} and hall={kitchen}")
    } else {
        let (on, off) = if kitchen == "on" { ("kitchen", "hall") } else { ("hall", "kitchen") };
        format!("lights on: {on}=on\nlights off: {off}=off")
    };
    let (kitchen, hall) = (format!("kitchen={temperature}"), "hall=19".to_owned());
    let ranked = if temperature < 19.0 { [hall, kitchen] } else { [kitchen, hall] }.join(", ");
    let home = format!(
        "{lights}\ndoors {door}: front door={door}\ndevices off: coffee machine=off\nno humidity: hall=none\n\
         humidity %, highest first: kitchen=40\ntemperature °C, warmest first: {ranked}\noutside: 4 °C, rain"
    );
    let system =
        format!("You are Nearfield, a voice assistant at home. Answer in one or two short sentences.\nHome:\n{home}");
    let mut messages = vec![Message::new(Role::System, system)];
    for (question, answer) in exchanges {
        messages.push(Message::new(Role::User, question));
        messages.push(Message::new(Role::Assistant, answer));
    }
    messages
}

#[test]
fn a_history_that_was_moved_is_answered_as_one_that_was_read_again() {
    let Some((path, _)) = files() else { return };
    let llm = Llm::open(&path, &LlmOptions { threads: 2 }).unwrap();
    let session = || {
        let options = SessionOptions { context_tokens: 1024, ..SessionOptions::default() };
        Session::new(llm.clone(), &options).unwrap()
    };
    let tokens = |messages: &[Message], reply: bool| {
        let text = llm.template().unwrap().render(messages, &[], reply).unwrap();
        llm.tokenizer().unwrap().encode_prompt(&text)
    };
    let answer = |session: &mut Session| {
        let options = GenerateOptions { max_tokens: 40, ..GenerateOptions::default() };
        let mut sampler = Sampler::new(&SamplerOptions::default());
        generate(session, &mut sampler, &options, &mut |_| ControlFlow::Continue(())).unwrap().text
    };
    let questions = [
        "Is the light in the kitchen on?",
        "How warm is it in the kitchen?",
        "Is the front door locked?",
        "Is the hall light on?",
        "What is the weather like?",
        "Is the coffee machine on?",
    ];
    let (mut asked, mut same, mut prefilled, mut spared) = (0, 0, 0, 0);
    for round in 0..12usize {
        let (kitchen, hall) = (["on", "off"][round % 2], ["on", "off"][round / 2 % 2]);
        let (door, temperature) = (["locked", "unlocked"][round / 3 % 2], 18.0 + round as f32 / 2.0);
        let mut moved = session();
        let mut exchanges: Vec<(String, String)> = Vec::new();
        for turn in 0..5 {
            let question = questions[(round + turn) % questions.len()].to_owned();
            let mut prompt = messages(kitchen, hall, door, temperature, &exchanges);
            prompt.push(Message::new(Role::User, &question));
            moved.prompt(&tokens(&prompt, true), &mut || ControlFlow::Continue(())).unwrap();
            let reply = answer(&mut moved);
            exchanges.push((question, reply));
        }
        // The oldest exchanges are dropped.
        let kept = &exchanges[1 + round % 2..];
        for question in questions {
            let mut prompt = messages(kitchen, hall, door, temperature, kept);
            prompt.push(Message::new(Role::User, question));
            let prompt = tokens(&prompt, true);
            let mut here = moved.fork().unwrap();
            let prefill = here.prompt_moving(&prompt, 24, &mut || ControlFlow::Continue(())).unwrap();
            let mut cold = session();
            cold.prompt(&prompt, &mut || ControlFlow::Continue(())).unwrap();
            asked += 1;
            prefilled += prefill.prefilled;
            spared += prefill.moved;
            let (moved, read) = (answer(&mut here), answer(&mut cold));
            if moved == read {
                same += 1;
            } else {
                eprintln!("{question}: moved {moved:?}, read again {read:?}");
            }
        }
    }
    eprintln!("{same} of {asked} answers are equal; {prefilled} tokens computed, {spared} moved");
    assert!(same * 100 >= asked * 90, "{same} of {asked} answers are equal");
    assert!(spared > prefilled, "{spared} tokens moved, {prefilled} computed");
}

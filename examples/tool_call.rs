//! Lets the model call a function: the schema goes into the prompt, and once the model begins a call it can write only a valid one:
//! `tool_call ["a request" [MODEL.gguf]]`.

use std::ops::ControlFlow;

use nearfield_examples::argument_or_asset;
use nearfield_llm::{
    GenerateOptions, Llm, LlmOptions, Message, Role, Sampler, SamplerOptions, Session, SessionOptions, generate,
};
use nearfield_stages::voice::tool_calls::{ToolCallFilter, constraint};
use serde_json::json;

const SYSTEM: &str = "You are Nearfield, a voice assistant at home. Answer in one or two short sentences.\n\
Home:\nlights off: kitchen=off and hall=off";

fn main() -> anyhow::Result<()> {
    let request = std::env::args().nth(1).unwrap_or_else(|| "Turn on the kitchen light.".to_owned());
    let llm = Llm::open(&argument_or_asset(2, "models/talk-nano.gguf"), &LlmOptions::default())?;
    let mut session = Session::new(llm.clone(), &SessionOptions { context_tokens: 1024, ..SessionOptions::default() })?;

    let tools = [json!({"type": "function", "function": {
        "name": "set_light",
        "description": "Switches the light of a room.",
        "parameters": {
            "type": "object",
            "properties": {"room": {"enum": ["kitchen", "hall"]}, "state": {"enum": ["on", "off"]}},
            "required": ["room", "state"],
        },
    }})];
    let messages = [Message::new(Role::System, SYSTEM), Message::new(Role::User, request)];
    let prompt = llm.template()?.render(&messages, &tools, true)?;
    session.prompt(&llm.tokenizer()?.encode_prompt(&prompt), &mut || ControlFlow::Continue(()))?;

    let options = GenerateOptions { max_tokens: 80, constraint: constraint(&tools), ..GenerateOptions::default() };
    let mut sampler = Sampler::new(&SamplerOptions::default());
    let mut filter = ToolCallFilter::new();
    generate(&mut session, &mut sampler, &options, &mut |piece| {
        print!("{}", filter.push(piece)); // Only what may be spoken; calls stay in the filter.
        ControlFlow::Continue(())
    })?;
    let reply = filter.finish();
    println!("{}", reply.rest);
    for call in reply.calls {
        println!("call {} with {}", call.name, call.arguments);
    }
    Ok(())
}

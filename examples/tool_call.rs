//! Offers the model a function: the schema goes into the prompt in the model's own dialect, and a call, once begun, can only be a
//! valid one. `tool_call ["a request" [MODEL.gguf]]`.

use std::ops::ControlFlow;

use nearfield_examples::argument_or_asset;
use nearfield_llm::{
    Chat, ChatOptions, GenerateOptions, Llm, LlmOptions, Message, Role, Sampler, SamplerOptions, Session,
    SessionOptions, generate,
};
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
    let mut chat = Chat::new(&llm, ChatOptions::default())?;
    chat.offer(tools.to_vec(), &[]);
    let messages = [Message::new(Role::System, SYSTEM), Message::new(Role::User, request)];
    session.prompt(&chat.prompt(&messages, true)?, &mut || ControlFlow::Continue(()))?;

    let options = GenerateOptions { max_tokens: 80, lazy: chat.constraints(&tools), ..GenerateOptions::default() };
    let mut sampler = Sampler::new(&SamplerOptions::default());
    let mut parser = chat.parser();
    generate(&mut session, &mut sampler, &options, &mut |piece| {
        print!("{}", parser.push(piece)); // Only the text; calls stay in the parser.
        ControlFlow::Continue(())
    })?;
    let reply = parser.finish();
    println!("{}", reply.rest);
    for call in reply.calls {
        println!("call {} with {}", call.name, call.arguments);
    }
    Ok(())
}

//! Holds what the model writes to a JSON schema: the result always parses, whatever the model: `constrained_json [MODEL.gguf]`.

use std::ops::ControlFlow;

use nearfield_examples::argument_or_asset;
use nearfield_llm::{
    Constrained, Constraint, GenerateOptions, Llm, LlmOptions, Message, Role, Sampler, SamplerOptions, Session,
    SessionOptions, generate,
};
use serde_json::json;

fn main() -> anyhow::Result<()> {
    let llm = Llm::open(&argument_or_asset(1, "models/talk-nano.gguf"), &LlmOptions::default())?;
    let mut session = Session::new(llm.clone(), &SessionOptions { context_tokens: 512, ..SessionOptions::default() })?;
    let message = Message::new(Role::User, "Turn on the kitchen light.");
    let prompt = llm.template()?.render(&[message], &[], true)?;
    session.prompt(&llm.tokenizer()?.encode_prompt(&prompt), &mut || ControlFlow::Continue(()))?;

    let schema = json!({
        "type": "object",
        "properties": {
            "room": {"enum": ["kitchen", "hall", "bedroom"]},
            "state": {"enum": ["on", "off"]}
        },
        "required": ["room", "state"],
        "additionalProperties": false,
        "x-guidance": {"whitespace_flexible": false}
    });
    let constraint = Some(Constrained { constraint: Constraint::JsonSchema(schema), after: None });
    let options = GenerateOptions { max_tokens: 60, constraint, ..GenerateOptions::default() };
    let mut sampler = Sampler::new(&SamplerOptions::default());
    let generated = generate(&mut session, &mut sampler, &options, &mut |_| ControlFlow::Continue(()))?;
    let value: serde_json::Value = serde_json::from_str(&generated.text)?;
    println!("{value}");
    Ok(())
}

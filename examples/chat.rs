//! Streams a reply, token by token: `chat ["a question" [MODEL.gguf]]`.

use std::io::Write;
use std::ops::ControlFlow;

use nearfield_examples::argument_or_asset;
use nearfield_llm::{
    GenerateOptions, Llm, LlmOptions, Message, Role, Sampler, SamplerOptions, Session, SessionOptions, generate,
};

const SYSTEM: &str = "You are Nearfield, a voice assistant at home. Answer in one or two short sentences.\n\
Home:\nlights on: kitchen=on and hall=on";

fn main() -> anyhow::Result<()> {
    let question = std::env::args().nth(1).unwrap_or_else(|| "Is the kitchen light on?".to_owned());
    let llm = Llm::open(&argument_or_asset(2, "models/talk-nano.gguf"), &LlmOptions::default())?;
    let mut session = Session::new(llm.clone(), &SessionOptions { context_tokens: 512, ..SessionOptions::default() })?;

    // The file carries the chat template: it writes the conversation in the form that the model was trained on.
    let prompt =
        llm.template()?.render(&[Message::new(Role::System, SYSTEM), Message::new(Role::User, question)], &[], true)?;
    session.prompt(&llm.tokenizer()?.encode_prompt(&prompt), &mut || ControlFlow::Continue(()))?;

    let mut sampler = Sampler::new(&SamplerOptions::default());
    let options = GenerateOptions { max_tokens: 80, ..GenerateOptions::default() };
    let generated = generate(&mut session, &mut sampler, &options, &mut |piece| {
        print!("{piece}");
        match std::io::stdout().flush() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()), // Nobody reads any more: generation ends.
        }
    })?;
    println!("\n({} tokens, {:?})", generated.tokens, generated.finish);
    Ok(())
}

//! What a build without the feature `grammar` does where a text is to be constrained.

use std::ops::ControlFlow;
use std::path::Path;

use nearfield_llm::{
    Chat, ChatOptions, Constrained, Constraint, GenerateOptions, Llm, LlmOptions, Message, Role, Sampler,
    SamplerOptions, Session, SessionOptions, generate,
};
use serde_json::json;

#[test]
fn without_the_feature_grammar_a_constraint_is_an_error_that_names_the_feature_and_tools_are_called_freely() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/models/talk-nano.gguf"));
    let llm = Llm::open(path, &LlmOptions::default()).unwrap();
    let regex = Constraint::Regex("[0-9]+".to_owned());
    let said = llm.check_constraint(&regex).unwrap_err().to_string();
    assert_eq!(
        said,
        "the regular expression for the model's output cannot be used: this build leaves constraints out; build it with the \
         feature `grammar`"
    );
    let tool =
        json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}});
    let mut chat = Chat::new(&llm, ChatOptions::default()).unwrap();
    assert!(chat.constraints(std::slice::from_ref(&tool)).is_empty());
    assert!(chat.forced(&[tool]).is_none() && chat.plain().is_none() && chat.prose().is_none());

    let mut session = Session::new(llm.clone(), &SessionOptions::default()).unwrap();
    let messages = [
        Message::new(Role::System, "You are a helpful voice assistant."),
        Message::new(Role::User, "Turn on the kitchen light."),
    ];
    let prompt = chat.prompt(&messages, true).unwrap();
    session.prompt(&prompt, &mut || ControlFlow::Continue(())).unwrap();
    let mut sampler = Sampler::new(&SamplerOptions::default());
    let free = GenerateOptions { max_tokens: 8, ..GenerateOptions::default() };
    let held = GenerateOptions { constraint: Some(Constrained { constraint: regex, after: None }), ..free.clone() };
    assert_eq!(
        generate(&mut session, &mut sampler, &held, &mut |_| ControlFlow::Continue(())).unwrap_err().to_string(),
        said
    );
    let text = generate(&mut session, &mut sampler, &free, &mut |_| ControlFlow::Continue(())).unwrap().text;
    assert!(!text.is_empty());
}

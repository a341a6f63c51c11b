//! Home Assistant as a client of the language model: its prompt lists the entities of its home, and its tools act on them. As everywhere in
//! Nearfield the sentence matcher comes first: a command that it understands surely becomes calls of these tools at once, and what the
//! model calls is held against the entities that exist. Leaves out questions about states, which the prompt does not tell.

mod calls;
mod context;

use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use jiff::Zoned;
use nearfield_home::sentences::{Matcher, Outcome, Setting, Step};
use nearfield_home::{done, spoken};
use nearfield_llm::{Message, Role, ToolCall};
use serde_json::Value;

use crate::config::HomeConfig;
pub use context::Context;

/// Words of commands that depend on states, of which the prompt tells nothing.
const CONDITIONS: &[&str] = &["if", "unless", "when", "while", "until", "whether", "already", "still", "not", "except"];
/// More calls than these are left to the model: a command of that size deserves a question.
const MOST_CALLS: usize = 16;

/// What the matcher makes of a conversation.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// The tools that do what was asked.
    Calls(Vec<ToolCall>),
    /// They were called: what is said.
    Said(String),
}

/// The sentence matcher for homes of clients.
pub struct Assist {
    matcher: Option<Mutex<Matcher>>,
}

impl Assist {
    /// With a matcher; with none the model answers everything.
    pub fn new(matcher: Option<Matcher>) -> Self {
        Self { matcher: matcher.map(Mutex::new) }
    }

    /// As `home.matcher` and `home.sentences` say.
    ///
    /// # Errors
    /// The user's own sentences can't be read.
    pub fn load(config: &HomeConfig) -> anyhow::Result<Self> {
        if !config.matcher {
            return Ok(Self::new(None));
        }
        let matcher = Matcher::english()?;
        Ok(Self::new(Some(match config.sentences.as_os_str().is_empty() {
            true => matcher,
            false => matcher.with_sentences(&config.sentences).context("`home.sentences`")?,
        })))
    }

    /// The answer to a conversation, where its last command can mean one thing only and these tools can do it.
    pub fn answer(&self, messages: &[Message], context: &Context, tools: &[Value]) -> Option<Answer> {
        let at = messages.iter().rposition(|message| message.role == Role::User)?;
        let request = &messages[at].content;
        if spoken::words(request).iter().any(|word| CONDITIONS.contains(&word.as_str())) {
            return None;
        }
        let home = context.home();
        let setting = Setting {
            home,
            area: context.area(),
            now: Zoned::now().datetime(),
            last: &[],
            before: None,
            has_timers: false,
        };
        let mut matcher = self.matcher.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let Outcome::Do(steps) = matcher.understand(request, &setting) else { return None };
        drop(matcher);
        let (mut due, mut said) = (Vec::new(), Vec::new());
        for step in steps {
            let Step::Act(reading) = step else { return None };
            for call in &reading.calls {
                due.extend(calls::of(call, home, tools)?);
            }
            // What is said holds whatever the states were: they are Home Assistant's.
            said.push(done(home, &reading.calls));
        }
        if due.is_empty() || due.len() > MOST_CALLS {
            return None;
        }
        match &messages[at + 1..] {
            [] => Some(Answer::Calls(due)),
            // Only our own calls are followed by as many results; what failed is for the model to explain.
            [called, results @ ..]
                if called.role == Role::Assistant
                    && results.len() == due.len()
                    && due.iter().all(|call| called.content.contains(&call.name))
                    && results.iter().all(|result| result.role == Role::Tool && has_succeeded(&result.content)) =>
            {
                Some(Answer::Said(said.join(" ")))
            }
            _ => None,
        }
    }
}

/// Whether a tool's result, as Home Assistant words it, is no failure.
fn has_succeeded(result: &str) -> bool {
    let Ok(Value::Object(result)) = serde_json::from_str::<Value>(result) else { return false };
    let fails = |result: &serde_json::Map<String, Value>| {
        result.get("error").is_some_and(|error| !error.is_null())
            || result.get("response_type").is_some_and(|kind| kind == "error")
            || result.get("success").is_some_and(|success| success == false)
    };
    !fails(&result) && !result.get("data").and_then(Value::as_object).is_some_and(fails)
}

/// Holds a call that the model wrote against the entities that exist: what contradicts the one that it names is left out.
pub fn corrected(call: &mut ToolCall, context: &Context) {
    calls::correct(call, context.home());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tools as Home Assistant 2026.2 words them, shortened to what is read of them.
    pub fn tools() -> Vec<Value> {
        let tool = |name: &str, properties: &[&str]| {
            let properties: serde_json::Map<String, Value> =
                properties.iter().map(|key| ((*key).to_owned(), serde_json::json!({"type": "string"}))).collect();
            serde_json::json!({"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": properties}}})
        };
        let place = ["name", "area", "floor", "domain"];
        vec![
            tool("HassTurnOn", &["name", "area", "floor", "domain", "device_class"]),
            tool("HassTurnOff", &["name", "area", "floor", "domain", "device_class"]),
            tool("HassLightSet", &["name", "area", "floor", "domain", "brightness", "color"]),
            tool("HassSetPosition", &["name", "area", "floor", "domain", "device_class", "position"]),
            tool("HassVacuumStart", &place),
            tool("HassListAddItem", &["item", "name"]),
            tool("GetLiveContext", &[]),
        ]
    }

    pub const PROMPT: &str = "You are a voice assistant for Home Assistant.\nWhen controlling Home Assistant always call the intent tools.\n\
        You are in area Kitchen and all generic commands like 'turn on the lights' should target this area.\n\
        Static Context: An overview of the areas and the devices in this smart home:\n\
        - names: Bed Light\n  domain: light\n  areas: Bedroom\n- names: 'Kitchen: Light, Worktop'\n  domain: light\n  areas: Kitchen\n\
        - names: Front Door\n  domain: lock\n- names: Roller Blind\n  domain: cover\n  areas: Bedroom, Sleeping Room\n\
        - names: Shopping List\n  domain: todo\n\nAnswer briefly.";

    fn asked(request: &str) -> Vec<Message> {
        vec![Message::new(Role::System, PROMPT), Message::new(Role::User, request)]
    }

    fn answer(messages: &[Message]) -> Option<Answer> {
        let context = Context::of(messages, &tools()).expect("the prompt is Home Assistant's");
        Assist::new(Some(Matcher::english().unwrap())).answer(messages, &context, &tools())
    }

    fn calls(request: &str) -> Vec<String> {
        match answer(&asked(request)) {
            Some(Answer::Calls(calls)) => {
                calls.iter().map(|call| format!("{} {}", call.name, call.arguments)).collect()
            }
            other => panic!("{request}: {other:?}"),
        }
    }

    #[test]
    fn plain_commands_become_calls_of_home_assistants_tools() {
        assert_eq!(calls("Turn on the bed light."), [r#"HassTurnOn {"domain":["light"],"name":"Bed Light"}"#]);
        assert_eq!(
            calls("Set the bed light to 30 percent"),
            [r#"HassLightSet {"brightness":30,"domain":["light"],"name":"Bed Light"}"#]
        );
        assert_eq!(calls("Lock the front door"), [r#"HassTurnOn {"domain":["lock"],"name":"Front Door"}"#]);
        assert_eq!(calls("Unlock the front door"), [r#"HassTurnOff {"domain":["lock"],"name":"Front Door"}"#]);
        assert_eq!(
            calls("Open the roller blind to 50%"),
            [r#"HassSetPosition {"domain":["cover"],"name":"Roller Blind","position":50}"#]
        );
        assert_eq!(
            calls("Add milk to the shopping list"),
            [r#"HassListAddItem {"item":"milk","name":"Shopping List"}"#]
        );
    }

    #[test]
    fn what_depends_on_states_or_on_tools_that_are_not_there_is_left_to_the_model() {
        for request in [
            "Is the bed light on?",
            "Turn on the bed light if it is dark",
            "Toggle the bed light",
            "Make the bed light brighter",
            "What is the capital of France?",
            "Turn on the heating in the cellar",
        ] {
            assert_eq!(answer(&asked(request)), None, "{request}");
        }
        let messages = asked("Turn on the bed light");
        let context = Context::of(&messages, &tools()).unwrap();
        let others = &tools()[1..];
        assert_eq!(Assist::new(Some(Matcher::english().unwrap())).answer(&messages, &context, others), None);
        assert_eq!(Assist::new(None).answer(&messages, &context, &tools()), None);
    }

    #[test]
    fn what_was_done_is_said_and_what_failed_is_left_to_the_model() {
        let mut messages = asked("Turn on the bed light");
        messages.push(Message::new(Role::Assistant, r#"<tool_call>{"name": "HassTurnOn"}</tool_call>"#));
        let done =
            r#"{"speech":{},"response_type":"action_done","data":{"success":[{"name":"Bed Light"}],"failed":[]}}"#;
        let result = |text: &str| [&messages[..], &[Message::new(Role::Tool, text)]].concat();
        assert_eq!(answer(&result(done)), Some(Answer::Said("Turned on the Bed Light.".to_owned())));
        for failed in
            [r#"{"error":"MatchFailedError"}"#, r#"{"data":{"response_type":"error"},"error":null}"#, "nothing", "[]"]
        {
            assert_eq!(answer(&result(failed)), None, "{failed}");
        }
        assert_eq!(answer(&[result(done), result(done)[3..].to_vec()].concat()), None, "more results than calls");
    }

    #[test]
    fn arguments_that_contradict_the_entity_that_a_call_names_are_left_out() {
        let messages = asked("Turn on the bed light");
        let context = Context::of(&messages, &tools()).unwrap();
        let held = |arguments: Value| {
            let mut call = ToolCall { name: "HassTurnOn".to_owned(), arguments };
            corrected(&mut call, &context);
            call.arguments.to_string()
        };
        let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(
            held(json(r#"{"name":"bed light","area":"bed","floor":"1","domain":["light"]}"#)),
            r#"{"domain":["light"],"name":"bed light"}"#
        );
        assert_eq!(
            held(json(r#"{"name":"Bed Light","area":"bedroom","domain":["switch"],"device_class":["outlet"]}"#)),
            r#"{"area":"bedroom","domain":["light"],"name":"Bed Light"}"#
        );
        assert_eq!(held(json(r#"{"name":"Kitchen","domain":["light"]}"#)), r#"{"area":"Kitchen","domain":["light"]}"#);
        // What names nothing that exists stays as it is: Home Assistant says so to the model.
        assert_eq!(held(json(r#"{"name":"Nothing","area":"bed"}"#)), r#"{"area":"bed","name":"Nothing"}"#);
        assert_eq!(held(json(r#""no object""#)), r#""no object""#);
    }

    #[test]
    fn prompts_of_others_are_not_read_as_home_assistants() {
        let others = [Message::new(Role::System, "You are helpful."), Message::new(Role::User, "Turn on the light")];
        assert!(Context::of(&others, &tools()).is_none());
        assert!(Context::of(&asked("Turn on the light"), &[]).is_none());
        let broken = PROMPT.replace("- names: Bed Light", "- {[");
        assert!(Context::of(&[Message::new(Role::System, broken)], &tools()).is_none());
    }
}

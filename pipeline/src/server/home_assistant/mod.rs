//! Home Assistant as a client of the language model: its prompt lists the entities of its home, and its tools act on them. As everywhere in
//! Nearfield the sentence matcher comes first: a command that it understands surely becomes calls of these tools at once, and what the
//! model calls is held against the entities that exist. Leaves out questions about states, which the prompt does not tell.

mod calls;
mod context;

use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use jiff::Zoned;
use nearfield_home::sentences::{Matcher, Outcome, Reading, Setting, Step};
use nearfield_home::{Home, done, spoken};
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
        let readings = self.readings(request, context.home(), context.area())?;
        // Only what is the same whatever the states are: they are Home Assistant's, and not known here.
        let elsewhere = self.readings(request, context.in_other_states(), context.area())?;
        if readings.iter().map(|it| &it.calls).ne(elsewhere.iter().map(|it| &it.calls)) {
            return None;
        }
        let (mut due, mut said) = (Vec::new(), Vec::new());
        for reading in readings {
            for call in &reading.calls {
                due.extend(calls::of(call, context.home(), tools)?);
            }
            said.push(done(context.home(), &reading.calls));
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

    /// What a request means that does nothing but act.
    fn readings(&self, request: &str, home: &Home, area: Option<&str>) -> Option<Vec<Reading>> {
        let now = Zoned::now().datetime();
        let setting = Setting { home, area, now, last: &[], before: None, has_timers: false };
        let mut matcher = self.matcher.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let Outcome::Do(steps) = matcher.understand(request, &setting) else { return None };
        let act = |step| match step {
            Step::Act(reading) => Some(reading),
            Step::Say(..) | Step::Request(_) => None,
        };
        steps.into_iter().map(act).collect()
    }
}

/// Whether a tool's result, as Home Assistant words it, is no failure.
fn has_succeeded(result: &str) -> bool {
    let Ok(Value::Object(result)) = serde_json::from_str::<Value>(result) else { return false };
    let fails = |result: &serde_json::Map<String, Value>| {
        result.get("error").is_some_and(|error| !error.is_null())
            || result.get("response_type").is_some_and(|kind| kind == "error")
            || result.get("success").is_some_and(|success| success == false)
            // The entities for which the action failed, beside those for which it did not.
            || result.get("failed").is_some_and(|failed| failed.as_array().map_or(!failed.is_null(), |all| !all.is_empty()))
    };
    !fails(&result) && !result.get("data").and_then(Value::as_object).is_some_and(fails)
}

/// Holds a call that the model wrote against the entities that exist: what contradicts the one that it names is left out.
pub fn corrected(call: &mut ToolCall, context: &Context) {
    calls::correct(call, context.home());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The tools as Home Assistant 2026.2 words them, shortened to what is read of them.
    fn tools() -> Vec<Value> {
        let tool = |name: &str, properties: &[&str]| {
            let properties: serde_json::Map<String, Value> =
                properties.iter().map(|key| ((*key).to_owned(), json!({"type": "string"}))).collect();
            json!({"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": properties}}})
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

    const PROMPT: &str = "You are a voice assistant for Home Assistant.\nWhen controlling Home Assistant always call the intent tools.\n\
        You are in area Kitchen and all generic commands like 'turn on the lights' should target this area.\n\
        Static Context: An overview of the areas and the devices in this smart home:\n\
        - names: Bed Light\n  domain: light\n  areas: Bedroom, Sleeping Room\n- names: 'Kitchen: Light, Worktop'\n  domain: light\n  areas: Kitchen\n\
        - names: Front Door\n  domain: lock\n- names: Roller Blind\n  domain: cover\n  areas: Bedroom, Sleeping Room\n\
        - names: Shopping List\n  domain: todo\n\nAnswer briefly.";

    fn asked(request: &str) -> Vec<Message> {
        vec![Message::new(Role::System, PROMPT), Message::new(Role::User, request)]
    }

    fn answer(messages: &[Message]) -> Option<Answer> {
        let context = Context::of(messages, &tools()).expect("the prompt is Home Assistant's");
        Assist::new(Some(Matcher::english().unwrap())).answer(messages, &context, &tools())
    }

    fn call_of(request: &str) -> (String, Value) {
        match answer(&asked(request)) {
            Some(Answer::Calls(mut calls)) if calls.len() == 1 => {
                let call = calls.remove(0);
                (call.name, call.arguments)
            }
            other => panic!("{request}: {other:?}"),
        }
    }

    #[test]
    fn plain_commands_become_calls_of_home_assistants_tools() {
        for (request, tool, arguments) in [
            ("Turn on the bed light.", "HassTurnOn", json!({"name": "Bed Light", "domain": ["light"]})),
            (
                "Set the bed light to 30 percent",
                "HassLightSet",
                json!({"name": "Bed Light", "domain": ["light"], "brightness": 30}),
            ),
            ("Lock the front door", "HassTurnOn", json!({"name": "Front Door", "domain": ["lock"]})),
            ("Unlock the front door", "HassTurnOff", json!({"name": "Front Door", "domain": ["lock"]})),
            (
                "Open the roller blind to 50%",
                "HassSetPosition",
                json!({"name": "Roller Blind", "domain": ["cover"], "position": 50}),
            ),
            ("Add milk to the shopping list", "HassListAddItem", json!({"name": "Shopping List", "item": "milk"})),
            // By an alias, by an area's alias, and by where the speaker is.
            ("Turn off the worktop", "HassTurnOff", json!({"name": "Kitchen: Light", "domain": ["light"]})),
            (
                "Close the roller blind in the sleeping room",
                "HassTurnOff",
                json!({"name": "Roller Blind", "domain": ["cover"]}),
            ),
            ("Turn on the lights", "HassTurnOn", json!({"name": "Kitchen: Light", "domain": ["light"]})),
        ] {
            assert_eq!(call_of(request), (tool.to_owned(), arguments), "{request}");
        }
    }

    #[test]
    fn what_depends_on_states_or_on_tools_that_are_not_there_is_left_to_the_model() {
        for request in [
            "Is the bed light on?",
            "Turn on the bed light if it is dark",
            "Toggle the bed light",
            "Turn off all lights that are on",
            "Raise the blind a bit",
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
        let in_part = done
            .replace(r#""failed":[]"#, r#""failed":[{"name":"Reading Light","type":"entity","id":"light.reading"}]"#);
        for failed in [
            r#"{"error":"MatchFailedError"}"#,
            r#"{"data":{"response_type":"error"},"error":null}"#,
            &in_part,
            "nothing",
            "[]",
        ] {
            assert_eq!(answer(&result(failed)), None, "{failed}");
        }
        assert_eq!(answer(&[result(done), result(done)[3..].to_vec()].concat()), None, "more results than calls");
    }

    #[test]
    fn arguments_that_contradict_the_entity_that_a_call_names_are_left_out() {
        let messages = asked("Turn on the bed light");
        let context = Context::of(&messages, &tools()).unwrap();
        for (written, due) in [
            (
                json!({"name": "bed light", "area": "bed", "floor": "1", "domain": ["light"]}),
                json!({"name": "bed light", "domain": ["light"]}),
            ),
            (
                json!({"name": "Bed Light", "area": "bedroom", "domain": ["switch"], "device_class": ["outlet"]}),
                json!({"name": "Bed Light", "area": "bedroom", "domain": ["light"]}),
            ),
            (json!({"name": "Kitchen", "domain": ["light"]}), json!({"area": "Kitchen", "domain": ["light"]})),
            // What names nothing that exists stays as it is: Home Assistant says so to the model.
            (json!({"name": "Nothing", "area": "bed"}), json!({"name": "Nothing", "area": "bed"})),
            (json!("no object"), json!("no object")),
        ] {
            let mut call = ToolCall { name: "HassTurnOn".to_owned(), arguments: written.clone() };
            corrected(&mut call, &context);
            assert_eq!(call.arguments, due, "{written}");
        }
    }

    #[test]
    fn prompts_of_others_are_not_read_as_home_assistants() {
        let others = [Message::new(Role::System, "You are helpful."), Message::new(Role::User, "Turn on the light")];
        assert!(Context::of(&others, &tools()).is_none());
        assert!(Context::of(&asked("Turn on the light"), &[]).is_none());
        let broken = PROMPT.replace("- names: Bed Light", "- {[");
        assert!(Context::of(&[Message::new(Role::System, broken)], &tools()).is_none());
    }

    #[test]
    fn a_list_of_entities_that_are_named_alike_is_read_up_to_a_bound() {
        let context = |n: usize| {
            let lines: String = (0..n).map(|i| format!("- names: A\n  domain: fan\n  areas: B{i}\n")).collect();
            let list = &PROMPT[PROMPT.find("- names").unwrap()..PROMPT.find("\n\nAnswer").unwrap()];
            Context::of(&[Message::new(Role::System, PROMPT.replace(list, &lines))], &tools())
        };
        let largest = context(2000).expect("a large home");
        let ids: Vec<&str> = largest.home().entities().iter().map(|entity| entity.id.as_str()).collect();
        assert_eq!((ids.len(), ids[0], ids[1], ids[1999]), (2000, "fan.a", "fan.a_2", "fan.a_2000"));
        assert!(context(2001).is_none());
    }
}

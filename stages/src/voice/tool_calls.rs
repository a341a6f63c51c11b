//! What the model is told of the tools beyond their schemas: the names that exist in this home, to which its calls are held, and
//! worked examples made of them. How calls are written and read is the model's dialect
//! ([`Chat`](nearfield_llm::Chat)); whether they can be done is the toolbox's business.

use nearfield_llm::{Example, ToolCall};
use serde_json::{Value, json};

use crate::voice::tools::{HomeThing, ThingKind, spaced_json};

/// The most names of one argument: beyond these it is a free text.
const MOST_NAMES: usize = 400;

/// The longest run of the question's words that may stand for a name.
const MOST_WORDS: usize = 4;

/// The most words of a question that are looked at.
const MOST_QUESTION_WORDS: usize = 40;

/// Words that are no part of a name when they stand at its edge.
const EDGE_WORDS: [&str; 40] = [
    "a", "an", "the", "in", "on", "off", "of", "to", "at", "is", "are", "it", "and", "or", "my", "our", "your",
    "please", "turn", "switch", "set", "make", "put", "can", "could", "you", "would", "will", "i", "me", "we", "what",
    "for", "with", "now", "lock", "unlock", "open", "close", "light",
];

/// The argument of a tool that names a thing, and the kind of the thing.
fn named_argument(tool: &str) -> Option<(&'static str, ThingKind)> {
    Some(match tool {
        "set_light" => ("room", ThingKind::Light),
        "set_door" => ("door", ThingKind::Door),
        "set_device" => ("device", ThingKind::Device),
        _ => return None,
    })
}

/// The schemas with the names that exist: what the model is offered.
pub fn named(schemas: &[Value], things: &[HomeThing]) -> Vec<Value> {
    with_names(schemas, things, &[])
}

/// The schemas that calls are held to in one turn: the names that exist, and what the question itself says, so that a wish for
/// something that does not exist is not turned into one for something that does.
pub fn held(schemas: &[Value], things: &[HomeThing], question: &str) -> Vec<Value> {
    with_names(schemas, things, &names_in(question))
}

fn with_names(schemas: &[Value], things: &[HomeThing], more: &[String]) -> Vec<Value> {
    let mut schemas = schemas.to_vec();
    for schema in &mut schemas {
        let tool = schema["function"]["name"].as_str().unwrap_or_default().to_owned();
        let Some((argument, kind)) = named_argument(&tool) else { continue };
        let property = &mut schema["function"]["parameters"]["properties"][argument];
        let mut names: Vec<&str> =
            things.iter().filter(|thing| thing.kind == kind).map(|thing| thing.name.as_str()).collect();
        names.push("all");
        names.extend(more.iter().map(String::as_str));
        let mut unique: Vec<&str> = Vec::with_capacity(names.len());
        names.into_iter().filter(|name| !name.is_empty()).for_each(|name| {
            if !unique.contains(&name) {
                unique.push(name);
            }
        });
        if unique.len() <= MOST_NAMES && property.is_object() {
            property["enum"] = json!(unique);
        }
    }
    schemas
}

/// Runs of the question's words that may name something.
pub(crate) fn names_in(question: &str) -> Vec<String> {
    let lower = question.to_lowercase();
    let clean = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).trim_end_matches("'s").to_owned();
    let words: Vec<String> =
        lower.split_whitespace().map(clean).filter(|word| !word.is_empty()).take(MOST_QUESTION_WORDS).collect();
    let is_edge = |word: &String| EDGE_WORDS.contains(&word.as_str());
    let mut names = Vec::new();
    for length in 1..=MOST_WORDS.min(words.len()) {
        for run in words.windows(length) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            if !is_edge(first) && !is_edge(last) {
                names.push(run.join(" "));
            }
        }
    }
    names
}

/// A name as the tool offers it; any where it offers none.
fn choice(schemas: &[Value], tool: &str, wanted: &str) -> Option<String> {
    let schema = schemas.iter().find(|schema| schema["function"]["name"] == tool)?;
    match schema["function"]["parameters"]["properties"]["name"]["enum"].as_array() {
        None => Some(wanted.to_owned()),
        Some(names) => names.iter().any(|name| name == wanted).then(|| wanted.to_owned()),
    }
}

/// Worked examples with this home's own names, for models that were not trained on tools. Each wish is for what is so already,
/// so that none contradicts the home as it is.
pub fn examples(schemas: &[Value], things: &[HomeThing], is_by_entity: bool) -> Vec<Example> {
    let offered = |name: &str| schemas.iter().any(|schema| schema["function"]["name"] == name);
    let find = |kind: ThingKind, states: &[&str]| {
        things.iter().find(|thing| thing.kind == kind && states.contains(&thing.state.as_str()))
    };
    let mut examples = Vec::new();
    let mut call = |ask: String, tool: &str, arguments: Value, result: Value, say: String| {
        if offered(tool) {
            let call = ToolCall { name: tool.to_owned(), arguments };
            examples.push(Example { ask, call: Some((call, spaced_json(&result))), say });
        }
    };
    let mut by_entity = |wish: &str, done: &str, tool: &str, name: String| {
        if let Some(name) = is_by_entity.then(|| choice(schemas, tool, &name)).flatten() {
            let said = format!("{done} the {name}.");
            call(format!("{wish} the {name}."), tool, json!({"name": name}), json!({"ok": true, "done": said}), said);
        }
    };
    for (state, wish, done, tool) in
        [("on", "Turn on", "Turned on", "turn_on"), ("off", "Switch off", "Turned off", "turn_off")]
    {
        if let Some(light) = find(ThingKind::Light, &[state]) {
            by_entity(wish, done, tool, format!("{} light", light.name));
        }
    }
    for (state, wish, done, tool) in [
        ("locked", "Lock", "Locked", "lock"),
        ("unlocked", "Unlock", "Unlocked", "unlock"),
        ("open", "Open", "Opened", "open"),
        ("closed", "Close", "Closed", "close"),
    ] {
        if let Some(door) = find(ThingKind::Door, &[state]) {
            by_entity(wish, done, tool, door.name.clone());
        }
    }
    for (state, wish, done, tool) in
        [("on", "Start", "Turned on", "turn_on"), ("off", "Please turn off", "Turned off", "turn_off")]
    {
        if let Some(device) = find(ThingKind::Device, &[state]) {
            by_entity(wish, done, tool, device.name.to_owned());
        }
    }
    for state in ["on", "off"] {
        if let Some(light) = find(ThingKind::Light, &[state]).filter(|_| !is_by_entity) {
            let name = &light.name;
            call(
                format!("Turn {state} the {name} light."),
                "set_light",
                json!({"room": name, "state": state}),
                json!({"ok": true, format!("{name} light"): state}),
                format!("The {name} light is {state}."),
            );
        }
    }
    if let Some(door) = find(ThingKind::Door, &["locked", "unlocked", "open", "closed"]) {
        let (name, state) = (&door.name, door.state.as_str());
        let wish = match state {
            "locked" => "Lock",
            "unlocked" => "Unlock",
            "open" => "Open",
            _ => "Close",
        };
        call(
            format!("{wish} the {name}."),
            "set_door",
            json!({"door": name, "state": state}),
            json!({"ok": true, name.as_str(): state}),
            format!("The {name} is {state}."),
        );
    }
    if let Some(device) = find(ThingKind::Device, &["on", "off"]) {
        let (name, state) = (&device.name, device.state.as_str());
        call(
            format!("Please switch the {name} {state}."),
            "set_device",
            json!({"device": name, "state": state}),
            json!({"ok": true, name.as_str(): state}),
            format!("The {name} is {state}."),
        );
    }
    call(
        "Set a timer for 3 minutes.".to_owned(),
        "timer",
        json!({"minutes": 3}),
        json!({"ok": true, "timer": "3 minutes"}),
        "The timer of 3 minutes is running.".to_owned(),
    );
    call(
        "What time is it?".to_owned(),
        "clock",
        json!({}),
        json!({"time": "08:30", "date": "Monday 4 May 2026"}),
        "It is 08:30.".to_owned(),
    );
    // A question stands behind the states that it is about, as questions do when they are asked.
    let mut say = |ask: String, say: String| examples.push(Example { ask, call: None, say });
    let last = |kind: ThingKind| things.iter().rfind(|thing| thing.kind == kind);
    if let Some(light) = last(ThingKind::Light) {
        let (name, state) = (&light.name, &light.state);
        let yes = if state == "on" { "Yes" } else { "No" };
        say(
            format!("{yes}: The {name} light is {state}.\nIs the {name} light on?"),
            format!("{yes}, the {name} light is {state}."),
        );
    }
    if let Some(door) = last(ThingKind::Door) {
        let (name, state) = (&door.name, &door.state);
        let yes = if state == "locked" { "Yes" } else { "No" };
        say(format!("{yes}: The {name} is {state}.\nIs the {name} locked?"), format!("{yes}, the {name} is {state}."));
    }
    if let Some(room) = things.iter().find(|thing| thing.kind == ThingKind::Temperature) {
        let (name, state) = (&room.name, &room.state);
        say(
            format!("The {name} temperature is {state} \u{b0}C.\nHow warm is it in the {name}?"),
            format!("It is {state} degrees in the {name}."),
        );
    }
    say("Thank you.".to_owned(), "You're welcome.".to_owned());
    examples
}

#[cfg(test)]
mod tests {
    use super::*;
    use nearfield_home::HomeFile;

    use crate::voice::tools::{HomeLayout, HomeTools, Toolbox};

    const HOME: &str = r#"{"rooms": {"kitchen": {"light": "off", "temperature_c": 21.5}, "hall": {"light": "on"}, "attic": {"temperature_c": 4}},
        "doors": {"front door": "locked"}, "devices": {"heater": "on"}}"#;

    fn toolbox() -> Toolbox {
        Toolbox::new(Some(HomeTools::of_rooms(HomeFile::parse(HOME).unwrap())), Vec::new()).unwrap()
    }

    fn names(schemas: &[Value], tool: &str, argument: &str) -> Vec<String> {
        let schema = schemas.iter().find(|schema| schema["function"]["name"] == tool).unwrap();
        serde_json::from_value(schema["function"]["parameters"]["properties"][argument]["enum"].clone()).unwrap()
    }

    #[test]
    fn calls_are_held_to_what_exists_and_to_what_was_asked_for() {
        let toolbox = toolbox();
        let (schemas, home) = (toolbox.schemas(), toolbox.things());
        let offered = named(&schemas, &home);
        assert_eq!(names(&offered, "set_light", "room"), ["kitchen", "hall", "all"]);
        assert_eq!(names(&offered, "set_door", "door"), ["front door", "all"]);
        assert_eq!(names(&offered, "set_device", "device"), ["heater", "all"]);
        let held = held(&schemas, &home, "Please turn off the light in the guest bathroom!");
        let rooms = names(&held, "set_light", "room");
        for name in ["hall", "kitchen", "guest", "bathroom", "guest bathroom"] {
            assert!(rooms.iter().any(|room| room == name), "{rooms:?}");
        }
        assert!(!rooms.iter().any(|room| ["the", "off", "in the", "attic"].contains(&room.as_str())), "{rooms:?}");
    }

    #[test]
    fn examples_of_tools_by_entity_call_what_these_tools_offer_and_wish_for_what_is_so() {
        let inventory = HomeFile::parse(HOME).unwrap().to_inventory();
        let home = HomeTools::of_rooms(HomeFile::parse(&inventory).unwrap());
        let toolbox = Toolbox::new(Some(home), Vec::new()).unwrap().laid_out(HomeLayout::ByThing);
        let schemas = toolbox.schemas();
        let examples = examples(&schemas, &toolbox.things(), toolbox.is_by_entity());
        let calls: Vec<String> = examples
            .iter()
            .filter_map(|example| example.call.as_ref())
            .map(|(call, _)| format!("{}{}", call.name, call.arguments))
            .collect();
        assert_eq!(
            calls,
            [
                r#"turn_on{"name":"hall light"}"#,
                r#"turn_off{"name":"kitchen light"}"#,
                r#"lock{"name":"front door"}"#,
                r#"turn_on{"name":"heater"}"#,
                r#"timer{"minutes":3}"#,
                "clock{}"
            ]
        );
    }

    #[test]
    fn examples_are_of_this_home_and_wish_for_what_is_so() {
        let toolbox = toolbox();
        let things = toolbox.things();
        let examples = examples(&named(&toolbox.schemas(), &things), &things, toolbox.is_by_entity());
        let calls = examples.iter().filter(|example| example.call.is_some()).count();
        assert!(calls >= 5 && examples.len() - calls >= 3, "{examples:?}");
        for example in &examples {
            let Some((call, _)) = &example.call else { continue };
            let mut toolbox = self::toolbox();
            let before = toolbox.home_text(HomeLayout::Grouped);
            let result = toolbox.call(call, &|| false);
            assert!(result.ok, "{example:?}: {result:?}");
            assert_eq!(toolbox.home_text(HomeLayout::Grouped), before, "{example:?}");
        }
        assert!(super::examples(&[], &[], false).iter().all(|example| example.call.is_none()));
    }
}

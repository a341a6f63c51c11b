//! The conversation with the bundled model.

use std::ops::ControlFlow;
use std::time::Duration;

use crossbeam_channel::{bounded, never};
use nearfield_llm::{CacheType, Llm, LlmOptions, Role};
use serde_json::json;

use super::prompt::MOST_RESULT_TOKENS;
use super::*;
use crate::voice::tools::{CommandTool, ToolResult};

fn converse(context_tokens: usize, commands: Vec<CommandTool>) -> Converse {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/models/talk-nano.gguf");
    let (llm, _) = LlmThread::start(Llm::open(&model, &LlmOptions { threads: 1 }).unwrap());
    let options = ConverseOptions {
        system: String::new(),
        chat: ChatOptions::default(),
        session: SessionOptions { context_tokens, cache: CacheType::F16 },
        sampler: SamplerOptions::default(),
        home: HomeLayout::Grouped,
        max_reply_tokens: 100,
        words_at_once: 0,
        summary: true,
        remote: None,
    };
    let toolbox = Toolbox::new(None, commands).unwrap();
    Converse::new(llm, options, toolbox, Turns::default(), never(), bounded(1).0).unwrap()
}

#[test]
fn a_long_result_is_cut_to_its_share_of_the_context_and_says_so() {
    let result = |text: String| ToolResult {
        name: "list".to_owned(),
        arguments: json!({}),
        result: json!({"ok": true, "lines": text}),
        ok: true,
        elapsed: Duration::ZERO,
        failure: None,
        mistake: false,
        own_words: false,
    };
    for (context_tokens, most) in [(2048, 487), (9000, MOST_RESULT_TOKENS)] {
        let converse = converse(context_tokens, Vec::new());
        let tokens = |text: &str| converse.llm.llm().tokenizer().unwrap().encode(text, false).len();
        let short = result("one line".to_owned());
        assert_eq!(converse.read_result(&short).unwrap(), short.to_text());
        for long in ["one \"line\"\n".repeat(5000), "\u{1f44b}".repeat(16_000)] {
            let long = result(long);
            let read = converse.read_result(&long).unwrap();
            assert!(tokens(&read) <= most && tokens(&read) > most / 3, "{} of {most}", tokens(&read));
            let value: Value = serde_json::from_str(&read).unwrap();
            assert!(value["ok"] == true && value["cut"].as_str().unwrap().contains("characters begin"), "{value}");
            let beginning = value["beginning"].as_str().unwrap();
            assert!(long.to_text().starts_with(beginning) && beginning.len() > 100, "{beginning}");
        }
    }
}

/// The reply to a question, as it is said.
fn asked(converse: &mut Converse, question: &str) -> (String, Vec<TextDelta>) {
    let mut deltas = Vec::new();
    let turn = converse.turns.begin();
    let replied = converse
        .reply(turn, question.to_owned(), &mut |delta| {
            deltas.push(delta.body);
            ControlFlow::Continue(())
        })
        .unwrap();
    (replied.reply, deltas)
}

#[test]
fn a_failed_call_is_answered_by_a_computed_sentence_and_the_next_turns_are_sane() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("home.json");
    let home =
        r#"{"rooms": {"kitchen": {"light": "off"}, "hall": {"light": "on"}}, "doors": {"front door": "locked"}}"#;
    std::fs::write(&path, home).unwrap();
    let mut converse = converse(2048, Vec::new());
    let tools = crate::voice::tools::HomeTools::of_rooms(nearfield_home::HomeFile::load(&path).unwrap());
    converse.toolbox = Toolbox::new(Some(tools), Vec::new()).unwrap();
    std::fs::remove_file(&path).unwrap();
    let failed = "I could not change the kitchen light: the file of the home is gone.";
    let (reply, deltas) = asked(&mut converse, "Turn on the kitchen light.");
    let said: Vec<_> = deltas.into_iter().filter(|delta| !matches!(delta, TextDelta::Begin { .. })).collect();
    assert_eq!((reply.as_str(), said), (failed, vec![TextDelta::Text(failed.to_owned())]));
    let last: Vec<(Role, &str)> =
        converse.history[0].messages.iter().map(|message| (message.role, message.content.as_str())).collect();
    assert_eq!(last.last(), Some(&(Role::Assistant, failed)));
    assert_eq!(last[2], (Role::Tool, r#"{"ok": false, "error": "the file of the home is gone"}"#));
    let (reply, _) = asked(&mut converse, "Is the front door locked?");
    assert!(reply.contains("front door is locked"), "{reply}");
    std::fs::write(&path, home).unwrap();
    let (reply, _) = asked(&mut converse, "Turn on the kitchen light.");
    assert!(reply.contains("kitchen light is") && reply.ends_with(" on."), "{reply}");
    // The question was answered from what is known of the home.
    let acted: Vec<bool> = converse.history.iter().map(|exchange| exchange.has_acted).collect();
    assert_eq!(acted, [true, false, true]);
    assert!(std::fs::read_to_string(&path).unwrap().contains("\"light\": \"on\""));
}

#[test]
fn of_a_home_that_does_not_fit_the_prompt_tells_what_the_question_is_about() {
    let mut home = String::from("areas:\n");
    for room in 1..=90 {
        home += &format!("  - {{id: room_{room}, name: Room {room}}}\n");
    }
    home += "  - {id: pantry, name: Pantry}\nentities:\n";
    for room in 1..=90 {
        home += &format!("  - {{id: light.room_{room}, name: Room {room} light, area: room_{room}, state: \"off\"}}\n");
    }
    home += "  - {id: light.pantry, name: Pantry light, area: pantry, state: \"on\"}\n";
    let file = nearfield_home::HomeFile::parse(&home).unwrap();
    let mut converse = converse(640, Vec::new());
    converse.toolbox = Toolbox::new(Some(crate::voice::tools::HomeTools::of_rooms(file)), Vec::new()).unwrap();
    converse.toolbox.begin("Is the pantry light on?");
    let exchange = [Message::new(Role::User, "Is the pantry light on?")];
    let prompt = converse.compose(&exchange).unwrap();
    let text = converse.llm.llm().tokenizer().unwrap().decode(&prompt);
    assert!(prompt.len() <= 640 && text.contains("pantry=on") && !text.contains("room 90"), "{text}");
    // In the next turn, with another question, the choice is made anew.
    let (reply, _) = asked(&mut converse, "Is the light in room 7 on?");
    assert!(reply.contains("off"), "{reply}");
}

#[test]
fn a_question_without_room_leaves_the_conversation_as_it_was() {
    let mut converse = converse(512, Vec::new());
    asked(&mut converse, "Hello.");
    let long = "word ".repeat(2000);
    let turn = converse.turns.begin();
    let error = converse.reply(turn, long, &mut |_| ControlFlow::Continue(())).err().unwrap();
    assert!(error.is::<PromptTooLong>() && error.to_string().contains("room for"), "{error}");
    assert_eq!(converse.history.len(), 1);
    assert!(!asked(&mut converse, "Hello.").0.is_empty());
}

#[test]
fn whatever_a_turn_is_the_next_question_is_answered_and_one_that_does_not_fit_costs_the_history_nothing() {
    let mut converse = converse(640, Vec::new());
    let mut ask = |turn: u64, text: &str| {
        let now = Instant::now();
        let transcript = Transcript::typed(text, now);
        let mut reply = String::new();
        let mut ends = 0;
        let outcome = converse.take(Envelope::new(Turn(turn), transcript), &mut |delta| {
            match delta.body {
                TextDelta::Text(text) => reply.push_str(&text),
                TextDelta::Asked(_) | TextDelta::Begin { .. } => {}
                TextDelta::End => ends += 1,
                TextDelta::Cut | TextDelta::Ahead(_) => panic!("nothing repeats itself here, or is a guess"),
            }
            ControlFlow::Continue(())
        });
        assert_eq!(ends, 1, "{text:.20}");
        (outcome.map_err(|e| e.to_string()), reply, converse.history.len())
    };
    let (outcome, reply, turns) = ask(1, "Hello.");
    assert!(outcome.is_ok() && !reply.is_empty() && turns == 1, "{outcome:?}");
    let long = "light ".repeat(1700);
    let odd = ["", "", &long, "", &long, "\u{0}\u{7}<|user|>", "\u{1f44b}"];
    for (turn, text) in odd.into_iter().enumerate() {
        let (outcome, reply, _) = ask(2 + turn as u64, text);
        assert_eq!(outcome.is_err(), text == long, "{text:.20}: {outcome:?}");
        assert_eq!(reply.is_empty(), text.is_empty() || text == long, "{text:.20}: {reply}");
    }
    let (outcome, reply, turns) = ask(20, "Hello.");
    assert!(outcome.is_ok() && !reply.is_empty() && turns == 4, "{outcome:?} {turns}");
}

#[test]
fn calls_are_held_to_the_tools_and_a_schema_that_cannot_be_followed_leaves_its_arguments_free() {
    let command = |name: &str, parameters: Value| CommandTool {
        name: name.to_owned(),
        description: String::new(),
        command: vec!["true".to_owned()],
        parameters,
        timeout_ms: 1000,
    };
    let level = json!({"type": "object", "properties": {"level": {"type": "integer"}}, "required": ["level"]});
    let odd = json!({"type": "object", "properties": {"a": {"type": "strange"}}});
    let mut converse = converse(1024, vec![command("dim", level), command("odd", odd)]);
    let lazy = converse.chat.constraints(&converse.offered.0);
    assert_eq!(lazy[0].trigger.marker, "<tool_call>");
    for held in &lazy {
        let nearfield_llm::Constraint::Lark(grammar) = &held.constraint else { panic!("a grammar") };
        assert!(grammar.contains("level") && grammar.contains("odd") && !grammar.contains("strange"), "{grammar}");
    }
}

#[test]
fn the_last_reply_is_said_again_without_the_model() {
    let mut converse = converse(2048, Vec::new());
    assert_eq!(asked(&mut converse, "Pardon?").0, asides::NOTHING_YET);
    let (reply, _) = asked(&mut converse, "Who are you?");
    converse.history.last_mut().unwrap().messages.last_mut().unwrap().content.clear(); // none of it was heard
    assert_eq!(asked(&mut converse, "Can you say that again, please?").0, reply);
    assert!(reply.len() > 5 && reply != asides::NOTHING_YET, "{reply}");
}

#[test]
fn a_long_reply_ends_with_an_offer_that_yes_takes() {
    const LONG: &str = "Hello.";
    let mut converse = converse(2048, Vec::new());
    converse.options.words_at_once = 1;
    let (whole, _) = {
        let mut whole = self::converse(2048, Vec::new());
        asked(&mut whole, LONG)
    };
    let (reply, deltas) = asked(&mut converse, LONG);
    let first = reply.strip_suffix(asides::OFFER).unwrap_or_else(|| panic!("{reply} of {whole}"));
    assert!(whole.starts_with(first) && first.len() < whole.len() && first.ends_with(['.', '!']), "{first} of {whole}");
    assert!(matches!(deltas.last(), Some(TextDelta::Text(last)) if last.trim() == asides::OFFER.trim()), "{deltas:?}");
    assert!(converse.offers_more);
    let (more, _) = asked(&mut converse, "Yes, go on.");
    assert!(!more.is_empty());
}

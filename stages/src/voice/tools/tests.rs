//! The toolbox from outside: every built-in tool, and commands that behave in every way a program can.

use std::fs;
use std::path::Path;

use nearfield_home::{HomeError, HomeFile};

use super::*;

const HOME: &str = r#"{"rooms": {"kitchen": {"temperature_c": 21.5, "light": "off"}, "hall": {"light": "on"}, "attic": {}},
    "doors": {"front door": "locked"}, "devices": {"coffee machine": "off"}}"#;

fn toolbox() -> Toolbox {
    let noon: fn() -> Zoned = || "2026-11-21T14:05:59[UTC]".parse().unwrap();
    Toolbox::new(Some(HomeTools::of_rooms(HomeFile::parse(HOME).unwrap())), vec![]).unwrap().with_clock(noon)
}

fn ask(toolbox: &mut Toolbox, name: &str, arguments: Value) -> ToolResult {
    toolbox.call(&ToolCall { name: name.to_owned(), arguments }, &|| false)
}

fn command(script: &str, timeout_ms: u64) -> CommandTool {
    CommandTool {
        name: "probe".to_owned(),
        description: "A test.".to_owned(),
        command: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
        parameters: json!({"additionalProperties": true}),
        timeout_ms,
    }
}

fn run(script: &str, timeout_ms: u64, arguments: Value) -> ToolResult {
    let mut toolbox = Toolbox::new(None, vec![command(script, timeout_ms)]).unwrap();
    ask(&mut toolbox, "probe", arguments)
}

fn names(toolbox: &Toolbox) -> Vec<String> {
    toolbox.schemas().iter().map(|schema| schema["function"]["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_built_in_tool_answers_as_the_models_were_trained() {
    let mut toolbox = toolbox();
    for (name, arguments, text) in [
        ("clock", json!({}), r#"{"time": "14:05", "date": "Saturday 21 November 2026"}"#),
        ("timer", json!({"minutes": 10}), r#"{"ok": true, "timer": "10 minutes"}"#),
        ("timer", json!({"minutes": 1, "seconds": 30}), r#"{"ok": true, "timer": "1 minute 30 seconds"}"#),
        ("timer", json!({"hours": 1.0}), r#"{"ok": true, "timer": "1 hour"}"#),
        ("set_light", json!({"room": "kitchen", "state": "on"}), r#"{"ok": true, "kitchen light": "on"}"#),
        ("set_light", json!({"room": "all", "state": "off"}), r#"{"ok": true, "lights": "off"}"#),
        ("set_door", json!({"door": "front door", "state": "open"}), r#"{"ok": true, "front door": "open"}"#),
        ("set_door", json!({"door": "all", "state": "locked"}), r#"{"ok": true, "doors": "locked"}"#),
        ("set_device", json!({"device": "coffee machine", "state": "on"}), r#"{"ok": true, "coffee machine": "on"}"#),
        ("set_device", json!({"device": "all", "state": "off"}), r#"{"ok": true, "devices": "off"}"#),
        (
            "set_light",
            json!({"room": "attic", "state": "on"}),
            r#"{"ok": false, "error": "there is no light in the attic"}"#,
        ),
    ] {
        let result = ask(&mut toolbox, name, arguments);
        assert_eq!(result.to_text(), text);
        assert_eq!(result.ok, !text.contains("false"));
    }
    assert_eq!(
        toolbox.home_text(HomeLayout::Grouped),
        "lights off: kitchen=off and hall=off\nno light: attic=none\ndoors locked: front door=locked\n\
         devices off: coffee machine=off\nno temperature: hall=none and attic=none\n\
         temperature °C, warmest first: kitchen=21.5"
    );
}

#[test]
fn arguments_that_do_not_fit_change_nothing_and_are_named() {
    let mut toolbox = toolbox();
    let before = toolbox.home_text(HomeLayout::Grouped);
    for (name, arguments, says) in [
        ("set_light", json!({"room": "kitchen"}), "set_light needs the argument state"),
        ("set_light", json!({}), "set_light needs the argument room"),
        ("set_light", json!({"room": 3, "state": "on"}), "the argument room of set_light must be of type string"),
        ("set_light", json!({"room": "kitchen", "state": "dim"}), "must be one of on, off"),
        ("set_light", json!({"room": "kitchen", "state": true}), "must be of type string"),
        ("set_light", json!({"room": "kitchen", "state": "on", "colour": "red"}), "set_light has no argument colour"),
        ("set_door", json!({"door": "front door", "state": "ajar"}), "must be one of locked, unlocked, open, closed"),
        ("set_device", json!([1]), "the arguments of set_device must be an object"),
        ("clock", json!("now"), "the arguments of clock must be an object"),
        ("clock", json!({"zone": "UTC"}), "clock has no argument zone"),
        ("timer", json!({}), "needs a time"),
        ("timer", json!({"minutes": 0}), "needs a time"),
        ("timer", json!({"minutes": -1}), "less than no time"),
        ("timer", json!({"minutes": "ten"}), "must be of type number"),
        ("timer", json!({"hours": 25}), "24 hours at most"),
        ("timer", json!({"hours": 1e308}), "24 hours at most"),
        ("fly", json!({}), "there is no tool called fly"),
        ("", json!({}), "there is no tool called"),
    ] {
        let result = ask(&mut toolbox, name, arguments);
        assert!(!result.ok);
        assert_eq!(result.result["ok"], false);
        let error = result.result["error"].as_str().unwrap();
        assert!(error.contains(says), "{error}");
    }
    assert_eq!(toolbox.home_text(HomeLayout::Grouped), before);
    assert_eq!(toolbox.next_timer(), None);
    let mut homeless = Toolbox::new(None, vec![]).unwrap();
    let result = ask(&mut homeless, "set_light", json!({"room": "kitchen", "state": "on"}));
    assert_eq!(result.result["error"], "there is no home to control");
    assert_eq!(homeless.home_text(HomeLayout::Grouped), "");
    assert!(!homeless.home_changed_outside());
}

#[test]
fn only_tools_that_make_sense_are_offered() {
    assert_eq!(names(&toolbox()), ["clock", "timer", "set_light", "set_door", "set_device"]);
    assert_eq!(names(&Toolbox::new(None, vec![command("", 1)]).unwrap()), ["clock", "timer", "probe"]);
    let doors = HomeFile::parse(r#"{"doors": {"gate": "open"}, "rooms": {"hall": {}}}"#).unwrap();
    let doors = HomeTools::of_rooms(doors);
    assert_eq!(names(&Toolbox::new(Some(doors), vec![]).unwrap()), ["clock", "timer", "set_door"]);
    let schemas = toolbox().schemas();
    assert_eq!(schemas[2]["type"], "function");
    assert_eq!(schemas[2]["function"]["parameters"]["required"], json!(["room", "state"]));
}

#[test]
fn timers_run_out_in_order_and_once() {
    let mut toolbox = toolbox();
    let start = Instant::now();
    ask(&mut toolbox, "timer", json!({"minutes": 10}));
    ask(&mut toolbox, "timer", json!({"seconds": 30}));
    let next = toolbox.next_timer().unwrap();
    assert!((30.0..31.0).contains(&(next - start).as_secs_f64()));
    assert!(toolbox.due_timers(start).is_empty());
    assert_eq!(
        toolbox.due_timers(next),
        [TimerDone { label: "30 seconds".to_owned(), name: None, wish: Vec::new(), missed: false, is_alarm: false }]
    );
    assert_eq!(
        toolbox.due_timers(start + Duration::from_secs(601)),
        [TimerDone { label: "10 minutes".to_owned(), name: None, wish: Vec::new(), missed: false, is_alarm: false }]
    );
    assert_eq!(toolbox.next_timer(), None);
    for _ in 0..MAX_TIMERS {
        assert!(ask(&mut toolbox, "timer", json!({"hours": 24})).ok);
    }
    let result = ask(&mut toolbox, "timer", json!({"hours": 1}));
    assert_eq!(result.result["error"], "64 timers are running already");
}

#[test]
fn a_command_that_cannot_be_a_tool_is_refused_with_its_name() {
    let with = |change: &dyn Fn(&mut CommandTool)| {
        let mut tool = command("true", 1000);
        change(&mut tool);
        Toolbox::new(None, vec![command("true", 1000), tool]).unwrap_err().to_string()
    };
    for (message, says) in [
        (with(&|_| {}), "two tools called \"probe\""),
        (with(&|tool| tool.name = "timer".into()), "two tools called \"timer\""),
        (with(&|tool| tool.name = String::new()), "but one is \"\""),
        (with(&|tool| tool.name = "a b".into()), "but one is \"a b\""),
        (with(&|tool| (tool.name, tool.command) = ("x".into(), vec![])), "the tool \"x\" has an empty `tools.command`"),
        (with(&|tool| (tool.name, tool.command) = ("x".into(), vec!["".into()])), "empty `tools.command`"),
        (with(&|tool| (tool.name, tool.timeout_ms) = ("x".into(), 0)), "`tools.timeout_ms` = 0"),
        (with(&|tool| (tool.name, tool.parameters) = ("x".into(), json!(3))), "it must be an object"),
        (
            with(&|tool| (tool.name, tool.parameters) = ("x".into(), json!({"type": "string"}))),
            "`type` must be \"object\"",
        ),
    ] {
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn a_configuration_entry_has_defaults_and_refuses_unknown_keys() {
    let text = r#"{"name": "probe", "description": "d", "command": ["true"]}"#;
    let tool: CommandTool = serde_json::from_str(text).unwrap();
    assert_eq!((tool.timeout_ms, tool.parameters), (5000, json!({})));
    assert!(serde_json::from_str::<CommandTool>(&text.replace("\"name\"", "\"shell\": true, \"name\"")).is_err());
}

#[test]
fn a_command_gets_its_arguments_and_gives_its_result() {
    let result = run("cat", 5000, json!({"room": "Küche", "n": [1, 2]}));
    assert_eq!((result.ok, result.result), (true, json!({"room": "Küche", "n": [1, 2]})));
    let result = run(r#"echo '{"ok": false, "error": "the pump is dry"}'"#, 5000, json!({}));
    assert_eq!((result.ok, &result.result["error"]), (false, &json!("the pump is dry")));
    let line = serde_json::to_value(&result).unwrap();
    assert!(line["elapsed_ms"].is_number() && line["name"] == "probe", "{line}");
}

#[test]
fn a_command_is_held_to_its_schema() {
    let mut tool = command("cat", 5000);
    tool.parameters = json!({"properties": {"level": {"type": "integer"}}, "required": ["level"]});
    let mut toolbox = Toolbox::new(None, vec![tool]).unwrap();
    assert!(ask(&mut toolbox, "probe", json!({"level": 3})).ok);
    assert_eq!(ask(&mut toolbox, "probe", json!({})).result["error"], "probe needs the argument level");
    assert!(!ask(&mut toolbox, "probe", json!({"level": 3.5})).ok);
    assert!(!ask(&mut toolbox, "probe", json!({"level": 3, "x": 1})).ok);
    assert_eq!(toolbox.schemas()[2]["function"]["parameters"]["type"], "object");
}

#[test]
fn a_hanging_tool_is_killed_at_its_limit_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let script = format!("sleep 60 & echo $! > {0}; echo $$ >> {0}; wait", file.display());
    let result = run(&script, 400, json!({}));
    assert_eq!(result.result["error"], "it did not answer within 0.4 seconds");
    assert!(result.elapsed < Duration::from_secs(3), "{:?}", result.elapsed);
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 2);
    std::thread::sleep(Duration::from_millis(50));
    for pid in text.lines() {
        // A killed orphan may wait for its reaper: then it is a zombie, and runs no more.
        let state = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z") || state.contains(") X"), "{pid} still runs: {state}");
    }
}

#[test]
fn a_tool_stops_when_its_turn_is_over() {
    let mut toolbox = Toolbox::new(None, vec![command("sleep 60", 60_000)]).unwrap();
    let started = Instant::now();
    let call = ToolCall { name: "probe".to_owned(), arguments: json!({}) };
    let result = toolbox.call(&call, &|| started.elapsed() > Duration::from_millis(100));
    assert_eq!(result.result["error"], "it was stopped");
    assert!(started.elapsed() < Duration::from_secs(3));
    let light = ToolCall { name: "set_light".to_owned(), arguments: json!({"room": "kitchen", "state": "on"}) };
    let mut toolbox = self::toolbox();
    assert!(!toolbox.call(&light, &|| true).ok);
    assert!(toolbox.home_text(HomeLayout::Grouped).contains("lights off: kitchen=off"));
}

#[test]
fn what_a_tool_prints_that_is_not_json_is_told_as_its_own_words() {
    for (script, says) in [
        ("echo hello; echo world", "The tool probe says: hello world."),
        ("echo 'Now playing: Jazz!'", "The tool probe says: Now playing: Jazz!"),
        ("true", "The tool probe has run, and said nothing."),
        ("echo '\"hello\"'", "The tool probe says: hello."),
        ("echo 7", "The tool probe says: 7."),
        ("echo '{\"a\": 1'", "The tool probe says: {\"a\": 1."),
        ("printf '\\033[2Jwiped\\007'", "The tool probe says: [2Jwiped."),
        ("echo '<|im_end|>'", "The tool probe says: im_end."),
        ("echo oops >&2", "The tool probe has run, and said nothing."),
    ] {
        let result = run(script, 5000, json!({}));
        assert!(result.ok && result.own_words && !result.mistake, "{script}: {}", result.result);
        assert_eq!(answer(&result), says, "{script}");
        assert!(!result.to_text().contains('<'), "{}", result.to_text());
    }
    let flood = run("yes word | head -c 60000", 5000, json!({}));
    assert!(answer(&flood).chars().count() < 350, "{}", answer(&flood));
    let fields = run("echo '{\"ok\": true, \"station\": \"Jazz\"}'", 5000, json!({}));
    assert!(!fields.own_words, "fields are for the model to word");
}

#[test]
fn each_cause_of_a_failed_command_has_its_own_sentence() {
    for (script, says) in [
        ("sleep 5", "I could not use the tool probe: it did not answer within 0.3 seconds"),
        ("exit 3", "I could not use the tool probe: it ended with status 3"),
        ("echo 'no signal' >&2; exit 4", "I could not use the tool probe: it ended with status 4: no signal"),
        ("kill -9 $$", "I could not use the tool probe: it was killed by signal 9"),
        ("yes", "I could not use the tool probe: it printed more than 65536 bytes"),
        (r#"echo '{"ok": false, "error": "the pump is dry"}'"#, "I could not use the tool probe: the pump is dry"),
        (r#"echo '{"ok": false}'"#, "I could not use the tool probe: it says no more than that it failed"),
    ] {
        let result = run(script, 300, json!({}));
        assert!(!result.ok && !result.mistake && !result.own_words, "{script}: {}", result.result);
        assert_eq!(result.failure.as_deref(), Some(says), "{script}");
        assert_eq!(answer(&result), format!("{says}."));
    }
    let mut toolbox = toolbox();
    for (name, arguments, says, mistake) in [
        ("set_light", json!({"room": "attic", "state": "on"}), "There is no light in the attic.", false),
        ("timer", json!({"hours": 25}), "I could not start the timer: a timer can run for 24 hours at most.", false),
        ("fly", json!({}), "I could not do that: there is no tool called fly.", true),
        ("clock", json!({"zone": "UTC"}), "I could not do that: clock has no argument zone.", true),
    ] {
        let result = ask(&mut toolbox, name, arguments);
        assert_eq!((answer(&result).as_str(), result.mistake), (says, mistake));
    }
}

#[test]
fn a_home_that_cannot_be_written_says_what_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("home.json");
    fs::write(&path, HOME).unwrap();
    let mut toolbox = Toolbox::new(Some(HomeTools::of_rooms(HomeFile::load(&path).unwrap())), vec![]).unwrap();
    fs::remove_file(&path).unwrap();
    for (name, arguments, says) in [
        ("set_light", json!({"room": "kitchen", "state": "on"}), "I could not change the kitchen light"),
        ("set_light", json!({"room": "all", "state": "on"}), "I could not change the lights"),
        ("set_door", json!({"door": "front door", "state": "open"}), "I could not change the front door"),
        ("set_door", json!({"door": "all", "state": "open"}), "I could not change the doors"),
        ("set_device", json!({"device": "coffee machine", "state": "on"}), "I could not change the coffee machine"),
    ] {
        let result = ask(&mut toolbox, name, arguments);
        assert_eq!(answer(&result), format!("{says}: the file of the home is gone."));
        assert_eq!(result.result, json!({"ok": false, "error": "the file of the home is gone"}));
    }
    let mut causes = std::collections::HashSet::new();
    for (errno, says) in [
        (28, "the disk is full"),
        (122, "the disk quota is used up"),
        (30, "the disk is read-only"),
        (13, "the folder of the home's file may not be written"),
        (2, "the file of the home is gone"),
        (5, "the file of the home cannot be written, input/output error"),
    ] {
        let source = std::io::Error::from_raw_os_error(errno);
        let cause = HomeError::Write { path: path.clone(), cause: source }.cause();
        assert_eq!(cause, says);
        assert!(causes.insert(cause));
    }
}

#[test]
fn a_tool_that_fails_says_why_with_the_last_line_of_its_errors() {
    let result = run("echo one >&2; echo 'two: bad' >&2; echo '{}'; exit 3", 5000, json!({}));
    assert_eq!(result.result["error"], "it ended with status 3: two: bad");
    let result = run("kill -9 $$", 5000, json!({}));
    assert!(result.result["error"].as_str().unwrap().contains("killed by signal 9"), "{}", result.result);
}

#[test]
fn a_missing_program_is_named() {
    let mut tool = command("", 5000);
    tool.command = vec!["/nowhere/to/be/found".to_owned()];
    let mut toolbox = Toolbox::new(None, vec![tool]).unwrap();
    let result = ask(&mut toolbox, "probe", json!({}));
    assert_eq!(result.result["error"], "there is no program /nowhere/to/be/found");
}

#[test]
fn a_tool_that_floods_its_output_is_ended() {
    let result = run("yes", 20_000, json!({}));
    assert_eq!(result.result["error"], "it printed more than 65536 bytes");
    assert!(result.elapsed < Duration::from_secs(5));
    let result = run("yes >&2", 300, json!({}));
    assert!(
        result.result["error"].as_str().unwrap().contains("did not answer within 0.3 seconds"),
        "{}",
        result.result
    );
    let result = run("yes | head -c 3000000 >&2; echo 7", 20_000, json!({}));
    assert_eq!(result.result, json!(7), "much on standard error is no failure");
}

#[test]
fn a_tool_that_does_not_read_its_input_neither_blocks_nor_fails() {
    let large = json!({"text": "x".repeat(1 << 20)}); // more than a pipe holds
    assert_eq!(run("exec <&-; sleep 0.1; echo 1", 5000, large.clone()).result, json!(1));
    assert_eq!(run("sleep 0.1; echo 2", 5000, large.clone()).result, json!(2));
    assert_eq!(run("cat", 5000, json!({"text": "x".repeat(60_000)})).result["text"].as_str().unwrap().len(), 60_000);
}

#[test]
fn a_child_that_keeps_the_output_open_delays_nothing() {
    let result = run("sleep 3 & echo '{\"ok\": true}'", 20_000, json!({}));
    assert_eq!(result.result, json!({"ok": true}));
    assert!(result.elapsed < Duration::from_secs(2), "{:?}", result.elapsed);
}

#[test]
fn a_tool_that_closes_its_output_and_goes_on_is_still_ended() {
    let result = run("exec >&- 2>&- <&-; sleep 60", 300, json!({}));
    assert!(result.result["error"].as_str().unwrap().contains("within 0.3 seconds"), "{}", result.result);
    assert!(result.elapsed < Duration::from_secs(3));
}

#[test]
fn a_change_of_the_home_by_someone_else_is_seen_and_a_broken_file_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("home.json");
    fs::write(&path, HOME).unwrap();
    let mut toolbox = Toolbox::new(Some(HomeTools::of_rooms(HomeFile::load(&path).unwrap())), vec![]).unwrap();
    assert!(!toolbox.home_changed_outside());
    fs::write(&path, HOME.replace("21.5", "-21.5")).unwrap();
    assert!(toolbox.home_changed_outside());
    assert!(toolbox.home_text(HomeLayout::Grouped).contains("kitchen=-21.5"));
    fs::write(&path, "{").unwrap();
    assert!(!toolbox.home_changed_outside());
    let result = ask(&mut toolbox, "set_light", json!({"room": "kitchen", "state": "on"}));
    assert_eq!(result.result["error"], "the file of the home has an error in it");
    assert!(
        toolbox.home_text(HomeLayout::Grouped).contains("kitchen=-21.5")
            && toolbox.home_text(HomeLayout::Grouped).contains("lights off: kitchen=off")
    );
}

#[test]
fn json_is_spaced_as_the_models_know_it() {
    assert_eq!(
        spaced_json(&json!({"ok": true, "a b": [1, 2.5, "x, y: z"], "e": {}, "l": []})),
        r#"{"ok": true, "a b": [1, 2.5, "x, y: z"], "e": {}, "l": []}"#
    );
}

#[test]
fn a_name_that_is_none_of_many_is_not_answered_by_all_of_them() {
    let of = |names: &[&str]| json!({"properties": {"name": {"enum": names}}});
    let asked = json!({"name": "cellar"});
    let error =
        check_arguments("turn_off", &of(&["hall", "attic", "loft", "den", "bath", "porch"]), &asked).unwrap_err();
    assert!(error.reason().contains("hall, attic"), "{error:?}");
    assert_eq!(error.spoken(), "I know nothing of that name here, so I have changed nothing");
    let error = check_arguments("turn_off", &of(&["hall", "attic"]), &asked).unwrap_err();
    assert!(error.spoken().contains("one of hall, attic"), "{error:?}");
}

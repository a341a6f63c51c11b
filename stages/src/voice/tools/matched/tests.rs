//! Requests of a small home that the matcher understands, or leaves to the model.

use nearfield_home::HomeFile;

use super::*;

const HOME: &str = "
areas:
  - name: Kitchen
    id: kitchen
  - name: Hall
    id: hall
entities:
  - name: Kitchen Light
    id: light.kitchen_light
    area: kitchen
    state: 'off'
  - name: Hall Light
    id: light.hall_light
    area: hall
    state: 'on'
";

fn toolbox() -> Toolbox {
    Toolbox::new(Some(HomeTools::of_rooms(HomeFile::parse(HOME).unwrap())), Vec::new()).unwrap()
}

fn state(toolbox: &Toolbox, id: &str) -> String {
    toolbox.home().unwrap().household().home().entity(id).unwrap().state.clone()
}

#[test]
fn a_command_is_whole_that_names_what_it_is_about() {
    let mut is_whole = toolbox().whole_commands().unwrap();
    for text in [
        "Turn on the kitchen light.",
        "Turn off the lights in the hall.",
        "Dim the hall light to 30 percent.",
        "Is the hall light on",
        "Set a timer for 10 minutes",
    ] {
        assert!(is_whole(text), "{text}");
    }
    for text in ["Turn on the", "Turn off the lights.", "Turn on the light", "Set a timer for", ""] {
        assert!(!is_whole(text), "{text}");
    }
    assert!(Toolbox::new(None, Vec::new()).unwrap().whole_commands().is_none());
}

#[test]
fn what_the_matcher_understands_is_done_told_and_taken_back() {
    let mut toolbox = toolbox();
    let matched = toolbox.matched("Turn on the kitchen light, please.").unwrap();
    assert!(matched.reply.contains("kitchen light"), "{}", matched.reply);
    assert_eq!((matched.tools.len(), matched.tools[0].ok), (1, true));
    assert_eq!(state(&toolbox, "light.kitchen_light"), "on");
    let undone = toolbox.matched("undo that").unwrap();
    assert_eq!(state(&toolbox, "light.kitchen_light"), "off", "{}", undone.reply);
}

#[test]
fn a_light_that_is_not_named_is_asked_for_and_nothing_is_changed() {
    let mut toolbox = toolbox();
    let asked = toolbox.matched("turn off the light").unwrap();
    assert!(asked.reply.ends_with('?') && asked.tools.is_empty(), "{}", asked.reply);
    assert_eq!(state(&toolbox, "light.hall_light"), "on");
}

#[test]
fn timers_are_started_for_the_times_that_were_said() {
    let mut toolbox = toolbox();
    let two = toolbox.matched("set two timers, 3 and 10 minutes").unwrap().reply;
    assert!(two.contains("3 minutes") && two.contains("10 minutes"), "{two}");
    let left = toolbox.next_timer().unwrap().saturating_duration_since(Instant::now());
    assert!((179.0..=180.0).contains(&left.as_secs_f64()), "{left:?}");
}

#[test]
fn a_wish_for_later_is_done_when_its_time_has_come_and_one_for_a_while_is_taken_back() {
    let mut toolbox = toolbox();
    let later = toolbox.matched("Turn off the hall light in 20 minutes.").unwrap();
    assert_eq!(later.reply, "I will turn off the hall light in 20 minutes.");
    assert_eq!(state(&toolbox, "light.hall_light"), "on");
    let due = toolbox.next_timer().unwrap();
    let timers = toolbox.due_timers(due);
    let rung = toolbox.ring(&timers[0]);
    assert_eq!((rung.reply.as_str(), rung.tools.len()), ("Turned off the hall light.", 1));
    assert_eq!(state(&toolbox, "light.hall_light"), "off");
    let while_ = toolbox.matched("turn on the kitchen light for 5 minutes").unwrap().reply;
    assert_eq!(while_, "Turned on the kitchen light. I will turn off the kitchen light in 5 minutes.");
    assert_eq!(state(&toolbox, "light.kitchen_light"), "on");
    assert_eq!(
        toolbox.matched("cancel the kitchen light timer").map(|it| it.reply).as_deref(),
        Some("I cancelled the wish to turn off the kitchen light.")
    );
    assert_eq!(toolbox.next_timer(), None);
}

#[test]
fn a_wish_for_later_is_called_off_and_nothing_is_switched_now() {
    for request in ["cancel the hall light", "Cancel turning off the hall light.", "forget about the hall light"] {
        let mut toolbox = toolbox();
        toolbox.matched("Turn off the hall light in 20 minutes.").unwrap();
        let said = toolbox.matched(request).unwrap();
        assert_eq!((said.reply.as_str(), said.tools.len()), ("I will not turn off the hall light.", 1), "{request}");
        assert_eq!((state(&toolbox, "light.hall_light").as_str(), toolbox.next_timer()), ("on", None));
    }
}

#[test]
fn a_door_that_is_opened_only_for_a_yes_is_not_opened_later() {
    let rule = nearfield_home::Rule { confirm: nearfield_home::Confirm::Always, ..nearfield_home::Rule::default() };
    let policy = nearfield_home::Policy::new([("light".to_owned(), rule)].into()).unwrap();
    let file = HomeFile::parse(HOME).unwrap();
    let household = nearfield_home::Household::new(file, policy, nearfield_home::Remembered::default());
    let mut toolbox = Toolbox::new(Some(HomeTools::new(household)), Vec::new()).unwrap();
    let refused = toolbox.matched("turn off the hall light in 20 minutes").unwrap().reply;
    assert_eq!(refused, "I do that only where you say yes to it at that moment.");
    assert_eq!(toolbox.next_timer(), None);
}

#[test]
fn what_waits_for_a_yes_is_done_for_a_yes_and_dropped_for_anything_else() {
    let rule = nearfield_home::Rule { confirm: nearfield_home::Confirm::Always, ..nearfield_home::Rule::default() };
    let policy = nearfield_home::Policy::new([("light".to_owned(), rule)].into()).unwrap();
    for (answer, after) in [("Yes, please.", "on"), ("ok", "on"), ("No.", "off"), ("What time is it?", "off")] {
        let file = HomeFile::parse(HOME).unwrap();
        let household = nearfield_home::Household::new(file, policy.clone(), nearfield_home::Remembered::default());
        let mut toolbox = Toolbox::new(Some(HomeTools::new(household)), Vec::new()).unwrap().without_matcher();
        toolbox = toolbox.laid_out(crate::voice::tools::HomeLayout::ByThing);
        let call =
            crate::voice::tools::ToolCall { name: "turn_on".to_owned(), arguments: json!({"name": "Kitchen Light"}) };
        let asked = toolbox.call(&call, &|| false);
        assert!(!asked.ok && asked.failure.unwrap().starts_with("Do you really want to"));
        assert_eq!(state(&toolbox, "light.kitchen_light"), "off");
        assert_eq!(toolbox.consent(answer).is_some(), answer != "What time is it?", "{answer}");
        assert_eq!(state(&toolbox, "light.kitchen_light"), after, "{answer}");
        assert!(toolbox.consent("yes").is_none(), "{answer}");
    }
}

#[test]
fn what_it_does_not_understand_and_consent_to_nothing_are_passed_on() {
    let mut toolbox = toolbox();
    for request in ["What is the tallest mountain?", "yes", "Tell me a story about a light."] {
        assert!(toolbox.matched(request).is_none(), "{request}");
    }
}

#[test]
fn a_home_of_rooms_is_left_to_the_model_that_has_learned_it() {
    let rooms = HomeFile::parse(r#"{"rooms": {"kitchen": {"light": "off"}}}"#).unwrap();
    let mut toolbox = Toolbox::new(Some(HomeTools::of_rooms(rooms)), Vec::new()).unwrap();
    assert!(toolbox.matched("turn on the kitchen light").is_none());
}

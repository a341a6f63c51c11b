//! The matcher by kinds of requests: what changes, what is answered, what is asked back, and what is left to the language model.

use std::fs;

use nearfield_home::inventory::Inventory;
use nearfield_home::sentences::{Matcher, Outcome, Setting, Step};
use nearfield_home::{Home, HomeFile};

const HOME: &str = "
areas:
  - {name: Kitchen, id: kitchen, floor: Ground Floor}
  - {name: Hall, id: hall, floor: Ground Floor}
  - {name: Study, id: study, floor: Upper Floor}
entities:
  - {name: Ceiling Light, id: light.kitchen_ceiling, area: kitchen, state: 'off', attributes: {supported_color_modes: [onoff]}}
  - {name: Worktop Lights, id: light.worktop, area: kitchen, state: 'on', attributes: {brightness: 255, supported_color_modes: [brightness]}}
  - {name: Hall Light, id: light.hall, area: hall, state: 'on', attributes: {supported_color_modes: [onoff]}}
  - {name: Standard Lamp, id: light.lamp, area: study, state: 'off', attributes: {supported_color_modes: [brightness]}}
  - {name: Smart Plug, id: switch.plug, area: kitchen, state: 'off', attributes: {device_class: outlet}}
  - {name: Radio, id: media_player.radio, area: kitchen, state: playing, attributes: {volume_level: 0.5}}
  - {name: Study Heater, id: climate.study, area: study, state: heat, attributes: {temperature: 20, current_temperature: 19}}
  - {name: Hall Heater, id: climate.hall, area: hall, state: heat, attributes: {temperature: 18, current_temperature: 18}}
  - {name: Garage Door, id: cover.garage, state: closed, attributes: {device_class: garage}}
  - {name: Front Door, id: lock.front, area: hall, state: locked}
  - {name: Diesel Tank, id: sensor.diesel, state: '62', attributes: {unit_of_measurement: '%'}}
  - {name: Dishwasher Leak, id: binary_sensor.leak, area: kitchen, state: 'off', attributes: {device_class: moisture}}
  - {name: Chores, id: todo.chores, state: '2', attributes: {todo_items: [{summary: take out the bins, status: needs_action}, {summary: water the plants, status: needs_action}]}}
  - {name: Close the house, id: script.close, state: 'off'}
  - {name: Home, id: weather.home, state: cloudy, attributes: {temperature: 8, temperature_unit: °C, daily_forecast: [{datetime: '2026-11-29', condition: rainy, temperature: 9, precipitation_probability: 80}, {datetime: '2026-12-01', condition: snowy, temperature: 0}]}}
";

fn home() -> Home {
    Inventory::parse(HOME).unwrap().home().unwrap()
}

fn setting<'a>(home: &'a Home, area: Option<&'a str>) -> Setting<'a> {
    Setting {
        home,
        area,
        now: jiff::civil::date(2026, 11, 29).at(12, 0, 0, 0),
        last: &[],
        before: None,
        has_timers: false,
    }
}

/// What a request does: its calls as "service entity entity", or "says …", "asks …", "passes".
fn heard_in(request: &str, area: Option<&str>) -> String {
    let home = home();
    let outcome = Matcher::english().unwrap().understand(request, &setting(&home, area));
    told(&outcome)
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Do(steps) => {
            let parts = steps.iter().map(|step| match step {
                Step::Act(reading) => {
                    let calls =
                        reading.calls.iter().map(|call| format!("{} {}", call.service, call.entities.join(" ")));
                    calls.collect::<Vec<_>>().join(" + ")
                }
                Step::Say(_, answer) => format!("says {answer}"),
                Step::Request(request) => format!("{request:?}"),
            });
            parts.collect::<Vec<_>>().join(" + ")
        }
        Outcome::Ask { question, .. } => format!("asks {question}"),
        Outcome::Pass(_) => "passes".to_owned(),
    }
}

fn heard(request: &str) -> String {
    heard_in(request, None)
}

fn each(pairs: &[(&str, &str)]) {
    for (request, does) in pairs {
        assert_eq!(heard(request), *does, "{request}");
    }
}

#[test]
fn a_wish_is_done_without_the_remark_that_gives_its_reason() {
    each(&[
        ("It's late, turn off the radio", "media_player.turn_off media_player.radio"),
        ("Unlock the front door, Beth's downstairs", "lock.unlock lock.front"),
        ("I can't hear myself think, turn the radio off", "media_player.turn_off media_player.radio"),
        ("I'm done in the hall, you can switch the light off in there", "light.turn_off light.hall"),
    ]);
}

#[test]
fn a_remark_of_one_word_is_passed_over() {
    each(&[
        ("I, turn on the hall light", "light.turn_on light.hall"),
        ("we, turn off the hall light", "light.turn_off light.hall"),
    ]);
    // What a fuzzer found.
    heard("nI, I, thth");
}

#[test]
fn a_time_that_cannot_be_told_is_no_wish_for_now() {
    let now = jiff::civil::date(2026, 3, 18).at(19, 0, 0, 0);
    for later in [
        "turn off the fan in minus five minutes",
        "turn off the fan in umpteen minutes",
        "in a while turn off the fan",
        "turn off the fan next week",
        "turn off the fan next Sunday",
    ] {
        assert!(nearfield_home::sentences::is_for_later(later, now), "{later}");
    }
    for at_once in [
        "turn off the fan in second bedroom",
        "turn on the lamp in my office for an hour",
        "turn it up a bit in here",
        "play the next song",
        "turn on the fan in bedroom for ten minutes",
    ] {
        assert!(!nearfield_home::sentences::is_for_later(at_once, now), "{at_once}");
    }
}

#[test]
fn a_condition_or_a_negation_is_no_remark() {
    for request in
        ["If it rains, open the garage door", "Not now, turn off the radio later", "He said, turn off the radio"]
    {
        assert_eq!(heard(request), "passes", "{request}");
    }
}

#[test]
fn a_wish_with_a_condition_is_done_where_it_holds_now() {
    each(&[
        ("If the front door is locked, turn off the hall light", "light.turn_off light.hall"),
        ("turn off the radio if it's playing", "media_player.turn_off media_player.radio"),
        ("If the garage door is open, close it", "says No, the garage door is closed, so I did nothing."),
        ("if the garage door isn't open, open it", "cover.open_cover cover.garage"),
        ("turn on the standard lamp unless the hall light is on", "says Yes, the hall light is on, so I did nothing."),
        (
            "turn on the study heater if it is below 15 degrees in the study, otherwise turn it off",
            "climate.turn_off climate.study",
        ),
        ("if the diesel tank is on fire, turn off the radio", "passes"),
        ("add ask if the door is open to my chores", "todo.add_item todo.chores"),
    ]);
    let waits = "says I cannot wait for that to happen: I can do it now, at a time of day, or if something is so now.";
    each(&[
        ("When I leave, lock the front door", waits),
        ("turn on the radio as soon as Beth comes home", waits),
        ("when is it going to snow", "says On Tuesday it will be snowy, with 0 °C."),
    ]);
}

#[test]
fn what_is_not_to_be_done_is_left_and_what_is_wished_besides_is_done() {
    let left = "says All right, I leave it as it is.";
    each(&[
        ("Don't turn off the radio", left),
        ("never open the garage door", left),
        ("can you not turn the standard lamp on", left),
        ("Do not touch the lights, just turn off the radio", "media_player.turn_off media_player.radio"),
        ("turn off the radio but leave the lights alone", "media_player.turn_off media_player.radio"),
        ("turn off the radio and don't touch anything else", "media_player.turn_off media_player.radio"),
        ("Don't forget to turn off the radio", "media_player.turn_off media_player.radio"),
        ("add don't be late to my chores", "todo.add_item todo.chores"),
        ("do not worry", "passes"),
    ]);
}

#[test]
fn one_reading_is_told_from_others_that_cut_a_name_short_or_take_a_room_for_one() {
    each(&[
        ("set kitchen to 30 percent", "light.turn_on light.worktop"),
        ("kitchen to 30 percent", "light.turn_on light.worktop"),
        ("turn on every light except the ones in the kitchen", "light.turn_on light.hall light.lamp"),
        ("turn off the hallway light", "light.turn_off light.hall"),
        (
            "switch on the standard lamp and turn the heater there up",
            "light.turn_on light.lamp + climate.set_temperature climate.study",
        ),
        ("empty my chores", "todo.remove_item todo.chores + todo.remove_item todo.chores"),
    ]);
}

#[test]
fn an_implied_wish_gives_way_to_the_one_that_is_said() {
    each(&[("It's too dark in the study, turn on the standard lamp", "light.turn_on light.lamp")]);
}

#[test]
fn two_wishes_in_one_sentence_are_both_done() {
    each(&[
        (
            "Turn on the ceiling light and lock the front door",
            "light.turn_on light.kitchen_ceiling + lock.lock lock.front",
        ),
        (
            "turn on the hall light then open the garage door",
            "light.turn_on light.hall + cover.open_cover cover.garage",
        ),
    ]);
}

#[test]
fn a_slip_is_replaced_by_what_was_meant() {
    each(&[
        ("Turn off the hall light, I mean the worktop lights", "light.turn_off light.worktop"),
        ("turn it off, the radio", "media_player.turn_off media_player.radio"),
    ]);
}

#[test]
fn the_particle_and_the_place_may_stand_anywhere() {
    let off = "light.turn_off light.kitchen_ceiling light.worktop";
    for request in
        ["Lights off in the kitchen", "turn the lights in the kitchen off", "in the kitchen, turn off the lights"]
    {
        assert_eq!(heard(request), off, "{request}");
    }
    assert_eq!(
        heard("All lights off except the hall light"),
        "light.turn_off light.kitchen_ceiling light.worktop light.lamp"
    );
    assert_eq!(
        heard("Switch off every light but the hall one"),
        "light.turn_off light.kitchen_ceiling light.worktop light.lamp"
    );
}

#[test]
fn any_and_some_without_a_verb_change_nothing() {
    for request in ["any lights on in the kitchen", "some lights off", "garage door open"] {
        let does = heard(request);
        assert!(!does.contains("light.turn") && !does.contains("cover."), "{request}: {does}");
    }
}

#[test]
fn what_is_misheard_finds_the_one_near_name() {
    each(&[
        ("turn on the stand art lamp", "light.turn_on light.lamp"),
        ("turn on the work top lights", "light.turn_on light.worktop"),
        ("turn of the hall light", "light.turn_off light.hall"),
        ("turn turn off the hall light", "light.turn_off light.hall"),
    ]);
}

#[test]
fn what_is_misheard_opens_no_door() {
    assert_eq!(heard("unlock the frond door"), "passes");
    assert_eq!(heard("lock the frond door"), "lock.lock lock.front");
}

#[test]
fn a_switch_is_no_sprinkler_and_the_garage_no_mere_door() {
    assert_eq!(heard("turn on the sprinkler"), "passes");
    assert_eq!(heard("open the door"), "passes");
    assert_eq!(heard("open the garage door"), "cover.open_cover cover.garage");
}

#[test]
fn a_room_that_is_there_is_not_said_to_have_no_light() {
    for request in ["Is the kitchen light locked?", "lock the kitchen light"] {
        let does = heard(request);
        assert!(!does.contains("There is no") && !does.contains("There are no"), "{request}: {does}");
    }
}

#[test]
fn here_is_where_the_asking_device_stands() {
    assert_eq!(
        heard_in("turn off the lights in here", Some("kitchen")),
        "light.turn_off light.kitchen_ceiling light.worktop"
    );
    assert_eq!(heard_in("lights off", Some("hall")), "light.turn_off light.hall");
    assert_eq!(heard_in("turn off all the lights in the house", Some("hall")).split(' ').count(), 5);
}

#[test]
fn a_question_in_any_words_is_answered_where_it_names_one_sensor() {
    each(&[
        ("How much diesel have we got?", "says The diesel tank is 62%."),
        ("Did the dishwasher leak?", "says No, the dishwasher leak is dry."),
        ("How much diesel did we have yesterday?", "passes"),
        ("Is there a good movie on tonight?", "passes"),
    ]);
}

#[test]
fn the_forecast_answers_what_will_be_and_the_state_what_is() {
    let rain = heard("Will it rain today?");
    assert!(rain.starts_with("says Yes"), "{rain}");
    let now = heard("Is it raining?");
    assert!(now.starts_with("says No"), "{now}");
    let snow = heard("When will it snow?");
    assert!(snow.contains("Tuesday") && snow.contains("snowy"), "{snow}");
    let chance = heard("What's the chance of rain today?");
    assert!(chance.contains("80%"), "{chance}");
}

#[test]
fn an_item_that_a_remark_is_about_is_crossed_off() {
    assert_eq!(heard("I took out the bins, cross it off the chores"), "todo.update_item todo.chores");
    assert_eq!(heard("I went for a walk, cross it off the chores"), "passes");
}

#[test]
fn the_whole_name_of_a_script_comes_before_its_words() {
    assert_eq!(heard("Close the house"), "script.turn_on script.close");
}

#[test]
fn a_users_own_sentences_are_known_besides_ours() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.yaml");
    fs::write(
        &file,
        "intents:\n  TurnOn:\n    data:\n      - sentences: ['crank up the tunes']\n        slots: {target: radio}\n  HassTurnOff:\n    \
         data:\n      - sentences: ['kill the juice of {name}']\n",
    )
    .unwrap();
    let mut matcher = Matcher::english().unwrap().with_sentences(folder.path()).unwrap();
    let home = home();
    let mut does = |request: &str| told(&matcher.understand(request, &setting(&home, None)));
    assert_eq!(does("crank up the tunes"), "media_player.turn_on media_player.radio");
    assert_eq!(does("kill the juice of the hall light"), "light.turn_off light.hall");
    assert_eq!(does("turn off the hall light"), "light.turn_off light.hall");
}

#[test]
fn a_mistake_in_a_users_sentences_is_named_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.yaml");
    for (text, says) in [
        ("intents:\n  TurnOn:\n    data:\n      - sentences:\n          - 'crank [up'\n", "line 5, intent TurnOn"),
        ("intents:\n  Sing:\n    data:\n      - sentences: [sing]\n", "line 2: there is no intent Sing"),
        ("intents:\n  \"Si\\tng\":\n    data:\n      - sentences: [sing]\n", "there is no intent Si ng;"),
        ("intents: [\n", "line"),
    ] {
        fs::write(&file, text).unwrap();
        let error = Matcher::english().unwrap().with_sentences(folder.path()).unwrap_err().to_string();
        assert!(error.contains("mine.yaml") && error.contains(says), "{error}");
    }
}

#[test]
fn a_locked_door_of_a_home_of_rooms_stays_locked_as_entities() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("home.json");
    for state in ["locked", "unlocked", "open", "closed"] {
        fs::write(&file, format!("{{\"doors\": {{\"front door\": \"{state}\"}}}}")).unwrap();
        let home = HomeFile::load(&file).unwrap().home().clone();
        let again = nearfield_home::rooms::Rooms::of(&home).render();
        assert_eq!(again, format!("doors {state}: front door={state}"));
    }
}

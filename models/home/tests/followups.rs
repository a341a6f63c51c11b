//! Requests that lean on the one before: what they go on with, and what is not guessed.

use nearfield_home::Home;
use nearfield_home::inventory::Inventory;
use nearfield_home::sentences::{ASKED, Matcher, Outcome, Reading, Setting, Step};

const HOME: &str = "
floors:
  - {name: Ground Floor, id: ground}
  - {name: Upstairs, id: up}
areas:
  - {name: Kitchen, id: kitchen, floor: ground}
  - {name: Hall, id: hall, floor: ground}
  - {name: Study, id: study, floor: up}
entities:
  - {name: Ceiling Light, id: light.kitchen, area: kitchen, state: 'on', attributes: {supported_color_modes: [brightness], brightness: 128}}
  - {name: Hall Light, id: light.hall, area: hall, state: 'on', attributes: {supported_color_modes: [onoff]}}
  - {name: Left Lamp, id: light.left, area: study, state: 'off', attributes: {supported_color_modes: [brightness]}}
  - {name: Right Lamp, id: light.right, area: study, state: 'off', attributes: {supported_color_modes: [brightness]}}
  - {name: Radio, id: media_player.radio, area: kitchen, state: playing, attributes: {volume_level: 0.5}}
  - {name: Kitchen Temperature, id: sensor.kitchen, area: kitchen, state: '21', attributes: {device_class: temperature, unit_of_measurement: °C}}
  - {name: Study Temperature, id: sensor.study, area: study, state: '18', attributes: {device_class: temperature, unit_of_measurement: °C}}
  - {name: Home, id: weather.home, state: cloudy, attributes: {temperature: 8, temperature_unit: °C, daily_forecast: [{datetime: '2026-11-29', condition: rainy, temperature: 9}, {datetime: '2026-11-30', condition: sunny, temperature: 12}]}}
";

/// What each of several requests in a row does: its entities, or its answer.
fn told(requests: &[&str]) -> Vec<String> {
    let mut home: Home = Inventory::parse(HOME).unwrap().home().unwrap();
    let mut matcher = Matcher::english().unwrap();
    let (mut last, mut before): (Vec<String>, Option<Reading>) = (Vec::new(), None);
    let mut out = Vec::new();
    for request in requests {
        let now = jiff::civil::date(2026, 11, 29).at(12, 0, 0, 0);
        let setting = Setting { home: &home, area: None, now, last: &last, before: before.as_ref(), has_timers: false };
        let mut said = Vec::new();
        match matcher.understand(request, &setting) {
            Outcome::Do(steps) => {
                for step in steps {
                    let (Step::Act(reading) | Step::Say(reading, _)) = &step else { continue };
                    for call in &reading.calls {
                        home.apply(call).unwrap();
                        said.push(format!("{} {}", call.service, call.entities.join(" ")));
                    }
                    if let Step::Say(_, answer) = &step {
                        said.push(answer.clone());
                    }
                    last.clone_from(&reading.targets);
                    before = Some(reading.clone());
                }
            }
            Outcome::Ask { choices, wording, .. } => {
                said.push("asks".to_owned());
                last.clone_from(&choices);
                before = Some(Reading { intent: ASKED.to_owned(), targets: choices, wording, ..Reading::default() });
            }
            Outcome::Pass(_) => said.push("passes".to_owned()),
        }
        out.push(said.join(" + "));
    }
    out
}

#[test]
fn another_place_or_thing_takes_the_place_of_the_last() {
    assert_eq!(
        told(&["turn off the lights in the kitchen", "and the hall?"]),
        ["light.turn_off light.kitchen", "light.turn_off light.hall"]
    );
    assert_eq!(
        told(&["What's the temperature in the kitchen?", "And upstairs?"]),
        ["The temperature in the kitchen is 21 °C.", "The temperature upstairs is 18 °C."]
    );
    assert_eq!(
        told(&["turn off the radio", "the hall light too"]),
        ["media_player.turn_off media_player.radio", "light.turn_off light.hall"]
    );
}

#[test]
fn another_day_takes_the_place_of_the_last() {
    let answers = told(&["will it rain today", "what about tomorrow?"]);
    assert!(answers[0].starts_with("Yes") && answers[1].starts_with("No"), "{answers:?}");
}

#[test]
fn a_change_is_made_again_or_turned_back() {
    assert_eq!(
        told(&["turn the radio up", "a bit more", "a bit less"]),
        [
            "media_player.volume_up media_player.radio",
            "media_player.volume_up media_player.radio",
            "media_player.volume_down media_player.radio"
        ]
    );
    assert_eq!(
        told(&["turn on the hall light", "off again"]),
        ["light.turn_on light.hall", "light.turn_off light.hall"]
    );
}

#[test]
fn the_other_one_is_the_one_that_goes_with_it() {
    assert_eq!(
        told(&["turn on the left lamp", "the other one"]),
        ["light.turn_on light.left", "light.turn_on light.right"]
    );
}

#[test]
fn a_question_asked_back_is_answered_by_a_word() {
    assert_eq!(told(&["dim the lamp to 20 percent", "the left one"]), ["asks", "light.turn_on light.left"]);
    assert_eq!(told(&["dim the lamp to 20 percent", "both"]), ["asks", "light.turn_on light.left light.right"]);
}

#[test]
fn what_leans_on_nothing_or_has_two_meanings_is_not_guessed() {
    assert_eq!(told(&["and the hall?"]), ["passes"]);
    assert_eq!(told(&["dim the ceiling light to 30 percent", "a bit more"])[1], "passes");
    assert_eq!(told(&["turn off the hall light", "the other one"])[1], "passes");
}

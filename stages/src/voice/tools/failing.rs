//! Forty requests whose tool fails: each is answered by one sentence that names what was to be done and why it was not, and nothing
//! has changed.

use nearfield_home::HomeFile;

use super::*;

const HOME: &str = "
areas:
  - {name: Kitchen, id: kitchen}
  - {name: Hall, id: hall}
  - {name: Study, id: study}
entities:
  - {name: Kitchen Light, id: light.kitchen, area: kitchen, state: 'off', attributes: {supported_color_modes: [rgb]}}
  - {name: Hall Light, id: light.hall, area: hall, state: 'on', attributes: {supported_color_modes: [brightness], brightness: 200}}
  - {name: Kettle, id: switch.kettle, area: kitchen, state: 'off'}
  - {name: Front Door, id: lock.front, area: hall, state: locked}
  - {name: Garage Door, id: cover.garage, state: closed, attributes: {device_class: garage}}
  - {name: Study Blinds, id: cover.study, area: study, state: open, attributes: {device_class: blind, current_position: 100}}
  - {name: Study Fan, id: fan.study, area: study, state: 'on', attributes: {percentage: 50, oscillating: false}}
  - {name: Heating, id: climate.heating, area: study, state: heat, attributes: {temperature: 20, hvac_modes: ['off', heat, cool]}}
  - {name: Radio, id: media_player.radio, area: kitchen, state: playing, attributes: {volume_level: 0.5}}
  - {name: Rosie, id: vacuum.rosie, area: hall, state: docked}
  - {name: Main Valve, id: valve.main, area: kitchen, state: open, attributes: {current_position: 100}}
  - {name: Groceries, id: todo.groceries, state: '1', attributes: {todo_items: [{summary: milk, status: needs_action}]}}
";

/// What is asked for, and what the sentence says of it behind "I could not".
const REQUESTS: [(&str, &str); 40] = [
    ("turn on the kitchen light", "turn on the Kitchen Light"),
    ("Could you switch the kitchen light on, please?", "turn on the Kitchen Light"),
    ("turn off the hall light", "turn off the Hall Light"),
    ("hall light off", "turn off the Hall Light"),
    ("turn off all the lights", "turn off the Kitchen Light and Hall Light"),
    ("set the hall light to 30 percent", "set the Hall Light to 30"),
    ("dim the hall light to 10%", "set the Hall Light to 10"),
    ("make the hall light a bit brighter", "set the Hall Light to"),
    ("make the kitchen light red", "set the Kitchen Light to red"),
    ("put the kettle on", "turn on the Kettle"),
    ("switch on the kettle and turn off the hall light", "turn on the Kettle"),
    ("unlock the front door", "unlock the Front Door"),
    ("unlatch the front door", "unlock the Front Door"),
    ("open the garage door", "open the Garage Door"),
    ("open up the garage", "open the Garage Door"),
    ("close the study blinds", "close the Study Blinds"),
    ("set the study blinds to 40 percent", "set the Study Blinds to 40"),
    ("lower the blinds halfway", "set the Study Blinds to 50"),
    ("turn off the study fan", "turn off the Study Fan"),
    ("set the fan to 80 percent", "set the Study Fan to 80"),
    ("let the study fan oscillate", "change the Study Fan"),
    ("set the heating to 22 degrees", "set the Heating to 22"),
    ("make it two degrees warmer", "set the Heating to 22"),
    ("set the heating to cool", "set the Heating to cool"),
    ("turn the heating off", "turn off the Heating"),
    ("pause the radio", "pause the Radio"),
    ("turn the radio off", "turn off the Radio"),
    ("set the radio to 20 percent", "set the volume of the Radio to 20"),
    ("mute the radio", "mute the Radio"),
    ("next song", "skip to the next track on the Radio"),
    ("previous song on the radio", "go back to the previous track on the Radio"),
    ("start Rosie", "start the Rosie"),
    ("vacuum the hall", "start the Rosie"),
    ("close the main valve", "close the Main Valve"),
    ("set the main valve to 30 percent", "set the Main Valve to 30"),
    ("add eggs to the groceries", "add eggs to the Groceries"),
    ("take milk off the groceries", "remove milk from the Groceries"),
    ("mark milk as done", "mark milk as done on the Groceries"),
    ("turn off everything in the kitchen", "turn off the"),
    ("if the hall light is on, turn it off", "turn off the Hall Light"),
];

#[test]
fn each_of_forty_requests_whose_tool_fails_is_answered_by_what_failed_and_why_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("home.yaml");
    let mut wrong = Vec::new();
    for (at, (request, deed)) in REQUESTS.iter().enumerate() {
        std::fs::write(&path, HOME).unwrap();
        let home = HomeTools::of_rooms(HomeFile::load(&path).unwrap());
        let mut toolbox = Toolbox::new(Some(home), Vec::new()).unwrap();
        let before = toolbox.home().unwrap().household().home().clone();
        // Every other time the file is gone, else somebody has broken it.
        let cause = match at % 2 {
            0 => {
                std::fs::remove_file(&path).unwrap();
                "the file of the home is gone"
            }
            _ => {
                std::fs::write(&path, "entities: {").unwrap();
                "the file of the home has an error in it"
            }
        };
        let Some(matched) = toolbox.matched(request) else {
            wrong.push(format!("{request}: is not understood"));
            continue;
        };
        let said = &matched.reply;
        let is_one = said.starts_with(&format!("I could not {deed}")) && said.ends_with(&format!(": {cause}."));
        let is_told = !matched.tools.is_empty() && matched.tools.iter().all(|tool| !tool.ok && tool.failure.is_some());
        let changes = toolbox.home().unwrap().household().home().changes_since(&before);
        if !is_one || !is_told || !changes.is_empty() {
            wrong.push(format!("{request}: {said} {changes:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), REQUESTS.len(), wrong.join("\n"));
}

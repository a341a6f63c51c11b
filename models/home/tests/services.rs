//! What services do to entities, held to Home Assistant's names, units and effects.

use nearfield_home::inventory::Inventory;
use nearfield_home::{Home, ServiceCall, ServiceError};
use serde_json::{Value, json};

const HOME: &str = r#"---
areas:
  - name: Kitchen
    id: kitchen
    floor: Ground floor
  - name: Bedroom
    floor: First floor
devices:
  - name: Sound
    id: sound
    area: bedroom
entities:
  - {name: Kitchen Light, id: light.kitchen, area: kitchen, state: "off", attributes: {supported_color_modes: [brightness], color_mode: brightness, brightness: 0}}
  - {name: Hall Light, id: light.hall, state: "on", attributes: {supported_color_modes: [onoff], color_mode: onoff}}
  - {name: Strip, id: light.strip, state: "on", attributes: {supported_color_modes: [color_temp, rgbw], color_mode: color_temp, color_temp_kelvin: 3000, brightness: 100}}
  - {name: Fan, id: fan.bedroom, area: bedroom, state: "off", attributes: {supported_features: [fan.FanEntityFeature.SET_SPEED, fan.FanEntityFeature.OSCILLATE], oscillating: false}}
  - {name: Ceiling Fan, id: fan.ceiling, state: "off", attributes: {supported_features: []}}
  - {name: Garage Door, id: cover.garage, state: closed, attributes: {device_class: cover.CoverDeviceClass.GARAGE, supported_features: [cover.CoverEntityFeature.OPEN, cover.CoverEntityFeature.CLOSE]}}
  - {name: Curtain, id: cover.curtain, state: open, attributes: {current_position: 100, supported_features: 15}}
  - {name: Water Valve, id: valve.water, state: open, attributes: {reports_position: true, current_position: 0, supported_features: [valve.ValveEntityFeature.OPEN, valve.ValveEntityFeature.CLOSE, valve.ValveEntityFeature.SET_POSITION]}}
  - {name: Front Door, id: lock.front, state: locked}
  - {name: Safe, id: lock.safe, state: locked, attributes: {code: "1234"}}
  - {name: Speaker, id: media_player.sound, device: sound, state: playing, attributes: {media_track: 1, volume_level: 0.6}}
  - {name: Robot, id: vacuum.robot, state: docked}
  - {name: Shopping, id: todo.shopping, attributes: {todo_items: [milk, {summary: Eggs, status: completed}]}}
  - {name: Thermostat, id: climate.hall, attributes: {hvac_modes: ["off", heat, cool], hvac_mode: "off", current_temperature: 19, target_temperature: 20, supported_features: 1}}
  - {name: Alarm, id: alarm_control_panel.home, state: disarmed, attributes: {supported_features: [ARM_HOME, ARM_AWAY]}}
  - {name: Kettle, id: switch.kettle, state: false}
  - {name: Window, id: binary_sensor.window, state: true, attributes: {device_class: binary_sensor.BinarySensorDeviceClass.WINDOW}}
  - {name: Volume, id: input_number.volume, state: 5, attributes: {min: 0, max: 10, step: 2}}
  - {name: Mode, id: input_select.mode, state: Day, attributes: {options: [Day, Night]}}
  - {name: Egg Timer, id: timer.egg, attributes: {duration: "0:05:00"}}
  - {name: Movie, id: scene.movie, attributes: {entities: {light.hall: "off", cover.curtain: closed, light.kitchen: {state: "on", brightness_pct: 20}}}}
  - {name: Weather, id: weather.home, attributes: {condition: sunny, native_temperature: 72, native_temperature_unit: °F, daily_forecast: [rainy]}}
"#;

fn home() -> Home {
    Inventory::parse(HOME).unwrap().home().unwrap()
}

/// What a call changes, as JSON; or the sentence why it is not made.
fn after(call: ServiceCall) -> Result<Value, String> {
    let before = home();
    let mut home = before.clone();
    match home.apply(&call) {
        Ok(_) => Ok(serde_json::to_value(home.changes_since(&before)).unwrap()),
        Err(error) => {
            assert_eq!(home, before, "a call that is refused changes nothing");
            Err(error.to_string())
        }
    }
}

fn call(service: &str, entity: &str) -> ServiceCall {
    ServiceCall::new(service, [entity])
}

#[test]
fn a_light_shows_brightness_and_mode_only_while_it_is_on() {
    assert_eq!(
        after(call("light.turn_on", "light.kitchen")).unwrap(),
        json!({"light.kitchen": {"state": "on", "attributes": {"brightness": 0, "color_mode": "brightness"}}})
    );
    assert_eq!(
        after(call("light.turn_off", "light.hall")).unwrap(),
        json!({"light.hall": {"state": "off", "attributes": {"color_mode": null}}})
    );
    assert_eq!(
        after(call("light.turn_off", "light.strip")).unwrap(),
        json!({"light.strip": {"state": "off", "attributes": {"color_mode": null, "color_temp_kelvin": null, "brightness": null}}})
    );
}

#[test]
fn percent_of_brightness_become_255ths_with_halves_to_the_even_number() {
    for (percent, level) in [(50, 128), (30, 76), (10, 26), (1, 3), (100, 255)] {
        let changes = after(call("light.turn_on", "light.kitchen").with("brightness_pct", percent)).unwrap();
        assert_eq!(changes["light.kitchen"]["attributes"]["brightness"], level, "{percent} %");
    }
    let off = after(call("light.turn_on", "light.strip").with("brightness_pct", 0)).unwrap();
    assert_eq!(off["light.strip"]["state"], "off");
    let more = after(call("light.turn_on", "light.strip").with("brightness_step_pct", 10)).unwrap();
    assert_eq!(more, json!({"light.strip": {"attributes": {"brightness": 126}}}));
    assert_eq!(after(call("light.turn_on", "light.hall").with("brightness_pct", 20)).unwrap(), json!({}));
}

#[test]
fn a_colour_changes_the_mode_and_one_that_a_light_cannot_show_is_refused() {
    let red = after(call("light.turn_on", "light.strip").with("color_name", "red")).unwrap();
    let attributes = &red["light.strip"]["attributes"];
    assert_eq!(attributes["rgb_color"], json!([255, 0, 0]));
    assert_eq!((attributes["color_mode"].as_str(), &attributes["color_temp_kelvin"]), (Some("rgbw"), &Value::Null));
    let error = after(call("light.turn_on", "light.kitchen").with("color_name", "red")).unwrap_err();
    assert_eq!(error, "the Kitchen Light cannot show colours");
    let error = after(call("light.turn_on", "light.strip").with("color_name", "reddish")).unwrap_err();
    assert_eq!(error, "the color name of the Strip cannot be reddish");
}

#[test]
fn covers_and_valves_end_where_they_are_sent() {
    for (service, entity, data, expected) in [
        (
            "cover.open_cover",
            "cover.garage",
            None,
            json!({"cover.garage": {"state": "open", "attributes": {"current_position": 100}}}),
        ),
        (
            "cover.set_cover_position",
            "cover.curtain",
            Some(40),
            json!({"cover.curtain": {"attributes": {"current_position": 40}}}),
        ),
        (
            "cover.close_cover",
            "cover.curtain",
            None,
            json!({"cover.curtain": {"state": "closed", "attributes": {"current_position": 0}}}),
        ),
        (
            "valve.open_valve",
            "valve.water",
            None,
            json!({"valve.water": {"state": "open", "attributes": {"current_position": 100}}}),
        ),
        (
            "valve.set_valve_position",
            "valve.water",
            Some(50),
            json!({"valve.water": {"state": "open", "attributes": {"current_position": 50}}}),
        ),
        ("cover.close_cover", "cover.garage", None, json!({})),
    ] {
        let mut call = call(service, entity);
        if let Some(position) = data {
            call = call.with("position", position);
        }
        assert_eq!(after(call).unwrap(), expected, "{service}");
    }
    let error = after(call("cover.set_cover_position", "cover.garage").with("position", 50)).unwrap_err();
    assert_eq!(error, "the Garage Door cannot be moved to a position");
}

#[test]
fn fans_have_a_percentage_where_they_have_speeds() {
    let fan = |service: &str| call(service, "fan.bedroom");
    assert_eq!(
        after(fan("fan.turn_on")).unwrap(),
        json!({"fan.bedroom": {"state": "on", "attributes": {"percentage": 100}}})
    );
    assert_eq!(
        after(fan("fan.set_percentage").with("percentage", "33%")).unwrap(),
        json!({"fan.bedroom": {"state": "on", "attributes": {"percentage": 33}}})
    );
    assert_eq!(after(call("fan.turn_on", "fan.ceiling")).unwrap(), json!({"fan.ceiling": {"state": "on"}}));
    assert!(after(call("fan.set_percentage", "fan.ceiling").with("percentage", 50)).is_err());
}

#[test]
fn media_players_skip_mute_and_go_off_as_the_synthetic_home_does() {
    let player = |service: &str| call(service, "media_player.sound");
    let changed = |changes: Value| changes["media_player.sound"].clone();
    assert_eq!(
        changed(after(player("media_player.media_next_track")).unwrap()),
        json!({"attributes": {"media_track": 2}})
    );
    assert_eq!(changed(after(player("media_player.media_pause")).unwrap()), json!({"state": "paused"}));
    assert_eq!(
        changed(after(player("media_player.volume_mute").with("is_volume_muted", true)).unwrap()),
        json!({"attributes": {"volume_level": 0.0}})
    );
    assert_eq!(
        changed(after(player("media_player.volume_set").with("volume_level", 0.5)).unwrap()),
        json!({"attributes": {"volume_level": 0.5}})
    );
    let off = changed(after(player("media_player.turn_off")).unwrap());
    assert_eq!(off, json!({"state": "off", "attributes": {"media_track": null, "volume_level": null}}));
    let mut home = home();
    for (mute, level) in [(true, 0.0), (false, 0.6)] {
        home.apply(&player("media_player.volume_mute").with("is_volume_muted", mute)).unwrap();
        assert_eq!(home.entity("media_player.sound").unwrap().number("volume_level"), Some(level));
    }
}

#[test]
fn a_list_counts_what_is_to_be_done_and_does_not_show_its_items_as_attributes() {
    assert_eq!(home().entity("todo.shopping").unwrap().state, "1");
    let list = |service: &str, item: &str| call(service, "todo.shopping").with("item", item);
    assert_eq!(after(list("todo.add_item", "bread")).unwrap(), json!({"todo.shopping": {"state": "2"}}));
    assert_eq!(
        after(list("todo.update_item", "The milk").with("status", "completed")).unwrap(),
        json!({"todo.shopping": {"state": "0"}})
    );
    assert_eq!(after(list("todo.remove_item", "eggs")).unwrap(), json!({}));
    assert_eq!(after(list("todo.remove_item", "tea")).unwrap_err(), "tea is not on the Shopping");
}

#[test]
fn the_rest_is_switched_set_and_chosen() {
    for (call, entity, state) in [
        (call("lock.unlock", "lock.front"), "lock.front", "unlocked"),
        (call("lock.unlock", "lock.safe").with("code", "1234"), "lock.safe", "unlocked"),
        (call("vacuum.start", "vacuum.robot"), "vacuum.robot", "cleaning"),
        (call("vacuum.return_to_base", "vacuum.robot"), "vacuum.robot", "returning"),
        (call("climate.turn_on", "climate.hall"), "climate.hall", "heat"),
        (call("climate.set_hvac_mode", "climate.hall").with("hvac_mode", "Cool"), "climate.hall", "cool"),
        (
            call("alarm_control_panel.alarm_arm_away", "alarm_control_panel.home"),
            "alarm_control_panel.home",
            "armed_away",
        ),
        (call("switch.toggle", "switch.kettle"), "switch.kettle", "on"),
        (call("input_number.increment", "input_number.volume"), "input_number.volume", "7.0"),
        (call("input_select.select_next", "input_select.mode"), "input_select.mode", "Night"),
        (call("timer.start", "timer.egg").with("duration", "0:03:00"), "timer.egg", "active"),
        (call("homeassistant.turn_on", "cover.garage"), "cover.garage", "open"),
        (call("homeassistant.turn_off", "lock.front"), "lock.front", "unlocked"),
    ] {
        assert_eq!(after(call.clone()).unwrap()[entity]["state"], state, "{}", call.service);
    }
    let set = after(call("climate.set_temperature", "climate.hall").with("temperature", 21.5)).unwrap();
    assert_eq!(set, json!({"climate.hall": {"attributes": {"temperature": 21.5}}}));
}

#[test]
fn a_scene_brings_its_entities_into_their_states() {
    let changes = after(call("scene.turn_on", "scene.movie")).unwrap();
    assert_eq!(changes["light.hall"]["state"], "off");
    assert_eq!(changes["cover.curtain"]["state"], "closed");
    assert_eq!(changes["light.kitchen"]["attributes"]["brightness"], 51);
}

#[test]
fn a_wrong_call_is_refused_with_a_sentence_and_changes_nothing() {
    for (call, error) in [
        (call("light.turn_on", "light.cellar"), "there is no light.cellar in this home"),
        (call("light.explode", "light.hall"), "there is no service light.explode"),
        (call("light.turn_on", "switch.kettle"), "the Kettle is a switch, and light.turn_on is not for it"),
        (
            call("binary_sensor.turn_on", "binary_sensor.window"),
            "the Window only tells its state and cannot be changed",
        ),
        (
            call("light.turn_on", "light.kitchen").with("brightness_pct", 150),
            "the brightness of the Kitchen Light must be between 0 and 100",
        ),
        (call("light.turn_on", "light.kitchen").with("speed", 1), "light.turn_on has no parameter speed"),
        (call("lock.unlock", "lock.safe"), "the Safe needs its code"),
        (call("lock.unlock", "lock.safe").with("code", 9), "that is not the code of the Safe"),
        (
            call("climate.set_hvac_mode", "climate.hall").with("hvac_mode", "party"),
            "the hvac mode of the Thermostat can be off, heat and cool",
        ),
        (call("fan.set_percentage", "fan.bedroom"), "fan.set_percentage needs a percentage"),
        (
            call("alarm_control_panel.alarm_arm_night", "alarm_control_panel.home"),
            "the Alarm cannot be armed for the night",
        ),
        (ServiceCall::new("light.turn_on", Vec::<String>::new()), "it was not said what light.turn_on is for"),
        (
            ServiceCall::new("light.turn_on", ["light.hall", "lock.front"]),
            "the Front Door is a lock, and light.turn_on is not for it",
        ),
    ] {
        assert_eq!(after(call).unwrap_err(), error);
    }
    assert!(matches!(home().apply(&call("x", "light.hall")), Err(ServiceError::UnknownService(_))));
}

#[test]
fn what_was_changed_can_be_put_back() {
    let before = home();
    let mut home = before.clone();
    let mut changes = home.apply(&call("scene.turn_on", "scene.movie")).unwrap();
    changes.extend(home.apply(&call("light.turn_on", "light.hall")).unwrap());
    home.restore(&changes);
    assert_eq!(home, before);
}

#[test]
fn things_that_only_tell_have_home_assistants_names() {
    let home = home();
    assert_eq!(home.entity("binary_sensor.window").unwrap().state, "on");
    assert_eq!(home.entity("binary_sensor.window").unwrap().device_class(), Some("window"));
    let weather = home.entity("weather.home").unwrap();
    assert_eq!((weather.state.as_str(), weather.number("temperature")), ("sunny", Some(72.0)));
    assert!(weather.stored.contains_key("daily_forecast") && !weather.attributes.contains_key("daily_forecast"));
    let climate = home.entity("climate.hall").unwrap();
    assert_eq!((climate.number("temperature"), climate.number("current_temperature")), (Some(20.0), Some(19.0)));
    assert_eq!(home.floor_of(home.entity("light.kitchen").unwrap()).unwrap().name, "Ground floor");
    assert_eq!(home.area_of(home.entity("media_player.sound").unwrap()).unwrap().id, "bedroom");
}

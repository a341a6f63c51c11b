//! Kinds of requests that an author who had never seen the templates asked in homes of their own: each kind here in other words, in
//! another home. What acts is as important as what does not: in each kind stand requests that look alike and are left alone.

mod heard;

const HOME: &str = "
areas:
  - {name: Lounge, id: lounge}
  - {name: Kitchen, id: kitchen}
  - {name: \"Rosa's Room\", id: rosa}
  - {name: Balcony, id: balcony}
devices:
  - {id: plug1, name: Brevo, area: kitchen, info: {model: Espresso Machine, manufacturer: Kettler}}
  - {id: panel, name: Aurora, area: lounge, info: {model: Light Panels, manufacturer: Lumo}}
  - {id: shed, name: Oldlock, area: balcony, info: {model: Cellar Padlock, manufacturer: Yale}}
  - {id: sat, name: Kitchen Satellite, area: kitchen}
entities:
  - {name: Brevo, id: switch.brevo, area: kitchen, device: plug1, state: 'off'}
  - {name: Aurora, id: light.aurora, area: lounge, device: panel, state: 'on', attributes: {brightness: 102, rgb_color: [0, 0, 255], supported_color_modes: [rgb]}}
  - {name: Pendant, id: light.pendant, area: lounge, state: 'on', attributes: {brightness: 204, supported_color_modes: [brightness]}}
  - {name: Counter Light, id: light.counter, area: kitchen, state: 'off', attributes: {supported_color_modes: [brightness]}}
  - {name: Rosa Night Lamp, id: light.rosa, area: rosa, state: 'on', attributes: {brightness: 51, supported_color_modes: [brightness]}}
  - {name: Whirl, id: fan.whirl, area: lounge, state: 'on', attributes: {percentage: 40}}
  - {name: Pond Pump, id: switch.pond, area: balcony, state: 'on'}
  - {name: Lounge Shutter, id: cover.lounge, area: lounge, state: open, attributes: {current_position: 100, device_class: shutter}}
  - {name: Rosa Blind, id: cover.rosa, area: rosa, state: open, attributes: {current_position: 100, device_class: blind}}
  - {name: Front Door, id: lock.front, area: kitchen, state: locked}
  - {name: Oldlock, id: lock.old, area: balcony, device: shed, state: unlocked}
  - {name: Television, id: media_player.tv, area: lounge, state: playing, attributes: {device_class: tv, volume_level: 0.3, media_title: Metropolis}}
  - {name: Speaker, id: media_player.speaker, area: kitchen, state: paused, attributes: {device_class: speaker, volume_level: 0.2}}
  - {name: Boiler Loop, id: climate.lounge, area: lounge, state: 'off', attributes: {temperature: 18, current_temperature: 19, hvac_modes: ['off', heat]}}
  - {name: Rosa Heater, id: climate.rosa, area: rosa, state: heat, attributes: {temperature: 21, current_temperature: 20, hvac_modes: ['off', heat]}}
  - {name: Dusty, id: vacuum.dusty, area: lounge, state: docked}
  - {name: Costco, id: todo.costco, state: '2', attributes: {todo_items: [{summary: Rice, status: needs_action}, {summary: Soap, status: needs_action}]}}
  - {name: Do Not Disturb, id: input_boolean.dnd, state: 'off'}
  - {name: Lounge Temperature, id: sensor.lounge, area: lounge, state: '21', attributes: {device_class: temperature, unit_of_measurement: °C}}
  - {name: Kitchen Temperature, id: sensor.kitchen, area: kitchen, state: '23', attributes: {device_class: temperature, unit_of_measurement: °C}}
  - {name: Balcony Temperature, id: sensor.balcony, area: balcony, state: '30', attributes: {device_class: temperature, unit_of_measurement: °C}}
  - {name: Front Door Battery, id: sensor.front_battery, area: kitchen, state: '15', attributes: {device_class: battery, unit_of_measurement: '%'}}
  - {name: Oldlock Battery, id: sensor.old_battery, area: balcony, state: '80', attributes: {device_class: battery, unit_of_measurement: '%'}}
  - {name: Evening Rounds, id: script.rounds, state: 'off'}
  - {name: Rosa, id: person.rosa, state: School}
  - {name: Theo, id: person.theo, state: home}
  - {name: Nan, id: person.nan, state: home}
  - {name: Family, id: calendar.family, state: 'off', attributes: {message: Choir practice, start_time: '2026-11-29 18:30:00', end_time: '2026-11-29 20:00:00', location: Town Hall}}
";

fn each(pairs: &[(&str, &str)]) {
    heard::each(HOME, None, pairs);
}

#[test]
fn a_thing_is_meant_by_what_its_device_is() {
    each(&[
        ("start the espresso machine", "switch.turn_on switch.brevo"),
        ("the light panels to sixty percent", "light.turn_on light.aurora brightness_pct=60.0"),
        ("is the cellar padlock locked?", "says No, the Oldlock is unlocked."),
        // A word of no device names nothing.
        ("turn on the popcorn machine", "passes"),
    ]);
}

#[test]
fn what_is_told_of_someone_says_whose_thing_is_meant() {
    each(&[
        ("Rosa is asleep, drop her blind all the way", "cover.close_cover cover.rosa"),
        ("Rosa wants to read, her lamp to a hundred please", "light.turn_on light.rosa brightness_pct=100.0"),
        // Theo has no lamp: then it is not just any lamp.
        ("Theo wants to read, his pendant to a hundred", "passes"),
    ]);
}

#[test]
fn remarks_of_every_form_stand_beside_a_wish() {
    each(&[
        ("the sun is blinding me on the sofa, lower the lounge shutter", "cover.close_cover cover.lounge"),
        ("lower the lounge shutter, the neighbours can see us", "cover.close_cover cover.lounge"),
        ("the boiler loop needn't run tonight, switch it off", "climate.turn_off climate.lounge"),
        ("I just walked in and the kitchen is pitch dark", "light.turn_on light.counter"),
        ("the courier is at the front door, let him in", "lock.unlock lock.front"),
        // A word that a script's name happens to have is not what "it" is.
        ("somebody is prowling round the balcony, light it up", "passes"),
        // A condition, a time to come and a prohibition are no remarks.
        ("if Theo is asleep, lower the lounge shutter", "passes"),
        ("my guests can lower the lounge shutter themselves", "passes"),
    ]);
}

#[test]
fn levels_are_said_by_the_present_one_and_by_other_things() {
    each(&[
        (
            "make the television as quiet as the speaker is set",
            "media_player.volume_set media_player.tv volume_level=0.2",
        ),
        ("bring the aurora up to where the pendant is", "light.turn_on light.aurora brightness=204.0"),
        ("the whirl could spin twice as fast", "fan.set_percentage fan.whirl percentage=80.0"),
        ("make the pendant half as bright as it is now", "light.turn_on light.pendant brightness_pct=40.0"),
        ("take the pendant from eighty down to thirty five", "light.turn_on light.pendant brightness_pct=35.0"),
        ("pendant down another twenty percent", "light.turn_on light.pendant brightness_pct=60.0"),
        (
            "I can barely hear the television, another twenty percent",
            "media_player.volume_set media_player.tv volume_level=0.5",
        ),
        ("Rosa's night lamp is at twenty percent, five would be plenty", "light.turn_on light.rosa brightness_pct=5.0"),
        ("make the pendant as bright as the sun", "passes"),
        // A fan is dropped by an amount, and a shutter as far as it is said.
        ("drop the whirl by ten percent", "fan.decrease_speed fan.whirl percentage_step=10.0"),
        ("let the whirl run at sixty", "fan.set_percentage fan.whirl percentage=60.0"),
    ]);
}

#[test]
fn positions_are_said_from_either_end() {
    each(&[
        (
            "bring the lounge shutter three quarters of the way down",
            "cover.set_cover_position cover.lounge position=25.0",
        ),
        (
            "open the lounge shutter but keep the last twenty percent closed",
            "cover.set_cover_position cover.lounge position=80.0",
        ),
        (
            "close the lounge shutter but leave the bottom ten percent open",
            "cover.set_cover_position cover.lounge position=10.0",
        ),
    ]);
}

#[test]
fn things_are_chosen_by_their_state_and_by_what_is_left_out() {
    each(&[
        ("switch off whichever light is still on in the lounge", "light.turn_off light.aurora light.pendant"),
        ("only the pendant should stay on in the lounge, no other light", "light.turn_off light.aurora"),
        // A thing and its state tell something, or ask.
        ("front door wide open", "passes"),
        ("make sure every lock in the place is locked", "lock.lock lock.front lock.old"),
        ("only the toaster should stay on", "passes"),
    ]);
}

#[test]
fn what_runs_is_given_a_rest_and_a_player_is_not() {
    each(&[
        ("give the pond pump a rest", "switch.turn_off switch.pond"),
        ("silence the pond pump", "switch.turn_off switch.pond"),
        ("no need to run the pond pump any more", "switch.turn_off switch.pond"),
        ("silence the television", "media_player.volume_mute media_player.tv is_volume_muted=true"),
    ]);
}

#[test]
fn what_is_off_heats_for_a_temperature() {
    assert_eq!(
        heard::heard_in(HOME, "it's freezing in here, heat it to twenty one", Some("lounge")),
        "climate.set_temperature climate.lounge temperature=21.0 hvac_mode=\"heat\""
    );
}

#[test]
fn lists_are_written_to_in_other_words() {
    each(&[
        ("Costco: half a kilo of butter", "todo.add_item todo.costco item=\"half a kilo of butter\""),
        ("olives go on the Costco", "todo.add_item todo.costco item=\"olives\""),
        ("I've already picked up the soap", "todo.update_item todo.costco item=\"Soap\" status=\"completed\""),
        ("did I put rice down for Costco", "says Yes, Rice is on your costco list."),
        ("Costco: turn off the pendant", "passes"),
    ]);
}

#[test]
fn a_switch_that_is_called_like_a_prohibition_is_switched_on() {
    each(&[
        ("nobody bother me, do not disturb", "input_boolean.turn_on input_boolean.dnd"),
        ("do not turn on the pendant", "says All right, I leave it as it is."),
    ]);
}

#[test]
fn rooms_are_indoors_and_may_be_left_out() {
    each(&[
        ("which room is the warmest", "says The kitchen is the warmest, at 23 °C."),
        ("leaving out the kitchen and where is it coldest", "passes"),
        ("apart from the balcony, where is it warmest", "says The kitchen is the warmest, at 23 °C."),
        (
            "whose room is warmer, the lounge or the kitchen",
            "says In the kitchen: it is 21 °C in the lounge and 23 °C in the kitchen.",
        ),
    ]);
}

#[test]
fn people_batteries_and_what_plays_are_asked_for_in_other_words() {
    each(&[
        ("where has Rosa got to", "says Rosa is at School."),
        ("who's home with Nan", "says Theo is at home with Nan."),
        ("which of us is out", "says Rosa is at School."),
        ("which lock is running out of juice", "says One battery is low: the front door battery at 15%."),
        ("did anyone forget to lock the front door", "says No, the front door is locked."),
        ("where is the heating set highest", "says The Rosa Heater in the Rosa's Room is set the highest, to 21°."),
    ]);
}

#[test]
fn time_left_until_an_event_is_told_in_hours() {
    each(&[(
        "how long have we got until the choir",
        "says It is 6 hours and 30 minutes until Choir practice, today at 6:30 PM.",
    )]);
}

#[test]
fn the_question_behind_a_remark_is_answered_and_one_behind_a_wish_is_not() {
    each(&[
        ("do I need a jumper, how warm is it in the lounge", "says The temperature in the lounge is 21 °C."),
        ("turn on the teleporter, how warm is it in the lounge", "passes"),
    ]);
}

//! Times that belong to a reminder, numbers that belong to a name, and items that belong together.

use nearfield_home::inventory::Inventory;
use nearfield_home::sentences::{Matcher, Outcome, Setting, Step};

const HOME: &str = "
areas: [{name: Bedroom 1, id: b1}, {name: Bedroom 2, id: b2}, {name: Office 2, id: o2}, {name: Kitchen, id: k}]
entities:
  - {name: Bedroom 1 Blind, id: cover.b1, area: b1, state: open, attributes: {current_position: 100}}
  - {name: Bedroom 2 Blind, id: cover.b2, area: b2, state: open, attributes: {current_position: 100}}
  - {name: Kitchen Blind, id: cover.k, area: k, state: open, attributes: {current_position: 100}}
  - {name: Bedroom 1 Light, id: light.b1, area: b1, state: 'on', attributes: {brightness: 128, supported_color_modes: [brightness]}}
  - {name: Bedroom 2 Light, id: light.b2, area: b2, state: 'on', attributes: {brightness: 128, supported_color_modes: [brightness]}}
  - {name: Office Light, id: light.o, area: o2, state: 'on', attributes: {brightness: 128, supported_color_modes: [brightness]}}
  - {name: Floor Lamp, id: light.floor_1, area: b1, state: 'off'}
  - {name: Floor Lamp, id: light.floor_2, area: b2, state: 'off'}
  - {name: Bedroom 2 Speaker, id: media_player.b2, area: b2, state: playing, attributes: {volume_level: 0.5}}
  - {name: Garage Door 1, id: cover.g1, state: closed, attributes: {device_class: garage}}
  - {name: Garage Door 2, id: cover.g2, state: closed, attributes: {device_class: garage}}
  - {name: Coffee Machine, id: switch.coffee, area: k, state: 'off'}
  - {name: Shopping List, id: todo.shopping, state: '1', attributes: {todo_items: [{summary: bread and butter, status: needs_action}]}}
  - {name: Chores, id: todo.chores, state: '0'}
";

/// What a request does on a Monday at 17:12.
fn heard(request: &str) -> String {
    let home = Inventory::parse(HOME).unwrap().home().unwrap();
    let now = jiff::civil::date(2026, 11, 30).at(17, 12, 0, 0);
    let setting = Setting { home: &home, area: None, now, last: &[], before: None, has_timers: false };
    let step = |step: &Step| match step {
        Step::Act(reading) => {
            let data = |call: &nearfield_home::ServiceCall| serde_json::to_string(&call.data).unwrap();
            let call = |call: &nearfield_home::ServiceCall| {
                let said = format!("{} {} {}", call.service, call.entities.join(" "), data(call));
                said.trim_end_matches(" {}").to_owned()
            };
            reading.calls.iter().map(call).collect::<Vec<_>>().join(" + ")
        }
        Step::Say(_, answer) => format!("says {answer}"),
        Step::Request(nearfield_home::sentences::Request::Later { due, wish, .. }) => format!("Later {due:?} {wish}"),
        Step::Request(request) => format!("{request:?}"),
    };
    match Matcher::english().unwrap().understand(request, &setting) {
        Outcome::Do(steps) => steps.iter().map(step).collect::<Vec<_>>().join(" ++ "),
        Outcome::Ask { question, .. } => format!("asks {question}"),
        Outcome::Pass(_) => "passes".to_owned(),
    }
}

fn each(pairs: &[(&str, &str)]) {
    for (request, does) in pairs {
        assert_eq!(heard(request), *does, "{request}");
    }
}

#[test]
fn a_reminder_is_set_for_the_day_and_the_time_that_were_said_in_any_order() {
    let alarm = |at: &str, name: &str| format!("Alarm {{ at: {at}, name: Some({name:?}) }}");
    for (request, at, name) in [
        ("remind me tomorrow at 9 to water the plants", "2026-12-01T09:00:00", "water the plants"),
        ("remind me at 9 tomorrow to turn on the coffee machine", "2026-12-01T09:00:00", "turn on the coffee machine"),
        ("remind me to take out the bins on Thursday at 8 pm", "2026-12-03T20:00:00", "take out the bins"),
        ("remind me at 8 pm on Thursday to take out the bins", "2026-12-03T20:00:00", "take out the bins"),
        ("remind me on Thursday at 8 pm to take out the bins", "2026-12-03T20:00:00", "take out the bins"),
        ("on Thursday at 8 pm remind me to take out the bins", "2026-12-03T20:00:00", "take out the bins"),
        ("remind me to take out the bins at 8 pm on Thursday", "2026-12-03T20:00:00", "take out the bins"),
        ("remind me to call mum tomorrow at 7", "2026-12-01T07:00:00", "call mum"),
        ("remind me to turn the heating on tomorrow at 7", "2026-12-01T07:00:00", "turn the heating on"),
        ("remind me to call mum at 7", "2026-11-30T19:00:00", "call mum"),
        ("remind me tonight at 8 to close the blind", "2026-11-30T20:00:00", "close the blind"),
        (
            "remind me at 6 to look for the keys of the shed at the back",
            "2026-11-30T18:00:00",
            "look for the keys of the shed at the back",
        ),
        // Said on a Monday at 17:12.
        ("remind me on Monday at 8 am to call mum", "2026-12-07T08:00:00", "call mum"),
        ("remind us at 6 to feed the cat", "2026-11-30T18:00:00", "feed the cat"),
        ("remind me the day after tomorrow at noon to call the plumber", "2026-12-02T12:00:00", "call the plumber"),
        ("set a reminder for tomorrow at 9 to water the plants", "2026-12-01T09:00:00", "water the plants"),
        ("create a reminder to water the plants at 9", "2026-11-30T21:00:00", "water the plants"),
    ] {
        assert_eq!(heard(request), alarm(at, name), "{request}");
    }
    each(&[
        ("remind me to call mum in 20 minutes", "StartTimers { durations: [1200s], name: Some(\"call mum\") }"),
        ("in 20 minutes remind me to call mum", "StartTimers { durations: [1200s], name: Some(\"call mum\") }"),
        ("set a reminder to call mum in 20 minutes", "StartTimers { durations: [1200s], name: Some(\"call mum\") }"),
        ("create a reminder to call mum", r#"todo.add_item todo.chores {"item":"call mum"}"#),
        ("remind me to call mum", r#"todo.add_item todo.chores {"item":"call mum"}"#),
        ("remind me tomorrow to open the blind", r#"todo.add_item todo.chores {"item":"open the blind tomorrow"}"#),
        ("remind me tonight to close the blind", r#"todo.add_item todo.chores {"item":"close the blind tonight"}"#),
        ("add call mum in 20 minutes to the chores", r#"todo.add_item todo.chores {"item":"call mum in 20 minutes"}"#),
        ("i need to get up at 7", "passes"),
    ]);
}

#[test]
fn what_is_to_be_done_with_an_alarm_is_done_then() {
    each(&[
        (
            "wake me at 7 and turn on the coffee machine",
            "Alarm { at: 2026-11-30T19:00:00, name: None } ++ Later At(2026-11-30T19:00:00) turn on the coffee machine",
        ),
        (
            "set a timer for 10 minutes and turn on the coffee machine",
            "StartTimers { durations: [600s], name: None } ++ switch.turn_on switch.coffee",
        ),
        ("turn on the coffee machine tonight", "passes"),
    ]);
}

#[test]
fn several_timers_are_each_as_long_and_called_as_was_said() {
    let timers = |seconds: &str| format!("StartTimers {{ durations: [{seconds}], name: None }}");
    for (request, seconds) in [
        ("set two timers, one for 5 minutes and one for 10 minutes", "300s, 600s"),
        ("start a timer for 5 minutes and another one for 10 minutes", "300s, 600s"),
        ("start two timers, 3 and 10 minutes", "180s, 600s"),
        ("start a timer for one minute", "60s"),
        ("one more timer for 5 minutes", "300s"),
    ] {
        assert_eq!(heard(request), timers(seconds), "{request}");
    }
    let both = "StartTimers { durations: [720s], name: Some(\"pasta\") } ++ StartTimers { durations: [180s], name: Some(\"tea\") }";
    each(&[
        ("set a pasta timer for 12 minutes and a tea timer for 3 minutes", both),
        ("set a 12 minute pasta timer and a 3 minute tea timer", both),
    ]);
}

#[test]
fn a_number_that_completes_a_name_is_no_level_and_no_amount() {
    each(&[
        ("close the blinds in bedroom 1", "cover.close_cover cover.b1"),
        ("open the blinds in bedroom 1", "cover.open_cover cover.b1"),
        ("close the blinds in bedroom 1 and bedroom 2", "cover.close_cover cover.b1 cover.b2"),
        ("close the blinds in bedroom 1 and 2", "cover.close_cover cover.b1 cover.b2"),
        ("close the blinds in bedrooms 1 to 2", "cover.close_cover cover.b1 cover.b2"),
        ("close the blinds in bedroom 7", "passes"),
        ("close the blinds in kitchen 2", "passes"),
        ("open garage door 2", "cover.open_cover cover.g2"),
        ("open garage doors 1 and 2", "cover.open_cover cover.g1 cover.g2"),
        ("open garage door 3", "passes"),
        ("turn down the light in office 2", r#"light.turn_on light.o {"brightness_pct":30.0}"#),
        ("turn up the light by 2", "asks Which light do you mean? There are 5."),
        ("turn up the volume by 2", r#"media_player.volume_set media_player.b2 {"volume_level":0.52}"#),
        ("turn up the volume in bedroom 2", "media_player.volume_up media_player.b2"),
        ("turn on the floor lamps in bedroom 1 and 2", "light.turn_on light.floor_1 light.floor_2"),
        ("turn off the bedroom 1 and 2 lights", "light.turn_off light.b1 light.floor_1 light.b2 light.floor_2"),
        // A value is one all the same.
        ("open the blind in bedroom 2 to 30", r#"cover.set_cover_position cover.b2 {"position":30.0}"#),
        ("close the bedroom 2 blind 40 percent", r#"cover.set_cover_position cover.b2 {"position":60.0}"#),
        ("close the kitchen blind 30", r#"cover.set_cover_position cover.k {"position":70.0}"#),
        ("dim the light in office 2 to 2", r#"light.turn_on light.o {"brightness_pct":2.0}"#),
    ]);
}

#[test]
fn things_of_one_name_are_told_apart_by_their_areas() {
    each(&[("turn on the floor lamp", "asks Which one: the floor lamp in bedroom 1 or the floor lamp in bedroom 2?")]);
}

#[test]
fn each_item_of_a_list_is_one_whatever_its_amount() {
    let added = |items: &[&str]| {
        let add = |item: &&str| format!("todo.add_item todo.shopping {{\"item\":{item:?}}}");
        items.iter().map(add).collect::<Vec<_>>().join(" + ")
    };
    for (request, items) in [
        (
            "put bread, butter and two litres of milk on the shopping list",
            &["bread", "butter", "two litres of milk"][..],
        ),
        ("add 6 eggs, 2 onions and a loaf of bread to the shopping list", &["6 eggs", "2 onions", "loaf of bread"]),
        ("add pears and two litres of milk to the shopping list", &["pears", "two litres of milk"]),
        ("add a bottle of washing up liquid and soap to the shopping list", &["bottle of washing up liquid", "soap"]),
        ("add the thing that anna said and soap to the shopping list", &["thing that anna said and soap"]),
    ] {
        assert_eq!(heard(request), added(items), "{request}");
    }
    each(&[
        // Half of "bread and butter" is not all of it.
        ("I bought the butter", "passes"),
        (
            "I bought the bread and butter",
            r#"todo.update_item todo.shopping {"item":"bread and butter","status":"completed"}"#,
        ),
        (
            "move the bread and butter to the chores",
            r#"todo.add_item todo.chores {"item":"bread and butter"} + todo.remove_item todo.shopping {"item":"bread and butter"}"#,
        ),
        ("move cheese to chores", "says Cheese is on no other list."),
    ]);
}

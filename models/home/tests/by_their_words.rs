//! Requests that no sentence template fits, read by the words in them: what is named, what words of a class ask for, and a value. Beside
//! each kind stand requests of nearly the same words that ask for something else, for another time, or for nothing.

mod heard;

const HOME: &str = "
areas:
  - {name: Parlour, id: parlour}
  - {name: Scullery, id: scullery}
  - {name: Byre, id: byre}
entities:
  - {name: Rocket Lamp, id: light.rocket, area: parlour, state: 'off', attributes: {supported_color_modes: [rgb]}}
  - {name: Beam Spots, id: light.beams, area: parlour, state: 'on', attributes: {brightness: 102, supported_color_modes: [brightness]}}
  - {name: Sink Strip, id: light.sink, area: scullery, state: 'on', attributes: {supported_color_modes: [brightness]}}
  - {name: Byre Lights, id: light.byre, area: byre, state: 'off', attributes: {supported_color_modes: [onoff]}}
  - {name: Hay Fan, id: fan.hay, area: byre, state: 'on', attributes: {percentage: 33, oscillating: false}}
  - {name: Kotatsu, id: switch.kotatsu, area: parlour, state: 'off'}
  - {name: Egg Incubator, id: switch.incubator, area: byre, state: 'on'}
  - {name: Stock Gate, id: cover.gate, area: byre, state: closed, attributes: {device_class: gate}}
  - {name: Bay Curtains, id: cover.bay, area: parlour, state: open, attributes: {current_position: 100, device_class: curtain}}
  - {name: Tack Room, id: lock.tack, area: byre, state: locked}
  - {name: Gramophone, id: media_player.gramophone, area: parlour, state: playing, attributes: {volume_level: 0.5, device_class: speaker}}
  - {name: Groceries, id: todo.groceries, state: '2', attributes: {todo_items: [{summary: Oat Milk, status: needs_action}, {summary: Eggs, status: needs_action}]}}
  - {name: Jobs, id: todo.jobs, state: '1', attributes: {todo_items: [{summary: Mend the fence, status: needs_action}]}}
";

fn each(pairs: &[(&str, &str)]) {
    heard::each(HOME, None, pairs);
}

#[test]
fn words_of_a_class_ask_for_the_same() {
    each(&[
        ("douse the beam spots", "light.turn_off light.beams"),
        ("the beam spots can come off now", "light.turn_off light.beams"),
        ("make the rocket lamp glow", "light.turn_on light.rocket"),
        ("the hay fan could blow harder", "fan.increase_speed fan.hay"),
        ("let the hay fan swing side to side", "fan.oscillate fan.hay oscillating=true"),
        // What is said of something else, of another time, or only asked.
        ("the beam spots came off the ceiling", "passes"),
        ("never douse the beam spots", "passes"),
        ("my sister doused the beam spots with paint yesterday", "passes"),
        ("is the rocket lamp glowing because of the fire", "…"),
    ]);
}

#[test]
fn an_entrance_is_opened_only_where_every_word_says_so() {
    each(&[
        ("tack room, unlatch it", "lock.unlock lock.tack"),
        ("tack room, unlatch its horse", "passes"),
        // It may tell how the gate is.
        ("stock gate wide open", "passes"),
        ("somebody mentioned an unlatched tack room", "passes"),
        ("stok gate opened wide", "passes"),
    ]);
}

#[test]
fn a_word_with_a_meaning_is_never_passed_over() {
    each(&[
        ("gramophone glowing bluetooth", "passes"),
        ("rocket lamp glowing and the sink strip dead", "…"),
        ("douse the beam spots at midnight", "Later { due: At(2026-11-30T00:00:00)…"),
        ("hay fan spinning gently", "passes"),
    ]);
}

#[test]
fn what_stands_on_a_list_is_done_or_taken_off() {
    each(&[
        ("oat milk can come off the groceries", "todo.remove_item todo.groceries item=\"Oat Milk\""),
        ("scratch the eggs", "todo.remove_item todo.groceries item=\"Eggs\""),
        // Told of something else, or asked.
        ("scratch the eggs with a needle", "passes"),
        ("do not scratch the eggs", "passes"),
        ("have we got oat milk", "…"),
    ]);
}

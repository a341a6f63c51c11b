//! How a home of rooms is shown to the model that has learned this form.

use nearfield_home::rooms::Rooms;

const HOME: &str = r#"{"outside": {"temperature_c": 4.0, "weather": "rain"},
    "rooms": {"kitchen": {"temperature_c": 21.5, "humidity_pct": 40, "light": "off"}, "hall": {"light": "on"},
              "cellar": {}, "attic": {"temperature_c": -3.2}},
    "doors": {"front door": "locked"}, "devices": {"coffee machine": "off"}, "bridge": {"version": [1, 2]}}"#;

#[test]
fn a_home_is_rendered_by_state_and_by_reading() {
    let home = Rooms::parse(HOME).unwrap();
    assert_eq!(
        home.render(),
        "lights on: hall=on\nlights off: kitchen=off\nno light: cellar=none and attic=none\n\
         doors locked: front door=locked\ndevices off: coffee machine=off\n\
         no humidity: hall=none, cellar=none and attic=none\nhumidity %, highest first: kitchen=40\n\
         no temperature: hall=none and cellar=none\ntemperature °C, warmest first: kitchen=21.5, attic=-3.2\n\
         outside: 4 °C, rain"
    );
}

#[test]
fn states_have_an_order_of_their_own_and_equal_readings_keep_the_files() {
    let home = Rooms::parse(
        r#"{"rooms": {"a": {"temperature_c": 20}, "b": {"temperature_c": 21.0}, "c": {"temperature_c": 20.0}, "d": {"temperature_c": 21}},
            "doors": {"w": "open", "x": "locked", "y": "open", "z": null}, "devices": {"fan": "off", "tv": "on"}}"#,
    );
    assert_eq!(
        home.unwrap().render(),
        "doors locked: x=locked\ndoors open: w=open and y=open\ndevices on: tv=on\ndevices off: fan=off\n\
         temperature °C, warmest first: b=21, d=21, a=20, c=20"
    );
}

#[test]
fn an_empty_home_renders_nothing() {
    for text in ["{}", r#"{"rooms": {}, "doors": {}, "outside": {}}"#, r#"{"rooms": {"hall": {}}}"#, "\u{feff}{}"] {
        assert_eq!(Rooms::parse(text).unwrap().render(), "");
    }
}

#[test]
fn extra_scalar_fields_are_rendered_as_name_and_value() {
    let home = Rooms::parse(
        r#"{"rooms": {"den": {"co2_ppm": 600.0, "light": "on", "window": "open", "x": null, "log": [1]}}}"#,
    );
    assert_eq!(home.unwrap().render(), "lights on: den=on\nden: co2_ppm 600, window open");
}

#[test]
fn numbers_are_printed_as_the_shortest_decimal() {
    for (text, shown) in
        [("21.50", "21.5"), ("4.0", "4"), ("-3.2", "-3.2"), ("-0.0", "0"), ("1e300", "1e300"), ("40", "40")]
    {
        let home = Rooms::parse(&format!(r#"{{"outside": {{"temperature_c": {text}}}}}"#)).unwrap();
        assert_eq!(home.render(), format!("outside: {shown} °C"));
    }
}

#[test]
fn a_name_with_line_breaks_cannot_forge_a_line_of_the_prompt() {
    let home = Rooms::parse(r#"{"devices": {"a\nfront door": "on"}, "outside": {"weather": "x\ny"}}"#).unwrap();
    assert_eq!(home.render(), "devices on: a front door=on\noutside: x y");
}

//! Both forms of a home's file: read, refused with one sentence, changed and written back.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nearfield_home::rooms::{Part, Rooms};
use nearfield_home::{Domain, HomeError, HomeFile, MAX_HOME_BYTES, ServiceCall};
use serde_json::Value;

const ROOMS: &str = r#"{"outside": {"temperature_c": 4.0, "weather": "rain"},
    "rooms": {"kitchen": {"temperature_c": 21.5, "humidity_pct": 40, "light": "off"}, "hall": {"light": "on"},
              "cellar": {}, "attic": {"temperature_c": -3.2}},
    "doors": {"front door": "locked"}, "devices": {"coffee machine": "off"}, "bridge": {"version": [1, 2]}}"#;

const INVENTORY: &str = "---\nareas:\n- name: Kitchen\n  id: kitchen\nentities:\n- name: Kitchen Light\n  id: light.kitchen\n  area: kitchen\n  \
    state: 'off'\n  attributes:\n    supported_color_modes: [brightness]\n    brightness: 100\n  note: kept\n- name: List\n  id: todo.list\n";

fn on_disk(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("home");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn apply(file: &mut HomeFile, service: &str, entity: &str) -> Result<(), HomeError> {
    file.change(|home| home.apply(&ServiceCall::new(service, [entity]))).map(|done| {
        done.unwrap();
    })
}

#[test]
fn a_home_of_rooms_becomes_entities() {
    let file = HomeFile::parse(ROOMS).unwrap();
    let home = file.home();
    let states: Vec<(&str, &str, Option<&str>)> =
        home.entities().iter().map(|e| (e.id.as_str(), e.state.as_str(), e.area.as_deref())).collect();
    assert_eq!(
        states,
        [
            ("sensor.kitchen_temperature", "21.5", Some("kitchen")),
            ("sensor.kitchen_humidity", "40", Some("kitchen")),
            ("sensor.attic_temperature", "-3.2", Some("attic")),
            ("weather.outside", "rain", None),
            ("light.kitchen", "off", Some("kitchen")),
            ("light.hall", "on", Some("hall")),
            ("cover.front_door", "closed", None),
            ("lock.front_door", "locked", None),
            ("switch.coffee_machine", "off", None),
        ]
    );
    assert_eq!(home.areas().len(), 4);
    assert_eq!(file.rooms().render(), Rooms::parse(ROOMS).unwrap().render());
}

#[test]
fn a_change_of_a_home_of_rooms_keeps_the_form_the_order_and_the_rest_of_the_file() {
    let (folder, path) = on_disk(ROOMS);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let mut file = HomeFile::load(&path).unwrap();
    apply(&mut file, "light.turn_on", "light.kitchen").unwrap();
    let mut expected: Value = serde_json::from_str(ROOMS).unwrap();
    expected["rooms"]["kitchen"]["light"] = "on".into();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text, serde_json::to_string_pretty(&expected).unwrap() + "\n");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    assert!(!file.reload_if_changed().unwrap(), "our own write is not someone else's");
    apply(&mut file, "cover.open_cover", "cover.front_door").unwrap();
    assert!(fs::read_to_string(&path).unwrap().contains("\"front door\": \"open\""));
    assert_eq!(file.home().entity("lock.front_door").unwrap().state, "unlocked", "an open door is not locked");
}

#[test]
fn a_change_of_an_inventory_is_written_and_read_again_as_it_was_meant() {
    let (_folder, path) = on_disk(INVENTORY);
    let mut file = HomeFile::load(&path).unwrap();
    apply(&mut file, "light.turn_on", "light.kitchen").unwrap();
    file.change(|home| home.apply(&ServiceCall::new("todo.add_item", ["todo.list"]).with("item", "milk: 2 l")))
        .unwrap()
        .unwrap();
    let again = HomeFile::load(&path).unwrap();
    assert_eq!(again.home(), file.home());
    assert_eq!(again.home().entity("light.kitchen").unwrap().number("brightness"), Some(100.0));
    assert_eq!(again.home().entity("todo.list").unwrap().open_items().collect::<Vec<_>>(), ["milk: 2 l"]);
    apply(&mut file, "light.turn_off", "light.kitchen").unwrap();
    let again = HomeFile::load(&path).unwrap();
    assert_eq!(again.home().entity("light.kitchen").unwrap().state, "off");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("note: kept") && text.contains("brightness: 100"), "{text}");
}

#[test]
fn a_home_of_rooms_can_be_migrated_to_an_inventory() {
    let file = HomeFile::parse(ROOMS).unwrap();
    let migrated = HomeFile::parse(&file.to_inventory()).unwrap();
    assert_eq!(migrated.home(), file.home());
    assert!(!migrated.is_of_rooms());
}

#[test]
fn a_change_by_someone_else_is_not_lost_by_ours_and_is_seen_once() {
    let (folder, path) = on_disk(ROOMS);
    let mut file = HomeFile::load(&path).unwrap();
    fs::write(&path, ROOMS.replace("21.5", "23.5")).unwrap(); // the same length, perhaps the same tick of the clock
    apply(&mut file, "light.turn_on", "light.kitchen").unwrap();
    assert_eq!(file.home().entity("sensor.kitchen_temperature").unwrap().state, "23.5");
    assert!(fs::read_to_string(&path).unwrap().contains("23.5"));
    let next = folder.path().join("next");
    fs::write(&next, ROOMS.replace("21.5", "24.5")).unwrap();
    fs::rename(&next, &path).unwrap();
    assert!(file.reload_if_changed().unwrap());
    assert_eq!(file.home().entity("sensor.kitchen_temperature").unwrap().state, "24.5");
    assert!(!file.reload_if_changed().unwrap());
}

#[test]
fn a_half_written_file_keeps_the_last_good_home_and_is_not_overwritten() {
    for text in [ROOMS, INVENTORY] {
        let (_folder, path) = on_disk(text);
        let mut file = HomeFile::load(&path).unwrap();
        let broken = &text[..text.find("ht").unwrap_or(60)];
        let broken = format!("{broken}: : [");
        fs::write(&path, &broken).unwrap();
        assert!(matches!(file.reload_if_changed(), Err(HomeError::Format { .. })));
        assert!(!file.reload_if_changed().unwrap(), "told once");
        assert!(file.home().entity("light.kitchen").is_some());
        assert!(apply(&mut file, "light.turn_on", "light.kitchen").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), broken);
        fs::remove_file(&path).unwrap();
        assert!(matches!(file.reload_if_changed(), Err(HomeError::Read { .. })));
        fs::write(&path, text).unwrap();
        file.reload_if_changed().unwrap();
        apply(&mut file, "light.turn_on", "light.kitchen").unwrap();
    }
}

#[test]
fn a_failed_write_leaves_the_home_as_it_was() {
    let (folder, path) = on_disk(INVENTORY);
    let mut file = HomeFile::load(&path).unwrap();
    let before = file.home().clone();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(apply(&mut file, "light.turn_on", "light.kitchen").is_err());
    assert_eq!(file.home(), &before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_is_wrong_with_a_file_is_one_sentence_with_the_file_and_the_place() {
    for (text, says) in [
        ("[]", "it must be a mapping"),
        ("{", "is not valid JSON"),
        (r#"{"rooms": 3}"#, "`rooms` must be an object, but it is 3"),
        (r#"{"rooms": {"den": {"light": true}}}"#, "`rooms.den.light` must be \"on\" or \"off\", but it is true"),
        (r#"{"rooms": {"den": {}, "den": {}}}"#, "the key `rooms.den` stands there twice"),
        ("areas:\n- id: x\n", "areas, number 1 (x): `name` must be there"),
        ("areas: 3\n", "the file: `areas` must be a list"),
        ("areas:\n- name: A\n- name: a\n", "the area \"a\" stands there twice"),
        (
            "entities:\n- name: A\n  id: light.a\n- name: B\n  id: light.a\n",
            "the entity \"light.a\" stands there twice",
        ),
        (
            "entities:\n- name: A\n  id: light.a\n  area: hall\n",
            "the entity \"light.a\" names the area \"hall\", which is not there",
        ),
        ("entities:\n- name: A\n  id: light.a\n  device: hall\n", "names the device \"hall\""),
        ("entities:\n- name: A\n  id: Light.A\n", "the entity's id \"Light.A\" must be"),
        ("entities:\n- name: A\n  id: light.a\n  state: []\n", "`state` must be a text, a number or true or false"),
        ("entities:\n- name: A\n  id: light.a\n  id: light.b\n", "the key `id` stands there twice"),
        ("entities: [a, b\n", "it cannot be read"),
        ("hello: there\n", "it has neither areas nor entities"),
    ] {
        let (_folder, path) = on_disk(text);
        let message = HomeFile::load(&path).unwrap_err().to_string();
        assert!(message.contains(says), "{text}: {message}");
        assert!(message.contains(path.to_str().unwrap()) && !message.contains('\n'), "{message}");
    }
}

#[test]
fn what_is_missing_huge_or_special_is_refused() {
    let (folder, path) = on_disk(&format!("# {}\n", "a".repeat(MAX_HOME_BYTES as usize)));
    assert!(matches!(HomeFile::load(&path), Err(HomeError::TooLarge { .. })));
    assert!(matches!(HomeFile::load(folder.path()), Err(HomeError::Read { .. })));
    assert!(matches!(HomeFile::load(folder.path().join("none")), Err(HomeError::Read { .. })));
    assert!(matches!(HomeFile::load("/dev/zero"), Err(HomeError::Read { .. })));
    let bomb = (1..12).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
        let m = n - 1;
        format!("{text}a{n}: &a{n} [*a{m}, *a{m}, *a{m}, *a{m}, *a{m}, *a{m}, *a{m}, *a{m}, *a{m}]\n")
    });
    for hostile in ["[".repeat(100_000), format!("areas: {}", "[".repeat(100_000)), format!("areas: []\n{bomb}")] {
        assert!(HomeFile::parse(&hostile).is_err());
    }
}

#[test]
fn a_home_of_entities_can_be_shown_in_the_form_of_rooms() {
    let text = "areas:\n- name: Living Room\nentities:\n- {name: Sofa Light, id: light.sofa, area: living_room, state: 'on'}\n\
        - {name: Desk Light, id: light.desk, area: living_room, state: 'off'}\n- {name: Front Door, id: lock.front, state: locked}\n\
        - {name: Room Temperature, id: sensor.t, area: living_room, state: '21.5', attributes: {device_class: temperature}}\n\
        - {name: Kettle, id: switch.kettle, state: 'off'}\n- {name: Home, id: weather.home, state: sunny, attributes: {temperature: 4}}\n";
    let rooms = HomeFile::parse(text).unwrap().rooms();
    assert_eq!(
        rooms.render(),
        "lights on: living room=on and sofa=on\nlights off: desk=off\ndoors locked: front door=locked\ndevices off: kettle=off\n\
         no temperature: sofa=none and desk=none\ntemperature °C, warmest first: living room=21.5\noutside: 4 °C, sunny"
    );
    assert_eq!(rooms.find(Part::Light, "the Living Room light").unwrap().1, ["light.sofa", "light.desk"]);
    assert_eq!(rooms.find(Part::Light, "attic").unwrap_err(), "there is no light in the attic");
    assert_eq!(rooms.find(Part::Door, "all").unwrap().1, ["lock.front"]);
    assert_eq!(Domain::of_id("switch.kettle"), Domain::Switch);
}

#[test]
fn a_file_with_comments_or_anchors_is_kept_as_its_owner_wrote_it() {
    const NOTED: &str = "# Our flat\nareas: [{name: Kitchen, id: kitchen}]\nentities:\n- {name: Kitchen Light, id: light.kitchen, area: kitchen, \
        state: 'off', attributes: &plain {supported_color_modes: [onoff]}, serial: 12345678901234567890}  # by the door\n\
        - {name: Plug, id: switch.plug, state: 'off', attributes: *plain}\n";
    let (folder, path) = on_disk(NOTED);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let original = |end: &str| folder.path().join(format!("home.original{end}"));
    let mut file = HomeFile::load(&path).unwrap();
    assert!(!original("").exists(), "reading copies nothing");
    apply(&mut file, "light.turn_on", "light.kitchen").unwrap();
    apply(&mut file, "switch.turn_on", "switch.plug").unwrap();
    assert_eq!(fs::read_to_string(original("")).unwrap(), NOTED);
    assert_eq!(fs::metadata(original("")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!original("-2").exists(), "what was written here has no comments");
    let written = fs::read_to_string(&path).unwrap();
    assert!(written.contains("12345678901234567890") && !written.contains('#'), "{written}");
    // Its owner writes it anew, twice the same.
    let again = NOTED.replace("Our flat", "Our new flat");
    for _ in 0..2 {
        fs::write(&path, &again).unwrap();
        apply(&mut file, "light.turn_on", "light.kitchen").unwrap();
    }
    assert_eq!(fs::read_to_string(original("-2")).unwrap(), again);
    assert_eq!(fs::read_to_string(original("")).unwrap(), NOTED);
    assert!(!original("-3").exists());
    // More than there is room for: the first are kept, and the newest.
    for number in 0..12 {
        fs::write(&path, NOTED.replace("Our flat", &format!("Flat {number}"))).unwrap();
        apply(&mut file, "light.turn_on", "light.kitchen").unwrap();
    }
    assert_eq!(fs::read_to_string(original("")).unwrap(), NOTED);
    assert!(fs::read_to_string(original("-9")).unwrap().contains("Flat 11"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 10);
}

#[test]
fn a_file_without_comments_is_not_copied() {
    let (folder, path) = on_disk(INVENTORY);
    let mut file = HomeFile::load(&path).unwrap();
    apply(&mut file, "light.turn_on", "light.kitchen").unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

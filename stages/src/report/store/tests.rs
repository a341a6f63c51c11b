//! The store as its stage uses it; damage of every kind is in `stages/tests/store_damage.rs`.

use std::fs::OpenOptions;

use super::file::BYTES_PER_READING;
use super::*;
use crate::report::windower::now;

const KEEP_ALL: Retention = Retention { age: Duration::from_secs(86_400 * 365), bytes: 1 << 40 };

fn readings(range: std::ops::Range<i64>) -> Vec<Reading> {
    range.map(|i| Reading { at: Moment(i * 1_000_000), sensor: SensorId(0), value: i as f64 }).collect()
}

fn hall() -> SensorTraits {
    SensorTraits { name: "hall".into(), ..SensorTraits::default() }
}

/// A store that knows sensor 0.
fn open(path: &Path, retention: Retention) -> Store {
    let mut store = Store::open(path, retention).unwrap();
    store.commit(&[(SensorId(0), "h", &hall())], &[]).unwrap();
    store
}

fn all(store: &Store) -> Vec<i64> {
    let mut found = Vec::new();
    store.read_from(Moment(0), &mut |r| found.push(r.at.0 / 1_000_000)).unwrap();
    found
}

#[test]
fn what_was_committed_is_there_after_opening_again_and_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sub/readings.redb");
    {
        let mut store = Store::open(&path, KEEP_ALL).unwrap();
        let done = store.commit(&[(SensorId(0), "h", &hall())], &readings(0..100)).unwrap();
        assert_eq!(done.new, 100);
        assert_eq!(store.commit(&[], &readings(50..120)).unwrap().new, 20);
        store.set_reported(Moment(7)).unwrap();
        assert!(matches!(Store::open(&path, KEEP_ALL), Err(StoreError::InUse(_))));
    }
    let mut store = Store::open(&path, KEEP_ALL).unwrap();
    assert!(store.repairs().is_empty());
    assert!(all(&store).is_empty(), "no sensor of this run is bound yet");
    store.bind("h", SensorId(0));
    assert_eq!(all(&store), (0..120).collect::<Vec<_>>());
    assert_eq!(store.reported().unwrap(), Some(Moment(7)));
    assert_eq!(store.sensors().unwrap()[0].1.name, "hall");
}

#[test]
fn the_word_of_a_state_is_kept_where_its_number_does_not_tell_it() {
    use nearfield_telemetry::read::states::code;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let (long, short) = (code("cotton 60 eco").unwrap(), code("heat").unwrap());
    let reading = |at, value| Reading { at: Moment(at), sensor: SensorId(0), value };
    open(&path, KEEP_ALL).commit(&[], &[reading(1, long), reading(2, short), reading(3, 21.5)]).unwrap();
    let store = open(&path, KEEP_ALL);
    let words = store.get().unwrap().content.state.iter().filter(|(key, _)| key.starts_with("word/"));
    assert_eq!(words.collect::<Vec<_>>(), [(&"word/cotton 60 eco".to_owned(), &(long as i64))]);
}

#[test]
fn the_store_is_bounded_in_age_and_size_and_says_what_it_drops() {
    let folder = tempfile::tempdir().unwrap();
    let retention = Retention { age: Duration::from_secs(50), ..KEEP_ALL };
    let mut store = open(&folder.path().join("a"), retention);
    let done = store.commit(&[], &readings(0..100)).unwrap();
    assert_eq!((done.dropped_by_age, all(&store).len()), (49, 51));
    let retention = Retention { bytes: 10 * BYTES_PER_READING, ..KEEP_ALL };
    let mut store = open(&folder.path().join("b"), retention);
    let done = store.commit(&[], &readings(0..100)).unwrap();
    assert_eq!((done.dropped_by_size, all(&store)), (90, (90..100).collect()));
}

#[test]
fn a_reading_from_another_century_drops_nothing_and_a_clock_set_back_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let retention = Retention { age: Duration::from_secs(3 * 86_400), ..KEEP_ALL };
    let mut store = open(&folder.path().join("a"), retention);
    let reading = |at: Moment| Reading { at, sensor: SensorId(0), value: 1.0 };
    store.commit(&[], &[reading(now())]).unwrap();
    let jumped = now().plus_seconds(86_400.0 * 365.0 * 70.0);
    assert_eq!(store.commit(&[], &[reading(jumped)]).unwrap().dropped_by_age, 0);
    assert_eq!(store.commit(&[], &[reading(now())]).unwrap().dropped_by_age, 0);
    assert_eq!(store.len().unwrap(), 3);
    store.set_reported(jumped).unwrap();
    let hour_ago = now().plus_seconds(-3600.0);
    for (end, reported) in [(now(), now()), (hour_ago, now())] {
        store.set_reported(end).unwrap();
        assert!(store.reported().unwrap().unwrap().seconds_since(reported).abs() < 60.0);
    }
}

#[test]
fn damage_while_the_store_is_open_is_found_by_the_check_and_repaired() {
    use std::os::unix::fs::FileExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let written: Vec<Reading> = readings(0..3_000).into_iter().chain(readings(200_000..203_000)).collect();
    open(&path, KEEP_ALL).commit(&[], &[]).unwrap();
    let mut store = open(&path, KEEP_ALL);
    store.commit(&[], &written).unwrap();
    drop(store);
    let mut store = open(&path, KEEP_ALL);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0; 4096], 20 * 4096).unwrap();
    for _ in 0..10 {
        store.check_at = Instant::now();
        store.maintain().unwrap();
    }
    let lost = store.repairs()[0].readings_lost();
    assert_eq!(store.repairs().len(), 1);
    assert!(lost > 0 && lost < 300, "{}", store.repairs()[0]);
    assert_eq!(all(&store).len() as u64 + lost, 6_000);
    assert_eq!(store.commit(&[], &written).unwrap().new, lost, "the run's sensors are still the same");
}

#[test]
fn a_store_that_is_removed_while_it_is_open_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let mut store = open(&path, KEEP_ALL);
    store.commit(&[], &readings(0..100)).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(store.commit(&[], &readings(50..150)).unwrap().new, 50);
    drop(store);
    let store = open(&path, KEEP_ALL);
    assert_eq!(all(&store).len(), 150);
    assert!(store.repairs().is_empty(), "{:?}", store.repairs());
}

#[test]
fn an_unfinished_salvage_is_finished_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    open(&path, KEEP_ALL).commit(&[], &readings(0..100)).unwrap();
    // As if the process had ended before the new file took the old one's name.
    std::fs::copy(&path, beside(&path, ".salvaged")).unwrap();
    std::fs::write(&path, "damaged").unwrap();
    std::fs::write(beside(&path, "-wal"), "the journal of the damaged one").unwrap();
    assert_eq!(all(&open(&path, KEEP_ALL)).len(), 100);
    assert!(!beside(&path, ".salvaged").exists());
}

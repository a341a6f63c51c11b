//! What is out of the ordinary in days that are made up, and what is not.

use super::*;
use rand::{Rng, SeedableRng};

fn day(value: impl Fn(usize, f64) -> Option<f64>) -> Tally {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    let mut tally = Tally::new(Moment(0), (None, None), None, None);
    for minute in (0..1440).step_by(5) {
        let noise = (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        if let Some(v) = value(minute, noise * 0.1) {
            tally.push(Moment(minute as i64 * 60_000_000), v);
        }
    }
    tally
}

fn found(tally: &Tally) -> Vec<Anomaly> {
    find(tally, Moment(86_400_000_000), None, None, &AnomalyOptions::default())
}

fn warm(minute: usize) -> f64 {
    21.0 - 3.0 * (minute as f64 / 1440.0 * std::f64::consts::TAU + 0.6).cos()
}

fn minute(at: Moment) -> i64 {
    at.0 / 60_000_000
}

#[test]
fn an_ordinary_day_with_its_warm_afternoon_is_not_out_of_the_ordinary() {
    assert_eq!(found(&day(|m, noise| Some(warm(m) + noise))), []);
    assert_eq!(found(&day(|_, _| Some(4.2))), []);
    assert_eq!(found(&day(|_, noise| Some((45.0 + 3.0 * noise).round()))), []);
}

#[test]
fn a_spike_is_found_at_its_minute_with_its_value_and_nothing_else() {
    let spiky = day(|m, noise| Some(if m == 860 { 31.0 } else { warm(m) + noise }));
    match found(&spiky)[..] {
        [Anomaly::Spike { value, at, .. }] => assert_eq!((value, minute(at)), (31.0, 860)),
        ref other => panic!("{other:?}"),
    }
    let flat = day(|m, _| Some(if m == 860 { 0.3 } else { 0.0 }));
    assert!(matches!(found(&flat)[..], [Anomaly::Spike { .. }]), "{:?}", found(&flat));
}

#[test]
fn a_gap_is_found_from_the_last_reading_to_the_next_and_to_the_end_of_the_window() {
    let gappy = day(|m, noise| (!(130..225).contains(&m) && m < 1380).then_some(warm(m) + noise));
    match found(&gappy)[..] {
        [Anomaly::Gap { span: a }, Anomaly::Gap { span: b }] => {
            assert_eq!((minute(a.from), minute(a.to)), (125, 225));
            assert_eq!((minute(b.from), minute(b.to)), (1375, 1440));
        }
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn hours_before_states_are_a_slower_cadence_and_no_drop_outs() {
    let hourly = |m: usize| m < 720 && m % 60 == 30;
    assert_eq!(found(&day(|m, noise| (hourly(m) || m >= 720).then_some(21.0 + noise))), []);
    // An outage within either is one.
    for out in [240..420, 900..1080] {
        let gappy = day(|m, noise| ((hourly(m) || m >= 720) && !out.contains(&m)).then_some(21.0 + noise));
        assert!(matches!(found(&gappy)[..], [Anomaly::Gap { .. }]), "{out:?} {:?}", found(&gappy));
    }
    // A radio that fails now and then is no cadence.
    let failing =
        day(|m, noise| (m < 600 || [690, 735, 850, 900, 1010].contains(&m) || m > 1100).then_some(21.0 + noise));
    assert!(found(&failing).len() >= 5, "{:?}", found(&failing));
}

#[test]
fn a_slow_drift_is_found_with_its_size_and_its_beginning() {
    let fall = |m: usize| if m > 480 { -3.1 * (m - 480) as f64 / 960.0 } else { 0.0 };
    let drifting = day(|m, noise| Some(1013.0 + fall(m) + noise));
    match found(&drifting)[..] {
        [Anomaly::Drift { by, from, .. }] => {
            assert!((by + 3.0).abs() < 0.3, "{by}");
            assert!((minute(from) - 480).abs() < 90, "{}", minute(from));
        }
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn a_stuck_value_is_found_and_a_sensor_that_never_moves_is_not() {
    let frozen = day(|m, noise| Some(if (600..810).contains(&m) { 4.2 } else { 4.2 + noise }));
    match found(&frozen)[..] {
        [Anomaly::Stuck { value, span }] => {
            assert_eq!((value, minute(span.from), minute(span.to)), (4.2, 600, 805));
        }
        ref other => panic!("{other:?}"),
    }
}

fn light(minute: usize) -> f64 {
    (20_000.0 * ((minute as f64 - 360.0) / 720.0 * std::f64::consts::PI).sin()).max(0.0).round()
}

#[test]
fn a_night_is_not_stuck_and_a_noon_is_no_spike() {
    assert_eq!(found(&day(|m, _| Some(light(m)))), []);
    assert_eq!(found(&day(|m, _| Some((light(m) / 100.0).round()))), []);
    // What is stuck in the day, at 0 or elsewhere, is told: the course jumps.
    for value in [0.0, 9000.0] {
        let frozen = day(|m, _| Some(if (540..840).contains(&m) { value } else { light(m) }));
        let stuck = found(&frozen).into_iter().filter(|a| matches!(a, Anomaly::Stuck { .. })).collect::<Vec<_>>();
        match stuck[..] {
            [Anomaly::Stuck { value: at, span }] => assert_eq!((at, minute(span.from)), (value, 540)),
            ref other => panic!("{other:?}"),
        }
    }
    let from_night_on = day(|m, _| Some(if m < 840 { 0.0 } else { light(m) }));
    assert!(matches!(found(&from_night_on)[0], Anomaly::Stuck { value: 0.0, .. }));
    // And so is a flash at noon or by night.
    for at in [720, 120] {
        let flash = day(|m, _| Some(if m == at { 60_000.0 } else { light(m) }));
        match found(&flash)[..] {
            [Anomaly::Spike { value, at: when, .. }] => assert_eq!((value, minute(when)), (60_000.0, at as i64)),
            ref other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_other_days_have_shown_decides_what_is_stuck() {
    let part = |at: Moment| (at.0 / 900_000_000) as usize % DAY_PARTS;
    let mut profile = DayProfile::default();
    profile.learn(day(|m, _| Some(light(m))).track().slots(), &part);
    let of =
        |tally: &Tally| find(tally, Moment(86_400_000_000), None, Some((&profile, &part)), &AnomalyOptions::default());
    assert_eq!(of(&day(|m, _| Some(light(m)))), []);
    // A lamp ends the night with a jump.
    assert_eq!(
        of(&day(|m, _| Some(if (330..360).contains(&m) { 9000.0 } else { light(m) })))
            .iter()
            .filter(|a| matches!(a, Anomaly::Stuck { .. }))
            .count(),
        0
    );
    let whole_day = of(&day(|_, _| Some(0.0)));
    assert!(matches!(whole_day[..], [Anomaly::Stuck { value: 0.0, .. }, ..]), "{whole_day:?}");
    let to_noon = of(&day(|m, _| Some(if m < 700 { 0.0 } else { light(m) })));
    assert!(to_noon.iter().any(|a| matches!(a, Anomaly::Stuck { .. })), "{to_noon:?}");
}

#[test]
fn a_switch_that_is_on_and_off_is_not_out_of_the_ordinary() {
    let on = |m: usize| (460..1050).contains(&m) && !(720..780).contains(&m) && m != 900;
    assert_eq!(found(&day(|m, _| Some(f64::from(u8::from(on(m)))))), []);
}

#[test]
fn a_known_course_of_the_day_makes_a_warm_afternoon_usual_and_a_warm_evening_not() {
    let part = |at: Moment| (at.0 / 900_000_000) as usize % DAY_PARTS;
    let mut profile = DayProfile::default();
    profile.learn(day(|m, noise| Some(warm(m) + noise)).track().slots(), &part);
    let of =
        |tally: &Tally| find(tally, Moment(86_400_000_000), None, Some((&profile, &part)), &AnomalyOptions::default());
    assert_eq!(of(&day(|m, noise| Some(warm(m) - noise))), []);
    let evening = day(|m, noise| Some(warm(m) + noise + if m > 1080 { 2.5 } else { 0.0 }));
    match of(&evening)[..] {
        [Anomaly::Drift { by, from, .. }] => {
            assert!((by - 2.5).abs() < 0.3 && (minute(from) - 1080).abs() < 45, "{by} {}", minute(from));
        }
        ref other => panic!("{other:?}"),
    }
}

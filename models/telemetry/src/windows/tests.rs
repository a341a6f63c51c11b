//! Windows from readings in any order, with clocks that jump and readings that are late.

use super::*;
use jiff::tz::TimeZone;
use proptest::prelude::*;

const MINUTE: i64 = 60_000_000;
const START: i64 = 1_795_000_000_000_000 / (86_400 * 1_000_000) * (86_400 * 1_000_000);

fn windows(length: &str, every: &str, lateness: Option<f64>) -> Windows {
    let plan = WindowPlan::new(length.parse().unwrap(), every.parse().unwrap(), TimeZone::UTC).unwrap();
    Windows::new(WindowsOptions {
        plan,
        lateness_seconds: lateness,
        waiting: 10_000,
        clock_jump_seconds: 86_400.0,
        latest: None,
        distinct: false,
        rereads: false,
        anomalies: AnomalyOptions::default(),
    })
}

fn reading(minute: i64, sensor: u32, value: f64) -> Reading {
    Reading { at: Moment(START + minute * MINUTE), sensor: SensorId(sensor), value }
}

fn run(windows: &mut Windows, readings: &[Reading]) -> Vec<ClosedWindow> {
    let mut closed = Vec::new();
    for r in readings {
        windows.push(*r, &mut |w| closed.push(w));
    }
    windows.finish(&mut |w| closed.push(w));
    closed
}

/// (start in minutes, readings, mean of sensor 0)
fn told(closed: &[ClosedWindow]) -> Vec<(i64, u64, Option<f64>)> {
    let mean = |w: &ClosedWindow| w.sensors[0].statistics.map(|s| s.mean);
    closed.iter().map(|w| ((w.span.from.0 - START) / MINUTE, w.readings(), mean(w))).collect()
}

#[test]
fn windows_tumble_and_empty_ones_are_told_as_empty() {
    let mut w = windows("1h", "1h", Some(0.0));
    w.add_sensor(SensorTraits::default());
    let closed = run(&mut w, &[reading(10, 0, 1.0), reading(50, 0, 3.0), reading(190, 0, 5.0)]);
    assert_eq!(told(&closed), [(0, 2, Some(2.0)), (60, 0, None), (120, 0, None), (180, 1, Some(5.0))]);
    assert!(!closed[2].cut_short && closed[3].cut_short);
}

#[test]
fn windows_slide_and_each_reading_counts_in_each_of_its_windows_once() {
    let mut w = windows("1h", "30m", Some(0.0));
    w.add_sensor(SensorTraits::default());
    let closed = run(&mut w, &[reading(40, 0, 1.0), reading(70, 0, 3.0), reading(100, 0, 5.0)]);
    assert_eq!(told(&closed), [(0, 1, Some(1.0)), (30, 2, Some(2.0)), (60, 2, Some(4.0)), (90, 1, Some(5.0))]);
}

#[test]
fn the_change_is_told_against_the_window_before_and_the_day_before() {
    let mut w = windows("1h", "1h", Some(0.0));
    w.add_sensor(SensorTraits::default());
    let readings: Vec<Reading> = (0..30).map(|h| reading(h * 60, 0, (h * h) as f64)).collect();
    let closed = run(&mut w, &readings);
    let s = &closed[26].sensors[0];
    assert_eq!((s.change, s.change_from_day_before), (Some(676.0 - 625.0), Some(676.0 - 4.0)));
    assert_eq!(closed[0].sensors[0].change, None);
}

#[test]
fn late_readings_within_the_bound_count_and_later_ones_are_counted_as_late() {
    let mut w = windows("1h", "1h", Some(600.0));
    w.add_sensor(SensorTraits::default());
    let closed = run(
        &mut w,
        &[reading(58, 0, 1.0), reading(65, 0, 9.0), reading(57, 0, 3.0), reading(80, 0, 9.0), reading(30, 0, 5.0)],
    );
    assert_eq!(told(&closed)[0], (0, 2, Some(2.0)));
    assert_eq!(closed.iter().map(|w| w.unused.late).sum::<u64>(), 1);
}

#[test]
fn a_repetition_of_a_reading_counts_once() {
    let mut w = windows("1h", "1h", Some(600.0));
    w.add_sensor(SensorTraits::default());
    let closed = run(&mut w, &[reading(1, 0, 2.0), reading(1, 0, 2.0), reading(2, 0, 4.0), reading(1, 0, 2.0)]);
    assert_eq!(told(&closed), [(0, 2, Some(3.0))]);
    assert_eq!(closed[0].unused.duplicates, 2);
}

#[test]
fn a_clock_that_jumps_ahead_once_is_not_believed_and_one_that_stays_is() {
    let mut w = windows("1h", "1h", Some(0.0));
    w.add_sensor(SensorTraits::default());
    let year = 365 * 24 * 60;
    let mut readings: Vec<Reading> = (0..30).map(|m| reading(m, 0, 1.0)).collect();
    readings.insert(10, reading(year, 0, 9.0));
    let closed = run(&mut w, &readings);
    assert_eq!(told(&closed), [(0, 30, Some(1.0))]);
    assert_eq!(closed[0].unused.implausible_times, 1);

    let mut w = windows("1h", "1h", Some(0.0));
    w.add_sensor(SensorTraits::default());
    let readings: Vec<Reading> = (0..20).map(|m| reading(m + if m < 10 { 0 } else { year }, 0, 1.0)).collect();
    let closed = run(&mut w, &readings);
    assert_eq!(closed.iter().map(ClosedWindow::readings).sum::<u64>(), 20);
    assert!(closed.len() < 60, "{} windows", closed.len());
    assert!(closed.iter().map(|w| w.skipped).sum::<u64>() > 8_000);
}

#[test]
fn a_clock_that_is_set_back_for_good_is_followed() {
    let mut w = windows("1h", "1h", Some(0.0));
    w.add_sensor(SensorTraits::default());
    let year = 365 * 24 * 60;
    let readings: Vec<Reading> = (0..200).map(|m| reading(m + if m < 3 { year } else { 0 }, 0, 1.0)).collect();
    let closed = run(&mut w, &readings);
    let used: u64 = closed.iter().map(ClosedWindow::readings).sum();
    assert!(used > 130, "{used}");
}

#[test]
fn a_clock_that_is_set_back_while_the_program_is_away_is_followed() {
    let mut w = windows("1h", "1h", Some(0.0));
    w.add_sensor(SensorTraits::default());
    let year = 365 * 24 * 60;
    w.resume_after(reading(year, 0, 1.0).at);
    let readings: Vec<Reading> = (0..200).map(|m| reading(m, 0, 1.0)).collect();
    let used: u64 = run(&mut w, &readings).iter().map(ClosedWindow::readings).sum();
    assert!(used > 130, "{used}");
}

#[test]
fn a_restart_completes_the_open_window_and_remembers_what_it_is_compared_with() {
    let readings: Vec<Reading> = (0..60).map(|h| reading(h * 60 + 7, 0, (h * h) as f64)).collect();
    let mut whole = windows("1h", "1h", Some(0.0));
    whole.add_sensor(SensorTraits::default());
    let expected = run(&mut whole, &readings);
    let mut again = windows("1h", "1h", Some(0.0));
    again.add_sensor(SensorTraits::default());
    let from = again.resume_after(expected[50].span.to);
    let kept: Vec<Reading> = readings.iter().copied().filter(|r| r.at >= from).collect();
    assert!(kept.len() < 40, "{}", kept.len());
    let resumed = run(&mut again, &kept);
    assert_eq!(told(&resumed), told(&expected[51..]));
    let changes = |closed: &[ClosedWindow]| -> Vec<_> {
        closed.iter().map(|w| (w.sensors[0].change, w.sensors[0].change_from_day_before)).collect()
    };
    assert_eq!(changes(&resumed), changes(&expected[51..]));
}

#[test]
fn by_the_clock_a_reading_counts_until_its_window_closes_and_no_reading_closes_one() {
    let mut w = windows("1h", "1h", Some(30.0));
    w.add_sensor(SensorTraits::default());
    w.add_sensor(SensorTraits::default());
    w.follow_clock(true);
    let mut closed = Vec::new();
    // A sensor whose readings are all a minute late in a window of an hour, beside one that is on time.
    for m in 0..59 {
        w.push(reading(m, 0, 1.0), &mut |c| closed.push(c));
        w.complete_up_to(Moment(START + m * MINUTE - 30_000_000), &mut |c| closed.push(c));
        if m > 2 {
            w.push(reading(m - 2, 1, 5.0), &mut |c| closed.push(c));
        }
    }
    // A reading of tomorrow moves nothing.
    w.push(reading(1440, 1, 5.0), &mut |c| closed.push(c));
    assert!(closed.is_empty());
    w.complete_up_to(Moment(START + 61 * MINUTE), &mut |c| closed.push(c));
    w.push(reading(50, 1, 5.0), &mut |c| closed.push(c));
    assert_eq!(closed[0].readings(), 59 + 56);
    assert_eq!((w.unused.late, w.unused_of[&SensorId(1)].late), (1, 1));
}

#[test]
fn a_reading_out_of_order_counts_once_as_long_as_its_window_is_open() {
    for distinct in [true, false] {
        let mut w = windows("1h", "1h", Some(0.0));
        w.options.distinct = distinct;
        w.add_sensor(SensorTraits::default());
        let readings =
            [reading(1, 0, 2.0), reading(9, 0, 4.0), reading(5, 0, 9.0), reading(5, 0, 9.0), reading(9, 0, 4.0)];
        let closed = run(&mut w, &readings);
        let unused = closed[0].unused;
        let expected = if distinct { (3, 0, 2) } else { (2, 2, 1) };
        assert_eq!((closed[0].readings(), unused.late, unused.duplicates), expected);
    }
}

#[test]
fn one_sensor_ahead_of_the_others_closes_none_of_their_windows() {
    let mut w = windows("10m", "10m", Some(30.0));
    (0..3).for_each(|_| _ = w.add_sensor(SensorTraits::default()));
    let mut readings: Vec<Reading> = (0..60).flat_map(|m| [reading(m, 0, 1.0), reading(m, 1, 1.0)]).collect();
    readings.insert(21, reading(600, 2, 5.0));
    let closed = run(&mut w, &readings);
    let used: Vec<u64> = closed.iter().take(6).map(ClosedWindow::readings).collect();
    assert_eq!(used, [20; 6]);
    assert_eq!(closed.iter().map(|w| w.unused.late).sum::<u64>(), 0);
    assert!(closed.len() <= 6 + 3 + 1, "{}", closed.len());
}

#[test]
fn a_sensor_that_falls_silent_keeps_no_window_open() {
    let mut w = windows("10m", "10m", Some(60.0));
    (0..2).for_each(|_| _ = w.add_sensor(SensorTraits::default()));
    let mut closed = Vec::new();
    for m in 0..30 {
        w.push(reading(m, 0, 1.0), &mut |c| closed.push(c));
        if m < 5 {
            w.push(reading(m, 1, 1.0), &mut |c| closed.push(c));
        }
    }
    assert_eq!(told(&closed), [(0, 15, Some(1.0)), (10, 10, Some(1.0))]);
}

#[test]
fn a_few_far_stamps_in_a_file_make_no_windows_wherever_they_stand() {
    let year = 365 * 24 * 60;
    let far = [reading(-20 * year, 0, 9.0), reading(70 * year, 0, 9.0), reading(3 * year, 0, 9.0)];
    for place in [0, 30, 60] {
        let mut w = windows("10m", "10m", None);
        w.options.latest = Some(reading(year / 2, 0, 0.0).at);
        w.add_sensor(SensorTraits::default());
        let mut readings: Vec<Reading> = (0..60).map(|m| reading(m, 0, 1.0)).collect();
        readings.splice(place..place, far);
        let closed = run(&mut w, &readings);
        assert_eq!(told(&closed), (0..6).map(|i| (i * 10, 10, Some(1.0))).collect::<Vec<_>>(), "at {place}");
        assert_eq!(closed.iter().map(|w| w.unused.implausible_times).sum::<u64>() + w.unused.implausible_times, 3);
    }
    // Readings once a month are no mistake.
    let mut w = windows("1d", "1d", None);
    w.add_sensor(SensorTraits::default());
    let closed = run(&mut w, &(0..6).map(|m| reading(m * 31 * 24 * 60, 0, 1.0)).collect::<Vec<_>>());
    assert_eq!(closed.iter().map(ClosedWindow::readings).sum::<u64>(), 6);
}

#[test]
fn a_clock_that_is_set_makes_up_no_windows_and_loses_nothing() {
    for (every, jump) in
        [("10m", 56 * 365 * 24 * 60), ("10m", 37), ("10m", -37), ("1d", -37), ("1d", 37), ("1h", -7 * 24 * 60)]
    {
        let mut w = windows(every, every, Some(30.0));
        w.add_sensor(SensorTraits::default());
        w.follow_clock(true);
        let mut closed = Vec::new();
        let mut shift = 0;
        for m in 0..120 {
            if m == 65 {
                let (before, now) = (reading(600 + m, 0, 0.0).at, reading(600 + m + jump, 0, 0.0).at);
                w.clock_was_set(before, now, &mut |c| closed.push(c));
                shift = jump;
            }
            let at = reading(600 + m + shift, 0, 1.0);
            w.push(at, &mut |c| closed.push(c));
            w.complete_up_to(at.at.plus_seconds(-30.0), &mut |c| closed.push(c));
        }
        w.finish(&mut |c| closed.push(c));
        assert_eq!(closed.iter().map(ClosedWindow::readings).sum::<u64>(), 120, "{every}, {jump} minutes");
        assert!(closed.iter().all(|w| w.readings() > 0 && w.span.seconds() > 0.0), "{every}, {jump} minutes");
        assert_eq!(w.unused.late, 0);
    }
}

#[test]
fn what_waits_is_bounded() {
    let mut w = windows("1d", "1d", None);
    w.options.waiting = 100;
    w.add_sensor(SensorTraits::default());
    let readings: Vec<Reading> = (0..5_000).map(|m| reading(m, 0, 1.0)).collect();
    for r in &readings {
        w.push(*r, &mut |_| {});
        assert!(w.waiting.len() <= 100);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_order_gives_the_windows_of_the_sorted_readings(
        minutes in prop::collection::btree_set(0i64..3000, 1..200),
        swaps in prop::collection::vec((0usize..200, 0usize..200), 0..100),
        sliding in any::<bool>(),
    ) {
        let sorted: Vec<Reading> = minutes.iter().map(|m| reading(*m, (*m % 3) as u32, *m as f64)).collect();
        let mut shuffled = sorted.clone();
        for (a, b) in swaps {
            let n = shuffled.len();
            shuffled.swap(a % n, b % n);
        }
        let every = if sliding { "1h" } else { "6h" };
        let of = |readings: &[Reading]| {
            let mut w = windows("6h", every, None);
            w.options.clock_jump_seconds = 7.0 * 86_400.0;
            (0..3).for_each(|_| { w.add_sensor(SensorTraits::default()); });
            let closed = run(&mut w, readings);
            closed.iter().map(|w| (w.span, w.sensors.iter().map(|s| s.statistics).collect::<Vec<_>>())).collect::<Vec<_>>()
        };
        let closed = of(&sorted);
        prop_assert_eq!(&closed, &of(&shuffled));
        // Against the definition: the readings whose time lies in the window.
        for (span, sensors) in closed {
            for (i, statistics) in sensors.iter().enumerate() {
                let inside: Vec<f64> = sorted.iter()
                    .filter(|r| r.sensor.0 as usize == i && span.from <= r.at && r.at < span.to)
                    .map(|r| r.value).collect();
                prop_assert_eq!(statistics.map_or(0, |s| s.count), inside.len() as u64);
                if let Some(s) = statistics {
                    prop_assert!((s.mean - inside.iter().sum::<f64>() / inside.len() as f64).abs() < 1e-6);
                }
            }
        }
    }
}

#[test]
fn a_window_in_other_units_tells_what_the_same_readings_in_those_units_would() {
    let values = |convert: &dyn Fn(f64) -> f64| -> Vec<Reading> {
        (0..120)
            .map(|m| reading(m, 0, convert(20.0 + (m % 7) as f64 * 0.5 + if m == 90 { 30.0 } else { 0.0 })))
            .collect()
    };
    let closed = |unit: &str, readings: &[Reading], high: f64| {
        let mut w = windows("1h", "1h", Some(0.0));
        let traits = SensorTraits { unit: unit.to_owned(), high: Some(high), ..SensorTraits::default() };
        w.add_sensor(traits.clone());
        (run(&mut w, readings), traits)
    };
    let (mut told, traits) = closed("°C", &values(&|v| v), 40.0);
    let (expected, _) = closed("°F", &values(&|v| v * 1.8 + 32.0), 104.0);
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} {b}");
    for (told, expected) in told.iter_mut().zip(&expected) {
        let mut traits = [traits.clone()];
        told.convert(&mut traits, crate::unit::System::Imperial);
        assert_eq!(traits[0].unit, "°F");
        near(traits[0].high.unwrap(), 104.0);
        let (a, b) = (&told.sensors[0], &expected.sensors[0]);
        let (x, y) = (a.statistics.unwrap(), b.statistics.unwrap());
        for (x, y) in [
            (x.mean, y.mean),
            (x.low.0, y.low.0),
            (x.high.0, y.high.0),
            (x.p95, y.p95),
            (x.deviation, y.deviation),
            (x.slope_per_hour, y.slope_per_hour),
            (x.growth.gain, y.growth.gain),
            (a.change.unwrap_or(0.0), b.change.unwrap_or(0.0)),
        ] {
            near(x, y);
        }
        assert_eq!(a.anomalies.len(), b.anomalies.len());
        let text = |s: &SensorSummary| format!("{:.3?}", s.anomalies);
        assert_eq!(text(a).replace("score", ""), text(b).replace("score", ""));
        for (x, y) in a.track.slots().iter().zip(b.track.slots()) {
            near(x.mean(), y.mean());
        }
    }
}

#[test]
fn amounts_of_intervals_are_added_up_and_meters_are_not() {
    let of = |name: &str, unit: &str, value: &dyn Fn(i64) -> f64| {
        let mut w = windows("1d", "1d", Some(0.0));
        w.add_sensor(SensorTraits { name: name.to_owned(), unit: unit.to_owned(), ..SensorTraits::default() });
        let readings: Vec<Reading> = (0..48).map(|i| reading(i * 30, 0, value(i))).collect();
        let closed = run(&mut w, &readings);
        let s = &closed[0].sensors[0];
        (s.is_amount, s.is_total, (s.statistics.unwrap().sum() * 100.0).round() / 100.0)
    };
    let half_hours = |i: i64| if i % 3 == 0 { 0.5 } else { 0.1 };
    assert_eq!(of("Consumption", "kWh", &half_hours), (true, false, 11.2));
    assert_eq!(of("rain", "mm", &half_hours), (true, false, 11.2));
    assert!(of("Consumption", "kWh", &|i| if i == 14 || i == 36 { 0.4 } else { 0.1 }).0, "mostly the same amount");
    assert!(!of("Energy", "kWh", &|i| 1234.5 + (i % 2) as f64 * 0.1).0, "a meter that jitters");
    assert!(!of("Energy today", "kWh", &|i| (i % 24) as f64 * 0.1).0, "a meter that begins anew");
    let (is_amount, is_total, _) = of("Consumption", "kWh", &|i| i as f64 * 0.1);
    assert_eq!((is_amount, is_total), (false, true));
    // A rain gauge that counts up, and a stock that goes up and down.
    assert!(of("rain today", "mm", &|i| (i / 10) as f64 * 0.2).1);
    for name in ["battery energy stored", "water tank", "solar forecast energy"] {
        assert!(!of(name, "kWh", &half_hours).0, "{name}");
    }
    assert!(!of("snow depth", "mm", &half_hours).0);
}

#[test]
fn a_battery_is_told_to_last_when_it_is_known_for_long_enough() {
    let kind = Some(crate::kind::Kind::Battery);
    let days = |readings: &[Reading]| {
        let mut w = windows("1d", "1d", Some(0.0));
        w.add_sensor(SensorTraits { kind, unit: "%".to_owned(), ..SensorTraits::default() });
        let closed = run(&mut w, readings);
        assert!(closed.iter().all(|c| c.sensors[0].anomalies.is_empty()), "an emptying battery is nothing unusual");
        closed.iter().map(|c| c.sensors[0].lasts_days.map(f64::round)).collect::<Vec<_>>()
    };
    // Two percent a day, from 90: after four days 82 are left, and 41 days.
    let falling: Vec<Reading> = (0..96).map(|h| reading(h * 60, 0, (90.0 - h as f64 / 12.0).round())).collect();
    let told = days(&falling);
    assert_eq!(told[0], None);
    assert!((38.0..=46.0).contains(&told[3].unwrap()), "{told:?}");
    // Charged in between, it starts anew; a full one that does not fall lasts nobody knows how long.
    let mut charged = falling.clone();
    charged.push(reading(97 * 60, 0, 100.0));
    assert_eq!(*days(&charged).last().unwrap(), None);
    assert!(days(&(0..72).map(|h| reading(h * 60, 0, 100.0)).collect::<Vec<_>>()).iter().all(Option::is_none));
}

#[test]
fn a_part_of_a_window_is_not_compared_with_a_whole_one() {
    let mut w = windows("1d", "1d", Some(0.0));
    w.add_sensor(SensorTraits::default());
    let readings: Vec<Reading> = (0..30).map(|h| reading(h * 60, 0, h as f64)).collect();
    let closed = run(&mut w, &readings);
    assert!(
        closed[1].cut_short
            && closed[1].sensors[0].change.is_none()
            && closed[1].sensors[0].change_from_day_before.is_none()
    );
}

#[test]
fn a_step_of_a_coarse_sensor_is_no_spike() {
    let mut w = windows("1d", "1d", Some(0.0));
    w.add_sensor(SensorTraits { unit: "%".to_owned(), ..SensorTraits::default() });
    let smooth = |m: i64| (45.0 + 5.0 * (m as f64 / 1440.0 * std::f64::consts::TAU).cos()).round();
    let readings: Vec<Reading> = (0..288).map(|i| reading(i * 5, 0, smooth(i * 5))).collect();
    let closed = run(&mut w, &readings);
    assert!(closed[0].sensors[0].anomalies.is_empty(), "{:?}", closed[0].sensors[0].anomalies);
    // A real one is told.
    let mut w = windows("1d", "1d", Some(0.0));
    w.add_sensor(SensorTraits { unit: "%".to_owned(), ..SensorTraits::default() });
    let readings: Vec<Reading> =
        (0..288).map(|i| reading(i * 5, 0, if i == 100 { 80.0 } else { smooth(i * 5) })).collect();
    let closed = run(&mut w, &readings);
    assert!(matches!(closed[0].sensors[0].anomalies[..], [crate::anomaly::Anomaly::Spike { .. }]));
}

#[test]
fn even_rain_is_added_up_and_a_counter_of_the_day_is_not() {
    let sum = |values: &dyn Fn(i64) -> f64, days: i64| {
        let mut w = windows("1d", "1d", Some(0.0));
        w.add_sensor(SensorTraits { name: "rain".to_owned(), unit: "mm".to_owned(), ..SensorTraits::default() });
        let readings: Vec<Reading> = (0..days * 144).map(|i| reading(i * 10, 0, values(i))).collect();
        let closed = run(&mut w, &readings);
        let of = |w: &ClosedWindow| {
            let statistics = w.sensors[0].statistics.unwrap();
            let told = if w.sensors[0].is_amount { statistics.sum() } else { statistics.growth.gain };
            (told * 10.0).round() / 10.0
        };
        closed.iter().map(of).collect::<Vec<_>>()
    };
    // Eleven readings of 0.2 mm each day.
    assert_eq!(sum(&|i| if (60..71).contains(&(i % 144)) { 0.2 } else { 0.0 }, 3), [2.2, 2.2, 2.2]);
    // A counter that has risen to 0.2 mm at ten and begins anew at midnight.
    assert_eq!(sum(&|i| if i % 144 >= 60 { 0.2 } else { 0.0 }, 3), [0.2, 0.2, 0.2]);
}

#[test]
fn another_value_at_the_same_time_is_counted_as_such() {
    for lateness in [Some(0.0), None] {
        let mut w = windows("1h", "1h", lateness);
        w.add_sensor(SensorTraits::default());
        let closed = run(&mut w, &[reading(1, 0, 1.0), reading(1, 0, 1.0), reading(1, 0, 2.0), reading(70, 0, 1.0)]);
        let unused = closed[0].unused;
        assert_eq!((unused.duplicates, unused.conflicting, closed[0].readings()), (2, 1, 1), "{lateness:?}");
    }
}

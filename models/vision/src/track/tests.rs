//! Scenes whose truth is known: each object has a path, detections are shaken, dropped and mixed with false ones, and switches of
//! numbers are counted as the MOT benchmarks do.

use super::*;

/// Numbers between 0 and 1, always the same ones.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }
}

fn object(label: &str, score: f32, rect: Rect) -> Object {
    Object { label: label.to_owned(), score, rect, class: 0 }
}

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What is true at a time: each object that is in the picture, by number.
type Scene = dyn Fn(f32) -> Vec<(usize, Rect)>;

/// How well a scene was followed.
#[derive(Debug, Default, PartialEq)]
struct Followed {
    /// How often the number of a true object changed.
    switches: usize,
    /// Numbers that were given in all.
    ids: u64,
    /// Object-pictures with a confirmed track of their own, and all.
    covered: (usize, usize),
}

/// Follows `scene` for `seconds` at `fps`: boxes shaken by `shake` of their height, every `miss`-th detection missing, and that much
/// of the others faint.
fn follow(scene: &Scene, seconds: f32, fps: f32, (shake, miss, faint): (f32, f32, f32)) -> Followed {
    let mut tracker = Tracker::new(TrackOptions { confirm_pictures: 2, ..TrackOptions::default() });
    let mut dice = Dice(7);
    let mut numbers: Vec<Option<u64>> = vec![None; 64];
    let mut followed = Followed::default();
    for picture in 0..(seconds * fps) as u64 {
        let time = picture as f32 / fps;
        let truth = scene(time);
        let (mut sure, mut doubted) = (Vec::new(), Vec::new());
        for (_, rect) in &truth {
            let mut noise = || (dice.roll() - 0.5) * 2.0 * shake * rect.h;
            let (cx, cy) = rect.centre();
            let seen = Rect::around(cx + noise(), cy + noise(), rect.w + noise(), rect.h + noise()).clipped();
            match dice.roll() {
                d if d < miss => {}
                d if d < miss + faint => doubted.push(object("person", 0.4, seen)),
                _ => sure.push(object("person", 0.8, seen)),
            }
        }
        // Now and then a box where nothing is.
        if dice.roll() < 0.1 {
            sure.push(object("person", 0.55, Rect::around(dice.roll(), 0.15, 0.08, 0.2)));
        }
        tracker.see(&sure, &doubted, at((time * 1000.0) as u64));
        // The tracks of the true objects, one each, those that overlap best first.
        let mut pairs: Vec<(f32, usize, u64)> = Vec::new();
        for track in tracker.tracks().iter().filter(|t| t.is_confirmed() && t.is_seen) {
            pairs.extend(truth.iter().map(|(number, rect)| (track.rect.overlap(rect), *number, track.id)));
        }
        pairs.retain(|(overlap, ..)| *overlap > 0.4);
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut done, mut used) = (Vec::new(), Vec::new());
        for (_, number, id) in pairs {
            if done.contains(&number) || used.contains(&id) {
                continue;
            }
            done.push(number);
            used.push(id);
            followed.switches += usize::from(numbers[number].is_some_and(|before| before != id));
            numbers[number] = Some(id);
        }
        followed.covered = (followed.covered.0 + done.len(), followed.covered.1 + truth.len());
    }
    followed.ids = tracker.ids;
    followed
}

fn walker(x: f32, y: f32) -> Rect {
    Rect::around(x, y, 0.08, 0.3)
}

#[test]
fn people_who_walk_past_each_other_keep_their_numbers() {
    // One from the left, one from the right, at depths so little apart that their boxes overlap by half as they meet.
    let scene = |t: f32| vec![(0, walker(0.1 + 0.1 * t, 0.5)), (1, walker(0.9 - 0.1 * t, 0.58))];
    for fps in [5.0, 10.0, 25.0] {
        let followed = follow(&scene, 8.0, fps, (0.02, 0.05, 0.1));
        assert_eq!(followed.switches, 0, "{fps} pictures a second: {followed:?}");
        assert!(followed.ids <= 3, "{fps}: {followed:?}");
    }
}

#[test]
fn a_crowd_with_gaps_and_doubts_is_followed() {
    // Six in two rows, those of a row at different speeds, so that they overtake each other.
    let scene = |t: f32| {
        let lane = |n: usize| if n.is_multiple_of(2) { 0.35 } else { 0.75 };
        (0..6).map(|n| (n, walker(0.08 + 0.07 * n as f32 + t * (0.03 + 0.012 * n as f32), lane(n)))).collect::<Vec<_>>()
    };
    let followed = follow(&scene, 8.0, 10.0, (0.03, 0.1, 0.15));
    assert!(followed.switches <= 1, "{followed:?}");
    let (covered, all) = followed.covered;
    assert!(covered * 100 >= all * 80, "{followed:?}");
}

#[test]
fn one_who_is_hidden_for_a_second_comes_back_with_the_same_number() {
    // Behind a pillar from 3.0 to 4.2 s.
    let scene = |t: f32| if (3.0..4.2).contains(&t) { Vec::new() } else { vec![(0, walker(0.1 + 0.1 * t, 0.5))] };
    for fps in [5.0, 10.0] {
        let followed = follow(&scene, 8.0, fps, (0.02, 0.0, 0.0));
        assert_eq!(followed.switches, 0, "{fps}: {followed:?}");
    }
}

#[test]
fn a_fast_object_at_few_pictures_a_second_is_one_object() {
    // Half a box further with each picture.
    let scene = |t: f32| vec![(0, Rect::around(0.1 + 0.3 * t, 0.6, 0.12, 0.1))];
    let followed = follow(&scene, 3.0, 5.0, (0.02, 0.0, 0.0));
    assert_eq!((followed.switches, followed.ids), (0, 1), "{followed:?}");
}

#[test]
fn a_flash_is_no_object_and_gets_no_number() {
    let mut tracker = Tracker::new(TrackOptions::default());
    for picture in 0..20u64 {
        let x = if picture.is_multiple_of(5) {
            vec![object("person", 0.9, walker(0.1 + 0.04 * picture as f32, 0.5))]
        } else {
            vec![]
        };
        tracker.see(&x, &[], at(picture * 100));
        assert!(tracker.tracks().iter().all(|t| !t.is_confirmed()));
    }
    assert_eq!(tracker.ids, 0);
}

#[test]
fn the_end_of_an_object_is_when_it_was_last_seen_and_comes_after_the_wait() {
    let mut tracker = Tracker::new(TrackOptions { lost_ms: 500, ..TrackOptions::default() });
    for picture in 0..5u64 {
        tracker.see(&[object("dog", 0.7, walker(0.5, 0.5))], &[], at(picture * 100));
    }
    for picture in 5..10u64 {
        assert!(tracker.see(&[], &[], at(picture * 100)).is_empty(), "{picture}");
    }
    let ended = tracker.see(&[], &[], at(1000));
    assert_eq!(
        ended.iter().map(|t| (t.id, t.label.as_str(), t.first, t.last)).collect::<Vec<_>>(),
        [(1, "dog", at(0), at(400))]
    );
    assert!(tracker.finish().is_empty());
}

#[test]
fn after_a_long_gap_of_the_camera_nothing_is_the_same_object() {
    let mut tracker = Tracker::new(TrackOptions { confirm_pictures: 1, ..TrackOptions::default() });
    tracker.see(&[object("dog", 0.7, walker(0.5, 0.5))], &[], at(0));
    let ended = tracker.see(&[object("dog", 0.7, walker(0.5, 0.5))], &[], at(60_000));
    assert_eq!(ended.iter().map(|t| t.id).collect::<Vec<_>>(), [1]);
    assert_eq!(tracker.tracks().iter().map(|t| t.id).collect::<Vec<_>>(), [2]);
}

#[test]
fn while_nothing_moves_objects_stay_and_are_not_confirmed() {
    let mut tracker = Tracker::new(TrackOptions { confirm_pictures: 2, ..TrackOptions::default() });
    tracker.see(&[object("dog", 0.7, walker(0.5, 0.5))], &[], at(0));
    for second in 1..20 {
        assert!(tracker.hold(at(second * 1000)).is_empty());
    }
    assert_eq!((tracker.tracks().len(), tracker.ids), (1, 0));
    tracker.see(&[object("dog", 0.7, walker(0.5, 0.5))], &[], at(20_000));
    assert_eq!(tracker.ids, 1);
}

#[test]
fn a_label_is_that_of_most_detections() {
    let mut tracker = Tracker::new(TrackOptions::default());
    for (picture, label) in ["truck", "car", "car", "truck", "car", "car"].into_iter().enumerate() {
        tracker.see(&[object(label, 0.6, walker(0.5, 0.5))], &[], at(picture as u64 * 100));
    }
    assert_eq!(tracker.tracks().iter().map(|t| (t.id, t.label.as_str())).collect::<Vec<_>>(), [(1, "car")]);
    // A cup in a hand is not the person.
    tracker.see(
        &[object("car", 0.6, walker(0.5, 0.5)), object("cup", 0.9, Rect::around(0.5, 0.5, 0.05, 0.1))],
        &[],
        at(600),
    );
    assert_eq!(tracker.tracks().len(), 2);
}

#[test]
fn boxes_that_are_none_and_times_that_run_wild_are_survived() {
    let mut tracker = Tracker::new(TrackOptions { confirm_pictures: 1, ..TrackOptions::default() });
    let broken = Rect { x: f32::NAN, y: f32::INFINITY, w: -1.0, h: 1e30 };
    for now in [at(0), at(100), Duration::MAX, at(50), Duration::MAX] {
        tracker.see(
            &[object("dog", 0.7, walker(0.5, 0.5)), object("dog", f32::NAN, broken)],
            &[object("dog", 0.3, broken)],
            now,
        );
        assert_eq!(tracker.tracks().iter().filter(|t| t.is_seen).count(), 1);
        assert!(tracker.tracks().iter().all(|t| t.filter.rect().x.is_finite()));
    }
}

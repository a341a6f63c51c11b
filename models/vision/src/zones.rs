//! Parts of a picture that mean something: zones (polygons) in which objects stay, and lines that they cross. An object is where its
//! box stands on the ground: at the middle of its lower edge.

use std::time::Duration;

use nearfield_base::range::in_range;
use serde::{Deserialize, Serialize};

use super::result::Rect;

/// More corners than anybody draws.
const MOST_POINTS: usize = 256;
/// A polygon that is thinner than this (in parts of the picture) holds nothing.
const FLAT: f32 = 1e-3;
/// An object is in a zone, or out of it again, from so many pictures in a row: boxes tremble at the edges.
const STEADY_PICTURES: u32 = 2;
/// On each side of a line a strip of this width (in parts of the picture) belongs to neither side.
const LINE_WIDTH: f32 = 0.01;

/// One `[[zones]]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Zone {
    /// What it is called in events, topics and alerts.
    #[cfg_attr(feature = "schema", schemars(example = &"driveway"))]
    pub name: String,
    /// Its corners in order, each x and y from 0 to 1. An object is in it with the middle of its lower edge.
    #[cfg_attr(feature = "schema", schemars(example = [[0.0, 0.6], [0.5, 0.4], [1.0, 0.6], [1.0, 1.0], [0.0, 1.0]]))]
    pub points: Vec<[f32; 2]>,
    /// Labels of the vision model that count; empty: all.
    #[cfg_attr(feature = "schema", schemars(example = ["person"]))]
    pub objects: Vec<String>,
    /// An object that stays for so long is told as `loitering`; 0: never.
    #[cfg_attr(feature = "schema", schemars(example = 20.0))]
    pub dwell_s: f64,
}

impl Zone {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        let named = |what: String| format!("the zone {}: {what}", self.name);
        check_name("zones", &self.name)?;
        check_points(&self.points).map_err(|what| named(format!("points: {what}")))?;
        in_range("dwell_s", self.dwell_s, 0.0..=1e6).map_err(named)
    }

    /// Whether an object with this label and box is in it.
    pub fn holds(&self, label: &str, rect: &Rect) -> bool {
        let (x, y) = foot(rect);
        (self.objects.is_empty() || self.objects.iter().any(|o| o == label)) && contains(&self.points, x, y)
    }
}

/// One `[[lines]]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Line {
    /// What it is called in events and topics.
    #[cfg_attr(feature = "schema", schemars(example = &"gate"))]
    pub name: String,
    /// Where it begins: x and y from 0 to 1.
    #[cfg_attr(feature = "schema", schemars(example = [0.2, 0.7]))]
    pub from: [f32; 2],
    /// Where it ends. Who crosses it towards its right side, seen from its beginning, is counted as in, the others as out: of a line
    /// from left to right that is downwards in the picture.
    #[cfg_attr(feature = "schema", schemars(example = [0.8, 0.7]))]
    pub to: [f32; 2],
    /// Labels of the vision model that count; empty: all.
    #[cfg_attr(feature = "schema", schemars(example = ["person"]))]
    pub objects: Vec<String>,
}

impl Line {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        let named = |what: &str| format!("the line {}: {what}", self.name);
        check_name("lines", &self.name)?;
        if ![self.from, self.to].as_flattened().iter().all(|v| (0.0..=1.0).contains(v)) {
            return Err(named("from and to are x and y, each from 0 to 1"));
        }
        let length = (self.to[0] - self.from[0]).hypot(self.to[1] - self.from[1]);
        if length < 2.0 * LINE_WIDTH {
            return Err(named("from and to are the same place"));
        }
        Ok(())
    }

    /// How far a point is from the line through both ends; above 0 on its right side.
    fn side(&self, (x, y): (f32, f32)) -> f32 {
        let [dx, dy] = [self.to[0] - self.from[0], self.to[1] - self.from[1]];
        (dx * (y - self.from[1]) - dy * (x - self.from[0])) / dx.hypot(dy).max(1e-6)
    }

    /// Whether the way between two points on its two sides leads between its ends.
    fn is_between(&self, a: (f32, f32), b: (f32, f32)) -> bool {
        let (from, to) = (self.side(a), self.side(b));
        if (from > 0.0) == (to > 0.0) {
            return false;
        }
        let part = from / (from - to);
        let (x, y) = (a.0 + part * (b.0 - a.0), a.1 + part * (b.1 - a.1));
        let [dx, dy] = [self.to[0] - self.from[0], self.to[1] - self.from[1]];
        let along = ((x - self.from[0]) * dx + (y - self.from[1]) * dy) / (dx * dx + dy * dy).max(1e-12);
        (0.0..=1.0).contains(&along)
    }
}

/// Names go into topics and file names.
fn check_name(key: &str, name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err(format!("each of [[{key}]] needs a name"));
    }
    if name.len() > 64 || name.chars().any(|c| c.is_control() || "/+#".contains(c)) {
        return Err(format!("the name {name:?} in [[{key}]] must have at most 64 bytes and none of / + #"));
    }
    Ok(())
}

/// Whether points make a polygon.
///
/// # Errors
/// What is wrong.
pub(super) fn check_points(points: &[[f32; 2]]) -> Result<(), String> {
    if !(3..=MOST_POINTS).contains(&points.len()) {
        return Err(format!("a polygon has 3 to {MOST_POINTS} corners, but here are {}", points.len()));
    }
    if !points.as_flattened().iter().all(|v| (0.0..=1.0).contains(v)) {
        return Err("each corner is x and y, each from 0 to 1".to_owned());
    }
    // How far the corners lie from the line through the two that are farthest from one another, or nearly.
    let distance = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
    let farthest = |from: [f32; 2]| {
        points.iter().copied().max_by(|a, b| distance(from, *a).total_cmp(&distance(from, *b))).unwrap_or(from)
    };
    let from = farthest(points[0]);
    let to = farthest(from);
    let length = distance(from, to);
    let off = |p: &[f32; 2]| ((to[0] - from[0]) * (p[1] - from[1]) - (to[1] - from[1]) * (p[0] - from[0])).abs();
    if length < FLAT || points.iter().map(off).fold(0.0, f32::max) / length < FLAT {
        return Err("the corners of a polygon lie on one line, and nothing is within".to_owned());
    }
    Ok(())
}

/// Whether a point lies within a polygon, by the parity of the edges on one side of it.
pub(super) fn contains(points: &[[f32; 2]], x: f32, y: f32) -> bool {
    let mut inside = false;
    let mut last = points.last().copied().unwrap_or_default();
    for &point in points {
        let ([ax, ay], [bx, by]) = (last, point);
        if (ay > y) != (by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax {
            inside = !inside;
        }
        last = point;
    }
    inside
}

/// Where a box stands; a little above its lower edge, which is that of the picture for objects that are cut off.
fn foot(rect: &Rect) -> (f32, f32) {
    (rect.x + rect.w / 2.0, (rect.y + rect.h).min(0.999))
}

/// What an object did with the zones and lines.
#[derive(Clone, Debug, PartialEq)]
pub enum Passage {
    /// It is in the zone of this number, since this time.
    Entered(usize, Duration),
    /// It has left it, after so long.
    Left(usize, Duration),
    /// It has been there for the zone's `dwell_s`.
    Loitering(usize, Duration),
    /// It has crossed the line of this number, inwards or outwards.
    Crossed(usize, bool),
}

/// Where one object is among the zones, and on which side of the lines.
#[derive(Clone, Debug, Default)]
pub struct Whereabouts {
    zones: Vec<Stay>,
    /// Where it last was clearly on one side of each line.
    sides: Vec<Option<(f32, f32)>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Stay {
    /// When the stay began.
    since: Duration,
    /// The last time it was in the zone.
    last: Duration,
    is_in: bool,
    is_told: bool,
    /// Pictures in a row that say otherwise than `is_in`.
    otherwise: u32,
}

impl Whereabouts {
    /// Takes the object's place in a picture; answers what that means.
    pub fn at(&mut self, zones: &[Zone], lines: &[Line], label: &str, rect: &Rect, now: Duration) -> Vec<Passage> {
        self.zones.resize(zones.len(), Stay::default());
        self.sides.resize(lines.len(), None);
        let mut passages = Vec::new();
        for (number, (zone, stay)) in zones.iter().zip(&mut self.zones).enumerate() {
            let holds = zone.holds(label, rect);
            if holds {
                stay.last = now;
            }
            if holds == stay.is_in {
                stay.otherwise = 0;
            } else {
                if stay.otherwise == 0 && holds {
                    stay.since = now;
                }
                stay.otherwise += 1;
                if stay.otherwise >= STEADY_PICTURES {
                    (stay.is_in, stay.is_told, stay.otherwise) = (holds, false, 0);
                    passages.push(match holds {
                        true => Passage::Entered(number, stay.since),
                        false => Passage::Left(number, stay.last.saturating_sub(stay.since)),
                    });
                }
            }
            let stayed = now.saturating_sub(stay.since);
            if stay.is_in && !stay.is_told && zone.dwell_s > 0.0 && stayed.as_secs_f64() >= zone.dwell_s {
                stay.is_told = true;
                passages.push(Passage::Loitering(number, stayed));
            }
        }
        let point = foot(rect);
        for (number, (line, before)) in lines.iter().zip(&mut self.sides).enumerate() {
            let side = line.side(point);
            if side.abs() < LINE_WIDTH || !(line.objects.is_empty() || line.objects.iter().any(|o| o == label)) {
                continue;
            }
            if before.is_some_and(|before| line.is_between(before, point)) {
                passages.push(Passage::Crossed(number, side > 0.0));
            }
            *before = Some(point);
        }
        passages
    }

    /// The object has gone: what it leaves.
    pub fn leave(&mut self) -> Vec<Passage> {
        let stays = self.zones.iter_mut().enumerate().filter(|(_, stay)| stay.is_in);
        stays
            .map(|(number, stay)| {
                stay.is_in = false;
                Passage::Left(number, stay.last.saturating_sub(stay.since))
            })
            .collect()
    }

    /// The numbers of the zones that it is in.
    pub fn zones(&self) -> impl Iterator<Item = usize> + '_ {
        self.zones.iter().enumerate().filter(|(_, stay)| stay.is_in).map(|(number, _)| number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: f32) -> Duration {
        Duration::from_secs_f32(second)
    }

    /// A box that stands at this place.
    fn standing(x: f32, y: f32) -> Rect {
        Rect { x: x - 0.05, y: y - 0.3, w: 0.1, h: 0.3 }
    }

    #[test]
    fn a_point_is_in_a_polygon_also_in_one_with_a_notch() {
        let notched = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.5, 0.3], [0.1, 0.9]];
        for (x, y, wanted) in [
            (0.5, 0.2, true),
            (0.5, 0.5, false),
            (0.2, 0.6, true),
            (0.8, 0.6, true),
            (0.05, 0.2, false),
            (0.5, 0.95, false),
        ] {
            assert_eq!(contains(&notched, x, y), wanted, "{x} {y}");
        }
    }

    #[test]
    fn a_stay_begins_with_its_first_picture_loiters_and_ends_with_its_last() {
        let zone = Zone {
            name: "door".to_owned(),
            points: vec![[0.4, 0.0], [1.0, 0.0], [1.0, 1.0], [0.4, 1.0]],
            objects: vec!["person".to_owned()],
            dwell_s: 2.0,
        };
        let zones = [zone];
        let mut whereabouts = Whereabouts::default();
        let mut told = Vec::new();
        // A step a second: outside, a flicker inside, then 4 s in it, then away.
        for (second, x) in [0.1, 0.5, 0.1, 0.2, 0.5, 0.6, 0.6, 0.6, 0.2, 0.1].into_iter().enumerate() {
            let now = at(second as f32);
            told.extend(whereabouts.at(&zones, &[], "person", &standing(x, 0.9), now).into_iter().map(|p| (second, p)));
        }
        assert_eq!(
            told,
            [(5, Passage::Entered(0, at(4.0))), (6, Passage::Loitering(0, at(2.0))), (9, Passage::Left(0, at(3.0)))]
        );
        // A dog does not count.
        let mut dog = Whereabouts::default();
        for second in 0..5 {
            assert!(dog.at(&zones, &[], "dog", &standing(0.6, 0.9), at(second as f32)).is_empty());
        }
        // Who is lost in a zone has left it.
        let mut lost = Whereabouts::default();
        for second in 0..3 {
            lost.at(&zones, &[], "person", &standing(0.6, 0.9), at(second as f32));
        }
        assert_eq!(lost.zones().collect::<Vec<_>>(), [0]);
        assert_eq!(lost.leave(), [Passage::Left(0, at(2.0))]);
    }

    #[test]
    fn a_line_counts_each_way_once_and_not_those_who_tremble_on_it_or_pass_beside_it() {
        let line = Line { name: "gate".to_owned(), from: [0.2, 0.5], to: [0.8, 0.5], objects: Vec::new() };
        let crossings = |path: &[(f32, f32)]| {
            let mut whereabouts = Whereabouts::default();
            let mut crossed = Vec::new();
            for (step, (x, y)) in path.iter().enumerate() {
                for passage in
                    whereabouts.at(&[], std::slice::from_ref(&line), "person", &standing(*x, *y), at(step as f32))
                {
                    match passage {
                        Passage::Crossed(0, inwards) => crossed.push(inwards),
                        other => panic!("{other:?}"),
                    }
                }
            }
            crossed
        };
        assert_eq!(crossings(&[(0.5, 0.4), (0.5, 0.48), (0.5, 0.52), (0.5, 0.6)]), [true]);
        assert_eq!(crossings(&[(0.5, 0.6), (0.5, 0.4), (0.5, 0.6)]), [false, true]);
        assert_eq!(crossings(&[(0.5, 0.4), (0.5, 0.495), (0.5, 0.505), (0.5, 0.495), (0.5, 0.4)]), [false; 0]);
        assert_eq!(crossings(&[(0.9, 0.4), (0.9, 0.6)]), [false; 0], "beside its end");
        assert_eq!(crossings(&[(0.1, 0.4), (0.5, 0.6)]), [true], "slantwise, between its ends");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let zone = |name: &str, points: &[[f32; 2]]| {
            Zone { name: name.to_owned(), points: points.to_vec(), ..Zone::default() }.check().unwrap_err()
        };
        assert!(zone("", &[]).contains("needs a name"));
        assert!(zone("a/b", &[]).contains("none of / + #"));
        assert!(zone("door", &[[0.0, 0.0], [1.0, 1.0]]).contains("the zone door: points: a polygon has 3"));
        assert!(zone("door", &[[0.0, 0.0], [1.0, 1.0], [1.0, 1.5]]).contains("from 0 to 1"));
        let line = Line { name: "gate".to_owned(), ..Line::default() };
        assert!(line.check().unwrap_err().contains("the same place"));
        let line = Line { name: "gate".to_owned(), to: [0.0, f32::NAN], ..Line::default() };
        assert!(line.check().unwrap_err().contains("each from 0 to 1"));
    }
}

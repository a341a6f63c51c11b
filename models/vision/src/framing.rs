//! What of a camera's picture is looked at: turned, mirrored, cut to a part, with areas blacked out. Before anything else sees it, so that
//! what is masked is in no snapshot either.

use serde::{Deserialize, Serialize};

use super::picture::Picture;
use super::result::Rect;
use super::zones::check_points;

/// How a picture is mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Flip {
    /// Not at all.
    #[default]
    None,
    /// Left and right change places.
    Horizontal,
    /// Top and bottom do.
    Vertical,
}

/// In this order: turned, mirrored, cut, masked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Framing {
    /// Degrees clockwise: 0, 90, 180 or 270.
    pub rotate: u32,
    /// Mirrored.
    pub flip: Flip,
    /// The part that is kept, in parts of the turned picture; `None`: all.
    pub crop: Option<Rect>,
    /// Areas that are made black, as polygons, in parts of what is kept.
    pub masks: Vec<Vec<[f32; 2]>>,
}

/// What is wrong with a framing.
pub type FramingError = String;

/// Numbers of a configuration are rounded: 0.7 and 0.3 may be more than 1.
const ROUNDED: f32 = 1e-3;
/// More masks than anybody draws.
const MOST_MASKS: usize = 1000;

impl Framing {
    /// From `[x, y, width, height]` in parts of the picture, as configurations have it; an empty `crop` is none. A mask may also be the
    /// corners of a polygon, `[x1, y1, x2, y2, x3, y3, ...]`.
    ///
    /// # Errors
    /// One sentence that names the key and what would be right.
    pub fn new(rotate: u32, flip: Flip, crop: &[f32], masks: &[Vec<f32>]) -> Result<Self, FramingError> {
        if !matches!(rotate, 0 | 90 | 180 | 270) {
            return Err(format!("rotate is {rotate} but must be 0, 90, 180 or 270"));
        }
        if masks.len() > MOST_MASKS {
            return Err(format!("masks has {} areas but must have at most {MOST_MASKS}", masks.len()));
        }
        let crop = if crop.is_empty() { None } else { Some(area("crop", crop)?) };
        let masks = masks.iter().enumerate().map(|(at, numbers)| mask(at, numbers)).collect::<Result<_, _>>()?;
        Ok(Self { rotate, flip, crop, masks })
    }

    /// Whether pictures stay as they are.
    pub fn is_whole(&self) -> bool {
        *self == Self::default()
    }

    /// The picture as it is looked at.
    pub fn apply(&self, picture: &Picture) -> Picture {
        let (w, h) = (picture.width() as usize, picture.height() as usize);
        let (turned_w, turned_h) = if self.rotate.is_multiple_of(180) { (w, h) } else { (h, w) };
        let cut = self.crop.unwrap_or(Rect { x: 0.0, y: 0.0, w: 1.0, h: 1.0 });
        let (x0, x1) = span(cut.x, cut.w, turned_w);
        let (y0, y1) = span(cut.y, cut.h, turned_h);
        let mut rgb = Vec::with_capacity((x1 - x0) * (y1 - y0) * 3);
        for y in y0..y1 {
            let y = if self.flip == Flip::Vertical { turned_h - 1 - y } else { y };
            for x in x0..x1 {
                let x = if self.flip == Flip::Horizontal { turned_w - 1 - x } else { x };
                // The source of a pixel of the turned picture.
                let (sx, sy) = match self.rotate {
                    90 => (y, h - 1 - x),
                    180 => (w - 1 - x, h - 1 - y),
                    270 => (w - 1 - y, x),
                    _ => (x, y),
                };
                rgb.extend_from_slice(&picture.rgb()[(sy * w + sx) * 3..][..3]);
            }
        }
        let (width, height) = (x1 - x0, y1 - y0);
        for points in &self.masks {
            blacken(&mut rgb, width, height, points);
        }
        // A part of a picture is within the bounds that the whole was within.
        Picture::from_rgb(width as u32, height as u32, rgb, "the part of the picture")
            .unwrap_or_else(|_| picture.clone())
    }
}

/// The corners of a mask, the one at this place of the list.
fn mask(at: usize, numbers: &[f32]) -> Result<Vec<[f32; 2]>, FramingError> {
    let key = format!("masks[{at}]");
    if numbers.len() == 4 {
        let Rect { x, y, w, h } = area(&key, numbers)?;
        return Ok(vec![[x, y], [x + w, y], [x + w, y + h], [x, y + h]]);
    }
    let (points, rest) = numbers.as_chunks::<2>();
    if !rest.is_empty() || points.len() < 3 {
        let n = numbers.len();
        return Err(format!(
            "{key} is x, y, width, height, or the corners of a polygon (x1, y1, x2, y2, x3, y3, ...), but has {n} numbers"
        ));
    }
    check_points(points).map_err(|what| format!("{key}: {what}"))?;
    Ok(points.to_vec())
}

/// Makes the pixels within a polygon black, and those through which its edges run: what is to be hidden is hidden whole.
fn blacken(rgb: &mut [u8], width: usize, height: usize, points: &[[f32; 2]]) {
    for y in 0..height {
        let (top, bottom) = (y as f32 / height as f32, (y + 1) as f32 / height as f32);
        // Where the edges run within this row; between them lies what is within the polygon in its middle.
        let mut spans: Vec<(f32, f32)> = Vec::new();
        let mut crossings: Vec<f32> = Vec::new();
        let middle = (top + bottom) / 2.0;
        let mut last = points.last().copied().unwrap_or_default();
        for &point in points {
            let ([ax, ay], [bx, by]) = if last[1] <= point[1] { (last, point) } else { (point, last) };
            last = point;
            let x_at = |y: f32| if by > ay { ax + (bx - ax) * ((y - ay) / (by - ay)).clamp(0.0, 1.0) } else { ax };
            if ay < bottom && by > top {
                let (from, to) = (x_at(top), x_at(bottom));
                spans.push((from.min(to), from.max(to)));
            }
            if (ay <= middle) != (by <= middle) {
                crossings.push(x_at(middle));
            }
        }
        crossings.sort_by(f32::total_cmp);
        spans.extend(crossings.as_chunks::<2>().0.iter().map(|[from, to]| (*from, *to)));
        for (from, to) in spans {
            let first = ((from * width as f32 + 1e-3).floor().max(0.0) as usize).min(width - 1);
            let end = ((to * width as f32 - 1e-3).ceil().max(0.0) as usize).clamp(first, width);
            rgb[(y * width + first) * 3..(y * width + end) * 3].fill(0);
        }
    }
}

fn area(key: &str, numbers: &[f32]) -> Result<Rect, FramingError> {
    match *numbers {
        [x, y, w, h] if [x, y, w, h].iter().all(|v| (0.0..=1.0).contains(v)) && w > 0.0 && h > 0.0 => {
            if x + w > 1.0 + ROUNDED || y + h > 1.0 + ROUNDED {
                let size = |from: f32, to: f32| ((to - from).max(0.0) * 1000.0).round() / 1000.0;
                let (w, h) = (size(x, w), size(y, h));
                let corners = format!("is it meant as two corners? Then it is [{x}, {y}, {w}, {h}]");
                return Err(format!(
                    "{key} {numbers:?} reaches beyond the picture: it is x, y, width, height; {corners}"
                ));
            }
            Ok(Rect { x, y, w, h })
        }
        _ => Err(format!("{key} is x, y, width, height, each from 0 to 1, width and height above 0")),
    }
}

/// The pixels from `from` over `length` (parts of `n`), at least one.
fn span(from: f32, length: f32, n: usize) -> (usize, usize) {
    let first = ((from * n as f32).round() as usize).min(n - 1);
    let last = (((from + length) * n as f32).round() as usize).clamp(first + 1, n);
    (first, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three columns, two rows: 1 2 3 / 4 5 6.
    fn small() -> Picture {
        Picture::from_rgb(3, 2, (1..=6u8).flat_map(|v| [v; 3]).collect(), "small").unwrap()
    }

    fn framed(rotate: u32, flip: Flip, crop: &[f32], masks: &[Vec<f32>]) -> (u32, Vec<u8>) {
        let picture = Framing::new(rotate, flip, crop, masks).unwrap().apply(&small());
        (picture.width(), picture.rgb().chunks_exact(3).map(|p| p[0]).collect())
    }

    #[test]
    fn a_picture_is_turned_mirrored_cut_and_masked_in_this_order() {
        assert!(Framing::new(0, Flip::None, &[], &[]).unwrap().is_whole());
        assert_eq!(framed(0, Flip::None, &[], &[]), (3, vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(framed(90, Flip::None, &[], &[]), (2, vec![4, 1, 5, 2, 6, 3]));
        assert_eq!(framed(180, Flip::None, &[], &[]), (3, vec![6, 5, 4, 3, 2, 1]));
        assert_eq!(framed(270, Flip::None, &[], &[]), (2, vec![3, 6, 2, 5, 1, 4]));
        assert_eq!(framed(0, Flip::Horizontal, &[], &[]), (3, vec![3, 2, 1, 6, 5, 4]));
        assert_eq!(framed(0, Flip::Vertical, &[], &[]), (3, vec![4, 5, 6, 1, 2, 3]));
        assert_eq!(framed(90, Flip::Horizontal, &[], &[]), (2, vec![1, 4, 2, 5, 3, 6]));
        let right = [0.34, 0.0, 0.66, 1.0];
        assert_eq!(framed(0, Flip::None, &right, &[]), (2, vec![2, 3, 5, 6]));
        assert_eq!(framed(180, Flip::None, &right, &[vec![0.0, 0.0, 0.5, 0.5]]), (2, vec![0, 4, 2, 1]));
    }

    #[test]
    fn the_smallest_areas_are_a_pixel_and_wrong_ones_are_named() {
        assert_eq!(framed(0, Flip::None, &[0.999, 0.999, 0.001, 0.001], &[]), (1, vec![6]));
        assert_eq!(framed(0, Flip::None, &[0.0, 0.0, 1e-9, 1e-9], &[vec![0.9, 0.9, 0.1, 0.1]]), (1, vec![0]));
        let wrong =
            |rotate, crop: &[f32], masks: &[Vec<f32>]| Framing::new(rotate, Flip::None, crop, masks).unwrap_err();
        assert!(wrong(45, &[], &[]).contains("rotate is 45"));
        for area in [&[0.0, 0.0, 1.0][..], &[0.0, 0.0, 2.0, 1.0], &[0.0, 0.0, 0.0, 1.0], &[f32::NAN, 0.0, 1.0, 1.0]] {
            assert!(wrong(0, area, &[]).starts_with("crop is x, y"), "{area:?}");
            assert!(wrong(0, &[], &[vec![0.0, 0.0, 0.5, 0.5], area.to_vec()]).starts_with("masks[1]"), "{area:?}");
        }
        // What reaches beyond the picture, and what hides nothing at all.
        assert!(wrong(0, &[0.9, 0.9, 0.5, 0.5], &[]).contains("reaches beyond the picture"));
        assert!(wrong(0, &[], &[vec![0.5, 0.5, 0.9, 0.9]]).contains("[0.5, 0.5, 0.4"));
        for flat in [vec![0.1, 0.1, 0.5, 0.1, 0.9, 0.1], vec![0.1, 0.1, 0.5, 0.5, 0.9, 0.9, 0.1, 0.1], vec![0.3; 6]] {
            let said = wrong(0, &[], std::slice::from_ref(&flat));
            assert!(said.starts_with("masks[0]: ") && said.contains("on one line"), "{flat:?}: {said}");
        }
        // A figure of eight has no area by its sign, and hides much.
        let eight = vec![0.1, 0.1, 0.9, 0.9, 0.9, 0.1, 0.1, 0.9];
        assert_eq!(Framing::new(0, Flip::None, &[0.7, 0.0, 0.3, 1.0], &[eight]).unwrap().masks.len(), 1);
        assert!(wrong(0, &[], &[vec![0.0; 5]]).contains("5 numbers"));
        assert!(wrong(0, &[], &[vec![0.0, 0.0, 1.0, 0.0, 1.0, 1.2]]).contains("from 0 to 1"));
    }

    #[test]
    fn a_polygon_hides_all_pixels_that_it_touches_and_no_others() {
        let white = Picture::from_rgb(10, 10, vec![255; 300], "white").unwrap();
        // A triangle: the lower left half.
        let framing = Framing::new(0, Flip::None, &[], &[vec![0.0, 0.0, 1.0, 1.0, 0.0, 1.0]]).unwrap();
        let masked = framing.apply(&white);
        for (i, pixel) in masked.rgb().chunks_exact(3).enumerate() {
            let (x, y) = (i % 10, i / 10);
            assert_eq!(pixel[0] == 0, x <= y, "{x} {y}");
        }
        // One with a notch leaves what is in the notch.
        let notched = vec![0.0, 0.0, 0.3, 0.0, 0.3, 0.7, 0.7, 0.7, 0.7, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0];
        let masked = Framing::new(0, Flip::None, &[], &[notched]).unwrap().apply(&white);
        for (i, pixel) in masked.rgb().chunks_exact(3).enumerate() {
            let (x, y) = (i % 10, i / 10);
            assert_eq!(pixel[0] == 255, (3..7).contains(&x) && y < 7, "{x} {y}");
        }
    }
}

//! What of a camera's picture is looked at: turned, mirrored, cut to a part, with areas blacked out. Before anything else sees it, so that
//! what is masked is in no snapshot either.

use serde::{Deserialize, Serialize};

use super::picture::Picture;
use super::result::Rect;

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
    /// Areas that are made black, in parts of what is kept.
    pub masks: Vec<Rect>,
}

/// What is wrong with a framing.
pub type FramingError = String;

/// More masks than anybody draws.
const MOST_MASKS: usize = 1000;

impl Framing {
    /// From `[x, y, width, height]` in parts of the picture, as configurations have it; an empty `crop` is none.
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
        let masks = masks.iter().map(|mask| area("each of masks", mask)).collect::<Result<_, _>>()?;
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
        for mask in &self.masks {
            let (x0, x1) = span(mask.x, mask.w, width);
            let (y0, y1) = span(mask.y, mask.h, height);
            for y in y0..y1 {
                rgb[(y * width + x0) * 3..(y * width + x1) * 3].fill(0);
            }
        }
        // A part of a picture is within the bounds that the whole was within.
        Picture::from_rgb(width as u32, height as u32, rgb, "the part of the picture")
            .unwrap_or_else(|_| picture.clone())
    }
}

fn area(key: &str, numbers: &[f32]) -> Result<Rect, FramingError> {
    match *numbers {
        [x, y, w, h] if [x, y, w, h].iter().all(|v| (0.0..=1.0).contains(v)) && w > 0.0 && h > 0.0 => {
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
        assert_eq!(framed(0, Flip::None, &[1.0, 1.0, 0.001, 1.0], &[]), (1, vec![6]));
        assert_eq!(framed(0, Flip::None, &[0.0, 0.0, 1e-9, 1e-9], &[vec![0.9, 0.9, 1.0, 1.0]]), (1, vec![0]));
        let wrong =
            |rotate, crop: &[f32], masks: &[Vec<f32>]| Framing::new(rotate, Flip::None, crop, masks).unwrap_err();
        assert!(wrong(45, &[], &[]).contains("rotate is 45"));
        for area in [&[0.0, 0.0, 1.0][..], &[0.0, 0.0, 2.0, 1.0], &[0.0, 0.0, 0.0, 1.0], &[f32::NAN, 0.0, 1.0, 1.0]] {
            assert!(wrong(0, area, &[]).starts_with("crop is x, y"), "{area:?}");
            assert!(wrong(0, &[], &[area.to_vec()]).starts_with("each of masks"), "{area:?}");
        }
    }
}

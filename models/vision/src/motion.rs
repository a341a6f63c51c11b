//! Whether anything moves in a picture: far cheaper than a detector, which needs not look at an idle scene.
//!
//! The picture's luminance is averaged into small cells and compared with a background that follows slowly. What all cells have in
//! common (clouds, exposure) does not count, nor does a cell alone. A change of nearly everything (light switched on, a camera that
//! goes over to infrared) is a movement and begins the background anew.

use std::time::Duration;

use nearfield_base::range::in_range;
use serde::{Deserialize, Serialize};

use super::picture::Picture;

/// When the vision model looks at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct MotionOptions {
    /// Whether a model that finds objects only looks at pictures in which something moves; of still pictures from files it looks at all.
    pub enabled: bool,
    /// A part of the picture has changed when its luminance (0 to 255) differs by this much from the background.
    pub threshold: f32,
    /// Something moves when this part of the picture has changed.
    pub min_area: f32,
    /// For so long after a movement the model still looks at each picture.
    pub linger_ms: u64,
    /// And so often without any movement, in seconds; 0: never.
    pub look_every_s: f64,
}

impl Default for MotionOptions {
    fn default() -> Self {
        Self { enabled: true, threshold: 12.0, min_area: 0.002, linger_ms: 1500, look_every_s: 10.0 }
    }
}

impl MotionOptions {
    /// Checks ranges.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("threshold", self.threshold, 1.0..=255.0)?;
        in_range("min_area", self.min_area, 0.0..=1.0)?;
        in_range("linger_ms", self.linger_ms, 0..=3_600_000)?;
        in_range("look_every_s", self.look_every_s, 0.0..=86_400.0)
    }
}

/// Cells of a row; a row of a 16:9 picture has cells of 1/80 of its width.
const COLUMNS: usize = 80;
/// And at most so many rows of them.
const MOST_ROWS: usize = 160;
/// Pixels that are read of each cell, along each side.
const SAMPLES: usize = 4;
/// The background has taken over a change by two thirds after so long,
const FOLLOW_S: f32 = 4.0;
/// or after this where something moves.
const FOLLOW_MOVING_S: f32 = 30.0;
/// If this part of the picture has changed, it is another picture.
const ALL_OF_IT: f32 = 0.6;

/// The motion before one camera.
#[derive(Clone, Debug)]
pub struct Motion {
    options: MotionOptions,
    background: Vec<f32>,
    size: (u32, u32),
    seen: Duration,
    moved: Option<Duration>,
    looked: Option<Duration>,
    area: f32,
}

impl Motion {
    /// Of a scene that was not seen yet.
    pub fn new(options: MotionOptions) -> Self {
        Self {
            options,
            background: Vec::new(),
            size: (0, 0),
            seen: Duration::ZERO,
            moved: None,
            looked: None,
            area: 0.0,
        }
    }

    /// The part of the last picture that had changed.
    pub fn area(&self) -> f32 {
        self.area
    }

    /// Whether something moved in the last picture.
    pub fn is_moving(&self) -> bool {
        self.moved.is_some_and(|at| at == self.seen)
    }

    /// Takes a picture; answers whether the model is to look at it.
    pub fn wants_look(&mut self, picture: &Picture, now: Duration) -> bool {
        let cells = cells(picture);
        let dt = now.saturating_sub(self.seen).as_secs_f32();
        self.seen = now;
        if self.size != (picture.width(), picture.height()) {
            (self.size, self.background, self.area) = ((picture.width(), picture.height()), cells, 1.0);
            (self.moved, self.looked) = (Some(now), Some(now));
            return true;
        }
        self.area = self.changed_part(&cells);
        let moves = self.area >= self.options.min_area && self.area > 0.0;
        if self.area >= ALL_OF_IT {
            self.background = cells;
        } else {
            let follow = 1.0 - (-dt / if moves { FOLLOW_MOVING_S } else { FOLLOW_S }).exp();
            self.background.iter_mut().zip(cells).for_each(|(old, new)| *old += follow * (new - *old));
        }
        if moves {
            self.moved = Some(now);
        }
        let linger = Duration::from_millis(self.options.linger_ms);
        let every = Duration::from_secs_f64(self.options.look_every_s);
        let lingers = self.moved.is_some_and(|at| now.saturating_sub(at) <= linger);
        let is_due = !every.is_zero() && self.looked.is_none_or(|at| now.saturating_sub(at) >= every);
        let looks = lingers || is_due;
        if looks {
            self.looked = Some(now);
        }
        looks
    }

    /// The part of the cells that have changed, of those that have a changed neighbour.
    fn changed_part(&self, cells: &[f32]) -> f32 {
        let mut differences: Vec<f32> = cells.iter().zip(&self.background).map(|(new, old)| new - old).collect();
        let mut sorted = differences.clone();
        let middle = sorted.len() / 2;
        let common = *sorted.select_nth_unstable_by(middle, f32::total_cmp).1;
        // A change of the light that is as large as a movement is one.
        let common = common.clamp(-2.0 * self.options.threshold, 2.0 * self.options.threshold);
        differences.iter_mut().for_each(|d| *d = (*d - common).abs());
        let changed: Vec<bool> = differences.iter().map(|d| *d >= self.options.threshold).collect();
        let rows = changed.len() / COLUMNS;
        let is = |row: usize, column: usize| row < rows && column < COLUMNS && changed[row * COLUMNS + column];
        let mut count = 0;
        for row in 0..rows {
            for column in 0..COLUMNS {
                let beside = is(row, column + 1)
                    || is(row + 1, column)
                    || (column > 0 && is(row, column - 1))
                    || (row > 0 && is(row - 1, column));
                count += usize::from(changed[row * COLUMNS + column] && beside);
            }
        }
        count as f32 / changed.len().max(1) as f32
    }
}

/// Luminance in cells, row by row: `[rows, COLUMNS]`, 0 to 255.
fn cells(picture: &Picture) -> Vec<f32> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let rows = (COLUMNS * height).div_ceil(width.max(1)).clamp(1, MOST_ROWS);
    let rgb = picture.rgb();
    // The middle of each sample's share of the side.
    let places = |cells: usize, side: usize| -> Vec<usize> {
        let n = cells * SAMPLES;
        (0..n).map(|i| ((2 * i + 1) * side / (2 * n)).min(side - 1)).collect()
    };
    let (xs, ys) = (places(COLUMNS, width), places(rows, height));
    let mut sums = vec![0u32; rows * COLUMNS];
    for (row, ys) in ys.chunks_exact(SAMPLES).enumerate() {
        let sums = &mut sums[row * COLUMNS..][..COLUMNS];
        for y in ys {
            let line = &rgb[y * width * 3..][..width * 3];
            for (sum, xs) in sums.iter_mut().zip(xs.chunks_exact(SAMPLES)) {
                for x in xs {
                    let pixel = &line[x * 3..][..3];
                    // Rec. 601: 0.299, 0.587, 0.114.
                    *sum += 77 * u32::from(pixel[0]) + 150 * u32::from(pixel[1]) + 29 * u32::from(pixel[2]);
                }
            }
        }
    }
    sums.into_iter().map(|sum| sum as f32 / (256 * SAMPLES * SAMPLES) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scene of 320 x 180 with noise, a light that is `light` brighter, and a dark box at `x` if any.
    fn scene(seed: u32, light: i32, x: Option<usize>) -> Picture {
        let mut noise = seed.wrapping_mul(2_654_435_761) | 1;
        let mut rgb = Vec::with_capacity(320 * 180 * 3);
        for row in 0..180usize {
            for column in 0..320usize {
                noise ^= noise << 13;
                noise ^= noise >> 17;
                noise ^= noise << 5;
                let grain = (noise % 13) as i32 - 6;
                let ground = 90 + (column / 4 % 60) as i32 + light;
                let is_box = x.is_some_and(|x| (x..x + 16).contains(&column) && (80..120).contains(&row));
                let value = if is_box { 30 + grain } else { ground + grain };
                rgb.extend([value.clamp(0, 255) as u8; 3]);
            }
        }
        Picture::from_rgb(320, 180, rgb, "scene").unwrap()
    }

    fn at(picture: u64) -> Duration {
        Duration::from_millis(picture * 200)
    }

    fn options() -> MotionOptions {
        MotionOptions { linger_ms: 400, look_every_s: 0.0, ..MotionOptions::default() }
    }

    #[test]
    fn noise_and_slow_light_are_no_movement_and_a_walker_is() {
        let mut motion = Motion::new(options());
        assert!(motion.wants_look(&scene(1, 0, None), at(0)), "the first picture");
        let mut looks = 0;
        for picture in 1..100u64 {
            // A cloud: 20 levels within 10 s, and back.
            let light = (20.0 * (picture as f32 / 50.0 * std::f32::consts::PI).sin()) as i32;
            looks += u32::from(motion.wants_look(&scene(picture as u32 + 1, light, None), at(picture)));
        }
        assert!(looks <= 2, "{looks}");
        for picture in 100..140u64 {
            let walker = scene(picture as u32, 0, Some((picture as usize - 100) * 6));
            assert!(motion.wants_look(&walker, at(picture)) && motion.is_moving(), "{picture}: {}", motion.area());
        }
        let after: Vec<bool> = (140..150).map(|n| motion.wants_look(&scene(n as u32, 0, None), at(n))).collect();
        assert!(after[0] && !after[9], "lingers, then rests: {after:?}");
    }

    #[test]
    fn light_that_is_switched_on_and_another_size_are_movements_once() {
        let mut motion = Motion::new(options());
        (0..10).for_each(|n| _ = motion.wants_look(&scene(n as u32, 0, None), at(n)));
        assert!(!motion.is_moving());
        assert!(motion.wants_look(&scene(11, 70, None), at(10)) && motion.is_moving());
        let later: Vec<bool> = (11..16).map(|n| motion.wants_look(&scene(n as u32, 70, None), at(n))).collect();
        assert!(!later[4], "{later:?}");
        let small = Picture::from_rgb(10, 1000, vec![9; 30_000], "narrow").unwrap();
        assert!(motion.wants_look(&small, at(20)));
    }

    #[test]
    fn an_idle_scene_is_looked_at_now_and_then() {
        let mut motion = Motion::new(MotionOptions { look_every_s: 2.0, linger_ms: 0, ..MotionOptions::default() });
        let looks = (0..51).filter(|n| motion.wants_look(&scene(*n as u32, 0, None), at(*n))).count();
        assert_eq!(looks, 6);
    }
}

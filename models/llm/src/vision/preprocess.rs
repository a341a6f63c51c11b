//! What a vision transformer is shown of a picture: whole and square, with bars, in a size near its own, or cut into tiles beside a
//! small view of the whole; and the numbers that its first layer reads.

use nearfield_gguf::{Gguf, quoted};

use super::resize::{Filter, Pixels, Resize};
use super::shape::{MOST_PATCHES, Projector, VisionShape, WINDOW};
use crate::LlmError;

/// How pictures are cut and resized.
#[derive(Debug, Clone)]
pub(crate) enum Tiling {
    /// One square with bars.
    Whole { resize: Resize, colour: [u8; 3] },
    /// One tile about as large as the picture, of sides that are multiples of a merged patch, within these numbers of pixels.
    Near { resize: Resize, least: usize, most: usize },
    /// Square tiles beside a small view, of a picture whose longer side becomes so long (Idefics 3); `None` in old files, where each
    /// side is rounded to tiles.
    Grid { longest: Option<usize> },
    /// Square tiles by the nearest of all shapes, of up to so many (InternVL).
    Nearest { least: usize, most: usize },
    /// One tile near the picture's size, or, beyond `most` pixels by `tolerance`, square tiles by the nearest shape (LFM2-VL).
    NearOrNearest { resize: Resize, near: [usize; 2], tiles: [usize; 2], side: usize, tolerance: f64 },
}

/// A picture as its tiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tiles {
    /// Tiles by rows: columns, and the tiles; empty where the whole is all.
    pub columns: usize,
    pub grid: Vec<Pixels>,
    /// The whole.
    pub whole: Pixels,
}

/// The most tiles that files may ask for.
const MOST_TILES: u64 = 64;
/// The most tiles to a side where a picture's sides are rounded to tiles.
pub(crate) const MOST_ROUNDED: usize = 8;

impl Tiling {
    pub(crate) fn of(gguf: &Gguf, shape: &VisionShape) -> Result<Tiling, LlmError> {
        let number = |suffix: &str, least: u64, most: u64| gguf.integer(&format!("clip.vision.{suffix}"), least, most);
        let area = (shape.patch_size * shape.merge).pow(2);
        let most_area = (MOST_PATCHES * shape.patch_size * shape.patch_size) as u64;
        let bounds = |least: usize, most: usize| -> Result<[usize; 2], LlmError> {
            let least = number("image_min_pixels", 1, most_area)?.unwrap_or(least * area);
            let most = number("image_max_pixels", 1, most_area)?.unwrap_or(most * area);
            // Whole patches, even where the file asks for less.
            Ok([least.min(most).max(area), most.max(area)])
        };
        let tiles = |least: usize, most: usize| -> Result<[usize; 2], LlmError> {
            let least = number("preproc_min_tiles", 1, MOST_TILES)?.unwrap_or(least);
            let most = number("preproc_max_tiles", 1, MOST_TILES)?.unwrap_or(most);
            if least > most {
                let what = format!("is {least}, more than preproc_max_tiles, {most}");
                return Err(LlmError::metadata(gguf, "clip.vision.preproc_min_tiles", what));
            }
            Ok([least, most])
        };
        Ok(match shape.projector {
            Projector::Llava if gguf.value("clip.vision.image_grid_pinpoints").is_some() => {
                let what = "the tiles of LLaVA 1.6 are not supported; take LLaVA 1.5";
                return Err(LlmError::metadata(gguf, "clip.vision.image_grid_pinpoints", what));
            }
            Projector::Llava => Tiling::Whole { resize: Resize::by(Filter::Bicubic), colour: [122, 116, 104] },
            Projector::Gemma3 => Tiling::Whole { resize: Resize::by(Filter::Bilinear), colour: [0; 3] },
            Projector::Qwen2Vl | Projector::Qwen25Vl => {
                let [least, most] = bounds(8, 4096)?;
                Tiling::Near { resize: Resize::by(Filter::Bicubic), least, most }
            }
            Projector::Idefics3 => {
                let most = shape.image_size as u64 * MOST_TILES.isqrt();
                Tiling::Grid { longest: number("preproc_image_size", 1, most)? }
            }
            Projector::InternVl => {
                let [least, most] = tiles(1, 12)?;
                Tiling::Nearest { least, most }
            }
            Projector::Lfm2 => {
                let key = "clip.vision.image_resize_algo";
                let (filter, short_weights) = match gguf.text(key)?.unwrap_or("bilinear") {
                    "bilinear" => (Filter::Bilinear, true),
                    "bicubic" => (Filter::Bicubic, true),
                    "lanczos" => (Filter::Lanczos, false),
                    other => {
                        let what = format!("{} is none of bilinear, bicubic, lanczos", quoted(other));
                        return Err(LlmError::metadata(gguf, key, what));
                    }
                };
                let tolerance = gguf.float("clip.vision.preproc_max_pixels_tolerance")?.unwrap_or(2.0);
                let side = number("preproc_tile_size", 1, 4096)?.unwrap_or(512);
                let unit = shape.patch_size * shape.merge;
                if !side.is_multiple_of(unit) {
                    let what = format!("{side} pixels are no whole squares of {unit}");
                    return Err(LlmError::metadata(gguf, "clip.vision.preproc_tile_size", what));
                }
                let (near, tiles) = ([64 * area, area.saturating_mul(256)], tiles(2, 10)?);
                let resize = Resize { filter, short_weights };
                Tiling::NearOrNearest { resize, near, tiles, side, tolerance: f64::from(tolerance) }
            }
        })
    }
}

impl VisionShape {
    /// Cuts and resizes a picture. With a budget no more embeddings come of it than that, if any size gives so few: fewer tiles, or a
    /// smaller one.
    pub(crate) fn tiles(&self, picture: &Pixels, budget: Option<usize>) -> Tiles {
        let whole = |whole: Pixels| Tiles { columns: 0, grid: Vec::new(), whole };
        let unit = self.patch_size * self.merge;
        let pixels = budget.map(|budget| budget.max(1) * unit * unit);
        let (w, h) = (picture.width, picture.height);
        match &self.tiling {
            Tiling::Whole { resize, colour } => {
                whole(resize.letterbox(picture, self.image_size, self.image_size, *colour))
            }
            Tiling::Near { resize, least, most } => {
                let most = pixels.map_or(*most, |pixels| pixels.min(*most));
                let (width, height) = near([w, h], unit, (*least).min(most), most);
                whole(resize.apply(picture, width, height))
            }
            Tiling::Grid { longest } => self.idefics3(picture, *longest, budget),
            Tiling::Nearest { least, most } => {
                let side = self.image_size;
                let most = budget.map_or(*most, |budget| {
                    (budget / self.embeddings(side, side).max(1)).saturating_sub(1).clamp(*least, (*most).max(*least))
                });
                self.internvl(picture, *least, most)
            }
            Tiling::NearOrNearest { resize, near: [least, most], tiles, side, tolerance } => {
                let most = pixels.map_or(*most, |pixels| pixels.min(*most));
                let (width, height) = near([w, h], unit, (*least).min(most), most);
                let small = resize.apply(picture, width, height);
                let round = |side: usize| (side as f64 / unit as f64).round_ties_even() as usize * unit;
                let (wide, high) = (round(w).max(self.patch_size), round(h).max(self.patch_size));
                let many = tiles[1] > 1 && (wide * high) as f64 > most as f64 * tolerance;
                let room = budget.map_or(usize::MAX, |budget| {
                    budget.saturating_sub(self.embeddings(width, height)) / self.embeddings(*side, *side).max(1)
                });
                if !many || room < tiles[0] {
                    return whole(small);
                }
                let shapes = shapes(tiles[0], tiles[1].min(room));
                let (columns, rows) = nearest_shape(&shapes, w, h, *side);
                let large = resize.apply(picture, columns * side, rows * side);
                Tiles { columns, grid: cut(&large, columns, rows, *side), whole: small }
            }
        }
    }

    /// Embeddings of a tile.
    pub(crate) fn embeddings(&self, width: usize, height: usize) -> usize {
        let side = |pixels: usize| (pixels / self.patch_size).div_ceil(self.merge);
        side(width) * side(height)
    }

    fn idefics3(&self, picture: &Pixels, longest: Option<usize>, budget: Option<usize>) -> Tiles {
        let (resize, side) = (Resize::by(Filter::Lanczos), self.image_size);
        let (w, h) = (picture.width, picture.height);
        let each = self.embeddings(side, side).max(1);
        let fits = |columns: usize, rows: usize| budget.is_none_or(|budget| (columns * rows + 1) * each <= budget);
        let Some(longest) = longest else {
            let round = |pixels: usize| ((pixels as f32 / side as f32).round() as usize).clamp(1, MOST_ROUNDED);
            let (columns, rows) = (round(w), round(h));
            // The whole comes from the picture itself.
            let small = Resize::by(Filter::Bicubic).apply(picture, side, side);
            if !fits(columns, rows) {
                return Tiles { columns: 0, grid: Vec::new(), whole: small };
            }
            let large = Resize::by(Filter::Bicubic).letterbox(picture, columns * side, rows * side, [0; 3]);
            return Tiles { columns, grid: cut(&large, columns, rows, side), whole: small };
        };
        let scaled = |longest: usize| {
            let ratio = w as f64 / h as f64;
            let even = |pixels: usize| pixels + pixels % 2;
            let (wide, high) = match w >= h {
                true => (longest, even((longest as f64 / ratio) as usize)),
                false => (even((longest as f64 * ratio) as usize), longest),
            };
            (wide.max(1), high.max(1))
        };
        let grid = |longest: usize| {
            let (wide, high) = scaled(longest);
            (wide.div_ceil(side), high.div_ceil(side))
        };
        // With a budget the longer side is made shorter, a tile at a time.
        let mut long = longest;
        while long > side && !fits(grid(long).0, grid(long).1) {
            long = (long - 1) / side * side;
        }
        let (wide, high) = scaled(long);
        let (columns, rows) = grid(long);
        let refined = resize.apply(&resize.apply(picture, wide, high), columns * side, rows * side);
        let small = resize.apply(&refined, side, side);
        // Without room for a tile beside the whole, or with one tile that shows the same, the whole is all.
        let shows_all = budget.is_some() && (!fits(columns, rows) || (columns, rows) == (1, 1));
        match shows_all {
            true => Tiles { columns: 0, grid: Vec::new(), whole: small },
            false => Tiles { columns, grid: cut(&refined, columns, rows, side), whole: small },
        }
    }

    fn internvl(&self, picture: &Pixels, least: usize, most: usize) -> Tiles {
        let (resize, side) = (Resize::by(Filter::Bicubic), self.image_size);
        let (w, h) = (picture.width, picture.height);
        let small = resize.apply(picture, side, side);
        if w <= side && h <= side {
            return Tiles { columns: 0, grid: Vec::new(), whole: small };
        }
        // The shape in which most of the picture's pixels are kept, and of those the one with least beside it.
        let mut best = (1, 1, 0, usize::MAX);
        for columns in least..=most {
            let rows = least.div_ceil(columns).max(least)..=(most / columns).min(most);
            for rows in rows {
                let (wide, high) = (columns * side, rows * side);
                let scale = (wide as f32 / w as f32).min(high as f32 / h as f32);
                let kept = ((w as f32 * scale) as usize * (h as f32 * scale) as usize).min(w * h);
                let wasted = wide * high - kept;
                if kept > best.2 || (kept == best.2 && wasted < best.3) {
                    best = (columns, rows, kept, wasted);
                }
            }
        }
        let (columns, rows, ..) = best;
        let large = resize.letterbox(picture, columns * side, rows * side, [0; 3]);
        Tiles { columns, grid: cut(&large, columns, rows, side), whole: small }
    }
}

/// The size nearest a picture's own of sides that are multiples of `unit`, within numbers of pixels (Qwen2-VL's "smart resize").
fn near([w, h]: [usize; 2], unit: usize, least: usize, most: usize) -> (usize, usize) {
    let (w, h, u) = (w as f64, h as f64, unit as f64);
    let round = |side: f64| ((side / u).round_ties_even() as usize * unit).max(unit);
    let (wide, high) = (round(w), round(h));
    let floor = |side: f64| ((side / u).floor() as usize * unit).max(unit);
    let ceil = |side: f64| ((side / u).ceil() as usize * unit).max(unit);
    if wide * high > most {
        let shrink = (h * w / most as f64).sqrt();
        // A long, thin picture keeps one unit across, and gives the rest of the length up.
        let (wide, high) = (floor(w / shrink), floor(h / shrink));
        let longest = |other: usize| (most / other / unit).max(1) * unit;
        (wide.min(longest(high)), high.min(longest(wide.min(longest(high)))))
    } else if wide * high < least {
        let grow = (least as f64 / (h * w)).sqrt();
        let grown = (ceil(w * grow), ceil(h * grow));
        // Between two bounds that are close to each other rather the smaller size.
        if grown.0 * grown.1 > most { (wide, high) } else { grown }
    } else {
        (wide, high)
    }
}

/// All shapes of so many tiles, the fewest first.
fn shapes(least: usize, most: usize) -> Vec<(usize, usize)> {
    let mut all = Vec::new();
    for n in least..=most {
        for columns in 1..=n {
            for rows in 1..=n {
                if (least..=most).contains(&(columns * rows)) && !all.contains(&(columns, rows)) {
                    all.push((columns, rows));
                }
            }
        }
    }
    all.sort_by_key(|(columns, rows)| columns * rows);
    all
}

/// The shape nearest a picture's; of two the larger if the picture is large enough.
fn nearest_shape(shapes: &[(usize, usize)], w: usize, h: usize, side: usize) -> (usize, usize) {
    let ratio = w as f64 / h as f64;
    let (mut best, mut least) = ((1, 1), f64::INFINITY);
    for (columns, rows) in shapes.iter().copied() {
        let difference = (ratio - columns as f64 / rows as f64).abs();
        let is_large = (w * h) as f64 > 0.5 * (side * side * columns * rows) as f64;
        if difference < least || (difference == least && is_large) {
            (best, least) = ((columns, rows), difference);
        }
    }
    best
}

fn cut(large: &Pixels, columns: usize, rows: usize, side: usize) -> Vec<Pixels> {
    let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (column * side, row * side)));
    places.map(|(left, top)| large.crop(left, top, side, side)).collect()
}

/// The rows that the first layer reads of a tile, a patch each, in the order that the transformer has them:
/// `[patches, 3 * patch_size * patch_size]`, a plane each of red, green and blue.
pub(crate) fn patches(shape: &VisionShape, tile: &Pixels) -> Vec<f32> {
    let p = shape.patch_size;
    let (columns, rows) = (tile.width / p, tile.height / p);
    let mut out = Vec::with_capacity(columns * rows * 3 * p * p);
    let scale: [f32; 3] = std::array::from_fn(|channel| 1.0 / shape.deviation[channel]);
    for (column, row) in places(shape, columns, rows) {
        for channel in 0..3 {
            for y in row * p..(row + 1) * p {
                let line = &tile.rgb[(y * tile.width + column * p) * 3..][..p * 3];
                out.extend(
                    line.chunks_exact(3)
                        .map(|pixel| (f32::from(pixel[channel]) / 255.0 - shape.mean[channel]) * scale[channel]),
                );
            }
        }
    }
    out
}

/// The column and row of each patch, in the order that the transformer has them: row by row, or, where squares of patches are one
/// embedding by lying side by side, square by square.
pub(crate) fn places(shape: &VisionShape, columns: usize, rows: usize) -> Vec<(usize, usize)> {
    if !shape.projector.is_qwen() {
        return (0..rows).flat_map(|row| (0..columns).map(move |column| (column, row))).collect();
    }
    let m = shape.merge;
    let mut squares: Vec<(usize, usize)> =
        (0..rows / m).flat_map(|row| (0..columns / m).map(move |column| (column, row))).collect();
    if let Some(window) = shape.window_squares() {
        // Window by window, so that the patches of one stand together.
        squares.sort_by_key(|(column, row)| (row / window, column / window));
    }
    let patches = |(column, row)| (0..m * m).map(move |at| (column * m + at % m, row * m + at / m));
    squares.into_iter().flat_map(patches).collect()
}

impl VisionShape {
    /// Squares of patches to a side of a window.
    pub(crate) fn window_squares(&self) -> Option<usize> {
        self.windows.map(|_| WINDOW / self.patch_size / self.merge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_near_a_picture_s_stays_within_its_pixels_for_every_shape() {
        assert_eq!(near([640, 480], 28, 6272, 3_211_264), (644, 476));
        assert_eq!(near([4000, 3000], 28, 6272, 3_211_264), (2044, 1540));
        assert_eq!(near([10, 10], 28, 6272, 3_211_264), (84, 84));
        for (w, h) in [(1, 65_535), (65_535, 1), (3, 9000), (1, 1)] {
            let (wide, high) = near([w, h], 32, 65_536, 262_144);
            assert!(wide * high <= 262_144 && wide >= 32 && high >= 32, "{w} x {h}: {wide} x {high}");
        }
    }
}

//! Whether a picture is of the kind that a model was trained on, for models that know drawn scenes only: such a model names things in
//! photographs as surely as in its own pictures.
//!
//! Drawn scenes lie on backgrounds of one brightness a row, and what is drawn is found with high scores. Photographs have neither.

use super::manifest::DrawnOnly;

/// Whether a picture is none of the drawn ones. pixels: `[3, height, width]`, 0 to 1; `scores`: all that the model gave; `threshold`: of
/// those that count.
pub(super) fn is_foreign(spec: &DrawnOnly, pixels: &[f32], width: usize, scores: &[f32], threshold: f32) -> bool {
    let best = scores.iter().copied().fold(0.0, f32::max);
    let is_unsure = best >= threshold && best < spec.least_score;
    is_unsure || row_deviation(pixels, width) > spec.most_row_deviation
}

/// The median over all pixels of how far their brightness is from the median of their row.
fn row_deviation(pixels: &[f32], width: usize) -> f32 {
    let n = pixels.len() / 3;
    let at = |channel: usize, i: usize| pixels[channel * n + i];
    let mut light: Vec<f32> = (0..n).map(|i| 0.299 * at(0, i) + 0.587 * at(1, i) + 0.114 * at(2, i)).collect();
    let mut row = Vec::with_capacity(width);
    for line in light.chunks_exact_mut(width.max(1)) {
        row.clear();
        row.extend_from_slice(line);
        let middle = median(&mut row);
        line.iter_mut().for_each(|v| *v = (*v - middle).abs());
    }
    median(&mut light)
}

fn median(values: &mut [f32]) -> f32 {
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        _ => *values.select_nth_unstable_by(middle, f32::total_cmp).1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_with_a_thing_on_them_are_drawn_and_texture_or_unsure_things_are_not() {
        let spec = DrawnOnly { most_row_deviation: 0.04, least_score: 0.7 };
        let (w, h) = (40, 30);
        let picture = |of: &dyn Fn(usize, usize) -> f32| -> Vec<f32> {
            let plane: Vec<f32> = (0..w * h).map(|i| of(i % w, i / w)).collect();
            [&plane[..], &plane, &plane].concat()
        };
        let bands = picture(&|x, y| if x < 12 && y < 20 { 0.9 } else { y as f32 / 40.0 });
        let texture = picture(&|x, y| ((x * 7919 + y * 104_729) % 100) as f32 / 100.0);
        let foreign = |pixels: &[f32], score: f32| is_foreign(&spec, pixels, w, &[0.1, score], 0.32);
        assert!(!foreign(&bands, 0.9) && !foreign(&bands, 0.2), "a thing that is surely found, and none");
        assert!(foreign(&bands, 0.5), "a thing that is found, but not surely");
        assert!(foreign(&texture, 0.9) && foreign(&texture, 0.0));
    }
}

//! Decoding of a model's outputs: softmax over labels, boxes with scores and classes, FastestDet's grid, YOLO's single output, and
//! non-maximum suppression. All of it is arithmetic on slices whose shape was checked.

use super::result::Rect;

/// A box with the number of its label.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Where, in parts of the model's input.
    pub rect: Rect,
    /// Which label.
    pub class: usize,
    /// How sure, 0 to 1.
    pub score: f32,
}

/// Probabilities from logits, in place.
pub fn softmax(x: &mut [f32]) {
    let most = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for v in x.iter_mut() {
        *v = (*v - most).exp();
        sum += *v;
    }
    x.iter_mut().for_each(|v| *v /= sum);
}

/// The logistic function.
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The largest of a slice and its place.
fn largest(x: impl Iterator<Item = f32>) -> (usize, f32) {
    x.enumerate().fold((0, f32::NEG_INFINITY), |best, (i, v)| if v > best.1 { (i, v) } else { best })
}

/// FastestDet's head (github.com/dog-qiuqiu/FastestDet, `utils/tool.py: handle_preds`): data: `[5 + n_labels, rows, columns]`.
/// Objectness and class probabilities are already between 0 and 1; a box's centre is its cell's corner plus tanh, its size
/// the logistic function of two numbers.
pub fn fastestdet(data: &[f32], n_labels: usize, rows: usize, columns: usize, threshold: f32) -> Vec<Found> {
    let plane = rows * columns;
    let mut found = Vec::new();
    for (cell, &objectness) in data.iter().enumerate().take(plane) {
        let at = |channel: usize| data[channel * plane + cell];
        let (class, probability) = largest((0..n_labels).map(|label| at(5 + label)));
        let score = objectness.max(0.0).powf(0.6) * probability.max(0.0).powf(0.4);
        if score < threshold || !score.is_finite() {
            continue;
        }
        let cx = ((cell % columns) as f32 + at(1).tanh()) / columns as f32;
        let cy = ((cell / columns) as f32 + at(2).tanh()) / rows as f32;
        found.push(Found { rect: Rect::around(cx, cy, sigmoid(at(3)), sigmoid(at(4))), class, score });
    }
    found
}

/// Boxes `[n, 4]` with scores `[n, n_labels]`; `scale` turns the boxes' units into parts of the input.
pub fn boxes(
    boxes: &[f32],
    scores: &[f32],
    n_labels: usize,
    corners: bool,
    scale: (f32, f32),
    threshold: f32,
) -> Vec<Found> {
    let mut found = Vec::new();
    for (numbers, scores) in boxes.chunks_exact(4).zip(scores.chunks_exact(n_labels.max(1))) {
        let (class, score) = largest(scores.iter().copied());
        if score < threshold || !score.is_finite() || numbers.iter().any(|v| !v.is_finite()) {
            continue;
        }
        let [a, b, c, d] = [numbers[0] * scale.0, numbers[1] * scale.1, numbers[2] * scale.0, numbers[3] * scale.1];
        let rect = if corners { Rect { x: a, y: b, w: c - a, h: d - b } } else { Rect::around(a, b, c, d) };
        found.push(Found { rect, class, score });
    }
    found
}

/// YOLO's single output. With `objectness`: `[n, 5 + n_labels]` (v5), scores are multiplied by it; without: `[4 + n_labels, n]` (v8).
pub fn yolo(data: &[f32], n_labels: usize, objectness: bool, scale: (f32, f32), threshold: f32) -> Vec<Found> {
    let width = n_labels + if objectness { 5 } else { 4 };
    let n = data.len() / width;
    let at = |row: usize, column: usize| if objectness { data[row * width + column] } else { data[column * n + row] };
    let mut found = Vec::new();
    for row in 0..n {
        let sure = if objectness { at(row, 4) } else { 1.0 };
        let (class, probability) = largest((0..n_labels).map(|label| at(row, width - n_labels + label)));
        let score = sure * probability;
        if score < threshold || !score.is_finite() {
            continue;
        }
        let rect = Rect::around(at(row, 0) * scale.0, at(row, 1) * scale.1, at(row, 2) * scale.0, at(row, 3) * scale.1);
        found.push(Found { rect, class, score });
    }
    found
}

/// Non-maximum suppression: of boxes with one label that overlap by more than `overlap`, only the best stays; the best `most`
/// of all, best first.
pub fn suppress(mut found: Vec<Found>, overlap: f32, most: usize) -> Vec<Found> {
    // A bound on the quadratic part, far above what a picture holds.
    const CANDIDATES: usize = 2000;
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(CANDIDATES);
    let mut kept: Vec<Found> = Vec::new();
    for candidate in found {
        if kept.len() == most {
            break;
        }
        if kept.iter().all(|k| k.class != candidate.class || k.rect.overlap(&candidate.rect) <= overlap) {
            kept.push(candidate);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_softmax_sums_to_one_and_keeps_the_order() {
        let mut x = [1000.0, 999.0, -1000.0];
        softmax(&mut x);
        assert!((x.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((x[0] - 1.0 / (1.0 + (-1.0f32).exp())).abs() < 1e-6 && x[2] == 0.0, "{x:?}");
    }

    #[test]
    fn of_boxes_on_top_of_each_other_the_best_of_each_label_stays() {
        let found = |x: f32, class: usize, score: f32| Found { rect: Rect { x, y: 0.0, w: 0.4, h: 0.4 }, class, score };
        let all = vec![found(0.0, 1, 0.6), found(0.02, 1, 0.9), found(0.02, 2, 0.5), found(0.5, 1, 0.7)];
        let kept: Vec<_> = suppress(all.clone(), 0.45, 10).iter().map(|f| (f.class, f.score)).collect();
        assert_eq!(kept, [(1, 0.9), (1, 0.7), (2, 0.5)]);
        assert_eq!(suppress(all, 0.45, 1).len(), 1);
    }

    #[test]
    fn a_cell_of_fastestdet_becomes_the_box_that_its_formula_says() {
        // Two labels, a grid of 2 x 3; only the cell in row 1, column 2 is occupied.
        let plane = 6;
        let mut data = vec![0.0; 7 * plane];
        let cell = 5;
        for (channel, value) in [(0, 0.81), (1, 0.5), (2, -0.25), (3, 0.0), (4, -1.0), (5, 0.1), (6, 0.64)] {
            data[channel * plane + cell] = value;
        }
        let found = fastestdet(&data, 2, 2, 3, 0.3);
        assert_eq!(found.len(), 1);
        let (cx, cy) = found[0].rect.centre();
        assert_eq!(found[0].class, 1);
        assert!((found[0].score - 0.81f32.powf(0.6) * 0.64f32.powf(0.4)).abs() < 1e-6);
        assert!((cx - (2.0 + 0.5f32.tanh()) / 3.0).abs() < 1e-6 && (cy - (1.0 - 0.25f32.tanh()) / 2.0).abs() < 1e-6);
        assert!((found[0].rect.w - 0.5).abs() < 1e-6 && (found[0].rect.h - 0.26894143).abs() < 1e-6);
    }

    #[test]
    fn both_forms_of_yolo_give_the_same_box() {
        let v8: Vec<f32> = [[32.0, 5.0], [16.0, 5.0], [8.0, 1.0], [4.0, 1.0], [0.1, 0.0], [0.8, 0.1]].concat();
        let v5 = [[32.0, 16.0, 8.0, 4.0, 1.0, 0.1, 0.8], [5.0, 5.0, 1.0, 1.0, 0.2, 0.0, 0.1]].concat();
        let (a, b) =
            (yolo(&v8, 2, false, (1.0 / 64.0, 1.0 / 64.0), 0.5), yolo(&v5, 2, true, (1.0 / 64.0, 1.0 / 64.0), 0.5));
        assert_eq!(a, b);
        assert_eq!((a[0].class, a[0].rect), (1, Rect { x: 0.4375, y: 0.21875, w: 0.125, h: 0.0625 }));
    }
}

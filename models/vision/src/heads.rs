//! Decoding of a model's outputs: softmax over labels, boxes with scores and classes, FastestDet's grid, YOLO's single output, rows,
//! YOLOX's and NanoDet's grids, and non-maximum suppression. All of it is arithmetic on slices whose shape was checked.

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
        keep(&mut found, scaled(numbers, scale, corners), class, score, threshold);
    }
    found
}

/// Keeps a box that is sure enough; one with NaN or infinity in it is none.
fn keep(found: &mut Vec<Found>, rect: Rect, class: usize, score: f32, threshold: f32) {
    if score >= threshold && [score, rect.x, rect.y, rect.w, rect.h].iter().all(|v| v.is_finite()) {
        found.push(Found { rect, class, score });
    }
}

/// Four numbers, two corners or centre and size, as a rectangle in parts of the input.
fn scaled(numbers: &[f32], scale: (f32, f32), corners: bool) -> Rect {
    let [a, b, c, d] = [numbers[0] * scale.0, numbers[1] * scale.1, numbers[2] * scale.0, numbers[3] * scale.1];
    if corners { Rect { x: a, y: b, w: c - a, h: d - b } } else { Rect::around(a, b, c, d) }
}

/// How the numbers of YOLO's single output lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct YoloLayout {
    /// Numbers a box: 4 or 5, then one a label, then others that do not count.
    pub width: usize,
    /// Whether a box is a row (`[n, width]`, v5) instead of a column (`[width, n]`, v8).
    pub rows: bool,
    /// Whether an objectness stands before the labels; scores are multiplied by it.
    pub objectness: bool,
}

/// YOLO's single output of centres and sizes.
pub fn yolo(data: &[f32], n_labels: usize, layout: YoloLayout, scale: (f32, f32), threshold: f32) -> Vec<Found> {
    let YoloLayout { width, rows, objectness } = layout;
    let n = data.len() / width.max(1);
    let first = if objectness { 5 } else { 4 };
    let at = |row: usize, column: usize| if rows { data[row * width + column] } else { data[column * n + row] };
    let mut found = Vec::new();
    for row in 0..n {
        let sure = if objectness { at(row, 4) } else { 1.0 };
        let (class, probability) = largest((0..n_labels).map(|label| at(row, first + label)));
        let score = sure * probability;
        if score >= threshold {
            let numbers = [at(row, 0), at(row, 1), at(row, 2), at(row, 3)];
            keep(&mut found, scaled(&numbers, scale, false), class, score, threshold);
        }
    }
    found
}

/// An object a row: `[n, width]`, four numbers, score, label by number. Rows whose label does not exist are left out.
pub fn rows(
    data: &[f32],
    width: usize,
    n_labels: usize,
    corners: bool,
    scale: (f32, f32),
    threshold: f32,
) -> Vec<Found> {
    let mut found = Vec::new();
    for row in data.chunks_exact(width.max(6)) {
        if let Some(class) = numbered(row[5], 0, n_labels) {
            keep(&mut found, scaled(row, scale, corners), class, row[4], threshold);
        }
    }
    found
}

/// A label's number as models write it, as a float, counted from `first`.
fn numbered(number: f32, first: usize, n_labels: usize) -> Option<usize> {
    let number = number.round();
    (number >= first as f32 && number < (first + n_labels) as f32).then(|| number as usize - first)
}

/// Lists: `boxes` `[n, 4]` of corners (y, x, y, x with `yx`), `scores` `[n]`, `classes` `[n]` counted from `first`.
pub fn lists(
    (boxes, scores, classes): (&[f32], &[f32], &[f32]),
    n_labels: usize,
    (yx, first): (bool, usize),
    scale: (f32, f32),
    threshold: f32,
) -> Vec<Found> {
    let mut found = Vec::new();
    for ((numbers, &score), &class) in boxes.chunks_exact(4).zip(scores).zip(classes) {
        let corners =
            if yx { [numbers[1], numbers[0], numbers[3], numbers[2]] } else { [0, 1, 2, 3].map(|i| numbers[i]) };
        if let Some(class) = numbered(class, first, n_labels) {
            keep(&mut found, scaled(&corners, scale, true), class, score, threshold);
        }
    }
    found
}

/// How many cells of a `width` x `height` input the grids of these strides have together.
pub fn cells(width: usize, height: usize, strides: &[usize]) -> usize {
    strides.iter().map(|s| width.div_ceil(*s) * height.div_ceil(*s)).sum()
}

/// Column, row and stride of each cell, grid by grid, row by row.
pub fn grid(width: usize, height: usize, strides: &[usize]) -> impl Iterator<Item = (f32, f32, f32)> {
    let strides = strides.to_vec();
    strides.into_iter().flat_map(move |stride| {
        let columns = width.div_ceil(stride);
        (0..height.div_ceil(stride) * columns).map(move |i| ((i % columns) as f32, (i / columns) as f32, stride as f32))
    })
}

/// YOLOX (github.com/Megvii-BaseDetection/YOLOX, `demo_postprocess`): `[n, 5 + n_labels]`, n the cells of strides 8, 16 and 32. A centre
/// is its cell's corner plus two numbers, in strides; sizes are logarithms of strides.
pub fn yolox(data: &[f32], n_labels: usize, (width, height): (usize, usize), threshold: f32) -> Vec<Found> {
    let mut found = Vec::new();
    for (row, (x, y, stride)) in data.chunks_exact(5 + n_labels).zip(grid(width, height, &[8, 16, 32])) {
        let (class, probability) = largest(row[5..].iter().copied());
        let score = row[4] * probability;
        if score >= threshold {
            let numbers = [(row[0] + x) * stride, (row[1] + y) * stride, row[2].exp() * stride, row[3].exp() * stride];
            let scale = (1.0 / width as f32, 1.0 / height as f32);
            keep(&mut found, scaled(&numbers, scale, false), class, score, threshold);
        }
    }
    found
}

/// A level of NanoDet's or PicoDet's grid: scores `[cells, n_labels]` and distributions `[cells, 4 * bins]` (left, top, right, bottom), or
/// both in rows of one array.
#[derive(Clone, Copy, Debug)]
pub struct GflLevel<'a> {
    /// The array with the scores, where in a row they begin, and how long a row is.
    pub scores: (&'a [f32], usize, usize),
    /// The same of the distributions.
    pub boxes: (&'a [f32], usize, usize),
    /// How many bins a side has.
    pub bins: usize,
}

/// Generalised focal loss (github.com/RangiLyu/nanodet, PaddleDetection's PicoDet): the distance of each side is the mean of a softmax
/// over bins, in strides from the cell's middle, or with `corner` from its corner.
pub fn gfl(
    level: GflLevel<'_>,
    n_labels: usize,
    (width, height): (usize, usize),
    strides: &[usize],
    corner: bool,
    threshold: f32,
) -> Vec<Found> {
    let GflLevel { scores: (scores, at_scores, score_row), boxes: (boxes, at_boxes, box_row), bins } = level;
    let offset = if corner { 0.0 } else { 0.5 };
    let scale = (1.0 / width as f32, 1.0 / height as f32);
    let mut found = Vec::new();
    let rows = scores.chunks_exact(score_row.max(1)).zip(boxes.chunks_exact(box_row.max(1)));
    for ((scores, boxes), (x, y, stride)) in rows.zip(grid(width, height, strides)) {
        let (class, score) = largest(scores[at_scores..at_scores + n_labels].iter().copied());
        if score < threshold {
            continue;
        }
        let mut sides = [0.0f32; 4];
        for (side, bins) in sides.iter_mut().zip(boxes[at_boxes..].chunks_exact(bins.max(1))) {
            let mut shares = bins.to_vec();
            softmax(&mut shares);
            *side = shares.iter().enumerate().map(|(i, share)| i as f32 * share).sum::<f32>() * stride;
        }
        let (cx, cy) = ((x + offset) * stride, (y + offset) * stride);
        let numbers = [cx - sides[0], cy - sides[1], cx + sides[2], cy + sides[3]];
        keep(&mut found, scaled(&numbers, scale, true), class, score, threshold);
    }
    found
}

/// Two boxes of different labels that overlap by more than this are one thing: people hold bottles, but no bottle fills a person. On the
/// bottles of the sample video pairs of names for one thing overlap by 0.7 to 0.96, things behind each other by at most 0.55.
const SAME_THING: f32 = 0.7;

/// Non-maximum suppression: of boxes with one label that overlap by more than `overlap`, only the best stays, and of boxes that are all
/// but the same place too, whatever their labels; the best `most` of all, best first. With an `overlap` of 1 all stay.
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
        let bar = |k: &Found| if k.class == candidate.class { overlap } else { overlap.max(SAME_THING) };
        if kept.iter().all(|k| k.rect.overlap(&candidate.rect) <= bar(k)) {
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
        let all = vec![found(0.0, 1, 0.6), found(0.02, 1, 0.9), found(0.12, 2, 0.5), found(0.5, 1, 0.7)];
        let kept: Vec<_> = suppress(all.clone(), 0.45, 10).iter().map(|f| (f.class, f.score)).collect();
        assert_eq!(kept, [(1, 0.9), (1, 0.7), (2, 0.5)]);
        assert_eq!(suppress(all, 0.45, 1).len(), 1);
        // In the same place there is one thing, whatever a detector would call it as well.
        let twice = vec![found(0.0, 1, 0.6), found(0.01, 2, 0.9)];
        assert_eq!(suppress(twice.clone(), 0.45, 10).iter().map(|f| f.class).collect::<Vec<_>>(), [2]);
        assert_eq!(suppress(twice, 1.0, 10).len(), 2, "a model that needs no suppression gets none");
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
        let scale = (1.0 / 64.0, 1.0 / 64.0);
        let layout = |rows: bool| YoloLayout { width: if rows { 7 } else { 6 }, rows, objectness: rows };
        let (a, b) = (yolo(&v8, 2, layout(false), scale, 0.5), yolo(&v5, 2, layout(true), scale, 0.5));
        assert_eq!(a, b);
        // The same with masks behind the labels, and as a row of its own.
        let masks = [&v8[..], &[9.0; 4]].concat();
        let wide = YoloLayout { width: 8, rows: false, objectness: false };
        assert_eq!(yolo(&masks, 2, wide, scale, 0.5), a);
        let row = [28.0, 14.0, 36.0, 18.0, 0.8, 1.0, 28.0, 14.0, 36.0, 18.0, 0.9, 2.0];
        assert_eq!(rows(&row, 6, 2, true, scale, 0.5), a, "a label that does not exist is no object");
        let parts = [0.5, 0.25, 0.125, 0.0625, 0.8, 1.0];
        assert_eq!(rows(&parts, 6, 2, false, (1.0, 1.0), 0.5), a);
        let listed = lists((&[0.21875, 0.4375, 0.28125, 0.5625], &[0.8], &[2.0]), 2, (true, 1), (1.0, 1.0), 0.5);
        assert_eq!(listed, a);
        assert_eq!((a[0].class, a[0].rect), (1, Rect { x: 0.4375, y: 0.21875, w: 0.125, h: 0.0625 }));
    }

    #[test]
    fn cells_of_yolox_and_nanodet_become_the_boxes_that_their_formulas_say() {
        // 64 x 32: grids of 8 x 4, 4 x 2 and 2 x 1 cells. The one in row 1, column 2 of stride 16 is occupied.
        assert_eq!(cells(64, 32, &[8, 16, 32]), 32 + 8 + 2);
        let mut data = vec![0.0; 42 * 7];
        let cell = 32 + 4 + 2;
        data[cell * 7..][..7].copy_from_slice(&[0.5, 0.25, 0.0, 1.0, 0.9, 0.1, 0.8]);
        let found = yolox(&data, 2, (64, 32), 0.3);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].class, found[0].score), (1, 0.9 * 0.8));
        let (cx, cy) = found[0].rect.centre();
        assert!((cx - 2.5 * 16.0 / 64.0).abs() < 1e-6 && (cy - 1.25 * 16.0 / 32.0).abs() < 1e-6);
        assert!((found[0].rect.w - 0.25).abs() < 1e-6 && (found[0].rect.h - 1f32.exp() * 0.5).abs() < 1e-6);
        // Bins 0, 1, 2: all weight on 1 to the left, even weights above, all on 2 to the right, half of 0 and 1 below.
        let mut data = vec![0.0; 42 * 14];
        let sides = [[-99.0, 0.0, -99.0], [0.0; 3], [-99.0, -99.0, 0.0], [0.0, 0.0, -99.0]].concat();
        data[cell * 14..][..14].copy_from_slice(&[&[0.1, 0.8][..], &sides].concat());
        let level = GflLevel { scores: (&data, 0, 14), boxes: (&data, 2, 14), bins: 3 };
        for (corner, middle) in [(false, (2.5, 1.5)), (true, (2.0, 1.0))] {
            let found = gfl(level, 2, (64, 32), &[8, 16, 32], corner, 0.3);
            assert_eq!((found.len(), found[0].class, found[0].score), (1, 1, 0.8));
            let r = found[0].rect;
            let wanted = [(middle.0 - 1.0) / 4.0, (middle.1 - 1.0) / 2.0, 3.0 / 4.0, 1.5 / 2.0];
            for (found, wanted) in [r.x, r.y, r.w, r.h].into_iter().zip(wanted) {
                assert!((found - wanted).abs() < 1e-5, "{r:?} {wanted:?}");
            }
        }
    }
}

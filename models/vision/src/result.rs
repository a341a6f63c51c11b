//! The result of a vision model for one picture: objects with their boxes, labels of the whole picture, soft tokens for a language
//! model, and the embedding by which two pictures are compared.

use serde::Serialize;

/// A rectangle in parts of the picture: 0 is its left or upper edge, 1 its right or lower one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rect {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// Width.
    pub w: f32,
    /// Height.
    pub h: f32,
}

impl Rect {
    /// The rectangle around a centre.
    pub fn around(cx: f32, cy: f32, w: f32, h: f32) -> Self {
        Self { x: cx - w / 2.0, y: cy - h / 2.0, w, h }
    }

    /// Its middle.
    pub fn centre(&self) -> (f32, f32) {
        (self.x + self.w / 2.0, self.y + self.h / 2.0)
    }

    /// The part of it that lies within the picture.
    pub fn clipped(&self) -> Self {
        let (x, y) = (self.x.clamp(0.0, 1.0), self.y.clamp(0.0, 1.0));
        let (right, bottom) = ((self.x + self.w).clamp(0.0, 1.0), (self.y + self.h).clamp(0.0, 1.0));
        Self { x, y, w: right - x, h: bottom - y }
    }

    /// Intersection over union.
    pub fn overlap(&self, other: &Self) -> f32 {
        let w = (self.x + self.w).min(other.x + other.w) - self.x.max(other.x);
        let h = (self.y + self.h).min(other.y + other.h) - self.y.max(other.y);
        let both = w.max(0.0) * h.max(0.0);
        let union = self.w * self.h + other.w * other.h - both;
        if union > 0.0 { both / union } else { 0.0 }
    }

    /// Whether a point lies within it.
    pub fn holds(&self, x: f32, y: f32) -> bool {
        x >= self.x && x <= self.x + self.w && y >= self.y && y <= self.y + self.h
    }
}

/// A detected object.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Object {
    /// Its label.
    pub label: String,
    /// How sure the model is, 0 to 1.
    pub score: f32,
    /// Where it is.
    #[serde(rename = "box")]
    pub rect: Rect,
    /// The number of the label in its model.
    #[serde(skip)]
    pub class: usize,
}

/// A label of the whole picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Label {
    /// The name.
    pub label: String,
    /// Its probability, 0 to 1.
    pub score: f32,
}

/// Soft tokens as distributions over words.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slots {
    /// How many words there are.
    pub n_words: usize,
    /// `[n_slots, n_words]`
    pub probabilities: Vec<f32>,
}

impl Slots {
    /// Each slot's likeliest word, by number, and its probability.
    pub fn best(&self) -> impl Iterator<Item = (usize, f32)> + '_ {
        self.probabilities.chunks_exact(self.n_words.max(1)).map(|slot| {
            let best = slot.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            best.map_or((0, 0.0), |(word, probability)| (word, *probability))
        })
    }
}

/// Everything that a vision model found in one picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VisionResult {
    /// For the gate; its Euclidean length is 1.
    pub embedding: Vec<f32>,
    /// Objects with their boxes; empty where there are none or the model is no detector.
    pub objects: Vec<Object>,
    /// Objects of which the detector is not sure: below its threshold, but not below 0.6 of it. Only for following what was seen before.
    pub faint: Vec<Object>,
    /// Labels of the whole picture.
    pub labels: Vec<Label>,
    /// The words of the picture (see `PICTURE_WORDS`), where the encoder outputs words.
    pub words: Vec<String>,
    /// Soft tokens as distributions over the encoder's words.
    pub slots: Option<Slots>,
    /// Soft tokens as they come from the encoder: `[n, d_model]`, and d_model.
    pub soft_tokens: Option<(Vec<f32>, usize)>,
    /// Whether the picture is of a kind that the model does not know: then nothing that it found counts.
    pub is_foreign: bool,
    /// Whether this is the result of an earlier picture, since nothing has moved.
    pub is_held: bool,
    /// The model's confidence in the result as a whole, 0 to 1: the least probable of its words, the likeliest label, or the mean
    /// score of its objects; 1 where it found nothing.
    pub confidence: f32,
}

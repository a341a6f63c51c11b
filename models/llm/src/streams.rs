//! The four streams of Gemma 3n (AltUp: Baykal et al., 2023): a layer computes one of them and predicts the others, which are
//! corrected by what it computed. Beside attention runs a detour of low rank (LAuReL: Menghani et al., 2024).

use nearfield_kernels::add;

use super::LlmError;
use super::architecture::{Mixer as MixerShape, Shape};
use super::forward::{Buffers, Compute, Part, keep_wanted};
use super::tensors::{expert_projection, floats, norm, projection, vector};
use super::weights::{FeedForward, Mixer, Norm, Projection};
use nearfield_gguf::Gguf;

/// How many streams there are. The first is the one that layers compute.
const STREAMS: usize = 4;
/// The rank of the detour.
const RANK: usize = 64;
/// The layers, from the first on, of whose gates the largest count only.
pub(super) const SPARSE_LAYERS: usize = 10;

/// How streams begin and end.
#[derive(Debug)]
pub(crate) struct Streams {
    begin: Vec<Projection>, // [streams - 1][d_model, d_model] altup_proj
    end: Vec<Projection>,   // [streams - 1][d_model, d_model] altup_unembd_proj
}

/// The streams of a layer.
#[derive(Debug)]
pub(crate) struct LayerStreams {
    router: Vec<f32>,      // [streams, d_model] altup_router
    router_norm: Norm,     // [d_model] altup_router_norm
    predict: Vec<f32>,     // [streams, streams, streams] altup_predict_coef
    correct: Vec<f32>,     // [streams, streams] altup_correct_coef
    scale: Vec<f32>,       // [d_model] altup_correct_scale
    pub left: Projection,  // [rank, d_model] laurel_l
    pub right: Projection, // [d_model, rank] laurel_r
    detour_norm: Norm,     // [d_model] laurel_post_norm
}

/// The streams of some tokens.
#[derive(Debug, Default)]
pub(crate) struct StreamRows {
    streams: [Vec<f32>; STREAMS],   // [n, d_model] each
    predicted: [Vec<f32>; STREAMS], // [n, d_model] each
    detour: Vec<f32>,               // [n, d_model]
    low: Vec<f32>,                  // [n, rank]
    routed: Vec<f32>,               // [n, d_model]
}

impl Streams {
    pub(super) fn of(gguf: &Gguf, shape: &Shape) -> Result<Streams, LlmError> {
        let d = shape.d_model;
        let all = |name: &str| -> Result<Vec<Projection>, LlmError> {
            (0..STREAMS - 1).map(|index| expert_projection(gguf, name, STREAMS - 1, index, d, d)).collect()
        };
        Ok(Streams { begin: all("altup_proj")?, end: all("altup_unembd_proj")? })
    }

    pub(super) fn projections(&self) -> impl Iterator<Item = &Projection> {
        self.begin.iter().chain(&self.end)
    }

    pub(super) fn projections_mut(&mut self) -> impl Iterator<Item = &mut Projection> {
        self.begin.iter_mut().chain(&mut self.end)
    }
}

impl LayerStreams {
    pub(super) fn of(gguf: &Gguf, shape: &Shape, index: usize) -> Result<LayerStreams, LlmError> {
        let (d, name) = (shape.d_model, |name: &str| format!("blk.{index}.{name}"));
        Ok(LayerStreams {
            router: floats(gguf, &name("altup_router.weight"), &[d, STREAMS])?,
            router_norm: norm(gguf, shape, &name("altup_router_norm"), d)?,
            predict: floats(gguf, &name("altup_predict_coef.weight"), &[STREAMS, STREAMS * STREAMS])?,
            correct: floats(gguf, &name("altup_correct_coef.weight"), &[STREAMS, STREAMS])?,
            scale: vector(gguf, &name("altup_correct_scale.weight"), d)?,
            left: projection(gguf, &name("laurel_l"), RANK, 0..RANK, d)?,
            right: projection(gguf, &name("laurel_r"), d, 0..d, RANK)?,
            detour_norm: norm(gguf, shape, &name("laurel_post_norm"), d)?,
        })
    }

    /// How much of each modality a token is. normed: `[d_model]`, through the router's norm.
    fn modalities(&self, normed: &[f32]) -> [f32; STREAMS] {
        let d = normed.len();
        std::array::from_fn(|index| {
            let row = &self.router[index * d..][..d];
            (row.iter().zip(normed).map(|(w, x)| w * x).sum::<f32>() / d as f32).tanh()
        })
    }
}

impl StreamRows {
    /// Predicts each stream from all of them.
    fn predict(&mut self, compute: &Compute<'_>, layer: &LayerStreams) {
        let d = compute.llm.shape.d_model;
        self.routed.resize(self.streams[0].len(), 0.0);
        compute.norm(&self.streams[0], &layer.router_norm, &mut self.routed);
        for (to, predicted) in self.predicted.iter_mut().enumerate() {
            predicted.clone_from(&self.streams[to]);
            for (token, normed) in self.routed.chunks_exact(d).enumerate() {
                let modalities = layer.modalities(normed);
                let here = token * d..(token + 1) * d;
                for (from, stream) in self.streams.iter().enumerate() {
                    let row = &layer.predict[(to * STREAMS + from) * STREAMS..][..STREAMS];
                    let share: f32 = row.iter().zip(modalities).map(|(w, m)| w * m).sum();
                    let stream = &stream[here.clone()];
                    predicted[here.clone()].iter_mut().zip(stream).for_each(|(out, x)| *out += share * x);
                }
            }
        }
    }

    /// Corrects the predictions by what was computed of the first. computed: `[n, d_model]`
    fn correct(&mut self, compute: &Compute<'_>, layer: &LayerStreams, computed: &[f32]) {
        let d = compute.llm.shape.d_model;
        compute.norm(computed, &layer.router_norm, &mut self.routed);
        for (token, normed) in self.routed.chunks_exact(d).enumerate() {
            let modalities = layer.modalities(normed);
            let here = token * d..(token + 1) * d;
            for (to, stream) in self.streams.iter_mut().enumerate() {
                let row = &layer.correct[to * STREAMS..][..STREAMS];
                let share = 1.0 + row.iter().zip(modalities).map(|(w, m)| w * m).sum::<f32>();
                let new = computed[here.clone()].iter().zip(&self.predicted[0][here.clone()]);
                let old = &self.predicted[to][here.clone()];
                for ((out, old), (new, predicted)) in stream[here.clone()].iter_mut().zip(old).zip(new) {
                    *out = old + share * (new - predicted);
                }
            }
        }
    }
}

impl Compute<'_> {
    /// Passes the rows in `b.x` through all layers as four streams, and puts those that are wanted together again.
    pub(super) fn through_streams(&self, ends: &Streams, parts: &mut [Part<'_>], b: &mut Buffers) {
        let shape = &self.llm.shape;
        let d = shape.d_model;
        b.streams.streams[0].clone_from(&b.x);
        for (index, begin) in ends.begin.iter().enumerate() {
            let stream = &mut b.streams.streams[index + 1];
            stream.resize(b.x.len(), 0.0);
            self.project(&b.x, &mut b.quantized, [(begin, stream)]);
            match_lengths(stream, &b.x, d);
        }
        for (index, (layer, of_layer)) in self.llm.weights.layers.iter().zip(&shape.layers).enumerate() {
            let (Some(streams), Some(norm)) = (&layer.streams, &layer.attention_norm) else { continue };
            b.streams.predict(self, streams);
            b.x.clone_from(&b.streams.predicted[0]);
            self.norm(&b.x, norm, &mut b.normed);
            // The detour goes around attention.
            let rows = &mut b.streams;
            rows.low.resize(b.x.len() / d * RANK, 0.0);
            rows.detour.resize(b.x.len(), 0.0);
            self.project(&b.normed, &mut b.quantized, [(&streams.left, &mut rows.low)]);
            self.project(&rows.low, &mut b.quantized, [(&streams.right, &mut rows.detour)]);
            self.norm_in_place(&mut rows.detour, &streams.detour_norm, &mut b.spare);
            add(self.level, &mut rows.detour, &b.normed);
            if let (Mixer::Attention(attention), MixerShape::Attention(of_layer)) = (&layer.mixer, &of_layer.mixer) {
                self.attention(attention, of_layer, parts, false, b);
            }
            self.add_half(&mut b.x, &mut b.delta, layer.post_attention_norm.as_ref(), &mut b.spare);
            add(self.level, &mut b.x, &b.streams.detour);
            b.x.iter_mut().for_each(|x| *x *= std::f32::consts::FRAC_1_SQRT_2);
            if let Some(norm) = &layer.ffn_norm {
                self.norm(&b.x, norm, &mut b.normed);
            }
            if let FeedForward::Dense(network) = &layer.ffn {
                self.network(network, &b.normed, &mut b.quantized, &mut b.hidden, &mut b.spare, &mut b.delta);
            }
            self.add_half(&mut b.x, &mut b.delta, layer.post_ffn_norm.as_ref(), &mut b.spare);
            b.streams.correct(self, streams, &b.x);
            let Some(input) = &layer.input else { continue };
            let first = b.streams.streams[0].chunks_exact(d).zip(b.x.chunks_exact_mut(d));
            first.for_each(|(from, to)| {
                to.iter_mut().zip(from).zip(&streams.scale).for_each(|((to, from), scale)| *to = from * scale);
            });
            b.inputs.compute(self, input, index, &b.x, &mut b.quantized, &mut b.delta);
            b.streams.streams[1..].iter_mut().for_each(|stream| add(self.level, stream, &b.delta));
        }
        // Of the rows that are wanted the mean of all streams.
        b.streams.streams.iter_mut().for_each(|stream| keep_wanted(stream, parts, d));
        b.x.clone_from(&b.streams.streams[0]);
        if b.x.is_empty() {
            return;
        }
        b.delta.resize(b.x.len(), 0.0);
        for (index, end) in ends.end.iter().enumerate() {
            self.project(&b.streams.streams[index + 1], &mut b.quantized, [(end, &mut b.delta)]);
            match_lengths(&mut b.delta, &b.streams.streams[0], d);
            add(self.level, &mut b.x, &b.delta);
        }
        b.x.iter_mut().for_each(|x| *x /= STREAMS as f32);
    }
}

/// Makes each row as long as that of another stream.
fn match_lengths(rows: &mut [f32], like: &[f32], width: usize) {
    let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().sqrt();
    for (row, like) in rows.chunks_exact_mut(width).zip(like.chunks_exact(width)) {
        let scale = length(like) / length(row).max(f32::MIN_POSITIVE);
        row.iter_mut().for_each(|x| *x *= scale);
    }
}

/// Takes from gates what 95 of 100 would be below if they were normally distributed, and what is then negative away.
pub(super) fn keep_largest(gates: &mut [f32]) {
    const DEVIATIONS: f32 = 1.644_853_6; // the 95th percentile of the normal distribution
    let n = gates.len() as f32;
    let mean = gates.iter().sum::<f32>() / n;
    let variance = gates.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / (n - 1.0).max(1.0);
    let cut = mean + DEVIATIONS * variance.sqrt();
    gates.iter_mut().for_each(|x| *x = (*x - cut).max(0.0));
}

//! The forward pass, top to bottom, as one function over buffers that are made once. What sets families apart is read off the
//! shape and off which tensors are there; the experts of a layer stand in `experts.rs`.

use std::ops::Range;

use nearfield_kernels::{
    Activations, Attention, KvStore, Level, Pool, Product, add, attend, clamped_swiglu, geglu, gelu, layer_norm,
    multiply, rms_norm, rotate_halves, rotate_pairs, swiglu,
};

use super::Llm;
use super::architecture::Shape;
use super::experts::Routed;
use super::family::{Activation, Rotation};
use super::layout::Weight;
use super::positions::Positions;
use super::weights::{FeedForward, HeadNorm, Network, Norm, Projection};

/// Numbers in one task of element-wise work: less is not worth handing to another thread.
const PIECE: usize = 8192;

/// The buffers of a forward pass over some tokens.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub x: Vec<f32>,    // [n, d_model]: the residual stream
    normed: Vec<f32>,   // [n, d_model]
    delta: Vec<f32>,    // [n, d_model]: what a half of a block adds to the stream
    q: Vec<f32>,        // [n, n_heads * head_dim]
    k: Vec<f32>,        // [n, n_kv_heads * head_dim]
    v: Vec<f32>,        // [n, n_kv_heads * head_dim]
    attended: Vec<f32>, // [n, n_heads * head_dim]
    spare: Vec<f32>,    // what is normalised between two products
    hidden: Hidden,
    routed: Routed,
    angles: Angles,
    windowed_angles: Option<Angles>, // of the layers that see a window, where theirs are others
    quantized: Activations,
}

/// The inside of a feed-forward network.
#[derive(Debug, Default)]
pub(crate) struct Hidden {
    pub gate: Vec<f32>, // [n, d_ffn]
    pub up: Vec<f32>,   // [n, d_ffn]
}

/// Cosines and sines of the positions of a block, times the magnitude that the model gives them.
#[derive(Debug, Default)]
pub(crate) struct Angles {
    pub cos: Vec<f32>, // [n, rotated / 2]
    pub sin: Vec<f32>, // [n, rotated / 2]
}

/// Where tokens stand in a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The position of the first.
    pub first: usize,
    /// How many the session can hold, on which the angles may hang.
    pub capacity: usize,
}

/// Passes the `n` rows in `b.x` through the model; with the logits after the last `wanted`.
pub(crate) fn forward(
    llm: &Llm,
    store: &mut KvStore,
    b: &mut Buffers,
    place: Place,
    n: usize,
    wanted: usize,
    logits: &mut Vec<f32>,
) {
    let (shape, weights) = (&llm.shape, &llm.weights);
    let compute = Compute { level: llm.level, pool: &llm.pool, llm };
    b.prepare(n, place, shape);
    if let Some(norm) = &weights.embedding_norm {
        compute.norm(&b.x, norm, &mut b.normed);
        b.x.copy_from_slice(&b.normed);
    }
    for (index, layer) in weights.layers.iter().enumerate() {
        let read = match &layer.attention_norm {
            Some(norm) => {
                compute.norm(&b.x, norm, &mut b.normed);
                &b.normed
            }
            None => &b.x,
        };
        compute.project(read, &mut b.quantized, [(&layer.q, &mut b.q), (&layer.k, &mut b.k), (&layer.v, &mut b.v)]);
        if let Some(most) = shape.clamp_qkv {
            [&mut b.q, &mut b.k, &mut b.v].into_iter().flatten().for_each(|x| *x = x.clamp(-most, most));
        }
        for (rows, norm) in [(&mut b.q, &layer.q_norm), (&mut b.k, &layer.k_norm)] {
            if let Some(norm) = norm {
                compute.norm_heads(rows, norm, &mut b.spare);
            }
        }
        remember(llm, store, index, place.first, b);
        let attention = Attention {
            window: shape.window(index),
            cap: shape.score_cap,
            slopes: shape.slopes.as_deref(),
            sinks: layer.sinks.as_deref(),
            ..Attention::plain(shape.n_heads, place.first, shape.attention_scale)
        };
        attend(llm.level, &llm.pool, &attention, &b.q, store, index, &mut b.attended);
        if let Some(norm) = &layer.attention_sub_norm {
            compute.norm_in_place(&mut b.attended, norm, &mut b.spare);
        }
        compute.project(&b.attended, &mut b.quantized, [(&layer.attention_output, &mut b.delta)]);

        // What the network reads: the block's input where it stands beside attention, else what attention was added to. Without a
        // norm of its own it reads what attention read, or the stream as it is.
        if let (true, Some(norm)) = (shape.parallel, &layer.ffn_norm) {
            compute.norm(&b.x, norm, &mut b.normed);
        }
        compute.add_half(&mut b.x, &mut b.delta, layer.post_attention_norm.as_ref(), &mut b.spare);
        if let (false, Some(norm)) = (shape.parallel, &layer.ffn_norm) {
            compute.norm(&b.x, norm, &mut b.normed);
        }
        let read = if layer.ffn_norm.is_some() || shape.parallel { &b.normed } else { &b.x };
        match &layer.ffn {
            FeedForward::Dense(network) => {
                compute.network(network, read, &mut b.quantized, &mut b.hidden, &mut b.spare, &mut b.delta);
            }
            FeedForward::Experts(mixture) => {
                b.routed.compute(&compute, mixture, read, &mut b.quantized, &mut b.hidden, &mut b.delta);
            }
        }
        compute.add_half(&mut b.x, &mut b.delta, layer.post_ffn_norm.as_ref(), &mut b.spare);
    }
    if wanted > 0 {
        let d = shape.d_model;
        let last = &mut b.normed[..wanted * d];
        compute.norm(&b.x[(n - wanted) * d..], &weights.output_norm, last);
        logits.resize(wanted * shape.n_vocab, 0.0);
        compute.products(last, &mut b.quantized, [(weights.output(), logits)]);
        finish(llm, logits);
    }
}

/// Turns queries and keys to their positions, and stores keys and values.
fn remember(llm: &Llm, store: &mut KvStore, layer: usize, first: usize, b: &mut Buffers) {
    let shape = &llm.shape;
    let (q_width, kv_width) = (shape.n_heads * shape.head_dim, shape.n_kv_heads * shape.head_dim);
    let angles = of_layer(shape, layer, &b.angles, b.windowed_angles.as_ref());
    let n = b.q.len() / q_width;
    let pairs = angles.cos.len() / n;
    for token in 0..n {
        let (cos, sin) = (&angles.cos[token * pairs..][..pairs], &angles.sin[token * pairs..][..pairs]);
        let k = &mut b.k[token * kv_width..][..kv_width];
        rotate(llm, layer, &mut b.q[token * q_width..][..q_width], cos, sin);
        rotate(llm, layer, k, cos, sin);
        store.write(llm.level, layer, first + token, k, &b.v[token * kv_width..][..kv_width]);
    }
}

/// What becomes of logits after the last product.
fn finish(llm: &Llm, logits: &mut [f32]) {
    if let Some(bias) = &llm.weights.output_bias {
        logits.chunks_exact_mut(bias.len()).for_each(|row| add(llm.level, row, bias));
    }
    if llm.shape.logit_scale != 1.0 {
        logits.iter_mut().for_each(|logit| *logit *= llm.shape.logit_scale);
    }
    if let Some(cap) = llm.shape.logit_cap {
        logits.iter_mut().for_each(|logit| *logit = cap * (*logit / cap).tanh());
    }
}

/// What every product needs.
pub(crate) struct Compute<'a> {
    pub level: Level,
    pub pool: &'a Pool,
    pub llm: &'a Llm,
}

impl Compute<'_> {
    /// Normalises rows as wide as the weight, a few rows a task.
    fn norm(&self, x: &[f32], norm: &Norm, out: &mut [f32]) {
        let width = norm.weight.len();
        let each = (PIECE / width).max(1) * width;
        let epsilon = self.llm.shape.norm_epsilon;
        self.pool.split(out, each, &|index, out| {
            let x = &x[index * each..][..out.len()];
            match &norm.bias {
                Some(bias) if norm.centred => layer_norm(self.level, x, &norm.weight, bias, epsilon, out),
                bias => {
                    rms_norm(self.level, x, &norm.weight, epsilon, out);
                    if let Some(bias) = bias {
                        out.chunks_exact_mut(width).for_each(|row| add(self.level, row, bias));
                    }
                }
            }
        });
    }

    fn norm_in_place(&self, x: &mut [f32], norm: &Norm, spare: &mut Vec<f32>) {
        spare.resize(x.len().max(spare.len()), 0.0);
        let normed = &mut spare[..x.len()];
        self.norm(x, norm, normed);
        x.copy_from_slice(normed);
    }

    /// Normalises the heads of some tokens.
    fn norm_heads(&self, x: &mut [f32], norm: &HeadNorm, spare: &mut Vec<f32>) {
        let epsilon = self.llm.shape.norm_epsilon;
        spare.resize(x.len().max(spare.len()), 0.0);
        let normed = &mut spare[..x.len()];
        match &norm.own {
            None => rms_norm(self.level, x, &norm.weight, epsilon, normed),
            Some(zeros) => {
                let width = zeros.len();
                let weights = norm.weight.chunks_exact(width).cycle();
                for ((x, out), weight) in x.chunks_exact(width).zip(normed.chunks_exact_mut(width)).zip(weights) {
                    layer_norm(self.level, x, weight, zeros, epsilon, out);
                }
            }
        }
        x.copy_from_slice(normed);
    }

    /// Adds what a half of a block gives to the stream, normalised and scaled where the model does that.
    fn add_half(&self, x: &mut [f32], delta: &mut [f32], norm: Option<&Norm>, spare: &mut Vec<f32>) {
        if let Some(norm) = norm {
            self.norm_in_place(delta, norm, spare);
        }
        let scale = self.llm.shape.residual_scale;
        if scale != 1.0 {
            delta.iter_mut().for_each(|x| *x *= scale);
        }
        add(self.level, x, delta);
    }

    /// A feed-forward network over rows `x`. out: `[n, d_model]`
    pub(super) fn network(
        &self,
        network: &Network,
        x: &[f32],
        quantized: &mut Activations,
        hidden: &mut Hidden,
        spare: &mut Vec<f32>,
        out: &mut Vec<f32>,
    ) {
        let n = x.len() / self.llm.shape.d_model;
        let width = network.up.weight.rows();
        hidden.gate.resize(n * width, 0.0);
        match &network.gate {
            Some(gate) => {
                hidden.up.resize(n * width, 0.0);
                self.project(x, quantized, [(gate, &mut hidden.gate), (&network.up, &mut hidden.up)]);
            }
            None => self.project(x, quantized, [(&network.up, &mut hidden.gate)]),
        }
        self.activate(&mut hidden.gate, &hidden.up);
        if let Some(norm) = &network.sub_norm {
            self.norm_in_place(&mut hidden.gate, norm, spare);
        }
        out.resize(x.len(), 0.0);
        self.project(&hidden.gate, quantized, [(&network.down, out)]);
    }

    /// The model's activation of some numbers, gated by others where it has a gate.
    pub(super) fn activate(&self, gate: &mut [f32], up: &[f32]) {
        self.pool.split(gate, PIECE, &|index, gate| {
            let up = || &up[index * PIECE..][..gate.len()];
            match self.llm.shape.family.activation {
                Activation::Gelu => gelu(self.level, gate),
                Activation::Swiglu => {
                    let up = up();
                    swiglu(self.level, gate, up);
                }
                Activation::Geglu => {
                    let up = up();
                    geglu(self.level, gate, up);
                }
                Activation::ClampedSwiglu => {
                    let up = up();
                    clamped_swiglu(self.level, gate, up);
                }
            }
        });
    }

    /// Products with their scales and biases.
    pub(super) fn project<const N: usize>(
        &self,
        x: &[f32],
        quantized: &mut Activations,
        mut projections: [(&Projection, &mut Vec<f32>); N],
    ) {
        self.products(x, quantized, projections.each_mut().map(|(projection, out)| (&projection.weight, &mut **out)));
        for (projection, out) in projections {
            if let Some(scale) = projection.scale {
                out.iter_mut().for_each(|x| *x *= scale);
            }
            if let Some(bias) = &projection.bias {
                out.chunks_exact_mut(bias.len()).for_each(|row| add(self.level, row, bias));
            }
        }
    }

    fn products<const N: usize>(
        &self,
        x: &[f32],
        quantized: &mut Activations,
        products: [(&Weight, &mut Vec<f32>); N],
    ) {
        let mut products = products.map(|(weight, out)| Product { weights: weight.matrix(&self.llm.gguf), out });
        multiply(self.level, self.pool, x, quantized, &mut products);
    }
}

impl Buffers {
    /// Sizes the buffers for `n` tokens (they grow once and are then reused) and computes the angles of their positions.
    fn prepare(&mut self, n: usize, place: Place, shape: &Shape) {
        for rows in [&mut self.x, &mut self.normed, &mut self.delta] {
            rows.resize(n * shape.d_model, 0.0);
        }
        for rows in [&mut self.q, &mut self.attended] {
            rows.resize(n * shape.n_heads * shape.head_dim, 0.0);
        }
        for rows in [&mut self.k, &mut self.v] {
            rows.resize(n * shape.n_kv_heads * shape.head_dim, 0.0);
        }
        let (all, windowed) = positions(shape, place.capacity);
        self.angles.fill(all, place.first..place.first + n);
        if let Some(windowed) = windowed {
            self.windowed_angles.get_or_insert_default().fill(windowed, place.first..place.first + n);
        }
    }
}

impl Angles {
    fn fill(&mut self, positions: &Positions, range: Range<usize>) {
        self.cos.clear();
        self.sin.clear();
        for at in range {
            positions.angles(at as f64, positions.magnitude, &mut self.cos, &mut self.sin);
        }
    }
}

/// The positions of a session of that many tokens, and those of the layers that see a window, where they are others.
pub(crate) fn positions(shape: &Shape, capacity: usize) -> (&Positions, Option<&Positions>) {
    let windowed = shape.windows.as_ref().and_then(|windows| windows.rope.as_ref());
    (shape.rope.positions(capacity), windowed.map(|rope| rope.positions(capacity)))
}

/// Which of two kinds a layer needs.
pub(crate) fn of_layer<'a>(shape: &Shape, layer: usize, all: &'a Angles, windowed: Option<&'a Angles>) -> &'a Angles {
    match (&shape.windows, windowed) {
        (Some(windows), Some(windowed)) if windows.covers(layer) => windowed,
        _ => all,
    }
}

/// Turns the heads of one token, in a layer that does so.
pub(crate) fn rotate(llm: &Llm, layer: usize, heads: &mut [f32], cos: &[f32], sin: &[f32]) {
    let head_dim = llm.shape.head_dim;
    if !llm.shape.rotates(layer) {
        return;
    }
    match llm.shape.family.rotation {
        Rotation::Pairs => rotate_pairs(llm.level, heads, head_dim, cos, sin),
        Rotation::Halves => rotate_halves(llm.level, heads, head_dim, cos, sin),
        Rotation::Slopes(_) => {}
    }
}

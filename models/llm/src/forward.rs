//! The forward pass, top to bottom, as one function over buffers that are made once. What sets families apart is read off the
//! shape and off which tensors are there; the experts of a layer stand in `experts.rs`.

use std::sync::Arc;

use nearfield_kernels::{
    Activations, Attention, KvStore, Level, Pool, Product, Together, add, attend, clamped_swiglu, geglu, gelu,
    layer_norm, multiply, rms_norm, rotate_halves, rotate_pairs, swiglu,
};

use super::architecture::{AttentionShape, Mixer as MixerShape, Shape};
use super::experts::Routed;
use super::family::{Activation, Rotation};
use super::layer_inputs::InputRows;
use super::layout::Weight;
use super::observe::InputObserver;
use super::positions::{Coordinates, Positions};
use super::recurrent::Scratch;
use super::states::States;
use super::streams::{StreamRows, keep_largest};
use super::weights::{Attention as AttentionWeights, FeedForward, HeadNorm, Mixer, Network, Norm, Projection};
use super::{Llm, TokenId};

/// Numbers in one task of element-wise work: less is not worth handing to another thread.
const PIECE: usize = 8192;

/// The buffers of a forward pass over some tokens.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// The tokens whose embeddings are in `x`, where layers have inputs of their own.
    pub tokens: Vec<u32>,
    pub x: Vec<f32>,             // [n, d_model]: the residual stream
    pub(super) normed: Vec<f32>, // [n, d_model]
    pub(super) delta: Vec<f32>,  // [n, d_model]: what a half of a block adds to the stream
    q: Vec<f32>,                 // [n, n_heads * head_dim]
    k: Vec<f32>,                 // [n, n_kv_heads * head_dim]
    v: Vec<f32>,                 // [n, n_kv_heads * head_dim]
    normed_values: Vec<f32>,     // [head_dim]: ones
    gates: Vec<f32>,             // [n, n_heads * head_dim]: of what attention gives, where there are any
    attended: Vec<f32>,          // [n, n_heads * head_dim]
    pub(super) spare: Vec<f32>,  // what is normalised between two products
    pub(super) hidden: Hidden,
    routed: Routed,
    scratch: Scratch,
    pub(super) inputs: InputRows,
    pub(super) streams: StreamRows,
    angles: Angles,
    windowed_angles: Option<Angles>, // of the layers that see a window, where theirs are others
    pub(super) quantized: Activations,
    /// Who sees what is multiplied.
    pub observer: Option<Arc<dyn InputObserver>>,
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
    /// The position of the first in the cache.
    pub first: usize,
    /// How many the session can hold, on which the angles may hang.
    pub capacity: usize,
    /// By how much their angles are behind, since pictures before them take up less room than they have rows.
    pub behind: usize,
    /// Where the picture begins that they belong to, and how many of its embeddings make a row.
    pub grid: Option<(usize, usize)>,
    /// They see each other up to this position, also those that come after them.
    pub until: Option<usize>,
}

impl Place {
    /// Of text.
    pub(crate) fn of_text(first: usize, capacity: usize) -> Place {
        Place { first, capacity, behind: 0, grid: None, until: None }
    }

    /// The time, row and column of one of the tokens.
    fn coordinates(&self, index: usize) -> Coordinates {
        let at = self.first + index;
        match self.grid {
            None => [(at - self.behind) as f64; 3],
            Some((start, columns)) => {
                let origin = start - self.behind;
                let (row, column) = ((at - start) / columns, (at - start) % columns);
                [origin as f64, (origin + row) as f64, (origin + column) as f64]
            }
        }
    }
}

/// What a session remembers of the tokens before.
#[derive(Debug)]
pub(crate) struct Past {
    pub store: KvStore,
    pub states: States,
}

/// What a session has in a pass: rows that follow each other, and the past that they belong to.
pub(crate) struct Part<'a> {
    pub past: &'a mut Past,
    pub place: Place,
    /// How many rows.
    pub n: usize,
    /// Logits are wanted after the last so many.
    pub wanted: usize,
}

/// Passes the rows in `b.x`, those of one part after those of another, through the model; `logits` are those that are wanted, in this
/// order. With [`Together::AsAlone`] each part gets what it would get in a pass of its own, to the last bit, if it has no more than
/// [`FEW_TOKENS`](nearfield_kernels::FEW_TOKENS) rows.
pub(crate) fn forward(llm: &Llm, parts: &mut [Part<'_>], b: &mut Buffers, together: Together, logits: &mut Vec<f32>) {
    let wanted = states(llm, parts, b, together).len() / llm.shape.d_model;
    if wanted > 0 {
        let observer = b.observer.clone();
        let compute = Compute { level: llm.level, pool: &llm.pool, llm, together, observer: observer.as_deref() };
        logits.resize(wanted * llm.shape.n_vocab, 0.0);
        compute.products(&b.normed[..b.x.len()], &mut b.quantized, [(llm.weights.output(), logits)]);
        finish(llm, logits);
    }
}

/// The same up to the normalised states that logits are computed from: `[wanted, d_model]`
pub(crate) fn states<'b>(llm: &Llm, parts: &mut [Part<'_>], b: &'b mut Buffers, together: Together) -> &'b [f32] {
    let (shape, weights) = (&llm.shape, &llm.weights);
    let observer = b.observer.clone();
    let compute = Compute { level: llm.level, pool: &llm.pool, llm, together, observer: observer.as_deref() };
    b.prepare(parts, shape);
    parts.iter_mut().for_each(|part| part.past.states.begin(part.n));
    if let Some(norm) = &weights.embedding_norm {
        compute.norm(&b.x, norm, &mut b.normed);
        b.x.copy_from_slice(&b.normed);
    }
    if let Some(inputs) = &weights.inputs {
        b.inputs.fill(&compute, inputs, &b.tokens, &b.x, &mut b.quantized);
    }
    match &weights.streams {
        None => {
            through_layers(&compute, parts, b);
            keep_wanted(&mut b.x, parts, shape.d_model);
        }
        Some(streams) => compute.through_streams(streams, parts, b),
    }
    parts.iter_mut().for_each(|part| part.past.states.end(part.n));
    let last = &mut b.normed[..b.x.len()];
    if !last.is_empty() {
        compute.norm(&b.x, &weights.output_norm, last);
    }
    last
}

/// Drops the rows after which no logits are wanted.
pub(super) fn keep_wanted(rows: &mut Vec<f32>, parts: &[Part<'_>], width: usize) {
    let (mut end, mut kept) = (0, 0);
    for part in parts {
        end += part.n;
        rows.copy_within((end - part.wanted) * width..end * width, kept * width);
        kept += part.wanted;
    }
    rows.truncate(kept * width);
}

/// Passes the rows in `b.x` through all layers.
fn through_layers(compute: &Compute<'_>, parts: &mut [Part<'_>], b: &mut Buffers) {
    let shape = &compute.llm.shape;
    for (index, (layer, of_layer)) in compute.llm.weights.layers.iter().zip(&shape.layers).enumerate() {
        if let Some(norm) = &layer.attention_norm {
            compute.norm(&b.x, norm, &mut b.normed);
        }
        match (&layer.mixer, &of_layer.mixer) {
            (Mixer::Attention(attention), MixerShape::Attention(of_layer)) => {
                let plain = layer.attention_norm.is_none();
                compute.attention(attention, of_layer, parts, plain, b);
            }
            (Mixer::ShortConv(conv), MixerShape::ShortConv { state, .. }) => {
                b.scratch.short_conv(compute, conv, (state, parts), &b.normed, &mut b.quantized, &mut b.delta);
            }
            (Mixer::DeltaNet(net), MixerShape::DeltaNet(of_layer)) => {
                b.scratch.delta_net(compute, (net, of_layer), parts, &b.normed, &mut b.quantized, &mut b.delta);
            }
            _ => unreachable!("weights are read as the shape says"),
        }

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
                b.routed.compute(compute, mixture, read, &mut b.quantized, &mut b.hidden, &mut b.delta);
            }
        }
        compute.add_half(&mut b.x, &mut b.delta, layer.post_ffn_norm.as_ref(), &mut b.spare);
        if let Some(input) = &layer.input {
            b.inputs.compute(compute, input, index, &b.x, &mut b.quantized, &mut b.delta);
            add(compute.level, &mut b.x, &b.delta);
        }
        if let Some(scale) = layer.scale {
            b.x.iter_mut().for_each(|x| *x *= scale);
        }
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
    /// How the rows of a pass are multiplied.
    pub together: Together,
    /// Who sees what is multiplied.
    pub observer: Option<&'a dyn InputObserver>,
}

impl Compute<'_> {
    /// Attention over the rows in `b.normed`, or with `plain` over those in `b.x`, of each part to its own past. Its answer goes to
    /// `b.delta`.
    pub(super) fn attention(
        &self,
        weights: &AttentionWeights,
        of_layer: &AttentionShape,
        parts: &mut [Part<'_>],
        plain: bool,
        b: &mut Buffers,
    ) {
        let shape = &self.llm.shape;
        let n = b.x.len() / shape.d_model;
        let (q_width, kv_width) = (shape.n_heads * of_layer.head_dim, of_layer.n_kv_heads * of_layer.head_dim);
        let q_rows = weights.q.weight.rows(); // gates included
        b.q.resize(n * q_rows, 0.0);
        b.k.resize(n * kv_width, 0.0);
        b.v.resize(n * kv_width, 0.0);
        b.attended.resize(n * q_width, 0.0);
        let read = if plain { &b.x } else { &b.normed };
        let (q, k, v) = ((&weights.q, &mut b.q), &mut b.k, &mut b.v);
        match (&weights.k, &weights.v) {
            (Some(of_k), Some(of_v)) => self.project(read, &mut b.quantized, [q, (of_k, k), (of_v, v)]),
            (Some(of_k), None) => {
                self.project(read, &mut b.quantized, [q, (of_k, k)]);
                b.v.copy_from_slice(&b.k);
            }
            (None, _) => self.project(read, &mut b.quantized, [q]),
        }
        if shape.family.normed_values && !of_layer.shares {
            b.normed_values.resize(of_layer.head_dim, 1.0);
            b.spare.resize(b.v.len().max(b.spare.len()), 0.0);
            let normed = &mut b.spare[..b.v.len()];
            rms_norm(self.level, &b.v, &b.normed_values, shape.norm_epsilon, normed);
            b.v.copy_from_slice(normed);
        }
        if q_rows != q_width {
            split_gates(&mut b.q, &mut b.gates, of_layer.head_dim);
        }
        if let Some(most) = shape.clamp_qkv {
            [&mut b.q, &mut b.k, &mut b.v].into_iter().flatten().for_each(|x| *x = x.clamp(-most, most));
        }
        for (rows, norm) in [(&mut b.q, &weights.q_norm), (&mut b.k, &weights.k_norm)] {
            if let Some(norm) = norm {
                self.norm_heads(rows, norm, &mut b.spare);
            }
        }
        // Turns queries and keys to their positions, stores keys and values, and attends.
        let angles = b.windowed_angles.as_ref().filter(|_| of_layer.window.is_some()).unwrap_or(&b.angles);
        let pairs = angles.cos.len() / n;
        let mut row = 0;
        for Part { past, place, n, .. } in parts {
            let rows = row..row + *n;
            for (index, row) in rows.clone().enumerate() {
                let (cos, sin) = (&angles.cos[row * pairs..][..pairs], &angles.sin[row * pairs..][..pairs]);
                rotate(self.llm, of_layer, &mut b.q[row * q_width..][..q_width], cos, sin);
                if of_layer.shares {
                    continue;
                }
                let (k, v) = (&mut b.k[row * kv_width..][..kv_width], &b.v[row * kv_width..][..kv_width]);
                rotate(self.llm, of_layer, k, cos, sin);
                past.store.write(self.level, of_layer.stored, place.first + index, k, v);
            }
            let attention = Attention {
                window: of_layer.window,
                cap: shape.score_cap,
                slopes: shape.slopes.as_deref(),
                sinks: weights.sinks.as_deref(),
                until: place.until,
                ..Attention::plain(shape.n_heads, place.first, shape.attention_scale)
            };
            let q = &b.q[rows.start * q_width..rows.end * q_width];
            let out = &mut b.attended[rows.start * q_width..rows.end * q_width];
            attend(self.level, self.pool, &attention, q, &past.store, of_layer.stored, out);
            row = rows.end;
        }
        if q_rows != q_width {
            b.attended.iter_mut().zip(&b.gates).for_each(|(x, gate)| *x /= 1.0 + (-gate).exp());
        }
        if let Some(norm) = &weights.sub_norm {
            self.norm_in_place(&mut b.attended, norm, &mut b.spare);
        }
        self.project(&b.attended, &mut b.quantized, [(&weights.output, &mut b.delta)]);
    }

    /// Normalises rows as wide as the weight, a few rows a task.
    pub(super) fn norm(&self, x: &[f32], norm: &Norm, out: &mut [f32]) {
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

    pub(super) fn norm_in_place(&self, x: &mut [f32], norm: &Norm, spare: &mut Vec<f32>) {
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
    pub(super) fn add_half(&self, x: &mut [f32], delta: &mut [f32], norm: Option<&Norm>, spare: &mut Vec<f32>) {
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
        if network.sparse {
            hidden.gate.chunks_exact_mut(width).for_each(keep_largest);
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
        if let Some(observer) = self.observer {
            let sources = products.iter().filter_map(|(weight, _)| weight.source.as_ref());
            observer.observe(&sources.collect::<Vec<_>>(), x);
        }
        let mut products = products.map(|(weight, out)| Product { weights: weight.matrix(&self.llm.gguf), out });
        multiply(self.level, self.pool, self.together, x, quantized, &mut products);
    }
}

impl Buffers {
    /// Appends the embeddings of tokens.
    pub(super) fn look_up(&mut self, llm: &Llm, tokens: &[TokenId]) {
        let (width, begin) = (llm.shape.d_model, self.x.len());
        let table = llm.weights.token_embedding.matrix(&llm.gguf);
        self.tokens.extend(tokens.iter().map(|token| token.0));
        self.x.resize(begin + tokens.len() * width, 0.0);
        let rows = &mut self.x[begin..];
        for (token, row) in tokens.iter().zip(rows.chunks_exact_mut(width)) {
            if *token != TokenId::EMBEDDING {
                table.read_row(token.0 as usize, row);
            }
        }
        if llm.shape.embedding_scale != 1.0 {
            rows.iter_mut().for_each(|x| *x *= llm.shape.embedding_scale);
        }
    }

    /// Sizes the buffers for the rows of a pass (they grow once and are then reused) and computes the angles of their positions.
    fn prepare(&mut self, parts: &[Part<'_>], shape: &Shape) {
        let n: usize = parts.iter().map(|part| part.n).sum();
        for rows in [&mut self.x, &mut self.normed, &mut self.delta] {
            rows.resize(n * shape.d_model, 0.0);
        }
        self.angles.clear();
        if shape.windowed_rope.is_some() {
            self.windowed_angles.get_or_insert_default().clear();
        }
        for part in parts {
            let (all, windowed) = positions(shape, part.place.capacity);
            self.angles.extend(all, shape.sections, part);
            if let (Some(windowed), Some(angles)) = (windowed, &mut self.windowed_angles) {
                angles.extend(windowed, None, part);
            }
        }
    }
}

impl Angles {
    fn clear(&mut self) {
        self.cos.clear();
        self.sin.clear();
    }

    fn extend(&mut self, positions: &Positions, sections: Option<[usize; 3]>, part: &Part<'_>) {
        for index in 0..part.n {
            let at = part.place.coordinates(index);
            match sections {
                Some(sections) => positions.angles_of(at, sections, &mut self.cos, &mut self.sin),
                None => positions.angles(at[0], positions.magnitude, &mut self.cos, &mut self.sin),
            }
        }
    }
}

/// The positions of a session of that many tokens, and those of the layers that see a window, where they are others.
pub(crate) fn positions(shape: &Shape, capacity: usize) -> (&Positions, Option<&Positions>) {
    (shape.rope.positions(capacity), shape.windowed_rope.as_ref().map(|rope| rope.positions(capacity)))
}

/// Takes the gates out of queries: each head of them is followed by a head of gates.
fn split_gates(q: &mut Vec<f32>, gates: &mut Vec<f32>, head_dim: usize) {
    gates.clear();
    let pairs = q.len() / (2 * head_dim);
    for pair in 0..pairs {
        gates.extend_from_slice(&q[(2 * pair + 1) * head_dim..][..head_dim]);
        q.copy_within(2 * pair * head_dim..(2 * pair + 1) * head_dim, pair * head_dim);
    }
    q.truncate(pairs * head_dim);
}

/// Turns the heads of one token, in a layer that does so.
pub(crate) fn rotate(llm: &Llm, of_layer: &AttentionShape, heads: &mut [f32], cos: &[f32], sin: &[f32]) {
    if !of_layer.rotates {
        return;
    }
    match llm.shape.family.rotation {
        Rotation::Pairs => rotate_pairs(llm.level, heads, of_layer.head_dim, cos, sin),
        Rotation::Halves => rotate_halves(llm.level, heads, of_layer.head_dim, cos, sin),
        Rotation::Slopes(_) => {}
    }
}

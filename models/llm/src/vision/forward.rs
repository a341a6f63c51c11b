//! The forward pass of a vision transformer (Dosovitskiy et al., 2021) over one tile, and its projector.

use nearfield_gguf::Gguf;
use nearfield_kernels::{
    Activations, Attention, Format, KvFormat, KvHeads, KvStore, Level, Matrix, Pool, Product, Together, add, attend,
    gelu, layer_norm, multiply, quick_gelu, rms_norm, rotate_halves, silu, swiglu,
};

use super::preprocess::places;
use super::shape::{Activation, Projector, VisionShape};
use super::weights::{Layer, Norm, ProjectorWeights, VisionWeights};
use crate::weights::Projection;

/// Numbers in one task of element-wise work.
const PIECE: usize = 8192;
/// The base of the angles of positions in the transformer of Qwen-VL.
const ROPE_BASE: f64 = 10_000.0;
/// What the norm before a projector's network adds to the variance.
const PROJECTOR_EPSILON: f32 = 1e-5;

/// What a pass reads.
pub(crate) struct Tower<'a> {
    pub gguf: &'a Gguf,
    pub shape: &'a VisionShape,
    pub weights: &'a VisionWeights,
    pub level: Level,
    pub pool: &'a Pool,
}

/// A tile on its way through the layers.
pub(crate) struct Pass<'a> {
    tower: &'a Tower<'a>,
    /// Patches to a row, and rows.
    columns: usize,
    rows: usize,
    store: KvStore,
    /// Stretches of patches that see each other in layers with windows.
    windows: Vec<usize>,
    cos: Vec<f32>, // [n, head_dim / 2], where positions are angles
    sin: Vec<f32>,
    x: Vec<f32>, // [n, d_model]
    normed: Vec<f32>,
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    attended: Vec<f32>,
    delta: Vec<f32>,
    gate: Vec<f32>, // [n, d_ffn]
    up: Vec<f32>,   // [n, d_ffn]
    quantized: Activations,
}

impl<'a> Tower<'a> {
    /// Begins a pass over the rows of a tile's patches, `[columns * rows, 3 * patch_size * patch_size]`; `None` where there is no
    /// memory for it.
    pub(crate) fn begin(&'a self, patches: &[f32], columns: usize, rows: usize) -> Option<Pass<'a>> {
        let (d, head_dim) = (self.shape.d_model, self.shape.head_dim());
        let n = columns * rows + usize::from(self.weights.class.is_some());
        let heads = KvHeads { count: self.shape.n_heads, head_dim };
        let mut pass = Pass {
            tower: self,
            columns,
            rows,
            store: KvStore::new(KvFormat::F16, &[heads], n)?,
            windows: Vec::new(),
            cos: Vec::new(),
            sin: Vec::new(),
            x: Vec::new(),
            normed: vec![0.0; n * d],
            q: Vec::new(),
            k: Vec::new(),
            v: Vec::new(),
            attended: vec![0.0; n * d],
            delta: Vec::new(),
            gate: Vec::new(),
            up: Vec::new(),
            quantized: Activations::default(),
        };
        pass.embed(patches);
        if self.shape.projector.is_qwen() {
            pass.turn();
        }
        Some(pass)
    }

    /// Several products of `x: [n, columns]`, with their biases.
    fn project(&self, x: &[f32], quantized: &mut Activations, outs: &mut [(&Projection, &mut Vec<f32>)]) {
        let n = x.len() / outs[0].0.weight.columns;
        let products = outs.iter_mut().map(|(projection, out)| {
            out.resize(n * projection.weight.rows(), 0.0);
            Product { weights: projection.weight.matrix(self.gguf), out: &mut out[..] }
        });
        let mut products: Vec<Product<'_>> = products.collect();
        multiply(self.level, self.pool, Together::Fastest, x, quantized, &mut products);
        for (projection, out) in outs {
            if let Some(scale) = projection.scale {
                out.iter_mut().for_each(|x| *x *= scale);
            }
            if let Some(bias) = &projection.bias {
                self.add_to_rows(out, bias);
            }
        }
    }

    fn add_to_rows(&self, rows: &mut [f32], bias: &[f32]) {
        let each = (PIECE / bias.len()).max(1) * bias.len();
        self.pool.split(rows, each, &|_, rows| {
            rows.chunks_exact_mut(bias.len()).for_each(|row| add(self.level, row, bias));
        });
    }

    fn norm(&self, x: &[f32], norm: &Norm, rms: bool, epsilon: f32, out: &mut [f32]) {
        let width = norm.weight.len();
        let each = (PIECE / width).max(1) * width;
        self.pool.split(out, each, &|index, out| {
            let x = &x[index * each..][..out.len()];
            if rms {
                rms_norm(self.level, x, &norm.weight, epsilon, out);
                out.chunks_exact_mut(width).for_each(|row| add(self.level, row, &norm.bias));
            } else {
                layer_norm(self.level, x, &norm.weight, &norm.bias, epsilon, out);
            }
        });
    }

    fn norm_in_place(&self, x: &mut [f32], norm: &Norm, rms: bool, epsilon: f32) {
        let before = x.to_vec();
        self.norm(&before, norm, rms, epsilon, x);
    }

    fn activate(&self, activation: Activation, x: &mut [f32]) {
        self.pool.split(x, PIECE, &|_, x| match activation {
            Activation::Gelu => gelu(self.level, x),
            Activation::QuickGelu => quick_gelu(self.level, x),
            Activation::Silu => silu(self.level, x),
        });
    }

    fn add(&self, x: &mut [f32], y: &[f32]) {
        self.pool.split(x, PIECE, &|index, x| add(self.level, x, &y[index * PIECE..][..x.len()]));
    }
}

impl Pass<'_> {
    /// The rows that go into the first layer.
    fn embed(&mut self, patches: &[f32]) {
        let Tower { shape, weights, gguf, level, pool, .. } = *self.tower;
        let d = shape.d_model;
        let n = self.columns * self.rows;
        let mut outs: Vec<Vec<f32>> = weights.patch.iter().map(|_| vec![0.0; n * d]).collect();
        let matrices = weights.patch.iter().map(|weight| weight.matrix(gguf));
        let mut products: Vec<Product<'_>> =
            matrices.zip(&mut outs).map(|(weights, out)| Product { weights, out }).collect();
        multiply(level, pool, Together::Fastest, patches, &mut self.quantized, &mut products);
        let mut frames = outs.into_iter();
        self.x = frames.next().unwrap_or_default();
        // A still picture is a film of two equal frames.
        frames.for_each(|frame| self.tower.add(&mut self.x, &frame));
        if let Some(bias) = &weights.patch_bias {
            self.tower.add_to_rows(&mut self.x, bias);
        }
        if let Some(class) = &weights.class {
            self.x.splice(0..0, class.iter().copied());
        }
        if let Some(positions) = &weights.positions {
            let places = positions.len() / d;
            match shape.projector {
                Projector::Lfm2 if (self.columns, self.rows) != (places.isqrt(), places.isqrt()) => {
                    let stretched = stretch(positions, d, self.columns, self.rows);
                    self.tower.add(&mut self.x, &stretched);
                }
                _ => self.tower.add(&mut self.x, positions),
            }
        }
        if let Some(norm) = &weights.pre_norm {
            self.tower.norm_in_place(&mut self.x, norm, shape.rms, shape.epsilon);
        }
    }

    /// The angles of the patches: the first half of the pairs by the row, the second by the column.
    fn turn(&mut self) {
        let shape = self.tower.shape;
        let quarter = shape.head_dim() / 4;
        let frequency = |i: usize| ROPE_BASE.powf(-2.0 * i as f64 / (2 * quarter) as f64);
        let frequencies: Vec<f64> = (0..quarter).map(frequency).collect();
        let all = places(shape, self.columns, self.rows);
        for (column, row) in &all {
            for (at, frequency) in [row, column].into_iter().flat_map(|at| frequencies.iter().map(move |f| (at, f))) {
                let (sin, cos) = (*at as f64 * frequency).sin_cos();
                self.cos.push(cos as f32);
                self.sin.push(sin as f32);
            }
        }
        if let Some(window) = shape.window_squares() {
            let side = window * shape.merge;
            let of = |(column, row): &(usize, usize)| (column / side, row / side);
            self.windows = all.chunk_by(|a, b| of(a) == of(b)).map(<[_]>::len).collect();
        }
    }

    /// Layers that the tile goes through.
    pub(crate) fn layers(&self) -> usize {
        self.tower.weights.layers.len()
    }

    /// Passes the tile through one layer.
    pub(crate) fn layer(&mut self, index: usize) {
        let Tower { shape, weights, .. } = *self.tower;
        let tower = self.tower;
        let layer = &weights.layers[index];
        tower.norm(&self.x, &layer.norm, shape.rms, shape.epsilon, &mut self.normed);
        let outs = &mut [(&layer.q, &mut self.q), (&layer.k, &mut self.k), (&layer.v, &mut self.v)];
        tower.project(&self.normed, &mut self.quantized, outs);
        for (rows, norm) in [(&mut self.q, &layer.q_norm), (&mut self.k, &layer.k_norm)] {
            if let Some(norm) = norm {
                tower.norm_in_place(rows, norm, shape.rms, shape.epsilon);
            }
        }
        self.attend(index);
        tower.project(&self.attended, &mut self.quantized, &mut [(&layer.output, &mut self.delta)]);
        scale(&mut self.delta, layer.scale.as_deref());
        tower.add(&mut self.x, &self.delta);
        tower.norm(&self.x, &layer.ffn_norm, shape.rms, shape.epsilon, &mut self.normed);
        self.network(layer);
        scale(&mut self.delta, layer.ffn_scale.as_deref());
        tower.add(&mut self.x, &self.delta);
    }

    fn attend(&mut self, index: usize) {
        let Tower { shape, level, pool, .. } = *self.tower;
        let (d, head_dim) = (shape.d_model, shape.head_dim());
        let half = head_dim / 4 * 2;
        if !self.cos.is_empty() {
            let (cos, sin) = (&self.cos, &self.sin);
            for rows in [&mut self.q, &mut self.k] {
                pool.split(rows, 16 * d, &|first, rows| {
                    for (at, row) in rows.chunks_exact_mut(d).enumerate() {
                        let at = (16 * first + at) * half;
                        rotate_halves(level, row, head_dim, &cos[at..at + half], &sin[at..at + half]);
                    }
                });
            }
        }
        for (at, (k, v)) in self.k.chunks_exact(d).zip(self.v.chunks_exact(d)).enumerate() {
            self.store.write(level, 0, at, k, v);
        }
        let n = self.q.len() / d;
        let all = [n];
        let windows = match shape.windows {
            Some(every) if !(index + 1).is_multiple_of(every) => &self.windows[..],
            _ => &all,
        };
        let mut from = 0;
        for window in windows {
            let until = from + window;
            let attention = Attention {
                from,
                until: Some(until),
                ..Attention::plain(shape.n_heads, from, 1.0 / (head_dim as f32).sqrt())
            };
            let here = from * d..until * d;
            attend(level, pool, &attention, &self.q[here.clone()], &self.store, 0, &mut self.attended[here]);
            from = until;
        }
    }

    /// The feed-forward network over the normalised rows.
    fn network(&mut self, layer: &Layer) {
        let tower = self.tower;
        let activation = tower.shape.activation;
        match &layer.gate {
            Some(gate) => {
                let outs = &mut [(gate, &mut self.gate), (&layer.up, &mut self.up)];
                tower.project(&self.normed, &mut self.quantized, outs);
                let up = &self.up;
                if activation == Activation::Silu {
                    tower.pool.split(&mut self.gate, PIECE, &|index, gate| {
                        swiglu(tower.level, gate, &up[index * PIECE..][..gate.len()]);
                    });
                } else {
                    tower.activate(activation, &mut self.gate);
                    self.gate.iter_mut().zip(up).for_each(|(gate, up)| *gate *= up);
                }
            }
            None => {
                tower.project(&self.normed, &mut self.quantized, &mut [(&layer.up, &mut self.gate)]);
                tower.activate(activation, &mut self.gate);
            }
        }
        tower.project(&self.gate, &mut self.quantized, &mut [(&layer.down, &mut self.delta)]);
    }

    /// The embeddings of the tile, row by row: `[embeddings, d_text]`.
    pub(crate) fn finish(mut self) -> Vec<f32> {
        let Tower { shape, weights, level, pool, .. } = *self.tower;
        let tower = self.tower;
        let d = shape.d_model;
        if weights.class.is_some() {
            self.x.drain(..d);
        }
        if let Some(norm) = &weights.post_norm {
            tower.norm_in_place(&mut self.x, norm, shape.rms, shape.epsilon);
        }
        let mut out = Vec::new();
        match &weights.projector {
            ProjectorWeights::Matrix(matrix) => {
                tower.project(&self.squares(), &mut self.quantized, &mut [(matrix, &mut out)]);
            }
            ProjectorWeights::Mean { norm, matrix } => {
                let mut means = self.means();
                tower.norm_in_place(&mut means, norm, true, shape.epsilon);
                out.resize(means.len() / d * weights.d_text, 0.0);
                let weights = Matrix::new(Format::F32, matrix, weights.d_text, d).expect("made of as many numbers");
                let products = &mut [Product { weights, out: &mut out }];
                multiply(level, pool, Together::Fastest, &means, &mut self.quantized, products);
            }
            ProjectorWeights::Network { norm, up, down } => {
                let mut rows = self.squares();
                if let Some(norm) = norm {
                    tower.norm_in_place(&mut rows, norm, false, PROJECTOR_EPSILON);
                }
                tower.project(&rows, &mut self.quantized, &mut [(up, &mut self.gate)]);
                tower.activate(Activation::Gelu, &mut self.gate);
                match down {
                    Some(down) => tower.project(&self.gate, &mut self.quantized, &mut [(down, &mut out)]),
                    None => out = self.gate.clone(),
                }
            }
        }
        self.in_order(out)
    }

    /// The states of each square of patches side by side: `[squares, merge * merge * d_model]`; what lies beyond the tile is zero.
    fn squares(&self) -> Vec<f32> {
        let shape = self.tower.shape;
        let (d, m) = (shape.d_model, shape.merge);
        if shape.projector.is_qwen() || m == 1 {
            return self.x.clone(); // They stand side by side already.
        }
        let (wide, high) = (self.columns.div_ceil(m), self.rows.div_ceil(m));
        let mut out = vec![0.0; wide * high * m * m * d];
        for (at, state) in self.x.chunks_exact(d).enumerate() {
            let (column, row) = (at % self.columns, at / self.columns);
            let square = row / m * wide + column / m;
            out[((square * m + row % m) * m + column % m) * d..][..d].copy_from_slice(state);
        }
        out
    }

    /// The mean of each square of patches: `[squares, d_model]`
    fn means(&self) -> Vec<f32> {
        let shape = self.tower.shape;
        let (d, m) = (shape.d_model, shape.merge);
        let mut out = vec![0.0; (self.columns / m) * (self.rows / m) * d];
        for (at, state) in self.x.chunks_exact(d).enumerate() {
            let (column, row) = (at % self.columns, at / self.columns);
            let square = row / m * (self.columns / m) + column / m;
            add(self.tower.level, &mut out[square * d..][..d], state);
        }
        let share = 1.0 / (m * m) as f32;
        out.iter_mut().for_each(|x| *x *= share);
        out
    }

    /// Puts embeddings that came window by window row by row.
    fn in_order(&self, embeddings: Vec<f32>) -> Vec<f32> {
        let shape = self.tower.shape;
        if self.windows.is_empty() {
            return embeddings;
        }
        let (m, width) = (shape.merge, self.tower.weights.d_text);
        let mut out = vec![0.0; embeddings.len()];
        let squares = places(shape, self.columns, self.rows).into_iter().step_by(m * m);
        for ((column, row), embedding) in squares.zip(embeddings.chunks_exact(width)) {
            out[(row / m * (self.columns / m) + column / m) * width..][..width].copy_from_slice(embedding);
        }
        out
    }
}

/// Multiplies each row by the same numbers, where there are any.
fn scale(rows: &mut [f32], by: Option<&[f32]>) {
    let Some(by) = by else { return };
    rows.chunks_exact_mut(by.len()).for_each(|row| row.iter_mut().zip(by).for_each(|(x, scale)| *x *= scale));
}

/// A square of learned positions stretched over another size, by a linear filter that a shrinking one widens: `[rows, columns, d]`
fn stretch(positions: &[f32], d: usize, columns: usize, rows: usize) -> Vec<f32> {
    let side = (positions.len() / d).isqrt();
    let taps = |target: usize| -> Vec<(usize, Vec<f32>)> {
        let step = side as f32 / target as f32;
        let reach = step.max(1.0);
        let tap = |at: usize| {
            let centre = (at as f32 + 0.5) * step;
            let first = (centre - reach + 0.5).max(0.0) as usize;
            let last = ((centre + reach + 0.5) as usize).min(side);
            let mut weights: Vec<f32> =
                (first..last).map(|from| (1.0 - ((from as f32 - centre + 0.5) / reach).abs()).max(0.0)).collect();
            let sum: f32 = weights.iter().sum();
            weights.iter_mut().for_each(|weight| *weight /= sum);
            (first, weights)
        };
        (0..target).map(tap).collect()
    };
    let across = taps(columns);
    let mut out = vec![0.0f32; rows * columns * d];
    for ((top, down), line) in taps(rows).into_iter().zip(out.chunks_exact_mut(columns * d)) {
        for (y, weight_y) in down.iter().enumerate() {
            for ((left, across), out) in across.iter().zip(line.chunks_exact_mut(d)) {
                for (x, weight_x) in across.iter().enumerate() {
                    let from = &positions[((top + y) * side + left + x) * d..][..d];
                    let weight = weight_y * weight_x;
                    out.iter_mut().zip(from).for_each(|(out, x)| *out += weight * x);
                }
            }
        }
    }
    out
}

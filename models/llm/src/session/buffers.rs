//! The buffers of a forward pass, and the steps of it that run over all rows alike.

use std::ops::Range;

use nearfield_kernels::{
    Activations, Level, Pool, Product, add, layer_norm, multiply, rms_norm, rotate_halves, rotate_pairs,
};

use super::PIECE;
use crate::Llm;
use crate::architecture::{Activation, Rotation, Shape};
use crate::positions::Positions;
use crate::weights::{Norm, Projection, Weight};

/// The buffers of a forward pass over up to `BLOCK` tokens.
#[derive(Debug)]
pub(super) struct Buffers {
    pub x: Vec<f32>,        // [n, d_model]: the residual stream
    pub normed: Vec<f32>,   // [n, d_model]
    pub delta: Vec<f32>,    // [n, d_model]: what a half of a block adds to the stream
    pub q: Vec<f32>,        // [n, n_heads * head_dim]
    pub k: Vec<f32>,        // [n, n_kv_heads * head_dim]
    pub v: Vec<f32>,        // [n, n_kv_heads * head_dim]
    pub attended: Vec<f32>, // [n, n_heads * head_dim]
    pub gate: Vec<f32>,     // [n, d_ffn]
    pub up: Vec<f32>,       // [n, d_ffn]
    pub angles: Angles,
    pub windowed_angles: Option<Angles>, // of the layers that see a window, where theirs are others
    pub quantized: Activations,
}

/// Cosines and sines of the positions of a block, times the magnitude that the model gives them.
#[derive(Debug, Default)]
pub(super) struct Angles {
    pub cos: Vec<f32>, // [n, rotated / 2]
    pub sin: Vec<f32>, // [n, rotated / 2]
}

/// What every product needs.
pub(super) struct Compute<'a> {
    pub level: Level,
    pub pool: &'a Pool,
    pub llm: &'a Llm,
}

impl Compute<'_> {
    /// Normalises rows as wide as the weight, a few rows a task.
    pub fn norm(&self, x: &[f32], norm: &Norm, out: &mut [f32]) {
        let each = (PIECE / norm.weight.len()).max(1) * norm.weight.len();
        let epsilon = self.llm.shape.norm_epsilon;
        self.pool.split(out, each, &|index, out| {
            let x = &x[index * each..][..out.len()];
            match &norm.bias {
                None => rms_norm(self.level, x, &norm.weight, epsilon, out),
                Some(bias) => layer_norm(self.level, x, &norm.weight, bias, epsilon, out),
            }
        });
    }

    /// Products with their biases.
    pub fn project<const N: usize>(
        &self,
        x: &[f32],
        quantized: &mut Activations,
        mut projections: [(&Projection, &mut Vec<f32>); N],
    ) {
        self.products(x, quantized, projections.each_mut().map(|(projection, out)| (&projection.weight, &mut **out)));
        for (projection, out) in projections {
            if let Some(bias) = &projection.bias {
                out.chunks_exact_mut(bias.len()).for_each(|row| add(self.level, row, bias));
            }
        }
    }

    pub fn products<const N: usize>(
        &self,
        x: &[f32],
        quantized: &mut Activations,
        products: [(&Weight, &mut Vec<f32>); N],
    ) {
        let mut products = products.map(|(weight, out)| Product { weights: weight.matrix(&self.llm.gguf), out });
        multiply(self.level, self.pool, x, quantized, &mut products);
    }
}

impl Default for Buffers {
    fn default() -> Self {
        let none = Vec::new;
        Buffers {
            x: none(),
            normed: none(),
            delta: none(),
            q: none(),
            k: none(),
            v: none(),
            attended: none(),
            gate: none(),
            up: none(),
            angles: Angles::default(),
            windowed_angles: None,
            quantized: Activations::new(),
        }
    }
}

impl Buffers {
    /// Sizes the buffers for `n` tokens (they grow to `BLOCK` once and are then reused) and computes the angles of their positions.
    pub fn prepare(&mut self, n: usize, first: usize, capacity: usize, llm: &Llm) {
        let shape = &llm.shape;
        for rows in [&mut self.x, &mut self.normed, &mut self.delta] {
            rows.resize(n * shape.d_model, 0.0);
        }
        for rows in [&mut self.q, &mut self.attended] {
            rows.resize(n * shape.n_heads * shape.head_dim, 0.0);
        }
        for rows in [&mut self.k, &mut self.v] {
            rows.resize(n * shape.n_kv_heads * shape.head_dim, 0.0);
        }
        self.gate.resize(n * shape.d_ffn, 0.0);
        if shape.activation != Activation::Gelu {
            self.up.resize(n * shape.d_ffn, 0.0);
        }
        let (all, windowed) = positions(shape, capacity);
        self.angles.fill(all, first..first + n);
        if let Some(windowed) = windowed {
            self.windowed_angles.get_or_insert_default().fill(windowed, first..first + n);
        }
    }
}

impl Angles {
    pub fn fill(&mut self, positions: &Positions, range: Range<usize>) {
        self.cos.clear();
        self.sin.clear();
        for at in range {
            positions.angles(at as f64, positions.magnitude, &mut self.cos, &mut self.sin);
        }
    }
}

/// The positions of a session of that many tokens, and those of the layers that see a window, where they are others.
pub(super) fn positions(shape: &Shape, capacity: usize) -> (&Positions, Option<&Positions>) {
    let windowed = shape.windows.as_ref().and_then(|windows| windows.rope.as_ref());
    (shape.rope.positions(capacity), windowed.map(|rope| rope.positions(capacity)))
}

/// Which of two kinds a layer needs.
pub(super) fn of_layer<'a>(shape: &Shape, layer: usize, all: &'a Angles, windowed: Option<&'a Angles>) -> &'a Angles {
    match (&shape.windows, windowed) {
        (Some(windows), Some(windowed)) if windows.covers(layer) => windowed,
        _ => all,
    }
}

/// Turns the heads of one token.
pub(super) fn rotate(level: Level, rotation: Rotation, heads: &mut [f32], head_dim: usize, cos: &[f32], sin: &[f32]) {
    match rotation {
        Rotation::Pairs => rotate_pairs(level, heads, head_dim, cos, sin),
        Rotation::Halves => rotate_halves(level, heads, head_dim, cos, sin),
    }
}

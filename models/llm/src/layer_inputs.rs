//! Inputs of the layers: a part of a second, wide embedding of each token goes to each layer of Gemma 3n and Gemma 4. Of the table,
//! which is larger than all else in these models, only the rows of the tokens are read.

use nearfield_kernels::{Activations, geglu};

use super::LlmError;
use super::architecture::Shape;
use super::forward::Compute;
use super::layout::Weight;
use super::tensors::{matrix, norm, projection};
use super::weights::{Norm, Projection};
use nearfield_gguf::Gguf;

/// What all layers share. width: numbers that a layer gets.
#[derive(Debug)]
pub(crate) struct LayerInputs {
    table: Weight,              // [n_vocab, layers * width] per_layer_token_embd
    pub projection: Projection, // [layers * width, d_model] per_layer_model_proj: the same from the token's embedding
    norm: Norm,                 // [width] per_layer_proj_norm
}

/// What a layer does with its input.
#[derive(Debug)]
pub(crate) struct LayerInput {
    pub gate: Projection,   // [width, d_model] inp_gate
    pub output: Projection, // [d_model, width] proj
    post_norm: Norm,        // [d_model] post_norm
}

/// The inputs of some tokens, and the buffers of a layer.
#[derive(Debug, Default)]
pub(crate) struct InputRows {
    all: Vec<f32>,    // [n, layers * width]
    row: Vec<f32>,    // [layers * width]
    normed: Vec<f32>, // [n, layers * width]
    gate: Vec<f32>,   // [n, width]
    up: Vec<f32>,     // [n, width]
    spare: Vec<f32>,
}

impl LayerInputs {
    pub(super) fn of(gguf: &Gguf, shape: &Shape) -> Result<LayerInputs, LlmError> {
        let rows = shape.layers.len() * shape.layer_input;
        Ok(LayerInputs {
            table: matrix(gguf, "per_layer_token_embd.weight", shape.n_vocab, 0..shape.n_vocab, rows)?,
            projection: projection(gguf, "per_layer_model_proj", rows, 0..rows, shape.d_model)?,
            norm: norm(gguf, shape, "per_layer_proj_norm", shape.layer_input)?,
        })
    }
}

impl LayerInput {
    pub(super) fn of(gguf: &Gguf, shape: &Shape, width: usize, index: usize) -> Result<LayerInput, LlmError> {
        let (d, name) = (shape.d_model, |name: &str| format!("blk.{index}.{name}"));
        Ok(LayerInput {
            gate: projection(gguf, &name("inp_gate"), width, 0..width, d)?,
            output: projection(gguf, &name("proj"), d, 0..d, width)?,
            post_norm: norm(gguf, shape, &name("post_norm"), d)?,
        })
    }
}

impl InputRows {
    /// The inputs of tokens with these embeddings, for all layers. An embedding without a token gets what token 0 gets.
    pub(super) fn fill(
        &mut self,
        compute: &Compute<'_>,
        inputs: &LayerInputs,
        tokens: &[u32],
        x: &[f32],
        quantized: &mut Activations,
    ) {
        let shape = &compute.llm.shape;
        let rows = shape.layers.len() * shape.layer_input;
        self.all.resize(tokens.len() * rows, 0.0);
        compute.project(x, quantized, [(&inputs.projection, &mut self.all)]);
        let scale = 1.0 / (shape.d_model as f32).sqrt();
        self.all.iter_mut().for_each(|x| *x *= scale);
        self.normed.resize(self.all.len(), 0.0);
        compute.norm(&self.all, &inputs.norm, &mut self.normed);
        let table = inputs.table.matrix(&compute.llm.gguf);
        self.row.resize(rows, 0.0);
        let scale = (shape.layer_input as f32).sqrt();
        for ((token, normed), all) in
            tokens.iter().zip(self.normed.chunks_exact(rows)).zip(self.all.chunks_exact_mut(rows))
        {
            let token = *token as usize;
            table.read_row(if token < shape.n_vocab { token } else { 0 }, &mut self.row);
            for ((out, normed), row) in all.iter_mut().zip(normed).zip(&self.row) {
                *out = (normed + row * scale) * std::f32::consts::FRAC_1_SQRT_2;
            }
        }
    }

    /// What the input of a layer adds to rows `x`. out: `[n, d_model]`
    pub(super) fn compute(
        &mut self,
        compute: &Compute<'_>,
        input: &LayerInput,
        layer: usize,
        x: &[f32],
        quantized: &mut Activations,
        out: &mut Vec<f32>,
    ) {
        let shape = &compute.llm.shape;
        let (width, rows) = (shape.layer_input, shape.layers.len() * shape.layer_input);
        let n = x.len() / shape.d_model;
        self.gate.resize(n * width, 0.0);
        compute.project(x, quantized, [(&input.gate, &mut self.gate)]);
        self.up.clear();
        self.all.chunks_exact(rows).for_each(|row| self.up.extend_from_slice(&row[layer * width..][..width]));
        geglu(compute.level, &mut self.gate, &self.up);
        out.resize(x.len(), 0.0);
        compute.project(&self.gate, quantized, [(&input.output, out)]);
        compute.norm_in_place(out, &input.post_norm, &mut self.spare);
    }
}

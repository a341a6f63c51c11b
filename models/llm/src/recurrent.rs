//! Layers that remember a state of fixed size in the place of keys and values: the short convolutions of LFM2, and the gated delta
//! rule of Qwen3.5 (Yang et al., 2024). What a session keeps of their states stands in `states.rs`.

use std::ops::Range;

use nearfield_kernels::{Activations, DeltaRule, delta_rule, multiply_add, rms_norm, silu, swiglu};

use super::LlmError;
use super::architecture::{DeltaShape, Shape};
use super::forward::{Compute, Part};
use super::tensors::{floats, projection, vector};
use super::weights::Projection;
use nearfield_gguf::Gguf;

/// Channels in one task of a convolution.
const PIECE: usize = 8192;

/// A short convolution between two gates.
#[derive(Debug)]
pub(crate) struct ShortConv {
    pub input: Projection, // [3 d_model, d_model] shortconv.in_proj: the gate before, the gate behind, what is convolved
    kernel: Vec<f32>,      // [kernel, d_model] shortconv.conv: the oldest first
    pub output: Projection, // [d_model, d_model] shortconv.out_proj
}

/// The gated delta rule, between a convolution and a gate.
#[derive(Debug)]
pub(crate) struct DeltaNet {
    pub qkv: Projection,    // [channels, d_model] attn_qkv
    pub gate: Projection,   // [value_heads * head_dim, d_model] attn_gate
    pub alpha: Projection,  // [value_heads, d_model] ssm_alpha: how fast the state is forgotten
    pub beta: Projection,   // [value_heads, d_model] ssm_beta: how much is learned
    kernel: Vec<f32>,       // [kernel, channels] ssm_conv1d: the oldest first
    bias: Vec<f32>,         // [value_heads] ssm_dt.bias
    decay: Vec<f32>,        // [value_heads] ssm_a
    norm: Vec<f32>,         // [head_dim] ssm_norm
    pub output: Projection, // [d_model, value_heads * head_dim] ssm_out
}

/// The buffers of these layers.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    mixed: Vec<f32>,     // [n, 3 d_model], or [n, channels]
    window: Vec<f32>,    // [kernel - 1 + n, width]: what a convolution reads
    convolved: Vec<f32>, // [n, width]
    gate: Vec<f32>,      // [n, value_heads * head_dim]
    alpha: Vec<f32>,     // [n, value_heads]
    beta: Vec<f32>,      // [n, value_heads]
    out: Vec<f32>,       // [n, value_heads * head_dim]
}

/// The kernel of a convolution as rows of channels. dims: `[kernel, channels]`, as GGUF lists them.
fn kernel_rows(gguf: &Gguf, name: &str, kernel: usize, channels: usize) -> Result<Vec<f32>, LlmError> {
    let of_channels = floats(gguf, name, &[kernel, channels])?;
    Ok((0..kernel).flat_map(|j| of_channels.iter().skip(j).step_by(kernel).copied().collect::<Vec<_>>()).collect())
}

impl ShortConv {
    pub(super) fn of(gguf: &Gguf, shape: &Shape, kernel: usize, index: usize) -> Result<ShortConv, LlmError> {
        let d = shape.d_model;
        let name = |name: &str| format!("blk.{index}.shortconv.{name}");
        Ok(ShortConv {
            input: projection(gguf, &name("in_proj"), 3 * d, 0..3 * d, d)?,
            kernel: kernel_rows(gguf, &name("conv.weight"), kernel, d)?,
            output: projection(gguf, &name("out_proj"), d, 0..d, d)?,
        })
    }
}

impl DeltaNet {
    pub(super) fn of(gguf: &Gguf, shape: &Shape, delta: &DeltaShape, index: usize) -> Result<DeltaNet, LlmError> {
        let name = |name: &str| format!("blk.{index}.{name}");
        let (d, heads, values) = (shape.d_model, delta.value_heads, delta.value_heads * delta.head_dim);
        let whole = |which: &str, rows, columns| projection(gguf, &name(which), rows, 0..rows, columns);
        Ok(DeltaNet {
            qkv: whole("attn_qkv", delta.channels(), d)?,
            gate: whole("attn_gate", values, d)?,
            alpha: whole("ssm_alpha", heads, d)?,
            beta: whole("ssm_beta", heads, d)?,
            kernel: kernel_rows(gguf, &name("ssm_conv1d.weight"), delta.kernel, delta.channels())?,
            bias: vector(gguf, &name("ssm_dt.bias"), heads)?,
            decay: vector(gguf, &name("ssm_a"), heads)?,
            norm: vector(gguf, &name("ssm_norm.weight"), delta.head_dim)?,
            output: whole("ssm_out", d, values)?,
        })
    }
}

impl Scratch {
    /// A short convolution over rows `x`; the state of each part stands at `place`. out: `[n, d_model]`
    pub(super) fn short_conv(
        &mut self,
        compute: &Compute<'_>,
        conv: &ShortConv,
        (place, parts): (&Range<usize>, &mut [Part<'_>]),
        x: &[f32],
        quantized: &mut Activations,
        out: &mut Vec<f32>,
    ) {
        let d = compute.llm.shape.d_model;
        self.mixed.resize(x.len() * 3, 0.0);
        compute.project(x, quantized, [(&conv.input, &mut self.mixed)]);
        self.convolved.clear();
        let mut mixed = self.mixed.chunks_exact(3 * d);
        for Part { past, n, .. } in parts {
            self.window.clear();
            self.window.extend_from_slice(&past.states.now()[place.clone()]);
            for row in mixed.by_ref().take(*n) {
                self.window.extend(row[..d].iter().zip(&row[2 * d..]).map(|(gate, x)| gate * x));
            }
            convolve(compute, &conv.kernel, &self.window, *n, d, &mut self.convolved);
            for token in past.states.remembered(*n) {
                let seen = &self.window[(token + 1) * d..][..place.len()];
                past.states.after(token)[place.clone()].copy_from_slice(seen);
            }
        }
        for (row, mixed) in self.convolved.chunks_exact_mut(d).zip(self.mixed.chunks_exact(3 * d)) {
            row.iter_mut().zip(&mixed[d..2 * d]).for_each(|(x, gate)| *x *= gate);
        }
        compute.project(&self.convolved, quantized, [(&conv.output, out)]);
    }

    /// The gated delta rule over rows `x`. out: `[n, d_model]`
    pub(super) fn delta_net(
        &mut self,
        compute: &Compute<'_>,
        (net, shape): (&DeltaNet, &DeltaShape),
        parts: &mut [Part<'_>],
        x: &[f32],
        quantized: &mut Activations,
        out: &mut Vec<f32>,
    ) {
        let (n, channels, heads) = (x.len() / compute.llm.shape.d_model, shape.channels(), shape.value_heads);
        let (head_dim, values) = (shape.head_dim, heads * shape.head_dim);
        self.mixed.resize(n * channels, 0.0);
        for (rows, width) in [(&mut self.gate, values), (&mut self.out, values), (&mut self.alpha, heads)] {
            rows.resize(n * width, 0.0);
        }
        self.beta.resize(n * heads, 0.0);
        compute.project(
            x,
            quantized,
            [
                (&net.qkv, &mut self.mixed),
                (&net.gate, &mut self.gate),
                (&net.alpha, &mut self.alpha),
                (&net.beta, &mut self.beta),
            ],
        );
        let seen = shape.state.start..shape.state.start + (shape.kernel - 1) * channels;
        self.convolved.clear();
        let mut first = 0;
        for Part { past, n, .. } in &mut *parts {
            self.window.clear();
            self.window.extend_from_slice(&past.states.now()[seen.clone()]);
            self.window.extend_from_slice(&self.mixed[first * channels..(first + *n) * channels]);
            convolve(compute, &net.kernel, &self.window, *n, channels, &mut self.convolved);
            for token in past.states.remembered(*n) {
                let inputs = &self.window[(token + 1) * channels..][..seen.len()];
                past.states.after(token)[seen.clone()].copy_from_slice(inputs);
            }
            first += *n;
        }
        let epsilon = compute.llm.shape.norm_epsilon;
        for row in self.convolved.chunks_exact_mut(channels) {
            silu(compute.level, row);
            // Queries and keys have the length 1.
            for head in row[..2 * shape.key_heads * head_dim].chunks_exact_mut(head_dim) {
                let length = (head.iter().map(|x| x * x).sum::<f32>() + epsilon).sqrt();
                head.iter_mut().for_each(|x| *x /= length);
            }
        }
        for row in self.alpha.chunks_exact_mut(heads) {
            for ((alpha, bias), decay) in row.iter_mut().zip(&net.bias).zip(&net.decay) {
                *alpha = decay * softplus(*alpha + bias);
            }
        }
        self.beta.iter_mut().for_each(|beta| *beta = 1.0 / (1.0 + (-*beta).exp()));
        let matrices = seen.end..shape.state.end;
        let mut first = 0;
        for Part { past, n, .. } in parts {
            // Token by token where the states between them are kept, else all at once.
            let kept = past.states.remembered(*n);
            let each = if kept.len() == 1 { *n } else { 1 };
            for token in kept {
                let tokens = first + token + 1 - each..first + token + 1;
                past.states.carry(token, &matrices);
                let rule = DeltaRule {
                    head_dim,
                    key_heads: shape.key_heads,
                    value_heads: heads,
                    qkv: &self.convolved[tokens.start * channels..tokens.end * channels],
                    decay: &self.alpha[tokens.start * heads..tokens.end * heads],
                    rate: &self.beta[tokens.start * heads..tokens.end * heads],
                };
                let out = &mut self.out[tokens.start * values..tokens.end * values];
                let state = &mut past.states.after(token)[matrices.clone()];
                delta_rule(compute.level, compute.pool, &rule, state, out);
            }
            first += *n;
        }
        self.convolved.resize(self.out.len(), 0.0);
        let normed = &mut self.convolved[..self.out.len()];
        rms_norm(compute.level, &self.out, &net.norm, epsilon, normed);
        swiglu(compute.level, &mut self.gate, normed);
        compute.project(&self.gate, quantized, [(&net.output, out)]);
    }
}

/// Appends to `out` each of the last `n` rows of the window, with those before it, times the kernel.
fn convolve(compute: &Compute<'_>, kernel: &[f32], window: &[f32], n: usize, width: usize, out: &mut Vec<f32>) {
    let rows_each = (PIECE / width).max(1);
    let begin = out.len();
    out.resize(begin + n * width, 0.0);
    compute.pool.split(&mut out[begin..], rows_each * width, &|index, out| {
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            let first = (index * rows_each + row) * width;
            for (j, kernel) in kernel.chunks_exact(width).enumerate() {
                multiply_add(compute.level, out, &window[first + j * width..][..width], kernel);
            }
        }
    });
}

/// `ln(1 + e^x)`
fn softplus(x: f32) -> f32 {
    if x > 20.0 { x } else { x.exp().ln_1p() }
}

//! A writer of tiny Whisper models with random weights, in ggml format: real enough to load and run, small enough to
//! make in a test, and easy to cut short and to make lie.

#![allow(dead_code)] // Each test file takes what it needs.

use half::f16;
use std::path::{Path, PathBuf};

/// The hyperparameters in the order of the file.
#[derive(Clone, Copy)]
pub struct Shape {
    pub n_vocab: u32,
    pub n_audio_ctx: u32,
    pub n_state: u32,
    pub n_head: u32,
    pub n_layer: u32,
    pub n_text_ctx: u32,
    pub n_mels: u32,
}

pub const TINY: Shape =
    Shape { n_vocab: 51_864, n_audio_ctx: 1_500, n_state: 32, n_head: 1, n_layer: 1, n_text_ctx: 448, n_mels: 80 };

/// Where the parts of the file begin, for tests that damage them.
pub struct Model {
    pub bytes: Vec<u8>,
    pub vocabulary_at: usize,
    pub tensors_at: usize,
}

pub fn model(shape: Shape) -> Model {
    let mut file = Writer { bytes: Vec::new(), seed: 1 };
    file.u32(0x6767_6d6c);
    let Shape { n_vocab, n_audio_ctx, n_state, n_head, n_layer, n_text_ctx, n_mels } = shape;
    for value in [n_vocab, n_audio_ctx, n_state, n_head, n_layer, n_text_ctx, n_state, n_head, n_layer, n_mels, 1] {
        file.u32(value);
    }
    file.u32(n_mels);
    file.u32(201);
    for i in 0..n_mels * 201 {
        // Each band takes its share of the bins.
        let value: f32 = if i % 201 / 3 == i / 201 { 0.01 } else { 0.0 };
        file.bytes.extend(value.to_le_bytes());
    }
    let vocabulary_at = file.bytes.len();
    // The words up to the end of the text; whisper.cpp names the special ones itself.
    let n_words = 50_256;
    file.u32(n_words);
    for i in 0..n_words {
        // whisper.cpp looks the first three up.
        let word = [" ", " -", " '"].get(i as usize).map_or_else(|| format!(" w{i}"), ToString::to_string);
        file.u32(word.len() as u32);
        file.bytes.extend(word.as_bytes());
    }
    let tensors_at = file.bytes.len();
    file.tensor("encoder.positional_embedding", &[n_state, n_audio_ctx], false);
    file.tensor("encoder.conv1.weight", &[3, n_mels, n_state], true);
    file.tensor("encoder.conv1.bias", &[1, n_state], false);
    file.tensor("encoder.conv2.weight", &[3, n_state, n_state], true);
    file.tensor("encoder.conv2.bias", &[1, n_state], false);
    file.norm("encoder.ln_post", n_state);
    for layer in 0..n_layer {
        file.block(&format!("encoder.blocks.{layer}"), n_state, false);
    }
    file.tensor("decoder.positional_embedding", &[n_state, n_text_ctx], false);
    file.tensor("decoder.token_embedding.weight", &[n_state, n_vocab], true);
    file.norm("decoder.ln", n_state);
    for layer in 0..n_layer {
        file.block(&format!("decoder.blocks.{layer}"), n_state, true);
    }
    Model { bytes: file.bytes, vocabulary_at, tensors_at }
}

/// Writes bytes into a file of the folder, and gives its path.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A voice-like sound: a pitch of 120 Hz with harmonics, rising and falling four times a second.
pub fn babble(seconds: f32) -> Vec<f32> {
    (0..(seconds * 16_000.0) as usize)
        .map(|i| {
            let t = i as f32 / 16_000.0;
            let voice: f32 = (1..20).map(|k| (std::f32::consts::TAU * 120.0 * k as f32 * t).sin() / k as f32).sum();
            0.1 * voice * (1.0 + (std::f32::consts::TAU * 4.0 * t).sin())
        })
        .collect()
}

struct Writer {
    bytes: Vec<u8>,
    seed: u64,
}

impl Writer {
    fn u32(&mut self, value: u32) {
        self.bytes.extend(value.to_le_bytes());
    }

    fn tensor(&mut self, name: &str, shape: &[u32], half: bool) {
        self.u32(shape.len() as u32);
        self.u32(name.len() as u32);
        self.u32(u32::from(half));
        for &n in shape {
            self.u32(n);
        }
        self.bytes.extend(name.as_bytes());
        for _ in 0..shape.iter().product::<u32>() {
            // Knuth's MMIX generator; the upper bits make a value in [-0.25, 0.25).
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let value = (self.seed >> 40) as f32 / (1u64 << 25) as f32 - 0.25;
            if half {
                self.bytes.extend(f16::from_f32(value).to_le_bytes());
            } else {
                self.bytes.extend(value.to_le_bytes());
            }
        }
    }

    fn norm(&mut self, name: &str, n: u32) {
        self.tensor(&format!("{name}.weight"), &[n], false);
        self.tensor(&format!("{name}.bias"), &[n], false);
    }

    fn attention(&mut self, name: &str, n: u32) {
        for part in ["query", "key", "value", "out"] {
            self.tensor(&format!("{name}.{part}.weight"), &[n, n], true);
            if part != "key" {
                self.tensor(&format!("{name}.{part}.bias"), &[n], false);
            }
        }
    }

    fn block(&mut self, name: &str, n: u32, cross: bool) {
        self.norm(&format!("{name}.attn_ln"), n);
        self.attention(&format!("{name}.attn"), n);
        if cross {
            self.norm(&format!("{name}.cross_attn_ln"), n);
            self.attention(&format!("{name}.cross_attn"), n);
        }
        self.norm(&format!("{name}.mlp_ln"), n);
        self.tensor(&format!("{name}.mlp.0.weight"), &[n, 4 * n], true);
        self.tensor(&format!("{name}.mlp.0.bias"), &[4 * n], false);
        self.tensor(&format!("{name}.mlp.2.weight"), &[4 * n, n], true);
        self.tensor(&format!("{name}.mlp.2.bias"), &[n], false);
    }
}

//! The forward pass written the plain way: every weight dequantized by candle to f32, every sum a loop, the whole prompt at
//! once, no cache. It follows the papers and shares no code with what it checks.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use candle_core::Device;
use candle_core::quantized::gguf_file::{Content, Value};

/// A model in plain floats.
pub struct Oracle {
    tensors: HashMap<String, Vec<f32>>,
    metadata: HashMap<String, Value>,
    architecture: String,
}

impl Oracle {
    pub fn open(path: &Path) -> Oracle {
        let mut file = File::open(path).unwrap();
        let content = Content::read(&mut file).unwrap();
        let mut tensors = HashMap::new();
        for name in content.tensor_infos.keys() {
            let tensor = content.tensor(&mut file, name, &Device::Cpu).unwrap();
            let floats = tensor.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            tensors.insert(name.clone(), floats);
        }
        let architecture = content.metadata["general.architecture"].to_string().unwrap().clone();
        Oracle { tensors, metadata: content.metadata, architecture }
    }

    fn int(&self, key: &str) -> usize {
        self.maybe(key).unwrap().to_u32().unwrap() as usize
    }

    fn maybe(&self, key: &str) -> Option<&Value> {
        self.metadata.get(&format!("{}.{key}", self.architecture))
    }

    fn get(&self, name: &str) -> &[f32] {
        &self.tensors[name]
    }

    /// The embedding of each token, one row after the other, as the first block reads it.
    pub fn embed(&self, tokens: &[u32]) -> Vec<f32> {
        let d = self.int("embedding_length");
        let scale = if self.architecture == "gemma3" { (d as f32).sqrt() } else { 1.0 };
        let table = self.get("token_embd.weight");
        tokens.iter().flat_map(|t| table[*t as usize * d..][..d].iter().map(|x| x * scale)).collect()
    }

    /// Logits after the last of these tokens, in a session of `context` tokens.
    pub fn logits_within(&self, tokens: &[u32], context: usize) -> Vec<f32> {
        self.logits_of_rows(&self.embed(tokens), context)
    }

    /// Logits after the last of these tokens.
    pub fn logits(&self, tokens: &[u32]) -> Vec<f32> {
        self.logits_within(tokens, tokens.len())
    }

    fn float(&self, key: &str) -> Option<f32> {
        self.maybe(key).map(|v| v.to_f32().unwrap())
    }

    /// Radians a position for each pair of a head of a layer, and what cosine and sine are multiplied by: written from
    /// "RoFormer", "Extending Context Window of Large Language Models via Positional Interpolation", "YaRN" (equations 17 to
    /// 22, with the mean of `scale` in 0.1 ln s + 1) and "LongRoPE".
    fn turning(&self, windowed: bool, head_dim: usize, context: usize) -> (Vec<f64>, f64) {
        let n = self.maybe("rope.dimension_count").map_or(head_dim, |v| v.to_u32().unwrap() as usize);
        let local = windowed && self.architecture == "gemma3";
        let base = f64::from(if local { 10_000.0 } else { self.float("rope.freq_base").unwrap_or(10_000.0) });
        let mut theta: Vec<f64> = (0..n / 2).map(|i| 1.0 / base.powf((2 * i) as f64 / n as f64)).collect();
        if local {
            return (theta, 1.0);
        }
        let s = f64::from(self.float("rope.scaling.factor").unwrap_or(1.0));
        let length = |key: &str| self.maybe(key).map(|v| f64::from(v.to_u32().unwrap()));
        let trained = length("rope.scaling.original_context_length").or(length("context_length")).unwrap();
        let mut magnitude = f64::from(self.float("rope.scaling.attn_factor").unwrap_or(1.0));
        match self.maybe("rope.scaling.type").map(|v| v.to_string().unwrap().as_str()) {
            Some("linear") => theta.iter_mut().for_each(|t| *t /= s),
            Some("yarn") => {
                let dimension =
                    |turns: f64| n as f64 * (trained / (turns * std::f64::consts::TAU)).ln() / (2.0 * base.ln());
                let (low, high) = (dimension(32.0).floor().max(0.0), dimension(1.0).ceil().min(n as f64 - 1.0));
                for (i, t) in theta.iter_mut().enumerate() {
                    let kept = 1.0 - ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
                    *t = (1.0 - kept) * *t / s + kept * *t;
                }
                magnitude *= 0.1 * s.ln() + 1.0;
            }
            _ => {}
        }
        let which = if context as f64 > trained { "rope_factors_long.weight" } else { "rope_factors_short.weight" };
        for name in ["rope_freqs.weight", which] {
            if let Some(factors) = self.tensors.get(name) {
                theta.iter_mut().zip(factors).for_each(|(t, f)| *t /= f64::from(*f));
            }
        }
        (theta, magnitude)
    }

    fn normed(&self, x: &[f32], name: &str) -> Vec<f32> {
        let weight = self.get(&format!("{name}.weight"));
        if self.architecture == "phi2" {
            let epsilon = self.float("attention.layer_norm_epsilon").unwrap();
            let mean = x.iter().sum::<f32>() / x.len() as f32;
            let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / x.len() as f32;
            let centred = x.iter().map(|x| (x - mean) / (variance + epsilon).sqrt());
            return centred.zip(weight).zip(self.get(&format!("{name}.bias"))).map(|((x, w), b)| x * w + b).collect();
        }
        norm(x, weight, self.float("attention.layer_norm_rms_epsilon").unwrap())
    }

    /// A matrix, or rows of it, times a vector, plus its bias if it has one.
    fn projected(&self, name: &str, rows: std::ops::Range<usize>, x: &[f32]) -> Vec<f32> {
        let matrix = self.get(&format!("{name}.weight"));
        let mut out = times(&matrix[rows.start * x.len()..rows.end * x.len()], x);
        if let Some(bias) = self.tensors.get(&format!("{name}.bias")) {
            out.iter_mut().zip(&bias[rows]).for_each(|(o, b)| *o += b);
        }
        out
    }

    /// Logits after the last of these embeddings.
    pub fn logits_of_rows(&self, rows: &[f32], context: usize) -> Vec<f32> {
        let (d, heads, ffn) =
            (self.int("embedding_length"), self.int("attention.head_count"), self.int("feed_forward_length"));
        let kv_heads = self.int("attention.head_count_kv");
        let head_dim = self.maybe("attention.key_length").map_or(d / heads, |v| v.to_u32().unwrap() as usize);
        let (n_q, n_kv) = (heads * head_dim, kv_heads * head_dim);
        let window = self.maybe("attention.sliding_window").map(|v| v.to_u32().unwrap() as usize);
        let gemma = self.architecture == "gemma3";
        let mut x: Vec<Vec<f32>> = rows.chunks(d).map(<[f32]>::to_vec).collect();
        for layer in 0..self.int("block_count") {
            let name = |suffix: &str| format!("blk.{layer}.{suffix}");
            // Five layers with a window, then one without, in Gemma 3.
            let window = window.filter(|_| !gemma || layer % 6 != 5);
            let (theta, magnitude) = self.turning(window.is_some(), head_dim, context);
            let (mut qs, mut ks, mut vs) = (Vec::new(), Vec::new(), Vec::new());
            for (position, row) in x.iter().enumerate() {
                let normed = self.normed(row, &name("attn_norm"));
                let project = |which: &str, from: usize, n: usize| {
                    let mut out = match self.tensors.contains_key(&name("attn_qkv.weight")) {
                        true => self.projected(&name("attn_qkv"), from..from + n, &normed),
                        false => self.projected(&name(&format!("attn_{which}")), 0..n, &normed),
                    };
                    if which == "v" {
                        return out;
                    }
                    let norms = self.tensors.get(&name(&format!("attn_{which}_norm.weight")));
                    for head in out.chunks_mut(head_dim) {
                        if let Some(weight) = norms {
                            let epsilon = self.float("attention.layer_norm_rms_epsilon").unwrap();
                            head.copy_from_slice(&norm(head, weight, epsilon));
                        }
                        for (i, t) in theta.iter().enumerate() {
                            let (sin, cos) = (position as f64 * t).sin_cos();
                            let (a, b) =
                                if self.architecture == "llama" { (2 * i, 2 * i + 1) } else { (i, i + theta.len()) };
                            let (p, q) = (f64::from(head[a]), f64::from(head[b]));
                            head[a] = ((p * cos - q * sin) * magnitude) as f32;
                            head[b] = ((p * sin + q * cos) * magnitude) as f32;
                        }
                    }
                    out
                };
                qs.push(project("q", 0, n_q));
                ks.push(project("k", n_q, n_kv));
                vs.push(project("v", n_q + n_kv, n_kv));
            }
            for position in 0..x.len() {
                let mut attended = vec![0.0; heads * head_dim];
                let first = window.map_or(0, |window| (position + 1).saturating_sub(window));
                for head in 0..heads {
                    let from = head / (heads / kv_heads) * head_dim;
                    let q = &qs[position][head * head_dim..][..head_dim];
                    let scores: Vec<f32> = (first..=position)
                        .map(|p| dot(q, &ks[p][from..from + head_dim]) / (head_dim as f32).sqrt())
                        .collect();
                    let largest = scores.iter().copied().fold(f32::MIN, f32::max);
                    let weights: Vec<f32> = scores.iter().map(|s| (s - largest).exp()).collect();
                    let total: f32 = weights.iter().sum();
                    for (p, weight) in weights.iter().enumerate() {
                        for i in 0..head_dim {
                            attended[head * head_dim + i] += weight / total * vs[first + p][from + i];
                        }
                    }
                }
                let before = x[position].clone();
                let mut out = self.projected(&name("attn_output"), 0..d, &attended);
                if gemma {
                    out = self.normed(&out, &name("post_attention_norm"));
                }
                x[position].iter_mut().zip(out).for_each(|(x, o)| *x += o);
                let gelu = |x: f32| 0.5 * x * (1.0 + (0.797_884_6 * (x + 0.044_715 * x.powi(3))).tanh());
                let silu = |x: f32| x / (1.0 + (-x).exp());
                let hidden: Vec<f32> = match self.architecture.as_str() {
                    "phi2" => {
                        let normed = self.normed(&before, &name("attn_norm"));
                        self.projected(&name("ffn_up"), 0..ffn, &normed).into_iter().map(gelu).collect()
                    }
                    family => {
                        let normed = self.normed(&x[position], &name("ffn_norm"));
                        let (gate, up) = match family {
                            "phi3" => (
                                self.projected(&name("ffn_up"), 0..ffn, &normed),
                                self.projected(&name("ffn_up"), ffn..2 * ffn, &normed),
                            ),
                            _ => (
                                self.projected(&name("ffn_gate"), 0..ffn, &normed),
                                self.projected(&name("ffn_up"), 0..ffn, &normed),
                            ),
                        };
                        gate.iter().zip(up).map(|(g, u)| if gemma { gelu(*g) } else { silu(*g) } * u).collect()
                    }
                };
                let mut out = self.projected(&name("ffn_down"), 0..d, &hidden);
                if gemma {
                    out = self.normed(&out, &name("post_ffw_norm"));
                }
                x[position].iter_mut().zip(out).for_each(|(x, o)| *x += o);
            }
        }
        let last = self.normed(x.last().unwrap(), "output_norm");
        let output = if self.tensors.contains_key("output.weight") { "output" } else { "token_embd" };
        let n_vocab = self.get("token_embd.weight").len() / d;
        self.projected(output, 0..n_vocab, &last)
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn times(matrix: &[f32], x: &[f32]) -> Vec<f32> {
    matrix.chunks(x.len()).map(|row| dot(row, x)).collect()
}

fn norm(x: &[f32], weight: &[f32], epsilon: f32) -> Vec<f32> {
    let scale = 1.0 / (dot(x, x) / x.len() as f32 + epsilon).sqrt();
    x.iter().zip(weight).map(|(x, w)| x * scale * w).collect()
}

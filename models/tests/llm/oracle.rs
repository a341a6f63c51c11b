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

    /// The embedding of each token, one row after the other.
    pub fn embed(&self, tokens: &[u32]) -> Vec<f32> {
        let d = self.int("embedding_length");
        tokens.iter().flat_map(|t| self.get("token_embd.weight")[*t as usize * d..][..d].to_vec()).collect()
    }

    /// Logits after the last of these tokens.
    pub fn logits(&self, tokens: &[u32]) -> Vec<f32> {
        self.logits_of_rows(&self.embed(tokens))
    }

    /// Logits after the last of these embeddings.
    pub fn logits_of_rows(&self, rows: &[f32]) -> Vec<f32> {
        let (d, heads, ffn) =
            (self.int("embedding_length"), self.int("attention.head_count"), self.int("feed_forward_length"));
        let kv_heads = self.int("attention.head_count_kv");
        let head_dim = self.maybe("attention.key_length").map_or(d / heads, |v| v.to_u32().unwrap() as usize);
        let epsilon = self.maybe("attention.layer_norm_rms_epsilon").unwrap().to_f32().unwrap();
        let base = self.maybe("rope.freq_base").map_or(10000.0, |v| v.to_f32().unwrap());
        let rotated = self.maybe("rope.dimension_count").map_or(head_dim, |v| v.to_u32().unwrap() as usize);
        let linear = self.maybe("rope.scaling.factor").map_or(1.0, |v| v.to_f32().unwrap());
        let ones = vec![1.0; rotated / 2];
        let factors = self.tensors.get("rope_freqs.weight").unwrap_or(&ones);
        let mut x: Vec<Vec<f32>> = rows.chunks(d).map(<[f32]>::to_vec).collect();
        for layer in 0..self.int("block_count") {
            let name = |suffix: &str| format!("blk.{layer}.{suffix}");
            let (mut qs, mut ks, mut vs) = (Vec::new(), Vec::new(), Vec::new());
            for (position, row) in x.iter().enumerate() {
                let normed = norm(row, self.get(&name("attn_norm.weight")), epsilon);
                let project = |which: &str, n: usize| {
                    let mut out = times(self.get(&name(&format!("attn_{which}.weight"))), &normed);
                    if let Some(bias) = self.tensors.get(&name(&format!("attn_{which}.bias"))) {
                        out.iter_mut().zip(bias).for_each(|(o, b)| *o += b);
                    }
                    assert_eq!(out.len(), n * head_dim);
                    let norms = self.tensors.get(&name(&format!("attn_{which}_norm.weight")));
                    for head in out.chunks_mut(head_dim) {
                        if let Some(weight) = norms {
                            let normed = norm(head, weight, epsilon);
                            head.copy_from_slice(&normed);
                        }
                        if which == "v" {
                            continue;
                        }
                        for i in 0..rotated / 2 {
                            let frequency = f64::from(base).powf(-2.0 * i as f64 / rotated as f64)
                                / f64::from(factors[i])
                                / f64::from(linear);
                            let (sin, cos) = (position as f64 * frequency).sin_cos();
                            let (a, b) =
                                if self.architecture == "llama" { (2 * i, 2 * i + 1) } else { (i, i + rotated / 2) };
                            let (p, q) = (f64::from(head[a]), f64::from(head[b]));
                            head[a] = (p * cos - q * sin) as f32;
                            head[b] = (p * sin + q * cos) as f32;
                        }
                    }
                    out
                };
                qs.push(project("q", heads));
                ks.push(project("k", kv_heads));
                vs.push(project("v", kv_heads));
            }
            for position in 0..x.len() {
                let mut attended = vec![0.0; heads * head_dim];
                for head in 0..heads {
                    let from = head / (heads / kv_heads) * head_dim;
                    let q = &qs[position][head * head_dim..][..head_dim];
                    let scores: Vec<f32> = (0..=position)
                        .map(|p| dot(q, &ks[p][from..from + head_dim]) / (head_dim as f32).sqrt())
                        .collect();
                    let largest = scores.iter().copied().fold(f32::MIN, f32::max);
                    let weights: Vec<f32> = scores.iter().map(|s| (s - largest).exp()).collect();
                    let total: f32 = weights.iter().sum();
                    for (p, weight) in weights.iter().enumerate() {
                        for i in 0..head_dim {
                            attended[head * head_dim + i] += weight / total * vs[p][from + i];
                        }
                    }
                }
                let out = times(self.get(&name("attn_output.weight")), &attended);
                x[position].iter_mut().zip(out).for_each(|(x, o)| *x += o);
                let normed = norm(&x[position], self.get(&name("ffn_norm.weight")), epsilon);
                let (gate, up) = (
                    times(self.get(&name("ffn_gate.weight")), &normed),
                    times(self.get(&name("ffn_up.weight")), &normed),
                );
                assert_eq!(gate.len(), ffn);
                let hidden: Vec<f32> = gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
                let out = times(self.get(&name("ffn_down.weight")), &hidden);
                x[position].iter_mut().zip(out).for_each(|(x, o)| *x += o);
            }
        }
        let last = norm(x.last().unwrap(), self.get("output_norm.weight"), epsilon);
        times(self.tensors.get("output.weight").unwrap_or(&self.tensors["token_embd.weight"]), &last)
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

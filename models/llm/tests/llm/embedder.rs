//! Embeddings: random encoders of both families against plain arithmetic, all-MiniLM-L6-v2 against its own runtime, and language models
//! against the logits of their sessions.

use std::collections::HashMap;
use std::ops::ControlFlow::{Break, Continue};
use std::path::Path;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use nearfield_llm::{Embedder, Llm, LlmOptions, Pooling, Session, SessionOptions, TokenId};
use proptest::prelude::*;

use crate::synthetic::Recipe;

const D: usize = 64;
const FFN: usize = 96;
const HEADS: usize = 4;
const LAYERS: usize = 2;
const POSITIONS: usize = 32;
const WORDS: [&str; 14] = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "\u{2581}the",
    "\u{2581}lamp",
    "\u{2581}un",
    "light",
    "s",
    "\u{2581}.",
    "ed",
    "\u{2581}cafe",
    "\u{2581}on",
    "\u{2581}東",
];

/// A random encoder, and its numbers.
struct Random {
    tensors: HashMap<String, (Vec<f32>, Vec<usize>)>,
    architecture: &'static str,
    pooling: u32,
}

impl Random {
    fn new(architecture: &'static str, pooling: u32) -> Random {
        let mut state = 88_172_645_463_325_252u64;
        let mut random = |shape: &[usize], mean: f32, spread: f32| {
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            };
            ((0..shape.iter().product()).map(|_| mean + next() * spread).collect(), shape.to_vec())
        };
        let mut tensors = HashMap::new();
        let mut put = |name: &str, shape: &[usize], mean: f32, spread: f32| {
            tensors.insert(name.to_owned(), random(shape, mean, spread));
        };
        let nomic = architecture == "nomic-bert";
        put("token_embd.weight", &[WORDS.len(), D], 0.0, 1.0);
        put("token_types.weight", &[2, D], 0.0, 0.5);
        if !nomic {
            put("position_embd.weight", &[POSITIONS, D], 0.0, 0.7);
        }
        let mut norms = vec!["token_embd_norm".to_owned()];
        for layer in 0..LAYERS {
            let name = |which: &str| format!("blk.{layer}.{which}");
            let matrices: &[(&str, usize, usize)] = match nomic {
                true => &[
                    ("attn_qkv", 3 * D, D),
                    ("attn_output", D, D),
                    ("ffn_gate", FFN, D),
                    ("ffn_up", FFN, D),
                    ("ffn_down", D, FFN),
                ],
                false => &[
                    ("attn_q", D, D),
                    ("attn_k", D, D),
                    ("attn_v", D, D),
                    ("attn_output", D, D),
                    ("ffn_up", FFN, D),
                    ("ffn_down", D, FFN),
                ],
            };
            for (which, rows, columns) in matrices {
                put(&name(&format!("{which}.weight")), &[*rows, *columns], 0.0, 0.3);
                if !nomic {
                    put(&name(&format!("{which}.bias")), &[*rows], 0.0, 0.5);
                }
            }
            norms.extend([name("attn_output_norm"), name("layer_output_norm")]);
        }
        for norm in norms {
            put(&format!("{norm}.weight"), &[D], 1.0, 0.3);
            put(&format!("{norm}.bias"), &[D], 0.0, 0.3);
        }
        Random { tensors, architecture, pooling }
    }

    fn write(&self, path: &Path) {
        let key = |suffix: &str| format!("{}.{suffix}", self.architecture);
        let words = WORDS.iter().map(|word| Value::String((*word).to_owned())).collect();
        let metadata: Vec<(String, Value)> = vec![
            ("general.architecture".into(), Value::String(self.architecture.into())),
            (key("context_length"), Value::U32(POSITIONS as u32)),
            (key("embedding_length"), Value::U32(D as u32)),
            (key("feed_forward_length"), Value::U32(FFN as u32)),
            (key("block_count"), Value::U32(LAYERS as u32)),
            (key("attention.head_count"), Value::U32(HEADS as u32)),
            (key("attention.layer_norm_epsilon"), Value::F32(1e-12)),
            (key("attention.causal"), Value::Bool(false)),
            (key("pooling_type"), Value::U32(self.pooling)),
            (key("rope.freq_base"), Value::F32(1000.0)),
            ("tokenizer.ggml.model".into(), Value::String("bert".into())),
            ("tokenizer.ggml.tokens".into(), Value::Array(words)),
            ("tokenizer.ggml.unknown_token_id".into(), Value::U32(1)),
        ];
        let tensors: Vec<(&String, QTensor)> = self
            .tensors
            .iter()
            .map(|(name, (values, shape))| {
                let tensor = Tensor::from_vec(values.clone(), &shape[..], &Device::Cpu).unwrap();
                (name, QTensor::quantize(&tensor, GgmlDType::F32).unwrap())
            })
            .collect();
        let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
        let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        gguf_file::write(&mut std::fs::File::create(path).unwrap(), &metadata, &tensors).unwrap();
    }

    fn get(&self, name: &str) -> &[f32] {
        &self.tensors[name].0
    }

    fn norm(&self, row: &[f32], name: &str) -> Vec<f32> {
        let mean = row.iter().sum::<f32>() / row.len() as f32;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / row.len() as f32;
        let (weight, bias) = (self.get(&format!("{name}.weight")), self.get(&format!("{name}.bias")));
        let scaled = row.iter().map(|x| (x - mean) / (variance + 1e-12).sqrt());
        scaled.zip(weight).zip(bias).map(|((x, weight), bias)| x * weight + bias).collect()
    }

    /// Rows `from..from + rows` of a matrix times `x`, with the bias if there is one.
    fn times(&self, name: &str, from: usize, rows: usize, x: &[f32]) -> Vec<f32> {
        let matrix = self.get(&format!("{name}.weight"));
        let bias = self.tensors.get(&format!("{name}.bias"));
        let row = |row: usize| {
            let product = matrix[row * x.len()..][..x.len()].iter().zip(x).map(|(a, b)| a * b).sum::<f32>();
            product + bias.map_or(0.0, |(bias, _)| bias[row])
        };
        (from..from + rows).map(row).collect()
    }

    /// The embedding by plain arithmetic.
    fn embedding(&self, tokens: &[TokenId]) -> Vec<f32> {
        let nomic = self.architecture == "nomic-bert";
        let row = |(at, token): (usize, &TokenId)| {
            let mut row = self.get("token_embd.weight")[token.0 as usize * D..][..D].to_vec();
            for (i, x) in row.iter_mut().enumerate() {
                *x += self.get("token_types.weight")[i];
                if !nomic {
                    *x += self.get("position_embd.weight")[at * D + i];
                }
            }
            self.norm(&row, "token_embd_norm")
        };
        let mut rows: Vec<Vec<f32>> = tokens.iter().enumerate().map(row).collect();
        let head = D / HEADS;
        let turn = |at: usize, row: &mut [f32]| {
            for heads in row.chunks_exact_mut(head) {
                for i in 0..head / 2 {
                    let angle = at as f32 * 1000f32.powf(-2.0 * i as f32 / head as f32);
                    let (a, b) = (heads[i], heads[i + head / 2]);
                    heads[i] = a * angle.cos() - b * angle.sin();
                    heads[i + head / 2] = a * angle.sin() + b * angle.cos();
                }
            }
        };
        for layer in 0..LAYERS {
            let name = |which: &str| format!("blk.{layer}.{which}");
            let part = |part: usize, x: &[f32]| match nomic {
                true => self.times(&name("attn_qkv"), part * D, D, x),
                false => self.times(&name(["attn_q", "attn_k", "attn_v"][part]), 0, D, x),
            };
            let all = |which: usize| -> Vec<Vec<f32>> {
                let turned = |(at, x): (usize, &Vec<f32>)| {
                    let mut row = part(which, x);
                    if nomic && which < 2 {
                        turn(at, &mut row);
                    }
                    row
                };
                rows.iter().enumerate().map(turned).collect()
            };
            let (q, k, v) = (all(0), all(1), all(2));
            let attended = |q: &Vec<f32>| -> Vec<f32> {
                let mut out = vec![0.0; D];
                for h in 0..HEADS {
                    let here = h * head..(h + 1) * head;
                    let score = |k: &Vec<f32>| {
                        q[here.clone()].iter().zip(&k[here.clone()]).map(|(a, b)| a * b).sum::<f32>()
                            / (head as f32).sqrt()
                    };
                    let scores: Vec<f32> = k.iter().map(score).collect();
                    let largest = scores.iter().copied().fold(f32::MIN, f32::max);
                    let weights: Vec<f32> = scores.iter().map(|score| (score - largest).exp()).collect();
                    let total: f32 = weights.iter().sum();
                    for (weight, v) in weights.iter().zip(&v) {
                        here.clone().for_each(|i| out[i] += weight / total * v[i]);
                    }
                }
                out
            };
            let attended: Vec<Vec<f32>> = q.iter().map(attended).collect();
            let plus = |x: &[f32], y: &[f32]| -> Vec<f32> { x.iter().zip(y).map(|(x, y)| x + y).collect() };
            for (x, attended) in rows.iter_mut().zip(attended) {
                let sum = plus(x, &self.times(&name("attn_output"), 0, D, &attended));
                *x = self.norm(&sum, &name("attn_output_norm"));
                let up = self.times(&name("ffn_up"), 0, FFN, x);
                let hidden: Vec<f32> = match nomic {
                    true => {
                        let gate = self.times(&name("ffn_gate"), 0, FFN, x);
                        gate.iter().zip(up).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect()
                    }
                    false => {
                        let gelu = |x: f32| 0.5 * x * (1.0 + (0.797_884_6 * (x + 0.044_715 * x * x * x)).tanh());
                        up.into_iter().map(gelu).collect()
                    }
                };
                let sum = plus(x, &self.times(&name("ffn_down"), 0, D, &hidden));
                *x = self.norm(&sum, &name("layer_output_norm"));
            }
        }
        let pooled: Vec<f32> = match self.pooling {
            1 => (0..D).map(|i| rows.iter().map(|row| row[i]).sum::<f32>() / rows.len() as f32).collect(),
            _ => rows[0].clone(),
        };
        let length = pooled.iter().map(|x| x * x).sum::<f32>().sqrt();
        pooled.iter().map(|x| x / length).collect()
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn ids(tokens: &[TokenId]) -> Vec<u32> {
    tokens.iter().map(|token| token.0).collect()
}

#[test]
fn random_encoders_of_both_families_give_what_plain_arithmetic_gives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("encoder.gguf");
    for (architecture, pooling) in [("bert", 1), ("bert", 2), ("nomic-bert", 1)] {
        let random = Random::new(architecture, pooling);
        random.write(&path);
        let embedder = Embedder::open(&path, &LlmOptions { threads: 2 }).unwrap();
        assert_eq!(embedder.dimensions(), D);
        assert_eq!(embedder.pooling(), if pooling == 1 { Pooling::Mean } else { Pooling::Cls });
        let texts: Vec<Vec<TokenId>> =
            ["The lamps.", "unlighted", "", "on on on on on on on on on the lamp on 東", "lamp"]
                .iter()
                .map(|text| embedder.encode(text).unwrap())
                .collect();
        let vectors = embedder.embed(&texts, &mut || Continue(())).unwrap().unwrap();
        for (text, vector) in texts.iter().zip(&vectors) {
            let cosine = cosine(vector, &random.embedding(text));
            assert!(cosine > 0.999_99, "{architecture}: {cosine} for {text:?}");
        }
        // Alone and among others: the same.
        let alone = embedder.embed(&texts[3..4], &mut || Continue(())).unwrap().unwrap();
        assert!(cosine(&alone[0], &vectors[3]) > 0.999_999);
        assert!(cosine(&vectors[0], &vectors[1]) < 0.99, "different texts have different vectors");
        assert!(embedder.embed(&texts, &mut || Break(())).unwrap().is_none());
    }
}

#[test]
fn words_are_cut_into_the_longest_pieces_between_the_two_marks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("encoder.gguf");
    Random::new("bert", 1).write(&path);
    let embedder = Embedder::open(&path, &LlmOptions { threads: 1 }).unwrap();
    let tokens = |text: &str| ids(&embedder.encode(text).unwrap());
    assert_eq!(tokens("The  lamps."), [2, 4, 5, 8, 9, 3]);
    assert_eq!(tokens("UNLIGHTED"), [2, 6, 7, 10, 3]);
    assert_eq!(tokens("Café东東"), [2, 11, 1, 13, 3], "accents go, and signs of Chinese are words");
    assert_eq!(tokens("[CLS]"), [2, 1, 1, 1, 3], "nobody writes marks");
    let mut long = embedder.encode(&"lamp ".repeat(100)).unwrap();
    assert!(embedder.embed(std::slice::from_ref(&long), &mut || Continue(())).unwrap_err().to_string().contains("102"));
    embedder.cut(&mut long);
    assert_eq!((long.len(), long.last().unwrap().0), (POSITIONS, 3));
    embedder.embed(&[long], &mut || Continue(())).unwrap();
    for wrong in [vec![], vec![TokenId(14)]] {
        assert!(embedder.embed(&[wrong], &mut || Continue(())).is_err());
    }
}

#[test]
fn a_language_models_embedding_is_the_state_that_its_logits_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    Recipe { tied: true, ..Recipe::plain(GgmlDType::F32) }.write(&path);
    let embedder = Embedder::open(&path, &LlmOptions { threads: 2 });
    // It carries no vocabulary, so texts can't go in.
    assert!(embedder.unwrap_err().to_string().contains("vocabulary"));
    let path = nearfield_testdata::asset("models/talk-nano.gguf");
    let (embedder, llm) =
        (Embedder::open(&path, &LlmOptions::default()).unwrap(), Llm::open(&path, &LlmOptions::default()).unwrap());
    assert_eq!(embedder.pooling(), Pooling::Last);
    let tokens = embedder.encode(&"Turn on the kitchen light. ".repeat(20)).unwrap();
    assert!(tokens.len() > 64, "more than a block");
    let vector = embedder.embed(std::slice::from_ref(&tokens), &mut || Continue(())).unwrap().unwrap().remove(0);
    let mut session = Session::new(llm.clone(), &SessionOptions::default()).unwrap();
    session.prompt(&tokens, &mut || Continue(())).unwrap();
    // Its embedding serves as the output too.
    let logit =
        |token: u32| llm.embedding(TokenId(token)).unwrap().iter().zip(&vector).map(|(a, b)| a * b).sum::<f32>();
    let ours: Vec<f32> = (0..llm.info().vocab_size as u32).map(logit).collect();
    let cosine = cosine(&ours, session.logits());
    assert!(cosine > 0.999, "{cosine}");
}

#[test]
fn real_minilm_gives_the_vectors_of_its_own_runtime() {
    let golden: serde_json::Value = serde_json::from_str(include_str!("minilm-golden.json")).unwrap();
    for (file, bound) in [("all-minilm-l6-v2.gguf", 0.9999), ("all-minilm-l6-v2-Q8_0.gguf", 0.998)] {
        let Some(path) = nearfield_testdata::test_model(file) else { continue };
        let embedder = Embedder::open(&path, &LlmOptions::default()).unwrap();
        let (mut tokens, mut due) = (Vec::new(), Vec::new());
        for text in golden["texts"].as_array().unwrap() {
            let mut ours = embedder.encode(text["text"].as_str().unwrap()).unwrap();
            embedder.cut(&mut ours);
            let theirs: Vec<u32> = serde_json::from_value(text["tokens"].clone()).unwrap();
            assert_eq!(ids(&ours), theirs, "{}", text["text"]);
            tokens.push(ours);
            due.push(serde_json::from_value::<Vec<f32>>(text["vector"].clone()).unwrap());
        }
        let vectors = embedder.embed(&tokens, &mut || Continue(())).unwrap().unwrap();
        let worst = vectors.iter().zip(&due).map(|(a, b)| cosine(a, b)).fold(1.0, f64::min);
        let mut apart = 0f64;
        for i in 0..due.len() {
            for j in 0..i {
                apart = apart.max((cosine(&vectors[i], &vectors[j]) - cosine(&due[i], &due[j])).abs());
            }
        }
        eprintln!(
            "{file}: cosine with its own runtime at least {worst:.6}, cosines between texts off by at most {apart:.6}"
        );
        assert!(worst > bound && apart < 5.0 * (1.0 - bound) + 0.001, "{file}: {worst}, {apart}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn changed_bytes_of_an_encoder_never_panic(changes in prop::collection::vec((0..4000usize, any::<u8>()), 1..6)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("encoder.gguf");
        Random::new("bert", 1).write(&path);
        let mut bytes = std::fs::read(&path).unwrap();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        std::fs::write(&path, bytes).unwrap();
        if let Ok(embedder) = Embedder::open(&path, &LlmOptions { threads: 1 })
            && let Ok(mut tokens) = embedder.encode("the lamps")
        {
            embedder.cut(&mut tokens);
            let _ = embedder.embed(&[tokens], &mut || Continue(()));
        }
    }
}

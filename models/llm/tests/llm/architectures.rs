//! Every architecture as a small model with random weights, against the logits that llama.cpp gives for the same file. Its answers
//! stand in `data/architectures.json`; `peers-bench architectures` writes them, from the files that the ignored test here writes.

use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use nearfield_llm::{CacheType, Llm, LlmOptions, Session, SessionOptions, TokenId};
use std::ops::ControlFlow;

use crate::synthetic::agreement;
use crate::{gemma, hybrid};

pub const D: usize = 256;
pub const HEAD: usize = 32;
pub const FFN: usize = 512;
pub const VOCAB: usize = 300;
/// Tokens after which the logits are compared.
const TOKENS: usize = 48;

/// Models by name: the architecture, and what sets the file apart from another of the same architecture.
pub const MODELS: &[(&str, &str)] = &[
    ("llama", ""),
    ("llama", "experts"), // Mixtral
    ("qwen", ""),
    ("qwen2", ""),
    ("qwen2moe", ""),
    ("qwen3", ""),
    ("qwen3moe", ""),
    ("phi2", ""),
    ("phi3", ""),
    ("phimoe", ""),
    ("gemma2", ""),
    ("gemma3", ""),
    ("smollm3", ""),
    ("granite", ""),
    ("granitemoe", ""),
    ("granitemoe", "shared"),
    ("olmo2", ""),
    ("olmo2", "window"), // OLMo 3
    ("gpt-oss", ""),
    ("stablelm", ""),
    ("stablelm", "parallel"),
    ("falcon", ""),
    ("falcon", "two-norms"),
    ("gptneox", ""),
    ("gptneox", "sequential"),
    ("starcoder2", ""),
    ("internlm2", ""),
    ("exaone", ""),
    ("mpt", ""),
    ("bloom", ""),
    ("bitnet", ""),
    ("lfm2", ""),
    ("qwen35", ""),
    ("gemma3n", ""),
    ("gemma4", ""),
    ("gemma4", "large"),
];

/// A file in the making.
pub struct Writer {
    state: u64,
    tensors: Vec<(String, QTensor)>,
    /// How matrices are stored whose columns fill its blocks.
    pub kind: GgmlDType,
    pub metadata: Vec<(String, Value)>,
    pub architecture: &'static str,
}

impl Writer {
    pub fn new(architecture: &'static str) -> Writer {
        Writer {
            state: 88_172_645_463_325_252,
            tensors: Vec::new(),
            kind: GgmlDType::F32,
            metadata: Vec::new(),
            architecture,
        }
    }

    fn random(&mut self, len: usize, mean: f32, spread: f32) -> Vec<f32> {
        let mut next = || {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            (self.state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        };
        (0..len).map(|_| mean + (next() + next() + next()) * spread).collect()
    }

    pub fn put(&mut self, name: String, mean: f32, spread: f32, shape: &[usize]) {
        let values = self.random(shape.iter().product(), mean, spread);
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        self.tensors.push((name, QTensor::quantize(&tensor, GgmlDType::F32).unwrap()));
    }

    pub fn constants(&mut self, name: &str, values: &[f32]) {
        let tensor = Tensor::from_slice(values, values.len(), &Device::Cpu).unwrap();
        self.tensors.push((name.to_owned(), QTensor::quantize(&tensor, GgmlDType::F32).unwrap()));
    }

    pub fn vector(&mut self, name: String, mean: f32, spread: f32, len: usize) {
        self.put(name, mean, spread, &[len]);
    }

    pub fn matrix(&mut self, name: String, rows: usize, columns: usize) {
        self.put(name, 0.0, 0.06, &[rows, columns]);
        if self.kind != GgmlDType::F32
            && columns.is_multiple_of(self.kind.block_size())
            && let Some((_, tensor)) = self.tensors.last_mut()
        {
            let floats = tensor.dequantize(&Device::Cpu).unwrap();
            *tensor = QTensor::quantize(&floats, self.kind).unwrap();
        }
    }

    pub fn key(&mut self, suffix: &str, value: Value) {
        self.metadata.push((format!("{}.{suffix}", self.architecture), value));
    }

    pub fn ints(&mut self, pairs: &[(&str, usize)]) {
        pairs.iter().for_each(|(suffix, value)| self.key(suffix, Value::U32(*value as u32)));
    }

    pub fn floats(&mut self, pairs: &[(&str, f32)]) {
        pairs.iter().for_each(|(suffix, value)| self.key(suffix, Value::F32(*value)));
    }

    /// Writes the file, with these values in the place of others of the same name.
    pub fn finish(&mut self, path: &Path, others: &[(&str, Value)]) {
        for (suffix, value) in others {
            let whole = ["tokenizer.", "general."].iter().any(|prefix| suffix.starts_with(prefix));
            let key = if whole { (*suffix).to_owned() } else { format!("{}.{suffix}", self.architecture) };
            self.metadata.retain(|(known, _)| *known != key);
            self.metadata.push((key, value.clone()));
        }
        let metadata: Vec<(&str, &Value)> = self.metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
        let tensors: Vec<(&str, &QTensor)> =
            self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        gguf_file::write(&mut std::fs::File::create(path).unwrap(), &metadata, &tensors).unwrap();
    }

    /// The matrices `gate`, `up` and `down` of experts.
    fn experts(&mut self, block: &str, n: usize, width: usize, biased: bool) {
        self.matrix(format!("{block}.ffn_gate_inp.weight"), n, D);
        for (which, rows, columns) in [("gate", width, D), ("up", width, D), ("down", D, width)] {
            self.put(format!("{block}.ffn_{which}_exps.weight"), 0.0, 0.06, &[n, rows, columns]);
            if biased {
                self.put(format!("{block}.ffn_{which}_exps.bias"), 0.0, 0.3, &[n, rows]);
            }
        }
        if biased {
            self.vector(format!("{block}.ffn_gate_inp.bias"), 0.0, 0.3, n);
        }
    }

    fn shared_expert(&mut self, block: &str, width: usize) {
        for (which, rows, columns) in [("gate", width, D), ("up", width, D), ("down", D, width)] {
            self.matrix(format!("{block}.ffn_{which}_shexp.weight"), rows, columns);
        }
    }
}

/// Writes a small model of an architecture.
pub fn write(architecture: &'static str, kind: &str, path: &Path) {
    write_with(architecture, kind, path, &[]);
}

/// The same, whose metadata has other values.
pub fn write_with(architecture: &'static str, kind: &str, path: &Path, others: &[(&str, Value)]) {
    let mut w = Writer::new(architecture);
    let is = |names: &[&str]| names.contains(&architecture);
    let layered = is(&["phi2", "stablelm", "falcon", "gptneox", "starcoder2", "bloom", "mpt"]);
    let gated = !is(&["phi2", "falcon", "gptneox", "starcoder2", "bloom", "mpt"]);
    let heads = D / HEAD;
    let kv_heads = if is(&["qwen", "bloom", "mpt", "gptneox"]) { heads } else { 2 };
    let (n_q, n_kv) = (heads * HEAD, kv_heads * HEAD);
    let layers = if is(&["smollm3", "gemma2", "gpt-oss"]) {
        5
    } else if is(&["olmo2"]) {
        4
    } else if is(&["gemma3"]) {
        7
    } else {
        2
    };
    let moe = kind == "experts" || is(&["qwen2moe", "qwen3moe", "phimoe", "granitemoe", "gpt-oss"]);
    let expert_width = if is(&["qwen2moe", "qwen3moe", "gpt-oss"]) { 160 } else { FFN };
    w.metadata.push(("general.architecture".into(), Value::String(architecture.into())));
    w.metadata.push(("tokenizer.ggml.model".into(), Value::String("no_vocab".into())));
    if is(&["lfm2", "qwen35"]) {
        hybrid::fill(&mut w);
        return w.finish(path, others);
    }
    if is(&["gemma3n", "gemma4"]) {
        gemma::fill(&mut w, kind);
        return w.finish(path, others);
    }
    let rotated = match architecture {
        "phi2" => 12,
        "stablelm" | "gptneox" => 8,
        _ => HEAD,
    };
    w.ints(&[
        ("vocab_size", VOCAB),
        ("block_count", layers),
        ("context_length", 512),
        ("embedding_length", D),
        ("feed_forward_length", if architecture == "qwen" { 2 * FFN } else { FFN }),
        ("attention.head_count", heads),
        ("attention.head_count_kv", kv_heads),
        ("rope.dimension_count", rotated),
    ]);
    w.floats(&[(if layered { "attention.layer_norm_epsilon" } else { "attention.layer_norm_rms_epsilon" }, 1e-5)]);
    if is(&["gpt-oss", "gemma2", "gemma3", "qwen3", "qwen3moe"]) {
        w.ints(&[("attention.key_length", HEAD), ("attention.value_length", HEAD)]);
    }
    if moe {
        w.ints(&[("expert_count", 6), ("expert_used_count", 2)]);
        if expert_width != FFN {
            w.ints(&[("expert_feed_forward_length", expert_width)]);
        }
    }
    match architecture {
        "gemma2" => {
            w.ints(&[("attention.sliding_window", 9)]);
            w.floats(&[("attn_logit_softcapping", 5.0), ("final_logit_softcapping", 3.0)]);
        }
        "gemma3" => {
            w.ints(&[("attention.sliding_window", 9)]);
            w.floats(&[("rope.freq_base", 1e6)]);
        }
        "olmo2" if kind == "window" => w.ints(&[("attention.sliding_window", 9)]),
        "gpt-oss" => {
            w.ints(&[("attention.sliding_window", 9), ("rope.scaling.original_context_length", 64)]);
            w.floats(&[("rope.freq_base", 150_000.0), ("rope.scaling.factor", 32.0)]);
            w.key("rope.scaling.type", Value::String("yarn".into()));
        }
        "granite" | "granitemoe" => w.floats(&[
            ("embedding_scale", 6.0),
            ("residual_scale", 0.4),
            ("attention.scale", 0.1),
            ("logit_scale", 4.0),
        ]),
        "gptneox" => w.key("use_parallel_residual", Value::Bool(kind != "sequential")),
        "mpt" => w.floats(&[("attention.max_alibi_bias", 8.0), ("attention.clamp_kqv", 2.0)]),
        "qwen2moe" => w.ints(&[("expert_shared_feed_forward_length", 192)]),
        _ => {}
    }
    if kind == "shared" {
        w.ints(&[("expert_shared_feed_forward_length", 192)]);
    }
    w.put("token_embd.weight".into(), 0.0, 0.5, &[VOCAB, D]);
    w.put("output.weight".into(), 0.0, 0.05, &[VOCAB, D]);
    if is(&["gemma2", "bitnet"]) {
        w.tensors.pop(); // these share the embedding
    }
    if is(&["phi2", "phimoe"]) {
        w.vector("output.bias".into(), 0.0, 0.3, VOCAB);
    }
    let mut norms = vec![("output_norm".to_owned(), D)];
    if architecture == "bloom" {
        norms.push(("token_embd_norm".to_owned(), D));
    }
    for layer in 0..layers {
        let block = format!("blk.{layer}");
        let name = |which: &str| format!("{block}.{which}");
        if architecture != "olmo2" {
            norms.push((name("attn_norm"), D));
        }
        let shares_norm = is(&["phi2", "falcon", "olmo2", "gpt-oss"]) || kind == "parallel";
        if !shares_norm {
            norms.push((name("ffn_norm"), D));
        }
        if is(&["gemma2", "gemma3", "olmo2", "gpt-oss"]) {
            norms.push((name("post_attention_norm"), D));
        }
        if is(&["gemma2", "gemma3", "olmo2"]) {
            norms.push((name("post_ffw_norm"), D));
        }
        if kind == "two-norms" {
            norms.push((name("attn_norm_2"), D));
        }
        if architecture == "bitnet" {
            norms.extend([(name("attn_sub_norm"), D), (name("ffn_sub_norm"), FFN)]);
        }
        let biased = is(&["phi2", "gptneox", "starcoder2", "bloom", "gpt-oss", "phimoe"]);
        let mut biases: Vec<(&str, usize)> = Vec::new();
        if is(&["phi2", "phi3", "falcon", "gptneox", "mpt", "bloom", "qwen"]) {
            w.matrix(name("attn_qkv.weight"), n_q + 2 * n_kv, D);
            if biased || architecture == "qwen" {
                biases.push(("attn_qkv", n_q + 2 * n_kv));
            }
        } else {
            for (which, rows) in [("attn_q", n_q), ("attn_k", n_kv), ("attn_v", n_kv)] {
                w.matrix(name(&format!("{which}.weight")), rows, D);
                if biased || is(&["qwen2", "qwen2vl", "qwen2moe", "stablelm"]) {
                    biases.push((which, rows));
                }
            }
        }
        w.matrix(name("attn_output.weight"), D, n_q);
        if biased {
            biases.push(("attn_output", D));
        }
        if moe {
            w.experts(&block, 6, expert_width, architecture == "gpt-oss");
            if architecture == "qwen2moe" || kind == "shared" {
                w.shared_expert(&block, 192);
            }
            if architecture == "qwen2moe" {
                w.vector(name("ffn_gate_inp_shexp.weight"), 0.0, 0.06, D);
            }
        } else {
            let width = if architecture == "phi3" { 2 * FFN } else { FFN };
            if gated && architecture != "phi3" {
                w.matrix(name("ffn_gate.weight"), FFN, D);
            }
            w.matrix(name("ffn_up.weight"), width, D);
            w.matrix(name("ffn_down.weight"), D, FFN);
            if biased {
                biases.extend([("ffn_up", FFN), ("ffn_down", D)]);
            }
        }
        for (which, rows) in biases {
            w.vector(name(&format!("{which}.bias")), 0.0, 0.3, rows);
        }
        if is(&["qwen3", "qwen3moe", "gemma3"]) {
            w.vector(name("attn_q_norm.weight"), 1.0, 0.2, HEAD);
            w.vector(name("attn_k_norm.weight"), 1.0, 0.2, HEAD);
        }
        if architecture == "olmo2" {
            w.vector(name("attn_q_norm.weight"), 1.0, 0.2, n_q);
            w.vector(name("attn_k_norm.weight"), 1.0, 0.2, n_kv);
        }
        if kind == "parallel" {
            w.put(name("attn_q_norm.weight"), 1.0, 0.2, &[heads, HEAD]);
            w.put(name("attn_k_norm.weight"), 1.0, 0.2, &[kv_heads, HEAD]);
        }
        if architecture == "gpt-oss" {
            w.vector(name("attn_sinks.weight"), 0.5, 0.5, heads);
        }
        if architecture == "bitnet" {
            for which in ["attn_q", "attn_output", "ffn_up", "ffn_down"] {
                w.vector(name(&format!("{which}.scale")), 0.6, 0.1, 1);
            }
        }
    }
    for (name, len) in norms {
        w.vector(format!("{name}.weight"), 1.0, 0.1, len);
        if layered && architecture != "mpt" || architecture == "phimoe" {
            w.vector(format!("{name}.bias"), 0.0, 0.1, len);
        }
    }
    w.finish(path, others);
}

fn file_name(architecture: &str, kind: &str) -> String {
    if kind.is_empty() { architecture.to_owned() } else { format!("{architecture}-{kind}") }
}

/// The made-up tokens of the peers.
fn tokens(n: usize) -> Vec<TokenId> {
    (0..n as u64).map(|index| TokenId(((index + 1) * 2_654_435_761 % VOCAB as u64) as u32)).collect()
}

fn go_on() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn session(path: &Path, cache: CacheType) -> Session {
    let llm = Llm::open(path, &LlmOptions { threads: 2 }).unwrap_or_else(|error| panic!("{error}"));
    Session::new(llm, &SessionOptions { context_tokens: 128, cache }).unwrap()
}

#[test]
fn every_architecture_computes_the_logits_that_llama_cpp_computes() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/architectures.json");
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (architecture, kind) in MODELS {
        let name = file_name(architecture, kind);
        let path = folder.path().join("model.gguf");
        write(architecture, kind, &path);
        let expected: Vec<f32> = serde_json::from_value(golden[&name].clone()).unwrap_or_else(|_| panic!("there are no logits of llama.cpp for {name}: see CONTRIBUTING.md, \"Add a language-model architecture\""));
        let mut session = session(&path, CacheType::F16);
        session.prompt(&tokens(TOKENS), &mut go_on).unwrap();
        let (correlation, difference) = agreement(session.logits(), &expected);
        eprintln!(
            "{name}: largest difference from llama.cpp {difference:.5} of the deviation, correlation {correlation}"
        );
        assert!(difference < 5e-3 && correlation > 0.9999, "{name}: {difference}, {correlation}");
    }
}

#[test]
fn every_architecture_goes_on_from_its_cache_as_from_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    for (architecture, kind) in MODELS {
        let name = file_name(architecture, kind);
        let path = folder.path().join("model.gguf");
        write(architecture, kind, &path);
        for cache in [CacheType::F16, CacheType::Q8_0] {
            let mut warm = session(&path, cache);
            let (first, second) = (tokens(TOKENS), [&tokens(30)[..], &tokens(90)[60..]].concat());
            warm.prompt(&first, &mut go_on).unwrap();
            // Recurrent layers begin anew where no copy of their states was kept.
            let reused = if ["lfm2", "qwen35"].contains(architecture) { 0 } else { 30 };
            assert_eq!(warm.prompt(&second, &mut go_on).unwrap().reused, reused, "{name}");
            let mut cold = Session::new(warm.llm().clone(), &SessionOptions { context_tokens: 128, cache }).unwrap();
            cold.prompt(&second, &mut go_on).unwrap();
            let (_, difference) = agreement(warm.logits(), cold.logits());
            assert!(difference < 5e-3, "{name} {cache:?}: from the cache {difference}");
            // A few tokens in one pass are what they are one by one, to the last bit; so is what follows a cut.
            let mut fork = cold.fork().unwrap();
            cold.append_each(&tokens(100)[95..]).unwrap();
            for (n, token) in tokens(100)[95..].iter().enumerate() {
                fork.step(*token).unwrap();
                assert_eq!(fork.logits(), cold.logits_after(second.len() + n + 1), "{name} {cache:?}");
            }
            let before = cold.logits().to_vec();
            cold.truncate(second.len() + 2);
            for token in &tokens(100)[97..] {
                cold.step(*token).unwrap();
            }
            assert_eq!(cold.logits(), before, "{name} {cache:?}");
        }
    }
}

#[test]
fn only_the_experts_that_a_token_uses_are_counted_as_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    write("qwen3moe", "", &path);
    let llm = Llm::open(&path, &LlmOptions { threads: 1 }).unwrap();
    let (attention, expert) = ((2 * 256 + 2 * 64) * D, 3 * 160 * D);
    let floats = 2 * (attention + 6 * D + 2 * expert) + VOCAB * D;
    assert_eq!(llm.info().bytes_per_token, 4 * floats as u64);
}

/// `NEARFIELD_PEER=folder cargo test --release --workspace --test llm architectures -- --ignored`, then `peers-bench architectures`.
#[test]
#[ignore = "writes files for the peers"]
fn files_of_every_architecture_for_llama_cpp() {
    let folder = PathBuf::from(std::env::var_os("NEARFIELD_PEER").expect("NEARFIELD_PEER names a folder"));
    for (architecture, kind) in MODELS {
        write(architecture, kind, &folder.join(format!("{}.gguf", file_name(architecture, kind))));
    }
}

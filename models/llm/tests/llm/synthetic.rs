//! Small random models, written by candle in every type and for every family, against plain arithmetic over what candle reads
//! back. Also the tokenizers and templates, over vocabularies made for the purpose.

use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use nearfield_llm::{CacheType, Llm, LlmOptions, Message, Role, Session, SessionOptions, TokenId};
use std::ops::ControlFlow;

use crate::oracle::Oracle;

const D: usize = 256;
const FFN: usize = 512;
pub const VOCAB: usize = 300;
const HEAD: usize = 32;
const HEADS: usize = 8;
const KV_HEADS: usize = 2;

/// What a random model is like.
pub struct Recipe<'a> {
    pub architecture: &'a str,
    pub kind: GgmlDType,
    pub tied: bool,
    pub extra: Vec<(&'a str, Value)>,
    /// Tensors of factors for the pairs of a head, by name.
    pub rope_factors: Vec<(&'a str, Vec<f32>)>,
    pub layers: usize,
    pub vocab: usize,
}

impl Recipe<'_> {
    pub fn plain(kind: GgmlDType) -> Recipe<'static> {
        Recipe {
            architecture: "llama",
            kind,
            tied: false,
            extra: Vec::new(),
            rope_factors: Vec::new(),
            layers: 2,
            vocab: VOCAB,
        }
    }

    /// A small model of a family, with what its files say besides the dimensions.
    pub fn of_family(architecture: &'static str) -> Recipe<'static> {
        let (extra, layers) = match architecture {
            "phi2" => (vec![(".rope.dimension_count", Value::U32(12))], 2),
            "gemma3" => (vec![(".attention.sliding_window", Value::U32(9)), (".rope.freq_base", Value::F32(1e6))], 7),
            _ => (Vec::new(), 2),
        };
        Recipe { architecture, extra, layers, ..Recipe::plain(GgmlDType::F32) }
    }

    pub fn write(&self, path: &Path) {
        let mut state = 88_172_645_463_325_252u64;
        let mut random = |len: usize, mean: f32, spread: f32| -> Vec<f32> {
            let mut next = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            };
            (0..len).map(|_| mean + (next() + next() + next()) * spread).collect()
        };
        let mut tensors: Vec<(String, QTensor)> = Vec::new();
        let mut put = |name: String, values: Vec<f32>, shape: &[usize], kind| {
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            tensors.push((name, QTensor::quantize(&tensor, kind).unwrap()));
        };
        let float = GgmlDType::F32;
        put("token_embd.weight".into(), random(self.vocab * D, 0.0, 0.5), &[self.vocab, D], self.kind);
        let phi2 = self.architecture == "phi2";
        let gemma = self.architecture == "gemma3";
        let mut norms = vec!["output_norm".to_owned()];
        if !self.tied {
            put("output.weight".into(), random(self.vocab * D, 0.0, 0.05), &[self.vocab, D], self.kind);
            if phi2 {
                put("output.bias".into(), random(self.vocab, 0.0, 0.3), &[self.vocab], float);
            }
        }
        for (name, factors) in &self.rope_factors {
            put((*name).to_owned(), factors.clone(), &[factors.len()], float);
        }
        for layer in 0..self.layers {
            let name = |suffix: &str| format!("blk.{layer}.{suffix}");
            norms.push(name("attn_norm"));
            if !phi2 {
                norms.push(name("ffn_norm"));
            }
            if gemma {
                norms.extend([name("post_attention_norm"), name("post_ffw_norm")]);
            }
            let (q, kv) = (HEADS * HEAD, KV_HEADS * HEAD);
            let matrices: &[(&str, usize, usize)] = match self.architecture {
                "phi2" => {
                    &[("attn_qkv", q + 2 * kv, D), ("attn_output", D, q), ("ffn_up", FFN, D), ("ffn_down", D, FFN)]
                }
                "phi3" => {
                    &[("attn_qkv", q + 2 * kv, D), ("attn_output", D, q), ("ffn_up", 2 * FFN, D), ("ffn_down", D, FFN)]
                }
                _ => &[
                    ("attn_q", q, D),
                    ("attn_k", kv, D),
                    ("attn_v", kv, D),
                    ("attn_output", D, q),
                    ("ffn_gate", FFN, D),
                    ("ffn_up", FFN, D),
                    ("ffn_down", D, FFN),
                ],
            };
            for (which, rows, columns) in matrices {
                put(name(&format!("{which}.weight")), random(rows * columns, 0.0, 0.06), &[*rows, *columns], self.kind);
                if phi2 || self.architecture == "qwen2" && ["attn_q", "attn_k", "attn_v"].contains(which) {
                    put(name(&format!("{which}.bias")), random(*rows, 0.0, 0.5), &[*rows], float);
                }
            }
            if self.architecture == "qwen3" || gemma {
                for which in ["q", "k"] {
                    put(name(&format!("attn_{which}_norm.weight")), random(HEAD, 1.0, 0.2), &[HEAD], float);
                }
            }
        }
        for name in norms {
            put(format!("{name}.weight"), random(D, 1.0, 0.1), &[D], float);
            if phi2 {
                put(format!("{name}.bias"), random(D, 0.0, 0.1), &[D], float);
            }
        }
        let a = self.architecture;
        let mut metadata: Vec<(String, Value)> = vec![
            ("general.architecture".into(), Value::String(a.into())),
            (format!("{a}.block_count"), Value::U32(self.layers as u32)),
            (format!("{a}.context_length"), Value::U32(512)),
            (format!("{a}.embedding_length"), Value::U32(D as u32)),
            (format!("{a}.feed_forward_length"), Value::U32(FFN as u32)),
            (format!("{a}.attention.head_count"), Value::U32(HEADS as u32)),
            (format!("{a}.attention.head_count_kv"), Value::U32(KV_HEADS as u32)),
            (format!("{a}.attention.layer_norm_{}epsilon", if a == "phi2" { "" } else { "rms_" }), Value::F32(1e-5)),
        ];
        metadata.extend(self.extra.iter().map(|(key, value)| {
            let key = key.strip_prefix('.').map_or(key.to_string(), |suffix| format!("{a}.{suffix}"));
            (key, value.clone())
        }));
        let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
        let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        gguf_file::write(&mut std::fs::File::create(path).unwrap(), &metadata, &tensors).unwrap();
    }
}

pub fn open(recipe: &Recipe<'_>, folder: &Path) -> (Arc<Llm>, Oracle) {
    let path = folder.join("model.gguf");
    recipe.write(&path);
    (Llm::open(&path, &LlmOptions { threads: 2 }).unwrap(), Oracle::open(&path))
}

/// Correlation of two rows of logits, and their largest difference in units of the deviation.
pub fn agreement(a: &[f32], b: &[f32]) -> (f32, f32) {
    let mean = |x: &[f32]| x.iter().sum::<f32>() / x.len() as f32;
    let (ma, mb) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f32, f32) -> f32| a.iter().zip(b).map(|(a, b)| f(a - ma, b - mb)).sum::<f32>();
    let (aa, bb, ab) = (sum(&|a, _| a * a), sum(&|_, b| b * b), sum(&|a, b| a * b));
    let largest = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    (ab / (aa * bb).sqrt(), largest / (bb / b.len() as f32).sqrt())
}

fn check(recipe: &Recipe<'_>, most: f32) {
    let folder = tempfile::tempdir().unwrap();
    let (llm, oracle) = open(recipe, folder.path());
    let tokens: Vec<u32> = (0..70).map(|i| (i * 37 + 5) % VOCAB as u32).collect();
    let ids: Vec<TokenId> = tokens.iter().map(|t| TokenId(*t)).collect();
    let mut session = Session::new(llm, &SessionOptions { context_tokens: 80, ..SessionOptions::default() }).unwrap();
    for n in [1, 5, 70] {
        session.truncate(0);
        session.prompt(&ids[..n], &mut || ControlFlow::Continue(())).unwrap();
        let (correlation, difference) = agreement(session.logits(), &oracle.logits_within(&tokens[..n], 80));
        let what = format!(
            "{} {:?}, {n} tokens: correlation {correlation}, largest difference {difference}",
            recipe.architecture, recipe.kind
        );
        eprintln!("{what}");
        assert!(difference < most && correlation > 1.0 - most * most, "{what}");
    }
    let whole = session.logits().to_vec();
    session.truncate(66);
    for token in &ids[66..] {
        session.step(*token).unwrap();
    }
    let (_, difference) = agreement(session.logits(), &whole);
    // Sums are taken in another order, and now and then an activation is rounded the other way.
    assert!(difference < most, "step by step differs from blocks by {difference}");
}

#[test]
fn every_type_computes_what_its_weights_mean() {
    for kind in [GgmlDType::F32, GgmlDType::F16, GgmlDType::BF16] {
        check(&Recipe::plain(kind), 5e-3);
    }
    // Activations are rounded to 8 bits: that is the difference, and it is the same for all.
    for kind in [GgmlDType::Q8_0, GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q5_0, GgmlDType::Q5_1] {
        check(&Recipe::plain(kind), 0.12);
    }
    for kind in [GgmlDType::Q2K, GgmlDType::Q3K, GgmlDType::Q4K, GgmlDType::Q5K, GgmlDType::Q6K] {
        check(&Recipe::plain(kind), 0.12);
    }
}

#[test]
fn a_cache_of_bytes_takes_half_the_memory_and_changes_little() {
    let folder = tempfile::tempdir().unwrap();
    let (llm, oracle) = open(&Recipe::plain(GgmlDType::F32), folder.path());
    let tokens: Vec<u32> = (0..100).map(|i| (i * 37 + 5) % VOCAB as u32).collect();
    let ids: Vec<TokenId> = tokens.iter().map(|t| TokenId(*t)).collect();
    let session = |cache| Session::new(llm.clone(), &SessionOptions { context_tokens: 128, cache }).unwrap();
    let (mut bytes, halves) = (session(CacheType::Q8_0), session(CacheType::F16));
    assert_eq!(bytes.cache_bytes() * 32, halves.cache_bytes() * 17, "34 bytes in the place of 64");
    bytes.prompt(&ids, &mut || ControlFlow::Continue(())).unwrap();
    let (_, difference) = agreement(bytes.logits(), &oracle.logits(&tokens));
    assert!(difference < 3e-2 && difference > 0.0, "{difference}");
    let mut fork = bytes.fork().unwrap();
    assert_eq!(fork.step(ids[0]).unwrap(), bytes.step(ids[0]).unwrap());
}

#[test]
fn every_family_computes_what_its_paper_says() {
    for architecture in ["llama", "qwen2", "qwen3", "phi2", "phi3", "gemma3"] {
        for tied in [false, true] {
            check(&Recipe { tied, ..Recipe::of_family(architecture) }, 5e-3);
        }
        // Slices of a joined tensor must be cut between whole rows of blocks, too.
        check(&Recipe { kind: GgmlDType::Q4K, ..Recipe::of_family(architecture) }, 0.15);
    }
}

#[test]
fn positions_are_scaled_as_the_file_says() {
    let rising: Vec<f32> = (0..HEAD / 2).map(|i| 1.0 + i as f32 / 4.0).collect();
    let steeper: Vec<f32> = rising.iter().map(|factor| factor * factor).collect();
    let factors = vec![("rope_freqs.weight", rising.clone())];
    check(&Recipe { rope_factors: factors, ..Recipe::plain(GgmlDType::F32) }, 5e-3);
    let typed = |kind: &str| {
        vec![
            (".rope.scaling.type", Value::String(kind.into())),
            (".rope.scaling.factor", Value::F32(4.0)),
            (".rope.scaling.original_context_length", Value::U32(64)),
            (".rope.freq_base", Value::F32(500_000.0)),
        ]
    };
    for kind in ["linear", "yarn"] {
        for architecture in ["llama", "qwen2"] {
            check(&Recipe { architecture, extra: typed(kind), ..Recipe::plain(GgmlDType::F32) }, 5e-3);
        }
    }
    // Gemma 3 stretches the layers that see everything only.
    let mut gemma = Recipe::of_family("gemma3");
    gemma.extra.extend(typed("linear").into_iter().take(2));
    check(&gemma, 5e-3);
    // LongRoPE: the session holds 80 tokens, so the original length decides which factors count.
    for original in [64, 80] {
        let extra = vec![
            (".rope.scaling.original_context_length", Value::U32(original)),
            (".rope.scaling.attn_factor", Value::F32(1.19)),
        ];
        let rope_factors =
            vec![("rope_factors_short.weight", rising.clone()), ("rope_factors_long.weight", steeper.clone())];
        check(&Recipe { extra, rope_factors, ..Recipe::of_family("phi3") }, 5e-3);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let other = vec![(".rope.scaling.type", Value::String("dynamic".into()))];
    Recipe { extra: other, ..Recipe::plain(GgmlDType::F32) }.write(&path);
    let error = Llm::open(&path, &LlmOptions::default()).unwrap_err().to_string();
    assert!(error.contains("\"dynamic\" is not supported") && error.contains("linear, yarn, longrope"), "{error}");
}

#[test]
fn soft_tokens_of_a_scaled_family_are_what_a_look_up_gives() {
    let folder = tempfile::tempdir().unwrap();
    let (llm, _) = open(&Recipe::of_family("gemma3"), folder.path());
    let session = || Session::new(llm.clone(), &SessionOptions { context_tokens: 16, ..Default::default() }).unwrap();
    let (mut hard, mut soft) = (session(), session());
    hard.append(&[TokenId(3), TokenId(7)]).unwrap();
    soft.append_embeddings(&[llm.embedding(TokenId(3)).unwrap(), llm.embedding(TokenId(7)).unwrap()].concat()).unwrap();
    assert_eq!(hard.logits(), soft.logits());
}

#[test]
fn an_unknown_family_is_named_with_those_that_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    Recipe { architecture: "mamba", ..Recipe::plain(GgmlDType::F32) }.write(&path);
    let error = Llm::open(&path, &LlmOptions::default()).unwrap_err().to_string();
    assert!(
        error.contains("\"mamba\"")
            && error.contains("llama, qwen2, qwen3, phi2, phi3, gemma3")
            && error.contains("m.gguf"),
        "{error}"
    );
}

#[test]
fn a_file_without_a_vocabulary_can_be_computed_but_not_talked_to() {
    let folder = tempfile::tempdir().unwrap();
    let (llm, _) = open(&Recipe::plain(GgmlDType::Q8_0), folder.path());
    assert!(!llm.info().has_vocabulary);
    assert_eq!((llm.info().quantization.as_str(), llm.info().vocab_size), ("Q8_0", VOCAB));
    for error in [llm.tokenizer().err(), llm.template().err()] {
        let error = error.unwrap().to_string();
        assert!(error.contains("model.gguf") && error.contains("no vocabulary"), "{error}");
    }
}

/// Metadata of a byte-level vocabulary: three special tokens, the 256 bytes, the letters and a few merges.
pub fn byte_vocabulary(pre: &str, template: Option<&str>) -> Vec<(&'static str, Value)> {
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut others = 0x100u32..;
    let alphabet: Vec<String> = (0..=255u8)
        .map(|byte| if printable(byte) { u32::from(byte) } else { others.next().unwrap() })
        .map(|code| char::from_u32(code).unwrap().to_string())
        .collect();
    let mut tokens: Vec<String> = ["<|user|>", "<|assistant|>", "<|end|>", "<tool_call>"].map(str::to_owned).to_vec();
    tokens.extend(alphabet);
    let merges = ["h e", "l l", "he ll", "hell o", "Ġ w", "o r", "l d", "Ġw or", "Ġwor ld", "1 2", "12 3", "Ġ Ġ"];
    tokens.extend(merges.iter().map(|merge| merge.replace(' ', "")));
    let strings = |texts: &[String]| Value::Array(texts.iter().map(|text| Value::String(text.clone())).collect());
    let kinds = (0..tokens.len())
        .map(|index| {
            Value::I32(if index < 3 {
                3
            } else if index == 3 {
                4
            } else {
                1
            })
        })
        .collect();
    let mut metadata = vec![
        ("tokenizer.ggml.model", Value::String("gpt2".into())),
        ("tokenizer.ggml.pre", Value::String(pre.into())),
        ("tokenizer.ggml.tokens", strings(&tokens)),
        ("tokenizer.ggml.token_type", Value::Array(kinds)),
        ("tokenizer.ggml.merges", strings(&merges.map(str::to_owned))),
        ("tokenizer.ggml.eos_token_id", Value::U32(2)),
    ];
    metadata.extend(template.map(|template| ("tokenizer.chat_template", Value::String(template.into()))));
    metadata
}

pub fn with_vocabulary(pre: &str, template: Option<&str>) -> (tempfile::TempDir, Arc<Llm>) {
    let (folder, llm) = try_with_vocabulary(pre, template);
    (folder, llm.unwrap())
}

pub fn try_with_vocabulary(
    pre: &str,
    template: Option<&str>,
) -> (tempfile::TempDir, Result<Arc<Llm>, nearfield_llm::LlmError>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    Recipe { extra: byte_vocabulary(pre, template), ..Recipe::plain(GgmlDType::F32) }.write(&path);
    let llm = Llm::open(&path, &LlmOptions { threads: 1 });
    (folder, llm)
}

#[test]
fn byte_pairs_are_merged_within_words_and_every_text_comes_back() {
    for pre in ["qwen2", "llama-bpe", "smollm", "gpt-2", "phi-2", "gpt-4o", "dbrx", "tekken", "default"] {
        let (_folder, llm) = with_vocabulary(pre, None);
        let tokenizer = llm.tokenizer().unwrap();
        let pieces =
            |text: &str| tokenizer.encode(text, false).iter().map(|t| tokenizer.decode(&[*t])).collect::<Vec<_>>();
        assert_eq!(pieces("hello world"), ["hello", " world"], "{pre}");
        let digits: &[&str] = if matches!(pre, "qwen2" | "smollm" | "tekken") { &["1", "2", "3"] } else { &["123"] };
        assert_eq!(pieces("123"), digits, "{pre}");
        for text in [
            "",
            "Grüße, 日本 👋🏽!\r\n\n  x\t",
            "\u{0}",
            "   ",
            "<|user|> is text",
            "it's 1234.5",
            &"ab ".repeat(900),
            "مرحبا بك",
        ] {
            let tokens = tokenizer.encode(text, false);
            assert_eq!(tokenizer.decode(&tokens), text, "{pre}");
        }
    }
}

#[test]
fn special_tokens_are_split_off_on_request_and_user_defined_ones_always() {
    let (_folder, llm) = with_vocabulary("qwen2", None);
    let tokenizer = llm.tokenizer().unwrap();
    let tokens = tokenizer.encode("<|user|>hello<|end|><tool_call>", true);
    assert_eq!((tokens[0], tokens[2], tokens[3]), (TokenId(0), TokenId(2), TokenId(3)));
    assert_eq!(tokenizer.decode(&tokens), "hello<tool_call>", "control tokens are silent, user-defined ones are text");
    let plain = tokenizer.encode("<|user|><tool_call>", false);
    assert!(plain.len() > 2 && plain[0] != TokenId(0) && plain.last() == Some(&TokenId(3)));
    assert!(tokenizer.is_end(TokenId(2)) && !tokenizer.is_end(TokenId(1)));
    assert_eq!(tokenizer.special("<|assistant|>"), Some(TokenId(1)));
}

fn message(role: Role, content: &str) -> Message {
    Message::new(role, content)
}

#[test]
fn templates_see_what_real_ones_use() {
    let template = "{%- if tools %}
{{- '# Tools\\n' + (tools | tojson) + '\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message['role'] == 'system' and not loop.first %}{{ raise_exception('System message must be first') }}{% endif %}
    {%- set content = message.content.strip() %}
    {{- '<|' ~ message.role ~ '|>' + content.split('</think>')[-1] + eos_token }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}
{%- if strftime_now('%Y')|int < 2024 %}early{% endif %}";
    let (_folder, llm) = with_vocabulary("qwen2", Some(template));
    assert!(llm.info().has_chat_template);
    let chat = llm.template().unwrap();
    let messages = [message(Role::System, " Be brief. "), message(Role::User, "a <b> & 'c'")];
    assert_eq!(
        chat.render(&messages, &[], true).unwrap(),
        "<|system|>Be brief.<|end|><|user|>a <b> & 'c'<|end|><|assistant|>"
    );
    let tools = [serde_json::json!({"name": "z", "arguments": {"a": ["<x>", 1.5, true, null]}})];
    let text = chat.render(&messages[1..], &tools, false).unwrap();
    assert!(
        text.starts_with("# Tools\n[{\"name\": \"z\", \"arguments\": {\"a\": [\"<x>\", 1.5, true, null]}}]\n<|user|>"),
        "{text}"
    );
    let error = chat.render(&[messages[1].clone(), messages[0].clone()], &[], true).unwrap_err().to_string();
    assert!(error.contains("System message must be first") && error.contains("model.gguf"), "{error}");
}

#[test]
fn templates_walk_backwards_keep_count_and_take_messages_apart_as_those_of_qwen3_gemma3_and_llama3_do() {
    // Reversed slices, a namespace that outlives its loop, tests of types, a flag that may not be defined (Qwen 3).
    let qwen3 = "{%- set ns = namespace(searching=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.searching and message.role == 'user' and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.searching = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == 'assistant' and '</think>' in content and loop.index0 < ns.last %}
        {%- set content = content.split('</think>')[-1].lstrip('\n') %}
    {%- endif %}
    {%- if message.role == 'tool' %}
        {%- if loop.first or (messages[loop.index0 - 1].role != 'tool') %}{{- '<|user|>' }}{%- endif %}
        {{- '\n<tool_response>\n' ~ content ~ '\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != 'tool') %}{{- '<|end|>' }}{%- endif %}
    {%- else %}{{- '<|' + message.role + '|>' + content + '<|end|>' }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- if enable_thinking is defined and enable_thinking is false %}{{- 'no' }}{%- endif %}{%- endif %}";
    let conversation = [
        message(Role::User, "a"),
        message(Role::Assistant, "<think>\nhm\n</think>\n\nb"),
        message(Role::User, "c"),
        message(Role::Tool, "1"),
        message(Role::Tool, "2"),
    ];
    let (_folder, llm) = with_vocabulary("qwen2", Some(qwen3));
    assert_eq!(
        llm.template().unwrap().render(&conversation, &[], true).unwrap(),
        "<|user|>a<|end|><|assistant|>b<|end|><|user|>c<|end|><|user|>\n<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n\
         </tool_response><|end|><|assistant|>no"
    );
    // The system message becomes a prefix of the first question, and roles must take turns (Gemma 3).
    let gemma3 = "{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}{%- set prefix = messages[0]['content'] + '\n\n' -%}
    {%- else -%}{%- set prefix = messages[0]['content'][0]['text'] + '\n\n' -%}{%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}{%- set prefix = '' -%}{%- set loop_messages = messages -%}{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}{{ raise_exception('Conversation roles must alternate') }}{%- endif -%}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
    {{ '<start_of_turn>' + role + '\n' + (prefix if loop.first else '') }}
    {%- if message['content'] is string -%}{{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}{%- for item in message['content'] -%}{{ item['text'] | trim }}{%- endfor -%}
    {%- else -%}{{ raise_exception('Invalid content type') }}{%- endif -%}
    {{ '<end_of_turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}";
    let (_folder, llm) = with_vocabulary("qwen2", Some(gemma3));
    let messages = [message(Role::System, "Be brief."), message(Role::User, " hi ")];
    assert_eq!(
        llm.template().unwrap().render(&messages, &[], true).unwrap(),
        "<start_of_turn>user\nBe brief.\n\nhi<end_of_turn>\n<start_of_turn>model\n"
    );
    let error = llm.template().unwrap().render(&conversation, &[], true).unwrap_err().to_string();
    assert!(error.contains("roles must alternate"), "{error}");
    // Dates, tools over several lines, mappings that are walked through (Llama 3).
    let llama3 = "{%- if not date_string is defined %}{%- if strftime_now is defined %}{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}{%- set date_string = '26 Jul 2024' %}{%- endif %}{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{{- 'Today: ' + date_string|length|string + '\n' }}
{%- if tools is not none %}{%- for t in tools %}{{- t | tojson(indent=2) }}{{- '\n' }}{%- for key, value in t.items() %}{{- key ~ '=' ~ value ~ ';' }}{%- endfor %}{%- endfor %}{%- endif %}
{%- for message in messages if message.role not in ['tool', 'ipython'] %}{{- message.content|trim|upper + '|' }}{%- endfor %}";
    let (_folder, llm) = with_vocabulary("llama-bpe", Some(llama3));
    let chat = llm.template().unwrap();
    assert_eq!(chat.render(&conversation[2..], &[], false).unwrap(), "Today: 11\nC|RESULT: 1\nRESULT: 2|");
    assert_eq!(
        chat.render(&conversation[2..], &[serde_json::json!({"name": "x", "n": 2})], false).unwrap(),
        "Today: 11\n{\n  \"name\": \"x\",\n  \"n\": 2\n}\nname=x;n=2;C|RESULT: 1\nRESULT: 2|"
    );
}

#[test]
fn a_template_that_is_broken_or_never_ends_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    Recipe { extra: byte_vocabulary("qwen2", Some("{% for x in %}")), ..Recipe::plain(GgmlDType::F32) }.write(&path);
    let error = Llm::open(&path, &LlmOptions::default()).unwrap_err().to_string();
    assert!(error.contains("chat template") && error.contains("m.gguf"), "{error}");
    let endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
    let (_folder, llm) = with_vocabulary("qwen2", Some(endless));
    assert!(llm.template().unwrap().render(&[], &[], true).is_err());
}

#[test]
fn without_a_template_a_model_is_not_taken_for_one_that_chats() {
    let (_folder, llm) = with_vocabulary("qwen2", None);
    assert!(!llm.info().has_chat_template && llm.info().dialect.is_none());
    let error = llm.template().unwrap_err().to_string();
    assert!(error.contains("model.gguf") && error.contains("instruct version"), "{error}");
}

#[test]
fn a_template_that_refuses_the_system_role_gets_it_with_the_first_question() {
    let template = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}\
                    {% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";
    let (_folder, llm) = with_vocabulary("qwen2", Some(template));
    let messages = [message(Role::System, "Be brief."), message(Role::User, "hi")];
    let text = llm.template().unwrap().render(&messages, &[], true).unwrap();
    assert_eq!(text, "<|user|>Be brief.\n\nhi<|end|><|assistant|>");
}

#[test]
fn a_thought_that_the_template_opens_is_closed_unless_the_model_is_to_think() {
    let template = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}\
                    {% if add_generation_prompt %}<|assistant|><think>\n{% endif %}";
    let (_folder, llm) = with_vocabulary("qwen2", Some(template));
    let template = llm.template().unwrap();
    let messages = [message(Role::User, "hi")];
    assert!(llm.info().thinks && template.opens_thought());
    let off = template.render(&messages, &[], true).unwrap();
    assert_eq!(off, "<|user|>hi<|end|><|assistant|><think>\n\n</think>\n\n");
    let on = template.render_thinking(&messages, &[], true, nearfield_llm::Thinking::On).unwrap();
    assert_eq!(on, "<|user|>hi<|end|><|assistant|><think>\n");
}

#[test]
fn vocabularies_that_contradict_themselves_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let cases: [(&str, Value, &str); 6] = [
        ("tokenizer.ggml.pre", Value::String("viking".into()), "\"viking\" is not supported"),
        ("tokenizer.ggml.model", Value::String("t5".into()), "\"t5\" is not supported"),
        ("tokenizer.ggml.merges", Value::Array(vec![Value::String("he".into())]), "two parts"),
        ("tokenizer.ggml.merges", Value::Array(vec![Value::String("q x".into())]), "is not a token"),
        ("tokenizer.ggml.token_type", Value::Array(vec![Value::I32(1)]), "one for each token"),
        ("tokenizer.ggml.tokens", Value::U32(7), "expected an array of strings"),
    ];
    for (key, value, expected) in cases {
        let mut extra = byte_vocabulary("qwen2", None);
        extra.retain(|(other, _)| *other != key);
        extra.push((key, value));
        Recipe { extra, ..Recipe::plain(GgmlDType::F32) }.write(&path);
        let error = Llm::open(&path, &LlmOptions::default()).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(key), "{error}");
    }
}

//! GGUF files for the targets: the smallest Llama, and for the architectures that have parts of their own (recurrent layers, experts,
//! layers with inputs of their own) the file without its weights, which are zeros.

/// A GGUF file, written entry by entry.
#[derive(Clone)]
pub struct Gguf {
    entries: Vec<u8>,
    n_entries: u64,
    /// Names, and dimensions with the shortest stride first, as in the file.
    tensors: Vec<(String, Vec<u64>)>,
}

impl Gguf {
    const U32: u32 = 4;
    const I32: u32 = 5;
    const F32: u32 = 6;
    const TEXT: u32 = 8;
    const BOOL: u32 = 7;
    const ARRAY: u32 = 9;

    /// The smallest Llama with a vocabulary of bytes and some letters.
    pub fn tiny() -> Gguf {
        let mut file = Gguf { entries: Vec::new(), n_entries: 0, tensors: Vec::new() };
        let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).into();
        tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
        tokens.extend(["▁", "a", "b", "ab", "▁a", "▁ab"].map(str::to_owned));
        let n = tokens.len() as u64;
        let types: Vec<u32> =
            (0..n).map(|i| [2, 3, 3].get(i as usize).copied().unwrap_or(if i < 259 { 6 } else { 1 })).collect();
        let scores: Vec<u32> = (0..n).map(|i| (-(i as f32)).to_bits()).collect();
        file = file.text("general.architecture", "llama").text("tokenizer.ggml.model", "llama");
        for (key, value) in [
            ("llama.block_count", 1),
            ("llama.embedding_length", 8),
            ("llama.attention.head_count", 2),
            ("llama.feed_forward_length", 16),
            ("llama.context_length", 32),
            ("tokenizer.ggml.bos_token_id", 1),
            ("tokenizer.ggml.eos_token_id", 2),
        ] {
            file = file.number(key, Self::U32, value);
        }
        file = file.number("llama.attention.layer_norm_rms_epsilon", Self::F32, 1e-5_f32.to_bits());
        file = file.array("tokenizer.ggml.scores", Self::F32, &scores).array(
            "tokenizer.ggml.token_type",
            Self::I32,
            &types,
        );
        file.key("tokenizer.ggml.tokens", Self::ARRAY);
        file.put(&Self::TEXT.to_le_bytes()).put(&n.to_le_bytes());
        for token in &tokens {
            file.string(token);
        }
        let mut tensors = vec![("token_embd.weight", vec![8, n]), ("output_norm.weight", vec![8])];
        for (name, dims) in [
            ("blk.0.attn_norm.weight", vec![8]),
            ("blk.0.ffn_norm.weight", vec![8]),
            ("blk.0.attn_q.weight", vec![8, 8]),
            ("blk.0.attn_k.weight", vec![8, 8]),
            ("blk.0.attn_v.weight", vec![8, 8]),
            ("blk.0.attn_output.weight", vec![8, 8]),
            ("blk.0.ffn_gate.weight", vec![8, 16]),
            ("blk.0.ffn_up.weight", vec![8, 16]),
            ("blk.0.ffn_down.weight", vec![16, 8]),
        ] {
            tensors.push((name, dims));
        }
        file.tensors = tensors.into_iter().map(|(name, dims)| (name.to_owned(), dims)).collect();
        file
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.entries.extend_from_slice(bytes);
        self
    }

    fn string(&mut self, text: &str) -> &mut Self {
        self.put(&(text.len() as u64).to_le_bytes()).put(text.as_bytes())
    }

    fn key(&mut self, key: &str, kind: u32) {
        self.n_entries += 1;
        self.string(key).put(&kind.to_le_bytes());
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, key: &str, text: &str) -> Gguf {
        self.key(key, Self::TEXT);
        self.string(text);
        self
    }

    fn number(mut self, key: &str, kind: u32, bits: u32) -> Gguf {
        self.key(key, kind);
        self.put(&bits.to_le_bytes());
        self
    }

    fn array(mut self, key: &str, kind: u32, bits: &[u32]) -> Gguf {
        self.key(key, Self::ARRAY);
        self.put(&kind.to_le_bytes()).put(&(bits.len() as u64).to_le_bytes());
        for bits in bits {
            self.put(&bits.to_le_bytes());
        }
        self
    }

    fn bools(mut self, key: &str, values: &[bool]) -> Gguf {
        self.key(key, Self::ARRAY);
        self.put(&Self::BOOL.to_le_bytes()).put(&(values.len() as u64).to_le_bytes());
        for value in values {
            self.put(&[u8::from(*value)]);
        }
        self
    }

    /// The file up to where the weights begin, and how many bytes of them follow.
    fn header(&self) -> (Vec<u8>, usize) {
        let mut file = Gguf { entries: b"GGUF".to_vec(), n_entries: 0, tensors: Vec::new() };
        file.put(&3u32.to_le_bytes())
            .put(&(self.tensors.len() as u64).to_le_bytes())
            .put(&self.n_entries.to_le_bytes());
        file.put(&self.entries);
        let mut offset = 0u64;
        for (name, dims) in &self.tensors {
            file.string(name).put(&(dims.len() as u32).to_le_bytes());
            for dim in dims {
                file.put(&dim.to_le_bytes());
            }
            file.put(&0u32.to_le_bytes()).put(&offset.to_le_bytes());
            offset += (dims.iter().product::<u64>() * 4).next_multiple_of(32);
        }
        let padded = file.entries.len().next_multiple_of(32);
        file.entries.resize(padded, 0);
        (file.entries, offset as usize)
    }

    /// The whole file, with weights of zeros.
    pub fn bytes(&self) -> Vec<u8> {
        let (mut bytes, weights) = self.header();
        bytes.resize(bytes.len() + weights, 0);
        bytes
    }
}

/// The model that sessions and tokenizers are tried with.
pub fn tiny_model() -> Vec<u8> {
    Gguf::tiny().bytes()
}

/// Widths of the models below.
const D: u64 = 32;
const HEAD: u64 = 8;
const FFN: u64 = 48;

/// A model of an architecture in the making.
struct Model {
    file: Gguf,
    architecture: &'static str,
}

impl Model {
    fn new(architecture: &'static str, ints: &[(&str, u64)]) -> Model {
        let file = Gguf { entries: Vec::new(), n_entries: 0, tensors: Vec::new() };
        let file = file.text("general.architecture", architecture).text("tokenizer.ggml.model", "no_vocab");
        let mut model = Model { file, architecture };
        let common = [("embedding_length", D), ("context_length", 64), ("attention.head_count", D / HEAD)];
        model.ints(&common);
        model.ints(ints);
        model.float("attention.layer_norm_rms_epsilon", 1e-5);
        model.tensor("token_embd.weight", &[D, 8]);
        model
    }

    fn key(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.architecture)
    }

    fn change(&mut self, change: impl FnOnce(Gguf) -> Gguf) {
        let empty = Gguf { entries: Vec::new(), n_entries: 0, tensors: Vec::new() };
        self.file = change(std::mem::replace(&mut self.file, empty));
    }

    fn ints(&mut self, pairs: &[(&str, u64)]) {
        for (suffix, value) in pairs {
            let key = self.key(suffix);
            self.change(|file| file.number(&key, Gguf::U32, *value as u32));
        }
    }

    fn float(&mut self, suffix: &str, value: f32) {
        let key = self.key(suffix);
        self.change(|file| file.number(&key, Gguf::F32, value.to_bits()));
    }

    fn list(&mut self, suffix: &str, values: &[u32]) {
        let key = self.key(suffix);
        self.change(|file| file.array(&key, Gguf::I32, values));
    }

    fn tensor(&mut self, name: &str, dims: &[u64]) {
        self.file.tensors.push((name.to_owned(), dims.to_vec()));
    }

    /// Tensors of a layer, in which `rows` follows the columns.
    fn layer(&mut self, layer: u64, tensors: &[(&str, &[u64])]) {
        for (name, dims) in tensors {
            self.tensor(&format!("blk.{layer}.{name}"), dims);
        }
    }

    fn attention(&mut self, layer: u64, queries: u64, head: u64, kv_heads: u64, values: bool) {
        let kv = kv_heads * head;
        self.layer(
            layer,
            &[
                ("attn_norm.weight", &[D]),
                ("attn_q.weight", &[D, queries]),
                ("attn_k.weight", &[D, kv]),
                ("attn_output.weight", &[D / HEAD * head, D]),
            ],
        );
        if values {
            self.layer(layer, &[("attn_v.weight", &[D, kv])]);
        }
    }

    fn head_norms(&mut self, layer: u64, head: u64) {
        self.layer(layer, &[("attn_q_norm.weight", &[head]), ("attn_k_norm.weight", &[head])]);
    }

    fn network(&mut self, layer: u64, width: u64) {
        self.layer(
            layer,
            &[("ffn_gate.weight", &[D, width]), ("ffn_up.weight", &[D, width]), ("ffn_down.weight", &[width, D])],
        );
    }

    fn experts(&mut self, layer: u64, n: u64, width: u64) {
        self.layer(
            layer,
            &[
                ("ffn_gate_inp.weight", &[D, n]),
                ("ffn_gate_exps.weight", &[D, width, n]),
                ("ffn_up_exps.weight", &[D, width, n]),
                ("ffn_down_exps.weight", &[width, D, n]),
            ],
        );
    }
}

/// Layers of short convolutions, one with attention between them.
fn lfm2() -> Model {
    let mut m = Model::new("lfm2", &[("block_count", 3), ("feed_forward_length", FFN), ("shortconv.l_cache", 3)]);
    m.list("attention.head_count_kv", &[0, 2, 0]);
    m.tensor("token_embd_norm.weight", &[D]);
    for layer in 0..3 {
        if layer == 1 {
            m.attention(layer, D, HEAD, 2, true);
            m.head_norms(layer, HEAD);
        } else {
            m.layer(
                layer,
                &[
                    ("attn_norm.weight", &[D]),
                    ("shortconv.in_proj.weight", &[D, 3 * D]),
                    ("shortconv.conv.weight", &[3, D]),
                    ("shortconv.out_proj.weight", &[D, D]),
                ],
            );
        }
        m.layer(layer, &[("ffn_norm.weight", &[D])]);
        m.network(layer, FFN);
    }
    m
}

/// A layer with the delta rule, and one of gated attention.
fn qwen35() -> Model {
    let (key_heads, value_heads, state) = (1, 2, 16);
    let mut m = Model::new(
        "qwen35",
        &[
            ("block_count", 2),
            ("feed_forward_length", FFN),
            ("attention.head_count_kv", 2),
            ("attention.key_length", HEAD),
            ("attention.value_length", HEAD),
            ("rope.dimension_count", HEAD / 2),
            ("full_attention_interval", 2),
            ("ssm.conv_kernel", 4),
            ("ssm.state_size", state),
            ("ssm.group_count", key_heads),
            ("ssm.time_step_rank", value_heads),
            ("ssm.inner_size", value_heads * state),
        ],
    );
    m.list("rope.dimension_sections", &[1, 1, 0, 0]);
    m.tensor("output_norm.weight", &[D]);
    let (channels, inner) = ((2 * key_heads + value_heads) * state, value_heads * state);
    m.layer(
        0,
        &[
            ("attn_norm.weight", &[D]),
            ("attn_qkv.weight", &[D, channels]),
            ("attn_gate.weight", &[D, inner]),
            ("ssm_conv1d.weight", &[4, channels]),
            ("ssm_dt.bias", &[value_heads]),
            ("ssm_a", &[value_heads]),
            ("ssm_alpha.weight", &[D, value_heads]),
            ("ssm_beta.weight", &[D, value_heads]),
            ("ssm_norm.weight", &[state]),
            ("ssm_out.weight", &[inner, D]),
        ],
    );
    m.attention(1, 2 * D, HEAD, 2, true);
    m.head_norms(1, HEAD);
    for layer in 0..2 {
        m.layer(layer, &[("post_attention_norm.weight", &[D])]);
        m.network(layer, FFN);
    }
    m
}

/// Windows of attention, inputs of each layer, and a last layer that uses the keys and values of another.
fn gemma4() -> Model {
    let (layers, input) = (3, 16);
    let mut m = Model::new(
        "gemma4",
        &[
            ("block_count", layers),
            ("feed_forward_length", FFN),
            ("attention.sliding_window", 3),
            ("attention.key_length", 2 * HEAD),
            ("attention.value_length", 2 * HEAD),
            ("attention.key_length_swa", HEAD),
            ("attention.value_length_swa", HEAD),
            ("attention.shared_kv_layers", 1),
            ("embedding_length_per_layer_input", input),
            ("rope.dimension_count", 2 * HEAD),
            ("rope.dimension_count_swa", HEAD),
        ],
    );
    m.change(|file| file.bools("gemma4.attention.sliding_window_pattern", &[true, false, true]));
    m.list("attention.head_count_kv", &[2, 1, 2]);
    for (name, dims) in [
        ("output_norm.weight", &[D][..]),
        ("per_layer_token_embd.weight", &[layers * input, 8]),
        ("per_layer_model_proj.weight", &[D, layers * input]),
        ("per_layer_proj_norm.weight", &[input]),
    ] {
        m.tensor(name, dims);
    }
    for layer in 0..layers {
        let whole = layer == 1;
        let (head, kv_heads) = if whole { (2 * HEAD, 1) } else { (HEAD, 2) };
        m.attention(layer, D / HEAD * head, head, kv_heads, !whole);
        m.head_norms(layer, head);
        for norm in ["ffn_norm", "post_attention_norm", "post_ffw_norm", "post_norm"] {
            m.layer(layer, &[(&format!("{norm}.weight"), &[D])]);
        }
        m.network(layer, FFN);
        m.layer(
            layer,
            &[("inp_gate.weight", &[D, input]), ("proj.weight", &[input, D]), ("layer_output_scale.weight", &[1])],
        );
    }
    m
}

/// Experts, and one that all tokens share.
fn qwen2moe() -> Model {
    let mut m = Model::new(
        "qwen2moe",
        &[
            ("block_count", 1),
            ("feed_forward_length", FFN),
            ("attention.head_count_kv", 2),
            ("expert_count", 3),
            ("expert_used_count", 2),
            ("expert_feed_forward_length", 16),
            ("expert_shared_feed_forward_length", 24),
        ],
    );
    m.tensor("output_norm.weight", &[D]);
    m.tensor("output.weight", &[D, 8]);
    m.attention(0, D, HEAD, 2, true);
    m.experts(0, 3, 16);
    m.layer(
        0,
        &[
            ("ffn_norm.weight", &[D]),
            ("attn_q.bias", &[D]),
            ("attn_k.bias", &[2 * HEAD]),
            ("attn_v.bias", &[2 * HEAD]),
            ("ffn_gate_shexp.weight", &[D, 24]),
            ("ffn_up_shexp.weight", &[D, 24]),
            ("ffn_down_shexp.weight", &[24, D]),
            ("ffn_gate_inp_shexp.weight", &[D]),
        ],
    );
    m
}

/// Experts with biases, sinks of attention, windows, and positions beyond those of the training.
fn gpt_oss() -> Model {
    let mut m = Model::new(
        "gpt-oss",
        &[
            ("block_count", 2),
            ("feed_forward_length", FFN),
            ("attention.head_count_kv", 2),
            ("attention.key_length", HEAD),
            ("attention.value_length", HEAD),
            ("attention.sliding_window", 3),
            ("rope.scaling.original_context_length", 16),
            ("expert_count", 2),
            ("expert_used_count", 1),
            ("expert_feed_forward_length", 16),
        ],
    );
    m.float("rope.scaling.factor", 4.0);
    m.change(|file| file.text("gpt-oss.rope.scaling.type", "yarn"));
    m.tensor("output_norm.weight", &[D]);
    m.tensor("output.weight", &[D, 8]);
    for layer in 0..2 {
        m.attention(layer, D, HEAD, 2, true);
        m.experts(layer, 2, 16);
        m.layer(
            layer,
            &[
                ("post_attention_norm.weight", &[D]),
                ("attn_sinks.weight", &[D / HEAD]),
                ("attn_q.bias", &[D]),
                ("attn_k.bias", &[2 * HEAD]),
                ("attn_v.bias", &[2 * HEAD]),
                ("attn_output.bias", &[D]),
                ("ffn_gate_inp.bias", &[2]),
                ("ffn_gate_exps.bias", &[16, 2]),
                ("ffn_up_exps.bias", &[16, 2]),
                ("ffn_down_exps.bias", &[D, 2]),
            ],
        );
    }
    m
}

/// Files of several architectures up to where their weights begin.
pub fn headers() -> Vec<Vec<u8>> {
    [lfm2(), qwen35(), gemma4(), qwen2moe(), gpt_oss()].map(|model| model.file.header().0).into()
}

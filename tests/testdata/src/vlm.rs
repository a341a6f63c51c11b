//! A tiny vision-language model with random weights, as GGUF files: a language model of the llama architecture and its projector
//! (idefics3, as SmolVLM has it). What it writes is noise; tests look at what is computed, and when.

use std::path::{Path, PathBuf};

/// Numbers in an embedding of the language model, and of the vision transformer.
const D: usize = 64;

/// A GGUF file in the making.
#[derive(Default)]
struct File {
    entries: Vec<u8>,
    n_entries: u64,
    tensors: Vec<u8>,
    n_tensors: u64,
    data: Vec<u8>,
    state: u64,
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

impl File {
    /// A metadata entry of a type of the specification.
    fn entry(&mut self, key: &str, kind: u32, value: &[u8]) {
        text(&mut self.entries, key);
        self.entries.extend(kind.to_le_bytes());
        self.entries.extend(value);
        self.n_entries += 1;
    }

    fn numbers(&mut self, pairs: &[(&str, u32)]) {
        pairs.iter().for_each(|(key, value)| self.entry(key, 4, &value.to_le_bytes()));
    }

    fn text(&mut self, key: &str, value: &str) {
        let mut bytes = Vec::new();
        text(&mut bytes, value);
        self.entry(key, 8, &bytes);
    }

    /// An array of elements of this type.
    fn array(&mut self, key: &str, kind: u32, n: usize, elements: &[u8]) {
        let value = [&kind.to_le_bytes()[..], &(n as u64).to_le_bytes(), elements].concat();
        self.entry(key, 9, &value);
    }

    /// A float tensor of random numbers around a mean; columns first.
    fn tensor(&mut self, name: &str, dims: &[usize], mean: f32, spread: f32) {
        text(&mut self.tensors, name);
        self.tensors.extend((dims.len() as u32).to_le_bytes());
        dims.iter().for_each(|dim| self.tensors.extend((*dim as u64).to_le_bytes()));
        self.tensors.extend(0u32.to_le_bytes());
        self.tensors.extend((self.data.len() as u64).to_le_bytes());
        self.n_tensors += 1;
        for _ in 0..dims.iter().product() {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let random = (self.state >> 40) as f32 / (1u32 << 23) as f32 - 1.0;
            self.data.extend((mean + random * spread).to_le_bytes());
        }
        self.data.resize(self.data.len().next_multiple_of(32), 0);
    }

    fn write(self, path: &Path) {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3u32.to_le_bytes());
        bytes.extend(self.n_tensors.to_le_bytes());
        bytes.extend(self.n_entries.to_le_bytes());
        bytes.extend(self.entries);
        bytes.extend(self.tensors);
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes.extend(self.data);
        std::fs::write(path, bytes).expect("the folder of a test can be written to");
    }
}

/// Writes both files into a folder, under names by which the projector is found beside the model, and answers the model's path.
pub fn write(folder: &Path) -> PathBuf {
    let model = folder.join("tiny-vlm-f32.gguf");
    language_model(&model);
    projector(&folder.join("mmproj-tiny-vlm-f16.gguf"));
    model
}

fn language_model(path: &Path) {
    let printable = |byte: u32| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let mut others = 0x100u32..;
    let letter = |byte: u32| if printable(byte) { byte } else { others.next().expect("many numbers") };
    let letters: Vec<u32> = (0..256).map(letter).collect();
    let mut tokens: Vec<String> =
        letters.into_iter().filter_map(char::from_u32).map(|letter| letter.to_string()).collect();
    tokens.push("\u{10a}\u{10a}".to_owned());
    tokens.extend(["<|end|>", "<fake_token_around_image>", "<global-img>"].map(str::to_owned));
    for (row, column) in (1..=4).flat_map(|row| (1..=4).map(move |column| (row, column))) {
        tokens.push(format!("<row_{row}_col_{column}>"));
    }
    let n = tokens.len();
    let mut file = File { state: 1, ..File::default() };
    file.text("general.architecture", "llama");
    file.numbers(&[
        ("llama.block_count", 2),
        ("llama.context_length", 2048),
        ("llama.embedding_length", D as u32),
        ("llama.feed_forward_length", 128),
        ("llama.attention.head_count", 4),
        ("llama.attention.head_count_kv", 2),
        ("llama.rope.dimension_count", 16),
        ("tokenizer.ggml.eos_token_id", 257),
    ]);
    file.entry("llama.attention.layer_norm_rms_epsilon", 6, &1e-5f32.to_le_bytes());
    file.text("tokenizer.ggml.model", "gpt2");
    file.text("tokenizer.ggml.pre", "gpt-2");
    let (mut words, mut kinds, mut merges) = (Vec::new(), Vec::new(), Vec::new());
    for (at, token) in tokens.iter().enumerate() {
        text(&mut words, token);
        kinds.extend((if at < 257 { 1i32 } else { 3 }).to_le_bytes());
    }
    text(&mut merges, "\u{10a} \u{10a}");
    file.array("tokenizer.ggml.tokens", 8, n, &words);
    file.array("tokenizer.ggml.token_type", 5, n, &kinds);
    file.array("tokenizer.ggml.merges", 8, 1, &merges);
    file.entry("tokenizer.ggml.add_bos_token", 7, &[0]);
    // As SmolVLM's: contents are lists of parts.
    let template = "{% for message in messages %}{{ message['role'] }}: {% for part in message['content'] %}\
        {% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}<|end|>{% endfor %}\
        {% if add_generation_prompt %}assistant: {% endif %}";
    file.text("tokenizer.chat_template", template);
    file.tensor("token_embd.weight", &[D, n], 0.0, 1.0);
    file.tensor("output_norm.weight", &[D], 1.0, 0.1);
    for layer in 0..2 {
        let name = |which: &str| format!("blk.{layer}.{which}.weight");
        for norm in ["attn_norm", "ffn_norm"] {
            file.tensor(&name(norm), &[D], 1.0, 0.1);
        }
        for (which, rows) in [("attn_q", 64), ("attn_k", 32), ("attn_v", 32), ("attn_output", 64)] {
            file.tensor(&name(which), &[D, rows], 0.0, 0.3);
        }
        for (which, columns, rows) in [("ffn_gate", D, 128), ("ffn_up", D, 128), ("ffn_down", 128, D)] {
            file.tensor(&name(which), &[columns, rows], 0.0, 0.3);
        }
    }
    file.write(path);
}

fn projector(path: &Path) {
    let mut file = File { state: 2, ..File::default() };
    file.text("general.architecture", "clip");
    file.text("clip.projector_type", "idefics3");
    file.entry("clip.has_vision_encoder", 7, &[1]);
    file.entry("clip.use_gelu", 7, &[1]);
    file.numbers(&[
        ("clip.vision.image_size", 64),
        ("clip.vision.patch_size", 16),
        ("clip.vision.embedding_length", D as u32),
        ("clip.vision.feed_forward_length", 128),
        ("clip.vision.block_count", 2),
        ("clip.vision.attention.head_count", 4),
        ("clip.vision.projector.scale_factor", 2),
        ("clip.vision.preproc_image_size", 256),
    ]);
    file.entry("clip.vision.attention.layer_norm_epsilon", 6, &1e-6f32.to_le_bytes());
    let halves = [0.5f32; 3].map(f32::to_le_bytes).concat();
    file.array("clip.vision.image_mean", 6, 3, &halves);
    file.array("clip.vision.image_std", 6, 3, &halves);
    file.tensor("v.patch_embd.weight", &[16, 16, 3, D], 0.0, 0.05);
    file.tensor("v.patch_embd.bias", &[D], 0.0, 0.1);
    file.tensor("v.position_embd.weight", &[D, 16], 0.0, 0.3);
    file.tensor("v.post_ln.weight", &[D], 1.0, 0.1);
    file.tensor("v.post_ln.bias", &[D], 0.0, 0.1);
    for layer in 0..2 {
        let name = |which: &str| format!("v.blk.{layer}.{which}");
        for norm in ["ln1", "ln2"] {
            file.tensor(&name(&format!("{norm}.weight")), &[D], 1.0, 0.1);
            file.tensor(&name(&format!("{norm}.bias")), &[D], 0.0, 0.1);
        }
        let square = [("attn_q", D, D), ("attn_k", D, D), ("attn_v", D, D), ("attn_out", D, D)];
        for (which, columns, rows) in square.into_iter().chain([("ffn_up", D, 128), ("ffn_down", 128, D)]) {
            file.tensor(&name(&format!("{which}.weight")), &[columns, rows], 0.0, 0.2);
            file.tensor(&name(&format!("{which}.bias")), &[rows], 0.0, 0.1);
        }
    }
    file.tensor("mm.model.fc.weight", &[4 * D, D], 0.0, 0.1);
    file.write(path);
}

//! Small vision-language models with random weights, in the shape of the real ones: a language model with a vocabulary that has the
//! marks beside pictures, and its projector file.

use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Value;

use crate::architectures::{D, VOCAB, Writer, write_with};

/// Pairs by name: the projector, the language model's architecture, and the width and height of the picture that they are shown.
pub const PAIRS: &[(&str, &str, &str, [usize; 2])] = &[
    ("smolvlm", "idefics3", "llama", [150, 110]),
    ("smolvlm-high", "idefics3", "llama", [37, 90]),
    ("smolvlm-old", "idefics3", "llama", [150, 110]),
    ("gemma3", "gemma3", "gemma3", [150, 110]),
    ("llava", "mlp", "llama", [150, 110]),
    ("internvl", "internvl", "qwen2", [150, 110]),
    ("internvl-small", "internvl", "qwen2", [50, 40]),
    ("qwen2vl", "qwen2vl_merger", "qwen2vl", [150, 110]),
    ("qwen2.5vl", "qwen2.5vl_merger", "qwen2vl", [300, 230]),
    ("lfm2", "lfm2", "lfm2", [150, 110]),
    ("lfm2-tiles", "lfm2", "lfm2", [900, 600]),
];

/// What is asked of each, with the picture in its place.
pub const TEXT: [&str; 2] = ["Look: ", " so?"];

/// A picture of edges, slopes and noise, the same everywhere: `[height, width, 3]`
pub fn picture(width: usize, height: usize) -> Vec<u8> {
    let mut state = 12_345u32;
    let mut rgb = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 28) as usize;
            let inside = (x / 9 + y / 7) % 3 == 0;
            rgb.push((x * 255 / width) as u8);
            rgb.push(if inside { 220 } else { 30 + noise as u8 });
            rgb.push(((y * 200 / height + 3 * noise) % 256) as u8);
        }
    }
    rgb
}

/// Tokens of a vocabulary of bytes and marks.
fn vocabulary() -> Vec<(String, u32)> {
    let printable = |byte: u32| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let mut others = 0x100..;
    let byte = |byte: u32| if printable(byte) { byte } else { others.next().unwrap() };
    let letters: Vec<u32> = (0..256).map(byte).collect();
    let mut tokens: Vec<(String, u32)> =
        letters.into_iter().map(|letter| (char::from_u32(letter).unwrap().to_string(), 1)).collect();
    tokens.push(("\u{10a}\u{10a}".to_owned(), 1)); // two line feeds
    let mut marks = vec!["<|end|>", "<fake_token_around_image>", "<global-img>", "<start_of_image>", "<end_of_image>"];
    marks.extend(["<img>", "</img>", "<|vision_start|>", "<|vision_end|>"]);
    marks.extend(["<|image_start|>", "<|image_end|>", "<|img_thumbnail|>"]);
    tokens.extend(marks.into_iter().map(|mark| (mark.to_owned(), 3)));
    for (row, column) in (1..=3).flat_map(|row| (1..=3).map(move |column| (row, column))) {
        tokens.push((format!("<row_{row}_col_{column}>"), 3));
        tokens.push((format!("<|img_row_{row}_col_{column}|>"), 3));
    }
    while tokens.len() < VOCAB {
        tokens.push((format!("<unused{}>", tokens.len()), 3));
    }
    assert_eq!(tokens.len(), VOCAB);
    tokens
}

/// Writes a language model with that chat template.
pub fn language_model(architecture: &'static str, template: &str, path: &Path) {
    let (tokens, kinds): (Vec<_>, Vec<_>) =
        vocabulary().into_iter().map(|(token, kind)| (Value::String(token), Value::I32(kind as i32))).unzip();
    let mut others = vec![
        ("tokenizer.ggml.model", Value::String("gpt2".into())),
        ("tokenizer.ggml.pre", Value::String("gpt-2".into())),
        ("tokenizer.ggml.tokens", Value::Array(tokens)),
        ("tokenizer.ggml.token_type", Value::Array(kinds)),
        ("tokenizer.ggml.merges", Value::Array(vec![Value::String("\u{10a} \u{10a}".into())])),
        ("tokenizer.ggml.eos_token_id", Value::U32(257)),
        ("tokenizer.ggml.add_bos_token", Value::Bool(false)),
        ("tokenizer.chat_template", Value::String(template.into())),
        ("context_length", Value::U32(2048)),
    ];
    if architecture == "qwen2vl" {
        others.push(("rope.dimension_sections", Value::Array([4, 6, 6, 0].map(Value::I32).to_vec())));
    }
    write_with(architecture, "", path, &others);
}

/// As short as a template can be that ends turns.
const TEMPLATE: &str = "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '<|end|>' }}{% endfor %}\
     {% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";

/// The dimensions of a transformer.
struct Size {
    d: usize,
    heads: usize,
    ffn: usize,
    layers: usize,
    patch: usize,
    image: usize,
}

/// Writes the files of a pair and answers their paths: the language model and the projector.
pub fn write_pair(name: &str, folder: &Path) -> [PathBuf; 2] {
    let (_, projector, architecture, _) = PAIRS.iter().find(|(known, ..)| *known == name).expect("a known pair");
    let paths = ["model", "mmproj"].map(|which| folder.join(format!("{name}-{which}.gguf")));
    language_model(architecture, TEMPLATE, &paths[0]);
    write_projector(name, projector, &paths[1], &[]);
    paths
}

/// Writes a projector file, whose metadata has other values. The name "smolvlm-256m" is as large as that model's, with weights of Q8_0.
pub fn write_projector(name: &str, projector: &str, path: &Path, others: &[(&str, Value)]) {
    let mut w = Writer::new("clip");
    let is_large = name == "smolvlm-256m";
    if is_large {
        w.kind = GgmlDType::Q8_0;
    }
    w.metadata.push(("general.architecture".into(), Value::String("clip".into())));
    w.key("projector_type", Value::String(projector.into()));
    w.key("has_vision_encoder", Value::Bool(true));
    let size = match projector {
        _ if is_large => Size { d: 768, heads: 12, ffn: 3072, layers: 12, patch: 16, image: 512 },
        "idefics3" => Size { d: 64, heads: 4, ffn: 128, layers: 2, patch: 16, image: 64 },
        "gemma3" => Size { d: 144, heads: 2, ffn: 200, layers: 2, patch: 14, image: 112 },
        "mlp" => Size { d: 64, heads: 4, ffn: 128, layers: 3, patch: 14, image: 56 },
        "internvl" => Size { d: 64, heads: 4, ffn: 128, layers: 2, patch: 14, image: 56 },
        "qwen2vl_merger" => Size { d: 80, heads: 2, ffn: 160, layers: 2, patch: 14, image: 112 },
        "qwen2.5vl_merger" => Size { d: 80, heads: 2, ffn: 172, layers: 4, patch: 14, image: 112 },
        _ => Size { d: 64, heads: 4, ffn: 128, layers: 2, patch: 16, image: 64 },
    };
    let Size { d, heads, ffn, layers, patch, image } = size;
    w.ints(&[
        ("vision.image_size", image),
        ("vision.patch_size", patch),
        ("vision.embedding_length", d),
        ("vision.feed_forward_length", ffn),
        ("vision.block_count", layers),
        ("vision.projection_dim", D),
        ("vision.attention.head_count", heads),
    ]);
    w.floats(&[("vision.attention.layer_norm_epsilon", 1e-6)]);
    let three = |numbers: [f32; 3]| Value::Array(numbers.map(Value::F32).to_vec());
    w.key("vision.image_mean", three([0.48, 0.46, 0.5]));
    w.key("vision.image_std", three([0.26, 0.27, 0.5]));
    let qwen = projector.starts_with("qwen");
    match projector {
        "idefics3" => {
            w.key("use_gelu", Value::Bool(true));
            w.ints(&[("vision.projector.scale_factor", if is_large { 4 } else { 2 })]);
            if is_large {
                w.ints(&[("vision.preproc_image_size", 512)]);
            } else if name != "smolvlm-old" {
                w.ints(&[("vision.preproc_image_size", 128)]);
            }
        }
        "gemma3" | "internvl" | "lfm2" => w.key("use_gelu", Value::Bool(true)),
        "qwen2.5vl_merger" => {
            w.key("use_silu", Value::Bool(true));
            w.ints(&[("vision.n_wa_pattern", 2)]);
        }
        _ => {}
    }
    match projector {
        "internvl" => w.ints(&[("vision.projector.scale_factor", 2), ("vision.preproc_max_tiles", 4)]),
        "lfm2" => w.ints(&[
            ("vision.projector.scale_factor", 2),
            ("vision.preproc_max_tiles", 4),
            ("vision.preproc_tile_size", 128),
        ]),
        _ => {}
    }
    let norm = |w: &mut Writer, name: String, width: usize, biased: bool| {
        w.vector(format!("{name}.weight"), 1.0, 0.2, width);
        if biased {
            w.vector(format!("{name}.bias"), 0.0, 0.1, width);
        }
    };
    let biased = |w: &mut Writer, name: String, rows: usize, columns: usize| {
        w.matrix(format!("{name}.weight"), rows, columns);
        w.vector(format!("{name}.bias"), 0.0, 0.1, rows);
    };
    w.put("v.patch_embd.weight".into(), 0.0, 0.03, &[d, 3, patch, patch]);
    if qwen {
        w.put("v.patch_embd.weight.1".into(), 0.0, 0.03, &[d, 3, patch, patch]);
    } else {
        let class = ["mlp", "internvl"].contains(&projector);
        if class {
            w.vector("v.class_embd".into(), 0.0, 0.3, d);
        }
        if projector != "mlp" {
            w.vector("v.patch_embd.bias".into(), 0.0, 0.1, d);
        }
        let places = (image / patch).pow(2) + usize::from(class);
        w.put("v.position_embd.weight".into(), 0.0, 0.3, &[places, d]);
    }
    if projector == "mlp" {
        norm(&mut w, "v.pre_ln".to_owned(), d, true);
    }
    if projector != "mlp" && projector != "internvl" {
        norm(&mut w, "v.post_ln".to_owned(), d, projector != "qwen2.5vl_merger");
    }
    for layer in 0..layers {
        let name = |which: &str| format!("v.blk.{layer}.{which}");
        for which in ["ln1", "ln2"] {
            norm(&mut w, name(which), d, projector != "qwen2.5vl_merger");
        }
        if projector == "internvl" {
            biased(&mut w, name("attn_qkv"), 3 * d, d);
            w.vector(name("ls1.weight"), 0.5, 0.2, d);
            w.vector(name("ls2.weight"), 0.5, 0.2, d);
        } else {
            for which in ["attn_q", "attn_k", "attn_v"] {
                biased(&mut w, name(which), d, d);
            }
        }
        biased(&mut w, name("attn_out"), d, d);
        // Old files give the matrices of the network each other's name.
        let (up, down) = if projector == "gemma3" { ("ffn_down", "ffn_up") } else { ("ffn_up", "ffn_down") };
        if projector == "qwen2.5vl_merger" {
            biased(&mut w, name("ffn_gate"), ffn, d);
        }
        biased(&mut w, name(up), ffn, d);
        biased(&mut w, name(down), d, ffn);
    }
    match projector {
        "idefics3" => w.matrix("mm.model.fc.weight".into(), D, if is_large { 16 } else { 4 } * d),
        "gemma3" => {
            w.matrix("mm.input_projection.weight".into(), d, D); // as columns
            w.vector("mm.soft_emb_norm.weight".into(), 1.0, 0.2, d);
        }
        "mlp" => {
            biased(&mut w, "mm.0".into(), D, d);
            biased(&mut w, "mm.2".into(), D, D);
        }
        "internvl" => {
            norm(&mut w, "mm.model.mlp.0".into(), 4 * d, true);
            biased(&mut w, "mm.model.mlp.1".into(), 96, 4 * d);
            biased(&mut w, "mm.model.mlp.3".into(), D, 96);
        }
        "lfm2" => {
            norm(&mut w, "mm.input_norm".into(), 4 * d, true);
            biased(&mut w, "mm.1".into(), 96, 4 * d);
            biased(&mut w, "mm.2".into(), D, 96);
        }
        _ => {
            biased(&mut w, "mm.0".into(), 4 * d, 4 * d);
            biased(&mut w, "mm.2".into(), D, 4 * d);
        }
    }
    w.finish(path, others);
}

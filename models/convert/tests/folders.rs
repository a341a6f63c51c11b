//! Whole folders, made here, converted; and folders that are broken on purpose.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow::{self, Continue};
use std::path::Path;

use half::bf16;
use nearfield_convert::{ConvertError, ConvertOptions, Converted, Float, convert};
use nearfield_gguf::{Gguf, Value};
use serde_json::json;

const D: usize = 8;
const HEADS: usize = 2;
const KV: usize = 1;
const HEAD: usize = 4;
const FFN: usize = 6;
const VOCAB: usize = 12;

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Numbers that tell where they stand, and that brain floats hold exactly.
fn numbers(seed: usize, shape: &[usize]) -> Vec<f32> {
    (0..shape.iter().product()).map(|i: usize| ((seed * 31 + i * 7) % 255) as f32 - 127.0).collect()
}

fn tensors(family: &str) -> Tensors {
    let mut all = Tensors::new();
    let mut add = |name: String, shape: &[usize]| {
        let seed = name.len() + name.bytes().map(usize::from).sum::<usize>();
        all.insert(name, (shape.to_vec(), numbers(seed, shape)));
    };
    add("model.embed_tokens.weight".to_owned(), &[VOCAB, D]);
    let layer = "model.layers.0";
    for (name, rows, columns) in [
        ("self_attn.q_proj", HEADS * HEAD, D),
        ("self_attn.k_proj", KV * HEAD, D),
        ("self_attn.v_proj", KV * HEAD, D),
        ("self_attn.o_proj", D, HEADS * HEAD),
        ("mlp.gate_proj", FFN, D),
        ("mlp.up_proj", FFN, D),
        ("mlp.down_proj", D, FFN),
    ] {
        add(format!("{layer}.{name}.weight"), &[rows, columns]);
        if family == "qwen2" && ["q_proj", "k_proj", "v_proj"].iter().any(|it| name.ends_with(it)) {
            add(format!("{layer}.{name}.bias"), &[rows]);
        }
    }
    let mut norms = vec!["input_layernorm", "post_attention_layernorm"];
    if family == "gemma3" {
        norms.extend(["pre_feedforward_layernorm", "post_feedforward_layernorm"]);
        add(format!("{layer}.self_attn.q_norm.weight"), &[HEAD]);
        add(format!("{layer}.self_attn.k_norm.weight"), &[HEAD]);
    }
    norms.iter().for_each(|norm| add(format!("{layer}.{norm}.weight"), &[D]));
    add("model.norm.weight".to_owned(), &[D]);
    all
}

/// Writes a safetensors file.
fn write(path: &Path, tensors: &Tensors, dtype: &str) {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    header.insert("__metadata__".to_owned(), json!({"format": "pt"}));
    for (name, (shape, numbers)) in tensors {
        let begin = data.len();
        for x in numbers {
            match dtype {
                "BF16" => data.extend(bf16::from_f32(*x).to_le_bytes()),
                "F32" => data.extend(x.to_le_bytes()),
                other => panic!("{other}"),
            }
        }
        header.insert(name.clone(), json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, data.len()]}));
    }
    let header = serde_json::to_vec(&header).unwrap();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(data);
    fs::write(path, bytes).unwrap();
}

fn architecture(family: &str) -> &'static str {
    match family {
        "qwen2" => "Qwen2ForCausalLM",
        "gemma3" => "Gemma3ForCausalLM",
        _ => "LlamaForCausalLM",
    }
}

/// A folder with everything.
fn folder(family: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let config = json!({
        "architectures": [architecture(family)], "hidden_size": D, "intermediate_size": FFN, "num_hidden_layers": 1,
        "num_attention_heads": HEADS, "num_key_value_heads": KV, "head_dim": HEAD, "vocab_size": VOCAB,
        "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 5e5, "eos_token_id": 9, "bos_token_id": [8, 9],
    });
    fs::write(at("config.json"), config.to_string()).unwrap();
    let vocab: serde_json::Map<_, _> = ["a", "b", "c", "ab", "abc", "Ġ", "d", "e"]
        .iter()
        .enumerate()
        .map(|(id, text)| ((*text).to_owned(), json!(id)))
        .collect();
    let tokenizer = json!({
        "model": {"type": "BPE", "vocab": vocab, "merges": [["a", "b"], "ab c"]},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
        "added_tokens": [
            {"id": 8, "content": "<s>", "special": true}, {"id": 9, "content": "</s>", "special": true},
            {"id": 10, "content": "▁▁", "special": false},
        ],
    });
    fs::write(at("tokenizer.json"), tokenizer.to_string()).unwrap();
    let settings = json!({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "add_bos_token": true, "chat_template": "{{ x }}"});
    fs::write(at("tokenizer_config.json"), settings.to_string()).unwrap();
    write(&at("model.safetensors"), &tensors(family), "BF16");
    folder
}

fn go_on(_: u64, _: u64) -> ControlFlow<()> {
    Continue(())
}

fn made(folder: &Path, options: &ConvertOptions) -> Result<(Converted, Gguf), ConvertError> {
    let out = folder.join("out.gguf");
    let converted = convert(folder, &out, options, &mut go_on)?;
    assert_eq!(fs::metadata(&out).unwrap().len(), converted.file_bytes);
    Ok((converted, Gguf::open(&out).unwrap()))
}

fn refused(folder: &Path) -> String {
    let error = made(folder, &ConvertOptions::default()).unwrap_err().to_string();
    assert!(!folder.join("out.gguf").exists(), "{error}");
    error
}

fn floats(gguf: &Gguf, name: &str) -> Vec<f32> {
    let tensor = gguf.tensor(name).unwrap_or_else(|| panic!("no {name}"));
    let bytes = &gguf.bytes()[tensor.range.clone()];
    match tensor.kind.name {
        "F32" => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        "BF16" => bytes.as_chunks::<2>().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        other => panic!("{other}"),
    }
}

#[test]
fn a_folder_becomes_a_file_with_its_weights_vocabulary_and_template() {
    for family in ["llama", "qwen2", "gemma3"] {
        let folder = folder(family);
        let (converted, gguf) = made(folder.path(), &ConvertOptions::default()).unwrap();
        assert_eq!((converted.architecture, converted.float), (family, Float::Bf16));
        let source = tensors(family);
        assert_eq!((converted.tensors, gguf.tensors().len()), (source.len(), source.len()));
        let of = |name: &str| source[name].1.clone();
        assert_eq!(floats(&gguf, "token_embd.weight"), of("model.embed_tokens.weight"));
        assert_eq!(floats(&gguf, "blk.0.attn_v.weight"), of("model.layers.0.self_attn.v_proj.weight"));
        assert_eq!(floats(&gguf, "blk.0.ffn_down.weight"), of("model.layers.0.mlp.down_proj.weight"));
        assert_eq!(gguf.tensor("blk.0.ffn_down.weight").unwrap().dims, [FFN, D]);
        let q = of("model.layers.0.self_attn.q_proj.weight");
        let order: &[usize] = if family == "llama" { &[0, 2, 1, 3, 4, 6, 5, 7] } else { &[0, 1, 2, 3, 4, 5, 6, 7] };
        let turned: Vec<f32> = order.iter().flat_map(|row| q[row * D..][..D].to_vec()).collect();
        assert_eq!(floats(&gguf, "blk.0.attn_q.weight"), turned, "{family}");
        let norm: Vec<f32> =
            of("model.norm.weight").iter().map(|x| if family == "gemma3" { x + 1.0 } else { *x }).collect();
        assert_eq!(floats(&gguf, "output_norm.weight"), norm);
        assert_eq!(gguf.tensor("output_norm.weight").unwrap().kind.name, "F32");
        if family == "qwen2" {
            assert_eq!(floats(&gguf, "blk.0.attn_q.bias"), of("model.layers.0.self_attn.q_proj.bias"));
        }
        let integer = |key: &str| gguf.integer(key, 0, 1 << 40).unwrap();
        assert_eq!(integer(&format!("{family}.attention.head_count_kv")), Some(KV));
        assert_eq!(integer("tokenizer.ggml.bos_token_id"), Some(8));
        assert_eq!(integer("tokenizer.ggml.eos_token_id"), Some(9));
        assert_eq!(gguf.float(&format!("{family}.rope.freq_base")).unwrap(), Some(5e5));
        assert_eq!(gguf.bool("tokenizer.ggml.add_bos_token").unwrap(), Some(true));
        assert_eq!(gguf.text("tokenizer.chat_template").unwrap(), Some("{{ x }}"));
        assert_eq!(gguf.text("tokenizer.ggml.pre").unwrap(), Some("gpt-2"));
        let Some(Value::Texts(tokens)) = gguf.value("tokenizer.ggml.tokens") else { panic!("no tokens") };
        assert_eq!(tokens[7..], ["e", "<s>", "</s>", "  ", "[PAD11]"]);
        assert_eq!(
            gguf.value("tokenizer.ggml.token_type"),
            Some(&Value::Integers(vec![1, 1, 1, 1, 1, 1, 1, 1, 3, 3, 4, 5]))
        );
        assert_eq!(gguf.value("tokenizer.ggml.merges"), Some(&Value::Texts(vec!["a b".to_owned(), "ab c".to_owned()])));
    }
}

#[test]
fn shards_and_other_floats_give_the_same_file() {
    let folder = folder("llama");
    let (_, whole) = made(folder.path(), &ConvertOptions::default()).unwrap();
    let all = tensors("llama");
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let mut map = serde_json::Map::new();
    for (part, name) in ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"].iter().enumerate() {
        let some: Tensors =
            all.iter().enumerate().filter(|(i, _)| i % 2 == part).map(|(_, (k, v))| (k.clone(), v.clone())).collect();
        some.keys().for_each(|key| _ = map.insert(key.clone(), json!(name)));
        write(&folder.path().join(name), &some, "F32");
    }
    fs::write(folder.path().join("model.safetensors.index.json"), json!({"weight_map": map}).to_string()).unwrap();
    let (_, sharded) = made(folder.path(), &ConvertOptions::default()).unwrap();
    for (name, tensor) in whole.tensors() {
        assert_eq!(
            sharded.bytes()[sharded.tensor(name).unwrap().range.clone()],
            whole.bytes()[tensor.range.clone()],
            "{name}"
        );
    }
    let (converted, single) =
        made(folder.path(), &ConvertOptions { float: Some(Float::F32), ..Default::default() }).unwrap();
    assert_eq!(converted.float, Float::F32);
    assert_eq!(floats(&single, "blk.0.attn_q.weight"), floats(&whole, "blk.0.attn_q.weight"));
    fs::remove_file(folder.path().join("model-00002-of-00002.safetensors")).unwrap();
    fs::remove_file(folder.path().join("out.gguf")).unwrap();
    assert!(refused(folder.path()).contains("model-00002-of-00002.safetensors"));
}

#[test]
fn an_adapter_is_merged_into_the_rows_that_it_changes() {
    let folder = folder("llama");
    let adapter = tempfile::tempdir().unwrap();
    let weight = "model.layers.0.self_attn.q_proj";
    let (a, b) = (numbers(3, &[2, D]), numbers(5, &[HEADS * HEAD, 2]));
    let pairs = Tensors::from([
        (format!("base_model.model.{weight}.lora_A.weight"), (vec![2, D], a.clone())),
        (format!("base_model.model.{weight}.lora_B.weight"), (vec![HEADS * HEAD, 2], b.clone())),
    ]);
    write(&adapter.path().join("adapter_model.safetensors"), &pairs, "F32");
    let config = |text: &str| fs::write(adapter.path().join("adapter_config.json"), text).unwrap();
    config(r#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none"}"#);
    let options =
        ConvertOptions { float: Some(Float::F32), loras: vec![adapter.path().to_owned()], ..ConvertOptions::default() };
    let (_, gguf) = made(folder.path(), &options).unwrap();
    let q = &tensors("llama")[&format!("{weight}.weight")].1;
    let merged = |row: usize, column: usize| {
        q[row * D + column] + (0..2).map(|rank| 2.0 * b[row * 2 + rank] * a[rank * D + column]).sum::<f32>()
    };
    let found = floats(&gguf, "blk.0.attn_q.weight");
    for (row, from) in [0, 2, 1, 3, 4, 6, 5, 7].into_iter().enumerate() {
        for column in 0..D {
            assert_eq!(found[row * D + column], merged(from, column), "{row} {column}");
        }
    }
    for (text, says) in [
        (r#"{"peft_type": "IA3", "r": 2, "lora_alpha": 4}"#, "IA3"),
        (r#"{"r": 2, "lora_alpha": 4, "use_dora": true}"#, "use_dora"),
        (r#"{"r": 0, "lora_alpha": 4}"#, "r: expected 1 to 4096"),
        (r#"{"r": 2}"#, "lora_alpha: is missing"),
        (r#"{"r": 2, "lora_alpha": 4, "modules_to_save": ["lm_head"]}"#, "modules_to_save"),
    ] {
        config(text);
        let error = made(folder.path(), &options).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
    config(r#"{"r": 2, "lora_alpha": 4}"#);
    let other = Tensors::from([
        ("base_model.model.model.layers.7.mlp.up_proj.lora_A.weight".to_owned(), (vec![2, D], a)),
        ("base_model.model.model.layers.7.mlp.up_proj.lora_B.weight".to_owned(), (vec![FFN, 2], numbers(1, &[FFN, 2]))),
    ]);
    write(&adapter.path().join("adapter_model.safetensors"), &other, "F32");
    let error = made(folder.path(), &options).unwrap_err().to_string();
    assert!(error.contains("layers.7") && error.contains("another model"), "{error}");
}

#[test]
fn weights_that_are_broken_are_named() {
    let change = |change: &dyn Fn(&mut Tensors)| {
        let folder = folder("llama");
        let mut all = tensors("llama");
        change(&mut all);
        write(&folder.path().join("model.safetensors"), &all, "F32");
        refused(folder.path())
    };
    let up = "model.layers.0.mlp.up_proj.weight";
    let error = change(&|all| _ = all.remove(up));
    assert!(error.contains(up) && error.contains("missing"), "{error}");
    let error = change(&|all| _ = all.insert(up.to_owned(), (vec![D, FFN], numbers(1, &[D, FFN]))));
    assert!(error.contains("expected the shape [6, 8]") && error.contains("[8, 6]"), "{error}");
    let error = change(&|all| _ = all.insert("model.extra.weight".to_owned(), (vec![1], vec![0.0])));
    assert!(error.contains("model.extra.weight") && error.contains("would be lost"), "{error}");
    for bad in [f32::NAN, f32::INFINITY] {
        let error = change(&|all| all.get_mut(up).unwrap().1[5] = bad);
        assert!(error.contains(up) && error.contains("number 5 is"), "{error}");
    }
    let folder = folder("llama");
    let mut all = tensors("llama");
    all.get_mut(up).unwrap().1[0] = 1e9;
    write(&folder.path().join("model.safetensors"), &all, "F32");
    let half = ConvertOptions { float: Some(Float::F16), ..ConvertOptions::default() };
    let error = made(folder.path(), &half).unwrap_err().to_string();
    assert!(error.contains("too large for half floats") && error.contains("--type bf16"), "{error}");
}

#[test]
fn files_that_are_cut_short_or_hostile_are_errors_and_leave_no_file() {
    let folder = folder("llama");
    let weights = folder.path().join("model.safetensors");
    let whole = fs::read(&weights).unwrap();
    for len in [0, 4, 8, 20, whole.len() / 2, whole.len() - 1] {
        fs::write(&weights, &whole[..len]).unwrap();
        let error = refused(folder.path());
        assert!(error.contains("model.safetensors") && error.len() < 400, "{len}: {error}");
    }
    let header = |text: &str| {
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text.as_bytes());
        bytes.extend([0; 64]);
        fs::write(&weights, bytes).unwrap();
        refused(folder.path())
    };
    let entry = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"x":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    for (text, says) in [
        (entry("F8_E4M3", "[1]", "[0,1]"), "F8_E4M3"),
        (entry("I64", "[1]", "[0,8]"), "I64"),
        (entry("F32", "[4]", "[0,8]"), "does not fit"),
        (entry("F32", "[4]", "[16,0]"), "does not fit"),
        (entry("F32", "[18446744073709551615,4]", "[0,16]"), "does not fit"),
        (entry("F32", "[-1]", "[0,4]"), "entry is broken"),
        (entry("F32", "[100]", "[0,400]"), "cut short"),
        (r#"{"x":1}"#.to_owned(), "entry is broken"),
        (r#"{"x":{},"x":{}}"#.to_owned(), "twice"),
        ("[".repeat(10_000), "header is broken"),
        ("not json".to_owned(), "header is broken"),
    ] {
        let error = header(&text);
        assert!(error.contains(says), "{text:.80}: {error}");
    }
    fs::write(&weights, [0xff; 64]).unwrap();
    assert!(refused(folder.path()).contains("header would have"));
}

#[test]
fn settings_that_make_no_sense_are_named() {
    for (file, change, says) in [
        (
            "config.json",
            json!({"architectures": ["GPT2LMHeadModel"]}),
            "GPT2LMHeadModel is not converted; supported are Llama",
        ),
        ("config.json", json!({"hidden_size": 0}), "hidden_size: expected 1 to"),
        ("config.json", json!({"num_hidden_layers": 1e9}), "num_hidden_layers"),
        ("config.json", json!({"num_key_value_heads": 3}), "does not divide"),
        ("config.json", json!({"vocab_size": 7}), "no number below 7"),
        ("config.json", json!({"eos_token_id": 99, "vocab_size": 12}), ""),
        ("config.json", json!({"rope_scaling": {"rope_type": "longrope"}}), "longrope"),
        ("config.json", json!({"quantization_config": {"quant_method": "gptq"}}), "gptq"),
        ("tokenizer.json", json!({"model": {"type": "Unigram", "vocab": []}}), "Unigram"),
        ("tokenizer.json", json!({"added_tokens": [{"id": 400, "content": "x"}]}), "number 400"),
        ("tokenizer.json", json!({"pre_tokenizer": {"type": "Whitespace"}}), "Whitespace"),
    ] {
        let folder = folder("llama");
        let path = folder.path().join(file);
        let mut object: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        object.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        fs::write(&path, object.to_string()).unwrap();
        if says.is_empty() {
            made(folder.path(), &ConvertOptions::default()).unwrap(); // the tokenizer's own setting counts
            continue;
        }
        let error = refused(folder.path());
        let named = if says.contains("number below") { "tokenizer.json" } else { file };
        assert!(error.contains(says) && error.contains(named), "{change}: {error}");
    }
    let folder = folder("llama");
    fs::write(folder.path().join("config.json"), "[".repeat(1 << 20)).unwrap();
    assert!(refused(folder.path()).contains("config.json"));
    let empty = tempfile::tempdir().unwrap();
    assert!(refused(empty.path()).contains("config.json"));
}

#[test]
fn a_stopped_run_leaves_no_file() {
    let folder = folder("llama");
    let out = folder.path().join("out.gguf");
    let stopped = convert(folder.path(), &out, &ConvertOptions::default(), &mut |_, _| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(ConvertError::Stopped)) && !out.exists());
    let left = fs::read_dir(folder.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("out"));
    assert_eq!(left.count(), 0);
}

#[test]
fn random_changes_of_any_file_give_a_file_or_an_error_and_never_a_panic() {
    let mut state = 23u64;
    let mut dice = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n.max(1)
    };
    let folder = folder("llama");
    // Two pieces; the rest of the vocabulary is filled up.
    let pieces = [0x0a, 7, 0x0a, 3, b'<', b's', b'>', 0x18, 3, 0x0a, 9, 0x0a, 2, b'a', b'b', 0x15, 0, 0, 0x20, 0xc0];
    let files = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors", "tokenizer.model"];
    let mut made_files = 0;
    for round in 0..3000 {
        let file = files[round % files.len()];
        let path = folder.path().join(file);
        let original = if file == "tokenizer.model" { pieces.to_vec() } else { fs::read(&path).unwrap() };
        let mut bytes = original.clone();
        for _ in 0..=dice(3) {
            let at = dice(bytes.len().min(1500));
            match dice(4) {
                0 => bytes[at] = dice(256) as u8,
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, b"09\"[]{},:-eE\xff\x00"[dice(14)]),
                _ => {
                    let end = (at + 1 + dice(20)).min(bytes.len());
                    bytes.drain(at..end);
                    bytes.push(b'}');
                }
            }
        }
        fs::write(&path, bytes).unwrap();
        match made(folder.path(), &ConvertOptions::default()) {
            Ok(_) => made_files += 1,
            Err(error) => assert!(error.to_string().len() < 1000, "{error}"),
        }
        fs::remove_file(folder.path().join("out.gguf")).ok();
        match file {
            "tokenizer.model" => fs::remove_file(&path).unwrap(),
            _ => fs::write(&path, original).unwrap(),
        }
    }
    // Some changes do no harm; most do.
    assert!((10..2700).contains(&made_files), "{made_files} of 3000 were converted");
}

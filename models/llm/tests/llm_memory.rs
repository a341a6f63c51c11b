//! Memory of the language model. One test in a file of its own, because it measures the whole process.

use std::io::Write;
use std::path::Path;

use nearfield_base::memory::of_process;
use nearfield_llm::{Llm, LlmOptions, Session, SessionOptions, TokenId};
use std::ops::ControlFlow;

const D: u64 = 512;
const FFN: u64 = 2048;
/// What may be resident of the program itself, in bytes.
const FIXED: usize = 1 << 20;
const VOCAB: u64 = 4096;
const LAYERS: u64 = 14;

/// A model whose every byte of weights is the same: what they mean does not matter here.
fn write(path: &Path, kind: u32, block_weights: u64, block_bytes: u64) {
    let mut tensors: Vec<(String, Vec<u64>, u32)> = vec![
        ("token_embd.weight".into(), vec![D, VOCAB], kind),
        ("output.weight".into(), vec![D, VOCAB], kind),
        ("output_norm.weight".into(), vec![D], 0),
    ];
    for layer in 0..LAYERS {
        for (name, dims) in [
            ("attn_q", vec![D, D]),
            ("attn_k", vec![D, D / 4]),
            ("attn_v", vec![D, D / 4]),
            ("attn_output", vec![D, D]),
            ("ffn_gate", vec![D, FFN]),
            ("ffn_up", vec![D, FFN]),
            ("ffn_down", vec![FFN, D]),
            ("attn_norm", vec![D]),
            ("ffn_norm", vec![D]),
        ] {
            let kind = if dims.len() == 1 { 0 } else { kind };
            tensors.push((format!("blk.{layer}.{name}.weight"), dims, kind));
        }
    }
    let mut head = Vec::new();
    let text = |head: &mut Vec<u8>, text: &str| {
        head.extend((text.len() as u64).to_le_bytes());
        head.extend(text.as_bytes());
    };
    head.extend(b"GGUF");
    head.extend(3u32.to_le_bytes());
    head.extend((tensors.len() as u64).to_le_bytes());
    head.extend(8u64.to_le_bytes());
    text(&mut head, "general.architecture");
    head.extend(8u32.to_le_bytes());
    text(&mut head, "llama");
    for (key, value) in [
        ("block_count", LAYERS),
        ("context_length", 2048),
        ("embedding_length", D),
        ("feed_forward_length", FFN),
        ("attention.head_count", 8),
        ("attention.head_count_kv", 2),
    ] {
        text(&mut head, &format!("llama.{key}"));
        head.extend(4u32.to_le_bytes());
        head.extend((value as u32).to_le_bytes());
    }
    text(&mut head, "llama.attention.layer_norm_rms_epsilon");
    head.extend(6u32.to_le_bytes());
    head.extend(1e-5f32.to_le_bytes());
    let mut offset = 0u64;
    for (name, dims, kind) in &tensors {
        text(&mut head, name);
        head.extend((dims.len() as u32).to_le_bytes());
        dims.iter().for_each(|dim| head.extend(dim.to_le_bytes()));
        head.extend(kind.to_le_bytes());
        head.extend(offset.to_le_bytes());
        let weights: u64 = dims.iter().product();
        let bytes = if *kind == 0 { weights * 4 } else { weights / block_weights * block_bytes };
        offset += bytes.next_multiple_of(32);
    }
    head.resize(head.len().next_multiple_of(32), 0);
    let mut file = std::fs::File::create(path).unwrap();
    file.write_all(&head).unwrap();
    // 0x1111 is a small half float, so the sums stay finite.
    let piece = vec![0x11u8; 1 << 20];
    let mut left = offset as usize;
    while left > 0 {
        let n = left.min(piece.len());
        file.write_all(&piece[..n]).unwrap();
        left -= n;
    }
}

#[test]
fn resident_memory_is_file_and_cache_and_little_more_for_every_fast_type() {
    let folder = tempfile::tempdir().unwrap();
    let kinds: [(&str, u32, u64, u64); 6] = [
        ("Q4_0", 2, 32, 18),
        ("Q8_0", 8, 32, 34),
        ("Q4_K", 12, 256, 144),
        ("Q5_K", 13, 256, 176),
        ("Q6_K", 14, 256, 210),
        ("F16", 1, 1, 2),
    ];
    // Once for all: what the allocator keeps of an earlier model counts against the next one.
    let before = of_process("VmRSS").unwrap();
    for (name, kind, block_weights, block_bytes) in kinds {
        let path = folder.path().join(format!("{name}.gguf"));
        write(&path, kind, block_weights, block_bytes);
        let llm = Llm::open(&path, &LlmOptions { threads: 2 }).unwrap();
        assert_eq!(llm.info().quantization, name);
        let options = SessionOptions { context_tokens: 512, ..SessionOptions::default() };
        let mut session = Session::new(llm.clone(), &options).unwrap();
        let tokens: Vec<TokenId> = (0..500).map(|i| TokenId(i * 37 % VOCAB as u32)).collect();
        session.prompt(&tokens, &mut || ControlFlow::Continue(())).unwrap();
        for token in &tokens[..8] {
            session.step(*token).unwrap();
        }
        // Every row of the embedding, as a long use would.
        for token in 0..VOCAB as u32 {
            llm.embedding(TokenId(token)).unwrap();
        }
        let resident = of_process("VmRSS").unwrap().saturating_sub(before);
        let needed = llm.info().file_bytes as usize + session.cache_bytes();
        let ratio = resident as f64 / needed as f64;
        eprintln!("{name}: {resident} bytes resident for {needed} of file and cache: {ratio:.3}");
        // What does not grow with the file weighs more in one so small: code, stacks, buffers of the threads.
        assert!(
            resident <= needed * 115 / 100 + FIXED,
            "{name}: {resident} bytes resident for {needed} of file and cache: {ratio:.3}"
        );
        assert!(ratio > 0.8, "{name}: {ratio:.3} is too little to have read the weights");
        drop((session, llm));
        std::fs::remove_file(&path).unwrap();
    }
}

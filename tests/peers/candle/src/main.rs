//! candle-transformers behind the command line that all peers share (see the bench's `main.rs`), as far as it goes: `speed`
//! and `logits`. Also `write`, which makes the files that are measured: random weights in the shapes of real models, quantized
//! by candle, so that nobody has to download anything. Speed depends on shapes and types, not on what weights mean.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use candle_transformers::models::quantized_llama::ModelWeights;

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["write", path, shape, kind] => write(path, shape, kind),
        ["speed", path, _, prompt, generate] => speed(path, prompt.parse()?, generate.parse()?), // RAYON_NUM_THREADS counts
        ["logits", path, _, count] => {
            let (mut model, n_vocab) = open(path)?;
            let mut out = std::io::stdout().lock();
            for i in 0..count.parse()? {
                let logits = feed(&mut model, i, &[token(i, n_vocab)])?;
                out.write_all(&logits.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
            }
            Ok(())
        }
        _ => Err("see the opening paragraph of the bench's main.rs".into()),
    }
}

fn open(path: &str) -> Result<(ModelWeights, u64), Error> {
    let mut file = File::open(path)?;
    let content = gguf_file::Content::read(&mut file)?;
    let n_vocab = content.tensor_infos["token_embd.weight"].shape.dims()[0] as u64;
    Ok((ModelWeights::from_gguf(content, &mut file, &Device::Cpu)?, n_vocab))
}

fn speed(path: &str, prompt: usize, generate: usize) -> Result<(), Error> {
    let (mut model, n_vocab) = open(path)?;
    let tokens: Vec<u32> = (0..prompt).map(|i| token(i, n_vocab)).collect();
    let (mut prefill, mut decode) = (Vec::new(), Vec::new());
    for run in 0..4 {
        let start = Instant::now();
        feed(&mut model, 0, &tokens)?;
        if run > 0 {
            prefill.push(start.elapsed().as_secs_f64() / prompt as f64); // the first touches every page
        }
        let start = Instant::now();
        for i in prompt..prompt + generate {
            feed(&mut model, i, &[token(i, n_vocab)])?;
        }
        if run > 0 {
            decode.push(start.elapsed().as_secs_f64() / generate as f64);
        }
    }
    let (prefill, decode) = (1.0 / median(prefill), 1.0 / median(decode));
    println!("{{\"prefill_tok_s\": {prefill}, \"decode_tok_s\": {decode}}}");
    Ok(())
}

/// Logits after the last of these tokens, which begin at position `first`; position 0 forgets what was.
fn feed(model: &mut ModelWeights, first: usize, tokens: &[u32]) -> Result<Vec<f32>, Error> {
    let input = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
    Ok(model.forward(&input, first)?.flatten_all()?.to_vec1()?)
}

/// The same made-up tokens in every peer.
fn token(index: usize, n_vocab: u64) -> u32 {
    ((index as u64 + 1) * 2_654_435_761 % n_vocab) as u32
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Writes a llama file of random weights. All blocks carry the same numbers, which no speed depends on and which makes the
/// writing quick; the embedding serves as output too and has 8 bits, or 6 in the K types.
fn write(path: &str, shape: &str, kind: &str) -> Result<(), Error> {
    // layers, d_model, heads, kv heads, ffn, vocabulary
    let (layers, d, heads, kv, ffn, vocab) = match shape {
        "135m" => (30, 576, 9, 3, 1536, 49152),
        "1.1b" => (22, 2048, 32, 4, 5632, 32000),
        "tiny" => (2, 512, 8, 2, 1024, 1000),
        _ => return Err("the shapes are: 135m, 1.1b, tiny".into()),
    };
    let (kind, table) = match kind {
        "Q4_0" => (GgmlDType::Q4_0, GgmlDType::Q8_0),
        "Q8_0" => (GgmlDType::Q8_0, GgmlDType::Q8_0),
        "Q4_K" => (GgmlDType::Q4K, GgmlDType::Q6K),
        "Q5_K" => (GgmlDType::Q5K, GgmlDType::Q6K),
        "Q6_K" => (GgmlDType::Q6K, GgmlDType::Q6K),
        "F16" => (GgmlDType::F16, GgmlDType::F16),
        _ => return Err("the types are: Q4_0, Q8_0, Q4_K, Q5_K, Q6_K, F16".into()),
    };
    let mut state = 88_172_645_463_325_252u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let mut random = |rows: usize, columns: usize, kind| -> Result<QTensor, Error> {
        let spread = 1.0 / (columns as f32).sqrt(); // keeps every state of the size that real models have
        let values: Vec<f32> = (0..rows * columns).map(|_| (next() + next() + next()) * spread).collect();
        Ok(QTensor::quantize(&Tensor::from_vec(values, (rows, columns), &Device::Cpu)?, kind)?)
    };
    let head = d / heads;
    let matrices = [
        ("attn_q.weight", random(d, d, kind)?),
        ("attn_k.weight", random(kv * head, d, kind)?),
        ("attn_v.weight", random(kv * head, d, kind)?),
        ("attn_output.weight", random(d, d, kind)?),
        ("ffn_gate.weight", random(ffn, d, kind)?),
        ("ffn_up.weight", random(ffn, d, kind)?),
        ("ffn_down.weight", random(d, ffn, kind)?),
    ];
    let embedding = random(vocab, d, table)?;
    let ones = QTensor::quantize(&Tensor::ones(d, candle_core::DType::F32, &Device::Cpu)?, GgmlDType::F32)?;
    let mut tensors = vec![("token_embd.weight".to_owned(), &embedding), ("output_norm.weight".to_owned(), &ones)];
    for layer in 0..layers {
        let name = |suffix: &str| format!("blk.{layer}.{suffix}");
        tensors.push((name("attn_norm.weight"), &ones));
        tensors.push((name("ffn_norm.weight"), &ones));
        tensors.extend(matrices.iter().map(|(suffix, tensor)| (name(suffix), tensor)));
    }
    let u32s = [
        ("llama.block_count", layers),
        ("llama.context_length", 2048),
        ("llama.embedding_length", d),
        ("llama.feed_forward_length", ffn),
        ("llama.attention.head_count", heads),
        ("llama.attention.head_count_kv", kv),
        ("llama.rope.dimension_count", head),
        ("llama.vocab_size", vocab),
    ];
    let mut metadata = vec![
        ("general.architecture", Value::String("llama".into())),
        ("general.name", Value::String(shape.into())),
        ("tokenizer.ggml.model", Value::String("no_vocab".into())),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("llama.rope.freq_base", Value::F32(10_000.0)),
    ];
    metadata.extend(u32s.map(|(key, value)| (key, Value::U32(value as u32))));
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), *tensor)).collect();
    let unfinished = format!("{path}.part");
    gguf_file::write(&mut File::create(&unfinished)?, &metadata, &tensors)?;
    Ok(std::fs::rename(unfinished, path)?)
}

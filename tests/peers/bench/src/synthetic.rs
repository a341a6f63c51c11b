//! Files with random weights in every type, ours beside llama.cpp and candle-transformers, and what they compute. Each run is a
//! process of its own; in each round the memory is read too, as fast as it goes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{Error, Peer, median, run, text};

/// Measures speeds and compares logits, greedy text and tokens; what comes of it is added to `all`.
pub fn compare(
    [ours, llama, candle]: &[Peer; 3],
    folder: &Path,
    stories: &[String],
    runs: usize,
    quick: bool,
    all: &mut Value,
) -> Result<(), Error> {
    let file = |shape: &str, kind: &str| -> Result<PathBuf, Error> {
        let path = folder.join(format!("llama-{shape}-{kind}.gguf"));
        if !path.is_file() {
            eprintln!("writing {}", path.display());
            run(candle, &["write", text(&path), shape, kind], &[], b"")?;
        }
        Ok(path)
    };
    let models: &[(&str, &str)] = if quick {
        &[("135m", "Q4_0"), ("1.1b", "Q4_0"), ("1.1b", "Q4_K")]
    } else {
        &[("135m", "Q4_0"), ("135m", "Q8_0"), ("1.1b", "Q4_0"), ("1.1b", "Q8_0"), ("1.1b", "Q4_K"), ("1.1b", "Q6_K")]
    };
    let peers = if quick { vec![ours, llama] } else { vec![ours, llama, candle] };
    println!(
        "{:12}{:>8}{:>7}{:>9}{:>16}{:>24}{:>24}",
        "model", "threads", "prompt", "", "nearfield", "llama.cpp (ratio)", "candle (ratio)"
    );
    let mut rows = Vec::new();
    for (shape, kind) in models {
        let path = file(shape, kind)?;
        for (threads, prompt) in [("1", "128"), ("2", "128"), ("2", "512")] {
            if !(quick && threads == "1") {
                rows.extend(speeds(&peers, &path, &format!("{shape} {kind}"), threads, prompt, runs)?);
            }
        }
    }
    let mut logits = Vec::new();
    for kind in ["F16", "Q8_0", "Q4_0", "Q4_K", "Q5_K", "Q6_K"] {
        let path = file("tiny", kind)?;
        let all = |peer: &Peer| run(peer, &["logits", text(&path), "1", "64"], &[("RAYON_NUM_THREADS", "1")], b"");
        let (a, b) = (floats(&all(ours)?), floats(&all(llama)?));
        let (difference, spread, agreement) = differences(&a, &b, 1000)?;
        println!(
            "logits, {kind}: nearfield and {}: largest difference {difference:.4} (deviation {spread:.3}), same best token in {:.0} %",
            llama.name,
            100.0 * agreement
        );
        logits.push(json!({"type": kind, "largest_difference": difference, "deviation": spread, "top1": agreement}));
    }
    let mut words = Value::Null;
    match stories {
        [stories] if Path::new(stories).is_file() => {
            let say = |peer: &Peer| run(peer, &["greedy", stories, "Once upon a time", "200"], &[], b"");
            let (a, b) = (numbers(&say(ours)?), numbers(&say(llama)?));
            let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
            println!("greedy text: {same} of {} tokens are the same before the first other one", b.len());
            let mut lines = String::new();
            let corpus = hostile();
            for line in &corpus {
                line.bytes().for_each(|byte| write!(lines, "{byte:02x}").expect("a string takes everything"));
                lines.push('\n');
            }
            let split = |peer: &Peer| -> Result<Vec<Vec<u32>>, Error> {
                let said = run(peer, &["tokens", stories], &[], lines.as_bytes())?;
                Ok(String::from_utf8(said)?.lines().map(|line| numbers(line.as_bytes())).collect())
            };
            let (a, b) = (split(ours)?, split(llama)?);
            let others: Vec<&String> =
                corpus.iter().zip(a.iter().zip(&b)).filter(|(_, (a, b))| a != b).map(|(line, _)| line).collect();
            println!("tokens: {} of {} hostile strings are split the same", corpus.len() - others.len(), corpus.len());
            others.iter().for_each(|line| println!("  not {line:?}"));
            words =
                json!({"greedy_same": same, "greedy_of": b.len(), "strings": corpus.len(), "split_otherwise": others});
        }
        _ => println!("greedy text and tokens: not compared, as the stories model is not there"),
    }
    all["speed"] = json!(rows);
    all["logits"] = json!(logits);
    all["text"] = words;
    Ok(())
}

/// Measures the peers in turn, the first one being ours; prints what came of it, and returns it: reading the prompt, writing.
fn speeds(
    peers: &[&Peer],
    path: &Path,
    model: &str,
    threads: &str,
    prompt: &str,
    runs: usize,
) -> Result<[Value; 2], Error> {
    let (mut prefill, mut decode) = (vec![Vec::new(); peers.len()], vec![Vec::new(); peers.len()]);
    let (mut memory, mut bytes) = (Vec::new(), 0.0);
    for _ in 0..runs {
        for (index, peer) in peers.iter().enumerate() {
            let asked = ["speed", text(path), threads, prompt, "32"];
            let said: Value = serde_json::from_slice(&run(peer, &asked, &[("RAYON_NUM_THREADS", threads)], b"")?)?;
            prefill[index].push(said["prefill_tok_s"].as_f64().ok_or("no prefill_tok_s")?);
            decode[index].push(said["decode_tok_s"].as_f64().ok_or("no decode_tok_s")?);
            if index == 0 {
                bytes = said["bytes_per_token"].as_f64().ok_or("no bytes_per_token")?;
                memory.push(String::from_utf8(run(peer, &["memory", threads], &[], b"")?)?.trim().parse()?);
            }
        }
    }
    let row = |what: &str, runs_of_each: &[Vec<f64>]| {
        let figures: Vec<f64> = runs_of_each.iter().map(|runs| median(runs)).collect();
        let mut row = json!({"model": model, "threads": threads, "prompt": prompt, "what": what, "runs": runs});
        let mut line = format!("{model:12}{threads:>8}{prompt:>7}{what:>9}{:>16}", format!("{:.1} tok/s", figures[0]));
        for (peer, tok_s) in peers.iter().zip(&figures) {
            row[format!("{}_tok_s", peer.name)] = json!(tok_s);
        }
        for (peer, tok_s) in peers.iter().zip(&figures).skip(1) {
            let ratio = figures[0] / tok_s;
            row[format!("ratio_{}", peer.name)] = json!(ratio);
            line += &format!("{:>24}", format!("{tok_s:.1} ({ratio:.2}) tok/s"));
        }
        println!("{line}");
        (figures, row)
    };
    let (_, prefill) = row("prefill", &prefill);
    let (figures, mut decode) = row("decode", &decode);
    let memory = median(&memory);
    let shares: Vec<f64> = figures.iter().map(|tok_s| tok_s * bytes / 1e9 / memory).collect();
    let mut line = format!("{:>36}{:>16}", format!("of {memory:.1} GB/s"), format!("{:.0} %", 100.0 * shares[0]));
    shares[1..].iter().for_each(|share| line += &format!("{:>24}", format!("{:.0} %", 100.0 * share)));
    println!("{line}");
    decode["machine_gb_s"] = json!(memory);
    decode["shares_of_it"] = json!(shares);
    Ok([prefill, decode])
}

/// Strings that tokenizers go wrong on.
fn hostile() -> Vec<String> {
    let broken = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned(); // what ours is given in their place
    let mut strings: Vec<String> = [
        "",
        " ",
        "  ",
        "\n",
        "\r\n\t",
        "a",
        " a",
        "a ",
        "Hello, world!",
        "It's 3.14159; isn't it?",
        "don't DON'T",
        "naïve café",
        "e\u{301}",
        "日本語のテキスト",
        "中文字符",
        "한국어",
        "שלום עולם",
        "مرحبا بالعالم",
        "नमस्ते",
        "🙂🙃",
        "👨‍👩‍👧‍👦",
        "🇩🇪",
        "\0",
        "a\0b",
        "\u{feff}bom",
        "\u{200b}zero",
        "\u{202e}rtl",
        "<s>",
        "</s>",
        "<unk>",
        "<|im_start|>",
        "<0x0A>",
        "▁",
        "a▁b",
        "{\"json\": [1, 2, 3]}",
        "fn main() { println!(\"{}\", 1 + 1); }",
        "http://example.invalid/?q=1&r=2#x",
        "....",
        "-----",
        "''''",
        "1234567890",
        "12 345 678",
        "ＦＵＬＬ",
        "ﬁ",
        "\u{1d54f}",
        "\u{10ffff}",
        "Once upon a time",
    ]
    .map(str::to_owned)
    .to_vec();
    strings.extend([broken(b"\xff\xfe"), broken(b"ab\xc3"), broken(b"\xed\xa0\x80x")]);
    strings.extend(["a", " ", "ab ", "é", "🙂", "the "].map(|piece| piece.repeat(300)));
    strings
}

/// The largest difference of two series of rows, the deviation of the second, and how often their best columns agree.
fn differences(a: &[f32], b: &[f32], width: usize) -> Result<(f32, f32, f64), Error> {
    if a.len() != b.len() || a.is_empty() || !a.len().is_multiple_of(width) {
        return Err(format!("{} and {} logits cannot be compared", a.len(), b.len()).into());
    }
    let difference = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let mean = b.iter().sum::<f32>() / b.len() as f32;
    let deviation = (b.iter().map(|b| (b - mean).powi(2)).sum::<f32>() / b.len() as f32).sqrt();
    let best = |row: &[f32]| row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(index, _)| index);
    let same = a.chunks_exact(width).zip(b.chunks_exact(width)).filter(|(a, b)| best(a) == best(b)).count();
    Ok((difference, deviation, same as f64 / (a.len() / width) as f64))
}

pub fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn numbers(text: &[u8]) -> Vec<u32> {
    String::from_utf8_lossy(text).split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

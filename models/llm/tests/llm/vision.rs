//! Vision-language models against llama.cpp's `mtmd`: the tiles of pictures to the byte, embeddings and logits within bounds. Its
//! answers stand in `vision-golden.json`, which `mtmd_golden.cpp` says how to make.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nearfield_llm::{Llm, LlmOptions, PicturePrompt, RgbPicture, Session, SessionOptions, TokenId, VisionTower};

use crate::synthetic::agreement;
use crate::vision_files::{PAIRS, TEXT, picture, write_pair};

fn go_on() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn open(name: &str, folder: &Path) -> (Arc<Llm>, Arc<VisionTower>) {
    let [model, mmproj] = write_pair(name, folder);
    let options = LlmOptions { threads: 2 };
    let llm = Llm::open(&model, &options).unwrap_or_else(|error| panic!("{name}: {error}"));
    (llm, VisionTower::open(&mmproj, &options).unwrap_or_else(|error| panic!("{name}: {error}")))
}

fn session(llm: &Arc<Llm>) -> Session {
    Session::new(llm.clone(), &SessionOptions { context_tokens: 1024, ..SessionOptions::default() }).unwrap()
}

/// Text, a picture, and text.
fn read(session: &mut Session, prompt: &PicturePrompt) {
    let tokenizer = session.llm().clone();
    let tokenizer = tokenizer.tokenizer().unwrap();
    session.append(&tokenizer.encode_prompt(TEXT[0])).unwrap();
    append_picture(session, prompt);
    session.append(&tokenizer.encode(TEXT[1], true)).unwrap();
}

fn append_picture(session: &mut Session, prompt: &PicturePrompt) {
    let (mut tokens, mut rows, d) = (&prompt.tokens[..], &prompt.rows[..], session.llm().info().d_model);
    for span in &prompt.spans {
        let text = tokens.iter().take_while(|token| **token != TokenId::EMBEDDING).count();
        session.append(&tokens[..text]).unwrap();
        let (here, rest) = rows.split_at(span.len * d);
        session.append_picture(here, *span).unwrap();
        (tokens, rows) = (&tokens[text + span.len..], rest);
    }
    session.append(tokens).unwrap();
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(14_695_981_039_346_656_037, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(1_099_511_628_211))
}

#[derive(serde::Deserialize)]
struct Golden {
    /// A negative number stands for so many embeddings.
    tokens: Vec<i64>,
    tiles: Vec<(usize, usize, String)>,
    /// Every 61st number.
    embeddings: Vec<f32>,
    logits: Vec<f32>,
}

#[test]
fn every_projector_computes_the_tiles_embeddings_and_logits_that_mtmd_computes() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/llm/vision-golden.json");
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, _, _, [width, height]) in PAIRS {
        let expected: Golden = serde_json::from_value(golden[name].clone()).unwrap_or_else(|_| panic!("{name}"));
        let (llm, tower) = open(name, folder.path());
        let rgb = picture(*width, *height);
        let rgb = RgbPicture { width: *width, height: *height, rgb: &rgb };
        let tiles = tower.tiles(rgb, None).unwrap();
        let tiles: Vec<_> = tiles.iter().map(|(w, h, rgb)| (*w, *h, hash(rgb).to_string())).collect();
        assert_eq!(tiles, expected.tiles, "{name}");
        let prompt = tower.read(rgb, &llm, None, &mut go_on).unwrap().unwrap();
        let tokenizer = llm.tokenizer().unwrap();
        let mut tokens = Vec::new();
        let all = [tokenizer.encode_prompt(TEXT[0]), prompt.tokens.clone(), tokenizer.encode(TEXT[1], true)].concat();
        let mut spans = prompt.spans.iter();
        let mut rest = &all[..];
        while let Some(first) = rest.first() {
            let n = if *first == TokenId::EMBEDDING { spans.next().unwrap().len } else { 1 };
            tokens.push(if *first == TokenId::EMBEDDING { -(n as i64) } else { i64::from(first.0) });
            rest = &rest[n..];
        }
        assert_eq!(tokens, expected.tokens, "{name}");
        let embeddings: Vec<f32> = prompt.rows.iter().copied().step_by(61).collect();
        let (alike, off) = agreement(&embeddings, &expected.embeddings);
        let mut session = session(&llm);
        read(&mut session, &prompt);
        let (correlation, difference) = agreement(session.logits(), &expected.logits);
        eprintln!(
            "{name}: largest difference from mtmd: embeddings {off:.5} of their deviation ({alike:.6}), logits {difference:.5} \
             ({correlation:.6})"
        );
        assert!(off < 1e-2 && alike > 0.9999, "{name}: embeddings {off}, {alike}");
        assert!(difference < 1e-2 && correlation > 0.9999, "{name}: logits {difference}, {correlation}");
    }
}

/// `NEARFIELD_PEER=folder cargo test --release -p nearfield-llm --test llm vision::files -- --ignored`, then as `mtmd_golden.cpp` says.
#[test]
#[ignore = "writes files for the peer"]
fn files_of_every_projector_for_mtmd() {
    let folder = PathBuf::from(std::env::var_os("NEARFIELD_PEER").expect("NEARFIELD_PEER names a folder"));
    for (name, _, _, [width, height]) in PAIRS {
        write_pair(name, &folder);
        let head = format!("P6 {width} {height} 255\n");
        let ppm = [head.as_bytes(), &picture(*width, *height)].concat();
        std::fs::write(folder.join(format!("{name}.ppm")), ppm).unwrap();
    }
}

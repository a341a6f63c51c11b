//! Vision-language models against llama.cpp's `mtmd`: the tiles of pictures to the byte, embeddings and logits within bounds. Its
//! answers stand in `vision-golden.json`, which `mtmd_golden.cpp` says how to make.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nearfield_llm::{
    Llm, LlmOptions, Message, PicturePrompt, RgbPicture, Role, Session, SessionOptions, TokenId, VisionTower,
};

use crate::synthetic::agreement;
use crate::vision_files::{PAIRS, TEXT, language_model, picture, write_pair, write_projector};

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

fn read_picture(llm: &Llm, tower: &VisionTower, size: [usize; 2], budget: Option<usize>) -> PicturePrompt {
    let [width, height] = size;
    let rgb = picture(width, height);
    tower.read(RgbPicture { width, height, rgb: &rgb }, llm, budget, &mut go_on).unwrap().unwrap()
}

#[test]
fn another_picture_in_a_session_is_what_it_is_in_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    for (name, _, _, size) in PAIRS {
        let (llm, tower) = open(name, folder.path());
        let [first, second] = [*size, [140, 140]].map(|size| read_picture(&llm, &tower, size, None));
        let mut warm = session(&llm);
        read(&mut warm, &first);
        let before = warm.logits().to_vec();
        let begin = TEXT[0].len();
        // A cut within a picture whose embeddings stand by rows and columns, or see each other, takes all of it.
        let (start, span) = warm.pictures()[0];
        let mut cut = warm.fork().unwrap();
        cut.truncate(start + 1);
        let is_plain = span.columns.is_none() && !span.is_whole;
        assert_eq!(cut.len(), if is_plain { start + 1 } else { start }, "{name}");
        warm.truncate(begin);
        append_picture(&mut warm, &second);
        let tokenizer = llm.tokenizer().unwrap();
        warm.append(&tokenizer.encode(TEXT[1], true)).unwrap();
        let mut cold = session(&llm);
        read(&mut cold, &second);
        let (_, difference) = agreement(warm.logits(), cold.logits());
        assert!(difference < 5e-3, "{name}: {difference}");
        let (_, difference) = agreement(warm.logits(), &before);
        assert!(difference > 0.1, "{name}: the picture makes no difference: {difference}");
        // What follows a picture is computed one by one as in one pass.
        let mut fork = warm.fork().unwrap();
        let tokens: Vec<TokenId> = [65, 66, 67].map(TokenId).to_vec();
        warm.append_each(&tokens).unwrap();
        tokens.iter().for_each(|token| drop(fork.step(*token).unwrap().to_vec()));
        assert_eq!(warm.logits(), fork.logits(), "{name}");
    }
}

#[test]
fn a_picture_that_comes_in_blocks_is_what_it_is_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["smolvlm", "qwen2vl", "lfm2"] {
        let (llm, tower) = open(name, folder.path());
        let prompt = read_picture(&llm, &tower, [150, 110], None);
        let (span, d) = (prompt.spans[0], llm.info().d_model);
        let [mut at_once, mut in_blocks] = [session(&llm), session(&llm)];
        let before = llm.tokenizer().unwrap().encode_prompt(TEXT[0]);
        let after = llm.tokenizer().unwrap().encode(TEXT[1], true);
        at_once.append(&before).unwrap();
        at_once.append_picture(&prompt.rows[..span.len * d], span).unwrap();
        in_blocks.append(&before).unwrap();
        in_blocks.begin_picture(span).unwrap();
        let (first, rest) = prompt.rows[..span.len * d].split_at(3 * d);
        in_blocks.append_embeddings(first).unwrap();
        // What is there of a picture stays where nothing is cut off, and goes with its rest where something is.
        in_blocks.truncate(before.len() + 3);
        assert_eq!((in_blocks.len(), in_blocks.pictures()), (before.len() + 3, at_once.pictures()), "{name}");
        let mut cut = in_blocks.fork().unwrap();
        cut.truncate(before.len() + 2);
        let kept = if name == "qwen2vl" { 0 } else { 2 };
        assert_eq!(cut.len(), before.len() + kept, "{name}");
        in_blocks.append_embeddings(rest).unwrap();
        assert_eq!(in_blocks.pictures(), at_once.pictures(), "{name}");
        for session in [&mut at_once, &mut in_blocks] {
            session.append(&after).unwrap();
        }
        let (_, difference) = agreement(in_blocks.logits(), at_once.logits());
        assert!(difference < 5e-3, "{name}: {difference}");
    }
}

#[test]
fn a_session_on_disk_keeps_what_stands_before_a_picture_with_rows_and_columns() {
    let folder = tempfile::tempdir().unwrap();
    for (name, kept) in [("qwen2vl", TEXT[0].len() + 1), ("smolvlm", usize::MAX)] {
        let (llm, tower) = open(name, folder.path());
        let mut saved = session(&llm);
        read(&mut saved, &read_picture(&llm, &tower, [150, 110], None));
        let path = folder.path().join("session");
        saved.save(&path, b"").unwrap();
        let mut restored = session(&llm);
        restored.restore(&path).unwrap();
        assert_eq!(restored.tokens(), &saved.tokens()[..kept.min(saved.len())], "{name}");
    }
}

#[test]
fn a_budget_holds_where_a_projector_can_do_with_fewer_embeddings() {
    let folder = tempfile::tempdir().unwrap();
    let budgets = [("smolvlm", 12), ("smolvlm", 4), ("internvl", 9), ("qwen2vl", 10), ("lfm2-tiles", 64)];
    for (name, budget) in budgets {
        let (llm, tower) = open(name, folder.path());
        for size in [[150, 110], [900, 600], [30, 400], [1, 3000]] {
            let prompt = read_picture(&llm, &tower, size, Some(budget));
            let n = prompt.rows.len() / llm.info().d_model;
            assert!((1..=budget).contains(&n), "{name} {size:?}: {n} of {budget}");
            assert_eq!(n, prompt.tokens.iter().filter(|token| **token == TokenId::EMBEDDING).count());
            assert_eq!(n, prompt.spans.iter().map(|span| span.len).sum::<usize>());
        }
    }
}

#[test]
fn a_picture_that_nobody_waits_for_is_given_up_between_layers() {
    let folder = tempfile::tempdir().unwrap();
    let (llm, tower) = open("smolvlm", folder.path());
    let rgb = picture(40, 30);
    let mut asked = 0;
    let mut go_on = || {
        asked += 1;
        if asked < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    assert_eq!(tower.read(RgbPicture { width: 40, height: 30, rgb: &rgb }, &llm, None, &mut go_on).unwrap(), None);
    assert_eq!(asked, 3);
}

#[test]
fn a_template_whose_contents_are_lists_of_parts_shows_texts() {
    // The template of SmolVLM.
    let template = "{% for message in messages %}{{message['role'] | capitalize}}{% if message['content'][0]['type'] == 'image' %}\
        {{':'}}{% else %}{{': '}}{% endif %}{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}\
        {% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<|end|>\n{% endfor %}\
        {% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    language_model("llama", template, &path);
    let llm = Llm::open(&path, &LlmOptions { threads: 1 }).unwrap();
    let messages = [Message::new(Role::System, "Short."), Message::new(Role::User, "What is this?")];
    let text = llm.template().unwrap().render(&messages, &[], true).unwrap();
    assert_eq!(text, "System: Short.<|end|>\nUser: What is this?<|end|>\nAssistant:");
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
    write_projector("smolvlm-256m", "idefics3", &folder.join("smolvlm-256m-mmproj.gguf"), &[]);
    let ppm = [b"P6 512 512 255\n", &picture(512, 512)[..]].concat();
    std::fs::write(folder.join("smolvlm-256m.ppm"), ppm).unwrap();
}

/// Milliseconds of the encoder for one tile of 512 pixels, of the size of SmolVLM-256M's, whose picture is two tiles; `mtmd_golden.cpp`
/// says how the peer's are measured. The files are those of `files_of_every_projector_for_mtmd`.
#[test]
#[ignore = "measures"]
fn speed_of_a_vision_transformer_as_large_as_smolvlm_s() {
    let folder = PathBuf::from(std::env::var_os("NEARFIELD_PEER").expect("NEARFIELD_PEER names a folder"));
    let options = LlmOptions { threads: 2 };
    let llm = Llm::open(&folder.join("smolvlm-model.gguf"), &options).unwrap();
    let tower = VisionTower::open(&folder.join("smolvlm-256m-mmproj.gguf"), &options).unwrap();
    for _ in 0..3 {
        let begun = std::time::Instant::now();
        let prompt = read_picture(&llm, &tower, [512, 512], None);
        println!("{:.1} ms for {} tiles", begun.elapsed().as_secs_f64() * 1e3, prompt.spans.len());
    }
}

//! Small models with recurrent layers: what their files say besides what all have. `architectures.rs` compares them with llama.cpp;
//! here sessions of them are cut, forked, saved and gone on with.

use candle_core::quantized::gguf_file::Value;
use nearfield_llm::{CacheType, Llm, LlmOptions, Session, SessionOptions, TokenId};
use proptest::prelude::*;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use crate::architectures::{D, FFN, HEAD, VOCAB, Writer, write, write_with};
use crate::synthetic::agreement;

const LAYERS: usize = 5;

/// The tensors and the metadata of LFM2 or Qwen3.5.
pub fn fill(w: &mut Writer) {
    let (heads, kv_heads) = (D / HEAD, 2);
    w.ints(&[
        ("vocab_size", VOCAB),
        ("block_count", LAYERS),
        ("context_length", 512),
        ("embedding_length", D),
        ("feed_forward_length", FFN),
        ("attention.head_count", heads),
    ]);
    w.floats(&[("attention.layer_norm_rms_epsilon", 1e-5), ("rope.freq_base", 1e6)]);
    let lfm2 = w.architecture == "lfm2";
    let attends = |layer: usize| if lfm2 { layer == 1 || layer == 3 } else { layer % 4 == 3 };
    // Of Qwen3.5: heads of keys and of values, as wide as the state.
    let (key_heads, value_heads, state) = (2, 4, 32);
    if lfm2 {
        let counts = (0..LAYERS).map(|layer| Value::I32(if attends(layer) { kv_heads as i32 } else { 0 }));
        w.key("attention.head_count_kv", Value::Array(counts.collect()));
        w.ints(&[("shortconv.l_cache", 3)]);
    } else {
        w.key("rope.dimension_sections", Value::Array([3, 3, 2, 0].map(Value::I32).to_vec()));
        w.ints(&[
            ("attention.head_count_kv", kv_heads),
            ("attention.key_length", HEAD),
            ("attention.value_length", HEAD),
            ("rope.dimension_count", HEAD / 2),
            ("full_attention_interval", 4),
            ("ssm.conv_kernel", 4),
            ("ssm.state_size", state),
            ("ssm.group_count", key_heads),
            ("ssm.time_step_rank", value_heads),
            ("ssm.inner_size", value_heads * state),
        ]);
    }
    w.put("token_embd.weight".into(), 0.0, 0.5, &[VOCAB, D]);
    let mut norms = vec![if lfm2 { "token_embd_norm".to_owned() } else { "output_norm".to_owned() }];
    for layer in 0..LAYERS {
        let name = |which: &str| format!("blk.{layer}.{which}");
        norms.push(name("attn_norm"));
        norms.push(name(if lfm2 { "ffn_norm" } else { "post_attention_norm" }));
        if attends(layer) {
            let gates = if lfm2 { 1 } else { 2 };
            for (which, rows) in [("attn_q", gates * D), ("attn_k", kv_heads * HEAD), ("attn_v", kv_heads * HEAD)] {
                w.matrix(name(&format!("{which}.weight")), rows, D);
            }
            w.matrix(name("attn_output.weight"), D, D);
            w.vector(name("attn_q_norm.weight"), 1.0, 0.2, HEAD);
            w.vector(name("attn_k_norm.weight"), 1.0, 0.2, HEAD);
        } else if lfm2 {
            w.matrix(name("shortconv.in_proj.weight"), 3 * D, D);
            w.put(name("shortconv.conv.weight"), 0.0, 0.5, &[D, 3]);
            w.matrix(name("shortconv.out_proj.weight"), D, D);
        } else {
            let channels = (2 * key_heads + value_heads) * state;
            w.matrix(name("attn_qkv.weight"), channels, D);
            w.matrix(name("attn_gate.weight"), value_heads * state, D);
            w.put(name("ssm_conv1d.weight"), 0.0, 0.5, &[channels, 4]);
            w.vector(name("ssm_dt.bias"), 0.0, 0.5, value_heads);
            w.vector(name("ssm_a"), -0.4, 0.1, value_heads);
            w.matrix(name("ssm_alpha.weight"), value_heads, D);
            w.matrix(name("ssm_beta.weight"), value_heads, D);
            w.vector(name("ssm_norm.weight"), 1.0, 0.1, state);
            w.matrix(name("ssm_out.weight"), D, value_heads * state);
        }
        for (which, rows, columns) in [("gate", FFN, D), ("up", FFN, D), ("down", D, FFN)] {
            w.matrix(name(&format!("ffn_{which}.weight")), rows, columns);
        }
    }
    for name in norms {
        w.vector(format!("{name}.weight"), 1.0, 0.1, D);
    }
}

fn go_on() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn open(architecture: &'static str, folder: &Path) -> Arc<Llm> {
    let path = folder.join("model.gguf");
    write(architecture, "", &path);
    Llm::open(&path, &LlmOptions { threads: 2 }).unwrap()
}

fn session(llm: &Arc<Llm>) -> Session {
    Session::new(llm.clone(), &SessionOptions { context_tokens: 512, cache: CacheType::F16 }).unwrap()
}

fn tokens(range: std::ops::Range<u32>) -> Vec<TokenId> {
    range.map(|n| TokenId((n * 37 + 5) % VOCAB as u32)).collect()
}

#[test]
fn what_a_file_says_wrongly_of_recurrent_layers_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let lies: [(&str, &str, Value, &str); 7] = [
        ("lfm2", "shortconv.l_cache", Value::U32(1), "expected 2 to 64, found 1"),
        ("lfm2", "attention.head_count_kv", Value::U32(0), "expected a layer with attention, found none"),
        ("lfm2", "attention.head_count_kv", Value::Array(vec![Value::I32(2); 3]), "expected 5 integers, found 3"),
        ("qwen35", "ssm.inner_size", Value::U32(64), "64 is not shared by 4 heads of 32"),
        ("qwen35", "ssm.conv_kernel", Value::U32(5), "expected the dimensions [5, 256], found [4, 256]"),
        ("qwen35", "ssm.state_size", Value::U32(1 << 20), "expected 16 to 1024"),
        ("gemma4", "attention.shared_kv_layers", Value::U32(4), "whose keys and values the later ones can use"),
    ];
    for (architecture, key, value, expected) in lies {
        write_with(architecture, "", &path, &[(key, value)]);
        let error = Llm::open(&path, &LlmOptions { threads: 1 }).unwrap_err().to_string();
        assert!(error.contains(expected), "{architecture} {key}: {error}");
    }
}

static MODELS: LazyLock<[(tempfile::TempDir, Arc<Llm>); 2]> = LazyLock::new(|| {
    ["lfm2", "qwen35"].map(|architecture| {
        let folder = tempfile::tempdir().unwrap();
        let llm = open(architecture, folder.path());
        (folder, llm)
    })
});

/// What a fresh session says after the same tokens.
fn check(used: &Session, what: &str) {
    let mut fresh = session(used.llm());
    fresh.prompt(used.tokens(), &mut go_on).unwrap();
    let (_, difference) = agreement(used.logits(), fresh.logits());
    assert!(difference < 5e-3, "{what}: {difference}");
}

#[test]
fn a_long_prompt_is_reused_up_to_the_nearest_copy_of_the_states() {
    for (_, llm) in &*MODELS {
        let mut used = session(llm);
        used.prompt(&tokens(0..300), &mut go_on).unwrap();
        let other = [tokens(0..290), tokens(400..420)].concat();
        assert_eq!(used.prompt(&other, &mut go_on).unwrap().reused, 256);
        check(&used, "another end");
        // What stands behind the prompt goes on from the prompt's end, whatever its length.
        used.append(&tokens(500..507)).unwrap();
        let third = [other, tokens(430..450)].concat();
        assert_eq!(used.prompt(&third, &mut go_on).unwrap().reused, 310);
        check(&used, "what follows");
    }
}

#[test]
fn guesses_that_turn_out_wrong_leave_no_trace() {
    for (_, llm) in &*MODELS {
        let mut plain = session(llm);
        plain.prompt(&tokens(0..70), &mut go_on).unwrap();
        let mut guessing = plain.fork().unwrap();
        for step in 0..12u32 {
            let token = tokens(100 + step..101 + step);
            let guesses = [&token[..], &tokens(900..900 + step % 5)].concat();
            guessing.append_each(&guesses).unwrap();
            guessing.truncate(71 + step as usize);
            plain.step(token[0]).unwrap();
            assert_eq!(guessing.logits(), plain.logits(), "{step}");
        }
    }
}

#[test]
fn embeddings_and_removed_tokens_are_read_again_where_a_session_is_cut() {
    for (_, llm) in &*MODELS {
        let rows: Vec<f32> = tokens(7..17).iter().flat_map(|token| llm.embedding(*token).unwrap()).collect();
        let mut soft = session(llm);
        soft.append(&tokens(0..7)).unwrap();
        soft.append_embeddings(&rows).unwrap();
        soft.append(&tokens(17..30)).unwrap();
        soft.truncate(15);
        soft.append(&tokens(15..22)).unwrap();
        let mut hard = session(llm);
        hard.append(&tokens(0..22)).unwrap();
        let (_, difference) = agreement(soft.logits(), hard.logits());
        assert!(difference < 5e-3, "{difference}");
        hard.append(&tokens(22..90)).unwrap();
        hard.remove(5..40);
        assert_eq!(hard.len(), 55);
        hard.step(TokenId(3)).unwrap();
        check(&hard, "removed");
    }
}

#[test]
fn a_saved_session_goes_on_where_it_was() {
    for (folder, llm) in &*MODELS {
        let (mut used, path) = (session(llm), folder.path().join("session"));
        used.prompt(&tokens(0..100), &mut go_on).unwrap();
        used.step(TokenId(9)).unwrap();
        used.save(&path, b"note").unwrap();
        let mut restored = session(llm);
        assert_eq!(restored.restore(&path).unwrap(), b"note");
        assert_eq!(restored.step(TokenId(4)).unwrap(), used.step(TokenId(4)).unwrap());
        restored.truncate(50);
        restored.step(TokenId(4)).unwrap();
        check(&restored, "cut after it was restored");
        // A file that is damaged within the states says so.
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.len() - 40;
        bytes[at] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(session(llm).restore(&path).unwrap_err().to_string().contains("sum does not match"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_appended_and_cut_the_logits_are_a_fresh_session_s(
        which in 0..2usize,
        changes in prop::collection::vec((0..4u8, 0..200usize, 1..90u32), 1..8)
    ) {
        let mut used = session(&MODELS[which].1);
        let mut next = 0;
        for (kind, at, n) in changes {
            let new = tokens(next..next + n);
            next += n;
            match kind {
                0 => used.truncate(at),
                1 if used.len() + new.len() < 500 => used.append(&new).unwrap(),
                2 if used.len() < 480 => used.append_each(&new[..new.len().min(Session::MOST_EACH)]).unwrap(),
                _ => {
                    let prompt = [&used.tokens()[..used.len().min(at)], &new].concat();
                    used.prompt(&prompt, &mut go_on).unwrap();
                }
            }
            if !used.logits().is_empty() {
                check(&used, "changed");
            }
        }
    }
}

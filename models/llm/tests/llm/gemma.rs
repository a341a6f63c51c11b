//! Small models of Gemma 3n and Gemma 4: what their files say. `architectures.rs` compares them with llama.cpp.

use candle_core::quantized::gguf_file::Value;

use crate::architectures::{D, FFN, HEAD, VOCAB, Writer};

/// The tensors and the metadata of one of them. Gemma 3n has layers that use the keys and values of others from its 21st on;
/// Gemma 4 has them, and inputs of its layers, unless it is a "large" one.
pub fn fill(w: &mut Writer, kind: &str) {
    let streams = w.architecture == "gemma3n";
    let layers = if streams { 25 } else { 6 };
    let input = match kind {
        _ if streams => 256,
        "large" => 0,
        _ => 32,
    };
    let shares_from = match kind {
        _ if streams => 20,
        "large" => layers,
        _ => 4,
    };
    let windowed = |layer: usize| if streams { layer % 5 != 4 } else { [true, true, true, false, true, false][layer] };
    let head_dim = |layer: usize| if streams || windowed(layer) { HEAD } else { 2 * HEAD };
    let kv_heads = |layer: usize| if streams || windowed(layer) { 2 } else { 1 };
    let ffn = |layer: usize| if streams || layer < 4 { FFN } else { FFN + 256 };
    let heads = D / HEAD;
    w.ints(&[
        ("vocab_size", VOCAB),
        ("block_count", layers),
        ("context_length", 512),
        ("embedding_length", D),
        ("attention.head_count", heads),
        ("attention.sliding_window", 9),
        ("attention.key_length", head_dim(layers - 1).max(head_dim(3))),
        ("attention.value_length", head_dim(layers - 1).max(head_dim(3))),
        ("embedding_length_per_layer_input", input),
    ]);
    w.floats(&[("attention.layer_norm_rms_epsilon", 1e-6), ("rope.freq_base", 1e6)]);
    let list = |value: &dyn Fn(usize) -> Value| Value::Array((0..layers).map(value).collect());
    w.key("attention.sliding_window_pattern", list(&|layer| Value::Bool(windowed(layer))));
    if !streams {
        w.key("attention.head_count_kv", list(&|layer| Value::I32(kv_heads(layer) as i32)));
        w.key("feed_forward_length", list(&|layer| Value::I32(ffn(layer) as i32)));
        w.floats(&[("final_logit_softcapping", 20.0)]);
        w.ints(&[
            ("attention.key_length_swa", HEAD),
            ("attention.value_length_swa", HEAD),
            ("attention.shared_kv_layers", layers - shares_from),
            ("rope.dimension_count", 2 * HEAD),
            ("rope.dimension_count_swa", HEAD),
        ]);
        // Of layers that see everything the first half of a head turns only.
        w.constants("rope_freqs.weight", &[vec![1.0; HEAD / 2], vec![1e30; HEAD / 2]].concat());
    } else {
        w.ints(&[("attention.head_count_kv", 2), ("feed_forward_length", FFN)]);
        for which in ["altup_proj", "altup_unembd_proj"] {
            w.put(format!("{which}.weight"), 0.0, 0.06, &[3, D, D]);
        }
    }
    w.put("token_embd.weight".into(), 0.0, 0.05, &[VOCAB, D]);
    let mut norms = vec![("output_norm".to_owned(), D)];
    if input > 0 {
        w.put("per_layer_token_embd.weight".into(), 0.0, 0.05, &[VOCAB, layers * input]);
        w.matrix("per_layer_model_proj.weight".into(), layers * input, D);
        norms.push(("per_layer_proj_norm".to_owned(), input));
    }
    for layer in 0..layers {
        let name = |which: &str| format!("blk.{layer}.{which}");
        let (head_dim, n_kv) = (head_dim(layer), kv_heads(layer) * head_dim(layer));
        norms.extend([(name("attn_norm"), D), (name("ffn_norm"), D)]);
        // What a layer adds is small beside the stream, as in trained models: rounding must not grow from layer to layer.
        for which in ["post_attention_norm", "post_ffw_norm", "post_norm"] {
            if which != "post_norm" || input > 0 {
                w.vector(name(&format!("{which}.weight")), 0.3, 0.1, D);
            }
        }
        w.matrix(name("attn_q.weight"), heads * head_dim, D);
        // Scores are not divided by the width of a head: these weights keep them small.
        w.vector(name("attn_q_norm.weight"), 0.3, 0.1, head_dim);
        // Files may have tensors that no layer uses.
        if layer < shares_from || streams {
            w.matrix(name("attn_k.weight"), n_kv, D);
            w.vector(name("attn_k_norm.weight"), 0.3, 0.1, head_dim);
            if streams || windowed(layer) {
                w.matrix(name("attn_v.weight"), n_kv, D);
            }
        }
        w.matrix(name("attn_output.weight"), D, heads * head_dim);
        for (which, rows, columns) in [("gate", ffn(layer), D), ("up", ffn(layer), D), ("down", D, ffn(layer))] {
            w.matrix(name(&format!("ffn_{which}.weight")), rows, columns);
        }
        if input > 0 {
            w.matrix(name("inp_gate.weight"), input, D);
            w.matrix(name("proj.weight"), D, input);
        }
        if !streams {
            w.vector(name("layer_output_scale.weight"), 0.8, 0.05, 1);
            continue;
        }
        w.matrix(name("altup_router.weight"), 4, D);
        w.put(name("altup_predict_coef.weight"), 0.0, 0.1, &[16, 4]);
        w.put(name("altup_correct_coef.weight"), 0.0, 0.1, &[4, 4]);
        w.vector(name("altup_correct_scale.weight"), 1.0, 0.1, D);
        w.matrix(name("laurel_l.weight"), 64, D);
        w.matrix(name("laurel_r.weight"), D, 64);
        norms.extend([(name("altup_router_norm"), D), (name("laurel_post_norm"), D)]);
    }
    for (name, len) in norms {
        w.vector(format!("{name}.weight"), 1.0, 0.1, len);
    }
}

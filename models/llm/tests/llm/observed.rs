//! What observers see, and logits after each token of a block.

use std::collections::BTreeMap;
use std::ops::ControlFlow::Continue;
use std::path::Path;
use std::sync::{Arc, Mutex};

use nearfield_gguf::Gguf;
use nearfield_llm::{
    InputObserver, InputProducts, InputSquares, Llm, LlmOptions, MatrixPart, MatrixSource, Session, SessionOptions,
    TokenId,
};

use crate::architectures::{MODELS, VOCAB, write};
use crate::synthetic::agreement;

/// Rows, and the sum of the squares in them, by part.
type Parts = BTreeMap<usize, (usize, f64)>;

/// What was seen, by tensor.
#[derive(Debug, Default)]
struct Seen(Mutex<BTreeMap<String, Parts>>);

impl InputObserver for Seen {
    fn observe(&self, matrices: &[&MatrixSource], x: &[f32]) {
        let mut seen = self.0.lock().unwrap();
        for matrix in matrices {
            assert!(x.len().is_multiple_of(matrix.columns) && matrix.part.0 < matrix.part.1);
            let (rows, squares) = seen.entry(matrix.tensor.to_string()).or_default().entry(matrix.part.0).or_default();
            *rows += x.len() / matrix.columns;
            *squares += x.iter().map(|x| f64::from(x * x)).sum::<f64>();
        }
    }
}

fn tokens(n: usize) -> Vec<TokenId> {
    (0..n as u32).map(|i| TokenId((i * 37 + i * i) % VOCAB as u32)).collect()
}

fn session(llm: &Arc<Llm>) -> Session {
    Session::new(Arc::clone(llm), &SessionOptions { context_tokens: 100, ..SessionOptions::default() }).unwrap()
}

fn open(architecture: &'static str, kind: &str, folder: &Path) -> (Arc<Llm>, Gguf) {
    let path = folder.join("model.gguf");
    write(architecture, kind, &path);
    (Llm::open(&path, &LlmOptions { threads: 2 }).unwrap(), Gguf::open(&path).unwrap())
}

#[test]
fn an_observer_sees_every_token_once_at_each_matrix_of_every_architecture_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (architecture, kind) in MODELS {
        let (llm, gguf) = open(architecture, kind, folder.path());
        let (mut observed, mut plain, seen) = (session(&llm), session(&llm), Arc::new(Seen::default()));
        observed.observe_inputs(Some(seen.clone()));
        for session in [&mut observed, &mut plain] {
            session.prompt(&tokens(70), &mut || Continue(())).unwrap();
        }
        assert!(observed.logits() == plain.logits(), "{architecture} {kind}");
        observed.observe_inputs(None);
        observed.append(&tokens(3)).unwrap();
        let seen = seen.0.lock().unwrap();
        for (name, parts) in seen.iter().filter(|(name, _)| name.starts_with("blk.")) {
            let tensor = gguf.tensor(name).unwrap_or_else(|| panic!("{architecture} {kind}: no tensor {name}"));
            let rows: usize = parts.values().map(|(rows, _)| rows).sum();
            assert!(parts.values().all(|(_, squares)| *squares > 0.0), "{architecture} {kind}: {name}");
            match tensor.dims.len() {
                2 => assert!(rows.is_multiple_of(70) && rows > 0, "{architecture} {kind}: {name} {rows}"),
                // Each token goes to as many experts.
                _ => assert!(rows.is_multiple_of(70) && rows / 70 < tensor.dims[2], "{architecture}: {name} {rows}"),
            }
        }
        let multiplied = gguf.tensors().iter().filter(|(name, tensor)| {
            let shapes = ["altup_", "conv1d", "shortconv.conv", "ffn_gate_inp_shexp", "ssm_a"];
            name.starts_with("blk.")
                && name.ends_with(".weight")
                && tensor.dims.len() > 1
                && !shapes.iter().any(|it| name.contains(it))
        });
        for (name, tensor) in multiplied {
            // The later layers use the keys and values of others, and their own are not multiplied.
            if architecture.starts_with("gemma") && (name.contains("attn_k") || name.contains("attn_v")) {
                continue;
            }
            // Norms of single heads are matrices only by shape.
            if !name.contains("norm") && !seen.contains_key(name) {
                panic!("{architecture} {kind}: nobody saw what {name} {:?} is multiplied with", tensor.dims);
            }
        }
    }
}

#[test]
fn a_scored_block_has_the_logits_of_its_tokens_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let (llm, _) = open("llama", "", folder.path());
    let (mut blocks, mut single) = (session(&llm), session(&llm));
    let all = tokens(90);
    for (at, block) in all.chunks(Session::MOST_SCORED).enumerate() {
        let scored = if at == 0 { 10 } else { block.len() };
        blocks.append_scored(block, scored).unwrap();
        for token in block {
            single.step(*token).unwrap();
            let logits = blocks.logits_after(single.len());
            if single.len() + scored > blocks.len() {
                let (correlation, _) = agreement(logits, single.logits());
                assert!(correlation > 0.9999, "after {} tokens: {correlation}", single.len());
            } else {
                assert!(logits.is_empty());
            }
        }
    }
    blocks.append_scored(&tokens(20), 20).unwrap_err(); // more than fit
    assert_eq!(blocks.tokens(), all);
}

#[test]
fn squares_and_products_are_those_of_the_rows_that_were_seen() {
    let folder = tempfile::tempdir().unwrap();
    let (llm, _) = open("llama", "experts", folder.path());
    // The rows themselves.
    #[derive(Debug, Default)]
    struct Rows(Mutex<BTreeMap<MatrixPart, Vec<f32>>>);
    impl InputObserver for Rows {
        fn observe(&self, matrices: &[&MatrixSource], x: &[f32]) {
            for matrix in matrices {
                self.0.lock().unwrap().entry((matrix.tensor.clone(), matrix.part.0)).or_default().extend_from_slice(x);
            }
        }
    }
    let (rows, squares) = (Arc::new(Rows::default()), Arc::new(InputSquares::new(false)));
    let wanted = vec![
        ("blk.0.attn_q.weight".into(), 0),
        ("blk.0.attn_v.weight".into(), 0),
        ("blk.1.ffn_down_exps.weight".into(), 2),
        ("blk.9.attn_q.weight".into(), 0), // is not there
    ];
    let products = InputProducts::new(wanted, 2).unwrap();
    let mut session = Session::new(llm, &SessionOptions { context_tokens: 400, ..SessionOptions::default() }).unwrap();
    for observer in [rows.clone() as Arc<dyn InputObserver>, squares.clone(), products.clone()] {
        session.truncate(0);
        session.observe_inputs(Some(observer));
        session.prompt(&tokens(330), &mut || Continue(())).unwrap(); // more than are multiplied together
    }
    let rows = rows.0.lock().unwrap();
    let squares = squares.sums();
    assert!(squares.len() > 10 && squares.keys().all(|name| name.starts_with("blk.")));
    for (name, of_tensor) in &squares {
        let (parts, columns) = (of_tensor.rows.len(), of_tensor.sums.len() / of_tensor.rows.len());
        for part in 0..parts {
            let none = Vec::new();
            let x = rows.get(&(name.clone(), part)).unwrap_or(&none);
            assert_eq!(of_tensor.rows[part] as usize, x.len() / columns, "{name} {part}");
            for channel in 0..columns {
                let wanted: f64 = x.iter().skip(channel).step_by(columns).map(|x| f64::from(*x) * f64::from(*x)).sum();
                let found = of_tensor.sums[part * columns + channel];
                assert!((found - wanted).abs() <= 1e-5 * wanted, "{name} {part} {channel}: {found} {wanted}");
            }
        }
    }
    let taken = products.take();
    let names: Vec<Vec<&str>> =
        taken.iter().map(|(names, _)| names.iter().map(|(name, _)| &**name).collect()).collect();
    assert_eq!(names, [vec!["blk.0.attn_q.weight", "blk.0.attn_v.weight"], vec!["blk.1.ffn_down_exps.weight"]]);
    for (names, products) in &taken {
        let (x, n) = (&rows[&names[0]], products.columns);
        assert_eq!((products.rows as usize, products.sums.len()), (x.len() / n, n * n));
        for (a, b) in [(0, 0), (0, 1), (5, 200), (200, 5), (n - 1, n - 1), (n - 1, 0)] {
            let wanted: f64 = x.chunks_exact(n).map(|row| f64::from(row[a]) * f64::from(row[b])).sum();
            let scale: f64 = x.chunks_exact(n).map(|row| f64::from(row[a] * row[a] + row[b] * row[b])).sum();
            let found = f64::from(products.sums[a * n + b]);
            assert!((found - wanted).abs() <= 1e-5 * scale, "{names:?} {a} {b}: {found} {wanted}");
        }
    }
    assert!(products.take().is_empty());
}

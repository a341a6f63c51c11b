//! Rounding with feedback: smaller errors in what matrices compute than without, in every format; and tensors kept over a kill.

#[allow(dead_code)] // How much columns count follows from the inputs here.
mod tensors;

use std::io::Write;
use std::ops::ControlFlow::{Break, Continue};
use std::path::Path;
use std::sync::Arc;

use nearfield_gguf::{Gguf, Layout, Metadata, TensorType, Writer};
use nearfield_kernels::{Format, Matrix};
use nearfield_quantize::{Feedback, Job, Kept, Method, QuantizeError, TensorFormat, quantize_row_by, takes_feedback};
use proptest::prelude::*;
use tensors::{COLUMNS, ROWS};

/// Inputs seen.
const INPUTS: u64 = 2000;

/// Sums of products of inputs whose neighbours are alike, and some of which are large: `[columns, columns]`.
fn correlated(columns: usize) -> Vec<f32> {
    let size = |c: usize| if c.is_multiple_of(37) { 6.0 } else { 1.0 + (c % 5) as f32 * 0.3 };
    let alike = |a: usize, b: usize| 0.9f32.powi(a.abs_diff(b) as i32);
    (0..columns * columns)
        .map(|i| {
            let (a, b) = (i / columns, i % columns);
            size(a) * size(b) * alike(a, b) * INPUTS as f32
        })
        .collect()
}

/// A file with one matrix of two experts' rows, or of one.
fn made_up(path: &Path, dims: &[usize], weights: &[f32]) {
    let mut layout = Layout::new();
    layout.set("general.architecture", &Metadata::Text("llama".into())).unwrap();
    layout.tensor("blk.0.ffn_up.weight", TensorType::named("F32").unwrap(), dims).unwrap();
    let mut writer = Writer::create(path, layout).unwrap();
    let bytes: Vec<u8> = weights.iter().flat_map(|x| x.to_le_bytes()).collect();
    writer.write("blk.0.ffn_up.weight", &bytes).unwrap();
    writer.finish().unwrap();
}

fn tensor(dims: &[usize], to: Format) -> TensorFormat {
    let named = |name: &str| TensorType::named(name).unwrap();
    let (name, dims) = ("blk.0.ffn_up.weight".to_owned(), dims.to_vec());
    TensorFormat { name, dims, from: named("F32"), to: named(to.name()), fallback: false }
}

/// The bytes of a made-up matrix in a format.
fn rounded(
    dims: &[usize],
    weights: &[f32],
    to: Format,
    feedback: &[Option<Arc<Feedback>>],
) -> Result<Vec<u8>, QuantizeError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("from.gguf");
    made_up(&path, dims, weights);
    let source = Gguf::open(&path)?;
    let formats = [tensor(dims, to)];
    let job =
        Job { source: &source, formats: &formats, file_type: 0, importance: None, method: Method::Fine, threads: 2 };
    job.with_feedback(&formats[0], feedback, &mut |_| Continue(()))
}

fn read(format: Format, bytes: &[u8], rows: usize, columns: usize) -> Vec<f32> {
    let mut read = vec![0.0; rows * columns];
    let matrix = Matrix::new(format, bytes, rows, columns).unwrap();
    read.chunks_mut(columns).enumerate().for_each(|(i, row)| matrix.read_row(i, row));
    read
}

/// The squared error of all products with such inputs.
fn error(sums: &[f32], columns: usize, weights: &[f32], read: &[f32]) -> f64 {
    let rows = weights.chunks(columns).zip(read.chunks(columns));
    rows.map(|(w, q)| {
        let e: Vec<f64> = w.iter().zip(q).map(|(w, q)| f64::from(w - q)).collect();
        let of = |a: usize| -> f64 { (0..columns).map(|b| f64::from(sums[a * columns + b]) * e[b]).sum() };
        (0..columns).map(|a| e[a] * of(a)).sum::<f64>()
    })
    .sum()
}

#[test]
fn feedback_makes_smaller_errors_in_every_format() {
    let sums = correlated(COLUMNS);
    let feedback = Arc::new(Feedback::new(&sums, COLUMNS, INPUTS, 0.01, 2).unwrap());
    let mean_squares = feedback.mean_squares().to_vec();
    for name in ["normal", "heavy-tailed"] {
        let weights = tensors::tensors().into_iter().find(|tensor| tensor.0 == name).unwrap().1;
        for format in Format::ALL.into_iter().filter(|format| takes_feedback(*format)) {
            let bytes = rounded(&[COLUMNS, ROWS], &weights, format, &[Some(feedback.clone())]).unwrap();
            let with = error(&sums, COLUMNS, &weights, &read(format, &bytes, ROWS, COLUMNS));
            let mut plain = vec![0; bytes.len()];
            let each = format.row_bytes(COLUMNS).unwrap();
            for (row, out) in weights.chunks(COLUMNS).zip(plain.chunks_mut(each)) {
                quantize_row_by(Method::Fine, format, row, Some(&mean_squares), out);
            }
            let without = error(&sums, COLUMNS, &weights, &read(format, &plain, ROWS, COLUMNS));
            assert!(with < 0.7 * without, "{name} {format}: {with} with feedback, {without} without");
        }
    }
}

#[test]
fn where_inputs_have_nothing_in_common_nothing_is_fed_back() {
    let columns = 288;
    let mut sums = correlated(columns);
    (0..columns * columns).filter(|i| i / columns != i % columns).for_each(|i| sums[i] = 0.0);
    let feedback = Feedback::new(&sums, columns, INPUTS, 0.01, 1).unwrap();
    let mean_squares = feedback.mean_squares().to_vec();
    let weights: Vec<f32> = tensors::tensors()[0].1[..2 * columns].to_vec();
    let feedback = Some(Arc::new(feedback));
    for format in [Format::Q4_0, Format::Q5_1, Format::Iq4Nl] {
        let with = rounded(&[columns, 2], &weights, format, std::slice::from_ref(&feedback)).unwrap();
        let mut without = vec![0; with.len()];
        let each = format.row_bytes(columns).unwrap();
        for (row, out) in weights.chunks(columns).zip(without.chunks_mut(each)) {
            quantize_row_by(Method::Fine, format, row, Some(&mean_squares), out);
        }
        assert_eq!(with, without, "{format}");
    }
}

#[test]
fn each_expert_has_feedback_of_its_own_and_one_without_inputs_has_none() {
    let columns = 64;
    let sums = correlated(columns);
    let feedback = Feedback::new(&sums, columns, INPUTS, 0.01, 2).map(Arc::new);
    let weights: Vec<f32> = tensors::tensors()[0].1[..6 * columns].to_vec();
    let one = |from: usize, feedback: &Option<Arc<Feedback>>| {
        let weights = &weights[from * columns..(from + 2) * columns];
        rounded(&[columns, 2], weights, Format::Q4_0, std::slice::from_ref(feedback)).unwrap()
    };
    let all = rounded(&[columns, 2, 3], &weights, Format::Q4_0, &[feedback.clone(), None, feedback.clone()]).unwrap();
    assert_eq!(all, [one(0, &feedback), one(2, &None), one(4, &feedback)].concat());
    assert_ne!(one(2, &feedback), one(2, &None));
}

#[test]
fn products_that_are_of_no_use_are_refused_and_those_of_few_inputs_are_not() {
    let columns = 150;
    assert!(Feedback::new(&[], 0, 1, 0.01, 1).is_none());
    assert!(Feedback::new(&vec![0.0; columns * columns], columns, 10, 0.01, 1).is_none(), "all zero");
    assert!(Feedback::new(&vec![1.0; columns * columns], columns, 0, 0.01, 1).is_none(), "none seen");
    assert!(Feedback::new(&vec![1.0; columns], columns, 10, 0.01, 1).is_none(), "not square");
    for bad in [f32::NAN, f32::INFINITY] {
        let mut sums = correlated(columns);
        sums[77] = bad;
        assert!(Feedback::new(&sums, columns, INPUTS, 0.01, 1).is_none(), "{bad}");
    }
    // One input only: a matrix of rank one, made positive by the damping.
    let rank_one: Vec<f32> =
        (0..columns * columns).map(|i| ((i / columns) as f32).sin() * ((i % columns) as f32).sin()).collect();
    assert!(Feedback::new(&rank_one, columns, 1, 0.01, 1).is_some());
}

#[test]
fn weights_that_are_no_numbers_are_refused_with_their_place() {
    let feedback = Feedback::new(&correlated(64), 64, INPUTS, 0.01, 1).map(Arc::new);
    let mut weights = vec![0.5; 192];
    weights[100] = f32::NAN;
    let refused = rounded(&[64, 3], &weights, Format::Q4_0, std::slice::from_ref(&feedback)).unwrap_err().to_string();
    assert!(refused.contains("weight 100 is NaN"), "{refused}");
    weights[100] = 1e38;
    let refused = rounded(&[64, 3], &weights, Format::Q4_0, std::slice::from_ref(&feedback)).unwrap_err().to_string();
    assert!(refused.contains("too large for Q4_0"), "{refused}");
}

#[test]
fn tensors_are_kept_over_a_kill_and_a_broken_end_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("to.gguf.partial");
    let (one, two) = ([1; 32], [2; 32]);
    let mut kept = Kept::open(&path, &one).unwrap();
    kept.add("a", &[1, 2, 3]).unwrap();
    kept.add("b", &[4; 5000]).unwrap();
    let second = Kept::open(&path, &one).unwrap_err().to_string();
    assert!(second.ends_with("another process is writing to it: end that one or name another file"), "{second}");
    drop(kept);
    let whole = std::fs::read(&path).unwrap();
    let has = |identity: &[u8; 32]| {
        let kept = Kept::open(&path, identity).unwrap();
        (kept.has("a"), kept.has("b"))
    };
    assert_eq!(has(&one), (true, true));
    for cut in [whole.len() - 1, whole.len() - 5000, 32, 3] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert_eq!(has(&one), (cut >= 72, false), "{cut} bytes left");
    }
    let mut changed = whole.clone();
    changed[whole.len() - 100] ^= 1;
    std::fs::write(&path, &changed).unwrap();
    assert_eq!(has(&one), (true, false), "a changed byte");
    // What comes after a dropped end is read again.
    let mut kept = Kept::open(&path, &one).unwrap();
    kept.add("b", &[5; 10]).unwrap();
    drop(kept);
    assert_eq!(has(&one), (true, true));
    // A length that would take all memory.
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(&[1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 127, b'c']).unwrap();
    drop(file);
    assert_eq!(has(&one), (true, true));
    assert_eq!(has(&two), (false, false), "another run");
    std::fs::write(&path, "something else").unwrap();
    assert!(matches!(Kept::open(&path, &one), Err(QuantizeError::Kept { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), b"something else");
}

#[test]
fn a_file_is_written_of_kept_tensors_and_a_stop_leaves_none() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from.gguf"), folder.path().join("to.gguf"));
    let weights: Vec<f32> = tensors::tensors()[0].1[..128].to_vec();
    made_up(&from, &[64, 2], &weights);
    let source = Gguf::open(&from).unwrap();
    let formats = [tensor(&[64, 2], Format::Q4_0)];
    let job =
        Job { source: &source, formats: &formats, file_type: 2, importance: None, method: Method::Fine, threads: 1 };
    let mut kept = Kept::open(&folder.path().join("kept"), &[0; 32]).unwrap();
    let bytes: Vec<u8> = (0..72).collect();
    kept.add("blk.0.ffn_up.weight", &bytes).unwrap();
    assert!(matches!(job.write_with(&to, Some(&kept), &mut |_| Break(())), Err(QuantizeError::Stopped)));
    assert!(!to.exists());
    job.write_with(&to, Some(&kept), &mut |_| Continue(())).unwrap();
    kept.remove();
    let written = Gguf::open(&to).unwrap();
    assert_eq!(written.bytes()[written.tensors()["blk.0.ffn_up.weight"].range.clone()], bytes);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_rows_and_inputs_are_rounded_without_a_panic_and_read_back_finite(
        weights in prop::collection::vec(prop::num::f32::NORMAL.prop_map(|x| x % 1000.0), 512),
        inputs in prop::collection::vec(-100.0f32..100.0, 3 * 256),
        scale in -30i32..2,
    ) {
        let weights: Vec<f32> = weights.iter().map(|x| x * 10f32.powi(scale)).collect();
        let mut sums = vec![0.0f32; 256 * 256];
        for x in inputs.chunks(256) {
            sums.iter_mut().enumerate().for_each(|(i, sum)| *sum += x[i / 256] * x[i % 256]);
        }
        let feedback = Feedback::new(&sums, 256, 3, 0.01, 1).map(Arc::new);
        for format in Format::ALL.into_iter().filter(|format| takes_feedback(*format)) {
            if let Ok(bytes) = rounded(&[256, 2], &weights, format, std::slice::from_ref(&feedback)) {
                let finite = read(format, &bytes, 2, 256).iter().all(|x| x.is_finite());
                prop_assert!(finite, "{format}");
            }
        }
    }
}

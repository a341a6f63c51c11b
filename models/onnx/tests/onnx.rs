//! ONNX models: broken files, models of another kind, and what really computes them.

use nearfield_onnx::{self, OnnxError, OnnxInput, OnnxModel, OnnxOptions, Provider};
use std::io::Write as _;
use std::path::{Path, PathBuf};

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../speech/tests/data/tiny-piper.onnx")
}

fn runtime() -> bool {
    nearfield_onnx::init().map_err(|e| writeln!(std::io::stderr(), "skipped: {e}").unwrap()).is_ok()
}

fn open(bytes: &[u8]) -> Result<OnnxModel, OnnxError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, bytes).unwrap();
    OnnxModel::open(&path, &OnnxOptions::default())
}

#[test]
fn the_runtime_says_where_it_came_from() {
    match nearfield_onnx::init() {
        Ok(runtime) => {
            eprintln!("ONNX Runtime {} at {}", runtime.version, runtime.path.display());
            assert!(!runtime.version.is_empty());
            assert!(std::ptr::eq(runtime, nearfield_onnx::init().unwrap()));
        }
        Err(e) => assert!(e.to_string().contains("make setup"), "{e}"),
    }
}

#[test]
fn other_kinds_of_files_are_called_by_name_even_without_the_runtime() {
    for (bytes, word) in [
        (&b""[..], "empty"),
        (b"GGUF\x03\0\0\0", "GGUF"),
        (b"lmgg....", "ggml"),
        (b"RIFF\0\0\0\0WAVE", "sound"),
        (b"{\"a\": 1}", "JSON"),
        (b"<html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1", "LFS"),
    ] {
        let error = open(bytes).err().unwrap().to_string();
        assert!(error.contains(word) && error.contains("model.onnx"), "{error}");
    }
    let missing = OnnxModel::open(Path::new("/nowhere/none.onnx"), &OnnxOptions::default()).err().unwrap();
    assert!(matches!(missing, OnnxError::File { .. }) && missing.to_string().contains("none.onnx"), "{missing}");
}

#[test]
fn a_model_cut_anywhere_is_refused_or_another_model_but_never_a_crash() {
    if !runtime() {
        return;
    }
    let whole = std::fs::read(tiny()).unwrap();
    let mut refused = 0;
    for length in (1..whole.len()).step_by(13) {
        refused += usize::from(open(&whole[..length]).is_err());
    }
    // A cut between two fields of the file's outermost level is itself a file, without what came after.
    assert!(refused > whole.len() / 13 - 5, "{refused}");
    for at in (0..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        drop(open(&bytes));
    }
}

#[test]
fn a_wrong_shape_is_an_error_and_the_model_works_on() {
    if !runtime() {
        return;
    }
    let mut model = OnnxModel::open(&tiny(), &OnnxOptions::default()).unwrap();
    assert_eq!(model.inputs(), ["input", "input_lengths", "scales"]);
    let scales = OnnxInput::F32(&[3], &[0.0, 1.0, 0.0]);
    let wrong = [
        ("input", OnnxInput::F32(&[1, 2], &[1.0, 2.0])),
        ("input_lengths", OnnxInput::I64(&[1], &[2])),
        ("scales", scales),
    ];
    assert!(matches!(model.run(&wrong), Err(OnnxError::Run { .. })));
    let lying = [
        ("input", OnnxInput::I64(&[1, 200], &[1, 2])),
        ("input_lengths", OnnxInput::I64(&[1], &[2])),
        ("scales", scales),
    ];
    assert!(matches!(model.run(&lying), Err(OnnxError::Run { .. })));
    let right = [
        ("input", OnnxInput::I64(&[1, 2], &[100, 200])),
        ("input_lengths", OnnxInput::I64(&[1], &[2])),
        ("scales", scales),
    ];
    let outputs = model.run(&right).unwrap();
    assert_eq!(outputs[0].shape, [1, 1, 1, 512]);
    assert_eq!((outputs[0].data[0], outputs[0].data[511]), (0.5, 1.0));
}

#[test]
fn a_provider_that_is_not_there_is_an_error_unless_the_cpu_was_allowed_too() {
    if !runtime() {
        return;
    }
    let on = |providers: &[Provider]| {
        OnnxModel::open(&tiny(), &OnnxOptions { providers: providers.to_vec(), ..OnnxOptions::default() })
    };
    assert_eq!(on(&[Provider::Cpu]).unwrap().active_provider(), Provider::Cpu);
    match on(&[Provider::OpenVino]) {
        // The library at hand may have it.
        Ok(model) => assert_eq!(model.active_provider(), Provider::OpenVino),
        Err(e) => {
            assert!(matches!(e, OnnxError::NoProvider { .. }) && e.to_string().contains("OpenVINO"), "{e}");
            assert_eq!(on(&[Provider::OpenVino, Provider::Cpu]).unwrap().active_provider(), Provider::Cpu);
        }
    }
}

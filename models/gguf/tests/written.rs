//! What is written is what is read again, and a file that is not complete never has its name.

use std::path::{Path, PathBuf};

use nearfield_gguf::{Gguf, GgufError, Layout, Metadata, TensorType, Value, Writer};

fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/models").join(name)
}

fn copied(from: &Path, to: &Path) -> Result<(), GgufError> {
    let gguf = Gguf::open(from)?;
    let mut layout = Layout::new();
    layout.copy_all(&gguf)?;
    for name in gguf.tensor_names() {
        let tensor = &gguf.tensors()[name];
        layout.tensor(name, tensor.kind, &tensor.dims)?;
    }
    let expected = layout.file_bytes();
    let mut writer = Writer::create(to, layout)?;
    for name in gguf.tensor_names() {
        for piece in gguf.bytes()[gguf.tensors()[name].range.clone()].chunks(4099) {
            writer.write(name, piece)?;
        }
    }
    writer.finish()?;
    assert_eq!(std::fs::metadata(to).unwrap().len(), expected);
    Ok(())
}

fn f32s() -> TensorType {
    TensorType::named("f32").unwrap()
}

#[test]
fn a_copied_file_has_every_byte_of_the_original() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.gguf");
    copied(&asset("talk-nano.gguf"), &copy).unwrap();
    assert!(std::fs::read(asset("talk-nano.gguf")).unwrap() == std::fs::read(&copy).unwrap());
}

#[test]
fn copied_real_models_have_the_tensors_and_metadata_of_the_original() {
    let Some(models) = std::env::var_os("NEARFIELD_TEST_MODELS") else {
        eprintln!("skipped: NEARFIELD_TEST_MODELS is not set");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.gguf");
    let mut seen = 0;
    for entry in std::fs::read_dir(models).unwrap().filter_map(Result::ok) {
        if entry.path().extension().is_none_or(|extension| extension != "gguf") {
            continue;
        }
        copied(&entry.path(), &copy).unwrap();
        let (old, new) = (Gguf::open(&entry.path()).unwrap(), Gguf::open(&copy).unwrap());
        assert_eq!(old.keys().collect::<Vec<_>>(), new.keys().collect::<Vec<_>>());
        for key in old.keys() {
            assert_eq!(old.value(key), new.value(key), "{key}");
        }
        assert_eq!(old.tensor_names().collect::<Vec<_>>(), new.tensor_names().collect::<Vec<_>>());
        for name in old.tensor_names() {
            let (was, is) = (&old.tensors()[name], &new.tensors()[name]);
            assert_eq!((was.kind, &was.dims), (is.kind, &is.dims), "{name}");
            assert!(old.bytes()[was.range.clone()] == new.bytes()[is.range.clone()], "{name}");
        }
        seen += 1;
    }
    assert!(seen > 0, "NEARFIELD_TEST_MODELS holds no GGUF file");
}

#[test]
fn every_type_of_metadata_is_read_back_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.gguf");
    let all: Vec<(Metadata, Value)> = vec![
        (Metadata::U8(u8::MAX), Value::Integer(u8::MAX.into())),
        (Metadata::I8(i8::MIN), Value::Integer(i8::MIN.into())),
        (Metadata::U16(u16::MAX), Value::Integer(u16::MAX.into())),
        (Metadata::I16(i16::MIN), Value::Integer(i16::MIN.into())),
        (Metadata::U32(u32::MAX), Value::Integer(u32::MAX.into())),
        (Metadata::I32(i32::MIN), Value::Integer(i32::MIN.into())),
        (Metadata::F32(0.1), Value::Float(f64::from(0.1f32))),
        (Metadata::Bool(true), Value::Bool(true)),
        (Metadata::Text("grün".into()), Value::Text("grün".into())),
        (Metadata::U64(u64::MAX), Value::Integer(u64::MAX.into())),
        (Metadata::I64(i64::MIN), Value::Integer(i64::MIN.into())),
        (Metadata::F64(0.1), Value::Float(0.1)),
        (Metadata::U8s(vec![0, 255]), Value::Integers(vec![0, 255])),
        (Metadata::I8s(vec![-128, 127]), Value::Integers(vec![-128, 127])),
        (Metadata::U16s(vec![65535]), Value::Integers(vec![65535])),
        (Metadata::I16s(vec![-32768]), Value::Integers(vec![-32768])),
        (Metadata::U32s(vec![u32::MAX]), Value::Integers(vec![u32::MAX.into()])),
        (Metadata::I32s(vec![i32::MIN]), Value::Integers(vec![i32::MIN.into()])),
        (Metadata::F32s(vec![0.5, -0.0]), Value::Floats(vec![0.5, -0.0])),
        (Metadata::Bools(vec![true, false]), Value::Integers(vec![1, 0])),
        (Metadata::Texts(vec![String::new(), "a".into()]), Value::Texts(vec![String::new(), "a".into()])),
        (Metadata::U64s(vec![7]), Value::Integers(vec![7])),
        (Metadata::I64s(vec![i64::MIN]), Value::Integers(vec![i64::MIN])),
        (Metadata::F64s(vec![0.25]), Value::Floats(vec![0.25])),
        (Metadata::U32s(vec![]), Value::Integers(vec![])),
    ];
    let mut layout = Layout::new();
    for (n, (written, _)) in all.iter().enumerate() {
        layout.set(&format!("k{n}"), written).unwrap();
    }
    layout.set("general.alignment", &Metadata::U32(64)).unwrap();
    layout.tensor("a", f32s(), &[3, 1]).unwrap();
    layout.tensor("b", TensorType::named("Q8_0").unwrap(), &[32, 2]).unwrap();
    let mut writer = Writer::create(&path, layout).unwrap();
    writer.write("a", &[1; 12]).unwrap();
    writer.write("b", &[2; 68]).unwrap();
    assert!(!path.exists(), "it has its name before it is complete");
    writer.finish().unwrap();
    let read = Gguf::open(&path).unwrap();
    for (n, (_, expected)) in all.iter().enumerate() {
        assert_eq!(read.value(&format!("k{n}")), Some(expected));
    }
    assert_eq!(read.tensors()["b"].range.start % 64, 0);
    assert_eq!(read.bytes()[read.tensors()["b"].range.clone()], [2; 68]);
}

#[test]
fn what_is_no_gguf_file_is_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.gguf");
    let mut layout = Layout::new();
    layout.tensor("w", f32s(), &[2]).unwrap();
    layout.tensor("v", f32s(), &[1]).unwrap();
    let said = |error: GgufError| error.to_string();
    assert!(said(layout.tensor("w", f32s(), &[2]).unwrap_err()).contains("tensor w is there twice"));
    assert!(said(layout.tensor("x", TensorType::named("Q4_K").unwrap(), &[300]).unwrap_err()).contains("Q4_K"));
    assert!(said(layout.tensor("x", f32s(), &[usize::MAX, 2]).unwrap_err()).contains("do not fit"));
    assert!(said(layout.tensor("x", f32s(), &[0]).unwrap_err()).contains("do not fit"));
    assert!(said(layout.tensor("x", f32s(), &[1, 1, 1, 1, 1]).unwrap_err()).contains("do not fit"));
    assert!(said(layout.set(&"k".repeat(300), &Metadata::U8(0)).unwrap_err()).contains("no name"));
    assert!(said(layout.set("general.alignment", &Metadata::U32(24)).unwrap_err()).contains("power of two"));
    assert!(said(layout.set("long", &Metadata::Text("x".repeat(1 << 21))).unwrap_err()).contains("long: a string"));
    let mut writer = Writer::create(&path, layout).unwrap();
    assert!(said(writer.write("v", &[0; 4]).unwrap_err()).contains("where w is next"));
    assert!(said(writer.write("w", &[0; 9]).unwrap_err()).contains("9 bytes, but its shape has 8"));
    writer.write("w", &[0; 8]).unwrap();
    assert!(said(writer.finish().unwrap_err()).contains("tensor v is not complete"));
    assert!(!path.exists());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a temporary file is left");
    let missing = folder.path().join("missing/none.gguf");
    assert!(said(Writer::create(&missing, Layout::new()).unwrap_err()).contains("create it first"));
}

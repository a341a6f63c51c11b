//! Whole files: equal to llama.cpp's, refused where the source is damaged, never half written, never larger than the budget.

use std::ops::ControlFlow::{Break, Continue};
use std::path::{Path, PathBuf};

use nearfield_gguf::{Gguf, Layout, Metadata, TensorType, Writer};
use nearfield_quantize::{Importance, ImportanceMatrix, Job, Method, QuantizeError, RECIPES, Recipe, choose, formats};
use sha2::{Digest, Sha256};

fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/models").join(name)
}

fn sha256(path: &Path) -> String {
    Sha256::digest(std::fs::read(path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn quantize(source: &Path, to: &Path, recipe: &str) -> Result<(), QuantizeError> {
    let source = Gguf::open(source)?;
    let recipe = Recipe::named(recipe).unwrap();
    let formats = formats(&source, recipe, false)?;
    let (file_type, method) = (recipe.file_type, Method::Plain);
    let job = Job { source: &source, formats: &formats, file_type, importance: None, method, threads: 2 };
    job.write(to, &mut |_| Continue(()))
}

/// Hashes of what `llama-quantize --allow-requantize FILE TYPE` writes.
fn assert_equal_to_llama_cpp(source: &Path, goldens: &[(&str, &str)]) {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("to.gguf");
    for (recipe, golden) in goldens {
        quantize(source, &to, recipe).unwrap();
        assert_eq!(sha256(&to), *golden, "{recipe}");
    }
}

#[test]
fn whole_files_are_those_of_llama_cpp() {
    assert_equal_to_llama_cpp(
        &asset("talk-nano.gguf"),
        &[
            ("Q4_K_M", "4e9c30c84768ae3495fd7c6829278e05d7a37ce23c7fbbb448031a6cdfc763e5"),
            ("Q3_K_S", "30a6586e434131277655789d67677bd3d41599755a4eabe78238fe31821e7d09"),
            ("Q2_K", "ed10056d0138d9251ae82f6527a95b5fdf1c8ace4e0452351dabece175c77f16"),
            ("IQ4_XS", "4ab0cb2ca768e5db8ed4682ec56aca288b5f9c841d9b1e135cffca6bd92e235f"),
            ("Q5_0", "ea86a4e832c4bb2eb3c9c2e786471562b8207ec47606c3bb31cb9621d19d2712"),
        ],
    );
}

#[test]
fn a_real_model_is_quantized_as_by_llama_cpp() {
    let Some(models) = std::env::var_os("NEARFIELD_TEST_MODELS") else {
        eprintln!("skipped: NEARFIELD_TEST_MODELS is not set");
        return;
    };
    assert_equal_to_llama_cpp(
        &Path::new(&models).join("SmolLM2-135M-Instruct.Q4_1.gguf"),
        &[
            ("Q4_K_M", "dc0f3a02e821146247a0af6895adf9872124f368682cb110cb9ed09ff2a9f9f1"),
            ("Q3_K_M", "01045a8fee6c962e4f7b0f80dccf937503738f61f987c305378fd3f527eac9d4"),
        ],
    );
}

/// A file with one matrix beside its metadata.
fn made_up(path: &Path, dims: &[usize], weights: &[f32]) {
    let mut layout = Layout::new();
    layout.set("general.architecture", &Metadata::Text("llama".into())).unwrap();
    layout.set("llama.block_count", &Metadata::U32(1)).unwrap();
    layout.tensor("blk.0.ffn_up.weight", TensorType::named("F32").unwrap(), dims).unwrap();
    let mut writer = Writer::create(path, layout).unwrap();
    let bytes: Vec<u8> = weights.iter().flat_map(|x| x.to_le_bytes()).collect();
    writer.write("blk.0.ffn_up.weight", &bytes).unwrap();
    writer.finish().unwrap();
}

#[test]
fn weights_that_are_no_numbers_are_refused_with_their_place_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from.gguf"), folder.path().join("to.gguf"));
    let mut weights = vec![0.5f32; 512];
    for (bad, recipe, expected) in [
        (f32::NAN, "Q4_K_M", "weight 300 is NaN"),
        (f32::INFINITY, "Q8_0", "weight 300 is inf"),
        (f32::NEG_INFINITY, "F32", "weight 300 is -inf"),
        (1e38, "Q4_0", "too large for Q4_0"),
        (1e38, "F16", "too large for F16"),
    ] {
        weights[300] = bad;
        made_up(&from, &[256, 2], &weights);
        let said = quantize(&from, &to, recipe).unwrap_err().to_string();
        assert!(said.contains("blk.0.ffn_up.weight") && said.contains(expected), "{recipe}: {said}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "{recipe} leaves a file");
    }
    weights[300] = 1e38;
    made_up(&from, &[256, 2], &weights);
    quantize(&from, &to, "BF16").unwrap();
}

#[test]
fn rows_that_fit_no_block_get_another_format() {
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("from.gguf");
    for (columns, recipe, expected) in [
        (256, "Q3_K_S", "Q3_K"),
        (288, "Q3_K_S", "Q4_0"),
        (288, "Q4_K_M", "Q5_0"),
        (288, "Q5_K_M", "Q5_1"),
        (288, "Q6_K", "Q8_0"),
        (288, "IQ4_XS", "IQ4_NL"),
        (100, "Q4_K_M", "F16"),
        (100, "Q8_0", "F16"),
    ] {
        made_up(&from, &[columns, 3], &vec![0.25; columns * 3]);
        let source = Gguf::open(&from).unwrap();
        let formats = formats(&source, Recipe::named(recipe).unwrap(), false).unwrap();
        assert_eq!(formats[0].to.name, expected, "{columns} columns as {recipe}");
    }
}

#[test]
fn all_recipes_have_their_name_and_a_file_of_their_own_size() {
    for recipe in RECIPES {
        assert_eq!(Recipe::named(&recipe.name.to_lowercase()), Some(recipe));
    }
    assert_eq!(Recipe::named("q4_k").map(|recipe| recipe.name), Some("Q4_K_M"));
    assert_eq!(Recipe::named("Q4_K_XL"), None);
}

#[test]
fn a_stop_leaves_no_file_and_what_was_there_before() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("to.gguf");
    std::fs::write(&to, "before").unwrap();
    let source = Gguf::open(&asset("talk-nano.gguf")).unwrap();
    let recipe = Recipe::named("Q4_0").unwrap();
    let formats = formats(&source, recipe, false).unwrap();
    let (file_type, method) = (recipe.file_type, Method::Plain);
    let job = Job { source: &source, formats: &formats, file_type, importance: None, method, threads: 1 };
    let mut calls = 0;
    let stopped = job.write(&to, &mut |_| {
        calls += 1;
        if calls < 20 { Continue(()) } else { Break(()) }
    });
    assert!(matches!(stopped, Err(QuantizeError::Stopped)), "{stopped:?}");
    assert_eq!(std::fs::read_to_string(&to).unwrap(), "before");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_file_by_budget_is_never_larger_and_a_larger_budget_never_makes_it_worse() {
    let source = Gguf::open(&asset("talk-nano.gguf")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("to.gguf");
    let mut bits = 0;
    for budget in [4_000_000, 5_000_000, 7_000_000] {
        let choice = choose(&source, budget, None, 2, &mut |_, _| Continue(())).unwrap();
        let job = Job {
            source: &source,
            formats: &choice.formats,
            file_type: choice.file_type,
            importance: None,
            method: Method::Plain,
            threads: 2,
        };
        job.write(&to, &mut |_| Continue(())).unwrap();
        let bytes = std::fs::metadata(&to).unwrap().len();
        assert_eq!(bytes, choice.file_bytes);
        assert!(bytes <= budget && bytes > budget * 9 / 10, "{bytes} of {budget}");
        let stored: usize = choice.formats.iter().map(|tensor| tensor.to.bytes(1 << 10).unwrap_or(0)).sum();
        assert!(stored > bits, "a larger budget has fewer bits");
        bits = stored;
    }
    let refused = choose(&source, 1_000_000, None, 2, &mut |_, _| Continue(())).unwrap_err();
    assert!(refused.to_string().contains("the budget is 1000000"), "{refused}");
    let stopped =
        choose(&source, 5_000_000, None, 2, &mut |tensor, _| if tensor < 3 { Continue(()) } else { Break(()) });
    assert!(matches!(stopped, Err(QuantizeError::Stopped)));
}

fn matrix() -> ImportanceMatrix {
    let entry =
        Importance { sums_of_squares: vec![2.0, 4.0, 6.0, 0.0], sums: vec![1.0, -1.0, 0.5, 0.0], counts: vec![2, 0] };
    let entries = [("blk.0.ffn_up.weight".to_owned(), entry)].into();
    ImportanceMatrix { datasets: vec!["text.txt".into()], chunks: 3, chunk_tokens: 512, entries }
}

#[test]
fn an_importance_matrix_is_read_back_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("imatrix.gguf");
    matrix().save(&path).unwrap();
    let read = ImportanceMatrix::open(&path).unwrap();
    assert_eq!(read, matrix());
    assert_eq!(read.entries["blk.0.ffn_up.weight"].mean_squares(), [1.0, 2.0, 1.0, 1.0]);
}

/// The old form with one entry.
fn dat(sums: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let number = |bytes: &mut Vec<u8>, n: usize| bytes.extend((n as i32).to_le_bytes());
    number(&mut bytes, 1);
    number(&mut bytes, 4);
    bytes.extend(b"name");
    number(&mut bytes, 2);
    number(&mut bytes, sums.len());
    sums.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
    number(&mut bytes, 9);
    number(&mut bytes, 8);
    bytes.extend(b"text.txt");
    bytes
}

#[test]
fn the_old_form_of_an_importance_matrix_is_read_and_a_broken_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("imatrix.dat");
    let whole = dat(&[2.0, 4.0]);
    std::fs::write(&path, &whole).unwrap();
    let read = ImportanceMatrix::open(&path).unwrap();
    assert_eq!((read.chunks, &read.datasets[..]), (9, &["text.txt".to_owned()][..]));
    assert_eq!(read.entries["name"].mean_squares(), [1.0, 2.0]);
    // What ends behind the last entry is as old as that.
    let optional = whole.len() - 16;
    for len in (1..whole.len()).filter(|len| *len != optional) {
        std::fs::write(&path, &whole[..len]).unwrap();
        let said = ImportanceMatrix::open(&path).unwrap_err().to_string();
        assert!(said.contains("the file ends in"), "{len}: {said}");
    }
    for bad in [f32::NAN, f32::INFINITY, -1.0] {
        std::fs::write(&path, dat(&[bad])).unwrap();
        let said = ImportanceMatrix::open(&path).unwrap_err().to_string();
        assert!(said.contains("infinite or below zero"), "{said}");
    }
    let mut negative = whole.clone();
    negative[..4].copy_from_slice(&(-1i32).to_le_bytes());
    std::fs::write(&path, negative).unwrap();
    assert!(ImportanceMatrix::open(&path).unwrap_err().to_string().contains("the number of entries is -1"));
    let model = ImportanceMatrix::open(&asset("talk-nano.gguf")).unwrap_err().to_string();
    assert!(model.contains("no importance matrix"), "{model}");
}

#[test]
fn an_importance_matrix_of_another_model_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from.gguf"), folder.path().join("to.gguf"));
    made_up(&from, &[256, 2], &[0.5; 512]);
    let source = Gguf::open(&from).unwrap();
    let recipe = Recipe::named("Q4_0").unwrap();
    let formats = formats(&source, recipe, true).unwrap();
    let (importance, path) = (matrix(), Path::new("imatrix.gguf"));
    let importance = Some((&importance, path));
    let (file_type, method) = (recipe.file_type, Method::Plain);
    let job = Job { source: &source, formats: &formats, file_type, importance, method, threads: 1 };
    let said = job.write(&to, &mut |_| Continue(())).unwrap_err().to_string();
    assert!(said.contains("another model") && said.contains("imatrix.gguf"), "{said}");
    assert!(!to.exists());
}

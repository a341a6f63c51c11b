//! The list, names, and what lies on the disk.

use crate::hub::cache::HubCache;
use crate::hub::content_hash::Sha256;
use nearfield_stages::voice::tools::HomeLayout;

use super::*;

fn places(folder: &Path) -> Places {
    Places { assets: None, cache: HubCache::new(folder.join("hub")), data: folder.join("data") }
}

fn registry(text: &str, folder: &Path) -> Registry {
    Registry::from_text(text, Path::new("models.toml"), places(folder)).unwrap()
}

const TINY: &str = r#"
    [[model]]
    name = "tiny"
    kind = "llm"
    licence = "MIT"
    repository = "org/name"
    files = [{ path = "tiny.gguf", about_mb = 12 }]
    good_for = "tests"
"#;

fn put(folder: &Path, commit: &str, file: &str, content: &[u8]) -> PathBuf {
    let path = HubCache::new(folder.join("hub")).snapshot_file("org/name", commit, file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    path
}

#[test]
fn the_compiled_in_list_is_right_and_every_name_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::in_places(places(folder.path())).unwrap();
    assert!(registry.models().len() >= 40);
    for model in registry.models() {
        assert_eq!(registry.model(&model.name).unwrap().name, model.name);
        if !model.bundled {
            assert_eq!(registry.status(model), Status::Available, "{}", model.name);
        }
    }
    for kind in [Kind::Stt, Kind::Llm, Kind::Tts, Kind::Vad, Kind::Wake, Kind::Vision] {
        assert!(registry.models().iter().any(|m| m.kind == kind), "{}", kind.name());
    }
}

#[test]
fn a_wrong_key_a_wrong_value_and_a_contradiction_are_refused_with_file_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = |from: &str, to: &str| {
        let text = TINY.replace(from, to);
        assert_ne!(text, TINY, "{from}");
        Registry::from_text(&text, Path::new("models.toml"), places(folder.path())).unwrap_err().to_string()
    };
    for (from, to, parts) in [
        ("good_for", "good_fro", &["models.toml line", "good_fro"][..]),
        ("\"llm\"", "\"lmm\"", &["models.toml line 4", "lmm", "llm"]),
        ("about_mb = 12", "about_mb = \"x\"", &["models.toml line 7"]),
        ("\"org/name\"", "\"../name\"", &["models.toml", "tiny", "repository", "../name"]),
        ("\"tiny.gguf\"", "\"../tiny.gguf\"", &["files.path", "../tiny.gguf"]),
        ("repository = \"org/name\"", "bundled = true", &["bytes", "sha256"]),
        ("repository = \"org/name\"", "", &["repository", "missing"]),
        ("[{ path = \"tiny.gguf\", about_mb = 12 }]", "[]", &["files"]),
        ("\"tiny\"", "\"ti ny\"", &["name"]),
    ] {
        let message = wrong(from, to);
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
    }
    let twice = format!("{TINY}{TINY}");
    let error = Registry::from_text(&twice, Path::new("m.toml"), places(folder.path())).unwrap_err();
    assert!(error.to_string().contains("twice"), "{error}");
}

#[test]
fn an_unknown_name_suggests_near_ones() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::in_places(places(folder.path())).unwrap();
    for (typed, meant) in [
        ("whisper-tinny.en", "whisper-tiny.en"),
        ("smollm2-360m", "smollm2-360m-instruct-q8_0"),
        ("Phi-3-mini", "phi-3-mini-4k-instruct-q4"),
        ("Qwen3-0.6b", "qwen3-0.6b-q8_0"),
        ("piper-en_US-lesac-low", "piper-en_US-lessac-low"),
    ] {
        let error = registry.resolve(typed).unwrap_err().to_string();
        assert!(error.contains(meant), "{typed}: {error}");
    }
    let error = registry.resolve("zzzz").unwrap_err().to_string();
    assert!(!error.contains("did you mean"), "{error}");
}

#[test]
fn a_shorter_name_is_the_same_model_and_no_two_models_share_one() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::in_places(places(folder.path())).unwrap();
    for (short, name) in [
        ("qwen2.5-0.5b-instruct", "qwen2.5-0.5b-instruct-q4_k_m"),
        ("qwen3-0.6b", "qwen3-0.6b-q8_0"),
        ("phi-2", "phi-2-q4_k_m"),
    ] {
        assert_eq!(registry.model(short).unwrap().name, name);
        assert!(matches!(registry.resolve(short), Err(RegistryError::NotPulled { .. })));
    }
    let other = TINY.replace("name = \"tiny\"", "name = \"other\"\naliases = [\"tiny\"]");
    let both = Registry::from_text(&format!("{TINY}{other}"), Path::new("m.toml"), places(folder.path()));
    assert!(both.unwrap_err().to_string().contains("aliases"));
}

#[test]
fn a_plain_path_is_taken_as_it_is_with_the_json_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(TINY, folder.path());
    let voice = folder.path().join("voice.onnx");
    fs::write(&voice, b"x").unwrap();
    fs::write(folder.path().join("voice.onnx.json"), b"{}").unwrap();
    let resolved = registry.resolve(voice.to_str().unwrap()).unwrap();
    assert_eq!(resolved.path(), voice);
    assert_eq!(resolved.file(Role::Config), Some(folder.path().join("voice.onnx.json").as_path()));
    let missing = folder.path().join("none.gguf");
    let error = registry.resolve(missing.to_str().unwrap()).unwrap_err();
    assert!(matches!(error, RegistryError::NoSuchFile { .. }), "{error}");
    let error = registry.resolve(folder.path().to_str().unwrap()).unwrap_err();
    assert!(error.to_string().contains("not a regular file"), "{error}");
}

#[test]
fn a_model_that_another_tool_fetched_is_found_and_one_that_is_nowhere_names_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(TINY, folder.path());
    let error = registry.resolve("tiny").unwrap_err().to_string();
    assert!(error.contains("`nearfield models pull tiny`") && error.contains("about 12 MB"), "{error}");
    let path = put(folder.path(), &"a".repeat(40), "tiny.gguf", b"by another tool");
    assert_eq!(registry.resolve("tiny").unwrap().path(), path);
    assert_eq!(registry.status(registry.model("tiny").unwrap()), Status::Pulled);
}

#[test]
fn only_the_file_that_the_lock_speaks_of_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let registry = registry(TINY, folder.path());
    let locked = LockedFile {
        repository: "org/name".into(),
        file: "tiny.gguf".into(),
        revision: "main".into(),
        commit: "b".repeat(40),
        bytes: 5,
        sha256: Sha256::of(b"right"),
        date: "2026-11-21T08:00:00Z".into(),
    };
    registry.places().lock().record(locked).unwrap();
    put(folder.path(), &"a".repeat(40), "tiny.gguf", b"wrong");
    assert!(matches!(registry.resolve("tiny"), Err(RegistryError::NotPulled { .. })));
    let path = put(folder.path(), &"b".repeat(40), "tiny.gguf", b"right");
    assert_eq!(registry.resolve("tiny").unwrap().path(), path);
    fs::write(&path, b"cut").unwrap();
    let error = registry.resolve("tiny").unwrap_err();
    assert!(matches!(error, RegistryError::WrongSize { found: 3, expected: 5, .. }), "{error}");
    assert!(error.to_string().contains("pull tiny"), "{error}");
}

#[test]
fn a_bundled_model_is_found_beside_the_list_and_refused_when_cut_or_missing() {
    let folder = tempfile::tempdir().unwrap();
    let models = folder.path().join("assets/models");
    fs::create_dir_all(&models).unwrap();
    let hash = Sha256::of(b"weights");
    let text = TINY.replace(
        "repository = \"org/name\"\n    files = [{ path = \"tiny.gguf\", about_mb = 12 }]",
        &format!("bundled = true\nfiles = [{{ path = \"tiny.gguf\", bytes = 7, sha256 = \"{hash}\" }}]"),
    );
    fs::write(models.join("models.toml"), text).unwrap();
    let places = Places { assets: Some(folder.path().join("assets")), ..places(folder.path()) };
    let registry = Registry::in_places(places).unwrap();
    assert!(matches!(registry.resolve("tiny"), Err(RegistryError::BundledMissing { .. })));
    fs::write(models.join("tiny.gguf"), b"weights").unwrap();
    assert_eq!(registry.resolve("tiny").unwrap().path(), models.join("tiny.gguf"));
    assert_eq!(registry.status(registry.model("tiny").unwrap()), Status::Bundled);
    fs::write(models.join("tiny.gguf"), b"weight").unwrap();
    assert!(matches!(registry.resolve("tiny"), Err(RegistryError::WrongSize { .. })));
}

#[test]
fn sizes_are_printed_in_powers_of_ten_and_estimates_as_such() {
    for (bytes, exact, text) in [
        (999, true, "999 B"),
        (74_800_000, true, "74.80 MB"),
        (4_368_439_584, true, "4.37 GB"),
        (12_000_000, false, "about 12 MB"),
        (0, false, "size unknown"),
    ] {
        assert_eq!(Size { bytes, exact }.to_string(), text);
    }
}

#[test]
fn the_bundled_model_keeps_its_prompt_form_under_another_path_and_another_file_has_none() {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets");
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::in_places(Places { assets: Some(assets.clone()), ..places(folder.path()) }).unwrap();
    let form = registry.resolve("talk-nano").unwrap().prompt;
    assert_eq!(form.picture_token.as_deref(), Some("<|picture|>"));
    assert_eq!(form.home, Some(HomeLayout::Grouped));
    let copy = folder.path().join("talk-nano.gguf");
    fs::copy(assets.join("models/talk-nano.gguf"), &copy).unwrap();
    assert_eq!(registry.resolve(copy.to_str().unwrap()).unwrap().prompt, form);
    fs::write(&copy, b"GGUF of another model").unwrap();
    assert_eq!(registry.resolve(copy.to_str().unwrap()).unwrap().prompt, PromptForm::default());
}

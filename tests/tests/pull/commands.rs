//! `nearfield models list|pull|show|verify|path`.

use std::fs;
use std::io::Write;
use std::path::Path;

use nearfield::commands::models::{self, PullSettings};
use nearfield::hub::cache::HubCache;
use nearfield::hub::content_hash::Sha256;
use nearfield::hub::registry::{Places, Registry, RegistryError};

use crate::world::{COMMIT, World, content, flip_a_byte};

#[test]
fn the_commands_list_pull_show_verify_and_path_tell_one_story() {
    let world = World::new(content(100_000));
    let registry = world.registry();
    let run = |command: &dyn Fn(&mut dyn Write) -> anyhow::Result<()>| {
        let mut out = Vec::new();
        let result = command(&mut out).map_err(|e| format!("{e:#}"));
        (String::from_utf8(out).unwrap(), result)
    };
    let listed = |status: &str| {
        let (text, _) = run(&|out| models::list(&registry, false, out));
        let row = text.lines().find(|l| l.starts_with("tiny ")).unwrap().to_string();
        assert!(row.contains(status), "{row}");
        let (json, _) = run(&|out| models::list(&registry, true, out));
        let line: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
        assert_eq!(line["status"], status);
    };
    listed("available");
    let (_, path) = run(&|out| models::path(&registry, "tiny", out));
    assert!(path.unwrap_err().contains("`nearfield models pull tiny`"));
    let (_, verified) = run(&|out| models::verify(&registry, Some("tiny"), false, &|| false, out));
    assert!(verified.unwrap_err().contains("`nearfield models pull tiny`"));

    let settings = PullSettings { quiet: true, ..PullSettings::default() };
    let (text, pulled) =
        run(&|out| models::pull_from(&world.hub(), &registry, &["tiny".into()], settings, &|| false, out));
    pulled.unwrap();
    assert!(text.contains("pulled, verified") && text.contains(&world.hash()), "{text}");
    listed("pulled");
    let (shown, _) = run(&|out| models::show(&registry, "tiny", false, out));
    assert!(shown.contains(&world.hash()) && shown.contains(COMMIT) && shown.contains("100000"), "{shown}");
    let (path, _) = run(&|out| models::path(&registry, "tiny", out));
    assert_eq!(fs::read(path.trim_end()).unwrap(), world.content);
    let (verified, right) = run(&|out| models::verify(&registry, None, false, &|| false, out));
    right.unwrap();
    assert!(verified.contains("tiny") && verified.contains("right"), "{verified}");
}

#[test]
fn verify_finds_a_flipped_byte_and_names_the_file_and_the_way_out() {
    let world = World::new(content(100_000));
    let registry = world.registry();
    let path = world.pull().unwrap().path;
    flip_a_byte(&path);
    for name in [None, Some("tiny")] {
        let mut out = Vec::new();
        let error = models::verify(&registry, name, false, &|| false, &mut out).unwrap_err().to_string();
        for part in [path.to_str().unwrap(), &world.hash(), "`nearfield models pull tiny`"] {
            assert!(error.contains(part), "{part:?} is not in {error:?}");
        }
        assert!(String::from_utf8(out).unwrap().contains("wrong"));
    }
}

#[test]
fn a_slip_in_the_last_name_is_found_before_the_first_is_pulled() {
    let world = World::new(content(1000));
    let names = ["tiny".to_string(), "tinny".to_string()];
    let settings = PullSettings { quiet: true, ..PullSettings::default() };
    let error = models::pull_from(&world.hub(), &world.registry(), &names, settings, &|| false, &mut Vec::new());
    let error = error.unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(RegistryError::Unknown { .. })), "{error}");
    assert!(error.to_string().contains("did you mean tiny?"), "{error}");
    assert!(world.server.log().is_empty());
}

#[test]
fn every_bundled_model_is_what_the_list_says() {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("assets");
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::in_places(Places {
        assets: Some(assets.clone()),
        cache: HubCache::new(folder.path()),
        data: folder.path().to_path_buf(),
    })
    .unwrap();
    let mut listed = vec!["models.toml".to_string()];
    for model in registry.models().iter().filter(|m| m.bundled) {
        for file in &model.files {
            let path = assets.join("models").join(&file.path);
            assert_eq!(fs::metadata(&path).unwrap().len(), file.bytes.unwrap(), "{}", path.display());
            assert_eq!(Sha256::of_file(&path, &mut |_| true).unwrap(), file.sha256.unwrap(), "{}", path.display());
            listed.push(file.path.clone());
        }
    }
    for entry in fs::read_dir(assets.join("models")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_weights = [".gguf", ".bin", ".onnx"].iter().any(|end| name.ends_with(end));
        assert!(!is_weights || listed.contains(&name), "assets/models/{name} is not in models.toml");
    }
}

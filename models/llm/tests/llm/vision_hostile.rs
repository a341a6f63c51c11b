//! Projector files that are cut short, lie, or belong to another model: one clear sentence each, and never a panic.

use std::ops::ControlFlow;
use std::path::Path;

use candle_core::quantized::gguf_file::Value;
use nearfield_gguf::Gguf;
use nearfield_llm::{Llm, LlmOptions, RgbPicture, VisionTower};

use crate::vision_files::{PAIRS, picture, write_pair, write_projector};

fn open(path: &Path) -> Result<std::sync::Arc<VisionTower>, String> {
    VisionTower::open(path, &LlmOptions { threads: 1 }).map_err(|error| error.to_string())
}

#[test]
fn a_projector_file_that_lies_is_an_error_that_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mmproj.gguf");
    let cases: &[(&str, &str, Value, &str)] = &[
        (
            "smolvlm",
            "projector_type",
            Value::String("ldpv2".into()),
            "\"ldpv2\" is not supported; supported are: idefics3",
        ),
        ("smolvlm", "general.architecture", Value::String("llama".into()), "a projector file (mmproj) has \"clip\""),
        ("smolvlm", "has_vision_encoder", Value::Bool(false), "not for pictures"),
        ("smolvlm", "vision.patch_size", Value::U32(0), "clip.vision.patch_size: expected 1 to 256, found 0"),
        ("smolvlm", "vision.image_size", Value::U32(u32::MAX), "clip.vision.image_size: expected 16 to 4096"),
        ("smolvlm", "vision.image_size", Value::U32(72), "no whole squares"),
        ("smolvlm", "vision.embedding_length", Value::U32(1 << 31), "clip.vision.embedding_length"),
        ("smolvlm", "vision.embedding_length", Value::U32(128), "v.patch_embd.weight"),
        ("smolvlm", "vision.attention.head_count", Value::U32(7), "7 heads do not share a width of 64"),
        ("smolvlm", "vision.block_count", Value::U32(3), "v.blk.2.attn_q.weight: is missing"),
        ("smolvlm", "vision.block_count", Value::U32(1 << 30), "clip.vision.block_count"),
        ("smolvlm", "vision.feed_forward_length", Value::U32(64), "feed_forward_length"),
        ("smolvlm", "vision.attention.layer_norm_epsilon", Value::F32(f32::NAN), "finite"),
        ("smolvlm", "vision.image_mean", Value::F32(0.5), "expected three finite numbers"),
        ("smolvlm", "vision.image_std", Value::Array([0.0f32; 3].map(Value::F32).to_vec()), "three positive numbers"),
        ("smolvlm", "vision.projector.scale_factor", Value::U32(3), "no whole squares of 3 x 3"),
        ("smolvlm", "vision.preproc_image_size", Value::U32(1 << 24), "clip.vision.preproc_image_size"),
        ("smolvlm", "use_silu", Value::Bool(true), "clip.use_silu too"),
        ("internvl", "vision.preproc_max_tiles", Value::U32(100_000), "clip.vision.preproc_max_tiles"),
        ("internvl", "vision.preproc_min_tiles", Value::U32(9), "more than preproc_max_tiles"),
        ("qwen2vl", "vision.spatial_merge_size", Value::U32(4), "expected 2, found 4"),
        ("qwen2.5vl", "vision.n_wa_pattern", Value::U32(1 << 20), "clip.vision.n_wa_pattern"),
        ("lfm2", "vision.image_resize_algo", Value::String("area".into()), "none of bilinear, bicubic, lanczos"),
        ("lfm2", "vision.preproc_tile_size", Value::U32(100), "no whole squares of 32"),
    ];
    for (name, key, value, said) in cases {
        refuses(name, &[(key, value.clone())], said, &path);
    }
}

fn refuses(name: &str, keys: &[(&str, Value)], said: &str, path: &Path) {
    let (_, projector, ..) = PAIRS.iter().find(|(known, ..)| *known == name).unwrap();
    write_projector(name, projector, path, keys);
    let error = open(path).expect_err(said);
    assert!(error.contains(said) && error.contains("mmproj.gguf"), "{keys:?}: {error}");
    assert!(!error.contains('\n') && error.len() < 500, "{keys:?}: one sentence: {error}");
}

#[test]
fn a_projector_file_whose_tiles_would_fill_the_memory_is_refused_by_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mmproj.gguf");
    let (patch, image, tile) = ("vision.patch_size", "vision.image_size", "vision.preproc_tile_size");
    let (scale, tiles) = ("vision.projector.scale_factor", "vision.preproc_max_tiles");
    let longest = "vision.preproc_image_size";
    // The file, the keys that lie, and the key that the error names.
    type Case<'a> = (&'a str, &'a [(&'a str, u32)], &'a str);
    let cases: &[Case<'_>] = &[
        // 4096 x 4096 tiles of patches of one pixel.
        (
            "lfm2",
            &[(patch, 1), (tile, 4096)],
            "preproc_tile_size: gives tiles of 16777216 patches, more than the 16384",
        ),
        ("lfm2", &[(scale, 16), (tile, 256)], "patch_size: gives tiles of 65536 patches"),
        ("lfm2", &[(patch, 256), (image, 256), (tile, 512)], "patch_size: gives pictures of 67108864 pixels"),
        ("lfm2", &[(tile, 2048), (tiles, 64)], "preproc_tile_size: gives pictures of 268435456 pixels"),
        ("internvl", &[(patch, 64), (image, 4096), (tiles, 64)], "image_size: gives pictures of 1073741824 pixels"),
        ("internvl", &[(patch, 1), (image, 256)], "image_size: gives tiles of 65536 patches"),
        (
            "smolvlm",
            &[(patch, 64), (image, 4096), (longest, 32_768)],
            "image_size: gives pictures of 1073741824 pixels",
        ),
        ("smolvlm-old", &[(patch, 64), (image, 4096)], "image_size: gives pictures of 1073741824 pixels"),
        ("llava", &[(patch, 1), (image, 4096)], "image_size: gives tiles of 16777216 patches"),
        ("gemma3", &[(patch, 1), (image, 4096)], "image_size: gives tiles of 16777216 patches"),
        ("qwen2vl", &[(patch, 256), (image, 256)], "image_max_pixels: gives pictures of 1073741824 pixels"),
    ];
    for (name, keys, said) in cases {
        let keys: Vec<(&str, Value)> = keys.iter().map(|(key, value)| (*key, Value::U32(*value))).collect();
        refuses(name, &keys, said, &path);
    }
}

#[test]
fn a_projector_file_that_is_cut_or_changed_anywhere_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let [model, mmproj] = write_pair("smolvlm", folder.path());
    let llm = Llm::open(&model, &LlmOptions { threads: 1 }).unwrap();
    let whole = std::fs::read(&mmproj).unwrap();
    let path = folder.path().join("broken.gguf");
    for length in (0..whole.len()).step_by(whole.len() / 150) {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = open(&path).expect_err("a file that is cut");
        assert!(error.contains("broken.gguf"), "{length}: {error}");
    }
    let head = Gguf::open(&mmproj).unwrap().tensors().values().map(|tensor| tensor.range.start).min().unwrap();
    let (rgb, mut state, mut opened) = (picture(40, 30), 1u32, 0);
    for _ in 0..400 {
        let mut changed = whole.clone();
        for _ in 0..2 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            changed[state as usize % head] ^= 1 << (state >> 29);
        }
        std::fs::write(&path, &changed).unwrap();
        let Ok(tower) = open(&path) else { continue };
        opened += 1;
        let picture = RgbPicture { width: 40, height: 30, rgb: &rgb };
        let _ = tower.read(picture, &llm, None, &mut || ControlFlow::Continue(()));
    }
    assert!(opened > 0, "some changes make no difference to opening");
}

#[test]
fn a_projector_of_another_model_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let [llama, mmproj] = write_pair("smolvlm", folder.path());
    let [_, of_qwen] = write_pair("qwen2vl", folder.path());
    let options = LlmOptions { threads: 1 };
    let llm = Llm::open(&llama, &options).unwrap();
    let said = |path: &Path| open(path).unwrap().check(&llm).unwrap_err().to_string();
    let error = said(&of_qwen);
    assert!(error.contains("qwen2vl-mmproj.gguf") && error.contains("by row and column"), "{error}");
    // A language model without the marks beside pictures: the bundled one.
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/models/talk-nano.gguf");
    let bundled = Llm::open(&bundled, &options).unwrap();
    let error = open(&mmproj).unwrap().check(&bundled).unwrap_err().to_string();
    assert!(error.contains("no token <fake_token_around_image>") && error.contains("comes with the model"), "{error}");
    // One with embeddings of another length.
    let tiny = Llm::open(&nearfield_testdata::vlm::write(folder.path()), &options).unwrap();
    let error = open(&mmproj).unwrap().check(&tiny).unwrap_err().to_string();
    assert!(error.contains("its embeddings have 256 numbers, the language model's 64"), "{error}");
    // The two files in each other's place.
    let error = Llm::open(&mmproj, &options).unwrap_err().to_string();
    assert!(error.contains("this is a projector file (mmproj)") && error.contains("llm.mmproj"), "{error}");
    let error = open(&llama).unwrap_err();
    assert!(error.contains("name the language model with llm.model"), "{error}");
}

#[test]
fn weights_that_are_no_numbers_are_an_error_and_no_picture() {
    let folder = tempfile::tempdir().unwrap();
    let [model, mmproj] = write_pair("smolvlm", folder.path());
    let llm = Llm::open(&model, &LlmOptions { threads: 1 }).unwrap();
    let range = Gguf::open(&mmproj).unwrap().tensor("mm.model.fc.weight").unwrap().range.clone();
    let mut bytes = std::fs::read(&mmproj).unwrap();
    bytes[range.start..range.start + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&mmproj, bytes).unwrap();
    let rgb = picture(40, 30);
    let picture = RgbPicture { width: 40, height: 30, rgb: &rgb };
    let error = open(&mmproj).unwrap().read(picture, &llm, None, &mut || ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("the embeddings of this picture are not finite"), "{error}");
    for (width, height) in [(0, 0), (40, 31), (usize::MAX, 2)] {
        let tower = open(&write_pair("smolvlm", folder.path())[1]).unwrap();
        let picture = RgbPicture { width, height, rgb: &rgb };
        let error = tower.read(picture, &llm, None, &mut || ControlFlow::Continue(())).unwrap_err().to_string();
        assert!(error.contains("can't be made of"), "{error}");
    }
}

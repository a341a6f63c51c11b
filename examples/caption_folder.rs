//! Compares the pictures of a folder in order and describes those that show a new scene: `caption_folder [FOLDER [MODEL.onnx]]`. A
//! manifest, MODEL.toml, stands beside the model.

use std::time::Duration;

use nearfield_examples::argument_or_asset;
use nearfield_onnx::OnnxOptions;
use nearfield_vision::{Gate, GateOptions, Picture, VisionModel, plain_sentence};

fn main() -> anyhow::Result<()> {
    let folder = argument_or_asset(1, "pictures");
    let model = argument_or_asset(2, "models/see-nano.onnx");
    let manifest = toml::from_str(&std::fs::read_to_string(model.with_extension("toml"))?)?;
    let mut vision = VisionModel::open(&model, manifest, &folder, &OnnxOptions::default())?;
    // Each picture counts: none is taken for a flicker that the next one may contradict.
    let mut gate = Gate::new(GateOptions { confirm_pictures: 1, min_interval_ms: 0, ..GateOptions::default() }, None);

    let mut files: Vec<_> = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "jpg" || ending == "png"));
    files.sort();
    for (n, path) in files.iter().enumerate() {
        let now = Duration::from_secs(n as u64);
        let seen = vision.look(&Picture::read(path)?)?;
        let (verdict, cosine) = gate.judge(&seen.embedding, &seen.words, now);
        let text = if verdict.wants_description() {
            gate.described(&seen.embedding, &seen.words, now, false);
            plain_sentence(&seen.words, &seen.objects, &seen.labels)
        } else {
            "(unchanged)".to_owned()
        };
        println!("{}  cosine {cosine:.3}  {text}", path.display());
    }
    Ok(())
}

//! `config.json` and `preprocessor_config.json`, as Hugging Face's transformers write them.

use std::path::Path;

use serde_json::Value;

use crate::VisionError;
use crate::labels::label_of;
use crate::manifest::{Filter, Fit, InputSpec, PixelOrder};

/// The longest such file: ImageNet-21k's labels have 1 MB.
const MAX_BYTES: u64 = 8 << 20;

/// What `config.json` says.
#[derive(Clone, Debug, Default)]
pub(super) struct Config {
    /// The labels by number.
    pub labels: Option<Vec<String>>,
    /// Such as `rt_detr`.
    pub model_type: Option<String>,
}

fn read(path: &Path) -> Result<Value, VisionError> {
    let wrong = |reason: String| VisionError::Beside { path: path.to_owned(), reason };
    let text = nearfield_base::files::read_text(path, MAX_BYTES).map_err(|e| wrong(e.to_string()))?;
    serde_json::from_str(&text).map_err(|e| wrong(format!("it is not JSON: {e}")))
}

impl Config {
    pub(super) fn read(path: Option<&Path>) -> Result<Self, VisionError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let value = read(path)?;
        let labels = value.get("id2label").and_then(Value::as_object).and_then(|by_number| {
            let mut numbered: Vec<(usize, String)> = Vec::new();
            for (number, label) in by_number {
                numbered.push((number.parse().ok()?, label_of(label.as_str()?)));
            }
            let n = numbered.iter().map(|(number, _)| number + 1).max()?;
            // Labels without a name of their own are none; gaps are: COCO's numbers have them.
            let is_named = numbered.iter().any(|(_, label)| !label.starts_with("LABEL_"));
            if !is_named || n > 4 * numbered.len() {
                return None;
            }
            let mut labels = vec![String::new(); n];
            for (number, label) in numbered {
                labels[number] = if label == "N/A" { String::new() } else { label };
            }
            Some(labels)
        });
        let model_type = value.get("model_type").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { labels, model_type })
    }
}

/// What `preprocessor_config.json` says.
#[derive(Clone, Debug)]
pub(super) struct Preprocessing {
    /// Rows and columns of the result.
    pub size: Option<(usize, usize)>,
    fit: Option<Fit>,
    filter: Filter,
    mean: [f32; 3],
    std: [f32; 3],
    channels: PixelOrder,
}

impl Preprocessing {
    pub(super) fn read(path: Option<&Path>) -> Result<Option<Self>, VisionError> {
        let Some(path) = path else { return Ok(None) };
        let value = read(path)?;
        Self::of(&value).map(Some).map_err(|reason| VisionError::Beside { path: path.to_owned(), reason })
    }

    fn of(value: &Value) -> Result<Self, String> {
        let yes = |key: &str, otherwise: bool| value.get(key).and_then(Value::as_bool).unwrap_or(otherwise);
        let side =
            |value: &Value, key: &str| value.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        let both = |value: &Value| Some((side(value, "height")?, side(value, "width")?));
        let number = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
        let three = |key: &str| -> Option<[f32; 3]> {
            let list = value.get(key)?.as_array()?;
            let numbers: Vec<f32> = list.iter().filter_map(Value::as_f64).map(|v| v as f32).collect();
            numbers.try_into().ok()
        };
        let size = value.get("size").unwrap_or(&Value::Null);
        let crop = value.get("crop_size").filter(|_| yes("do_center_crop", value.get("crop_size").is_some()));
        let crop = crop.and_then(|c| both(c).or_else(|| number(c).map(|n| (n, n))));
        let edge = side(size, "shortest_edge").filter(|_| size.get("longest_edge").is_none()).or_else(|| number(size));
        let part_of = |part: f32| (part > 0.0 && part <= 1.0).then_some(Fit::Crop { part });
        let (size, fit) = if !yes("do_resize", true) {
            (None, None)
        } else if let (Some(edge), Some(crop)) = (edge, crop) {
            (Some(crop), part_of(crop.0 as f32 / edge as f32))
        } else if let (Some(edge), Some(part)) = (edge, value.get("crop_pct").and_then(Value::as_f64)) {
            (Some((edge, edge)), part_of(part as f32))
        } else if let (Some(size), None) = (both(size), crop) {
            (Some(size), Some(Fit::Stretch))
        } else if let (Some(edge), None, true) = (edge, crop, size.is_u64()) {
            // Old files of ViT and its like: one number is both sides.
            (Some((edge, edge)), Some(Fit::Stretch))
        } else {
            (None, None)
        };
        let factor = value.get("rescale_factor").and_then(Value::as_f64).unwrap_or(1.0 / 255.0);
        if yes("do_rescale", true) && (factor * 255.0 - 1.0).abs() > 1e-3 || yes("rescale_offset", false) {
            return Err("its rescale_factor is not 1/255: write a manifest instead".to_owned());
        }
        let (mut mean, mut std) = ([0.0; 3], [1.0; 3]);
        if yes("do_normalize", true) && value.get("image_mean").is_some() {
            mean = three("image_mean").ok_or("image_mean is not three numbers")?;
            std = three("image_std").ok_or("image_std is not three numbers")?;
        }
        if !yes("do_rescale", true) {
            // Pixels stay as they are: the manifest's begin as parts of 255.
            (mean, std) = (mean.map(|v| v / 255.0), std.map(|v| v / 255.0));
        }
        let processor = value.get("image_processor_type").and_then(Value::as_str).unwrap_or_default();
        if processor.starts_with("EfficientNet") && yes("include_top", true) {
            // Transformers divides by the deviation once more for models with their classifier.
            std = std.map(|v| v * v);
        }
        let filter =
            if value.get("resample").and_then(Value::as_u64) == Some(3) { Filter::Bicubic } else { Filter::Bilinear };
        let channels = if yes("do_flip_channel_order", false) { PixelOrder::Bgr } else { PixelOrder::Rgb };
        Ok(Self { size, fit, filter, mean, std, channels })
    }

    /// `input` as it says; `None` where it can't be told how a picture is made to fit.
    pub(super) fn applied(&self, input: InputSpec) -> Option<InputSpec> {
        let (mean, std, channels, filter) = (self.mean, self.std, self.channels, self.filter);
        Some(InputSpec { fit: self.fit?, mean, std, channels, filter, ..input })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Preprocessing {
        Preprocessing::of(&serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn sizes_crops_and_scales_are_read_in_all_their_forms() {
        let clip = r#"{"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "do_center_crop": true,
            "resample": 3, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}"#;
        let p = of(clip);
        assert_eq!((p.size, p.fit, p.filter), (Some((224, 224)), Some(Fit::Crop { part: 0.875 }), Filter::Bicubic));
        assert_eq!((p.mean, p.std), ([0.5; 3], [0.25; 3]));
        let p = of(
            r#"{"size": {"height": 640, "width": 480}, "do_normalize": false, "image_mean": [1, 1, 1], "image_std": [2, 2, 2]}"#,
        );
        assert_eq!((p.size, p.fit, p.mean, p.std), (Some((640, 480)), Some(Fit::Stretch), [0.0; 3], [1.0; 3]));
        assert_eq!(of(r#"{"size": 224}"#).fit, Some(Fit::Stretch));
        assert_eq!(of(r#"{"size": {"shortest_edge": 224}, "crop_pct": 0.875}"#).fit, Some(Fit::Crop { part: 0.875 }));
        // Of any size: nothing that one tensor could be.
        assert_eq!(of(r#"{"size": {"shortest_edge": 800, "longest_edge": 1333}}"#).fit, None);
        assert_eq!(of(r#"{"size": 224, "do_flip_channel_order": true}"#).channels, PixelOrder::Bgr);
        let bytes =
            of(r#"{"size": 224, "do_rescale": false, "image_mean": [127.5, 127.5, 127.5], "image_std": [51, 51, 51]}"#);
        assert_eq!((bytes.mean, bytes.std), ([0.5; 3], [0.2; 3]));
        for wrong in [r#"{"size": 224, "rescale_factor": 1}"#, r#"{"size": 224, "image_mean": [1]}"#] {
            assert!(Preprocessing::of(&serde_json::from_str(wrong).unwrap()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn labels_are_read_by_number_and_names_that_are_none_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let labels = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Config::read(Some(&path)).unwrap().labels
        };
        let found = labels(r#"{"id2label": {"1": "tench, Tinca tinca", "0": "background", "3": "N/A"}}"#).unwrap();
        assert_eq!(found, ["background", "tench", "", ""]);
        assert_eq!(labels(r#"{"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}"#), None);
        assert_eq!(labels(r#"{"id2label": {"4000000000": "x"}}"#), None, "nothing of that length is allocated");
        assert_eq!(labels("{}"), None);
        std::fs::write(&path, "{").unwrap();
        assert!(Config::read(Some(&path)).unwrap_err().to_string().contains("config.json"));
    }
}

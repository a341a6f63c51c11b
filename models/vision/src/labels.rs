//! Labels: those that a manifest has in it, those of a file, and the lists that nearly every published model uses.

use std::path::{Path, PathBuf};

use super::VisionError;
use super::manifest::Labels;

/// The longest file of labels.
const MAX_LABELS_BYTES: u64 = 4 << 20;

/// The lists that Nearfield has, by name.
const LISTS: [(&str, &str); 4] = [
    ("coco", include_str!("labels/coco.txt")),
    ("coco-91", include_str!("labels/coco-91.txt")),
    ("voc", include_str!("labels/voc.txt")),
    ("imagenet", include_str!("labels/imagenet.txt")),
];

/// How many labels a list of this name has; `None` where there is none.
pub(super) fn length_of(name: &str) -> Option<usize> {
    LISTS.iter().find(|(list, _)| *list == name).map(|(_, text)| text.lines().count())
}

/// The labels, with those files searched in `folder` and beside the model.
pub(super) fn read_labels(labels: &Labels, folder: &Path, model: &Path) -> Result<Vec<String>, VisionError> {
    let name = match labels {
        Labels::List(list) if list.iter().all(String::is_empty) => {
            return Err(VisionError::Manifest { path: model.to_owned(), reason: "labels is empty".to_owned() });
        }
        Labels::List(list) => return Ok(list.clone()),
        Labels::Named(name) => name,
    };
    let path = beside(folder, model, Path::new(name));
    if !path.exists()
        && let Some((_, text)) = LISTS.iter().find(|(list, _)| list == name)
    {
        return Ok(text.lines().map(str::to_owned).collect());
    }
    let wrong = |reason: String| VisionError::Labels { path: path.clone(), reason };
    let text = nearfield_base::files::read_text(&path, MAX_LABELS_BYTES).map_err(|e| {
        let lists = LISTS.map(|(list, _)| list).join(", ");
        wrong(format!("{e}; `labels` is a file, one of the lists {lists}, or the labels themselves in brackets"))
    })?;
    let labels: Vec<String> = text.lines().map(label_of).collect();
    if labels.is_empty() {
        return Err(wrong("it is empty".to_owned()));
    }
    Ok(labels)
}

/// A file that the manifest names: beside the manifest, else beside the model.
fn beside(folder: &Path, model: &Path, file: &Path) -> PathBuf {
    let first = folder.join(file);
    if first.exists() { first } else { model.parent().unwrap_or(Path::new("")).join(file) }
}

/// One line. `n01440764 tench, Tinca tinca` (ImageNet) becomes `tench`.
pub(super) fn label_of(line: &str) -> String {
    let line = line.trim();
    let is_synset =
        |word: &str| word.len() == 9 && word.starts_with('n') && word[1..].bytes().all(|b| b.is_ascii_digit());
    let names = match line.split_once(' ') {
        Some((first, rest)) if is_synset(first) => rest,
        _ => line,
    };
    names.split(',').next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_loses_its_number_and_its_other_names() {
        assert_eq!(label_of("n01440764 tench, Tinca tinca"), "tench");
        assert_eq!(label_of("traffic light"), "traffic light");
        assert_eq!(label_of("n0144 odd"), "n0144 odd");
    }

    #[test]
    fn the_lists_are_as_long_as_their_models_outputs_and_in_their_order() {
        let of = |name: &str| {
            read_labels(&Labels::Named(name.to_owned()), Path::new("/nowhere"), Path::new("/x/m.onnx")).unwrap()
        };
        let (coco, by_number) = (of("coco"), of("coco-91"));
        assert_eq!(
            (coco.len(), coco[0].as_str(), coco[39].as_str(), coco[79].as_str()),
            (80, "person", "bottle", "toothbrush")
        );
        assert_eq!(
            (by_number.len(), by_number[0].as_str(), by_number[1].as_str(), by_number[90].as_str()),
            (91, "", "person", "toothbrush")
        );
        assert_eq!((of("voc").len(), of("imagenet").len(), of("imagenet")[281].as_str()), (20, 1000, "tabby"));
        assert_eq!(length_of("imagenet"), Some(1000));
        let missing = read_labels(&Labels::Named("mine.txt".to_owned()), Path::new("/nowhere"), Path::new("/x/m.onnx"));
        let said = missing.unwrap_err().to_string();
        assert!(said.contains("mine.txt") && said.contains("coco-91"), "{said}");
    }
}

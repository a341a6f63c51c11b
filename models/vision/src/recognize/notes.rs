//! The notes that exporters leave in ONNX files: Ultralytics' names, task and size, PaddleDetection's list of labels.

use nearfield_onnx::OnnxModel;

/// More labels than any published model has; ImageNet-21k has 21,841.
const MOST_LABELS: usize = 100_000;

/// What the notes say.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    /// The labels by number.
    pub names: Option<Vec<String>>,
    /// Rows and columns of the input.
    pub size: Option<(usize, usize)>,
    /// `detect`, `classify`, ...
    pub task: Option<String>,
    /// Whether Ultralytics wrote them.
    pub is_ultralytics: bool,
    /// Whether it is an RT-DETR.
    pub is_rtdetr: bool,
    /// Whether RT-DETR's labels are numbers, as newer versions have it.
    pub has_head: bool,
    /// Numbers a box beyond its scores: masks' coefficients, keypoints.
    pub more: usize,
    /// The version of the exporter: its first two numbers.
    pub version: Option<(u32, u32)>,
}

impl Notes {
    pub(super) fn of(onnx: &OnnxModel) -> Self {
        let note = |key: &str| onnx.note(key);
        let names = note("names").and_then(|text| names(&text)).or_else(|| {
            let lines: Vec<String> = note("character")?.lines().map(|l| l.trim().to_owned()).collect();
            (!lines.is_empty() && lines.len() <= MOST_LABELS).then_some(lines)
        });
        let numbers = |text: String| -> Vec<usize> {
            text.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect()
        };
        let size = note("imgsz").map(numbers).and_then(|n| match n[..] {
            [side] => Some((side, side)),
            [rows, columns] => Some((rows, columns)),
            _ => None,
        });
        let task = note("task");
        let head = note("head");
        let description = note("description").unwrap_or_default().to_lowercase();
        let more = match task.as_deref() {
            Some("segment") => 32,
            Some("pose") => note("kpt_shape")
                .map(numbers)
                .and_then(|n| n.iter().copied().reduce(|a, b| a.saturating_mul(b)))
                .unwrap_or(51),
            _ => 0,
        };
        let version = note("version").and_then(|v| {
            let mut parts = v.split('.').map(|p| p.parse().ok());
            Some((parts.next()??, parts.next()??))
        });
        Self {
            is_ultralytics: names.is_some() && note("stride").is_some(),
            is_rtdetr: head.as_deref() == Some("RTDETRDecoder")
                || description.contains("rt-detr")
                || description.contains("rtdetr"),
            has_head: head.is_some(),
            names,
            size,
            task,
            more,
            version,
        }
    }

    /// What the model is made for, where nothing of it can be used.
    pub(super) fn unread_task(&self) -> Option<&'static str> {
        match self.task.as_deref()? {
            "obb" => Some("boxes at any angle"),
            "semantic" | "depth" => Some("areas, not objects"),
            _ => None,
        }
    }
}

/// The labels of a Python dictionary `{0: 'person', 1: "driver's seat"}` or list `['person', ...]`; `None` where it is neither, or the
/// numbers do not count from 0.
fn names(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim();
    let is_dictionary = rest.starts_with('{');
    rest = rest.strip_prefix(['{', '['])?.trim_start();
    let mut found = Vec::new();
    while !rest.starts_with(['}', ']']) {
        if is_dictionary {
            let (number, after) = rest.split_once(':')?;
            if number.trim().parse() != Ok(found.len()) {
                return None;
            }
            rest = after.trim_start();
        }
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let mut name = String::new();
        let mut characters = rest[1..].char_indices();
        let end = loop {
            match characters.next()? {
                (at, c) if c == quote => break at,
                (_, '\\') => name.push(characters.next()?.1),
                (_, c) => name.push(c),
            }
        };
        found.push(name);
        if found.len() > MOST_LABELS {
            return None;
        }
        rest = rest[1 + end + 1..].trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_python_s_own_notation_and_nothing_else_is() {
        assert_eq!(
            names("{0: 'person', 1: \"driver's seat\", 2: 'it\\'s'}").unwrap(),
            ["person", "driver's seat", "it's"]
        );
        assert_eq!(names("['a, b', 'c']").unwrap(), ["a, b", "c"]);
        for wrong in
            ["", "{}", "{1: 'a'}", "{0: 'a', 2: 'b'}", "{0: 'a", "{0: a}", "[]", "person", "{0 'a'}", "{0: 'a\\"]
        {
            assert_eq!(names(wrong), None, "{wrong}");
        }
    }
}

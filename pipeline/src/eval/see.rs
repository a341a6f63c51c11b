//! `see-nano` on its held-out pictures: what it says of each scene, word by word and group by group, and whether its embedding
//! keeps a scene in other weather apart from a changed one.

use anyhow::{Context, ensure};
use nearfield_vision::{JpegSplitter, Picture, VisionModel, VisionResult, cosine};
use serde::Deserialize;
use serde_json::json;

use super::{MAX_FILE_BYTES, Run, Score, Tally, WORST};
use crate::config::caption::CaptionConfig;
use crate::hub::registry::Registry;
use crate::load::caption::load_vision;

const MODEL: &str = "see-nano";
/// The pictures of a row: the scene, the same in other weather, and changed.
const PICTURES: usize = 3;
/// The words of a picture: its light, then four groups of number, colour, kind and place.
const SLOTS: usize = 17;
/// What stands where there is no group.
const NOTHING: &str = "nothing";

/// A scene.
#[derive(Deserialize)]
struct Row {
    words: Vec<String>,
    /// What is otherwise in its third picture.
    change: String,
}

/// Looks at all pictures, and scores words, groups and embeddings.
pub(super) fn score(
    run: &Run<'_>,
    registry: &Registry,
    show: &mut dyn FnMut(Score) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut config = CaptionConfig::default();
    config.vision.model = MODEL.to_owned();
    let mut model = load_vision(&config, registry)?;
    let rows: Vec<Row> = run.rows("see/see-heldout.jsonl")?;
    let pictures = pictures(run)?;
    ensure!(
        pictures.len() == PICTURES * rows.len() && rows.iter().all(|row| row.words.len() == SLOTS),
        "the held-out pictures do not fit their rows: {} pictures, {} rows of {SLOTS} words",
        pictures.len(),
        rows.len()
    );
    let rows = &rows[..rows.len().min(run.limit)];
    run.begin(MODEL, rows.len());
    let (mut tally, mut worst) = (Tally::default(), Vec::new());
    let (mut found, mut due, mut said_groups, mut colours) = (0, 0, 0, (0, 0u32));
    let mut same = Vec::new(); // similarities of a scene in two weathers
    let mut changes: Vec<(&str, f32)> = Vec::new();
    for (row, pictures) in rows.iter().zip(pictures.chunks_exact(PICTURES)) {
        let looks: Vec<VisionResult> = pictures
            .iter()
            .map(|jpeg| Ok(model.look(&Picture::decode(jpeg, "a held-out picture")?)?))
            .collect::<anyhow::Result<_>>()?;
        let said = words(&looks[0], &model)?;
        let things = row.words[1..].chunks_exact(4).filter(|group| group[2] != NOTHING).count();
        tally.count(&format!("{things} groups"), said == row.words);
        let (mut said_all, due_all) = (groups(&said), groups(&row.words));
        due += due_all.len();
        said_groups += said_all.len();
        let mut missed = 0;
        for group in &due_all {
            match said_all.iter().position(|said| said.1 == group.1) {
                Some(at) => {
                    let other = said_all.swap_remove(at);
                    found += 1;
                    colours.0 += usize::from(other.0 == group.0);
                    colours.1 += 1;
                }
                None => missed += 1,
            }
        }
        same.push(cosine(&looks[0].embedding, &looks[1].embedding));
        changes.push((&row.change, cosine(&looks[0].embedding, &looks[2].embedding)));
        if missed + said_all.len() > 0 {
            let wrong = json!({"expected": row.words.join(" "), "said": said.join(" ")});
            worst.push((missed + said_all.len(), wrong));
        }
        run.row_done()?;
    }
    worst.sort_by_key(|(wrong, _)| std::cmp::Reverse(*wrong));
    let precise = |x: f64| json!((1000.0 * x).round() / 1000.0);
    let f1 = 2.0 * found as f64 / ((due + said_groups) as f64).max(1.0);
    let of_kinds = |kinds: &[&str]| -> Vec<f32> {
        changes.iter().filter(|(change, _)| kinds.contains(change)).map(|(_, similarity)| *similarity).collect()
    };
    let figures = vec![
        ("f1_of_number_kind_and_place", precise(f1)),
        ("colour_right_in_these", precise(colours.0 as f64 / f64::from(colours.1.max(1)))),
        ("auc_of_the_cosine_for_what_came_went_or_moved", precise(area(&same, &of_kinds(&["come", "gone", "moved"])))),
        ("auc_for_one_more_or_fewer", precise(area(&same, &of_kinds(&["counted"])))),
    ];
    show(Score {
        model: MODEL,
        set: "scenes".to_owned(),
        measure: "all 17 words right",
        right: tally.right(),
        rows: tally.rows(),
        figures,
        kinds: tally.weakest_first(),
        worst: worst.into_iter().take(WORST).map(|(_, wrong)| wrong).collect(),
        left_out: Vec::new(),
    })
}

/// The pictures of all rows, one after the other.
fn pictures(run: &Run<'_>) -> anyhow::Result<Vec<Vec<u8>>> {
    let path = run.data.join("see/see-heldout.mjpeg");
    let bytes = nearfield_base::files::read(&path, MAX_FILE_BYTES)
        .with_context(|| format!("the held-out pictures {} can't be read", path.display()))?;
    let mut pictures = Vec::new();
    JpegSplitter::default().push(&bytes, &mut |jpeg| pictures.push(jpeg));
    Ok(pictures)
}

/// The likeliest word of each slot.
fn words(sight: &VisionResult, model: &VisionModel) -> anyhow::Result<Vec<String>> {
    let slots = sight.slots.as_ref().context("see-nano gave no slots")?;
    slots
        .best()
        .map(|(word, _)| {
            Ok(model.words().get(word).context("see-nano gave a slot more words than its manifest has")?.clone())
        })
        .collect()
}

/// The groups of a picture: colour, and (number, kind, place).
fn groups(words: &[String]) -> Vec<(&str, [&str; 3])> {
    words[1..]
        .chunks_exact(4)
        .filter(|four| four[2] != NOTHING)
        .map(|four| (four[1].as_str(), [four[0].as_str(), four[2].as_str(), four[3].as_str()]))
        .collect()
}

/// How often a similarity of the first kind is larger than one of the second, ties counted half: the area under the curve of
/// true over false positives.
fn area(same: &[f32], changed: &[f32]) -> f64 {
    let pairs = same.iter().flat_map(|s| changed.iter().map(move |c| (s, c)));
    let (sum, count) = pairs.fold((0.0, 0u32), |(sum, count), (s, c)| {
        let won = match s.total_cmp(c) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        };
        (sum + won, count + 1)
    });
    sum / f64::from(count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_is_the_share_of_pairs_in_the_right_order() {
        assert_eq!(area(&[0.9, 0.8], &[0.1, 0.2]), 1.0);
        assert_eq!(area(&[0.9, 0.1], &[0.5, 0.5]), 0.5);
        assert_eq!(area(&[0.5], &[0.5]), 0.5);
    }

    #[test]
    fn an_empty_group_is_no_group() {
        let mut words = vec!["day".to_owned()];
        words.extend(["two", "red", "car", "left", "nothing", "nothing", "nothing", "nothing"].map(str::to_owned));
        assert_eq!(groups(&words), [("red", ["two", "car", "left"])]);
    }
}

//! What stands around the embeddings of a picture in a prompt, as each model was trained to see it.

use super::preprocess::Tiles;
use super::resize::Pixels;
use super::shape::Projector;
use super::{PicturePrompt, PictureSpan, VisionTower};
use crate::{Llm, LlmError, TokenId, Tokenizer};

/// The marks around pictures of a projector; empty where there are none.
fn ends(projector: Projector) -> (&'static str, &'static str) {
    match projector {
        Projector::Idefics3 | Projector::Llava => ("", ""),
        Projector::Gemma3 => ("<start_of_image>", "<end_of_image>"),
        Projector::InternVl => ("<img>", "</img>"),
        Projector::Qwen2Vl | Projector::Qwen25Vl => ("<|vision_start|>", "<|vision_end|>"),
        Projector::Lfm2 => ("<|image_start|>", "<|image_end|>"),
    }
}

/// Holds the marks to the vocabulary: as plain text they would mean nothing to a model.
pub(super) fn check(tower: &VisionTower, llm: &Llm) -> Result<(), LlmError> {
    let tokenizer = llm.tokenizer()?;
    let (begin, end) = match tower.shape.projector {
        Projector::Idefics3 => ("<fake_token_around_image>", "<global-img>"),
        other => ends(other),
    };
    match [begin, end].into_iter().find(|mark| !mark.is_empty() && tokenizer.special(mark).is_none()) {
        None => Ok(()),
        Some(mark) => Err(LlmError::Projector {
            path: tower.gguf.path().to_owned(),
            model: llm.info().name.clone(),
            what: format!("the language model has no token {mark}, which stands beside pictures"),
        }),
    }
}

/// The tiles in the order of the prompt.
pub(super) fn in_order(tiles: &Tiles) -> Vec<&Pixels> {
    tiles.grid.iter().chain([&tiles.whole]).collect()
}

/// The prompt of a picture, without its rows.
pub(super) fn around(tower: &VisionTower, tokenizer: &Tokenizer, tiles: &Tiles) -> PicturePrompt {
    let mut prompt = PicturePrompt::default();
    let projector = tower.shape.projector;
    let text = |prompt: &mut PicturePrompt, text: &str| prompt.tokens.extend(tokenizer.encode(text, true));
    let tile = |prompt: &mut PicturePrompt, tile: &Pixels| {
        let len = tower.shape.embeddings(tile.width, tile.height);
        let columns = projector.is_qwen().then(|| tile.width / tower.shape.patch_size / tower.shape.merge);
        prompt.tokens.extend(std::iter::repeat_n(TokenId::EMBEDDING, len));
        prompt.spans.push(PictureSpan { len, columns, is_whole: projector == Projector::Gemma3 });
    };
    let (begin, end) = ends(projector);
    text(&mut prompt, begin);
    for (index, of_grid) in tiles.grid.iter().enumerate() {
        let (row, column) = (index / tiles.columns, index % tiles.columns);
        match projector {
            Projector::Idefics3 => {
                if column == 0 && row > 0 {
                    text(&mut prompt, "\n");
                }
                let place = format!("<fake_token_around_image><row_{}_col_{}>", row + 1, column + 1);
                text(&mut prompt, &place);
            }
            Projector::Lfm2 => text(&mut prompt, &format!("<|img_row_{}_col_{}|>", row + 1, column + 1)),
            _ => {}
        }
        tile(&mut prompt, of_grid);
    }
    match projector {
        Projector::Idefics3 => {
            if !tiles.grid.is_empty() {
                text(&mut prompt, "\n\n");
            }
            text(&mut prompt, "<fake_token_around_image><global-img>");
        }
        Projector::Lfm2 if !tiles.grid.is_empty() => text(&mut prompt, "<|img_thumbnail|>"),
        _ => {}
    }
    tile(&mut prompt, &tiles.whole);
    if projector == Projector::Idefics3 {
        text(&mut prompt, "<fake_token_around_image>");
    }
    text(&mut prompt, end);
    prompt
}

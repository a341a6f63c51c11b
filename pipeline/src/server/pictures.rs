//! Pictures that clients send: read out of requests as data (never fetched from anywhere), and put into prompts as embeddings of the
//! language model's own projector. What was made of the newest ones is kept, since clients send whole conversations each time.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use nearfield_llm::{PicturePrompt, RgbPicture, TokenId, VisionTower};
use nearfield_stages::flow::Cancel;
use nearfield_stages::llm_thread::{Extras, LlmThread};
use nearfield_vision::Picture;
use serde_json::Value;

use super::failure::Failure;

/// Stands for a picture in a message until the prompt is made; a character of the private use area, which texts lose.
pub const MARK: char = '\u{F8FF}';
/// The most pictures of a request.
const MOST_PICTURES: usize = 16;
/// Pictures whose embeddings are kept.
const REMEMBERED: usize = 8;

/// The pictures of a conversation, in the order of their marks.
#[derive(Clone, Debug, Default)]
pub struct Pictures(Vec<Arc<Picture>>);

/// What a language model without a projector answers.
pub fn none_seen(at: &str) -> Failure {
    Failure::of(at, "has a picture, and this model sees none: it has no projector (llm.mmproj)")
}

impl Pictures {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a picture: a `data:` URL, an object with one as `url`, or plain base64.
    ///
    /// # Errors
    /// There are too many, or it is none of these, or no picture.
    pub fn take(&mut self, value: &Value, at: &str) -> Result<(), Failure> {
        if self.0.len() == MOST_PICTURES {
            return Err(Failure::of(at, format!("is a picture more than the {MOST_PICTURES} that are taken")));
        }
        let text = value.as_str().or_else(|| value["url"].as_str());
        let text = text.ok_or_else(|| Failure::of(at, "has a picture without data"))?;
        let encoded = match text.strip_prefix("data:") {
            Some(rest) => rest
                .split_once(";base64,")
                .map(|(_, encoded)| encoded)
                .ok_or_else(|| Failure::of(at, "has a data: URL without base64"))?,
            None if text.contains("://") => {
                let message = "has a picture's address, and nothing is fetched: send it as a data: URL with base64";
                return Err(Failure::of(at, message));
            }
            None => text,
        };
        let bytes = BASE64.decode(encoded.trim());
        let bytes = bytes.map_err(|error| Failure::of(at, format!("the picture is no base64: {error}")))?;
        let picture = Picture::decode(&bytes, "the picture").map_err(|error| Failure::of(at, error))?;
        self.0.push(Arc::new(picture));
        Ok(())
    }
}

/// The eyes of a language model.
pub struct Sight {
    tower: Arc<VisionTower>,
    /// The newest last.
    read: Mutex<Vec<(Arc<Picture>, Arc<PicturePrompt>)>>,
}

impl Sight {
    /// Over this projector.
    pub fn new(tower: Arc<VisionTower>) -> Self {
        Self { tower, read: Mutex::default() }
    }

    /// The tokens and embeddings of a rendered conversation, whose marks are the last of these pictures.
    ///
    /// # Errors
    /// The marks are not as many, a picture can't be read, or nobody waits any more.
    pub fn prompt(
        &self,
        text: &str,
        pictures: &Pictures,
        llm: &LlmThread,
        cancel: &Cancel,
    ) -> Result<(Vec<TokenId>, Extras), Failure> {
        let tokenizer = llm.llm().tokenizer()?;
        let marks = text.matches(MARK).count();
        let Some(first) = pictures.0.len().checked_sub(marks) else {
            return Err(Failure::of("messages", "the model's template repeats or drops the places of pictures"));
        };
        let mut parts = text.split(MARK);
        let head = parts.next().unwrap_or_default();
        let mut tokens = if head.is_empty() { Vec::new() } else { tokenizer.encode_prompt(head) };
        let mut extras = Extras::default();
        for (picture, text) in pictures.0[first..].iter().zip(parts) {
            let read = self.read(picture, llm, cancel)?;
            tokens.extend_from_slice(&read.tokens);
            extras.rows.extend_from_slice(&read.rows);
            extras.spans.extend_from_slice(&read.spans);
            tokens.extend(tokenizer.encode(text, true));
        }
        Ok((tokens, extras))
    }

    fn read(&self, picture: &Arc<Picture>, llm: &LlmThread, cancel: &Cancel) -> Result<Arc<PicturePrompt>, Failure> {
        let known = |kept: &[(Arc<Picture>, Arc<PicturePrompt>)]| {
            kept.iter().find(|(known, _)| known == picture).map(|(_, read)| read.clone())
        };
        if let Some(read) = known(&self.read.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(read);
        }
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let rgb = RgbPicture { width, height, rgb: picture.rgb() };
        let mut go_on = || match cancel.is_cancelled() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let read = self.tower.read(rgb, llm.llm(), None, &mut go_on)?;
        let read = Arc::new(read.ok_or_else(|| Failure::broken("nobody waits for the answer any more"))?);
        let mut kept = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == REMEMBERED {
            kept.remove(0);
        }
        kept.push((picture.clone(), read.clone()));
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pictures_come_as_data_and_nothing_else() {
        let picture = Picture::from_rgb(2, 1, vec![255, 0, 0, 0, 0, 255], "two").unwrap();
        let jpeg = BASE64.encode(nearfield_vision::encode_jpeg(&picture, 90).unwrap());
        let mut pictures = Pictures::default();
        for value in [
            json!(jpeg),
            json!(format!("data:image/jpeg;base64,{jpeg}")),
            json!({"url": format!("data:;base64,{jpeg}")}),
        ] {
            pictures.take(&value, "messages[0]").unwrap();
        }
        assert_eq!(pictures.0.len(), 3);
        for (value, said) in [
            (json!({"url": "https://example.org/cat.jpg"}), "nothing is fetched"),
            (json!("%%%"), "no base64"),
            (json!(BASE64.encode(b"no picture")), "the picture"),
            (json!({"detail": "low"}), "without data"),
            (json!("data:image/png,abc"), "without base64"),
        ] {
            let failure = pictures.take(&value, "messages[0]").unwrap_err();
            assert!(failure.message.contains(said) && failure.message.contains("messages[0]"), "{}", failure.message);
        }
    }
}

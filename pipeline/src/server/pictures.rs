//! Pictures that clients send: read out of requests as data (never fetched from anywhere), and put into prompts as embeddings of the
//! language model's own projector. They are unpacked where answers are computed, one at a time, and not before there is room for the
//! answer. The newest embeddings are kept, since clients send whole conversations each time.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use nearfield_llm::{Message, PicturePrompt, RgbPicture, Role, TokenId, VisionTower};
use nearfield_stages::flow::Cancel;
use nearfield_stages::llm_thread::{Extras, LlmThread};
use nearfield_vision::{MAX_PICTURE_BYTES, Picture};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::failure::Failure;

/// Stands for a picture in a message until the prompt is made; a character of the private use area, which texts lose.
pub const MARK: char = '\u{F8FF}';
/// The most pictures of a request.
const MOST_PICTURES: usize = 16;
/// Pictures whose embeddings are kept: those of two requests, so that the pictures of one never replace each other.
const REMEMBERED: usize = 2 * MOST_PICTURES;
/// The most bytes of kept embeddings, beside those of the newest picture.
const REMEMBERED_BYTES: usize = 256 << 20;

/// The pictures of a conversation, in the order of their marks.
#[derive(Clone, Debug, Default)]
pub struct Pictures(Vec<Arc<Packed>>);

/// A picture file as it came.
#[derive(Debug)]
struct Packed {
    bytes: Vec<u8>,
    /// The part of the request that it is in.
    at: String,
    key: OnceLock<[u8; 32]>,
}

impl Packed {
    /// The hash of the file.
    fn key(&self) -> [u8; 32] {
        *self.key.get_or_init(|| Sha256::digest(&self.bytes).into())
    }
}

/// Where the pictures of a content go.
#[derive(Debug)]
pub enum PicturePlace<'a> {
    /// Into the prompt.
    Prompt(&'a mut Pictures),
    /// Nowhere: the model has no projector.
    NoProjector,
    /// Nowhere: the content is no user's.
    NotOfUser,
}

impl<'a> PicturePlace<'a> {
    /// For the message of a user.
    pub fn of_user(has_projector: bool, pictures: &'a mut Pictures) -> Self {
        if has_projector { PicturePlace::Prompt(pictures) } else { PicturePlace::NoProjector }
    }

    /// Takes a picture, and gives the mark that stands for it; see [`Pictures::take`].
    ///
    /// # Errors
    /// There is no place for it, or it is none.
    pub fn take(&mut self, value: &Value, at: &str) -> Result<char, Failure> {
        match self {
            PicturePlace::Prompt(pictures) => pictures.take(value, at).map(|()| MARK),
            PicturePlace::NoProjector => {
                Err(Failure::of(at, "has a picture, but this model takes none: it has no projector (llm.mmproj)"))
            }
            PicturePlace::NotOfUser => {
                let message =
                    "has a picture, but only messages with the role \"user\" may have pictures: move it to one";
                Err(Failure::of(at, message))
            }
        }
    }
}

impl Pictures {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a picture: a `data:` URL, an object with one as `url`, or plain base64. It is not unpacked yet.
    ///
    /// # Errors
    /// There are too many, or it is none of these, or too large.
    fn take(&mut self, value: &Value, at: &str) -> Result<(), Failure> {
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
        let encoded = encoded.trim();
        // Four letters of base64 are three bytes.
        if encoded.len().div_ceil(4) * 3 > MAX_PICTURE_BYTES + 3 {
            let message = format!("the picture has more than {MAX_PICTURE_BYTES} bytes: send a smaller one");
            return Err(Failure::of(at, message));
        }
        let bytes = BASE64.decode(encoded);
        let bytes = bytes.map_err(|error| Failure::of(at, format!("the picture is no base64: {error}")))?;
        self.0.push(Arc::new(Packed { bytes, at: at.to_owned(), key: OnceLock::new() }));
        Ok(())
    }

    /// Takes [`MARK`] out of all messages that can have no pictures: those of others than users, and every one where there are none.
    ///
    /// # Errors
    /// The messages of users have other marks than those of their pictures.
    pub fn check_marks(&self, messages: &mut [Message]) -> Result<(), Failure> {
        let mut marks = 0;
        for message in messages {
            if message.role == Role::User && !self.is_empty() {
                marks += message.content.matches(MARK).count();
            } else if message.content.contains(MARK) {
                message.content = message.content.replace(MARK, "");
            }
        }
        match marks == self.0.len() {
            true => Ok(()),
            false => Err(Failure::of("messages", "have the character U+F8FF beside pictures: leave it out")),
        }
    }
}

/// Encodes pictures for prompts.
pub struct PictureReader {
    tower: Arc<VisionTower>,
    kept: Mutex<Kept>,
}

/// How long a prompt with pictures may become, and when its encoding ends without one.
#[derive(Clone, Copy, Debug)]
pub struct PictureLimits<'a> {
    /// The tokens of the context: half of them are for pictures.
    pub context_tokens: usize,
    /// When the answer is due.
    pub deadline: Instant,
    /// When nobody waits for it.
    pub cancel: &'a Cancel,
}

impl PictureLimits<'_> {
    /// The most embeddings of each of so many pictures: an equal share of half the context. The number is rounded up to a power of two, so
    /// that one more picture seldom changes those before it.
    fn budget(&self, pictures: usize) -> usize {
        (self.context_tokens / 2 / pictures.max(1).next_power_of_two()).max(1)
    }

    /// Why encoding must end.
    fn end(&self) -> Option<Failure> {
        if self.cancel.is_cancelled() {
            return Some(Failure::broken("nobody waits for the answer any more"));
        }
        let message = "the pictures were not encoded within the time of an answer (server.most_seconds): send fewer or smaller ones";
        (Instant::now() >= self.deadline).then(|| Failure::busy(message))
    }
}

impl PictureReader {
    /// Over this projector.
    pub fn new(tower: Arc<VisionTower>) -> Self {
        Self { tower, kept: Mutex::default() }
    }

    /// The tokens and embeddings of a rendered conversation, whose marks are the last of these pictures.
    ///
    /// # Errors
    /// The marks are not as many, a picture can't be read, the time is up, or nobody waits any more.
    pub fn prompt(
        &self,
        text: &str,
        pictures: &Pictures,
        llm: &LlmThread,
        limits: PictureLimits<'_>,
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
        // Of all pictures, those of forgotten messages too: the others stay as they are when messages are forgotten.
        let budget = limits.budget(pictures.0.len());
        for (picture, text) in pictures.0[first..].iter().zip(parts) {
            let read = self.read(picture, budget, llm, limits)?;
            tokens.extend_from_slice(&read.tokens);
            extras.rows.extend_from_slice(&read.rows);
            extras.spans.extend_from_slice(&read.spans);
            tokens.extend(tokenizer.encode(text, true));
        }
        Ok((tokens, extras))
    }

    fn read(
        &self,
        packed: &Packed,
        budget: usize,
        llm: &LlmThread,
        limits: PictureLimits<'_>,
    ) -> Result<Arc<PicturePrompt>, Failure> {
        let key = packed.key();
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = kept().find(&key, budget) {
            return Ok(read);
        }
        if let Some(end) = limits.end() {
            return Err(end);
        }
        let picture = Picture::decode(&packed.bytes, "the picture").map_err(|error| Failure::of(&packed.at, error))?;
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let rgb = RgbPicture { width, height, rgb: picture.rgb() };
        let mut end = None;
        let mut go_on = || {
            end = limits.end();
            if end.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let read = self.tower.read(rgb, llm.llm(), Some(budget), &mut go_on)?;
        let Some(read) = read.map(Arc::new) else {
            return Err(end.unwrap_or_else(|| Failure::broken("the encoding of a picture broke off")));
        };
        kept().keep(key, budget, read.clone());
        Ok(read)
    }
}

/// The embeddings of the newest pictures, the newest last.
#[derive(Default)]
struct Kept(Vec<KeptPicture>);

struct KeptPicture {
    key: [u8; 32],
    /// How many embeddings it could have had.
    budget: usize,
    read: Arc<PicturePrompt>,
}

impl KeptPicture {
    fn embeddings(&self) -> usize {
        self.read.spans.iter().map(|span| span.len).sum()
    }

    fn bytes(&self) -> usize {
        size_of_val(&self.read.rows[..])
    }
}

impl Kept {
    /// A picture with no more embeddings than `budget`, and no fewer than it would have with that; it is then the newest.
    fn find(&mut self, key: &[u8; 32], budget: usize) -> Option<Arc<PicturePrompt>> {
        let fits = |kept: &KeptPicture| kept.budget == budget || (kept.budget > budget && kept.embeddings() <= budget);
        let at = self.0.iter().position(|kept| kept.key == *key && fits(kept))?;
        self.0[at..].rotate_left(1);
        self.0.last().map(|kept| kept.read.clone())
    }

    /// Keeps a picture, and forgets the oldest beyond the bounds.
    fn keep(&mut self, key: [u8; 32], budget: usize, read: Arc<PicturePrompt>) {
        self.0.retain(|kept| kept.key != key);
        let mut bytes: usize = self.0.iter().map(KeptPicture::bytes).sum();
        while self.0.len() >= REMEMBERED || bytes > REMEMBERED_BYTES {
            bytes -= self.0.remove(0).bytes();
        }
        self.0.push(KeptPicture { key, budget, read });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nearfield_llm::PictureSpan;
    use nearfield_stages::flow::{Turn, Turns};
    use serde_json::json;

    use super::*;

    #[test]
    fn pictures_come_as_data_and_nothing_else() {
        let packed = BASE64.encode(b"not unpacked here");
        let mut pictures = Pictures::default();
        for value in [
            json!(packed),
            json!(format!("data:image/jpeg;base64,{packed}")),
            json!({"url": format!("data:;base64,{packed}")}),
        ] {
            let mut place = PicturePlace::of_user(true, &mut pictures);
            assert_eq!(place.take(&value, "messages[0]").unwrap(), MARK);
        }
        assert_eq!(pictures.0.len(), 3);
        assert!(pictures.0.iter().all(|picture| picture.bytes == b"not unpacked here"));
        assert_eq!(pictures.0[0].key(), pictures.0[2].key());
        for (value, said) in [
            (json!({"url": "https://example.org/cat.jpg"}), "nothing is fetched"),
            (json!("%%%"), "no base64"),
            (json!("A".repeat(MAX_PICTURE_BYTES / 3 * 4 + 9)), "more than 67108864 bytes"),
            (json!({"detail": "low"}), "without data"),
            (json!("data:image/png,abc"), "without base64"),
        ] {
            let failure = pictures.take(&value, "messages[0]").unwrap_err();
            assert!(failure.message.contains(said) && failure.message.contains("messages[0]"), "{}", failure.message);
        }
        for _ in pictures.0.len()..MOST_PICTURES {
            pictures.take(&json!(packed), "messages[1]").unwrap();
        }
        assert!(pictures.take(&json!(packed), "messages[1]").is_err());
    }

    #[test]
    fn the_mark_of_pictures_stays_at_the_places_of_pictures_only() {
        let all = || -> Vec<Message> {
            let roles = [Role::System, Role::User, Role::Assistant, Role::Tool];
            roles.map(|role| Message::new(role, format!("a{MARK}b"))).into()
        };
        let contents = |messages: &[Message]| -> Vec<String> { messages.iter().map(|it| it.content.clone()).collect() };
        let mut messages = all();
        let mut pictures = Pictures::default();
        pictures.check_marks(&mut messages).unwrap();
        assert_eq!(contents(&messages), ["ab"; 4]);
        pictures.take(&json!("AAAA"), "messages[1]").unwrap();
        let (mut messages, marked) = (all(), format!("a{MARK}b"));
        pictures.check_marks(&mut messages).unwrap();
        assert_eq!(contents(&messages), ["ab", marked.as_str(), "ab", "ab"]);
        messages.push(Message::new(Role::User, marked));
        assert!(pictures.check_marks(&mut messages).unwrap_err().message.contains("U+F8FF"));
    }

    fn read(embeddings: usize, numbers: usize) -> Arc<PicturePrompt> {
        let span = PictureSpan { len: embeddings, columns: None, is_whole: false };
        Arc::new(PicturePrompt { spans: vec![span], rows: vec![0.0; numbers], ..PicturePrompt::default() })
    }

    #[test]
    fn the_pictures_of_a_request_do_not_replace_each_other_and_the_longest_unused_goes_first() {
        let mut kept = Kept::default();
        let key = |n: usize| [n as u8; 32];
        // A conversation that becomes one picture longer each time.
        for n in 0..MOST_PICTURES {
            assert!((0..n).all(|n| kept.find(&key(n), 100).is_some()), "{n}");
            kept.keep(key(n), 100, read(4, 4));
        }
        assert!(kept.find(&key(0), 100).is_some());
        for n in MOST_PICTURES..REMEMBERED + 1 {
            kept.keep(key(n), 100, read(4, 4));
        }
        assert!(kept.find(&key(0), 100).is_some(), "used after the others");
        assert!(kept.find(&key(1), 100).is_none());
        assert_eq!(kept.0.len(), REMEMBERED);
        // Bytes are bounded, too, but for one picture.
        let large = REMEMBERED_BYTES / size_of::<f32>() + 1;
        kept.keep(key(40), 100, read(4, large));
        kept.keep(key(41), 100, read(4, 4));
        assert_eq!(kept.0.len(), 1);
    }

    #[test]
    fn a_kept_picture_serves_another_budget_where_it_would_be_the_same() {
        let mut kept = Kept::default();
        kept.keep([1; 32], 1000, read(200, 4));
        for (budget, is_found) in [(1000, true), (500, true), (200, true), (199, false), (2000, false)] {
            assert_eq!(kept.find(&[1; 32], budget).is_some(), is_found, "{budget}");
        }
        kept.keep([1; 32], 199, read(150, 4));
        assert_eq!(kept.0.len(), 1, "one file, one entry");
    }

    #[test]
    fn pictures_share_half_the_context_and_end_with_the_time_of_the_answer() {
        let turns = Turns::default();
        turns.begin();
        let cancel = turns.cancel_of(Turn(1));
        let limits = |deadline| PictureLimits { context_tokens: 8192, deadline, cancel: &cancel };
        let later = Instant::now() + Duration::from_secs(600);
        for (pictures, budget) in [(1, 4096), (2, 2048), (3, 1024), (4, 1024), (16, 256)] {
            assert_eq!(limits(later).budget(pictures), budget, "{pictures}");
        }
        assert!(limits(later).end().is_none());
        let late = limits(Instant::now()).end().unwrap();
        assert!(late.message.contains("server.most_seconds"), "{}", late.message);
        turns.silence_all();
        assert!(limits(later).end().unwrap().message.contains("nobody waits"));
    }
}

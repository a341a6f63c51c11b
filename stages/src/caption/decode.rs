//! Unpacks pictures: shots in, views out. A picture that can't be unpacked is an error of its own turn and nothing else.

use std::sync::Arc;

use anyhow::bail;
use nearfield_vision::{Framing, Picture};

use crate::flow::{Emit, Stage};
use crate::messages::{Envelope, Shot, ShotContent, View};

/// So many pictures of one colour in a row are told.
const FLAT_PICTURES: u32 = 25;

/// The unpacking stage.
#[derive(Debug, Default)]
pub struct Decode {
    /// What of each picture is looked at.
    framing: Framing,
    /// Pictures of one colour in a row.
    flat: u32,
}

impl Decode {
    /// Of each picture what `framing` shows.
    pub fn new(framing: Framing) -> Self {
        Self { framing, flat: 0 }
    }

    /// Says once, until there is something to see again, that there is nothing.
    fn note(&mut self, picture: &Picture, name: &str) {
        if !picture.is_flat() {
            if self.flat >= FLAT_PICTURES {
                tracing::warn!("{name}: there is something to see again");
            }
            self.flat = 0;
            return;
        }
        self.flat = self.flat.saturating_add(1);
        if self.flat == FLAT_PICTURES {
            let [r, g, b] = [0, 1, 2].map(|channel| picture.rgb()[channel]);
            let colour =
                if r.max(g).max(b) < 48 { "black".to_owned() } else { format!("one colour (#{r:02x}{g:02x}{b:02x})") };
            tracing::warn!(
                "{name}: this and the {} pictures before it are all {colour}; is the lens covered, or the camera broken?",
                FLAT_PICTURES - 1
            );
        }
    }
}

impl Stage for Decode {
    type In = Shot;
    type Out = View;

    fn name(&self) -> &'static str {
        "decode"
    }

    fn step(&mut self, input: Envelope<Shot>, emit: &mut Emit<'_, View>) -> anyhow::Result<()> {
        let Shot { name, at, taken, time, content } = input.body;
        let picture = match content {
            ShotContent::File(bytes) => Arc::new(Picture::decode(&bytes, &name)?),
            ShotContent::Picture(picture) => picture,
            ShotContent::Unreadable(reason) => bail!("{name}: {reason}"),
        };
        let picture = if self.framing.is_whole() { picture } else { Arc::new(self.framing.apply(&picture)) };
        self.note(&picture, &name);
        let _ = emit(Envelope::new(input.turn, View { name, at, taken, time, picture }));
        Ok(())
    }
}

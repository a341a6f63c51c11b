//! Unpacks pictures: shots in, views out. A picture that can't be unpacked is an error of its own turn and nothing else.

use std::sync::Arc;

use anyhow::bail;
use nearfield_models::vision::Picture;

use crate::drive::{Emit, Stage};
use crate::messages::{Envelope, Shot, ShotContent, View};

/// The unpacking stage; it keeps nothing.
#[derive(Debug, Default)]
pub struct Decode;

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
        let _ = emit(Envelope::new(input.turn, View { name, at, taken, time, picture }));
        Ok(())
    }
}

//! JPEGs one after the other on a stream, such as standard input: `some-camera | nearfield caption --input -`.

use std::collections::VecDeque;
use std::io::Read;
use std::time::Instant;

use anyhow::Context;
use nearfield_vision::JpegSplitter;

use super::{PictureSource, live_shot};
use crate::flow::{StopSignal, is_stopped};
use crate::messages::{Shot, ShotContent};
use crate::voice::capture::StoppableStdin;

const BLOCK: usize = 64 << 10;

/// A source that reads JPEGs from a stream.
pub struct JpegStream {
    name: String,
    reader: Option<Box<dyn Read + Send>>,
    splitter: JpegSplitter,
    ready: VecDeque<Vec<u8>>,
    begun: Option<Instant>,
    given: u64,
}

impl JpegStream {
    /// Standard input.
    pub fn stdin() -> Self {
        Self::over("standard input", None)
    }

    /// Any stream; for standard input it is opened later.
    pub fn over(name: &str, reader: Option<Box<dyn Read + Send>>) -> Self {
        let (splitter, ready) = (JpegSplitter::default(), VecDeque::new());
        Self { name: name.to_owned(), reader, splitter, ready, begun: None, given: 0 }
    }
}

impl PictureSource for JpegStream {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn open(&mut self, stop: &StopSignal) -> anyhow::Result<()> {
        if self.reader.is_none() {
            self.reader = Some(Box::new(StoppableStdin::new(stop.clone())?));
        }
        Ok(())
    }

    fn next(&mut self, stop: &StopSignal) -> anyhow::Result<Option<Shot>> {
        let reader = self.reader.as_mut().context("it was not opened")?;
        let mut block = vec![0; BLOCK];
        while self.ready.is_empty() {
            let n = reader.read(&mut block).context("it can't be read")?;
            if n == 0 {
                if is_stopped(stop) {
                    return Ok(None);
                }
                if self.given == 0 || self.splitter.is_within_picture() {
                    // What is left of a picture is told, as a corrupt one; an input without any picture is an error.
                    anyhow::ensure!(
                        self.splitter.is_within_picture(),
                        super::Unrecoverable("it ended without a JPEG".to_owned())
                    );
                    self.splitter = JpegSplitter::default();
                    self.given += 1;
                    let name = format!("{} #{}", self.name, self.given);
                    let content = ShotContent::Unreadable("the JPEG breaks off before its end".to_owned());
                    return Ok(Some(live_shot(name, &mut self.begun, content)));
                }
                return Ok(None);
            }
            let ready = &mut self.ready;
            self.splitter.push(&block[..n], &mut |jpeg| ready.push_back(jpeg));
        }
        self.given += 1;
        let name = format!("{} #{}", self.name, self.given);
        Ok(self.ready.pop_front().map(|jpeg| live_shot(name, &mut self.begun, ShotContent::File(jpeg))))
    }
}

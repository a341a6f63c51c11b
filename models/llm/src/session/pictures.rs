//! Pictures in a session: embeddings that stand by rows and columns (Qwen-VL), or of which each sees those after it too (Gemma 3).

use super::{BLOCK, Session};
use crate::forward::Place;
use crate::vision::PictureSpan;
use crate::{LlmError, TokenId};

impl Session {
    /// Appends the embeddings of a tile of a picture and leaves the logits after the last of them. rows: `[span.len, d_model]`.
    ///
    /// # Errors
    /// The rows are others than the span says, or more than fit; the session is then as it was.
    pub fn append_picture(&mut self, rows: &[f32], span: PictureSpan) -> Result<(), LlmError> {
        let width = self.llm.shape.d_model;
        if rows.len() != span.len * width {
            return Err(LlmError::Input(format!(
                "{} embeddings of a picture are {} numbers, but {} were given",
                span.len,
                span.len * width,
                rows.len()
            )));
        }
        self.begin_picture(span)?;
        // What sees what comes after it has to be there at once.
        let block = if span.is_whole { span.len } else { BLOCK };
        self.read_rows(rows, block.max(1));
        Ok(())
    }

    /// Says how the next `span.len` embeddings stand, which [`append_embeddings`](Self::append_embeddings) then takes in as many blocks
    /// as the caller likes, but all at once where each sees the ones after it (`span.is_whole`). Nothing else may be appended before the
    /// last of them.
    ///
    /// # Errors
    /// The span has no columns, or more embeddings than fit; the session is then as it was.
    pub fn begin_picture(&mut self, span: PictureSpan) -> Result<(), LlmError> {
        if span.columns == Some(0) {
            return Err(LlmError::Input("the embeddings of a picture stand in rows of 0 columns".to_owned()));
        }
        let first = self.len();
        self.check_room(first + span.len)?;
        if span.len > 0 {
            self.catch_up();
            let columns = span.columns.filter(|_| self.llm.shape.sections.is_some());
            self.pictures.push((first, PictureSpan { columns, ..span }));
        }
        Ok(())
    }

    /// Appends rows that fit, block by block, and leaves the logits after the last.
    pub(super) fn read_rows(&mut self, rows: &[f32], each: usize) {
        let width = self.llm.shape.d_model;
        let end = self.len() + rows.len() / width;
        for block in rows.chunks(each * width) {
            let count = block.len() / width;
            if self.past.states.is_used() {
                let at = self.len();
                self.soft.extend(block.chunks_exact(width).enumerate().map(|(row, x)| (at + row, x.to_vec())));
            }
            self.buffers.tokens.clear();
            self.buffers.tokens.resize(count, TokenId::EMBEDDING.0);
            self.buffers.x.clear();
            self.buffers.x.extend_from_slice(block);
            self.compute(count, usize::from(self.len() + count == end));
            self.tokens.extend(std::iter::repeat_n(TokenId::EMBEDDING, count));
        }
    }

    /// The pictures that it holds: where each begins, and how its embeddings stand.
    pub fn pictures(&self) -> &[(usize, PictureSpan)] {
        &self.pictures
    }

    /// Where the next tokens stand.
    pub(super) fn place(&self) -> Place {
        let first = self.tokens.len();
        let mut place = Place { behind: self.behind(first), ..Place::of_text(first, self.capacity) };
        if let Some((start, span)) = self.pictures.last()
            && first < start + span.len
        {
            place.grid = span.columns.map(|columns| (*start, columns));
            place.until = span.is_whole.then_some(start + span.len);
        }
        place
    }

    /// By how much the angles at a place are behind its number: a picture with rows and columns is as long as the longer of these.
    pub(super) fn behind(&self, at: usize) -> usize {
        let before = self.pictures.iter().filter(|(start, span)| start + span.len <= at);
        before
            .map(|(_, span)| span.columns.map_or(0, |columns| span.len - columns.max(span.len.div_ceil(columns))))
            .sum()
    }
}

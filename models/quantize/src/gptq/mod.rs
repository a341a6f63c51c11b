//! GPTQ (Frantar et al., 2022, <https://arxiv.org/abs/2210.17323>): columns are rounded one after the other, and what rounding has
//! changed in a row's products is made up for by the columns that come later. Scales and minima of blocks are chosen first, as by
//! [`Method::Fine`](crate::Method::Fine), so that columns can come in the order of their importance whatever the blocks are.

mod factor;
mod kept;
mod rows;

pub use factor::Feedback;
pub use kept::Kept;
pub(crate) use rows::quantize_rows;

use nearfield_kernels::Format;

use crate::TensorFormat;
use crate::fine::Shape;

/// Whether [`Feedback`] does anything for a format: it has levels to choose from.
pub fn takes_feedback(format: Format) -> bool {
    Shape::of(format).is_some()
}

impl TensorFormat {
    /// Whether [`Feedback`] does anything for a tensor: it changes, and its new format has levels to choose from.
    pub fn takes_feedback(&self) -> bool {
        self.from != self.to && self.dims.len() >= 2 && Format::named(self.to.name).is_some_and(takes_feedback)
    }
}

//! For those who want to see what the matrices of a model are multiplied with: importance matrices ([`InputSquares`]) and the
//! statistics of GPTQ ([`InputProducts`]) are made of that. A session without an observer asks once a product whether there is one, and
//! does nothing else.

mod products;
mod squares;

use std::fmt::Debug;

pub use products::{InputProducts, MatrixPart, Products};
pub use squares::{InputSquares, Squares};

/// A matrix, as its file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixSource {
    /// The tensor's name, such as `blk.0.ffn_up.weight`.
    pub tensor: Box<str>,
    /// Which of the matrices that share the tensor it is, and how many these are: (0, 1) but in mixtures of experts.
    pub part: (usize, usize),
    /// Numbers in a row, which are those of an input.
    pub columns: usize,
}

/// Sees inputs ([`Session::observe_inputs`](crate::Session::observe_inputs)).
pub trait InputObserver: Debug + Send + Sync {
    /// The rows of `x: [n, columns]` are about to be multiplied with each of `matrices`. Of matrices that are read from one tensor,
    /// such as `attn_qkv`, only the first is told of; of those of a mixture each, with the rows that were sent to it. It is called on
    /// the thread that computes.
    fn observe(&self, matrices: &[&MatrixSource], x: &[f32]);
}

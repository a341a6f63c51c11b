//! Makes GGUF models smaller. Blocks, mixed recipes and importance matrices are those of llama.cpp: the same source gives the same file,
//! byte for byte.
//!
//! ```
//! use nearfield_gguf::Gguf;
//! use nearfield_quantize::{Job, Method, Recipe, formats};
//!
//! let source = Gguf::open("../../assets/models/talk-nano.gguf".as_ref())?;
//! let recipe = Recipe::named("Q4_K_M").expect("a recipe");
//! let formats = formats(&source, recipe, false)?;
//! let (file_type, method) = (recipe.file_type, Method::Plain);
//! let job = Job { source: &source, formats: &formats, file_type, importance: None, method, threads: 1 };
//! let to = std::env::temp_dir().join(format!("nearfield-quantize-{}.gguf", std::process::id()));
//! job.write(&to, &mut |_| std::ops::ControlFlow::Continue(()))?;
//! assert!(Gguf::open(&to)?.file_bytes() < source.file_bytes());
//! # std::fs::remove_file(to).ok();
//! # Ok::<(), nearfield_quantize::QuantizeError>(())
//! ```
//!
//! Memory is bounded by slabs of rows, whatever the model's size; by a tensor, where rounding has [`Feedback`]. A file that is being written has another name until it is complete.

mod auto;
mod error;
mod file;
mod fine;
mod formats;
mod gptq;
mod imatrix;
mod recipe;
mod search;

pub use auto::{Choice, choose};
pub use error::QuantizeError;
pub use file::{Job, Progress};
pub use fine::{Method, quantize_row_by};
pub use formats::quantize_row;
pub use gptq::{Feedback, Kept, takes_feedback};
pub use imatrix::{Importance, ImportanceMatrix};
pub use recipe::{RECIPES, Recipe, TensorFormat, formats};

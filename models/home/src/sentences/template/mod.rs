//! Sentence templates in the form of Home Assistant's `hassil`: `[optional]`, `(one|other)`, `{list}`, `{list:slot}`, `<rule>`,
//! permutations `(one;other)`; read from folders of YAML files ([`TemplateSet`]) and matched against a request ([`engine`]).

mod engine;
mod expression;
mod set;

pub use engine::{Capture, Match, Slots};
pub use expression::{Expr, TemplateError};
pub use set::{Data, LoadError, TemplateSet};

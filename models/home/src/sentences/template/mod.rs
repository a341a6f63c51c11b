//! Sentence templates in the form of Home Assistant's `hassil`: `[optional]`, `(one|other)`, `{list}`, `{list:slot}`, `<rule>`,
//! permutations `(one;other)`; read from folders of YAML files ([`TemplateSet`]) and matched against a request ([`engine`]).

mod engine;
mod expression;
mod set;

pub use engine::Slots;
pub use expression::TemplateError;
pub use set::{LoadError, TemplateSet};

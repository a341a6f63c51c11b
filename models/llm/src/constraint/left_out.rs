//! In place of the guide where the feature `grammar` is left out: no text can be constrained, and the error says so.

use std::convert::Infallible;

use super::Constrained;
use crate::dialect::LazyConstraint;
use crate::{Llm, LlmError, Sampler, TokenId};

/// Never there.
#[derive(Debug)]
pub(crate) struct Guide(Infallible);

impl Guide {
    pub(crate) fn new(
        _llm: &Llm,
        constrained: Option<&Constrained>,
        lazy: &[LazyConstraint],
    ) -> Result<Guide, LlmError> {
        let first = constrained.map(|held| &held.constraint).or_else(|| lazy.first().map(|lazy| &lazy.constraint));
        let kind = first.map_or("constraint", |constraint| constraint.kind());
        let what = "this build leaves constraints out; build it with the feature `grammar`".to_owned();
        Err(LlmError::Constraint { kind, what })
    }

    pub(crate) fn is_complete(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn holds_a_part(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn forced_text(&mut self) -> Option<String> {
        match self.0 {}
    }

    pub(crate) fn choose(
        &mut self,
        _llm: &Llm,
        _sampler: &mut Sampler,
        _logits: &[f32],
        _recent: &[TokenId],
    ) -> Result<TokenId, LlmError> {
        match self.0 {}
    }
}

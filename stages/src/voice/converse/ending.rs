//! How a reply ends: what is said instead of the model's text where that would not be true.

use super::claims::{Standing, claims};
use crate::flow::Turn;
use crate::voice::tools::{self, Facts, Plan, ToolResult};

/// What is said where the model has nothing to say but the same again.
const LOST: &str = "I could not finish the answer, because the model repeated itself.";

/// What is said where the model does not get a call right.
pub(super) const MISUSED: &str = "I could not do that: the call of the tool could not be read.";

/// What is said where the model calls one tool after another and comes to no end.
pub(super) const CIRCLES: &str = "I could not finish that, because the model called one tool after another.";

/// What is said where the model claims a deed that nobody wished for.
pub(super) const NOTHING_DONE: &str = "I have not changed anything.";

/// A reply that ends, and what it is checked by.
pub(super) struct Ending<'a> {
    pub(super) question: &'a str,
    /// The states that the question is about.
    pub(super) facts: Option<&'a Facts>,
    /// What the last round's calls came to.
    pub(super) results: &'a [ToolResult],
    pub(super) is_wish: bool,
    pub(super) was_done: bool,
    pub(super) is_checked: bool,
    pub(super) is_second_try: bool,
    /// Whether the model still wants calls made.
    pub(super) wants_calls: bool,
    /// Whether it ended in a loop.
    pub(super) repeated: bool,
}

impl<'a> Ending<'a> {
    /// That of a reply without calls, which is checked before it is said.
    pub(super) fn of_first_round(plan: &'a Plan, question: &'a str) -> Self {
        Self {
            question,
            facts: facts_of(plan),
            results: &[],
            is_wish: is_wish(plan),
            was_done: false,
            is_checked: true,
            is_second_try: false,
            wants_calls: false,
            repeated: false,
        }
    }

    /// What is said instead of the model's text where that must not be said.
    pub(super) fn instead_of(&self, turn: Turn, said: &str) -> Option<String> {
        let Ending { question, results, .. } = *self;
        if self.wants_calls {
            return Some(CIRCLES.to_owned());
        }
        if self.is_wish && !self.was_done && results.is_empty() && (said.is_empty() || claims_any(said, true)) {
            tracing::info!(%turn, said, "the model claimed what was not done");
            return Some(tools::NOT_FOUND.to_owned());
        }
        if let Some(facts) = self.facts.filter(|facts| !facts.agree_with(said, question)) {
            tracing::info!(%turn, said, "the model contradicted the states");
            return Some(facts.answer.clone());
        }
        if self.facts.is_some() && claims_any(said, false) {
            return Some(NOTHING_DONE.to_owned());
        }
        let says_nothing = said.is_empty() && (self.repeated || !results.is_empty());
        let strays = !results.is_empty() && self.is_checked && !tools::keeps_to(said, results, question);
        (self.is_second_try || says_nothing || strays).then(|| match self.repeated && results.is_empty() {
            true => LOST.to_owned(),
            false => answers(results),
        })
    }
}

/// What calls came to, one sentence after the other.
pub(super) fn answers(results: &[ToolResult]) -> String {
    match results {
        [] => MISUSED.to_owned(),
        results => results.iter().map(tools::answer).collect::<Vec<_>>().join(" "),
    }
}

/// Whether a request wants something done.
pub(super) fn is_wish(plan: &Plan) -> bool {
    match plan {
        Plan::Free { is_wish } | Plan::Speak { is_wish, .. } => *is_wish,
        Plan::Call(_) | Plan::Ask(_) => true,
    }
}

/// The states that a question is about.
pub(super) fn facts_of(plan: &Plan) -> Option<&Facts> {
    match plan {
        Plan::Speak { facts, .. } if !facts.is_empty() => Some(facts),
        _ => None,
    }
}

/// Whether a sentence of a reply to a wish claims that something was done; without a wish a state is no claim.
fn claims_any(reply: &str, is_wish: bool) -> bool {
    let mut standing = Standing::Opening;
    reply.split_inclusive(['.', '!', '?', '\n', ',']).any(|clause| {
        let here = standing;
        standing = here.behind(clause, clause.chars().last().unwrap_or_default());
        claims(clause, here, is_wish)
    })
}

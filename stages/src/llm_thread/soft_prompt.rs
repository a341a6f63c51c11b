//! Prompts with soft tokens: a picture replaces only its own span of the cache.

use std::ops::ControlFlow;

use nearfield_llm::{LlmError, Prefill, Session, TokenId};

/// Tokens and rows that go through the model between two looks at what else is to do.
const SOFT_BLOCK: usize = 64;

/// Makes the session hold exactly `tokens`, of which each [`TokenId::EMBEDDING`] stands for the next of `wanted`'s rows. The longest
/// prefix that is already there stays; a row counts as the same only if its numbers are. `held`: the rows of the session.
pub(super) fn read_soft_prompt(
    session: &mut Session,
    held: &mut Vec<f32>,
    tokens: &[TokenId],
    wanted: &[f32],
    go_on: &mut dyn FnMut() -> ControlFlow<()>,
) -> Result<Prefill, LlmError> {
    let width = session.llm().info().d_model;
    let soft = |tokens: &[TokenId]| tokens.iter().filter(|t| **t == TokenId::EMBEDDING).count();
    if soft(tokens) * width != wanted.len() {
        return Err(LlmError::Input(format!(
            "the prompt has room for {} soft tokens of {width} numbers, but {} numbers were given",
            soft(tokens),
            wanted.len()
        )));
    }
    let mut row = 0;
    let shared = session
        .tokens()
        .iter()
        .zip(tokens)
        .take_while(|(held_token, token)| {
            let same = held_token == token;
            if same && **token == TokenId::EMBEDDING {
                row += 1;
                return held.get((row - 1) * width..row * width) == wanted.get((row - 1) * width..row * width);
            }
            same
        })
        .count();
    let complete = shared == tokens.len() && shared == session.len() && !session.logits().is_empty();
    let reused = if complete { shared } else { shared.min(tokens.len().saturating_sub(1)) };
    session.truncate(reused);
    held.truncate(soft(&tokens[..reused]) * width);
    let mut prefill = Prefill { reused, ..Prefill::default() };
    let mut rest = &tokens[reused..];
    while let Some(first) = rest.first() {
        if go_on().is_break() {
            prefill.stopped = true;
            break;
        }
        let is_soft = *first == TokenId::EMBEDDING;
        let run = rest.iter().take(SOFT_BLOCK).take_while(|t| (**t == TokenId::EMBEDDING) == is_soft).count();
        if is_soft {
            let rows = &wanted[held.len()..held.len() + run * width];
            session.append_embeddings(rows)?;
            held.extend_from_slice(rows);
        } else {
            session.append(&rest[..run])?;
        }
        prefill.prefilled += run;
        rest = &rest[run..];
    }
    Ok(prefill)
}

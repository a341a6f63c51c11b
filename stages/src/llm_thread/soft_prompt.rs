//! Prompts with soft tokens: a picture replaces only its own span of the cache.

use std::ops::ControlFlow;

use nearfield_llm::{LlmError, PictureSpan, Prefill, Session, TokenId};

/// Tokens and rows that go through the model between two looks at what else is to do. A picture whose embeddings see each other (Gemma 3)
/// goes through at once.
const SOFT_BLOCK: usize = 64;

/// Makes the session hold exactly `tokens`, of which each [`TokenId::EMBEDDING`] stands for the next of `wanted`'s rows. The longest
/// prefix that is already there stays; a row counts as the same only if its numbers are. `held`: the rows of the session. `spans`: the
/// tiles of pictures that the rows belong to, in order; none where rows are like words.
pub(super) fn read_soft_prompt(
    session: &mut Session,
    held: &mut Vec<f32>,
    tokens: &[TokenId],
    wanted: &[f32],
    spans: &[PictureSpan],
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
    if !spans.is_empty() && spans.iter().map(|span| span.len).sum::<usize>() != soft(tokens) {
        return Err(LlmError::Input("the spans of a prompt's pictures are not its soft tokens".to_owned()));
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
    let reused = same_pictures(session, tokens, spans, reused);
    // Of a picture whose embeddings see each other a part is none.
    session.truncate(reused);
    let reused = session.len();
    held.truncate(soft(&tokens[..reused]) * width);
    let mut prefill = Prefill { reused, ..Prefill::default() };
    let mut rest = &tokens[reused..];
    let mut at = held.len() / width;
    while let Some(first) = rest.first() {
        if go_on().is_break() {
            prefill.stopped = true;
            break;
        }
        let is_soft = *first == TokenId::EMBEDDING;
        let span = span_at(spans, at).filter(|_| is_soft);
        if let Some((span, 0)) = span
            && span.is_whole
        {
            let rows = &wanted[held.len()..held.len() + span.len * width];
            session.append_picture(rows, span)?;
            held.extend_from_slice(rows);
            prefill.prefilled += span.len;
            at += span.len;
            rest = &rest[span.len..];
            continue;
        }
        if let Some((span, 0)) = span {
            session.begin_picture(span)?;
        }
        // Within a picture no more than its rest.
        let most = span.map_or(SOFT_BLOCK, |(span, behind)| SOFT_BLOCK.min(span.len - behind));
        let run = rest.iter().take(most).take_while(|t| (**t == TokenId::EMBEDDING) == is_soft).count();
        if is_soft {
            let rows = &wanted[held.len()..held.len() + run * width];
            session.append_embeddings(rows)?;
            held.extend_from_slice(rows);
            at += run;
        } else {
            session.append(&rest[..run])?;
        }
        prefill.prefilled += run;
        rest = &rest[run..];
    }
    Ok(prefill)
}

/// The picture that a row belongs to, and how many of its rows come before.
fn span_at(spans: &[PictureSpan], row: usize) -> Option<(PictureSpan, usize)> {
    let mut first = 0;
    spans.iter().find_map(|span| {
        let here = first..first + span.len;
        first = here.end;
        here.contains(&row).then(|| (*span, row - here.start))
    })
}

/// How much of the `reused` first tokens stands in the session as the prompt has it: rows that are the same may belong to pictures of
/// other shapes, or to none.
fn same_pictures(session: &Session, tokens: &[TokenId], spans: &[PictureSpan], reused: usize) -> usize {
    let places = tokens.iter().enumerate().filter(|(_, token)| **token == TokenId::EMBEDDING).map(|(at, _)| at);
    let places: Vec<usize> = places.collect();
    let mut first = 0;
    let mut starts = Vec::new();
    let held = |start: usize| session.pictures().iter().find(|(at, _)| *at == start).map(|(_, span)| *span);
    for span in spans {
        let Some(start) = places.get(first).copied().filter(|start| *start < reused) else { break };
        first += span.len;
        starts.push(start);
        let is_same = held(start).is_some_and(|held| {
            held.len == span.len
                && held.is_whole == span.is_whole
                && (held.columns.is_none() || held.columns == span.columns)
        });
        if !is_same {
            return start;
        }
    }
    let is_other = |(start, span): &&(usize, PictureSpan)| {
        (span.columns.is_some() || span.is_whole) && *start < reused && !starts.contains(start)
    };
    session.pictures().iter().find(is_other).map_or(reused, |(start, _)| *start)
}

//! `nearfield eval recall`: conversations that are longer than the context, at whose end something is asked that was said at their
//! beginning. The assistant answers every turn itself; only the last answer is scored. It shows what a summary of earlier turns is worth
//! (`--set conversation.summary=false` drops them), and that it does not delay the last answer.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use nearfield_llm::median;
use nearfield_stages::flow::{StopSignal, writes};
use nearfield_stages::voice::converse::History;
use serde::Deserialize;
use serde_json::json;

use super::json_lines::rows;
use super::rouge::words;
use crate::cli::RecallArgs;
use crate::config::{Config, VoiceConfig};
use crate::flows::chat::Chat;
use crate::hub::registry::Registry;
use crate::output::progress::Progress;
use crate::signals;

/// How often it is looked whether a summary is ready.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// So long somebody pauses at least before the last question: the prompt is read ahead by then.
const LEAST_PAUSE: Duration = Duration::from_millis(500);

/// A conversation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Conversation {
    id: String,
    /// What is said; the last is the question.
    turns: Vec<String>,
    /// One of these is in a right answer, as whole words.
    expect: Vec<String>,
}

impl Conversation {
    fn is_right(&self, reply: &str) -> bool {
        let said = words(reply);
        self.expect.iter().any(|phrase| {
            let phrase = words(phrase);
            !phrase.is_empty() && said.windows(phrase.len()).any(|run| *run == phrase[..])
        })
    }
}

/// Holds the conversations of a file and scores their last answers.
///
/// # Errors
/// The file or the model can't be read, the model fails, or the user stops it.
pub(super) fn run(
    args: &RecallArgs,
    registry: &Registry,
    quiet: bool,
    stop: &StopSignal,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let beside = registry.places().assets.as_ref().map(|assets| assets.join("eval/recall.jsonl"));
    let path = args.file.clone().or(beside).filter(|file| file.is_file());
    let path = path.context(
        "the conversations are not here: name the file assets/eval/recall.jsonl of a clone of Nearfield, or one of yours",
    )?;
    let conversations: Vec<Conversation> = rows(&path, args.limit)?;
    check(&conversations, &path)?;
    let mut config = VoiceConfig::load(args.config.config.as_deref(), &args.config.set)?;
    if let Some(model) = &args.model {
        config.llm.model.clone_from(model);
    }
    let pause = Duration::from_secs_f64(args.pause_s);
    let mut chat = Chat::open(&config, registry)?;
    let turns = conversations.iter().map(|it| it.turns.len() as u64).sum();
    let mut progress = Progress::new("answered", "turns", 0, turns, quiet);
    let (mut right, mut done, mut first_tokens, mut summaries) = (0, 0, Vec::new(), Vec::new());
    for conversation in &conversations {
        chat.switch(&mut History::default());
        let (mut forgotten, mut summarized) = (0, 0);
        for (index, turn) in conversation.turns.iter().enumerate() {
            let is_last = index + 1 == conversation.turns.len();
            let waited = Instant::now();
            let was_summarizing = chat.is_summarizing();
            while waited.elapsed() < pause && (chat.is_summarizing() || (is_last && waited.elapsed() < LEAST_PAUSE)) {
                std::thread::sleep(LOOK_AGAIN);
                if signals::is_stopped(stop) {
                    bail!("stopped after {done} of {turns} turns");
                }
            }
            if was_summarizing {
                summaries.push(waited.elapsed().as_secs_f64());
            }
            let asked = Instant::now();
            let replied =
                chat.ask(turn, stop, &mut |_| {}).with_context(|| format!("conversation {}", conversation.id))?;
            if signals::is_stopped(stop) {
                bail!("stopped after {done} of {turns} turns");
            }
            (forgotten, summarized) = (forgotten + replied.forgotten, summarized + replied.summarized);
            done += 1;
            progress.show(done, "");
            if is_last {
                let is_right = conversation.is_right(&replied.reply);
                right += usize::from(is_right);
                let first_token_ms = replied.first_token.map(|at| (at - asked).as_secs_f64() * 1e3);
                first_tokens.extend(first_token_ms);
                if args.json {
                    let _write = writes::begin();
                    let line = json!({
                        "id": conversation.id, "right": is_right, "reply": replied.reply, "first_token_ms": first_token_ms,
                        "tokens": replied.tokens, "forgotten": forgotten, "summarized": summarized,
                    });
                    writeln!(out, "{line}")?;
                    out.flush()?;
                }
            }
        }
    }
    progress.end();
    let _write = writes::begin();
    let rows = conversations.len();
    let longest = summaries.iter().copied().fold(0.0, f64::max);
    let count = summaries.len();
    let (first_token_ms, summary_s) = (median(first_tokens), median(summaries));
    match args.json {
        true => {
            let line = json!({
                "eval": "recall", "model": config.llm.model, "summary": config.conversation.summary, "right": right, "rows": rows,
                "first_token_ms": first_token_ms, "summaries": count, "summary_s": summary_s, "longest_summary_s": longest,
            });
            writeln!(out, "{line}")?;
        }
        false => {
            writeln!(out, "{}: {right} of {rows} last questions answered right", config.llm.model)?;
            if let Some(ms) = first_token_ms {
                writeln!(out, "  first token of the last answer: {ms:.0} ms (median)")?;
            }
            if let Some(seconds) = summary_s {
                writeln!(out, "  {count} summaries, {seconds:.1} s each (median; the longest {longest:.1} s)")?;
            }
        }
    }
    Ok(out.flush()?)
}

fn check(conversations: &[Conversation], path: &Path) -> anyhow::Result<()> {
    for (index, conversation) in conversations.iter().enumerate() {
        let place = || format!("{}, row {}", path.display(), index + 1);
        ensure!(!conversation.turns.is_empty(), "{}: it has no turns", place());
        ensure!(!conversation.expect.is_empty(), "{}: it expects nothing, and no answer would be right", place());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bundled_conversation_has_thirty_turns_and_tells_what_is_asked_for_in_the_third_only() {
        let path = nearfield_testdata::asset("eval/recall.jsonl");
        let conversations: Vec<Conversation> = rows(&path, None).unwrap();
        assert_eq!(conversations.len(), 20);
        check(&conversations, &path).unwrap();
        for conversation in &conversations {
            assert_eq!(conversation.turns.len(), 30, "{}", conversation.id);
            for (index, turn) in conversation.turns.iter().enumerate() {
                assert_eq!(conversation.is_right(turn), index == 2, "{}: {turn}", conversation.id);
            }
            assert!(!conversation.is_right("") && !conversation.is_right("I do not know that."));
        }
    }
}

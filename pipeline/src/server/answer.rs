//! What the model writes becomes text and calls; what looked like a call and is none is told as it was written, but never a thought,
//! and never half a call that a limit cut.

use std::ops::ControlFlow;

use nearfield_llm::{Finish, ReplyParser};

use super::engine::{Piece, Reason};
use super::home_assistant::{self, Context};

/// An answer while it is written.
pub(super) struct Answer {
    parser: Option<ReplyParser>,
    names: Vec<String>,
    is_parallel: bool,
    /// The home that calls are held against, where the client told of one.
    context: Option<Context>,
    /// What was written since the last thought.
    raw: String,
    said: String,
    /// What ends it besides the model.
    stops: Vec<String>,
}

impl Answer {
    /// An answer that nothing has been written of. `names`: the tools that may be called.
    pub(super) fn new(
        parser: Option<ReplyParser>,
        names: Vec<String>,
        is_parallel: bool,
        context: Option<Context>,
    ) -> Answer {
        Answer { parser, names, is_parallel, context, raw: String::new(), said: String::new(), stops: Vec::new() }
    }

    /// The same, which tells which of the request's stop strings ended it.
    #[must_use]
    pub(super) fn stopped_at(self, stops: Vec<String>) -> Answer {
        Answer { stops, ..self }
    }

    /// Takes what the model wrote, and gives back what of it is text.
    pub(super) fn push(&mut self, text: &str) -> String {
        let said = match &mut self.parser {
            Some(parser) => text
                .chars()
                .map(|c| {
                    let was_thought = parser.is_thinking();
                    let said = parser.push(c.encode_utf8(&mut [0; 4]));
                    self.raw.push(c);
                    if was_thought || parser.is_thinking() {
                        self.raw.clear();
                    }
                    said
                })
                .collect(),
            None => text.to_owned(),
        };
        self.said.push_str(&said);
        said
    }

    /// Tells what is left of the answer, its calls, and why it ended.
    pub(super) fn end(mut self, finish: &Finish, generated: usize, sink: &mut dyn FnMut(Piece) -> ControlFlow<()>) {
        let parsed = self.parser.take().map(ReplyParser::finish).unwrap_or_default();
        let mut calls = parsed.calls;
        calls.retain(|call| self.names.contains(&call.name));
        if let Some(context) = &self.context {
            calls.iter_mut().for_each(|call| home_assistant::corrected(call, context));
        }
        if !self.is_parallel {
            calls.truncate(1);
        }
        self.said.push_str(&parsed.rest);
        let is_loop = matches!(finish, Finish::Repetition { .. });
        let is_half = is_loop && calls.is_empty() && !parsed.broken.is_empty();
        let is_cut = is_half || matches!(finish, Finish::MaxTokens | Finish::ContextFull | Finish::Stopped);
        let rest = match self.said.trim().is_empty() && calls.is_empty() {
            // What looked like a call is none: it is told as it was written, which is better than nothing.
            true if !self.raw.trim().is_empty() && self.names.is_empty() => std::mem::take(&mut self.raw),
            true if !parsed.broken.is_empty() && !is_cut => std::mem::take(&mut self.raw),
            // Half a call is neither a call nor an answer: the reason of the end says what happened.
            _ => parsed.rest,
        };
        if !rest.is_empty() && sink(Piece::Text(rest)).is_break() {
            return;
        }
        let reason = match finish {
            _ if !calls.is_empty() => Reason::Calls,
            _ if is_cut => Reason::Length,
            _ => Reason::Stop,
        };
        if !calls.is_empty() && sink(Piece::Calls(calls)).is_break() {
            return;
        }
        let stopped_by = match finish {
            Finish::StopString(stop) if self.stops.contains(stop) => Some(stop.clone()),
            _ => None,
        };
        let _ = sink(Piece::Ended { reason, stopped_by, generated });
    }
}

#[cfg(test)]
mod tests {
    use nearfield_llm::{Dialect, ToolSchema};
    use serde_json::json;

    use super::*;

    fn told(tools: &[&str], written: &str, finish: &Finish) -> (String, usize, Reason) {
        let schemas: Vec<_> = tools
            .iter()
            .map(|name| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}))
            .collect();
        let parser = ReplyParser::new(Dialect::Hermes, ToolSchema::all(&schemas), false);
        let names = tools.iter().map(|&name| name.to_owned()).collect();
        let mut answer = Answer::new(Some(parser), names, true, None);
        let mut text = answer.push(written);
        let (mut calls, mut why) = (0, Reason::Stop);
        answer.end(finish, 1, &mut |piece| {
            match piece {
                Piece::Text(more) => text.push_str(&more),
                Piece::Calls(more) => calls += more.len(),
                Piece::Ended { reason, .. } => why = reason,
                _ => {}
            }
            ControlFlow::Continue(())
        });
        (text, calls, why)
    }

    #[test]
    fn half_a_call_is_no_text_where_a_limit_cut_it() {
        for written in [
            r#"<tool_call>{"name": "set_light", "arguments": {"room": "kit"#,
            r#"<think>The kitchen.</think><tool_call>{"name": "set_light", "argum"#,
            "<think>The kitchen it is, or",
        ] {
            assert_eq!(
                told(&["set_light"], written, &Finish::MaxTokens),
                (String::new(), 0, Reason::Length),
                "{written}"
            );
        }
        // A loop that was cut in a call is a limit, too.
        let begun = r#"<tool_call>{"name": "set_light", "arguments": {"room": "kit kit kit"#;
        let finish = Finish::Repetition { begins: 60 };
        assert_eq!(told(&["set_light"], begun, &finish), (String::new(), 0, Reason::Length));
        assert_eq!(told(&["set_light"], "Well, well", &finish), ("Well, well".to_owned(), 0, Reason::Stop));
    }

    #[test]
    fn what_is_no_call_is_told_without_the_thought_before_it() {
        let broken = "<tool_call>the kitchen light, on</tool_call>";
        assert_eq!(told(&["set_light"], broken, &Finish::EndOfText).0, broken);
        let thought = format!("<think>Is it on?</think>{broken}");
        assert_eq!(told(&["set_light"], &thought, &Finish::EndOfText).0, broken);
        // Nothing may be called: what looks like a call is the answer.
        assert_eq!(told(&[], &thought, &Finish::EndOfText).0, broken);
    }

    #[test]
    fn calls_of_offered_tools_are_told_and_no_others() {
        let both = r#"<tool_call>{"name": "set_light", "arguments": {}}</tool_call><tool_call>{"name": "rm", "arguments": {}}</tool_call>"#;
        assert_eq!(told(&["set_light"], both, &Finish::EndOfText), (String::new(), 1, Reason::Calls));
    }
}

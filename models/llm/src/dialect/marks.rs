//! The marks between which calls and thoughts stand, of all dialects. Their texts are read the same way whether a model writes
//! them as one special token or in pieces.

use super::Dialect;

/// What begins at a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One or several calls, up to one of the closing marks or, where there is none, the end of the first JSON value.
    Call(Body),
    /// A thought, up to one of the closing marks.
    Thought,
    /// The header of a message of harmony, up to `<|message|>`.
    Header,
    /// Nothing: the mark is dropped.
    Nothing,
}

/// How a call is written between its marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// JSON, pythonic, or XML, as it begins.
    Any,
    /// A JSON value, which ends the call.
    Json,
    /// `[TOOL_CALLS]`: a JSON value, or `name[ARGS]{…}`.
    Mistral,
    /// What follows `<function=`: `name>{…}` or `name><parameter=key>…`.
    Function,
    /// What follows `<invoke name=` or `<function name=`: `"name"><parameter name="key">…`, with marks of other names too.
    Invoke,
    /// DeepSeek's list of calls.
    DeepSeek,
    /// Gemma 4's `call:name{key:…}`.
    Gemma4,
    /// Kimi's `functions.name:0<|tool_call_argument_begin|>{…}`, Solar's `id<|tool_call:name|>name<|tool_call:args|>{…}`.
    Headed,
}

/// A mark.
#[derive(Debug)]
pub(super) struct Mark {
    pub open: &'static str,
    pub close: &'static [&'static str],
    pub kind: Kind,
}

const fn call(open: &'static str, close: &'static [&'static str], body: Body) -> Mark {
    Mark { open, close, kind: Kind::Call(body) }
}

const fn thought(open: &'static str, close: &'static [&'static str]) -> Mark {
    Mark { open, close, kind: Kind::Thought }
}

const fn nothing(open: &'static str) -> Mark {
    Mark { open, close: &[], kind: Kind::Nothing }
}

/// All marks.
pub(super) static MARKS: [Mark; 85] = [
    call("<tool_call>", &["</tool_call>"], Body::Any),
    call("<tool_calls>", &["</tool_calls>"], Body::Any),
    call("<TOOLCALL>", &["</TOOLCALL>"], Body::Any),
    call("<function_call>", &["</function_call>"], Body::Any),
    call("<|tool_call_start|>", &["<|tool_call_end|>"], Body::Any),
    call("<|tool_call|>", &["<|/tool_call|>", "</tool_call>"], Body::Json),
    call("<|tool_call>", &["<tool_call|>"], Body::Gemma4),
    call("<|python_start|>", &["<|python_end|>"], Body::Any),
    call("<|python_tag|>", &["<|eom_id|>"], Body::Any),
    call("<|START_ACTION|>", &["<|END_ACTION|>"], Body::Any),
    call("[TOOL_CALLS]", &["[/TOOL_CALLS]"], Body::Mistral),
    call("<functioncall>", &[], Body::Json),
    call("functools[", &[], Body::Json),
    call("<|function_call|>", &["<|message_sep|>"], Body::Json),
    call("function call<|role_sep|>", &["<|message_sep|>"], Body::Json),
    call("<|tools_prefix|>", &["<|tools_suffix|>"], Body::Any),
    call("<|tool_call_begin|>", &["<|tool_call_end|>"], Body::Headed),
    call("<|tool_call:begin|>", &["<|tool_call:end|>"], Body::Headed),
    call("<function name=", &["</function>"], Body::Invoke),
    call("<｜DSML｜invoke name=", &["</｜DSML｜invoke>"], Body::Invoke),
    call("<function=", &["</function>"], Body::Function),
    call("<invoke name=", &["</invoke>"], Body::Invoke),
    call("<｜tool▁calls▁begin｜>", &["<｜tool▁calls▁end｜>"], Body::DeepSeek),
    call("<｜tool▁call▁begin｜>", &["<｜tool▁call▁end｜>"], Body::DeepSeek),
    thought("<think>", &["</think>"]),
    thought("<thinking>", &["</thinking>"]),
    thought("<reasoning>", &["</reasoning>"]),
    thought("<seed:think>", &["</seed:think>"]),
    thought("<|START_THINKING|>", &["<|END_THINKING|>"]),
    thought("[THINK]", &["[/THINK]"]),
    thought("<|channel>thought", &["<channel|>"]),
    thought("<|inner_prefix|>", &["<|inner_suffix|>"]),
    thought("<|think|>", &["<|end|>"]),
    Mark { open: "<|channel|>", close: &["<|message|>"], kind: Kind::Header },
    Mark { open: "<|start|>", close: &["<|message|>"], kind: Kind::Header },
    Mark { open: " to=functions.", close: &["<|message|>"], kind: Kind::Header },
    nothing("</tool_call>"),
    nothing("</tool_calls>"),
    nothing("</think>"),
    nothing("</thinking>"),
    nothing("</reasoning>"),
    nothing("</seed:think>"),
    nothing("[/THINK]"),
    nothing("<channel|>"),
    nothing("</function>"),
    nothing("<seed:tool_call>"),
    nothing("</seed:tool_call>"),
    nothing("<minimax:tool_call>"),
    nothing("</minimax:tool_call>"),
    nothing("<function_calls>"),
    nothing("</function_calls>"),
    nothing("<｜tool▁calls▁end｜>"),
    nothing("<|tool_call_end|>"),
    nothing("<|python_end|>"),
    nothing("<tool_call|>"),
    nothing("<|/tool_call|>"),
    nothing("<|START_RESPONSE|>"),
    nothing("<|END_RESPONSE|>"),
    nothing("<|END_ACTION|>"),
    nothing("<|END_THINKING|>"),
    nothing("<|eom_id|>"),
    nothing("<|message|>"),
    nothing("<|call|>"),
    nothing("<|return|>"),
    nothing("<|end|>"),
    nothing("[/TOOL_CALLS]"),
    nothing("</invoke>"),
    nothing("<|tool_calls_section_begin|>"),
    nothing("<|tool_calls_section_end|>"),
    nothing("<|tool_calls|>"),
    nothing("<|begin|>assistant"),
    nothing("<|content|>"),
    nothing("<|tools_suffix|>"),
    nothing("<|inner_suffix|>"),
    nothing("<|message_sep|>"),
    nothing("<|role_sep|>"),
    nothing("<｜DSML｜function_calls>"),
    nothing("</｜DSML｜function_calls>"),
    nothing("<｜DSML｜tool_calls>"),
    nothing("</｜DSML｜tool_calls>"),
    nothing("</｜DSML｜invoke>"),
    nothing("<|START_TEXT|>"),
    nothing("<|END_TEXT|>"),
    nothing("[BEGIN FINAL RESPONSE]"),
    nothing("[END FINAL RESPONSE]"),
];

/// Marks that stand only within a call.
const INNER: [&str; 12] = [
    "<|tool_call_argument_begin|>",
    "<|tool_call:name|>",
    "<|tool_call:args|>",
    "[ARGS]",
    "[CALL_ID]",
    "<｜tool▁sep｜>",
    "<|constrain|>",
    "<arg_key>",
    "</arg_key>",
    "<arg_value>",
    "</arg_value>",
    "<|\"|>",
];

/// Special tokens whose texts a reply must show, so that calls and thoughts can be found in it.
pub(crate) fn visible_marks() -> impl Iterator<Item = &'static str> {
    // Closing marks of other kinds are never special tokens of their own, but for these.
    MARKS.iter().flat_map(|mark| std::iter::once(mark.open).chain(mark.close.iter().copied())).chain(INNER)
}

/// What a text that begins at a mark may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Begin {
    /// This mark.
    Mark(&'static Mark),
    /// The beginning of a mark.
    Part,
    /// None.
    Other,
}

/// Marks that are words, too, are none in other dialects.
fn is_known(mark: &Mark, dialect: Dialect) -> bool {
    match mark.open {
        "functools[" => dialect == Dialect::Functools,
        " to=functions." => dialect == Dialect::Harmony,
        "function call<|role_sep|>" => dialect == Dialect::GigaChat,
        _ => true,
    }
}

/// Which mark, if any, a text is, or may become.
pub(super) fn begin(text: &str, dialect: Dialect) -> Begin {
    let mut part = false;
    for mark in MARKS.iter().filter(|mark| is_known(mark, dialect)) {
        if mark.open == text {
            return Begin::Mark(mark);
        }
        part |= mark.open.starts_with(text);
    }
    if part { Begin::Part } else { Begin::Other }
}

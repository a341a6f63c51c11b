//! How a model writes tool calls: its *dialect*, as data. A dialect is found from the chat template and the vocabulary, or named
//! by the user; it says how calls are asked for and written. Reading them back is the same for all dialects and lenient
//! ([`ReplyParser`]), since many models write another form than their template shows.

mod bodies;
mod grammar;
mod json_scan;
mod marks;
mod markup;
mod prompt;
mod pythonic;
mod reply;
mod schema;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use grammar::{LazyConstraint, Trigger};
pub use prompt::Example;
pub use reply::{ParsedReply, ReplyParser};

pub(crate) use marks::visible_marks;
pub(crate) use prompt::spaced;

/// The longest tool call, in bytes.
pub const MAX_CALL_BYTES: usize = 16 * 1024;

/// The most calls (and the most unreadable ones) kept of one reply.
pub const MAX_CALLS: usize = 16;

/// A call as the model wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The tool's name; it may not exist.
    pub name: String,
    /// The arguments; they may not fit.
    pub arguments: Value,
}

/// A tool that is offered to the model.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSchema {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The JSON schema of its arguments, an object.
    pub parameters: Value,
}

impl ToolSchema {
    /// The tool of `{"type": "function", "function": {name, description, parameters}}`, or of the inner object alone.
    pub fn of(schema: &Value) -> Option<ToolSchema> {
        let function = schema.get("function").unwrap_or(schema);
        let text = |key: &str| function.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(ToolSchema {
            name: text("name").filter(|name| !name.is_empty())?,
            description: text("description").unwrap_or_default(),
            parameters: function.get("parameters").cloned().unwrap_or_else(|| Value::Object(Map::new())),
        })
    }

    /// All tools of a list of schemas.
    pub fn all(schemas: &[Value]) -> Vec<ToolSchema> {
        schemas.iter().filter_map(ToolSchema::of).collect()
    }

    /// Holds arguments to the whole schema.
    ///
    /// # Errors
    /// One sentence: what does not fit.
    pub fn check(&self, arguments: &Value) -> Result<(), String> {
        schema::check(&self.name, &self.parameters, arguments)
    }

    /// The schema of one argument.
    fn argument(&self, name: &str) -> Option<&Value> {
        self.parameters.get("properties")?.get(name)
    }

    /// The arguments' names in the schema's order.
    fn argument_names(&self) -> impl Iterator<Item = &str> {
        self.parameters
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
    }
}

/// How a model writes tool calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// `<tool_call>{"name": …, "arguments": …}</tool_call>`: Hermes, Qwen 2.5 and 3, SmolLM3, Granite 4, `talk-nano`.
    Hermes,
    /// `<tool_call><function=NAME><parameter=KEY>value</parameter></function></tool_call>`: Qwen3-Coder, Qwen 3.5.
    QwenXml,
    /// `<tool_call>NAME<arg_key>KEY</arg_key><arg_value>value</arg_value></tool_call>`: GLM 4.5 and later.
    Glm,
    /// `{"name": …, "parameters": …}` without marks: Llama 3.1 to 3.3.
    Llama,
    /// `[name(key=value), …]` without marks: Llama 3.2 and 4.
    Pythonic,
    /// `<|tool_call_start|>[name(key=value)]<|tool_call_end|>`: LFM2.
    Lfm2,
    /// `[TOOL_CALLS] [{"name": …, "arguments": …}]`: Mistral to v0.3 and Nemo.
    Mistral,
    /// `[TOOL_CALLS]name[ARGS]{…}`: Mistral Small 3.2, Magistral, Devstral.
    MistralArgs,
    /// ```` ```tool_code ```` with `name(key=value)`: Gemma 2 and 3.
    Gemma,
    /// `<|tool_call>call:name{key:<|"|>value<|"|>}<tool_call|>`: Gemma 4.
    Gemma4,
    /// `<|tool_call|>[{"name": …, "arguments": …}]`: Granite 3, Phi-4-mini.
    Granite,
    /// `<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>…`: DeepSeek V3 and R1.
    DeepSeek,
    /// `<|channel|>commentary to=functions.name<|message|>{…}<|call|>`: gpt-oss.
    Harmony,
    /// `<function=name>{…}</function>`: Functionary 3.1.
    Functionary,
    /// `>>>name` and the arguments on the next line: Functionary 3.2.
    FunctionaryRecipient,
    /// `<functioncall> {"name": …, "arguments": …}`: models trained on Glaive's data.
    FunctionCall,
    /// `<|tool_calls_section_begin|><|tool_call_begin|>functions.name:0<|tool_call_argument_begin|>{…}<|tool_call_end|>…`: Kimi K2.
    Kimi,
    /// `<|tools_prefix|>[{"name": {…}}]<|tools_suffix|>`: Apertus.
    Apertus,
    /// `<|function_call|>{"name": …, "arguments": …}`: GigaChat 3.
    GigaChat,
    /// `<|START_ACTION|>[{"tool_call_id": "0", "tool_name": …, "parameters": …}]<|END_ACTION|>`: Command R7B and later.
    Cohere,
    /// `<TOOLCALL>[{"name": …, "arguments": …}]</TOOLCALL>`: Nemotron Nano 2.
    Nemotron,
    /// `<tool_calls>[{"name": …, "arguments": …}]</tool_calls>`: Apriel, MiniMax M1.
    ToolCalls,
    /// `<minimax:tool_call><invoke name="…"><parameter name="key">value</parameter></invoke></minimax:tool_call>`: MiniMax M2.
    MiniMax,
    /// `<function name="…"><param name="key">value</param></function>`: MiniCPM5.
    MiniCpm,
    /// `<｜DSML｜function_calls><｜DSML｜invoke name="…">…`: DeepSeek V3.2 and V4.
    Dsml,
    /// `<|tool_call:begin|>id<|tool_call:name|>name<|tool_call:args|>{…}<|tool_call:end|>`: Solar Open.
    Solar,
    /// `functools[{"name": …, "arguments": …}]`: FireFunction 2.
    Functools,
    /// A fenced block of the kind `homeassistant`, or `{"to_say": …, "service": …, "target_device": …}`: home-llm's models.
    HomeLlm,
    /// `{"name": …, "arguments": …}` as the system text explains it: models that were trained on no tools.
    Generic,
}

/// What the code knows about a dialect.
struct Facts {
    dialect: Dialect,
    name: &'static str,
    /// What its templates show: all signs of one line, of any of the lines.
    signs: &'static [&'static [&'static str]],
    /// What its vocabularies hold.
    token: Option<&'static str>,
    /// Whether calls stand without marks, so that the first `{` of a reply already begins one.
    bare: bool,
}

const fn facts(
    dialect: Dialect,
    name: &'static str,
    signs: &'static [&'static [&'static str]],
    token: Option<&'static str>,
    bare: bool,
) -> Facts {
    Facts { dialect, name, signs, token, bare }
}

/// All dialects, in the order in which their signs are looked for: what is more special comes first.
static DIALECTS: [Facts; 29] = [
    facts(Dialect::Harmony, "harmony", &[&["<|channel|>", "<|message|>"]], Some("<|channel|>"), false),
    facts(Dialect::Dsml, "dsml", &[&["DSML"]], Some("｜DSML｜"), false),
    facts(Dialect::Kimi, "kimi", &[&["<|tool_calls_section_begin|>"]], Some("<|tool_calls_section_begin|>"), false),
    facts(Dialect::Solar, "solar", &[&["<|tool_call:begin|>"]], Some("<|tool_call:begin|>"), false),
    facts(Dialect::Apertus, "apertus", &[&["<|tools_prefix|>"]], Some("<|tools_prefix|>"), false),
    facts(Dialect::GigaChat, "giga-chat", &[&["<|role_sep|>", "<|message_sep|>"]], Some("<|role_sep|>"), false),
    facts(Dialect::Cohere, "cohere", &[&["<|START_ACTION|>"]], Some("<|START_ACTION|>"), false),
    facts(Dialect::MiniMax, "mini-max", &[&["<minimax:tool_call>"]], None, false),
    facts(Dialect::MiniCpm, "mini-cpm", &[&["<function name=\"", "<param name=\""]], None, false),
    facts(Dialect::Nemotron, "nemotron", &[&["<TOOLCALL>"]], None, false),
    facts(Dialect::Functools, "functools", &[&["functools["]], None, false),
    facts(Dialect::DeepSeek, "deep-seek", &[&["<｜tool▁call"]], Some("<｜tool▁calls▁begin｜>"), false),
    facts(Dialect::MistralArgs, "mistral-args", &[&["[TOOL_CALLS]", "[ARGS]"]], None, false),
    facts(Dialect::Mistral, "mistral", &[&["[TOOL_CALLS]"]], Some("[TOOL_CALLS]"), false),
    facts(
        Dialect::Lfm2,
        "lfm2",
        &[&["<|tool_list_start|>"], &["<|tool_call_start|>"]],
        Some("<|tool_call_start|>"),
        false,
    ),
    facts(Dialect::Gemma4, "gemma4", &[&["<|tool_call>"]], Some("<|tool_call>"), false),
    facts(Dialect::Glm, "glm", &[&["<arg_key>"]], Some("<arg_key>"), false),
    facts(Dialect::QwenXml, "qwen-xml", &[&["<function=", "<parameter="]], None, false),
    facts(Dialect::FunctionCall, "function-call", &[&["<functioncall>"]], None, true),
    facts(
        Dialect::FunctionaryRecipient,
        "functionary-recipient",
        &[&[">>>all"], &["'>>>' +"], &["'>>>'"]],
        None,
        false,
    ),
    facts(Dialect::Functionary, "functionary", &[&["<function="]], None, false),
    facts(Dialect::ToolCalls, "tool-calls", &[&["<tool_calls>"]], None, false),
    facts(Dialect::Hermes, "hermes", &[&["<tool_call>"]], Some("<tool_call>"), true),
    facts(Dialect::Granite, "granite", &[&["<|tool_call|>"], &["<|start_of_role|>"]], Some("<|tool_call|>"), true),
    facts(Dialect::Llama, "llama", &[&["\"parameters\": dictionary of argument name"]], Some("<|python_tag|>"), true),
    facts(
        Dialect::Pythonic,
        "pythonic",
        &[&["[func_name1(params"], &["<|python_start|>"]],
        Some("<|python_start|>"),
        false,
    ),
    facts(Dialect::HomeLlm, "home-llm", &[&["homeassistant"]], None, true),
    facts(Dialect::Gemma, "gemma", &[&["<start_of_turn>"], &["tool_code"]], None, true),
    facts(Dialect::Generic, "generic", &[], None, true),
];

impl Dialect {
    /// The names by which [`Dialect::named`] knows the dialects.
    pub fn names() -> impl Iterator<Item = &'static str> {
        DIALECTS.iter().map(|facts| facts.name)
    }

    /// The dialect of a name.
    pub fn named(name: &str) -> Option<Dialect> {
        DIALECTS.iter().find(|facts| facts.name == name).map(|facts| facts.dialect)
    }

    /// Its name, such as `hermes`.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// Whether calls stand without marks, so that the first `{` or code fence of a reply already begins one.
    pub fn is_bare(self) -> bool {
        self.facts().bare
    }

    fn facts(self) -> &'static Facts {
        DIALECTS.iter().find(|facts| facts.dialect == self).expect("each dialect stands in the table")
    }

    /// The dialect of a template, or else of a vocabulary, of which `has_token` says what is in it; `name` is the model's.
    pub(crate) fn detect(template: &str, name: &str, has_token: &dyn Fn(&str) -> bool) -> Dialect {
        let lower = name.to_lowercase();
        if lower.contains("home-llm") || lower.starts_with("home-") || lower.starts_with("home ") {
            return Dialect::HomeLlm;
        }
        let shows = |facts: &&Facts| facts.signs.iter().any(|signs| signs.iter().all(|sign| template.contains(sign)));
        let knows = |facts: &&Facts| facts.token.is_some_and(has_token);
        // A sign of Gemma's turns says less than a vocabulary with marks for calls.
        let weak = |facts: &&Facts| matches!(facts.dialect, Dialect::Gemma | Dialect::HomeLlm);
        let found = DIALECTS.iter().filter(|facts| !weak(facts)).find(shows);
        let found = found.or_else(|| DIALECTS.iter().find(knows)).or_else(|| DIALECTS.iter().find(shows));
        found.map_or(Dialect::Generic, |facts| facts.dialect)
    }
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A piece of the model's text, short enough for a message.
fn clipped(text: &str) -> String {
    let mut short: String = text.chars().take(120).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;

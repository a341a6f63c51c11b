//! The chat template that a GGUF file carries: Jinja as Hugging Face's tokenizers understand it, with the functions that real
//! templates use. What a template cannot do (system messages, tool results) is found out once, when it is read
//! ([`template_abilities`](super::template_abilities)), and messages are written so that it can.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, Error, ErrorKind, Value, context};
use serde::{Deserialize, Serialize};
use serde_json::ser::Formatter;

use super::dialect::Dialect;
use super::template_abilities::{Abilities, Results, adapted};
use super::template_limits::{self, Bounded};
use super::{LlmError, Message, Tokenizer};
use nearfield_gguf::Gguf;

/// ChatML, which is assumed where a file carries no template but a vocabulary with ChatML's marks.
const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}\
{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// What errors call the template, before the line.
const NAME: &str = "chat";

/// Whether a model thinks before it answers, where it was trained to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Thinking {
    /// It does not: the template's own switch is off, or the thought is closed as soon as it is opened.
    #[default]
    Off,
    /// As long as it likes.
    On,
    /// At most so many tokens.
    Tokens(usize),
}

impl Serialize for Thinking {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Thinking::Off => serializer.serialize_str("off"),
            Thinking::On => serializer.serialize_str("on"),
            Thinking::Tokens(tokens) => serializer.serialize_u64(*tokens as u64),
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Thinking {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Thinking".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "enum": ["off", "on"] }] })
    }
}

impl<'de> Deserialize<'de> for Thinking {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Thinking, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Word(String),
            Tokens(usize),
            Switch(bool),
        }
        match Written::deserialize(deserializer) {
            Ok(Written::Word(word)) if word == "off" => Ok(Thinking::Off),
            Ok(Written::Word(word)) if word == "on" => Ok(Thinking::On),
            Ok(Written::Switch(on)) => Ok(if on { Thinking::On } else { Thinking::Off }),
            Ok(Written::Tokens(0)) => Ok(Thinking::Off),
            Ok(Written::Tokens(tokens)) => Ok(Thinking::Tokens(tokens)),
            _ => Err(serde::de::Error::custom("expected \"off\", \"on\" or a number of tokens")),
        }
    }
}

/// A message whose content is a list of one part.
fn in_parts(mut message: serde_json::Value) -> serde_json::Value {
    if let Some(content @ serde_json::Value::String(_)) = message.get_mut("content") {
        let text = content.take();
        *content = serde_json::json!([{"type": "text", "text": text}]);
    }
    message
}

/// What opens a thought at the end of a prompt, and what closes it.
const THOUGHTS: [(&str, &str); 7] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),
];

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    path: std::path::PathBuf,
    source: String,
    bos: String,
    eos: String,
    assumed: bool,
    dialect: Dialect,
    abilities: Abilities,
    /// Contents are lists of parts, as in templates of vision-language models.
    in_parts: bool,
}

impl ChatTemplate {
    /// The template of a file, or ChatML where the vocabulary has its marks. `None` for a file without a template: such a model
    /// continues text and was not trained to chat.
    pub(super) fn of(gguf: &Gguf, tokenizer: &Tokenizer) -> Result<Option<ChatTemplate>, LlmError> {
        let carried = gguf.text("tokenizer.chat_template")?;
        let knows_chatml = ["<|im_start|>", "<|im_end|>"].iter().all(|mark| tokenizer.special(mark).is_some());
        let source = match carried {
            Some(source) => source,
            None if knows_chatml => CHATML,
            None => return Ok(None),
        };
        let mut environment = Environment::new();
        let refuse = |error: Error| LlmError::Template { path: gguf.path().to_owned(), what: describe(&error) };
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(false).build();
        let syntax = syntax.map_err(refuse)?;
        let prepared = template_limits::prepared(source, &syntax).map_err(refuse)?;
        environment.set_syntax(syntax);
        template_limits::install(&mut environment);
        environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_function("strftime_now", strftime_now);
        environment.add_filter("tojson", tojson);
        environment.add_filter("length", length);
        environment.add_filter("count", length);
        environment.add_template_owned(NAME, prepared).map_err(refuse)?;
        template_limits::check(&environment, NAME).map_err(refuse)?;
        let name = gguf.text("general.name")?.unwrap_or_default();
        let mut template = ChatTemplate {
            environment,
            path: gguf.path().to_owned(),
            source: source.to_owned(),
            bos: tokenizer.bos_text().to_owned(),
            eos: tokenizer.eos_text().to_owned(),
            assumed: carried.is_none(),
            dialect: Dialect::detect(source, name, &|mark| tokenizer.special(mark).is_some()),
            abilities: Abilities::default(),
            in_parts: false,
        };
        template.in_parts = template.wants_parts();
        template.abilities = Abilities::of(&template, tokenizer.special("<|tool|>").is_some());
        Ok(Some(template))
    }

    /// Writes a conversation in the form that the model was trained on. `tools` are JSON schemas of functions (none is not the
    /// same as an empty list to some templates: an empty slice counts as none). With `add_generation_prompt` it ends where the
    /// model's answer begins, and the model is not to think. The text is to be encoded with special tokens (see
    /// [`Tokenizer::encode_prompt`]).
    ///
    /// A system message that the template refuses or drops becomes the beginning of the first user's, and results of tools that
    /// it does not know are told by the user.
    ///
    /// # Errors
    /// The template is broken, or refuses the messages.
    pub fn render(
        &self,
        messages: &[Message],
        tools: &[serde_json::Value],
        add_generation_prompt: bool,
    ) -> Result<String, LlmError> {
        self.render_thinking(messages, tools, add_generation_prompt, Thinking::Off)
    }

    /// As [`render`](Self::render), and says whether the model is to think. Where it is, the prompt may end within the thought
    /// (see [`is_thinking`](Self::is_thinking)).
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn render_thinking(
        &self,
        messages: &[Message],
        tools: &[serde_json::Value],
        add_generation_prompt: bool,
        thinking: Thinking,
    ) -> Result<String, LlmError> {
        let render = |results: Results| {
            let messages = adapted(messages, &self.abilities, self.dialect, tools, results);
            self.render_values(&messages, tools, add_generation_prompt, thinking != Thinking::Off)
        };
        let results = self.abilities.results;
        let mut text = match render(results) {
            // Some templates know a single call a turn, and refuse several.
            Err(refused) if matches!(results, Results::Listed(_)) => {
                render(Results::Own).or_else(|_| render(Results::InUserMessage)).map_err(|_| refused)?
            }
            rendered => rendered?,
        };
        // Behind a reply with text and a call Gemma 4's template begins no turn.
        if add_generation_prompt && self.dialect == Dialect::Gemma4 && text.ends_with("<turn|>\n") {
            text.push_str("<|turn>model\n");
        }
        if add_generation_prompt
            && thinking == Thinking::Off
            && let Some(close) = self.is_thinking(&text)
        {
            // Marks that are special tokens stand without line breaks.
            let (before, after) = match text.ends_with('\n') {
                _ if close.starts_with("<|") => ("", ""),
                true => ("\n", "\n\n"),
                false => ("\n\n", "\n\n"),
            };
            text.extend([before, close, after]);
        }
        Ok(text)
    }

    /// What closes the thought that a prompt has opened at its end.
    pub fn is_thinking(&self, prompt: &str) -> Option<&'static str> {
        let prompt = prompt.trim_end();
        THOUGHTS.iter().find(|(open, _)| prompt.ends_with(open)).map(|(_, close)| *close)
    }

    /// The template applied to messages as they are.
    pub(super) fn render_values(
        &self,
        messages: &[serde_json::Value],
        tools: &[serde_json::Value],
        add_generation_prompt: bool,
        enable_thinking: bool,
    ) -> Result<String, LlmError> {
        if self.in_parts {
            let messages: Vec<serde_json::Value> = messages.iter().cloned().map(in_parts).collect();
            return self.render_given(&messages, tools, add_generation_prompt, enable_thinking);
        }
        self.render_given(messages, tools, add_generation_prompt, enable_thinking)
    }

    /// Whether a content as a string is dropped, or an error, and one as a list of parts is shown.
    fn wants_parts(&self) -> bool {
        const SAID: &str = "nearfield-said";
        let message = serde_json::json!({"role": "user", "content": SAID});
        let shows = |message: serde_json::Value| {
            self.render_given(&[message], &[], true, false).is_ok_and(|text| text.contains(SAID))
        };
        !shows(message.clone()) && shows(in_parts(message))
    }

    fn render_given(
        &self,
        messages: &[serde_json::Value],
        tools: &[serde_json::Value],
        add_generation_prompt: bool,
        enable_thinking: bool,
    ) -> Result<String, LlmError> {
        let refuse = |error: Error| LlmError::Template { path: self.path.clone(), what: describe(&error) };
        let (bos_token, eos_token) = (&self.bos, &self.eos);
        let messages = Value::from(Serde(messages));
        // The switches of Qwen 3, SmolLM3 and GLM; of DeepSeek V3.1 and Granite; of gpt-oss.
        let reasoning_effort = if enable_thinking { "medium" } else { "low" };
        // Llama 3's and FireFunction's name for today, which they else take from their training.
        let date_string = strftime_now("%d %b %Y".to_owned()).map_err(refuse)?;
        let datetime = strftime_now("%b %d %Y".to_owned()).map_err(refuse)?;
        // FireFunction's name for the tools, as JSON in a text.
        let functions = match tools {
            _ if self.dialect != Dialect::Functools => Value::UNDEFINED,
            [] => Value::from(""),
            tools => {
                let indented = Kwargs::from_iter([("indent", Value::from(4))]);
                Value::from(tojson(Value::from(Serde(tools)), indented).map_err(refuse)?)
            }
        };
        let rest = context! {
            messages, bos_token, eos_token, add_generation_prompt, enable_thinking, thinking => enable_thinking, reasoning_effort,
            date_string, datetime, functions, reasoning_strength => reasoning_effort,
        };
        let context = match tools {
            [] => rest,
            tools => context! { tools => Value::from(Serde(tools)), ..rest },
        };
        template_limits::render(&self.environment, NAME, context).map_err(refuse)
    }

    /// How the model writes tool calls.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether the template shows the tools to the model itself. Where it does not, the system text must.
    pub fn shows_tools(&self) -> bool {
        self.abilities.shows_tools
    }

    /// Whether the model can be told to think or not.
    pub fn thinks(&self) -> bool {
        self.abilities.thinks
    }

    /// Whether a prompt for a model that is to think ends within the thought.
    pub fn opens_thought(&self) -> bool {
        self.abilities.opens_thought
    }

    /// What ends a thought of this model.
    pub fn thought_end(&self) -> &'static str {
        let others = [("<|channel>thought", "<channel|>"), ("<|inner_prefix|>", "<|inner_suffix|>")];
        let known = THOUGHTS.iter().chain(&others);
        known.filter(|(open, _)| self.source.contains(open)).map(|(_, close)| *close).next().unwrap_or("</think>")
    }

    /// What stands between the end of a reply and the next question.
    pub(super) fn turn_end(&self) -> &str {
        &self.abilities.turn_end
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// True when the file carries no template and ChatML is assumed.
    pub fn is_assumed(&self) -> bool {
        self.assumed
    }
}

/// An error with what caused it, in one line.
///
/// The template writes its own refusals, which terminals must not take for commands.
fn describe(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text.replace(|c: char| c.is_control() && c != '\n', " ")
}

/// Today, as templates ask for it. The one place where a model looks at the calendar, because the template says so.
fn strftime_now(format: String) -> Result<String, Error> {
    let now = jiff::fmt::strtime::BrokenDownTime::from(&jiff::Zoned::now());
    let mut text = Bounded::default();
    now.format(&format, jiff::fmt::StdFmtWrite(&mut text))
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))?;
    Ok(text.into_text())
}

/// How long a value is. What is not defined has the length 0, as in Jinja.
fn length(value: &Value) -> Result<usize, Error> {
    if value.is_undefined() { Ok(0) } else { minijinja::filters::length(value) }
}

/// JSON as Python's `json.dumps` writes it (`", "` and `": "`), which is what models were trained on, unlike the escaping for
/// web pages that Jinja's own filter does. `indent` puts it on several lines; letters stay as they are, as `transformers` has it,
/// unless `ensure_ascii` says otherwise.
fn tojson(value: Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let ascii: Option<bool> = options.get("ensure_ascii")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    let sorted: Option<bool> = options.get("sort_keys")?;
    options.assert_all_used()?;
    let fail = |error: serde_json::Error| Error::new(ErrorKind::BadSerialization, error.to_string());
    let text = if sorted == Some(true) {
        // What is sorted is copied first.
        template_limits::size(&value)?;
        let mut value = serde_json::to_value(&value).map_err(fail)?;
        value.sort_all_objects();
        written(&value, indent, separators.as_deref())?
    } else {
        written(&value, indent, separators.as_deref())?
    };
    if ascii != Some(true) || text.is_ascii() {
        return Ok(text);
    }
    let mut escaped = Bounded::default();
    for c in text.chars() {
        if c.is_ascii() {
            escaped.add(format_args!("{c}"))?;
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                escaped.add(format_args!("\\u{unit:04x}"))?;
            }
        }
    }
    Ok(escaped.into_text())
}

/// JSON on several lines, on one line with these separators, or as Python writes it.
fn written(value: &impl Serialize, indent: Option<usize>, separators: Option<&[String]>) -> Result<String, Error> {
    let fail = |error: serde_json::Error| Error::new(ErrorKind::BadSerialization, error.to_string());
    let mut text = Bounded::default();
    let formatter = match (indent, separators) {
        (Some(width), _) => {
            let spaces = " ".repeat(width.min(16));
            let formatter = serde_json::ser::PrettyFormatter::with_indent(spaces.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter)).map_err(fail)?;
            return Ok(text.into_text());
        }
        (None, Some([item, key])) if item.len() + key.len() <= 64 => Separated { item, key },
        (None, None) => Separated { item: ", ", key: ": " },
        (None, Some(_)) => {
            return Err(Error::new(ErrorKind::InvalidOperation, "`separators` of tojson must be two short texts"));
        }
    };
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter)).map_err(fail)?;
    Ok(text.into_text())
}

/// JSON on one line, with these texts behind values and behind keys.
struct Separated<'a> {
    item: &'a str,
    key: &'a str,
}

impl Formatter for Separated<'_> {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(self.item.as_bytes()) }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(self.item.as_bytes()) }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(self.key.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn json_of_more_than_the_limit_is_refused_before_all_of_it_is_copied() {
        for sorted in [false, true] {
            let taken = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&taken);
            let values = Value::make_iterable(move || {
                let count = Arc::clone(&count);
                (0..100_000).map(move |_| {
                    count.fetch_add(1, Ordering::Relaxed);
                    Value::from("x".repeat(1000))
                })
            });
            let options = Kwargs::from_iter([("sort_keys", Value::from(sorted))]);
            let error = tojson(values, options).unwrap_err().to_string();
            assert!(error.contains("MiB"), "{error}");
            // 4 MiB hold some 4,200 of them.
            assert!(taken.load(Ordering::Relaxed) < 5000, "{taken:?} values were taken, sorted: {sorted}");
        }
    }
}

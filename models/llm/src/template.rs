//! The chat template that a GGUF file carries: Jinja as Hugging Face's tokenizers understand it, with the functions that real
//! templates use.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, Error, ErrorKind, Value, context};
use serde::Serialize;
use serde_json::ser::Formatter;

use super::template_limits::{self, Bounded};
use super::{LlmError, Message, Tokenizer};
use nearfield_gguf::Gguf;

/// ChatML, which is assumed where a file carries no template.
const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}\
{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// What errors call the template, before the line.
const NAME: &str = "chat";

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    path: std::path::PathBuf,
    source: String,
    bos: String,
    eos: String,
    assumed: bool,
}

impl ChatTemplate {
    /// The template of a file, or ChatML.
    pub(super) fn of(gguf: &Gguf, tokenizer: &Tokenizer) -> Result<ChatTemplate, LlmError> {
        let carried = gguf.text("tokenizer.chat_template")?;
        let source = carried.unwrap_or(CHATML);
        let mut environment = Environment::new();
        let refuse = |error: Error| LlmError::Template { path: gguf.path().to_owned(), what: describe(&error) };
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
        let syntax = syntax.map_err(refuse)?;
        let prepared = template_limits::prepared(source, &syntax).map_err(refuse)?;
        environment.set_syntax(syntax);
        template_limits::install(&mut environment);
        environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_function("strftime_now", strftime_now);
        environment.add_filter("tojson", tojson);
        environment.add_template_owned(NAME, prepared).map_err(refuse)?;
        template_limits::check(&environment, NAME).map_err(refuse)?;
        Ok(ChatTemplate {
            environment,
            path: gguf.path().to_owned(),
            source: source.to_owned(),
            bos: tokenizer.bos_text().to_owned(),
            eos: tokenizer.eos_text().to_owned(),
            assumed: carried.is_none(),
        })
    }

    /// Writes a conversation in the form that the model was trained on. `tools` are JSON schemas of functions (none is not the
    /// same as an empty list to some templates: an empty slice counts as none). With `add_generation_prompt` it ends where the
    /// model's answer begins. The text is to be encoded with special tokens (see [`Tokenizer::encode_prompt`]).
    ///
    /// # Errors
    /// The template is broken, or refuses the messages.
    pub fn render(
        &self,
        messages: &[Message],
        tools: &[serde_json::Value],
        add_generation_prompt: bool,
    ) -> Result<String, LlmError> {
        let refuse = |error: Error| LlmError::Template { path: self.path.clone(), what: describe(&error) };
        let (bos_token, eos_token) = (&self.bos, &self.eos);
        let messages = Value::from(Serde(messages));
        let context = match tools {
            [] => context! { messages, bos_token, eos_token, add_generation_prompt },
            tools => {
                context! { messages, tools => Value::from(Serde(tools)), bos_token, eos_token, add_generation_prompt }
            }
        };
        template_limits::render(&self.environment, NAME, context).map_err(refuse)
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

/// JSON as Python's `json.dumps` writes it (`", "` and `": "`), which is what models were trained on, unlike the escaping for
/// web pages that Jinja's own filter does. `indent` puts it on several lines.
fn tojson(value: Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let _: Option<Value> = options.get("ensure_ascii")?;
    let _: Option<Value> = options.get("separators")?;
    let _: Option<Value> = options.get("sort_keys")?;
    options.assert_all_used()?;
    let fail = |error: serde_json::Error| Error::new(ErrorKind::BadSerialization, error.to_string());
    let mut text = Bounded::default();
    match indent {
        Some(width) => {
            let spaces = " ".repeat(width.min(16));
            let formatter = serde_json::ser::PrettyFormatter::with_indent(spaces.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter)).map_err(fail)?;
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, Spaced)).map_err(fail)?,
    }
    Ok(text.into_text())
}

/// JSON on one line, with a space after commas and colons.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

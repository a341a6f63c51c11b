//! How one talks to a model: its template, its dialect of tool calls and its thinking brought together, so that a caller has
//! messages and tools on one side, and text and calls on the other.

use std::sync::Arc;

use serde_json::Value;

use super::dialect::{Dialect, Example, LazyConstraint, ReplyParser, ToolSchema};
use super::generate::ThoughtLimit;
use super::template::Thinking;
use super::{Constrained, Llm, LlmError, Message, Role, TokenId};

/// Models with more weights than this need no worked examples where their template shows the tools.
const NEEDS_EXAMPLES_UP_TO: u64 = 4_000_000_000;

/// What a user may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChatOptions {
    /// Another dialect than the one that was found.
    pub dialect: Option<Dialect>,
    /// Whether the model thinks before it answers.
    pub thinking: Thinking,
}

/// A reply that is one call and nothing else.
#[derive(Debug, Clone)]
pub struct ForcedCall {
    /// The text with which it begins.
    pub opening: String,
    /// The same as tokens, which end the prompt.
    pub tokens: Vec<TokenId>,
    /// What must follow.
    pub constraint: Constrained,
}

/// One way of talking to a model, with the tools that it is offered.
#[derive(Debug, Clone)]
pub struct Chat {
    llm: Arc<Llm>,
    dialect: Dialect,
    thinking: Thinking,
    schemas: Vec<Value>,
    examples: Vec<Message>,
    /// The schemas that the constraints were made of last, and these.
    held: (Vec<Value>, Vec<LazyConstraint>),
}

impl Chat {
    /// A chat without tools.
    ///
    /// # Errors
    /// The model carries no vocabulary or no template.
    pub fn new(llm: &Arc<Llm>, options: ChatOptions) -> Result<Chat, LlmError> {
        let dialect = options.dialect.unwrap_or(llm.template()?.dialect());
        let llm = Arc::clone(llm);
        let held = (Vec::new(), Vec::new());
        Ok(Chat { llm, dialect, thinking: options.thinking, schemas: Vec::new(), examples: Vec::new(), held })
    }

    /// The same with a model that does not think before it answers.
    #[must_use]
    pub fn without_thinking(self) -> Chat {
        Chat { thinking: Thinking::Off, ..self }
    }

    /// How the model writes calls.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Offers tools, each as `{"type": "function", "function": {name, description, parameters}}`, with worked examples for models
    /// that need some.
    pub fn offer(&mut self, schemas: Vec<Value>, examples: &[Example]) {
        self.examples.clear();
        if !self.llm.knows_tools() && (!self.shows_tools() || self.llm.info().parameters <= NEEDS_EXAMPLES_UP_TO) {
            for example in examples {
                self.examples.push(Message::new(Role::User, &example.ask));
                if let Some((call, result)) = &example.call {
                    self.examples.push(Message::new(Role::Assistant, self.dialect.written(std::slice::from_ref(call))));
                    self.examples.push(Message::new(Role::Tool, result));
                }
                self.examples.push(Message::new(Role::Assistant, &example.say));
            }
        }
        self.schemas = schemas;
    }

    fn shows_tools(&self) -> bool {
        self.llm.template().is_ok_and(super::ChatTemplate::shows_tools)
    }

    /// A conversation as the model reads it: with the tools, and with the worked examples after the system message.
    ///
    /// # Errors
    /// The template refuses the messages.
    pub fn prompt(&self, messages: &[Message], reply_follows: bool) -> Result<Vec<TokenId>, LlmError> {
        Ok(self.llm.tokenizer()?.encode_prompt(&self.text(messages, reply_follows)?))
    }

    /// The text of such a prompt, for those who put something else than text into it.
    ///
    /// # Errors
    /// As [`prompt`](Self::prompt).
    pub fn text(&self, messages: &[Message], reply_follows: bool) -> Result<String, LlmError> {
        let template = self.llm.template()?;
        let shows_tools = template.shows_tools();
        let mut all = Vec::with_capacity(messages.len() + self.examples.len() + 1);
        let (system, rest) = match messages {
            [first, rest @ ..] if first.role == Role::System => (first.content.as_str(), rest),
            all => ("", all),
        };
        let told = match shows_tools || self.llm.knows_tools() {
            true => String::new(),
            false => self.dialect.told(&ToolSchema::all(&self.schemas)),
        };
        let system = match (system, told.as_str()) {
            (system, "") => system.to_owned(),
            ("", told) => told.to_owned(),
            (system, told) => format!("{system}\n\n{told}"),
        };
        // An empty one is the caller's word, too: some models were trained with it.
        let has_system = messages.first().is_some_and(|first| first.role == Role::System);
        if has_system || !system.is_empty() {
            all.push(Message::new(Role::System, system));
        }
        all.extend(self.examples.iter().cloned());
        all.extend_from_slice(rest);
        let tools = if shows_tools { self.schemas.as_slice() } else { &[] };
        template.render_thinking(&all, tools, reply_follows, self.thinking)
    }

    /// A parser for the reply to a prompt.
    pub fn parser(&self) -> ReplyParser {
        let opened =
            self.thinking != Thinking::Off && self.llm.template().is_ok_and(super::ChatTemplate::opens_thought);
        ReplyParser::new(self.dialect, ToolSchema::all(&self.schemas), opened)
    }

    /// How long the model may think.
    pub fn thought_limit(&self) -> Option<ThoughtLimit> {
        match self.thinking {
            Thinking::Tokens(tokens) => {
                let close = self.llm.template().map_or("</think>", super::ChatTemplate::thought_end).to_owned();
                Some(ThoughtLimit { tokens, close })
            }
            Thinking::Off | Thinking::On => None,
        }
    }

    /// What holds the model's calls to tools, whose arguments' values may be narrower than those that it is offered: to what
    /// exists now.
    pub fn constraints(&mut self, schemas: &[Value]) -> Vec<LazyConstraint> {
        if self.held.0 != schemas {
            let fits = |constraint: &super::Constraint| self.llm.check_constraint(constraint).is_ok();
            let lazy = self.dialect.constraints(&ToolSchema::all(schemas), &fits);
            self.held = (schemas.to_vec(), lazy);
        }
        self.held.1.clone()
    }

    /// What holds a whole reply to one call of one of these tools: the tokens with which it begins, their text, and what must
    /// follow. `None` where the model's dialect cannot be held.
    pub fn forced(&self, schemas: &[Value]) -> Option<ForcedCall> {
        let fits = |constraint: &super::Constraint| self.llm.check_constraint(constraint).is_ok();
        if self.thinking != Thinking::Off {
            return None; // it thinks first
        }
        let (opening, constraint) = self.dialect.forced(&ToolSchema::all(schemas), &fits)?;
        let tokens = self.llm.tokenizer().ok()?.encode_prompt(&opening);
        Some(ForcedCall { opening, tokens, constraint: Constrained { constraint, after: None } })
    }

    /// What holds a reply to plain text without calls; `None` where the dialect or thinking forbids it, and without the feature
    /// `grammar`.
    pub fn plain(&self) -> Option<Constrained> {
        let constraint =
            (cfg!(feature = "grammar") && self.thinking == Thinking::Off).then(|| self.dialect.plain()).flatten()?;
        Some(Constrained { constraint, after: None })
    }

    /// The same for a text that may hold code, JSON and tables: only the marks of calls and thoughts are kept out, so JSON that names a
    /// tool is still read as a call.
    pub fn prose(&self) -> Option<Constrained> {
        self.plain().map(|_| Constrained { constraint: Dialect::prose(), after: None })
    }
}

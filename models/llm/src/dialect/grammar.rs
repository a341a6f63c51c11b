//! Grammars that hold a model to the tools that there are: once it has begun a call in its dialect, only a call of one of the
//! tools with arguments that fit may follow.

use std::fmt::Write as _;

use serde_json::Value;

use super::schema::held;
use super::{Dialect, ToolSchema};
use crate::constraint::Constraint;

/// Where a constraint begins to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// The text after which, or with which, it begins.
    pub marker: String,
    /// Only where nothing but white space stands before it: at the beginning of the text, and again after a part that was held.
    pub at_start: bool,
    /// Whether the marker belongs to what must fit.
    pub included: bool,
}

/// A constraint that holds from its trigger on until it is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LazyConstraint {
    /// Where it begins.
    pub trigger: Trigger,
    /// What must fit.
    pub constraint: Constraint,
}

impl Trigger {
    fn after(marker: &str) -> Trigger {
        Trigger { marker: marker.to_owned(), at_start: false, included: false }
    }

    fn start(marker: &str) -> Trigger {
        Trigger { marker: marker.to_owned(), at_start: true, included: true }
    }
}

impl Dialect {
    /// What holds a model's calls to `tools`. `fits` says whether a constraint can be followed; where a tool's schema cannot, its
    /// arguments may be any object.
    pub fn constraints(self, tools: &[ToolSchema], fits: &dyn Fn(&Constraint) -> bool) -> Vec<LazyConstraint> {
        if tools.is_empty() {
            return Vec::new();
        }
        let tools = followable(tools, fits);
        let rules = Rules::of(&tools);
        let all = self.frames(&rules).into_iter().map(|(trigger, start, calls)| LazyConstraint {
            trigger,
            constraint: Constraint::Lark(rules.grammar(&start, &calls)),
        });
        all.filter(|lazy| fits(&lazy.constraint)).collect()
    }

    /// What holds a whole reply to one call of one of `tools`: the text with which the model's call begins, and what follows it.
    /// `None` for a dialect whose calls no grammar describes.
    pub(crate) fn forced(
        self,
        tools: &[ToolSchema],
        fits: &dyn Fn(&Constraint) -> bool,
    ) -> Option<(String, Constraint)> {
        let tools = followable(tools, fits);
        let rules = Rules::of(&tools);
        let is_usual = |trigger: &Trigger| self != Dialect::Llama || trigger.at_start;
        let (trigger, start, calls) = self.frames(&rules).into_iter().find(|(trigger, ..)| is_usual(trigger))?;
        let more = [r#" (W? "," W? call)*"#, " (W? call)*", " (W call)*"];
        let one = more.iter().fold(start.replace("call+", "call"), |one, more| one.replace(more, ""));
        let constraint = Constraint::Lark(rules.grammar(&one, &calls));
        let opening = if trigger.included { String::new() } else { trigger.marker };
        (!tools.is_empty() && fits(&constraint)).then_some((opening, constraint))
    }

    /// What holds a reply to plain text, in which no call and no thought can begin. `None` for dialects in which text itself stands
    /// between marks.
    pub(crate) fn plain(self) -> Option<Constraint> {
        match self {
            Dialect::Harmony | Dialect::FunctionaryRecipient => None,
            _ => Some(Constraint::Regex(r"[^<>{}\[\]`|]{1,4000}".to_owned())),
        }
    }

    /// The same, but for the marks alone: brackets, braces and fences may stand in it.
    pub(crate) fn prose() -> Constraint {
        const MARKS: &str = r"<\||<｜|<\/?(tool|TOOL|function|think|reason|seed|minimax|invoke|channel)|\[\/?(TOOL|THINK|INST)|functools\[| to=functions";
        Constraint::Lark(format!("start: TEXT\nTEXT: /(?s:.+)/ & ~/(?s:.*)({MARKS})(?s:.*)/\n"))
    }

    /// The triggers, the start rules and the rules of the calls.
    fn frames(self, rules: &Rules<'_>) -> Vec<(Trigger, String, String)> {
        let key = match self {
            Dialect::Llama => "parameters",
            _ => "arguments",
        };
        let json = rules.json(key);
        let list = r#""[" W? call (W? "," W? call)* W? "]""#;
        let mut frames = Vec::new();
        let mut add = |trigger, start: &str, calls: &String| frames.push((trigger, start.to_owned(), calls.clone()));
        match self {
            Dialect::Hermes => {
                add(Trigger::after("<tool_call>"), r#"W? call W? "</tool_call>""#, &json);
            }
            Dialect::QwenXml => {
                add(Trigger::after("<tool_call>"), r#"W? call W? "</tool_call>""#, &rules.xml());
            }
            Dialect::Glm => add(Trigger::after("<tool_call>"), r#"call W? "</tool_call>""#, &rules.arg_pairs()),
            Dialect::Lfm2 => {
                let start = r#""[" call (W? "," W? call)* "]" "<|tool_call_end|>""#;
                add(Trigger::after("<|tool_call_start|>"), start, &rules.python());
            }
            Dialect::Pythonic => {
                add(Trigger::start("["), r#""[" call (W? "," W? call)* "]""#, &rules.python());
            }
            Dialect::Mistral => add(Trigger::after("[TOOL_CALLS]"), &format!("W? {list}"), &json),
            Dialect::MistralArgs => add(Trigger::after("[TOOL_CALLS]"), "call", &rules.named("", r#""[ARGS]""#, "")),
            Dialect::Gemma => {
                let start = r#""```tool_code\n" call (W call)* W? "```""#;
                add(Trigger::start("```tool_code"), start, &rules.python());
            }
            Dialect::Granite => add(Trigger::after("<|tool_call|>"), &format!("W? {list}"), &json),
            Dialect::DeepSeek => {
                let old = rules.named(
                    r#""<｜tool▁call▁begin｜>function<｜tool▁sep｜>""#,
                    r#""\n```json\n""#,
                    r#""\n```<｜tool▁call▁end｜>""#,
                );
                let start = r#"call (W? call)* W? "<｜tool▁calls▁end｜>""#;
                add(Trigger::after("<｜tool▁calls▁begin｜>"), start, &old);
            }
            Dialect::Harmony => {
                let between = r#"W? ("<|constrain|>"? "json")? "<|message|>""#;
                add(Trigger::after("<|channel|>commentary to=functions."), "call", &rules.named("", between, ""));
            }
            Dialect::Functionary => {
                add(Trigger::after("<function="), "call", &rules.named("", r#"">""#, r#""</function>""#));
            }
            Dialect::FunctionCall => add(Trigger::after("<functioncall>"), "W? call", &json),
            Dialect::Llama => add(Trigger::after("<|python_tag|>"), "W? call", &json),
            Dialect::Kimi => {
                let between = r#"":" /[0-9]{1,3}/ "<|tool_call_argument_begin|>""#;
                let calls = rules.named(r#""<|tool_call_begin|>functions.""#, between, r#""<|tool_call_end|>""#);
                add(Trigger::after("<|tool_calls_section_begin|>"), r#"call+ "<|tool_calls_section_end|>""#, &calls);
            }
            Dialect::Apertus => {
                add(Trigger::after("<|tools_prefix|>"), &format!(r#"{list} "<|tools_suffix|>""#), &rules.keyed());
            }
            Dialect::GigaChat => add(Trigger::after("<|function_call|>"), "W? call", &json),
            Dialect::Cohere => {
                let start = format!(r#"{list} "<|END_ACTION|>""#);
                add(Trigger::after("<|START_ACTION|>"), &start, &rules.numbered());
            }
            Dialect::Nemotron => {
                add(Trigger::after("<TOOLCALL>"), &format!(r#"W? {list} W? "</TOOLCALL>""#), &json);
            }
            Dialect::ToolCalls => {
                add(Trigger::after("<tool_calls>"), &format!(r#"W? {list} W? "</tool_calls>""#), &json);
            }
            Dialect::MiniMax => {
                let start = r#"W? call (W? call)* W? "</minimax:tool_call>""#;
                let calls = rules
                    .tags(["<invoke name=\"", "\">\n", "</invoke>"], ["<parameter name=\"", "\">", "</parameter>\n"]);
                add(Trigger::after("<minimax:tool_call>"), start, &calls);
            }
            Dialect::MiniCpm => {
                let calls = rules.tags(["", "\">", "</function>"], ["<param name=\"", "\">", "</param>"]);
                add(Trigger::after("<function name=\""), "call", &calls);
            }
            Dialect::Functools => add(Trigger::after("functools"), list, &json),
            Dialect::Dsml
            | Dialect::Solar
            | Dialect::Generic
            | Dialect::Gemma4
            | Dialect::FunctionaryRecipient
            | Dialect::HomeLlm => {}
        }
        if self.is_bare() && self != Dialect::HomeLlm {
            add(Trigger::start("{"), "call", &json);
            add(Trigger::start("["), list, &json);
            if self != Dialect::Gemma {
                add(Trigger::start("```"), r#""```" /[a-z_]{0,16}/ W call (W? call)* W? "```""#, &json);
            }
        }
        frames
    }
}

/// The tools with schemas that a grammar can follow; where one cannot be, its arguments may be any object.
fn followable(tools: &[ToolSchema], fits: &dyn Fn(&Constraint) -> bool) -> Vec<ToolSchema> {
    let followable = |tool: &ToolSchema| {
        let alone = Rules::of(std::slice::from_ref(tool));
        let grammar = alone.grammar("call", &alone.json("arguments"));
        match fits(&Constraint::Lark(grammar)) {
            true => tool.clone(),
            false => ToolSchema {
                parameters: serde_json::json!({"type": "object", "additionalProperties": true}),
                ..tool.clone()
            },
        }
    };
    tools.iter().map(followable).collect()
}

/// The rules of the tools' arguments, and from these of their calls in several forms.
struct Rules<'a> {
    tools: &'a [ToolSchema],
}

impl<'a> Rules<'a> {
    fn of(tools: &'a [ToolSchema]) -> Rules<'a> {
        Rules { tools }
    }

    /// A whole grammar. Each schema is a document of its own, so that what it refers to within itself is found.
    fn grammar(&self, start: &str, calls: &str) -> String {
        let mut text = format!("start: {start}\n{calls}W: /[ \\n\\t]{{1,16}}/\n");
        for (index, tool) in self.tools.iter().enumerate() {
            if calls.contains(&format!("args_{index}")) {
                let _ = writeln!(text, "args_{index}: %json {}", held(&tool.parameters));
            }
        }
        text
    }

    fn alternatives(&self) -> String {
        let names: Vec<String> = (0..self.tools.len()).map(|index| format!("call_{index}")).collect();
        format!("call: {}\n", names.join(" | "))
    }

    /// `{"name": "…", "arguments": {…}}`
    fn json(&self, key: &str) -> String {
        self.object("", "\"name\"", &format!("\"{key}\""))
    }

    /// `{"tool_call_id": "0", "tool_name": "…", "parameters": {…}}`
    fn numbered(&self) -> String {
        let number = format!(r#"{} W? ":" W? "\"" /[0-9]{{1,3}}/ "\"" W? "," W? "#, quoted("\"tool_call_id\""));
        self.object(&number, "\"tool_name\"", "\"parameters\"")
    }

    /// An object with a call's name and arguments under these keys, and something before them.
    fn object(&self, before: &str, name_key: &str, key: &str) -> String {
        let mut text = self.alternatives();
        let (name_key, key) = (quoted(name_key), quoted(key));
        for (index, tool) in self.tools.iter().enumerate() {
            let name = quoted(&Value::from(tool.name.as_str()).to_string());
            let _ = writeln!(
                text,
                r#"call_{index}: "{{" W? {before}{name_key} W? ":" W? {name} W? "," W? {key} W? ":" W? args_{index} W? "}}""#
            );
        }
        text
    }

    /// `{"name": {…}}`
    fn keyed(&self) -> String {
        let mut text = self.alternatives();
        for (index, tool) in self.tools.iter().enumerate() {
            let name = quoted(&Value::from(tool.name.as_str()).to_string());
            let _ = writeln!(text, r#"call_{index}: "{{" W? {name} W? ":" W? args_{index} W? "}}""#);
        }
        text
    }

    /// The name, then the arguments, with texts around and between them.
    fn named(&self, before: &str, between: &str, after: &str) -> String {
        let mut text = self.alternatives();
        for (index, tool) in self.tools.iter().enumerate() {
            let _ = writeln!(text, "call_{index}: {before} {} {between} args_{index} {after}", quoted(&tool.name));
        }
        text
    }

    /// Runs `form` over each argument of each tool: it gets the argument's name, and a rule for its value.
    fn each(
        &self,
        value: &dyn Fn(&Value) -> String,
        form: &dyn Fn(&str, &str) -> String,
        frame: &dyn Fn(&str, &str) -> String,
    ) -> String {
        let mut text = self.alternatives();
        for (index, tool) in self.tools.iter().enumerate() {
            let mut arguments = Vec::new();
            for (at, (name, schema)) in
                tool.parameters.get("properties").and_then(Value::as_object).into_iter().flatten().enumerate()
            {
                let _ = writeln!(text, "value_{index}_{at}: {}", value(schema));
                let _ = writeln!(text, "argument_{index}_{at}: {}", form(name, &format!("value_{index}_{at}")));
                arguments.push(format!("argument_{index}_{at}"));
            }
            let arguments = if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(" | ")) };
            let _ = writeln!(text, "call_{index}: {}", frame(&quoted(&tool.name), &arguments));
        }
        text
    }

    /// `name(key=value, …)`; which arguments must be there is checked afterwards.
    fn python(&self) -> String {
        let value = |schema: &Value| match schema.get("type").and_then(Value::as_str) {
            Some("boolean") => r#""True" | "False""#.to_owned(),
            _ => format!("%json {}", held_value(schema)),
        };
        let form = |name: &str, value: &str| format!("{} W? {value}", quoted(&format!("{name}=")));
        let frame = |name: &str, arguments: &str| match arguments {
            "" => format!(r#"{name} "(" ")""#),
            arguments => format!(r#"{name} "(" ({arguments} (W? "," W? {arguments})*)? W? ")""#),
        };
        self.each(&value, &form, &frame)
    }

    /// A value between tags: one of the values that there are, or a text without a tag.
    fn plain(schema: &Value) -> String {
        let values = schema.get("enum").and_then(Value::as_array);
        let texts: Vec<String> = values
            .into_iter()
            .flatten()
            .map(|value| quoted(&value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect();
        match schema.get("type").and_then(Value::as_str) {
            _ if !texts.is_empty() => texts.join(" | "),
            Some("string") | None => r"/[^<\n]{1,400}/".to_owned(),
            Some(_) => format!("%json {}", held_value(schema)),
        }
    }

    fn xml(&self) -> String {
        self.tags(["<function=", ">\n", "</function>"], ["<parameter=", ">\n", "\n</parameter>\n"])
    }

    /// Arguments between tags: what stands before a name, behind it, and at the end, of a call and of an argument.
    fn tags(&self, call: [&str; 3], argument: [&str; 3]) -> String {
        let form = |name: &str, value: &str| {
            format!("{} {value} {}", quoted(&format!("{}{name}{}", argument[0], argument[1])), quoted(argument[2]))
        };
        let before = if call[0].is_empty() { String::new() } else { quoted(call[0]) };
        let frame = |name: &str, arguments: &str| {
            let arguments = if arguments.is_empty() { String::new() } else { format!("{arguments}*") };
            format!("{before} {name} {} {arguments} {}", quoted(call[1]), quoted(call[2]))
        };
        self.each(&Rules::plain, &form, &frame)
    }

    fn arg_pairs(&self) -> String {
        let form = |name: &str, value: &str| {
            format!(r#"{} W? "<arg_value>" {value} "</arg_value>" W?"#, quoted(&format!("<arg_key>{name}</arg_key>")))
        };
        let frame = |name: &str, arguments: &str| match arguments {
            "" => format!("{name} W?"),
            arguments => format!("{name} W? {arguments}*"),
        };
        self.each(&Rules::plain, &form, &frame)
    }
}

/// The schema of one value. References to definitions beside it are not found from here: such a value may be any.
fn held_value(schema: &Value) -> Value {
    if schema.to_string().contains("\"$ref\"") {
        return serde_json::json!({"x-guidance": {"lenient": true}});
    }
    let mut schema = match schema.clone() {
        Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    };
    schema.insert(
        "x-guidance".to_owned(),
        serde_json::json!({"whitespace_pattern": r"[ \n\t]{1,16}", "coerce_one_of": true, "lenient": true}),
    );
    Value::Object(schema)
}

/// A text as Lark writes it.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

//! A configuration file's keys, from its type's JSON schema and its default, written as an example file and as a page.

use std::fmt::Write as _;
use std::path::Path;

use nearfield::config::Config;
use schemars::JsonSchema;
use serde_json::Value;

/// Lines of example files are at most this wide.
const WIDTH: usize = 130;
/// Comments stand beside keys that are at most this wide, else above them.
const MOST_KEY_WIDTH: usize = 40;

/// One of the configuration files.
pub struct ConfigFile {
    pub name: &'static str,
    title: &'static str,
    commands: &'static [&'static str],
    tables: Vec<Table>,
    load: fn(Option<&Path>, &[String]) -> Result<(), String>,
}

/// How often a table may stand in the file.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Once,
    /// `[[name]]`
    Each,
    /// `"any key" = { ... }`
    Map,
}

struct Table {
    path: String,
    meaning: String,
    form: Form,
    keys: Vec<Key>,
}

/// A key.
pub struct Key {
    table: String,
    form: Form,
    pub name: String,
    /// The first paragraph of the field's documentation.
    pub meaning: String,
    /// The others.
    details: String,
    kind: String,
    format: String,
    default: Option<toml::Value>,
    example: Option<Value>,
    /// The other keys of the same table with examples, where there may be several such tables.
    beside: Vec<(String, Value)>,
}

impl ConfigFile {
    pub fn of<T: Config + JsonSchema>(
        name: &'static str,
        title: &'static str,
        commands: &'static [&'static str],
    ) -> Self {
        let schema = schemars::schema_for!(T).to_value();
        let default = toml::Table::try_from(T::default()).expect("a default is a table");
        let mut tables = Vec::new();
        read_table(&schema, &schema, Some(&default), Form::Once, "", "", &mut tables);
        let load = |path: Option<&Path>, sets: &[String]| T::load(path, sets).map(drop).map_err(|e| e.to_string());
        Self { name, title, commands, tables, load }
    }

    pub fn load(&self, path: Option<&Path>, sets: &[String]) -> Result<(), String> {
        (self.load)(path, sets)
    }

    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.tables.iter().flat_map(|table| &table.keys)
    }

    /// What the program says of a value, if it refuses it.
    pub fn refusal(&self, key: &Key, value: &str) -> Option<String> {
        let pair = format!("{} = {value}", key.name);
        let set = match key.form {
            Form::Once => format!("{}={value}", key.path()),
            Form::Each => {
                let others = key.beside.iter().map(|(name, value)| format!("{name} = {}", inline(value)));
                let pairs: Vec<String> = others.chain([pair]).collect();
                format!("{}=[{{{}}}]", key.table, pairs.join(", "))
            }
            Form::Map => format!("{}={{{} = {{{pair}}}}}", key.table, entry(&key.table)),
        };
        self.load(None, &[set]).err()
    }

    /// The values that a key's refusal names as right: `from 0 to 1`.
    fn range(&self, key: &Key) -> String {
        if !key.is_number() {
            return String::new();
        }
        let message = key.beyond().iter().find_map(|value| self.refusal(key, value)).unwrap_or_default();
        message.rsplit_once("must be ").map(|(_, range)| range.to_owned()).unwrap_or_default()
    }

    /// The example file: every key with its default.
    pub fn example(&self) -> String {
        let mut text = String::new();
        let title = self.title;
        comment(
            &mut text,
            &format!(
                "{title}: every key with its default. Keep what you change, delete the rest: an empty file is complete."
            ),
        );
        for command in self.commands {
            let _ = writeln!(text, "#   {command}");
        }
        comment(
            &mut text,
            "A key that Nearfield does not know is refused, with the nearest known one named. Relative paths start at this file. All keys: docs/configuration.md.",
        );
        for table in &self.tables {
            text.push('\n');
            table.write(&mut text);
        }
        text
    }

    /// The example file with what stands there in comments as an example.
    pub fn uncommented(&self) -> String {
        let is_code = |line: &&str| {
            let line = line.trim_start_matches("# ");
            line.starts_with('[') && line.ends_with(']')
                || line.starts_with('"')
                || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
        };
        self.example().lines().filter(is_code).map(|line| line.trim_start_matches("# ").to_owned() + "\n").collect()
    }
}

/// The table of `schema`, with the tables in it behind it.
fn read_table(
    root: &Value,
    schema: &Value,
    default: Option<&toml::Table>,
    form: Form,
    path: &str,
    meaning: &str,
    tables: &mut Vec<Table>,
) {
    let mut table = Table { path: path.to_owned(), meaning: plain(meaning), form, keys: Vec::new() };
    let mut inner = Vec::new();
    let properties = schema["properties"].as_object().expect("a table has properties");
    for (name, property) in properties {
        let target = resolved(root, property);
        let described = property["description"].as_str().or(target["description"].as_str());
        let description = described.unwrap_or_default().to_owned();
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let default = default.and_then(|d| d.get(name));
        let items = resolved(root, &target["items"]);
        let values = resolved(root, &target["additionalProperties"]);
        if target["properties"].is_object() {
            inner.push((target.clone(), default.and_then(toml::Value::as_table), Form::Once, below, description));
        } else if items["properties"].is_object() {
            inner.push((items.clone(), None, Form::Each, below, description));
        } else if values["properties"].is_object() {
            inner.push((values.clone(), None, Form::Map, below, description));
        } else {
            let (first, details) = description.split_once("\n\n").unwrap_or((&description, ""));
            table.keys.push(Key {
                table: path.to_owned(),
                form,
                name: name.clone(),
                meaning: plain(first),
                details: details.to_owned(),
                kind: kind(&target),
                format: target["format"].as_str().unwrap_or_default().to_owned(),
                default: default.cloned(),
                example: property["examples"].get(0).cloned(),
                beside: Vec::new(),
            });
        }
    }
    let examples: Vec<(String, Value)> =
        table.keys.iter().filter_map(|key| Some((key.name.clone(), key.example.clone()?))).collect();
    for key in &mut table.keys {
        key.beside = examples.iter().filter(|(name, _)| *name != key.name).cloned().collect();
    }
    if !table.keys.is_empty() || form != Form::Once {
        tables.push(table);
    }
    for (target, default, form, path, meaning) in inner {
        read_table(root, &target, default, form, &path, &meaning, tables);
    }
}

/// What a schema refers to.
fn resolved(root: &Value, schema: &Value) -> Value {
    match schema["$ref"].as_str().and_then(|to| to.strip_prefix("#/$defs/")) {
        Some(name) => root["$defs"][name].clone(),
        None => schema.clone(),
    }
}

fn kind(schema: &Value) -> String {
    if let Some(variants) = schema["oneOf"].as_array().or(schema["enum"].as_array()) {
        let word =
            |v: &Value| v["const"].as_str().or(v["enum"][0].as_str()).or(v.as_str()).map(|w| format!("`\"{w}\"`"));
        return variants.iter().filter_map(word).collect::<Vec<_>>().join(", ");
    }
    if let Some(kinds) = schema["anyOf"].as_array() {
        let kinds: Vec<String> = kinds.iter().map(kind).filter(|kind| !kind.is_empty()).collect();
        return kinds.join(", ");
    }
    let of = |kind: &str| match kind {
        "string" => "text",
        "integer" => "whole number",
        "number" => "number",
        "boolean" => "true or false",
        "array" => "list",
        "object" => "table",
        _ => "",
    };
    match &schema["type"] {
        Value::String(kind) => of(kind).to_owned(),
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).map(of).find(|k| !k.is_empty()).unwrap_or("").to_owned()
        }
        _ => "table".to_owned(),
    }
}

impl Key {
    pub fn path(&self) -> String {
        if self.table.is_empty() { self.name.clone() } else { format!("{}.{}", self.table, self.name) }
    }

    pub fn is_number(&self) -> bool {
        self.kind.ends_with("number")
    }

    /// Values beyond any sensible range.
    pub fn beyond(&self) -> Vec<String> {
        match self.format.as_str() {
            "float" | "double" => vec!["1e30".to_owned(), "-1e30".to_owned()],
            "uint8" => vec![u8::MAX.to_string()],
            "uint32" => vec![u32::MAX.to_string()],
            _ => vec![i64::MAX.to_string()],
        }
    }

    /// `key = value`, in a comment where the key is left out.
    fn assignment(&self) -> String {
        match (&self.default, self.form) {
            (Some(value), Form::Once) => format!("{} = {}", self.name, literal(value)),
            (_, Form::Once | Form::Each) => {
                format!("# {} = {}", self.name, self.example.as_ref().map(inline).unwrap_or_default())
            }
            (_, Form::Map) => String::new(),
        }
    }
}

/// A key that a map of the configuration may hold.
fn entry(map: &str) -> &'static str {
    if map == "home.policy" { "lock" } else { "\"home/fridge\"" }
}

impl Table {
    fn write(&self, text: &mut String) {
        if !self.meaning.is_empty() {
            comment(text, &self.meaning);
        }
        match self.form {
            Form::Once => _ = writeln!(text, "[{}]", self.path),
            Form::Each => _ = writeln!(text, "# [[{}]]", self.path),
            Form::Map => {
                let _ = writeln!(text, "[{}]", self.path);
                let pairs =
                    self.keys.iter().filter_map(|k| Some(format!("{} = {}", k.name, inline(k.example.as_ref()?))));
                let _ = writeln!(text, "# {} = {{ {} }}", entry(&self.path), pairs.collect::<Vec<_>>().join(", "));
                for key in &self.keys {
                    comment(text, &format!("{}: {}", key.name, key.meaning));
                }
                return;
            }
        }
        let lines: Vec<String> = self.keys.iter().map(Key::assignment).collect();
        let width = |line: &String| line.chars().count();
        let column = lines.iter().map(width).filter(|w| *w <= MOST_KEY_WIDTH).max().unwrap_or(0);
        for (key, line) in self.keys.iter().zip(&lines) {
            if width(line) > column {
                comment(text, &key.meaning);
                let _ = writeln!(text, "{line}");
            } else {
                let wrapped = wrap(&key.meaning, WIDTH - column - 4);
                for (i, part) in wrapped.iter().enumerate() {
                    let left = if i == 0 { line.as_str() } else { "" };
                    let pad = column - left.chars().count();
                    let _ = writeln!(text, "{left}{:pad$}  # {part}", "");
                }
            }
            for item in key.details.split('\n').filter(|item| !item.trim().is_empty()) {
                comment(text, &plain(item));
            }
        }
    }
}

/// A value as it stands in a TOML file.
fn literal(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => format!("{text:?}"),
        // What was an f32 is written as one.
        toml::Value::Float(v) if f64::from(*v as f32) == *v => format!("{:?}", *v as f32),
        other => other.to_string(),
    }
}

/// An example as it stands in a TOML file.
fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key} = {}", inline(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::Number(n) if n.is_f64() => literal(&toml::Value::Float(n.as_f64().unwrap_or_default())),
        other => other.to_string(),
    }
}

/// One paragraph without line breaks.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn comment(text: &mut String, what: &str) {
    for line in wrap(what, WIDTH - 2) {
        let _ = writeln!(text, "# {line}");
    }
}

/// The reference page.
pub fn page(files: &[ConfigFile]) -> String {
    let mut text = String::from(
        "<!-- Written from the types by pipeline/tests/configuration.rs. Change the documentation of a type's fields and run\n\
         SNAPSHOTS=overwrite cargo test --release -p nearfield --test configuration -->\n\n\
         # Configuration\n\n\
         Each flow reads one file, named with `--config`. Every key has a default, so an empty file is complete; the files in\n\
         `configs/` show all of them. One key at a time can be changed on the command line, as in `--set llm.threads=2`; the last one\n\
         given counts. A key that is not known is refused, and so is a value out of range. Relative paths in a file start at that\n\
         file. The same key means the same in every file.\n",
    );
    for file in files {
        let _ = write!(text, "\n## {}.toml\n\n{}: `nearfield {}`.\n", file.name, file.title, file.name);
        for table in &file.tables {
            let heading = match table.form {
                Form::Once => format!("[{}]", table.path),
                Form::Each => format!("[[{}]]", table.path),
                Form::Map => format!("[{}] \"any key\" = {{ ... }}", table.path),
            };
            let _ = write!(text, "\n### `{heading}`\n");
            if !table.meaning.is_empty() {
                let _ = write!(text, "\n{}\n", cell(&table.meaning));
            }
            text.push_str("\n| key | default | accepted | meaning |\n|---|---|---|---|\n");
            for key in &table.keys {
                let default = match &key.default {
                    Some(value) => format!("`{}`", literal(value)),
                    None => "none".to_owned(),
                };
                let range = file.range(key);
                let accepted = if range.is_empty() { key.kind.clone() } else { format!("{}, {range}", key.kind) };
                let items = key.details.split('\n').filter(|item| !item.trim().is_empty());
                let meaning: Vec<String> = std::iter::once(key.meaning.clone())
                    .chain(items.map(|item| plain(item.trim_start_matches("- "))))
                    .collect();
                let _ = writeln!(
                    text,
                    "| `{}` | {} | {} | {} |",
                    key.name,
                    cell(&default),
                    cell(&accepted),
                    cell(&meaning.join("<br>"))
                );
            }
        }
    }
    text
}

/// A text as it stands in a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

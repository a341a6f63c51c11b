//! Limits in bytes for chat templates, which come with a model's file and are hostile until shown otherwise.
//!
//! minijinja bounds the steps that a template takes, but one step can double a text. So each value that a template makes is
//! measured when it is made, what multiplies is measured before it is, and all bytes together have a limit too. For that the
//! compiled instructions are rewritten: behind each that makes a value stands a call of [`measured`], and raw text is emitted
//! as a value, so that the formatter counts it. The interpreter, the filters and the methods stay minijinja's own.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::io;

use minijinja::formatting::FormatStyle;
use minijinja::machinery::{self, Instruction, Instructions, Token};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, StringInput, ValueKind, ValueOrKwargs, from_args};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, Value};
use minijinja_contrib::pycompat;

/// The longest template. The longest in use have some 30 kB.
const MOST_SOURCE_BYTES: usize = 256 << 10;
/// The most tokens between `{{` and `}}` or `{%` and `%}`: the parser recurses over them.
const MOST_BLOCK_TOKENS: usize = 2048;
/// The most blocks in a template.
const MOST_BLOCKS: usize = 4096;
/// The most `elif`s: the compiler recurses over them, since each nests in the one before it.
const MOST_ELIFS: usize = 256;
/// Steps that a template may take: a conversation of ten thousand messages needs fewer.
const MOST_STEPS: u64 = 2_000_000;
/// The largest value, all that it holds included: eight times the text of the longest contexts (128,000 tokens).
const MOST_VALUE_BYTES: usize = 4 << 20;
/// All values and all output together, each time that one is made or looked through.
const MOST_TOTAL_BYTES: usize = 128 << 20;
/// How deep values may be nested; JSON that was read is not deeper.
const MOST_DEPTH: usize = 128;
/// What an element costs beyond its text.
const NODE_BYTES: usize = 32;
/// How much longer than its size a value can be once written: a number of 32 bytes has up to 330 digits.
const MOST_WRITTEN: usize = 16;

/// Instructions call these as filters. No template can: they are no names.
const MEASURED: &str = "=";
const FACTORS: &str = "*";
const CONCAT: &str = "~";
const READ: &str = "-";
/// Tests that look through what they are given.
const LOOKING_TESTS: [&str; 19] = [
    "==",
    "eq",
    "equalto",
    "!=",
    "ne",
    "<",
    "lt",
    "lessthan",
    "<=",
    "le",
    ">",
    "gt",
    "greaterthan",
    ">=",
    "ge",
    "in",
    "startingwith",
    "endingwith",
    "lower",
];
/// Filters that look no further than at a text, or whose result is measured as a whole.
const SHALLOW_FILTERS: [&str; 9] = ["length", "count", "first", "last", "list", "items", "reverse", "tojson", "string"];
/// Stands in each product, see [`prepared`].
const ONE: &str = "nearfield_one";

/// Bytes made so far in this rendering.
#[derive(Default)]
struct Spent(usize);

fn refused(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

fn too_large() -> Error {
    refused(format!("it makes a value of more than {} MiB", MOST_VALUE_BYTES >> 20))
}

fn too_much() -> Error {
    refused(format!("it makes more than {} MiB of text and values", MOST_TOTAL_BYTES >> 20))
}

/// The source as it is to be compiled.
///
/// Each `a * b` becomes `a * one * b`: minijinja computes what consists of constants while it compiles, where nothing is
/// measured yet, and of all that it computes then only products grow beyond the source. `{% generation %}`, by which training
/// finds what the model writes, becomes a condition that always holds.
pub(super) fn prepared(source: &str, syntax: &SyntaxConfig) -> Result<String, Error> {
    if source.len() > MOST_SOURCE_BYTES {
        return Err(refused(format!("it has {} bytes; at most {MOST_SOURCE_BYTES} are read", source.len())));
    }
    let (mut text, mut copied) = (String::with_capacity(source.len()), 0);
    let (mut tokens, mut blocks, mut elifs) = (0, 0, 0);
    let mut begins_block = false;
    for token in machinery::tokenize(source, false, syntax.clone()) {
        let (token, span) = token?;
        tokens += 1;
        let follows_start = matches!(token, Token::BlockStart);
        match token {
            Token::VariableStart | Token::BlockStart => (tokens, blocks) = (0, blocks + 1),
            Token::Ident("elif") => elifs += 1,
            Token::Ident(name @ ("generation" | "endgeneration")) if begins_block => {
                text.push_str(source.get(copied..span.start_offset as usize).unwrap_or_default());
                text.push_str(if name == "generation" { "if true" } else { "endif" });
                copied = span.end_offset as usize;
            }
            Token::Mul => {
                let end = span.end_offset as usize;
                text.push_str(source.get(copied..end).unwrap_or_default());
                text.push_str(ONE);
                text.push('*');
                copied = end;
            }
            _ => {}
        }
        begins_block = follows_start;
        if tokens > MOST_BLOCK_TOKENS {
            return Err(refused(format!("line {} has more than {MOST_BLOCK_TOKENS} tokens", span.start_line)));
        }
        if blocks > MOST_BLOCKS || elifs > MOST_ELIFS {
            return Err(refused(format!("it has more than {MOST_BLOCKS} blocks or {MOST_ELIFS} `elif`s")));
        }
    }
    text.push_str(source.get(copied..).unwrap_or_default());
    Ok(text)
}

/// Puts the limits into an environment: fuel, a formatter that counts, and the filters and methods that multiply.
pub(super) fn install(environment: &mut Environment<'static>) {
    environment.set_fuel(Some(MOST_STEPS));
    environment.set_formatter(emit);
    environment.set_unknown_method_callback(method);
    environment.add_global(ONE, 1);
    environment.remove_global("debug"); // it prints all that there is
    environment.add_filter(MEASURED, measured);
    environment.add_filter(READ, read);
    environment.add_filter(FACTORS, factors);
    environment.add_filter(CONCAT, concat);
    environment.add_filter("batch", batch);
    environment.add_filter("slice", slice);
    environment.add_filter("format", format);
    environment.add_filter("indent", indent);
    environment.add_filter("join", join);
    environment.add_filter("pprint", pprint);
    environment.add_filter("replace", replace);
    environment.add_filter("sum", sum);
}

/// Whether the compiled template can be rewritten.
pub(super) fn check(environment: &Environment<'_>, name: &str) -> Result<(), Error> {
    let template = environment.get_template(name)?;
    let compiled = machinery::get_compiled_template(&template);
    compiled.blocks.values().chain([&compiled.instructions]).try_for_each(|part| rewritten(part).map(|_| ()))
}

/// Renders a template of an environment that has the limits.
pub(super) fn render(environment: &Environment<'_>, name: &str, root: Value) -> Result<String, Error> {
    let template = environment.get_template(name)?;
    let compiled = machinery::get_compiled_template(&template);
    let instructions = rewritten(&compiled.instructions)?;
    let blocks: BTreeMap<_, _> =
        compiled.blocks.iter().map(|(name, part)| Ok((*name, rewritten(part)?))).collect::<Result<_, Error>>()?;
    let mut text = String::new();
    let mut output = machinery::make_string_output(&mut text);
    machinery::eval(environment, &instructions, root, &blocks, &mut output, compiled.initial_auto_escape.clone())?;
    drop(output);
    Ok(text)
}

/// The same instructions with measurements between them.
fn rewritten<'source>(part: &Instructions<'source>) -> Result<Instructions<'source>, Error> {
    let mut starts = Vec::new();
    let mut all = Vec::new();
    for at in 0.. {
        starts.push(all.len() as u32);
        let Some(instruction) = part.get(at) else { break };
        all.extend(expanded(instruction)?.into_iter().map(|instruction| (at, instruction)));
    }
    let mut new = Instructions::new(part.name(), part.source());
    for (at, mut instruction) in all {
        if let Instruction::Iterate(to)
        | Instruction::Jump(to)
        | Instruction::JumpIfFalse(to)
        | Instruction::JumpIfFalseOrPop(to)
        | Instruction::JumpIfTrueOrPop(to)
        | Instruction::BuildMacro(_, to, _) = &mut instruction
        {
            *to = starts.get(*to as usize).copied().unwrap_or(*to);
        }
        match (part.get_span(at), part.get_line(at)) {
            (Some(span), _) => new.add_with_span(instruction, span),
            (None, Some(line)) => new.add_with_line(instruction, line as u16),
            (None, None) => new.add(instruction),
        };
    }
    Ok(new)
}

/// What stands for one instruction.
fn expanded<'source>(instruction: &Instruction<'source>) -> Result<Vec<Instruction<'source>>, Error> {
    let same = instruction.clone();
    // Not kept in the cache of filters that the compiler has numbered.
    let call = |name, arguments| Instruction::ApplyFilter(name, Some(arguments), !0);
    Ok(match instruction {
        Instruction::EmitRaw(text) => {
            vec![Instruction::LoadConst(Value::from_safe_string((*text).to_owned())), Instruction::Emit]
        }
        Instruction::StringConcat => vec![call(CONCAT, 2)],
        // Unpacking a list puts its first element on top.
        Instruction::Mul => vec![
            Instruction::BuildList(Some(2)),
            call(FACTORS, 1),
            Instruction::UnpackList(2),
            Instruction::Swap,
            same,
            call(MEASURED, 1),
        ],
        Instruction::Add
        | Instruction::Slice
        | Instruction::BuildList(_)
        | Instruction::BuildTuple(_)
        | Instruction::BuildMap(_)
        | Instruction::EndCapture
        | Instruction::CallFunction(..)
        | Instruction::CallMethod(..)
        | Instruction::CallObject(_) => vec![same, call(MEASURED, 1)],
        Instruction::ApplyFilter(name, Some(1), _) => {
            let before = if SHALLOW_FILTERS.contains(name) { READ } else { MEASURED };
            vec![call(before, 1), same, call(MEASURED, 1)]
        }
        Instruction::ApplyFilter(..) => vec![same, call(MEASURED, 1)],
        Instruction::PerformTest(name, ..) if LOOKING_TESTS.contains(name) => vec![call(MEASURED, 1), same],
        // These look through a value; the one on top says how far.
        Instruction::Eq
        | Instruction::Ne
        | Instruction::Gt
        | Instruction::Gte
        | Instruction::Lt
        | Instruction::Lte
        | Instruction::In
        | Instruction::CompareAndPreserve(_)
        | Instruction::UnpackList(_) => vec![call(MEASURED, 1), same],
        // A namespace within another value could come to hold itself.
        Instruction::SetAttr(_) => {
            vec![
                Instruction::Swap,
                Instruction::BuildList(Some(1)),
                call(MEASURED, 1),
                Instruction::UnpackList(1),
                Instruction::Swap,
                same,
            ]
        }
        Instruction::Include(_) | Instruction::LoadBlocks | Instruction::ExportLocals => {
            return Err(refused("it asks for another template, and a model's file holds only one"));
        }
        _ => vec![same],
    })
}

/// The bytes of a value with all that it holds, each part as often as it is reached.
pub(super) fn size(value: &Value) -> Result<usize, Error> {
    let mut bytes = 0;
    add_size(value, 0, &mut bytes)?;
    Ok(bytes)
}

fn add_size(value: &Value, depth: usize, bytes: &mut usize) -> Result<(), Error> {
    *bytes += NODE_BYTES + value.as_bytes().map_or(0, <[u8]>::len);
    if *bytes > MOST_VALUE_BYTES {
        return Err(too_large());
    }
    let Some(object) = value.as_object() else { return Ok(()) };
    if depth > MOST_DEPTH {
        return Err(refused(format!("it nests values more than {MOST_DEPTH} deep")));
    }
    match value.kind() {
        ValueKind::Map => {
            if depth > 0 && object.type_name().ends_with("::Namespace") {
                return Err(refused("it keeps a namespace in another value"));
            }
            for (key, value) in object.try_iter_pairs().into_iter().flatten() {
                add_size(&key, depth + 1, bytes)?;
                add_size(&value, depth + 1, bytes)?;
            }
        }
        ValueKind::Seq | ValueKind::Iterable => {
            for value in object.try_iter().into_iter().flatten() {
                add_size(&value, depth + 1, bytes)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn spend(state: &mut State, bytes: usize) -> Result<(), Error> {
    let spent = state.get_or_insert_extension(Spent::default());
    spent.0 = spent.0.saturating_add(bytes);
    if spent.0 > MOST_TOTAL_BYTES { Err(too_much()) } else { Ok(()) }
}

/// Gives back a value that is within the limits.
fn measured(state: &mut State, value: ValueOrKwargs) -> Result<Value, Error> {
    let value = value.into_value();
    let bytes = size(&value)?;
    spend(state, bytes)?;
    Ok(value)
}

/// Gives back a text that is to be read through, or another value.
fn read(state: &mut State, value: ValueOrKwargs) -> Result<Value, Error> {
    let value = value.into_value();
    spend(state, value.as_bytes().map_or(0, <[u8]>::len))?;
    Ok(value)
}

/// Gives back two factors whose product is within the limits.
fn factors(factors: Value) -> Result<Value, Error> {
    let (a, b) = (factors.get_item_by_index(0)?, factors.get_item_by_index(1)?);
    for (many, times) in [(&a, &b), (&b, &a)] {
        if let Some(times) = times.as_usize() {
            within(match many.as_str() {
                Some(text) => text.len().saturating_mul(times),
                None if many.as_object().is_some() => size(many)?.saturating_mul(times),
                None => 0,
            })?;
        }
    }
    Ok(factors)
}

/// `a ~ b`.
fn concat(state: &mut State, a: ValueOrKwargs, b: ValueOrKwargs) -> Result<Value, Error> {
    let mut text = Bounded::default();
    text.add(format_args!("{}{}", *a, *b))?;
    spend(state, text.0.len())?;
    Ok(Value::from(text.0))
}

fn within(bytes: usize) -> Result<(), Error> {
    if bytes > MOST_VALUE_BYTES { Err(too_large()) } else { Ok(()) }
}

/// Text up to the size of the largest value.
#[derive(Default)]
pub(super) struct Bounded(String);

impl Bounded {
    pub(super) fn add(&mut self, text: fmt::Arguments<'_>) -> Result<(), Error> {
        self.write_fmt(text).map_err(|_| too_large())
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MOST_VALUE_BYTES {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
        self.write_str(text).map_err(|_| io::Error::other(too_large().to_string()))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes an expression's value, or raw text, to the output, and counts it.
fn emit(output: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    match (value.as_str(), state.auto_escape()) {
        (Some(text), AutoEscape::None) => spend(state, text.len())?,
        (_, AutoEscape::None) => {
            let mut text = Bounded::default();
            text.add(format_args!("{value}"))?;
            spend(state, text.0.len())?;
            return output.write_str(&text.0).map_err(Error::from);
        }
        (..) => {
            let bytes = size(value)?;
            spend(state, bytes.saturating_mul(MOST_WRITTEN))?;
        }
    }
    minijinja::escape_formatter(output, state, value)
}

/// The methods of Python's texts and dictionaries.
fn method(state: &mut State, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let bytes = size(value)?;
    spend(state, bytes)?;
    if let Some(text) = value.as_str() {
        match name {
            "format" => check_format(FormatStyle::StrFormat, text, arguments)?,
            "replace" => {
                let (old, new, _): (&str, &str, Option<i32>) = from_args(arguments)?;
                check_replace(text, old, new)?;
            }
            "join" => {
                let (values,): (&Value,) = from_args(arguments)?;
                check_join(values, text)?;
            }
            _ => {}
        }
    }
    pycompat::unknown_method_callback(state, value, name, arguments)
}

fn check_replace(text: &str, old: &str, new: &str) -> Result<(), Error> {
    within(text.len().saturating_add(text.matches(old).count().saturating_mul(new.len())))
}

fn check_join(values: &Value, joiner: &str) -> Result<(), Error> {
    let elements = values.try_iter().map_or(0, Iterator::count);
    within(size(values)?.saturating_add(elements.saturating_mul(joiner.len())))
}

/// Widths and precisions, and arguments that are written often, make a text long.
fn check_format(style: FormatStyle, format: &str, arguments: &[Value]) -> Result<(), Error> {
    let (mut widest, mut number, mut fields, mut depth, mut from_arguments) =
        (0_usize, 0_usize, 0_usize, 0_usize, false);
    for c in format.chars() {
        let within_field = match (style, c) {
            (FormatStyle::StrFormat, '{') => {
                (fields, depth) = (fields + 1, depth + 1);
                from_arguments |= depth > 1;
                true
            }
            (FormatStyle::StrFormat, '}') => {
                depth = depth.saturating_sub(1);
                depth > 0
            }
            (FormatStyle::StrFormat, _) => depth > 0,
            (FormatStyle::Printf, '%') => {
                (fields, depth) = (fields + 1, 1);
                true
            }
            (FormatStyle::Printf, _) => {
                from_arguments |= depth > 0 && c == '*';
                depth = usize::from(depth > 0 && !c.is_ascii_alphabetic());
                depth > 0
            }
        };
        number = match c.to_digit(10) {
            Some(digit) if within_field => number.saturating_mul(10).saturating_add(digit as usize),
            _ => 0,
        };
        widest = widest.max(number);
    }
    let quoted = ["!r", "!a", "%r", "%a"].iter().any(|how| format.contains(how));
    let mut longest = 0;
    for argument in arguments {
        longest = longest.max(match argument.as_str() {
            Some(text) if !quoted => text.len(),
            _ => size(argument)?.saturating_mul(MOST_WRITTEN),
        });
        if from_arguments {
            widest = widest.max(argument.as_usize().unwrap_or(0));
        }
    }
    within(format.len().saturating_add(fields.saturating_mul(widest.saturating_add(longest))))
}

fn format(state: &mut State, text: &Value, arguments: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let values: Vec<Value> = arguments.iter().map(|argument| Value::clone(argument)).collect();
    check_format(FormatStyle::Printf, text.as_str().unwrap_or_default(), &values)?;
    let text = minijinja::filters::format(state, text, arguments)?;
    spend(state, size(&text)?)?;
    Ok(text)
}

fn indent(state: &mut State, value: StringInput<'_>, options: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    let options: Vec<Value> = options.into_values();
    let (width, first, blank, named): (Option<usize>, Option<bool>, Option<bool>, Kwargs) = from_args(&options)?;
    let named_width: Option<usize> = if named.has("width") { named.peek("width")? } else { None };
    let lines = value.as_str().split('\n').count();
    let bytes = value.as_str().len().saturating_add(lines.saturating_mul(width.or(named_width).unwrap_or(4)));
    within(bytes)?;
    spend(state, bytes)?;
    minijinja::filters::indent(value, width, first, blank, named)
}

fn join(
    state: &mut State,
    value: &Value,
    joiner: Option<StringInput<'_>>,
    attribute: Option<&str>,
    options: Kwargs,
) -> Result<Value, Error> {
    let named: Option<&str> = if options.has("d") { options.peek("d")? } else { None };
    check_join(value, joiner.as_ref().map(StringInput::as_str).or(named).unwrap_or_default())?;
    let text = minijinja::filters::join(state, value, joiner, attribute, options)?;
    spend(state, size(&text)?)?;
    Ok(text)
}

fn replace(
    state: &mut State,
    value: StringInput<'_>,
    from: StringInput<'_>,
    to: StringInput<'_>,
) -> Result<Value, Error> {
    check_replace(value.as_str(), from.as_str(), to.as_str())?;
    let text = minijinja::filters::replace(state, value, from, to)?;
    spend(state, size(&text)?)?;
    Ok(text)
}

fn batch(state: &mut State, value: Value, count: usize, fill: Option<Value>) -> Result<Value, Error> {
    spend_pieces(state, count)?;
    minijinja::filters::batch(state, value, count, fill)
}

fn slice(state: &mut State, value: Value, count: usize, fill: Option<Value>) -> Result<Value, Error> {
    spend_pieces(state, count)?;
    minijinja::filters::slice(state, value, count, fill)
}

/// As many pieces as are asked for are made, empty or not.
fn spend_pieces(state: &mut State, count: usize) -> Result<(), Error> {
    let bytes = count.saturating_mul(2 * NODE_BYTES);
    within(bytes)?;
    spend(state, bytes)
}

fn pprint(value: &Value) -> Result<String, Error> {
    let mut text = Bounded::default();
    text.add(format_args!("{value:#?}"))?;
    Ok(text.0)
}

/// Of numbers, as in Python; texts would be copied again with each one that is added.
fn sum(
    state: &mut State,
    values: Value,
    attribute: Option<&str>,
    start: Option<Value>,
    options: Kwargs,
) -> Result<Value, Error> {
    let named: Option<Value> = if options.has("start") { options.peek("start")? } else { None };
    if start.as_ref().or(named.as_ref()).is_some_and(|start| !start.is_number()) {
        return Err(refused("it sums values that are not numbers"));
    }
    minijinja::filters::sum(state, values, attribute, start, options)
}

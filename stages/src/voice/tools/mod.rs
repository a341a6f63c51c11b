//! The tools with which the model acts: a clock, timers, the home, and the user's own commands. The toolbox says which
//! there are, checks each call, runs it on the calling thread and always answers with JSON that can go back into the
//! session; a failed call is an answer too. It leaves out when to call and how to word the result.

mod answers;
mod client;
mod clock;
mod command;
mod error;
mod facts;
mod home;
mod kept;
mod matched;
mod plan;
mod shared_timers;
mod timer;
mod times;
mod values;

use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Zoned;
use nearfield_home::sentences::{LoadError, Matcher};
pub use nearfield_llm::ToolCall;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

pub use answers::{answer, keeps_to};
pub use client::{ClientTool, ToolRunner};
pub(crate) use command::run_command;
pub use command::{CommandTool, MAX_OUTPUT_BYTES, MAX_TIMEOUT_MS};
pub use error::ToolboxError;
use error::check_name;
pub use facts::Facts;
pub(crate) use facts::Truth;
pub use home::{HomeLayout, HomeThing, HomeTools, MOST_ENTITIES, ThingKind};
pub use kept::KeptError;
pub(crate) use matched::Foreseen;
pub use matched::Matched;
pub use plan::{NOT_FOUND, Plan};
pub use shared_timers::{Rings, SharedTimers};
pub use timer::{MAX_TIMER, MAX_TIMERS, TimerDone};

/// The names that a command tool cannot have.
pub const BUILT_IN: [&str; 5] = ["clock", "timer", "set_light", "set_door", "set_device"];

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToolResult {
    /// The tool that was called.
    pub name: String,
    /// The arguments of the call.
    pub arguments: Value,
    /// What goes back to the model; `{"ok": false, "error": "…"}` when it failed.
    pub result: Value,
    /// Whether it did what was asked.
    pub ok: bool,
    /// How long it took. Serialized as `elapsed_ms`.
    #[serde(rename = "elapsed_ms", serialize_with = "as_milliseconds")]
    pub elapsed: Duration,
    /// What to say where it failed: "I could not change the kitchen light: the disk is full".
    #[serde(skip)]
    pub failure: Option<String>,
    /// Whether the call itself was wrong, so that the model may try once more.
    #[serde(skip)]
    pub mistake: bool,
    /// Whether a command has answered in a form that only it knows, or a service of the home in a sentence.
    #[serde(skip)]
    pub own_words: bool,
}

/// Of more words than this nobody wants to hear which may be said.
const MOST_TOLD: usize = 5;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallError {
    /// The call was wrong: there is no such tool, or the arguments do not fit it.
    Mistake(String),
    /// It named something that is none of the many there are, which the reason lists for the model.
    Unknown(String),
    /// It was right, and could not be done.
    Failed {
        /// What could not be done: "change the kitchen light". Empty where the reason is a sentence of its own.
        what: String,
        /// Why: "the disk is full".
        reason: String,
    },
}

impl CallError {
    /// As the model reads it.
    fn reason(&self) -> &str {
        match self {
            Self::Mistake(reason) | Self::Unknown(reason) | Self::Failed { reason, .. } => reason,
        }
    }

    /// As it is said.
    fn spoken(&self) -> String {
        match self {
            Self::Mistake(reason) => format!("I could not do that: {}", answers::speakable(reason)),
            Self::Unknown(_) => "I know nothing of that name here, so I have changed nothing".to_owned(),
            Self::Failed { what, reason } if what.is_empty() => capital(&answers::speakable(reason)),
            Self::Failed { what, reason } => {
                format!("I could not {}: {}", answers::speakable(what), answers::speakable(reason))
            }
        }
    }
}

impl ToolResult {
    /// Whether the tool was a command of the user's.
    pub fn is_of_command(&self) -> bool {
        !BUILT_IN.contains(&self.name.as_str()) && !nearfield_home::tools::is_tool(&self.name)
    }

    /// The result as the model reads it in the session: JSON with a space after each colon and comma.
    ///
    /// Within a text a `<` is written as its number, so that none is taken for a mark of the chat template.
    pub fn to_text(&self) -> String {
        spaced_json(&self.result).replace('<', "\\u003c")
    }
}

/// The tools of one assistant, with the home that they change and the timers that they start.
#[derive(Debug)]
pub struct Toolbox {
    home: Option<HomeTools>,
    /// Made once the form of the home asks for it; its templates take some 20 ms to parse.
    matching: Option<matched::Matching>,
    is_matcher_wanted: bool,
    /// With a user's own sentences, where there are some.
    matcher: Option<Matcher>,
    timers: shared_timers::TimerPart,
    commands: Vec<CommandTool>,
    /// Those that the client of a connection runs.
    of_client: Vec<ClientTool>,
    clock: fn() -> Zoned,
    /// The time at which every request is made, for scoring.
    now: Option<Zoned>,
    /// What the request says of time.
    times: times::Times,
}

impl Toolbox {
    /// The built-in tools, a home if there is one, and the user's own commands.
    ///
    /// # Errors
    /// [`ToolboxError`] for a command whose name, program, time limit or schema cannot be used.
    pub fn new(home: Option<HomeTools>, commands: Vec<CommandTool>) -> Result<Self, ToolboxError> {
        for (index, tool) in commands.iter().enumerate() {
            check_name(&tool.name, home.is_some(), commands[..index].iter().map(|other| &*other.name))?;
            let name = tool.name.clone();
            if tool.command.first().is_none_or(String::is_empty) || tool.command.iter().any(|part| part.contains('\0'))
            {
                return Err(ToolboxError::NoCommand { name });
            }
            if !(1..=MAX_TIMEOUT_MS).contains(&tool.timeout_ms) {
                return Err(ToolboxError::Timeout { name, timeout_ms: tool.timeout_ms });
            }
            check_schema(&tool.parameters).map_err(|reason| ToolboxError::Parameters { name, reason })?;
        }
        let (timers, clock) = (shared_timers::TimerPart::default(), Zoned::now as fn() -> Zoned);
        let toolbox = Self {
            home,
            matching: None,
            is_matcher_wanted: true,
            matcher: None,
            timers,
            commands,
            of_client: Vec::new(),
            clock,
            now: None,
            times: times::Times::default(),
        };
        Ok(toolbox.matched_where_asked_for())
    }

    /// The same with tools that the client of a connection runs.
    ///
    /// # Errors
    /// [`ToolboxError`], as of [`Toolbox::new`].
    pub fn with_client_tools(self, tools: Vec<ClientTool>) -> Result<Self, ToolboxError> {
        for (index, tool) in tools.iter().enumerate() {
            let others = self.commands.iter().map(|other| &*other.name);
            let others = others.chain(tools[..index].iter().map(|other| &*other.name));
            check_name(&tool.name, self.home.is_some(), others)?;
            let name = tool.name.clone();
            check_schema(&tool.parameters).map_err(|reason| ToolboxError::Parameters { name, reason })?;
        }
        Ok(Self { of_client: tools, ..self })
    }

    fn matched_where_asked_for(mut self) -> Self {
        let is_due = self.is_matcher_wanted && self.matching.is_none();
        if is_due && self.home.as_ref().is_some_and(HomeTools::is_matched) {
            let own = self.matcher.clone().map(matched::Matching::by);
            self.matching = own.or_else(matched::Matching::english);
        }
        self
    }

    /// The same with a user's own sentence templates besides ours: a folder of files, or one file.
    ///
    /// # Errors
    /// [`LoadError`], which names the file and the line.
    pub fn with_sentences(self, path: &Path) -> Result<Self, LoadError> {
        let matcher = Matcher::english()?.with_sentences(path)?;
        Ok(Self { matcher: Some(matcher), matching: None, ..self }.matched_where_asked_for())
    }

    /// The same without the sentence matcher: the language model answers everything.
    #[must_use]
    pub fn without_matcher(self) -> Self {
        Self { matching: None, is_matcher_wanted: false, ..self }
    }

    /// The same with timers, alarms and wishes for later that are kept in a file, and those that are in it.
    ///
    /// # Errors
    /// [`KeptError`], where the file can't be read or holds something else.
    pub fn with_timers_kept_in(self, path: &Path) -> Result<Self, KeptError> {
        Ok(self.with_timers(SharedTimers::open(path)?, Rings::All))
    }

    /// The same with timers that other conversations of the process share.
    #[must_use]
    pub fn with_timers(self, shared: SharedTimers, rings: Rings) -> Self {
        Self { timers: shared_timers::TimerPart::new(shared, rings), ..self }
    }

    /// Whether timers that are running when the conversation ends are rung all the same: after a restart, or by another.
    pub fn timers_outlive_it(&self) -> bool {
        self.timers.outlive_it()
    }

    /// The same with another clock, for tests.
    #[must_use]
    pub fn with_clock(self, clock: fn() -> Zoned) -> Self {
        Self { clock, ..self }
    }

    /// The same at one time, for scoring.
    #[must_use]
    pub fn at_time(self, now: Zoned) -> Self {
        Self { now: Some(now), ..self }
    }

    fn now(&self) -> Zoned {
        self.now.clone().unwrap_or_else(self.clock)
    }

    /// The tools that make sense here, each as `{"type": "function", "function": {name, description, parameters}}`:
    /// no doors, no `set_door`.
    pub fn schemas(&self) -> Vec<Value> {
        let mut schemas = vec![
            function("clock", "Tells the time and the date.", schema_of("clock")),
            function("timer", "Starts a timer.", schema_of("timer")),
        ];
        schemas.extend(self.home.iter().flat_map(HomeTools::schemas));
        schemas.extend(
            self.commands.iter().map(|tool| function(&tool.name, &tool.description, full_schema(&tool.parameters))),
        );
        schemas.extend(
            self.of_client.iter().map(|tool| function(&tool.name, &tool.description, full_schema(&tool.parameters))),
        );
        schemas
    }

    /// Whether there are tools besides our own: the user's commands, and those of a connection's client.
    fn has_tools_of_others(&self) -> bool {
        !self.commands.is_empty() || !self.of_client.is_empty()
    }

    /// The lights, doors, devices and temperatures of the home.
    pub fn things(&self) -> Vec<HomeThing> {
        self.home.as_ref().map(HomeTools::things).unwrap_or_default()
    }

    /// Whether the home's tools take entities' names.
    pub fn is_by_entity(&self) -> bool {
        self.home.as_ref().is_some_and(HomeTools::is_by_entity)
    }

    /// The tools that neither name nor touch anything of the home.
    pub fn schemas_without_home(&self) -> Vec<Value> {
        let of_home = |schema: &Value| {
            let name = schema["function"]["name"].as_str().unwrap_or_default();
            self.home.as_ref().is_some_and(|home| home.has_tool(name))
        };
        self.schemas().into_iter().filter(|schema| !of_home(schema)).collect()
    }

    /// What becomes of a call of a tool that was not offered.
    pub(crate) fn unknown(&self, call: &ToolCall) -> ToolResult {
        let short: String = call.name.chars().take(64).collect();
        let error = CallError::Mistake(format!("there is no tool called {short}"));
        ToolResult {
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            result: json!({"ok": false, "error": error.reason()}),
            ok: false,
            elapsed: Duration::ZERO,
            failure: Some(error.spoken()),
            mistake: true,
            own_words: false,
        }
    }

    /// The home as it stands in the system message; empty without one.
    pub fn home_text(&self, layout: HomeLayout) -> String {
        self.home.as_ref().map(|home| home.text(layout)).unwrap_or_default()
    }

    /// Offers the home's tools in the form that a model has learned.
    #[must_use]
    pub fn laid_out(mut self, layout: HomeLayout) -> Self {
        if let Some(home) = &mut self.home {
            home.layout = layout;
        }
        self.matched_where_asked_for()
    }

    /// What a reply to a question is held to, by a model that knows nothing but homes, or much else; `None` without a home.
    pub(crate) fn truth(&self, question: &str, knows_home_only: bool) -> Option<Truth> {
        self.home.as_ref().map(|home| Truth::of(home.household.home(), question, knows_home_only))
    }

    /// The home, if there is one.
    pub fn home(&self) -> Option<&HomeTools> {
        self.home.as_ref()
    }

    /// A request begins: of a large home the prompt tells what its words may be about.
    pub fn begin(&mut self, request: &str) {
        self.times = times::Times::of(request, self.now().datetime());
        if let Some(home) = &mut self.home {
            home.begin(request);
        }
    }

    /// What is to be said of the times of a request for which the model started no timer, where it did for another.
    pub(crate) fn times_left_out(&self) -> Option<String> {
        self.times.left_out()
    }

    /// Has the prompt tell less of the home, where the context has no room for more; answers whether less could be told.
    pub(crate) fn tell_less(&mut self) -> bool {
        self.home.as_mut().is_some_and(HomeTools::tell_less)
    }

    /// Reads the home's file again if someone else wrote it; answers whether the home is another one now. A broken
    /// file is logged once and the last good state kept.
    pub fn home_changed_outside(&mut self) -> bool {
        match self.home.as_mut().map(|home| home.household.reload_if_changed()) {
            None => false,
            Some(Ok(changed)) => changed,
            Some(Err(error)) => {
                tracing::warn!("{error}; the last good state is kept");
                false
            }
        }
    }

    /// Runs one call on this thread. A command ends early when `stop` says so; whatever happens is a result.
    pub fn call(&mut self, call: &ToolCall, stop: &dyn Fn() -> bool) -> ToolResult {
        let started = Instant::now();
        let result = if stop() { Err(command::stopped(&call.name)) } else { self.run(call, stop) };
        let is_command = self.commands.iter().any(|tool| tool.name == call.name)
            || self.of_client.iter().any(|tool| tool.name == call.name);
        let error = match &result {
            Ok(result) if result.get("ok") == Some(&Value::Bool(false)) => {
                let reason =
                    result.get("error").and_then(Value::as_str).unwrap_or("it says no more than that it failed");
                Some(CallError::Failed { what: format!("use the tool {}", call.name), reason: reason.to_owned() })
            }
            Ok(_) => None,
            Err(error) => Some(error.clone()),
        };
        // A sentence that was computed is not given to the model to be worded again.
        let is_worded = |result: &Value| !is_command && result.get("done").is_some();
        let is_of_its_own = |result: &Value| is_command && (!result.is_object() || result.get("output").is_some());
        let own_words =
            error.is_none() && result.as_ref().is_ok_and(|result| is_worded(result) || is_of_its_own(result));
        ToolResult {
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            ok: error.is_none(),
            result: result.unwrap_or_else(|error| json!({"ok": false, "error": error.reason()})),
            elapsed: started.elapsed(),
            failure: error.as_ref().map(CallError::spoken),
            mistake: matches!(error, Some(CallError::Mistake(_) | CallError::Unknown(_))),
            own_words,
        }
    }

    /// When the next timer runs out.
    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Takes the timers that have run out by `now`, the earliest first. What others have changed of the home, in which something may be done
    /// then, is read first.
    pub fn due_timers(&mut self, now: Instant) -> Vec<TimerDone> {
        let due = self.timers.due(now);
        if !due.is_empty() {
            self.home_changed_outside();
        }
        due
    }

    fn run(&mut self, call: &ToolCall, stop: &dyn Fn() -> bool) -> Result<Value, CallError> {
        let name = call.name.as_str();
        if let Some(tool) = self.commands.iter().find(|tool| tool.name == name) {
            check_arguments(name, &tool.parameters, &call.arguments)?;
            return command::run(tool, &call.arguments, stop);
        }
        if let Some(tool) = self.of_client.iter().find(|tool| tool.name == name) {
            check_arguments(name, &tool.parameters, &call.arguments)?;
            return client::run(tool, &call.arguments, stop);
        }
        let now = self.now();
        match (name, &mut self.home) {
            ("clock", _) => {
                check_arguments(name, &schema_of(name), &call.arguments)?;
                Ok(clock::read(&now))
            }
            ("timer", home) => {
                let arguments = check_arguments(name, &schema_of(name), &call.arguments)?;
                self.times.check_timer(arguments, home.is_some())?;
                let failed = |reason| CallError::Failed { what: "start the timer".to_owned(), reason };
                if let Some(why) = self.timers.refusal(1) {
                    return Err(failed(why));
                }
                let label = self.timers.lock().start(arguments, Instant::now()).map_err(failed)?;
                self.times.timer_was_set(arguments);
                Ok(json!({"ok": true, "timer": label}))
            }
            (_, Some(home)) if home.has_tool(name) => {
                self.times.check_change(name, &call.arguments, now.datetime())?;
                let schemas = home.schemas();
                let schema = schemas.iter().find(|schema| schema["function"]["name"] == name);
                let schema =
                    schema.map_or_else(|| home::schema_of(name), |schema| schema["function"]["parameters"].clone());
                let arguments = check_arguments(name, &schema, &call.arguments)?;
                home.call(name, arguments, &now)
            }
            (_, None) if home::OF_ROOMS.contains(&name) => {
                Err(CallError::Failed { what: String::new(), reason: "there is no home to control".to_owned() })
            }
            _ => {
                let short: String = name.chars().take(64).collect();
                Err(CallError::Mistake(format!("there is no tool called {short}")))
            }
        }
    }
}

/// The first letter large.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
}

fn function(name: &str, description: &str, parameters: Value) -> Value {
    json!({"type": "function", "function": {"name": name, "description": description, "parameters": parameters}})
}

/// The arguments of the tools that need no home.
fn schema_of(name: &str) -> Value {
    match name {
        "timer" => json!({"type": "object", "properties":
            {"hours": {"type": "number"}, "minutes": {"type": "number"}, "seconds": {"type": "number"}}}),
        _ => json!({"type": "object", "properties": {}}),
    }
}

/// A user's schema, with the parts that chat templates rely on.
fn full_schema(parameters: &Value) -> Value {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), Value::from("object"));
    schema.insert("properties".to_owned(), Value::Object(Map::new()));
    for (key, value) in parameters.as_object().into_iter().flatten() {
        schema.insert(key.clone(), value.clone());
    }
    Value::Object(schema)
}

fn check_schema(parameters: &Value) -> Result<(), &'static str> {
    let Some(schema) = parameters.as_object() else { return Err("it must be an object") };
    if schema.get("type").is_some_and(|kind| kind != "object") {
        return Err("its `type` must be \"object\"");
    }
    if schema.get("properties").is_some_and(|it| !it.as_object().is_some_and(|it| it.values().all(Value::is_object))) {
        return Err("its `properties` must be an object of objects");
    }
    let texts = |list: &Value| list.as_array().is_some_and(|list| list.iter().all(Value::is_string));
    if schema.get("required").is_some_and(|list| !texts(list)) {
        return Err("its `required` must be a list of names");
    }
    Ok(())
}

/// Holds arguments to the top level of a schema: `required`, unknown names, `type` and `enum`. What lies deeper is
/// the tool's own business.
fn check_arguments<'a>(tool: &str, schema: &Value, arguments: &'a Value) -> Result<&'a Map<String, Value>, CallError> {
    let Some(arguments) = arguments.as_object() else {
        return Err(CallError::Mistake(format!("the arguments of {tool} must be an object")));
    };
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if !arguments.contains_key(name) {
            return Err(CallError::Mistake(format!("{tool} needs the argument {name}")));
        }
    }
    let open = matches!(schema.get("additionalProperties"), Some(Value::Bool(true) | Value::Object(_)));
    for (name, value) in arguments {
        let Some(property) = properties.get(name) else {
            if open {
                continue;
            }
            let short: String = name.chars().take(64).collect();
            return Err(CallError::Mistake(format!("{tool} has no argument {short}")));
        };
        let kinds: Vec<&str> = match property.get("type") {
            Some(Value::String(kind)) => vec![kind.as_str()],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        if !kinds.is_empty() && !kinds.iter().any(|kind| is_kind(value, kind)) {
            return Err(CallError::Mistake(format!(
                "the argument {name} of {tool} must be of type {}",
                kinds.join(" or ")
            )));
        }
        if let Some(accepted) = property.get("enum").and_then(Value::as_array)
            && !accepted.contains(value)
        {
            let words: Vec<String> =
                accepted.iter().map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned)).collect();
            let reason = format!("the argument {name} of {tool} must be one of {}", words.join(", "));
            let is_long = words.len() > MOST_TOLD;
            return Err(if is_long { CallError::Unknown(reason) } else { CallError::Mistake(reason) });
        }
    }
    Ok(arguments)
}

fn is_kind(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|real| real.fract() == 0.0),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => true, // a kind that is not ours to judge
    }
}

fn as_milliseconds<S: Serializer>(elapsed: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((elapsed.as_secs_f64() * 1e6).round() / 1e3)
}

/// JSON with a space after each colon and comma, as Python writes it and as models read it in training: `{"a": 1, "b": [2, 3]}`.
pub fn spaced_json(value: &Value) -> String {
    struct Spaced;
    impl serde_json::ser::Formatter for Spaced {
        fn begin_array_value<W: ?Sized + std::io::Write>(
            &mut self,
            writer: &mut W,
            first: bool,
        ) -> std::io::Result<()> {
            writer.write_all(if first { b"" } else { b", " })
        }
        fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
            writer.write_all(if first { b"" } else { b", " })
        }
        fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
            writer.write_all(b": ")
        }
    }
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Spaced);
    match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => value.to_string(), // writing a value to memory cannot fail
    }
}

#[cfg(test)]
mod failing;
#[cfg(test)]
mod tests;

//! Chat templates and the parsing of replies against llama.cpp's chat layer: equal prompts, equal calls, equal remaining text, whole and
//! streamed. What differs on purpose has a name and a reason here. `tests/data/chat/table.txt` counts the differences by template, and
//! `tests/data/chat/differences.txt` holds a hash of what each of them is here, so that a change of any result fails.
//!
//! `chat_golden.cpp` writes the goldens. Templates under clear licences stand in `tests/data/chat/templates`; the others are read from the
//! folder `NEARFIELD_TEST_TEMPLATES`, llama.cpp's `models/templates`, and are skipped visibly without it. `SNAPSHOTS=overwrite` writes
//! both files anew. `NEARFIELD_TEST_DUMP` names a folder for the prompts as text, to compare them with those of `chat_golden.cpp`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Value as Meta;
use nearfield_llm::{Chat, ChatOptions, ChatTemplate, Dialect, Llm, LlmOptions, Message, Role, Thinking, ToolCall};
use serde_json::{Value, json};

use crate::synthetic::{Recipe, byte_vocabulary};

/// Why a prompt differs.
const PROMPTS: [(&str, &str); 10] = [
    ("renders", "llama.cpp refuses the messages; they are written so that the template takes them"),
    ("closes-thought", "the template opens a thought and cannot be told not to: without thinking it is closed at once"),
    (
        "keeps-calls",
        "the template leaves out the calls of earlier replies, or the text beside them: what the model wrote stays as it was",
    ),
    ("shows-tools", "the template takes the tools under a name that llama.cpp does not know"),
    ("system-apart", "the system message merged into the user's has an empty line behind it"),
    (
        "no-reply-follows",
        "`add_generation_prompt` is false, as in Python, and not undefined; nothing is patched afterwards",
    ),
    ("as-python-writes", "lists and mappings in a text are written as Python writes them"),
    (
        "no-growing-lists",
        "the template appends to a list, which the engine cannot: replies stay as the model wrote them",
    ),
    ("call-ids", "calls are numbered as the model was trained, whatever a client called them"),
    ("not-trimmed", "llama.cpp trims the messages of this template"),
];

/// Why what is read of a reply differs.
const REPLIES: [(&str, &str); 12] = [
    ("refused", "llama.cpp refuses the whole reply; here what can be read of it is kept"),
    ("another-form", "a call in another form than the template's is read, and is not said aloud"),
    ("cut-call", "llama.cpp hands over a call that was cut, with a part of its arguments; here it is none"),
    (
        "offered-to-nobody",
        "a call of a tool or with an argument that is not offered is handed over, for the caller to refuse",
    ),
    ("damaged-call", "a call that lacks a bracket, a quotation mark or a colon is read"),
    ("lost-call", "llama.cpp loses the call, and the whole reply with it"),
    ("text-after-call", "llama.cpp drops text behind a call"),
    ("stray-mark", "a mark that stands alone is no text"),
    ("white-space", "white space around what was taken out differs"),
    ("broken-arguments", "llama.cpp's arguments are no JSON"),
    ("unknown-marks", "llama.cpp takes marks of this template for text"),
    ("another-protocol", "the reply's form is not known here; models of hundreds of billions of weights write it"),
];

/// Templates whose form of calls is not known here.
const UNKNOWN: [&str; 3] = ["Kimi-K3", "MiniMax-M3", "muse-glimmer"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/chat")
}

fn json_of(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// FNV-1a of 64 bits, behind the length.
fn fingerprint(text: &str) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    format!("{}:{:016x}", text.len(), text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

/// A short hash of what differs from llama.cpp's.
fn short(text: &str) -> String {
    let fingerprint = fingerprint(text);
    fingerprint[fingerprint.len() - 8..].to_owned()
}

fn without_dates(mut text: String) -> String {
    let now = jiff::Zoned::now();
    for format in ["%d %b %Y", "%b %d %Y", "%Y-%m-%d", "%B %d, %Y"] {
        text = text.replace(&now.strftime(format).to_string(), format);
    }
    text
}

/// The template of this name, if it is here, and is the one that the golden was made of.
fn template_of(name: &str, golden: &Value) -> Option<String> {
    let file = format!("{name}.jinja");
    let kept = folder().join("templates").join(&file);
    let outside = std::env::var_os("NEARFIELD_TEST_TEMPLATES").map(|folder| Path::new(&folder).join(&file));
    let path = [Some(kept), outside].into_iter().flatten().find(|path| path.exists());
    let source = path.map(|path| std::fs::read_to_string(path).unwrap());
    if source.as_ref().is_some_and(|source| golden["template"] == fingerprint(source)) {
        return source;
    }
    writeln!(std::io::stderr(), "SKIPPED: {file}: NEARFIELD_TEST_TEMPLATES has no such file, or another version")
        .unwrap();
    None
}

/// A model whose vocabulary has the marks that the goldens were written with, and none of any dialect.
fn model(template: &str) -> (tempfile::TempDir, Arc<Llm>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let mut extra = byte_vocabulary("qwen2", Some(template));
    for (key, value) in &mut extra {
        if let ("tokenizer.ggml.tokens", Meta::Array(tokens)) = (*key, value) {
            tokens[3] = Meta::String("<|other|>".to_owned());
        }
    }
    extra.push(("tokenizer.ggml.bos_token_id", Meta::U32(0)));
    Recipe { extra, ..Recipe::plain(GgmlDType::F32) }.write(&path);
    let llm = Llm::open(&path, &LlmOptions { threads: 1 }).unwrap();
    (folder, llm)
}

/// Messages as the server makes them of a request: calls are part of the text.
fn messages(conversation: &Value, dialect: Dialect) -> Vec<Message> {
    let one = |message: &Value| {
        let content = message["content"].as_str().unwrap();
        let role = match message["role"].as_str().unwrap() {
            "system" => Role::System,
            "user" => Role::User,
            "tool" => Role::Tool,
            _ => Role::Assistant,
        };
        let calls = message["tool_calls"].as_array().into_iter().flatten().map(|call| ToolCall {
            name: call["function"]["name"].as_str().unwrap().to_owned(),
            arguments: serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap(),
        });
        Message::new(role, dialect.reply(content, &calls.collect::<Vec<_>>()))
    };
    conversation["messages"].as_array().unwrap().iter().map(one).collect()
}

fn thinking(mode: &str) -> Thinking {
    if mode == "on" { Thinking::On } else { Thinking::Off }
}

/// Why a prompt differs from llama.cpp's, or the empty name where it does not; `NEW` where nobody knows.
fn prompt_reason(
    name: &str,
    title: &str,
    conversation: &Value,
    golden: &Value,
    ours: &str,
    template: &ChatTemplate,
) -> &'static str {
    let has_calls = title.contains("call") || title.contains("result") || title == "two-rounds";
    let opened = ["\n\n", "\n"].iter().any(|between| {
        let close = ours.trim_end().len() - ours.trim_end().rfind('\n').map_or(0, |at| at + 1);
        let cut = ours.strip_suffix("\n\n").and_then(|text| text.get(..text.len() - close)?.strip_suffix(between));
        cut.is_some_and(|cut| {
            let line = if *between == "\n" { cut.to_owned() } else { format!("{cut}\n") };
            template.is_thinking(cut).is_some()
                && [cut, line.as_str()].iter().any(|cut| *golden == json!(fingerprint(cut)))
        })
    });
    let bare = ours.strip_suffix("<|END_THINKING|>").is_some_and(|cut| *golden == json!(fingerprint(cut)));
    match name {
        _ if *golden == json!(fingerprint(ours)) => "",
        _ if bare => "closes-thought",
        _ if golden.get("refused").is_some() => "renders",
        _ if opened => "closes-thought",
        _ if title == "no-reply-follows" && name != "google-gemma-2-2b-it" => "no-reply-follows",
        "Kimi-K2-Instruct" | "Kimi-K2-Thinking" if has_calls => "no-growing-lists",
        "moonshotai-Kimi-K2" if has_calls => "call-ids",
        "google-gemma-2-2b-it" if conversation["messages"][0]["role"] == "system" => "system-apart",
        "fireworks-ai-llama-3-firefunction-v2" if conversation["tools"] == true => "shows-tools",
        "ByteDance-Seed-OSS" | "openbmb-MiniCPM5-1B" if title == "two-rounds" => "as-python-writes",
        "StepFun3.5-Flash" if title == "white-space" => "not-trimmed",
        "HuggingFaceTB-SmolLM3-3B"
        | "LFM2-8B-A1B"
        | "LFM2.5-Instruct"
        | "deepseek-ai-DeepSeek-R1-Distill-Llama-8B"
        | "llama-cpp-deepseek-r1"
        | "llama-cpp-rwkv-world"
        | "ibm-granite-granite-3.3-2B-Instruct"
        | "microsoft-Phi-3.5-mini-instruct"
            if has_calls =>
        {
            "keeps-calls"
        }
        _ if title == "text-and-call" && (name.starts_with("NousResearch") || name.starts_with("meta-llama")) => {
            "keeps-calls"
        }
        _ => "NEW",
    }
}

/// Text and calls.
#[derive(Debug, PartialEq)]
struct Parsed {
    text: String,
    calls: Vec<Value>,
}

fn parse<'a>(chat: &Chat, pieces: impl Iterator<Item = &'a str>) -> Parsed {
    let mut parser = chat.parser();
    let mut text: String = pieces.map(|piece| parser.push(piece)).collect();
    let parsed = parser.finish();
    text.push_str(&parsed.rest);
    let calls = parsed.calls.iter().map(|call| json!({"name": call.name, "arguments": call.arguments})).collect();
    Parsed { text, calls }
}

/// Pieces of one to twelve characters, by a generator of congruences.
fn pieces(text: &str, mut seed: u64) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let end = rest.char_indices().nth((seed >> 33) as usize % 12 + 1).map_or(rest.len(), |(at, _)| at);
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// What is made of a reply, which must not depend on how it comes in.
fn parsed(chat: &Chat, text: &str) -> Parsed {
    let whole = parse(chat, std::iter::once(text));
    let letters = text.char_indices().map(|(at, c)| &text[at..at + c.len_utf8()]);
    assert_eq!(parse(chat, letters), whole, "{text:?}");
    for seed in 0..4 {
        assert_eq!(parse(chat, pieces(text, seed).into_iter()), whole, "{text:?}");
    }
    whole
}

/// Why what was read differs from llama.cpp's, or the empty name where it does not; `NEW` where nobody knows.
fn reply_reason(template: &str, reply: &Value, ours: &Parsed) -> &'static str {
    let name = reply["name"].as_str().unwrap();
    let raw: Vec<&Value> = reply["calls"].as_array().into_iter().flatten().collect();
    let arguments = |call: &Value| serde_json::from_str::<Value>(call["arguments"].as_str().unwrap()).ok();
    let whole: Vec<Value> =
        raw.iter().filter_map(|call| Some(json!({"name": call["name"], "arguments": arguments(call)?}))).collect();
    let their = reply["content"].as_str().unwrap_or_default();
    let (theirs, mine) = (their.trim(), ours.text.trim());
    let same_calls = whole.len() == raw.len() && whole == ours.calls;
    let none = raw.is_empty();
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let unmarked =
        |text: &str| ["</think>", "<|content|>"].iter().fold(text.to_owned(), |text, mark| text.replace(mark, ""));
    match name {
        _ if reply["refused"] == true => "refused",
        _ if same_calls && theirs == mine => "",
        _ if UNKNOWN.contains(&template) => "another-protocol",
        _ if same_calls && words(theirs) == words(mine) => "white-space",
        _ if same_calls && mine.starts_with(theirs) && !raw.is_empty() => "text-after-call",
        _ if same_calls && words(&unmarked(theirs)) == words(mine) => "stray-mark",
        "call-cut-in-half" | "call-without-its-last-brace"
            if whole == ours.calls && words(&unmarked(theirs)) == words(mine) =>
        {
            "cut-call"
        }
        "call-of-another-name" | "call-with-another-argument" if none && ours.calls.len() == 1 => "offered-to-nobody",
        "call-without-its-last-brace" | "call-without-its-first-quote" | "call-without-its-first-colon"
            if whole.is_empty() && ours.calls.len() == 1 =>
        {
            "damaged-call"
        }
        _ if none && theirs.is_empty() && !ours.calls.is_empty() => "lost-call",
        "hermes-call"
        | "bare-call"
        | "bare-call-with-parameters"
        | "bare-calls-in-a-list"
        | "fenced-call"
        | "pythonic-call"
        | "mistral-call"
        | "call-in-a-fence"
            if none && !ours.calls.is_empty() && theirs.starts_with(mine.trim_end_matches('`').trim_end()) =>
        {
            "another-form"
        }
        _ if whole.len() < raw.len() && theirs == mine && ours.calls.len() == raw.len() => "broken-arguments",
        _ if template.starts_with("meetkai-functionary-medium-v3.2") && none && theirs.contains(">>>") => {
            "unknown-marks"
        }
        _ if template == "llama-cpp-rwkv-world" => "unknown-marks",
        _ => "NEW",
    }
}

/// Of each beginning of a reply: how many have the text and the calls that llama.cpp has of it, and how many there are.
/// A beginning that has a call that the whole has not, or other text, is told to `new`.
fn cuts(chat: &Chat, reply: &Value, runs: &Value, new: &mut Vec<String>) -> (usize, usize) {
    let text = reply["text"].as_str().unwrap();
    let whole = parse(chat, std::iter::once(text));
    let their = reply["content"].as_str().unwrap_or_default();
    let of_run = |run: &Value| -> Vec<(String, u64)> {
        let calls = run[1].as_u64().unwrap();
        let content = |at: i64| match (run[0].as_i64(), run[0].as_str()) {
            (Some(begun), _) => {
                their.get(..usize::try_from(begun + at * run[3].as_i64().unwrap()).ok()?).map(str::to_owned)
            }
            (None, text) => text.map(str::to_owned),
        };
        (0..=run[2].as_i64().unwrap()).map(|at| (content(at).unwrap_or("refused".to_owned()), calls)).collect()
    };
    let due: Vec<(String, u64)> = runs.as_array().unwrap().iter().flat_map(of_run).collect();
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    assert_eq!(ends.len(), due.len(), "{text}");
    let mut equal = 0;
    for (end, (content, calls)) in ends.into_iter().zip(due) {
        let mut parser = chat.parser();
        let said = parser.push(&text[..end]);
        let begun = parser.finish();
        let read: Vec<Value> =
            begun.calls.iter().map(|call| json!({"name": call.name, "arguments": call.arguments})).collect();
        if !whole.calls.starts_with(&read) || !whole.text.starts_with(&said) {
            new.push(format!("the beginning {:?} of {text:?} is read as {said:?}, {read:?}", &text[..end]));
        }
        equal += usize::from(read.len() as u64 == calls && said.trim() == content.trim());
    }
    (equal, text.chars().count() + 1)
}

/// Counts by reason.
#[derive(Default)]
struct Counts(BTreeMap<&'static str, usize>, Vec<String>);

impl Counts {
    fn add(&mut self, reason: &'static str, what: impl FnOnce() -> String) {
        *self.0.entry(reason).or_default() += 1;
        if reason == "NEW" {
            self.1.push(what());
        }
    }

    /// `equal/all`, and the others by name.
    fn line(&self) -> String {
        let (equal, all) = (self.0.get("").copied().unwrap_or_default(), self.0.values().sum::<usize>());
        let mut line = format!("{equal}/{all}");
        for (reason, count) in self.0.iter().filter(|(reason, _)| !reason.is_empty()) {
            let _ = write!(line, " {reason} {count}");
        }
        line
    }
}

/// What one template gives.
struct Compared {
    /// Its line of the table.
    line: String,
    /// What differs, each with its reason and a hash of what it is here.
    differences: Vec<String>,
    /// What differs without a reason.
    new: Vec<String>,
}

/// Compares all of one template.
fn compared(name: &str, source: &str, golden: &Value, cases: &Value) -> Compared {
    let (_folder, llm) = model(source);
    let template = llm.template().unwrap();
    let dialect = template.dialect();
    let tools = cases["tools"].as_array().unwrap();
    let (mut prompts, mut differences) = (Counts::default(), Vec::new());
    for (title, conversation) in cases["conversations"].as_object().unwrap() {
        for mode in ["off", "on"] {
            let given = if conversation["tools"] == true { tools.as_slice() } else { &[] };
            let follows = conversation["reply_follows"] != false;
            let ours =
                template.render_thinking(&messages(conversation, dialect), given, follows, thinking(mode)).unwrap();
            let ours = without_dates(ours);
            let golden = &golden["prompts"][title][mode];
            if let Some(folder) = std::env::var_os("NEARFIELD_TEST_DUMP") {
                std::fs::write(Path::new(&folder).join(format!("{name}.{title}.{mode}")), &ours).unwrap();
            }
            let reason = prompt_reason(name, title, conversation, golden, &ours, template);
            if !reason.is_empty() {
                differences.push(format!("prompt {title} {mode} {reason} {}", short(&ours)));
            }
            prompts.add(reason, || format!("{name}, {title}, thinking {mode}: another prompt\n{ours}"));
        }
    }
    let plain = messages(&cases["conversations"]["plain"], dialect);
    let plain =
        |thinking| json!(fingerprint(&without_dates(template.render_thinking(&plain, &[], true, thinking).unwrap())));
    // A thought that llama.cpp leaves open is closed by our prompt.
    let off = &golden["prompts"]["plain"]["off"];
    let closes = *off != plain(Thinking::Off) && *off == plain(Thinking::On);
    let (mut replies, mut swept) = (Counts::default(), (0, 0));
    for mode in ["off", "on"] {
        let given = if golden[mode] == "as off" { &golden["off"] } else { &golden[mode] };
        let thinking = if closes { Thinking::On } else { thinking(mode) };
        let mut chat = Chat::new(&llm, ChatOptions { dialect: None, thinking }).unwrap();
        chat.offer(tools.clone(), &[]);
        for reply in given["replies"].as_array().unwrap() {
            let ours = parsed(&chat, reply["text"].as_str().unwrap());
            let runs = &given["cuts"][reply["name"].as_str().unwrap()];
            if runs.is_array() && !UNKNOWN.contains(&name) {
                let (equal, all) = cuts(&chat, reply, runs, &mut replies.1);
                swept = (swept.0 + equal, swept.1 + all);
            }
            let reason = reply_reason(name, reply, &ours);
            if !reason.is_empty() {
                let read = short(&format!("{}\n{}", ours.text, json!(ours.calls)));
                differences.push(format!("reply {} {mode} {reason} {read}", reply["name"].as_str().unwrap()));
            }
            replies.add(reason, || format!("{name}, thinking {mode}: {reply}\n{ours:?}"));
        }
    }
    let new = [prompts.1.as_slice(), replies.1.as_slice()].concat();
    let (equal, all) = swept;
    let line = format!("{name}: {dialect}; prompts {}; replies {}; cuts {equal}/{all}", prompts.line(), replies.line());
    Compared { line, differences, new }
}

/// The differences of each template, by its name.
fn sections(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut sections: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut name = "";
    for line in text.lines() {
        match line.strip_prefix("  ") {
            Some(difference) => sections.entry(name).or_default().push(difference),
            None => name = line,
        }
    }
    sections
}

#[test]
fn prompts_and_replies_are_those_of_llama_cpp_but_for_what_is_named() {
    let cases = json_of(&folder().join("cases.json"));
    let mut goldens: Vec<PathBuf> =
        std::fs::read_dir(folder().join("golden")).unwrap().map(|entry| entry.unwrap().path()).collect();
    goldens.sort();
    let (mut table, mut all, mut new, mut skipped) = (Vec::new(), String::new(), Vec::new(), 0);
    for path in goldens {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let golden = json_of(&path);
        let Some(source) = template_of(name, &golden) else {
            skipped += 1;
            continue;
        };
        let mut compared = compared(name, &source, &golden, &cases);
        table.push(compared.line);
        all += &format!("{name}\n");
        compared.differences.iter().for_each(|line| all += &format!("  {line}\n"));
        new.append(&mut compared.new);
    }
    assert!(new.is_empty(), "{} new differences:\n{}", new.len(), new.join("\n\n"));
    let known = PROMPTS.iter().chain(&REPLIES).map(|(reason, _)| *reason).collect::<Vec<_>>();
    let (path, hashes) = (folder().join("table.txt"), folder().join("differences.txt"));
    if std::env::var("SNAPSHOTS").is_ok_and(|it| it == "overwrite") {
        assert_eq!(skipped, 0, "the table is written with all templates only");
        std::fs::write(&path, table.join("\n") + "\n").unwrap();
        std::fs::write(&hashes, &all).unwrap();
    }
    let due = std::fs::read_to_string(&path).unwrap();
    let due: BTreeMap<&str, &str> = due.lines().map(|line| (line.split(':').next().unwrap(), line)).collect();
    for line in &table {
        assert_eq!(due.get(line.split(':').next().unwrap()), Some(&line.as_str()));
        for word in line.split([' ', ';']).filter(|word| word.contains('-') && !line.starts_with(word)) {
            let is_dialect = Dialect::named(word).is_some();
            assert!(is_dialect || known.contains(&word) || line.starts_with(word), "{word} has no reason");
        }
    }
    assert!(table.len() >= 20, "{}", table.len());
    let due = std::fs::read_to_string(&hashes).unwrap();
    let due = sections(&due);
    let mut changed = Vec::new();
    for (name, ours) in sections(&all) {
        let due = due.get(name).map(Vec::as_slice).unwrap_or_default();
        changed.extend(ours.iter().filter(|line| !due.contains(line)).map(|line| format!("{name}: now {line}")));
        changed.extend(due.iter().filter(|line| !ours.contains(line)).map(|line| format!("{name}: was {line}")));
    }
    assert!(changed.is_empty(), "{} differences have changed:\n{}", changed.len(), changed.join("\n"));
}

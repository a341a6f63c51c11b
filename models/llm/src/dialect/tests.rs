//! Replies in all dialects, read whole and in pieces.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn tools() -> Vec<ToolSchema> {
    ToolSchema::all(&[
        json!({"type": "function", "function": {"name": "set_light", "description": "Turns a light on or off.", "parameters": {
            "type": "object", "properties": {"room": {"type": "string"}, "state": {"type": "string", "enum": ["on", "off"]}},
            "required": ["room", "state"]}}}),
        json!({"type": "function", "function": {"name": "timer", "description": "Starts a timer.", "parameters": {
            "type": "object", "properties": {"minutes": {"type": "number"}, "loud": {"type": "boolean"}}}}}),
        json!({"type": "function", "function": {"name": "clock", "description": "Tells the time.", "parameters": {
            "type": "object", "properties": {}}}}),
    ])
}

fn in_pieces<'a>(dialect: Dialect, pieces: impl Iterator<Item = &'a str>) -> (String, Vec<ToolCall>, Vec<String>) {
    let mut parser = ReplyParser::new(dialect, tools(), false);
    let mut text: String = pieces.map(|piece| parser.push(piece)).collect();
    let parsed = parser.finish();
    text.push_str(&parsed.rest);
    (text, parsed.calls, parsed.broken)
}

fn whole(text: &str) -> (String, Vec<ToolCall>, Vec<String>) {
    in_pieces(Dialect::Generic, std::iter::once(text))
}

fn call(name: &str, arguments: Value) -> ToolCall {
    ToolCall { name: name.to_owned(), arguments }
}

fn light() -> ToolCall {
    call("set_light", json!({"room": "kitchen", "state": "on"}))
}

#[test]
fn a_reply_without_calls_passes_unchanged() {
    for text in [
        "It is 21.5 degrees.",
        "",
        "a < b, <b>bold</b> <tool",
        "<think",
        "x <",
        "<tool_cabs>",
        "Ünï<",
        "{x} and {\"a\": 1} and [1, 2]",
        "Use set_light(room) for that.",
        "clock in at nine",
        "The [kitchen] is {warm}.",
        "```rust\nfn main() { set_light(\"x\") }\n```\nDone.",
        "```json\n{\"temperature\": 21}\n```",
        "{\"name\": \"Bob\", \"age\": 3}",
        "`code` and ``more``",
        "[",
        "{",
        "{\"name\": ",
    ] {
        assert_eq!(whole(text), (text.to_owned(), vec![], vec![]));
    }
}

/// What models of all kinds write for the same call.
#[test]
fn each_dialect_is_read() {
    let json = r#"{"name": "set_light", "arguments": {"room": "kitchen", "state": "on"}}"#;
    let parameters = r#"{"name": "set_light", "parameters": {"room": "kitchen", "state": "on"}}"#;
    let arguments = r#"{"room": "kitchen", "state": "on"}"#;
    let python = "set_light(room=\"kitchen\", state='on')";
    for text in [
        format!("<tool_call>\n{json}\n</tool_call>"),
        format!("<tool_call>{json}"),
        json.to_owned(),
        parameters.to_owned(),
        format!("[{json}]"),
        format!("```json\n{json}\n```"),
        format!("```\n{json}```"),
        format!("```tool_call\n{json}\n```"),
        format!("{{\"type\": \"function\", \"function\": {json}}}"),
        format!("{{\"type\": \"function\", \"name\": \"set_light\", \"parameters\": {arguments}}}"),
        format!("{{\"function\": \"set_light\", \"arguments\": {arguments}}}"),
        format!("{{\"tool_call\": {json}}}"),
        format!("{{\"tool_calls\": [{json}]}}"),
        format!("{{\"set_light\": {arguments}}}"),
        r#"{"name": "set_light", "room": "kitchen", "state": "on"}"#.to_owned(),
        r#"{"name": "set_light", "arguments": "{\"room\": \"kitchen\", \"state\": \"on\"}"}"#.to_owned(),
        json.strip_suffix('}').unwrap().to_owned(),
        format!("{json}}}"),
        format!("[TOOL_CALLS] [{json}]"),
        format!("[TOOL_CALLS]set_light[ARGS]{arguments}"),
        format!("[TOOL_CALLS]set_light[CALL_ID]123456789[ARGS]{arguments}"),
        format!("<|python_tag|>{parameters}"),
        format!("[{python}]"),
        python.to_owned(),
        format!("<|python_start|>[{python}]<|python_end|>"),
        format!("<|tool_call_start|>[{python}]<|tool_call_end|>"),
        format!("```tool_code\n{python}\n```"),
        format!("```tool_code\nprint({python})\n```"),
        format!("```python\nprint(api.{python})\n```"),
        format!("<|tool_call|>[{json}]"),
        format!("<|tool_call|>[{json}]<|/tool_call|>"),
        format!(
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>set_light\n```json\n{arguments}\n```\
             <｜tool▁call▁end｜><｜tool▁calls▁end｜>"
        ),
        format!("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>set_light<｜tool▁sep｜>{arguments}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
        format!("<|channel|>commentary to=functions.set_light <|constrain|>json<|message|>{arguments}<|call|>"),
        format!("<|channel|>analysis<|message|>Light.<|end|><|start|>assistant<|channel|>commentary to=functions.set_light<|message|>{arguments}"),
        format!("<function=set_light>{arguments}</function>"),
        "<tool_call>\n<function=set_light>\n<parameter=room>\nkitchen\n</parameter>\n<parameter=state>\non\n</parameter>\n</function>\n\
         </tool_call>"
            .to_owned(),
        "<function=set_light>\n<parameter=room>\nkitchen\n</parameter>\n<parameter=state>\non\n</parameter>\n</function>".to_owned(),
        "<tool_call>set_light\n<arg_key>room</arg_key>\n<arg_value>kitchen</arg_value>\n<arg_key>state</arg_key>\n<arg_value>on</arg_value>\n\
         </tool_call>"
            .to_owned(),
        "<invoke name=\"set_light\"><parameter name=\"room\">kitchen</parameter><parameter name=\"state\">on</parameter></invoke>".to_owned(),
        format!("<functioncall> {json}"),
        format!("<functioncall> {{\"name\": \"set_light\", \"arguments\": '{arguments}'}}"),
        "<|tool_call>call:set_light{room:<|\"|>kitchen<|\"|>,state:<|\"|>on<|\"|>}<tool_call|>".to_owned(),
        format!("<|START_ACTION|>[{{\"tool_call_id\": \"0\", \"tool_name\": \"set_light\", \"parameters\": {arguments}}}]<|END_ACTION|>"),
    ] {
        let (said, calls, broken) = whole(&text);
        assert_eq!((said.trim(), &calls, &broken), ("", &vec![light()], &vec![]), "{text}");
    }
    let recipient = format!("set_light\n{arguments}");
    assert_eq!(in_pieces(Dialect::FunctionaryRecipient, std::iter::once(recipient.as_str())).1, [light()]);
    let all = format!("all\nSure.>>>set_light\n{arguments}");
    let (said, calls, _) = in_pieces(Dialect::FunctionaryRecipient, std::iter::once(all.as_str()));
    assert_eq!((said.as_str(), calls), ("Sure.", vec![light()]));
}

#[test]
fn what_a_dialect_writes_itself_is_read_back() {
    let calls = [light(), call("timer", json!({"minutes": 10, "loud": true}))];
    for name in Dialect::names() {
        let dialect = Dialect::named(name).unwrap();
        assert_eq!(dialect.name(), name);
        let text = dialect.written(&calls);
        let (said, read, broken) = in_pieces(dialect, std::iter::once(text.as_str()));
        assert_eq!((said.trim(), read.as_slice(), broken.len()), ("", &calls[..], 0), "{name}: {text}");
    }
}

#[test]
fn text_around_calls_passes_and_several_calls_are_kept_in_order() {
    let json = r#"{"name": "set_light", "arguments": {"room": "kitchen", "state": "on"}}"#;
    let clock = r#"{"name": "clock", "arguments": {}}"#;
    for (text, expected) in [
        (format!("Sure. <tool_call>{json}</tool_call><tool_call>\n{clock}\n</tool_call> Done."), "Sure.  Done."),
        (format!("Sure. {json} {clock} Done."), "Sure.   Done."),
        (format!("Sure.\n```json\n[{json}, {clock}]\n```\nDone."), "Sure.\n\nDone."),
        (format!("Sure. {json}; {clock}"), "Sure.  "),
        ("Sure.\n[set_light(room='kitchen', state='on'), clock()] Done.".to_owned(), "Sure.\n Done."),
    ] {
        let (said, calls, broken) = whole(&text);
        assert_eq!(said, expected, "{text}");
        assert_eq!(calls, [light(), call("clock", json!({}))], "{text}");
        assert!(broken.is_empty());
    }
}

#[test]
fn home_llms_blocks_are_services_and_what_they_say_is_said() {
    let block =
        "Turning it on.\n```homeassistant\n{\"service\": \"light.turn_on\", \"target_device\": \"light.hall\"}\n```";
    let service = call("light.turn_on", json!({"target_device": "light.hall"}));
    assert_eq!(whole(block), ("Turning it on.\n".to_owned(), vec![service.clone()], vec![]));
    let object = r#"{"to_say": "Turning it on.", "service": "light.turn_on", "target_device": "light.hall"}"#;
    assert_eq!(whole(object), ("Turning it on.".to_owned(), vec![service], vec![]));
    assert_eq!(whole(r#"{"response": "It is warm."}"#), ("It is warm.".to_owned(), vec![], vec![]));
}

#[test]
fn marks_within_arguments_do_not_end_a_call() {
    let call = call("set_light", json!({"room": "a </tool_call> \"b\" } ] ```", "state": "on"}));
    let json = json!({"name": call.name, "arguments": call.arguments}).to_string();
    for text in [format!("<tool_call>{json}</tool_call>"), json.clone(), format!("[TOOL_CALLS] [{json}]")] {
        assert_eq!(whole(&text), (String::new(), vec![call.clone()], vec![]), "{text}");
    }
}

#[test]
fn a_call_that_ends_anywhere_is_never_a_call_of_half_its_arguments() {
    let plain = [call("timer", json!({"minutes": 45, "loud": true})), light(), call("timer", json!({"minutes": 10}))];
    // Values that end in what also ends a call, and hold what looks like one.
    let code = |text: &str| call("set_light", json!({"room": text, "state": "on"}));
    let values = [code("fn a() {} fn b() {}"), code("if a > b </p> <b>c</b>"), code("{\"name\": \"clock\"} ``` ]")];
    for calls in [&plain, &values] {
        for name in Dialect::names() {
            let dialect = Dialect::named(name).unwrap();
            let text = dialect.reply("Gladly.", calls);
            for (end, _) in text.char_indices() {
                let (_, read, _) = in_pieces(dialect, std::iter::once(&text[..end]));
                assert!(calls.starts_with(&read), "{name}: {:?}: {read:?}", &text[..end]);
            }
        }
    }
}

#[test]
fn a_call_between_tags_that_was_cut_is_not_run() {
    for text in [
        "<tool_call>\n<function=write>\n<parameter=code>\nfn a() {}",
        "<function=write><parameter=code>fn a() {}",
        "<tool_call><function=write><parameter=code>if <function=clock>{}",
        "<tool_call>write<arg_key>code</arg_key><arg_value><b></",
        "<tool_call>write<arg_key>code</arg_key><arg_value>a</arg_value><arg_k</",
        "<tool_call>\n<function=write>\n<parameter=x>\n<p></",
        "<function=write><parameter=x><p></",
        "<invoke name=\"write\"><parameter name=\"x\">a></",
        "<function name=\"write\"><param name=\"x\">a></",
        "<｜DSML｜invoke name=\"write\"><｜DSML｜parameter name=\"x\" string=\"true\">a></",
        "{\"name\": \"timer\", \"body\": {\"text\": \"a\"}",
        "<tool_call>{\"name\": \"note\", \"body\": {\"text\": \"a\"}",
    ] {
        assert_eq!(whole(text).1, [], "{text}");
    }
    let whole_calls = [
        "<tool_call>\n<function=clock>\n</",
        "<tool_call>\n<function=clock>\n</function>",
        "<tool_call>\n<function=clock>\n<parameter=a>\n<b></b></parameter>\n</function>",
        "<function=clock>{}",
        "<function=clock><parameter=a>}</parameter></",
        "<tool_call>clock</",
        "<tool_call>clock<arg_key>a</arg_key>\n<arg_value>></arg_value>\n</",
        "<invoke name=\"clock\"><parameter name=\"a\">></parameter></inv",
        "<tool_call>{\"name\": \"clock\", \"arguments\": {\"a\": \"<arg_key>\"}}",
        "<tool_call>{\"name\": \"clock\", \"arguments\": {\"a\": \"<parameter=\"}",
        "{\"clock\": {}",
    ];
    for text in whole_calls {
        let calls = whole(text).1;
        assert!(calls.len() == 1 && calls[0].name == "clock", "{text}: {calls:?}");
    }
}

#[test]
fn a_call_that_was_left_for_another_one_is_no_call_of_half_its_arguments() {
    let clock = r#"{"name": "clock", "arguments": {}}"#;
    for (half, next) in [
        (r#"<tool_call>{"name": "timer", "arguments": {"minutes": 1"#, format!("<tool_call>{clock}</tool_call>")),
        (r#"<invoke name="timer"><parameter name="minutes">1"#, r#"<invoke name="clock"></invoke>"#.to_owned()),
        ("<tool_call>timer<arg_key>minutes</arg_key><arg_value>1", format!("<tool_call>{clock}</tool_call>")),
    ] {
        let text = format!("{half}{next}");
        let (said, calls, broken) = whole(&text);
        assert_eq!((said.as_str(), calls, broken.len()), ("", vec![call("clock", json!({}))], 1), "{text}");
    }
    // One that has all its arguments is whole.
    let text = "<invoke name=\"timer\"><parameter name=\"minutes\">1</parameter><invoke name=\"clock\"></invoke>";
    assert_eq!(whole(text).1, [call("timer", json!({"minutes": 1})), call("clock", json!({}))]);
    assert_eq!(whole("<tool_call>clock<tool_call>clock</tool_call>").1.len(), 2);
}

#[test]
fn text_with_a_brace_behind_a_call_of_mistrals_leaves_the_call() {
    let arguments = r#"{"room": "kitchen", "state": "on"}"#;
    for text in ["\nIt is {x}", " It {", "\nnote {x}", " a {\"b\": 1} c"] {
        let reply = format!("[TOOL_CALLS]set_light[ARGS]{arguments}{text}");
        let (_, calls, broken) = in_pieces(Dialect::MistralArgs, std::iter::once(reply.as_str()));
        assert_eq!((calls, broken), (vec![light()], vec![]), "{reply}");
    }
    let two = format!("[TOOL_CALLS]set_light[ARGS]{arguments}other[ARGS]{{}} clock{{}}");
    let (_, calls, _) = in_pieces(Dialect::MistralArgs, std::iter::once(two.as_str()));
    assert_eq!(calls, [light(), call("other", json!({})), call("clock", json!({}))]);
}

#[test]
fn a_text_that_speaks_of_harmonys_headers_is_said_and_only_tools_are_recipients() {
    let read = |text: &str| in_pieces(Dialect::Harmony, std::iter::once(text));
    let long = format!("Write to=functions.x {} as in a header.", "and then some words, ".repeat(20));
    assert_eq!(read(&long), (long.clone(), vec![], vec![]));
    let short = "Send it to=functions.other and wait.";
    assert_eq!(read(short), (short.to_owned(), vec![], vec![]));
    // A call that was cut in its header is no text.
    assert_eq!(read("Yes. to=functions.set_l"), ("Yes.".to_owned(), vec![], vec![]));
    let result = "<|start|>functions.clock to=assistant<|channel|>commentary<|message|>{\"hour\": 3}<|end|>";
    assert_eq!(read(result).1, []);
    for to in ["functions.clock", "clock"] {
        let text = format!("<|channel|>commentary to={to} <|constrain|>json<|message|>{{}}<|call|>");
        assert_eq!(read(&text), (String::new(), vec![call("clock", json!({}))], vec![]));
    }
}

#[test]
fn a_value_that_holds_tags_of_another_form_is_read_whole() {
    for (text, value) in [
        (
            "<function name=\"set_light\"><param name=\"room\">a <parameter name=\"b\">c</parameter></param></function>",
            "a <parameter name=\"b\">c</parameter>",
        ),
        (
            "<function name=\"set_light\"><param name=\"room\"><![CDATA[a</param><param name=\"b\">]]></param></function>",
            "a</param><param name=\"b\">",
        ),
    ] {
        assert_eq!(whole(text).1, [call("set_light", json!({"room": value}))], "{text}");
    }
}

#[test]
fn a_call_in_a_code_fence_in_the_models_own_form_is_read_and_its_mark_is_not_said() {
    for name in ["hermes", "glm", "qwen-xml", "mistral-args", "gemma4", "dsml", "kimi"] {
        let dialect = Dialect::named(name).unwrap();
        let text = format!("Look:\n```json\n{}\n```", dialect.written(&[light()]));
        let (said, read, _) = in_pieces(dialect, std::iter::once(text.as_str()));
        let said: String = said.split_whitespace().collect();
        // Mistral has no closing mark: what follows is dropped.
        assert_eq!((said.trim_end_matches('`'), read), ("Look:```json", vec![light()]), "{name}");
    }
}

#[test]
fn backslashes_in_calls_written_as_in_python_mean_what_they_mean_there() {
    for (written, means) in [
        (r#"a\\b\d\x41\u00e4\'\"\n"#, "a\\b\\dAä'\"\n"),
        (r"\/a\a\v\f", "\\/a\u{7}\u{b}\u{c}"),
        (r"\0\1012\8\N{DASH}", "\0A2\\8\\N{DASH}"),
        (r"\ud83d\ude00 \U0001F600", "\u{1f600} \u{1f600}"),
        (r"\ud83d!\ud83d\u0041", "\u{fffd}!\u{fffd}A"),
    ] {
        let text = format!("[set_light(room='{written}', state='on')]");
        assert_eq!(whole(&text).1, [call("set_light", json!({"room": means, "state": "on"}))], "{text}");
    }
}

#[test]
fn an_unclosed_call_counts_when_it_is_whole() {
    let json = r#"{"name": "clock", "arguments": {}}"#;
    for end in ["", "\n", "</tool", "</tool_call"] {
        assert_eq!(whole(&format!("<tool_call>{json}{end}")), (String::new(), vec![call("clock", json!({}))], vec![]));
    }
    let (said, calls, broken) = whole(&format!("<tool_call>{}", &json[..14]));
    assert_eq!((said.as_str(), calls.len(), broken.len()), ("", 0, 1));
    assert_eq!(whole(&format!("<tool_call>{json}<tool_call>{json}")).1.len(), 2);
    let (said, calls, broken) = whole(r#"{"name": "set_light", "arguments": {"room": "kit"#);
    assert_eq!((said.as_str(), calls.len(), broken.len()), ("", 0, 1));
}

#[test]
fn rubbish_between_marks_is_one_sentence_and_never_text() {
    for (body, says) in [
        ("", "empty"),
        ("turn on the light", "not valid JSON"),
        ("{'name': 'clock'}", "not valid JSON"),
        ("42", "not a JSON object"),
        ("[]", "names no tool"),
        (r#"{"tool_id": "clock"}"#, "names no tool"),
        (r#"{"name": 3}"#, "names no tool"),
        (r#"{"name": "timer", "arguments": "ten"}"#, "arguments of the tool call timer"),
    ] {
        let (said, calls, broken) = whole(&format!("Hm. <tool_call>{body}</tool_call>"));
        assert_eq!((said.as_str(), calls.len(), broken.len()), ("Hm. ", 0, 1), "{body}");
        assert!(broken[0].contains(says) && !broken[0].contains('\n'), "{body}: {broken:?}");
    }
    let deep = "[".repeat(10_000);
    assert_eq!(whole(&format!("<tool_call>{deep}</tool_call>")).2.len(), 1);
    assert_eq!(whole(&deep).0, deep);
}

#[test]
fn thoughts_are_no_text_wherever_they_begin() {
    for text in [
        "<think>The user wants light. <tool_call>{}</tool_call></think>Yes.",
        "<think>\n\n</think>Yes.",
        "Yes.<think>and then it broke off",
        "</think>Yes.",
        "[THINK]Hm.[/THINK]Yes.",
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
    ] {
        assert_eq!(whole(text), ("Yes.".to_owned(), vec![], vec![]), "{text}");
    }
    // The prompt has opened it.
    let mut parser = ReplyParser::new(Dialect::Hermes, tools(), true);
    assert_eq!(parser.push("The user says hello.\n</think>\n\nHello!"), "\n\nHello!");
    let mut parser = ReplyParser::new(Dialect::Hermes, tools(), true);
    assert_eq!(parser.push("It never ends"), "");
    assert_eq!(parser.finish(), ParsedReply::default());
}

#[test]
fn sizes_and_counts_are_bounded() {
    let long = format!("<tool_call>{}</tool_call>Yes.", "é".repeat(MAX_CALL_BYTES));
    let (said, calls, broken) = whole(&long);
    assert_eq!((said.as_str(), calls.len(), broken.len()), ("Yes.", 0, 1));
    assert!(broken[0].contains("longer than"));
    let many = "<tool_call>{\"name\": \"clock\"}</tool_call>".repeat(1000);
    let (_, calls, broken) = whole(&many);
    assert_eq!((calls.len(), broken.len()), (MAX_CALLS, MAX_CALLS));
    let begun = std::time::Instant::now();
    for text in ["{\"name\":".repeat(20_000), "```json\n{".repeat(5000), "set_light(".repeat(5000), "<".repeat(100_000)]
    {
        let (said, calls, _) = whole(&text);
        assert!(calls.is_empty() && said.len() <= text.len());
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn text_before_a_call_leaves_at_once() {
    let mut parser = ReplyParser::new(Dialect::Hermes, tools(), false);
    assert_eq!(parser.push("I'll do that. <to"), "I'll do that. ");
    assert_eq!(parser.push("ast>"), "<toast>");
    assert!(!parser.has_call());
    assert_eq!(parser.push("<tool_call>"), "");
    assert!(parser.has_call());
}

#[test]
fn dialects_are_found_in_templates_and_vocabularies() {
    for (template, token, expected) in [
        ("{{ '<tool_call>' }}", "", Dialect::Hermes),
        ("<tool_call><function=x><parameter=y>", "", Dialect::QwenXml),
        ("<tool_call>{name}<arg_key>", "", Dialect::Glm),
        ("[TOOL_CALLS]", "", Dialect::Mistral),
        ("[TOOL_CALLS] [ARGS]", "", Dialect::MistralArgs),
        ("<|tool_list_start|>", "", Dialect::Lfm2),
        ("<start_of_turn>user", "", Dialect::Gemma),
        ("\"parameters\": dictionary of argument name and its value", "", Dialect::Llama),
        ("<|channel|>final<|message|>", "", Dialect::Harmony),
        ("<｜tool▁calls▁begin｜>", "", Dialect::DeepSeek),
        ("<|im_start|>", "<tool_call>", Dialect::Hermes),
        ("<|im_start|>", "", Dialect::Generic),
        ("", "[TOOL_CALLS]", Dialect::Mistral),
    ] {
        assert_eq!(Dialect::detect(template, "m", &|text| text == token), expected, "{template}");
    }
    assert_eq!(Dialect::detect("<|im_start|>", "Home-3B-v3", &|_| false), Dialect::HomeLlm);
}

proptest! {
    #[test]
    fn any_cut_into_deltas_gives_the_same_as_the_whole_reply(
        parts in prop::collection::vec(prop::sample::select(vec![
            "<tool_call>", "</tool_call>", "<think>", "</think>", "<", "<tool_", "call>", "</", "é", "Yes. ", "\n", "{", "[", "]", "\"",
            "{\"name\": \"clock\", \"arguments\": {}}", "{\"name\": \"x\"", "```json", "```", "}", "<<think>", "[TOOL_CALLS]", "[ARGS]",
            "set_light(room='a')", "[clock()", "clock(", "<|python_tag|>", "<function=clock>", "</function>", "<|channel|>", "<|message|>",
            "final", "to=functions.clock", "<|call|>", "<｜tool▁calls▁begin｜>", "<｜tool▁sep｜>", "all\n", ">>>", "tool_code\n", "{\"to_say\": \"a\"}",
            "<|tool_call_start|>", "<|tool_call_end|>", "<functioncall> ", "'", ", ", "print(",
        ]), 0..24),
        sizes in prop::collection::vec(1usize..9, 1..40),
        dialect in prop::sample::select(Dialect::names().collect::<Vec<_>>()),
    ) {
        let dialect = Dialect::named(dialect).unwrap();
        let text: String = parts.concat();
        let chars: Vec<char> = text.chars().collect();
        let mut pieces = Vec::new();
        let (mut at, mut size) = (0, sizes.iter().cycle());
        while at < chars.len() {
            let end = chars.len().min(at + size.next().unwrap());
            pieces.push(chars[at..end].iter().collect::<String>());
            at = end;
        }
        let twin = in_pieces(dialect, std::iter::once(text.as_str()));
        prop_assert_eq!(&in_pieces(dialect, pieces.iter().map(String::as_str)), &twin);
    }

    #[test]
    fn text_without_marks_is_never_changed(text in "[a-zA-Z0-9 .,:;!?()'*#_<>{}\\[\\]/\\n-]{0,200}") {
        // Neither quotation marks nor fences: nothing here can be a call.
        let has_call = ["set_light(", "timer(", "clock("].iter().any(|call| text.contains(call));
        prop_assume!(!has_call && !text.contains("<think") && !text.contains("<tool"));
        let (said, calls, broken) = whole(&text);
        prop_assert_eq!((said, calls.len(), broken.len()), (text, 0, 0));
    }
}

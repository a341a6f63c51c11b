//! Output under constraints: whatever the model would like to say, it fits.

use std::path::PathBuf;
use std::sync::Arc;

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Value as Meta;
use nearfield_llm::{
    Constrained, Constraint, Finish, GenerateOptions, Generated, Llm, LlmOptions, Message, Role, Sampler,
    SamplerOptions, Session, SessionOptions, generate,
};
use nearfield_telemetry::figure::Figure;
use nearfield_telemetry::forms::{Forms, forms};
use nearfield_telemetry::sentence::Topic;
use nearfield_telemetry::table::{Change, ClockTime, Extreme, Figures, Row, Table};
use serde_json::{Value, json};
use std::ops::ControlFlow;

use crate::synthetic::{Recipe, byte_vocabulary, open, with_vocabulary};
use nearfield_testdata::test_data as shared_data;

fn write(llm: &Arc<Llm>, prompt: &str, seed: u64, constrained: Constrained, max_tokens: usize) -> Generated {
    let options = SessionOptions { context_tokens: 1024, ..SessionOptions::default() };
    let mut session = Session::new(Arc::clone(llm), &options).unwrap();
    let tokens = llm.tokenizer().unwrap().encode_prompt(prompt);
    session.prompt(&tokens, &mut || ControlFlow::Continue(())).unwrap();
    let sampler = match seed {
        0 => SamplerOptions::default(),
        seed => {
            SamplerOptions { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, seed, ..SamplerOptions::default() }
        }
    };
    let options = GenerateOptions { max_tokens, constraint: Some(constrained), ..GenerateOptions::default() };
    let mut heard = String::new();
    let sink = &mut |piece: &str| {
        heard.push_str(piece);
        ControlFlow::Continue(())
    };
    let generated = generate(&mut session, &mut Sampler::new(&sampler), &options, sink).unwrap();
    assert_eq!(generated.text, heard);
    generated
}

fn whole(constraint: Constraint) -> Constrained {
    Constrained { constraint, after: None }
}

fn light() -> Value {
    json!({
        "type": "object",
        "properties": {
            "room": {"enum": ["kitchen", "Küche 🍳"]},
            "on": {"type": "boolean"},
            "level": {"type": "integer", "minimum": 0, "maximum": 99},
        },
        "required": ["room", "on", "level"],
        "additionalProperties": false,
        "x-guidance": {"whitespace_flexible": false},
    })
}

/// Any text under the schema is one that it accepts.
fn check_light(generated: &Generated) {
    assert_eq!(generated.finish, Finish::EndOfText, "{generated:?}");
    let value: Value = serde_json::from_str(&generated.text).unwrap_or_else(|error| panic!("{error}: {generated:?}"));
    let object = value.as_object().unwrap();
    assert_eq!(object.len(), 3);
    assert!(["kitchen", "Küche 🍳"].contains(&object["room"].as_str().unwrap()) && object["on"].is_boolean());
    assert!((0..100).contains(&object["level"].as_i64().unwrap()), "{value}");
}

#[test]
fn random_weights_write_what_the_schema_says() {
    let (_folder, llm) = with_vocabulary("qwen2", None);
    let mut texts: Vec<String> = Vec::new();
    for seed in 0..12 {
        let generated = write(&llm, "hello", seed, whole(Constraint::JsonSchema(light())), 200);
        check_light(&generated);
        texts.push(generated.text);
    }
    texts.sort();
    texts.dedup();
    assert!(texts.len() > 4, "the model still chooses: {texts:?}");
}

#[test]
fn with_shared_data_sentence_pieces_and_their_bytes_fit_too() {
    let Some(path) = shared_data("llm/stories260Ktok512.gguf") else { return };
    let llm = Llm::open(&path, &LlmOptions { threads: 2 }).unwrap();
    for seed in 0..6 {
        check_light(&write(&llm, "Once upon a time", seed, whole(Constraint::JsonSchema(light())), 200));
    }
}

#[test]
fn grammars_and_expressions_are_followed_and_end_where_nothing_more_may_come() {
    let (_folder, llm) = with_vocabulary("qwen2", None);
    let grammar = "start: greeting \" \" NAME \"!\"\ngreeting: \"hello\" | \"Grüße\"\nNAME: /[A-C]{2,4}/\n";
    for seed in 0..6 {
        let text = write(&llm, "x", seed, whole(Constraint::Lark(grammar.to_owned())), 60).text;
        let name = text.strip_prefix("hello ").or(text.strip_prefix("Grüße ")).and_then(|text| text.strip_suffix('!'));
        assert!(
            name.is_some_and(|n| (2..5).contains(&n.len()) && n.bytes().all(|b| (b'A'..b'D').contains(&b))),
            "{text}"
        );
        let generated = write(&llm, "x", seed, whole(Constraint::Regex("(日本|👋🏽){3}".to_owned())), 60);
        assert_eq!(generated.finish, Finish::EndOfText);
        assert_eq!(generated.text.replace("日本", "").replace("👋🏽", ""), "");
        assert!(!generated.text.is_empty());
    }
}

#[test]
fn after_a_marker_what_follows_fits_and_the_rest_is_free() {
    let (_folder, llm) = with_vocabulary("qwen2", None);
    // "h" also begins the tokens "he", "hell" and "hello", of which only the first can go on to fit.
    let constraint = Constraint::Regex("(e[a-d]|[x-z]){2}!".to_owned());
    let (mut markers, mut free) = (0, 0);
    for seed in 1..9 {
        let constrained = Constrained { constraint: constraint.clone(), after: Some("h".to_owned()) };
        let text = write(&llm, "x", seed, constrained, 300).text;
        let mut parts = text.split('h');
        free += parts.next().unwrap().len();
        let mut parts = parts.peekable();
        while let Some(part) = parts.next() {
            markers += 1;
            let Some((inside, after)) = part.split_once('!') else {
                assert!(parts.peek().is_none(), "only the last may be unfinished: {text:?}");
                continue;
            };
            let left = inside.chars().fold(String::new(), |mut left, c| {
                left.push(c);
                if left.len() == 2 || left.starts_with(['x', 'y', 'z']) { String::new() } else { left }
            });
            assert!(left.is_empty() && (2..=4).contains(&inside.len()), "{inside:?} in {text:?}");
            assert!(inside.bytes().all(|b| b"eabcdxyz".contains(&b)), "{inside:?} in {text:?}");
            free += after.len();
        }
    }
    assert!(markers > 5 && free > 500, "{markers} {free}");
}

#[test]
fn what_cannot_be_followed_is_a_clear_error_before_anything_is_written() {
    let (_folder, llm) = with_vocabulary("qwen2", None);
    let cases = [
        (Constraint::JsonSchema(json!({"type": "strange"})), "JSON schema"),
        (Constraint::JsonSchema(json!({"$ref": "https://example.invalid/other.json"})), "JSON schema"),
        (Constraint::Lark("start: missing".to_owned()), "grammar"),
        (Constraint::Lark("start: \"x".to_owned()), "grammar"),
        (Constraint::Regex("(".to_owned()), "regular expression"),
        (Constraint::Regex("a".repeat(2 << 20)), "longer than"),
    ];
    for (constraint, expected) in cases {
        let error = llm.check_constraint(&constraint).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("cannot be used") && !error.contains('\n'), "{error}");
        assert!(error.len() < 400, "{error}");
    }
    // A good one works afterwards.
    llm.check_constraint(&Constraint::Regex("[ab]+".to_owned())).unwrap();
}

#[test]
fn talk_nano_can_be_made_to_call_another_tool_than_it_would() {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/models/talk-nano.gguf"));
    let llm = Llm::open(&path, &LlmOptions::default()).unwrap();
    let messages = [
        Message::new(Role::System, "You are Nearfield.\nHome:\nlights off: kitchen=off"),
        Message::new(Role::User, "Turn on the kitchen light."),
    ];
    let prompt = llm.template().unwrap().render(&messages, &[], true).unwrap();
    let after = Some("<tool_call>".to_owned());
    let own = Constrained { constraint: Constraint::Regex("(.|\n){0,400}".to_owned()), after: after.clone() };
    let own = write(&llm, &prompt, 0, own, 80).text;
    assert!(own.contains("<tool_call>") && own.contains("set_light"), "{own}");
    let grammar = "start: call \"</tool_call>\"\ncall: %json {\"type\": \"object\", \"properties\": {\"name\": {\"const\": \
                   \"set_blind\"}, \"arguments\": {\"type\": \"object\", \"properties\": {\"height\": {\"enum\": [10, 20]}}, \
                   \"required\": [\"height\"], \"additionalProperties\": false}}, \"required\": [\"name\", \"arguments\"], \
                   \"additionalProperties\": false, \"x-guidance\": {\"whitespace_flexible\": false}}\n";
    let bent =
        write(&llm, &prompt, 0, Constrained { constraint: Constraint::Lark(grammar.to_owned()), after }, 120).text;
    let call = bent.split_once("<tool_call>").unwrap().1.split_once("</tool_call>").unwrap().0;
    let call: Value = serde_json::from_str(call).unwrap();
    assert_eq!(call["name"], "set_blind");
    assert!([10, 20].contains(&call["arguments"]["height"].as_i64().unwrap()), "{bent}");
}

/// A sentence about a sensor in all its forms.
fn report_forms() -> Forms {
    let figure = |text: &str| Figure::parse(text).unwrap();
    let extreme = |value: &str, at: u16| Extreme { value: figure(value), at: Some(ClockTime(at)) };
    let figures = Figures {
        mean: figure("21.3"),
        low: extreme("19.8", 310),
        high: extreme("24.9", 860),
        change: Some(Change::Rose(figure("0.6"))),
    };
    let row =
        Row {
            name: "kitchen temperature".to_owned(), unit: "°C".to_owned(), figures: Some(figures), ..Row::default()
        };
    let day = jiff::civil::date(2026, 11, 20);
    forms(&Table::of("20 November 2026".to_owned(), [day, day], vec![row], Vec::new()), Topic::Row(0))
}

/// What a constraint costs a token, over vocabularies of three sizes: run with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn what_masks_cost() {
    for n_vocab in [4096usize, 32_000, 151_936] {
        let folder = tempfile::tempdir().unwrap();
        let letters: Vec<char> = "etaoinshrdlucmfwypvbgkjqxz ETAOIN0123456789{}[]:,\"".chars().collect();
        let mut extra = byte_vocabulary("qwen2", None);
        for (key, value) in &mut extra {
            if let Meta::Array(list) = value {
                let tokens = *key == "tokenizer.ggml.tokens";
                for index in list.len()..if *key == "tokenizer.ggml.merges" { 0 } else { n_vocab } {
                    let mut rest = index * 7919;
                    let word = (0..2 + index % 6).map(|_| {
                        let letter = letters[rest % letters.len()];
                        rest = rest / letters.len() + index;
                        if letter == ' ' { 'Ġ' } else { letter }
                    });
                    let word = format!("{}{}", word.collect::<String>(), index % 977);
                    list.push(if tokens { Meta::String(word) } else { Meta::I32(1) });
                }
            }
        }
        let recipe = Recipe { extra, vocab: n_vocab, layers: 1, ..Recipe::plain(GgmlDType::Q8_0) };
        let (llm, _) = open(&recipe, folder.path());
        // Milliseconds of this thread on a processor, as others use the machine too.
        let spent = || {
            let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
            text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e6
        };
        let time = |f: &mut dyn FnMut()| {
            let begun = spent();
            f();
            spent() - begun
        };
        let text =
            json!({"type": "object", "properties": {"a": {"type": "string", "minLength": 300}}, "required": ["a"]});
        let trie = time(&mut || llm.check_constraint(&Constraint::Regex("a".to_owned())).unwrap());
        let compile = time(&mut || llm.check_constraint(&Constraint::JsonSchema(text.clone())).unwrap());
        let again = time(&mut || llm.check_constraint(&Constraint::JsonSchema(text.clone())).unwrap());
        let mut session = Session::new(llm.clone(), &SessionOptions::default()).unwrap();
        let mut run = |constraint: Option<Constrained>| {
            session.truncate(0);
            session
                .prompt(&llm.tokenizer().unwrap().encode("hello", false), &mut || ControlFlow::Continue(()))
                .unwrap();
            let options = GenerateOptions { max_tokens: 100, constraint, ..GenerateOptions::default() };
            let sampler = SamplerOptions { temperature: 1.0, top_k: 40, ..SamplerOptions::default() };
            let mut tokens = 0;
            let all = time(&mut || {
                let mut sampler = Sampler::new(&sampler);
                tokens =
                    generate(&mut session, &mut sampler, &options, &mut |_| ControlFlow::Continue(())).unwrap().tokens;
            });
            all / tokens as f64
        };
        let (mut free, mut held) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..5 {
            free = free.min(run(None));
            held = held.min(run(Some(whole(Constraint::JsonSchema(text.clone())))));
        }
        // What a report's sentence is held to at its second try: another expression each time.
        let sentence = report_forms();
        let sentence_compiled = time(&mut || llm.check_constraint(&Constraint::Regex(sentence.expression())).unwrap());
        let sentence_held = run(Some(whole(Constraint::Regex(sentence.expression()))));
        eprintln!(
            "{n_vocab} tokens: a sentence of a report compiled in {sentence_compiled:.2} ms, {:.3} ms a token more than {free:.3}",
            sentence_held - free
        );
        eprintln!(
            "{n_vocab} tokens: trie {trie:.1} ms, schema {compile:.2} ms, again {again:.2} ms; {:.3} ms a token more than {free:.3}",
            held - free
        );
    }
}

#[test]
fn prose_holds_code_and_json_and_no_mark_of_a_call_or_a_thought() {
    let (_folder, llm) = with_vocabulary("qwen2", Some("{{ messages[0].content }}<tool_call>"));
    let chat = nearfield_llm::Chat::new(&llm, nearfield_llm::ChatOptions::default());
    let Ok(chat) = chat else { panic!("{chat:?}") };
    let prose = chat.prose().unwrap();
    let Constraint::Lark(grammar) = &prose.constraint else { panic!("{prose:?}") };
    // Two texts to choose from, of which one holds a mark.
    let only = |good: &str, bad: &str| {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let text = grammar.replace("/(?s:.+)/", &format!("({} | {})", quoted(good), quoted(bad)));
        for seed in 0..8 {
            let generated = write(&llm, "x", seed, whole(Constraint::Lark(text.clone())), 400);
            assert_eq!(generated.text, good);
        }
    };
    for bad in ["<tool_call>", "<|im_end|>", "<think>Hm.", "[TOOL_CALLS]", "a <function=f>", "</tool_call>"] {
        only("```html\n<div>[1, 2] | {\"a\": 3}</div> 5 < 6\n```", bad);
    }
}

//! Chat templates: hostile ones are refused within bounds of memory and time, real ones render as they do without the bounds.

use std::process::Command;
use std::time::{Duration, Instant};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use nearfield_llm::{Message, Role};
use serde_json::json;

use crate::synthetic::with_vocabulary;

/// Says that this process is the one with little memory.
const LIMITED: &str = "NEARFIELD_TEST_TEMPLATES_LIMITED";

/// A step, made 31 times, that makes `ns.x` longer.
fn doubled(step: &str) -> String {
    format!("{{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}}{{% for i in range(31) %}}{step}{{% endfor %}}")
}

/// Templates that ask for more memory than there is, or for more stack, or that do not end.
fn hostile() -> Vec<String> {
    let long = "x".repeat(10_000);
    vec![
        "{{ '{:>1000000000}'.format(1) }}".to_owned(),
        "{{ '{:.1000000000f}'.format(1.5) }}".to_owned(),
        "{{ '{:01000000000d}'.format(1) }}".to_owned(),
        "{{ '{:{}}'.format(1, 1000000000) }}".to_owned(),
        "{% set x = 'x' * 100000 %}{{ ('{0}' * 1000).format(x) }}".to_owned(),
        "{{ '%1000000000d'|format(1) }}".to_owned(),
        "{{ '%*d'|format(1000000000, 1) }}".to_owned(),
        "{{ '%.1000000000f'|format(1.5) }}".to_owned(),
        "{{ 'a'|indent(1500000000, true) }}".to_owned(),
        "{{ 'a'|indent(width=1500000000, first=true) }}".to_owned(),
        "{{ ('\\n' * 3000000)|indent(1000, true, true) }}".to_owned(),
        "{% set ns = namespace(x='xxxxxxxxxxxxxxxx') %}{% for i in range(31) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x|length }}".to_owned(),
        "{% set ns = namespace(x='xxxxxxxxxxxxxxxx') %}{% for i in range(31) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x|length }}".to_owned(),
        doubled("{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}"),
        doubled("{% set ns.x = '{0}{0}'.format(ns.x) %}"),
        doubled("{% set ns.x = [ns.x, ns.x]|join %}"),
        doubled("{% set ns.x = ns.x.join(['a', 'b', 'c']) %}"),
        "{% set ns = namespace(x='aa') %}{% for i in range(31) %}{% set ns.x = ns.x|replace('a', 'aa') %}{% endfor %}".to_owned(),
        "{% set ns = namespace(x='aa') %}{% for i in range(31) %}{% set ns.x = ns.x.replace('a', 'aa') %}{% endfor %}".to_owned(),
        "{% macro m(x) %}{{ x }}{{ x }}{% endmacro %}{% set ns = namespace(x='xxxxxxxxxxxxxxxx') %}{% for i in range(31) %}{% set ns.x = m(ns.x) %}{% endfor %}".to_owned(),
        "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}{% set ns = namespace(x='xxxxxxxxxxxxxxxx') %}{% for i in range(31) %}{% set y %}{% call m() %}{{ ns.x }}{% endcall %}{% endset %}{% set ns.x = y %}{% endfor %}".to_owned(),
        doubled("{% set y %}{% filter replace('a', 'aa') %}{{ ns.x }}{% endfilter %}{% endset %}{% set ns.x = y %}"),
        "{% set ns = namespace(x=[1]) %}{% for i in range(31) %}{% set ns.x = (ns.x + ns.x)|list %}{% endfor %}".to_owned(),
        "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}".to_owned(),
        "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}".to_owned(),
        "{% set ns = namespace(x={'a':1}) %}{% for i in range(40) %}{% set ns.x = {'a': ns.x, 'b': ns.x} %}{% endfor %}{{ ns.x|tojson }}".to_owned(),
        "{% set a = namespace(x=[1]) %}{% set b = namespace(x=[1]) %}{% for i in range(40) %}{% set a.x = [a.x, a.x] %}{% set b.x = [b.x, b.x] %}{% endfor %}{{ a.x == b.x }}".to_owned(),
        "{{ ('x' * 100000000)|length }}".to_owned(),
        "{{ 'x' * 1000 * 1000 * 1000 }}".to_owned(),
        "{{ ((1,) * 100000000)|length }}".to_owned(),
        "{% set t = 100000000 * (1, 2) %}".to_owned(),
        "{{ ([1] * 100000000)|list|length }}".to_owned(),
        "{{ ([1] * 100000000) }}".to_owned(),
        "{{ ([1] * 100000000)|join(',') }}".to_owned(),
        "{% macro m() %}{% endmacro %}{{ m(*([1] * 100000000)) }}".to_owned(),
        "{% set a, b = [1] * 100000000 %}".to_owned(),
        "{{ ([1] * 100000000)|tojson }}".to_owned(),
        "{{ ([[1] * 10000] * 10000)|string }}".to_owned(),
        "{% set x = 'x' * 1000000 %}{{ range(100000)|join(x) }}".to_owned(),
        "{% set x = 'x' * 1000000 %}{{ x|replace('x', x) }}".to_owned(),
        "{% set x = 'x' * 1000000 %}{{ x.replace('', x) }}".to_owned(),
        "{{ [1]|batch(1000000000, 'x') }}".to_owned(),
        "{{ [1]|slice(1000000000, 'x') }}".to_owned(),
        "{{ ['a']|map('indent', 1500000000, true)|list }}".to_owned(),
        "{{ range(100000)|map('string')|map('slice', 60000)|list|length }}".to_owned(),
        "{% set x = 'x' * 1000000 %}{{ (['a'] * 1000)|map('replace', 'a', x)|list|length }}".to_owned(),
        "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l, 'x' * 4000000] %}{% endfor %}".to_owned(),
        "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = ns.l + [ns.l] %}{% endfor %}".to_owned(),
        "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}".to_owned(),
        "{% set ns = namespace(l={}) %}{% for i in range(100000) %}{% set ns.l = {'a': ns.l} %}{% endfor %}{{ ns.l|tojson }}".to_owned(),
        "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}".to_owned(),
        "{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns }}".to_owned(),
        "{% set a = namespace() %}{% set b = namespace() %}{% set a.x = b %}{% set b.x = a %}{{ a|tojson }}".to_owned(),
        "{% set a = namespace() %}{% set b = namespace(x=a) %}{% set a.x = {'b': b} %}{{ a|string }}".to_owned(),
        "{{ (['xxxxxxxxxxxxxxxxxxxx'] * 60000)|sum(start='')|length }}".to_owned(),
        "{{ ([[[[1]]]] * 30000)|pprint|length }}".to_owned(),
        "{% macro m(x) %}{{ m(x ~ x) }}{% endmacro %}{{ m('xxxxxxxxxxxxxxxx') }}".to_owned(),
        "{% for x in [[[[1]]]] recursive %}{{ loop([x, x]) }}{% endfor %}".to_owned(),
        "{{ debug() }}".to_owned(),
        "{{ strftime_now('%1000000000d') }}".to_owned(),
        "{% for a in range(100000) %}{% for b in range(100000) %}{% for c in range(100000) %}{% endfor %}{% endfor %}{% endfor %}".to_owned(),
        "{% include 'chat' %}".to_owned(),
        "{% for i in range(100000) %}{% for j in range(100) %}{% macro m() %}{{ i }}{% endmacro %}{% endfor %}{% endfor %}".to_owned(),
        "{% set x = 'x' * 4000000 %}{% for i in range(100000) %}{% for j in range(100) %}{% if 'y' in x %}{% endif %}{% endfor %}{% endfor %}".to_owned(),
        "{% set x = 'x' * 4000000 %}{% for i in range(100000) %}{% for j in range(100) %}{{ x|length }}{% endfor %}{% endfor %}".to_owned(),
        "{% set x = 'x' * 4000000 %}{% for i in range(100000) %}{% for j in range(100) %}{{ x.find('y') }}{% endfor %}{% endfor %}".to_owned(),
        "{% autoescape 'html' %}{% set x = '<' * 4000000 %}{% for i in range(100) %}{{ x }}{% endfor %}{% endautoescape %}".to_owned(),
        "{% autoescape 'html' %}{% set ns = namespace(x='<') %}{% for i in range(100) %}{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y ~ '' %}{% endfor %}{% endautoescape %}".to_owned(),
        "{% set x = [1e308] * 100000 %}{% for i in range(1000) %}{{ x }}{% endfor %}".to_owned(),
        format!("{{% set x = 'xxxxxxxxxxxxxxxx' %}}{}", "{% set x = x ~ x %}".repeat(31)),
        format!("{{% set x %}}{{% for i in range(100000) %}}{long}{{% endfor %}}{{% endset %}}"),
        format!("{{% for i in range(100000) %}}{long}{{% endfor %}}"),
        format!("{{% macro m() %}}{{% for i in range(100000) %}}{long}{{% endfor %}}{{% endmacro %}}{{{{ m()|length }}}}"),
        format!("{{{{ {} }}}}", ["('x' * 99999999)"; 40].join(" ~ ")),
        format!("{{% set x = 'x' * 1000000 %}}{{{{ ({})|length }}}}", ["x"; 1000].join(" ~ ")),
        format!("{{{{ {} }}}}", ["1"; 100_000].join(" + ")),
        format!("{{{{ a{} }}}}", ".a".repeat(100_000)),
        format!("{{{{ 1{} }}}}", "|string".repeat(20_000)),
        format!("{{{{ {}1 }}}}", "not ".repeat(20_000)),
        format!("{{{{ {}1{} }}}}", "(".repeat(20_000), ")".repeat(20_000)),
        format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(4000)),
        format!("{}{}", "{% if 1 %}".repeat(3000), "{% endif %}".repeat(3000)),
        format!("{{{{ '{}' }}}}", "x".repeat(300_000)),
    ]
}

/// Templates that are large and harmless.
fn harmless() -> Vec<(String, usize)> {
    vec![
        ("{{ ('=' * 80) ~ ('ab' * 3) }}".to_owned(), 86),
        ("{{ '{:>80}|{:<5}'.format(1, 'a') }}{{ '%05d'|format(7) }}".to_owned(), 91),
        ("{{ [1, 2, 3]|join(', ') }}{{ 'a\nb'|indent(2, true) }}".to_owned(), 14),
        ("{% set ns = namespace(x='') %}{% for i in range(500) %}{% set ns.x = ns.x ~ i ~ ',' %}{% endfor %}{{ ns.x }}".to_owned(), 1890),
        ("{% set l = namespace(x=[]) %}{% for i in range(500) %}{% set l.x = l.x + [i] %}{% endfor %}{{ l.x|length }}".to_owned(), 3),
        ("{{ 2 * 3 * 4 }}{{ 2 * 1.5 }}{% set a, b = [3, 4] %}{{ a * b }}{{ [1] * 3 }}{{ (1, 2) * 2 }}".to_owned(), 2 + 3 + 2 + 9 + 12),
        (format!("{{{{ {} }}}}", ["1"; 500].join(" + ")), 3),
        (format!("{{% if 0 %}}{}{{% else %}}b{{% endif %}}", "{% elif 0 %}a".repeat(200)), 1),
    ]
}

#[test]
fn hostile_templates_are_refused_in_little_memory_and_time() {
    if std::env::var_os(LIMITED).is_none() {
        let me = std::env::current_exe().unwrap();
        let name = "templates::hostile_templates_are_refused_in_little_memory_and_time";
        let output = Command::new("sh")
            .args(["-c", "ulimit -v 1572864; exec \"$0\" --exact --nocapture \"$1\""])
            .args([me.to_str().unwrap(), name])
            .env(LIMITED, "1")
            .env("RUST_TEST_THREADS", "1")
            .output()
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && out.contains("1 passed"), "{}\n{out}\n{err}", output.status);
        return;
    }
    let messages = [Message::new(Role::User, "Hello.")];
    for source in hostile() {
        let shown = &source[..source.floor_char_boundary(150)];
        println!("{shown}");
        let begun = Instant::now();
        let (_folder, opened) = crate::synthetic::try_with_vocabulary("qwen2", Some(&source));
        let error = match opened {
            Err(error) => error,
            Ok(llm) => llm.template().unwrap().render(&messages, &[], true).expect_err(shown),
        };
        let error = error.to_string();
        assert!(error.contains("chat template") && error.len() < 400, "{shown}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{shown}: {:?}", begun.elapsed());
    }
    let peak = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB");
    assert!(peak.parse::<u64>().unwrap() < 400_000, "{peak} kB");
}

#[test]
fn an_indent_beyond_all_bounds_is_cut_to_sixteen() {
    let (_folder, llm) = with_vocabulary("qwen2", Some("{{ messages|tojson(indent=1000000000) }}"));
    let messages = [Message::new(Role::User, "Hello.")];
    let text = llm.template().unwrap().render(&messages, &[], true).unwrap();
    assert!(text.contains(&format!("\n{}{{", " ".repeat(16))) && text.len() < 400, "{text}");
}

#[test]
fn templates_that_make_much_of_little_within_reason_render() {
    for (source, length) in harmless() {
        let (_folder, llm) = with_vocabulary("qwen2", Some(&source));
        let text = llm.template().unwrap().render(&[], &[], true).unwrap();
        assert_eq!(text.len(), length, "{source}: {text}");
    }
}

/// What minijinja alone makes of it.
fn unlimited(source: &str, messages: &[Message], tools: &[serde_json::Value]) -> String {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(false).build();
    environment.set_syntax(syntax.unwrap());
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", |value: Value| nearfield_test_json(&serde_json::to_value(&value).unwrap()));
    environment.add_template("chat", source).unwrap();
    let (messages, eos_token) = (Value::from(Serde(messages)), "<|end|>");
    let context = match tools {
        [] => context! { messages, eos_token, add_generation_prompt => true },
        tools => context! { messages, tools => Value::from(Serde(tools)), eos_token, add_generation_prompt => true },
    };
    environment.get_template("chat").unwrap().render(context).unwrap()
}

/// JSON with a space after each comma and colon; the tools below have neither within their texts.
fn nearfield_test_json(value: &serde_json::Value) -> String {
    value.to_string().replace(':', ": ").replace(',', ", ")
}

#[test]
fn real_templates_render_as_they_do_without_limits() {
    let tool = json!({"type": "function", "function": {"name": "clock", "description": "Tells the time", "parameters": {"type": "object", "properties": {}}}});
    let chat = [
        Message::new(Role::System, "You are Nearfield & co."),
        Message::new(Role::User, "Wie sp\u{e4}t ist es?"),
        Message::new(Role::Assistant, "<tool_call>\n{\"name\": \"clock\", \"arguments\": {}}\n</tool_call>"),
        Message::new(Role::Tool, "{\"ok\": true}"),
        Message::new(Role::Assistant, "<b>Ten</b> 'o clock'."),
        Message::new(Role::User, "x".repeat(100_000)),
    ];
    let many: Vec<Message> =
        (0..2000).map(|i| Message::new([Role::User, Role::Assistant][i % 2], format!("Turn {i}."))).collect();
    for name in ["smollm2", "qwen2.5"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/templates").join(name);
        let source = std::fs::read_to_string(path.with_file_name(format!("{name}.jinja"))).unwrap();
        let (_folder, llm) = with_vocabulary("qwen2", Some(&source));
        let template = llm.template().unwrap();
        // Without a role for results, the user tells them.
        let told = |message: &Message| match (name, message.role) {
            ("smollm2", Role::Tool) => Message::new(Role::User, format!("Result: {}", message.content)),
            _ => message.clone(),
        };
        for messages in [&chat[..], &chat[1..], &many[..]] {
            for tools in [&[][..], std::slice::from_ref(&tool)] {
                let text = template.render(messages, tools, true).unwrap();
                let told: Vec<Message> = messages.iter().map(told).collect();
                assert!(text == unlimited(&source, &told, tools), "{name}: {}", &text[..500]);
                assert!(text.ends_with("assistant\n"));
            }
        }
    }
}

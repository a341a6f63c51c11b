//! Where fuzzing begins: small valid inputs of each kind, made here or taken from the project's own assets, and what a fuzzer once
//! found (`seeds/TARGET/`).

use std::path::{Path, PathBuf};

use crate::models::{self, tiny_model};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn beginning(path: &str, most: usize) -> Vec<u8> {
    let mut bytes = std::fs::read(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    bytes.truncate(most);
    bytes
}

fn saved_session() -> Vec<u8> {
    use nearfield_llm::{Llm, LlmOptions, Session, SessionOptions};
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let (model, file) = (folder.path().join("m.gguf"), folder.path().join("s"));
    std::fs::write(&model, tiny_model()).expect("there is room for a small file");
    let llm = Llm::open(&model, &LlmOptions { threads: 1 }).expect("our own model can be opened");
    let options = SessionOptions { context_tokens: 16, ..SessionOptions::default() };
    let mut session = Session::new(llm, &options).expect("16 tokens fit");
    session.append(&[nearfield_llm::TokenId(1), nearfield_llm::TokenId(5)]).expect("two tokens fit");
    session.save(&file, b"note").expect("there is room for a small file");
    std::fs::read(&file).expect("it was just written")
}

fn filled_store() -> Vec<u8> {
    use nearfield_stages::report::store::Store;
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let path = folder.path().join("store.db");
    drop(Store::open(&path, crate::files::KEEP_ALL).expect("a new store can be begun"));
    std::fs::read(&path).expect("it was just written")
}

fn wav() -> Vec<u8> {
    let mut bytes =
        b"RIFF\x2c\x02\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data\0\x02\0\0".to_vec();
    bytes.extend((0..512u32).map(|i| (i * 37) as u8));
    bytes
}

/// A name, the bytes, the time zone, and what is read of them.
type Export = (&'static str, &'static [u8], &'static str, &'static [ExpectedReading], usize);
/// A sensor, its unit, a time and a value.
type ExpectedReading = (&'static str, &'static str, &'static str, &'static str);

/// The exports that tests of the reader hold right values for.
const EXPORTS: &[Export] = &include!("../../models/telemetry/tests/exports/cases.in");

/// The bundled home.
pub(crate) fn home() -> nearfield_home::HomeFile {
    let text = String::from_utf8(beginning("assets/home.json", 1 << 16)).expect("our own home is UTF-8");
    nearfield_home::HomeFile::parse(&text).expect("our own home can be read")
}

/// The bundled home with its tools by entity.
pub(crate) fn toolbox() -> nearfield_stages::voice::tools::Toolbox {
    use nearfield_stages::voice::tools::{HomeLayout, HomeTools, Toolbox};
    let tools = Toolbox::new(Some(HomeTools::of_rooms(home())), Vec::new()).expect("no commands, no mistakes");
    tools.laid_out(HomeLayout::ByThing)
}

/// A reply in each dialect, with text, a call of each tool, and a thought; the first byte says in which.
fn replies_with_calls() -> Vec<Vec<u8>> {
    use nearfield_llm::{Dialect, ToolCall};
    let call = |name: &str, arguments| ToolCall { name: name.to_owned(), arguments };
    let calls = [
        call("set_light", serde_json::json!({"room": "kitchen", "state": "on"})),
        call("timer", serde_json::json!({"minutes": 2.5, "loud": true})),
    ];
    let of = |(i, name): (usize, &str)| {
        let dialect = Dialect::named(name).expect("its name is in the list");
        let mut bytes = vec![2 * i as u8];
        bytes.extend_from_slice(format!("Right away.\n{}\nDone <b>now</b>.", dialect.written(&calls)).as_bytes());
        bytes
    };
    let mut seeds: Vec<Vec<u8>> = Dialect::names().enumerate().map(of).collect();
    seeds.push(b"\x01It is dark.</think>[set_light(room='hall', state='on')]".to_vec());
    seeds.push(
        b"\x00<think>It is dark.</think>```json\n[{\"name\": \"timer\", \"arguments\": {\"minutes\": \"3\"}}]\n```"
            .to_vec(),
    );
    seeds
}

/// Models of several architectures without their weights.
pub fn architectures() -> Vec<Vec<u8>> {
    models::headers()
}

/// The valid inputs to begin with, and what was found before.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
    let mut seeds: Vec<Vec<u8>> = match target {
        "gguf" => vec![tiny_model()],
        "architecture" => architectures(),
        "template" => texts(&[
            "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}",
            "{{ bos_token }}{% set ns = namespace(x='') %}{% for m in messages %}{% if loop.first %}{% set ns.x = m['content'] | trim %}\
             {% endif %}{{ '[INST] ' + ns.x.split(' ')[0] ~ m.content[1:] }}{% endfor %}{% if tools %}{{ tools | tojson(indent=2) }}{% endif %}",
            "{%- macro f(a, b=2) -%}{{ a * b }}{%- endmacro -%}{{ f('x', 3) }}{{ range(5) | list | join(',') }}{{ raise_exception('no') }}",
        ]),
        "tokenizer" => texts(&["abab a b", "Grüße, 世界! 🎉 <s></s>\u{0}\n", " \t  x"]),
        "session" => vec![saved_session()],
        "ggml" => vec![beginning("assets/models/hear-nano.bin", 4096)],
        "piper" => texts(&[
            "{\"audio\":{\"sample_rate\":22050},\"espeak\":{\"voice\":\"en-us\"},\"inference\":{\"noise_scale\":0.667,\
             \"length_scale\":1,\"noise_w\":0.8},\"phoneme_id_map\":{\"^\":[1],\"_\":[0],\"$\":[2],\"h\":[20]},\"num_speakers\":1}",
        ]),
        "manifest" => vec![beginning("configs/vision/fastestdet.toml", 4096)],
        "sound" => vec![wav(), beginning("assets/speech/1-temperature.wav", 3000)],
        "jpegs" | "picture" => {
            ["plain.jpg", "cmyk.jpg"].map(|name| beginning(&format!("tests/data/pictures/{name}"), 4096)).into()
        }
        "csv" => texts(&[
            "time,hall,cellar °C\n2026-11-20T00:00:00Z,20.5,12\n2026-11-20T00:01:00Z,20.6,\n",
            "Time;Power\n2026-03-10 00:00;1,2\n10.03.2026 00:01;\"1,3\"\n",
            "entity_id,state,last_changed\nsensor.a,20.5,2026-11-20T00:00:00+01:00\n",
        ]),
        "json_lines" => texts(&[
            "{\"time\":\"2026-11-20T00:00:00Z\",\"a\":1,\"b\":{\"c\":-2.5e3}}\n{\"ts\":1763596800,\"sensor\":\"x\",\"value\":\"20.5\"}\n",
            "{\"SenML\":[{\"n\":\"t\",\"v\":1}]}\n",
        ]),
        "exports" => EXPORTS.iter().map(|(_, bytes, ..)| bytes.to_vec()).collect(),
        "workbook" => {
            ["hall.xlsx", "hall.ods"].map(|n| beginning(&format!("models/telemetry/tests/exports/{n}"), 1 << 16)).into()
        }
        "home" => {
            vec![beginning("assets/home.json", 1 << 16), home().to_inventory().into_bytes()]
        }
        "request" => texts(&[
            "Turn on the kitchen light.",
            "set the hall lights to 40 percent and lock the front door",
            "Which lights are on upstairs, and is the front door locked?",
            "set a timer of 1 hour and 20 minutes for the pasta",
            "wake me at half past six tomorrow",
            "no, the other one",
        ]),
        "dialect" => replies_with_calls(),
        "spoken" => texts(&[
            "The **kitchen** light is on. See [the manual](https://example.org/a?b=c), or `code`.",
            "<think>What now?</think>It is 21.5 °C & rising &amp; fine.\nassistant: - one\n- two\n```json\n{\"a\": [1, 2]}\n```\nDone!",
            "{\"to_say\": \"Hello\"} <|im_end|> [INST] x [/INST] <tool_call>{}</tool_call> Good night, 3.5 km to go... 🎉",
        ]),
        "normalize" => texts(&[
            "Dr. Smith paid $1,234.50 on 3/4/2026 at 3:45 pm for No. 7, i.e. 20 m\u{b2} at -4.5 \u{b0}C and 10km/h.",
            "Henry VIII, 1/2 cup, 5-10 kg, 1.5e-3, 2.0.1, a@b.co, https://example.com/x?y=1 #tag 27\u{2033} NASA 90210 21st \u{bd}",
            "Call 555-0123 before 1066 BC; it's 100% off & cheap: 3 * 4 = 12 (St. John St.), 1,000,000 or 1 000.",
        ]),
        "graph" => ["tiny-vits-two-speakers", "tiny-vits"]
            .iter()
            .map(|name| beginning(&format!("models/speech/tests/data/{name}.onnx"), 1 << 16))
            .collect(),
        "sentences" => {
            let mut files = ["light", "lists"]
                .map(|name| beginning(&format!("models/home/src/sentences/english/{name}.yaml"), 1 << 14));
            files.iter_mut().for_each(|file| file.extend_from_slice(b"\0turn on the hall light"));
            let mut seeds = files.to_vec();
            seeds.extend(texts(&[
                "lists: {room: {values: [hall, {in: '[the] den', out: den}]}, level: {range: {from: 0, to: 100}}, any: {wildcard: true}}\n\
                 expansion_rules: {please: '[please|now]', a: '<b> [<b>]', b: '(x;y)'}\nskip_words: [er]\n\
                 intents: {HassTurnOn: {data: [{sentences: ['<please> (light|lamp) {room}[ to {level:brightness}]'], slots: {domain: light}}]},\
                 HassListAddItem: {data: [{sentences: ['put {any:item} down', '<a>']}]}}\0er please lamp the den to 40",
            ]));
            seeds
        }
        "models" => vec![beginning("assets/models/models.toml", 1 << 16)],
        "config" => {
            ["voice", "caption", "report"].map(|name| beginning(&format!("configs/{name}.toml"), 1 << 16)).into()
        }
        "store" | "snapshot" => vec![filled_store()],
        // Its seeds are files.
        "recorder" => Vec::new(),
        "mqtt_message" => texts(&[
            "tele/hall/SENSOR\n{\"Time\":\"2026-03-10T00:00:00\",\"AM2301\":{\"Temperature\":20.5,\"Humidity\":45},\"TempUnit\":\"C\"}",
            "zigbee2mqtt/door\n{\"contact\":false,\"battery\":97,\"last_seen\":\"2026-03-10T00:00:00Z\"}",
            "shellies/s1/relay/0/power\n12.5",
            "v1/devices/me/telemetry\n{\"temperature\":[{\"ts\":1773100800000,\"value\":\"20.5\"}]}",
        ]),
        "question" => texts(&[
            "Which day was the warmest?",
            "How long was the heater on between 8:00 and 12:00 yesterday?",
            "Was the kitchen above 68 °F in the last 3 days?",
            "Did the house meter count more on 4 March than on the 3rd of March 2026?",
            "When was the heater last off since Monday?",
        ]),
        "mqtt" => vec![
            // CONNACK, SUBACK, PUBLISH of each protocol; the first byte chooses it.
            b"\0\x20\x03\0\0\0\x90\x04\0\x01\0\x01\x32\x0b\0\x03f/a\0\x01\0hello".to_vec(),
            b"\x01\x20\x02\0\0\x90\x03\0\x01\x01\x30\x08\0\x03f/ahey".to_vec(),
        ],
        "remote" => texts(&[
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n\
             data: {\"choices\":[{\"delta\":{\"content\":\"It is \"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\
             \"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n",
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n\
             {\"choices\":[{\"message\":{\"content\":\"Noon.\"},\"finish_reason\":\"stop\"}]}",
            "HTTP/1.1 401 No\r\nConnection: close\r\n\r\n{\"error\":{\"message\":\"a key\u{1b}[2J\"}}",
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ndata: {\"error\":{\"message\":\"too\\u001b[2J\\nmany\"}}\n\n",
        ]),
        "http" => texts(&[
            "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
            "HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 2\r\n\r\nno",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ]),
        other => panic!("no seeds for {other}"),
    };
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let entries = std::fs::read_dir(found).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    seeds.extend(paths.iter().map(|path| std::fs::read(path).expect("a seed can be read")));
    seeds
}

//! Where fuzzing begins: small valid inputs of each kind, made here or taken from the project's own assets, and what a fuzzer once
//! found (`seeds/TARGET/`).

use std::path::{Path, PathBuf};

/// A GGUF file, written entry by entry.
#[derive(Clone)]
pub struct Gguf {
    entries: Vec<u8>,
    n_entries: u64,
    tensors: Vec<(String, Vec<u64>)>,
}

impl Gguf {
    const U32: u32 = 4;
    const I32: u32 = 5;
    const F32: u32 = 6;
    const TEXT: u32 = 8;
    const ARRAY: u32 = 9;

    /// The smallest Llama with a vocabulary of bytes and some letters.
    pub fn tiny() -> Gguf {
        let mut file = Gguf { entries: Vec::new(), n_entries: 0, tensors: Vec::new() };
        let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).into();
        tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
        tokens.extend(["▁", "a", "b", "ab", "▁a", "▁ab"].map(str::to_owned));
        let n = tokens.len() as u64;
        let types: Vec<u32> =
            (0..n).map(|i| [2, 3, 3].get(i as usize).copied().unwrap_or(if i < 259 { 6 } else { 1 })).collect();
        let scores: Vec<u32> = (0..n).map(|i| (-(i as f32)).to_bits()).collect();
        file = file.text("general.architecture", "llama").text("tokenizer.ggml.model", "llama");
        for (key, value) in [
            ("llama.block_count", 1),
            ("llama.embedding_length", 8),
            ("llama.attention.head_count", 2),
            ("llama.feed_forward_length", 16),
            ("llama.context_length", 32),
            ("tokenizer.ggml.bos_token_id", 1),
            ("tokenizer.ggml.eos_token_id", 2),
        ] {
            file = file.number(key, Self::U32, value);
        }
        file = file.number("llama.attention.layer_norm_rms_epsilon", Self::F32, 1e-5_f32.to_bits());
        file = file.array("tokenizer.ggml.scores", Self::F32, &scores).array(
            "tokenizer.ggml.token_type",
            Self::I32,
            &types,
        );
        file.key("tokenizer.ggml.tokens", Self::ARRAY);
        file.put(&Self::TEXT.to_le_bytes()).put(&n.to_le_bytes());
        for token in &tokens {
            file.string(token);
        }
        let mut tensors = vec![("token_embd.weight", vec![8, n]), ("output_norm.weight", vec![8])];
        for (name, dims) in [
            ("blk.0.attn_norm.weight", vec![8]),
            ("blk.0.ffn_norm.weight", vec![8]),
            ("blk.0.attn_q.weight", vec![8, 8]),
            ("blk.0.attn_k.weight", vec![8, 8]),
            ("blk.0.attn_v.weight", vec![8, 8]),
            ("blk.0.attn_output.weight", vec![8, 8]),
            ("blk.0.ffn_gate.weight", vec![8, 16]),
            ("blk.0.ffn_up.weight", vec![8, 16]),
            ("blk.0.ffn_down.weight", vec![16, 8]),
        ] {
            tensors.push((name, dims));
        }
        file.tensors = tensors.into_iter().map(|(name, dims)| (name.to_owned(), dims)).collect();
        file
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.entries.extend_from_slice(bytes);
        self
    }

    fn string(&mut self, text: &str) -> &mut Self {
        self.put(&(text.len() as u64).to_le_bytes()).put(text.as_bytes())
    }

    fn key(&mut self, key: &str, kind: u32) {
        self.n_entries += 1;
        self.string(key).put(&kind.to_le_bytes());
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, key: &str, text: &str) -> Gguf {
        self.key(key, Self::TEXT);
        self.string(text);
        self
    }

    fn number(mut self, key: &str, kind: u32, bits: u32) -> Gguf {
        self.key(key, kind);
        self.put(&bits.to_le_bytes());
        self
    }

    fn array(mut self, key: &str, kind: u32, bits: &[u32]) -> Gguf {
        self.key(key, Self::ARRAY);
        self.put(&kind.to_le_bytes()).put(&(bits.len() as u64).to_le_bytes());
        for bits in bits {
            self.put(&bits.to_le_bytes());
        }
        self
    }

    /// The whole file, with weights of zeros.
    pub fn bytes(&self) -> Vec<u8> {
        let mut file = Gguf { entries: b"GGUF".to_vec(), n_entries: 0, tensors: Vec::new() };
        file.put(&3u32.to_le_bytes())
            .put(&(self.tensors.len() as u64).to_le_bytes())
            .put(&self.n_entries.to_le_bytes());
        file.put(&self.entries);
        let mut offset = 0u64;
        for (name, dims) in &self.tensors {
            file.string(name).put(&(dims.len() as u32).to_le_bytes());
            for dim in dims {
                file.put(&dim.to_le_bytes());
            }
            file.put(&0u32.to_le_bytes()).put(&offset.to_le_bytes());
            offset += (dims.iter().product::<u64>() * 4).next_multiple_of(32);
        }
        let padded = file.entries.len().next_multiple_of(32);
        file.entries.resize(padded + offset as usize, 0);
        file.entries
    }
}

/// The model that sessions and tokenizers are tried with.
pub fn tiny_model() -> Vec<u8> {
    Gguf::tiny().bytes()
}

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

/// The bundled home with its tools by entity.
pub(crate) fn toolbox() -> nearfield_stages::voice::tools::Toolbox {
    use nearfield_stages::voice::tools::{HomeLayout, HomeTools, Toolbox};
    let text = String::from_utf8(beginning("assets/home.json", 1 << 16)).expect("our own home is UTF-8");
    let file = nearfield_home::HomeFile::parse(&text).expect("our own home can be read");
    let tools = Toolbox::new(Some(HomeTools::of_rooms(file)), Vec::new()).expect("no commands, no mistakes");
    tools.laid_out(HomeLayout::ByThing)
}

/// The valid inputs to begin with, and what was found before.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
    let mut seeds: Vec<Vec<u8>> = match target {
        "gguf" => vec![tiny_model()],
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
            let mut homes = vec![beginning("assets/home.json", 1 << 16)];
            let text = String::from_utf8(homes[0].clone()).expect("our own home is UTF-8");
            let file = nearfield_home::HomeFile::parse(&text).expect("our own home can be read");
            homes.push(file.to_inventory().into_bytes());
            homes
        }
        "request" => texts(&[
            "Turn on the kitchen light.",
            "set the hall lights to 40 percent and lock the front door",
            "Which lights are on upstairs, and is the front door locked?",
            "set a timer of 1 hour and 20 minutes for the pasta",
            "wake me at half past six tomorrow",
            "no, the other one",
        ]),
        "models" => vec![beginning("assets/models/models.toml", 1 << 16)],
        "config" => {
            ["voice", "caption", "report"].map(|name| beginning(&format!("configs/{name}.toml"), 1 << 16)).into()
        }
        "store" => vec![filled_store()],
        "mqtt" => vec![
            // CONNACK, SUBACK, PUBLISH of each protocol; the first byte chooses it.
            b"\0\x20\x03\0\0\0\x90\x04\0\x01\0\x01\x32\x0b\0\x03f/a\0\x01\0hello".to_vec(),
            b"\x01\x20\x02\0\0\x90\x03\0\x01\x01\x30\x08\0\x03f/ahey".to_vec(),
        ],
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

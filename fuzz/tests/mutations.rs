//! Each parser with its seeds, and with some thousand random changes of them, always the same ones. `NEARFIELD_MUTATIONS=1000000`
//! tries that many for each (a hundredth of it where an input takes milliseconds). A fuzzer that follows branches: `make fuzz`.

use std::time::{Duration, Instant};

use nearfield_fuzz::{Target, seeds, target};

/// An input that takes longer is a defect; the machine may be busy.
const LONGEST: Duration = Duration::from_secs(5);

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n.max(1)
    }
}

/// What numbers and lengths like to go wrong at.
const EDGES: &[&[u8]] = &[
    &[0],
    &[0xff],
    &[0x80],
    &[0xff; 4],
    &[0xff, 0xff, 0xff, 0x7f],
    &[0xff; 8],
    b"\"",
    b"{{",
    b"}}",
    b"%}",
    b"\n",
    b"\r\n\r\n",
    b"-1",
    b"1e999",
    b"9223372036854775808",
    "\u{2212}".as_bytes(),
    b"NaN",
    b",,,,,,,,",
    b"[[[[[[[[[[[[[[[[",
];

fn changed(seeds: &[Vec<u8>], max_bytes: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.below(256) as u8,
            2 => bytes.truncate(at),
            3 => drop(bytes.splice(at..at, EDGES[random.below(EDGES.len())].iter().copied())),
            4 => {
                let edge = EDGES[random.below(EDGES.len())];
                let end = (at + edge.len()).min(bytes.len());
                bytes.splice(at..end, edge.iter().copied());
            }
            5 => {
                let end = (at + random.below(40)).min(bytes.len());
                bytes.drain(at..end);
            }
            6 => {
                let end = (at + random.below(200)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            _ => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes.truncate(max_bytes.max(seeds.iter().map(Vec::len).max().unwrap_or(0)));
    bytes
}

fn mutations(name: &str) {
    let Target { run, max_bytes, slow, .. } = target(name).expect("the target is there");
    let wanted = std::env::var("NEARFIELD_MUTATIONS").ok().and_then(|n| n.parse().ok());
    let n = match wanted {
        Some(wanted) if slow => wanted / 100,
        Some(wanted) => wanted,
        None if slow => 60,
        None => 4000,
    };
    let seeds = seeds::of(name);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut longest = Duration::ZERO;
    for i in 0..n + seeds.len() {
        let bytes = seeds.get(i).cloned().unwrap_or_else(|| changed(&seeds, max_bytes, &mut random));
        let begun = Instant::now();
        let outcome = std::panic::catch_unwind(|| run(&bytes));
        longest = longest.max(begun.elapsed());
        if outcome.is_err() || begun.elapsed() > LONGEST {
            let path = std::env::temp_dir().join(format!("nearfield-{name}-{i}"));
            let _ = std::fs::write(&path, &bytes);
            panic!("input {i} ({} bytes, {:?}) is kept as {}", bytes.len(), begun.elapsed(), path.display());
        }
    }
    eprintln!("{name}: {n} changed inputs, the longest took {longest:?}");
}

macro_rules! survives {
    ($($test:ident: $target:literal,)*) => { $(
        #[test]
        fn $test() {
            mutations($target);
        }
    )* };
}

survives! {
    the_reader_of_gguf_models_survives_changed_files: "gguf",
    the_reader_of_architectures_survives_changed_files: "architecture",
    chat_templates_survive_changes: "template",
    the_tokenizer_survives_any_text: "tokenizer",
    the_reader_of_sessions_survives_changed_files: "session",
    the_reader_of_whisper_models_survives_changed_files: "ggml",
    the_reader_of_piper_voices_survives_changed_files: "piper",
    the_reader_of_vision_manifests_survives_changed_files: "manifest",
    the_readers_of_sound_survive_changed_files: "sound",
    the_splitter_of_jpeg_streams_survives_changed_streams: "jpegs",
    the_decoders_of_pictures_survive_changed_files: "picture",
    the_reader_of_csv_survives_changed_files: "csv",
    the_reader_of_json_lines_survives_changed_files: "json_lines",
    the_reader_of_exports_of_any_kind_survives_changed_files: "exports",
    the_reader_of_spreadsheets_survives_changed_files: "workbook",
    the_reader_of_homes_survives_changed_files: "home",
    the_sentence_matcher_survives_any_request: "request",
    the_readers_of_sentence_templates_survive_changed_files: "sentences",
    the_parser_of_tool_calls_survives_any_reply: "dialect",
    the_filter_before_speech_survives_any_reply: "spoken",
    the_normalizer_of_text_survives_any_text: "normalize",
    the_reader_of_onnx_graphs_survives_changed_files: "graph",
    the_reader_of_model_lists_survives_changed_files: "models",
    the_readers_of_configurations_survive_changed_files: "config",
    the_store_survives_changed_files: "store",
    the_mqtt_client_survives_what_a_broker_says: "mqtt",
    the_webhook_survives_what_a_server_answers: "http",
    the_client_of_a_remote_model_survives_what_it_answers: "remote",
}

#[test]
fn the_models_that_are_changed_can_be_opened_before_they_are() {
    for (i, seed) in seeds::architectures().iter().enumerate() {
        assert!(nearfield_fuzz::opens(seed), "seed {i}");
    }
}

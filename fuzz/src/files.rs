//! Targets whose parsers open files: each input becomes one, in memory where the system has a place for that.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use nearfield_llm::{Llm, LlmOptions, Message, Role, Session, SessionOptions, TokenId};

use nearfield_stages::report::store::Retention;

use crate::check;
use crate::models::{Gguf, tiny_model};

thread_local! {
    /// A folder of this thread's own, removed at its end.
    static FOLDER: tempfile::TempDir = {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        tempfile::Builder::new().prefix("nearfield-fuzz-").tempdir_in(place).expect("there is room for a small file")
    };
}

/// The bytes as a file of this name.
pub(crate) fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = FOLDER.with(|folder| folder.path().join(name));
    std::fs::write(&path, bytes).expect("there is room for a small file");
    path
}

fn open(bytes: &[u8]) -> Option<Arc<Llm>> {
    check(Llm::open(&file("m.gguf", bytes), &LlmOptions { threads: 1 }))
}

/// A model from its header to its first words.
pub fn gguf(bytes: &[u8]) {
    let Some(llm) = open(bytes) else { return };
    let options = SessionOptions { context_tokens: 16, ..SessionOptions::default() };
    let Some(mut session) = check(Session::new(llm, &options)) else { return };
    check(session.prompt(&[TokenId(0), TokenId(1)], &mut || ControlFlow::Continue(())));
}

/// A model of which these bytes are all but the weights, and those are zeros.
pub fn architecture(bytes: &[u8]) {
    opens(bytes);
}

/// Whether such a model reads two tokens.
pub fn opens(bytes: &[u8]) -> bool {
    let path = file("a.gguf", bytes);
    // Room for more weights than the seeds' models have; it takes no memory.
    let padded = std::fs::OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(4 << 20));
    padded.expect("there is room for a file of holes");
    let Some(llm) = check(Llm::open(&path, &LlmOptions { threads: 1 })) else { return false };
    let options = SessionOptions { context_tokens: 16, ..SessionOptions::default() };
    let Some(mut session) = check(Session::new(llm, &options)) else { return false };
    check(session.prompt(&[TokenId(0), TokenId(1)], &mut || ControlFlow::Continue(()))).is_some()
}

/// A model whose chat template is these bytes.
pub fn template(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let model = Gguf::tiny().text("tokenizer.chat_template", text).bytes();
    let Some(llm) = open(&model) else { return };
    let Some(template) = check(llm.template()) else { return };
    let messages = [Message::new(Role::System, "Be brief."), Message::new(Role::User, "Hello {{ 1 }}.")];
    let tools = [serde_json::json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}})];
    for tools in [&[][..], &tools] {
        if let Some(text) = check(template.render(&messages, tools, true)) {
            assert!(text.len() <= 16 << 20, "{} bytes", text.len());
        }
    }
}

static MODEL: LazyLock<Arc<Llm>> = LazyLock::new(|| open(&tiny_model()).expect("our own model can be opened"));

/// Text that a tokenizer takes apart and puts together.
pub fn tokenizer(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let tokenizer = MODEL.tokenizer().expect("our own model has a vocabulary");
    for special in [false, true] {
        let tokens = tokenizer.encode(&text, special);
        assert!(tokens.iter().all(|token| (token.0 as usize) < tokenizer.len()), "{tokens:?}");
        let _ = tokenizer.decode(&tokens);
    }
    let _ = tokenizer.encode_prompt(&text);
}

/// A saved session.
pub fn session(bytes: &[u8]) {
    let options = SessionOptions { context_tokens: 16, ..SessionOptions::default() };
    let mut session = Session::new(Arc::clone(&MODEL), &options).expect("16 tokens fit");
    if check(session.restore(&file("s.session", bytes))).is_some() {
        assert!(session.len() <= 16);
    }
}

/// A Whisper model's headers.
pub fn ggml(bytes: &[u8]) {
    check(nearfield_speech::stt::GgmlHeader::read(&file("m.bin", bytes)));
}

/// A Piper voice's description.
pub fn piper(bytes: &[u8]) {
    if let Some(config) = check(nearfield_speech::tts::PiperConfig::read(&file("v.onnx.json", bytes))) {
        let _ = config.ids("hello wɜːld");
    }
}

/// A configuration, as each of the three applications reads it.
pub fn config(bytes: &[u8]) {
    let path = file("c.toml", bytes);
    use nearfield::config::Config;
    check(nearfield::config::VoiceConfig::load(Some(&path), &[]));
    check(nearfield::config::caption::CaptionConfig::load(Some(&path), &[]));
    if let Some(config) = check(nearfield::config::report::ReportConfig::load(Some(&path), &[])) {
        check(config.zone());
        check(config.plan());
        check(config.schedule());
    }
}

/// Nothing makes room.
pub(crate) const KEEP_ALL: Retention = Retention { age: Duration::from_secs(86_400 * 365), bytes: 1 << 40 };

/// A store of readings.
pub fn store(bytes: &[u8]) {
    use nearfield_stages::report::store::Store;
    let folder = FOLDER.with(|folder| folder.path().join("store"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).expect("there is room for a folder");
    let path = folder.join("store.db");
    std::fs::write(&path, bytes).expect("there is room for a small file");
    let Some(store) = check(Store::open(&path, KEEP_ALL)) else { return };
    check(store.sensors());
    check(store.reported());
    check(store.len());
}

/// A copy of a store, for questions.
pub fn snapshot(bytes: &[u8]) {
    use nearfield_stages::report::store::Snapshot;
    use nearfield_telemetry::{Moment, Span};
    let path = FOLDER.with(|folder| folder.path().join("snapshot.db"));
    std::fs::write(&path, bytes).expect("there is room for a small file");
    let Some(snapshot) = check(Snapshot::take(&path)) else { return };
    for place in 0..snapshot.sensors().len().min(8) as u32 {
        check(snapshot.read(place, Span { from: Moment(i64::MIN), to: Moment(i64::MAX) }, &mut |_, _| {}));
    }
}

/// The database of Home Assistant's recorder.
pub fn recorder(bytes: &[u8]) {
    use nearfield_stages::flow::Flow;
    use nearfield_stages::report::read_text::TextSource;
    use nearfield_telemetry::read::TextOptions;
    let path = FOLDER.with(|folder| folder.path().join("recorder.db"));
    for suffix in ["-wal", "-shm", "-journal"] {
        let _ = std::fs::remove_file(path.with_extension(format!("db{suffix}")));
    }
    std::fs::write(&path, bytes).expect("there is room for a small file");
    let flow = Flow::new();
    let (stop, zone) = (flow.source_stop(), jiff::tz::TimeZone::UTC);
    let explained = TextSource::File(path).explain(&TextOptions::default(), zone, &stop, &mut std::io::sink());
    check(explained.map_err(|error| format!("{error:#}")));
}

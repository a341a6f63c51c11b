//! A remote model that answers, wants tools, disconnects, stalls and talks nonsense in the middle of an answer: the person gets an answer all
//! the same. `NEARFIELD_LLAMA_SERVER` names a real endpoint (`http://127.0.0.1:PORT`) for the ignored test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded, never};
use nearfield_home::HomeFile;
use nearfield_llm::{CacheType, Llm, LlmOptions, SamplerOptions, SessionOptions};
use nearfield_stages::flow::{Stage, Turns};
use nearfield_stages::llm_thread::LlmThread;
use nearfield_stages::messages::{Envelope, TextDelta, Transcript};
use nearfield_stages::remote::{RemoteOptions, When};
use nearfield_stages::voice::converse::{Converse, ConverseOptions};
use nearfield_stages::voice::notes::{AnsweredBy, Note, Replied};
use nearfield_stages::voice::tools::{HomeLayout, HomeTools, Toolbox};
use serde_json::{Value, json};

const HOME: &str =
    r#"{"rooms": {"kitchen": {"light": "off"}, "hall": {"light": "on"}}, "doors": {"front door": "locked"}}"#;

/// Longer than the remote is given.
const TIMEOUT: Duration = Duration::from_millis(400);

struct Conversation {
    converse: Converse,
    turns: Turns,
    notebook: Receiver<Note>,
    folder: tempfile::TempDir,
}

impl Conversation {
    fn with(url: String, model: &str, when: When, timeout: Duration) -> Conversation {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home.json");
        std::fs::write(&home, HOME).unwrap();
        let local = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/models/talk-nano.gguf");
        let (llm, _ends_with_its_last_handle) =
            LlmThread::start(Llm::open(&local, &LlmOptions { threads: 1 }).unwrap());
        let options = ConverseOptions {
            system: "You are a voice assistant. Answer in one short sentence.".to_owned(),
            chat: nearfield_llm::ChatOptions::default(),
            session: SessionOptions { context_tokens: 2048, cache: CacheType::F16 },
            sampler: SamplerOptions::default(),
            home: HomeLayout::Grouped,
            max_reply_tokens: 60,
            words_at_once: 0,
            summary: true,
            remote: Some(RemoteOptions { url, key_file: None, model: model.to_owned(), when, timeout }),
        };
        let (turns, (notes, notebook)) = (Turns::default(), bounded(64));
        let toolbox = Toolbox::new(Some(HomeTools::of_rooms(HomeFile::load(&home).unwrap())), Vec::new()).unwrap();
        let converse = Converse::new(llm, options, toolbox, turns.clone(), never(), notes).unwrap();
        Conversation { converse, turns, notebook, folder }
    }

    /// The reply, and the pieces that were said with their times.
    fn ask(&mut self, question: &str) -> (Replied, Vec<(String, Duration)>) {
        let begun = Instant::now();
        let transcript = Transcript::typed(question, begun);
        let turn = self.turns.begin();
        let mut said = Vec::new();
        self.converse
            .take(Envelope::new(turn, transcript), &mut |delta| {
                if let TextDelta::Text(text) = delta.body {
                    said.push((text, begun.elapsed()));
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        let replied = self.notebook.try_iter().find_map(|note| match note {
            Note::Replied { replied, .. } => Some(replied),
            Note::Speaking { .. } | Note::Spoken { .. } | Note::Heard { .. } => None,
        });
        (replied.unwrap(), said)
    }
}

/// A server that answers each request with the next script, an event a line, and notes what it was sent.
struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Value>>>,
}

impl Server {
    fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    fn start(scripts: Vec<Vec<Value>>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&requests);
        std::thread::spawn(move || {
            for (stream, script) in listener.incoming().zip(scripts.into_iter().cycle()) {
                let mut stream = stream.unwrap();
                noted.lock().unwrap().push(body_of(&stream));
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");
                for event in script {
                    std::thread::sleep(Duration::from_millis(10));
                    let _ = stream.write_all(format!("data: {event}\n\n").as_bytes());
                }
                let _ = stream.write_all(b"data: [DONE]\n\n");
            }
        });
        Server { address, requests }
    }
}

fn body_of(stream: &TcpStream) -> Value {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn text(words: &str) -> Vec<Value> {
    words.split_inclusive(' ').map(|word| json!({"choices": [{"index": 0, "delta": {"content": word}}]})).collect()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Kill,
    Stall,
    Corrupt,
}

/// Stands before a server and, after so many bytes of its answer, lets something happen. Answers its address and how many came.
fn fault_after(upstream: SocketAddr, bytes: usize, fault: Fault) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let came = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&came);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
            let mut client = client.unwrap();
            let mut server = TcpStream::connect(upstream).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
            });
            let (mut passed, mut buffer) = (0, [0; 64]);
            while let Ok(read) = server.read(&mut buffer) {
                if read == 0 {
                    break;
                }
                passed += read;
                if passed >= bytes {
                    match fault {
                        Fault::Kill => break,
                        Fault::Stall => std::thread::sleep(Duration::from_secs(3)),
                        Fault::Corrupt => buffer[..read].iter_mut().for_each(|byte| *byte ^= 0x55),
                    }
                }
                if client.write_all(&buffer[..read]).is_err() {
                    break;
                }
            }
            let _ = client.shutdown(std::net::Shutdown::Both);
        }
    });
    (address, came)
}

#[test]
fn a_remote_answer_is_said_sentence_by_sentence_as_it_comes() {
    let server = Server::start(vec![text(
        "Paris is the capital. It lies on the Seine, and has been there for a long time indeed.",
    )]);
    let mut conversation = Conversation::with(server.url(), "big", When::Always, Duration::from_secs(5));
    let (replied, said) = conversation.ask("What is the capital of France?");
    assert_eq!(replied.answered_by, AnsweredBy::Remote);
    assert_eq!(replied.reply, "Paris is the capital. It lies on the Seine, and has been there for a long time indeed.");
    let (first, at) = &said[0];
    assert!(first.starts_with("Paris is the capital."), "{said:?}");
    assert!(*at + Duration::from_millis(50) < said.last().unwrap().1, "{said:?}");
    let request = server.requests.lock().unwrap()[0].clone();
    assert_eq!((request["model"].as_str(), request["stream"].as_bool()), (Some("big"), Some(true)));
    assert!(request["messages"][0]["content"].as_str().unwrap().contains("kitchen"), "{request}");
}

#[test]
fn calls_of_a_remote_model_are_made_and_their_results_sent_back() {
    let call = |name: &str, pieces: &[&str]| -> Vec<Value> {
        let mut events = vec![
            json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": name, "arguments": ""}}]}}]}),
        ];
        events.extend(pieces.iter().map(
            |piece| json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}}]}),
        ));
        events.push(json!({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}));
        events
    };
    let server = Server::start(vec![
        call("set_light", &["{\"room\": \"kit", "chen\", \"state\"", ": \"on\"}"]),
        text("The kitchen light is on now."),
        call("open_bomb_bay", &["{}"]),
        text("I cannot do that."),
    ]);
    let mut conversation = Conversation::with(server.url(), "big", When::Always, Duration::from_secs(5));
    let (replied, _) = conversation.ask("Turn on the kitchen light.");
    assert_eq!(
        (replied.reply.as_str(), replied.tools.len(), replied.tools[0].ok),
        ("The kitchen light is on now.", 1, true)
    );
    let home = std::fs::read_to_string(conversation.folder.path().join("home.json")).unwrap();
    let home: Value = serde_json::from_str(&home).unwrap();
    assert_eq!(home["rooms"]["kitchen"]["light"], "on");
    let requests = server.requests.lock().unwrap().clone();
    assert!(requests[0]["tools"].as_array().unwrap().iter().any(|tool| tool["function"]["name"] == "set_light"));
    let last = requests[1]["messages"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((last["role"].as_str(), last["tool_call_id"].as_str()), (Some("tool"), Some("c1")));
    let (replied, _) = conversation.ask("Open the bomb bay.");
    assert_eq!((replied.reply.as_str(), replied.tools[0].ok), ("I cannot do that.", false));
}

#[test]
fn an_answer_that_breaks_off_is_followed_by_the_local_one_and_the_remote_is_left_alone_for_a_while() {
    let server = Server::start(vec![text(
        "The first sentence stands. The second one is longer and will never come to its end because something happens.",
    )]);
    for (fault, bytes) in
        [Fault::Kill, Fault::Stall, Fault::Corrupt].into_iter().flat_map(|f| [(f, 40), (f, 700), (f, 900)])
    {
        let (proxy, came) = fault_after(server.address, bytes, fault);
        let mut conversation = Conversation::with(format!("http://{proxy}/v1"), "big", When::Always, TIMEOUT);
        let begun = Instant::now();
        let (replied, said) = conversation.ask("Is the front door locked?");
        let took = begun.elapsed();
        assert_eq!(replied.answered_by, AnsweredBy::Llm, "{fault:?} {bytes}");
        assert!(replied.reply.contains("front door is locked"), "{fault:?} {bytes}: {said:?}");
        let whole = said.iter().map(|(text, _)| text.as_str()).collect::<String>();
        assert!(!whole.contains("second one"), "{fault:?} {bytes}: {whole}");
        assert!(took < TIMEOUT + Duration::from_secs(2), "{fault:?} {bytes}: {took:?}");
        let (replied, _) = conversation.ask("Is the front door locked?");
        assert_eq!((replied.answered_by, came.load(Ordering::SeqCst)), (AnsweredBy::Llm, 1), "{fault:?} {bytes}");
    }
}

#[test]
fn nobody_listening_an_error_and_an_endless_line_are_answered_locally() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = Server::start(vec![vec![json!({"error": {"message": "out of memory"}})]]);
    let endless = Server::start(vec![vec![json!({"choices": [{"delta": {"content": "x".repeat(100_000)}}]})]]);
    for url in [format!("http://{closed}/v1"), error.url(), endless.url()] {
        let mut conversation = Conversation::with(url.clone(), "big", When::Always, TIMEOUT);
        let (replied, _) = conversation.ask("Is the front door locked?");
        assert_eq!(replied.answered_by, AnsweredBy::Llm, "{url}");
        assert!(replied.reply.contains("front door is locked"), "{url}: {}", replied.reply);
    }
}

#[test]
fn of_the_home_a_remote_model_that_gets_only_the_rest_reads_nothing() {
    let server = Server::start(vec![text("Paris.")]);
    let mut conversation = Conversation::with(server.url(), "big", When::Pass, Duration::from_secs(5));
    for request in ["Is the front door locked?", "Turn on the kitchen light.", "Which lights are on?"] {
        let (replied, _) = conversation.ask(request);
        assert_eq!(replied.answered_by, AnsweredBy::Llm, "{request}");
    }
    let (replied, _) = conversation.ask("What is the capital of France?");
    assert_eq!((replied.answered_by, replied.reply.as_str()), (AnsweredBy::Remote, "Paris."));
    let requests = server.requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 1);
    let sent = requests[0].to_string();
    assert!(!["kitchen", "hall", "front door", "set_light"].iter().any(|word| sent.contains(word)), "{sent}");
}

#[test]
fn an_interrupted_question_waits_for_no_remote_answer() {
    let server = Server::start(vec![text("Never.")]);
    let (proxy, _) = fault_after(server.address, 1, Fault::Stall);
    let mut conversation =
        Conversation::with(format!("http://{proxy}/v1"), "big", When::Always, Duration::from_secs(30));
    let turns = conversation.turns.clone();
    let interrupt = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(150));
        turns.silence_all();
    });
    let begun = Instant::now();
    let _ = conversation.ask("Is the front door locked?");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    interrupt.join().unwrap();
}

#[test]
#[ignore = "needs a real server: NEARFIELD_LLAMA_SERVER"]
fn a_real_server_answers_and_is_replaced_when_it_dies_stalls_or_is_garbled() {
    let address: SocketAddr =
        std::env::var("NEARFIELD_LLAMA_SERVER").unwrap().trim_start_matches("http://").parse().unwrap();
    let wait = Duration::from_secs(60);
    let mut conversation = Conversation::with(format!("http://{address}/v1"), "any", When::Always, wait);
    let (replied, said) = conversation.ask("Tell me two sentences about the sea.");
    eprintln!("{:?}: {said:?}", replied.answered_by);
    assert!(replied.answered_by == AnsweredBy::Remote && !replied.reply.is_empty());
    for (fault, bytes) in [(Fault::Kill, 1500), (Fault::Corrupt, 1500), (Fault::Stall, 1500)] {
        let (proxy, _) = fault_after(address, bytes, fault);
        let timeout = if fault == Fault::Stall { Duration::from_secs(2) } else { wait };
        let mut conversation = Conversation::with(format!("http://{proxy}/v1"), "any", When::Always, timeout);
        let (replied, said) = conversation.ask("Is the front door locked?");
        eprintln!("{fault:?}: {:?}: {said:?}", replied.answered_by);
        assert!(replied.answered_by == AnsweredBy::Llm && replied.reply.contains("front door is locked"), "{fault:?}");
    }
}

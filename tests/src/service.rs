//! A `nearfield run` for tests, asked over bare sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::{nearfield, wait_for};

/// A running server; it ends with the test.
pub struct Service {
    /// The process.
    pub child: Child,
    /// Its address for HTTP.
    pub http: String,
    /// That for Wyoming, where it was asked for.
    pub wyoming: Option<String>,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// What follows; bytes that are no text are replaced.
    pub body: String,
    /// The same as it came.
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// The data of the events of a stream.
    pub fn events(&self) -> Vec<Value> {
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    /// The form in which OpenAI's clients expect errors.
    pub fn assert_fails(&self, status: u16, what: &str) {
        assert_eq!(self.status, status, "{} {}", self.head, self.body);
        let message = self.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains(what), "{what:?} is not named in {message:?}");
    }
}

impl Service {
    pub fn start(more: &[&str]) -> Self {
        let args = [&["run", "--listen", "127.0.0.1:0"], more].concat();
        Self::start_by(nearfield(&args), more)
    }

    /// A server that `command` starts, whose arguments end with `more`.
    pub fn start_by(mut command: Command, more: &[&str]) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |mark: &str| {
            let line = lines.next().expect("a line for each address").unwrap();
            line.split(mark).nth(1).unwrap_or_else(|| panic!("{line}")).split(' ').next().unwrap().to_owned()
        };
        let http = address("://");
        let wyoming = more.contains(&"--wyoming").then(|| address("tcp://"));
        Self { child, http, wyoming }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = self.connect();
        write_request(&mut stream, &self.http, method, path, headers, body);
        read_answer(stream)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[], body.to_string().as_bytes())
    }

    pub fn chat(&self, body: &Value) -> Answer {
        self.post("/v1/chat/completions", body)
    }

    /// A figure of `/metrics`, asked for again while there are too many connections.
    pub fn figure(&self, name: &str) -> f64 {
        let mut answer = self.get("/metrics");
        wait_for(Duration::from_secs(5), || {
            if answer.status == 503 {
                answer = self.get("/metrics");
            }
            answer.status != 503
        });
        let metrics = answer.body;
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
        line.unwrap_or_else(|| panic!("{name} is not in {metrics}")).parse().unwrap()
    }
}

/// Writes a request.
pub fn write_request(
    stream: &mut TcpStream,
    host: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) {
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "host") {
        head += &format!("host: {host}\r\n");
    }
    headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    // A server may refuse before it has read everything.
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(b"\r\n"))
        .and_then(|()| stream.write_all(body));
}

/// Reads an answer to its end.
pub fn read_answer(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let at = at.unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(&bytes)));
    let head = String::from_utf8(bytes[..at].to_vec()).expect("a head is text");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    let is_chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    let bytes = if is_chunked { unchunked(&bytes[at + 4..]) } else { bytes[at + 4..].to_vec() };
    Answer { status, head, body: String::from_utf8_lossy(&bytes).into_owned(), bytes }
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(at) = body.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&body[..at]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.expect("the size of a chunk");
        all.extend_from_slice(&body[at + 2..at + 2 + size]);
        body = body[at + 2 + size..].strip_prefix(b"\r\n").unwrap_or_default();
    }
    all
}

//! The hub, and the other server that it leads to.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use nearfield::hub::content_hash::Sha256;

use crate::world::{COMMIT, content, range_start};

/// What the two servers do, beside what they should.
#[derive(Default)]
pub struct Script {
    pub content: Vec<u8>,
    /// Other than the content's hash.
    pub etag: Option<String>,
    /// Other than `COMMIT`.
    pub commit: Option<String>,
    /// Other than the content's length, in the hub's statement.
    pub stated_bytes: Option<u64>,
    /// The hub serves the content itself, as it does with small files.
    pub directly: bool,
    /// Every connection is closed at once.
    pub refuse_all: bool,
    /// The hub answers these first.
    pub statuses: VecDeque<u16>,
    /// The other server answers these first.
    pub cdn_statuses: VecDeque<u16>,
    /// `X-Error-Code` of such answers.
    pub error_code: Option<String>,
    /// So many relative redirects come first.
    pub renamed: usize,
    /// The other server redirects to itself.
    pub cdn_loop: bool,
    /// Bodies that end after so many bytes.
    pub cuts: VecDeque<usize>,
    /// The body stops there, and the connection stays open.
    pub silent_after: Option<usize>,
    /// 64 KiB every few milliseconds.
    pub slowly: bool,
    pub ignores_ranges: bool,
    pub wrong_range: bool,
    /// Added to Content-Length.
    pub length_error: i64,
    /// Chunks without end instead of the content.
    pub endless: bool,
    /// A web page with status 200: from the hub (true), or from the other server.
    pub web_page: Option<bool>,
    /// So much useless header.
    pub header_bytes: usize,
    pub log: Vec<Request>,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub server: &'static str,
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())
    }
}

pub struct Server {
    pub hub: SocketAddr,
    pub script: Arc<Mutex<Script>>,
}

impl Server {
    pub fn start(content: Vec<u8>) -> Self {
        let script = Arc::new(Mutex::new(Script { content, ..Script::default() }));
        let hub = TcpListener::bind("127.0.0.1:0").unwrap();
        let cdn = TcpListener::bind("127.0.0.1:0").unwrap();
        let (hub_address, cdn_address) = (hub.local_addr().unwrap(), cdn.local_addr().unwrap());
        for (name, listener) in [("hub", hub), ("cdn", cdn)] {
            let script = script.clone();
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let script = script.clone();
                    // The other end may be gone at any moment: that is what is tested.
                    thread::spawn(move || drop(serve(name, stream, &script, cdn_address)));
                }
            });
        }
        Self { hub: hub_address, script }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.hub)
    }

    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    pub fn log(&self) -> Vec<Request> {
        self.script().log.clone()
    }

    pub fn count(&self, method: &str) -> usize {
        self.log().iter().filter(|r| r.method == method).count()
    }
}

pub fn serve(server: &'static str, stream: TcpStream, script: &Mutex<Script>, cdn: SocketAddr) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut out = stream;
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end().to_string();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut first = lines[0].split(' ');
    let (method, path) = (first.next().unwrap_or("").to_string(), first.next().unwrap_or("").to_string());
    let headers = lines[1..].iter().filter_map(|l| l.split_once(": "));
    let headers = headers.map(|(n, v)| (n.to_ascii_lowercase(), v.to_string())).collect();
    let request = Request { server, method: method.clone(), path: path.clone(), headers };
    let range = request.header("range");

    let mut script = script.lock().unwrap();
    if script.refuse_all {
        return Ok(());
    }
    script.log.push(request);
    let statuses = if server == "hub" { &mut script.statuses } else { &mut script.cdn_statuses };
    if let Some(status) = statuses.pop_front() {
        let code = script.error_code.as_ref().map(|c| format!("X-Error-Code: {c}\r\n")).unwrap_or_default();
        return write!(out, "HTTP/1.1 {status} No\r\n{code}Content-Length: 0\r\nConnection: close\r\n\r\n");
    }
    if script.web_page == Some(server == "hub") {
        let page = "<html>Please log in</html>";
        let length = page.len();
        return write!(
            out,
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nETag: \"page\"\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{page}"
        );
    }
    let content = script.content.clone();
    let mut stated = String::new();
    if server == "hub" {
        if script.renamed > 0 && !path.contains("renamed") || script.renamed > 1 && script.renamed != usize::MAX {
            script.renamed -= usize::from(script.renamed != usize::MAX);
            return write!(
                out,
                "HTTP/1.1 307 Temporary Redirect\r\nLocation: {path}?renamed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        if script.renamed == usize::MAX {
            return write!(
                out,
                "HTTP/1.1 307 Again\r\nLocation: {path}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        if script.header_bytes > 0 {
            write!(out, "HTTP/1.1 302 Found\r\nX-Useless: {}\r\n", "x".repeat(script.header_bytes))?;
        }
        assert!(path.starts_with("/org/name/resolve/") && path.contains("/sub/model.gguf"), "{path}");
        let commit = script.commit.clone().unwrap_or(COMMIT.into());
        // The hash that was promised, also where the script hurts the content: that of the test's world is in the etag.
        let etag = script.etag.clone().unwrap_or_else(|| promised(&content));
        let size = script.stated_bytes.unwrap_or(content.len() as u64);
        stated = format!("X-Repo-Commit: {commit}\r\n");
        if !script.directly {
            return write!(
                out,
                "HTTP/1.1 302 Found\r\n{stated}X-Linked-Etag: \"{etag}\"\r\nX-Linked-Size: {size}\r\n\
                 ETag: \"of the redirect\"\r\nLocation: http://{cdn}/blob?sig=a%2Fb\r\nContent-Length: 0\r\n\
                 Connection: close\r\n\r\n"
            );
        }
        stated.push_str(&format!("ETag: W/\"{etag}\"\r\n"));
    } else if script.cdn_loop {
        return write!(out, "HTTP/1.1 302 Found\r\nLocation: ?again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    if script.endless {
        write!(out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")?;
        drop(script);
        loop {
            write!(out, "10000\r\n")?;
            out.write_all(&[7; 0x10000])?;
            write!(out, "\r\n")?;
        }
    }
    let start = match range {
        Some(range) if !script.ignores_ranges => range_start(&range) as usize,
        _ => 0,
    };
    let body = &content[start.min(content.len())..];
    let (total, last) = (content.len(), content.len().saturating_sub(1));
    let status = if start > 0 {
        let shown = if script.wrong_range { start + 1 } else { start };
        format!("206 Partial Content\r\nContent-Range: bytes {shown}-{last}/{total}")
    } else {
        "200 OK".to_string()
    };
    let length = body.len() as i64 + script.length_error;
    write!(out, "HTTP/1.1 {status}\r\n{stated}Content-Type: binary/octet-stream\r\n")?;
    write!(out, "Content-Length: {length}\r\nConnection: close\r\n\r\n")?;
    if method == "HEAD" {
        return Ok(());
    }
    let cut = script.cuts.pop_front();
    let (silent_after, slowly) = (script.silent_after, script.slowly);
    drop(script);
    let end = cut.or(silent_after).map_or(body.len(), |n| n.min(body.len()));
    for piece in body[..end].chunks(0x10000) {
        out.write_all(piece)?;
        if slowly {
            thread::sleep(Duration::from_millis(15));
        }
    }
    if silent_after.is_some() {
        thread::sleep(Duration::from_secs(20));
    }
    Ok(())
}

/// The hash that the hub states: of the content as it was made, so that a content that the script hurts does not have it.
pub fn promised(now: &[u8]) -> String {
    Sha256::of(&content(now.len())).to_string()
}

//! A request to a camera over HTTP/1.1 whose answer is read as it comes: addresses with a login (Basic and Digest), redirects, chunks.
//! Every wait looks at the stop signal, also while a name is looked up or a host does not answer. Plain `http` only: what is encrypted
//! goes through ffmpeg. The login is in no error.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use crossbeam_channel::{RecvTimeoutError, bounded};
use http_auth::{PasswordClient, PasswordParams};
use nearfield_base::redact::{login_end, redacted};
use ureq::http::Uri;

use crate::flow::{StopSignal, is_stopped};
use crate::redirect::redirect;

/// The longest answer before the first picture.
const MAX_HEAD: usize = 64 << 10;
/// How often a wait looks at the stop signal.
const TICK: Duration = Duration::from_millis(100);
/// A host that is not reached by then is away.
const LONGEST_CONNECT: Duration = Duration::from_secs(10);
const MOST_REDIRECTS: usize = 3;

/// User and password.
struct Login {
    user: String,
    password: String,
}

/// Asks one address, again and again where it is a still picture's.
pub(super) struct HttpClient {
    url: Uri,
    login: Option<Login>,
    /// What the camera asked for at the last login, which holds for the next requests too.
    challenge: Option<PasswordClient>,
    stall: Duration,
}

/// The body of an answer, as far as it has come.
pub(super) struct Body {
    stream: TcpStream,
    chunks: Option<Chunks>,
    /// Bytes of the body that came together with the head.
    early: Vec<u8>,
    /// Bytes still to come, where the head said how many.
    left: Option<u64>,
    /// What it is said to be, in small letters, without parameters; empty: nothing is said.
    pub content_type: String,
}

/// The head of an answer.
struct Head {
    status: u16,
    text: String,
}

impl Head {
    fn fields<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.text.lines().skip(1).filter_map(move |line| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn first_line(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }
}

impl HttpClient {
    /// `address` begins with `http://`. An answer that does not come for `stall` is an error.
    ///
    /// # Errors
    /// It is no address.
    pub fn new(address: &str, stall: Duration) -> anyhow::Result<Self> {
        let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
        ensure!(scheme == "http", "{}: only http:// is read here", redacted(address));
        let (login, rest) = match login_end(rest) {
            Some(at) => {
                let (user, password) = rest[..at].split_once(':').unwrap_or((&rest[..at], ""));
                (Some(Login { user: unescaped(user), password: unescaped(password) }), &rest[at + 1..])
            }
            None => (None, rest),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let url: Option<Uri> = format!("http://{rest}").parse().ok();
        let url = url.filter(|url| url.host().is_some_and(|host| !host.is_empty()));
        let url = url.with_context(|| {
            let hint = "write %20 for a space, and %40, %2F and so on for signs in a password";
            format!("{} is not a valid address: {hint}", redacted(address))
        })?;
        Ok(Self { url, login, challenge: None, stall })
    }

    /// Asks; answers when the body begins. After `stop` the error has no meaning.
    ///
    /// # Errors
    /// The camera is not reached, or gives no body, with the reason.
    pub fn get(&mut self, stop: &StopSignal) -> anyhow::Result<Body> {
        let (mut url, mut with_login) = (self.url.clone(), true);
        let mut logged_in = false;
        for _ in 0..=MOST_REDIRECTS + 1 {
            let authorization = if with_login { self.authorization(&url)? } else { None };
            let mut stream = self.connect(&url, stop)?;
            send(&mut stream, &url, authorization)?;
            let (head, early) = self.read_head(&mut stream, stop)?;
            match head.status {
                200 => return Ok(Body::new(stream, early, &head)),
                301 | 302 | 303 | 307 | 308 => {
                    let location = head.fields("location").next().unwrap_or_default();
                    let (to, keeps_login) = redirect(&url, location).map_err(anyhow::Error::msg)?;
                    let place = || redacted(&to.to_string());
                    ensure!(to.scheme_str() == Some("http"), "it redirects to {}: set source.input to that", place());
                    (url, with_login) = (to, with_login && keeps_login);
                }
                401 if self.login.is_none() => bail!(
                    "it answers {:?}: it wants a login, as in http://USER:PASSWORD@{}",
                    head.first_line(),
                    host_of(&url)
                ),
                401 if !with_login => {
                    bail!("it redirects to another host, {}, which wants a login too", redacted(&url.to_string()))
                }
                // Also a nonce that has expired is no refusal: its new challenge is answered, once.
                401 if !logged_in => {
                    logged_in = true;
                    self.challenge = Some(challenge(&head)?);
                }
                401 => {
                    self.challenge = None;
                    bail!("it refuses the login ({:?}): check user and password in the address", head.first_line())
                }
                403 => bail!("it answers {:?}: this user may not see it", head.first_line()),
                404 => bail!("it answers {:?}: check the path of the address", head.first_line()),
                _ => bail!("it answers {:?} instead of 200", head.first_line()),
            }
        }
        bail!("it redirects more than {MOST_REDIRECTS} times")
    }

    /// The header by which the camera knows us, once it has said how.
    fn authorization(&mut self, url: &Uri) -> anyhow::Result<Option<String>> {
        let (Some(login), Some(challenge)) = (&self.login, &mut self.challenge) else { return Ok(None) };
        let params = PasswordParams {
            username: &login.user,
            password: &login.password,
            uri: &path_of(url),
            method: "GET",
            body: Some(&[]),
        };
        let header = challenge.respond(&params).map_err(|e| anyhow::anyhow!("its way to log in is not known: {e}"))?;
        ensure!(
            header.bytes().all(|b| b == b' ' || b.is_ascii_graphic()),
            "the user's name has signs that HTTP can't send"
        );
        Ok(Some(header))
    }

    /// On a thread of its own, which may wait for the system longer than the stop signal allows.
    fn connect(&self, url: &Uri, stop: &StopSignal) -> anyhow::Result<TcpStream> {
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let authority = host_of(url);
        let (port, most) = (url.port_u16().unwrap_or(80), self.stall.min(LONGEST_CONNECT));
        let (sender, receiver) = bounded(1);
        std::thread::Builder::new().name("camera-connect".to_owned()).spawn(move || {
            let _ = sender.send(connected(&host, port, most));
        })?;
        let begun = Instant::now();
        loop {
            match receiver.recv_timeout(TICK) {
                Ok(stream) => {
                    let stream = stream.map_err(|error| match error.kind() {
                        ErrorKind::NotFound => anyhow::anyhow!("no address is known for the host {authority}"),
                        _ => anyhow::Error::new(error).context(format!("{authority} can't be reached")),
                    })?;
                    stream.set_read_timeout(Some(TICK))?;
                    stream.set_write_timeout(Some(most))?;
                    return Ok(stream);
                }
                Err(RecvTimeoutError::Disconnected) => bail!("{authority} can't be reached: its thread failed"),
                Err(RecvTimeoutError::Timeout) => {
                    ensure!(!is_stopped(stop), "stopped");
                    let is_late = begun.elapsed() > most + TICK * 5;
                    ensure!(!is_late, "{authority} can't be reached: no answer within {} s", most.as_secs_f32());
                }
            }
        }
    }

    fn read_head(&self, stream: &mut TcpStream, stop: &StopSignal) -> anyhow::Result<(Head, Vec<u8>)> {
        let (mut head, mut block, begun) = (Vec::new(), vec![0; 4096], Instant::now());
        loop {
            // Also of a camera that sends a byte now and then.
            ensure!(!is_stopped(stop), "stopped");
            ensure!(begun.elapsed() < self.stall, "it has not answered for {} s", self.stall.as_secs_f32());
            let n = match stream.read(&mut block) {
                Ok(0) => bail!("it closed the connection before it answered"),
                Ok(n) => n,
                Err(e) if is_tick(&e) => continue,
                Err(e) => return Err(e.into()),
            };
            head.extend_from_slice(&block[..n]);
            ensure!(head.len() < 7 || head.starts_with(b"HTTP/1."), "it does not answer in HTTP");
            if let Some(end) = head_end(&head) {
                let early = head.split_off(end);
                let text = String::from_utf8_lossy(&head).into_owned();
                let status = text.split_ascii_whitespace().nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
                return Ok((Head { status, text }, early));
            }
            ensure!(head.len() <= MAX_HEAD, "its answer has no end within {MAX_HEAD} bytes");
        }
    }
}

/// Where the body begins: behind an empty line, whichever way lines end.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let crlf = bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4);
    let lf = bytes.windows(2).position(|w| w == b"\n\n").map(|at| at + 2);
    crlf.into_iter().chain(lf).min()
}

fn connected(host: &str, port: u16, most: Duration) -> std::io::Result<TcpStream> {
    let addresses = (host, port).to_socket_addrs().map_err(|_| ErrorKind::NotFound)?;
    let mut stream = Err(ErrorKind::NotFound.into());
    for address in addresses {
        stream = TcpStream::connect_timeout(&address, most);
        if stream.is_ok() {
            break;
        }
    }
    stream
}

fn path_of(url: &Uri) -> String {
    let path = url.path_and_query().map_or("", |path| path.as_str());
    // "http://camera?x=1"
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// `host:port`, without a login that a redirect may name.
fn host_of(url: &Uri) -> String {
    let port = url.port_u16().map_or(String::new(), |port| format!(":{port}"));
    format!("{}{port}", url.host().unwrap_or_default())
}

fn send(stream: &mut TcpStream, url: &Uri, authorization: Option<String>) -> anyhow::Result<()> {
    let authorization = authorization.map_or(String::new(), |header| format!("Authorization: {header}\r\n"));
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: nearfield\r\nAccept: multipart/x-mixed-replace, image/*\r\n\
         {authorization}Connection: close\r\n\r\n",
        path_of(url),
        host_of(url),
    );
    stream.write_all(request.as_bytes()).context("the connection broke")
}

/// What the camera asks for, the best that is known of several.
fn challenge(head: &Head) -> anyhow::Result<PasswordClient> {
    let mut builder = PasswordClient::builder();
    let mut asked = Vec::new();
    for value in head.fields("www-authenticate") {
        builder = builder.challenges(value);
        asked.push(value.split_ascii_whitespace().next().unwrap_or_default());
    }
    let asked = if asked.is_empty() { "nothing".to_owned() } else { asked.join(", ") };
    builder.build().map_err(|_| anyhow::anyhow!("it wants a login by {asked}; Basic and Digest are known"))
}

/// `%40` is `@`.
fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let value = hex.filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let value = value.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(value.unwrap_or(bytes[at]));
        at += if value.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn is_tick(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// What came of a body within a tick.
pub(super) enum Piece {
    /// Bytes, perhaps none.
    Bytes(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// It is over; `whole`: as its head or its last chunk said.
    End { whole: bool },
}

impl Body {
    fn new(stream: TcpStream, early: Vec<u8>, head: &Head) -> Self {
        let chunked = head.fields("transfer-encoding").any(|v| v.eq_ignore_ascii_case("chunked"));
        let length = head.fields("content-length").next().and_then(|v| v.parse().ok());
        let content_type = head.fields("content-type").next().unwrap_or_default();
        Self {
            stream,
            chunks: chunked.then(Chunks::default),
            early,
            left: length.filter(|_| !chunked),
            content_type: content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase(),
        }
    }

    /// Whether the head says where it ends.
    pub fn has_length(&self) -> bool {
        self.left.is_some()
    }

    /// What has come of it.
    ///
    /// # Errors
    /// The connection broke, or the chunks have no lengths.
    pub fn read(&mut self) -> anyhow::Result<Piece> {
        if self.left == Some(0) || self.chunks.as_ref().is_some_and(|c| c.is_over) {
            return Ok(Piece::End { whole: true });
        }
        let mut bytes = std::mem::take(&mut self.early);
        if bytes.is_empty() {
            bytes.resize(64 << 10, 0);
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(Piece::End { whole: self.left.is_none() && self.chunks.is_none() }),
                Ok(n) => bytes.truncate(n),
                Err(e) if is_tick(&e) => return Ok(Piece::Nothing),
                Err(e) => return Err(e).context("the connection broke"),
            }
        }
        if let Some(left) = &mut self.left {
            bytes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= bytes.len() as u64;
        }
        match &mut self.chunks {
            None => Ok(Piece::Bytes(bytes)),
            Some(chunks) => {
                let mut data = Vec::with_capacity(bytes.len());
                chunks.push(&bytes, &mut |part| data.extend_from_slice(part))?;
                Ok(Piece::Bytes(data))
            }
        }
    }
}

/// Takes HTTP's chunks apart: a length in hexadecimal on its own line, so many bytes, a line's end; the last one has none.
#[derive(Debug, Default)]
struct Chunks {
    /// Bytes of the chunk under way still to come.
    left: u64,
    /// The line of a length as far as it has come.
    line: Vec<u8>,
    /// The last one was there.
    is_over: bool,
}

impl Chunks {
    fn push(&mut self, mut bytes: &[u8], sink: &mut dyn FnMut(&[u8])) -> anyhow::Result<()> {
        while !bytes.is_empty() && !self.is_over {
            if self.left > 0 {
                let n = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                sink(&bytes[..n]);
                self.left -= n as u64;
                bytes = &bytes[n..];
                continue;
            }
            let byte = bytes[0];
            bytes = &bytes[1..];
            if byte != b'\n' {
                ensure!(self.line.len() < 256, "the stream's chunks have no lengths");
                self.line.push(byte);
                continue;
            }
            let line = String::from_utf8_lossy(&self.line).trim().to_owned();
            self.line.clear();
            if line.is_empty() {
                continue; // The line's end behind a chunk.
            }
            let length = line.split(';').next().unwrap_or_default().trim();
            self.left = u64::from_str_radix(length, 16)
                .with_context(|| format!("the stream's chunk has the length {length:?}, which is not a number"))?;
            self.is_over = self.left == 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_into_host_path_and_login() {
        let parts = |address: &str| {
            let client = HttpClient::new(address, Duration::from_secs(1)).unwrap_or_else(|e| panic!("{address}: {e}"));
            let login = client.login.map(|l| format!("{} {}", l.user, l.password));
            let url = client.url;
            (host_of(&url), path_of(&url), login.unwrap_or_default())
        };
        let wanted = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(parts("http://cam"), wanted("cam", "/", ""));
        assert_eq!(parts("http://cam?x=1"), wanted("cam", "/?x=1", ""));
        assert_eq!(parts("http://[::1]:81/a.mjpg#top"), wanted("[::1]:81", "/a.mjpg", ""));
        assert_eq!(parts("http://u:p@cam/x"), wanted("cam", "/x", "u p"));
        assert_eq!(parts("http://u%40h:p@ss%2f%@cam/"), wanted("cam", "/", "u@h p@ss/%"));
        assert_eq!(parts("http://u@[::1]/x"), wanted("[::1]", "/x", "u "));
        for wrong in ["http://", "http://u:geheim@", "http://u:geheim@cam/a b", "https://u:geheim@cam/"] {
            let Err(error) = HttpClient::new(wrong, Duration::from_secs(1)) else { panic!("{wrong} is taken") };
            assert!(!error.to_string().contains("geheim"), "{error}");
        }
    }
}

//! One HTTP request to a hub, or to where the hub sends us: redirects are followed by hand, so that the token stays with the
//! hub itself and an encrypted connection is never left for an open one. Every request runs on a thread of its own that hands
//! over what arrives through a short bounded channel: the caller can stop at any moment, and hashing overlaps receiving.

use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Duration;

use ureq::http::{HeaderMap, Request, Uri, header};

use crate::hub::content_hash::for_each_chunk;

/// Redirects that are followed before it counts as a loop.
const MAX_REDIRECTS: usize = 10;
/// Header bytes that are read of one answer.
const MAX_HEADER_BYTES: usize = 32 * 1024;
/// Pieces of at most 256 KiB that wait for the writer: 2 MiB, a moment's worth on a fast line.
const PIECES_WAITING: usize = 8;
/// How often a waiting caller looks whether it was told to stop.
const STOP_INTERVAL: Duration = Duration::from_millis(50);

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// For a connection, encrypted or not.
    pub connect: Duration,
    /// For the next byte.
    pub read: Duration,
    /// Failures in a row, without progress between them, before giving up.
    pub attempts: u32,
    /// Before the second attempt; doubled for each further one.
    pub backoff: Duration,
    /// For another process that is fetching the same file.
    pub other_pull: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            read: Duration::from_secs(30),
            attempts: 6,
            backoff: Duration::from_millis(500),
            other_pull: Duration::from_secs(3600),
        }
    }
}

/// What an answer begins with.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Who answered, after redirects.
    pub uri: Uri,
}

impl Answer {
    /// A header as text, if it is there and printable.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }

    /// A header as a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.header(name)?.parse().ok()
    }

    pub fn is_redirect(&self) -> bool {
        matches!(self.status, 301 | 302 | 303 | 307 | 308)
    }

    /// Where a redirect leads.
    pub fn target(&self) -> Result<Uri, TransferError> {
        let location = self.header("location").unwrap_or_default();
        join(&self.uri, location).ok_or_else(|| {
            TransferError::Permanent(format!("a redirect leads to {:?}, which is not a web address", shown(location)))
        })
    }
}

/// Why there is no answer, or not all of it.
#[derive(Debug)]
pub(crate) enum TransferError {
    /// No connection could be made.
    Unreachable(String),
    /// The connection was cut, or went silent: another attempt may succeed.
    Transient(String),
    /// Another attempt would end the same.
    Permanent(String),
    /// The caller said stop.
    Stopped,
}

/// What arrives of a GET, in order: one `Answer`, pieces, and `End` or `TransferError`.
#[derive(Debug)]
pub(crate) enum Part {
    Answer(Answer),
    Piece(Vec<u8>),
    End,
    Failed(TransferError),
}

/// The parts of one GET, as they arrive.
pub(crate) struct Parts(mpsc::Receiver<Part>);

impl Parts {
    /// The next part; [`Part::Failed`] with [`TransferError::Stopped`] as soon as `stop` says so.
    pub fn next(&self, stop: &dyn Fn() -> bool) -> Part {
        receive(&self.0, stop).unwrap_or_else(Part::Failed)
    }
}

/// Asks one hub, with its token.
#[derive(Clone)]
pub(crate) struct Exchange {
    agent: ureq::Agent,
    endpoint: Uri,
    authorization: Option<String>,
}

impl Exchange {
    pub fn new(endpoint: Uri, token: Option<&str>, retry: &RetryPolicy) -> Self {
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_response_header_size(MAX_HEADER_BYTES)
            .timeout_resolve(Some(retry.connect))
            .timeout_connect(Some(retry.connect))
            .timeout_send_request(Some(retry.read))
            .timeout_recv_response(Some(retry.read))
            .timeout_per_read(Some(retry.read))
            .user_agent(concat!("nearfield/", env!("CARGO_PKG_VERSION")));
        if endpoint.host().is_some_and(|h| h == "localhost" || h.starts_with("127.") || h == "[::1]") {
            config = config.proxy(None); // a hub on this very machine is not behind the proxy
        }
        Self {
            agent: config.build().new_agent(),
            endpoint,
            authorization: token.map(|token| format!("Bearer {token}")),
        }
    }

    /// Whether this address is on the hub itself: same scheme, host and port.
    pub fn is_endpoint(&self, uri: &Uri) -> bool {
        origin(uri) == origin(&self.endpoint)
    }

    /// Asks for the headers alone; redirects are left to the caller, since they carry what the caller wants.
    pub fn head(&self, uri: &Uri, stop: &dyn Fn() -> bool) -> Result<Answer, TransferError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let (this, uri) = (self.clone(), uri.clone());
        thread::spawn(move || {
            // The receiver is gone only when the caller was told to stop.
            let _ = sender.send(this.request("HEAD", &uri, &[]).map(|(answer, _)| answer));
        });
        receive(&receiver, stop)?
    }

    /// Asks for the content, following redirects. `headers` go along to wherever they lead, except `If-Range`, which only the
    /// hub understands.
    pub fn get(&self, uri: &Uri, headers: Vec<(&'static str, String)>) -> Parts {
        let (sender, receiver) = mpsc::sync_channel(PIECES_WAITING);
        let (this, uri) = (self.clone(), uri.clone());
        thread::spawn(move || {
            let last = this.get_into(&uri, headers, &sender).map_or_else(Part::Failed, |()| Part::End);
            let _ = sender.send(last); // the receiver is gone only when nobody wants to know
        });
        Parts(receiver)
    }

    fn get_into(
        &self,
        uri: &Uri,
        headers: Vec<(&'static str, String)>,
        sender: &SyncSender<Part>,
    ) -> Result<(), TransferError> {
        let mut uri = uri.clone();
        for _ in 0..=MAX_REDIRECTS {
            let for_this: Vec<_> = headers
                .iter()
                .filter(|(name, _)| *name != "if-range" || self.is_endpoint(&uri))
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let (answer, body) = self.request("GET", &uri, &for_this)?;
            if answer.is_redirect() {
                uri = answer.target()?;
                continue;
            }
            if sender.send(Part::Answer(answer)).is_err() {
                return Ok(());
            }
            let mut reader = body.into_reader();
            let read = for_each_chunk(&mut reader, &mut |piece| sender.send(Part::Piece(piece.to_vec())).is_ok());
            return read.map_err(|e| TransferError::from(ureq::Error::from(e)));
        }
        Err(TransferError::Permanent(format!("more than {MAX_REDIRECTS} redirects, one after the other")))
    }

    fn request(
        &self,
        method: &str,
        uri: &Uri,
        headers: &[(&str, &str)],
    ) -> Result<(Answer, ureq::Body), TransferError> {
        // Identity: what is hashed must be the content, not a compressed form of it.
        let mut request = Request::builder().method(method).uri(uri).header(header::ACCEPT_ENCODING, "identity");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(authorization) = self.authorization.as_ref().filter(|_| self.is_endpoint(uri)) {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(()).map_err(|e| TransferError::Permanent(e.to_string()))?;
        let (parts, body) = self
            .agent
            .run(request)
            .map_err(|e| match TransferError::from(e) {
                TransferError::Unreachable(why) => {
                    TransferError::Unreachable(format!("{}: {why}", uri.host().unwrap_or("the hub")))
                }
                other => other,
            })?
            .into_parts();
        let answer = Answer { status: parts.status.as_u16(), headers: parts.headers, uri: uri.clone() };
        Ok((answer, body))
    }
}

impl From<ureq::Error> for TransferError {
    fn from(error: ureq::Error) -> Self {
        use std::io::ErrorKind as K;
        use ureq::{Error as E, Timeout as T};
        match error {
            E::HostNotFound => TransferError::Unreachable("no such host, or no name server".into()),
            E::ConnectionFailed => TransferError::Unreachable("no connection".into()),
            E::Timeout(T::Resolve | T::Connect) => TransferError::Unreachable("no connection in time".into()),
            E::Timeout(_) => TransferError::Transient("nothing arrived for too long".into()),
            E::Io(e) => match e.kind() {
                K::ConnectionRefused | K::NetworkUnreachable | K::HostUnreachable | K::AddrNotAvailable => {
                    TransferError::Unreachable(e.to_string())
                }
                K::UnexpectedEof => TransferError::Transient("the connection was cut".into()),
                // rustls and the certificate check come as InvalidData: the same at the next attempt.
                K::InvalidData | K::InvalidInput => TransferError::Permanent(e.to_string()),
                _ => TransferError::Transient(e.to_string()),
            },
            other => TransferError::Permanent(other.to_string()),
        }
    }
}

fn receive<T>(receiver: &mpsc::Receiver<T>, stop: &dyn Fn() -> bool) -> Result<T, TransferError> {
    loop {
        if stop() {
            return Err(TransferError::Stopped);
        }
        match receiver.recv_timeout(STOP_INTERVAL) {
            Ok(value) => return Ok(value),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(TransferError::Transient("the request ended without an answer".into()));
            }
        }
    }
}

/// Sleeps, unless told to stop; answers whether it was.
pub(crate) fn sleep(time: Duration, stop: &dyn Fn() -> bool) -> bool {
    let end = std::time::Instant::now() + time;
    loop {
        if stop() {
            return true;
        }
        let left = end.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return false;
        }
        thread::sleep(left.min(STOP_INTERVAL));
    }
}

/// A server's text, fit for a terminal: no control characters, at most 200 characters.
pub(crate) fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn origin(uri: &Uri) -> (Option<&str>, Option<String>, Option<u16>) {
    let scheme = uri.scheme_str();
    let default = if scheme == Some("https") { 443 } else { 80 };
    (scheme, uri.host().map(str::to_ascii_lowercase), Some(uri.port_u16().unwrap_or(default)))
}

/// The address that a `Location` means (RFC 3986, section 5.2, without `..` segments); `None` when it is none, or leaves https
/// for http.
fn join(base: &Uri, location: &str) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default();
    let scheme = base.scheme_str()?;
    let authority = base.authority()?;
    let path = base.path();
    let absolute = if location.starts_with("http://") || location.starts_with("https://") {
        location.to_string()
    } else if location.is_empty() || location.split(['/', '?']).next().is_some_and(|first| first.contains(':')) {
        return None; // nothing, or another scheme
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.starts_with('?') {
        format!("{scheme}://{authority}{path}{location}")
    } else {
        let folder = &path[..path.rfind('/').map_or(0, |i| i + 1)];
        format!("{scheme}://{authority}{folder}{location}")
    };
    let uri: Uri = absolute.parse().ok()?;
    let downgrade = scheme == "https" && uri.scheme_str() != Some("https");
    (uri.host().is_some_and(|h| !h.is_empty()) && !downgrade).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_joined_as_browsers_do_and_https_is_never_left() {
        let base: Uri = "https://hub.example/org/name/resolve/main/a.bin?x=1".parse().unwrap();
        for (location, joined) in [
            ("https://cdn.example/b?sig=%2F#part", Some("https://cdn.example/b?sig=%2F")),
            ("/api/b", Some("https://hub.example/api/b")),
            ("b.bin", Some("https://hub.example/org/name/resolve/main/b.bin")),
            ("?y=2", Some("https://hub.example/org/name/resolve/main/a.bin?y=2")),
            ("//cdn.example:8443/b", Some("https://cdn.example:8443/b")),
            ("http://cdn.example/b", None),
            ("ftp://cdn.example/b", None),
            ("file:/etc/passwd", None),
            ("", None),
            ("/a b", None),
        ] {
            assert_eq!(join(&base, location).map(|u| u.to_string()).as_deref(), joined, "{location:?}");
        }
    }

    #[test]
    fn the_hub_is_one_scheme_one_host_and_one_port() {
        let hub = Exchange::new("https://hub.example".parse().unwrap(), None, &RetryPolicy::default());
        for (uri, same) in [
            ("https://HUB.example:443/x", true),
            ("http://hub.example/x", false),
            ("https://hub.example:8443/x", false),
            ("https://cdn.hub.example/x", false),
        ] {
            assert_eq!(hub.is_endpoint(&uri.parse().unwrap()), same, "{uri}");
        }
    }

    #[test]
    fn a_server_s_text_cannot_drive_the_terminal() {
        assert_eq!(shown("a\u{1b}[31m\r\nb"), "a[31mb");
        assert_eq!(shown(&"x".repeat(1000)).len(), 200);
    }
}

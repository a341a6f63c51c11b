//! Deliveries as HTTP POST requests with a JSON body.
//!
//! | answer | what happens |
//! |---|---|
//! | 2xx | delivered |
//! | 301, 302, 307, 308 | followed with the same body, up to five times; the token only goes to the same host; never from https to http |
//! | 400, 413, 415, 422 | this message is set aside with the server's reason, the next ones go on |
//! | 401, 403, 407 | kept, tried again at long pauses; the token's file is read anew each time |
//! | 408, 425, 429, 5xx | kept, tried again after `Retry-After`, else at growing pauses |
//! | anything else, as 404 and 410 | kept, tried again at long pauses: the URL is probably wrong |
//! | none | kept, tried again at growing pauses |

use std::io::Read;
use std::time::{Duration, SystemTime};

use anyhow::anyhow;
use nearfield_base::redact::redacted;
use ureq::http::Uri;
use ureq::http::header::{LOCATION, RETRY_AFTER};

use super::{Delivery, DeliveryError, Outlet, Pause};
use crate::redirect::redirect;

/// Redirects followed for one delivery.
const MAX_REDIRECTS: usize = 5;
/// What is told of a server's answer.
const MAX_ANSWER_BYTES: u64 = 300;
/// Longer bodies are announced first (`Expect: 100-continue`), so that a server can refuse them before they are sent: one that
/// closes the connection instead could not be told from a broken line.
const ANNOUNCED_BYTES: usize = 64 << 10;

/// Reads the bearer token.
pub type TokenSource = Box<dyn Fn() -> anyhow::Result<String> + Send>;

/// A URL that takes POST requests.
pub struct Webhook {
    url: Uri,
    agent: ureq::Agent,
    token: Option<TokenSource>,
    /// Where a permanent redirect led: told once.
    moved: Option<String>,
}

impl Webhook {
    /// For `url`; `token` goes into the `Authorization` header and is read before each request, since tokens expire. A server that
    /// takes longer than `timeout` is tried again later.
    ///
    /// # Errors
    /// If it is no HTTP URL.
    pub fn new(url: &str, token: Option<TokenSource>, timeout: Duration) -> Result<Webhook, String> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let shown = redacted(url);
            return Err(format!("{shown:?} is not a URL for a webhook: it begins with neither http:// nor https://"));
        }
        let parsed: Uri = url.parse().map_err(|e| format!("{:?} is not a URL for a webhook: {e}", redacted(url)))?;
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        Ok(Webhook { url: parsed, agent: config.into(), token, moved: None })
    }

    fn try_deliver(&mut self, delivery: &Delivery) -> Result<(), DeliveryError> {
        let body = delivery.body.to_string();
        let token = match &self.token {
            None => None,
            // It may be about to be replaced.
            Some(read) => Some(read().map_err(|e| DeliveryError::Retry(e, Pause::Short))?),
        };
        let (mut url, mut with_token) = (self.url.clone(), true);
        for _ in 0..=MAX_REDIRECTS {
            let mut request = self.agent.post(url.clone()).header("Content-Type", "application/json");
            // The same id comes with each attempt: a server that has it already may pass it over.
            request = request.header("Idempotency-Key", &delivery.id);
            if body.len() > ANNOUNCED_BYTES {
                request = request.header("Expect", "100-continue");
            }
            if let Some(token) = token.as_ref().filter(|_| with_token) {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let mut response =
                request.send(&body).map_err(|e| DeliveryError::Retry(explained(&e, &url), Pause::Short))?;
            let status = response.status().as_u16();
            let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
            match status {
                200..=299 => return Ok(()),
                301 | 302 | 307 | 308 => {
                    let location = header(LOCATION).unwrap_or_default().to_owned();
                    let (next, keeps_token) = redirect(&url, &location)
                        .map_err(|why| DeliveryError::Retry(anyhow!("it answers {status}: {why}"), Pause::Long))?;
                    if matches!(status, 301 | 308) && self.moved.as_deref() != Some(location.as_str()) {
                        tracing::warn!(
                            "{} has moved to {}; set outlets.webhook to its new address",
                            self.name(),
                            origin(&next)
                        );
                        self.moved = Some(location);
                    }
                    (url, with_token) = (next, with_token && keeps_token);
                }
                _ => {
                    let asked = header(RETRY_AFTER).and_then(|text| retry_after(text, SystemTime::now()));
                    let mut answer = Vec::new();
                    let _ = response.body_mut().as_reader().take(MAX_ANSWER_BYTES).read_to_end(&mut answer);
                    return Err(judge(status, asked, &answer, &url, with_token));
                }
            }
        }
        Err(DeliveryError::Retry(
            anyhow!("it redirects more than {MAX_REDIRECTS} times: set outlets.webhook to the final address"),
            Pause::Long,
        ))
    }
}

impl Outlet for Webhook {
    fn name(&self) -> String {
        // Whatever stands behind the host may be a secret.
        let port = self.url.port_u16().map_or(String::new(), |port| format!(":{port}"));
        format!("webhook at {}{port}", self.url.host().unwrap_or_default())
    }

    fn deliver(&mut self, delivery: &Delivery) -> Result<(), DeliveryError> {
        self.try_deliver(delivery)
    }
}

/// What an answer that is neither success nor redirect means.
fn judge(status: u16, asked: Option<Duration>, answer: &[u8], url: &Uri, with_token: bool) -> DeliveryError {
    let retry = |hint: &str, pause| DeliveryError::Retry(anyhow!("it answers {status}: {hint}"), pause);
    match status {
        400 | 413 | 415 | 422 => {
            let answer: String = String::from_utf8_lossy(answer).chars().filter(|c| !c.is_control()).collect();
            let answer = if answer.is_empty() { answer } else { format!(", {answer:?}") };
            DeliveryError::Refused(anyhow!("it answers {status}{answer}"))
        }
        401 | 403 | 407 if !with_token => retry(
            &format!(
                "it redirects to {}, which does not get the token: set outlets.webhook to that address",
                origin(url)
            ),
            Pause::Long,
        ),
        401 | 403 | 407 => retry(
            "the token is missing, expired or not allowed: write a valid one into the file that outlets.webhook_token_file names \
             (it is read at each attempt)",
            Pause::Long,
        ),
        408 | 425 | 429 | 500..=599 => {
            let hint = if status == 429 { "too many requests" } else { "it can't take it now" };
            retry(hint, asked.map_or(Pause::Short, Pause::Asked))
        }
        _ => retry("check the address in outlets.webhook", asked.map_or(Pause::Long, Pause::Asked)),
    }
}

/// What kept a request from being answered, and what to do.
fn explained(error: &ureq::Error, url: &Uri) -> anyhow::Error {
    let host = url.host().unwrap_or_default();
    let no_address = anyhow!("no address is known for the host {host:?}: check outlets.webhook and this machine's DNS");
    match error {
        ureq::Error::HostNotFound => no_address,
        // The standard library has no kind of its own for it.
        ureq::Error::Io(io) if io.to_string().starts_with("failed to lookup address") => no_address,
        ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => {
            anyhow!("nothing listens at {}: check that the server runs, and the port in outlets.webhook", origin(url))
        }
        ureq::Error::ConnectionFailed => anyhow!("{} can't be reached: check the network", origin(url)),
        ureq::Error::Timeout(_) => anyhow!("{} did not answer within outlets.webhook_timeout_s", origin(url)),
        error => anyhow!("{error}"),
    }
}

/// `https://host:port`, without what may be secret.
fn origin(url: &Uri) -> String {
    let port = url.port_u16().map_or(String::new(), |port| format!(":{port}"));
    format!("{}://{}{port}", url.scheme_str().unwrap_or_default(), url.host().unwrap_or_default())
}

/// How long a server asks to wait: seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(SystemTime::from(at).duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Serves one request for each of these heads of answers; gives the requests, as they came.
    fn serve(listener: TcpListener, answers: Vec<String>) -> std::thread::JoinHandle<Vec<String>> {
        std::thread::spawn(move || {
            let mut requests = Vec::new();
            for head in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut text = Vec::new();
                let mut block = [0; 4096];
                while !String::from_utf8_lossy(&text).contains("\"a\":1}") {
                    let n = stream.read(&mut block).unwrap();
                    text.extend_from_slice(&block[..n]);
                }
                let answer = format!("HTTP/1.1 {head}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwhy!");
                stream.write_all(answer.as_bytes()).unwrap();
                requests.push(String::from_utf8(text).unwrap());
            }
            requests
        })
    }

    fn local() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook?secret=1", listener.local_addr().unwrap());
        (listener, url)
    }

    fn webhook(url: &str) -> Webhook {
        Webhook::new(url, Some(Box::new(|| Ok("t0ken".to_owned()))), Duration::from_secs(20)).unwrap()
    }

    fn delivery() -> Delivery {
        Delivery { id: "x1".into(), text: String::new(), body: serde_json::json!({"a": 1}) }
    }

    #[test]
    fn a_server_s_answer_decides_whether_and_when_it_is_tried_again() {
        let (listener, url) = local();
        let asked = Some(Pause::Asked(Duration::from_secs(77)));
        let table = [
            ("204 Done", None, false),
            ("400 Bad Request", None, true),
            ("401 Unauthorized", Some(Pause::Long), false),
            ("403 Forbidden", Some(Pause::Long), false),
            ("404 Not Found", Some(Pause::Long), false),
            ("405 Method Not Allowed", Some(Pause::Long), false),
            ("410 Gone", Some(Pause::Long), false),
            ("413 Content Too Large", None, true),
            ("422 Unprocessable", None, true),
            ("429 Slow Down\r\nRetry-After: 77", asked, false),
            ("500 Oh", Some(Pause::Short), false),
            ("503 Busy\r\nRetry-After: 77", asked, false),
            ("301 Moved", Some(Pause::Long), false),
        ];
        let server = serve(listener, table.iter().map(|(head, ..)| (*head).to_owned()).collect());
        let mut webhook = webhook(&url);
        assert!(!webhook.name().contains("secret"));
        for (head, pause, refused) in table {
            match webhook.deliver(&delivery()) {
                Ok(()) => assert!(pause.is_none() && !refused, "{head}"),
                Err(DeliveryError::Retry(_, found)) => assert_eq!(Some(found), pause, "{head}"),
                Err(DeliveryError::Refused(reason)) => {
                    assert!(refused, "{head}");
                    let status = &head[..3];
                    assert_eq!(reason.to_string(), format!("it answers {status}, \"why!\""));
                }
            }
        }
        for request in server.join().unwrap() {
            let lower = request.to_lowercase();
            assert!(lower.contains("idempotency-key: x1") && lower.contains("bearer t0ken"), "{request}");
        }
        let Err(DeliveryError::Retry(error, Pause::Short)) = webhook.deliver(&delivery()) else { panic!() };
        assert!(error.to_string().contains("nothing listens at http://127.0.0.1:"), "{error}");
        assert!(Webhook::new("ftp://x", None, Duration::MAX).is_err());
    }

    #[test]
    fn redirects_are_followed_with_the_body_and_without_the_token_where_it_does_not_belong() {
        for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
            let ((first, url), (other, elsewhere)) = (local(), local());
            let here =
                serve(first, vec![format!("{status}\r\nLocation: /b?c"), format!("{status}\r\nLocation: {elsewhere}")]);
            let there = serve(other, vec!["200 OK".to_owned()]);
            webhook(&url).deliver(&delivery()).unwrap();
            let (here, there) = (here.join().unwrap(), there.join().unwrap());
            assert!(here[1].starts_with("POST /b?c ") && here[1].contains("Bearer t0ken"), "{status}: {}", here[1]);
            assert!(
                there[0].starts_with("POST /hook?secret=1 ") && there[0].ends_with("{\"a\":1}"),
                "{status}: {}",
                there[0]
            );
            assert!(!there[0].contains("t0ken"), "{status}: the token went to another server: {}", there[0]);
        }
        let (listener, url) = local();
        let server = serve(listener, vec![format!("302 Found\r\nLocation: {url}"); 6]);
        assert!(matches!(webhook(&url).deliver(&delivery()), Err(DeliveryError::Retry(_, Pause::Long))));
        assert_eq!(server.join().unwrap().len(), 6, "a loop ends");
    }

    #[test]
    fn a_server_may_ask_to_wait_until_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_767);
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(retry_after(" 120 ", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("soon", now), None);
    }
}

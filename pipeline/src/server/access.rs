//! Who may ask: a token for whoever is not on this machine, and no web pages of others.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::{Context, bail};
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use hyper::http::uri::PathAndQuery;
use hyper::{Request, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::failure::Failure;

/// The fewest and the most bytes of a token.
const TOKEN_BYTES: std::ops::RangeInclusive<usize> = 16..=1024;

/// Where a token may stand in the path.
const TOKEN_PATH: &str = "/token/";
/// So many `/` of a path are looked at for the end of the token.
const MOST_SLASHES: usize = 40;

/// Who may ask.
#[derive(Clone, PartialEq)]
pub struct Access {
    /// Hashed: a comparison tells nothing of a token's length.
    token: Option<[u8; 32]>,
    hosts: Vec<String>,
}

impl Access {
    /// Reads the token.
    ///
    /// # Errors
    /// The file can't be read, or holds no token of a sensible length.
    pub fn new(token_file: &Path, hosts: &[String]) -> anyhow::Result<Self> {
        let token = match token_file.as_os_str().is_empty() {
            true => None,
            false => Some(read_token(token_file)?),
        };
        Ok(Self { token, hosts: hosts.iter().map(|host| host.to_lowercase()).collect() })
    }

    /// Whether the server may listen there.
    ///
    /// # Errors
    /// Others could reach it, and no token is asked for.
    pub fn check_listen(&self, key: &str, address: &SocketAddr) -> anyhow::Result<()> {
        if !address.ip().is_loopback() && self.token.is_none() {
            bail!(
                "{key} is {address}, which other machines can reach: name a file with a token in server.token_file (such as `head \
                 -c 24 /dev/urandom | od -An -vtx1 | tr -d ' \\n' > token`), or listen on 127.0.0.1"
            );
        }
        Ok(())
    }

    /// Whether a request may be answered. `is_open`: it needs no token.
    ///
    /// # Errors
    /// What is refused, with its status.
    pub fn check(&self, headers: &HeaderMap, uri: &Uri, is_open: bool) -> Result<(), Failure> {
        let host = match (uri.authority(), headers.get(HOST)) {
            (Some(authority), _) => authority.as_str(),
            (None, Some(host)) => host.to_str().unwrap_or("?"),
            (None, None) => "",
        };
        if host.is_empty() {
            let message = "the request names no host: send HTTP/1.1 with a Host header";
            return Err(Failure::new(StatusCode::FORBIDDEN, message).code("no_host"));
        }
        if !self.knows(host) {
            let message = format!(
                "this server does not answer to the name {:?}: use its address, or add the name to server.hosts",
                host.chars().take(100).collect::<String>()
            );
            return Err(Failure::new(StatusCode::FORBIDDEN, message).code("unknown_host"));
        }
        // A browser names the page that asks; only our own may.
        if let Some(origin) = headers.get(ORIGIN) {
            let origin = origin.to_str().unwrap_or_default();
            let own = origin.split_once("://").is_some_and(|(_, page)| page == host);
            if !own {
                let message = "web pages of other servers may not ask here";
                return Err(Failure::new(StatusCode::FORBIDDEN, message).code("cross_origin"));
            }
        }
        let Some(due) = &self.token else { return Ok(()) };
        if is_open {
            return Ok(());
        }
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer ")));
        // A browser's WebSocket can send no such header.
        let given = given.or_else(|| super::realtime::token_of(headers));
        let is_right = given.is_some_and(|given| hash(given.trim()).ct_eq(due).into());
        match is_right {
            true => Ok(()),
            false => {
                let message = "the token is missing or wrong: send it as `Authorization: Bearer TOKEN` (the API key of OpenAI clients), or in the \
                               address, as in HOST:PORT/token/TOKEN/v1";
                Err(Failure::new(StatusCode::UNAUTHORIZED, message).code("invalid_api_key"))
            }
        }
    }

    /// Whether clients may call the server so. A page whose name is made to point at this machine does not know the token, and
    /// cannot be called by an address.
    fn knows(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        let name = name.to_lowercase();
        name == "localhost"
            || name.parse::<IpAddr>().is_ok()
            || self.hosts.contains(&name)
            || (self.token.is_some() && self.hosts.is_empty() && !name.is_empty())
    }

    /// A request to `/token/TOKEN/PATH` as one to `/PATH` with the token in its head: for clients that know an address and nothing else,
    /// such as Home Assistant's Ollama integration. The token may stand there as it is, with `/` and `+`, or percent-encoded.
    pub fn with_token_of_path<B>(&self, mut request: Request<B>) -> Request<B> {
        let uri = request.uri();
        let Some(rest) = uri.path().strip_prefix(TOKEN_PATH) else { return request };
        // Where the token ends is not known if it has a `/` itself.
        let slashes = rest.match_indices('/').map(|(at, _)| at).take(MOST_SLASHES);
        let parts = slashes.map(|at| (percent_decode_str(&rest[..at]).decode_utf8_lossy(), &rest[at + 1..]));
        let parts: Vec<_> = parts.collect();
        let is_right = |token: &str| self.token.is_some_and(|due| hash(token).ct_eq(&due).into());
        let Some((token, path)) = parts.iter().find(|(token, _)| is_right(token)).or(parts.first()) else {
            return request;
        };
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let (Ok(path), Ok(bearer)) =
            (format!("/{path}{query}").parse::<PathAndQuery>(), format!("Bearer {token}").parse())
        else {
            return request;
        };
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(path);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
            request.headers_mut().entry(AUTHORIZATION).or_insert(bearer);
        }
        request
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn read_token(file: &Path) -> anyhow::Result<[u8; 32]> {
    let place = || format!("server.token_file {}", file.display());
    let size = std::fs::metadata(file).with_context(place)?.len();
    let text = match size {
        0..=4096 => std::fs::read_to_string(file).with_context(place)?,
        _ => bail!("{}: has {size} bytes; a token has at most {}", place(), TOKEN_BYTES.end()),
    };
    let token = text.trim();
    if !TOKEN_BYTES.contains(&token.len()) || token.contains(char::is_whitespace) {
        bail!(
            "{}: must hold one token of {} to {} bytes without spaces, such as `head -c 24 /dev/urandom | od -An -vtx1 | tr -d ' \\n'` makes",
            place(),
            TOKEN_BYTES.start(),
            TOKEN_BYTES.end()
        );
    }
    Ok(hash(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn status(access: &Access, pairs: &[(&'static str, &str)]) -> u16 {
        let checked = access.check(&headers(pairs), &"/v1/models".parse().unwrap(), false);
        checked.map_or_else(|failure| failure.status.as_u16(), |()| 200)
    }

    #[test]
    fn without_a_token_only_addresses_and_known_names_are_answered() {
        let access = Access { token: None, hosts: vec!["board.local".to_owned()] };
        for (host, due) in [
            ("127.0.0.1:8642", 200),
            ("localhost", 200),
            ("[::1]:8642", 200),
            ("BOARD.local:8642", 200),
            ("evil.example:8642", 403),
            ("127.0.0.1.evil.example", 403),
            ("", 403),
        ] {
            assert_eq!(status(&access, &[("host", host)]), due, "{host}");
        }
    }

    #[test]
    fn a_page_of_another_server_is_refused_and_an_own_one_is_not() {
        let access = Access { token: None, hosts: Vec::new() };
        assert_eq!(status(&access, &[("host", "127.0.0.1:1"), ("origin", "http://evil.example")]), 403);
        assert_eq!(status(&access, &[("host", "127.0.0.1:1"), ("origin", "null")]), 403);
        assert_eq!(status(&access, &[("host", "127.0.0.1:1"), ("origin", "http://127.0.0.1:1")]), 200);
    }

    #[test]
    fn only_the_token_itself_is_accepted() {
        let access = Access { token: Some(hash("0123456789abcdef")), hosts: Vec::new() };
        let with = |value: &str| status(&access, &[("host", "board.local"), ("authorization", value)]);
        assert_eq!(with("Bearer 0123456789abcdef"), 200);
        assert_eq!(with("Bearer 0123456789abcde"), 401);
        assert_eq!(with("Bearer 0123456789abcdef0"), 401);
        assert_eq!(with("Basic 0123456789abcdef"), 401);
        assert_eq!(status(&access, &[("host", "board.local")]), 401);
    }

    #[test]
    fn a_token_in_the_path_counts_as_one_in_the_head_and_is_gone_from_the_path() {
        let access = Access { token: Some(hash("0123456789abcdef")), hosts: Vec::new() };
        let asked = |path: &str, more: Option<&str>| {
            let mut request = Request::builder().uri(path).header("host", "board.local");
            if let Some(more) = more {
                request = request.header("authorization", more);
            }
            let request = access.with_token_of_path(request.body(()).unwrap());
            let checked = access.check(request.headers(), request.uri(), false);
            (request.uri().to_string(), checked.map_or_else(|failure| failure.status.as_u16(), |()| 200))
        };
        let seen = |path: &str, status| (path.to_owned(), status);
        assert_eq!(asked("/token/0123456789abcdef/api/chat?a=b", None), seen("/api/chat?a=b", 200));
        assert_eq!(asked("/token/0123456789abcdef/", None), seen("/", 200));
        assert_eq!(asked("/token/0123456789abcdee/api/chat", None), seen("/api/chat", 401));
        assert_eq!(asked("/token/0123456789abcdef/api/chat", Some("Bearer wrong")), seen("/api/chat", 401));
        assert_eq!(asked("/token/0123456789abcdef", None), seen("/token/0123456789abcdef", 401));
        assert_eq!(asked("/api/token/0123456789abcdef/", None).1, 401);
    }

    #[test]
    fn a_token_in_the_path_may_have_any_character_as_it_is_or_encoded() {
        let token = "ab/cd+EF/0123456789==";
        let access = Access { token: Some(hash(token)), hosts: Vec::new() };
        let asked = |path: &str| {
            let request = Request::builder().uri(path).header("host", "board.local").body(()).unwrap();
            let request = access.with_token_of_path(request);
            let checked = access.check(request.headers(), request.uri(), false);
            (request.uri().to_string(), checked.is_ok())
        };
        let right = ("/api/chat?a=b".to_owned(), true);
        assert_eq!(asked(&format!("/token/{token}/api/chat?a=b")), right);
        assert_eq!(asked("/token/ab%2Fcd%2BEF%2f0123456789%3D%3D/api/chat?a=b"), right);
        assert!(!asked("/token/ab/cd+EF/0123456789=/api/chat").1);
        assert!(!asked("/token/ab%/api/chat").1 && !asked("/token/%FF%0A/api/chat").1 && !asked("/token//").1);
        assert!(!asked(&format!("/token/{}", "/".repeat(2000))).1);
    }

    #[test]
    fn a_request_without_a_host_is_told_what_it_lacks() {
        let access = Access { token: None, hosts: Vec::new() };
        let failure = access.check(&headers(&[]), &"/v1/models".parse().unwrap(), false).unwrap_err();
        assert!(failure.message.contains("send HTTP/1.1 with a Host header"), "{}", failure.message);
        assert_eq!(failure.status.as_u16(), 403);
    }

    #[test]
    fn other_machines_are_let_in_with_a_token_only() {
        let open = Access { token: None, hosts: Vec::new() };
        assert!(open.check_listen("server.listen", &"127.0.0.1:1".parse().unwrap()).is_ok());
        assert!(open.check_listen("server.listen", &"0.0.0.0:1".parse().unwrap()).is_err());
        let closed = Access { token: Some([0; 32]), hosts: Vec::new() };
        assert!(closed.check_listen("server.listen", &"0.0.0.0:1".parse().unwrap()).is_ok());
    }
}

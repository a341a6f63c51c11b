//! Addresses as they may be shown: without the login and without the values of parameters that look secret. Whatever names an
//! address in a message, a log line or a delivery names it in this form; only what connects has the whole one.

/// What stands for a secret.
pub const HIDDEN: &str = "***";

/// Parts of the names of parameters whose values are secrets.
const SECRET: [&str; 9] = ["pass", "pwd", "token", "secret", "key", "auth", "sig", "cred", "session"];
/// Names of such parameters as a whole.
const SECRET_NAMES: [&str; 4] = ["sid", "_sid", "pw", "psw"];

/// `text` with every address in it as it may be shown: `rtsp://admin:hunter2@camera/1?token=abc` becomes
/// `rtsp://***@camera/1?token=***`. An address ends at white space or a quotation mark.
///
/// ```
/// use nearfield_base::redact::redacted;
///
/// assert_eq!(redacted("rtsp://admin:p@ss@cam/1: refused"), "rtsp://***@cam/1: refused");
/// assert_eq!(redacted("http://cam/snap.cgi?user=a&pwd=b"), "http://cam/snap.cgi?user=a&pwd=***");
/// ```
pub fn redacted(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        shown.push_str(head);
        let is_scheme = rest[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
        let end = tail.find(|c: char| c.is_whitespace() || c == '"' || c == '`').unwrap_or(tail.len());
        // What only looks like the beginning of an address is shown as it is.
        let end = if is_scheme { end } else { 0 };
        push_address(&tail[..end], &mut shown);
        rest = &tail[end..];
    }
    shown.push_str(rest);
    shown
}

/// An address, and how it is shown.
#[derive(Clone, Debug)]
pub struct Address {
    whole: String,
    shown: String,
}

impl Address {
    /// Of an address or a path; a path is shown as it is.
    pub fn new(whole: &str) -> Self {
        let shown = match whole.split_once("://") {
            // Here it is known where it ends, whatever a password holds.
            Some((scheme, rest)) => {
                let mut shown = format!("{scheme}://");
                push_address(rest, &mut shown);
                shown
            }
            None => whole.to_owned(),
        };
        Self { whole: whole.to_owned(), shown }
    }

    /// The whole of it, for what connects.
    pub fn whole(&self) -> &str {
        &self.whole
    }

    /// As it may be shown.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// What another program says, with this address and any other as they may be shown.
    pub fn redact(&self, text: &str) -> String {
        if self.whole == self.shown { redacted(text) } else { redacted(&text.replace(&self.whole, &self.shown)) }
    }
}

/// Where the login of an address ends, within what follows its `://`: the place of the `@`.
pub fn login_end(rest: &str) -> Option<usize> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    if let Some(at) = rest[..end].rfind('@') {
        return Some(at);
    }
    // A password with `/`, `?` or `#` in it: what looks like the host is none, because no port follows its colon.
    if is_host(&rest[..end]) { None } else { rest.rfind('@') }
}

/// Whether it is a host, or a host and a port.
fn is_host(authority: &str) -> bool {
    let port = match authority.rsplit_once(']') {
        Some((_, port)) => port.strip_prefix(':').unwrap_or(port),
        None => authority.rsplit_once(':').map_or("", |(_, port)| port),
    };
    // An error quotes addresses as in "http://camera:80: refused".
    port.trim_end_matches([':', ',', ';', '.', ')', '\'']).bytes().all(|b| b.is_ascii_digit())
}

/// What follows `://`, as it may be shown.
fn push_address(rest: &str, shown: &mut String) {
    let host_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // "a:12/34@camera": rather the login is hidden than a path with an `@` in it shown.
    let unsure = || rest.rfind('@').filter(|_| !rest.starts_with('[') && rest[..host_end].contains(':'));
    let rest = match login_end(rest).or_else(unsure) {
        Some(at) => {
            shown.push_str(HIDDEN);
            &rest[at..]
        }
        None => {
            match is_host(&rest[..host_end]) {
                true => rest,
                // "rtsp://admin:my secret@camera" is cut at its space: what is there of it may be a password.
                false => {
                    shown.push_str(HIDDEN);
                    &rest[host_end..]
                }
            }
        }
    };
    let mut rest = rest;
    while let Some(at) = rest.find('=') {
        let (head, tail) = rest.split_at(at + 1);
        shown.push_str(head);
        let name = head[..at].rsplit(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.')).next();
        let name = name.unwrap_or_default().to_ascii_lowercase();
        rest = tail;
        if SECRET.iter().any(|part| name.contains(part)) || SECRET_NAMES.contains(&name.as_str()) {
            let end = tail.find(['&', ';', '/', '?', '#', ',']).unwrap_or(tail.len());
            shown.push_str(if end > 0 { HIDDEN } else { "" });
            rest = &tail[end..];
        }
    }
    shown.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_and_secret_parameters_are_hidden_in_whatever_form_they_come() {
        for (text, wanted) in [
            ("rtsp://admin:Hunter2secret@10.0.0.2:554/1", "rtsp://***@10.0.0.2:554/1"),
            ("http://admin:Hunter2@[fe80::1]:80/a.mjpg #12", "http://***@[fe80::1]:80/a.mjpg #12"),
            ("rtsp://a:p@ss@cam/1", "rtsp://***@cam/1"),
            ("rtsp://a:p/s?s#x@cam/1", "rtsp://***@cam/1"),
            ("rtsp://a:12/34@cam", "rtsp://***@cam"),
            ("rtsp://t0ken@cam/1", "rtsp://***@cam/1"),
            ("rtsp://admin:my secret", "rtsp://*** secret"),
            ("http://cam/snap.cgi?usr=u&pwd=geheim&ch=1", "http://cam/snap.cgi?usr=u&pwd=***&ch=1"),
            ("http://cam/a?Access_Token=abc#x", "http://cam/a?Access_Token=***#x"),
            ("rtsp://cam/user=admin_password=abc_channel=1.sdp?real", "rtsp://cam/user=admin_password=***?real"),
            ("a rtsp://u:p@a/ and \"http://u:p@b/\": c", "a rtsp://***@a/ and \"http://***@b/\": c"),
            ("http://cam:8080: refused, http://cam: refused", "http://cam:8080: refused, http://cam: refused"),
            ("http://cam/a@b?x=1", "http://cam/a@b?x=1"),
            ("http://[::1]/x, ://u:p@q, p@q = 1 and token=abc", "http://[::1]/x, ://u:p@q, p@q = 1 and token=abc"),
            ("", ""),
            ("://", "://"),
            ("x://", "x://"),
        ] {
            assert_eq!(redacted(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_another_program_says_of_an_address_hides_it_also_where_it_holds_spaces() {
        let address = Address::new("rtsp://admin:my \"secret@cam/1");
        assert_eq!(address.shown(), "rtsp://***@cam/1");
        assert_eq!(address.redact("rtsp://admin:my \"secret@cam/1: 401"), "rtsp://***@cam/1: 401");
        assert_eq!(address.redact("tcp://u:p@cam:554 timed out"), "tcp://***@cam:554 timed out");
        let path = Address::new("clips/a.mp4");
        assert_eq!((path.shown(), path.redact("clips/a.mp4: no")), ("clips/a.mp4", "clips/a.mp4: no".to_owned()));
    }
}

//! Where an HTTP server's redirect leads, for what sends requests itself: deliveries, which must stay POST, and cameras.

use ureq::http::Uri;

/// Where a redirect leads, and whether the login may go there too: only to the same host and port, or from its http to its https.
///
/// # Errors
/// It leads nowhere, or where it is not followed.
pub(crate) fn redirect(from: &Uri, location: &str) -> Result<(Uri, bool), String> {
    let scheme = from.scheme_str().unwrap_or("http");
    let authority = from.authority().map_or("", |a| a.as_str());
    let text = if location.is_empty() {
        return Err("a redirect without a Location".to_owned());
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.starts_with('?') {
        format!("{scheme}://{authority}{}{location}", from.path())
    } else if location.split_once("://").is_some_and(|(scheme, _)| scheme.bytes().all(|b| b.is_ascii_alphanumeric())) {
        location.to_owned()
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    let text = text.split('#').next().unwrap_or_default();
    let to: Uri = text.parse().map_err(|_| "a redirect to an invalid URL".to_owned())?;
    let (was_tls, is_tls) = (scheme == "https", to.scheme_str() == Some("https"));
    if !is_tls && to.scheme_str() != Some("http") {
        return Err("a redirect to something else than http or https".to_owned());
    }
    if was_tls && !is_tls {
        return Err("it redirects from https to http, which is not followed: configure an https address".to_owned());
    }
    let port = |url: &Uri, tls: bool| url.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let (from_port, to_port) = (port(from, was_tls), port(&to, is_tls));
    let same_host = from.host().zip(to.host()).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
    let same_place = was_tls == is_tls && from_port == to_port;
    let upgraded = !was_tls && is_tls && from_port == 80 && to_port == 443;
    Ok((to, same_host && (same_place || upgraded)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_follows_from_http_to_https_of_the_same_host_and_nothing_goes_the_other_way() {
        for (from, location, to, keeps) in [
            ("http://h/a/b", "https://h/a/b", "https://h/a/b", true),
            ("http://h/a/b", "https://h:8443/a/b", "https://h:8443/a/b", false),
            ("http://h/a/b", "https://other/a", "https://other/a", false),
            ("https://h/a/b", "//H/c#d", "https://H/c", true),
            ("https://h/a/b", "c", "https://h/a/c", true),
            ("https://h/a/b", "?x=1", "https://h/a/b?x=1", true),
            ("https://h/a/b", "/login?next=http://h/a/b", "https://h/login?next=http://h/a/b", true),
        ] {
            assert_eq!(
                redirect(&from.parse().unwrap(), location),
                Ok((to.parse().unwrap(), keeps)),
                "{from} {location}"
            );
        }
        for location in ["http://h/a", "ftp://h/a", "", "https://"] {
            assert!(redirect(&"https://h/a".parse().unwrap(), location).is_err(), "{location:?}");
        }
    }
}

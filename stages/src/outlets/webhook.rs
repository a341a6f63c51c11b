//! Deliveries as HTTP POST requests with a JSON body.

use std::time::Duration;

use anyhow::anyhow;

use super::{Delivery, Failed, Outlet};

/// A URL that takes POST requests.
pub struct Webhook {
    url: String,
    agent: ureq::Agent,
    token: Option<String>,
}

impl Webhook {
    /// For `url`; `token` goes into the `Authorization` header. A server that takes longer than `patience` is tried again later.
    ///
    /// # Errors
    /// If it is no HTTP URL.
    pub fn new(url: &str, token: Option<String>, patience: Duration) -> Result<Webhook, String> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(format!("{url:?} is no webhook: it begins with neither http:// nor https://"));
        }
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(patience))
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        Ok(Webhook { url: url.to_owned(), agent: config.into(), token })
    }
}

impl Outlet for Webhook {
    fn name(&self) -> String {
        // Whatever stands behind the host may be a secret.
        let host = self.url.split('/').nth(2).unwrap_or_default();
        format!("webhook at {host}")
    }

    fn deliver(&mut self, delivery: &Delivery) -> Result<(), Failed> {
        let mut request = self.agent.post(&self.url).header("Content-Type", "application/json");
        // The same id comes with each try: whoever has it already may pass it over.
        request = request.header("Idempotency-Key", &delivery.id);
        if let Some(token) = &self.token {
            request = request.header("Authorization", &format!("Bearer {token}"));
        }
        let response = request.send(delivery.body.to_string()).map_err(|e| Failed::ForNow(anyhow!("{e}")))?;
        match response.status().as_u16() {
            200..=299 => Ok(()),
            status @ (408 | 425 | 429 | 500..=599) => Err(Failed::ForNow(anyhow!("it answers {status}"))),
            status => Err(Failed::ForGood(anyhow!("it answers {status}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_server_s_answer_decides_whether_it_is_tried_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook?secret=1", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for status in ["503 Busy", "404 Gone", "204 Done"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut text = Vec::new();
                let mut block = [0; 4096];
                while !String::from_utf8_lossy(&text).contains("\"a\":1}") {
                    let n = stream.read(&mut block).unwrap();
                    text.extend_from_slice(&block[..n]);
                }
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).unwrap();
                requests.push(String::from_utf8(text).unwrap());
            }
            requests
        });
        let mut webhook = Webhook::new(&url, Some("t0ken".to_owned()), Duration::from_secs(20)).unwrap();
        assert!(!webhook.name().contains("secret"));
        let delivery = Delivery { id: "x1".into(), text: String::new(), body: serde_json::json!({"a": 1}) };
        assert!(matches!(webhook.deliver(&delivery), Err(Failed::ForNow(_))));
        assert!(matches!(webhook.deliver(&delivery), Err(Failed::ForGood(_))));
        assert!(webhook.deliver(&delivery).is_ok());
        for request in server.join().unwrap() {
            let lower = request.to_lowercase();
            assert!(lower.contains("idempotency-key: x1") && lower.contains("bearer t0ken"), "{request}");
        }
        assert!(matches!(webhook.deliver(&delivery), Err(Failed::ForNow(_))), "nobody listens any more");
        assert!(Webhook::new("ftp://x", None, Duration::MAX).is_err());
    }
}

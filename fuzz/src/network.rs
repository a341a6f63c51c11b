//! Targets whose parsers read from a connection: the bytes are what the other side says.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use nearfield_stages::mqtt::{ConnectOptions, Connection, Version};
use nearfield_stages::outlets::webhook::Webhook;
use nearfield_stages::outlets::{Delivery, Outlet};
use nearfield_stages::remote::{Remote, RemoteOptions, Request, When};
use serde_json::json;

use crate::check;

/// Answers one connection with these bytes, and reads what else comes until the other side is done.
fn say(bytes: &[u8], listener: &TcpListener) {
    let Ok((mut stream, _)) = listener.accept() else { return };
    let mut block = [0; 4096];
    let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
    let _ = stream.read(&mut block);
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    while matches!(stream.read(&mut block), Ok(1..)) {}
}

fn against(bytes: &[u8], client: impl FnOnce(u16)) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("this machine has a loopback");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::scope(|scope| {
        scope.spawn(|| say(bytes, &listener));
        client(port);
        // Where the client did not come, somebody must.
        drop(TcpStream::connect(("127.0.0.1", port)));
    });
}

/// What a broker says.
pub fn mqtt(bytes: &[u8]) {
    let (version, bytes) = match bytes.split_first() {
        Some((first, rest)) if first % 2 == 0 => (Version::V5, rest),
        Some((_, rest)) => (Version::V3, rest),
        None => return,
    };
    against(bytes, |port| {
        let options = ConnectOptions {
            url: format!("mqtt://127.0.0.1:{port}/f/#").parse().expect("a broker's URL"),
            version,
            client_id: "fuzz".to_owned(),
            login: None,
            ca_file: None,
            keep_session: true,
            keep_alive: Duration::from_secs(30),
        };
        let Some(mut connection) = check(Connection::open(&options)) else { return };
        if check(connection.set_read_timeout(Duration::from_millis(50))).is_none() {
            return;
        }
        if check(connection.subscribe(&["f/#".to_owned()], &mut |_| {})).is_none() {
            return;
        }
        while let Some(Some(message)) = check(connection.message()) {
            assert!(message.payload.len() <= 2048);
        }
    });
}

/// What a webhook answers.
pub fn http(bytes: &[u8]) {
    against(bytes, |port| {
        let url = format!("http://127.0.0.1:{port}/hook");
        let mut webhook = Webhook::new(&url, None, Duration::from_millis(400)).expect("a webhook's URL");
        let delivery = Delivery { id: "1".to_owned(), text: "Hello.".to_owned(), body: json!({"text": "Hello."}) };
        let _ = webhook.deliver(&delivery);
    });
}

/// What an endpoint with a language model answers.
pub fn remote(bytes: &[u8]) {
    against(bytes, |port| {
        let options = RemoteOptions {
            url: format!("http://127.0.0.1:{port}/v1"),
            key_file: None,
            model: "m".to_owned(),
            when: When::Always,
            timeout: Duration::from_millis(400),
        };
        let mut remote = Remote::new(options).expect("an endpoint's URL");
        let messages = [json!({"role": "user", "content": "Hello."})];
        let mut heard = 0;
        let answer = remote.complete(&mut Request {
            messages: &messages,
            tools: &[],
            max_tokens: 16,
            is_wanted: &|| true,
            sink: &mut |text| heard += text.len(),
        });
        if let Some(answer) = check(answer) {
            assert!(answer.text.len() <= bytes.len() && heard == answer.text.len(), "{answer:?}");
        }
    });
}

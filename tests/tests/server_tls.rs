//! `nearfield run` with a certificate, and with sockets that systemd has opened.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nearfield_tests::service::Service;
use nearfield_tests::{nearfield, run, wait_for};
use serde_json::json;
use tempfile::TempDir;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Writes a certificate for this machine and its key, and gives back the certificate.
fn certify(folder: &Path) -> String {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.pem()
}

/// A client that trusts this certificate and no other.
fn trusting(certificate: &str) -> ureq::Agent {
    let certificate = Certificate::from_pem(certificate.as_bytes()).unwrap().to_owned();
    let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[certificate])).build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .into()
}

fn sets(folder: &Path) -> [String; 2] {
    ["cert", "key"].map(|file| {
        let key = if file == "cert" { "tls_certificate" } else { "tls_key" };
        format!("server.{key}={}", folder.join(format!("{file}.pem")).display())
    })
}

#[test]
fn a_certificate_encrypts_what_is_asked_and_answered_and_may_be_renewed() {
    let folder = TempDir::new().unwrap();
    let certificate = certify(folder.path());
    let [cert, key] = sets(folder.path());
    let service = Service::start(&["--set", &cert, "--set", &key]);
    let url = |path: &str| format!("https://{}{path}", service.http);
    let asked = json!({"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 8, "stream": true});
    let agent = trusting(&certificate);
    let mut answer =
        agent.post(url("/v1/chat/completions")).content_type("application/json").send(asked.to_string()).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    assert!(answer.status() == 200 && text.ends_with("data: [DONE]\n\n"), "{text}");
    let ps = run(&["ps", "--pid", &service.child.id().to_string()]);
    assert!(ps.stdout.contains(&format!("on https://{}, ", service.http)), "{} {}", ps.stdout, ps.stderr);
    // Who forgets the s is told.
    let plain = service.get("/healthz");
    assert!(plain.status == 400 && plain.body.contains("https://"), "{} {}", plain.head, plain.body);
    let long = service.post("/v1/chat/completions", &json!({"messages": "long ".repeat(40_000)}));
    assert!(long.status == 400 && long.body.contains("https://"), "{} {}", long.head, long.body);
    // One that begins and goes away, and one that sends something else, harm nobody.
    drop(service.connect());
    service.connect().write_all(b"\x16\x03\x01\x00\x05hello").unwrap();
    // Half a renewal keeps the old certificate; a whole one is in use at once.
    fs::write(folder.path().join("cert.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    assert_eq!(trusting(&certificate).get(url("/healthz")).call().unwrap().status(), 200);
    let renewed = certify(folder.path());
    assert!(wait_for(Duration::from_secs(5), || trusting(&renewed).get(url("/healthz")).call().is_ok()));
    assert!(trusting(&certificate).get(url("/healthz")).call().is_err());
}

#[test]
fn a_connection_too_many_gets_no_plain_text_into_its_key_exchange() {
    let folder = TempDir::new().unwrap();
    certify(folder.path());
    let [cert, key] = sets(folder.path());
    let service = Service::start(&["--set", &cert, "--set", &key, "--set", "server.connections=1"]);
    let _first = service.connect();
    let mut told = Vec::new();
    let _ = service.connect().read_to_end(&mut told);
    assert!(told.is_empty(), "{}", String::from_utf8_lossy(&told));
}

#[test]
fn certificates_and_keys_that_will_not_do_are_named_at_the_start() {
    let folder = TempDir::new().unwrap();
    certify(folder.path());
    let [cert, key] = sets(folder.path());
    let other = TempDir::new().unwrap();
    certify(other.path());
    let [_, other_key] = sets(other.path());
    let swapped = format!("server.tls_key={}", folder.path().join("cert.pem").display());
    let empty = other.path().join("empty.pem");
    fs::write(&empty, "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n").unwrap();
    let empty = format!("server.tls_key={}", empty.display());
    for (sets, what) in [
        (vec![&cert], "server.tls_key is not"),
        (vec![&key], "server.tls_certificate is not"),
        (vec![&cert, &other_key], "does not belong"),
        (vec![&cert, &empty], "can't be used with"),
        (vec![&cert, &swapped], "holds no private key"),
        (vec![&key, &"server.tls_certificate=/nowhere.pem".to_owned()], "/nowhere.pem"),
    ] {
        let sets = sets.iter().flat_map(|set| ["--set", set.as_str()]);
        let ended = run(&["run", "--listen", "127.0.0.1:0"].into_iter().chain(sets).collect::<Vec<_>>());
        assert!(ended.code != 0 && ended.stderr.contains(what), "{what}: {}", ended.stderr);
    }
}

#[test]
fn sockets_that_systemd_has_opened_are_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let started = nearfield(&["run", "--listen", "127.0.0.1:1"]);
    let mut by = Command::new("sh");
    by.args(["-c", r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@""#, "sh"]);
    by.arg(started.get_program()).args(started.get_args());
    for (name, value) in started.get_envs() {
        match value {
            Some(value) => by.env(name, value),
            None => by.env_remove(name),
        };
    }
    by.stdin(Stdio::from(OwnedFd::from(listener)));
    let service = Service::start_by(by, &[]);
    assert_eq!(service.http, address);
    assert_eq!(service.get("/healthz").status, 200);
}

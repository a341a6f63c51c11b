//! A mosquitto of the test's own on loopback.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nearfield_stages::mqtt::{ConnectOptions, Connection, Version};

use crate::{skipped, wait_for};

/// The running broker; it ends with this value.
pub struct Broker {
    child: Child,
    config: PathBuf,
    program: PathBuf,
    pub port: u16,
}

impl Broker {
    /// With its files in `folder` and more lines of configuration; `None`, said aloud, where mosquitto is not installed.
    pub fn start(folder: &Path, extra: &str) -> Option<Broker> {
        let places = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto", "/usr/local/sbin/mosquitto"];
        let Some(program) = places.iter().map(PathBuf::from).find(|p| p.is_file()) else {
            skipped("mosquitto is not installed");
            return None;
        };
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = folder.join("mosquitto.conf");
        let text = format!(
            "listener {port} 127.0.0.1\npersistence true\npersistence_location {}/\nautosave_interval 1\n\
             autosave_on_changes false\nmax_inflight_messages 0\nmax_queued_messages 0\nmax_queued_bytes 0\nuser root\n{extra}\n",
            folder.display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Self::spawn(&program, &config, port);
        Some(Broker { child, config, program, port })
    }

    fn spawn(program: &Path, config: &Path, port: u16) -> Child {
        let mut command = Command::new(program);
        command.arg("-c").arg(config).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let up = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        assert!(wait_for(Duration::from_secs(20), up), "mosquitto does not listen on {port}");
        child
    }

    pub fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = Self::spawn(&self.program, &self.config, self.port);
    }

    /// What it has retained, by topic, once `enough` of it is there.
    pub fn retained(&self, enough: usize) -> BTreeMap<String, serde_json::Value> {
        let options = ConnectOptions {
            url: format!("mqtt://127.0.0.1:{}", self.port).parse().unwrap(),
            version: Version::V5,
            client_id: "test-reader".to_owned(),
            login: None,
            ca_file: None,
            keep_session: false,
            keep_alive: Duration::from_secs(60),
        };
        let mut connection = Connection::open(&options).unwrap();
        let mut found = BTreeMap::new();
        connection.subscribe(&["#".to_owned()], &mut |m| _ = found.insert(m.topic, m.payload)).unwrap();
        connection.set_read_timeout(Duration::from_millis(50)).unwrap();
        let begun = Instant::now();
        while found.len() < enough && begun.elapsed() < Duration::from_secs(10) {
            while let Some(m) = connection.message().unwrap() {
                found.insert(m.topic, m.payload);
            }
            connection.receive().unwrap();
        }
        // A plain word, as `online`, stands as a text.
        let value = |payload: &[u8]| {
            serde_json::from_slice(payload).unwrap_or_else(|_| String::from_utf8_lossy(payload).into_owned().into())
        };
        found.into_iter().map(|(topic, payload)| (topic, value(&payload))).collect()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

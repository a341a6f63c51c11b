//! Reports over MQTT against a real mosquitto on loopback: throughput, and what is left after the program and the broker were killed
//! at random moments. Skipped, visibly, where mosquitto is not installed (`apt-get install mosquitto`).
//!
//! As long as issue 6 asks for:
//! `NEARFIELD_KILLS=50 NEARFIELD_MESSAGES=600000 cargo test --release --workspace --test report_mqtt -- --nocapture --test-threads 1`
//! (`NEARFIELD_RATE` is how many messages a second come while things are killed, 4000 unless said otherwise.)

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nearfield_stages::mqtt::{ConnectOptions, Connection, MqttUrl, Version};
use nearfield_tests::broker::Broker;
use nearfield_tests::{arg, nearfield, run, skipped, wait_for};
use serde_json::Value;

/// 2026-11-20 in milliseconds.
const START_MS: i64 = 1_795_132_800_000;
/// Event time between two messages.
const STEP_MS: i64 = 20;
/// Messages in a window of a minute.
const PER_WINDOW: i64 = 60_000 / STEP_MS;

fn number_from(name: &str, otherwise: i64) -> i64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(otherwise)
}

/// The program, reporting minutes; its lines are appended to one file through all restarts.
struct Reporter {
    child: Child,
    args: Vec<String>,
    out: PathBuf,
}

impl Reporter {
    fn start(folder: &Path, port: u16, version: &str) -> Reporter {
        Self::start_with(folder, &format!("mqtt://127.0.0.1:{port}/test/#"), version, &[])
    }

    fn start_with(folder: &Path, input: &str, version: &str, more: &[&str]) -> Reporter {
        let store = format!("store.file={}", arg(&folder.join("report.sqlite")));
        let version = format!("mqtt.version={version}");
        let args = ["report", "--input", input, "--json", "--window", "1m", "--set", "llm.model=none", "--set", &store];
        let set = ["--set", "window.zone=UTC", "--set", "window.lateness_s=600", "--set", &version];
        let args: Vec<String> = args.iter().chain(&set).chain(more).map(|a| (*a).to_owned()).collect();
        let out = folder.join("out.jsonl");
        let child = Self::spawn(&args, &out);
        Reporter { child, args, out }
    }

    fn spawn(args: &[String], out: &Path) -> Child {
        let stdout = OpenOptions::new().create(true).append(true).open(out).unwrap();
        let stderr = OpenOptions::new().create(true).append(true).open(out.with_extension("log")).unwrap();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        nearfield(&args).stdout(stdout).stderr(stderr).spawn().unwrap()
    }

    fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = Self::spawn(&self.args, &self.out);
    }

    /// What was reported: start of the window in milliseconds to (readings, sum). A window that was told twice must have been
    /// told alike.
    fn windows(&self) -> BTreeMap<i64, (u64, f64)> {
        let mut found = BTreeMap::new();
        for line in std::fs::read_to_string(&self.out).unwrap().lines() {
            // A kill may have cut a line off; its window is told again.
            let Ok(window) = serde_json::from_str::<Value>(line) else { continue };
            let start: jiff_free::Ms = jiff_free::parse(window["window"]["start"].as_str().unwrap());
            let row = &window["table"]["sensors"][0];
            let count = row["count"].as_u64().unwrap_or(0);
            let sum = row["mean"].as_f64().unwrap_or(0.0) * count as f64;
            let before = found.insert(start, (count, sum));
            assert!(before.is_none_or(|b: (u64, f64)| b.0 == count), "{start} was told as {before:?} and as {count}");
        }
        found
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Times as the program prints them, without a calendar of our own: all lie on the first days after the start.
mod jiff_free {
    pub type Ms = i64;

    pub fn parse(text: &str) -> Ms {
        let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
        assert!(text.starts_with("2026-11-2") && text.ends_with("+00:00"), "{text}");
        let seconds = ((number(8..10) - 20) * 24 + number(11..13)) * 3600 + number(14..16) * 60 + number(17..19);
        super::START_MS + seconds * 1000
    }
}

/// Sends messages; after the broker was killed, it can't know which of the last ones the broker had passed on, and sends them again.
struct Sender {
    connection: Option<Connection>,
    port: u16,
    next: i64,
    unacknowledged: usize,
}

impl Sender {
    fn connect(&mut self) -> bool {
        let options = ConnectOptions {
            url: format!("mqtt://127.0.0.1:{}", self.port).parse::<MqttUrl>().unwrap(),
            version: Version::V3,
            client_id: "test-sender".to_owned(),
            login: None,
            ca_file: None,
            keep_session: false,
            keep_alive: Duration::from_secs(60),
        };
        self.unacknowledged = 0;
        self.connection = Connection::open(&options).ok();
        if let Some(connection) = &mut self.connection {
            connection.set_read_timeout(Duration::from_millis(2)).unwrap();
        }
        self.connection.is_some()
    }

    /// Sends up to `until`, some hundred under way at once; answers whether the line held.
    fn send(&mut self, until: i64) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        while self.next < until || self.unacknowledged > 0 {
            while self.next < until && self.unacknowledged < 500 {
                let payload = format!("{{\"ts\":{},\"value\":{}}}", START_MS + self.next * STEP_MS, value(self.next));
                connection.publish_ahead("test/a", payload.as_bytes(), false);
                self.next += 1;
                self.unacknowledged += 1;
            }
            if connection.flush().is_err() || connection.receive().is_err() {
                return false;
            }
            loop {
                match connection.acknowledged() {
                    Ok(Some(_)) => self.unacknowledged -= 1,
                    Ok(None) => break,
                    Err(_) => return false,
                }
            }
        }
        true
    }
}

fn value(n: i64) -> i64 {
    n * 7 % 1000
}

fn expected(messages: i64) -> BTreeMap<i64, (u64, f64)> {
    let mut windows = BTreeMap::new();
    for n in 0..messages {
        let start = START_MS + n / PER_WINDOW * 60_000;
        let window = windows.entry(start).or_insert((0, 0.0));
        window.0 += 1;
        window.1 += value(n) as f64;
    }
    windows
}

/// Messages far ahead, which close everything before them.
fn closing(messages: i64) -> std::ops::Range<i64> {
    let first = (messages / PER_WINDOW + 12) * PER_WINDOW;
    first..first + 2
}

fn assert_whole(reporter: &Reporter, messages: i64, limit: Duration) {
    let wanted = expected(messages);
    let done = || wanted.keys().all(|start| reporter.windows().contains_key(start));
    let all = wait_for(limit, done);
    let found = reporter.windows();
    let log = std::fs::read_to_string(reporter.out.with_extension("log")).unwrap_or_default();
    let tail = &log[log.len().saturating_sub(2000)..];
    assert!(all, "{} of {} windows were told\n{tail}", found.len(), wanted.len());
    for (start, (count, sum)) in &wanted {
        let (n, s) = found[start];
        assert_eq!(n, *count, "the window at {start} has {n} readings of {count}");
        assert!((s - sum).abs() < 0.5, "the window at {start} sums to {s}, not {sum}");
    }
}

/// A sender on a thread of its own, which never pauses: `rate` messages a second, whatever is killed meanwhile.
struct Stream {
    over: Arc<AtomicBool>,
    sending: JoinHandle<(i64, f64)>,
}

impl Stream {
    fn start(port: u16, rate: i64) -> Stream {
        let over = Arc::new(AtomicBool::new(false));
        let told = over.clone();
        let sending = std::thread::spawn(move || {
            let mut sender = Sender { connection: None, port, next: 0, unacknowledged: 0 };
            let begun = Instant::now();
            let (mut most, mut again, mut ever, mut sent) = (0, 0, false, 0);
            while !told.load(Ordering::Relaxed) {
                if sender.connection.is_none() {
                    if !sender.connect() {
                        std::thread::sleep(Duration::from_millis(10));
                        continue;
                    }
                    if std::mem::replace(&mut ever, true) {
                        // What the broker held in memory alone is gone with it, up to a second and what saving it takes: a
                        // sender that must be sure sends it again.
                        let back = (2 * rate + 500).min(sender.next);
                        sender.next -= back;
                        again += back;
                    }
                }
                // What is sent again comes on top of the rate.
                let due = (begun.elapsed().as_secs_f64() * rate as f64) as i64 + again - sent;
                let from = sender.next;
                if due <= 0 {
                    std::thread::sleep(Duration::from_millis(2));
                } else if !sender.send(from + due.min(500)) {
                    sender.connection = None;
                }
                sent += sender.next - from;
                most = most.max(sender.next);
            }
            (most, sent as f64 / begun.elapsed().as_secs_f64())
        });
        Stream { over, sending }
    }

    /// Ends it: how many different messages there were, and how many a second with those sent again.
    fn end(self) -> (i64, f64) {
        self.over.store(true, Ordering::Relaxed);
        self.sending.join().unwrap()
    }
}

#[test]
fn kills_of_the_program_and_the_broker_lose_nothing_and_double_nothing() {
    let kills = number_from("NEARFIELD_KILLS", 4);
    let folder = tempfile::tempdir().unwrap();
    let Some(mut broker) = Broker::start(folder.path(), "allow_anonymous true") else { return };
    let mut reporter = Reporter::start(folder.path(), broker.port, "5");
    // The broker keeps messages for us from the first subscription on, once it has stored that it should.
    let subscribed = || std::fs::metadata(folder.path().join("report.sqlite")).is_ok();
    assert!(wait_for(Duration::from_secs(20), subscribed));
    std::thread::sleep(Duration::from_millis(3000));
    let stream = Stream::start(broker.port, number_from("NEARFIELD_RATE", 4000));
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut random = move |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % n
    };
    let mut killed = [0, 0];
    for _ in 0..kills {
        // Messages are under way all the time, and what was killed may still be coming back.
        std::thread::sleep(Duration::from_millis(50 + random(3000)));
        if random(2) == 0 {
            killed[0] += 1;
            reporter.kill_and_restart();
        } else {
            killed[1] += 1;
            broker.kill_and_restart();
        }
    }
    std::thread::sleep(Duration::from_millis(500));
    let (most, rate) = stream.end();
    // The last of them once more, by somebody who waits for every acknowledgement.
    let mut sender = Sender { connection: None, port: broker.port, next: (most - 20_000).max(0), unacknowledged: 0 };
    assert!(sender.connect());
    let messages = most + 3000;
    assert!(sender.send(messages));
    sender.next = closing(messages).start;
    assert!(sender.send(closing(messages).end));
    assert_whole(&reporter, messages, Duration::from_secs(120));
    let _ = writeln!(
        std::io::stderr(),
        "{messages} messages and their repetitions at {rate:.0} a second, the program killed {} times and the broker {} times: none missing, none twice",
        killed[0],
        killed[1]
    );
}

#[test]
fn messages_are_taken_acknowledged_and_stored_as_fast_as_they_come() {
    let messages = number_from("NEARFIELD_MESSAGES", 20_000);
    for version in ["3.1.1", "5"] {
        let folder = tempfile::tempdir().unwrap();
        let Some(broker) = Broker::start(folder.path(), "allow_anonymous true") else { return };
        let reporter = Reporter::start(folder.path(), broker.port, version);
        std::thread::sleep(Duration::from_millis(1500));
        let mut sender = Sender { connection: None, port: broker.port, next: 0, unacknowledged: 0 };
        assert!(sender.connect());
        let begun = Instant::now();
        assert!(sender.send(messages));
        let sent = begun.elapsed();
        sender.next = closing(messages).start;
        assert!(sender.send(closing(messages).end));
        assert_whole(&reporter, messages, Duration::from_secs(60));
        let all = begun.elapsed();
        let rate = |t: Duration| messages as f64 / t.as_secs_f64();
        let _ = writeln!(
            std::io::stderr(),
            "MQTT {version}: {messages} messages at QoS 1, sent at {:.0} a second, stored, acknowledged and reported at {:.0}",
            rate(sent),
            rate(all)
        );
    }
}

/// Now, in seconds since 1970.
fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Issue 15, fault 2: clocks an hour ahead, a minute behind and none at all beside a good one, and a kill in between.
#[test]
fn no_sensor_s_clock_costs_another_sensor_or_itself_a_reading_and_each_wrong_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let Some(broker) = Broker::start(folder.path(), "allow_anonymous true") else { return };
    let input = format!("mqtt://127.0.0.1:{}/f/#", broker.port);
    let store = format!("store.file={}", arg(&folder.path().join("report.redb")));
    let set = ["llm.model=none", "window.zone=UTC", "window.lateness_s=3", &store];
    let mut args = vec!["report", "--input", &input, "--json", "--window", "5s"];
    set.iter().for_each(|s| args.extend(["--set", s]));
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    let out = folder.path().join("out.jsonl");
    let mut reporter = Reporter { child: Reporter::spawn(&args, &out), args, out };
    std::thread::sleep(Duration::from_millis(2500));
    let options = ConnectOptions {
        url: format!("mqtt://127.0.0.1:{}", broker.port).parse::<MqttUrl>().unwrap(),
        version: Version::V5,
        client_id: "test-clocks".to_owned(),
        login: None,
        ca_file: None,
        keep_session: false,
        keep_alive: Duration::from_secs(60),
    };
    let mut connection = Connection::open(&options).unwrap();
    let mut sent: BTreeMap<&str, u64> = BTreeMap::new();
    let mut send = |sensor: &'static str, stamp: f64, value: u64| {
        let payload = format!("{{\"temperature\":{value},\"timestamp\":{stamp:.3}}}");
        connection.publish(&format!("f/{sensor}"), payload.as_bytes(), false, &mut |_| {}).unwrap();
        *sent.entry(sensor).or_default() += 1;
    };
    let begun = Instant::now();
    for step in 0..110u64 {
        std::thread::sleep(Duration::from_millis(250).saturating_mul(step as u32 + 1).saturating_sub(begun.elapsed()));
        send("good", now(), step);
        if step % 2 == 0 {
            send("slow", now() - 60.0, step);
        }
        if step % 20 == 5 {
            send("fast", now() + 3600.0, step);
        }
        if step % 20 == 10 {
            send("bare", 12.0 + step as f64, step);
        }
        if step == 70 {
            reporter.kill_and_restart();
        }
    }
    let last = now();
    let windows = || -> BTreeMap<String, Value> {
        let text = std::fs::read_to_string(&reporter.out).unwrap();
        let told = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        told.map(|w| (w["window"]["start"].as_str().unwrap().to_owned(), w)).collect()
    };
    let over = |w: &Value| w["window"]["end"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second() as f64;
    let log = || std::fs::read_to_string(reporter.out.with_extension("log")).unwrap_or_default();
    assert!(wait_for(Duration::from_secs(20), || windows().values().any(|w| over(w) > last)), "{}", log());
    let windows: Vec<Value> = windows().into_values().filter(|w| over(w) - 5.0 <= last).collect();
    let count = |w: &Value, sensor: &str| -> u64 {
        let rows = w["table"]["sensors"].as_array().unwrap();
        let name = format!("{sensor} temperature");
        rows.iter().filter(|r| r["sensor"] == name.as_str()).map(|r| r["count"].as_u64().unwrap()).sum()
    };
    assert!(windows.len() <= 8, "{} windows in 28 seconds", windows.len());
    assert!(windows.iter().all(|w| count(w, "good") > 0), "a window without the good sensor is false");
    for (sensor, n) in &sent {
        let used: u64 = windows.iter().map(|w| count(w, sensor)).sum();
        // What has no time of its own may count twice when it comes twice.
        let right = if *sensor == "bare" { used >= *n } else { used == *n };
        assert!(right, "{used} of {n} readings of {sensor}: {windows:#?}\n{}", log());
    }
    let named = |sensor: &str, fault: &str| -> u64 {
        let clocks = windows.iter().flat_map(|w| w["clocks"].as_array().unwrap().clone());
        let name = format!("{sensor} temperature");
        clocks
            .filter(|c| c["sensor"] == name.as_str() && c["fault"] == fault)
            .map(|c| c["readings"].as_u64().unwrap())
            .sum()
    };
    // What was found since the last window is not known any more after a kill; the readings are.
    for (sensor, fault) in [("fast", "ahead"), ("bare", "no_clock"), ("slow", "behind")] {
        assert!(named(sensor, fault) > sent[sensor] / 2, "{sensor}: {} of {}", named(sensor, fault), sent[sensor]);
    }
    assert_eq!(named("good", "ahead") + named("good", "behind"), 0);
    assert_eq!(windows.iter().map(|w| w["unused"]["late"].as_u64().unwrap()).sum::<u64>(), 0);
}

#[test]
fn a_broker_that_refuses_is_named_with_the_reason_and_the_way_out() {
    run(&["report", "--input", "mqtt://user:pw@localhost/x"]).assert_fails(2, &["mqtt.user"]);
    let folder = tempfile::tempdir().unwrap();
    let Some(broker) = Broker::start(folder.path(), "allow_anonymous false") else { return };
    let store = format!("store.file={}", arg(&folder.path().join("r.sqlite")));
    let input = format!("mqtt://127.0.0.1:{}/x", broker.port);
    for version in ["mqtt.version=3.1.1", "mqtt.version=5"] {
        run(&["report", "--input", &input, "--set", "llm.model=none", "--set", &store, "--set", version])
            .assert_fails(1, &["refuses", "mqtt.user"]);
    }
}

/// An authority and a certificate for localhost that it has signed; `None` without openssl.
fn certificates(folder: &Path) -> Option<()> {
    let openssl = |args: &str| {
        let ran = Command::new("openssl").args(args.split(' ')).current_dir(folder).output().ok()?;
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        Some(())
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"))?;
    openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"))?;
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names")
}

#[test]
fn tls_a_password_wildcards_paths_and_broken_messages_are_what_a_house_has() {
    for version in [Version::V3, Version::V5] {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let Some(()) = certificates(folder.path()) else { return skipped("openssl is not installed") };
        std::fs::write(place("password"), "correct horse\n").unwrap();
        let login = Command::new("mosquitto_passwd")
            .args(["-b", "-c", arg(&place("users")), "house", "correct horse"])
            .output();
        if !login.is_ok_and(|ran| ran.status.success()) {
            return skipped("mosquitto_passwd is not installed");
        }
        let extra = format!(
            "allow_anonymous false\npassword_file {}\ncafile {}\ncertfile {}\nkeyfile {}",
            arg(&place("users")),
            arg(&place("ca.pem")),
            arg(&place("server.pem")),
            arg(&place("server.key"))
        );
        let Some(broker) = Broker::start(folder.path(), &extra) else { return };
        let config = format!(
            "[mqtt]\nuser = \"house\"\npassword_file = {:?}\nca_file = {:?}\n[[mqtt.mappings]]\ntopic = \"z2m/+/climate\"\n\
             sensor = \"{{1}} temperature\"\nvalue = \"data[0].t\"\ntime = \"last_seen\"\nunit = \"°C\"\n",
            arg(&place("password")),
            arg(&place("ca.pem"))
        );
        std::fs::write(place("report.toml"), config).unwrap();
        let told = if version == Version::V3 { "3.1.1" } else { "5" };
        let input = format!("mqtts://localhost:{}/z2m/+/climate", broker.port);
        let reporter = Reporter::start_with(folder.path(), &input, told, &["--config", arg(&place("report.toml"))]);
        let log = || std::fs::read_to_string(reporter.out.with_extension("log")).unwrap_or_default();
        std::thread::sleep(Duration::from_millis(1500));
        let options = ConnectOptions {
            url: format!("mqtts://localhost:{}", broker.port).parse().unwrap(),
            version,
            client_id: "test-house".to_owned(),
            login: Some(("house".to_owned(), "correct horse".to_owned())),
            ca_file: Some(place("ca.pem")),
            keep_session: false,
            keep_alive: Duration::from_secs(60),
        };
        let mut connection = Connection::open(&options).unwrap();
        let mut send = |room: &str, text: &str| {
            connection.publish(&format!("z2m/{room}/climate"), text.as_bytes(), false, &mut |_| {}).unwrap();
        };
        let at = |time: &str, t: &str| format!("{{\"data\":[{{\"t\":{t}}}],\"last_seen\":\"2026-11-20T{time}Z\"}}");
        send("kitchen", &at("00:00:10", "21.5"));
        send("kitchen", &at("00:00:20", "\"22,5\""));
        send("hall", &at("00:00:20", "18"));
        send("hall", "{\"data\":");
        send("hall", &at("yesterday", "18"));
        send("hall", &at("00:00:30", "null"));
        // Two megabytes: to the reader of MQTT 5 the broker passes nothing over its limit, to that of 3.1.1 it does.
        send("hall", &at("00:00:40", &format!("\"{}\"", "9".repeat(2 << 20))));
        send("hall", &at("00:00:50", "20"));
        for minute in [20, 21] {
            send("hall", &at(&format!("00:{minute}:00"), "20"));
        }
        let lines = || -> Vec<Value> {
            let text = std::fs::read_to_string(&reporter.out).unwrap();
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
        };
        assert!(wait_for(Duration::from_secs(20), || !lines().is_empty()), "MQTT {told}: {}", log());
        let window = &lines()[0];
        let row = |name: &str| {
            let rows = window["table"]["sensors"].as_array().unwrap();
            rows.iter().find(|r| r["sensor"] == name).unwrap_or_else(|| panic!("no {name}: {window:#}")).clone()
        };
        let (kitchen, hall) = (row("kitchen temperature"), row("hall temperature"));
        assert_eq!((kitchen["mean"].as_f64(), kitchen["unit"].as_str()), (Some(22.0), Some("°C")));
        assert_eq!((hall["count"].as_u64(), hall["mean"].as_f64()), (Some(2), Some(19.0)));
        let rejected = &window["rejected"];
        let counts = ["malformed", "without_time", "not_a_number"].map(|key| rejected[key].as_u64().unwrap());
        assert_eq!(counts, [1, 1, 1], "{rejected}");
        assert_eq!(rejected["too_long"], if version == Version::V3 { 1 } else { 0 }, "{rejected}");
    }
}

#[test]
fn home_assistant_learns_of_the_report_and_gets_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(broker) = Broker::start(folder.path(), "allow_anonymous true") else { return };
    let outlet = format!("outlets.mqtt=mqtt://127.0.0.1:{}", broker.port);
    let spool = format!("outlets.spool={}", arg(folder.path()));
    let day = nearfield_tests::assets().join("telemetry/day.csv");
    let set = ["--set", "llm.model=none", "--set", "window.zone=UTC", "--set", &outlet, "--set", &spool];
    run(&[&["report", "--input", arg(&day), "--json"], &set[..]].concat()).assert_done();
    let found = broker.retained(2);
    let is_config =
        |topic: &&String| topic.starts_with("homeassistant/sensor/nearfield_") && topic.ends_with("/report/config");
    let config = &found[found.keys().find(is_config).unwrap_or_else(|| panic!("{found:#?}"))];
    let state = &found[config["state_topic"].as_str().unwrap()];
    assert!(state["text"].as_str().unwrap().contains("The hall humidity spiked to 91 %"), "{state:#}");
}

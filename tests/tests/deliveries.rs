//! Deliveries to other machines against real ones: a webhook that answers with each status, a kill behind a slow delivery, a
//! mosquitto that refuses single messages, two programs at one broker, and what is printed when nobody is there. Those with
//! mosquitto are skipped, visibly, where it is not installed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nearfield_stages::mqtt::{ConnectOptions, Connection, Version};
use nearfield_tests::broker::Broker;
use nearfield_tests::{arg, nearfield, run, wait_for};
use serde_json::{Value, json};

/// A request as it came.
#[derive(Clone, Debug)]
struct Request {
    head: String,
    body: Value,
}

impl Request {
    fn minute(&self) -> String {
        self.body["window"]["start"].as_str().unwrap()[..16].to_owned()
    }
}

/// A web server on loopback.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// `answer` gets the number of requests before this one, and gives the head of the answer, or nothing for ever.
    fn start(answer: impl Fn(usize, &Request) -> Option<String> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (requests, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let seen = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, answer) = (seen.clone(), answer.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &seen, &*answer));
            }
        });
        Server { address, requests }
    }

    fn always(head: &'static str) -> Server {
        Server::start(move |_, _| Some(head.to_owned()))
    }

    fn set(&self) -> String {
        format!("outlets.webhook=http://{}/hook", self.address)
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    fn minutes(&self) -> Vec<String> {
        self.requests().iter().map(Request::minute).collect()
    }
}

fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Request>>,
    answer: &(dyn Fn(usize, &Request) -> Option<String> + Send + Sync),
) {
    let (mut text, mut block) = (Vec::new(), [0; 65536]);
    let request = loop {
        let n = stream.read(&mut block).unwrap_or(0);
        if n == 0 {
            return;
        }
        text.extend_from_slice(&block[..n]);
        let whole = String::from_utf8_lossy(&text);
        let Some((head, body)) = whole.split_once("\r\n\r\n") else { continue };
        if let Ok(body) = serde_json::from_str(body) {
            break Request { head: head.to_owned(), body };
        }
    };
    let n = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    match answer(n, &request) {
        Some(head) => {
            let _ = write!(stream, "HTTP/1.1 {head}\r\nContent-Length: 3\r\nConnection: close\r\n\r\nwhy");
        }
        None => std::thread::sleep(Duration::from_secs(300)),
    }
}

/// So many windows of a minute, each with a reading, from this hour on.
fn readings(folder: &Path, hour: u32, windows: u32) -> PathBuf {
    let mut text = "time,hall\n".to_owned();
    for n in 0..windows {
        let _ = writeln!(text, "2026-11-20T{hour:02}:{n:02}:10Z,{}", 20 + n % 3);
    }
    let path = folder.join(format!("readings-{hour}.csv"));
    std::fs::write(&path, text).unwrap();
    path
}

fn minutes(hour: u32, windows: u32) -> Vec<String> {
    (0..windows).map(|n| format!("2026-11-20T{hour:02}:{n:02}")).collect()
}

/// The arguments of a report without a model on minutes, with its spool in `folder`.
fn report_args(folder: &Path, input: &str, sets: &[&str]) -> Vec<String> {
    let spool = format!("outlets.spool={}", arg(folder));
    let fixed = ["llm.model=none", "window.zone=UTC", spool.as_str()];
    let mut args: Vec<String> = ["report", "--input", input, "--json", "--window", "1m"].map(str::to_owned).to_vec();
    args.extend(fixed.iter().chain(sets).flat_map(|set| ["--set".to_owned(), (*set).to_owned()]));
    args
}

fn report(folder: &Path, input: &Path, sets: &[&str]) -> nearfield_tests::Ran {
    let args = report_args(folder, arg(input), sets);
    let ran = run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(ran.code, 0, "{ran:#?}");
    ran
}

/// Spooled messages in a folder, oldest first.
fn spooled(folder: &Path) -> Vec<Value> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .map(|entries| {
            entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "json")).collect()
        })
        .unwrap_or_default();
    files.sort();
    files.iter().map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).collect()
}

/// A program that runs until it is killed with this value.
struct Running {
    child: Child,
    folder: PathBuf,
}

impl Running {
    fn start(folder: &Path, data: Option<&Path>, args: &[String]) -> Running {
        let file = |name: &str| std::fs::OpenOptions::new().create(true).append(true).open(folder.join(name)).unwrap();
        let mut command = nearfield(&args.iter().map(String::as_str).collect::<Vec<_>>());
        if let Some(data) = data {
            command.env("NEARFIELD_DATA", data);
        }
        let child = command.stdout(file("out")).stderr(file("log")).spawn().unwrap();
        Running { child, folder: folder.to_owned() }
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn lines(&self) -> usize {
        std::fs::read_to_string(self.folder.join("out")).unwrap().lines().count()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

#[test]
fn a_webhook_that_refuses_as_a_whole_costs_no_report_whatever_its_status() {
    for (status, hint) in [
        ("401 Unauthorized", "outlets.webhook_token_file"),
        ("403 Forbidden", "outlets.webhook_token_file"),
        ("404 Not Found", "check the address in outlets.webhook"),
        ("405 Method Not Allowed", "check the address in outlets.webhook"),
        ("410 Gone", "check the address in outlets.webhook"),
        ("429 Slow Down\r\nRetry-After: 3600", "too many requests"),
        ("500 Oh", "answers 500"),
        ("301 Moved", "without a Location"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let refusing = Server::always(status);
        let ran = report(folder.path(), &readings(folder.path(), 1, 5), &[&refusing.set()]);
        assert_eq!(spooled(&folder.path().join("report-webhook")).len(), 5, "{status}: {ran:#?}");
        assert!(ran.stderr.contains(hint), "{status}: {}", ran.stderr);
        assert_eq!(ran.stderr.matches(hint).count(), 1, "{status}: {}", ran.stderr);
        assert!(ran.stderr.contains("5 undelivered messages left in"), "{status}: {}", ran.stderr);
        assert!(refusing.requests().len() < 5, "{status}: {}", refusing.requests().len());
        // The token is renewed, the address set right: all that waited goes first, in order.
        let good = Server::always("204 Done");
        report(folder.path(), &readings(folder.path(), 2, 2), &[&good.set()]);
        assert_eq!(good.minutes(), [minutes(1, 5), minutes(2, 2)].concat(), "{status}");
        assert_eq!(spooled(&folder.path().join("report-webhook")).len(), 0, "{status}");
    }
}

#[test]
fn a_report_that_a_webhook_refuses_for_itself_is_set_aside_with_the_reason_and_the_others_go_on() {
    for status in ["400 Bad Request", "413 Content Too Large", "415 Unsupported", "422 Unprocessable"] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(move |_, request| match request.minute().ends_with("01:02") {
            true => Some(status.to_owned()),
            false => Some("200 OK".to_owned()),
        });
        let ran = report(folder.path(), &readings(folder.path(), 1, 5), &[&server.set()]);
        assert_eq!(server.minutes(), minutes(1, 5), "each once and in order");
        let spool = folder.path().join("report-webhook");
        let refused = spooled(&spool.join("refused"));
        assert_eq!((spooled(&spool).len(), refused.len()), (0, 1), "{status}");
        assert!(refused[0]["body"]["window"]["start"].as_str().unwrap().contains("01:02"));
        let reason = refused[0]["refused"]["reason"].as_str().unwrap();
        assert!(reason.contains(&status[..3]) && reason.contains("why"), "{reason}");
        assert!(ran.stderr.contains("set aside") && ran.stderr.contains(&status[..3]), "{}", ran.stderr);
        // A person moves it back: it is delivered.
        let good = Server::always("200 OK");
        for file in std::fs::read_dir(spool.join("refused")).unwrap() {
            let file = file.unwrap();
            std::fs::rename(file.path(), spool.join(file.file_name())).unwrap();
        }
        report(folder.path(), &readings(folder.path(), 2, 1), &[&good.set()]);
        assert_eq!(good.minutes(), ["2026-11-20T01:02", "2026-11-20T02:00"]);
    }
}

#[test]
fn redirects_are_followed_with_the_whole_report() {
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "t0ken\n").unwrap();
        let other = Server::always("200 OK");
        let elsewhere = format!("http://{}/there", other.address);
        let server = Server::start(move |_, _| Some(format!("{status}\r\nLocation: {elsewhere}")));
        let token = format!("outlets.webhook_token_file={}", arg(&folder.path().join("token")));
        let ran = report(folder.path(), &readings(folder.path(), 1, 3), &[&server.set(), &token]);
        assert_eq!(other.minutes(), minutes(1, 3), "{status}: {ran:#?}");
        assert!(server.requests().iter().all(|r| r.head.contains("Bearer t0ken")));
        assert!(
            other.requests().iter().all(|r| r.head.starts_with("POST /there ") && !r.head.contains("t0ken")),
            "{status}"
        );
        assert_eq!(spooled(&folder.path().join("report-webhook")).len(), 0);
    }
}

#[test]
fn a_kill_behind_a_slow_delivery_loses_none_of_fifty_reports() {
    let folder = tempfile::tempdir().unwrap();
    let slow = Server::start(|_, _| None);
    let args = report_args(folder.path(), arg(&readings(folder.path(), 1, 50)), &[&slow.set()]);
    let mut running = Running::start(folder.path(), None, &args);
    assert!(wait_for(Duration::from_secs(60), || running.lines() == 50), "{}", running.log());
    // The last one is printed before it is stored: a moment.
    std::thread::sleep(Duration::from_millis(500));
    running.kill();
    assert_eq!(slow.requests().len(), 1, "the first is still on its way");
    let good = Server::always("200 OK");
    report(folder.path(), &readings(folder.path(), 2, 1), &[&good.set()]);
    assert_eq!(good.minutes(), [minutes(1, 50), minutes(2, 1)].concat());
}

/// A client of the test's own.
fn client(port: u16, id: &str, version: Version) -> Connection {
    let options = ConnectOptions {
        url: format!("mqtt://127.0.0.1:{port}").parse().unwrap(),
        version,
        client_id: id.to_owned(),
        login: None,
        ca_file: None,
        keep_session: false,
        keep_alive: Duration::from_secs(60),
    };
    Connection::open(&options).unwrap()
}

#[test]
fn kills_at_any_moment_of_a_live_report_behind_a_slow_delivery_lose_none_of_fifty_reports() {
    let folder = tempfile::tempdir().unwrap();
    let Some(broker) = Broker::start(folder.path(), "allow_anonymous true") else { return };
    let is_slow = Arc::new(AtomicBool::new(true));
    let slow = is_slow.clone();
    let server = Server::start(move |_, _| (!slow.load(Ordering::Relaxed)).then(|| "200 OK".to_owned()));
    let store = format!("store.file={}", arg(&folder.path().join("report.redb")));
    let input = format!("mqtt://127.0.0.1:{}/house/#", broker.port);
    let args = report_args(folder.path(), &input, &[&server.set(), &store, "outlets.webhook_timeout_s=60"]);
    let mut running = Running::start(folder.path(), None, &args);
    std::thread::sleep(Duration::from_millis(1500));
    let mut sender = client(broker.port, "sender", Version::V5);
    let mut send = |minute: u32| {
        let (hour, minute) = (1 + minute / 60, minute % 60);
        let text = format!("{{\"ts\":\"2026-11-20T{hour:02}:{minute:02}:10Z\",\"value\":20}}");
        sender.publish("house/hall", text.as_bytes(), false, &mut |_| {}).unwrap();
    };
    for portion in 0..5 {
        (portion * 10..portion * 10 + 10).for_each(&mut send);
        std::thread::sleep(Duration::from_millis(u64::from(portion) * 130 + 20));
        running.kill();
        running = Running::start(folder.path(), None, &args);
    }
    // What closes the last windows.
    (50..55).for_each(&mut send);
    std::thread::sleep(Duration::from_millis(1500));
    running.kill();
    is_slow.store(false, Ordering::Relaxed);
    let before = server.requests().len();
    let _running = Running::start(folder.path(), None, &args);
    let wanted: BTreeSet<String> = minutes(1, 50).into_iter().collect();
    let delivered = || server.minutes()[before..].iter().cloned().collect::<BTreeSet<_>>();
    wait_for(Duration::from_secs(60), || wanted.is_subset(&delivered()));
    let lost: Vec<_> = wanted.difference(&delivered()).cloned().collect();
    assert!(lost.is_empty(), "lost: {lost:?}\n{}", _running.log());
}

/// Checks all cases at the same time: what each takes is waiting.
fn at_once<T: Send>(cases: impl IntoIterator<Item = T>, check: impl Fn(T) + Sync) {
    let check = &check;
    std::thread::scope(|scope| cases.into_iter().for_each(|case| drop(scope.spawn(move || check(case)))));
}

/// Puts these bodies into the spool, as an earlier run would have left them.
fn prepare(spool: &Path, bodies: &[Value]) {
    std::fs::create_dir_all(spool).unwrap();
    for (n, body) in bodies.iter().enumerate() {
        let delivery = json!({"id": format!("report-{n}"), "text": format!("report {n}"), "body": body});
        std::fs::write(spool.join(format!("{n:020}.json")), delivery.to_string()).unwrap();
    }
}

/// Delivers three prepared reports, the middle one of 24 KB, and one of this run; answers what arrived at the broker, which
/// were refused with their reasons, and how many still wait.
fn through_broker(extra: &str, version: &str) -> Option<(Vec<u64>, Vec<Value>, usize, String)> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("acl"), "topic readwrite nearfield/#\n").unwrap();
    std::fs::write(folder.path().join("none"), "topic read #\n").unwrap();
    let extra = extra.replace("FOLDER", arg(folder.path()));
    let broker = Broker::start(folder.path(), &format!("allow_anonymous true\n{extra}"))?;
    let spool = folder.path().join("report-mqtt");
    prepare(&spool, &[json!({"n": 1}), json!({"n": 2, "long": "x".repeat(24 << 10)}), json!({"n": 3})]);
    let mut reader = client(broker.port, "test-reader", Version::V3);
    reader.subscribe(&["nearfield/#".to_owned()], &mut |_| {}).unwrap();
    let mqtt = format!("outlets.mqtt=mqtt://127.0.0.1:{}", broker.port);
    let ran = report(
        folder.path(),
        &readings(folder.path(), 1, 1),
        &[&mqtt, &format!("mqtt.version={version}"), "outlets.name=hut"],
    );
    let mut arrived = Vec::new();
    reader.set_read_timeout(Duration::from_millis(300)).unwrap();
    loop {
        while let Some(message) = reader.message().unwrap() {
            assert_eq!(message.topic, "nearfield/hut/report/state");
            let body: Value = serde_json::from_slice(&message.payload).unwrap();
            // The report of this run itself has no number.
            arrived.push(body["n"].as_u64().unwrap_or(4));
        }
        if !reader.receive().unwrap() {
            break;
        }
    }
    let refused = spooled(&spool.join("refused"));
    Some((arrived, refused, spooled(&spool).len(), ran.stderr))
}

#[test]
fn a_report_larger_than_the_broker_takes_is_set_aside_with_its_reason_and_the_rest_arrives_in_order() {
    // message_size_limit: MQTT 5 is told, 3.1.1 gets an acknowledgement and the message is dropped; without limits of its queues
    // (as this broker has them otherwise) mosquitto 2.0.11 disconnects too. max_packet_size: MQTT 5 is told when it connects, 3.1.1
    // is disconnected.
    let cases = [
        ("message_size_limit 10000", "5", "too large"),
        ("message_size_limit 10000", "3.1.1", "each time it gets this message"),
        ("max_queued_messages 1000\nmax_queued_bytes 10000000\nmessage_size_limit 10000", "5", "too large"),
        (
            "max_queued_messages 1000\nmax_queued_bytes 10000000\nmessage_size_limit 10000",
            "3.1.1",
            "did not pass it on",
        ),
        ("max_packet_size 10000", "5", "more than the 10000"),
        ("max_packet_size 10000", "3.1.1", "each time it gets this message"),
    ];
    at_once(cases, |(limit, version, words)| {
        let Some((arrived, refused, left, log)) = through_broker(limit, version) else { return };
        let mut once = arrived.clone();
        once.dedup();
        assert_eq!(once, [1, 3, 4], "{limit}, MQTT {version}: {arrived:?}\n{log}");
        assert_eq!((refused.len(), left), (1, 0), "{limit}, MQTT {version}\n{log}");
        assert_eq!(refused[0]["body"]["n"], 2);
        let reason = refused[0]["refused"]["reason"].as_str().unwrap();
        assert!(reason.contains(words), "{limit}, MQTT {version}: {reason}");
        assert!(log.contains("report-1 is set aside in") && log.contains(words), "{log}");
    });
}

#[test]
fn a_broker_whose_access_list_forbids_a_topic_loses_nothing_and_blocks_nothing() {
    at_once(["5", "3.1.1"], |version| {
        // The announcement is forbidden, the reports are not.
        let Some((arrived, refused, left, log)) = through_broker("acl_file FOLDER/acl", version) else { return };
        assert_eq!((arrived, refused.len(), left), (vec![1, 2, 3, 4], 0, 0), "MQTT {version}\n{log}");
        if version == "5" {
            assert!(log.contains("not authorized") && log.contains("outlets.discovery_prefix"), "{log}");
        }
        // Everything is forbidden: all are kept, with the reason.
        let Some((arrived, refused, left, log)) = through_broker("acl_file FOLDER/none", version) else { return };
        assert_eq!((arrived, refused.len(), left), (vec![], 4, 0), "MQTT {version}\n{log}");
        let words = if version == "5" { "not authorized" } else { "each time it gets this message" };
        assert!(refused.iter().all(|r| r["refused"]["reason"].as_str().unwrap().contains(words)), "{refused:#?}");
    });
}

/// A broker that logs who takes over whose session.
fn logging_broker(folder: &Path) -> Option<Broker> {
    let log = folder.join("broker.log");
    Broker::start(folder, &format!("allow_anonymous true\nlog_type all\nlog_dest file {}", arg(&log)))
}

fn takeovers(folder: &Path) -> usize {
    let log = std::fs::read_to_string(folder.join("broker.log")).unwrap();
    assert!(log.contains("connected"), "the broker's log is written: {log}");
    log.matches("already connected, closing old connection").count()
}

#[test]
fn two_programs_with_default_settings_at_one_broker_do_not_take_each_other_s_session() {
    at_once(["5", "3.1.1"], |version| {
        let folder = tempfile::tempdir().unwrap();
        let Some(broker) = logging_broker(folder.path()) else { return };
        let version = format!("mqtt.version={version}");
        let outlet = format!("outlets.mqtt=mqtt://127.0.0.1:{}", broker.port);
        let input = format!("mqtt://127.0.0.1:{}/house/#", broker.port);
        // Two machines (two data folders), and on the second one two flows (two stores).
        let programs: Vec<Running> = [("one", "one"), ("two", "two"), ("two", "three")]
            .iter()
            .map(|(data, place)| {
                let place = folder.path().join(place);
                std::fs::create_dir_all(&place).unwrap();
                let data = folder.path().join(data).join("data");
                std::fs::create_dir_all(&data).unwrap();
                // Messages that wait make the outlets connect.
                prepare(&place.join("report-mqtt"), &[json!({"n": 1})]);
                let store = format!("store.file={}", arg(&place.join("report.redb")));
                let args = report_args(&place, &input, &[&version, &outlet, &store]);
                Running::start(&place, Some(&data), &args)
            })
            .collect();
        std::thread::sleep(Duration::from_secs(20));
        for program in &programs {
            assert!(!program.log().contains("connection"), "{}", program.log());
        }
        assert_eq!(takeovers(folder.path()), 0);
        // And each machine has a sensor of its own in Home Assistant.
        let found = broker.retained(4);
        let sensors: Vec<_> = found.keys().filter(|t| t.ends_with("/report/config")).collect();
        assert_eq!(sensors.len(), 2, "{found:#?}");
        let ids: BTreeSet<_> = sensors.iter().map(|t| found[*t]["unique_id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), 2, "{found:#?}");
    });
}

#[test]
fn two_programs_with_the_same_client_id_slow_down_and_say_what_is_wrong() {
    at_once(["5", "3.1.1"], |version| {
        let folder = tempfile::tempdir().unwrap();
        let Some(broker) = logging_broker(folder.path()) else { return };
        let input = format!("mqtt://127.0.0.1:{}/house/#", broker.port);
        let set = format!("mqtt.version={version}");
        let programs: Vec<Running> = ["one", "two"]
            .iter()
            .map(|place| {
                let place = folder.path().join(place);
                std::fs::create_dir_all(&place).unwrap();
                let store = format!("store.file={}", arg(&place.join("report.redb")));
                Running::start(&place, None, &report_args(&place, &input, &[&set, &store, "mqtt.client_id=both"]))
            })
            .collect();
        std::thread::sleep(Duration::from_secs(20));
        let n = takeovers(folder.path());
        assert!((2..=20).contains(&n), "MQTT {version}: {n} times in 20 s");
        for program in &programs {
            let log = program.log();
            assert!(log.contains("another client uses the client id \"both\""), "MQTT {version}: {log}");
            assert!(log.lines().count() <= 3, "MQTT {version}: the same words again and again: {log}");
        }
    });
}

#[test]
fn an_unknown_broker_and_an_unknown_webhook_are_told_once_with_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens there once the listener is gone.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let cases = [
        (format!("127.0.0.1:{port}"), "nothing listens on port"),
        ("no-such-broker.invalid".to_owned(), "no address is known for the host \"no-such-broker.invalid\""),
    ];
    at_once(cases, |(host, words)| {
        let place = tempfile::tempdir().unwrap();
        let store = format!("store.file={}", arg(&place.path().join("report.redb")));
        let args = report_args(place.path(), &format!("mqtt://{host}/x"), &[&store]);
        let running = Running::start(place.path(), None, &args);
        let begun = Instant::now();
        assert!(wait_for(Duration::from_secs(30), || running.log().contains(words)), "{}", running.log());
        std::thread::sleep(Duration::from_secs(6).saturating_sub(begun.elapsed()));
        let log = running.log();
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains("retrying in") && log.contains("check th"), "{log}");
    });
    let input = readings(folder.path(), 1, 2);
    let ran = report(folder.path(), &input, &["outlets.webhook=http://no-such-host.invalid/x"]);
    assert_eq!(ran.stderr.matches("no address is known for the host").count(), 1, "{}", ran.stderr);
    let ran = report(folder.path(), &input, &[&format!("outlets.webhook=http://127.0.0.1:{port}/x")]);
    assert_eq!(ran.stderr.matches("nothing listens at http://127.0.0.1").count(), 1, "{}", ran.stderr);
    assert_eq!(spooled(&folder.path().join("report-webhook")).len(), 4);
}

#[test]
fn a_second_program_with_the_same_spool_is_told_to_use_another() {
    let folder = tempfile::tempdir().unwrap();
    let slow = Server::start(|_, _| None);
    let input = readings(folder.path(), 1, 2);
    let args = report_args(folder.path(), arg(&input), &[&slow.set(), "outlets.webhook_timeout_s=60"]);
    let running = Running::start(folder.path(), None, &args);
    assert!(wait_for(Duration::from_secs(30), || !slow.requests().is_empty()), "{}", running.log());
    let second: Vec<&str> = args.iter().map(String::as_str).collect();
    run(&second).assert_fails(1, &["another nearfield program", "outlets.spool"]);
}

#[test]
fn a_stop_signal_ends_a_program_with_many_undelivered_reports_soon_and_keeps_them() {
    let folder = tempfile::tempdir().unwrap();
    // Each delivery works, but takes long: one after the other they would take 40 s.
    let server = Server::start(|_, _| {
        std::thread::sleep(Duration::from_millis(800));
        Some("200 OK".to_owned())
    });
    let args = report_args(folder.path(), arg(&readings(folder.path(), 1, 50)), &[&server.set()]);
    let mut running = Running::start(folder.path(), None, &args);
    assert!(wait_for(Duration::from_secs(60), || running.lines() == 50 && !server.requests().is_empty()));
    std::thread::sleep(Duration::from_millis(500));
    let pid = running.child.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).stdout(Stdio::null()).status().unwrap();
    let begun = Instant::now();
    assert!(wait_for(Duration::from_secs(8), || running.child.try_wait().unwrap().is_some()), "{:?}", begun.elapsed());
    let left = spooled(&folder.path().join("report-webhook")).len();
    assert!(left > 40 && left + server.requests().len() >= 50, "{left} left, {} sent", server.requests().len());
    assert!(running.log().contains("undelivered messages left in"), "{}", running.log());
}

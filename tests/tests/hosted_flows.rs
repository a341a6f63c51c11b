//! Flows beside the server of `nearfield run`: they work at the same time, and one that fails leaves the others and the server alone.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nearfield_tests::{arg, assets, nearfield, run, wait_for};
use serde_json::Value;

struct Service {
    child: Child,
    http: String,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    fn start(config: &Path, fault: &str) -> Self {
        let mut command = nearfield(&["run", "--listen", "127.0.0.1:0", "--config", arg(config)]);
        command.env("NEARFIELD_FAULT", fault);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().expect("the address").unwrap();
        let http = line.split("http://").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, http }
    }

    fn get(&self, path: &str) -> Value {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.http).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let body = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text}")).1;
        serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    fn flow(&self, name: &str) -> Value {
        let flows = self.get("/flows");
        let found = flows["flows"].as_array().unwrap().iter().find(|flow| flow["name"] == name).cloned();
        found.unwrap_or_else(|| panic!("{name} is not in {flows}"))
    }
}

/// A voice that is asked by a recording, captions of the bundled pictures, and reports on a file.
fn configured(folder: &Path) -> std::path::PathBuf {
    let readings: String = (0..240)
        .map(|minute| format!("2026-01-01T{:02}:{:02}:00Z,{}\n", minute / 60, minute % 60, 20 + minute % 7))
        .collect();
    std::fs::write(folder.join("readings.csv"), format!("time,kitchen\n{readings}")).unwrap();
    let config = folder.join("nearfield.toml");
    let text = format!(
        "[home]\nfile = {:?}\n[[voice]]\nname = \"kitchen\"\ninput = {:?}\noutput = \"null\"\n\
         [[caption]]\nname = \"door\"\ninput = {:?}\nsource.fps = 2.0\nevents = \"door.jsonl\"\n\
         [[report]]\nname = \"house\"\ninput = \"readings.csv\"\nwindow.length = \"1h\"\nwindow.zone = \"UTC\"\n\
         output = \"house.jsonl\"\nstore.file = \"house.sqlite\"\n",
        assets().join("home.json"),
        assets().join("speech/1-temperature.wav"),
        assets().join("pictures"),
    );
    std::fs::write(&config, text).unwrap();
    config
}

fn outputs(service: &Service, name: &str) -> u64 {
    service.flow(name)["outputs"].as_u64().unwrap()
}

#[test]
fn a_voice_captions_and_reports_run_in_one_process_and_end_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = Service::start(&configured(folder.path()), "");
    for name in ["kitchen", "door", "house"] {
        assert!(wait_for(Duration::from_secs(60), || outputs(&service, name) > 0), "{}", service.get("/flows"));
    }
    assert!(!service.get("/captions")["captions"].as_array().unwrap().is_empty());
    assert!(!service.get("/reports")["reports"].as_array().unwrap().is_empty());
    assert!(std::fs::read_to_string(folder.path().join("door.jsonl")).unwrap().contains("\"caption\""));
    assert!(!std::fs::read_to_string(folder.path().join("house.jsonl")).unwrap().is_empty());
    let begun = Instant::now();
    assert!(Command::new("kill").args(["-TERM", &service.child.id().to_string()]).status().unwrap().success());
    assert!(wait_for(Duration::from_secs(5), || service.child.try_wait().unwrap().is_some()), "it has not ended");
    assert!(begun.elapsed() < Duration::from_millis(2500), "{:?}", begun.elapsed());
}

#[cfg(feature = "fault-injection")]
#[test]
fn a_panic_in_one_flow_starts_that_one_again_and_leaves_the_others_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path());
    let service = Service::start(&config, "stage=look,step=2,action=panic");
    let is_told = || service.flow("door")["error"].as_str().is_some_and(|error| error.contains("look panicked"));
    assert!(wait_for(Duration::from_secs(60), is_told), "{}", service.flow("door"));
    assert!(service.flow("door")["restarts"].as_u64() > Some(0), "{}", service.flow("door"));
    // It works again: the error is gone.
    let is_over = || service.flow("door")["error"].is_null();
    assert!(wait_for(Duration::from_secs(60), is_over), "{}", service.flow("door"));
    for name in ["kitchen", "house"] {
        assert!(wait_for(Duration::from_secs(60), || outputs(&service, name) > 0), "{}", service.get("/flows"));
        assert_eq!(service.flow(name)["restarts"], 0, "{}", service.get("/flows"));
    }
}

#[test]
fn what_is_wrong_in_a_flow_is_named_with_the_flow() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("nearfield.toml");
    for (text, what) in [
        (
            "[[voice]]\nname = \"kitchen\"\nlisten.devise = \"USB\"",
            ["nearfield.toml:3: the flow kitchen", "did you mean `device`?"],
        ),
        (
            "[[caption]]\nname = \"a-b\"\ninput = \"x.jpg\"\noutlets.mqtt = \"mqtt://h\"\n\
             [[caption]]\nname = \"a_b\"\ninput = \"y.jpg\"\noutlets.mqtt = \"mqtt://h\"",
            ["a-b and a_b", "caption_a_b"],
        ),
        ("[[voice]]\n[[caption]]\nname = \"voice\"\ninput = \"x.jpg\"", ["two flows", "voice"]),
        ("[[report]]\nwindow.length = \"1h\"", ["report", "input is missing"]),
        ("[[caption]]\ninput = \"x.jpg\"\nllm.model = \"nothing\"", ["the flow caption", "nothing"]),
    ] {
        std::fs::write(&config, text).unwrap();
        run(&["run", "--listen", "127.0.0.1:0", "--check", "--config", arg(&config)]).assert_fails(2, &what);
    }
}

#[test]
fn two_parts_of_a_service_never_write_one_file_nor_one_that_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("own.toml");
    std::fs::write(folder.path().join("own.jsonl"), "{\"time\": \"2026-01-01T00:00:00Z\", \"kitchen\": 20}\n").unwrap();
    std::fs::copy(assets().join("home.json"), folder.path().join("home.json")).unwrap();
    let kept: Vec<_> = ["own.jsonl", "home.json"].map(|name| std::fs::read(folder.path().join(name)).unwrap()).into();
    let pictures = assets().join("pictures");
    let caption = |name: &str, keys: &str| format!("[[caption]]\nname = {name:?}\ninput = {pictures:?}\n{keys}\n");
    let report = |name: &str, keys: &str| format!("[[report]]\nname = {name:?}\n{keys}\n");
    for (text, what) in [
        (report("a", "input = \"own.jsonl\"\noutput = \"own.jsonl\""), ["output", "input"]),
        (format!("[home]\nfile = \"home.json\"\n{}", caption("a", "events = \"home.json\"")), ["events", "the home"]),
        (caption("a", "events = \"own.toml\""), ["events", "--config"]),
        (
            report("a", "input = \"own.jsonl\"\noutput = \"a.jsonl\"") + &report("b", "input = \"a.jsonl\""),
            ["output", "of the flow b"],
        ),
        (
            caption("a", "events = \"e.jsonl\"") + &caption("b", "events = \"e.jsonl\""),
            ["of the flow a", "of the flow b"],
        ),
        (
            report("a", "input = \"own.jsonl\"\nstore.file = \"s.sqlite\"")
                + &report("b", "input = \"own.jsonl\"\nstore.file = \"s.sqlite\""),
            ["the store", "of the flow b"],
        ),
    ] {
        std::fs::write(&config, &text).unwrap();
        let said = run(&["run", "--listen", "127.0.0.1:0", "--check", "--config", arg(&config)]);
        said.assert_fails(2, &what);
        said.assert_fails(2, &["are the same file"]);
        assert_eq!(std::fs::read_to_string(&config).unwrap(), text);
    }
    let now: Vec<_> = ["own.jsonl", "home.json"].map(|name| std::fs::read(folder.path().join(name)).unwrap()).into();
    assert!(now == kept, "a file of the user's was changed");
    // The home is shared by all that act on it, and so is what it remembers; folders of pictures are shared by cameras.
    let folders = "snapshots = \"s\"\nevent.folder = \"e\"";
    let cameras = caption("c", folders) + &caption("d", folders);
    let shared = "[home]\nfile = \"home.json\"\nremember = \"notes.json\"\ntimers = \"timers.json\"\n\
        [[voice]]\nname = \"a\"\ninput = \"mic\"\noutput = \"null\"\n[[voice]]\nname = \"b\"\noutput = \"null\"\n";
    std::fs::write(&config, format!("{shared}{cameras}")).unwrap();
    run(&["run", "--listen", "127.0.0.1:0", "--check", "--config", arg(&config)]).assert_done();
}

#[test]
fn a_camera_that_is_away_is_told_as_an_error_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("nearfield.toml");
    // A port that is free, and that the camera comes back to.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let keys = "source.retry_ms = 50\nsource.retry_max_ms = 100\ncaption.by_rule = true\n";
    std::fs::write(&config, format!("[[caption]]\nname = \"door\"\ninput = \"http://127.0.0.1:{port}/\"\n{keys}"))
        .unwrap();
    let service = Service::start(&config, "");
    let error = || service.flow("door")["error"].as_str().map(str::to_owned);
    assert!(wait_for(Duration::from_secs(60), || error().is_some()), "{}", service.flow("door"));
    assert!(error().unwrap().contains("refused"), "{}", service.flow("door"));
    let picture = nearfield_vision::encode_jpeg(
        &nearfield_vision::Picture::read(
            &std::fs::read_dir(assets().join("pictures")).unwrap().next().unwrap().unwrap().path(),
        )
        .unwrap(),
        85,
    )
    .unwrap();
    let camera = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for mut stream in camera.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=x\r\n\r\n";
            let mut sent = stream.write_all(head);
            while sent.is_ok() {
                sent = stream.write_all(b"--x\r\n\r\n").and_then(|()| stream.write_all(&picture));
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    });
    assert!(wait_for(Duration::from_secs(60), || error().is_none()), "{}", service.flow("door"));
    assert_eq!(service.flow("door")["state"], "running");
}

/// A configuration with a report for each of these names, and the server's keys.
fn write_reports(folder: &Path, server: &str, flows: &[(&str, &str)]) -> std::path::PathBuf {
    let config = folder.join("nearfield.toml");
    let flows: String = flows
        .iter()
        .map(|(name, keys)| {
            format!("[[report]]\nname = {name:?}\ninput = \"readings.csv\"\nstore.file = \"{name}.sqlite\"\n{keys}\n")
        })
        .collect();
    std::fs::write(&config, format!("[server]\n{server}\n{flows}")).unwrap();
    config
}

fn order(service: &Service, command: &str) -> nearfield_tests::Ran {
    run(&[command, "--json", "--pid", &service.child.id().to_string()])
}

#[test]
fn a_reload_restarts_what_has_changed_and_a_wrong_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    configured(folder.path());
    let hourly = "window.length = \"1h\"";
    let config = write_reports(folder.path(), "", &[("kept", hourly), ("changed", hourly), ("gone", hourly)]);
    let service = Service::start(&config, "");
    let states = order(&service, "ps");
    let state = &states.assert_done().json()[0];
    assert_eq!(state["flows"].as_array().unwrap().len(), 3, "{state}");
    assert_eq!(state["models"][0]["role"], "llm", "{state}");
    assert!(state["resident_bytes"].as_u64() > Some(10_000_000), "{state}");

    write_reports(folder.path(), "", &[("kept", hourly), ("changed", "window.lenght = \"1h\"")]);
    order(&service, "reload").assert_fails(1, &["nearfield.toml:12", "changed", "did you mean `length`?"]);
    assert_eq!(order(&service, "ps").json()[0]["flows"].as_array().unwrap().len(), 3);

    let daily = "window.length = \"1d\"";
    let server = "aliases = [\"gpt-4o-mini\"]\nconnections = 65";
    write_reports(folder.path(), server, &[("new", hourly), ("kept", hourly), ("changed", daily)]);
    let reloaded = order(&service, "reload");
    let changes = &reloaded.assert_done().json()[0];
    for (key, names) in [("started", ["new"]), ("restarted", ["changed"]), ("ended", ["gone"]), ("kept", ["kept"])] {
        assert_eq!(changes[key], serde_json::json!(names), "{changes}");
    }
    assert_eq!(changes["needs_restart"], serde_json::json!(["server.connections"]), "{changes}");
    assert_eq!(service.get("/v1/models/gpt-4o-mini")["object"], "model");
    let flows = service.get("/flows");
    let names: Vec<&str> = flows["flows"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["new", "kept", "changed"]);

    // SIGHUP does the same.
    write_reports(folder.path(), server, &[("kept", hourly)]);
    assert!(Command::new("kill").args(["-HUP", &service.child.id().to_string()]).status().unwrap().success());
    let is_one = || service.get("/flows")["flows"].as_array().unwrap().len() == 1;
    assert!(wait_for(Duration::from_secs(30), is_one), "{}", service.get("/flows"));
}

#[test]
fn a_service_is_stopped_and_its_socket_is_for_its_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let config = write_reports(folder.path(), "", &[]);
    let mut command = nearfield(&["run", "--listen", "127.0.0.1:0", "--config", arg(&config)]);
    let child = command.env("NEARFIELD_DATA", &data).stdout(Stdio::piped()).spawn().unwrap();
    let mut service = Service { child, http: String::new() };
    let socket = data.join(format!("run/{}.sock", service.child.id()));
    assert!(wait_for(Duration::from_secs(60), || socket.exists()));
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&data.join("run")), mode(&socket)), (0o700, 0o600));
    let told = |command: &str| {
        let mut command = nearfield(&[command]);
        command.env("NEARFIELD_DATA", &data);
        nearfield_tests::finish(command, &[], Duration::from_secs(30))
    };
    assert!(told("ps").assert_done().stdout.contains(&format!("process {}", service.child.id())));
    told("stop").assert_done();
    assert!(wait_for(Duration::from_secs(5), || service.child.try_wait().unwrap().is_some()));
    assert!(!socket.exists());
    told("stop").assert_fails(1, &["no `nearfield run` runs", arg(&data)]);
}

#[test]
fn systemd_is_told_of_the_start_a_reload_the_end_and_that_it_lives() {
    use std::os::unix::net::UnixDatagram;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let config = write_reports(folder.path(), "", &[]);
    let mut command = nearfield(&["run", "--listen", "127.0.0.1:0", "--config", arg(&config)]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000").env_remove("WATCHDOG_PID");
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut service = Service { child, http: String::new() };
    let mut beats = 0;
    let mut next = |what: &str| loop {
        let mut bytes = [0; 4096];
        let n = socket.recv(&mut bytes).unwrap_or_else(|e| panic!("{what}: {e}"));
        let text = String::from_utf8_lossy(&bytes[..n]).into_owned();
        match text.contains("WATCHDOG=1") {
            true if what == "WATCHDOG=1" => return text,
            true => beats += 1,
            false => {
                assert!(text.contains(what), "{what}: {text}");
                return text;
            }
        }
    };
    assert!(next("READY=1").contains("STATUS=Listening on http://127.0.0.1:"));
    (0..3).for_each(|_| drop(next("WATCHDOG=1")));
    assert!(Command::new("kill").args(["-HUP", &service.child.id().to_string()]).status().unwrap().success());
    assert!(next("RELOADING=1").contains("MONOTONIC_USEC="));
    assert!(next("READY=1").contains("nothing has changed"));
    order(&service, "stop").assert_done();
    next("STOPPING=1");
    assert!(wait_for(Duration::from_secs(5), || service.child.try_wait().unwrap().is_some()));
}

#[cfg(feature = "fault-injection")]
#[test]
fn after_a_panic_of_the_models_thread_the_server_and_the_flows_go_on_with_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(&configured(folder.path()), "stage=llm,step=200,action=panic");
    let ask = || {
        let body = r#"{"messages":[{"role":"user","content":"Hello."}],"max_tokens":8}"#;
        let mut stream = TcpStream::connect(&service.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let (http, length) = (&service.http, body.len());
        write!(stream, "POST /v1/chat/completions HTTP/1.1\r\nhost: {http}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.starts_with("HTTP/1.1 200 ")
    };
    // Each thread panics at the same step, and so there are at least two new ones.
    for _ in 0..2 {
        assert!(wait_for(Duration::from_secs(60), || !ask()), "no panic");
        assert!(wait_for(Duration::from_secs(60), ask), "no new thread");
    }
    let flows = service.get("/flows");
    let restarted = flows["flows"].as_array().unwrap().iter().filter(|flow| flow["restarts"].as_u64() > Some(0));
    assert!(restarted.count() > 0, "{flows}");
}

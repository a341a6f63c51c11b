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
         [[report]]\nname = \"house\"\ninput = \"readings.csv\"\nwindow.length = \"1h\"\nwindow.zone = \"UTC\"\noutput = \"house.jsonl\"\nstore.file = \"house.sqlite\"\n",
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
    assert!(wait_for(Duration::from_secs(60), || service.flow("door")["restarts"].as_u64() > Some(0)));
    assert!(service.flow("door")["error"].as_str().unwrap().contains("look panicked"), "{}", service.flow("door"));
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
        ("[[voice]]\nname = \"kitchen\"\nlisten.devise = \"USB\"", ["kitchen", "did you mean `device`?"]),
        ("[[voice]]\n[[caption]]\nname = \"voice\"\ninput = \"x.jpg\"", ["two flows", "voice"]),
        ("[[report]]\nwindow.length = \"1h\"", ["report", "input is missing"]),
        ("[[caption]]\ninput = \"x.jpg\"\nllm.model = \"nothing\"", ["the flow caption", "nothing"]),
    ] {
        std::fs::write(&config, text).unwrap();
        run(&["run", "--listen", "127.0.0.1:0", "--check", "--config", arg(&config)]).assert_fails(2, &what);
    }
}

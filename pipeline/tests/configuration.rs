//! `docs/configuration.md` and `configs/*.toml` are written from the configuration's types: keys, defaults and meanings from their
//! JSON schemas, ranges from what the program says when it refuses a value. After a change,
//! `SNAPSHOTS=overwrite cargo test --release -p nearfield --test configuration` writes them anew.

mod reference;

use nearfield::config::caption::CaptionConfig;
use nearfield::config::report::ReportConfig;
use nearfield::config::{Config, RunConfig, VoiceConfig};
use reference::{ConfigFile, Key};

fn files() -> [ConfigFile; 4] {
    [
        ConfigFile::of::<VoiceConfig>(
            "voice",
            "Nearfield's voice assistant",
            &[
                "nearfield voice --config configs/voice.toml",
                "nearfield voice --set llm.threads=2 --set tts.words_per_minute=190",
            ],
        ),
        ConfigFile::of::<CaptionConfig>(
            "caption",
            "Nearfield's captions",
            &[
                "nearfield caption --config configs/caption.toml --input rtsp://camera.local/stream",
                "nearfield caption --input pictures/ --set gate.change_below=0.8",
            ],
        ),
        ConfigFile::of::<ReportConfig>(
            "report",
            "Nearfield's reports on sensor readings",
            &[
                "nearfield report --config configs/report.toml --input readings.csv",
                "nearfield report --input mqtt://hub.local/home/# --set window.length=1h",
            ],
        ),
        ConfigFile::of::<RunConfig>(
            "run",
            "Nearfield's server",
            &[
                "nearfield run --config configs/run.toml",
                "nearfield run --set llm.model=qwen2.5-0.5b-instruct --wyoming 127.0.0.1:10300",
            ],
        ),
    ]
}

#[test]
fn the_reference_page_is_what_the_types_say() {
    snapbox::assert_data_eq!(reference::page(&files()), snapbox::file!["../../docs/configuration.md"].raw());
}

#[test]
fn the_example_files_are_what_the_types_say() {
    let [voice, caption, report, server] = files();
    snapbox::assert_data_eq!(voice.example(), snapbox::file!["../../configs/voice.toml"].raw());
    snapbox::assert_data_eq!(caption.example(), snapbox::file!["../../configs/caption.toml"].raw());
    snapbox::assert_data_eq!(report.example(), snapbox::file!["../../configs/report.toml"].raw());
    snapbox::assert_data_eq!(server.example(), snapbox::file!["../../configs/run.toml"].raw());
}

#[test]
fn the_example_files_load_and_are_the_defaults() {
    fn check<T: Config + PartialEq + std::fmt::Debug>(name: &str) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../configs/{name}.toml"));
        assert_eq!(T::load(Some(&path), &[]).unwrap(), T::default(), "{name}");
    }
    check::<VoiceConfig>("voice");
    check::<CaptionConfig>("caption");
    check::<ReportConfig>("report");
    check::<RunConfig>("run");
}

#[test]
fn the_example_of_flows_beside_the_server_loads() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/nearfield.toml");
    let flows = RunConfig::load(Some(&path), &[]).unwrap().flows().unwrap();
    let names: Vec<&str> = flows.iter().map(|flow| flow.name.as_str()).collect();
    assert_eq!(names, ["kitchen", "door", "house"]);
}

#[test]
fn what_the_example_files_show_in_comments_loads_too() {
    for file in files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.toml");
        std::fs::write(&path, file.uncommented()).unwrap();
        file.load(Some(&path), &[]).unwrap_or_else(|e| panic!("{e}\n{}", file.uncommented()));
    }
}

#[test]
fn every_number_has_a_range_and_is_refused_beyond_it_by_name() {
    let mut unbounded = Vec::new();
    for file in files() {
        for key in file.keys().filter(|key| key.is_number()) {
            for probe in key.beyond() {
                match file.refusal(key, &probe) {
                    Some(message) => {
                        assert!(message.contains("must be ") && message.contains(&key.name), "{}: {message}", key.name);
                    }
                    None => unbounded.push(format!("{} {}", file.name, key.path())),
                }
            }
        }
    }
    // Any number is a seed.
    assert_eq!(unbounded, ["voice", "caption", "report", "run"].map(|name| format!("{name} llm.sampler.seed")));
}

#[test]
fn every_key_says_what_it_means() {
    for file in files() {
        let silent: Vec<String> = file.keys().filter(|key| key.meaning.is_empty()).map(Key::path).collect();
        assert_eq!(silent, [""; 0], "{}", file.name);
    }
}

//! What all three files have in common.

use super::caption::CaptionConfig;
use super::report::ReportConfig;
use super::*;

fn wrong(text: &str, sets: &[&str]) -> String {
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), text).unwrap();
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    VoiceConfig::load(Some(file.path()), &sets).unwrap_err().to_string()
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    let message = wrong("[llm]\nmodle = \"x\"\n", &[]);
    assert!(message.ends_with(":2: there is no key `modle`; did you mean `model`?"), "{message}");
}

#[test]
fn a_wrong_value_is_named_with_what_would_be_right() {
    let message = wrong("[llm]\ncontext_tokens = \"many\"\n", &[]);
    assert!(message.contains(":2") && message.contains("many"), "{message}");
    let message = wrong("[llm]\ncontext_tokens = 3\n", &[]);
    assert!(message.ends_with("llm.context_tokens is 3 but must be 0 or from 64 to 1048576"), "{message}");
    let message = wrong("", &["listen.vad=loud"]);
    assert!(message.contains("--set listen.vad=loud") && message.contains("earshot"), "{message}");
    let message = wrong("", &["llm.threads"]);
    assert!(message.contains("key=value"), "{message}");
    let message = wrong("", &["llm.threads.x=1"]);
    assert!(message.contains("has no keys"), "{message}");
}

#[test]
fn what_a_file_holds_cannot_reach_the_terminal_in_an_error() {
    let messages = [
        wrong("[listen]\nvad = \"aut\t\"\n", &[]),
        wrong("[llm]\n\"mo\\u001bdle\" = 1\n", &[]),
        wrong("", &["listen.vad=\"\\u0007\""]),
    ];
    for message in messages {
        assert!(!message.contains(char::is_control), "{message:?}");
    }
}

#[test]
fn the_same_key_is_refused_alike_in_all_three_files() {
    for (set, says) in [
        ("llm.sampler.top_p=7", "llm.sampler.top_p is 7 but must be from 0 to 1"),
        ("llm.sampler.temperature=-5", "llm.sampler.temperature is -5 but must be from 0 to 10"),
        ("llm.max_tokens=100000", "llm.max_tokens is 100000 but must be from 0 to 8192"),
        ("llm.modle=x", "there is no key `modle`; did you mean `model`?"),
    ] {
        let sets = [set.to_owned()];
        let messages = [
            VoiceConfig::load(None, &sets).unwrap_err().to_string(),
            CaptionConfig::load(None, &sets).unwrap_err().to_string(),
            ReportConfig::load(None, &sets).unwrap_err().to_string(),
        ];
        for message in messages {
            assert_eq!(message, format!("--set {set}: {says}"));
        }
    }
}

#[test]
fn keys_of_earlier_versions_are_still_read() {
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), "[llm]\nsystem = \"Be brief.\"\nmax_reply_tokens = 80\n").unwrap();
    let config = VoiceConfig::load(Some(file.path()), &[]).unwrap();
    assert_eq!((config.prompt.system.as_str(), config.llm.max_tokens), ("Be brief.", 80));
    let config = VoiceConfig::load(None, &["llm.max_reply_tokens=70".to_owned()]).unwrap();
    assert_eq!(config.llm.max_tokens, 70);
    std::fs::write(file.path(), "[llm.remote]\nmodel = \"large\"\nkey_file = \"key\"\n").unwrap();
    let config = VoiceConfig::load(Some(file.path()), &["llm.remote.url=http://server.local/v1".to_owned()]).unwrap();
    assert_eq!((config.remote.model.as_str(), config.remote.url.as_str()), ("large", "http://server.local/v1"));
    assert_eq!(config.remote.key_file, file.path().with_file_name("key"));
    std::fs::write(file.path(), "[mqtt]\ntopics = [\"a\"]\n[[mqtt.mappings]]\ntopic = \"b\"\n").unwrap();
    let config = ReportConfig::load(Some(file.path()), &[]).unwrap();
    assert_eq!((config.source.topics, config.source.mappings[0].topic.as_str()), (vec!["a".to_owned()], "b"));
}

#[test]
fn relative_paths_of_a_file_start_at_the_file_and_those_of_set_where_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.toml");
    let text = "[mqtt]\npassword_file = \"secret\"\n[store]\nfile = \"none\"\nbackup = \"/b\"\n[outlets]\nspool = \"waiting\"\n";
    std::fs::write(&file, text).unwrap();
    let config = ReportConfig::load(Some(&file), &["mqtt.ca_file=ca.pem".to_owned()]).unwrap();
    assert_eq!(config.mqtt.password_file, folder.path().join("secret"));
    assert_eq!(config.outlets.spool, folder.path().join("waiting"));
    assert_eq!(config.mqtt.ca_file, Path::new("ca.pem"));
    assert_eq!((config.store.file.as_path(), config.store.backup.as_path()), (Path::new("none"), Path::new("/b")));
}

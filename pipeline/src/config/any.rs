//! A configuration file of any command, told by its tables: for `nearfield doctor`, which checks whatever is run.

use std::path::Path;

use super::caption::CaptionConfig;
use super::report::ReportConfig;
use super::{Config, ConfigError, RunConfig, VoiceConfig, read};

/// A configuration of some command.
#[derive(Clone, Debug)]
pub enum AnyConfig {
    /// Of `nearfield voice`.
    Voice(Box<VoiceConfig>),
    /// Of `nearfield caption`.
    Caption(Box<CaptionConfig>),
    /// Of `nearfield report`.
    Report(Box<ReportConfig>),
    /// Of `nearfield run`.
    Run(Box<RunConfig>),
}

impl AnyConfig {
    /// Reads `path`, as that of the command that knows most of its tables, or of the keys that are set; without both it is a voice's.
    ///
    /// # Errors
    /// As [`Config::load`] of that command.
    pub fn load(path: Option<&Path>, sets: &[String]) -> Result<Self, ConfigError> {
        let mut keys: Vec<String> =
            sets.iter().filter_map(|set| set.split(['.', '=']).next()).map(str::to_owned).collect();
        let mut is_run = false;
        if let Some(path) = path {
            // What is wrong in it is said by the command's own reader.
            let table: toml::Table = toml::from_str(&read(path)?).unwrap_or_default();
            is_run =
                ["voice", "caption", "report"].iter().any(|flow| table.get(*flow).is_some_and(toml::Value::is_array));
            keys.extend(table.keys().cloned());
        }
        let known = [known::<VoiceConfig>(&keys), known::<CaptionConfig>(&keys), known::<ReportConfig>(&keys)];
        let most = known.iter().copied().max().unwrap_or(0);
        let of_run = known_of_run(&keys);
        Ok(match known.iter().position(|n| *n == most) {
            _ if is_run || of_run > most => Self::Run(Box::new(RunConfig::load(path, sets)?)),
            Some(1) => Self::Caption(Box::new(CaptionConfig::load(path, sets)?)),
            Some(2) => Self::Report(Box::new(ReportConfig::load(path, sets)?)),
            _ => Self::Voice(Box::new(VoiceConfig::load(path, sets)?)),
        })
    }
}

/// How many of the keys a command's file may have.
fn known<T: Config>(keys: &[String]) -> usize {
    let all = toml::Table::try_from(T::default()).unwrap_or_default();
    keys.iter().filter(|key| all.contains_key(*key)).count()
}

/// The same of `nearfield run`, whose flows have the names of other files' tables.
fn known_of_run(keys: &[String]) -> usize {
    let all = toml::Table::try_from(RunConfig::default()).unwrap_or_default();
    let is_flow = |key: &str| matches!(key, "voice" | "caption" | "report");
    keys.iter().filter(|key| all.contains_key(*key) && !is_flow(key)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_that_comes_with_a_clone_is_told_by_its_tables() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
        let kind = |name: &str| match AnyConfig::load(Some(&folder.join(name)), &[]).unwrap() {
            AnyConfig::Voice(_) => "voice",
            AnyConfig::Caption(_) => "caption",
            AnyConfig::Report(_) => "report",
            AnyConfig::Run(_) => "run",
        };
        for name in ["voice", "caption", "report", "run"] {
            assert_eq!(kind(&format!("{name}.toml")), name);
        }
        let by_key = |set: &str| AnyConfig::load(None, &[set.to_owned()]).unwrap();
        assert!(matches!(by_key("llm.threads=2"), AnyConfig::Voice(_)));
        assert!(matches!(by_key("server.sessions=2"), AnyConfig::Run(_)));
        assert!(matches!(by_key("vision.model=\"none\""), AnyConfig::Caption(_)));
        assert!(AnyConfig::load(None, &["nonsense=1".to_owned()]).is_err());
    }
}

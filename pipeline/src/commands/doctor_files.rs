//! What `nearfield doctor` looks at in the file of a flow beside its models: the files that it names, the input, the folder of events, and the
//! other machines.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use nearfield_stages::caption::pictures::check_scheme;
use rustix::fs::{Access, access};

use super::doctor::{Check, Health, check};
use crate::config::OutletConfig;
use crate::config::caption::CaptionConfig;
use crate::hub::registry::Registry;
use crate::load::caption::{check_labels, loads_vision};

/// Another machine that does not answer within this is not there.
const CONNECT: Duration = Duration::from_secs(2);

/// The checks of a captioner's file; `input` is the flow's own, or the file's.
pub(super) fn caption(config: &CaptionConfig, input: &str, registry: &Registry) -> Vec<Check> {
    let mut checks = Vec::new();
    // That the model is missing is a check of its own.
    if !loads_vision(config, registry) || registry.resolve(&config.vision.model).is_ok() {
        checks.push(check("labels", check_labels(config, registry), Health::Failed, |labels| match labels {
            0 => "the vision model finds no objects".to_owned(),
            n => format!("the vision model finds {n} kinds of objects, and those that the file names are among them"),
        }));
    }
    if !input.is_empty() {
        checks.push(check("source.input", source(input), Health::Failed, |()| nearfield_base::redact::redacted(input)));
    }
    for (key, path) in [
        ("nominal.picture", &config.nominal.picture),
        ("output.schema", &config.output.schema),
        ("vision.manifest", &config.vision.manifest),
    ] {
        checks.extend(readable(key, path));
    }
    // Without a broker nobody reads them, and without a user not the password.
    if !config.outlets.mqtt.is_empty() || config.frigate.enabled {
        checks.extend(readable("mqtt.ca_file", &config.mqtt.ca_file));
        if !config.mqtt.user.is_empty() {
            checks.extend(readable("mqtt.password_file", &config.mqtt.password_file));
        }
    }
    checks.extend(writable("event.folder", &config.event.folder));
    if config.clips.enabled {
        checks.extend(writable("clips.recent", &config.clips.recent));
    }
    checks.extend(outlets(&config.outlets));
    checks
}

/// The checks of `[outlets]`.
pub(super) fn outlets(outlets: &OutletConfig) -> Vec<Check> {
    let mut checks: Vec<Check> =
        readable("outlets.webhook_token_file", &outlets.webhook_token_file).into_iter().collect();
    checks.extend(writable("outlets.spool", &outlets.spool));
    for (key, address, port) in [
        ("outlets.webhook", &outlets.webhook, if outlets.webhook.starts_with("https://") { 443 } else { 80 }),
        ("outlets.mqtt", &outlets.mqtt, if outlets.mqtt.starts_with("mqtts://") { 8883 } else { 1883 }),
    ] {
        if !address.is_empty() {
            // It may only be switched off now: what is for it is kept.
            checks.push(check(key, answers(address, port), Health::Warning, |place| {
                format!("{place} takes connections")
            }));
        }
    }
    checks
}

/// Whether an input is there, or may be: a camera is not asked.
fn source(input: &str) -> anyhow::Result<()> {
    check_scheme(input).map_err(anyhow::Error::msg)?;
    let is_pattern = input.contains(['*', '?', '[']);
    if input == "-" || input.contains("://") || (is_pattern && !Path::new(input).exists()) {
        return Ok(());
    }
    std::fs::metadata(input).with_context(|| format!("{input} can't be read"))?;
    Ok(())
}

fn readable(key: &'static str, path: &Path) -> Option<Check> {
    let opened = || -> anyhow::Result<()> {
        let file = nearfield_base::files::open(path).with_context(|| format!("{} can't be read", path.display()))?;
        drop(file);
        Ok(())
    };
    (!path.as_os_str().is_empty()).then(|| check(key, opened(), Health::Failed, |()| path.display().to_string()))
}

/// Whether files can be written into a folder, which may be made by the command.
fn writable(key: &'static str, folder: &Path) -> Option<Check> {
    let found = || -> anyhow::Result<()> {
        let absolute = std::path::absolute(folder)?;
        let there = absolute.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
        let failed = |e: std::io::Error| anyhow!("{} can't be written: {e}", folder.display());
        if !there.is_dir() {
            return Err(failed(std::io::ErrorKind::NotADirectory.into()));
        }
        access(there, Access::WRITE_OK | Access::EXEC_OK).map_err(|e| failed(e.into()))?;
        // The system's own folders say that they can be written, and are not.
        let kind = rustix::fs::statfs(there).map_err(|e| failed(e.into()))?.f_type as u64;
        let is_proc = kind == 0x9fa0 || kind == 0x6265_6572;
        if is_proc { Err(failed(std::io::ErrorKind::PermissionDenied.into())) } else { Ok(()) }
    };
    (!folder.as_os_str().is_empty()).then(|| check(key, found(), Health::Failed, |()| folder.display().to_string()))
}

/// Whether the place of an address takes connections.
fn answers(address: &str, port: u16) -> anyhow::Result<String> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let place = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let place = place.rsplit('@').next().unwrap_or_default();
    let has_port = place.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let place = if has_port { place.to_owned() } else { format!("{place}:{port}") };
    let mut why = None;
    for socket in place.to_socket_addrs().with_context(|| format!("{place} is not found"))? {
        match TcpStream::connect_timeout(&socket, CONNECT) {
            Ok(_) => return Ok(place),
            Err(error) => why = Some(error),
        }
    }
    let why = why.map_or_else(|| "it has no address".to_owned(), |error| error.to_string());
    Err(anyhow!("{place} takes no connection: {why}; what is for it is kept until it does"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn files_for_a_broker_are_looked_at_only_where_there_is_one() {
        let registry = Registry::open().unwrap();
        let keys = |set: &[&str]| {
            let nothing = ["vision.model=none", "mqtt.password_file=/nowhere/p", "mqtt.ca_file=/nowhere/c"];
            let set: Vec<String> = nothing.iter().chain(set).map(|s| (*s).to_owned()).collect();
            let config = CaptionConfig::load(None, &set).unwrap();
            let checks = caption(&config, "", &registry);
            let keys = ["mqtt.password_file", "mqtt.ca_file"];
            keys.map(|key| checks.iter().any(|check| format!("{check:?}").contains(key)))
        };
        assert_eq!(keys(&[]), [false, false]);
        let broker = "outlets.mqtt=mqtt://127.0.0.1:1";
        assert_eq!(keys(&[broker]), [false, true]);
        assert_eq!(keys(&[broker, "mqtt.user=me"]), [true, true]);
    }
}

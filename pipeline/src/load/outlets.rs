//! The outlets to other machines that a configuration names, and how a broker is connected to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use nearfield_stages::mqtt::{ConnectOptions, MqttUrl};
use nearfield_stages::outlets::home_assistant::{HomeAssistant, HomeAssistantOptions};
use nearfield_stages::outlets::webhook::{TokenSource, Webhook};
use nearfield_stages::outlets::{Outlet, Publish};

use crate::config::{ConfigError, MqttConfig, OutletConfig};
use crate::hub::registry::Registry;
use crate::installation::Installation;

/// A password or token is at most this long.
const MAX_SECRET_BYTES: u64 = 4096;

/// The stages that deliver to other machines; `object` is what Home Assistant calls what is delivered: `report`, `caption`.
///
/// # Errors
/// An address, a secret or the spool can't be used.
pub(crate) fn outlets(
    outlets: &OutletConfig,
    mqtt: &MqttConfig,
    object: &str,
    registry: &Registry,
) -> anyhow::Result<Vec<Publish>> {
    let spool = match outlets.spool.as_os_str().is_empty() {
        true => registry.places().data.join("spool"),
        false => outlets.spool.clone(),
    };
    let limits = outlets.limits().map_err(anyhow::Error::msg)?;
    let mut publishers = Vec::new();
    if !outlets.webhook.is_empty() {
        let token: Option<TokenSource> = match outlets.webhook_token_file.as_os_str().is_empty() {
            true => None,
            false => {
                let file = outlets.webhook_token_file.clone();
                // A file that is not there is a mistake at the start, and may be one that comes back later.
                secret(&file).context("outlets.webhook_token_file")?;
                Some(Box::new(move || secret(&file).context("outlets.webhook_token_file")))
            }
        };
        let webhook = Webhook::new(&outlets.webhook, token, Duration::from_secs_f64(outlets.webhook_timeout_s))
            .map_err(|reason| ConfigError::Wrong { place: "outlets.webhook".to_owned(), reason })?;
        let outlet: Box<dyn Outlet> = Box::new(webhook);
        publishers.push(Publish::new(outlet, spool.join(format!("{object}-webhook")), limits)?);
    }
    if !outlets.mqtt.is_empty() {
        let url = outlets.mqtt.parse().map_err(anyhow::Error::msg)?;
        let installation = Installation::of(&registry.places().data);
        let folder = spool.join(format!("{object}-mqtt"));
        let client_id = match mqtt.client_id.as_str() {
            // One program at a time delivers from a spool, so one at a time has its client id.
            "" => format!("nearfield-{object}-out-{}", installation.id_for(&["out", &absolute(&folder)])),
            set => format!("{set}-{object}-out"),
        };
        let options = HomeAssistantOptions {
            connect: connect_options(mqtt, url, client_id, false)?,
            object: object.to_owned(),
            installation: match outlets.name.as_str() {
                "" => installation.id().to_owned(),
                name => name.to_owned(),
            },
            device: match outlets.name.as_str() {
                "" => installation.device(),
                name => format!("Nearfield ({name})"),
            },
            discovery_prefix: outlets.discovery_prefix.clone(),
            confirm: outlets.mqtt_confirm,
        };
        let outlet: Box<dyn Outlet> = Box::new(HomeAssistant::new(options));
        publishers.push(Publish::new(outlet, folder, limits)?);
    }
    Ok(publishers)
}

fn secret(path: &Path) -> anyhow::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    let file = nearfield_base::files::open(path).with_context(|| format!("{} can't be read", path.display()))?;
    file.take(MAX_SECRET_BYTES).read_to_string(&mut text).with_context(|| path.display().to_string())?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// How a broker is connected to; `keep`: it keeps messages while we are away.
///
/// # Errors
/// The password's file can't be read.
pub(crate) fn connect_options(
    config: &MqttConfig,
    url: MqttUrl,
    client_id: String,
    keep: bool,
) -> anyhow::Result<ConnectOptions> {
    let file = |path: &PathBuf| (!path.as_os_str().is_empty()).then(|| path.clone());
    let login = match config.user.as_str() {
        "" => None,
        user => {
            let password = file(&config.password_file).map(|p| secret(&p)).transpose().context("mqtt.password_file")?;
            Some((user.to_owned(), password.unwrap_or_default()))
        }
    };
    Ok(ConnectOptions {
        url,
        version: config.version,
        client_id,
        login,
        ca_file: file(&config.ca_file),
        keep_session: keep,
        keep_alive: Duration::from_secs(config.keep_alive_s),
    })
}

/// A path as it is known from everywhere.
pub(crate) fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

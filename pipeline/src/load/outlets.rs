//! The outlets to other machines that a configuration names.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use nearfield_stages::outlets::webhook::{TokenSource, Webhook};
use nearfield_stages::outlets::{Outlet, Publish};

use crate::config::{ConfigError, MqttConfig, OutletConfig};
use crate::hub::registry::Registry;

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
    #[cfg(feature = "mqtt")]
    if !outlets.mqtt.is_empty() {
        publishers.push(super::mqtt::outlet(outlets, mqtt, object, registry, &spool, limits)?);
    }
    #[cfg(not(feature = "mqtt"))]
    let _ = mqtt; // OutletConfig::check refuses what asks for it.
    Ok(publishers)
}

/// The password or token in a file.
pub(super) fn secret(path: &Path) -> anyhow::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    let file = nearfield_base::files::open(path).with_context(|| format!("{} can't be read", path.display()))?;
    file.take(MAX_SECRET_BYTES).read_to_string(&mut text).with_context(|| path.display().to_string())?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

//! Brokers as sources and outlets: how they are connected to, and under which client id.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use jiff::tz::TimeZone;
use nearfield_stages::flow::{Health, Output, StopSignal};
use nearfield_stages::messages::Batch;
use nearfield_stages::mqtt::{ConnectOptions, MqttUrl};
use nearfield_stages::outlets::frigate::{Frigate, FrigateOptions};
use nearfield_stages::outlets::home_assistant::{HomeAssistant, HomeAssistantOptions};
use nearfield_stages::outlets::{Outlet, Publish, SpoolLimits};
use nearfield_stages::report::read_mqtt::MqttSource;
use nearfield_stages::report::sensors::SensorRegistry;
use nearfield_telemetry::clock::Clocks;

use super::outlets::secret;
use super::report::Source;
use crate::config::caption::CaptionConfig;
use crate::config::report::ReportConfig;
use crate::config::{MqttConfig, OutletConfig};
use crate::hub::registry::Registry;
use crate::installation::{ClientId, Installation};

/// The stage that delivers to a broker.
pub(super) fn outlet(
    outlets: &OutletConfig,
    mqtt: &MqttConfig,
    object: &str,
    registry: &Registry,
    spool: &Path,
    limits: SpoolLimits,
) -> anyhow::Result<Publish> {
    let url = outlets.mqtt.parse().map_err(anyhow::Error::msg)?;
    let installation = Installation::of(&registry.places().data);
    let folder = spool.join(format!("{object}-mqtt"));
    let client_id = match mqtt.client_id.as_str() {
        // One program at a time delivers from a spool, so one at a time has its client id.
        "" => format!("nearfield-{object}-out-{}", installation.id_for(&["out", &absolute(&folder)])),
        set => format!("{set}-{object}-out"),
    };
    let (id, device) = names(outlets, &installation);
    let options = HomeAssistantOptions {
        connect: connect_options(mqtt, url, client_id, false)?,
        object: object.to_owned(),
        installation: id,
        device,
        discovery_prefix: outlets.discovery_prefix.clone(),
        confirm: outlets.mqtt_confirm,
        // A caption says what is there now; a report stays as it was delivered.
        is_live: object.starts_with("caption"),
    };
    let outlet: Box<dyn Outlet> = Box::new(HomeAssistant::new(options));
    Ok(Publish::new(outlet, folder, limits)?)
}

/// The stage that publishes objects.
///
/// # Errors
/// The address or the password's file can't be used.
pub(super) fn frigate(config: &CaptionConfig, object: &str, registry: &Registry) -> anyhow::Result<Frigate> {
    let CaptionConfig { outlets, mqtt, .. } = config;
    let url = outlets.mqtt.parse().map_err(anyhow::Error::msg)?;
    let installation = Installation::of(&registry.places().data);
    let client_id = match mqtt.client_id.as_str() {
        "" => format!("nearfield-{object}-objects-{}", installation.id_for(&["objects", object])),
        set => format!("{set}-{object}-objects"),
    };
    let (id, device) = names(outlets, &installation);
    Ok(Frigate::new(FrigateOptions {
        connect: connect_options(mqtt, url, client_id, false)?,
        prefix: config.frigate.prefix.clone(),
        camera: config.source.camera.clone(),
        installation: id,
        device,
        discovery_prefix: outlets.discovery_prefix.clone(),
        has_clips: config.clips.enabled,
    }))
}

/// By what id Home Assistant tells this installation from others, and what it calls the device.
fn names(outlets: &OutletConfig, installation: &Installation) -> (String, String) {
    match outlets.name.as_str() {
        "" => (installation.id().to_owned(), installation.device()),
        name => (name.to_owned(), format!("Nearfield ({name})")),
    }
}

/// The readings of a broker.
pub(super) fn source(
    config: &ReportConfig,
    registry: &Registry,
    url: MqttUrl,
    store: Option<&Path>,
    (sensors, clocks): (SensorRegistry, Clocks),
    zone: TimeZone,
    health: Health,
) -> anyhow::Result<Source> {
    let topic = if url.topic.is_empty() && config.source.topics.is_empty() { "#" } else { url.topic.as_str() };
    let mut filters: Vec<String> = config.source.topics.clone();
    if !topic.is_empty() {
        filters.insert(0, topic.to_owned());
    }
    let client = source_client_id(config, registry, store, &url);
    let connect = connect_options(&config.mqtt, url, client.id.clone(), true)?;
    let source = MqttSource { connect, filters, mappings: config.source.mappings.clone(), zone, health };
    Ok(Box::new(move |batches: &Output<Batch>, stop: &StopSignal| {
        let _client = client;
        source.run(sensors, clocks, batches, stop)
    }))
}

/// The client id of the source. The broker keeps messages for it, and they are acknowledged when the store has them: so it goes
/// with the store, or where there is none with the address.
fn source_client_id(config: &ReportConfig, registry: &Registry, store: Option<&Path>, url: &MqttUrl) -> ClientId {
    if !config.mqtt.client_id.is_empty() {
        return ClientId::fixed(&config.mqtt.client_id);
    }
    let data = &registry.places().data;
    let installation = Installation::of(data);
    let id = match store {
        Some(store) => installation.id_for(&["report", "store", &absolute(store)]),
        None => installation.id_for(&["report", "address", &url.to_string(), &url.topic]),
    };
    ClientId::claim(&format!("nearfield-report-{id}"), data)
}

/// How a broker is connected to; `keep`: it keeps messages while we are away.
///
/// # Errors
/// The password's file can't be read.
fn connect_options(config: &MqttConfig, url: MqttUrl, client_id: String, keep: bool) -> anyhow::Result<ConnectOptions> {
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
fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned()
}

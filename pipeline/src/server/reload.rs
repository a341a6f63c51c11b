//! Reads the configuration of a running process again. Flows whose keys have changed are started anew, and so is the server's part where it
//! has; the others go on. Everything new is loaded before anything old ends, so a file that is wrong changes nothing.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};

use super::access::Access;
use super::hosted::{self, Hosted};
use super::{Base, Current, flow_files, load};
use crate::config::{Config, ConfigError, RunConfig, ServerConfig};

/// So long the flows that are to end may take. One that takes longer keeps its files and devices for as long, and what follows it tries
/// again until they are free.
const ENDING: Duration = Duration::from_secs(10);

/// What was changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// Flows that are new.
    pub started: Vec<String>,
    /// Flows with other keys than before.
    pub restarted: Vec<String>,
    /// Flows that are no more.
    pub ended: Vec<String>,
    /// Flows that were left alone.
    pub kept: Vec<String>,
    /// Whether the server's part has changed: conversations in the model's cache begin anew.
    pub server: bool,
    /// Keys that have changed and take effect at the next start of the process.
    pub needs_restart: Vec<String>,
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = if self.server { vec!["the server".to_owned()] } else { Vec::new() };
        let parts = [
            ("started", self.started.clone()),
            ("restarted", [server, self.restarted.clone()].concat()),
            ("ended", self.ended.clone()),
            ("needs a restart of the process", self.needs_restart.clone()),
        ];
        let said: Vec<String> = parts
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what}: {}", names.join(", ")))
            .collect();
        if said.is_empty() { f.write_str("nothing has changed") } else { f.write_str(&said.join("; ")) }
    }
}

/// Reads the configuration again and changes what has changed.
///
/// # Errors
/// The file can't be read or is wrong, or something new in it can't be loaded: then everything is as before.
pub fn reload(base: &mut Base, current: &Current) -> anyhow::Result<Changes> {
    let Some(file) = base.file.clone() else {
        return Err(anyhow!("the process was started without --config: there is no file to read again"));
    };
    let mut config = RunConfig::load(Some(&file), &base.sets)?;
    let needs_restart = keep_fixed(&mut config.server, &base.config.server);
    let access = Access::new(&config.server.token_file, &config.server.hosts)?;
    access.check_listen("server.listen", &base.http)?;
    let place = file.display().to_string();
    let wanted = config.flows().map_err(|reason| ConfigError::Wrong { place, reason })?;
    flow_files::check(&config, Some(&file), &wanted, &base.shared.registry)?;
    let is_server_new = config.without_flows() != base.config.without_flows() || access != base.access;
    let order: Vec<String> = wanted.iter().map(|flow| flow.name.clone()).collect();
    let mut changes = Changes { server: is_server_new, needs_restart, ..Changes::default() };
    let mut fresh = Vec::new();
    for flow in wanted {
        let flows = base.flows.lock().unwrap_or_else(PoisonError::into_inner);
        let running = flows.iter().find(|running| running.config.name == flow.name);
        let is_same = running.is_some_and(|running| running.config == flow);
        let is_known = running.is_some();
        drop(flows);
        if is_same {
            changes.kept.push(flow.name);
            continue;
        }
        let list = if is_known { &mut changes.restarted } else { &mut changes.started };
        list.push(flow.name.clone());
        fresh.push((hosted::load(&flow, &base.shared)?, flow));
    }
    let new = Base { config, access, ..base.clone() };
    let server = is_server_new.then(|| load(&new)).transpose()?;

    // From here on only the system can fail.
    *base = new;
    if let Some(server) = server {
        *current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(server);
    }
    let mut gone: Vec<Hosted> = {
        let mut flows = base.flows.lock().unwrap_or_else(PoisonError::into_inner);
        let (kept, gone) = flows.drain(..).partition(|flow| changes.kept.contains(&flow.config.name));
        *flows = kept;
        gone
    };
    changes.ended = gone.iter().map(|flow| flow.config.name.clone()).filter(|name| !order.contains(name)).collect();
    if !Hosted::end(&mut gone, ENDING) {
        tracing::warn!(
            "a flow has not ended within {} s; those that follow are started all the same",
            ENDING.as_secs()
        );
    }
    for (loaded, flow) in fresh {
        let name = flow.name.clone();
        let started = Hosted::start(flow, loaded, base.shared.clone()).with_context(|| format!("the flow {name}"))?;
        base.flows.lock().unwrap_or_else(PoisonError::into_inner).push(started);
    }
    let mut flows = base.flows.lock().unwrap_or_else(PoisonError::into_inner);
    flows.sort_by_key(|flow| order.iter().position(|name| *name == flow.config.name));
    drop(flows);
    Ok(changes)
}

/// Leaves the keys as they are that only a start reads, and names those that would have changed.
fn keep_fixed(new: &mut ServerConfig, old: &ServerConfig) -> Vec<String> {
    let mut kept = Vec::new();
    let mut keep = |key: &str, is_same: bool| {
        if !is_same {
            kept.push(format!("server.{key}"));
        }
    };
    keep("listen", new.listen == old.listen);
    keep("wyoming", new.wyoming == old.wyoming);
    keep("wyoming_open", new.wyoming_open == old.wyoming_open);
    keep("tls_certificate", new.tls_certificate == old.tls_certificate);
    keep("tls_key", new.tls_key == old.tls_key);
    keep("connections", new.connections == old.connections);
    new.listen.clone_from(&old.listen);
    new.wyoming.clone_from(&old.wyoming);
    new.tls_certificate.clone_from(&old.tls_certificate);
    new.tls_key.clone_from(&old.tls_key);
    (new.wyoming_open, new.connections) = (old.wyoming_open, old.connections);
    kept
}

//! The files of a whole service: none that the server or a flow reads is written by another, and none is written by two.

use std::path::Path;

use crate::commands::list_voice;
use crate::config::RunConfig;
use crate::config::flows::{FlowConfig, FlowWork};
use crate::files::Files;
use crate::hub::registry::Registry;
use crate::output::captions;
use crate::recordings::recordings;
use crate::server::hosted::store_of_flow;

/// Checks the files of the server and its flows, before anything is opened.
///
/// # Errors
/// Names both where two are the same.
pub fn check(config: &RunConfig, file: Option<&Path>, flows: &[FlowConfig], registry: &Registry) -> anyhow::Result<()> {
    let mut files = Files::new();
    files.reads("--config", file.unwrap_or(Path::new("")));
    files.reads("server.token_file", &config.server.token_file);
    list_voice(&mut files, &config.voice(), registry);
    for name in [&config.embeddings.model].into_iter().chain(&config.server.wake) {
        if let Ok(model) = registry.resolve(name) {
            files.reads_model("a model", &model);
        }
    }
    for flow in flows {
        files.of_flow(&flow.name);
        match &flow.work {
            FlowWork::Voice { input, output, config } => {
                let read = if input == "mic" { Vec::new() } else { recordings(Path::new(input)).unwrap_or_default() };
                read.iter().for_each(|recording| files.reads("input", recording));
                list_voice(&mut files, config, registry);
                if !matches!(output.as_str(), "speaker" | "null") {
                    files.writes("output", Path::new(output));
                }
            }
            FlowWork::Caption { input, events, snapshots, config } => {
                captions::list_files(&mut files, "input", input, config, registry, &[events]);
                files.writes("events", events);
                files.writes_shared("snapshots", snapshots);
            }
            FlowWork::Report { input, output, config } => {
                if !input.contains("://") {
                    files.reads("input", Path::new(input));
                }
                if let Ok(model) = registry.resolve(&config.llm.model) {
                    files.reads_model("llm.model", &model);
                }
                files.reads("mqtt.password_file", &config.mqtt.password_file);
                files.reads("mqtt.ca_file", &config.mqtt.ca_file);
                config.outlets.list(&mut files);
                let store = store_of_flow(&flow.name, config, registry);
                if store != Path::new("none") {
                    files.writes("the store", &store);
                }
                files.writes("output", output);
            }
        }
    }
    files.check()
}

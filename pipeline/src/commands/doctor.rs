//! `nearfield doctor`: is everything there that the applications need, and does it work? Without a file it looks at what the voice assistant
//! needs; with one, at what the command needs whose file it is. Each line says what was found, and where something is missing, what gets it.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::bail;
use nearfield_onnx::Provider;
use nearfield_stages::remote::When;
use nearfield_stages::voice::devices::{self, Direction};
use serde::Serialize;

use super::doctor_files;
use crate::cli::ConfigArgs;
use crate::config::VoiceConfig;
use crate::config::any::AnyConfig;
use crate::config::caption::CaptionConfig;
use crate::config::flows::{FlowConfig, FlowWork};
use crate::config::report::ReportConfig;
use crate::hub::registry::{Registry, Status};
use crate::load::caption::{loads_vision, needs_ffmpeg};
use crate::load::voice;
use crate::output::terminal::chain;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Health {
    Ok,
    /// Something works less well, or is not there and not needed for everything.
    Warning,
    /// What was asked for can't run like this.
    Failed,
}

#[derive(Debug, Serialize)]
pub(super) struct Check {
    name: &'static str,
    status: Health,
    detail: String,
}

/// Runs all checks.
///
/// # Errors
/// If a check has failed, or `out` can't be written.
pub fn run(args: &ConfigArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let config = AnyConfig::load(args.config.as_deref(), &args.set)?;
    let registry = Registry::open()?;
    let mut checks = vec![processor(), memory(), data_folder(&registry)];
    match &config {
        AnyConfig::Voice(config) => {
            checks.extend([stt(config, &registry), llm(config, &registry), tts(config, &registry), onnx()]);
            checks.extend(audio());
            checks.extend([ffmpeg("ffmpeg", false), models(&registry), home(config), network(config)]);
        }
        AnyConfig::Caption(config) => {
            checks.extend([model("language model", &config.llm.model, &registry), vision(config, &registry)]);
            checks.extend(doctor_files::caption(config, &config.source.input, &registry));
            let is_needed = needs_ffmpeg(&config.source.input, config);
            checks.extend([onnx(), ffmpeg(&config.source.ffmpeg, is_needed), models(&registry)]);
        }
        AnyConfig::Report(config) => {
            checks.extend([report_model(config, &registry), models(&registry)]);
            checks.extend(doctor_files::outlets(&config.outlets));
        }
        AnyConfig::Run(config) => {
            let voice = config.voice();
            checks.extend([stt(&voice, &registry), llm(&voice, &registry), tts(&voice, &registry), onnx()]);
            let flows = config.flows().map_err(anyhow::Error::msg)?;
            checks.extend(flows.iter().map(|flow| flow_check(flow, &registry)));
            // By program: whether a flow's input needs it.
            let mut programs: BTreeMap<&str, bool> = BTreeMap::new();
            for flow in &flows {
                checks.extend(match &flow.work {
                    FlowWork::Caption { input, config, .. } => {
                        *programs.entry(config.source.ffmpeg.as_str()).or_default() |= needs_ffmpeg(input, config);
                        doctor_files::caption(config, input, &registry)
                    }
                    FlowWork::Report { config, .. } => doctor_files::outlets(&config.outlets),
                    FlowWork::Voice { .. } => Vec::new(),
                });
            }
            if flows.iter().any(|flow| matches!(flow.work, FlowWork::Voice { .. })) {
                checks.extend(audio());
            }
            if programs.is_empty() {
                programs.insert("ffmpeg", false);
            }
            checks.extend(programs.into_iter().map(|(program, is_needed)| ffmpeg(program, is_needed)));
            checks.extend([models(&registry), home(&voice), network(&voice)]);
        }
    }
    let mut failed = 0;
    for check in checks {
        failed += usize::from(check.status == Health::Failed);
        if json {
            writeln!(out, "{}", serde_json::to_string(&check)?)?;
        } else {
            let mark = match check.status {
                Health::Ok => "ok    ",
                Health::Warning => "warn  ",
                Health::Failed => "FAILED",
            };
            writeln!(out, "{mark}  {:<16}{}", check.name, check.detail)?;
        }
        out.flush()?;
    }
    if failed > 0 {
        bail!("{failed} checks failed; each says what helps");
    }
    Ok(())
}

/// Whether files can be written where Nearfield keeps its own.
fn data_folder(registry: &Registry) -> Check {
    let folder = &registry.places().data;
    let probe = folder.join(format!(".doctor-{}", std::process::id()));
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&probe, b"probe"));
    let removed = written.and_then(|()| std::fs::remove_file(&probe));
    let result = removed.map_err(|error| {
        anyhow::anyhow!("{} can't be written: {error}; NEARFIELD_DATA names another folder", folder.display())
    });
    check("data folder", result, Health::Failed, |()| folder.display().to_string())
}

/// Whether a model is here; it is not loaded.
fn model(role: &'static str, name: &str, registry: &Registry) -> Check {
    let resolved = registry.resolve(name).map_err(anyhow::Error::from);
    check(role, resolved, Health::Failed, |model| format!("{name} ({})", model.path().display()))
}

fn vision(config: &CaptionConfig, registry: &Registry) -> Check {
    match config.vision.model.as_str() {
        name if name != "none" && !loads_vision(config, registry) => Check {
            name: "vision model",
            status: Health::Ok,
            detail: format!("{name} is not used: the language model sees pictures itself"),
        },
        "none" => Check { name: "vision model", status: Health::Ok, detail: "none is wanted".to_owned() },
        name => model("vision model", name, registry),
    }
}

fn report_model(config: &ReportConfig, registry: &Registry) -> Check {
    match config.llm.model.as_str() {
        "none" => Check {
            name: "language model",
            status: Health::Ok,
            detail: "none is wanted: reports are computed".to_owned(),
        },
        name => model("language model", name, registry),
    }
}

/// Whether the models of a flow are here.
fn flow_check(flow: &FlowConfig, registry: &Registry) -> Check {
    let checks = match &flow.work {
        FlowWork::Voice { config, .. } => {
            vec![model("stt.model", &config.stt.model, registry), model("llm.model", &config.llm.model, registry)]
        }
        FlowWork::Caption { config, .. } => {
            vec![model("llm.model", &config.llm.model, registry), vision(config, registry)]
        }
        FlowWork::Report { config, .. } => vec![report_model(config, registry)],
    };
    let worst = checks.into_iter().find(|check| check.status != Health::Ok);
    let about = format!("{} ({})", flow.name, flow.work.kind());
    let (status, detail) = match worst {
        Some(check) => (check.status, format!("{about}: {}: {}", check.name, check.detail)),
        None => (Health::Ok, format!("{about}: its models are here")),
    };
    Check { name: "flow", status, detail }
}

pub(super) fn check<T>(
    name: &'static str,
    result: anyhow::Result<T>,
    otherwise: Health,
    ok: impl FnOnce(T) -> String,
) -> Check {
    match result {
        Ok(value) => Check { name, status: Health::Ok, detail: ok(value) },
        Err(error) => Check { name, status: otherwise, detail: chain(&error) },
    }
}

fn processor() -> Check {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let detail = format!("{}, {cores} cores, kernels: {}", std::env::consts::ARCH, nearfield_llm::simd_level());
    Check { name: "processor", status: Health::Ok, detail }
}

fn memory() -> Check {
    let mb = |key| nearfield_base::memory::of_system(key).map(|bytes| bytes / 1_000_000);
    match (mb("MemAvailable"), mb("MemTotal")) {
        (Some(available), Some(total)) => {
            let status = if available < 200 { Health::Warning } else { Health::Ok };
            Check { name: "memory", status, detail: format!("{available} MB of {total} MB are free") }
        }
        _ => Check { name: "memory", status: Health::Warning, detail: "unknown".to_owned() },
    }
}

fn stt(config: &VoiceConfig, registry: &Registry) -> Check {
    check("speech to text", voice::load_stt(config, registry), Health::Failed, |stt| {
        format!("{} ({})", config.stt.model, stt.path().display())
    })
}

fn llm(config: &VoiceConfig, registry: &Registry) -> Check {
    let loaded = voice::load_llm(config, registry).and_then(|llm| {
        llm.tokenizer()?;
        Ok(llm)
    });
    check("language model", loaded, Health::Failed, |llm| {
        let info = llm.info();
        format!("{} ({}, {}, {} threads)", config.llm.model, info.architecture, info.type_name(), llm.threads())
    })
}

fn tts(config: &VoiceConfig, registry: &Registry) -> Check {
    let spoken = voice::load_voice(config, registry).and_then(|mut voice| {
        let mut samples = 0;
        voice.speak("Test.", &mut |block| {
            samples += block.len();
            std::ops::ControlFlow::Continue(())
        })?;
        anyhow::ensure!(samples > 0, "{} made no sound", voice.name());
        Ok(voice.name().to_owned())
    });
    check("text to speech", spoken, Health::Failed, |name| format!("{name} speaks"))
}

fn onnx() -> Check {
    let runtime = nearfield_onnx::init().map_err(anyhow::Error::from);
    check("ONNX Runtime", runtime, Health::Warning, |r| {
        let has = Provider::ALL.into_iter().filter(|provider| provider.is_built_in().unwrap_or(false));
        let has: Vec<String> = has.map(|provider| provider.name().to_owned()).collect();
        format!("{} ({}), providers: {}", r.version, r.path.display(), has.join(", "))
    })
}

fn audio() -> [Check; 2] {
    [("microphone", Direction::Input), ("loudspeaker", Direction::Output)].map(|(name, direction)| {
        let default = devices::list().into_iter().find(|d| d.direction == direction && d.default);
        let found = default.ok_or_else(|| anyhow::anyhow!("none is usable; files serve instead (`nearfield devices`)"));
        check(name, found, Health::Warning, |d| format!("{} ({} Hz)", d.name, d.sample_rate_hz))
    })
}

/// The program that opens what `nearfield caption` can't open itself; `is_needed`: the input is such.
fn ffmpeg(program: &str, is_needed: bool) -> Check {
    const OPENS: &str =
        if cfg!(feature = "camera") { "videos and RTSP" } else { "videos, RTSP and cameras (/dev/video0)" };
    let found = match std::process::Command::new(program).arg("-version").output() {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            // "ffmpeg version 5.1.6-0+deb12u1 Copyright (c) ..."
            Ok(text.split_whitespace().nth(2).unwrap_or("of an unknown version").to_owned())
        }
        Ok(output) => {
            Err(anyhow::anyhow!("it does not run ({}); `nearfield caption` needs it for {OPENS}", output.status))
        }
        Err(error) if program != "ffmpeg" => Err(anyhow::anyhow!("source.ffmpeg {program} does not start: {error}")),
        Err(_) => Err(anyhow::anyhow!(
            "not installed; `nearfield caption` needs it for {OPENS}, not for pictures or MJPEG: `apt-get install ffmpeg`"
        )),
    };
    let otherwise = if is_needed { Health::Failed } else { Health::Warning };
    check("ffmpeg", found, otherwise, |version| format!("{version}: `nearfield caption` opens {OPENS} with it"))
}

fn models(registry: &Registry) -> Check {
    let mut bundled = 0;
    let mut pulled = 0;
    let (mut incomplete, mut missing) = (Vec::new(), Vec::new());
    for model in registry.models() {
        match registry.status(model) {
            Status::Bundled => bundled += 1,
            Status::Pulled => pulled += 1,
            Status::Incomplete if model.bundled => missing.push(model.name.clone()),
            Status::Incomplete => incomplete.push(model.name.clone()),
            Status::Available => {}
        }
    }
    let mut detail = format!("{bundled} bundled, {pulled} pulled, {} known", registry.models().len());
    if !incomplete.is_empty() {
        detail.push_str(&format!("; incomplete: {} (pull again)", incomplete.join(", ")));
    }
    if !missing.is_empty() {
        let help = "set NEARFIELD_ASSETS to the assets folder of a complete clone";
        detail.push_str(&format!("; bundled, but not here: {} ({help})", missing.join(", ")));
    }
    let status = if incomplete.is_empty() && missing.is_empty() { Health::Ok } else { Health::Warning };
    Check { name: "models", status, detail }
}

/// What leaves the device while the voice assistant runs.
fn network(config: &VoiceConfig) -> Check {
    let remote = &config.remote;
    let url = remote.url.split(['?', '#']).next().unwrap_or_default();
    let host = url.split("://").nth(1).unwrap_or_default().split('/').next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    let what = match remote.when {
        When::Never => {
            let detail = "nothing leaves this device (remote.when is \"never\")".to_owned();
            return Check { name: "network", status: Health::Ok, detail };
        }
        When::Pass => "the text of requests that are about nothing in the home",
        When::Always => {
            "the text of all requests that the sentence templates do not answer, the home's state and what is remembered"
        }
    };
    let is_here = ["localhost", "127.", "[::1]"].iter().any(|here| host.starts_with(here));
    let is_open = url.starts_with("http://") && !is_here;
    let mut detail =
        format!("to {host} ({}): {what}, with the system text and earlier turns; never sound", remote.model);
    if !remote.key_file.as_os_str().is_empty()
        && let Err(error) = nearfield_stages::remote::read_key(&remote.key_file)
    {
        let detail = format!("{detail}; its key can't be read from {}: {error}", remote.key_file.display());
        return Check { name: "network", status: Health::Failed, detail };
    }
    if is_open {
        detail.push_str("; unencrypted: use https:// where the network is not your own");
    }
    Check { name: "network", status: if is_open { Health::Warning } else { Health::Ok }, detail }
}

fn home(config: &VoiceConfig) -> Check {
    let file = &config.home.file;
    if file.as_os_str().is_empty() {
        let detail = "none is configured: name one with --home or home.file".to_owned();
        return Check { name: "home", status: Health::Warning, detail };
    }
    let loaded = nearfield_home::HomeFile::load(file).map_err(anyhow::Error::from);
    check("home", loaded, Health::Failed, |_| file.display().to_string())
}

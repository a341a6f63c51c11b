//! Measurements on this machine. Each verifies the result that it times, prints the machine and the SIMD level, and
//! gives medians of several runs.

mod caption;
pub(crate) mod report;
mod voice;

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, ensure};
use nearfield_base::range::in_range;
use nearfield_llm::{
    CacheType, Llm, LlmOptions, MeasureOptions, SessionOptions, measure, median, read_bandwidth, simd_level,
};
use nearfield_stages::flow::StopSignal;
use serde_json::{Value, json};
use std::ops::ControlFlow;

use crate::cli::{BenchArgs, BenchWhat, Usage};
use crate::config::{Config, VoiceConfig};
use crate::hub::registry::Registry;
use crate::load::voice::{load_stt, load_voice};
use crate::output::turn_report::ms;
use crate::recordings::{read_speech, recordings};

/// What is read to find the memory's bandwidth: far beyond the caches of small machines.
const BANDWIDTH_BYTES: usize = 256 << 20;

/// Sentences for `bench tts`: short, middling, long.
const SENTENCES: [&str; 3] = [
    "It is 21.5 degrees.",
    "The kitchen light is now on, and the front door is locked.",
    "The living room is the warmest room with 23 degrees, while the bedroom is at 18.5 degrees and the hall at 17.",
];

/// Runs a measurement.
///
/// # Errors
/// If something that it needs is missing, or a result is wrong.
pub fn run(args: &BenchArgs, stop: &StopSignal, out: &mut dyn Write) -> anyhow::Result<()> {
    if args.what == BenchWhat::Caption {
        return caption::run(args, out);
    }
    if args.what == BenchWhat::Report {
        return report::run(args, out);
    }
    let mut config = VoiceConfig::load(args.config.config.as_deref(), &args.config.set)?;
    if let Some(home) = &args.home {
        config.home.file = home.clone();
    }
    if let Some(model) = &args.model {
        match args.what {
            BenchWhat::Stt => config.stt.model.clone_from(model),
            BenchWhat::Tts => config.tts.model = Some(model.into()),
            BenchWhat::Voice | BenchWhat::Llm => config.llm.model.clone_from(model),
            BenchWhat::Caption | BenchWhat::Report => {}
        }
    }
    let registry = Registry::open()?;
    if !args.json {
        writeln!(
            out,
            "{} cores, kernels: {}, median of {} runs",
            std::thread::available_parallelism().map_or(1, |n| n.get()),
            simd_level(),
            args.runs
        )?;
    }
    match args.what {
        BenchWhat::Voice => voice::run(args, &config, &registry, stop, out),
        BenchWhat::Stt => stt_bench(args, &config, &registry, stop, out),
        BenchWhat::Llm => llm_bench(args, &config, &registry, out),
        BenchWhat::Caption => Ok(()),
        BenchWhat::Tts => tts_bench(args, &config, &registry, out),
        BenchWhat::Report => Ok(()),
    }
}

fn inputs(args: &BenchArgs, registry: &Registry) -> anyhow::Result<Vec<PathBuf>> {
    let path = match (&args.input, &registry.places().assets) {
        (Some(path), _) => path.clone(),
        (None, Some(assets)) => assets.join("speech"),
        (None, None) => anyhow::bail!("no recordings: name some with --input (the bundled ones come with a clone)"),
    };
    recordings(&path)
}

/// A result as the user wants it: an object, or a text.
pub(crate) fn emit(args: &BenchArgs, out: &mut dyn Write, value: &Value, text: &str) -> std::io::Result<()> {
    if args.json { writeln!(out, "{value}") } else { writeln!(out, "{text}") }
}

fn stt_bench(
    args: &BenchArgs,
    config: &VoiceConfig,
    registry: &Registry,
    stop: &StopSignal,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut stt = load_stt(config, registry)?;
    let (mut total_audio, mut total_time) = (0.0, 0.0);
    for file in inputs(args, registry)? {
        let samples = read_speech(&file, stop)?;
        let mut times = Vec::new();
        let mut text = None;
        for _ in 0..=args.runs {
            let begun = Instant::now();
            let heard = stt.transcribe(&samples, &mut || ControlFlow::Continue(()))?;
            times.push(ms(begun.elapsed()));
            let first = text.get_or_insert_with(|| heard.text.clone());
            ensure!(*first == heard.text, "{}: two runs heard {first:?} and {:?}", file.display(), heard.text);
        }
        let audio = samples.len() as f64 / 16.0; // 16 samples a millisecond
        let time = median(times.split_off(1)).context("no run")?; // The first run warms up.
        total_audio += audio;
        total_time += time;
        let text = text.unwrap_or_default();
        let line = json!({"file": file.display().to_string(), "text": text, "audio_ms": audio, "latency_ms": time, "real_time_factor": time / audio});
        emit(args, out, &line, &format!("{time:>8.1} ms for {audio:>7.0} ms of sound ({:.3})  {text}", time / audio))?;
    }
    let factor = total_time / total_audio;
    let line = json!({"bench": "stt", "audio_ms": total_audio, "latency_ms": total_time, "real_time_factor": factor});
    emit(args, out, &line, &format!("real-time factor {factor:.3} ({:.1} times faster than speech)", 1.0 / factor))?;
    Ok(())
}

fn tts_bench(args: &BenchArgs, config: &VoiceConfig, registry: &Registry, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut voice = load_voice(config, registry)?;
    let rate = voice.sample_rate();
    let mut firsts = Vec::new();
    for sentence in SENTENCES {
        let (mut first, mut whole, mut samples) = (Vec::new(), Vec::new(), 0);
        for _ in 0..args.runs {
            let begun = Instant::now();
            let mut heard = None;
            samples = 0;
            voice.speak(sentence, &mut |block| {
                heard.get_or_insert_with(|| begun.elapsed());
                samples += block.len();
                ControlFlow::Continue(())
            })?;
            whole.push(ms(begun.elapsed()));
            first.push(ms(heard.context("the voice made no sound")?));
        }
        let (first, whole) = (median(first).unwrap_or_default(), median(whole).unwrap_or_default());
        let audio = ms(rate.duration_of(samples));
        firsts.push(first);
        let line = json!({"text": sentence, "first_audio_ms": first, "total_ms": whole, "audio_ms": audio});
        emit(
            args,
            out,
            &line,
            &format!("first audio {first:>6.1} ms, all {whole:>6.1} ms for {audio:>6.0} ms of sound  {sentence}"),
        )?;
    }
    let first = median(firsts).unwrap_or_default();
    let line = json!({"bench": "tts", "voice": voice.name(), "first_audio_ms": first});
    emit(args, out, &line, &format!("{}: first audio after {first:.1} ms", voice.name()))?;
    Ok(())
}

fn llm_bench(args: &BenchArgs, config: &VoiceConfig, registry: &Registry, out: &mut dyn Write) -> anyhow::Result<()> {
    let model = config.llm.model.as_str();
    let path = registry.resolve(model)?.path().to_owned();
    let threads = args.threads.unwrap_or(config.llm.threads);
    in_range("--threads", threads, 0..=256).map_err(Usage)?;
    let llm = Llm::open(&path, &LlmOptions { threads })?;
    let cache = if args.cache == "q8_0" { CacheType::Q8_0 } else { CacheType::F16 };
    let (prompt, generate) = (args.prompt as usize, args.generate as usize);
    let session = SessionOptions { context_tokens: prompt + generate + 8, cache };
    let start = Instant::now();
    let now = || start.elapsed();
    let (mut resident, mut bandwidths, mut shares) = (0.0, Vec::new(), Vec::new());
    let mut beside = |read_gb_s: f64| {
        if bandwidths.is_empty() {
            resident = peak_mb(); // before the memory is read, which takes a buffer
        }
        if let Ok(bandwidth) = read_bandwidth(llm.threads(), BANDWIDTH_BYTES, &now) {
            bandwidths.push(bandwidth);
            shares.push(read_gb_s / bandwidth);
        }
    };
    let options = MeasureOptions { prompt, generate, repeats: args.runs as usize, session };
    let measured = measure(&llm, &options, &now, &mut beside)?;
    let no_memory = "not enough memory to measure the memory's speed";
    let (machine, share) = (median(bandwidths).context(no_memory)?, median(shares).context(no_memory)?);
    let mut line = serde_json::to_value(measured)?;
    let object = line.as_object_mut().context("a measurement is an object")?;
    for (key, value) in [
        ("bench", json!("llm")),
        ("model", json!(model)),
        ("architecture", json!(llm.info().architecture)),
        ("quantization", json!(llm.info().type_name())),
        ("threads", json!(llm.threads())),
        ("cache", json!(args.cache)),
        ("prompt", json!(prompt)),
        ("generate", json!(generate)),
        ("machine_gb_s", json!(machine)),
        ("bandwidth_share", json!(share)),
        ("resident_mb", json!(resident)),
        ("file_mb", json!(llm.info().file_bytes as f64 / 1e6)),
        ("level", json!(llm.info().simd)),
    ] {
        object.insert(key.to_owned(), value);
    }
    let m = measured;
    let text = format!(
        "{model} ({}, {}), {} threads, cache {}\nprefill {prompt} tokens: {:.1} tok/s; decode {generate}: {:.1} tok/s, {:.1} with every drafted token right\n\
         {:.1} MB read a token: {:.1} GB/s, {:.0} % of the {machine:.1} GB/s that this machine gave in the same seconds\n\
         first token: cold {:.1} ms, warm {:.1} ms; peak memory {resident:.0} MB (file {:.0} MB, cache {:.0} MB)",
        llm.info().architecture,
        llm.info().type_name(),
        llm.threads(),
        args.cache,
        m.prefill_tok_s,
        m.decode_tok_s,
        m.drafted_tok_s,
        m.bytes_per_token as f64 / 1e6,
        m.read_gb_s,
        100.0 * share,
        m.first_token_cold_ms,
        m.first_token_warm_ms,
        llm.info().file_bytes as f64 / 1e6,
        m.cache_bytes as f64 / 1e6,
    );
    emit(args, out, &line, &text)?;
    Ok(())
}

/// The process's peak resident memory, in MB; 0 where the system does not tell.
pub(crate) fn peak_mb() -> f64 {
    nearfield_base::memory::of_process("VmHWM").unwrap_or(0) as f64 / 1e6
}

//! `nearfield bench caption`: a camera before which little happens. How many pictures a second the gate takes, what the kept
//! cache saves at the language model, whether a change was missed, and how late captions are behind a live camera.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, ensure};
use crossbeam_channel::never;
use nearfield_llm::simd_level;
use nearfield_stages::caption::archive::ClipsFrom;
use nearfield_stages::caption::describe::{Describe, Reuse};
use nearfield_stages::caption::pictures::{Clock, PictureSource, natural_key};
use nearfield_stages::flow::{Stage, StopSignal, Turn, Turns};
use nearfield_stages::llm_thread::LlmThread;
use nearfield_stages::messages::{Captioned, Envelope, Seen, Shot, ShotContent, Tokens, View};
use nearfield_stages::voice::capture::Pace;
use nearfield_vision::{Gate, Picture, encode_jpeg};
use serde_json::json;
use std::ops::ControlFlow;

use crate::bench::{emit, peak_mb};
use crate::cli::BenchArgs;
use crate::config::Config;
use crate::config::caption::CaptionConfig;
use crate::flows::caption::{CaptionEvent, run as run_captioner};
use crate::hub::registry::Registry;
use crate::load::caption::{Captioner, Input, describe_options, read_pictures};
use crate::output::turn_report::ms;

/// Changes of scene in the sequence.
const CHANGES: usize = 6;
/// A change counts as found when its caption comes within so many pictures.
const WITHIN: usize = 8;
/// Pictures a second of the sequence, and of the live camera.
const FPS: f64 = 30.0;
/// Pictures of the live camera.
const LIVE_FRAMES: u64 = 300;
/// The runs that describe each picture are this long at most.
const COMPARED: usize = 300;

/// Runs the measurement.
///
/// # Errors
/// If something that it needs is missing, or a change of scene was missed.
pub fn run(args: &BenchArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut config = CaptionConfig::load(args.config.config.as_deref(), &args.config.set)?;
    if let Some(model) = &args.model {
        config.vision.model.clone_from(model);
    }
    let registry = Registry::open()?;
    if !args.json {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        writeln!(out, "{cores} cores, kernels: {}", simd_level())?;
    }
    let files = pictures(args, &registry)?;
    let scenes = read_pictures(&files)?;
    ensure!(scenes.len() >= 2, "a change of scene needs at least two pictures");
    let frames = args.frames as usize;
    let load = || Captioner::load(&config, &registry);

    let kept = describe_all(load()?, &config, &scenes, frames, Reuse::Scene)?;
    let compared = frames.min(COMPARED);
    let rebuilt = describe_all(load()?, &config, &scenes, compared, Reuse::Nothing)?;
    let prefix = describe_all(load()?, &config, &scenes, compared, Reuse::Prefix)?;
    let per_frame = |run: &Run| run.language.as_secs_f64() / run.frames as f64;
    let (against_rebuilt, against_prefix) =
        (per_frame(&rebuilt) / per_frame(&kept), per_frame(&prefix) / per_frame(&kept));
    let missed = kept.changes.iter().filter(|c| c.is_none()).count();
    let live = live_run(load()?, &config, &scenes)?;

    for (name, run) in
        [("gate and cache", &kept), ("prompt rebuilt each time", &rebuilt), ("only the prefix kept", &prefix)]
    {
        let t = run.tokens;
        let value = json!({
            "run": name, "frames": run.frames, "captions": run.captions, "described": run.described, "tokens": t,
            "language_ms": ms(run.language), "look_ms_a_frame": ms(run.look) / run.frames as f64,
        });
        let text = format!(
            "{name:<26}{:>6} pictures, {:>4} described: {:>8.1} ms at the language model; tokens {t}",
            run.frames,
            run.described,
            ms(run.language),
        );
        emit(args, out, &value, &text)?;
    }
    let gated = kept.frames as f64 / (kept.look + kept.judging).as_secs_f64();
    let captioned = rebuilt_rate(&prefix);
    let after: Vec<usize> = kept.changes.iter().flatten().copied().collect();
    let value = json!({
        "bench": "caption", "frames": kept.frames, "changes": kept.changes.len(), "missed": missed,
        "found_after_frames": after, "captions": kept.captions, "gated_fps": gated, "captioned_fps": captioned,
        "language_time_against_rebuilt": against_rebuilt, "language_time_against_prefix": against_prefix,
        "live_fps": FPS, "live_frames": LIVE_FRAMES, "live_gated": live.seen, "live_dropped": live.dropped,
        "live_captions": live.captions.len(), "picture_ms_p50": at(&live.all, 0.5), "picture_ms_p95": at(&live.all, 0.95),
        "caption_ms_p50": at(&live.captions, 0.5), "caption_ms_p95": at(&live.captions, 0.95),
        "resident_mb_early": kept.early_mb, "resident_mb": peak_mb(), "level": simd_level(),
    });
    let text = format!(
        "{gated:.0} pictures a second through vision and gate, {captioned:.0} a second when each is described\n\
         language-model time: {against_rebuilt:.1} times less than with the prompt rebuilt for each picture, {against_prefix:.1} \
         times less than with only the prefix kept\n\
         changes of scene: {} of {} found, after {after:?} pictures (the gate wants {} in a row)\n\
         behind a camera of {FPS:.0} pictures a second: {} of {LIVE_FRAMES} gated, {} dropped; picture to gate p50 {:.1} ms, p95 \
         {:.1} ms; picture to caption p50 {:.1} ms, p95 {:.1} ms ({} captions)\n\
         memory: {:.0} MB after a tenth, {:.0} MB at the end (peaks)",
        kept.changes.len() - missed,
        kept.changes.len(),
        config.gate.confirm_pictures,
        live.seen,
        live.dropped,
        at(&live.all, 0.5),
        at(&live.all, 0.95),
        at(&live.captions, 0.5),
        at(&live.captions, 0.95),
        live.captions.len(),
        kept.early_mb,
        peak_mb()
    );
    emit(args, out, &value, &text)?;
    ensure!(missed == 0, "{missed} of {} changes of scene were missed", kept.changes.len());
    Ok(())
}

fn rebuilt_rate(run: &Run) -> f64 {
    run.frames as f64 / (run.look + run.judging + run.language).as_secs_f64()
}

/// The pictures between which the scene changes: those of `--input`, else the bundled ones.
fn pictures(args: &BenchArgs, registry: &Registry) -> anyhow::Result<Vec<PathBuf>> {
    let folder = match (&args.input, &registry.places().assets) {
        (Some(path), _) => path.clone(),
        (None, Some(assets)) => assets.join("pictures"),
        (None, None) => anyhow::bail!("no pictures: name some with --input (the bundled ones come with a clone)"),
    };
    let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "jpg" || e == "png"))
        .collect();
    files.sort_by_cached_key(|f| natural_key(&f.to_string_lossy()));
    // Of several pictures of one scene (01-1.jpg, 01-2.jpg) the first.
    let scene =
        |f: &PathBuf| f.file_stem().map(|s| s.to_string_lossy().split('-').next().unwrap_or_default().to_owned());
    files.dedup_by_key(|f| scene(f));
    Ok(files)
}

/// What one run came to.
struct Run {
    frames: usize,
    /// Pictures for which the language model was called.
    described: usize,
    captions: usize,
    tokens: Tokens,
    look: Duration,
    judging: Duration,
    language: Duration,
    /// For each change, after how many pictures its caption came.
    changes: Vec<Option<usize>>,
    early_mb: f64,
}

/// Goes through the sequence one picture after the other.
fn describe_all(
    mut captioner: Captioner,
    config: &CaptionConfig,
    scenes: &[Picture],
    frames: usize,
    reuse: Reuse,
) -> anyhow::Result<Run> {
    let mut options = describe_options(config, &captioner);
    options.reuse = reuse;
    let (llm, thread) = LlmThread::start(captioner.llm.weights().clone());
    let words = captioner.vision.words().to_vec();
    let soft = captioner.vision.has_soft_tokens();
    let gate = Gate::new(config.gate.clone(), captioner.nominal.clone());
    let mut describe = Describe::new(llm, options, &words, soft, gate, Turns::default())?;
    let mut run = Run {
        frames,
        described: 0,
        captions: 0,
        tokens: Tokens::default(),
        look: Duration::ZERO,
        judging: Duration::ZERO,
        language: Duration::ZERO,
        changes: vec![None; CHANGES],
        early_mb: 0.0,
    };
    for i in 0..frames {
        let picture = Arc::new(disturbed(&scenes[scene_of(i, frames) % scenes.len()], i as u64));
        let begun = Instant::now();
        let sight = captioner.vision.look(&picture)?;
        run.look += begun.elapsed();
        let at = Duration::from_secs_f64(i as f64 / FPS);
        let view = View { name: String::new(), at, taken: begun, time: SystemTime::now(), picture };
        let mut done: Option<Captioned> = None;
        let begun = Instant::now();
        describe.take(Envelope::new(Turn(i as u64 + 1), Seen { view, sight }), &mut |c| {
            done = Some(c.body);
            ControlFlow::Continue(())
        })?;
        let c = done.context("the stage gave nothing")?;
        run.judging += begun.elapsed().saturating_sub(c.language);
        run.language += c.language;
        run.described += usize::from(c.tokens.prefilled + c.tokens.generated > 0);
        run.tokens += c.tokens;
        if c.changed {
            run.captions += 1;
            let scene = scene_of(i, frames);
            if scene > 0 {
                let first = (0..=i).rev().take_while(|j| scene_of(*j, frames) == scene).count() - 1;
                if first <= WITHIN {
                    run.changes[scene - 1].get_or_insert(first);
                }
            }
        }
        if i == frames / 10 {
            run.early_mb = peak_mb();
        }
    }
    drop(describe);
    let _ = thread.join();
    Ok(run)
}

/// The scene of a picture: all last equally long.
fn scene_of(frame: usize, frames: usize) -> usize {
    (frame * (CHANGES + 1) / frames).min(CHANGES)
}

/// A picture as another exposure of the same scene: shifted by up to two pixels, a little brighter or darker, with noise.
fn disturbed(scene: &Picture, seed: u64) -> Picture {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        // xorshift64*: repeatable noise.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33
    };
    let (w, h) = (scene.width() as usize, scene.height() as usize);
    let (dx, dy) = ((next() % 5) as usize, (next() % 5) as usize);
    let gain = 97 + (next() % 7) as i32;
    let mut rgb = Vec::with_capacity(w * h * 3);
    for y in 0..h {
        let row = (y + dy).saturating_sub(2).min(h - 1) * w;
        for x in 0..w {
            let pixel = (row + (x + dx).saturating_sub(2).min(w - 1)) * 3;
            let noise = next();
            for channel in 0..3 {
                let value =
                    i32::from(scene.rgb()[pixel + channel]) * gain / 100 + ((noise >> (channel * 4)) & 15) as i32 - 7;
                rgb.push(value.clamp(0, 255) as u8);
            }
        }
    }
    Picture::from_rgb(scene.width(), scene.height(), rgb, "the sequence").expect("as large as the scene")
}

/// A camera that never waits: the sequence at its own pace, as JPEGs.
struct SyntheticCamera {
    frames: Vec<Vec<u8>>,
    clock: Clock,
    given: usize,
}

impl PictureSource for SyntheticCamera {
    fn name(&self) -> String {
        "the sequence".to_owned()
    }

    fn open(&mut self, _stop: &StopSignal) -> anyhow::Result<()> {
        Ok(())
    }

    fn next(&mut self, stop: &StopSignal) -> anyhow::Result<Option<Shot>> {
        let at = Duration::from_secs_f64(self.given as f64 / FPS);
        let Some(frame) = self.frames.get(self.given) else { return Ok(None) };
        if self.clock.wait_for(at, stop).is_break() {
            return Ok(None);
        }
        self.given += 1;
        let content = ShotContent::File(frame.clone());
        Ok(Some(Shot { name: self.given.to_string(), at, taken: Instant::now(), time: SystemTime::now(), content }))
    }
}

struct Live {
    /// Milliseconds from each picture to the gate's word, and from those that were captioned to the caption; sorted.
    all: Vec<f64>,
    captions: Vec<f64>,
    seen: usize,
    dropped: u64,
}

fn live_run(captioner: Captioner, config: &CaptionConfig, scenes: &[Picture]) -> anyhow::Result<Live> {
    let n = LIVE_FRAMES as usize;
    let frames: Result<Vec<_>, _> =
        (0..n).map(|i| encode_jpeg(&disturbed(&scenes[scene_of(i, n) % scenes.len()], i as u64), 85)).collect();
    let source = Box::new(SyntheticCamera { frames: frames?, clock: Clock::new(Pace::Realtime), given: 0 });
    let input = Input { source, live: true, stills: false, clips: ClipsFrom::Nothing };
    let mut live = Live { all: Vec::new(), captions: Vec::new(), seen: 0, dropped: 0 };
    run_captioner(captioner, config, input, Some(LIVE_FRAMES), &never(), &mut |told| {
        if let CaptionEvent::Captioned(done) = told {
            live.seen += 1;
            live.dropped = done.dropped;
            match done.captioned.changed {
                true => live.captions.push(ms(done.latency)),
                false => live.all.push(ms(done.latency)),
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    live.dropped = live.dropped.max(LIVE_FRAMES - live.seen as u64);
    live.all.sort_by(f64::total_cmp);
    live.captions.sort_by(f64::total_cmp);
    Ok(live)
}

/// The value below which this part of the sorted values lies.
fn at(sorted: &[f64], part: f64) -> f64 {
    sorted.get(((sorted.len() as f64 * part).ceil() as usize).saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

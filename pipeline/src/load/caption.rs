//! What a captioner is made of: its models and its source, and how the language model is prompted.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use nearfield_base::redact::redacted;
use nearfield_llm::{Constrained, Constraint, SessionOptions, VisionTower};
use nearfield_onnx::OnnxOptions;
use nearfield_stages::caption::alerts::Alerts;
use nearfield_stages::caption::archive::{Archive, ClipsFrom};
use nearfield_stages::caption::describe::{Describe, DescribeOptions, Reuse, SecondOpinion};
use nearfield_stages::caption::events::{Assembler, Follow};
use nearfield_stages::caption::look::Look;
use nearfield_stages::caption::pictures::{
    Ffmpeg, FfmpegOptions, HttpCamera, JpegStream, PictureFiles, PictureSource, ReconnectPauses, check_scheme, is_video,
};
use nearfield_stages::caption::ring::{Ring, RingOptions};
use nearfield_stages::flow::Flow;
use nearfield_stages::outlets::Publish;
use nearfield_stages::voice::capture::Pace;
use nearfield_vision::{Beside, Gate, Motion, Picture, VisionError, VisionManifest, VisionModel};

use crate::cli::Usage;
use crate::config::caption::{CaptionConfig, VisionConfig};
use crate::config::{ConfigError, located, read};
use crate::hub::registry::{Kind, PromptForm, Registry, Role};
use crate::load::outlets::outlets;
use crate::load::shared::{FlowLlm, SharedModels};
use crate::prompts;

/// Room for the prompt and a caption where the configuration leaves it open; more than the bundled models need.
const DEFAULT_CONTEXT_TOKENS: usize = 512;
/// The same where pictures are embeddings of the language model's own: with `vision.tokens` as it is, projectors that can't do with so few
/// come to some six hundred.
const SEEING_CONTEXT_TOKENS: usize = 2048;
/// The longest caption where the configuration leaves it open.
const MAX_CAPTION_TOKENS: usize = 64;

/// The models of a captioner, loaded and ready.
pub struct Captioner {
    /// The language model.
    pub llm: FlowLlm,
    /// How it was trained to be prompted.
    pub prompt: PromptForm,
    /// The vision model.
    pub vision: VisionModel,
    /// The language model's own projector, where it sees pictures itself.
    pub tower: Option<Arc<VisionTower>>,
    /// The embedding of the picture of nothing going on.
    pub nominal: Option<Vec<f32>>,
    /// What captions must fit.
    pub constraint: Option<Constrained>,
    /// Those who deliver to other machines.
    pub publishers: Vec<Publish>,
    /// Who publishes objects.
    #[cfg(feature = "mqtt")]
    pub frigate: Option<nearfield_stages::outlets::frigate::Frigate>,
}

impl Captioner {
    /// Loads everything that `config` names.
    ///
    /// # Errors
    /// Whatever is missing or broken, naming it and how to fix it.
    pub fn load(config: &CaptionConfig, registry: &Registry) -> anyhow::Result<Self> {
        let mut captioner = Self::load_models(config, registry, None)?;
        let object = config.source.outlet_name();
        captioner.deliver_as(&object, config, registry)?;
        Ok(captioner)
    }

    /// Opens its outlets; `object` is what its captions are called there.
    ///
    /// # Errors
    /// An address, a secret or the spool can't be used.
    pub fn deliver_as(&mut self, object: &str, config: &CaptionConfig, registry: &Registry) -> anyhow::Result<()> {
        self.publishers = outlets(&config.outlets, &config.mqtt, object, registry)?;
        #[cfg(feature = "mqtt")]
        if config.frigate.enabled && !self.vision.object_labels().is_empty() {
            self.frigate = Some(super::mqtt::frigate(config, object, registry)?);
        }
        Ok(())
    }

    /// Its models, some of which other flows of the process may use too; nobody is delivered to.
    ///
    /// # Errors
    /// Whatever is missing or broken, naming it and how to fix it.
    pub fn load_models(
        config: &CaptionConfig,
        registry: &Registry,
        shared: Option<&SharedModels>,
    ) -> anyhow::Result<Self> {
        let model = registry.resolve_as(&config.llm.model, crate::load::LANGUAGE).context("llm.model")?;
        let llm = FlowLlm::load(&config.llm, registry, shared)?;
        let tower = super::projector::load(&config.llm, registry, llm.weights())?;
        let mut vision = match wants_vision(config, tower.is_some()) {
            true => load_vision(config, registry)?,
            false => VisionModel::none(),
        };
        check_objects(config, &vision)?;
        let nominal = match config.nominal.picture.as_os_str().is_empty() {
            true => None,
            false => {
                let picture = Picture::read(&config.nominal.picture).context("nominal.picture")?;
                Some(vision.look(&picture)?.embedding)
            }
        };
        let constraint = match config.output.schema.as_os_str().is_empty() {
            true => None,
            false => {
                let path = &config.output.schema;
                let text = read(path).context("output.schema")?;
                let mut schema: serde_json::Value =
                    nearfield_base::json::from_slice(text.as_bytes()).map_err(|e| ConfigError::Wrong {
                        place: path.display().to_string(),
                        reason: if e.is_data() { e.to_string() } else { format!("it is not JSON: {e}") },
                    })?;
                // A caption is one line, and a small model can go on with white space for ever.
                if let Some(object) = schema.as_object_mut() {
                    object.entry("x-guidance").or_insert_with(|| serde_json::json!({"whitespace_flexible": false}));
                }
                let constraint = Constraint::JsonSchema(schema);
                llm.weights().check_constraint(&constraint).context("output.schema")?;
                Some(Constrained { constraint, after: None })
            }
        };
        Ok(Self {
            llm,
            prompt: model.prompt,
            vision,
            tower,
            nominal,
            constraint,
            publishers: Vec::new(),
            #[cfg(feature = "mqtt")]
            frigate: None,
        })
    }

    /// The stages that need its models, over the language model's thread in `flow`; `stills`: pictures were chosen one by one.
    ///
    /// # Errors
    /// See [`Describe::new`].
    pub(crate) fn stages_in<N>(
        self,
        flow: &mut Flow<N>,
        config: &CaptionConfig,
        stills: bool,
    ) -> anyhow::Result<(Look, Describe, Follow)> {
        let options = describe_options(config, &self);
        let Captioner { llm, vision, nominal, constraint, .. } = self;
        let options = DescribeOptions { constraint, ..options };
        let (llm, turns) = (llm.start_in(flow), flow.turns());
        let mut gate = config.gate.clone();
        if stills {
            // Nothing follows that could confirm a picture, or what it reads.
            (gate.confirm_pictures, gate.min_interval_ms, gate.words) = (1, 0, false);
        }
        let (words, soft) = (vision.words().to_vec(), vision.has_soft_tokens());
        let describe = Describe::new(llm, options, &words, soft, Gate::new(gate, nominal), turns)?;
        let finds_objects = !vision.object_labels().is_empty();
        let look = match finds_objects && config.motion.enabled && !stills {
            true => Look::with_motion(vision, Motion::new(config.motion.clone())),
            false => Look::new(vision),
        };
        // Pictures that were chosen one by one show no movement.
        let assembler = (finds_objects && !stills).then(|| {
            let (zones, lines) = (config.zones.clone(), config.lines.clone());
            Assembler::new(&config.source.camera, config.event.clone(), config.track.clone(), zones, lines)
        });
        let alerts = Alerts::new(config.alerts.clone(), config.zones.clone());
        Ok((look, describe, Follow::new(assembler, alerts)))
    }
}

/// Whether a vision model is loaded beside a language model that has a projector, or has none. What the bundled encoder knows is nothing to a
/// model that sees for itself.
fn wants_vision(config: &CaptionConfig, has_projector: bool) -> bool {
    let model = &config.vision.model;
    model != "none" && !(has_projector && *model == VisionConfig::default().model)
}

/// Whether [`Captioner::load`] loads a vision model. Where the language model is missing, as if it had no projector.
pub(crate) fn loads_vision(config: &CaptionConfig, registry: &Registry) -> bool {
    let projector = super::projector::find(&config.llm, registry);
    wants_vision(config, projector.is_ok_and(|path| path.is_some()))
}

/// As [`check_objects`], of the vision model that [`Captioner::load`] loads; answers how many labels it has.
///
/// # Errors
/// The model can't be loaded, or does not have a label that the configuration names.
pub(crate) fn check_labels(config: &CaptionConfig, registry: &Registry) -> anyhow::Result<usize> {
    let vision = match loads_vision(config, registry) {
        true => load_vision(config, registry)?,
        false => VisionModel::none(),
    };
    check_objects(config, &vision)?;
    Ok(vision.object_labels().len())
}

/// Holds the objects that the configuration names to the labels that the vision model can give: one that never comes is a mistake.
fn check_objects(config: &CaptionConfig, vision: &VisionModel) -> Result<(), ConfigError> {
    const LISTED: usize = 12;
    let labels = vision.object_labels();
    let model = &config.vision.model;
    let alerts = config.alerts.iter().map(|rule| (format!("the alert {}", rule.name), &rule.objects));
    let zones = config.zones.iter().map(|zone| (format!("the zone {}", zone.name), &zone.objects));
    let lines = config.lines.iter().map(|line| (format!("the line {}", line.name), &line.objects));
    let events = std::iter::once(("event.objects".to_owned(), &config.event.objects));
    for (place, objects) in alerts.chain(zones).chain(lines).chain(events) {
        let Some(unknown) = objects.iter().find(|object| !labels.contains(object.as_str())) else { continue };
        let distance = |label: &str| strsim::jaro_winkler(&label.to_lowercase(), &unknown.to_lowercase());
        let nearest = labels.iter().copied().max_by(|a, b| distance(a).total_cmp(&distance(b)));
        let hint = match nearest.filter(|label| distance(label) >= 0.8) {
            Some(nearest) => format!("did you mean {nearest:?}?"),
            None if labels.is_empty() => {
                "it finds no objects: use words, or a model with objects as vision.model".to_owned()
            }
            None => {
                let more = if labels.len() > LISTED { ", ..." } else { "" };
                format!("it finds {}{more}", labels.iter().take(LISTED).copied().collect::<Vec<_>>().join(", "))
            }
        };
        let reason = format!("the vision model {model} finds no object {unknown:?}; {hint}");
        return Err(ConfigError::Wrong { place, reason });
    }
    Ok(())
}

/// The vision model that `config` names: with its manifest, or recognized from its file where there is none.
///
/// # Errors
/// If it is unknown, not there, or broken.
pub fn load_vision(config: &CaptionConfig, registry: &Registry) -> anyhow::Result<VisionModel> {
    if config.vision.model == "none" {
        return Ok(VisionModel::none());
    }
    let model = registry.resolve_as(&config.vision.model, &[Kind::Vision]).context("vision.model")?;
    let options = OnnxOptions {
        threads: config.vision.threads,
        providers: config.vision.providers.clone(),
        required: config.vision.required,
    };
    let beside_it = model.path().with_extension("toml");
    let listed = model.file(Role::Config).filter(|file| file.extension().is_some_and(|e| e == "toml"));
    let manifest = if !config.vision.manifest.as_os_str().is_empty() {
        Some(config.vision.manifest.clone())
    } else {
        listed.map(Path::to_owned).or_else(|| beside_it.exists().then_some(beside_it))
    };
    let vision = match manifest {
        None => {
            let mut beside = Beside::of(model.path());
            beside.config = model.file(Role::Labels).map(Path::to_owned).or(beside.config);
            beside.preprocessing = model.file(Role::Preprocessing).map(Path::to_owned).or(beside.preprocessing);
            VisionModel::recognize(model.path(), &beside, &options).context("vision.model")?
        }
        Some(path) => {
            let text = read(&path).context("vision.manifest")?;
            let manifest: VisionManifest = toml::from_str(&text).map_err(|e| located(&path, &text, &e))?;
            manifest.check().map_err(|reason| ConfigError::Wrong { place: path.display().to_string(), reason })?;
            let folder = path.parent().unwrap_or(Path::new(""));
            VisionModel::open(model.path(), manifest, folder, &options).map_err(|error| match error {
                VisionError::Manifest { .. } | VisionError::Labels { .. } => {
                    anyhow::Error::new(error).context(format!("vision.manifest: {} does not fit", path.display()))
                }
                error => error.into(),
            })?
        }
    };
    if let Some(provider) = vision.provider() {
        tracing::info!(model = config.vision.model, %provider, "the vision model is open");
    }
    Ok(vision)
}

/// A source, and how it is to be treated.
pub struct Input {
    /// The source.
    pub source: Box<dyn PictureSource>,
    /// Whether its pictures come whether we are ready or not: then only the newest waits, and it is reconnected.
    pub live: bool,
    /// Whether its pictures were chosen one by one: then each is worth a look.
    pub stills: bool,
    /// Where its clips are cut from.
    pub clips: ClipsFrom,
}

/// The source that `input` means.
///
/// # Errors
/// If there is none.
pub fn open_input(input: &str, realtime: bool, config: &CaptionConfig) -> anyhow::Result<Input> {
    check_scheme(input).map_err(|what| Usage(format!("{}: {what}", redacted(input))))?;
    let source = &config.source;
    let pace = if realtime { Pace::Realtime } else { Pace::Fast };
    let stall = Duration::from_millis(source.stall_ms);
    let poll = Duration::from_secs_f64(source.poll_s);
    let path = path_of(input);
    let is_still = [".jpg", ".jpeg", ".png", ".webp"].iter().any(|end| path.to_lowercase().ends_with(end));
    let options = |ring: Option<Ring>| {
        let (program, fps, max_width) = (source.ffmpeg.clone(), source.fps, source.max_width);
        let poll = (input.starts_with("https://") && is_still).then_some(poll);
        FfmpegOptions { program, fps, max_width, pace, stall, ring, poll }
    };
    let ffmpeg = |ring: Option<Ring>| Box::new(Ffmpeg::new(input, options(ring)));
    let none = ClipsFrom::Nothing;
    if input.is_empty() {
        return Err(
            Usage("where do the pictures come from? Name a source with --input, or as source.input".into()).into()
        );
    }
    Ok(match InputKind::of(input) {
        InputKind::Jpegs => Input { source: Box::new(JpegStream::stdin()), live: realtime, stills: false, clips: none },
        InputKind::HttpCamera => {
            Input { source: Box::new(HttpCamera::new(input, stall, poll)), live: true, stills: false, clips: none }
        }
        InputKind::Camera => match camera(input, config) {
            Some(camera) => Input { source: Box::new(camera), live: true, stills: false, clips: none },
            // Such a camera's packets are as large as its pictures, or as JPEGs.
            None => Input { source: ffmpeg(None), live: true, stills: false, clips: none },
        },
        InputKind::Stream => {
            let ring = if config.clips.enabled { Some(ring(config)?) } else { None };
            let clips = ring.clone().map_or(ClipsFrom::Nothing, ClipsFrom::Ring);
            Input { source: ffmpeg(ring), live: true, stills: false, clips }
        }
        InputKind::Video => {
            let clips = if config.clips.enabled { ClipsFrom::File(input.into()) } else { none };
            Input { source: ffmpeg(None), live: realtime, stills: false, clips }
        }
        InputKind::Files => {
            let files = PictureFiles::new(input, source.interval(), pace).with_videos(options(None));
            let moves = files.list().is_ok_and(|list| list.iter().any(|file| is_a_video(file)));
            Input { source: Box::new(files), live: realtime, stills: !realtime && !moves, clips: none }
        }
    })
}

/// What an input is by its name.
enum InputKind {
    /// JPEGs on standard input.
    Jpegs,
    /// An address that Nearfield asks itself.
    HttpCamera,
    /// A camera of this machine.
    Camera,
    /// An address that ffmpeg opens.
    Stream,
    /// One video.
    Video,
    /// A picture, a folder or a pattern.
    Files,
}

impl InputKind {
    fn of(input: &str) -> Self {
        let is_video = is_video(path_of(input));
        // `clips/*.mp4` is a pattern, unless a file has this very name.
        let name = Path::new(input).file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let are_several = Path::new(input).is_dir() || (name.contains(['*', '?', '[']) && !Path::new(input).exists());
        match input {
            "-" => Self::Jpegs,
            _ if input.starts_with("http://") && !is_video => Self::HttpCamera,
            _ if input.starts_with("/dev/video") => Self::Camera,
            _ if input.contains("://") => Self::Stream,
            _ if is_video && !are_several => Self::Video,
            _ => Self::Files,
        }
    }
}

/// Whether [`open_input`] opens an input with ffmpeg, as far as can be told now.
pub(crate) fn needs_ffmpeg(input: &str, config: &CaptionConfig) -> bool {
    match InputKind::of(input) {
        InputKind::Jpegs | InputKind::HttpCamera => false,
        InputKind::Camera => !cfg!(feature = "camera"),
        InputKind::Stream | InputKind::Video => true,
        InputKind::Files => {
            let files = PictureFiles::new(input, config.source.interval(), Pace::Fast).list();
            files.is_ok_and(|list| list.iter().any(|file| is_a_video(file)))
        }
    }
}

/// Of an address what stands before its query, of anything else all.
fn path_of(input: &str) -> &str {
    if input.contains("://") { input.split(['?', '#']).next().unwrap_or_default() } else { input }
}

fn is_a_video(path: &Path) -> bool {
    is_video(&path.to_string_lossy())
}

/// The ring of what a camera sent, as long as an event may be.
fn ring(config: &CaptionConfig) -> anyhow::Result<Ring> {
    let (event, clips) = (&config.event, &config.clips);
    let folder = match clips.recent.as_os_str().is_empty() {
        true => event.folder.join("recent"),
        false => clips.recent.clone(),
    };
    let folder = folder.join(config.source.outlet_name());
    let seconds = event.max_s + event.quiet_s + clips.before_s + clips.after_s + 3.0 * clips.segment_s + 60.0;
    let options = RingOptions { folder, segment_s: clips.segment_s, keep: Duration::from_secs_f64(seconds) };
    let shown = options.folder.display().to_string();
    Ring::open(options).with_context(|| format!("clips.recent: {shown} can't be written"))
}

/// The stage that keeps events on disk; `None` where none are kept.
///
/// # Errors
/// The folder can't be used.
pub(crate) fn archive(config: &CaptionConfig, clips: ClipsFrom) -> anyhow::Result<Option<Archive>> {
    let event = &config.event;
    if event.folder.as_os_str().is_empty() {
        return Ok(None);
    }
    let keep = config.keep_events().map_err(anyhow::Error::msg)?;
    let (camera, options) = (&config.source.camera, config.clips.clone());
    Archive::open(camera, &event.folder, keep, options, clips, &config.source.ffmpeg).map(Some)
}

/// A camera of the system, where this program can open one itself.
#[cfg(feature = "camera")]
fn camera(input: &str, config: &CaptionConfig) -> Option<nearfield_stages::caption::pictures::Camera> {
    use nearfield_stages::caption::pictures::{Camera, V4l2Camera};
    let source = &config.source;
    let device = V4l2Camera::new(input, source.fps, source.max_width);
    input
        .starts_with("/dev/video")
        .then(|| Camera::new(Box::new(device), source.interval(), Duration::from_millis(source.stall_ms)))
}

/// Without the feature `camera`, ffmpeg opens cameras.
#[cfg(not(feature = "camera"))]
fn camera(_input: &str, _config: &CaptionConfig) -> Option<nearfield_stages::caption::pictures::Camera> {
    None
}

/// How the captioner's model is prompted, as `config` says.
pub fn describe_options(config: &CaptionConfig, captioner: &Captioner) -> DescribeOptions {
    let (llm, form) = (captioner.llm.weights(), &captioner.prompt);
    let max_tokens = config.llm.max_tokens_or(MAX_CAPTION_TOKENS);
    let budget = Some(config.vision.tokens).filter(|tokens| *tokens > 0);
    let tower = captioner.tower.clone().map(|tower| (tower, budget));
    let least = if tower.is_some() { SEEING_CONTEXT_TOKENS } else { DEFAULT_CONTEXT_TOKENS };
    let context_tokens = match config.llm.context_tokens {
        0 => llm.info().context_length.clamp(64, least.max(max_tokens * 4)),
        set => set,
    };
    let prompt = &config.prompt;
    DescribeOptions {
        system: prompts::caption_system(&prompt.system, form),
        question: prompts::caption_question(&prompt.question, form, tower.is_some()),
        picture_token: form.picture_token.clone(),
        second_opinion: prompt.second_opinion.then(|| SecondOpinion {
            question: prompt.second_question.clone(),
            yes: prompt.yes.clone(),
            no: prompt.no.clone(),
            margin: prompt.margin,
        }),
        nominal_caption: config.nominal.caption.clone(),
        by_rule: config.caption.by_rule,
        // What it sees itself no other model's words are held against.
        must_name: config.caption.must_name && tower.is_none(),
        without_vision: captioner.vision.only_compares() && tower.is_none(),
        session: SessionOptions { context_tokens, cache: config.llm.cache },
        sampler: config.llm.sampler,
        max_caption_tokens: max_tokens.min(context_tokens / 2),
        constraint: None,
        presence: config.presence.clone(),
        reuse: Reuse::Scene,
        tower,
    }
}

/// How a source is reconnected; `again`: whether it is at all.
pub(crate) fn reconnect_pauses(config: &CaptionConfig, again: bool) -> ReconnectPauses {
    ReconnectPauses {
        again,
        first: Duration::from_millis(config.source.retry_ms),
        longest: Duration::from_millis(config.source.retry_max_ms),
    }
}

/// The pictures of a folder or pattern, unpacked, for measuring.
///
/// # Errors
/// If one can't be read.
pub fn read_pictures(files: &[PathBuf]) -> anyhow::Result<Vec<Picture>> {
    files.iter().map(|path| Ok(Picture::read(path)?)).collect()
}

#[cfg(test)]
mod tests;

//! `caption.toml`: the camera captioner.

use std::path::PathBuf;
use std::time::Duration;

use nearfield_base::range::in_range;
use nearfield_onnx::Provider;
use nearfield_stages::caption::alerts::AlertRule;
use nearfield_stages::caption::archive::{ClipOptions, EventRetention};
use nearfield_stages::caption::describe::{CAPTION, PICTURE};
use nearfield_stages::caption::events::EventOptions;
use nearfield_telemetry::window::Length;
use nearfield_vision::{Flip, Framing, GateOptions, Line, MotionOptions, PresenceOptions, TrackOptions, Zone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Config, LlmConfig, MqttConfig, OutletConfig};

/// The whole of `caption.toml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CaptionConfig {
    /// Where pictures come from.
    pub source: SourceConfig,
    /// The vision model.
    pub vision: VisionConfig,
    /// When a scene has changed: a picture whose embedding is close to the described one's costs no time at the language model.
    pub gate: GateOptions,
    /// The nominal picture.
    pub nominal: NominalConfig,
    /// When an object has come or gone, of models that find objects; written to the file of `--events`.
    pub presence: PresenceOptions,
    /// Pictures in which something moves; models that find objects look at no others.
    pub motion: MotionOptions,
    /// How objects are followed from picture to picture, of models that find objects.
    pub track: TrackOptions,
    /// What objects do from their coming to their going, written to the file of `--events`, to `event.folder` and, with `[frigate]`, to
    /// a broker.
    pub event: EventOptions,
    /// Clips of events: copied from what the camera sent, not encoded.
    pub clips: ClipOptions,
    /// Objects over MQTT in the layout of Frigate's topics, with counts and pictures for Home Assistant.
    pub frigate: FrigateConfig,
    /// The language model.
    pub llm: LlmConfig,
    /// The prompts of the language model. `{picture}` becomes soft tokens, words, or labels with their places, whichever the
    /// two models understand.
    pub prompt: CaptionPromptConfig,
    /// What becomes a caption.
    pub caption: CaptionRules,
    /// What is printed.
    pub output: OutputConfig,
    /// Other machines that get captions and alerts.
    pub outlets: OutletConfig,
    /// How brokers are spoken to.
    pub mqtt: MqttConfig,
    /// Parts of the picture, as polygons, in which objects stay.
    pub zones: Vec<Zone>,
    /// Lines that objects cross, which are counted each way.
    pub lines: Vec<Line>,
    /// Rules that raise an event of their own.
    pub alerts: Vec<AlertRule>,
}

impl CaptionConfig {
    /// What of the events is kept.
    ///
    /// # Errors
    /// The age is no duration.
    pub fn keep_events(&self) -> Result<EventRetention, String> {
        let age = match self.event.keep.as_str() {
            "" => None,
            text => {
                let age: Length = text.parse().map_err(|e| format!("keep: {e}"))?;
                Some(Duration::from_secs_f64(age.seconds()))
            }
        };
        Ok(EventRetention { age, bytes: self.event.keep_bytes })
    }

    /// Zones and lines have names of their own, and alerts name zones that there are.
    fn check_places(&self) -> Result<(), String> {
        self.zones.iter().try_for_each(Zone::check)?;
        self.lines.iter().try_for_each(Line::check)?;
        let zones: Vec<&str> = self.zones.iter().map(|z| z.name.as_str()).collect();
        let lines: Vec<&str> = self.lines.iter().map(|l| l.name.as_str()).collect();
        for (key, names) in [("zones", &zones), ("lines", &lines)] {
            if let Some(at) = (1..names.len()).find(|at| names[..*at].contains(&names[*at])) {
                return Err(format!("two of [[{key}]] have the name {:?}: give one of them another", names[at]));
            }
        }
        for rule in &self.alerts {
            if let Some(unknown) = rule.zones.iter().find(|zone| !zones.contains(&zone.as_str())) {
                let there = if zones.is_empty() {
                    "there are none".to_owned()
                } else {
                    format!("there are {}", zones.join(", "))
                };
                return Err(format!(
                    "the alert {}: zones has {unknown:?}, which is none of [[zones]]; {there}",
                    rule.name
                ));
            }
        }
        Ok(())
    }
}

/// Objects over MQTT in the layout of Frigate's topics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FrigateConfig {
    /// Whether they are published, at the broker of `outlets.mqtt`.
    pub enabled: bool,
    /// The first part of the topics: PREFIX/events, PREFIX/CAMERA/LABEL, PREFIX/CAMERA/LABEL/snapshot, PREFIX/ZONE/LABEL.
    pub prefix: String,
}

impl Default for FrigateConfig {
    fn default() -> Self {
        Self { enabled: false, prefix: "frigate".to_owned() }
    }
}

/// Where pictures come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SourceConfig {
    /// As `--input`: a folder or a pattern of pictures and videos, a picture, a video, rtsp://, http:// (MJPEG or a still picture), /dev/video0, or
    /// "-" (JPEGs on stdin). A login stands in the address, as in rtsp://USER:PASSWORD@HOST/; it is shown nowhere.
    pub input: String,
    /// The camera's name in the output; one other than this has a sensor of its own in Home Assistant.
    pub camera: String,
    /// Pictures a second taken from videos and streams; still pictures are as far apart.
    pub fps: f64,
    /// Wider frames of videos and streams are scaled down to this; 0: never.
    pub max_width: u32,
    /// Degrees clockwise by which pictures are turned: 0, 90, 180 or 270.
    pub rotate: u32,
    /// How they are mirrored then: "none", "horizontal" (left and right change places) or "vertical".
    pub flip: Flip,
    /// The part of them that is looked at: x, y, width, height, each from 0 to 1. Empty: all.
    pub crop: Vec<f32>,
    /// Parts of that which are made black before anything sees them, snapshots included: x, y, width, height, as in [[0.0, 0.0, 0.3, 1.0]],
    /// or the corners of a polygon, x1, y1, x2, y2, x3, y3 and so on.
    pub masks: Vec<Vec<f32>>,
    /// An http:// or https:// address of a still picture is asked for one so often, in seconds.
    pub poll_s: f64,
    /// A live source without a picture for so long counts as disconnected.
    pub stall_ms: u64,
    /// Pause before reconnecting to it; doubled each time.
    pub retry_ms: u64,
    /// The longest such pause.
    pub retry_max_ms: u64,
    /// The program that opens videos, rtsp:// and (but for builds with the feature camera) cameras.
    pub ffmpeg: String,
}

impl Default for SourceConfig {
    fn default() -> Self {
        Self {
            input: String::new(),
            camera: "camera".to_owned(),
            fps: 10.0,
            max_width: 640,
            rotate: 0,
            flip: Flip::None,
            crop: Vec::new(),
            masks: Vec::new(),
            poll_s: 1.0,
            stall_ms: 10_000,
            retry_ms: 1000,
            retry_max_ms: 30_000,
            ffmpeg: "ffmpeg".to_owned(),
        }
    }
}

impl SourceConfig {
    /// What the captions of a camera are called in topics, in Home Assistant and in the spool: each camera with a name of its own has its
    /// own.
    pub fn outlet_name(&self) -> String {
        if self.camera == Self::default().camera {
            return "caption".to_owned();
        }
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
        let name = self.camera.chars().map(plain).collect::<String>();
        match self.camera.contains(|c: char| c.is_ascii_alphanumeric()) {
            true => format!("caption_{name}"),
            // "大门" and "后门" are two, though no letter of them may stand in a name of Home Assistant.
            false => format!("caption_{:08x}", crc32fast::hash(self.camera.as_bytes())),
        }
    }

    /// The time between two pictures.
    pub fn interval(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.fps)
    }

    /// What of each picture is looked at.
    ///
    /// # Errors
    /// One sentence that names the key and what is accepted.
    pub fn framing(&self) -> Result<Framing, String> {
        Framing::new(self.rotate, self.flip, &self.crop, &self.masks)
    }

    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        self.framing()?;
        in_range("fps", self.fps, 0.001..=1000.0)?;
        in_range("max_width", self.max_width, 0..=16_384)?;
        in_range("poll_s", self.poll_s, 0.05..=86_400.0)?;
        in_range("stall_ms", self.stall_ms, 10..=86_400_000)?;
        in_range("retry_ms", self.retry_ms, 1..=86_400_000)?;
        in_range("retry_max_ms", self.retry_max_ms, 1..=86_400_000)
    }
}

/// The vision model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VisionConfig {
    /// A name from `nearfield models list`, the path of an ONNX file, or "none": pictures are only compared. With a language model that
    /// sees pictures itself (`llm.mmproj`) they are compared only, unless this names another model than the bundled one.
    pub model: String,
    /// The most embeddings of a picture that a language model sees itself, as far as its projector can do with fewer: by fewer tiles
    /// or a smaller one; 0: as many as it was trained with.
    pub tokens: usize,
    /// The file that describes the model's inputs and outputs; empty: the one beside it that ends in .toml, and without one what the
    /// file itself tells (YOLO, RT-DETR, D-FINE and others are recognized).
    pub manifest: PathBuf,
    /// Threads.
    pub threads: usize,
    /// What computes it, in order of preference: "cpu", "cuda", "tensorrt", "openvino", "xnnpack". A fallback to the next is logged;
    /// without "cpu" in the list there is none to it. `nearfield doctor` lists those that the ONNX Runtime at hand has.
    pub providers: Vec<Provider>,
    /// Only the first of `providers` will do, for the whole of the model; else it is an error.
    pub required: bool,
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self {
            model: "see-nano".to_owned(),
            tokens: 256,
            manifest: PathBuf::new(),
            threads: 1,
            providers: vec![Provider::Cpu],
            required: false,
        }
    }
}

impl VisionConfig {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("threads", self.threads, 1..=256)?;
        in_range("tokens", self.tokens, 0..=65_536)?;
        if self.providers.is_empty() {
            return Err("providers is empty; name at least one, as in [\"cpu\"]".to_owned());
        }
        Ok(())
    }
}

/// The nominal picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NominalConfig {
    /// A picture of nothing going on; scenes that look like it are not described. Empty: none.
    pub picture: PathBuf,
    /// The caption of such scenes.
    pub caption: String,
}

impl Default for NominalConfig {
    fn default() -> Self {
        Self { picture: PathBuf::new(), caption: "Nothing is going on.".to_owned() }
    }
}

/// The prompts of the language model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CaptionPromptConfig {
    /// The system text; empty: the model's own from `models.toml`, else one that suits any model.
    pub system: String,
    /// The question, with `{picture}` where the picture goes; empty: as for `system`.
    pub question: String,
    /// Ask first whether the earlier caption still holds: one token's logits, before any text is written.
    pub second_opinion: bool,
    /// That question; `{caption}` stands for the earlier caption.
    pub second_question: String,
    /// How the answer begins if it holds.
    pub yes: String,
    /// How the answer begins if it does not.
    pub no: String,
    /// By how much `yes` must be likelier, in logits.
    pub margin: f32,
}

impl Default for CaptionPromptConfig {
    fn default() -> Self {
        Self {
            system: String::new(),
            question: String::new(),
            second_opinion: false,
            second_question: "{picture}\nIs this right: {caption}".to_owned(),
            yes: "Yes".to_owned(),
            no: "No".to_owned(),
            margin: 0.0,
        }
    }
}

impl CaptionPromptConfig {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("margin", self.margin, -1000.0..=1000.0)?;
        if !self.question.is_empty() && !self.question.contains(PICTURE) {
            return Err(format!("question is {:?} but must hold {PICTURE}, where the picture goes", self.question));
        }
        if self.second_opinion && !(self.second_question.contains(PICTURE) && self.second_question.contains(CAPTION)) {
            return Err(format!("second_question is {:?} but must hold {PICTURE} and {CAPTION}", self.second_question));
        }
        if self.second_opinion && (self.yes.is_empty() || self.no.is_empty()) {
            return Err("yes and no must not be empty".to_owned());
        }
        Ok(())
    }
}

/// What becomes a caption.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CaptionRules {
    /// Captions are computed from what the vision model found, without the language model.
    pub by_rule: bool,
    /// A caption of the language model that does not name what was found is replaced by the computed one.
    pub must_name: bool,
}

impl Default for CaptionRules {
    fn default() -> Self {
        Self { by_rule: false, must_name: true }
    }
}

/// What is printed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutputConfig {
    /// A line for each picture, also where nothing changed.
    pub all: bool,
    /// As `--every`: a line at least this often; 0: only changes.
    pub every_s: f64,
    /// A JSON schema (a file) that the model's captions must fit; empty: free text.
    pub schema: PathBuf,
}

impl OutputConfig {
    /// Checks what types can't say.
    ///
    /// # Errors
    /// One sentence that names the key, the value and what is accepted.
    pub fn check(&self) -> Result<(), String> {
        in_range("every_s", self.every_s, 0.0..=1e9)
    }
}

impl Config for CaptionConfig {
    const MOVED: &'static [(&'static str, &'static str)] = &[("llm.max_caption_tokens", "llm.max_tokens")];

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        let own = [
            &mut self.nominal.picture,
            &mut self.vision.manifest,
            &mut self.output.schema,
            &mut self.event.folder,
            &mut self.clips.recent,
        ];
        own.into_iter().chain(self.mqtt.paths()).chain(self.outlets.paths()).collect()
    }

    fn check(&self) -> Result<(), String> {
        self.source.check().map_err(|e| format!("source.{e}"))?;
        self.vision.check().map_err(|e| format!("vision.{e}"))?;
        self.gate.check().map_err(|e| format!("gate.{e}"))?;
        self.presence.check().map_err(|e| format!("presence.{e}"))?;
        self.motion.check().map_err(|e| format!("motion.{e}"))?;
        self.track.check().map_err(|e| format!("track.{e}"))?;
        self.event.check().map_err(|e| format!("event.{e}"))?;
        self.keep_events().map_err(|e| format!("event.{e}"))?;
        self.clips.check().map_err(|e| format!("clips.{e}"))?;
        if self.clips.enabled && self.event.folder.as_os_str().is_empty() {
            return Err("clips.enabled needs event.folder, where clips are kept".to_owned());
        }
        if self.clips.enabled && !self.source.masks.is_empty() && !self.clips.show_masked {
            return Err("clips.enabled with source.masks: clips are what the camera sends, and show what is masked; set clips.show_masked = \
                        true if they may"
                .to_owned());
        }
        if self.frigate.enabled && self.outlets.mqtt.is_empty() {
            return Err("frigate.enabled needs outlets.mqtt, the broker".to_owned());
        }
        if self.frigate.enabled && !is_topic(&self.frigate.prefix) {
            return Err(format!("frigate.prefix is {:?} but must be a topic without + and #", self.frigate.prefix));
        }
        self.llm.check().map_err(|e| format!("llm.{e}"))?;
        self.prompt.check().map_err(|e| format!("prompt.{e}"))?;
        self.output.check().map_err(|e| format!("output.{e}"))?;
        self.outlets.check().map_err(|e| format!("outlets.{e}"))?;
        self.mqtt.check().map_err(|e| format!("mqtt.{e}"))?;
        self.alerts.iter().try_for_each(AlertRule::check)?;
        self.check_places()
    }
}

/// Whether messages can be published below it.
fn is_topic(text: &str) -> bool {
    let text = text.trim_matches('/');
    !text.is_empty() && text.len() <= 256 && !text.contains(['+', '#', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        let wrong = |set: &str| CaptionConfig::load(None, &[set.to_owned()]).unwrap_err().to_string();
        for (set, words) in [
            ("gate.change_below=2", ["gate.change_below is 2", "from -1 to 1"]),
            ("gate.change_below=0.99", ["calm_above", "0.99"]),
            ("prompt.question=What?", ["prompt.question", "{picture}"]),
            ("source.fps=0", ["source.fps is 0", "0.001"]),
            ("vision.modle=x", ["modle", "`model`"]),
            ("alerts=[{name=\"x\"}]", ["the alert x", "words or objects"]),
            ("source.rotate=45", ["source.rotate is 45", "0, 90, 180 or 270"]),
            ("source.masks=[[0.0, 0.0, 2.0, 1.0]]", ["source.masks[0] is", "from 0 to 1"]),
            ("zones=[{name=\"a\", points=[[0.1,0.1],[0.5,0.5],[1.0,1.0]]}]", ["the zone a: points", "on one line"]),
            ("vision.providers=[\"gpu\"]", ["gpu", "cuda"]),
            ("vision.providers=[]", ["vision.providers is empty", "cpu"]),
            ("zones=[{name=\"a\", points=[[0.0,0.0],[1.0,1.0]]}]", ["the zone a", "3 to 256 corners"]),
            ("lines=[{name=\"a\"}]", ["the line a", "the same place"]),
            ("alerts=[{name=\"x\", objects=[\"cat\"], zones=[\"yard\"]}]", ["the alert x", "none of [[zones]]"]),
            ("clips.enabled=true", ["clips.enabled", "event.folder"]),
            ("frigate.enabled=true", ["frigate.enabled", "outlets.mqtt"]),
            ("event.keep=soon", ["event.keep", "soon"]),
        ] {
            let message = wrong(set);
            assert!(words.iter().all(|w| message.contains(w)), "{set}: {message}");
        }
    }

    #[test]
    fn cameras_without_a_latin_letter_are_told_apart() {
        let name = |camera: &str| SourceConfig { camera: camera.to_owned(), ..SourceConfig::default() }.outlet_name();
        assert_eq!((name("Front door"), name("Küche")), ("caption_front_door".to_owned(), "caption_k_che".to_owned()));
        assert_ne!(name("大门"), name("后门"));
        assert!(name("大门").chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    }

    #[test]
    fn clips_that_would_show_what_is_masked_are_refused_until_they_may() {
        let load = |more: &[&str]| {
            let set = ["clips.enabled=true", "event.folder=e", "source.masks=[[0.0, 0.0, 0.5, 0.5]]"];
            let set: Vec<String> = set.iter().chain(more).map(|s| (*s).to_owned()).collect();
            CaptionConfig::load(None, &set).map(drop).map_err(|e| e.to_string())
        };
        assert!(load(&[]).unwrap_err().contains("clips.show_masked"));
        assert_eq!(load(&["clips.show_masked=true"]), Ok(()));
    }
}

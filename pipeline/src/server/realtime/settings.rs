//! What a client can set of its conversation, in the form of the API and in that of its beta.

use serde_json::{Map, Value, json};

use super::super::Server;
use super::super::failure::Failure;
use super::{MOST_TEXT, RATE};
use crate::config::{Decide, VoiceConfig};

/// Tools that a client may declare.
const MOST_TOOLS: usize = 64;
/// The longest silence that ends a turn, in milliseconds; also where the client ends its turns itself.
const LONGEST_SILENCE: u64 = 10_000;

/// How turns end.
#[derive(Clone, Debug, PartialEq)]
enum TurnDetection {
    /// By what was said.
    Semantic,
    /// By silence.
    Silence {
        /// How long, in milliseconds.
        ms: u64,
        /// From which probability on something is speech.
        threshold: f64,
    },
    /// The client says so.
    Manual,
}

/// What is set.
#[derive(Clone, Debug)]
pub struct Settings {
    base: VoiceConfig,
    model: String,
    voice: String,
    instructions: Option<String>,
    turns: TurnDetection,
    interrupts: bool,
    tools: Vec<Value>,
    most_tokens: Option<u64>,
}

/// A tool that the client runs.
pub struct Declared {
    /// What it is called.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The schema of its arguments.
    pub parameters: Value,
}

impl Settings {
    /// What is configured.
    pub fn new(server: &Server) -> Self {
        Self {
            base: server.speech.config().clone(),
            model: server.model.clone(),
            voice: server.speech.voice.0.clone(),
            instructions: None,
            turns: TurnDetection::Semantic,
            interrupts: true,
            tools: Vec::new(),
            most_tokens: None,
        }
    }

    /// Whether the client ends turns itself.
    pub fn is_manual(&self) -> bool {
        self.turns == TurnDetection::Manual
    }

    /// Whether something of it changes what a flow was started with.
    pub fn needs_a_new_flow(&self, session: &Value) -> bool {
        let mut changed = self.clone();
        let same =
            |it: &Self| (it.instructions.clone(), it.turns.clone(), it.interrupts, it.tools.clone(), it.most_tokens);
        changed.update(session).is_ok() && same(&changed) != same(self)
    }

    /// Takes what a client sets; what it leaves out stays.
    ///
    /// # Errors
    /// Something of it is not to be had here.
    pub fn update(&mut self, session: &Value) -> Result<(), Failure> {
        let mut next = self.clone();
        let (input, output) = (&session["audio"]["input"], &session["audio"]["output"]);
        if let Some(text) = session["instructions"].as_str() {
            if text.len() > MOST_TEXT {
                return Err(Failure::of("session.instructions", format!("has more than {MOST_TEXT} bytes")));
            }
            next.instructions = Some(text.to_owned()).filter(|text| !text.trim().is_empty());
        }
        for (key, format) in [
            ("session.audio.input.format", &input["format"]),
            ("session.audio.output.format", &output["format"]),
            ("session.input_audio_format", &session["input_audio_format"]),
            ("session.output_audio_format", &session["output_audio_format"]),
        ] {
            let is_known = match format {
                Value::Null => true,
                Value::String(name) => name == "pcm16",
                format => {
                    format["type"] == "audio/pcm"
                        && format["rate"].as_u64().is_none_or(|rate| rate == u64::from(RATE.0))
                }
            };
            if !is_known {
                return Err(Failure::of(key, format!("must be 16-bit PCM at {} Hz", RATE.0)));
            }
        }
        let modalities = [&session["output_modalities"], &session["modalities"]];
        if modalities.iter().any(|it| it.as_array().is_some_and(|it| !it.iter().any(|one| one == "audio"))) {
            return Err(Failure::of(
                "session.output_modalities",
                "must hold \"audio\": for text alone there is /v1/chat/completions",
            ));
        }
        match input.get("turn_detection").or_else(|| session.get("turn_detection")) {
            None => {}
            Some(Value::Null) => next.turns = TurnDetection::Manual,
            Some(detection) => next.detect(detection)?,
        }
        if let Some(tools) = session["tools"].as_array() {
            if tools.len() > MOST_TOOLS {
                return Err(Failure::of("session.tools", format!("has more than {MOST_TOOLS}")));
            }
            if let Some(other) = tools.iter().find(|tool| tool["type"] != "function" || !tool["name"].is_string()) {
                let kind: String = other["type"].to_string().chars().take(40).collect();
                return Err(Failure::of("session.tools", format!("can hold functions with a name; one is {kind}")));
            }
            next.tools.clone_from(tools);
        }
        let most = session.get("max_output_tokens").or_else(|| session.get("max_response_output_tokens"));
        if let Some(most) = most {
            next.most_tokens = most.as_u64();
        }
        *self = next;
        Ok(())
    }

    fn detect(&mut self, detection: &Value) -> Result<(), Failure> {
        if detection["create_response"] == false {
            let message =
                "must be true where the server finds the end of turns: set turn_detection to null to end them yourself";
            return Err(Failure::of("session.turn_detection.create_response", message));
        }
        self.interrupts = detection["interrupt_response"].as_bool().unwrap_or(true);
        self.turns = match detection["type"].as_str() {
            Some("semantic_vad") => TurnDetection::Semantic,
            Some("server_vad") => {
                let ms = detection["silence_duration_ms"].as_u64().unwrap_or(500);
                let threshold = detection["threshold"].as_f64().unwrap_or(0.5);
                if !(100..=LONGEST_SILENCE).contains(&ms) {
                    let message = format!("is {ms} but must be from 100 to {LONGEST_SILENCE}");
                    return Err(Failure::of("session.turn_detection.silence_duration_ms", message));
                }
                if !(0.0..=1.0).contains(&threshold) {
                    return Err(Failure::of("session.turn_detection.threshold", "must be from 0 to 1"));
                }
                TurnDetection::Silence { ms, threshold }
            }
            _ => return Err(Failure::of("session.turn_detection.type", "must be server_vad or semantic_vad")),
        };
        Ok(())
    }

    /// What a voice flow is configured with.
    pub fn voice_config(&self) -> VoiceConfig {
        let mut config = self.base.clone();
        config.listen.interrupt = self.interrupts;
        if let Some(instructions) = &self.instructions {
            config.prompt.system.clone_from(instructions);
        }
        if let Some(most) = self.most_tokens {
            config.llm.max_tokens = most.clamp(1, 4096) as usize;
        }
        let silence = match self.turns {
            TurnDetection::Semantic => None,
            TurnDetection::Silence { ms, threshold } => {
                // The API's middle is ours.
                let from = f64::from(config.listen.endpoint.start_threshold) + (threshold - 0.5) * 0.5;
                config.listen.endpoint.start_threshold = from.clamp(0.2, 0.95) as f32;
                Some(ms)
            }
            TurnDetection::Manual => Some(LONGEST_SILENCE),
        };
        if let Some(ms) = silence {
            config.turn.decide = Decide::Silence;
            let endpoint = &mut config.listen.endpoint;
            endpoint.end_silence_ms = ms as u32;
            endpoint.post_roll_ms = endpoint.post_roll_ms.min(endpoint.end_silence_ms);
            endpoint.stop_threshold = endpoint.stop_threshold.min(endpoint.start_threshold);
        }
        config
    }

    /// The tools that the client runs.
    pub fn tools(&self) -> Vec<Declared> {
        let text = |tool: &Value, key: &str| tool[key].as_str().unwrap_or_default().to_owned();
        let declared = |tool: &Value| Declared {
            name: text(tool, "name"),
            description: text(tool, "description"),
            parameters: tool.get("parameters").filter(|it| it.is_object()).cloned().unwrap_or_else(|| json!({})),
        };
        self.tools.iter().map(declared).collect()
    }

    /// As clients read it.
    pub fn json(&self, id: &str, is_beta: bool, recognizer: &str) -> Value {
        let detection = match &self.turns {
            TurnDetection::Manual => Value::Null,
            TurnDetection::Semantic => json!({
                "type": "semantic_vad", "eagerness": "auto", "create_response": true, "interrupt_response": self.interrupts,
            }),
            TurnDetection::Silence { ms, threshold } => json!({
                "type": "server_vad", "threshold": threshold, "prefix_padding_ms": self.base.listen.endpoint.pre_roll_ms,
                "silence_duration_ms": ms, "create_response": true, "interrupt_response": self.interrupts,
            }),
        };
        let most = self.most_tokens.map_or(json!("inf"), |most| json!(most));
        let instructions = self.instructions.as_deref().unwrap_or(&self.base.prompt.system);
        let mut session = json!({
            "id": id, "object": "realtime.session", "model": self.model, "instructions": instructions,
            "tools": self.tools, "tool_choice": "auto",
        });
        let transcription = json!({"model": recognizer});
        let more = match is_beta {
            true => json!({
                "modalities": ["audio", "text"], "voice": self.voice, "input_audio_format": "pcm16",
                "output_audio_format": "pcm16", "input_audio_transcription": transcription,
                "turn_detection": detection, "max_response_output_tokens": most,
            }),
            false => {
                let format = json!({"type": "audio/pcm", "rate": RATE.0});
                json!({
                    "type": "realtime", "output_modalities": ["audio"], "max_output_tokens": most,
                    "audio": {
                        "input": {
                            "format": format, "transcription": transcription, "noise_reduction": null,
                            "turn_detection": detection,
                        },
                        "output": {"format": format, "voice": self.voice, "speed": 1.0},
                    },
                })
            }
        };
        let more: Map<String, Value> = more.as_object().cloned().unwrap_or_default();
        session.as_object_mut().expect("it was made as an object").extend(more);
        session
    }
}

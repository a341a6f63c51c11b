//! The command line: commands, arguments and their help. Running them is `commands`.

#[cfg(feature = "server")]
mod batch;
mod eval;
mod events;
mod quantize;
mod report;
#[cfg(feature = "server")]
mod service;
mod wake;
mod workshop;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use nearfield_base::persist::Existing;

#[cfg(feature = "server")]
pub use batch::BatchArgs;
pub use eval::{ChoiceArgs, EvalArgs, EvalWhat, FidelityArgs, HeldOutArgs, HomePart, RecallArgs, RougeArgs, SuiteArgs};
pub use events::EventsArgs;
pub use quantize::{MethodArg, QuantizeArgs};
pub use report::{AskArgs, ReportArgs, ReportCommand};
#[cfg(feature = "server")]
pub use service::{RunArgs, ServiceArgs, TopArgs};
pub use wake::{WakeAction, WakeArgs, WakeFilesArgs};
pub use workshop::{ConvertArgs, FloatArg, ImatrixArgs};

/// A command line that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "nearfield",
    version,
    long_version = crate::VERSION_LINES.as_str(),
    about = "An offline voice assistant, camera captioner and sensor reporter.",
    after_help = "Results go to stdout, logs to stderr (-v, RUST_LOG). No output may be an input. Exit status: 0 done, 1 failed, 2 wrong usage or \
                  configuration.\n\nExamples:\n  nearfield voice --input question.wav --output answer.wav --home home.json\n  \
                  nearfield doctor"
)]
pub struct Cli {
    /// Log more on stderr (-v: what happens, -vv: everything).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Log only errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer spoken or typed questions aloud.
    #[command(
        after_help = "Examples:\n  nearfield voice                                   # microphone to loudspeaker\n  \
        nearfield voice --input question.wav --output answer.wav --home home.json\n  \
        nearfield voice --text 'Is the front door locked?' --home home.json --output null --json\n  \
        nearfield voice --input questions/ --trace trace.json --set llm.model=qwen2.5-0.5b-instruct"
    )]
    Voice(VoiceArgs),
    /// Caption a camera, a video or pictures: one line for each change of scene.
    #[command(after_help = "Examples:\n  nearfield caption --input rtsp://camera.local/stream --events day.jsonl\n  \
        nearfield caption --input pictures/ --json\n  nearfield caption --input 'frames/*.jpg' --snapshots out/\n  \
        some-camera | nearfield caption --input - --every 60")]
    Caption(CaptionArgs),
    /// List or search the events of `nearfield caption`, or make a page of them.
    #[command(after_help = "Examples:\n  nearfield events events/ --output events/index.html\n  \
        nearfield events events/ --search 'person driveway'\n  nearfield events events/ --json --most 1000")]
    Events(EventsArgs),
    /// Summarize sensor readings, window by window, with every number verified against the data.
    #[command(after_help = "Examples:\n  nearfield report --input readings.csv --window 1d\n  \
        nearfield report --input log.jsonl --follow --window 1h --json\n  \
        nearfield report --input readings.csv --output report.html --plot report.svg\n  \
        nearfield report --input mqtt://hub.local/home/# --window 1h --set 'window.schedule=daily at 07:00'\n  \
        nearfield report ask 'Which day was the coldest?' --store report.sqlite")]
    Report(ReportArgs),
    /// Transcribe audio files.
    #[command(after_help = "Examples:\n  nearfield transcribe meeting.wav\n  nearfield transcribe *.flac --json\n  \
        nearfield transcribe interview.ogg --set stt.model=whisper-base.en")]
    Transcribe(TranscribeArgs),
    /// Speak a text aloud, or into a WAV file.
    #[command(
        after_help = "Examples:\n  nearfield say 'The kettle boils.'\n  nearfield say 'Dinner is ready.' --output dinner.wav\n  \
        echo 'From a pipe.' | nearfield say - --output pipe.wav"
    )]
    Say(SayArgs),
    /// Test a wake word on recordings, and find the threshold for your voice.
    #[command(after_help = "Examples:\n  nearfield wake test me/*.wav --without kitchen-radio.wav\n  \
        nearfield wake test --word ./my_word.onnx --without evening/ --json\n  \
        nearfield wake enroll me/*.wav --without kitchen-radio.wav >> voice.toml")]
    Wake(WakeArgs),
    /// Chat with the language model.
    #[command(
        after_help = "Examples:\n  nearfield chat 'Which lights are on?' --home home.json\n  nearfield chat          # one question a line\n  \
        nearfield chat --set llm.model=./model.gguf --set llm.sampler.temperature=0.7"
    )]
    Chat(ChatArgs),
    /// Answer a file of prompts, several at a time.
    #[cfg(feature = "server")]
    #[command(after_help = "Examples:\n  nearfield batch prompts.jsonl -o answers.jsonl\n  \
        nearfield batch logs.jsonl -o kinds.jsonl --system 'Name the kind of fault.' --schema kind.json\n  \
        nearfield batch requests.jsonl --set llm.model=qwen2.5-0.5b-instruct --sessions 16")]
    Batch(BatchArgs),
    /// Serve OpenAI, Ollama and Wyoming clients: one process, one copy of the models.
    #[cfg(feature = "server")]
    #[command(
        after_help = "Examples:\n  nearfield run                                     # http://127.0.0.1:8642/v1\n  \
        nearfield run --set llm.model=qwen2.5-0.5b-instruct --set home.file=home.yaml\n  \
        nearfield run --config run.toml --wyoming 127.0.0.1:10300\n  \
        nearfield run --listen 0.0.0.0:8642 --set server.token_file=token\n  \
        nearfield run --config run.toml --check"
    )]
    Run(RunArgs),
    /// Show what `nearfield run` runs: flows, models and sessions.
    #[cfg(feature = "server")]
    #[command(
        after_help = "Examples:\n  nearfield ps\n  nearfield ps --json | jq '.flows[] | select(.state != \"running\")'"
    )]
    Ps(ServiceArgs),
    /// Watch what `nearfield run` does: sessions, queue, tokens a second, cache, memory, temperature, flows.
    #[cfg(feature = "server")]
    #[command(
        after_help = "Examples:\n  nearfield top\n  nearfield top --once\n  nearfield top --json | jq '.rates.generated_tokens'"
    )]
    Top(TopArgs),
    /// Have `nearfield run` read its configuration again, and restart what has changed.
    #[cfg(feature = "server")]
    #[command(after_help = "Example:\n  nearfield run --config run.toml --check && nearfield reload")]
    Reload(ServiceArgs),
    /// End `nearfield run` in good order.
    #[cfg(feature = "server")]
    #[command(after_help = "Example:\n  nearfield stop")]
    Stop(ServiceArgs),
    /// List microphones and loudspeakers.
    #[command(
        after_help = "Examples:\n  nearfield devices\n  nearfield voice --set listen.device=USB --set play.device=USB"
    )]
    Devices {
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// List, pull, verify, convert and quantize models.
    #[command(
        after_help = "Examples:\n  nearfield models list\n  nearfield models pull whisper-base.en\n  nearfield models verify"
    )]
    Models(ModelsArgs),
    /// Check that models, programs and devices are there and work, for a voice, or for the command whose file is named.
    #[command(
        after_help = "Examples:\n  nearfield doctor\n  nearfield doctor --config run.toml\n  nearfield doctor --json | jq 'select(.status != \"ok\")'"
    )]
    Doctor {
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        #[allow(missing_docs)]
        config: ConfigArgs,
    },
    /// Measure speed on this machine.
    #[command(
        after_help = "Examples:\n  nearfield bench voice            # stages in parallel against one after the other\n  \
        nearfield bench llm --json       # prefill and decode speed\n  nearfield bench stt --input assets/speech\n  \
        nearfield bench report --runs 50 # a thousand random windows"
    )]
    Bench(BenchArgs),
    /// Evaluate models: on held-out data, or how far a quantized model is from its original.
    #[command(after_help = "Examples:\n  nearfield eval perplexity --model model-q4.gguf --text wiki.txt\n  \
        nearfield eval kld --model model-q4.gguf --reference model-f16.gguf --text wiki.txt --json\n  \
        nearfield eval bundled           # the figures of the bundled models' cards\n  \
        nearfield eval bundled --json --data ~/nearfield/models/recipes\n  \
        nearfield eval assist homes/ --json --set llm.model=model.gguf\n  \
        nearfield eval home --part tuning\n  \
        nearfield eval anomalies NAB/data --output NAB/results")]
    Eval(EvalArgs),
    /// Print a shell completion script.
    #[command(
        after_help = "Example:\n  nearfield completions bash > ~/.local/share/bash-completion/completions/nearfield"
    )]
    Completions {
        /// For which shell.
        shell: Shell,
    },
    /// Print the manual page.
    #[command(after_help = "Example:\n  nearfield man > nearfield.1 && man ./nearfield.1")]
    Man,
}

impl Command {
    /// As it is typed.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Voice(_) => "voice",
            Self::Caption(_) => "caption",
            Self::Events(_) => "events",
            Self::Report(_) => "report",
            Self::Transcribe(_) => "transcribe",
            Self::Say(_) => "say",
            Self::Wake(_) => "wake",
            Self::Chat(_) => "chat",
            #[cfg(feature = "server")]
            Self::Batch(_) => "batch",
            #[cfg(feature = "server")]
            Self::Run(_) => "run",
            #[cfg(feature = "server")]
            Self::Ps(_) => "ps",
            #[cfg(feature = "server")]
            Self::Top(_) => "top",
            #[cfg(feature = "server")]
            Self::Reload(_) => "reload",
            #[cfg(feature = "server")]
            Self::Stop(_) => "stop",
            Self::Devices { .. } => "devices",
            Self::Models(_) => "models",
            Self::Doctor { .. } => "doctor",
            Self::Bench(_) => "bench",
            Self::Eval(_) => "eval",
            Self::Completions { .. } => "completions",
            Self::Man => "man",
        }
    }
}

/// The configuration and its changes.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigArgs {
    /// The configuration file; without it, every key has its default (docs/configuration.md).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one key of the configuration, as in --set llm.threads=2; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `nearfield voice`
#[derive(Args, Debug)]
pub struct VoiceArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
    /// Source of spoken questions: `mic`, an audio file, a folder of them, or `-` for audio on stdin.
    #[arg(long, default_value = "mic", value_name = "mic|FILE|DIR|-")]
    pub input: String,
    /// Destination of answers: `speaker`, a new WAV file (see --overwrite), or `null`.
    #[arg(long, default_value = "speaker", value_name = "speaker|FILE.wav|null")]
    pub output: String,
    /// Replace existing --output and --trace files once the first answer is complete; without it, an existing file is an error.
    #[arg(long)]
    pub overwrite: bool,
    /// A typed question instead of spoken ones; may be repeated.
    #[arg(long, conflicts_with = "input")]
    pub text: Vec<String>,
    /// The home: an inventory in YAML, or rooms and devices in JSON (docs/voice.md); tools change the file.
    #[arg(long, value_name = "FILE")]
    pub home: Option<PathBuf>,
    /// How fast audio files are fed in.
    #[arg(long, value_enum, default_value_t = PaceArg::Fast)]
    pub pace: PaceArg,
    /// Print one JSON object for each turn.
    #[arg(long)]
    pub json: bool,
    /// Write a Chrome trace (chrome://tracing, ui.perfetto.dev) of all stages.
    #[arg(long, value_name = "FILE.json")]
    pub trace: Option<PathBuf>,
}

/// `nearfield caption`
#[derive(Args, Debug)]
pub struct CaptionArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
    /// Source of pictures: a folder, a pattern in quotes, a picture, a video, rtsp://, http:// (MJPEG), /dev/video0, or `-` for
    /// JPEGs on stdin [default: source.input of the configuration].
    #[arg(long, value_name = "DIR|'GLOB'|FILE|URL|/dev/videoN|-")]
    pub input: Option<String>,
    /// The vision model: a name from `nearfield models list`, the path of an ONNX file, or "none" [default: vision.model of the
    /// configuration].
    #[arg(long, value_name = "NAME|FILE.onnx")]
    pub model: Option<String>,
    /// Print one JSON object for each line; the last one is a summary.
    #[arg(long)]
    pub json: bool,
    /// Append events (captions, objects that come and go, alerts, source disconnects) to this file, one JSON object a line.
    #[arg(long, value_name = "FILE.jsonl")]
    pub events: Option<PathBuf>,
    /// Write each captioned picture to this folder, with its caption and boxes drawn on it, named by camera and time (UTC); none is
    /// ever overwritten.
    #[arg(long, value_name = "DIR")]
    pub snapshots: Option<PathBuf>,
    /// Replace existing --events and --trace files; without it, events are appended, and an existing trace is an error.
    #[arg(long)]
    pub overwrite: bool,
    /// Print a line at least this often, in seconds, also when nothing changes.
    #[arg(long, value_name = "SECONDS")]
    pub every: Option<f64>,
    /// Stop after this many pictures.
    #[arg(long, value_name = "N")]
    pub max_frames: Option<u64>,
    /// Play files at their own rate, as a camera would: pictures that come too fast are dropped.
    #[arg(long)]
    pub realtime: bool,
    /// Write a Chrome trace (chrome://tracing, ui.perfetto.dev) of all stages.
    #[arg(long, value_name = "FILE.json")]
    pub trace: Option<PathBuf>,
}

/// What `--overwrite` means for existing files.
pub fn existing(overwrite: bool) -> Existing {
    if overwrite { Existing::Replace } else { Existing::Keep }
}

/// How fast an audio file is fed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PaceArg {
    /// At the rate it was spoken.
    Realtime,
    /// As fast as it is processed.
    Fast,
}

/// `nearfield transcribe`
#[derive(Args, Debug)]
pub struct TranscribeArgs {
    /// Audio files: WAV, FLAC, Ogg, MP3, M4A, WebM, AIFF; `-` for stdin.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Print one JSON object for each file; short for --format json.
    #[arg(long)]
    pub json: bool,
    /// What to print: the text, subtitles, a table of times, or one JSON object for each file.
    #[arg(long, value_enum, default_value_t = TranscriptFormat::Txt, conflicts_with = "json")]
    pub format: TranscriptFormat,
    /// Give each word its time (in JSON, VTT, and as a row or subtitle of its own in TSV and SRT).
    #[arg(long)]
    pub word_timestamps: bool,
    /// The language spoken, such as `de`; `auto`: recognize it. Short for --set stt.options.language=...
    #[arg(long, value_name = "CODE|auto")]
    pub language: Option<String>,
    /// Translate into English (multilingual models).
    #[arg(long)]
    pub translate: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
}

/// A format of transcripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TranscriptFormat {
    /// The text, a line for each file.
    Txt,
    /// SubRip subtitles.
    Srt,
    /// WebVTT subtitles.
    Vtt,
    /// Start and end in milliseconds, and text, between tabs.
    Tsv,
    /// One object for each file, with segments, times and probabilities.
    Json,
}

/// `nearfield say`
#[derive(Args, Debug)]
pub struct SayArgs {
    /// The text; `-` reads it from stdin.
    pub text: String,
    /// Destination: `speaker`, a new WAV file (see --overwrite), `-` (WAV to stdout as it is made), or `null`.
    #[arg(long, alias = "out", default_value = "speaker", value_name = "speaker|FILE.wav|-|null")]
    pub output: String,
    /// Replace an existing --output file; without it, an existing file is an error.
    #[arg(long)]
    pub overwrite: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
}

/// `nearfield chat`
#[derive(Args, Debug)]
pub struct ChatArgs {
    /// One question; without it, each line of stdin is one.
    pub prompt: Option<String>,
    /// The home: an inventory in YAML, or rooms and devices in JSON (docs/voice.md); tools change the file.
    #[arg(long, value_name = "FILE")]
    pub home: Option<PathBuf>,
    /// Continue the conversation saved in this file, and save it there at the end; created if it does not exist.
    #[arg(long, value_name = "FILE")]
    pub session: Option<PathBuf>,
    /// Print one JSON object for each turn.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
}

/// `nearfield models`
#[derive(Args, Debug)]
pub struct ModelsArgs {
    /// What to do with models.
    #[command(subcommand)]
    pub action: ModelsAction,
}

/// What to do with models.
#[derive(Debug, Subcommand)]
pub enum ModelsAction {
    /// List the models that Nearfield knows.
    List {
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show everything known about one model.
    Show {
        /// The model's name.
        name: String,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Download models from the Hugging Face hub; an interrupted pull is resumed. HF_ENDPOINT, HF_HOME and HF_TOKEN are honoured.
    Pull {
        /// Their names.
        #[arg(required = true)]
        names: Vec<String>,
        /// Accept what the hub has now and record it in models.lock, instead of refusing what differs from it.
        #[arg(long)]
        update: bool,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Verify model files against their recorded hashes.
    Verify {
        /// Only this one.
        name: Option<String>,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Collect an importance matrix: how large the inputs of each matrix are, which quantization weighs its errors with.
    #[command(
        after_help = "The file is llama.cpp's, and can be used with its tools. A run that was stopped or killed goes on where it was.\n\n\
                      Examples:\n  nearfield models imatrix model-f16.gguf --calibrate wiki.txt -o imatrix.gguf\n  \
                      nearfield models imatrix model-f16.gguf --calibrate home -o imatrix.gguf --chunks 100"
    )]
    Imatrix(ImatrixArgs),
    /// Make a GGUF file of a model's folder, as the Hugging Face hub has it.
    #[command(
        after_help = "Llama, Mistral, SmolLM, Qwen 2, Qwen 3 and Gemma 3, from safetensors; the file is what llama.cpp's converter makes.\n\n\
                      Examples:\n  nearfield models convert SmolLM2-135M-Instruct/ --to smollm2.gguf\n  \
                      nearfield models convert base/ --lora adapter/ --to merged.gguf --type f16"
    )]
    Convert(ConvertArgs),
    /// Print the path of a model's file.
    Path {
        /// The model's name.
        name: String,
    },
    /// Make a GGUF model smaller, as llama.cpp's types or with types chosen for a size.
    #[command(after_help = quantize::EXAMPLES)]
    Quantize(QuantizeArgs),
}

/// `nearfield bench`
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// What to measure.
    #[arg(value_enum)]
    pub what: BenchWhat,
    /// Print one JSON object a line; the last holds the result.
    #[arg(long)]
    pub json: bool,
    /// Audio files (voice, stt) or pictures (caption) to use; without it `voice` speaks questions of its own.
    #[arg(long, value_name = "FILE|DIR")]
    pub input: Option<PathBuf>,
    /// The home, in YAML or JSON (voice).
    #[arg(long, value_name = "FILE")]
    pub home: Option<PathBuf>,
    /// Repetitions of each measurement; medians are printed.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub runs: u32,
    /// Sentences with pauses in which it is counted how often a turn would end too soon (voice).
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub pauses: u32,
    /// The model to measure, a name or a file: the recognizer (stt), the voice (tts), the vision model (caption), else the language model.
    #[arg(long)]
    pub model: Option<String>,
    /// Threads (llm).
    #[arg(long)]
    pub threads: Option<usize>,
    /// Prompt tokens (llm).
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=8192))]
    pub prompt: u32,
    /// Tokens to generate (llm).
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=8192))]
    pub generate: u32,
    /// Pictures (caption).
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(10..=10_000_000))]
    pub frames: u32,
    /// The cache's type (llm).
    #[arg(long, value_parser = ["f16", "q8_0"], default_value = "f16")]
    pub cache: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchWhat {
    /// Whole turns: stages in parallel against one after the other.
    Voice,
    /// Speech to text.
    Stt,
    /// The language model.
    Llm,
    /// Text to speech.
    Tts,
    /// Captions of a quiet camera: what the gate and the cache save.
    Caption,
    /// Reports: windows, wording and the check.
    Report,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed_and_every_command_shows_an_example() {
        let command = Cli::command();
        command.clone().debug_assert();
        for sub in command.get_subcommands() {
            let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("nearfield "), "{} shows no example", sub.get_name());
        }
    }
}

//! What can be written on the command line. Only words are understood here; what they lead to stands in `commands`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use nearfield_base::persist::Existing;

/// What the user wrote on the command line can't be meant.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "nearfield",
    version,
    long_version = crate::VERSION_LINES.as_str(),
    about = "Hears, sees, measures, thinks and speaks on the device itself, offline.",
    after_help = "Results go to stdout, logs to stderr (-v, RUST_LOG). No output may be an input. Exit status: 0 done, 1 failed, 2 wrong usage or \
                  configuration.\n\nExamples:\n  nearfield voice --input question.wav --output answer.wav --home home.json\n  \
                  nearfield doctor"
)]
pub struct Cli {
    /// Say more on stderr (-v: what happens, -vv: everything).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say nothing on stderr but errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer spoken (or typed) questions aloud.
    #[command(
        after_help = "Examples:\n  nearfield voice                                   # microphone to loudspeaker\n  \
        nearfield voice --input question.wav --output answer.wav --home home.json\n  \
        nearfield voice --text 'Is the front door locked?' --home home.json --output null --json\n  \
        nearfield voice --input questions/ --trace trace.json --set llm.model=qwen2.5-0.5b-instruct"
    )]
    Voice(VoiceArgs),
    /// Watch a camera (or pictures, or a video) and write one line for each change of scene.
    #[command(after_help = "Examples:\n  nearfield caption --input rtsp://camera.local/stream --events day.jsonl\n  \
        nearfield caption --input pictures/ --json\n  nearfield caption --input 'frames/*.jpg' --snapshots out/\n  \
        some-camera | nearfield caption --input - --every 60")]
    Caption(CaptionArgs),
    /// Report on sensor readings, window by window, in words whose numbers are true.
    #[command(after_help = "Examples:\n  nearfield report --input readings.csv --window 1d\n  \
        nearfield report --input log.jsonl --follow --window 1h --json\n  \
        nearfield report --input readings.csv --output report.html --plot report.svg\n  \
        nearfield report --input mqtt://hub.local/home/# --window 1h --set 'window.schedule=daily at 07:00'")]
    Report(ReportArgs),
    /// Write down what recordings say.
    #[command(after_help = "Examples:\n  nearfield transcribe meeting.wav\n  nearfield transcribe *.flac --json\n  \
        nearfield transcribe interview.ogg --set stt.model=whisper-base.en")]
    Transcribe(TranscribeArgs),
    /// Speak a text.
    #[command(
        after_help = "Examples:\n  nearfield say 'The kettle boils.'\n  nearfield say 'Dinner is ready.' --output dinner.wav\n  \
        echo 'From a pipe.' | nearfield say - --output pipe.wav"
    )]
    Say(SayArgs),
    /// Talk with the language model in text.
    #[command(
        after_help = "Examples:\n  nearfield chat 'Which lights are on?' --home home.json\n  nearfield chat          # line by line\n  \
        nearfield chat --set llm.model=./model.gguf --set llm.sampler.temperature=0.7"
    )]
    Chat(ChatArgs),
    /// List microphones and loudspeakers.
    #[command(
        after_help = "Examples:\n  nearfield devices\n  nearfield voice --set listen.device=USB --set play.device=USB"
    )]
    Devices {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// List, fetch and check models.
    #[command(
        after_help = "Examples:\n  nearfield models list\n  nearfield models pull whisper-base.en\n  nearfield models verify"
    )]
    Models(ModelsArgs),
    /// Check that everything that is needed is there and works.
    #[command(after_help = "Examples:\n  nearfield doctor\n  nearfield doctor --json | jq 'select(.status != \"ok\")'")]
    Doctor {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        #[allow(missing_docs)]
        config: ConfigArgs,
    },
    /// Measure speed on this machine.
    #[command(
        after_help = "Examples:\n  nearfield bench voice            # staged against one stage after the other\n  \
        nearfield bench llm --json       # prefill and decode speed\n  nearfield bench stt --input assets/speech\n  \
        nearfield bench report --runs 50 # a thousand random windows"
    )]
    Bench(BenchArgs),
    /// Score models on what was held out from their training.
    #[command(
        after_help = "Examples:\n  nearfield eval bundled           # the figures of the bundled models' cards\n  \
        nearfield eval bundled --json --data ~/nearfield/models/recipes"
    )]
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

/// The configuration and its changes.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigArgs {
    /// The configuration file; without it, the defaults hold (the files in configs show them).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Change one key of the configuration, as in --set llm.threads=2; may be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `nearfield voice`
#[derive(Args, Debug)]
pub struct VoiceArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
    /// Where questions come from: `mic`, a recording, a folder of recordings, or `-` for a recording on stdin.
    #[arg(long, default_value = "mic", value_name = "mic|FILE|DIR|-")]
    pub input: String,
    /// Where answers go: `speaker`, a WAV file that is not there yet (see --overwrite), or `null`.
    #[arg(long, default_value = "speaker", value_name = "speaker|FILE.wav|null")]
    pub output: String,
    /// Replace existing files of --output and --trace, as soon as the first answer is complete; without it they are kept and the
    /// command fails.
    #[arg(long)]
    pub overwrite: bool,
    /// Ask this in writing instead; may be given several times.
    #[arg(long, conflicts_with = "input")]
    pub text: Vec<String>,
    /// The home's state, a JSON file that is read and, by the model's tools, changed.
    #[arg(long, value_name = "FILE.json")]
    pub home: Option<PathBuf>,
    /// How fast a recording is played: as if spoken now, or as fast as it is taken.
    #[arg(long, value_enum, default_value_t = PaceArg::Fast)]
    pub pace: PaceArg,
    /// One JSON object for each turn.
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
    /// Where pictures come from: a folder, a pattern in quotes, a picture, a video, rtsp://, http:// (MJPEG), /dev/video0, or `-`
    /// for JPEGs on stdin; else the configuration's source.input.
    #[arg(long, value_name = "DIR|'GLOB'|FILE|URL|/dev/videoN|-")]
    pub input: Option<String>,
    /// One JSON object for each line; the last one is a summary.
    #[arg(long)]
    pub json: bool,
    /// Append what happens (captions, who comes and goes, alerts, the source's deaths) to this file, one JSON object a line.
    #[arg(long, value_name = "FILE.jsonl")]
    pub events: Option<PathBuf>,
    /// Write each described picture there, with its caption and boxes drawn on it, named by camera and time (UTC); none is ever
    /// overwritten.
    #[arg(long, value_name = "DIR")]
    pub snapshots: Option<PathBuf>,
    /// Begin --events and --trace anew in place of existing files; without it events are appended, and an existing trace is kept
    /// and the command fails.
    #[arg(long)]
    pub overwrite: bool,
    /// A line at least this often, in seconds, also when nothing changes.
    #[arg(long, value_name = "SECONDS")]
    pub every: Option<f64>,
    /// End after so many pictures.
    #[arg(long, value_name = "N")]
    pub max_frames: Option<u64>,
    /// Play files at their own pace, as a camera would: what comes too fast is dropped.
    #[arg(long)]
    pub realtime: bool,
    /// Write a Chrome trace (chrome://tracing, ui.perfetto.dev) of all stages.
    #[arg(long, value_name = "FILE.json")]
    pub trace: Option<PathBuf>,
}

/// What `--overwrite` says of existing files.
pub fn existing(overwrite: bool) -> Existing {
    if overwrite { Existing::Replace } else { Existing::Keep }
}

/// How fast a recording is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PaceArg {
    /// As if spoken now.
    Realtime,
    /// As fast as it is taken.
    Fast,
}

/// `nearfield report`
#[derive(Args, Debug)]
pub struct ReportArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
    /// Where readings come from: a CSV or JSON-lines file, `-` for stdin, or a broker [default: stdin, unless that is a terminal].
    #[arg(long, value_name = "FILE|-|mqtt://host/topic/#")]
    pub input: Option<String>,
    /// Show how a file is read, and report nothing: its columns or topics with sensor, unit, kind, first and last value, and the
    /// cells that are not read.
    #[arg(long, value_name = "FILE|-", conflicts_with_all = ["input", "follow", "json", "output", "plot", "trace"])]
    pub explain: Option<String>,
    /// How long a window is (90s, 15m, 1h, 1d, 1w); short for --set window.length=...
    #[arg(long, value_name = "LENGTH", allow_hyphen_values = true)]
    pub window: Option<String>,
    /// Go on reading as the file grows, also when it is rotated.
    #[arg(long)]
    pub follow: bool,
    /// One JSON object for each window.
    #[arg(long)]
    pub json: bool,
    /// A file for the reports, instead of stdout: .md, .html or .jsonl. Reports are added to what is in it (see --overwrite).
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// A plot of the last window: .svg or .png. It takes the place of the plot before it; of another picture only with --overwrite.
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Replace existing files of --output, --plot and --trace, as soon as the first report is complete.
    #[arg(long)]
    pub overwrite: bool,
    /// Write a Chrome trace (chrome://tracing, ui.perfetto.dev) of all stages.
    #[arg(long, value_name = "FILE.json")]
    pub trace: Option<PathBuf>,
}

/// `nearfield transcribe`
#[derive(Args, Debug)]
pub struct TranscribeArgs {
    /// Recordings: WAV, FLAC, OGG, MP3, AIFF; `-` for stdin.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// One JSON object for each file.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub config: ConfigArgs,
}

/// `nearfield say`
#[derive(Args, Debug)]
pub struct SayArgs {
    /// What to say; `-` reads it from stdin.
    pub text: String,
    /// Where it goes: `speaker`, a WAV file that is not there yet (see --overwrite), or `null`.
    #[arg(long, default_value = "speaker", value_name = "speaker|FILE.wav|null")]
    pub output: String,
    /// Replace an existing file of --output; without it the file is kept and the command fails.
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
    /// The home's state, a JSON file.
    #[arg(long, value_name = "FILE.json")]
    pub home: Option<PathBuf>,
    /// Go on with the conversation in this file, and write it back at the end; a new one where there is none.
    #[arg(long, value_name = "FILE")]
    pub session: Option<PathBuf>,
    /// One JSON object for each turn.
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
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Tell everything about one model.
    Show {
        /// The model's name.
        name: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Fetch models from the hub (HF_ENDPOINT, HF_HOME and HF_TOKEN are honoured); an interrupted pull goes on where it was.
    Pull {
        /// Their names.
        #[arg(required = true)]
        names: Vec<String>,
        /// Take what the hub has now and record it anew, instead of holding the file to models.lock.
        #[arg(long)]
        update: bool,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Compare model files with their recorded hashes.
    Verify {
        /// Only this one.
        name: Option<String>,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Print where a model's file is.
    Path {
        /// The model's name.
        name: String,
    },
}

/// `nearfield bench`
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// What to measure.
    #[arg(value_enum)]
    pub what: BenchWhat,
    /// One JSON object a line; the last holds the result.
    #[arg(long)]
    pub json: bool,
    /// Recordings (voice, stt) or pictures (caption) to use.
    #[arg(long, value_name = "FILE|DIR")]
    pub input: Option<PathBuf>,
    /// The home's state (voice).
    #[arg(long, value_name = "FILE.json")]
    pub home: Option<PathBuf>,
    /// How often each measurement is taken; medians are printed.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub runs: u32,
    /// The model to measure, a name or a GGUF file (llm).
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
    /// The whole turn: staged against one stage after the other.
    Voice,
    /// Speech to text.
    Stt,
    /// The language model.
    Llm,
    /// Text to speech.
    Tts,
    /// A camera before which little happens: what the gate and the cache save.
    Caption,
    /// Reports: readings into windows, words, and the check.
    Report,
}

/// `nearfield eval`
#[derive(Args, Debug)]
pub struct EvalArgs {
    /// Which models.
    #[arg(value_enum)]
    pub what: EvalWhat,
    /// One JSON object for each set; the last tells how long it took.
    #[arg(long)]
    pub json: bool,
    /// The folder with the held-out files: models/recipes of a clone.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Only so many rows of each set, for a quick look.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

/// Which models are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EvalWhat {
    /// Those that come with Nearfield.
    Bundled,
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

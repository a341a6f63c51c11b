//! Where logs go: stderr, at the level that `-v`, `-q` or `RUST_LOG` asks for. Results never come this way.

use tracing_subscriber::EnvFilter;

/// Installs the log for the rest of the process.
pub fn install(verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        // whisper.cpp and ONNX Runtime are talkative at this level.
        (false, 1) => "info,whisper_rs=warn,ort=warn",
        (false, _) => "debug,whisper_rs=info,ort=info",
    };
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if verbose == 0 && !quiet && !directives.is_empty() => EnvFilter::new(directives),
        _ => EnvFilter::new(level),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = log.with_target(verbose > 1).compact().try_init();
}

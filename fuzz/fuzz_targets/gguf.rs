//! Any bytes as a GGUF file: the reader and the checks of a model's dimensions and positions must answer with a value or an
//! error, quickly and without much memory. The modules of `nearfield-llm` are taken by path, so that neither the tokenizer nor
//! the template engine has to be built with the fuzzer's instrumentation.
//!
//! ```text
//! RUSTC_BOOTSTRAP=1 cargo fuzz run gguf -s none -- -max_len=4096 -rss_limit_mb=512
//! ```
//! or, without cargo-fuzz, from the folder `fuzz`:
//! ```text
//! RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
//!   -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
//!   -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1" \
//!   cargo build --release --target x86_64-unknown-linux-gnu
//! target/x86_64-unknown-linux-gnu/release/gguf corpus/gguf -max_len=4096 -rss_limit_mb=512
//! ```
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

#[path = "../../models/llm/src/architecture.rs"]
mod architecture;
#[path = "../../models/llm/src/error.rs"]
mod error;
#[path = "../../models/llm/src/positions.rs"]
mod positions;

use error::LlmError;

/// The reader maps files, so each input becomes one, in memory.
static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| PathBuf::from(format!("/dev/shm/nearfield-fuzz-{}.gguf", std::process::id())));

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).expect("/dev/shm takes a file");
    let error = match nearfield_gguf::Gguf::open(&FILE) {
        Err(error) => LlmError::from(error),
        Ok(file) => match architecture::Shape::of(&file) {
            Err(error) => error,
            Ok(shape) => {
                for context_tokens in [1, 4096, 1 << 30] {
                    let positions = shape.rope.positions(context_tokens);
                    let (mut cos, mut sin) = (Vec::new(), Vec::new());
                    positions.angles(4095.0, positions.magnitude, &mut cos, &mut sin);
                    assert!(cos.len() == sin.len() && cos.len() <= 128);
                }
                return;
            }
        },
    };
    // One line that names the file, whatever the file holds.
    let text = error.to_string();
    assert!(text.contains("nearfield-fuzz") && text.len() < 2_000 && !text.contains(char::is_control), "{text}");
});

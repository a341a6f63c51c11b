//! libFuzzer's program: `NEARFIELD_FUZZ_TARGET` names the target. See `make fuzz`.
#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<nearfield_fuzz::Target> = LazyLock::new(|| {
    let name = std::env::var("NEARFIELD_FUZZ_TARGET").unwrap_or_default();
    let target = nearfield_fuzz::target(&name).unwrap_or_else(|| {
        let names: Vec<&str> = nearfield_fuzz::TARGETS.iter().map(|target| target.name).collect();
        eprintln!("NEARFIELD_FUZZ_TARGET is {name:?}: name one of {}", names.join(", "));
        std::process::exit(2);
    });
    // Seeds made by the program, for `run.sh`.
    if let Some(folder) = std::env::var_os("NEARFIELD_FUZZ_SEEDS") {
        for (i, bytes) in nearfield_fuzz::seeds::of(target.name).iter().enumerate() {
            let path = std::path::Path::new(&folder).join(i.to_string());
            std::fs::write(&path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        }
    }
    target
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));

#!/bin/sh
# Builds and tests each crate alone, and without its features, in a target folder of its own: what the workspace turns on
# elsewhere is off here. Then asks the program for what it leaves out.
set -eu
export CARGO_RESOLVER_FEATURE_UNIFICATION=selected
export CARGO_TARGET_DIR="${FEATURES_TARGET:-target/features}"
cargo="${CARGO:-cargo}"

for name in base kernels gguf telemetry home llm quantize convert; do
    echo "nearfield-$name: alone"
    $cargo test --release --quiet -p "nearfield-$name" 2>&1 | sh assets/setup/test-summary.sh
done
echo "nearfield-llm: without grammar"
$cargo test --release --quiet -p nearfield-llm --no-default-features --test llm no_grammar 2>&1 | sh assets/setup/test-summary.sh
for name in onnx speech vision stages; do
    echo "nearfield-$name: alone"
    $cargo build --release --quiet -p "nearfield-$name"
    echo "nearfield-$name: without its features"
    $cargo build --release --quiet -p "nearfield-$name" --no-default-features
done
echo "nearfield: without its features"
$cargo build --release --quiet -p nearfield --no-default-features

# free_of PACKAGE CRATES OPTIONS: the package builds without these crates.
free_of() {
    package=$1 crates=$2
    shift 2
    tree=$($cargo tree -p "$package" -e normal "$@")
    for crate in $crates; do
        if echo "$tree" | grep -q " $crate v"; then echo "$package depends on $crate"; exit 1; fi
    done
}
free_of nearfield-llm "whisper-rs ort cpal rodio"
free_of nearfield-telemetry "whisper-rs ort cpal rodio"
free_of nearfield "whisper-rs whisper-rs-sys ort tokio plotters rustls-native-certs llguidance" --no-default-features

# refused WHAT EXPECTED ARGUMENTS: the program refuses the arguments with a message that holds EXPECTED.
refused() {
    expected=$1
    shift
    if said=$("$CARGO_TARGET_DIR/release/nearfield" "$@" 2>&1); then echo "not refused: $*"; exit 1; fi
    case $said in *"$expected"*) echo "  $said" ;; *) echo "$*: $said"; exit 1 ;; esac
}
readings=$(mktemp --suffix=.csv)
schema=$(mktemp --suffix=.json)
trap 'rm -f "$readings" "$schema"' EXIT
printf 'time,a\n2026-11-01T00:00:00Z,1\n' > "$readings"
printf '{"type": "object"}' > "$schema"
refused 'feature `whisper`' transcribe assets/speech/2-light.wav
refused 'feature `onnx`' caption --input assets/pictures
refused 'feature `onnx`' say Hello. --output "$readings.wav" --set tts.engine=piper --set tts.model=models/speech/tests/data/tiny-piper.onnx
refused 'feature `mqtt`' report --input mqtt://localhost/#
refused 'feature `mqtt`' report --input "$readings" --set outlets.mqtt=mqtt://localhost
refused 'feature `plots`' report --input "$readings" --plot "$readings.svg"
refused 'feature `grammar`' caption --input assets/pictures --model none --set "output.schema=$schema"
echo "features: each crate builds alone and without its features, and says what it leaves out"

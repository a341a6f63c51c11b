#!/bin/sh
# Builds Nearfield for 64-bit ARM boards, and tests it as three of their processors under QEMU: Cortex-A72 (no byte products),
# Cortex-A76 (dotprod), max (i8mm). On each, the kernels' tests run, the stories model and talk-nano write what they write
# elsewhere, and the whole program transcribes, captions, answers and reports on the bundled media, word for word as it does here.
#   arm.sh         build and test
#   arm.sh build   build only: the program for the board is .data/arm/target/aarch64-unknown-linux-gnu/release/nearfield
# rustup's own ARM library is not in Debian; Debian's newest compiler and its arm64 libraries are, and are unpacked beside the
# build (nothing of them is installed).
set -eu
here=$PWD
root=${NEARFIELD_DATA:-$here/.data}/arm
sysroot=$root/debian
sh assets/setup/setup.sh arm
if ! [ -e "$sysroot/done-2" ]; then
    rm -rf "$root/debs" "$sysroot"
    mkdir -p "$root/lists/partial" "$root/debs" "$sysroot"
    : >"$root/status"
    apt="-oAPT::Architecture=amd64 -oAPT::Architectures=amd64,arm64 -oDir::State::Lists=$root/lists -oDir::State::status=$root/status"
    apt-get $apt -qq update
    library=$(apt-cache $apt depends libstd-rust-web-dev:amd64 | grep -o 'libstd-rust-web-[0-9][0-9.]*' | head -n 1)
    llvm=$(apt-cache $apt depends "$library:amd64" | grep -o 'libllvm[0-9][0-9]*' | head -n 1)
    sound=$(apt-cache $apt depends libasound2-dev:arm64 | grep -o 'libasound2[0-9a-z]*' | head -n 1)
    (cd "$root/debs" && apt-get $apt -qq download rustc-web "$library" "$llvm" libz3-4 \
        libstd-rust-web-dev:amd64 libstd-rust-web-dev:arm64 libasound2-dev:arm64 "$sound:arm64" 2>/dev/null)
    for package in "$root"/debs/*.deb; do dpkg -x "$package" "$sysroot"; done
    touch "$sysroot/done-2"
fi
# 1.31.1 crashes under QEMU 7.2; this one and 1.27 do not.
python3 assets/setup/get-onnxruntime.py "$root/lib" aarch64 onnxruntime==1.22.1

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_SYSROOT_DIR="$sysroot" PKG_CONFIG_LIBDIR="$sysroot/usr/lib/aarch64-linux-gnu/pkgconfig"
# cargo SUBCOMMAND ARGUMENTS...: cargo, with Debian's compiler, for ARM.
cross() {
    command=$1
    shift
    RUSTC="$sysroot/usr/bin/rustc" LD_LIBRARY_PATH="$sysroot/usr/lib/x86_64-linux-gnu" CARGO_TARGET_DIR="$root/target" \
        cargo "$command" --release --quiet --target aarch64-unknown-linux-gnu "$@"
}

cross build --workspace # always the whole workspace: one set of features, so that nothing is compiled twice
program=$root/target/aarch64-unknown-linux-gnu/release/nearfield
[ "${1:-}" = build ] && { echo "for ARM boards: $program"; exit; }

# What a program makes of the bundled media, without the times.
makes() {
    printf '%s\n' 'Which lights are on?' 'Is it warmer in the kitchen than outside?' 'And in the bedroom?' 'Tell me a joke.' |
        "$@" chat --quiet --home assets/home.json
    "$@" transcribe --quiet assets/speech/*.wav
    "$@" caption --quiet --input assets/pictures | sed -e 's/ *\[[^]]*\]$//' -e 's/([0-9]* ms;/(/'
    "$@" report --quiet --input assets/telemetry/day.csv --window 1d --set window.zone=UTC
}
makes target/release/nearfield >"$root/here.txt"

for cpu in cortex-a72 cortex-a76 max; do
    echo "== $cpu"
    runner="qemu-aarch64-static -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH=$sysroot/usr/lib/aarch64-linux-gnu -cpu $cpu"
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$runner"
    # Names the levels that are present, then measures a format that does not exist.
    cross run -p nearfield-kernels --example products -- none | grep levels
    cross test -p nearfield-kernels --lib --tests
    cross test -p nearfield-llm --test llm -- llama_cpp_s talk:: hostile_strings --skip a_history_that_was_moved
    ORT_DYLIB_PATH="$root/lib/libonnxruntime.so" makes $runner "$program" >"$root/there.txt"
    diff "$root/here.txt" "$root/there.txt"
    echo "the program says the same as here: $(wc -w <"$root/there.txt") words"
done

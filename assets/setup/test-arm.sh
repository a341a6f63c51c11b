#!/bin/sh
# The kernels' tests as three ARM processors, under QEMU: Cortex-A72 (no byte products), Cortex-A76 (dotprod), max (i8mm).
# rustup's own ARM library is not in Debian; Debian's newest compiler and its arm64 library are, and are unpacked beside the
# build (nothing of them is installed).
set -eu
root=${NEARFIELD_DATA:-$PWD/.data}/arm
sysroot=$root/debian
if ! [ -e "$sysroot/done" ]; then
    dpkg -s qemu-user-static gcc-aarch64-linux-gnu >/dev/null 2>&1 ||
        apt-get install -y qemu-user-static gcc-aarch64-linux-gnu >/dev/null
    mkdir -p "$root/lists/partial" "$root/debs" "$sysroot"
    : >"$root/status"
    apt="-oAPT::Architecture=amd64 -oAPT::Architectures=amd64,arm64 -oDir::State::Lists=$root/lists -oDir::State::status=$root/status"
    apt-get $apt -qq update
    library=$(apt-cache $apt depends libstd-rust-web-dev:amd64 | grep -o 'libstd-rust-web-[0-9.]*' | head -n 1)
    llvm=$(apt-cache $apt depends "$library:amd64" | grep -o 'libllvm[0-9]*' | head -n 1)
    (cd "$root/debs" && apt-get $apt -qq download rustc-web "$library" "$llvm" libz3-4 \
        libstd-rust-web-dev:amd64 libstd-rust-web-dev:arm64 2>/dev/null)
    for package in "$root"/debs/*.deb; do dpkg -x "$package" "$sysroot"; done
    touch "$sysroot/done"
fi
export RUSTC="$sysroot/usr/bin/rustc" LD_LIBRARY_PATH="$sysroot/usr/lib/x86_64-linux-gnu"
export CARGO_TARGET_DIR="$root/target" CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
for cpu in cortex-a72 cortex-a76 max; do
    echo "== $cpu"
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -L /usr/aarch64-linux-gnu -cpu $cpu"
    # Names the levels that are present, then measures a format that does not exist.
    cargo run --release --quiet -p nearfield-kernels --example products --target aarch64-unknown-linux-gnu -- none |
        grep levels
    cargo test --release --quiet -p nearfield-kernels --target aarch64-unknown-linux-gnu --lib --tests -- "$@"
done

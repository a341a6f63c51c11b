#!/bin/sh
# Kernels, compute pool and queues under tools that see what tests do not: `make sanitize`, or for one of them
# `sh tests/sanitize.sh loom|address|thread|miri`. All but loom need a nightly compiler (NEARFIELD_NIGHTLY names its folder where it is
# not rustup's). What is built goes to target/sanitize, or to NEARFIELD_SANITIZE_TARGET.
set -eu
cd "$(dirname "$0")/.."
build=${NEARFIELD_SANITIZE_TARGET:-$PWD/target/sanitize}
loom=tests/loom/Cargo.toml

# Fails before anything is built where the nightly compiler or a part of it is missing.
need_nightly() {
    install="install it with: rustup toolchain install nightly --component rust-src --component miri"
    nightly=${NEARFIELD_NIGHTLY:-$(rustup run nightly rustc --print sysroot 2>/dev/null || true)}
    [ -x "$nightly/bin/cargo" ] || { echo "sanitize: there is no nightly compiler; $install" >&2; exit 1; }
    [ -d "$nightly/lib/rustlib/src/rust/library" ] || { echo "sanitize: the nightly compiler has no rust-src; $install" >&2; exit 1; }
    [ -x "$nightly/bin/cargo-miri" ] || { echo "sanitize: the nightly compiler has no miri; $install" >&2; exit 1; }
    host=$("$nightly/bin/rustc" -vV | sed -n 's/^host: //p')
}

nightly() { env -u RUSTUP_TOOLCHAIN PATH="$nightly/bin:$PATH" cargo "$@"; }

# Each order of the steps of two threads of the pool.
loom() { CARGO_TARGET_DIR=$build/loom cargo test --manifest-path $loom; }

# Instrumented code, at each SIMD level of this processor. Only ThreadSanitizer has to see into the standard library.
sanitized() {
    kind=$1; shift
    [ "$kind" = address ] || set -- -Zbuild-std "$@"
    RUSTFLAGS="-Zsanitizer=$kind" CARGO_TARGET_DIR=$build/$kind nightly test --target "$host" \
        --config 'profile.dev.opt-level=2' --config 'profile.dev.debug="line-tables-only"' "$@"
}

# Reads and writes beyond what was allocated, and after it was given back.
address() {
    sanitized address --manifest-path $loom --no-default-features --lib
    sanitized address -p nearfield-kernels --lib --test goldens --test products
}

# Two threads at one place without order between them.
thread() {
    sanitized thread --manifest-path $loom --no-default-features --lib
    sanitized thread -p nearfield-kernels --lib --test products -- --skip rows_longer --skip with_every_core_spinning
}

# Interpreted, with what the compiler may assume checked: pointers, races, uninitialised memory. Several orders of the threads.
miri() {
    export MIRIFLAGS="-Zmiri-disable-isolation" CARGO_TARGET_DIR="$build/miri"
    MIRIFLAGS="$MIRIFLAGS -Zmiri-many-seeds=0..8" nightly miri test --manifest-path $loom --no-default-features
    nightly miri test -p nearfield-kernels --lib --test goldens -- pool::tests::every pool::tests::a_panic every_block_format \
        a_few_queries a_shifted_position follows_the_delta_rule
}

[ "$*" = loom ] || need_nightly
for tool in ${*:-loom address thread miri}; do
    echo "== $tool"
    "$tool"
done
echo "sanitize: nothing was found"

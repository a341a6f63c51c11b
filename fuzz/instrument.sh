#!/bin/sh
# RUSTC_WORKSPACE_WRAPPER of `make fuzz`: our own crates are compiled with the counters that libFuzzer follows, dependencies
# are not. Little is optimised, which costs less in each input than it saves in building. RUSTC_BOOTSTRAP lets the stable compiler take the pass.
export RUSTC_BOOTSTRAP=1
exec "$@" -Copt-level=1 --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Coverflow-checks=yes -Cdebug-assertions=yes

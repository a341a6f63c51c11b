#!/bin/sh
# Fuzzes one target for so many seconds: run.sh PROGRAM TARGET SECONDS. The corpus grows under target/fuzz/TARGET; an input that
# fails is kept there as crash-*, to be made a test by copying it to fuzz/seeds/TARGET.
set -eu
program=$1 target=$2 seconds=$3
folder=target/fuzz/$target
mkdir -p "$folder/corpus" "$folder/seeds"
NEARFIELD_FUZZ_TARGET=$target NEARFIELD_FUZZ_SEEDS=$folder/seeds "$program" -runs=0 >/dev/null 2>&1 || true
NEARFIELD_FUZZ_TARGET=$target exec "$program" "$folder/corpus" "$folder/seeds" -artifact_prefix="$folder/" \
    -max_total_time="$seconds" -timeout=5 -detect_leaks=0 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=1

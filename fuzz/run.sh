#!/bin/sh
# Fuzzes one target for so many seconds, or each of them (`all`): run.sh PROGRAM TARGET SECONDS. The corpus grows under
# target/fuzz/TARGET, beside the log; an input that fails is kept there as crash-*, oom-* or timeout-*, to be made a test by copying it
# to fuzz/seeds/TARGET. A line for each target says how many inputs were tried, in how much memory, and what was found.
set -eu
program=$1 target=$2 seconds=$3 failed=0
[ "$target" != all ] || target=$(sed -n 's/^    \(fast\|slow\)("\([a-z_]*\)".*/\2/p' fuzz/src/lib.rs)
for name in $target; do
    folder=target/fuzz/$name
    mkdir -p "$folder/corpus" "$folder/seeds"
    NEARFIELD_FUZZ_TARGET=$name NEARFIELD_FUZZ_SEEDS=$folder/seeds "$program" -runs=0 >/dev/null 2>&1 || true
    status=0
    NEARFIELD_FUZZ_TARGET=$name "$program" "$folder/corpus" "$folder/seeds" -artifact_prefix="$folder/" -max_total_time="$seconds" \
        -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=1 >"$folder/log" 2>&1 || status=$?
    stat() { sed -n "s/^stat::$1: *//p" "$folder/log"; }
    echo "$name: $(stat number_of_executed_units) inputs, peak $(stat peak_rss_mb) MiB, status $status"
    [ "$status" = 0 ] || { failed=1; grep -E 'panicked|ERROR|SUMMARY|Test unit written' -A1 "$folder/log" || tail -5 "$folder/log"; }
done
exit $failed

#!/bin/sh
# Reads what `cargo test` prints, shows failures and skips as they come, and ends with one line that counts:
# "N passed, N failed, N skipped". Its exit status is that of the tests.
exec awk '
/skipped: |SKIPPED: / { skipped++; print; next }
/^test result: / {
    for (i = 1; i < NF; i++) {
        if ($(i + 1) ~ /^passed/) passed += $i
        if ($(i + 1) ~ /^failed/) failed += $i
    }
    seen = 1
    next
}
/^running [0-9]+ tests?$/ || /^[.]*( [0-9]+\/[0-9]+)?$/ { next }
/error(\[|:)|could not compile/ { broken = 1 }
{ print }
END {
    if (broken && !failed) failed = 1
    printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
    exit (failed > 0 || !seen)
}'

#!/bin/sh
# self_test.sh - shows that fuzzing can fail: with each fault that spec/fuzz/entry.c can plant, run.sh must exit with 1, say so,
# keep the input, and the input must do it again. Run from the root, with build/fuzz/extensions_fuzz there.
# SPDX-License-Identifier: MIT
set -eu

FUZZ_OUTPUT=build/fuzz/self-test
export FUZZ_OUTPUT

complain() {
    echo "fuzz: a planted fault ($fault) $1" >&2
    exit 1
}

for fault in crash leak hang memory; do
    rm -rf "$FUZZ_OUTPUT"
    mkdir -p "$FUZZ_OUTPUT"
    said=$FUZZ_OUTPUT/said
    ! MOONWIRE_FUZZ_FAULT=$fault spec/fuzz/run.sh 1 1 extensions >"$said" 2>&1 || complain "went unnoticed"
    grep -q '^extensions .*FAILED' "$said" || complain "is not in the target's line"
    input=$(sed -n 's/^extensions: the input is kept; again: *//p' "$said")
    [ -s "${input#* }" ] || complain "left no input"
    # shellcheck disable=SC2086  # the program and its input
    ! MOONWIRE_FUZZ_FAULT=$fault $input -timeout=5 -malloc_limit_mb=1024 >/dev/null 2>&1 || complain "did not come again"
done
rm -rf "$FUZZ_OUTPUT"
echo "fuzz: crash, leak, hang and memory are noticed when they are planted"

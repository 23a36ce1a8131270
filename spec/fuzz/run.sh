#!/bin/sh
# run.sh - runs fuzz targets, for `make fuzz`: run.sh SECONDS JOBS TARGET…, from the root, with build/fuzz/<target>_fuzz there.
# One line per target on standard output; below FUZZ_OUTPUT (build/fuzz) everything libFuzzer says goes to <target>.log, what it
# found interesting to corpus/<target>, and an input that broke something to found. Exits with 1 when there was one.
# SPDX-License-Identifier: MIT
set -eu

output=${FUZZ_OUTPUT:-build/fuzz}
MEMORY_MB=1024
INPUT_SECONDS=5

# The last of the numbers that stand behind "$1" in the log.
number() {
    sed -n "s/.*$1 *\([0-9][0-9]*\).*/\1/p" "$log" | tail -n 1
}

report() {
    printf '%-12s %10s executions %7s/s %6s edges %7s features  %s\n' "$target" "$(number stat::number_of_executed_units:)" \
        "$(number stat::average_exec_per_sec:)" "$(number cov:)" "$(number ft:)" "$1"
}

explain() {
    echo "$target: $(grep -m 1 -E 'broken promise|ERROR: |runtime error|^lua_fuzz|^spec/fuzz/.*lua:' "$log" || echo "see $log")"
    if [ -n "$input" ]; then
        echo "$target: the input is kept; again:  build/fuzz/${target}_fuzz $input"
    fi
    echo "$target: all of it is in $log"
}

run_one() {
    target=$1
    log=$output/$target.log
    mkdir -p "$output/corpus/$target" "$output/found"
    set -- -max_total_time="$seconds" -timeout="$INPUT_SECONDS" -rss_limit_mb="$MEMORY_MB" -malloc_limit_mb="$MEMORY_MB" \
        -print_final_stats=1 -artifact_prefix="$output/found/$target-"
    case $target in
    handshake | opening | response) dictionary=spec/fuzz/dictionaries/http.dict ;;
    *) dictionary=spec/fuzz/dictionaries/$target.dict ;;
    esac
    [ ! -f "$dictionary" ] || set -- "$@" -dict="$dictionary"
    # A Lua state collects its garbage when it likes: whether memory is lost there shows at the end.
    if [ "$target" = lua ]; then
        set -- "$@" -detect_leaks=0
    fi
    status=0
    "build/fuzz/${target}_fuzz" "$@" "$output/corpus/$target" "spec/fuzz/seeds/$target" >"$log" 2>&1 || status=$?
    if [ "$status" -eq 0 ]; then
        report ok
        return 0
    fi
    input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
    {
        report "FAILED ($status)"
        explain
    } >"$output/$target.report"
    cat "$output/$target.report"
    return 1
}

if [ "${1:-}" = --one ]; then
    seconds=$2
    run_one "$3"
    exit
fi
seconds=$1 jobs=$2
shift 2
printf '%s\n' "$@" | xargs -P "$jobs" -n 1 "$0" --one "$seconds" || exit 1

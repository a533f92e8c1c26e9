#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs every fuzzer for $1 seconds, two at a time, each from its corpus in fuzz/corpus/<name>/ (kept in the
# repository) and with what it finds in build/fuzz/corpus/<name>/. Fails if one finds a crash or if a
# parser has no fuzzer.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:?usage: $0 SECONDS}

[ -f build/fuzz/build.ninja ] || cmake --preset fuzz >/dev/null
ninja -C build/fuzz --quiet fuzzers

mapfile -t fuzzers < <(find src -name '*_fuzz.cc' -printf '%f\n' | sed 's/\.cc$//' | sort)
[ ${#fuzzers[@]} -gt 0 ] || { echo "no fuzzers found" >&2; exit 1; }
echo "== Fuzzing ${#fuzzers[@]} targets, $seconds s each"

run_one() {
  local name=$1 binary
  binary=$(find build/fuzz/src -type f -name "$name" -perm -u+x)
  local kept="fuzz/corpus/$name" found="build/fuzz/corpus/$name"
  [ -d "$kept" ] || { echo "$name has no corpus in $kept" >&2; return 1; }
  mkdir -p "$found"
  if ! "$binary" -max_total_time="$2" -timeout=20 -rss_limit_mb=2048 -max_len=65536 \
    -print_final_stats=1 -artifact_prefix="build/fuzz/$name-" "$found" "$kept" \
    >"build/fuzz/$name.log" 2>&1; then
    tail -40 "build/fuzz/$name.log" >&2
    return 1
  fi
  echo "$name: $(grep -o 'stat::number_of_executed_units: *[0-9]*' "build/fuzz/$name.log" | grep -o '[0-9]*$') runs"
}
export -f run_one
printf '%s\n' "${fuzzers[@]}" | xargs -P 2 -I{} bash -c 'run_one "$1" "$2"' _ {} "$seconds"

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Format, layers, and clang's analyses: thread safety by compiling with clang-19, clang-tidy as error.
# Usage: check.sh [--changed REF] checks with clang-tidy only what differs from REF.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "== Format"
find src vmm -name '*.cc' -o -name '*.h' | sort | xargs clang-format-19 --dry-run -Werror
echo "== Layers"
python3 tools/check_layers.py --self-test
echo "== Shell and Python syntax"
for script in tools/*.sh .ci/run; do bash -n "$script"; done
python3 -m compileall -q tools vmm/qemu
echo "== clang-19 with thread-safety analysis"
[ -f build/clang/build.ninja ] || cmake --preset clang >/dev/null
ninja -C build/clang --quiet
echo "== clang-tidy-19"
files=$(find src vmm -name '*.cc' | sort)
if [ "${1:-}" = --changed ]; then
  files=$(git diff --name-only --diff-filter=d "$2" -- 'src/*.cc' 'vmm/*.cc')
fi
# shellcheck disable=SC2086
[ -z "$files" ] || echo $files | tr ' ' '\n' |
  xargs -P "$(nproc)" -n 4 clang-tidy-19 --quiet -p build/clang 2> >(grep -v 'warnings generated' >&2)

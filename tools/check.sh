#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Format, layers, one definition of each type, clang's thread-safety analysis and clang-tidy, all as
# errors.
# Usage: check.sh [--changed REF]: clang looks only at what differs from REF.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "== Format"
find src vmm -name '*.cc' -o -name '*.h' | sort | xargs clang-format-19 --dry-run -Werror
echo "== Layers"
python3 tools/check_layers.py --self-test
echo "== One definition"
python3 tools/check_one_definition.py --self-test
echo "== Shell and Python syntax"
for script in tools/*.sh .ci/run; do bash -n "$script"; done
python3 -m compileall -q tools vmm

# The canary: a value behind a lock, read without it, has to be an error, or the analysis below proves
# nothing.
echo "== clang-19: thread-safety canary"
canary=$(mktemp --suffix .cc)
trap 'rm -f "$canary"' EXIT
cat >"$canary" <<'CC'
#include "thaw/base/guarded.h"
struct Account {
  thaw::Mutex mutex;
  int balance GUARDED_BY(mutex) = 0;
};
int peek(Account& account) { return account.balance; }
CC
if clang++-19 -std=c++20 -Isrc -Wthread-safety -Werror -fsyntax-only "$canary" 2>/dev/null; then
  echo "an unguarded read was not found" >&2
  exit 1
fi

# clang-tidy compiles each file with the flags of the preset `clang`, so -Wthread-safety and all other
# warnings are errors here too. Files of which nothing has changed cost nothing (tools/tidy.py).
echo "== clang-tidy-19 and clang's warnings"
[ -f build/clang/build.ninja ] || cmake --preset clang >/dev/null
ninja -C build/clang --quiet build.ninja >/dev/null  # files that have come since are known to it then
files=$(find src vmm -name '*.cc' | grep -vE '_(test|prop|fuzz|bench)\.cc$' | sort)
if [ "${1:-}" = --changed ]; then
  files=$(git diff --name-only --diff-filter=d "$2" -- 'src/*.cc' 'vmm/*.cc' | grep -v '_fuzz\.cc$' || true)
fi
[ -n "$files" ] || exit 0
tools/tidy.py --self-test
xargs tools/tidy.py <<<"$files"

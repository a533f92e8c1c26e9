#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Line coverage of resume/, image/ and chunk/ by all tests that need no QEMU.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -f build/coverage/build.ninja ] || cmake --preset coverage >/dev/null
ninja -C build/coverage --quiet
find build/coverage -name '*.gcda' -delete
ctest --test-dir build/coverage --output-on-failure -j 2 -E bench_smoke >build/coverage/tests.log ||
  { tail -40 build/coverage/tests.log; exit 1; }
for module in chunk image resume; do
  echo "== $module"
  gcovr --root . --object-directory build/coverage --gcov-executable gcov-12 --gcov-ignore-parse-errors \
    --filter "src/thaw/$module/" --exclude '.*_(test|prop|fuzz|bench)\.(cc|h)' --print-summary \
    --exclude-unreachable-branches --exclude-throw-branches | grep -E '^(lines|src/|TOTAL)' || true
done

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Everything that CI runs, cheapest first. Each part prints how long it took.
set -euo pipefail
cd "$(dirname "$0")/.."
passed=0

part() {
  local name=$1 start=$SECONDS
  shift
  echo "=== $name"
  "$@"
  passed=$((passed + 1))
  echo "=== $name: passed in $((SECONDS - start)) s"
}
build() {
  [ -f "build/$1/build.ninja" ] || cmake --preset "$1" >/dev/null
  ninja -C "build/$1" --quiet
}
# Prints only the summary of a suite that passes.
run_ctest() {
  local preset=$1
  shift
  ctest --test-dir "build/$preset" --output-on-failure --no-tests=error "$@" | tail -n 40
}

release_tests() { build release && run_ctest release -j 2; }
address_tests() { build debug && run_ctest debug -j 2 -LE slow; }
thread_tests() { build tsan && run_ctest tsan -j 2 -L threads; }
qemu_tests() {
  THAW_PRELOAD_LIBRARY=$PWD/build/release/vmm/qemu/libthaw_uffd_preload.so \
    THAW_QEMU_IMAGE=$PWD/build/guest-image python3 vmm/qemu/test_thaw_qemu.py
}

part "checks: format, layers, clang, clang-tidy" tools/check.sh
part "unit, property and end-to-end tests" release_tests
part "address and undefined-behaviour sanitizers" address_tests
part "thread sanitizer" thread_tests
part "QEMU driver" qemu_tests
part "real VM from an encrypted store" python3 tools/demo.py --check
part "fuzzers" tools/fuzz.sh "${FUZZ_SECONDS:-30}"
echo
echo "$passed passed, 0 failed"

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Everything that CI runs. Each part prints how long it took.
set -euo pipefail
cd "$(dirname "$0")/.."
# The cache of compiled files serves every checkout of this machine, not only this folder.
export CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=$PWD
passed=0

part() {
  local name=$1 start=$SECONDS
  shift
  echo "=== $name"
  "$@"
  passed=$((passed + 1))
  echo "=== $name: passed in $((SECONDS - start)) s"
}
# build PRESET TARGET...: one configure a preset.
build() {
  local preset=$1
  shift
  [ -f "build/$preset/build.ninja" ] || cmake --preset "$preset" >/dev/null
  ninja -C "build/$preset" --quiet "$@"
}
run_ctest() {
  local preset=$1
  shift
  ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j 2 "$@"
}

# Hugetlb memory for the tests that serve huge pages; where it cannot be had they say SKIP.
reserve_huge_pages() {
  local wanted=16 file=/proc/sys/vm/nr_hugepages
  if [ -w $file ] && [ "$(cat $file)" -lt $wanted ]; then
    echo $wanted >$file 2>/dev/null || true
  fi
}

release_tests() { build release all && run_ctest release; }
# A sanitizer finds what it finds in a few cases of each property: the release build ran all hundred.
run_sanitized() { RC_PARAMS=max_success=25 run_ctest "$@"; }
# The fleet's properties simulate hundreds of fleets: minutes where nothing is optimised, and they
# touch no memory by hand. Its other tests run.
address_tests() {
  build debug all
  run_sanitized debug -E 'bench_smoke|^fleet$'
  build/debug/src/thaw/fleet/thaw_fleet_test --gtest_filter='-*Prop.*'
}
thread_tests() { build tsan thread_tests && run_sanitized tsan -L threads; }
qemu_tests() {
  vmm/qemu/thaw-qemu image --output build/guest-image
  vmm/qemu/thaw-qemu image --output build/guest-image-full --with node,numpy,pil
  THAW_PROGRAM=$PWD/build/release/thaw \
    THAW_PRELOAD_LIBRARY=$PWD/build/release/vmm/qemu/libthaw_uffd_preload.so \
    THAW_QEMU_IMAGE=$PWD/build/guest-image THAW_QEMU_FULL_IMAGE=$PWD/build/guest-image-full \
    python3 vmm/qemu/test_thaw_qemu.py
  # The lab's own tests with a real guest of theirs.
  build/release/thaw lab trace --images build --output build/test-traces --guests build/test-guests \
    --function hello
  THAW_LAB_GUESTS=$PWD/build/test-guests \
    THAW_PRELOAD_LIBRARY=$PWD/build/release/vmm/qemu/libthaw_uffd_preload.so \
    build/release/src/thaw/lab/thaw_lab_test --gtest_filter='RealQemu*'
}

# With a stand-in for Firecracker; where the program and a KVM are that run guests, with real ones too.
firecracker_tests() {
  if command -v firecracker >/dev/null && [ -w /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo; then
    build/release/thaw lab trace --vmm firecracker --images build --output build/test-traces-firecracker \
      --guests build/test-guests-firecracker --function hello
    export THAW_FIRECRACKER_GUESTS=$PWD/build/test-guests-firecracker
  fi
  python3 vmm/firecracker/test_thaw_firecracker.py
  build/release/src/thaw/lab/thaw_lab_test --gtest_filter='RealFirecracker*'
}

reserve_huge_pages
part "unit, property and end-to-end tests" release_tests
part "QEMU driver" qemu_tests
part "Firecracker driver" firecracker_tests
part "lab report in a browser" python3 tools/test_report.py
part "real VM from an encrypted store" python3 tools/demo.py --check
part "hosts in network namespaces" python3 tools/fleet --check
part "address and undefined-behaviour sanitizers" address_tests
part "thread sanitizer" thread_tests
part "fuzzers" tools/fuzz.sh "${FUZZ_SECONDS:-20}"
part "checks: format, layers, clang, clang-tidy" tools/check.sh
echo
echo "$passed passed, 0 failed"

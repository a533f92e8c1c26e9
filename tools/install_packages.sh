#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian 12 packages of one purpose; does nothing, and asks no server, when they are all
# there. Usage: install_packages.sh build|demo|test|bench
set -euo pipefail

build=(g++-12 make cmake ninja-build ccache mold pkg-config libssl-dev libfuse3-dev libcli11-dev
       nlohmann-json3-dev libtomlplusplus-dev libspdlog-dev libfmt-dev libexpected-dev libgtest-dev
       libgmock-dev libbenchmark-dev librapidcheck-dev libcurl4-openssl-dev libisal-dev liburing-dev
       libxxhash-dev libmicrohttpd-dev libjs-chart.js libboost-dev)
demo=("${build[@]}" fuse3 qemu-system-x86 lz4 python3 busybox-static)
fleet=(memcached radosgw ceph-mon ceph-osd ceph-common iproute2)
test=("${demo[@]}" "${fleet[@]}" clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev openssl procps gcovr
      chromium chromium-driver)
bench=("${demo[@]}" "${fleet[@]}" casync restic borgbackup)

case "${1:-}" in
  build) wanted=("${build[@]}") ;;
  demo) wanted=("${demo[@]}") ;;
  test) wanted=("${test[@]}") ;;
  bench) wanted=("${bench[@]}") ;;
  *)
    echo "usage: $0 build|demo|test|bench" >&2
    exit 2
    ;;
esac

missing=()
for package in "${wanted[@]}"; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
  echo "These packages are missing; install them as root: ${missing[*]}" >&2
  exit 1
fi
echo "== Installing ${#missing[@]} Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

# SPDX-License-Identifier: Apache-2.0
#
# Every target is complete on a fresh Debian 12 machine as root: it installs the Debian packages it
# needs, builds, runs, and may be repeated.
#   make build            the product: build/release/thaw
#   make demo             a real VM, frozen into an encrypted store and resumed from it
#   make test             everything that CI runs
#   make bench            ratios against baselines, into build/bench/summary.json
#   make check            format, layers, one definition, clang-tidy, thread safety
#   make fuzz SECONDS=n   every fuzzer for n seconds (30 if not given)
#   make coverage         line coverage of resume/, image/ and chunk/
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build
SECONDS ?= 30
# The cache of compiled files serves every checkout of this machine, not only this folder.
export CCACHE_NOHASHDIR := 1
export CCACHE_BASEDIR := $(CURDIR)

.PHONY: build demo test bench check fuzz coverage clean packages-%

packages-%:
	@tools/install_packages.sh $*

# One configure per preset: cmake runs only when there is no build tree yet; ninja re-runs it when a
# CMakeLists.txt or the set of sources changes.
build/%/build.ninja:
	@echo "== Configuring $*"
	@cmake --preset $* >build-$*.log 2>&1 || { cat build-$*.log; rm -f build-$*.log; exit 1; }
	@rm -f build-$*.log

build: packages-build
	@$(MAKE) --no-print-directory build/release/build.ninja
	@echo "== Building build/release/thaw"
	@ninja -C build/release --quiet thaw thaw_uffd_preload
	@build/release/thaw --version

demo: packages-demo
	@$(MAKE) --no-print-directory build
	@python3 tools/demo.py

test: packages-test
	@tools/run_tests.sh

bench: packages-bench
	@$(MAKE) --no-print-directory build/release/build.ninja
	@ninja -C build/release --quiet thaw thaw-bench
	@python3 tools/bench.py

check: packages-test
	@tools/check.sh

fuzz: packages-test
	@tools/fuzz.sh $(SECONDS)

coverage: packages-test
	@tools/coverage.sh

clean:
	rm -rf build

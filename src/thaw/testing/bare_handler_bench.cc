// SPDX-License-Identifier: Apache-2.0
//
// What an on-demand fault costs with the least handler there is, on the guest's core and on
// another: the floor that the page server's hit path is measured against. Every page is checked
// after the timing.
#include <benchmark/benchmark.h>

#include <string>

#include "thaw/base/units.h"
#include "thaw/replay/replay_vmm.h"
#include "thaw/sys/file_io.h"
#include "thaw/testing/bare_handler.h"
#include "thaw/testing/temp_dir.h"

namespace thaw {
namespace {

constexpr uint64_t kPages = 4096;

struct Run {
  ReplayVmmReport report;
  std::string error;
};

Run run_once(const TempDir& dir, ByteSpan image, int handler_core, unsigned write_percent) {
  BareHandlerOptions bare;
  bare.socket_path = dir.file("uffd.sock");
  bare.image = image;
  bare.core = handler_core;
  const auto handler = BareHandler::start(bare);
  if (!handler) return {{}, handler.error().message};
  ReplayVmmOptions options = ReplayVmmOptions::firecracker(Generation::kV1_12);
  options.socket_path = bare.socket_path;
  options.image_path = dir.file("memory");
  options.regions = {{image.size(), 0}};
  options.touching.order = ReplayTouching::Order::kPermutation;
  options.touching.check = ReplayTouching::Check::kAfterTrace;
  options.touching.write_percent = write_percent;
  options.touching.cores = {0};
  const auto vmm = ReplayVmm::start(options);
  if (!vmm) return {{}, vmm.error().message};
  const ReplayVmmResult& result = (*vmm)->wait();
  if (!result.passed()) return {{}, result.describe()};
  return {*result.report, {}};
}

// Arguments: the handler's core (the guest's is 0), the share of writes in percent.
void fault_bare(benchmark::State& state) {
  const TempDir dir;
  const Bytes image(kPages * kPageBytes, std::byte{0x5a});
  if (!replace_file(dir.file("memory"), image, 0600)) {
    state.SkipWithError("cannot write the image");
    return;
  }
  LatencySummary last;
  for (auto _ : state) {
    const Run run = run_once(dir, image, static_cast<int>(state.range(0)),
                             static_cast<unsigned>(state.range(1)));
    if (!run.error.empty()) {
      state.SkipWithError(run.error.c_str());
      return;
    }
    state.SetIterationTime(static_cast<double>(run.report.touching_ns) / 1e9);
    last = run.report.first_touch;
  }
  state.SetItemsProcessed(static_cast<int64_t>(kPages) * state.iterations());
  state.counters["fault_ns_mean"] = last.mean_ns;
  state.counters["fault_ns_p50"] = static_cast<double>(last.p50_ns);
  state.counters["fault_ns_p99"] = static_cast<double>(last.p99_ns);
}
BENCHMARK(fault_bare)
    ->ArgNames({"handler_core", "write_percent"})
    ->Args({0, 0})
    ->Args({1, 0})
    ->Args({0, 100})
    ->Args({1, 100})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace thaw

// SPDX-License-Identifier: Apache-2.0
//
// clones: what the memory of one more clone of a snapshot costs when all of them map it from one
// mount: by what the kernel charges to their mappings of it (Pss: a shared page in equal parts to
// all who map it), besides the pages that the clone wrote itself.
#include <algorithm>
#include <fstream>
#include <sstream>

#include "thaw/bench/bench_mount.h"
#include "thaw/bench/resume_bench.h"

namespace thaw {
namespace {

constexpr int kClones = 100;
constexpr int kSmokeClones = 4;
constexpr size_t kFunctionsMax = 2;  // it is the same for all
constexpr double kLimitMib = 1;

/// Of the process's mappings of the file, in bytes.
double proportional_bytes(pid_t pid, const std::string& path) {
  std::ifstream smaps("/proc/" + std::to_string(pid) + "/smaps");
  double kib = 0;
  bool ours = false;
  size_t mappings = 0;
  for (std::string line; std::getline(smaps, line);) {
    // A mapping's first line begins with its addresses and ends with its file; names of figures
    // end with a colon.
    std::istringstream words(line);
    std::string first;
    words >> first;
    if (!first.ends_with(':')) {
      ours = line.ends_with(" " + path);
      mappings += ours ? 1 : 0;
    } else if (ours && first == "Pss:") {
      double value = 0;
      words >> value;
      kib += value;
    }
  }
  CHECK(mappings > 0);
  return kib * 1024;
}

}  // namespace

std::vector<Comparison> compare_clones(ResumeBench& bench, const BenchScale& scale) {
  if (!BenchMount::unavailable().empty()) return {};
  const int count = scale.smoke ? kSmokeClones : kClones;
  std::vector<double> extra_mib;
  for (size_t function = 0; function < std::min(bench.functions(), kFunctionsMax); ++function) {
    const BenchMount mount(bench.catalog(), bench.keys(), bench.memory_tier());
    ReplayVmmOptions options = bench.snapshot(function).vmm();
    options.backing = ReplayBacking::kPrivateFile;
    options.mapped_path = mount.memory_of(bench.name(function));
    options.hold_before_exit = true;
    std::vector<std::unique_ptr<ReplayVmm>> clones;
    double first = 0, all = 0, written = 0;
    for (int i = 0; i < count; ++i) {
      clones.push_back(*ReplayVmm::start(options));
      CHECK(clones.back()->wait_for(ReplayVmmEvent::Kind::kReport));
      if (i == 0) first = proportional_bytes(clones[0]->pid(), options.mapped_path);
    }
    for (const auto& clone : clones) all += proportional_bytes(clone->pid(), options.mapped_path);
    for (const auto& clone : clones) {
      clone->proceed();
      const ReplayVmmResult& result = clone->wait();
      CHECK(result.passed());
      written = static_cast<double>(result.report->writes * kPageBytes);
    }
    extra_mib.push_back(((all - first) / (count - 1) - written) / static_cast<double>(kMiB));
  }
  return {against_limit("clones",
                        "memory of a further clone through the mount besides its written pages",
                        "MiB", kLimitMib, false, extra_mib)};
}

}  // namespace thaw

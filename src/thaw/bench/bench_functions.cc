// SPDX-License-Identifier: Apache-2.0
#include "thaw/bench/bench_functions.h"

#include <array>

namespace thaw {
namespace {

constexpr std::array kFunctions{"json", "html", "aes", "compress", "text", "graph"};

// A quarter of the memory, and the begin of what is replayed there.
constexpr uint64_t kSmokePages = 16384;
constexpr size_t kSmokeEvents = 64;

}  // namespace

std::vector<FunctionTrace> load_function_traces(bool smoke) {
  std::vector<FunctionTrace> functions;
  for (const char* const name : kFunctions) {
    functions.push_back(*load_function(THAW_BENCH_TRACES, name));
    if (!smoke) continue;
    cut_function(functions.back(), kSmokePages, kSmokeEvents);
    break;
  }
  return functions;
}

}  // namespace thaw

// SPDX-License-Identifier: Apache-2.0
#include "thaw/bench/function_trace.h"

#include <algorithm>
#include <array>

#include "thaw/base/check.h"

namespace thaw {
namespace {

constexpr std::array kFunctions{"json", "html", "aes", "compress", "text", "graph"};

constexpr uint64_t kSmokePages = 16384;
constexpr size_t kSmokeEvents = 64;

// A quarter of the memory, and the begin of what is replayed there.
void cut(FunctionTrace& function) {
  PageShape& shape = function.shape;
  shape.page_count = kSmokePages;
  std::erase_if(shape.runs, [](const PageRun& run) { return run.page >= kSmokePages; });
  PageRun& last = shape.runs.back();
  last.count = std::min(last.count, kSmokePages - last.page);
  for (PageTrace* trace : {&function.recorded, &function.measured}) {
    trace->page_count = kSmokePages;
    std::erase_if(trace->events, [](const TraceEvent& event) { return event.page >= kSmokePages; });
  }
  function.measured.events.resize(std::min(function.measured.events.size(), kSmokeEvents));
}

}  // namespace

std::vector<FunctionTrace> load_function_traces(bool smoke) {
  std::vector<FunctionTrace> functions;
  for (const char* const name : kFunctions) {
    const std::string path = std::string(THAW_BENCH_TRACES "/") + name;
    FunctionTrace function{name, *read_page_shape(path + ".shape"),
                           *read_page_trace(path + ".recorded.trace"),
                           *read_page_trace(path + ".trace")};
    CHECK(function.recorded.page_count == function.shape.page_count);
    CHECK(function.measured.page_count == function.shape.page_count);
    if (smoke) cut(function);
    functions.push_back(std::move(function));
    if (smoke) break;
  }
  return functions;
}

Recording recording_of(const PageTrace& trace) {
  Recording recording;
  uint64_t ns = 0;
  for (const TraceEvent& event : trace.events) {
    ns += event.gap_ns;
    recording.touches.push_back(
        {static_cast<uint32_t>(event.page), static_cast<uint32_t>(ns / 1000), event.write});
  }
  return recording;
}

}  // namespace thaw

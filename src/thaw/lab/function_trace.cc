// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/function_trace.h"

#include <algorithm>
#include <filesystem>
#include <set>

namespace thaw {
namespace {

constexpr char kShapeEnding[] = ".shape";

/// The functions that have a shape in the directory; none if it cannot be read.
std::string functions_in(const std::string& directory) {
  std::error_code error;
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.path().extension() == kShapeEnding) names.insert(entry.path().stem().string());
  }
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "none" : text;
}

/// One of the function's traces, which its shape promises.
Result<PageTrace> read_trace(const std::string& path, const std::string& name) {
  Result<PageTrace> trace = read_page_trace(path);
  if (trace || trace.error().code != ErrorCode::kNotFound) return trace;
  return fail(ErrorCode::kNotFound, "there is a shape of the function '" + name + "' but no " +
                                        path + "; `thaw lab trace --function " + name +
                                        "` makes all of its files");
}

}  // namespace

Result<FunctionTrace> load_function(const std::string& directory, const std::string& name) {
  const std::string path = directory + "/" + name;
  Result<PageShape> shape = read_page_shape(path + kShapeEnding);
  if (!shape) {
    if (shape.error().code != ErrorCode::kNotFound) return fail(std::move(shape).error());
    return fail(ErrorCode::kNotFound, "no trace of the function '" + name + "' in " + directory +
                                          "; there are: " + functions_in(directory));
  }
  FunctionTrace function{name, std::move(*shape), {}, {}, std::nullopt};
  ASSIGN_OR_RETURN(function.recorded, read_trace(path + ".recorded.trace", name));
  ASSIGN_OR_RETURN(function.measured, read_trace(path + ".trace", name));
  const std::string other = path + ".other.trace";
  if (std::filesystem::exists(other)) {
    ASSIGN_OR_RETURN(function.other, read_page_trace(other));
    if (function.other->page_count != function.shape.page_count) {
      return fail(ErrorCode::kInvalid, other + " is of a memory of another size than its shape");
    }
  }
  if (function.recorded.page_count != function.shape.page_count ||
      function.measured.page_count != function.shape.page_count) {
    return fail(ErrorCode::kInvalid,
                path + ": shape and traces are of memories of different sizes");
  }
  return function;
}

void cut_function(FunctionTrace& function, uint64_t pages, size_t events) {
  PageShape& shape = function.shape;
  shape.page_count = pages;
  std::erase_if(shape.runs, [&](const PageRun& run) { return run.page >= pages; });
  if (!shape.runs.empty()) {
    PageRun& last = shape.runs.back();
    last.count = std::min(last.count, pages - last.page);
  }
  for (PageTrace* trace : {&function.recorded, &function.measured}) {
    trace->page_count = pages;
    std::erase_if(trace->events, [&](const TraceEvent& event) { return event.page >= pages; });
  }
  function.measured.events.resize(std::min(function.measured.events.size(), events));
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

// SPDX-License-Identifier: Apache-2.0
#include "thaw/lab/metered_source.h"

#include <chrono>

namespace thaw {
namespace {

using Clock = std::chrono::steady_clock;

uint64_t ns_since(Clock::time_point begin) {
  return static_cast<uint64_t>(std::chrono::nanoseconds(Clock::now() - begin).count());
}

}  // namespace

ChunkRef MeteredSource::lookup(const ChunkId& id) {
  ChunkRef chunk = below_.lookup(id);
  if (chunk != nullptr) counters_.memory_bytes += chunk->buffer.size();
  return chunk;
}

void MeteredSource::fetch(const ChunkRequest& request, Completion done) {
  ++counters_.fetches;
  below_.fetch(request,
               [this, begin = Clock::now(), done = std::move(done)](Result<ChunkRef> came) {
                 counters_.fetch_ns += ns_since(begin);
                 done(std::move(came));
               });
}

bool MeteredSource::fetch_part(const ChunkRequest& request, PageRun part, PartCompletion done) {
  const bool taken = below_.fetch_part(
      request, part,
      [this, begin = Clock::now(), done = std::move(done)](std::optional<ChunkPart> came) {
        counters_.fetch_ns += ns_since(begin);
        done(std::move(came));
      });
  if (taken) ++counters_.fetches;
  return taken;
}

}  // namespace thaw

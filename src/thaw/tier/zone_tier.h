// SPDX-License-Identifier: Apache-2.0
//
// ZoneTier: the zone's cache servers. They are not trusted: what they give is a chunk only once it
// has the digest of its name. A zone that is down, slow or lying is a miss; what the origin brings
// is stored behind the answer.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "thaw/base/worker_pool.h"
#include "thaw/tier/chunk_source.h"
#include "thaw/zone/zone_client.h"

namespace thaw {

/// Members may be called from many threads at once. Assembles and verifies on `workers`, cuts and
/// stores on `fills`, whose queue bounds the chunks that wait; above it they are not stored.
/// Borrows all.
class ZoneTier final : public ChunkSource {
 public:
  struct Counters {
    std::atomic<uint64_t> hits{0};       // verified
    std::atomic<uint64_t> bytes{0};      // of hits
    std::atomic<uint64_t> verify_ns{0};  // hashing
    std::atomic<uint64_t> misses{0};
    std::atomic<uint64_t> corrupt{0};  // stripes that did not make the chunk; a fill replaces them
    std::atomic<uint64_t> fills{0};
    std::atomic<uint64_t> fills_refused{0};  // a queue was full
  };

  ZoneTier(ZoneClient& zone, WorkerPool& workers, WorkerPool& fills, ChunkSource& below)
      : zone_(zone), workers_(workers), fills_(fills), below_(below) {}

  ChunkRef lookup(const ChunkId& id) override { return below_.lookup(id); }
  void fetch(const ChunkRequest& request, Completion done) override;
  void promote(const ChunkId& id) override { below_.promote(id); }
  std::string describe() const override { return "zone -> " + below_.describe(); }

  const Counters& counters() const { return counters_; }

 private:
  void arrived(const ChunkRequest& request, const std::shared_ptr<StripeSet>& stripes,
               const Completion& done);
  ChunkRef assemble(const ChunkRequest& request, StripeSet& stripes);
  void fetch_below(const ChunkRequest& request, Completion done);
  void fill(const ChunkRef& chunk);

  ZoneClient& zone_;
  WorkerPool& workers_;
  WorkerPool& fills_;
  ChunkSource& below_;
  Counters counters_;
};

}  // namespace thaw

// SPDX-License-Identifier: Apache-2.0
//
// ShapedSource: adds the latency and bandwidth of something far away to the source below it, so
// that one machine can stand for a region. For benchmarks and the lab; no configuration of a worker
// reaches it.
#pragma once

#include <string>

#include "thaw/base/delay_line.h"
#include "thaw/base/guarded.h"
#include "thaw/base/latency_shape.h"
#include "thaw/base/worker_pool.h"
#include "thaw/tier/chunk_source.h"

namespace thaw {

/// Each fetch completes, on the workers, when the shape says so or when the source below has
/// answered, whichever is later. Borrows the workers and `below`; goes only when nothing is under
/// way.
class ShapedSource final : public ChunkSource {
 public:
  ShapedSource(const LatencyShape& shape, uint64_t seed, WorkerPool& workers, ChunkSource& below)
      : link_(ShapedLink(shape, seed)), workers_(workers), below_(below) {}

  ChunkRef lookup(const ChunkId& id) override { return below_.lookup(id); }
  void fetch(const ChunkRequest& request, Completion done) override;
  void promote(const ChunkId& id) override { below_.promote(id); }
  std::string describe() const override { return "shaped -> " + below_.describe(); }

 private:
  Guarded<ShapedLink> link_;
  WorkerPool& workers_;
  ChunkSource& below_;
  DelayLine delay_;
};

}  // namespace thaw

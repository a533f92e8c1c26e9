// SPDX-License-Identifier: Apache-2.0
//
// Progress: how far a long piece of work is, and the way to stop it.
#pragma once

#include <atomic>
#include <cstdint>

namespace thaw {

/// The work writes the counters and reads `cancel`; anybody else, a signal handler included, does
/// it the other way round. `bytes_done` grows to `bytes_total` if nothing fails.
struct Progress {
  std::atomic<uint64_t> bytes_total{0};
  std::atomic<uint64_t> bytes_done{0};
  /// Set it to have the work return kInterrupted at the next chunk.
  std::atomic<bool> cancel{false};

  bool cancelled() const { return cancel.load(std::memory_order_relaxed); }
  void advance(uint64_t bytes) { bytes_done.fetch_add(bytes, std::memory_order_relaxed); }
};

}  // namespace thaw

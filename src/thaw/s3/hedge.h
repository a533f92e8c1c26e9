// SPDX-License-Identifier: Apache-2.0
//
// HedgePolicy: when a read is so late that a second request for the same is worth its cost (Dean
// and Barroso, "The Tail at Scale", CACM 2013): after the moving percentile of the latest
// successful reads, for a bounded share of them.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "thaw/s3/token_bucket.h"

namespace thaw {

/// Belongs to one thread. Sees no clock.
class HedgePolicy {
 public:
  /// Latencies remembered; about what a percentile of 95 needs to be steady.
  static constexpr size_t kWindow = 256;
  /// Latencies known before the first hedge.
  static constexpr size_t kSamplesMin = 32;
  /// The percentile is computed anew after so many samples.
  static constexpr size_t kSamplesPerUpdate = 8;
  /// On a fast and idle link the percentile is noise; nothing is gained below.
  static constexpr std::chrono::nanoseconds kDelayMin = std::chrono::milliseconds(1);

  /// percentile 0: never hedge.
  HedgePolicy(unsigned percentile, double share, unsigned reserve)
      : percentile_(percentile), budget_(share, reserve) {}

  /// A read begins.
  void begin() { budget_.deposit(); }
  /// A read, or the hedge that won, has succeeded after `latency`.
  void record(std::chrono::nanoseconds latency);
  /// After what time a read is late; nullopt while too little is known or hedging is off.
  std::optional<std::chrono::nanoseconds> delay() const { return delay_; }
  /// True if one more hedge may be sent.
  [[nodiscard]] bool take() { return budget_.take(); }

 private:
  void update();

  const unsigned percentile_;
  TokenBucket budget_;
  std::array<int64_t, kWindow> latencies_ns_{};  // a ring
  uint64_t samples_ = 0;
  std::optional<std::chrono::nanoseconds> delay_;
};

}  // namespace thaw

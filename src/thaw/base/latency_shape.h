// SPDX-License-Identifier: Apache-2.0
//
// LatencyShape: how long a thing far away takes, as a distribution, so that one machine can stand
// for a region. Used by benchmarks and the lab; no configuration of a worker reaches it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string_view>

namespace thaw {

/// The latency's logarithm is linear in the normal quantile between the three points, goes on with
/// the last slope up to the quantile of 1 in 100,000, and below the median falls by the slope of
/// the first segment, but not below half of it.
struct LatencyShape {
  double p50_ms = 0;
  double p99_ms = 0;
  double p999_ms = 0;
  double bytes_per_s = 0;  // of one link; 0: as fast as it goes

  /// The latency at a quantile in (0, 1).
  std::chrono::nanoseconds at(double quantile) const;
};

/// "zone" (0.55, 2, 3.7 ms) and "origin" (36, 100, 175 ms): a provider's published cache and object
/// store (Brooker et al., USENIX ATC 2023, section 5; the p99 of each read off its figures);
/// nullopt for any other name.
std::optional<LatencyShape> latency_preset(std::string_view name);

/// The seeded sequence of one link's delays: latency, and the time until the link is free. Belongs
/// to one thread.
class ShapedLink {
 public:
  using Time = std::chrono::steady_clock::time_point;
  ShapedLink(const LatencyShape& shape, uint64_t seed) : shape_(shape), random_(seed) {}

  /// When an answer of `bytes`, asked for at `now`, would be here.
  Time arrival(Time now, uint64_t bytes);

 private:
  const LatencyShape shape_;
  std::mt19937_64 random_;
  Time link_free_{};
};

}  // namespace thaw

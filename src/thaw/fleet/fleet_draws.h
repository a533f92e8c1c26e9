// SPDX-License-Identifier: Apache-2.0
//
// FleetDraws: seeded random numbers, the same on every machine. The engine is the standard's
// mt19937_64, which is fully specified; the standard's distributions are not, so they are
// Boost.Random's, whose algorithms are their source: discrete (Walker's alias method, which makes a
// Zipf draw over millions of functions O(1); there is no Zipf distribution in it) and exponential
// (ziggurat). What goes through the C library's exp() and log() may differ in the last bit between
// machines; all times are whole nanoseconds, which hides that but for one in about a million draws.
#pragma once

#include <boost/random/discrete_distribution.hpp>
#include <boost/random/exponential_distribution.hpp>
#include <boost/random/mersenne_twister.hpp>
#include <cstdint>
#include <vector>

#include "thaw/base/latency_shape.h"

namespace thaw {

/// SplitMix64's last step: a hash of a number.
inline uint64_t mix_bits(uint64_t value) {
  value += 0x9e3779b97f4a7c15ULL;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

/// What is drawn for: each purpose has a stream of its own, so that a larger cache, say, does not
/// change who arrives when.
enum class DrawPurpose : uint64_t { kArrivals, kPlacement, kSchedule, kLatency };

/// Belongs to one thread.
class FleetDraws {
 public:
  FleetDraws(uint64_t seed, DrawPurpose purpose)
      : engine_(mix_bits(seed ^ mix_bits(static_cast<uint64_t>(purpose)))) {}

  /// 0 to below - 1, `below` at least 1 and at most 2^32; the bias is under `below` in 2^32.
  uint64_t below(uint64_t below) { return ((engine_() >> 32) * below) >> 32; }
  /// In [0, 1).
  double fraction() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }
  /// With this mean.
  double exponential(double mean) {
    return boost::random::exponential_distribution<double>(1 / mean)(engine_);
  }
  uint64_t bits() { return engine_(); }
  boost::random::mt19937_64& engine() { return engine_; }

 private:
  boost::random::mt19937_64 engine_;
};

/// Ranks 0 to count - 1, rank r with a weight of (r + 1)^-exponent.
class ZipfRanks {
 public:
  ZipfRanks(uint32_t count, double exponent);
  uint32_t draw(FleetDraws& draws) { return distribution_(draws.engine()); }

 private:
  boost::random::discrete_distribution<uint32_t, double> distribution_;
};

/// When the `rank`-th of `of` answers is there that were asked for at the same time, and that
/// `together` times over, until the last of these: exact order statistics of the shape, as 32,768
/// equally likely values.
class LatencyTable {
 public:
  /// 1 <= rank <= of; together at least 1.
  LatencyTable(const LatencyShape& shape, unsigned rank, unsigned of, unsigned together);

  int64_t draw(FleetDraws& draws) const { return ns_[draws.bits() >> (64 - kBits)]; }
  /// The value at a quantile in [0, 1).
  int64_t at(double quantile) const {
    return ns_[static_cast<size_t>(quantile * static_cast<double>(ns_.size()))];
  }

 private:
  static constexpr unsigned kBits = 15;
  std::vector<int64_t> ns_;
};

}  // namespace thaw

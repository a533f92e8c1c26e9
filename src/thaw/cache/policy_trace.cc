// SPDX-License-Identifier: Apache-2.0
#include "thaw/cache/policy_trace.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <unordered_map>

#include "thaw/base/check.h"

namespace thaw {
namespace {

// Keys of different kinds in one trace never meet: each kind has a range of its own.
constexpr uint64_t kScanKeys = uint64_t{1} << 40;
constexpr uint64_t kOneTimeKeys = uint64_t{2} << 40;

/// The standard's engine is the same everywhere, its distributions are not.
class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}
  /// 0 to below - 1. The bias of the remainder is of no weight here.
  uint64_t below(uint64_t below) { return engine_() % below; }
  double fraction() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }

 private:
  std::mt19937_64 engine_;
};

/// Ranks 0 to count - 1, rank r with a weight of 1 / (r + 1)^alpha.
class Zipf {
 public:
  Zipf(size_t count, double alpha) : sums_(count) {
    double sum = 0;
    for (size_t i = 0; i < count; ++i) {
      sum += std::pow(static_cast<double>(i + 1), -alpha);
      sums_[i] = sum;
    }
  }
  size_t draw(Dice& dice) const {
    const double at = dice.fraction() * sums_.back();
    const auto found = std::upper_bound(sums_.begin(), sums_.end(), at);
    return std::min(static_cast<size_t>(found - sums_.begin()), sums_.size() - 1);
  }

 private:
  std::vector<double> sums_;
};

PolicyTrace zipf_trace(std::string name, double alpha, uint64_t seed) {
  constexpr size_t kKeys = 20'000;
  constexpr size_t kRequests = 200'000;
  Dice dice(seed);
  const Zipf zipf(kKeys, alpha);
  PolicyTrace trace{std::move(name), {}};
  for (size_t i = 0; i < kRequests; ++i) trace.keys.push_back(zipf.draw(dice));
  return trace;
}

/// Interactive functions all day long; at the full hour the periodic ones start, each of them
/// within seconds of the others.
PolicyTrace cron_trace(uint64_t seed) {
  constexpr size_t kKeys = 6'000;
  constexpr double kAlpha = 1.1;
  constexpr size_t kHours = 48;
  constexpr size_t kRequestsPerHour = 5'000;
  constexpr uint64_t kRun = 100;
  constexpr uint64_t kHourly = 15;  // functions
  constexpr uint64_t kDaily = 120;  // five of them at each hour
  Dice dice(seed);
  const Zipf zipf(kKeys, kAlpha);
  PolicyTrace trace{"cron_scans", {}};
  const auto scan = [&](uint64_t function) {
    for (uint64_t i = 0; i < kRun; ++i) trace.keys.push_back(kScanKeys + function * kRun + i);
  };
  for (size_t hour = 0; hour < kHours; ++hour) {
    for (uint64_t function = 0; function < kHourly; ++function) scan(function);
    for (uint64_t function = 0; function < kDaily; ++function) {
      if (function % 24 == hour % 24) scan(kHourly + function);
    }
    for (size_t i = 0; i < kRequestsPerHour; ++i) trace.keys.push_back(zipf.draw(dice));
  }
  return trace;
}

PolicyTrace shifting_trace(uint64_t seed) {
  constexpr size_t kKeys = 20'000;
  constexpr size_t kRequests = 250'000;
  constexpr size_t kShiftEvery = 1'000;  // requests
  constexpr size_t kSwaps = 50;          // keys that change places, of all ranks alike
  Dice dice(seed);
  const Zipf zipf(kKeys, 1.0);
  std::vector<uint64_t> key_of_rank(kKeys);
  std::iota(key_of_rank.begin(), key_of_rank.end(), uint64_t{0});
  PolicyTrace trace{"shifting", {}};
  for (size_t i = 0; i < kRequests; ++i) {
    if (i % kShiftEvery == kShiftEvery - 1) {
      for (size_t k = 0; k < kSwaps; ++k) {
        std::swap(key_of_rank[dice.below(kKeys)], key_of_rank[dice.below(kKeys)]);
      }
    }
    trace.keys.push_back(key_of_rank[zipf.draw(dice)]);
  }
  return trace;
}

PolicyTrace loop_trace() {
  constexpr uint64_t kLength = kTraceCapacity + kTraceCapacity / 10;
  constexpr size_t kRounds = 50;
  PolicyTrace trace{"loop", {}};
  for (size_t i = 0; i < kRounds * kLength; ++i) trace.keys.push_back(i % kLength);
  return trace;
}

PolicyTrace burst_trace(uint64_t seed) {
  constexpr size_t kSnapshots = 120;
  constexpr size_t kBases = 6;
  constexpr size_t kBaseChunks = 200;
  constexpr size_t kOwnChunks = 60;
  constexpr size_t kSharedChunks = 40;
  constexpr size_t kRestores = 2'500;
  constexpr size_t kOneTimeEvery = 4;
  Dice dice(seed);
  const Zipf zipf(kSnapshots, 0.9);
  PolicyTrace trace{"bursts", {}};
  // A snapshot's list: its own chunks, and a share of its base's, the same at every restore.
  std::vector<std::vector<uint64_t>> lists(kSnapshots);
  for (size_t snapshot = 0; snapshot < kSnapshots; ++snapshot) {
    const uint64_t base = snapshot % kBases;
    for (uint64_t i = 0; i < kSharedChunks; ++i) {
      lists[snapshot].push_back(base * kBaseChunks + dice.below(kBaseChunks));
    }
    for (uint64_t i = 0; i < kOwnChunks; ++i) {
      lists[snapshot].push_back(kScanKeys + snapshot * kOwnChunks + i);
    }
  }
  for (size_t restore = 0; restore < kRestores; ++restore) {
    if (restore % kOneTimeEvery == 0) {
      for (uint64_t i = 0; i < kOwnChunks + kSharedChunks; ++i) {
        trace.keys.push_back(kOneTimeKeys + restore * (kOwnChunks + kSharedChunks) + i);
      }
      continue;
    }
    const std::vector<uint64_t>& list = lists[zipf.draw(dice)];
    trace.keys.insert(trace.keys.end(), list.begin(), list.end());
  }
  return trace;
}

}  // namespace

std::vector<PolicyTrace> policy_traces(uint64_t seed) {
  std::vector<PolicyTrace> traces;
  traces.push_back(zipf_trace("zipf_0.9", 0.9, seed));
  traces.push_back(zipf_trace("zipf_1.1", 1.1, seed + 1));
  traces.push_back(cron_trace(seed + 2));
  traces.push_back(shifting_trace(seed + 3));
  traces.push_back(loop_trace());
  traces.push_back(burst_trace(seed + 4));
  return traces;
}

double miss_ratio(const PolicyTrace& trace, PolicyKind kind, uint32_t capacity_slots) {
  CHECK(!trace.keys.empty());
  const std::unique_ptr<ReplacementPolicy> policy = make_policy(kind, capacity_slots);
  std::unordered_map<uint64_t, uint32_t> slot_of;
  std::vector<uint64_t> key_of(capacity_slots);
  uint64_t misses = 0;
  for (const uint64_t key : trace.keys) {
    if (const auto found = slot_of.find(key); found != slot_of.end()) {
      policy->hit(found->second);
      continue;
    }
    ++misses;
    auto slot = static_cast<uint32_t>(slot_of.size());
    if (slot == capacity_slots) {
      const std::optional<uint32_t> victim = policy->evict([](uint32_t) { return false; });
      CHECK(victim.has_value());
      slot = *victim;
      slot_of.erase(key_of[slot]);
    }
    slot_of.emplace(key, slot);
    key_of[slot] = key;
    policy->inserted(slot, key);
  }
  return static_cast<double>(misses) / static_cast<double>(trace.keys.size());
}

}  // namespace thaw

// SPDX-License-Identifier: Apache-2.0
//
// Traces of requests for chunks, made from a seed, and the misses of a policy on them: by these
// the default policy was chosen, and by these a test keeps the choice honest. The same seed gives
// the same trace on every machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "thaw/cache/replacement_policy.h"

namespace thaw {

/// Keys in the order in which they are asked for.
struct PolicyTrace {
  std::string name;
  std::vector<uint64_t> keys;
};

/// The capacity, in slots, that policy_traces() is made for.
inline constexpr uint32_t kTraceCapacity = 2000;

/// The whole set, 100,000 to 350,000 requests each:
///   zipf_0.9, zipf_1.1  independent requests with a fixed popularity
///   cron_scans          interactive requests (zipf), and functions that start once an hour or once
///                       a day, each reading its own run of chunks in order
///   shifting            zipf whose ranking changes, a part at a time
///   loop                a loop a tenth longer than the cache, again and again
///   bursts              restores: about 100 chunks of one snapshot in order, some of them of a
///   base
///                       that several snapshots share; snapshots by zipf, and every fourth burst of
///                       a snapshot that never comes again
std::vector<PolicyTrace> policy_traces(uint64_t seed);

/// The misses of a cache of `capacity_slots` under `kind` that begins empty, per request.
double miss_ratio(const PolicyTrace& trace, PolicyKind kind, uint32_t capacity_slots);

}  // namespace thaw

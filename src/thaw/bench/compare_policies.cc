// SPDX-License-Identifier: Apache-2.0
//
// hit_rate: the misses of the default replacement policy over those of LRU, on the set of traces;
// at the capacity the traces are made for. Deterministic: a round is a seed.
#include <algorithm>

#include "thaw/bench/paired.h"
#include "thaw/cache/policy_trace.h"

namespace thaw {

std::vector<Comparison> bench_policies(const BenchScale& scale) {
  const int seeds = scale.smoke ? 1 : 3;
  std::vector<Comparison> results;
  for (int seed = 1; seed <= seeds; ++seed) {
    const std::vector<PolicyTrace> traces = policy_traces(static_cast<uint64_t>(seed));
    if (seed == 1) results.resize(traces.size());
    for (size_t i = 0; i < traces.size(); ++i) {
      const bool scan = traces[i].name == "cron_scans";
      Comparison& result = results[i];
      result.name = "hit_rate_" + traces[i].name;
      result.what = "misses of s3_fifo over those of lru";
      result.unit = "missed";
      result.target = scan ? 0.8 : 1.0;
      const double ours = miss_ratio(traces[i], PolicyKind::kS3Fifo, kTraceCapacity);
      const double lru = miss_ratio(traces[i], PolicyKind::kLru, kTraceCapacity);
      const double ratio = ours / lru;
      if (seed == 1) result.ratio = {ratio, 0, ratio};
      result.ratio.low = std::min(result.ratio.low, ratio);
      result.ratio.high = std::max(result.ratio.high, ratio);
      result.ratio.median += ratio / seeds;
      result.ours += ours / seeds;
      result.floor += lru / seeds;
    }
  }
  return results;
}

}  // namespace thaw

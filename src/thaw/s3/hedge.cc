// SPDX-License-Identifier: Apache-2.0
#include "thaw/s3/hedge.h"

#include <algorithm>

namespace thaw {

void HedgePolicy::record(std::chrono::nanoseconds latency) {
  latencies_ns_[samples_ % kWindow] = latency.count();
  ++samples_;
  if (percentile_ > 0 && samples_ >= kSamplesMin && samples_ % kSamplesPerUpdate == 0) update();
}

void HedgePolicy::update() {
  std::array<int64_t, kWindow> sorted = latencies_ns_;
  const auto count = static_cast<ptrdiff_t>(std::min<uint64_t>(samples_, kWindow));
  const ptrdiff_t rank = std::min<ptrdiff_t>(count * percentile_ / 100, count - 1);
  std::nth_element(sorted.begin(), sorted.begin() + rank, sorted.begin() + count);
  delay_ = std::max(std::chrono::nanoseconds(sorted[static_cast<size_t>(rank)]), kDelayMin);
}

}  // namespace thaw

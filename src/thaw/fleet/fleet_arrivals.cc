// SPDX-License-Identifier: Apache-2.0
#include "thaw/fleet/fleet_arrivals.h"

#include <algorithm>
#include <tuple>

namespace thaw {

FleetArrivals::FleetArrivals(const FleetScenario& scenario, const WorkingSets& sets)
    : seed_(scenario.seed),
      workers_(scenario.workers),
      workers_per_function_(scenario.workers_per_function),
      mean_gap_ns_(scenario.arrivals_per_s > 0 ? 1e9 / scenario.arrivals_per_s : 0),
      end_ns_(scenario.duration_s * 1e9),
      arrivals_(scenario.seed, DrawPurpose::kArrivals),
      placement_(scenario.seed, DrawPurpose::kPlacement),
      ranks_(scenario.functions.count, scenario.functions.zipf) {
  FleetDraws schedule(scenario.seed, DrawPurpose::kSchedule);
  const auto plan = [&](double at_s, uint32_t function, bool anywhere) {
    if (at_s * 1e9 >= end_ns_) return;
    planned_.push_back({static_cast<int64_t>(at_s * 1e9), function, anywhere});
  };
  for (size_t cron = 0; cron < scenario.crons.size(); ++cron) {
    const FleetCron& each = scenario.crons[cron];
    for (double at_s = each.first_s; at_s < scenario.duration_s; at_s += each.period_s) {
      for (uint32_t i = 0; i < each.functions; ++i) {
        plan(at_s + each.over_s * schedule.fraction(), sets.cron_functions(cron) + i, false);
      }
    }
  }
  for (size_t burst = 0; burst < scenario.bursts.size(); ++burst) {
    const FleetBurst& each = scenario.bursts[burst];
    for (uint32_t i = 0; i < each.instances; ++i) {
      plan(each.at_s + each.over_s * i / each.instances, sets.new_function(burst), true);
    }
  }
  // Who is equal in all of these is the same.
  std::sort(planned_.begin(), planned_.end(), [](const Planned& a, const Planned& b) {
    return std::tie(a.at_ns, a.function, a.anywhere) < std::tie(b.at_ns, b.function, b.anywhere);
  });
  draw_stream();
}

void FleetArrivals::draw_stream() {
  stream_.reset();
  if (mean_gap_ns_ <= 0) return;
  stream_ns_ += arrivals_.exponential(mean_gap_ns_);
  if (stream_ns_ >= end_ns_) return;
  stream_ = Planned{static_cast<int64_t>(stream_ns_), ranks_.draw(arrivals_), false};
}

uint32_t FleetArrivals::worker_for(uint32_t function, bool anywhere) {
  if (anywhere || workers_per_function_ == 0 || workers_per_function_ >= workers_) {
    return static_cast<uint32_t>(placement_.below(workers_));
  }
  const uint64_t which = placement_.below(workers_per_function_);
  return static_cast<uint32_t>(mix_bits(mix_bits(seed_ + function) + which) % workers_);
}

std::optional<FleetArrival> FleetArrivals::next() {
  const bool has_planned = next_planned_ < planned_.size();
  if (!has_planned && !stream_) return std::nullopt;
  Planned chosen;
  if (has_planned && (!stream_ || planned_[next_planned_].at_ns <= stream_->at_ns)) {
    chosen = planned_[next_planned_++];
  } else {
    chosen = *stream_;
    draw_stream();
  }
  return FleetArrival{chosen.at_ns, chosen.function, worker_for(chosen.function, chosen.anywhere)};
}

}  // namespace thaw

// SPDX-License-Identifier: Apache-2.0
//
// WorkingSets: which grains each function reads, in order: first those of its base image, which it
// shares with the other functions of that base, then its own. Grains are numbered through the
// fleet, so equal content has one number, as equal chunks have one name.
#pragma once

#include <cstdint>
#include <vector>

#include "thaw/fleet/fleet_scenario.h"

namespace thaw {

/// Immutable. Functions are numbered: by popularity first, then those of the crons, then those that
/// bursts bring new.
class WorkingSets {
 public:
  explicit WorkingSets(const FleetScenario& scenario);

  uint32_t functions() const { return static_cast<uint32_t>(own_begin_.size() - 1); }
  uint32_t grains() const { return own_begin_.back(); }
  /// How many `function` reads, at least 1.
  uint32_t size(uint32_t function) const {
    return common_ + own_begin_[function + 1] - own_begin_[function];
  }
  /// The one that it reads in place `index`.
  uint32_t at(uint32_t function, uint32_t index) const {
    return index < common_ ? function % bases_ * common_ + index
                           : own_begin_[function] + index - common_;
  }

  /// The first function of a cron, or that of a burst without one.
  uint32_t cron_functions(size_t cron) const { return cron_begin_[cron]; }
  uint32_t new_function(size_t burst) const { return burst_new_[burst]; }

 private:
  uint32_t bases_;
  uint32_t common_;                  // grains that a function has of its base
  std::vector<uint32_t> own_begin_;  // by function, and one more
  std::vector<uint32_t> cron_begin_;
  std::vector<uint32_t> burst_new_;
};

}  // namespace thaw

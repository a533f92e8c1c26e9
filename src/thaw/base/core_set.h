// SPDX-License-Identifier: Apache-2.0
//
// CoreSet: some of the machine's processor cores, as a user writes them ("2,3" or "2-5") and as the
// scheduler takes them (sched_setaffinity(2)). Where a thread runs decides more about a fault's
// latency than what it does (docs/ARCHITECTURE.md, "Placement").
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "thaw/base/result.h"

namespace thaw {

/// The highest core number that can be named is one less: the width of the C library's cpu_set_t.
inline constexpr unsigned kCoresMax = 1024;

/// A value. Empty stands for "no restriction" wherever a set is an option.
class CoreSet {
 public:
  CoreSet() = default;
  CoreSet(std::initializer_list<unsigned> cores) {
    for (const unsigned core : cores) add(core);
  }

  /// Numbers and ranges separated by commas: "2", "2,3", "0-1,4-7". kInvalid for anything else, for
  /// an empty text and for a core of kCoresMax or above.
  static Result<CoreSet> parse(std::string_view text);
  /// Where the calling thread may run: what a container or taskset leaves of the machine.
  static CoreSet allowed();

  /// `core` is below kCoresMax. Adding it again changes nothing.
  void add(unsigned core);
  bool empty() const { return cores_.empty(); }
  bool contains(unsigned core) const;
  /// Those that are not in `other`.
  CoreSet without(const CoreSet& other) const;
  /// Ascending.
  const std::vector<uint16_t>& cores() const { return cores_; }
  /// As parse() takes it: "0-1,4".
  std::string text() const;

  /// Lets the calling thread run on these cores only. kInvalid if the set is empty or the process
  /// may run on none of them.
  Result<void> confine_this_thread() const;

  friend bool operator==(const CoreSet&, const CoreSet&) = default;

 private:
  std::vector<uint16_t> cores_;
};

}  // namespace thaw
